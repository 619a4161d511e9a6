"""Job steps that make the other side a replica: for enabling, for reverse replication, and for a failback that copies.

All three go *prepare, copy, catch up*. Tracking is on before the first byte is copied, and writes go on meanwhile; what
was acknowledged before the end of the copy has to follow before the replica counts as one (P8, P23).

How much is sent depends on what is known of the other side:

==========================================  ===========================================================================
nothing there, or another kind of machine   everything, onto empty disks (P2A-4: never back onto the physical one)
it may differ anywhere                      digests, then the blocks that differ (after an unplanned failover, H2S-27)
it differs by tracked writes alone          the tracked writes (since a planned failover, H2S-28)
==========================================  ===========================================================================
"""

from __future__ import annotations

from .control import Job, StepResult
from .replication import ReplicationControl
from .values import PRIMARY, other

__all__ = ["CopySteps"]


class CopySteps(ReplicationControl):
    """Steps of ``EnableProtection`` and ``ReverseReplicate``, and the first ones of a failback that copies."""

    def step_prepare_enable(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Tracking is switched on before the first byte is copied (P23)."""
        if not self.reach.data_path():
            return StepResult.WAIT
        host = self.sides[PRIMARY].host
        host.agent.start_tracking(self.record.epoch, host.acknowledged)
        self.open_session(PRIMARY, received=host.acknowledged, fresh=True)
        host.agent.start_copy(compare=False)
        return StepResult.DONE

    def step_copy(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Wait for the base copy; what was acknowledged until its end has to follow."""
        source = self.sides[self.session or self.record.active]
        if source.agent.copying:
            return StepResult.WAIT
        job.goal = source.host.acknowledged
        return StepResult.DONE

    def step_catch_up(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Wait until every write acknowledged before the end of the copy is on the target."""
        target = self.sides[other(self.record.active)].target
        return StepResult.DONE if target.received >= job.goal else StepResult.WAIT

    def step_finish_enable(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """The first point is cut, and the machine is protected."""
        if not self.reach.in_contact():
            return StepResult.WAIT
        self.ready = True
        self.record.protection = "protected"
        self.cut(other(self.record.active), now)
        return StepResult.DONE

    def resync_compares(self) -> bool:
        """Whether the former source must be compared block by block: only a side that took over in a planned failover,
        and has tracked every write since, may send the changes alone (H2S-27, H2S-28).
        """
        agent = self.sides[self.record.active].agent
        return not self.record.in_step or not agent.tracking or agent.resync_required

    def needs_new_machine(self) -> bool:
        """Whether what the failback makes is another machine than the former source, onto empty disks (P2A-4)."""
        return other(self.record.active) == PRIMARY and self.record.machine_kind != self.flow.failback_machine

    def step_prepare_reverse(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Connect the way back; send again whatever the two sides may differ by."""
        if not self.reach.data_path() or self.record.stale is not None:
            return StepResult.WAIT
        source = self.sides[self.record.active]
        fresh = self.needs_new_machine()
        copy = fresh or self.resync_compares()
        if copy:
            source.agent.start_tracking(self.record.epoch, source.host.acknowledged)
        self.open_session(self.record.active, received=source.agent.shipped, fresh=fresh)
        if copy:
            self.record.in_step = False
            source.agent.start_copy(compare=not fresh)
        return StepResult.DONE

    def step_finish_reverse(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """The former source follows; replication is turned; the points become one fresh point (P10)."""
        if not self.reach.in_contact():
            return StepResult.WAIT
        record = self.record
        self.ready = True
        record.protection = "protected"
        record.direction = "forward" if record.active == PRIMARY else "reverse"
        record.failover = "none"
        self.cut(other(record.active), now)
        return StepResult.DONE

    def step_begin_failback(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """The copy is complete: from here on the job stops the machine and hands over, or fails (H2A-44)."""
        self.ready = True
        self.record.in_step = True
        job.again_from = job.step + 1
        return StepResult.DONE
