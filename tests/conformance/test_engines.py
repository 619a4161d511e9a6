"""Engines reach what matters, the same seed does the same, and coverage counts over what is feasible."""

import math
from functools import partial

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from siteproof.conformance.coverage import explore
from siteproof.conformance.drivers.model import ModelDriver, Style
from siteproof.conformance.engines.hypothesis_machine import ConformanceViolation, machine_for
from siteproof.conformance.results import Outcome
from siteproof.conformance.runner import ENGINES, CampaignEvent, campaign
from siteproof.model.errors import UsageError
from tests.seeds import seed_for

from .driving import FLOWS, promised, run


@pytest.mark.parametrize("flow", FLOWS)
def test_a_short_campaign_takes_nearly_every_reachable_action(flow: str) -> None:
    result = run(flow, ModelDriver, cases=200)
    assert result.counterexample is None, result.reason
    actions, transitions, requirements = result.coverage
    assert actions.covered >= 0.9 * actions.feasible, actions.missing
    assert not set(actions.missing) & {"switch_unplanned", "commit_second_half", "finish_copy", "make_test_copy", "contact"}
    assert transitions.covered >= 0.3 * transitions.feasible
    assert requirements.covered == requirements.feasible
    assert not result.warnings


def test_the_same_seed_does_the_same() -> None:
    one, two = (run(FLOWS[0], ModelDriver, cases=10, seed=11) for _ in range(2))
    assert (one.steps, one.taken, one.coverage) == (two.steps, two.taken, two.coverage)


def test_a_run_that_saw_too_little_is_inconclusive_and_warns() -> None:
    result = run(FLOWS[0], ModelDriver, cases=0)
    assert result.outcome is Outcome.INCONCLUSIVE
    assert "no failover ever happened" in result.warnings


def test_progress_is_told_and_ends_with_done() -> None:
    events: list[CampaignEvent] = []
    campaign(FLOWS[0], ModelDriver, seed=1, max_seconds=math.inf, max_cases=3, on_event=events.append)
    assert events[-1].kind == "done"
    assert events[-1].cases == 3


def test_an_unknown_engine_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        campaign(FLOWS[0], ModelDriver, "psychic", max_cases=1)


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_every_engine_finds_an_easy_bug(engine: str) -> None:
    buggy = partial(ModelDriver, Style(), {"forward.planned_failover": True})
    result = campaign(FLOWS[0], buggy, engine, seed=seed_for(engine), max_seconds=math.inf, max_cases=2000)
    assert result.outcome is Outcome.VIOLATION
    assert result.counterexample is not None
    assert result.counterexample.minimal


@pytest.mark.parametrize("flow", FLOWS)
def test_what_a_flow_lacks_is_not_feasible(flow: str) -> None:
    feasible = explore(promised(flow))
    assert ("switch_planned" in feasible.actions) == (flow == FLOWS[1])
    assert ("fail_gateway" in feasible.actions) == (flow == FLOWS[0])
    assert not any(c == "PlannedFailover" and v == "accepted" for _, c, v in feasible.switches if flow == FLOWS[0])


def test_the_hypothesis_machine_passes_and_fails_like_a_test() -> None:
    few = settings(max_examples=5, stateful_step_count=10, database=None, deadline=None)
    run_state_machine_as_test(machine_for(FLOWS[1], ModelDriver, promised=promised(FLOWS[1])), settings=few)
    buggy = partial(ModelDriver, Style(), {"forward.planned_failover": False})
    many = settings(max_examples=400, stateful_step_count=10, database=None, deadline=None, derandomize=True,
                    phases=(Phase.generate,))
    with pytest.raises(ConformanceViolation, match="Broken: P"):
        run_state_machine_as_test(machine_for(FLOWS[1], buggy, promised=promised(FLOWS[1])), settings=many)
