"""The model in English: guards, effects and states as a reviewer reads them.

Rules
1. Terms are rendered as written, before facts are folded, so that a reader sees *why* a guard is what it is in a flow.
2. A variable is called by its name with spaces; an enumeration's member by its value; a fact by its path in the topology.
3. Nothing is simplified: what is printed is what is proved.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import z3

from siteproof.model.nodes import Part, read
from siteproof.model.system import FACT_PREFIX, Action, Model

__all__ = ["describe_action", "english", "name_value"]

_COMPARE = {z3.Z3_OP_LE: "at most", z3.Z3_OP_LT: "below", z3.Z3_OP_GE: "at least", z3.Z3_OP_GT: "above"}


def name_value(value: Any) -> str:
    """A decoded value as a word."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value.value) if isinstance(value, Enum) else str(value)


def _word(name: str) -> str:
    if name.startswith(FACT_PREFIX):
        return f"[{name.removeprefix(FACT_PREFIX)}]"
    if name.startswith("arg:"):
        return "the requested " + name.removeprefix("arg:").replace("_", " ")
    base = name.removesuffix("'").replace("_", " ")
    return f"{base} afterwards" if name.endswith("'") else base


def _domain(model: Model, part: Part, action: Action | None) -> Any:
    """The enumeration that a term ranges over, or None."""
    if part.is_constant:
        name = part.name.removesuffix("'")
        if name.startswith("arg:") and action is not None:
            of = next((p.domain.of for p in action.parameters if f"arg:{p.name}" == name), None)
        else:
            of = next((v.domain.of for v in model.variables if v.name == name), None)
        return of if of not in (bool, int) else None
    if part.kind == z3.Z3_OP_ITE:
        return _domain(model, part.parts[1], action) or _domain(model, part.parts[2], action)
    return None


def english(model: Model, node: Any, action: Action | None = None, enum: Any = None) -> str:
    """A z3 term of `model` as an English phrase."""
    return _phrase(model, read(node), action, enum)


def _phrase(model: Model, part: Part, action: Action | None, enum: Any) -> str:
    def say(one: Part, of: Any = None) -> str:
        return _phrase(model, one, action, of)

    kind, parts = part.kind, part.parts
    if kind in (z3.Z3_OP_TRUE, z3.Z3_OP_FALSE):
        return "yes" if kind == z3.Z3_OP_TRUE else "no"
    if kind == z3.Z3_OP_ANUM:
        return name_value(list(enum)[int(part.name)]) if enum else part.name
    if not parts:
        return _word(part.name)
    if kind in (z3.Z3_OP_EQ, z3.Z3_OP_IFF, z3.Z3_OP_DISTINCT):
        of = _domain(model, parts[0], action) or _domain(model, parts[1], action)
        verb = "is not" if kind == z3.Z3_OP_DISTINCT else "is"
        return f"{say(parts[0], of)} {verb} {say(parts[1], of)}"
    if kind == z3.Z3_OP_NOT:
        inner = parts[0]
        if not inner.parts:
            return f"not {say(inner)}"
        if inner.kind == z3.Z3_OP_EQ:
            left, right = inner.parts
            of = _domain(model, left, action) or _domain(model, right, action)
            return f"{say(left, of)} is not {say(right, of)}"
        return f"not ({say(inner)})"
    if kind in (z3.Z3_OP_AND, z3.Z3_OP_OR):
        joint = " and " if kind == z3.Z3_OP_AND else " or "
        return joint.join(f"({say(p)})" if p.kind in (z3.Z3_OP_AND, z3.Z3_OP_OR, z3.Z3_OP_IMPLIES) and p.kind != kind else say(p)
                          for p in parts)
    if kind == z3.Z3_OP_IMPLIES:
        return f"if {say(parts[0])} then {say(parts[1])}"
    if kind == z3.Z3_OP_ITE:
        of = enum or _domain(model, part, action)
        return f"{say(parts[1], of)} if {say(parts[0])}, else {say(parts[2], of)}"
    if kind in _COMPARE:
        return f"{say(parts[0])} is {_COMPARE[kind]} {say(parts[1])}"
    sign = {z3.Z3_OP_ADD: " + ", z3.Z3_OP_SUB: " − "}[kind]
    return sign.join(say(p) for p in parts)


def describe_action(model: Model, action: Action) -> dict[str, Any]:
    """An action as rows of text: what it is, needs and does, with reason codes and requirement ids."""
    effects = []
    for name, value in action.written_changes.items():
        variable = next(v for v in model.variables if v.name == name)
        of = variable.domain.of if variable.domain.of not in (bool, int) else None
        effects.append(f"{_word(name)} becomes {english(model, value, action, of)}")
    return {
        "name": action.name.replace("_", " "), "kind": action.kind.value, "operation": action.operation,
        "doc": action.doc, "requirements": list(action.requirements), "effects": effects,
        "guards": [{"text": english(model, g.written, action), "code": g.code, "precheck": g.precheck}
                   for g in action.guards],
    }
