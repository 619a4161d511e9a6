"""Promises and lemmas: what is said about a model, in a form that every engine reads.

Rules
1. A *claim* says one thing: wherever its premise holds, its conclusion holds. An *invariant* claim speaks of one reachable
   state; a *step* claim of two, before and after an action (all actions, or those named in `on`).
2. Premise and conclusion are kept apart, so that it can be asked whether the premise ever holds (a claim with a premise
   that never holds says nothing: it is vacuous).
3. A *promise* is a numbered set of claims with a sentence for reviewers and the requirements it stands for. It is kept when
   every claim that applies is proved.
4. A claim applies in a flow where its `needs`, a term over facts, is true; where it does not, the facts that make it so are
   named.
5. A claim that something *can* be done asks for the preconditions of the action of the model that it is read over, so a model
   with other preconditions is asked for those.
6. A *lemma* is an invariant claim that is there to help a proof. It is proved like any other; nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import attrs
import z3

from siteproof.model.system import FACT_PREFIX, Facts, Model, Parameter, Vocabulary, constants_of
from siteproof.model.terms import Bool, member

__all__ = ["Claim", "Promise", "always", "built", "can", "step"]

Predicate = Callable[..., Bool]

_CAN = "can:"


@attrs.frozen
class Claim:
    """One claim as written. `premise` and `conclusion` take the state, or the states before and after a step. `words` stand for
    its formula where that is too long to be read. `repeats`: it only says that the written preconditions of an action held."""

    name: str
    conclusion: Predicate
    premise: Predicate | None = None
    on: tuple[str, ...] | None = None
    is_step: bool = False
    needs: Callable[[Facts], Bool] | None = None
    words: str = ""
    repeats: bool = False


@attrs.frozen
class Promise:
    """A numbered promise: claims, a sentence for reviewers and requirement ids."""

    id: str
    title: str
    sentence: str
    requirements: tuple[str, ...]
    claims: tuple[Claim, ...]


def always(name: str, conclusion: Predicate, *, given: Predicate | None = None,
           needs: Callable[[Facts], Bool] | None = None) -> Claim:
    """A claim about every reachable state."""
    return Claim(name, conclusion, given, None, False, needs)


def step(name: str, conclusion: Predicate, *, given: Predicate | None = None, on: tuple[str, ...] | None = None,
         needs: Callable[[Facts], Bool] | None = None, words: str = "") -> Claim:
    """A claim about every step, or about the steps named in `on`."""
    return Claim(name, conclusion, given, on, True, needs, words)


@attrs.frozen(eq=False)
class Built:
    """A claim over one model: z3 terms. A step claim's terms use `x` before and `x'` after."""

    claim: Claim
    premise: Any
    conclusion: Any
    applies: bool
    because: str
    asks: frozenset[str] = frozenset()
    """The actions whose preconditions it asks for (rule 5)."""

    @property
    def formula(self) -> Any:
        return self.conclusion if z3.is_true(self.premise) else z3.Implies(self.premise, self.conclusion)

    @property
    def name(self) -> str:
        return self.claim.name


def built(model: Model, claim: Claim) -> Built:
    """Read a claim over the vocabulary and facts of `model`. Raises `ValueError` for a claim about more machines than a proof
    for any number of them can carry."""
    now: list[Vocabulary] = [model.vocabulary()]
    if claim.is_step:
        now.append(model.vocabulary("'"))
    applies, because = True, ""
    if claim.needs is not None:
        term = claim.needs(model.facts).node
        applies = z3.is_true(model.facts.fold(term))
        because = model.facts.told(term)
    premise = claim.premise(*now).node if claim.premise is not None else z3.BoolVal(True)
    written = (premise, claim.conclusion(*now).node)
    asks = frozenset(_asked(symbol)[0] for node in written for symbol in constants_of(node) if symbol.startswith(_CAN))
    premise, conclusion = (model.facts.put(_with_actions(model, node)) if _asks_facts(node) else _with_actions(model, node)
                           for node in written)
    if not model.speaks_of_few(z3.And(premise, conclusion)):
        raise ValueError(f"the claim {claim.name!r} speaks of all {len(model.machines)} named machines of {model.level}; one"
                         " about any number speaks of fewer")
    return Built(claim, premise, conclusion, applies, because, asks)


def _asks_facts(node: Any) -> bool:
    return any(name.startswith(FACT_PREFIX) for name in constants_of(node))


def can(action: str, **arguments: Any) -> Bool:
    """Every precondition of `action` of the model that is read holds, with these arguments; in a step claim, before the step."""
    given = ",".join(f"{name}={member(value) if isinstance(value, Enum) else int(value)}" for name, value in arguments.items())
    return Bool(z3.Bool(f"{_CAN}{action}:{given}"))


def _asked(symbol: str) -> tuple[str, str]:
    """The action and the arguments that a symbol of `can` names."""
    action, _, given = symbol.removeprefix(_CAN).partition(":")
    return action, given


def _with_actions(model: Model, node: Any) -> Any:
    """`node` with the preconditions of the model's actions in place of `can`."""
    pairs = []
    for symbol in constants_of(node):
        if symbol.startswith(_CAN):
            action, given = _asked(symbol)
            told = dict(row.split("=") for row in given.split(",") if row)
            one = model.action(action)
            values = [(p.domain.constant("arg:" + p.name), _value(p, int(told[p.name]))) for p in one.parameters]
            # Not simplified: the solver orders what it simplifies by what it met before, and the text of a claim has to be
            # the same in every process, since a certificate is compared with it.
            pairs.append((z3.Bool(symbol), z3.substitute(one.enabled, *values)))
    return z3.substitute(node, *pairs) if pairs else node


def _value(parameter: Parameter, code: int) -> Any:
    return z3.BoolVal(bool(code)) if parameter.domain.of is bool else z3.IntVal(code)
