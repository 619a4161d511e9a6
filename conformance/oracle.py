"""The oracle: every way in which the promise level can explain what was seen.

Rules
1. A *candidate* is a state of the promise level with the histories of its places (`siteproof.conformance.sight`). Positions
   determine content (the `prefix_…` lemmas), so a candidate says what every readable place must hold. While a failover is
   pending the advertised points lie on the former source's history. A fact of every candidate: the logs are as long as
   `head + cached` and `passive + passive_cached`.
2. An event (a request with its answer, a write, a fault…) maps candidates to candidates; an answer that a candidate would not
   give removes it. Internal steps close the set. What is seen then filters it. An empty set is a divergence.
3. Cuts of points are visible: each new id must be explained, in order, by a cut at exactly the position that the content of
   the point, read by the tester, turns out to be. A point that goes away must have been pruned (never the newest, never one in
   use, never while retention waits, never before its time: `siteproof.conformance.ages`), or all went together: by a commit, a
   disabling or a migration, or at the end of a copy. A common point of a group is cut at its mark and becomes a point when all
   members have theirs, so it may be listed before points that were made meanwhile.
4. After `settle` the system stands still, and that is seen, too: candidates in which a fair step is possible are removed.
5. One factor per machine; faults are shared. The set is bounded: beyond the bound the oracle gives up (`Overflow`), and says so.
6. Unknown is not false. What was not told passes every test; where the list of points was not told (or not read), points may have
   been cut and removed unseen, and the next list that is told is compared with content only. Where faults strike unseen, they are
   taken for steps like internal ones.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

from siteproof.conformance.ages import Ages, Span
from siteproof.conformance.appearance import (
    ASKED,
    COPY,
    FORMER,
    NAMED,
    NEWEST,
    OWN,
    USED,
    Appearance,
    Ending,
    Placed,
    Shape,
    appearance,
    made_of,
    remember,
)
from siteproof.conformance.closure import Promised
from siteproof.conformance.content import Journal
from siteproof.conformance.driver import UNKNOWN, Observation
from siteproof.conformance.events import NEVER, Event
from siteproof.conformance.search import WORLD, Overflow, Searcher
from siteproof.conformance.sight import ALERT, FAILED_OVER, KINDS, UNSEEN, Aside, Candidate, Node, PointSeen, Reading, Sight
from siteproof.conformance.trail import Kept, Only, Stage, Trail, Way

__all__ = ["NEVER", "Event", "Factor", "Overflow"]

NONE: frozenset[str] = frozenset()
BARRIER = 60.0
"""Seconds that a barrier may take from its beginning to its cut; more than any holds writes back."""


class Factor(Searcher):
    """The explanations of one machine."""

    def __init__(
        self,
        promised: Promised,
        journal: Journal,
        *,
        moves_by_itself: bool = False,
        strict: bool = False,
        unseen_faults: bool = False,
        ages: Ages | None = None,
    ) -> None:
        super().__init__(promised, journal, ages, moves_by_itself=moves_by_itself, strict=strict, unseen_faults=unseen_faults)
        self.known_ids: set[str] = set()
        self._listing: tuple[tuple[str, str], ...] = ()
        """The list of points as it was told last, where its new points were read."""
        self._trail = Trail()
        self._looked: tuple[Observation | None, bool, bool, Any, Appearance | None] = None, False, False, None, None
        """What was seen last, and what is remembered for it."""

    def fork(self) -> Factor:
        """This factor again, to go another way from here. What led here is not kept."""
        other = copy.copy(self)
        other.known_ids, other._trail = set(self.known_ids), Trail()
        return other

    # -------------------------------------------------------------------------------------------------------- seeing

    def look(
        self,
        seen: Observation,
        read: Reading | None,
        *,
        disk: bool = False,
        still: bool = False,
        former: bool = False,
        copy: bool = False,
        points: bool = True,
        now: float | None = None,
    ) -> Sight:
        """Turn an observation into a sight: read what is new. `disk`: read the active side as well; `former`: and the former
        source's disk, if a failover has left one behind; `copy`: and the test failover's copy, if there is one; `points` false:
        points are listed, and cannot be read. `now` is the time, where it is told."""
        new: tuple[PointSeen, ...] | None = None
        late: tuple[PointSeen, ...] = ()
        gone = NONE
        if seen.points == self._listing and read is not None and points and self.told_points:
            new = ()
        elif seen.points is not UNKNOWN:
            before = {p.id for p in self.points}
            if read is not None and points:
                shared = {one.point for one in seen.common}
                new = self._made([PointSeen(i, kind, read(i)) for i, kind in seen.points if i not in before], now, shared)
                if shared and len(new) < len(seen.points):
                    new, late = self._behind(new, seen.points, shared)
            gone = frozenset(before - {i for i, _ in seen.points})
        side = seen.active if disk and isinstance(seen.active, str) else None
        left = None
        if former and seen.failover != "none":
            left = {"primary": "recovery", "recovery": "primary"}.get(str(seen.active))
        test = "test" if copy and seen.test == "running" else None

        if read is None or (side is None and left is None and test is None):
            return Sight(seen, new, gone, None, still, None, None, self.told_points, now, late)
        views = [None if where is None else read(where) for where in (side, left, test)]
        return Sight(seen, new, gone, views[0], still, views[1], views[2], self.told_points, now, late)

    def _behind(
        self, new: tuple[PointSeen, ...], listed: tuple[tuple[str, str], ...], shared: set[str]
    ) -> tuple[tuple[PointSeen, ...], tuple[PointSeen, ...]]:
        """New points that stand behind every known one, and the common ones that stand before one."""
        fresh = {p.id for p in new}
        last = max((n for n, (i, _) in enumerate(listed) if i not in fresh), default=-1)
        ahead = {i for i, _ in listed[:last]} & shared
        return tuple(p for p in new if p.id not in ahead), tuple(p for p in new if p.id in ahead)

    def _made(self, points: list[PointSeen], now: float | None, shared: Collection[str] = ()) -> tuple[PointSeen, ...]:
        """New points with what is known of when they were made (`siteproof.conformance.ages`, rule 3). A common point (`shared`)
        may count as made when its barrier began, so from `BARRIER` before its newest write, and whatever stands before it."""
        if now is None:
            return tuple(points)
        first = next((p.made.first for p in reversed(self.points) if p.made is not None), 0.0)
        found = []
        for point in points:
            if point.id in shared:
                began = max(0.0, self.journal.times.get(point.view.newest, 0.0) - BARRIER)
                found.append(PointSeen(point.id, point.kind, point.view, Span(began, now)))
                continue
            first = max(first, self.journal.times.get(point.view.newest, 0.0))
            found.append(PointSeen(point.id, point.kind, point.view, Span(first, now)))
        return tuple(found)

    def follow(self, event: Event | None, sight: Sight) -> bool:
        """Take in an event and what was seen after it. False when nothing explains it; the candidates then stay as they
        were before, for `siteproof.conformance.blame`."""
        if not self.orderly(sight):
            return False
        found = self.explained(event, sight)
        if found is None:
            return False
        self.candidates, stage = found
        self._trail.add(stage, self.candidates)
        self.remember(sight)
        return True

    def explained(self, event: Event | None, sight: Sight) -> tuple[tuple[Candidate, ...], Stage] | None:
        """The candidates that explain an event and what was seen after it, and how they came about."""
        if self.moves_by_itself or self.unseen_faults or not sight.follows_on:
            return self.searched(event, sight)
        return self.recalled(event, sight)

    def searched(self, event: Event | None, sight: Sight) -> tuple[tuple[Candidate, ...], Stage] | None:
        """The same by a search."""
        ends = [n for n in self.search(event, sight) if self.explains(n, sight)]
        stage = self._searched
        stage.ends = {(n[0], n[1], n[2], n[3]): n for n in ends}
        return (tuple(stage.ends), stage) if ends else None

    def recalled(self, event: Event | None, sight: Sight) -> tuple[tuple[Candidate, ...], Stage] | None:
        """The same from what is remembered of earlier searches."""
        look, new, told = self._appearance(sight), sight.new, sight.seen.failover_point
        newest, ids = self._newest(new), tuple(p.id for p in new) if new else ()
        known, i_failover, lists = look.endings, self._at.failover, bool(sight.gone or sight.late)
        reads = sight.disk is not None or sight.former is not None or sight.copy is not None
        found: list[tuple[Candidate, Way]] = []
        for before in self.candidates:
            for here in event.apply(before) if event is not None else (before,):
                state, log, old, aside = here
                places: tuple[tuple[str, int | None, int | None], ...] | None = None
                if new is not None:
                    places = tuple((p.kind, p.where(log), None if old is None else p.where(old)) for p in new) if new else ()
                key = (
                    state, log.length, -1 if old is None else old.length, aside.copy is None, not aside.asked, newest == UNSEEN,
                    places,
                )  # fmt: skip
                endings = known.get(key)
                if endings is None:
                    endings = self._endings(here, sight, look, places, newest)
                    remember(self.promised, look, key, endings)
                for ending in endings:
                    reached, shapes, renewed, steps = ending
                    after = (reached, log, old, aside) if shapes is None else made_of(here, ending, newest, ids)
                    names = told is not None if reached[i_failover] not in FAILED_OVER else True
                    if reads or lists or renewed or (names and told is not UNKNOWN):
                        node = (*after, len(ids), renewed)
                        if not (
                            (not reads or (self.holds(node, sight) and self.keeps(node, sight) and self.copies(node, sight)))
                            and (not (lists or renewed) or self.lists(node, sight))
                            and (not names or self.names(node, sight))
                        ):
                            continue
                    found.append((after, (before, steps)))
        if len(found) == 1:
            return (found[0][0],), Only(found[0][1])
        ways = dict(found)
        return (tuple(ways), Kept(ways)) if ways else None

    def _appearance(self, sight: Sight) -> Appearance:
        """What is remembered for what is seen, which often is what was seen before."""
        all_of_them, told = self.promised.appearances, sight.new is None
        seen, still, untold, among, look = self._looked
        if look is None or seen is not sight.seen or still != sight.still or untold != told or among is not all_of_them:
            look = appearance(self.promised, sight)
            self._looked = sight.seen, sight.still, told, all_of_them, look
        return look

    def _endings(
        self,
        here: Candidate,
        sight: Sight,
        look: Appearance,
        places: tuple[tuple[str, int | None, int | None], ...] | None,
        newest: str,
    ) -> tuple[Ending, ...]:
        """Every way in which the closure of `here` can end in a state that shows what was seen."""
        state, log, old, aside = here
        own, former = Shape(OWN, log.length), None if old is None else Shape(FORMER, old.length)
        beside = Aside(None if aside.copy is None else Shape(COPY, 0), USED, ASKED if aside.asked else "")  # type: ignore[arg-type]
        start: Node = (state, own, former, beside, 0, False)  # type: ignore[assignment]
        new = None if places is None else tuple(Placed(f"{NAMED}{n}", k, (a, b)) for n, (k, a, b) in enumerate(places))
        paths = self._close((start,), new, newest if newest == UNSEEN else NEWEST, look.dead)
        points, found = self._at.points, list[Ending]()
        told, values = look.told, look.values
        for node, way in paths.items():
            if not (told(node[0]) == values if told is not None else self.shows(node, sight)):
                continue
            if not (self.allows(node, sight) and self.rests(node, sight)):
                continue
            if new is not None and (node[4] != len(new) or bool(node[0][points]) != bool(sight.ids)):
                continue
            steps = list[int]()
            while way is not None:
                steps.append(way[1])
                way = paths[way[0]]
            shapes: Any = node[1:4]
            same = shapes == start[1:4]
            found.append(Ending(node[0], None if same else shapes, node[5], tuple(reversed(steps))))
        return tuple(found)

    def explanation(self) -> list[list[str]]:
        """One explanation of the whole run: the internal steps of the model before and after each event, oldest event first."""
        names = (*self.promised.internal_names, *WORLD)
        steps = self._trail.back_from(min(self.candidates, key=lambda c: c[0]))
        return [[names[number] for number in one] for one in steps]

    def remember(self, sight: Sight) -> None:
        """What later sights are compared with."""
        told, points = sight.seen.failover_point, sight.seen.points
        self.reported_point = None if told is UNKNOWN else told
        if sight.new == () and not sight.gone and not sight.late and self.told_points and points == self._listing:
            return
        if sight.new is not None:
            old = {p.id: p for p in self.points}
            fresh = {p.id: p for p in (*sight.new, *sight.late)}
            self.points = tuple(old[i] if i in old else fresh[i] for i in sight.ids)
            self.known_ids |= set(fresh)
            self._listing = () if points is UNKNOWN else points
        self.listed = None if points is UNKNOWN else frozenset(sight.ids)
        self.told_points = sight.new is not None

    def other_kind(self, sight: Sight) -> tuple[str, str, str] | None:
        """A point that was of another kind before: its id, what it was, and what it is."""
        known = {p.id: p.kind for p in self.points}
        listed = () if sight.seen.points is UNKNOWN else sight.seen.points
        return next(((id, known[id], kind) for id, kind in listed if known.get(id, kind) != kind), None)

    def orderly(self, sight: Sight) -> bool:
        """Ids are never used again, kinds are known and stay, and the list is oldest first: those that stay, then new ones. An
        alert is raised once."""
        if sight.seen.alerts is not UNKNOWN and sight.seen.alerts.count(ALERT) > 1:
            return False
        if sight.new is None or (not sight.new and sight.seen.points == self._listing):
            return True
        fresh = (*sight.new, *sight.late)
        if any(p.id in self.known_ids for p in fresh) or any(p.kind not in KINDS for p in fresh) or self.other_kind(sight):
            return False
        late = {p.id for p in sight.late}
        stayed = tuple(p.id for p in self.points if p.id not in sight.gone)
        return tuple(i for i in sight.ids if i not in late) == (*stayed, *(p.id for p in sight.new))
