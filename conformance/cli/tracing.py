"""`siteproof trace check` and `siteproof trace import`: recorded runs judged, and made from lists of jobs."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import attrs
from rich.text import Text

from siteproof.conformance.case import OPERATIONS
from siteproof.conformance.cli.checking import short_path
from siteproof.conformance.cli.proving import told
from siteproof.conformance.cli.shared import Session, check_writable
from siteproof.conformance.closure import Promised
from siteproof.conformance.exits import Exit
from siteproof.conformance.explain import READABLE, explain_steps
from siteproof.conformance.report.terminal import text
from siteproof.conformance.report.values import count
from siteproof.conformance.report.words import wrong_in_words
from siteproof.conformance.results import Outcome
from siteproof.conformance.runner import promised_for
from siteproof.conformance.traces.check import CaseVerdict, TraceVerdict, source_beside
from siteproof.conformance.traces.check import check as judge
from siteproof.conformance.traces.jobs import import_jobs
from siteproof.conformance.traces.reading import Reader
from siteproof.model.errors import UsageError, near
from siteproof.model.topology import load_topology

__all__ = ["check", "import_"]

_COMES_TO = {
    Outcome.CONFORMS: ("green", Exit.OK),
    Outcome.VIOLATION: ("bold red", Exit.VIOLATION),
    Outcome.INCONCLUSIVE: ("yellow", Exit.INCONCLUSIVE),
}
SHOWN = 12
"""Entries that are told before the one that was rejected."""
TOLD = 3
"""Cases that are told one by one."""


def check(session: Session, file: Path) -> Exit:
    """Judge a trace."""

    @functools.cache
    def promised(source: str) -> Promised:
        return promised_for(load_topology(source_beside(source, file)))

    reader = Reader(file)
    with told(session, file.name) as progress:
        verdict = judge(reader, promised, lambda case: progress(f"{count(case.number, 'case')}"))
    style, code = _COMES_TO[verdict.outcome]
    wrong = [case for case in verdict.cases if case.outcome is not Outcome.CONFORMS]
    for case in wrong[:TOLD]:
        _tell(session, file, case)
    if len(wrong) > TOLD:
        session.out.print(text(f"{len(wrong) - TOLD} more cases are not explained; --json has them all.", "dim"))
    session.out.print(Text.assemble((verdict.outcome.value, style), f": {verdict.reason}"), soft_wrap=True)
    session.out.print(text(f"{count(verdict.count, 'case')}, {count(verdict.entries, 'entry', 'entries')}", "dim"))
    for line in _beside(verdict):
        session.out.print(text(line, "yellow"), soft_wrap=True)
    session.emit("siteproof.trace/1", code, {"file": str(file), "by": reader.by, **attrs.asdict(verdict, recurse=False)})
    return code


def _tell(session: Session, file: Path, case: CaseVerdict) -> None:
    """One case that is not a plain pass."""
    out = session.out
    title = f"case {case.number} ({case.topology}): {count(case.accepted, 'entry', 'entries')} of {case.entries} accepted"
    out.print(text(title, "bold"))
    steps = case.steps[-SHOWN:]
    if len(steps) < len(case.steps):
        out.print(text(f"  … {count(len(case.steps) - len(steps), 'entry', 'entries')} before", "dim"))
    for line in explain_steps(steps, case.divergence, width=min(out.width, READABLE)):
        out.print(text(line), soft_wrap=True)
    found = case.divergence
    if found is not None:
        where = f"{short_path(file)}, line {case.line}: {found.machine}"
        out.print(text(f"{where}, {wrong_in_words(found)}", "red"), soft_wrap=True)
        asked = f" ({', '.join(found.requirements)})" if found.requirements else ""
        breaks = "Breaks" if case.outcome is Outcome.VIOLATION else "It would break"
        out.print(text(f"{breaks} {found.promise}, {found.promise_title}{asked}; rejected by: {found.conjunct}."), soft_wrap=True)
    for order in case.orders:
        out.print(text(f"  tried: {order}", "dim"), soft_wrap=True)
    if case.recorded:
        out.print(text(f"The run itself found: {case.recorded}", "dim"), soft_wrap=True)
    out.print()


def _beside(verdict: TraceVerdict) -> list[str]:
    """What a reader has to know beside the verdict."""
    lines = [f"assumed: {text}" for text in dict.fromkeys(t for case in verdict.cases for t in case.assumed)]
    lines += [f"not told: {text}" for case in verdict.cases for text in case.gaps]
    skipped = sum(case.skipped for case in verdict.cases)
    if skipped:
        lines.append(f"{count(skipped, 'entry', 'entries')} skipped: the driver could not do them")
    if not verdict.looks:
        lines.append("nothing was observed: only answers were judged")
    never = sorted(field for field, times in verdict.untold.items() if times == verdict.looks)
    some = [f"{field} in {times:,} of {count(verdict.looks, 'look')}" for field, times in sorted(verdict.untold.items())
            if field not in never]  # fmt: skip
    lines += [f"never told, so not judged: {', '.join(never)}"] if never else []
    return lines + ([f"not told, so not judged: {', '.join(some)}"] if some else [])


def import_(session: Session, jobs: Path, topology: str, out: Path, scenarios: list[str]) -> Exit:
    """Turn a job list into a trace. 2 when it has no job of ours."""
    check_writable("--out", out)
    own = {}
    for one in scenarios:
        name, equals, operation = one.partition("=")
        if not equals or not name or operation not in OPERATIONS:
            raise UsageError(
                f"--scenario {one}", f"NAME=OPERATION, where the operation is one of {', '.join(OPERATIONS)}",
                near(operation, OPERATIONS) if equals else "write it like --scenario EnableDr=EnableProtection",
            )  # fmt: skip
        own[name] = operation
    load_topology(topology)
    found = import_jobs(jobs, topology, own)
    out.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in found.lines), encoding="utf-8")
    machines = count(len(found.machines), "machine")
    session.out.print(text(f"{count(found.taken, 'job')} of {machines} taken: {', '.join(found.machines) or 'none'}"))
    for reason, times in found.passed_over.items():
        session.out.print(text(f"{count(times, 'job')} passed over: {reason}", "yellow"), soft_wrap=True)
    for note in found.notes:
        session.out.print(text(note, "yellow"), soft_wrap=True)
    session.out.print(text(f"Trace: {short_path(out.absolute())}; judge it: siteproof trace check {out}"), soft_wrap=True)
    code = Exit.OK if found.taken else Exit.INCONCLUSIVE
    session.emit(
        "siteproof.trace-import/1", code,
        {"jobs": str(jobs), "trace": str(out), "topology": topology, "taken": found.taken, "machines": found.machines,
         "passed_over": found.passed_over, "notes": found.notes},
    )  # fmt: skip
    return code
