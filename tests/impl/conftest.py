"""Topologies and images for the tests of the implementation. Applications are frozen where a test asks for it only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from siteproof.impl.lab import Lab
from siteproof.impl.values import BLOCK

V2A = """
id = "vmware-to-azure"
title = "VMware to Azure"
[places.site]
title = "site"
side = "primary"
[places.azure]
title = "Azure"
side = "recovery"
[components.configuration-server]
kind = "configuration-server"
place = "site"
[components.process-server]
kind = "process-server"
place = "site"
[components.master-target]
kind = "master-target"
place = "site"
[components.mobility-service]
kind = "mobility-service"
place = "site"
[components.storage-account]
kind = "storage-account"
place = "azure"
[components.temporary-process-server]
kind = "process-server"
place = "azure"
[[links]]
from = "process-server"
to = "storage-account"
protocol = "https"
port = 443
direction = "forward"
carries = "data"
encrypted = true
[policy]
crash_consistent_minutes = 5
app_consistent_hours = 0
retention_hours = 24
[capabilities]
ignored = true
"""

H2S = """
id = "hyper-v-to-secondary-site"
title = "Hyper-V to a secondary site"
[places.primary-site]
title = "primary"
side = "primary"
[places.secondary-site]
title = "secondary"
side = "recovery"
[components.provider]
kind = "provider"
place = "primary-site"
[components.host]
kind = "hyper-v-host"
place = "primary-site"
[components.replica]
kind = "hyper-v-host"
place = "secondary-site"
[[links]]
from = "host"
to = "replica"
carries = "data"
[policy]
crash_consistent_minutes = 5
app_consistent_hours = 0
retention_hours = 2
replication_interval_seconds = 30
"""

P2A = """
id = "physical-to-azure"
extends = "vmware-to-azure"
[components.server]
kind = "physical-host"
place = "primary-site"
[components.primary-machine]
host = "server"
[policy]
app_consistent_hours = 0
"""

VMM = """
id = "hyper-v-vmm-to-azure"
title = "Hyper-V in VMM clouds to Azure"
[places.site]
side = "primary"
[places.azure]
side = "recovery"
[components.vmm-server]
kind = "vmm-server"
place = "site"
[components.provider]
kind = "provider"
place = "site"
host = "vmm-server"
[components.hyper-v-host]
kind = "hyper-v-host"
place = "site"
[components.agent]
kind = "recovery-services-agent"
place = "site"
host = "hyper-v-host"
[components.storage-account]
kind = "storage-account"
place = "azure"
[[links]]
from = "agent"
to = "storage-account"
carries = "data"
encrypted = true
[policy]
crash_consistent_minutes = 5
app_consistent_hours = 0
retention_hours = 2
replication_interval_seconds = 30
"""

HV = """
id = "hyper-v-site-to-azure"
extends = "hyper-v-vmm-to-azure"
[components.vmm-server]
removed = true
[components.vmm-cloud]
removed = true
[components.provider]
host = "hyper-v-host"
[policy]
replication_interval_seconds = 30
app_consistent_hours = 0
"""

SCOUT = """
id = "scout-to-secondary-site"
title = "Scout to a secondary site"
[places.near]
side = "primary"
[places.far]
side = "recovery"
[components.process-server]
kind = "process-server"
place = "near"
[components.agent]
kind = "unified-agent"
place = "near"
[components.near-target]
kind = "master-target"
place = "near"
[components.configuration-server]
kind = "configuration-server"
place = "far"
[components.far-target]
kind = "master-target"
place = "far"
[policy]
app_consistent_hours = 0
"""

TOPOLOGIES = {"v2a": V2A, "p2a": P2A, "vmm": VMM, "hv": HV, "scout": SCOUT, "h2s": H2S}
ALL = list(TOPOLOGIES)


def block(text: str) -> bytes:
    """A block that says what it is."""
    return text.encode().ljust(BLOCK, b".")


@pytest.fixture
def topologies(tmp_path: Path) -> dict[str, Path]:
    """A topology file of each flow."""
    result = {}
    for name, text in TOPOLOGIES.items():
        result[name] = tmp_path / f"{name}.toml"
        result[name].write_text(text)
    return result


def repair(lab: Lab) -> None:
    """A resynchronisation is called for, the operator starts it, and it is done."""
    assert lab.settle()
    assert lab.status("m").resync == "required"
    assert lab.request("m", "RepairReplication") is None
    assert lab.settle()
    assert (lab.status("m").resync, lab.status("m").job) == ("none", None)


def make_image(path: Path, blocks: int = 32) -> Path:
    """An image with some content and a hole."""
    with path.open("wb") as file:
        for number in (0, 1, blocks - 1):
            file.seek(number * BLOCK)
            file.write(block(f"base {path.name} {number}"))
        file.truncate(blocks * BLOCK)
    return path


@pytest.fixture
def new_lab(tmp_path: Path, topologies: dict[str, Path]) -> Iterator[Callable[..., Lab]]:
    """A factory of labs with one machine ``m`` of two disks."""
    labs: list[Lab] = []

    def build(flow: str, **options: object) -> Lab:
        number = len(labs)
        images = [make_image(tmp_path / f"{number}-{n}.img") for n in range(2)]
        lab = Lab(topologies[flow], {"m": images}, tmp_path / f"work{number}", **options)  # type: ignore[arg-type]
        labs.append(lab)
        return lab

    yield build
    for lab in labs:
        lab.close()
