"""Invariants that carry the protocol's proofs: proved together, action by action, and believed by nobody.

First what the promise level knows of what is seen, as far as it is needed; then what the protocol adds: how far the books lag
behind, what standing orders say of the job, and how log, cache and replica fit together.
"""

from __future__ import annotations

from siteproof.model.claims import Claim, always
from siteproof.model.promise.lemmas import LEMMAS as PROMISED
from siteproof.model.promise.vocabulary import Failover, Fate, Job, Point, Protection, Resync, Test
from siteproof.model.protocol.abstraction import seen
from siteproof.model.protocol.faults import needs_server
from siteproof.model.protocol.vocabulary import Orders, Parts
from siteproof.model.system import Facts
from siteproof.model.terms import And, Bool, Implies, Not, Or

__all__ = ["KNOWN", "LEMMAS"]


def _moved(p: Parts) -> Bool:
    """The sides have changed roles, and the vault has not recorded it."""
    return And(p.done, p.job != Job.COMMIT)


def _session(p: Parts) -> Bool:
    """What the gateway's cache holds continues what the passive side has."""
    return And(_log(p), p.gateway_epoch == p.epoch)


def _log(p: Parts) -> Bool:
    """The source's log is what the passive side is fed from."""
    return And(seen(p).tracks, p.tracking, Not(p.spoiled))


def _compared(p: Parts) -> Bool:
    m = seen(p)
    return And(m.resync == Resync.COMPARING, m.half)


def _gateway(t: Facts) -> Bool:
    return t["gateway.present"]


def _on_seen(lemma: Claim) -> Claim:
    return always(f"seen_{lemma.name}", lambda p: lemma.conclusion(seen(p)), needs=lemma.needs)


KNOWN: tuple[Claim, ...] = (
    always("orders_of_a_replica", lambda p: Implies(p.orders == Orders.PROTECT, And(
        p.protection == Protection.PROTECTED, p.failover == Failover.NONE, Not(p.done), Not(p.revoked),
        p.job.is_in(Job.NONE, Job.PLANNED, Job.TEST, Job.CLEANUP)))),
    always("orders_of_a_copy", lambda p: Implies(p.orders == Orders.RECEIVE, And(
        Not(p.done), Or(And(seen(p).copying, p.half), p.resync == Resync.MERGING)))),
    always("done_of_a_job", lambda p: Implies(p.done, p.job.is_in(Job.PLANNED, Job.UNPLANNED, Job.COMMIT))),
    always("power", lambda p: And(
        Implies(p.running, seen(p).active_up), Implies(Or(p.passive_running, p.test_running), seen(p).passive_up))),
    always("commit_in_the_books", lambda p: Implies(
        p.job.is_in(Job.COMMIT, Job.CHANGE), p.failover.is_in(Failover.PLANNED, Failover.UNPLANNED))),
    always("replica_in_the_books", lambda p: Implies(
        Or(p.job.is_in(Job.UNPLANNED, Job.TEST, Job.CLEANUP), p.test != Test.NONE),
        And(p.protection == Protection.PROTECTED, p.failover == Failover.NONE))),
    always("repair_in_the_books", lambda p: Implies(p.resync.is_in(Resync.COMPARING, Resync.MERGING), p.job == Job.REPAIR)),
    always("revoked_is_recorded", lambda p: Implies(p.revoked, Not(p.done))),
    always("resync_in_the_books", lambda p: Implies(p.resync != Resync.NONE, And(
        p.protection == Protection.PROTECTED, p.failover == Failover.NONE))),
)
"""Lemmas that the lint uses as well."""

CARRIED: tuple[str, ...] = (
    "enabling", "enabling_state", "failing_over_state", "moving_state", "reversing_state", "reversing_committed",
    "migrating_state", "half_of_a_job", "unprotected_at_primary", "nothing_moves", "nothing_is_tested", "nothing_changes",
    "nothing_migrates", "no_gateway_fails", "changed_to_no_app_point", "used_point_pinned", "followed_has_points",
    "pending_has_points", "changed_has_points", "point_is_a_point", "unprotected_has_none", "testing_state", "test_and_job",
    "cleanup_of_a_test", "resync_of_a_replica", "repairing", "called_has_no_log", "passive_within_staged", "gap_is_known",
    "gap_was_compared", "stale_not_ahead", "stale_only_after_unplanned", "stale_not_copied_to", "passive_runs_only_stale",
    "cache_needs_power", "passive_behind", "latest_behind", "point_behind", "app_behind", "fork_behind", "old_points_behind",
    "unissued_nowhere",
)
"""The lemmas of the promise level that are needed here, said of what is seen."""

LEMMAS: tuple[Claim, ...] = (
    *(_on_seen(lemma) for lemma in PROMISED if lemma.name in CARRIED),
    always("given_point_stays", lambda p: And(
        Implies(And(p.job.is_in(Job.UNPLANNED, Job.TEST, Job.CHANGE), p.chosen == Point.CUSTOM), seen(p).point),
        Implies(And(p.job.is_in(Job.UNPLANNED, Job.TEST), p.chosen == Point.APP), seen(p).app))),
    always("received_is_written", lambda p: Implies(And(seen(p).tracks, p.x_passive), p.x_active)),
    always("compared_has_what_is_received", lambda p: Implies(_compared(p), And(
        Implies(p.x_passive, p.x_staged), Implies(p.x_staged, p.x_active)))),
    *KNOWN,
    always("way_back", lambda p: Implies(needs_server(p), Or(p.done, p.server)),
           needs=lambda t: t["gateway.temporary"]),
    always("copy_runs_in_a_test", lambda p: Implies(p.test_running, p.test != Test.NONE)),
    # The books.
    always("books_of_the_epoch", lambda p: Implies(Not(_moved(p)), p.vault_epoch == p.epoch)),
    always("books_lag_by_one", lambda p: Implies(_moved(p), p.vault_epoch + 1 == p.epoch)),
    always("revoked_in_the_end", lambda p: Implies(p.revoked, Or(
        And(p.job.is_in(Job.DISABLE, Job.MIGRATE), p.half),
        And(p.protection != Protection.PROTECTED, p.failover.is_in(Failover.NONE, Failover.COMPLETED))))),
    always("runs_as_told", lambda p: And(Implies(p.running, p.autostart), Implies(p.passive_running, p.passive_autostart))),
    # The log.
    always("tracked_is_tracking", lambda p: Implies(And(seen(p).tracks, Not(p.spoiled)), p.tracking)),
    always("tracking_is_tracked", lambda p: Implies(
        And(seen(p).tracks, seen(p).resync == Resync.REQUIRED, p.job != Job.UNPLANNED), And(Not(p.tracking), Not(p.doubt)))),
    always("used_is_tracking", lambda p: Implies(And(seen(p).tracks, seen(p).resync != Resync.REQUIRED), p.tracking)),
    always("spoiled_holds_nothing", lambda p: Implies(And(seen(p).tracks, p.spoiled), Not(p.x_log))),
    always("logged_is_written", lambda p: Implies(_log(p), Implies(p.x_log, And(p.x_active, p.x_at <= p.head)))),
    always("logged_and_received", lambda p: Implies(And(_log(p), p.x_log, p.x_at <= p.passive), p.x_passive)),
    always("closed_behind", lambda p: Implies(_log(p), p.closed <= p.head)),
    always("acked_behind", lambda p: Implies(_log(p), p.acked <= p.passive)),
    always("compared_log_is_new", lambda p: Implies(And(_log(p), _compared(p)), And(
        Implies(p.x_log, p.x_at > p.staged), p.staged <= p.closed))),
    # The gateway.
    always("received_behind_closed", lambda p: Implies(_log(p), p.passive <= p.closed)),
    always("epochs_begin_at_one", lambda p: p.epoch >= 1),
    always("cache_of_the_log", lambda p: Implies(_session(p), p.passive + p.queue <= p.closed), needs=_gateway),
    always("cache_holds_what_is_logged", lambda p: Implies(_session(p), And(
        Implies(p.x_queue, And(p.x_log, p.x_active, p.x_at > p.passive, p.x_at <= p.passive + p.queue)),
        Implies(And(p.x_log, p.x_at > p.passive, p.x_at <= p.passive + p.queue), p.x_queue))), needs=_gateway),
    always("compared_with_an_empty_cache", lambda p: Implies(And(_log(p), p.resync.is_in(Resync.COMPARING), p.half), Or(
        p.gateway_epoch != p.epoch, And(p.queue == 0, Not(p.x_queue)))), needs=_gateway),
    always("unissued_not_logged", lambda p: Implies(p.x_fate == Fate.UNISSUED, Not(Or(p.x_log, p.x_queue)))),
)

