"""Appearances: what of an observation the state alone decides, and what is remembered for each.

Rules
1. An *appearance* is the part of an observation that a state either shows or does not, whatever was written: all plain fields,
   the advertised operations, whether there are points, and whether the system stands still. Campaigns meet few of them, again and
   again.
2. For each appearance and state the ways in which a closure can end there are worked out once, by the search itself, on *shapes*
   in place of histories: a shape says which history it is the beginning of, and how long it is. So no rule is written a second
   time.
3. New points enter by kind and position. What content, names and removed points demand is asked each time, of real histories.
4. What is remembered is bounded by the number of closures; beyond it all is forgotten. It changes no answer.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple

import attrs

from siteproof.conformance.closure import Promised
from siteproof.conformance.content import Log
from siteproof.conformance.driver import UNKNOWN, Observation
from siteproof.conformance.sight import ALERT, Aside, Candidate, Sight
from siteproof.conformance.trail import Steps
from siteproof.model.readings.python import State

__all__ = [
    "ASKED", "COPY", "FORMER", "NAMED", "NEWEST", "OWN", "USED", "Appearance", "Ending", "Placed", "Shape", "appearance",
    "made_of", "pruner", "remember",
]  # fmt: skip

OWN, FORMER, COPY = range(3)
"""Whose history a shape is the beginning of: the active side's, the former source's, a test copy's."""

USED, ASKED, NEWEST, NAMED = "\0used", "\0asked", "\0newest", "\0point"
"""Names that are filled in later; `NAMED` with the number of a new point."""

REMEMBERED = 25_000

Key = tuple[Any, ...]


class Shape(NamedTuple):
    """The first `length` writes of a history."""

    of: int
    length: int

    def prefix(self, length: int) -> Shape:
        return self if length >= self.length else Shape(self.of, length)


@attrs.frozen
class Placed:
    """A new point by its kind and where it lies in the active side's and in the former source's history."""

    id: str
    kind: str
    at: tuple[int | None, int | None]

    def where(self, log: Any) -> int | None:
        position = self.at[log.of]
        return position if position is not None and position <= log.length else None


class Ending(NamedTuple):
    """One way in which a closure can end: the state; histories and what stands beside as shapes, None where they are as before;
    whether all old points have gone; the steps."""

    state: State
    shapes: tuple[Shape, Shape | None, Aside] | None
    renewed: bool
    steps: Steps


def appearance_key(sight: Sight) -> Key:
    """What of a sight the state alone decides."""
    seen = sight.seen
    alerts, points = seen.alerts, seen.points
    return (
        sight.still, seen.protection, seen.active, seen.direction, seen.failover, seen.job, seen.allowed_operations,
        seen.received, seen.loss, UNKNOWN if alerts is UNKNOWN else ALERT in alerts, seen.running, seen.test, seen.resync,
        None if points is UNKNOWN or sight.new is None else bool(points),
    )  # fmt: skip


@attrs.define(eq=False)
class Appearance:
    """What is remembered for one appearance: which states lead nowhere near it, what the variables that it tells have to be
    (`told` picks them; None where they cannot be told one by one), and how closures can end in it."""

    dead: Callable[[State], bool] | None
    told: Callable[[State], Any] | None
    values: Any
    endings: dict[Key, tuple[Ending, ...]] = attrs.Factory(dict)


def appearance(promised: Promised, sight: Sight) -> Appearance:
    """What is remembered for what is seen, to be added to."""
    key, known = appearance_key(sight), promised.appearances
    found: Appearance | None = known.get(key)
    if found is None:
        found = known[key] = Appearance(pruner(promised, sight.seen), *told_by(promised, sight.seen))
    return found


def remember(promised: Promised, look: Appearance, key: Key, endings: tuple[Ending, ...]) -> None:
    """Keep what a closure comes to."""
    promised.remembered += 1
    if promised.remembered > REMEMBERED:
        promised.remembered = 0
        promised.appearances = {}  # another one, so that whoever holds on to an appearance of before sees that it is over
    look.endings[key] = endings


def made_of(here: Candidate, ending: Ending, newest: str, new: tuple[str, ...]) -> Candidate:
    """The candidate that `here` becomes."""
    _, log, old, aside = here
    if ending.shapes is None:
        return (ending.state, log, old, aside)
    own, former, beside = ending.shapes
    histories = (log, old, aside.copy)

    def history(shape: Any) -> Log | None:
        of = None if shape is None else histories[shape.of]
        return None if of is None else of if shape.of == COPY else of.prefix(shape.length)

    def name(placed: str) -> str:
        if not placed.startswith("\0"):
            return placed
        if placed.startswith(NAMED):
            return new[int(placed.removeprefix(NAMED))]
        return {USED: aside.used, ASKED: aside.asked, NEWEST: newest}[placed]

    whole = history(own)
    assert whole is not None
    return (ending.state, whole, history(former), Aside(history(beside.copy), name(beside.used), name(beside.asked)))


def told_by(promised: Promised, seen: Observation) -> tuple[Callable[[State], Any] | None, Any]:
    """The variables of a state that an observation tells, and their values. What it tells only together with a side that is not
    known, or in words that the model does not have, is left to `Tests.shows`."""
    at, coded = promised.at, promised.coded
    pairs: list[tuple[int, int | bool]] = []
    words = (
        (at.protection, seen.protection), (at.active, seen.active), (at.direction, seen.direction), (at.failover, seen.failover),
        (at.test, seen.test), (at.resync, seen.resync),
    )  # fmt: skip
    for i, word in words:
        if word is not UNKNOWN:
            if word not in coded[i]:
                return None, None
            pairs.append((i, coded[i][str(word)]))
    if seen.job is not UNKNOWN:
        job = coded[at.job].get("none" if seen.job is None else seen.job)
        if job is None or seen.job == "none":
            return None, None
        pairs.append((at.job, job))
    for i, known, number in ((at.received, at.received_known, seen.received), (at.loss, at.loss_known, seen.loss)):
        if number is not UNKNOWN:
            pairs += [(known, number is not None), *([(i, number)] if number is not None else [])]
    if seen.alerts is not UNKNOWN:
        pairs.append((at.alerted, ALERT in seen.alerts))
    if seen.running != (UNKNOWN, UNKNOWN):
        if seen.active is UNKNOWN:
            return None, None
        sides = seen.running if coded[at.active][str(seen.active)] == 0 else seen.running[::-1]
        pairs += [(i, runs) for i, runs in zip((at.running, at.passive_running), sides, strict=True) if runs is not UNKNOWN]
    if len(pairs) < 2:
        return None, None
    return itemgetter(*(i for i, _ in pairs)), tuple(value for _, value in pairs)


def pruner(promised: Promised, seen: Observation) -> Callable[[State], bool] | None:
    """Tells states from which no internal step leads to `seen`: jobs start by requests only; without a job the lifecycle
    stands still, but that a resynchronisation may be called for; an alert, once raised, stays; reports change only when an
    unplanned failover switches, or a change of point counts anew."""
    at = promised.at
    if seen.job is UNKNOWN:
        return None
    coded = promised.coded
    job = coded[at.job][seen.job or "none"]
    frozen = tuple(
        (i, coded[i][value])
        for i, value in (
            (at.active, seen.active),
            (at.failover, seen.failover),
            (at.protection, seen.protection),
            (at.direction, seen.direction),
            (at.test, seen.test),
        )
        if isinstance(value, str)
    )
    quiet = seen.alerts is not UNKNOWN and ALERT not in seen.alerts
    loss, received = seen.loss, seen.received
    counting = tuple(coded[at.job][name] for name in ("UnplannedFailover", "ChangePit"))
    resync = -1 if seen.resync is UNKNOWN else coded[at.resync][str(seen.resync)]
    i_job, i_alerted, i_loss, i_loss_known, i_resync = at.job, at.alerted, at.loss, at.loss_known, at.resync
    i_received, i_received_known = at.received, at.received_known

    def dead(s: State) -> bool:
        runs = s[i_job]
        if runs != job:
            if job or not runs:
                return True
        if not runs:
            for i, code in frozen:
                if s[i] != code:
                    return True
            if s[i_resync] and s[i_resync] != resync >= 0:
                return True
        if quiet and s[i_alerted]:
            return True
        if runs not in counting:
            if s[i_loss_known] and loss is not UNKNOWN and s[i_loss] != loss:
                return True
            if s[i_received_known] and received is not UNKNOWN and s[i_received] != received:
                return True
        return False

    return dead
