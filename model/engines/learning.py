"""Invariants that nobody wrote, learned from states that are known to be reachable.

Rules
1. A *sample* holds reachable states, each by the truth of certain *atoms*: every value of every small variable, whether a count
   is 0, every comparison that the level's formulas make, and what follows from two of them (of a <= b and b <= c, a <= c). A
   *clause* is an alternative of a few atoms or their negations. One that holds in the whole sample is a guess.
2. Guesses are made for a purpose only. Where a step breaks what is to be shown, from a state that nothing known rules out, the
   clauses are looked for that hold in the whole sample and fail in that state; the shortest come first. A clause that fails there
   differs from each state of the sample in one of its atoms, so these are the hitting sets of the differences.
   In a crowd, where all machines are alike, a guess is made of all of them.
3. A guess is shown or dropped in the same way, by further guesses. Where there are none, the state may well be reachable: a
   guess that needed it ruled out falls, and with something that had to be shown the attempt ends.
4. The last word has plain induction, which is given what is left and knows nothing of samples. A limit on counterexamples ends
   what does not come to an end; nothing is concluded then.

Sources: Bradley, SAT-based model checking without unrolling (VMCAI 2011), for rule 2; Garg, Loeding, Madhusudan, Neider, ICE: a
robust framework for learning invariants (CAV 2014), for samples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice, permutations
from typing import Any

import attrs
import z3

from siteproof.model.engines.induction import Relation, induct, proves
from siteproof.model.engines.obligations import Goal
from siteproof.model.engines.queries import Questions
from siteproof.model.nodes import Substitution, all_of, constants_of, is_false_in
from siteproof.model.readings.python import State, expression
from siteproof.model.readings.smt import Named
from siteproof.model.system import Model

__all__ = ["Atoms", "Learned", "Sample", "learn"]

LONGEST = 4
"""Atoms of a clause."""
LOOKED = 4_000
"""Choices that are looked at for one state; what is found by then has to do."""
NEAREST = 400
"""States of the sample that are tried first, those most like the one to be ruled out: they leave the fewest choices."""


@attrs.frozen(eq=False)
class Atoms:
    """What is told of a state: the truth of each of `nodes`."""

    model: Model
    nodes: tuple[Any, ...]

    @classmethod
    def of(cls, model: Model, formulas: Iterable[Any]) -> Atoms:
        """The values of the small variables, whether a count is 0, and the comparisons in `formulas` that speak of one state."""
        found: dict[str, Any] = {}
        names = set(model.names)
        for variable in model.variables:
            node = variable.domain.constant(variable.name)
            if variable.domain.is_nat:
                found.setdefault((node == 0).sexpr(), node == 0)
            for value in variable.domain.values or ():
                if not isinstance(value, bool):
                    found.setdefault((node == value).sexpr(), node == value)
                elif value:
                    found.setdefault(node.sexpr(), node)
        small = {v.name for v in model.variables if not v.domain.is_nat}
        for formula in formulas:
            for atom in _comparisons(formula):
                spoken = constants_of(atom)
                if spoken <= names and not spoken <= small:
                    found.setdefault(atom.sexpr(), atom)
        for less, more in _between(found.values()):
            found.setdefault((less <= more).sexpr(), less <= more)
        return cls(model, tuple(found.values()))

    @cached_property
    def symmetries(self) -> tuple[tuple[int, ...], ...]:
        """In a crowd, what becomes of each atom when the machines change their names, in every way but the one that changes
        nothing."""
        place = {node.sexpr(): at for at, node in enumerate(self.nodes)}
        found = []
        for names in islice(permutations(self.model.machines), 1, None):
            other = dict(zip(self.model.machines, names, strict=True))
            renamed = Substitution((v.domain.constant(v.name), v.domain.constant(f"{other[whose]}.{own}"))
                                   for v in self.model.variables for whose, _, own in (v.name.partition("."),) if own)
            images = [place.get(renamed(node).sexpr()) for node in self.nodes]
            if None not in images:
                found.append(tuple(image for image in images if image is not None))
        return tuple(found)

    @cached_property
    def told(self) -> Any:
        """A function of a state: a byte for each atom, 1 where it holds."""
        names = {name: f"v{at}" for at, name in enumerate(self.model.names)}
        inner = ", ".join(expression(node, names) for node in self.nodes)
        scope: dict[str, Any] = {}
        source = f"def told(s):\n    {', '.join(names.values())}, = s\n    return bytes(({inner},))\n"
        exec(compile(source, "<atoms>", "exec"), scope)
        return scope["told"]


class Sample:
    """Reachable states by their atoms. `rows` has a number for each state, a bit an atom; `columns` one for each atom, a bit a
    state."""

    def __init__(self, atoms: Atoms, rows: list[int], columns: list[int]) -> None:
        self.atoms, self.rows, self.columns = atoms, rows, columns
        self.all = (1 << len(rows)) - 1

    @classmethod
    def of(cls, atoms: Atoms, states: Iterable[State]) -> Sample:
        """The sample of `states`; those alike in all atoms are one."""
        return cls(atoms, [], [0] * len(atoms.nodes)).also(states)

    def also(self, states: Iterable[State]) -> Sample:
        """This sample with more states."""
        kept = dict.fromkeys(map(self.atoms.told, states))
        old, joined, width = len(self.rows), b"".join(kept), len(self.atoms.nodes)
        columns = [column | _number(joined[at::width]) << old for at, column in enumerate(self.columns)]
        return Sample(self.atoms, [*self.rows, *map(_number, kept)], columns)

    def excluding(self, state: State, few: int, known: Collection[frozenset[tuple[int, bool]]] = (),
                  ) -> list[frozenset[tuple[int, bool]]]:
        """At most `few` clauses, as atoms with the truth they have in it, that hold in all of the sample and fail in `state`;
        none that is `known`."""
        here = self.atoms.told(state)
        row = _number(here)
        differing = [self.all ^ column if bit else column for bit, column in zip(here, self.columns, strict=True)]
        ranked = sorted(range(len(differing)), key=lambda at: -differing[at].bit_count())
        rank = {at: place for place, at in enumerate(ranked)}
        near = sorted(range(len(self.rows)), key=lambda at: (self.rows[at] ^ row).bit_count())[:NEAREST]
        if near and self.rows[near[0]] == row:
            return []
        looked, found = [0], []

        def choices(left: int) -> list[int]:
            nearest = next((at for at in near if left >> at & 1), None)
            if nearest is None:
                nearest = (left & -left).bit_length() - 1
            return sorted(_bits(self.rows[nearest] ^ row), key=rank.__getitem__)

        def extend(chosen: tuple[int, ...], left: int, more: int) -> Iterator[frozenset[int]]:
            looked[0] += 1
            if not left:
                yield frozenset(chosen)
            elif more and looked[0] < LOOKED:
                for at in choices(left):
                    if differing[at] & left:
                        yield from extend((*chosen, at), left & ~differing[at], more - 1)

        seen: set[frozenset[int]] = set()
        for longest in range(1, LONGEST + 1):
            for clause in extend((), self.all, longest):
                if clause in seen or any(shorter < clause for shorter in seen):
                    continue
                seen.add(clause)
                said = frozenset((at, not here[at]) for at in clause)
                if said not in known:
                    found.append(said)
                if len(found) >= few:
                    return found
        return found

    def holds(self, clause: frozenset[tuple[int, bool]]) -> bool:
        """Whether a clause holds in all of the sample."""
        met = 0
        for at, truth in clause:
            met |= self.columns[at] if truth else self.all ^ self.columns[at]
        return met == self.all

    def alike(self, clause: frozenset[tuple[int, bool]]) -> Iterator[frozenset[tuple[int, bool]]]:
        """What it says when the machines of a crowd change their names, as far as that holds in the sample, too."""
        for images in self.atoms.symmetries:
            said = frozenset((images[at], truth) for at, truth in clause)
            if self.holds(said):
                yield said

    def said(self, clause: frozenset[tuple[int, bool]]) -> Named:
        """A clause as a conjunct."""
        rows = sorted(clause)
        nodes = [self.atoms.nodes[at] if truth else z3.Not(self.atoms.nodes[at]) for at, truth in rows]
        name = "learned." + ".".join(f"{'' if truth else 'not-'}{at}" for at, truth in rows)
        return Named(name, nodes[0] if len(nodes) == 1 else z3.Or(*nodes))


@attrs.frozen(eq=False)
class Learned:
    """What came of it: `invariant`, inductive and strong enough, or None; how many counterexamples were ruled out, how many
    guesses made, and in the other case the `reason`, with the `state` that nothing rules out if it was that."""

    invariant: tuple[Named, ...] | None
    ruled_out: int
    guesses: int
    reason: str = ""
    state: State | None = None


def learn(model: Model, rows: Sequence[Named], goals: Sequence[Goal], relations: Mapping[str, Relation], sample: Sample, *,
          few: int = 40, most: int = 100) -> Learned:
    """An inductive invariant that proves `goals`, from conjuncts `rows` and clauses that hold in the sample, `few` at a time,
    with at most `most` counterexamples ruled out."""
    return _Attempt(model, list(rows), list(goals), relations, sample, few, most).outcome()


@attrs.define(eq=False)
class _Attempt:
    model: Model
    rows: list[Named]
    goals: list[Goal]
    relations: Mapping[str, Relation]
    sample: Sample
    few: int
    most: int
    kept: dict[str, Named] = attrs.field(factory=dict)
    shown: dict[str, set[str]] = attrs.field(factory=dict)
    leans: dict[str, set[str]] = attrs.field(factory=dict)
    tried: set[frozenset[tuple[int, bool]]] = attrs.field(factory=set)
    guesses: dict[str, frozenset[tuple[int, bool]]] = attrs.field(factory=dict)
    beside: dict[str, set[str]] = attrs.field(factory=dict)
    ruled_out: int = 0
    solver: Questions = attrs.field(factory=Questions)

    def outcome(self) -> Learned:
        self.solver.know(self.rows)
        self.kept = {row.name: row for row in self.rows}
        vital = {goal.key for goal in self.goals}
        by_action: dict[str, list[Goal]] = {}
        for goal in self.goals:
            if goal.claim.is_step:
                for action in goal.actions(self.model):
                    by_action.setdefault(action.name, []).append(goal)
        again = True
        while again:
            again = False
            for name, step in self.relations.items():
                stuck = self.settle(name, step, by_action.get(name, ()), vital)
                if isinstance(stuck, Learned):
                    return stuck
                again = again or stuck
        found = induct(self.model, list(self.kept.values()), relations=self.relations)
        told = proves(self.model, found.invariant, self.goals, relations=self.relations)
        if all(answer.answer == "unsat" for answer in told.values()):
            return self.ended(found.invariant)
        return self.ended(None, "plain induction did not confirm what was learned")

    def ended(self, invariant: tuple[Named, ...] | None, reason: str = "", state: State | None = None) -> Learned:
        return Learned(invariant, self.ruled_out, len(self.tried), reason, state)

    def settle(self, name: str, step: Relation, claims: Sequence[Goal], vital: Collection[str]) -> Learned | bool:
        """See that a step keeps everything and does what `claims` say, by further guesses; whether any was made or dropped."""
        changed = False
        said = {goal.key: step.of_step(goal.built.formula) for goal in claims}
        shown = self.shown.setdefault(name, set())
        while True:
            asked = {row.name: step.later(row) for row in step.touched(self.kept.values()) if row.name not in shown}
            asked |= {key: node for key, node in said.items() if key not in shown}
            if not asked:
                return changed
            with self.solver:
                self.solver.suppose(*step.nodes)
                told = self.solver.ask(all_of(asked.values()), self.kept)
            if told.is_unsat:
                shown |= asked.keys()
                self.leans.setdefault(name, set()).update(told.leans_on)
                return changed
            if told.answer == "unknown":
                return self.ended(None, "the solver gave up")
            if self.ruled_out >= self.most:
                return self.ended(None, f"{self.most} counterexamples did not suffice")
            changed, state = True, _state(self.model, told.state)
            broken = {key for key, node in asked.items() if is_false_in(told.state, node)}
            if spare := self.spare(broken):
                for key in spare:
                    self.tried.discard(self.guesses[key])
                self.drop(spare)
                shown = self.shown.setdefault(name, set())
                if not broken - spare:
                    continue
            guesses = self.sample.excluding(state, self.few, self.tried)
            if guesses:
                self.ruled_out += 1
                more = dict.fromkeys(one for guess in guesses for one in self.sample.alike(guess))
                guesses += [one for one in more if one not in self.tried and one not in guesses]
                self.tried.update(guesses)
                rows = [self.sample.said(guess) for guess in guesses]
                self.solver.know(row for row in rows if row.name not in self.guesses)
                self.kept |= {row.name: row for row in rows}
                self.guesses |= {row.name: guess for row, guess in zip(rows, guesses, strict=True)}
                family = {row.name for row in rows}
                self.beside |= dict.fromkeys(family, family)
                continue
            broken -= spare
            if not broken.isdisjoint(vital):
                return self.ended(None, "nothing in the sample rules out a state before a claim breaks", state)
            self.drop(broken)
            shown = self.shown.setdefault(name, set())

    def spare(self, broken: Collection[str]) -> set[str]:
        """Guesses among `broken` whose state another one rules out as well."""
        found: set[str] = set()
        for key in broken:
            if key in self.beside and len(self.beside[key]) > 1:
                found.add(key)
                self.beside[key].discard(key)
        return found

    def drop(self, names: Collection[str]) -> None:
        """What fell, and all that leaned on it, is open again."""
        for name in names:
            del self.kept[name]
        for action, rows in self.leans.items():
            if not rows.isdisjoint(names):
                self.shown[action] = set()
                rows.clear()


def _comparisons(node: Any) -> Iterator[Any]:
    """The comparisons of numbers in a term."""
    if z3.is_bool(node) and node.num_args() == 2 and not z3.is_bool(node.arg(0)):
        yield node
        return
    for child in node.children():
        yield from _comparisons(child)


def _between(atoms: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Pairs of variables that two comparisons hold apart by a third one."""
    below: dict[str, dict[str, Any]] = {}
    for atom in atoms:
        pair = _ordered(atom)
        if pair is not None:
            below.setdefault(str(pair[0]), {})[str(pair[1])] = pair
    for least, beyond in list(below.items()):
        for middle, (less, _) in beyond.items():
            yield from ((less, more) for most, (_, more) in below.get(middle, {}).items() if most != least)


def _ordered(atom: Any) -> tuple[Any, Any] | None:
    """The lesser and the greater variable of a comparison by order."""
    sides = atom.children()
    if len(sides) != 2 or not all(z3.is_int(side) and z3.is_const(side) and not z3.is_int_value(side) for side in sides):
        return None
    one, other = sides
    if z3.is_le(atom) or z3.is_lt(atom):
        return one, other
    return (other, one) if z3.is_ge(atom) or z3.is_gt(atom) else None


def _number(truths: bytes) -> int:
    """Truths, a byte each, as the bits of a number, the first one the lowest."""
    return int(truths[::-1].translate(_DIGITS), 2) if truths else 0


_DIGITS = bytes([48, 49]) + bytes(range(2, 256))


def _bits(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


def _state(model: Model, found: Any) -> State:
    """A state that a solver found, completed."""
    values = []
    for variable in model.variables:
        value = found.eval(variable.domain.constant(variable.name), model_completion=True)
        values.append(z3.is_true(value) if z3.is_bool(value) else value.as_long())
    return tuple(values)
