"""What the protocol level claims: that it refines the promise level, and where it says more than that level, so of its own.

P1, P3, P8, P9, P17 and P22; their words are in `specs/promises.toml`.
"""

from __future__ import annotations

from siteproof.model.catalogue import promise
from siteproof.model.claims import Claim, Promise, always, can, step
from siteproof.model.promise.vocabulary import Job, Point, Resync, Site
from siteproof.model.protocol.abstraction import FACT, PartRule, refinement, seen
from siteproof.model.protocol.control import CONTROL
from siteproof.model.protocol.copies import COPIES
from siteproof.model.protocol.data import DATA
from siteproof.model.protocol.faults import CRASHES, FAULTS, RESTARTS
from siteproof.model.protocol.vocabulary import Orders, Parts
from siteproof.model.system import Facts
from siteproof.model.terms import And, Bool, Implies, Not, Or

__all__ = ["PARTS", "PROMISES"]

PARTS: tuple[PartRule, ...] = (*CONTROL, *COPIES, *DATA, *FAULTS)
"""Every action of the level."""

_REFINES: dict[str, Claim] = {part.name: claim for part, claim in zip(PARTS, refinement(PARTS), strict=True)}
_CRASHES = tuple(part.name for part in (*CRASHES, *RESTARTS))


def _planned(t: Facts) -> Bool:
    return Or(t["forward.planned_failover"], t["reverse.planned_failover"])


P1 = promise("P1", (
    step("the side that takes over has everything, and the source is off in truth, not only in the books",
         lambda a, _b: And(a.passive == a.head, Not(a.running), Not(a.autostart)), on=("switch_planned",), needs=_planned),
    step("one that is given up has not switched", lambda a, b: And(Not(a.done), a.active == b.active, a.epoch == b.epoch),
         on=("fail_planned", "fail_planned_restarting"), needs=_planned),
    step("nobody stops the new side for a job of the old one", lambda a, _b: Not(a.done), on=("stop_source",), needs=_planned),
))

P3 = promise("P3", (
    always("the books lag behind the authority by one failover at most, and only until it is recorded",
           lambda p: And(p.vault_epoch <= p.epoch, p.epoch <= p.vault_epoch + 1, Implies(p.vault_epoch < p.epoch, p.done))),
    always("no gateway is ahead of the authority", lambda p: p.gateway_epoch <= p.epoch),
    step("the far end takes data of its own epoch only", lambda a, _b: And(
        a.passive_epoch == a.epoch, Implies(FACT["gateway.present"], a.gateway_epoch == a.epoch)), on=("deliver", "receive")),
    step("the gateway takes no data of an older epoch than it has seen", lambda a, b: b.gateway_epoch >= a.gateway_epoch,
         on=("open_session", "send"), needs=lambda t: t["gateway.present"]),
))

P8 = promise("P8", (
    always("a machine that is protected is really tracked, unless that is called for", lambda p: p.tracking,
           given=lambda p: And(seen(p).follows, seen(p).resync == Resync.NONE, Not(p.spoiled))),
    always("what the replica lacks is in the source's logs", lambda p: p.x_log,
           given=lambda p: And(seen(p).follows, seen(p).resync == Resync.NONE, Not(p.spoiled), p.x_active, Not(p.x_passive))),
    always("a machine that replicates back has its process server", lambda p: p.server,
           given=lambda p: And(seen(p).follows, p.active == Site.RECOVERY), needs=lambda t: t["gateway.temporary"]),
))

P9 = promise("P9", (
    step("a log is dropped only when all of it has been received", lambda a, _b: And(a.acked <= a.passive, a.closed <= a.passive),
         on=("drop_log",), given=lambda a, _b: seen(a).tracks),
    step("a log that was recording when its host failed is in doubt", lambda _a, b: b.doubt,
         on=("recover_log",), given=lambda a, _b: a.tracking),
    always("what the gateway's cache holds is still in the source's logs", lambda p: p.x_log,
           given=lambda p: And(p.x_queue, p.gateway_epoch == p.epoch, p.orders != Orders.NONE, Not(p.spoiled)),
           needs=lambda t: t["gateway.present"]),
))

P17 = promise("P17", (
    *(_REFINES[name] for name in _CRASHES),
    *(_REFINES[name] for name in ("recover_log", "resume", "record_switch", "record_points")),
    step("no acknowledgement is forgotten, at either side", lambda a, b: And(
        a.head == b.head, a.passive == b.passive, a.acked == b.acked, a.epoch == b.epoch, a.vault_epoch == b.vault_epoch,
        a.job == b.job, Implies(a.x_active, b.x_active), Implies(a.x_passive, b.x_passive), Implies(a.x_log, b.x_log)),
         on=_CRASHES),
))


def _worst_day(p: Parts) -> Bool:
    """The primary site is gone, with the link and whatever else; the vault works, and so does a relay at the recovery side."""
    return And(p.active == Site.PRIMARY, Not(p.primary_up), Not(p.link_up), p.recovery_up, p.vault_up,
               Or(p.relay_up, Not(FACT["control.one_relay"])))


def _waiting(p: Parts) -> Bool:
    m = seen(p)
    return And(m.follows, m.test == type(p).test.initial, m.job == Job.NONE)


P22 = promise("P22", (
    always("with the primary site gone, the vault grants an unplanned failover to the newest point",
           lambda _p: can("unplanned_failover", point=Point.PROCESSED),
           given=lambda p: And(_waiting(p), _worst_day(p), Not(p.done)),
           needs=lambda t: t["forward.unplanned_failover"]),
    always("and the recovery side carries it out with the vault alone",
           lambda _p: Or(can("switch_unplanned"), can("cut_last_point", keep=False)),
           given=lambda p: And(p.job == Job.UNPLANNED, Not(p.done), _worst_day(p)),
           needs=lambda t: t["forward.unplanned_failover"]),
    always("and the vault can record it", lambda _p: can("record_switch"),
           given=lambda p: And(p.done, p.job == Job.UNPLANNED, p.active == Site.RECOVERY, Not(p.primary_up), p.recovery_up,
                               p.vault_up, Or(p.relay_up, Not(FACT["control.one_relay"]))),
           needs=lambda t: t["forward.unplanned_failover"]),
))

REFINEMENT = promise("R1", tuple(claim for name, claim in _REFINES.items() if claim not in P17.claims))

PROMISES: tuple[Promise, ...] = (P1, P3, P8, P9, P17, P22, REFINEMENT)
