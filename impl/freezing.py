"""App-consistent recovery points of a single machine: applications are frozen, and a mark goes behind their last write.

Rules:

* every ``app_consistent_hours`` of the policy, if anything has been acknowledged since the last such point, the source freezes
  the applications (the workload's hook), flushes the guest's cache, puts a mark into the stream of changes behind the last
  write, and lets the applications go on. All that is one event, so nothing is written between freeze and mark (P24);
* if the freeze does not come about there is no such point, and the alarm is raised until one does;
* where the mark arrives, what was received until there becomes an app-consistent point at once: exactly the content at the
  freeze, however late it arrives;
* a mark is volatile. What stops replication, or puts it in doubt, drops it;
* nothing waits for such a point: it comes about as time passes, and a system that has nothing else to do is at rest.

The machines of a replication group are frozen by its barrier instead (:mod:`.group`), and have such points in common (V2A-37);
where no barrier may begin, each has points of its own, as it has others then.

Source: V2A-37; the public pages on recovery points (reference: recovery points).
"""

from __future__ import annotations

from .replication import ReplicationControl
from .values import APP_CONSISTENT, Operation, newest_app_point, other

__all__ = ["MARK", "NOT_FROZEN", "ApplicationPoints"]

MARK = APP_CONSISTENT
"""Name of the mark. A barrier's has a number at its end."""
NOT_FROZEN = "ApplicationsNotFrozen"
_CUTS_WHILE = (Operation.PLANNED, Operation.UNPLANNED, Operation.TEST, Operation.CLEANUP)


class ApplicationPoints(ReplicationControl):
    """What the coordinator does for them. Overridable: :meth:`should_freeze`, :meth:`freeze_applications`,
    :meth:`take_app_mark`."""

    def should_freeze(self) -> bool:
        """Whether applications have to be frozen when the time has come."""
        if not self.policy.app_consistent_hours or self.session is None or not self.may_make_app_point():
            return False
        source = self.sides[self.session]
        newest = newest_app_point(self.points)
        held = None if newest is None else newest.sequence
        marked = next((at for at, name in reversed(source.agent.marks) if name == MARK), held)
        return not self.record.paused and source.host.acknowledged != marked

    def may_make_app_point(self) -> bool:
        """Whether the replica is one that points are made of, and no job takes that away."""
        return (
            self.ready
            and self.record.protection == "protected"
            and self.record.resync == "none"
            and (self.job is None or self.job.operation in _CUTS_WHILE)
        )

    def freeze_applications(self, now: float) -> None:
        """Freeze, mark, go on."""
        if self.session is None or not self.reach.up(self.session) or not self.should_freeze():
            return
        source = self.sides[self.session]
        try:
            frozen = source.host.quiesce(now)
            if frozen:
                source.agent.marks.append((source.host.acknowledged, MARK))
                self.frozen_at[source.host.acknowledged] = now
        finally:
            source.host.thaw()
        self.note_freeze(frozen)
        self.check_tracking()

    def note_freeze(self, frozen: bool) -> None:
        """Raise the alarm, or take it back."""
        if not frozen:
            self.raise_alert(NOT_FROZEN)
        elif NOT_FROZEN in self.record.alerts:
            self.record.alerts.remove(NOT_FROZEN)

    def take_app_mark(self, now: float) -> None:
        """If the mark has arrived: what was received until there becomes a recovery point, or nothing any more."""
        if self.session is None:
            return
        side = other(self.session)
        target = self.sides[side].target
        if MARK not in target.tentative:
            return
        if self.may_make_app_point():
            self.record.points_made += 1
            self.record.points_at = side
            began = self.frozen_at.pop(target.tentative[MARK].sequence, now)
            self.frozen_at = {at: when for at, when in self.frozen_at.items() if at > target.tentative[MARK].sequence}
            target.adopt(MARK, f"p{self.record.points_made}", began, APP_CONSISTENT)
            target.prune(now, self.policy.retention_hours * 3600, self.record.pinned)
        else:
            target.drop_tentative()
