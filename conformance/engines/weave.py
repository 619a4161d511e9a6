"""Writes woven into the barriers of a replication group.

What the machines of a group must not do shows only where a write of one falls between two steps of a barrier, and a write of
another right behind it. Chance alone seldom gets there: a barrier is short, and long after the writes that make it due.

Rules
1. Every member writes, so that a common point is due. Now and then a fault strikes while that is on its way, so that one
   member's replica has it and another one's has not. Then the system takes its steps one by one until time has jumped (`JUMP`):
   what is due has come. Where it tells no time, or does not step, a few steps or some time have to do.
2. Then members write in turn, or one twice, each write issued when the one before was answered. So all writes are one chain
   over the machines, of which a common point holds a beginning. Between two steps of the system there are mostly several of
   them: two messages of a barrier may follow on each other.
3. Now and then a fault strikes on the way, or one member is failed over to the newest point, is tested, or is resynchronised
   beside the others.
4. At the end the system comes to rest, or some time passes: the common points that are there by then are judged by the session.
   What was broken is healed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from siteproof.conformance.case import FAULTS, Advance, Command, Fault, Heal, Operate, Settle, Steps, Write
from siteproof.conformance.engines.choice import Mood
from siteproof.conformance.session import Session

__all__ = ["protect_all", "weave"]

JUMP = 5.0
"""Seconds by which time jumps to what is scheduled; what is under way takes less."""
APPROACH = 60
"""Most single steps until that happens."""
AT_ONCE = 6
"""Steps that are taken together at first: what was written is on its way for longer."""
ON_THE_WAY = ("link", "gateway", "recovery-site")
"""Faults that stop what is on its way, and leave the members and their barrier alone."""
MEANWHILE = (("UnplannedFailover", "latest-processed"), ("TestFailover", "latest"), ("TestFailover", "latest-processed"),
             ("RepairReplication", None))  # fmt: skip


def protect_all(session: Session) -> bool:
    """Protect every machine; False after a divergence."""
    commands: tuple[Command, ...] = (*(Operate(m, "EnableProtection") for m in session.factors), Settle())
    return all(map(session.step, commands))


def weave(session: Session, mood: Mood, chance: random.Random) -> bool:
    """Weave writes into one barrier of a group of the session. False after a divergence."""
    return all(map(session.step, _woven(session, mood, chance)))


def _woven(session: Session, mood: Mood, chance: random.Random) -> Iterator[Command]:
    """The commands, each made when the one before is done."""
    members = list(chance.choice(session.groups).members)
    chance.shuffle(members)
    for member in members:
        yield _write(session, member, mood, chance)
    if chance.random() < 0.45 and (fault := _fault(session, chance, ON_THE_WAY)) is not None:
        yield from (_some_steps(session, chance.randrange(1, 7)), fault)
    yield from _approach(session, chance)
    if session.can.stepping and chance.random() < 0.5:
        yield Steps(chance.randrange(1, 8))
    rounds = chance.choice((3, 5, 8))
    disturbed = chance.randrange(rounds) if chance.random() < 0.3 else -1
    turn = chance.randrange(len(members))
    for number in range(rounds):
        if number == disturbed:
            yield _disturbance(session, members, chance)
        for _ in range(chance.choice((1, 2, 2, 3))):
            turn = (turn + 1) % len(members) if chance.random() < 0.85 else turn
            yield _write(session, members[turn], mood, chance)
        yield _some_steps(session, chance.choice((1, 1, 1, 2, 3)))
    yield Settle() if chance.random() < 0.7 or not session.can.advancing else Advance(chance.choice((2, 600)))
    if session.faults and chance.random() < 0.8:
        yield from (Heal(fault) for fault in sorted(session.faults))
        yield Settle()


def _some_steps(session: Session, count: int) -> Command:
    return Steps(count) if session.can.stepping else Advance(count)


def _write(session: Session, machine: str, mood: Mood, chance: random.Random) -> Write:
    side = session.last[machine].active
    block, disk = chance.choice(mood.blocks), chance.randrange(session.scenario.disks)
    return Write(machine, side if isinstance(side, str) else "primary", block, disk)


def _approach(session: Session, chance: random.Random) -> Iterator[Command]:
    """Let the system come to what is due next."""
    if not session.can.stepping:
        if session.can.advancing:
            yield Advance(chance.choice((1, 60, 290)))
        return
    for number in range(APPROACH if session.can.tells_time else chance.randrange(APPROACH)):
        before = session.driver.now()
        yield Steps(1 if number else AT_ONCE)
        after = session.driver.now()
        if before is not None and after is not None and after - before > JUMP:
            return


def _fault(session: Session, chance: random.Random, among: Sequence[str] = FAULTS) -> Fault | None:
    """A fault that is not there yet; None where the driver has none left."""
    left = [f for f in among if f in session.can.faults and f not in session.faults]
    left = [f for f in left if f != "gateway" or session.has_gateway()]
    return Fault(chance.choice(left)) if left else None


def _disturbance(session: Session, members: Sequence[str], chance: random.Random) -> Command:
    """A fault, or an operation at one member."""
    if chance.random() < 0.5 and (fault := _fault(session, chance)) is not None:
        return fault
    operation, point = chance.choice(MEANWHILE)
    return Operate(chance.choice(members), operation, point)
