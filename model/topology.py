"""Topologies: what is deployed where in one flow, how it is connected, and what the flow can do.

A topology is data (`specs/topologies/*.toml`, or a user's own file). It has four parts:

* *places*, *components* and *links*: the deployment, with the ports and paths that the documents name;
* *facts*: about what the flow can do and what its operations do. All are yes or no, and the formal model reads them as
  constants by their dotted name, so the names are fixed (`FACTS`);
* *reasons*: for each fact, the requirements that it follows from, or that it is a decision of ours because the source
  is silent;
* *policy*: the settings of a replication policy, and the limits of each.

The loader is strict. It refuses what it does not know, and what cannot be: a file is read to the end and all that is
wrong is told in one `SpecError`. Three kinds of rules hold, and they are the last part of this module:

1. the deployment hangs together: every name exists, hosts and links stay within what the sides allow, and replication
   data finds a way from side to side in each direction that has a failover;
2. the facts do not contradict each other (`CONTRADICTIONS`); this is demanded of a what-if as well;
3. the facts and the deployment agree on the replication gateway. A what-if may break this one on purpose.

A what-if (`Topology.with_facts`) keeps the text of its file and records what was changed, so that a certificate can
carry both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from siteproof.model.errors import Key, Problem, SpecError, SpecFile, Table, UsageError, near, told
from siteproof.model.requirements import requirement_ids

FORMAT: Final = 1

FACTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "forward.planned_failover": "planned failover from primary to recovery is offered",
        "forward.unplanned_failover": "unplanned failover from primary to recovery is offered",
        "reverse.planned_failover": "planned failover from recovery back to primary is offered",
        "reverse.unplanned_failover": "unplanned failover from recovery back to primary is offered",
        "reverse.requires_commit": "replication is reversed only after the failover has been committed",
        "reverse.ships_content": "reversing replication copies what the former source lacks",
        "planned.leaves_protected": "the machine is protected after a planned failover",
        "planned.stops_source": "a planned failover shuts the source down first",
        "planned.drains": "a planned failover waits until everything acknowledged has reached the other side",
        "unplanned.leaves_protected": "the machine is protected after an unplanned failover",
        "unplanned.latest_processes_received": "'latest' makes a new point of everything received",
        "failback.ends_protection": "after a committed failback the machine has to be enabled again",
        "returning.fenced_first": "an old source that comes back is fenced before anything else",
        "returning.epoch_checked": "every component refuses an epoch older than its own",
        "commit.removes_points": "commit removes all recovery points",
        "initial.ships_content": "initial replication copies the whole machine",
        "gateway.present": "replication data passes a process server",
    }
)
"""The behaviour facts of a topology and what each means when it is true."""

POLICY: Final = (
    "crash_consistent_minutes",
    "app_consistent_hours",
    "retention_hours",
    "rpo_threshold_minutes",
)
"""The settings that every policy has; hours of 0 mean "none" (no app-consistent points; only the latest point)."""
OPTIONAL_POLICY: Final = ("replication_interval_seconds",)


class Side(StrEnum):
    """What a place is to the flow. A cloud place takes part in control only."""

    PRIMARY = "primary"
    RECOVERY = "recovery"
    CLOUD = "cloud"


class Kind(StrEnum):
    """The kinds of components that the source document names."""

    AZURE_ACCOUNT = "azure-account"
    AZURE_NETWORK = "azure-network"
    CONFIGURATION_SERVER = "configuration-server"
    ESXI_HOST = "esxi-host"
    HYPER_V_HOST = "hyper-v-host"
    HYPER_V_SITE = "hyper-v-site"
    MACHINE = "machine"
    MANAGEMENT_SERVER = "management-server"
    MASTER_TARGET = "master-target"
    MOBILITY_SERVICE = "mobility-service"
    PHYSICAL_HOST = "physical-host"
    PROCESS_SERVER = "process-server"
    PROVIDER = "provider"
    RECOVERY_SERVICES_AGENT = "recovery-services-agent"
    STORAGE_ACCOUNT = "storage-account"
    UNIFIED_AGENT = "unified-agent"
    VAULT = "vault"
    VCENTER = "vcenter"
    VCONTINUUM = "vcontinuum"
    VMM_CLOUD = "vmm-cloud"
    VMM_SERVER = "vmm-server"


class Install(StrEnum):
    """How a component gets onto its host."""

    MANUAL = "manual"
    PUSH = "push"
    BY_DEFAULT = "by-default"
    UNSPECIFIED = "unspecified"


class Direction(StrEnum):
    """The direction of replication in which a link or a component is used."""

    FORWARD = "forward"
    REVERSE = "reverse"
    BOTH = "both"


class Carries(StrEnum):
    """What a link is for."""

    DATA = "data"
    CONTROL = "control"
    GROUP = "group"


class Protocol(StrEnum):
    """The protocol of a link; `tcp` also where the documents name none."""

    HTTPS = "https"
    HTTP = "http"
    TCP = "tcp"


class Route(StrEnum):
    """The network that a link may run over."""

    INTERNET = "internet"
    EXPRESSROUTE = "expressroute"
    VPN = "vpn"
    LAN = "lan"


class Authentication(StrEnum):
    """How the ends of a link may know each other."""

    KERBEROS = "kerberos"
    CERTIFICATE = "certificate"


class Basis(StrEnum):
    """Where a fact comes from: the documents, or a decision of ours where they are silent."""

    DOCUMENTED = "documented"
    DECISION = "decision"


@frozen
class Place:
    """A site or a cloud."""

    id: str
    title: str
    side: Side


@frozen
class Component:
    """Something that is deployed. `host` is the component that it runs on, or ""."""

    id: str
    title: str
    kind: Kind
    place: str
    host: str
    optional: bool
    install: Install
    used_for: Direction
    requirements: tuple[str, ...]


@frozen
class Link:
    """A connection that `source` opens to `target`. `port` is None where the documents name none."""

    source: str
    target: str
    protocol: Protocol
    port: int | None
    configurable_port: bool
    direction: Direction
    carries: Carries
    encrypted: bool
    paths: tuple[Route, ...]
    authentication: tuple[Authentication, ...]
    requirements: tuple[str, ...]

    def serves(self, direction: Direction) -> bool:
        """Whether the link is used while replication runs in `direction`."""
        return self.direction in (direction, Direction.BOTH)


@frozen
class Reason:
    """Why a fact holds: the requirements that it follows from, and one sentence."""

    fact: str
    kind: Basis
    requirements: tuple[str, ...]
    reason: str


@frozen
class Limit:
    """The values that a policy setting may take: those in `allowed`, or a range; None is no bound."""

    setting: str
    minimum: int | None
    maximum: int | None
    allowed: tuple[int, ...]

    def __str__(self) -> str:
        if self.allowed:
            return "one of " + ", ".join(str(value) for value in self.allowed)
        bounds = [f"at least {self.minimum}" if self.minimum is not None else ""]
        bounds.append(f"at most {self.maximum}" if self.maximum is not None else "")
        return " and ".join(bound for bound in bounds if bound)

    def permits(self, value: int) -> bool:
        """Whether the setting may have this value."""
        if self.allowed:
            return value in self.allowed
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)


@frozen
class Topology:
    """One flow. `text` and `file` are where it was read from; `overrides` is what a what-if has changed since."""

    id: str
    title: str
    summary: str
    sections: tuple[str, ...]
    places: tuple[Place, ...]
    components: tuple[Component, ...]
    links: tuple[Link, ...]
    fact_values: tuple[tuple[str, bool], ...]
    reasons: tuple[Reason, ...]
    policy_values: tuple[tuple[str, int], ...]
    limits: tuple[Limit, ...]
    text: str
    file: str
    overrides: tuple[tuple[str, bool], ...] = ()

    @property
    def facts(self) -> Mapping[str, bool]:
        """The behaviour facts by dotted name."""
        return MappingProxyType(dict(self.fact_values))

    @property
    def policy(self) -> Mapping[str, int]:
        """The policy settings by name; the unit is the last word of the name."""
        return MappingProxyType(dict(self.policy_values))

    @property
    def why(self) -> Mapping[str, Reason]:
        """The reason of every fact."""
        return MappingProxyType({reason.fact: reason for reason in self.reasons})

    def place(self, id: str) -> Place:
        """The place with this id; KeyError if there is none."""
        return {place.id: place for place in self.places}[id]

    def component(self, id: str) -> Component:
        """The component with this id; KeyError if there is none."""
        return {component.id: component for component in self.components}[id]

    def side_of(self, component: str) -> Side:
        """The side on which a component is deployed."""
        return self.place(self.component(component).place).side

    def with_facts(self, facts: Mapping[str, bool]) -> Topology:
        """The same topology with other facts: a what-if.

        Raises UsageError for an unknown fact, a value that is not true or false, and facts that contradict each other.
        """
        for name, value in facts.items():
            if name not in FACTS:
                raise UsageError(f"the unknown fact {told(name)}", f"a fact of {self.id}", near(name, FACTS))
            if not isinstance(value, bool):
                raise UsageError(f"{name} = {told(value)}", "true or false", f"write {name}=true or {name}=false")
        changed = {**self.facts, **facts}
        for rule in CONTRADICTIONS:
            if rule.forbids(changed):
                raise UsageError(f"a what-if of {self.id} in which {rule.found}", rule.expected, rule.mend)
        overrides = {**dict(self.overrides), **{name: facts[name] for name in facts}}
        return evolve(self, fact_values=tuple(changed.items()), overrides=tuple(sorted(overrides.items())))


# ------------------------------------------------------------------------------------------------------- what-if


@frozen
class Override:
    """One what-if as it is written on the command line. `topology` is None when it is meant for all of them."""

    topology: str | None
    path: str
    value: bool | int | str


_OVERRIDE: Final = re.compile(r"(?:(?P<topology>[^:=]+):)?(?P<path>[A-Za-z0-9_.\-]+)=(?P<value>.*)", re.DOTALL)


def parse_override(text: str) -> Override:
    """Read `hyper-v-to-secondary-site:reverse.requires_commit=false`; the topology and its colon may be left out.

    The value is a truth value, a whole number, or else a text. Raises UsageError when the form is another.
    """
    match = _OVERRIDE.fullmatch(text.strip())
    if match is None or not match["value"].strip():
        form = "[TOPOLOGY:]FACT=VALUE"
        raise UsageError(told(text), form, "write it like hyper-v-to-secondary-site:reverse.requires_commit=false")
    word = match["value"].strip()
    value: bool | int | str = word
    if word in ("true", "false"):
        value = word == "true"
    elif re.fullmatch(r"-?[0-9]{1,18}", word):
        value = int(word)
    return Override(match["topology"], match["path"], value)


def apply_overrides(topologies: Sequence[Topology], overrides: Sequence[Override]) -> tuple[Topology, ...]:
    """The topologies, each changed by those of `overrides` that are meant for it.

    Raises UsageError as `Topology.with_facts` does, and for a topology that is not among them: a what-if that changes
    nothing would be answered by a proof of something else.
    """
    changed = {topology.id: topology for topology in topologies}
    for override in overrides:
        if override.topology is not None and override.topology not in changed:
            mend = near(override.topology, changed)
            raise UsageError(f"a what-if of {told(override.topology)}", "a topology that is asked about", mend)
        if override.path in FACTS and not isinstance(override.value, bool):
            mend = f"write {override.path}=true or {override.path}=false"
            raise UsageError(f"{override.path}={told(override.value)}", "true or false", mend)
    for id, topology in changed.items():
        meant = [o for o in overrides if o.topology in (None, id)]
        changed[id] = topology.with_facts({o.path: bool(o.value) for o in meant})
    return tuple(changed.values())


# ------------------------------------------------------------------------------------------------------- loading


def builtin_topologies() -> tuple[str, ...]:
    """The ids of the built-in topologies, sorted."""
    folder = resources.files("siteproof.specs") / "topologies"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def load_topology(source: str | Path) -> Topology:
    """Load a built-in topology by its id, or a user's own by its path.

    Raises UsageError when there is no such topology or the file cannot be read, SpecError when the file is wrong.
    """
    if isinstance(source, str) and source in builtin_topologies():
        name = f"{source}.toml"
        return parse_topology((resources.files("siteproof.specs") / "topologies" / name).read_text("utf-8"), name)
    path = Path(source)
    try:
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        known = builtin_topologies()
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise UsageError(
            f"the topology {told(str(source))} ({reason or 'it cannot be read'})",
            "a built-in topology or the path of a readable TOML file",
            near(str(source), known),
        ) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        found = f"the byte 0x{raw[error.start]:02x}"
        raise SpecError([Problem(str(path), line, "encoding", found, "UTF-8 text", "save it as UTF-8")]) from None
    return parse_topology(text, str(path))


def parse_topology(text: str, file: str) -> Topology:
    """Read a topology from the text of a file called `file`. Raises SpecError with all that is wrong with it."""
    spec = SpecFile.parse(text, file)
    top = spec.top
    number = top.whole("format")
    if number is not None and number != FORMAT:
        spec.complain(
            ("format",), str(number), str(FORMAT), f"write format = {FORMAT}, or use a siteproof that knows it"
        )
    topology = Topology(
        id=_slug(top, top.text("id"), ("id",)),
        title=top.text("title"),
        summary=top.text("summary"),
        sections=top.texts("sections"),
        places=tuple(_places(top.table("places"))),
        components=tuple(_components(top.table("components"))),
        links=tuple(_links(top)),
        fact_values=tuple(_facts(top)),
        reasons=tuple(_reasons(top.table("why"))),
        policy_values=tuple(_policy(top.table("policy"))),
        limits=tuple(_limits(top.table("policy_limits", optional=True))),
        text=text,
        file=file,
    )
    top.close()
    _check(spec, topology)
    spec.finish()
    return topology


def _places(table: Table) -> Iterator[Place]:
    for id, entry in table.named():
        _slug(entry, id, entry.key)
        yield Place(id=id, title=entry.text("title"), side=entry.choice("side", Side))
        entry.close()


def _components(table: Table) -> Iterator[Component]:
    for id, entry in table.named():
        _slug(entry, id, entry.key)
        yield Component(
            id=id,
            title=entry.text("title"),
            kind=entry.choice("kind", Kind),
            place=entry.text("place"),
            host=entry.text("host", optional=True),
            optional=entry.flag("optional", default=False),
            install=entry.choice("install", Install, default=Install.UNSPECIFIED),
            used_for=entry.choice("used_for", Direction, default=Direction.BOTH),
            requirements=_requirements(entry),
        )
        entry.close()


def _links(top: Table) -> Iterator[Link]:
    for entry in top.tables("links"):
        yield Link(
            source=entry.text("from"),
            target=entry.text("to"),
            protocol=entry.choice("protocol", Protocol),
            port=entry.whole("port", minimum=1, maximum=65535, optional=True),
            configurable_port=entry.flag("configurable_port"),
            direction=entry.choice("direction", Direction),
            carries=entry.choice("carries", Carries),
            encrypted=entry.flag("encrypted"),
            paths=entry.choices("paths", Route),
            authentication=entry.choices("authentication", Authentication, optional=True),
            requirements=_requirements(entry),
        )
        entry.close()


def _facts(top: Table) -> Iterator[tuple[str, bool]]:
    groups: dict[str, Table] = {}
    for fact in FACTS:
        group, _, name = fact.partition(".")
        if group not in groups:
            groups[group] = top.table(group)
        yield fact, groups[group].flag(name)
    for entry in groups.values():
        entry.close()


def _reasons(table: Table) -> Iterator[Reason]:
    for fact in FACTS:
        entry = table.table(fact)
        reason = Reason(
            fact=fact,
            kind=entry.choice("kind", Basis),
            requirements=_requirements(entry),
            reason=entry.text("reason"),
        )
        entry.close()
        if reason.kind is Basis.DOCUMENTED and not reason.requirements and entry.file.is_sound(entry.key):
            found, mend = "none", 'name the requirements, or write kind = "decision"'
            entry.file.complain((*entry.key, "requirements"), found, "the requirements of a documented fact", mend)
        yield reason
    table.close()


def _policy(table: Table) -> Iterator[tuple[str, int]]:
    for name in (*POLICY, *OPTIONAL_POLICY):
        value = table.whole(name, optional=name in OPTIONAL_POLICY)
        if value is not None:
            yield name, value
    table.close()


def _limits(table: Table) -> Iterator[Limit]:
    for name in (*POLICY, *OPTIONAL_POLICY):
        entry = table.table(name, optional=True)
        limit = Limit(
            setting=name,
            minimum=entry.whole("minimum", optional=True),
            maximum=entry.whole("maximum", optional=True),
            allowed=entry.wholes("allowed", optional=True),
        )
        entry.close()
        if name in table.values:
            yield limit
    table.close()


def _requirements(entry: Table) -> tuple[str, ...]:
    ids = entry.texts("requirements", optional=True)
    for id in ids:
        if id not in requirement_ids():
            found = f"the unknown requirement {told(id)}"
            mend = near(id, requirement_ids())
            entry.file.complain((*entry.key, "requirements"), found, "ids of specs/requirements.toml", mend)
    return ids


def _slug(entry: Table, id: str, key: Key) -> str:
    if id and not re.fullmatch(r"[a-z][a-z0-9-]*", id):
        entry.file.complain(key, told(id), "small letters, digits and hyphens", "rename it, like process-server")
    return id


# --------------------------------------------------------------------------------------------------- what cannot be


@frozen
class Contradiction:
    """Facts that cannot hold together; `fact` is the one that is blamed."""

    fact: str
    forbids: Callable[[Mapping[str, bool]], bool]
    found: str
    expected: str
    mend: str


def _any_planned(facts: Mapping[str, bool]) -> bool:
    return facts["forward.planned_failover"] or facts["reverse.planned_failover"]


CONTRADICTIONS: Final = (
    Contradiction(
        fact="planned.leaves_protected",
        forbids=lambda facts: facts["planned.leaves_protected"] and not _any_planned(facts),
        found="planned.leaves_protected is true but neither direction has a planned failover",
        expected="false where there is no planned failover",
        mend="set planned.leaves_protected = false, or offer a planned failover",
    ),
    Contradiction(
        fact="forward.unplanned_failover",
        forbids=lambda facts: not facts["forward.planned_failover"] and not facts["forward.unplanned_failover"],
        found="the forward direction has no failover at all",
        expected="a planned or an unplanned failover to the recovery side",
        mend="set forward.unplanned_failover = true",
    ),
    Contradiction(
        fact="failback.ends_protection",
        forbids=lambda facts: (
            not facts["failback.ends_protection"]
            and not facts["reverse.planned_failover"]
            and not facts["reverse.unplanned_failover"]
        ),
        found="failback.ends_protection is false but the reverse direction has no failover",
        expected="true where nothing can come back under protection",
        mend="set failback.ends_protection = true, or offer a failover in the reverse direction",
    ),
)


def _check(spec: SpecFile, topology: Topology) -> None:
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
