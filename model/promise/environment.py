"""The world around the system: the workload writes, faults strike and heal, somebody presses a power button.

Rules
1. A write has two moments. Issued into the guest's cache it promises nothing; once the disk has it, it is acknowledged, and
   promised. A plain write is both at once, after the cache has been written out (first in, first out).
2. A site that fails stops what ran there and loses its caches; disks survive. What ran starts again when power returns.
3. A former source that has not learned of the new epoch does not know better: it may run, be started, and acknowledge
   writes. These are outside the promise from the start: the marked write, issued there, is discarded at once.
4. A fault during a planned failover disturbs it: only then may it fail.
5. A fault may leave the change log in doubt: the active side's site loses power, or a write comes while nothing can be
   shipped, so that the log may overflow.
"""

from __future__ import annotations

from siteproof.model.promise.vocabulary import Fate, Job, Machine, Resync, Site
from siteproof.model.system import ActionRule, Facts, Step, environment, internal
from siteproof.model.terms import And, Bool, Change, If, Not, Or

__all__ = ["ENVIRONMENT", "arrive", "marks"]


def marks(m: Machine, mark: Bool) -> Bool:
    """This write is the marked one, if none has been marked before."""
    return And(mark, m.x_fate == Fate.UNISSUED)


def _log_used(m: Machine) -> Bool:
    """The change log is what the passive side is fed from, and has not been given up."""
    return And(m.tracks, m.resync != Resync.REQUIRED)


def arrive(m: Machine, mark: Bool) -> list[Change]:
    """One write reaches the active side's disk. It is tracked unless the log is spoiled."""
    marked = marks(m, mark)
    return [
        m.doubt.becomes(Or(m.doubt, And(_log_used(m), Not(m.can_ship)))), m.x_gap.becomes(Or(m.x_gap, And(marked, m.spoiled))),
        m.head.becomes(m.head + 1), m.x_fate.becomes(If(marked, Fate.WRITTEN, m.x_fate)),
        m.x_at.becomes(If(marked, m.head + 1, m.x_at)), m.x_active.becomes(Or(m.x_active, marked)),
    ]


def _arrive_at_former_source(m: Machine, mark: Bool) -> list[Change]:
    """One write reaches the former source's disk: acknowledged by a stale authority, never promised."""
    marked = marks(m, mark)
    return [
        m.passive.becomes(m.passive + 1), m.x_fate.becomes(If(marked, Fate.DISCARDED, m.x_fate)),
        m.x_at.becomes(If(marked, m.passive + 1, m.x_at)), m.x_passive.becomes(Or(m.x_passive, marked)),
    ]


@environment((), {"mark": bool})
def write(_t: Facts, m: Machine, mark: Bool) -> Step:
    """The workload writes one block and the disk acknowledges it."""
    return Step(requires=[m.running, m.cached == 0], changes=arrive(m, mark))


@environment()
def write_cached(_t: Facts, m: Machine) -> Step:
    """The workload issues one write into the guest's cache."""
    return Step(requires=[m.running], changes=[m.cached.becomes(m.cached + 1)])


@internal((), {"mark": bool}, fair=False)
def flush(_t: Facts, m: Machine, mark: Bool) -> Step:
    """The guest writes its oldest cached write to the disk."""
    return Step(requires=[m.running, m.cached > 0], changes=[m.cached.becomes(m.cached - 1), *arrive(m, mark)])


@environment((), {"mark": bool})
def write_former_source(_t: Facts, m: Machine, mark: Bool) -> Step:
    """A former source that still runs acknowledges a write of its own workload."""
    return Step(requires=[m.passive_running, m.passive_cached == 0], changes=_arrive_at_former_source(m, mark))


@environment()
def write_cached_former_source(_t: Facts, m: Machine) -> Step:
    """A former source that still runs takes a write into its cache."""
    return Step(requires=[m.passive_running], changes=[m.passive_cached.becomes(m.passive_cached + 1)])


@internal((), {"mark": bool}, fair=False)
def flush_former_source(_t: Facts, m: Machine, mark: Bool) -> Step:
    """A former source that still runs writes its oldest cached write to its disk."""
    return Step(
        requires=[m.passive_running, m.passive_cached > 0],
        changes=[m.passive_cached.becomes(m.passive_cached - 1), *_arrive_at_former_source(m, mark)],
    )


@environment()
def start_machine(_t: Facts, m: Machine) -> Step:
    """Somebody starts the machine at its active side."""
    return Step(
        requires=[Not(m.running), m.active_up],
        changes=[
            m.running.becomes(True), m.reboots.becomes(False),
            m.disturbed.becomes(Or(m.disturbed, m.job == Job.PLANNED)),
        ],
    )


@environment()
def start_former_source(_t: Facts, m: Machine) -> Step:
    """Somebody starts a former source that has not learned of the failover."""
    return Step(
        requires=[Not(m.passive_running), m.passive_up, m.passive_epoch < m.epoch],
        changes=[m.passive_running.becomes(True), m.passive_reboots.becomes(False)],
    )


def _site_fails(m: Machine, site: Site) -> list[Change]:
    """Whoever ran at `site` stops, loses its cache, and will start again with the power. The active side's log is in doubt."""
    hit, other = m.active == site, m.active != site
    return [
        m.running.becomes(And(m.running, other)), m.reboots.becomes(Or(m.reboots, And(hit, m.running))),
        m.cached.becomes(If(hit, 0, m.cached)),
        m.passive_running.becomes(And(m.passive_running, hit)),
        m.passive_reboots.becomes(Or(m.passive_reboots, And(other, m.passive_running))),
        m.passive_cached.becomes(If(other, 0, m.passive_cached)), m.test_running.becomes(And(m.test_running, hit)),
        m.doubt.becomes(Or(m.doubt, And(hit, _log_used(m)))),
        m.disturbed.becomes(Or(m.disturbed, m.job == Job.PLANNED)),
    ]


@environment()
def fail_primary_site(_t: Facts, m: Machine) -> Step:
    """The primary site loses power and network."""
    return Step(requires=[m.primary_up], changes=[m.primary_up.becomes(False), *_site_fails(m, Site.PRIMARY)])


@environment()
def fail_recovery_site(_t: Facts, m: Machine) -> Step:
    """The recovery site loses power and network."""
    return Step(requires=[m.recovery_up], changes=[m.recovery_up.becomes(False), *_site_fails(m, Site.RECOVERY)])


@environment()
def fail_link(_t: Facts, m: Machine) -> Step:
    """The sites can no longer reach each other."""
    return Step(
        requires=[m.link_up],
        changes=[m.link_up.becomes(False), m.disturbed.becomes(Or(m.disturbed, m.job == Job.PLANNED))],
    )


@environment()
def fail_gateway(t: Facts, m: Machine) -> Step:
    """The process server crashes."""
    return Step(
        requires=[t["gateway.present"], m.gateway_up],
        changes=[m.gateway_up.becomes(False), m.disturbed.becomes(Or(m.disturbed, m.job == Job.PLANNED))],
    )


@environment()
def heal_primary_site(_t: Facts, m: Machine) -> Step:
    """The primary site is back."""
    return Step(requires=[Not(m.primary_up)], changes=[m.primary_up.becomes(True)])


@environment()
def heal_recovery_site(_t: Facts, m: Machine) -> Step:
    """The recovery site is back."""
    return Step(requires=[Not(m.recovery_up)], changes=[m.recovery_up.becomes(True)])


@environment()
def heal_link(_t: Facts, m: Machine) -> Step:
    """The sites can reach each other again."""
    return Step(requires=[Not(m.link_up)], changes=[m.link_up.becomes(True)])


@environment()
def heal_gateway(_t: Facts, m: Machine) -> Step:
    """The process server works again."""
    return Step(requires=[Not(m.gateway_up)], changes=[m.gateway_up.becomes(True)])


ENVIRONMENT: tuple[ActionRule, ...] = (
    write, write_cached, flush, write_former_source, write_cached_former_source, flush_former_source, start_machine,
    start_former_source, fail_primary_site, fail_recovery_site, fail_link, fail_gateway, heal_primary_site,
    heal_recovery_site, heal_link, heal_gateway,
)
