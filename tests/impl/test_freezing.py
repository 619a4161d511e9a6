"""App-consistent points: frozen applications, the mark behind their last write, and what asks for such a point (P24, V2A-37)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from siteproof.impl.lab import Lab
from siteproof.impl.loader import load_topology
from siteproof.impl.plan import PlanGroup, RecoveryPlan
from siteproof.impl.values import BLOCK
from siteproof.impl.vm_host import Freezer, VmHost

from .conftest import ALL, block, make_image

HOUR = 3600
Build = Callable[..., Lab]


class Database:
    """An application that keeps its last write in memory until it is frozen, or until it writes the next one."""

    def __init__(self) -> None:
        self.lab: Lab | None = None
        self.works = True
        self.memory: bytes | None = None
        self.calls: list[str] = []

    def freeze(self, machine: str) -> bool:
        self.calls.append("freeze")
        if self.lab is not None and self.memory is not None:
            assert self.lab.write(machine, "primary", 0, 9, self.memory)
            self.memory = None
        return self.works

    def thaw(self, machine: str) -> None:  # noqa: ARG002
        self.calls.append("thaw")


@pytest.fixture
def app_lab(topologies: dict[str, Path], tmp_path: Path) -> Build:
    labs: list[Lab] = []

    def build(
        flow: str, freezers: Mapping[str, Freezer] | None = None, names: tuple[str, ...] = ("m",), hours: float = 1,
        **more: object,
    ) -> Lab:  # fmt: skip
        topology = load_topology(topologies[flow])
        topology = attrs.evolve(topology, policy=attrs.evolve(topology.policy, app_consistent_hours=hours, retention_hours=24))
        work = tmp_path / f"work{len(labs)}"
        image = make_image(tmp_path / f"{len(labs)}.img")
        lab = Lab(topology, {name: [image] for name in names}, work, freezers=freezers, **more)  # type: ignore[arg-type]
        labs.append(lab)
        for name in names:
            assert lab.request(name, "EnableProtection") is None
        assert lab.settle()
        return lab

    return build


def kinds(lab: Lab, machine: str = "m") -> list[str]:
    return [p.kind.partition("-")[0] for p in lab.status(machine).points]


def newest_app(lab: Lab, machine: str = "m") -> str:
    return next(p.id for p in reversed(lab.status(machine).points) if p.kind == "app-consistent")


def at(lab: Lab, where: str, number: int, machine: str = "m") -> bytes:
    return lab.read(machine, where, 0, number * BLOCK, BLOCK)


@pytest.mark.parametrize("flow", ALL)
def test_every_hour_a_point_holds_what_applications_had_in_memory_and_the_cache(app_lab: Build, flow: str) -> None:
    database = Database()
    lab = app_lab(flow, {"m": database})
    database.lab = lab
    assert lab.write("m", "primary", 0, 2, block("on disk"))
    assert lab.write("m", "primary", 0, 3, block("in the cache"), cached=True)
    database.memory = block("in memory")
    assert lab.settle()
    assert "app" not in kinds(lab)
    lab.advance(HOUR)
    assert lab.settle()
    assert kinds(lab).count("app") == 1
    point = newest_app(lab)
    assert [at(lab, point, n) for n in (2, 3, 9)] == [block("on disk"), block("in the cache"), block("in memory")]
    assert database.calls == ["freeze", "thaw"]


def test_nothing_waits_for_such_a_point(app_lab: Build) -> None:
    lab = app_lab("v2a")
    assert lab.write("m", "primary", 0, 2, block("x"))
    assert lab.settle()
    assert lab.now < HOUR
    assert not lab.step()
    assert "app" not in kinds(lab)


def test_nothing_new_makes_no_new_one_and_a_policy_of_none_makes_none(app_lab: Build) -> None:
    lab, without = app_lab("h2s"), app_lab("h2s", hours=0)
    for one in (lab, without):
        one.write("m", "primary", 0, 2, block("x"))
        one.advance(5 * HOUR)
    assert kinds(lab).count("app") == 1
    assert "app" not in kinds(without)


def test_what_is_written_behind_the_mark_is_not_in_the_point_however_late_it_arrives(app_lab: Build) -> None:
    lab = app_lab("v2a")
    lab.write("m", "primary", 0, 2, block("before"))
    lab.settle()
    lab.fault("link")
    lab.write("m", "primary", 0, 2, block("at the freeze"))
    lab.advance(HOUR)
    lab.write("m", "primary", 0, 2, block("behind it"))
    assert "app" not in kinds(lab)
    lab.heal("link")
    lab.settle()
    assert at(lab, newest_app(lab), 2) == block("at the freeze")
    assert at(lab, lab.status("m").points[-1].id, 2) == block("behind it")


def test_a_freeze_that_does_not_come_about_makes_no_point_and_raises_the_alarm_until_one_does(app_lab: Build) -> None:
    database = Database()
    lab = app_lab("v2a", {"m": database})
    database.works = False
    lab.write("m", "primary", 0, 2, block("x"))
    lab.advance(HOUR + 60)
    assert "app" not in kinds(lab)
    assert "ApplicationsNotFrozen" in lab.status("m").alerts
    assert database.calls == ["freeze", "thaw"]
    database.works = True
    lab.advance(HOUR)
    assert "app" in kinds(lab)
    assert "ApplicationsNotFrozen" not in lab.status("m").alerts


@pytest.mark.parametrize("operation", ["UnplannedFailover", "TestFailover"])
def test_a_failover_can_ask_for_the_newest_one(app_lab: Build, operation: str) -> None:
    lab = app_lab("v2a")
    assert lab.request("m", operation, "latest-app-consistent") == "RecoveryPointNotFound"
    lab.write("m", "primary", 0, 2, block("frozen"))
    lab.advance(HOUR)
    lab.write("m", "primary", 0, 2, block("later"))
    lab.settle()
    assert kinds(lab)[-1] == "crash"
    point = newest_app(lab)
    assert lab.request("m", operation, "latest-app-consistent") is None
    lab.settle()
    if operation == "UnplannedFailover":
        assert lab.status("m").failover_point == point
        assert lab.request("m", "ChangePit", "latest-app-consistent") == "RecoveryPointNotFound"
    assert at(lab, "recovery" if operation == "UnplannedFailover" else "test", 2) == block("frozen")


def test_the_newest_one_is_not_thinned(app_lab: Build) -> None:
    lab = app_lab("v2a")
    lab.write("m", "primary", 0, 2, block("once"))
    lab.advance(HOUR)
    point = newest_app(lab)
    for number in range(60):
        lab.write("m", "primary", 0, 3, block(f"x{number}"))
        lab.fault("primary-site")  # nobody can freeze anything there now
        lab.advance(30)
        lab.heal("primary-site")
        lab.advance(270)
        if newest_app(lab) != point:
            point = newest_app(lab)
    assert point in [p.id for p in lab.status("m").points]


class Frozen(VmHost):
    """Says at once that applications stand still, without flushing anything."""

    def quiesce(self, now: float) -> bool:  # noqa: ARG002
        return True


def test_a_host_that_flushes_nothing_is_told_by_the_content(app_lab: Build) -> None:
    lab = app_lab("v2a", components={"vm-host": Frozen})
    lab.write("m", "primary", 0, 2, block("a"))
    lab.write("m", "primary", 0, 3, block("cached"), cached=True)
    lab.advance(HOUR)
    assert at(lab, newest_app(lab), 3) != block("cached")


def test_a_group_has_them_in_common(app_lab: Build) -> None:
    one, two = Database(), Database()
    lab = app_lab("v2a", {"a": one, "b": two}, names=("a", "b"), groups={"pair": ["a", "b"]})
    for name in ("a", "b"):
        lab.write(name, "primary", 0, 3, block(f"cached {name}"), cached=True)
    lab.advance(HOUR)
    lab.write("a", "primary", 0, 2, block("more"))
    lab.advance(600)
    assert {"app"} <= {*kinds(lab, "a")} & {*kinds(lab, "b")}
    common = lab.fleet.groups["pair"].common()
    assert len(common) == 2
    for name in ("a", "b"):
        assert at(lab, newest_app(lab, name), 3, name) == block(f"cached {name}")
    assert one.calls == two.calls == ["freeze", "thaw"]


def test_a_plan_takes_a_groups_own_and_everybody_elses_newest(app_lab: Build) -> None:
    plan = RecoveryPlan("shop", (PlanGroup(("a", "b")), PlanGroup(("c",))))
    lab = app_lab("v2a", names=("a", "b", "c"), groups={"pair": ["a", "b"]}, plans=[plan])
    assert lab.run_plan("shop", "UnplannedFailover", point="latest-app-consistent") is None
    assert lab.settle()
    run = lab.plan_run("shop")
    assert run is not None
    assert [note.text for note in run.errors] == ["refused: RecoveryPointNotFound"] * 3
    for name in "abc":
        lab.write(name, "primary", 0, 2, block("frozen"))
    lab.advance(HOUR + 600)
    for name in "abc":
        lab.write(name, "primary", 0, 2, block("later"))
    lab.settle()
    points = {name: newest_app(lab, name) for name in "abc"}
    assert lab.run_plan("shop", "UnplannedFailover", point="latest-app-consistent") is None
    assert lab.settle()
    assert {name: lab.status(name).failover_point for name in "abc"} == points
    assert {at(lab, "recovery", 2, name) for name in "abc"} == {block("frozen")}


def test_one_member_that_cannot_freeze_makes_the_common_point_crash_consistent(app_lab: Build) -> None:
    one, two = Database(), Database()
    two.works = False
    lab = app_lab("v2a", {"a": one, "b": two}, names=("a", "b"), groups={"pair": ["a", "b"]})
    lab.advance(HOUR)
    lab.write("a", "primary", 0, 2, block("more"))
    lab.advance(600)
    assert lab.fleet.groups["pair"].common()["a"].kind == "crash-consistent"
    assert "app" not in {*kinds(lab, "a"), *kinds(lab, "b")}
    assert two.calls[:2] == ["freeze", "thaw"]
    assert one.calls.count("freeze") == one.calls.count("thaw")  # who is asked after the other knows of it, and does not freeze


def test_a_group_that_cannot_freeze_says_so(app_lab: Build) -> None:
    two = Database()
    two.works = False
    lab = app_lab("v2a", {"b": two}, names=("a", "b"), groups={"pair": ["a", "b"]})
    lab.write("a", "primary", 0, 2, block("x"))
    lab.advance(HOUR + 60)
    assert "ApplicationsNotFrozen" in lab.status("b").alerts
    assert "ApplicationsNotFrozen" not in lab.status("a").alerts
    two.works = True
    lab.advance(HOUR)
    assert "ApplicationsNotFrozen" not in lab.status("b").alerts
    assert "app" in kinds(lab, "b")


def test_a_member_out_of_reach_leaves_the_others_points_of_their_own(app_lab: Build) -> None:
    lab = app_lab("v2a", names=("a", "b"), groups={"pair": ["a", "b"]})
    lab.fleet.isolate("b")
    lab.write("a", "primary", 0, 2, block("x"))
    lab.advance(HOUR + 60)
    lab.settle()
    assert at(lab, newest_app(lab, "a"), 2, "a") == block("x")


@pytest.mark.parametrize("groups", [{}, {"pair": ["a", "b"]}], ids=["alone", "group"])
def test_a_hook_that_fails_costs_its_machine_the_point_and_nobody_anything_else(app_lab: Build, groups: Any) -> None:
    class Broken(Database):
        def freeze(self, machine: str) -> bool:
            super().freeze(machine)
            raise RuntimeError("the writer is not there")

    hook = Broken()
    lab = app_lab("v2a", {"a": hook}, names=("a", "b"), groups=groups, durable=True)
    for name in ("a", "b"):
        lab.write(name, "primary", 0, 2, block("x"))
    lab.advance(HOUR + 60)
    assert "ApplicationsNotFrozen" in lab.status("a").alerts
    assert hook.calls.count("freeze") == hook.calls.count("thaw") > 0
    assert lab.write("b", "primary", 0, 2, block("y"))
    lab.close()


def test_a_member_that_fails_over_while_it_is_frozen_is_thawed(app_lab: Build) -> None:
    frozen = 0
    for seed in range(60):
        hook = Database()
        lab = app_lab("v2a", {"a": hook}, names=("a", "b"), groups={"pair": ["a", "b"]}, seed=seed)
        lab.write("a", "primary", 0, 2, block("x"))
        lab.advance(HOUR - lab.now - 1)
        while not hook.calls:
            assert lab.now < 2 * HOUR
            lab.advance(0.02)
        frozen += "thaw" not in hook.calls
        lab.fleet.isolate("b")
        lab.fault("link")
        assert lab.request("a", "UnplannedFailover", "latest") is None
        lab.settle()
        assert hook.calls == ["freeze", "thaw"]
        assert not lab._simulation.coordinators["a"].sides["primary"].host.frozen
        if frozen == 5:
            return
    pytest.fail("no run was frozen when it failed over")


def test_the_time_of_a_point_is_that_of_the_freeze_and_a_long_outage_has_one_for_each(app_lab: Build) -> None:
    lab = app_lab("v2a")
    lab.fault("link")
    for number in range(4):
        lab.write("m", "primary", 0, 2, block(f"h{number}"))
        lab.advance(HOUR)
    lab.heal("link")
    lab.settle()
    points = [p for p in lab._simulation.coordinators["m"].points if p.kind == "app-consistent"]
    assert [round(p.cut_at / HOUR) for p in points] == [1, 2, 3, 4]
    assert [at(lab, p.id, 2) for p in points] == [block(f"h{n}") for n in range(4)]


def test_a_resumed_system_goes_on_to_make_them(app_lab: Build, topologies: dict[str, Path], tmp_path: Path) -> None:
    lab = app_lab("h2s", durable=True)
    lab.write("m", "primary", 0, 2, block("x"))
    lab.advance(HOUR)
    lab.settle()
    points = lab.status("m").points
    assert "app" in kinds(lab)
    lab.close()
    topology = load_topology(topologies["h2s"])
    topology = attrs.evolve(topology, policy=attrs.evolve(topology.policy, app_consistent_hours=1, retention_hours=24))
    with Lab(topology, {"m": [tmp_path / "0.img"]}, tmp_path / "work0", resume=True) as again:
        assert again.status("m").points == points
        again.write("m", "primary", 0, 2, block("y"))
        again.advance(HOUR)
        again.settle()
        assert at(again, newest_app(again), 2) == block("y")
