"""What a campaign says: verdict, coverage and counterexamples, as plain values that every report is made from.

Rules
1. Three verdicts. *Inconclusive* (budget spent below the coverage floor, too much skipped) is never shown as a pass.
2. A counterexample carries its test case as a value, so it replays without the run that found it.
3. Coverage is `covered / feasible`, and says how the denominator was obtained.
4. Everything here turns into JSON with `cattrs` as it stands.
"""

from __future__ import annotations

import enum
from typing import Any

import attrs

__all__ = ["CampaignResult", "Counterexample", "Coverage", "Divergence", "Outcome", "StepRecord"]


class Outcome(enum.Enum):
    CONFORMS = "conforms"
    VIOLATION = "violation"
    INCONCLUSIVE = "inconclusive"


@attrs.frozen
class StepRecord:
    """One step of a run: the command as written in the case, the system's answer, the observation after it (per machine), and
    one line of English."""

    index: int
    command: dict[str, Any]
    answer: dict[str, Any]
    observation: dict[str, Any]
    text: str
    time: float = 0.0


@attrs.frozen
class Divergence:
    """Where the run leaves the model: the step, the field that emptied the set, found and expected values, the promise and
    requirements that it breaks, the conjunct (a precondition's code or a claim's name) and one plain sentence why."""

    step: int
    machine: str
    field: str
    found: str
    expected: str
    promise: str
    promise_title: str
    requirements: tuple[str, ...]
    conjunct: str
    sentence: str


@attrs.frozen
class Counterexample:
    """A failing case, shrunk. `removal` says for each remaining step what happens without it (certifies 1-minimality).
    `model_before` / `model_after` are decoded model states (one explaining state) around the divergence."""

    case: dict[str, Any]
    steps: tuple[StepRecord, ...]
    divergence: Divergence
    original_length: int
    minimal: bool
    removal: tuple[str, ...]
    seed: int
    model_before: dict[str, Any] = attrs.Factory(dict)
    model_after: dict[str, Any] = attrs.Factory(dict)
    file: str | None = None
    repeats: str = ""
    """Empty when it repeats; else how often that was tried. Then nothing has been shrunk."""


@attrs.frozen
class Coverage:
    """`name` in standard terms (all-actions, all-transitions (0-switch), requirement, fault × state); `how` tells where the
    feasible denominator comes from; `missing` names up to twenty of what was not covered."""

    name: str
    covered: int
    feasible: int
    how: str
    missing: tuple[str, ...] = ()


@attrs.frozen
class CampaignResult:
    """One campaign: a driver, a topology, an engine, a budget; and what came of it."""

    topology: str
    driver: str
    engine: str
    outcome: Outcome
    reason: str
    cases: int
    steps: int
    seconds: float
    seed: int
    coverage: tuple[Coverage, ...]
    taken: dict[str, int]
    skipped: dict[str, int]
    counterexample: Counterexample | None = None
    warnings: tuple[str, ...] = ()
    content_checks: int = 0
    image: str = ""
    scenarios: dict[str, int] = attrs.Factory(dict)
    """Cases by scenario: so many machines with so many disks."""
    failovers_median: float = 0
    failovers_most: int = 0
    """Failovers in one case, of one machine."""
    swept: int = 0
    """Cases of the systematic sweep: a fault at each internal step of each operation."""
    common_points: int = 0
    """Common points of replication groups whose content, read back at all members, was held against each other."""
    notes: tuple[str, ...] = ()
    """What the engine says of its own work: counts, and what it could not do and why."""
