"""One solver for hundreds of questions about one model: what each needs, and when to stop.

Rules
1. What is known is asserted once, each conjunct behind a switch of its own. A question switches some on, asserts what is its own,
   and takes that back. Where the answer is `unsat`, the switches that it hung on say which conjuncts it *leans on*; they
   are enough for it.
2. The limit is one of work and not of time: z3 counts its steps (`rlimit`), and the count does not depend on the machine or on
   what else runs there. A limit in seconds stands far behind it, so that nothing hangs for ever.
3. A solver that keeps what it knows between questions gives up sooner on a hard one than one made for it. Such a question is
   asked again of a solver that knows nothing else. What that one cannot tell is `unknown`, and proves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import attrs
import z3

from siteproof.model.readings.smt import Row

__all__ = ["WORK", "Questions", "Reply", "check", "fresh_solver", "limit_work"]

WORK = 30_000_000
"""Steps that z3 may take for a question, by its own count; some ten seconds. The dearest question of a built-in flow takes a
hundredth of it."""

_FIRST_WORK = 3_000_000
_FAR_SECONDS = 600


def fresh_solver(nodes: Iterable[Any] = (), work: int = WORK) -> Any:
    """A solver for linear integer arithmetic that has `nodes` asserted and gives up after so much work."""
    solver = z3.SolverFor("QF_LIA")
    limit_work(solver, work)
    solver.add(*nodes)
    return solver


def limit_work(solver: Any, work: int) -> None:
    """Let `solver` give up a question after so much work."""
    solver.set("rlimit", work)
    solver.set("timeout", _FAR_SECONDS * 1000)


def check(solver: Any, switches: Iterable[Any]) -> Any:
    """`solver.check(*switches)`, which makes a Python object of each switch each time."""
    rows = [switch.as_ast() for switch in switches]
    answer = z3.Z3_solver_check_assumptions(solver.ctx.ref(), solver.solver, len(rows), (z3.Ast * len(rows))(*rows))
    return z3.CheckSatResult(answer)


@attrs.frozen(eq=False)
class Reply:
    """An answer: `unsat`, with the names that it leans on; `sat`, with a state; or `unknown`, with the reason."""

    answer: str
    leans_on: frozenset[str] = frozenset()
    state: Any = None
    reason: str = ""

    @property
    def is_unsat(self) -> bool:
        return self.answer == "unsat"


class Questions:
    """A solver that knows `rows`, each by its name."""

    def __init__(self, rows: Iterable[Row] = (), work: int = WORK) -> None:
        self.work = work
        self._solver = z3.SimpleSolver()
        limit_work(self._solver, min(work, _FIRST_WORK))
        self._switch: dict[str, Any] = {}
        self._node: dict[str, Any] = {}
        self._name: dict[int, str] = {}
        self._levels: list[tuple[list[str], int]] = []
        self._plain: list[Any] = []
        self.know(rows)

    def know(self, rows: Iterable[Row]) -> None:
        """Assert rows behind switches. Until the end of a `with` in which it is said, if any."""
        for row in rows:
            if row.name in self._switch:
                raise ValueError(f"two conjuncts are called {row.name!r}")
            switch = z3.Bool(f"use:{row.name}")
            self._switch[row.name], self._node[row.name], self._name[switch.get_id()] = switch, row.node, row.name
            self._solver.add(z3.Implies(switch, row.node))
            if self._levels:
                self._levels[-1][0].append(row.name)

    def suppose(self, *nodes: Any) -> None:
        """Assert terms that have no switch."""
        self._plain.extend(nodes)
        self._solver.add(*nodes)

    def __enter__(self) -> Questions:
        self._solver.push()
        self._levels.append(([], len(self._plain)))
        return self

    def __exit__(self, *_error: object) -> None:
        self._solver.pop()
        names, plain = self._levels.pop()
        del self._plain[plain:]
        for name in names:
            del self._name[self._switch.pop(name).get_id()], self._node[name]

    def ask(self, denied: Any, using: Collection[str] | None = None) -> Reply:
        """Whether the rows called `using` (all when None), and what is supposed, imply `denied`: then `unsat`."""
        names = list(self._switch if using is None else using)
        wrong = z3.Not(denied)
        self._solver.push()
        try:
            self._solver.add(wrong)
            answer = check(self._solver, (self._switch[name] for name in names))
            if answer == z3.unsat:
                return Reply("unsat", frozenset(self._name[one.get_id()] for one in self._solver.unsat_core()))
            if answer == z3.sat:
                return Reply("sat", state=self._solver.model())
        finally:
            self._solver.pop()
        again = fresh_solver([*self._plain, *(self._node[name] for name in names), wrong], self.work)
        answer = again.check()
        if answer == z3.unsat:
            return Reply("unsat", frozenset(names))
        if answer == z3.sat:
            return Reply("sat", state=again.model())
        return Reply("unknown", reason=again.reason_unknown())
