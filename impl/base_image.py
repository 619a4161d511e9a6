"""What lies under the blocks of a disk: an image that is opened read-only, or whatever else can be read."""

from __future__ import annotations

import errno
import os
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from .disk import read_all
from .errors import IntegrityError, UnreadableError, UsageError
from .values import BLOCK

__all__ = ["Base", "BaseImage", "DiskView"]

SAMPLED = 16
"""Blocks of an image that are looked at to tell it from another."""


class Base(Protocol):
    """What lies under the blocks of one disk. It can be read, and nothing else."""

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the disk."""

    def may_hold_data(self, offset: int, length: int) -> bool:
        """Whether a range may hold other bytes than zeros."""


class BaseImage:
    """A disk image opened read-only. Its size must be a multiple of 4096 bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise UsageError(f"{path}: disk image cannot be opened: {error.strerror}") from error
        self.size = os.fstat(self._file).st_size
        if self.size == 0 or self.size % BLOCK:
            os.close(self._file)
            raise UsageError(f"{path}: disk image has {self.size} bytes; a positive multiple of {BLOCK} expected")

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the image.

        Raises:
            IntegrityError: they are missing, or cannot be read.
        """
        try:
            return read_all(self._file, length, offset)
        except OSError as error:
            raise UnreadableError(f"{self._path}: disk image cannot be read at {offset}: {error.strerror}") from error

    def sample(self) -> list[str | None]:
        """Digests of a few blocks spread over the image, by which another image is told from it; ``None``: cannot be read."""
        last = self.size // BLOCK - 1
        return [self._digest(block) for block in sorted({last * n // (SAMPLED - 1) for n in range(SAMPLED)})]

    def _digest(self, block: int) -> str | None:
        try:
            return sha256(self.read(block * BLOCK, BLOCK)).hexdigest()[:16]
        except IntegrityError:
            return None

    def may_hold_data(self, offset: int, length: int) -> bool:
        """Whether a range may hold other bytes than zeros. Cheap for the holes of a sparse file."""
        try:
            return os.lseek(self._file, offset, os.SEEK_DATA) < offset + length
        except OSError as error:
            # Only "there is none from here on" says that there is none. Of anything else the reading will tell.
            return error.errno != errno.ENXIO

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
