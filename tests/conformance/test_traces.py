"""Traces: a run and its trace come to the same verdict, what is unknown accuses nobody, and overlapping entries are tried in
every order that respects real time."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from siteproof.conformance.case import Scenario
from siteproof.conformance.cli import main
from siteproof.conformance.corpus import Corpus
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.engines.random import RandomEngine
from siteproof.conformance.results import Divergence, Outcome
from siteproof.conformance.session import DriverFactory, Session
from siteproof.conformance.traces.check import CaseVerdict, check, check_case
from siteproof.conformance.traces.reading import Reader
from siteproof.conformance.traces.record import TraceWriter
from siteproof.conformance.traces.values import TraceError
from tests.conformance.driving import FLOWS, promised
from tests.seeds import seed_for

ROOT = Path(__file__).parents[2]
HYPER_V = FLOWS[1]
HEAD = {"kind": "siteproof trace", "format": 1}
END = {"kind": "end"}
Row = dict[str, Any]


def opened(flow: str, **more: Any) -> Row:
    return {"kind": "case", "scenario": {"topology": flow, "machines": ["m0"]}, **more}


def asked(operation: str, answer: str | None = "accepted", **more: Any) -> Row:
    return {"kind": "operation", "machine": "m0", "operation": operation, **({"answer": answer} if answer else {}), **more}


def looked(**fields: Any) -> Row:
    at = {key: fields.pop(key) for key in ("at", "start", "end") if key in fields}
    return {"kind": "look", **at, "seen": {"m0": fields}}


def written(file: Path, *rows: Row) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def judged(file: Path, *rows: Row, orders: int = 5_000) -> CaseVerdict:
    """The verdict on the one case that the rows make up."""
    (case,) = Reader(written(file, HEAD, *rows, END)).cases()
    return check_case(case, promised(case.scenario.topology), orders=orders)


@attrs.frozen
class Opened:
    """Opens recorded sessions for an engine."""

    scenario: Scenario
    driver: DriverFactory
    recorder: TraceWriter
    corpus: Corpus = attrs.Factory(Corpus)

    def __call__(self, seed: int) -> Session:
        return Session(self.scenario, seed, self.driver, promised(self.scenario.topology), recorder=self.recorder)


def played(file: Path, flow: str, driver: str, seed: int, cases: int) -> list[Session]:
    """Cases of the random engine, recorded."""
    engine = RandomEngine(random.Random(seed), length=20)
    shapes = (Scenario(flow), Scenario(flow, ("m0", "m1")), Scenario(flow, disks=2))
    with TraceWriter(file) as recorder:
        return [engine.case(Opened(shapes[n % 3], driver_factory(driver), recorder)) for n in range(cases)]


def same(live: Divergence | None, trace: Divergence | None) -> bool:
    """Whether both say the same; a trace counts its looks as steps."""
    return (live and attrs.evolve(live, step=0)) == (trace and attrs.evolve(trace, step=0))


def seeded_bugs() -> list[str]:
    """Two that show in a few cases, and some that are drawn, so that over time all get their turn."""
    from siteproof.conformance.drivers.bugs import BUGS as ALL

    drawn = random.Random(seed_for("bugs of traces")).sample([bug.id for bug in ALL], 3)
    return ["reverse-without-commit", "commit-keeps-points", *drawn]


@pytest.mark.parametrize("flow", FLOWS)
def test_the_verdict_of_a_run_and_of_its_trace_agree(flow: str, tmp_path: Path) -> None:
    found = 0
    for driver in ("bundled", "model", *(f"bundled+{bug}" for bug in seeded_bugs())):
        seed = seed_for(f"trace of {driver}")
        print(f"seed {seed}")
        sessions = played(tmp_path / "run.ndjson", flow, driver, seed, 4)
        cases = list(Reader(tmp_path / "run.ndjson").cases())
        assert len(cases) == len(sessions)
        for session, case in zip(sessions, cases, strict=True):
            verdict = check_case(case, promised(flow))
            assert same(session.divergence, verdict.divergence), (driver, seed, session.divergence, verdict)
            assert session.overflow == (verdict.outcome is Outcome.INCONCLUSIVE)
            found += session.divergence is not None
            if session.divergence is not None:
                assert verdict.accepted < verdict.entries
    assert found


def thinned(rows: list[Row], chance: random.Random) -> list[Row]:
    """The same with much of it left out: fields, contents, answers, codes."""
    found = []
    for row in json.loads(json.dumps(rows)):
        for seen in row.get("seen", {}).values():
            for field in [f for f in seen if chance.random() < 0.4]:
                del seen[field]
        if chance.random() < 0.4:
            row.pop("read", None)
        if chance.random() < 0.3:
            row.pop("code", None)
        if row["kind"] in ("operation", "write", "start-machine") and row.get("answer") != "skipped" and chance.random() < 0.2:
            row.pop("answer", None)
            row.pop("code", None)
        found.append(row)
    return found


@pytest.mark.parametrize("flow", FLOWS)
def test_unknown_is_not_false(flow: str, tmp_path: Path) -> None:
    seed = seed_for(f"thinned {flow}")
    print(f"seed {seed}")
    played(tmp_path / "run.ndjson", flow, "bundled", seed, 6)
    rows = [json.loads(line) for line in (tmp_path / "run.ndjson").read_text(encoding="utf-8").splitlines()]
    for number in range(3):
        written(tmp_path / "thin.ndjson", *thinned(rows, random.Random(seed + number)))
        for case in Reader(tmp_path / "thin.ndjson").cases():
            verdict = check_case(case, promised(flow))
            assert verdict.divergence is None, (seed, number, verdict)


def test_what_happened_in_order_is_also_accepted_where_the_order_is_not_told(tmp_path: Path) -> None:
    seed = seed_for("overlapping")
    print(f"seed {seed}")
    played(tmp_path / "run.ndjson", HYPER_V, "bundled", seed, 2)
    rows = [json.loads(line) for line in (tmp_path / "run.ndjson").read_text(encoding="utf-8").splitlines()]
    number = 0
    for row in rows:
        if row["kind"] not in ("siteproof trace", "case", "case-end", "end"):
            number += 1
            row.update(start=number - number % 2, end=number + 0.5)
    written(tmp_path / "wide.ndjson", *rows)
    for case in Reader(tmp_path / "wide.ndjson").cases():
        verdict = check_case(case, promised(HYPER_V))
        assert verdict.outcome is Outcome.CONFORMS, (seed, verdict)


BEGUN = (opened(HYPER_V), asked("EnableProtection"), {"kind": "settle"})


def test_overlapping_requests_are_accepted_in_the_one_order_that_explains_them(tmp_path: Path) -> None:
    file = tmp_path / "t.ndjson"
    first = asked("DisableProtection", "rejected", code="JobInProgress", start=10, end=20)
    second = asked("PlannedFailover", start=11, end=19)
    assert judged(file, *BEGUN, first, second).outcome is Outcome.CONFORMS
    apart = judged(file, *BEGUN, {**first, "end": 10.5}, second)
    assert apart.outcome is Outcome.VIOLATION
    assert (apart.accepted, apart.line) == (2, 5)
    both = judged(file, *BEGUN, asked("EnableProtection", start=10, end=20), second)
    assert both.outcome is Outcome.VIOLATION
    assert both.divergence is not None
    assert "in every order" in both.divergence.conjunct
    assert both.accepted == 3


def test_more_orders_than_the_bound_are_inconclusive_and_say_so(tmp_path: Path) -> None:
    rows = [asked("Commit", "rejected", start=10, end=20) for _ in range(8)]
    verdict = judged(tmp_path / "t.ndjson", *BEGUN, *rows, orders=20)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "more than 20 trials" in verdict.reason
    assert judged(tmp_path / "t.ndjson", *BEGUN, *rows).outcome is Outcome.CONFORMS


def test_overlapping_writes_accuse_nobody(tmp_path: Path) -> None:
    write = {"kind": "write", "machine": "m0", "side": "primary", "answer": "done"}
    disk: Row = {"1": 1}
    rows = [
        {**write, "block": 1, "start": 10, "end": 20},
        {**write, "block": 1, "start": 11, "end": 21},
        {**looked(active="primary", start=12, end=22), "read": {"m0": {"primary": {"writes": disk}}}},
        {**looked(active="primary", at=30), "read": {"m0": {"primary": {"writes": {"1": 2}}}}},
    ]
    assert judged(tmp_path / "t.ndjson", *BEGUN, *rows).outcome is Outcome.CONFORMS
    disk["2"] = 1
    verdict = judged(tmp_path / "t.ndjson", *BEGUN, *rows)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "order of the file" in verdict.reason


def test_faults_are_in_the_trace_unless_it_says_that_they_are_unseen(tmp_path: Path) -> None:
    refused = asked("PlannedFailover", "rejected", code="SitesNotConnected")
    assert judged(tmp_path / "t.ndjson", *BEGUN, refused).outcome is Outcome.VIOLATION
    unseen = opened(HYPER_V, unseen=["faults"])
    assert judged(tmp_path / "t.ndjson", unseen, *BEGUN[1:], refused).outcome is Outcome.CONFORMS
    impossible = asked("PlannedFailover", "rejected", code="NoFailoverToCommit")
    assert judged(tmp_path / "t.ndjson", unseen, *BEGUN[1:], impossible).outcome is Outcome.VIOLATION


def test_writes_are_in_the_trace_unless_it_says_that_they_are_unseen(tmp_path: Path) -> None:
    rows = (*BEGUN[1:], asked("UnplannedFailover"), {"kind": "settle"}, looked(failover="unplanned", received=7, loss=3))
    assert judged(tmp_path / "t.ndjson", opened(HYPER_V), *rows).outcome is Outcome.VIOLATION
    assert judged(tmp_path / "t.ndjson", opened(HYPER_V, unseen=["writes"]), *rows).outcome is Outcome.CONFORMS


@pytest.mark.parametrize(
    ("received", "loss", "field"),
    [(0, 1, None), (1, 0, None), (1, 1, "counts"), (0, 0, "counts"), (7, 1, "received"), (1, 7, "loss"), (7, 7, "received")],
)
def test_of_two_counts_that_contradict_each_other_neither_is_accused(
    received: int, loss: int, field: str | None, tmp_path: Path
) -> None:
    write = {"kind": "write", "machine": "m0", "side": "primary", "block": 0, "answer": "done"}
    seen = looked(failover="unplanned", job=None, received=received, loss=loss)
    found = judged(tmp_path / "t.ndjson", *BEGUN, write, asked("UnplannedFailover"), {"kind": "settle"}, seen).divergence
    assert (found.field if found else None) == field
    if found is not None and field == "counts":
        assert found.found == f"received {received}, loss {loss}"
        assert "received 0, loss 1" in found.expected
        assert "received 1, loss 0" in found.expected
        assert f"{received} and {loss}, cannot both be true" in found.sentence


@pytest.mark.parametrize(("fields", "accepted"), [({"failover": "planned"}, True), ({"failover": "unplanned"}, False)])
def test_one_known_field_is_judged(fields: Row, accepted: bool, tmp_path: Path) -> None:
    verdict = judged(tmp_path / "t.ndjson", *BEGUN, asked("PlannedFailover", None), looked(job=None, **fields))
    assert (verdict.outcome is Outcome.CONFORMS) == accepted
    assert verdict.untold["active"] == 1
    if verdict.divergence is not None:
        assert (verdict.divergence.field, verdict.divergence.found) == ("failover", "unplanned")


def test_a_point_that_was_never_listed_may_be_named_and_one_that_is_not_on_the_list_may_not(tmp_path: Path) -> None:
    file, request = tmp_path / "t.ndjson", asked("UnplannedFailover", point="monday")
    assert judged(file, *BEGUN, request).outcome is Outcome.CONFORMS
    listed = looked(points=[{"id": "monday", "kind": "crash-consistent"}])
    assert judged(file, *BEGUN, listed, request).outcome is Outcome.CONFORMS
    other = looked(points=[{"id": "sunday", "kind": "crash-consistent"}])
    assert judged(file, opened(HYPER_V, moves_by_itself=False), *BEGUN[1:], other, request).outcome is Outcome.VIOLATION


def test_an_assumption_that_is_impossible_is_no_violation(tmp_path: Path) -> None:
    verdict = judged(tmp_path / "t.ndjson", opened(FLOWS[0]), asked("Commit", assumed="it had failed over"))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.assumed == ("it had failed over",)


REVERSED = asked("ReverseReplicate", at=30)
FAILED_OVER = (asked("PlannedFailover", at=10), looked(job=None, failover="planned", at=20))


@pytest.mark.parametrize(
    ("gap", "outcome"),
    [
        ({"at": 25}, Outcome.INCONCLUSIVE),
        ({"machine": "m0", "start": 25, "end": 35, "about": "the night shift"}, Outcome.INCONCLUSIVE),
        ({"at": 25, "operations": 1}, Outcome.INCONCLUSIVE),
        ({"start": 5, "end": 15, "operations": 1}, Outcome.VIOLATION),
        ({"at": 40}, Outcome.VIOLATION),
    ],
)
def test_a_gap_explains_what_came_after_it_and_nothing_before(gap: Row, outcome: Outcome, tmp_path: Path) -> None:
    rows = [asked("EnableProtection", at=0), *FAILED_OVER, REVERSED, {"kind": "gap", **gap}]
    rows.sort(key=lambda row: row.get("at", row.get("start", 0)))
    verdict = judged(tmp_path / "t.ndjson", opened(HYPER_V), *rows)
    assert verdict.outcome is outcome, verdict
    assert len(verdict.gaps) == 1
    assert verdict.divergence is not None


def test_a_gap_that_nothing_needs_conforms_and_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gap = {"kind": "gap", "about": "the night shift"}
    file = written(tmp_path / "t.ndjson", HEAD, *BEGUN, gap, asked("PlannedFailover"), END)
    assert main(["trace", "check", str(file)]) == 0
    assert "not told: line 5 (the night shift)" in capsys.readouterr().out


def test_what_no_operation_in_a_gap_explains_is_a_violation(tmp_path: Path) -> None:
    at_once = (looked(running={"primary": True, "recovery": True}, active="recovery"),)
    verdict = judged(tmp_path / "t.ndjson", *BEGUN, {"kind": "gap"}, looked(protection="protected", direction="reverse"))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    spread = {"kind": "write", "machine": "m0", "side": "primary", "block": 1, "answer": "done"}
    lost = {**looked(active="primary"), "read": {"m0": {"primary": {"writes": {"7": 1}}}}}
    verdict = judged(tmp_path / "t.ndjson", *BEGUN, {"kind": "gap"}, spread, lost, *at_once)
    assert verdict.outcome is Outcome.VIOLATION
    assert verdict.accepted == 4


PROTECTED = looked(protection="protected", active="primary", job=None)
FRESH = looked(protection="none", active="primary", failover="none")


@pytest.mark.parametrize(
    "first",
    [
        (PROTECTED, asked("PlannedFailover")),
        (asked("PlannedFailover"),),
        (looked(failover="committed", active="recovery"), asked("ReverseReplicate")),
        (looked(protection="protected", resync="required"),),
        (looked(protection="none", active="recovery", failover="committed", job=None), asked("ReverseReplicate")),
        (asked("DisableProtection") | looked(protection="none") | {"kind": "operation"},),
        (asked("EnableProtection", None), looked(protection="protected", direction="reverse")),
        (asked("EnableProtection", "rejected"), asked("Commit")),
    ],
)
def test_a_trace_that_begins_in_mid_life_accuses_nobody_and_tells_the_line_to_add(first: tuple[Row, ...], tmp_path: Path) -> None:
    verdict = judged(tmp_path / "t.ndjson", opened(HYPER_V), *first)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    told = re.search(r"add before line 3: ({.*?})", verdict.reason)
    assert told is not None
    row = json.loads(told[1])
    assert row["assumed"]
    assert '"unseen": ["writes", "faults"]' in verdict.reason
    if first[0] == PROTECTED:
        assert judged(tmp_path / "t.ndjson", opened(HYPER_V), row, *first).outcome is Outcome.CONFORMS


@pytest.mark.parametrize("seen", [{"received": 5}, {"resync": "required"}])
def test_who_follows_the_advice_is_not_accused(seen: Row, tmp_path: Path) -> None:
    first = looked(protection="protected", **seen)
    verdict = judged(tmp_path / "t.ndjson", opened(HYPER_V), first)
    told = re.search(r"add before line 3: ({.*?}).*(\"unseen\": .*])", verdict.reason)
    assert told is not None
    again = judged(tmp_path / "t.ndjson", opened(HYPER_V, **json.loads("{" + told[2] + "}")), json.loads(told[1]), first)
    assert again.outcome is Outcome.CONFORMS


def test_one_machines_assumption_does_not_hide_the_violation_of_another(tmp_path: Path) -> None:
    other = {"kind": "operation", "machine": "m1", "answer": "accepted"}
    case = {"kind": "case", "scenario": {"topology": HYPER_V, "machines": ["m0", "m1"]}}
    theirs = (other | {"operation": "EnableProtection"}, other | {"operation": "Commit"})
    verdict = judged(tmp_path / "t.ndjson", case, asked("Commit", assumed="somebody said so"), *theirs)
    assert (verdict.outcome, verdict.line) == (Outcome.VIOLATION, 5)


@pytest.mark.parametrize(("branch", "promise"), [({}, "P21"), ({"branch": 2}, "P21")])
def test_a_write_that_is_lost_after_a_failover_is_not_its_fault(branch: Row, promise: str, tmp_path: Path) -> None:
    write = {"kind": "write", "machine": "m0", "side": "recovery", "block": 1, "answer": "done", **branch}
    lost = {**looked(active="recovery"), "read": {"m0": {"recovery": {"writes": {}}}}}
    rows = (*BEGUN, asked("UnplannedFailover"), {"kind": "settle"}, write, lost)
    verdict = judged(tmp_path / "t.ndjson", *rows)
    assert verdict.divergence is not None
    assert verdict.divergence.promise == promise


def test_content_that_names_a_write_that_was_never_told_is_an_error_of_the_file(tmp_path: Path) -> None:
    row = {**looked(active="primary"), "read": {"m0": {"primary": {"writes": {"3": 9}}}}}
    with pytest.raises(TraceError, match="write 9 in primary"):
        judged(tmp_path / "t.ndjson", *BEGUN, row)


@pytest.mark.parametrize(
    "rows",
    [
        (FRESH, looked(protection="protected")),
        (PROTECTED, asked("PlannedFailover"), looked(job=None, failover="planned"), asked("ReverseReplicate")),
        (asked("EnableProtection"), asked("Commit")),
    ],
)
def test_what_nothing_before_it_explains_is_a_violation(rows: tuple[Row, ...], tmp_path: Path) -> None:
    assert judged(tmp_path / "t.ndjson", opened(HYPER_V), *rows).outcome is Outcome.VIOLATION


@pytest.mark.parametrize(
    ("recorded", "last", "outcome"),
    [
        (False, {"found": {}}, Outcome.VIOLATION),
        (True, None, Outcome.VIOLATION),
        (False, {}, Outcome.INCONCLUSIVE),
        (False, None, Outcome.INCONCLUSIVE),
    ],
)
def test_a_recorded_case_begins_at_its_beginning(recorded: bool, last: Row | None, outcome: Outcome, tmp_path: Path) -> None:
    """Also one that was interrupted, and has no end."""
    ends = () if last is None else ({"kind": "case-end", **last},)
    verdict = judged(tmp_path / "t.ndjson", opened(HYPER_V, recorded=recorded), asked("PlannedFailover"), *ends)
    assert verdict.outcome is outcome


def test_what_is_half_a_line_can_be_mended_as_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path / "t.ndjson", HEAD, *BEGUN, asked("PlannedFailover", note="Ausfall"))
    whole = file.read_bytes().replace(b"Ausfall", "Übung".encode())
    for size in (30, 4, whole[::-1].index("Ü".encode()[:1])):  # the last cuts a character in two
        file.write_bytes(whole[:-size])
        assert main(["trace", "check", str(file)]) == 4
        told = capsys.readouterr().err
        assert 'put {"kind": "end"} in the place of line 5' in told
        *lines, _half = file.read_bytes().split(b"\n")
        file.write_bytes(b"\n".join([*lines, b'{"kind": "end"}', b""]))
        assert main(["trace", "check", str(file)]) == 0
        capsys.readouterr()


def test_a_mistyped_topology_is_told_with_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path / "t.ndjson", HEAD, *BEGUN, opened("hyper-v-to-secondary-sit"), {"kind": "settle"}, END)
    assert main(["trace", "check", str(file)]) == 4
    (one,) = capsys.readouterr().err.splitlines()
    assert "t.ndjson, line 5: found the topology" in one
    assert "did you mean hyper-v-to-secondary-site" in one


def test_a_trace_in_which_nothing_is_told_is_inconclusive(tmp_path: Path) -> None:
    file = written(tmp_path / "t.ndjson", HEAD, opened(HYPER_V), asked("EnableProtection", None), looked(), END)
    assert check(Reader(file), promised).outcome is Outcome.INCONCLUSIVE
    assert check(Reader(written(file, HEAD, END)), promised).outcome is Outcome.INCONCLUSIVE


def test_a_trace_is_never_better_than_what_its_run_came_to(tmp_path: Path) -> None:
    rows = [HEAD, *BEGUN, {**END, "outcome": "inconclusive", "reason": "too little was covered"}]
    verdict = check(Reader(written(tmp_path / "t.ndjson", *rows)), promised)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "too little was covered" in verdict.reason
    told = {"kind": "case-end", "found": {"promise": "P1", "sentence": "it lost data"}}
    differs = check(Reader(written(tmp_path / "t.ndjson", HEAD, *BEGUN, told, END)), promised)
    assert differs.outcome is Outcome.INCONCLUSIVE
    assert "P1, it lost data" in differs.reason


def _cut(text: str) -> str:
    return text[:-25]


@pytest.mark.parametrize(
    ("change", "line", "told"),
    [
        (_cut, 4, "cut off"),
        (lambda text: text.replace('{"kind": "end"}\n', ""), 5, "end of the file"),
        (lambda text: text.replace('"format": 1', '"format": 2'), 1, "format 2"),
        (lambda text: text.replace("siteproof trace", "a diary"), 1, "'a diary'"),
        (lambda _: "", 1, "an empty file"),
        (lambda text: text.replace("accepted", "acepted"), 3, "'acepted'"),
        (lambda text: text.replace("EnableProtection", "EnableIt"), 3, "'EnableIt'"),
        (lambda text: text.replace('"machine": "m0"', '"machine": "m7"'), 3, "'m7'"),
        (lambda text: text.replace('"kind": "settle"', '"kind": "sit"'), 4, "'sit'"),
        (lambda text: text.replace('"kind": "settle"', '"kind": "settle", "seen": {"m0": {"job": "Nap"}}'), 4, "'Nap'"),
        (lambda text: text.replace('"kind": "settle"', '"kind": "settle", "seen": {"m0": {"jab": null}}'), 4, "'jab'"),
        (lambda text: text.replace('"kind": "settle"', '"kind": "settle", "at": "noon"'), 4, "'noon'"),
        (lambda text: text.replace('"kind": "settle"', '"kind": "gap", "operations": 7'), 4, "operations 7"),
        (lambda text: text.replace('"kind": "settle"', '"kind": "gap", "machine": "m7"'), 4, "'m7'"),
        (lambda text: text.replace('"kind": "settle"', '"kind": "gap", "seen": {}'), 4, "'seen'"),
        (lambda text: text.replace('"kind": "settle"', '"kind": "settle", "answer": []'), 4, "[]"),
        (lambda text: text.replace('"kind": "settle"', '"kind": "look", "read": {"m0": {"p1": 3}}'), 4, "content 3 of p1"),
        (lambda text: text.replace('{"kind": "settle"', '["kind", "settle"]\n{"kind": "settle"'), 4, "list"),
        (lambda text: text + '{"kind": "look"}\n', 6, "after"),
    ],
)  # fmt: skip
def test_a_damaged_trace_is_one_line_that_names_file_and_line(
    change: Callable[[str], str], line: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / "bad.ndjson", HEAD, *BEGUN, END)
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(TraceError, match=re.escape(f"bad.ndjson, line {line}: found")) as caught:
        list(Reader(file).cases())
    assert told in caught.value.found + caught.value.expected
    assert caught.value.mend
    assert main(["trace", "check", str(file)]) == 4
    (one,) = capsys.readouterr().err.splitlines()
    assert one.startswith("siteproof: ")


def test_the_drill_of_the_page_is_judged_as_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "trace.md").read_text(encoding="utf-8")
    drill, shown = (re.search(rf"```{kind}\n(.*?)```", page, re.S).group(1) for kind in ("json", "text"))  # type: ignore[union-attr]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    Path("drill.ndjson").write_text(drill, encoding="utf-8")
    assert main(["trace", "check", "drill.ndjson", "--json", "found.json"]) == 1
    assert capsys.readouterr().out.startswith(shown)
    document = json.loads(Path("found.json").read_text(encoding="utf-8"))
    assert document["schema"] == "siteproof.trace/1"
    assert document["cases"][0]["line"] == 7
    *begun, reverse, commit, end = (json.loads(line) for line in drill.splitlines())
    reverse["at"], commit["at"] = commit["at"], reverse["at"]
    written(Path("drill.ndjson"), *begun, commit, reverse, end)
    assert main(["trace", "check", "drill.ndjson"]) == 0
