"""How every case of every engine ends: with liveness. A system may be slow while things are broken; when nothing is broken any
more, an operator must be able to bring it home.

Rules
1. All faults are healed, and time passes until nothing moves.
2. The copy of a test failover that runs takes a write. An operator then brings each machine home, to "protected, active at
   primary", command by command as the model offers them. Each command's job must end before the next. Whatever does not go as
   the model says is a divergence like any other.
3. A write on the active side must then arrive at the other one.
4. What a driver cannot do ends the way home. Where the flow itself has no way home, the machine stays where it is.
5. Then everything is looked at once more, and the driver is stopped.
"""

from __future__ import annotations

from siteproof.conformance.case import SIDES, Command, Heal, Operate, Settle, StartMachine, Write
from siteproof.conformance.session import Session

__all__ = ["conclude", "go_home", "homeward"]

MOST = 8
"""Most commands that a way home takes."""


def homeward(session: Session, machine: str) -> Command | None:
    """The operator's next command on the way to "protected, active at primary", when everything is healed and at rest; None
    there, or where nothing is left to do."""
    factor, promised = session.factors[machine], session.promised
    state = next(iter(factor.candidates))[0]
    at = promised.at
    if not state[at.running]:
        return StartMachine(machine, SIDES[int(state[at.active])])
    allowed = promised.allowed(state)
    for operation in ("TestFailoverCleanup", "RepairReplication", "Commit", "ReverseReplicate", "EnableProtection"):
        if operation in allowed:
            return Operate(machine, operation)
    if state[at.active] == 1:
        if "PlannedFailover" in allowed:
            return Operate(machine, "PlannedFailover")
        if "UnplannedFailover" in allowed:
            return Operate(machine, "UnplannedFailover", "latest")
    return None


def go_home(session: Session, block: int = 0) -> bool:
    """Heal, settle, go home; False after a divergence."""
    for fault in sorted(session.faults):
        if not session.step(Heal(fault)):
            return False
    if not session.step(Settle()):
        return False
    for machine in session.factors:
        # A copy of a test failover runs wherever there is power, so it takes a write; only then is it cleaned up.
        if session.last[machine].test == "running" and not session.step(Write(machine, "test", block % session.base.blocks)):
            return False
        for _ in range(MOST):
            command = homeward(session, machine)
            if command is None or session.why_not(command) is not None:
                break
            if not (session.step(command) and session.step(Settle())):
                return False
        side = SIDES[int(next(iter(session.factors[machine].candidates))[0][session.promised.at.active])]
        if not (session.step(Write(machine, side, block % session.base.blocks)) and session.step(Settle())):
            return False
    return True


def conclude(session: Session, block: int = 0) -> Session:
    """End a case: the way home, unless it has diverged, and the last look. The session that it was given."""
    if session.commands:
        go_home(session, block)
    session.finish()
    return session
