"""The exhaustive crash test of the bundled implementation: a crash after every durable effect of a history, in turn.

A history runs on a simulated disk. After each of its effects the world is copied as a crash would leave it, in up to three
ways (all that was not forced is lost; all of it is there; each piece is there, torn or lost), and each copy goes on by itself:
the system starts again, with every site or with one that stays dark for a while, and must keep its word. It is judged on
content alone, by what was acknowledged and what points were advertised before the crash:

=========  =============================================================================================================
P2, P4     every advertised point restores to exactly its prefix; none is gone unless the running operation ends them
P1, P17    an acknowledged write is in the image of the active side, unless an unplanned failover left it behind; what was only
           issued may be there, in order; nothing else is
P3         there are never two running sides, and the side that is not the machine cannot be started
P6         the copy of a test failover holds its point and its own acknowledged writes
P9         a crash alone never calls for a resynchronisation: the logs prove that nothing is missing
P16, P17   the job that ran is finished or failed, not stuck
P19, P21   the machine can be brought back to protected, and its content does not change on the way
P8, P10    then a new write reaches a new point, which equals the image
P20        no content that was discarded is ever seen again: every block written is unlike all others
P22        with the active site dark, the unplanned failover of a protected machine is accepted
=========  =============================================================================================================

One machine with two disks; crashes of the whole system at once.

*Pairs*: a second crash can strike while the system recovers from the first, after each effect of its restart until it is at
rest. A first run counts how many pairs there are; a second one tries all of them, or, where there are more than the budget
allows, every n-th, beginning at a place that the seed decides. Both draw the same crashes, so a pair can be tried again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import attrs

from siteproof.conformance.drivers.bundled_histories import History, Step
from siteproof.conformance.drivers.bundled_judge import MACHINE, Broken, Judge, Known, demand, image_of, with_block
from siteproof.impl.errors import ImplError
from siteproof.impl.lab import Lab
from siteproof.impl.loader import Topology
from siteproof.impl.simulated_disk import Crash, SimulatedStorage
from siteproof.impl.simulation import CHANGE_LOG
from siteproof.impl.values import BLOCK, HOST_OPERATIONS, PRIMARY, RECOVERY, Operation, Status, other

__all__ = ["Explorer", "Finding", "Plan", "Tally", "explore", "explore_failures", "small_images"]

_NOWHERE = Path("/nowhere/siteproof")
"""A simulated disk needs a folder by name only."""
_PLACES = 3
"""Blocks of each disk that the workload writes: few, so that a batch overwrites what the one before wrote."""
_PAUSES = 0.15
"""Share of the operations drawn that pause replication or resume it."""
_DARK_NONE, _DARK_ACTIVE, _DARK_PASSIVE = "none", "active", "passive"


@attrs.frozen
class Plan:
    """What is tried at each effect.

    Args:
        in_turn: at each effect one combination of what follows, the next one at the next effect; else all of them.
        crashes: what happens to what was not forced.
        dark: which site stays without power for a while after the crash: none, the active or the passive one.
        every: take every n-th effect only; 1 takes all.
        enough: after so many findings of a history nothing more is tried in it.
        pairs: how many pairs of crashes are tried at most; 0 for none.
    """

    in_turn: bool = False
    crashes: tuple[Crash, ...] = tuple(Crash)
    dark: tuple[str, ...] = (_DARK_NONE, _DARK_ACTIVE, _DARK_PASSIVE)
    every: int = 1
    pairs: int = 0
    enough: int = 1000


@attrs.frozen
class Finding:
    """A word that was not kept: where the crash struck, and what was seen."""

    history: str
    step: int
    effect: int
    name: str
    crash: str
    dark: str
    text: str


@attrs.define
class Tally:
    """What was tried. ``points`` are effects after which a crash was tried, ``worlds`` the systems that went on from there;
    ``second`` of ``pairs`` pairs of crashes were tried.
    """

    effects: int = 0
    points: int = 0
    worlds: int = 0
    second: int = 0
    pairs: int = 0
    findings: list[Finding] = attrs.Factory(list)


class _Recovered(Exception):
    """A system has come to rest after its restart, and nobody asks how it goes on."""


class Explorer:
    """Runs one history, and all worlds that begin with a crash in it.

    Args:
        strikes: the numbers of the effects of a restart after which a second crash strikes, by the number of the world; then
            only these pairs are tried. ``None``: one crash at a time.
    """

    def __init__(
        self,
        topology: Topology,
        images: Sequence[Path],
        history: History,
        seed: int,
        plan: Plan,
        progress: Callable[[Tally], None],
        strikes: Sequence[range] | None = None,
    ) -> None:
        self.tally = Tally()
        self.recoveries: list[int] = []
        """Effects of each restart until the system was at rest, in the order of the worlds."""
        self._strikes = strikes
        self._number = 0
        self._name = f"{seed} {history.name}"
        self._topology, self._images, self._history, self._seed, self._plan = topology, list(images), history, seed, plan
        self._sizes = [path.stat().st_size for path in images]
        self._progress = progress
        self._storage = SimulatedStorage()
        self._known = Known([tuple(path.read_bytes() for path in images)])
        self._step = 0
        self._written = 0
        self._requests = 0

    def _lab(self, storage: SimulatedStorage, *, resume: bool, down: Sequence[str] = ()) -> Lab:
        return Lab(
            self._topology, {MACHINE: self._images}, _NOWHERE, self._seed, storage=storage, resume=resume, down=down,
            reproducible=True, network=self._history.network,
        )  # fmt: skip

    def run_failing(self, at: int, *, read: bool = False) -> bool:
        """Run the history, and let the ``at``-th effect of it fail, as a full disk does, or the ``at``-th read of a file. A write
        that fails is not acknowledged, and the system goes on; any other event that fails stops it, and it is resumed.
        ``False``: there is no such effect.
        """
        storage = self._storage
        with self._lab(storage, resume=False) as lab:
            for number, step in enumerate(self._history.steps):
                self._step = number
                if step[0] == "from here":
                    if read:
                        storage.fail_read_at = at
                    else:
                        storage.fail_at = storage.effects + at
                    storage.listener = None
                    continue
                try:
                    self._take(lab, step)
                except OSError:
                    pass
                except Broken as error:
                    self._note("nothing", "there was no crash", _DARK_NONE, str(error))
                    return False
                if storage.fail_at is storage.fail_read_at is None and self._armed(number):
                    break
            else:
                return False
            self.tally.points += 1
            self._known.damaged = True
            if not lab.stopped:
                self._judged("a write", "the store was full", _DARK_NONE, lambda judge: judge.goes_on(
                    lab, sorted(self._known.faults), _nothing, crashed=False
                ))  # fmt: skip
                return True
        crash = list(Crash)[at % len(Crash)]
        self._world(self._copy(storage, crash), "an event", crash, _DARK_NONE)
        return True

    def _armed(self, number: int) -> bool:
        return ("from here", None) in self._history.steps[:number]

    def run(self) -> Tally:
        """Run the history. What it shows itself, without any crash, is judged as well."""
        with self._lab(self._storage, resume=False) as lab:
            try:
                for number, step in enumerate(self._history.steps):
                    self._step = number
                    self._take(lab, step)
            except Broken as error:
                self._note("nothing", "there was no crash", _DARK_NONE, str(error))
        self._storage.listener = None
        self.tally.effects = self._storage.effects
        return self.tally

    # ------------------------------------------------------------------------------------------------- the history

    def _take(self, lab: Lab, step: Step) -> None:
        kind, value = step
        known = self._known
        if kind == "from here":
            self._storage.listener = self._effect
        elif kind in ("write", "cached"):
            if value != "if running" or lab.running(MACHINE, lab.status(MACHINE).active):
                self._write(lab, value if isinstance(value, int) else None, cached=kind == "cached")
        elif kind == "test write":
            disk, block, data = self._next_block()
            known.test.append(with_block(known.test[-1], disk, block, data))
            demand(lab.write(MACHINE, "test", disk, block, data), "the copy of the test failover does not run")
            known.test_acked = len(known.test) - 1
        elif kind == "request":
            known.asked, _, point = str(value).partition(" ")
            known.point = point or None
            answer = self._request(lab)
            demand(answer is None, f"{value} is refused: {answer}")
        elif kind == "any":
            self._anything(lab, random.Random(value))
        elif kind == "fault":
            known.damaged = known.damaged or value == CHANGE_LOG
            known.faults |= {str(value)} - {CHANGE_LOG}
            ran = lab.running(MACHINE, lab.status(MACHINE).active)
            lab.fault(str(value))
            if ran and not lab.running(MACHINE, lab.status(MACHINE).active):
                del known.contents[known.acked + 1 :]
        elif kind == "heal":
            lab.heal(str(value))
            known.faults.discard(str(value))
        elif kind == "clock":
            lab.jump_clock(PRIMARY, float(value or 0))
            lab.jump_clock(RECOVERY, -float(value or 0))
        elif kind == "advance":
            lab.advance(int(value or 0))
        else:
            count = int(value) if kind == "events" and value is not None else None
            while (count is None or count > 0) and lab.step():
                count = None if count is None else count - 1
                self._observe(lab)
        self._observe(lab)
        if kind == "settle" and not known.faults:
            demand(lab.status(MACHINE).job is None, "a job is stuck without any crash")
            known.asked = None

    def _anything(self, lab: Lab, draw: random.Random) -> None:
        known, status = self._known, lab.status(MACHINE)
        if not status.allowed_operations:
            return
        operation = draw.choice(HOST_OPERATIONS if draw.random() < _PAUSES else status.allowed_operations)
        point = None
        if operation in (Operation.UNPLANNED, Operation.TEST, Operation.CHANGE):
            general = ["latest-processed"] if operation == Operation.CHANGE else ["latest", "latest-processed"]
            point = draw.choice([*general, *(p.id for p in status.points)])
        before = known.asked, known.point
        known.asked, known.point = operation, point
        if self._request(lab) is not None:
            known.asked, known.point = before

    def _request(self, lab: Lab) -> str | None:
        known = self._known
        assert known.asked is not None
        self._requests += 1
        name, known.answered = f"request {self._requests}", None
        answer = lab.request(MACHINE, known.asked, known.point, name)
        known.answered = (name, known.asked, known.point, answer)
        return answer

    def _next_block(self) -> tuple[int, int, bytes]:
        self._written += 1
        disk = self._written % len(self._sizes)
        block = self._written // 2 % _PLACES
        return disk, block, f"write {self._written} ".encode().ljust(BLOCK, b"#")

    def _write(self, lab: Lab, wanted: int | None, *, cached: bool) -> None:
        known = self._known
        disk, block, data = self._next_block()
        if wanted is not None:
            disk, block = 0, wanted
        known.contents.append(with_block(known.contents[-1], disk, block, data))
        demand(lab.write(MACHINE, lab.status(MACHINE).active, disk, block, data, cached), "the machine does not run")
        if not cached:
            known.acked = len(known.contents) - 1

    def _observe(self, lab: Lab) -> None:
        """Take in what an event has changed, and judge it. That the judge reads is no part of the history."""
        fails, self._storage.fail_read_at = self._storage.fail_read_at, None
        self._take_in(lab)
        self._storage.fail_read_at = fails

    def _take_in(self, lab: Lab) -> None:
        known, status = self._known, lab.status(MACHINE)
        before = known.status
        known.status = status
        for point in status.points:
            if point.id not in known.points:
                content = image_of(lab, point.id, self._sizes)
                demand(content in known.contents, f"new point {point.id} is no prefix")
                known.points[point.id] = content
        known.points = {p.id: known.points[p.id] for p in status.points}
        if status.test == "running" and not known.test:
            known.test = [image_of(lab, "test", self._sizes)]
            demand(known.test[0] in known.points.values(), "the copy of the test failover is no point")
        elif status.test != "running":
            known.test, known.test_acked = [], 0
        if before is not None and self._set_back(before, status):
            self._switched(lab, status)

    @staticmethod
    def _set_back(before: Status, now: Status) -> bool:
        """Whether the machine is at another side or point; a change of point may also lead to the same one again."""
        if before.job == Operation.CHANGE and now.job is None:
            return True
        moved = now.failover_point not in (None, before.failover_point)
        return now.active != before.active or moved

    def _switched(self, lab: Lab, status: Status) -> None:
        known, live = self._known, image_of(lab, status.active, self._sizes)
        if status.failover_point is not None:
            demand(live == known.points[status.failover_point], "the machine is not what its point was")
        elif status.failover == "planned":
            demand(live == known.contents[-1], "a planned failover has lost a write")
        known.contents, known.acked = [live], 0

    # --------------------------------------------------------------------------------------------------- crashes

    def _effect(self, name: str) -> None:
        number = self._storage.effects
        if number % self._plan.every or len(self.tally.findings) >= self._plan.enough:
            return
        ways = list(self._ways(self._storage))
        if self._plan.in_turn:
            ways = [ways[self.tally.points % len(ways)]]
        self.tally.points += 1
        for crash, dark in ways:
            strikes = None if self._strikes is None else self._strikes[self._number]
            if strikes is None or strikes:
                self._world(self._copy(self._storage, crash), name, crash, dark, strikes)
            self._number += 1
        self._progress(self.tally)

    def _copy(self, storage: SimulatedStorage, crash: Crash, second: int = 0) -> SimulatedStorage:
        """What the crash leaves: the same for the same world, and the same second effect, of the same seed."""
        return storage.after_crash(crash, random.Random(f"{self._name} {self._number} {second}"))

    def _ways(self, storage: SimulatedStorage) -> Iterator[tuple[Crash, str]]:
        """Where everything is forced, all crashes are the same one."""
        for crash in self._plan.crashes if storage.disk.unforced else self._plan.crashes[:1]:
            for dark in self._plan.dark:
                yield crash, dark

    def _world(
        self, storage: SimulatedStorage, name: str, crash: Crash, dark: str, strikes: range | None = None, *, second: bool = False
    ) -> None:
        """One system goes on after a crash. With ``strikes`` it only recovers, and a second crash strikes meanwhile."""
        active = self._known.status.active if self._known.status else PRIMARY
        side = {_DARK_NONE: (), _DARK_ACTIVE: (f"{active}-site",), _DARK_PASSIVE: (f"{other(active)}-site",)}[dark]
        down = sorted({*side, *self._known.faults})

        def started() -> None:
            storage.listener = None
            if strikes is not None:
                raise _Recovered
            if not second:
                self.recoveries.append(storage.effects)

        def restarted(judge: Judge) -> None:
            with self._lab(storage, resume=True, down=down) as lab:
                judge.goes_on(lab, down, started)

        if strikes is None:
            self._judged(name, crash.value, dark, restarted)
            if not second and len(self.recoveries) == self._number:
                self.recoveries.append(0)  # it broke its word before it was at rest: that is a finding already
            return
        storage.listener = partial(self._strike, storage, strikes, f"{name}, {crash.value}", dark)
        with suppress(_Recovered, Broken, ImplError):
            restarted(Judge(self._known, self._sizes))

    def _strike(self, storage: SimulatedStorage, strikes: range, first: str, dark: str, name: str) -> None:
        if storage.effects not in strikes:
            return
        self.tally.second += 1
        crashes = list(self._plan.crashes if storage.disk.unforced else self._plan.crashes[:1])
        if self._plan.in_turn:
            crashes = [crashes[self.tally.second % len(crashes)]]
        for crash in crashes:
            copy = self._copy(storage, crash, storage.effects)
            self._world(copy, f"{first}; then effect {storage.effects} ({name}) of the restart", crash, dark, second=True)

    def _judged(self, name: str, crash: str, dark: str, story: Callable[[Judge], None]) -> None:
        """Let one world go on, and note what is wrong with it."""
        self.tally.worlds += 1
        try:
            story(Judge(self._known, self._sizes))
        except (Broken, ImplError, AssertionError, LookupError, TypeError, ValueError, RuntimeError, OSError) as error:
            text = str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"
            self._note(name, crash, dark, text)

    def _note(self, name: str, crash: str, dark: str, text: str) -> None:
        self.tally.findings.append(Finding(
            self._history.name, self._step, self._storage.effects, name, crash, dark, text
        ))  # fmt: skip


def _silent(tally: Tally) -> None:
    """Shows nothing."""


def _nothing() -> None:
    """Nothing is left to do."""


def small_images(folder: Path, disks: int, blocks: int) -> list[Path]:
    """Base images of the disks of a machine, made in a folder."""
    paths = [folder / f"base-{number}.img" for number in range(disks)]
    for number, path in enumerate(paths):
        path.write_bytes(b"".join(
            f"base {number} {block} ".encode().ljust(BLOCK, b"=") if block % 3 else bytes(BLOCK) for block in range(blocks)
        ))  # fmt: skip
    return paths


def explore(
    topology: Topology,
    history: History,
    folder: Path,
    seed: int = 0,
    plan: Plan | None = None,
    progress: Callable[[Tally], None] = _silent,
) -> Tally:
    """Crash after each effect of a history on one flow.

    Args:
        topology: the flow.
        folder: where two small base images are made; nothing else is written.
        progress: called after each crash point.
    """
    images, plan = small_images(folder, 2, 8), plan or Plan()
    explorer = Explorer(topology, images, history, seed, plan, progress)
    tally = explorer.run()
    if plan.pairs:
        tally.pairs, strikes = _chosen(explorer.recoveries, plan.pairs, seed)
        pairs = Explorer(topology, images, history, seed, plan, progress, strikes).run()
        tally.second, tally.worlds = pairs.second, tally.worlds + pairs.worlds
        tally.findings += pairs.findings
    return tally


def _chosen(recoveries: Sequence[int], budget: int, seed: int) -> tuple[int, list[range]]:
    """How many pairs there are, and for each world the effects of its restart after which a second crash is tried."""
    total = sum(recoveries)
    step = max(1, -(-total // budget))
    before, chosen, start = 0, [], random.Random(seed).randrange(step)
    for effects in recoveries:
        chosen.append(range(1 + (start - before) % step, effects + 1, step))
        before += effects
    return total, chosen


def explore_failures(
    topology: Topology, history: History, folder: Path, seed: int = 0, every: int = 1, *, read: bool = False
) -> Tally:
    """Let each effect of a history fail in turn (every n-th), or each ``read`` of a file, with a run of its own. The other
    arguments are those of :func:`explore`.
    """
    images, total = small_images(folder, 2, 8), Tally()
    at = 1
    while True:
        explorer = Explorer(topology, images, history, seed, Plan(), _silent)
        going_on = explorer.run_failing(at, read=read)
        total.points += explorer.tally.points
        total.worlds += explorer.tally.worlds
        total.findings += explorer.tally.findings
        if not going_on:
            return total
        at += every
