"""Change of point: while a failover waits for commit, the machine is set to another recovery point.

Rules
1. The active side is stopped, set to exactly the content of the point, and runs again on a new branch that starts there.
   What it wrote since the failover is discarded. It needs the active side's site and nothing else: the points lie there.
2. All points stay until commit, so the choice can be made again. What an earlier choice left behind can come back with a later
   one: a write of the branch that ended is given up by commit and not before.
3. A known loss is counted from the new point on.
"""

from __future__ import annotations

from siteproof.model.promise.guards import idle, not_ended, side_up, untested
from siteproof.model.promise.points import content_of
from siteproof.model.promise.vocabulary import Failover, Fate, Job, Machine, Point, Site
from siteproof.model.system import ActionRule, Facts, Requires, Step, command, internal
from siteproof.model.terms import And, Choice, If, Not, Or

__all__ = ["CHANGING"]


@command("ChangePit", ("V2A-47", "H2A-40", "H2S-29"), {"point": Point})
def change_pit(t: Facts, m: Machine, point: Choice[Point]) -> Step:
    """Choose another recovery point for a failover that is not committed yet. Everything received is in a point by now, so
    “latest” names none."""
    offered = If(m.active == Site.RECOVERY, t["forward.change_point"], t["reverse.change_point"])
    there = Or(And(point == Point.PROCESSED, m.points), And(point == Point.CUSTOM, m.point))
    return Step(
        requires=[
            not_ended(m), Requires(offered, "OperationNotSupported"), idle(m), untested(m),
            Requires(m.pending, "NoFailoverToChange"), side_up(m.active_up),
            Requires(there, "RecoveryPointNotFound", precheck=True),
        ],
        changes=[m.job.becomes(Job.CHANGE), m.chosen.becomes(point)],
    )


@internal()
def stop_for_change(_t: Facts, m: Machine) -> Step:
    """The active side is stopped, to be set to the point."""
    return Step(
        requires=[m.job == Job.CHANGE, m.active_up, Or(m.running, m.reboots)],
        changes=[m.running.becomes(False), m.reboots.becomes(False), m.cached.becomes(0)],
    )


@internal(("V2A-47", "H2A-40", "H2S-29"))
def set_to_point(_t: Facts, m: Machine) -> Step:
    """The active side holds exactly the content of the point and runs again, on a branch that starts there."""
    point = content_of(m)
    discards = And(m.x_fate == Fate.WRITTEN, m.x_active, Not(m.x_passive))
    counted = And(m.failover == Failover.UNPLANNED, m.loss_known)
    return Step(
        requires=[m.job == Job.CHANGE, m.active_up, Not(Or(m.running, m.reboots))],
        changes=[
            m.job.becomes(Job.NONE), m.changed.becomes(True), m.running.becomes(True),
            m.head.becomes(point.position), m.fork.becomes(point.position), m.x_active.becomes(point.holds),
            m.loss.becomes(If(counted, m.passive - point.position, m.loss)),
            m.x_fate.becomes(If(discards, Fate.DISCARDED, m.x_fate)),
        ],
    )


CHANGING: tuple[ActionRule, ...] = (change_pit, stop_for_change, set_to_point)
