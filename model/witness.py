"""Nothing vacuous: every action is taken or proved impossible, and what is assumed can hold together.

Rules
1. An action that was taken has a shortest trace in the explored scope. For one that was not, a walk past the bounds and then
   searches of other scopes look for some trace. Where there is none, values that no explored state has
   (`job` is never `PlannedFailover`) are offered to plain induction as further conjuncts of the invariant; those that pass often
   show that the action is impossible. Where they do not, Spacer is asked, for a while. What nobody settles is a finding.
2. What an exploration has not seen is only a guess until induction has proved it.
3. The assumptions can hold together when invariant and facts have a common state (asked of the solver), and when some infinite
   run is fair: one that goes round, for ever, among states of which every fair action is impossible somewhere or taken.

Source of rule 1: Ernst et al., Dynamically discovering likely program invariants (IEEE TSE 2001).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
import z3

from siteproof.model.claims import Built, Claim, Promise
from siteproof.model.engines.graph import Graph, components
from siteproof.model.engines.horn import infer
from siteproof.model.engines.induction import induct, never_possible
from siteproof.model.engines.obligations import Goal, goals_of, invariant_candidates
from siteproof.model.engines.queries import fresh_solver
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Path, Target, search
from siteproof.model.engines.traces import trace_of
from siteproof.model.engines.walk import met
from siteproof.model.level import Level
from siteproof.model.readings import smt
from siteproof.model.readings.python import CompiledModel, State, compile_predicate
from siteproof.model.readings.smt import Named
from siteproof.model.results import Trace
from siteproof.model.system import Action, Model

__all__ = ["ActionWitness", "Assumptions", "action_witnesses", "assumptions", "known_invariant", "strengthened"]

Progress = Callable[[str], None]


@attrs.frozen
class ActionWitness:
    """The shortest trace that takes an action; or, without one, whether the action is proved impossible, and the reason."""

    action: str
    trace: Trace | None
    impossible: bool
    reason: str


@attrs.frozen
class Assumptions:
    """Whether what is assumed can hold together. `satisfiable`: invariant and facts have a common state (`conjuncts` of them).
    `fair_states` lie on a fair infinite run of the explored scope; `run` is a shortest way to one of them."""

    satisfiable: bool
    conjuncts: int
    fair_states: int
    run: Trace | None


def known_invariant(of: Level, model: Model, tick: Progress | None = None) -> tuple[Named, ...]:
    """The inductive part of the level's lemmas and claims."""
    goals = [goal for goal in goals_of(model, of.promises) if goal.built.applies]
    return induct(model, invariant_candidates(model, of.lemmas, goals), tick=tick).invariant


def strengthened(model: Model, invariant: Sequence[Named], names: Sequence[str], states: Iterable[State]) -> tuple[Named, ...]:
    """The invariant and what induction proves of the values that none of `states` (over `names`, in this order) has."""
    seen: list[set[int | bool]] = [set() for _ in names]
    for state in states:
        for values, value in zip(seen, state, strict=True):
            values.add(value)
    guesses = []
    by_name = {v.name: v for v in model.variables}
    for name, values in zip(names, seen, strict=True):
        domain = by_name[name].domain
        for value in domain.values or ():
            if value not in values:
                node = domain.constant(name)
                is_ = (node if value else z3.Not(node)) if isinstance(value, bool) else node == value
                guesses.append(Named(f"unseen.{name}.{int(value)}", z3.Not(is_)))
    return induct(model, (*invariant, *guesses)).invariant if guesses else tuple(invariant)


def action_witnesses(of: Level, model: Model, graph: Graph, compiled: CompiledModel, invariant: Sequence[Named], *,
                     seconds: float = 10.0, tick: Progress | None = None) -> tuple[ActionWitness, ...]:
    """A row for each action of `model`. `graph` is an exploration of it, with or without marks, `compiled` the model that was
    explored, `invariant` what is known of `model`. Spacer may take so many `seconds` in all."""
    nearest: dict[str, tuple[int, int]] = {}
    for state in range(graph.expanded):
        for instance, _target in graph.steps(state):
            nearest.setdefault(graph.instances[instance][0].name, (state, instance))
    more = strengthened(model, invariant, graph.model.names, graph.states)
    until, rows = time.perf_counter() + seconds, []
    impossible = {action.name for action in model.actions if action.name not in nearest and never_possible(model, more, action)}
    farther = _farther(of, graph.model, {a.name for a in model.actions} - nearest.keys() - impossible, seconds / 2)
    for action in model.actions:
        if action.name in nearest:
            state, instance = nearest[action.name]
            path = graph.named([*graph.path(state)[1], instance])
            trace = trace_of(compiled, path, f"{action.name.replace('_', ' ')} is taken.", shortest=True,
                             method=f"exploration ({graph.scope})")
            rows.append(ActionWitness(action.name, trace, False, ""))
            continue
        if action.name in farther:
            path, how = farther[action.name]
            trace = trace_of(compiled, path, f"{action.name.replace('_', ' ')} is taken.", shortest=False, method=how)
            rows.append(ActionWitness(action.name, trace, False, ""))
            continue
        rows.append(_untaken(of, model, action, graph, invariant, more, until, tick))
    return tuple(rows)


def _farther(of: Level, model: Model, names: set[str], seconds: float) -> dict[str, tuple[Path, str]]:
    """Paths that take the actions called so, and how each was found: by a walk past the bounds of every scope, or else by a
    search of the first of the level's scopes, small to large, that has one."""
    walked = met(model, _taking(names), Scope(of.wide.writes, of.wide.failovers, of.wide.cached)) if names else {}
    found = {name: (path, "a walk past the bounds of the scope") for name, path in walked.items()}
    for scope in (*of.scopes, of.wide):
        targets = _taking(names - found.keys())
        if targets:
            result = search(model, targets, scope, max_states=300_000, max_seconds=seconds / (1 + len(of.scopes)))
            found |= {name: (path, f"breadth-first search ({scope})") for name, path in result.found.items()}
    return found


def _taking(names: Iterable[str]) -> list[Target]:
    """A target for each action called so: that it is taken, whatever becomes of it."""
    return [Target(name, z3.BoolVal(True), True, (name,)) for name in sorted(names)]


def _untaken(of: Level, model: Model, action: Action, graph: Graph, invariant: Sequence[Named], more: Sequence[Named],
             until: float, tick: Progress | None) -> ActionWitness:
    if never_possible(model, invariant, action):
        return ActionWitness(action.name, None, True, "the inductive invariant contradicts its preconditions")
    if never_possible(model, more, action):
        return ActionWitness(action.name, None, True, "an inductive invariant with the values that never occur contradicts its"
                             " preconditions")
    bound = f"not taken with {graph.scope}" + (f" ({graph.stopped})" if graph.stopped else "")
    left = until - time.perf_counter()
    if left < 0.5:
        return ActionWitness(action.name, None, False, f"{bound}; not proved impossible in the time given")
    if tick:
        tick(f"Spacer: whether {action.name.replace('_', ' ')} is possible")
    found = infer(model, _never(of, action), more, max_seconds=min(5.0, left))
    if found.invariant is not None:
        return ActionWitness(action.name, None, True, "an invariant that Spacer inferred contradicts its preconditions")
    return ActionWitness(action.name, None, False, f"{bound}; not proved impossible ({found.reason})")


def _never(of: Level, action: Action) -> Goal:
    """That an action is never possible, as a claim that engines can be asked."""
    nodes = []
    for arguments in action.instances():
        pairs = [(p.domain.constant("arg:" + p.name), z3.BoolVal(a) if isinstance(a, bool) else z3.IntVal(a))
                 for p, a in zip(action.parameters, arguments, strict=True)]
        nodes.append(z3.substitute(action.enabled, *pairs) if pairs else action.enabled)
    claim = Claim(f"{action.name} is never possible", _not_built)
    promise = Promise(f"witness-{of.id}", claim.name, claim.name, (), (claim,))
    return Goal(promise, Built(claim, z3.BoolVal(True), z3.Not(z3.Or(*nodes)), True, ""))


def _not_built(*_states: object) -> Any:
    raise TypeError("this claim is given as a term")


def assumptions(model: Model, invariant: Sequence[Named], graph: Graph, compiled: CompiledModel) -> Assumptions:
    """Whether invariant and facts can hold together, and whether some infinite run of the explored scope is fair."""
    rows = (*smt.facts(model), *invariant)
    satisfiable = fresh_solver(row.node for row in rows).check() == z3.sat
    fair_when = {action.name: None if z3.is_true(action.fair_when) else compile_predicate(graph.model, action.fair_when)
                 for action in graph.model.actions if action.fair}
    fair: set[int] = set()
    for part in components(range(graph.expanded), lambda state: [target for _, target in graph.steps(state)]):
        inside = set(part)
        taken: set[str] = set()
        always: set[str] | None = None
        goes_on = False
        for state in part:
            possible = set()
            for instance, target in graph.steps(state):
                name = graph.instances[instance][0].name
                goes_on = goes_on or target in inside
                if name in fair_when:
                    condition = fair_when[name]
                    if condition is None or condition(graph.states[state]):
                        possible.add(name)
                    if target in inside:
                        taken.add(name)
            possible |= {graph.instances[one][0].name for one in graph.edge.get(state, ())} & fair_when.keys()
            always = possible if always is None else always & possible
        if goes_on and not (always or set()) - taken:
            fair.update(part)
    run = None
    if fair:
        nearest = min(fair)
        run = trace_of(compiled, graph.named(graph.path(nearest)[1]), "From here a fair run goes on for ever.", shortest=True,
                       method=f"exploration ({graph.scope})")
    return Assumptions(bool(satisfiable), len(rows), len(fair), run)
