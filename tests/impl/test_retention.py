"""Retention: tiers, what is never pruned, and that what stays is restorable to what it was."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import attrs
import pytest

from siteproof.impl.lab import Lab
from siteproof.impl.loader import load_topology
from siteproof.impl.retention import DAY, HOUR, to_prune
from siteproof.impl.values import BLOCK, Point

from .conftest import block

MINUTES = 60.0
Build = Callable[..., Lab]


def after(
    days: float, *, every: float = 5 * MINUTES, retention: float, thins: bool = True, in_use: tuple[str, ...] = ()
) -> list[Point]:
    """The points that are left when one was cut every so often, and pruned each time."""
    points: list[Point] = []
    for number in range(int(days * DAY / every) + 1):
        now = number * every
        points.append(Point(f"p{number}", "crash-consistent", number, number, now))
        gone = {p.id for p in to_prune(points, now, retention, in_use, thins=thins)}
        points = [p for p in points if p.id not in gone]
    return points


def gaps(points: list[Point], low: float, high: float) -> set[float]:
    """Seconds between neighbours of an age (seconds) between two limits."""
    now = points[-1].cut_at
    return {
        b.cut_at - a.cut_at for a, b in pairwise(points) if low < now - b.cut_at and now - a.cut_at < high
    }


def test_a_day_keeps_two_hours_whole_and_then_one_an_hour() -> None:
    points = after(3, retention=DAY)
    assert gaps(points, -1, 2 * HOUR) == {5 * MINUTES}
    assert gaps(points, 3 * HOUR, DAY) == {HOUR}
    assert points[-1].cut_at - points[0].cut_at > 22 * HOUR
    assert len(points) == 24 + 1 + 22


def test_a_week_keeps_one_in_two_hours() -> None:
    points = after(9, retention=7 * DAY)
    assert gaps(points, -1, 2 * HOUR) == {5 * MINUTES}
    assert gaps(points, 4 * HOUR, 8 * DAY) == {2 * HOUR}
    assert 6.9 * DAY < points[-1].cut_at - points[0].cut_at <= 7 * DAY


def test_a_fortnight_keeps_one_in_four_hours_behind_the_first_week() -> None:
    points = after(16, every=20 * MINUTES, retention=14 * DAY)
    assert gaps(points, 4 * HOUR, 7 * DAY) == {2 * HOUR}
    assert gaps(points, 7 * DAY + 4 * HOUR, 14 * DAY) == {4 * HOUR}


def test_without_thinning_every_point_stays_until_it_is_too_old() -> None:
    points = after(1.5, retention=DAY, thins=False)
    assert gaps(points, -1, 2 * DAY) == {5 * MINUTES}
    assert len(points) == 289


def test_no_retention_keeps_the_newest_alone() -> None:
    assert [p.id for p in after(0.1, retention=0)] == ["p28"]


@pytest.mark.parametrize("thins", [False, True])
def test_what_is_in_use_stays_however_old(thins: bool) -> None:
    assert "p3" in {p.id for p in after(3, retention=DAY, thins=thins, in_use=("p3",))}


def test_a_point_in_common_is_kept_before_all_others_of_its_period() -> None:
    points = [Point(f"p{n}", "crash-consistent", n, n, n * 300.0, "g-1" if n == 7 else "") for n in range(40)]
    gone = {p.id for p in to_prune(points, 4 * HOUR, DAY, (), thins=True)}
    kept = [p.id for p in points if p.id not in gone and p.cut_at < HOUR]
    assert kept == ["p7"]


@pytest.mark.parametrize(("flow", "thinned"), [("v2a", True), ("p2a", True), ("scout", False)])
def test_vmware_and_physical_machines_thin_and_what_stays_is_what_it_was(new_lab: Build, flow: str, thinned: bool) -> None:
    lab = new_lab(flow)
    assert lab.request("m", "EnableProtection") is None
    lab.settle()
    content = {}
    for number in range(40):
        assert lab.write("m", "primary", 0, number % 8 + 2, block(f"write {number}"))
        lab.advance(300)
        newest = lab.status("m").points[-1].id
        content[newest] = lab.read("m", newest, 0, 0, 16 * BLOCK)
    points = [p.id for p in lab.status("m").points]
    assert (len(points) < 32) is thinned
    assert len(points) >= 25
    for point in points[1:]:
        assert lab.read("m", point, 0, 0, 16 * BLOCK) == content[point]
    assert lab.request("m", "UnplannedFailover", points[2]) is None
    lab.settle()
    assert lab.read("m", "recovery", 0, 0, 16 * BLOCK) == content[points[2]]


def test_the_point_of_a_test_failover_is_not_thinned(new_lab: Build) -> None:
    lab = new_lab("v2a")
    assert lab.request("m", "EnableProtection") is None
    lab.settle()
    for number in range(4):
        assert lab.write("m", "primary", 0, 3, block(f"write {number}"))
        lab.advance(300)
    pinned = lab.status("m").points[2].id
    assert lab.request("m", "TestFailover", pinned) is None
    for number in range(36):
        assert lab.write("m", "primary", 0, 3, block(f"later {number}"))
        lab.advance(300)
    points = [p.id for p in lab.status("m").points]
    assert pinned in points
    assert len(points) < 36
    lab.settle()
    assert lab.request("m", "TestFailoverCleanup") is None
    lab.settle()
    assert lab.write("m", "primary", 0, 3, block("last"))
    lab.advance(600)
    assert pinned not in [p.id for p in lab.status("m").points]


def test_the_policy_of_a_topology_decides(new_lab: Build, topologies: dict) -> None:  # type: ignore[type-arg]
    topology = load_topology(topologies["v2a"])
    topologies["v2a"] = attrs.evolve(topology, policy=attrs.evolve(topology.policy, retention_hours=1))
    lab = new_lab("v2a")
    assert lab.request("m", "EnableProtection") is None
    for number in range(30):
        assert lab.write("m", "primary", 0, 3, block(f"write {number}"))
        lab.advance(300)
    assert 12 <= len(lab.status("m").points) <= 14


def test_what_was_kept_beside_the_newest_app_consistent_point_does_not_go_when_that_is_not_the_newest_any_more() -> None:
    points = [
        Point("p1", "crash-consistent", 1, 1, 60.0), Point("p2", "app-consistent", 2, 2, 120.0),
        Point("p3", "crash-consistent", 3, 3, 3 * HOUR),
    ]  # fmt: skip
    gone = {p.id for p in to_prune(points, 3 * HOUR, 24 * HOUR, (), thins=True)}
    later = [p for p in points if p.id not in gone]
    later += [Point("p4", "app-consistent", 4, 4, 4 * HOUR), Point("p5", "crash-consistent", 5, 5, 5 * HOUR)]
    assert "p2" not in gone
    assert not to_prune(later, 5 * HOUR, 24 * HOUR, (), thins=True)
