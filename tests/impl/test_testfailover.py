"""Test failovers: an isolated copy of a point, whatever happens around it, and nothing left of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from siteproof.impl.errors import UsageError
from siteproof.impl.lab import Lab
from siteproof.impl.values import BLOCK

from .conftest import block

Build = Callable[..., Lab]

FLOWS = ["v2a", "p2a", "vmm", "hv", "h2s"]
BLOCKS = 32


def everything(lab: Lab, where: str) -> tuple[bytes, ...]:
    return tuple(lab.read("m", where, disk, 0, BLOCKS * BLOCK) for disk in range(2))


def do(lab: Lab, operation: str, point: str | None = None) -> None:
    assert lab.request("m", operation, point) is None, operation
    assert lab.settle()
    assert lab.status("m").job is None


def with_points(build: Build, flow: str, **options: object) -> Lab:
    """A protected machine with three points that differ."""
    lab = build(flow, **options)
    do(lab, "EnableProtection")
    for number in range(2):
        assert lab.write("m", "primary", number, 2, block(f"point {number}"))
        assert lab.settle()
    return lab


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_the_copy_has_the_content_of_its_point_and_its_writes_stay_in_it(new_lab: Build, flow: str, which: int) -> None:
    lab = with_points(new_lab, flow)
    point = lab.status("m").points[which].id
    do(lab, "TestFailover", point)
    assert lab.running("m", "test")
    assert lab.running("m", "primary")
    assert not lab.running("m", "recovery")
    assert everything(lab, "test") == everything(lab, point)
    before = {where: everything(lab, where) for where in ("primary", "recovery", *(p.id for p in lab.status("m").points))}
    for disk in range(2):
        for place in range(BLOCKS):
            assert lab.write("m", "test", disk, place, block(f"test {disk} {place}"), cached=place % 3 == 1)
    assert {where: everything(lab, where) for where in before} == before
    assert lab.read("m", "test", 1, 9 * BLOCK, BLOCK) == block("test 1 9")
    assert lab.write("m", "primary", 0, 5, block("meanwhile"))
    assert lab.settle()
    assert lab.read("m", lab.status("m").points[-1].id, 0, 5 * BLOCK, BLOCK) == block("meanwhile")
    assert lab.read("m", "test", 0, 5 * BLOCK, BLOCK) == block("test 0 5")
    do(lab, "TestFailoverCleanup")
    assert lab.status("m").test == "none"
    assert not lab.write("m", "test", 0, 0, block("too late"))
    with pytest.raises(UsageError, match="no test failover"):
        lab.read("m", "test", 0, 0, BLOCK)
    do(lab, "UnplannedFailover")
    assert everything(lab, "recovery") == everything(lab, "primary")


@pytest.mark.parametrize("flow", FLOWS)
def test_latest_first_makes_everything_received_into_a_point(new_lab: Build, flow: str) -> None:
    lab = with_points(new_lab, flow)
    assert lab.write("m", "primary", 0, 7, block("just received"))
    target = lab._simulation.coordinators["m"].sides["recovery"].target
    while target.received < 3:
        assert lab.step()
    assert len(lab.status("m").points) == 3
    do(lab, "TestFailover", "latest")
    assert lab.read("m", "test", 0, 7 * BLOCK, BLOCK) == block("just received")
    assert everything(lab, lab.status("m").points[-1].id) == everything(lab, "test")


@pytest.mark.parametrize("flow", FLOWS)
def test_it_needs_the_target_site_alone(new_lab: Build, flow: str) -> None:
    lab = with_points(new_lab, flow)
    lab.fault("recovery-site")
    assert lab.request("m", "TestFailover") == "TargetSiteDown"
    lab.heal("recovery-site")
    for kind in ("primary-site", "link", "gateway"):
        lab.fault(kind)
    do(lab, "TestFailover", "latest-processed")
    assert lab.running("m", "test")
    assert lab.request("m", "UnplannedFailover") == "TestFailoverPending"
    do(lab, "TestFailoverCleanup")
    do(lab, "UnplannedFailover")
    assert lab.running("m", "recovery")


@pytest.mark.parametrize("flow", FLOWS)
def test_a_power_cut_stops_the_copy_which_starts_again_with_what_was_written(new_lab: Build, flow: str) -> None:
    lab = with_points(new_lab, flow, sync=True)
    do(lab, "TestFailover")
    assert lab.write("m", "test", 0, 4, block("written"))
    assert lab.write("m", "test", 0, 6, block("cached only"), cached=True)
    lab.fault("recovery-site")
    assert not lab.running("m", "test")
    assert not lab.write("m", "test", 0, 4, block("refused"))
    assert lab.request("m", "TestFailoverCleanup") == "TargetSiteDown"
    lab.fault("primary-site")
    lab.heal("primary-site")
    assert not lab.running("m", "test")
    lab.heal("recovery-site")
    assert lab.running("m", "test")
    assert lab.status("m").test == "running"
    assert lab.read("m", "test", 0, 4 * BLOCK, BLOCK) == block("written")
    assert lab.read("m", "test", 0, 6 * BLOCK, BLOCK) == bytes(BLOCK)
    do(lab, "TestFailoverCleanup")


@pytest.mark.parametrize("flow", ["v2a", "h2s"])
@pytest.mark.parametrize("operation", ["TestFailover", "TestFailoverCleanup"])
@pytest.mark.parametrize("steps", range(3))
def test_a_power_cut_between_any_two_steps_delays_the_job(new_lab: Build, flow: str, operation: str, steps: int) -> None:
    lab = with_points(new_lab, flow)
    if operation == "TestFailoverCleanup":
        do(lab, "TestFailover")
    assert lab.request("m", operation) is None
    for _ in range(steps):
        lab.step()
    done = lab.status("m").job is None
    lab.fault("recovery-site")
    assert lab.settle()
    assert (lab.status("m").job is None) == done
    lab.heal("recovery-site")
    assert lab.settle()
    assert lab.status("m").job is None
    assert lab.status("m").test == ("running" if operation == "TestFailover" else "none")
    assert lab.running("m", "test") == (operation == "TestFailover")


def test_the_point_of_a_test_failover_is_pinned_until_the_cleanup(new_lab: Build) -> None:
    lab = with_points(new_lab, "h2s")
    point = lab.status("m").points[0].id
    do(lab, "TestFailover", point)
    content = everything(lab, "test")
    for number in range(40):
        assert lab.write("m", "primary", 0, number % BLOCKS, block(f"later {number}"))
        lab.advance(400)
    points = [p.id for p in lab.status("m").points]
    assert points[0] == point
    assert "p2" not in points
    assert everything(lab, point) == everything(lab, "test") == content
    do(lab, "TestFailoverCleanup")
    lab.advance(1)
    assert point not in [p.id for p in lab.status("m").points]


@pytest.mark.parametrize("flow", FLOWS)
def test_the_cleanup_leaves_no_file_and_no_open_handle(new_lab: Build, flow: str, tmp_path: Path) -> None:
    lab = with_points(new_lab, flow)
    folder, handles = tmp_path / "work0" / "m", Path("/proc/self/fd")
    files, opened = sorted(folder.iterdir()), len(list(handles.iterdir())) if handles.is_dir() else 0
    for _ in range(3):
        do(lab, "TestFailover")
        lab.write("m", "test", 0, 3, block("SECRET" * 100))
        assert (folder / "recovery.test").exists()
        assert (b"SECRETSECRET" in (folder / "recovery.test").read_bytes()) == (flow not in ("vmm", "hv"))
        do(lab, "TestFailoverCleanup")
        assert sorted(folder.iterdir()) == files
        assert not opened or len(list(handles.iterdir())) == opened


def test_on_the_way_back_the_copy_runs_at_primary(new_lab: Build) -> None:
    lab = with_points(new_lab, "h2s")
    for operation in ("PlannedFailover", "Commit", "ReverseReplicate", "TestFailover"):
        do(lab, operation)
    assert everything(lab, "test") == everything(lab, "recovery")
    lab.fault("recovery-site")
    assert lab.running("m", "test")
    lab.fault("primary-site")
    lab.heal("primary-site")
    assert lab.running("m", "test")
    assert not lab.running("m", "primary")
    do(lab, "TestFailoverCleanup")
