"""Seeded bugs of failover, commit and test failover: who is the machine, with what content, and what stays behind."""

from __future__ import annotations

from siteproof.conformance.drivers.bugs_common import (
    AZURE,
    COORDINATORS,
    FLOWS,
    PLANNED,
    TARGETS,
    TESTED,
    Bug,
    mixed,
    put_content,
    whole_content,
)  # fmt: skip
from siteproof.impl.control import Job, StepResult
from siteproof.impl.coordinator import Coordinator, Provider
from siteproof.impl.target import ReplicationTarget
from siteproof.impl.testfailover import IsolatedCopy
from siteproof.impl.values import Operation, Point, other
from siteproof.impl.vm_host import VmHost

__all__ = ["BUGS"]

FAMILY = "failover and commit"


class _SwitchesBeforeDrain(Provider):
    def step_stop_source(self, job: Job, now: float) -> StepResult:
        result = super().step_stop_source(job, now)
        if result is StepResult.DONE and not self.flow.copies_back(job.operation, self.record.active):
            job.step = len(self.steps(job.operation)) - 1
            result = self.step_planned_switch(job, now)
        return result

    def is_drained(self) -> bool:
        return True


class _LastPointWillDo(Provider):
    def step_planned_switch(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        result = self.may_switch()
        if result is StepResult.DONE:
            side = other(self.record.active)
            target = self.sides[side].target
            point = target.points[-1]
            target.branch_at(point)
            self.hand_over(point.sequence)
            if not self.flow.planned_leaves_protected:
                self.record.protection = "none"
        return result


class _NoFence(Coordinator):
    def contact(self) -> None:
        stale = self.record.stale
        if stale is not None and self.reach.in_contact():
            self.record.loss = self.count_loss(self.sides[stale].host)
            self.record.stale = None


class _FenceIsSilent(Coordinator):
    def raise_alert(self, name: str) -> None:
        if name != "StaleSideFenced":
            super().raise_alert(name)


class _FencedButRunning(VmHost):
    def fence(self, epoch: int) -> bool:
        running = self.guest.running
        ran = super().fence(epoch)
        self.guest.running = running
        return ran


class _OldSourceMayStart(Coordinator):
    def hand_over(self, sequence: int) -> None:
        source = self.sides[self.record.active].host
        super().hand_over(sequence)
        source.authority = True


class _DisableForgetsStale(Coordinator):
    def step_end_replication(self, job: Job, now: float) -> StepResult:
        if job.operation == Operation.DISABLE:
            self.record.stale = None
        return super().step_end_replication(job, now)


class _RunsOnTheReplica(Coordinator):
    def step_unplanned_switch(self, job: Job, now: float) -> StepResult:
        side = other(self.record.active)
        disks = self.sides[side].host.disks
        content = whole_content(disks) if job.chosen is not None else []
        result = super().step_unplanned_switch(job, now)
        if result is StepResult.DONE:
            put_content(disks, content)
        return result


class _FailedMoveStopsReplication(Provider):
    def fail_job(self, job: Job) -> None:
        self.halt_replication()
        super().fail_job(job)


class _CommitKeepsPoints(Coordinator):
    def step_commit_second_half(self, job: Job, now: float) -> StepResult:
        kept = self.record.points_at
        result = super().step_commit_second_half(job, now)
        if result is StepResult.DONE:
            self.record.points_at = kept
        return result


class _PointsStay(ReplicationTarget):
    def delete_points(self) -> None:
        """Keeps them at the active side; a replica's own, at the end of a resynchronisation, go."""
        if self.accepting:
            super().delete_points()


class _CommitDoneOnOneSide(Coordinator):
    def step_commit_second_half(self, job: Job, now: float) -> StepResult:
        if not self.reach.up(self.record.active):
            self.record.failover = "committed"
            self.record.committing = False
            return StepResult.DONE
        return super().step_commit_second_half(job, now)


class _CommitGivesUp(Coordinator):
    def step_commit_second_half(self, job: Job, now: float) -> StepResult:
        if not self.reach.up(self.record.active):
            self.record.committing = False
            return StepResult.FAILED
        return super().step_commit_second_half(job, now)


class _CommitDropsWrites(Coordinator):
    def step_commit_second_half(self, job: Job, now: float) -> StepResult:
        at, name = self.sides[self.record.active], self.record.failover_point
        point = at.target.find(name) if name is not None else None
        if point is not None and self.reach.up(self.record.active):
            at.target.branch_at(point)
        return super().step_commit_second_half(job, now)


class _CommitDeletesTheSource(Coordinator):
    def step_commit_second_half(self, job: Job, now: float) -> StepResult:
        result = super().step_commit_second_half(job, now)
        if result is StepResult.DONE and self.reach.in_contact():
            disks = self.sides[other(self.record.active)].host.disks
            put_content(disks, [bytes(size) for size in disks.sizes])
        return result


class _FencesTheRestarted(Provider):
    def source_is_off(self) -> bool:
        return True


class _MigrationKeeps(Coordinator):
    def step_end_replication(self, job: Job, now: float) -> StepResult:
        kept = self.record.points_at if job.operation == Operation.MIGRATE else None
        result = super().step_end_replication(job, now)
        self.record.points_at = kept
        return result

    def clean_side(self, side: str) -> None:
        self.sides[side].agent.stop_tracking()
        self.sides[side].target.halt()


class _ChangeKeepsWrites(Coordinator):
    def step_change_point(self, job: Job, now: float) -> StepResult:
        disks = self.sides[self.record.active].host.disks
        content = whole_content(disks)
        result = super().step_change_point(job, now)
        if result is StepResult.DONE:
            put_content(disks, content)
        return result


class _TestOnReplica(Coordinator):
    def make_copy(self, side: str, point: Point) -> IsolatedCopy:  # noqa: ARG002
        return IsolatedCopy(self.sides[side].host.disks, lambda _: None)


class _TestOfTheReplica(Coordinator):
    def make_copy(self, side: str, point: Point) -> IsolatedCopy:  # noqa: ARG002
        disks = self.sides[side].host.disks
        return IsolatedCopy(disks.overlay("test"), disks.remove)


class _CleanupNeedsBoth(Coordinator):
    def step_delete_copy(self, job: Job, now: float) -> StepResult:
        if not self.reach.in_contact():
            return StepResult.WAIT
        return super().step_delete_copy(job, now)


class _CleanupMerges(Coordinator):
    def step_delete_copy(self, job: Job, now: float) -> StepResult:
        side = other(self.record.active)
        if self.copy is not None and self.reach.up(side):
            put_content(self.sides[side].host.disks, whole_content(self.copy.disks))
        return super().step_delete_copy(job, now)


class _TestIsTheMachine(Coordinator):
    """The copy of a test failover gets the machine's own name, and its site stops the former one."""

    def step_start_copy(self, job: Job, now: float) -> StepResult:
        result = super().step_start_copy(job, now)
        if result is StepResult.DONE and self.reach.in_contact():
            self.sides[self.record.active].host.power_off()
        return result


BUGS: tuple[Bug, ...] = (
    Bug(
        "switch-before-drain", FAMILY, "medium",
        "A planned failover stops the source and switches at once; what the stop had flushed is still on the way.",
        ("H2S-25",), ("P1",), PLANNED, 5, {"provider": _SwitchesBeforeDrain},
    ),
    Bug(
        "switch-to-the-last-point", FAMILY, "medium",
        "A planned failover drains, and then switches to the last periodic point instead of cutting one.",
        ("H2S-25",), ("P1",), PLANNED, 5, {"provider": _LastPointWillDo},
    ),
    Bug(
        "no-fence-on-return", FAMILY, "medium",
        "The old source comes back after an unplanned failover and is not stopped: two machines serve the same users.",
        ("H2S-31",), ("P3",), FLOWS, 5, mixed(_NoFence, COORDINATORS),
    ),
    Bug(
        "fenced-in-the-record-only", FAMILY, "medium",
        "The returning source is told that it is not the machine, and loses its authority; nobody stops the guest that runs.",
        ("H2S-31",), ("P3",), FLOWS, 6, {"vm-host": _FencedButRunning},
    ),
    Bug(
        "fencing-not-reported", FAMILY, "medium",
        "The old source was running and is stopped on contact, and no alert says so: its users wonder where their writes "
        "went.",
        ("H2S-31",), ("P3",), FLOWS, 6, mixed(_FenceIsSilent, COORDINATORS),
    ),
    Bug(
        "old-source-may-start", FAMILY, "medium",
        "After a planned failover the stopped source still believes that it is the machine; anybody can start it beside the "
        "new one.",
        ("H2S-24", "H2S-31"), ("P1", "P3"), PLANNED, 5, mixed(_OldSourceMayStart, COORDINATORS),
    ),
    Bug(
        "disabling-forgets-the-old-source", FAMILY, "hard",
        "Protection is disabled after a failover, before the burnt site is back. When it is, nobody knows any more that the "
        "machine there has to be fenced.",
        ("V2A-52", "H2S-27"), ("P2", "P3"), FLOWS, 9, mixed(_DisableForgetsStale, COORDINATORS),
    ),
    Bug(
        "runs-on-the-live-replica", FAMILY, "medium",
        "A failover to an older point starts the replica as it is: the corruption that one wanted to leave behind comes "
        "along.",
        ("V2A-43", "H2S-27"), ("P2", "P20"), FLOWS, 6, mixed(_RunsOnTheReplica, COORDINATORS),
    ),
    Bug(
        "failed-move-ends-replication", FAMILY, "medium",
        "A planned failover fails and is rolled back, but for replication, which stays off while the machine is shown as "
        "protected.",
        ("H2S-25", "H2A-36"), ("P4", "P8", "P19"), PLANNED, 8, {"provider": _FailedMoveStopsReplication},
    ),
    Bug(
        "commit-keeps-points", FAMILY, "easy",
        "Commit leaves the other recovery points advertised, and somebody fails over to one of them a week later.",
        ("V2A-47", "H2S-29"), ("P4", "P7"), FLOWS, 6, {**mixed(_CommitKeepsPoints, COORDINATORS), **mixed(_PointsStay, TARGETS)},
    ),
    Bug(
        "commit-done-on-one-side", FAMILY, "hard",
        "The site of the machine is down when the commit comes to its second half, which is skipped: committed, with all "
        "points.",
        ("V2A-47", "H2S-29"), ("P7", "P16"), FLOWS, 7, mixed(_CommitDoneOnOneSide, COORDINATORS),
    ),
    Bug(
        "commit-gives-up", FAMILY, "hard",
        "A commit that was begun and meets a fault is dropped, instead of going on when the fault is over.",
        ("V2A-47", "H2S-29"), ("P7", "P16"), FLOWS, 7, mixed(_CommitGivesUp, COORDINATORS),
    ),
    Bug(
        "commit-drops-writes", FAMILY, "medium",
        "Commit flattens the recovery point that was chosen, not the disks that have been at work since: what users wrote is "
        "gone.",
        ("V2A-47", "H2S-29"), ("P2", "P4", "P7", "P20", "P21"), FLOWS, 7, mixed(_CommitDropsWrites, COORDINATORS),
    ),
    Bug(
        "commit-deletes-the-source", FAMILY, "medium",
        "Commit cleans the old source up before the machine is protected again: the only other copy is gone.",
        ("V2A-48", "V2A-49", "H2S-30"), ("P21",), FLOWS, 6, mixed(_CommitDeletesTheSource, COORDINATORS),
    ),
    Bug(
        "restarted-source-is-fenced", FAMILY, "hard",
        "Somebody starts the source again in the middle of a planned failover; it is fenced at the switch instead of stopped "
        "before, and what its guest has in the cache is gone.",
        ("H2S-24", "H2S-25", "H2A-35"), ("P1",), PLANNED, 7, mixed(_FencesTheRestarted, COORDINATORS[1:]),
    ),
    Bug(
        "migration-keeps-points", FAMILY, "medium",
        "A migration is completed, and its recovery points stay: they cost money, and somebody will fail over to one.",
        ("V2A-47", "H2A-40"), ("P4", "P7"), AZURE, 6, mixed(_MigrationKeeps, COORDINATORS),
    ),
    Bug(
        "change-of-point-keeps-writes", FAMILY, "medium",
        "A failover went to a corrupted point, and an older one is chosen. The machine says that it is there, and runs on the "
        "disks that it had.",
        ("V2A-47", "H2S-29"), ("P1", "P2", "P20"), TESTED, 7, mixed(_ChangeKeepsWrites, COORDINATORS),
    ),
    Bug(
        "test-on-the-replica", FAMILY, "medium",
        "The copy of a test failover runs on the replica's own disk: what the test writes is in the next recovery points.",
        ("GEN-16", "H2S-22"), ("P4", "P6", "P20"), TESTED, 5, mixed(_TestOnReplica, COORDINATORS),
    ),
    Bug(
        "test-of-the-replica", FAMILY, "medium",
        "A test failover is made from the replica as it is, not from the point that was named: what was tested is not what "
        "will run.",
        ("GEN-16", "H2S-22"), ("P4", "P6"), TESTED, 5, mixed(_TestOfTheReplica, COORDINATORS),
    ),
    Bug(
        "cleanup-needs-primary", FAMILY, "hard",
        "Cleaning up a test failover waits for the primary site, which has burnt down: no real failover is possible any more.",
        ("GEN-16", "H2S-22"), ("P6", "P19"), TESTED, 6, mixed(_CleanupNeedsBoth, COORDINATORS),
    ),
    Bug(
        "cleanup-merges-the-test", FAMILY, "hard",
        "Cleaning up a test failover merges the copy's disks into the replica, as if it were any other snapshot: what the "
        "test wrote is in the next recovery points.",
        ("GEN-16", "H2S-22"), ("P4", "P6", "P20"), TESTED, 7, mixed(_CleanupMerges, COORDINATORS),
    ),
    Bug(
        "test-stops-the-machine", FAMILY, "easy",
        "The copy of a test failover comes up on the production network under the machine's name, and the machine is shut "
        "down.",
        ("GEN-16", "H2S-22"), ("P3", "P6"), TESTED, 4, mixed(_TestIsTheMachine, COORDINATORS),
    ),
)  # fmt: skip
