"""Judges the common points of replication groups in a trace, as in a live run (`siteproof.conformance.groups`).

Rules
1. Machines are judged one by one, each by its own factor. What a group's factor needs of them is kept on the way: at the first
   sight of each common point, the bounds that each explanation puts on its instant. Then the sights are gone through once more,
   in the order of the trace, for all members together.
2. That takes a trace in which entries follow on each other. Where entries overlap, where there are gaps, and where writes are
   unseen, common points are not held against each other; nobody is accused of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from siteproof.conformance import blame
from siteproof.conformance.ages import ages_for
from siteproof.conformance.case import Write
from siteproof.conformance.closure import Promised
from siteproof.conformance.driver import Observation
from siteproof.conformance.groups import Bounds, GroupFactor, Moments, bounds_of
from siteproof.conformance.results import Divergence
from siteproof.conformance.traces.machine import Found, Machine, ended, moment_of
from siteproof.conformance.traces.values import Entry, TraceCase

__all__ = ["wrong_together"]


class _Watched(Machine):
    """A machine that keeps what its common points say of their instants, by the point's id."""

    def __init__(self, case: TraceCase, machine: str, promised: Promised, moments: Moments) -> None:
        super().__init__(case, machine, promised, 0)
        self.moments, self.kept = moments, dict[str, frozenset[Bounds]]()

    def _plain(self, index: int, entry: Entry) -> Found | None:
        found = super()._plain(index, entry)
        seen = entry.seen.get(self.machine)
        if found is None and seen is not None:
            for one in seen.common:
                if one.point not in self.kept:
                    parts = (bounds_of(factor, self.machine, one.point, self.moments) for factor in self.factors)
                    self.kept[one.point] = frozenset().union(*parts)
        return found


def _moments(case: TraceCase) -> Moments:
    """When each write was issued and acknowledged, counted in entries."""
    moments, count = Moments(), dict.fromkeys(case.scenario.machines, 0)
    for index, entry in enumerate(case.entries):
        if isinstance(entry.command, Write) and not entry.skipped:
            machine = entry.command.machine
            count[machine] += 1
            done = entry.answer is True and not entry.command.cached
            moments.note(machine, count[machine], 2 * index, 2 * index + 1 if done else None)
    return moments


def wrong_together(case: TraceCase, promised: Promised) -> tuple[int, Divergence] | None:
    """The first entry after which the common points of a group are wrong, and what is; None where nothing is, or where that is
    not judged. Each machine by itself has to be explained already."""
    entries = case.entries
    apart = all(ended(one, other) for one, other in pairwise(entries))
    if not case.scenario.groups or not apart or "writes" in case.unseen or any(entry.gap for entry in entries):
        return None
    moments, ages = _moments(case), ages_for(case.scenario)
    watched = {m: _Watched(case, m, promised, moments) for members in case.scenario.groups.values() for m in members}
    for machine in watched.values():
        machine.judge()
    groups = [GroupFactor(name, members, moments, ages) for name, members in case.scenario.groups.items()]
    last: Mapping[str, Observation] = {}

    def bounds(machine: str, point: str) -> frozenset[Bounds]:
        return watched[machine].kept.get(point, frozenset())

    for index, entry in enumerate(entries):
        last = {**last, **entry.seen}
        for group in groups:
            if entry.seen and set(group.members) <= set(last):
                wrong = group.round(last, bounds, still=entry.rested, now=moment_of(entry))
                if wrong is not None:
                    machine_of, found = wrong
                    return index, blame.told(found, machine_of, index)
    return None
