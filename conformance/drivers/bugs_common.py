"""What a seeded bug and a correct variant of the bundled implementation are, and where they are put in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from siteproof.impl.agent import HyperVReplicationAgent, MobilityService
from siteproof.impl.coordinator import ConfigurationServer, Provider
from siteproof.impl.target import MasterTarget, ReplicaHost, StorageAccount

__all__ = ["AGENTS", "COORDINATORS", "H2S", "TARGETS", "V2A", "Bug", "Variant", "everywhere"]

V2A, H2S = "vmware-to-azure", "hyper-v-to-secondary-site"


@attrs.frozen
class Bug:
    """A seeded bug. `shortest` is the least number of commands in a case that shows it (known by search)."""

    id: str
    family: str
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
    """A correct system that does things in another way."""

    id: str
    story: str
    components: dict[str, type]


def everywhere(make: Callable[[Any], type], *classes: tuple[str, type]) -> dict[str, type]:
    return {role: make(of) for role, of in classes}


COORDINATORS: tuple[tuple[str, type], ...] = (("configuration-server", ConfigurationServer), ("provider", Provider))
AGENTS: tuple[tuple[str, type], ...] = (("mobility-service", MobilityService), ("hyper-v-agent", HyperVReplicationAgent))
TARGETS: tuple[tuple[str, type], ...] = (
    ("storage-account", StorageAccount),
    ("master-target", MasterTarget),
    ("replica-host", ReplicaHost),
)
