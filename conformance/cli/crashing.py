"""`siteproof crash`: the bundled implementation, with a crash after every durable effect in turn."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
from rich.table import Table
from rich.text import Text

from siteproof.conformance.cli.checking import check_supported
from siteproof.conformance.cli.shared import Session
from siteproof.conformance.cli.workers import side_by_side
from siteproof.conformance.drivers.bundled import topology_of
from siteproof.conformance.drivers.bundled_crashes import Plan, Tally, explore, explore_failures
from siteproof.conformance.drivers.bundled_group_crashes import HISTORY, explore_group
from siteproof.conformance.drivers.bundled_histories import History, drawn_history, histories
from siteproof.conformance.drivers.bundled_plan_crashes import explore_plan
from siteproof.conformance.drivers.bundled_plan_operator import courses
from siteproof.conformance.drivers.bundled_walks import WALKS, walks
from siteproof.conformance.exits import Exit
from siteproof.conformance.report.values import count
from siteproof.impl.flows import flow_of
from siteproof.impl.loader import Topology
from siteproof.model.topology import builtin_topologies, load_topology

__all__ = ["crash"]

SHOWN = 5
"""Findings that are told of each history; findings that say the same count once."""


@attrs.frozen
class _Job:
    """One history of one flow: a number in the flow's list (`_all`), which a worker makes anew. `name` is the flow's."""

    name: str
    number: int
    history: str

    @property
    def id(self) -> str:
        return f"{self.name}, {self.history}"


@attrs.frozen
class _Settings:
    """What every job gets."""

    seed: int
    quick: bool
    pairs: int
    drawn: int
    full_disk: bool


@attrs.frozen
class _Done:
    """What came of a job: crash points and restarts, effects and reads that failed in turn, seconds."""

    tally: Tally
    failed: int
    seconds: float


def _all(topology: Topology, settings: _Settings) -> list[History]:
    """The histories of a flow: its own, a group's and runs of plans where it has them, those that are drawn, and walks."""
    flow = flow_of(topology)
    several = [HISTORY] * flow.groups + [course.name for course in courses(flow)]
    more = [drawn_history(settings.seed + number) for number in range(settings.drawn)]
    walked = [WALKS] * bool(settings.drawn)
    return [*histories(flow), *(History(name, ()) for name in several), *more, *(History(name, ()) for name in walked)]


def _explored(job: _Job, settings: _Settings, tell: Callable[[str], None]) -> _Done:
    """In a worker: one history."""
    began, topology = time.perf_counter(), topology_of(job.name)
    history = _all(topology, settings)[job.number]
    plan, seed, failed = Plan(in_turn=settings.quick, pairs=settings.pairs), settings.seed, 0
    of_plan = {course.name: course for course in courses(flow_of(topology))}

    def show(tally: Tally) -> None:
        tell(f"{tally.points:,} crash points, {tally.worlds:,} restarts")

    with TemporaryDirectory(prefix="siteproof-crash-") as place:
        if history.name == HISTORY:
            tally = explore_group(topology, Path(place), seed, plan, show)
        elif history.name in of_plan:
            tally = explore_plan(topology, of_plan[history.name], Path(place), seed, plan, show)
        elif history.name == WALKS:
            tally = walks(topology, Path(place), range(seed, seed + settings.drawn))
        else:
            tally = explore(topology, history, Path(place), seed, plan, show)
            if settings.full_disk and history in histories(flow_of(topology)):
                tell("each effect fails in turn, and each read of a file")
                for read in (False, True):
                    more = explore_failures(topology, history, Path(place), seed, 10 if settings.quick else 1, read=read)
                    failed += more.points
                    tally.worlds += more.worlds
                    tally.findings += more.findings
    return _Done(tally, failed, time.perf_counter() - began)


def crash(session: Session, names: Sequence[str], quick: bool, pairs: int, drawn: int, full_disk: bool, jobs: int | None) -> Exit:
    """Run every history of every flow, and `drawn` more of each, on `jobs` processes. 1 when a word was not kept, else 0."""
    check_supported([load_topology(name) for name in names])
    settings = _Settings(session.seed or 0, quick, pairs, drawn, full_disk)
    flows = [(name, topology_of(name)) for name in names or builtin_topologies()]
    todo = [_Job(name, number, history.name) for name, topology in flows
            for number, history in enumerate(_all(topology, settings))]  # fmt: skip
    rows: list[dict[str, Any]] = []
    broken: list[Text] = []
    if not sys.stderr.isatty() and not session.quiet:
        many = f"{count(len(todo), 'history', 'histories')} of {count(len(flows), 'flow')}"
        print(f"siteproof: {many}", file=sys.stderr, flush=True)
    with session.progress.status("") as status:
        results = side_by_side(todo, _explored, settings, lambda line: status.update(line), jobs)
        for name, topology in flows:
            table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
            asked = [*["pairs"] * bool(pairs), *["failed effects"] * full_disk]
            for column in ("history", "crash points", "restarts", *asked, "broken", "seconds"):
                table.add_column(column, justify="left" if column == "history" else "right", overflow="fold")
            for job in (job for job in todo if job.name == name):
                done = next(results)
                tally = done.tally
                table.add_row(
                    job.history, f"{tally.points:,}", f"{tally.worlds:,}",
                    *([f"{tally.second:,} of {tally.pairs:,}"] if pairs else []),
                    *([f"{done.failed:,}"] if full_disk else []),
                    Text(f"{len(tally.findings):,}", "bold red" if tally.findings else "green"), f"{done.seconds:.1f}",
                )  # fmt: skip
                broken += _findings(topology, tally)
                rows.append({
                    "topology": topology.id, "history": job.history, "seconds": done.seconds, **attrs.asdict(tally),
                    "failed": done.failed,
                })  # fmt: skip
            session.out.print(Text(topology.id, "bold"), table, "")
    for line in broken:
        session.out.print(line, "")
    points, worlds = sum(row["points"] for row in rows), sum(row["worlds"] for row in rows)
    found, failed = sum(len(row["findings"]) for row in rows), sum(row["failed"] for row in rows)
    session.out.print(Text(
        f"{points:,} crash points, "
        + (f"{sum(row['second'] for row in rows):,} of {sum(row['pairs'] for row in rows):,} pairs of crashes, " if pairs else "")
        + (f"{failed:,} failed effects and reads, " if failed else "")
        + f"{worlds:,} restarts: "
        + (f"{found:,} of them broke their word" if found else "every acknowledged write and every advertised point survived"),
        "bold red" if found else "bold green",
    ))  # fmt: skip
    code = Exit.VIOLATION if found else Exit.OK
    session.emit("siteproof.crash/1", code, {
        "plan": {"in_turn": quick, "pairs": pairs, "drawn": drawn, "full_disk": full_disk}, "seed": settings.seed,
        "points": points, "worlds": worlds, "runs": rows,
    })  # fmt: skip
    return code


def _findings(topology: Topology, tally: Tally) -> list[Text]:
    same = Counter((f.step, f.text, f.dark) for f in tally.findings)
    told = []
    for key, times in same.most_common(SHOWN):
        first = next(f for f in tally.findings if (f.step, f.text, f.dark) == key)
        dark = "" if first.dark == "none" else f", the {first.dark} site dark for a while"
        told.append(Text.assemble(
            (f"{topology.id}, {first.history}: ", "bold"), f"{first.text}\n",
            f"  crash after effect {first.effect} ({first.name}) in step {first.step}, what was not forced: {first.crash}{dark}",
            f"; {times:,} times" if times > 1 else "",
        ))  # fmt: skip
    return told
