"""The internal steps that the oracle takes are those of the compiled actions, one by one, whatever job runs."""

import random

import pytest

from siteproof.model.readings.python import CompiledAction, State, compile_predicate
from siteproof.model.system import Kind
from tests.seeds import seed_for

from .driving import FLOWS, promised

WALKS, LENGTH = 40, 60


def walked(flow: str, chance: random.Random) -> set[State]:
    """States of random walks from the start."""
    compiled, found = promised(flow).compiled, set[State]()
    instances = [(a, i) for a in compiled.actions.values() for i in a.action.instances()]
    for _ in range(WALKS):
        state = compiled.initial
        for _ in range(LENGTH):
            possible = [after for a, i in instances if (after := a.step(state, *i)) is not None]
            state = chance.choice(possible)
            found.add(state)
    return found


@pytest.mark.parametrize("flow", FLOWS)
def test_steps_by_job_are_the_steps_of_the_actions(flow: str) -> None:
    seed = seed_for(f"steps {flow}")
    print(f"seed {seed}")
    level, jobs = promised(flow), set()
    internal = level.compiled.of_kind(Kind.INTERNAL)
    fair = [(a, compile_predicate(level.model, a.action.fair_when)) for a in internal if a.action.fair]
    numbered = [(n, level.compiled.actions[name]) for n, name in enumerate(level.internal_names)]
    for state in walked(flow, random.Random(seed)):
        jobs.add(state[level.at.job])
        due = [(n, a.step(state, *keeps_no_point(a))) for n, a in numbered]
        shown = [(n, after) for n, after in due if after is not None and (after != state or cuts(numbered[n][1]))]
        assert [(number, after) for number, _, after in level.steps(state)] == shown
        assert level.restless(state) == any(a.step(state, *keeps_no_point(a)) is not None and now(state) for a, now in fair)
    assert len(jobs) > 5


def keeps_no_point(action: CompiledAction) -> tuple[bool, ...]:
    return (False,) * len(action.action.parameters)


def cuts(action: CompiledAction) -> bool:
    """Whether it adds a point and does nothing else: that is seen even where the state stays."""
    return action.action.cuts_point and "job" not in action.action.changes
