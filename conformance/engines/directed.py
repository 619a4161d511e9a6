"""Directed cases: the shortest path of the model to a transition that the campaign has not covered yet.

Rules
1. What is to be covered is what coverage counts (a lifecycle state, a command and its verdict), over the same scope, so the path
   is searched in the graph that has the denominator: whatever is feasible there has a path, and a search finds a shortest one.
   A solver is not asked; it could only find the same paths again.
2. From where the system is, the walk goes to the nearest state in which some transition is not covered, makes it, and goes on,
   until the case is long enough.
3. A transition that was made and does not count (the oracle was not sure of the state), or that the walk did not get to, is given
   up for this campaign after `ATTEMPTS`.
"""

from __future__ import annotations

import random
from collections import Counter

from siteproof.conformance.coverage import Switch, refused, switch
from siteproof.conformance.engines.engine import Opener
from siteproof.conformance.engines.graph import EVENT, FARTHEST, INTERNAL, REQUEST, Graph, Move, Scope, build
from siteproof.conformance.engines.liveness import conclude
from siteproof.conformance.engines.walk import Knowledge, Walk
from siteproof.conformance.session import Session
from siteproof.model.readings.python import State

__all__ = ["DirectedEngine"]

LONGEST = 40
ATTEMPTS = 3
STATES_A_STEP = 10


class DirectedEngine:
    """One engine for one campaign."""

    name = "directed"

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.worked = chance, 0
        self.graph: Graph | None = None
        self.knows = Knowledge()
        self.tries: Counter[Switch] = Counter()
        self.given_up: set[Switch] = set()
        self.covered = self.cases = 0
        self.over = False

    def case(self, opened: Opener) -> Session | None:
        """Go to what is not covered until the case is long enough; None when nothing is left that can be got to."""
        if self.over:
            return None
        session = opened(self.chance.getrandbits(32))
        self.cases += 1
        if self.graph is None:
            can = session.can
            self.graph = build(session.promised, Scope(can.operations, can.faults))
            self.worked += len(self.graph) // STATES_A_STEP
        graph, met = self.graph, session.met if session.met is not None else set[Switch]()
        walk = Walk(session, graph, self.knows, self.chance.randrange(session.base.blocks))

        def wanted(state: State) -> bool:
            return any(s not in met and s not in self.given_up for s in graph.switches.get(state, ()))

        def is_open(one: Switch) -> bool:
            return one not in met and one not in self.given_up

        while walk.goes and len(session.commands) < LONGEST:
            goal = walk.plan(wanted)
            if goal is None:
                self.over = not session.commands
                break
            target = next(s for s in graph.switches[goal] if is_open(s))
            made = walk.toward(wanted, LONGEST + FARTHEST)
            if made:
                here = walk.here
                target = next(s for s in graph.switches[here] if is_open(s))
                made = self._make(walk, here, target)
            if made and target in met:
                self.covered += 1
            elif walk.goes:
                self._try(target)
        conclude(session, walk.block)
        self.knows.saw(session)
        return session

    def _try(self, target: Switch) -> None:
        """Count an attempt that did not come off."""
        self.tries[target] += 1
        if self.tries[target] >= ATTEMPTS:
            self.given_up.add(target)

    def _make(self, walk: Walk, here: State, target: Switch) -> bool:
        """Make the move of `here` that counts as `target`."""
        graph, promised = walk.graph, walk.graph.promised
        lifecycle = promised.lifecycle(here)
        for move, after in graph.ways[here]:
            name, verdict = move.name, "accepted" if move.kind == REQUEST else "taken"
            if move.kind != INTERNAL and (lifecycle, name, verdict) == target:
                walk.take(move, after)
                return True
        for move in graph.stays[here]:
            if move.name == target[1] and (move.kind == EVENT or self._refusal(graph, here, move) == target):
                walk.take(move, here)
                return True
        return False

    @staticmethod
    def _refusal(graph: Graph, here: State, move: Move) -> Switch:
        promised = graph.promised
        action = promised.commands[move.name]
        custom = move.code is not None and move.code == promised.points_coded["custom"]
        asked = promised.with_point(here, True, int(here[promised.at.latest])) if custom and here[promised.at.points] else here
        arguments = (move.code,) if move.code is not None else ()
        codes = [action.action.guards[i].code for i in action.failing(asked, *arguments)]
        return switch(promised, promised.lifecycle(here), move.name, refused(codes) if codes else "accepted")

    def notes(self) -> tuple[str, ...]:
        if self.graph is None:
            return ()
        left = f"; {len(self.given_up):,} given up after {ATTEMPTS} attempts" if self.given_up else ""
        return (f"directed: {self.covered:,} transitions covered in {self.cases:,} cases that others had not{left}",)
