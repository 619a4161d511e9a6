"""Test failover, change of point, the end of replication and resynchronisation, as the oracle judges them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest

from siteproof.conformance.case import Advance, Case, Command, Fault, Heal, Operate, Scenario, Settle, Write
from siteproof.conformance.driver import UNKNOWN, Answer, Capabilities, Observation, Rejected
from siteproof.conformance.drivers.model import ModelDriver, Style
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.results import Divergence, Outcome
from siteproof.conformance.runner import run_case

from .driving import FLOWS, promised, run

V2A, H2S = FLOWS
QUIET = Style(extra_points=0.0, app_points=0.0, cautious=0.0, stops_source=0.0, flushes=0.0)
WRITE = Write("m0", "primary", 0)
OPENING: tuple[Command, ...] = (Operate("m0", "EnableProtection"), Settle(), WRITE, Settle(), Write("m0", "primary", 1), Settle())
"""Afterwards there are three points: of no write, of one and of two."""
TEST: tuple[Command, ...] = (Operate("m0", "TestFailover", "latest"), Settle())
FAILOVER: tuple[Command, ...] = (Operate("m0", "UnplannedFailover", "point:1"), Settle())


def do(*commands: Command) -> tuple[Command, ...]:
    """The commands, operations followed by rest."""
    return tuple(one for c in commands for one in ((c, Settle()) if isinstance(c, Operate) else (c,)))


def played(driver: Callable[[], ModelDriver], *commands: Command, flow: str = H2S) -> Any:
    return run_case(Case(Scenario(flow), (*OPENING, *commands)), driver, promised(flow))


def found(driver: Callable[[], ModelDriver], *commands: Command, flow: str = H2S) -> Divergence:
    divergence = played(driver, *commands, flow=flow).divergence
    assert isinstance(divergence, Divergence)
    return divergence


def last(run_: Any) -> dict[str, Any]:
    assert run_.divergence is None, run_.divergence
    seen = run_.records[-1].observation["m0"]
    assert isinstance(seen, dict)
    return seen


CONFORMING = partial(ModelDriver, QUIET)


def test_a_test_copy_holds_its_point_and_its_own_writes_and_goes() -> None:
    wrote = played(CONFORMING, *TEST, Write("m0", "test", 5), WRITE, Settle())
    assert last(wrote)["test"] == "running"
    assert wrote.records[-3].answer == {"answer": "done"}
    gone = played(CONFORMING, *TEST, Write("m0", "test", 5), Fault("primary-site"), *do(Operate("m0", "TestFailoverCleanup")))
    assert last(gone)["test"] == "none"


def test_a_test_copy_stops_and_starts_with_its_site() -> None:
    dark = played(CONFORMING, *TEST, Fault("recovery-site"), Write("m0", "test", 5), Heal("recovery-site"), Settle(),
                  Write("m0", "test", 5))  # fmt: skip
    assert last(dark)["test"] == "running"
    assert [r.answer["answer"] for r in dark.records if r.command["kind"] == "write"][-2:] == ["refused", "done"]


def test_another_point_takes_the_place_of_the_first() -> None:
    changed = played(CONFORMING, *FAILOVER, Write("m0", "recovery", 7), *do(Operate("m0", "ChangePit", "point:0")))
    seen = last(changed)
    assert (seen["failover_point"], seen["loss"], len(seen["points"])) == ("rp-1", 2, 3)


def test_disabling_and_migration_end_what_they_should() -> None:
    assert last(played(CONFORMING, *do(Operate("m0", "DisableProtection"))))["protection"] == "none"
    away = last(played(CONFORMING, *FAILOVER, *do(Operate("m0", "DisableProtection"))))
    assert (away["failover"], away["points"]) == ("completed", [])
    migrated = played(CONFORMING, *FAILOVER, *do(Operate("m0", "CompleteMigration"), Operate("m0", "Commit")), flow=V2A)
    assert last(migrated)["failover"] == "completed"
    assert migrated.records[-2].answer == {"answer": "rejected", "code": "ReplicationEnded"}


def test_a_damaged_log_calls_and_a_repair_ends_the_call() -> None:
    damaged = played(CONFORMING, Fault("change-log"), Settle(), WRITE, Settle())
    assert last(damaged)["resync"] == "required"
    repaired = last(played(CONFORMING, Fault("change-log"), Settle(), WRITE, *do(Operate("m0", "RepairReplication"))))
    assert (repaired["resync"], len(repaired["points"])) == ("none", 1)


class Lying(ModelDriver):
    """A conforming system whose observations are falsified once `when` holds."""

    def __init__(self, when: Callable[[Observation], bool], **lies: object) -> None:
        super().__init__(QUIET)
        self.when, self.lies = when, lies

    def observe(self, machine: str) -> Observation:
        seen = super().observe(machine)
        return attrs.evolve(seen, **self.lies) if self.when(seen) else seen  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("commands", "when", "lies", "field", "promise"),
    [
        ((), lambda o: bool(o.points), {"test": "running"}, "test", "P6"),
        (TEST, lambda o: o.test == "running", {"test": "none"}, "test", "P6"),
        ((), lambda o: bool(o.points), {"resync": "required"}, "resync", "P8"),
        (
            (Fault("change-log"), Settle()),
            lambda o: o.resync == "required",
            {"resync": "none", "allowed_operations": UNKNOWN},
            "resync",
            "P9",
        ),
        (FAILOVER, lambda o: o.failover == "unplanned", {"failover": "completed"}, "failover", "P7"),
        (
            (*FAILOVER, *do(Operate("m0", "ChangePit", "point:0"))),
            lambda o: o.failover_point == "rp-1",
            {"failover_point": "rp-2"},
            "failover_point",
            "P2",
        ),
        (
            (*FAILOVER, *do(Operate("m0", "ChangePit", "point:0"))),
            lambda o: o.failover_point == "rp-1",
            {"loss": 1},
            "loss",
            "P2",
        ),
    ],
)
def test_a_false_field_is_named(
    commands: tuple[Command, ...], when: Callable[[Observation], bool], lies: dict[str, object], field: str, promise: str
) -> None:
    divergence = found(partial(Lying, when, **lies), *commands)
    assert (divergence.field, divergence.promise) == (field, promise)


class Leaky(ModelDriver):
    """What the test copy writes lands in the replica as well, and so in the next points."""

    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool:
        taken = super().write(machine, side, disk, block, data, cached)
        one = self.machines[machine]
        if taken and side == "test":
            for point in one.points[self.kept :]:
                point.content = (*point.content, (disk, block, data))
        return taken

    kept = 0


class LeakyAhead(Leaky):
    """What the test copy writes lands in later points only."""

    kept = 99

    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:
        data = super().read(machine, where, disk, offset, length)
        one = self.machines[machine]
        if where == "rp-4" and one.copy and offset <= one.copy[-1][1] * 4096 < offset + length:
            at = one.copy[-1][1] * 4096 - offset
            data = data[:at] + one.copy[-1][2] + data[at + 4096 :]
        return data


@pytest.mark.parametrize("driver", [Leaky, LeakyAhead])
def test_a_copys_writes_in_a_point_are_a_leak(driver: type[Leaky]) -> None:
    divergence = found(partial(driver, QUIET), *TEST, Write("m0", "test", 5), WRITE, Settle())
    assert divergence.promise == "P6"
    assert divergence.field.startswith("content of point")
    assert "not isolated" in divergence.sentence


class Forgetful(ModelDriver):
    """The test copy starts from nothing instead of its point."""

    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:
        return self.base.data(offset // 4096, length // 4096) if where == "test" else super().read(
            machine, where, disk, offset, length)  # fmt: skip


def test_a_copy_that_is_not_its_point_is_named() -> None:
    divergence = found(partial(Forgetful, QUIET), *TEST)
    assert (divergence.field, divergence.promise) == ("content of the test copy", "P6")


class Prunes(ModelDriver):
    """Retention removes the oldest point whatever it is used for, a look after the time when it must not any more."""

    def __init__(self, when: Callable[[Observation], bool]) -> None:
        super().__init__(QUIET)
        self.when, self.looks = when, 0

    def observe(self, machine: str) -> Observation:
        seen = super().observe(machine)
        points = seen.points
        assert points is not UNKNOWN
        self.looks += self.when(seen)
        return attrs.evolve(seen, points=points[1:]) if self.looks > 1 else seen


@pytest.mark.parametrize(
    ("commands", "when", "promise", "conjunct"),
    [
        (do(Operate("m0", "TestFailover", "point:0")), lambda o: o.test == "running", "P4", "a point in use is pinned"),
        (FAILOVER, lambda o: o.failover == "unplanned", "P7", "retention waits"),
        ((Fault("change-log"), Settle(), WRITE), lambda o: o.resync == "required", "P10", "retention waits"),
    ],
)
def test_retention_leaves_what_may_be_needed(
    commands: tuple[Command, ...], when: Callable[[Observation], bool], promise: str, conjunct: str
) -> None:
    divergence = found(partial(Prunes, when), *commands, Settle(), Settle())
    assert (divergence.field, divergence.promise, divergence.conjunct) == ("points", promise, conjunct)


class NeedsPrimary(ModelDriver):
    """A cleanup that wants both sites."""

    def handshake(self) -> Capabilities:
        return attrs.evolve(super().handshake(), strict_order=False)

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        if operation == "TestFailoverCleanup" and not self.machines[machine].get("primary_up"):
            return Rejected("SitesNotConnected")
        return super().execute(machine, operation, point)


def test_a_cleanup_that_needs_the_primary_is_told() -> None:
    divergence = found(partial(NeedsPrimary, QUIET), *TEST, Fault("primary-site"), Operate("m0", "TestFailoverCleanup"))
    assert (divergence.field, divergence.promise) == ("answer", "P6")


@pytest.mark.parametrize(
    ("fact", "value", "promises"),
    [
        ("resync.keeps_points", False, {"P10"}),
        ("resync.doubt_calls", False, {"P4", "P9", "P19"}),
        ("forward.test_failover", False, {"P13", "P18"}),
        ("forward.change_point", False, {"P13", "P18"}),
    ],
)
def test_a_system_with_another_fact_is_told_apart(fact: str, value: bool, promises: set[str]) -> None:
    result = run(H2S, partial(ModelDriver, Style(extra_points=0.0), {fact: value}), cases=600, shrink=False)
    assert result.outcome is Outcome.VIOLATION
    assert result.counterexample is not None
    assert result.counterexample.divergence.promise in promises, result.counterexample.divergence


class Older(ModelDriver):
    """A driver from before these operations: it cannot be asked for them, and tells nothing of them."""

    def handshake(self) -> Capabilities:
        five = frozenset({"EnableProtection", "PlannedFailover", "UnplannedFailover", "Commit", "ReverseReplicate"})
        return attrs.evolve(super().handshake(), operations=five, faults=frozenset({"primary-site", "recovery-site", "link"}))

    def observe(self, machine: str) -> Observation:
        return attrs.evolve(super().observe(machine), test=UNKNOWN, resync=UNKNOWN, allowed_operations=UNKNOWN)


def test_what_an_older_driver_lacks_is_counted_and_is_no_verdict() -> None:
    result = run(H2S, partial(Older, QUIET), cases=60)
    assert result.counterexample is None
    assert "operation TestFailover" in result.skipped
    assert any(w.startswith("test was never told") for w in result.warnings)
    assert all("TestFailover" in c.how for c in result.coverage[:2])


BUNDLED = driver_factory("bundled")


def bundled(*commands: Command) -> dict[str, Any]:
    return last(run_case(Case(Scenario(H2S), (*OPENING, *commands)), BUNDLED, promised(H2S)))


def test_nobody_looks_at_a_log_without_power() -> None:
    dark = (Fault("primary-site"), Fault("change-log"), Settle())
    assert bundled(*dark)["resync"] == "none"
    assert bundled(*dark, Heal("primary-site"), Settle())["resync"] == "required"


def test_a_call_stays_until_the_failover_has_switched() -> None:
    called = (Fault("change-log"), Settle(), Operate("m0", "RepairReplication"), Operate("m0", "UnplannedFailover", "latest"))
    under_way = bundled(*called)
    assert (under_way["job"], under_way["resync"]) == ("UnplannedFailover", "required")
    assert bundled(*called, Settle())["resync"] == "none"
    divergence = found(partial(Lying, lambda o: o.job == "UnplannedFailover", resync="none"), *called)
    assert (divergence.field, divergence.promise) == ("resync", "P9")


def test_the_newest_app_consistent_point_can_be_named() -> None:
    """Where there are such points the failover goes to the newest; where there is none it is refused."""
    frozen = attrs.evolve(QUIET, app_points=1.0)
    failover = Operate("m0", "UnplannedFailover", "latest-app-consistent")
    some = played(partial(ModelDriver, frozen), Advance(7200), *do(failover))
    seen = last(some)
    newest = [p["id"] for p in seen["points"] if p["kind"] == "app-consistent"][-1]
    assert seen["failover_point"] == newest
    none = played(CONFORMING, failover)
    assert none.records[-1].answer == {"answer": "rejected", "code": "RecoveryPointNotFound"}


class OldestApp(ModelDriver):
    """Says that it went to the newest app-consistent point, and shows the name of the oldest point."""

    def observe(self, machine: str) -> Observation:
        seen = super().observe(machine)
        points = seen.points
        assert points is not UNKNOWN
        return attrs.evolve(seen, failover_point=points[0][0]) if seen.failover_point is not None else seen


def test_another_point_than_the_newest_app_consistent_one_is_told() -> None:
    frozen = attrs.evolve(QUIET, app_points=1.0)
    failover = Operate("m0", "UnplannedFailover", "latest-app-consistent")
    divergence = found(partial(OldestApp, frozen), Advance(7200), failover, Settle())
    assert (divergence.field, divergence.promise) == ("failover_point", "P2")


def test_latest_names_no_point_to_change_to() -> None:
    for point in ("latest", "latest-app-consistent"):
        asked = played(BUNDLED, *FAILOVER, Operate("m0", "ChangePit", point))
        assert asked.records[-1].answer == {"answer": "rejected", "code": "RecoveryPointNotFound"}
