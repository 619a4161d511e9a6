"""Exploring a flow: all states of a bounded scope, and what can be asked of them that no inductive proof answers.

Rules
1. A scope that nobody chose is grown, one bound at a time, as long as the next step may be expected to stay within the budget of
   states; how it was chosen is part of the result. A scope that the budget cuts off makes whatever is said of it undetermined.
2. Content is left out: no guard sees it (data independence), so it decides nothing of what is asked here.
3. What is found is said of the scope and of no more: it is *explored*, never proved. Broken is broken, in every scope.
4. Fairness: fair internal steps are not put off for ever, unfair ones may be taken or not, faults stop and what can be mended is
   mended, and an operator who goes on asking gets the chance to. Nothing else is assumed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import attrs

from siteproof.model.aftermath import Aftermath
from siteproof.model.ending import Ending, Found, Stillness, ending, stillness
from siteproof.model.engines.graph import Graph, explore_graph
from siteproof.model.engines.scope import Scope
from siteproof.model.errors import UsageError, near
from siteproof.model.level import Level
from siteproof.model.levels import level_ids, levels
from siteproof.model.product import letters, of_machine, product
from siteproof.model.readings.python import compile_model
from siteproof.model.system import Model
from siteproof.model.terms import And, Bool, Or
from siteproof.model.topology import Topology
from siteproof.model.way_home import WayHome, way_home
from siteproof.model.witness import ActionWitness, Assumptions, action_witnesses, assumptions, known_invariant

__all__ = ["FAIRNESS", "ActionCount", "Exploration", "ExploreReport", "Limits", "Trial", "explore", "explore_level"]

FAIRNESS = ("fair internal steps are not put off for ever while they stay possible", "unfair internal steps may be taken or not",
            "faults stop, and what can be mended is mended", "an operator who goes on asking gets the chance to")

Progress = Callable[[str], None]


@attrs.frozen
class Limits:
    """The scope that was asked for (None: choose), and the budget: states, and seconds for each level. `witnesses`: look beyond
    the scope for actions that it does not take, and ask whether the assumptions can hold together."""

    writes: int | None = None
    failovers: int | None = None
    machines: int = 1
    max_states: int = 250_000
    max_seconds: float = 120.0
    witnesses: bool = True


@attrs.frozen
class Trial:
    """One scope on the way to the chosen one: its states, or the estimate for which it was not explored. `stopped`: it had more,
    by this bound."""

    scope: str
    states: int
    estimated: bool
    seconds: float
    stopped: str = ""


@attrs.frozen
class ActionCount:
    """How often an action is possible in the explored scope, and how many of these steps stay in it."""

    action: str
    kind: str
    possible: int
    taken: int


@attrs.frozen
class Exploration:
    """One level of one flow. `states`, `transitions` and `depth` are those of the scope, `after` the states that were looked at
    beyond it, after the faults. `stopped` is the bound that cut the exploration off, empty when nothing was left out; `complete`:
    no bound of the scope was ever met, so these are all states there are."""

    level: str
    title: str
    machines: int
    scope: str
    trials: tuple[Trial, ...]
    states: int
    transitions: int
    depth: int
    after: int
    complete: bool
    stopped: str
    seconds: float
    states_per_second: float
    actions: tuple[ActionCount, ...]
    stillness: Stillness
    endings: tuple[Ending, ...]
    way_home: WayHome | None
    witnesses: tuple[ActionWitness, ...]
    assumptions: Assumptions | None

    @property
    def unsettled(self) -> tuple[ActionWitness, ...]:
        """The actions that were neither taken nor proved impossible: findings."""
        return tuple(row for row in self.witnesses if row.trace is None and not row.impossible)

    @property
    def found(self) -> Found:
        """The worst of all that was asked."""
        asked = [row.found for row in self.endings] + ([self.way_home.found] if self.way_home else [])
        if Found.BROKEN in asked or (self.assumptions and not self.assumptions.satisfiable):
            return Found.BROKEN
        open_ = self.stopped or self.unsettled or (self.assumptions and not self.assumptions.fair_states)
        return Found.UNDETERMINED if open_ or Found.UNDETERMINED in asked else Found.HOLDS


@attrs.frozen
class ExploreReport:
    """All levels of a flow that were explored."""

    topology: str
    title: str
    facts: dict[str, bool]
    overrides: dict[str, bool]
    levels: tuple[Exploration, ...]
    fairness: tuple[str, ...]
    seconds: float

    @property
    def found(self) -> Found:
        """The worst of the levels."""
        asked = [row.found for row in self.levels]
        return next((one for one in (Found.BROKEN, Found.UNDETERMINED) if one in asked), Found.HOLDS)


def explore(topology: Topology, limits: Limits | None = None, *, among: Collection[str] | None = None,
            on_progress: Progress | None = None) -> ExploreReport:
    """Explore the levels in `among` (ids; all that apply when None). With several machines, the promise level alone. Raises
    `UsageError` for an unknown level, or one that does not apply."""
    began, limits = time.perf_counter(), limits or Limits()
    for name in among or ():
        if name not in level_ids():
            raise UsageError(f"the level {name}", "one of " + ", ".join(level_ids()), near(name, level_ids()))
    if limits.machines > 1:
        among = [one.id for one in levels() if (among is None or one.id in among) and _has_shared(one, topology)][:1]
    rows = [explore_level(one, one.build(topology.id, topology.facts), limits, on_progress=on_progress)
            for one in levels() if (among is None or one.id in among) and one.applies(topology.facts)]
    if not rows:
        raise UsageError(f"levels that say nothing about {topology.id}", "a level that applies", "leave --level out")
    return ExploreReport(topology.id, topology.title, dict(topology.facts), dict(topology.overrides), tuple(rows), FAIRNESS,
                         time.perf_counter() - began)


def _has_shared(of: Level, topology: Topology) -> bool:
    return of.applies(topology.facts) and of.pending is not None and any(
        v.shared for v in of.build(topology.id, topology.facts).variables)


def explore_level(of: Level, model: Model, limits: Limits, *, on_progress: Progress | None = None) -> Exploration:
    """Explore one level's `model` within `limits`."""
    began, tell = time.perf_counter(), on_progress or (lambda _text: None)
    names = letters(limits.machines) if limits.machines > 1 else ("",)
    whole = product(model, limits.machines)
    until = began + limits.max_seconds
    core, trials = _choose(of, whole, limits, until, tell)
    compiled = compile_model(whole)

    def said(predicate: Callable[[Any], Bool] | None, letter: str) -> Any:
        return None if predicate is None else of_machine(model, predicate(model.vocabulary()).node, letter)

    endings: tuple[Ending, ...] = ()
    way: WayHome | None = None
    after: Aftermath | None = None
    pending = [said(of.pending, letter) for letter in names]
    if of.pending is not None or of.home is not None:
        most = limits.max_states if core.stopped else 4 * limits.max_states
        after = Aftermath.of(core, compiled, max_states=most, max_seconds=max(1.0, until - time.perf_counter()), tick=tell)
    if after is not None and of.pending is not None:
        tell(f"{of.id}: whether every job ends")
        endings = tuple(ending(after, node, f"machine {letter}" if letter else "the machine")
                        for letter, node in zip(names, pending, strict=True))
    if after is not None and of.home is not None:
        tell(f"{of.id}: the way home")
        home = And(*(Bool(said(of.home, letter)) for letter in names)).node
        ended = Or(*(Bool(said(of.ended, letter)) for letter in names)).node if of.ended is not None else None
        way = way_home(after, home, ended)
    still = stillness(core, Or(*(Bool(node) for node in pending)).node if of.pending is not None else None)
    rows: tuple[ActionWitness, ...] = ()
    assumed: Assumptions | None = None
    if limits.machines == 1 and limits.witnesses:
        tell(f"{of.id}: actions that were not taken")
        invariant = known_invariant(of, model, tell)
        seconds = max(1.0, min(20.0, until - time.perf_counter()))
        rows = action_witnesses(of, model, core, compiled, invariant, seconds=seconds, tick=tell)
        tell(f"{of.id}: whether the assumptions can hold together")
        assumed = assumptions(model, invariant, core, compiled)
    return Exploration(
        of.id, of.title, limits.machines, str(core.scope), trials, len(core.states), len(core.targets), core.depth,
        len(after.graph.states) if after is not None else 0, not core.left and not core.stopped, core.stopped,
        time.perf_counter() - began, len(core.states) / max(core.seconds, 1e-9), _counts(core), still, endings, way, rows,
        assumed)


def _counts(core: Graph) -> tuple[ActionCount, ...]:
    taken = Counter(core.instances[one][0].name for one in core.taken)
    left: Counter[str] = Counter()
    for one, number in core.left.items():
        left[core.instances[one][0].name] += number
    return tuple(ActionCount(action.name, action.kind.value, taken[action.name] + left[action.name], taken[action.name])
                 for action in core.model.actions)


def _choose(of: Level, model: Model, limits: Limits, until: float, tell: Progress) -> tuple[Graph, tuple[Trial, ...]]:
    """The graph of the scope that was asked for, or of the largest that is expected to stay within the budget (rule 1)."""
    fixed = limits.writes is not None or limits.failovers is not None

    def look(scope: Scope) -> Graph:
        return explore_graph(model, scope, max_states=limits.max_states, max_seconds=max(0.5, until - time.perf_counter()),
                             tick=lambda states, depth: tell(f"{of.id}: {states:,} states, depth {depth}, {scope}"))

    if fixed:
        small = of.scopes[0]
        graph = look(attrs.evolve(small, writes=small.writes if limits.writes is None else limits.writes,
                                  failovers=small.failovers if limits.failovers is None else limits.failovers))
        return graph, (_trial(graph),)
    scope = _smallest(of.scopes[0])
    graph, growth, too_large = look(scope), dict[str, float](), set[str]()
    trials = [_trial(graph)]
    for name, larger in _ladder(scope):
        if not graph.left or graph.stopped or until - time.perf_counter() < 3 * graph.seconds:
            break
        wider = larger(graph.scope)
        cached = (wider.cached or 0) > max(1, of.wide.cached or 0)
        if name in too_large or cached or wider.bounds(model) == graph.scope.bounds(model):
            continue
        estimate = int(len(graph.states) * growth.get(name, 2.0))
        if estimate > limits.max_states:
            trials.append(Trial(str(wider), estimate, True, 0.0))
            too_large.add(name)
            continue
        found = look(wider)
        trials.append(_trial(found))
        if found.stopped:
            too_large.add(name)
            continue
        growth[name] = max(2.0, len(found.states) / len(graph.states))
        graph = found
    return graph, tuple(trials)


def _trial(graph: Graph) -> Trial:
    return Trial(str(graph.scope), len(graph.states), False, graph.seconds, graph.stopped)


def _next(most: int | None) -> int | None:
    return None if most is None else most + 1


def _smallest(scope: Scope) -> Scope:
    def least(most: int | None) -> int | None:
        return None if most is None else 0

    return attrs.evolve(scope, writes=least(scope.writes), failovers=least(scope.failovers), cached=least(scope.cached))


def _ladder(scope: Scope) -> Iterator[tuple[str, Callable[[Scope], Scope]]]:
    """Bounds to enlarge, in turn: failovers, writes, cached writes, and whatever else the level bounds."""
    def more(name: str) -> Callable[[Scope], Scope]:
        return lambda old: attrs.evolve(old, more=_one_more(old.more, name))

    steps: list[tuple[str, Callable[[Scope], Scope]]] = [
        ("failovers", lambda old: attrs.evolve(old, failovers=_next(old.failovers))),
        ("writes", lambda old: attrs.evolve(old, writes=_next(old.writes))),
        ("cached", lambda old: attrs.evolve(old, cached=_next(old.cached))),
        *((name, more(name)) for name in scope.more)]
    for _round in range(8):
        yield from steps


def _one_more(bounds: Mapping[str, int], name: str) -> dict[str, int]:
    return {key: most + (key == name) for key, most in bounds.items()}
