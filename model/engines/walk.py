"""Walks: long runs of a model that are drawn, to meet what lies too deep for a search.

Rules
1. A walk takes one possible step after another and looks at each state and step for its targets. It says only what *can*
   happen: whatever a walk meets is reachable, and what it does not meet may be so as well.
2. What has been taken often is taken more seldom, and the world's faults seldomer than requests and the system's own steps:
   unweighted faults would keep the system broken, and no walk would get far.
3. Everything is decided by a fixed seed and a number of steps, never by a clock: the same model is walked alike everywhere.
4. A walk stays within a scope and starts again from the beginning when it is stuck or has become long.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Target, hunt
from siteproof.model.system import Kind, Model

__all__ = ["met"]

WEIGHTS = {Kind.COMMAND: 4.0, Kind.INTERNAL: 6.0, Kind.ENVIRONMENT: 1.0}
HEALS = 3.0
LONGEST = 150
"""Steps of one walk; a whole round trip with a failback takes about thirty."""


def met(model: Model, targets: Iterable[Target], scope: Scope, *, steps: int = 20_000, seed: int = 1) -> frozenset[str]:
    """The keys of those `targets` that are met within `steps` steps in `scope`."""
    wanted = tuple(targets)
    instances, expand, check = hunt(model, wanted, scope, {})
    weights = [HEALS if action.heals else WEIGHTS[action.kind] for action, _ in instances]
    taken, draw = [0] * len(instances), random.Random(seed)
    found = set(check(model.initial))
    state, length = model.initial, 0
    for _ in range(steps):
        if len(found) == len(wanted):
            break
        successors: list[tuple[int, tuple[int | bool, ...]]] = []
        hits: list[tuple[str, int]] = []
        expand(state, successors, hits)
        found.update(key for key, _number in hits)
        if not successors or length >= LONGEST:
            state, length = model.initial, 0
            continue
        chances = [weights[number] / (1 + taken[number]) for number, _ in successors]
        number, state = draw.choices(successors, chances)[0]
        taken[number] += 1
        length += 1
        found.update(check(state))
    return frozenset(found)
