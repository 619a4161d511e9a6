"""One ``.hrl`` file that is being written, with its journal beside it; and reading both.

Rules:

* a tracked write is in the files before it is acknowledged: its bytes in the ``.hrl`` file and one fixed record in the journal
  ``NAME.hrl.journal`` (sequence number, place on the disk, place in the log, length, digest of the data, digest of the record
  itself together with the log's unique id). Metadata blocks follow their data, as the format wants, and the header's end of log
  is written at a clean close;
* after a crash the header still says 0. The log is then rebuilt from its journal: a write is taken over only if its journal
  record and its data match their digests, its number is higher than the one before, its place is inside the disk, and its data
  lie exactly where the ones before end, and only if header and metadata blocks are those of this log in this chain; otherwise
  the log is damaged and a resynchronisation is required (P9);
* in a system that is kept, what a crash has left behind the last durable write is undone first (:meth:`LogFile.undo_after`);
* the sequence number in the journal orders writes across all disks of the machine, which the format itself cannot.
"""

from __future__ import annotations

import mmap
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from . import hrl
from .disk import Disk, RealDisk
from .errors import DamagedJournalError, DamagedLogError
from .extents import Extent, ExtentSpace, digest_of

__all__ = ["LogFile", "Tracked", "check_journal", "read_log"]

_JOURNAL = struct.Struct("<QQQI16s16s")
_PROTECTED = struct.Struct("<QQQI16s")


def _pack(unique_id: bytes, *fields: object) -> bytes:
    record = _PROTECTED.pack(*fields)
    return record + digest_of(unique_id + record)


@attrs.frozen(slots=True)
class _Found:
    """A journal record that is whole and stands where it must."""

    sequence: int
    offset: int
    at: int
    length: int
    digest: bytes


def _journal_records(name: str, raw: bytes, unique_id: bytes, size: int) -> Iterator[_Found]:
    """The records of a journal.

    Raises:
        DamagedLogError: one is torn, damaged, of another log, out of order, or out of place.
    """
    torn = len(raw) % _JOURNAL.size
    if torn:
        raise DamagedJournalError(f"{name}: torn journal record at the end; resynchronise the disk", len(raw) - torn, torn)
    expected, last = hrl.HEADER_SIZE, 0
    for number, place in enumerate(range(0, len(raw), _JOURNAL.size), 1):
        record = raw[place : place + _PROTECTED.size]
        if digest_of(unique_id + record) != raw[place + _PROTECTED.size : place + _JOURNAL.size]:
            what = f"journal record {number} does not match its digest"
            raise DamagedJournalError(f"{name}: {what}; resynchronise", place, _JOURNAL.size)
        found = _Found(*_PROTECTED.unpack(record))
        if found.sequence <= last or found.at != expected or found.offset + found.length > size:
            what = f"journal record {number} is out of order or out of place"
            raise DamagedJournalError(f"{name}: {what}; resynchronise", place, _JOURNAL.size)
        last = found.sequence
        expected += found.length + (hrl.BLOCK_SIZE if number % hrl.ENTRIES_PER_BLOCK == 0 else 0)
        yield found


@attrs.frozen(slots=True)
class Tracked:
    """One tracked write: its number on the branch, its place, where its bytes lie in the log, and their digest."""

    sequence: int
    disk: int
    offset: int
    extent: Extent
    digest: bytes


def _stamp(now: float) -> int:
    """A time as the format holds it: whole seconds in 32 bits. A clock that tells something else is wrong, and is cut off."""
    return min(max(int(now), 0), hrl.MASK)


class LogFile:
    """One ``.hrl`` file that is being written, with its journal."""

    def __init__(
        self,
        space: ExtentSpace,
        path: Path,
        disk: int,
        size: int,
        ids: tuple[bytes, bytes, bytes],
        now: float,
        *,
        exists: bool = False,
    ) -> None:
        journal = path.with_name(path.name + ".journal")
        self.path = path
        self.disk = disk
        self.tracked: list[Tracked] = []
        self.unique_id = ids[0]
        self._ids = ids
        self._size = size
        self._created = _stamp(now)
        self._space = space
        self._area = space.reopen(path) if exists else space.open(path)
        self._journal = space.reopen(journal) if exists else space.open(journal)
        self._pending: list[hrl.LogEntry] = []
        self._last_block = 0
        self._unread = ""
        if not exists:
            space.append(self._area, hrl.encode_header(self._header(0, now)))

    def head(self) -> dict[str, Any]:
        """What has to survive beside the files; plain values."""
        return {"file": self.path.name, "ids": [i.hex() for i in self._ids], "created": self._created}

    def _header(self, end: int, now: float) -> hrl.FileHeader:
        unique, previous, disk_id = self._ids
        return hrl.FileHeader(
            unique_id=unique, previous_unique_id=previous, disk_id=disk_id, created=self._created, modified=_stamp(now),
            disk_size=self._size, current_size=max(end, hrl.HEADER_SIZE), end_of_log=end,
            entries=len(self.tracked) if end else 0,
        )  # fmt: skip

    def append(self, sequence: int, offset: int, data: bytes, now: float) -> Tracked:
        """Record one write; when this returns it is in the log."""
        extent = self._space.append(self._area, data)
        tracked = Tracked(sequence, self.disk, offset, extent, digest_of(data))
        self._space.append(
            self._journal, _pack(self.unique_id, sequence, offset, extent.offset, extent.length, tracked.digest)
        )
        self.tracked.append(tracked)
        self._pending.append(hrl.LogEntry(offset, len(data), _stamp(now), hrl.byte_checksum(data)))
        if len(self._pending) == hrl.ENTRIES_PER_BLOCK:
            self._write_block()
        return tracked

    def _write_block(self) -> None:
        at = self._space.end(self._area)
        previous = at - self._last_block if self._last_block else 0
        self._space.append(self._area, hrl.encode_block(previous, self._pending))
        self._last_block = at
        self._pending.clear()

    def sync(self) -> None:
        """Force log and journal to stable storage."""
        self._space.sync(self._area)
        self._space.sync(self._journal)

    def lose_unsynced(self) -> None:
        """Power fails: what was not forced to stable storage is gone."""
        self._space.lose_unsynced(self._area)
        self._space.lose_unsynced(self._journal)

    def finish(self, now: float) -> None:
        """Close the log cleanly: the last metadata block, then the true end in the header."""
        if self._pending:
            self._write_block()
        end = self._space.end(self._area)
        self._space.overwrite(self._area, 0, hrl.encode_header(self._header(end, now)))

    def drop(self) -> None:
        """Delete log and journal: everything in them is acknowledged end to end, or discarded for good."""
        self._space.drop(self._area)
        self._space.drop(self._journal)

    def undo_after(self, last: int) -> None:
        """After a crash of the program: what was recorded after the write ``last``, or begun after it, did not happen.

        A write whose acknowledgement was not durable may be in the files whole, torn or not at all; a close that was not
        durable may have changed the header. All of that goes, so that the log can be appended to again. Damage to anything
        before it is left alone: reading the log tells. A log that the disk gives an error for is not undone, and from then on
        as good as damaged.
        """
        if self._space.end(self._area) < hrl.HEADER_SIZE:
            return
        try:
            raw = self._space.read(Extent(self._journal, 0, self._space.end(self._journal)))
            head = self._space.read(Extent(self._area, 0, hrl.HEADER_SIZE))
        except OSError as error:
            self._unread = str(error)
            return
        whole = raw[: len(raw) // _JOURNAL.size * _JOURNAL.size]
        count, end = 0, hrl.HEADER_SIZE
        try:
            for found in _journal_records(self.path.name, whole, self.unique_id, self._size):
                if found.sequence > last:
                    break
                count += 1
                end = found.at + found.length + (hrl.BLOCK_SIZE if count % hrl.ENTRIES_PER_BLOCK == 0 else 0)
        except DamagedLogError:
            pass
        for area, size in ((self._journal, count * _JOURNAL.size), (self._area, end)):
            if self._space.end(area) > size:
                self._space.cut_off(area, size)
        try:
            closed = hrl.decode_header(head).end_of_log != 0
        except DamagedLogError:
            return
        if closed:
            self._space.overwrite(self._area, 0, hrl.encode_header(self._header(0, self._created)))

    def recover(self) -> None:
        """After a crash: rebuild what the log holds from the bytes on disk alone.

        Raises:
            IntegrityError: the header is damaged or another log's, a journal record is torn, damaged or out of place, or
                data or metadata are missing or do not match, or it could not be undone.
            OSError: the disk gives an error in place of what is stored.
        """
        if self._unread:
            raise DamagedLogError(f"{self.path.name}: could not be read after a restart: {self._unread}; resynchronise")
        header = hrl.decode_header(self._space.read(Extent(self._area, 0, hrl.HEADER_SIZE)))
        if (header.unique_id, header.previous_unique_id, header.disk_id) != self._ids or header.disk_size != self._size:
            raise DamagedLogError(f"{self.path.name}: the header is not that of this log in its chain; resynchronise")
        raw = self._space.read(Extent(self._journal, 0, self._space.end(self._journal)))
        self.tracked = []
        self._pending = []
        blocks = 0
        for found in _journal_records(self.path.name, raw, self.unique_id, self._size):
            extent = Extent(self._area, found.at, found.length)
            data = self._space.read(extent)
            if digest_of(data) != found.digest:
                raise DamagedLogError(f"{self.path.name}: data at {found.at} do not match their digest; resynchronise")
            self.tracked.append(Tracked(found.sequence, self.disk, found.offset, extent, found.digest))
            self._pending.append(hrl.LogEntry(found.offset, found.length, self._created, hrl.byte_checksum(data)))
            if len(self._pending) == hrl.ENTRIES_PER_BLOCK:
                at = found.at + found.length
                self._check_block(at, at - blocks if blocks else 0)
                self._pending = []
                blocks = at
        if header.end_of_log and self._pending:
            at = self._space.end(self._area) - hrl.BLOCK_SIZE
            self._check_block(at, at - blocks if blocks else 0)
        self._last_block = blocks

    def _check_block(self, at: int, previous: int) -> None:
        told, entries = hrl.decode_block(self._space.read(Extent(self._area, at, hrl.BLOCK_SIZE)))
        expected = [(e.offset, e.length, e.data_checksum) for e in self._pending]
        if told != previous or [(e.offset, e.length, e.data_checksum) for e in entries] != expected:
            raise DamagedLogError(f"{self.path.name}: metadata at {at} do not say what was tracked; resynchronise")

    @property
    def size(self) -> int:
        """Bytes of the log's file."""
        return self._space.end(self._area)

    def damage(self, rng: random.Random) -> None:
        """The store goes bad: one bit of the log's file or of its journal turns."""
        area = rng.choice([a for a in (self._area, self._journal) if self._space.end(a)])
        at = rng.randrange(self._space.end(area))
        (byte,) = self._space.read(Extent(area, at, 1))
        self._space.overwrite(area, at, bytes([byte ^ 1 << rng.randrange(8)]))

    def read_back(self) -> None:
        """After closing: what the log tracks is what its file says.

        Raises:
            DamagedLogError: the file is damaged, or does not say what was tracked.
        """
        said = [
            Tracked(f.sequence, self.disk, f.offset, Extent(self._area, f.at, f.length), f.digest)
            for f, _, _ in _read(self.path, self._space.disk)
        ]
        if said != self.tracked:
            raise DamagedLogError(f"{self.path.name}: the file does not say what was tracked; resynchronise the disk")
        self.tracked = said


def check_journal(name: str, raw: bytes, header: hrl.FileHeader, data: bytes | mmap.mmap) -> int:
    """How many writes the journal of a log proves, each by the digest of its bytes in the log.

    Raises:
        DamagedJournalError: a record is damaged or out of place, bytes do not match, or a closed log has more or fewer writes.
    """
    count = 0
    for found in _journal_records(name, raw, header.unique_id, header.disk_size):
        if digest_of(data[found.at : found.at + found.length]) != found.digest:
            what = f"data at {found.at} do not match their digest"
            raise DamagedJournalError(f"{name}: {what}; resynchronise the disk", found.at, found.length, in_log=True)
        count += 1
    if header.end_of_log and count != header.entries:
        what = f"journal has {count} records, the header says {header.entries} writes"
        raise DamagedJournalError(f"{name}: {what}", min(count, header.entries) * _JOURNAL.size, 0)
    return count


def _journal_of(path: Path, disk: Disk) -> bytes:
    file = disk.open(path.with_name(path.name + ".journal"))
    try:
        return disk.read(file, disk.size(file), 0)
    finally:
        disk.close(file)


def _read(path: Path, disk: Disk) -> Iterator[tuple[_Found, hrl.LogEntry, bytes]]:
    with disk.view(path) as data:
        header, records = hrl.decode(data)
        raw = _journal_of(path, disk)
        if len(raw) != len(records) * _JOURNAL.size:
            raise DamagedLogError(f"{path.name}: journal has {len(raw)} bytes, {len(records) * _JOURNAL.size} expected")
        journal = _journal_records(path.name, raw, header.unique_id, header.disk_size)
        for record, found in zip(records, journal, strict=True):
            content = data[found.at : found.at + found.length]
            if (found.offset, found.at, found.length) != (record.entry.offset, record.at, record.entry.length) or (
                digest_of(content) != found.digest
            ):
                raise DamagedLogError(f"{path.name}: entry at {found.at} does not match its journal record")
            yield found, record.entry, content


def read_log(path: Path) -> list[tuple[int, hrl.LogEntry, bytes]]:
    """Read a closed log with its journal: (sequence, entry, bytes) for each write, in order.

    Raises:
        DamagedLogError: the log or its journal is damaged, or they disagree.
    """
    return [(found.sequence, entry, content) for found, entry, content in _read(path, RealDisk())]
