"""The graph of what the model can reach within a stated scope: what tours, lockstep and directed cases plan on.

Rules
1. A node is a state of the promise level up to what makes no difference to what can happen (`coverage.normal`). The scope is that
   of coverage: one write on a branch, one fault at a time, no cached writes; and of faults those that are named.
2. A move is a request (an operation, with the code of the point that it names), an event of the environment, or an internal step
   of the model. A tester makes requests and events; internal steps are the system's, and the graph only says which are possible.
3. A request that names a point of its own names the newest one. Where none is advertised it names one that never was.
4. `ways` has the moves that lead somewhere else; `stays` those that are refused or change nothing.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import attrs

from siteproof.conformance.case import FAULTS, OPERATIONS, SIDES, Command, Fault, Heal, Operate, StartMachine, Steps, Write
from siteproof.conformance.closure import Promised
from siteproof.conformance.coverage import BEYOND, SCOPE, Switch, normal, refused, switch
from siteproof.model.readings.python import State

__all__ = ["Graph", "Move", "Scope", "build", "command_for", "way"]

FARTHEST = 60
"""Most moves of a way."""
REQUEST, EVENT, INTERNAL = "request", "event", "internal step"


class Move(NamedTuple):
    """One move: its kind, the operation's or the action's name, and the code of the point that a request names."""

    kind: str
    name: str
    code: int | None = None


@attrs.frozen
class Scope:
    """Operations and faults that may happen, one fault at a time."""

    operations: frozenset[str] = frozenset(OPERATIONS)
    faults: frozenset[str] = frozenset(FAULTS)

    def told(self) -> str:
        """In words."""
        if not self.faults:
            return SCOPE.partition(",")[0] + ", no faults"
        return SCOPE + (f" ({', '.join(sorted(self.faults))})" if len(self.faults) < len(FAULTS) else "")


@attrs.frozen
class Graph:
    """Moves by state. `switches` is what coverage counts of each state's moves, where it was asked for."""

    promised: Promised
    scope: Scope
    start: State
    ways: Mapping[State, tuple[tuple[Move, State], ...]]
    stays: Mapping[State, tuple[Move, ...]]
    switches: Mapping[State, tuple[Switch, ...]]

    def __len__(self) -> int:
        return len(self.ways)


@functools.lru_cache(maxsize=4)
def build(promised: Promised, scope: Scope) -> Graph:
    """All that is reachable in the scope."""
    at, start = promised.at, normal(promised, promised.initial)
    ups = (at.primary_up, at.recovery_up, at.link_up, at.gateway_up)
    lacking = {f"fail_{f.replace('-', '_')}" for f in set(FAULTS) - scope.faults}
    lacking |= set() if "change-log" in scope.faults else {"damage_change_log"}
    environment = [(Move(EVENT, a.name), a) for a in promised.environment.values() if a.name not in BEYOND | lacking]
    custom = promised.points_coded["custom"]
    requests = [
        (Move(REQUEST, name, *arguments), action, arguments)
        for name, action in promised.commands.items()
        if name in scope.operations
        for arguments in action.action.instances()
    ]
    inside = [Move(INTERNAL, name) for name in promised.internal_names]
    ways, stays = dict[State, tuple[tuple[Move, State], ...]](), dict[State, tuple[Move, ...]]()
    switches, one = dict[State, tuple[Switch, ...]](), dict[Switch, Switch]()
    known, todo = {start}, [start]
    for state in todo:
        here, go, stay, met = promised.lifecycle(state), list[tuple[Move, State]](), list[Move](), set[Switch]()
        named = promised.with_point(state, True, int(state[at.latest])) if state[at.points] else state
        for move, action, arguments in requests:
            asked = named if move.code == custom else state
            after = action.step(asked, *arguments)
            if after is None:
                stay.append(move)
                codes = [action.action.guards[i].code for i in action.failing(asked, *arguments)]
                met.add(switch(promised, here, move.name, refused(codes)))
            else:
                go.append((move, normal(promised, after)))
                met.add(switch(promised, here, move.name, "accepted"))
        for move, action in environment:
            after = action.step(state)
            struck = move.name.startswith("fail_") or move.name == "damage_change_log"
            if after is None or (struck and not all(state[i] for i in ups)):
                continue
            if (after[at.head] > 1 and move.name == "write") or (after[at.passive] > 1 and move.name.startswith("write")):
                continue
            go.append((move, normal(promised, after)))
            met.add((here, move.name, "taken"))
        go += [(inside[n], normal(promised, after)) for n, _, after in promised.steps(state)]
        stays[state] = (*stay, *(m for m, after in go if after == state and m.kind != INTERNAL))
        ways[state] = tuple((m, after) for m, after in go if after != state)
        switches[state] = tuple(one.setdefault(s, s) for s in met)
        for _, after in ways[state]:
            if after not in known:
                known.add(after)
                todo.append(after)
    return Graph(promised, scope, start, ways, stays, switches)


def way(
    graph: Graph,
    start: State,
    wanted: Callable[[State], bool],
    learned: Mapping[tuple[State, Move], State],
    never: Collection[str] = (),
    most: int = FARTHEST,
) -> list[tuple[Move, State]] | None:
    """A shortest way from `start` to a state that is wanted, as moves with where they lead; `learned` knows better than the
    model where some of them lead with the system at hand, which takes no step that is in `never`. None where there is none of
    at most so many moves."""
    if wanted(start):
        return []
    before: dict[State, tuple[State, Move] | None] = {start: None}
    todo = deque([(start, 0)])
    while todo:
        state, far = todo.popleft()
        if far == most:
            continue
        for move, after in graph.ways.get(state, ()):
            known = learned.get((state, move)) if learned else None
            if known is None and move.name in never:
                continue
            after = after if known is None else known
            if after in before or after not in graph.ways:
                continue
            before[after] = (state, move)
            if wanted(after):
                found, there = list[tuple[Move, State]](), after
                while (step := before[there]) is not None:
                    found.append((step[1], there))
                    there = step[0]
                return found[::-1]
            todo.append((after, far + 1))
    return None


def command_for(promised: Promised, state: State, move: Move, machine: str, block: int = 0) -> Command:
    """What a tester does to make `move` in `state`. An internal step is the system's own: it is let take one."""
    active, passive = SIDES[int(state[promised.at.active])], SIDES[1 - int(state[promised.at.active])]
    if move.kind == INTERNAL:
        return Steps(1)
    if move.kind == REQUEST:
        point = None
        if move.code is not None:
            point = next(name for name, code in promised.points_coded.items() if code == move.code)
            if point == "custom":
                point = "point:-1" if state[promised.at.points] else "point:unknown"
        return Operate(machine, move.name, point)
    match move.name:
        case "write" | "write_former_source":
            return Write(machine, active if move.name == "write" else passive, block)
        case "write_test_copy":
            return Write(machine, "test", block)
        case "start_machine" | "start_former_source":
            return StartMachine(machine, active if move.name == "start_machine" else passive)
        case "damage_change_log":
            return Fault("change-log")
    kind, _, fault = move.name.replace("_", "-").partition("-")
    return Fault(fault) if kind == "fail" else Heal(fault)
