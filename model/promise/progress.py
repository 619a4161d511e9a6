"""The system's own steps: how accepted jobs get done, and what goes on between requests.

Rules
1. These steps are invisible to a customer; only their results are seen. A *fair* step may not be put off for ever while it
   stays possible. Faults and other people's actions strike between any two of them.
2. Data goes from the active to the passive side only, one write after the other, and only between sides that agree on the
   epoch.
3. A planned failover switches when the source is stopped (its cache flushed first), everything has arrived and a last point
   is cut. An unplanned one switches when its point is ready and looks at nothing but the target site.
4. The former source, once it can be reached, is fenced before anything else, and then the loss is known exactly.
"""

from __future__ import annotations

from siteproof.model.promise.environment import arrive
from siteproof.model.promise.points import content_of, no_points, only_point
from siteproof.model.promise.vocabulary import Direction, Failover, Fate, Job, Machine, Point, Protection, Resync, Site
from siteproof.model.system import ActionRule, Facts, Step, internal
from siteproof.model.terms import And, Bool, Change, If, Implies, Nat, Not, Or

__all__ = ["PROGRESS"]


@internal(("V2A-28", "V2A-31", "V2A-34", "H2S-20"))
def replicate(_t: Facts, m: Machine) -> Step:
    """The next write reaches the passive side."""
    jobs = m.job.is_in(Job.NONE, Job.PLANNED, Job.TEST, Job.CLEANUP)
    towards = Or(And(m.follows, jobs, m.resync == Resync.NONE), And(m.copying, m.half), m.resync == Resync.MERGING)
    return Step(
        requires=[towards, Not(m.spoiled), m.can_ship, m.passive < m.head],
        changes=[
            m.passive.becomes(m.passive + 1),
            m.x_passive.becomes(Or(m.x_passive, And(m.x_active, m.x_at == m.passive + 1, Not(m.x_gap)))),
        ],
    )


@internal(("V2A-27", "H2S-19", "H2S-31"))
def copy_base(t: Facts, m: Machine) -> Step:
    """The passive side has been given the active side's content as it is now; with a spoiled log, once more."""
    ships = If(m.job == Job.ENABLE, t["initial.ships_content"], t["reverse.ships_content"])
    return Step(
        requires=[m.copying, Or(Not(m.half), m.spoiled), m.can_ship],
        changes=[
            m.half.becomes(True), m.passive.becomes(m.head), m.x_passive.becomes(If(ships, m.x_active, m.x_passive)),
            m.doubt.becomes(False), m.spoiled.becomes(False), m.x_gap.becomes(False),
        ],
    )


@internal(("GEN-11", "V2A-28", "H2S-31", "H2S-33"), {"keep": bool}, cuts_point=True, fair_when=lambda _t, m: m.gateway_up)
def finish_copy(_t: Facts, m: Machine, keep: Bool) -> Step:
    """The copy is complete: the machine is protected, with one fresh recovery point. With the gateway down that may wait."""
    return Step(
        requires=[m.job.is_in(Job.ENABLE, Job.REVERSE), m.half, m.connected, m.contacted],
        changes=[
            m.job.becomes(Job.NONE), m.half.becomes(False), m.protection.becomes(Protection.PROTECTED),
            m.failover.becomes(Failover.NONE), m.chosen.becomes(Point.LATEST), m.changed.becomes(False),
            m.direction.becomes(If(m.active == Site.PRIMARY, Direction.FORWARD, Direction.REVERSE)),
            *only_point(m, keep),
        ],
    )


@internal(("H2S-24", "H2A-35"), {"mark": bool})
def flush_before_stop(_t: Facts, m: Machine, mark: Bool) -> Step:
    """Stopping in an orderly way, the guest writes out its cache."""
    return Step(
        requires=[m.job == Job.PLANNED, m.half, m.running, m.connected, m.cached > 0],
        changes=[m.cached.becomes(m.cached - 1), *arrive(m, mark)],
    )


@internal(("H2S-24", "H2A-35"))
def stop_source(t: Facts, m: Machine) -> Step:
    """A planned failover shuts the source down, and sees to it that it does not start by itself."""
    return Step(
        requires=[
            t["planned.stops_source"], m.job == Job.PLANNED, m.half, Or(m.running, m.reboots), m.connected, m.cached == 0,
        ],
        changes=[m.running.becomes(False), m.reboots.becomes(False)],
    )


def _swap(m: Machine, content: Nat, x_content: Bool) -> list[Change]:
    """The passive side becomes the active one, with `content`; the former active side keeps its own disk."""
    return [
        m.active.becomes(If(m.active == Site.PRIMARY, Site.RECOVERY, Site.PRIMARY)), m.epoch.becomes(m.epoch + 1),
        m.running.becomes(True), m.passive_running.becomes(m.running),
        m.reboots.becomes(False), m.passive_reboots.becomes(m.reboots),
        m.head.becomes(content), m.passive.becomes(m.head),
        m.cached.becomes(0), m.passive_cached.becomes(m.cached),
        m.x_active.becomes(x_content), m.x_passive.becomes(m.x_active),
        m.job.becomes(Job.NONE), m.half.becomes(False), m.disturbed.becomes(False), m.changed.becomes(False),
        m.resync.becomes(Resync.NONE), m.doubt.becomes(False), m.spoiled.becomes(False), m.x_gap.becomes(False),
    ]


@internal(("H2S-25", "H2S-28", "H2A-36"))
def switch_planned(t: Facts, m: Machine) -> Step:
    """Everything has arrived: the other side becomes the machine."""
    kept = If(t["planned.leaves_protected"], Protection.PROTECTED, Protection.NONE)
    return Step(
        requires=[
            m.job == Job.PLANNED, m.connected, m.contacted,
            Implies(t["planned.stops_source"], Not(Or(m.running, m.reboots))),
            Implies(t["planned.drains"], m.passive == m.head),
            m.half, Implies(m.follows, And(m.resync == Resync.NONE, m.latest == m.passive)),
        ],
        changes=[
            *_swap(m, m.passive, m.x_passive), m.passive_epoch.becomes(m.epoch + 1),
            m.failover.becomes(Failover.PLANNED), m.protection.becomes(kept),
        ],
    )


def _gives_up(m: Machine) -> list[Change]:
    """The planned failover ends. A copy that it has begun is worth nothing, and so is its log."""
    return [
        m.job.becomes(Job.NONE), m.half.becomes(False), m.disturbed.becomes(False),
        m.doubt.becomes(And(m.doubt, m.follows)), m.spoiled.becomes(And(m.spoiled, m.follows)),
        m.x_gap.becomes(And(m.x_gap, m.follows)),
    ]


@internal((), fair_when=lambda _t, m: m.resync != Resync.NONE)
def fail_planned(_t: Facts, m: Machine) -> Step:
    """A planned failover that was disturbed gives up; the machine stays where it is. It must where its replica is in doubt."""
    return Step(requires=[m.job == Job.PLANNED, m.disturbed], changes=_gives_up(m))


@internal((), fair=False)
def fail_planned_restarting(_t: Facts, m: Machine) -> Step:
    """A planned failover that was disturbed gives up, and starts the source again."""
    return Step(
        requires=[m.job == Job.PLANNED, m.disturbed, m.active_up],
        changes=[*_gives_up(m), m.running.becomes(True), m.reboots.becomes(False)],
    )


@internal((), fair=False)
def stop_if_reachable(_t: Facts, m: Machine) -> Step:
    """An unplanned failover stops the source, if it can be reached: in good order or not, or not at all."""
    return Step(
        requires=[m.job == Job.UNPLANNED, m.running, m.connected, m.contacted],
        changes=[m.running.becomes(False), m.cached.becomes(0)],
    )


@internal(("V2A-43", "V2A-46", "H2S-27"))
def switch_unplanned(t: Facts, m: Machine) -> Step:
    """The other side becomes the machine, with the content of the chosen point."""
    point = content_of(m)
    processed = And(m.chosen == Point.LATEST, t["unplanned.latest_processes_received"])
    kept = If(t["unplanned.leaves_protected"], Protection.PROTECTED, Protection.NONE)
    return Step(
        requires=[m.job == Job.UNPLANNED, m.passive_up, Implies(processed, m.latest == m.passive)],
        changes=[
            *_swap(m, point.position, point.holds), m.passive_epoch.becomes(m.epoch),
            m.fork.becomes(point.position), m.received.becomes(m.passive), m.received_known.becomes(True),
            m.loss.becomes(0), m.loss_known.becomes(False),
            m.failover.becomes(Failover.UNPLANNED), m.protection.becomes(kept),
        ],
    )


@internal()
def contact(t: Facts, m: Machine) -> Step:
    """The former source is reached for the first time: it is fenced, and what was lost is counted."""
    fenced = t["returning.fenced_first"]
    return Step(
        requires=[m.connected, m.passive_epoch < m.epoch],
        changes=[
            m.passive_epoch.becomes(m.epoch), m.passive_running.becomes(And(m.passive_running, Not(fenced))),
            m.passive_reboots.becomes(False), m.passive_cached.becomes(0),
            m.loss.becomes(m.passive - m.fork), m.loss_known.becomes(True),
            m.alerted.becomes(Or(m.alerted, m.passive_running)),
        ],
    )


@internal((), fair=False)
def accept_former_source(t: Facts, m: Machine) -> Step:
    """A component takes data from a side that still thinks it is the source. With the epoch check this cannot happen."""
    return Step(
        requires=[m.connected, m.passive_epoch < m.epoch, Not(t["returning.epoch_checked"])],
        changes=[m.x_active.becomes(Or(m.x_active, m.x_passive))],
    )


@internal(("V2A-47", "H2S-29"))
def commit_first_half(t: Facts, m: Machine) -> Step:
    """Commit removes the recovery points; from here it can only go on."""
    return Step(
        requires=[m.job == Job.COMMIT, Not(m.half), m.active_up],
        changes=[m.half.becomes(True), *no_points(m, Not(t["commit.removes_points"]))],
    )


@internal(("V2A-47", "V2A-51", "V2A-52", "H2S-29"))
def commit_second_half(t: Facts, m: Machine) -> Step:
    """The failover is final. Where a committed failback ends protection, the machine is back at the start."""
    ends = And(t["failback.ends_protection"], m.active == Site.PRIMARY)
    lost = And(m.x_fate == Fate.WRITTEN, Not(m.x_active))
    return Step(
        requires=[m.job == Job.COMMIT, m.half, m.active_up],
        changes=[
            m.job.becomes(Job.NONE), m.half.becomes(False),
            m.failover.becomes(If(ends, Failover.NONE, Failover.COMMITTED)),
            m.protection.becomes(If(ends, Protection.NONE, m.protection)),
            m.direction.becomes(If(ends, Direction.FORWARD, m.direction)),
            m.chosen.becomes(Point.LATEST), m.changed.becomes(False),
            m.x_fate.becomes(If(lost, Fate.DISCARDED, m.x_fate)),
        ],
    )


@internal()
def boot(_t: Facts, m: Machine) -> Step:
    """The machine that ran when its site lost power runs again."""
    return Step(requires=[m.reboots, m.active_up], changes=[m.running.becomes(True), m.reboots.becomes(False)])


@internal()
def boot_former_source(_t: Facts, m: Machine) -> Step:
    """The former source, which does not know better, runs again after a power cut."""
    return Step(
        requires=[m.passive_reboots, m.passive_up],
        changes=[m.passive_running.becomes(True), m.passive_reboots.becomes(False)],
    )


PROGRESS: tuple[ActionRule, ...] = (
    replicate, copy_base, finish_copy, flush_before_stop, stop_source,
    switch_planned, fail_planned, fail_planned_restarting, stop_if_reachable, switch_unplanned, contact,
    accept_former_source, commit_first_half, commit_second_half, boot, boot_former_source,
)
