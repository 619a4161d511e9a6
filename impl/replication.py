"""The coordinator's hold on replication: sessions, epochs, recovery points, doubt about tracking, and contact.

A *session* is replication in one direction. While it is on, the replica holds a prefix of the branch only when it is
``ready``: never in the middle of a copy, nor of a resynchronisation.

A change log that cannot be trusted calls for a *resynchronisation* (P9): see :mod:`.resync`. What counts as *received*
in the middle of a copy or comparison is what the replica or the newest point holds: the baseline of a session is not
something that has arrived.

A source out of contact cannot be told that replication stops. It keeps its session and sends again when the path heals,
until it is fenced; its messages carry an old epoch and are refused (P3).
"""

from __future__ import annotations

from .control import Job, Reach, Side, StepResult
from .flows import Flow
from .loader import Policy
from .values import Operation, Point, other
from .vault import MachineRecord
from .vm_host import VmHost

__all__ = ["ReplicationControl"]

STALE_SIDE_FENCED = "StaleSideFenced"
RESYNC_REQUIRED = "ResyncRequired"


class ReplicationControl:
    """Replication of one machine, as its coordinator directs it."""

    def __init__(
        self, record: MachineRecord, sides: dict[str, Side], flow: Flow, policy: Policy, reach: Reach
    ) -> None:
        self.record = record
        self.sides = sides
        self.flow = flow
        self.policy = policy
        self.reach = reach
        self.job: Job | None = None
        self.session: str | None = None
        """Side that sends, while replication is on."""
        self.frozen_at: dict[int, float] = {}
        """When applications were frozen for marks that are under way, by the last write before them; volatile, as marks are."""
        self.ready = False
        """Whether the replica is a prefix: the base copy is complete and caught up."""
        self.uncompared: int | None = None
        """Writes that the source had acknowledged when the system started again, until the sides have compared their counts. It
        is kept: the system may start again before they are in contact."""

    # --------------------------------------------------------------------------------------------------- sessions

    def next_epoch(self) -> int:
        """A new epoch, higher than any before."""
        self.record.epoch += 1
        return self.record.epoch

    def open_session(self, source: str, *, received: int, fresh: bool) -> None:
        """Connect source and target and start to send; the replica is no prefix until it has caught up."""
        self.ready = False
        self.connect(source, received=received, fresh=fresh)

    def connect(self, source: str, *, received: int, fresh: bool = False, staged: bool = False) -> None:
        """Connect source and target. ``fresh``: onto empty disks; ``staged``: beside the replica, which stays what it is."""
        send_to, reply_to = self.reach.route(self.record.machine, source)
        agent, target = self.sides[source].agent, self.sides[other(source)].target
        target.drop_staging()  # what a resynchronisation that failed has left: nothing else may go there (P9)
        if staged:
            target.open_staging()
        target.open_session(self.record.epoch, received, reply_to, fresh=fresh, after=agent.number)
        agent.open_session(send_to)
        self.session = source

    def halt_replication(self) -> None:
        """Replication stops; what has been received stays. A source out of contact does not learn of it."""
        if self.session is not None:
            self.sides[other(self.session)].target.halt()
            if self.reach.in_contact():
                self.sides[self.session].agent.close_session()
                self.reach.unroute(self.record.machine)
        self.session = None
        self.record.paused = False

    def step_pause(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Nothing more is sent; changes are tracked, and the points stay. A log that grows too long calls for a
        resynchronisation, as always.
        """
        self.record.paused = True
        return StepResult.DONE

    def step_resume(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """What was tracked meanwhile follows."""
        self.record.paused = False
        return StepResult.DONE

    def urgent(self) -> bool:
        """Whether changes are sent at once instead of at the next replication interval: something waits for them."""
        return self.job is not None

    # ----------------------------------------------------------------------------------------------------- points

    def should_cut(self) -> bool:
        """Whether a periodic point is due: replication on and not being given up, caught up, something new received (P24)."""
        return (
            self.session is not None
            and not self.is_ending
            and self.ready
            and self.record.protection == "protected"
            and self.record.resync == "none"
            and self.reach.up(other(self.session))
            and self.sides[other(self.session)].target.new_since_last_point()
        )

    def cut(self, side: str, now: float) -> Point:
        """Cut a new point on a side's target; ids are never used again."""
        self.record.points_made += 1
        self.record.points_at = side
        return self.sides[side].target.cut_point(f"p{self.record.points_made}", now)

    def periodic_cut(self, now: float) -> None:
        """Cut a point if one is due, then prune by retention."""
        if self.should_cut() and self.session is not None:
            target = self.sides[other(self.session)].target
            self.cut(other(self.session), now)
            target.prune(now, self.policy.retention_hours * 3600, self.record.pinned)

    def adopt(self, barrier: str, began: float, now: float, kind: str) -> None:
        """The tentative point of a barrier that began then becomes a recovery point; then prune by retention."""
        if self.session is not None:
            self.record.points_made += 1
            self.record.points_at = other(self.session)
            target = self.sides[other(self.session)].target
            target.adopt(barrier, f"p{self.record.points_made}", began, kind, barrier)
            target.prune(now, self.policy.retention_hours * 3600, self.record.pinned)

    @property
    def points(self) -> list[Point]:
        """The advertised points, oldest first."""
        at = self.record.points_at
        return [] if at is None else self.sides[at].target.points

    def expire(self, now: float) -> None:
        """Prune by retention as time passes, also when nothing new is cut. After a failover every point stays, and so it
        does until a resynchronisation is done.
        """
        side = self.record.points_at
        if side is not None and self.record.failover == self.record.resync == "none" and self.reach.up(side):
            target, retention = self.sides[side].target, self.policy.retention_hours * 3600
            if target.may_prune(now, retention):
                target.prune(now, retention, self.record.pinned)

    # ------------------------------------------------------------------------------------------------------ doubt

    def check_tracking(self) -> None:
        """If tracked changes were lost or are in doubt: call for a resynchronisation, or begin a copy again (P9)."""
        if self.session is None or not self.sides[self.session].agent.resync_required:
            return
        self.raise_alert(RESYNC_REQUIRED)
        if self.job is not None and self.job.copies:
            self.halt_replication()
            self.job.step = self.job.again_from = 0
        elif self.record.resync == "none" and not self.is_ending:
            self.record.resync = "required"
            self.sides[other(self.session)].target.halt()

    @property
    def is_ending(self) -> bool:
        """Whether a job runs that gives replication up: there is nothing left to bring into step."""
        return self.job is not None and self.job.operation is Operation.DISABLE

    def may_replicate(self) -> bool:
        """Whether what the source acknowledges can reach the other side now."""
        return self.record.resync == "none" and self.reach.data_path()

    def distrust(self) -> None:
        """Content arrived that is not what was tracked; it was not used, and the sides have to be compared (P9)."""
        if self.session is not None:
            self.sides[self.session].agent.resync_required = True
            self.check_tracking()

    def held(self, target_side: str) -> int:
        """Writes of the branch that a target really holds, as a prefix."""
        target = self.sides[target_side].target
        return target.held if self.ready or not target.points else target.points[-1].sequence

    # ---------------------------------------------------------------------------------------------------- contact

    def contact(self) -> None:
        """The sides are in contact: a stale side is fenced before anything else and its loss becomes known (P2, P3)."""
        stale = self.record.stale
        if stale is None or not self.reach.in_contact():
            return
        host = self.sides[stale].host
        if host.fence(self.record.epoch):
            self.raise_alert(STALE_SIDE_FENCED)
        self.record.loss = self.count_loss(host)
        self.record.stale = None

    def remember_counts(self) -> None:
        """The system starts again: what the source has acknowledged by now is compared at the first contact. What it acknowledges
        until then would hide that it was put back.
        """
        if self.session is not None:
            acknowledged = self.sides[self.session].host.acknowledged
            self.uncompared = acknowledged if self.uncompared is None else min(self.uncompared, acknowledged)

    def check_counts(self) -> None:
        """At the first contact after a restart: neither side may know less than it has told the other. One that does was put back
        to an older state, and what the change logs hold does not bridge it (P9).
        """
        acknowledged, self.uncompared = self.uncompared, None
        if self.session is None or acknowledged is None:
            return
        source, target = self.sides[self.session], self.sides[other(self.session)].target
        if source.agent.shipped > target.received or target.received > acknowledged:
            source.agent.doubt()

    def count_loss(self, host: VmHost) -> int:
        """Writes that a stale side acknowledged beyond the failover point."""
        return host.acknowledged - self.record.branched_at

    def raise_alert(self, name: str) -> None:
        """Raise an alert once."""
        if name not in self.record.alerts:
            self.record.alerts.append(name)
