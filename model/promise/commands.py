"""What an operator can ask for, when it is granted, and with which code it is refused.

Rules
1. A request is answered at once: accepted (a job starts) or rejected (nothing changes, P11). The job's steps are in
   `progress`.
2. One job runs on a machine at a time; only an unplanned failover may take the place of another: of a planned one (P16),
   or of a resynchronisation that still compares (P10).
3. Codes and their order are public (`docs/interface.md`, section 3). Lifecycle conditions come first; prechecks on
   infrastructure and arguments last.
4. What a flow offers is a fact of its topology, so an operation that it lacks is always refused with
   `OperationNotSupported`, and that refusal is tested like any other answer.
5. Here are the operations of a machine's way there and back; those beside it are in `testing` (test failover), `changing`
   (change of point), `resync` (repair) and `ending` (disable, complete migration).
"""

from __future__ import annotations

from siteproof.model.promise.guards import (
    advertised,
    connected,
    idle,
    in_step,
    not_ended,
    offered,
    running,
    side_up,
    untested,
)
from siteproof.model.promise.vocabulary import Failover, Job, Machine, Point, Protection, Resync, Site
from siteproof.model.system import ActionRule, Facts, Requires, Step, command
from siteproof.model.terms import And, Bool, Choice, If, Not, Or

__all__ = ["COMMANDS"]


def _direct_failback(t: Facts, m: Machine) -> Bool:
    """Where a flow fails back without reversing replication first, the planned failover itself copies the changes back."""
    return And(t["failback.without_reverse"], m.active == Site.RECOVERY, m.failover == Failover.COMMITTED)


@command("EnableProtection", ("V2A-26", "V2A-27", "V2A-52", "H2S-19", "GEN-11", "GEN-12"))
def enable_protection(_t: Facts, m: Machine) -> Step:
    """Start to replicate the machine: a full copy first, changes after it."""
    return Step(
        requires=[
            not_ended(m), idle(m), untested(m),
            Requires(And(m.protection == Protection.NONE, m.failover == Failover.NONE), "AlreadyProtected"),
            running(m), connected(m),
        ],
        changes=[m.job.becomes(Job.ENABLE), m.protection.becomes(Protection.INITIAL)],
    )


@command("PlannedFailover", ("V2A-44", "H2S-23", "H2S-24", "H2S-32", "H2A-34", "H2A-42", "H2A-46"))
def planned_failover(t: Facts, m: Machine) -> Step:
    """Move the machine to the other side without loss: stop, drain, switch."""
    return Step(
        requires=[
            not_ended(m), offered(t, m, "planned_failover"), idle(m), untested(m),
            Requires(Or(m.protection == Protection.PROTECTED, _direct_failback(t, m)), "NotProtected"),
            Requires(Or(m.failover == Failover.NONE, _direct_failback(t, m)), "FailoverPending"),
            in_step(m), running(m), connected(m),
        ],
        changes=[m.job.becomes(Job.PLANNED), m.half.becomes(m.follows)],
    )


@command("UnplannedFailover", ("V2A-43", "V2A-46", "V2A-50", "H2S-23"), {"point": Point})
def unplanned_failover(t: Facts, m: Machine, point: Choice[Point]) -> Step:
    """Move the machine to the other side now, at a recovery point, whatever has become of its present side."""
    free = Or(m.job.is_in(Job.NONE, Job.PLANNED), And(m.job == Job.REPAIR, m.resync == Resync.COMPARING))
    return Step(
        requires=[
            not_ended(m), offered(t, m, "unplanned_failover"), Requires(free, "JobInProgress"), untested(m),
            Requires(m.protection == Protection.PROTECTED, "NotProtected"),
            Requires(m.failover == Failover.NONE, "FailoverPending"),
            side_up(m.passive_up), advertised(m, point),
        ],
        changes=[
            m.job.becomes(Job.UNPLANNED), m.chosen.becomes(point), m.half.becomes(False), m.disturbed.becomes(False),
            m.resync.becomes(If(m.resync == Resync.COMPARING, Resync.REQUIRED, m.resync)),
            m.doubt.becomes(And(m.doubt, m.resync != Resync.COMPARING)), m.staged.becomes(0), m.x_staged.becomes(False),
        ],
    )


@command("Commit", ("V2A-47", "V2A-51", "H2A-40", "H2S-29", "GEN-14"))
def commit(_t: Facts, m: Machine) -> Step:
    """Accept the failover: the workload now belongs to the new side, and its recovery point is final."""
    return Step(
        requires=[not_ended(m), idle(m), untested(m), Requires(m.pending, "NoFailoverToCommit")],
        changes=[m.job.becomes(Job.COMMIT)],
    )


@command("ReverseReplicate", ("V2A-49", "H2S-30", "H2S-31", "H2S-32"))
def reverse_replicate(t: Facts, m: Machine) -> Step:
    """Replicate back: the former source is brought to the active side's content and follows it."""
    ready = If(t["reverse.requires_commit"], m.failover == Failover.COMMITTED, m.failover != Failover.NONE)
    there = Or(Not(t["failback.without_reverse"]), m.active == Site.PRIMARY)
    return Step(
        requires=[
            not_ended(m), Requires(there, "OperationNotSupported"), idle(m), untested(m),
            Requires(ready, "FailoverNotCommitted"), connected(m),
        ],
        changes=[m.job.becomes(Job.REVERSE)],
    )


COMMANDS: tuple[ActionRule, ...] = (enable_protection, planned_failover, unplanned_failover, commit, reverse_replicate)
