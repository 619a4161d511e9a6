"""What the oracle compares: explanations on one side, what was seen on the other, and the tests that hold them together.

Rules
1. A *candidate* is a state of the promise level; the history (a `Log`) of the active side, its cached writes at the end; from a
   failover until the next copy begins also that of the former source; and what stands beside (`Aside`): the history of a test
   failover's copy, which begins at its point and goes on with its own writes, and the names of points in use.
2. A *sight* is what was seen after an event. Each test says whether a candidate shows one part of it; a part that was not seen,
   or that the system cannot tell, is passed by every candidate.
3. No test writes the model's rules a second time: whether a point may go, whether the system may stand still and which
   operations are advertised are asked of the compiled model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import attrs

from siteproof.conformance.ages import Ages, Span
from siteproof.conformance.closure import Promised
from siteproof.conformance.content import Log, View
from siteproof.conformance.driver import UNKNOWN, Observation
from siteproof.model.promise.vocabulary import Failover
from siteproof.model.readings.python import State

__all__ = [
    "ALERT", "CHANGED", "FAILED_OVER", "KINDS", "UNSEEN", "Aside", "Candidate", "Node", "PointSeen", "Reading", "Sight", "Tests",
]  # fmt: skip

KINDS = ("crash-consistent", "app-consistent")
"""The kinds of recovery points."""

ALERT = "StaleSideFenced"
"""The alert that is judged; others are the system's own affair."""

UNSEEN, CHANGED = "?", "??"
"""The name of a point that the system does not show; and of one that took the place of another, so that what was reported of
that says nothing of it.
"""

FAILED_OVER = (list(Failover).index(Failover.PLANNED), list(Failover).index(Failover.UNPLANNED))
"""The codes of failovers that wait for a commit."""


class Aside(NamedTuple):
    """What a candidate knows beside the machine's own history: the history of a test failover's copy; the id of the point that
    the failover in force or the test failover uses; the id that the running job was asked for (empty: none was named)."""

    copy: Log | None = None
    used: str = ""
    asked: str = ""


Candidate: TypeAlias = tuple[State, Log, "Log | None", Aside]
Node: TypeAlias = tuple[State, Log, "Log | None", Aside, int, bool]
"""A candidate within one search: also how many of the new points are explained, and whether all old ones have gone."""

Reading: TypeAlias = Callable[[str], View]
"""Reads the content of a place: a point's id, a side, or `test`."""


@attrs.frozen
class PointSeen:
    """An advertised point, and what reading it found; and when it was made, where the time is told."""

    id: str
    kind: str
    view: View
    made: Span | None = None

    def where(self, log: Log) -> int | None:
        """How long the beginning of `log` is that the point holds; None if it is no instant of that history."""
        found = self.view.locate(log)
        return None if found is None else found.length


@attrs.frozen
class Sight:
    """What is seen of a machine after an event: observation, new points (read), points that have gone, the active side's
    content, the former source's and the test copy's (None when not read), whether the system stands still; whether it
    follows on a sight that told the points, too; and the time in seconds. `late` are new common points of a group that stand
    before older ones: their instant was marked before those were made, and they became points when all members had theirs."""

    seen: Observation
    new: tuple[PointSeen, ...] | None
    gone: frozenset[str]
    disk: View | None
    still: bool
    former: View | None = None
    copy: View | None = None
    follows_on: bool = True
    now: float | None = None
    late: tuple[PointSeen, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        return () if self.seen.points is UNKNOWN else tuple(i for i, _ in self.seen.points)


class Tests:
    """The tests of one machine's candidates, `candidates`. `points` are those that were advertised before."""

    candidates: Sequence[Candidate]

    def __init__(self, promised: Promised, ages: Ages | None = None) -> None:
        self.promised, self.ages = promised, ages
        self.points: tuple[PointSeen, ...] = ()
        self.reported_point: str | None = None
        self._at = promised.at

    def branch(self, of: Candidate | Node) -> Log:
        """The history on which the advertised points of a candidate lie."""
        return of[2] if of[2] is not None and of[0][self._at.failover] in FAILED_OVER else of[1]

    def _former(self, after: State, old: Log | None) -> Log | None:
        """The former source's history, as long as `after` says."""
        at = self._at
        return None if old is None else old.prefix(int(after[at.passive]) + int(after[at.passive_cached]))

    def explains(self, node: Node, sight: Sight) -> bool:
        """Whether `node` shows exactly what was seen."""
        return (
            self.shows(node, sight)
            and self.allows(node, sight)
            and self.holds(node, sight)
            and self.keeps(node, sight)
            and self.copies(node, sight)
            and self.lists(node, sight)
            and self.names(node, sight)
            and self.rests(node, sight)
        )

    def shows(self, node: Node, sight: Sight) -> bool:
        """The plain fields."""
        seen = sight.seen
        (protection, active, direction, failover, job, received, loss, alerted, primary, recovery, test, resync, _) = (
            self.promised.shown(node[0])
        )
        return (
            (seen.protection is UNKNOWN or seen.protection == protection)
            and (seen.active is UNKNOWN or seen.active == active)
            and (seen.direction is UNKNOWN or seen.direction == direction)
            and (seen.failover is UNKNOWN or seen.failover == failover)
            and (seen.job is UNKNOWN or seen.job == job)
            and (seen.test is UNKNOWN or seen.test == test)
            and (seen.resync is UNKNOWN or seen.resync == resync)
            and (seen.received is UNKNOWN or seen.received == received)
            and (seen.loss is UNKNOWN or seen.loss == loss)
            and (seen.alerts is UNKNOWN or (ALERT in seen.alerts) == alerted)
            and (seen.running[0] is UNKNOWN or seen.running[0] == primary)
            and (seen.running[1] is UNKNOWN or seen.running[1] == recovery)
        )

    def allows(self, node: Node, sight: Sight) -> bool:
        """The operations that are advertised."""
        return sight.seen.allowed_operations is UNKNOWN or sight.seen.allowed_operations == self.promised.allowed(node[0])

    def holds(self, node: Node, sight: Sight) -> bool:
        """The content of the active side's disk."""
        if sight.disk is None:
            return True
        state, log = node[0], node[1]
        return not sight.disk.rubbish and log.prefix(int(state[self._at.head])).content == sight.disk.content

    def is_former(self, state: State, old: Log | None) -> bool:
        """Whether the passive side is a former source whose disk must not have changed: fenced, and no copy has begun."""
        at = self._at
        return old is not None and bool(state[at.failover]) and state[at.passive_epoch] == state[at.epoch]

    def keeps(self, node: Node, sight: Sight) -> bool:
        """The content of the former source's disk: everything that it ever acknowledged."""
        state, old = node[0], node[2]
        if sight.former is None or old is None or not self.is_former(state, old):
            return True
        return not sight.former.rubbish and old.prefix(int(state[self._at.passive])).content == sight.former.content

    def copies(self, node: Node, sight: Sight) -> bool:
        """The content of a test failover's copy: its point's, and its own writes on top."""
        copy = node[3].copy
        if sight.copy is None or copy is None:
            return True
        return not sight.copy.rubbish and copy.content == sight.copy.content

    def lists(self, node: Node, sight: Sight) -> bool:
        """The list of points."""
        if sight.seen.points is UNKNOWN or sight.new is None:
            return True
        state, _, _, _, k, renewed = node
        if sight.late and not self.precede(node, sight):
            return False
        if not sight.follows_on:
            return self.fits(node, sight)
        if k != len(sight.new) or bool(state[self._at.points]) != bool(sight.ids):
            return False
        if renewed:
            return len(sight.gone) == len(self.points)
        if self.points and self.points[-1].id in sight.gone and not k:
            return False
        return not sight.gone or (self.retains(node) and not self.pinned(node) & sight.gone and self.early(sight) is None)

    def precede(self, node: Node, sight: Sight) -> bool:
        """Whether each late common point is an instant of the history, no later than any point that stands behind it."""
        log = self.branch(node)
        views = {p.id: p.view for p in (*self.points, *(sight.new or ()), *sight.late)}
        late, last = {p.id for p in sight.late}, None
        for id in reversed(sight.ids):
            found = views[id].locate(log) if id in views else None
            if id in late and (found is None or (last is not None and found.length > last)):
                return False
            last = last if found is None else found.length
        return True

    def fits(self, node: Node, sight: Sight) -> bool:
        """The list of points after a time in which it was not told: each new one is an instant of the history, and the newest
        is where the newest is. Which were removed meanwhile, and when, is not known."""
        state, log = node[0], self.branch(node)
        if bool(state[self._at.points]) != bool(sight.ids):
            return False
        where = {p.id: p.view.locate(log) for p in sight.new or ()}
        if None in where.values():
            return False
        newest = where.get(sight.ids[-1]) if sight.ids else None
        return newest is None or newest.length == state[self._at.latest]

    def retains(self, node: Node) -> bool:
        """Whether retention may have removed older points since the last sight: it is at work before or after the event."""
        return self.promised.prunable(node[0]) or any(self.promised.prunable(c[0]) for c in self.candidates)

    def early(self, sight: Sight) -> PointSeen | None:
        """A point that is gone and that no age within what is known of it would have removed."""
        if self.ages is None or sight.now is None:
            return None
        ages, now = self.ages, sight.now
        there = [p for p in (*self.points, *(sight.new or ()), *sight.late) if p.made is not None]
        left = [p.made for p in there if p.made is not None and (p.id not in sight.gone or ages.expired(p.made, now))]
        for point in self.points:
            if point.id in sight.gone and point.made is not None:
                others = [one for one in left if one is not point.made]
                if not ages.may_go(point.made, now, others):
                    return point
        return None

    def pinned(self, node: Node) -> set[str]:
        """The points in use: by a failover, a test failover, or the job that runs."""
        return {node[3].used, node[3].asked}

    def names(self, node: Node, sight: Sight) -> bool:
        """The point that a failover says it uses."""
        told = sight.seen.failover_point
        if told is UNKNOWN:
            return True
        used = node[3].used if node[0][self._at.failover] in FAILED_OVER else ""
        if used == CHANGED:
            return told is not None
        if used != UNSEEN:
            return told == (used or None)
        return told == self.reported_point if self.reported_point is not None else told is not None

    def rests(self, node: Node, sight: Sight) -> bool:
        """After settling: no fair step is possible."""
        return not sight.still or not self.promised.restless(node[0])
