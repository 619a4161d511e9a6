"""Recovery points: how they are made, chosen and removed.

Rules
1. A point is made of what the passive side holds, at one instant, and never changes. The newest is followed as `latest`, the
   newest app-consistent one as `app`; one arbitrary other one, freely chosen when it is made, as the *kept* point.
2. Retention removes older points: never the newest, none that is in use, and none while a failover waits for commit or a
   resynchronisation is called for. App-consistent points go oldest first, so that the newest one is the last of them.
"""

from __future__ import annotations

import attrs

from siteproof.model.promise.vocabulary import Job, Machine, Point, Resync, Test
from siteproof.model.system import ActionRule, Facts, Step, internal
from siteproof.model.terms import And, Bool, Change, If, Nat, Not, Or

__all__ = ["POINTS", "Content", "content_of", "in_use", "no_points", "only_point"]


@attrs.frozen
class Content:
    """What a chosen point is: its position, whether it holds the marked write, whether it is the kept one."""

    position: Nat
    holds: Bool
    is_kept: Bool


def content_of(m: Machine) -> Content:
    """The point that was chosen, as it is now: a named one is the kept point, every other the newest, of its kind."""
    named, app = m.chosen == Point.CUSTOM, m.chosen == Point.APP
    position = If(named, m.point_at, If(app, m.app_at, m.latest))
    return Content(
        position, If(named, m.x_point, If(app, m.x_app, m.x_latest)), Or(named, And(m.point, m.point_at == position)))


def in_use(m: Machine) -> Bool:
    """The kept point is used by a failover or a test failover that is under way, or by a test copy."""
    return Or(m.pinned, And(m.chosen == Point.CUSTOM, m.job.is_in(Job.UNPLANNED, Job.TEST)))


def no_points(m: Machine, unless: Bool | bool = False) -> list[Change]:
    """All points are removed, or, in a flow where `unless` holds, none."""
    return [
        m.points.becomes(And(m.points, unless)), m.point.becomes(And(m.point, unless)),
        m.x_latest.becomes(And(m.x_latest, unless)), m.x_point.becomes(And(m.x_point, unless)),
        m.app.becomes(And(m.app, unless)), m.x_app.becomes(And(m.x_app, unless)),
    ]


def only_point(m: Machine, keep: Bool) -> list[Change]:
    """A point of what the passive side holds takes the place of all others, at once. It is crash-consistent."""
    return [
        m.points.becomes(True), m.latest.becomes(m.passive), m.x_latest.becomes(m.x_passive),
        m.point.becomes(keep), m.point_at.becomes(If(keep, m.passive, m.point_at)),
        m.x_point.becomes(And(keep, m.x_passive)), m.app.becomes(False), m.x_app.becomes(False),
    ]


def _one_more(m: Machine, keep: Bool) -> list[Change]:
    """A point of what the passive side holds is advertised; it becomes the kept point if none is kept and `keep` says so."""
    kept = And(keep, Not(m.point))
    return [
        m.points.becomes(True), m.latest.becomes(m.passive), m.x_latest.becomes(m.x_passive),
        m.point.becomes(Or(m.point, keep)), m.point_at.becomes(If(kept, m.passive, m.point_at)),
        m.x_point.becomes(If(kept, m.x_passive, m.x_point)),
    ]


def _can_cut(m: Machine) -> Bool:
    jobs = m.job.is_in(Job.NONE, Job.PLANNED, Job.UNPLANNED, Job.TEST, Job.CLEANUP)
    return And(m.follows, jobs, m.passive_up)


def _may_not_wait(_t: Facts, m: Machine) -> Bool:
    """While a resynchronisation is called for, only a job that asks for a point made of everything received needs one."""
    return Or(m.resync == Resync.NONE, m.job.is_in(Job.UNPLANNED, Job.TEST))


@internal(("GEN-12", "V2A-37"), {"keep": bool}, cuts_point=True, fair_when=_may_not_wait)
def cut_point(_t: Facts, m: Machine, keep: Bool) -> Step:
    """What has been received since the last point becomes a recovery point."""
    return Step(requires=[_can_cut(m), m.latest < m.passive], changes=_one_more(m, keep))


@internal((), {"keep": bool}, fair=False, cuts_point=True)
def cut_equal_point(_t: Facts, m: Machine, keep: Bool) -> Step:
    """Another recovery point is cut although nothing new was received."""
    return Step(requires=[_can_cut(m), m.latest == m.passive], changes=_one_more(m, keep))


@internal(("V2A-37",), {"keep": bool}, fair=False, cuts_point=True)
def cut_app_point(_t: Facts, m: Machine, keep: Bool) -> Step:
    """The applications were frozen when it was cut: the new recovery point is app-consistent."""
    return Step(
        requires=[_can_cut(m)],
        changes=[*_one_more(m, keep), m.app.becomes(True), m.app_at.becomes(m.passive), m.x_app.becomes(m.x_passive)],
    )


@internal((), fair=False)
def prune_app_point(t: Facts, m: Machine) -> Step:
    """Retention removes the last app-consistent point, an older one; those before it have gone already."""
    tested = And(t["test.pins_point"], m.test == Test.RUNNING)
    used = And(m.chosen == Point.APP, Or(m.job.is_in(Job.UNPLANNED, Job.TEST), tested))
    return Step(
        requires=[m.app, m.app_at < m.latest, Not(m.pending), Not(used), m.resync == Resync.NONE],
        changes=[m.app.becomes(False), m.x_app.becomes(False)],
    )


@internal((), fair=False)
def prune_point(t: Facts, m: Machine) -> Step:
    """Retention removes an older point: never the newest, none that is in use, none while a failover is pending or a
    resynchronisation is called for."""
    used = Or(And(t["test.pins_point"], m.pinned), And(m.chosen == Point.CUSTOM, m.job.is_in(Job.UNPLANNED, Job.TEST)))
    return Step(
        requires=[m.points, m.point, m.point_at < m.latest, Not(m.pending), Not(used), m.resync == Resync.NONE],
        changes=[m.point.becomes(False), m.x_point.becomes(False)],
    )


POINTS: tuple[ActionRule, ...] = (cut_point, cut_equal_point, cut_app_point, prune_point, prune_app_point)
