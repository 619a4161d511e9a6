"""Bytes by reference: messages carry :class:`Extent` values (area, offset, length), never the bytes themselves.

An *area* is one open file. Components read and append through :class:`ExtentSpace`; they neither open files nor know
paths. References go stale when their area is dropped, and reading one then is an error, not wrong data.

An area that need not outlive a crash (a cache, a staging area for transfer) holds its extents in memory, and each is read
as it was appended: nothing is copied on the way from one component to the next. All such areas together hold at most
:data:`IN_MEMORY` bytes there; what is more goes to their files, so that memory stays bounded however many machines send.
"""

from __future__ import annotations

from pathlib import Path

import attrs
from blake3 import blake3

from .disk import Disk, RealDisk
from .errors import IntegrityError

__all__ = ["IN_MEMORY", "Extent", "ExtentSpace", "digest_of"]

IN_MEMORY = 64 << 20
"""Most bytes of all passing areas together that are held in memory."""


def digest_of(data: bytes | memoryview) -> bytes:
    """Our own digest of content: 16 bytes of BLAKE3, kept beside the weak checksums of the log format. Every byte of a base copy
    is digested at both ends, and BLAKE3 takes a quarter of the time of SHA-256 for a chunk, half of it for a block.
    """
    return blake3(data).digest(16)


@attrs.frozen(slots=True)
class Extent:
    """``length`` bytes at ``offset`` of an area."""

    area: int
    offset: int
    length: int


class ExtentSpace:
    """The open areas. Closing it closes every file."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk: Disk = RealDisk() if disk is None else disk
        self._files: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._synced: dict[int, int] = {}
        self._paths: dict[int, Path] = {}
        self._passing: dict[int, dict[int, bytes]] = {}
        """Of each area that need not outlive a crash: the extents in memory, by their place."""
        self._in_memory = 0
        self._next = 0

    def open(self, path: Path, *, lasting: bool = True) -> int:
        """Create a file and make it an area; returns the area's number. ``lasting``: whether it must outlive a crash."""
        area = self._area(self.disk.create(path, lasting=lasting), path)
        if not lasting:
            self._passing[area] = {}
        return area

    def reopen(self, path: Path) -> int:
        """Make a file that exists an area, with all that it holds: it has survived a crash, so it counts as forced."""
        area = self._area(self.disk.open(path), path)
        self._synced[area] = self._ends[area]
        return area

    def _area(self, file: int, path: Path) -> int:
        self._next += 1
        self._files[self._next] = file
        self._ends[self._next] = self.disk.size(file)
        self._paths[self._next] = path
        return self._next

    def append(self, area: int, data: bytes) -> Extent:
        """Add bytes at the end of an area."""
        at = self._ends[area]
        passing = self._passing.get(area)
        if passing is not None and data and self._in_memory + len(data) <= IN_MEMORY:
            passing[at] = data
            self._in_memory += len(data)
        else:
            self.disk.write(self._files[area], data, at)
        self._ends[area] = at + len(data)
        return Extent(area, at, len(data))

    def overwrite(self, area: int, offset: int, data: bytes) -> None:
        """Write bytes at a place of an area that outlives a crash."""
        self.disk.write(self._files[area], data, offset)
        self._ends[area] = max(self._ends[area], offset + len(data))

    def end(self, area: int) -> int:
        """Bytes in an area."""
        return self._ends[area]

    def read(self, extent: Extent) -> bytes:
        """The bytes of an extent.

        Raises:
            IntegrityError: the area was dropped or emptied, or is shorter than the reference says.
        """
        file = self._files.get(extent.area)
        if file is None:
            raise IntegrityError(f"extent of area {extent.area} read after the area was dropped")
        held = self._passing.get(extent.area, {}).get(extent.offset)
        if held is not None:
            if len(held) != extent.length:
                raise IntegrityError(f"extent of {extent.length} bytes read where area {extent.area} holds {len(held)} now")
            return held
        return self.disk.read(file, extent.length, extent.offset)

    def path(self, area: int) -> Path:
        """The file of an area."""
        return self._paths[area]

    def sync(self, area: int) -> None:
        """Force an area to stable storage."""
        self.disk.sync(self._files[area])
        self._synced[area] = self._ends[area]

    def lose_unsynced(self, area: int) -> None:
        """Power fails: what was added since the area was last forced to stable storage is gone."""
        self.cut_off(area, self._synced.get(area, 0))

    def cut_off(self, area: int, size: int) -> None:
        """Cut an area off; extents behind become unreadable."""
        passing = self._passing.get(area) or {}
        for at in [at for at in passing if at >= size]:
            self._in_memory -= len(passing.pop(at))
        self.disk.truncate(self._files[area], size)
        self._ends[area] = size

    def discard(self, extent: Extent) -> None:
        """Nobody reads an extent of a passing area any more: what memory it takes is free again."""
        self._in_memory -= len(self._passing[extent.area].pop(extent.offset, b""))

    def truncate(self, area: int) -> None:
        """Empty an area; extents in it become unreadable."""
        self.cut_off(area, 0)
        self._synced.pop(area, None)

    def release(self, area: int) -> None:
        """Close an area's file and keep it on disk."""
        self._in_memory -= sum(map(len, self._passing.pop(area, {}).values()))
        self.disk.close(self._files.pop(area))
        self._synced.pop(area, None)
        del self._ends[area], self._paths[area]

    def drop(self, area: int) -> None:
        """Close an area and delete its file."""
        path = self._paths[area]
        self.release(area)
        self.disk.remove(path)

    def close(self) -> None:
        """Close every area; files stay."""
        for area in list(self._files):
            self.release(area)
