"""Control state that survives: one store a place, rows of text, and one transaction is one durable effect.

A *place* is what fails together: the vault with its coordinators, the primary site, the recovery site. What a transaction
contains is there after a crash as a whole or not at all, and in the order in which transactions were made.

:class:`SqliteStore` keeps the rows in a SQLite file with full synchronisation. The simulated one, which can be copied as a crash
would leave it, is in :mod:`.simulated_disk`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from .disk import Disk, RealDisk
from .errors import IntegrityError, UsageError

__all__ = ["PLACES", "VAULT", "Hold", "RealStorage", "SqliteStore", "Storage", "Store"]

VAULT = "vault"
PLACES = (VAULT, "primary", "recovery")

_TABLE = "CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
_VERSION = 6
"""Version of the rows; a store of another one is refused, never guessed."""


class Store(Protocol):
    """Rows of one place."""

    def load(self) -> dict[str, str]:
        """All rows."""

    def commit(self, changes: Mapping[str, str | None]) -> None:
        """Set rows, or delete them (``None``): all of it, durably, or nothing; OSError if it cannot."""

    def close(self) -> None:
        """Close the store."""


class Storage(Protocol):
    """Where a system keeps everything: its files, and a store for each place."""

    @property
    def disk(self) -> Disk:
        """The files."""

    def store(self, place: str) -> Store:
        """The store of a place; made if there is none."""

    def make_folder(self, folder: Path) -> None:
        """Make a folder that may exist."""

    def hold(self) -> Hold:
        """Keep every other system away until what is returned is closed; UsageError if another one holds it."""


class Hold(Protocol):
    """The right to be the only system that keeps something at a place."""

    def close(self) -> None:
        """Give it up. Closing twice is harmless."""


class SqliteStore:
    """Rows in a SQLite file.

    Raises:
        UsageError: the file cannot be opened, or is of another version.
        IntegrityError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = sqlite3.connect(path, isolation_level=None)
        except (OSError, sqlite3.OperationalError) as error:
            raise UsageError(f"{path}: control state cannot be opened: {error}; give another work folder") from error
        try:
            (mode,) = self._database.execute("PRAGMA journal_mode = WAL").fetchone()
            # Without a write-ahead log FULL does not force the folder after a transaction; EXTRA does.
            self._database.execute(f"PRAGMA synchronous = {'FULL' if mode == 'wal' else 'EXTRA'}")
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.execute(_TABLE)
                self._database.execute(f"PRAGMA user_version = {_VERSION}")
                self._database.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise IntegrityError(f"{path}: control state is damaged: {error}") from error
        if version not in (0, _VERSION):
            self._database.close()
            raise UsageError(f"{path}: control state of version {version} found, {_VERSION} expected; give another work folder")

    def load(self) -> dict[str, str]:
        """All rows."""
        try:
            return dict(self._database.execute("SELECT key, value FROM kept"))
        except sqlite3.DatabaseError as error:
            raise IntegrityError(f"{self._path}: control state is damaged: {error}") from error

    def commit(self, changes: Mapping[str, str | None]) -> None:
        """One transaction."""
        try:
            self._transaction(changes)
        except sqlite3.ProgrammingError:
            raise  # a mistake of this package, and none of the file
        except sqlite3.DatabaseError as error:
            raise OSError(errno.EIO, f"{self._path}: {error}") from error

    def _transaction(self, changes: Mapping[str, str | None]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany("DELETE FROM kept WHERE key = ?", [(k,) for k, v in changes.items() if v is None])
            self._database.executemany(
                "INSERT OR REPLACE INTO kept VALUES (?, ?)", [(k, v) for k, v in changes.items() if v is not None]
            )
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file."""
        self._database.close()


class RealStorage:
    """Files of the operating system under a work folder, and a SQLite file there for each place."""

    def __init__(self, folder: Path) -> None:
        self.disk = RealDisk()
        self._folder = folder

    def store(self, place: str) -> Store:
        """The SQLite file of a place."""
        return SqliteStore(self._folder / f"{place}.sqlite")

    def make_folder(self, folder: Path) -> None:
        """Make a folder, with those above it, so that its name survives a crash: each that is made is forced in the one above."""
        if not folder.is_dir():
            self.make_folder(folder.parent)
            folder.mkdir()
            self.disk.sync_folder(folder.parent)

    def hold(self) -> Hold:
        """Lock the work folder for this process. The operating system lifts the lock when the process ends, however it ends."""
        return _FolderLock(self._folder / "lock")


class _FolderLock:
    """An advisory lock on a file that stays: were it deleted, two could each lock a file of that name.

    The lock is that of an opened file (``flock``), not of the process, so that two systems in one process exclude each other
    as well. Lifting it is told, and not left to closing: a child of this process may have inherited the open file.
    """

    def __init__(self, path: Path) -> None:
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            if not isinstance(error, BlockingIOError):
                raise UsageError(
                    f"{path}: cannot be locked: {error}; a system can be kept only where files can be locked"
                ) from error
            raise UsageError(
                f"{path.parent}: another system that still runs keeps its state here; end it before, or give another work folder"
            ) from error

    def close(self) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            os.close(self._file)
            self._file = None
