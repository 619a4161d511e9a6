"""What is asked of z3 terms hundreds of thousands of times: constants, text, substitution.

Rules
1. These are z3's own functions. They are called on the solver's pointers and not on Python objects, of which the usual way makes
   several for each step down a term: that is ten times as slow, and terms were most of what a proof cost.
2. A pointer to a part of a term is good for as long as the term is kept. So every function here takes a term, keeps it while it
   works, and answers with Python values or with a new term that Python keeps.
3. Who reads a term for its shape reads it as a tree of `Part`s, made in one go.
4. The text is the project's own, not the solver's printer (`siteproof.model.readings.smt`, rule 4). It comes in pieces, names
   apart from the rest, so that the text of a term about the next state needs no new term.

Source: z3's C interface, `z3_api.h`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import z3

__all__ = ["Part", "Substitution", "all_of", "constants_of", "is_false_in", "joined", "pieces_of", "read"]


def _unasked(function: Any) -> Any:
    """A function of z3 as it is. Those of the `z3` package ask after each call whether it failed, which costs as much again; the
    ones below cannot fail, on parts of a term that is kept."""
    inner = function.__defaults__
    return getattr(inner[0], "f", function) if inner else function


_id, _kind, _app = map(_unasked, (z3.Z3_get_ast_id, z3.Z3_get_ast_kind, z3.Z3_to_app))
_count, _argument, _declaration = map(_unasked, (z3.Z3_get_app_num_args, z3.Z3_get_app_arg, z3.Z3_get_app_decl))
_operator = _unasked(z3.Z3_get_decl_kind)

_WORDS = {
    z3.Z3_OP_AND: "and", z3.Z3_OP_OR: "or", z3.Z3_OP_NOT: "not", z3.Z3_OP_IMPLIES: "=>", z3.Z3_OP_ITE: "ite",
    z3.Z3_OP_EQ: "=", z3.Z3_OP_IFF: "=", z3.Z3_OP_DISTINCT: "distinct", z3.Z3_OP_XOR: "xor", z3.Z3_OP_LE: "<=",
    z3.Z3_OP_LT: "<", z3.Z3_OP_GE: ">=", z3.Z3_OP_GT: ">", z3.Z3_OP_ADD: "+", z3.Z3_OP_SUB: "-", z3.Z3_OP_MUL: "*",
    z3.Z3_OP_UMINUS: "-",
}


class Substitution:
    """Terms in place of constants, all at once."""

    def __init__(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """`pairs` of a constant and the term of its sort that takes its place, all of one context."""
        self._kept = [(old, new) for old, new in pairs]  # the pointers below are good while these are kept
        for old, new in self._kept:
            if not old.sort().eq(new.sort()):
                raise ValueError(f"{new} cannot take the place of {old}: its sort is another one")
        array = z3.Ast * len(self._kept)
        self._old = array(*(old.as_ast() for old, _ in self._kept))
        self._new = array(*(new.as_ast() for _, new in self._kept))

    def __call__(self, node: Any) -> Any:
        """`node` with them."""
        if not self._kept:
            return node
        context = node.ctx
        found = z3.Z3_substitute(context.ref(), node.as_ast(), len(self._kept), self._old, self._new)
        return z3.BoolRef(found, context) if z3.is_bool(node) else z3.z3._to_expr_ref(found, context)


def all_of(nodes: Iterable[Any]) -> Any:
    """The conjunction of truth terms, true of none."""
    rows = list(nodes)
    if len(rows) < 2:
        return rows[0] if rows else z3.BoolVal(True)
    context = rows[0].ctx
    pointers = (z3.Ast * len(rows))(*(row.as_ast() for row in rows))
    return z3.BoolRef(z3.Z3_mk_and(context.ref(), len(rows), pointers), context)


def is_false_in(state: Any, node: Any) -> bool:
    """Whether a truth term is false in a state that a solver found; what the state leaves open is completed."""
    context, found = node.ctx.ref(), (z3.Ast * 1)()
    if not z3.Z3_model_eval(context, state.model, node.as_ast(), True, found):
        raise ValueError(f"the solver's state says nothing of {node}")
    value = found[0]
    z3.Z3_inc_ref(context, value)
    try:
        return bool(z3.Z3_get_bool_value(context, value) == z3.Z3_L_FALSE)
    finally:
        z3.Z3_dec_ref(context, value)


@attrs.frozen(eq=False)
class Part:
    """A term as Python sees it: z3's `kind` of operator, its `parts`, and the `name` of a constant, the digits of a number or
    z3's word for the operator."""

    kind: int
    name: str
    parts: tuple[Part, ...]

    @property
    def is_constant(self) -> bool:
        """Whether it is a constant with a name."""
        return self.kind == z3.Z3_OP_UNINTERPRETED and not self.parts


def read(node: Any) -> Part:
    """A z3 term, read once for all that will be asked of it. Equal parts are one object."""
    context = node.ctx.ref()
    known: dict[int, Part] = {}

    def part(one: Any) -> Part:
        number = _id(context, one)
        if number not in known:
            known[number] = made(one)
        return known[number]

    def made(one: Any) -> Part:
        _check_kind(context, one, node)
        app = _app(context, one)
        declaration = _declaration(context, app)
        kind = _operator(context, declaration)
        if kind == z3.Z3_OP_ANUM:
            return Part(kind, z3.Z3_get_numeral_string(context, one), ())
        parts = tuple(part(_argument(context, app, at)) for at in range(_count(context, app)))
        return Part(kind, _name(context, declaration), parts)

    return part(node.as_ast())


def constants_of(node: Any) -> set[str]:
    """Names of the free constants of a z3 term."""
    context, found = node.ctx.ref(), set[str]()
    todo, seen = [node.as_ast()], set[int]()
    while todo:
        one = todo.pop()
        if (number := _id(context, one)) in seen:
            continue
        seen.add(number)
        _check_kind(context, one, node)
        app = _app(context, one)
        if parts := _count(context, app):
            todo.extend([_argument(context, app, at) for at in range(parts)])
        else:
            declaration = _declaration(context, app)
            if _operator(context, declaration) == z3.Z3_OP_UNINTERPRETED:
                found.add(_name(context, declaration))
    return found


def _check_kind(context: Any, one: Any, node: Any) -> None:
    if _kind(context, one) not in (z3.Z3_APP_AST, z3.Z3_NUMERAL_AST):
        raise ValueError(f"the modelling language has no word for a part of {node}")


def _name(context: Any, declaration: Any) -> str:
    return str(z3.Z3_get_symbol_string(context, z3.Z3_get_decl_name(context, declaration)))


def pieces_of(node: Any) -> tuple[str, ...]:
    """SMT-LIB 2 text of a term, written out without abbreviations, in pieces: at odd positions the names of constants, as they
    are and not yet quoted, at even ones what stands between.

    Raises `ValueError` on an operator that the modelling language does not have.
    """
    said: list[str] = [""]

    def say(one: Part) -> None:
        if one.parts and (word := _WORDS.get(one.kind)):
            said[-1] += f"({word}"
            for part in one.parts:
                said[-1] += " "
                say(part)
            said[-1] += ")"
        elif one.is_constant:
            said.extend((one.name, ""))
        elif one.kind == z3.Z3_OP_ANUM:
            said[-1] += f"(- {one.name[1:]})" if one.name.startswith("-") else one.name
        elif one.kind in (z3.Z3_OP_TRUE, z3.Z3_OP_FALSE):
            said[-1] += one.name
        else:
            raise ValueError(f"SMT-LIB text has no word for {one.name} in {node}")

    say(read(node))
    return tuple(said)


def joined(pieces: tuple[str, ...], symbols: Mapping[str, str]) -> str:
    """The text of `pieces`, with `symbols` for the names."""
    parts = list(pieces)
    parts[1::2] = [symbols[name] for name in pieces[1::2]]
    return "".join(parts)
