"""A disk and stores in memory that can be copied as a crash would leave them.

What a crash does to a file:

* what was forced to stable storage is there;
* of what was written or cut off since, each piece may be there or not, in any combination: the order of writes says nothing;
* a piece that was in the middle of being written may be *torn*: whole sectors of an overwritten range, any number of bytes of an
  appended one. A sector of 512 bytes is old or new, never a mixture;
* a name that was created or deleted since its folder was forced may be there or not. (Folders themselves are there.)

What a crash does to a store: its transactions are there. So a *durable effect* is any of: a write, a cut-off, a force, a
created or deleted name, a forced folder, a transaction. :class:`SimulatedStorage` counts them, and tells a listener after
each one: that is where an exhaustive crash test copies the world. It can also let one effect fail, as a full disk does: a
write is then made in part. And it can let one read of a file fail, as a bad disk does.
"""

from __future__ import annotations

import errno
import mmap
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from pathlib import Path

import attrs

from .errors import IntegrityError, UsageError
from .store import PLACES

__all__ = ["Crash", "SimulatedDisk", "SimulatedStorage", "SimulatedStore"]

SECTOR = 512


class Crash(Enum):
    """What happens to everything that was not forced to stable storage."""

    LOSE = "all of it is lost"
    KEEP = "all of it is there"
    MIX = "each piece is there, torn or lost"


@attrs.frozen(slots=True)
class _Written:
    offset: int
    data: bytes


@attrs.frozen(slots=True)
class _Cut:
    size: int


@attrs.define(slots=True, eq=False)
class _Inode:
    """One file: what a reader sees, what is on stable storage, and what lies between."""

    data: bytearray = attrs.Factory(bytearray)
    forced: bytes = b""
    pending: list[_Written | _Cut] = attrs.Factory(list)


def _nothing() -> None:
    """Lets every effect happen."""


def _apply(data: bytearray, piece: _Written | _Cut) -> None:
    if isinstance(piece, _Cut):
        del data[piece.size :]
        return
    end = piece.offset + len(piece.data)
    if len(data) < end:
        data.extend(bytes(end - len(data)))
    data[piece.offset : end] = piece.data


def _torn(piece: _Written, length: int, rng: random.Random) -> _Written:
    """A beginning of a write into a file of so many bytes."""
    size = rng.randrange(len(piece.data) + 1)
    if piece.offset < length:
        size = max((piece.offset + size) // SECTOR * SECTOR - piece.offset, 0)
    return _Written(piece.offset, piece.data[:size])


def _after(inode: _Inode, crash: Crash, rng: random.Random) -> _Inode:
    data = bytearray(inode.forced)
    if crash is Crash.KEEP:
        data = bytearray(inode.data)
    elif crash is Crash.MIX:
        for piece in inode.pending:
            fate = rng.random()
            if fate < 0.5:
                _apply(data, piece)
            elif fate < 0.75 and isinstance(piece, _Written):
                _apply(data, _torn(piece, len(data), rng))
    return _Inode(data, bytes(data))


class SimulatedDisk:
    """Files in memory; see the module.

    Args:
        effect: called after each durable effect, with its name.
        about: called before each one; an OSError that it raises is what the effect comes to.
        reading: called before a read of a file, alike.
    """

    def __init__(
        self, effect: Callable[[str], None], about: Callable[[], None] | None = None, reading: Callable[[], None] | None = None
    ) -> None:
        self._effect = effect
        self._about = about or _nothing
        self._reading = reading or _nothing
        self._open: dict[int, _Inode] = {}
        self._names: dict[Path, _Inode] = {}
        self._forced: dict[Path, _Inode] = {}
        self._next = 0

    @property
    def unforced(self) -> bool:
        """Whether anything could be lost in a crash now."""
        return self._names != self._forced or any(inode.pending for inode in self._names.values())

    def after_crash(self, crash: Crash, rng: random.Random, effect: Callable[[str], None]) -> SimulatedDisk:
        """A copy as a crash now would leave it."""
        result = SimulatedDisk(effect)
        for path in sorted(self._names.keys() | self._forced.keys()):
            now, before = self._names.get(path), self._forced.get(path)
            kept = before if crash is Crash.LOSE or (crash is Crash.MIX and rng.random() < 0.5) else now
            if kept is not None:
                result._names[path] = result._forced[path] = _after(kept, crash, rng)
        return result

    def _opened(self, inode: _Inode) -> int:
        self._next += 1
        self._open[self._next] = inode
        return self._next

    def create(self, path: Path, *, lasting: bool = True) -> int:  # noqa: ARG002
        if path in self._names:
            raise UsageError(f"{path}: exists already and is not overwritten; give an empty work folder")
        self._about()
        self._names[path] = _Inode()
        file = self._opened(self._names[path])
        self._effect(f"create {path.name}")
        return file

    def open(self, path: Path) -> int:
        if path not in self._names:
            raise UsageError(f"{path}: is missing from the work folder; it cannot be used again")
        return self._opened(self._names[path])

    def write(self, file: int, data: bytes | bytearray | memoryview, offset: int) -> None:
        inode = self._open[file]
        piece = _Written(offset, bytes(data))
        try:
            self._about()
        except OSError:
            part = _Written(offset, piece.data[: len(data) // 2])
            _apply(inode.data, part)
            inode.pending.append(part)
            raise
        _apply(inode.data, piece)
        inode.pending.append(piece)
        self._effect("write")

    def read(self, file: int, length: int, offset: int) -> bytes:
        self._reading()
        data = bytes(self._open[file].data[offset : offset + length])
        if len(data) < length:
            raise IntegrityError(f"file at {offset}: {len(data)} bytes found, {length} expected")
        return data

    def size(self, file: int) -> int:
        return len(self._open[file].data)

    def truncate(self, file: int, size: int) -> None:
        inode = self._open[file]
        if len(inode.data) > size:
            self._about()
            piece = _Cut(size)
            _apply(inode.data, piece)
            inode.pending.append(piece)
            self._effect("truncate")

    def sync(self, file: int) -> None:
        inode = self._open[file]
        self._about()
        inode.forced = bytes(inode.data)
        inode.pending.clear()
        self._effect("sync")

    def close(self, file: int) -> None:
        del self._open[file]

    def remove(self, path: Path) -> None:
        if path in self._names:
            self._about()
            del self._names[path]
            self._effect(f"remove {path.name}")

    def sync_folder(self, folder: Path) -> None:
        self._about()
        self._forced = {p: i for p, i in self._forced.items() if p.parent != folder}
        self._forced.update((p, i) for p, i in self._names.items() if p.parent == folder)
        self._effect("sync folder")

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in self._names if path.parent == folder)

    def view(self, path: Path) -> AbstractContextManager[bytes | mmap.mmap]:
        return nullcontext(bytes(self._names[path].data))


class SimulatedStore:
    """Rows in memory: a transaction is there as soon as it is made."""

    def __init__(
        self,
        place: str,
        effect: Callable[[str], None],
        rows: Mapping[str, str] | None = None,
        about: Callable[[], None] | None = None,
    ) -> None:
        self._place = place
        self._effect = effect
        self._about = about or _nothing
        self._rows = dict(rows or {})

    def load(self) -> dict[str, str]:
        """All rows."""
        return dict(self._rows)

    def commit(self, changes: Mapping[str, str | None]) -> None:
        """One transaction."""
        self._about()
        for key, value in changes.items():
            if value is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = value
        self._effect(f"transaction {self._place}")

    def close(self) -> None:
        """Nothing to close."""


class _Held:
    """The hold on a simulated storage."""

    def __init__(self, *, given_up: bool = False) -> None:
        self.given_up = given_up

    def close(self) -> None:
        self.given_up = True


class SimulatedStorage:
    """A simulated disk with a store for each place; ``effects`` counts durable effects.

    Args:
        listener: called after each durable effect with its name; :meth:`after_crash` may be called from there.
    """

    def __init__(self, listener: Callable[[str], None] | None = None) -> None:
        self.effects = 0
        self.fail_at: int | None = None
        """Number of the effect that fails, once."""
        self.reads = 0
        self.fail_read_at: int | None = None
        """Number of the read that fails, once; ``None``: reads are not counted."""
        self.listener = listener
        self._held = _Held(given_up=True)
        self.disk = SimulatedDisk(self._happened, self._fails, self._is_read)
        self._stores = {place: SimulatedStore(place, self._happened, about=self._fails) for place in PLACES}

    def _fails(self) -> None:
        if self.fail_at == self.effects + 1:
            self.fail_at = None
            raise OSError(errno.ENOSPC, "no space left")

    def _is_read(self) -> None:
        if self.fail_read_at is not None:
            self.reads += 1
            if self.reads == self.fail_read_at:
                self.fail_read_at = None
                raise OSError(errno.EIO, "the disk cannot be read")

    def _happened(self, name: str) -> None:
        self.effects += 1
        if self.listener is not None:
            self.listener(name)

    def store(self, place: str) -> SimulatedStore:
        """The store of a place."""
        return self._stores[place]

    def make_folder(self, folder: Path) -> None:
        """Folders need not be made."""

    def hold(self) -> _Held:
        """Refused while another system has not been closed. A copy that a crash left is held by nobody."""
        if not self._held.given_up:
            raise UsageError("another system that still runs keeps its state in this storage; close it before")
        self._held = _Held()
        return self._held

    def after_crash(self, crash: Crash, rng: random.Random) -> SimulatedStorage:
        """A copy as a crash now would leave it; its listener is not copied."""
        result = SimulatedStorage()
        result.disk = self.disk.after_crash(crash, rng, result._happened)
        result._stores = {
            place: SimulatedStore(place, result._happened, store.load()) for place, store in self._stores.items()
        }
        return result
