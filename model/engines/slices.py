"""Which hypotheses an obligation needs: what makes certificates small.

Rules
1. Each obligation is asked once of z3 with every hypothesis behind a switch; what the answer leans on is kept. Nothing else is
   concluded from that answer: the obligation without the others is what two fresh solvers are asked.
2. The solver has z3's memory to itself and reads text, as the solvers do that check. So the same proof is written as the same
   bytes each time, whatever was asked before in this process.
3. Where z3 does not confirm an obligation within its limit of work, all its hypotheses are kept, for the solvers to say so.

Source: proofs from unsatisfiable cores, as in Cimatti, Griggio, Sebastiani (JAIR 40, 2011).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import z3

from siteproof.model.engines.obligations import Obligation, Proof
from siteproof.model.engines.queries import WORK, check, limit_work
from siteproof.model.readings import smt
from siteproof.model.readings.smt import QUOTED, Row
from siteproof.model.system import Action

__all__ = ["needed"]


def needed(proof: Proof, obligations: Iterable[Obligation]) -> dict[str, frozenset[str]]:
    """By name of an obligation: names of hypotheses that are enough for it."""
    asked = _Asked(proof)
    common = (*proof.invariant, *proof.facts)
    held = dict(zip(map(id, common), asked.suppose(common, QUOTED), strict=True))
    found = {}
    for one in obligations:
        asked.solver.push()
        symbols = asked.symbols(one.action)
        own = [row for row in one.hypotheses if id(row) not in held]
        switch = held | dict(zip(map(id, own), asked.suppose(own, symbols, one.goal), strict=True))
        rows = [(switch[id(row)], row.name) for row in one.hypotheses]
        if check(asked.solver, (one for one, _ in rows)) == z3.unsat:
            core = {one.get_id() for one in asked.solver.unsat_core()}
            found[one.name] = frozenset(name for one, name in rows if one.get_id() in core)
        else:
            found[one.name] = frozenset(name for _, name in rows)
        asked.solver.pop()
    return found


class _Symbols(dict[str, str]):
    """Symbols in which the parameters of different actions have different names."""

    def __init__(self, action: Action | None) -> None:
        self.action = action

    def __missing__(self, name: str) -> str:
        own = f"{self.action.name}:{name}" if self.action and name.startswith("arg:") else name
        self[name] = text = smt.symbol(own)
        return text


@attrs.define(eq=False)
class _Asked:
    """A solver that reads what obligations say."""

    proof: Proof
    context: Any = attrs.field(factory=z3.Context)
    solver: Any = attrs.field(init=False)
    known: set[str] = attrs.field(factory=set)
    switches: int = 0

    def __attrs_post_init__(self) -> None:
        self.solver = z3.SimpleSolver(ctx=self.context)
        limit_work(self.solver, WORK)
        self.declare(smt.declared(self.proof.model, ()), QUOTED)

    def declare(self, sorts: dict[str, str], symbols: Any) -> None:
        new = {symbols[name]: sort for name, sort in sorts.items() if symbols[name] not in self.known}
        self.solver.from_string("".join(f"(declare-const {name} {sort})\n" for name, sort in new.items()))
        self.known |= new.keys()

    def symbols(self, action: Action | None) -> _Symbols:
        """The symbols of an action's obligation, its parameters declared."""
        symbols = _Symbols(action)
        self.declare(smt.declared(self.proof.model, action.parameters if action else ()), symbols)
        return symbols

    def suppose(self, rows: Sequence[Row], symbols: Any, denied: Sequence[Row] = ()) -> list[Any]:
        """Assert each of `rows` behind a switch, and that not all of `denied` hold, if there are any. Answers the switches."""
        names = [f"use-{self.switches + at}" for at in range(len(rows))]
        self.switches += len(rows)
        lines = [f"(declare-const {name} Bool)(assert (=> {name} {row.said(symbols)}))"
                 for name, row in zip(names, rows, strict=True)]
        if denied:
            lines.append(f"(assert (not (and {' '.join(row.said(symbols) for row in denied)})))")
        self.solver.from_string("\n".join(lines))
        return [z3.Bool(name, self.context) for name in names]
