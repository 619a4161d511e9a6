"""The Hyper-V Replica log file format ``.hrl`` ([MS-HRL]), as functions from values to bytes and back.

Layout, all integers little-endian:

* a file header of 4096 bytes. ``end_of_log`` is 0 while the log is open and the true end once it has been closed; one
  that says 0 was never closed and is not read. ``unique_id`` and ``previous_unique_id`` chain the logs of one disk;
* data extents, back to back, each group followed by a metadata block of 4096 bytes that describes it: a block header of
  32 bytes (distance back to the previous block, 0 in the first; number of valid entries; checksum) and up to 127
  entries of 32 bytes (byte offset on the disk, length, time stamp, operation, checksums). A block may describe nothing:
  the published example begins with such a one.

A checksum is the one's complement of the sum of the bytes, its own field left out. It cannot see swapped bytes, so
:mod:`siteproof.impl.changelog` keeps a digest of every extent beside the log.

Reading takes two passes: back from the last block over the distances, then forward over the entries. What does not
fit is a :class:`DamagedLogError`; damaged content is never returned.

The widths of the file header's fields follow the order of the published structure; block headers and entries are held
to the published worked example by tests. Requirements: GEN-13, V2A-29, H2S-21.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from zlib import adler32

import attrs

from .errors import DamagedLogError

__all__ = [
    "BLOCK_SIZE",
    "CONSTANTS",
    "ENTRIES_AT",
    "ENTRIES_PER_BLOCK",
    "ERROR_AT",
    "HEADER_SIZE",
    "FileHeader",
    "LogEntry",
    "Record",
    "block_checksum",
    "byte_checksum",
    "decode",
    "decode_block",
    "decode_header",
    "encode_block",
    "encode_header",
    "entry_checksum",
    "header_checksums",
]

HEADER_SIZE = 4096
BLOCK_SIZE = 4096
ENTRIES_PER_BLOCK = 127
COOKIE = b"msctlog\0"
FORMAT_VERSION = 0x00020000
CREATOR = b"ct\0\0"
WRITE = 1
MASK = 0xFFFFFFFF
_ADLER_EXACT = 256

_HEADER = struct.Struct("<8sII4sIQQIQII16s16sIQII16s")
_CHECKSUM_AT = struct.calcsize("<8sII4sIQQ")
ERROR_AT = struct.calcsize("<8sII4sIQQIQ")
ENTRIES_AT = struct.calcsize("<8sII4sIQQIQII16s16sI")
"""Places of the error code and of the number of entries in a file header."""
CONSTANTS = (
    (0, "cookie", COOKIE),
    (8, "format version", FORMAT_VERSION.to_bytes(4, "little")),
    (16, "creator", CREATOR),
    (ERROR_AT + 4, "metadata size", BLOCK_SIZE.to_bytes(4, "little")),
)
"""What every file header has at the same place: offset, name, bytes."""
_BLOCK_HEADER = struct.Struct("<QII16x")
_ENTRY = struct.Struct("<QIIIBIB6x")


def byte_checksum(data: bytes | bytearray | memoryview) -> int:
    """One's complement of the sum of the bytes, as an unsigned 32-bit number."""
    if len(data) < 128:
        return ~sum(data) & MASK
    # The low half of an Adler-32 is 1 + the sum of the bytes, modulo 65521: of so few bytes it is the sum itself, and in C.
    view, total = memoryview(data), 0
    for at in range(0, len(data), _ADLER_EXACT):
        total += (adler32(view[at : at + _ADLER_EXACT]) & 0xFFFF) - 1
    return ~total & MASK


@attrs.frozen(slots=True)
class FileHeader:
    """The fields of a file header that carry meaning here. Times are seconds; sizes and places are bytes."""

    unique_id: bytes
    previous_unique_id: bytes
    disk_id: bytes
    created: int
    modified: int
    disk_size: int
    current_size: int
    end_of_log: int
    entries: int
    error: int = 0


@attrs.frozen(slots=True)
class LogEntry:
    """One tracked write: ``length`` bytes at ``offset`` of the disk. A ``data_checksum`` of 0 means that a foreign writer
    gave none; this package always writes it.
    """

    offset: int
    length: int
    timestamp: int
    data_checksum: int = 0
    operation: int = WRITE


@attrs.frozen(slots=True)
class Record:
    """An entry as found in a file, with the place of its data in that file."""

    entry: LogEntry
    at: int


def encode_header(header: FileHeader) -> bytes:
    """The 4096 bytes of a file header."""
    def pack(checksum: int) -> bytes:
        return _HEADER.pack(
            COOKIE, FORMAT_VERSION, header.created & MASK, CREATOR, 1, header.disk_size, header.current_size, checksum,
            header.end_of_log, header.error, BLOCK_SIZE, header.unique_id, header.previous_unique_id,
            header.modified & MASK, header.entries, 0, 0, header.disk_id,
        )  # fmt: skip

    return pack(byte_checksum(pack(0))).ljust(HEADER_SIZE, b"\0")


def decode_header(data: bytes | mmap.mmap) -> FileHeader:
    """Read a file header.

    Raises:
        DamagedLogError: too short, not a log, of another version, or with a wrong checksum.
    """
    if len(data) < HEADER_SIZE:
        raise DamagedLogError(f"log header: {len(data)} bytes found, {HEADER_SIZE} expected; resynchronise the disk")
    f = _HEADER.unpack_from(data)
    if f[0] != COOKIE or f[1] != FORMAT_VERSION or f[3] != CREATOR or f[10] != BLOCK_SIZE:
        raise DamagedLogError("log header: cookie, version, creator or metadata size is not that of an .hrl file")
    found, expected = header_checksums(data)
    if found != expected:
        raise DamagedLogError(f"log header: checksum {found:#010x} found, {expected:#010x} expected")
    return FileHeader(
        unique_id=f[11], previous_unique_id=f[12], disk_id=f[17], created=f[2], modified=f[13], disk_size=f[5],
        current_size=f[6], end_of_log=f[8], entries=f[14], error=f[9],
    )  # fmt: skip


def header_checksums(data: bytes | mmap.mmap) -> tuple[int, int]:
    """The checksum that a file header of full length says, and the one that its bytes have."""
    (found,) = struct.unpack_from("<I", data, _CHECKSUM_AT)
    return found, byte_checksum(data[:_CHECKSUM_AT] + bytes(4) + data[_CHECKSUM_AT + 4 : HEADER_SIZE])


def block_checksum(previous: int, valid: int) -> int:
    """Checksum of a metadata block's header."""
    return byte_checksum(_BLOCK_HEADER.pack(previous, valid, 0))


def _pack_entry(entry: LogEntry, checksum: int) -> bytes:
    return _ENTRY.pack(
        entry.offset, checksum, entry.length, entry.timestamp & MASK, entry.operation, entry.data_checksum, 0
    )


def entry_checksum(entry: LogEntry) -> int:
    """Checksum of a metadata entry."""
    return byte_checksum(_pack_entry(entry, 0))


def encode_block(previous: int, entries: Sequence[LogEntry]) -> bytes:
    """A metadata block; ``previous`` is the distance in bytes back to the block before it, 0 for the first."""
    if len(entries) > ENTRIES_PER_BLOCK:
        raise ValueError(f"{len(entries)} entries do not fit a metadata block of {ENTRIES_PER_BLOCK}")
    parts = [_BLOCK_HEADER.pack(previous, len(entries), block_checksum(previous, len(entries)))]
    parts += [_pack_entry(e, entry_checksum(e)) for e in entries]
    return b"".join(parts).ljust(BLOCK_SIZE, b"\0")


def decode_block(data: bytes) -> tuple[int, tuple[LogEntry, ...]]:
    """Read a metadata block: the distance back to the previous one, and its entries.

    Raises:
        DamagedLogError: a checksum, a count, an operation or an unused byte is wrong.
    """
    if len(data) != BLOCK_SIZE:
        raise DamagedLogError(f"metadata block: {len(data)} bytes found, {BLOCK_SIZE} expected")
    previous, valid, checksum = _BLOCK_HEADER.unpack_from(data)
    if checksum != block_checksum(previous, valid) or valid > ENTRIES_PER_BLOCK:
        raise DamagedLogError(f"metadata block: header damaged (previous {previous}, entries {valid})")
    entries = []
    for slot in range(valid):
        at = _BLOCK_HEADER.size + slot * _ENTRY.size
        offset, found, length, timestamp, operation, data_checksum, _ = _ENTRY.unpack_from(data, at)
        entry = LogEntry(offset, length, timestamp, data_checksum, operation)
        if found != entry_checksum(entry) or data[at : at + _ENTRY.size] != _pack_entry(entry, found):
            raise DamagedLogError(f"metadata block: entry {slot} damaged")
        if operation != WRITE:
            raise DamagedLogError(f"metadata block: entry {slot} has operation {operation}, only 1 (write) is known")
        entries.append(entry)
    end = _BLOCK_HEADER.size + valid * _ENTRY.size
    if data[16:32] != bytes(16) or data[end:] != bytes(BLOCK_SIZE - end):
        raise DamagedLogError("metadata block: unused bytes are not zero")
    return previous, tuple(entries)


def decode(data: bytes | mmap.mmap) -> tuple[FileHeader, tuple[Record, ...]]:
    """Read a whole closed log in two passes; records come in the order in which they were written.

    Raises:
        DamagedLogError: not closed, truncated, or inconsistent in any way; also if the checksum of an extent is wrong.
    """
    header = decode_header(data)
    if header.end_of_log == 0:
        raise DamagedLogError("log was not closed (end of log is 0); recover it from its journal or resynchronise")
    if header.error:
        raise DamagedLogError(f"log carries error code {header.error}; resynchronise the disk")
    if not HEADER_SIZE <= header.end_of_log <= len(data):
        raise DamagedLogError(f"log ends at {header.end_of_log}, but the file has {len(data)} bytes")
    stack: list[tuple[int, tuple[LogEntry, ...]]] = []
    at = header.end_of_log - BLOCK_SIZE
    while header.end_of_log > HEADER_SIZE:
        if at < HEADER_SIZE:
            raise DamagedLogError(f"metadata block expected at {at}, which is inside the file header")
        previous, entries = decode_block(data[at : at + BLOCK_SIZE])
        stack.append((at, entries))
        if previous == 0:
            break
        if previous < BLOCK_SIZE:
            raise DamagedLogError(f"metadata block at {at} points {previous} bytes back, less than a block")
        at -= previous
    records: list[Record] = []
    start = HEADER_SIZE
    while stack:
        at, entries = stack.pop()
        for entry in entries:
            extent = data[start : start + entry.length]
            if entry.data_checksum and (len(extent) != entry.length or byte_checksum(extent) != entry.data_checksum):
                raise DamagedLogError(f"data extent at {start}: checksum does not match its entry")
            records.append(Record(entry, start))
            start += entry.length
        if start != at:
            raise DamagedLogError(f"data extents end at {start}, their metadata block is at {at}")
        start = at + BLOCK_SIZE
    if len(records) != header.entries:
        raise DamagedLogError(f"{len(records)} entries found, the header says {header.entries}")
    return header, tuple(records)
