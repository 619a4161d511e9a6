"""The words of a report: headlines, verdicts and durations, the same ones in the terminal and in HTML.

Rules
1. A headline says what was found in one sentence, and the next sentences how much stands behind it. Nothing is rounded up:
   an undetermined claim, a skip or an interruption is in the headline.
2. A verdict is a word and a mark; colour only repeats it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Any

import attrs

from siteproof.conformance.exits import Exit
from siteproof.conformance.report.values import FlowReport, RunReport, claims_told, count
from siteproof.conformance.results import CampaignResult, Counterexample, Divergence, Outcome
from siteproof.model.errors import SiteproofError
from siteproof.model.results import PromiseResult, Verdict, is_kept
from siteproof.model.topology import Topology, load_topology

__all__ = [
    "FINDINGS",
    "MARKS",
    "TONES",
    "Headline",
    "concerned",
    "duration",
    "headline",
    "join",
    "moment",
    "plain",
    "removals",
    "solvers",
    "told_value",
    "tone_of",
    "topology_of",
    "wrong_in_words",
]

MARKS: dict[Enum, str] = {
    Verdict.PROVED: "✓",
    Verdict.REFUTED: "✗",
    Verdict.BY_CONSTRUCTION: "◇",
    Verdict.NOT_APPLICABLE: "–",
    Verdict.UNDETERMINED: "?",
    Outcome.CONFORMS: "✓",
    Outcome.VIOLATION: "✗",
    Outcome.INCONCLUSIVE: "?",
}

TONES: dict[Enum, str] = {
    Verdict.PROVED: "good",
    Verdict.REFUTED: "bad",
    Verdict.BY_CONSTRUCTION: "calm",
    Verdict.NOT_APPLICABLE: "calm",
    Verdict.UNDETERMINED: "unsure",
    Outcome.CONFORMS: "good",
    Outcome.VIOLATION: "bad",
    Outcome.INCONCLUSIVE: "unsure",
}


FINDINGS: dict[str, tuple[str, str]] = {
    "broken": ("✗", "bad"), "undetermined": ("?", "unsure"), "holds in the scope": ("○", "calm"), "not applicable": ("–", "calm"),
}
"""Mark and tone of what an exploration has found. What holds in a scope is neither proved nor by construction, and
has the mark of neither."""


def tone_of(code: Exit) -> str:
    """`good`, `bad`, `unsure` or `broken` for an exit code."""
    return {Exit.OK: "good", Exit.VIOLATION: "bad", Exit.INCONCLUSIVE: "unsure"}.get(code, "broken")


def told_value(text: str) -> str:
    """A found or allowed value without Python's words."""
    words = {"None": "none", "True": "yes", "False": "no"}
    return re.sub(r"(?<![\w-])(None|True|False)(?![\w-])", lambda found: words[found[0]], text)


def wrong_in_words(divergence: Divergence) -> str:
    """Where a run leaves the model. What was found may be a value or a clause, so no verb joins it to the field."""
    return f"{divergence.field}: found {told_value(divergence.found)}; the model allows {told_value(divergence.expected)}"


def plain(value: Any) -> str:
    """A decoded value as a word."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(one)}" for key, one in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(plain(one) for one in value) or "none"
    return str(value.value) if isinstance(value, Enum) else str(value)


def duration(seconds: float) -> str:
    """`340 ms`, `4.2 s`, `1 min 43 s`."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def moment(started: str) -> str:
    """A moment in ISO 8601 as people write it, to the minute: `2026-11-27 22:23 UTC`."""
    return f"{started[:10]} {started[11:16]} UTC"


def join(parts: list[str] | tuple[str, ...]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def concerned(requirements: Iterable[str], topology: Topology | None) -> tuple[str, ...]:
    """The requirements that are about this flow: of the families that its topology refers to, and those of all flows."""
    own = {"GEN"} if topology is None else {"GEN", *re.findall(r'"([A-Z0-9-]+)-\d+"', topology.text)}
    asked = tuple(requirements)
    return tuple(id for id in asked if id.rpartition("-")[0] in own) if own != {"GEN"} else asked


def topology_of(found: Counterexample) -> Topology | None:
    """The flow that a counterexample is about, where it can still be read."""
    try:
        return load_topology(str(found.case["scenario"]["topology"]))
    except (SiteproofError, KeyError, TypeError):
        return None


def solvers(promises: Iterable[PromiseResult]) -> list[str]:
    """Who confirmed the certificates of some promises, without version numbers."""
    return sorted({solver.split()[0] for promise in promises for solver in promise.confirmed_by}, reverse=True)


def removals(found: Counterexample) -> tuple[tuple[str, ...], str]:
    """What each step is there for: one note a step, or no notes and one sentence where all of them say the same."""
    size = f"Shrunk from {count(found.original_length, 'step')} to {len(found.steps)}"
    size = size if found.original_length > len(found.steps) else count(len(found.steps), "step")
    if found.repeats:
        return (), f"{size}: {found.repeats}."
    if not found.minimal:
        return found.removal, f"{size}; not certified that no single step can be left out."
    if len(set(found.removal)) == 1 and len(found.removal) == len(found.steps) > 1:
        return (
            (),
            f"{size}; none can be left out: without any one of them the case {found.removal[0].replace(' without it', '')}.",
        )
    return found.removal, f"{size}; none can be left out."


@attrs.frozen
class Headline:
    """What was found: a tone, one sentence, and the sentences that stand behind it."""

    tone: str
    title: str
    lines: tuple[str, ...]


def headline(report: RunReport) -> Headline:
    """The headline of a run."""
    proofs = [flow.proof for flow in report.flows if flow.proof is not None]
    campaigns = [campaign for flow in report.flows for campaign in flow.campaigns]
    lines = [_flow_error(flow) for flow in report.flows if flow.error]
    if proofs:
        lines.append(_proof_line(report))
    if campaigns:
        lines.append(_campaign_line(campaigns))
    if report.partial:
        lines.append("The run was interrupted; what is below is what was finished by then.")
    return Headline(_tone(report), _title(report, bool(proofs), campaigns), tuple(lines))


def _tone(report: RunReport) -> str:
    tone = tone_of(report.exit)
    return "unsure" if report.partial and tone == "good" else tone


def _title(report: RunReport, proved: bool, campaigns: list[CampaignResult]) -> str:
    refuted = "; ".join(_in_flow(flow, (row.id for row in flow.refuted)) for flow in report.flows if flow.refuted)
    violated = "; ".join(_in_flow(flow, (row.id for row in flow.violated)) for flow in report.flows if flow.violated)
    broken = [flow.title for flow in report.flows if flow.outcome is Outcome.VIOLATION]
    if report.exit not in (Exit.OK, Exit.VIOLATION, Exit.INCONCLUSIVE):
        return "The run could not be carried through."
    if refuted and broken:
        return f"Refuted: {refuted}. And the system under test breaks its promises."
    if refuted:
        return f"Refuted: {refuted}."
    if broken:
        return f"The system under test breaks a promise in {join(broken)}."
    if violated:
        return f"Not met: {violated}."
    if report.exit is Exit.INCONCLUSIVE or report.partial:
        return "Nothing wrong was found, but not everything was settled."
    if proved:
        explored = any(flow.exploration is not None for flow in report.flows)
        told = "Every promise that applies is proved or holds by construction"
        told += ", P19 in an explored scope" if explored else ""
        return f"{told}; and the implementation conforms." if campaigns else f"{told}."
    return "The system under test conforms."


def _in_flow(flow: FlowReport, ids: Iterable[str]) -> str:
    """Promises or requirements, and the flow that they are of."""
    return f"{join(list(dict.fromkeys(ids)))} in {flow.title}"


def _flow_error(flow: FlowReport) -> str:
    return f"{flow.title}: {flow.error}"


def _proof_line(report: RunReport) -> str:
    proofs = [flow.proof for flow in report.flows if flow.proof is not None]
    proved, *rest = claims_told(proofs)
    certified = [p for proof in proofs for p in proof.promises if is_kept(p.verdict)]
    confirmed = solvers(certified)
    all_confirmed = bool(certified) and all(solvers([p]) == confirmed for p in certified)
    text = f"{proved} for any number of writes"
    if confirmed:
        text += (
            f", {'each' if all_confirmed else 'most'} certificate{'' if all_confirmed else 's'} confirmed by {join(confirmed)}"
        )
    return text + (f"; {join(rest)}." if rest else ".")


def _campaign_line(campaigns: list[CampaignResult]) -> str:
    steps, cases = sum(c.steps for c in campaigns), sum(c.cases for c in campaigns)
    checks = sum(c.content_checks for c in campaigns)
    drivers = join(sorted({c.driver for c in campaigns}))
    text = f"{count(cases, 'case')} with {count(steps, 'step')} ran against {drivers}; "
    was = "was" if checks == 1 else "were"
    text += f"{count(checks, 'disk or recovery point', 'disks and recovery points')} {was} read back and compared."
    skipped = sum(sum(c.skipped.values()) for c in campaigns)
    return text + (f" {count(skipped, 'step')} skipped for want of a capability." if skipped else "")
