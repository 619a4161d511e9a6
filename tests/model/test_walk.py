"""Walks: they go deep, stay inside the scope, say only what can happen, and are the same everywhere."""

from __future__ import annotations

import pytest
import z3

from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Target, search
from siteproof.model.engines.traces import replay
from siteproof.model.engines.walk import met
from siteproof.model.promise import LEVEL
from siteproof.model.readings.python import compile_model, compile_predicate
from siteproof.model.system import Model

from .proving import H2S, V2A, goals, model_of

SMALL = Scope(writes=1, failovers=1)


def taken(model: Model) -> list[Target]:
    return [Target(action.name, z3.BoolVal(True), True, (action.name,)) for action in model.actions]


@pytest.mark.parametrize(("flow", "never"), [
    (V2A, {"planned_failover", "stop_source", "switch_planned", "flush_before_stop", "fail_planned", "fail_planned_restarting",
           "accept_former_source", "leak_test_write"}),
    (H2S, {"complete_migration", "fail_gateway", "heal_gateway", "accept_former_source", "leak_test_write"}),
])
def test_a_walk_takes_nearly_every_action_and_none_that_a_flow_does_not_have(flow: str, never: set[str]) -> None:
    model = model_of(flow)
    seen = met(model, taken(model), LEVEL.wide.widened(1))
    assert seen.keys().isdisjoint(never)
    assert len(seen) >= len(model.actions) - len(never) - 2


def test_what_a_walk_meets_a_search_of_the_same_scope_meets_too() -> None:
    model = model_of(V2A)
    seen = met(model, taken(model), SMALL, steps=2_000)
    found = search(model, [one for one in taken(model) if one.key in seen], SMALL).found
    assert seen.keys() == found.keys()
    assert all(len(seen[key]) >= len(path) for key, path in found.items())


def test_a_walk_stays_in_its_scope() -> None:
    model = model_of(V2A)
    beyond = [Target("far", model.vocabulary().head.node > 1), Target("near", model.vocabulary().head.node == 1)]
    assert met(model, beyond, SMALL, steps=3_000).keys() == {"near"}


def test_the_same_seed_walks_alike() -> None:
    model = model_of(V2A)
    assert met(model, taken(model), SMALL, steps=300, seed=3) == met(model, taken(model), SMALL, steps=300, seed=3)


def test_the_initial_state_counts() -> None:
    model = model_of(V2A)
    assert met(model, [Target("start", model.vocabulary().head.node == 0)], SMALL, steps=1) == {"start": ()}


@pytest.mark.parametrize("flow", [V2A, H2S])
def test_each_premise_that_is_met_holds_at_the_end_of_its_run(flow: str) -> None:
    model = model_of(flow)
    compiled = compile_model(model)
    premises = [Target(one.key, one.built.premise, one.claim.is_step, one.claim.on) for one in goals(model)]
    found = met(model, premises, LEVEL.wide.widened(1))
    assert len(found) > 0.9 * len(premises)
    for target in (one for one in premises if one.key in found):
        states = replay(compiled, found[target.key])
        holds = compile_predicate(model, target.node, primed=target.is_step)
        assert holds(*states[-2:]) if target.is_step else holds(states[-1])
        assert target.on is None or found[target.key][-1][0] in target.on
        assert len(set(states[:-1])) == len(states[:-1])
