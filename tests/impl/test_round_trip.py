"""Flows there and back on real bytes; Hyper-V to Azure is in :mod:`.test_failback`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from siteproof.impl.lab import Lab
from siteproof.impl.values import BLOCK

from .conftest import ALL, block

Build = Callable[..., Lab]


def do(lab: Lab, operation: str, point: str | None = None) -> None:
    assert lab.request("m", operation, point) is None, operation
    assert lab.settle()
    assert lab.status("m").job is None


def write(lab: Lab, side: str, number: int, text: str, disk: int = 0) -> None:
    assert lab.write("m", side, disk, number, block(text))


def first(lab: Lab, where: str, number: int, disk: int = 0) -> bytes:
    return lab.read("m", where, disk, number * BLOCK, BLOCK)


@pytest.mark.parametrize("flow", ["v2a", "p2a", "scout"])
def test_a_round_trip_by_unplanned_failovers_brings_every_write_home(new_lab: Build, flow: str) -> None:
    lab = new_lab(flow)
    write(lab, "primary", 3, "before")
    do(lab, "EnableProtection")
    status = lab.status("m")
    assert (status.protection, status.active, status.direction, status.failover) == (
        "protected", "primary", "forward", "none",
    )  # fmt: skip
    assert status.allowed_operations == (
        ("DisableProtection", "UnplannedFailover") if flow == "scout"
        else ("DisableProtection", "TestFailover", "UnplannedFailover")
    )  # fmt: skip
    assert len(status.points) == 1
    assert first(lab, status.points[0].id, 3) == block("before")
    assert first(lab, status.points[0].id, 0) == block("base 0-0.img 0")
    write(lab, "primary", 4, "delta", disk=1)
    lab.settle()
    assert len(lab.status("m").points) == 2
    write(lab, "primary", 4, "not received", disk=1)
    lab.fault("primary-site")
    assert not lab.running("m", "primary")
    do(lab, "UnplannedFailover", "latest")
    status = lab.status("m")
    assert (status.active, status.failover, status.protection, status.received, status.loss) == (
        "recovery", "unplanned", "none", 2, None,
    )  # fmt: skip
    assert lab.running("m", "recovery")
    assert first(lab, "recovery", 4, 1) == block("delta")
    write(lab, "recovery", 5, "in Azure")
    lab.heal("primary-site")
    status = lab.status("m")
    assert status.loss == 1
    assert status.alerts == ("StaleSideFenced",)
    assert not lab.running("m", "primary")
    do(lab, "Commit")
    assert lab.status("m").points == ()
    assert "ReverseReplicate" in lab.status("m").allowed_operations
    do(lab, "ReverseReplicate")
    status = lab.status("m")
    assert (status.protection, status.active, status.direction, status.failover) == (
        "protected", "recovery", "reverse", "none",
    )  # fmt: skip
    assert lab.request("m", "PlannedFailover") == "OperationNotSupported"
    write(lab, "recovery", 6, "last in Azure")
    lab.settle()
    do(lab, "UnplannedFailover", "latest-processed")
    assert lab.running("m", "primary")
    assert not lab.running("m", "recovery")
    do(lab, "Commit")
    status = lab.status("m")
    assert (status.protection, status.active, status.direction, status.failover) == (
        "none", "primary", "forward", "none",
    )  # fmt: skip
    for number, text in ((3, "before"), (5, "in Azure"), (6, "last in Azure")):
        assert first(lab, "primary", number) == block(text)
    assert first(lab, "primary", 4, 1) == block("delta")
    assert first(lab, "primary", 31) == block("base 0-0.img 31")
    assert status.allowed_operations == ("EnableProtection",)
    do(lab, "EnableProtection")
    status = lab.status("m")
    assert status.protection == "protected"
    assert first(lab, status.points[0].id, 6) == block("last in Azure")


def test_hyper_v_planned_round_trip_is_the_identity_and_loses_nothing(new_lab: Build) -> None:
    lab = new_lab("h2s")
    do(lab, "EnableProtection")
    before = lab.status("m")
    for side, there in (("primary", "recovery"), ("recovery", "primary")):
        write(lab, side, 7, f"from {side}")
        assert lab.write("m", side, 1, 8, block(f"cached {side}"), cached=True)
        do(lab, "PlannedFailover")
        status = lab.status("m")
        assert (status.active, status.failover, status.protection) == (there, "planned", "protected")
        assert not lab.running("m", side)
        assert lab.running("m", there)
        assert first(lab, there, 7) == block(f"from {side}")
        assert first(lab, there, 8, 1) == block(f"cached {side}")
        write(lab, there, 9, f"after the switch to {there}")
        do(lab, "Commit")
        do(lab, "ReverseReplicate")
        (point,) = lab.status("m").points
        assert first(lab, point.id, 9) == block(f"after the switch to {there}")
    after = lab.status("m")
    assert (after.active, after.direction, after.protection, after.failover) == (
        before.active, before.direction, before.protection, before.failover,
    )  # fmt: skip


def test_hyper_v_unplanned_failover_to_an_older_point_and_resync(new_lab: Build) -> None:
    lab = new_lab("h2s")
    do(lab, "EnableProtection")
    for number in range(3):
        write(lab, "primary", 10, f"version {number}")
        assert lab.settle()
    points = lab.status("m").points
    assert len(points) == 4
    do(lab, "UnplannedFailover", points[2].id)
    status = lab.status("m")
    assert status.failover_point == points[2].id
    assert status.received == 3
    assert status.loss == 1
    assert status.protection == "none"
    assert first(lab, "recovery", 10) == block("version 1")
    write(lab, "recovery", 10, "new branch")
    assert [first(lab, p.id, 10) for p in lab.status("m").points[1:4]] == [
        block(f"version {n}") for n in range(3)
    ]
    do(lab, "Commit")
    assert first(lab, "recovery", 10) == block("new branch")
    do(lab, "ReverseReplicate")
    do(lab, "PlannedFailover")
    assert first(lab, "primary", 10) == block("new branch")


@pytest.mark.parametrize("flow", ALL)
def test_initial_copy_while_writes_go_on(new_lab: Build, flow: str) -> None:
    lab = new_lab(flow)
    assert lab.request("m", "EnableProtection") is None
    for number in range(40):
        lab.advance(0.1)
        write(lab, "primary", number % 32, f"during {number}", disk=number % 2)
    assert lab.settle()
    point = lab.status("m").points[-1].id
    for disk in range(2):
        for number in range(32):
            assert first(lab, point, number, disk) == first(lab, "primary", number, disk)
