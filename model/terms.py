"""A thin typed face over z3 terms: the words in which guards, effects and promises are written.

Rules
1. A term is a z3 expression with a type that a type checker sees: `Bool`, `Nat` or `Choice[SomeEnum]`.
2. Python may never decide on a term. `__bool__` always raises, so `x == 1 and y == 2`, `if x:` and `x in (1, 2)`, which
   raw z3 silently answers, are errors here at the first run.
3. Both sides of an operator have one type. `Choice` compares only with its own enumeration.
4. An enumeration is coded as its members' positions, a small integer; a `Nat` is an integer that is never negative
   (a fact of the domain, kept by every action and checked by the engines, not by the solver's sort).
5. What is written first stands first: z3's comparison methods are called by name, since with an operator Python asks the
   literal on the right, an instance of a subclass, before the variable on the left, and `0 = job` reads badly.
6. Terms are built here and read elsewhere (`siteproof.model.readings`); nothing here evaluates.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Generic, TypeVar, overload

import attrs
import z3

__all__ = ["And", "Bool", "Change", "Choice", "If", "Implies", "Nat", "Not", "Or", "Term", "iff", "literal", "member"]

E = TypeVar("E", bound=Enum)


class Term:
    """A typed z3 expression. Subclasses add the operators that their type has."""

    __slots__ = ("node",)

    def __init__(self, node: Any) -> None:
        self.node = node

    def __bool__(self) -> bool:
        raise TypeError(
            f"a term of the model has no truth value while the model is built: {self.node}. "
            "Use And, Or, Not, Implies or If in place of and, or, not, in and if"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.node})"

    def __hash__(self) -> int:
        return hash(self.node)


@attrs.frozen
class Change:
    """One assignment of an action: `variable` (a constant of the model) becomes `value` in the next state."""

    variable: Term
    value: Term

    @property
    def name(self) -> str:
        return str(self.variable.node)


class Bool(Term):
    """A truth value."""

    __slots__ = ()
    __hash__ = Term.__hash__

    def __eq__(self, other: Bool | bool) -> Bool:  # type: ignore[override]
        return Bool(self.node == _bool(other))

    def __ne__(self, other: Bool | bool) -> Bool:  # type: ignore[override]
        return Bool(self.node != _bool(other))

    def becomes(self, value: Bool | bool) -> Change:
        return Change(self, Bool(_bool(value)))


class Nat(Term):
    """A natural number: a count of writes, a position on a branch, an epoch."""

    __slots__ = ()
    __hash__ = Term.__hash__

    def __eq__(self, other: Nat | int) -> Bool:  # type: ignore[override]
        return Bool(z3.ExprRef.__eq__(self.node, _nat(other)))

    def __ne__(self, other: Nat | int) -> Bool:  # type: ignore[override]
        return Bool(z3.ExprRef.__ne__(self.node, _nat(other)))

    def __lt__(self, other: Nat | int) -> Bool:
        return Bool(z3.ArithRef.__lt__(self.node, _nat(other)))

    def __le__(self, other: Nat | int) -> Bool:
        return Bool(z3.ArithRef.__le__(self.node, _nat(other)))

    def __gt__(self, other: Nat | int) -> Bool:
        return Bool(z3.ArithRef.__gt__(self.node, _nat(other)))

    def __ge__(self, other: Nat | int) -> Bool:
        return Bool(z3.ArithRef.__ge__(self.node, _nat(other)))

    def __add__(self, other: Nat | int) -> Nat:
        return Nat(self.node + _nat(other))

    def __sub__(self, other: Nat | int) -> Nat:
        return Nat(self.node - _nat(other))

    def becomes(self, value: Nat | int) -> Change:
        return Change(self, Nat(_nat(value)))


class Choice(Term, Generic[E]):
    """One member of a finite enumeration."""

    __slots__ = ("enum",)
    __hash__ = Term.__hash__

    def __init__(self, node: Any, enum: type[E]) -> None:
        super().__init__(node)
        self.enum = enum

    def _coded(self, other: Choice[E] | E) -> Any:
        if isinstance(other, Choice):
            if other.enum is not self.enum:
                raise TypeError(f"{self.node} is a {self.enum.__name__}, not a {other.enum.__name__}")
            return other.node
        if not isinstance(other, self.enum):
            raise TypeError(f"{self.node} is a {self.enum.__name__}; it cannot be compared with {other!r}")
        return z3.IntVal(member(other))

    def __eq__(self, other: Choice[E] | E) -> Bool:  # type: ignore[override]
        return Bool(z3.ExprRef.__eq__(self.node, self._coded(other)))

    def __ne__(self, other: Choice[E] | E) -> Bool:  # type: ignore[override]
        return Bool(z3.ExprRef.__ne__(self.node, self._coded(other)))

    def is_in(self, *members: E) -> Bool:
        """Whether the value is one of `members`."""
        return Or(*(self == one for one in members))

    def becomes(self, value: Choice[E] | E) -> Change:
        return Change(self, Choice(self._coded(value), self.enum))


def member(value: Enum) -> int:
    """The code of an enumeration's member: its position."""
    return list(type(value)).index(value)


def _bool(value: Bool | bool) -> Any:
    if isinstance(value, Bool):
        return value.node
    if isinstance(value, bool):
        return z3.BoolVal(value)
    raise TypeError(f"expected a truth value, found {value!r}")


def _nat(value: Nat | int) -> Any:
    if isinstance(value, Nat):
        return value.node
    if isinstance(value, int) and not isinstance(value, bool):
        return z3.IntVal(value)
    raise TypeError(f"expected a natural number, found {value!r}")


@overload
def literal(value: bool) -> Bool: ...  # type: ignore[overload-overlap]
@overload
def literal(value: int) -> Nat: ...
@overload
def literal(value: E) -> Choice[E]: ...
def literal(value: Any) -> Any:
    """The term that stands for a Python value."""
    if isinstance(value, bool):
        return Bool(z3.BoolVal(value))
    if isinstance(value, int):
        return Nat(z3.IntVal(value))
    if isinstance(value, Enum):
        return Choice(z3.IntVal(member(value)), type(value))
    raise TypeError(f"no term stands for {value!r}")


def And(*parts: Bool | bool) -> Bool:
    """All of `parts`; true when there are none."""
    nodes = [_bool(part) for part in parts]
    return Bool(nodes[0] if len(nodes) == 1 else z3.And(*nodes) if nodes else z3.BoolVal(True))


def Or(*parts: Bool | bool) -> Bool:
    """At least one of `parts`; false when there are none."""
    nodes = [_bool(part) for part in parts]
    return Bool(nodes[0] if len(nodes) == 1 else z3.Or(*nodes) if nodes else z3.BoolVal(False))


def Not(part: Bool | bool) -> Bool:
    return Bool(z3.Not(_bool(part)))


def Implies(premise: Bool | bool, conclusion: Bool | bool) -> Bool:
    return Bool(z3.Implies(_bool(premise), _bool(conclusion)))


def iff(left: Bool | bool, right: Bool | bool) -> Bool:
    """Both or neither."""
    return Bool(_bool(left) == _bool(right))


@overload
def If(  # type: ignore[overload-overlap]
    condition: Bool | bool, then: Bool | bool, otherwise: Bool | bool) -> Bool: ...
@overload
def If(condition: Bool | bool, then: Nat | int, otherwise: Nat | int) -> Nat: ...
@overload
def If(condition: Bool | bool, then: Choice[E] | E, otherwise: Choice[E] | E) -> Choice[E]: ...
def If(condition: Bool | bool, then: Any, otherwise: Any) -> Any:
    """`then` where `condition` holds, else `otherwise`; both of one type."""
    one = then if isinstance(then, Term) else literal(then)
    two = otherwise if isinstance(otherwise, Term) else literal(otherwise)
    if type(one) is not type(two):
        raise TypeError(f"If needs two values of one type, found {one!r} and {two!r}")
    node = z3.If(_bool(condition), one.node, two.node)
    if isinstance(one, Choice):
        if one.enum is not two.enum:  # type: ignore[union-attr]
            raise TypeError(f"If needs two values of one enumeration, found {one!r} and {two!r}")
        return Choice(node, one.enum)
    return type(one)(node)
