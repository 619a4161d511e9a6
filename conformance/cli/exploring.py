"""`siteproof explore` and `siteproof prove --necessity`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from siteproof.conformance.cli.proving import told, topologies_of
from siteproof.conformance.cli.shared import Session, parse_duration
from siteproof.conformance.cli.workers import side_by_side
from siteproof.conformance.exits import Exit, of_found, overall
from siteproof.conformance.report.explored import exploration_story, necessity_story
from siteproof.model.errors import UsageError, near
from siteproof.model.explore import ExploreReport, Limits
from siteproof.model.explore import explore as explore_flow
from siteproof.model.levels import level_ids
from siteproof.model.necessity import Necessity, NecessityReport, Need, Share, reported, shares, worked_out
from siteproof.model.topology import Override, Topology

__all__ = ["explore", "necessity"]

Tell = Callable[[str], None]


def explore(session: Session, names: list[str], chosen: list[str], writes: int | None, failovers: int | None, machines: int,
            max_states: int | None, max_time: str, details: bool) -> Exit:
    """Explore flows side by side and tell each."""
    for name in chosen:
        if name not in level_ids():
            raise UsageError(f"--level {name}", "one of " + ", ".join(level_ids()), near(name, level_ids()))
    given = Limits(writes, failovers, machines, max_seconds=parse_duration(max_time, "--max-time"))
    limits = given if max_states is None else Limits(writes, failovers, machines, max_states, given.max_seconds)
    reports: list[ExploreReport] = []
    with told(session, "exploring") as progress:
        for report in side_by_side(topologies_of(names), _explored, (limits, chosen or None), progress):
            reports.append(report)
            session.out.print(exploration_story(report, details=details), "")
    code = overall(of_found(report.found) for report in reports)
    session.emit("siteproof.explore/1", code, {"reports": reports, "found": [report.found.value for report in reports]})
    return code


def _explored(topology: Topology, settings: tuple[Limits, list[str] | None], tell: Tell) -> ExploreReport:
    return explore_flow(topology, settings[0], among=settings[1], on_progress=tell)


def necessity(session: Session, names: list[str], overrides: list[Override], max_time: str, traces: bool) -> Exit:
    """The necessity matrix of flows, levels side by side. With `overrides`, of the changed flow."""
    limit = parse_duration(max_time, "--max-time")
    topologies = []
    for topology in topologies_of(names):
        changes: dict[str, Any] = {one.path: one.value for one in overrides if one.topology in (None, topology.id)}
        topologies.append(topology.with_facts(changes) if changes else topology)
    if not sys.stderr.isatty() and not session.quiet:
        print(f"siteproof: {len(topologies)} flows: dropping each precondition in turn", file=sys.stderr, flush=True)
    reports: list[NecessityReport] = []
    todo, done = shares(topologies), dict[str, tuple[Share, tuple[Necessity, ...], float]]()
    with told(session, "necessity") as progress:
        for share, (rows, seconds) in zip(todo, side_by_side(todo, _needed, limit, progress), strict=True):
            done[share.id] = share, rows, seconds
    for topology in topologies:
        reports.append(reported(topology, done))
        session.out.print(necessity_story(reports[-1], traces=traces), "")
    code = Exit.INCONCLUSIVE if any(report.count(Need.UNDETERMINED) for report in reports) else Exit.OK
    session.emit("siteproof.necessity/1", code, {"reports": reports})
    return code


def _needed(share: Share, seconds: float, tell: Tell) -> tuple[tuple[Necessity, ...], float]:
    return worked_out(share, seconds, tell)
