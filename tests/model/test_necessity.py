"""Necessity: what each precondition is there for, and that none that matters is called defensive."""

from __future__ import annotations

from functools import cache

import pytest

from siteproof.model.engines.graph import explore_graph
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import search
from siteproof.model.mutation import without_guard
from siteproof.model.necessity import Necessity, Need, necessity_of_model
from siteproof.model.promise import LEVEL
from tests.soak import soak

from .proving import H2S, V2A, model_of, violations

NARROW = Scope(writes=0, failovers=1, cached=0)
ASKED = ("reverse_replicate", "contact", "finish_copy", "fail_gateway")


@cache
def matrix(flow: str) -> tuple[Necessity, ...]:
    return tuple(necessity_of_model(LEVEL, model_of(flow), actions=ASKED, time_limit=15.0))


def row_of(flow: str, action: str, code: str) -> Necessity:
    return next(row for row in matrix(flow) if (row.action, row.code) == (action, code))


@pytest.mark.parametrize("flow", [V2A])
def test_every_precondition_has_a_row_in_english(flow: str) -> None:
    rows = matrix(flow)
    model = model_of(flow)
    assert [(row.action, row.number) for row in rows] == [
        (action.name, number) for action in model.actions if action.name in ASKED for number in range(1, len(action.guards) + 1)]
    assert all(row.text and row.method for row in rows)
    assert row_of(flow, "reverse_replicate", "FailoverNotCommitted").requirements


def test_reversing_before_commit_breaks_a_promise_and_the_shortest_trace_shows_it() -> None:
    row = row_of(H2S, "reverse_replicate", "FailoverNotCommitted")
    assert row.need is Need.NEEDED
    assert row.promise.startswith("P")
    assert row.trace is not None
    assert row.trace.shortest
    assert row.promise in row.trace.conclusion
    mutant = without_guard(model_of(H2S), "reverse_replicate", "FailoverNotCommitted")
    wide = search(mutant, violations(mutant), LEVEL.wide, max_depth=len(row.trace.steps) - 1, max_states=60_000)
    assert wide.found == {}


@pytest.mark.parametrize("flow", [V2A, H2S])
def test_what_is_called_defensive_changes_nothing_that_can_happen(flow: str) -> None:
    model = model_of(flow).without_marks()
    as_it_is = explore_graph(model, NARROW)
    defensive = [row for row in matrix(flow) if row.need is Need.DEFENSIVE]
    assert defensive
    for row in defensive:
        mutant = explore_graph(without_guard(model, row.action, row.number - 1), NARROW)
        counts = [(len(graph.states), len(graph.targets)) for graph in (mutant, as_it_is)]
        assert counts[0] == counts[1], (row.action, row.number)


@pytest.mark.parametrize("flow", [V2A, H2S])
def test_what_is_not_needed_breaks_nothing_and_says_what_becomes_possible(flow: str) -> None:
    model = model_of(flow)
    rows = [row for row in matrix(flow) if row.need is Need.NOT_NEEDED]
    assert rows
    for row in rows:
        mutant = without_guard(model, row.action, row.number - 1)
        assert search(mutant, violations(mutant), NARROW, max_states=2_000).found == {}
        if row.accepts is not None:
            assert row.accepts.steps[-1].action == row.action
    assert any(row.accepts is not None for row in rows)


@pytest.mark.parametrize("flow", [V2A, H2S])
def test_an_open_row_says_why_and_no_other_row_is_open(flow: str) -> None:
    for row in matrix(flow):
        assert (row.need is Need.UNDETERMINED) <= bool(row.reason)
        assert (row.need is Need.NEEDED) == (row.trace is not None)


def test_a_precondition_that_the_facts_make_true_names_them() -> None:
    row = next(row for row in matrix(V2A) if (row.action, row.number) == ("fail_gateway", 1))
    assert row.need is Need.SILENT
    assert row.reason == "it always holds here: gateway.present = true"


@soak
def test_without_time_nothing_is_claimed() -> None:
    rows = necessity_of_model(LEVEL, model_of(H2S), actions=["commit"], time_limit=0.0)
    for row in rows:
        if row.need is Need.UNDETERMINED:
            assert "time limit" in row.reason
