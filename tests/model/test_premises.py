"""What claims presuppose: met by a run, proved never to hold, or open; for premises and for the parts of conclusions."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from siteproof.model.claims import Claim, Promise, always, built
from siteproof.model.engines.obligations import Goal
from siteproof.model.premises import Premises, parts_of
from siteproof.model.promise import LEVEL
from siteproof.model.promise.vocabulary import Failover, Job, Machine, Protection
from siteproof.model.readings.python import compile_model, compile_predicate
from siteproof.model.readings.smt import Named
from siteproof.model.terms import And, Bool, If, Implies, Not, Or
from siteproof.model.witness import known_invariant

from .proving import H2S, V2A, model_of


def moved(m: Machine) -> Bool:
    return m.failover == Failover.PLANNED


def unheard_of(m: Machine) -> Bool:
    """Contradicts the lemma that a job ends with the migration."""
    return And(m.failover == Failover.COMPLETED, m.job == Job.COMMIT)


def goal_of(flow: str, claim: Claim) -> Goal:
    promise = Promise("P0", "a claim of the test", claim.name, (), (claim,))
    return Goal(promise, built(model_of(flow), claim))


def settled(flow: str, goal: Goal) -> Premises:
    model = model_of(flow)
    invariant = known_invariant(LEVEL, model)

    def strengthen(_rows: Sequence[Named]) -> tuple[Named, ...]:
        return invariant

    premises = Premises(LEVEL, model, [goal], lambda _line: None, time.perf_counter() + 60.0)
    premises.walk()
    premises.settle([goal], invariant, strengthen, first=20_000, deep=20_000)
    return premises


@pytest.mark.parametrize(("condition", "told"), [(moved, False), (unheard_of, True)])
def test_a_part_that_presupposes_what_never_holds_is_named_and_another_is_not(condition: object, told: bool) -> None:
    goal = goal_of(H2S, always("told apart", lambda m: And(Implies(condition(m), Not(m.half)), m.epoch >= 1)))  # type: ignore[operator]
    premises = settled(H2S, goal)
    assert goal.key in premises.runs
    assert bool(premises.idle(goal)) is told
    if told:
        assert premises.idle(goal) == ("“if failover is completed and job is Commit”, which never holds here (proved)",)


def test_a_part_is_met_only_where_the_premise_holds_as_well() -> None:
    """Machines that are protected are met, and machines that are being enabled; none that is both."""
    goal = goal_of(H2S, always("both", lambda m: Implies(m.job == Job.ENABLE, m.half),
                               given=lambda m: m.protection == Protection.PROTECTED))
    assert [row.rpartition(", which ")[2] for row in settled(H2S, goal).idle(goal)] == ["never holds here (proved)"]


def test_the_run_to_a_part_ends_where_it_holds() -> None:
    model = model_of(H2S)
    goal = goal_of(H2S, always("moved", lambda m: Implies(moved(m), m.epoch >= 1)))
    (part,) = parts_of(model, goal)
    state, compiled = model.initial, compile_model(model)
    for name, arguments in settled(H2S, goal).runs[part.key]:
        after = compiled.actions[name].step(state, *arguments)
        assert after is not None
        state = after
    assert compile_predicate(model, part.node)(state)


def test_parts_that_the_facts_decide_are_none() -> None:
    claim = always("decided", lambda m: And(Implies(m.gateway_up, m.epoch >= 1), Implies(Bool(True), m.epoch >= 1)))
    assert len(parts_of(model_of(V2A), goal_of(V2A, claim))) == 1


def test_conditions_under_conditions_are_parts_with_them() -> None:
    claim = always("nested", lambda m: Implies(moved(m), And(Implies(m.half, m.running), m.epoch >= 1)))
    first, second = parts_of(model_of(H2S), goal_of(H2S, claim))
    assert first.condition.sexpr() in second.node.sexpr()
    assert (first.inside, second.inside) == ("", first.key)
    nested = goal_of(H2S, always("both", lambda m: And(Implies(unheard_of(m), Implies(m.half, m.running)), m.epoch >= 1)))
    assert len(settled(H2S, nested).idle(nested)) == 1


def test_an_if_in_other_words_is_an_if_and_a_choice_of_terms_is_none() -> None:
    goal = goal_of(H2S, always("said otherwise", lambda m: And(Or(Not(unheard_of(m)), m.running), m.epoch >= 1)))
    assert len(settled(H2S, goal).idle(goal)) == 1
    chosen = goal_of(H2S, always("chosen", lambda m: And(If(unheard_of(m), m.running, m.epoch >= 1), m.epoch >= 1)))
    assert parts_of(model_of(H2S), chosen) == []
