"""The model as formulas: typing, initial state, the transition relation of an action, and their SMT-LIB 2 text.

Rules
1. A state is a set of constants, one a variable; the next state's have a prime (`head'`), a parameter is `arg:mark`, a fact of
   the topology `fact:planned.drains`. Truth values are `Bool`; natural numbers and enumerations are `Int` with a typing
   conjunct.
2. A relation is a list of *named* conjuncts, so that an auditor sees which part of the model a line stands for.
3. It is built from the terms *as written*, with each fact as a conjunct of its own: folding is no part of what is
   believed. The folded form, which is faster to search with, is asked for by name (`folded=True`).
4. The text is our own printer's, not the solver's: the same model gives the same bytes with every solver version, which
   is what lets a certificate be compared with a freshly derived one.
5. *The frame rule.* A variable that an action does not change has one name for the present and the next state, without a
   prime. That it stays needs no conjunct then, and a conjunct that speaks of no changed variable is the same conjunct
   afterwards. Which variables an action changes is read off the action as written.
6. Names that are asserted come from a safe alphabet and comments are one line each, so that no name can start a line of its
   own or end a quoted symbol.

Source: the SMT-LIB standard, version 2.6 (Barrett, Fontaine, Tinelli), logic QF_LIA.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import z3

from siteproof.model.errors import one_line
from siteproof.model.nodes import Substitution, joined, pieces_of
from siteproof.model.system import FACT_PREFIX, Action, Domain, Model, Parameter

__all__ = ["Named", "Renamed", "Renaming", "Row", "after", "constants", "facts", "initial", "is_safe", "prime", "relation",
           "script", "slug", "smtlib", "transition", "typing", "within"]

PRIME = "'"

_SAFE = re.compile(r"[A-Za-z0-9_.:' -]+")
_SIMPLE = re.compile(r"[A-Za-z_~!@$%^&*+=<>.?/-][A-Za-z0-9_~!@$%^&*+=<>.?/-]*")


@attrs.frozen(eq=False)
class Named:
    """A conjunct: a z3 term and the name under which it is asserted, unique within a formula."""

    name: str
    node: Any

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """Its SMT-LIB text with the names apart (`siteproof.model.nodes.pieces_of`)."""
        return pieces_of(self.node)

    @cached_property
    def text(self) -> str:
        """Its SMT-LIB text; kept, since one conjunct occurs in hundreds of obligations."""
        return self.said(QUOTED)

    def said(self, symbols: Mapping[str, str]) -> str:
        """Its text with the symbol for each constant."""
        return joined(self.pieces, symbols)

    @cached_property
    def symbols(self) -> frozenset[str]:
        """The constants that it speaks of."""
        return frozenset(self.pieces[1::2])


@attrs.frozen(eq=False)
class Renaming:
    """Other constants in place of some: of each the domain, the name and the new name."""

    rows: tuple[tuple[Domain, str, str], ...]

    @cached_property
    def names(self) -> dict[str, str]:
        """The new name of each constant that gets one."""
        return {old: new for _, old, new in self.rows}

    @cached_property
    def substitution(self) -> Substitution:
        """The same, of terms."""
        return Substitution((domain.constant(old), domain.constant(new)) for domain, old, new in self.rows)


@attrs.frozen(eq=False)
class Renamed:
    """A conjunct said of other constants, under another name. Its text needs no term of its own."""

    name: str
    of: Named
    renaming: Renaming

    @cached_property
    def node(self) -> Any:
        """The term."""
        return self.renaming.substitution(self.of.node)

    @cached_property
    def text(self) -> str:
        """Its SMT-LIB text."""
        return self.said(QUOTED)

    def said(self, symbols: Mapping[str, str]) -> str:
        """Its text with the symbol for each constant."""
        new = self.renaming.names
        return self.of.said({name: symbols[new.get(name, name)] for name in self.of.symbols})

    @cached_property
    def symbols(self) -> frozenset[str]:
        """The constants that it speaks of."""
        new = self.renaming.names
        return frozenset(new.get(name, name) for name in self.of.symbols)


Row = Named | Renamed
"""What can be asserted."""


class _Quoted(dict[str, str]):
    """Names as SMT-LIB symbols, each worked out once."""

    def __missing__(self, name: str) -> str:
        self[name] = text = symbol(name)
        return text


QUOTED: Mapping[str, str] = _Quoted()
"""The symbol for each name."""


def slug(text: str) -> str:
    """`text` in lower-case ASCII words joined by hyphens: a name for a conjunct or a file."""
    return re.sub(r"[^a-z0-9_.]+", "-", text.lower()).strip("-")


def constants(model: Model, suffix: str = "") -> dict[str, Any]:
    """The z3 constant of each variable, by the variable's name; `suffix` tells copies of the state apart."""
    return {v.name: v.domain.constant(v.name + suffix) for v in model.variables}


def prime(model: Model, node: Any, after: str = PRIME, before: str = "") -> Any:
    """`node` said of another copy of the state."""
    old, new = constants(model, before), constants(model, after)
    return Substitution((old[name], new[name]) for name in old)(node)


def typing(model: Model, suffix: str = "") -> list[Named]:
    """That every variable lies in its domain; truth values need no conjunct."""
    return [Named(f"typing.{v.name}{suffix}", v.domain.typing(v.domain.constant(v.name + suffix)))
            for v in model.variables if v.domain.of is not bool]


def initial(model: Model, suffix: str = "") -> list[Named]:
    """The one initial state."""
    return [Named(f"initial.{v.name}", v.domain.constant(v.name + suffix) == _value(v.domain.code(v.initial)))
            for v in model.variables]


def facts(model: Model) -> list[Named]:
    """The facts of the topology, as asserted beside terms as they were written."""
    return [Named(FACT_PREFIX + path, z3.Bool(FACT_PREFIX + path) == z3.BoolVal(value))
            for path, value in sorted(model.facts.values.items())]


def relation(model: Model, action: Action, *, folded: bool = False) -> list[Named]:
    """What an action asks for and what it does: the relation between a state and the next one (primed) when it is taken, with
    arguments `arg:…` of its domains. It leaves out the frame: what it says of variables that the action does not change, which
    is that they stay (rule 5).

    Conjuncts are called `argument.…`, `guard.N` and `effect.…`.
    """
    rows = [Named(f"argument.{p.name}", p.domain.typing(p.domain.constant("arg:" + p.name)))
            for p in action.parameters if p.domain.of is not bool]
    for number, guard in enumerate(action.guards, start=1):
        code = f".{guard.code}" if guard.code else ""
        rows.append(Named(f"guard.{number}{code}", guard.folded if folded else guard.written))
    changes: Mapping[str, Any] = action.changes if folded else action.written_changes
    return [*rows, *(Named(f"effect.{v.name}", v.domain.constant(v.name + PRIME) == changes[v.name])
                     for v in model.variables if v.name in changes)]


def transition(model: Model, action: Action, *, folded: bool = False) -> list[Named]:
    """The whole relation, with a conjunct `frame.…` for each variable that the action leaves as it is."""
    kept = [v for v in model.variables if v.name not in action.changes]
    return [*relation(model, action, folded=folded),
            *(Named(f"frame.{v.name}", v.domain.constant(v.name + PRIME) == v.domain.constant(v.name)) for v in kept)]


def after(model: Model, written: Collection[str]) -> Renaming:
    """From a state to the next one, of a step that changes the variables in `written`: they get a prime (rule 5)."""
    return Renaming(tuple((v.domain, v.name, v.name + PRIME) for v in model.variables if v.name in written))


def within(model: Model, written: Collection[str]) -> Renaming:
    """In what speaks of two states, of a step that changes the variables in `written`: all others lose their prime (rule 5)."""
    return Renaming(tuple((v.domain, v.name + PRIME, v.name) for v in model.variables if v.name not in written))


def smtlib(node: Any) -> str:
    """SMT-LIB 2 text of a z3 term, written out without abbreviations.

    Raises `ValueError` on an operator that the modelling language does not have.
    """
    return joined(pieces_of(node), QUOTED)


def is_safe(name: str) -> bool:
    """Whether a conjunct may have this name."""
    return _SAFE.fullmatch(name) is not None


def symbol(name: str) -> str:
    """`name` as an SMT-LIB symbol, quoted where it has to be."""
    return name if _SIMPLE.fullmatch(name) else f"|{name}|"


def declared(model: Model, parameters: Iterable[Parameter]) -> dict[str, str]:
    """The sort of each constant that a formula may speak of, in the order of declaration: state, next state, arguments,
    facts."""
    rows = [(v.name + suffix, v.domain) for suffix in ("", PRIME) for v in model.variables]
    rows += [("arg:" + p.name, p.domain) for p in parameters]
    sorts = {name: "Bool" if domain.of is bool else "Int" for name, domain in rows}
    return sorts | {FACT_PREFIX + path: "Bool" for path in sorted(model.facts.values)}


def script(model: Model, parameters: Sequence[Parameter], asserted: Iterable[Row], comment: Sequence[str] = (),
           *, denied: Sequence[Row] = (), check: bool = True) -> str:
    """A complete SMT-LIB 2 script: logic, declarations (of what occurs, in the order of `declared`), one `assert` a conjunct, one
    called `goal` that not all of `denied` hold, if there are any, and, with `check`, one `check-sat`. Raises `ValueError` for a
    conjunct with an unsafe name and for a constant that the model does not declare."""
    rows = list(asserted)
    if unsafe := next((row.name for row in rows if not is_safe(row.name)), None):
        raise ValueError(f"a conjunct is called {unsafe!r}: only letters, digits, spaces and _ . ' : - are safe")
    used = frozenset().union(*(row.symbols for row in (*rows, *denied)))
    sorts = declared(model, parameters)
    if strange := used - sorts.keys():
        raise ValueError(f"a formula speaks of {', '.join(sorted(strange))}, which the model does not declare")
    lines = [f"; {one_line(line)}" for line in comment]
    lines.append("(set-logic QF_LIA)")
    lines += [f"(declare-const {symbol(name)} {sort})" for name, sort in sorts.items() if name in used]
    lines += [f"(assert (! {row.text} :named {symbol('c.' + row.name)}))" for row in rows]
    if denied:
        goal = denied[0].text if len(denied) == 1 else f"(and {' '.join(row.text for row in denied)})"
        lines.append(f"(assert (! (not {goal}) :named c.goal))")
    if check:
        lines.append("(check-sat)")
    return "\n".join(lines) + "\n"


def _value(code: int | bool) -> Any:
    return z3.BoolVal(code) if isinstance(code, bool) else z3.IntVal(code)
