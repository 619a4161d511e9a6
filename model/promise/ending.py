"""The end of replication: disabling protection, and completing a migration.

Rules
1. Disabling needs nothing but the control plane. Its points go first, then replication ends. At primary the machine is then as
   it was before it was ever protected; at recovery it stays there for good (`failover = completed`).
2. Completing a migration takes the place of a commit, or follows it: the machine stays at recovery for good. Its points are
   there, and with that site down it may wait.
3. What is out of reach is cleaned up later: a former source that has not been contacted is fenced on contact all the same.
"""

from __future__ import annotations

from siteproof.model.promise.guards import idle, not_ended, untested
from siteproof.model.promise.points import no_points
from siteproof.model.promise.vocabulary import Direction, Failover, Fate, Job, Machine, Point, Protection, Resync, Site
from siteproof.model.system import ActionRule, Facts, Requires, Step, command, internal
from siteproof.model.terms import And, Bool, If, Not, Or

__all__ = ["ENDING"]


@command("DisableProtection", ("V2A-52", "H2S-27"))
def disable_protection(_t: Facts, m: Machine) -> Step:
    """Stop to replicate the machine, wherever it is."""
    there = Or(m.protection != Protection.NONE, m.failover != Failover.NONE)
    return Step(
        requires=[not_ended(m), idle(m), untested(m), Requires(there, "NotProtected")],
        changes=[m.job.becomes(Job.DISABLE)],
    )


@command("CompleteMigration", ("V2A-47", "H2A-40"))
def complete_migration(t: Facts, m: Machine) -> Step:
    """Leave the machine at recovery for good."""
    away = m.active == Site.RECOVERY
    waits = Or(m.pending, m.failover == Failover.COMMITTED)
    return Step(
        requires=[
            not_ended(m), Requires(And(t["forward.complete_migration"], away), "OperationNotSupported"), idle(m), untested(m),
            Requires(And(waits, away), "NoFailoverToComplete"),
        ],
        changes=[m.job.becomes(Job.MIGRATE)],
    )


def _within_reach(_t: Facts, m: Machine) -> Bool:
    return Or(m.job == Job.DISABLE, m.active_up)


@internal(fair_when=_within_reach)
def remove_points(_t: Facts, m: Machine) -> Step:
    """All recovery points are removed, since replication ends."""
    return Step(
        requires=[m.job.is_in(Job.DISABLE, Job.MIGRATE), Not(m.half)],
        changes=[m.half.becomes(True), *no_points(m)],
    )


@internal(fair_when=_within_reach)
def end_replication(_t: Facts, m: Machine) -> Step:
    """Replication has ended: at primary the machine may be protected anew, at recovery it stays as it is."""
    away = m.active == Site.RECOVERY
    lost = And(m.x_fate == Fate.WRITTEN, Not(m.x_active))
    return Step(
        requires=[m.job.is_in(Job.DISABLE, Job.MIGRATE), m.half],
        changes=[
            m.job.becomes(Job.NONE), m.half.becomes(False), m.protection.becomes(Protection.NONE),
            m.failover.becomes(If(away, Failover.COMPLETED, Failover.NONE)),
            m.direction.becomes(If(away, m.direction, Direction.FORWARD)),
            m.chosen.becomes(Point.LATEST), m.changed.becomes(False),
            m.resync.becomes(Resync.NONE), m.doubt.becomes(False), m.spoiled.becomes(False), m.x_gap.becomes(False),
            m.x_fate.becomes(If(lost, Fate.DISCARDED, m.x_fate)),
        ],
    )


ENDING: tuple[ActionRule, ...] = (disable_protection, complete_migration, remove_points, end_replication)
