"""Transition tours: paths that cover every transition between states at rest, no longer than need be.

Rules
1. The graph has the states of the model in which nothing moves by itself, and for each request and event where it leads when the
   system is let rest afterwards. The scope is one write on a branch, with the link between the sites as the only fault.
2. A tour is a directed Chinese postman's: edges that lead elsewhere are doubled, at the least cost (a flow), until each state is
   left as often as it is entered; the Euler circuit then takes each edge. Starting a new case is an edge from everywhere to the
   start. What is refused and what changes nothing stays where it is, and is done in passing.
3. The tour is cut into cases of about `LONGEST` commands, each with a shortest way to where it goes on.
4. Where the model leaves open how a system comes to rest, the tour expects one way. Where the system went another, the graph
   learns what the system does, and what was not covered goes into the next tour; `ROUNDS` of them are made.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from siteproof.conformance.case import Settle
from siteproof.conformance.engines.engine import Opener
from siteproof.conformance.engines.graph import INTERNAL, Graph, Move, Scope, build, command_for
from siteproof.conformance.engines.liveness import conclude
from siteproof.conformance.engines.walk import Knowledge, Walk
from siteproof.conformance.session import Session
from siteproof.model.readings.python import State
from siteproof.model.system import Kind

__all__ = ["TourEngine", "postman"]

LONGEST = 60
ROUNDS = 6
TO_REST = 80
"""Most internal steps that the model is followed to rest."""
STATES_A_STEP = 10
SCOPE = frozenset({"link"})

Edge = tuple[State, Move]
Leg = list[tuple[Move, State]]
"""Moves, each with the state at rest that it should lead to."""


class TourEngine:
    """One engine for one campaign."""

    name = "tours"

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.worked, self.round = chance, 0, 0
        self.graph: Graph | None = None
        self.edges: dict[State, dict[Move, State]] = {}
        """Where each move leads, by state at rest, as far as is known."""
        self.uncovered: set[Edge] = set()
        self.total = 0
        self.legs: list[Leg] = []

    def case(self, opened: Opener) -> Session | None:
        """Run one part of the tour; None when all rounds have been made, or nothing is left."""
        if self.graph is not None and not self.legs and not self._plan():
            return None
        session = opened(self.chance.getrandbits(32))
        if self.graph is None:
            self._begin(session)
            if not self._plan():
                return conclude(session)
        assert self.graph is not None
        walk = Walk(session, self.graph, Knowledge(), self.chance.randrange(session.base.blocks))
        leg, here = self.legs.pop(), self.graph.start
        for move, aim in leg:
            if not self._stay(walk, here) or not self._go(walk, here, move):
                break
            there = walk.here
            if there != aim:
                self._learn(here, move, there)
                break
            here = there
        else:
            self._stay(walk, here)
        return conclude(session, walk.block)

    def _stay(self, walk: Walk, here: State) -> bool:
        """Do what is left here of what changes nothing. False when the case ends."""
        assert self.graph is not None
        for move in self.graph.stays.get(here, ()):
            if (here, move) in self.uncovered:
                walk.session.step(command_for(self.graph.promised, here, move, walk.machine, walk.block))
                if not walk.goes or walk.here != here:
                    return False
                self._cover(walk, (here, move))
        return walk.goes

    def _go(self, walk: Walk, here: State, move: Move) -> bool:
        """Make one move, and let the system rest. False when the case ends."""
        walk.session.step(command_for(walk.graph.promised, here, move, walk.machine, walk.block))
        if walk.goes:
            walk.session.step(Settle())
        if walk.goes:
            self._cover(walk, (here, move))
        return walk.goes

    def _cover(self, walk: Walk, edge: Edge) -> None:
        if walk.sure:
            self.uncovered.discard(edge)

    def _learn(self, here: State, move: Move, there: State) -> None:
        """A move led somewhere else than was expected."""
        if there in self.edges:
            self.edges[here][move] = there
        else:
            self.edges[here].pop(move, None)

    # ------------------------------------------------------------------------------------------------------- planning

    def _begin(self, session: Session) -> None:
        """The graph of states at rest, for what the driver can do."""
        can = session.can
        graph = self.graph = build(session.promised, Scope(can.operations, SCOPE & can.faults))
        self.worked += len(graph) // STATES_A_STEP
        walk, promised = Walk(session, graph, Knowledge()), session.promised
        fair = {a.name for a in promised.compiled.of_kind(Kind.INTERNAL) if a.action.fair}

        def at_rest(state: State) -> State:
            for _ in range(TO_REST):
                if not promised.restless(state):
                    break
                steps = [a for m, a in graph.ways.get(state, ()) if m.kind == INTERNAL and m.name in fair]
                if not steps:
                    break
                state = steps[0]
            return state

        todo = [at_rest(graph.start)]
        self.edges = {todo[0]: {}}
        for state in todo:
            for move, after in graph.ways[state]:
                if move.kind == INTERNAL or not walk.can(state, move):
                    continue
                there = at_rest(after)
                if there not in graph.ways:
                    continue
                self.edges[state][move] = there
                if there not in self.edges:
                    self.edges[there] = {}
                    todo.append(there)
        for state, moves in self.edges.items():
            self.uncovered |= {(state, m) for m in moves}
            self.uncovered |= {(state, m) for m in graph.stays[state] if walk.can(state, m)}
        self.total = len(self.uncovered)

    def _plan(self) -> bool:
        """The next round: legs over what is uncovered. False when there is none."""
        assert self.graph is not None
        if self.round == ROUNDS or not self.uncovered:
            return False
        self.round += 1
        wanted = [(s, self.edges[s][m], m) for s, m in sorted(self.uncovered) if m in self.edges[s]]
        staying = {s for s, m in self.uncovered if m not in self.edges[s]}
        self.worked += sum(map(len, self.edges.values())) // STATES_A_STEP
        self.legs = postman(self.edges, self.graph.start, wanted, staying)
        self.chance.shuffle(self.legs)
        return bool(self.legs)

    def notes(self) -> tuple[str, ...]:
        if self.graph is None:
            return ()
        done, left = self.total - len(self.uncovered), len(self.uncovered)
        counted = f"tours: {done:,} of {self.total:,} transitions between {len(self.edges):,} states at rest"
        rest = f"; {left:,}: not got to yet, or the oracle was not sure of the state" if left else ""
        return (f"{counted} ({self.graph.scope.told()}), in round {self.round}{rest}",)


def postman(
    edges: dict[State, dict[Move, State]], start: State, wanted: list[tuple[State, State, Move]], visit: set[State]
) -> list[Leg]:
    """Legs from `start` that together take each wanted edge and see each state of `visit` that can be reached."""
    import networkx as nx

    number = {state: k for k, state in enumerate(edges)}
    states, home = list(edges), number[start]
    plain = nx.DiGraph()
    plain.add_nodes_from(range(len(states)))
    moves: dict[tuple[int, int], Move] = {}
    for state, ways in edges.items():
        for move, there in ways.items():
            moves.setdefault((number[state], number[there]), move)
    plain.add_edges_from(moves)
    first: dict[int, list[int]] = nx.single_source_shortest_path(plain, home)
    tour = nx.MultiDiGraph()
    for a, b, move in wanted:
        if number[a] in first:
            tour.add_edge(number[a], number[b], move=move)
    _balance(tour, plain, first, home)
    for there_too in sorted(number[s] for s in visit):
        if there_too in first and there_too not in tour:
            _add_trip(tour, first[there_too], moves)
    if not tour:
        return [[]] if visit & {start} else []
    for part in list(nx.weakly_connected_components(tour)):
        if home not in part:
            _add_trip(tour, first[min(part, key=lambda s: len(first[s]))], moves)
    if home not in tour:
        return []
    circuit = list(nx.eulerian_circuit(tour, source=home, keys=True))
    return _legs(circuit, tour, moves, first, states)


def _add_trip(tour: Any, path: list[int], moves: dict[tuple[int, int], Move]) -> None:
    """A way out along `path`, and a new case from its end."""
    for a, b in pairwise(path):
        tour.add_edge(a, b, move=moves[a, b])
    tour.add_edge(path[-1], path[0], move=None)


def _balance(tour: Any, plain: Any, first: dict[int, list[int]], home: int) -> None:
    """Double edges at the least cost until each state is left as often as it is entered; a new case is an edge, too."""
    import networkx as nx

    flow = nx.DiGraph()
    for node in first:
        flow.add_node(node, demand=0)
    for node in tour:
        flow.nodes[node]["demand"] = tour.out_degree(node) - tour.in_degree(node)
    for a, b in plain.edges:
        if a in first and b in first and a != b:
            flow.add_edge(a, b, weight=1)
    for node in first:
        if node != home and not flow.has_edge(node, home):
            flow.add_edge(node, home, weight=2)
    moved = nx.network_simplex(flow)[1]
    for a, row in moved.items():
        for b, times in row.items():
            for _ in range(times):
                tour.add_edge(a, b, move=None if not plain.has_edge(a, b) else "shortest")


def _legs(
    circuit: list[tuple[int, int, int]], tour: Any, moves: dict[tuple[int, int], Move], first: dict[int, list[int]],
    states: list[State],
) -> list[Leg]:  # fmt: skip
    """The circuit cut into cases."""
    legs, leg = list[Leg](), Leg()
    for a, b, key in circuit:
        move = tour.edges[a, b, key]["move"]
        if move is None:  # a new case
            legs.append(leg)
            leg = []
            continue
        if len(leg) >= LONGEST:
            legs.append(leg)
            path = first[a]
            leg = [(moves[x, y], states[y]) for x, y in pairwise(path)]
        leg.append((moves[a, b] if move == "shortest" else move, states[b]))
    legs.append(leg)
    return [one for one in legs if one]
