"""The exhaustive crash test of a replication group: a crash after every durable effect while barriers run (P5).

Two machines write in turn, each write issued when the one before was acknowledged on the other machine. So the writes of
both are one *chain*, and a point that both have in common must hold a beginning of it: whoever holds a write holds all before.
After each effect the world is copied as a crash would leave it, starts again, and is judged on content alone:

=========  ============================================================================================================
P5         every common point holds a beginning of the chain; a later one holds no less
P4         every point of one machine holds a beginning of what that machine wrote; none is gone, and none changes
P17        every acknowledged write is on the disk of its machine
P5, P8     after a new write on each machine there is a new common point, which holds the whole chain, and no alarm
=========  ============================================================================================================
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from siteproof.conformance.drivers.bundled_crashes import Finding, Plan, Tally
from siteproof.conformance.drivers.bundled_judge import Broken, demand
from siteproof.impl.errors import ImplError
from siteproof.impl.group import NO_COMMON_POINT
from siteproof.impl.lab import Lab
from siteproof.impl.loader import Topology
from siteproof.impl.simulated_disk import Crash, SimulatedStorage
from siteproof.impl.values import BLOCK, PRIMARY

__all__ = ["HISTORY", "explore_group"]

HISTORY = "common points of a group"
_GROUP, _MEMBERS = "group", ("a", "b")
_NOWHERE = Path("/nowhere/siteproof")
_BLOCKS = 32
_DARK = {"none": (), "active": ("primary-site",), "passive": ("recovery-site",)}

Points = dict[tuple[str, str], bytes]
"""Content of each point, by machine and id."""


class Chain:
    """The writes of both machines, in the order in which they were issued."""

    def __init__(self) -> None:
        self.issued: list[tuple[str, int]] = []
        self.acked = 0

    def write(self, lab: Lab, machine: str) -> None:
        """The next write: each goes to a block of its own."""
        place = sum(member == machine for member, _ in self.issued)
        self.issued.append((machine, place))
        demand(lab.write(machine, PRIMARY, 0, place, self.content(machine, place)), f"machine {machine} does not run")
        self.acked = len(self.issued)

    @staticmethod
    def content(machine: str, place: int) -> bytes:
        """What is written to a block."""
        return f"{machine} {place} ".encode().ljust(BLOCK, b"#")

    def held(self, images: dict[str, bytes]) -> list[bool]:
        """Of each write to one of these machines, in order, whether its image holds it."""
        return [
            images[machine][place * BLOCK : (place + 1) * BLOCK] == self.content(machine, place)
            for machine, place in self.issued if machine in images
        ]  # fmt: skip


def _image(lab: Lab, machine: str, where: str) -> bytes:
    return lab.read(machine, where, 0, 0, _BLOCKS * BLOCK)


def _points(lab: Lab) -> Points:
    return {(m, p.id): _image(lab, m, p.id) for m in _MEMBERS for p in lab.status(m).points}


def _common(lab: Lab) -> list[dict[str, str]]:
    """The points that both machines have in common, oldest first: machine to id."""
    of: dict[str, dict[str, str]] = {}
    for machine, coordinator in lab.fleet.groups[_GROUP].members.items():
        for point in coordinator.points:
            if point.group:
                of.setdefault(point.group, {})[machine] = point.id
    return [ids for ids in of.values() if len(ids) == len(_MEMBERS)]


def _is_beginning(held: Sequence[bool]) -> bool:
    return all(before >= after for before, after in pairwise(held))


def _judge_points(lab: Lab, chain: Chain, known: Points) -> None:
    points = _points(lab)
    gone = sorted(known.keys() - points.keys())
    demand(not gone, f"points are gone: {gone}")
    for (machine, name), content in points.items():
        demand(known.get((machine, name), content) == content, f"point {name} of {machine} is not what it was")
        demand(_is_beginning(chain.held({machine: content})), f"point {name} of {machine} is no prefix")
    lengths = []
    for ids in _common(lab):
        held = chain.held({machine: points[machine, name] for machine, name in ids.items()})
        demand(_is_beginning(held), f"common point {ids} holds a write without one that it depends on")
        lengths.append(sum(held))
    demand(lengths == sorted(lengths), "a later common point holds less than an earlier one")


class _Explorer:
    """Runs the history and all worlds that begin with a crash in it. ``every``: a second crash strikes after each so manieth
    effect of all restarts, counted until each is at rest; 0: there is none, and they are only counted.
    """

    def __init__(
        self, topology: Topology, images: dict[str, list[Path]], seed: int, plan: Plan, progress: Callable[[Tally], None],
        every: int = 0,
    ) -> None:
        self.tally = Tally()
        self._every = every
        self._topology, self._images, self._seed, self._plan, self._progress = topology, images, seed, plan, progress
        self._storage = SimulatedStorage()
        self._chain = Chain()
        self._known: Points = {}

    def _lab(self, storage: SimulatedStorage, *, resume: bool, down: Sequence[str] = ()) -> Lab:
        return Lab(
            self._topology, self._images, _NOWHERE, self._seed, storage=storage, resume=resume, down=down, reproducible=True,
            groups={_GROUP: _MEMBERS},
        )  # fmt: skip

    def run(self) -> Tally:
        chance, chain = random.Random(self._seed), self._chain
        try:
            with self._lab(self._storage, resume=False) as lab:
                for machine in _MEMBERS:
                    demand(lab.request(machine, "EnableProtection") is None, "protection is refused")
                lab.settle()
                self._observe(lab)
                self._storage.listener = self._effect
                for _ in range(3):
                    chain.write(lab, chance.choice(_MEMBERS))
                    self._known.update(_points(lab))
                    lab.advance(300 - lab.now % 300)  # to where a barrier begins
                    for machine in (*_MEMBERS, *_MEMBERS):
                        for _ in range(chance.randrange(5)):
                            lab.step()
                            self._observe(lab)
                        chain.write(lab, machine)
                    while lab.step():
                        self._observe(lab)
                demand(len(_common(lab)) >= 3, "fewer common points than barriers")
        except (Broken, ImplError) as error:
            self._note("nothing", "there was no crash", "none", str(error))
        self._storage.listener = None
        self.tally.effects = self._storage.effects
        return self.tally

    def _observe(self, lab: Lab) -> None:
        self._known.update(_points(lab))
        _judge_points(lab, self._chain, self._known)

    def _effect(self, name: str) -> None:
        if self._storage.effects % self._plan.every or len(self.tally.findings) >= self._plan.enough:
            return
        crashes = self._plan.crashes if self._storage.disk.unforced else self._plan.crashes[:1]
        ways = [(crash, dark) for crash in crashes for dark in self._plan.dark]
        if self._plan.in_turn:
            ways = [ways[self.tally.points % len(ways)]]
        self.tally.points += 1
        for crash, dark in ways:
            self._world(name, crash, dark)
        self._progress(self.tally)

    def _world(self, name: str, crash: Crash, dark: str) -> None:
        self.tally.worlds += 1
        chance = random.Random(f"{self._seed} {self.tally.worlds}")
        chain = Chain()
        chain.issued, chain.acked = list(self._chain.issued), self._chain.acked
        storage = self._storage.after_crash(crash, chance)

        def again(effect: str) -> None:
            """An effect of the restart, after which a second crash may strike."""
            self.tally.pairs += 1
            if self._every and self.tally.pairs % self._every == 0:
                self.tally.second += 1
                twice = Chain()
                twice.issued, twice.acked = list(chain.issued), chain.acked
                self._judged(f"{name}, then {effect}", storage.after_crash(crash, chance), twice, crash, "none")

        storage.listener = again
        self._judged(name, storage, chain, crash, dark)

    def _judged(self, name: str, storage: SimulatedStorage, chain: Chain, crash: Crash, dark: str) -> None:
        try:
            with self._lab(storage, resume=True, down=_DARK[dark]) as lab:
                self._goes_on(lab, storage, chain, _DARK[dark])
        except (Broken, ImplError, AssertionError, LookupError, TypeError, ValueError, RuntimeError, OSError) as error:
            self._note(name, crash.value, dark, str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}")

    def _goes_on(self, lab: Lab, storage: SimulatedStorage, chain: Chain, down: Sequence[str]) -> None:
        _judge_points(lab, chain, self._known)
        lab.settle()
        for fault in down:
            lab.heal(fault)
        lab.settle()
        storage.listener = None
        _judge_points(lab, chain, self._known)
        live = chain.held({machine: _image(lab, machine, PRIMARY) for machine in _MEMBERS})
        demand(all(live[: chain.acked]), "an acknowledged write is lost")
        del chain.issued[sum(live) :]
        for machine in _MEMBERS:
            if not lab.running(machine, PRIMARY):
                demand(lab.start_machine(machine, PRIMARY), f"machine {machine} cannot be started")
            chain.write(lab, machine)
        lab.settle()
        lab.advance(301)
        lab.settle()
        _judge_points(lab, chain, self._known)
        newest = _common(lab)[-1]
        held = chain.held({machine: _image(lab, machine, name) for machine, name in newest.items()})
        demand(all(held), "after the crash no new common point holds everything")
        for machine in _MEMBERS:
            status = lab.status(machine)
            demand(NO_COMMON_POINT not in status.alerts, f"the alarm of {machine} does not end")
            demand((status.job, status.resync) == (None, "none"), f"machine {machine} is stuck, or calls for a resynchronisation")

    def _note(self, name: str, crash: str, dark: str, text: str) -> None:
        self.tally.findings.append(Finding(HISTORY, len(self._chain.issued), self._storage.effects, name, crash, dark, text))


def _silent(tally: Tally) -> None:
    """Shows nothing."""


def explore_group(
    topology: Topology, folder: Path, seed: int = 0, plan: Plan | None = None, progress: Callable[[Tally], None] = _silent
) -> Tally:
    """Crash after each effect while a group of two machines makes common points, and once more while it recovers: of the pairs,
    as many as ``plan`` says, spread evenly.

    Args:
        topology: a flow that has replication groups.
        folder: where two small base images are made; nothing else is written.
        progress: called after each crash point.
    """
    images = {}
    for machine in _MEMBERS:
        path = folder / f"base-{machine}.img"
        path.write_bytes(b"".join(f"base {n} ".encode().ljust(BLOCK, b"=") for n in range(_BLOCKS)))
        images[machine] = [path]
    wanted = plan or Plan()
    tally = _Explorer(topology, images, seed, wanted, progress).run()
    if wanted.pairs and tally.pairs and not tally.findings:
        every = -(-tally.pairs // wanted.pairs)
        pairs = _Explorer(topology, images, seed, wanted, progress, every).run()
        tally.second, tally.findings = pairs.second, pairs.findings
        tally.worlds += pairs.second
    return tally
