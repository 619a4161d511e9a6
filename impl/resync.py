"""Resynchronisation: what is done when the change log cannot be trusted any more.

Rules:

* the *call*: a log that is damaged, lacks a write, has overflowed, or could not take a write makes ``resync =
  required``. The source tracks nothing and the target takes nothing any more; points stay, retention waits, and an
  unplanned failover goes on from what was received before (P9). Only the operator's ``RepairReplication`` ends that;
* *comparing*: tracking starts anew, then digests of all chunks go out and the blocks that differ come back, followed by
  the tracked writes. All of it goes to a *staging* area, an overlay beside the replica: the replica itself and its
  points are what they were, and an unplanned failover drops the staging area and goes on from them (P10). The call
  stays until that failover has switched. If the new log cannot be trusted either, the comparison begins again from zero;
* *merging*: once the staging area holds a prefix, all of it is read; where a block has gone bad meanwhile, the
  comparison begins again. Then its blocks are moved into the replica, a bounded number at a time. The points' cuts keep
  them readable meanwhile. If one goes bad even then, it is as unreadable in the replica, the old points stay, and a
  resynchronisation is required again. Merging needs the target's site alone and can be interrupted by nothing else: after
  a loss of power it goes on where it was, since moving a block twice does no harm;
* the last block, the end of all old points and the one fresh point are a single event: points become {new} at once.

A job that copies for another reason (enabling, reverse replication, the failback that copies) has promised nothing yet:
it begins again by itself when its log cannot be trusted, and nothing is called for.
"""

from __future__ import annotations

from .control import Job, StepResult
from .errors import IntegrityError
from .replication import ReplicationControl
from .values import other

__all__ = ["MERGE_BLOCKS", "ResyncSteps"]

MERGE_BLOCKS = 1024
"""Most blocks that one step moves from the staging area into the replica: 4 MiB."""


class ResyncSteps(ReplicationControl):
    """Steps of ``RepairReplication``, and its end by an unplanned failover."""

    def step_begin_comparing(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Track anew, and compare everything from the start into an empty staging area."""
        if not self.reach.data_path():
            return StepResult.WAIT
        source = self.sides[self.record.active]
        source.agent.start_tracking(self.record.epoch, source.host.acknowledged)
        self.connect(self.record.active, received=source.host.acknowledged, staged=True)
        source.agent.start_copy(compare=True)
        return StepResult.DONE

    def step_check_staged(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Read what is to be merged, a part at a time: nothing may turn out bad when there is no way back any more."""
        side = other(self.record.active)
        if not self.reach.up(side):
            return StepResult.WAIT
        try:
            whole = self.sides[side].target.check_staged()
        except IntegrityError:
            job.again_from = 0
            return StepResult.AGAIN
        job.again_from = 0 if whole else job.step
        return StepResult.DONE if whole else StepResult.AGAIN

    def step_begin_merging(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """From here on nothing but a loss of power can interrupt the job; the next step is taken until it is done."""
        if not self.reach.up(other(self.record.active)):
            return StepResult.WAIT
        self.record.resync = "merging"
        job.copies = False
        job.again_from = job.step + 1
        return StepResult.DONE

    def step_merge(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Move a part of the staging area into the replica; with the last one the points become one fresh point."""
        side = other(self.record.active)
        if not self.reach.up(side):
            return StepResult.WAIT
        target = self.sides[side].target
        if not target.merge(MERGE_BLOCKS):
            return StepResult.AGAIN
        self.record.resync = "none"
        if target.spoiled:
            # The old points stay: of the new one, a block could not be read.
            target.spoiled = False
            self.distrust()
            return StepResult.DONE
        target.delete_points()
        self.cut(side, now)
        return StepResult.DONE

    def cancel_resync(self) -> None:
        """A failover that is asked for ends a comparison: the replica is what it was before (P10). What called for it stays
        until the failover switches, so that none that fails forgets it (P9).
        """
        self.sides[other(self.record.active)].target.drop_staging()
        if self.record.resync == "comparing":
            self.record.resync = "required"
