"""Change of the point before a commit, the end of protection, and the end of a migration."""

from __future__ import annotations

import pytest

from siteproof.impl.values import BLOCK

from .conftest import ALL, block
from .test_testfailover import Build, do, everything, with_points

CHANGING = ["v2a", "p2a", "vmm", "hv", "h2s"]


@pytest.mark.parametrize("flow", CHANGING)
@pytest.mark.parametrize("cut_off", [True, False])
def test_a_change_of_point_discards_what_the_active_side_wrote_and_counts_the_loss_again(
    new_lab: Build, flow: str, cut_off: bool
) -> None:
    lab = with_points(new_lab, flow)
    points = lab.status("m").points
    contents = [everything(lab, p.id) for p in points]
    if cut_off:
        lab.fault("link")
        assert lab.write("m", "primary", 0, 8, block("never sent"))
    do(lab, "UnplannedFailover", "latest-processed")
    known = [lab.status("m").loss]
    for which in (0, 2, 1, 1):
        assert lab.write("m", "recovery", 1, 2, block("discarded"))
        assert lab.write("m", "recovery", 0, 9, block("also discarded"), cached=True)
        do(lab, "ChangePit", points[which].id)
        status = lab.status("m")
        assert (status.failover, status.failover_point, status.points) == ("unplanned", points[which].id, points)
        assert lab.running("m", "recovery")
        assert everything(lab, "recovery") == contents[which]
        assert [everything(lab, p.id) for p in points] == contents
        known.append(status.loss)
    assert known == ([None] * 5 if cut_off else [0, 2, 0, 1, 1])
    lab.heal("link")
    assert lab.status("m").loss == (2 if cut_off else 1)
    assert lab.write("m", "recovery", 0, 10, block("kept"))
    do(lab, "Commit")
    assert lab.status("m").points == ()
    do(lab, "PlannedFailover" if flow in ("vmm", "hv") else "ReverseReplicate")
    assert everything(lab, "primary") == everything(lab, "recovery")
    assert lab.read("m", "primary", 0, 10 * BLOCK, BLOCK) == block("kept")


@pytest.mark.parametrize("flow", ["vmm", "h2s"])
def test_the_point_can_be_changed_after_a_planned_failover_too(new_lab: Build, flow: str) -> None:
    lab = with_points(new_lab, flow)
    do(lab, "PlannedFailover")
    point = lab.status("m").points[1].id
    content = everything(lab, point)
    do(lab, "ChangePit", point)
    assert (lab.status("m").failover, lab.status("m").failover_point) == ("planned", point)
    assert everything(lab, "recovery") == content
    do(lab, "Commit")
    do(lab, "PlannedFailover" if flow == "vmm" else "ReverseReplicate")
    assert everything(lab, "primary") == everything(lab, "recovery") == content


def test_the_point_of_a_failback_can_be_changed_where_the_flow_has_points_then(new_lab: Build) -> None:
    lab = with_points(new_lab, "h2s")
    for operation in ("UnplannedFailover", "Commit", "ReverseReplicate"):
        do(lab, operation)
    first = lab.status("m").points[0].id
    content = everything(lab, first)
    assert lab.write("m", "recovery", 0, 11, block("after the point"))
    assert lab.settle()
    do(lab, "UnplannedFailover")
    assert everything(lab, "primary") != content
    do(lab, "ChangePit", "latest-processed")
    assert lab.read("m", "primary", 0, 11 * BLOCK, BLOCK) == block("after the point")
    do(lab, "ChangePit", first)
    assert everything(lab, "primary") == content
    assert lab.status("m").loss == 1


@pytest.mark.parametrize("flow", ["v2a", "h2s"])
@pytest.mark.parametrize("steps", range(3))
def test_a_power_cut_during_a_change_leaves_one_point_or_the_other(new_lab: Build, flow: str, steps: int) -> None:
    lab = with_points(new_lab, flow)
    do(lab, "UnplannedFailover")
    assert lab.write("m", "recovery", 0, 3, block("discarded"))
    before, point = everything(lab, "recovery"), lab.status("m").points[0].id
    assert lab.request("m", "ChangePit", "latest") == "RecoveryPointNotFound"
    assert lab.request("m", "ChangePit", point) is None
    for _ in range(steps):
        lab.step()
    lab.fault("recovery-site")
    assert lab.settle()
    assert everything(lab, "recovery") in (before, everything(lab, point))
    assert lab.request("m", "ChangePit", point) in ("JobInProgress", "TargetSiteDown")
    lab.heal("recovery-site")
    assert lab.settle()
    assert lab.status("m").failover_point == point
    assert everything(lab, "recovery") == everything(lab, point)
    assert lab.running("m", "recovery")


# ------------------------------------------------------------------------------------------------- end of protection


@pytest.mark.parametrize("flow", ALL)
@pytest.mark.parametrize("kinds", [(), ("link",), ("recovery-site",), ("primary-site",), ("primary-site", "recovery-site")])
def test_protection_ends_whatever_is_out_of_reach_and_can_begin_again(
    new_lab: Build, flow: str, kinds: tuple[str, ...]
) -> None:
    lab = with_points(new_lab, flow)
    assert lab.write("m", "primary", 0, 4, block("under way"))
    content = everything(lab, "primary")
    for kind in kinds:
        lab.fault(kind)
    do(lab, "DisableProtection")
    status = lab.status("m")
    assert (status.protection, status.failover, status.direction, status.points) == ("none", "none", "forward", ())
    assert status.allowed_operations == ("EnableProtection",)
    assert lab.request("m", "DisableProtection") == "NotProtected"
    sides = lab._simulation.coordinators["m"].sides
    for kind in kinds:
        lab.heal(kind)
    assert lab.settle()
    assert lab.hrl_files("m") == []
    assert [at.target.points for at in sides.values()] == [[], []]
    assert not any(at.agent.tracking or at.agent.sending_to or at.target.accepting for at in sides.values())
    assert everything(lab, "primary") == content
    assert lab.running("m", "primary")
    assert not lab.running("m", "recovery")
    assert lab.write("m", "primary", 0, 5, block("unprotected"))
    assert lab.settle()
    do(lab, "EnableProtection")
    (point,) = lab.status("m").points
    assert everything(lab, point.id) == everything(lab, "primary")


@pytest.mark.parametrize("flow", ALL)
@pytest.mark.parametrize("operation", ["DisableProtection", "CompleteMigration"])
@pytest.mark.parametrize("committed", [True, False])
def test_at_recovery_it_is_final_and_a_stale_source_is_fenced_all_the_same(
    new_lab: Build, flow: str, operation: str, committed: bool
) -> None:
    lab = with_points(new_lab, flow)
    lab.fault("link")
    assert lab.write("m", "primary", 0, 4, block("lost"))
    do(lab, "UnplannedFailover", "latest-processed")
    if committed:
        do(lab, "Commit")
    assert lab.write("m", "recovery", 0, 5, block("for good"))
    if operation == "CompleteMigration" and flow in ("scout", "h2s"):
        assert lab.request("m", operation) == "OperationNotSupported"
        return
    content = everything(lab, "recovery")
    do(lab, operation)
    status = lab.status("m")
    assert (status.failover, status.protection, status.active, status.points) == ("completed", "none", "recovery", ())
    assert (status.allowed_operations, status.failover_point, status.loss) == ((), None, None)
    assert lab.running("m", "primary")
    stale = everything(lab, "primary")
    lab.heal("link")
    assert not lab.running("m", "primary")
    assert not lab.start_machine("m", "primary")
    assert (lab.status("m").loss, lab.status("m").alerts) == (1, ("StaleSideFenced",))
    assert lab.hrl_files("m") == []
    assert everything(lab, "primary") == stale
    assert everything(lab, "recovery") == content
    assert lab.write("m", "recovery", 0, 6, block("and on"))


def test_both_endings_need_neither_site(new_lab: Build) -> None:
    for operation in ("DisableProtection", "CompleteMigration"):
        lab = with_points(new_lab, "v2a")
        do(lab, "UnplannedFailover")
        for kind in ("primary-site", "recovery-site", "link", "gateway"):
            lab.fault(kind)
        do(lab, operation)
        assert lab.status("m").failover == "completed"
        for kind in ("primary-site", "recovery-site", "link", "gateway"):
            lab.heal(kind)
        assert lab.running("m", "recovery")
        assert not lab.running("m", "primary")
        sides = lab._simulation.coordinators["m"].sides
        assert [at.target.points for at in sides.values()] == [[], []]
