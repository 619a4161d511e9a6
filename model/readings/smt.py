"""The model as formulas: typing, initial state, the transition relation of an action, and their SMT-LIB 2 text.

Rules
1. A state is a set of constants, one a variable; the next state's have a prime (`head'`), another machine's own ones are
   `other:head`, a parameter is `arg:mark`, a fact of the topology `fact:planned.drains`. Truth values are `Bool`; natural
   numbers and enumerations are `Int` with a typing conjunct.
2. A relation is a list of *named* conjuncts, so that an auditor sees which part of the model a line stands for.
3. It is built from the terms *as written*, with each fact as a conjunct of its own: folding is no part of what is
   believed. The folded form, which is faster to search with, is asked for by name (`folded=True`).
4. The text is our own printer's, not the solver's: the same model gives the same bytes with every solver version, which
   is what lets a certificate be compared with a freshly derived one.
5. Names that are asserted come from a safe alphabet and comments are one line each, so that no name can start a line of its
   own or end a quoted symbol.

Source: the SMT-LIB standard, version 2.6 (Barrett, Fontaine, Tinelli), logic QF_LIA.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import z3

from siteproof.model.errors import one_line
from siteproof.model.system import FACT_PREFIX, Action, Model, Parameter, constants_of

__all__ = ["Named", "constants", "facts", "initial", "is_safe", "prime", "script", "slug", "smtlib", "transition", "typing"]

PRIME = "'"
OTHER = "other:"

_WORDS = {
    z3.Z3_OP_AND: "and", z3.Z3_OP_OR: "or", z3.Z3_OP_NOT: "not", z3.Z3_OP_IMPLIES: "=>", z3.Z3_OP_ITE: "ite",
    z3.Z3_OP_EQ: "=", z3.Z3_OP_IFF: "=", z3.Z3_OP_DISTINCT: "distinct", z3.Z3_OP_XOR: "xor", z3.Z3_OP_LE: "<=",
    z3.Z3_OP_LT: "<", z3.Z3_OP_GE: ">=", z3.Z3_OP_GT: ">", z3.Z3_OP_ADD: "+", z3.Z3_OP_SUB: "-", z3.Z3_OP_MUL: "*",
    z3.Z3_OP_UMINUS: "-",
}
_SAFE = re.compile(r"[A-Za-z0-9_.:' -]+")
_SIMPLE = re.compile(r"[A-Za-z_~!@$%^&*+=<>.?/-][A-Za-z0-9_~!@$%^&*+=<>.?/-]*")


@attrs.frozen(eq=False)
class Named:
    """A conjunct: a z3 term and the name under which it is asserted, unique within a formula."""

    name: str
    node: Any

    @cached_property
    def text(self) -> str:
        """Its SMT-LIB text; kept, since one conjunct occurs in hundreds of obligations."""
        return smtlib(self.node)

    @cached_property
    def symbols(self) -> frozenset[str]:
        """The constants that it speaks of."""
        return frozenset(constants_of(self.node))


def slug(text: str) -> str:
    """`text` in lower-case ASCII words joined by hyphens: a name for a conjunct or a file."""
    return re.sub(r"[^a-z0-9_.]+", "-", text.lower()).strip("-")


def constants(model: Model, suffix: str = "") -> dict[str, Any]:
    """The z3 constant of each variable, by the variable's name; `suffix` tells copies of the state apart."""
    return {v.name: v.domain.constant(v.name + suffix) for v in model.variables}


def prime(model: Model, node: Any, after: str = PRIME, before: str = "") -> Any:
    """`node` said of another copy of the state."""
    old, new = constants(model, before), constants(model, after)
    return z3.substitute(node, *((old[name], new[name]) for name in old))


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


def transition(model: Model, action: Action, *, folded: bool = False) -> list[Named]:
    """The relation between a state and the next one (primed) when `action` is taken, with arguments `arg:…` of its
    domains.

    Conjuncts are called `argument.…`, `guard.N`, `effect.…` (what the action changes) and `frame.…` (what it leaves).
    """
    rows = [Named(f"argument.{p.name}", p.domain.typing(p.domain.constant("arg:" + p.name)))
            for p in action.parameters if p.domain.of is not bool]
    for number, guard in enumerate(action.guards, start=1):
        code = f".{guard.code}" if guard.code else ""
        rows.append(Named(f"guard.{number}{code}", guard.folded if folded else guard.written))
    changes: Mapping[str, Any] = action.changes if folded else action.written_changes
    now, later = constants(model), constants(model, PRIME)
    for name in model.names:
        kind = "effect" if name in changes else "frame"
        rows.append(Named(f"{kind}.{name}", later[name] == changes.get(name, now[name])))
    return rows


def smtlib(node: Any) -> str:
    """SMT-LIB 2 text of a z3 term, written out without abbreviations.

    Raises `ValueError` on an operator that the modelling language does not have.
    """
    known: dict[int, str] = {}

    def say(part: Any) -> str:
        if (text := known.get(part.get_id())) is None:
            text = known[part.get_id()] = one(part)
        return text

    def one(part: Any) -> str:
        if isinstance(part, z3.IntNumRef):
            number = part.as_long()
            return str(number) if number >= 0 else f"(- {-number})"
        declaration = part.decl()
        kind, name = declaration.kind(), declaration.name()
        if kind in (z3.Z3_OP_TRUE, z3.Z3_OP_FALSE):
            return str(name)
        if kind == z3.Z3_OP_UNINTERPRETED and declaration.arity() == 0:
            return symbol(name)
        if kind not in _WORDS:
            raise ValueError(f"SMT-LIB text has no word for {name} in {part}")
        return f"({_WORDS[kind]} {' '.join(say(part.arg(at)) for at in range(part.num_args()))})"

    return say(node)


def is_safe(name: str) -> bool:
    """Whether a conjunct may have this name."""
    return _SAFE.fullmatch(name) is not None


def symbol(name: str) -> str:
    """`name` as an SMT-LIB symbol, quoted where it has to be."""
    return name if _SIMPLE.fullmatch(name) else f"|{name}|"


def script(model: Model, parameters: Sequence[Parameter], asserted: Iterable[Named], comment: Sequence[str] = (),
           *, denied: Sequence[Named] = (), check: bool = True) -> str:
    """A complete SMT-LIB 2 script: logic, declarations in the order of the model (state, next state, another machine's,
    arguments, facts; those that occur), one `assert` a conjunct, one called `goal` that not all of `denied` hold, if there are
    any, and, with `check`, one `check-sat`. Raises `ValueError` for a
    conjunct with an unsafe name and for a constant that the model does not declare."""
    rows = list(asserted)
    if unsafe := next((row.name for row in rows if not is_safe(row.name)), None):
        raise ValueError(f"a conjunct is called {unsafe!r}: only letters, digits, spaces and _ . ' : - are safe")
    used = frozenset().union(*(row.symbols for row in (*rows, *denied)))
    sorts = [(v.name + suffix, "Bool" if v.domain.of is bool else "Int")
             for suffix in ("", PRIME) for v in model.variables]
    sorts += [(OTHER + v.name + suffix, "Bool" if v.domain.of is bool else "Int")
              for suffix in ("", PRIME) for v in model.variables if model.is_one_of_many and not v.shared]
    sorts += [("arg:" + p.name, "Bool" if p.domain.of is bool else "Int") for p in parameters]
    sorts += [(FACT_PREFIX + path, "Bool") for path in sorted(model.facts.values)]
    if strange := used - {name for name, _ in sorts}:
        raise ValueError(f"a formula speaks of {', '.join(sorted(strange))}, which the model does not declare")
    lines = [f"; {one_line(line)}" for line in comment]
    lines.append("(set-logic QF_LIA)")
    lines += [f"(declare-const {symbol(name)} {sort})" for name, sort in sorts if name in used]
    lines += [f"(assert (! {row.text} :named {symbol('c.' + row.name)}))" for row in rows]
    if denied:
        goal = denied[0].text if len(denied) == 1 else f"(and {' '.join(row.text for row in denied)})"
        lines.append(f"(assert (! (not {goal}) :named c.goal))")
    if check:
        lines.append("(check-sat)")
    return "\n".join(lines) + "\n"


def _value(code: int | bool) -> Any:
    return z3.BoolVal(code) if isinstance(code, bool) else z3.IntVal(code)
