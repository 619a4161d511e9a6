"""Lists of Site Recovery jobs become traces that say what jobs can tell, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from siteproof.conformance.cli import main
from siteproof.conformance.results import Outcome
from siteproof.conformance.traces.check import CaseVerdict, check_case
from siteproof.conformance.traces.jobs import Imported, import_jobs
from siteproof.conformance.traces.reading import Reader
from siteproof.conformance.traces.values import TraceError
from tests.conformance.driving import FLOWS, promised

SAMPLE = Path(__file__).parent / "jobs.json"
HYPER_V = FLOWS[1]


def job(scenario: str, state: str = "Succeeded", start: str = "09:00", end: str | None = "09:05", **more: Any) -> dict[str, Any]:
    """One job in the public shape."""
    times = {"startTime": f"2017-03-04T{start}:00.0000000Z"} | ({"endTime": f"2017-03-04T{end}:00Z"} if end else {})
    return {"name": "j", "properties": {"scenarioName": scenario, "state": state, "targetObjectName": "web", **times, **more}}


def imported(tmp_path: Path, *jobs: dict[str, Any]) -> tuple[Imported, list[CaseVerdict]]:
    """The import of a list, and the verdicts on its cases."""
    file, trace = tmp_path / "jobs.json", tmp_path / "t.ndjson"
    file.write_text(json.dumps({"value": jobs}), encoding="utf-8")
    found = import_jobs(file, HYPER_V)
    trace.write_text("".join(json.dumps(line) + "\n" for line in found.lines), encoding="utf-8")
    return found, [check_case(case, promised(HYPER_V)) for case in Reader(trace).cases()]


def test_the_sample_becomes_a_case_for_each_machine_and_nothing_is_lost_silently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "drill.ndjson"
    command = ["trace", "import", str(SAMPLE), "--topology", HYPER_V, "--out", str(out), "--json", str(tmp_path / "i.json")]
    assert main(command) == 0
    document = json.loads((tmp_path / "i.json").read_text(encoding="utf-8"))
    jobs = len(json.loads(SAMPLE.read_text(encoding="utf-8"))["value"])
    assert document["taken"] + sum(document["passed_over"].values()) == jobs
    assert document["machines"] == ["db", "web"]
    assert "of the scenario 'RegisterDra'" in document["passed_over"]
    assert "RegisterDra" in capsys.readouterr().out
    assert main(["trace", "check", str(out)]) == 1
    told = capsys.readouterr().out
    assert "ReverseReplicate of db is accepted, although it has to be refused with FailoverNotCommitted" in told
    assert "assumed: web was in a state in which TestFailover is possible" in told


def test_a_drill_that_followed_the_rules_conforms(tmp_path: Path) -> None:
    _, (verdict,) = imported(
        tmp_path, job("PlannedFailover"), job("Commit", start="09:10", end="09:12"),
        job("ReverseReplicate", start="09:20", end="09:21"),
        job("PlannedFailover", start="10:00", end="10:20"), job("Commit", start="10:30", end="10:31"),
    )  # fmt: skip
    assert verdict.outcome is Outcome.CONFORMS
    assert verdict.assumed


def test_two_jobs_of_one_machine_at_once_break_a_promise(tmp_path: Path) -> None:
    tested = job("TestFailover"), job("TestFailoverCleanup", start="09:30", end="09:40")
    _, (verdict,) = imported(tmp_path, *tested, job("TestFailover", start="09:35", end="09:50"))
    assert verdict.divergence is not None
    assert (verdict.divergence.field, verdict.divergence.promise) == ("job", "P16")
    _, (verdict,) = imported(tmp_path, *tested, job("TestFailover", start="09:41", end="09:50"))
    assert verdict.outcome is Outcome.CONFORMS


@pytest.mark.parametrize("state", ["Failed", "Cancelled"])
def test_a_planned_failover_that_failed_has_moved_nothing(state: str, tmp_path: Path) -> None:
    failed = job("PlannedFailover", state, errors=[{"serviceErrorDetails": {"code": "539", "message": "no shutdown"}}])
    found, (verdict,) = imported(tmp_path, failed, job("PlannedFailover", start="09:10", end="09:20"))
    assert verdict.outcome is Outcome.CONFORMS
    assert any("539 no shutdown" in line.get("note", "") for line in found.lines)
    _, (wrong,) = imported(tmp_path, failed, job("Commit", start="09:10", end="09:20"))
    assert wrong.outcome is Outcome.VIOLATION


def test_what_failed_otherwise_may_have_happened_or_not(tmp_path: Path) -> None:
    failed = job("UnplannedFailover", "Failed")
    for then in ("Commit", "PlannedFailover"):
        _, (verdict,) = imported(tmp_path, failed, job(then, start="09:10", end="09:20"))
        assert verdict.outcome is Outcome.CONFORMS, then


def test_a_job_that_runs_was_accepted_and_nothing_more(tmp_path: Path) -> None:
    found, (verdict,) = imported(tmp_path, job("PlannedFailover", "InProgress", end=None))
    assert verdict.outcome is Outcome.CONFORMS
    assert not any(line["kind"] == "look" for line in found.lines)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (job("CreateSite"), "of the scenario 'CreateSite'"),
        (job("PlannedFailover", "Exploded"), "in the state 'Exploded'"),
        (job("PlannedFailover", targetObjectName=None), "without a targetObjectName"),
        (job("PlannedFailover", startTime="soon"), "with a time that cannot be read"),
        (job("PlannedFailover", startTime=None), "without a startTime that is a time"),
        (job("PlannedFailover", start="10:00"), "with an end before its start"),
        (
            job("PlannedFailover", targetInstanceType="RecoveryPlan"),
            "of a recovery plan, whose machines have no jobs of their own",
        ),
        ({"properties": {}}, "without a scenarioName"),
    ],
)
def test_what_cannot_be_taken_is_counted_and_named(row: dict[str, Any], reason: str, tmp_path: Path) -> None:
    found, _ = imported(tmp_path, row, job("TestFailover"))
    assert (found.taken, dict(found.passed_over)) == (1, {reason: 1})


DRILL = (job("PlannedFailover", end="09:10"), job("ReverseReplicate", start="09:30", end="09:31"))
STRANGE = job("FinishIt", start="09:20", end="09:25")


@pytest.mark.parametrize(
    "passed",
    [
        STRANGE,
        job("FinishIt", start="09:20", end=None, state="InProgress"),
        job("Commit", start="09:20", end="09:25", state="Exploded"),
        job("Commit", startTime="soon"),
        job("Commit", start="09:20", end="09:25", targetObjectName="a plan", targetInstanceType="RecoveryPlan"),
        job("Commit", start="09:20", end="09:25", targetObjectName=None),
    ],
)
def test_a_job_that_is_passed_over_is_a_gap_that_accuses_nobody(passed: dict[str, Any], tmp_path: Path) -> None:
    assert imported(tmp_path, *DRILL)[1][0].outcome is Outcome.VIOLATION
    found, (verdict,) = imported(tmp_path, DRILL[0], passed, DRILL[1])
    (gap,) = (line for line in found.lines if line["kind"] == "gap")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.divergence is not None
    assert "What is not told may explain it: line" in verdict.reason
    assert gap["about"] in verdict.reason


@pytest.mark.parametrize(
    ("passed", "machine"),
    [
        ({**STRANGE["properties"], "startTime": "2017-03-04T10:20:00Z", "endTime": "2017-03-04T10:25:00Z"}, "after the reversal"),
        (job("RegisterDra", start="09:20", end="09:25", targetObjectName="vmm"), "of a server"),
        (job("Commit", "Exploded", start="08:20", end="08:25"), "one job before the failover"),
    ],
)
def test_what_a_gap_cannot_explain_is_a_violation(passed: dict[str, Any], machine: str, tmp_path: Path) -> None:
    _, (verdict,) = imported(tmp_path, DRILL[0], passed, DRILL[1])
    assert verdict.outcome is Outcome.VIOLATION, machine


def test_pages_that_are_missing_are_a_gap(tmp_path: Path) -> None:
    (tmp_path / "jobs.json").write_text(json.dumps({"value": DRILL, "nextLink": "https://more"}), encoding="utf-8")
    found = import_jobs(tmp_path / "jobs.json", HYPER_V)
    (gap,) = (line for line in found.lines if line["kind"] == "gap")
    assert "end" not in gap
    assert gap["about"] in found.notes


def test_a_scenario_can_be_named_and_its_operation_must_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "jobs.json", tmp_path / "t.ndjson"
    file.write_text(json.dumps([job("MoveIt")]), encoding="utf-8")
    command = ["trace", "import", str(file), "--topology", HYPER_V, "--out", str(out)]
    assert main(command) == 2
    assert main([*command, "--scenario", "MoveIt=PlannedFailover"]) == 0
    capsys.readouterr()
    assert main([*command, "--scenario", "MoveIt=Fly"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "MoveIt=Fly" in line


@pytest.mark.parametrize("text", ["", "{}", "[", '"jobs"'])
def test_what_is_no_list_of_jobs_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.json").write_text(text, encoding="utf-8")
    with pytest.raises(TraceError, match=r"jobs\.json.*found .*; expected a list of jobs"):
        import_jobs(tmp_path / "jobs.json", HYPER_V)
