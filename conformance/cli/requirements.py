"""`siteproof list requirements`: what carries each requirement, by flow, and what nothing carries yet.

Rules
1. Every requirement stands once, under the flow that its family is about, with what carries it anywhere. Where topologies are
   named, the requirements that are about each of them stand under its title, with what carries them there.
2. A carrier that carries only in some of the flows of a requirement names them.
3. What is not carried is never green: guidance is calm, uncovered is unsure, violated is bad. The exit code is 1 when a
   requirement is violated; else, with `--uncovered`, 2 when there is one that nothing carries; else 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from siteproof.conformance.cli.proving import topologies_of
from siteproof.conformance.cli.shared import Session
from siteproof.conformance.exits import Exit
from siteproof.conformance.report.data import emitted
from siteproof.conformance.report.terminal import COLOURS, text
from siteproof.conformance.report.values import count
from siteproof.conformance.report.words import join
from siteproof.model.requirement_trace import CarrierRow, RequirementRow, Standing, Status, coverage, requirement_trace
from siteproof.model.requirements import FLOWS
from siteproof.model.topology import builtin_topologies, load_topology

__all__ = ["list_requirements"]

FAMILIES: Final[Mapping[str, str]] = {
    "GEN": "All flows",
    "V2A": "VMware to Azure",
    "P2A": "Physical servers to Azure",
    "H2A": "Hyper-V to Azure",
    "S-V2S": "VMware and physical servers to a secondary site",
    "H2S": "Hyper-V to a secondary site",
}
SORTS: Final[Mapping[str, tuple[str, str]]] = {
    "topology": ("topology fact", "topology facts"),
    "precondition": ("precondition", "preconditions"),
    "promise": ("promise", "promises"),
    "test": ("test", "implementation tests"),
    "tester": ("seeded bug", "seeded bugs"),
}
"""The sorts of carriers: the word before one, and the word for many."""
_LOOKS: Final[Mapping[Status, tuple[str, str]]] = {
    Status.CARRIED: ("✓", "good"),
    Status.GUIDANCE: ("–", "calm"),
    Status.UNCOVERED: ("?", "unsure"),
    Status.VIOLATED: ("✗", "bad"),
}
_BAD: Final = {Standing.VIOLATED, Standing.REFUTED}


def list_requirements(session: Session, names: Sequence[str], uncovered: bool) -> Exit:
    """Print the requirements with what carries them; only those that nothing carries, if `uncovered`."""
    if names:
        chosen = topologies_of(list(names))
        groups = [(flow.id, flow.title, requirement_trace(flow)) for flow in chosen]
    else:
        every = coverage([load_topology(id) for id in FLOWS["GEN"]])
        groups = [("", title, tuple(row for row in every if family(row) == name)) for name, title in FAMILIES.items()]
    rows = [row for _, _, part in groups for row in part]
    wanted = (Status.UNCOVERED, Status.VIOLATED) if uncovered else tuple(Status)
    shown = [(id, title, [row for row in part if row.status in wanted]) for id, title, part in groups]
    session.out.print(Group(*(_group(title, part, id) for id, title, part in shown if part), _total(rows)))
    if own := [title for id, title, _ in groups if id and id not in builtin_topologies()]:
        session.out.print(text(
            f"{join(own)}: not one of the documented flows, so only what the documents ask of every flow is held against it; what"
            " they ask of the flow that it extends is listed for that one.", "dim"))
    code = _code(rows, uncovered)
    session.emit("siteproof.list/1", code, {
        "list": "requirements",
        "rows": [{**_data(row), "topology": id or None} for id, _, part in shown for row in part],
        "summary": _summary(rows),
    })
    return code


def family(row: RequirementRow) -> str:
    """The family of a requirement's id."""
    return row.id.rpartition("-")[0]


def _code(rows: Iterable[RequirementRow], uncovered: bool) -> Exit:
    found = {row.status for row in rows}
    if Status.VIOLATED in found:
        return Exit.VIOLATION
    return Exit.INCONCLUSIVE if uncovered and Status.UNCOVERED in found else Exit.OK


def _data(row: RequirementRow) -> dict[str, Any]:
    """A row as JSON data, what has always been there first."""
    data: dict[str, Any] = emitted(row)
    return {name: data[name] for name in ("id", "kind", "statement", "section", "status", "reason", "carriers")}


def _summary(rows: Sequence[RequirementRow]) -> dict[str, Any]:
    """How many requirements there are of each status, and how many have a carrier of each sort."""
    by = Counter(sort for row in rows if row.status is Status.CARRIED for sort in {one.sort for one in row.carriers})
    statuses = Counter(row.status for row in rows)
    return {"requirements": len(rows), **{status.value: statuses[status] for status in Status}, "by": {s: by[s] for s in SORTS}}


def _total(rows: Sequence[RequirementRow]) -> Text:
    """The line at the end."""
    summary = _summary(rows)
    parts = [f"{number} by {SORTS[sort][1]}" for sort, number in summary["by"].items() if number]
    carried = f"{summary['carried']} carried" + (f" ({', '.join(parts)})" if parts else "")
    told = [carried, f"{summary['guidance']} guidance", f"{summary['uncovered']} uncovered"]
    told += [f"{summary['violated']} violated"] if summary["violated"] else []
    tone = "bad" if summary["violated"] else "unsure" if summary["uncovered"] else "good"
    return Text.assemble((count(len(rows), "requirement") + ": ", "bold"), (", ".join(told), COLOURS[tone]))


def _group(title: str, rows: Sequence[RequirementRow], topology: str) -> RenderableType:
    """The requirements of one flow."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for row in rows:
        mark, tone = _LOOKS[row.status]
        table.add_row(Text(mark, COLOURS[tone]), text(row.id, "bold"), _told(row, topology))
    return Padding(Group(text(title, "bold underline"), table), (0, 0, 1, 0))


def _told(row: RequirementRow, topology: str) -> RenderableType:
    """The statement, and below it what carries it."""
    lines: list[RenderableType] = [text(row.statement)]
    if row.reason:
        word = "open: " if row.status is Status.UNCOVERED else "guidance: "
        lines.append(text(word + row.reason, COLOURS[_LOOKS[row.status][1]]))
    elif row.status is Status.UNCOVERED:
        lines.append(text("open: nothing carries it", COLOURS["unsure"]))
    carriers = Table.grid(padding=(0, 2, 0, 0))
    carriers.add_column(no_wrap=True, min_width=13)
    carriers.add_column(ratio=1)
    for one in row.carriers:
        bad = one.standing in _BAD
        told = text(one.text + _where(row, one, topology), COLOURS["bad"] if bad else "dim")
        carriers.add_row(text(SORTS[one.sort][0], "dim"), told)
        if bad:
            carriers.add_row("", text(f"{one.standing}: {one.found}", COLOURS["bad"]))
    return Group(*lines, carriers) if row.carriers else Group(*lines)


def _where(row: RequirementRow, one: CarrierRow, topology: str) -> str:
    """The flows in which a carrier carries, where these are not all that the requirement is about."""
    about = FLOWS[family(row)]
    return "" if topology or set(about) <= set(one.flows) else f" — {', '.join(one.flows)}"
