"""Concurrent histories: the judge accepts what some order that respects real time explains, and nothing else."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siteproof.conformance.cli import main
from siteproof.conformance.concurrent import Judged, Moment, judge
from siteproof.conformance.content import Base, Journal
from siteproof.conformance.driver import Accepted, Answer, Observation, Rejected, Unknown
from siteproof.conformance.oracle import Factor
from siteproof.conformance.results import Outcome
from siteproof.conformance.traces.machine import what_it_knows
from tests.conformance.driving import FLOWS, promised
from tests.conformance.test_traces import BEGUN, END, HEAD, asked, judged, looked, written

HYPER_V = FLOWS[1]
MOST = 5_000
Span = tuple[float, float]

# ------------------------------------------------------------------------------------------------- against all orders

Register = frozenset[int]
"""Values that a register may have: the explanations of what was seen."""
Deed = tuple[str, int]
"""`set` a value; `got` a value; `maybe` set a value: the answer was lost."""


def done(known: Register, deed: Deed) -> Register:
    kind, value = deed
    if kind == "set":
        return frozenset({value})
    return known | {value} if kind == "maybe" else known & {value}


spans = st.tuples(st.integers(0, 6), st.integers(0, 4)).map(lambda one: (float(one[0]), float(one[0] + one[1])))
deeds = st.tuples(st.sampled_from(("set", "got", "got", "maybe")), st.integers(0, 2))
histories = st.lists(st.tuples(deeds, spans, st.sampled_from((False, False, False, True))), min_size=1, max_size=5)


def of_register(history: list[tuple[Deed, Span]]) -> Judged[Register, str]:
    def take(known: Register, number: int) -> tuple[Register | None, str | None]:
        after = done(known, history[number][0])
        return (after, None) if after else (None, f"holds {sorted(known)}")

    moments = [Moment(i, *span) for i, (_, span) in enumerate(history)]
    return judge(moments, [frozenset({0})], take, same=lambda _: (), join=lambda a, b: a | b, most=MOST)


def orders_of(spans: list[Span]) -> list[tuple[int, ...]]:
    """Every order of every part of a history that has all that ended, and that respects real time."""
    ended = [i for i, (_, end) in enumerate(spans) if end != math.inf]
    pending = [i for i, (_, end) in enumerate(spans) if end == math.inf]
    found = []
    for size in range(len(pending) + 1):
        for some in itertools.combinations(pending, size):
            for order in itertools.permutations((*ended, *some)):
                if not any(spans[b][1] < spans[a][0] for a, b in itertools.combinations(order, 2)):
                    found.append(order)
    return found


@settings(max_examples=400, deadline=None)
@given(histories)
def test_the_judge_agrees_with_all_permutations(history: list[tuple[Deed, Span, bool]]) -> None:
    told = [(deed, (begins, math.inf if lost and deed[0] == "maybe" else ends)) for deed, (begins, ends), lost in history]
    brute: set[int] = set()
    for order in orders_of([span for _, span in told]):
        known: Register = frozenset({0})
        for number in order:
            known = done(known, told[number][0]) if known else known
        brute |= known
    found = of_register(told)
    left = set().union(*found.left)
    assert bool(left) == bool(brute)
    assert bool(found.refusals) == (not brute)
    assert left <= brute
    if all(end != math.inf for _, (_, end) in told):
        assert left == brute


OPERATIONS = ("EnableProtection", "DisableProtection", "PlannedFailover", "UnplannedFailover", "Commit")
ANSWERS: tuple[Answer, ...] = (Accepted(), Accepted(), Rejected("JobInProgress"), Rejected(""), Unknown())
requests = st.tuples(st.sampled_from(OPERATIONS), st.sampled_from(ANSWERS))


def fresh() -> Factor:
    """A machine whose system moves by itself."""
    return Factor(promised(HYPER_V), Journal("m0", Base(4)), moves_by_itself=True)


def asks(factor: Factor, operation: str, answer: Answer) -> bool:
    point = "latest" if operation == "UnplannedFailover" else None
    return factor.follow(factor.request(operation, point, answer), factor.look(Observation(), None))


def joined(one: Factor, other: Factor) -> Factor:
    found = one.fork()
    found.candidates = tuple(dict.fromkeys((*one.candidates, *other.candidates)))
    return found


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(requests, spans), min_size=1, max_size=3))
def test_the_judge_over_the_oracle_agrees_with_all_permutations(history: list[tuple[tuple[str, Answer], Span]]) -> None:
    def take(factor: Factor, number: int) -> tuple[Factor | None, str | None]:
        other = factor.fork()
        return (other, None) if asks(other, *history[number][0]) else (None, "refused")

    brute: set[Any] = set()
    for order in orders_of([span for _, span in history]):
        one = fresh()
        if all(asks(one, *history[number][0]) for number in order):
            brute |= {c[0] for c in one.candidates}
    moments = [Moment(i, *span) for i, (_, span) in enumerate(history)]
    found = judge(moments, [fresh()], take, same=what_it_knows, join=joined, most=MOST)
    assert {c[0] for factor in found.left for c in factor.candidates} == brute


def test_only_what_is_open_is_ordered() -> None:
    history: list[tuple[Deed, Span]] = []
    for number in range(200):
        history += [(("set", number % 3), (number, number + 1.5)), (("got", number % 3), (number + 0.5, number + 1.9))]
    found = of_register(history)
    assert found.left
    assert found.tried < 200 * 100


# ------------------------------------------------------------------------------------------------------- as a trace


def test_a_history_that_overlaps_is_accepted_in_an_order_that_explains_it(tmp_path: Path) -> None:
    """The planned failover was answered last and came first: the second one was refused because of it."""
    rows = [
        asked("PlannedFailover", start=10, end=40),
        asked("PlannedFailover", "rejected", code="JobInProgress", start=20, end=25),
        looked(job="PlannedFailover", start=22, end=24),
    ]
    assert judged(tmp_path / "t.ndjson", *BEGUN, *rows).outcome is Outcome.CONFORMS


def test_a_history_that_no_order_explains_is_told_with_all_orders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two failovers that exclude each other were both accepted."""
    rows = [
        asked("PlannedFailover", start=10, end=40),
        asked("PlannedFailover", start=20, end=30),
        looked(job="PlannedFailover", active="primary", start=31, end=32),
    ]
    file = tmp_path / "t.ndjson"
    verdict = judged(file, *BEGUN, *rows)
    assert verdict.outcome is Outcome.VIOLATION
    assert verdict.divergence is not None
    assert "in every order that respects real time" in verdict.divergence.conjunct
    ends = [order.partition(" cannot be: ")[0] for order in verdict.orders]
    assert ends == ["after line 6, line 7: line 5", "after line 5: line 6", "after line 6: line 5"]
    assert all("rejected (JobInProgress)" in order.partition("the model allows")[2] for order in verdict.orders)
    assert main(["trace", "check", str(file)]) == 1
    shown = capsys.readouterr().out
    assert all(order in shown for order in verdict.orders)
    assert main(["trace", "check", str(file), "--json", "-"]) == 1
    assert json.loads(capsys.readouterr().out)["cases"][0]["orders"] == list(verdict.orders)


def test_a_request_that_was_never_answered_may_take_effect_later_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "t.ndjson"
    lost = asked("PlannedFailover", None, start=10)
    moved, stayed = looked(active="recovery", at=500), looked(active="primary", at=600)
    assert judged(file, *BEGUN, lost, looked(active="primary", at=400), moved).outcome is Outcome.CONFORMS
    assert judged(file, *BEGUN, lost, stayed).outcome is Outcome.CONFORMS
    assert judged(file, *BEGUN, lost, moved, stayed).outcome is Outcome.VIOLATION
    assert judged(file, *BEGUN, looked(active="primary", at=5), moved).outcome is Outcome.VIOLATION


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (asked("Commit", start=10), "a span without an end"),
        (looked(active="primary", start=10), "a span without an end"),
        ({**asked("Commit", None, start=10), "seen": {"m0": {"active": "primary"}}}, "something seen in a span without an end"),
        (asked("Commit", end=10), "the end of a span without its start"),
    ],
)
def test_only_what_was_never_answered_has_no_end(
    row: dict[str, Any], found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / "t.ndjson", HEAD, *BEGUN, row, END)
    assert main(["trace", "check", str(file)]) == 4
    assert found in capsys.readouterr().err
