"""The protocol level's variables: what each component knows, where it keeps that, and whether it survives a crash there.

Rules
1. Places are roles. *active* and *passive* are the two sides with their hosts, agents, disks and logs; *gateway* is the process
   server on the way, *vault* the control plane's books, *network* the way between the sides. Two more are roles of roles:
   *points* is the side where the recovery points lie, *target* the side that carries out what the vault has on record. What
   stands for a place in a flow is in its topology (`siteproof.model.protocol.places`).
2. A volatile variable holds nothing after a crash of its place: false, zero, the first member. One that lies in several places
   at once, a session, is lost with any of them. Variables without a place are nobody's: names of roles, reports that only a
   reader sees, and marks, but for what a cache holds of the marked write, which is lost with the cache.
3. Most variables are the promise level's own, with a place. What the protocol says more closely is written out here, and the
   promise's variable is a term over it (`abstraction`).
4. The vault's books lag behind: `done` says that the side in charge has done its part of the job that the books still call
   running. Belief (`believed_off`) is one thing, truth (`running`) another.
5. The change log is double-buffered: one closed log is in transit while another one records. Writes up to `closed` are in
   closed logs, and a closed log is dropped when the far end has acknowledged (`acked`) all of it.
6. The gateway's cache is volatile: `queue` writes beyond what the passive side has received. A cache belongs to one session,
   that of the epoch `gateway_epoch`.
7. The passive side acts on orders. It forgets them in a crash, and then does nothing until the vault has repeated them.
"""

from __future__ import annotations

import enum
from typing import TypeVar

import attrs

from siteproof.model.promise.vocabulary import Machine
from siteproof.model.system import Variable, Vocabulary, choice, flag, nat
from siteproof.model.terms import Term

__all__ = ["Orders", "Parts"]

T = TypeVar("T", bound=Term)


class Orders(enum.Enum):
    """What the passive side has been told to do since it started."""

    NONE = "nothing"
    RECEIVE = "receive"
    PROTECT = "receive and cut recovery points"


def _at(place: str, promised: Variable[T], *, durable: bool = True) -> Variable[T]:
    """A variable of the promise level, with the place where it is kept."""
    return attrs.evolve(promised, place=place, durable=durable)


class Parts(Vocabulary):
    """The components of one machine's replication, and the infrastructure that they share with others."""

    active = Machine.active
    protection = _at("vault", Machine.protection)
    direction = _at("vault", Machine.direction)
    failover = _at("vault", Machine.failover)
    job = _at("vault", Machine.job)
    half = _at("vault", Machine.half)
    chosen = _at("vault", Machine.chosen)
    changed = _at("vault", Machine.changed)
    test = _at("vault", Machine.test)
    resync = _at("vault", Machine.resync)
    staged = _at("vault", Machine.staged)
    vault_epoch = nat(1, "the epoch that the vault has on record", place="vault")
    believed_off = flag(False, "the vault believes that a planned failover has stopped the source", place="vault", durable=False)
    revoked = flag(False, "the vault advertises the points no more; they wait to be cleaned up", place="vault")
    way_back = flag(False, "the master target and the failback policy of the way back are set up", place="vault")
    session = flag(False, "nothing has interrupted the planned failover that runs", place="active passive gateway network",
                   durable=False)
    done = flag(False, "the side in charge has done its part of the job on record, and the vault has not recorded it",
                place="target")

    epoch = _at("active", Machine.epoch)
    running = _at("active", Machine.running, durable=False)
    autostart = flag(True, "the active side's host is to run the guest: it starts again with the power", place="active")
    head = _at("active", Machine.head)
    cached = _at("active", Machine.cached, durable=False)
    tracking = flag(False, "the source has been told to track writes", place="active")
    recording = flag(True, "the source has looked at its logs since it started, and can record", place="active", durable=False)
    doubt = _at("active", Machine.doubt)
    spoiled = _at("active", Machine.spoiled)
    closed = nat(0, "writes up to here are in closed logs; later ones in the open log", place="active")
    acked = nat(0, "position up to which the far end has acknowledged", place="active")
    in_transit = flag(False, "there is a closed log that has not been dropped", place="active")

    passive_epoch = _at("passive", Machine.passive_epoch)
    passive_running = _at("passive", Machine.passive_running, durable=False)
    passive_autostart = flag(False, "the passive side's host is to run the guest, likewise", place="passive")
    passive = _at("passive", Machine.passive)
    passive_cached = _at("passive", Machine.passive_cached, durable=False)
    orders = choice(Orders.NONE, "what the passive side has been told to do since it started", place="passive", durable=False)
    test_running = _at("passive", Machine.test_running, durable=False)
    test_at = _at("passive", Machine.test_at)

    points = _at("points", Machine.points)
    latest = _at("points", Machine.latest)
    point = _at("points", Machine.point)
    point_at = _at("points", Machine.point_at)
    app = _at("points", Machine.app)
    app_at = _at("points", Machine.app_at)
    pinned = _at("points", Machine.pinned)

    server = flag(False, "the temporary process server of the way back stands ready", place="gateway")
    queue = nat(0, "writes in the gateway's cache that the passive side has not received", place="gateway", durable=False)
    gateway_epoch = nat(0, "the epoch of the session whose data the gateway's cache holds", place="gateway", durable=False)

    fork = Machine.fork
    received = Machine.received
    received_known = Machine.received_known
    loss = Machine.loss
    loss_known = Machine.loss_known
    alerted = Machine.alerted

    primary_up = Machine.primary_up
    recovery_up = Machine.recovery_up
    link_up = Machine.link_up
    gateway_up = Machine.gateway_up
    vault_up = flag(True, "the vault can be reached", shared=True)
    relay_up = flag(True, "the component works through which the vault reaches the primary side", shared=True)

    x_fate = Machine.x_fate
    x_at = Machine.x_at
    x_active = Machine.x_active
    x_passive = Machine.x_passive
    x_latest = Machine.x_latest
    x_point = Machine.x_point
    x_app = Machine.x_app
    x_test = Machine.x_test
    x_staged = Machine.x_staged
    x_log = flag(False, "the source's logs hold the marked write", mark=True)
    x_queue = flag(False, "the gateway's cache holds the marked write", mark=True, place="gateway", durable=False)
