"""The report in a terminal: the final table, and findings told in words.

Rules
1. Every text is a `Text`, never markup: what comes from outside cannot style the terminal.
2. A verdict is a mark and a colour; the mark alone is enough (`NO_COLOR`, a pipe).
3. Nothing here computes a verdict, and nothing prints: functions answer what is to be printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from siteproof.conformance.report.values import RunReport, claims_told, count
from siteproof.conformance.report.words import (
    MARKS,
    TONES,
    concerned,
    duration,
    headline,
    join,
    named,
    plain,
    readable,
    removals,
    solvers,
    told_value,
    topology_of,
)
from siteproof.conformance.results import CampaignResult, Counterexample
from siteproof.model.catalogue import catalogue
from siteproof.model.errors import one_line
from siteproof.model.results import ClaimResult, PromiseResult, ProofReport, Trace, Verdict, is_kept

__all__ = [
    "campaign_story",
    "counterexample_story",
    "final_table",
    "proof_story",
    "refutation_story",
    "side_by_side",
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
    return Group(*lines, *(text("  " + line, "dim") for line in told.lines))


def final_table(report: RunReport) -> Table:
    """Flows by promises, with what the campaign came to."""
    ids = list(dict.fromkeys(p.id for flow in report.flows if flow.proof for p in flow.proof.promises))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("flow")
    for id in ids:
        table.add_column(id, justify="center")
    for title in ("certificates", "system under test"):
        table.add_column(title)
    for title in ("cases", "steps", "time"):
        table.add_column(title, justify="right")
    for flow in report.flows:
        verdicts = {p.id: flow.proof.verdict_of(p.id) for p in flow.proof.promises} if flow.proof else {}
        seconds = (flow.proof.seconds if flow.proof else 0) + sum(c.seconds for c in flow.campaigns)
        outcome = _word(flow.outcome) if flow.outcome else Text("– not run", "dim")
        table.add_row(
            text(flow.id, "bold"),
            *(_mark(verdicts[id]) if id in verdicts else Text("·", "dim") for id in ids),
            _certificates(flow.proof),
            text("! " + flow.error, COLOURS["broken"]) if flow.error else outcome,
            *(
                f"{sum(values):,}" if flow.campaigns else "–"
                for values in ([c.cases for c in flow.campaigns], [c.steps for c in flow.campaigns])
            ),
            duration(seconds),
        )
    return table


def _certificates(proof: ProofReport | None) -> Text:
    if proof is None:
        return Text("–", "dim")
    proved = [p for p in proof.promises if is_kept(p.verdict)]
    confirmed = [p for p in proved if p.confirmed_by]
    if not confirmed:
        return Text("not checked", "dim")
    style = "green" if len(confirmed) == len(proved) else "yellow"
    return Text(f"{len(confirmed)}/{len(proved)} by {join(solvers(confirmed))}", style)


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
                parts += [Text(), refutation_story(promise, claim, claim.trace)]
            elif claim.verdict is Verdict.UNDETERMINED:
                parts.append(text(f"? {promise.id}, “{claim.name}”: undetermined, {claim.reason}", "yellow"))
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


def refutation_story(promise: PromiseResult, claim: ClaimResult, trace: Trace) -> RenderableType:
    """A refutation told step by step."""
    rows = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    rows.add_column(justify="right", style="dim")
    rows.add_column(ratio=1)
    for number, step in enumerate(trace.steps, 1):
        last = number == len(trace.steps)
        given = ", ".join(f"{name} = {plain(value)}" for name, value in step.arguments.items())
        title = Text.assemble(
            (one_line(step.action.replace("_", " ")), "bold red" if last else "bold"),
            (one_line(f" ({given})") if given else "", "dim"),
        )
        rows.add_row(str(number), Group(title, text(step.doc), *_changes(step.changed)))
    shortest = "the fewest possible" if trace.shortest else "not shown to be the fewest"
    return Panel(
        Group(
            text(readable(trace.conclusion)),
            Text(),
            rows,
            Text(),
            text(f"{count(len(trace.steps), 'step')}, {shortest}; {trace.method}, replayed on the compiled model.", "dim"),
        ),
        title=text(f"{promise.id} {promise.title}: “{claim.name}” is refuted", "bold red"),
        title_align="left",
        border_style="red",
        padding=(1, 2),
    )


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
            found_here, allowed = told_value(wrong.found), told_value(wrong.expected)
            parts.append(text(f"{wrong.field} is {found_here}; the model allows {allowed}", "red"))
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
    parts: list[RenderableType] = [
        Text.assemble((one_line(f"{result.topology}  "), "bold"), _word(result.outcome), ("  " + one_line(result.reason), "dim")),
        text(
            f"{count(result.cases, 'case')}, {count(result.steps, 'step')}, {count(result.content_checks, 'content check')} in "
            f"{duration(result.seconds)}; driver {result.driver}, engine {result.engine}, seed {result.seed}",
            "dim",
        ),
        table,
    ]
    if result.skipped:
        parts.append(text("skipped: " + ", ".join(f"{n} × {name}" for name, n in result.skipped.items()), "yellow"))
    parts += [text("warning: " + warning, "yellow") for warning in result.warnings]
    if result.counterexample is not None:
        parts += [Text(), counterexample_story(result.counterexample)]
    return Group(*parts)


def side_by_side(before: ProofReport, after: ProofReport) -> RenderableType:
    """A what-if: the verdicts before and after, what changed marked, and the refutations of the changed flow."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for title in ("", "promise", "level", "as documented", "what if", ""):
        table.add_column(title)
    then = {(p.id, p.level): p for p in before.promises}
    for promise in after.promises:
        old = then.get((promise.id, promise.level))
        changed = old is not None and old.verdict is not promise.verdict
        table.add_row(
            text(promise.id, "bold"),
            text(promise.title),
            text(promise.level, "dim"),
            _word(old.verdict) if old else Text("–", "dim"),
            _word(promise.verdict),
            Text("← changed", "bold") if changed else Text(),
        )
    facts = Columns(
        [
            text(f"{path} = {plain_fact(value)} (documented: {plain_fact(before.facts.get(path))})", "yellow")
            for path, value in after.overrides.items()
        ]
    )
    parts: list[RenderableType] = [
        Text.assemble((one_line(after.title), "bold"), (f"  {one_line(after.topology)}", "dim")),
        facts,
        Padding(table, (1, 0, 0, 0)),
    ]
    for promise in after.promises:
        old = then.get((promise.id, promise.level))
        old_claims = {c.name: c.verdict for c in old.claims} if old else {}
        parts += [
            Padding(refutation_story(promise, claim, claim.trace), (1, 0, 0, 0))
            for claim in promise.claims
            if claim.trace is not None and claim.verdict is Verdict.REFUTED and old_claims.get(claim.name) is not Verdict.REFUTED
        ]
    return Group(*parts)
