"""The failback of Hyper-V to Azure: a planned failover that copies the changes back by itself (H2A-42, H2A-44, H2A-46)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from siteproof.impl.lab import Lab
from siteproof.impl.messages import ChangeBatch, Compare, CopyChunk
from siteproof.impl.values import BLOCK, Status

from .conftest import block

Build = Callable[..., Lab]

FLOWS = ["vmm", "hv"]
BLOCKS = 32


def do(lab: Lab, operation: str, point: str | None = None) -> Status:
    assert lab.request("m", operation, point) is None, operation
    assert lab.settle()
    status = lab.status("m")
    assert status.job is None
    return status


def put(lab: Lab, side: str, number: int, text: str, *, cached: bool = False) -> None:
    assert lab.write("m", side, number % 2, number % BLOCKS, block(text), cached)


def everything(lab: Lab, where: str) -> tuple[bytes, ...]:
    return tuple(lab.read("m", where, disk, 0, BLOCKS * BLOCK) for disk in range(2))


def sent(lab: Lab) -> list[object]:
    """Everything that agents send from now on."""
    messages: list[object] = []
    simulation = lab._simulation
    send = simulation._send

    def record(sends: list[object]) -> None:
        messages.extend(s.message for s in sends if isinstance(s.message, ChangeBatch | Compare | CopyChunk))  # type: ignore[attr-defined]
        send(sends)  # type: ignore[arg-type]

    simulation._send = record  # type: ignore[method-assign, assignment]
    return messages


def committed_in_azure(lab: Lab, how: str) -> Status:
    """Fail over to Azure and commit, with writes of the time before and after."""
    do(lab, "EnableProtection")
    put(lab, "primary", 3, "before")
    lab.settle()
    put(lab, "primary", 4, "last at home")
    do(lab, how)
    put(lab, "recovery", 5, "in Azure, before the commit")
    status = do(lab, "Commit")
    put(lab, "recovery", 6, "in Azure")
    return status


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("how", ["PlannedFailover", "UnplannedFailover"])
def test_round_trip(new_lab: Build, flow: str, how: str) -> None:
    lab = new_lab(flow)
    status = committed_in_azure(lab, how)
    assert (status.active, status.failover, status.protection, status.direction, status.points) == (
        "recovery", "committed", "none", "forward", (),
    )  # fmt: skip
    assert status.allowed_operations == ("CompleteMigration", "DisableProtection", "PlannedFailover")
    assert lab.request("m", "ReverseReplicate") == "OperationNotSupported"
    assert lab.request("m", "UnplannedFailover") == "OperationNotSupported"
    assert lab.request("m", "EnableProtection") == "AlreadyProtected"
    put(lab, "recovery", 7, "cached in Azure", cached=True)
    assert lab.request("m", "PlannedFailover") is None
    during = lab.status("m")
    assert (during.job, during.failover, during.active, during.allowed_operations, during.points) == (
        "PlannedFailover", "committed", "recovery", (), (),
    )  # fmt: skip
    assert lab.settle()
    status = lab.status("m")
    assert (status.active, status.failover, status.protection, status.direction, status.points) == (
        "primary", "planned", "none", "forward", (),
    )  # fmt: skip
    assert status.allowed_operations == ("Commit", "DisableProtection")
    assert lab.running("m", "primary")
    assert not lab.running("m", "recovery")
    assert everything(lab, "primary") == everything(lab, "recovery")
    for number, text in ((3, "before"), (5, "in Azure, before the commit"), (6, "in Azure"), (7, "cached in Azure")):
        assert lab.read("m", "primary", number % 2, number * BLOCK, BLOCK) == block(text)
    put(lab, "primary", 8, "home again")
    status = do(lab, "Commit")
    assert (status.active, status.failover, status.protection) == ("primary", "committed", "none")
    assert status.allowed_operations == ("DisableProtection", "ReverseReplicate")
    put(lab, "primary", 9, "home for good")
    messages = sent(lab)
    status = do(lab, "ReverseReplicate")
    assert (status.active, status.failover, status.protection, status.direction) == (
        "primary", "none", "protected", "forward",
    )  # fmt: skip
    assert status.allowed_operations == ("DisableProtection", "PlannedFailover", "TestFailover", "UnplannedFailover")
    assert all(isinstance(m, ChangeBatch) for m in messages)
    (point,) = status.points
    assert everything(lab, point.id) == everything(lab, "primary")
    put(lab, "primary", 10, "second time")
    lab.settle()
    do(lab, "UnplannedFailover")
    assert everything(lab, "recovery") == everything(lab, "primary")


@pytest.mark.parametrize("flow", FLOWS)
def test_after_a_planned_failover_only_what_was_tracked_goes_back(new_lab: Build, flow: str) -> None:
    for how, kinds in (("PlannedFailover", {ChangeBatch}), ("UnplannedFailover", {Compare, CopyChunk})):
        lab = new_lab(flow)
        committed_in_azure(lab, how)
        messages = sent(lab)
        do(lab, "PlannedFailover")
        assert {type(m) for m in messages} == kinds


@pytest.mark.parametrize("flow", ["vmm"])
@pytest.mark.parametrize("how", ["PlannedFailover", "UnplannedFailover"])
@pytest.mark.parametrize("kind", ["primary-site", "recovery-site", "link"])
def test_a_fault_between_any_two_steps_fails_the_job_or_finds_it_done(
    new_lab: Build, flow: str, how: str, kind: str
) -> None:
    outcomes = set()
    for moment in range(36):
        lab = new_lab(flow, seed=moment)
        committed_in_azure(lab, how)
        before = lab.status("m")
        assert lab.request("m", "PlannedFailover") is None
        for number in range(moment):
            if lab.running("m", lab.status("m").active):
                put(lab, lab.status("m").active, 10 + number, f"during {number}")
            lab.advance(0.45)
        lab.fault(kind)
        assert lab.settle()
        status = lab.status("m")
        assert not (lab.running("m", "primary") and lab.running("m", "recovery"))
        if status.active == "recovery":
            assert (status.failover, status.protection, status.points) == ("committed", "none", ())
            outcomes.add("failed")
            assert status == before
        else:
            outcomes.add("done")
        content = everything(lab, status.active)
        lab.heal(kind)
        assert lab.settle()
        status = lab.status("m")
        assert everything(lab, status.active) == content
        if status.active == "recovery":
            assert status.job is None
            assert not lab.start_machine("m", "primary")
            assert lab.start_machine("m", "recovery")
            put(lab, "recovery", 1, "after the failure")
            content = everything(lab, "recovery")
            do(lab, "PlannedFailover")
        assert everything(lab, "primary") == content
        do(lab, "Commit")
        if not lab.running("m", "primary"):
            assert lab.start_machine("m", "primary")
        status = do(lab, "ReverseReplicate")
        assert everything(lab, status.points[0].id) == content
        lab.close()
    assert outcomes == {"failed", "done"}


@pytest.mark.parametrize("flow", ["vmm"])
@pytest.mark.parametrize("how", ["PlannedFailover", "UnplannedFailover"])
def test_a_machine_restarted_between_stop_and_switch_is_stopped_and_drained_again(
    new_lab: Build, flow: str, how: str
) -> None:
    restarts = 0
    for moment in range(1, 60):
        lab = new_lab(flow, seed=moment)
        committed_in_azure(lab, how)
        assert lab.request("m", "PlannedFailover") is None
        lab.advance(moment * 0.17)
        if lab.status("m").active == "recovery":
            restarts += not lab.running("m", "recovery")
            assert lab.start_machine("m", "recovery")
            put(lab, "recovery", 2, "late")
            put(lab, "recovery", 3, "later, in the cache", cached=True)
        assert lab.settle()
        assert lab.status("m").active == "primary"
        assert everything(lab, "primary") == everything(lab, "recovery")
        assert not lab.running("m", "recovery")
        lab.close()
    assert restarts > 5


@pytest.mark.parametrize("flow", ["vmm"])
@pytest.mark.parametrize("steps", range(7))
def test_a_log_damaged_in_a_crash_during_the_job_makes_it_compare_and_finish(
    new_lab: Build, flow: str, steps: int
) -> None:
    lab = new_lab(flow)
    committed_in_azure(lab, "PlannedFailover")
    assert lab.request("m", "PlannedFailover") is None
    job = lab._simulation.coordinators["m"].job
    assert job is not None
    while job.step < steps and lab.status("m").job:
        lab.advance(0.01)
    if lab.running("m", "recovery"):
        put(lab, "recovery", 11, "tracked, then damaged")
    content = everything(lab, "recovery")
    lab.fault("recovery-site")
    for path in lab.hrl_files("m"):
        path.write_bytes(path.read_bytes()[:-5])
    lab.heal("recovery-site")
    assert lab.settle()
    status = lab.status("m")
    if status.active == "recovery":
        if not lab.running("m", "recovery"):
            assert lab.start_machine("m", "recovery")
        do(lab, "PlannedFailover")
    assert everything(lab, "primary") == everything(lab, "recovery") == content


@pytest.mark.parametrize("flow", FLOWS)
def test_prechecks_of_the_failback(new_lab: Build, flow: str) -> None:
    lab = new_lab(flow)
    do(lab, "EnableProtection")
    lab.fault("primary-site")
    do(lab, "UnplannedFailover")
    assert lab.request("m", "PlannedFailover") in ("NotProtected", "FailoverPending")
    do(lab, "Commit")
    assert "PlannedFailover" in lab.status("m").allowed_operations
    assert lab.request("m", "PlannedFailover") == "SitesNotConnected"
    lab.heal("primary-site")
    lab.fault("recovery-site")
    assert lab.request("m", "PlannedFailover") == "SourceNotRunning"
    lab.heal("recovery-site")
    assert lab.running("m", "recovery")
    do(lab, "PlannedFailover")
    assert lab.running("m", "primary")
