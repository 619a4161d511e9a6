"""Invariants that carry the proofs. They are proved themselves, together, action by action; a reader need not believe them.

They say in order: what a lifecycle state implies, how positions are ordered, and that every place holds exactly a prefix
(`prefix_…`): the marked write is in a place if and only if it is on the place's branch at or before the place's position.
That is what lets an oracle judge content by positions.
"""

from __future__ import annotations

from siteproof.model.claims import Claim, always
from siteproof.model.promise.vocabulary import Failover, Fate, Job, Machine, Point, Protection, Site
from siteproof.model.terms import And, Bool, Implies, Not, Or, iff

__all__ = ["LEMMAS"]


def _following(m: Machine) -> Bool:
    """The passive side is on the active side's branch."""
    return Or(m.follows, And(m.copying, m.half))


LEMMAS: tuple[Claim, ...] = (
    # The lifecycle.
    always("enabling", lambda m: iff(m.protection == Protection.INITIAL, m.job == Job.ENABLE)),
    always("enabling_state", lambda m: Implies(m.job == Job.ENABLE, m.failover == Failover.NONE)),
    always("failing_over_state", lambda m: Implies(m.job == Job.UNPLANNED, m.follows)),
    always("moving_state", lambda m: Implies(
        m.job == Job.PLANNED, Or(And(m.follows, m.half), m.failover == Failover.COMMITTED))),
    always("committing_state", lambda m: Implies(m.job == Job.COMMIT, m.pending)),
    always("reversing_state", lambda m: Implies(m.job == Job.REVERSE, m.failover == Failover.COMMITTED)),
    always("custom_point_pinned", lambda m: Implies(And(m.job == Job.UNPLANNED, m.chosen == Point.CUSTOM), m.point)),
    always("used_point_pinned", lambda m: Implies(
        And(m.failover == Failover.UNPLANNED, m.chosen == Point.CUSTOM, m.job != Job.COMMIT), m.point)),
    always("followed_has_points", lambda m: Implies(m.follows, m.points)),
    always("pending_has_points", lambda m: Implies(And(m.failover == Failover.UNPLANNED, m.job != Job.COMMIT), m.points)),
    always("point_is_a_point", lambda m: Implies(m.point, m.points)),
    always("unprotected_has_none", lambda m: Implies(
        Or(m.job == Job.ENABLE, And(m.protection == Protection.NONE, m.failover == Failover.NONE),
           m.failover == Failover.COMMITTED, And(m.job == Job.COMMIT, m.half)), Not(m.points))),
    always("unprotected_at_primary", lambda m: Implies(
        And(m.protection != Protection.PROTECTED, m.failover == Failover.NONE), m.active == Site.PRIMARY)),
    # Authority.
    always("stale_not_ahead", lambda m: m.passive_epoch <= m.epoch),
    always("stale_only_after_unplanned", lambda m: Implies(
        m.passive_epoch < m.epoch,
        Or(m.failover.is_in(Failover.UNPLANNED, Failover.COMMITTED),
           And(m.failover == Failover.NONE, m.protection == Protection.NONE)))),
    always("stale_not_copied_to", lambda m: Implies(m.copying, m.contacted)),
    always("passive_runs_only_stale", lambda m: Implies(
        Or(m.passive_running, m.passive_reboots, m.passive_cached > 0), m.passive_epoch < m.epoch)),
    always("cache_needs_power", lambda m: Implies(m.cached > 0, m.running)),
    # Positions.
    always("passive_behind", lambda m: Implies(_following(m), m.passive <= m.head)),
    always("latest_behind", lambda m: Implies(m.follows, m.latest <= m.passive)),
    always("point_behind", lambda m: Implies(m.point, m.point_at <= m.latest)),
    always("fork_behind", lambda m: Implies(m.passive_epoch < m.epoch, And(m.fork <= m.passive, m.fork <= m.head))),
    always("old_points_behind", lambda m: Implies(And(m.pending, m.points), m.latest <= m.passive)),
    # Content is a prefix, place by place.
    always("no_points_hold_nothing", lambda m: And(
        Implies(Not(m.points), Not(m.x_latest)), Implies(Not(m.point), Not(m.x_point)))),
    always("unissued_nowhere", lambda m: Implies(
        m.x_fate == Fate.UNISSUED, Not(Or(m.x_active, m.x_passive, m.x_latest, m.x_point)))),
    always("x_on_head", lambda m: Implies(m.x_active, m.x_at <= m.head)),
    always("prefix_passive", lambda m: Implies(
        _following(m), iff(m.x_passive, And(m.x_active, m.x_at <= m.passive)))),
    always("prefix_latest", lambda m: Implies(
        m.follows, iff(m.x_latest, And(m.x_active, m.x_at <= m.latest)))),
    always("prefix_point", lambda m: Implies(
        And(m.follows, m.point), iff(m.x_point, And(m.x_active, m.x_at <= m.point_at)))),
    always("lost_is_beyond_fork", lambda m: Implies(
        And(m.passive_epoch < m.epoch, m.x_passive, Not(m.x_active)), And(m.x_at > m.fork, m.x_at <= m.passive))),
    always("old_disk_prefix", lambda m: Implies(
        And(m.passive_epoch < m.epoch, m.x_passive), m.x_at <= m.passive)),
    always("discarded_gone", lambda m: Implies(
        m.x_fate == Fate.DISCARDED, Not(Or(m.x_active, m.x_latest, m.x_point)))),
    always("planned_sides_agree", lambda m: Implies(
        m.failover == Failover.PLANNED, m.contacted)),
)
