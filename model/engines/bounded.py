"""Bounded model checking: the model unrolled in the solver, for counterexamples beyond a search's scope.

Rules
1. Step k has a constant `taken@k`, the number of the action; each variable's next value is a choice by that number.
   Counters are unbounded here: depth is the only bound.
2. Depths are asked in order, so the first answer is a shortest path, whatever the scope.
3. A depth that is too much work for the solver (`siteproof.model.engines.queries`) ends it, and so does the time that it was
   given; both are told as such, and nothing is concluded from them.

Source: Biere, Cimatti, Clarke, Zhu, Symbolic Model Checking without BDDs (TACAS 1999).
"""

from __future__ import annotations

import time
from typing import Any

import attrs
import z3

from siteproof.model.engines.obligations import Goal
from siteproof.model.engines.queries import fresh_solver
from siteproof.model.engines.search import Path
from siteproof.model.readings import smt
from siteproof.model.system import Action, Model

__all__ = ["BoundedResult", "unroll"]


@attrs.frozen
class BoundedResult:
    """`path` refutes the claim; without one, no path of up to `depth` steps does. `reason` says why it went no
    deeper."""

    path: Path | None
    depth: int
    reason: str
    seconds: float


@attrs.frozen(eq=False)
class _Unrolling:
    model: Model
    solver: Any

    def at(self, node: Any, depth: int, action: Action | None = None) -> Any:
        """`node` said of step `depth` (primes: of the state after it)."""
        pairs = []
        for v in self.model.variables:
            pairs.append((v.domain.constant(v.name), v.domain.constant(f"{v.name}@{depth}")))
            pairs.append((v.domain.constant(v.name + smt.PRIME), v.domain.constant(f"{v.name}@{depth + 1}")))
        for p in action.parameters if action else ():
            pairs.append((p.domain.constant("arg:" + p.name), self.argument(action, p.name, depth)))
        return z3.substitute(node, *pairs)

    def argument(self, action: Action | None, name: str, depth: int) -> Any:
        assert action is not None
        domain = next(p.domain for p in action.parameters if p.name == name)
        return domain.constant(f"arg:{action.name}:{name}@{depth}")

    def taken(self, depth: int) -> Any:
        return z3.Int(f"taken@{depth}")

    def step(self, depth: int) -> None:
        """Assert one more step, from state `depth` to the next."""
        taken, actions = self.taken(depth), self.model.actions
        self.solver.add(taken >= 0, taken < len(actions))
        changes: dict[str, list[tuple[int, Any]]] = {name: [] for name in self.model.names}
        for number, action in enumerate(actions):
            for p in action.parameters:
                self.solver.add(p.domain.typing(self.argument(action, p.name, depth)))
            self.solver.add(z3.Implies(taken == number, self.at(action.enabled, depth, action)))
            for name, node in action.changes.items():
                changes[name].append((number, self.at(node, depth, action)))
        for v in self.model.variables:
            value = v.domain.constant(f"{v.name}@{depth}")
            for number, node in changes[v.name]:
                value = z3.If(taken == number, node, value)
            self.solver.add(v.domain.constant(f"{v.name}@{depth + 1}") == value)

    def path(self, depth: int) -> Path:
        """The path of `depth` steps that the solver has found."""
        found, rows = self.solver.model(), []
        for at in range(depth):
            action = self.model.actions[found.eval(self.taken(at), model_completion=True).as_long()]
            arguments: list[int | bool] = []
            for p in action.parameters:
                value = found.eval(self.argument(action, p.name, at), model_completion=True)
                arguments.append(z3.is_true(value) if p.domain.of is bool else value.as_long())
            rows.append((action.name, tuple(arguments)))
        return tuple(rows)


def unroll(model: Model, goal: Goal, *, max_depth: int = 12, max_seconds: float = 30.0) -> BoundedResult:
    """Look for a shortest path of at most `max_depth` steps that refutes `goal`."""
    began = time.perf_counter()
    solver = fresh_solver()
    unrolling = _Unrolling(model, solver)
    solver.add(*(unrolling.at(row.node, 0) for row in smt.initial(model)))
    numbers = [model.actions.index(action) for action in goal.actions(model)]
    wrong = z3.Not(goal.built.formula)
    for depth in range(max_depth + 1):
        left = max_seconds - (time.perf_counter() - began)
        if left <= 0:
            return BoundedResult(None, depth - 1, f"at most {max_seconds:g} s", time.perf_counter() - began)
        if depth:
            unrolling.step(depth - 1)
        if goal.claim.is_step and not depth:
            continue
        solver.push()
        if goal.claim.is_step:
            solver.add(unrolling.at(wrong, depth - 1), z3.Or(*(unrolling.taken(depth - 1) == n for n in numbers)))
        else:
            solver.add(unrolling.at(wrong, depth))
        solver.set("timeout", max(1, int(left * 1000)))
        answer = solver.check()
        if answer == z3.sat:
            return BoundedResult(unrolling.path(depth), depth, "", time.perf_counter() - began)
        if answer == z3.unknown:
            reason = f"at most {max_seconds:g} s" if left < 1 else f"the solver gave up: {solver.reason_unknown()}"
            return BoundedResult(None, depth - 1, reason, time.perf_counter() - began)
        solver.pop()
    return BoundedResult(None, max_depth, f"at most {max_depth} steps", time.perf_counter() - began)
