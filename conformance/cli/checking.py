"""`siteproof check`: what is shown while it works, and what is left behind."""

from __future__ import annotations

import contextlib
import datetime
import platform
import secrets
import shlex
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import attrs
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from siteproof.conformance.check import UNPLANNED, FlowJob, Progress, check_flows
from siteproof.conformance.cli.exploring import Settings, matrices
from siteproof.conformance.cli.proving import told
from siteproof.conformance.cli.shared import Session, check_writable, parse_duration, version
from siteproof.conformance.exits import Exit
from siteproof.conformance.image import DiskImage, make_image, open_image, work_folder
from siteproof.conformance.report.folder import ReportFolder
from siteproof.conformance.report.junit import write_junit
from siteproof.conformance.report.terminal import counterexample_story, final_table, refutation_story, text, verdict_lines
from siteproof.conformance.report.values import FlowReport, RunReport, count
from siteproof.conformance.report.words import duration
from siteproof.conformance.report.write import publish, run_json
from siteproof.model.errors import UsageError
from siteproof.model.results import Verdict
from siteproof.model.topology import Topology, builtin_topologies, load_topology

__all__ = ["check", "machine_facts", "now", "short_path", "with_matrices"]

MATRIX_SECONDS = 600.0
"""For each level of the necessity matrix; what is open then is undetermined."""

COPIES = 4
"""How often the image may lie in a work folder at once: both sides, a resynchronisation under way, a restored point."""


def check(
    session: Session,
    names: list[str],
    image: Path | None,
    place: Path,
    max_time: str,
    necessity: bool,
    junit: Path | None = None,
) -> Exit:
    """Check flows and write the report, with `necessity` the matrix of each flow as well. Answers 130 when it was interrupted."""
    began, started = time.perf_counter(), now()
    seconds = parse_duration(max_time, "--max-time")
    check_writable("--junit", junit)
    sources = names or list(builtin_topologies())
    topologies = [load_topology(source) for source in sources]
    check_alone(topologies)
    folder = ReportFolder.begin(place)
    try:
        with _image(image, len(sources)) as (disk, work):
            session.out.print(
                Text.assemble((f"siteproof {version()}", "bold"), f" checks {count(len(sources), 'flow')} on {disk.about}")
            )
            seed = secrets.randbits(31) if session.seed is None else session.seed
            shows = next((n for n, topology in enumerate(topologies) if topology.facts[UNPLANNED]), None)
            jobs = [
                FlowJob(topology, source, str(folder.draft / "proofs"), disk, str(work), seed, seconds, n == shows,
                        unsupported(topology))
                for n, (topology, source) in enumerate(zip(topologies, sources, strict=True))
            ]
            with _Display(session, topologies) as display:
                flows, interrupted = check_flows(jobs, display.show)
            if necessity and not interrupted:
                flows, interrupted = with_matrices(session, flows)
        report = RunReport(
            version(),
            "siteproof " + shlex.join(sys.argv[1:]),
            started,
            time.perf_counter() - began,
            tuple(flows),
            machine_facts(),
            disk.about,
            interrupted,
        )
        page, report = publish(folder, report)
    except BaseException:
        folder.discard()
        raise
    _tell(session, report, page)
    if junit is not None:
        write_junit(report, junit)
    code = Exit.INTERRUPTED if interrupted else report.exit
    session.emit("siteproof.check/1", code, run_json(report))
    return code


def with_matrices(session: Session, flows: list[FlowReport]) -> tuple[list[FlowReport], bool]:
    """The reports with the necessity matrix of each flow, or, where that is interrupted, with the note that it is missing; and
    whether it was."""
    try:
        with told(session, "necessity") as progress:
            found = matrices([flow.topology for flow in flows], Settings(MATRIX_SECONDS), progress)
    except KeyboardInterrupt:
        return [attrs.evolve(flow, unfinished=(*flow.unfinished, "the necessity matrix")) for flow in flows], True
    return [attrs.evolve(flow, necessity=its) for flow, its in zip(flows, found, strict=True)], False


def now() -> str:
    """This moment, in ISO 8601."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def machine_facts() -> dict[str, str]:
    """On what it ran, as far as it matters to the result."""
    from importlib.metadata import version as installed

    return {
        "Python": platform.python_version(),
        "z3-solver": installed("z3-solver"),
        "cvc5": installed("cvc5"),
        "system": platform.system(),
    }


def check_alone(topologies: list[Topology]) -> None:
    """A flow that is named twice is refused before any work."""
    ids = [topology.id for topology in topologies]
    for topology in topologies:
        if ids.count(topology.id) > 1:
            raise UsageError(f"the topology {topology.id} twice", "every topology once", "leave one of them out")


def unsupported(topology: Topology) -> str:
    """Why the bundled implementation does not run a flow; "" where it does."""
    from siteproof.impl.errors import TopologyError
    from siteproof.impl.flows import flow_of
    from siteproof.impl.loader import parse_topology

    try:
        flow_of(parse_topology(tomllib.loads(topology.text), topology.file or topology.id))
    except TopologyError as error:
        return str(error)
    return ""


def check_supported(topologies: list[Topology]) -> None:
    """A flow that the bundled implementation does not have is refused before any work, by commands that run it."""
    check_alone(topologies)
    for topology in topologies:
        if why := unsupported(topology):
            raise UsageError(
                why,
                "a flow that the bundled implementation has",
                f"prove it alone: siteproof prove {shlex.quote(topology.file or topology.id)}; or run a driver of your own",
            )


@contextlib.contextmanager
def _image(given: Path | None, flows: int) -> Iterator[tuple[DiskImage, Path]]:
    """The image to work on, and a work folder with room for it; both that are ours go afterwards."""
    with tempfile.TemporaryDirectory(prefix="siteproof-base-") as base:
        image = open_image(given) if given is not None else make_image(Path(base))
        work = work_folder(image, COPIES * flows)
        try:
            yield image, work
        finally:
            shutil.rmtree(work, ignore_errors=True)


@attrs.define
class _Display:
    """Live progress on a terminal; elsewhere a line for each part that is done."""

    session: Session
    topologies: list[Topology]
    stages: dict[int, Progress] = attrs.Factory(dict)
    began: float = attrs.Factory(time.monotonic)
    live: Live | None = None

    def __enter__(self) -> _Display:
        if self.session.progress.is_terminal and not self.session.quiet:
            self.live = Live(get_renderable=self._rows, console=self.session.progress, refresh_per_second=8, transient=True)
            self.live.start()
        return self

    def __exit__(self, *_details: object) -> None:
        if self.live is not None:
            self.live.stop()

    def show(self, progress: Progress) -> None:
        self.stages[progress.flow] = progress
        if progress.finished:
            spent = duration(time.monotonic() - self.began)
            self.session.out.print(
                Text.assemble(
                    ("  ✓ ", "dim"),
                    (self.topologies[progress.flow].id, "bold"),
                    f"  {progress.stage} done ",
                    (f"after {spent}", "dim"),
                )
            )

    def _rows(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for number, topology in enumerate(self.topologies):
            progress = self.stages.get(number)
            is_done = progress is not None and progress.finished == "image"
            busy = Text("✓", "green") if is_done else Spinner("dots", style="cyan")
            told = text(f"{progress.stage}: {progress.text}" if progress and progress.text else "starting", "dim")
            table.add_row(busy, text(topology.id, "bold"), told)
        return table


def _tell(session: Session, report: RunReport, page: Path) -> None:
    """The end of a run: findings in words, the table, the headline, where the report is."""
    out = session.out
    out.print()
    for flow in report.flows:
        for story in _stories(flow):
            out.print(story, "")
    out.print(final_table(report))
    out.print()
    out.print(verdict_lines(report))
    out.print(text(f"  Report: {short_path(page)}"))


def _stories(flow: FlowReport) -> Iterator[object]:
    for promise in flow.refuted:
        claim = next((c for c in promise.claims if c.verdict is Verdict.REFUTED and c.trace is not None), None)
        if claim is not None and claim.trace is not None:
            yield refutation_story(promise, claim.trace)
    told = set()
    for found in flow.counterexamples:
        what = (found.divergence.promise, found.divergence.field)
        if what not in told:  # the round trip often meets what the campaign has met; the report has both
            yield counterexample_story(found)
        told.add(what)


def short_path(path: Path) -> str:
    """A path as the user would type it from where they stand."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
