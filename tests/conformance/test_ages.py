"""Retention is held to its policy: what no age within the bounds allows is a violation, everything else is not."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siteproof.conformance.ages import Ages, Span, ages_for
from siteproof.conformance.case import Advance, Operate, Scenario, Settle
from siteproof.conformance.drivers.bundled import BundledDriver
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.engines.random import RandomEngine
from siteproof.conformance.results import Divergence
from siteproof.conformance.session import Session
from siteproof.conformance.traces.check import check
from siteproof.conformance.traces.reading import Reader
from siteproof.conformance.traces.record import TraceWriter
from siteproof.impl.retention import to_prune
from siteproof.impl.values import Point
from tests.conformance.driving import FLOWS, promised
from tests.conformance.test_traces import Opened

HOUR, DAY = 3600, 86_400
THINNED, CUT_OFF = FLOWS
SCENARIO = {flow: Scenario(flow, ("m0",)) for flow in FLOWS}


def ages(flow: str, **policy: int) -> Ages:
    found = ages_for(Scenario(flow, ("m0",), policy=policy))
    assert found is not None
    return found


def test_the_policy_is_the_topologys_with_the_scenarios_own_settings_on_top() -> None:
    assert (ages(THINNED).dense, ages(THINNED).retention) == (2 * HOUR, DAY)
    assert (ages(CUT_OFF).dense, ages(CUT_OFF).retention) == (2 * HOUR, 2 * HOUR)
    assert ages(THINNED, retention_hours=1).dense == ages(THINNED, retention_hours=1).retention == HOUR
    assert [ages(THINNED, retention_hours=h).spacing(age) // HOUR for h, age in
            ((24, DAY), (72, DAY), (72, 3 * DAY), (240, 6 * DAY), (240, 8 * DAY))] == [1, 2, 2, 2, 4]
    assert "and then one for each 1 h, for 24 h" in ages(THINNED).told


@pytest.mark.parametrize(("age", "near", "lawful"), [
    (2 * HOUR, 0, False), (2 * HOUR + 1, 0, True), (2 * HOUR + 1, HOUR, True), (2 * HOUR + 1, HOUR + 1, False),
    (2 * HOUR + 1, None, False), (DAY, None, False), (DAY + 1, None, True),
])
def test_a_point_goes_when_it_is_too_old_or_thinned_beside_a_near_one(age: int, near: int | None, lawful: bool) -> None:
    others = [] if near is None else [Span(near, near), Span(9 * DAY, 9 * DAY)]
    assert ages(THINNED).may_go(Span(0, 0), age, others) == lawful


@given(st.floats(0, DAY), st.floats(0, DAY), st.floats(0, 2 * DAY))
def test_what_may_be_lawful_is_held_against_nobody(first: float, width: float, later: float) -> None:
    """A point whose time is known less well may go whenever one may that was made within its bounds."""
    known, now = ages(CUT_OFF), first + width + later
    exact = [known.may_go(Span(at, at), now, ()) for at in (first, first + width / 2, first + width)]
    assert known.may_go(Span(first, first + width), now, ()) == any(exact)


@given(st.lists(st.integers(1, 90 * 60), min_size=2, max_size=60), st.sampled_from([1, 3, 24, 72]), st.booleans())
def test_what_the_implementation_prunes_is_lawful(gaps: list[int], hours: int, thins: bool) -> None:
    """Both read the same documents, each for itself."""
    known = ages(THINNED if thins else CUT_OFF, retention_hours=hours)
    points, now = list[Point](), 0.0
    for number, gap in enumerate(gaps):
        now += gap
        points.append(Point(f"p{number}", "crash-consistent", number, number, now))
        gone = to_prune(points, now, hours * HOUR, (), thins=thins)
        kept = [p for p in points if p not in gone]
        near = [Span(p.cut_at, p.cut_at) for p in points if p in kept or now - p.cut_at > hours * HOUR]
        for point in gone:
            made = Span(point.cut_at, point.cut_at)
            assert known.may_go(made, now, [one for one in near if one != made])
        points = kept


def found_by(system: str, flow: str, writer: TraceWriter) -> Divergence | None:
    """What random cases find."""
    engine = RandomEngine(random.Random(3), length=40)
    opened = Opened(SCENARIO[flow], driver_factory(system), writer)
    return next((found for found in (engine.case(opened).divergence for _ in range(60)) if found is not None), None)


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("bug", ["retention-keeps-the-newest-only", "retention-thins-young-points"])
def test_points_that_go_before_their_time_are_a_violation_of_run_and_trace(flow: str, bug: str, tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "run.ndjson") as writer:
        found = found_by(f"bundled+{bug}", flow, writer)
    assert found is not None
    assert (found.field, found.promise) == ("points", "P4")
    assert "is gone, at most" in found.found
    verdict = check(Reader(tmp_path / "run.ndjson"), promised)
    assert verdict.outcome.value == "violation"
    rows = [json.loads(line) for line in (tmp_path / "run.ndjson").read_text("utf-8").splitlines()]
    (tmp_path / "timeless.ndjson").write_text(
        "".join(json.dumps({k: v for k, v in row.items() if k not in ("time", "found")}) + "\n" for row in rows), "utf-8")
    assert all(case.divergence is None for case in check(Reader(tmp_path / "timeless.ndjson"), promised).cases)


def test_a_scenarios_own_retention_is_the_one_that_counts() -> None:
    """With a retention of no hours the newest point is the only one that has to stay, and the bundled system keeps no other."""
    scenario = Scenario(CUT_OFF, ("m0",), policy={"retention_hours": 0})
    session = Session(scenario, 1, BundledDriver, promised(CUT_OFF))
    for command in (Operate("m0", "EnableProtection", None), Settle(), Advance(HOUR), Advance(HOUR)):
        session.step(command)
    assert session.divergence is None
    assert len(session.factors["m0"].points) == 1
    session.finish()
