"""What a page says of the whole model: promises level by level, requirements, preconditions, and what no system can do.

Rules
1. Order serves the reader: what is wrong or missing comes first, then what needs a look, then what is as it should be.
2. Nothing is left out of a count, and nothing here computes a verdict.
3. Verdicts are told apart by their words, so that no engine has to be loaded to show what one has found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs

from siteproof.conformance.report.timeline import Moment, moments_of_trace
from siteproof.conformance.report.words import plain, solvers
from siteproof.model.catalogue import Entry, catalogue
from siteproof.model.levels import level, level_ids, numbered
from siteproof.model.results import PromiseResult, ProofReport, Verdict, is_kept

if TYPE_CHECKING:
    from siteproof.model.impossible import Impossibility
    from siteproof.model.necessity import Necessity, NecessityReport
    from siteproof.model.requirement_trace import RequirementRow

__all__ = ["NEEDS", "STANDINGS", "STATUSES", "PromiseGroup", "SeenStep", "elsewhere", "in_order", "level_title", "matrix",
           "moments_of_run", "promise_groups", "seen_steps", "tally"]

STATUSES: dict[str, str] = {"violated": "bad", "uncovered": "unsure", "guidance": "calm", "carried": "good"}
"""The tone of each status of a requirement, in the order in which they are shown."""

STANDINGS: dict[str, tuple[str, str]] = {
    "violated": ("✗", "bad"), "refuted": ("✗", "bad"), "undetermined": ("?", "unsure"), "not applicable": ("–", "calm"),
    "stated": ("·", "calm"), "tested": ("◇", "calm"), "by construction": ("◇", "calm"), "proved": ("✓", "good"),
    "holds": ("✓", "good"),
}
"""Mark and tone of what is known of a carrier. Only what was judged in this run has the mark of success."""

NEEDS: dict[str, tuple[str, str]] = {
    "undetermined": ("?", "unsure"), "needed": ("●", "good"), "not needed for these promises": ("○", "calm"),
    "defensive": ("◇", "calm"), "says nothing in this flow": ("–", "calm"),
}
"""Mark and tone of what a precondition is there for."""


@attrs.frozen
class PromiseGroup:
    """A promise with its rows, one for each level that has claims for it, and the verdict over all of them."""

    id: str
    title: str
    sentence: str
    verdict: Verdict
    rows: tuple[PromiseResult, ...]

    @property
    def certificates(self) -> str:
        """What the certificates of its levels come to, in words."""
        kept = [row for row in self.rows if is_kept(row.verdict)]
        confirmed = [row for row in kept if row.confirmed_by]
        if not confirmed:
            return "not checked" if kept else "–"
        names = ", ".join(solvers(confirmed))
        return names if len(confirmed) == len(kept) else f"{len(confirmed)} of {len(kept)}: {names}"


def promise_groups(proof: ProofReport) -> tuple[PromiseGroup, ...]:
    """The promises of a flow in numerical order, each once."""
    rows: dict[str, list[PromiseResult]] = {}
    for row in sorted(proof.promises, key=lambda row: numbered(row.id)):
        rows.setdefault(row.id, []).append(row)
    return tuple(PromiseGroup(id, own[0].title, own[0].sentence, proof.verdict_of(id), tuple(own)) for id, own in rows.items())


def elsewhere(proof: ProofReport) -> tuple[Entry, ...]:
    """The promises of which no level says anything in this flow."""
    told = {row.id for row in proof.promises}
    return tuple(entry for entry in catalogue().values() if entry.id not in told)


def level_title(id: str) -> str:
    """What a level is about; its id where it is not one of ours."""
    return level(id).title if id in level_ids() else id


def tally(words: Iterable[str], order: Mapping[str, Any]) -> list[tuple[str, int]]:
    """How often each word occurs, in the order of `order`, without those that do not."""
    found = list(words)
    return [(word, found.count(word)) for word in order if word in found]


def in_order(rows: Sequence[RequirementRow]) -> list[RequirementRow]:
    """Requirements as they are shown: violated, uncovered, guidance, carried; each kind in its own order."""
    order = list(STATUSES)
    return sorted(rows, key=lambda row: order.index(row.status))


def matrix(report: NecessityReport) -> list[tuple[str, list[tuple[str, list[Necessity]]]]]:
    """The preconditions, action by action, level by level, as the model has them."""
    levels: dict[str, dict[str, list[Necessity]]] = {}
    for row in report.rows:
        levels.setdefault(row.level, {}).setdefault(row.action, []).append(row)
    return [(id, list(actions.items())) for id, actions in levels.items()]


@attrs.frozen
class SeenStep:
    """A step of both runs: what is done in either, and what the recovery site can know of it: all of that at the first step,
    and what is new at each later one."""

    number: int
    partition: str
    loss: str
    differs: bool
    seen: dict[str, str]


def seen_steps(shown: Impossibility) -> list[SeenStep]:
    """The two runs side by side."""
    names = [[step.action.replace("_", " ") for step in run.steps] for run in (shown.partition, shown.loss)]
    new = [shown.seen[0]]
    new += [{name: value for name, value in after.items() if value != before[name]} for before, after in pairwise(shown.seen)]
    return [
        SeenStep(number, one, other, one != other, {name: plain(value) if value is not None else "none" for name, value in
                                                    seen.items()})
        for number, (one, other, seen) in enumerate(zip(*names, new, strict=True), 1)
    ]


def moments_of_run(shown: Impossibility, *, loss: bool) -> list[Moment]:
    """One of the two runs for a picture. Nothing in it is wrong; the step in which the runs differ is marked."""
    moments = moments_of_trace(shown.loss if loss else shown.partition)
    return [attrs.evolve(one, bad=False, marked=number == shown.at, positions={}) for number, one in enumerate(moments)]
