"""What a seeded bug and a correct variant of the bundled implementation are, and where they are put in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from siteproof.impl.agent import HyperVReplicationAgent, MobilityService, UnifiedAgent
from siteproof.impl.coordinator import ConfigurationServer, Provider
from siteproof.impl.target import MasterTarget, ReplicaHost, StorageAccount

__all__ = [
    "AGENTS", "COORDINATORS", "FLOWS", "H2A", "H2A_SITE", "H2S", "P2A", "SCOUT", "TARGETS", "V2A", "Bug", "Variant", "everywhere",
]  # fmt: skip

V2A, H2S = "vmware-to-azure", "hyper-v-to-secondary-site"
P2A, H2A, H2A_SITE, SCOUT = "physical-to-azure", "hyper-v-vmm-to-azure", "hyper-v-site-to-azure", "scout-to-secondary-site"
FLOWS = (V2A, P2A, H2A, H2A_SITE, SCOUT, H2S)


@attrs.frozen
class Bug:
    """A seeded bug. `shortest` is the least number of commands in a case that shows it (known by search), in the flow where it
    is least. `difficulty`, by what has to come together: `easy`: the plain way of an operation shows it; `medium`: it takes a
    fault, or an operation beside the main cycle; `hard`: several of those, or one moment between two internal steps."""

    id: str
    family: str
    story: str
    requirements: tuple[str, ...]
    promises: tuple[str, ...]
    flows: tuple[str, ...]
    shortest: int
    components: dict[str, type]
    difficulty: str = "easy"

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


def everywhere(make: Callable[[Any], type], *classes: tuple[str, type]) -> dict[str, type]:
    return {role: make(of) for role, of in classes}


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
