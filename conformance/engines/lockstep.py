"""Bounded exhaustive lockstep: every transition of the reachable graph of a stated scope, executed on the system and counted.

Rules
1. The scope is one write on a branch and no faults: every request, every event and every internal step in every reachable state,
   in the middle of jobs as well; some ten thousand transitions, most of which must be refused.
2. A request or an event has been executed when it was made while the oracle was sure of the state. An internal step has been
   executed when the system was seen to go from the one state to the other in one step.
3. From where the system is the walk goes to the nearest state in which something is left to do. A case ends after `LONGEST`
   commands, so that what it finds can be shrunk soon.
4. What could not be executed is counted by its reason. A system that takes its internal steps in one order, or several at once,
   cannot be made to take them otherwise: those transitions of the model stay open, and so do states that only such an order
   reaches. So the share is told twice: of all transitions, and of those in states that the system goes through.
"""

from __future__ import annotations

import random
from collections import Counter

from siteproof.conformance.engines.engine import Opener
from siteproof.conformance.engines.graph import FARTHEST, INTERNAL, Graph, Move, Scope, build, way
from siteproof.conformance.engines.liveness import conclude
from siteproof.conformance.engines.walk import Knowledge, Walk
from siteproof.conformance.session import Session
from siteproof.model.readings.python import State

__all__ = ["LockstepEngine"]

LONGEST = 90
ATTEMPTS = 2
"""How often a transition is tried that does not come off."""
STATES_A_STEP = 10
"""About so many states of the graph are built in the time of one step of a session."""

LACKING = "the driver cannot be asked for it"
UNSURE = "done where the oracle could not tell the state from others"
OTHERWISE = "the system takes another internal step there, or several at once"
NEVER = "a step that this system was never seen to take"
STILL = "the system takes no step there"
NO_WAY = "no way leads there with the steps that the system takes, or it went elsewhere twice"
ONLY_NEVER = "in states that only such a step leads to"
NOT_YET = "not tried yet"


class LockstepEngine:
    """One engine for one campaign."""

    name = "lockstep"

    def __init__(self, chance: random.Random, faults: frozenset[str] = frozenset()) -> None:
        self.chance, self.worked, self.faults = chance, 0, faults
        self.graph: Graph | None = None
        self.knows = Knowledge()
        self.open: dict[State, list[tuple[Move, State]]] = {}
        """What is left to do, by state: moves with where they lead. The last is taken first."""
        self.total = self.done = 0
        self.tries: Counter[tuple[State, Move]] = Counter()
        self.astray: Counter[State] = Counter()
        self.lost: Counter[State] = Counter()
        """How much was left to do in states that were given up."""
        self.left_out: Counter[str] = Counter()

    def case(self, opened: Opener) -> Session | None:
        """Walk until the case is long enough; None when nothing is left that can be reached."""
        if self.graph is not None and self._way_from(self.graph, self.graph.start) is None:
            return None
        session = opened(self.chance.getrandbits(32))
        graph = self.graph if self.graph is not None else self._begin(session)
        walk = Walk(session, graph, self.knows, self.chance.randrange(session.base.blocks))
        while walk.goes and len(session.commands) < LONGEST:
            goal = walk.plan(self.open.__contains__)
            if goal is None:
                break
            if walk.toward(self.open.__contains__, LONGEST + FARTHEST):
                self._do(walk)
            elif walk.goes:
                self._astray(goal)
        conclude(session, walk.block)
        self.knows.saw(session)
        return session

    def _begin(self, session: Session) -> Graph:
        """Build the graph for what the driver can do, and count."""
        can = session.can
        graph = self.graph = build(session.promised, Scope(can.operations, self.faults & can.faults))
        self.worked += len(graph) // STATES_A_STEP
        walk = Walk(session, graph, self.knows)
        for state, moves in graph.ways.items():
            # From the last to the first: what stays here, then requests and events, then what the system does by itself.
            found = [(m, after) for m, after in moves if m.kind == INTERNAL]
            found += [(m, after) for m, after in moves if m.kind != INTERNAL]
            found += [(m, state) for m in graph.stays[state]]
            self.total += len(found)
            can_be = [one for one in found if walk.can(state, one[0])]
            self.left_out[LACKING] += len(found) - len(can_be)
            if can_be:
                self.open[state] = can_be
        return graph

    def _way_from(self, graph: Graph, state: State) -> list[tuple[Move, State]] | None:
        return way(graph, state, self.open.__contains__, self.knows.learned, self.knows.never)

    def _do(self, walk: Walk) -> None:
        """Take the next thing that is left to do here."""
        here, sure = walk.here, walk.sure
        move, aim = self.open[here][-1]
        if move.kind == INTERNAL and move.name in self.knows.never:
            self.left_out[NEVER] += 1
            self._close(here)
            return
        after = walk.take(move, aim)
        if sure and (move.kind != INTERNAL or (after == aim and walk.sure)):
            self.done += 1
            self._close(here)
            return
        self.tries[here, move] += 1
        if self.tries[here, move] >= ATTEMPTS:
            self.left_out[UNSURE if not sure else STILL if after == here else OTHERWISE] += 1
            self._close(here)
        elif move.kind == INTERNAL:  # another one first
            self.open[here].insert(0, self.open[here].pop())

    def _astray(self, goal: State) -> None:
        """A state was not got to. After some times it is given up."""
        self.astray[goal] += 1
        if self.astray[goal] >= ATTEMPTS and goal in self.open:
            self.lost[goal] = len(self.open.pop(goal))

    def _close(self, state: State) -> None:
        self.open[state].pop()
        if not self.open[state]:
            del self.open[state]

    def notes(self) -> tuple[str, ...]:
        """The count: executed, of how many, and why not the rest."""
        if self.graph is None:
            return ()
        counts, left = Counter(self.left_out), {s: len(moves) for s, moves in self.open.items()}
        if self._way_from(self.graph, self.graph.start) is None:
            left |= self.lost
            there = self._without_never(self.graph)
            counts[ONLY_NEVER] = sum(n for s, n in left.items() if s not in there)
            counts[NO_WAY] = sum(left.values()) - counts[ONLY_NEVER]
        else:
            counts[NO_WAY], counts[NOT_YET] = self.lost.total(), sum(left.values())
        reasons = [f"{n:,}: {reason}" for reason, n in counts.items() if n]
        if self.knows.never:
            reasons.append("never seen: " + ", ".join(sorted(self.knows.never)))
        counted = f"lockstep: {self.done:,} of {self.total:,} transitions executed, of {len(self.graph):,} states"
        counted += f" ({self.graph.scope.told()})"
        within = self.total - counts[NO_WAY] - counts[ONLY_NEVER] - counts[NOT_YET]
        if 0 < within < self.total and not counts[NOT_YET]:
            counted += f", {self.done / within:.0%} of the {within:,} in states that this system goes through"
        return (counted + "".join(f"; {one}" for one in reasons),)

    def _without_never(self, graph: Graph) -> set[State]:
        """The states that the model reaches without the steps that this system was never seen to take."""
        there, todo = {graph.start}, [graph.start]
        for state in todo:
            for move, after in graph.ways[state]:
                if move.name not in self.knows.never and after not in there:
                    there.add(after)
                    todo.append(after)
        return there
