"""What has to be shown for a proof by induction, one obligation at a time.

Rules
1. An *invariant* is a set of named conjuncts over one state. It proves claims when five kinds of obligations hold:
   *initiation* (the initial state satisfies it), *consecution* (each action keeps it; one obligation an action),
   *interference* (so does a step of another machine, where there may be one, and a step claim about all steps holds of
   that as well), *safety* (it implies an invariant claim) and *step* (together with one action it implies a step claim).
2. An obligation is met when its hypotheses together with the negation of its goal are unsatisfiable.
3. Consecution of an action asks about every conjunct that speaks of a variable which the action changes. Any other is the same
   before and after, by the frame rule (`siteproof.model.readings.smt`, rule 5), and needs initiation only.
4. An obligation may leave out hypotheses, never a part of its goal: who proves with fewer has proved more. Which ones it keeps
   is a matter of speed.
5. The list is complete by construction: it is made from the model's actions, never from what a certificate happens to
   hold.

Source: Floyd 1967; Manna and Pnueli, Temporal Verification of Reactive Systems: Safety (1995), rules INV and the step
rule.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Any

import attrs
import z3

from siteproof.model.claims import Built, Claim, Promise, built
from siteproof.model.engines.interference import seen_of_others
from siteproof.model.readings import smt
from siteproof.model.readings.smt import Named, Renamed, Renaming, Row
from siteproof.model.system import Action, Model

__all__ = ["Goal", "Obligation", "Proof", "goals_of", "invariant_candidates", "term_of"]


@attrs.frozen(eq=False)
class Goal:
    """A claim of a promise, read over one model. `key` is its stable name: promise id and slug."""

    promise: Promise
    built: Built

    @property
    def key(self) -> str:
        return f"{self.promise.id}.{smt.slug(self.built.name)}"

    @cached_property
    def said(self) -> Named:
        """What it says, under its name."""
        return Named(self.key, self.built.formula)

    @property
    def claim(self) -> Claim:
        return self.built.claim

    def actions(self, model: Model) -> tuple[Action, ...]:
        """The actions that a step claim speaks of. Raises `ValueError` when it names one that the model does not
        have."""
        if self.claim.on is None:
            return model.actions
        if unknown := set(self.claim.on) - {a.name for a in model.actions}:
            raise ValueError(f"the claim {self.key} speaks of the unknown action {', '.join(sorted(unknown))}")
        return tuple(a for a in model.actions if a.name in self.claim.on)


@attrs.frozen(eq=False)
class Obligation:
    """One query that has to be unsatisfiable: `hypotheses` and not all of `goal`. `claims` are the keys of the claims that
    it is for; those about the invariant itself (initiation, consecution) are for all and name none."""

    name: str
    kind: str
    action: Action | None
    claims: tuple[str, ...]
    hypotheses: tuple[Named, ...]
    goal: tuple[Row, ...]

    def script(self, model: Model, used: Collection[str] | None = None) -> str:
        """The obligation as SMT-LIB 2, with the hypotheses called `used` (all when None); a solver has to answer `unsat`."""
        goal = f"{self.goal[0].name}" if len(self.goal) == 1 else f"{len(self.goal)} conjuncts"
        rows = [row for row in self.hypotheses if used is None or row.name in used]
        comment = [f"{self.name} of {model.name}, level {model.level}: unsatisfiable when the goal ({goal}) follows"]
        parameters = self.action.parameters if self.action else ()
        return smt.script(model, parameters, rows, comment, denied=self.goal)


def goals_of(model: Model, promises: Iterable[Promise]) -> list[Goal]:
    """All claims of `promises`, applicable or not, read over `model`."""
    return [Goal(promise, built(model, claim)) for promise in promises for claim in promise.claims]


def lemma_conjuncts(model: Model, lemmas: Iterable[Claim]) -> list[Named]:
    """The lemmas that apply, as conjuncts."""
    rows = (built(model, lemma) for lemma in lemmas)
    return [Named(f"lemma.{row.name}", row.formula) for row in rows if row.applies]


def invariant_candidates(model: Model, lemmas: Iterable[Claim], goals: Iterable[Goal]) -> list[Named]:
    """Everything that may take part in the invariant: typing, lemmas, and the invariant claims that apply."""
    claimed = [goal.said for goal in goals if goal.built.applies and not goal.claim.is_step]
    return [*smt.typing(model), *lemma_conjuncts(model, lemmas), *claimed]


@attrs.frozen(eq=False)
class Proof:
    """An invariant of a model, as the source of its obligations."""

    model: Model
    invariant: tuple[Named, ...]

    @cached_property
    def facts(self) -> tuple[Named, ...]:
        """All facts of the topology."""
        return tuple(smt.facts(self.model))

    @cached_property
    def steps(self) -> dict[str, tuple[Named, ...]]:
        """By action: the facts it asks for, the invariant before, and the step itself."""
        rows = {}
        for action in self.model.actions:
            relation = smt.relation(self.model, action)
            rows[action.name] = (*self.asked(relation), *self.invariant, *relation)
        return rows

    def asked(self, rows: Iterable[Named]) -> list[Named]:
        """The facts that some rows speak of."""
        symbols = frozenset().union(*(row.symbols for row in rows))
        return [row for row in self.facts if row.name in symbols]

    def initiation(self) -> Obligation:
        """The initial state satisfies the invariant."""
        return Obligation("initiation", "initiation", None, (), tuple(smt.initial(self.model)), self.invariant)

    def consecution(self, action: Action) -> Obligation | None:
        """`action` keeps the invariant; none for an action that changes nothing which it speaks of. In a crowd, it is
        interference when the machine that is not named takes it."""
        kind = "interference" if action.taker and action.taker == self.model.machines[-1] else "consecution"
        goal = self._after(action.written_changes, smt.after(self.model, action.written_changes))
        return Obligation(f"{kind}-{action.name}", kind, action, (), self.steps[action.name], goal) if goal else None

    def _after(self, written: Collection[str], after: Renaming) -> tuple[Row, ...]:
        """What of the invariant speaks of variables that are `written`, said of the next state."""
        return tuple(Renamed(row.name + smt.PRIME, row, after) for row in self.invariant if not row.symbols.isdisjoint(written))

    def interference(self, goals: Iterable[Goal]) -> Obligation | None:
        """A step of another machine keeps the invariant, and what `goals` claim of all steps holds of it."""
        if not self.model.is_one_of_many:
            return None
        seen = seen_of_others(self.model)
        everywhere = [goal for goal in goals if goal.claim.is_step and goal.claim.on is None]
        asked = (*self._after(self.model.shared, seen.after), *(self._said(goal, seen.within) for goal in everywhere))
        return Obligation("interference", "interference", None, tuple(goal.key for goal in everywhere),
                          (*self.invariant, *seen.rows), asked) if asked else None

    def safety(self, goal: Goal) -> Obligation:
        """The invariant implies a claim about states."""
        return Obligation(f"safety-{goal.key}", "safety", None, (goal.key,), self.invariant, (goal.said,))

    def on_steps(self, goals: Iterable[Goal]) -> list[Obligation]:
        """What claims about steps need on top: one obligation an action, that it does what all claims about it say. Many claims
        share one, since all but the goal would be the same text."""
        rows, claims = [], [goal for goal in goals if goal.claim.is_step]
        about = {goal.key: {action.name for action in goal.actions(self.model)} for goal in claims}
        for action in self.model.actions:
            if mine := [goal for goal in claims if action.name in about[goal.key]]:
                within = smt.within(self.model, action.written_changes)
                rows.append(Obligation(f"step-{action.name}", "step", action, tuple(goal.key for goal in mine),
                                       self.steps[action.name], tuple(self._said(goal, within) for goal in mine)))
        return rows

    @staticmethod
    def _said(goal: Goal, within: Renaming) -> Row:
        """A claim about steps, said of one that changes certain variables only."""
        return Renamed(goal.key, goal.said, within)

    def obligations(self, goals: Iterable[Goal]) -> list[Obligation]:
        """Everything that has to be shown so that the invariant proves `goals`."""
        rows = list(goals)
        found = [self.initiation(), *(self.consecution(action) for action in self.model.actions), self.interference(rows),
                 *(self.safety(goal) for goal in rows if not goal.claim.is_step), *self.on_steps(rows)]
        return [one for one in found if one is not None]


def term_of(rows: Iterable[Named]) -> Any:
    """The conjunction of named conjuncts."""
    return z3.And(*(row.node for row in rows))
