"""What a replication group's common points say of each other: the oracle's factor for a group, beside those of its machines (P5).

Rules
1. A machine's own factor has read each of its points and knows where on its history it lies. Here that is held against *one
   clock for all machines of the case*: each write has a moment at which it was issued and, where it was, one at which it was
   acknowledged.
2. A common point is one instant. At each member it *holds* writes, the last of which was issued at some moment, and it *lacks*
   writes of the same history, the first of which was acknowledged at some moment. There has to be an instant behind all that is
   held and before all that is lacking, at all members. That is P5: nothing that is held was issued after something that is
   lacking had been acknowledged. Where a machine has several explanations, one for each that fit together is enough.
3. What may lie on either side is never held against anybody: a cached write, one whose answer was lost, one that a failover
   discarded, all that was acknowledged after the instant, and whatever was not read.
4. A common point has one point of each member. A member *lacks* one that others show when the system stands still and it never
   showed it, although it was protected, in step and not failed over from before the name appeared until now, has lost no other
   point since, and the name is not old enough for retention. Who was not protected yet, failed over, copied anew, or had points
   removed meanwhile, is not asked. That a common point is later removed at one member alone is allowed: it is none any more.
5. The points of one common point have one time, where times are told; and all members list common points in one order. A
   common point is judged when a member shows it, and again when one shows it as another point or at another time.
6. Memory: for each common point that some member shows, one row a member; a moment or two for each write.

Source: V2A-36 to V2A-38; P5. The rule of the instant is that of `siteproof.model.group`, for all pairs of writes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import attrs

from siteproof.conformance.ages import Ages
from siteproof.conformance.blame_common import Found
from siteproof.conformance.blame_groups import not_one_instant, not_one_time, not_with_all, other_order, twice
from siteproof.conformance.driver import UNKNOWN, Common, Observation
from siteproof.conformance.oracle import Factor

__all__ = ["Bounds", "BoundsOf", "GroupFactor", "Moments", "bounds_of"]

NEVER = float("inf")
NOTHING: frozenset[Bounds] = frozenset()


class Moments:
    """When the writes of all machines were issued and acknowledged, on one clock: numbers that grow."""

    def __init__(self) -> None:
        self._issued: dict[tuple[str, int], float] = {}
        self._acknowledged: dict[tuple[str, int], float] = {}

    def note(self, machine: str, sequence: int, issued: float, acknowledged: float | None) -> None:
        """A write was issued; `acknowledged` is None where that is not known, or it was not."""
        self._issued[machine, sequence] = issued
        if acknowledged is not None:
            self._acknowledged[machine, sequence] = acknowledged

    def issued(self, machine: str, sequence: int) -> float:
        """When a write was issued; before everything where that is not known."""
        return self._issued.get((machine, sequence), -NEVER)

    def acknowledged(self, machine: str, sequence: int) -> float:
        """When a write was acknowledged; never where that is not known."""
        return self._acknowledged.get((machine, sequence), NEVER)


@attrs.frozen
class Bounds:
    """What one explanation of a member's point says of the instant: it lies behind the moment `held` at which the write
    `newest` was issued, and not behind the moment `lacked` at which the write `missing` was acknowledged. A number 0 stands for
    no write."""

    held: float = -NEVER
    lacked: float = NEVER
    newest: int = 0
    missing: int = 0


BoundsOf: TypeAlias = Callable[[str, str], frozenset[Bounds]]
"""What the explanations of a machine say of the instant of one of its points, by its id."""


def bounds_of(factor: Factor, machine: str, id: str, moments: Moments) -> frozenset[Bounds]:
    """The bounds that a machine's explanations put on the instant of one of its points; none where it was not read, or where
    nothing is known of where it lies."""
    point = next((p for p in factor.points if p.id == id), None)
    if point is None:
        return frozenset()
    found = set[Bounds]()
    for log in {factor.branch(candidate) for candidate in factor.candidates}:
        at = point.view.locate(log)
        if at is None:
            continue
        newest = 0 if at.record is None else at.record.sequence
        missing, lacked, node = 0, NEVER, log
        while node.length > at.length and node.parent is not None and node.record is not None:
            when = moments.acknowledged(machine, node.record.sequence)
            if when <= lacked and when < NEVER:
                missing, lacked = node.record.sequence, when
            node = node.parent
        found.add(Bounds(moments.issued(machine, newest) if newest else -NEVER, lacked, newest, missing))
    return frozenset(found)


def fit(parts: Sequence[Iterable[Bounds]]) -> bool:
    """Whether there is one instant within bounds of each part; a part that has none is not asked."""
    asked = [tuple(part) for part in parts if part]
    instants = {one.held for part in asked for one in part}
    return not asked or any(all(any(b.held <= t < b.lacked for b in part) for part in asked) for t in instants)


@attrs.define
class _Shared:
    """A common point, from when its name appeared: the round, and the time of the look before; each member's point, and what it
    says; the times that were told; whether its content was judged."""

    round: int
    before: float | None
    ids: dict[str, str] = attrs.Factory(dict)
    parts: dict[str, frozenset[Bounds]] = attrs.Factory(dict)
    times: dict[str, float] = attrs.Factory(dict)
    judged: bool = False


@attrs.define
class _Member:
    """What a member showed last; the last round in which points of it went or were not told; and since which round it has been
    protected, in step and not failed over."""

    common: tuple[Common, ...] = ()
    points: tuple[tuple[str, str], ...] = ()
    lost: int = 0
    settled_in: int | None = None


class GroupFactor:
    """The common points of one group. `round` says that all members were observed once more; `judged` counts the common points
    whose content was held against each other, `shown` those that were shown by anybody."""

    def __init__(self, name: str, members: Sequence[str], moments: Moments, ages: Ages | None = None) -> None:
        self.name, self.members, self.moments, self.ages = name, tuple(members), moments, ages
        self.judged = self.shown = 0
        self._seen = {member: _Member() for member in members}
        self._points: dict[str, _Shared] = {}
        self._round = 0
        self._time: float | None = None

    def round(
        self, last: Mapping[str, Observation], bounds: BoundsOf, *, still: bool = False, now: float | None = None
    ) -> tuple[str, Found] | None:
        """All members have been observed, and each machine's factor has explained what it showed. What is wrong with their common
        points and at which machine; None when nothing is. `bounds` tells those of a machine's point, by its id. `still`: the
        system stands still. `now`: the time, where it is told."""
        self._round += 1
        fresh = list[str]()
        for machine in self.members:
            found = self._take_in(machine, last[machine], fresh)
            if found is not None:
                return machine, found
        if fresh:
            self._forget()
            for name in dict.fromkeys(fresh):
                self._measure(name, bounds)
                wrong = self._wrong_time(name) or self._wrong_instant(name)
                if wrong is not None:
                    return wrong
            if (wrong := self._wrong_order(fresh)) is not None:
                return wrong
        if still and (wrong := self._wrong_members(now)) is not None:
            return wrong
        self._time = now
        return None

    def _take_in(self, machine: str, seen: Observation, fresh: list[str]) -> Found | None:
        """One member's observation; names that it shows for the first time, or otherwise than before, go into `fresh`."""
        member = self._seen[machine]
        points = None if seen.points is UNKNOWN else seen.points
        if points is None or (points != member.points and not set(member.points) <= set(points)):
            member.lost = self._round
        if seen.protection != "protected" or seen.failover != "none" or seen.resync not in ("none", UNKNOWN):
            member.settled_in = None
        elif member.settled_in is None:
            member.settled_in = self._round
        member.points = () if points is None else points
        if seen.common == member.common:
            return None
        member.common = seen.common
        names = [one.name for one in seen.common]
        for one in seen.common:
            if names.count(one.name) > 1:
                return twice(machine, one.name, [p.point for p in seen.common if p.name == one.name])
            shared = self._points.get(one.name)
            if shared is None:
                shared = self._points[one.name] = _Shared(self._round, self._time)
                self.shown += 1
            if shared.ids.get(machine) == one.point and one.time in (None, shared.times.get(machine)):
                continue
            if shared.ids.get(machine) != one.point:
                shared.ids[machine] = one.point
                shared.parts.pop(machine, None)
            if one.time is not None:
                shared.times[machine] = one.time
            fresh.append(one.name)
        return None

    def _measure(self, name: str, bounds: BoundsOf) -> None:
        """What each member's point says now: of one that was shown before more is known. What is gone stays as it was read."""
        shared = self._points.get(name)
        if shared is not None:
            known = shared.parts
            shared.parts = {machine: bounds(machine, id) or known.get(machine, NOTHING) for machine, id in shared.ids.items()}

    def _forget(self) -> None:
        """Common points that nobody shows any more."""
        there = {one.name for member in self._seen.values() for one in member.common}
        self._points = {name: shared for name, shared in self._points.items() if name in there}

    def _wrong_time(self, name: str) -> tuple[str, Found] | None:
        shared = self._points.get(name)
        if shared is None or len(set(shared.times.values())) < 2:
            return None
        return next(reversed(shared.times)), not_one_time(name, self.members, shared.times)

    def _wrong_instant(self, name: str) -> tuple[str, Found] | None:
        """Whether the contents of a common point are one instant. Members that have not shown it yet may come later."""
        shared = self._points.get(name)
        if shared is None:
            return None
        read = {machine: part for machine, part in shared.parts.items() if part}
        if len(read) > 1 and not shared.judged and len(read) == len(self.members):
            shared.judged = True
            self.judged += 1
        if fit(list(read.values())):
            return None
        lacks, holds = self._culprits(read)
        least, most = max(read[lacks], key=lambda b: b.lacked), min(read[holds], key=lambda b: b.held)
        return lacks, not_one_instant(name, tuple(read), lacks, least.missing, holds, most.newest)

    @staticmethod
    def _culprits(read: Mapping[str, frozenset[Bounds]]) -> tuple[str, str]:
        """Who lacks the earlier write, and who holds the later one."""
        for lacks in read:
            for holds in read:
                if lacks != holds and not fit([read[lacks], read[holds]]):
                    if max(b.lacked for b in read[lacks]) <= min(b.held for b in read[holds]):
                        return lacks, holds
        lacks = min(read, key=lambda m: max(b.lacked for b in read[m]))
        return lacks, max((m for m in read if m != lacks), key=lambda m: min(b.held for b in read[m]))

    def _wrong_order(self, fresh: Sequence[str]) -> tuple[str, Found] | None:
        """Whether two members list two common points in different orders."""
        known = dict[frozenset[str], tuple[str, str, str]]()
        for machine in self.members:
            names = [one.name for one in self._listed(machine)]
            for name in set(fresh) & set(names):
                at = names.index(name)
                for place, other in enumerate(names):
                    if other == name:
                        continue
                    pair = (other, name) if place < at else (name, other)
                    before = known.setdefault(frozenset(pair), (*pair, machine))
                    if before[:2] != pair:
                        return machine, other_order(before[2], machine, before[:2])
        return None

    def _listed(self, machine: str) -> list[Common]:
        """A member's common points, in the order in which it lists its points."""
        member = self._seen[machine]
        place = {id: n for n, (id, _) in enumerate(member.points)}
        return sorted(member.common, key=lambda one: place.get(one.point, 0))

    def _wrong_members(self, now: float | None) -> tuple[str, Found] | None:
        """Whether a member lacks a common point that another one shows (rule 4)."""
        for name, shared in self._points.items():
            if len(shared.parts) == len(self.members) or not self._young(shared, now):
                continue
            showing = [m for m in self.members if any(one.name == name for one in self._seen[m].common)]
            for machine in self.members:
                member = self._seen[machine]
                stays = member.settled_in is not None and member.settled_in < shared.round and member.lost < shared.round
                if machine not in shared.parts and stays and showing:
                    return machine, not_with_all(name, machine, showing)
        return None

    def _young(self, shared: _Shared, now: float | None) -> bool:
        """Whether retention cannot have removed a point of this common point yet, at any member."""
        if self.ages is None:
            return True
        return now is not None and shared.before is not None and now - shared.before < self.ages.dense
