"""`siteproof prove` and `siteproof certify`."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import attrs
from rich.text import Text

from siteproof.conformance.cli.shared import Session, parse_duration
from siteproof.conformance.cli.workers import side_by_side
from siteproof.conformance.exits import Exit, of_proof, overall
from siteproof.conformance.report.folder import certificate_folder
from siteproof.conformance.report.review import changes_story, verdicts_story
from siteproof.conformance.report.terminal import plain_fact, proof_story, text
from siteproof.conformance.report.values import count
from siteproof.conformance.report.words import duration, join
from siteproof.model.difference import Difference, differences
from siteproof.model.engines.certificate import BUILT_IN, CertificateReport
from siteproof.model.engines.certificate import certify as certify_folder
from siteproof.model.engines.completeness import absent
from siteproof.model.errors import UsageError, one_line
from siteproof.model.influence import facts_read
from siteproof.model.levels import promise_ids
from siteproof.model.overlay import changed_topology, read_overlay
from siteproof.model.prove import WhatIf
from siteproof.model.prove import prove as prove_flow
from siteproof.model.prove import what_if as prove_what_if
from siteproof.model.results import ProofReport
from siteproof.model.topology import Override, Topology, builtin_topologies, load_topology, parse_override

__all__ = ["certify", "chosen_promises", "prove", "told", "topologies_of"]


def topologies_of(names: list[str]) -> list[Topology]:
    """The flows that the user named, all built-in ones if none. Raises `SpecError` or `UsageError`."""
    found = [load_topology(name) for name in names or builtin_topologies()]
    ids = [topology.id for topology in found]
    if twice := sorted({id for id in ids if ids.count(id) > 1}):
        raise UsageError(f"the topology {twice[0]} twice", "every topology once", "leave one of them out, or give it its own id")
    return found


@contextmanager
def told(session: Session, title: str, announced: str = "") -> Iterator[Callable[[str], None]]:
    """A line of progress that goes when the work is done. `announced`: elsewhere than on a terminal, a line that stays."""
    if announced and not sys.stderr.isatty() and not session.quiet:
        print(f"siteproof: {one_line(title)}: {announced}", file=sys.stderr, flush=True)
    with session.progress.status(Text(title)) as status:
        yield lambda line: status.update(Text(f"{title}: {line}"))


def prove(
    session: Session,
    names: list[str],
    properties: list[str],
    what_if: list[str],
    overlays: list[Path],
    certificates: Path | None,
    max_time: str,
) -> Exit:
    """Prove flows side by side; with `what_if` or `overlays`, before and after."""
    limit = parse_duration(max_time, "--max-time")
    overrides = [parse_override(one) for one in what_if]
    if (overrides or overlays) and certificates is not None:
        option = "--what-if" if overrides else "--overlay"
        raise UsageError(f"{option} with --certificates", "one of them", f"certify the flow as documented, without {option}")
    if not names and overrides and all(one.topology for one in overrides):
        names = sorted({str(one.topology) for one in overrides})
    if not names and overlays:
        raise UsageError("--overlay without a flow", "the flow that it is laid over", "name it: siteproof prove FLOW --overlay …")
    topologies = topologies_of(names)
    _check_meant(overrides, topologies)
    chosen = chosen_promises(properties) or None
    changed = _changed(topologies, names or list(builtin_topologies()), overrides, overlays)
    if certificates is not None:
        _check_kept(certificates, topologies, chosen)
    with certificate_folder(certificates) if certificates is not None else nullcontext():
        reviews, reports = _prove_all(session, topologies, _Settings(chosen, certificates, limit, changed))
    code = overall(of_proof(report) for report in reports)
    if certificates is not None:
        session.out.print(text(f"certificates: {certificates}; check them again with `siteproof certify {certificates}`", "dim"))
    session.emit("siteproof.prove/1", code, {
        "reports": reports, "before": [review.both.before for review in reviews],
        "changes": [review.told for review in reviews]})
    return code


def _check_kept(place: Path, topologies: list[Topology], chosen: list[str] | None) -> None:
    """Refuse to replace a certificate by one that shows less: it is made anew, for the promises that are asked for."""
    if chosen is None:
        return
    for topology in topologies:
        earlier = [id for found in sorted((place / topology.id).glob("*/manifest.json")) for id in _promises_in(found)]
        if lost := [id for id in dict.fromkeys(earlier) if id not in chosen]:
            raise UsageError(
                f"--certificates {place}, where certificates of {topology.id} show {join(lost)} as well",
                "a folder in which nothing is lost",
                "choose another folder, or ask for these, too: " + " ".join(f"--property {id}" for id in lost),
            )


def _promises_in(manifest: Path) -> list[str]:
    """The promises of a certificate; none where it cannot be read, since that one shows nothing."""
    try:
        return [str(id) for id in json.loads(manifest.read_text("utf-8"))["promises"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


@attrs.frozen
class _Review:
    """A changed flow: what differs, which of it no proof looks at, and the verdicts before and after."""

    both: WhatIf
    rows: tuple[Difference, ...]
    read: frozenset[str]

    @property
    def told(self) -> dict[str, Any]:
        """As JSON data."""
        return {"topology": self.both.after.topology, "differences": self.rows, "lost": self.both.lost,
                "gained": self.both.gained, "unread": [row.path for row in self.rows if row.path not in self.read]}


def _changed(
    topologies: list[Topology], sources: list[str], overrides: list[Override], overlays: list[Path]
) -> dict[str, Topology]:
    """By id, the flows that are changed as they will be. All are made before the first is proved, so that a mistake is told
    at once."""
    read = [read_overlay(path) for path in overlays]
    made = {}
    for topology, source in zip(topologies, sources, strict=True):
        meant = [one for one in overrides if one.topology in (None, topology.id)]
        if meant or read:
            made[topology.id] = changed_topology(source, read, meant)
    return made


@attrs.frozen
class _Settings:
    """What each flow is asked: which promises, where certificates go, seconds for a level, and what it may become."""

    chosen: list[str] | None
    certificates: Path | None
    limit: float
    changed: dict[str, Topology]


def _prove_one(topology: Topology, settings: _Settings, tell: Callable[[str], None]) -> ProofReport | WhatIf:
    """One flow as it is; or, if it is changed, before and after."""
    if (after := settings.changed.get(topology.id)) is None:
        return prove_flow(topology, settings.chosen, None, settings.certificates, tell, settings.limit)
    return prove_what_if(topology, after, settings.chosen, tell, settings.limit)


def _prove_all(session: Session, topologies: list[Topology], settings: _Settings) -> tuple[list[_Review], list[ProofReport]]:
    """Prove the flows side by side and tell each. Answers the reviews of changed flows, and the report of each flow, as changed
    if it is."""
    reviews: list[_Review] = []
    reports: list[ProofReport] = []
    what = "proving and certifying" if settings.certificates else "proving"
    title = topologies[0].id if len(topologies) == 1 else f"{len(topologies)} flows"
    with told(session, title, what if settings.certificates else "") as progress:
        for topology, found in zip(topologies, side_by_side(topologies, _prove_one, settings, progress), strict=True):
            if isinstance(found, ProofReport):
                reports.append(found)
                session.out.print(proof_story(found), "")
                continue
            after = settings.changed[topology.id]
            rows, read = differences(topology, after), facts_read(topology) | facts_read(after)
            session.out.print(text(topology.title, "bold"), text(f"  {topology.id}", "dim"), sep="", end="\n\n")
            session.out.print(changes_story(rows, read), "")
            built_in = topology.id in builtin_topologies() and topology.file == f"{topology.id}.toml"
            session.out.print(verdicts_story(
                found, "as documented" if built_in else "as it is", "what if", settings.chosen), "")
            reviews.append(_Review(found, rows, read))
            reports.append(found.after)
    return reviews, reports


def chosen_promises(given: list[str]) -> list[str]:
    """The ids of promises, in any case. Raises `UsageError` for one that there is not, or that is not proved but tested."""
    from siteproof.model.catalogue import catalogue

    known = promise_ids()
    for name in given:
        if name.upper() in known:
            continue
        if name.upper() in catalogue():
            raise UsageError(
                f"--property {name}, which is tested on systems and not proved",
                "one of " + ", ".join(known),
                "test it: siteproof run --driver D",
            )
        raise UsageError(f"--property {name}", "one of " + ", ".join(known), "see siteproof list properties")
    return [name.upper() for name in given]


def _check_meant(overrides: list[Override], topologies: list[Topology]) -> None:
    ids = [topology.id for topology in topologies]
    for one in overrides:
        if one.topology is not None and one.topology not in ids:
            raise UsageError(
                f"--what-if for {one.topology}", "a flow that is proved here: " + join(ids), "name that flow as well"
            )


def certify(session: Session, folder: Path, whole: bool) -> Exit:
    """Check one certificate, or every one in a folder; tell what they leave out, and with `whole` demand that it is nothing."""
    if not folder.is_dir():
        raise UsageError(
            f"{folder}, which is no folder", "a folder that siteproof prove --certificates wrote", "name that folder"
        )
    inside = [folder] if (folder / "manifest.json").is_file() else sorted(p.parent for p in folder.rglob("manifest.json"))
    reports: list[CertificateReport] = []
    for one in inside or [folder]:
        name = str(one.relative_to(folder)) if one != folder else folder.name
        with told(session, name, "checking with two solvers") as progress:
            report = certify_folder(one, progress)
        reports.append(report)
        mark, style = ("✓", "green") if report.confirmed else ("?", "yellow")
        session.out.print(
            Text.assemble(
                (f"{mark} ", style),
                (report.topology, "bold"),
                (f"  {report.level}", "dim"),
                f"  {count(report.claims, 'claim')} of {join(report.promises)}: "
                f"{count(report.obligations, 'obligation')} confirmed by "
                f"{join(report.confirmed_by) or 'no solver'} in {duration(report.seconds)}",
            )
        )
        if report.source != BUILT_IN:
            session.out.print(text(f"  the topology in it: {report.source}", "yellow"))
        for path, value in report.overrides.items():
            session.out.print(text(f"  overridden: {path} = {plain_fact(value)}", "yellow"))
        for row in report.unconfirmed:
            session.out.print(text(f"  {row}", "yellow"))
    missing = absent(reports)
    for flow, rows in itertools.groupby(missing, lambda row: row.topology):
        told_rows = ", ".join(f"{row.promise} ({row.level})" for row in rows)
        session.out.print(text(f"? {flow}: applies and is in none of these certificates: {told_rows}", "yellow"))
    if reports and not missing:
        session.out.print(text("Every promise that applies in these flows is among them.", "dim"))
    code = Exit.OK if all(report.confirmed for report in reports) and not (whole and missing) else Exit.INCONCLUSIVE
    shown = [attrs.asdict(report, filter=lambda field, _: field.name != "of") for report in reports]
    session.emit("siteproof.certify/1", code, {"reports": shown, "absent": missing})
    return code
