"""One PostgreSQL cluster: a data folder, and the server that runs on it or does not. Everything here is PostgreSQL's own work.

Rules
1. A server is one of three things, and its data folder says which: a primary, which takes writes; a standby (`standby.signal`),
   which replays what it receives and can be read; or one that recovers to a target (`recovery.signal`) and then stays there or
   becomes a primary on a timeline of its own.
2. A standby receives only while it has been told from whom (`primary_conninfo`); without that it has no WAL receiver at all.
3. Disks are rows: a write is one transaction that replaces a row and counts itself, so that a cluster always knows
   how many writes it holds.
4. A loss of power is SIGKILL to the server and each of its children; nothing is flushed, nobody says goodbye.
5. Only processes that were started here are ended, by their ids.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siteproof.conformance.content import BLOCK, Base
from siteproof.conformance.drivers.postgres.programs import ACCOUNT, copy_folder, hand_over, run, spawn, template

if TYPE_CHECKING:
    import psycopg

__all__ = ["Cluster", "Gone", "NotReady", "empty_cluster"]

START_SECONDS = 30.0
_POLL = 0.002
_SIGNALS = ("standby.signal", "recovery.signal")
_SETTINGS = """
listen_addresses = ''
shared_buffers = 1MB
max_connections = 12
max_wal_senders = 6
max_worker_processes = 1
wal_log_hints = on
wal_keep_size = 512MB
min_wal_size = 2MB
wal_retrieve_retry_interval = 200ms
autovacuum = off
jit = off
dynamic_shared_memory_type = mmap
# SIGKILL takes no page from the system's cache, so there is nothing that fsync could save; what the server has not yet handed
# to the system is lost all the same.
fsync = off
"""
_TABLES = (
    "CREATE TABLE blocks (disk int, block int, data bytea NOT NULL, PRIMARY KEY (disk, block))",
    "CREATE TABLE counted (writes bigint NOT NULL)",
    "INSERT INTO counted VALUES (0)",
    "DROP DATABASE postgres",
    "UPDATE pg_database SET datistemplate = false WHERE datname = 'template0'",
    "DROP DATABASE template0",
    "CHECKPOINT",
)
_WRITE = (
    "WITH written AS (UPDATE blocks SET data = %s WHERE disk = %s AND block = %s)"
    " UPDATE counted SET writes = writes + 1 RETURNING writes"
)


class Gone(ConnectionError):
    """The server does not run, or has gone meanwhile."""


class NotReady(RuntimeError):
    """A server that was started does not come up; the message has its own last words."""


class Cluster:
    """A data folder at `path`. `port` names its socket in `sockets`, and is no network port."""

    def __init__(self, path: Path, sockets: Path, port: int) -> None:
        self.path, self.sockets, self.port = path, sockets, port
        self.log = path.with_name(path.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None
        self._connection: psycopg.Connection[Any] | None = None

    # --------------------------------------------------------------------------------------------------------- what it shall be

    def become(self, what: str | None, settings: Mapping[str, str] | None = None) -> None:
        """Say what the server will be when it starts: `standby`, `recovery`, or a primary (None); with these settings."""
        for name in _SIGNALS:
            (self.path / name).unlink(missing_ok=True)
        if what is not None:
            hand_over(_touched(self.path / f"{what}.signal"))
        self._configure(settings or {})

    def _configure(self, settings: Mapping[str, str]) -> None:
        quoted = {name: value.replace("'", "''") for name, value in settings.items()}
        conf = self.path / "postgresql.auto.conf"
        conf.write_text("".join(f"{name} = '{value}'\n" for name, value in quoted.items()))
        hand_over(conf)

    @property
    def address(self) -> str:
        return f"host={self.sockets} port={self.port} user={ACCOUNT}"

    # ------------------------------------------------------------------------------------------------------------------- power

    @property
    def up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, give_up: Callable[[], bool] = lambda: False) -> None:
        """Start the server, and wait until it takes connections, or until there is a reason to give up. Raises `NotReady`."""
        self._disconnect()
        (self.path / "postmaster.pid").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = spawn(
                "postgres", ["-D", self.path, "-p", str(self.port), "-k", self.sockets], cwd=self.sockets, log=log
            )
        self.wait(lambda: self._ready() or give_up(), "it takes no connections")

    def _ready(self) -> bool:
        try:
            lines = (self.path / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"

    def wait(self, done: Callable[[], bool], otherwise: str, seconds: float = START_SECONDS) -> None:
        """Wait until something is done. Raises `NotReady` when the server ends before that, or it takes too long."""
        deadline = time.monotonic() + seconds
        while not done():
            if not self.up:
                self.kill()
                raise NotReady(f"the server ends: {self.last_words()}")
            if time.monotonic() > deadline:
                raise NotReady(f"{otherwise} within {seconds:g} s: {self.last_words()}")
            time.sleep(_POLL)

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-600:] if self.log.exists() else ""

    def stop(self) -> None:
        """An orderly end: sessions are ended, a last checkpoint is written, and sent to whoever still receives."""
        self._disconnect()
        if self.process is not None:
            if self.up:
                self.process.send_signal(signal.SIGINT)
            self.process.wait(START_SECONDS)
        self.process = None

    def kill(self) -> None:
        """Power is lost."""
        self._disconnect()
        if self.process is None:
            return
        if self.up:
            self.process.send_signal(signal.SIGSTOP)  # it must not replace the children that die first
            children = _children(self.process.pid)
            for one in (self.process.pid, *children):
                _kill(one)
            self.process.wait()
            for child in children:
                _wait_gone(child)
        self.process = None

    def dismiss(self) -> None:
        """The server is no longer needed: it ends its children itself, and nothing is kept."""
        if self.process is not None and self.up:
            self.process.send_signal(signal.SIGQUIT)

    def destroy(self) -> None:
        """The cluster and its files are no longer needed."""
        self.dismiss()
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        self.kill()
        shutil.rmtree(self.path, ignore_errors=True)
        self.log.unlink(missing_ok=True)

    # ------------------------------------------------------------------------------------------------------------------- asking

    def sql(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask the server; the rows. Raises `Gone` when it is not there, and what it says itself when it refuses."""
        import psycopg

        if not self.up:
            raise Gone(f"no server on {self.path.name}")
        try:
            if self._connection is None:
                self._connection = psycopg.connect(f"{self.address} dbname=template1 connect_timeout=10", autocommit=True)
            cursor = self._connection.execute(query, tuple(parameters) or None)
            return cursor.fetchall() if cursor.description is not None else []
        except psycopg.OperationalError as error:
            if self._connection is None or self._connection.closed or self._connection.broken:
                self._disconnect()
                raise Gone(f"the server on {self.path.name} has gone: {error}") from error
            raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def one(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        """The one value that a query has."""
        return self.sql(query, parameters)[0][0]

    def takes_writes(self) -> bool:
        """Whether it is a primary that runs: asked, not believed."""
        try:
            return self.up and not self.one("SELECT pg_is_in_recovery()")
        except Gone:
            return False

    # ------------------------------------------------------------------------------------------------------------------ content

    def fill(self, disks: int, base: Base) -> None:
        """The disks get what they start with."""
        self.sql("SELECT 1")
        assert self._connection is not None
        with self._connection.cursor() as cursor, cursor.copy("COPY blocks FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "int4", "bytea"])
            for disk in range(disks):
                for block in range(base.blocks):
                    copy.write_row((disk, block, base.data(block, 1)))

    def put(self, disk: int, block: int, data: bytes) -> int:
        """A write, acknowledged when this returns; how many writes the cluster holds then."""
        return int(self.one(_WRITE, (data, disk, block)))

    def count(self) -> int:
        """How many writes the cluster holds."""
        return int(self.one("SELECT writes FROM counted"))

    def read(self, disk: int, offset: int, length: int) -> bytes:
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        rows = self.sql("SELECT data FROM blocks WHERE disk = %s AND block BETWEEN %s AND %s ORDER BY block", (disk, first, last))
        return b"".join(row[0] for row in rows)[offset % BLOCK :][:length]

    # --------------------------------------------------------------------------------------------------------------- replication

    def follow(self, source: Cluster | None) -> None:
        """A standby that runs begins to receive from a source, or receives no more (None).

        A WAL receiver whose source has ended the timeline that it asked for stays, without a connection and `waiting`, for as
        long as the standby is told of no other."""
        self._configure({} if source is None else {"primary_conninfo": source.address})
        if self.process is not None and self.up:
            self.process.send_signal(signal.SIGHUP)
            if source is None:
                still = "SELECT 1 FROM pg_stat_wal_receiver WHERE status <> 'waiting'"
                self.wait(lambda: not self.sql(still), "its WAL receiver does not end")

    def held(self) -> int:
        """Up to where a standby holds, and has replayed, the WAL."""
        return int(
            self.one(
                "SELECT (LEAST(COALESCE(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), pg_last_wal_replay_lsn())"
                " - '0/0'::pg_lsn)::bigint"
            )
        )

    def mark(self, name: str) -> int:
        """Write a named restore point into the WAL of a primary; where it ends. The empty message after it takes the mark
        out of the server's memory: a restore point alone is not flushed, and is not sent before it is."""
        end = int(self.one("SELECT (pg_create_restore_point(%s) - '0/0'::pg_lsn)::bigint", (name,)))
        self.sql("SELECT pg_logical_emit_message(true, 'siteproof', '')")
        return end

    def timeline(self) -> int:
        """The timeline that a primary writes to. (The control file tells it only after the next checkpoint.)"""
        return int(self.one("SELECT left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"), 16)

    def promote(self) -> None:
        """A standby becomes a primary, with all that it has received."""
        self.sql("SELECT pg_promote(false)")
        self.wait(self.takes_writes, "it is not promoted")

    def shut_down_at(self) -> int | None:
        """Where the shutdown checkpoint of a stopped primary begins, as its control file says; None when it was not orderly."""
        told = [line.partition(":") for line in run("pg_controldata", "-D", self.path, cwd=self.sockets).splitlines()]
        values = {name: value.strip() for name, _, value in told}
        if values["Database cluster state"] != "shut down":
            return None
        high, low = values["Latest checkpoint location"].split("/")
        return (int(high, 16) << 32) + int(low, 16)

    def segments(self) -> list[Path]:
        """The WAL segments in the data folder, oldest first on each timeline."""
        return sorted(one for one in (self.path / "pg_wal").iterdir() if len(one.name) == 24)


def empty_cluster(path: Path, sockets: Path, port: int) -> Cluster:
    """A new primary with empty tables, not started."""
    made = template()
    if not (made.folder / "ready").exists():
        with (made.data / "postgresql.conf").open("a") as conf:
            conf.write(_SETTINGS)
        first = Cluster(made.data, made.folder, 1)
        try:
            first.start()
            for statement in _TABLES:
                first.sql(statement)
            first.stop()
        finally:
            first.kill()
        run("pg_resetwal", "-D", made.data, cwd=made.folder)  # one segment of WAL is less to copy than all that led here
        (made.folder / "ready").touch()
    copy_folder(made.data, path)
    return Cluster(path, sockets, port)


def _touched(path: Path) -> Path:
    path.touch()
    return path


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _wait_gone(pid: int) -> None:
    """Wait until a child of the server has ended: its shared memory must not be there when the next server starts."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            return
        if state in "ZX":
            return
        time.sleep(_POLL)
