"""A counterexample in words: plain lines for a terminal, the claim first, the operations beside it."""

from __future__ import annotations

import textwrap
from typing import Any

from siteproof.conformance.report.words import concerned, told_value, topology_of
from siteproof.conformance.results import Counterexample, Divergence, StepRecord

__all__ = ["READABLE", "explain", "explain_steps"]

READABLE = 100
"""Columns of a line at most: longer ones are hard to read."""


def explain(counterexample: Counterexample, width: int = READABLE) -> list[str]:
    """The whole story."""
    d = counterexample.divergence
    lines = textwrap.wrap(d.sentence, width)
    requirements = concerned(d.requirements, topology_of(counterexample))
    lines += ["", f"Broken: {d.promise}, {d.promise_title}" + (f" ({', '.join(requirements)})" if requirements else "")]
    lines += ["", *explain_steps(counterexample.steps, d, counterexample.removal, width)]
    if counterexample.minimal:
        lines += [
            "",
            f"Shrunk from {counterexample.original_length} commands. Nothing can be left out: "
            "for each step, what happens without it is told above.",
        ]
    return lines


def explain_steps(
    steps: tuple[StepRecord, ...], divergence: Divergence | None, removal: tuple[str, ...] = (), width: int = READABLE
) -> list[str]:
    """Step by step: the command and its answer, what changed, and where it leaves the model."""
    lines: list[str] = []
    before: dict[str, dict[str, Any]] = {}
    for step in steps:
        lines.append(f"{step.index + 1:>3}. {step.text}")
        for machine, seen in step.observation.items():
            changed = _changes(before.get(machine, {}), seen)
            if changed:
                lines += textwrap.wrap(f"{machine}: {changed}", width, initial_indent="       ", subsequent_indent="         ")
            before[machine] = {**before.get(machine, {}), **seen}
        if divergence is not None and divergence.step == step.index:
            found = told_value(divergence.found)
            lines += textwrap.wrap(
                f"found {divergence.field}: {found}", width, initial_indent="     ✗ ", subsequent_indent="         "
            )
            lines += textwrap.wrap(
                f"expected: {told_value(divergence.expected)}", width, initial_indent="       ", subsequent_indent="         "
            )
        if step.index < len(removal):
            lines += textwrap.wrap(f"({removal[step.index]})", width, initial_indent="       ", subsequent_indent="        ")
    return lines


def _changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    """What an observation shows that the one before did not."""
    told = []
    for name, value in after.items():
        if name == "allowed_operations" or before.get(name) == value or (not before and value in (None, [], "none")):
            continue
        if name == "points":
            told.append("points " + (", ".join(p["id"] for p in value) or "none"))
        elif name == "running":
            where = " and ".join(side for side, runs in value.items() if runs)
            if where or len(value) > 1:
                told.append(f"runs at {where}" if where else "runs nowhere")
            else:
                told += [f"does not run at {side}" for side in value]
        elif name == "job":
            told.append(f"job {value}" if value else "no job")
        elif name == "test":
            told.append("a test failover runs" if value == "running" else "no test failover")
        elif name == "resync":
            told.append("no resynchronisation" if value == "none" else f"resynchronisation {value}")
        elif isinstance(value, list):
            told.append(f"{name} {', '.join(map(str, value)) or 'none'}")
        else:
            told.append(f"{name.replace('_', ' ')} {'none' if value is None else value}")
    return "; ".join(told)
