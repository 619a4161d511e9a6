"""Several machines over one infrastructure, as one model: for explorations of a few machines side by side.

Rules
1. A *shared* variable is there once; every other one is there for each machine, under the machine's letter (`a.job`, `b.job`).
2. An action that changes nothing shared is taken by one machine at a time. One that changes something shared strikes all at once:
   whatever it does to a machine it does to every one, and it is possible when it is for each of them.
3. Marks are left out: no guard sees them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import z3

from siteproof.model.errors import UsageError
from siteproof.model.system import Action, Guard, Model, Variable

__all__ = ["MOST", "letters", "of_machine", "product"]

MOST = 4


def letters(machines: int) -> tuple[str, ...]:
    """The names of so many machines. Raises `UsageError` for more than an exploration can take."""
    if not 1 <= machines <= MOST:
        raise UsageError(f"{machines} machines", f"between 1 and {MOST}", "explore fewer; proofs speak of any number")
    return tuple("abcd"[:machines])


def product(model: Model, machines: int) -> Model:
    """`machines` copies of `model` over its shared variables; the model without marks itself for one."""
    plain = model.without_marks()
    if machines == 1:
        return plain
    names = letters(machines)
    shared = tuple(v for v in plain.variables if v.shared)
    own = tuple(v for v in plain.variables if not v.shared)
    variables = (*(_named(v, f"{letter}.{v.name}") for letter in names for v in own), *shared)
    common = {v.name for v in shared}
    actions: list[Action] = []
    for action in plain.actions:
        if common.isdisjoint(action.changes):
            actions += [_of_one(plain, action, letter) for letter in names]
        else:
            actions.append(_of_all(plain, action, names, common))
    return attrs.evolve(plain, name=f"{plain.name}, {machines} machines", variables=variables, actions=tuple(actions))


def of_machine(model: Model, node: Any, letter: str) -> Any:
    """A term over `model` as said of one machine of the product; as it is when `letter` is empty."""
    if not letter:
        return node
    pairs = [(v.domain.constant(v.name), v.domain.constant(f"{letter}.{v.name}"))
             for v in model.variables if not v.shared]
    return z3.substitute(node, *pairs)


def _named(variable: Variable[Any], name: str) -> Variable[Any]:
    return attrs.evolve(variable, name=name)


def _guard(guard: Guard, say: Callable[[Any], Any]) -> Guard:
    return attrs.evolve(guard, written=say(guard.written), folded=say(guard.folded))


def _of_one(model: Model, action: Action, letter: str) -> Action:
    def say(node: Any) -> Any:
        return of_machine(model, node, letter)

    return attrs.evolve(
        action, name=f"{letter}.{action.name}", guards=tuple(_guard(guard, say) for guard in action.guards),
        changes={f"{letter}.{name}": say(node) for name, node in action.changes.items()},
        written_changes={f"{letter}.{name}": say(node) for name, node in action.written_changes.items()},
        fair_when=say(action.fair_when))


def _of_all(model: Model, action: Action, names: tuple[str, ...], common: set[str]) -> Action:
    ones = [_of_one(model, action, letter) for letter in names]
    guards = {(str(guard.folded), guard.code): guard for one in ones for guard in one.guards}

    def together(rows: list[dict[str, Any]]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for row in rows:
            for name, node in row.items():
                own = name.partition(".")[2]
                merged[own if own in common else name] = node
        return merged

    return attrs.evolve(
        action, guards=tuple(guards.values()), changes=together([dict(one.changes) for one in ones]),
        written_changes=together([dict(one.written_changes) for one in ones]))
