"""What goes from the active to the passive side: WAL by streaming replication, base backups, and what `pg_rewind` copies.

Rules
1. WAL flows while the *valve* is open: for as long as a standby has been told from whom it receives. Between two shipments there
   is no WAL receiver, so that the tester decides when data are shipped, and a lag is real.
2. A shipment begins with a named restore point at the source, and has landed when the standby has received *and* replayed all up
   to it. Both are asked of the standby.
3. A standby that PostgreSQL will not let follow says why in its log; then nothing has landed, and nothing is pretended.
4. The log is whole while the source still has the segment that the standby needs next. The folder is looked at each time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from siteproof.conformance.drivers.postgres.cluster import Cluster, NotReady
from siteproof.conformance.drivers.postgres.programs import ToolFailed, copy_folder, run
from siteproof.conformance.drivers.postgres.site import SEGMENT, Site, Store, number

__all__ = ["Replica", "base_backup", "damage", "log_whole", "rewind", "ship", "valve"]

SECONDS = 20.0
_REFUSALS = (
    "has already been removed",
    "before current recovery point",
    "is not in this server's history",
    "database system identifier differs",
    "is ahead of the WAL flush position",
)
"""What a standby's log says when it cannot follow, now or ever."""


@attrs.define(eq=False)
class Replica:
    """A standby, how far it has got (`position` in writes, `held` in bytes of WAL), and the restore point that it got last.
    `store` is there once it has a base for points."""

    cluster: Cluster
    store: Store | None = None
    position: int = 0
    held: int = 0
    mark: str = ""
    timeline: int = 0


@contextmanager
def valve(source: Cluster, standby: Cluster) -> Iterator[None]:
    """WAL flows from source to standby within the body."""
    standby.follow(source)
    try:
        yield
    finally:
        if standby.up:
            standby.follow(None)


def ship(source: Cluster, replica: Replica, mark: str) -> bool:
    """Send all that the source has, up to a new restore point. False when PostgreSQL refuses."""
    end, refused = source.mark(mark), Refusals(replica.cluster)
    with valve(source, replica.cluster):
        if not arrived(replica.cluster, end, refused):
            return False
    replica.position, replica.held = replica.cluster.count(), replica.cluster.held()
    replica.mark, replica.timeline = mark, source.timeline()
    return True


class Refusals:
    """What a standby's log says from now on."""

    def __init__(self, standby: Cluster) -> None:
        self.log = standby.log
        self.since = self.log.stat().st_size if self.log.exists() else 0

    def told(self) -> bool:
        if not self.log.exists():
            return False
        with self.log.open(errors="replace") as log:
            log.seek(self.since)
            text = log.read()
        return any(one in text for one in _REFUSALS)


def arrived(standby: Cluster, end: int, refused: Refusals) -> bool:
    """Wait until a standby has received and replayed all up to `end`; False when it is refused."""
    deadline, looked = time.monotonic() + SECONDS, 0
    while standby.held() < end:
        looked += 1
        if looked % 16 == 0 and refused.told():
            return False
        if time.monotonic() > deadline:
            raise NotReady(f"the standby does not receive within {SECONDS:g} s: {standby.last_words()}")
        time.sleep(0.001)
    return True


def base_backup(source: Cluster, site: Site) -> Replica:
    """A new standby at a site by `pg_basebackup`, whose result is also the base for points there."""
    cluster, store = site.new("disks"), site.new_store()
    host, port, user, *_ = (word.partition("=")[2] for word in source.address.split())
    run("pg_basebackup", "-h", host, "-p", port, "-U", user, "-D", store.base, "-c", "fast", "--no-sync", cwd=site.folder)
    copy_folder(store.base, cluster.path)
    replica = started(source, cluster, site, store)
    if replica is None:
        raise NotReady(f"a new base backup cannot follow: {cluster.last_words()}")
    return replica


def rewind(source: Cluster, cluster: Cluster, site: Site) -> Replica | None:
    """Turn a former source, stopped in order, into a standby of the source that runs now. None when `pg_rewind` cannot.

    `pg_rewind` takes the source's timeline from its control file, where a promotion is told by the next checkpoint only. One
    that is asked for is done when this goes on."""
    source.sql("CHECKPOINT")
    cluster.stop()
    try:
        server = f"{source.address} dbname=template1"
        run("pg_rewind", "-D", cluster.path, "--source-server", server, "--no-sync", cwd=site.folder)
    except ToolFailed:
        return None
    return started(source, cluster, site, None)


def started(source: Cluster, cluster: Cluster, site: Site, store: Store | None) -> Replica | None:
    """Start a copy as a standby. It has to receive to become consistent; None when the source has not got what it needs."""
    refused = Refusals(cluster)
    cluster.become("standby", {"primary_conninfo": source.address})
    cluster.start(refused.told)
    if refused.told():
        cluster.kill()
        site.services.discard(cluster)
        return None
    cluster.follow(None)
    site.serve(cluster)
    return Replica(cluster, store, cluster.count(), cluster.held())


def new_base(replica: Replica, site: Site) -> None:
    """Take a base for points from the standby itself: a copy of its data folder while it does not run."""
    replica.cluster.stop()
    replica.store = site.new_store()
    copy_folder(replica.cluster.path, replica.store.base)
    replica.cluster.start()


def log_whole(source: Cluster, held: int) -> bool:
    """Whether the source still has the WAL that follows what a standby holds."""
    numbers = [number(one) for one in source.segments()]
    return bool(numbers) and (held // SEGMENT in numbers or held // SEGMENT > max(numbers))


def damage(source: Cluster) -> None:
    """Somebody removes WAL that has not been sent. A server that is stopped is started for that, while no guest runs on it."""
    stopped = not source.up
    if stopped:
        source.start()
    for query in ("SELECT pg_logical_emit_message(true, 'siteproof', 'not sent')", "SELECT pg_switch_wal()", "CHECKPOINT"):
        source.sql(query)
    current = source.one("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
    for one in source.segments():
        if one.name[8:] < current[8:]:
            one.unlink()
    if stopped:
        source.stop()
