"""`siteproof crash`: the bundled implementation, with a crash after every durable effect in turn."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
from rich.status import Status
from rich.table import Table
from rich.text import Text

from siteproof.conformance.cli.shared import Session
from siteproof.conformance.drivers.bundled import topology_of
from siteproof.conformance.drivers.bundled_crashes import Plan, Tally, explore, explore_failures
from siteproof.conformance.drivers.bundled_group_crashes import HISTORY, explore_group
from siteproof.conformance.drivers.bundled_histories import History, drawn_history, histories
from siteproof.conformance.drivers.bundled_walks import WALKS, walks
from siteproof.conformance.exits import Exit
from siteproof.impl.flows import flow_of
from siteproof.impl.loader import Topology
from siteproof.model.topology import builtin_topologies

__all__ = ["crash"]

SHOWN = 5
"""Findings that are told of each history; findings that say the same count once."""


def crash(session: Session, names: Sequence[str], quick: bool, pairs: int, drawn: int, full_disk: bool) -> Exit:
    """Run every history of every flow, and `drawn` more of each. 1 when a word was not kept, else 0."""
    seed = session.seed or 0
    plan = Plan(in_turn=quick, pairs=pairs)
    rows: list[dict[str, Any]] = []
    broken: list[Text] = []
    with TemporaryDirectory(prefix="siteproof-crash-") as place, session.progress.status("") as status:
        for name in names or builtin_topologies():
            topology = topology_of(name)
            table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
            for column in ("history", "crash points", "restarts", "pairs", "failed effects", "broken", "seconds"):
                table.add_column(column, justify="left" if column == "history" else "right", no_wrap=True)
            more = [drawn_history(seed + number) for number in range(drawn)]
            of_group = [History(HISTORY, ())] if flow_of(topology).groups else []
            of_walks = [History(WALKS, ())] if drawn else []
            for history in (*histories(flow_of(topology)), *of_group, *more, *of_walks):
                began, failed = time.perf_counter(), Tally()
                told = _told(status, topology, history)
                if history in of_group:
                    tally = explore_group(topology, Path(place), seed, plan, told)
                elif history in of_walks:
                    status.update(f"{topology.id}: {history.name}")
                    tally = walks(topology, Path(place), range(seed, seed + drawn))
                else:
                    tally = explore(topology, history, Path(place), seed, plan, told)
                if full_disk and history not in (*of_group, *more, *of_walks):
                    status.update(f"{topology.id}: {history.name}: each effect fails in turn, and each read of a file")
                    failed = explore_failures(topology, history, Path(place), seed, 10 if quick else 1)
                    unread = explore_failures(topology, history, Path(place), seed, 10 if quick else 1, read=True)
                    failed.points += unread.points
                    tally.worlds += failed.worlds + unread.worlds
                    tally.findings += failed.findings + unread.findings
                seconds = time.perf_counter() - began
                table.add_row(
                    history.name, f"{tally.points:,}", f"{tally.worlds:,}",
                    f"{tally.second:,} of {tally.pairs:,}" if pairs else "",
                    f"{failed.points:,}",
                    Text(f"{len(tally.findings):,}", "bold red" if tally.findings else "green"), f"{seconds:.1f}",
                )  # fmt: skip
                broken += _findings(topology, tally)
                rows.append({
                    "topology": topology.id, "history": history.name, "seconds": seconds, **attrs.asdict(tally),
                    "failed": failed.points,
                })  # fmt: skip
            session.out.print(Text(topology.id, "bold"), table, "")
    for line in broken:
        session.out.print(line, "")
    points, worlds = sum(row["points"] for row in rows), sum(row["worlds"] for row in rows)
    found = sum(len(row["findings"]) for row in rows)
    session.out.print(Text(
        f"{points:,} crash points, "
        + (f"{sum(row['second'] for row in rows):,} of {sum(row['pairs'] for row in rows):,} pairs of crashes, " if pairs else "")
        + f"{worlds:,} restarts: "
        + (f"{found:,} of them broke their word" if found else "every acknowledged write and every advertised point survived"),
        "bold red" if found else "bold green",
    ))  # fmt: skip
    code = Exit.VIOLATION if found else Exit.OK
    session.emit("siteproof.crash/1", code, {
        "plan": {"in_turn": quick, "pairs": pairs, "drawn": drawn, "full_disk": full_disk}, "seed": seed, "points": points,
        "worlds": worlds, "runs": rows,
    })  # fmt: skip
    return code


def _told(status: Status, topology: Topology, history: History) -> Callable[[Tally], None]:
    def show(tally: Tally) -> None:
        status.update(f"{topology.id}: {history.name}: {tally.points:,} crash points, {tally.worlds:,} restarts")

    return show


def _findings(topology: Topology, tally: Tally) -> list[Text]:
    same = Counter((f.step, f.text, f.dark) for f in tally.findings)
    told = []
    for key, count in same.most_common(SHOWN):
        first = next(f for f in tally.findings if (f.step, f.text, f.dark) == key)
        dark = "" if first.dark == "none" else f", the {first.dark} site dark for a while"
        told.append(Text.assemble(
            (f"{topology.id}, {first.history}: ", "bold"), f"{first.text}\n",
            f"  crash after effect {first.effect} ({first.name}) in step {first.step}, what was not forced: {first.crash}{dark}",
            f"; {count:,} times" if count > 1 else "",
        ))  # fmt: skip
    return told
