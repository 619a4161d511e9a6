"""The deployment of a flow: places, components and links, what the way back needs; and how they are read from a file.

A value that the documents do not name is None, or an empty tuple; it is never guessed. The readers take the table of a
specification file and record what is wrong with single values; what must hold between them is in `topology_rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from attrs import frozen

from siteproof.model.errors import Key, near, told
from siteproof.model.requirements import requirement_ids
from siteproof.model.specfile import Table


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
    LOGICAL_NETWORK = "logical-network"
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
    VM_NETWORK = "vm-network"
    VMM_CLOUD = "vmm-cloud"
    VMM_SERVER = "vmm-server"


class Install(StrEnum):
    """How a component gets onto its host."""

    MANUAL = "manual"
    PUSH = "push"
    BY_DEFAULT = "by-default"
    UNSPECIFIED = "unspecified"


class Feature(StrEnum):
    """What a component does or offers, as far as the documents name it and nothing else in a topology says it."""

    CACHE = "cache"
    CLASSIC = "classic"
    COMPRESS = "compress"
    CONSOLE = "console"
    CREATES_MACHINES = "creates-machines"
    DISCOVERY = "discovery"
    ENCRYPT = "encrypt"
    HRL_LOGS = "hrl-logs"
    HYPER_V_PROFILE = "hyper-v-profile"
    MANAGEMENT_WEBSITE = "management-website"
    MANUAL_INSTALL = "manual-install"
    PUBLIC_ADDRESS = "public-address"
    PUSH_INSTALL = "push-install"
    REPLICATION_POLICY = "replication-policy"
    RESOURCE_MANAGER = "resource-manager"
    RETENTION_POINTS = "retention-points"


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


class MachineKind(StrEnum):
    """What a protected machine may become at the primary side again."""

    VMWARE_VM = "vmware-vm"
    HYPER_V_VM = "hyper-v-vm"
    PHYSICAL_SERVER = "physical-server"


class Location(StrEnum):
    """Where a failback may put the machine: into the one that it was, or elsewhere (H2A-43)."""

    ORIGINAL = "original"
    ALTERNATE = "alternate"


class Synchronisation(StrEnum):
    """When a planned failback copies the changes: mostly while the machine still runs, or all while it is down (H2A-44)."""

    BEFORE_FAILOVER = "before-failover"
    DURING_FAILOVER = "during-failover"


class Basis(StrEnum):
    """Where a fact comes from: the documents, or a decision of ours where they are silent."""

    DOCUMENTED = "documented"
    DECISION = "decision"


@frozen
class Place:
    """A site or a cloud. `encrypted_at_rest` is None where the documents do not say."""

    id: str
    title: str
    side: Side
    encrypted_at_rest: bool | None
    requirements: tuple[str, ...]


@frozen
class Component:
    """Something that is deployed. `host` is the component that it runs on, or ""; `joined_to` are those that it is attached
    to, managed by or registered in."""

    id: str
    title: str
    kind: Kind
    place: str
    host: str
    optional: bool
    install: Install
    used_for: Direction
    features: tuple[Feature, ...]
    joined_to: tuple[str, ...]
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
class FailbackSetup:
    """What a failback leads to, what may be chosen in it, and what has to stand before the way back begins.

    `components` must be deployed; of `paths` one must be set up; empty where nothing is asked for beyond what the way to
    the recovery side has. `automatic_policy` says that a failback policy is needed and comes with the replication policy.
    """

    targets: tuple[MachineKind, ...]
    locations: tuple[Location, ...]
    synchronisation: tuple[Synchronisation, ...]
    components: tuple[str, ...]
    paths: tuple[Route, ...]
    automatic_policy: bool
    requirements: tuple[str, ...]


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


# ------------------------------------------------------------------------------------------------------- reading


def read_places(table: Table) -> Iterator[Place]:
    """The places of `[places]`."""
    for id, entry in table.named():
        slug(entry, id, entry.key)
        yield Place(
            id=id,
            title=entry.text("title"),
            side=entry.choice("side", Side),
            encrypted_at_rest=entry.option("encrypted_at_rest"),
            requirements=read_requirements(entry),
        )
        entry.close()


def read_components(table: Table) -> Iterator[Component]:
    """The components of `[components]`."""
    for id, entry in table.named():
        slug(entry, id, entry.key)
        yield Component(
            id=id,
            title=entry.text("title"),
            kind=entry.choice("kind", Kind),
            place=entry.text("place"),
            host=entry.text("host", optional=True),
            optional=entry.flag("optional", default=False),
            install=entry.choice("install", Install, default=Install.UNSPECIFIED),
            used_for=entry.choice("used_for", Direction, default=Direction.BOTH),
            features=entry.choices("features", Feature, optional=True),
            joined_to=entry.texts("joined_to", optional=True),
            requirements=read_requirements(entry),
        )
        entry.close()


def read_links(top: Table) -> Iterator[Link]:
    """The links of `[[links]]`."""
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
            requirements=read_requirements(entry),
        )
        entry.close()


def read_failback_setup(entry: Table) -> FailbackSetup:
    """The table `[failback_setup]`."""
    setup = FailbackSetup(
        targets=entry.choices("targets", MachineKind),
        locations=entry.choices("locations", Location, optional=True),
        synchronisation=entry.choices("synchronisation", Synchronisation, optional=True),
        components=entry.texts("components", optional=True),
        paths=entry.choices("paths", Route, optional=True),
        automatic_policy=entry.flag("automatic_policy", default=False),
        requirements=read_requirements(entry),
    )
    entry.close()
    return setup


def read_requirements(entry: Table) -> tuple[str, ...]:
    """The ids of `requirements`; each must be one of `specs/requirements.toml`."""
    ids = entry.texts("requirements", optional=True)
    for id in ids:
        if id not in requirement_ids():
            found = f"the unknown requirement {told(id)}"
            mend = near(id, requirement_ids())
            entry.file.complain((*entry.key, "requirements"), found, "ids of specs/requirements.toml", mend)
    return ids


def slug(entry: Table, id: str, key: Key) -> str:
    """`id`, which must be a name of small letters, digits and hyphens."""
    if id and not re.fullmatch(r"[a-z][a-z0-9-]*", id):
        entry.file.complain(key, told(id), "small letters, digits and hyphens", "rename it, like process-server")
    return id
