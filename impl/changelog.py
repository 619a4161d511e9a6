"""The change log of one disk on one side: a chain of ``.hrl`` files, double buffered, each with a journal beside it.

Rules:

* one file *records*; when it is closed it becomes the log *in transit* and a new file records (domain rule: while one
  log is in transit a second log records). Each file names its predecessor's unique id;
* a tracked write is in the log's files before it is acknowledged (forced to stable storage, with the names of new files, only
  with ``sync``, or when the system is kept). What is in a file, and how it is read back after a crash, is the matter of
  :mod:`.logfile`;
* times in a log are what the clock of its site says, which may be wrong and may jump (``clock``). They are for people: nothing
  is ordered, kept or dropped by them (P24);
* that no number is missing can only be seen over all disks together: the agent looks at that;
* a closed log is read back from its file, and what the file says is what is shipped.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .errors import DamagedLogError, UsageError
from .extents import ExtentSpace
from .logfile import LogFile, Tracked, read_log

__all__ = ["ChangeLog", "LogFile", "Tracked", "read_log"]


class ChangeLog:
    """The chain of logs of one disk. ``now`` is virtual time in seconds; ``rng`` gives unique ids."""

    def __init__(
        self, space: ExtentSpace, folder: Path, name: str, disk: int, size: int, rng: random.Random, *, sync: bool
    ) -> None:
        self._space = space
        self._folder = folder
        self._name = name
        self._disk = disk
        self._size = size
        self._rng = rng
        self._sync = sync
        self.clock = 0.0
        """Seconds by which the clock of the site is ahead of virtual time."""
        self._missing: str | None = None
        """A file that was kept and is gone."""
        self._disk_id = rng.randbytes(16)
        self._previous = bytes(16)
        self._count = 0
        self.recording: LogFile | None = None
        self.in_transit: LogFile | None = None

    def _open(self, now: float) -> LogFile:
        self._count += 1
        path = self._folder / f"{self._name}-disk{self._disk}-{self._count:06d}.hrl"
        ids = (self._rng.randbytes(16), self._previous, self._disk_id)
        log = LogFile(self._space, path, self._disk, self._size, ids, now + self.clock)
        if self._sync:
            self._space.disk.sync_folder(self._folder)
        return log

    def head(self) -> dict[str, Any]:
        """What has to survive beside the files; plain values."""
        return {
            "disk_id": self._disk_id.hex(), "previous": self._previous.hex(), "count": self._count,
            "recording": None if self.recording is None else self.recording.head(),
            "in_transit": None if self.in_transit is None else self.in_transit.head(),
        }  # fmt: skip

    def restore(self, head: Mapping[str, Any], last: int) -> None:
        """Become what was kept; ``last`` is the last write whose tracking is durable.

        The logs are not read yet: see :meth:`recover`. A file that is missing is damage, and there is nothing left to read.
        """
        self._disk_id, self._previous = bytes.fromhex(head["disk_id"]), bytes.fromhex(head["previous"])
        self._count = head["count"]
        self.in_transit = self._reopened(head["in_transit"])
        self.recording = self._reopened(head["recording"])
        if self.recording is not None:
            self.recording.undo_after(last)

    def _reopened(self, head: Mapping[str, Any] | None) -> LogFile | None:
        if head is None:
            return None
        unique, previous, disk_id = (bytes.fromhex(text) for text in head["ids"])
        path = self._folder / head["file"]
        try:
            return LogFile(
                self._space, path, self._disk, self._size, (unique, previous, disk_id), head["created"], exists=True
            )
        except UsageError:
            self._missing = path.name
            return None

    def append(self, sequence: int, offset: int, data: bytes, now: float) -> None:
        """Track one write; with ``sync`` it is on stable storage when this returns."""
        if self.recording is None:
            self.recording = self._open(now)
        self.recording.append(sequence, offset, data, now + self.clock)
        if self._sync:
            self.recording.sync()

    def swap(self, now: float) -> list[Tracked]:
        """Close the recording log and put it in transit; returns what it tracks, as its file says.

        Raises:
            DamagedLogError: the file is damaged; a resynchronisation is required.
        """
        if self.in_transit is not None:
            raise RuntimeError("a log is in transit already")
        if self.recording is None:
            return []
        self.recording.finish(now + self.clock)
        if self._sync:
            self.recording.sync()
        self._previous = self.recording.unique_id
        self.in_transit, self.recording = self.recording, None
        self.in_transit.read_back()
        return self.in_transit.tracked

    def clear(self, which: Callable[[ChangeLog], LogFile | None]) -> None:
        """Drop one of the two logs, as chosen by ``which``."""
        log = which(self)
        if log is None:
            return
        if log is self.in_transit:
            self.in_transit = None
        else:
            self.recording = None
        log.drop()

    def reset(self) -> None:
        """Drop both logs."""
        for log in (self.in_transit, self.recording):
            if log is not None:
                log.drop()
        self.in_transit = self.recording = self._missing = None

    @property
    def size(self) -> int:
        """Bytes of both logs."""
        return sum(log.size for log in (self.in_transit, self.recording) if log is not None)

    def damage(self, now: float, rng: random.Random) -> None:
        """The store under the log that records goes bad; where nothing is recorded, under a new and empty one."""
        if self.recording is None:
            self.recording = self._open(now)
        self.recording.damage(rng)

    def power_fail(self) -> None:
        """Power fails. Where writes are forced to stable storage, what was not forced is gone; else this is not played."""
        if self._sync:
            for log in (self.in_transit, self.recording):
                if log is not None:
                    log.lose_unsynced()

    def recover(self) -> None:
        """After a crash of the side, read both logs again from disk.

        Raises:
            IntegrityError: one of them is damaged, or gone.
        """
        if self._missing is not None:
            raise DamagedLogError(f"{self._missing}: the log or its journal is gone; resynchronise the disk")
        for log in (self.in_transit, self.recording):
            if log is not None:
                log.recover()

    def files(self) -> list[Path]:
        """The ``.hrl`` files that exist, oldest first."""
        return [log.path for log in (self.in_transit, self.recording) if log is not None]
