"""Scenarios are played to their end, and the verdict turns when the system breaks its word."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from siteproof.impl.agent import MobilityService
from siteproof.impl.control import StepResult
from siteproof.impl.coordinator import Provider
from siteproof.impl.diskset import DiskSet
from siteproof.impl.errors import ScenarioError
from siteproof.impl.flows import FLOWS
from siteproof.impl.group import ReplicationGroup
from siteproof.impl.inspection import inspect_file
from siteproof.impl.playing import Event, Outcome, play
from siteproof.impl.scenario import load_scenario
from siteproof.impl.target import ReplicaHost, StorageAccount
from siteproof.impl.values import Point
from siteproof.impl.vm_host import VmHost

SHIPPED = Path(__file__).parents[2] / "docs" / "scenarios"
SCENARIOS = sorted(path for path in SHIPPED.glob("*.toml") if path.stem in FLOWS)


def played(path: Path, folder: Path, components: dict[str, type] | None = None) -> tuple[Outcome, list[Event]]:
    events: list[Event] = []
    folder.mkdir()
    return play(load_scenario(path), folder, events.append, components), events


def test_there_is_a_scenario_for_every_flow() -> None:
    assert {load_scenario(path).topology.id for path in SCENARIOS} == set(FLOWS)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_shipped_scenario_goes_home_and_holds(path: Path, tmp_path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.steps[-1].verb == "check"
    assert dict(scenario.steps[-1].must) == {
        "active": "primary", "protection": "protected", "direction": "forward", "failover": "none", "running": ("primary",),
    }  # fmt: skip
    assert any(step.what in ("PlannedFailover", "UnplannedFailover") for step in scenario.steps)
    outcome, events = played(path, tmp_path / "play")
    assert outcome.findings == ()
    assert outcome.holds
    assert max(event.step for event in events) == len(scenario.steps)
    assert {m.active for m in outcome.machines} == {"primary"}
    assert all(m.acknowledged > 20 and m.points for m in outcome.machines)
    assert outcome.proofs >= 2 + 2 * len(outcome.machines)


def test_a_shipped_scenario_leaves_change_logs(tmp_path: Path) -> None:
    outcome, _ = played(SHIPPED / "change-log.toml", tmp_path / "play")
    assert outcome.holds
    closed, open_ = (inspect_file(path) for path in sorted((tmp_path / "play").rglob("*.hrl")))
    assert (closed.closed, open_.closed) == (True, False)
    assert not closed.faults
    assert closed.writes == 30
    readme = (SHIPPED.parents[1] / "README.md").read_text(encoding="utf-8")
    assert "play/lab/web/primary-disk0-000002.hrl" in readme


SHORT = """
format = 1
title = "short"
flow = "{flow}"
[machines.m]
disks = [{{ size = "256 KiB" }}]
[workloads.w]
pattern = "sequential"
[[steps]]
request = "EnableProtection"
[[steps]]
write = 30
workload = "w"
[[steps]]
settle = true
"""
UNPLANNED = """
[[steps]]
write = 5
workload = "w"
[[steps]]
fault = "primary-site"
[[steps]]
request = "UnplannedFailover"
[[steps]]
heal = "primary-site"
[[steps]]
check = { active = "recovery", loss = 5 }
"""
PLANNED = """
[[steps]]
write = 5
workload = "w"
[[steps]]
request = "PlannedFailover"
"""
TEST = """
[[steps]]
request = "TestFailover"
point = "latest-processed"
"""


def written(tmp_path: Path, rest: str, flow: str = "hyper-v-to-secondary-site") -> Path:
    file = tmp_path / "short.toml"
    file.write_text(SHORT.format(flow=flow) + rest, encoding="utf-8")
    return file


class SkipsAWrite(ReplicaHost):
    """Says that it applied the twelfth write."""

    def apply(self, batch: Any) -> None:
        writes = self._into.write
        count = 0

        def lossy(disk: int, number: int, data: bytes) -> None:
            nonlocal count
            count += 1
            if count != 12:
                writes(disk, number, data)

        self._into.write = lossy  # type: ignore[method-assign]
        try:
            super().apply(batch)
        finally:
            self._into.write = writes  # type: ignore[method-assign]


class NeverDrains(Provider):
    """Believes that everything has arrived, and is in no hurry."""

    def is_drained(self) -> bool:
        return True

    def urgent(self) -> bool:
        return False


class ForgetsTheNewestPoint(ReplicaHost):
    """Goes back to the first point, whatever was chosen."""

    def branch_at(self, point: Any) -> None:  # noqa: ARG002
        super().branch_at(self.points[0])


class MiscountsLoss(Provider):
    """Reports a loss of nothing."""

    def count_loss(self, host: Any) -> int:  # noqa: ARG002
        return 0


class ComesBackRunning(VmHost):
    """Is told that it is not the machine, and runs on."""

    def fence(self, epoch: int) -> bool:
        ran = super().fence(epoch)
        self.guest.running = self.side == "primary"
        return ran


class ShowsLiveContent(DiskSet):
    """Every point reads as the replica does now."""

    def read(self, disk: int, offset: int, length: int, at: int | None = None) -> bytes:  # noqa: ARG002
        return super().read(disk, offset, length)


class KeepsOnlyTheNewest(ReplicaHost):
    """Retention removes every point but the newest, pinned ones too."""

    def points_to_prune(self, now: float, retention: float, in_use: Any) -> list[Point]:  # noqa: ARG002
        return self.points[:-1]


class KeepsNoPinnedPoint(ReplicaHost):
    """Retention does not ask what a point is used for."""

    def points_to_prune(self, now: float, retention: float, in_use: Any) -> list[Point]:  # noqa: ARG002
        return super().points_to_prune(now, retention, ())


class LosesTheNewest(ReplicaHost):
    """Retention removes the newest point too."""

    def points_to_prune(self, now: float, retention: float, in_use: Any) -> list[Point]:
        return [p for p in self.points if now - p.cut_at > retention] or super().points_to_prune(now, retention, in_use)


class NobodyStarts(VmHost):
    """Becomes the machine, and its guest does not start."""

    def take_over(self, epoch: int, acknowledged: int) -> None:
        super().take_over(epoch, acknowledged)
        self.guest.running = False


class TakesTheOldest(Provider):
    """Fails over to the oldest point, and says so."""

    def choose_point(self, job: Any, now: float) -> Point | None:  # noqa: ARG002
        return self.sides["recovery"].target.points[0]


class NeverCleansUp(Provider):
    """The copy of a test failover is never deleted."""

    def step_delete_copy(self, job: Any, now: float) -> StepResult:  # noqa: ARG002
        return StepResult.WAIT


WRITE = '[[steps]]\nwrite = 5\nworkload = "w"\n'
MORE = f'{WRITE}[[steps]]\nadvance = "6m"\n'
LATER = f'{WRITE}[[steps]]\nadvance = "200m"\n[[steps]]\nsettle = true\n'
TO_A_POINT = MORE + MORE + '[[steps]]\nfault = "primary-site"\n[[steps]]\nrequest = "UnplannedFailover"\npoint = "p2"\n'
CLEANUP = '[[steps]]\nrequest = "TestFailoverCleanup"\n'
UNDER_TEST = '[[steps]]\nrequest = "TestFailover"\npoint = "p1"\n'


@pytest.mark.parametrize(
    ("components", "rest", "told"),
    [
        ({"disk-set": ShowsLiveContent}, MORE + MORE, "writes when it was seen first, and holds 40 now"),
        ({"disk-set": ShowsLiveContent}, TO_A_POINT, "step 9: m: recovery point p1 held"),
        ({"replica-host": KeepsOnlyTheNewest}, MORE + MORE, "recovery point p1 is gone after at most"),
        ({"replica-host": KeepsNoPinnedPoint}, UNDER_TEST + LATER + MORE, "the point that the copy of its test failover was"),
        ({"replica-host": LosesTheNewest}, LATER, "the newest recovery point p"),
        ({"vm-host": NobodyStarts}, UNPLANNED, "recovery is the machine, and does not run"),
        ({"vm-host": NobodyStarts}, PLANNED, "recovery is the machine, and does not run"),
        ({"provider": TakesTheOldest}, MORE + UNPLANNED, "had been replicated"),
        ({"provider": TakesTheOldest}, TO_A_POINT, "it holds 0 writes; p2, which was asked for, "),
        ({"provider": TakesTheOldest}, TEST, "the copy of the test failover holds 0 of 30 acknowledged writes; 30 had been"),
        ({"provider": NeverCleansUp}, TEST + CLEANUP, "TestFailoverCleanup is stuck"),
        ({"replica-host": SkipsAWrite}, UNPLANNED, "are no prefix: a mixture"),
        ({"replica-host": SkipsAWrite}, TEST, "the copy of the test failover is no prefix"),
        ({"replica-host": ForgetsTheNewestPoint}, UNPLANNED, "which it says it used, holds 30"),
        ({"provider": NeverDrains}, PLANNED, "a planned failover kept 30 of 35"),
        ({"provider": MiscountsLoss}, UNPLANNED, "reports a loss of 0 writes; 5 were lost"),
        ({"vm-host": ComesBackRunning}, UNPLANNED, "primary runs, and is not the machine"),
    ],
    ids=lambda value: next(iter(value.values())).__name__ if isinstance(value, dict) else "",
)
def test_the_verdict_finds_a_system_that_breaks_its_word(
    components: dict[str, type], rest: str, told: str, tmp_path: Path
) -> None:
    good, _ = played(written(tmp_path, rest), tmp_path / "good")
    assert good.findings == ()
    outcome, events = played(written(tmp_path, rest), tmp_path / "bad", components)
    assert not outcome.holds
    assert any(told in finding for finding in outcome.findings), outcome.findings
    assert [event for event in events if event.kind == "finding"]


def test_the_same_seed_tells_the_same_play(tmp_path: Path) -> None:
    file = written(tmp_path, UNPLANNED)
    assert played(file, tmp_path / "one")[1] == played(file, tmp_path / "two")[1]


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ('[[steps]]\nrequest = "Commit"\n', "step 4: Commit of m was answered NoFailoverToCommit; accepted expected"),
        ('[[steps]]\ncheck = { active = "recovery" }\n', "step 4: m shows active = primary; recovery expected"),
        ('[[steps]]\nwrite = 2\nworkload = "w"\nside = "recovery"\n', "workload w wrote nothing"),
        ('[[steps]]\nsettle = true\n[[steps]]\nadvance = "1m"\nat = "1s"\n', "give a later time"),
    ],
)
def test_a_play_that_goes_another_way_ends_there_and_is_judged_all_the_same(rest: str, told: str, tmp_path: Path) -> None:
    outcome, events = played(written(tmp_path, rest + '[[steps]]\nfault = "link"\n'), tmp_path / "play")
    assert len(outcome.findings) == 1
    assert told in outcome.findings[0]
    assert not [event for event in events if event.kind == "fault"]
    assert outcome.proofs == 2


def test_an_image_of_ones_own_is_never_written_to(tmp_path: Path) -> None:
    image = tmp_path / "mine.img"
    image.write_bytes(hashlib.sha256(b"x").digest() * 128 * 16)
    image.chmod(0o400)
    before = image.read_bytes()
    file = written(tmp_path, UNPLANNED)
    file.write_text(file.read_text().replace('{ size = "256 KiB" }', '{ image = "mine.img" }'), encoding="utf-8")
    outcome, _ = played(file, tmp_path / "play")
    assert outcome.holds
    assert image.read_bytes() == before
    file.write_text(file.read_text().replace("mine.img", "none.img"), encoding="utf-8")
    with pytest.raises(ScenarioError, match=r'disks.*image: found "none\.img", which cannot be opened \(No such file'):
        played(file, tmp_path / "none")
    (tmp_path / "none.img").write_bytes(bytes(5000))
    with pytest.raises(ScenarioError, match=r'disks.*image: found "none\.img" of 5,000 bytes; expected a positive multiple'):
        load_scenario(file)


GROUP = """
format = 1
title = "group"
flow = "vmware-to-azure"
[machines.a]
disks = [{ size = "128 KiB" }]
[machines.b]
disks = [{ size = "128 KiB" }]
[groups.g]
machines = ["a", "b"]
[plans.p]
[[plans.p.groups]]
machines = ["a", "b"]
after = [{ script = "s", fails = true }, { manual = "look" }]
[workloads.w]
per_minute = 60
[[steps]]
request = "EnableProtection"
[[steps]]
begin = "w"
[[steps]]
advance = "16m"
[[steps]]
plan = "p"
operation = "UnplannedFailover"
point = "latest-common"
[[steps]]
resume = "p"
"""


class OwnPoints(ReplicationGroup):
    """Takes each member's newest point, with the newest common one of nobody in mind."""

    def common(self, kind: str | None = None) -> Any:  # noqa: ARG002
        return {member: coordinator.points[0 if member == "a" else -1] for member, coordinator in self.members.items()}


def test_a_plan_is_told_and_what_its_group_holds_is_of_one_instant(tmp_path: Path) -> None:
    file = tmp_path / "group.toml"
    file.write_text(GROUP, encoding="utf-8")
    outcome, events = played(file, tmp_path / "good")
    assert outcome.findings == ()
    told = [event.text for event in events]
    assert "plan: group 1: s: script failed" in told
    assert "plan p: waiting for a manual action, 1 error noted" in told
    assert "plan p: done, 1 error noted" in told
    assert "group g: its machines hold what they held at one instant" in told
    outcome, _ = played(file, tmp_path / "bad", {"replication-group": OwnPoints})
    assert len(outcome.findings) == 2
    assert outcome.findings[0].startswith("step 4: a: it holds 0 of ")
    assert outcome.findings[1] == (
        "step 4: group g: a machine lacks a write that was acknowledged before one that another machine holds"
    )


def test_components_of_the_other_flows_are_judged_too(tmp_path: Path) -> None:
    class Skips(StorageAccount):
        def store_base(self, chunk: Any) -> None:
            """Says that the base copy has arrived."""

    file = written(tmp_path, UNPLANNED, flow="vmware-to-azure")
    assert played(file, tmp_path / "good", {"mobility-service": MobilityService})[0].holds
    outcome, _ = played(file, tmp_path / "bad", {"storage-account": Skips})
    assert any("never written, and is not what the image has there" in finding for finding in outcome.findings)


@pytest.mark.parametrize("per_minute", [0.5, 10, 600])
def test_times_are_those_at_which_things_happened_whatever_the_workload(per_minute: float, tmp_path: Path) -> None:
    file = tmp_path / "group.toml"
    file.write_text(GROUP.replace("per_minute = 60", f"per_minute = {per_minute}"), encoding="utf-8")
    _, events = played(file, tmp_path / "play")
    told = [event.text for event in events if event.step == 4]
    at = {event.text: event.now for event in events if event.step == 4}
    asked = at["plan p, UnplannedFailover forward to latest-common: accepted"]
    assert asked < at["plan: group 1: runs"] < at["plan p: waiting for a manual action, 1 error noted"] < asked + 10
    assert told.index("recovery is the machine now (unplanned failover)") < told.index("plan: failed over")
    assert told.index("plan: failed over") < told.index("plan: group 1: runs")
    points = [event.now for event in events if event.kind == "point" and event.step == 3 and event.machine == "a"]
    assert [now for now in points if now % 300 > 5] == []


def test_what_happens_while_time_passes_without_a_workload_is_told_when_it_happens(tmp_path: Path) -> None:
    rest = '[[steps]]\nrequest = "UnplannedFailover"\nwait = false\n[[steps]]\nadvance = "10m"\n'
    _, events = played(written(tmp_path, rest), tmp_path / "play")
    (asked,) = [event.now for event in events if event.text == "UnplannedFailover: accepted"]
    (moved,) = [event.now for event in events if event.text.startswith("recovery is the machine now")]
    assert asked < moved < asked + 10


def test_a_job_that_fails_is_told(tmp_path: Path) -> None:
    rest = (
        '[[steps]]\nwrite = 5\nworkload = "w"\n[[steps]]\nrequest = "PlannedFailover"\nwait = false\n'
        '[[steps]]\nfault = "link"\n[[steps]]\nadvance = "1m"\n'
    )
    outcome, events = played(written(tmp_path, rest), tmp_path / "play")
    assert outcome.holds
    (failed,) = [event for event in events if "failed" in event.text]
    assert (failed.kind, failed.machine) == ("alert", "m")
    assert failed.text.startswith("PlannedFailover failed: primary is still the machine, and ")


def test_shipped_scenarios_show_what_their_summaries_say(tmp_path: Path) -> None:
    _, events = played(SHIPPED / "physical-to-azure.toml", tmp_path / "physical")
    told = [event.text for event in events]
    older, newer = (
        next(int(text.split()[n].replace(",", "")) for text in told if start in text)
        for start, n in (("read back whole: recovery holds exactly the first", 8), ("writes of p14", 7))
    )
    assert 0 < older < newer
    _, events = played(SHIPPED / "hyper-v-site-to-azure.toml", tmp_path / "hyper-v")
    told = [event.text for event in events]
    failed = told.index("PlannedFailover failed: primary is still the machine, and runs")
    assert told.index("PlannedFailover: accepted") < failed < told.index("PlannedFailover: refused, SitesNotConnected")


class OwnAppPoints(ReplicationGroup):
    """Takes each member's own app-consistent point, the oldest of one and the newest of another."""

    def common(self, kind: str | None = None) -> Any:
        points = {member: [p for p in c.points if p.kind == kind] for member, c in self.members.items()}
        return {member: own[0 if member == "a" else -1] for member, own in points.items()}


def test_a_groups_latest_app_consistent_point_is_of_one_instant_too(tmp_path: Path) -> None:
    file = tmp_path / "group.toml"
    text = GROUP.replace('"latest-common"', '"latest-app-consistent"').replace('advance = "16m"', 'advance = "130m"')
    file.write_text(text.replace("per_minute = 60", "per_minute = 6"), encoding="utf-8")
    outcome, events = played(file, tmp_path / "good")
    assert outcome.findings == ()
    assert "group g: its machines hold what they held at one instant" in [event.text for event in events]
    outcome, _ = played(file, tmp_path / "bad", {"replication-group": OwnAppPoints})
    assert any("group g: a machine lacks a write that was acknowledged before" in finding for finding in outcome.findings)


def test_a_plan_takes_an_app_consistent_point_that_only_one_member_has_for_none_of_its_group(tmp_path: Path) -> None:
    file = tmp_path / "group.toml"
    apart = (
        'advance = "65m"\n[[steps]]\nfault = "group-port"\nmachine = "b"\n[[steps]]\nadvance = "70m"\n'
        '[[steps]]\nheal = "group-port"\nmachine = "b"\n'
    )
    text = GROUP.replace('"latest-common"', '"latest-app-consistent"').replace('advance = "16m"\n', apart)
    file.write_text(text.replace("per_minute = 60", "per_minute = 6"), encoding="utf-8")
    outcome, events = played(file, tmp_path / "good")
    assert outcome.findings == ()
    assert "group g: its machines hold what they held at one instant" in [event.text for event in events]
