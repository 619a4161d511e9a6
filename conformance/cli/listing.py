"""`siteproof list` and `siteproof doctor`."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from typing import Any

import attrs
from rich.table import Table
from rich.text import Text

from siteproof.conformance.cli.shared import Session, version
from siteproof.conformance.exits import Exit
from siteproof.conformance.report.terminal import text
from siteproof.conformance.report.values import count
from siteproof.model.errors import UsageError

__all__ = ["doctor", "listing"]

Rows = list[dict[str, Any]]
STORY = 110
"""Columns of a story at most: longer lines are hard to read."""


def listing(session: Session, what: str, names: Sequence[str] = (), uncovered: bool = False) -> Exit:
    """Print one list; in JSON every row is an object. `names` are topologies, a user's own among them: they are for topologies
    and requirements, and `uncovered` for requirements."""
    if what == "requirements":
        from siteproof.conformance.cli.requirements import list_requirements

        return list_requirements(session, names, uncovered)
    if uncovered or (names and what != "topologies"):
        found = "--uncovered" if uncovered else names[0]
        meant = "requirements" if uncovered else "topologies"
        raise UsageError(f"list {what} {found}", f"list {what}, or list {meant} {found}", "leave out what follows")
    rows = _topologies(names) if what == "topologies" else _LISTS[what]()
    if what == "properties":
        session.out.print(*_promised(rows, session.out.width), sep="\n")
    elif rows and "story" in rows[0]:
        session.out.print(*_told(rows, session.out.width), sep="\n")
    else:
        session.out.print(_table(rows))
    session.emit("siteproof.list/1", Exit.OK, {"list": what, "rows": rows})
    return Exit.OK


def _table(rows: Rows) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for number, column in enumerate(rows[0] if rows else ()):
        table.add_column(column, no_wrap=number == 0)
    for row in rows:
        table.add_row(*(text(_cell(value), "bold" if number == 0 else "") for number, value in enumerate(row.values())))
    return table


def _cell(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _topologies(names: Sequence[str] = ()) -> Rows:
    from siteproof.model.topology import builtin_topologies, load_topology

    found = map(load_topology, names or builtin_topologies())
    return [{"id": t.id, "title": t.title, "summary": t.summary} for t in found]


def _properties() -> Rows:
    """Every promise that a verdict can name: those of the model, and those that only a system can break."""
    from siteproof.model.catalogue import Judged, catalogue
    from siteproof.model.levels import levels

    rows: Rows = []
    for entry in catalogue().values():
        claims = {one.id: len(p.claims) for one in levels() for p in one.promises if p.id == entry.id}
        rows.append({
            "id": entry.id,
            "title": entry.title,
            "judged": {Judged.PROVED: "proved", Judged.EXPLORED: "explored", Judged.TESTED: "tested on systems"}[entry.judged],
            "promise": f"{entry.sentence} {entry.beside}".rstrip(),
            "claims": sum(claims.values()),
            "levels": list(claims),
            "requirements": list(entry.requirements),
        })
    return rows


def _drivers() -> Rows:
    from siteproof.conformance.drivers.registry import drivers

    return [{"driver": name, "system under test": about} for name, about in drivers()]


def _engines() -> Rows:
    from siteproof.conformance.engines.registry import ENGINES

    return [{"engine": kind.id, "how cases are made": kind.sentence, "good for": kind.best} for kind in ENGINES.values()]


def _bugs() -> Rows:
    from siteproof.conformance.drivers.bugs import BUGS

    return [
        {"driver": f"bundled+{bug.id}", "family": bug.family, "difficulty": bug.difficulty, "breaks": bug.breaks,
         "story": bug.story, "flows": list(bug.flows)}
        for bug in BUGS
    ]  # fmt: skip


def _variants() -> Rows:
    from siteproof.conformance.drivers.variants import VARIANTS

    return [{"driver": f"bundled~{one.id}", "story": one.story, "flows": list(one.flows)} for one in VARIANTS]


def _promised(rows: Rows, width: int) -> Iterator[Text]:
    """Promises: under the name of each, with how it is judged, what it says and the requirements that it stands for."""
    for row in rows:
        claims = f", {count(row['claims'], 'claim')} ({', '.join(row['levels'])})" if row["claims"] else ""
        yield Text.assemble((f"{row['id']:<5}", "bold"), (row["title"], "bold"), (f"  {row['judged']}{claims}", "dim"))
        for told, style in ((row["promise"], ""), (", ".join(row["requirements"]), "dim")):
            yield from (Text(line, style) for line in textwrap.wrap(told, min(width, STORY), initial_indent=" " * 5,
                                                                    subsequent_indent=" " * 5, break_on_hyphens=False))


def _told(rows: Rows, width: int) -> Iterator[Text]:
    """Things with a story: under the name of each family, what each is called, and the story below it."""
    family = None
    for row in rows:
        if row.get("family") != family:
            yield Text(("" if family is None else "\n") + row["family"].upper(), "dim")
            family = row["family"]
        facts = [row[key] for key in ("difficulty", "breaks") if key in row]
        facts += [f"{row['flows'][0]} only"] if len(row["flows"]) == 1 else []
        yield Text.assemble((row["driver"], "bold"), ("  " * bool(facts) + " · ".join(facts), "dim"))
        yield from map(text, textwrap.wrap(row["story"], min(width, STORY), initial_indent="    ", subsequent_indent="    "))


_LISTS: dict[str, Callable[[], Rows]] = {
    "topologies": _topologies,
    "properties": _properties,
    "drivers": _drivers,
    "bugs": _bugs,
    "variants": _variants,
    "engines": _engines,
}


# ---------------------------------------------------------------------------------------------------------------- doctor


@attrs.frozen
class Finding:
    """One thing that is there or not. `needed`: without it something does not work; otherwise `adds` says what it would add."""

    name: str
    found: str
    needed: bool
    adds: str


def doctor(session: Session) -> Exit:
    """Look at what is installed. The exit code is 3 when something that is needed is missing."""
    findings = [*_packages(), *_programs(), *_places()]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for title in ("", "part", "found", "what for"):
        table.add_column(title)
    for one in findings:
        mark, style = ("✓", "green") if one.found else ("✗", "bold red") if one.needed else ("–", "yellow")
        table.add_row(Text(mark, style), text(one.name, "bold"), text(one.found or "missing"), text(one.adds, "dim"))
    missing = [one for one in findings if one.needed and not one.found]
    session.out.print(table)
    session.out.print(
        text(
            f"{len(missing)} needed part(s) missing; reinstall siteproof with pip"
            if missing
            else "Everything that is needed is here.",
            "bold red" if missing else "green",
        )
    )
    code = Exit.ENVIRONMENT if missing else Exit.OK
    session.emit("siteproof.doctor/1", code, {"findings": findings})
    return code


def _packages() -> Iterable[Finding]:
    yield Finding("siteproof", version(), True, "this tool")
    yield Finding("Python", f"{platform.python_version()} ({sys.platform})", True, "3.11 or later")
    needed: Sequence[tuple[str, str, str]] = (
        ("z3-solver", "z3", "proofs, and the first check of certificates"),
        ("cvc5", "cvc5", "the second, independent check of certificates"),
        ("hypothesis", "hypothesis", "the stateful engine of the tester"),
        ("networkx", "networkx", "coverage of the state graph"),
        ("cryptography", "cryptography", "the bundled implementation's encryption"),
        ("zstandard", "zstandard", "the bundled implementation's compression"),
        ("jinja2", "jinja2", "the HTML report"),
    )
    for name, module, adds in needed:
        yield Finding(name, metadata.version(name) if importlib.util.find_spec(module) else "", True, adds)
    yield Finding(
        "pytest-xdist",
        metadata.version("pytest-xdist") if importlib.util.find_spec("xdist") else "",
        False,
        "siteproof's own tests on all cores",
    )


def _programs() -> Iterable[Finding]:
    from siteproof.conformance.image import find_mke2fs

    yield Finding(
        "mke2fs",
        find_mke2fs() or "",
        False,
        "a real ext4 file system as the disk of `siteproof check` (package e2fsprogs); without it a generated image is used",
    )
    yield Finding("perl", shutil.which("perl") or "", False, "`siteproof driver new --language perl`, a driver on its own")
    from siteproof.conformance.drivers.qemu import PROGRAMS, missing_programs

    yield Finding(
        "QEMU",
        "" if missing_programs() else ", ".join(shutil.which(name) or "" for name in PROGRAMS),
        False,
        f"`siteproof run --driver qemu`, a system that others wrote (packages {' and '.join(PROGRAMS.values())})",
    )
    from siteproof.conformance.drivers.postgres import PACKAGE, missing_parts, program_folder

    lacks = missing_parts()
    yield Finding(
        "PostgreSQL",
        "" if lacks else str(program_folder()),
        False,
        f"`siteproof run --driver postgres`, a system that others wrote (package {PACKAGE}, and siteproof[postgres])"
        + (f"; {'; '.join(dict.fromkeys(lacks.values()))}" if lacks else ""),
    )


def _places() -> Iterable[Finding]:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    yield Finding(
        "temporary space",
        f"{free / 2**30:.1f} GiB free in {folder}" if os.access(folder, os.W_OK) else "",
        True,
        "work folders of the bundled implementation",
    )
    yield Finding("processors", str(os.cpu_count() or 1), True, "flows are checked side by side")
