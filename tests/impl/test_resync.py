"""Resynchronisation: called for when the log cannot be trusted, started by the operator, harmless until it merges."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siteproof.impl import resync
from siteproof.impl.changelog import ChangeLog
from siteproof.impl.errors import IntegrityError
from siteproof.impl.extents import ExtentSpace
from siteproof.impl.lab import Lab
from siteproof.impl.messages import Compare, CopyChunk
from siteproof.impl.values import BLOCK

from .conftest import ALL, block, make_image, repair
from .test_failback import sent
from .test_testfailover import BLOCKS, Build, do, everything, with_points


def required(build: Build, flow: str, **options: object) -> Lab:
    """A machine whose log is damaged while two acknowledged writes are not on the replica."""
    lab = with_points(build, flow, **options)
    lab.fault("link")
    for place in (4, 5):
        assert lab.write("m", "primary", place % 2, place, block(f"only here {place}"))
    lab.fault("change-log")
    lab.heal("link")
    assert lab.settle()
    assert lab.status("m").resync == "required"
    return lab


def until(lab: Lab, resync_state: str) -> None:
    """Let the repair go on until it is in a phase."""
    while lab.status("m").resync != resync_state:
        assert lab.step()


@pytest.mark.parametrize("flow", ALL)
def test_a_damaged_log_stops_replication_until_the_operator_repairs_it(new_lab: Build, flow: str) -> None:
    lab = required(new_lab, flow)
    before = lab.status("m")
    replica = everything(lab, "recovery")
    assert "RepairReplication" in before.allowed_operations
    assert not {"PlannedFailover", "TestFailover"} & set(before.allowed_operations)
    assert lab.write("m", "primary", 0, 6, block("not tracked"))
    lab.advance(100_000)
    assert lab.status("m") == before
    assert everything(lab, "recovery") == replica
    messages = sent(lab)
    assert lab.request("m", "RepairReplication") is None
    assert lab.status("m").resync == "comparing"
    assert lab.settle()
    chunks = {m.number: m.copies for m in messages if isinstance(m, CopyChunk)}
    copied = [copy.offset // BLOCK for copies in chunks.values() for copy in copies]
    assert sorted(copied) == [4, 5, 6]
    assert sum(isinstance(m, Compare) for m in messages) >= 2
    (point,) = lab.status("m").points
    assert point not in before.points
    assert everything(lab, point.id) == everything(lab, "recovery") == everything(lab, "primary")
    assert lab.write("m", "primary", 1, 7, block("replicated again"))
    assert lab.settle()
    assert everything(lab, lab.status("m").points[-1].id) == everything(lab, "primary")
    assert lab.request("m", "RepairReplication") == "NoResynchronisationRequired"


@pytest.mark.parametrize("flow", ALL)
@pytest.mark.parametrize("idle", [True, False])
@pytest.mark.parametrize("powered", [True, False])
def test_the_fault_is_always_noticed(new_lab: Build, flow: str, idle: bool, powered: bool) -> None:
    for seed in range(12):
        lab = with_points(new_lab, flow, seed=seed)
        if not idle:
            lab.fault("link")
            for number in range(300):
                lab.write("m", "primary", number % 2, number % BLOCKS, block(f"{number}"))
            lab.heal("link")
        if not powered:
            lab.fault("primary-site")
        lab.fault("change-log")
        lab.heal("primary-site")
        assert lab.status("m").resync == "required"
        repair(lab)
        assert everything(lab, "recovery") == everything(lab, "primary")
        lab.close()


def test_the_fault_strikes_nothing_where_no_log_is_kept(new_lab: Build) -> None:
    lab = new_lab("v2a")
    lab.fault("change-log")
    lab.heal("change-log")
    assert (lab.status("m").resync, lab.hrl_files("m")) == ("none", [])
    do(lab, "EnableProtection")
    assert lab.status("m").resync == "none"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.sampled_from([0, 1, 5, 127, 130]), closed=st.booleans(), seed=st.integers(0, 10**6))
def test_no_bit_of_a_log_can_turn_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, count: int, closed: bool, seed: int
) -> None:
    space = ExtentSpace()
    log = ChangeLog(space, tmp_path_factory.mktemp("log"), "primary", 0, 1 << 20, random.Random(1), sync=False)
    for number in range(1, count + 1):
        log.append(number, number * 512, f"data {number}".encode(), number)
    if closed and count:
        log.swap(999)
        log.recover()
        assert log.in_transit is not None
        log.in_transit.damage(random.Random(seed))
    else:
        log.damage(999, random.Random(seed))
    with pytest.raises(IntegrityError):
        log.recover()
    space.close()


@pytest.mark.parametrize("flow", ALL)
def test_a_log_that_outgrows_half_the_disks_calls_for_a_resynchronisation(new_lab: Build, flow: str) -> None:
    lab = with_points(new_lab, flow, least_log=0)
    lab.fault("link")
    for number in range(BLOCKS):
        assert lab.status("m").resync == "none" or number > BLOCKS - 8
        assert lab.write("m", "primary", number % 2, number % 5, block(f"backlog {number}"))
    assert lab.status("m").resync == "required"
    size = sum(path.stat().st_size for path in lab.hrl_files("m"))
    assert lab.write("m", "primary", 0, 3, block("one more"))
    assert sum(path.stat().st_size for path in lab.hrl_files("m")) == size
    assert lab.request("m", "RepairReplication") == "SitesNotConnected"
    lab.heal("link")
    repair(lab)
    assert everything(lab, "recovery") == everything(lab, "primary")


@pytest.mark.parametrize("flow", ALL)
@pytest.mark.parametrize("phase", ["required", "comparing"])
@pytest.mark.parametrize("point", ["latest", "latest-processed", "oldest"])
def test_an_unplanned_failover_goes_on_from_the_old_points(new_lab: Build, flow: str, phase: str, point: str) -> None:
    lab = required(new_lab, flow)
    points = lab.status("m").points
    contents = {p.id: everything(lab, p.id) for p in points}
    replica = everything(lab, "recovery")
    if phase == "comparing":
        assert lab.request("m", "RepairReplication") is None
        target = lab._simulation.coordinators["m"].sides["recovery"].target
        while target.last_ack is None or not target._staging or not any(target._staging._versions):
            assert lab.step()
        assert lab.status("m").allowed_operations == ("UnplannedFailover",)
        assert everything(lab, "recovery") == replica
        lab.fault("primary-site")
    assert lab.request("m", "UnplannedFailover", points[0].id if point == "oldest" else point) is None
    assert lab.settle()
    status = lab.status("m")
    assert (status.failover, status.resync, status.received) == ("unplanned", "none", 2)
    assert {i: everything(lab, i) for i in contents} == contents
    assert everything(lab, "recovery") == (contents[points[0].id] if point == "oldest" else replica)
    lab.heal("primary-site")
    assert lab.status("m").loss == (4 if point == "oldest" else 2)
    do(lab, "Commit")
    do(lab, "PlannedFailover" if flow in ("vmm", "hv") else "ReverseReplicate")
    assert everything(lab, "primary") == everything(lab, "recovery")


@pytest.mark.parametrize("flow", ["v2a", "vmm", "scout", "h2s"])
@pytest.mark.parametrize("kind", ["primary-site", "recovery-site", "link", "gateway", "change-log"])
def test_a_fault_at_any_moment_of_a_repair_spoils_nothing(
    new_lab: Build, monkeypatch: pytest.MonkeyPatch, flow: str, kind: str
) -> None:
    monkeypatch.setattr(resync, "MERGE_BLOCKS", 2)
    phases = set()
    for moment in range(18):
        lab = required(new_lab, flow, seed=moment)
        points = lab.status("m").points
        contents = {p.id: everything(lab, p.id) for p in points}
        for place in range(10, 20):
            assert lab.write("m", "primary", 0, place, block(f"differs {place}"))
        assert lab.request("m", "RepairReplication") is None
        for number in range(moment):
            if lab.running("m", "primary"):
                assert lab.write("m", "primary", 1, 10 + number % 8, block(f"meanwhile {number}"))
            lab.step()
        phases.add(lab.status("m").resync)
        lab.fault(kind)
        if lab.status("m").resync != "none" and lab.status("m").points == points:
            assert {i: everything(lab, i) for i in contents} == contents
        assert lab.settle()
        lab.heal(kind)
        assert lab.settle()
        status = lab.status("m")
        assert status.job is None
        if kind == "change-log" and status.resync == "required":
            repair(lab)
            status = lab.status("m")
        assert status.resync == "none"
        assert everything(lab, "recovery") == everything(lab, "primary")
        assert everything(lab, status.points[-1].id) == everything(lab, "primary")
        assert not set(status.points) & set(points)
        lab.close()
    assert "comparing" in phases


def test_merging_needs_the_target_site_alone_and_nothing_pre_empts_it(
    new_lab: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resync, "MERGE_BLOCKS", 1)
    lab = required(new_lab, "v2a")
    content = everything(lab, "primary")
    before = lab.status("m").points
    assert lab.request("m", "RepairReplication") is None
    until(lab, "merging")
    assert lab.request("m", "UnplannedFailover") == "JobInProgress"
    lab.fault("recovery-site")
    assert lab.settle()
    assert (lab.status("m").resync, lab.status("m").points) == ("merging", before)
    lab.fault("primary-site")
    lab.heal("recovery-site")
    assert lab.settle()
    assert lab.status("m").resync == "none"
    (point,) = lab.status("m").points
    assert everything(lab, point.id) == content
    do(lab, "UnplannedFailover")
    assert everything(lab, "recovery") == content


def test_a_planned_failover_whose_log_is_damaged_fails_and_changes_nothing(new_lab: Build) -> None:
    lab = with_points(new_lab, "h2s")
    assert lab.write("m", "primary", 0, 5, block("tracked"))
    assert lab.request("m", "PlannedFailover") is None
    lab.fault("change-log")
    assert lab.settle()
    status = lab.status("m")
    assert (status.active, status.failover, status.protection, status.resync) == ("primary", "none", "protected", "required")
    assert lab.start_machine("m", "primary")
    repair(lab)
    do(lab, "PlannedFailover")
    assert lab.read("m", "recovery", 0, 5 * BLOCK, BLOCK) == block("tracked")


def test_a_repair_leaves_no_file(new_lab: Build, tmp_path) -> None:  # type: ignore[no-untyped-def]
    lab = with_points(new_lab, "h2s")
    files = sorted((tmp_path / "work0" / "m").iterdir())
    lab.fault("change-log")
    repair(lab)
    assert sorted((tmp_path / "work0" / "m").iterdir()) == files
    lab.fault("change-log")
    assert lab.request("m", "RepairReplication") is None
    lab.step()
    assert (tmp_path / "work0" / "m" / "recovery.resync").exists()
    do(lab, "UnplannedFailover")
    assert not (tmp_path / "work0" / "m" / "recovery.resync").exists()


@pytest.mark.parametrize("durable", [False, True])
def test_what_a_failed_resynchronisation_staged_is_in_nobodys_way(
    topologies: dict[str, Path], tmp_path: Path, durable: bool
) -> None:
    """The base copy of a new protection goes to the replica, and not to the staging area that a failed repair has left."""
    image = make_image(tmp_path / "base.img")
    with Lab(topologies["v2a"], {"m": [image]}, tmp_path / "work", durable=durable) as lab:
        assert lab.request("m", "EnableProtection") is None
        assert lab.settle()
        lab.write("m", "primary", 0, 3, block("before"))
        assert lab.settle()
        lab.fault("change-log")
        lab.damage("m", "primary", 0, 3)
        assert lab.request("m", "RepairReplication") is None
        assert lab.settle()
        assert "SourceUnreadable" in lab.status("m").alerts
        lab.write("m", "primary", 0, 3, block("mended"))
        for operation in ("DisableProtection", "EnableProtection"):
            assert lab.request("m", operation) is None
            assert lab.settle()
        lab.write("m", "primary", 0, 4, block("after"))
        assert lab.settle()
        assert lab.request("m", "UnplannedFailover", "latest") is None
        assert lab.settle()
        assert lab.status("m").loss == 0
        for number in range(8):
            at = number * BLOCK
            assert lab.read("m", "recovery", 0, at, BLOCK) == lab.read("m", "primary", 0, at, BLOCK)


def test_what_goes_bad_in_the_staging_area_is_compared_anew(new_lab: Build) -> None:
    lab = required(new_lab, "v2a")
    target = lab._simulation.coordinators["m"].sides["recovery"].target
    assert lab.request("m", "RepairReplication") is None
    while target._staging is None or not any(target._staging._versions):
        assert lab.step()
    disk = next(number for number, versions in enumerate(target._staging._versions) if versions)
    assert target._staging.damage(disk, next(iter(target._staging._versions[disk])), random.Random(1))
    assert lab.settle()
    assert lab.status("m").resync == "none"
    everything_is_there(lab)


@pytest.mark.parametrize("flow", ALL)
def test_what_goes_bad_while_it_is_merged_is_called_for_again_and_the_points_stay(new_lab: Build, flow: str) -> None:
    lab = required(new_lab, flow)
    target = lab._simulation.coordinators["m"].sides["recovery"].target
    before = [(p.id, lab.read("m", p.id, 0, 0, BLOCKS * BLOCK)) for p in lab.status("m").points]
    assert lab.request("m", "RepairReplication") is None
    until(lab, "merging")
    staged = target._staging
    assert staged is not None
    disk = next(number for number, versions in enumerate(staged._versions) if versions)
    place = next(iter(staged._versions[disk]))
    assert staged.damage(disk, place, random.Random(1))
    assert lab.settle()
    assert (lab.status("m").job, lab.status("m").resync) == (None, "required")
    assert [(p.id, lab.read("m", p.id, 0, 0, BLOCKS * BLOCK)) for p in lab.status("m").points] == before
    with pytest.raises(IntegrityError):
        lab.read("m", "recovery", disk, place * BLOCK, BLOCK)
    assert lab.request("m", "RepairReplication") is None
    assert lab.settle()
    assert lab.status("m").resync == "none"
    everything_is_there(lab)


def everything_is_there(lab: Lab) -> None:
    for disk in range(2):
        assert lab.read("m", "recovery", disk, 0, BLOCKS * BLOCK) == lab.read("m", "primary", disk, 0, BLOCKS * BLOCK)
