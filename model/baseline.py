"""A model as it is, worked out once for all the questions of what would be without one of its preconditions.

Rules
1. What is known of the model comes first: the claims that it keeps, the invariant that proves them, and on which conjuncts the
   consecution of each action leans. A mutant differs in one action, so most of that stays true of it.
2. The states that the model itself reaches are explored in a wide scope as far as a bound allows, in a small one and in narrow
   ones; and it is walked, which gets deeper. Each of these states comes with a run to it.
3. Of these states a sample is drawn, by a fixed seed, from which invariants of mutants are learned
   (`siteproof.model.engines.learning`).
"""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import attrs
import z3

from siteproof.model.claims import Built, Claim, Promise
from siteproof.model.engines.graph import Graph, explore_graph
from siteproof.model.engines.induction import Relation, eroded, proves, relations_of
from siteproof.model.engines.learning import Atoms, Sample
from siteproof.model.engines.obligations import Goal, goals_of
from siteproof.model.engines.queries import Questions
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Path, Target, hunt
from siteproof.model.engines.walk import Hunt, Walked, walked
from siteproof.model.level import Level
from siteproof.model.readings.python import CompiledModel, State, compile_model
from siteproof.model.readings.smt import Named
from siteproof.model.system import Model
from siteproof.model.witness import known_invariant, strengthened

__all__ = ["NATURAL", "Baseline", "Layers", "given_as_a_term", "target_of"]

NATURAL = "the model"
"""What stands for a promise where a count would fall below zero."""

WIDE_STATES, SMALL_STATES, NARROW_STATES = 30_000, 75_000, 120_000
WALKED = 100_000
"""Steps of the walk."""
SAMPLED = 20_000
"""Explored states of the sample; what the walk met is in it whole."""

Progress = Callable[[str], None]


@attrs.frozen
class Layers:
    """The distance of each state of a graph, and the number of the first state at each distance, the number of all at the end."""

    depth: array[int]
    begin: list[int]

    @classmethod
    def of(cls, graph: Graph) -> Layers:
        depth = array("l", [0]) * len(graph.states)
        begin = [0]
        for state in range(graph.starts, len(graph.states)):
            depth[state] = depth[graph.parents[state]] + 1
            if depth[state] > depth[state - 1]:
                begin.append(state)
        return cls(depth, [*begin, len(graph.states)])


def target_of(goal: Goal) -> Target:
    """What a search looks for that breaks a claim."""
    return Target(goal.key, z3.Not(goal.built.formula), goal.claim.is_step, goal.claim.on)


@attrs.define(eq=False, slots=False)
class Baseline:
    """What is known of a model: the `goals` that it keeps and the `invariant` that proves them. Those that only repeat what is
    written in an action are `repeated` and stand apart: that they break when it is left out says little. All are `targets` of a
    search for what breaks them. Claims of the level that it does not keep, or that nobody could tell, are `unproved`: nothing
    is asked about them. `deadline` is when to give up, by `time.perf_counter`."""

    level: Level
    model: Model
    goals: list[Goal]
    repeated: list[Goal]
    by_key: dict[str, Goal]
    targets: list[Target]
    invariant: tuple[Named, ...]
    compiled: CompiledModel
    deadline: float
    tell: Progress
    unproved: tuple[str, ...] = ()
    graphs: dict[str, Graph] = attrs.field(factory=dict)
    layers: dict[str, Layers] = attrs.field(factory=dict)
    hunts: dict[str, Hunt] = attrs.field(factory=dict)

    @classmethod
    def of(cls, of: Level, model: Model, tell: Progress, time_limit: float) -> Baseline:
        """Prove what can be proved. `time_limit`, in seconds, is for all that comes after as well."""
        deadline = time.perf_counter() + time_limit
        goals = [_natural(model), *(goal for goal in goals_of(model, of.promises) if goal.built.applies)]
        proved = known_invariant(of, model, tell)
        seen = explore_graph(model, of.scopes[0], max_states=SMALL_STATES)
        proved = strengthened(model, proved, model.names, seen.states)
        told = proves(model, proved, goals)
        unproved = tuple(f"{goal.promise.id}, “{goal.built.name}”" for goal in goals if told[goal.key].answer != "unsat")
        goals = [goal for goal in goals if told[goal.key].answer == "unsat"]
        targets = [target_of(goal) for goal in goals]
        repeated = [goal for goal in goals if goal.claim.repeats]
        more = [goal for goal in goals if not goal.claim.repeats]
        return cls(of, model, more, repeated, {goal.key: goal for goal in goals}, targets, proved, compile_model(model),
                   deadline, tell, unproved, {str(seen.scope): seen})

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.perf_counter()

    @cached_property
    def relations(self) -> dict[str, Relation]:
        """The steps of the model."""
        return relations_of(self.model)

    @cached_property
    def known(self) -> Questions:
        """A solver that knows the invariant."""
        solver = Questions()
        solver.suppose(*(row.node for row in self.invariant))
        return solver

    @cached_property
    def switched(self) -> Questions:
        """A solver that knows the invariant, each conjunct behind a switch."""
        return Questions(self.invariant)

    @cached_property
    def leans(self) -> dict[str, frozenset[str]]:
        """By action, the conjuncts on which its consecution leans."""
        return eroded(self.model, self.invariant, self.switched, self.relations).leans

    def unsat(self, *nodes: Any, denied: Any = None) -> bool:
        """Whether the invariant and `nodes` contradict each other, or imply `denied`; a solver that gives up says no."""
        with self.known as solver:
            solver.suppose(*nodes)
            return solver.ask(z3.BoolVal(False) if denied is None else denied).is_unsat

    @property
    def searched(self) -> tuple[tuple[Scope, int], ...]:
        """The scopes that are explored, each with the most states of it."""
        return ((self.level.wide, WIDE_STATES), (self.level.scopes[0], SMALL_STATES),
                *((scope, NARROW_STATES) for scope in self.level.narrow))

    def explored(self, scope: Scope, most: int) -> Graph:
        """The states in a scope, explored once."""
        if str(scope) not in self.graphs:
            self.graphs[str(scope)] = explore_graph(self.model, scope, max_states=most, tick=lambda states, depth: self.tell(
                f"necessity: {self.level.id}, {states:,} states, depth {depth}"))
        return self.graphs[str(scope)]

    def layered(self, graph: Graph) -> Layers:
        """The layers of an explored graph, worked out once."""
        key = str(graph.scope)
        if key not in self.layers:
            self.layers[key] = Layers.of(graph)
        return self.layers[key]

    def hunted(self, scope: Scope) -> Hunt:
        """A hunt in a scope for what breaks a claim, compiled once."""
        key = str(scope)
        if key not in self.hunts:
            self.hunts[key] = hunt(self.model, self.targets, scope, {})
        return self.hunts[key]

    @property
    def past(self) -> Scope:
        """The scope of walks."""
        return self.level.wide.widened(1)

    @cached_property
    def walk(self) -> Walked:
        """A walk of the model."""
        self.tell(f"necessity: {self.level.id}, walking the model as it is")
        return walked(self.model, (), self.past, steps=WALKED)

    @cached_property
    def sample(self) -> Sample:
        """Reachable states, by their atoms."""
        states = list(dict.fromkeys(state for scope, most in self.searched for state in self.explored(scope, most).states))
        if len(states) > SAMPLED:
            states = random.Random(1).sample(states, SAMPLED)
        formulas = [*(goal.built.formula for goal in self.goals), *(row.node for row in self.invariant),
                    *(guard.folded for action in self.model.actions for guard in action.guards)]
        return Sample.of(Atoms.of(self.model, formulas), [*states, *self.walk.came])

    def reached(self) -> Iterator[tuple[State, Callable[[], Path]]]:
        """Every state that was explored or walked, with what tells the run to it; the explored ones first."""
        for scope, most in self.searched:
            graph = self.explored(scope, most)
            for at, state in enumerate(graph.states):
                yield state, lambda graph=graph, at=at: graph.named(graph.path(at)[1])  # type: ignore[misc]
        for state in self.walk.came:
            yield state, lambda state=state: self.walk.path(state)  # type: ignore[misc]


def _natural(model: Model) -> Goal:
    """That no count falls below zero, as a claim that searches can look for: a model in which one does says nothing."""
    counts = [v.domain.constant(v.name) for v in model.variables if v.domain.is_nat]
    claim = Claim("no count falls below zero", given_as_a_term)
    return Goal(Promise(NATURAL, claim.name, claim.name, (), (claim,)),
                Built(claim, z3.BoolVal(True), z3.And(*(count >= 0 for count in counts)), True, ""))


def given_as_a_term(*_states: object) -> Any:
    """What stands for the reading of a claim whose formula is made at once."""
    raise TypeError("this claim is given as a term")
