"""What is claimed of copies of the machine: recovery points, test copies, the replica and its resynchronisation.

P4, P6, P8, P9, P10 and P21; their words are in `specs/promises.toml`. Where a claim says that something can be done, it asks
for the preconditions of the very action that does it.
"""

from __future__ import annotations

from siteproof.model.catalogue import promise
from siteproof.model.claims import always, can, step
from siteproof.model.promise.ending import ENDING
from siteproof.model.promise.points import POINTS
from siteproof.model.promise.progress import PROGRESS
from siteproof.model.promise.resync import RESYNC
from siteproof.model.promise.testing import TESTING
from siteproof.model.promise.vocabulary import Failover, Fate, Job, Machine, Point, Protection, Resync, Test
from siteproof.model.system import Facts
from siteproof.model.terms import And, Bool, Implies, Not, Or, iff

__all__ = ["P4", "P6", "P8", "P9", "P10", "P21", "same"]

def same(a: Machine, b: Machine, *, apart_from: frozenset[str] = frozenset()) -> Bool:
    """Nothing has changed, apart from the variables that are named."""
    return And(*(Bool(a.terms[name].node == b.terms[name].node) for name in a.terms if name not in apart_from))


def _same_points(a: Machine, b: Machine) -> Bool:
    return And(
        iff(a.points, b.points), a.latest == b.latest, iff(a.x_latest, b.x_latest),
        iff(a.point, b.point), Implies(a.point, a.point_at == b.point_at), iff(a.x_point, b.x_point),
        iff(a.app, b.app), Implies(a.app, a.app_at == b.app_at), iff(a.x_app, b.x_app))


def _left_behind(m: Machine) -> Bool:
    return And(m.pending, Not(m.copying), m.x_fate == Fate.WRITTEN)


_REMOVE = ("prune_point", "commit_first_half", "remove_points", "finish_resync")
_KEEP = tuple(rule.name for rule in (*POINTS, *PROGRESS, *TESTING, *RESYNC, *ENDING) if rule.name not in _REMOVE)

P4 = promise("P4", (
    always("the newest point holds exactly its prefix", lambda m: iff(m.x_latest, And(m.x_active, m.x_at <= m.latest)),
           given=lambda m: And(m.follows, m.points)),
    always("an older point holds exactly its prefix", lambda m: iff(m.x_point, And(m.x_active, m.x_at <= m.point_at)),
           given=lambda m: And(m.follows, m.point)),
    always("an app-consistent point holds exactly its prefix", lambda m: iff(m.x_app, And(m.x_active, m.x_at <= m.app_at)),
           given=lambda m: And(m.follows, m.app)),
    always("after a failover a point holds exactly its prefix of what the old side has",
           lambda m: iff(m.x_point, And(m.x_passive, m.x_at <= m.point_at)), given=lambda m: And(_left_behind(m), m.point)),
    step("a point never changes, and only retention, commit, the end of a resynchronisation or of replication removes it",
         lambda a, b: And(b.point, a.point_at == b.point_at, iff(a.x_point, b.x_point)),
         given=lambda a, _b: a.point, on=_KEEP),
    always("the point that a job was given stays", lambda m: m.point,
           given=lambda m: And(m.job.is_in(Job.UNPLANNED, Job.TEST, Job.CHANGE), m.chosen == Point.CUSTOM)),
    always("the app-consistent point that a job was given stays, or a newer one", lambda m: m.app,
           given=lambda m: And(m.job.is_in(Job.UNPLANNED, Job.TEST), m.chosen == Point.APP)),
    always("the point that a test copy was made of stays", lambda m: m.point, given=lambda m: m.pinned,
           needs=lambda t: _tested(t)),
    always("where replication has ended no point is advertised", lambda m: Not(Or(m.points, m.point, m.app)),
           given=lambda m: And(m.protection == Protection.NONE, m.failover.is_in(Failover.NONE, Failover.COMPLETED))),
))


def _tested(t: Facts) -> Bool:
    return Or(t["forward.test_failover"], t["reverse.test_failover"])


_TEST_STEPS = tuple(rule.name for rule in TESTING if rule.name != "leak_test_write")
_TEST_OWN = frozenset({"job", "half", "chosen", "test", "test_running", "test_at", "pinned", "x_test", "x_fate"})

P6 = promise("P6", (
    step("a test failover and its copy change nothing but their own", lambda a, b: same(a, b, apart_from=_TEST_OWN),
         on=_TEST_STEPS, needs=_tested),
    step("what becomes of a write is no affair of the copy's, unless it is the copy's own",
         lambda a, b: Or(a.x_fate == b.x_fate, And(a.x_fate == Fate.UNISSUED, b.x_fate == Fate.DISCARDED, b.x_test)),
         on=_TEST_STEPS, needs=_tested),
    always("the copy holds exactly the content of its point", lambda m: iff(m.x_test, And(m.x_active, m.x_at <= m.test_at)),
           given=lambda m: And(m.test == Test.RUNNING, m.x_fate == Fate.WRITTEN), needs=_tested),
    always("the copy runs only during its test, where there is power", lambda m: And(m.test == Test.RUNNING, m.passive_up),
           given=lambda m: m.test_running, needs=_tested),
    always("what the copy wrote never comes back",
           lambda m: Not(Or(m.x_active, m.x_passive, m.x_latest, m.x_point, m.x_app)),
           given=lambda m: And(m.x_test, m.x_fate == Fate.DISCARDED), needs=_tested),
    always("replication goes on", lambda _m: can("replicate"),
           given=lambda m: And(_testing(m), m.can_ship, m.passive < m.head, m.resync == Resync.NONE, Not(m.spoiled)),
           needs=_tested),
    always("a clean-up is granted with the other site dead",
           lambda _m: can("test_failover_cleanup"),
           given=lambda m: And(m.test == Test.RUNNING, m.job == Job.NONE, m.passive_up, Not(m.active_up)), needs=_tested),
    always("a clean-up comes to its end with the other site dead", lambda _m: can("remove_test_copy"),
           given=lambda m: And(m.job == Job.CLEANUP, m.passive_up, Not(m.active_up)), needs=_tested),
    step("after the clean-up nothing is left of the copy",
         lambda _a, b: And(b.test == Test.NONE, Not(b.test_running), Not(b.pinned), Not(b.x_test)),
         on=("remove_test_copy",), needs=_tested),
))


def _testing(m: Machine) -> Bool:
    return Or(m.job == Job.TEST, m.test == Test.RUNNING)


def _replicating(m: Machine) -> Bool:
    """Replicated, with nothing known or unknown that stands in the way."""
    return And(m.follows, m.resync == Resync.NONE, Not(m.spoiled))


P8 = promise("P8", (
    always("in step, both sides hold the same writes", lambda m: iff(m.x_active, m.x_passive),
           given=lambda m: And(m.follows, m.resync == Resync.NONE, m.passive == m.head)),
    always("what the replica lacks is in the change log, and comes next", lambda m: And(Not(m.x_gap), m.x_at > m.passive),
           given=lambda m: And(_replicating(m), m.x_active, Not(m.x_passive))),
    always("what is in the change log can be sent as soon as the sides are connected", lambda _m: can("replicate"),
           given=lambda m: And(_replicating(m), m.job == Job.NONE, m.can_ship, m.passive < m.head)),
))

P9 = promise("P9", (
    always("a write that is neither tracked nor on the replica has spoiled the log or is called for",
           lambda m: Or(m.spoiled, m.resync.is_in(Resync.REQUIRED, Resync.COMPARING)), given=lambda m: m.x_gap),
    always("a log that is of no use can be called so", lambda _m: can("call_for_resync"),
           given=lambda m: And(m.follows, m.spoiled, m.resync == Resync.NONE, m.job.is_in(Job.NONE, Job.PLANNED))),
    step("the call is a call", lambda _a, b: And(b.resync == Resync.REQUIRED, b.spoiled),
         on=("call_for_resync", "call_out_of_caution")),
    step("there is no call without a cause", lambda a, _b: Or(a.spoiled, a.doubt),
         given=lambda a, b: And(a.resync == Resync.NONE, b.resync != Resync.NONE)),
    step("nothing is replicated past a gap", lambda a, _b: Not(Or(a.x_gap, a.spoiled)), on=("replicate",)),
    step("the gap ends only when the write arrives, while the machine is replicated", lambda _a, b: b.x_passive,
         given=lambda a, b: And(a.x_gap, Not(b.x_gap), a.follows, b.follows)),
    step("what had been missing arrives with the merge", lambda _a, b: b.x_passive, given=lambda a, _b: a.x_gap, on=("merge",)),
))

P10 = promise("P10", (
    step("while the sides are compared the old points stay", _same_points,
         given=lambda a, b: And(a.points, b.resync == Resync.COMPARING)),
    step("comparing leaves the replica as it is", lambda a, b: And(a.passive == b.passive, iff(a.x_passive, b.x_passive)),
         given=lambda _a, b: b.resync == Resync.COMPARING),
    step("an unplanned failover ends the comparison and goes on from the old points",
         lambda a, b: And(b.job == Job.UNPLANNED, _same_points(a, b), a.passive == b.passive),
         given=lambda a, _b: a.resync == Resync.COMPARING, on=("unplanned_failover",)),
    step("while the sides are merged it waits", lambda a, _b: a.resync != Resync.MERGING, on=("unplanned_failover",)),
    step("what merges ends merged", lambda _a, b: Or(b.resync == Resync.MERGING, And(b.resync == Resync.NONE, b.follows)),
         given=lambda a, _b: a.resync == Resync.MERGING),
    step("at the end there is one new point",
         lambda a, b: And(b.points, b.latest == a.passive, iff(b.x_latest, a.x_passive), Not(b.app),
                          Implies(b.point, And(b.point_at == b.latest, iff(b.x_point, b.x_latest)))), on=("finish_resync",)),
    always("a protected machine has a point until protection is disabled", lambda m: m.points,
           given=lambda m: And(m.follows, m.job != Job.DISABLE)),
    step("planned and test failover wait for it", lambda a, _b: a.resync == Resync.NONE,
         on=("planned_failover", "test_failover", "switch_planned"),
         needs=lambda t: Or(_tested(t), t["forward.planned_failover"], t["reverse.planned_failover"])),
))

_OUTWARD = ("replicate", "copy_base", "finish_copy", "compare", "stop_comparing", "merge", "finish_resync")

P21 = promise("P21", (
    always("an acknowledged write that is not given up is on one of the sides", lambda m: Or(m.x_active, m.x_passive),
           given=lambda m: m.x_fate == Fate.WRITTEN),
    step("bringing the passive side into step leaves the machine alone",
         lambda a, b: And(a.active == b.active, a.head == b.head, iff(a.x_active, b.x_active), iff(a.running, b.running)),
         on=_OUTWARD),
    always("a side that is being copied to does not run", lambda m: Not(Or(m.passive_running, m.passive_reboots)),
           given=lambda m: Or(m.copying, m.resync == Resync.MERGING)),
    step("a failover never starts a side that has been half copied",
         lambda a, _b: And(a.resync != Resync.MERGING, Or(a.follows, And(a.half, a.passive == a.head))),
         on=("switch_planned", "switch_unplanned")),
))
