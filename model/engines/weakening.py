"""What is left of an invariant when the rules of a flow change: candidates that nobody wrote.

Lemmas are written for the documented flows. In a changed flow some of them are false, and with them fall others that are
needed and whose truth in most states nobody disputes. Nothing made here is believed: it has to pass plain induction, like
a lemma that a person wrote, and what does not is dropped.

Rules
1. A conjunct that fell is taken apart (conjunctions, both directions of an equivalence). Each part is a candidate, and so is
   the part said of only those states in which one enumerated variable has one value: what is lost after a failover is
   often kept before it.
2. Where an operation is not offered, what it alone leads to never happens. That an enumerated variable never has a value, that
   two of them never have two values at once, and that what has become of the marked write never meets two others, are
   candidates; and so are that the premise of a conjunct never holds, and a conjunct with one of its alternatives less.
3. Candidates that a short search contradicts are left out at once: induction would drop them too, but one by one.

Source: Houdini (Flanagan and Leino, FME 2001) chooses among candidates; these are its candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import combinations, product
from typing import Any

import z3

from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Target, search
from siteproof.model.readings.smt import Named, slug
from siteproof.model.system import Model, Variable

__all__ = ["absences", "plausible", "sharpened", "weakened"]

SEARCHED = 10_000
"""States that candidates are held against; nearly all that are false in a reachable state are false in one of these."""


def weakened(model: Model, lost: Iterable[Named]) -> list[Named]:
    """The parts of the conjuncts in `lost`, each as it is and for each value of each enumerated variable."""
    rows = []
    for row in lost:
        for number, part in enumerate(_parts(row.node), start=1):
            rows.append(Named(f"{row.name}.part-{number}", part))
            rows += [Named(f"{row.name}.part-{number}.{name}", z3.Implies(node, part))
                     for variable in model.variables if _is_small(variable) for name, node in _values(variable)]
    return rows


def absences(model: Model) -> list[Named]:
    """That values of enumerated variables never occur: one, two together, or three of which one is about the marked write."""
    variables = [v for v in model.variables if v.domain.of is not bool and not v.domain.is_nat]
    rows = []
    for size in (1, 2, 3):
        for chosen in combinations(variables, size):
            if size < 3 or any(variable.mark for variable in chosen):
                rows += [Named(f"never.{'.'.join(name for name, _ in values)}", z3.Not(z3.And(*(node for _, node in values))))
                         for values in product(*(list(_values(variable)) for variable in chosen))]
    return rows


def sharpened(rows: Iterable[Named]) -> list[Named]:
    """Of each conjunct with a premise: that the premise never holds; and the conjunct with one of its alternatives less."""
    found = []
    for row in rows:
        if not z3.is_implies(row.node):
            continue
        premise, conclusion = row.node.children()
        found.append(Named(f"{row.name}.premise-never", z3.Not(premise)))
        if z3.is_or(conclusion):
            others = conclusion.children()
            found += [Named(f"{row.name}.without-{at + 1}", z3.Implies(premise, z3.Or(*others[:at], *others[at + 1:])))
                      for at in range(len(others))]
    return found


def plausible(model: Model, rows: Iterable[Named], scope: Scope) -> list[Named]:
    """Those of `rows` that hold in the first states of `scope`. A row twice under one name is taken once."""
    named = {row.name: row for row in rows}
    found = search(model, [Target(row.name, z3.Not(row.node)) for row in named.values()], scope, max_states=SEARCHED).found
    return [row for row in named.values() if row.name not in found]


def _is_small(variable: Variable[Any]) -> bool:
    """Whether a conjunct is looked at value by value: for enumerations and for what holds the marked write."""
    return not variable.domain.is_nat and (variable.mark or variable.domain.of is not bool)


def _values(variable: Variable[Any]) -> Iterator[tuple[str, Any]]:
    """Each value of a variable of a finite domain: a name for a conjunct, and the condition that the variable has it."""
    for code in variable.domain.values or ():
        value = variable.domain.decode(code)
        word = slug(str(value.value if isinstance(value, Enum) else value))
        yield f"{variable.name}-{word}", variable.domain.constant(variable.name) == code


def _parts(node: Any) -> list[Any]:
    """What `node` says, one thing at a time."""
    if z3.is_and(node):
        return [part for child in node.children() for part in _parts(child)]
    if z3.is_implies(node):
        premise, conclusion = node.children()
        return [z3.Implies(premise, part) for part in _parts(conclusion)]
    if z3.is_eq(node) and z3.is_bool(node.arg(0)):
        left, right = node.children()
        return [*_parts(z3.Implies(left, right)), *_parts(z3.Implies(right, left))]
    return [node]
