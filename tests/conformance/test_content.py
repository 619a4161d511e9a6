"""Content is exactly a prefix, or the first block that is not is named."""

import random

from hypothesis import given
from hypothesis import strategies as st

from siteproof.conformance.content import BLOCK, Base, Journal, Log, Tag, View, decode, encode

BLOCKS = 6


def disk_of(journal: Journal, log: Log) -> bytearray:
    """The bytes that a disk holds after `log`, computed the plain way."""
    data = bytearray(journal.base.data(0, BLOCKS))
    for record in reversed(list(log.backwards())):
        data[record.address * BLOCK : (record.address + 1) * BLOCK] = record.payload
    return data


def read(journal: Journal, data: bytes | bytearray) -> View:
    return journal.read(lambda _disk, offset, length: bytes(data[offset : offset + length]))


def history(blocks: list[int]) -> tuple[Journal, Log]:
    journal = Journal("m0", Base(BLOCKS))
    log = journal.root
    for block in blocks:
        log = log.then(journal.issue(0, block, 1))
    return journal, log


blocks = st.lists(st.integers(0, BLOCKS - 1), max_size=12)


def test_a_block_says_who_it_is() -> None:
    tag = Tag("payroll-db", 1, 77, 3, 12345)
    assert len(encode(tag)) == BLOCK
    assert decode(encode(tag)) == tag


def test_what_was_read_of_late_hides_no_change() -> None:
    journal, log = history([1, 3, 1])
    data = disk_of(journal, log)
    for turn in range(3):
        assert read(journal, data).locate(log) is log
        block = 3 - turn
        data[block * BLOCK + 4000] ^= 1
        assert [address for address, _ in read(journal, data).rubbish] == [block]
        data[block * BLOCK + 4000] ^= 1
        assert read(journal, journal.base.data(0, BLOCKS)).content == {}


def test_a_damaged_block_is_nobodys() -> None:
    block = bytearray(encode(Tag("m0", 0, 1, 1, 1)))
    block[-1] ^= 1
    assert decode(bytes(block)) is None


@given(blocks, st.data())
def test_every_prefix_is_found_at_its_length(written: list[int], data: st.DataObject) -> None:
    journal, log = history(written)
    length = data.draw(st.integers(0, len(written)))
    found = read(journal, disk_of(journal, log.prefix(length))).locate(log)
    assert found is not None
    assert found.length == length


def test_the_content_of_a_long_history_is_that_of_its_writes_whenever_it_is_asked_for() -> None:
    chance = random.Random(1)
    _, log = history([chance.randrange(BLOCKS) for _ in range(2000)])
    for length in [*range(2001), *(chance.randrange(2001) for _ in range(500))]:
        due: dict[int, int] = {}
        for record in log.prefix(length).backwards():
            due.setdefault(record.address, record.sequence)
            if len(due) == BLOCKS:
                break
        assert log.prefix(length).content == due


@given(blocks.filter(lambda b: len(b) > 1), st.data())
def test_a_hole_is_no_prefix(written: list[int], data: st.DataObject) -> None:
    journal, log = history(written)
    last = {record.address: record for record in reversed(list(log.backwards()))}
    visible = [a for a, r in last.items() if r.sequence != log.length]
    if not visible:
        return
    lost = data.draw(st.sampled_from(visible))
    disk = disk_of(journal, log)
    disk[lost * BLOCK : (lost + 1) * BLOCK] = journal.base.data(lost, 1)
    view = read(journal, disk)
    assert view.locate(log) is None
    mismatch = journal.mismatch(view, log)
    assert mismatch is not None
    assert mismatch.address == lost
    assert mismatch.found == "the base image's block"


def test_a_misplaced_a_torn_and_a_foreign_block_are_told_apart() -> None:
    journal, log = history([0, 1])
    disk = disk_of(journal, log)
    disk[2 * BLOCK : 3 * BLOCK] = journal.records[1].payload
    disk[3 * BLOCK : 4 * BLOCK] = journal.records[1].payload[: BLOCK // 2] + bytes(BLOCK // 2)
    disk[4 * BLOCK : 5 * BLOCK] = b"x" * BLOCK
    told = dict(read(journal, disk).rubbish)
    assert "another block" in told[2]
    assert "torn" in told[3]
    assert "neither" in told[4]


def test_a_write_of_a_branch_that_ended_is_in_no_other_history() -> None:
    journal, log = history([0, 1])
    fork = log.prefix(1).then(journal.issue(0, 2, 2))
    assert read(journal, disk_of(journal, log)).locate(fork) is None
    assert read(journal, disk_of(journal, fork)).locate(log) is None


def test_histories_share_their_beginnings() -> None:
    journal, log = history([0, 1, 2])
    assert log.prefix(2) is log.prefix(2).prefix(2)
    assert log.prefix(2).then(journal.records[3]) is log


def test_a_short_read_is_damage() -> None:
    journal, log = history([0])
    view = read(journal, disk_of(journal, log)[:-1])
    assert view.rubbish
    assert view.locate(log) is None
