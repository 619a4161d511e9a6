"""The model in English: guards, effects, states and claims as a reviewer reads them.

Rules
1. Terms are rendered as written, before facts are folded, so that a reader sees *why* a guard is what it is in a flow.
2. Guards and effects stand in tables and call a variable by its name with spaces; an enumeration's member by its value; a fact
   by its path in the topology.
3. Claims are sentences. In them a variable is called by reviewers' words (`siteproof.model.readings.words`), one that follows a
   mark by what it stands for; what does not change is gathered into one phrase, and what the flow's facts settle is left out.
4. Nothing else is simplified: what is printed is what is proved.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

import attrs
import z3

from siteproof.model.nodes import Part, read
from siteproof.model.readings.words import LEVELS, WORDS, noun, sentence
from siteproof.model.system import FACT_PREFIX, Action, Model, Variable

__all__ = ["claimed", "describe_action", "english", "name_value", "told"]

_COMPARE = {z3.Z3_OP_LE: "at most", z3.Z3_OP_LT: "below", z3.Z3_OP_GE: "at least", z3.Z3_OP_GT: "above"}
_EQUAL = (z3.Z3_OP_EQ, z3.Z3_OP_IFF)
_JOINED = (z3.Z3_OP_AND, z3.Z3_OP_OR)
_LATER = " afterwards"


def english(model: Model, node: Any, action: Action | None = None, enum: Any = None) -> str:
    """A z3 term of `model` as an English phrase, for a table."""
    return _Names(model, action).phrase(read(node), enum)


def claimed(model: Model, node: Any) -> str:
    """A part of a claim about `model` as an English sentence."""
    return _Sentences(model).phrase(read(node))


def told(model: Model, name: str, value: Any, *, later: bool = False) -> str:
    """That a variable has a value, `later`: after the step, in the words of a claim about it."""
    return _Sentences(model).has(name + "'" * later, value)


def name_value(value: Any) -> str:
    """A decoded value as a word."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value.value) if isinstance(value, Enum) else str(value)


@attrs.frozen(eq=False)
class _Names:
    """Variables by their names."""

    model: Model
    action: Action | None = None

    def word(self, name: str) -> str:
        """A constant within a phrase."""
        if name.startswith(FACT_PREFIX):
            return f"[{name.removeprefix(FACT_PREFIX)}]"
        if name.startswith("arg:"):
            return "the requested " + name.removeprefix("arg:").replace("_", " ")
        return name.removesuffix("'").replace("_", " ") + _LATER * name.endswith("'")

    def denied(self, name: str) -> str:
        return f"not {self.word(name)}"

    def domain(self, part: Part) -> Any:
        """The enumeration that a term ranges over, or None."""
        if part.is_constant:
            name = part.name.removesuffix("'")
            if name.startswith("arg:") and self.action is not None:
                of = next((p.domain.of for p in self.action.parameters if f"arg:{p.name}" == name), None)
            else:
                of = next((v.domain.of for v in self.model.variables if v.name == name), None)
            return of if of not in (bool, int) else None
        if part.kind == z3.Z3_OP_ITE:
            return self.domain(part.parts[1]) or self.domain(part.parts[2])
        return None

    def phrase(self, part: Part, enum: Any = None) -> str:
        kind, parts = part.kind, part.parts
        if kind in (z3.Z3_OP_TRUE, z3.Z3_OP_FALSE):
            return "yes" if kind == z3.Z3_OP_TRUE else "no"
        if kind == z3.Z3_OP_ANUM:
            return name_value(list(enum)[int(part.name)]) if enum else part.name
        if not parts:
            return self.word(part.name)
        if kind in _EQUAL or kind == z3.Z3_OP_DISTINCT:
            return self.equal(parts[0], parts[1], "is not" if kind == z3.Z3_OP_DISTINCT else "is")
        if kind == z3.Z3_OP_NOT:
            inner = parts[0]
            if not inner.parts:
                return self.denied(inner.name)
            if inner.kind == z3.Z3_OP_EQ:
                return self.equal(inner.parts[0], inner.parts[1], "is not")
            return f"not ({self.phrase(inner)})"
        if kind in _JOINED:
            return (" and " if kind == z3.Z3_OP_AND else " or ").join(self.joined(kind, parts))
        if kind == z3.Z3_OP_IMPLIES:
            return f"if {self.phrase(parts[0])} then {self.phrase(parts[1])}"
        if kind == z3.Z3_OP_ITE:
            of = enum or self.domain(part)
            return f"{self.phrase(parts[1], of)} if {self.phrase(parts[0])}, else {self.phrase(parts[2], of)}"
        if kind in _COMPARE:
            return f"{self.phrase(parts[0])} is {_COMPARE[kind]} {self.phrase(parts[1])}"
        sign = {z3.Z3_OP_ADD: " + ", z3.Z3_OP_SUB: " − "}[kind]
        return sign.join(self.phrase(p) for p in parts)

    def equal(self, left: Part, right: Part, verb: str) -> str:
        of = self.domain(left) or self.domain(right)
        return f"{self.phrase(left, of)} {verb} {self.phrase(right, of)}"

    def joined(self, kind: int, parts: Iterable[Part]) -> list[str]:
        """The parts of an `and` or an `or`, in brackets where they could be misread."""
        return [f"({self.phrase(one)})" if self.is_loose(one, kind) else self.phrase(one) for one in parts]

    def is_loose(self, part: Part, kind: int) -> bool:
        """Whether a part needs brackets beside others of an operator."""
        return part.kind in {z3.Z3_OP_AND, z3.Z3_OP_OR, z3.Z3_OP_IMPLIES, z3.Z3_OP_ITE} - {kind}


@attrs.frozen(eq=False)
class _Sentences(_Names):
    """Variables by reviewers' words."""

    def said(self, name: str) -> tuple[Variable[Any] | None, str]:
        """The variable that a constant is of, and its sentence if it is a truth value that has one."""
        variable = next((v for v in self.model.variables if v.name == name.removesuffix("'")), None)
        if variable is None or variable.domain.of is not bool:
            return variable, ""
        return variable, WORDS.get(variable.name, "") if self.known else variable.doc if variable.mark else ""

    @property
    def known(self) -> bool:
        return self.model.level in LEVELS

    def word(self, name: str) -> str:
        variable, words = self.said(name)
        if variable is None:
            return super().word(name)
        of_mark = variable.doc if variable.mark and variable.name not in WORDS else ""
        words = words or of_mark or (noun(variable.name) if self.known else "")
        return words + _LATER * name.endswith("'") if words else super().word(name)

    def denied(self, name: str) -> str:
        _, words = self.said(name)
        return sentence(words, False) + _LATER * name.endswith("'") if words else super().denied(name)

    def has(self, name: str, value: Any) -> str:
        """That a variable has a value."""
        if isinstance(value, bool) and self.said(name)[1]:
            return self.word(name) if value else self.denied(name)
        return f"{self.word(name)} is {name_value(value)}"

    def equal(self, left: Part, right: Part, verb: str) -> str:
        name = _unchanged(left, right)
        if name:
            return self.stay([name]) if verb == "is" else f"{self.label(name)} changes"
        if verb == "is" and self.are_sentences(left, right):
            return " exactly if ".join(self.joined(z3.Z3_OP_EQ, (left, right)))
        return super().equal(left, right, verb)

    def are_sentences(self, *parts: Part) -> bool:
        """Whether an equation of these says that one is true exactly if the other is."""
        return any(one.is_constant and self.said(one.name)[1] for one in parts)

    def label(self, name: str) -> str:
        """A variable as what may change."""
        return "whether " * bool(self.said(name)[1]) + self.word(name)

    def stay(self, names: list[str]) -> str:
        """That some variables do not change."""
        *more, last = map(self.label, names)
        return f"these stay as they are: {', '.join(more)}, {last}" if more else f"{last} stays as it is"

    def is_loose(self, part: Part, kind: int) -> bool:
        equated = part.kind in _EQUAL and self.are_sentences(*part.parts) and not _unchanged(*part.parts)
        return equated or super().is_loose(part, kind)

    def joined(self, kind: int, parts: Iterable[Part]) -> list[str]:
        neutral = kind == z3.Z3_OP_AND
        rows = [one for one in parts if _truth(one) is not neutral] or list(parts)
        kept = [name for one in rows if neutral and one.kind in _EQUAL and (name := _unchanged(*one.parts))]
        if len(kept) < 2:
            return super().joined(kind, rows)
        others = [one for one in rows if one.kind not in _EQUAL or not _unchanged(*one.parts)]
        return [*super().joined(kind, others), self.stay(kept)]


def _unchanged(left: Part, right: Part) -> str:
    """The variable of which an equation says that a step leaves it as it is, or nothing."""
    if left.is_constant and right.is_constant:
        before, after = sorted((left.name, right.name), key=len)
        return before if after == before + "'" else ""
    return ""


def _truth(part: Part) -> bool | None:
    """What a part comes to that speaks of no variable; None of any other."""
    if part.kind in (z3.Z3_OP_TRUE, z3.Z3_OP_FALSE):
        return bool(part.kind == z3.Z3_OP_TRUE)
    if part.kind == z3.Z3_OP_EQ and all(one.kind == z3.Z3_OP_ANUM for one in part.parts):
        return part.parts[0].name == part.parts[1].name
    if part.kind == z3.Z3_OP_IMPLIES:
        return True if _truth(part.parts[0]) is False else None
    if part.kind in _JOINED:
        ends = part.kind == z3.Z3_OP_OR
        found = [_truth(one) for one in part.parts]
        return ends if ends in found else None if None in found else not ends
    return None


def describe_action(model: Model, action: Action) -> dict[str, Any]:
    """An action as rows of text: what it is, needs and does, with reason codes and requirement ids."""
    effects, names = [], _Names(model)
    for name, value in action.written_changes.items():
        variable = next(v for v in model.variables if v.name == name)
        of = variable.domain.of if variable.domain.of not in (bool, int) else None
        effects.append(f"{names.word(name)} becomes {english(model, value, action, of)}")
    return {
        "name": action.name.replace("_", " "), "kind": action.kind.value, "operation": action.operation,
        "doc": action.doc, "requirements": list(action.requirements), "effects": effects,
        "guards": [{"text": english(model, g.written, action), "code": g.code, "precheck": g.precheck}
                   for g in action.guards],
    }
