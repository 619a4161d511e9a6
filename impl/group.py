"""Multi-VM consistency: recovery points that the machines of a replication group have in common (V2A-36, V2A-37).

A common point has to respect what one machine may have known of another: if a write x was acknowledged on one member before a
write y was issued on another, and y is in the point, so is x (P5). Members agree on it over their own port (20004) by a barrier:

==========  ===========================================================================================================
freeze      each member freezes its applications, if the point is to be app-consistent (:mod:`.freezing`), and stops acknowledging
            writes; those that are issued wait
cut         when all have frozen: each marks its place in its own stream of changes
release     when all have cut: each goes on, and says whether it was frozen all the time
arrive      when all were: every target holds a tentative point at the mark; when the last mark has arrived all of them become
            recovery points with the name of the barrier, in one event
==========  ===========================================================================================================

Why it is enough: nothing is acknowledged on any member between the last freeze and the first release, and every mark lies in
between. So every write before a mark was acknowledged before any write behind any mark was.

Rules:

* nobody is frozen for ever: a member whose release does not come goes on by itself after :data:`HOLD_LIMIT`. It then says no when
  it is asked, and nothing comes of this barrier;
* a member that cannot be reached, has lost power, is not replicated as the others are, or is in doubt: no common point, and
  the alarm ``NoCommonPoint`` at every member until there is one again. Each member then gets points of its own, so that its
  replication does not stand back for the others;
* barriers are numbered, and a later one has a higher number. After a restart the numbers go on from those of the points that
  there are, so that no name is in use twice and the newest of the common points is the last one made;
* if the applications of one member cannot be frozen, the point is crash-consistent at all of them (P24);
* which points are common is asked of the points themselves: the newest name that all members still advertise. Pruning at one
  member therefore takes a common point from all of them;
* *latest processed* is each machine's own newest point, also in a group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from .coordinator import Coordinator
from .errors import UsageError
from .flows import Flow
from .values import APP_CONSISTENT, CRASH_CONSISTENT, Point, next_due, other
from .vm_host import VmHost

__all__ = ["HOLD_LIMIT", "NO_COMMON_POINT", "Ask", "ReplicationGroup", "checked_groups"]

HOLD_LIMIT = 2.0
"""Seconds for which a member holds writes back at most."""
NO_COMMON_POINT = "NoCommonPoint"
PHASES = ("freeze", "cut", "release")
MOST_MEMBERS = 16


def _number(barrier: str) -> int:
    """The number in a barrier's name."""
    return int(barrier.rsplit("-", 1)[1])


@attrs.frozen(slots=True)
class Ask:
    """A message of the barrier to a member."""

    member: str
    phase: str
    name: str


class ReplicationGroup:
    """A group and its barrier. Overridable: :meth:`freeze`, :meth:`cut`, :meth:`release`, :meth:`may_begin`."""

    def __init__(self, name: str, members: Mapping[str, Coordinator]) -> None:
        self.name = name
        self.members = dict(members)
        self.phase = ""
        self.barrier = ""
        """Name of the barrier that runs, or ran last."""
        self.kind = CRASH_CONSISTENT
        """Kind of the point that it is about."""
        self.isolated: set[str] = set()
        """Members that the others cannot reach on their port."""
        targets = [side.target for coordinator in self.members.values() for side in coordinator.sides.values()]
        barriers = {point.group for target in targets for point in target.points if point.group}
        self._made = max((_number(name) for name in barriers), default=0)
        self.began = 0.0
        self._waiting: set[str] = set()
        self._frozen: dict[str, tuple[str, VmHost, int, int]] = {}
        """Barrier, host, epoch and number of acknowledged writes at the time of the freeze, by member. The host, since another
        may be the machine by the time of the release."""

    # ------------------------------------------------------------------------------------------------------ barrier

    def in_reach(self, member: str) -> bool:
        """Whether the other members can talk to it."""
        coordinator = self.members[member]
        side = coordinator.record.active
        return member not in self.isolated and coordinator.reach.up(side) and coordinator.sides[side].host.powered

    def may_begin(self) -> bool:
        """Whether all members can be reached, and are replicated in the same direction without a doubt."""
        sources = {c.session for c in self.members.values()}
        return (
            len(sources) == 1
            and None not in sources
            and all(self.in_reach(m) for m in self.members)
            and all(
                c.ready and c.job is None and c.record.protection == "protected" and c.record.resync == "none"
                for c in self.members.values()
            )
        )

    def begin(self, now: float) -> list[Ask]:
        """Start a barrier. What is left of an earlier one is given up."""
        self.give_up()
        self._made += 1
        self.began = now
        self.barrier = f"{self.name}-{self._made}"
        self.kind = APP_CONSISTENT if self.app_point_due(now) else CRASH_CONSISTENT
        return self._enter("freeze")

    def app_point_due(self, now: float) -> bool:
        """Whether the interval of app-consistent points has passed since the newest common one."""
        coordinator = next(iter(self.members.values()))
        hours = coordinator.policy.app_consistent_hours
        newest = max((p.cut_at for p in coordinator.points if p.group and p.kind == APP_CONSISTENT), default=0.0)
        return bool(hours) and now >= next_due(newest, hours * 3600)

    def _enter(self, phase: str) -> list[Ask]:
        self.phase = phase
        self._waiting = set(self.members)
        return [Ask(member, phase, self.barrier) for member in self.members]

    def take(self, ask: Ask, now: float) -> bool:
        """What a member does when a message reaches it; its answer."""
        return {"freeze": self.freeze, "cut": self.cut, "release": self.release}[ask.phase](ask.member, ask.name, now)

    def answer(self, ask: Ask, well: bool) -> list[Ask]:
        """A member's answer reaches the others. An answer of *no* ends the barrier without a point."""
        if ask.name != self.barrier or ask.phase != self.phase:
            return []
        if not well:
            return self.fail()
        self._waiting.discard(ask.member)
        if self._waiting:
            return []
        if ask.phase == "release":
            self.phase = "arrive"
            return []
        return self._enter(PHASES[PHASES.index(ask.phase) + 1])

    def fail(self) -> list[Ask]:
        """No common point: let everybody go on, drop the marks, raise the alarm."""
        self.give_up()
        self.alarm()
        return [Ask(member, "release", self.barrier) for member in self.members]

    def give_up(self) -> None:
        """Drop what a barrier that has not ended has left: marks that are not sent, and tentative points."""
        if self.phase:
            self.phase = ""
            for coordinator in self.members.values():
                for side in coordinator.sides.values():
                    side.agent.marks.clear()
                    side.target.drop_tentative()

    def alarm(self) -> None:
        """Every member says that there is no common point."""
        for coordinator in self.members.values():
            coordinator.raise_alert(NO_COMMON_POINT)

    @property
    def alarmed(self) -> bool:
        """Whether the alarm is on."""
        return any(NO_COMMON_POINT in coordinator.record.alerts for coordinator in self.members.values())

    # ------------------------------------------------------------------------------------------ what a member does

    def _host(self, member: str) -> VmHost:
        coordinator = self.members[member]
        return coordinator.sides[coordinator.record.active].host

    def freeze(self, member: str, name: str, now: float) -> bool:
        """Hold back every write from now on; before that, freeze the applications where they have to be."""
        host = self._host(member)
        if self.kind == APP_CONSISTENT:
            quiet = host.quiesce(now)
            self.members[member].note_freeze(quiet)
            self.kind = APP_CONSISTENT if quiet else CRASH_CONSISTENT
        host.frozen = True
        self._frozen[member] = (name, host, host.epoch, host.acknowledged)
        return True

    def held(self, member: str, name: str) -> bool:
        """Whether a member has been frozen all the time since it was: nothing was acknowledged."""
        host = self._host(member)
        return host.frozen and self._frozen.get(member) == (name, host, host.epoch, host.acknowledged)

    def cut(self, member: str, name: str, now: float) -> bool:  # noqa: ARG002
        """Mark the place in the stream of changes."""
        coordinator = self.members[member]
        if not self.held(member, name) or coordinator.session is None:
            return False
        at = coordinator.sides[coordinator.session]
        at.agent.marks.append((at.host.acknowledged, name))
        return True

    def release(self, member: str, name: str, now: float) -> bool:  # noqa: ARG002
        """Go on; whether the freeze held throughout."""
        held = self.held(member, name)
        if member in self._frozen and self._frozen[member][0] == name:
            host = self._frozen.pop(member)[1]
            host.frozen = False
            host.thaw()
        return held

    # ------------------------------------------------------------------------------------------------------ arrival

    def arrived(self, now: float) -> bool:
        """Make tentative points common ones, once all are there; ``True`` when that has happened. A mark of a barrier that
        was given up may still arrive; it comes to nothing."""
        for coordinator in self.members.values():
            for side in coordinator.sides.values():
                if side.target.tentative:
                    side.target.drop_tentative(self.barrier if self.phase in ("cut", "release", "arrive") else "")
        if self.phase != "arrive":
            return False
        targets = []
        for coordinator in self.members.values():
            if coordinator.session is None or coordinator.record.resync != "none" or coordinator.is_ending:
                self.fail()
                return False
            target = coordinator.sides[other(coordinator.session)].target
            if self.barrier not in target.tentative:
                return False
            targets.append(coordinator)
        self.phase = ""
        for coordinator in targets:
            coordinator.adopt(self.barrier, self.began, now, self.kind)
            if NO_COMMON_POINT in coordinator.record.alerts:
                coordinator.record.alerts.remove(NO_COMMON_POINT)
        return True

    def common(self, kind: str | None = None) -> dict[str, Point]:
        """The newest point, of a kind or of any, that all members have in common, by member; empty when there is none."""
        of = {m: {p.group: p for p in c.points if p.group and kind in (None, p.kind)} for m, c in self.members.items()}
        names = set.intersection(*(set(points) for points in of.values()))
        if not names:
            return {}
        newest = max(names, key=_number)
        return {member: points[newest] for member, points in of.items()}


def checked_groups(groups: Mapping[str, Sequence[str]], machines: Mapping[str, object], flow: Flow) -> None:
    """Refuse groups that cannot be.

    Raises:
        UsageError: the flow has none, or a machine is not known, in two groups, or alone.
    """
    if groups and not flow.groups:
        what = "replication groups, which are for VMware and physical machines to Azure"
        raise UsageError(f"flow '{flow.id}' has no {what}; leave them out")
    seen: dict[str, str] = {}
    for name, members in groups.items():
        if not 2 <= len(members) <= MOST_MEMBERS:
            what = "machine" if len(members) == 1 else "machines"
            raise UsageError(f"replication group '{name}' has {len(members)} {what}; 2 to {MOST_MEMBERS} expected")
        for member in members:
            if member not in machines:
                known = ", ".join(sorted(machines))
                raise UsageError(f"replication group '{name}': machine '{member}' is not known; known: {known}")
            if member in seen:
                raise UsageError(f"replication group '{name}': machine '{member}' is in group '{seen[member]}' already")
            seen[member] = name
