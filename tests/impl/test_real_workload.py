"""A real workload: an ext4 file system with a live SQLite database in it, replicated, failed over, and failed back.

The image is made and read with e2fsprogs: no mount, no root. SQLite works on copies of the two files that it has there, the
database and its write-ahead log; after each commit the blocks that have changed are written to the machine's disk, in the
order in which SQLite wrote them, at the places where the file system keeps them. So every prefix of these writes is what a
machine's disk can look like when its power fails, and must hold exactly the transactions whose last block is in it.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from siteproof.impl.flows import FLOWS
from siteproof.impl.lab import Lab
from siteproof.impl.loader import Topology, load_topology
from siteproof.impl.values import BLOCK, PRIMARY, RECOVERY, Operation

from .conftest import ALL

TOOLS = ("mke2fs", "debugfs", "e2fsck")
PLACES = ("/sbin", "/usr/sbin")


def tool(name: str) -> str | None:
    return shutil.which(name) or next((f"{p}/{name}" for p in PLACES if Path(p, name).exists()), None)


MISSING = [name for name in TOOLS if tool(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} missing: the Debian package e2fsprogs makes it run")

SIZE = 16 * 2**20
DATABASE_BLOCKS, LOG_BLOCKS = 96, 192
FLOW_IDS = {
    "v2a": "vmware-to-azure", "p2a": "physical-to-azure", "vmm": "hyper-v-vmm-to-azure", "hv": "hyper-v-site-to-azure",
    "scout": "scout-to-secondary-site", "h2s": "hyper-v-to-secondary-site",
}  # fmt: skip


def run(name: str, *arguments: object) -> str:
    """A tool of e2fsprogs must succeed."""
    done = subprocess.run([tool(name) or name, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{name} {arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA wal_autocheckpoint = 0")
    return database


def fill(path: Path, blocks: int) -> None:
    """Bring a file to its size. What is added means nothing, and is not zeros, of which a file system keeps no blocks."""
    with path.open("ab") as file:
        file.write(b"\xa5" * (blocks * BLOCK - file.tell()))


def make_file_system(folder: Path) -> Path:
    """An ext4 image with a database of one empty table, its log, and some other files."""
    root = folder / "root"
    root.mkdir()
    database = connect(root / "app.db")
    database.execute("PRAGMA page_size = 4096")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    database.close()
    fill(root / "app.db", DATABASE_BLOCKS)
    fill(root / "app.db-wal", LOG_BLOCKS)
    (root / "notes").mkdir()
    for number in range(20):
        (root / "notes" / f"{number}.txt").write_text(f"note {number}\n" * 100 * number)
    image = folder / "machine.img"
    run("mke2fs", "-q", "-t", "ext4", "-b", BLOCK, "-d", root, image, f"{SIZE // 1024}k")
    return image


class Guest:
    """The machine's workload: transactions in the database, and the writes to the disk that they cause."""

    FILES = ("app.db", "app.db-wal")

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder = folder
        self.count = 0
        self._rng = random.Random(8)
        self._lives = 0
        self._database: sqlite3.Connection | None = None
        self._blocks = {
            name: [int(b) for b in run("debugfs", "-R", f"blocks /{name}", image).split()] for name in self.FILES
        }
        self._disk: dict[str, list[bytes]] = {}
        self.boot(image)

    def boot(self, image: Path) -> None:
        """Start on what an image holds, as after a loss of power."""
        if self._database is not None:
            self._database.close()
        self._lives += 1
        place = self.folder / f"life-{self._lives}"
        place.mkdir()
        for name in self.FILES:
            run("debugfs", "-R", f"dump /{name} {place / name}", image)
            self._disk[name] = self._read(place / name)
            assert len(self._disk[name]) == len(self._blocks[name])
        self._place = place
        self._database = connect(place / "app.db")
        (self.count,) = self._database.execute("SELECT count(*) FROM entry").fetchone()

    @staticmethod
    def _read(path: Path) -> list[bytes]:
        data = path.read_bytes()
        return [data[at : at + BLOCK].ljust(BLOCK, b"\0") for at in range(0, len(data), BLOCK)]

    def _changed(self) -> Iterator[tuple[int, bytes]]:
        """Blocks of the disk that SQLite has changed: those of the database first, which only a checkpoint writes."""
        for name in self.FILES:
            known = self._disk[name]
            for index, data in enumerate(self._read(self._place / name)):
                if data != known[index]:
                    known[index] = data
                    yield self._blocks[name][index], data

    def transaction(self) -> list[tuple[int, bytes]]:
        """One transaction; returns its writes."""
        assert self._database is not None
        self._database.execute("BEGIN")
        self._database.execute("INSERT INTO entry VALUES (?, ?)", (self.count + 1, self._rng.randbytes(3000)))
        self._database.execute("UPDATE entry SET body = ? WHERE id = ?", (self._rng.randbytes(3000), self.count // 2))
        self._database.execute("COMMIT")
        self.count += 1
        return list(self._changed())

    def checkpoint(self) -> list[tuple[int, bytes]]:
        """Bring the log into the database; the next transaction begins a new log over the old one."""
        assert self._database is not None
        self._database.execute("PRAGMA wal_checkpoint(RESTART)")
        return list(self._changed())

    def close(self) -> None:
        if self._database is not None:
            self._database.close()


class Story:
    """A machine with that workload under one flow."""

    def __init__(self, folder: Path, topology: Path | Topology, **options: Any) -> None:
        self.folder = folder
        self.image = make_file_system(folder)
        self.guest = Guest(folder, self.image)
        self.lab = Lab(topology, {"m": [self.image]}, folder / "work", **options)
        self.topology = topology
        self.counts: dict[str, int] = {}
        self._looks = 0

    def close(self) -> None:
        self.guest.close()
        self.lab.close()

    def restart(self) -> None:
        """The program of the replication ends, and another one goes on."""
        self.lab.close()
        self.lab = Lab(self.topology, {"m": [self.image]}, self.folder / "work", resume=True)

    def write(self, writes: list[tuple[int, bytes]]) -> None:
        side = self.lab.status("m").active
        for block, data in writes:
            assert self.lab.write("m", side, 0, block, data)

    def work(self, transactions: int) -> None:
        for _ in range(transactions):
            self.write(self.guest.transaction())

    def point(self) -> None:
        """Everything arrives, and a point is cut."""
        assert self.lab.settle()
        self.lab.advance(301)
        assert self.lab.settle()
        self.counts.setdefault(self.lab.status("m").points[-1].id, self.guest.count)

    def ask(self, operation: str, point: str | None = None) -> None:
        assert self.lab.request("m", operation, point) is None
        assert self.lab.settle()
        assert self.lab.status("m").job is None

    def look(self, where: str) -> tuple[Path, int]:
        """The image of a side, a point or a test failover's copy: its file system and database are sound. And how many
        transactions it holds.
        """
        self._looks += 1
        image = self.folder / f"look-{self._looks}.img"
        image.write_bytes(self.lab.read("m", where, 0, 0, SIZE))
        run("e2fsck", "-fn", image)
        place = self.folder / f"look-{self._looks}"
        place.mkdir()
        for name in Guest.FILES:
            run("debugfs", "-R", f"dump /{name} {place / name}", image)
        database = connect(place / "app.db")
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ids = [row[0] for row in database.execute("SELECT id FROM entry ORDER BY id")]
        database.close()
        assert ids == list(range(1, len(ids) + 1))
        return image, len(ids)

    def without_the_log(self, where: str) -> int:
        """Transactions in the database file alone."""
        image, place = self.folder / "alone.img", self.folder / "alone.db"
        image.write_bytes(self.lab.read("m", where, 0, 0, SIZE))
        run("debugfs", "-R", f"dump /app.db {place}", image)
        database = connect(place)
        (count,) = database.execute("SELECT count(*) FROM entry").fetchone()
        database.close()
        return int(count)

    def all_points_hold_their_transactions(self) -> None:
        for point in self.lab.status("m").points:
            if point.id in self.counts:
                assert self.look(point.id)[1] == self.counts[point.id], point.id


Begin = Callable[..., Story]


@pytest.fixture
def begin(tmp_path: Path, topologies: dict[str, Path]) -> Iterator[Begin]:
    stories: list[Story] = []

    def build(flow: str, *, durable: bool = False) -> Story:
        stories.append(Story(tmp_path, topologies[flow], durable=durable))
        story = stories[0]
        story.work(3)
        assert story.lab.request("m", Operation.ENABLE) is None
        for _ in range(4):
            story.lab.step()
            story.work(1)
        story.point()
        return story

    yield build
    for story in stories:
        story.close()


@pytest.mark.parametrize("flow", ALL)
def test_points_hold_exactly_the_transactions_that_were_complete(begin: Begin, flow: str) -> None:
    story = begin(flow)
    story.work(4)
    story.point()
    writes = story.guest.transaction()
    assert len(writes) > 2
    story.write(writes[:-2])
    story.guest.count -= 1
    story.point()
    story.write(writes[-2:])
    story.guest.count += 1
    story.point()
    writes = story.guest.checkpoint()
    assert len(writes) > 2
    story.write(writes[: len(writes) // 2])
    story.point()
    story.write(writes[len(writes) // 2 :])
    story.work(3)
    story.point()
    assert len(story.counts) == 6
    story.all_points_hold_their_transactions()


def kinds() -> list[tuple[str, str]]:
    return [(flow, kind) for flow in ALL for kind in sorted(FLOWS[FLOW_IDS[flow]].failovers[PRIMARY])]


@pytest.mark.parametrize(("flow", "kind"), kinds())
def test_a_failover_and_the_way_back_keep_the_database(begin: Begin, flow: str, kind: str) -> None:
    story = begin(flow)
    facts, lab = FLOWS[FLOW_IDS[flow]], story.lab
    story.work(3)
    story.point()
    if PRIMARY in facts.tests:
        story.ask(Operation.TEST, "latest")
        assert story.look("test")[1] == story.guest.count
        story.ask(Operation.CLEANUP)
    expected = story.guest.count
    if kind == Operation.PLANNED:
        story.work(2)
        expected = story.guest.count
        story.ask(Operation.PLANNED)
    else:
        lab.fault("link")
        story.work(2)
        story.ask(Operation.UNPLANNED, "latest")
        lab.heal("link")
        assert lab.settle()
    image, found = story.look(RECOVERY)
    assert found == expected
    story.all_points_hold_their_transactions()
    story.guest.boot(image)
    assert story.guest.count == expected
    story.work(4)
    story.ask(Operation.COMMIT)
    if RECOVERY in facts.reverses:
        story.ask(Operation.REVERSE)
        story.work(2)
        assert lab.settle()
    back = Operation.PLANNED if Operation.PLANNED in facts.failovers[RECOVERY] else Operation.UNPLANNED
    story.ask(back, None if back == Operation.PLANNED else "latest")
    image, found = story.look(PRIMARY)
    assert found == story.guest.count == expected + (6 if RECOVERY in facts.reverses else 4)
    story.guest.boot(image)
    story.ask(Operation.COMMIT)
    story.ask(Operation.ENABLE if facts.failback_ends_protection else Operation.REVERSE)
    story.work(2)
    story.counts.clear()
    story.point()
    story.all_points_hold_their_transactions()
    assert story.counts


class Checkpoints:
    """The freeze hook: the database brings its log home, so that a point needs no recovery by it."""

    def __init__(self) -> None:
        self.story: Story | None = None

    def freeze(self, machine: str) -> bool:  # noqa: ARG002
        assert self.story is not None
        self.story.write(self.story.guest.checkpoint())
        return True

    def thaw(self, machine: str) -> None:
        """Transactions may go on."""


@pytest.mark.parametrize("flow", ALL)
def test_an_app_consistent_point_holds_every_transaction_in_the_database_itself(
    tmp_path: Path, topologies: dict[str, Path], flow: str
) -> None:
    hook = Checkpoints()
    topology = load_topology(topologies[flow])
    topology = attrs.evolve(topology, policy=attrs.evolve(topology.policy, app_consistent_hours=1))
    story = hook.story = Story(tmp_path, topology, freezers={"m": hook})
    try:
        story.ask(Operation.ENABLE)
        story.work(5)
        story.point()
        before = story.lab.status("m").points[-1].id
        story.work(3)
        story.lab.advance(3600)
        story.work(2)
        assert story.lab.settle()
        (point,) = [p.id for p in story.lab.status("m").points if p.kind == "app-consistent"]
        assert story.look(point)[1] == 8
        assert story.without_the_log(point) == 8
        assert story.without_the_log(before) == 0
        story.ask(Operation.UNPLANNED, "latest-app-consistent")
        assert story.look(RECOVERY)[1] == 8
    finally:
        story.close()


@pytest.mark.parametrize("flow", ["v2a", "h2s"])
def test_the_database_survives_restarts_of_the_replication(begin: Begin, flow: str) -> None:
    story = begin(flow, durable=True)
    for _ in range(3):
        story.work(2)
        story.restart()
        story.work(1)
        story.lab.step()
        story.restart()
        assert story.look(PRIMARY)[1] == story.guest.count
    story.point()
    story.restart()
    story.ask(Operation.UNPLANNED, "latest")
    story.restart()
    assert story.look(RECOVERY)[1] == story.guest.count == 16
    story.all_points_hold_their_transactions()


def test_damage_would_be_seen(begin: Begin) -> None:
    """The look into an image is no formality: a lost block of the log, and one of the file system, are both noticed."""
    story = begin("h2s")
    writes = story.guest.transaction()
    story.write([(block, b"\xa5" * BLOCK if n == 1 else data) for n, (block, data) in enumerate(writes)])
    assert story.look(PRIMARY)[1] == story.guest.count - 1
    assert story.lab.write("m", PRIMARY, 0, 1, b"\xff" * BLOCK)
    with pytest.raises(AssertionError, match="e2fsck"):
        story.look(PRIMARY)
