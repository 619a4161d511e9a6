"""Best-first search: towards states in which a condition holds, those that lack little of it first.

Rules
1. How far a state is from a condition is what it lacks: of a conjunction all parts together, of an alternative the least, of a
   comparison of numbers how far they are apart, at most `FAR`.
2. States are taken up in the order of this distance, weighed `GREED` times, plus the steps that led to them. Every other one is
   the oldest that waits, so that a dead end does not hold the search for ever.
3. It begins at states with the runs to them. What it meets is reachable; when it meets nothing, nothing is concluded.

Source: Pohl, Heuristic search viewed as path finding in a graph (1970), for the weighing; Roeger and Helmert, The more, the
merrier (ICAPS 2010), for more than one queue.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import z3

from siteproof.model.engines.search import Path
from siteproof.model.engines.walk import Hunt
from siteproof.model.readings.python import State, expression
from siteproof.model.system import Model

__all__ = ["distance_to", "neared"]

FAR = 3
"""The most that one comparison counts."""
GREED = 4


def distance_to(model: Model, conditions: Iterable[Any]) -> Callable[[State], int]:
    """How far a state is from the nearest of `conditions`, terms over one state (rule 1); 0 exactly where one holds."""
    names = {name: f"v{at}" for at, name in enumerate(model.names)}
    inner = [_distance(node, True, names) for node in conditions]
    nearest = f"min({', '.join(inner)})" if len(inner) > 1 else inner[0]
    scope: dict[str, Any] = {}
    source = f"def distance(s):\n    {', '.join(names.values())}, = s\n    return {nearest}\n"
    exec(compile(source, "<distance>", "exec"), scope)
    return scope["distance"]  # type: ignore[no-any-return]


def _distance(node: Any, wanted: bool, names: dict[str, str]) -> str:
    """Python source of how far a state is from `node` being `wanted`."""
    if z3.is_not(node):
        return _distance(node.arg(0), not wanted, names)
    if z3.is_implies(node):
        return _distance(z3.Or(z3.Not(node.arg(0)), node.arg(1)), wanted, names)
    if z3.is_and(node) or z3.is_or(node):
        inner = [_distance(child, wanted, names) for child in node.children()]
        return f"({' + '.join(inner)})" if z3.is_and(node) == wanted else f"min({', '.join(inner)}, {FAR})"
    if z3.is_app_of(node, z3.Z3_OP_ITE):
        asked, one, other = node.children()
        both = (f"({_distance(asked, truth, names)} + {_distance(then, wanted, names)})"
                for truth, then in ((True, one), (False, other)))
        return f"min({', '.join(both)})"
    holds = expression(node, names)
    if node.num_args() == 2 and z3.is_int(node.arg(0)):
        apart = f"abs({expression(node.arg(0), names)} - {expression(node.arg(1), names)})"
        return f"(0 if bool({holds}) is {wanted} else min(max({apart}, 1), {FAR}))"
    return f"(bool({holds}) is not {wanted})"


def neared(hunt: Hunt, distance: Callable[[State], int], starts: Iterable[tuple[State, Callable[[], Path]]], *, most: int,
           enough: int) -> list[tuple[State, Path]]:
    """At most `enough` states at distance 0, each with a run to it; `most` states are entered at most."""
    instances, expand, _ = hunt
    came: dict[State, tuple[State, int] | None] = {}
    begun: dict[State, Callable[[], Path]] = {}
    nearest: list[tuple[int, int, int, State]] = []
    oldest: deque[tuple[int, State]] = deque()
    found: list[State] = []

    def enter(state: State, depth: int) -> None:
        far = distance(state)
        if far == 0:
            found.append(state)
        heapq.heappush(nearest, (GREED * far + depth, len(came), depth, state))
        oldest.append((depth, state))

    for state, run in starts:
        if state not in came:
            came[state], begun[state] = None, run
            enter(state, 0)
    taken: set[State] = set()
    turn = 0
    while nearest and len(found) < enough and len(came) < most:
        turn += 1
        if turn % 2 or not oldest:
            _, _, depth, state = heapq.heappop(nearest)
        else:
            depth, state = oldest.popleft()
        if state in taken:
            continue
        taken.add(state)
        successors: list[tuple[int, State]] = []
        expand(state, successors, [])
        for number, after in successors:
            if after not in came:
                came[after] = (state, number)
                enter(after, depth + 1)

    def path(state: State) -> Path:
        rows: list[tuple[str, tuple[int | bool, ...]]] = []
        while (before := came[state]) is not None:
            state, number = before
            rows.append((instances[number][0].name, instances[number][1]))
        return (*begun[state](), *reversed(rows))

    return [(state, path(state)) for state in found[:enough]]
