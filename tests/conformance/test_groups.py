"""Replication groups: what a case says of them, what a driver tells, and how common points are held against each other (P5)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from siteproof.conformance.acquaintance import Acquaintance, Standing
from siteproof.conformance.ages import Ages
from siteproof.conformance.case import Case, Command, Fault, Heal, Operate, Scenario, Settle, Steps, Write
from siteproof.conformance.content import Base, Journal, Log, View
from siteproof.conformance.driver import UNKNOWN, Capabilities, Common, Observation
from siteproof.conformance.drivers import wire
from siteproof.conformance.drivers.bugs_groups import BUGS
from siteproof.conformance.drivers.bundled import BundledDriver
from siteproof.conformance.drivers.model import ModelDriver
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.engines.choice import Mood
from siteproof.conformance.engines.weave import protect_all, weave
from siteproof.conformance.errors import CaseError, DriverError
from siteproof.conformance.groups import Bounds, GroupFactor, Moments, bounds_of
from siteproof.conformance.guarded import Guarded
from siteproof.conformance.replay import assert_conforms
from siteproof.conformance.results import Outcome
from siteproof.conformance.runner import run_case
from siteproof.conformance.session import GROUPS, Session
from siteproof.conformance.shrink import shrink
from siteproof.conformance.sight import PointSeen
from siteproof.conformance.traces.check import check
from siteproof.conformance.traces.reading import Reader
from siteproof.conformance.traces.record import TraceWriter
from tests.seeds import seed_for

from .driving import promised, run
from .peer import Peer, in_process

FLOW = "vmware-to-azure"
PAIR = Scenario(FLOW, ("m0", "m1"), groups={"g": ("m0", "m1")})
PROTECT: tuple[Command, ...] = (Operate("m0", "EnableProtection"), Operate("m1", "EnableProtection"), Settle())
BOTH: tuple[Command, ...] = (Write("m0", "primary", 0), Write("m1", "primary", 0))


def session(driver: Any = BundledDriver, scenario: Scenario = PAIR, seed: int = 0) -> Session:
    return Session(scenario, seed, driver, promised(scenario.topology))


# ------------------------------------------------------------------------------------------------------------------ cases


def test_groups_are_part_of_a_case_and_absent_from_one_that_has_none() -> None:
    case = Case(PAIR, PROTECT, 3)
    assert case.to_json()["scenario"]["groups"] == {"g": ["m0", "m1"]}
    assert Case.from_json(case.to_json()) == case
    assert "groups" not in Case(Scenario(FLOW), ()).to_json()["scenario"]


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        ({"g": ["m0"]}, "two machines or more"),
        ({"g": "m0"}, "two machines or more"),
        ({"g": ["m0", "m7"]}, "'m7'"),
        ({"g": ["m0", "m0"]}, "'m0', which is in 'g' already"),
        ({"g": ["m0", "m1"], "h": ["m1", "m0"]}, "'m1', which is in 'g' already"),
        ([["m0", "m1"]], "an object"),
    ],
)
def test_a_group_that_cannot_be_is_refused(groups: Any, found: str) -> None:
    row = Case(PAIR, ()).to_json()
    row["scenario"]["groups"] = groups
    with pytest.raises(CaseError, match=found):
        Case.from_json(row)


def test_a_machine_that_is_taken_out_of_a_case_leaves_its_group() -> None:
    three = Scenario(FLOW, ("m0", "m1", "m2"), groups={"g": ("m0", "m1", "m2")})
    assert three.with_machines(("m0", "m2")).groups == {"g": ("m0", "m2")}
    assert three.with_machines(("m0",)).groups == {}


# ---------------------------------------------------------------------------------------------------------------- drivers


def test_common_points_have_the_same_name_and_time_at_all_members() -> None:
    played = session()
    for command in (*PROTECT, *BOTH, Settle()):
        assert played.step(command)
    first, second = (played.last[machine].common for machine in PAIR.machines)
    assert [(one.name, one.time) for one in first] == [(one.name, one.time) for one in second] != []
    played.finish()
    assert played.groups[0].judged == 1


@pytest.mark.parametrize(
    ("driver", "flow"), [(ModelDriver, FLOW), (BundledDriver, "hyper-v-to-secondary-site")], ids=["driver", "flow"]
)
def test_without_groups_a_case_is_played_without_and_that_is_counted(driver: Any, flow: str) -> None:
    played = session(driver, attrs.evolve(PAIR, topology=flow))
    assert played.scenario.groups == {}
    assert played.groups == ()
    for command in (*PROTECT, *BOTH, Settle()):
        assert played.step(command)
    played.finish()
    assert played.skipped == {GROUPS: 1}


def test_a_case_with_a_group_passes_no_test_on_a_driver_without() -> None:
    with pytest.raises(AssertionError, match="replication groups"):
        assert_conforms(Case(PAIR, (*PROTECT, Settle())).to_json(), "model")


class Telling(BundledDriver):
    """Tells of common points what it is given."""

    def __init__(self, common: Any) -> None:
        super().__init__()
        self.common = common

    def observe(self, machine: str) -> Observation:
        return attrs.evolve(super().observe(machine), common=self.common)


@pytest.mark.parametrize("common", [7, ("p1",), (("p9", "g-1"),), (("p1", ""),), (("p1", "g-1", "noon"),)])
def test_nonsense_about_common_points_is_the_drivers_fault(common: Any) -> None:
    guarded = Guarded(Telling(common), "telling")
    guarded.driver.start(Scenario(FLOW), 0, Base(16))
    try:
        with pytest.raises(DriverError, match="common"):
            guarded.observe("m0")
    finally:
        guarded.driver.stop()


def test_common_points_come_over_the_wire_as_they_are() -> None:
    seen = Observation(points=(("p1", "crash-consistent"), ("p2", "crash-consistent")), common=(Common("p2", "g-1", 300.0),))
    assert seen.to_json()["points"][1] == {"id": "p2", "kind": "crash-consistent", "common": "g-1", "time": 300.0}
    assert wire.read_observation(seen.to_json()) == seen


class Timeless(BundledDriver):
    """Does not tell the time, but for that of its common points."""

    def handshake(self) -> Capabilities:
        return attrs.evolve(super().handshake(), tells_time=False)


def test_a_driver_in_another_process_is_told_its_groups_and_found_out() -> None:
    bug = next(one for one in BUGS if one.id == "common-point-at-own-times")
    peer = Peer(partial(Timeless, bug.components))
    case = Case(PAIR, (*PROTECT, *BOTH, Settle()))
    found = run_case(case, in_process(peer), promised(FLOW)).divergence
    assert [ask["groups"] for ask in peer.asked if ask["call"] == "start"] == [{"g": ["m0", "m1"]}]
    assert found is not None
    assert found.promise == "P5"


class Silent(BundledDriver):
    """Has groups, and does not tell which points are common."""

    def observe(self, machine: str) -> Observation:
        return attrs.evolve(super().observe(machine), common=())


@pytest.mark.parametrize(
    ("driver", "standing"),
    [(BundledDriver, Standing.WORKS), (Silent, Standing.MISSING),
     (driver_factory("bundled+common-point-of-some"), Standing.DIVERGES)],
    ids=["tells", "is silent", "leaves one out"],
)  # fmt: skip
def test_an_acquaintance_tries_groups_where_they_are_claimed(driver: Any, standing: Standing) -> None:
    known = Acquaintance("driver", driver, FLOW, promised(FLOW))
    found = known._grouped(driver().handshake())
    assert (found.subject, found.standing) == ("replication groups", standing)


# ----------------------------------------------------------------------------------------------------------------- judging


class Machine:
    """One machine as a group's factor sees it: a history of writes, the points on it, and what it shows."""

    def __init__(self, name: str, world: World) -> None:
        self.name, self.world = name, world
        self.journal = Journal(name, Base(16))
        self.logs = [self.journal.root]
        self.points: list[PointSeen] = []
        self.shown: tuple[Common, ...] = ()
        self.seen = Observation(protection="protected", failover="none", points=())

    @property
    def candidates(self) -> list[Log]:
        return self.logs

    def branch(self, log: Log) -> Log:
        return log

    def write(self, *, acknowledged: bool = True, on_branch: bool = True) -> None:
        record = self.journal.issue(0, len(self.journal.records), 0)
        moment = self.world.tick()
        self.world.moments.note(self.name, record.sequence, moment, moment + 0.5 if acknowledged else None)
        if on_branch:
            self.logs = [log.then(record) for log in self.logs]

    def point(self, length: int, name: str = "", time: float | None = None, *, read: bool = True) -> None:
        """A point of so many writes becomes visible."""
        id = f"p{len(self.seen.points) + 1}"  # type: ignore[arg-type]
        if read:
            self.points.append(PointSeen(id, "crash-consistent", View(self.logs[0].prefix(length).content)))
        self.shown = (*self.shown, Common(id, name, time)) if name else self.shown
        listed = (*self.seen.points, (id, "crash-consistent"))  # type: ignore[misc]
        self.seen = attrs.evolve(self.seen, points=listed, common=self.shown)


class World:
    """Two machines in a group, and one clock."""

    def __init__(self, ages: Ages | None = None) -> None:
        self.moments, self._now = Moments(), 0.0
        self.a, self.b = Machine("a", self), Machine("b", self)
        self.group = GroupFactor("g", ("a", "b"), self.moments, ages)
        self.look()

    def tick(self) -> float:
        self._now += 1
        return self._now

    def look(self, *, still: bool = False, now: float | None = None) -> Any:
        machines: Any = {"a": self.a, "b": self.b}

        def bounds(machine: str, point: str) -> frozenset[Bounds]:
            return bounds_of(machines[machine], machine, point, self.moments)

        found = self.group.round({m: one.seen for m, one in machines.items()}, bounds, still=still, now=now)
        return None if found is None else SimpleNamespace(machine=found[0], **attrs.asdict(found[1]))


def shown(world: World, a: int, b: int) -> Any:
    """A common point holds so many writes of each machine."""
    world.a.point(a, "g-1")
    world.b.point(b, "g-1")
    return world.look()


def written(order: str) -> World:
    """Writes of both machines, in this order."""
    world = World()
    for one in order:
        getattr(world, one).write()
    return world


@pytest.mark.parametrize(
    ("order", "a", "b", "fits"),
    [
        ("ab", 1, 1, True),
        ("ab", 1, 0, True),
        ("ab", 0, 0, True),
        ("ab", 0, 1, False),
        ("aab", 1, 1, False),
        ("aba", 1, 1, True),
        ("abab", 2, 1, True),
        ("abab", 1, 2, False),
    ],
)
def test_a_common_point_is_a_beginning_of_the_chain(order: str, a: int, b: int, fits: bool) -> None:
    found = shown(written(order), a, b)
    assert (found is None) == fits


def test_the_sentence_says_who_holds_the_later_write_and_who_lacks_the_earlier_one() -> None:
    found = shown(written("aab"), 1, 1)
    assert (found.machine, found.promise, found.field) == ("a", "P5", "common point g-1")
    assert found.sentence == (
        "The common point g-1 of a and b is not one instant: b holds write 1, and a lacks write 2, which was acknowledged before "
        "that one was issued."
    )


def test_a_write_whose_answer_is_not_known_may_be_on_either_side() -> None:
    for held in (0, 1):
        world = World()
        world.a.write(acknowledged=False)
        world.b.write()
        assert shown(world, held, 1) is None


def test_a_later_write_whose_answer_is_not_known_was_issued_all_the_same() -> None:
    world = World()
    world.a.write()
    world.b.write(acknowledged=False)
    assert shown(world, 0, 1) is not None


def test_a_write_that_a_failover_discarded_is_missed_by_nobody() -> None:
    world = World()
    world.a.write(on_branch=False)
    world.b.write()
    assert shown(world, 0, 1) is None


def test_one_explanation_that_fits_is_enough() -> None:
    world = written("ab")
    world.a.logs = [world.a.logs[0], world.a.journal.root]
    assert shown(world, 0, 1) is None


def test_members_may_show_a_common_point_one_after_the_other() -> None:
    world = written("ab")
    world.b.point(1, "g-1")
    assert world.look() is None
    world.a.point(0, "g-1")
    assert world.look().machine == "a"


def test_what_was_not_read_is_not_held_against_anybody_and_not_counted() -> None:
    world = written("ab")
    world.a.point(0, "g-1", read=False)
    world.b.point(1, "g-1")
    assert world.look(still=True) is None
    assert (world.group.shown, world.group.judged) == (1, 0)


def lacking(change: dict[str, Any] | None = None, ages: Ages | None = None, now: float = 10.0) -> Any:
    """`b` shows a common point of which `a` has nothing, and the system stands still."""
    world = World(ages)
    if change is not None:
        world.a.seen = attrs.evolve(world.a.seen, **change)
    world.look(now=0.0)
    world.b.point(0, "g-1")
    assert world.look(now=5.0) is None
    return world.look(still=True, now=now)


def test_at_rest_every_member_has_a_common_point_or_none_shows_it() -> None:
    found = lacking()
    assert (found.machine, found.promise) == ("a", "P5")
    assert "b shows the common point g-1 and a" in found.sentence


@pytest.mark.parametrize(
    "change", [{"protection": "none"}, {"protection": "initial"}, {"failover": "unplanned"}, {"points": UNKNOWN}]
)
def test_who_was_not_replicated_beside_the_others_is_not_asked(change: dict[str, Any]) -> None:
    assert lacking(change) is None


def test_who_lost_points_meanwhile_is_not_asked() -> None:
    world = World()
    world.a.point(0)
    world.look()
    world.b.point(0, "g-1")
    world.look()
    world.a.seen = attrs.evolve(world.a.seen, points=())
    assert world.look(still=True) is None


def test_what_retention_may_have_removed_is_not_asked() -> None:
    ages = Ages(dense=7200, retention=86400, ask=lambda _: True)
    assert lacking(ages=ages, now=7300.0) is None
    assert lacking(ages=ages, now=60.0) is not None


def test_a_common_point_that_one_member_removes_later_is_nobodys_fault() -> None:
    world = written("ab")
    assert shown(world, 1, 1) is None
    world.a.shown, world.a.seen = (), attrs.evolve(world.a.seen, points=(), common=())
    assert world.look(still=True) is None


def test_the_points_of_a_common_point_have_one_time() -> None:
    world = World()
    world.a.point(0, "g-1", 300.0)
    world.b.point(0, "g-1", 301.0)
    found = world.look()
    assert found.promise == "P5"
    assert "a at 300 s, b at 301 s" in found.sentence


def test_a_common_point_is_judged_again_when_a_member_shows_it_as_another_or_at_another_time() -> None:
    world = written("a")
    world.a.point(1, "g-1", 300.0)
    world.b.point(0, "g-1", 300.0)
    assert world.look() is None
    world.b.write()
    world.a.write()
    world.a.point(2)
    world.a.seen = attrs.evolve(world.a.seen, common=(Common("p2", "g-1", 300.0),))
    assert world.look().promise == "P5"
    world = World()
    world.a.point(0, "g-1", 300.0)
    world.b.point(0, "g-1", 300.0)
    assert world.look() is None
    world.b.seen = attrs.evolve(world.b.seen, common=(Common("p1", "g-1", 1300.0),))
    assert "b at 1300 s" in world.look().sentence


def test_a_member_that_is_to_be_resynchronised_is_not_asked() -> None:
    assert lacking({"resync": "required"}) is None


def test_members_list_common_points_in_one_order_read_or_not() -> None:
    world = World()
    for machine, names in ((world.a, ("g-1", "g-2")), (world.b, ("g-2", "g-1"))):
        for name in names:
            machine.point(0, name, read=False)
    found = world.look()
    assert (found.machine, found.promise) == ("b", "P5")


def test_a_machine_has_one_point_of_a_common_point() -> None:
    world = World()
    world.a.point(0, "g-1")
    world.a.point(0, "g-1")
    assert "2 points that bear the name" in world.look().sentence


def test_what_is_kept_of_common_points_goes_with_them() -> None:
    world = World()
    for number in range(50):
        for machine in (world.a, world.b):
            machine.shown = ()
            machine.point(0, f"g-{number}")
        assert world.look() is None
    assert len(world.group._points) == 1
    assert world.group.judged == 50


# ------------------------------------------------------------------------------------------------------------ whole cases


def barrier(disturbance: Sequence[Command], steps: int) -> tuple[Command, ...]:
    """Something happens after so many internal steps, around a barrier, with writes before and after it."""
    more = (Write("m0", "primary", 1), Write("m1", "primary", 1))
    return (*PROTECT, *BOTH, Steps(steps), *more, *disturbance, Steps(2), *reversed(BOTH), Steps(8), Settle())


DISTURBANCES: dict[str, tuple[Command, ...]] = {
    **{fault: (Fault(fault), Steps(4), Heal(fault)) for fault in ("primary-site", "recovery-site", "link", "gateway")},
    "change-log": (Fault("change-log"),),
    "repair": (Fault("change-log"), Steps(1), Operate("m0", "RepairReplication")),
    "failover": (Operate("m1", "UnplannedFailover", "latest"),),
    "test failover": (Operate("m0", "TestFailover", "latest"),),
    "disabling": (Operate("m1", "DisableProtection"),),
}


@pytest.mark.parametrize("name", ["bundled", "bundled~cuts-when-frozen", "bundled~releases-one-by-one"])
@pytest.mark.parametrize("what", list(DISTURBANCES))
def test_whatever_strikes_in_a_barrier_nobody_is_accused(what: str, name: str) -> None:
    factory = driver_factory(name)
    for steps in range(16, 36):
        case = Case(PAIR, barrier(DISTURBANCES[what], steps), steps % 3)
        found = run_case(case, factory, promised(FLOW), record=False).divergence
        assert found is None, (steps, found)


def test_a_common_point_may_be_listed_before_points_that_were_made_meanwhile() -> None:
    """A point that a test failover asks for is made while the barrier's mark is there and another member's is not."""
    played = session(seed=36)
    rest = (Write("m1", "primary", 2), *(Write("m0", "primary", block) for block in (1, 2, 3)))
    woven = (Steps(1), Write("m1", "primary", 3)) * 6
    for command in (*PROTECT, *BOTH, Steps(15), Operate("m1", "TestFailover", "latest"), *rest, *woven, Settle()):
        assert played.step(command)
    listed = played.last["m1"].points
    played.finish()
    assert played.divergence is None
    assert listed == tuple((f"p{number}", "crash-consistent") for number in (1, 3, 2, 4))
    assert {one.point for one in played.last["m1"].common} >= {"p3"}


def test_weaving_meets_the_moment_between_two_cuts() -> None:
    """Within a few cases writes of both machines fall between the cut of one and the cut of the other."""
    chance = random.Random(seed_for("weaving"))
    for seed in range(60):
        played = session(driver_factory("bundled+cut-by-turns"), seed=seed)
        if protect_all(played) and weave(played, Mood(), chance):
            weave(played, Mood(), chance)
        played.finish()
        if played.divergence is not None:
            assert played.divergence.promise == "P5"
            return
    raise AssertionError("no write fell between two cuts")


def test_a_counterexample_of_a_group_is_shrunk_with_its_group() -> None:
    case = Case(
        Scenario(FLOW, ("m0", "m1", "m2"), groups={"g": ("m0", "m1")}), (*PROTECT, *BOTH, Write("m2", "primary", 3), Settle())
    )
    small = shrink(case, driver_factory("bundled+common-point-at-own-times"), promised(FLOW))
    assert small is not None
    assert small.minimal
    assert small.case.scenario == PAIR
    assert small.divergence.promise == "P5"


# --------------------------------------------------------------------------------------------------------------- campaigns


def test_a_campaign_counts_the_common_points_that_it_judged() -> None:
    result = run(FLOW, BundledDriver, cases=30, machines=2)
    assert result.counterexample is None
    assert result.common_points > 0
    assert result.scenarios["2 machines with 1 disk, in a group"] > 0
    assert not any("common point" in warning for warning in result.warnings)


class Blind(BundledDriver):
    """Cannot read its points."""

    def handshake(self) -> Capabilities:
        return attrs.evolve(super().handshake(), reads_points=False)


def test_a_campaign_that_read_no_common_point_says_so() -> None:
    result = run(FLOW, Blind, cases=12, machines=2)
    assert result.counterexample is None
    assert result.common_points == 0
    assert any(warning.startswith("no common point of a group was ever read back") for warning in result.warnings)


def test_a_campaign_on_a_driver_without_groups_says_so_and_counts_what_it_skipped() -> None:
    result = run(FLOW, partial(ModelDriver), cases=12, machines=2)
    assert result.skipped[GROUPS] > 0
    assert "no machines were ever in a replication group: the driver has none" in result.warnings


def test_a_recorded_campaign_with_groups_is_judged_again_from_its_trace(tmp_path: Any) -> None:
    file = tmp_path / "run.ndjson"
    with TraceWriter(file) as writer:
        for seed in range(3):
            run_case(Case(PAIR, (*PROTECT, *BOTH, Settle()), seed), BundledDriver, promised(FLOW), recorder=writer)
        writer.close("conforms", "")
    verdict = check(Reader(file), promised)
    assert verdict.outcome is Outcome.CONFORMS, verdict.reason


@pytest.mark.parametrize("bug", ["barrier-does-not-hold", "common-point-of-some", "common-point-at-own-times"])
def test_a_recorded_violation_is_found_again_in_its_trace(bug: str, tmp_path: Any) -> None:
    file, factory = tmp_path / "run.ndjson", driver_factory(f"bundled+{bug}")
    with TraceWriter(file) as writer:
        for seed, steps in itertools.product(range(3), range(14, 40)):
            between = (Write("m0", "primary", 1), Write("m1", "primary", 1), Write("m0", "primary", 2))
            commands = (*PROTECT, *BOTH, Steps(steps), *between, Settle())
            found = run_case(Case(PAIR, commands, seed), factory, promised(FLOW), recorder=writer).divergence
            if found is not None:
                break
        writer.close("violation", "")
    assert found is not None
    verdict = check(Reader(file), promised)
    assert verdict.outcome is Outcome.VIOLATION
    last = verdict.cases[-1]
    assert last.divergence is not None
    assert (last.divergence.promise, last.divergence.sentence) == (found.promise, found.sentence)


class Slow(BundledDriver):
    """Holds a write back for a second, in which the machine may stop."""

    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool:
        self.advance(30)
        return super().write(machine, side, disk, block, data, cached)


def test_a_write_that_is_refused_after_some_time_is_held_against_nobody() -> None:
    played = session(Slow)
    for command in (*PROTECT, *BOTH, Settle(), Operate("m1", "UnplannedFailover", "latest"), Write("m1", "primary", 1)):
        assert played.step(command)
    assert played.answer is None
    played.finish()
    assert played.divergence is None
