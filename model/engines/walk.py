"""Walks: long runs of a model that are drawn, to meet what lies too deep for a search.

Rules
1. A walk takes one possible step after another and looks at each state and step for its targets. It says only what *can*
   happen: whatever a walk meets is reachable, and what it does not meet may be so as well.
2. What has been taken often is taken more seldom, and the world's faults seldomer than requests and the system's own steps:
   unweighted faults would keep the system broken, and no walk would get far.
3. Everything is decided by a fixed seed and a number of steps, never by a clock: the same model is walked alike everywhere.
4. A walk stays within a scope and starts again from the beginning when it is stuck or has become long.
5. What it answers is a run to each target, with all that went round in circles left out. It is not the shortest there is.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Path, Target, hunt
from siteproof.model.system import Kind, Model

__all__ = ["met"]

WEIGHTS = {Kind.COMMAND: 4.0, Kind.INTERNAL: 6.0, Kind.ENVIRONMENT: 1.0}
HEALS = 3.0
LONGEST = 150
"""Steps of one walk; a whole round trip with a failback takes about thirty."""

LEG = 10_000
"""Steps after which the drawing begins anew."""


def met(model: Model, targets: Iterable[Target], scope: Scope, *, steps: int = 30_000, seed: int = 3) -> dict[str, Path]:
    """Those `targets`, by key, that are met within `steps` steps in `scope`, with a run to each. Now and then it forgets what it
    has taken, so that what one drawing misses another one may meet."""
    wanted = tuple(targets)
    instances, expand, check = hunt(model, wanted, scope, {})
    weights = [HEALS if action.heals else WEIGHTS[action.kind] for action, _ in instances]
    found: dict[str, Path] = dict.fromkeys(check(model.initial), ())
    state, run, length = model.initial, {model.initial: 0}, 0
    gone: list[int] = []  # the numbers of the steps to `state`, without circles; `run` has the states on the way

    def path(*last: int) -> Path:
        return tuple((instances[number][0].name, instances[number][1]) for number in (*gone, *last))

    for at in range(steps):
        if at % LEG == 0:
            taken, draw = [0] * len(instances), random.Random(seed + at)
        if len(found) == len(wanted):
            break
        successors: list[tuple[int, tuple[int | bool, ...]]] = []
        hits: list[tuple[str, int]] = []
        expand(state, successors, hits)
        for key, number in hits:
            if key not in found:
                found[key] = path(number)
        if not successors or length >= LONGEST:
            state, run, length, gone = model.initial, {model.initial: 0}, 0, []
            continue
        chances = [weights[number] / (1 + taken[number]) for number, _ in successors]
        number, state = draw.choices(successors, chances)[0]
        taken[number] += 1
        length += 1
        gone.append(number)
        if (back := run.get(state)) is not None:
            del gone[back:]
            run = {one: at for one, at in run.items() if at <= back}
        else:
            run[state] = len(gone)
        for key in check(state):
            if key not in found:
                found[key] = path()
    return found
