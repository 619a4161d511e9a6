"""Plain induction, and what is left of an invariant when it is not inductive.

Rules
1. Candidates are named conjuncts. Those that the initial state satisfies are assumed together, and each action is asked
   whether it can break one of them. If none can, all are proved, in one pass and milliseconds an action.
2. An action is asked only about conjuncts that speak of a variable which it changes; the others hold afterwards because they did
   before (`siteproof.model.readings.smt`, rule 5).
3. Where an action breaks a conjunct, that conjunct is dropped, until nothing falls (Houdini: Flanagan and Leino, FME 2001). What
   remains is the largest inductive subset, whatever the order; what fell is not refuted, only unproved. An action is asked again
   only when something that its answer leans on has fallen.
4. A conjunct for which the solver gives no answer within its limit of work is dropped and remembered as such: *unknown* proves
   nothing.
5. A step claim is proved when invariant and step imply it, action by action.
6. Where other machines have steps of their own (`interference`), these change nothing that this one's conjuncts speak of; so
   only claims about steps are asked of them. In a crowd a conjunct about all the named machines is no candidate: nothing would
   be known of one more (`siteproof.model.crowd`, the cut-off).
7. Queries use the folded terms; certificates state the written ones and are checked apart from this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import z3

from siteproof.model.engines.interference import seen_of_others
from siteproof.model.engines.obligations import Goal
from siteproof.model.engines.queries import WORK, Questions
from siteproof.model.nodes import Substitution, all_of, is_false_in
from siteproof.model.readings import smt
from siteproof.model.readings.smt import Named, Renaming
from siteproof.model.system import Action, Model

__all__ = ["Induction", "Relation", "StepAnswer", "eroded", "holding_initially", "impossible_actions", "induct",
           "never_possible", "proves", "relations_of"]

Tick = Callable[[str], None]


@attrs.frozen(eq=False)
class Relation:
    """The step of an action: its conjuncts, folded, and which variables it changes."""

    model: Model
    action: Action
    nodes: tuple[Any, ...]

    @cached_property
    def written(self) -> frozenset[str]:
        """The variables that it changes."""
        return frozenset(self.action.changes)

    @cached_property
    def after(self) -> Renaming:
        """From a state to the next one."""
        return smt.after(self.model, self.written)

    @cached_property
    def within(self) -> Renaming:
        """In what is said of both states."""
        return smt.within(self.model, self.written)

    def touched(self, rows: Iterable[Named]) -> list[Named]:
        """The conjuncts that speak of a variable which it changes."""
        return [row for row in rows if not row.symbols.isdisjoint(self.written)]

    def later(self, row: Named) -> Any:
        """A conjunct said of the next state."""
        return self.after.substitution(row.node)

    def of_step(self, node: Any) -> Any:
        """What is said of two states, said of this step."""
        return self.within.substitution(node)


@attrs.frozen(eq=False)
class Induction:
    """The outcome: the `invariant` that is inductive, why each other candidate was `dropped` (the action that breaks
    it, or the solver's reason), seconds by action, and by action the conjuncts on which its consecution `leans`."""

    model: Model
    invariant: tuple[Named, ...]
    dropped: dict[str, str]
    seconds: dict[str, float]
    rounds: int
    leans: dict[str, frozenset[str]]

    @property
    def complete(self) -> bool:
        """Whether every candidate is proved."""
        return not self.dropped

    def proves(self, key: str) -> bool:
        """Whether the conjunct called `key` is proved."""
        return any(row.name == key for row in self.invariant)


@attrs.frozen
class StepAnswer:
    """What was said of one step claim: `unsat` (proved), `sat` with the first action that may break it, or
    `unknown`."""

    answer: str
    action: str = ""
    reason: str = ""


def relations_of(model: Model, actions: Iterable[Action] | None = None) -> dict[str, Relation]:
    """The steps that an invariant has to survive: of each action (of `actions` only, if given)."""
    asked = {action.name for action in (model.actions if actions is None else actions)}
    return {a.name: Relation(model, a, tuple(row.node for row in smt.relation(model, a, folded=True)))
            for a in model.actions if a.name in asked}


def induct(model: Model, candidates: Sequence[Named], *, work: int = WORK, tick: Tick | None = None,
           relations: Mapping[str, Relation] | None = None) -> Induction:
    """The largest inductive subset of `candidates`. `work` is z3's limit for a query; `relations` are those of the model, for a
    caller who has them."""
    dropped = dict[str, str]()
    kept = _initially(model, candidates, dropped)
    return eroded(model, kept, Questions(kept, work), relations_of(model) if relations is None else relations, dropped, tick=tick)


def eroded(model: Model, rows: Sequence[Named], solver: Questions, steps: Mapping[str, Relation],
           dropped: Mapping[str, str] | None = None, *, vital: Collection[str] = (),
           leans: Mapping[str, frozenset[str]] | None = None, tick: Tick | None = None) -> Induction:
    """What is left of `rows`, which hold initially and are what `solver` knows, when all fall that some step breaks. `leans` is
    by action what its consecution is known to lean on. One who has no use for an invariant without the conjuncts called `vital`
    gets an empty one as soon as the first of them falls."""
    lost, kept, known = dict(dropped or {}), {row.name: row for row in rows}, dict(leans or {})
    seconds, rounds, changed = dict.fromkeys(steps, 0.0), 0, True
    while changed:
        changed, rounds = False, rounds + 1
        for name, step in steps.items():
            if name in known and known[name] <= kept.keys():
                continue
            began = time.perf_counter()
            fallen, known[name] = _fallen(solver, kept, step, vital)
            seconds[name] += time.perf_counter() - began
            if fallen:
                lost |= fallen
                kept = {key: row for key, row in kept.items() if key not in fallen}
                changed = True
                if not fallen.keys().isdisjoint(vital):
                    return Induction(model, (), lost, seconds, rounds, {})
            if tick:
                tick(f"induction round {rounds}: {name}")
    return Induction(model, tuple(kept.values()), lost, seconds, rounds, known)


def holding_initially(model: Model, candidates: Iterable[Named]) -> list[Named]:
    """Those that hold in the initial state and speak of few enough machines."""
    return _initially(model, candidates, {})


def _initially(model: Model, candidates: Iterable[Named], dropped: dict[str, str]) -> list[Named]:
    """Candidates that hold in the initial state and speak of few enough machines; the others are dropped."""
    values = Substitution((v.domain.constant(v.name), z3.BoolVal(c) if isinstance(c, bool) else z3.IntVal(c))
                          for v, c in zip(model.variables, model.initial, strict=True))
    kept = []
    for row in candidates:
        if not model.speaks_of_few(row.node):
            dropped[row.name] = "one machine more than are named"
        elif z3.is_true(z3.simplify(values(row.node))):
            kept.append(row)
        else:
            dropped[row.name] = "the initial state"
    return kept


def _fallen(solver: Questions, kept: Mapping[str, Named], step: Relation, vital: Collection[str] = (),
            ) -> tuple[dict[str, str], frozenset[str]]:
    """Conjuncts that a step can break, from states in which all that stay hold, and what the others lean on. It ends with the
    first of those called `vital` that falls."""
    fallen: dict[str, str] = {}
    later = {row.name: step.later(row) for row in step.touched(kept.values())}
    names = list(later)
    with solver:
        solver.suppose(*step.nodes)
        while names:
            told = solver.ask(all_of(later[name] for name in names), [name for name in kept if name not in fallen])
            if told.is_unsat:
                return fallen, told.leans_on
            if told.answer == "unknown":
                return fallen | _one_by_one(solver, kept, names, later, step.action.name), frozenset(kept)
            broken = [name for name in names if is_false_in(told.state, later[name])]
            fallen |= dict.fromkeys(broken, step.action.name)
            if not fallen.keys().isdisjoint(vital):
                return fallen, frozenset()
            names = [name for name in names if name not in fallen]
    return fallen, frozenset()


def _one_by_one(solver: Questions, kept: Collection[str], names: Iterable[str], later: Mapping[str, Any],
                action: str) -> dict[str, str]:
    """Of conjuncts that are too much for the solver together, those that it does not confirm alone."""
    fallen = {}
    for name in names:
        if not (one := solver.ask(later[name], kept)).is_unsat:
            fallen[name] = action + (f" (the solver gave up: {one.reason})" if one.answer == "unknown" else "")
    return fallen


def proves(model: Model, invariant: Sequence[Named], goals: Sequence[Goal], *, work: int = WORK, tick: Tick | None = None,
           relations: Mapping[str, Relation] | None = None) -> dict[str, StepAnswer]:
    """By key: whether `invariant` proves each of `goals` (claims about states and about steps)."""
    answers = {goal.key: StepAnswer("unsat") for goal in goals}
    solver = Questions((), work)
    solver.suppose(*(row.node for row in invariant))

    def ask(rows: Sequence[tuple[Goal, Any]], action: str) -> None:
        """All at once; one by one only where that says that some fail."""
        left = [(goal, node) for goal, node in rows if answers[goal.key].answer == "unsat"]
        if not left or (len(left) > 1 and solver.ask(all_of(node for _, node in left)).is_unsat):
            return
        for goal, node in left:
            told = solver.ask(node)
            if not told.is_unsat:
                answers[goal.key] = StepAnswer(told.answer, action, told.reason)

    ask([(goal, goal.built.formula) for goal in goals if not goal.claim.is_step], "")
    by_action: dict[str, list[Goal]] = {}
    for goal in goals:
        if goal.claim.is_step:
            for action in goal.actions(model):
                by_action.setdefault(action.name, []).append(goal)
    for name, rows in by_action.items():
        step = relations[name] if relations else relations_of(model, [model.action(name)])[name]
        with solver:
            solver.suppose(*step.nodes)
            ask([(goal, step.of_step(goal.built.formula)) for goal in rows], name)
        if tick:
            tick(f"step claims: {name}")
    everywhere = [goal for goal in goals if goal.claim.is_step and goal.claim.on is None]
    if model.is_one_of_many and everywhere:
        still = seen_of_others(model)
        with solver:
            solver.suppose(*(row.node for row in still.rows))
            ask([(goal, still.within.substitution(goal.built.formula)) for goal in everywhere], "a step of another machine")
    return answers


def never_possible(model: Model, invariant: Sequence[Named], action: Action, *, work: int = WORK) -> bool:
    """Whether `invariant` shows that the preconditions of `action` never hold together."""
    return bool(impossible_actions(model, invariant, [action], work=work))


def impossible_actions(model: Model, invariant: Sequence[Named], among: Iterable[Action] | None = None, *,
                       work: int = WORK) -> tuple[str, ...]:
    """Names of the actions (of `among`, if given) of which `invariant` shows that their preconditions never hold together."""
    solver = Questions((), work)
    solver.suppose(*(row.node for row in invariant))
    found = []
    for action in model.actions if among is None else among:
        rows = smt.relation(model, action, folded=True)
        with solver:
            solver.suppose(*(row.node for row in rows if row.name.startswith(("argument", "guard"))))
            if solver.ask(z3.BoolVal(False)).is_unsat:
                found.append(action.name)
    return tuple(found)
