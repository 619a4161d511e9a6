"""The graph of a scope: every state, every step, kept for questions that a search cannot answer.

Rules
1. States are numbered in the order of their distance from where the exploration began, so the first state of a kind has a
   shortest path among its kind.
2. A step that leaves the scope is counted by action and remembered by state, never followed: what is said of the graph is said
   of the scope, and who asks about a state from which something leads out of it can see that.
3. `components` are the strongly connected ones, each before those that lead to it, so that a ranking is one pass over them.

Source: Tarjan, Depth-first search and linear graph algorithms (SIAM J. Comput. 1972).
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Path, expansion
from siteproof.model.readings.python import State
from siteproof.model.system import Action, Model

__all__ = ["Graph", "components", "explore_graph", "shortest"]


@attrs.frozen(eq=False)
class Graph:
    """What was reached. Steps of state `i` are those numbered `first[i]` to `first[i + 1]`, each with its `target` and the number
    of its action and arguments in `instances`; of the first `expanded` states they are known. `left` counts by instance the
    steps that leave the scope, `edge` holds by state the instances that do. `stopped` names the bound that ended the exploration;
    empty when the scope was exhausted."""

    model: Model
    scope: Scope
    instances: list[tuple[Action, tuple[int | bool, ...]]]
    states: list[State]
    number: dict[State, int]
    starts: int
    expanded: int
    parents: array[int]
    via: array[int]
    first: array[int]
    targets: array[int]
    taken: array[int]
    left: Counter[int]
    edge: dict[int, tuple[int, ...]]
    depth: int
    stopped: str
    seconds: float

    def steps(self, state: int) -> Iterator[tuple[int, int]]:
        """The steps of a state: instance and target."""
        at, end = self.first[state], self.first[state + 1]
        return zip(self.taken[at:end], self.targets[at:end], strict=True)

    def path(self, state: int) -> tuple[int, list[int]]:
        """Where a shortest path to `state` starts, and its instances."""
        rows = []
        while self.parents[state] >= 0:
            rows.append(self.via[state])
            state = self.parents[state]
        return state, rows[::-1]

    def named(self, instances: Iterable[int]) -> Path:
        """Instances as names of actions with coded arguments."""
        return tuple((self.instances[one][0].name, self.instances[one][1]) for one in instances)


def explore_graph(model: Model, scope: Scope, starts: Sequence[State] | None = None, *,
                  farther: Callable[[Action], bool] | None = None, far: Scope | None = None, max_states: int | None = None,
                  max_seconds: float | None = None, tick: Callable[[int, int], None] | None = None) -> Graph:
    """Everything that is reachable in `scope` from `starts` (the initial state when None); actions for which `farther` holds may
    go as far as `far`, the others only from and to states in `scope`. `tick` is called after each level with
    the number of states and the depth."""
    began = time.perf_counter()
    instances, expand = expansion(model, scope, farther, far)
    states: list[State] = list(dict.fromkeys(starts if starts is not None else [model.initial]))
    number = {state: at for at, state in enumerate(states)}
    parents, via = array("q", [-1]) * len(states), array("l", [-1]) * len(states)
    first, targets, taken = array("q", [0]), array("q"), array("l")
    left: Counter[int] = Counter()
    edge: dict[int, tuple[int, ...]] = {}
    begun, level, depth, stopped = len(states), 0, 0, ""
    while level < len(states) and not stopped:
        end = len(states)
        for index in range(level, end):
            inside: list[tuple[int, State]] = []
            beyond: list[tuple[int, State]] = []
            expand(states[index], inside, beyond)
            for instance, state in inside:
                target = number.get(state)
                if target is None:
                    target = number[state] = len(states)
                    states.append(state)
                    parents.append(index)
                    via.append(instance)
                targets.append(target)
                taken.append(instance)
            first.append(len(targets))
            if beyond:
                edge[index] = tuple(instance for instance, _ in beyond)
                left.update(edge[index])
            if max_states is not None and len(states) > max_states:
                stopped = f"at most {max_states:,} states"
                break
            if index & 1023 == 0 and max_seconds is not None and time.perf_counter() - began > max_seconds:
                stopped = f"at most {max_seconds:g} s"
                break
        level = end
        depth += len(states) > end
        if tick:
            tick(len(states), depth)
    expanded = len(first) - 1
    first.extend([len(targets)] * (len(states) - expanded))
    return Graph(model, scope, instances, states, number, begun, expanded, parents, via, first, targets, taken, left, edge, depth,
                 stopped, time.perf_counter() - began)


def components(nodes: Iterable[int], after: Callable[[int], Sequence[int]]) -> list[list[int]]:
    """The strongly connected components of the graph over `nodes` whose steps are `after`; a component comes before those that
    lead to it. Targets outside of `nodes` are not followed."""
    inside = set(nodes)
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    held: set[int] = set()
    found: list[list[int]] = []
    for root in sorted(inside):
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        held.add(root)
        work = [(root, iter(after(root)))]
        while work:
            node, rest = work[-1]
            for target in rest:
                if target not in inside:
                    continue
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    held.add(target)
                    work.append((target, iter(after(target))))
                    break
                if target in held:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    at = _position(stack, node)
                    found.append(stack[at:])
                    held.difference_update(stack[at:])
                    del stack[at:]
    return found


def _position(stack: list[int], node: int) -> int:
    """Where `node` is on the stack, looked for from the top."""
    at = len(stack) - 1
    while stack[at] != node:
        at -= 1
    return at


def shortest(begin: int, goal: Callable[[int], bool], after: Callable[[int], Iterable[tuple[int, int]]]) -> list[int] | None:
    """Instances along a shortest way from `begin` to a state with `goal`; None when there is none."""
    came: dict[int, tuple[int, int]] = {}
    seen, level = {begin}, [begin]
    while level:
        beyond = []
        for node in level:
            if goal(node):
                rows = []
                while node != begin:
                    node, instance = came[node]
                    rows.append(instance)
                return rows[::-1]
            for instance, target in after(node):
                if target not in seen:
                    seen.add(target)
                    came[target] = (node, instance)
                    beyond.append(target)
        level = beyond
    return None
