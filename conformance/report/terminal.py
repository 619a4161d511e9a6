"""The report in a terminal: the final table, and findings told in words.

Rules
1. Every text is a `Text`, never markup: what comes from outside cannot style the terminal.
2. A verdict is a mark and a colour; the mark alone is enough (`NO_COLOR`, a pipe).
3. Nothing here computes a verdict, and nothing prints: functions answer what is to be printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from siteproof.conformance.report.values import FlowReport, RunReport, claims_told, count
from siteproof.conformance.report.words import (
    FINDINGS,
    MARKS,
    TONES,
    concerned,
    duration,
    headline,
    join,
    plain,
    removals,
    solvers,
    topology_of,
    wrong_in_words,
)
from siteproof.conformance.results import CampaignResult, Counterexample
from siteproof.model.catalogue import catalogue
from siteproof.model.errors import one_line
from siteproof.model.readings.words import named
from siteproof.model.results import PromiseResult, ProofReport, Trace, TraceStep, Verdict, is_kept

__all__ = [
    "Fitting",
    "campaign_story",
    "counterexample_story",
    "final_table",
    "proof_story",
    "refutation_story",
    "trace_rows",
    "verdict_lines",
]

COLOURS = {"good": "green", "bad": "bold red", "unsure": "yellow", "broken": "bold magenta", "calm": "dim"}


def text(content: object, style: str = "") -> Text:
    """A text without markup and without control characters."""
    return Text(one_line(str(content)), style)


def _mark(verdict: Any) -> Text:
    return Text(MARKS[verdict], COLOURS[TONES[verdict]])


def _word(verdict: Any) -> Text:
    return Text(f"{MARKS[verdict]} {verdict.value}", COLOURS[TONES[verdict]])


def verdict_lines(report: RunReport) -> RenderableType:
    """The headline of a run."""
    told = headline(report)
    mark = {"good": "✓", "bad": "✗", "unsure": "?", "broken": "!"}[told.tone]
    lines = [Text.assemble((mark + " ", COLOURS[told.tone]), (one_line(told.title), "bold"))]
    missing = (f"Missing in {flow.id}: {join(list(flow.unfinished))}" for flow in report.flows if flow.unfinished)
    return Group(*lines, *(text("  " + line, "dim") for line in (*told.lines, *missing)))


@attrs.frozen
class Fitting:
    """A table where it fits without breaking a word; else each row as lines: its first cell, and what the others say below."""

    table: Table
    lines: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = Measurement.get(console, options.update(width=UNLIMITED), self.table).maximum
        yield self.table if room <= options.max_width else self.lines


UNLIMITED = 10_000


def final_table(report: RunReport) -> Fitting:
    """For each flow how many promises have which verdict, those that are not kept by name, and what the campaign came to."""
    proofs = [flow.proof for flow in report.flows if flow.proof]
    told = [verdict for verdict in Verdict if any(verdict in _verdicts(proof).values() for proof in proofs)]
    broken = any(_not_kept(proof) for proof in proofs)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("flow", overflow="fold")
    for verdict in told:
        table.add_column(SHORT[verdict], justify="right")
    for title in ("not kept", "certified", "explored", "system") if broken else ("certified", "explored", "system"):
        table.add_column(title)
    for title in ("cases", "steps", "time"):
        table.add_column(title, justify="right")
    lines: list[Text] = []
    for flow in report.flows:
        verdicts = list(_verdicts(flow.proof).values()) if flow.proof else []
        numbers = [_number(verdicts.count(verdict), verdict) if flow.proof else Text("–", "dim") for verdict in told]
        not_kept = _not_kept(flow.proof) if flow.proof else Text()
        system = text("! " + flow.error, COLOURS["broken"]) if flow.error else (
            _word(flow.outcome) if flow.outcome else Text("– not run", "dim"))
        cases, steps = sum(c.cases for c in flow.campaigns), sum(c.steps for c in flow.campaigns)
        took = duration((flow.proof.seconds if flow.proof else 0) + sum(c.seconds for c in flow.campaigns))
        table.add_row(
            text(flow.id, "bold"), *numbers, *([not_kept] if broken else []), _certificates(flow.proof), _explored(flow), system,
            *(f"{number:,}" if flow.campaigns else "–" for number in (cases, steps)), took,
        )
        counted = [Text.assemble(number, f" {verdict.value}") for number, verdict in zip(numbers, told, strict=True)]
        extent = [Text(f"{count(cases, 'case')}, {count(steps, 'step')}")] if flow.campaigns else []
        lines += [text(flow.id, "bold"), _below(*(counted if flow.proof else [Text("not proved", "dim")]))]
        lines += [_below(Text.assemble("not kept: ", not_kept))] if not_kept else []
        certified, explored = _certificates(flow.proof), _explored(flow)
        lines.append(_below(Text.assemble("certified: ", certified), Text.assemble("explored: ", explored)))
        lines.append(_below(Text.assemble("system: ", system), *extent, Text(took)))
    return Fitting(table, Group(*lines))


def _below(*parts: Text) -> Text:
    """A line below the name of a flow."""
    return Text.assemble("  ", Text(", ").join(parts))


SHORT = {Verdict.PROVED: "proved", Verdict.REFUTED: "refuted", Verdict.BY_CONSTRUCTION: "by constr.",
         Verdict.NOT_APPLICABLE: "n.a.", Verdict.UNDETERMINED: "undet."}
"""Verdicts as heads of columns."""


def _verdicts(proof: ProofReport) -> dict[str, Verdict]:
    """The verdict on each promise, over all levels."""
    return {row.id: proof.verdict_of(row.id) for row in proof.promises}


def _number(number: int, verdict: Verdict) -> Text:
    return Text(str(number), COLOURS[TONES[verdict]] if number else "dim")


def _not_kept(proof: ProofReport) -> Text:
    """The promises that are refuted or undetermined, by name."""
    wrong = [(id, verdict) for id, verdict in _verdicts(proof).items() if verdict in (Verdict.REFUTED, Verdict.UNDETERMINED)]
    return Text(" ").join(Text(f"{MARKS[verdict]} {id}", COLOURS[TONES[verdict]]) for id, verdict in wrong)


def _certificates(proof: ProofReport | None) -> Text:
    if proof is None:
        return Text("–", "dim")
    proved = [p for p in proof.promises if is_kept(p.verdict)]
    confirmed = [p for p in proved if p.confirmed_by]
    if not confirmed:
        return Text("not checked", "dim")
    style = "green" if len(confirmed) == len(proved) else "yellow"
    return Text(f"{len(confirmed)}/{len(proved)}", style)


def _explored(flow: FlowReport) -> Text:
    """What all states of a scope were asked: whether jobs end, and the way home."""
    if flow.exploration is None:
        return Text("–", "dim")
    mark, tone = FINDINGS[flow.exploration.found]
    states = sum(level.states for level in flow.exploration.levels)
    return Text(f"{mark} {states:,}", COLOURS[tone])


def proof_story(proof: ProofReport) -> RenderableType:
    """The promises of a flow, one line each, and below it whatever was refuted or left open."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for title, justify in (
        ("", "left"),
        ("id", "left"),
        ("promise", "left"),
        ("level", "left"),
        ("verdict", "left"),
        ("claims", "right"),
        ("certificate", "left"),
    ):
        table.add_column(title, justify=justify)  # type: ignore[arg-type]
    for promise in proof.promises:
        table.add_row(
            _mark(promise.verdict),
            text(promise.id, "bold"),
            text(promise.title),
            text(promise.level, "dim"),
            Text(promise.verdict.value, COLOURS[TONES[promise.verdict]]),
            _tally(promise),
            text("confirmed by " + join(solvers([promise])) if promise.confirmed_by else "–", "dim"),
        )
    parts: list[RenderableType] = [
        Text.assemble(
            (one_line(proof.title), "bold"),
            (f"  {one_line(proof.topology)}", "dim"),
            *((f"  what if {one_line(path)} = {plain_fact(value)}", "yellow") for path, value in proof.overrides.items()),
        ),
        table,
        text(f"{join(claims_told([proof]))}; took {duration(proof.seconds)}.", "dim"),
    ]
    told = {promise.id: catalogue()[promise.id].beside for promise in proof.promises if promise.id in catalogue()}
    parts += [text(f"· {id}: {beside}", "dim") for id, beside in told.items() if beside]
    for promise in proof.promises:
        for claim in promise.claims:
            if claim.verdict is Verdict.REFUTED and claim.trace is not None:
                parts += [Text(), refutation_story(promise, claim.trace)]
            elif claim.verdict is Verdict.UNDETERMINED:
                parts.append(text(f"? {promise.id}, “{claim.name}”: undetermined, {claim.reason}", "yellow"))
            parts += [text(f"· {promise.id}, “{claim.name}”: a part of it says nothing: {part}", "yellow") for part in claim.idle]
        reasons = sorted({c.reason for c in promise.claims if c.verdict is Verdict.NOT_APPLICABLE and c.reason})
        if promise.verdict is Verdict.NOT_APPLICABLE and reasons:
            parts.append(text(f"– {promise.id} is not applicable because {'; '.join(reasons)}", "dim"))
    return Group(*parts)


def _tally(promise: PromiseResult) -> Text:
    """The claims of a promise by verdict: `3 ✓  2 ◇`."""
    told = [(verdict, sum(claim.verdict is verdict for claim in promise.claims)) for verdict in Verdict]
    return Text("  ").join(Text(f"{number} {MARKS[verdict]}", COLOURS[TONES[verdict]]) for verdict, number in told if number)


def plain_fact(value: object) -> str:
    """A fact's value as a topology file writes it."""
    return str(value).lower()


def refutation_story(promise: PromiseResult, trace: Trace) -> RenderableType:
    """A refutation told step by step. The claim is named in its conclusion: a panel's title has one line."""
    rows = trace_rows(trace.steps, wrong=True)
    shortest = "the fewest possible" if trace.shortest else "not shown to be the fewest"
    return Panel(
        Group(
            text(trace.conclusion),
            Text(),
            rows,
            Text(),
            text(f"{count(len(trace.steps), 'step')}, {shortest}; {trace.method}, replayed on the compiled model.", "dim"),
        ),
        title=text(f"{promise.id} refuted: {promise.title}", "bold red"),
        title_align="left",
        border_style="red",
        padding=(1, 2),
    )


def trace_rows(steps: Sequence[TraceStep], *, wrong: bool = False) -> Table:
    """The steps of a trace, numbered. `wrong`: the last one is where something breaks."""
    rows = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    rows.add_column(justify="right", style="dim")
    rows.add_column(ratio=1)
    for number, step in enumerate(steps, 1):
        last = wrong and number == len(steps)
        given = ", ".join(f"{name} = {plain(value)}" for name, value in step.arguments.items())
        title = Text.assemble(
            (one_line(step.action.replace("_", " ")), "bold red" if last else "bold"),
            (one_line(f" ({given})") if given else "", "dim"),
        )
        rows.add_row(str(number), Group(title, text(step.doc), *_changes(step.changed)))
    return rows


def _changes(changed: Mapping[str, Any]) -> Iterable[Text]:
    if changed:
        told = "; ".join(f"{named(name)}: {plain(value)}" for name, value in changed.items())
        yield text(told, "dim")


def counterexample_story(found: Counterexample) -> RenderableType:
    """A counterexample told: the steps, the first divergence, the promise, and what each step is there for."""
    wrong = found.divergence
    rows = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    rows.add_column(justify="right", style="dim")
    rows.add_column(ratio=1)
    notes, shortest = removals(found)
    for number, step in enumerate(found.steps):
        here = step.index == wrong.step
        parts: list[RenderableType] = [text(step.text, "bold red" if here else "")]
        if here:
            parts.append(text(wrong_in_words(wrong), "red"))
        if number < len(notes):
            parts.append(text(notes[number], "dim"))
        rows.add_row(str(number + 1), Group(*parts))
    requirements = concerned(wrong.requirements, topology_of(found))
    asked = f" ({', '.join(requirements)})" if requirements else ""
    seed = f" Seed {found.seed}." if found.seed >= 0 else ""
    footer = [text(f"Breaks {wrong.promise}, {wrong.promise_title}{asked}."), text(f"{shortest}{seed}", "dim")]
    if found.file:
        footer.append(text(f"See it again: siteproof replay {found.file}", "dim"))
    return Panel(
        Group(text(wrong.sentence, "bold"), Text(), rows, Text(), *footer),
        title=text(f"first divergence: {wrong.machine}, {wrong.field}", "bold red"),
        title_align="left",
        border_style="red",
        padding=(1, 2),
    )


def campaign_story(result: CampaignResult) -> RenderableType:
    """What a campaign came to, with its coverage."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column(style="dim", ratio=1)
    for one in result.coverage:
        share = f"{100 * one.covered / one.feasible:.0f} %" if one.feasible else "–"
        table.add_row(text(one.name), f"{one.covered:,} / {one.feasible:,}", share, text(one.how))
    common = f", {count(result.common_points, 'common point')}" if result.common_points else ""
    parts: list[RenderableType] = [
        Text.assemble((one_line(f"{result.topology}  "), "bold"), _word(result.outcome), ("  " + one_line(result.reason), "dim")),
        text(
            f"{count(result.cases, 'case')}, {count(result.steps, 'step')}, {count(result.content_checks, 'content check')}"
            f"{common} in "
            f"{duration(result.seconds)}; driver {result.driver}, engine {result.engine}, seed {result.seed}",
            "dim",
        ),
        table,
    ]
    parts += [text(note, "dim") for note in result.notes]
    if result.skipped:
        parts.append(text("skipped: " + ", ".join(f"{n} × {name}" for name, n in result.skipped.items()), "yellow"))
    parts += [text("warning: " + warning, "yellow") for warning in result.warnings]
    if result.counterexample is not None:
        parts += [Text(), counterexample_story(result.counterexample)]
    return Group(*parts)
