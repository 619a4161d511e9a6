"""What has to be shown for a proof by induction, one obligation at a time.

Rules
1. An *invariant* is a set of named conjuncts over one state. It proves claims when four kinds of obligations hold:
   *initiation* (the initial state satisfies it), *consecution* (each action keeps it; one obligation an action),
   *safety* (it implies an invariant claim) and *step* (together with one action it implies a step claim).
2. An obligation is met when its hypotheses together with the negation of its goal are unsatisfiable.
3. The list is complete by construction: it is made from the model's actions, never from what a certificate happens to
   hold.

Source: Floyd 1967; Manna and Pnueli, Temporal Verification of Reactive Systems: Safety (1995), rules INV and the step
rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import attrs
import z3

from siteproof.model.claims import Built, Claim, Promise, built
from siteproof.model.readings import smt
from siteproof.model.readings.smt import Named
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
    """One query that has to be unsatisfiable: `hypotheses` and not `goal`. `claim` is the key of the claim it serves;
    the shared ones (initiation, consecution) serve all."""

    name: str
    kind: str
    action: Action | None
    claim: str
    hypotheses: tuple[Named, ...]
    goal: tuple[Named, ...]

    @property
    def negated(self) -> Named:
        return Named("goal", z3.Not(z3.And(*(row.node for row in self.goal))))

    def script(self, model: Model) -> str:
        """The obligation as SMT-LIB 2; a solver has to answer `unsat`."""
        goal = f"{self.goal[0].name}" if len(self.goal) == 1 else f"{len(self.goal)} conjuncts"
        comment = [f"{self.name} of {model.name}, level {model.level}: unsatisfiable when the goal ({goal}) follows"]
        parameters = self.action.parameters if self.action else ()
        return smt.script(model, parameters, (*self.hypotheses, self.negated), comment)


def goals_of(model: Model, promises: Iterable[Promise]) -> list[Goal]:
    """All claims of `promises`, applicable or not, read over `model`."""
    return [Goal(promise, built(model, claim)) for promise in promises for claim in promise.claims]


def lemma_conjuncts(model: Model, lemmas: Iterable[Claim]) -> list[Named]:
    """The lemmas that apply, as conjuncts."""
    rows = (built(model, lemma) for lemma in lemmas)
    return [Named(f"lemma.{row.name}", row.formula) for row in rows if row.applies]


def invariant_candidates(model: Model, lemmas: Iterable[Claim], goals: Iterable[Goal]) -> list[Named]:
    """Everything that may take part in the invariant: typing, lemmas, and the invariant claims that apply."""
    claimed = [Named(goal.key, goal.built.formula) for goal in goals if goal.built.applies and not goal.claim.is_step]
    return [*smt.typing(model), *lemma_conjuncts(model, lemmas), *claimed]


@attrs.frozen(eq=False)
class Proof:
    """An invariant of a model, as the source of its obligations."""

    model: Model
    invariant: tuple[Named, ...]

    @cached_property
    def primed(self) -> tuple[Named, ...]:
        """The invariant said of the next state."""
        return tuple(Named(row.name + smt.PRIME, smt.prime(self.model, row.node)) for row in self.invariant)

    @cached_property
    def steps(self) -> dict[str, tuple[Named, ...]]:
        """By action: the facts it asks for, the invariant before, and the step itself."""
        known, rows = smt.facts(self.model), {}
        for action in self.model.actions:
            relation = smt.transition(self.model, action)
            asked = frozenset().union(*(row.symbols for row in relation))
            rows[action.name] = (*(row for row in known if row.name in asked), *self.invariant, *relation)
        return rows

    def initiation(self) -> Obligation:
        """The initial state satisfies the invariant."""
        return Obligation("initiation", "initiation", None, "", tuple(smt.initial(self.model)), self.invariant)

    def consecution(self, action: Action) -> Obligation:
        """`action` keeps the invariant."""
        return Obligation(f"consecution-{action.name}", "consecution", action, "", self.steps[action.name], self.primed)

    def of(self, goal: Goal) -> list[Obligation]:
        """What one claim needs on top: one obligation for an invariant claim, one an action for a step claim."""
        row = (Named(goal.key, goal.built.formula),)
        if not goal.claim.is_step:
            return [Obligation(f"safety-{goal.key}", "safety", None, goal.key, self.invariant, row)]
        return [Obligation(f"step-{goal.key}-{action.name}", "step", action, goal.key, self.steps[action.name], row)
                for action in goal.actions(self.model)]

    def shared(self) -> list[Obligation]:
        """Initiation and consecution, which serve every claim."""
        return [self.initiation(), *(self.consecution(action) for action in self.model.actions)]

    def obligations(self, goals: Iterable[Goal]) -> list[Obligation]:
        """Everything that has to be shown so that the invariant proves `goals`."""
        return [*self.shared(), *(one for goal in goals for one in self.of(goal))]


def term_of(rows: Iterable[Named]) -> Any:
    """The conjunction of named conjuncts."""
    return z3.And(*(row.node for row in rows))
