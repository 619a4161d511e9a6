"""Preconditions that requests share, each with its public code (`docs/interface.md`, section 3).

Rules
1. Conditions on the *lifecycle* decide what is advertised as allowed; *prechecks* look at arguments and infrastructure.
2. Every request asks first whether replication has ended, whether another job runs and whether a test failover waits for
   its cleanup: where several codes apply, any of them is a right answer, so each request states all that apply to it.
"""

from __future__ import annotations

from siteproof.model.promise.vocabulary import Failover, Job, Machine, Point, Resync, Site, Test
from siteproof.model.system import Facts, Requires
from siteproof.model.terms import And, Bool, Choice, If, Or

__all__ = ["advertised", "connected", "idle", "in_step", "not_ended", "offered", "running", "side_up", "untested"]


def not_ended(m: Machine) -> Requires:
    """Replication has not been ended for good."""
    return Requires(m.failover != Failover.COMPLETED, "ReplicationEnded")


def offered(t: Facts, m: Machine, kind: str) -> Requires:
    """The flow has the operation in the direction that a failover would take now."""
    there: Bool = If(m.active == Site.PRIMARY, t[f"forward.{kind}"], t[f"reverse.{kind}"])
    return Requires(there, "OperationNotSupported")


def idle(m: Machine) -> Requires:
    """No job runs."""
    return Requires(m.job == Job.NONE, "JobInProgress")


def untested(m: Machine) -> Requires:
    """No test failover waits for its cleanup."""
    return Requires(m.test == Test.NONE, "TestFailoverPending")


def in_step(m: Machine) -> Requires:
    """Nothing calls for a resynchronisation."""
    return Requires(m.resync == Resync.NONE, "ResynchronisationRequired")


def running(m: Machine) -> Requires:
    """The active side runs."""
    return Requires(m.running, "SourceNotRunning", precheck=True)


def connected(m: Machine) -> Requires:
    """Data can flow from the active to the passive side."""
    return Requires(m.can_ship, "SitesNotConnected", precheck=True)


def side_up(up: Bool) -> Requires:
    """The side at which the request's work is done has power and network."""
    return Requires(up, "TargetSiteDown", precheck=True)


def advertised(m: Machine, point: Choice[Point]) -> Requires:
    """The point that the request names is advertised."""
    there = Or(point.is_in(Point.LATEST, Point.PROCESSED), And(point == Point.APP, m.app), And(point == Point.CUSTOM, m.point))
    return Requires(there, "RecoveryPointNotFound", precheck=True)
