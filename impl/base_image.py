"""What lies under the blocks of a disk: an image that is opened read-only, or whatever else can be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from .disk import read_all
from .errors import UsageError
from .values import BLOCK

__all__ = ["Base", "BaseImage", "DiskView"]


class Base(Protocol):
    """What lies under the blocks of one disk. It can be read, and nothing else."""

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the disk."""

    def may_hold_data(self, offset: int, length: int) -> bool:
        """Whether a range may hold other bytes than zeros."""


class BaseImage:
    """A disk image opened read-only. Its size must be a multiple of 4096 bytes."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise UsageError(f"{path}: disk image cannot be opened: {error.strerror}") from error
        self.size = os.fstat(self._file).st_size
        if self.size == 0 or self.size % BLOCK:
            os.close(self._file)
            raise UsageError(f"{path}: disk image has {self.size} bytes; a positive multiple of {BLOCK} expected")

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the image."""
        return read_all(self._file, length, offset)

    def may_hold_data(self, offset: int, length: int) -> bool:
        """Whether a range may hold other bytes than zeros. Cheap for the holes of a sparse file."""
        try:
            return os.lseek(self._file, offset, os.SEEK_DATA) < offset + length
        except OSError:
            return False

    def close(self) -> None:
        """Close the image."""
        os.close(self._file)


class Disks(Protocol):
    """Disks with versions, as a view needs them."""

    def read(self, disk: int, offset: int, length: int, at: int | None = None) -> bytes:
        """Bytes of the live view, or of the state at a position that is cut."""

    def may_hold_data(self, disk: int, start: int, blocks: int) -> bool:
        """Whether any block of a range may differ from zeros."""


class DiskView:
    """One disk of a set, live or at a cut position, as something that can only be read: the base of an overlay."""

    def __init__(self, disks: Disks, disk: int, at: int | None) -> None:
        self._disks = disks
        self._disk = disk
        self._at = at

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the disk."""
        return self._disks.read(self._disk, offset, length, self._at)

    def may_hold_data(self, offset: int, length: int) -> bool:
        """Whether a range of whole blocks may hold other bytes than zeros."""
        return self._disks.may_hold_data(self._disk, offset // BLOCK, length // BLOCK)
