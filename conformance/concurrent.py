"""Concurrent histories: was there an order of what overlapped in time that explains it all?

Rules
1. A *moment* is something that took effect at one unknown instant between its beginning and its end: a request, a write, a look.
   One that ended before another began came before it (real time); beside that, a moment may have to follow others (a look follows
   its own command). A moment without an end was never answered: it took effect at any time later, or not at all.
2. What is judged by is not known here: `take` lets a moment take effect on what is known after an order (a set of explaining
   states), and answers with what is known then, or with why that is impossible. So one oracle judges runs and histories.
3. Beginnings and ends are gone through in the order of time. Only when a moment ends must it have taken effect: then, and no
   earlier, all ways are tried to have it do so, with open moments before it. This is linearizability as Wing and Gong judge it,
   put off as far as it can be (Lowe, *Testing for linearizability*, 2017); putting off loses no order, since a moment that
   nobody had to wait for may as well come later.
4. Orders that have done the same moments and know the same are joined (Lowe's memo): what is known after them becomes one, with
   the explanations of all. Each keeps one order to tell.
5. Between two ends only so many trials are made; beyond that nothing is said.

Source: Herlihy and Wing, *Linearizability*, 1990; Wing and Gong, *Testing and verifying concurrent objects*, 1993.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar

import attrs

__all__ = ["Judged", "Moment", "Refusal", "judge"]

Known = TypeVar("Known")
"""What is known after an order of moments."""
Why = TypeVar("Why")
"""Why a moment cannot take effect then."""


RECALLED = 256
"""Refusals that are kept to be told."""


@attrs.frozen
class Moment:
    """One thing that took effect between `begins` and `ends` (infinity: it was never answered), after those in `after`."""

    number: int
    begins: float
    ends: float
    after: frozenset[int] = frozenset()


@attrs.frozen
class Refusal(Generic[Why]):
    """After the moments in `order` the moment `number` cannot have taken effect."""

    order: tuple[int, ...]
    number: int
    why: Why


@attrs.frozen
class Judged(Generic[Known, Why]):
    """What the history comes to. `left`: what is known once all that ended has been done (what is open still need not have been),
    one for each way that cannot be joined. Empty when no order explains it: then `refusals` has where each order ended, since
    nothing was open last, the furthest first, each told for one of the orders that come to the same (of very many the last
    `RECALLED`). `gave_up`: too many trials."""

    left: tuple[Known, ...]
    refusals: tuple[Refusal[Why], ...] = ()
    tried: int = 0
    gave_up: bool = False


@attrs.define
class _Way(Generic[Known]):
    """What is known after moments were done, and one order in which they were."""

    known: Known
    order: tuple[int, ...] = ()


class _Level(dict[frozenset[int], list[_Way[Known]]]):
    """Ways by the open moments that are done in them."""


@attrs.define
class _Search(Generic[Known, Why]):
    take: Callable[[Known, int], tuple[Known | None, Why | None]]
    same: Callable[[Known], Hashable]
    join: Callable[[Known, Known], Known]
    most: int
    open: dict[int, Moment] = attrs.Factory(dict)
    over: set[int] = attrs.Factory(set)
    tried: int = 0
    refused: deque[Refusal[Why]] = attrs.Factory(lambda: deque(maxlen=RECALLED))

    def forced(self, ending: int, level: _Level[Known]) -> _Level[Known] | None:
        """Every way in which `ending` has been done, from all those in `level`. None after too many trials."""
        found, tried, here = _Level[Known](), 0, level
        while here:
            after = _Level[Known]()
            for done, ways in here.items():
                if ending in done:
                    found.setdefault(done - {ending}, []).extend(ways)
                    continue
                for number, moment in self.open.items():
                    if number in done or not moment.after <= done | self.over:
                        continue
                    for way in ways:
                        tried += 1
                        if tried > self.most:
                            return None
                        known, why = self.take(way.known, number)
                        if known is not None:
                            after.setdefault(done | {number}, []).append(_Way(known, (*way.order, number)))
                        elif why is not None:
                            self.refused.append(Refusal(way.order, number, why))
            here = _Level({done: self.joined(ways) for done, ways in after.items()})
        self.tried += tried
        return _Level({done: self.joined(ways) for done, ways in found.items()})

    def joined(self, ways: Iterable[_Way[Known]]) -> list[_Way[Known]]:
        """Ways that know the same become one."""
        found: dict[Hashable, _Way[Known]] = {}
        for way in ways:
            key = self.same(way.known)
            first = found.get(key)
            found[key] = way if first is None else _Way(self.join(first.known, way.known), first.order)
        return list(found.values())


def judge(
    moments: Sequence[Moment],
    start: Iterable[Known],
    take: Callable[[Known, int], tuple[Known | None, Why | None]],
    *,
    same: Callable[[Known], Hashable],
    join: Callable[[Known, Known], Known],
    most: int,
) -> Judged[Known, Why]:
    """Judge a history. `take(known, number)` must leave `known` as it is. `same` tells what may be joined, `join` joins two of
    it; `most` bounds the trials between two ends."""
    search = _Search(take, same, join, most)
    level = _Level({frozenset[int](): [_Way(one) for one in start]})
    points = [(m.begins, 0, m) for m in moments] + [(m.ends, 1, m) for m in moments if m.ends != float("inf")]
    for _, ends, moment in sorted(points, key=lambda one: (one[0], one[1], one[2].number)):
        if not ends:
            search.open[moment.number] = moment
            continue
        found = search.forced(moment.number, level)
        if found is None:
            return Judged((), (), search.tried, gave_up=True)
        if not found:
            return Judged((), tuple(sorted(search.refused, key=lambda r: -len(r.order))), search.tried)
        level = found
        del search.open[moment.number]
        search.over.add(moment.number)
        if not search.open:
            search.refused.clear()
    return Judged(tuple(way.known for ways in level.values() for way in ways), (), search.tried)
