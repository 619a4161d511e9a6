"""What a flow offers: P11 and P18 follow from what the actions say, and break when an action or a fact no longer says it."""

from __future__ import annotations

import attrs
import pytest

from siteproof.model.engines.induction import proves
from siteproof.model.engines.obligations import Goal, goals_of
from siteproof.model.promise.promises_of_offers import P11, P18
from siteproof.model.readings.smt import typing
from siteproof.model.system import Model
from siteproof.model.topology import builtin_topologies

from .proving import H2S, V2A, model_of


def applicable(model: Model) -> list[Goal]:
    return [goal for goal in goals_of(model, [P11, P18]) if goal.built.applies]


def broken(model: Model, goals: list[Goal]) -> set[str]:
    """Names of the claims that do not follow from what the actions of `model` say, without any invariant."""
    answers = proves(model, typing(model), goals)
    return {goal.built.name for goal in goals if answers[goal.key].answer != "unsat"}


def without(model: Model, action: str, code: str) -> Model:
    changed = [attrs.evolve(a, guards=tuple(g for g in a.guards if a.name != action or g.code != code)) for a in model.actions]
    return attrs.evolve(model, actions=tuple(changed))


@pytest.mark.parametrize("flow", list(builtin_topologies()))
def test_all_follow_from_what_the_actions_say(flow: str) -> None:
    model = model_of(flow)
    assert len(applicable(model)) > 15
    assert broken(model, applicable(model)) == set()


@pytest.mark.parametrize("flow", list(builtin_topologies()))
def test_each_operation_is_either_granted_or_refused_in_each_direction(flow: str) -> None:
    names = [goal.built.name for goal in applicable(model_of(flow))]
    granted = [name for name in names if "is granted" in name]
    refused = [name for name in names if name.endswith("is never granted")]
    assert len(granted) + len(refused) == 9


def test_the_matrix_of_a_flow_is_that_of_the_documents() -> None:
    names = {goal.built.name for goal in applicable(model_of(V2A))}
    assert "a planned failover to recovery is never granted" in names  # V2A-44
    assert "a planned failover back to primary is never granted" in names  # V2A-50
    assert "a committed failback ends protection" in names  # V2A-52
    names = {goal.built.name for goal in applicable(model_of(H2S))}
    assert "a planned failover leaves the machine protected" in names  # H2S-28
    assert "an unplanned failover leaves the machine unprotected" in names  # H2S-27


def test_an_offer_that_is_not_checked_for_breaks_the_matrix() -> None:
    wrong = without(model_of(V2A), "planned_failover", "OperationNotSupported")
    assert broken(wrong, applicable(wrong)) == {
        "a planned failover to recovery is never granted", "a planned failover back to primary is never granted"}


def test_a_request_that_is_carried_out_in_spite_of_a_precondition_breaks_p11() -> None:
    documented = model_of(V2A)
    assert broken(without(documented, "commit", "NoFailoverToCommit"), applicable(documented)) >= {
        "Commit is carried out only where all of its preconditions hold"}


def test_a_what_if_moves_the_matrix_with_the_facts() -> None:
    names = {goal.built.name for goal in applicable(
        model_of(V2A, ("forward.planned_failover", True), ("planned.leaves_protected", True)))}
    assert "a planned failover to recovery is granted to a machine that waits for it" in names
    assert "a planned failover leaves the machine protected" in names
