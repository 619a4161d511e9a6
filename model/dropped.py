"""A model without one precondition: what breaks, or the proof that nothing does.

Rules
1. The invariant of the model as it is comes first: only the changed action has to be asked whether it keeps it.
2. What the mutant can do anew begins with a step that the precondition forbade, from a state that the model itself reaches. So
   the explored states of the model serve all its preconditions, and only what is new is searched for each.
3. A precondition less allows more and does nothing else: the mutant's steps are the model's and those of the changed action, so
   only that action is compiled for it. For the same reason no action is asked anew whose consecution leans on nothing that fell.
4. A walk goes deeper than a search. It begins again and again at states in which only this precondition refuses; where none is
   known, they are looked for from states that are unlike each other, nearest first. A run that breaks a claim is made shorter by
   a search among the actions that it took. Where there seem to be none at all, that is asked as a claim about the model as it
   is: its proof makes the precondition a defensive one.
5. In a crowd an action is every machine's, and its precondition is dropped for all of them at once.
6. A claim that asks what an action grants is read over the mutant (`siteproof.model.claims`, rule 5): "never granted" breaks as
   soon as a state is reached in which only the precondition refused.
7. What was met on the way joins the sample from which an invariant of the mutant is learned; plain induction has the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice, zip_longest
from typing import Any

import attrs
import z3

from siteproof.model.baseline import WIDE_STATES, Baseline, given_as_a_term, target_of
from siteproof.model.claims import Built, Claim, Promise, built
from siteproof.model.engines.graph import Graph
from siteproof.model.engines.horn import infer
from siteproof.model.engines.induction import Induction, Relation, eroded, holding_initially, induct, proves, relations_of
from siteproof.model.engines.learning import Learned, Sample, learn
from siteproof.model.engines.nearing import distance_to, neared
from siteproof.model.engines.obligations import Goal
from siteproof.model.engines.queries import Questions
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Path, Target, hunt, search
from siteproof.model.engines.traces import trace_of
from siteproof.model.engines.walk import Hunt, Walked, walked
from siteproof.model.mutation import without_guard
from siteproof.model.nodes import all_of, constants_of
from siteproof.model.readings import smt
from siteproof.model.readings.python import CompiledModel, State, compile_model, compile_predicate
from siteproof.model.readings.smt import Named
from siteproof.model.results import Trace
from siteproof.model.system import Action, Model

__all__ = ["Broken", "Dropped"]

NEW_STATES = 20_000
STARTS = 40
"""States in which only the precondition refuses, from which a walk begins."""
NEAREST, LAYERS, NEARED = 2_000, 4, 300_000
"""States from which such states are looked for, of so many distances, and how many are entered on the way."""


@attrs.frozen(eq=False)
class Broken:
    """A claim that fails without the precondition, with a run to there, whether it is the shortest of all, and how it was
    found; `is_dear`: not by a search from explored states."""

    goal: Goal
    path: Path
    shortest: bool
    method: str
    is_dear: bool = False


@attrs.define(eq=False, slots=False)
class Dropped:
    """The model of `base` without precondition `number` (from 0) of `actions`: of one, or of each machine's."""

    base: Baseline
    actions: tuple[Action, ...]
    number: int
    deeper: Walked | None = None

    @cached_property
    def model(self) -> Model:
        """The mutant."""
        model = self.base.model
        for action in self.actions:
            model = without_guard(model, action.name, self.number)
        return model

    @cached_property
    def changed(self) -> tuple[Action, ...]:
        """The actions without it."""
        return tuple(self.model.action(action.name) for action in self.actions)

    @cached_property
    def alone(self) -> Model:
        """Only them."""
        return attrs.evolve(self.model, actions=self.changed)

    @property
    def names(self) -> set[str]:
        return {action.name for action in self.actions}

    @cached_property
    def asking(self) -> dict[str, Goal]:
        """The claims that ask what the changed actions grant, read over the mutant; by key."""
        return {goal.key: Goal(goal.promise, built(self.model, goal.claim)) for goal in self.base.goals
                if not self.names.isdisjoint(goal.built.asks)}

    @cached_property
    def goals(self) -> list[Goal]:
        """The claims of the mutant that say more than its preconditions."""
        return [self.asking.get(goal.key, goal) for goal in self.base.goals]

    @cached_property
    def targets(self) -> list[Target]:
        """What a search for what breaks them looks for; with what only repeats a precondition."""
        return [target_of(self.asking[one.key]) if one.key in self.asking else one for one in self.base.targets]

    def goal(self, key: str) -> Goal:
        """The claim of that key."""
        return self.asking.get(key) or self.base.by_key[key]

    @cached_property
    def compiled(self) -> CompiledModel:
        """The mutant, ready to run; only what changed is compiled anew."""
        alone = compile_model(self.alone)
        return attrs.evolve(self.base.compiled, model=self.model, actions={**self.base.compiled.actions, **alone.actions})

    @cached_property
    def relations(self) -> dict[str, Relation]:
        """The steps of the mutant."""
        return {**self.base.relations, **relations_of(self.model, self.changed)}

    def is_implied(self) -> bool:
        """Whether the invariant and the other preconditions imply it."""
        return all(self.base.unsat(*self._arguments(action), *self.others(action), z3.Not(action.guards[self.number].folded))
                   for action in self.actions)

    def keeps_all(self) -> bool:
        """Whether what changed keeps the invariant and does what the claims about its steps say."""
        asked = (goal.built.formula for goal in self.asking.values() if not goal.claim.is_step)
        return all(self._keeps(self.relations[action.name]) for action in self.actions) and self.base.unsat(denied=all_of(asked))

    def _keeps(self, step: Relation) -> bool:
        claims = [step.of_step(goal.built.formula) for goal in self.goals
                  if goal.claim.is_step and (goal.claim.on is None or step.action.name in goal.claim.on)]
        return self.base.unsat(*step.nodes, denied=all_of([*map(step.later, step.touched(self.base.invariant)), *claims]))

    def _arguments(self, action: Action) -> list[Any]:
        """What holds of the arguments of an action."""
        return [row.node for row in smt.relation(self.base.model, action, folded=True) if row.name.startswith("argument")]

    def others(self, action: Action) -> list[Any]:
        """The preconditions of an action that stay."""
        return [one.folded for at, one in enumerate(action.guards) if at != self.number]

    @cached_property
    def refused_alone(self) -> list[tuple[str, tuple[int | bool, ...], Any]]:
        """By action and tuple of arguments, as a term: that only this precondition refuses."""
        rows = []
        for action in self.actions:
            for arguments in action.instances():
                given = [(p.domain.constant("arg:" + p.name), z3.BoolVal(a) if isinstance(a, bool) else z3.IntVal(a))
                         for p, a in zip(action.parameters, arguments, strict=True)]
                node = z3.And(z3.Not(action.guards[self.number].folded), *self.others(action))
                node = z3.simplify(z3.substitute(node, *given) if given else node)
                if not z3.is_false(node):
                    rows.append((action.name, arguments, node))
        return rows

    @cached_property
    def freed(self) -> list[tuple[str, tuple[int | bool, ...], Callable[..., bool]]]:
        """The same, as functions of a state."""
        return [(name, arguments, compile_predicate(self.base.model, node)) for name, arguments, node in self.refused_alone]

    def is_freed(self, state: State) -> bool:
        """Whether in a state only this precondition refuses, for some arguments."""
        return any(holds(state) for *_, holds in self.freed)

    def accepts(self) -> Trace | None:
        """A shortest trace that makes use of that, or None where none is in the explored scopes."""
        for scope, most in self.base.searched:
            graph = self.base.explored(scope, most)
            found = next(((at, name, arguments) for at, state in enumerate(graph.states) for name, arguments, holds in self.freed
                          if holds(state)), None)
            if found is not None:
                state, name, arguments = found
                path = (*graph.named(graph.path(state)[1]), (name, arguments))
                words = (f"{name.replace('_', ' ')} becomes possible here; only this precondition refused it, and no"
                         " promise of this level breaks.")
                return trace_of(self.compiled, path, words, shortest=len(path) <= _complete(graph) + 1
                                and scope == self.base.level.wide, method=f"exploration ({scope})")
        return None

    def searched(self, among: Sequence[Goal]) -> Broken | None:
        """What a search finds from the explored states to break a claim among these."""
        keys = {goal.key for goal in among}
        best: Broken | None = None
        for scope, most in self.base.searched:
            graph, is_wide = self.base.explored(scope, most), scope == self.base.level.wide
            found = min(filter(None, (self._granted(graph, keys), self._first_break(graph, keys))),
                        key=lambda one: len(one[1]), default=None)
            if found is not None and (best is None or len(found[1]) < len(best.path)):
                goal, path = found
                best = Broken(goal, path, is_wide and len(path) <= _complete(graph) + 1, f"breadth-first search ({scope})")
            if best is not None and (best.shortest or not is_wide):
                break
        return best

    def _granted(self, graph: Graph, keys: Collection[str]) -> tuple[Goal, Path] | None:
        """The nearest state of the model itself that breaks a claim about what is granted: there is no step to it that is new."""
        for at, state in enumerate(graph.states if not self.granted.keys().isdisjoint(keys) else ()):
            if self.is_freed(state):
                for key, holds in self.granted.items():
                    if key in keys and not holds(state):
                        return self.goal(key), graph.named(graph.path(at)[1])
        return None

    @cached_property
    def granted(self) -> dict[str, Callable[..., bool]]:
        """The claims about states that ask what is granted, as functions of a state."""
        return {key: compile_predicate(self.base.model, goal.built.formula) for key, goal in self.asking.items()
                if not goal.claim.is_step}

    def _first_break(self, graph: Graph, keys: Collection[str]) -> tuple[Goal, Path] | None:
        """The nearest claim to fail, among those with these keys. A state of the model itself is entered again only when the
        mutant reaches it sooner."""
        layers, number_of = self.base.layered(graph), graph.number
        instances, expand, check = self._hunted(graph.scope)
        came: dict[State, tuple[State, int]] = {}

        def path(state: State, last: list[int]) -> Path:
            rows = last
            while state in came:
                state, instance = came[state]
                rows = [instance, *rows]
            before = graph.named(graph.path(number_of[state])[1])
            return before + tuple((instances[one][0].name, instances[one][1]) for one in rows)

        layer: list[State] = []
        for depth in range(max(len(layers.begin), 1_000)):
            if depth + 1 < len(layers.begin):
                seeds = graph.states[layers.begin[depth]:layers.begin[depth + 1]]
                layer = [*layer, *(state for state in seeds if state not in came and self.is_freed(state))]
            elif not layer:
                break
            beyond = []
            for state in layer:
                successors: list[tuple[int, State]] = []
                hits: list[tuple[str, int]] = []
                expand(state, successors, hits)
                if (hit := next((one for one in hits if one[0] in keys), None)) is not None:
                    return self.goal(hit[0]), path(state, [hit[1]])
                for instance, after in successors:
                    old = number_of.get(after)
                    if after in came or (old is not None and layers.depth[old] <= depth + 1):
                        continue
                    came[after] = (state, instance)
                    beyond.append(after)
            for state in beyond:
                if (key := next((one for one in check(state) if one in keys), None)) is not None:
                    return self.goal(key), path(state, [])
            if len(came) > NEW_STATES or self.base.left <= 0:
                return None
            layer = beyond
        return None

    def _hunted(self, scope: Scope) -> Hunt:
        """A hunt in the mutant: the model's own steps, compiled once a scope, and those of what changed."""
        instances, expand, check = self.base.hunted(scope)
        own, more, _ = hunt(self.alone, [target for target in self.targets if target.is_step], scope, {})
        stale = self.asking.keys()

        def both(state: State, successors: list[tuple[int, State]], hits: list[tuple[str, int]]) -> None:
            late: tuple[list[tuple[int, State]], list[tuple[str, int]]] = ([], [])
            more(state, *late)
            # Where the model has the step as well, it is listed once.
            expand(state, successors, hits)
            if stale:
                hits[:] = [hit for hit in hits if hit[0] not in stale]
            if late[0] and self.is_freed(state):
                successors += [(number + len(instances), after) for number, after in late[0]]
                hits += [(target, number + len(instances)) for target, number in late[1]]

        def judged(state: State) -> list[str]:
            return [*(key for key in check(state) if key not in stale),
                    *(key for key, holds in self.granted.items() if not holds(state))]

        return [*instances, *own], both, judged if stale else check

    def fallen(self) -> Goal | None:
        """A claim that does not follow from what is left of the invariant when lemmas fall; None when all of them do."""
        found = self.left_over({goal.key for goal in self.base.goals} - self.asking.keys())
        if not found.invariant:
            return next(goal for goal in self.goals if goal.key in found.dropped)
        told = proves(self.model, found.invariant, self.goals, relations=self.relations)
        return next((goal for goal in self.goals if told[goal.key].answer != "unsat"), None)

    def repeated(self, run: Path) -> Broken | None:
        """What breaks of the claims that only repeat what is written: by a kept `run`, or by a search."""
        claims = self.base.repeated
        mine = [goal for goal in claims if goal.claim.on is None or not self.names.isdisjoint(goal.claim.on)]
        if not mine:
            return None
        return self.taken(run, mine) or self.searched(mine)

    def left_over(self, vital: Collection[str] = ()) -> Induction:
        """What of the invariant the mutant keeps (Houdini)."""
        leans = {name: rows for name, rows in self.base.leans.items() if name not in self.names}
        return eroded(self.model, self.base.invariant, self.base.switched, self.relations, vital=vital, leans=leans)

    def proved_with(self, lemmas: Iterable[Named]) -> tuple[Named, ...] | None:
        """An invariant that proves all claims of the mutant, out of the model's own and `lemmas`; None if that is too little."""
        more = holding_initially(self.model, lemmas)
        if not more:
            return None
        names = frozenset().union(*(row.symbols for row in more))
        leans = {name: rows for name, rows in self.base.leans.items()
                 if name not in self.names and names.isdisjoint(self.relations[name].written)}
        with self.base.switched as solver:
            solver.know(more)
            found = eroded(self.model, [*self.base.invariant, *more], solver, self.relations, leans=leans)
        told = proves(self.model, found.invariant, self.goals, relations=self.relations)
        return found.invariant if all(answer.answer == "unsat" for answer in told.values()) else None

    def pruned(self, invariant: tuple[Named, ...]) -> tuple[Named, ...]:
        """An invariant that was learned, without what nothing in it leans on, where the rest still does."""
        leans = eroded(self.model, invariant, Questions(invariant), self.relations).leans
        used = frozenset().union(*leans.values())
        own = {row.name for row in self.base.invariant}
        return self.proved_with([row for row in invariant if row.name not in own and row.name in used]) or invariant

    @cached_property
    def starts(self) -> list[tuple[State, Path]]:
        """Reachable states in which only this precondition refuses, with runs to them: from what was explored or walked, or
        looked for from there."""
        base = self.base
        found = [(state, run()) for state, run in islice(((s, r) for s, r in base.reached() if self.is_freed(s)), STARTS)]
        if found or not self.refused_alone:
            return found
        conditions = [node for _, _, node in self.refused_alone]
        distance = distance_to(base.model, conditions)
        nearest = self._unlike(conditions, distance)
        return neared(base.hunted(base.past), distance, nearest, most=NEARED, enough=STARTS)

    def _unlike(self, conditions: Iterable[Any], distance: Callable[[State], int]) -> list[tuple[State, Callable[[], Path]]]:
        """States that were reached, as many at each of the least distances, and one only of those alike in all that `conditions`
        speak of: else the nearest are all in one dead end."""
        asked = frozenset().union(*map(constants_of, conditions))
        places = [at for at, name in enumerate(self.base.model.names) if name in asked]
        unlike: dict[tuple[int | bool, ...], tuple[State, Callable[[], Path]]] = {}
        for state, run in self.base.reached():
            unlike.setdefault(tuple(state[at] for at in places), (state, run))
        found: dict[int, list[tuple[State, Callable[[], Path]]]] = {}
        for state, run in unlike.values():
            found.setdefault(distance(state), []).append((state, run))
        layers = [found[far] for far in sorted(found)[:LAYERS]]
        return [row for rows in zip_longest(*(rows[:NEAREST // LAYERS] for rows in layers)) for row in rows if row is not None]

    @cached_property
    def never(self) -> Goal:
        """That there is no such state, as a claim about the model as it is."""
        claim = Claim("only this precondition never refuses", given_as_a_term)
        node = z3.Not(z3.Or(*(node for _, _, node in self.refused_alone)))
        return Goal(Promise("never", claim.name, claim.name, (), (claim,)), Built(claim, z3.BoolVal(True), node, True, ""))

    def never_with(self, lemmas: Iterable[Named]) -> tuple[Named, ...] | None:
        """An invariant of the model as it is that proves this, out of its own and `lemmas`; None if that is too little."""
        rows = [*self.base.invariant, *holding_initially(self.base.model, lemmas), self.never.said]
        found = induct(self.base.model, rows, relations=self.base.relations)
        return found.invariant if self.never.key in {row.name for row in found.invariant} else None

    def never_learned(self, few: int, most: int, seconds: float, lemmas: Iterable[Named] = ()) -> tuple[Named, ...] | None:
        """The same with what is learned from the sample, or, in so many seconds, found by Spacer."""
        model, rows = self.base.model, [*self.base.invariant, *holding_initially(self.base.model, lemmas)]
        learned = self._learned(model, [*rows, self.never.said], [self.never], self.base.relations, self.base.sample, few, most)
        found = learned.invariant
        if found is None and seconds > 0:
            found = infer(model, self.never, rows, max_seconds=seconds).invariant
        if found is None:
            return None
        own = {row.name for row in (*self.base.invariant, self.never.said)}
        used = frozenset().union(*eroded(model, found, Questions(found), self.base.relations).leans.values())
        return self.never_with(row for row in found if row.name not in own and row.name in used) or found

    def walked(self, steps: int) -> Broken | None:
        """What a walk of so many steps breaks. The states that it meets join the sample."""
        base, keys = self.base, {goal.key for goal in self.base.goals}
        targets = [target for target in self.targets if target.key in keys]
        starts = self.starts
        self.deeper = it = walked(self.model, targets, base.past, steps=steps, seed=11, first=True, starts=starts,
                                  how=self._hunted(base.past))
        if not it.found:
            return None
        key = min(it.found, key=lambda one: len(it.found[one]))
        path = it.found[key]
        used = {name for name, _ in path}
        alone = attrs.evolve(self.model, actions=tuple(one for one in self.model.actions if one.name in used))
        target = next(one for one in targets if one.key == key)
        nearer = search(alone, [target], base.past, max_states=WIDE_STATES).found.get(key, path)
        return Broken(self.goal(key), min(path, nearer, key=len), False,
                      "a walk, then breadth-first search among the actions that it took", True)

    def taken(self, run: Path, among: Sequence[Goal]) -> Broken | None:
        """Whether a run breaks a claim among these, and at which step."""
        keys = {goal.key for goal in among}
        state, (instances, expand, check) = self.model.initial, self._hunted(self.base.past)
        for at, (name, arguments) in enumerate(run):
            successors: list[tuple[int, State]] = []
            hits: list[tuple[str, int]] = []
            expand(state, successors, hits)
            its = {number for number, (action, given) in enumerate(instances) if (action.name, given) == (name, arguments)}
            after = next((after for number, after in successors if number in its), None)
            if after is None:
                return None
            failed = [key for key in (*(key for key, number in hits if number in its), *check(after)) if key in keys]
            if failed:
                return Broken(self.goal(failed[0]), run[:at + 1], False, "a run that is kept, taken step by step", True)
            state = after
        return None

    def learned(self, few: int, most: int, lemmas: Iterable[Named] = ()) -> Learned:
        """An invariant that proves all claims of the mutant, learned from what was met, with `lemmas` to begin with; or why there
        is none."""
        sample = self.base.sample if self.deeper is None else self.base.sample.also(self.deeper.came)
        rows = [*self.base.invariant, *holding_initially(self.model, lemmas)]
        return self._learned(self.model, rows, self.goals, self.relations, sample, few, most)

    @staticmethod
    def _learned(model: Model, rows: Sequence[Named], goals: Sequence[Goal], relations: Mapping[str, Relation], sample: Sample,
                 few: int, most: int) -> Learned:  # fmt: skip
        """More than one attempt: which one ends well depends on the states that the solver happens to show."""
        for guesses in (few, 2 * few, few // 2):
            found = learn(model, rows, goals, relations, sample, few=guesses, most=most)
            if found.invariant is not None:
                break
        return found


def _complete(graph: Graph) -> int:
    """The distance up to which all states are known."""
    return graph.depth - bool(graph.stopped)
