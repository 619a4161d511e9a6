"""The coordinator's hold on replication: sessions, epochs, recovery points, doubt about tracking, and contact.

A *session* is replication in one direction. While it is on, the replica holds a prefix of the branch only when it is
``ready``: never in the middle of a copy, nor of a resynchronisation.

A change log that is damaged after a crash makes a *resynchronisation* necessary (P9): until the sides have been
compared and have caught up, no point is cut, the points that exist stay, and ``latest`` means the newest of them (P10).
It starts only when data can flow; until then the replica is what it was. What counts as *received* in the middle of a
copy or comparison is what the newest point holds: the baseline of a session is not something that has arrived.

A source out of contact cannot be told that replication stops. It keeps its session and sends again when the path heals,
until it is fenced; its messages carry an old epoch and are refused (P3).
"""

from __future__ import annotations

from .control import Job, Reach, Side
from .flows import Flow
from .loader import Policy
from .values import Point, other
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
        self.ready = False
        """Whether the replica is a prefix: the base copy is complete and caught up."""
        self.resyncing = False
        """Whether a resynchronisation runs outside any job."""
        self.resync_goal: int | None = None
        """Writes acknowledged at the end of that comparison."""

    # --------------------------------------------------------------------------------------------------- sessions

    def next_epoch(self) -> int:
        """A new epoch, higher than any before."""
        self.record.epoch += 1
        return self.record.epoch

    def open_session(self, source: str, *, received: int, fresh: bool) -> None:
        """Connect source and target and start to send."""
        send_to, reply_to = self.reach.route(self.record.machine, source)
        agent = self.sides[source].agent
        self.sides[other(source)].target.open_session(
            self.record.epoch, received, reply_to, fresh=fresh, after=agent.number
        )
        agent.open_session(send_to)
        self.session = source
        self.ready = False
        self.resyncing = False

    def halt_replication(self) -> None:
        """Replication stops; what has been received stays. A source out of contact does not learn of it."""
        if self.session is not None:
            self.sides[other(self.session)].target.halt()
            if self.reach.in_contact():
                self.sides[self.session].agent.close_session()
                self.reach.unroute(self.record.machine)
        self.session = None

    def urgent(self) -> bool:
        """Whether changes are sent at once instead of at the next replication interval: something waits for them."""
        return self.job is not None or self.resyncing

    # ----------------------------------------------------------------------------------------------------- points

    def should_cut(self) -> bool:
        """Whether a periodic point is due: replication on, caught up, something new received (P24)."""
        return (
            self.session is not None
            and self.replica_is_prefix()
            and self.record.protection == "protected"
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

    def expire(self, now: float) -> None:
        """Prune by retention as time passes, also when nothing new is cut. After a failover every point stays."""
        side = self.record.points_at
        if side is not None and self.record.failover == "none" and self.reach.up(side):
            target, retention = self.sides[side].target, self.policy.retention_hours * 3600
            if target.points and now - target.points[0].cut_at > retention:
                target.prune(now, retention, self.record.pinned)

    # ------------------------------------------------------------------------------------------------------ doubt

    def check_tracking(self) -> None:
        """After a crash: if tracked changes were lost or are in doubt, start over by comparing both sides (P9)."""
        if self.session is None or not self.sides[self.session].agent.resync_required:
            return
        self.raise_alert(RESYNC_REQUIRED)
        if self.job is not None and self.job.copies:
            self.halt_replication()
            self.job.step = self.job.again_from = 0
            return
        if not self.reach.data_path():
            return
        source = self.sides[self.session]
        source.agent.start_tracking(self.record.epoch, source.host.acknowledged)
        self.open_session(self.session, received=source.host.acknowledged, fresh=False)
        source.agent.start_copy(compare=True)
        self.resyncing = True
        self.resync_goal = None

    def distrust(self) -> None:
        """Content arrived that is not what was tracked; it was not used, and the sides have to be compared (P9)."""
        if self.session is not None:
            self.sides[self.session].agent.resync_required = True
            self.check_tracking()

    def replica_is_prefix(self) -> bool:
        """Whether the replica holds exactly a prefix now: never in the middle of a copy or of a resynchronisation."""
        if self.resyncing and self.session is not None:
            source = self.sides[self.session]
            if not source.agent.copying:
                if self.resync_goal is None:
                    self.resync_goal = source.host.acknowledged
                if self.sides[other(self.session)].target.received >= self.resync_goal:
                    self.ready = True
                    self.resyncing = False
        return self.ready

    def held(self, target_side: str) -> int:
        """Writes of the branch that a target really holds, as a prefix."""
        target = self.sides[target_side].target
        return target.received if self.ready or not target.points else target.points[-1].sequence

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

    def count_loss(self, host: VmHost) -> int:
        """Writes that a stale side acknowledged beyond the failover point."""
        return host.acknowledged - self.record.branched_at

    def raise_alert(self, name: str) -> None:
        """Raise an alert once."""
        if name not in self.record.alerts:
            self.record.alerts.append(name)
