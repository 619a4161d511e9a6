"""Mutations of a model: one guard less, one effect less, one effect changed. A proof that survives them proves nothing.

A mutation returns a new `Model`; the given one is not changed. The mutant says of itself what was done (`Model.name`),
has the same variables and facts, and is read by every engine like any other model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from siteproof.model.system import Action, Guard, Model
from siteproof.model.terms import Bool, Term

__all__ = ["with_change", "with_guard", "without_change", "without_guard"]


def without_guard(model: Model, action: str, which: str | int) -> Model:
    """`action` no longer asks for one precondition: its index, or its reason code. Raises `KeyError` when it has none
    such."""
    old = _action(model, action)
    numbers = [n for n, guard in enumerate(old.guards) if which in (n, guard.code)]
    if not numbers or isinstance(which, bool):
        offered = [guard.code or n for n, guard in enumerate(old.guards)]
        raise KeyError(f"{action} has no precondition {which!r}; it has {offered}")
    guards = tuple(guard for n, guard in enumerate(old.guards) if n not in numbers)
    return _replace(model, attrs.evolve(old, guards=guards), f"without {which} of {action}")


def with_guard(model: Model, action: str, which: int, condition: Bool) -> Model:
    """Precondition number `which` of `action` asks for `condition`, over the model's vocabulary and facts, in its
    place."""
    old = _action(model, action)
    if which not in range(len(old.guards)):
        raise KeyError(f"{action} has no precondition {which}; it has {len(old.guards)}")
    guard = Guard(condition.node, model.facts.fold(condition.node), old.guards[which].code, old.guards[which].precheck)
    guards = (*old.guards[:which], guard, *old.guards[which + 1:])
    what = f"with {condition.node} as precondition {which} of {action}"
    return _replace(model, attrs.evolve(old, guards=guards), what)


def without_change(model: Model, action: str, variable: str) -> Model:
    """`action` no longer changes `variable`. Raises `KeyError` when it never did."""
    old = _action(model, action)
    if variable not in old.changes:
        raise KeyError(f"{action} does not change {variable}; it changes {', '.join(old.changes)}")
    return _replace(model, _changing(old, _less(old.changes, variable), _less(old.written_changes, variable)),
                    f"without the change of {variable} by {action}")


def with_change(model: Model, action: str, variable: str, value: Term) -> Model:
    """`action` makes `variable` become `value`, a term over the model's vocabulary and facts. Raises `KeyError` when
    the model has no such variable, `TypeError` when the value is of another type."""
    old = _action(model, action)
    declared = next((v for v in model.variables if v.name == variable), None)
    if declared is None:
        raise KeyError(f"{model.name} has no variable {variable}")
    if type(value) is not type(declared.domain.term(variable)):
        raise TypeError(f"{variable} cannot become {value!r}")
    changes = {**old.changes, variable: model.facts.fold(value.node)}
    return _replace(model, _changing(old, changes, {**old.written_changes, variable: value.node}),
                    f"with {variable} becoming {value.node} by {action}")


def _action(model: Model, name: str) -> Action:
    for action in model.actions:
        if action.name == name:
            return action
    raise KeyError(f"{model.name} has no action {name}")


def _less(changes: Mapping[str, Any], variable: str) -> dict[str, Any]:
    return {name: node for name, node in changes.items() if name != variable}


def _changing(action: Action, changes: Mapping[str, Any], written: Mapping[str, Any]) -> Action:
    return attrs.evolve(action, changes=changes, written_changes=written)


def _replace(model: Model, action: Action, what: str) -> Model:
    actions = tuple(action if one.name == action.name else one for one in model.actions)
    return attrs.evolve(model, name=f"{model.name} ({what})", actions=actions)
