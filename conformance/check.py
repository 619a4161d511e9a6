"""`siteproof check`: for each flow prove, certify, explore, run the bundled implementation; then one table and one report folder.

Rules
1. Each flow is worked on by a process of its own (spawned, never forked), as many at once as there are processors: a campaign
   has a budget of time, and would get too little of it in a crowd. It
   tells the parent what it has as soon as it has it: proofs, the exploration, the campaign, the round trip on the image.
2. The parent only collects and renders. Whatever arrives before an interruption is in the report; what was asked for and is
   missing is named there, and such a report is never green.
3. A worker that dies or fails spoils its own flow and no other.
   A flow that the bundled implementation does not have is proved and explored; that nothing was run is told as missing.
4. Everything that is written lies in temporary folders and in the draft of the report; both are removed or moved at the end.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import attrs

from siteproof.conformance.exits import Exit
from siteproof.conformance.image import DiskImage
from siteproof.conformance.report.values import FlowReport
from siteproof.conformance.results import CampaignResult
from siteproof.model.errors import SiteproofError
from siteproof.model.results import ProofReport
from siteproof.model.topology import Topology

__all__ = ["PARTS", "UNPLANNED", "FlowJob", "Progress", "check_flows"]

PARTS = {"proof": "the proofs", "exploration": "the exploration", "campaign": "the campaign",
         "image": "the round trip on the image"}

RUNS = ("campaign", "image")
"""The parts for which an implementation is run."""

STAGES = {"proof": "proving", "exploration": "exploring", "campaign": "running", "image": "round trip on the image"}

EXPLORED_WRITES, EXPLORED_FAILOVERS = 1, 1
"""How far a check explores the promise level: some ten thousand states a flow, and what follows after the faults.
`siteproof explore` goes further, and looks at the other levels."""

UNPLANNED = "forward.unplanned_failover"
"""The fact that the two runs of the assumptions page need."""


@attrs.frozen
class FlowJob:
    """What one worker does. `source` is a built-in id or a file; `proofs` is where certificates go; `impossible` asks for the two
    runs of the assumptions page, which one flow shows for all; `untested` says why nothing can be run, "" if something can."""

    topology: Topology
    source: str
    proofs: str
    image: DiskImage
    work: str
    seed: int
    max_seconds: float
    impossible: bool = False
    untested: str = ""


@attrs.frozen
class Progress:
    """What a worker is doing now, for whoever shows it; `finished` names the part that has just been done."""

    flow: int
    stage: str
    text: str
    finished: str = ""


@attrs.define
class _Flow:
    """What has arrived of one flow."""

    job: FlowJob
    process: BaseProcess
    receive: Connection
    send: Connection
    got: dict[str, Any] = attrs.Factory(dict)
    last: tuple[str, str] = ("", "")
    error: str = ""
    error_code: Exit = Exit.OK
    done: bool = False
    started: bool = False

    def start(self) -> None:
        """Let the worker begin."""
        self.process.start()
        self.send.close()
        self.started = True

    def report(self, interrupted: bool) -> FlowReport:
        proof: ProofReport | None = self.got.get("proof")
        campaigns: list[CampaignResult] = [self.got[part] for part in ("campaign", "image") if part in self.got]
        wanted = [part for part in PARTS if not (self.job.untested and part in RUNS)] if interrupted or self.error else []
        missing = tuple(self._missing(part) for part in wanted if part not in self.got)
        missing += (f"a run of an implementation: {self.job.untested}",) if self.job.untested else ()
        return FlowReport(
            self.job.topology,
            self.got.get("actions", ()),
            self.got.get("words", ()),
            proof,
            tuple(campaigns),
            missing,
            self.error,
            self.error_code,
            self.got.get("requirements", ()),
            None,
            self.got.get("impossible"),
            self.got.get("exploration"),
        )

    def _missing(self, part: str) -> str:
        """What is missing, and how far it had come."""
        stage, text = self.last
        return f"{PARTS[part]} (interrupted after {text})" if stage == STAGES[part] and text else PARTS[part]


def check_flows(jobs: list[FlowJob], on_progress: Callable[[Progress], None]) -> tuple[list[FlowReport], bool]:
    """Work on all flows side by side. Answers their reports, and whether the work was interrupted."""
    context = multiprocessing.get_context("spawn")
    flows: list[_Flow] = []
    interrupted = False
    try:
        for number, job in enumerate(jobs):
            receive, send = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(job, send), name=f"siteproof-{number}", daemon=True)
            flows.append(_Flow(job, process, receive, send))
        _collect(flows, on_progress)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        _end(flows)
    return [flow.report(interrupted) for flow in flows], interrupted


def _collect(flows: list[_Flow], on_progress: Callable[[Progress], None]) -> None:
    """Take what the workers send until all are done; the next one begins when a processor is free."""
    while any(not flow.done for flow in flows):
        waiting = [flow for flow in flows if not flow.started]
        free = (os.cpu_count() or 1) - sum(flow.started and not flow.done for flow in flows)
        for flow in waiting[:max(0, free)]:
            flow.start()
        busy = {flow.receive: number for number, flow in enumerate(flows) if flow.started and not flow.done}
        for ready in wait(list(busy), timeout=0.2):
            assert isinstance(ready, Connection)
            number = busy[ready]
            _take(flows[number], number, on_progress)


def _take(flow: _Flow, number: int, on_progress: Callable[[Progress], None]) -> None:
    try:
        kind, *content = flow.receive.recv()
    except (EOFError, OSError):
        flow.process.join(5)
        flow.error = f"its worker ended without a result (exit code {flow.process.exitcode})"
        flow.error_code, flow.done = Exit.ENVIRONMENT, True
        return
    if kind == "progress":
        flow.last = (content[0], content[1])
        on_progress(Progress(number, *content))
    elif kind == "got":
        part, value = content
        flow.got[part] = value
        if part in PARTS:
            on_progress(Progress(number, PARTS[part], "", finished=part))
    elif kind == "error":
        flow.error, code = content
        flow.error_code = Exit(code)
    elif kind == "done":
        flow.done = True


def _end(flows: list[_Flow]) -> None:
    """No worker outlives the check."""
    begun = [flow for flow in flows if flow.started]
    for flow in begun:
        if flow.process.is_alive() and not flow.done:
            flow.process.terminate()
    for flow in begun:
        flow.process.join(5)
        if flow.process.is_alive():
            flow.process.kill()
            flow.process.join(5)
        flow.receive.close()


# ------------------------------------------------------------------------------------------------------------ the worker


def _work(job: FlowJob, send: Connection) -> None:
    """In the worker: everything for one flow. Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    told = [0.0]

    def tell(stage: str, text: str) -> None:
        now = time.monotonic()
        if now - told[0] > 0.1:
            told[0] = now
            send.send(("progress", stage, text))

    try:
        for part, value in _parts(job, tell):
            send.send(("got", part, value))
    except SiteproofError as error:
        send.send(("error", str(error), error.exit_code))
    except Exception as error:  # noqa: BLE001 - it is told to the parent, which gives it a code
        detail = traceback.extract_tb(error.__traceback__)[-1]
        send.send(
            (
                "error",
                f"a bug of siteproof, please report it: {type(error).__name__}: {error} "
                f"({Path(detail.filename).name}, line {detail.lineno})",
                int(Exit.BUG),
            )
        )
    send.send(("done",))
    send.close()


def _leave(_number: int, _frame: object) -> None:
    """End now, leaving no temporary folder. An exception would not do: raised in a destructor, it is swallowed."""
    atexit._run_exitfuncs()
    os._exit(1)


def _parts(job: FlowJob, tell: Callable[[str, str], None]) -> Iterator[tuple[str, Any]]:
    """The parts of the work, as they get done."""
    from siteproof.conformance.drivers.bundled import BundledDriver
    from siteproof.conformance.roundtrip import round_trip
    from siteproof.conformance.runner import campaign, promised_for
    from siteproof.model.explore import Limits, explore
    from siteproof.model.impossible import impossibility
    from siteproof.model.promise import promise_model
    from siteproof.model.prove import prove
    from siteproof.model.readings.english import describe_action
    from siteproof.model.requirement_trace import requirement_trace

    tell(STAGES["proof"], "reading the model")
    model = promise_model(job.topology.id, job.topology.facts)
    yield "actions", tuple(describe_action(model, action) for action in model.actions)
    yield "words", tuple((variable.name, variable.doc) for variable in model.variables)
    proof = prove(job.topology, certificate_dir=Path(job.proofs), on_progress=lambda text: tell(STAGES["proof"], text))
    yield "proof", proof
    yield "requirements", requirement_trace(job.topology, proof)
    if job.impossible:
        yield "impossible", impossibility(job.topology)
    limits = Limits(EXPLORED_WRITES, EXPLORED_FAILOVERS, witnesses=False)
    yield "exploration", explore(job.topology, limits, among=["promise"],
                                 on_progress=lambda text: tell(STAGES["exploration"], text))
    if job.untested:
        return
    promised = promised_for(job.topology)
    yield (
        "campaign",
        campaign(
            job.topology,
            BundledDriver,
            "portfolio",
            seed=job.seed,
            max_seconds=job.max_seconds,
            promised=promised,
            driver_name="bundled",
            on_event=lambda event: tell(STAGES["campaign"], event.text or f"{event.cases:,} cases, {event.steps:,} steps"),
        ),
    )
    work = Path(tempfile.mkdtemp(prefix=f"{job.topology.id}-", dir=job.work))
    try:
        yield (
            "image",
            round_trip(
                job.source,
                promised,
                job.image,
                BundledDriver(work=work),
                work,
                name="bundled",
                seed=job.seed,
                on_event=lambda text: tell(STAGES["image"], text),
            ),
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)
