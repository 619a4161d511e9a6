"""Bytes by reference: messages carry :class:`Extent` values (area, offset, length), never the bytes themselves.

An *area* is one open file. Components read and append through :class:`ExtentSpace`; they neither open files nor know
paths. References go stale when their area is dropped, and reading one then is an error, not wrong data. Files are
created exclusively, so that none that exists is ever overwritten. The operating system may write or read less than it
is asked to: :func:`write_all` goes on until everything is written or an error says why not, and a read that comes out
short is an error.
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import attrs

from .errors import IntegrityError, UsageError

__all__ = ["Extent", "ExtentSpace", "create", "digest_of", "read_all", "sync_folder", "write_all"]


def digest_of(data: bytes) -> bytes:
    """Our own digest of content: 16 bytes of BLAKE2b, kept beside the weak checksums of the log format."""
    return hashlib.blake2b(data, digest_size=16).digest()


def create(path: Path) -> int:
    """Create a file that does not exist yet and open it.

    Raises:
        UsageError: it exists.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise UsageError(f"{path}: exists already and is not overwritten; give an empty work folder") from error


def write_all(file: int, data: bytes, offset: int) -> None:
    """Write all of ``data`` at a place of a file.

    Raises:
        OSError: not everything could be written.
    """
    done = os.pwrite(file, data, offset)
    while done < len(data):
        more = os.pwrite(file, data[done:], offset + done)
        if not more:
            raise OSError(errno.EIO, f"only {done} of {len(data)} bytes could be written")
        done += more


def read_all(file: int, length: int, offset: int) -> bytes:
    """Exactly ``length`` bytes from a place of a file.

    Raises:
        IntegrityError: the file ends before.
    """
    data = os.pread(file, length, offset)
    while len(data) < length:
        more = os.pread(file, length - len(data), offset + len(data))
        if not more:
            raise IntegrityError(f"file at {offset}: {len(data)} bytes found, {length} expected")
        data += more
    return data


def sync_folder(path: Path) -> None:
    """Force the names in a folder to stable storage: files that were created there, or deleted."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@attrs.frozen(slots=True)
class Extent:
    """``length`` bytes at ``offset`` of an area."""

    area: int
    offset: int
    length: int


class ExtentSpace:
    """The open areas. Closing it closes every file."""

    def __init__(self) -> None:
        self._files: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._synced: dict[int, int] = {}
        self._paths: dict[int, Path] = {}
        self._next = 0

    def open(self, path: Path) -> int:
        """Create a file and make it an area; returns the area's number."""
        file = create(path)
        self._next += 1
        self._files[self._next] = file
        self._ends[self._next] = 0
        self._paths[self._next] = path
        return self._next

    def append(self, area: int, data: bytes) -> Extent:
        """Add bytes at the end of an area."""
        at = self._ends[area]
        write_all(self._files[area], data, at)
        self._ends[area] = at + len(data)
        return Extent(area, at, len(data))

    def overwrite(self, area: int, offset: int, data: bytes) -> None:
        """Write bytes at a place of an area."""
        write_all(self._files[area], data, offset)
        self._ends[area] = max(self._ends[area], offset + len(data))

    def end(self, area: int) -> int:
        """Bytes in an area."""
        return self._ends[area]

    def read(self, extent: Extent) -> bytes:
        """The bytes of an extent.

        Raises:
            IntegrityError: the area was dropped, or is shorter than the reference says.
        """
        file = self._files.get(extent.area)
        if file is None:
            raise IntegrityError(f"extent of area {extent.area} read after the area was dropped")
        return read_all(file, extent.length, extent.offset)

    def path(self, area: int) -> Path:
        """The file of an area."""
        return self._paths[area]

    def sync(self, area: int) -> None:
        """Force an area to stable storage."""
        os.fsync(self._files[area])
        self._synced[area] = self._ends[area]

    def lose_unsynced(self, area: int) -> None:
        """Power fails: what was added since the area was last forced to stable storage is gone."""
        kept = self._synced.get(area, 0)
        os.ftruncate(self._files[area], kept)
        self._ends[area] = kept

    def truncate(self, area: int) -> None:
        """Empty an area; extents in it become unreadable."""
        os.ftruncate(self._files[area], 0)
        self._ends[area] = 0
        self._synced.pop(area, None)

    def release(self, area: int) -> None:
        """Close an area's file and keep it on disk."""
        os.close(self._files.pop(area))
        self._synced.pop(area, None)
        del self._ends[area], self._paths[area]

    def drop(self, area: int) -> None:
        """Close an area and delete its file."""
        path = self._paths[area]
        self.release(area)
        path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close every area; files stay."""
        for area in list(self._files):
            self.release(area)
