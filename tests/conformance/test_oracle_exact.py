"""The oracle against a reference that is plain to read: every run of the model itself, enumerated on small scopes.

The reference keeps machines of the model driver (state, histories, points, all explicit) and, after each command, takes every
internal step in every order, removing any point that retention may remove. What any of them shows must be accepted by the oracle,
and what none of them shows must be rejected. Each time the search, and what is remembered of earlier ones, must agree.
"""

import copy
import random
from collections.abc import Iterator
from typing import Any, ClassVar

import attrs
import pytest

from siteproof.conformance import session as sessions
from siteproof.conformance.case import Scenario
from siteproof.conformance.content import BLOCK
from siteproof.conformance.driver import Answer, Observation
from siteproof.conformance.drivers.model import ModelDriver, Style, _Machine
from siteproof.conformance.engines.choice import Mood, choices
from siteproof.conformance.oracle import Event, Factor
from siteproof.conformance.session import Session
from siteproof.conformance.sight import Sight
from siteproof.model.promise.vocabulary import Job, Point
from tests.seeds import seed_for

from .driving import FLOWS, promised

MOST, MORE_POINTS, COMMANDS, CASES = 1200, 2, 10, 30


class TooMany(Exception):
    """The scope is not small any more: nothing is compared from here on."""


def clone(one: _Machine) -> _Machine:
    other = copy.copy(one)
    other.points = list(one.points)
    return other


def key(one: _Machine) -> tuple[Any, ...]:
    points = tuple((p.id, p.kind, p.content) for p in one.points)
    return one.state, one.log, one.former, one.copy, points, one.used, one.asked


def after_one_step(one: _Machine, seen: int) -> Iterator[_Machine]:
    """Every internal step of the model, and every removal of a point by retention."""
    for action in one.internal:
        if action.name in ("prune_point", "prune_app_point", "accept_former_source"):
            continue
        other = clone(one)
        if other.take(action, *(False,) * len(action.action.parameters)) and other.serial - seen <= MORE_POINTS:
            yield other
    in_use = {one.used, one.asked if one.get("job") is not Job.NONE else None}
    free = one.compiled.put(one.state, point=True, point_at=0, latest=1, pinned=False, chosen=Point.LATEST)
    if one.compiled.actions["prune_point"].step(free) is not None:
        for point in one.points[:-1]:
            if point.id not in in_use:
                other = clone(one)
                other.points.remove(point)
                yield other


class Reference(ModelDriver):
    """The system under test, and beside it all machines that it could be."""

    def __init__(self) -> None:
        super().__init__(Style(eagerness=2, keep_points=2, extra_points=0.2, app_points=0.2))
        self.could: list[_Machine] = []
        self.serial = 0

    def start(self, scenario: Scenario, seed: int, base: Any) -> None:
        super().start(scenario, seed, base)
        self.could = [clone(self.machines["m0"])]

    def beside(self, one: _Machine) -> ModelDriver:
        driver = ModelDriver(self.style)
        driver.machines, driver.base = {"m0": one}, self.base
        return driver

    def content(self, one: _Machine, where: str) -> bytes:
        """What a side, or the test copy, holds."""
        return self.beside(one).read("m0", where, 0, 0, self.base.blocks * BLOCK)

    def each(self, method: str, answer: object, *arguments: Any) -> None:
        self.could = [one for one in self.could if getattr(self.beside(one), method)(*arguments) == answer]

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        answer = super().execute(machine, operation, point)
        self.each("execute", answer, machine, operation, point)
        return answer

    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool:
        answer = super().write(machine, side, disk, block, data, cached)
        self.each("write", answer, machine, side, disk, block, data, cached)
        return answer

    def start_machine(self, machine: str, side: str) -> bool:
        answer = super().start_machine(machine, side)
        self.each("start_machine", answer, machine, side)
        return answer

    def fault(self, kind: str) -> None:
        super().fault(kind)
        self.each("fault", None, kind)

    def heal(self, kind: str) -> None:
        super().heal(kind)
        self.each("heal", None, kind)

    def close(self) -> None:
        """Take every internal step in every order."""
        known = {key(one): one for one in self.could}
        todo = list(known.values())
        for one in todo:
            for other in after_one_step(one, self.serial):
                if known.setdefault(key(other), other) is other:
                    todo.append(other)
            if len(todo) > MOST:
                raise TooMany
        self.could = todo


def shown(seen: Observation, one: _Machine, old: set[str]) -> tuple[Any, ...]:
    """An observation with the content of all points; names of new points do not matter."""
    new = [p.id for p in one.points if p.id not in old]
    names = {i: f"new {n}" for n, i in enumerate(new)}
    points = tuple((names.get(p.id, p.id), p.kind, p.content) for p in one.points)
    used = names.get(str(seen.failover_point), seen.failover_point)
    return attrs.astuple(attrs.evolve(seen, points=(), failover_point=used)), points


LIES: dict[str, tuple[object, ...]] = {
    "protection": ("none", "initial", "protected"),
    "active": ("primary", "recovery"),
    "direction": ("forward", "reverse"),
    "failover": ("none", "planned", "unplanned", "committed", "completed"),
    "test": ("none", "running"),
    "resync": ("none", "required", "comparing", "merging"),
    "job": (None, "EnableProtection", "UnplannedFailover", "RepairReplication", "TestFailover"),
    "received": (None, 0, 1, 2),
    "loss": (None, 0, 1, 2),
    "alerts": ((), ("StaleSideFenced",)),
    "running": ((True, True), (True, False), (False, True), (False, False)),
    "allowed_operations": ((), ("UnplannedFailover",)),
}


class Checked(Factor):
    """A factor that is compared with the reference at every look."""

    driver: Reference
    chance: random.Random
    compared: ClassVar[list[int]] = [0, 0]

    def accepts(self, event: Event | None, sight: Sight) -> bool:
        found, again = self.searched(event, sight), self.recalled(event, sight)
        assert (None if found is None else set(found[0])) == (None if again is None else set(again[0]))
        return self.orderly(sight) and found is not None

    def follow(self, event: Event | None, sight: Sight) -> bool:
        driver, old = self.driver, {p.id for p in self.points}
        if driver.machines["m0"].serial - driver.serial > MORE_POINTS:
            raise TooMany
        driver.close()
        alive = [one for one in driver.could if not (sight.still and one.possible(fair=True, by_style=False))]
        views = {}
        for one in alive:
            views.setdefault(shown(driver.beside(one).observe("m0"), one, old), one)
        for one in self.chance.sample(list(views.values()), min(6, len(views))):
            self._compare(event, one, sight.still, views, old)
        truly = driver.machines["m0"]
        actual = shown(sight.seen, truly, old)
        assert actual in views, "the reference lacks what the model driver did"
        names = [p.id for p in truly.points]
        sides = [w for w, view in ((str(sight.seen.active), sight.disk), ("test", sight.copy)) if view is not None]
        if sight.former is not None:
            sides.append({"primary": "recovery", "recovery": "primary"}[str(sight.seen.active)])
        alive = [one for one in alive if all(driver.content(one, w) == driver.content(truly, w) for w in sides)]
        driver.could, driver.serial = [], truly.serial
        for one in alive:
            if shown(driver.beside(one).observe("m0"), one, old) == actual:
                renamed = dict(zip([p.id for p in one.points], names, strict=True))
                one.points = [attrs.evolve(p, id=renamed[p.id]) for p in one.points]
                one.used, one.asked = renamed.get(str(one.used), one.used), renamed.get(str(one.asked), one.asked)
                one.serial = truly.serial
                driver.could.append(one)
        return super().follow(event, sight)

    def _compare(self, event: Event | None, one: _Machine, still: bool, views: Any, old: set[str]) -> None:
        beside = self.driver.beside(one)

        def read(where: str) -> Any:
            return self.journal.read(lambda disk, offset, length: beside.read("m0", where, disk, offset, length))

        seen = beside.observe("m0")
        assert self.accepts(event, self.look(seen, read, disk=True, former=True, copy=True, still=still)), (seen, event)
        self.compared[0] += 1
        field = self.chance.choice(sorted(LIES))
        lie = attrs.evolve(seen, **{field: self.chance.choice(LIES[field])})  # type: ignore[arg-type]
        if shown(lie, one, old) not in views:
            assert not self.accepts(event, self.look(lie, read, still=still)), (field, lie, event)
            self.compared[1] += 1


@pytest.mark.parametrize("flow", FLOWS)
def test_the_oracle_accepts_what_the_model_can_show_and_nothing_else(flow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = seed_for(f"exact {flow}")
    print(f"seed {seed}")
    chance, driver = random.Random(seed), Reference()
    monkeypatch.setattr(sessions, "Factor", Checked)
    Checked.compared, Checked.chance = [0, 0], chance
    whole = 0
    for case in range(CASES):
        driver = Reference()
        Checked.driver = driver
        try:
            session = Session(Scenario(flow, blocks=4), case, lambda made=driver: made, promised(flow))
            mood = Mood.drawn(chance, 4)
            for _ in range(COMMANDS):
                options = choices(session, mood, chance)
                assert session.step(chance.choices([c for _, c in options], [w for w, _ in options])[0]), session.divergence
            whole += 1
        except TooMany:
            continue
    print(Checked.compared, whole)
    assert whole >= CASES // 2
    assert min(Checked.compared) > 100
