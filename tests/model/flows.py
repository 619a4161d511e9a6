"""Shared by the tests of levels: of the six flows those whose models differ, so that the same proof is made once."""

from __future__ import annotations

from functools import cache

from siteproof.model.engines.obligations import goals_of
from siteproof.model.levels import level
from siteproof.model.readings.smt import smtlib
from siteproof.model.topology import builtin_topologies, load_topology

__all__ = ["alike", "different"]


@cache
def alike(id: str) -> tuple[tuple[str, ...], ...]:
    """The flows in which the level called `id` applies, those together whose models are the same to the letter, their names and
    words apart: variables, actions, preconditions, effects, and claims."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for flow in builtin_topologies():
        facts = load_topology(flow).facts
        if level(id).applies(facts):
            model = level(id).build(flow, facts)
            key = (model.names, model.initial, tuple(
                (action.name, tuple((guard.code, smtlib(guard.folded)) for guard in action.guards),
                 tuple((name, smtlib(node)) for name, node in action.changes.items()), smtlib(action.fair_when))
                for action in model.actions), tuple(
                (goal.key, goal.built.applies, smtlib(goal.built.formula)) for goal in goals_of(model, level(id).promises)))
            groups.setdefault(key, []).append(flow)
    return tuple(tuple(flows) for flows in groups.values())


def different(id: str) -> tuple[str, ...]:
    """One flow of each kind: what is proved of it at this level is proved of the others."""
    return tuple(flows[0] for flows in alike(id))
