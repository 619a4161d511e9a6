"""What has to be there before a flow runs, and where it keeps what it tracks."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from siteproof.impl.errors import TopologyError
from siteproof.impl.hrl import decode_header
from siteproof.impl.lab import Lab
from siteproof.impl.values import BLOCK

from .conftest import TOPOLOGIES, block, make_image
from .test_flows import wire

Build = Callable[..., Lab]

NEEDED = {
    "v2a": ("configuration-server", "process-server", "master-target", "mobility-service", "storage-account"),
    "vmm": ("vmm-server", "provider", "hyper-v-host", "recovery-services-agent", "storage-account"),
    "scout": ("configuration-server", "process-server", "master-target", "unified-agent"),
    "h2s": ("provider", "hyper-v-host"),
}
"""What the source has one set up before a machine is enabled (V2A-25, V2A-26, H2A-27, S-V2S-23, H2S-16)."""


@pytest.mark.parametrize("flow", NEEDED)
def test_a_deployment_that_lacks_what_its_flow_needs_is_refused_before_anything_runs(flow: str, tmp_path: Path) -> None:
    for number, kind in enumerate(NEEDED[flow]):
        file = tmp_path / f"{number}.toml"
        file.write_text(TOPOLOGIES[flow].replace(f'kind = "{kind}"', 'kind = "tape-drive"'))
        images = {"m": [make_image(tmp_path / f"{number}.img")]}
        with pytest.raises(TopologyError, match=kind):
            Lab(file, images, tmp_path / f"work{number}").close()
        assert not (tmp_path / f"work{number}").exists()


@pytest.mark.parametrize("flow", ["v2a", "p2a", "vmm", "hv", "h2s"])
def test_tracked_changes_are_kept_in_hrl_files(new_lab: Build, flow: str) -> None:
    lab = new_lab(flow)
    assert lab.request("m", "EnableProtection") is None
    assert lab.settle()
    lab.fault("link")
    for number in range(4):
        assert lab.write("m", "primary", number % 2, 3 + number, block(f"tracked {number}"))
    files = lab.hrl_files("m")
    assert len(files) == 2
    assert {file.suffix for file in files} == {".hrl"}
    kept = [file.read_bytes() for file in files]
    for number in range(4):
        assert [block(f"tracked {number}") in data for data in kept] == [number % 2 == disk for disk in range(2)]
    assert all(decode_header(data).end_of_log == 0 for data in kept), "a log that is written to says that it is not closed"


@pytest.mark.parametrize("flow", ["v2a", "p2a"])
def test_a_process_server_compresses_and_then_encrypts_what_it_sends(new_lab: Build, flow: str) -> None:
    lab = new_lab(flow)
    noise = random.Random(7).randbytes(BLOCK)
    assert lab.request("m", "EnableProtection") is None
    assert lab.settle()
    frames = []
    for data in (noise, block("the same again " * 200)):
        seen = wire(lab)
        assert lab.write("m", "primary", 0, 5, data)
        assert lab.settle()
        assert lab.read("m", lab.status("m").points[-1].id, 0, 5 * BLOCK, BLOCK) == data
        frames.append(b"".join(sent for _, sent in seen))
    assert noise[:64] not in frames[0]
    assert len(frames[1]) < BLOCK // 8, "what is encrypted first does not shrink any more"
