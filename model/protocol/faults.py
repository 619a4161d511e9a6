"""The world around the protocol: guests that write and are started, components that crash and come back, what operators set up.

Rules
1. Crash and restart of every place are generated (`places`). The link's crash is a partition.
2. Whoever starts a guest does so at a host that has looked at its logs. A former source does not know better, as ever.
3. The temporary process server and what else the way back needs are set up by an operator, through the vault; the server is
   deleted only while the books say that this machine does not need it. (That many machines share it is the gateway level's
   affair.)
"""

from __future__ import annotations

from siteproof.model.promise import environment, resync
from siteproof.model.promise.vocabulary import Job, Site
from siteproof.model.protocol.abstraction import PartRule, books, carries, refines, stutters
from siteproof.model.protocol.places import crash_of, reach, restart_of
from siteproof.model.protocol.vocabulary import Parts
from siteproof.model.system import Facts, Kind, Step
from siteproof.model.terms import And, Bool, Not, Or

__all__ = ["FAULTS", "needs_server"]


def needs_server(p: Parts) -> Bool:
    """The books say that this machine replicates back, or is about to."""
    m = books(p)
    return And(m.active == Site.RECOVERY, Or(m.job == Job.REVERSE, m.follows))


@carries(environment.write_former_source)
def write_former_source(_t: Facts, _p: Parts, _mark: Bool) -> Step:
    return Step([])


@carries(environment.write_cached_former_source)
def write_cached_former_source(_t: Facts, _p: Parts) -> Step:
    return Step([])


@carries(environment.flush_former_source)
def flush_former_source(_t: Facts, _p: Parts, _mark: Bool) -> Step:
    return Step([])


@refines(environment.start_machine)
def start_machine(_t: Facts, p: Parts) -> Step:
    """Somebody starts the machine at its active side. A planned failover that runs is interrupted by it."""
    m = books(p)
    return Step([p.running.becomes(True), p.autostart.becomes(True), p.session.becomes(False)],
                [Not(p.running), m.active_up, p.recording])


@refines(environment.start_former_source)
def start_former_source(_t: Facts, p: Parts) -> Step:
    return Step([p.passive_running.becomes(True), p.passive_autostart.becomes(True)],
                [Not(p.passive_running), books(p).passive_up, p.passive_epoch < p.epoch])


@carries(resync.damage_change_log)
def damage_change_log(_t: Facts, p: Parts) -> Step:
    """The source's logs are damaged: what the passive side lacks is no longer in them."""
    return Step([p.x_log.becomes(False), p.session.becomes(False),
                 p.doubt.becomes(Or(p.doubt, p.job == Job.REPAIR))], [Not(p.done)])


@stutters(Kind.ENVIRONMENT, ("V2A-53",), by_operator=True)
def set_up_server(t: Facts, p: Parts) -> Step:
    """A virtual machine in Azure is made the temporary process server, and registers with the vault."""
    return Step([p.server.becomes(True)], [t["gateway.temporary"], Not(p.server), reach(t, p, "vault", "gateway")])


@stutters(Kind.ENVIRONMENT, ("V2A-54",), by_operator=True)
def delete_server(t: Facts, p: Parts) -> Step:
    """The temporary process server, which this machine does not need by the vault's books, is deleted."""
    return Step([p.server.becomes(False)],
                [t["gateway.temporary"], p.server, Not(needs_server(p)), reach(t, p, "vault", "gateway")])


@stutters(Kind.ENVIRONMENT, ("V2A-57", "V2A-58"), by_operator=True)
def set_up_way_back(t: Facts, p: Parts) -> Step:
    """The master target and the failback policy are set up, and the vault has them on record."""
    return Step([p.way_back.becomes(True)], [t["failback.asks_components"], Not(p.way_back), p.vault_up])


CRASHES: tuple[PartRule, ...] = (
    crash_of("primary site", "fail_primary_site", environment.fail_primary_site),
    crash_of("recovery site", "fail_recovery_site", environment.fail_recovery_site),
    crash_of("link", "fail_link", environment.fail_link),
    crash_of("gateway", "fail_gateway", environment.fail_gateway, "gateway.present"),
    crash_of("vault", "fail_vault", None),
    crash_of("relay", "fail_relay", None),
)
"""The crash of everything that can crash."""

RESTARTS: tuple[PartRule, ...] = (
    restart_of("primary site", "heal_primary_site", environment.heal_primary_site),
    restart_of("recovery site", "heal_recovery_site", environment.heal_recovery_site),
    restart_of("link", "heal_link", environment.heal_link),
    restart_of("gateway", "heal_gateway", environment.heal_gateway),
    restart_of("vault", "heal_vault", None),
    restart_of("relay", "heal_relay", None),
)

FAULTS: tuple[PartRule, ...] = (
    write_former_source, write_cached_former_source, flush_former_source, start_machine, start_former_source,
    damage_change_log, set_up_server, delete_server, set_up_way_back, *CRASHES, *RESTARTS)
