"""A look into an ``.hrl`` file for a person: what can be read, and the first byte that is wrong, with what it means.

:func:`~siteproof.impl.hrl.decode` refuses a damaged log as a whole, as replication must. An operator wants to know more:
which part of the file is bad, what was found there, what was expected, and what to do. Rules:

* nothing that is shown was taken from a part that failed its check;
* the walk goes back from the end of the log over the metadata blocks, as reading does. Behind a bad block nothing can be
  reached; the blocks after it are checked all the same;
* faults come in the order of their offsets. A checksum tells that a range is bad, not which of its bytes: then the offset is
  where the range begins, and ``length`` says how long it is;
* bytes behind the end of a closed log are no damage, since nobody reads them; how many there are is said;
* a log that says 0 as its end was never closed. That is no damage, but nothing in it can be listed without its journal;
* beside a log its journal is read, if there is one: it alone tells the order of writes across disks, and its digests see
  what the weak checksums of the format cannot;
* a file in which nothing of what every header has is in its place, and that has no journal, is no log at all: there is
  nothing to resynchronise, somebody has named the wrong file.

Requirements: GEN-13, V2A-29, H2S-21.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path

import attrs

from . import hrl
from .errors import DamagedJournalError, DamagedLogError, UsageError
from .hrl import BLOCK_SIZE, HEADER_SIZE, FileHeader, LogEntry
from .logfile import check_journal

__all__ = ["BlockFound", "EntryFound", "Fault", "Inspection", "inspect", "inspect_file"]

RESYNCHRONISE = "replication must not use this log: resynchronise the disk (RepairReplication)"


@attrs.frozen(slots=True)
class Fault:
    """Something wrong: ``length`` bytes from ``offset`` of the file, of which at least one is bad."""

    offset: int
    length: int
    part: str
    found: str
    expected: str
    meaning: str
    file: str = ""
    """The name of the file that ``offset`` is a place of, where it is not the log itself."""


@attrs.frozen(slots=True)
class EntryFound:
    """A tracked write as the log tells it; ``data_at`` is where its bytes lie in the file."""

    entry: LogEntry
    data_at: int
    whole: bool
    """Whether its bytes match its checksum, or it has none."""


@attrs.frozen(slots=True)
class BlockFound:
    """A metadata block that passed its checks: its place, the distance back to the one before (0: the first), entries."""

    at: int
    previous: int
    entries: tuple[EntryFound, ...]


@attrs.frozen(slots=True)
class Inspection:
    """What a look into a log found. Sizes and places are bytes."""

    size: int
    header: FileHeader | None
    """``None`` where the header itself is bad."""
    blocks: tuple[BlockFound, ...]
    faults: tuple[Fault, ...]
    journal: int | None = None
    """Records of the journal beside the log; ``None``: there is no journal, or it is bad."""
    journal_missing: bool = False
    """Whether it was looked for, and there is none."""

    @property
    def closed(self) -> bool:
        """Whether the log was closed cleanly."""
        return self.header is not None and self.header.end_of_log != 0

    @property
    def trailing(self) -> int:
        """Bytes behind the end of a closed log. No reader looks at them."""
        return 0 if self.header is None or not self.header.end_of_log else max(0, self.size - self.header.end_of_log)

    @property
    def writes(self) -> int:
        """Writes that could be listed."""
        return sum(len(b.entries) for b in self.blocks)

    @property
    def data_bytes(self) -> int:
        """Bytes of content that the listed writes have."""
        return sum(e.entry.length for b in self.blocks for e in b.entries)


def inspect(data: bytes | mmap.mmap) -> Inspection:
    """Look into a log, whatever state it is in. Never raises for what it finds."""
    header, fault = _header(data)
    if header is None:
        return Inspection(len(data), None, (), (fault,) if fault else ())
    faults = [] if fault is None else [fault]
    if header.end_of_log == 0:
        return Inspection(len(data), header, (), tuple(faults))
    if not HEADER_SIZE <= header.end_of_log <= len(data):
        cut = min(header.end_of_log, len(data))
        faults.append(Fault(
            cut, 0, "end of the log", f"the file has {len(data)} bytes", f"a log that ends at {header.end_of_log}",
            f"the file was cut off after it was closed, or its header lies; {RESYNCHRONISE}",
        ))  # fmt: skip
        return Inspection(len(data), header, (), tuple(faults))
    blocks = _blocks(data, header, faults)
    listed = sum(len(b.entries) for b in blocks)
    if not faults and listed != header.entries:
        faults.append(Fault(
            hrl.ENTRIES_AT, 4, "file header, number of entries", str(header.entries), f"{listed}, which the blocks hold",
            f"writes were added or taken away; {RESYNCHRONISE}",
        ))  # fmt: skip
    return Inspection(len(data), header, tuple(blocks), tuple(sorted(faults, key=lambda f: f.offset)))


def inspect_file(path: Path) -> Inspection:
    """Look into a log file, and into its journal if there is one beside it.

    Raises:
        UsageError: the file cannot be opened, or is no log at all. An empty file may have been one: it is damaged.
    """
    try:
        if path.is_file() and path.stat().st_size == 0:  # which cannot be mapped
            return attrs.evolve(inspect(b""), journal_missing=not path.with_name(path.name + ".journal").is_file())
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            journal = path.with_name(path.name + ".journal")
            if not (journal.is_file() or _has_something_of_a_log(data)):
                raise UsageError(f"{path}: it is not a change log, nothing in it has the format's signature; name an .hrl file")
            result = inspect(data)
            if not journal.is_file():
                return attrs.evolve(result, journal_missing=True)
            if result.header is None:
                return result
            raw = journal.read_bytes()
            try:
                return attrs.evolve(result, journal=check_journal(path.name, raw, result.header, data))
            except DamagedJournalError as error:
                return attrs.evolve(result, faults=_with_journal_fault(result.faults, journal.name, error))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; name an .hrl file") from error


def _with_journal_fault(faults: tuple[Fault, ...], journal: str, error: DamagedJournalError) -> tuple[Fault, ...]:
    """What a log and its journal disagree on, beside what is wrong with the log itself: in the log at its place, else behind."""
    what = str(error).partition(": ")[2].partition("; ")[0]
    fault = Fault(
        error.offset, error.length, f"data, by their digest in {journal}" if error.in_log else f"journal {journal}", what,
        "a record for each write, with matching digests", f"what the log says cannot be proved; {RESYNCHRONISE}",
        "" if error.in_log else journal,
    )  # fmt: skip
    if not error.in_log:
        return (*faults, fault)
    known = any(f.offset <= fault.offset < f.offset + f.length for f in faults)
    return faults if known else tuple(sorted((*faults, fault), key=lambda f: f.offset))


def _has_something_of_a_log(data: bytes | mmap.mmap) -> bool:
    """Whether anything that every header has is in its place, as far as the file goes."""
    return any(data[at : at + len(value)] == value[: len(data) - at] for at, _, value in hrl.CONSTANTS if at < len(data))


def _header(data: bytes | mmap.mmap) -> tuple[FileHeader | None, Fault | None]:
    """The header, and what is wrong with it. A header with only an error code in it is a fault, but can be shown."""
    try:
        header = hrl.decode_header(data)
    except DamagedLogError:
        return None, _header_fault(data)
    if header.error:
        return header, Fault(
            hrl.ERROR_AT, 4, "file header, error code", str(header.error), "0",
            f"a write could not be recorded while this log was open; {RESYNCHRONISE}",
        )  # fmt: skip
    return header, None


def _header_fault(data: bytes | mmap.mmap) -> Fault:
    if len(data) < HEADER_SIZE:
        return Fault(
            len(data), 0, "file header", f"the file has {len(data)} bytes", f"a header of {HEADER_SIZE} bytes",
            f"the file was cut off, or is no .hrl file; {RESYNCHRONISE}",
        )  # fmt: skip
    for at, name, value in hrl.CONSTANTS:
        found = bytes(data[at : at + len(value)])
        if found != value:
            first = next(i for i in range(len(value)) if found[i] != value[i])
            return Fault(
                at + first, 1, f"file header, {name}", f"{found.hex(' ')}", f"{value.hex(' ')}",
                "this is no .hrl file of the known version, or its first sector was overwritten; check that it is the file"
                f" you mean; {RESYNCHRONISE}",
            )  # fmt: skip
    stored, computed = hrl.header_checksums(data)
    return Fault(
        0, HEADER_SIZE, "file header, checksum", f"{stored:#010x}", f"{computed:#010x}, the sum over these bytes",
        f"neither the log's end nor its place in the chain of logs can be trusted; {RESYNCHRONISE}",
    )  # fmt: skip


def _blocks(data: bytes | mmap.mmap, header: FileHeader, faults: list[Fault]) -> list[BlockFound]:
    """The blocks that can be reached from the end, in the order of the file; what is wrong goes to ``faults``."""
    blocks: list[BlockFound] = []
    at = header.end_of_log - BLOCK_SIZE
    while header.end_of_log > HEADER_SIZE:
        if at < HEADER_SIZE:
            faults.append(_block_fault(max(at, 0), f"a block at {at}, inside the file header", "a block behind the header"))
            break
        try:
            previous, entries = hrl.decode_block(data[at : at + BLOCK_SIZE])
        except DamagedLogError as error:
            faults.append(_block_fault(at, str(error), "checksums that match, and zeros where nothing is stored"))
            break
        if previous and (previous < BLOCK_SIZE or at - previous < HEADER_SIZE):
            faults.append(_block_fault(at, f"a distance of {previous} bytes back", "the place of an earlier block"))
            break
        start = at - previous + BLOCK_SIZE if previous else HEADER_SIZE
        blocks.append(BlockFound(at, previous, tuple(_entries(data, start, at, entries, faults))))
        if previous == 0:
            break
        at -= previous
    return blocks[::-1]


def _block_fault(at: int, found: str, expected: str) -> Fault:
    return Fault(
        at, BLOCK_SIZE, "metadata block", found, expected,
        f"the writes that it describes, and all blocks before it, cannot be found; {RESYNCHRONISE}",
    )  # fmt: skip


def _entries(
    data: bytes | mmap.mmap, start: int, end: int, entries: Sequence[LogEntry], faults: list[Fault]
) -> list[EntryFound]:
    found = []
    for entry in entries:
        stop = start + entry.length
        content = data[start:stop] if stop <= end else b""
        computed = hrl.byte_checksum(content)
        whole = stop <= end and entry.data_checksum in (0, computed)
        if stop <= end and not whole:
            faults.append(Fault(
                start, entry.length, "data", f"checksum {computed:#010x}", f"{entry.data_checksum:#010x}",
                f"the write to bytes {entry.offset} to {entry.offset + entry.length} of the disk is not what the machine"
                f" wrote; {RESYNCHRONISE}",
            ))  # fmt: skip
        found.append(EntryFound(entry, start, whole))
        start = stop
    if start != end:
        faults.append(Fault(
            min(start, end), abs(end - start), "data", f"content that ends at {start}", f"the metadata block at {end}",
            f"lengths and places disagree, so that no write of this block can be told from another; {RESYNCHRONISE}",
        ))  # fmt: skip
    return found
