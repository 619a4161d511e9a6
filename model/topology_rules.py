"""What a topology file must satisfy beyond the type of each value.

1. The deployment hangs together: every name exists, hosts and links stay within what the sides allow, and replication
   data finds a way from side to side in each direction that has a failover.
2. The facts do not contradict each other.
3. The facts and the deployment agree on the replication gateway. A what-if may break this one on purpose.
4. The failback setup is met by the deployment: what it needs is there, serves the way back, and the primary side has a host
   for each kind of machine that a failback may lead to. Nothing is failed back from Azure to a physical server (P2A-4), and
   no master target runs on one (P2A-7).
5. Policy settings lie within their limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from siteproof.model.deployment import Carries, Direction, Kind, MachineKind, Route, Side
from siteproof.model.errors import Key, near, told
from siteproof.model.facts import CONTRADICTIONS, FACTS
from siteproof.model.specfile import SpecFile

if TYPE_CHECKING:
    from siteproof.model.topology import Topology

HOSTS: Final[Mapping[MachineKind, Kind]] = MappingProxyType(
    {
        MachineKind.VMWARE_VM: Kind.ESXI_HOST,
        MachineKind.HYPER_V_VM: Kind.HYPER_V_HOST,
        MachineKind.PHYSICAL_SERVER: Kind.PHYSICAL_HOST,
    }
)
"""What a machine of each kind runs on."""
BOTH_SIDES: Final = {Side.PRIMARY, Side.RECOVERY}


def check(spec: SpecFile, topology: Topology) -> None:
    """The rules that go beyond the type of one value. A value that is already complained of is not judged again."""
    _check_places(spec, topology)
    _check_hosts(spec, topology)
    _check_links(spec, topology)
    if all(spec.is_sound(tuple(fact.split("."))) for fact in FACTS):
        for rule in CONTRADICTIONS:
            if rule.forbids(topology.facts):
                spec.complain(tuple(rule.fact.split(".")), rule.found, rule.expected, rule.mend)
        if all(spec.is_sound((part,)) for part in ("places", "components", "links")):
            _check_data_path(spec, topology)
    if all(spec.is_sound((part,)) for part in ("places", "components", "links")):
        _check_failback(spec, topology)
    _check_policy(spec, topology)


def _check_places(spec: SpecFile, topology: Topology) -> None:
    for side in (Side.PRIMARY, Side.RECOVERY):
        if spec.is_sound(("places",)) and not any(place.side is side for place in topology.places):
            spec.complain(("places",), f"no {side} place", "at least one", f'give one of them side = "{side}"')


def _check_hosts(spec: SpecFile, topology: Topology) -> None:
    places = {place.id for place in topology.places}
    hosts = {component.id: component.host for component in topology.components}
    in_place = {component.id: component.place for component in topology.components}
    for component in topology.components:
        key: Key = ("components", component.id)
        if component.place and component.place not in places:
            spec.complain((*key, "place"), told(component.place), "a place of this file", near(component.place, places))
        for name in component.joined_to:
            if name not in hosts or name == component.id:
                spec.complain((*key, "joined_to"), told(name), "another component of this file", near(name, hosts))
        if not component.host:
            continue
        if component.host not in hosts:
            spec.complain((*key, "host"), told(component.host), "a component of this file", near(component.host, hosts))
        elif component.id in _hosts_of(component.host, hosts):
            mend = "let the chain of hosts end at one that has none"
            spec.complain((*key, "host"), f"{told(component.host)}, which runs on this one", "no circle of hosts", mend)
        elif in_place[component.host] != component.place and spec.is_sound(key):
            found = f"{told(component.host)} in another place ({in_place[component.host]})"
            spec.complain((*key, "host"), found, f"a host in {component.place}", "correct place or host")


def _hosts_of(component: str, hosts: Mapping[str, str]) -> tuple[str, ...]:
    """A component and everything that it runs on, directly or not."""
    chain: list[str] = []
    while component and component not in chain:
        chain.append(component)
        component = hosts.get(component, "")
    return tuple(chain)


def _check_failback(spec: SpecFile, topology: Topology) -> None:
    setup, key = topology.failback, ("failback_setup",)
    components = {component.id: component for component in topology.components}
    hosts = {component.id: component.host for component in topology.components}
    if not setup.targets and spec.is_sound((*key, "targets")):
        spec.complain((*key, "targets"), "an empty list", "at least one kind of machine", 'write targets = ["vmware-vm"]')
    to_azure = any(c.kind is Kind.STORAGE_ACCOUNT and topology.side_of(c.id) is Side.RECOVERY for c in topology.components)
    at_primary = {c.kind for c in topology.components if topology.side_of(c.id) is Side.PRIMARY}
    for target in setup.targets:
        if target is MachineKind.PHYSICAL_SERVER and to_azure:
            found, mend = f'"{target}" for a failback from Azure', f'take "{target}" out of targets'
            spec.complain((*key, "targets"), found, "virtual machines only (P2A-4)", mend)
        elif HOSTS[target] not in at_primary:
            found = f'"{target}" without a component of kind {HOSTS[target]} on the primary side'
            spec.complain((*key, "targets"), found, "a host for the machine", f'add one, or take "{target}" out of targets')
    for name in setup.components:
        if name not in components:
            spec.complain((*key, "components"), told(name), "a component of this file", near(name, components))
        elif components[name].used_for is Direction.FORWARD:
            found, mend = f"{told(name)}, which is used for the forward direction only", "correct its used_for"
            spec.complain((*key, "components"), found, "a component of the way back", mend)
    between = [link for link in topology.links if {topology.side_of(link.source), topology.side_of(link.target)} == BOTH_SIDES]
    back = {path for link in between if link.serves(Direction.REVERSE) for path in link.paths}
    for path in setup.paths:
        if path not in back:
            mend = f'take "{path}" out of paths, or add it to a link of the way back'
            found = f'"{path}", which no reverse link between the sides takes'
            spec.complain((*key, "paths"), found, "a path of a reverse link", mend)
    for component in topology.components:
        chain = _hosts_of(component.host, hosts)
        if component.kind is Kind.MASTER_TARGET and any(components[host].kind is Kind.PHYSICAL_HOST for host in chain):
            mend = "give it a host of its own"
            spec.complain(("components", component.id, "host"), "a physical server", "a VMware home (P2A-7)", mend)


def _check_links(spec: SpecFile, topology: Topology) -> None:
    components = {component.id: component for component in topology.components}
    sides = {place.id: place.side for place in topology.places}
    azure = {c.place for c in topology.components if c.kind in (Kind.STORAGE_ACCOUNT, Kind.AZURE_NETWORK)}
    for at, link in enumerate(topology.links):
        key: Key = ("links", at)
        for end, name in (("from", link.source), ("to", link.target)):
            if name and name not in components:
                spec.complain((*key, end), told(name), "a component of this file", near(name, components))
        if link.source and link.source == link.target:
            spec.complain(
                (*key, "to"), f"{told(link.target)}, where the link starts", "another component", "correct from or to"
            )
        if spec.is_sound((*key, "paths")) and not link.paths:
            spec.complain((*key, "paths"), "an empty list", "at least one path", 'write paths = ["lan"]')
        if Route.INTERNET in link.paths and not link.encrypted and spec.is_sound((*key, "encrypted")):
            mend = 'write encrypted = true, or take "internet" out of paths'
            spec.complain((*key, "encrypted"), "false on a link over the internet", "true", mend)
        if link.source not in components or link.target not in components or not spec.is_sound(key):
            continue
        start, end_place = components[link.source].place, components[link.target].place
        if link.carries is not Carries.DATA:
            continue
        if Side.CLOUD in (sides.get(start), sides.get(end_place)):
            mend = "let data links join primary and recovery places only"
            spec.complain((*key, "carries"), '"data" at a cloud place', "control only", mend)
        if link.serves(Direction.FORWARD) and Route.VPN in link.paths and end_place in azure and start not in azure:
            found = '"vpn" for forward data to Azure'
            spec.complain((*key, "paths"), found, '"internet" or "expressroute" (V2A-42)', 'take "vpn" out of paths')


def _check_data_path(spec: SpecFile, topology: Topology) -> None:
    ways = ((Direction.FORWARD, Side.PRIMARY, Side.RECOVERY), (Direction.REVERSE, Side.RECOVERY, Side.PRIMARY))
    for direction, start, end in ways:
        offered = [f for f in ("planned_failover", "unplanned_failover") if topology.facts[f"{direction}.{f}"]]
        if offered and not _reaches(topology, direction, start, end):
            found = f"no chain of {direction} data links from the {start} to the {end} side"
            spec.complain(
                (str(direction), offered[0]), found, "one, since a failover is offered", "add the missing link"
            )
    kinds = {component.id: component.kind for component in topology.components}
    data = [link for link in topology.links if link.carries is Carries.DATA]
    passes = any(Kind.PROCESS_SERVER in (kinds[link.source], kinds[link.target]) for link in data)
    if topology.facts["gateway.present"] and not passes:
        found = "true, but no data link touches a process-server"
        spec.complain(
            ("gateway", "present"), found, "a process-server on the data path", "add its links, or write false"
        )
    if passes and not topology.facts["gateway.present"]:
        found = "false, but data passes a process-server"
        spec.complain(("gateway", "present"), found, "true", "write present = true, or remove its data links")


def _reaches(topology: Topology, direction: Direction, start: Side, end: Side) -> bool:
    reached = {component.id for component in topology.components if topology.side_of(component.id) is start}
    links = [link for link in topology.links if link.carries is Carries.DATA and link.serves(direction)]
    for _ in links:
        reached |= {link.target for link in links if link.source in reached}
    return any(topology.side_of(component) is end for component in reached)


def _check_policy(spec: SpecFile, topology: Topology) -> None:
    policy = topology.policy
    for limit in topology.limits:
        key: Key = ("policy_limits", limit.setting)
        if not spec.is_sound(key):
            continue
        bounds = limit.minimum is not None or limit.maximum is not None
        if bounds == bool(limit.allowed):
            found = "both a range and a list" if bounds else "no limit"
            spec.complain(key, found, "minimum and maximum, or allowed", "keep one of the two")
        elif limit.minimum is not None and limit.maximum is not None and limit.minimum > limit.maximum:
            found = f"a minimum of {limit.minimum} above the maximum of {limit.maximum}"
            spec.complain((*key, "minimum"), found, "a minimum not above the maximum", "exchange them")
        elif limit.setting in policy and not limit.permits(policy[limit.setting]):
            found, mend = str(policy[limit.setting]), f"set {limit.setting} within its limits"
            spec.complain(("policy", limit.setting), found, str(limit), mend)
        elif limit.setting not in policy and spec.is_sound(("policy", limit.setting)):
            mend = f"add {limit.setting} to [policy], or remove these limits"
            spec.complain(key, "limits of a setting that the policy lacks", "a setting of [policy]", mend)
    _check_intervals(spec, policy)


def _check_intervals(spec: SpecFile, policy: Mapping[str, int]) -> None:
    app, retention = policy.get("app_consistent_hours"), policy.get("retention_hours")
    if app and retention is not None and app >= retention:
        found, mend = f"{app} with a retention of {retention}", "shorten it, or keep points for longer; 0 means none"
        spec.complain(("policy", "app_consistent_hours"), found, "less than retention_hours", mend)
