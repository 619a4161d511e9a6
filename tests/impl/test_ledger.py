"""The ledger finds which prefix of the acknowledged writes some bytes hold, and says what is wrong with bytes that hold none."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from siteproof.impl.ledger import Ledger
from siteproof.impl.values import BLOCK

from .conftest import block, make_image

BLOCKS = 32


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger([make_image(tmp_path / "0.img", BLOCKS), make_image(tmp_path / "1.img", BLOCKS)])
    yield made
    made.close()


class Disks:
    """Two disks in memory that begin as the images."""

    def __init__(self, ledger: Ledger) -> None:
        self.disks = [bytearray(base.read(0, base.size)) for base in ledger.bases]

    def put(self, disk: int, number: int, data: bytes) -> None:
        self.disks[disk][number * BLOCK : (number + 1) * BLOCK] = data

    @property
    def read(self) -> Callable[[int, int, int], bytes]:
        return lambda disk, offset, length: bytes(self.disks[disk][offset : offset + length])


def history(count: int, seed: int = 1) -> list[tuple[int, int, bytes]]:
    chance = random.Random(seed)
    return [(chance.randrange(2), chance.randrange(6), block(f"write {n}")) for n in range(1, count + 1)]


def test_every_prefix_is_told_by_its_number(ledger: Ledger) -> None:
    writes, disks = history(40), Disks(ledger)
    for write in writes:
        ledger.note(*write)
    for number in range(41):
        if number:
            disks.put(*writes[number - 1])
        assert ledger.find(disks.read).writes == number


def test_a_write_that_is_left_out_makes_a_mixture(ledger: Ledger) -> None:
    disks = Disks(ledger)
    for number in range(3):
        ledger.note(0, number, block(f"write {number}"))
    disks.put(0, 0, block("write 0"))
    disks.put(0, 2, block("write 2"))
    found = ledger.find(disks.read)
    assert found.writes is None
    assert found.reason == "a mixture: disk 0, block 2 holds write 3, disk 0, block 1 lacks write 2"


@pytest.mark.parametrize("number", [5, 20])
def test_bytes_that_nobody_wrote_are_named(ledger: Ledger, number: int) -> None:
    disks = Disks(ledger)
    ledger.note(1, 5, block("known"))
    disks.put(1, number, block("unknown"))
    found = ledger.find(disks.read)
    assert found.writes is None
    assert f"disk 1, block {number} " in found.reason


def test_a_failover_starts_a_branch_and_what_it_discards_is_lost(ledger: Ledger) -> None:
    for write in history(10):
        ledger.note(*write)
    ledger.branch(7)
    ledger.note_stale(0, 1, block("nobody will keep it"))
    assert (len(ledger.writes), len(ledger.former) - ledger.kept, ledger.lost) == (7, 4, 4)
    ledger.note(0, 2, block("on the new branch"))
    ledger.change(9)
    assert (len(ledger.writes), len(ledger.former) - ledger.kept, ledger.lost) == (9, 2, 3)


def test_a_discarded_write_that_comes_back_is_found(ledger: Ledger) -> None:
    disks = Disks(ledger)
    ledger.note(0, 3, block("discarded"))
    ledger.branch(0)
    ledger.note(0, 4, block("new"))
    disks.put(0, 4, block("new"))
    assert ledger.find(disks.read).writes == 1
    disks.put(0, 3, block("discarded"))
    assert ledger.find(disks.read).writes is None
