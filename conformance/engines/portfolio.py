"""The portfolio: several engines in turn, each with its share of the budget.

Rules
1. Shares are of steps, not of time, so that a seed draws the same cases on every machine; what an engine prepares counts by what
   it is worth in steps (`worked`). An engine that is dear for each case so gets few cases.
2. Random has the first `ALONE` steps on an empty corpus for itself, and draws there what it would draw without a portfolio: it
   finds most bugs, and finds them soonest (figures in docs/engines.md). It *stalls* when its last `STALLED` cases have covered
   no transition that was new to the campaign; then its share falls and the others' rise, whenever that is.
3. The next case is made by the engine that is farthest behind its share.
4. An engine that is done (`case` gives None) leaves its share to the others.
5. What random has found is of use to the others: they all see what the campaign has met.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs

from siteproof.conformance.case import Scenario
from siteproof.conformance.corpus import Corpus
from siteproof.conformance.engines.engine import Engine, Opener
from siteproof.conformance.report.values import count
from siteproof.conformance.session import Session

__all__ = ["SHARES", "Portfolio"]

ALONE = 6000
"""Steps that random has for itself at first."""
STALLED = 60
"""Cases of random in a row without anything new."""


@attrs.frozen
class Share:
    """Parts of the budget: as long as random has not stalled, and from then on."""

    early: float
    late: float


SHARES: dict[str, Share] = {
    "random": Share(90, 70),
    "directed": Share(6, 12),
    "swarm": Share(2, 8),
    "tours": Share(1, 4),
    "lockstep": Share(1, 5),
    "hypothesis": Share(0, 1),
}


class _Counted:
    """An opener that counts the steps of what it has opened."""

    def __init__(self, opened: Opener) -> None:
        self.opened, self.sessions = opened, list[Session]()

    @property
    def scenario(self) -> Scenario:
        return self.opened.scenario

    @property
    def corpus(self) -> Corpus:
        return self.opened.corpus

    def __call__(self, seed: int) -> Session:
        session = self.opened(seed)
        self.sessions.append(session)
        return session

    @property
    def steps(self) -> int:
        return sum(len(s.commands) for s in self.sessions)


@attrs.define
class _Member:
    """One engine of the portfolio, and what it has had."""

    share: Share
    make: Callable[[random.Random], Engine]
    chance: random.Random
    engine: Engine | None = None
    steps: int = 0
    cases: int = 0
    new: int = 0
    done: bool = False

    @property
    def spent(self) -> int:
        """Steps, and work that is worth as much."""
        return self.steps + (self.engine.worked if self.engine is not None else 0)


class Portfolio:
    """One portfolio for one campaign."""

    name = "portfolio"
    worked = 0

    def __init__(self, chance: random.Random, shares: dict[str, Share] | None = None) -> None:
        from siteproof.conformance.engines.registry import ENGINES

        given = ",".join(map(str, chance.getstate()[1][:8]))
        self.members = {
            id: _Member(share, ENGINES[id].make, chance if id == "random" else random.Random(f"{id} {given}"))
            for id, share in (shares or SHARES).items()
        }
        self.dry = 0
        """Cases of random in a row that met nothing new."""
        self.found = ""
        self.alone: int | None = None

    @property
    def stalled(self) -> bool:
        return self.dry >= STALLED

    @property
    def swept(self) -> int:
        """How many cases of the sweep, which is part of random, have been run."""
        return int(getattr(self.members["random"].engine, "swept", 0)) if "random" in self.members else 0

    def case(self, opened: Opener) -> Session | None:
        """A case of the engine whose turn it is; None when all are done."""
        if self.alone is None:
            self.alone = 0 if len(opened.corpus) else ALONE
        while (id := self._next(self.alone)) is not None:
            member = self.members[id]
            if member.engine is None:
                member.engine = member.make(member.chance)
            counted = _Counted(opened)
            met = self._met
            session = member.engine.case(counted)
            member.steps += counted.steps
            if session is None:
                member.done = True
                continue
            self._met = len(session.met) if session.met is not None else 0
            new = max(0, self._met - met)
            member.cases, member.new = member.cases + len(counted.sessions), member.new + new
            if id == "random":
                self.dry = 0 if new else self.dry + 1
            if session.divergence is not None and not self.found:
                self.found = id
            return session
        return None

    _met = 0

    def _next(self, alone: int) -> str | None:
        """The engine that is farthest behind its share."""
        total = sum(m.steps for m in self.members.values())
        best, least = None, 0.0
        for id, member in self.members.items():
            share = member.share.late if self.stalled else member.share.early
            if member.done or not share or (id != "random" and total < alone and not self.stalled):
                continue
            behind = member.spent / share
            if best is None or behind < least:
                best, least = id, behind
        return best or next((id for id, m in self.members.items() if not m.done), None)

    def notes(self) -> tuple[str, ...]:
        used = [(id, m) for id, m in self.members.items() if m.cases]
        if not used:
            return ()
        told = "; ".join(
            f"{id} {count(m.cases, 'case')}, {count(m.steps, 'step')}, {count(m.new, 'new transition')}" for id, m in used
        )
        found = f"; found by {self.found}" if self.found else ""
        return (f"portfolio: {told}{found}", *(note for _, m in used if m.engine is not None for note in m.engine.notes()))
