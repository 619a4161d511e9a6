"""What an operator can ask for, when it is granted, and with which code it is refused.

Rules
1. A request is answered at once: accepted (a job starts) or rejected (nothing changes, P11). The job's steps are in
   `progress`.
2. One job runs on a machine at a time; only an unplanned failover may take the place of a running planned one (P16).
3. Codes and their order are public (`docs/interface.md`, section 3). Lifecycle conditions come first; prechecks on
   infrastructure and arguments last.
4. What a flow offers is a fact of its topology, so an operation that it lacks is always refused with
   `OperationNotSupported`, and that refusal is tested like any other answer.
"""

from __future__ import annotations

from siteproof.model.promise.vocabulary import Failover, Job, Machine, Point, Protection, Site
from siteproof.model.system import ActionRule, Facts, Requires, Step, command
from siteproof.model.terms import And, Bool, Choice, If, Not, Or

__all__ = ["COMMANDS"]


def _idle(m: Machine) -> Requires:
    return Requires(m.job == Job.NONE, "JobInProgress")


def _supported(t: Facts, m: Machine, kind: str) -> Requires:
    offered: Bool = If(m.active == Site.PRIMARY, t[f"forward.{kind}"], t[f"reverse.{kind}"])
    return Requires(offered, "OperationNotSupported")


def _running(m: Machine) -> Requires:
    return Requires(m.running, "SourceNotRunning", precheck=True)


def _connected(m: Machine) -> Requires:
    return Requires(m.can_ship, "SitesNotConnected", precheck=True)


def _direct_failback(t: Facts, m: Machine) -> Bool:
    """Where a flow fails back without reversing replication first, the planned failover itself copies the changes back."""
    return And(t["failback.without_reverse"], m.active == Site.RECOVERY, m.failover == Failover.COMMITTED)


@command("EnableProtection", ("V2A-26", "V2A-27", "V2A-52", "H2S-19", "GEN-11", "GEN-12"))
def enable_protection(_t: Facts, m: Machine) -> Step:
    """Start to replicate the machine: a full copy first, changes after it."""
    return Step(
        requires=[
            _idle(m),
            Requires(And(m.protection == Protection.NONE, m.failover == Failover.NONE), "AlreadyProtected"),
            _running(m),
            _connected(m),
        ],
        changes=[m.job.becomes(Job.ENABLE), m.protection.becomes(Protection.INITIAL), m.half.becomes(False)],
    )


@command("PlannedFailover", ("V2A-44", "H2S-23", "H2S-24", "H2S-32", "H2A-34", "H2A-42", "H2A-46"))
def planned_failover(t: Facts, m: Machine) -> Step:
    """Move the machine to the other side without loss: stop, drain, switch."""
    return Step(
        requires=[
            _supported(t, m, "planned_failover"),
            _idle(m),
            Requires(Or(m.protection == Protection.PROTECTED, _direct_failback(t, m)), "NotProtected"),
            Requires(Or(m.failover == Failover.NONE, _direct_failback(t, m)), "FailoverPending"),
            _running(m),
            _connected(m),
        ],
        changes=[m.job.becomes(Job.PLANNED), m.disturbed.becomes(False), m.half.becomes(m.follows)],
    )


@command("UnplannedFailover", ("V2A-43", "V2A-46", "V2A-50", "H2S-23"), {"point": Point})
def unplanned_failover(t: Facts, m: Machine, point: Choice[Point]) -> Step:
    """Move the machine to the other side now, at a recovery point, whatever has become of its present side."""
    return Step(
        requires=[
            _supported(t, m, "unplanned_failover"),
            Requires(m.job.is_in(Job.NONE, Job.PLANNED), "JobInProgress"),
            Requires(m.protection == Protection.PROTECTED, "NotProtected"),
            Requires(m.failover == Failover.NONE, "FailoverPending"),
            Requires(m.passive_up, "TargetSiteDown", precheck=True),
            Requires(Or(point != Point.CUSTOM, m.point), "RecoveryPointNotFound", precheck=True),
        ],
        changes=[m.job.becomes(Job.UNPLANNED), m.chosen.becomes(point)],
    )


@command("Commit", ("V2A-47", "V2A-51", "H2A-40", "H2S-29", "GEN-14"))
def commit(_t: Facts, m: Machine) -> Step:
    """Accept the failover: the workload now belongs to the new side, and its recovery point is final."""
    return Step(
        requires=[_idle(m), Requires(m.pending, "NoFailoverToCommit")],
        changes=[m.job.becomes(Job.COMMIT), m.half.becomes(False)],
    )


@command("ReverseReplicate", ("V2A-49", "H2S-30", "H2S-31", "H2S-32"))
def reverse_replicate(t: Facts, m: Machine) -> Step:
    """Replicate back: the former source is brought to the active side's content and follows it."""
    ready = If(t["reverse.requires_commit"], m.failover == Failover.COMMITTED, m.failover != Failover.NONE)
    offered = Or(Not(t["failback.without_reverse"]), m.active == Site.PRIMARY)
    return Step(
        requires=[
            Requires(offered, "OperationNotSupported"), _idle(m), Requires(ready, "FailoverNotCommitted"), _connected(m),
        ],
        changes=[m.job.becomes(Job.REVERSE), m.half.becomes(False)],
    )


COMMANDS: tuple[ActionRule, ...] = (enable_protection, planned_failover, unplanned_failover, commit, reverse_replicate)
