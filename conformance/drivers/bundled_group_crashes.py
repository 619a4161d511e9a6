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

import attrs

from siteproof.conformance.drivers.bundled_crash_walk import BLOCKS, NOWHERE, CrashWalk, images_of_machines, walk_with_pairs
from siteproof.conformance.drivers.bundled_crashes import Plan, Tally
from siteproof.conformance.drivers.bundled_judge import demand
from siteproof.impl.group import NO_COMMON_POINT
from siteproof.impl.lab import Lab
from siteproof.impl.loader import Topology
from siteproof.impl.simulated_disk import SimulatedStorage
from siteproof.impl.values import BLOCK, PRIMARY

__all__ = ["HISTORY", "explore_group"]

HISTORY = "common points of a group"
_GROUP, _MEMBERS = "group", ("a", "b")

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


@attrs.define
class _Known:
    """What somebody outside knows: the chain of writes, every point that was advertised, and which were common."""

    chain: Chain = attrs.Factory(Chain)
    points: Points = attrs.Factory(dict)
    common: list[dict[str, str]] = attrs.Factory(list)


def _image(lab: Lab, machine: str, where: str) -> bytes:
    return lab.read(machine, where, 0, 0, BLOCKS * BLOCK)


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


def _judge_points(lab: Lab, chain: Chain, known: Points, common: Sequence[dict[str, str]]) -> None:
    points, there = _points(lab), _common(lab)
    missing = [ids for ids in common if ids not in there]
    demand(not missing, f"points that were common are not told to be any more: {missing}")
    gone = sorted(known.keys() - points.keys())
    demand(not gone, f"points are gone: {gone}")
    for (machine, name), content in points.items():
        demand(known.get((machine, name), content) == content, f"point {name} of {machine} is not what it was")
        demand(_is_beginning(chain.held({machine: content})), f"point {name} of {machine} is no prefix")
    lengths = []
    for ids in there:
        held = chain.held({machine: points[machine, name] for machine, name in ids.items()})
        demand(_is_beginning(held), f"common point {ids} holds a write without one that it depends on")
        lengths.append(sum(held))
    demand(lengths == sorted(lengths), "a later common point holds less than an earlier one")


class _GroupWalk(CrashWalk[_Known]):
    """Barriers run while both machines write; see the module."""

    name = HISTORY

    def lab(self, storage: SimulatedStorage, known: _Known, *, resume: bool, down: Sequence[str] = ()) -> Lab:  # noqa: ARG002
        return Lab(
            self.topology, self.images, NOWHERE, self.seed, storage=storage, resume=resume, down=down, reproducible=True,
            groups={_GROUP: _MEMBERS},
        )  # fmt: skip

    def copied(self, known: _Known) -> _Known:
        copy = _Known(points=dict(known.points), common=list(known.common))
        copy.chain.issued, copy.chain.acked = list(known.chain.issued), known.chain.acked
        return copy

    def step(self) -> int:
        return len(self.known.chain.issued)

    def history(self, lab: Lab) -> None:
        chance, chain = random.Random(self.seed), self.known.chain
        for machine in _MEMBERS:
            demand(lab.request(machine, "EnableProtection") is None, "protection is refused")
        lab.settle()
        self._observe(lab)
        self.storage.listener = self.effect
        for _ in range(3):
            chain.write(lab, chance.choice(_MEMBERS))
            self.known.points.update(_points(lab))
            lab.advance(300 - lab.now % 300)  # to where a barrier begins
            for machine in (*_MEMBERS, *_MEMBERS):
                for _ in range(chance.randrange(5)):
                    lab.step()
                    self._observe(lab)
                chain.write(lab, machine)
            while lab.step():
                self._observe(lab)
        demand(len(_common(lab)) >= 3, "fewer common points than barriers")

    def _observe(self, lab: Lab) -> None:
        self.known.points.update(_points(lab))
        self.known.common = _common(lab)
        _judge_points(lab, self.known.chain, self.known.points, self.known.common)

    def goes_on(self, lab: Lab, known: _Known, down: Sequence[str], at_rest: Callable[[], None]) -> None:
        chain = known.chain
        _judge_points(lab, chain, known.points, known.common)
        lab.settle()
        for fault in down:
            lab.heal(fault)
        lab.settle()
        at_rest()
        _judge_points(lab, chain, known.points, known.common)
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
        _judge_points(lab, chain, known.points, known.common)
        newest = _common(lab)[-1]
        held = chain.held({machine: _image(lab, machine, name) for machine, name in newest.items()})
        demand(all(held), "after the crash no new common point holds everything")
        for machine in _MEMBERS:
            status = lab.status(machine)
            demand(NO_COMMON_POINT not in status.alerts, f"the alarm of {machine} does not end")
            demand((status.job, status.resync) == (None, "none"), f"machine {machine} is stuck, or calls for a resynchronisation")


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
    images, wanted = images_of_machines(folder, _MEMBERS), plan or Plan()
    return walk_with_pairs(
        lambda every: _GroupWalk(topology, images, seed, wanted, progress, _Known(), every), wanted.pairs
    )
