"""Invariants that carry the proofs. They are proved themselves, together, action by action; a reader need not believe them.

They say in order: what a lifecycle state implies, how positions are ordered, and that every place holds exactly a prefix
(`prefix_…`): the marked write is in a place if and only if it is on the place's branch at or before the place's position.
That is what lets an oracle judge content by positions.
"""

from __future__ import annotations

from siteproof.model.claims import Claim, always
from siteproof.model.promise.vocabulary import Failover, Fate, Job, Machine, Point, Protection, Resync, Site, Test
from siteproof.model.terms import And, Bool, Implies, Not, Or, iff

__all__ = ["LEMMAS"]


def _following(m: Machine) -> Bool:
    """The passive side is on the active side's branch."""
    return Or(m.follows, And(m.copying, m.half))



def _left_behind(m: Machine) -> Bool:
    """The passive side holds the branch that ended with a failover, and the points lie on it."""
    return And(m.pending, Not(m.copying))


def _giving_up(m: Machine) -> Bool:
    """A job that removes the points, for good."""
    return m.job.is_in(Job.COMMIT, Job.DISABLE, Job.MIGRATE)


def _given_up(m: Machine) -> Bool:
    """The points have been removed by such a job."""
    return And(_giving_up(m), m.half)


def _testing(m: Machine) -> Bool:
    """A test failover is under way."""
    return Or(m.job == Job.TEST, m.test == Test.RUNNING)


def _copy_made(m: Machine) -> Bool:
    """There is a test copy."""
    return Or(And(m.job == Job.TEST, m.half), m.test == Test.RUNNING)


def _compared(m: Machine) -> Bool:
    """A resynchronisation has compared the sides and not merged yet."""
    return And(m.resync == Resync.COMPARING, m.half)


LEMMAS: tuple[Claim, ...] = (
    # The lifecycle.
    always("enabling", lambda m: iff(m.protection == Protection.INITIAL, m.job == Job.ENABLE)),
    always("enabling_state", lambda m: Implies(m.job == Job.ENABLE, m.failover == Failover.NONE)),
    always("failing_over_state", lambda m: Implies(m.job == Job.UNPLANNED, m.follows)),
    always("moving_state", lambda m: Implies(
        m.job == Job.PLANNED, Or(And(m.follows, m.half), m.failover == Failover.COMMITTED))),
    always("committing_state", lambda m: Implies(m.job.is_in(Job.COMMIT, Job.CHANGE), m.pending)),
    always("reversing_state", lambda m: Implies(m.job == Job.REVERSE, Or(m.pending, m.failover == Failover.COMMITTED))),
    always("reversing_committed", lambda m: Implies(m.job == Job.REVERSE, m.failover == Failover.COMMITTED)),
    always("migrating_state", lambda m: Implies(
        m.job == Job.MIGRATE, And(Or(m.pending, m.failover == Failover.COMMITTED), m.active == Site.RECOVERY))),
    always("disabling_state", lambda m: Implies(
        m.job == Job.DISABLE, Or(m.follows, m.pending, m.failover == Failover.COMMITTED))),
    always("completed_is_final", lambda m: Implies(
        m.failover == Failover.COMPLETED,
        And(m.job == Job.NONE, m.protection == Protection.NONE, m.active == Site.RECOVERY))),
    always("half_of_a_job", lambda m: Implies(m.half, m.job.is_in(
        Job.ENABLE, Job.PLANNED, Job.COMMIT, Job.REVERSE, Job.TEST, Job.DISABLE, Job.MIGRATE, Job.REPAIR))),
    always("disturbed_while_moving", lambda m: Implies(m.disturbed, m.job == Job.PLANNED)),
    always("changed_while_pending", lambda m: Implies(m.changed, m.pending)),
    always("unprotected_at_primary", lambda m: Implies(
        And(m.protection != Protection.PROTECTED, m.failover == Failover.NONE), m.active == Site.PRIMARY)),
    # What a flow does not offer never happens.
    always("nothing_moves", lambda m: And(m.job != Job.PLANNED, m.failover != Failover.PLANNED),
           needs=lambda t: Not(Or(t["forward.planned_failover"], t["reverse.planned_failover"]))),
    always("nothing_is_tested", lambda m: Not(Or(_testing(m), m.test_running)),
           needs=lambda t: Not(Or(t["forward.test_failover"], t["reverse.test_failover"]))),
    always("tested_from_primary", lambda m: Implies(_testing(m), m.active == Site.PRIMARY),
           needs=lambda t: Not(t["reverse.test_failover"])),
    always("tested_from_recovery", lambda m: Implies(_testing(m), m.active == Site.RECOVERY),
           needs=lambda t: Not(t["forward.test_failover"])),
    always("nothing_changes", lambda m: And(m.job != Job.CHANGE, Not(m.changed)),
           needs=lambda t: Not(Or(t["forward.change_point"], t["reverse.change_point"]))),
    always("nothing_migrates", lambda m: m.job != Job.MIGRATE, needs=lambda t: Not(t["forward.complete_migration"])),
    always("nothing_follows_at_recovery", lambda m: Implies(Or(m.follows, m.job == Job.REVERSE), m.active == Site.PRIMARY),
           needs=lambda t: t["failback.without_reverse"]),
    always("no_gateway_fails", lambda m: m.gateway_up, needs=lambda t: Not(t["gateway.present"])),
    # Points.
    always("changed_to_no_app_point", lambda m: Implies(m.job == Job.CHANGE, m.chosen.is_in(Point.PROCESSED, Point.CUSTOM))),
    always("used_point_pinned", lambda m: Implies(
        And(m.failover == Failover.UNPLANNED, m.chosen == Point.CUSTOM, Not(_given_up(m))), m.point)),
    always("followed_has_points", lambda m: Implies(And(m.follows, m.job != Job.DISABLE), m.points)),
    always("pending_has_points", lambda m: Implies(And(m.failover == Failover.UNPLANNED, Not(_given_up(m))), m.points)),
    always("changed_has_points", lambda m: Implies(And(Or(m.changed, m.job == Job.CHANGE), Not(_given_up(m))), m.points)),
    always("point_is_a_point", lambda m: Implies(Or(m.point, m.app), m.points)),
    always("unprotected_has_none", lambda m: Implies(
        Or(m.job == Job.ENABLE, And(m.protection == Protection.NONE, m.failover == Failover.NONE),
           m.failover.is_in(Failover.COMMITTED, Failover.COMPLETED), And(_giving_up(m), m.half)), Not(m.points))),
    # The test copy.
    always("testing_state", lambda m: Implies(_testing(m), m.follows)),
    always("test_and_job", lambda m: Implies(m.test == Test.RUNNING, m.job.is_in(Job.NONE, Job.CLEANUP))),
    always("cleanup_of_a_test", lambda m: Implies(m.job == Job.CLEANUP, m.test == Test.RUNNING)),
    always("pinned_in_a_test", lambda m: Implies(m.pinned, And(_copy_made(m), m.point))),
    always("test_at_known", lambda m: Implies(_copy_made(m), m.test_at <= m.latest)),
    # Resynchronisation.
    always("resync_of_a_replica", lambda m: Implies(m.resync != Resync.NONE, m.follows)),
    always("repairing", lambda m: iff(m.job == Job.REPAIR, m.resync.is_in(Resync.COMPARING, Resync.MERGING))),
    always("merging_has_compared", lambda m: Implies(m.resync == Resync.MERGING, m.half)),
    always("spoiled_is_a_log", lambda m: Implies(Or(m.spoiled, m.doubt), m.tracks)),
    always("called_has_no_log", lambda m: Implies(
        Or(And(m.resync == Resync.REQUIRED, m.job != Job.UNPLANNED), And(m.resync == Resync.COMPARING, Not(m.half))), m.spoiled)),
    always("staged_behind", lambda m: Implies(_compared(m), m.staged <= m.head)),
    always("passive_within_staged", lambda m: Implies(_compared(m), m.passive <= m.staged)),
    always("prefix_staged", lambda m: Implies(_compared(m), iff(m.x_staged, And(m.x_active, m.x_at <= m.staged)))),
    always("gap_is_missing", lambda m: Implies(m.x_gap, And(m.x_active, Not(m.x_passive), m.tracks))),
    always("gap_is_known", lambda m: Implies(m.x_gap, Or(m.spoiled, m.resync.is_in(Resync.REQUIRED, Resync.COMPARING)))),
    always("gap_was_compared", lambda m: Implies(And(m.x_gap, _compared(m), Not(m.spoiled)), m.x_staged)),
    # Authority.
    always("stale_not_ahead", lambda m: m.passive_epoch <= m.epoch),
    always("stale_only_after_unplanned", lambda m: Implies(
        m.passive_epoch < m.epoch,
        Or(m.failover.is_in(Failover.UNPLANNED, Failover.COMMITTED, Failover.COMPLETED),
           And(m.failover == Failover.NONE, m.protection == Protection.NONE)))),
    always("stale_not_copied_to", lambda m: Implies(m.copying, m.contacted)),
    always("passive_runs_only_stale", lambda m: Implies(
        Or(m.passive_running, m.passive_reboots, m.passive_cached > 0), m.passive_epoch < m.epoch)),
    always("cache_needs_power", lambda m: Implies(m.cached > 0, m.running)),
    # Positions.
    always("passive_behind", lambda m: Implies(_following(m), m.passive <= m.head)),
    always("latest_behind", lambda m: Implies(And(m.follows, m.points), m.latest <= m.passive)),
    always("point_behind", lambda m: Implies(m.point, m.point_at <= m.latest)),
    always("app_behind", lambda m: Implies(m.app, m.app_at <= m.latest)),
    always("fork_behind", lambda m: Implies(m.passive_epoch < m.epoch, And(m.fork <= m.passive, m.fork <= m.head))),
    always("old_points_behind", lambda m: Implies(And(_left_behind(m), m.points), m.latest <= m.passive)),
    # Content is a prefix, place by place.
    always("no_points_hold_nothing", lambda m: And(
        Implies(Not(m.points), Not(m.x_latest)), Implies(Not(m.point), Not(m.x_point)), Implies(Not(m.app), Not(m.x_app)))),
    always("unissued_nowhere", lambda m: Implies(
        m.x_fate == Fate.UNISSUED,
        Not(Or(m.x_active, m.x_passive, m.x_latest, m.x_point, m.x_app, m.x_test, m.x_staged, m.x_gap)))),
    always("x_on_head", lambda m: Implies(m.x_active, m.x_at <= m.head)),
    always("prefix_passive", lambda m: Implies(
        _following(m), iff(m.x_passive, And(m.x_active, m.x_at <= m.passive)))),
    always("prefix_latest", lambda m: Implies(
        And(m.follows, m.points), iff(m.x_latest, And(m.x_active, m.x_at <= m.latest)))),
    always("prefix_point", lambda m: Implies(
        And(m.follows, m.point), iff(m.x_point, And(m.x_active, m.x_at <= m.point_at)))),
    always("prefix_app", lambda m: Implies(
        And(m.follows, m.app), iff(m.x_app, And(m.x_active, m.x_at <= m.app_at)))),
    always("prefix_old_app", lambda m: Implies(
        And(_left_behind(m), m.app), iff(m.x_app, And(m.x_passive, m.x_at <= m.app_at, m.x_fate == Fate.WRITTEN)))),
    always("prefix_old_latest", lambda m: Implies(
        And(_left_behind(m), m.points), iff(m.x_latest, And(m.x_passive, m.x_at <= m.latest, m.x_fate == Fate.WRITTEN)))),
    always("prefix_old_point", lambda m: Implies(
        And(_left_behind(m), m.point), iff(m.x_point, And(m.x_passive, m.x_at <= m.point_at, m.x_fate == Fate.WRITTEN)))),
    always("prefix_test", lambda m: Implies(
        And(_copy_made(m), m.x_fate == Fate.WRITTEN), iff(m.x_test, And(m.x_active, m.x_at <= m.test_at)))),
    always("prefix_pinned", lambda m: Implies(And(m.pinned, m.x_fate == Fate.WRITTEN), iff(m.x_test, m.x_point))),
    always("copys_own_write_stays", lambda m: Implies(
        And(m.x_test, m.x_fate == Fate.DISCARDED), And(Not(m.x_passive), _testing(m)))),
    always("copy_made_holds", lambda m: Implies(m.x_test, _copy_made(m))),
    always("discarded_beyond_points", lambda m: Implies(
        And(_left_behind(m), m.points, m.x_passive, m.x_fate == Fate.DISCARDED), m.x_at > m.latest)),
    always("lost_is_beyond_fork", lambda m: Implies(
        And(m.passive_epoch < m.epoch, m.x_passive, Not(m.x_active)), And(m.x_at > m.fork, m.x_at <= m.passive))),
    always("old_disk_prefix", lambda m: Implies(
        And(m.passive_epoch < m.epoch, m.x_passive), m.x_at <= m.passive)),
    always("discarded_gone", lambda m: Implies(
        m.x_fate == Fate.DISCARDED, Not(Or(m.x_active, m.x_latest, m.x_point, m.x_app)))),
    always("planned_sides_agree", lambda m: Implies(
        m.failover == Failover.PLANNED, m.contacted)),
)
