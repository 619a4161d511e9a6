"""Which recovery points retention keeps.

===========================  =================================================================================================
every flow                   a point goes when it is older than the retention; the newest stays, and so does one in use (P4)
VMware, physical to Azure    so many are kept, besides: all of the last two hours; before that one for each

                             * hour, if points are kept for up to a day;
                             * two hours, if for up to seven days;
                             * two hours within the last seven days and four hours before, if longer
===========================  =================================================================================================

Of the points of a period the oldest stays, so that what was kept once is kept until it is too old; one that a replication group
has in common goes before all others, so that members keep the same, and an app-consistent one before what is left. The newest
app-consistent point is not thinned: somebody may ask for it by that name. Periods are counted from the start of virtual time, and
so are the same for all members.

Source: the public answers on VMware recovery points (reference: pruning, recovery points).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .values import APP_CONSISTENT, Point, newest_app_point

__all__ = ["ALL_WITHIN", "HOUR", "to_prune"]

HOUR = 3600.0
DAY = 24 * HOUR
ALL_WITHIN = 2 * HOUR
"""Seconds within which every point is kept, where points are thinned."""


def _period(age: float, retention: float) -> float:
    """Seconds for which one point is kept, at an age and under a retention."""
    if retention <= DAY:
        return HOUR
    return 2 * HOUR if age <= 7 * DAY or retention <= 7 * DAY else 4 * HOUR


def to_prune(points: Sequence[Point], now: float, retention: float, in_use: Collection[str], *, thins: bool) -> list[Point]:
    """Points that go; ``points`` are oldest first, ``retention`` is in seconds, ``thins``: whether the flow thins them."""
    gone = []
    kept: dict[tuple[float, int], Point] = {}
    older = points[:-1]
    newest_app = newest_app_point(points)
    # Common points first, then app-consistent ones, then by age: whoever comes first in a period stays.
    for point in sorted(older, key=lambda p: (not p.group, p.kind != APP_CONSISTENT, p.cut_at)) if thins else older:
        age = now - point.cut_at
        if point.id in in_use:
            continue
        if age > retention:
            gone.append(point)
        elif thins and age > ALL_WITHIN:
            period = _period(age, retention)
            first = kept.setdefault((period, int(point.cut_at // period)), point)
            if first is not point and point is not newest_app:
                gone.append(point)
    return gone
