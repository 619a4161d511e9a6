"""Necessity: each precondition of each action is dropped in turn, and it is shown what becomes of the promises.

Rules
1. A precondition is *needed* when without it a promise breaks, or a count falls below zero: its row has a trace. It is
   *defensive* when the invariant and the other preconditions imply it, so that dropping it changes nothing: its row rests on a
   proof. It is *not needed for these promises* when all of them are still proved, by plain induction, although something more
   is possible without it: its row says what, by a shortest trace to a state in which only this precondition refuses. A
   precondition that the facts of the flow make true says *nothing in this flow*. All else is *undetermined*, with the reason.
2. The invariant of the model as it is comes first: only the changed action has to be asked whether it keeps it.
3. Then states are searched. What the mutant can do anew begins with a step that the precondition forbade, from a state that the
   model itself reaches; so one exploration of the model serves all its preconditions, and only what is new is searched for
   each. A precondition less allows more and does nothing else: the mutant's steps are the model's and those of the changed
   action, so only that action is compiled for it.
4. What is open then is asked of induction with what is left of the invariant when lemmas fall (Houdini); no action is asked anew
   of which the answer leans on nothing that has fallen. Then the mutant is walked, which gets deeper than a search; a run that
   breaks a claim is made shorter by a search among the actions that it took. Then induction gets weaker parts of the lemmas
   that fell, where these are not too many, and last of all Spacer some seconds. Neither a search that found nothing nor a
   time-out is called a proof.
5. A trace is the shortest in the scope that was explored; it says that it is the shortest of all only when every shorter run of
   the wide scope was explored as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any

import attrs
import z3

from siteproof.model.claims import Built, Claim, Promise
from siteproof.model.engines.graph import Graph, explore_graph
from siteproof.model.engines.horn import infer
from siteproof.model.engines.induction import Induction, Relation, eroded, induct, proves, relations_of
from siteproof.model.engines.obligations import Goal, goals_of
from siteproof.model.engines.queries import Questions
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Path, Target, hunt, search
from siteproof.model.engines.solvers import z3_version
from siteproof.model.engines.traces import counterexample, trace_of
from siteproof.model.engines.walk import met
from siteproof.model.engines.weakening import plausible, sharpened, weakened
from siteproof.model.level import Level
from siteproof.model.levels import levels
from siteproof.model.mutation import without_guard
from siteproof.model.nodes import all_of
from siteproof.model.readings import smt
from siteproof.model.readings.english import english
from siteproof.model.readings.python import CompiledModel, compile_model, compile_predicate
from siteproof.model.readings.smt import Named
from siteproof.model.results import Trace
from siteproof.model.system import FACT_PREFIX, Action, Model, constants_of
from siteproof.model.topology import Topology
from siteproof.model.witness import known_invariant, strengthened

__all__ = ["Necessity", "NecessityReport", "Need", "necessity", "necessity_of_model"]

WIDE_STATES, SMALL_STATES, NARROW_STATES, NEW_STATES = 30_000, 75_000, 120_000, 20_000
SLOW_SECONDS = 8.0
WALKED = 30_000
"""Steps of a walk for a precondition that searches left open."""
MOST_PARTS = 4_000
"""Parts of lemmas that induction is given; with more it takes minutes and has settled nothing so far."""

Progress = Callable[[str], None]


class Need(StrEnum):
    """What a precondition is there for (rule 1)."""

    NEEDED = "needed"
    DEFENSIVE = "defensive"
    NOT_NEEDED = "not needed for these promises"
    SILENT = "says nothing in this flow"
    UNDETERMINED = "undetermined"


@attrs.frozen
class Necessity:
    """One precondition of one action. `number` counts from 1; `text` is the precondition in English. `promise` and `claim` are
    what breaks, with `trace`; `accepts` is a shortest trace to a state where only this precondition refuses, ending with what
    would then be done. `reason` explains silent and undetermined."""

    level: str
    action: str
    kind: str
    operation: str
    number: int
    text: str
    code: str
    precheck: bool
    requirements: tuple[str, ...]
    need: Need
    method: str
    reason: str
    promise: str
    claim: str
    trace: Trace | None
    accepts: Trace | None
    seconds: float


@attrs.frozen
class NecessityReport:
    """All preconditions of a flow, level by level. `scopes` are those that were searched."""

    topology: str
    title: str
    facts: dict[str, bool]
    overrides: dict[str, bool]
    rows: tuple[Necessity, ...]
    scopes: tuple[str, ...]
    solvers: tuple[str, ...]
    seconds: float

    def count(self, need: Need) -> int:
        """How many preconditions have this verdict."""
        return sum(row.need is need for row in self.rows)


def necessity(topology: Topology, *, on_progress: Progress | None = None, time_limit: float = 600.0) -> NecessityReport:
    """The matrix of a flow, all levels that apply. `time_limit` is in seconds, for each level; what is open then is
    undetermined."""
    began, tell = time.perf_counter(), on_progress or (lambda _text: None)
    rows: list[Necessity] = []
    scopes: list[str] = []
    for one in levels():
        if one.applies(topology.facts):
            model = one.build(topology.id, topology.facts)
            rows += necessity_of_model(one, model, on_progress=tell, time_limit=time_limit)
            scopes += [f"{one.id}: {scope}" for scope in (one.wide, one.scopes[0], *one.narrow)]
    facts, changed = dict(topology.facts), dict(topology.overrides)
    return NecessityReport(topology.id, topology.title, facts, changed, tuple(rows), tuple(scopes), (z3_version(),),
    time.perf_counter() - began)


def necessity_of_model(of: Level, model: Model, *, on_progress: Progress | None = None, time_limit: float = 600.0,
                       actions: Sequence[str] | None = None) -> list[Necessity]:
    """One row for each precondition of `actions` (all when None)."""
    tell = on_progress or (lambda _text: None)
    matrix = _Matrix.of(of, model, tell, time_limit)
    wanted = [action for action in model.actions if actions is None or action.name in actions]
    todo = [(action, number) for action in wanted for number in range(len(action.guards))]
    rows, later = {}, []
    for done, (action, number) in enumerate(todo, start=1):
        tell(f"necessity: {of.id}, precondition {done} of {len(todo)}, {action.name.replace('_', ' ')}")
        row = matrix.quick(action, number)
        if row.need is Need.UNDETERMINED:
            later.append((action, number, row))
        rows[action.name, number] = row
    left_over = []
    for action, number, row in later:
        tell(f"necessity: {of.id}, walking without a precondition of {action.name.replace('_', ' ')}")
        rows[action.name, number] = row = matrix.deeper(action, number, row)
        if row.need is Need.UNDETERMINED:
            left_over.append((action, number, row))
    matrix.deadline = min(matrix.deadline, time.perf_counter() + SLOW_SECONDS)
    for at, (action, number, row) in enumerate(left_over):
        tell(f"necessity: {of.id}, {len(left_over) - at} left, {action.name.replace('_', ' ')}")
        rows[action.name, number] = matrix.slow(action, number, row, len(left_over) - at)
    return [rows[action.name, number] for action, number in todo]


@attrs.define(eq=False, slots=False)
class _Matrix:
    """A model as it is: its claims, the invariant that proves them, and what was explored of it."""

    level: Level
    model: Model
    goals: list[Goal]
    by_key: dict[str, Goal]
    targets: list[Target]
    invariant: tuple[Named, ...]
    compiled: CompiledModel
    deadline: float
    tell: Progress
    graphs: dict[str, Graph] = attrs.field(factory=dict)
    levels: dict[str, _Levels] = attrs.field(factory=dict)
    hunts: dict[str, Any] = attrs.field(factory=dict)

    @classmethod
    def of(cls, of: Level, model: Model, tell: Progress, time_limit: float) -> _Matrix:
        deadline = time.perf_counter() + time_limit
        goals = [_natural(model), *(goal for goal in goals_of(model, of.promises) if goal.built.applies)]
        proved = known_invariant(of, model, tell)
        seen = explore_graph(model, of.scopes[0], max_states=SMALL_STATES)
        proved = strengthened(model, proved, model.names, seen.states)
        told = proves(model, proved, goals)
        goals = [goal for goal in goals if told[goal.key].answer == "unsat"]
        targets = [Target(goal.key, z3.Not(goal.built.formula), goal.claim.is_step, goal.claim.on) for goal in goals]
        return cls(of, model, goals, {goal.key: goal for goal in goals}, targets, proved, compile_model(model), deadline, tell,
                   {str(seen.scope): seen})

    @property
    def left(self) -> float:
        return self.deadline - time.perf_counter()

    @cached_property
    def relations(self) -> dict[str, Relation]:
        """The steps of the model as it is."""
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
        """By action, the conjuncts on which its consecution in the model as it is leans."""
        return eroded(self.model, self.invariant, self.switched, self.relations).leans

    def explored(self, scope: Scope, most: int) -> Graph:
        """The model's own states in a scope, explored once."""
        if str(scope) not in self.graphs:
            self.graphs[str(scope)] = explore_graph(self.model, scope, max_states=most, tick=lambda states, depth: self.tell(
                f"necessity: {self.level.id}, {states:,} states, depth {depth}"))
        return self.graphs[str(scope)]

    def unsat(self, *nodes: Any, denied: Any = None) -> bool:
        """Whether the invariant and `nodes` contradict each other, or imply `denied`; a solver that gives up says no."""
        with self.known as solver:
            solver.suppose(*nodes)
            return solver.ask(z3.BoolVal(False) if denied is None else denied).is_unsat

    def row(self, action: Action, number: int, began: float, need: Need, method: str, reason: str = "",
            **found: Any) -> Necessity:
        guard = action.guards[number]
        return Necessity(
            **{"level": self.level.id, "action": action.name, "kind": action.kind.value, "operation": action.operation,
               "number": number + 1, "text": english(self.model, guard.written, action), "code": guard.code,
               "precheck": guard.precheck, "requirements": action.requirements, "need": need, "method": method, "reason": reason,
               "promise": "", "claim": "", "trace": None, "accepts": None, "seconds": time.perf_counter() - began} | found)

    def quick(self, action: Action, number: int) -> Necessity:
        """The verdict of invariant and search, or undetermined."""
        began, guard = time.perf_counter(), action.guards[number]
        if z3.is_true(guard.folded):
            asked = sorted(name.removeprefix(FACT_PREFIX) for name in constants_of(guard.written) if name.startswith(FACT_PREFIX))
            because = ", ".join(f"{path} = {str(self.model.facts.values[path]).lower()}" for path in asked)
            return self.row(action, number, began, Need.SILENT, "facts", f"it always holds here: {because}")
        asked_of = [row.node for row in smt.relation(self.model, action, folded=True) if row.name.startswith("argument")]
        others = [one.folded for at, one in enumerate(action.guards) if at != number]
        if self.unsat(*asked_of, *others, z3.Not(guard.folded)):
            return self.row(action, number, began, Need.DEFENSIVE, "invariant and the other preconditions imply it")
        mutant = without_guard(self.model, action.name, number)
        if self.keeps(mutant, mutant.action(action.name)):
            return self.row(action, number, began, Need.NOT_NEEDED, "plain induction, invariant unchanged",
                            accepts=self.refused_alone(action, number))
        if (found := self.broken(mutant, action, number)) is not None:
            goal, path, scope, shortest = found
            trace = counterexample(self.without(action, number), goal, path, shortest=shortest,
                                   method=f"breadth-first search ({scope})")
            return self.row(action, number, began, Need.NEEDED, trace.method, promise=goal.promise.id, claim=goal.built.name,
                            trace=trace)
        fallen = self.fallen(mutant, action)
        if fallen is None:
            return self.row(action, number, began, Need.NOT_NEEDED, "plain induction (Houdini)",
                            accepts=self.refused_alone(action, number))
        why = [f"plain induction does not prove without it: {fallen.promise.id}, “{fallen.built.name}”",
               f"no counterexample in {len(self.searched)} scopes, as far as they were searched"]
        if self.left <= 0:
            why.append("the time limit was reached")
        return self.row(action, number, began, Need.UNDETERMINED, "search", "; ".join(why))

    def keeps(self, mutant: Model, action: Action) -> bool:
        """Whether the changed action keeps the invariant and its step claims."""
        step = relations_of(mutant, [action])[action.name]
        claims = [step.of_step(goal.built.formula) for goal in self.goals
                  if goal.claim.is_step and (goal.claim.on is None or action.name in goal.claim.on)]
        return self.unsat(*step.nodes, denied=all_of([*map(step.later, step.touched(self.invariant)), *claims]))

    def freed(self, action: Action, number: int) -> list[tuple[tuple[int | bool, ...], Callable[..., bool]]]:
        """By tuple of arguments: whether in a state only this precondition refuses."""
        rows = []
        for arguments in action.instances():
            given = [(p.domain.constant("arg:" + p.name), z3.BoolVal(a) if isinstance(a, bool) else z3.IntVal(a))
                     for p, a in zip(action.parameters, arguments, strict=True)]
            others = [one.folded for at, one in enumerate(action.guards) if at != number]
            node = z3.And(z3.Not(action.guards[number].folded), *others)
            node = z3.simplify(z3.substitute(node, *given) if given else node)
            if not z3.is_false(node):
                rows.append((arguments, compile_predicate(self.model, node)))
        return rows

    def refused_alone(self, action: Action, number: int) -> Trace | None:
        """A shortest trace of the model without the precondition that makes use of that, or None where none is in scope."""
        freed = self.freed(action, number)
        for scope, most in self.searched:
            graph = self.explored(scope, most)
            found = next(((at, arguments) for at, state in enumerate(graph.states) for arguments, holds in freed if holds(state)),
                         None)
            if found is not None:
                state, arguments = found
                path = (*graph.named(graph.path(state)[1]), (action.name, arguments))
                words = (f"{action.name.replace('_', ' ')} becomes possible here; only this precondition refused it, and no"
                         " promise of this level breaks.")
                return trace_of(self.without(action, number), path, words, shortest=len(path) <= _complete(graph) + 1
                                and scope == self.level.wide, method=f"exploration ({scope})")
        return None

    @property
    def searched(self) -> tuple[tuple[Scope, int], ...]:
        """The scopes that are explored, each with the most states of it."""
        return ((self.level.wide, WIDE_STATES), (self.level.scopes[0], SMALL_STATES),
                *((scope, NARROW_STATES) for scope in self.level.narrow))

    def without(self, action: Action, number: int) -> CompiledModel:
        """The compiled mutant; only the changed action is compiled anew."""
        mutant = without_guard(self.model, action.name, number)
        alone = compile_model(attrs.evolve(mutant, actions=(mutant.action(action.name),)))
        return attrs.evolve(self.compiled, model=mutant, actions={**self.compiled.actions, **alone.actions})

    def broken(self, mutant: Model, action: Action, number: int) -> tuple[Goal, Path, Scope, bool] | None:
        """A claim that fails without the precondition, with a path, the scope in which it is shortest, and whether it is the
        shortest of all."""
        best: tuple[Goal, Path, Scope, bool] | None = None
        for scope, most in self.searched:
            graph = self.explored(scope, most)
            found = self.first_break(mutant, action, number, graph)
            if found is not None and (best is None or len(found[1]) < len(best[1])):
                best = (*found, scope, scope == self.level.wide and len(found[1]) <= _complete(graph) + 1)
            if best is not None and (best[3] or scope != self.level.wide):
                break
        return best

    def first_break(self, mutant: Model, action: Action, number: int, graph: Graph) -> tuple[Goal, Path] | None:
        """The nearest claim to fail. What is new begins with a step that the precondition forbade; a state of the model itself is
        entered again only when the mutant reaches it sooner."""
        key = str(graph.scope)
        if key not in self.levels:
            self.levels[key] = _levels(graph)
        levels_, freed, number_of = self.levels[key], self.freed(action, number), graph.number
        depth_of = levels_.depth
        instances, expand, check = self.hunted(key, graph.scope, mutant.action(action.name))
        came: dict[Any, tuple[Any, int]] = {}

        def path(state: Any, last: list[int]) -> Path:
            rows = last
            while state in came:
                state, instance = came[state]
                rows = [instance, *rows]
            before = graph.named(graph.path(number_of[state])[1])
            return before + tuple((instances[one][0].name, instances[one][1]) for one in rows)

        layer: list[Any] = []
        for depth in range(max(len(levels_.begin), 1_000)):
            known = depth + 1 < len(levels_.begin)
            if known:
                seeds = graph.states[levels_.begin[depth]:levels_.begin[depth + 1]]
                layer = [*layer, *(state for state in seeds if state not in came and any(holds(state) for _, holds in freed))]
            elif not layer:
                break
            beyond = []
            for state in layer:
                successors: list[tuple[int, Any]] = []
                hits: list[tuple[str, int]] = []
                expand(state, successors, hits)
                if hits:
                    return self.by_key[hits[0][0]], path(state, [hits[0][1]])
                for instance, after in successors:
                    old = number_of.get(after)
                    if after in came or (old is not None and depth_of[old] <= depth + 1):
                        continue
                    came[after] = (state, instance)
                    beyond.append(after)
            for state in beyond:
                if failed := check(state):
                    return self.by_key[failed[0]], path(state, [])
            if len(came) > NEW_STATES or self.left <= 0:
                return None
            layer = beyond
        return None

    def hunted(self, key: str, scope: Scope, changed: Action) -> tuple[list[tuple[Action, tuple[int | bool, ...]]],
                                                                       Callable[..., None], Callable[[Any], list[str]]]:
        """A hunt in a mutant: the model's own steps, compiled once a scope, and those of the changed action."""
        if key not in self.hunts:
            self.hunts[key] = hunt(self.model, self.targets, scope, {})
        instances, expand, check = self.hunts[key]
        alone = attrs.evolve(self.model, actions=(changed,))
        own, more, _ = hunt(alone, [target for target in self.targets if target.is_step], scope, {})

        def both(state: Any, successors: list[tuple[int, Any]], hits: list[tuple[str, int]]) -> None:
            expand(state, successors, hits)
            late: tuple[list[tuple[int, Any]], list[tuple[str, int]]] = ([], [])
            more(state, *late)
            successors += [(number + len(instances), after) for number, after in late[0]]
            hits += [(target, number + len(instances)) for target, number in late[1]]

        return [*instances, *own], both, check

    def inductive(self, mutant: Model, action: Action, vital: Collection[str] = ()) -> Induction:
        """What of the invariant a mutant keeps in which `action` is changed."""
        relations = self.changed(mutant, action)
        leans = {name: rows for name, rows in self.leans.items() if name != action.name}
        return eroded(mutant, self.invariant, self.switched, relations, vital=vital, leans=leans)

    def changed(self, mutant: Model, action: Action) -> dict[str, Relation]:
        """The steps of a mutant in which `action` is changed."""
        return {**self.relations, **relations_of(mutant, [mutant.action(action.name)])}

    def fallen(self, mutant: Model, action: Action) -> Goal | None:
        """A claim that does not follow from what is left of the invariant when lemmas fall; None when all of them do."""
        found = self.inductive(mutant, action, {goal.key for goal in self.goals})
        if not found.invariant:
            return next(goal for goal in self.goals if goal.key in found.dropped)
        told = proves(mutant, found.invariant, self.goals, relations=self.changed(mutant, action))
        return next((goal for goal in self.goals if told[goal.key].answer != "unsat"), None)

    def deeper(self, action: Action, number: int, row: Necessity) -> Necessity:
        """What search left open: a walk of the mutant, and induction with parts of the lemmas that fell."""
        began, mutant = time.perf_counter(), without_guard(self.model, action.name, number)
        if self.left <= 0:
            return row
        if (found := self.walked(mutant)) is not None:
            goal, path = found
            trace = counterexample(self.without(action, number), goal, path, shortest=False,
                                   method="a walk, then breadth-first search among the actions that it took")
            return self.row(action, number, began, Need.NEEDED, trace.method, promise=goal.promise.id, claim=goal.built.name,
                            trace=trace)
        if self.weaker(mutant, action):
            return self.row(action, number, began, Need.NOT_NEEDED, "plain induction (with what is left of lemmas)",
                            accepts=self.refused_alone(action, number))
        why = f"{row.reason}; no walk of {WALKED:,} steps breaks a claim; what is left of lemmas proves no more"
        return attrs.evolve(row, reason=why, seconds=row.seconds + time.perf_counter() - began)

    def walked(self, mutant: Model) -> tuple[Goal, Path] | None:
        """A claim that a walk of the mutant breaks, and a run to there."""
        scope = self.level.wide.widened(1)
        found = met(mutant, self.targets, scope, steps=WALKED)
        if not found:
            return None
        key = min(found, key=lambda one: len(found[one]))
        used = {name for name, _ in found[key]}
        alone = attrs.evolve(mutant, actions=tuple(one for one in mutant.actions if one.name in used))
        target = next(one for one in self.targets if one.key == key)
        nearer = search(alone, [target], scope, max_states=WIDE_STATES).found
        return self.by_key[key], min(found[key], nearer.get(key, found[key]), key=len)

    def weaker(self, mutant: Model, action: Action) -> bool:
        """Whether induction proves all claims with weaker parts of what falls of the invariant."""
        kept = self.inductive(mutant, action).invariant
        names = {one.name for one in kept}
        made = [*sharpened(self.invariant), *weakened(mutant, [one for one in self.invariant if one.name not in names])]
        if len(made) > MOST_PARTS:
            return False
        rows = [*kept, *plausible(mutant, made, self.level.scopes[0])]
        relations = self.changed(mutant, action)
        found = induct(mutant, rows, relations=relations)
        told = proves(mutant, found.invariant, self.goals, relations=relations)
        return all(answer.answer == "unsat" for answer in told.values())

    def slow(self, action: Action, number: int, row: Necessity, among: int) -> Necessity:
        """What is open still: Spacer, on top of what is left of the invariant."""
        began = time.perf_counter()
        if self.left / among < 0.5:
            return attrs.evolve(row, reason=f"{row.reason}; the time limit was reached")
        mutant = without_guard(self.model, action.name, number)
        kept = self.inductive(mutant, action).invariant
        told = proves(mutant, kept, self.goals)
        for goal in (goal for goal in self.goals if told[goal.key].answer != "unsat"):
            inferred = infer(mutant, goal, kept, max_seconds=max(0.5, min(5.0, self.left / among)))
            if inferred.invariant is None:
                why = f"{row.reason}; Spacer: {inferred.reason}"
                return attrs.evolve(row, reason=why, seconds=row.seconds + time.perf_counter() - began)
            kept = inferred.invariant
        return self.row(action, number, began, Need.NOT_NEEDED, "Spacer, then plain induction",
                        accepts=self.refused_alone(action, number))


def _natural(model: Model) -> Goal:
    """That no count falls below zero, as a claim that searches can look for: a model in which one does says nothing."""
    counts = [v.domain.constant(v.name) for v in model.variables if v.domain.is_nat]
    claim = Claim("no count falls below zero", _given)
    return Goal(Promise("the model", claim.name, claim.name, (), (claim,)),
                Built(claim, z3.BoolVal(True), z3.And(*(count >= 0 for count in counts)), True, ""))


def _given(*_states: object) -> Any:
    raise TypeError("this claim is given as a term")


@attrs.frozen
class _Levels:
    """The distance of each state, and the number of the first state at each distance, the number of all at the end."""

    depth: list[int]
    begin: list[int]


def _levels(graph: Graph) -> _Levels:
    depth = [0] * len(graph.states)
    begin = [0]
    for state in range(graph.starts, len(graph.states)):
        depth[state] = depth[graph.parents[state]] + 1
        if depth[state] > depth[state - 1]:
            begin.append(state)
    return _Levels(depth, [*begin, len(graph.states)])


def _complete(graph: Graph) -> int:
    """The distance up to which all states are known."""
    return graph.depth - bool(graph.stopped)
