"""`siteproof run`, `replay` and `explain`: campaigns, and what they find."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path

import attrs
from rich.console import Group, RenderableType
from rich.text import Text

from siteproof.conformance.case import command_to_json, describe
from siteproof.conformance.check import UNPLANNED
from siteproof.conformance.cli.checking import check_supported, machine_facts, now, short_path
from siteproof.conformance.cli.hands import Where
from siteproof.conformance.cli.proving import told, topologies_of
from siteproof.conformance.cli.shared import Session, check_writable, parse_duration, version
from siteproof.conformance.corpus import Corpus
from siteproof.conformance.drivers.registry import check_flow, factory_here, flows_of, is_bundled
from siteproof.conformance.engines.registry import DEFAULT, engine_kind
from siteproof.conformance.exits import Exit
from siteproof.conformance.explain import READABLE, explain_steps
from siteproof.conformance.replay import Saved, Status, load
from siteproof.conformance.replay import replay as replay_saved
from siteproof.conformance.report.events import EventFile
from siteproof.conformance.report.folder import ReportFolder
from siteproof.conformance.report.junit import write_junit
from siteproof.conformance.report.terminal import campaign_story, counterexample_story, text
from siteproof.conformance.report.values import FlowReport, RunReport, count
from siteproof.conformance.report.words import concerned, topology_of
from siteproof.conformance.report.write import publish, run_json
from siteproof.conformance.results import CampaignResult, Counterexample, StepRecord
from siteproof.conformance.runner import CampaignEvent, campaign, promised_for
from siteproof.conformance.session import DriverFactory
from siteproof.conformance.spread import Plan, spread
from siteproof.conformance.traces.record import TraceWriter
from siteproof.model.topology import Topology, builtin_topologies, load_topology

__all__ = ["Kept", "explain", "no_prints", "replay", "run"]


def run(
    session: Session,
    driver: str,
    names: list[str],
    max_time: str,
    engines: list[str],
    max_cases: int | None,
    out: Path | None,
    machines: int | None = None,
    disks: int | None = None,
    kept: Kept | None = None,
    where: Where | None = None,
) -> Exit:
    """A campaign for each flow and engine, the time of a flow shared among its engines. With `out`, a report folder; with
    `machines` or `disks`, scenarios of that size only. Without a seed a fresh one is drawn, for all campaigns, and told first."""
    kept = kept if kept is not None else Kept()
    kept.check()
    where = where if where is not None else Where()
    fixed = session.seed is not None or max_cases is not None or kept.record is not None
    where.check(fixed)
    began, started = time.perf_counter(), now()
    engines = [engine_kind(engine).id for engine in dict.fromkeys(engines or [DEFAULT])]
    seconds = parse_duration(max_time, "--max-time") / len(engines)
    topologies = topologies_of(names)
    _check_driver(driver, topologies)
    with no_prints():
        factory = factory_here(driver)
        if not names:
            topologies = _claimed(session, driver, factory, topologies)
    folder = ReportFolder.begin(out, "--out") if out is not None else None
    flows: list[FlowReport] = []
    interrupted = False
    command = "siteproof " + shlex.join(sys.argv[1:])
    seed = secrets.randbits(31) if session.seed is None else session.seed
    if not session.quiet:
        one = where.alone(driver, fixed)
        again = f"--seed {seed} draws the same cases" if one else "each slice has one that is drawn from it"
        print(f"siteproof: seed {seed} ({again})", file=sys.stderr, flush=True)
    try:
        with kept.opened(command) as (recorder, events), contextlib.ExitStack() as stack:
            hands = stack.enter_context(where.hands(driver, fixed))
            for topology, source in zip(topologies, names or [t.id for t in topologies], strict=True):
                with no_prints():
                    campaigns = _Campaigns(
                        session, factory, driver, seconds, engines, max_cases, (machines, disks), seed, recorder, events, hands,
                        where.corpus,
                    )
                    flow, interrupted = campaigns.run(topology, source)
                flows.append(flow)
                if interrupted:
                    break
            if interrupted and recorder is not None:
                recorder.close("interrupted", "the run was interrupted")
        if folder is not None and flows:
            flows[0] = _with_impossibility(flows[0])
        report = RunReport(
            version(),
            command,
            started,
            time.perf_counter() - began,
            tuple(flows),
            machine_facts(),
            "",
            interrupted,
        )
        if kept.junit is not None:
            write_junit(report, kept.junit)
        if folder is not None:
            page, report = publish(folder, report)
    except BaseException:
        if folder is not None:
            folder.discard()
        raise
    for flow in report.flows:
        for result in flow.campaigns:
            session.out.print(campaign_story(result), "")
        for missing in flow.unfinished:
            session.out.print(text(f"{flow.id}: {missing}", "yellow"))
    if folder is not None:
        session.out.print(text(f"Report: {short_path(page)}"))
        if folder.kept:
            session.out.print(text(f"Kept with it: {count(folder.kept, 'counterexample')} of earlier reports", "dim"))
    elif any(flow.counterexamples for flow in report.flows):
        session.out.print(text("Give --out DIR to keep the counterexample as a file that replays.", "dim"))
    code = Exit.INTERRUPTED if interrupted else report.exit
    session.emit("siteproof.run/1", code, run_json(report))
    return code


def _claimed(session: Session, driver: str, factory: DriverFactory, topologies: list[Topology]) -> list[Topology]:
    """Those flows that a driver claims; which ones it does not is told."""
    flows = flows_of(factory)
    check_flow(driver, flows)
    skipped = [topology.id for topology in topologies if flows and topology.id not in flows]
    if skipped and not session.quiet:
        print(f"siteproof: skipped, since the driver does not claim them: {', '.join(skipped)}", file=sys.stderr, flush=True)
    return [topology for topology in topologies if topology.id not in skipped]


def _with_impossibility(flow: FlowReport) -> FlowReport:
    """The flow with the two runs of the assumptions page, which are part of every report; one without an unplanned failover has
    none."""
    from siteproof.model.impossible import impossibility

    return attrs.evolve(flow, impossible=impossibility(flow.topology)) if flow.topology.facts[UNPLANNED] else flow


@contextlib.contextmanager
def no_prints() -> Iterator[None]:
    """While a driver works, what it or its programs print goes to standard error: standard output is for what was found."""
    sys.stdout.flush()
    kept = -1
    try:
        if sys.stdout.fileno() == 1:
            kept = os.dup(1)
            os.dup2(2, 1)
    except (OSError, ValueError):  # no such thing as a file behind it: only what Python prints can be redirected
        kept = -1
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if kept >= 0:
            os.dup2(kept, 1)
            os.close(kept)


def _check_driver(name: str, topologies: list[Topology]) -> None:
    """The bundled implementation refuses a flow that it does not have, before any work. Raises `UsageError`."""
    if is_bundled(name):
        check_supported(topologies)


@attrs.frozen
class Kept:
    """What a run keeps beside its report, each a file or None: a trace, JUnit XML, the events."""

    record: Path | None = None
    junit: Path | None = None
    events: Path | None = None

    def check(self) -> None:
        """Raises `UsageError` or `PlaceError`, before any work."""
        for option, file in (("--record", self.record), ("--junit", self.junit), ("--events", self.events)):
            check_writable(option, file)

    @contextlib.contextmanager
    def opened(self, command: str) -> Iterator[tuple[TraceWriter | None, EventFile | None]]:
        """The files that are written while the run goes on."""
        with contextlib.ExitStack() as stack:
            trace = TraceWriter(self.record, f"{command} (siteproof {version()})") if self.record is not None else None
            events = EventFile(self.events, version(), command) if self.events is not None else None
            for one in (trace, events):
                if one is not None:
                    stack.enter_context(one)
            yield trace, events


@attrs.frozen
class _Campaigns:
    """The campaigns of a run: one for each engine, until one finds something."""

    session: Session
    factory: DriverFactory
    driver: str
    seconds: float
    engines: list[str]
    max_cases: int | None
    shape: tuple[int | None, int | None]
    seed: int
    recorder: TraceWriter | None
    events: EventFile | None
    hands: tuple[Executor | None, int]
    corpus: Path | None

    def run(self, topology: Topology, source: str) -> tuple[FlowReport, bool]:
        """Those of one flow; and whether they were interrupted."""
        results: list[CampaignResult] = []
        last = CampaignEvent("progress", 0, 0, 0.0)
        with told(self.session, f"{topology.id} against {self.driver}") as progress:

            def take(event: CampaignEvent) -> None:
                nonlocal last
                last = event
                progress(event.text or f"{count(event.cases, 'case')}, {count(event.steps, 'step')}, {event.seconds:.0f} s")
                if self.events is not None:
                    self.events(event)
                if event.result is not None:
                    results.append(event.result)
                    if self.recorder is not None:
                        self.recorder.result(event.result)

            corpus = Corpus.load(self.corpus, topology, self.driver) if self.corpus is not None else Corpus()
            try:
                for engine in self.engines:
                    self._campaign(topology, source, engine, corpus, take)
                    if results[-1].counterexample is not None:
                        break
            except KeyboardInterrupt:
                so_far = f"{count(last.cases, 'case')} and {count(last.steps, 'step')}, none of which diverged"
                missing = f"the campaign (seed {self.seed}), interrupted after {so_far}"
                return FlowReport(topology, campaigns=tuple(results), unfinished=(missing,)), True
            finally:
                if self.corpus is not None:
                    corpus.save(self.corpus, topology, self.driver)
        return FlowReport(topology, campaigns=tuple(results)), False

    def _campaign(
        self, topology: Topology, source: str, engine: str, corpus: Corpus, take: Callable[[CampaignEvent], None]
    ) -> None:
        """One engine's, on all hands."""
        executor, workers = self.hands
        machines, disks = self.shape
        if executor is not None:
            spread(Plan(source, self.driver, engine, self.seed, self.seconds, machines, disks), executor, workers, corpus, take)
            return
        seed = corpus.fresh(self.seed) if self.corpus is not None else self.seed
        campaign(
            source,
            self.factory,
            engine,
            seed,
            self.seconds,
            self.max_cases,
            take,
            driver_name=self.driver,
            machines=machines,
            disks=disks,
            promised=promised_for(topology),
            recorder=self.recorder,
            corpus=corpus,
        )


# ------------------------------------------------------------------------------------------------------- counterexamples


_REPLAYED = {
    Status.STILL_FAILING: ("bold red", Exit.VIOLATION),
    Status.DIFFERENT: ("bold red", Exit.VIOLATION),
    Status.FIXED: ("green", Exit.OK),
    Status.DRIFTED: ("yellow", Exit.INCONCLUSIVE),
    Status.INCONCLUSIVE: ("yellow", Exit.INCONCLUSIVE),
}


def replay(session: Session, file: Path, driver: str | None) -> Exit:
    """Run the case again. 1 when it fails, 0 when it is fixed, 2 when it no longer reaches the failure or nothing can be said."""
    saved = _located(load(file), file)
    name, topology = driver or saved.driver, load_topology(saved.case.scenario.topology)
    _check_driver(name, [topology])
    with no_prints(), told(session, f"{file.name} against {name}"):
        factory = factory_here(name)
        shown = replay_saved(saved, factory, promised_for(topology), name=name)
    style, code = _REPLAYED[shown.status]
    for line in explain_steps(shown.records, shown.divergence, width=min(session.out.width, READABLE)):
        session.out.print(text(line), soft_wrap=True)
    session.out.print()
    session.out.print(Text.assemble((shown.status.value, style), f" against {name}: {shown.text}"))
    session.emit(
        "siteproof.replay/1",
        code,
        {
            "file": str(file),
            "driver": name,
            "status": shown.status,
            "text": shown.text,
            "steps": shown.records,
            "divergence": shown.divergence,
            "drift": shown.drift,
        },
    )
    return code


def _located(saved: Saved, file: Path) -> Saved:
    """A counterexample names a user's own topology by the path that was given when it was found. From another folder, that path
    is tried from the folders around the counterexample as well."""
    source = saved.case.scenario.topology
    if source in builtin_topologies() or Path(source).exists():
        return saved
    there = next((folder / source for folder in file.absolute().parents if (folder / source).is_file()), None)
    if there is None:
        return saved
    scenario = attrs.evolve(saved.case.scenario, topology=str(there))
    return attrs.evolve(saved, case=attrs.evolve(saved.case, scenario=scenario))


def explain(session: Session, file: Path) -> Exit:
    """Tell a counterexample from its file alone, with the promise and the requirements in full."""
    found = _of_file(_located(load(file), file), file)
    promise, requirements = _sources(found)
    session.out.print(counterexample_story(found), "", _told_sources(found, promise, requirements))
    session.emit(
        "siteproof.explain/1",
        Exit.OK,
        {"file": str(file), "counterexample": found, "promise": promise, "requirements": requirements},
    )
    return Exit.OK


def _of_file(saved: Saved, file: Path) -> Counterexample:
    """A counterexample as its file has it: without the observations, which belong to the run that found it. A seed that the
    file does not have is -1, and not shown."""
    steps = tuple(
        StepRecord(number, command_to_json(command), answer, {}, describe(command) + _said(answer))
        for number, (command, answer) in enumerate(zip(saved.case.commands, saved.answers, strict=False))
    )
    told = json.loads(file.read_text(encoding="utf-8"))
    seed, original = (told.get(key) if type(told.get(key)) is int else -1 for key in ("seed", "original_length"))
    length = max(len(steps), original)
    return Counterexample(
        saved.case.to_json(), steps, saved.divergence, length, saved.minimal, saved.removal, seed, file=str(file)
    )


def _said(answer: dict[str, object]) -> str:
    word = answer.get("answer")
    if word == "rejected":
        return f": rejected ({answer.get('code')})"
    return f": {word}" if word in ("accepted", "refused", "unknown", "skipped") else ""


def _sources(found: Counterexample) -> tuple[str, dict[str, str]]:
    """The promise's sentence, and the statements of the requirements."""
    from siteproof.model.catalogue import catalogue
    from siteproof.model.requirements import load_requirements

    entry = catalogue().get(found.divergence.promise)
    own = concerned(found.divergence.requirements, topology_of(found))
    return entry.sentence if entry else "", {r.id: r.statement for r in load_requirements() if r.id in own}


def _told_sources(found: Counterexample, promise: str, requirements: dict[str, str]) -> RenderableType:
    parts: list[RenderableType] = [text(f"{found.divergence.promise} {found.divergence.promise_title}", "bold")]
    if promise:
        parts.append(text(promise))
    parts += [Text.assemble((id + " ", "bold"), statement) for id, statement in requirements.items()]
    return Group(*parts)
