"""Judges a trace, by the oracle that judges a live run.

Rules
1. A trace is judged case by case, and within a case machine by machine, each by its own `Factor`: machines share nothing but
   faults and, where they form a group, its common points (`siteproof.conformance.traces.groups`). Every entry of a machine goes
   to the oracle as a live one would (`siteproof.conformance.judgement`).
2. Entries whose times overlap may have happened in any order that respects real time: one that ended before another began comes
   first. All such orders are tried (`siteproof.conformance.concurrent`). An observation lies between its own command and the
   entry's end. More than `ORDERS` trials leave the case *inconclusive*.
3. Two things are not reordered, and where a verdict hangs on them it is no violation but inconclusive: writes of one machine
   (their numbers are their order), and a fault that overlaps entries of several machines, which each may order in its own way
   (this accepts more than it should, never less).
4. Where writes are unseen, counts of writes and contents say nothing and are not judged. Where faults are unseen, any may have
   struck or been healed at any time.
5. What was not told was not judged, and is counted. A trace in which nothing was told is inconclusive. Where a gap, or what was
   before the trace, may explain an entry, nobody is accused (`siteproof.conformance.traces.untold`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from siteproof.conformance.case import SIDES, Operate, Settle, StartMachine, Write
from siteproof.conformance.closure import Promised
from siteproof.conformance.driver import UNKNOWN, Observation, answer_to_json
from siteproof.conformance.results import Divergence, Outcome, StepRecord
from siteproof.conformance.traces.groups import wrong_together
from siteproof.conformance.traces.machine import ORDERS, Found, judged
from siteproof.conformance.traces.reading import Reader
from siteproof.conformance.traces.untold import named
from siteproof.conformance.traces.values import Entry, TraceCase, TraceError
from siteproof.model.errors import UsageError

__all__ = ["CaseVerdict", "TraceVerdict", "check", "check_case", "source_beside"]

_FIELDS = tuple(f.name for f in attrs.fields(Observation) if f.name != "common")


@attrs.frozen
class CaseVerdict:
    """What a case comes to. `accepted`: how many entries the longest accepted prefix has, out of `entries`; `line`: that of the
    entry that was rejected. `untold`: fields that were unknown, with how often, out of `looks`; `judged`: whether anything was
    told at all. `recorded`: what the run itself found, in words; None where that was not recorded."""

    number: int
    topology: str
    outcome: Outcome
    reason: str
    entries: int
    accepted: int
    divergence: Divergence | None = None
    line: int | None = None
    steps: tuple[StepRecord, ...] = ()
    looks: int = 0
    untold: dict[str, int] = attrs.Factory(dict)
    judged: bool = True
    skipped: int = 0
    assumed: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    """Lines at which something may not be told, with what is known of it."""
    recorded: str | None = None
    orders: tuple[str, ...] = ()
    """Where entries overlap and nothing explains them: every order that was tried, and where it ended."""


@attrs.frozen
class TraceVerdict:
    """What a trace comes to: the worst of its cases, and never better than what the run itself came to. `cases` has the
    first one, and those that are no plain pass."""

    outcome: Outcome
    reason: str
    count: int
    entries: int
    looks: int
    untold: dict[str, int]
    cases: tuple[CaseVerdict, ...]
    recorded: str | None


def check(
    reader: Reader, promised: Callable[[str], Promised], on_case: Callable[[CaseVerdict], None] | None = None
) -> TraceVerdict:
    """Judge a whole trace. `promised` gives the promise level for a case's topology. Raises `TraceError`."""
    kept: list[CaseVerdict] = []
    number = entries = looks = 0
    untold: Counter[str] = Counter()
    judged = False
    for number, case in enumerate(reader.cases(), 1):
        try:
            level = promised(case.scenario.topology)
        except UsageError as error:
            raise TraceError(reader.file, case.line, error.found, error.expected, error.mend) from error
        verdict = check_case(case, level, number)
        entries, looks, judged = entries + verdict.entries, looks + verdict.looks, judged or verdict.judged
        untold.update(verdict.untold)
        if number == 1 or verdict.outcome is not Outcome.CONFORMS or verdict.skipped or verdict.assumed or verdict.gaps:
            kept.append(verdict)
        if on_case is not None:
            on_case(verdict)
    recorded = reader.outcome
    worst = next((v for word in (Outcome.VIOLATION, Outcome.INCONCLUSIVE) for v in kept if v.outcome is word), None)
    if worst is not None:
        outcome, reason = worst.outcome, worst.reason
    elif not number:
        outcome, reason = Outcome.INCONCLUSIVE, "the trace has no case"
    elif not judged:
        outcome, reason = Outcome.INCONCLUSIVE, "nothing in it was told, so that nothing was judged"
    elif recorded not in (None, "conforms"):
        outcome = Outcome.INCONCLUSIVE
        reason = f"every entry is explained by the model; the run itself was {recorded}: {reader.reason}"
    else:
        outcome, reason = Outcome.CONFORMS, f"all {entries} entries are explained by the model"
    return TraceVerdict(outcome, reason, number, entries, looks, dict(untold), tuple(kept), recorded)


def check_case(case: TraceCase, promised: Promised, number: int = 1, *, orders: int = ORDERS) -> CaseVerdict:
    """Judge one case. `orders` bounds the trials of each knot of overlapping entries."""
    entries = case.entries

    def first(found: Found) -> tuple[bool, int]:
        """Accusations first; what is rejected of an assumption is none."""
        at = found.rejected or 0
        return not found.accuses or bool(entries[at].assumed), at

    verdicts = [judged(case, machine, promised, orders) for machine in case.scenario.machines]
    recorded = None if case.found is None else _told_found(case.found)
    untold, looks = _untold(case)
    wrong = min((v for v in verdicts if v.rejected is not None), key=first, default=None)
    base = CaseVerdict(
        number, case.scenario.topology, Outcome.CONFORMS, "every entry is explained by the model", len(entries), len(entries),
        looks=looks, untold=untold, judged=_judged(case), skipped=sum(e.skipped for e in entries),
        assumed=tuple(dict.fromkeys(e.assumed for e in entries if e.assumed)), recorded=recorded,
        gaps=tuple(named([e]) for e in entries if e.gap),
    )  # fmt: skip
    if wrong is not None and wrong.rejected is not None:
        entry = entries[wrong.rejected]
        found = attrs.evolve(
            base, accepted=wrong.accepted, line=entry.line, steps=_records(entries, wrong.rejected),
            divergence=wrong.divergence, orders=wrong.orders,
        )  # fmt: skip
        if entry.assumed:
            reason = f"line {entry.line}: what the trace assumes is not possible in this flow ({entry.assumed})"
            return attrs.evolve(found, outcome=Outcome.INCONCLUSIVE, reason=reason)
        if wrong.accuses and wrong.divergence is not None:
            return attrs.evolve(found, outcome=Outcome.VIOLATION, reason=wrong.divergence.sentence)
        return attrs.evolve(found, outcome=Outcome.INCONCLUSIVE, reason=f"line {entry.line}: {wrong.reason}")
    together = wrong_together(case, promised)
    if together is not None:
        index, divergence = together
        return attrs.evolve(
            base, outcome=Outcome.VIOLATION, reason=divergence.sentence, accepted=index, line=entries[index].line,
            steps=_records(entries, index), divergence=divergence,
        )  # fmt: skip
    if recorded:
        return attrs.evolve(
            base, outcome=Outcome.INCONCLUSIVE, reason=f"this release explains every entry; the run itself found {recorded}"
        )
    return base


def _told_found(found: Any) -> str:
    if found.get("overflow"):
        return "more explanations than it could keep"
    return f"{found.get('promise')}, {found.get('sentence')}" if found else ""


def _records(entries: Sequence[Entry], until: int) -> tuple[StepRecord, ...]:
    """The entries up to the rejected one, as reports show them."""
    found = []
    for index, entry in enumerate(entries[: until + 1]):
        told = {"answer": "skipped"} if entry.skipped else answer_to_json(entry.answer)
        seen = {m: one.to_json() for m, one in entry.seen.items()}
        found.append(StepRecord(index, {"line": entry.line}, told, seen, entry.text, entry.start or 0.0))
    return tuple(found)


def _untold(case: TraceCase) -> tuple[dict[str, int], int]:
    untold: Counter[str] = Counter()
    looks = 0
    for entry in case.entries:
        for seen in entry.seen.values():
            looks += 1
            untold.update(name for name in _FIELDS if name != "running" and getattr(seen, name) is UNKNOWN)
            untold.update(f"running at {side}" for side, runs in zip(SIDES, seen.running, strict=True) if runs is UNKNOWN)
    return dict(untold), looks


def _judged(case: TraceCase) -> bool:
    """Whether any answer, any field or any content is told that is judged."""
    return any(
        (isinstance(e.command, Operate | Write | StartMachine | Settle) and e.answer is not None and not e.assumed)
        or any(getattr(seen, name) is not UNKNOWN for seen in e.seen.values() for name in _FIELDS if name != "running")
        or any(one is not UNKNOWN for seen in e.seen.values() for one in seen.running)
        or e.read
        for e in case.entries
        if not e.skipped
    )


def source_beside(source: str, file: Path) -> str:
    """A user's own topology is named by its path; from another folder that is tried from the folders around the trace, too."""
    if Path(source).exists():
        return source
    return next((str(f / source) for f in file.absolute().parents if (f / source).is_file()), source)
