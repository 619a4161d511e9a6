"""What is asked of z3 terms hundreds of thousands of times: constants, text, substitution.

Rules
1. These are z3's own functions. They are called on the solver's pointers and not on Python objects, of which the usual way makes
   several for each step down a term: that is ten times as slow, and terms were most of what a proof cost.
2. A pointer to a part of a term is good for as long as the term is kept. So every function here takes a term, keeps it while it
   works, and answers with strings or with a new term that Python keeps.
3. The text is the project's own, not the solver's printer (`siteproof.model.readings.smt`, rule 4). It comes in pieces, names
   apart from the rest, so that the text of a term about the next state needs no new term.

Source: z3's C interface, `z3_api.h`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import z3

__all__ = ["Substitution", "constants_of", "joined", "pieces_of"]

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


def constants_of(node: Any) -> set[str]:
    """Names of the free constants of a z3 term."""
    context, found = node.ctx.ref(), set[str]()
    todo, seen = [node.as_ast()], set[int]()
    while todo:
        one = todo.pop()
        number = z3.Z3_get_ast_id(context, one)
        if number in seen:
            continue
        seen.add(number)
        if z3.Z3_get_ast_kind(context, one) != z3.Z3_APP_AST:
            continue
        app = z3.Z3_to_app(context, one)
        if parts := z3.Z3_get_app_num_args(context, app):
            todo.extend(z3.Z3_get_app_arg(context, app, at) for at in range(parts))
        else:
            declaration = z3.Z3_get_app_decl(context, app)
            if z3.Z3_get_decl_kind(context, declaration) == z3.Z3_OP_UNINTERPRETED:
                found.add(_name(context, declaration))
    return found


def pieces_of(node: Any) -> tuple[str, ...]:
    """SMT-LIB 2 text of a term, written out without abbreviations, in pieces: at odd positions the names of constants, as they
    are and not yet quoted, at even ones what stands between.

    Raises `ValueError` on an operator that the modelling language does not have.
    """
    context = node.ctx.ref()
    said: list[str] = [""]
    known: dict[int, tuple[bool, str]] = {}  # leaves: whether it is a name, and which

    def leaf(one: Any) -> tuple[bool, str]:
        if z3.Z3_get_ast_kind(context, one) == z3.Z3_NUMERAL_AST:
            number = z3.Z3_get_numeral_string(context, one)
            return False, f"(- {number[1:]})" if number.startswith("-") else number
        declaration = z3.Z3_get_app_decl(context, z3.Z3_to_app(context, one))
        kind = z3.Z3_get_decl_kind(context, declaration)
        if kind in (z3.Z3_OP_TRUE, z3.Z3_OP_FALSE):
            return False, "true" if kind == z3.Z3_OP_TRUE else "false"
        if kind != z3.Z3_OP_UNINTERPRETED:
            raise ValueError(f"SMT-LIB text has no word for {_name(context, declaration)} in {node}")
        return True, _name(context, declaration)

    def say(one: Any) -> None:
        parts = 0
        if z3.Z3_get_ast_kind(context, one) == z3.Z3_APP_AST:
            app = z3.Z3_to_app(context, one)
            parts = z3.Z3_get_app_num_args(context, app)
        elif z3.Z3_get_ast_kind(context, one) != z3.Z3_NUMERAL_AST:
            raise ValueError(f"SMT-LIB text has no word for a part of {node}")
        if not parts:
            number = z3.Z3_get_ast_id(context, one)
            if (text := known.get(number)) is None:
                text = known[number] = leaf(one)
            if text[0]:
                said.extend((text[1], ""))
            else:
                said[-1] += text[1]
            return
        declaration = z3.Z3_get_app_decl(context, app)
        word = _WORDS.get(z3.Z3_get_decl_kind(context, declaration))
        if word is None:
            raise ValueError(f"SMT-LIB text has no word for {_name(context, declaration)} in {node}")
        said[-1] += f"({word}"
        for at in range(parts):
            said[-1] += " "
            say(z3.Z3_get_app_arg(context, app, at))
        said[-1] += ")"

    say(node.as_ast())
    return tuple(said)


def joined(pieces: tuple[str, ...], symbols: Mapping[str, str]) -> str:
    """The text of `pieces`, with `symbols` for the names."""
    parts = list(pieces)
    parts[1::2] = [symbols[name] for name in pieces[1::2]]
    return "".join(parts)


def _name(context: Any, declaration: Any) -> str:
    return str(z3.Z3_get_symbol_string(context, z3.Z3_get_decl_name(context, declaration)))
