"""Learning: what is guessed holds in the sample and rules out the state; what is learned is inductive; nothing false is."""

from __future__ import annotations

from itertools import product

import pytest
import z3
from hypothesis import given
from hypothesis import strategies as st

from siteproof.model.claims import Promise, always
from siteproof.model.engines.graph import explore_graph
from siteproof.model.engines.induction import holding_initially, induct, proves, relations_of
from siteproof.model.engines.learning import Atoms, Sample, learn
from siteproof.model.engines.obligations import Goal, goals_of
from siteproof.model.engines.scope import Scope
from siteproof.model.readings.smt import Named
from siteproof.model.system import Facts, Model, Step, Vocabulary, build_model, environment, flag, internal, nat
from siteproof.model.terms import And, Implies, Not

from .crowds import crowd_of


class _Lamp(Vocabulary):
    armed = flag(False, "the lamp may be lit")
    warm = flag(False, "it has been armed for a while")
    lit = flag(False, "it shines")
    count = nat(0, "how often it was armed")


@environment()
def arm(_t: Facts, w: _Lamp) -> Step:
    """It is armed."""
    return Step(requires=[Not(w.armed)], changes=[w.armed.becomes(True), w.count.becomes(w.count + 1)])


@internal()
def warm_up(_t: Facts, w: _Lamp) -> Step:
    """It gets warm."""
    return Step(requires=[w.armed], changes=[w.warm.becomes(True)])


@internal()
def light(_t: Facts, w: _Lamp) -> Step:
    """It is lit."""
    return Step(requires=[w.warm], changes=[w.lit.becomes(True)])


TRUE = Promise("L", "Lamp", "It shines only when armed.", (), (
    always("what shines is armed, and has been at least once", lambda w: Implies(w.lit, And(w.armed, w.count > 0))),))
FALSE = Promise("F", "Lamp", "It never shines.", (), (always("it never shines", lambda w: Not(w.lit)),))


@pytest.fixture
def lamp() -> Model:
    return build_model("lamp", "test", _Lamp, [arm, warm_up, light], {})


def own(claims: list[Goal]) -> list[Named]:
    return [Named("count is natural", z3.Int("count") >= 0), *(Named(goal.key, goal.built.formula) for goal in claims)]


def reached(model: Model) -> list[tuple[int | bool, ...]]:
    return explore_graph(model, Scope(more={"count": 3})).states


def sampled(model: Model, claims: list[Goal]) -> Sample:
    return Sample.of(Atoms.of(model, [goal.built.formula for goal in claims]), reached(model))


def test_a_claim_that_is_not_inductive_gets_an_invariant_that_induction_confirms(lamp: Model) -> None:
    claims = goals_of(lamp, [TRUE])
    assert not induct(lamp, own(claims)).complete
    learned = learn(lamp, own(claims), claims, relations_of(lamp), sampled(lamp, claims))
    assert learned.invariant is not None
    assert learned.ruled_out > 0
    again = induct(lamp, [Named(f"row.{at}", row.node) for at, row in enumerate(learned.invariant)])
    assert again.complete
    assert {told.answer for told in proves(lamp, again.invariant, claims).values()} == {"unsat"}


def test_of_a_claim_that_is_false_nothing_is_learned(lamp: Model) -> None:
    claims = goals_of(lamp, [FALSE])
    learned = learn(lamp, own(claims), claims, relations_of(lamp), sampled(lamp, claims))
    assert learned.invariant is None
    assert "nothing in the sample rules out" in learned.reason


def test_a_sample_that_lacks_states_misleads_nobody(lamp: Model) -> None:
    claims = goals_of(lamp, [FALSE])
    only_the_start = Sample.of(Atoms.of(lamp, [goal.built.formula for goal in claims]), [lamp.initial])
    learned = learn(lamp, own(claims), claims, relations_of(lamp), only_the_start)
    assert learned.invariant is None


STATES = list(product((False, True), (False, True), (False, True), (0, 1, 2)))


@given(st.sets(st.sampled_from(STATES), min_size=1), st.sampled_from(STATES))
def test_a_guess_holds_in_the_whole_sample_and_fails_in_the_state_and_none_that_is_short_is_missed(
        seen: set[tuple[int | bool, ...]], state: tuple[int | bool, ...]) -> None:
    model = build_model("lamp", "test", _Lamp, [arm, warm_up, light], {})
    sample = Sample.of(Atoms.of(model, [goal.built.formula for goal in goals_of(model, [TRUE])]), seen)
    found = sample.excluding(state, 10_000)
    told = sample.atoms.told

    def holds(clause: frozenset[tuple[int, bool]], one: tuple[int | bool, ...]) -> bool:
        return any(told(one)[at] == truth for at, truth in clause)

    for clause in found:
        assert not holds(clause, state)
        assert all(holds(clause, one) for one in seen)
        assert sample.holds(clause)
    here = told(state)
    alone = {frozenset({(at, not here[at])}) for at in range(len(here)) if all(told(one)[at] != here[at] for one in seen)}
    assert alone <= set(found)
    if state in seen:
        assert found == []


def test_in_a_crowd_a_guess_is_made_of_all_machines() -> None:
    model = crowd_of("gateway")
    atoms = Atoms.of(model, [])
    assert len(atoms.symmetries) == 5
    sample = Sample.of(atoms, [model.initial])
    mine = next(at for at, node in enumerate(atoms.nodes) if node.sexpr().startswith(("a.", "(= a.")))
    clause = frozenset({(mine, bool(atoms.told(model.initial)[mine]))})
    images = set(sample.alike(clause))
    assert {str(sample.said(one).node).replace("b.", "a.").replace("other.", "a.") for one in images} == {
        str(sample.said(clause).node)}
    assert len(images - {clause}) == 2


def test_only_what_holds_at_the_start_is_a_candidate(lamp: Model) -> None:
    rows = [Named("yes", z3.Not(z3.Bool("lit"))), Named("no", z3.Int("count") > 0)]
    assert [row.name for row in holding_initially(lamp, rows)] == ["yes"]
