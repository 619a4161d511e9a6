"""Explorations and the necessity matrix in a terminal.

Rules are those of `terminal`: texts, never markup; marks that are enough without colour; nothing here computes a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from siteproof.conformance.report.terminal import COLOURS, text, trace_rows
from siteproof.conformance.report.values import count
from siteproof.conformance.report.whole_model import NEEDS
from siteproof.conformance.report.words import FINDINGS, duration, join
from siteproof.model.ending import Ending, Found
from siteproof.model.errors import one_line
from siteproof.model.explore import Exploration, ExploreReport, Trial
from siteproof.model.necessity import Necessity, NecessityReport, Need
from siteproof.model.results import Trace
from siteproof.model.way_home import Advice, WayHome
from siteproof.model.witness import ActionWitness

__all__ = ["ending_in_words", "exploration_story", "necessity_story", "needed_in_words", "needed_of", "way_in_words",
           "where_in_words"]

def _plain_table(*titles: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for title in titles:
        table.add_column(title, justify="right" if title in NUMBERS else "left")
    return table


NUMBERS = {"states", "possible", "taken", "steps", "rounds", "rank", "seconds"}


def _found(found: Found) -> Text:
    mark, tone = FINDINGS[found.value]
    return Text(f"{mark} {found.value}", COLOURS[tone])


def trace_panel(trace: Trace, title: str) -> RenderableType:
    """A trace told step by step. What it shows stands inside, since a panel's title has one line."""
    shortest = "the fewest possible" if trace.shortest else "not shown to be the fewest"
    footer = f"{count(len(trace.steps), 'step')}, {shortest}; {trace.method}, replayed on the compiled model."
    told = Group(text(title, "bold"), Text(), trace_rows(trace.steps), Text(), text(trace.conclusion), text(footer, "dim"))
    return Panel(told, border_style="dim", padding=(1, 2))


def exploration_story(report: ExploreReport, *, details: bool) -> RenderableType:
    """What was explored of a flow and what was found. `details`: also how often each action is possible and taken."""
    parts: list[RenderableType] = [Text.assemble((one_line(report.title), "bold"), (f"  {one_line(report.topology)}", "dim"))]
    for row in report.levels:
        parts += [Text(), *_level(row, details)]
    assumed = "; ".join(report.fairness)
    parts += [Text(), text(f"Assumed: {assumed}. Explored, not proved: what is said is said of the scope.", "dim")]
    return Group(*parts)


def _level(row: Exploration, details: bool) -> list[RenderableType]:
    machines = f", {count(row.machines, 'machine')}" if row.machines > 1 else ""
    parts: list[RenderableType] = [
        Text.assemble((row.level, "bold"), f"  {row.scope}{machines}"),
        text(f"{count(row.states, 'state')}, {count(row.transitions, 'transition')}, depth {row.depth}; "
             f"{row.states_per_second:,.0f} states a second; took {duration(row.seconds)}"
             + ("; these are all there are" if row.complete else "") + (f"; CUT OFF: {row.stopped}" if row.stopped else "")),
    ]
    if len(row.trials) > 1:
        parts.append(text(_grown(row.trials, row.complete), "dim"))
    still = row.stillness
    parts.append(text(f"At rest in {count(still.at_rest, 'state')}; a job waits for a fault to be mended, or for somebody, in "
                      f"{still.waiting:,}.", "dim"))
    table = _plain_table("asked", "answer", "")
    for one in row.endings:
        table.add_row(text(f"every accepted job of {one.what} ends"), _found(one.found), text(ending_in_words(one), "dim"))
    if row.way_home is not None:
        table.add_row(text("P19 the way home"), _found(row.way_home.found), text(way_in_words(row.way_home), "dim"))
    if row.witnesses:
        taken = sum(one.trace is not None for one in row.witnesses)
        shut = sum(one.impossible for one in row.witnesses)
        settled = _found(Found.UNDETERMINED if row.unsettled else Found.HOLDS)
        table.add_row(text("every action is taken or proved impossible"), settled,
                      text(f"{taken} taken{_beyond(row)}, {shut} impossible, {len(row.unsettled)} open", "dim"))
    if row.assumptions is not None:
        good = row.assumptions.satisfiable and row.assumptions.fair_states > 0
        table.add_row(text("the assumptions can hold together"), _found(Found.HOLDS if good else Found.BROKEN),
                      text(f"{row.assumptions.conjuncts} conjuncts have {'a' if row.assumptions.satisfiable else 'no'} state; "
                           f"{count(row.assumptions.fair_states, 'state')} on fair infinite runs", "dim"))
    parts.append(table)
    for one in row.endings:
        parts += _ending_parts(one, details)
    if row.way_home is not None:
        parts += _way_parts(row.way_home)
    parts += _impossible(row.witnesses)
    parts += [text(f"? {one.action.replace('_', ' ')}: {one.reason}", "yellow") for one in row.unsettled]
    if details:
        counts = _plain_table("action", "kind", "possible", "taken")
        for action in row.actions:
            name = text(action.action.replace("_", " "))
            counts.add_row(name, text(action.kind, "dim"), f"{action.possible:,}", f"{action.taken:,}")
        parts += [Text(), counts]
    return parts


def _beyond(row: Exploration) -> str:
    """How many actions are not among those that the exploration itself took: a walk or another search did, past its bound."""
    seen = {action.action for action in row.actions if action.taken}
    beyond = sum(one.trace is not None and one.action not in seen for one in row.witnesses)
    return f" ({beyond} of them by a walk or a search beyond what was explored)" if beyond else ""


def _impossible(witnesses: Sequence[ActionWitness]) -> list[RenderableType]:
    """The actions that are proved impossible, by the reason."""
    why: dict[str, list[str]] = {}
    for one in witnesses:
        if one.impossible:
            why.setdefault(one.reason, []).append(one.action.replace("_", " "))
    return [text(f"– impossible, since {reason}: {join(names)}", "dim") for reason, names in why.items()]


def _grown(trials: Sequence[Trial], complete: bool) -> str:
    """How the scope was chosen, in one sentence."""
    last = trials[-1]
    if complete:
        return f"The scope was grown in {count(len(trials), 'trial')}, until it held all states there are."
    beyond = f"the next, {last.scope}, would have {'about' if last.estimated else 'more than'} {last.states:,} states"
    return "The scope was grown to the largest within the budget" + (f"; {beyond}." if last.estimated or last.stopped else ".")


def ending_in_words(one: Ending) -> str:
    """What was found of the end of jobs."""
    if one.found is Found.HOLDS:
        return f"{count(one.states, 'state')} with a pending job after the faults, ranks up to {one.longest}; deadlocks: none"
    deadlocks = f"; deadlocked: {one.deadlocked:,}" if one.deadlocked else ""
    return one.reason + deadlocks


def _ending_parts(one: Ending, details: bool) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if one.ranking and details:
        table = _plain_table("job", "led on by", "rank", "states")
        for row in one.ranking:
            table.add_row(text(row.job), text(row.helpful.replace("_", " ")), f"{row.least}–{row.most}", f"{row.states:,}")
        parts += [Text(), table]
    if one.deadlock is not None:
        parts += [Text(), trace_panel(one.deadlock, "a shortest way to a deadlock")]
    if one.lasso is not None:
        parts += [Text(), trace_panel(one.lasso.stem, "a job that need never end")]
        if one.lasso.loop:
            parts.append(Panel(trace_rows(one.lasso.loop), title=text("… and then round and round", "bold"), title_align="left",
                               border_style="dim", padding=(1, 2)))
        parts.append(text(f"Fair, because {one.lasso.why}.", "dim"))
    return parts


def way_in_words(way: WayHome) -> str:
    """What was found of the way home."""
    ended = f"; {count(way.ended, 'state')} where an operator has given it up" if way.ended else ""
    if way.found is Found.HOLDS:
        return f"from {count(way.states, 'state')} after the faults, in at most {count(way.rounds, 'round')}{ended}"
    lost = f"{way.lost:,} of {count(way.states, 'state')}" if way.lost else ""
    return "; ".join(part for part in (way.reason, lost) if part) + ended


def _way_parts(way: WayHome) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if way.advice:
        table = _plain_table("in a state like", "do", "rounds", "states")
        for row in way.advice:
            where, move = where_in_words(row)
            table.add_row(text(where), text(move, "bold"), str(row.rounds), f"{row.states:,}")
        parts += [Text(), table]
    if way.trace is not None:
        parts += [Text(), trace_panel(way.trace, "a state with no way home")]
    return parts


def where_in_words(row: Advice) -> tuple[str, str]:
    """A line of an operator's strategy: in a state like this, do that."""
    where = ", ".join(f"{name.replace('_', ' ')} = {value}" for name, value in row.where.items()) or "any other"
    return where, f"ask for {row.move}" if row.request else row.move


def needed_in_words(row: Necessity) -> str:
    """A precondition's verdict, with what goes with it."""
    if row.need is Need.NEEDED and row.trace is not None:
        said = f"{row.promise} breaks after {count(len(row.trace.steps), 'step')}"
        return f"{said}; {row.reason}" if row.reason else said
    if row.need is Need.NOT_NEEDED:
        said = (f"possible without it after {count(len(row.accepts.steps) - 1, 'step')}" if row.accepts is not None
                else "nowhere in the explored scopes does it refuse alone")
        return f"{said}; {row.reason}" if row.reason else said
    return row.reason if row.need in (Need.SILENT, Need.UNDETERMINED) else "implied by the invariant and the others"


def needed_of(report: NecessityReport) -> str:
    """What of the needed ones says less than it seems, in parentheses; empty if nothing does."""
    weak = [f"{report.only_repeated} only because a promise repeats them" if report.only_repeated else "",
            f"{report.only_counts} only so that no count falls below zero" if report.only_counts else ""]
    return f" ({', '.join(filter(None, weak))})" if any(weak) else ""


def necessity_story(report: NecessityReport, *, traces: bool) -> RenderableType:
    """The matrix of a flow: a row for each precondition. `traces`: each trace is told as well."""
    parts: list[RenderableType] = [Text.assemble((one_line(report.title), "bold"), (f"  {one_line(report.topology)}", "dim"))]
    for level in dict.fromkeys(row.level for row in report.rows):
        table = _plain_table("", "action", "precondition", "code", "requirements", "without it", "promise", "steps")
        last = ""
        for row in (row for row in report.rows if row.level == level):
            mark, tone = NEEDS[row.need]
            name = row.action.replace("_", " ")
            trace = row.trace or row.accepts
            table.add_row(
                Text(mark, COLOURS[tone]), text(name if name != last else "", "bold"), text(row.text), text(row.code, "dim"),
                text(", ".join(row.requirements) if name != last else "", "dim"), text(row.need.value, COLOURS[tone]),
                text(row.promise, "bold"), str(len(trace.steps)) if trace is not None else "")
            last = name
        same = f"  the same model, and the same rows, in {join(report.alike[level])}" if report.alike.get(level) else ""
        of = f"  its promises: {', '.join(report.promises[level])}"
        parts += [Text(), Text.assemble((level, "bold"), (of, "dim"), (same, "dim")), table]
    told = [f"{report.count(need)} {need.value}{needed_of(report) if need is Need.NEEDED else ''}" for need in Need
            if report.count(need)]
    parts.append(text(f"{join(told)}; its levels took {duration(report.seconds)} one after the other.", "dim"))
    for besides in dict.fromkeys(row.reason for row in report.rows if row.need is Need.NOT_NEEDED and row.reason):
        parts.append(text(f"! {besides}", "yellow"))
    for row in report.rows:
        if row.need is Need.UNDETERMINED:
            name = row.action.replace("_", " ")
            parts.append(text(f"? {name}, precondition {row.number}: undetermined, {row.reason}", "yellow"))
    for row in report.rows if traces else ():
        trace = row.trace or row.accepts
        if trace is not None:
            title = f"{row.action.replace('_', ' ')} without “{row.text}”: {needed_in_words(row)}"
            parts += [Text(), trace_panel(trace, title)]
    return Group(*parts)
