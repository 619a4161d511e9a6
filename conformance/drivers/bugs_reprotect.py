"""Seeded bugs of the way back: reverse replication, failback, and the resynchronisation of sides that have come apart."""

from __future__ import annotations

from siteproof.conformance.drivers.bugs_common import (
    COORDINATORS,
    FLOWS,
    H2A,
    H2A_SITE,
    H2S,
    P2A,
    REVERSED,
    SCOUT,
    V2A,
    Bug,
    mixed,
    put_content,
    whole_content,
)  # fmt: skip
from siteproof.impl.control import Job, StepResult
from siteproof.impl.coordinator import ConfigurationServer, Coordinator, Provider
from siteproof.impl.values import PRIMARY, Operation, other

__all__ = ["BUGS"]

FAMILY = "reprotect and failback"


class _ShipsNothing(Coordinator):
    def step_prepare_reverse(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        if not self.reach.data_path() or self.record.stale is not None:
            return StepResult.WAIT
        source = self.sides[self.record.active]
        source.agent.start_tracking(self.record.epoch, source.host.acknowledged)
        self.open_session(self.record.active, received=source.host.acknowledged, fresh=False)
        return StepResult.DONE


class _TrustsTheOldSource(Coordinator):
    def resync_compares(self) -> bool:
        agent = self.sides[self.record.active].agent
        if not agent.tracking:
            agent.start_tracking(self.record.epoch, self.sides[self.record.active].host.acknowledged)
        return False


class _ChangedPointIsInStep(Coordinator):
    def step_change_point(self, job: Job, now: float) -> StepResult:
        in_step, tracking = self.record.in_step, self.sides[self.record.active].agent.tracking
        result = super().step_change_point(job, now)
        if result is StepResult.DONE and in_step and tracking:
            at = self.sides[self.record.active]
            at.agent.start_tracking(self.record.epoch, at.host.acknowledged)
            self.record.in_step = True
        return result


class _DoneBeforeDrained(Coordinator):
    def step_copy(self, job: Job, now: float) -> StepResult:
        if job.operation == Operation.REVERSE:
            return StepResult.DONE
        return super().step_copy(job, now)


class _DirectionStays(Coordinator):
    def step_finish_reverse(self, job: Job, now: float) -> StepResult:
        direction = self.record.direction
        result = super().step_finish_reverse(job, now)
        self.record.direction = direction
        return result


class _FailbackSkipsTheRest(Provider):
    """Stop and switch are one step."""

    skips = False

    def step_stop_source(self, job: Job, now: float) -> StepResult:
        result = super().step_stop_source(job, now)
        if result is StepResult.DONE and self.flow.copies_back(job.operation, self.record.active):
            job.step = len(self.steps(job.operation)) - 1
            self.skips = True
            result = self.step_failback_switch(job, now)
            self.skips = False
        return result

    def is_drained(self) -> bool:
        return self.skips or super().is_drained()


class _StillProtected(ConfigurationServer):
    def step_commit_second_half(self, job: Job, now: float) -> StepResult:
        result = super().step_commit_second_half(job, now)
        if result is StepResult.DONE and self.record.active == PRIMARY:
            self.record.protection = "protected"
        return result


class _ResyncFromReplica(Coordinator):
    def step_begin_comparing(self, job: Job, now: float) -> StepResult:
        result = super().step_begin_comparing(job, now)
        if result is StepResult.DONE:
            active, passive = self.sides[self.record.active], self.sides[other(self.record.active)]
            put_content(active.host.disks, whole_content(passive.host.disks))
        return result


class _ResyncDropsPoints(Coordinator):
    def step_begin_merging(self, job: Job, now: float) -> StepResult:
        result = super().step_begin_merging(job, now)
        if result is StepResult.DONE:
            self.sides[other(self.record.active)].target.delete_points()
        return result


class _ResyncKeepsPoints(Coordinator):
    def step_merge(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        side = other(self.record.active)
        if not self.reach.up(side):
            return StepResult.WAIT
        if not self.sides[side].target.merge(1024):
            return StepResult.AGAIN
        self.cut(side, now)
        self.record.resync = "none"
        return StepResult.DONE


class _ResyncShipsNothing(Coordinator):
    def step_begin_comparing(self, job: Job, now: float) -> StepResult:
        result = super().step_begin_comparing(job, now)
        if result is StepResult.DONE:
            self.sides[self.record.active].agent.copy = None
        return result


class _ResyncTracksLate(Coordinator):
    def step_begin_comparing(self, job: Job, now: float) -> StepResult:
        result = super().step_begin_comparing(job, now)
        if result is StepResult.DONE:
            self.sides[self.record.active].agent.tracking = False
        return result

    def step_catch_up(self, job: Job, now: float) -> StepResult:
        at = self.sides[self.record.active]
        if job.operation == Operation.REPAIR and not at.agent.tracking:
            at.agent.tracking = True
            at.agent.shipped = at.agent.last_tracked = job.goal = at.host.acknowledged
            self.sides[other(self.record.active)].target.received = job.goal
        return super().step_catch_up(job, now)


class _CancelledResyncIsMerged(Coordinator):
    def cancel_resync(self) -> None:
        target = self.sides[other(self.record.active)].target
        while not target.merge(1024):
            pass
        super().cancel_resync()


class _FailoverForgetsResync(Coordinator):
    def cancel_resync(self) -> None:
        super().cancel_resync()
        self.record.resync = "none"


class _WritesOfTheWayBack(Coordinator):
    """Tracking for the way back begins when the copy is there."""

    def step_prepare_reverse(self, job: Job, now: float) -> StepResult:
        result = super().step_prepare_reverse(job, now)
        at = self.sides[self.record.active]
        if result is StepResult.DONE and at.agent.copying:
            at.agent.tracking = False
        return result

    def step_catch_up(self, job: Job, now: float) -> StepResult:
        at = self.sides[self.record.active]
        if job.operation in (Operation.REVERSE, Operation.PLANNED) and not at.agent.tracking:
            at.agent.tracking = True
            at.agent.shipped = at.agent.last_tracked = job.goal = at.host.acknowledged
            self.sides[other(self.record.active)].target.received = job.goal
        return super().step_catch_up(job, now)


BUGS: tuple[Bug, ...] = (
    Bug(
        "reverse-ships-nothing", FAMILY, "medium",
        "Reverse replication starts to follow new changes and declares the machine protected without resynchronising it.",
        ("V2A-49", "H2S-31"), ("P1", "P2", "P4", "P8", "P20"), REVERSED, 9, mixed(_ShipsNothing, COORDINATORS),
    ),
    Bug(
        "old-source-trusted", FAMILY, "medium",
        "After an unplanned failover the old source counts as in step: what it had and the new side has not is never undone.",
        ("V2A-49", "H2S-31"), ("P1", "P2", "P4", "P8", "P20"), REVERSED, 9, mixed(_TrustsTheOldSource, COORDINATORS),
    ),
    Bug(
        "changed-point-counts-as-in-step", FAMILY, "hard",
        "A planned failover, then a change to an older point: the way back still sends tracked writes alone, though the sides "
        "may differ anywhere.",
        ("H2S-28", "H2S-31"), ("P1", "P2", "P4", "P8", "P20"), (H2S,), 11, mixed(_ChangedPointIsInStep, COORDINATORS),
    ),
    Bug(
        "reprotected-before-drained", FAMILY, "medium",
        "Reverse replication is reported as completed before the resynchronisation has begun; the next move loses data.",
        ("V2A-49", "H2S-31"), ("P1", "P2", "P4", "P8", "P20"), REVERSED, 10, mixed(_DoneBeforeDrained, COORDINATORS),
    ),
    Bug(
        "direction-not-turned", FAMILY, "medium",
        "Reverse replication is done, and the record still says forward: the next job would run from old to new.",
        ("V2A-49", "H2S-31"), ("P12",), REVERSED, 8, mixed(_DirectionStays, COORDINATORS),
    ),
    Bug(
        "failback-skips-the-rest", FAMILY, "hard",
        "The failback that copies by itself stops the machine and switches; what the stop has flushed stays in Azure.",
        ("H2A-44", "H2A-46"), ("P1",), (H2A, H2A_SITE), 9, {"provider": _FailbackSkipsTheRest},
    ),
    Bug(
        "shown-as-protected-after-failback", FAMILY, "medium",
        "A committed failback ends replication, and the machine is still shown as protected.",
        ("V2A-52",), ("P7", "P8", "P18"), (V2A, P2A, SCOUT), 12, {"configuration-server": _StillProtected},
    ),
    Bug(
        "writes-during-reverse-lost", FAMILY, "hard",
        "The way back is tracked from the end of its copy on: what users wrote meanwhile is on one side only.",
        ("V2A-49", "H2S-31"), ("P1", "P2", "P4", "P8", "P9", "P19"), FLOWS, 10, mixed(_WritesOfTheWayBack, COORDINATORS),
    ),
    Bug(
        "resync-from-the-replica", FAMILY, "medium",
        "The resynchronisation goes the wrong way round: the running machine is overwritten with its old replica.",
        ("V2A-29", "H2S-21"), ("P4", "P8", "P20", "P21"), FLOWS, 6, mixed(_ResyncFromReplica, COORDINATORS),
    ),
    Bug(
        "resync-drops-points-early", FAMILY, "medium",
        "The old recovery points go when merging begins, the new one comes when it ends: a disaster in between finds none.",
        ("V2A-29", "H2S-21"), ("P4", "P10"), FLOWS, 5, mixed(_ResyncDropsPoints, COORDINATORS),
    ),
    Bug(
        "resync-keeps-old-points", FAMILY, "medium",
        "The resynchronisation ends, and the old points stay, although the replica below them has been written over.",
        ("V2A-29", "H2S-21"), ("P4", "P10"), FLOWS, 5, mixed(_ResyncKeepsPoints, COORDINATORS),
    ),
    Bug(
        "resync-ships-nothing", FAMILY, "medium",
        "The resynchronisation starts a new log and compares nothing: whatever called for it is still missing.",
        ("V2A-29", "H2S-21"), ("P1", "P2", "P4", "P8", "P20"), FLOWS, 6, mixed(_ResyncShipsNothing, COORDINATORS),
    ),
    Bug(
        "resync-tracks-late", FAMILY, "hard",
        "Writes made while a resynchronisation compares are not tracked; a block that was compared already stays different.",
        ("V2A-29", "H2S-21"), ("P1", "P2", "P4", "P8", "P9", "P19"), FLOWS, 7, mixed(_ResyncTracksLate, COORDINATORS),
    ),
    Bug(
        "cancelled-resync-is-merged", FAMILY, "hard",
        "A failover ends a resynchronisation that compares, and half of what it had staged is merged into the replica first.",
        ("V2A-29", "H2S-21"), ("P2", "P4", "P10", "P20"), FLOWS, 8, mixed(_CancelledResyncIsMerged, COORDINATORS),
    ),
    Bug(
        "failover-forgets-resync", FAMILY, "hard",
        "An unplanned failover that is asked for clears the call for a resynchronisation at once; where it does not get "
        "through, nobody knows any more that the replica lacks writes.",
        ("V2A-29", "H2S-21"), ("P9",), FLOWS, 4, mixed(_FailoverForgetsResync, COORDINATORS),
    ),
)  # fmt: skip
