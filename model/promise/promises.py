"""What the promise level claims of the promises P1–P25; their words are in `specs/promises.toml`.

Here are failovers and their end (P1, P2, P3, P7, P12, P16, P20); `promises_of_copies` speaks of points, test copies and the
replica, `promises_of_requests` of what is granted. A reader who has read the actions can judge every line; the lemmas that carry
the proofs are elsewhere and need not be believed.
"""

from __future__ import annotations

from siteproof.model.catalogue import promise
from siteproof.model.claims import Promise, always, step
from siteproof.model.promise.promises_of_copies import P4, P6, P8, P9, P10, P21
from siteproof.model.promise.promises_of_offers import P11, P18
from siteproof.model.promise.promises_of_requests import P13, P22
from siteproof.model.promise.vocabulary import Direction, Failover, Fate, Job, Machine, Point, Protection, Resync, Site
from siteproof.model.system import Facts
from siteproof.model.terms import And, Bool, Implies, Not, Or, iff

__all__ = ["PROMISES"]


def _planned_offered(t: Facts) -> Bool:
    return Or(t["forward.planned_failover"], t["reverse.planned_failover"])


def _change_offered(t: Facts) -> Bool:
    return Or(t["forward.change_point"], t["reverse.change_point"])


def _same_machine(a: Machine, b: Machine) -> Bool:
    return And(a.active == b.active, a.epoch == b.epoch, a.protection == b.protection, a.failover == b.failover,
               Implies(a.running, b.running))


def _same_points(a: Machine, b: Machine) -> Bool:
    return And(
        iff(a.points, b.points), a.latest == b.latest, iff(a.x_latest, b.x_latest), iff(a.point, b.point),
        iff(a.x_point, b.x_point), iff(a.app, b.app), iff(a.x_app, b.x_app))


_FAILED = ("fail_planned", "fail_planned_restarting")
_WRITES = ("write", "flush", "flush_before_stop")

P1 = promise("P1", (
    step("every acknowledged write is on the new side", lambda _a, b: b.x_active,
         given=lambda a, _b: a.x_fate == Fate.WRITTEN, on=("switch_planned",), needs=_planned_offered),
    step("the source has stopped, its cache written out", lambda a, b: And(Not(b.passive_running), a.cached == 0),
         on=("switch_planned",), needs=_planned_offered),
    step("the other side is the machine, and runs", lambda a, b: And(a.active != b.active, b.running),
         on=("switch_planned",), needs=_planned_offered),
    step("its last point holds all that was moved",
         lambda _a, b: And(b.points, b.latest == b.head, iff(b.x_latest, b.x_active)),
         given=lambda a, _b: a.follows, on=("switch_planned",), needs=_planned_offered),
    step("a failed one leaves authority, points and content as they were",
         lambda a, b: And(_same_machine(a, b), _same_points(a, b), iff(a.x_active, b.x_active), a.head == b.head),
         on=_FAILED, needs=_planned_offered),
    step("it fails only after a fault or a restart", lambda a, _b: a.disturbed, on=_FAILED, needs=_planned_offered),
))

P2 = promise("P2", (
    step("the content is exactly the prefix at the point",
         lambda a, b: iff(b.x_active, And(a.x_active, a.x_at <= b.head)), on=("switch_unplanned",)),
    step("the branch starts at the point, and the old side keeps its disk",
         lambda a, b: And(b.fork == b.head, b.passive == a.head, iff(b.x_passive, a.x_active)), on=("switch_unplanned",)),
    step("the point was advertised",
         lambda a, _b: And(a.points, Implies(a.chosen == Point.CUSTOM, a.point), Implies(a.chosen == Point.APP, a.app)),
         on=("switch_unplanned",)),
    step("the other side is the machine, and runs", lambda a, b: And(a.active != b.active, b.running),
         on=("switch_unplanned",)),
    step("“latest” has every write that had been received", lambda _a, b: b.x_active,
         given=lambda a, _b: And(a.chosen == Point.LATEST, a.x_passive), on=("switch_unplanned",)),
    step("“latest”, from a source that is stopped and drained, loses nothing", lambda _a, b: b.x_active,
         given=lambda a, _b: And(a.chosen == Point.LATEST, Not(a.running), a.passive == a.head, a.x_fate == Fate.WRITTEN),
         on=("switch_unplanned",)),
    always("an acknowledged write is on the machine unless the chosen point left it behind", lambda m: m.x_active,
           given=lambda m: And(m.x_fate == Fate.WRITTEN, m.failover != Failover.UNPLANNED, Not(m.changed))),
    step("what was received is reported", lambda a, b: And(b.received_known, b.received == a.passive),
         on=("switch_unplanned",)),
    step("the reported loss is the number of writes beyond the point",
         lambda a, b: And(b.loss_known, b.fork + b.loss == a.passive), on=("contact",)),
    always("the reported loss counts from the point that was chosen last", lambda m: m.fork + m.loss == m.passive,
           given=lambda m: And(m.failover == Failover.UNPLANNED, m.loss_known)),
    step("a change of point sets the machine to exactly the prefix at the point",
         lambda a, b: And(b.running, b.head == b.fork, iff(b.x_active, And(a.x_passive, a.x_at <= b.head)),
                          Implies(a.chosen == Point.CUSTOM, b.head == a.point_at)),
         given=lambda a, _b: a.x_fate == Fate.WRITTEN, on=("set_to_point",), needs=_change_offered),
    step("what it wrote since the failover is discarded then", lambda _a, b: b.x_fate == Fate.DISCARDED,
         given=lambda a, _b: And(a.x_active, Not(a.x_passive), a.x_fate == Fate.WRITTEN), on=("set_to_point",),
         needs=_change_offered),
    step("a write that only the old side has is counted in the loss",
         lambda a, b: And(a.x_at > b.fork, a.x_at <= b.fork + b.loss),
         given=lambda a, _b: And(a.x_passive, Not(a.x_active)), on=("contact",)),
    always("no loss is reported before the old side was contacted", lambda m: Not(m.loss_known),
           given=lambda m: m.passive_epoch < m.epoch),
))

P3 = promise("P3", (
    always("both sides run only while the old one has not been contacted", lambda m: m.passive_epoch < m.epoch,
           given=lambda m: And(m.running, m.passive_running)),
    always("never both sides after a planned failover", lambda m: Not(And(m.running, m.passive_running)),
           given=lambda m: m.failover == Failover.PLANNED, needs=_planned_offered),
    step("the epoch only grows, and grows with every change of authority",
         lambda a, b: And(b.epoch >= a.epoch, Implies(a.active != b.active, b.epoch > a.epoch))),
    step("nothing enters the machine but its own workload's writes, and the content of its points",
         lambda a, _b: Or(a.x_active, a.x_fate == Fate.UNISSUED, And(a.job == Job.CHANGE, Or(a.x_latest, a.x_point))),
         given=lambda a, b: And(a.active == b.active, b.x_active)),
    step("only a guest that runs writes", lambda a, b: And(a.running, b.head == a.head + 1), on=_WRITES),
    step("on contact the old side is stopped, and it is reported if it ran",
         lambda a, b: And(Not(b.passive_running), Implies(a.passive_running, b.alerted)), on=("contact",)),
    step("before it is fenced, the old side is given nothing",
         lambda a, b: And(b.passive >= a.passive, Implies(b.x_passive, Or(a.x_passive, a.x_fate == Fate.UNISSUED))),
         given=lambda a, _b: a.passive_epoch < a.epoch),
    always("no side is ahead of the authority's epoch", lambda m: m.passive_epoch <= m.epoch),
))

_ENDS = (Job.COMMIT, Job.DISABLE, Job.MIGRATE)

P7 = promise("P7", (
    step("a commit that has begun ends committed",
         lambda _a, b: Or(b.job == Job.COMMIT, And(b.job == Job.NONE, b.failover.is_in(Failover.COMMITTED, Failover.NONE))),
         given=lambda a, _b: a.job == Job.COMMIT),
    step("during commit nothing that the machine holds is given up",
         lambda a, b: And(a.active == b.active, Implies(a.x_active, b.x_active)),
         given=lambda a, _b: a.job == Job.COMMIT),
    step("after commit every other point is gone", lambda _a, b: Not(Or(b.points, b.point, b.app)),
         on=("commit_second_half",)),
    step("after commit, or the end of replication, a write that the machine does not hold is discarded",
         lambda _a, b: b.x_fate == Fate.DISCARDED,
         given=lambda a, _b: And(a.x_fate == Fate.WRITTEN, Not(a.x_active)), on=("commit_second_half", "end_replication")),
    step("replication that is ended at recovery is ended for good",
         lambda _a, b: And(b.failover == Failover.COMPLETED, b.protection == Protection.NONE, Not(b.points)),
         given=lambda a, _b: a.active == Site.RECOVERY, on=("end_replication",)),
    step("what has ended for good stays so", lambda a, b: And(
        b.failover == Failover.COMPLETED, b.active == a.active, b.job == Job.NONE, Implies(a.x_active, b.x_active)),
         given=lambda a, _b: a.failover == Failover.COMPLETED),
    always("a committed failover advertises no point", lambda m: And(Not(m.points), Not(m.point)),
           given=lambda m: And(m.failover == Failover.COMMITTED, Not(m.copying))),
    step("until commit the points stay as they are",
         lambda a, b: And(b.points, a.latest == b.latest, iff(a.x_latest, b.x_latest), iff(a.point, b.point),
                          iff(a.x_point, b.x_point), iff(a.app, b.app), iff(a.x_app, b.x_app)),
         given=lambda a, _b: And(a.pending, Not(a.job.is_in(*_ENDS)), a.points)),
    step("until commit the old side's disk is not overwritten",
         lambda a, b: And(Implies(a.x_passive, b.x_passive), b.passive >= a.passive),
         given=lambda a, _b: And(a.pending, Not(a.job.is_in(*_ENDS)))),
))

P12 = promise("P12", (
    always("at primary, replication goes forward", lambda m: m.direction == Direction.FORWARD,
           given=lambda m: And(m.follows, m.active == Site.PRIMARY)),
    always("at recovery, replication goes in reverse", lambda m: m.direction == Direction.REVERSE,
           given=lambda m: And(m.follows, m.active == Site.RECOVERY)),
    always("an unprotected machine with no failover is at primary", lambda m: m.active == Site.PRIMARY,
           given=lambda m: And(m.protection == Protection.NONE, m.failover == Failover.NONE)),
))

P16 = promise("P16", (
    step("a running job ends before another one starts", lambda a, b: Or(
        b.job == a.job, b.job == Job.NONE, And(b.job == Job.UNPLANNED, Or(
            a.job == Job.PLANNED, And(a.job == Job.REPAIR, a.resync == Resync.COMPARING)))),
         given=lambda a, _b: a.job != Job.NONE),
    step("no request disturbs a job but that one", lambda a, _b: a.job == Job.NONE,
         on=("enable_protection", "planned_failover", "commit", "reverse_replicate", "test_failover", "test_failover_cleanup",
             "change_pit", "disable_protection", "complete_migration", "repair_replication")),
))

P20 = promise("P20", (
    always("not on the machine's disk", lambda m: Not(m.x_active), given=lambda m: m.x_fate == Fate.DISCARDED),
    always("not in the newest point", lambda m: Not(And(m.points, m.x_latest)),
           given=lambda m: m.x_fate == Fate.DISCARDED),
    always("not in the newest app-consistent point", lambda m: Not(And(m.app, m.x_app)),
           given=lambda m: m.x_fate == Fate.DISCARDED),
    always("not in any kept point", lambda m: Not(And(m.point, m.x_point)),
           given=lambda m: m.x_fate == Fate.DISCARDED),
    always("not on a replica that follows the machine", lambda m: Not(m.x_passive),
           given=lambda m: And(m.x_fate == Fate.DISCARDED, m.follows)),
))

PROMISES: tuple[Promise, ...] = (P1, P2, P3, P4, P6, P7, P8, P9, P10, P11, P12, P13, P16, P18, P20, P21, P22)
