"""What a seeded bug and a correct variant of the bundled implementation are, and where they are put in.

An override is a class over the implementation's own one, with as few methods as it takes. Where several components share what
is overridden (both coordinators, all agents, all targets), it is written once, over what they share, and `mixed` puts it before
each.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from siteproof.impl.agent import HyperVReplicationAgent, MobilityService, UnifiedAgent
from siteproof.impl.coordinator import ConfigurationServer, Provider
from siteproof.impl.diskset import DiskSet
from siteproof.impl.target import MasterTarget, ReplicaHost, StorageAccount
from siteproof.impl.values import BLOCK

__all__ = [
    "AGENTS", "AZURE", "COORDINATORS", "DIFFICULTIES", "FAMILIES", "FLOWS", "GROUPED", "H2A", "H2A_SITE", "H2S", "P2A", "PLANNED",
    "REVERSED", "SCOUT", "TARGETS", "TESTED", "V2A", "VIA_GATEWAY", "Bug", "Variant", "mixed", "put_content", "whole_content",
]  # fmt: skip

V2A, H2S = "vmware-to-azure", "hyper-v-to-secondary-site"
P2A, H2A, H2A_SITE, SCOUT = "physical-to-azure", "hyper-v-vmm-to-azure", "hyper-v-site-to-azure", "scout-to-secondary-site"
FLOWS = (V2A, P2A, H2A, H2A_SITE, SCOUT, H2S)
PLANNED = (H2A, H2A_SITE, H2S)
"""Flows with a planned failover."""
REVERSED = (V2A, P2A, SCOUT, H2S)
"""Flows that replicate back from recovery by `ReverseReplicate`."""
TESTED = (V2A, P2A, H2A, H2A_SITE, H2S)
"""Flows with a test failover and a change of point."""
AZURE = (V2A, P2A, H2A, H2A_SITE)
VIA_GATEWAY = (V2A, P2A, SCOUT)
GROUPED = (V2A, P2A)
"""Flows with replication groups."""

FAMILIES = (
    "ordering",
    "durability and crash",
    "RPO and retention",
    "failover and commit",
    "reprotect and failback",
    "multi-VM consistency",
    "capability",
    "timing",
)
DIFFICULTIES = ("easy", "medium", "hard")


@attrs.frozen
class Bug:
    """A seeded bug. `promises` are those that it breaks; a run is to blame one of them. `flows` are those in which it exists.
    `shortest` is the least number of commands in a case that shows it (known by search).

    `difficulty` says what has to come together: `easy`, the plain way of an operation shows it; `medium`, it takes a fault, or
    an operation beside the main cycle; `hard`, it takes several of those, or a moment between two internal steps."""

    id: str
    family: str = attrs.field(validator=attrs.validators.in_(FAMILIES))
    difficulty: str = attrs.field(validator=attrs.validators.in_(DIFFICULTIES))
    story: str
    requirements: tuple[str, ...]
    promises: tuple[str, ...]
    flows: tuple[str, ...]
    shortest: int
    components: dict[str, type]

    @property
    def breaks(self) -> str:
        """The promises in one line."""
        return " or ".join(self.promises)


@attrs.frozen
class Variant:
    """A correct system that does things in another way, in the flows that have the components."""

    id: str
    story: str
    components: dict[str, type]
    flows: tuple[str, ...] = FLOWS


def mixed(override: type, roles: Sequence[tuple[str, type]]) -> dict[str, type]:
    """The override, put before each of several components."""
    return {role: type(override.__name__, (override, of), {"__module__": override.__module__}) for role, of in roles}


COORDINATORS: tuple[tuple[str, type], ...] = (("configuration-server", ConfigurationServer), ("provider", Provider))
AGENTS: tuple[tuple[str, type], ...] = (
    ("mobility-service", MobilityService),
    ("unified-agent", UnifiedAgent),
    ("hyper-v-agent", HyperVReplicationAgent),
)
TARGETS: tuple[tuple[str, type], ...] = (
    ("storage-account", StorageAccount),
    ("master-target", MasterTarget),
    ("replica-host", ReplicaHost),
)


def whole_content(disks: DiskSet) -> list[bytes]:
    """All that the disks hold."""
    return [disks.read(disk, 0, size) for disk, size in enumerate(disks.sizes)]


def put_content(disks: DiskSet, content: list[bytes]) -> None:
    """Make the disks hold `content`, block by block."""
    for disk, data in enumerate(content):
        for block in range(len(data) // BLOCK):
            disks.write(disk, block, data[block * BLOCK : (block + 1) * BLOCK])
