"""The seams through which everything durable goes: real and simulated files, and stores."""

from __future__ import annotations

import errno
import os
import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siteproof.impl.base_image import BaseImage
from siteproof.impl.changelog import ChangeLog
from siteproof.impl.codec import BlockCipher
from siteproof.impl.disk import CarefulDisk, Disk, RealDisk, new_file
from siteproof.impl.diskset import DiskSet
from siteproof.impl.errors import IntegrityError, UsageError
from siteproof.impl.extents import ExtentSpace
from siteproof.impl.simulated_disk import Crash, SimulatedDisk, SimulatedStorage, SimulatedStore
from siteproof.impl.slots import SlotFile
from siteproof.impl.store import RealStorage, SqliteStore, Store
from siteproof.impl.values import BLOCK

PATH = Path("/folder/a")


def quiet(_: str) -> None:
    """Nobody listens."""


def simulated() -> SimulatedDisk:
    return SimulatedDisk(quiet)


def content(disk: SimulatedDisk, path: Path = PATH) -> bytes:
    file = disk.open(path)
    return disk.read(file, disk.size(file), 0)


def crashed(disk: SimulatedDisk, crash: Crash, seed: int = 0) -> SimulatedDisk:
    return disk.after_crash(crash, random.Random(seed), quiet)


# ------------------------------------------------------------------------------------------------ the same behaviour

operations = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 5000), st.binary(min_size=1, max_size=600)),
        st.tuples(st.just("truncate"), st.integers(0, 5000), st.just(b"")),
        st.tuples(st.just("sync"), st.just(0), st.just(b"")),
        st.tuples(st.just("again"), st.just(0), st.just(b"")),
    ),
    max_size=20,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps=operations)
def test_real_and_simulated_files_behave_alike(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("disk")
    seen = []
    for disk in (RealDisk(), simulated()):
        path = folder / "a"
        file = disk.create(path)
        sizes = []
        for kind, place, data in steps:
            if kind == "write":
                disk.write(file, data, place)
            elif kind == "truncate":
                if disk.size(file) > place:
                    disk.truncate(file, place)
            elif kind == "sync":
                disk.sync(file)
            else:
                disk.close(file)
                file = disk.open(path)
            sizes.append(disk.size(file))
        with pytest.raises(IntegrityError):
            disk.read(file, 1, disk.size(file))
        with pytest.raises(UsageError):
            disk.create(path)
        with pytest.raises(UsageError):
            disk.open(folder / "none")
        whole = disk.read(file, disk.size(file), 0)
        with disk.view(path) as data:
            assert bytes(data[:]) == whole
        names = disk.names(folder)
        disk.close(file)
        disk.remove(path)
        disk.remove(path)
        seen.append((sizes, whole, names, disk.names(folder)))
    assert seen[0] == seen[1]


# ---------------------------------------------------------------------------------------------------- what is lost


def test_what_was_not_forced_is_lost_kept_or_mixed() -> None:
    disk = simulated()
    file = disk.create(PATH)
    disk.write(file, b"forced", 0)
    disk.sync(file)
    disk.sync_folder(PATH.parent)
    disk.write(file, b"FORCED", 0)
    disk.write(file, b" and more", 6)
    assert content(crashed(disk, Crash.LOSE)) == b"forced"
    assert content(crashed(disk, Crash.KEEP)) == b"FORCED and more"
    mixed = {content(crashed(disk, Crash.MIX, seed)) for seed in range(200)}
    assert {b"forced", b"FORCED", b"FORCED and more", b"forced and more", b"forced and"} <= mixed
    assert not any(m[:6] not in (b"forced", b"FORCED") for m in mixed), "a sector is old or new"
    assert content(disk) == b"FORCED and more", "a copy changes nothing"


def test_a_name_that_was_not_forced_may_be_there_or_not() -> None:
    disk = simulated()
    disk.create(PATH)
    assert crashed(disk, Crash.LOSE).names(PATH.parent) == []
    assert crashed(disk, Crash.KEEP).names(PATH.parent) == ["a"]
    assert {len(crashed(disk, Crash.MIX, seed).names(PATH.parent)) for seed in range(20)} == {0, 1}
    disk.sync_folder(PATH.parent)
    disk.remove(PATH)
    assert crashed(disk, Crash.LOSE).names(PATH.parent) == ["a"]
    assert crashed(disk, Crash.KEEP).names(PATH.parent) == []
    assert disk.unforced
    disk.sync_folder(PATH.parent)
    assert not disk.unforced
    assert crashed(disk, Crash.LOSE).names(PATH.parent) == []


@settings(deadline=None)
@given(steps=operations, seed=st.integers(0, 2**32))
def test_after_any_crash_every_sector_is_one_that_was_there(steps: list[tuple[str, int, bytes]], seed: int) -> None:
    disk = simulated()
    file = disk.create(PATH)
    disk.write(file, bytes(6144), 0)
    disk.sync(file)
    disk.sync_folder(PATH.parent)
    state = bytearray(6144)
    versions: list[set[bytes]] = [{bytes(512)} for _ in range(12)]
    writes: list[tuple[int, bytes]] = []
    for kind, place, data in steps:
        if kind == "write":
            disk.write(file, data, place)
            state[place : place + len(data)] = data
            writes.append((place, data))
        elif kind == "sync":
            disk.sync(file)
            writes = []
            versions = [{bytes(state[n * 512 : n * 512 + 512])} for n in range(12)]
    for place, data in writes:
        for sector in range(place // 512, (place + len(data) - 1) // 512 + 1):
            for version in list(versions[sector]):
                changed = bytearray(version)
                low, high = max(place, sector * 512), min(place + len(data), sector * 512 + 512)
                changed[low - sector * 512 : high - sector * 512] = data[low - place : high - place]
                versions[sector].add(bytes(changed))
    found = content(crashed(disk, Crash.MIX, seed))
    assert len(found) == 6144
    for sector in range(12):
        assert found[sector * 512 : sector * 512 + 512] in versions[sector]


def test_each_durable_effect_is_told_and_counted() -> None:
    told: list[str] = []
    storage = SimulatedStorage(told.append)
    disk: Disk = storage.disk
    file = disk.create(PATH)
    disk.write(file, b"x", 0)
    disk.sync(file)
    disk.sync_folder(PATH.parent)
    disk.truncate(file, 0)
    disk.truncate(file, 0)
    storage.store("vault").commit({"a": "1"})
    disk.close(file)
    disk.remove(PATH)
    disk.remove(PATH)
    assert told == ["create a", "write", "sync", "sync folder", "truncate", "transaction vault", "remove a"]
    assert storage.effects == len(told)
    copy = storage.after_crash(Crash.LOSE, random.Random(0))
    copy.store("vault").commit({"a": "2"})
    assert (storage.store("vault").load(), copy.store("vault").load()) == ({"a": "1"}, {"a": "2"})


# ------------------------------------------------------------------------------------------------------ careful


def test_a_careful_disk_forces_together_and_deletes_late() -> None:
    told: list[str] = []
    inner = SimulatedDisk(told.append)
    disk = CarefulDisk(inner)
    first, second = disk.create(PATH), disk.create(PATH.with_name("b"))
    passing = disk.create(PATH.with_name("cache"), lasting=False)
    disk.write(first, b"1", 0)
    disk.write(second, b"2", 0)
    disk.write(passing, b"3", 0)
    disk.remove(PATH.with_name("b"))
    assert "sync" not in told
    told.clear()
    disk.flush()
    assert told == ["sync", "sync", "sync folder"]
    assert disk.names(PATH.parent) == ["a", "b", "cache"]
    disk.remove_left()
    assert disk.names(PATH.parent) == ["a", "cache"]
    told.clear()
    disk.flush()
    assert told == [], "nothing is forced twice"
    disk.write(first, b"4", 0)
    disk.close(first)
    disk.flush()
    assert told == ["write"], "a closed file is not needed any more"


# -------------------------------------------------------------------------------------------------------- stores


def test_stores_behave_alike(tmp_path: Path) -> None:
    for store in (SqliteStore(tmp_path / "s.sqlite"), SimulatedStore("vault", quiet)):
        held: Store = store
        assert held.load() == {}
        held.commit({"a": "1", "b": "2"})
        held.commit({"a": None, "c": "3", "none": None})
        assert held.load() == {"b": "2", "c": "3"}
        held.close()
    again = SqliteStore(tmp_path / "s.sqlite")
    assert again.load() == {"b": "2", "c": "3"}
    again.close()


def test_a_transaction_that_fails_leaves_the_rows_as_they_were(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s.sqlite")
    store.commit({"a": "1"})
    with pytest.raises(sqlite3.Error):
        store.commit({"b": "2", "a": 3j})  # type: ignore[dict-item]
    assert store.load() == {"a": "1"}
    store.commit({"b": "2"})
    assert store.load() == {"a": "1", "b": "2"}
    store.close()


def test_a_damaged_store_is_an_error_and_one_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"this is no database, and long enough to be one. " * 200)
    with pytest.raises(IntegrityError, match="damaged"):
        SqliteStore(path)
    path.unlink()
    SqliteStore(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(UsageError, match="version 7"):
        SqliteStore(path)
    with pytest.raises(UsageError, match="cannot be opened"):
        SqliteStore(tmp_path / "no" / "folder")


def test_the_name_of_every_folder_that_is_made_is_forced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[Path] = []
    monkeypatch.setattr(RealDisk, "sync_folder", lambda _, folder: forced.append(folder))
    RealStorage(tmp_path).make_folder(tmp_path / "x" / "y" / "z")
    assert forced == [tmp_path, tmp_path / "x", tmp_path / "x" / "y"]
    RealStorage(tmp_path).make_folder(tmp_path / "x" / "y" / "z")
    assert len(forced) == 3


@pytest.mark.parametrize("sync", [True, False])
def test_the_name_of_a_new_log_is_forced_with_its_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, sync: bool
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(RealDisk, "sync_folder", lambda _, folder: calls.append(folder.name))
    monkeypatch.setattr(RealDisk, "sync", lambda *_: calls.append("file"))
    log = ChangeLog(ExtentSpace(), tmp_path, "primary", 0, 64 * BLOCK, random.Random(1), sync=sync)
    log.append(1, 0, bytes(BLOCK), 0.0)
    log.append(2, 0, bytes(BLOCK), 0.0)
    assert calls.count(tmp_path.name) == int(sync)
    assert ("file" in calls) == sync


def test_a_new_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.img"

    def half() -> None:
        with new_file(path) as file:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        half()
    assert list(tmp_path.iterdir()) == []
    with new_file(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out.img"]
    with pytest.raises(UsageError, match="not overwritten"), new_file(path) as file:
        file.write(b"other")
    assert path.read_bytes() == b"whole"


@pytest.mark.parametrize(("code", "expected"), [(errno.ENXIO, False), (errno.EINVAL, True), (errno.EIO, True)])
def test_only_the_end_of_the_data_is_a_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: bool
) -> None:
    path = tmp_path / "base.img"
    path.write_bytes(b"B" * 4096)
    image = BaseImage(path)

    def fails(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "lseek", fails)
        assert image.may_hold_data(0, 4096) is expected
    image.close()


class FillsUp(RealDisk):
    """A disk that takes only the first half of the next write."""

    full = False

    def write(self, file: int, data: bytes | bytearray | memoryview, offset: int) -> None:
        if self.full:
            super().write(file, data[: len(data) // 2], offset)
            raise OSError(errno.ENOSPC, "no space left")
        super().write(file, data, offset)


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("branched", [False, True])
def test_a_write_that_half_fails_leaves_the_block_what_it_was(tmp_path: Path, careful: bool, branched: bool) -> None:
    disk = FillsUp()
    disks = DiskSet(tmp_path / "disks", [4 * BLOCK], [None], disk=disk, careful=careful)
    if branched:
        disks.branch(disks.cut())
    disks.write(0, 1, b"a" * BLOCK)
    disk.full = True
    with pytest.raises(OSError, match="no space"):
        disks.write(0, 1, b"b" * BLOCK)
    assert disks.read(0, 0, 4 * BLOCK) == bytes(BLOCK) + b"a" * BLOCK + bytes(2 * BLOCK)
    disk.full = False
    disks.write(0, 1, b"c" * BLOCK)
    assert disks.read(0, BLOCK, BLOCK) == b"c" * BLOCK
    disks.close()


@pytest.mark.parametrize("key", [None, bytes(range(64))])
def test_blocks_that_are_read_together_are_those_that_are_read_one_by_one(tmp_path: Path, key: bytes | None) -> None:
    rng = random.Random(5)
    cipher = None if key is None else BlockCipher(key)
    slots = SlotFile(tmp_path / "slots", RealDisk(), sync=False, cipher=cipher, careful=False, exists=False)
    stored = [rng.randbytes(BLOCK) for _ in range(40)]
    for block in stored:
        slots.write(slots.take(), block)
    for _ in range(50):
        some = rng.sample(range(40), rng.randrange(41))
        together = slots.read_all([(slot, -slot) for slot in some])
        assert {name: bytes(block) for name, block in together.items()} == {-slot: stored[slot] for slot in some}
    slots.damage(7, rng)
    assert bytes(slots.read_all([(6, 0), (8, 1)])[1]) == stored[8], "what lies between need not be whole"
    with pytest.raises(IntegrityError, match=f"at {7 * BLOCK} "):
        slots.read_all([(6, 0), (7, 1), (8, 2)])
    slots.take_new(1)
    with pytest.raises(IntegrityError, match=f"{40 * BLOCK}"):
        slots.read_all([(39, 0), (40, 1)])
    slots.close()
