"""What has to be shown for a proof by induction, one obligation at a time.

Rules
1. An *invariant* is a set of named conjuncts over one state. It proves claims when five kinds of obligations hold:
   *initiation* (the initial state satisfies it), *consecution* (each action keeps it; one obligation an action),
   *interference* (so does each action of another machine, where there may be one, and a step claim about all steps holds of
   that as well), *safety* (it implies an invariant claim) and *step* (together with one action it implies a step claim).
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
from siteproof.model.engines.interference import others_actions, step_of_other, still
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
    """One query that has to be unsatisfiable: `hypotheses` and not all of `goal`. `claims` are the keys of the claims that
    it is for; those about the invariant itself (initiation, consecution, interference) are for all and name none."""

    name: str
    kind: str
    action: Action | None
    claims: tuple[str, ...]
    hypotheses: tuple[Named, ...]
    goal: tuple[Named, ...]

    def script(self, model: Model) -> str:
        """The obligation as SMT-LIB 2; a solver has to answer `unsat`."""
        goal = f"{self.goal[0].name}" if len(self.goal) == 1 else f"{len(self.goal)} conjuncts"
        comment = [f"{self.name} of {model.name}, level {model.level}: unsatisfiable when the goal ({goal}) follows"]
        parameters = self.action.parameters if self.action else ()
        return smt.script(model, parameters, self.hypotheses, comment, denied=self.goal)


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
    _known: dict[tuple[str, int], Named] = attrs.field(factory=dict, init=False, repr=False)

    def _once(self, rows: Iterable[Named]) -> tuple[Named, ...]:
        """The rows, each as the one object for its name and term: its text, which hundreds of obligations share, is then made
        once. Terms are told apart by their solver's number, which stays theirs while they are kept here."""
        return tuple(self._known.setdefault((row.name, row.node.get_id()), row) for row in rows)

    @cached_property
    def primed(self) -> tuple[Named, ...]:
        """The invariant said of the next state."""
        return tuple(Named(row.name + smt.PRIME, smt.prime(self.model, row.node)) for row in self.invariant)

    @cached_property
    def facts(self) -> tuple[Named, ...]:
        """All facts of the topology."""
        return tuple(smt.facts(self.model))

    @cached_property
    def steps(self) -> dict[str, tuple[Named, ...]]:
        """By action: the facts it asks for, the invariant before, and the step itself."""
        rows = {}
        for action in self.model.actions:
            relation = self._once(smt.transition(self.model, action))
            rows[action.name] = (*self._asked(relation), *self.invariant, *relation)
        return rows

    def _asked(self, relation: Iterable[Named]) -> list[Named]:
        """The facts that a relation asks for."""
        symbols = frozenset().union(*(row.symbols for row in relation))
        return [row for row in self.facts if row.name in symbols]

    def initiation(self) -> Obligation:
        """The initial state satisfies the invariant."""
        return Obligation("initiation", "initiation", None, (), tuple(smt.initial(self.model)), self.invariant)

    def consecution(self, action: Action) -> Obligation:
        """`action` keeps the invariant. In a crowd, it is interference when the machine that is not named takes it."""
        kind = "interference" if action.taker and action.taker == self.model.machines[-1] else "consecution"
        return Obligation(f"{kind}-{action.name}", kind, action, (), self.steps[action.name], self.primed)

    def interference(self, action: Action) -> Obligation:
        """`action`, taken by another machine, keeps the invariant."""
        relation = self._once(step_of_other(self.model, action))
        hypotheses = (*self._asked(relation), *self.invariant, *relation)
        return Obligation(f"interference-{action.name}", "interference", action, (), hypotheses, self.primed)

    def safety(self, goal: Goal) -> Obligation:
        """The invariant implies a claim about states."""
        return Obligation(f"safety-{goal.key}", "safety", None, (goal.key,), self.invariant,
                          (Named(goal.key, goal.built.formula),))

    def on_steps(self, goals: Iterable[Goal]) -> list[Obligation]:
        """What claims about steps need on top: one obligation an action, that it does what all claims about it say, and one for
        another machine's step. Many claims share one, since all but the goal would be the same text."""
        rows, claims = [], [goal for goal in goals if goal.claim.is_step]
        about = {goal.key: {action.name for action in goal.actions(self.model)} for goal in claims}
        for action in self.model.actions:
            if mine := [goal for goal in claims if action.name in about[goal.key]]:
                rows.append(self._on_step(f"step-{action.name}", "step", action, self.steps[action.name], mine))
        if self.model.is_one_of_many and (mine := [goal for goal in claims if goal.claim.on is None]):
            hypotheses = (*self.invariant, *still(self.model))
            rows.append(self._on_step("interference-claims", "interference", None, hypotheses, mine))
        return rows

    def _on_step(self, name: str, kind: str, action: Action | None, hypotheses: tuple[Named, ...],
                 goals: list[Goal]) -> Obligation:
        return Obligation(name, kind, action, tuple(goal.key for goal in goals), hypotheses,
                          self._once(Named(goal.key, goal.built.formula) for goal in goals))

    def shared(self) -> list[Obligation]:
        """Initiation, consecution and interference, which serve every claim."""
        return [self.initiation(), *(self.consecution(action) for action in self.model.actions),
                *(self.interference(action) for action in others_actions(self.model))]

    def obligations(self, goals: Iterable[Goal]) -> list[Obligation]:
        """Everything that has to be shown so that the invariant proves `goals`."""
        rows = list(goals)
        return [*self.shared(), *(self.safety(goal) for goal in rows if not goal.claim.is_step), *self.on_steps(rows)]


def term_of(rows: Iterable[Named]) -> Any:
    """The conjunction of named conjuncts."""
    return z3.And(*(row.node for row in rows))
