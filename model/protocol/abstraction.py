"""What the promise level sees of the protocol's state, and the obligation that every step is one that it allows.

Rules
1. *Abstraction.* `seen` gives the promise level's machine as terms over the protocol's variables. Most are the variable of that
   name; the others say what the promise's word means here: the machine reboots by itself if its host is to run it and does not;
   a fault has put the log in doubt if the source has not looked at it since it started; a gap is a write that is neither in the
   logs nor at the passive side; a job is over when the side in charge has done its part, though the books lag behind.
2. `books` is what the vault knows: the same, as if nobody had done what the vault has not recorded. Requests are granted by it.
3. *Refinement.* Each action names the promise's action that it refines, or none. Whatever it does, that action's preconditions
   hold of what is seen before, with some arguments, and what is seen afterwards is its effect; where it names none, what is
   seen does not change. That is asked of all that is seen, whatever the action is said to write: it is the model that is read
   which knows, and engines leave out what cannot change.
4. The obligations are step claims, so the engines, certificates and counterexamples of the project are theirs, too. By induction
   over a run then, with the initial states compared when the model is built, every run of the protocol is one of the promise
   level, and every promise about what is seen is kept. The marked write is a part of what is seen.
5. What a step does to the books, and what it asks of them, is written once, at the promise level: `carries` reads that rule over
   `books` and adds what the protocol says more, guards above all. An action that is written out in full (`refines`) repeats none.

Source: Abadi and Lamport, The existence of refinement mappings (1991); Lynch and Vaandrager, Forward and backward simulations
(1995): this is a forward simulation by a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import attrs
import z3

from siteproof.model.claims import Claim, step
from siteproof.model.promise.vocabulary import Failover, Job, Machine, Protection, Resync
from siteproof.model.protocol.vocabulary import Parts
from siteproof.model.system import FACT_PREFIX, ActionRule, Kind, Parameter, Requires, Step
from siteproof.model.terms import And, Bool, Change, If, Not, Or, literal

__all__ = ["FACT", "PartRule", "at_the_side", "books", "carries", "refinement", "refines", "seen", "stutters"]


class _AnyFact:
    """Facts as symbols, for claims, which are read over a flow's facts later."""

    def __getitem__(self, path: str) -> Bool:
        return Bool(z3.Bool(FACT_PREFIX + path))


FACT: Any = _AnyFact()


def _machine(p: Parts, terms: dict[str, Any]) -> Machine:
    """A machine of the promise level with these terms for some variables, and the protocol's own for the others."""
    m = Machine()
    m.terms = {name: terms[name] if name in terms else p.terms[name] for name in m.terms}
    return m


def books(p: Parts) -> Machine:
    """The machine as the vault has it on record."""
    return _views(p.suffix)[1]


def at_the_side(p: Parts) -> Machine:
    """The machine as the side with the points has it, who knows nothing of points that the vault has revoked."""
    return _views(p.suffix)[2]


def seen(p: Parts) -> Machine:
    """The machine as it is for the promise level."""
    return _views(p.suffix)[0]


@lru_cache(maxsize=4)
def _views(suffix: str) -> tuple[Machine, Machine, Machine]:
    """Asked for thousands of times, of two copies of the state."""
    p = Parts(suffix)
    books = _seen(p, None)
    side = _machine(p, {name: term for name, term in books.terms.items() if name not in _ADVERTISED})
    return _seen(p, p.done), books, side


_ADVERTISED = ("points", "point", "app", "x_latest", "x_point", "x_app")


def _seen(p: Parts, done: Bool | None) -> Machine:
    terms: dict[str, Any] = {}
    if done is None:
        terms["disturbed"] = And(p.job == Job.PLANNED, Not(p.session))
    else:
        moved = And(done, p.job != Job.COMMIT)
        kept = If(p.job == Job.PLANNED, FACT["planned.leaves_protected"], FACT["unplanned.leaves_protected"])
        terms |= {
            "job": If(moved, Job.NONE, p.job),
            "half": And(Or(p.half, done), Not(moved)),
            "failover": If(moved, If(p.job == Job.PLANNED, Failover.PLANNED, Failover.UNPLANNED), p.failover),
            "protection": If(moved, If(kept, Protection.PROTECTED, Protection.NONE), p.protection),
            "changed": And(p.changed, Not(moved)),
            "resync": If(moved, Resync.NONE, p.resync),
            "disturbed": And(p.job == Job.PLANNED, Not(done), Not(p.session)),
        }
    m = _machine(p, {
        **terms, "reboots": And(p.autostart, Not(p.running)),
        "passive_reboots": And(p.passive_autostart, Not(p.passive_running)),
        **{name: And(Bool(p.terms[name].node), Not(p.revoked)) for name in _ADVERTISED},
        "x_gap": p.x_log})
    return _machine(p, m.terms | {
        "spoiled": And(m.tracks, p.spoiled),
        "doubt": And(m.tracks, m.resync != Resync.REQUIRED, Or(p.doubt, Not(p.recording))),
        "x_gap": And(m.tracks, p.x_active, Not(p.x_passive), Not(p.x_log)),
    })


# -------------------------------------------------------------------------------------------------- actions, as written


@attrs.frozen
class PartRule:
    """An action of the protocol, and the promise's action that it refines; None: it changes nothing that is seen. `swaps`: the
    sides change roles with it."""

    rule: ActionRule
    refines: ActionRule | None
    swaps: bool = False

    @property
    def name(self) -> str:
        return self.rule.name


Own = Callable[..., Step]


def _doc(own: Own, otherwise: str) -> str:
    return " ".join((own.__doc__ or otherwise).split())


def _put(own: Step, step: Step, view: Machine, p: Parts, leave: Sequence[str], guards: bool) -> Step:
    """The promise's step with the protocol's in front: where both change a variable, the protocol says how."""
    of = {view.terms[name].node.get_id(): name for name in view.terms if name in p.terms}
    mine = {change.name for change in own.changes}
    changes = list(own.changes)
    for change in step.changes:
        name = of.get(change.variable.node.get_id())
        if name is not None and name not in mine and name not in leave:
            changes.append(Change(p.terms[name], change.value))
    return Step(changes, [*(step.requires if guards else ()), *own.requires])


def carries(promised: ActionRule, *, guards: bool = True, leave: Sequence[str] = (), name: str = "",
            view: Callable[[Parts], Machine] = books, **more: Any) -> Callable[[Own], PartRule]:
    """Declare an action that does to the books what `promised` does, under its preconditions (unless not `guards`), and beside it
    what the protocol adds. `leave`: variables of the promise that it does not write, since their abstraction takes care."""
    def declare(own: Own) -> PartRule:
        def rule(t: Any, p: Parts, *arguments: Any) -> Step:
            m = view(p)
            return _put(own(t, p, *arguments), promised.rule(t, m, *arguments), m, p, leave, guards)

        fair = promised.fair_when
        fair_when = (lambda t, p: fair(t, view(p))) if fair is not None else None
        return PartRule(attrs.evolve(promised, name=name or promised.name, rule=rule, doc=_doc(own, promised.doc),
                                     fair_when=fair_when, **more), promised)
    return declare


def refines(promised: ActionRule, *, name: str = "", swaps: bool = False, **more: Any) -> Callable[[Own], PartRule]:
    """Declare an action that is written out in full and refines `promised`."""
    def declare(own: Own) -> PartRule:
        return PartRule(attrs.evolve(promised, name=name or promised.name, rule=own, doc=_doc(own, promised.doc), fair_when=None,
                                     **more), promised, swaps)
    return declare


def stutters(kind: Kind = Kind.INTERNAL, requirements: Sequence[str] = (), *, fair: bool = True, heals: bool = False,
             by_operator: bool = False, parameters: Sequence[Parameter] = ()) -> Callable[[Own], PartRule]:
    """Declare an action that changes nothing that is seen."""
    def declare(own: Own) -> PartRule:
        return PartRule(ActionRule(own.__name__.rstrip("_"), kind, own, tuple(parameters), tuple(requirements), _doc(own, ""),
                                   fair=fair and kind is Kind.INTERNAL, heals=heals, by_operator=by_operator), None)
    return declare


# ---------------------------------------------------------------------------------------------------------- obligations


def refinement(rules: Sequence[PartRule]) -> tuple[Claim, ...]:
    """For each action that it refines what it names, or changes nothing that is seen."""
    return tuple(_refines(rule) for rule in rules)


def _refines(part: PartRule) -> Claim:
    promised = part.refines
    told = f"refines {promised.name.replace('_', ' ')} of the promise level" if promised else "changes nothing that is seen"

    def conclusion(a: Parts, b: Parts) -> Bool:
        before, after = seen(a), seen(b)
        if promised is None:
            return And(*(_same(after, name, before.terms[name]) for name in before.terms))
        rows, changed, of = [], set[str](), {term.node.get_id(): name for name, term in before.terms.items()}
        for arguments in _arguments(promised.parameters):
            done = promised.rule(FACT, before, *arguments)
            becomes = {of[change.variable.node.get_id()]: change.value for change in done.changes}
            guards = [need.condition if isinstance(need, Requires) else need for need in done.requires]
            rows.append((guards, becomes))
            changed |= becomes.keys()
        kept = [_same(after, name, before.terms[name]) for name in before.terms if name not in changed]
        return And(*kept, Or(*(
            And(*guards, *(_same(after, name, becomes.get(name, before.terms[name])) for name in before.terms if name in changed))
            for guards, becomes in rows)))

    words = (f"the preconditions of {promised.name.replace('_', ' ')} hold of what is seen before, and its effect is what is seen"
             " afterwards" if promised else "what is seen afterwards is what is seen before")
    return step(f"{part.name.replace('_', ' ')} {told}", conclusion, on=(part.name,),
                words=f"in every step of {part.name.replace('_', ' ')}: {words}")


def _same(m: Machine, name: str, value: Any) -> Bool:
    return Bool(m.terms[name].node == value.node)


def _arguments(parameters: Sequence[Parameter]) -> list[tuple[Any, ...]]:
    """Every tuple of arguments, as terms."""
    rows: list[tuple[Any, ...]] = [()]
    for parameter in parameters:
        values = [literal(parameter.domain.decode(code)) for code in parameter.domain.values or ()]
        rows = [(*row, value) for row in rows for value in values]
    return rows
