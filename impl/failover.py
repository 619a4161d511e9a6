"""Job steps that move the authority from one side to the other, and those that make it final.

*Switch* of a planned failover is one step in which both sides are in contact: it re-checks that the source is stopped
and drained, fences the source and hands over; so there is no moment at which both or neither could run (P1, P3). With
recovery points it cuts the last one first; a failback that copies by itself has none (H2A-44).

*Switch* of an unplanned failover needs the target site only (P22); the source is marked stale, and is fenced as soon as
it can be reached, before anything else, by :meth:`~siteproof.impl.replication.ReplicationControl.contact`.

*Change* of the point, before the commit, is one step at the active side alone: the machine stops, what it wrote since
the failover is discarded, and it runs again on a new branch that starts at the point, in a new epoch. From then on the two
sides may differ anywhere. A loss that is known already is counted again, from the new point.
"""

from __future__ import annotations

from contextlib import suppress

from .control import Job, StepResult
from .replication import ReplicationControl
from .values import PRIMARY, Point, other

__all__ = ["FailoverSteps"]


class FailoverSteps(ReplicationControl):
    """Steps of both failovers and of the commit."""

    # --------------------------------------------------------------------------------------------- planned failover

    def source_is_off(self) -> bool:
        """Whether the source is stopped: asked, not assumed."""
        return not self.sides[self.record.active].host.guest.running

    def is_drained(self) -> bool:
        """Whether everything acknowledged is on the other side."""
        source = self.sides[self.record.active]
        received = self.sides[other(self.record.active)].target.received
        return self.ready and source.agent.drained(source.host.acknowledged, received)

    def step_stop_source(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Orderly stop of the source; its cached writes are flushed first (H2S-24, H2A-35)."""
        if not self.may_replicate():
            return StepResult.FAILED
        try:
            self.sides[self.record.active].host.stop(now)
        except OSError:
            self.check_tracking()
            return StepResult.FAILED
        return StepResult.DONE

    def step_drain(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Wait until everything acknowledged is on the other side."""
        if not self.may_replicate():
            return StepResult.FAILED
        if not self.source_is_off():
            return StepResult.AGAIN
        return StepResult.DONE if self.is_drained() else StepResult.WAIT

    def may_switch(self) -> StepResult:
        """Whether a planned failover may hand over now (``DONE``), or has to stop and drain again, or fails."""
        if not self.may_replicate():
            return StepResult.FAILED
        return StepResult.DONE if self.source_is_off() and self.is_drained() else StepResult.AGAIN

    def step_planned_switch(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Hand over, both sides in contact; a source that was restarted is stopped and drained again."""
        result = self.may_switch()
        if result is StepResult.DONE:
            side = other(self.record.active)
            point = self.cut(side, now)
            self.sides[side].target.branch_at(point)
            self.hand_over(point.sequence)
            if not self.flow.planned_leaves_protected:
                self.record.protection = "none"
        return result

    def step_failback_switch(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Hand over what has been copied back; no recovery point is involved, and nothing protects the machine."""
        result = self.may_switch()
        if result is StepResult.DONE:
            self.hand_over(self.sides[other(self.record.active)].target.received)
        return result

    def hand_over(self, sequence: int) -> None:
        """The other side, which holds all ``sequence`` writes of the branch, becomes the machine (H2S-25, H2A-36)."""
        record = self.record
        source, side = record.active, other(record.active)
        self.halt_replication()
        epoch = self.next_epoch()
        self.sides[source].host.fence(epoch)
        taking = self.sides[side]
        taking.agent.start_tracking(epoch, sequence)
        taking.host.take_over(epoch, sequence)
        self.note_failover(side, "planned", None)
        record.in_step = True

    def note_failover(self, side: str, kind: str, point: Point | None) -> None:
        """The vault learns which side is the machine now."""
        record = self.record
        record.active = side
        record.failover = kind
        record.failover_point = None if point is None else point.id
        if side == PRIMARY:
            record.machine_kind = self.flow.failback_machine

    # ------------------------------------------------------------------------------------------- unplanned failover

    def step_try_stop(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Best effort: stop the source if it can be reached. Nothing that goes wrong here stops the failover."""
        if self.reach.in_contact():
            with suppress(OSError):
                self.sides[self.record.active].host.stop(now)
        return StepResult.DONE

    def choose_point(self, job: Job, now: float) -> Point | None:
        """The point to fail over to; ``latest`` first makes everything received into a new one."""
        side = other(self.record.active)
        if job.point in (None, "latest"):
            return self.cut(side, now) if self.ready else self.sides[side].target.points[-1]
        return self.sides[side].target.find(job.point or "")

    def step_choose_point(self, job: Job, now: float) -> StepResult:
        """Decide on the point and pin it."""
        if not self.reach.up(other(self.record.active)):
            return StepResult.WAIT
        job.chosen = self.choose_point(job, now)
        if job.chosen is None:
            return StepResult.FAILED
        self.record.in_use.add(job.chosen.id)
        return StepResult.DONE

    def step_unplanned_switch(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """The target becomes the machine with exactly the content of the point; needs the target site only (P22)."""
        record = self.record
        source, side = record.active, other(record.active)
        if not self.reach.up(side) or job.chosen is None:
            return StepResult.WAIT
        point, target = job.chosen, self.sides[side].target
        epoch = self.next_epoch()
        record.received = self.held(side)
        record.loss = None
        record.branched_at = point.sequence
        record.stale = source
        record.in_step = False
        target.branch_at(point)
        self.note_failover(side, "unplanned", point)
        record.protection = record.resync = "none"
        self.contact()
        self.sides[side].host.take_over(epoch, point.sequence)
        return StepResult.DONE

    # ----------------------------------------------------------------------------------------------- change of point

    def step_find_point(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Find the point to change to; every point has stayed since the failover."""
        job.chosen = self.sides[self.record.active].target.find(job.point or "")
        return StepResult.FAILED if job.chosen is None else StepResult.DONE

    def step_change_point(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Set the active side back to the point and let it run from there."""
        record, point = self.record, job.chosen
        if not self.reach.up(record.active) or point is None:
            return StepResult.WAIT
        at = self.sides[record.active]
        at.host.power_off()
        at.agent.stop_tracking()
        at.target.branch_at(point)
        at.host.take_over(self.next_epoch(), point.sequence)
        record.failover_point = point.id
        record.in_step = False
        if record.failover == "unplanned":
            if record.loss is not None:
                record.loss += record.branched_at - point.sequence
            record.branched_at = point.sequence
        return StepResult.DONE

    # ------------------------------------------------------------------------------------------------------- commit

    def step_commit_first_half(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """The failover is frozen: from here the commit only rolls forward (P7)."""
        self.record.committing = True
        return StepResult.DONE

    def step_commit_second_half(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """The points are deleted and the failover is final; in some flows a committed failback ends protection (V2A-52)."""
        record = self.record
        if not self.reach.up(record.active):
            return StepResult.WAIT
        self.sides[record.active].target.delete_points()
        record.points_at = None
        record.committing = False
        record.failover_point = None
        if self.flow.failback_ends_protection and record.active == PRIMARY:
            record.failover = "none"
            record.protection = "none"
            record.direction = "forward"
        else:
            record.failover = "committed"
        return StepResult.DONE
