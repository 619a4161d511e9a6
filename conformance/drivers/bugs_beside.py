"""Seeded bugs of what lies beside the main cycle: test failover, change of point, the end of replication, resynchronisation.

Each is one override of a coordinator's step or of an agent's check, as in `bugs`.
"""

from __future__ import annotations

from siteproof.conformance.drivers.bugs_common import COORDINATORS, H2S, V2A, Bug, everywhere
from siteproof.impl.control import Job, StepResult
from siteproof.impl.coordinator import Coordinator
from siteproof.impl.diskset import DiskSet
from siteproof.impl.testfailover import IsolatedCopy
from siteproof.impl.values import BLOCK, Operation, Point, other

__all__ = ["BESIDE"]


def _whole(disks: DiskSet) -> list[bytes]:
    """All that the disks hold."""
    return [disks.read(disk, 0, size) for disk, size in enumerate(disks.sizes)]


def _put(disks: DiskSet, content: list[bytes]) -> None:
    """Make the disks hold `content`, block by block."""
    for disk, data in enumerate(content):
        for block in range(len(data) // BLOCK):
            disks.write(disk, block, data[block * BLOCK : (block + 1) * BLOCK])


def _test_on_replica(of: type[Coordinator]) -> type:
    class OnReplica(of):  # type: ignore[valid-type, misc]
        def make_copy(self, side: str, point: Point) -> IsolatedCopy:  # noqa: ARG002
            return IsolatedCopy(self.sides[side].host.disks, lambda _: None)

    return OnReplica


def _cleanup_needs_both(of: type[Coordinator]) -> type:
    class NeedsBoth(of):  # type: ignore[valid-type, misc]
        def step_delete_copy(self, job: Job, now: float) -> StepResult:
            if not self.reach.in_contact():
                return StepResult.WAIT
            result: StepResult = super().step_delete_copy(job, now)
            return result

    return NeedsBoth


def _cleanup_merges(of: type[Coordinator]) -> type:
    class Merges(of):  # type: ignore[valid-type, misc]
        def step_delete_copy(self, job: Job, now: float) -> StepResult:
            side = other(self.record.active)
            if self.copy is not None and self.reach.up(side):
                _put(self.sides[side].host.disks, _whole(self.copy.disks))
            result: StepResult = super().step_delete_copy(job, now)
            return result

    return Merges


def _change_keeps(of: type[Coordinator]) -> type:
    class Keeps(of):  # type: ignore[valid-type, misc]
        def step_change_point(self, job: Job, now: float) -> StepResult:
            disks = self.sides[self.record.active].host.disks
            content = _whole(disks)
            result: StepResult = super().step_change_point(job, now)
            if result is StepResult.DONE:
                _put(disks, content)
            return result

    return Keeps


def _disable_forgets_stale(of: type[Coordinator]) -> type:
    class Forgets(of):  # type: ignore[valid-type, misc]
        def step_end_replication(self, job: Job, now: float) -> StepResult:
            if job.operation == Operation.DISABLE:
                self.record.stale = None
            result: StepResult = super().step_end_replication(job, now)
            return result

    return Forgets


def _migration_keeps(of: type[Coordinator]) -> type:
    class Keeps(of):  # type: ignore[valid-type, misc]
        def step_end_replication(self, job: Job, now: float) -> StepResult:
            kept = self.record.points_at if job.operation == Operation.MIGRATE else None
            result: StepResult = super().step_end_replication(job, now)
            self.record.points_at = kept
            return result

        def clean_side(self, side: str) -> None:
            self.sides[side].agent.stop_tracking()
            self.sides[side].target.halt()

    return Keeps


def _resync_from_replica(of: type[Coordinator]) -> type:
    class FromReplica(of):  # type: ignore[valid-type, misc]
        def step_begin_comparing(self, job: Job, now: float) -> StepResult:
            result: StepResult = super().step_begin_comparing(job, now)
            if result is StepResult.DONE:
                active, passive = self.sides[self.record.active], self.sides[other(self.record.active)]
                _put(active.host.disks, _whole(passive.host.disks))
            return result

    return FromReplica


def _resync_drops_points(of: type[Coordinator]) -> type:
    class DropsPoints(of):  # type: ignore[valid-type, misc]
        def step_begin_merging(self, job: Job, now: float) -> StepResult:
            result: StepResult = super().step_begin_merging(job, now)
            if result is StepResult.DONE:
                self.sides[other(self.record.active)].target.delete_points()
            return result

    return DropsPoints


def _failover_forgets_resync(of: type[Coordinator]) -> type:
    class Forgets(of):  # type: ignore[valid-type, misc]
        def cancel_resync(self) -> None:
            super().cancel_resync()
            self.record.resync = "none"

    return Forgets


def _never_doubts(of: type[Coordinator]) -> type:
    class NeverDoubts(of):  # type: ignore[valid-type, misc]
        def check_tracking(self) -> None:
            source = self.sides[self.record.active]
            if self.session is not None and source.agent.resync_required:
                source.agent.start_tracking(self.record.epoch, source.host.acknowledged)

    return NeverDoubts


BESIDE: tuple[Bug, ...] = (
    Bug(
        "test-on-the-replica",
        "test failover",
        "The copy of a test failover runs on the replica's own disk: what the test writes is in the next recovery points.",
        ("GEN-16", "H2S-22"),
        ("P4", "P6", "P20"),
        (H2S,),
        5,
        everywhere(_test_on_replica, *COORDINATORS),
    ),
    Bug(
        "cleanup-needs-primary",
        "test failover",
        "Cleaning up a test failover waits for the primary site, which has burnt down: no real failover is possible any more.",
        ("GEN-16", "H2S-22"),
        ("P6", "P19"),
        (H2S,),
        6,
        everywhere(_cleanup_needs_both, *COORDINATORS),
    ),
    Bug(
        "cleanup-merges-the-test",
        "test failover",
        "Cleaning up a test failover merges the copy's disks into the replica, as if it were any other snapshot: what the test "
        "wrote is in the next recovery points.",
        ("GEN-16", "H2S-22"),
        ("P4", "P6", "P20"),
        (V2A, H2S),
        7,
        everywhere(_cleanup_merges, *COORDINATORS),
    ),
    Bug(
        "change-of-point-keeps-writes",
        "recovery points",
        "A failover went to a corrupted point, and an older one is chosen. The machine says that it is there, and runs on the "
        "disks that it had.",
        ("V2A-47", "H2S-29"),
        ("P1", "P2", "P20"),
        (V2A, H2S),
        7,
        everywhere(_change_keeps, *COORDINATORS),
    ),
    Bug(
        "disabling-forgets-the-old-source",
        "authority",
        "Protection is disabled after a failover, before the burnt site is back. When it is, nobody knows any more that the "
        "machine there has to be fenced.",
        ("V2A-52", "H2S-27"),
        ("P2", "P3"),
        (V2A, H2S),
        9,
        everywhere(_disable_forgets_stale, *COORDINATORS),
    ),
    Bug(
        "migration-keeps-points",
        "failover and commit",
        "A migration is completed, and its recovery points stay: they cost money, and somebody will fail over to one.",
        ("V2A-47", "H2A-40"),
        ("P7",),
        (V2A,),
        6,
        everywhere(_migration_keeps, *COORDINATORS),
    ),
    Bug(
        "resync-from-the-replica",
        "resynchronisation",
        "The resynchronisation goes the wrong way round: the running machine is overwritten with its old replica.",
        ("V2A-29", "H2S-21"),
        ("P4", "P8", "P20", "P21"),
        (V2A, H2S),
        6,
        everywhere(_resync_from_replica, *COORDINATORS),
    ),
    Bug(
        "resync-drops-points-early",
        "resynchronisation",
        "The old recovery points go when merging begins, the new one comes when it ends: a disaster in between finds none.",
        ("V2A-29", "H2S-21"),
        ("P4", "P10"),
        (V2A, H2S),
        5,
        everywhere(_resync_drops_points, *COORDINATORS),
    ),
    Bug(
        "failover-forgets-resync",
        "resynchronisation",
        "An unplanned failover that is asked for clears the call for a resynchronisation at once; where it does not get through, "
        "nobody knows any more that the replica lacks writes.",
        ("V2A-29", "H2S-21"),
        ("P9",),
        (V2A, H2S),
        4,
        everywhere(_failover_forgets_resync, *COORDINATORS),
    ),
    Bug(
        "damaged-log-raises-no-doubt",
        "durability and crash",
        "A change log that is found damaged is replaced by an empty one, and nobody is told: what was in it is never sent.",
        ("V2A-29", "H2S-21"),
        ("P4", "P8", "P9"),
        (V2A, H2S),
        4,
        everywhere(_never_doubts, *COORDINATORS),
    ),
)
