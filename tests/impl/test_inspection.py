"""A look into logs: the published example, what is told of damage, and mutations of good files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from siteproof.conformance.cli import main
from siteproof.impl import hrl
from siteproof.impl.changelog import ChangeLog, read_log
from siteproof.impl.errors import DamagedLogError, UsageError
from siteproof.impl.extents import ExtentSpace
from siteproof.impl.inspection import inspect, inspect_file


def like_the_published_example() -> bytes:
    """A log of the published example's shape: an empty block, 58 writes of 320000 bytes together, a block for them."""
    rng = random.Random(2017)
    lengths = [4096] * 29 + [8192] * 20 + [4096 * 2 + 512] * 4 + [512] * 4
    lengths.append(320000 - sum(lengths))
    extents = [rng.randbytes(length) for length in lengths]
    entries = [
        hrl.LogEntry(3626348544 + n * 65536, len(e), 539842381 + n, hrl.byte_checksum(e)) for n, e in enumerate(extents)
    ]
    end = 4096 + 4096 + 320000 + 4096
    header = hrl.FileHeader(bytes(16), bytes(16), rng.randbytes(16), 539842381, 539842500, 1 << 37, end, end, 58)
    return hrl.encode_header(header) + hrl.encode_block(0, []) + b"".join(extents) + hrl.encode_block(324096, entries)


def small_log(folder: Path, count: int = 3, *, closed: bool = True) -> Path:
    """A log of a few writes, with its journal."""
    space = ExtentSpace()
    log = ChangeLog(space, folder, "primary", 0, 1 << 24, random.Random(1), sync=False)
    for number in range(1, count + 1):
        log.append(number, number * 4096, bytes([number % 256]) * 512, number)
    path = log.files()[0]
    if closed:
        log.swap(count + 1)
    space.close()
    return path


def test_the_published_example_has_the_published_shape() -> None:
    data = like_the_published_example()
    header, records = hrl.decode(data)
    assert (header.end_of_log, len(records)) == (332288, 58)
    assert records[0].at == 8192
    assert sum(r.entry.length for r in records) == 320000 == 328192 - 4096 - 4096
    found = inspect(data)
    assert [(b.at, b.previous, len(b.entries)) for b in found.blocks] == [(4096, 0, 0), (328192, 324096, 58)]
    assert not found.faults
    assert found.closed


def test_a_whole_log_is_listed_as_written(tmp_path: Path) -> None:
    path = small_log(tmp_path, 300)
    found = inspect_file(path)
    assert not found.faults
    assert (found.writes, found.data_bytes, found.journal) == (300, 300 * 512, 300)
    assert [e.entry for b in found.blocks for e in b.entries] == [entry for _, entry, _ in read_log(path)]


@pytest.mark.parametrize(
    ("at", "offset", "part"),
    [
        (3, 3, "file header, cookie"),
        (10, 10, "file header, format version"),
        (17, 17, "file header, creator"),
        (70, 0, "file header, checksum"),
        (4096 + 512 + 7, 4096 + 512, "data"),
        (4096 + 3 * 512 + 40, 4096 + 3 * 512, "metadata block"),
    ],
)
def test_the_first_bad_byte_is_named(tmp_path: Path, at: int, offset: int, part: str) -> None:
    data = bytearray(small_log(tmp_path).read_bytes())
    data[at] ^= 0x40
    fault = inspect(bytes(data)).faults[0]
    assert (fault.offset, fault.part) == (offset, part)
    assert fault.offset <= at < fault.offset + fault.length
    assert "resynchronise" in fault.meaning


def test_damaged_data_is_told_beside_what_is_whole(tmp_path: Path) -> None:
    data = bytearray(small_log(tmp_path).read_bytes())
    data[4096 + 512] ^= 1
    assert [e.whole for e in inspect(bytes(data)).blocks[0].entries] == [True, False, True]


def test_an_error_code_is_told_although_the_header_is_whole(tmp_path: Path) -> None:
    data = small_log(tmp_path).read_bytes()
    header = attrs.evolve(hrl.decode_header(data), error=5)
    assert inspect(hrl.encode_header(header) + data[4096:]).faults[0].part == "file header, error code"


def test_a_number_of_entries_that_the_blocks_do_not_have_is_told(tmp_path: Path) -> None:
    data = small_log(tmp_path).read_bytes()
    header = attrs.evolve(hrl.decode_header(data), entries=4)
    (fault,) = inspect(hrl.encode_header(header) + data[4096:]).faults
    assert (fault.offset, fault.found) == (hrl.ENTRIES_AT, "4")


def test_damage_that_the_format_cannot_see_is_found_by_the_journal(tmp_path: Path) -> None:
    path = small_log(tmp_path)
    data = bytearray(path.read_bytes())
    data[4096], data[4097] = data[4096] + 1, data[4097] - 1
    path.write_bytes(data)
    assert not inspect(path.read_bytes()).faults
    (fault,) = inspect_file(path).faults
    assert fault.part == f"data, by their digest in {path.name}.journal"
    assert (fault.offset, fault.length, fault.file) == (4096, 512, "")


@pytest.mark.parametrize(
    ("change", "place", "told"),
    [
        (lambda raw: raw[:-1], (120, 59), "torn journal record at the end"),
        (lambda raw: raw[:70] + bytes([raw[70] ^ 1]) + raw[71:], (60, 60), "journal record 2 does not match its digest"),
        (lambda raw: raw[:60] + raw[120:], (60, 60), "journal record 2 is out of order or out of place"),
        (lambda raw: raw[:120], (120, 0), "journal has 2 records, the header says 3 writes"),
    ],
)
def test_damage_of_a_journal_is_told_at_its_place_in_the_journal(
    tmp_path: Path, change: Callable[[bytes], bytes], place: tuple[int, int], told: str
) -> None:
    path = small_log(tmp_path)
    journal = path.with_name(path.name + ".journal")
    assert len(journal.read_bytes()) == 180
    journal.write_bytes(change(journal.read_bytes()))
    (fault,) = inspect_file(path).faults
    assert (fault.offset, fault.length) == place
    assert (fault.file, fault.found) == (journal.name, told)


def test_bytes_behind_the_end_and_a_journal_that_is_not_there_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small_log(tmp_path, 1)
    end = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"extra!")
    path.with_name(path.name + ".journal").unlink()
    assert main(["hrl", str(path), "--json", str(tmp_path / "out.json")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 write, 512 bytes of content, 1 metadata block" in shown
    assert f"behind the end: 6 bytes from {end:,}, which no write put there" in shown
    assert "journal: there is none beside this log; without it neither the order of writes" in shown
    told = json.loads((tmp_path / "out.json").read_text())
    assert (told["trailing"], told["journal"], told["journal_missing"]) == (6, None, True)


def test_a_log_of_no_length_is_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.hrl"
    path.touch()
    assert main(["hrl", str(path)]) == 1
    assert "the file has 0 bytes" in capsys.readouterr().out


def test_what_to_do_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_log(tmp_path)
    data = bytearray(path.read_bytes())
    for at in (4096, 4096 + 512, 4096 + 1024):
        data[at] ^= 1
    path.write_bytes(data)
    assert main(["hrl", str(path)]) == 1
    shown = capsys.readouterr().out
    assert shown.count("also bad") == 2
    assert shown.count("resynchronise") == 1


def test_every_truncation_of_a_file_is_damage(tmp_path: Path) -> None:
    data = small_log(tmp_path).read_bytes()
    for length in range(len(data)):
        with pytest.raises(DamagedLogError):
            hrl.decode(data[:length])
        assert inspect(data[:length]).faults


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A good file that something happened to."""
    data = bytearray(like_the_published_example()) if draw(st.booleans()) else bytearray(_SMALL)
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["bit", "byte", "cut", "repeat", "swap", "zero"]))
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        if kind == "cut" or not data:
            del data[at:]
        elif kind == "bit":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte":
            data[at] = draw(st.integers(0, 255))
        else:
            place = at // 512 * 512
            size = draw(st.sampled_from([512, 4096]))
            piece = bytes(data[place : place + size])
            if kind == "repeat":
                data[place:place] = piece
            elif kind == "zero":
                data[place : place + size] = bytes(len(piece))
            else:
                other = draw(st.integers(0, len(data) - 1)) // 512 * 512
                there = bytes(data[other : other + len(piece)])
                data[place : place + len(there)], data[other : other + len(there)] = there, piece[: len(there)]
    return bytes(data)


def _small() -> bytes:
    entries = [hrl.LogEntry(n * 4096, 4, n, hrl.byte_checksum(bytes([n] * 4))) for n in range(1, 4)]
    body = b"".join(bytes([n] * 4) for n in range(1, 4)) + hrl.encode_block(0, entries)
    end = 4096 + len(body)
    return hrl.encode_header(hrl.FileHeader(b"u" * 16, bytes(16), b"d" * 16, 1, 2, 1 << 20, end, end, 3)) + body


_SMALL = _small()


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=mutations())
@example(data=_SMALL)
@example(data=b"")
def test_reader_and_inspection_agree_on_what_is_damaged(data: bytes) -> None:
    try:
        header, records = hrl.decode(data)
    except DamagedLogError:
        found = inspect(data)
        assert found.faults or not found.closed
        return
    found = inspect(data)
    assert not found.faults
    assert found.header == header
    assert [(e.entry, e.data_at) for b in found.blocks for e in b.entries] == [(r.entry, r.at) for r in records]
    for record in records:
        content = data[record.at : record.at + record.entry.length]
        assert hrl.byte_checksum(content) == record.entry.data_checksum


# ------------------------------------------------------------------------------------------------------ the command


def test_the_command_shows_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hrl", str(small_log(tmp_path, 25))]) == 0
    shown = capsys.readouterr().out
    assert "25 writes, 12,800 bytes of content" in shown
    assert "5 more writes: --all shows them" in shown
    assert "journal: 25 records" in shown
    assert "whole and closed" in shown


def test_the_command_explains_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_log(tmp_path)
    data = bytearray(path.read_bytes())
    data[2] ^= 1
    path.write_bytes(data)
    assert main(["hrl", str(path), "--json", str(tmp_path / "out.json")]) == 1
    shown = capsys.readouterr().out
    assert "first bad byte: 2 (file header, cookie)" in shown
    assert "resynchronise the disk" in shown
    told = json.loads((tmp_path / "out.json").read_text())
    assert (told["schema"], told["exit"], told["header"]) == ("siteproof.hrl/1", 1, None)
    assert told["faults"][0]["offset"] == 2


def test_the_command_says_that_a_log_was_not_closed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hrl", str(small_log(tmp_path, closed=False))]) == 2
    shown = " ".join(capsys.readouterr().out.split())
    assert "not closed" in shown
    assert "its journal proves 3 writes" in shown


@pytest.mark.parametrize("make", ["nothing", "folder", "text"])
def test_what_is_no_log_file_is_the_users_mistake(
    tmp_path: Path, make: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.hrl"
    if make == "folder":
        path.mkdir()
    elif make == "text":
        path.write_text("format = 1\n" * 500)
    with pytest.raises(UsageError):
        inspect_file(path)
    assert main(["hrl", str(path)]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert ("is not a change log" in line) is (make == "text")
    assert "resynchronise" not in line


@pytest.mark.parametrize("kept", [1, 100, 4096])
def test_a_log_whose_header_is_all_but_lost_is_still_a_log(tmp_path: Path, kept: int) -> None:
    path = small_log(tmp_path)
    data = path.read_bytes()
    path.with_name(path.name + ".journal").unlink()
    path.write_bytes(data[:kept])
    assert inspect_file(path).faults
    path.write_bytes(b"damage!!" + bytes(8) + data[16:])  # cookie and version are gone, the creator is there
    assert inspect_file(path).faults[0].part == "file header, cookie"
    path.write_bytes(bytes(4096) + data[4096:])
    with pytest.raises(UsageError, match="not a change log"):
        inspect_file(path)
    path.with_name(path.name + ".journal").write_bytes(b"of a log")
    assert inspect_file(path).faults


def test_the_verdict_stands_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hrl", str(small_log(tmp_path))]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["", "whole and closed"]
