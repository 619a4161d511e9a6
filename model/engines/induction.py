"""Plain induction, and what is left of an invariant when it is not inductive.

Rules
1. Candidates are named conjuncts. Those that the initial state satisfies are assumed together, and each action is asked
   whether it can break one of them. If none can, all are proved, in one pass and milliseconds an action.
2. Where an action breaks a conjunct, that conjunct is dropped and everything is asked again, until nothing falls
   (Houdini: Flanagan and Leino, FME 2001). What remains is the largest inductive subset; what fell is not refuted, only
   unproved.
3. A conjunct for which the solver gives no answer in time is dropped and remembered as such: *unknown* proves nothing.
4. A step claim is proved when invariant and step imply it, action by action.
5. Where other machines have steps of their own (`interference`), these are asked like this one's. In a crowd a conjunct about
   all the named machines is no candidate: nothing would be known of one more (`siteproof.model.crowd`, the cut-off).
6. Queries use the folded terms; certificates state the written ones and are checked apart from this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import attrs
import z3

from siteproof.model.engines.interference import others_actions, step_of_other, still
from siteproof.model.engines.obligations import Goal
from siteproof.model.readings import smt
from siteproof.model.readings.smt import Named
from siteproof.model.system import Action, Model

__all__ = ["Induction", "StepAnswer", "induct", "never_possible", "proves", "relations_of"]

Tick = Callable[[str], None]


@attrs.frozen(eq=False)
class Induction:
    """The outcome: the `invariant` that is inductive, why each other candidate was `dropped` (the action that breaks
    it, or the solver's reason), and seconds by action."""

    model: Model
    invariant: tuple[Named, ...]
    dropped: dict[str, str]
    seconds: dict[str, float]
    rounds: int

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


def _solver(rows: Iterable[Any], timeout_ms: int) -> Any:
    solver = z3.SolverFor("QF_LIA")
    solver.set("timeout", timeout_ms)
    solver.add(*rows)
    return solver


def relations_of(model: Model, actions: Iterable[Action] | None = None) -> dict[str, list[Any]]:
    """The steps that an invariant has to survive, each as conjuncts: of each action (of `actions` only, if given), and of each
    that another machine can take."""
    asked = {action.name for action in (model.actions if actions is None else actions)}
    rows = {a.name: [row.node for row in smt.transition(model, a, folded=True)] for a in model.actions if a.name in asked}
    return rows | {f"{a.name} of another machine": [row.node for row in step_of_other(model, a, folded=True)]
                   for a in others_actions(model) if a.name in asked}


def induct(model: Model, candidates: Sequence[Named], *, timeout: float = 10.0, tick: Tick | None = None,
           relations: Mapping[str, list[Any]] | None = None, vital: Collection[str] = ()) -> Induction:
    """The largest inductive subset of `candidates`. `timeout` is in seconds a query. `relations` are those of the model, for a
    caller who has them; one who has no use for an invariant without the conjuncts called `vital` gets an empty one as soon as
    the first of them falls."""
    limit, dropped = int(timeout * 1000), dict[str, str]()
    kept = _initially(model, candidates, dropped)
    later = {row.name: smt.prime(model, row.node) for row in kept}
    steps = relations_of(model) if relations is None else relations
    seconds = dict.fromkeys(steps, 0.0)
    rounds, changed = 0, True
    while changed:
        changed, rounds = False, rounds + 1
        for name, relation in steps.items():
            began = time.perf_counter()
            solver = _solver([row.node for row in kept] + relation, limit)
            fallen = _fallen(solver, kept, later, name)
            seconds[name] += time.perf_counter() - began
            if fallen:
                dropped |= fallen
                kept = [row for row in kept if row.name not in fallen]
                changed = True
                if not fallen.keys().isdisjoint(vital):
                    return Induction(model, (), dropped, seconds, rounds)
            if tick:
                tick(f"induction round {rounds}: {name}")
    return Induction(model, tuple(kept), dropped, seconds, rounds)


def _initially(model: Model, candidates: Sequence[Named], dropped: dict[str, str]) -> list[Named]:
    """Candidates that hold in the initial state and speak of few enough machines; the others are dropped."""
    values = [(v.domain.constant(v.name), z3.BoolVal(c) if isinstance(c, bool) else z3.IntVal(c))
              for v, c in zip(model.variables, model.initial, strict=True)]
    kept = []
    for row in candidates:
        if not model.speaks_of_few(row.node):
            dropped[row.name] = "one machine more than are named"
        elif z3.is_true(z3.simplify(z3.substitute(row.node, *values))):
            kept.append(row)
        else:
            dropped[row.name] = "the initial state"
    return kept


def _fallen(solver: Any, kept: Sequence[Named], later: dict[str, Any], action: str) -> dict[str, str]:
    """Conjuncts that the step in `solver`, that of `action`, can break, from states in which all of `kept` hold."""
    fallen: dict[str, str] = {}
    names = [row.name for row in kept]
    while names:
        solver.push()
        solver.add(z3.Not(z3.And(*(later[name] for name in names))))
        answer = solver.check()
        if answer == z3.sat:
            state = solver.model()
            broken = [n for n in names if z3.is_false(state.eval(later[n], model_completion=True))]
            fallen |= dict.fromkeys(broken, action)
        solver.pop()
        if answer == z3.unsat:
            return fallen
        if answer == z3.unknown:
            for name in names:
                if (one := solver.check(z3.Not(later[name]))) != z3.unsat:
                    reason = f" (the solver gave up: {solver.reason_unknown()})" if one == z3.unknown else ""
                    fallen[name] = action + reason
            return fallen
        names = [name for name in names if name not in fallen]
    return fallen


def proves(model: Model, invariant: Sequence[Named], goals: Sequence[Goal], *, timeout: float = 10.0,
           tick: Tick | None = None) -> dict[str, StepAnswer]:
    """By key: whether `invariant` proves each of `goals` (claims about states and about steps)."""
    answers = {goal.key: StepAnswer("unsat") for goal in goals}
    nodes, limit = [row.node for row in invariant], int(timeout * 1000)

    def ask(solver: Any, goal: Goal, action: str) -> None:
        if answers[goal.key].answer != "unsat":
            return
        answer = solver.check(z3.Not(goal.built.formula))
        if answer != z3.unsat:
            reason = solver.reason_unknown() if answer == z3.unknown else ""
            answers[goal.key] = StepAnswer(str(answer), action, reason)

    about_states = [goal for goal in goals if not goal.claim.is_step]
    if about_states:
        solver = _solver(nodes, limit)
        for goal in about_states:
            ask(solver, goal, "")
    by_action: dict[str, list[Goal]] = {}
    for goal in goals:
        if goal.claim.is_step:
            for action in goal.actions(model):
                by_action.setdefault(action.name, []).append(goal)
    for name, rows in by_action.items():
        relation = [row.node for row in smt.transition(model, model.action(name), folded=True)]
        solver = _solver(nodes + relation, limit)
        for goal in rows:
            ask(solver, goal, name)
        if tick:
            tick(f"step claims: {name}")
    everywhere = [goal for goal in goals if goal.claim.is_step and goal.claim.on is None]
    if model.is_one_of_many and everywhere:
        solver = _solver([*nodes, *(row.node for row in still(model))], limit)
        for goal in everywhere:
            ask(solver, goal, "a step of another machine")
    return answers


def never_possible(model: Model, invariant: Sequence[Named], action: Action, *, timeout: float = 10.0) -> bool:
    """Whether `invariant` shows that the preconditions of `action` never hold together."""
    relation = smt.transition(model, action, folded=True)
    rows = [*invariant, *(row for row in relation if row.name.startswith(("argument", "guard")))]
    return bool(_solver((row.node for row in rows), int(timeout * 1000)).check() == z3.unsat)
