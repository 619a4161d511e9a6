"""The way of the data: from the source's open log over closed logs and the gateway's cache to the far end, and the answer back.

Rules
1. A write is acknowledged to the guest when it is on the disk and, if the source tracks, in the open log.
2. The open log is closed when the one before it has been dropped; only closed logs are sent, from the first write that neither
   the far end nor the gateway's cache has.
3. What the gateway has is in its cache only, and a crash takes it; the source sends it again. A write is received when the far
   end has it on disk, and a log is dropped when that has been acknowledged to the source, end to end, and not before.
4. The far end takes data only under orders, and only of the epoch that it knows itself; the gateway's cache belongs to one
   epoch, and a newer session throws the older one's data away.
5. A host that has started looks at its logs before anything runs on it: a log that it finds recording was not closed, and is in
   doubt.
"""

from __future__ import annotations

from siteproof.model.promise import environment, progress
from siteproof.model.promise.environment import marks
from siteproof.model.promise.vocabulary import Fate, Job, Resync, Site
from siteproof.model.protocol.abstraction import PartRule, books, carries, refines, seen, stutters
from siteproof.model.protocol.places import is_up, reach
from siteproof.model.protocol.vocabulary import Orders, Parts
from siteproof.model.system import Facts, Step
from siteproof.model.terms import And, Bool, Change, If, Implies, Not, Or

__all__ = ["DATA", "arrive", "emptied_cache", "new_log", "way_exists"]


def way_exists(t: Facts, p: Parts) -> Bool:
    """Data has a way to go: on the way back, where the flow has one, over the temporary process server."""
    return Implies(And(t["gateway.temporary"], p.active == Site.RECOVERY), p.server)


def new_log(p: Parts) -> list[Change]:
    """The source tracks from now on, in a new log."""
    return [p.tracking.becomes(True), p.doubt.becomes(False), p.spoiled.becomes(False), p.closed.becomes(p.head),
            p.acked.becomes(0), p.in_transit.becomes(False)]


def emptied_cache(t: Facts, p: Parts) -> list[Change]:
    """The gateway's cache is empty, and belongs to the active side's epoch."""
    return [p.queue.becomes(0), p.x_queue.becomes(False),
            p.gateway_epoch.becomes(If(t["gateway.present"], p.epoch, p.gateway_epoch))]


def arrive(p: Parts, mark: Bool) -> list[Change]:
    """One write reaches the active side's disk, and its open log if that is of use. What cannot be shipped may overflow it."""
    marked = marks(seen(p), mark)
    logged = And(marked, p.tracking, Not(p.spoiled))
    return [
        p.head.becomes(p.head + 1), p.doubt.becomes(Or(p.doubt, And(p.tracking, Not(And(seen(p).connected, p.gateway_up))))),
        p.x_fate.becomes(If(marked, Fate.WRITTEN, p.x_fate)), p.x_at.becomes(If(marked, p.head + 1, p.x_at)),
        p.x_active.becomes(Or(p.x_active, marked)), p.x_log.becomes(Or(p.x_log, logged)),
    ]


@refines(environment.write)
def write(_t: Facts, p: Parts, mark: Bool) -> Step:
    """The workload writes one block; the disk has it, and the open log."""
    return Step(arrive(p, mark), [p.running, p.cached == 0])


@refines(environment.write_cached)
def write_cached(_t: Facts, p: Parts) -> Step:
    return Step([p.cached.becomes(p.cached + 1)], [p.running])


@refines(environment.flush)
def flush(_t: Facts, p: Parts, mark: Bool) -> Step:
    return Step([p.cached.becomes(p.cached - 1), *arrive(p, mark)], [p.running, p.cached > 0])


@stutters()
def close_log(t: Facts, p: Parts) -> Step:
    """The open log is closed, and is in transit from now on; another one records."""
    return Step([p.closed.becomes(p.head), p.in_transit.becomes(True)],
                [is_up(t, p, "active"), p.recording, p.tracking, Not(p.in_transit), p.closed < p.head])


def _ships(t: Facts, p: Parts) -> list[Bool]:
    """The source has a log of use, the far end takes it, and there is a way."""
    return [seen(p).connected, p.gateway_up, p.tracking, Not(p.spoiled), p.orders != Orders.NONE, way_exists(t, p)]


@stutters()
def open_session(t: Facts, p: Parts) -> Step:
    """The gateway, which is new or has data of an older epoch, begins with the source anew."""
    older = Implies(t["returning.epoch_checked"], p.gateway_epoch < p.epoch)
    return Step(emptied_cache(t, p), [t["gateway.present"], *_ships(t, p), p.gateway_epoch != p.epoch, older])


@stutters(requirements=("V2A-31", "V2A-32"))
def send(t: Facts, p: Parts) -> Step:
    """The next write of a closed log goes into the gateway's cache."""
    return Step(
        [p.queue.becomes(p.queue + 1), p.x_queue.becomes(Or(p.x_queue, And(p.x_log, p.x_at == p.passive + p.queue + 1)))],
        [t["gateway.present"], *_ships(t, p), p.gateway_epoch == p.epoch, p.passive + p.queue < p.closed])


@refines(progress.replicate, name="deliver")
def deliver(t: Facts, p: Parts) -> Step:
    """The far end receives the oldest write of the gateway's cache, and has it on disk."""
    return Step(
        [p.passive.becomes(p.passive + 1), p.queue.becomes(p.queue - 1),
         p.x_passive.becomes(Or(p.x_passive, And(p.x_queue, p.x_at == p.passive + 1))),
         p.x_queue.becomes(And(p.x_queue, p.x_at != p.passive + 1))],
        [t["gateway.present"], *_ships(t, p), Implies(t["returning.epoch_checked"], p.gateway_epoch == p.passive_epoch),
         p.queue > 0])


@refines(progress.replicate, name="receive")
def receive(t: Facts, p: Parts) -> Step:
    """The far end receives the next write of a closed log from the source itself, and has it on disk."""
    return Step(
        [p.passive.becomes(p.passive + 1), p.x_passive.becomes(Or(p.x_passive, And(p.x_log, p.x_at == p.passive + 1)))],
        [Not(t["gateway.present"]), *_ships(t, p), Implies(t["returning.epoch_checked"], p.epoch == p.passive_epoch),
         p.passive < p.closed])


@stutters(requirements=("V2A-34", "H2S-20"))
def acknowledge(_t: Facts, p: Parts) -> Step:
    """The far end tells the source how far it has received."""
    return Step([p.acked.becomes(p.passive)], [seen(p).connected, p.tracking, p.orders != Orders.NONE, p.acked < p.passive])


@stutters()
def drop_log(t: Facts, p: Parts) -> Step:
    """The closed log is dropped: all of it has been acknowledged."""
    return Step([p.in_transit.becomes(False), p.x_log.becomes(And(p.x_log, p.x_at > p.closed))],
                [is_up(t, p, "active"), p.recording, p.tracking, Not(p.spoiled), p.in_transit, p.acked >= p.closed])


@stutters()
def resume(t: Facts, p: Parts) -> Step:
    """The passive side, started anew, is told again what the books say of it."""
    m = books(p)
    cuts = And(m.follows, m.job.is_in(Job.NONE, Job.PLANNED, Job.TEST, Job.CLEANUP))
    takes = Or(And(m.copying, m.half), m.resync == Resync.MERGING)
    return Step([p.orders.becomes(If(cuts, Orders.PROTECT, Orders.RECEIVE))],
                [reach(t, p, "vault", "passive"), Not(p.done), p.orders == Orders.NONE, Or(cuts, takes)])


@stutters()
def recover_log(t: Facts, p: Parts) -> Step:
    """A host that has started finds its log: one that was recording was not closed, and is in doubt."""
    return Step([p.recording.becomes(True), p.doubt.becomes(Or(p.doubt, p.tracking))],
                [is_up(t, p, "active"), Not(p.recording)])


@carries(progress.accept_former_source)
def accept_former_source(_t: Facts, _p: Parts) -> Step:
    """A component takes data from a side that still thinks it is the source. With the epoch check this cannot happen."""
    return Step([], [])


DATA: tuple[PartRule, ...] = (write, write_cached, flush, close_log, open_session, send, deliver, receive, acknowledge, drop_log,
                              resume, recover_log, accept_former_source)
