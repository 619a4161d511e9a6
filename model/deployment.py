"""The deployment of a flow: places, components and links, with the ports and paths that the documents name."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen


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
