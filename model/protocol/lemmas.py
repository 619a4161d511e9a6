"""Invariants that carry the protocol's proofs: proved together, action by action, and believed by nobody.

First what the promise level knows of what is seen, as far as it is needed; then what the protocol adds: how far the books lag
behind, what standing orders say of the job, and how log, cache and replica fit together.
"""

from __future__ import annotations

from siteproof.model.claims import Claim, always
from siteproof.model.promise.lemmas import LEMMAS as PROMISED
from siteproof.model.promise.promises import PROMISES as PROMISED_CLAIMS
from siteproof.model.promise.vocabulary import Failover, Fate, Job, Protection, Resync, Site, Test
from siteproof.model.protocol.abstraction import seen
from siteproof.model.protocol.vocabulary import Orders, Parts
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

LEMMAS: tuple[Claim, ...] = (
    *(_on_seen(lemma) for lemma in PROMISED),
    *KNOWN,
    *(always(f"promised_{promise.id}_{claim.name}", lambda p, c=claim: c.conclusion(seen(p)) if c.premise is None else Implies(c.premise(seen(p)), c.conclusion(seen(p))), needs=claim.needs)
      for promise in PROMISED_CLAIMS for claim in promise.claims if not claim.is_step and promise.id not in ("P22","P6","P8")),
    always("way_back", lambda p: Implies(Or(p.job == Job.REVERSE, And(
        p.protection == Protection.PROTECTED, p.failover == Failover.NONE, p.active == Site.RECOVERY, Not(p.done))), p.server),
           needs=lambda t: t["gateway.temporary"]),
    always("copy_runs_in_a_test", lambda p: Implies(p.test_running, p.test != Test.NONE)),
    # The books.
    always("books_of_the_epoch", lambda p: Implies(Not(_moved(p)), p.vault_epoch == p.epoch)),
    always("books_lag_by_one", lambda p: Implies(_moved(p), p.vault_epoch + 1 == p.epoch)),
    always("moved_from_a_replica", lambda p: Implies(_moved(p), And(
        p.tracking == False, p.orders == Orders.NONE))),  # noqa: E712
    always("revoked_in_the_end", lambda p: Implies(p.revoked, Or(
        And(p.job.is_in(Job.DISABLE, Job.MIGRATE), p.half),
        And(p.protection != Protection.PROTECTED, p.failover.is_in(Failover.NONE, Failover.COMPLETED))))),
    always("runs_as_told", lambda p: And(Implies(p.running, p.autostart), Implies(p.passive_running, p.passive_autostart))),
    always("runs_after_a_look", lambda p: Implies(p.running, p.recording)),
    always("cached_while_running", lambda p: Implies(p.passive_cached > 0, p.passive_running)),
    # The log.
    always("tracked_is_tracking", lambda p: Implies(And(seen(p).tracks, Not(p.spoiled)), p.tracking)),
    always("tracking_is_tracked", lambda p: Implies(And(seen(p).tracks, seen(p).resync == Resync.REQUIRED, p.job != Job.UNPLANNED),
                                                    And(Not(p.tracking), Not(p.doubt)))),
    always("used_is_tracking", lambda p: Implies(And(seen(p).tracks, seen(p).resync != Resync.REQUIRED), p.tracking)),
    always("spoiled_holds_nothing", lambda p: Implies(And(seen(p).tracks, p.spoiled), Not(p.x_log))),
    always("logged_is_written", lambda p: Implies(_log(p), Implies(p.x_log, And(p.x_active, p.x_at <= p.head)))),
    always("logged_and_received", lambda p: Implies(And(_log(p), p.x_log, p.x_at <= p.passive), p.x_passive)),
    always("closed_behind", lambda p: Implies(_log(p), p.closed <= p.head)),
    always("acked_behind", lambda p: Implies(_log(p), p.acked <= p.passive)),
    always("compared_log_is_new", lambda p: Implies(And(_log(p), _compared(p)), And(
        Implies(p.x_log, p.x_at > p.staged), p.staged <= p.closed))),
    # The gateway.
    always("no_cache_of_a_later_epoch", lambda p: And(p.gateway_epoch <= p.epoch)),
    always("cache_of_the_log", lambda p: Implies(_session(p), And(p.passive + p.queue <= p.closed))),
    always("cache_holds_what_is_logged", lambda p: Implies(_session(p), And(
        Implies(p.x_queue, And(p.x_log, p.x_active, p.x_at > p.passive, p.x_at <= p.passive + p.queue)),
        Implies(And(p.x_log, p.x_at > p.passive, p.x_at <= p.passive + p.queue), p.x_queue)))),
    always("compared_with_an_empty_cache", lambda p: Implies(And(_log(p), p.resync.is_in(Resync.COMPARING), p.half), Or(
        p.gateway_epoch != p.epoch, And(p.queue == 0, Not(p.x_queue))))),
    always("unissued_not_logged", lambda p: Implies(p.x_fate == Fate.UNISSUED, Not(Or(p.x_log, p.x_queue)))),
)

