"""From a path that an engine has found to a trace that a person reads.

Rules
1. Every path, whoever found it, is replayed on the compiled reading first. One that does not replay is a bug of ours
   and raises `ReplayError`; it is never shown as a finding.
2. The conclusion names the claim, the part of it that fails, and the values of the variables in that part.
"""

from __future__ import annotations

import z3

from siteproof.model.engines.obligations import Goal
from siteproof.model.engines.search import Path
from siteproof.model.errors import SiteproofError
from siteproof.model.readings.english import claimed, told
from siteproof.model.readings.python import CompiledModel, State, arguments_of, compile_predicate
from siteproof.model.results import Trace, TraceStep
from siteproof.model.system import Model, constants_of

__all__ = ["ReplayError", "claim_text", "counterexample", "replay", "run_told", "trace_of", "what_fails"]


class ReplayError(SiteproofError):
    """An engine's path that the compiled model does not follow: the engines disagree, and nothing they say may be
    used."""

    exit_code = 5


def replay(compiled: CompiledModel, path: Path) -> list[State]:
    """The states along `path`, the initial one first. Raises `ReplayError` when an action is refused on the way."""
    states = [compiled.initial]
    for at, (name, arguments) in enumerate(path, start=1):
        after = compiled.actions[name].step(states[-1], *arguments)
        if after is None:
            raise ReplayError(f"step {at} of a path, {name}, is refused by the compiled model {compiled.model.name}")
        states.append(after)
    return states


def trace_of(compiled: CompiledModel, path: Path, conclusion: str, *, shortest: bool, method: str) -> Trace:
    """`path`, replayed, with decoded arguments and the variables that each step changed."""
    model, states, steps = compiled.model, replay(compiled, path), []
    for (name, arguments), before, after in zip(path, states[:-1], states[1:], strict=True):
        action = compiled.actions[name].action
        old, new = model.show(before), model.show(after)
        changed = {key: new[key] for key in new if new[key] != old[key]}
        steps.append(TraceStep(name, action.kind.value, action.doc, arguments_of(action, arguments), changed))
    return Trace(model.show(model.initial), tuple(steps), conclusion, shortest, method)


def run_told(model: Model, path: Path) -> tuple[str, ...]:
    """A run as one line a step: the action, with its arguments in words."""
    rows = []
    for name, arguments in path:
        given = arguments_of(model.action(name), arguments)
        words = ", ".join(f"{key}: {getattr(value, 'value', value)}".lower() for key, value in given.items())
        rows.append(name.replace("_", " ") + (f" ({words})" if words else ""))
    return tuple(rows)


def counterexample(compiled: CompiledModel, goal: Goal, path: Path, *, shortest: bool, method: str) -> Trace:
    """The trace that refutes a claim. Raises `ReplayError` when, replayed, it does not."""
    states = replay(compiled, path)
    last = states[-2:] if goal.claim.is_step else states[-1:]
    named = goal.claim.on is None or not goal.claim.is_step or (bool(path) and path[-1][0] in goal.claim.on)
    if len(last) != 1 + goal.claim.is_step or not named or _holds(compiled.model, goal, goal.built.formula, last):
        raise ReplayError(f"a path that should refute {goal.key} does not, replayed on the compiled model")
    return trace_of(compiled, path, what_fails(compiled.model, goal, last), shortest=shortest, method=method)


def what_fails(model: Model, goal: Goal, states: list[State]) -> str:
    """Which part of a claim fails in `states` (one, or those before and after a step), with the values in it."""
    conclusion = goal.built.conclusion
    parts = conclusion.children() if z3.is_and(conclusion) else [conclusion]
    failing = [part for part in parts if not _holds(model, goal, part, states)]
    required = goal.claim.words or "; ".join(claimed(model, part) for part in failing)
    asked = set().union(*(constants_of(part) for part in failing)) | constants_of(goal.built.premise)
    rows = [(name.removesuffix("'"), name.endswith("'")) for name in sorted(asked)]
    shown = [model.show(state) for state in states]
    order = {name: at for at, name in enumerate(model.names)}
    rows.sort(key=lambda row: (row[1], order[row[0]]))
    values = ", ".join(told(model, name, shown[1 if later else 0][name], later=later) for name, later in rows)
    return f"{goal.promise.id} is broken: “{goal.built.name}” fails. Required: {required}. Found: {values}."


def claim_text(model: Model, goal: Goal) -> str:
    """A claim in English, as it is proved."""
    if goal.claim.words:
        return goal.claim.words
    conclusion = claimed(model, goal.built.conclusion)
    premise = "" if z3.is_true(goal.built.premise) else f"if {claimed(model, goal.built.premise)} then "
    text = premise + conclusion
    if goal.claim.on:
        text = f"in every step of {', '.join(name.replace('_', ' ') for name in goal.claim.on)}: {text}"
    elif goal.claim.is_step:
        text = f"in every step: {text}"
    return text


def _holds(model: Model, goal: Goal, node: object, states: list[State]) -> bool:
    return compile_predicate(model, node, goal.claim.is_step)(*states)
