"""The oracle accepts whatever conforms, and rejects what does not."""

import random
from functools import partial

import attrs
import pytest

from siteproof.conformance.case import Case, Command, Fault, Operate, Scenario, Settle, StartMachine, Write
from siteproof.conformance.content import BLOCK
from siteproof.conformance.driver import Accepted, Answer, Capabilities, Observation, Rejected, Unknown
from siteproof.conformance.drivers.model import ModelDriver, Style
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.oracle import Factor
from siteproof.conformance.results import Outcome
from siteproof.conformance.runner import run_case
from siteproof.conformance.session import Session
from tests.soak import soak

from .driving import FLOWS, promised, run

STYLES = (
    Style(),
    Style(eagerness=1, extra_points=0.5, keep_points=1),
    Style(eagerness=40, extra_points=0.0, keep_points=2, stops_source=0.0, flushes=0.9),
    Style(eagerness=3, keep_points=30, gives_up=1.0, stops_source=1.0, flushes=0.0),
)

OPENING = (Operate("m0", "EnableProtection"), Settle(), Write("m0", "primary", 0), Settle())


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("style", STYLES, ids=range(len(STYLES)))
def test_every_run_of_the_model_is_explained(flow: str, style: Style) -> None:
    result = run(flow, partial(ModelDriver, style), cases=60)
    assert result.counterexample is None, result.reason
    assert result.content_checks > 100


@pytest.mark.parametrize("flow", FLOWS)
def test_two_machines_with_two_disks_are_explained(flow: str) -> None:
    result = run(flow, ModelDriver, cases=25, machines=2, disks=2)
    assert result.counterexample is None, result.reason


@pytest.mark.parametrize(
    ("flow", "fact", "value", "promises"),
    [
        (FLOWS[1], "planned.drains", False, {"P1"}),
        (FLOWS[1], "planned.stops_source", False, {"P1", "P3"}),
        (FLOWS[0], "returning.fenced_first", False, {"P3"}),
        (FLOWS[1], "returning.fenced_first", False, {"P3"}),
        (FLOWS[0], "commit.removes_points", False, {"P7"}),
        pytest.param(FLOWS[0], "unplanned.latest_processes_received", False, {"P2"}, marks=soak),
        (FLOWS[0], "reverse.requires_commit", False, {"P13", "P18"}),
        (FLOWS[0], "forward.planned_failover", True, {"P13", "P18"}),
        (FLOWS[1], "forward.planned_failover", False, {"P13", "P18"}),
        (FLOWS[1], "unplanned.leaves_protected", True, {"P18"}),
        pytest.param(FLOWS[0], "failback.ends_protection", False, {"P18", "P12", "P7"}, marks=soak),
    ],
)
def test_a_system_with_another_fact_is_told_apart(flow: str, fact: str, value: bool, promises: set[str]) -> None:
    result = run(flow, partial(ModelDriver, Style(extra_points=0.0), {fact: value}), cases=4000)
    assert result.outcome is Outcome.VIOLATION
    assert result.counterexample is not None
    assert result.counterexample.divergence.promise in promises


class Lying(ModelDriver):
    """A conforming system whose observations are falsified in one field from some call on."""

    def __init__(self, **lies: object) -> None:
        super().__init__(Style(extra_points=0.0))
        self.lies = lies

    def observe(self, machine: str) -> Observation:
        seen = super().observe(machine)
        return attrs.evolve(seen, **self.lies) if seen.protection == "protected" else seen  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lies", "field"),
    [
        ({"direction": "reverse"}, "direction"),
        ({"active": "recovery"}, "active"),
        ({"failover": "planned"}, "failover"),
        ({"job": "Commit"}, "job"),
        ({"points": ()}, "points"),
        ({"received": 3}, "received"),
        ({"loss": 0}, "loss"),
        ({"received": 3, "loss": 0}, "received"),
        ({"alerts": ("StaleSideFenced",)}, "alerts"),
        ({"allowed_operations": ("Commit",)}, "allowed_operations"),
        ({"failover_point": "rp-1"}, "failover_point"),
        ({"running": (False, False)}, "running at primary"),
        ({"running": (True, True)}, "running at both sides"),
    ],
)
def test_a_false_field_is_named(lies: dict[str, object], field: str) -> None:
    case = Case(Scenario(FLOWS[1]), OPENING)
    found = run_case(case, partial(Lying, **lies), promised(FLOWS[1])).divergence
    assert found is not None
    assert found.field == field
    assert found.sentence


class Answers(ModelDriver):
    """A conforming system whose answer to one operation is replaced."""

    def __init__(self, operation: str, answer: Answer) -> None:
        super().__init__()
        self.operation, self.answer = operation, answer

    def handshake(self) -> Capabilities:
        return attrs.evolve(super().handshake(), strict_order=False)

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        true = super().execute(machine, operation, point)
        return self.answer if operation == self.operation else true


def answered(operation: str, answer: Answer, *commands: object) -> object:
    case = Case(Scenario(FLOWS[0]), (*OPENING, *commands))  # type: ignore[arg-type]
    return run_case(case, partial(Answers, operation, answer), promised(FLOWS[0])).divergence


def test_a_lost_answer_is_explained_either_way() -> None:
    assert answered("UnplannedFailover", Unknown(), Operate("m0", "UnplannedFailover", "latest"), Settle()) is None
    assert answered("Commit", Unknown(), Operate("m0", "Commit"), Settle()) is None


def test_a_wrong_code_and_a_wrong_acceptance_are_told() -> None:
    wrong = answered("Commit", Rejected("JobInProgress"), Operate("m0", "Commit"))
    assert wrong is not None
    assert (wrong.field, wrong.promise, wrong.expected) == ("answer", "P13", "rejected (NoFailoverToCommit)")  # type: ignore[attr-defined]
    granted = answered("PlannedFailover", Accepted(), Operate("m0", "PlannedFailover"))
    assert granted is not None
    assert granted.promise == "P18"  # type: ignore[attr-defined]


def test_strict_order_demands_the_first_code() -> None:
    """Without a planned failover to reverse and with the link down, two codes apply; strictly, only the first."""
    model = promised(FLOWS[0])
    for strict, codes in ((False, ("FailoverNotCommitted", "SitesNotConnected")), (True, ("FailoverNotCommitted",))):
        session_factor = Factor(model, _journal(), strict=strict)
        state = model.environment["fail_link"].step(model.initial)
        assert state is not None
        assert session_factor.codes("ReverseReplicate", state, ()) == codes


def _journal() -> object:
    from siteproof.conformance.content import Base, Journal

    return Journal("m0", Base(4))


class Corrupt(ModelDriver):
    """A conforming system that damages what is read from one place."""

    def __init__(self, where: str, damage: bytes) -> None:
        super().__init__(Style(extra_points=0.0))
        self.where, self.damage = where, damage

    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:
        data = super().read(machine, where, disk, offset, length)
        return self.damage + data[len(self.damage) :] if where == self.where else data


@pytest.mark.parametrize(("where", "field"), [("rp-2", "content of point rp-2"), ("primary", "content at primary")])
def test_damaged_content_is_named_with_its_block(where: str, field: str) -> None:
    case = Case(Scenario(FLOWS[1]), OPENING)
    found = run_case(case, partial(Corrupt, where, b"rubbish"), promised(FLOWS[1])).divergence
    assert found is not None
    assert found.field == field
    assert "block 0" in found.found


class Stuck(ModelDriver):
    """A conforming system that stands still although it could go on."""

    def settle(self) -> bool:
        return True


def test_standing_still_is_seen() -> None:
    found = run_case(Case(Scenario(FLOWS[1]), OPENING[:2]), Stuck, promised(FLOWS[1])).divergence
    assert found is not None
    assert (found.field, found.promise) == ("progress", "P19")


def test_power_button_of_a_fenced_side_is_refused() -> None:
    case = Case(Scenario(FLOWS[1]), (*OPENING, Operate("m0", "PlannedFailover"), Settle(), StartMachine("m0", "primary")))
    run_ = run_case(case, ModelDriver, promised(FLOWS[1]))
    assert run_.divergence is None
    assert run_.records[-1].answer == {"answer": "refused"}


def test_a_fault_that_the_flow_lacks_does_nothing() -> None:
    case = Case(Scenario(FLOWS[1]), (Fault("gateway"), Operate("m0", "EnableProtection"), Settle()))
    run_ = run_case(case, ModelDriver, promised(FLOWS[1]))
    assert run_.divergence is None
    assert run_.records[-1].observation["m0"]["protection"] == "protected"


def test_the_explanation_tells_the_internal_steps() -> None:
    session = Session(Scenario(FLOWS[1]), random.Random(1).getrandbits(8), ModelDriver, promised(FLOWS[1]))
    for command in OPENING:
        assert session.step(command)
    steps = session.factors["m0"].explanation()
    session.finish()
    assert "finish_copy" in steps[2]
    assert any("replicate" in some for some in steps)


class CorruptAtTheEnd(ModelDriver):
    """A conforming system of large disks that damages a block which nobody ever wrote, in one place."""

    def __init__(self, where: str) -> None:
        super().__init__(Style(extra_points=0.0))
        self.where = where

    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:
        data, at = super().read(machine, where, disk, offset, length), 9 * BLOCK - offset
        return data[:at] + b"rubbish" + data[at + 7 :] if where == self.where and 0 <= at < length else data


@pytest.mark.parametrize(
    ("where", "last"),
    [
        ("primary", ()),
        ("primary", (Operate("m0", "UnplannedFailover", "latest"), Settle())),
        ("recovery", (Operate("m0", "UnplannedFailover", "latest"), Settle())),
        ("test", (Operate("m0", "TestFailover", "latest"), Settle())),
    ],
    ids=["active side", "former source", "new side", "test copy"],
)
def test_of_large_disks_a_block_that_nobody_wrote_is_judged_at_the_end(where: str, last: tuple[Command, ...]) -> None:
    case = Case(Scenario(FLOWS[1], blocks=2049), (*OPENING, *last))
    found = run_case(case, partial(CorruptAtTheEnd, where), promised(FLOWS[1])).divergence
    assert found is not None
    assert "block 9" in found.found


class Relabelled(ModelDriver):
    """A system that calls its points app-consistent, whatever they are."""

    def __init__(self) -> None:
        super().__init__(Style(extra_points=0.0))

    def observe(self, machine: str) -> Observation:
        seen = super().observe(machine)
        assert not isinstance(seen.points, Unknown)
        return attrs.evolve(seen, points=tuple((name, "app-consistent") for name, _ in seen.points))


def test_the_point_that_ends_a_copy_is_not_taken_for_an_app_consistent_one() -> None:
    session = Session(Scenario(FLOWS[1]), 1, Relabelled, promised(FLOWS[1]))
    for command in OPENING[:2]:
        assert session.step(command)
    steps = session.factors["m0"].explanation()[-1]
    session.finish()
    assert steps.index("cut_app_point") > steps.index("finish_copy"), "only a point cut later can be what it says"


class Repairs(ModelDriver):
    """Accepts a resynchronisation while an unplanned failover runs, shows that it calls for one then, or shows one at work."""

    def __init__(self, how: str, moves_by_itself: bool) -> None:
        super().__init__(Style(extra_points=0.0))
        self.how, self.moves_by_itself = how, moves_by_itself

    def handshake(self) -> Capabilities:
        return attrs.evolve(super().handshake(), moves_by_itself=self.moves_by_itself, strict_order=False)

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        true = super().execute(machine, operation, point)
        return Accepted() if self.how == "accepted" and operation == "RepairReplication" else true

    def observe(self, machine: str) -> Observation:
        seen = super().observe(machine)
        lies = self.how != "accepted" and seen.job == "UnplannedFailover"
        return attrs.evolve(seen, resync=self.how) if lies else seen


@pytest.mark.parametrize("moves_by_itself", [False, True])
@pytest.mark.parametrize("how", ["accepted", "required", "comparing"])
@pytest.mark.parametrize("before", ["nothing", "called for", "at work"])
@pytest.mark.parametrize("flow", FLOWS)
def test_a_resynchronisation_during_an_unplanned_failover_is_accused(
    flow: str, before: str, how: str, moves_by_itself: bool
) -> None:
    repair = Operate("m0", "RepairReplication")
    called = () if before == "nothing" else (Fault("change-log"), Settle(), *((repair,) if before == "at work" else ()))
    case = Case(Scenario(flow), (*OPENING, *called, Operate("m0", "UnplannedFailover", "latest"), repair))
    found = run_case(case, partial(Repairs, how, moves_by_itself), promised(flow)).divergence
    if before != "nothing" and how == "required":
        assert found is None  # what was called for before stays until the switch
        return
    assert found is not None
    due = "answer" if how == "accepted" else "resync"
    assert (found.field, found.step) == (due, len(case.commands) - (1 if how == "accepted" else 2))


@pytest.mark.parametrize(("last", "promise"), [(True, "P21"), (False, "P2")])
def test_a_failover_is_not_to_blame_for_writes_that_were_acknowledged_since(last: bool, promise: str) -> None:
    """A disk that lacks a write of its own, and one that lacks what the failover had to bring."""
    flow = "hyper-v-site-to-azure"
    bug = "plain-write-overtakes-the-cache" if last else "points-follow-the-replica"
    before = () if last else (Write("m0", "primary", 0), Settle())
    point = "latest" if last else "point:0"
    after = (Write("m0", "recovery", 2, cached=True), Write("m0", "recovery", 2)) if last else ()
    case = Case(Scenario(flow), (Operate("m0", "EnableProtection"), Settle(), *before,
                                 Operate("m0", "UnplannedFailover", point), Settle(), *after))
    found = run_case(case, driver_factory(f"bundled+{bug}"), promised(flow)).divergence
    assert found is not None
    assert (found.field, found.promise) == ("content at recovery", promise)
