"""Seeded bugs of a replication group's barrier: common points that are not one instant, or not common.

The rules that they break are those of `siteproof.impl.group`: all are frozen before any is cut, all are cut before any is
released, and nobody has a common point before all have it. A slip in any of them is seen only where writes of two members fall
into the barrier, one behind the other.
"""

from __future__ import annotations

from siteproof.conformance.drivers.bugs_common import GROUPED, TARGETS, Bug, mixed
from siteproof.impl.group import ReplicationGroup
from siteproof.impl.messages import ChangeBatch
from siteproof.impl.target import ReplicationTarget
from siteproof.impl.values import other

__all__ = ["BUGS"]

FAMILY = "multi-VM consistency"


class _NewestOfEach(ReplicationGroup):
    """No mark goes through the stream: each target takes what it has received by then."""

    def cut(self, member: str, name: str, now: float) -> bool:
        coordinator = self.members[member]
        if not self.held(member, name) or coordinator.session is None:
            return False
        at = other(coordinator.session)
        if coordinator.reach.up(at):
            coordinator.sides[at].target.note_mark(name, now)
        return True


class _NotHeld(ReplicationGroup):
    def freeze(self, member: str, name: str, now: float) -> bool:
        super().freeze(member, name, now)
        self._host(member).frozen = False
        return True

    def held(self, member: str, name: str) -> bool:
        return self._frozen.get(member, ("",))[0] == name


class _ByTurns(ReplicationGroup):
    """Each member is frozen, cut and released before the next one has its turn."""

    def freeze(self, member: str, name: str, now: float) -> bool:
        return super().freeze(member, name, now) and super().cut(member, name, now) and super().release(member, name, now)

    def cut(self, member: str, name: str, now: float) -> bool:  # noqa: ARG002
        return True

    def release(self, member: str, name: str, now: float) -> bool:  # noqa: ARG002
        return True


class _MarkBeforeItsBatch(ReplicationTarget):
    """A mark that comes with writes is noted before they are applied, and not behind them."""

    def apply(self, batch: ChangeBatch) -> None:
        if batch.mark and self._staging is None:
            self.note_mark(batch.mark, 0.0)
        super().apply(batch)


class _WithoutTheLast(ReplicationGroup):
    """Who has its part of the common point advertises it; the others have to look after themselves."""

    def arrived(self, now: float) -> bool:
        if self.phase != "arrive":
            return super().arrived(now)
        here = [
            c for c in self.members.values()
            if c.session is not None and self.barrier in c.sides[other(c.session)].target.tentative
        ]  # fmt: skip
        if not here:
            return False
        self.phase = ""
        for coordinator in here:
            coordinator.adopt(self.barrier, self.began, now, self.kind)
        return True


class _OwnTime(ReplicationTarget):
    def adopt(self, name: str, as_id: str, cut_at: float, kind: str, group: str = "") -> None:  # noqa: ARG002
        super().adopt(name, as_id, self.tentative[name].cut_at, kind, group)


BUGS: tuple[Bug, ...] = (
    Bug(
        "common-point-of-newest", FAMILY, "medium",
        "The common point is made of what has arrived of each machine by then: a database's log is there, and its index is still "
        "on the way.",
        ("V2A-37",), ("P5",), GROUPED, 8, {"replication-group": _NewestOfEach},
    ),
    Bug(
        "barrier-does-not-hold", FAMILY, "medium",
        "The barrier asks its members one by one for their place, and none of them holds its writes back meanwhile.",
        ("V2A-36", "V2A-37"), ("P5",), GROUPED, 8, {"replication-group": _NotHeld},
    ),
    Bug(
        "cut-by-turns", FAMILY, "hard",
        "Each member is frozen, cut and released before the next one has its turn: no two of them are cut at one instant.",
        ("V2A-36", "V2A-37"), ("P5",), GROUPED, 8, {"replication-group": _ByTurns},
    ),
    Bug(
        "mark-before-its-batch", FAMILY, "hard",
        "A mark that travels with the last writes before it is noted when the message is opened, and not when they are applied.",
        ("V2A-37",), ("P5",), GROUPED, 8, mixed(_MarkBeforeItsBatch, TARGETS),
    ),
    Bug(
        "common-point-of-some", FAMILY, "medium",
        "The first member whose part has arrived closes the barrier: the slower ones never get theirs.",
        ("V2A-37", "V2A-38"), ("P5",), GROUPED, 5, {"replication-group": _WithoutTheLast},
    ),
    Bug(
        "common-point-at-own-times", FAMILY, "easy",
        "Each member writes down when its own part of a common point arrived, so nobody can tell which of them belong together.",
        ("V2A-37",), ("P5",), GROUPED, 5, mixed(_OwnTime, TARGETS),
    ),
)  # fmt: skip
