"""The vault's books and the orders that it gives: how requests are granted and jobs carried out, by components that may be apart.

Rules
1. The vault grants by its books, after it has asked those whom the request needs. What grants and books say is the promise
   level's rule (`abstraction.carries`); here is who has to be reached for it, and what each component does.
2. Orders carry the epoch on record (`vault_epoch`), and the active side refuses one that is not its own: after a switch that
   the vault has not recorded, nobody stops the new side for a job of the old one.
3. A failover *switches* at the side that becomes the machine, and nowhere else: there is one durable step, and `done` stays
   there until the vault has recorded it. A vault that gives a planned failover up asks that side first.
4. A planned failover goes on by what the vault believes and switches only when the source itself says that it is off. What the
   vault believes it forgets in a crash, and asks again.
5. A commit has two halves with the vault's record of the first one between; whoever crashes, it goes on.
6. Where points cannot be reached, the vault advertises them no more and cleans up later, so that ending replication needs
   nothing but the books.
"""

from __future__ import annotations

from siteproof.model.promise import changing, commands, ending, progress, resync
from siteproof.model.promise.points import content_of, no_points
from siteproof.model.promise.vocabulary import Failover, Job, Point, Protection, Resync, Site
from siteproof.model.protocol.abstraction import PartRule, books, carries, refines, seen, stutters
from siteproof.model.protocol.data import arrive, emptied_cache, new_log, way_exists
from siteproof.model.protocol.places import is_up, reach
from siteproof.model.protocol.vocabulary import Orders, Parts
from siteproof.model.system import Facts, Requires, Step
from siteproof.model.terms import And, Bool, Change, Choice, If, Implies, Nat, Not, Or

__all__ = ["CONTROL"]


def _to(t: Facts, p: Parts, *sides: str) -> list[Bool]:
    """The vault's orders reach these sides."""
    return [reach(t, p, "vault", side) for side in sides]


def _ordered(t: Facts, p: Parts) -> list[Bool]:
    """The vault's order reaches the active side, which knows its epoch for its own."""
    return [*_to(t, p, "active"), p.vault_epoch == p.epoch]


def _vault(p: Parts) -> Requires:
    """The vault answers."""
    return Requires(p.vault_up, "ControlPlaneDown", precheck=True)


def _asked(t: Facts, p: Parts, *sides: str) -> list[Requires]:
    """The vault answers, and has asked these sides."""
    return [_vault(p), *(Requires(reach(t, p, "vault", side), "ControlPlaneDown", precheck=True) for side in sides)]


# ------------------------------------------------------------------------------------------------------------ requests


@carries(commands.enable_protection)
def enable_protection(t: Facts, p: Parts) -> Step:
    return Step([], _asked(t, p, "active", "passive"))


@carries(commands.planned_failover)
def planned_failover(t: Facts, p: Parts) -> Step:
    return Step([p.session.becomes(True), p.believed_off.becomes(False)], _asked(t, p, "active", "passive"))


@carries(commands.unplanned_failover, leave=("doubt",))
def unplanned_failover(t: Facts, p: Parts, _point: Choice[Point]) -> Step:
    """Move the machine to the other side now. That side takes no more data for the old one; nobody else is asked."""
    busy = Requires(Not(p.done), "JobInProgress")
    return Step([p.orders.becomes(Orders.NONE)], [*_asked(t, p, "passive"), busy])


@carries(commands.commit)
def commit(t: Facts, p: Parts) -> Step:
    return Step([], _asked(t, p))


@carries(commands.reverse_replicate)
def reverse_replicate(t: Facts, p: Parts) -> Step:
    """Replicate back, when the way back is set up."""
    server = Implies(And(t["gateway.temporary"], t["gateway.asked_for"], p.active == Site.RECOVERY), p.server)
    way = Implies(And(t["failback.asks_components"], p.active == Site.RECOVERY), p.way_back)
    return Step([], [*_asked(t, p, "active", "passive"), Requires(server, "ProcessServerMissing", precheck=True),
                     Requires(way, "FailbackNotPrepared", precheck=True)])


@carries(changing.change_pit)
def change_pit(t: Facts, p: Parts, _point: Choice[Point]) -> Step:
    return Step([], _asked(t, p, "active"))


@carries(ending.disable_protection)
def disable_protection(t: Facts, p: Parts) -> Step:
    """Stop to replicate the machine. The passive side takes no more data, if it is up."""
    told = Or(Not(is_up(t, p, "passive")), reach(t, p, "vault", "passive"))
    return Step([p.orders.becomes(Orders.NONE)], [_vault(p), Requires(told, "ControlPlaneDown", precheck=True)])


@carries(ending.complete_migration)
def complete_migration(t: Facts, p: Parts) -> Step:
    return Step([], _asked(t, p))


@carries(resync.repair_replication)
def repair_replication(t: Facts, p: Parts) -> Step:
    """Compare the passive side with the active one, whose host has looked at its logs and is to record again."""
    looked = Requires(p.recording, "ControlPlaneDown", precheck=True)
    return Step([p.orders.becomes(Orders.NONE), p.tracking.becomes(True)], [*_asked(t, p, "active", "passive"), looked])


# --------------------------------------------------------------------------------------------------------- making copies


@carries(progress.copy_base)
def copy_base(t: Facts, p: Parts) -> Step:
    """The passive side has been given the active side's content as it is now. The source tracks from here on."""
    return Step([*new_log(p), p.x_log.becomes(False), *emptied_cache(t, p),
                 p.orders.becomes(Orders.RECEIVE)],
                [*_ordered(t, p), *_to(t, p, "passive"), p.recording, way_exists(t, p)])


@carries(progress.finish_copy)
def finish_copy(t: Facts, p: Parts, _keep: Bool) -> Step:
    return Step([p.orders.becomes(Orders.PROTECT), p.revoked.becomes(False)], [*_ordered(t, p), *_to(t, p, "passive")])


@carries(resync.call_for_resync)
def call_for_resync(t: Facts, p: Parts) -> Step:
    """The source finds that its log is of no use, drops it, and tells the vault."""
    return Step([p.tracking.becomes(And(p.tracking, Not(t["resync.doubt_calls"]))), p.x_log.becomes(False),
                 p.session.becomes(False)], [*_ordered(t, p), p.recording])


@carries(resync.call_out_of_caution)
def call_out_of_caution(t: Facts, p: Parts) -> Step:
    """The source's log may have been spoiled: it drops it, and tells the vault."""
    return Step([p.tracking.becomes(False), p.x_log.becomes(False), p.session.becomes(False)], [*_ordered(t, p), p.recording])


@carries(resync.compare)
def compare(t: Facts, p: Parts) -> Step:
    """The sides have been compared as of now. The source tracks from here on."""
    return Step([*new_log(p), *emptied_cache(t, p)], [*_ordered(t, p), *_to(t, p, "passive"), p.recording, way_exists(t, p)])


@carries(resync.stop_comparing)
def stop_comparing(t: Facts, p: Parts) -> Step:
    return Step([p.tracking.becomes(False), p.x_log.becomes(False)], _ordered(t, p))


@carries(resync.merge)
def merge(t: Facts, p: Parts) -> Step:
    """The replica is brought to what the comparison has noted, unless the source's log was spoiled since."""
    return Step([p.orders.becomes(Orders.RECEIVE)], [*_ordered(t, p), *_to(t, p, "passive"), seen(p).connected, p.recording])


@carries(resync.finish_resync)
def finish_resync(t: Facts, p: Parts, _keep: Bool) -> Step:
    return Step([p.orders.becomes(Orders.PROTECT)], _to(t, p, "passive"))


# ------------------------------------------------------------------------------------------------------------- failovers


@refines(progress.flush_before_stop)
def flush_before_stop(t: Facts, p: Parts, mark: Bool) -> Step:
    return Step([p.cached.becomes(p.cached - 1), *arrive(p, mark)],
                [*_ordered(t, p), p.job == Job.PLANNED, p.half, p.running, seen(p).connected, p.cached > 0])


@carries(progress.stop_source)
def stop_source(t: Facts, p: Parts) -> Step:
    """A planned failover shuts the source down, and the vault takes note."""
    return Step([p.autostart.becomes(False), p.believed_off.becomes(True)], _ordered(t, p))


@stutters()
def confirm_stopped(t: Facts, p: Parts) -> Step:
    """A vault that has forgotten in a crash that the source is off asks it again: without that, the planned failover would wait
    for ever."""
    return Step([p.believed_off.becomes(True)],
                [*_ordered(t, p), p.job == Job.PLANNED, p.half, Not(p.believed_off), Not(p.running), Not(p.autostart)])


@carries(progress.stop_if_reachable)
def stop_if_reachable(t: Facts, p: Parts) -> Step:
    return Step([p.autostart.becomes(False)], _ordered(t, p))


def _roles_change(p: Parts, content: Nat, x_content: Bool) -> list[Change]:
    """The passive side becomes the machine, with `content` and the next epoch; the former one keeps its disk. The new side has
    done its part, and has no log yet."""
    return [
        p.active.becomes(If(p.active == Site.PRIMARY, Site.RECOVERY, Site.PRIMARY)), p.epoch.becomes(p.passive_epoch + 1),
        p.running.becomes(True), p.autostart.becomes(True), p.passive_running.becomes(p.running),
        p.passive_autostart.becomes(p.autostart), p.head.becomes(content), p.passive.becomes(p.head),
        p.cached.becomes(0), p.passive_cached.becomes(p.cached), p.x_active.becomes(x_content), p.x_passive.becomes(p.x_active),
        p.done.becomes(True), p.orders.becomes(Orders.NONE), p.tracking.becomes(False), p.recording.becomes(True),
        p.doubt.becomes(False), p.spoiled.becomes(False), p.closed.becomes(0), p.acked.becomes(0), p.in_transit.becomes(False),
        p.x_log.becomes(False),
    ]


@refines(progress.switch_planned, swaps=True)
def switch_planned(t: Facts, p: Parts) -> Step:
    """The side that has everything becomes the machine, when the old one has confirmed that it is off."""
    m = books(p)
    off = Implies(t["planned.stops_source"], And(p.believed_off, Not(p.running), Not(p.autostart)))
    return Step(
        [*_roles_change(p, p.passive, p.x_passive), p.passive_epoch.becomes(p.epoch + 1)],
        [*_to(t, p, "passive"), m.connected, p.passive_epoch == p.epoch, p.job == Job.PLANNED, p.half, Not(p.done), off,
         Implies(t["planned.drains"], p.passive == p.head),
         Implies(m.follows, And(p.resync == Resync.NONE, p.latest == p.passive))])


@refines(progress.switch_unplanned, swaps=True)
def switch_unplanned(t: Facts, p: Parts) -> Step:
    """The side that was told to becomes the machine, with the content of the chosen point. The old one is not asked."""
    point = content_of(books(p))
    processed = And(p.chosen == Point.LATEST, t["unplanned.latest_processes_received"])
    return Step(
        [*_roles_change(p, point.position, point.holds), p.passive_epoch.becomes(p.epoch), p.fork.becomes(point.position),
         p.received.becomes(p.passive), p.received_known.becomes(True), p.loss.becomes(0), p.loss_known.becomes(False)],
        [*_to(t, p, "passive"), p.job == Job.UNPLANNED, Not(p.done), Implies(processed, p.latest == p.passive)])


@stutters()
def record_switch(t: Facts, p: Parts) -> Step:
    """The vault records that the other side is the machine now, and its epoch."""
    planned = p.job == Job.PLANNED
    kept = If(planned, t["planned.leaves_protected"], t["unplanned.leaves_protected"])
    return Step(
        [p.job.becomes(Job.NONE), p.half.becomes(False), p.failover.becomes(If(planned, Failover.PLANNED, Failover.UNPLANNED)),
         p.protection.becomes(If(kept, Protection.PROTECTED, Protection.NONE)), p.changed.becomes(False),
         p.resync.becomes(Resync.NONE), p.vault_epoch.becomes(p.epoch), p.believed_off.becomes(False), p.done.becomes(False)],
        [*_to(t, p, "active"), p.done, p.job != Job.COMMIT, p.vault_epoch < p.epoch])


def _gives_up(t: Facts, p: Parts) -> Step:
    """The side that would become the machine has been asked, has not switched, and drops what has no base."""
    m = books(p)
    return Step([p.believed_off.becomes(False), p.orders.becomes(If(m.follows, p.orders, Orders.NONE))],
                [*_to(t, p, "passive"), Not(p.done)])


@carries(progress.fail_planned, leave=("doubt", "spoiled"))
def fail_planned(t: Facts, p: Parts) -> Step:
    """A planned failover that was interrupted is given up, after the other side has been asked that it has not switched."""
    return _gives_up(t, p)


@carries(progress.fail_planned_restarting, leave=("doubt", "spoiled"))
def fail_planned_restarting(t: Facts, p: Parts) -> Step:
    """A planned failover that was interrupted is given up likewise, and the source is started again."""
    given = _gives_up(t, p)
    return Step([*given.changes, p.autostart.becomes(True)], [*given.requires, *_ordered(t, p), p.recording])


@carries(progress.contact)
def contact(t: Facts, p: Parts) -> Step:
    fenced = t["returning.fenced_first"]
    return Step([p.passive_autostart.becomes(And(p.passive_running, Not(fenced)))])


@refines(progress.boot)
def boot(t: Facts, p: Parts) -> Step:
    return Step([p.running.becomes(True)], [p.autostart, Not(p.running), is_up(t, p, "active"), p.recording])


@refines(progress.boot_former_source)
def boot_former_source(t: Facts, p: Parts) -> Step:
    return Step([p.passive_running.becomes(True)], [p.passive_autostart, Not(p.passive_running), is_up(t, p, "passive")])


# ---------------------------------------------------------------------------------------------------- commit, change, end


@refines(progress.commit_first_half, name="commit_points")
def commit_points(t: Facts, p: Parts) -> Step:
    """The active side removes the recovery points, and notes that it has; from here commit can only go on."""
    return Step([p.done.becomes(True), *no_points(p, Not(t["commit.removes_points"]))],  # type: ignore[arg-type]
                [*_ordered(t, p), p.job == Job.COMMIT, Not(p.half), Not(p.done)])


@stutters()
def record_points(t: Facts, p: Parts) -> Step:
    """The vault records that the points of a commit are gone."""
    return Step([p.half.becomes(True), p.done.becomes(False)], [*_to(t, p, "active"), p.job == Job.COMMIT, p.done])


@carries(progress.commit_second_half, name="commit_ends")
def commit_ends(t: Facts, p: Parts) -> Step:
    return Step([], [*_to(t, p, "active"), Not(p.done)])


@carries(changing.stop_for_change)
def stop_for_change(t: Facts, p: Parts) -> Step:
    return Step([p.autostart.becomes(False)], _ordered(t, p))


@carries(changing.set_to_point)
def set_to_point(t: Facts, p: Parts) -> Step:
    return Step([p.autostart.becomes(True)], [*_ordered(t, p), p.recording])


@refines(ending.remove_points, name="revoke_points")
def revoke_points(_t: Facts, p: Parts) -> Step:
    """The vault advertises the recovery points no more, since replication ends; they are cleaned up where they lie."""
    return Step([p.half.becomes(True), p.revoked.becomes(True)],
                [p.vault_up, p.job.is_in(Job.DISABLE, Job.MIGRATE), Not(p.half)])


@stutters(fair=False)
def clean_up_points(t: Facts, p: Parts) -> Step:
    """Points that are advertised no more are removed, at the side where they lie."""
    m = books(p)
    where = If(Or(m.pending, m.failover == Failover.COMPLETED), *_to(t, p, "active", "passive"))
    return Step([*no_points(p), p.revoked.becomes(False)], [p.revoked, where])  # type: ignore[arg-type]


@carries(ending.end_replication, leave=("doubt", "spoiled"))
def end_replication(_t: Facts, p: Parts) -> Step:
    return Step([], [p.vault_up])


CONTROL: tuple[PartRule, ...] = (
    enable_protection, planned_failover, unplanned_failover, commit, reverse_replicate, change_pit, disable_protection,
    complete_migration, repair_replication, copy_base, finish_copy, call_for_resync, call_out_of_caution, compare,
    stop_comparing, merge, finish_resync, flush_before_stop, stop_source, confirm_stopped, stop_if_reachable, switch_planned,
    switch_unplanned, record_switch, fail_planned, fail_planned_restarting, contact, boot, boot_former_source, commit_points,
    record_points, commit_ends, stop_for_change, set_to_point, revoke_points, clean_up_points, end_replication)
