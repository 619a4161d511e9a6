"""What the engines say: verdicts, traces and proof reports, as plain values that reports and certificates are made from.

Rules
1. Five verdicts, and only the first counts as a proof. *By construction* is a claim that the written preconditions and
   effects of the actions satisfy on their own: certified, and no more than a reading of the model.
   *Undetermined* always says why (bound, time-out, the solver's reason, a premise that was never reached); it is never
   shown as a pass.
2. A trace is a list of taken actions with the decoded state after each. It has been replayed on the compiled model before
   anyone sees it, and it is the shortest there is when `shortest` says so.
3. Everything here turns into JSON with `cattrs` as it stands.
"""

from __future__ import annotations

import enum
from typing import Any

import attrs

__all__ = ["ClaimResult", "PromiseResult", "ProofReport", "Trace", "TraceStep", "Verdict", "is_kept", "worst"]


class Verdict(enum.Enum):
    PROVED = "proved"
    REFUTED = "refuted"
    BY_CONSTRUCTION = "by construction"
    NOT_APPLICABLE = "not applicable"
    UNDETERMINED = "undetermined"


@attrs.frozen
class TraceStep:
    """One taken action: its name, kind (`command`, `environment`, `internal`), documentation, decoded arguments, and the
    decoded values of the variables that it changed."""

    action: str
    kind: str
    doc: str
    arguments: dict[str, Any]
    changed: dict[str, Any]


@attrs.frozen
class Trace:
    """A run from the initial state. `conclusion` says in words what is wrong at its end."""

    initial: dict[str, Any]
    steps: tuple[TraceStep, ...]
    conclusion: str
    shortest: bool
    method: str


@attrs.frozen
class ClaimResult:
    """The verdict on one claim. `reason` explains not applicable (the facts, or a premise proved unreachable) and
    undetermined (the bound or time-out). `witnessed` says whether a reachable state or step satisfies the claim's premise
    (None: not looked for), and `witness` is a run to it, one text a step; it is not the shortest. `idle` names the parts of a
    conclusion that presuppose what never holds, or was never reached: they say nothing, or may."""

    name: str
    verdict: Verdict
    method: str
    seconds: float
    reason: str = ""
    text: str = ""
    trace: Trace | None = None
    witnessed: bool | None = None
    witness: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()


@attrs.frozen
class PromiseResult:
    """The verdict on one promise at one level, with its claims. `certificate` is
    the folder of its certificate, relative to the report."""

    id: str
    level: str
    title: str
    sentence: str
    requirements: tuple[str, ...]
    verdict: Verdict
    claims: tuple[ClaimResult, ...]
    seconds: float
    scope: str
    certificate: str | None = None
    confirmed_by: tuple[str, ...] = ()


@attrs.frozen
class ProofReport:
    """All promises of one flow, level by level (`levels` in order). `overrides` are
    the what-if changes that were made to the topology's facts."""

    topology: str
    title: str
    levels: tuple[str, ...]
    facts: dict[str, bool]
    overrides: dict[str, bool]
    promises: tuple[PromiseResult, ...]
    solvers: tuple[str, ...]
    seconds: float

    def verdict_of(self, id: str) -> Verdict:
        """The verdict on the promise called `id` over all levels that have claims for it."""
        return worst([row.verdict for row in self.promises if row.id == id])

    @property
    def kept(self) -> tuple[str, ...]:
        """The promises that hold: kept at every level that says something about them, and at one at least."""
        return tuple(dict.fromkeys(row.id for row in self.promises if is_kept(self.verdict_of(row.id))))


def is_kept(verdict: Verdict) -> bool:
    """Whether a promise with this verdict holds in its flow, and says something there."""
    return verdict in (Verdict.PROVED, Verdict.BY_CONSTRUCTION)


def worst(verdicts: list[Verdict]) -> Verdict:
    """The verdict of a promise from those of its claims: refuted, undetermined, proved, by construction, not applicable."""
    for verdict in (Verdict.REFUTED, Verdict.UNDETERMINED, Verdict.PROVED, Verdict.BY_CONSTRUCTION):
        if verdict in verdicts:
            return verdict
    return Verdict.NOT_APPLICABLE
