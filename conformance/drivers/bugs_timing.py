"""Seeded bugs of time: what is never tried again, waits for what will not come, gives up too early, or notices too late."""

from __future__ import annotations

from typing import Any

from siteproof.conformance.drivers.bugs_common import AGENTS, COORDINATORS, FLOWS, TARGETS, VIA_GATEWAY, Bug, mixed
from siteproof.impl.agent import ReplicationAgent
from siteproof.impl.control import Job, StepResult
from siteproof.impl.coordinator import Coordinator
from siteproof.impl.messages import ChangeBatch, Send
from siteproof.impl.process_server import ProcessServer
from siteproof.impl.target import ReplicationTarget
from siteproof.impl.values import Operation, other
from siteproof.impl.vm_host import VmHost

__all__ = ["BUGS"]

FAMILY = "timing"


class _NeverSendsAgain(ReplicationAgent):
    def resend(self) -> list[Send]:
        return []


class _WaitsForAStop(Coordinator):
    def step_try_stop(self, job: Job, now: float) -> StepResult:
        if not self.reach.in_contact():
            return StepResult.WAIT
        return super().step_try_stop(job, now)


class _NotTakenUpAgain(Coordinator):
    left: Job | None = None

    def run_step(self, now: float) -> StepResult:
        if self.job is not None and self.left is self.job:
            return StepResult.WAIT
        job, result = self.job, super().run_step(now)
        if result is StepResult.WAIT and not self.reach.data_path():
            self.left = job
        return result


class _CopyTimesOut(Coordinator):
    """A copy that a fault holds up is taken for done when its time is over."""

    def step_copy(self, job: Job, now: float) -> StepResult:
        if not self.reach.data_path() and job.operation == Operation.ENABLE:
            job.goal = self.sides[self.record.active].host.acknowledged
            return StepResult.DONE
        return super().step_copy(job, now)


class _StopsCutting(Coordinator):
    def should_cut(self) -> bool:
        return self.record.points_made < 4 and super().should_cut()


class _AlertStopsPoints(Coordinator):
    def should_cut(self) -> bool:
        return super().should_cut() and not self.record.alerts


class _FencedAtTheNextJob(Coordinator):
    def contact(self) -> None:
        if self.job is not None:
            super().contact()


class _DoubtAtTheNextJob(Coordinator):
    def check_tracking(self) -> None:
        if self.job is not None:
            super().check_tracking()


class _SessionExpires(ReplicationAgent):
    HOUR = 3600.0

    def pump(self, now: float) -> list[Send]:
        return [] if now > self.HOUR else super().pump(now)


class _RoutesDie(ProcessServer):
    def crash(self) -> None:
        super().crash()
        self.routes.clear()


class _NeverStartsByItself(VmHost):
    def starts_on_power_up(self) -> bool:
        return False


class _StartsEverybody(VmHost):
    """Power is back, and every guest that ever ran here starts."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.ever = self.authority

    def take_over(self, epoch: int, acknowledged: int) -> None:
        super().take_over(epoch, acknowledged)
        self.ever = True

    def power_up(self) -> None:
        powered = self.powered
        super().power_up()
        if not powered and self.ever:
            self.guest.running = True


class _MergeStopsAtPowerCut(Coordinator):
    def step_merge(self, job: Job, now: float) -> StepResult:
        if not self.reach.up(other(self.record.active)):
            self.cut_off = True
        if getattr(self, "cut_off", False):
            return StepResult.WAIT
        return super().step_merge(job, now)


class _AcknowledgesTooEarly(ReplicationTarget):
    """Acknowledges a batch when it comes, and applies it with the next message."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.waiting: ChangeBatch | None = None

    def apply(self, batch: ChangeBatch) -> None:
        if self._staging is not None or not batch.writes:
            super().apply(batch)
            return
        if self.waiting is not None:
            super().apply(self.waiting)
        self.waiting = batch


BUGS: tuple[Bug, ...] = (
    Bug(
        "never-sends-again", FAMILY, "medium",
        "What was on the way when the link failed is waited for, and never sent again.",
        ("V2A-28", "H2S-20", "S-V2S-24"), ("P2", "P4", "P8", "P19"), FLOWS, 5, mixed(_NeverSendsAgain, AGENTS),
    ),
    Bug(
        "failover-waits-for-the-primary", FAMILY, "medium",
        "An unplanned failover wants to stop its source in good order first, and waits until it can be reached.",
        ("V2A-43", "H2S-23"), ("P19", "P22"), FLOWS, 5, mixed(_WaitsForAStop, COORDINATORS),
    ),
    Bug(
        "job-not-taken-up-again", FAMILY, "medium",
        "A job that waits for a fault to end is not taken up again when it has ended.",
        ("V2A-27", "H2S-19"), ("P9", "P16", "P19"), FLOWS, 5, mixed(_NotTakenUpAgain, COORDINATORS),
    ),
    Bug(
        "copy-times-out-as-done", FAMILY, "medium",
        "The base copy is held up by a fault until its time is over, and counts as done.",
        ("GEN-11", "V2A-28", "H2S-20"), ("P1", "P2", "P4", "P8", "P19"), VIA_GATEWAY, 6, mixed(_CopyTimesOut, COORDINATORS),
    ),
    Bug(
        "stops-cutting-points", FAMILY, "medium",
        "After some points the scheduler has lost its timer: replication goes on, and no new point is made any more.",
        ("V2A-37", "H2S-20"), ("P4", "P8"), FLOWS, 10, mixed(_StopsCutting, COORDINATORS),
    ),
    Bug(
        "alert-stops-points", FAMILY, "hard",
        "While an alert is open no points are cut, and alerts stay open until somebody reads them.",
        ("V2A-37", "H2S-20"), ("P4", "P8"), FLOWS, 12, mixed(_AlertStopsPoints, COORDINATORS),
    ),
    Bug(
        "fenced-at-the-next-job", FAMILY, "medium",
        "The returning source is fenced when the next job runs; until then it serves users beside the machine.",
        ("H2S-31", "V2A-47"), ("P3",), FLOWS, 7, mixed(_FencedAtTheNextJob, COORDINATORS),
    ),
    Bug(
        "doubt-noticed-at-the-next-job", FAMILY, "medium",
        "A damaged log is noticed, and told when the next job runs.",
        ("V2A-29", "H2S-21"), ("P9",), FLOWS, 4, mixed(_DoubtAtTheNextJob, COORDINATORS),
    ),
    Bug(
        "session-expires", FAMILY, "easy",
        "The agent's session is good for an hour and is not renewed: replication ends without a word.",
        ("V2A-28", "H2S-20", "S-V2S-24"), ("P8", "P19"), FLOWS, 3, mixed(_SessionExpires, AGENTS),
    ),
    Bug(
        "gateway-restarts-without-routes", FAMILY, "medium",
        "The process server comes back after a crash and does not know whose data goes where.",
        ("V2A-12", "S-V2S-25"), ("P2", "P4", "P8", "P19"), VIA_GATEWAY, 6, {"process-server": _RoutesDie},
    ),
    Bug(
        "never-starts-by-itself", FAMILY, "easy",
        "Power is back at the machine's site, and it stays off until somebody comes.",
        ("V2A-48", "H2S-30"), ("P3", "P8"), FLOWS, 3, {"vm-host": _NeverStartsByItself},
    ),
    Bug(
        "everybody-starts-on-power-up", FAMILY, "hard",
        "Power is back and every guest that ever ran on the host starts, also one that was fenced.",
        ("H2S-31", "V2A-47"), ("P1", "P3"), FLOWS, 6, {"vm-host": _StartsEverybody},
    ),
    Bug(
        "merge-stops-at-a-power-cut", FAMILY, "hard",
        "The merge at the end of a resynchronisation meets a power cut at the recovery site, and does not go on.",
        ("V2A-29", "H2S-21"), ("P10", "P19"), FLOWS, 9, mixed(_MergeStopsAtPowerCut, COORDINATORS),
    ),
    Bug(
        "acknowledged-before-applied", FAMILY, "easy",
        "The target acknowledges a batch on arrival and applies it when the next one comes; a quiet machine's last writes "
        "wait.",
        ("V2A-28", "H2S-20"), ("P1", "P2", "P4", "P8", "P19"), FLOWS, 4, mixed(_AcknowledgesTooEarly, TARGETS),
    ),
)  # fmt: skip
