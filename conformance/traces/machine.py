"""One machine of a trace: its entries go to the oracle, overlapping ones in every order that respects real time.

Rules
1. Every entry of a machine goes to the oracle as a live one would (`siteproof.conformance.judgement`). Entries that overlap,
   directly or through others, are a *knot*; its command and what was seen after it are two moments of an entry
   (`siteproof.conformance.concurrent`).
2. Writes keep the order of the file. Where a knot with overlapping writes is not explained, that is said, and nobody is accused.
3. What the trace leaves open (`siteproof.conformance.traces.untold`) comes in only where nothing else explains an entry. From a
   gap's beginning to its end it may act before each moment, so it needs no place in the orders; that accepts more than it
   should where a gap overlaps other entries, never less.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from siteproof.conformance import blame
from siteproof.conformance.ages import ages_for
from siteproof.conformance.case import SIDES, Fault, Heal, Operate, Scenario, Settle, StartMachine, Write
from siteproof.conformance.closure import Promised
from siteproof.conformance.concurrent import Moment, Refusal, judge
from siteproof.conformance.content import Base, Journal, View, WriteRecord
from siteproof.conformance.driver import UNKNOWN, Observation
from siteproof.conformance.judgement import event_of, why_not_explained
from siteproof.conformance.oracle import Event, Factor, Overflow
from siteproof.conformance.results import Divergence
from siteproof.conformance.sight import Sight
from siteproof.conformance.traces import untold
from siteproof.conformance.traces.values import HIDDEN, Entry, TraceCase

__all__ = ["ORDERS", "Found", "Machine", "judged", "what_it_knows"]

ORDERS = 5_000
"""Trials (of one entry after some others) between the ends of two overlapping entries."""
TOLD_ORDERS = 24
"""Orders that are told."""


@attrs.frozen
class Found:
    """A machine's verdict: the index of the entry that was rejected, how many entries of the case were accepted, and why: a
    divergence. Where nothing can be said all the same, `reason` says why. `until`: the last entry that overlaps the
    rejected one."""

    rejected: int | None = None
    accepted: int = 0
    divergence: Divergence | None = None
    reason: str = ""
    orders: tuple[str, ...] = ()
    until: int = 0

    @property
    def accuses(self) -> bool:
        """Whether it is a violation."""
        return self.divergence is not None and not self.reason


@attrs.frozen
class Node:
    """What is ordered: a command, a sight, or, where nothing overlaps, both at once."""

    index: int
    entry: Entry
    acts: bool
    looks: bool
    writes: bool = False

    @property
    def place(self) -> str:
        """Where it stands in the trace."""
        return f"line {self.entry.line}" + (", what was seen" if not self.acts and self.entry.command is not None else "")

    def before(self, other: Node) -> bool:
        """Whether this one has to come first."""
        if self.index == other.index:
            return self.acts and not other.acts
        if self.writes and other.writes:
            return self.index < other.index
        return ended(self.entry, other.entry)


def ended(first: Entry, second: Entry) -> bool:
    """Whether `first` was over when `second` began. Without times that is the order of the file."""
    if first.end is None or second.start is None:
        return first.line < second.line
    return first.end < second.start


def moment_of(entry: Entry) -> float | None:
    """When it was seen: by the system's own time, or by that of whoever wrote it down."""
    return entry.time if entry.time is not None else entry.end if entry.end != float("inf") else entry.start


class Machine:
    """One machine of a case. `gaps`: whether something may have happened in them; `before`: whether it may before the case."""

    def __init__(
        self, case: TraceCase, machine: str, promised: Promised, orders: int, *, gaps: bool = False, before: bool = False
    ) -> None:
        self.case, self.machine, self.promised, self.orders = case, machine, promised, orders
        scenario: Scenario = case.scenario
        self.journal = Journal(machine, Base(scenario.blocks), scenario.disks)
        self.records: dict[int, WriteRecord] = {}
        self.blind = "writes" in case.unseen
        self.gaps = [entry for entry in case.entries if gaps and machine in entry.gap]
        """Those that may still act."""
        self.before, self.open = before, 0
        """`open`: operations that gaps may hide while the knot at hand happens."""
        self.factors = [
            Factor(
                promised,
                self.journal,
                moves_by_itself=case.moves_by_itself,
                strict=case.strict_order,
                unseen_faults="faults" in case.unseen,
                ages=ages_for(scenario),
            )
        ]

    def judge(self) -> Found:
        for knot in self._knots():
            since, self.open = self._opens(knot)
            for index, entry in knot:
                if isinstance(entry.command, Write) and entry.command.machine == self.machine:
                    command, state = entry.command, next(iter(self.factors[0].candidates))[0]
                    branch = entry.branch or int(self.promised.compiled.get(state, "epoch"))
                    self.records[index] = self.journal.issue(
                        command.disk, command.block, branch, in_copy=command.side not in SIDES, now=moment_of(entry)
                    )
            try:
                for factor in self.factors:
                    untold.anything(factor, since)
                found = self._plain(*knot[0]) if len(knot) == 1 else self._tangled(knot)
            except Overflow:
                index = knot[0][0]
                return Found(index, index, None, "the explanations grew beyond the bound")
            if found is not None:
                return attrs.evolve(found, until=knot[-1][0])
        return Found()

    def _opens(self, knot: list[tuple[int, Entry]]) -> tuple[int, int]:
        """How many operations gaps may hide since the last knot, and before each moment of this one. A gap that was over before
        it hides no more."""
        begun = [gap for gap in self.gaps if not all(ended(entry, gap) for _, entry in knot)]
        over = [gap for gap in begun if all(ended(gap, entry) for _, entry in knot)]
        self.gaps = [gap for gap in self.gaps if gap not in over]
        before, self.before = self.before, False
        since = sum(gap.hidden for gap in over) + before * HIDDEN
        return min(HIDDEN, since), min(HIDDEN, sum(gap.hidden for gap in begun if gap not in over))

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
            if knot and all(ended(one, entry) for _, one in knot):
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
            now=moment_of(entry),
        )

    def _step(self, factor: Factor, node: Node) -> Divergence | None:
        """Let `factor` take in a node; what is wrong, or None."""
        untold.anything(factor, self.open)
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

    def _plain(self, index: int, entry: Entry) -> Found | None:
        """An entry that overlaps no other one."""
        whole = Node(index, entry, acts=True, looks=True)
        apart = (Node(index, entry, True, False), Node(index, entry, False, True))
        left, wrong = [], None
        for factor in self.factors:
            steps = (self._step(factor, node) for node in (apart if self.open and entry.command is not None else (whole,)))
            found = next((one for one in steps if one is not None), None)
            if found is None:
                left.append(factor.fork())
            else:
                wrong = wrong or found
        if not left:
            return Found(index, index, wrong)
        self.factors = left
        return None

    def _tangled(self, knot: list[tuple[int, Entry]]) -> Found | None:
        """Entries that overlap: every order that respects real time."""
        nodes: list[Node] = []
        for index, entry in knot:
            acts, looks = entry.command is not None, self.machine in entry.seen or entry.rested or bool(entry.again)
            looks = looks or isinstance(entry.command, Settle)
            nodes += [Node(index, entry, True, False, index in self.records)] if acts else []
            nodes += [Node(index, entry, False, True)] if looks else []
        moments = [
            Moment(i, _time(one.entry.start), _time(one.entry.end), frozenset(j for j, o in enumerate(nodes) if o.before(one)))
            for i, one in enumerate(nodes)
        ]

        def take(factor: Factor, number: int) -> tuple[Factor | None, Divergence | None]:
            other = factor.fork()
            wrong = self._step(other, nodes[number])
            return (other, None) if wrong is None else (None, wrong)

        judged = judge(moments, self.factors, take, same=what_it_knows, join=_joined, most=self.orders)
        if judged.gave_up:
            reason = f"more than {self.orders} trials of the orders of {len(knot)} overlapping entries"
            return Found(knot[0][0], knot[0][0], None, reason)
        self.factors = list(judged.left)
        if judged.left:
            return None
        worst = judged.refusals[0]
        node, accepted = nodes[worst.number], self._accepted(knot, nodes, worst.order)
        if self._writes_overlap(knot):
            return Found(node.index, accepted, None, "writes that overlap were taken in the order of the file")
        told = attrs.evolve(worst.why, conjunct=f"{worst.why.conjunct} (in every order that respects real time)")
        return Found(node.index, accepted, told, orders=_told_orders(judged.refusals, nodes))

    def _accepted(self, knot: list[tuple[int, Entry]], nodes: list[Node], order: Sequence[int]) -> int:
        """Entries of the case that are accepted where the nodes in `order` are."""
        open_ = {node.index for i, node in enumerate(nodes) if i not in order}
        return knot[0][0] + sum(index not in open_ for index, _ in knot)

    def _writes_overlap(self, knot: list[tuple[int, Entry]]) -> bool:
        writes = [self.case.entries[index] for index, _ in knot if index in self.records]
        return any(not ended(a, b) for i, a in enumerate(writes) for b in writes[i + 1 :])


def judged(case: TraceCase, machine: str, promised: Promised, orders: int) -> Found:
    """A machine's verdict, with what the trace leaves open."""
    found = Machine(case, machine, promised, orders).judge()
    judged = [entry for entry in case.entries[: found.until + 1] if not entry.gap]
    gaps = [one for one in case.entries if machine in one.gap and not all(ended(entry, one) for entry in judged)]
    if found.accuses and gaps:
        again = Machine(case, machine, promised, orders, gaps=True).judge()
        if again.rejected is None:
            assert found.divergence is not None
            reason = f"{found.divergence.sentence} What is not told may explain it: {untold.named(gaps)}"
            return attrs.evolve(found, reason=reason)
        found = again
    if found.accuses and not untold.begins(case, machine, found.until):
        again = Machine(untold.ago(case), machine, promised, orders, gaps=True, before=True).judge()
        if again.rejected is None:
            assert found.divergence is not None
            hint = untold.how_to_begin(case, machine, promised)
            return attrs.evolve(found, reason=f"{found.divergence.sentence} But {hint}")
        found = again
    return found


def _time(seconds: float | None) -> float:
    assert seconds is not None  # entries without times overlap no other one
    return seconds


def what_it_knows(factor: Factor) -> tuple[Any, ...]:
    """Factors that agree on this become one with the explanations of all."""
    ids = tuple(p.id for p in factor.points)
    return ids, frozenset(factor.known_ids), factor.listed, factor.told_points, factor.reported_point


def _joined(one: Factor, other: Factor) -> Factor:
    joined = one.fork()
    joined.candidates = tuple(dict.fromkeys((*one.candidates, *other.candidates)))
    return joined


def _told_orders(refusals: Sequence[Refusal[Divergence]], nodes: Sequence[Node]) -> tuple[str, ...]:
    """Every order that was tried, and where it ended, a line each."""
    lines = []
    for one in refusals:
        *before, last = (nodes[i].place for i in (*one.order, one.number))
        after = f"after {', '.join(before)}: " if before else ""
        lines.append(f"{after}{last} cannot be: {one.why.field}: found {one.why.found}; the model allows {one.why.expected}")
    told = list(dict.fromkeys(lines))
    return (*told[:TOLD_ORDERS], *([f"and {len(told) - TOLD_ORDERS} more orders"] if len(told) > TOLD_ORDERS else []))
