"""Seeded bugs of durability: what was acknowledged, tracked, sent or doubted is forgotten, in a crash or without one."""

from __future__ import annotations

from typing import Any

from siteproof.conformance.drivers.bugs_common import (
    AGENTS,
    COORDINATORS,
    FLOWS,
    PLANNED,
    TARGETS,
    TESTED,
    VIA_GATEWAY,
    Bug,
    mixed,
)  # fmt: skip
from siteproof.impl.agent import ReplicationAgent
from siteproof.impl.control import Job, StepResult
from siteproof.impl.coordinator import Coordinator, Provider
from siteproof.impl.messages import Ack, ChangeBatch, Message, Send
from siteproof.impl.process_server import ProcessServer
from siteproof.impl.target import ReplicationTarget
from siteproof.impl.testfailover import IsolatedCopy
from siteproof.impl.values import BLOCK, Operation, Point
from siteproof.impl.vm_host import VmHost

__all__ = ["BUGS"]

FAMILY = "durability and crash"


class _AcknowledgesOnHandOver(ProcessServer):
    """Acknowledges a batch when it has it, and takes its time to send it on."""

    DELAY = 30

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.waiting: dict[tuple[str, int, int], int] = {}

    def receive(self, message: Message, now: float) -> list[Send]:
        route = self.routes.get(message.machine)
        if route is None or not isinstance(message, ChangeBatch):
            return super().receive(message, now)
        key = (message.machine, message.epoch, message.number)
        waited = self.waiting.get(key, 0)
        self.waiting[key] = waited + 1
        if not waited:
            self.forward(message, route)
            return [
                Send(route.agent, Ack(message.machine, message.epoch, message.number, message.last, ())),
                Send(self.name, message),
            ]
        return super().receive(message, now) if waited >= self.DELAY else [Send(self.name, message)]

    def crash(self) -> None:
        super().crash()
        self.waiting.clear()


class _StopsBeforeFlush(Provider):
    def step_stop_source(self, job: Job, now: float) -> StepResult:
        self.sides[self.record.active].host.power_off()
        return super().step_stop_source(job, now)


class _ForgetsLogs(ReplicationAgent):
    def resend(self) -> list[Send]:
        for log in self._logs:
            log.reset()
        self.in_flight = None
        return []


class _NeverDoubts(Coordinator):
    def check_tracking(self) -> None:
        source = self.sides[self.record.active]
        if self.session is not None and source.agent.resync_required:
            source.agent.start_tracking(self.record.epoch, source.host.acknowledged)


class _OpenLogIsEmpty(ReplicationAgent):
    def recover(self) -> None:
        for log in self._logs:
            if log.recording is not None:
                log.clear(lambda one: one.recording)
        if self.tracking and not self._in_logs():
            self.shipped = self.last_tracked
        super().recover()


class _UnderWayIsThere(ReplicationAgent):
    def recover(self) -> None:
        sent = self.in_flight
        super().recover()
        if isinstance(sent, ChangeBatch) and self.tracking and not self.resync_required:
            self.in_flight = sent
            self.receive(Ack(sent.machine, sent.epoch, sent.number, sent.last), 0.0)


class _OneLogOnly(ReplicationAgent):
    def track(self, sequence: int, disk: int, block: int, data: bytes, now: float) -> None:
        if self.tracking and any(log.in_transit is not None for log in self._logs):
            self.last_tracked = self.shipped = sequence
            return
        super().track(sequence, disk, block, data, now)


class _CacheSurvives(VmHost):
    def power_fail(self) -> None:
        kept = list(self.guest.cache)
        super().power_fail()
        self.guest.cache.extend(kept)


class _LastWriteLost(ReplicationTarget):
    def apply(self, batch: ChangeBatch) -> None:
        pieces = self._contents(batch)
        for write, piece in list(zip(batch.writes, pieces, strict=True))[: max(1, len(pieces) - 1)]:
            if write.sequence > self.received:
                self._into.write(write.disk, write.offset // BLOCK, piece)
        self.received = max(self.received, batch.last)


class _CopyStaysOff(IsolatedCopy):
    def power_up(self) -> None:
        self.guest.running = False


class _CopiesStayOff(Coordinator):
    def make_copy(self, side: str, point: Point) -> IsolatedCopy:
        disks = self.sides[side].host.disks
        return _CopyStaysOff(disks.overlay("test", point.position), disks.remove)


class _FenceIsVolatile(VmHost):
    def power_fail(self) -> None:
        super().power_fail()
        if not self.authority and self.epoch > 1 and self.acknowledged:
            self.authority = True


class _TracksAfterCopy(Coordinator):
    def step_prepare_enable(self, job: Job, now: float) -> StepResult:
        result = super().step_prepare_enable(job, now)
        if result is StepResult.DONE:
            self.sides[self.record.active].agent.tracking = False
        return result

    def step_catch_up(self, job: Job, now: float) -> StepResult:
        at = self.sides[self.record.active]
        if job.operation == Operation.ENABLE and not at.agent.tracking:
            at.agent.tracking = True
            at.agent.shipped = at.agent.last_tracked = job.goal = at.host.acknowledged
            return StepResult.DONE
        return super().step_catch_up(job, now)


class _CutsNothing(ReplicationTarget):
    def cut_point(self, name: str, now: float) -> Point:
        point = Point(name, "crash-consistent", self._disks.position, self.received, now)
        self.points.append(point)
        return point


BUGS: tuple[Bug, ...] = (
    Bug(
        "acknowledged-on-hand-over", FAMILY, "hard",
        "The agent clears its log when the process server has the data, not when Azure has it; a crash of the process server "
        "then loses what was in its cache.",
        ("V2A-12", "V2A-13"), ("P1", "P2", "P4", "P8", "P19"), VIA_GATEWAY, 7, {"process-server": _AcknowledgesOnHandOver},
    ),
    Bug(
        "stop-before-flush", FAMILY, "medium",
        "The source of a planned failover is powered off instead of shut down; what the guest had in its cache is gone.",
        ("H2S-24",), ("P1", "P3"), PLANNED, 5, {"provider": _StopsBeforeFlush},
    ),
    Bug(
        "log-cleared-at-handshake", FAMILY, "medium",
        "When the link is back, source and target agree on a fresh start, and the change log is cleared before it was sent.",
        ("H2S-20", "V2A-28"), ("P1", "P2", "P4", "P8", "P19", "P20"), FLOWS, 5, mixed(_ForgetsLogs, AGENTS),
    ),
    Bug(
        "damaged-log-raises-no-doubt", FAMILY, "medium",
        "A change log that is found damaged is replaced by an empty one, and nobody is told: what was in it is never sent.",
        ("V2A-29", "H2S-21"), ("P1", "P2", "P4", "P6", "P8", "P9"), FLOWS, 4, mixed(_NeverDoubts, COORDINATORS),
    ),
    Bug(
        "open-log-taken-for-empty", FAMILY, "medium",
        "After a power cut a log that was never closed says that it ends at 0, and is taken for empty: what it held is never "
        "sent.",
        ("V2A-29", "H2S-21"), ("P1", "P2", "P4", "P8", "P9", "P19"), FLOWS, 6, mixed(_OpenLogIsEmpty, AGENTS),
    ),
    Bug(
        "under-way-taken-for-there", FAMILY, "hard",
        "A batch that was under way when the source lost power counts as delivered when the power is back.",
        ("V2A-29", "H2S-21"), ("P1", "P2", "P4", "P8", "P19"), FLOWS, 7, mixed(_UnderWayIsThere, AGENTS),
    ),
    Bug(
        "one-log-instead-of-two", FAMILY, "hard",
        "While one log is in transit there is no second one that records: a write made in that moment is not tracked.",
        ("V2A-29", "H2S-21"), ("P1", "P2", "P4", "P8", "P9", "P19"), FLOWS, 6, mixed(_OneLogOnly, AGENTS),
    ),
    Bug(
        "cache-survives-power-cut", FAMILY, "medium",
        "A guest's cached writes that a power cut has lost are still in the host's queue, and reach the disk behind newer "
        "ones.",
        ("V2A-28", "H2S-20"), ("P2", "P3", "P4", "P20", "P21"), FLOWS, 5, {"vm-host": _CacheSurvives},
    ),
    Bug(
        "last-write-of-a-batch-lost", FAMILY, "easy",
        "The target's loop over a batch ends one write too early, and acknowledges the whole batch.",
        ("V2A-28", "H2S-20"), ("P1", "P2", "P4", "P8"), FLOWS, 5, mixed(_LastWriteLost, TARGETS),
    ),
    Bug(
        "test-copy-stays-off", FAMILY, "hard",
        "The recovery site loses power during a test failover; when the power is back the copy is shown as running and is "
        "off.",
        ("GEN-16", "H2S-22"), ("P3", "P6"), TESTED, 8, mixed(_CopiesStayOff, COORDINATORS),
    ),
    Bug(
        "fence-is-volatile", FAMILY, "hard",
        "That a side is no longer the machine is kept in memory only: after a power cut a fenced source may be started again.",
        ("H2S-31", "V2A-47"), ("P1", "P3"), FLOWS, 8, {"vm-host": _FenceIsVolatile},
    ),
    Bug(
        "tracking-begins-after-the-copy", FAMILY, "medium",
        "Changes are tracked from the end of the base copy on; what was written during the copy, behind the place where it "
        "was, is nowhere.",
        ("GEN-11", "V2A-28", "H2S-20"), ("P1", "P2", "P4", "P8", "P9", "P19"), FLOWS, 4, mixed(_TracksAfterCopy, COORDINATORS),
    ),
    Bug(
        "points-follow-the-replica", FAMILY, "easy",
        "A recovery point is a name only: the next changes go straight into the blocks that it stands for.",
        ("V2A-37", "H2S-20"), ("P2", "P4"), FLOWS, 4, mixed(_CutsNothing, TARGETS),
    ),
)  # fmt: skip
