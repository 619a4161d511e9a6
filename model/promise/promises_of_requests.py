"""What is claimed of requests: which are granted (P13), and that the one for the worst day always is (P22).

Both halves of P13 are written into the actions, so they are shown by construction: a request is granted where its preconditions
hold, and those of them that are about the lifecycle are what is advertised.
"""

from __future__ import annotations

from siteproof.model.catalogue import promise
from siteproof.model.claims import Claim, always, can, step
from siteproof.model.promise.changing import change_pit
from siteproof.model.promise.commands import commit, enable_protection, planned_failover, reverse_replicate, unplanned_failover
from siteproof.model.promise.ending import complete_migration, disable_protection
from siteproof.model.promise.promises_of_copies import same
from siteproof.model.promise.resync import repair_replication
from siteproof.model.promise.testing import test_failover, test_failover_cleanup
from siteproof.model.promise.vocabulary import Job, Machine, Point, Resync, Site, Test
from siteproof.model.system import ActionRule, Facts
from siteproof.model.terms import And, Bool, Not, Or

__all__ = ["P13", "P22"]

_STARTS: tuple[tuple[ActionRule, Job], ...] = (
    (enable_protection, Job.ENABLE), (planned_failover, Job.PLANNED), (unplanned_failover, Job.UNPLANNED), (commit, Job.COMMIT),
    (reverse_replicate, Job.REVERSE), (test_failover, Job.TEST), (test_failover_cleanup, Job.CLEANUP), (change_pit, Job.CHANGE),
    (disable_protection, Job.DISABLE), (complete_migration, Job.MIGRATE), (repair_replication, Job.REPAIR))

_BOOKS = frozenset({"job", "half", "protection", "chosen", "disturbed", "resync", "doubt", "staged", "x_staged"})
"""What a request may write by itself: the job, what was asked, and what the job that it takes the place of leaves behind."""


_NEEDS: dict[Job, tuple[str, ...]] = {
    Job.PLANNED: ("forward.planned_failover", "reverse.planned_failover"),
    Job.UNPLANNED: ("forward.unplanned_failover", "reverse.unplanned_failover"),
    Job.TEST: ("forward.test_failover", "reverse.test_failover"),
    Job.CLEANUP: ("forward.test_failover", "reverse.test_failover"),
    Job.CHANGE: ("forward.change_point", "reverse.change_point"),
    Job.MIGRATE: ("forward.complete_migration",),
}
"""The facts of which one has to hold for an operation to be offered at all; others are offered everywhere."""


def _starts(rule: ActionRule, job: Job) -> Claim:
    return step(f"{rule.operation} starts its own job and does nothing else",
                lambda a, b: And(b.job == job, same(a, b, apart_from=_BOOKS)), on=(rule.name,),
                needs=(lambda t: Or(*(t[fact] for fact in _NEEDS[job]))) if job in _NEEDS else None)


def _offered(t: Facts) -> Bool:
    return Or(t["forward.unplanned_failover"], t["reverse.unplanned_failover"])


def _worst_day(m: Machine) -> Bool:
    """The active side's site is gone, the link and the gateway with it."""
    return And(Not(m.active_up), Not(m.link_up), m.passive_up)


def _waiting(m: Machine) -> Bool:
    """Protected, and no test failover, merge or other job in the way."""
    free = Or(m.job.is_in(Job.NONE, Job.PLANNED), m.resync == Resync.COMPARING)
    return And(m.follows, m.test == Test.NONE, free)


P13 = promise("P13", tuple(_starts(rule, job) for rule, job in _STARTS))

P22 = promise("P22", (
    always("with the site gone, an unplanned failover to the newest point is granted",
           lambda _m: can("unplanned_failover", point=Point.PROCESSED),
           given=lambda m: And(_waiting(m), _worst_day(m), m.active == Site.PRIMARY),
           needs=lambda t: t["forward.unplanned_failover"]),
    always("an unplanned failover can go on with nothing but its target's site",
           lambda _m: Or(can("switch_unplanned"), can("cut_point", keep=False)),
           given=lambda m: And(m.job == Job.UNPLANNED, _worst_day(m)), needs=_offered),
    step("it ends as the machine, which runs", lambda a, b: And(b.active != a.active, b.running, b.job == Job.NONE),
         on=("switch_unplanned",), needs=_offered),
))
