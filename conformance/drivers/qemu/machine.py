"""One machine under replication between two QEMU daemons: what the controller asks of QEMU, and in which order.

Rules
1. The guest runs while its disks are exported for writing. To stop it, or to fence it, is to take the exports away.
2. A point is cut after each shipment that has landed, and before the next one begins; so whatever a broken shipment has left
   on top, every failover goes on from a point.
3. A backup under way is a job of its own: a fault may strike between its begin and its landing.
4. Content and change log are QEMU's, in files. Who is active, and what is refused, is told by the controller that it shares with
   other systems (`siteproof.conformance.drivers.controller`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from siteproof.conformance.content import BLOCK
from siteproof.conformance.drivers.controller import Controller, Lab
from siteproof.conformance.drivers.controller import Side as BaseSide
from siteproof.conformance.drivers.qemu.nbd import Nbd, NbdError
from siteproof.conformance.drivers.qemu.shipping import Shipment, begin, give_up, land
from siteproof.conformance.drivers.qemu.site import Layer, Site

__all__ = ["Lab", "Machine", "Point", "Side"]


@dataclass
class Side(BaseSide[Site]):
    """A machine at a site: its disks, each the top of a chain of layers."""

    tops: list[Layer] = field(default_factory=list)


@dataclass
class Point:
    """A restorable state: layers to which nothing is written any more."""

    id: str
    position: int
    layers: list[Layer]


class Machine(Controller[Side, Point, Shipment]):
    """One machine."""

    def __init__(self, name: str, disks: int, lab: Lab[Site]) -> None:
        super().__init__(name, disks, lab, {side: Side(site) for side, site in lab.sites.items()})
        self.shipment: Shipment | None = None
        self.copy: list[Layer] = []

    # --------------------------------------------------------------------------------------------------- what can be reached

    def exports(self, what: str) -> list[str]:
        return [f"{self.name}-{disk}-{what}" for disk in range(self.disks)]

    def running(self, side: str) -> bool:
        """Probed: whether the guest's disks are there for it to write to."""
        return self.sides[side].site.exports() >= set(self.exports("guest"))

    # ------------------------------------------------------------------------------------------------------------------ jobs

    def fence(self, name: str) -> None:
        self.power_off(name)
        side = self.sides[name]
        for top in side.tops:
            side.site.remove_log(top)

    def boot_copy(self) -> bool:
        if not self.target.site.up or self.testing():
            return False
        self.export(self.target.site, self.copy, "test")
        return True

    def log_whole(self) -> bool:
        source = self.source
        return all(source.site.log_state(top) == "whole" for top in source.tops)

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
        self.protected_again()
        self.adopt(landed)
        return self.done()

    def adopt(self, landed: Shipment) -> None:
        """The passive side holds what has landed, and one fresh point takes the place of all others."""
        self.target.tops, self.target.position = landed.layers, landed.position
        self.points, self.log_leads_back = [], False
        self.cut()
        self.tidy()

    def copy_all(self) -> Shipment | None:
        return self.ship(full=True)

    def replicate(self) -> bool:
        if not self.idle() or not self.can_ship():
            return False
        source, target = self.source, self.target
        if self.shipment is None and (source.position == target.position or self.points[-1].position != target.position):
            return False
        landed = self.ship(full=False)
        if landed is not None:
            target.position = landed.position
        return True

    def cut(self) -> None:
        target = self.target
        self.serial += 1
        self.points.append(Point(f"rp-{self.serial}", target.position, target.tops))
        target.tops = target.site.snapshot(target.tops)

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

    def forget_log(self) -> None:
        if self.source.site.up:
            for top in self.source.tops:
                self.source.site.remove_log(top)

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

    def power_lost(self, name: str) -> None:
        super().power_lost(name)
        if self.shipment is not None and self.shipment.source is self.sides[name].site:
            self.shipment.cut_off = True

    def damage_log(self) -> None:
        """Somebody removes the bitmaps."""
        if self.source.site.up:
            self.give_up()
            for top in self.source.tops:
                self.source.site.remove_log(top)

    def put(self, name: str, disk: int, block: int, data: bytes) -> bool:
        site, what = (self.target.site, "test") if name == "test" else (self.sides[name].site, "guest")
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
        return next(side.site for side in self.sides.values() if point.layers[0] in side.site.layers)
