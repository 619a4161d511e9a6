"""The thin controller that stands before a system that siteproof did not write: what such a system has not got, and a flow needs.

Rules
1. What is here: who is active, what a failover is and when it is final, refusals and their codes, counting of writes that are
   told (`received`, `loss`), the guest's cache, which job runs. Content, change log and points are the system's: a subclass asks
   the system for them.
2. Control state survives everything, as the interface asks of a control plane.
3. The controller moves in steps, one thing that is due after the other, so that faults may strike between any two of them. What
   is due first is the contact with a former source, which is fenced before anything else.
4. A job that has nothing that it could do waits.

The flow is `hyper-v-to-secondary-site`: host to host, no gateway, planned and unplanned failover both ways.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from siteproof.conformance.driver import Observation
from siteproof.conformance.drivers.refusals import allowed, precheck, refusal

__all__ = ["FLOW", "Controller", "Lab", "Named", "Powered", "Side"]

FLOW = "hyper-v-to-secondary-site"
"""The flow that this fits."""
KEPT_POINTS = 8
_WHILE_FOLLOWING = (None, "PlannedFailover", "TestFailover", "TestFailoverCleanup")
"""The jobs beside which replication goes on."""


class Powered(Protocol):
    """A site: whether it has power, and how it loses it, gets it back, and ends."""

    @property
    def up(self) -> bool: ...
    def power_off(self) -> None: ...
    def power_on(self) -> None: ...
    def end(self) -> None: ...


class Named(Protocol):
    """A recovery point: its id, and how many writes it holds."""

    @property
    def id(self) -> str: ...
    @property
    def position(self) -> int: ...


SiteT = TypeVar("SiteT", bound=Powered)
PointT = TypeVar("PointT", bound=Named)


@dataclass
class Lab(Generic[SiteT]):
    """What the machines share: the sites, and the link between them."""

    sites: dict[str, SiteT]
    link: bool = True

    def connected(self) -> bool:
        return self.link and all(site.up for site in self.sites.values())


@dataclass
class Side(Generic[SiteT]):
    """A machine at a site. `position` counts the writes of its branch that its disks hold; `boots`: its guest runs as soon as
    there is power; `cache`: what the guest has issued and not written out."""

    site: SiteT
    position: int = 0
    boots: bool = False
    cache: list[tuple[int, int, bytes]] = field(default_factory=list)


SideT = TypeVar("SideT", bound=Side)  # type: ignore[type-arg]


LandedT = TypeVar("LandedT")
"""What a full copy comes to, before it takes the place of the replica."""


class Controller(ABC, Generic[SideT, PointT, LandedT]):
    """One machine."""

    def __init__(self, name: str, disks: int, lab: Lab, sides: dict[str, SideT]) -> None:  # type: ignore[type-arg]
        self.name, self.disks, self.lab, self.sides = name, disks, lab, sides
        self.active, self.direction, self.protection, self.failover = "primary", "forward", "none", "none"
        self.job: str | None = None
        self.chosen: str | None = None
        self.half = False
        self.resync, self.test = "none", "none"
        self.points: list[PointT] = []
        self.staged: LandedT | None = None
        self.serial = 0
        self.used: str | None = None
        self.fork = 0
        self.contacted, self.alerted = True, False
        self.received: int | None = None
        self.loss: int | None = None
        self.log_leads_back = False

    # ----------------------------------------------------------------------------------------------- what the system is asked for

    @abstractmethod
    def running(self, side: str) -> bool:
        """Probed: whether the guest at a side can write."""

    @abstractmethod
    def power_on(self, name: str) -> None:
        """The guest at a side runs, on the disks that are there."""

    @abstractmethod
    def power_off(self, name: str) -> None:
        """The guest stops; what it had in its cache is gone."""

    @abstractmethod
    def fence(self, name: str) -> None:
        """The former source runs no more, and never again by itself; `position` is what its disks hold."""

    @abstractmethod
    def put(self, name: str, disk: int, block: int, data: bytes) -> bool:
        """Write a block at a side, or to the copy of a test failover (`test`), and see that it lasts."""

    @abstractmethod
    def log_whole(self) -> bool:
        """Whether the source can still tell all that the passive side lacks. Asked of the system each time."""

    @abstractmethod
    def damage_log(self) -> None:
        """The change log goes bad."""

    @abstractmethod
    def forget_log(self) -> None:
        """Replication has ended: nothing has to be kept for the passive side."""

    @abstractmethod
    def give_up(self) -> None:
        """What is under way to the passive side ends without effect."""

    @abstractmethod
    def boot_copy(self) -> bool:
        """Start the copy of a test failover again, where its site has power and it does not run."""

    @abstractmethod
    def make_copy(self) -> bool: ...
    @abstractmethod
    def copy_all(self) -> LandedT | None:
        """Make the replica anew beside the old one; None while it is not done, or did not come about."""

    @abstractmethod
    def adopt(self, landed: LandedT) -> None:
        """The passive side is what has landed, and one fresh point takes the place of all others."""

    @abstractmethod
    def replicate(self) -> bool: ...
    @abstractmethod
    def cut(self) -> None: ...
    @abstractmethod
    def plan(self) -> bool: ...
    @abstractmethod
    def fail_over(self) -> bool: ...
    @abstractmethod
    def change_point(self) -> bool: ...
    @abstractmethod
    def begin_test(self) -> bool: ...
    @abstractmethod
    def end_test(self) -> bool: ...
    @abstractmethod
    def read(self, where: str, disk: int, offset: int, length: int) -> bytes: ...

    # --------------------------------------------------------------------------------------------------- what can be reached

    @property
    def passive(self) -> str:
        return "recovery" if self.active == "primary" else "primary"

    @property
    def source(self) -> SideT:
        return self.sides[self.active]

    @property
    def target(self) -> SideT:
        return self.sides[self.passive]

    def can_ship(self) -> bool:
        return self.lab.connected() and self.contacted

    def follows(self) -> bool:
        return self.protection == "protected" and self.failover == "none"

    def idle(self) -> bool:
        """Whether replication goes on: protected, not in doubt, and no job in its way."""
        return self.follows() and self.job in _WHILE_FOLLOWING and self.resync == "none"

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
        self.alerted = self.alerted or self.running(self.passive)
        self.fence(self.passive)
        self.contacted, self.loss = True, self.target.position - self.fork
        return True

    def boot(self) -> bool:
        """What ran when its site lost power runs again; the copy of a test failover as well."""
        for name, side in self.sides.items():
            if side.boots and side.site.up:
                self.power_on(name)
                return True
        return self.test == "running" and self.job != "TestFailoverCleanup" and self.boot_copy()

    def call_for_resync(self) -> bool:
        """The system says that its log is of no use: what the passive side lacks is not known any more."""
        if not self.idle() or not self.source.site.up or self.log_whole():
            return False
        self.give_up()
        self.resync = "required"
        return True

    def do_job(self) -> bool:
        jobs = {
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

    def protected_again(self) -> None:
        """An initial copy, or a reversed replication, is complete."""
        self.protection, self.failover = "protected", "none"
        self.direction = "forward" if self.active == "primary" else "reverse"

    def cut_if_new(self) -> bool:
        """What has been received and is in no point yet becomes one."""
        if not self.idle() or not self.target.site.up or self.points[-1].position == self.target.position:
            return False
        self.cut()
        return True

    def prune(self) -> bool:
        spare = self.follows() and self.job is None and self.resync == "none" and self.test == "none"
        if not spare or len(self.points) <= KEPT_POINTS:
            return False
        self.points.pop(0)
        return True

    def point(self) -> PointT:
        """The point that was chosen; with `latest` everything received is made one first."""
        if self.chosen == "latest" and self.points[-1].position != self.target.position:
            self.cut()
        return next((one for one in self.points if one.id == self.chosen), self.points[-1])

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
        self.forget_log()
        return self.done()

    # ------------------------------------------------------------------------------------------------------------- the world

    def repair(self) -> bool:
        """The replica is made anew beside the old one (“comparing”), then takes its place (“merging”)."""
        if self.staged is not None:
            landed, self.staged, self.resync = self.staged, None, "none"
            self.adopt(landed)
            return self.done()
        if not self.can_ship():
            return False
        self.staged = self.copy_all()
        if self.staged is not None:
            self.resync = "merging"
        return True

    def start_machine(self, name: str) -> bool:
        knows_better = name != self.active and self.contacted
        if knows_better or not self.sides[name].site.up:
            return False
        self.power_on(name)
        return True

    def power_lost(self, name: str) -> None:
        """Called before everything at the site is killed."""
        side = self.sides[name]
        side.boots, side.cache = side.boots or self.running(name), []

    def write(self, name: str, disk: int, block: int, data: bytes, cached: bool) -> bool:
        if name == "test":
            return self.test == "running" and self.put("test", disk, block, data)
        if not self.running(name):
            return False
        self.sides[name].cache.append((disk, block, data))
        return cached or self.flush(name)

    def flush(self, name: str) -> bool:
        """The guest writes out its cache, first in, first out."""
        side = self.sides[name]
        while side.cache:
            if not self.put(name, *side.cache[0]):
                return False
            side.cache.pop(0)
            side.position += 1
        return True

    # --------------------------------------------------------------------------------------------------------------- looking

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
