"""Best-first search: distances that are 0 exactly where a condition holds, and states that a plain walk seldom meets."""

from __future__ import annotations

from functools import cache

import z3
from hypothesis import given

from siteproof.model.engines.nearing import distance_to, neared
from siteproof.model.engines.search import hunt
from siteproof.model.engines.walk import Hunt
from siteproof.model.promise import LEVEL
from siteproof.model.readings.python import compile_predicate
from siteproof.model.system import Model

from .proving import H2S, model_of, states

MODEL = model_of(H2S)


@cache
def hunted() -> Hunt:
    return hunt(MODEL, (), LEVEL.wide, {})


def conditions(model: Model) -> list[z3.BoolRef]:
    """Every precondition of every action that has no arguments, and its denial."""
    own = [guard.folded for action in model.actions if not action.parameters for guard in action.guards]
    return [*own, *(z3.Not(node) for node in own)]


CONDITIONS = conditions(MODEL)
HOLD = [compile_predicate(MODEL, node) for node in CONDITIONS]
FAR = [distance_to(MODEL, [node]) for node in CONDITIONS]


@given(states(MODEL))
def test_a_distance_is_0_exactly_where_the_condition_holds(state: tuple[int | bool, ...]) -> None:
    assert [far(state) == 0 for far in FAR] == [bool(holds(state)) for holds in HOLD]
    both = distance_to(MODEL, CONDITIONS[:2])
    assert both(state) == min(FAR[0](state), FAR[1](state))


def test_what_is_found_is_reachable_by_the_run_that_is_told() -> None:
    distance = distance_to(MODEL, [MODEL.action("commit_second_half").enabled])
    found = neared(hunted(), distance, [(MODEL.initial, tuple)], most=50_000, enough=3)
    assert len(found) == 3
    instances, expand, _ = hunted()
    for state, run in found:
        assert distance(state) == 0
        at = MODEL.initial
        for name, arguments in run:
            successors: list[tuple[int, tuple[int | bool, ...]]] = []
            expand(at, successors, [])
            its = {number for number, (action, given) in enumerate(instances) if (action.name, given) == (name, arguments)}
            at = next(after for number, after in successors if number in its)
        assert at == state
