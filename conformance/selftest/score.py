"""What the trials come to: for each bug, for each family, and for an engine as a whole.

Rules
1. A bug is *found* by an engine when every trial of it detected it (as ETNA counts a task as solved); else it is a *survivor*,
   and is named. How many trials detected it stands beside.
2. Buckets of time to detection are ETNA's: within 0.1, 1, 10, 60 seconds, or not. A bug's time is the slowest of its trials.
3. Only detections count for the length of counterexamples; where one is shorter than the shortest that is known, that is told,
   since the figure kept with the bug is wrong then.
4. What cannot be known from the trials is None, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

import attrs

from siteproof.conformance.drivers.bugs import Bug
from siteproof.conformance.exits import Exit
from siteproof.conformance.selftest.trials import BugTrial, VariantTrial

__all__ = ["BUCKETS", "BugScore", "EngineScore", "Tally", "exit_of", "score"]

BUCKETS = (0.1, 1.0, 10.0, 60.0)
"""Seconds: the upper ends of ETNA's buckets."""


@attrs.frozen
class BugScore:
    """A bug and an engine: how many trials reached, triggered and detected it, and how fast."""

    bug: str
    family: str
    difficulty: str
    trials: int
    reached: int
    triggered: int
    detected: int
    slowest: float | None
    """Seconds of the slowest detection; None unless every trial detected it."""
    median: float | None
    shortest: int | None
    """Steps of the shortest counterexample found."""
    known: int
    """Steps of the shortest one that is known."""
    blamed: tuple[str, ...]
    """Promises that were blamed and are not those of the bug."""
    errors: tuple[str, ...]
    undetected: tuple[BugTrial, ...] = ()

    @property
    def found(self) -> bool:
        return self.detected == self.trials


@attrs.frozen
class Tally:
    """Some bugs together, in bugs, not in trials: `buckets` as `BUCKETS`, the last one is *not found*."""

    name: str
    bugs: int
    reached: int
    triggered: int
    found: int
    buckets: tuple[int, ...]
    median: float | None


@attrs.frozen
class EngineScore:
    """An engine: all bugs together, by family and by difficulty; its counterexamples; its false alarms."""

    engine: str
    all: Tally
    families: tuple[Tally, ...]
    difficulties: tuple[Tally, ...]
    bugs: tuple[BugScore, ...]
    trials: int
    detections: int
    shrunk: int
    at_minimum: int
    """Counterexamples that are as short as the shortest known one, or shorter."""
    longer_median: float | None
    """Steps beyond the shortest known one, in the median of those that are longer."""
    longest_excess: int
    shorter: tuple[tuple[str, int, int], ...]
    """Bugs with a counterexample shorter than the shortest known one: bug, steps, steps known."""
    minimal: int
    stable: int
    variant_steps: int
    alarms: tuple[VariantTrial, ...]
    alike: tuple[str, ...]
    """Variants that were never in another state than the implementation itself, so that sparing them says nothing."""

    @property
    def survivors(self) -> tuple[BugScore, ...]:
        return tuple(one for one in self.bugs if not one.found)


def score(engine: str, bugs: Sequence[Bug], tried: Sequence[BugTrial], variants: Sequence[VariantTrial]) -> EngineScore:
    """The score of one engine. Bugs that were never tried are left out."""
    by_bug = {bug.id: [t for t in tried if t.bug == bug.id and t.engine == engine] for bug in bugs}
    rows = tuple(_bug(bug, by_bug[bug.id]) for bug in bugs if by_bug[bug.id])
    known = {bug.id: bug.shortest for bug in bugs}
    told = [t for trials in by_bug.values() for t in trials if t.detected and t.length is not None]
    excess = [(t.length or 0) - known[t.bug] for t in told]
    least = {t.bug: min(o.length or 0 for o in told if o.bug == t.bug) for t in told}
    mine = [v for v in variants if v.engine == engine]
    return EngineScore(
        engine,
        _tally("all", rows),
        tuple(_tally(name, [r for r in rows if r.family == name]) for name in dict.fromkeys(r.family for r in rows)),
        tuple(
            _tally(name, [r for r in rows if r.difficulty == name])
            for name in ("easy", "medium", "hard")
            if any(r.difficulty == name for r in rows)
        ),
        rows,
        sum(len(trials) for trials in by_bug.values()),
        sum(t.detected for trials in by_bug.values() for t in trials),
        len(told),
        sum(e <= 0 for e in excess),
        float(median(e for e in excess if e > 0)) if any(e > 0 for e in excess) else None,
        max(excess, default=0),
        tuple((bug, steps, known[bug]) for bug, steps in sorted(least.items()) if steps < known[bug]),
        sum(t.minimal is True for t in told),
        sum(t.detected and t.stable is True for trials in by_bug.values() for t in trials),
        sum(v.steps for v in mine),
        tuple(v for v in mine if v.alarm or v.error),
        tuple(dict.fromkeys(v.variant for v in mine if not any(o.differs for o in mine if o.variant == v.variant))),
    )


def _bug(bug: Bug, trials: Sequence[BugTrial]) -> BugScore:
    seconds = [t.seconds for t in trials if t.detected and t.seconds is not None]
    return BugScore(
        bug.id,
        bug.family,
        bug.difficulty,
        len(trials),
        sum(t.reached for t in trials),
        sum(t.triggered for t in trials),
        len(seconds),
        max(seconds) if len(seconds) == len(trials) else None,
        float(median(seconds)) if seconds else None,
        min((t.length for t in trials if t.detected and t.length is not None), default=None),
        bug.shortest,
        tuple(sorted({t.promise for t in trials if t.promise is not None and not t.detected})),
        tuple(dict.fromkeys(t.error for t in trials if t.error)),
        tuple(t for t in trials if not t.detected),
    )


def _tally(name: str, rows: Iterable[BugScore]) -> Tally:
    rows = list(rows)
    buckets = [0] * (len(BUCKETS) + 1)
    for row in rows:
        slowest = row.slowest
        buckets[len(BUCKETS) if slowest is None else next((i for i, b in enumerate(BUCKETS) if slowest <= b), len(BUCKETS))] += 1
    times = [row.median for row in rows if row.median is not None]
    return Tally(
        name,
        len(rows),
        sum(row.reached == row.trials for row in rows),
        sum(row.triggered == row.trials for row in rows),
        sum(row.found for row in rows),
        tuple(buckets),
        float(median(times)) if times else None,
    )


def exit_of(scores: Sequence[EngineScore]) -> Exit:
    """1: a false alarm; 2: a survivor, or a variant that never did anything else; 0: every bug found by every engine, and no
    correct system accused."""
    if any(one.alarms for one in scores):
        return Exit.VIOLATION
    return Exit.INCONCLUSIVE if any(one.survivors or one.alike for one in scores) else Exit.OK
