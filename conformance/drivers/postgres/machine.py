"""One machine under replication between two PostgreSQL clusters: what the controller asks of PostgreSQL, and in which order.

Rules
1. The guest runs where a cluster takes writes. To stop it is an orderly shutdown; to fence it makes a standby of it that follows
   nobody: it can be read, and PostgreSQL refuses every write.
2. Nothing is believed that PostgreSQL can be asked for: how many writes a cluster holds, up to where a standby has received,
   whether a stopped primary ended in order and where, whether the WAL that a standby needs is still there.
3. A planned failover promotes the standby only when it holds the shutdown checkpoint of the source. The source then follows it
   without a rewind, since it has nothing that the other lacks.
4. After anything else the former source has a timeline of its own: it is rewound, or copied anew where that is impossible.
5. Points survive the promotion of the standby: they are restored from a base and an archive of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from siteproof.conformance.drivers.controller import Controller, Lab, Side
from siteproof.conformance.drivers.postgres.cluster import Cluster, Gone, NotReady
from siteproof.conformance.drivers.postgres.programs import copy_folder
from siteproof.conformance.drivers.postgres.shipping import (
    Refusals,
    Replica,
    arrived,
    base_backup,
    damage,
    log_whole,
    new_base,
    rewind,
    ship,
    valve,
)  # fmt: skip
from siteproof.conformance.drivers.postgres.site import Point, Site, Store

__all__ = ["Disks", "Machine"]


@dataclass
class Disks(Side[Site]):
    """A machine's cluster at a site. `replica` is what is known of it as a standby; `store` is what points are restored from;
    `damaged`: its log will be found to be damaged when power returns."""

    cluster: Cluster | None = None
    replica: Replica | None = None
    store: Store | None = None
    damaged: bool = False


class Machine(Controller[Disks, Point, Replica]):
    """One machine."""

    def __init__(self, name: str, disks: int, lab: Lab[Site]) -> None:
        super().__init__(name, disks, lab, {side: Disks(site) for side, site in lab.sites.items()})
        self.fresh: Replica | None = None
        self.copy: Cluster | None = None
        self.looking: dict[str, Cluster | None] = {}

    # ------------------------------------------------------------------------------------------------------------------- power

    def running(self, side: str) -> bool:
        cluster = self.sides[side].cluster
        return cluster is not None and cluster.takes_writes()

    def its_cluster(self, side: Disks) -> Cluster:
        assert side.cluster is not None, "a side without disks was asked for"
        return side.cluster

    def power_on(self, name: str) -> None:
        side = self.sides[name]
        cluster = self.its_cluster(side)
        if not cluster.takes_writes():
            cluster.kill()
            cluster.become(None)
            side.site.services.discard(cluster)
            cluster.start()
        side.boots, side.position = False, cluster.count()
        if side.damaged:
            side.damaged = False
            damage(cluster)

    def power_off(self, name: str) -> None:
        side = self.sides[name]
        self.its_cluster(side).stop()
        side.boots, side.cache = False, []

    def fence(self, name: str) -> None:
        side = self.sides[name]
        cluster = self.its_cluster(side)
        self.power_off(name)
        cluster.become("standby")
        cluster.start()
        side.site.serve(cluster)
        side.position = cluster.count()
        side.replica = Replica(cluster, None, side.position, cluster.held())

    # ------------------------------------------------------------------------------------------------------------- replication

    def standby(self) -> Replica:
        replica = self.target.replica
        assert replica is not None, "the passive side is no standby"
        return replica

    def log_whole(self) -> bool:
        return log_whole(self.its_cluster(self.source), self.standby().held)

    def forget_log(self) -> None:
        self.source.damaged = False

    def new_mark(self) -> str:
        """The name of the next restore point, which may become a recovery point."""
        self.serial += 1
        return f"rp-{self.serial}"

    def ship(self, replica: Replica) -> bool:
        """Send what the source has. False: PostgreSQL refuses, and nothing has arrived."""
        return ship(self.its_cluster(self.source), replica, self.new_mark())

    def give_up(self) -> None:
        for one in (self.fresh, self.staged):
            if one is None:
                continue
            if one.cluster is not self.target.cluster:
                self.target.site.drop(one.cluster)
            if one.store is not None:
                one.store.drop()
        self.fresh = self.staged = None

    def make_copy(self) -> bool:
        """Initial or reversed replication."""
        landed = self.full_copy(whole=self.job == "EnableProtection")
        if landed is not None:
            self.protected_again()
            self.adopt(landed)
            self.done()
        return True

    def full_copy(self, *, whole: bool) -> Replica | None:
        """The next step of bringing the passive side to what the active one holds; what has landed, with a base for points.

        First the data, in the cheapest way that PostgreSQL allows, then what was written meanwhile."""
        source, site = self.its_cluster(self.source), self.target.site
        if self.fresh is None:
            self.fresh = None if whole else self.cheap_copy()
            self.fresh = self.fresh or base_backup(source, site)
            return None
        one = self.fresh
        if not log_whole(source, one.held) or not self.complete(one):
            self.give_up()
            if not whole:  # the former source's own disks are of no use, then
                self.log_leads_back, self.target.replica = False, None
            return None
        self.fresh = None
        return one

    def cheap_copy(self) -> Replica | None:
        """The former source's own disks: as they are after a planned failover, else rewound. None when neither is possible."""
        target, source = self.target, self.its_cluster(self.source)
        if target.replica is None:
            return None
        if self.log_leads_back and log_whole(source, target.replica.held):
            return target.replica
        self.log_leads_back = False
        return rewind(source, target.replica.cluster, target.site)

    def complete(self, one: Replica) -> bool:
        """What was written since the copy began follows, then the restore point that the first point will be."""
        if not self.ship(one):
            return False
        if one.store is None:
            new_base(one, self.target.site)
            return self.ship(one)
        return True

    def adopt(self, landed: Replica) -> None:
        """The passive side is what has landed, and one fresh point takes the place of all others."""
        target = self.target
        if target.cluster is not None and target.cluster is not landed.cluster:
            target.site.drop(target.cluster)
        for store in {id(one): one for one in (self.source.store, target.store) if one is not None}.values():
            store.drop()
        target.cluster, target.replica, target.position = landed.cluster, landed, landed.position
        self.source.store, target.store = None, landed.store
        self.points, self.log_leads_back = [], False
        self.cut()

    def copy_all(self) -> Replica | None:
        return self.full_copy(whole=True)

    def replicate(self) -> bool:
        source, target = self.source, self.target
        if not self.idle() or not self.can_ship() or not self.running(self.active):
            return False
        if source.position == target.position or self.points[-1].position != target.position:
            return False
        if not self.ship(self.standby()):
            return False
        target.position = self.standby().position
        return True

    def cut(self) -> None:
        """The restore point that was received last becomes a recovery point: the WAL up to it is archived."""
        target, standby = self.target, self.standby()
        assert target.store is not None
        target.store.take_in(standby.cluster, standby.held)
        self.points.append(Point(standby.mark, target.position, standby.timeline))

    # ---------------------------------------------------------------------------------------------------------------- failover

    def plan(self) -> bool:
        """Stop and drain, cut, switch. With a log that is of no use it gives up, and the source runs again."""
        source, target = self.source, self.target
        if self.resync != "none":
            if not self.running(self.active):
                source.boots = True
            return self.done()
        if self.running(self.active):
            self.flush(self.active)
            return self.stop_and_drain()
        if self.points[-1].position != target.position:
            return self.cut_if_new()
        if not self.drained():
            self.power_on(self.active)  # somebody else has ended it, and not in order: once more
            return True
        self.switch()
        return self.done()

    def stop_and_drain(self) -> bool:
        """The source ends in order while the standby receives: PostgreSQL sends all that is left, and its shutdown checkpoint."""
        source, standby = self.its_cluster(self.source), self.standby()
        end, refused = source.mark(mark := self.new_mark()), Refusals(standby.cluster)
        timeline = source.timeline()
        with valve(source, standby.cluster):
            if not arrived(standby.cluster, end, refused):
                return False
            self.power_off(self.active)
            last = source.shut_down_at()
            if last is not None and not arrived(standby.cluster, last + 1, refused):
                return False
        standby.position, standby.held = standby.cluster.count(), standby.cluster.held()
        standby.mark, standby.timeline = mark, timeline
        self.target.position = standby.position
        return True

    def drained(self) -> bool:
        """Whether the standby holds the shutdown checkpoint of the source, and so everything before it."""
        last = self.its_cluster(self.source).shut_down_at()
        return last is not None and self.standby().cluster.held() > last

    def switch(self) -> None:
        """The standby is promoted; the source, which ended in order, waits as a standby."""
        former, target = self.active, self.target
        self.standby().cluster.promote()
        self.active, self.failover, self.log_leads_back, self.used = self.passive, "planned", True, None
        self.becomes_primary(target)
        self.fence(former)

    def becomes_primary(self, side: Disks) -> None:
        cluster = self.its_cluster(side)
        side.site.services.discard(cluster)
        side.replica, side.boots, side.position = None, False, cluster.count()

    def fail_over(self) -> bool:
        target = self.target
        point = self.point()
        self.received, self.loss = target.position, None
        self.used, self.fork = point.id, point.position
        if point is self.points[-1] and point.position == target.position:
            self.standby().cluster.promote()
        else:
            self.set_back(target, point)
        self.becomes_primary(target)
        self.active, self.contacted = self.passive, False
        self.protection, self.failover, self.resync, self.log_leads_back = "none", "unplanned", "none", False
        return self.done()

    def set_back(self, side: Disks, point: Point) -> None:
        """A cluster recovered to the point and promoted takes the place of the one that is there."""
        restored = self.restored(side, point, "promote")
        self.until_promoted(restored)
        side.site.drop(self.its_cluster(side))
        side.cluster = restored

    def restored(self, side: Disks, point: Point, then: str) -> Cluster:
        assert side.store is not None
        return side.store.restored(point, side.site.new("disks"), then)

    def until_promoted(self, cluster: Cluster) -> None:
        cluster.start()
        cluster.wait(cluster.takes_writes, "it does not reach the point")

    def change_point(self) -> bool:
        source = self.source
        if self.running(self.active) or source.boots:
            self.power_off(self.active)
            return True
        point = next((one for one in self.points if one.id == self.chosen), self.points[-1])
        self.set_back(source, point)
        self.becomes_primary(source)
        if self.loss is not None and self.failover == "unplanned":
            self.loss = self.target.position - point.position
        self.fork, self.used, self.log_leads_back = point.position, point.id, False
        return self.done()

    # ----------------------------------------------------------------------------------------------------------- test failover

    def begin_test(self) -> bool:
        if not self.half:
            self.copy, self.half = self.restored(self.target, self.point(), "promote"), True
            return True
        self.boot_copy()
        self.test = "running"
        return self.done()

    def boot_copy(self) -> bool:
        copy = self.copy
        if copy is None or not self.target.site.up or copy.up:
            return False
        self.until_promoted(copy)
        return True

    def end_test(self) -> bool:
        if self.copy is not None:
            self.target.site.drop(self.copy)
        self.copy, self.test = None, "none"
        return self.done()

    # --------------------------------------------------------------------------------------------------------------- the world

    def damage_log(self) -> None:
        """Somebody removes WAL from the active side. Where it has no power, this is found out when it returns."""
        source = self.source
        cluster = self.its_cluster(source)
        if not source.site.up or source.boots:
            source.damaged = True
        else:
            damage(cluster)

    def put(self, name: str, disk: int, block: int, data: bytes) -> bool:
        cluster = self.copy if name == "test" else self.sides[name].cluster
        if cluster is None:
            return False
        try:
            cluster.put(disk, block, data)
        except Gone:
            return False
        return True

    # ----------------------------------------------------------------------------------------------------------------- looking

    def read(self, where: str, disk: int, offset: int, length: int) -> bytes:
        """Content of a point, a side, or a test copy. What PostgreSQL does not restore, or start, reads as zeroes."""
        cluster = self.copy if where == "test" else self.sides[where].cluster if where in self.sides else None
        if cluster is None or not cluster.up:
            if where not in self.looking:
                self.looking[where] = self.look(where, cluster)
            cluster = self.looking[where]
        return bytes(length) if cluster is None else cluster.read(disk, offset, length)

    def look(self, where: str, cluster: Cluster | None) -> Cluster | None:
        """A cluster of our own with the content of a point, or of one that does not run. It lives until the tester goes on."""
        found: Cluster
        try:
            if cluster is not None:
                site = next(side.site for side in self.sides.values() if cluster in side.site.clusters)
                found = site.new("look")
                copy_folder(cluster.path, found.path)
                found.become(None)
            else:
                point = next(one for one in self.points if one.id == where)
                side = next(side for side in self.sides.values() if side.store is not None)
                assert side.store is not None
                found = side.store.restored(point, side.site.new("look"), "pause")
            found.start()
            if cluster is None:
                found.wait(lambda: found.one("SELECT pg_get_wal_replay_pause_state()") == "paused", "it does not reach the point")
        except (NotReady, Gone, StopIteration):
            return None
        return found

    def look_away(self) -> None:
        """What was started to be looked at goes."""
        for cluster in self.looking.values():
            if cluster is not None:
                next(side.site for side in self.sides.values() if cluster in side.site.clusters).drop(cluster)
        self.looking = {}
