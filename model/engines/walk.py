"""Walks: long runs of a model that are drawn, to meet what lies too deep for a search.

Rules
1. A walk takes one possible step after another and looks at each state and step for its targets. It says only what *can*
   happen: whatever a walk meets is reachable, and what it does not meet may be so as well.
2. What has been taken often is taken more seldom, and the world's faults seldomer than requests and the system's own steps:
   unweighted faults would keep the system broken, and no walk would get far.
3. Everything is decided by a fixed seed and a number of steps, never by a clock: the same model is walked alike everywhere.
4. A walk stays within a scope and starts again from one of its starts when it is stuck or has become long. Other starts than
   the initial state come with a run that leads there.
5. It remembers how each state was first entered. So the run that it answers has no circles; it is not the shortest there is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Path, Target, hunt
from siteproof.model.readings.python import State
from siteproof.model.system import Action, Kind, Model

__all__ = ["Hunt", "Walked", "met", "walked"]

WEIGHTS = {Kind.COMMAND: 4.0, Kind.INTERNAL: 6.0, Kind.ENVIRONMENT: 1.0}
HEALS = 3.0
LONGEST = 150
"""Steps of one walk; a whole round trip with a failback takes about thirty."""

LEG = 10_000
"""Steps after which the drawing begins anew."""

Hunt = tuple[list[tuple[Action, tuple[int | bool, ...]]], Callable[..., Any], Callable[[State], list[str]]]
"""What `siteproof.model.engines.search.hunt` answers."""


@attrs.frozen(eq=False)
class Walked:
    """What was met: `found` has a run to each target that was. `came` has every state that was entered, with the state before and
    the number of the step in `instances`; a start has None, and `before` its run."""

    found: dict[str, Path]
    instances: list[tuple[Action, tuple[int | bool, ...]]]
    came: dict[State, tuple[State, int] | None]
    before: dict[State, Path]

    def path(self, state: State, *last: int) -> Path:
        """The run by which `state` was first entered, and then steps by their numbers."""
        rows = list(last)
        while (step := self.came[state]) is not None:
            state, number = step
            rows.insert(0, number)
        return self.before[state] + tuple((self.instances[one][0].name, self.instances[one][1]) for one in rows)


def met(model: Model, targets: Iterable[Target], scope: Scope, *, steps: int = 30_000, seed: int = 3) -> dict[str, Path]:
    """Those `targets`, by key, that are met within `steps` steps in `scope`, with a run to each."""
    return walked(model, targets, scope, steps=steps, seed=seed).found


def walked(model: Model, targets: Iterable[Target], scope: Scope, *, steps: int, seed: int = 3, first: bool = False,
           starts: Sequence[tuple[State, Path]] = (), how: Hunt | None = None) -> Walked:
    """Walk `steps` steps in `scope`, or until all `targets` are met, if there are any; `first`: until one is. It begins at each
    of `starts`, states with the runs to them, as often as at the initial state. `how` is a hunt for the targets, for a caller
    who has one; it may look for others as well. Now and then it forgets what it has taken, so that what one drawing misses
    another one may meet."""
    wanted = tuple(targets)
    keys = {one.key for one in wanted}
    instances, expand, check = how or hunt(model, wanted, scope, {})
    weights = [HEALS if action.heals else WEIGHTS[action.kind] for action, _ in instances]
    begin = [model.initial, *(state for state, _ in starts)]
    it = Walked({key: () for key in check(model.initial) if key in keys}, instances, dict.fromkeys(begin),
                {**dict(starts), model.initial: ()})
    found, came = it.found, it.came
    enough = 1 if first else len(wanted)
    length, begun, state = 0, 0, model.initial
    for at in range(steps):
        if at % LEG == 0:
            taken, draw = [0] * len(instances), random.Random(seed + at)
        if wanted and len(found) >= enough:
            break
        successors: list[tuple[int, State]] = []
        hits: list[tuple[str, int]] = []
        expand(state, successors, hits)
        for key, number in hits:
            if key in keys and key not in found:
                found[key] = it.path(state, number)
        if not successors or length >= LONGEST:
            begun, length = begun + 1, 0
            state = begin[begun % len(begin)]
            continue
        chances = [weights[number] / (1 + taken[number]) for number, _ in successors]
        number, after = draw.choices(successors, chances)[0]
        taken[number] += 1
        length += 1
        if after not in came:
            came[after] = (state, number)
            for key in check(after):
                if key in keys and key not in found:
                    found[key] = it.path(after)
        state = after
    return it
