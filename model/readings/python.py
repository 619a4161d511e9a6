"""The model as compiled Python: one generated function per action, over states that are plain tuples.

Rules
1. A state is a tuple of codes in the order of `Model.variables` (`False/True`, natural numbers, positions of enumeration
   members). Attrs values appear only at the boundary: a compiled step on tuples takes well under a microsecond.
2. A compiled action takes a state and its coded arguments and returns the next state, or the indices of the
   preconditions that fail (a `Refusal`). Nothing else happens.
3. The source text is generated from the same folded z3 terms that the proofs use, and is kept in `source` for readers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import z3

from siteproof.model.nodes import Part, read
from siteproof.model.system import Action, Kind, Model

__all__ = ["Accepted", "CompiledAction", "CompiledModel", "Refused", "State", "compile_model", "compile_predicate",
           "expression", "specialised"]

State = tuple[int | bool, ...]

_INFIX = {
    z3.Z3_OP_AND: " and ", z3.Z3_OP_OR: " or ", z3.Z3_OP_EQ: " == ", z3.Z3_OP_DISTINCT: " != ", z3.Z3_OP_LE: " <= ",
    z3.Z3_OP_LT: " < ", z3.Z3_OP_GE: " >= ", z3.Z3_OP_GT: " > ", z3.Z3_OP_ADD: " + ", z3.Z3_OP_SUB: " - ",
    z3.Z3_OP_MUL: " * ", z3.Z3_OP_IFF: " == ", z3.Z3_OP_XOR: " != ",
}


def expression(node: Any, names: Mapping[str, str]) -> str:
    """Python source of a z3 term; `names` maps its constants to Python names.

    Raises `ValueError` on an operator that the modelling language does not have.
    """
    return _source(read(node), names)


def _source(part: Part, names: Mapping[str, str]) -> str:
    kind = part.kind
    if kind in (z3.Z3_OP_TRUE, z3.Z3_OP_FALSE):
        return str(kind == z3.Z3_OP_TRUE)
    if kind == z3.Z3_OP_ANUM:
        return f"({part.name})"
    if part.is_constant:
        return names[part.name]
    return _worded(kind, part.name, [_source(one, names) for one in part.parts])


def _worded(kind: int, name: str, inner: list[str]) -> str:
    """Source of an operator over source."""
    if kind == z3.Z3_OP_NOT:
        return f"(not {inner[0]})"
    if kind == z3.Z3_OP_IMPLIES:
        return f"(not {inner[0]} or {inner[1]})"
    if kind == z3.Z3_OP_ITE:
        return f"({inner[1]} if {inner[0]} else {inner[2]})"
    if kind == z3.Z3_OP_UMINUS:
        return f"(-{inner[0]})"
    if kind == z3.Z3_OP_DISTINCT and len(inner) != 2:
        raise ValueError(f"only two terms may be compared for difference, not {len(inner)}")
    if kind in _INFIX:
        return "(" + _INFIX[kind].join(inner) + ")"
    raise ValueError(f"the compiled reading has no word for {name}")


_COMPARED: dict[int, Callable[..., int]] = {
    z3.Z3_OP_EQ: operator.eq, z3.Z3_OP_DISTINCT: operator.ne, z3.Z3_OP_LE: operator.le, z3.Z3_OP_LT: operator.lt,
    z3.Z3_OP_GE: operator.ge, z3.Z3_OP_GT: operator.gt, z3.Z3_OP_ADD: operator.add, z3.Z3_OP_SUB: operator.sub,
    z3.Z3_OP_MUL: operator.mul, z3.Z3_OP_IFF: operator.eq, z3.Z3_OP_XOR: operator.ne,
}


def specialised(part: Part, names: Mapping[str, str], known: Mapping[str, int | bool]) -> str | int | bool:
    """Python source of a term (`siteproof.model.nodes.read`) where some constants are known, or its value where that says it all.
    The codes of the members of an enumeration are numbers here, as in `expression`.

    Raises `ValueError` on an operator that the modelling language does not have.
    """
    kind = part.kind
    if kind in (z3.Z3_OP_TRUE, z3.Z3_OP_FALSE):
        return bool(kind == z3.Z3_OP_TRUE)
    if kind == z3.Z3_OP_ANUM:
        return int(part.name)
    if part.is_constant:
        return known[part.name] if part.name in known else names[part.name]
    inner = [specialised(one, names, known) for one in part.parts]
    if kind == z3.Z3_OP_IMPLIES:
        kind, inner = z3.Z3_OP_OR, [_denied(inner[0]), inner[1]]
    if kind == z3.Z3_OP_NOT:
        return _denied(inner[0])
    if kind == z3.Z3_OP_ITE and not isinstance(inner[0], str):
        return inner[1] if inner[0] else inner[2]
    if kind in (z3.Z3_OP_AND, z3.Z3_OP_OR):
        decides = bool(kind == z3.Z3_OP_OR)
        if any(one is decides for one in inner):
            return decides
        inner = [one for one in inner if one is not (not decides)]
        if len(inner) < 2:
            return inner[0] if inner else not decides
    numbers = [one for one in inner if not isinstance(one, str)]
    if kind in _COMPARED and len(inner) == len(numbers) == 2:
        value: int | bool = _COMPARED[kind](*numbers)
        return value
    return _worded(kind, part.name, [f"({one})" if isinstance(one, int) else one for one in inner])


def _denied(one: str | int | bool) -> str | bool:
    return f"(not {one})" if isinstance(one, str) else not one


@attrs.frozen
class Accepted:
    """The action was taken."""

    state: State


@attrs.frozen
class Refused:
    """The action was not taken; indices of the preconditions that fail, in order, and their reason codes."""

    failing: tuple[int, ...]
    codes: tuple[str, ...]


@attrs.frozen(eq=False)
class CompiledAction:
    """One action as a Python function. `step(state, *arguments)` gives the next state or None; it is the fast way.
    `failing(state, *arguments)` gives the indices of failing preconditions."""

    action: Action
    step: Callable[..., State | None]
    failing: Callable[..., tuple[int, ...]]
    source: str

    @property
    def name(self) -> str:
        return self.action.name

    def answer(self, state: State, *arguments: int | bool) -> Accepted | Refused:
        """The full answer: the next state, or which preconditions fail and with which reason codes."""
        after = self.step(state, *arguments)
        if after is not None:
            return Accepted(after)
        failing = self.failing(state, *arguments)
        return Refused(failing, tuple(self.action.guards[i].code for i in failing))


@attrs.frozen(eq=False)
class CompiledModel:
    """A model ready to run."""

    model: Model
    initial: State
    actions: Mapping[str, CompiledAction]
    position: Mapping[str, int]

    def of_kind(self, kind: Kind) -> tuple[CompiledAction, ...]:
        return tuple(a for a in self.actions.values() if a.action.kind is kind)

    def get(self, state: State, name: str) -> Any:
        """The decoded value of a variable in `state`."""
        index = self.position[name]
        return self.model.variables[index].domain.decode(state[index])

    def put(self, state: State, **values: Any) -> State:
        """`state` with some variables replaced by decoded values."""
        row = list(state)
        for name, value in values.items():
            index = self.position[name]
            row[index] = self.model.variables[index].domain.code(value)
        return tuple(row)

    def allowed_operations(self, state: State) -> tuple[str, ...]:
        """Operations of which every lifecycle precondition holds for some argument (P13), sorted."""
        allowed = set()
        for compiled in self.of_kind(Kind.COMMAND):
            for arguments in compiled.action.instances():
                if all(compiled.action.guards[i].precheck for i in compiled.failing(state, *arguments)):
                    allowed.add(compiled.action.operation)
        return tuple(sorted(allowed))


def _define(name: str, source: str) -> Any:
    scope: dict[str, Any] = {}
    exec(compile(source, f"<compiled {name}>", "exec"), scope)
    return scope[name]


def compile_model(model: Model) -> CompiledModel:
    """Generate and compile every action of `model`."""
    fields = {name: f"v{index}" for index, name in enumerate(model.names)}
    unpack = "    " + ", ".join(fields.values()) + ", = s\n"
    compiled = {}
    for action in model.actions:
        arguments = {f"arg:{p.name}": f"p_{p.name}" for p in action.parameters}
        names = fields | arguments
        header = ", ".join(["s", *arguments.values()])
        guards = [expression(g.folded, names) for g in action.guards]
        after = ", ".join(expression(action.changes[n], names) if n in action.changes else fields[n]
                          for n in model.names)
        test = " and ".join(guards) or "True"
        step = f"def step({header}):\n{unpack}    if not ({test}):\n        return None\n    return ({after},)\n"
        rows = "".join(f"    if not {guard}:\n        f.append({i})\n" for i, guard in enumerate(guards))
        failing = f"def failing({header}):\n{unpack}    f = []\n{rows}    return tuple(f)\n"
        compiled[action.name] = CompiledAction(action, _define("step", step), _define("failing", failing), step)
    return CompiledModel(model, model.initial, compiled, {name: i for i, name in enumerate(model.names)})


def compile_predicate(model: Model, node: Any, primed: bool = False) -> Callable[..., bool]:
    """A z3 term over the present state (and, when `primed`, over the next one: names with `'`) as a function of one
    state, or of two."""
    names = {name: f"v{index}" for index, name in enumerate(model.names)}
    unpack = "    " + ", ".join(names.values()) + ", = s\n"
    header = "s"
    if primed:
        later = {f"{name}'": f"w{index}" for index, name in enumerate(model.names)}
        unpack += "    " + ", ".join(later.values()) + ", = t\n"
        names, header = names | later, "s, t"
    source = f"def holds({header}):\n{unpack}    return bool({expression(node, names)})\n"
    return _define("holds", source)  # type: ignore[no-any-return]


def arguments_of(action: Action, coded: Sequence[int | bool]) -> dict[str, Any]:
    """Coded arguments with names and decoded values."""
    return {p.name: p.domain.decode(c) for p, c in zip(action.parameters, coded, strict=True)}
