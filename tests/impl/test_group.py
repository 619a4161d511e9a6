"""Replication groups: what is common to a point of several machines, and when there can be none (P5, V2A-36, V2A-37)."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from siteproof.impl.errors import UsageError
from siteproof.impl.group import NO_COMMON_POINT, ReplicationGroup
from siteproof.impl.lab import Lab
from siteproof.impl.values import BLOCK

from .conftest import block, make_image

MEMBERS = ("web", "app", "db")
BLOCKS = 64
Build = Callable[..., Lab]


@pytest.fixture
def group_lab(tmp_path: Path, topologies: dict[str, Path], request: pytest.FixtureRequest) -> Build:
    def build(flow: str = "v2a", members: tuple[str, ...] = MEMBERS, **options: Any) -> Lab:
        number = len(list(tmp_path.glob("work*")))
        images = {m: [make_image(tmp_path / f"{number}-{m}.img", BLOCKS)] for m in MEMBERS}
        given = {"groups": {"shop": members}, **options}
        lab = Lab(topologies[flow], images, tmp_path / f"work{number}", **given)
        request.addfinalizer(lab.close)
        return lab

    return build


class Chain:
    """Writes on one machine after the other, each issued when the one before was acknowledged: write n is in block n."""

    def __init__(self, lab: Lab, side: str = "primary") -> None:
        self.lab, self.side = lab, side
        self.writes: list[tuple[str, int]] = []
        self.next = dict.fromkeys(MEMBERS, 2)

    def write(self, machine: str) -> None:
        number = self.next[machine]
        self.next[machine] += 1
        assert self.lab.write(machine, self.side, 0, number, block(f"{machine} {number}"))
        self.writes.append((machine, number))

    def held_by(self, points: dict[str, str]) -> list[bool]:
        """Of each write, whether the point of its machine holds it."""
        disks = {m: self.lab.read(m, point, 0, 0, BLOCKS * BLOCK) for m, point in points.items()}
        return [disks[m][n * BLOCK : (n + 1) * BLOCK] == block(f"{m} {n}") for m, n in self.writes if m in points]


def enable(lab: Lab) -> None:
    for machine in MEMBERS:
        assert lab.request(machine, "EnableProtection") is None
    assert lab.settle()


def common_of(lab: Lab) -> list[dict[str, str]]:
    """The common points that the members advertise: machine to point, in order."""
    of: dict[str, dict[str, str]] = {}
    for machine, coordinator in lab.fleet.groups["shop"].members.items():
        for point in coordinator.points:
            if point.group:
                of.setdefault(point.group, {})[machine] = point.id
    members = lab.fleet.groups["shop"].members
    return [points for points in of.values() if len(points) == len(members)]


def play(lab: Lab, seed: int, rounds: int = 12) -> Chain:
    """Writes that depend on each other; most of them fall into a barrier."""
    chance, chain = random.Random(seed), Chain(lab)
    for _ in range(rounds):
        chain.write(chance.choice(MEMBERS))
        lab.advance(300 - lab.now % 300)  # to where a barrier begins
        for _ in range(chance.randrange(14)):
            lab.step()
        for _ in range(6):
            chain.write(chance.choice(MEMBERS))
            if chance.random() < 0.4:
                lab.step()
    return chain


def is_prefix(held: list[bool]) -> bool:
    return held == sorted(held, reverse=True)


@pytest.mark.parametrize("seed", range(6))
def test_a_common_point_holds_whatever_was_acknowledged_before_something_that_it_holds(group_lab: Build, seed: int) -> None:
    lab = group_lab(seed=seed)
    enable(lab)
    chain = play(lab, seed)
    lab.settle()
    found = common_of(lab)
    assert len(found) > 6
    lengths = [sum(chain.held_by(points)) for points in found]
    assert all(is_prefix(chain.held_by(points)) for points in found)
    assert lengths == sorted(lengths)
    assert lengths[-1] == len(chain.writes), "at rest everything is in a common point"
    assert all(NO_COMMON_POINT not in lab.status(m).alerts for m in MEMBERS)


class CutsUnfrozen(ReplicationGroup):
    def freeze(self, member: str, name: str, now: float) -> bool:
        super().freeze(member, name, now)
        self._host(member).frozen = False
        return True

    def held(self, member: str, name: str) -> bool:  # noqa: ARG002
        return True


class MarksOneLate(ReplicationGroup):
    """Leaves one member out of the barrier, and marks it where it is when the others go on."""

    def freeze(self, member: str, name: str, now: float) -> bool:
        return member == "db" or super().freeze(member, name, now)

    def cut(self, member: str, name: str, now: float) -> bool:
        return member == "db" or super().cut(member, name, now)

    def release(self, member: str, name: str, now: float) -> bool:
        if member != "db":
            return super().release(member, name, now)
        agent = self.members[member].sides["primary"].agent
        agent.marks.append((self._host(member).acknowledged, name))
        return True


@pytest.mark.parametrize("wrong", [CutsUnfrozen, MarksOneLate])
def test_the_check_finds_a_barrier_that_is_none(group_lab: Build, wrong: type) -> None:
    broken = 0
    for seed in range(4):
        lab = group_lab(seed=seed, components={"replication-group": wrong})
        enable(lab)
        chain = play(lab, seed)
        broken += sum(not is_prefix(chain.held_by(points)) for points in common_of(lab))
    assert broken


def test_a_write_that_is_issued_during_the_barrier_waits_for_its_end(group_lab: Build) -> None:
    lab = group_lab()
    enable(lab)
    chain = Chain(lab)
    chain.write("web")
    hosts = [c.sides["primary"].host for c in lab.fleet.groups["shop"].members.values()]
    while not all(host.frozen for host in hosts):
        assert lab.step()
    before = lab.now
    chain.write("app")
    assert lab.now > before
    assert not hosts[1].frozen
    lab.settle()
    held = [sum(chain.held_by(points)) for points in common_of(lab)]
    assert held == [1, 2]


def test_a_member_out_of_reach_means_no_common_point_and_an_alarm_until_there_is_one_again(group_lab: Build) -> None:
    lab = group_lab()
    enable(lab)
    chain = Chain(lab)
    for machine in MEMBERS:
        chain.write(machine)
    lab.settle()
    before = common_of(lab)
    assert len(before) == 1
    lab.fleet.isolate("db")
    for _ in range(3):
        for machine in MEMBERS:
            chain.write(machine)
        lab.advance(300)
    assert common_of(lab) == before
    assert all(lab.status(m).alerts == (NO_COMMON_POINT,) for m in MEMBERS)
    assert all(len(lab.status(m).points) > 3 for m in MEMBERS), "each has points of its own meanwhile"
    lab.fleet.rejoin("db")
    chain.write("db")
    lab.settle()
    assert len(common_of(lab)) == 2
    assert all(lab.status(m).alerts == () for m in MEMBERS)


def test_a_member_that_vanishes_during_the_barrier_lets_the_others_go_on(group_lab: Build) -> None:
    lab = group_lab()
    enable(lab)
    chain = Chain(lab)
    chain.write("web")
    hosts = {m: c.sides["primary"].host for m, c in lab.fleet.groups["shop"].members.items()}
    while not hosts["web"].frozen:
        assert lab.step()
    lab.fleet.isolate("db")
    began = lab.now
    while any(host.frozen for host in hosts.values()):
        assert lab.step()
    assert lab.now - began < 2.5
    assert common_of(lab) == []
    assert lab.status("web").alerts == (NO_COMMON_POINT,)
    chain.write("app")
    lab.fleet.rejoin("db")
    lab.settle()
    (points,) = common_of(lab)
    assert all(chain.held_by(points))


@pytest.mark.parametrize("fault", ["link", "gateway", "recovery-site", "change-log"])
@pytest.mark.parametrize("steps", [2, 9, 14, 22])
def test_a_fault_in_the_middle_leaves_no_point_that_is_half_common(group_lab: Build, fault: str, steps: int) -> None:
    lab = group_lab(seed=steps)
    enable(lab)
    chain = Chain(lab)
    for machine in MEMBERS:
        chain.write(machine)
    lab.advance(300 - lab.now % 300 - 0.001)
    for _ in range(steps):
        lab.step()
    lab.fault(fault)
    chain.write("web")
    lab.advance(700)
    lab.heal(fault)
    chain.write("db")
    lab.settle()
    for machine in MEMBERS:
        if lab.status(machine).resync == "required":
            assert lab.request(machine, "RepairReplication") is None
    lab.settle()
    chain.write("app")
    lab.settle()
    found = common_of(lab)
    assert found
    assert all(is_prefix(chain.held_by(points)) for points in found)
    assert sum(chain.held_by(found[-1])) == len(chain.writes)
    for coordinator in lab.fleet.groups["shop"].members.values():
        assert [(side.target.tentative, side.agent.marks) for side in coordinator.sides.values()] == [({}, [])] * 2


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ({"shop": ("web",)}, "has 1 machine; 2 to 16 expected"),
        ({"shop": ("web", "nobody")}, "machine 'nobody' is not known"),
        ({"shop": ("web", "app"), "other": ("app", "db")}, "machine 'app' is in group 'shop' already"),
    ],
)
def test_a_group_that_cannot_be_is_refused(group_lab: Build, groups: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        group_lab(groups=groups)


@pytest.mark.parametrize("flow", ["scout", "hv", "h2s"])
def test_only_flows_with_multi_vm_consistency_have_groups(group_lab: Build, flow: str) -> None:
    with pytest.raises(UsageError, match="has no replication groups"):
        group_lab(flow)


def test_a_group_is_common_again_on_the_way_back(group_lab: Build) -> None:
    lab = group_lab()
    enable(lab)
    for operation in ("UnplannedFailover", "Commit", "ReverseReplicate"):
        for machine in MEMBERS:
            assert lab.request(machine, operation) is None
        assert lab.settle()
    chain = Chain(lab, "recovery")
    for machine in MEMBERS * 2:
        chain.write(machine)
    lab.settle()
    (points,) = common_of(lab)
    assert chain.held_by(points) == [True] * 6


def test_a_kept_system_goes_on_with_its_common_points_after_its_program_has_ended(
    tmp_path: Path, topologies: dict[str, Path]
) -> None:
    images = {m: [make_image(tmp_path / f"{m}.img", BLOCKS)] for m in MEMBERS}
    arguments: dict[str, Any] = {"groups": {"shop": MEMBERS}}
    with Lab(topologies["v2a"], images, tmp_path / "work", durable=True, **arguments) as lab:
        enable(lab)
        chain = Chain(lab)
        for machine in MEMBERS:
            chain.write(machine)
        lab.settle()
        before = common_of(lab)
        chain.write("web")
        while lab.fleet.groups["shop"].phase != "arrive":
            assert lab.step()
    with Lab(topologies["v2a"], images, tmp_path / "work", resume=True, **arguments) as lab:
        assert common_of(lab) == before
        chain.lab = lab
        assert all(chain.held_by(before[0])[:3])
        lab.settle()
        assert all(chain.held_by(common_of(lab)[-1]))


def test_after_a_restart_the_newest_common_point_is_the_last_one_made(tmp_path: Path, topologies: dict[str, Path]) -> None:
    images = {m: [make_image(tmp_path / f"{m}.img", BLOCKS)] for m in MEMBERS}

    def lab_of(**more: Any) -> Lab:
        return Lab(topologies["v2a"], images, tmp_path / "work", durable=True, groups={"shop": MEMBERS}, **more)

    def rounds(lab: Lab, count: int) -> None:
        for number in range(count):
            for machine in MEMBERS:
                assert lab.write(machine, "primary", 0, 2 + number, block(f"{machine} {number} {lab.now}"))
            lab.advance(300 - lab.now % 300)
            assert lab.settle()

    with lab_of() as lab:
        enable(lab)
        rounds(lab, 3)
        before = [points["web"] for points in common_of(lab)]
        assert len(before) == 3
    with lab_of(resume=True) as lab:
        rounds(lab, 2)
        made = common_of(lab)
        assert [points["web"] for points in made][:3] == before
        assert len(made) == 5, "no name of a barrier is used twice"
        newest = lab.fleet.groups["shop"].common()
        assert {m: p.id for m, p in newest.items()} == made[-1] == {m: lab.status(m).points[-1].id for m in MEMBERS}
