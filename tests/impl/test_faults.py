"""Faults, restarts and stale sides at every moment of a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from siteproof.impl.agent import MobilityService
from siteproof.impl.errors import IntegrityError, UsageError
from siteproof.impl.lab import Lab
from siteproof.impl.network import Network
from siteproof.impl.values import BLOCK

from .conftest import ALL, block, repair

Build = Callable[..., Lab]


def states(lab: Lab, where: str) -> tuple[bytes, bytes]:
    return lab.read("m", where, 0, 5 * BLOCK, BLOCK), lab.read("m", where, 1, 6 * BLOCK, BLOCK)


def pair(number: int, lab: Lab, side: str = "primary") -> None:
    """Two writes on two disks, the first before the second."""
    assert lab.write("m", side, 0, 5, block(f"w{number}"))
    assert lab.write("m", side, 1, 6, block(f"w{number}"))


def number_in(content: bytes) -> int:
    text = content.rstrip(b".").decode()
    return int(text[1:]) if text.startswith("w") else 0


def assert_prefix(content: tuple[bytes, bytes]) -> None:
    first, second = (number_in(c) for c in content)
    assert first - 1 <= second <= first


@pytest.mark.parametrize("flow", ALL)
@pytest.mark.parametrize("kind", ["primary-site", "recovery-site", "link", "gateway"])
def test_a_fault_at_any_moment_of_enabling_delays_it_and_spoils_nothing(new_lab: Build, flow: str, kind: str) -> None:
    for moment in range(24):
        lab = new_lab(flow, seed=moment)
        assert lab.request("m", "EnableProtection") is None
        for number in range(1, moment + 2):
            pair(number, lab)
            lab.advance(0.17)
        lab.fault(kind)
        lab.advance(30)
        for point in lab.status("m").points:
            assert_prefix(states(lab, point.id))
        lab.heal(kind)
        assert lab.settle()
        status = lab.status("m")
        assert status.protection == "protected"
        for point in status.points:
            assert_prefix(states(lab, point.id))
        assert states(lab, status.points[-1].id) == states(lab, "primary")
        lab.close()


@pytest.mark.parametrize("flow", ALL)
@pytest.mark.parametrize("kind", ["primary-site", "recovery-site", "link", "gateway"])
def test_what_is_under_way_when_a_fault_strikes_is_sent_again(new_lab: Build, flow: str, kind: str) -> None:
    lab = new_lab(flow)
    lab.request("m", "EnableProtection")
    lab.settle()
    for number in range(1, 80):
        if not lab.running("m", "primary"):
            assert lab.start_machine("m", "primary")
        pair(number, lab)
        lab.advance(0.013 * number if flow in ("v2a", "p2a", "scout") else 29.95 + 0.002 * number)
        lab.fault(kind)
        lab.advance(1)
        lab.heal(kind)
        assert lab.settle()
        assert states(lab, lab.status("m").points[-1].id) == (block(f"w{number}"), block(f"w{number}"))


def on_a_bad_network(new_lab: Build, flow: str, seed: int) -> tuple[Lab, dict[str, int]]:
    """From enabling over a failover and back to a new session, while a third of all messages is lost or damaged."""
    lab = new_lab(flow, seed=seed, network=Network(duplicates=0.2, losses=0.2, damages=0.2))
    assert lab.request("m", "EnableProtection") is None
    for number in range(1, 6):
        pair(number, lab)
        lab.advance(20)
    assert lab.settle()
    assert states(lab, lab.status("m").points[-1].id) == (block("w5"), block("w5"))
    for operation in ("UnplannedFailover", "Commit"):
        assert lab.request("m", operation) is None
        assert lab.settle()
    pair(6, lab, "recovery")
    assert lab.request("m", "PlannedFailover" if flow in ("vmm", "hv") else "ReverseReplicate") is None
    assert lab.settle()
    status = lab.status("m")
    assert status.job is None
    assert (status.resync, states(lab, "primary")) == ("none", (block("w6"), block("w6")))
    return lab, dict(lab._simulation.line.fates)


@pytest.mark.parametrize("flow", ALL)
def test_what_the_network_loses_or_damages_is_sent_again(new_lab: Build, flow: str) -> None:
    total: Counter[str] = Counter()
    for seed in range(4):
        lab, fates = on_a_bad_network(new_lab, flow, seed)
        again, same = on_a_bad_network(new_lab, flow, seed)
        assert fates == same
        assert (lab.now, lab._simulation.events, lab.status("m")) == (again.now, again._simulation.events, again.status("m"))
        total.update(fates)
        lab.close()
        again.close()
    assert min(total["lost"], total["damaged"], total["late"]) > 5


def under_clocks(new_lab: Build, flow: str, jumps: tuple[float, ...]) -> tuple[object, list[bytes], list[int]]:
    lab = new_lab(flow, seed=3)
    assert lab.request("m", "EnableProtection") is None
    assert lab.settle()
    stamps = []
    for number, jump in enumerate(jumps, 1):
        lab.jump_clock("primary", jump)
        lab.fault("link")
        pair(number, lab)
        lab.jump_clock("primary", jump / 2)
        pair(number, lab)
        logs = lab._host("m", "primary").agent.files()
        stamps += [entry.timestamp for log in logs if log.recording for entry in log.recording._pending]
        lab.fault("primary-site")
        lab.heal("primary-site")
        lab.heal("link")
        assert lab.settle()
        assert lab.start_machine("m", "primary")
    status = lab.status("m")
    assert (status.resync, states(lab, "recovery")) == ("none", states(lab, "primary"))
    content = [piece for point in status.points for piece in states(lab, point.id)]
    lab.close()
    return (lab.now, status), content, stamps


@pytest.mark.parametrize("flow", ALL)
def test_clocks_that_jump_change_nothing_but_the_times_in_logs(new_lab: Build, flow: str) -> None:
    right = under_clocks(new_lab, flow, (0.0,) * 6)
    wrong = under_clocks(new_lab, flow, (-3600.0, 1e5, -4e9, 1e12, -2e12, 60.0))
    assert right[:2] == wrong[:2]
    assert right[2] == sorted(right[2])
    assert wrong[2] != sorted(wrong[2])
    assert {0, 0xFFFFFFFF} <= set(wrong[2])


@pytest.mark.parametrize("flow", ALL)
def test_a_bad_block_of_a_replica_is_never_shown_and_a_resynchronisation_sends_it_anew(new_lab: Build, flow: str) -> None:
    lab = new_lab(flow)
    assert lab.request("m", "EnableProtection") is None
    pair(1, lab)
    assert lab.settle()
    (point,) = lab.status("m").points
    assert lab.damage("m", "recovery", 0, 5)
    assert not lab.damage("m", "primary", 0, 31), "that is the image of somebody else"
    for where in ("recovery", point.id):
        with pytest.raises(IntegrityError, match=r"the block at .* is not what was written there"):
            states(lab, where)
        assert lab.read("m", where, 1, 6 * BLOCK, BLOCK) == block("w1")
    lab._simulation.coordinators["m"].distrust()
    repair(lab)
    assert lab.status("m").resync == "none"
    assert states(lab, "recovery") == states(lab, lab.status("m").points[-1].id) == states(lab, "primary")


@pytest.mark.parametrize("flow", ALL)
def test_a_source_that_cannot_be_read_ends_the_copy_and_says_so(new_lab: Build, flow: str) -> None:
    lab = new_lab(flow)
    pair(1, lab)
    assert lab.damage("m", "primary", 0, 5)
    assert lab.request("m", "EnableProtection") is None
    assert lab.settle()
    status = lab.status("m")
    assert (status.job, status.protection, status.alerts, status.points) == (None, "none", ("SourceUnreadable",), ())
    pair(2, lab)
    assert lab.request("m", "EnableProtection") is None
    assert lab.settle()
    before = lab.status("m").points
    assert states(lab, before[-1].id) == (block("w2"), block("w2"))
    lab._simulation.coordinators["m"].distrust()
    assert lab.damage("m", "primary", 1, 6)
    assert lab.request("m", "RepairReplication") is None
    assert lab.settle()
    status = lab.status("m")
    assert (status.job, status.resync, status.points) == (None, "required", before)
    assert states(lab, before[-1].id) == (block("w2"), block("w2")), "the replica still has what the source has lost"
    assert lab.request("m", "UnplannedFailover", "latest-processed") is None
    assert lab.settle()
    assert states(lab, "recovery") == (block("w2"), block("w2"))


def test_a_share_of_messages_that_is_none_is_refused() -> None:
    for wrong in ({"losses": 1.0}, {"damages": -0.1}, {"duplicates": 2}):
        with pytest.raises(UsageError, match="a share of at least 0 and below 1 expected"):
            Network(**wrong)


@pytest.mark.parametrize("flow", ["vmm", "hv", "h2s"])
def test_a_source_restarted_during_a_planned_failover_loses_nothing(new_lab: Build, flow: str) -> None:
    for moment in range(1, 40):
        lab = new_lab(flow, seed=moment)
        lab.request("m", "EnableProtection")
        lab.settle()
        pair(1, lab)
        assert lab.request("m", "PlannedFailover") is None
        lab.advance(moment * 0.15)
        if lab.status("m").active == "primary":
            assert lab.start_machine("m", "primary")
            pair(2, lab)
        assert lab.settle()
        active = lab.status("m").active
        last = max(number_in(c) for c in states(lab, "primary"))
        assert states(lab, active) == (block(f"w{last}"), block(f"w{last}"))
        assert not (lab.running("m", "primary") and lab.running("m", "recovery"))
        lab.close()


@pytest.mark.parametrize("flow", ["vmm", "hv", "h2s"])
@pytest.mark.parametrize("kind", ["primary-site", "recovery-site", "link"])
def test_a_planned_failover_that_a_fault_strikes_is_done_or_undone(new_lab: Build, flow: str, kind: str) -> None:
    outcomes = set()
    for moment in range(40):
        lab = new_lab(flow, seed=moment)
        lab.request("m", "EnableProtection")
        lab.settle()
        pair(1, lab)
        before = lab.status("m")
        lab.request("m", "PlannedFailover")
        lab.advance(moment * 0.15)
        lab.fault(kind)
        assert lab.settle()
        status = lab.status("m")
        assert status.job is None
        outcomes.add(status.active)
        if status.active == "primary":
            assert (status.failover, status.protection) == ("none", "protected")
            assert status.points[: len(before.points)] == before.points
            assert not lab.running("m", "recovery")
            lab.heal(kind)
            assert lab.start_machine("m", "primary")
            lab.settle()
            assert states(lab, lab.status("m").points[-1].id) == (block("w1"), block("w1"))
        else:
            assert states(lab, "recovery") == (block("w1"), block("w1"))
            lab.heal(kind)
            assert not lab.start_machine("m", "primary")
        lab.close()
    assert outcomes == {"primary", "recovery"}


@pytest.mark.parametrize("flow", ["vmm", "hv", "h2s"])
def test_an_unplanned_failover_pre_empts_a_planned_one_and_nothing_else_does(new_lab: Build, flow: str) -> None:
    lab = new_lab(flow)
    lab.request("m", "EnableProtection")
    assert lab.request("m", "UnplannedFailover") == "JobInProgress"
    lab.settle()
    assert lab.request("m", "PlannedFailover") is None
    assert lab.status("m").allowed_operations == ("UnplannedFailover",)
    assert lab.request("m", "PlannedFailover") == "JobInProgress"
    assert lab.request("m", "UnplannedFailover", "latest") is None
    assert lab.status("m").allowed_operations == ()
    lab.settle()
    status = lab.status("m")
    assert (status.failover, status.active, status.loss) == ("unplanned", "recovery", 0)


@pytest.mark.parametrize("flow", ALL)
def test_an_old_source_that_runs_on_is_fenced_on_contact_and_its_writes_are_counted(new_lab: Build, flow: str) -> None:
    lab = new_lab(flow)
    lab.request("m", "EnableProtection")
    lab.settle()
    lab.fault("link")
    pair(1, lab)
    assert lab.request("m", "UnplannedFailover", "latest-processed") is None
    lab.settle()
    assert lab.running("m", "primary")
    assert lab.running("m", "recovery")
    pair(2, lab)
    assert lab.status("m").loss is None
    lab.request("m", "Commit")
    lab.settle()
    way_back = "PlannedFailover" if flow in ("vmm", "hv") else "ReverseReplicate"
    assert lab.request("m", way_back) == "SitesNotConnected"
    lab.heal("link")
    assert not lab.running("m", "primary")
    assert lab.status("m").loss == 4
    assert lab.status("m").alerts == ("StaleSideFenced",)
    assert not lab.start_machine("m", "primary")
    assert lab.request("m", way_back) is None
    lab.settle()
    assert states(lab, "primary") == states(lab, "recovery")


def test_prechecks_name_their_reason(new_lab: Build) -> None:
    lab = new_lab("h2s")
    lab.fault("link")
    assert lab.request("m", "EnableProtection") == "SitesNotConnected"
    lab.heal("link")
    lab.request("m", "EnableProtection")
    lab.settle()
    assert lab.request("m", "UnplannedFailover", "p99") == "RecoveryPointNotFound"
    lab.fault("recovery-site")
    assert lab.request("m", "UnplannedFailover") == "TargetSiteDown"
    lab.heal("recovery-site")
    lab.fault("primary-site")
    assert lab.request("m", "PlannedFailover") == "SourceNotRunning"
    assert lab.request("m", "Reboot") == "OperationNotSupported"


def test_a_request_id_names_a_request(new_lab: Build) -> None:
    lab = new_lab("v2a")
    assert lab.request("m", "EnableProtection", request_id="a") is None
    assert lab.status("m").protection == "initial"
    assert lab.status("m").points == ()
    assert lab.request("m", "EnableProtection", request_id="a") is None
    assert lab.request("m", "EnableProtection", request_id="b") == "JobInProgress"
    lab.settle()
    assert lab.request("m", "EnableProtection", request_id="b") == "JobInProgress"
    assert lab.request("m", "EnableProtection", request_id="a") is None
    assert lab.status("m").job is None


def test_a_request_id_that_is_given_to_another_request_is_refused_and_nothing_begins(new_lab: Build) -> None:
    lab = new_lab("h2s")
    assert lab.request("m", "EnableProtection", request_id="a") is None
    lab.settle()
    before = lab.status("m")
    for operation, point in (("UnplannedFailover", None), ("EnableProtection", "latest")):
        with pytest.raises(UsageError, match="an id names one request"):
            lab.request("m", operation, point, request_id="a")
    assert lab.status("m") == before
    assert lab.request("m", "EnableProtection", request_id="a") is None
    assert lab.status("m") == before
    assert lab.request("m", "UnplannedFailover", request_id="b") is None


def test_the_same_seed_gives_the_same_bytes(new_lab: Build) -> None:
    def run() -> list[bytes]:
        lab = new_lab("v2a", seed=7)
        lab.request("m", "EnableProtection")
        lab.advance(1)
        for number in range(300):
            pair(number, lab)
            lab.advance(0.01)
        names = [path.name for path in lab.hrl_files("m")]
        assert names
        files = [path.read_bytes() for path in lab.hrl_files("m")]
        lab.settle()
        return [*files, *(name.encode() for name in names), repr((lab.now, lab.status("m"))).encode()]

    first, second = run(), run()
    size = len(first)
    assert first[: size - 1] == second[: size - 1]
    assert first[-1] == second[-1]


def test_a_component_can_be_replaced_by_its_role(new_lab: Build) -> None:
    class Forgetful(MobilityService):
        def track(self, sequence: int, disk: int, block: int, data: bytes, now: float) -> None:
            """Track nothing."""

    lab = new_lab("v2a", components={"mobility-service": Forgetful})
    lab.request("m", "EnableProtection")
    lab.settle()
    pair(1, lab)
    lab.settle()
    assert states(lab, "recovery") != states(lab, "primary")


def test_retention_prunes_old_points_but_never_the_newest(new_lab: Build) -> None:
    lab = new_lab("h2s")
    lab.request("m", "EnableProtection")
    lab.settle()
    for number in range(1, 60):
        pair(number, lab)
        lab.advance(300)
    points = lab.status("m").points
    assert 20 <= len(points) <= 30
    assert [number_in(states(lab, p.id)[0]) for p in points] == list(range(60 - len(points), 60))
