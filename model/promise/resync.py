"""Resynchronisation: when the change log cannot be trusted, the replica is compared with the machine and brought into step.

Rules
1. A log that is of no use calls for a resynchronisation; while its side has power the call must not be put off. After a
   fault that may have spoiled the log the system may call for one out of caution; without such a cause it never may. Causes:
   the active side's site lost power; a write came while nothing could be shipped, so that the log may have overflowed; the
   log was damaged.
2. From the spoiling of the log until the next comparison writes are not tracked, and nothing is replicated: the replica stays
   a prefix, its points stay, and an unplanned failover goes on from them.
3. Comparing looks at both sides and changes neither. It takes note of the active side as it is at one instant, and from then on
   writes are tracked again. It may be given up while a log is spoiled or in doubt anew, and an unplanned failover ends it.
4. Merging brings the replica to what the comparison has noted, from what lies beside it by then, so it needs the passive
   side only; then replication goes on. Nothing interrupts it; a fault of that side makes it wait. At the end one new point
   takes the place of all old ones at once.
5. A copy (initial, reversed, or that of a direct failback) whose log is spoiled is simply made again.
"""

from __future__ import annotations

from siteproof.model.promise.guards import connected, idle, not_ended, untested
from siteproof.model.promise.points import no_points, only_point
from siteproof.model.promise.vocabulary import Job, Machine, Resync
from siteproof.model.system import ActionRule, Facts, Requires, Step, command, environment, internal
from siteproof.model.terms import And, Bool, If, Not, Or

__all__ = ["RESYNC"]


def _lost(m: Machine) -> Bool:
    """Whether the marked write is lost to the log when that is given up: it is if the passive side lacks it."""
    return Or(m.x_gap, And(m.x_active, Not(m.x_passive)))


def _can_call(m: Machine) -> Bool:
    jobs = m.job.is_in(Job.NONE, Job.PLANNED, Job.TEST, Job.CLEANUP)
    return And(m.follows, jobs, m.resync == Resync.NONE)


@environment(("V2A-29", "H2S-21"))
def damage_change_log(_t: Facts, m: Machine) -> Step:
    """The active side's change log is damaged: what the passive side lacks is no longer in it."""
    return Step(
        requires=[m.tracks],
        changes=[
            m.spoiled.becomes(True), m.doubt.becomes(Or(m.doubt, m.job == Job.REPAIR)), m.x_gap.becomes(_lost(m)),
            m.disturbed.becomes(Or(m.disturbed, m.job == Job.PLANNED)),
        ],
    )


@internal(("V2A-29", "H2S-21"), fair_when=lambda _t, m: m.active_up)
def call_for_resync(t: Facts, m: Machine) -> Step:
    """The log is found to be of no use: the replica has to be compared with the machine. Without power nobody can look at it."""
    told = t["resync.doubt_calls"]
    return Step(
        requires=[_can_call(m), m.spoiled],
        changes=[
            m.resync.becomes(If(told, Resync.REQUIRED, m.resync)), m.spoiled.becomes(told), m.doubt.becomes(False),
            m.x_gap.becomes(_lost(m)), m.disturbed.becomes(Or(m.disturbed, m.job == Job.PLANNED)),
        ],
    )


@internal(("V2A-29", "H2S-21"), fair=False)
def call_out_of_caution(_t: Facts, m: Machine) -> Step:
    """The log may have been spoiled: it is given up, and the replica has to be compared with the machine."""
    return Step(
        requires=[_can_call(m), m.doubt, Not(m.spoiled)],
        changes=[
            m.resync.becomes(Resync.REQUIRED), m.spoiled.becomes(True), m.doubt.becomes(False), m.x_gap.becomes(_lost(m)),
            m.disturbed.becomes(Or(m.disturbed, m.job == Job.PLANNED)),
        ],
    )


@command("RepairReplication", ("V2A-29", "H2S-21"))
def repair_replication(t: Facts, m: Machine) -> Step:
    """Compare the passive side with the active one and bring it into step."""
    return Step(
        requires=[
            not_ended(m), idle(m), untested(m), Requires(m.resync != Resync.NONE, "NoResynchronisationRequired"), connected(m),
        ],
        changes=[
            m.job.becomes(Job.REPAIR), m.resync.becomes(Resync.COMPARING), m.doubt.becomes(False),
            *no_points(m, t["resync.keeps_points"]),
        ],
    )


@internal(("V2A-29", "H2S-21"))
def compare(_t: Facts, m: Machine) -> Step:
    """The sides have been compared as of now; from now on writes are tracked. A log that is spoiled anew asks for it again."""
    return Step(
        requires=[m.job == Job.REPAIR, m.resync == Resync.COMPARING, Or(Not(m.half), m.spoiled), m.can_ship],
        changes=[
            m.half.becomes(True), m.staged.becomes(m.head), m.x_staged.becomes(m.x_active),
            m.spoiled.becomes(False), m.doubt.becomes(False),
        ],
    )


@internal((), fair=False)
def stop_comparing(_t: Facts, m: Machine) -> Step:
    """A comparison that a fault has put in doubt is given up; the call stays."""
    return Step(
        requires=[m.job == Job.REPAIR, m.resync == Resync.COMPARING, m.doubt],
        changes=[
            m.job.becomes(Job.NONE), m.half.becomes(False), m.resync.becomes(Resync.REQUIRED), m.doubt.becomes(False),
            m.spoiled.becomes(True), m.staged.becomes(0), m.x_staged.becomes(False), m.x_gap.becomes(_lost(m)),
        ],
    )


@internal(("V2A-29", "H2S-21"))
def merge(t: Facts, m: Machine) -> Step:
    """The replica is brought to what the comparison has noted. From here on the resynchronisation can only go on."""
    arrives = If(t["resync.ships_content"], m.x_staged, m.x_passive)
    return Step(
        requires=[m.job == Job.REPAIR, m.resync == Resync.COMPARING, m.half, Not(m.spoiled), m.passive_up],
        changes=[
            m.resync.becomes(Resync.MERGING), m.passive.becomes(m.staged), m.x_passive.becomes(arrives),
            m.staged.becomes(0), m.x_staged.becomes(False), m.x_gap.becomes(And(m.x_gap, Not(arrives))),
        ],
    )


@internal(("V2A-29", "H2S-21"), {"keep": bool}, cuts_point=True, fair_when=lambda _t, m: m.gateway_up)
def finish_resync(_t: Facts, m: Machine, keep: Bool) -> Step:
    """The sides are in step: one new point takes the place of all old ones. With the gateway down that may wait."""
    return Step(
        requires=[m.job == Job.REPAIR, m.resync == Resync.MERGING, m.passive_up],
        changes=[m.job.becomes(Job.NONE), m.half.becomes(False), m.resync.becomes(Resync.NONE), *only_point(m, keep)],
    )


RESYNC: tuple[ActionRule, ...] = (
    damage_change_log, call_for_resync, call_out_of_caution, repair_replication, compare, stop_comparing, merge, finish_resync,
)
