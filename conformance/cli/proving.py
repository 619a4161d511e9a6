"""`siteproof prove` and `siteproof certify`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.text import Text

from siteproof.conformance.cli.shared import Session, parse_duration
from siteproof.conformance.exits import Exit, of_proof, overall
from siteproof.conformance.report.folder import certificate_folder
from siteproof.conformance.report.terminal import plain_fact, proof_story, side_by_side, text
from siteproof.conformance.report.values import count
from siteproof.conformance.report.words import duration, join
from siteproof.model.engines.certificate import BUILT_IN, CertificateReport
from siteproof.model.engines.certificate import certify as certify_folder
from siteproof.model.errors import UsageError, one_line
from siteproof.model.levels import promise_ids
from siteproof.model.prove import prove as prove_flow
from siteproof.model.prove import what_if as prove_what_if
from siteproof.model.results import ProofReport
from siteproof.model.topology import Override, Topology, builtin_topologies, load_topology, parse_override

__all__ = ["certify", "prove", "topologies_of"]


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
    session: Session, names: list[str], properties: list[str], what_if: list[str], certificates: Path | None, max_time: str
) -> Exit:
    """Prove flows one after the other; with `what_if`, before and after."""
    limit = parse_duration(max_time, "--max-time")
    overrides = [parse_override(one) for one in what_if]
    if overrides and certificates is not None:
        raise UsageError("--what-if with --certificates", "one of them", "certify the flow as documented, without --what-if")
    if not names and overrides and all(one.topology for one in overrides):
        names = sorted({str(one.topology) for one in overrides})
    topologies = topologies_of(names)
    _check_meant(overrides, topologies)
    chosen = _promises(properties) or None
    with certificate_folder(certificates) if certificates is not None else nullcontext():
        reports, before_reports = _prove_all(session, topologies, overrides, chosen, certificates, limit)
    code = overall(of_proof(report) for report in reports)
    if certificates is not None:
        session.out.print(text(f"certificates: {certificates}; check them again with `siteproof certify {certificates}`", "dim"))
    session.emit("siteproof.prove/1", code, {"reports": reports, "before": before_reports})
    return code


def _prove_all(
    session: Session,
    topologies: list[Topology],
    overrides: list[Override],
    chosen: list[str] | None,
    certificates: Path | None,
    limit: float,
) -> tuple[list[ProofReport], list[ProofReport]]:
    """Prove each flow and tell it. Answers the reports, and those of changed flows as documented."""
    reports: list[ProofReport] = []
    before_reports: list[ProofReport] = []
    for topology in topologies:
        changes = {o.path: o.value for o in overrides if o.topology in (None, topology.id)}
        with told(session, topology.id, "proving and certifying" if certificates else "") as progress:
            if changes:
                both = prove_what_if(topology, _facts(changes), chosen, on_progress=progress, time_limit=limit)
                before_reports.append(both.before)
                reports.append(both.after)
                session.out.print(side_by_side(both.before, both.after), "")
                continue
            reports.append(prove_flow(topology, chosen, None, certificates, progress, limit))
        session.out.print(proof_story(reports[-1]), "")
    return reports, before_reports


def _promises(given: list[str]) -> list[str]:
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


def _facts(changes: dict[str, bool | int | str]) -> dict[str, bool]:
    """Overrides as facts; one that is no fact, or not true or false, is refused by the topology itself."""
    for path, value in changes.items():
        if not isinstance(value, bool):
            raise UsageError(f"--what-if {path}={value}", "true or false", f"write {path}=true or {path}=false")
    return {path: bool(value) for path, value in changes.items()}


def certify(session: Session, folder: Path) -> Exit:
    """Check one certificate, or every one in a folder."""
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
    code = Exit.OK if all(report.confirmed for report in reports) else Exit.INCONCLUSIVE
    session.emit("siteproof.certify/1", code, {"reports": reports})
    return code
