"""Pause and resume: what is tracked meanwhile follows, and nothing that needs replication pretends to have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from siteproof.impl.lab import Lab
from siteproof.impl.values import BLOCK

from .conftest import block, make_image

Build = Callable[..., Lab]
PAUSE, RESUME = "PauseReplication", "ResumeReplication"


def do(lab: Lab, operation: str, point: str | None = None) -> None:
    assert lab.request("m", operation, point) is None, operation
    assert lab.settle()


def paused(new_lab: Build, flow: str) -> Lab:
    lab = new_lab(flow)
    do(lab, "EnableProtection")
    assert lab.write("m", "primary", 0, 3, block("before"))
    assert lab.settle()
    do(lab, PAUSE)
    assert lab.status("m").paused
    return lab


@pytest.mark.parametrize("flow", ["hv", "vmm", "h2s"])
def test_what_is_written_while_paused_follows_after_the_resume(new_lab: Build, flow: str) -> None:
    lab = paused(new_lab, flow)
    points = lab.status("m").points
    assert lab.write("m", "primary", 0, 4, block("meanwhile"))
    lab.advance(3600)
    assert lab.read("m", "recovery", 0, 4 * BLOCK, BLOCK) != block("meanwhile")
    assert lab.status("m").points == points
    do(lab, RESUME)
    assert not lab.status("m").paused
    assert lab.read("m", "recovery", 0, 4 * BLOCK, BLOCK) == block("meanwhile")
    assert lab.read("m", lab.status("m").points[-1].id, 0, 4 * BLOCK, BLOCK) == block("meanwhile")


def test_codes_while_paused_and_when_not(new_lab: Build) -> None:
    lab = paused(new_lab, "h2s")
    assert lab.request("m", PAUSE) == "ReplicationPaused"
    assert lab.request("m", "PlannedFailover") == "ReplicationPaused"
    assert lab.status("m").allowed_operations == ("DisableProtection", "TestFailover", "UnplannedFailover")
    do(lab, RESUME)
    assert lab.request("m", RESUME) == "ReplicationNotPaused"
    do(lab, "PlannedFailover")
    assert lab.request("m", PAUSE) == "FailoverPending"


@pytest.mark.parametrize("flow", ["v2a", "p2a", "scout"])
def test_flows_that_do_not_offer_it_refuse_it(new_lab: Build, flow: str) -> None:
    lab = new_lab(flow)
    do(lab, "EnableProtection")
    assert lab.request("m", PAUSE) == lab.request("m", RESUME) == "OperationNotSupported"


@pytest.mark.parametrize("operation", ["UnplannedFailover", "DisableProtection"])
def test_what_ends_replication_ends_the_pause(new_lab: Build, operation: str) -> None:
    lab = paused(new_lab, "h2s")
    assert lab.write("m", "primary", 0, 4, block("not sent"))
    do(lab, operation)
    assert not lab.status("m").paused
    if operation == "UnplannedFailover":
        assert lab.status("m").loss == 1
        assert lab.read("m", "recovery", 0, 3 * BLOCK, BLOCK) == block("before")
        assert lab.read("m", "recovery", 0, 4 * BLOCK, BLOCK) != block("not sent")


def test_a_log_that_grows_too_long_while_paused_calls_for_a_resynchronisation(new_lab: Build) -> None:
    lab = new_lab("h2s", least_log=0)
    do(lab, "EnableProtection")
    do(lab, PAUSE)
    for number in range(40):
        assert lab.write("m", "primary", number % 2, number % 32, block(f"write {number}"))
    assert lab.status("m").resync == "required"
    assert lab.request("m", "RepairReplication") == "ReplicationPaused"
    do(lab, RESUME)
    do(lab, "RepairReplication")
    assert lab.status("m").resync == "none"
    assert lab.read("m", "recovery", 1, 0, 32 * BLOCK) == lab.read("m", "primary", 1, 0, 32 * BLOCK)


def test_a_pause_outlives_faults_and_the_program(tmp_path: Path, topologies: dict[str, Path]) -> None:
    images = {"m": [make_image(tmp_path / "0.img")]}
    with Lab(topologies["h2s"], images, tmp_path / "work", durable=True) as lab:
        do(lab, "EnableProtection")
        do(lab, PAUSE)
        assert lab.write("m", "primary", 0, 4, block("meanwhile"))
        for fault in ("link", "primary-site"):
            lab.fault(fault)
            lab.heal(fault)
        lab.advance(3600)
    with Lab(topologies["h2s"], images, tmp_path / "work", resume=True) as lab:
        assert lab.settle()
        assert lab.status("m").paused
        assert lab.read("m", "recovery", 0, 4 * BLOCK, BLOCK) != block("meanwhile")
        do(lab, RESUME)
        assert lab.read("m", "recovery", 0, 4 * BLOCK, BLOCK) == block("meanwhile")


def test_what_was_under_way_at_a_fault_is_sent_again_after_the_resume_and_not_before(new_lab: Build) -> None:
    lab = new_lab("h2s")
    do(lab, "EnableProtection")
    assert lab.write("m", "primary", 0, 3, block("under way"))
    while lab._host("m", "primary").agent.in_flight is None:
        assert lab.step()
    lab.fault("link")
    do(lab, PAUSE)
    lab.heal("link")
    assert lab.settle()
    assert lab.read("m", "recovery", 0, 3 * BLOCK, BLOCK) != block("under way")
    do(lab, RESUME)
    assert lab.read("m", "recovery", 0, 3 * BLOCK, BLOCK) == block("under way")
