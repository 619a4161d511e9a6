"""Crowds: models of machines that work together, written for a few and proved for any number.

A level about many machines has the variables of one (its own) and those that are the machines' in common (`shared`, at a
coordinator, say). It is built as a plain model of a few *named* machines: `a.frozen`, `b.frozen`, `other.frozen` and what is
shared, so that search, induction, certificates, traces and English read it like any other. The named model *is* the system
with that many machines; what it does can happen, and its counterexamples are real.

Rules
1. A rule of `of_each` is a step of one machine. Its guards and the new values of that machine's own variables and of shared
   ones speak of this machine and of what is shared. It may also change every machine in the same way (`each`, a broadcast).
   A rule of `of_all` is nobody's step in particular: it speaks of what is shared, and may change every machine.
2. A guard about all machines is written `everyone(…)`. It is not a term, so it can only stand as a precondition by itself:
   as a positive conjunct, never under a negation or a disjunction. Its condition speaks of one of all the machines, of the
   one that takes the step, and of what is shared.
3. No guard says that *some* machine is in some state. Such a thing is written as a choice of the environment.
4. All machines have the same actions and start alike. It is so by construction: a rule is read once, for a machine that has
   no name, and then said of each.
5. A machine that never acts is in nobody's way: `outsider` is a condition on a machine that holds at the start, is kept by
   every broadcast, and satisfies every condition of `everyone`.

What breaks a rule is refused when the model is built (`ValueError`; rule 2 by `TypeError`, as for any term).

The cut-off. Let there be n named machines, and let an invariant I, each conjunct of which speaks of at most n - 1 of them, hold
initially and be kept by every action of the named model. Then I holds in every reachable state of the system with any number N
of machines, whichever of them bear the names.
* *N of at least n.* By induction over the run. Take a step, of the machine s or of nobody, a conjunct c, and any way to give
  the names to n different machines, such that c speaks of it. If s bears no name, c leaves at least one name unmentioned: give
  that one to s, which changes nothing about c. Before the step I holds of the machines that bear the names now, by induction
  for every way to give them. Seen from these, the step is one of the named model: guards about s and what is shared are the
  same (1, 4), each `everyone` asks less when it is asked of the named ones only (2, 3), and the named machines and what is
  shared change as they do there (1). So I, and with it c, holds afterwards.
* *N below n.* Add machines that never act until there are n. By rule 5 every step stays possible; so a run of the smaller
  system is one of the larger, of which it was just shown.
A claim about a step is shown in the same way, and so speaks of n - 1 machines at most as well.

This is the thread-modular rule: with s named, what is asked is a machine's *own step*; with s given the spare name, a step of
another machine *of which the invariant holds too*, which is called *interference* in certificates (actions of the last of the
names). No symmetric duplicate of an obligation is left out.

Source: Namjoshi, Symmetry and completeness in the analysis of parameterized systems (VMCAI 2007); Pnueli, Ruah, Zuck,
Automatic deductive verification with invisible invariants (TACAS 2001); Flanagan and Qadeer, Thread-modular model checking
(SPIN 2003).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any, ClassVar, TypeVar

import attrs
import z3

from siteproof.model.claims import Claim, always
from siteproof.model.system import (
    FACT_PREFIX,
    Action,
    ActionRule,
    Facts,
    Guard,
    Model,
    Requires,
    Step,
    Variable,
    Vocabulary,
    constants_of,
)
from siteproof.model.terms import Bool, Change, literal

__all__ = ["NAMES", "Crowd", "CrowdStep", "Everyone", "crowd", "each_of", "everyone", "of", "pairs_of"]

V = TypeVar("V", bound=Vocabulary)

NAMES = ("a", "b", "other")
"""Names for claims about two machines at most: those two, and one that stands for all others."""

THIS, EACH = "this", "each"


@attrs.frozen
class Everyone:
    """A precondition about all machines: `condition` takes one of them."""

    condition: Callable[[Any], Bool]
    code: str = ""
    precheck: bool = False


def everyone(condition: Callable[[Any], Bool], code: str = "", *, precheck: bool = False) -> Everyone:
    """The precondition that `condition` holds of every machine, those that are not named included."""
    return Everyone(condition, code, precheck)


@attrs.frozen
class CrowdStep(Step):
    """What an action of a crowd needs and does: `everyone` beside `requires`, and `each` beside `changes`: what it changes of
    every machine, the same for all."""

    everyone: Sequence[Everyone] = ()
    each: Callable[[Any], Sequence[Change]] | None = None


class Crowd(Vocabulary):
    """The vocabulary of a crowd: `crowd["a"]` is the machine called a, in the words of one machine's own vocabulary."""

    of: ClassVar[type[Vocabulary]]
    called: ClassVar[tuple[str, ...]]

    def __init__(self, suffix: str = "") -> None:
        self.suffix = suffix
        self.terms = {}  # a crowd has no words of its own; each machine has, those for what is shared among them
        self._machines: dict[str, Vocabulary] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.called:
            raise KeyError(f"no machine is called {name}; the named ones are {', '.join(self.called)}")
        if name not in self._machines:
            self._machines[name] = _machine(self.of, name, self.suffix)
        return self._machines[name]

    @classmethod
    def variables(cls) -> tuple[Variable[Any], ...]:
        return (*(v for v in cls.of.variables() if v.shared),
                *(attrs.evolve(v, name=f"{name}.{v.name}", doc=f"{name}: {v.doc}")
                  for name in cls.called for v in cls.of.variables() if not v.shared))


def _machine(of: type[V], name: str, suffix: str = "") -> V:
    """The machine called `name`, in the words of `of`."""
    machine = of.__new__(of)
    machine.suffix = suffix
    machine.terms = {v.name: v.domain.term((v.name if v.shared else f"{name}.{v.name}") + suffix) for v in of.variables()}
    return machine


# ------------------------------------------------------------------------------------------------------- the named model


def crowd(name: str, level: str, of: type[V], facts: Mapping[str, bool], *, of_each: Iterable[ActionRule],
          of_all: Iterable[ActionRule], outsider: Callable[[V], Bool], machines: tuple[str, ...] = NAMES) -> Model:
    """The named model of a crowd of machines that have the vocabulary `of`, over the facts of a topology.

    Raises `ValueError` for what breaks a rule of this module.
    """
    if len(machines) < 2 or len(set(machines)) < len(machines) or {THIS, EACH} & set(machines):
        raise ValueError(f"a crowd needs two names at least, each once, and none of {THIS} and {EACH}: found {machines}")
    known = Facts(facts)
    rules = [*(_Rule.read(known, of, rule, True) for rule in of_each), *(_Rule.read(known, of, rule, False) for rule in of_all)]
    _outsiders_are_in_nobodys_way(known, of, rules, outsider(_machine(of, EACH)).node)
    actions = tuple(action for rule in rules for action in rule.said_of(machines))
    vocabulary: type[Crowd] = type(f"CrowdOf{of.__name__}", (Crowd,), {"of": of, "called": machines})
    return Model(name, level, vocabulary.variables(), actions, known, vocabulary, machines)


@attrs.frozen(eq=False)
class _Rule:
    """An action of a crowd as it was read once, for the machine that is called `this`, and any machine called `each`.

    `guards` are preconditions with what they speak of; `changes` and `each` give next values by name of variable.
    """

    rule: ActionRule
    facts: Facts
    of: type[Vocabulary]
    is_of_each: bool
    guards: tuple[Requires, ...]
    everyone: tuple[Requires, ...]
    changes: Mapping[str, Any]
    each: Mapping[str, Any]
    fair_when: Any

    @classmethod
    def read(cls, facts: Facts, of: type[Vocabulary], rule: ActionRule, is_of_each: bool) -> _Rule:
        """Read `rule`, and refuse it where it speaks of another machine than it may."""
        this, each = _machine(of, THIS), _machine(of, EACH)
        step = rule.rule(facts, this, *(p.term for p in rule.parameters))
        guards = tuple(need if isinstance(need, Requires) else Requires(need) for need in step.requires)
        everyone = step.everyone if isinstance(step, CrowdStep) else ()
        of_all = tuple(Requires(one.condition(each), one.code, one.precheck) for one in everyone)
        changes = _by_name(rule, step.changes)
        broadcast = _by_name(rule, step.each(each)) if isinstance(step, CrowdStep) and step.each is not None else {}
        fair_when = rule.fair_when(facts, this).node if rule.fair_when is not None else z3.BoolVal(True)

        common = {v.name for v in of.variables() if v.shared} | {p.term.node.decl().name() for p in rule.parameters}
        own, other = ({f"{name}.{v.name}" for v in of.variables() if not v.shared} for name in (THIS, EACH))
        mine = common | own if is_of_each else common
        for guard in guards:
            _speaks_of(guard.condition.node, mine, f"a precondition of {rule.name}")
        for guard in of_all:
            _speaks_of(guard.condition.node, mine | other, f"a precondition of {rule.name} about everyone")
        for name, node in changes.items():
            _speaks_of(node, mine, f"the next value of {name} in {rule.name}")
        for name, node in broadcast.items():
            _speaks_of(node, mine | other, f"the next value of {name} in {rule.name}")
        _speaks_of(fair_when, mine, f"the fairness of {rule.name}")
        if strange := (changes.keys() - mine) | (broadcast.keys() - other):
            raise ValueError(f"{rule.name} changes {', '.join(sorted(strange))}, which is neither its own, nor shared, nor"
                             " everybody's")
        if twice := {name.partition(".")[2] for name in changes if name in own} & {n.partition(".")[2] for n in broadcast}:
            raise ValueError(f"{rule.name} changes {', '.join(sorted(twice))} of one machine and of each")
        return cls(rule, facts, of, is_of_each, guards, of_all, changes, broadcast, fair_when)

    def said_of(self, machines: Sequence[str]) -> Iterator[Action]:
        """The action of each machine, or the one of nobody."""
        for taker in machines if self.is_of_each else ("",):
            written = {**{self.name(n, taker): self.said(node, taker) for n, node in self.changes.items()},
                       **{self.name(n, taker, one): self.said(node, taker, one)
                          for one in machines for n, node in self.each.items()}}
            guards = [self.guard(need, self.said(need.condition.node, taker)) for need in self.guards]
            guards += [self.guard(need, z3.And(*(self.said(need.condition.node, taker, one) for one in machines)))
                       for need in self.everyone]
            rule, of = self.rule, f"{taker}." if taker else ""
            yield Action(
                of + rule.name, rule.kind, f"{taker}: {rule.doc}" if taker else rule.doc, rule.requirements, rule.parameters,
                tuple(guards), {name: self.facts.fold(node) for name, node in written.items()}, written, rule.operation,
                rule.fair, self.facts.fold(self.said(self.fair_when, taker)), rule.cuts_point, taker)

    def guard(self, need: Requires, node: Any) -> Guard:
        return Guard(node, self.facts.fold(node), need.code, need.precheck)

    def said(self, node: Any, taker: str, one: str = EACH) -> Any:
        """`node`, with the taker in place of `this` and `one` in place of `each`."""
        named = {THIS: taker or THIS, EACH: one}
        asked = constants_of(node)
        pairs = [(v.domain.constant(f"{generic}.{v.name}"), v.domain.constant(f"{name}.{v.name}"))
                 for generic, name in named.items() for v in self.of.variables() if f"{generic}.{v.name}" in asked]
        return z3.substitute(node, *pairs)

    @staticmethod
    def name(variable: str, taker: str, one: str = EACH) -> str:
        whose, _, own = variable.rpartition(".")
        return f"{ {THIS: taker, EACH: one}[whose]}.{own}" if whose else variable


def _by_name(rule: ActionRule, changes: Sequence[Change]) -> dict[str, Any]:
    found = {change.name: change.value.node for change in changes}
    if len(found) != len(changes):
        raise ValueError(f"{rule.name} changes a variable twice")
    return found


def _speaks_of(node: Any, allowed: set[str], where: str) -> None:
    """Refuse a term that speaks of anything but `allowed` and facts."""
    if strange := {name for name in constants_of(node) - allowed if not name.startswith(FACT_PREFIX)}:
        raise ValueError(f"{where} speaks of {', '.join(sorted(strange))}: a step looks at the machine that takes it and at what"
                         " is shared; of all others it may only ask `everyone`, and of some other one nothing")


def _outsiders_are_in_nobodys_way(facts: Facts, of: type[Vocabulary], rules: Sequence[_Rule], outside: Any) -> None:
    """Rule 5."""
    _speaks_of(outside, {f"{EACH}.{v.name}" for v in of.variables() if not v.shared}, "the outsider's condition")
    own = {f"{EACH}.{v.name}": v for v in of.variables() if not v.shared}
    start = [(v.domain.constant(name), literal(v.initial).node) for name, v in own.items()]
    if not z3.is_true(z3.simplify(z3.substitute(outside, *start))):
        raise ValueError("a machine is no outsider at the start")
    typed = [v.domain.typing(v.domain.constant(name)) for name, v in own.items()]

    def follows(node: Any) -> bool:
        solver = z3.SolverFor("QF_LIA")
        solver.add(*typed, outside, z3.Not(facts.fold(node)))
        return bool(solver.check() == z3.unsat)

    for rule in rules:
        for need in rule.everyone:
            if not follows(need.condition.node):
                raise ValueError(f"{rule.rule.name} asks of everyone what an outsider need not satisfy: fewer machines than are"
                                 " named would behave otherwise")
        after = [(own[name].domain.constant(name), node) for name, node in rule.each.items()]
        if not follows(z3.substitute(outside, *after)):
            raise ValueError(f"{rule.rule.name} makes something else of an outsider")


# ---------------------------------------------------------------------------------------------------------------- claims


def of(predicate: Callable[..., Bool], *machines: str) -> Callable[..., Bool]:
    """A predicate about the machines called so, as one about the crowd: it gets them in this order, for one state, or for
    the states before and after a step one after the other."""
    return lambda *states: predicate(*(state[name] for state in states for name in machines))


def each_of(name: str, predicate: Callable[[Any], Bool], machines: tuple[str, ...] = NAMES) -> tuple[Claim, ...]:
    """Lemmas: `predicate` of every machine."""
    return tuple(always(f"{name}.{one}", of(predicate, one)) for one in machines)


def pairs_of(name: str, predicate: Callable[[Any, Any], Bool], machines: tuple[str, ...] = NAMES) -> tuple[Claim, ...]:
    """Lemmas: `predicate` of every two different machines, in both orders."""
    return tuple(always(f"{name}.{one}.{two}", of(predicate, one, two)) for one, two in permutations(machines, 2))
