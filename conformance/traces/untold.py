"""What a trace does not tell, and what that may explain: gaps, and what was before a trace that begins in mid-life.

Rules
1. Each machine is judged first as if nothing had been left out: a *gap* is taken for nothing, and a case begins unprotected.
   What is explained so conforms.
2. What is rejected so is judged again with what the trace leaves open. In a gap anything may have been asked of the machine: as
   many operations as the gap says, one after the other, with any answer, and their jobs went on as they liked. If that explains
   the entry, nobody is accused: the case is inconclusive, and the lines of the gaps are named. If it does not, nothing that
   could have stood there explains it.
   A gap stands for operations only: writes and faults that nobody told are `unseen` in the case, or they did not happen.
3. A trace that says nothing of how a machine began may begin in mid-life: what is rejected then is judged once more with a gap
   before everything, in which writes and faults are unseen, too. If that explains it, the case is inconclusive, and what to add
   to the trace is told. What says it: an `EnableProtection` that was accepted or is assumed; before what is rejected, a look that
   shows the machine unprotected at the primary site, with no failover (one that was failed over, or migrated, is often shown
   unprotected as well). A case that a run recorded begins when the system was started, and is never taken so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import attrs

from siteproof.conformance.case import Operate
from siteproof.conformance.closure import Promised
from siteproof.conformance.driver import Accepted, Observation, Unknown
from siteproof.conformance.events import GENERAL
from siteproof.conformance.oracle import Event, Factor, Overflow
from siteproof.conformance.search import LIMIT
from siteproof.conformance.sight import UNSEEN as SOME_POINT
from siteproof.conformance.sight import Candidate
from siteproof.conformance.traces.values import UNSEEN, Entry, TraceCase

__all__ = ["ago", "anything", "begins", "how_to_begin", "named"]


def anything(factor: Factor, most: int) -> None:
    """Let `factor` take in a gap with up to `most` operations. Raises `Overflow`.

    Breadth first: each round goes on from what the one before has found. Of candidates that differ only in how often authority
    has moved, one is kept: no rule asks for more than how far one side's epoch is behind the other's."""
    ours, theirs = factor.promised.at.epoch, factor.promised.at.passive_epoch
    blank = factor.look(Observation(), None)
    known: dict[tuple[object, ...], Candidate] = {}
    for number in range(most + 1):
        fresh = []
        for candidate in factor.candidates:
            state = list(candidate[0])
            state[ours], state[theirs] = state[ours] - state[theirs], 0
            key = (tuple(state), *candidate[1:])
            if key not in known:
                known[key] = candidate
                fresh.append(candidate)
        if len(known) > LIMIT:
            raise Overflow
        if number == most or not fresh:
            break
        factor.candidates = tuple(fresh)
        factor.follow(_any_request(factor), blank)
    if most:
        factor.candidates = tuple(known.values())


def _any_request(factor: Factor) -> Event:
    """Any one operation was asked for, of any point, and answered in any way."""
    pointed = [word for word in GENERAL if word is not None]
    if factor.journal.records:  # where nothing was written, all points hold the same
        pointed += [*(point.id for point in factor.points), SOME_POINT]
    requests = [
        factor.request(operation, point, Unknown())
        for operation, action in factor.promised.commands.items()
        for point in (pointed if action.action.parameters else (None,))
    ]

    def apply(candidate: Candidate) -> Iterable[Candidate]:
        return dict.fromkeys(after for request in requests for after in request.apply(candidate))

    return Event("gap", "what is not told", apply)


def named(gaps: Iterable[Entry]) -> str:
    """Gaps in words, by their lines."""
    return ", ".join(f"line {gap.line}" + (f" ({gap.about})" if gap.about else "") for gap in gaps)


def begins(case: TraceCase, machine: str, until: int) -> bool:
    """Whether the entries up to `until`, the one that is rejected, say how the machine's life begins."""
    return case.recorded or any(_enabled(entry, machine) for entry in case.entries[: until + 1]) or any(
        _shown_fresh(entry, machine) for entry in case.entries[:until])


def _enabled(entry: Entry, machine: str) -> bool:
    command = entry.command
    if not isinstance(command, Operate) or command.machine != machine or entry.skipped:
        return False
    return bool(entry.assumed) or (command.operation == "EnableProtection" and isinstance(entry.answer, Accepted))


def _shown_fresh(entry: Entry, machine: str) -> bool:
    seen = entry.seen.get(machine)
    return seen is not None and (seen.protection, seen.active, seen.failover) == ("none", "primary", "none")


def ago(case: TraceCase) -> TraceCase:
    """The case as it may be where much has gone before its first entry, unseen."""
    return attrs.evolve(case, unseen=frozenset(UNSEEN), moves_by_itself=True)


def how_to_begin(case: TraceCase, machine: str, promised: Promised) -> str:
    """What to add to a trace that begins in mid-life."""
    first = next((entry.line for entry in case.entries), case.line + 1)
    row = {"kind": "operation", "machine": machine, "operation": "EnableProtection", "answer": "accepted"}
    line = json.dumps(row | {"assumed": "protected before the trace begins"}, ensure_ascii=False)
    blind = "" if case.unseen >= set(UNSEEN) else f', and in the line of the case "unseen": {json.dumps(list(UNSEEN))}'
    others = [o for o in ("PlannedFailover", "UnplannedFailover", "Commit", "ReverseReplicate") if o in promised.commands]
    return (
        f"the trace says nothing of {machine} before this, and a case starts unprotected; if {machine} was protected already, "
        f"add before line {first}: {line} (and in the same way what had followed since, such as {others[0]}){blind}"
    )
