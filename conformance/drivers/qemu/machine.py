"""The thin controller: one machine under replication between two QEMU daemons. QEMU has none of this; all of it is ours.

Rules
1. What is here and not in QEMU: who is active, what a failover is and when it is final, names of recovery points, refusals and
   their codes, counting acknowledged writes, power of the guest (it runs while its disks are exported for writing), fencing.
2. Control state survives everything, as the interface asks of a control plane. Content and change log are QEMU's, in files.
3. A point is cut after each shipment that has landed, and before the next one begins; so whatever a broken shipment has left
   on top, every failover goes on from a point.
4. Jobs move in steps, so that a fault may strike between two of them, also between the begin and the landing of a backup.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from siteproof.conformance.content import BLOCK
from siteproof.conformance.driver import Observation
from siteproof.conformance.drivers.qemu.nbd import Nbd, NbdError
from siteproof.conformance.drivers.qemu.shipping import Shipment, begin, give_up, land
from siteproof.conformance.drivers.qemu.site import Layer, Site
from siteproof.conformance.drivers.refusals import allowed, precheck, refusal

__all__ = ["Lab", "Machine", "Point", "Side"]

KEPT_POINTS = 8
_WHILE_FOLLOWING = (None, "PlannedFailover", "TestFailover", "TestFailoverCleanup")
"""The jobs beside which replication goes on."""


@dataclass
class Lab:
    """What the machines share: the sites, and the link between them."""

    sites: dict[str, Site]
    link: bool = True

    def connected(self) -> bool:
        return self.link and all(site.up for site in self.sites.values())


@dataclass
class Side:
    """A machine at a site. `position` counts the writes of its branch that its disks hold."""

    site: Site
    tops: list[Layer] = field(default_factory=list)
    position: int = 0
    boots: bool = False
    cache: list[tuple[int, int, bytes]] = field(default_factory=list)


@dataclass
class Point:
    """A restorable state: layers to which nothing is written any more."""

    id: str
    position: int
    layers: list[Layer]


class Machine:
    """One machine."""

    def __init__(self, name: str, disks: int, lab: Lab) -> None:
        self.name, self.disks, self.lab = name, disks, lab
        self.sides = {side: Side(site) for side, site in lab.sites.items()}
        self.active, self.direction, self.protection, self.failover = "primary", "forward", "none", "none"
        self.job: str | None = None
        self.chosen: str | None = None
        self.half = False
        self.resync, self.test = "none", "none"
        self.points: list[Point] = []
        self.serial = 0
        self.used: str | None = None
        self.fork = 0
        self.contacted, self.alerted = True, False
        self.received: int | None = None
        self.loss: int | None = None
        self.shipment: Shipment | None = None
        self.staged: Shipment | None = None
        self.copy: list[Layer] = []
        self.log_leads_back = False

    # --------------------------------------------------------------------------------------------------- what can be reached

    @property
    def passive(self) -> str:
        return "recovery" if self.active == "primary" else "primary"

    @property
    def source(self) -> Side:
        return self.sides[self.active]

    @property
    def target(self) -> Side:
        return self.sides[self.passive]

    def can_ship(self) -> bool:
        return self.lab.connected() and self.contacted

    def follows(self) -> bool:
        return self.protection == "protected" and self.failover == "none"

    def exports(self, what: str) -> list[str]:
        return [f"{self.name}-{disk}-{what}" for disk in range(self.disks)]

    def running(self, side: str) -> bool:
        """Probed: whether the guest's disks are there for it to write to."""
        return self.sides[side].site.exports() >= set(self.exports("guest"))

    # -------------------------------------------------------------------------------------------------------------- requests

    def request(self, operation: str, point: str | None) -> str:
        """Take a request: empty when it is accepted and its job runs, else the code."""
        code = refusal(self, operation) or precheck(self, operation, point)
        if code:
            return code
        if operation == "EnableProtection":
            self.protection = "initial"
        elif operation == "RepairReplication":
            self.resync = "comparing"
        elif operation == "UnplannedFailover":
            self.give_up()
            self.resync = "required" if self.resync == "comparing" else self.resync
        self.job, self.chosen, self.half = operation, point, False
        return ""

    # ------------------------------------------------------------------------------------------------------------------ jobs

    def step(self) -> bool:
        """Do the next thing that is due; False when there is none."""
        due = (self.contact, self.boot, self.call_for_resync, self.do_job, self.replicate, self.cut_if_new, self.prune)
        return any(work() for work in due)

    def contact(self) -> bool:
        """The former source is reached: it is fenced, and the loss is counted."""
        if self.contacted or not self.lab.connected():
            return False
        former = self.target
        self.alerted = self.alerted or self.running(self.passive)
        self.power_off(self.passive)
        for top in former.tops:
            former.site.remove_log(top)
        self.contacted, self.loss = True, former.position - self.fork
        return True

    def boot(self) -> bool:
        """What ran when its site lost power runs again; the copy of a test failover as well."""
        for name, side in self.sides.items():
            if side.boots and side.site.up:
                self.power_on(name)
                return True
        if self.test == "running" and self.job != "TestFailoverCleanup" and self.target.site.up and not self.testing():
            self.export(self.target.site, self.copy, "test")
            return True
        return False

    def log_whole(self) -> bool:
        source = self.source
        return all(source.site.log_state(top) == "whole" for top in source.tops)

    def call_for_resync(self) -> bool:
        """QEMU says that a bitmap is inconsistent or gone: what the passive side lacks is not known any more."""
        free = self.follows() and self.job in _WHILE_FOLLOWING and self.resync == "none" and self.source.site.up
        if not free or self.log_whole():
            return False
        self.give_up()
        self.resync = "required"
        return True

    def do_job(self) -> bool:
        jobs: dict[str, tuple[bool, Callable[[], bool]]] = {
            "EnableProtection": (self.can_ship(), self.make_copy),
            "ReverseReplicate": (self.can_ship(), self.make_copy),
            "RepairReplication": (self.target.site.up, self.repair),
            "PlannedFailover": (self.lab.connected() or self.resync != "none", self.plan),
            "UnplannedFailover": (self.target.site.up, self.fail_over),
            "Commit": (self.source.site.up, self.commit),
            "ChangePit": (self.source.site.up, self.change_point),
            "TestFailover": (self.target.site.up, self.begin_test),
            "TestFailoverCleanup": (self.target.site.up, self.end_test),
            "DisableProtection": (True, self.end),
        }
        possible, work = jobs.get(self.job or "", (False, self.end))
        return possible and work()

    def done(self) -> bool:
        self.job, self.chosen, self.half = None, None, False
        return True

    def ship(self, *, full: bool) -> Shipment | None:
        """The next step of a shipment: begin one, or land the one that is under way. What has landed is returned."""
        if self.shipment is None:
            target = self.target
            layers = [target.site.new_layer(self.name) for _ in range(self.disks)] if full else target.tops
            source = self.source
            self.shipment = begin(source.site, source.tops, target.site, layers, source.position, full=full)
            return None
        one = self.shipment
        if one.cut_off or not self.log_whole():
            self.give_up()
            return None
        self.shipment = None
        if land(one):
            return one
        self.tidy()
        return None

    def give_up(self) -> None:
        """A shipment that is under way ends without effect."""
        if self.shipment is not None:
            give_up(self.shipment)
            self.shipment = None
            self.tidy()

    def make_copy(self) -> bool:
        """Initial or reversed replication: everything, or what has changed since a planned failover."""
        full = not (self.job == "ReverseReplicate" and self.log_leads_back and self.log_whole())
        landed = self.ship(full=full if self.shipment is None else self.shipment.full)
        if landed is None:
            self.log_leads_back = self.log_leads_back and not full
            return True
        self.protection, self.failover = "protected", "none"
        self.direction = "forward" if self.active == "primary" else "reverse"
        self.adopt(landed)
        return self.done()

    def adopt(self, landed: Shipment) -> None:
        """The passive side holds what has landed, and one fresh point takes the place of all others."""
        self.target.tops, self.target.position = landed.layers, landed.position
        self.points, self.log_leads_back = [], False
        self.cut()
        self.tidy()

    def repair(self) -> bool:
        """The replica is made anew beside the old one (“comparing”), then takes its place (“merging”)."""
        if self.staged is not None:
            landed, self.staged, self.resync = self.staged, None, "none"
            self.adopt(landed)
            return self.done()
        if not self.can_ship():
            return False
        self.staged = self.ship(full=True)
        if self.staged is not None:
            self.resync = "merging"
        return True

    def replicate(self) -> bool:
        idle = self.follows() and self.job in _WHILE_FOLLOWING and self.resync == "none"
        if not idle:
            return False
        if not self.can_ship():
            return False
        source, target = self.source, self.target
        if self.shipment is None and (source.position == target.position or self.points[-1].position != target.position):
            return False
        landed = self.ship(full=False)
        if landed is not None:
            target.position = landed.position
        return True

    def cut_if_new(self) -> bool:
        idle = self.follows() and self.job in _WHILE_FOLLOWING and self.resync == "none" and self.target.site.up
        if not idle or self.points[-1].position == self.target.position:
            return False
        self.cut()
        return True

    def cut(self) -> None:
        target = self.target
        self.serial += 1
        self.points.append(Point(f"rp-{self.serial}", target.position, target.tops))
        target.tops = target.site.snapshot(target.tops)

    def prune(self) -> bool:
        spare = self.follows() and self.job is None and self.resync == "none" and self.test == "none"
        if not spare or len(self.points) <= KEPT_POINTS:
            return False
        self.points.pop(0)
        return True

    # -------------------------------------------------------------------------------------------------------------- failover

    def plan(self) -> bool:
        """Stop, drain, cut, switch. With a log that is of no use it gives up."""
        source, target = self.source, self.target
        if self.resync != "none":
            return self.done()
        if self.running(self.active) or source.boots:
            self.flush(self.active)
            self.power_off(self.active)
            return True
        if self.shipment is not None or source.position != target.position:
            return self.replicate() or self.cut_if_new()
        if self.points[-1].position != target.position:
            return self.cut_if_new()
        for top in source.tops:
            source.site.remove_log(top)
        self.active, self.failover, self.log_leads_back = self.passive, "planned", True
        self.used = None
        target.site("transaction", actions=[target.site.add_log(top) for top in target.tops])
        self.power_on(self.active)
        return self.done()

    def point(self) -> Point:
        """The point that was chosen; with `latest` everything received is made one first."""
        if self.chosen == "latest" and self.points[-1].position != self.target.position:
            self.cut()
        return next((one for one in self.points if one.id == self.chosen), self.points[-1])

    def fail_over(self) -> bool:
        target = self.target
        point = self.point()
        self.received, self.loss = target.position, None
        self.used, self.fork = point.id, point.position
        target.tops, target.position = self.on_top_of(target.site, point), point.position
        self.active, self.contacted = self.passive, False
        self.protection, self.failover, self.resync, self.log_leads_back = "none", "unplanned", "none", False
        self.power_on(self.active)
        self.tidy()
        return self.done()

    def change_point(self) -> bool:
        source = self.source
        if self.running(self.active) or source.boots:
            self.power_off(self.active)
            return True
        point = next((one for one in self.points if one.id == self.chosen), self.points[-1])
        source.tops = self.on_top_of(source.site, point)
        if self.loss is not None and self.failover == "unplanned":
            self.loss = self.target.position - point.position
        source.position = self.fork = point.position
        self.used, self.log_leads_back = point.id, False
        self.power_on(self.active)
        self.tidy()
        return self.done()

    def on_top_of(self, site: Site, point: Point) -> list[Layer]:
        return [site.new_layer(self.name, layer) for layer in point.layers]

    def commit(self) -> bool:
        """First the points go, then the failover is final."""
        if not self.half:
            self.points, self.half = [], True
            return True
        self.failover = "committed"
        return self.done()

    def end(self) -> bool:
        if not self.half:
            self.give_up()
            self.points, self.half = [], True
            return True
        away = self.active == "recovery"
        self.protection, self.failover = "none", "completed" if away else "none"
        self.direction, self.resync = self.direction if away else "forward", "none"
        self.log_leads_back = False
        if self.source.site.up:
            for top in self.source.tops:
                self.source.site.remove_log(top)
        return self.done()

    def begin_test(self) -> bool:
        site = self.target.site
        if not self.half:
            self.copy, self.half = self.on_top_of(site, self.point()), True
            return True
        self.export(site, self.copy, "test")
        self.test = "running"
        return self.done()

    def end_test(self) -> bool:
        for name in self.exports("test"):
            self.target.site.unexport(name)
        self.copy, self.test = [], "none"
        self.tidy()
        return self.done()

    def tidy(self) -> None:
        """Layers that nothing needs any more go, the upper ones first. Where a site has no power their files do."""
        stages = [one.layers for one in (self.shipment, self.staged) if one is not None]
        needed = [side.tops for side in self.sides.values()] + [one.layers for one in self.points] + [self.copy, *stages]
        kept = {layer for layers in needed for top in layers for layer in top.chain()}
        for side in self.sides.values():
            for layer in reversed(side.site.layers[:]):
                if layer.owner == self.name and layer not in kept:
                    side.site.drop(layer)

    # ------------------------------------------------------------------------------------------------------------- the world

    def export(self, site: Site, layers: list[Layer], what: str) -> None:
        there = site.exports()
        for layer, name in zip(layers, self.exports(what), strict=True):
            if name not in there:
                site.export(layer, name, writable=True)

    def testing(self) -> bool:
        return self.target.site.exports() >= set(self.exports("test"))

    def power_on(self, name: str) -> None:
        side = self.sides[name]
        if self.shipment is not None and self.shipment.source is side.site and not self.running(name):
            self.give_up()  # QEMU lets no new writer to a disk under a running backup
        self.export(side.site, side.tops, "guest")
        side.boots = False

    def power_off(self, name: str) -> None:
        """The guest stops: its disks are taken from it, and what it had in its cache is gone."""
        side = self.sides[name]
        for export in self.exports("guest"):
            side.site.unexport(export)
        side.boots, side.cache = False, []

    def start_machine(self, name: str) -> bool:
        knows_better = name != self.active and self.contacted
        if knows_better or not self.sides[name].site.up:
            return False
        self.power_on(name)
        return True

    def power_lost(self, name: str) -> None:
        """Called before the site's daemon is killed."""
        side = self.sides[name]
        side.boots, side.cache = side.boots or self.running(name), []
        if self.shipment is not None and self.shipment.source is side.site:
            self.shipment.cut_off = True

    def damage_log(self) -> None:
        """Somebody removes the bitmaps."""
        if self.source.site.up:
            self.give_up()
            for top in self.source.tops:
                self.source.site.remove_log(top)

    def write(self, name: str, disk: int, block: int, data: bytes, cached: bool) -> bool:
        if name == "test":
            return self.test == "running" and self.put(self.target.site, disk, block, data, "test")
        side = self.sides[name]
        if not self.running(name):
            return False
        side.cache.append((disk, block, data))
        return cached or self.flush(name)

    def flush(self, name: str) -> bool:
        """The guest writes out its cache, first in, first out."""
        side = self.sides[name]
        while side.cache:
            if not self.put(side.site, *side.cache[0], "guest"):
                return False
            side.cache.pop(0)
            side.position += 1
        return True

    def put(self, site: Site, disk: int, block: int, data: bytes, what: str) -> bool:
        try:
            with Nbd(site.nbd_path, self.exports(what)[disk]) as nbd:
                nbd.write(block * BLOCK, data)
                nbd.flush()
        except NbdError:
            return False
        return True

    # --------------------------------------------------------------------------------------------------------------- looking

    def read(self, where: str, disk: int, offset: int, length: int) -> bytes:
        point = next((one for one in self.points if one.id == where), None)
        if point is not None:
            site, layers = self.place_of(point), point.layers
        elif where == "test":
            site, layers = self.target.site, self.copy
        else:
            site, layers = self.sides[where].site, self.sides[where].tops
        if not site.up:
            return site.read_file(layers[disk], offset, length)
        with site.reading(layers[disk]) as nbd:
            return nbd.read(offset, length)

    def place_of(self, point: Point) -> Site:
        return next(site for site in self.lab.sites.values() if point.layers[0] in site.layers)

    def observe(self) -> Observation:
        return Observation(
            protection=self.protection,
            active=self.active,
            direction=self.direction,
            failover=self.failover,
            job=self.job,
            allowed_operations=allowed(self),
            points=tuple((one.id, "crash-consistent") for one in self.points),
            failover_point=self.used if self.failover in ("planned", "unplanned") else None,
            received=self.received,
            loss=self.loss,
            alerts=("StaleSideFenced",) if self.alerted else (),
            running=(self.running("primary"), self.running("recovery")),
            test=self.test,
            resync=self.resync,
        )
