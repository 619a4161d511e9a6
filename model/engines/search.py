"""Breadth-first search of a scope, on compiled code: the shortest way to whatever one looks for.

Rules
1. A *target* is a condition on a state, or on a step of some actions, that one looks for: the negation of a claim, the
   premise of a claim, the taking of an action. One pass looks for any number of targets; each gets its own shortest
   path, since states are met in the order of their distance.
2. All actions are generated into one Python function that unpacks a state once. Arguments are written in as constants;
   a target on steps is specialised to the action and vanishes where it can never hold.
3. Targets that have been found are left out from the next level on that has states enough to be worth it: looking costs only
   while something is missing.
4. States outside the scope are not entered. `exhausted` says that nothing inside it is left; anything else says why
   not.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import attrs
import z3

from siteproof.model.engines.scope import Scope
from siteproof.model.nodes import Substitution
from siteproof.model.readings.python import State, expression
from siteproof.model.system import Action, Model

__all__ = ["Memory", "Path", "SearchResult", "Target", "expansion", "hunt", "search"]

Path = tuple[tuple[str, tuple[int | bool, ...]], ...]
"""A run: names of actions with coded arguments."""

WORTH_COMPILING = 500
"""States of a level for which it pays to write the search anew."""

Memory = dict[Any, Any]
"""What was worked out of single actions; of use to searches of models that share actions, variables, targets and scope."""


@attrs.frozen(eq=False)
class Target:
    """Something to look for: `node` over one state, or over a step of the actions in `on` (all when None)."""

    key: str
    node: Any
    is_step: bool = False
    on: tuple[str, ...] | None = None


@attrs.frozen
class SearchResult:
    """What was found and what was seen. `complete_depth`: every path of so many steps has been followed. `found` maps
    keys of targets to shortest paths; `depth` is the length of the longest shortest path entered; `stopped` is empty
    when the scope was exhausted or all was found, else the bound that ended it."""

    scope: Scope
    found: Mapping[str, Path]
    states: int
    edges: int
    depth: int
    complete_depth: int
    exhausted: bool
    stopped: str
    deadlocks: int
    first_deadlock: Path | None
    seconds: float


def search(model: Model, targets: Iterable[Target], scope: Scope, *, max_states: int | None = None,
           max_seconds: float | None = None, max_depth: int | None = None, explore_all: bool = False,
           tick: Callable[[int, int], None] | None = None, memory: Memory | None = None) -> SearchResult:
    """Look for `targets` in `scope`. Ends when all are found (unless `explore_all`), the scope is exhausted, or a bound
    is hit.

    `tick` is called after each level with the number of states and the depth. `memory` is shared by searches for the same
    targets, in the same scope, of models that have the same variables and most of their actions in common.
    """
    began = time.perf_counter()
    generator = _Generator(model, tuple(targets), scope, {} if memory is None else memory)
    instances = generator.instances
    states: list[State] = [model.initial]
    number: dict[State, int] = {model.initial: 0}
    parents, via = array("q", [-1]), array("l", [-1])
    found: dict[str, Path] = {}

    def path(state: int, last: int | None = None) -> Path:
        rows = [] if last is None else [last]
        while parents[state] >= 0:
            rows.append(via[state])
            state = parents[state]
        return tuple((instances[i][0].name, instances[i][1]) for i in reversed(rows))

    pending = {target.key for target in generator.targets}
    expand, check = generator.functions(pending)
    found |= dict.fromkeys(check(model.initial), ())
    level, depth, complete, edges, deadlocks, stuck, stopped = 0, 0, 0, 0, 0, None, ""
    while level < len(states) and not stopped:
        if found.keys() >= pending and not explore_all:
            break
        if not pending.isdisjoint(found) and len(states) - level > WORTH_COMPILING:
            pending -= found.keys()
            expand, check = generator.functions(pending)
        if max_depth is not None and depth >= max_depth:
            stopped = f"at most {max_depth} steps"
            break
        end = len(states)
        for index in range(level, end):
            successors: list[tuple[int, State]] = []
            hits: list[tuple[str, int]] = []
            if not expand(states[index], successors, hits):
                deadlocks += 1
                stuck = stuck or path(index)
            for key, instance in hits:
                if key not in found:
                    found[key] = path(index, instance)
            edges += len(successors)
            for instance, state in successors:
                if state not in number:
                    number[state] = len(states)
                    states.append(state)
                    parents.append(index)
                    via.append(instance)
            if index & 1023 == 0 and max_seconds is not None and time.perf_counter() - began > max_seconds:
                stopped = f"at most {max_seconds:g} s"
                break
            if max_states is not None and len(states) > max_states:
                stopped = f"at most {max_states:,} states"
                break
        level = end
        depth += len(states) > end
        complete += not stopped
        for index in range(end, len(states)):
            for key in check(states[index]):
                if key not in found:
                    found[key] = path(index)
        if tick:
            tick(len(states), depth)
    exhausted = level >= len(states) and not stopped
    return SearchResult(scope, found, len(states), edges, depth, complete, exhausted, stopped, deadlocks, stuck,
                        time.perf_counter() - began)


def expansion(model: Model, scope: Scope, farther: Callable[[Action], bool] | None = None, far: Scope | None = None,
              ) -> tuple[list[tuple[Action, tuple[int | bool, ...]]], Callable[..., None]]:
    """Every action with every tuple of arguments, numbered by position, and `expand(state, inside, beyond)`, which appends each
    possible step to one of two lists, as (number, next state): those that stay in `scope`, and those that leave it.

    Actions for which `farther` holds may go as far as `far`; then the others are not taken from outside of `scope` either.
    """
    generator = _Generator(model, (), scope, {})
    return generator.instances, generator.expansion(farther, far)


def hunt(model: Model, targets: Iterable[Target], scope: Scope, memory: Memory,
         ) -> tuple[list[tuple[Action, tuple[int | bool, ...]]], Callable[..., bool], Callable[[State], list[str]]]:
    """Every action with every tuple of arguments, numbered by position; `expand(state, successors, hits)`, which appends possible
    steps in `scope` as (number, next state) and targets on steps that are hit as (key, number); and `check(state)`, the keys of
    the targets on states that hold. For searches that go their own way."""
    rows = tuple(targets)
    generator = _Generator(model, rows, scope, memory)
    expand, check = generator.functions({target.key for target in rows})
    return generator.instances, expand, check


def specialised(model: Model, action: Action, arguments: Sequence[int | bool], node: Any) -> Any:
    """`node`, over a state and the next one, as a condition on the state in which `action` is taken with
    `arguments`."""
    return _taken(model, action, arguments)(node)


def _taken(model: Model, action: Action, arguments: Sequence[int | bool]) -> Callable[[Any], Any]:
    """What `specialised` does, for many terms about one step."""
    after = Substitution((v.domain.constant(v.name + "'"), action.changes.get(v.name, v.domain.constant(v.name)))
                         for v in model.variables)
    bind = _given(action, arguments)
    return lambda node: z3.simplify(bind(after(node)))


def _given(action: Action, arguments: Sequence[int | bool]) -> Substitution:
    """The values of the parameters."""
    return Substitution((p.domain.constant("arg:" + p.name), z3.BoolVal(a) if isinstance(a, bool) else z3.IntVal(a))
                        for p, a in zip(action.parameters, arguments, strict=True))


def _bind(action: Action, arguments: Sequence[int | bool], node: Any) -> Any:
    return z3.simplify(_given(action, arguments)(node)) if arguments else node


@attrs.frozen(eq=False)
class _Generator:
    """Source text of a search over one model, kept by action and target, and put together anew for the targets that are
    still looked for."""

    model: Model
    targets: tuple[Target, ...]
    scope: Scope
    memory: Memory

    def remembered(self, what: str, action: Action, arguments: tuple[int | bool, ...], make: Callable[[], Any]) -> Any:
        """What `make` says of an action with these arguments; it is asked once. An action is known by its identity."""
        key = (what, id(action), arguments)
        if key not in self.memory:
            self.memory[key] = (action, make())  # the action is kept, so that its identity stays its own
        return self.memory[key][1]

    @cached_property
    def instances(self) -> list[tuple[Action, tuple[int | bool, ...]]]:
        """Every action with every tuple of arguments."""
        return [(action, arguments) for action in self.model.actions for arguments in action.instances()]

    @cached_property
    def names(self) -> dict[str, str]:
        return {name: f"v{at}" for at, name in enumerate(self.model.names)}

    @cached_property
    def parts(self) -> list[tuple[int, str, str, str]]:
        """By instance that can be possible at all: number, test, test of the scope, next state."""
        rows = []
        for instance, (action, arguments) in enumerate(self.instances):
            texts = self.remembered("part", action, arguments, partial(self._part, action, arguments))
            if texts is not None:
                rows.append((instance, *texts))
        return rows

    def _part(self, action: Action, arguments: tuple[int | bool, ...]) -> tuple[str, str, str] | None:
        guards = [_bind(action, arguments, guard.folded) for guard in action.guards]
        if any(z3.is_false(guard) for guard in guards):
            return None
        test = " and ".join(expression(guard, self.names) for guard in guards if not z3.is_true(guard)) or "True"
        after = {n: expression(_bind(action, arguments, node), self.names) for n, node in action.changes.items()}
        inside = self._inside(action, arguments, self.scope)
        return test, inside, ", ".join(after.get(name, self.names[name]) for name in self.model.names)

    @cached_property
    def sought(self) -> dict[int, list[tuple[str, str]]]:
        """By instance: keys of the targets on steps that it can hit, each with its test."""
        rows: dict[int, list[tuple[str, str]]] = {}
        for instance, *_ in self.parts:
            action, arguments = self.instances[instance]
            rows[instance] = self.remembered("sought", action, arguments, partial(self._sought, action, arguments))
        return rows

    def _sought(self, action: Action, arguments: tuple[int | bool, ...]) -> list[tuple[str, str]]:
        rows, of_step = [], _taken(self.model, action, arguments)
        for target in self.targets:
            if target.is_step and (target.on is None or action.name in target.on):
                node = of_step(target.node)
                if not z3.is_false(node):
                    rows.append((target.key, expression(node, self.names)))
        return rows

    @cached_property
    def conditions(self) -> list[tuple[str, str]]:
        """Keys and tests of the targets on states."""
        key = ("conditions",)
        if key not in self.memory:
            self.memory[key] = self._conditions()
        return self.memory[key]  # type: ignore[no-any-return]

    def _conditions(self) -> list[tuple[str, str]]:
        return [(t.key, expression(z3.simplify(t.node), self.names)) for t in self.targets if not t.is_step]

    def expansion(self, farther: Callable[[Action], bool] | None, far: Scope | None) -> Callable[..., None]:
        """`expand(state, inside, beyond)`: all possible steps, apart by whether they stay in the scope."""
        rows = ["def expand(s, inside, beyond):\n", "    " + ", ".join(self.names.values()) + ", = s\n"]
        near = " and ".join(f"{self.names[name]} <= {most}" for name, most in self.scope.bounds(self.model).items()) or "True"
        if far is not None:
            rows.append(f"    near = {near}\n")
        for instance, test, inside, values in self.parts:
            action, arguments = self.instances[instance]
            if far is not None and farther is not None and farther(action):
                inside = self._inside(action, arguments, far)
            elif far is not None:
                inside = "near" if inside == "True" else f"near and {inside}"
            where = "inside" if inside == "True" else f"(inside if {inside} else beyond)"
            rows.append(f"    if {test}:\n        {where}.append(({instance}, ({values},)))\n")
        scope: dict[str, Any] = {}
        exec(compile("".join(rows), "<expansion>", "exec"), scope)
        return scope["expand"]  # type: ignore[no-any-return]

    def _inside(self, action: Action, arguments: tuple[int | bool, ...], scope: Scope) -> str:
        """That the next state is in `scope`, as far as the action changes it."""
        bounds = {name: most for name, most in scope.bounds(self.model).items() if name in action.changes}
        texts = [f"{expression(_bind(action, arguments, action.changes[name]), self.names)} <= {most}"
                 for name, most in bounds.items()]
        return " and ".join(texts) or "True"

    def functions(self, pending: Collection[str]) -> tuple[Callable[..., bool], Callable[[State], list[str]]]:
        """`expand(state, successors, hits)`, which says whether any action is possible, and `check(state)`, the keys of
        the targets on states that hold; both for the targets in `pending`."""
        unpack = "    " + ", ".join(self.names.values()) + ", = s\n"
        rows = ["def expand(s, out, hits):\n", unpack, "    possible = False\n"]
        for instance, test, inside, values in self.parts:
            rows.append(f"    if {test}:\n        possible = True\n        if {inside}:\n")
            rows += [f"            if {text}:\n                hits.append(({key!r}, {instance}))\n"
                     for key, text in self.sought.get(instance, ()) if key in pending]
            rows.append(f"            out.append(({instance}, ({values},)))\n")
        rows += ["    return possible\n", "def check(s):\n", unpack, "    found = []\n"]
        rows += [f"    if {text}:\n        found.append({key!r})\n" for key, text in self.conditions if key in pending]
        rows.append("    return found\n")
        scope: dict[str, Any] = {}
        exec(compile("".join(rows), "<search>", "exec"), scope)
        return scope["expand"], scope["check"]
