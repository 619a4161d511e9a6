"""Constrained Horn clauses: an invariant that nobody wrote, found by Spacer.

Rules
1. `reach` holds of the initial state and of every state that an action leads to from one in `reach`; the claim fails
   when a state (or a step from one) in `reach` breaks it. Spacer answers with an interpretation of `reach`, or a
   refutation, or not.
2. Nothing that it says is believed: its interpretation is taken apart into conjuncts and has to pass plain induction,
   like a lemma that a person wrote; a refutation is only a hint to search further.
3. What is known to be invariant already is given to it as a help.

Source: Komuravelli, Gurfinkel, Chaki, SMT-based model checking for recursive programs (CAV 2014).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import attrs
import z3

from siteproof.model.engines.induction import induct, proves
from siteproof.model.engines.obligations import Goal
from siteproof.model.engines.search import specialised
from siteproof.model.readings import smt
from siteproof.model.readings.smt import Named
from siteproof.model.system import Model

__all__ = ["HornResult", "gave_up", "infer"]


@attrs.frozen(eq=False)
class HornResult:
    """`invariant`, inductive and strong enough, when the claim is proved; else None and the `reason`."""

    invariant: tuple[Named, ...] | None
    reason: str
    seconds: float


def infer(model: Model, goal: Goal, known: Sequence[Named], *, max_seconds: float = 20.0) -> HornResult:
    """Look for conjuncts that, added to the inductive invariant `known`, prove `goal`."""
    began = time.perf_counter()
    fixedpoint, reach, bad = _clauses(model, goal, known)
    fixedpoint.set("timeout", int(max_seconds * 1000))
    alarm = threading.Timer(max_seconds + 1.0, z3.main_ctx().interrupt)  # its own time-out is not always obeyed
    alarm.start()
    try:
        answer = fixedpoint.query(bad())
        cover = fixedpoint.get_cover_delta(-1, reach) if answer == z3.unsat else None
    except z3.Z3Exception as error:
        return HornResult(None, gave_up(error.value, max_seconds), time.perf_counter() - began)
    finally:
        alarm.cancel()
    if answer == z3.sat:
        return HornResult(None, "Spacer says that the claim fails, without a path", time.perf_counter() - began)
    if cover is None:
        return HornResult(None, gave_up(fixedpoint.reason_unknown(), max_seconds), time.perf_counter() - began)
    conjuncts = (*known, *_conjuncts(model, goal, cover))
    checked = induct(model, conjuncts)
    enough = checked.complete and proves(model, conjuncts, [goal])[goal.key].answer == "unsat"
    reason = "" if enough else "what Spacer inferred did not pass plain induction"
    return HornResult(conjuncts if enough else None, reason, time.perf_counter() - began)


_OUT_OF_TIME = ("canceled", "timeout", "interrupted from keyboard")
"""What z3 says when it was stopped."""


def gave_up(reason: str | bytes, max_seconds: float) -> str:
    """Why there is no answer, from z3's word for it (an exception has it in bytes)."""
    word = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
    if word in _OUT_OF_TIME:
        return f"Spacer came to no end within {max_seconds:.3g} s"
    return f"Spacer gave up: {word or 'it does not say why'}"


def _clauses(model: Model, goal: Goal, known: Sequence[Named]) -> tuple[Any, Any, Any]:
    """The fixed-point engine with the clauses of `model` and `goal`, and its two relations."""
    fixedpoint = z3.Fixedpoint()
    fixedpoint.set("engine", "spacer", "xform.slice", False, "xform.inline_linear", False, "xform.inline_eager", False)
    now = smt.constants(model)
    reach = z3.Function("reach", *(node.sort() for node in now.values()), z3.BoolSort())
    bad = z3.Function("bad", z3.BoolSort())
    fixedpoint.register_relation(reach, bad)
    fixedpoint.declare_var(*now.values())
    held = [row.node for row in known]
    start = [v.domain.constant(v.name) == (z3.BoolVal(c) if isinstance(c, bool) else z3.IntVal(c))
             for v, c in zip(model.variables, model.initial, strict=True)]
    fixedpoint.rule(reach(*now.values()), start)
    speaks_of = set(goal.actions(model)) if goal.claim.is_step else set()
    wrong = z3.Not(goal.built.formula)
    for action in model.actions:
        for arguments in action.instances():
            pairs = [(p.domain.constant("arg:" + p.name), z3.BoolVal(a) if isinstance(a, bool) else z3.IntVal(a))
                     for p, a in zip(action.parameters, arguments, strict=True)]
            body = [reach(*now.values()), *held, z3.substitute(action.enabled, *pairs)]
            after = [z3.substitute(action.changes.get(name, node), *pairs) for name, node in now.items()]
            fixedpoint.rule(reach(*after), body)
            if action in speaks_of:
                fixedpoint.rule(bad(), [*body, specialised(model, action, arguments, wrong)])
    if not goal.claim.is_step:
        fixedpoint.rule(bad(), [reach(*now.values()), *held, wrong])
    return fixedpoint, reach, bad


def _conjuncts(model: Model, goal: Goal, cover: Any) -> list[Named]:
    """Spacer's interpretation of `reach` as named conjuncts over the model's variables."""
    node = z3.simplify(z3.substitute_vars(cover, *smt.constants(model).values()))
    parts = node.children() if z3.is_and(node) else [node]
    return [Named(f"inferred.{goal.key}.{number}", part) for number, part in enumerate(parts, start=1)]
