"""`siteproof explore` and `siteproof prove --necessity`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from siteproof.conformance.cli.proving import told, topologies_of
from siteproof.conformance.cli.shared import Session, check_writable, parse_duration
from siteproof.conformance.cli.workers import side_by_side
from siteproof.conformance.exits import Exit, of_found, overall
from siteproof.conformance.report.explored import exploration_story, necessity_story
from siteproof.model.errors import UsageError, near
from siteproof.model.explore import ExploreReport, Limits
from siteproof.model.explore import explore as explore_flow
from siteproof.model.kept import Found, Kept, Key, kept_in, written
from siteproof.model.kept import kept as kept_so_far
from siteproof.model.levels import level_ids
from siteproof.model.necessity import (
    THOROUGH,
    USUAL,
    Effort,
    Necessity,
    NecessityReport,
    Need,
    Share,
    reported,
    shares,
    worked_out,
)
from siteproof.model.topology import Override, Topology

__all__ = ["Settings", "explore", "matrices", "necessity"]

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


def necessity(session: Session, names: list[str], overrides: list[Override], max_time: str, traces: bool,
              learn: Path | None = None) -> Exit:
    """The necessity matrix of flows, levels side by side. With `overrides`, of the changed flow. With `learn`, more is tried,
    and what was not found at once is added to that file."""
    check_writable("--learn", learn)
    mine = _kept(learn)
    known = {**kept_so_far(), **{key: found.and_(kept_so_far().get(key, Found())) for key, found in mine.items()}}
    settings = Settings(parse_duration(max_time, "--max-time"), USUAL if learn is None else THOROUGH, known)
    topologies = []
    for topology in topologies_of(names):
        changes: dict[str, Any] = {one.path: one.value for one in overrides if one.topology in (None, topology.id)}
        topologies.append(topology.with_facts(changes) if changes else topology)
    if not sys.stderr.isatty() and not session.quiet:
        print(f"siteproof: {len(topologies)} flows: dropping each precondition in turn", file=sys.stderr, flush=True)
    with told(session, "necessity") as progress:
        reports = matrices(topologies, settings, progress)
    for report in reports:
        session.out.print(necessity_story(report, traces=traces), "")
    if learn is not None:
        for row in (row for report in reports for row in report.rows if row.worth_keeping != Found()):
            mine[row.key] = row.worth_keeping.and_(mine.get(row.key, Found()))
        learn.write_text(written(mine), encoding="utf-8")
        session.out.print(f"What was found for {len(mine)} preconditions is kept in {learn}.")
    code = Exit.INCONCLUSIVE if any(report.count(Need.UNDETERMINED) for report in reports) else Exit.OK
    session.emit("siteproof.necessity/1", code, {"reports": reports})
    return code


@attrs.frozen
class Settings:
    """What each worker gets beside its share: the time for a level in seconds, what is tried, and what was found before."""

    seconds: float
    efforts: tuple[Effort, ...] = USUAL
    kept: Kept = attrs.field(factory=kept_so_far)


def matrices(topologies: Sequence[Topology], settings: Settings, tell: Tell) -> list[NecessityReport]:
    """The matrix of each flow; a level that is the same in several is worked out once, all levels side by side."""
    todo, done = shares(topologies), dict[str, tuple[Share, tuple[Necessity, ...], float]]()
    for share, (rows, seconds) in zip(todo, side_by_side(todo, _needed, settings, tell), strict=True):
        done[share.id] = share, rows, seconds
    return [reported(topology, done) for topology in topologies]


def _needed(share: Share, settings: Settings, tell: Tell) -> tuple[tuple[Necessity, ...], float]:
    return worked_out(share, settings.seconds, tell, settings.efforts, settings.kept)


def _kept(file: Path | None) -> dict[Key, Found]:
    """What such a file holds already. Raises `SpecError` and `UsageError`."""
    if file is None or not file.exists():
        return {}
    try:
        return dict(kept_in(file.read_text("utf-8"), str(file)))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--learn {file}: {error}", "a file that --learn wrote, or a new name", "name another file") from None
