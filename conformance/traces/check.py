"""Judges a trace, by the oracle that judges a live run.

Rules
1. A trace is judged case by case, and within a case machine by machine, each by its own `Factor`: machines share nothing but
   faults. Every entry of a machine goes to the oracle as a live one would (`siteproof.conformance.judgement`).
2. Entries whose times overlap may have happened in any order that respects real time: one that ended before another began comes
   first. All such orders are tried, step by step; explanations that have done the same and know the same are united. An
   observation lies between its own command and the entry's end. More than `ORDERS` trials leave the case *inconclusive*.
3. Two things are not reordered, and where a verdict hangs on them it is no violation but inconclusive: writes of one machine
   (their numbers are their order), and a fault that overlaps entries of several machines, which each may order in its own way
   (this accepts more than it should, never less).
4. Where writes are unseen, counts of writes and contents say nothing and are not judged. Where faults are unseen, any may have
   struck or been healed at any time.
5. What was not told was not judged, and is counted. A trace in which nothing was told is inconclusive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from siteproof.conformance import blame
from siteproof.conformance.case import SIDES, Fault, Heal, Operate, Scenario, Settle, StartMachine, Write
from siteproof.conformance.closure import Promised
from siteproof.conformance.content import Base, Journal, View, WriteRecord
from siteproof.conformance.driver import UNKNOWN, Observation, answer_to_json
from siteproof.conformance.judgement import event_of, why_not_explained
from siteproof.conformance.oracle import Event, Factor, Overflow
from siteproof.conformance.results import Divergence, Outcome, StepRecord
from siteproof.conformance.sight import Sight
from siteproof.conformance.traces.values import Entry, Reader, TraceCase

__all__ = ["CaseVerdict", "TraceVerdict", "check", "check_case", "source_beside"]

ORDERS = 5_000
"""Trials (of one entry after some others) for one knot of overlapping entries."""
_FIELDS = tuple(f.name for f in attrs.fields(Observation))


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
    recorded: str | None = None


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
        verdict = check_case(case, promised(case.scenario.topology), number)
        entries, looks, judged = entries + verdict.entries, looks + verdict.looks, judged or verdict.judged
        untold.update(verdict.untold)
        if number == 1 or verdict.outcome is not Outcome.CONFORMS or verdict.skipped or verdict.assumed:
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
    verdicts = [_Machine(case, machine, promised, orders).judge() for machine in case.scenario.machines]
    recorded = None if case.found is None else _told_found(case.found)
    untold, looks = _untold(case)
    wrong = min((v for v in verdicts if v.rejected is not None), key=lambda v: v.rejected or 0, default=None)
    base = CaseVerdict(
        number, case.scenario.topology, Outcome.CONFORMS, "every entry is explained by the model", len(entries), len(entries),
        looks=looks, untold=untold, judged=_judged(case), skipped=sum(e.skipped for e in entries),
        assumed=tuple(dict.fromkeys(e.assumed for e in entries if e.assumed)), recorded=recorded,
    )  # fmt: skip
    if wrong is not None and wrong.rejected is not None:
        entry = entries[wrong.rejected]
        found = attrs.evolve(
            base, accepted=wrong.accepted, line=entry.line, steps=_records(entries, wrong.rejected),
            divergence=wrong.divergence,
        )  # fmt: skip
        if entry.assumed:
            reason = f"line {entry.line}: what the trace assumes is not possible in this flow ({entry.assumed})"
            return attrs.evolve(found, outcome=Outcome.INCONCLUSIVE, reason=reason)
        if wrong.divergence is not None:
            return attrs.evolve(found, outcome=Outcome.VIOLATION, reason=wrong.divergence.sentence)
        return attrs.evolve(found, outcome=Outcome.INCONCLUSIVE, reason=f"line {entry.line}: {wrong.reason}")
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


# ----------------------------------------------------------------------------------------------------------- a machine


@attrs.frozen
class _Found:
    """A machine's verdict: the index of the entry that was rejected, how many entries of the case were accepted, and why:
    a divergence, or, where nothing can be said, a reason."""

    rejected: int | None = None
    accepted: int = 0
    divergence: Divergence | None = None
    reason: str = ""


@attrs.frozen
class _Node:
    """What is ordered: a command, a sight, or, where nothing overlaps, both at once."""

    index: int
    entry: Entry
    acts: bool
    looks: bool
    writes: bool = False

    def before(self, other: _Node) -> bool:
        """Whether this one has to come first."""
        if self.index == other.index:
            return self.acts and not other.acts
        if self.writes and other.writes:
            return self.index < other.index
        return _ended(self.entry, other.entry)


def _ended(first: Entry, second: Entry) -> bool:
    """Whether `first` was over when `second` began. Without times that is the order of the file."""
    if first.end is None or second.start is None:
        return first.line < second.line
    return first.end < second.start


class _Machine:
    """One machine of a case."""

    def __init__(self, case: TraceCase, machine: str, promised: Promised, orders: int) -> None:
        self.case, self.machine, self.promised, self.orders = case, machine, promised, orders
        scenario: Scenario = case.scenario
        self.journal = Journal(machine, Base(scenario.blocks), scenario.disks)
        self.records: dict[int, WriteRecord] = {}
        self.blind = "writes" in case.unseen
        self.factors = [
            Factor(
                promised,
                self.journal,
                moves_by_itself=case.moves_by_itself,
                strict=case.strict_order,
                unseen_faults="faults" in case.unseen,
            )
        ]

    def judge(self) -> _Found:
        for knot in self._knots():
            for index, entry in knot:
                if isinstance(entry.command, Write) and entry.command.machine == self.machine:
                    command = entry.command
                    self.records[index] = self.journal.issue(
                        command.disk, command.block, entry.branch, in_copy=command.side not in SIDES
                    )
            try:
                found = self._plain(*knot[0]) if len(knot) == 1 else self._tangled(knot)
            except Overflow:
                index = knot[0][0]
                return _Found(index, index, None, "the explanations grew beyond the bound")
            if found is not None:
                return found
        return _Found()

    def _concerns(self, entry: Entry) -> bool:
        if entry.skipped:
            return False
        mine = getattr(entry.command, "machine", self.machine) == self.machine
        own = mine and isinstance(entry.command, Operate | Write | StartMachine | Fault | Heal | Settle)
        return own or self.machine in entry.seen or self.machine in entry.again

    def _knots(self) -> Iterator[list[tuple[int, Entry]]]:
        """The machine's entries, those that overlap, directly or through others, together."""
        knot: list[tuple[int, Entry]] = []
        for index, entry in enumerate(self.case.entries):
            if not self._concerns(entry):
                continue
            if knot and all(_ended(one, entry) for _, one in knot):
                yield knot
                knot = []
            knot.append((index, entry))
        if knot:
            yield knot

    def _event(self, factor: Factor, index: int, entry: Entry) -> Event | None:
        if entry.command is None or getattr(entry.command, "machine", self.machine) != self.machine:
            return None
        return event_of(factor, entry.command, entry.point, entry.answer, self.records.get(index))

    def _sight(self, factor: Factor, entry: Entry) -> Sight:
        seen = entry.seen.get(self.machine, Observation())
        read = {} if self.blind else entry.read.get(self.machine, {})
        if self.blind:
            seen = attrs.evolve(seen, received=UNKNOWN, loss=UNKNOWN)
        told = () if seen.points is UNKNOWN else seen.points
        known = {p.id for p in factor.points}
        other = {"primary": "recovery", "recovery": "primary"}.get(str(seen.active))

        def content(where: str) -> View:
            return read[where]

        return factor.look(
            seen,
            content,
            disk=seen.active in read,
            still=entry.rested,
            former=other in read,
            copy="test" in read,
            points=all(id in read or id in known for id, _ in told),
        )

    def _step(self, factor: Factor, node: _Node) -> Divergence | None:
        """Let `factor` take in a node; what is wrong, or None."""
        event = self._event(factor, node.index, node.entry) if node.acts else None
        sight = self._sight(factor, node.entry if node.looks else attrs.evolve(node.entry, seen={}, command=None))
        if node.looks and isinstance(node.entry.command, Settle) and node.entry.answer is False:
            return blame.never_rests(self.machine, node.index)
        wrong = why_not_explained(factor, self.machine, event, sight, node.index)
        if wrong is None and node.looks:
            for id, now in node.entry.again.get(self.machine, {}).items():
                point = next((p for p in factor.points if p.id == id), None)
                if point is not None and now != point.view:
                    return blame.changed_point(self.machine, point, now, factor, node.index)
        return wrong

    def _plain(self, index: int, entry: Entry) -> _Found | None:
        """An entry that overlaps no other one."""
        node = _Node(index, entry, acts=True, looks=True)
        left, wrong = [], None
        for factor in self.factors:
            found = self._step(factor, node)
            if found is None:
                left.append(factor.fork())
            else:
                wrong = wrong or found
        if not left:
            return _Found(index, index, wrong)
        self.factors = left
        return None

    def _tangled(self, knot: list[tuple[int, Entry]]) -> _Found | None:
        """Entries that overlap: every order that respects real time."""
        nodes: list[_Node] = []
        for index, entry in knot:
            acts, looks = entry.command is not None, self.machine in entry.seen or entry.rested or bool(entry.again)
            looks = looks or isinstance(entry.command, Settle)
            nodes += [_Node(index, entry, True, False, index in self.records)] if acts else []
            nodes += [_Node(index, entry, False, True)] if looks else []
        needs = [sum(1 << j for j, other in enumerate(nodes) if j != i and other.before(one)) for i, one in enumerate(nodes)]
        level: dict[int, list[Factor]] = {0: self.factors}
        tried, wrong, deepest = 0, None, 0
        for done in range(len(nodes)):
            after: dict[int, list[Factor]] = {}
            for mask, factors in level.items():
                for i, node in enumerate(nodes):
                    if mask >> i & 1 or needs[i] & ~mask:
                        continue
                    for factor in factors:
                        tried += 1
                        if tried > self.orders:
                            reason = f"more than {self.orders} trials of the orders of {len(knot)} overlapping entries"
                            return _Found(knot[0][0], knot[0][0], None, reason)
                        other = factor.fork()
                        found = self._step(other, node)
                        if found is None:
                            after.setdefault(mask | 1 << i, []).append(other)
                        elif wrong is None or done > deepest:
                            wrong, deepest = (node, found, self._accepted(knot, nodes, mask)), done
            if not after:
                assert wrong is not None
                node, divergence, accepted = wrong
                if self._writes_overlap(knot):
                    return _Found(node.index, accepted, None, "writes that overlap were taken in the order of the file")
                told = attrs.evolve(divergence, conjunct=f"{divergence.conjunct} (in every order that respects real time)")
                return _Found(node.index, accepted, told)
            level = {mask: _united(factors) for mask, factors in after.items()}
        self.factors = [factor for factors in level.values() for factor in factors]
        return None

    def _accepted(self, knot: list[tuple[int, Entry]], nodes: list[_Node], mask: int) -> int:
        """Entries of the case that are accepted where the nodes in `mask` are."""
        open_ = {node.index for i, node in enumerate(nodes) if not mask >> i & 1}
        return knot[0][0] + sum(index not in open_ for index, _ in knot)

    def _writes_overlap(self, knot: list[tuple[int, Entry]]) -> bool:
        writes = [self.case.entries[index] for index, _ in knot if index in self.records]
        return any(not _ended(a, b) for i, a in enumerate(writes) for b in writes[i + 1 :])


def _united(factors: Iterable[Factor]) -> list[Factor]:
    """Factors that know the same become one with the explanations of all."""
    found: dict[Any, Factor] = {}
    for factor in factors:
        key = (
            tuple(p.id for p in factor.points),
            frozenset(factor.known_ids),
            factor.listed,
            factor.told_points,
            factor.reported_point,
        )
        known = found.get(key)
        if known is None:
            found[key] = factor
        else:
            known.candidates = tuple(dict.fromkeys((*known.candidates, *factor.candidates)))
    return list(found.values())


def source_beside(source: str, file: Path) -> str:
    """A user's own topology is named by its path; from another folder that is tried from the folders around the trace, too."""
    if Path(source).exists():
        return source
    return next((str(f / source) for f in file.absolute().parents if (f / source).is_file()), source)
