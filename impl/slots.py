"""A file of slots, one block each: which are free, what is in them, and whether it still is what was written.

Rules:

* a slot that nobody names any more is free; in a file that has to survive a crash (``careful``) only after :meth:`SlotFile.kept`,
  when the rows that no longer name it are durable;
* beside the file, for every slot, stands the checksum (CRC-32) of the bytes that were stored in it. A slot that does not
  match it has gone bad on its disk (turned bits, lost or misplaced writes): reading it is an error, never other content. In a
  system that is kept the checksums are in the rows that name the slots. They show damage and no forgery: content is compared
  between sites by digests;
* where there is a cipher, each block is encrypted at its place, and the checksum is that of the stored form;
* bytes that are missing from the file, or that the disk gives an error for, are an error as well.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Collection, Iterable
from pathlib import Path
from zlib import crc32

from .codec import BlockCipher
from .disk import Disk
from .errors import IntegrityError, UnreadableError
from .values import BLOCK

__all__ = ["SlotFile"]


BETWEEN, AT_ONCE = 4, 256
"""Slots that are read for nothing where blocks are read together, and slots that are read together at most."""


def _runs(wanted: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """What is wanted, in the order of slots, in parts that can be read in one piece each."""
    if wanted and wanted[-1][0] - wanted[0][0] < min(AT_ONCE, BETWEEN * len(wanted)):
        return [wanted]
    runs: list[list[tuple[int, int]]] = []
    for one in wanted:
        if runs and one[0] - runs[-1][-1][0] <= BETWEEN and one[0] - runs[-1][0][0] < AT_ONCE:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


class SlotFile:
    """The slots of one set of disks."""

    def __init__(
        self, path: Path, disk: Disk, *, sync: bool, cipher: BlockCipher | None, careful: bool, exists: bool
    ) -> None:
        self.count = 0
        """Slots that have ever been taken: those behind are new."""
        self.free: list[int] = []
        self._leaving: list[int] = []
        self._sums = array("I")
        self._path = path
        self._disk = disk
        self._sync = sync
        self._cipher = cipher
        self._careful = careful
        self._file = disk.open(path) if exists else disk.create(path)

    # ---------------------------------------------------------------------------------------------------- slots

    def take(self) -> int:
        """A slot that nobody uses."""
        if self.free:
            return self.free.pop()
        return self.take_new(1)

    def take_new(self, count: int) -> int:
        """The first of so many slots in a row, behind all others."""
        first = self.count
        self.count += count
        self._sums.extend([0] * count)
        return first

    def let_go(self, slots: Iterable[int]) -> None:
        """Nobody names these slots any more."""
        (self._leaving if self._careful else self.free).extend(slots)

    def kept(self) -> None:
        """The rows are durable: what they no longer name may be used again."""
        self.free.extend(self._leaving)
        self._leaving.clear()

    def only(self, used: Collection[int]) -> None:
        """All slots but these are free, now or as soon as no durable row names them."""
        if self._careful:
            still = {*used, *self.free, *self._leaving}
            self._leaving.extend(s for s in range(self.count) if s not in still)
        else:
            self.free = [s for s in range(self.count) if s not in used]

    def clear(self) -> None:
        """Nobody names any slot any more, and nothing needs to survive: the file is emptied."""
        self.free.clear()
        self.count = 0
        del self._sums[:]
        self._disk.truncate(self._file, 0)

    def sum_of(self, slot: int) -> int:
        """Checksum of what is stored in a slot."""
        return self._sums[slot]

    def restore(self, sums: dict[int, int]) -> None:
        """Become what the rows say: the slots in use, with their checksums."""
        self.count = 0
        del self._sums[:]
        self.take_new(max(sums, default=-1) + 1)
        for slot, told in sums.items():
            self._sums[slot] = told
        self.free = [s for s in range(self.count) if s not in sums]

    # ---------------------------------------------------------------------------------------------------- blocks

    def write(self, slot: int, data: bytes | memoryview) -> None:
        """Store one block.

        Raises:
            OSError: not all of it could be written; the checksum is still the one of what was there before.
        """
        stored = data if self._cipher is None else self._cipher.encrypt(slot, data)
        self._disk.write(self._file, stored, slot * BLOCK)
        if self._sync:
            self._disk.sync(self._file)
        self._sums[slot] = crc32(stored)

    def write_run(self, data: bytes | memoryview) -> int:
        """Store blocks in new slots in a row; returns the first of them.

        Raises:
            OSError: not all of it could be written; no slot has been taken.
        """
        count = len(data) // BLOCK
        whole = memoryview(data)
        if self._cipher is not None:
            pieces = (whole[index * BLOCK : (index + 1) * BLOCK] for index in range(count))
            whole = memoryview(b"".join(self._cipher.encrypt(self.count + n, piece) for n, piece in enumerate(pieces)))
        self._disk.write(self._file, whole, self.count * BLOCK)
        if self._sync:
            self._disk.sync(self._file)
        first = self.count
        self.count += count
        self._sums.extend([crc32(whole[at : at + BLOCK]) for at in range(0, count * BLOCK, BLOCK)])
        return first

    def read(self, slot: int) -> bytes:
        """The block in a slot.

        Raises:
            IntegrityError: it is not what was stored there, is missing, or cannot be read.
        """
        try:
            stored = self._disk.read(self._file, BLOCK, slot * BLOCK)
        except OSError as error:
            raise UnreadableError(
                f"{self._path}: the block at {slot * BLOCK} cannot be read: {error}. The disk under it is bad: use another "
                "recovery point, or resynchronise"
            ) from error
        if crc32(stored) != self._sums[slot]:
            raise IntegrityError(
                f"{self._path}: the block at {slot * BLOCK} is not what was written there: its checksum is "
                f"{crc32(stored):08x}, {self._sums[slot]:08x} expected. The disk under it is bad: use another recovery point, or "
                "resynchronise"
            )
        return stored if self._cipher is None else self._cipher.decrypt(slot, stored)

    def read_all(self, wanted: list[tuple[int, int]]) -> dict[int, bytes | memoryview]:
        """The blocks in many slots, given as (slot, name), by their names. Slots that lie close together are read in one piece,
        with what lies between them.

        Raises:
            IntegrityError: one is not what was stored there, is missing, or cannot be read.
        """
        found: dict[int, bytes | memoryview] = {}
        wanted.sort()
        sums, cipher = self._sums, self._cipher
        for run in _runs(wanted):
            first, count = run[0][0], run[-1][0] + 1 - run[0][0]
            try:
                whole = memoryview(self._disk.read(self._file, count * BLOCK, first * BLOCK))
            except (IntegrityError, OSError):
                whole = None  # reading one by one says which block it is, or that it lies between them
            for slot, name in run:
                at = (slot - first) * BLOCK
                stored = None if whole is None else whole[at : at + BLOCK]
                if stored is None or crc32(stored) != sums[slot]:
                    found[name] = self.read(slot)
                else:
                    found[name] = stored if cipher is None else cipher.decrypt(slot, stored)
        return found

    def spoil(self, slot: int) -> None:
        """What was to be stored here is lost: reading it is an error."""
        self._sums[slot] ^= 0xFFFFFFFF

    def damage(self, slot: int, rng: random.Random) -> None:
        """The disk under the file goes bad: one bit of a slot turns."""
        stored = bytearray(self._disk.read(self._file, BLOCK, slot * BLOCK))
        stored[rng.randrange(BLOCK)] ^= 1 << rng.randrange(8)
        self._disk.write(self._file, stored, slot * BLOCK)

    def close(self) -> None:
        """Close the file."""
        self._disk.close(self._file)
