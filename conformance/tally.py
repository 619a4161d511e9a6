"""What a campaign counts, and the sessions that tell it.

Rules
1. A switch counts when the oracle was sure of the lifecycle state in which a command met its verdict (`coverage`).
2. Actions of the model that the system took by itself count as one explanation of each case has them.
3. What the driver cannot do, and what changed nothing (a fault that was there already), does not count.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs

from siteproof.conformance.case import POINTED, STRUCK_ONCE, Command, Fault, Heal, Operate, StartMachine, Write
from siteproof.conformance.coverage import Ledger, refused, sure
from siteproof.conformance.driver import Accepted, Capabilities, Rejected
from siteproof.conformance.judgement import STRIKES
from siteproof.conformance.session import Session

__all__ = ["Tally", "Watched"]


@attrs.define
class Tally:
    """What a campaign counts."""

    ledger: Ledger
    cases: int = 0
    steps: int = 0
    checks: int = 0
    gave_up: int = 0
    skipped: Counter[str] = attrs.Factory(Counter)
    commands: Counter[str] = attrs.Factory(Counter)
    seen: Counter[str] = attrs.Factory(Counter)
    scenarios: Counter[tuple[int, int, int]] = attrs.Factory(Counter)
    failovers: list[int] = attrs.Factory(list)
    trips: int = 0
    looks: int = 0
    untold: Counter[str] = attrs.Factory(Counter)
    common_shown: int = 0
    """Common points of groups that were shown."""
    common_judged: int = 0
    """Those whose content at all members was held against each other."""
    can: Capabilities | None = None

    def join(self, other: Tally) -> None:
        """Add what another campaign on the same flow and driver has counted."""
        for counter in ("skipped", "commands", "seen", "scenarios", "untold"):
            getattr(self, counter).update(getattr(other, counter))
        for number in ("cases", "steps", "checks", "gave_up", "looks", "common_shown", "common_judged"):
            setattr(self, number, getattr(self, number) + getattr(other, number))
        self.failovers += other.failovers
        self.trips = max(self.trips, other.trips)
        self.can = self.can or other.can
        self.ledger.switches |= other.ledger.switches
        self.ledger.taken.update(other.ledger.taken)
        self.ledger.lifecycles.update(other.ledger.lifecycles)

    def add(self, session: Watched) -> None:
        self.cases += 1
        self.steps += len(session.commands)
        self.checks += session.content_checks
        self.gave_up += session.overflow
        self.skipped.update(session.skipped)
        self.looks += session.looks
        self.untold.update(session.untold)
        self.can = session.can
        self.scenarios[session.scenario.shape] += 1
        self.common_shown += sum(group.shown for group in session.groups)
        self.common_judged += sum(group.judged for group in session.groups)
        self.failovers.append(max(session.switches.values(), default=0))
        self.trips = max(self.trips, max(session.switches.values(), default=0) // 2)
        for factor in session.factors.values():
            for steps in factor.explanation():
                self.ledger.taken.update(steps)


class Watched(Session):
    """A session that tells the campaign's tally what each command met."""

    tally: Tally | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.switches: Counter[str] = Counter()
        super().__init__(*arguments, **options)

    def finish(self, *, thorough: bool = True) -> None:
        super().finish(thorough=thorough)
        if self.tally is not None and self.commands:
            self.tally.add(self)
            self.tally = None

    def _refusal(self, command: Operate) -> str:
        """The verdict on a request that is refused now: with its code, where the model leaves only one."""
        factor, operation, codes = self.factors[command.machine], command.operation, set[tuple[str, ...]]()
        if operation not in self.promised.commands:
            return "rejected"
        named = self.resolve(command.machine, operation, command.point) if operation in POINTED else None
        for candidate in factor.candidates:
            codes |= {tuple(factor.promised.refusals(s, operation, named)) for s in factor.asked(candidate, operation, named)}
        return refused(codes.pop()) if len(codes) == 1 else "rejected"

    def step(self, command: Command) -> bool:
        tally = self.tally
        if tally is None or self.divergence is not None or self.overflow:
            return super().step(command)
        before = {m: sure(self.promised, (c[0] for c in f.candidates)) for m, f in self.factors.items()}
        head, passive = self.promised.at.head, self.promised.at.passive
        lag = any(c[0][head] > c[0][passive] for f in self.factors.values() for c in f.candidates)
        faults = bool(self.faults)
        failed = {m: o.failover for m, o in self.last.items()}
        skipped = sum(self.skipped.values())
        verdict = self._refusal(command) if isinstance(command, Operate) else ""
        active = {m: o.active for m, o in self.last.items()}
        once = isinstance(command, Fault) and command.fault in STRUCK_ONCE
        strikes = {m: any(self.promised.tracks(c[0]) for c in f.candidates) for m, f in self.factors.items()} if once else {}
        was_there = False
        if isinstance(command, Fault | Heal) and not once:
            was_there = (command.fault in self.faults) == isinstance(command, Fault)
        goes = super().step(command)
        if sum(self.skipped.values()) > skipped or was_there:
            return goes
        ledger = tally.ledger
        match command:
            case Operate(machine, operation, _) if isinstance(self.answer, Accepted | Rejected):
                verdict = "accepted" if isinstance(self.answer, Accepted) else verdict
                ledger.meet(before[machine], operation, verdict)
                if verdict == "accepted":
                    ledger.taken[self.promised.commands[operation].name] += 1
            case Fault(fault) if once:
                name = STRIKES[fault]
                for machine, here in before.items():
                    if strikes[machine]:
                        ledger.taken[name] += 1
                        ledger.meet(here, name, "taken")
            case Fault(fault) | Heal(fault):
                name = ("fail_" if isinstance(command, Fault) else "heal_") + fault.replace("-", "_")
                ledger.taken[name] += 1
                for here in before.values():
                    ledger.meet(here, name, "taken")
            case Write(machine, "test") if self.answer is True:
                ledger.taken["write_test_copy"] += 1
                ledger.meet(before[machine], "write_test_copy", "taken")
            case Write(machine, side, _, _, cached) if self.answer is True:
                name = ("write_cached" if cached else "write") + self._former(machine, side)
                ledger.taken[name] += 1
                if not cached:
                    ledger.meet(before[machine], name, "taken")
            case StartMachine(machine, side) if self.answer is True:
                name = "start_former_source" if self._former(machine, side) else "start_machine"
                ledger.taken[name] += 1
                ledger.meet(before[machine], name, "taken")
        tally.commands[command.kind] += 1
        for machine, seen in self.last.items():
            self.switches[machine] += seen.active != active.get(machine)
            if seen.failover != failed.get(machine) and seen.failover in ("planned", "unplanned"):
                tally.seen["failover"] += 1
                tally.seen["failover with lag"] += lag
                tally.seen["failover under a fault"] += faults
                tally.seen[f"{seen.failover} failover to {seen.active}"] += 1
            if seen.running == (True, True):
                tally.seen["both sides running"] += 1
        return goes

    def _former(self, machine: str, side: str) -> str:
        return "" if self.last[machine].active == side else "_former_source"
