"""From an exported list of Site Recovery jobs to a trace: what a drill's jobs can tell, and nothing else.

Rules
1. A job (public schema `replicationJobs`: `scenarioName`, `state`, `startTime`, `endTime`, `targetObjectName`, `tasks`, `errors`)
   that succeeded or still runs was accepted when it started. One that succeeded had its effect when it ended, as far as the list
   shows it: that the first copy or a reversal of replication has been *started* is all that such a job says. Until then it ran.
2. A job that failed or was cancelled may have changed something or not: its answer is unknown. Only of a failed planned failover
   more is known, because it is promised (P1): the machine is still where it was.
3. Workload, faults, recovery points and contents are not in a list. The trace says so, and nothing of them is judged.
4. A list begins in the middle of a machine's life. What its first job needs is put before it, marked as assumed.
5. A job of another kind, without a machine or a time, or of a recovery plan is passed over, counted and named. Never silently: it
   may have changed a machine, so it stands in the trace as a gap, in the case of its machine. Where it names none, or is a
   plan's, that is in every case. A job of something that is no machine of the list, such as a server, concerns none. Without a
   time it may have been at any time; so may the jobs of pages that are missing.
6. Names of scenarios are not fixed by the public schema. `SCENARIOS` has those we know; others can be named by the user.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from siteproof.conformance.case import OPERATIONS, POINTED
from siteproof.conformance.traces.values import FORMAT, KIND, TraceError, seconds_of

__all__ = ["SCENARIOS", "Imported", "import_jobs"]

SCENARIOS: Mapping[str, str] = {
    **{name.lower(): name for name in OPERATIONS},
    "enabledr": "EnableProtection",
    "disabledr": "DisableProtection",
    "failover": "UnplannedFailover",
    "commitfailover": "Commit",
    "failovercommit": "Commit",
    "reprotect": "ReverseReplicate",
    "reverseprotection": "ReverseReplicate",
    "switchprotection": "ReverseReplicate",
    "applyrecoverypoint": "ChangePit",
    "changerecoverypoint": "ChangePit",
    "cleanuptestfailover": "TestFailoverCleanup",
    "resynchronize": "RepairReplication",
}
"""The operation of each scenario name, in lower case."""

_DONE, _UNDONE = ("succeeded", "completedwithinformation", "completedwithinformations"), ("failed", "cancelled", "canceled")
_RUNS = ("inprogress", "notstarted", "suspended", "cancelling", "paused", "waitingforuserinput")
_ENABLE: dict[str, Any] = {"kind": "operation", "operation": "EnableProtection", "answer": "accepted"}
_SEEN: dict[str, dict[str, Any]] = {
    "PlannedFailover": {"failover": "planned"},
    "UnplannedFailover": {"failover": "unplanned"},
    "ChangePit": {"failover": "unplanned"},
    "TestFailover": {"test": "running"},
    "TestFailoverCleanup": {"test": "none"},
    "Commit": {},
    "CompleteMigration": {"failover": "completed"},
    "DisableProtection": {"protection": "none"},
}
"""What shows after an operation has succeeded. Not here: operations whose job ends when their copy begins."""
_NEEDS: dict[str, tuple[str, ...]] = {
    "EnableProtection": (),
    "Commit": ("UnplannedFailover",),
    "ChangePit": ("UnplannedFailover",),
    "CompleteMigration": ("UnplannedFailover",),
    "ReverseReplicate": ("UnplannedFailover", "Commit"),
    "TestFailoverCleanup": ("TestFailover",),
}
"""What comes after `EnableProtection` and before an operation with which a list begins; nothing for those that are absent."""


@attrs.frozen
class Imported:
    """`lines` of the trace; machines in the order of their first job; how many jobs were taken; those passed over, by reason;
    `notes` for the reader."""

    lines: tuple[dict[str, Any], ...]
    machines: tuple[str, ...]
    taken: int
    passed_over: Mapping[str, int]
    notes: tuple[str, ...] = ()


@attrs.frozen
class _Job:
    name: str
    machine: str
    operation: str
    state: str
    start: float
    end: float | None
    errors: str = ""


@attrs.frozen
class _Passed:
    """A job that is passed over, and why; `machine`: whose it may be, None for any; `start`, `end`: where they are told."""

    reason: str
    name: str = ""
    machine: str | None = None
    start: float | None = None
    end: float | None = None
    known: bool = False
    """Whether it is one job of ours; else it may have been more than one operation."""
    missing: bool = False
    """Whether it stands for jobs that are not in the list."""


def import_jobs(file: Path, topology: str, own: Mapping[str, str] | None = None) -> Imported:
    """Turn a job list into a trace of `topology`. `own` has further scenario names with their operations. Raises `TraceError`
    when the file is no job list."""
    names = {**SCENARIOS, **{name.lower(): operation for name, operation in (own or {}).items()}}
    rows, notes = _rows(file)
    jobs: list[_Job] = []
    passed = [_Passed(note, missing=True) for note in notes]
    for row in rows:
        told = _job(row, names)
        if isinstance(told, _Passed):
            passed.append(told)
        else:
            jobs.append(told)
    jobs.sort(key=lambda job: (job.start, job.end is None, job.end or 0.0))
    machines = tuple(dict.fromkeys(job.machine for job in jobs))
    lines: list[dict[str, Any]] = [{"kind": KIND, "format": FORMAT, "by": "siteproof trace import", "note": f"from {file.name}"}]
    for machine in machines:
        concerned = [one for one in passed if one.machine in (machine, None)]
        lines += _case(machine, [job for job in jobs if job.machine == machine], concerned, topology)
    lines.append({"kind": "end"})
    counted = Counter(one.reason for one in passed[len(notes) :])
    return Imported(tuple(lines), machines, len(jobs), dict(counted), tuple(notes))


def _rows(file: Path) -> tuple[list[Any], list[str]]:
    """The jobs of a list: a page of the public interface (`value`), or a plain list."""
    expected, mend = 'a list of jobs, or an object with such a list as "value"', "export the list of jobs as JSON"
    try:
        data = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise TraceError(file, 0, f"no readable file ({error.strerror})", expected, "name another file") from error
    except (ValueError, RecursionError) as error:
        raise TraceError(file, getattr(error, "lineno", 0), f"text that is not JSON ({error})", expected, mend) from error
    rows = data.get("value") if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise TraceError(file, 0, f"a {type(data).__name__} without jobs", expected, mend)
    more = isinstance(data, dict) and data.get("nextLink")
    return rows, ["the list goes on (it has a nextLink): jobs of later pages are missing from the trace"] if more else []


def _job(row: Any, names: Mapping[str, str]) -> _Job | _Passed:
    """A job of ours, or why it is passed over."""
    if not isinstance(row, dict):
        return _Passed("no job, but something else")
    told = row.get("properties") if isinstance(row.get("properties"), dict) else row
    assert isinstance(told, dict)
    name, scenario, target = str(row.get("name") or ""), str(told.get("scenarioName") or ""), told.get("targetObjectName")
    operation = names.get(scenario.lower())
    planned = "plan" in str(told.get("targetInstanceType") or "").lower()
    machine = target if isinstance(target, str) and target and not planned else None
    start, end, unreadable = _times(told)
    state = str(told.get("state") or "").lower().replace(" ", "")
    reason = ""
    if operation is None:
        reason = f"of the scenario {scenario!r}" if scenario else "without a scenarioName"
    elif planned:
        reason = "of a recovery plan, whose machines have no jobs of their own"
    elif machine is None:
        reason = "without a targetObjectName"
    elif unreadable:
        reason = unreadable
    elif state not in (*_DONE, *_UNDONE, *_RUNS):
        reason = f"in the state {told.get('state')!r}"
    if reason or operation is None or machine is None or start is None:
        return _Passed(reason, name, machine, start, end, operation is not None)
    return _Job(name, machine, operation, state, start, end, _errors(told))


def _times(told: dict[str, Any]) -> tuple[float | None, float | None, str]:
    """When a job ran, and what is wrong with that. Of times that contradict each other neither is taken."""
    try:
        start = seconds_of(str(told.get("startTime")))
        end = seconds_of(str(told["endTime"])) if told.get("endTime") else None
    except ValueError:
        wrong = "with a time that cannot be read" if told.get("startTime") else "without a startTime that is a time"
        return None, None, wrong
    return (None, None, "with an end before its start") if end is not None and end < start else (start, end, "")


def _errors(told: dict[str, Any]) -> str:
    """The errors of a job in short: codes and messages."""
    found = []
    for one in told.get("errors") or ():
        details = one.get("serviceErrorDetails") or one.get("providerErrorDetails") or {} if isinstance(one, dict) else {}
        if isinstance(details, dict):
            found.append(" ".join(str(details[k]) for k in ("code", "errorCode", "message", "errorMessage") if details.get(k)))
    return "; ".join(text for text in found if text)


def _case(machine: str, jobs: list[_Job], passed: list[_Passed], topology: str) -> list[dict[str, Any]]:
    """One machine's jobs as a case; `passed`: those that may have been its own, too."""
    lines: list[dict[str, Any]] = [
        {
            "kind": "case",
            "scenario": {"topology": topology, "machines": [machine]},
            "moves_by_itself": True,
            "unseen": ["writes", "faults"],
        }
    ]
    first = jobs[0]
    before = ("EnableProtection", *_NEEDS.get(first.operation, ())) if first.operation != "EnableProtection" else ()
    for operation in before:
        needed = {**_ENABLE, "operation": operation, "machine": machine, "at": first.start}
        lines.append({**needed, "assumed": f"{machine} was in a state in which {first.operation} is possible"})
        lines[-1].pop("at")
    active: str | None = "primary"
    for operation in before:
        active = _moved(active, operation)
    told: list[tuple[float, int, dict[str, Any]]] = []
    for number, job in enumerate(jobs):
        note = {"note": f"job {job.name}: {job.state}" + (f": {job.errors}" if job.errors else "")}
        done, undone = job.state in _DONE, job.state in _UNDONE
        request: dict[str, Any] = {"kind": "operation", "machine": machine, "operation": job.operation}
        if job.operation in POINTED:
            request["point"] = "latest"
        told.append((job.start, 2 * number, {**request, "answer": "unknown" if undone else "accepted", "at": job.start, **note}))
        if job.end is None:
            active = active if job.operation not in _MOVES else None
            continue
        seen: dict[str, Any] = {}
        if done and job.operation in _SEEN:
            active = _moved(active, job.operation)
            seen = {"job": None, **_SEEN[job.operation]}
        elif undone and job.operation == "PlannedFailover":
            seen = {"job": None}
        elif undone and job.operation in _MOVES:
            active = None
        if seen and active is not None and job.operation in _MOVES:
            seen["active"] = active
        if seen:
            told.append((job.end, 2 * number + 1, {"kind": "look", "at": job.end, "seen": {machine: seen}, **note}))
    told += [(row["start"], -1, row) for row in (_gap(one, machine, first.start) for one in passed)]
    told += [(at, 2 * len(jobs), row) for at, row in _at_once(jobs, sorted(at for at, _, _ in told))]
    return lines + [row for _, _, row in sorted(told, key=lambda one: one[:2])]


def _gap(passed: _Passed, machine: str, first: float) -> dict[str, Any]:
    """A job that was passed over, as something that is not told. Without a time it may have been at any."""
    about = passed.reason if passed.missing else f"{f'job {passed.name}' if passed.name else 'a job'} {passed.reason}"
    row: dict[str, Any] = {"kind": "gap", "machine": machine, "start": first if passed.start is None else passed.start}
    row |= ({"end": passed.end} if passed.end is not None else {}) | ({"operations": 1} if passed.known else {})
    return row | {"about": about}


def _at_once(jobs: list[_Job], times: list[float]) -> Iterator[tuple[float, dict[str, Any]]]:
    """A job that still ran when another one began, ran a moment later as well: before anything else happened."""
    for job in jobs:
        if job.state not in _DONE or job.operation not in _SEEN or job.end is None:
            continue
        for other in jobs:
            if job.start < other.start < job.end:
                at = (other.start + min(t for t in times if t > other.start)) / 2
                note = f"job {job.name} ran until later, though job {other.name} had begun"
                yield at, {"kind": "look", "at": at, "seen": {job.machine: {"job": job.operation}}, "note": note}


_MOVES = ("PlannedFailover", "UnplannedFailover")


def _moved(active: str | None, operation: str) -> str | None:
    """Where the machine is after `operation` has succeeded; None when that was not known before."""
    if operation not in _MOVES or active is None:
        return active
    return "recovery" if active == "primary" else "primary"
