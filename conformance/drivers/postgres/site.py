"""One site: the clusters that are there, power for all of them at once, and the recovery points that can be restored there.

Rules
1. When power returns, servers come up by themselves that are services of the site: standbys, and what was fenced. A guest, and
   the copy of a test failover, are started by whoever decides that they run.
2. A recovery point is a named restore point in the WAL. To restore one takes a base, which is a copy of a standby's data folder
   made before the point, and an archive with the WAL from there; both are of their own, whatever becomes of the standby.
3. A restored point is always a new cluster, by PostgreSQL's recovery to that name on the timeline that it was made on.
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import attrs

from siteproof.conformance.drivers.postgres.cluster import Cluster, empty_cluster
from siteproof.conformance.drivers.postgres.programs import copy_folder, hand_over

__all__ = ["SEGMENT", "Point", "Site", "Store", "number"]

_PORTS = itertools.count(1)
SEGMENT = 1 << 20
"""Bytes of a WAL segment."""


@attrs.frozen
class Point:
    """A restorable state. `id` is the name of the restore point in the WAL, `position` how many writes it holds."""

    id: str
    position: int
    timeline: int


def number(segment: Path) -> int:
    """Which megabyte of the WAL a segment holds, on whatever timeline."""
    return (int(segment.name[8:16], 16) << 12) + int(segment.name[16:], 16)


@attrs.define(eq=False)
class Store:
    """What points are restored from."""

    base: Path
    archive: Path
    upto: int = 0

    def take_in(self, standby: Cluster, held: int) -> None:
        """Archive the WAL that a standby has received: what is not here yet, and the newest segment again, which has grown since.

        How far that goes is told by position and never by name: a data folder also has segments of the future, which are old ones
        renamed to be used again."""
        last = held // SEGMENT
        there = [one for one in standby.segments() if self.upto <= number(one) <= last]
        histories = [one for one in (standby.path / "pg_wal").glob("*.history") if not (self.archive / one.name).exists()]
        for one in (*histories, *there):
            part = self.archive / f"{one.name}.part"
            shutil.copyfile(one, part)
            part.rename(self.archive / one.name)
        self.upto = last

    def restored(self, point: Point, to: Cluster, then: str) -> Cluster:
        """Make `to` a cluster that, when it is started, recovers to the point and then does `pause` or `promote`."""
        copy_folder(self.base, to.path)
        for one in self.archive.iterdir():
            hand_over(Path(shutil.copyfile(one, to.path / "pg_wal" / one.name)))
        to.become(
            "recovery",
            {
                "restore_command": "false",  # all there is lies in the folder already
                "recovery_target_name": point.id,
                "recovery_target_timeline": str(point.timeline),
                "recovery_target_action": then,
            },
        )
        return to

    def drop(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)
        shutil.rmtree(self.archive, ignore_errors=True)


class Site:
    """The clusters at one site."""

    def __init__(self, name: str, folder: Path, sockets: Path) -> None:
        self.name, self.folder, self.sockets = name, folder, sockets
        self.up = True
        self.clusters: list[Cluster] = []
        self.services: set[Cluster] = set()
        folder.mkdir()
        hand_over(folder)

    def new(self, what: str) -> Cluster:
        """A cluster of this site whose data folder is not there yet."""
        port = next(_PORTS)
        cluster = Cluster(self.folder / f"{what}-{port}", self.sockets, port)
        self.clusters.append(cluster)
        return cluster

    def empty(self) -> Cluster:
        cluster = self.new("disks")
        empty_cluster(cluster.path, self.sockets, cluster.port)
        return cluster

    def new_store(self) -> Store:
        serial = next(_PORTS)
        store = Store(self.folder / f"base-{serial}", self.folder / f"archive-{serial}")
        store.archive.mkdir()
        hand_over(store.archive)
        return store

    def drop(self, cluster: Cluster) -> None:
        cluster.destroy()
        self.services.discard(cluster)
        self.clusters.remove(cluster)

    def serve(self, cluster: Cluster) -> None:
        """A cluster that comes up with the site's power from now on."""
        self.services.add(cluster)

    def power_off(self) -> None:
        for cluster in self.clusters:
            cluster.kill()
        self.up = False

    def end(self) -> None:
        """Everything here is over, and the servers are gone when this returns."""
        for cluster in self.clusters:
            cluster.dismiss()
        for cluster in self.clusters:
            cluster.destroy()
        self.clusters, self.services, self.up = [], set(), False

    def power_on(self) -> None:
        self.up = True
        for cluster in self.clusters:
            if cluster in self.services:
                cluster.start()
