"""When the faults are over: what the system does by itself from every state that was reached, and what an operator can do then.

Rules
1. A run in which faults stop has a last step of the world. After it nothing is broken that can be mended, and only two act: the
   system, by internal steps, and the operator, by requests and by what else is in an operator's hands (`by_operator`). So what is
   said of every *healed* reachable state, one in which no healing is possible, is said of every run whose faults stop.
2. The operator's moves are followed as far as a wider scope allows (coming home takes one more failover than leaving), the
   system's steps farther still, for what has begun has to be seen to its end. A step that leaves even that is remembered, and
   whoever depends on it says "undetermined".
3. Fairness is justice: a fair internal action that stays possible, and stays fair, is taken in the end. Nothing is assumed of
   unfair ones; they may be taken at any moment, or never.

Source: Manna, Pnueli, Completing the temporal picture (Theoretical Computer Science 1991).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

import attrs
import z3

from siteproof.model.engines.graph import Graph, components, explore_graph
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Path
from siteproof.model.engines.traces import trace_of
from siteproof.model.readings.python import CompiledModel, State, compile_predicate
from siteproof.model.results import Trace
from siteproof.model.system import Action, Kind, Model

__all__ = ["BEYOND", "Aftermath", "Part", "is_operators", "is_systems"]

BEYOND = -1
"""The target of a step that leaves even the wider scope."""

FAR = 8
"""How much farther than an operator's moves the system's steps are followed; none of the models needs it all."""

Progress = Callable[[str], None]


def is_systems(action: Action) -> bool:
    """Whether the system takes it by itself, or the mending of a fault does."""
    return action.kind is Kind.INTERNAL or action.heals


def is_operators(action: Action) -> bool:
    """Whether it is in an operator's hands."""
    return action.kind is Kind.COMMAND or action.by_operator


@attrs.frozen(eq=False)
class Part:
    """States among which the system can go round for ever without the operator, or a single one. `helpful` are fair actions
    possible in all of them that always lead out; `out` the targets outside."""

    states: tuple[int, ...]
    helpful: tuple[str, ...]
    out: frozenset[int]


@attrs.frozen(eq=False)
class Aftermath:
    """The states after the faults: the healed ones of `core`, and what system and operator make of them, in `graph`."""

    core: Graph
    graph: Graph
    compiled: CompiledModel

    @classmethod
    def of(cls, core: Graph, compiled: CompiledModel, *, beyond: int = 2, max_states: int | None = None,
           max_seconds: float | None = None, tick: Progress | None = None) -> Aftermath:
        """From an explored scope. The wider scope has every bound larger by `beyond`."""
        model = core.model
        acting = tuple(a for a in model.actions if is_systems(a) or is_operators(a))
        smaller = attrs.evolve(model, actions=acting)
        healing = {number for number, (action, _) in enumerate(core.instances) if action.heals}
        healed = [core.states[at] for at in range(core.expanded)
                  if healing.isdisjoint(one for one, _ in core.steps(at)) and healing.isdisjoint(core.edge.get(at, ()))]
        told = (lambda states, depth: tick(f"after the faults: {states:,} states, depth {depth}")) if tick else None
        wider = core.scope.widened(beyond)
        graph = explore_graph(smaller, wider, healed, farther=is_systems, far=wider.widened(FAR), max_states=max_states,
                              max_seconds=max_seconds, tick=told)
        return cls(core, graph, compiled)

    @property
    def model(self) -> Model:
        return self.graph.model

    @property
    def scope(self) -> Scope:
        return self.graph.scope

    @property
    def roots(self) -> range:
        """The healed states of the explored scope."""
        return range(self.graph.starts)

    @cached_property
    def _instances(self) -> tuple[list[str], list[bool]]:
        """By instance: the name of its action, and whether it is the system's."""
        return ([action.name for action, _ in self.graph.instances], [is_systems(action) for action, _ in self.graph.instances])

    @property
    def known(self) -> range:
        """The states whose steps are known."""
        return range(self.graph.expanded)

    @cached_property
    def steps(self) -> list[list[tuple[str, int]]]:
        """By known state: the system's steps, as name of the action and target. A step that changes nothing leads to its own
        state, one to a state that is not known to `BEYOND`."""
        names, system = self._instances
        return [[(names[one], target) for one, target in self._all(state) if system[one]] for state in self.known]

    @cached_property
    def moves(self) -> list[list[tuple[int, int]]]:
        """By known state: the operator's moves, as instance and target."""
        _names, system = self._instances
        return [[(one, target) for one, target in self._all(state) if not system[one]] for state in self.known]

    def _all(self, state: int) -> list[tuple[int, int]]:
        known = self.graph.expanded
        row = [(one, target if target < known else BEYOND) for one, target in self.graph.steps(state)]
        return row + [(one, BEYOND) for one in self.graph.edge.get(state, ())]

    @cached_property
    def fair(self) -> list[frozenset[str]]:
        """By known state: the actions that are possible and fair in it."""
        always, sometimes = set(), {}
        for action in self.model.actions:
            if action.heals or (action.fair and z3.is_true(action.fair_when)):
                always.add(action.name)
            elif action.fair:
                sometimes[action.name] = compile_predicate(self.model, action.fair_when)
        known: dict[tuple[str, ...], frozenset[str]] = {}
        rows = []
        for state, steps in zip(self.graph.states, self.steps, strict=False):  # the last ones may not be known
            key = tuple(name for name, _ in steps if name in always or (name in sometimes and sometimes[name](state)))
            rows.append(known.setdefault(key, frozenset(key)))
        return rows

    def parts(self, nodes: Iterable[int]) -> list[Part]:
        """The parts of `nodes`, each before those that lead to it. A target outside of `nodes` counts as outside of its part."""
        steps, fair = self.steps, self.fair
        rows = []
        for states in components(nodes, lambda node: [target for _, target in steps[node]]):
            inside = set(states)
            helpful = frozenset.intersection(*(fair[state] for state in states))
            staying: set[str] = set()
            out: set[int] = set()
            for state in states:
                for name, target in steps[state]:
                    if target in inside:
                        staying.add(name)
                    else:
                        out.add(target)
            rows.append(Part(tuple(states), tuple(sorted(helpful - staying)), frozenset(out)))
        return rows

    def predicate(self, node: object) -> list[bool]:
        """By known state, whether a term over it holds."""
        holds = compile_predicate(self.model, node)
        return [holds(self.graph.states[state]) for state in self.known]

    def path(self, state: int) -> Path:
        """A path from the initial state: shortest to the healed state where it leaves the explored scope, or where it is."""
        start, after = self.graph.path(state)
        origin, before = self.core.path(self.core.number[self.graph.states[start]])
        assert origin == 0
        return self.core.named(before) + self.graph.named(after)

    def trace(self, path: Path, conclusion: str, *, shortest: bool) -> Trace:
        """A path told, replayed on the compiled model."""
        return trace_of(self.compiled, path, conclusion, shortest=shortest, method=f"exploration ({self.core.scope})")

    def state(self, number: int) -> State:
        return self.graph.states[number]

    def instance_of(self, state: int, action: str, target: int) -> int:
        """An instance of `action` that leads from `state` to `target`."""
        names, _system = self._instances
        return next(one for one, to in self.graph.steps(state) if to == target and names[one] == action)

