"""Seeded bugs of recovery points: which one a failover takes, what is reported of it, and which ones retention removes."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from siteproof.conformance.drivers.bugs_common import COORDINATORS, FLOWS, H2S, PLANNED, TARGETS, TESTED, Bug, mixed
from siteproof.impl.control import Job, StepResult
from siteproof.impl.coordinator import Coordinator
from siteproof.impl.retention import to_prune
from siteproof.impl.target import ReplicationTarget
from siteproof.impl.values import Point, other
from siteproof.impl.vm_host import VmHost

__all__ = ["BUGS"]

FAMILY = "RPO and retention"


class _LatestUnprocessed(Coordinator):
    def choose_point(self, job: Job, now: float) -> Point | None:
        target = self.sides[other(self.record.active)].target
        return target.points[-1] if job.point in (None, "latest") else super().choose_point(job, now)


class _CountsFromReceived(Coordinator):
    def count_loss(self, host: VmHost) -> int:
        return host.acknowledged - (self.record.received or 0)


class _LossNeverCounted(Coordinator):
    def contact(self) -> None:
        stale, known = self.record.stale, self.record.loss
        super().contact()
        if stale is not None and self.record.stale is None:
            self.record.loss = known


class _LossOfTheFirstPoint(Coordinator):
    def step_change_point(self, job: Job, now: float) -> StepResult:
        known = self.record.loss
        result = super().step_change_point(job, now)
        self.record.loss = known
        return result


class _ReceivedIsThePoint(Coordinator):
    def step_unplanned_switch(self, job: Job, now: float) -> StepResult:
        result = super().step_unplanned_switch(job, now)
        if result is StepResult.DONE and job.chosen is not None:
            self.record.received = job.chosen.sequence
        return result


class _StagingCounts(Coordinator):
    def held(self, target_side: str) -> int:
        return self.sides[target_side].target.received

    def cancel_resync(self) -> None:
        target = self.sides[other(self.record.active)].target
        received = target.received
        super().cancel_resync()
        target.received = received


class _PinsNothing(ReplicationTarget):
    def points_to_prune(self, now: float, retention: float, in_use: Collection[str]) -> list[Point]:  # noqa: ARG002
        return to_prune(self.points, now, retention, (), thins=self.thins)


class _NewestGoes(ReplicationTarget):
    def points_to_prune(self, now: float, retention: float, in_use: Collection[str]) -> list[Point]:
        """A full store makes room at the wrong end."""
        full = [p for p in self.points[3:] if p.id not in in_use]
        return full or super().points_to_prune(now, retention, in_use)


class _AllGetOld(ReplicationTarget):
    def points_to_prune(self, now: float, retention: float, in_use: Collection[str]) -> list[Point]:
        return [p for p in self.points if now - p.cut_at > retention and p.id not in in_use]


class _OnlyNewest(ReplicationTarget):
    def points_to_prune(self, now: float, retention: float, in_use: Collection[str]) -> list[Point]:  # noqa: ARG002
        return [p for p in self.points[:-1] if p.id not in in_use]


class _EverySecond(ReplicationTarget):
    def points_to_prune(self, now: float, retention: float, in_use: Collection[str]) -> list[Point]:  # noqa: ARG002
        return [p for p in self.points[-2:0:-2] if p.id not in in_use]


class _MinutesForHours(ReplicationTarget):
    def points_to_prune(self, now: float, retention: float, in_use: Collection[str]) -> list[Point]:
        return to_prune(self.points, now, retention / 60, in_use, thins=False)


class _RetentionNeverWaits(Coordinator):
    def expire(self, now: float) -> None:
        side = self.record.points_at
        if side is not None and self.reach.up(side):
            self.sides[side].target.prune(now, self.policy.retention_hours * 3600, self.record.pinned)


class _OffByOne(Coordinator):
    def choose_point(self, job: Job, now: float) -> Point | None:
        chosen = super().choose_point(job, now)
        points = self.sides[other(self.record.active)].target.points
        if chosen is None or job.point in (None, "latest"):
            return chosen
        return points[max(0, points.index(chosen) - 1)]


class _NamesTheNewest(Coordinator):
    def note_failover(self, side: str, kind: str, point: Point | None) -> None:
        super().note_failover(side, kind, point)
        if point is not None:
            self.record.failover_point = self.sides[side].target.points[-1].id


class _CutsDuringCopy(Coordinator):
    def step_copy(self, job: Job, now: float) -> StepResult:
        result = super().step_copy(job, now)
        if result is StepResult.DONE and self.session is not None:
            self.cut(other(self.session), now)
        return result


class _CalledAppConsistentLater(ReplicationTarget):
    def cut_point(self, name: str, now: float) -> Point:
        self.points = [attrs.evolve(point, kind="app-consistent") for point in self.points]
        return super().cut_point(name, now)


class _AnyKindWillDo(Coordinator):
    def pin(self, job: Job) -> None:
        if job.point == "latest-app-consistent":
            job.point = "latest-processed"
        super().pin(job)


class _LatestProcessedIsOldest(Coordinator):
    def pin(self, job: Job) -> None:
        if job.point == "latest-processed" and self.record.points_at is not None:
            job.point = self.sides[self.record.points_at].target.points[0].id
        super().pin(job)


class _PruneReleasesSharedCut(ReplicationTarget):
    def prune(self, now: float, retention: float, in_use: Collection[str]) -> None:
        gone = self.points_to_prune(now, retention, in_use)
        super().prune(now, retention, in_use)
        if gone and self.points:
            self._disks.release([self.points[0].position])


BUGS: tuple[Bug, ...] = (
    Bug(
        "latest-unprocessed", FAMILY, "medium",
        "A failover to “latest” takes the newest point there is and leaves what was received after it.",
        ("V2A-43",), ("P2",), FLOWS, 6, mixed(_LatestUnprocessed, COORDINATORS),
    ),
    Bug(
        "loss-counted-from-received", FAMILY, "medium",
        "After a failover to an older point the reported loss counts from what was received, not from the point.",
        ("H2S-27",), ("P2",), FLOWS, 6, mixed(_CountsFromReceived, COORDINATORS),
    ),
    Bug(
        "loss-never-reported", FAMILY, "medium",
        "The old source is back and fenced, and nobody counts what it had acknowledged beyond the point.",
        ("V2A-43", "H2S-27"), ("P2", "P3"), FLOWS, 4, mixed(_LossNeverCounted, COORDINATORS),
    ),
    Bug(
        "loss-of-the-first-point", FAMILY, "hard",
        "The point of a failover is changed to an older one, and the loss stays that of the first choice.",
        ("V2A-43", "H2S-27"), ("P2",), TESTED, 8, mixed(_LossOfTheFirstPoint, COORDINATORS),
    ),
    Bug(
        "received-is-the-point", FAMILY, "medium",
        "What was received is reported as what the chosen point holds: that newer data was there, and could be had, is not "
        "told.",
        ("V2A-43", "H2S-27"), ("P2",), FLOWS, 6, mixed(_ReceivedIsThePoint, COORDINATORS),
    ),
    Bug(
        "staging-counts-as-received", FAMILY, "hard",
        "A failover ends a resynchronisation that compares, and what lay in the staging area counts as received.",
        ("V2A-43", "H2S-27"), ("P2", "P4", "P10"), FLOWS, 8, mixed(_StagingCounts, COORDINATORS),
    ),
    Bug(
        "retention-takes-a-point-in-use", FAMILY, "hard",
        "Retention removes the point that a test failover runs from: its copy loses the blocks below it.",
        ("V2A-37", "H2S-22"), ("P4", "P6"), (H2S,), 5, mixed(_PinsNothing, TARGETS),
    ),
    Bug(
        "full-store-drops-the-newest", FAMILY, "easy",
        "The store of points is full and makes room at the wrong end: the newest point goes as soon as it is made.",
        ("V2A-37", "S-V2S-15", "H2S-20"), ("P4", "P8"), FLOWS, 8, mixed(_NewestGoes, TARGETS),
    ),
    Bug(
        "last-point-gets-too-old", FAMILY, "medium",
        "Replication stands still over a weekend, and retention removes point after point, the last one too.",
        ("V2A-37", "S-V2S-15", "H2S-20"), ("P4",), PLANNED, 3, mixed(_AllGetOld, TARGETS),
    ),
    Bug(
        "retention-keeps-the-newest-only", FAMILY, "easy",
        "Every new point takes the place of all older ones: nobody can go back to before yesterday's mistake.",
        ("V2A-37", "S-V2S-15", "H2S-20"), ("P4",), FLOWS, 4, mixed(_OnlyNewest, TARGETS),
    ),
    Bug(
        "retention-thins-young-points", FAMILY, "medium",
        "Points are thinned by their number, not by their age: every second one goes within its first hours.",
        ("V2A-37", "S-V2S-15", "H2S-20"), ("P4",), FLOWS, 4, mixed(_EverySecond, TARGETS),
    ),
    Bug(
        "retention-takes-hours-for-minutes", FAMILY, "medium",
        "The policy's hours are taken for minutes, and points go when they are a sixtieth as old as they may get.",
        ("V2A-37", "S-V2S-15", "H2S-20"), ("P4",), FLOWS, 4, mixed(_MinutesForHours, TARGETS),
    ),
    Bug(
        "retention-never-waits", FAMILY, "hard",
        "A failover waits for its commit, and retention goes on: the older point that one would change to is gone.",
        ("V2A-47", "H2S-29"), ("P4", "P7", "P10"), PLANNED, 5, mixed(_RetentionNeverWaits, COORDINATORS),
    ),
    Bug(
        "point-before-the-chosen", FAMILY, "medium",
        "A list that counts from 0 on one page and from 1 on the other: the failover goes to the point before the chosen one.",
        ("V2A-43", "H2S-23"), ("P2", "P6"), FLOWS, 6, mixed(_OffByOne, COORDINATORS),
    ),
    Bug(
        "failover-names-the-newest", FAMILY, "medium",
        "The job's report names the newest point, whichever one the failover used.",
        ("V2A-43", "H2S-23"), ("P2",), FLOWS, 6, mixed(_NamesTheNewest, COORDINATORS),
    ),
    Bug(
        "point-cut-before-caught-up", FAMILY, "easy",
        "A recovery point is cut when the base copy is done and the changes made meanwhile are still on the way.",
        ("GEN-11", "V2A-28", "H2S-20"), ("P4", "P10"), FLOWS, 5, mixed(_CutsDuringCopy, COORDINATORS),
    ),
    Bug(
        "latest-processed-is-the-oldest", FAMILY, "medium",
        "“Latest processed” takes the first entry of a list that was once sorted the other way round.",
        ("V2A-43", "H2S-23"), ("P1", "P2", "P6"), FLOWS, 6, mixed(_LatestProcessedIsOldest, COORDINATORS),
    ),
    Bug(
        "called-app-consistent-later", FAMILY, "easy",
        "The tag is set when the next point is made, for those before it: whatever is there by then is called application-"
        "consistent.",
        ("V2A-37",), ("P4", "P24"), FLOWS, 4, mixed(_CalledAppConsistentLater, TARGETS),
    ),
    Bug(
        "latest-app-consistent-of-any-kind", FAMILY, "hard",
        "“Latest app-consistent” takes the newest point: somebody forgot to look at the kind when there was a list of one kind.",
        ("V2A-37",), ("P2", "P6"), FLOWS, 6, mixed(_AnyKindWillDo, COORDINATORS),
    ),
    Bug(
        "pruning-frees-a-shared-cut", FAMILY, "hard",
        "Removing an old point also frees the blocks of the next one, and new changes overwrite them.",
        ("V2A-37", "S-V2S-15", "H2S-20"), ("P4", "P6"), PLANNED, 6, mixed(_PruneReleasesSharedCut, TARGETS),
    ),
)  # fmt: skip
