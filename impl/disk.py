"""The file system as this package uses it: one seam through which every durable write to a file goes.

Components reach files through a :class:`Disk` alone, so that the same code runs on real files (:class:`RealDisk`) and on a
disk that forgets in a crash what was not forced to stable storage
(:class:`~siteproof.impl.simulated_disk.SimulatedDisk`).

:class:`CarefulDisk` wraps either for a system that has to survive a crash of the program. Rules:

* nothing is forced to stable storage file by file: :meth:`CarefulDisk.flush` does it, for all files written to and for all
  folders with new names at once, before a transaction refers to them;
* a file is deleted only after the transaction that no longer refers to it (:meth:`CarefulDisk.remove_left`). So a crash leaves
  files too many, which are swept at the next start, and never one too few;
* a file that was written to since and is closed is not forced any more: only one that is about to be deleted may be closed so;
* a file that is not *lasting* (a cache, a staging area) is never forced: what it holds is made again after a crash.

The operating system may write or read less than it is asked to: a write goes on until everything is written or an error says
why not, and a read that comes out short is an error. Files are created exclusively, so that none is ever overwritten.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, Protocol

from .errors import IntegrityError, UsageError

__all__ = ["CarefulDisk", "Disk", "RealDisk", "new_file", "read_all"]


def read_all(file: int, length: int, offset: int) -> bytes:
    """Exactly ``length`` bytes from a place of an open file of the operating system.

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


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name when it is whole and forced to stable storage; after an error there is none.

    Raises:
        UsageError: there is one of that name already.
    """
    refused = UsageError(f"{path}: exists already and is not overwritten; give a new path")
    if os.path.lexists(path):
        raise refused
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            raise refused from None
        except OSError:  # a file system without hard links
            beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)
    RealDisk().sync_folder(path.parent)


class Disk(Protocol):
    """Files by number, while they are open. Places and sizes are bytes."""

    def create(self, path: Path, *, lasting: bool = True) -> int:
        """Create a file that does not exist yet and open it; UsageError if it exists. ``lasting``: see the module."""

    def open(self, path: Path) -> int:
        """Open a file that exists, for reading and writing; UsageError if it does not."""

    def write(self, file: int, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Write all of ``data``; OSError if not everything could be written."""

    def read(self, file: int, length: int, offset: int) -> bytes:
        """Exactly so many bytes; IntegrityError if the file ends before."""

    def size(self, file: int) -> int:
        """Bytes of a file."""

    def truncate(self, file: int, size: int) -> None:
        """Cut a file off."""

    def sync(self, file: int) -> None:
        """Force a file to stable storage."""

    def close(self, file: int) -> None:
        """Close a file; it stays."""

    def remove(self, path: Path) -> None:
        """Delete a file, if it exists."""

    def sync_folder(self, folder: Path) -> None:
        """Force the names in a folder to stable storage: files that were created there, or deleted."""

    def names(self, folder: Path) -> list[str]:
        """Names of the files in a folder, sorted."""

    def view(self, path: Path) -> AbstractContextManager[bytes | mmap.mmap]:
        """The content of a file, without a copy of it where possible."""


class RealDisk:
    """Files of the operating system."""

    def create(self, path: Path, *, lasting: bool = True) -> int:  # noqa: ARG002
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise UsageError(f"{path}: exists already and is not overwritten; give an empty work folder") from error

    def open(self, path: Path) -> int:
        try:
            return os.open(path, os.O_RDWR)
        except FileNotFoundError as error:
            raise UsageError(f"{path}: is missing from the work folder; it cannot be used again") from error

    def write(self, file: int, data: bytes | bytearray | memoryview, offset: int) -> None:
        done = os.pwrite(file, data, offset)
        while done < len(data):
            more = os.pwrite(file, data[done:], offset + done)
            if not more:
                raise OSError(errno.EIO, f"only {done} of {len(data)} bytes could be written")
            done += more

    def read(self, file: int, length: int, offset: int) -> bytes:
        return read_all(file, length, offset)

    def size(self, file: int) -> int:
        return os.fstat(file).st_size

    def truncate(self, file: int, size: int) -> None:
        os.ftruncate(file, size)

    def sync(self, file: int) -> None:
        os.fsync(file)

    def close(self, file: int) -> None:
        os.close(file)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir() if path.is_file())

    def view(self, path: Path) -> AbstractContextManager[bytes | mmap.mmap]:
        file = os.open(path, os.O_RDONLY)
        try:
            if os.fstat(file).st_size == 0:
                return nullcontext(b"")
            return mmap.mmap(file, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(file)


class CarefulDisk:
    """A disk that forces files together, and deletes them late; see the module."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._written: dict[int, None] = {}
        self._passing: set[int] = set()
        self._folders: dict[Path, None] = {}
        self._left: dict[Path, None] = {}

    def flush(self) -> None:
        """Force everything written since the last time, then the new names."""
        for file in self._written:
            self._disk.sync(file)
        self._written.clear()
        for folder in self._folders:
            self._disk.sync_folder(folder)
        self._folders.clear()

    def remove_left(self) -> None:
        """Delete the files that nothing refers to any more."""
        for path in self._left:
            self._disk.remove(path)
        self._left.clear()

    def create(self, path: Path, *, lasting: bool = True) -> int:
        file = self._disk.create(path, lasting=lasting)
        if lasting:
            self._folders[path.parent] = None
            self._written[file] = None
        else:
            self._passing.add(file)
        return file

    def open(self, path: Path) -> int:
        return self._disk.open(path)

    def write(self, file: int, data: bytes | bytearray | memoryview, offset: int) -> None:
        self._note(file)
        self._disk.write(file, data, offset)

    def truncate(self, file: int, size: int) -> None:
        self._note(file)
        self._disk.truncate(file, size)

    def _note(self, file: int) -> None:
        if file not in self._passing:
            self._written[file] = None

    def read(self, file: int, length: int, offset: int) -> bytes:
        return self._disk.read(file, length, offset)

    def size(self, file: int) -> int:
        return self._disk.size(file)

    def sync(self, file: int) -> None:
        self._disk.sync(file)
        self._written.pop(file, None)

    def close(self, file: int) -> None:
        self._written.pop(file, None)
        self._passing.discard(file)
        self._disk.close(file)

    def remove(self, path: Path) -> None:
        self._left[path] = None

    def sync_folder(self, folder: Path) -> None:
        self._disk.sync_folder(folder)
        self._folders.pop(folder, None)

    def names(self, folder: Path) -> list[str]:
        return self._disk.names(folder)

    def view(self, path: Path) -> AbstractContextManager[bytes | mmap.mmap]:
        return self._disk.view(path)
