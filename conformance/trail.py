"""How the explanations of a machine came about: one way for each, kept short however long the run is.

Rules
1. Each event leaves a *stage*: for every candidate that was kept, the candidate before it and the internal steps of the model in
   between. Read backwards from a present candidate, the stages tell one explanation of the whole run.
2. From time to time candidates that lead to no present one are dropped. Where all present candidates have one and the same past,
   that past is told once and for all: only its steps are kept, eight bytes an event.
3. Past the bound a long disagreement is settled in favour of one candidate: what the others' explanations began with is then
   taken to be the same. This concerns words and counts only, never a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias

from siteproof.conformance.sight import Candidate

__all__ = ["Kept", "Only", "Stage", "Steps", "Trail"]

Steps: TypeAlias = tuple[int, ...]
"""Numbers of internal steps, oldest first."""

Way: TypeAlias = tuple[Candidate, Steps]
"""Where a candidate comes from, and by which steps."""

SPAN = 32
"""Stages between two times of settling."""
MOST = 1024
"""Stages over which present candidates may disagree on their past."""


class Stage(Protocol):
    """One event's part of the trail."""

    def back(self, candidate: Candidate) -> Way: ...


class Kept:
    """A stage that has each way ready."""

    __slots__ = ("ways",)

    def __init__(self, ways: Mapping[Candidate, Way]) -> None:
        self.ways = ways

    def back(self, candidate: Candidate) -> Way:
        return self.ways[candidate]


class Only:
    """A stage after which there is one candidate."""

    __slots__ = ("way",)

    def __init__(self, way: Way) -> None:
        self.way = way

    def back(self, candidate: Candidate) -> Way:  # noqa: ARG002
        return self.way


class Trail:
    """The stages of one run, oldest first."""

    def __init__(self) -> None:
        self._told: list[Steps] = []
        self._stages: list[Stage] = []
        self._due = SPAN

    def __len__(self) -> int:
        """How many stages are still open."""
        return len(self._stages)

    def add(self, stage: Stage, candidates: Iterable[Candidate]) -> None:
        """One event more, after which `candidates` are left."""
        self._stages.append(stage)
        if len(self._stages) >= self._due:
            self._settle(candidates)

    def _settle(self, candidates: Iterable[Candidate]) -> None:
        """Drop what leads nowhere, and tell what is certain."""
        alive, ways = list(candidates), list[dict[Candidate, Way]]()
        for stage in reversed(self._stages):
            kept = {one: stage.back(one) for one in alive}
            ways.append(kept)
            befores = [before for before, _ in kept.values()]
            alive = befores if len(befores) == 1 else list(set(befores))
        ways.reverse()
        certain = next((i for i in reversed(range(len(ways))) if len(ways[i]) == 1), -1)
        certain = max(certain, len(ways) - MOST - 1)
        if certain >= 0:
            found = list[Steps]()
            one = min(ways[certain], key=lambda c: c[0])
            for kept in reversed(ways[: certain + 1]):
                one, steps = kept[one]
                found.append(steps)
            self._told += reversed(found)
        self._stages = [Kept(kept) for kept in ways[certain + 1 :]]
        self._due = len(self._stages) + SPAN

    def back_from(self, candidate: Candidate) -> list[Steps]:
        """The steps before and after each event, oldest event first, of one explanation that ends in `candidate`."""
        found = list[Steps]()
        for stage in reversed(self._stages):
            candidate, steps = stage.back(candidate)
            found.append(steps)
        return self._told + found[::-1]
