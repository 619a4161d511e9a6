"""Swarm testing (Groce and others, ISSTA 2012): each case leaves out a random subset of the kinds of commands and faults.

A case that may do anything seldom does one thing often: a heal undoes the fault, a commit takes the points away, a cleanup ends
the test failover. Left out, they hide nothing. Two kinds are never left out: writes, without which nothing is promised, and
enabling protection, without which nothing happens. Every other case with a replication group begins with writes woven into one of
its barriers, which are left out otherwise.
"""

from __future__ import annotations

import random

from siteproof.conformance.case import (
    FAULTS,
    OPERATIONS,
    Advance,
    Command,
    Fault,
    Heal,
    Operate,
    Settle,
    StartMachine,
    Steps,
    Write,
)
from siteproof.conformance.engines.choice import Mood, choices
from siteproof.conformance.engines.engine import Opener
from siteproof.conformance.engines.liveness import conclude
from siteproof.conformance.engines.weave import protect_all, weave
from siteproof.conformance.session import Session

__all__ = ["KINDS", "SwarmEngine", "kind_of"]

FORMER = "write of the former source"
KINDS = (*OPERATIONS[1:], *FAULTS, "heal", "cached write", FORMER, "write of the copy", "start", "advance", "settle", "steps")
"""What may be left out."""
LENGTHS = (8, 16, 30)


def kind_of(command: Command, session: Session) -> str:
    """The kind of command that swarm leaves out as a whole."""
    match command:
        case Operate(_, operation, _):
            return operation
        case Fault(fault):
            return fault
        case Heal():
            return "heal"
        case Write(cached=True):
            return "cached write"
        case Write(machine, side):
            return "write of the copy" if side == "test" else "write" if side == session.last[machine].active else FORMER
        case StartMachine():
            return "start"
        case Advance():
            return "advance"
        case Settle():
            return "settle"
        case Steps():
            return "steps"


class SwarmEngine:
    """One engine for one campaign."""

    name = "swarm"

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.worked = chance, 0

    def case(self, opened: Opener) -> Session:
        """One case without a random half of the kinds."""
        chance = self.chance
        session = opened(chance.getrandbits(32))
        left_out = {kind for kind in KINDS if chance.random() < 0.5}
        mood = Mood(blocks=tuple(chance.randrange(session.base.blocks) for _ in range(chance.choice((1, 2, 4)))), faults=6)
        goes, length = True, chance.choice(LENGTHS)
        if session.groups and chance.random() < 0.5:
            goes = protect_all(session) and weave(session, mood, chance)
            length += len(session.commands)
        while goes and len(session.commands) < length:
            options = [(w, c) for w, c in choices(session, mood, chance) if kind_of(c, session) not in left_out]
            goes = session.step(chance.choices([c for _, c in options], [w for w, _ in options])[0])
        return conclude(session, chance.choice(mood.blocks))

    def notes(self) -> tuple[str, ...]:
        return ()
