"""What a proof looks at: which values of a topology can change a verdict at all.

Rules
1. A level's model is built from the facts of a topology. A fact is *read* where it occurs in a precondition, an effect or a
   fairness condition as written, in a claim's `needs`, or in what a level needs to apply. Nothing else of a topology reaches
   a model: links, components and policies are held to rules, not to promises.
2. What no level reads cannot change a verdict; a review says so instead of showing a table in which nothing moves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from siteproof.model.levels import levels
from siteproof.model.system import FACT_PREFIX, Facts, constants_of
from siteproof.model.topology import Topology

__all__ = ["facts_read"]


def facts_read(topology: Topology) -> frozenset[str]:
    """The facts, by dotted name, that the levels of this flow read."""
    known, nodes = Facts(topology.facts), list[Any]()
    for one in levels():
        if one.needs is not None:
            nodes.append(one.needs(known).node)
        if not one.applies(topology.facts):
            continue
        for action in one.build(topology.id, topology.facts).actions:
            nodes += [guard.written for guard in action.guards]
            nodes += action.written_changes.values()
        nodes += [claim.needs(known).node for promise in one.promises for claim in promise.claims if claim.needs is not None]
    return _facts_of(nodes)


def _facts_of(nodes: Iterable[Any]) -> frozenset[str]:
    names = set[str]().union(*(constants_of(node) for node in nodes))
    return frozenset(name.removeprefix(FACT_PREFIX) for name in names if name.startswith(FACT_PREFIX))
