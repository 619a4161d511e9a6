"""Faults swept over every internal step of every operation.

Rules
1. A scout goes round once: protect, fail over, and home again; or it goes the short way to an operation beside that (`BESIDE`).
   What it did is the list of operations, each with the commands that led to it and the number of internal steps that its job
   took.
2. For each operation, each fault and each number of steps k there is one short case: the operation, k steps, the fault, a
   minute, healing, rest. A job that is stuck then is stuck for ever.
3. For each failover and each k also: k steps, somebody starts the machine at either side, and its guest writes into its cache.
4. Before those, an unplanned failover at every step of one write's way.
"""

from __future__ import annotations

import random

import attrs

from siteproof.conformance.case import (
    FAULTS,
    OPERATIONS,
    POINTED,
    SIDES,
    STRUCK_ONCE,
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
from siteproof.conformance.corpus import Corpus, digest_of
from siteproof.conformance.engines.engine import Opener
from siteproof.conformance.engines.liveness import conclude, homeward
from siteproof.conformance.session import Session

__all__ = ["SweepEngine", "Swept", "round_trip"]

MOST_MOMENTS = 14
"""Most moments of one job at which faults strike; of a longer job some, spread evenly, its last step among them."""
LONGEST = 80
"""Most steps that a scout takes one by one."""
WAY = 8
"""Most internal steps that a write's way to the other side is followed."""
FAILOVER, HEAL = "failover", "heal"
FAILOVERS = ("PlannedFailover", "UnplannedFailover")
BESIDE: dict[str, tuple[str, ...]] = {
    "test failover": ("TestFailover", "TestFailoverCleanup"),
    "repair": ("change-log", "RepairReplication"),
    "change of point": (FAILOVER, "ChangePit"),
    "disabling": ("DisableProtection",),
    "disabling after a failover": (FAILOVER, "DisableProtection"),
    "migration": (FAILOVER, "CompleteMigration"),
    "disabling out of contact": ("link", "UnplannedFailover", "DisableProtection", HEAL),
    "migration out of contact": ("link", "UnplannedFailover", "CompleteMigration", HEAL),
}
"""The ways to what lies beside the main cycle, from a machine that is protected: operations, a fault, its healing, or whichever
failover there is. A way ends where the flow does not offer the next operation; on one that is broken already nothing more
strikes."""


@attrs.frozen
class Swept:
    """One case of the sweep, as commands, and the seed under which it was counted out."""

    commands: tuple[Command, ...]
    seed: int


def round_trip(session: Session, machine: str, first: str, block: int, *, counted: dict[int, int] | None = None) -> bool:
    """Fail `machine` over with `first`, if that is possible, and bring it home. False after a divergence. `counted` gets how many
    internal steps the job of each operation took, by the operation's place among the commands."""
    for number in range(12):
        allowed = session.last[machine].allowed_operations
        command = homeward(session, machine)
        if command is None and number < 8 and isinstance(allowed, tuple) and session.last[machine].active == "primary":
            if number > 3:
                return True
            kind = first if first in allowed else "PlannedFailover" if "PlannedFailover" in allowed else "UnplannedFailover"
            if kind not in allowed:
                return True
            command = Operate(machine, kind, "latest" if kind == "UnplannedFailover" else None)
        if command is None:
            return True
        if not _count(session, machine, command, counted):
            return False
        side = session.last[machine].active
        if not (session.step(Settle()) and (not isinstance(side, str) or session.step(Write(machine, side, block)))):
            return False
    return True


def _count(session: Session, machine: str, command: Command, counted: dict[int, int] | None) -> bool:
    """Take `command` and, where it starts a job, that job's internal steps one by one. False after a divergence."""
    before, steps = len(session.commands), 0
    if not session.step(command):
        return False
    if counted is not None and session.can.stepping and isinstance(command, Operate):
        while session.last[machine].job is not None and steps < LONGEST:
            steps += 1
            if not session.step(Steps(1)):
                return False
        counted[before] = steps
    return True


def _aside(session: Session, machine: str, way: tuple[str, ...], counted: dict[int, int]) -> bool:
    """Go `way`, as far as the flow offers it. False after a divergence."""
    for name in way:
        allowed = session.last[machine].allowed_operations
        if not isinstance(allowed, tuple):
            return True
        command: Command
        if name in FAULTS:
            command = Fault(name)
        elif name == HEAL and session.faults:
            command = Heal(min(session.faults))
        elif name == FAILOVER:
            kind = "PlannedFailover" if "PlannedFailover" in allowed else "UnplannedFailover"
            command = Operate(machine, kind, "latest" if kind == "UnplannedFailover" else None)
        elif name in allowed:
            command = Operate(machine, name, "latest-processed" if name in POINTED else None)
        else:
            return True
        swept = counted if name in OPERATIONS and not session.faults else None
        if not (_count(session, machine, command, swept) and session.step(Settle())):
            return False
    return True


def _moments(steps: int) -> list[int]:
    """After how many steps of a job of so many a fault strikes."""
    some = min(steps, MOST_MOMENTS)
    return [-(-steps * k // some) for k in range(1, some + 1)]


def _on_the_way(session: Session, machine: str) -> list[Swept]:
    """An unplanned failover at every moment of one write's way to the other side, to “latest” and to the newest point."""
    protect: tuple[Command, ...] = (Operate(machine, "EnableProtection"), Settle())
    write: Command = Write(machine, "primary", 0)
    return [
        Swept((*protect, write, Steps(count), Operate(machine, "UnplannedFailover", point), Settle()), session.seed)
        for point in ("latest", "latest-processed")
        for count in range(1, WAY + 1)
    ]


class SweepEngine:
    """The cases of the sweep, and the scouts that find them. `case` gives None when all have been run, or where the driver does
    not step."""

    name = "sweep"

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.worked = chance, 0
        self.scouts = ["UnplannedFailover", "PlannedFailover", *BESIDE]
        self.todo: list[Swept] = []
        self.early: list[Swept] = []
        """Cases that are few, and go first."""
        self.swept = self.passed = 0

    def case(self, opened: Opener) -> Session | None:
        """A scout as long as there are any, then a case of the sweep."""
        if self.scouts:
            session = opened(self.chance.getrandbits(32))
            if session.can.stepping:
                self.scout(session, self.scouts.pop())
            else:
                self.scouts.clear()
            return conclude(session)
        chosen = self.next(opened.corpus)
        if chosen is None:
            return None
        opened.corpus.done.add(digest_of(chosen.commands))
        session = opened(chosen.seed)
        for command in chosen.commands:
            if not session.step(command):
                break
        return conclude(session)

    def notes(self) -> tuple[str, ...]:
        if not self.swept:
            return ()
        left = len(self.early) + len(self.todo)
        passed = f"; {self.passed:,} were run before" if self.passed else ""
        return (f"sweep: {self.swept:,} of {self.swept + left:,} cases, a fault at a step of an operation{passed}",)

    def scout(self, session: Session, first: str) -> bool:
        """Go round and make the cases. False after a divergence."""
        machine, counted = next(iter(session.factors)), dict[int, int]()
        for opening in (Operate(machine, "EnableProtection"), Settle(), Write(machine, "primary", 0)):
            at = len(session.commands)
            if not session.step(opening):
                return False
            if isinstance(opening, Operate):
                counted[at] = MOST_MOMENTS // 2
        if first in BESIDE:
            counted.clear()
            goes = _aside(session, machine, BESIDE[first], counted)
        else:
            goes = round_trip(session, machine, first, 1, counted=counted)
        if not goes:
            return False
        if first == "UnplannedFailover":
            self.early += _on_the_way(session, machine)
        known = {s.commands for s in self.todo}
        done = tuple(session.commands)
        for at, steps in counted.items():
            way = tuple(c for c in done[:at] if not isinstance(c, Steps))
            for fault in FAULTS:
                if (fault == "gateway" and not session.has_gateway()) or fault not in session.can.faults:
                    continue
                for count in _moments(steps):
                    healing = () if fault in STRUCK_ONCE else (Heal(fault),)
                    case = (*way, done[at], Steps(count), Fault(fault), Steps(1), Advance(60), *healing, Settle())
                    if case not in known:
                        self.todo.append(Swept(case, session.seed))
            if isinstance(asked := done[at], Operate) and asked.operation in FAILOVERS:
                for side in SIDES:
                    meddling = (StartMachine(machine, side), Write(machine, side, 0, cached=True), Settle())
                    self.todo += [Swept((*way, asked, Steps(n), *meddling), session.seed) for n in _moments(steps)]
        self.chance.shuffle(self.todo)
        return True

    def next(self, corpus: Corpus) -> Swept | None:
        """The next case of the sweep that no run on this corpus has made."""
        while cases := self.early or self.todo:
            case = cases.pop()
            if digest_of(case.commands) in corpus.done:
                self.passed += 1
                continue
            self.swept += 1
            return case
        return None
