"""State-guided random testing.

Rules
1. The next command is drawn by weight from those that make sense in the state that the oracle believes the system to be in, and
   some that must be refused.
2. The campaign's corpus (`siteproof.conformance.corpus`) keeps the shortest way to each state that was ever met. Half of the
   cases begin with the way to a state that has been chosen seldom so far, and in whose lifecycle few commands were given, and go
   on from there; most others begin with a machine that is protected, since little is promised before.
3. Every third case is one of the sweep (`engines.sweep`) until that is done. One case in seven makes one to three quick round
   trips first: some failures need many failovers.
4. A case with a replication group mostly weaves writes into one or two of its barriers first (`engines.weave`).
5. What follows is short more often than long, since a failure that is followed by a failover is seldom seen any more.
"""

from __future__ import annotations

import random

from siteproof.conformance.case import Command, Operate, Settle
from siteproof.conformance.engines.choice import Mood, choices
from siteproof.conformance.engines.engine import Opener
from siteproof.conformance.engines.liveness import conclude
from siteproof.conformance.engines.sweep import SweepEngine, round_trip
from siteproof.conformance.engines.weave import weave
from siteproof.conformance.session import Session

__all__ = ["RandomEngine"]

SWEEP_EVERY = 3
ROUND_TRIPS = 0.15
WOVEN = 0.75
"""How many of the cases with a replication group weave writes into a barrier first."""


class RandomEngine:
    """One engine for one campaign; `case` runs one case and returns its session, finished."""

    def __init__(self, chance: random.Random, *, length: int = 30, guided: bool = True) -> None:
        self.name = "random" if guided else "uniform"
        self.chance, self.length, self.guided, self.worked = chance, length, guided, 0
        self.sweep = SweepEngine(chance) if guided else None
        self.cases = 0

    @property
    def swept(self) -> int:
        """How many cases of the sweep have been run."""
        return self.sweep.swept if self.sweep is not None else 0

    def case(self, opened: Opener) -> Session:
        """Run one case on a session that `opened(seed)` gives."""
        chance = self.chance
        self.cases += 1
        if self.sweep is not None and self.cases % SWEEP_EVERY == 0 and (session := self.sweep.case(opened)) is not None:
            return session
        corpus = opened.corpus
        may = self.guided and corpus.has(opened.scenario) and chance.random() < 0.5
        way = corpus.chosen(opened.scenario, chance) if may else None
        session = opened(way.seed if way is not None else chance.getrandbits(32))
        goes = True
        for command in way.commands if way is not None else ():
            goes = goes and session.step(command)
        if way is None and chance.random() < 0.7:
            opening: tuple[Command, ...] = (*(Operate(m, "EnableProtection") for m in session.factors), Settle())
            for command in opening:
                goes = goes and session.step(command)
        mood = Mood.drawn(chance, session.base.blocks)
        if goes and self.guided and way is None and chance.random() < ROUND_TRIPS:
            for _ in range(chance.choice((1, 2, 2, 3))):
                for machine in session.factors:
                    first = chance.choice(("PlannedFailover", "UnplannedFailover"))
                    goes = goes and round_trip(session, machine, first, chance.choice(mood.blocks))
        if session.groups and chance.random() < WOVEN:
            for _ in range(chance.choice((1, 1, 2))):
                goes = goes and weave(session, mood, chance)
        target = len(session.commands) + chance.choice((3, 6, 12, self.length))
        while goes and len(session.commands) < target:
            options = choices(session, mood, chance)
            command = chance.choices([c for _, c in options], [w for w, _ in options])[0]
            goes = session.step(command)
            if goes and self.guided:
                corpus.remember(session)
        return conclude(session, chance.choice(mood.blocks))

    def notes(self) -> tuple[str, ...]:
        return self.sweep.notes() if self.sweep is not None else ()
