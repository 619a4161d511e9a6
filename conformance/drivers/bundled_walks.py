"""Walks through many crashes: a drawn history in which the program dies again and again, and each time goes on where it was.

The exhaustive crash test asks what one crash, or two, do to a history. A walk asks what is left after many, with everything
else that a draw brings: faults of sites, link, gateway and change log, a bad network, wrong clocks, pauses, and requests that are
retried by their id. In the middle of a step the program dies after an effect that the seed decides. The system starts again on
what the crash leaves, is judged as in :mod:`.bundled_crashes`, and the rest of the history follows. At the end all faults are
over, and the machine has to come home.

A retry after a crash of a request that was answered before it gets the same answer, and begins nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from siteproof.conformance.drivers.bundled_crashes import Explorer, Plan, Tally, small_images
from siteproof.conformance.drivers.bundled_histories import History, drawn_history
from siteproof.conformance.drivers.bundled_judge import MACHINE, Broken, Judge, demand, image_of
from siteproof.impl.errors import ImplError
from siteproof.impl.lab import Lab
from siteproof.impl.loader import Topology
from siteproof.impl.simulated_disk import Crash, SimulatedStorage
from siteproof.impl.values import other

__all__ = ["WALKS", "walk", "walks"]

WALKS = "walks through many crashes"
_LONG = 6000.0
"""Seconds of virtual time after which a walk ends, so that no retention takes a point that is known."""
_CRASHES = 0.2
"""Share of the steps in which the program dies."""


class _Dies(BaseException):
    """The program ends here: nothing may catch this."""


def _silent(tally: Tally) -> None:
    """Shows nothing."""


class _Walker(Explorer):
    def __init__(self, topology: Topology, images: Sequence[Path], history: History, seed: int) -> None:
        super().__init__(topology, images, history, seed, Plan(), _silent)
        self._chance = random.Random(f"walk {seed}")

    def walk(self) -> Tally:
        """Run the history through its crashes, then bring the machine home."""
        lab = self._lab(self._storage, resume=False)
        crash, name = "no crash", "nothing"
        try:
            for number, step in enumerate(self._history.steps):
                self._step = number
                if step[0] == "from here":
                    continue
                if lab.now > _LONG:
                    break
                if self._chance.random() < _CRASHES:
                    self._storage.listener = self._dying(self._storage.effects + self._chance.randint(1, 25))
                try:
                    self._take(lab, step)
                    self._storage.listener = None
                except _Dies as death:
                    self.tally.points += 1
                    kind = self._chance.choice(list(Crash))
                    crash, name = kind.value, str(death)
                    lab.close()
                    lab = self._again(kind)
            self.tally.worlds += 1
            for fault in sorted(self._known.faults):
                lab.heal(fault)
            self._known.faults.clear()
            self._home(lab)
        except (Broken, ImplError, AssertionError, LookupError, TypeError, ValueError, RuntimeError, OSError) as error:
            text = str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"
            self._note(name, crash, "none", text)
        finally:
            self._storage.listener = None
            lab.close()
        return self.tally

    def _dying(self, at: int) -> Callable[[str], None]:
        def strike(name: str) -> None:
            if self._storage.effects >= at:
                raise _Dies(name)

        return strike

    def _again(self, kind: Crash) -> Lab:
        """The system starts again, and has to keep its word so far; what is seen of it then is what is known."""
        self._storage = self._after(self._storage, kind)
        known, down = self._known, sorted(self._known.faults)
        lab = self._lab(self._storage, resume=True, down=down)
        judge = Judge(known, self._sizes)
        judge.points(lab)
        self._retry(lab)
        judge.settle(lab)
        judge.points(lab)
        status = lab.status(MACHINE)
        demand(bool(down) or status.job is None, f"{status.job} is stuck")
        live = judge.live(lab, status)
        if f"{other(status.active)}-site" not in down:
            judge.copy(lab, status)
        known.points = {p.id: judge.seen[p.id] for p in status.points}
        places = [n for n, content in enumerate(known.contents) if content == live]
        # What was not taken over is still at the other side, and may be in points of its own; it is no part of what follows.
        known.contents = known.contents[: places[-1] + 1] if places else [live]
        known.acked = len(known.contents) - 1
        known.status = status
        known.test = [image_of(lab, "test", self._sizes)] if status.test == "running" else []
        known.test_acked = 0
        if status.job is None:
            known.asked = None
        return lab

    def _retry(self, lab: Lab) -> None:
        known = self._known
        if known.answered is None:
            return
        name, operation, point, answer = known.answered
        before = lab.status(MACHINE)
        demand(lab.request(MACHINE, operation, point, name) == answer, f"a retry of {operation} gets another answer")
        demand(lab.status(MACHINE) == before, f"a retry of {operation} has changed something")

    def _home(self, lab: Lab) -> None:
        judge = Judge(self._known, self._sizes)
        judge.goes_on(lab, (), lambda: None, crashed=False)

    def _after(self, storage: SimulatedStorage, kind: Crash) -> SimulatedStorage:
        return storage.after_crash(kind, self._chance)


def walks(topology: Topology, folder: Path, seeds: range) -> Tally:
    """One walk for each seed: the sums, and all findings."""
    total = Tally()
    for seed in seeds:
        tally = walk(topology, folder, seed)
        total.points += tally.points
        total.worlds += tally.worlds
        total.findings += tally.findings
    return total


def walk(topology: Topology, folder: Path, seed: int, length: int = 60) -> Tally:
    """One walk through a drawn history. ``points`` of the result are crashes.

    Args:
        topology: the flow.
        folder: where two small base images are made; nothing else is written.
        length: steps of the history.
    """
    return _Walker(topology, small_images(folder, 2, 8), drawn_history(seed, length), seed).walk()
