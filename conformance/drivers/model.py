"""A conforming system made of the promise level itself: the tester's own test device.

The compiled model takes the steps; a journal of plain bytes, kept here and independent of the oracle's, holds what every place
contains. A seed decides which internal steps happen between requests, and a `Style` how: in large batches or one by one, with
frequent or rare points, pruning or keeping them. Whatever the style and the seed, it conforms, so the oracle must accept every
run of it. With altered facts (`planned.drains = false`) it is a system with a known bug.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import attrs

from siteproof.conformance.case import Scenario
from siteproof.conformance.content import BLOCK, Base
from siteproof.conformance.driver import Accepted, Answer, Capabilities, Observation, Rejected
from siteproof.model.promise import promise_model
from siteproof.model.promise.vocabulary import Job, Point
from siteproof.model.readings.python import CompiledAction, CompiledModel, State, compile_model
from siteproof.model.system import Kind
from siteproof.model.topology import load_topology

__all__ = ["ModelDriver", "Style", "compiled_for"]

Row = tuple[int, int, bytes]

_COMPILED: dict[tuple[str, tuple[tuple[str, bool], ...]], CompiledModel] = {}


def compiled_for(topology: str, facts: Mapping[str, bool]) -> CompiledModel:
    """The promise level over `facts`; compiled once per process."""
    key = (topology, tuple(sorted(facts.items())))
    if key not in _COMPILED:
        _COMPILED[key] = compile_model(promise_model(topology, facts).without_marks())
    return _COMPILED[key]


@attrs.frozen
class Style:
    """How a conforming system may differ: how many steps pass in a call, how eager it is to cut points although nothing is new,
    how soon it prunes (`keep_points` is the number that it keeps), how often a planned failover that was disturbed gives up,
    how often an unplanned one stops the source, how often it calls for a resynchronisation that only caution demands, or gives up
    a comparison that is in doubt, how often a point that it cuts is app-consistent."""

    eagerness: int = 6
    extra_points: float = 0.05
    keep_points: int = 8
    gives_up: float = 0.3
    stops_source: float = 0.3
    flushes: float = 0.2
    cautious: float = 0.3
    app_points: float = 0.05


@attrs.define
class _Point:
    id: str
    kind: str
    content: tuple[Row, ...]


class _Machine:
    """One machine: a model state, and what its disks, its replica and its points contain."""

    def __init__(self, compiled: CompiledModel, style: Style, chance: random.Random) -> None:
        self.compiled, self.style, self.chance = compiled, style, chance
        self.state: State = compiled.initial
        self.log: tuple[Row, ...] = ()
        self.former: tuple[Row, ...] | None = None
        self.copy: tuple[Row, ...] = ()
        self.points: list[_Point] = []
        self.serial = 0
        self.used: str | None = None
        self.asked: str | None = None
        self.internal = compiled.of_kind(Kind.INTERNAL)

    def get(self, name: str) -> Any:
        return self.compiled.get(self.state, name)

    def take(self, action: CompiledAction, *arguments: int | bool) -> bool:
        """Take an action, if it is possible; content follows positions."""
        before, after = self.state, action.step(self.state, *arguments)
        if after is None:
            return False
        where = self.compiled.position
        if action.action.cuts_point:
            held = self.log[: before[where["passive"]]]
            self.serial += 1
            kind = "app-consistent" if action.name == "cut_app_point" else "crash-consistent"
            point = _Point(f"rp-{self.serial}", kind, held)
            self.points = [point] if "job" in action.action.changes else [*self.points, point]
        if before[where["points"]] and not after[where["points"]]:
            self.points = []
        if action.name == "copy_base":
            self.former = None
        if action.name in ("make_test_copy", "set_to_point") or after[where["active"]] != before[where["active"]]:
            self._use_point(action.name, before)
        if action.name in ("remove_test_copy", "end_replication", "commit_second_half"):
            self.used, self.copy = None, ()
        self.log = self.log[: after[where["head"]] + after[where["cached"]]]
        if self.former is not None:
            self.former = self.former[: after[where["passive"]] + after[where["passive_cached"]]]
        self.state = after
        return True

    def _use_point(self, name: str, before: State) -> None:
        """The content of the chosen point becomes the test copy's, or the active side's after a failover or another choice."""
        named = self.asked if self.compiled.get(before, "chosen") in (Point.CUSTOM, Point.APP) else None
        point = next((p for p in self.points if p.id == named), self.points[-1] if self.points else None)
        if name in ("make_test_copy", "set_to_point"):
            assert point is not None
            self.used = point.id
            if name == "make_test_copy":
                self.copy = point.content
            else:
                self.log = point.content
            return
        self.former, self.used = self.log, None
        if name == "switch_unplanned" and point is not None:
            self.log, self.used = point.content, point.id

    def possible(self, *, fair: bool, by_style: bool = True) -> list[CompiledAction]:
        """Internal actions that are possible now; with `by_style` only those that the style takes."""
        found = []
        for action in self.internal:
            if action.name in ("prune_point", "prune_app_point", "accept_former_source") or (fair and not action.action.fair):
                continue
            arguments = (False,) * len(action.action.parameters)
            if action.step(self.state, *arguments) is None:
                continue
            odds = {
                "cut_equal_point": self.style.extra_points,
                "cut_app_point": self.style.app_points,
                "fail_planned": self.style.gives_up,
                "stop_if_reachable": self.style.stops_source,
                "flush": self.style.flushes,
                "flush_former_source": self.style.flushes,
                "call_out_of_caution": self.style.cautious,
                "stop_comparing": self.style.cautious,
            }.get(action.name, 1.0)
            if not by_style or self.chance.random() < odds:
                found.append(action)
        return found

    def move(self, *, fair: bool = False) -> bool:
        """Take one internal step; False when there is none. What is fair is not put off for ever, whatever the style."""
        actions = self.possible(fair=fair) or (self.possible(fair=True, by_style=False) if fair else [])
        if not actions:
            return False
        action = self.chance.choice(actions)
        self.take(action, *(False,) * len(action.action.parameters))
        self.prune()
        return True

    def prune(self) -> None:
        """Retention, as the model has it: what it may remove is asked of the model, point by point."""
        in_use = {self.used, self.asked if self.get("job") is not Job.NONE else None}
        while len(self.points) > self.style.keep_points:
            spare = [p for p in self.points[:-1] if p.id not in in_use]
            free = self.compiled.put(self.state, point=True, point_at=0, latest=1, pinned=False, chosen=Point.LATEST)
            if not spare or self.compiled.actions["prune_point"].step(free) is None:
                return
            self.points.remove(spare[0] if self.chance.random() < 0.7 else self.chance.choice(spare))


class ModelDriver:
    """The model as a system under test."""

    name = "model"

    def __init__(self, style: Style | None = None, facts: Mapping[str, bool] | None = None) -> None:
        self.style, self.altered = style or Style(), dict(facts or {})
        self.machines: dict[str, _Machine] = {}
        self.base: Base = Base(1)

    def handshake(self) -> Capabilities:
        return Capabilities(self.name, stepping=True, own_topologies=True, strict_order=True)

    def start(self, scenario: Scenario, seed: int, base: Base) -> None:
        facts = {**load_topology(scenario.topology).facts, **self.altered}
        compiled = compiled_for(scenario.topology, facts)
        self.chance, self.base = random.Random(seed), base
        self.machines = {name: _Machine(compiled, self.style, self.chance) for name in scenario.machines}

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        one = self.machines[machine]
        action = next(a for a in one.compiled.of_kind(Kind.COMMAND) if a.action.operation == operation)
        arguments: tuple[int, ...] = ()
        asked = one.state
        if action.action.parameters:
            kinds = [p.value for p in Point]
            arguments = (kinds.index(point) if point in kinds else kinds.index("custom"),)
            if point == Point.APP.value:
                newest = next((p for p in reversed(one.points) if p.kind == "app-consistent"), None)
                asked = one.compiled.put(
                    one.state, app=newest is not None, app_at=len(newest.content) if newest is not None else 0
                )
                point = newest.id if newest is not None else point
            elif point not in kinds:
                target = next((p for p in one.points if p.id == point), None)
                asked = one.compiled.put(
                    one.state, point=target is not None, point_at=len(target.content) if target is not None else 0
                )
        failing = action.failing(asked, *arguments)
        if failing:
            return Rejected(action.action.guards[failing[0]].code)
        if action.action.parameters:
            one.asked = point if point not in kinds else None
        one.state = asked
        one.take(action, *arguments)
        return Accepted()

    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool:
        one = self.machines[machine]
        if side == "test":
            taken = one.take(one.compiled.actions["write_test_copy"])
            one.copy = (*one.copy, (disk, block, data)) if taken else one.copy
            return taken
        active = one.get("active").value == side
        end = "" if active else "_former_source"
        if not cached:
            while one.take(one.compiled.actions["flush" + end]):
                pass
        name = ("write_cached" if cached else "write") + end
        after = one.compiled.actions[name].step(one.state)
        if after is None:
            return False
        if active:
            one.log = (*one.log, (disk, block, data))
        elif one.former is not None:
            one.former = (*one.former, (disk, block, data))
        one.state = after
        return True

    def fault(self, kind: str) -> None:
        name = "damage_change_log" if kind == "change-log" else "fail_" + kind.replace("-", "_")
        for one in self.machines.values():
            one.take(one.compiled.actions[name])

    def heal(self, kind: str) -> None:
        for one in self.machines.values():
            one.take(one.compiled.actions["heal_" + kind.replace("-", "_")])

    def start_machine(self, machine: str, side: str) -> bool:
        one = self.machines[machine]
        name = "start_machine" if one.get("active").value == side else "start_former_source"
        return one.take(one.compiled.actions[name])

    def advance(self, seconds: int) -> None:
        for one in self.machines.values():
            for _ in range(min(40, 1 + self.chance.randrange(1 + seconds * self.style.eagerness // 60))):
                one.move()

    def step(self) -> bool:
        moved = [one.move() for one in self.machines.values()]
        return any(moved)

    def settle(self) -> bool:
        for one in self.machines.values():
            while one.move(fair=True):
                pass
        return True

    def observe(self, machine: str) -> Observation:
        one = self.machines[machine]
        failover, job = one.get("failover").value, one.get("job")
        running = one.get("running"), one.get("passive_running")
        return Observation(
            one.get("protection").value,
            one.get("active").value,
            one.get("direction").value,
            failover,
            None if job is Job.NONE else job.value,
            one.compiled.allowed_operations(one.state),
            tuple((p.id, p.kind) for p in one.points),
            one.used if failover in ("planned", "unplanned") else None,
            one.get("received") if one.get("received_known") else None,
            one.get("loss") if one.get("loss_known") else None,
            ("StaleSideFenced",) if one.get("alerted") else (),
            running if one.get("active").value == "primary" else running[::-1],
            one.get("test").value,
            one.get("resync").value,
        )

    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:
        one = self.machines[machine]
        point = next((p for p in one.points if p.id == where), None)
        if point is not None:
            rows = point.content
        elif where == "test":
            rows = one.copy
        elif where == one.get("active").value:
            rows = one.log[: one.get("head")]
        else:
            rows = (one.log if one.former is None else one.former)[: one.get("passive")]
        data = bytearray(self.base.data(offset // BLOCK, length // BLOCK))
        for at, block, payload in rows:
            if at == disk and offset <= block * BLOCK < offset + length:
                data[block * BLOCK - offset : (block + 1) * BLOCK - offset] = payload
        return bytes(data)

    def stop(self) -> None:
        self.machines = {}
