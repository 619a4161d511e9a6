"""Breadth-first search: all of a scope, shortest paths, and agreement with the other engines."""

from __future__ import annotations

import json

import attrs
import pytest
import z3

from siteproof.model.engines.bounded import unroll
from siteproof.model.engines.itf import itf_json
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Target, search
from siteproof.model.engines.traces import ReplayError, counterexample, replay, trace_of
from siteproof.model.mutation import without_guard
from siteproof.model.promise import LEVEL
from siteproof.model.readings.python import compile_model
from siteproof.model.system import Model
from tests.soak import soak

from .proving import H2S, V2A, goal, goals, model_of, violations

SMALL = Scope(writes=1, failovers=1, cached=0, more=dict.fromkeys((
    "reboots", "passive_reboots", "resync", "doubt", "spoiled", "app", "test", "point"), 0))
SMALLEST = attrs.evolve(SMALL, writes=0)


def plain(model: Model, scope: Scope) -> tuple[int, int, dict[str, int]]:
    """States, depth and the first time each action is taken, by the plainest search there is."""
    compiled, bounds = compile_model(model), scope.bounds(model)
    limits = [(compiled.position[name], most) for name, most in bounds.items()]
    seen, level, depth, taken = {compiled.initial}, [compiled.initial], 0, {}
    while level:
        following = []
        for state in level:
            for action in compiled.actions.values():
                for arguments in action.action.instances():
                    after = action.step(state, *arguments)
                    if after is None or any(after[at] > most for at, most in limits):
                        continue
                    taken.setdefault(action.name, depth + 1)
                    if after not in seen:
                        seen.add(after)
                        following.append(after)
        depth += bool(following)
        level = following
    return len(seen), depth, taken


@pytest.mark.parametrize(("flow", "scope"), [
    (V2A, SMALLEST), pytest.param(V2A, SMALL, marks=soak), pytest.param(H2S, SMALL, marks=soak)],
    ids=["smallest", V2A, H2S])
def test_the_generated_search_sees_what_a_plain_one_sees(flow: str, scope: Scope) -> None:
    model = model_of(flow)
    targets = [Target(a.name, z3.BoolVal(True), True, (a.name,)) for a in model.actions]
    found = search(model, targets, scope, explore_all=True)
    states, depth, taken = plain(model, scope)
    assert (found.states, found.depth, found.exhausted, found.stopped) == (states, depth, True, "")
    assert {name: len(path) for name, path in found.found.items()} == taken


def test_the_size_of_a_scope_is_known_and_it_violates_no_proved_claim() -> None:
    model = model_of(V2A)
    found = search(model, violations(model), LEVEL.scopes[0], explore_all=True)
    assert (found.states, found.edges, found.depth, found.deadlocks) == (161_452, 933_745, 38, 0)
    assert found.exhausted
    assert not found.found


def test_a_smaller_scope_with_planned_failovers_violates_no_proved_claim() -> None:
    model = model_of(H2S)
    found = search(model, violations(model), SMALL, explore_all=True)
    assert (found.states, found.edges, found.depth, found.deadlocks) == (16_032, 62_678, 29, 0)
    assert found.exhausted
    assert not found.found


def test_a_bound_is_told_and_is_no_exhaustion() -> None:
    model = model_of(V2A)
    assert search(model, violations(model), SMALL, max_states=100).stopped == "at most 100 states"
    cut = search(model, violations(model), SMALL, max_depth=3)
    assert (cut.stopped, cut.exhausted, cut.depth) == ("at most 3 steps", False, 3)


def test_a_target_of_the_initial_state_needs_no_step() -> None:
    model = model_of(V2A)
    assert search(model, [Target("start", z3.Bool("running"))], SMALL).found == {"start": ()}


@pytest.mark.parametrize(("flow", "fact", "key", "length"), [
    (H2S, "planned.drains", "P1.every-acknowledged-write-is-on-the-new-side", 7),
    (H2S, "planned.stops_source", "P3.never-both-sides-after-a-planned-failover", 5),
    (V2A, "returning.fenced_first", "P3.both-sides-run-only-while-the-old-one-has-not-been-contacted", 6),
    (V2A, "returning.epoch_checked", "P20.not-on-the-machine-s-disk", 7),
])
def test_search_and_unrolling_agree_on_the_shortest_counterexample(flow: str, fact: str, key: str, length: int) -> None:
    model = model_of(flow, (fact, False))
    wrong = goal(model, key)
    found = search(model, violations(model), Scope(), max_states=50_000).found[key]
    unrolled = unroll(model, wrong, max_depth=length)
    assert unrolled.path is not None
    assert len(found) == len(unrolled.path) == length
    compiled = compile_model(model)
    for path in (found, unrolled.path):
        assert len(counterexample(compiled, wrong, path, shortest=True, method="test").steps) == length


def test_unrolling_finds_nothing_where_the_claim_is_proved() -> None:
    model = model_of(V2A)
    told = unroll(model, goal(model, "P3.both-sides-run-only-while-the-old-one-has-not-been-contacted"), max_depth=5)
    assert (told.path, told.depth, told.reason) == (None, 5, "at most 5 steps")


def test_a_path_that_does_not_replay_is_never_shown() -> None:
    model = model_of(V2A)
    compiled = compile_model(model)
    with pytest.raises(ReplayError, match="step 1 of a path, commit, is refused"):
        replay(compiled, (("commit", ()),))
    with pytest.raises(ReplayError, match="should refute"):
        counterexample(compiled, goals(model)[0], (("write", (True,)),), shortest=True, method="test")


def test_a_counterexample_names_the_part_that_fails_and_its_values() -> None:
    model = without_guard(model_of(H2S), "switch_planned", 4)
    key = "P1.every-acknowledged-write-is-on-the-new-side"
    path = search(model, violations(model), Scope(), max_states=50_000).found[key]
    trace = counterexample(compile_model(model), goal(model, key), path, shortest=True, method="test")
    assert trace.conclusion == (
        "P1 is broken: “every acknowledged write is on the new side” fails. Required: the machine's disk holds the marked "
        "write afterwards. Found: the marked write is written, the machine's disk does not hold the marked write afterwards.")
    assert [step.action for step in trace.steps][-1] == "switch_planned"
    assert trace.steps[-1].changed["x_active"] is False


def test_a_trace_is_written_as_itf() -> None:
    model = model_of(V2A)
    path = search(model, [Target("moved", z3.Int("active") == 1)], Scope()).found["moved"]
    trace = trace_of(compile_model(model), path, "the machine has moved", shortest=True, method="test")
    told = json.loads(itf_json(trace, model.name))
    assert told["vars"] == list(model.names)
    assert len(told["states"]) == len(trace.steps) + 1 == 6
    assert told["states"][0]["head"] == {"#bigint": "0"}
    assert told["states"][-1]["active"] == "recovery"
    assert told["states"][-1]["epoch"] == {"#bigint": "2"}
    assert told["states"][-1]["#meta"] == {"index": 5, "action": "switch_unplanned", "arguments": {}}
    assert told["states"][4]["#meta"]["arguments"] == {"point": "latest"}
    assert told["#meta"]["description"] == "the machine has moved"
