"""Random runs with faults, judged by a trivially simple journal: a list of acknowledged writes for each branch."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siteproof.impl.lab import Lab
from siteproof.impl.network import Network
from siteproof.impl.values import BLOCK, Status

from .conftest import ALL, TOPOLOGIES

BLOCKS = 3
DISKS = 2
Image = tuple[bytes, ...]
WAY_HOME = (
    "TestFailoverCleanup", "RepairReplication", "Commit", "EnableProtection", "ReverseReplicate", "PlannedFailover",
    "UnplannedFailover",
)  # fmt: skip
"""What brings a machine home, whatever state it is in: the first of these that is allowed."""

STARTS = (
    (), ("EnableProtection",), ("EnableProtection", "TestFailover"), ("EnableProtection", "UnplannedFailover"),
    ("EnableProtection", "UnplannedFailover", "Commit"),
)  # fmt: skip
requests = st.tuples(
    st.just("request"), st.just("any allowed"), st.sampled_from(["latest", "latest-processed", "oldest"]), st.integers(0, 9)
)

commands = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(["active", "passive"]), st.integers(0, DISKS * BLOCKS - 1)),
    st.tuples(st.just("cached"), st.just("active"), st.integers(0, DISKS * BLOCKS - 1)),
    st.tuples(st.just("advance"), st.sampled_from([0.0, 0.02, 0.3, 0.7, 2.0, 40.0, 400.0])),
    st.tuples(st.just("settle")),
    requests,
    requests,
    st.tuples(st.just("settle")),
    st.tuples(st.just("request"), st.just("allowed"), st.sampled_from(["latest", "latest-processed", "oldest"])),
    st.tuples(st.just("advance"), st.sampled_from([0.1, 0.5, 1.0, 1.5])),
    st.tuples(st.just("start"), st.sampled_from(["primary", "recovery"])),
    st.tuples(st.just("fault"), st.sampled_from(["primary-site", "recovery-site", "link", "gateway"])),
    st.tuples(st.just("fault"), st.sampled_from(["change-log", "link"])),
    st.tuples(st.just("heal")),
    st.tuples(st.just("test write"), st.integers(0, DISKS * BLOCKS - 1), st.booleans()),
    st.tuples(
        st.just("request"),
        st.sampled_from(
            [
                "allowed", "EnableProtection", "PlannedFailover", "UnplannedFailover", "Commit",
                "TestFailover", "ChangePit", "RepairReplication", "DisableProtection",
            ]
        ),
        st.sampled_from(["latest", "latest-processed", "oldest"]),
    ),
)


class Journal:
    """What the test knows: acknowledged writes of the branch, and the content of every point at first sight."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.names = itertools.count(1)
        self.base = self.content("primary")
        self.branch: list[tuple[int, bytes]] = []
        self.cached: list[tuple[int, bytes]] = []
        self.stale: list[tuple[int, bytes]] | None = None
        self.stale_cached: list[tuple[int, bytes]] = []
        self.seen: dict[str, Image] = {}
        self.active = "primary"
        self.cut = 0
        self.copy: list[bytes] | None = None
        self.copy_cached: list[tuple[int, bytes]] = []
        self.changing = False
        self.whole: list[tuple[int, bytes]] = []
        self.old_length: int | None = None

    def content(self, where: str) -> Image:
        return tuple(
            self.lab.read("m", where, disk, number * BLOCK, BLOCK) for disk in range(DISKS) for number in range(BLOCKS)
        )

    def state(self, writes: list[tuple[int, bytes]]) -> Image:
        image = list(self.base)
        for place, data in writes:
            image[place] = data
        return tuple(image)

    def prefix(self, image: Image, writes: list[tuple[int, bytes]]) -> int:
        found = [n for n in range(len(writes) + 1) if self.state(writes[:n]) == image]
        assert found, "content is no prefix of the acknowledged writes"
        return found[0]

    def write(self, side: str, place: int, cached: bool) -> None:
        data = f"write {next(self.names)} ".encode().ljust(BLOCK, b"#")
        done = self.lab.write("m", side, *divmod(place, BLOCKS), data, cached)
        assert done == self.lab.running("m", side)
        if not done:
            return
        if side != self.active:
            assert self.stale is not None
            self.stale += [*self.stale_cached, (place, data)]
            self.stale_cached = []
        elif cached:
            self.cached.append((place, data))
        else:
            self.branch += [*self.cached, (place, data)]
            self.cached = []

    def write_test(self, place: int, cached: bool) -> None:
        data = f"test {next(self.names)} ".encode().ljust(BLOCK, b"T")
        done = self.lab.write("m", "test", *divmod(place, BLOCKS), data, cached)
        assert done == self.lab.running("m", "test")
        if done and self.copy is not None:
            self.copy_cached.append((place, data))
            for written, content in self.copy_cached if not cached else ():
                self.copy[written] = content
            self.copy_cached = self.copy_cached if cached else []

    def check_test(self, status: Status) -> None:
        """The copy holds its point and its own writes, and runs whenever its site has power."""
        if status.test == "none":
            self.copy = None
            return
        passive = "recovery" if self.active == "primary" else "primary"
        if not self.lab.running("m", "test"):
            self.copy_cached = []
        if status.job is None:
            assert self.lab.running("m", "test") == (f"{passive}-site" not in self.lab._simulation.faults)
        point = self.lab._simulation.coordinators["m"].record.test_point
        assert point in [p.id for p in status.points]
        if self.copy is None:
            self.copy, self.copy_cached = list(self.content(point)), []
        assert self.content("test") == tuple(self.copy)

    def check_change(self, status: Status) -> None:
        """After a change of point, the active side is exactly at the point, and a known loss counts from there."""
        if not self.changing or status.job == "ChangePit":
            return
        self.changing = False
        content = self.content(str(status.failover_point))
        assert self.content(self.active) == content
        self.branch = self.whole[: self.prefix(content, self.whole)]
        self.cached = []
        if status.failover == "unplanned":
            self.cut = len(self.branch)
            assert status.loss is None or status.loss == self.old_length - self.cut

    def check(self) -> None:
        lab, status = self.lab, self.lab.status("m")
        self.check_change(status)
        if self.cached and not lab.running("m", self.active):
            whole = self.branch + self.cached
            if self.content(self.active) == self.state(whole):
                self.branch = whole
            self.cached = []
        if status.active != self.active:
            old, self.active = self.active, status.active
            self.whole = self.branch[:]
            if status.failover == "planned":
                assert self.content(self.active) == self.state(self.branch)
            else:
                assert status.failover_point is not None
                point = self.content(status.failover_point)
                assert self.content(self.active) == point
                kept = self.prefix(point, self.branch)
                assert status.received is not None
                assert kept <= status.received <= len(self.branch)
                self.stale = self.branch[:]
                self.stale_cached, self.cached = self.cached, []
                self.cut = kept
                self.branch = self.branch[:kept]
                assert old != self.active
        if status.loss is not None and self.stale is not None:
            assert status.loss == len(self.stale) - self.cut
            self.old_length = len(self.stale)
            self.stale = None
        if self.stale is not None and not lab.running("m", "primary" if self.active == "recovery" else "recovery"):
            self.stale_cached = []
        if not self.lab_faults():
            assert not (lab.running("m", "primary") and lab.running("m", "recovery"))
        assert self.content(self.active) == self.state(self.branch)
        self.check_test(status)
        for point in status.points:
            image = self.content(point.id)
            if point.id not in self.seen:
                self.prefix(image, self.branch if self.stale is None else self.stale)
                self.seen[point.id] = image
            assert self.seen[point.id] == image
        if status.protection == "protected":
            assert status.points or status.failover == "committed"

    def lab_faults(self) -> set[str]:
        return self.lab._simulation.faults & {"primary-site", "recovery-site", "link"}


def perform(journal: Journal, command: tuple[object, ...]) -> None:
    lab = journal.lab
    verb, *rest = command
    if verb in ("write", "cached"):
        side = journal.active if rest[0] == "active" else {"primary": "recovery"}.get(journal.active, "primary")
        journal.write(side, int(str(rest[1])), verb == "cached")
    elif verb == "advance":
        lab.advance(float(str(rest[0])))
    elif verb == "test write":
        journal.write_test(int(str(rest[0])), bool(rest[1]))
    elif verb == "settle":
        assert lab.settle()
    elif verb == "start":
        lab.start_machine("m", str(rest[0]))
    elif verb == "fault":
        lab.fault(str(rest[0]))
    elif verb == "heal":
        for kind in ("primary-site", "recovery-site", "link", "gateway"):
            lab.heal(kind)
    else:
        before = lab.status("m")
        operation, point = str(rest[0]), str(rest[1])
        if operation == "allowed":
            if not set(before.allowed_operations) & set(WAY_HOME):
                return
            operation = [o for o in before.allowed_operations if o in WAY_HOME][-1]
        elif operation == "any allowed":
            if not before.allowed_operations:
                return
            operation = before.allowed_operations[int(str(rest[2])) % len(before.allowed_operations)]
        if point == "oldest":
            point = before.points[0].id if before.points else "none"
        answer = lab.request("m", operation, point)
        if answer is None:
            assert operation in before.allowed_operations
            journal.changing = journal.changing or operation == "ChangePit"
        else:
            assert lab.status("m") == before


def come_home(journal: Journal) -> None:
    """Whatever happened: when the faults are over, the machine can be protected again, unless the operator ended it."""
    lab = journal.lab
    perform(journal, ("heal",))
    journal.check()
    for _ in range(12):
        assert lab.settle()
        journal.check()
        status = lab.status("m")
        assert status.job is None
        if status.failover == "completed":
            assert status.allowed_operations == ()
            return
        if (status.protection, status.failover, status.test, status.resync) == ("protected", "none", "none", "none"):
            break
        if not lab.running("m", status.active):
            assert lab.start_machine("m", status.active)
        assert lab.request("m", next(o for o in WAY_HOME if o in status.allowed_operations)) is None
    else:
        pytest.fail("never protected again")
    assert lab.settle()
    replica = journal.content("recovery" if journal.active == "primary" else "primary")
    journal.check()
    assert replica == journal.state(journal.branch)
    assert journal.content(lab.status("m").points[-1].id) == replica


@pytest.mark.parametrize("flow", ALL)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    program=st.lists(commands, min_size=12, max_size=40), seed=st.integers(0, 1000), start=st.sampled_from(STARTS),
    network=st.sampled_from([Network(), Network(duplicates=0.2, losses=0.15, damages=0.1)]),
)  # fmt: skip
def test_every_point_is_a_prefix_and_the_machine_comes_home(
    flow: str, program: list[tuple[object, ...]], seed: int, start: tuple[str, ...], network: Network
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "t.toml").write_text(TOPOLOGIES[flow])
        images = []
        for disk in range(DISKS):
            images.append(path / f"{disk}.img")
            images[-1].write_bytes(f"base {disk}".encode().ljust(BLOCK, b"=") + bytes((BLOCKS - 1) * BLOCK))
        with Lab(path / "t.toml", {"m": images}, path / "work", seed, network=network) as lab:
            journal = Journal(lab)
            for operation in start:
                if lab.request("m", operation) is not None:
                    assert flow == "scout"
                assert lab.settle()
                journal.check()
            for command in program:
                perform(journal, command)
                journal.check()
            come_home(journal)
