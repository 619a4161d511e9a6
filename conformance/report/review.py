"""A design review in a terminal: what changes, and what becomes of the promises.

Rules
1. What changes comes first, with what the former value rests on: documented requirements, or a decision. What no promise looks
   at is said to be so: a verdict that stays the same would suggest that it had been weighed.
2. Then the promises side by side. A promise is *lost* or *gained* when it is kept on one side only.
3. A promise that is newly refuted is told by its shortest trace; further claims of it that fail are named, with the lengths of
   their traces. One that is lost otherwise is told with the reason.
4. Nothing here computes a verdict, and nothing prints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from siteproof.conformance.report.terminal import COLOURS, refutation_story, text
from siteproof.conformance.report.values import count
from siteproof.conformance.report.words import MARKS, TONES, join
from siteproof.model.difference import Difference, What
from siteproof.model.levels import numbered
from siteproof.model.prove import WhatIf
from siteproof.model.results import ClaimResult, PromiseResult, ProofReport, Trace, Verdict, is_kept

__all__ = ["changes_story", "verdicts_story"]

UNREAD = "No promise looks at"
NAMED = 4
"""Paths that are listed one by one; more are counted."""


def changes_story(rows: Sequence[Difference], read: Collection[str] | None) -> RenderableType:
    """The differences as a table. `read` holds the paths that proofs look at; None when none were asked for."""
    if not rows:
        return text("nothing differs: no component, link, capability, behaviour, policy or failback setting", "yellow")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for title, ratio in (("", None), ("what changes", 3), ("before → after", 3), ("what the former value rests on", 4)):
        table.add_column(title, ratio=ratio, overflow="fold")
    part = ""
    for row in rows:
        table.add_row(text(row.part if row.part != part else "", "dim"), _name(row), _values(row), _basis(row))
        part = row.part
    unread = [row for row in rows if read is not None and row.path not in read]
    return Group(table, *([Text(), text(_unread(unread))] if unread else []))


def _unread(rows: Sequence[Difference]) -> str:
    """That no verdict can change by these; they are held to rules instead."""
    numbers = Counter(str(row.part) for row in rows)
    many = join([count(number, f"{part} difference") for part, number in numbers.items()])
    named = join([row.path for row in rows]) if len(rows) <= NAMED else many
    return f"{UNREAD} {named}: held to the rules for topologies only, which are met."


def _name(row: Difference) -> Text:
    style = {What.ADDED: "green", What.REMOVED: "red", What.CHANGED: "yellow"}[row.what]
    return text(row.path, style)


def _values(row: Difference) -> Text:
    if row.what is What.CHANGED:
        return text(f"{row.before} → {row.after}")
    return text(f"{row.what}: {row.before or row.after}")


def _basis(row: Difference) -> RenderableType:
    """What the former value rests on, and what the new one does where that is said."""
    parts = [": ".join(part for part in (", ".join(row.requirements), row.reason) if part)]
    parts.append(f"now: {row.reason_after}" if row.reason_after else "")
    return Group(*(text(part, "dim") for part in parts if part))


def verdicts_story(both: WhatIf, before: str, after: str, asked: Sequence[str] | None = None) -> RenderableType:
    """Promises lost and gained, all verdicts under the headings `before` and `after`, and how each lost one is lost. `asked`: the
    promises that alone were asked for, None for all."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for title in ("", "promise", "level", before, after, ""):
        table.add_column(title)
    old, new = _rows(both.before), _rows(both.after)
    for key in sorted({**old, **new}, key=lambda one: numbered(one[0])):
        then, now = old.get(key), new.get(key)
        told = now or then
        assert told is not None
        table.add_row(text(told.id, "bold"), text(told.title), text(told.level, "dim"), _word(then), _word(now),
                      _moved(then, now, both))
    return Group(_headline(both, asked), Padding(table, (1, 0, 0, 0)), *_losses(both))


def _rows(report: ProofReport) -> dict[tuple[str, str], PromiseResult]:
    return {(row.id, row.level): row for row in report.promises}


def _word(row: PromiseResult | None) -> Text:
    if row is None:
        return Text("–", "dim")
    return Text(f"{MARKS[row.verdict]} {row.verdict.value}", COLOURS[TONES[row.verdict]])


def _moved(then: PromiseResult | None, now: PromiseResult | None, both: WhatIf) -> Text:
    if then is not None and now is not None and then.verdict is now.verdict:
        return Text()
    id = (now or then).id  # type: ignore[union-attr]
    word = "lost" if id in both.lost else "gained" if id in both.gained else "changed"
    return Text(f"← {word}", "bold red" if word == "lost" else "bold")


def _headline(both: WhatIf, asked: Sequence[str] | None) -> Text:
    of = f"of {join(list(asked))}, which alone {'was' if len(asked) == 1 else 'were'} asked for, " if asked else ""
    if not both.lost and not both.gained:
        return Text.assemble(of, (f"{'none' if asked else 'no promise'} is lost and none is gained", "bold"))
    parts = [(f"lost: {join(both.lost)}", "bold red") if both.lost else ("no promise is lost", "bold"),
             ("; ", ""),
             (f"gained: {join(both.gained)}", "bold green") if both.gained else ("none is gained", "bold")]
    return Text.assemble(of, *parts)


def _losses(both: WhatIf) -> Iterator[RenderableType]:
    """How each promise is lost; also how one is refuted that was not kept before."""
    old, told = _rows(both.before), list[tuple[PromiseResult, Trace]]()
    for key, row in _rows(both.after).items():
        then = old.get(key)
        if is_kept(row.verdict) or (then is not None and then.verdict is row.verdict):
            continue
        failing = _shortest_first(row.claims)
        if failing:
            (claim, trace), *more = failing
            same = next((other.id for other, known in told if known.steps == trace.steps), "")
            if same:
                words = f"✗ {row.id} {row.title}: “{claim.name}” is refuted by the steps of {same}"
                yield Padding(Group(text(words, "bold red"), text(trace.conclusion)), (1, 0, 0, 0))
            else:
                yield Padding(refutation_story(row, trace), (1, 0, 0, 0))
            told.append((row, trace))
            if more:
                named = ", ".join(f"“{one.name}” ({count(len(path.steps), 'step')})" for one, path in more)
                yield text(f"{row.id} fails in {count(len(more), 'other claim')} as well: {named}", "dim")
        elif row.verdict is Verdict.UNDETERMINED:
            for claim in row.claims:
                if claim.verdict is Verdict.UNDETERMINED:
                    yield text(f"? {row.id}, “{claim.name}”: undetermined, {claim.reason}", "yellow")
        else:
            reasons = sorted({claim.reason for claim in row.claims if claim.reason})
            yield text(f"– {row.id} no longer says anything: {'; '.join(reasons)}", "dim")


def _shortest_first(claims: Iterable[ClaimResult]) -> list[tuple[ClaimResult, Trace]]:
    failing = [(c, c.trace) for c in claims if c.verdict is Verdict.REFUTED and c.trace is not None]
    return sorted(failing, key=lambda row: len(row[1].steps))
