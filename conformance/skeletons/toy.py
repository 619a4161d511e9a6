"""A driver, and a toy that it drives: a little replicator with two sites, on disks in memory.

It conforms to the flow `scout-to-secondary-site`. Put your own system in its place: keep the methods of `ToyDriver`, and let them
talk to your system. `Replicator` is what goes. Then

    siteproof driver check toy:ToyDriver
    siteproof run --driver toy:ToyDriver --topology scout-to-secondary-site --max-time 1m --out found

Rules of the toy
1. A machine has a disk at each side. Writes of the active side go to its disk and into the change log; `step` ships the oldest
   one to the other side, or does the next thing that is due. Nothing happens but in a step.
2. What was received becomes a recovery point as soon as there is nothing else to do.
3. The side that was failed over from is fenced when it is reached again, before anything else; only then is the loss known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from siteproof.conformance.case import Scenario
from siteproof.conformance.content import BLOCK, Base
from siteproof.conformance.driver import Accepted, Answer, Capabilities, Observation, Rejected

__all__ = ["ToyDriver"]

FLOW = "scout-to-secondary-site"
FORWARD_ONLY = ("PlannedFailover", "TestFailover", "ChangePit", "CompleteMigration")
"""What this flow does not offer."""

Disks = list[bytearray]


def other(side: str) -> str:
    return "recovery" if side == "primary" else "primary"


class ToyDriver:
    """What the tester talks to."""

    def __init__(self) -> None:
        self.faults: set[str] = set()
        self.machines: dict[str, Replicator] = {}

    def handshake(self) -> Capabilities:
        return Capabilities("toy", flows=frozenset({FLOW}), stepping=True)

    def start(self, scenario: Scenario, seed: int, base: Base) -> None:  # noqa: ARG002
        self.faults = set()
        content = base.data(0, base.blocks)
        self.machines = {name: Replicator(content, scenario.disks, self.faults) for name in scenario.machines}

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        code = self.machines[machine].request(operation, point)
        return Rejected(code) if code else Accepted()

    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool | None:
        return self.machines[machine].write(side, disk, block, data, cached)

    def fault(self, kind: str) -> None:
        if kind == "change-log":  # struck once: there is nothing to heal
            for one in self.machines.values():
                one.damage_log()
            return
        self.faults.add(kind)
        for one in self.machines.values():
            one.power_lost()

    def heal(self, kind: str) -> None:
        self.faults.discard(kind)

    def start_machine(self, machine: str, side: str) -> bool | None:
        return self.machines[machine].power_on(side)

    def advance(self, seconds: int) -> None:
        for _ in range(1 + seconds // 30):
            self.step()

    def step(self) -> bool:
        moved = [one.step() for one in self.machines.values()]  # all of them, also after the first that moves
        return any(moved)

    def settle(self) -> bool:
        while self.step():
            pass
        return True

    def observe(self, machine: str) -> Observation:
        return self.machines[machine].observe()

    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:
        return bytes(self.machines[machine].content(where)[disk][offset : offset + length])

    def stop(self) -> None:
        self.machines = {}


@dataclass
class Side:
    """A side of a machine. `position` counts the writes of its branch that the disks hold."""

    disks: Disks
    position: int = 0
    running: bool = False
    boots: bool = False
    cache: list[tuple[int, int, bytes]] = field(default_factory=list)


@dataclass
class RecoveryPoint:
    """A restorable state."""

    id: str
    position: int
    disks: Disks


class Replicator:
    """The toy: one machine under replication. `faults` are shared by all machines."""

    def __init__(self, content: bytes, disks: int, faults: set[str]) -> None:
        self.faults = faults
        self.sides = {side: Side([bytearray(content) for _ in range(disks)]) for side in ("primary", "recovery")}
        self.sides["primary"].running = True
        self.active, self.direction, self.protection, self.failover = "primary", "forward", "none", "none"
        self.job: str | None = None
        self.chosen: str | None = None
        self.resync = "none"
        self.log: list[tuple[int, int, bytes]] = []
        self.log_damaged = False
        self.points: list[RecoveryPoint] = []
        self.cut = 0
        self.used: str | None = None
        self.fork = 0
        self.contacted, self.alerted = True, False
        self.received: int | None = None
        self.loss: int | None = None

    # --------------------------------------------------------------------------------------------------- what can be reached

    @property
    def passive(self) -> str:
        return other(self.active)

    def up(self, side: str) -> bool:
        return f"{side}-site" not in self.faults

    def connected(self) -> bool:
        return self.up("primary") and self.up("recovery") and "link" not in self.faults

    def can_ship(self) -> bool:
        return self.connected() and "gateway" not in self.faults and self.contacted

    def follows(self) -> bool:
        return self.protection == "protected" and self.failover == "none"

    # -------------------------------------------------------------------------------------------------------------- requests

    def refusal(self, operation: str) -> str:
        """Why the machine's state does not allow an operation; empty when it does."""
        if self.failover == "completed":
            return "ReplicationEnded"
        if operation in FORWARD_ONLY:
            return "OperationNotSupported"
        comparing = self.job == "RepairReplication" and operation == "UnplannedFailover"
        if self.job is not None and not comparing:
            return "JobInProgress"
        waits = self.failover == "unplanned"
        refusals: dict[str, tuple[bool, str]] = {
            "EnableProtection": (self.protection != "none" or self.failover != "none", "AlreadyProtected"),
            "UnplannedFailover": (self.protection != "protected", "NotProtected"),
            "Commit": (not waits, "NoFailoverToCommit"),
            "ReverseReplicate": (self.failover != "committed", "FailoverNotCommitted"),
            "TestFailoverCleanup": (True, "NoTestFailover"),
            "DisableProtection": (self.protection == "none" and self.failover == "none", "NotProtected"),
            "RepairReplication": (self.resync == "none", "NoResynchronisationRequired"),
        }
        refused, code = refusals[operation]
        return code if refused else ""

    def request(self, operation: str, point: str | None) -> str:
        """Take a request: empty when it is accepted and its job runs, else the code."""
        code = self.refusal(operation)
        if code:
            return code
        if operation == "EnableProtection" and not self.sides[self.active].running:
            return "SourceNotRunning"
        if operation in ("EnableProtection", "ReverseReplicate", "RepairReplication") and not self.can_ship():
            return "SitesNotConnected"
        if operation == "UnplannedFailover":
            if not self.up(self.passive):
                return "TargetSiteDown"
            if point not in ("latest", "latest-processed") and point not in [one.id for one in self.points]:
                return "RecoveryPointNotFound"
            self.resync = "required" if self.resync == "comparing" else self.resync
        if operation == "EnableProtection":
            self.protection = "initial"
        if operation == "RepairReplication":
            self.resync = "comparing"
        self.job, self.chosen = operation, point
        return ""

    # ------------------------------------------------------------------------------------------------------------------ jobs

    def step(self) -> bool:
        """Do the next thing that is due; False when there is none."""
        due = (self.contact, self.boot, self.call_for_resync, self.do_job, self.ship, self.cut_if_new)
        return any(work() for work in due)

    def contact(self) -> bool:
        """The former source is reached: it is fenced, and the loss is counted."""
        if self.contacted or not self.connected():
            return False
        former = self.sides[self.passive]
        self.alerted = self.alerted or former.running
        former.running, former.boots, former.cache = False, False, []
        self.contacted, self.loss = True, former.position - self.fork
        return True

    def boot(self) -> bool:
        for name, side in self.sides.items():
            if side.boots and self.up(name):
                side.running, side.boots = True, False
                return True
        return False

    def call_for_resync(self) -> bool:
        if not (self.log_damaged and self.follows() and self.job is None and self.resync == "none" and self.up(self.active)):
            return False
        self.resync = "required"
        return True

    def do_job(self) -> bool:
        """The job that runs is done as a whole, as soon as it can be."""
        jobs: dict[str, tuple[bool, Callable[[], None]]] = {
            "EnableProtection": (self.can_ship(), self.copy),
            "ReverseReplicate": (self.can_ship(), self.copy),
            "RepairReplication": (self.can_ship(), self.copy),
            "UnplannedFailover": (self.up(self.passive), self.fail_over),
            "Commit": (self.up(self.active), self.commit),
            "DisableProtection": (True, self.end),
        }
        possible, work = jobs.get(self.job or "", (False, self.end))
        if possible:
            work()
            self.job = self.chosen = None
        return possible

    def copy(self) -> None:
        """The passive side gets all that the active one has; one fresh point takes the place of all others."""
        source, target = self.sides[self.active], self.sides[self.passive]
        target.disks, target.position = copied(source.disks), source.position
        self.log, self.log_damaged, self.resync = [], False, "none"
        if self.job != "RepairReplication":
            self.protection, self.failover = "protected", "none"
            self.direction = "forward" if self.active == "primary" else "reverse"
        self.points = []
        self.cut_point()

    def ship(self) -> bool:
        """The oldest write of the change log reaches the passive side."""
        idle = self.follows() and self.job is None and self.resync == "none" and not self.log_damaged
        if not (idle and self.log and self.can_ship()):
            return False
        disk, block, data = self.log.pop(0)
        put(self.sides[self.passive], disk, block, data)
        return True

    def cut_if_new(self) -> bool:
        idle = self.follows() and self.job is None and self.resync == "none" and self.up(self.passive)
        if not idle or self.points[-1].position == self.sides[self.passive].position:
            return False
        self.cut_point()
        return True

    def cut_point(self) -> None:
        replica = self.sides[self.passive]
        self.cut += 1
        self.points.append(RecoveryPoint(f"rp-{self.cut}", replica.position, copied(replica.disks)))

    def fail_over(self) -> None:
        """The other side becomes the machine, with the content of the chosen point."""
        target = self.sides[self.passive]
        if self.chosen == "latest" and self.points[-1].position != target.position:
            self.cut_point()
        point = next((one for one in self.points if one.id == self.chosen), self.points[-1])
        self.received = target.position
        self.used, self.fork, self.loss = point.id, point.position, None
        target.disks, target.position, target.running = copied(point.disks), point.position, True
        self.active = self.passive
        self.protection, self.failover, self.contacted = "none", "unplanned", False
        self.log, self.log_damaged, self.resync = [], False, "none"

    def commit(self) -> None:
        self.points = []
        back = self.active == "primary"
        self.failover = "none" if back else "committed"
        self.direction = "forward" if back else self.direction

    def end(self) -> None:
        self.points, self.log, self.log_damaged, self.resync = [], [], False, "none"
        self.protection = "none"
        self.failover = "completed" if self.active == "recovery" else "none"
        self.direction = self.direction if self.active == "recovery" else "forward"

    # ------------------------------------------------------------------------------------------------------------- the world

    def write(self, name: str, disk: int, block: int, data: bytes, cached: bool) -> bool:
        side = self.sides.get(name)
        if side is None or not side.running:  # there are no test failovers in this flow, so no copy to write to
            return False
        side.cache.append((disk, block, data))
        if not cached:  # a plain write takes with it what is in the cache, first in, first out
            for one in side.cache:
                put(side, *one)
                if name == self.active and self.follows():
                    self.log.append(one)
            side.cache = []
        return True

    def power_lost(self) -> None:
        for name, side in self.sides.items():
            if not self.up(name):
                side.boots, side.running, side.cache = side.boots or side.running, False, []

    def power_on(self, name: str) -> bool:
        side = self.sides[name]
        knows_better = name != self.active and self.contacted
        if knows_better or not self.up(name):
            return False
        side.running, side.boots = True, False
        return True

    def damage_log(self) -> None:
        if self.follows():
            self.log, self.log_damaged = [], True

    # --------------------------------------------------------------------------------------------------------------- looking

    def content(self, where: str) -> Disks:
        """The disks of a side, or of a point."""
        if where in self.sides:
            return self.sides[where].disks
        return next(one.disks for one in self.points if one.id == where)

    def observe(self) -> Observation:
        operations = (
            "Commit", "DisableProtection", "EnableProtection", "RepairReplication", "ReverseReplicate", "UnplannedFailover",
        )  # fmt: skip
        return Observation(
            protection=self.protection,
            active=self.active,
            direction=self.direction,
            failover=self.failover,
            job=self.job,
            allowed_operations=tuple(one for one in operations if not self.refusal(one)),
            points=tuple((one.id, "crash-consistent") for one in self.points),
            failover_point=self.used if self.failover == "unplanned" else None,
            received=self.received,
            loss=self.loss,
            alerts=("StaleSideFenced",) if self.alerted else (),
            running=(self.sides["primary"].running, self.sides["recovery"].running),
            test="none",
            resync=self.resync,
        )


def copied(disks: Disks) -> Disks:
    return [bytearray(one) for one in disks]


def put(side: Side, disk: int, block: int, data: bytes) -> None:
    """A write reaches a side's disk."""
    side.disks[disk][block * BLOCK : (block + 1) * BLOCK] = data
    side.position += 1
