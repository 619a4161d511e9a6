"""The end of replication: disabling protection, and completing a migration.

Rules:

* both need nothing but the control plane. It is with the active side: what lies there can be reached while that site is
  up, and what lies at the other side while the two are in contact;
* when the job is done replication is over for everybody who asks: no point is advertised and nothing is protected.
  What lies on a side that is out of reach (change logs, points, a session) is cleaned up as soon as it can be reached;
* a former source that has not been contacted is fenced on contact all the same, before it is cleaned up (P3);
* no content goes: neither the active side's disk, nor that of a former source, nor what the replica held (P21);
* at primary the machine is as it was before it was protected, and may be protected again. At recovery that is the end:
  ``failover = completed`` refuses everything (a migration is meant, or a machine that nothing can bring back).
"""

from __future__ import annotations

from .control import Job, StepResult
from .replication import ReplicationControl
from .values import PRIMARY, SIDES

__all__ = ["EndingSteps"]


class EndingSteps(ReplicationControl):
    """Steps of ``DisableProtection`` and of ``CompleteMigration``."""

    def step_stop_replication(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Nothing more is sent or taken."""
        self.halt_replication()
        return StepResult.DONE

    def step_end_replication(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """No point is advertised any more, and the machine stays where it is."""
        record = self.record
        record.protection = record.resync = "none"
        record.points_at = record.failover_point = None
        record.in_step = False
        record.to_clean.update(SIDES)
        if record.active == PRIMARY:
            record.failover = "none"
            record.direction = "forward"
        else:
            record.failover = "completed"
        self.clean_up()
        return StepResult.DONE

    def in_reach(self, side: str) -> bool:
        """Whether what lies at a side can be cleaned up now."""
        if side == self.record.stale:
            return False
        return self.reach.in_contact() or (side == self.record.active and self.reach.up(side))

    def clean_up(self) -> None:
        """Remove what an ended replication has left on the sides that can be reached."""
        for side in sorted(self.record.to_clean):
            if self.in_reach(side):
                self.clean_side(side)
                self.record.to_clean.discard(side)
                if not self.record.to_clean:
                    self.reach.unroute(self.record.machine)

    def clean_side(self, side: str) -> None:
        """Remove change logs, session and points of a side; content stays as it is."""
        at = self.sides[side]
        at.agent.stop_tracking()
        at.target.halt()
        at.target.drop_staging()
        if at.target.points:
            at.target.delete_points()
