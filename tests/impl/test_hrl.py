"""The log format: published values, round trips, and damage."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siteproof.impl import hrl
from siteproof.impl.changelog import ChangeLog, read_log
from siteproof.impl.errors import DamagedLogError
from siteproof.impl.extents import ExtentSpace


def test_published_checksums() -> None:
    assert hrl.block_checksum(0, 0) == 4294967295
    assert hrl.block_checksum(324096, 58) == 4294966991
    assert hrl.entry_checksum(hrl.LogEntry(3626348544, 4096, 539842381)) == 4294966608


def test_published_sizes() -> None:
    block = hrl.encode_block(0, [hrl.LogEntry(n * 4096, 4096, 1) for n in range(127)])
    assert len(block) == 4096
    with pytest.raises(ValueError, match="127"):
        hrl.encode_block(0, [hrl.LogEntry(0, 1, 1)] * 128)


writes = st.lists(st.tuples(st.integers(0, 2**40), st.binary(min_size=1, max_size=40)), max_size=300)


def written(folder: Path, items: list[tuple[int, bytes]]) -> tuple[ExtentSpace, ChangeLog]:
    space = ExtentSpace()
    log = ChangeLog(space, folder, "primary", 0, 1 << 41, random.Random(1), sync=False)
    for number, (offset, data) in enumerate(items, 1):
        log.append(number, offset, data, number)
    return space, log


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(items=writes, crash=st.booleans())
def test_a_closed_log_reads_back_in_order_also_after_a_crash(
    tmp_path_factory: pytest.TempPathFactory, items: list[tuple[int, bytes]], crash: bool
) -> None:
    space, log = written(tmp_path_factory.mktemp("log"), items)
    if crash:
        log.recover()
    paths = log.files()
    tracked = log.swap(1000)
    assert [t.sequence for t in tracked] == list(range(1, len(items) + 1))
    assert [space.read(t.extent) for t in tracked] == [data for _, data in items]
    if items:
        assert [(e.offset, data) for _, e, data in read_log(paths[0])] == items
    space.close()


def test_an_open_log_says_so_and_is_not_read(tmp_path: Path) -> None:
    space, log = written(tmp_path, [(0, b"abc")])
    data = log.files()[0].read_bytes()
    assert hrl.decode_header(data).end_of_log == 0
    with pytest.raises(DamagedLogError, match="not closed"):
        hrl.decode(data)
    space.close()


def test_logs_are_double_buffered_and_chained(tmp_path: Path) -> None:
    space, log = written(tmp_path, [(0, b"abc")])
    log.swap(1)
    log.append(2, 8, b"def", 2)
    assert len(log.files()) == 2
    first = hrl.decode_header(log.files()[0].read_bytes())
    second = hrl.decode_header(log.files()[1].read_bytes())
    assert first.previous_unique_id == bytes(16)
    assert second.previous_unique_id == first.unique_id
    with pytest.raises(RuntimeError):
        log.swap(3)
    log.clear(lambda x: x.in_transit)
    assert len(log.files()) == 1
    space.close()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255), count=st.integers(1, 300))
def test_a_damaged_file_is_an_error_and_never_wrong_data(
    tmp_path_factory: pytest.TempPathFactory, place: float, change: int, count: int
) -> None:
    items = [(n * 512, f"data {n}".encode()) for n in range(count)]
    space, log = written(tmp_path_factory.mktemp("log"), items)
    log.swap(1)
    path = log.files()[0]
    for name in (path, path.with_name(path.name + ".journal")):
        good = name.read_bytes()
        damaged = bytearray(good)
        damaged[int(place * len(good))] ^= change
        name.write_bytes(damaged)
        with pytest.raises(DamagedLogError):
            read_log(path)
        name.write_bytes(good[: int(place * len(good))])
        with pytest.raises(DamagedLogError):
            read_log(path)
        name.write_bytes(good)
    space.close()


def test_a_torn_journal_is_damage(tmp_path: Path) -> None:
    space, log = written(tmp_path, [(0, b"abc"), (8, b"def")])
    assert log.recording is not None
    space.append(log.recording._journal, b"torn")
    with pytest.raises(DamagedLogError, match="torn"):
        log.recover()
    space.close()


@given(st.binary(max_size=300), st.integers(0, 40))
def test_the_checksum_is_the_complement_of_the_sum_of_the_bytes(data: bytes, times: int) -> None:
    for content in (data * times, b"\xff" * len(data) * times, bytearray(data * times)):
        assert hrl.byte_checksum(content) == ~sum(content) & 0xFFFFFFFF
