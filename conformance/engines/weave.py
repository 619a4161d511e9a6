"""Writes woven into the barriers of a replication group.

What the machines of a group must not do shows only where a write of one falls between two steps of a barrier, and a write of another
right behind it. Chance alone seldom gets there: a barrier is short, and long after the writes that make it due.

Rules
1. Every member writes, so that a common point is due. Then the system takes its steps one by one until time has jumped (`JUMP`): what
   is due has come. Where it tells no time, or does not step, a few steps or some time have to do.
2. Then members write in turn, or one twice, each write issued when the one before was answered, with few internal steps between. So
   all writes are one chain over the machines, of which a common point holds a beginning.
3. Now and then a fault strikes on the way, and is healed; or one member is failed over to the newest point, is tested, or is
   resynchronised beside the others.
4. At the end the system comes to rest, or some time passes: the common points that are there by then are judged by the session.
"""

from __future__ import annotations

import random

from siteproof.conformance.case import STRUCK_ONCE, Advance, Command, Fault, Heal, Operate, Settle, Steps, Write
from siteproof.conformance.engines.choice import Mood
from siteproof.conformance.session import Session

__all__ = ["protect_all", "weave"]

JUMP = 5.0
"""Seconds by which time jumps to what is scheduled; what is under way takes less."""
APPROACH = 60
"""Most single steps until that happens."""
FAULTS = ("primary-site", "recovery-site", "link", "gateway", "change-log")
MEANWHILE = (("UnplannedFailover", "latest-processed"), ("TestFailover", "latest"), ("TestFailover", "latest-processed"),
             ("RepairReplication", None))  # fmt: skip


def protect_all(session: Session) -> bool:
    """Protect every machine; False after a divergence."""
    return all(session.step(c) for c in (*(Operate(m, "EnableProtection") for m in session.factors), Settle()))


def weave(session: Session, mood: Mood, chance: random.Random) -> bool:
    """Weave writes into one barrier of a group of the session. False after a divergence."""
    members = chance.choice(session.groups).members
    if not all(session.step(_write(session, member, mood, chance)) for member in members):
        return False
    if not _approach(session, chance):
        return False
    left, turn = chance.choice((4, 8, 14)), chance.randrange(len(members))
    disturbed = left if chance.random() < 0.35 else -1
    struck: Command | None = None
    for number in range(left):
        turn = (turn + 1) % len(members) if chance.random() < 0.8 else turn
        commands = [_write(session, members[turn], mood, chance)]
        if disturbed > 0 and number == disturbed // 2:
            struck = _disturbance(session, members, chance)
            commands.append(struck)
        if isinstance(struck, Fault) and struck.fault not in STRUCK_ONCE and number == left - 2:
            commands.append(Heal(struck.fault))
        between = (Steps(chance.choice((1, 1, 1, 2, 3))) if session.can.stepping else Advance(chance.choice((1, 1, 60, 300))))
        if not all(session.step(command) for command in (*commands, between)):
            return False
    last = Settle() if chance.random() < 0.7 or not session.can.advancing else Advance(chance.choice((2, 600)))
    return session.step(last)


def _write(session: Session, machine: str, mood: Mood, chance: random.Random) -> Write:
    side = session.last[machine].active
    block, disk = chance.choice(mood.blocks), chance.randrange(session.scenario.disks)
    return Write(machine, side if isinstance(side, str) else "primary", block, disk)


def _approach(session: Session, chance: random.Random) -> bool:
    """Let the system come to what is due next. False after a divergence."""
    if not session.can.stepping:
        return not session.can.advancing or session.step(Advance(chance.choice((1, 60, 290))))
    for _ in range(APPROACH if session.can.tells_time else chance.randrange(APPROACH)):
        before = session.driver.now()
        if not session.step(Steps(1)):
            return False
        after = session.driver.now()
        if before is not None and after is not None and after - before > JUMP:
            break
    return True


def _disturbance(session: Session, members: tuple[str, ...], chance: random.Random) -> Command:
    """A fault, or an operation at one member."""
    faults = [f for f in FAULTS if f in session.can.faults and f not in session.faults and (f != "gateway" or session.has_gateway())]
    if faults and chance.random() < 0.5:
        return Fault(chance.choice(faults))
    operation, point = chance.choice(MEANWHILE)
    return Operate(chance.choice(members), operation, point)
