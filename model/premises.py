"""Whether claims say anything: what they presuppose is met by some run, or is proved never to hold.

Rules
1. A claim presupposes its premise. Each "if" inside its conclusion (also one that is written as "not a, or b") presupposes
   something as well, together with the premise: where that never holds, this *part* of the claim says nothing, though the rest
   may. A choice between two terms (the power of the active side) presupposes nothing.
2. A walk meets most of what is presupposed, deep as it may lie. Of what it has not met, the invariant is asked whether it never
   holds; then searches look for it, nearest first, and in between the invariant with what never occurs is asked; Spacer is
   asked in the end, for a while each.
3. What is neither met nor proved never to hold is open, and is told as such: nothing is concluded from not having met it.

Sources: Beer, Ben-David, Eisner, Rodeh, Efficient detection of vacuity in temporal model checking (2001); for parts, Kupferman
and Vardi, Vacuity detection in temporal model checking (2003).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import attrs
import z3

from siteproof.model.engines.horn import infer
from siteproof.model.engines.induction import proves
from siteproof.model.engines.obligations import Goal
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Path, Target, search
from siteproof.model.engines.walk import met
from siteproof.model.engines.weakening import absences, sharpened
from siteproof.model.level import Level
from siteproof.model.readings.english import english
from siteproof.model.readings.smt import Named
from siteproof.model.system import Model

__all__ = ["Premises", "Presumed", "parts_of"]

Strengthen = Callable[[Sequence[Named]], tuple[Named, ...]]
"""The largest invariant with some of the candidates."""

SPACER = 10.0
"""Seconds that Spacer gets for each."""


@attrs.frozen(eq=False)
class Presumed:
    """What a claim presupposes, `node`: its premise; or, with the premise, the `condition` of a part, which may stand `inside`
    another one (its key)."""

    key: str
    goal: Goal
    node: Any
    condition: Any = None
    inside: str = ""

    @property
    def target(self) -> Target:
        """What a search looks for to meet it."""
        return Target(self.key, self.node, self.goal.claim.is_step, self.goal.claim.on)

    @cached_property
    def denial(self) -> Goal:
        """The claim that it never holds. It is asked beside others of the same promise, and so needs a key of its own."""
        promise = attrs.evolve(self.goal.promise, id=self.key)
        return Goal(promise, attrs.evolve(self.goal.built, premise=z3.BoolVal(True), conclusion=z3.Not(self.node)))


def parts_of(model: Model, goal: Goal) -> list[Presumed]:
    """What the parts of a conclusion presuppose; without those that the facts make true, or false."""
    found: list[Presumed] = []

    def look(node: Any, above: tuple[Any, ...], inside: str) -> None:
        for condition, rest in _conditionals(node):
            if condition is None:
                look(rest, above, inside)
                continue
            met = (*above, condition)
            folded = model.facts.fold(z3.And(*met))
            if z3.is_false(folded):
                continue
            key = inside
            if not z3.is_true(folded):
                key = f"{goal.key}:{len(found) + 1}"
                found.append(Presumed(key, goal, z3.And(goal.built.premise, *met), condition, inside))
            look(rest, met, key)

    look(goal.built.conclusion, (), "")
    return found


def _conditionals(node: Any) -> Iterator[tuple[Any, Any]]:
    """What a node says as "if one, then the other"; the condition is None for a part of a conjunction. An alternative with some
    parts negated says that of them: not a, or b."""
    if z3.is_and(node):
        yield from ((None, child) for child in node.children())
    elif z3.is_implies(node):
        yield node.arg(0), node.arg(1)
    elif z3.is_or(node):
        denied = [child.arg(0) for child in node.children() if z3.is_not(child)]
        others = [child for child in node.children() if not z3.is_not(child)]
        if denied and others:
            yield z3.And(*denied) if len(denied) > 1 else denied[0], z3.Or(*others) if len(others) > 1 else others[0]


@attrs.define(eq=False)
class Premises:
    """What the `goals` of a model presuppose. `runs` has, by key, a run that meets it; `never` the keys of what is proved never
    to hold."""

    level: Level
    model: Model
    goals: Sequence[Goal]
    tell: Callable[[str], None]
    deadline: float
    runs: dict[str, Path] = attrs.field(factory=dict)
    never: set[str] = attrs.field(factory=set)

    @cached_property
    def parts(self) -> dict[str, list[Presumed]]:
        """By the key of its claim, what the parts of its conclusion presuppose."""
        return {goal.key: parts_of(self.model, goal) for goal in self.goals}

    @property
    def left(self) -> float:
        return self.deadline - time.perf_counter()

    def walk(self) -> None:
        """Meet what a walk meets, somewhat beyond the widest scope."""
        self.tell("walking")
        asked = [*map(_premise, self.goals), *(part for parts in self.parts.values() for part in parts)]
        self.runs |= met(self.model, [one.target for one in asked], self.level.wide.widened(1))

    def settle(self, goals: Sequence[Goal], known: Sequence[Named], strengthen: Strengthen, *, first: int, deep: int) -> None:
        """Settle what `goals` presuppose, as far as time allows: the premises, then the parts of those that say something.
        `first` and `deep` are the most states of the first search and of the others."""
        self._settle([_premise(goal) for goal in goals], known, strengthen, first, deep)
        parts = [part for goal in goals if goal.key in self.runs for part in self.parts[goal.key]]
        self._settle(parts, known, strengthen, first, deep)

    def _settle(self, asked: Sequence[Presumed], known: Sequence[Named], strengthen: Strengthen, first: int, deep: int) -> None:
        def left_over() -> list[Presumed]:
            return [one for one in asked if one.key not in self.never and one.key not in self.runs]

        def ask() -> None:
            rows = left_over()
            told = proves(self.model, known, [one.denial for one in rows])
            self.never.update(one.key for one in rows if told[one.denial.key].answer == "unsat")

        def reach(scope: Scope, most: int) -> None:
            if self.left > 0 and (rows := left_over()):
                self.runs |= search(self.model, [one.target for one in rows], scope, max_states=most, max_seconds=self.left,
                                    tick=lambda states, depth: self.tell(f"search: {states:,} states, depth {depth}")).found

        ask()
        reach(self.level.wide, first)
        for scope in (*self.level.narrow, *self.level.scopes[:2]):
            reach(scope, deep)
        if left_over() and self.left > 0:
            known = strengthen([*absences(self.model), *sharpened(known)])
            ask()
        for scope in self.level.scopes[2:]:
            reach(scope, deep)
        for one in left_over():
            if self.left > 1:
                self.tell(f"Spacer: whether the premise of {one.key} is reachable")
                if infer(self.model, one.denial, known, max_seconds=min(SPACER, self.left)).invariant is not None:
                    self.never.add(one.key)

    def idle(self, goal: Goal) -> tuple[str, ...]:
        """The parts of a claim that say nothing, or of which nobody knows whether they do; of those inside one another the
        outermost."""
        return tuple(f"“if {english(self.model, part.condition)}”, which "
                     + ("never holds here (proved)" if part.key in self.never else "was never reached")
                     for part in self.parts[goal.key]
                     if part.key not in self.runs and (not part.inside or part.inside in self.runs))


def _premise(goal: Goal) -> Presumed:
    return Presumed(goal.key, goal, goal.built.premise)
