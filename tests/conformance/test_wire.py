"""The wire protocol: what is sent and answered is what the schema says, and a system behind it is judged like any other."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from siteproof.conformance import case
from siteproof.conformance.case import (
    Advance,
    Case,
    Fault,
    Heal,
    Operate,
    Scenario,
    Settle,
    StartMachine,
    Steps,
    Write,
)
from siteproof.conformance.cli import main
from siteproof.conformance.content import Base
from siteproof.conformance.driver import CODES, UNKNOWN, VERSION, WORDS, Capabilities, Observation
from siteproof.conformance.drivers import wire
from siteproof.conformance.drivers.model import ModelDriver
from siteproof.conformance.drivers.remote import Lost
from siteproof.conformance.errors import DriverError
from siteproof.conformance.results import Outcome
from siteproof.conformance.runner import run_case

from .driving import FLOWS, promised, run
from .peer import InProcess, Peer, in_process, valid

FLOW = FLOWS[1]
CASE = Case(
    Scenario(FLOW),
    (
        Operate("m0", "EnableProtection"), Settle(), Write("m0", "primary", 3), Operate("m0", "UnplannedFailover", "latest"),
        Settle(),
    ),
)  # fmt: skip


def test_the_schema_is_a_schema_and_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["driver", "schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == wire.schema()
    jsonschema.Draft202012Validator.check_schema(printed)


def test_the_schema_has_the_words_of_the_interface() -> None:
    parts = wire.schema()["$defs"]
    assert parts["operation"]["enum"] == list(case.OPERATIONS)
    assert parts["fault"]["enum"] == list(case.FAULTS)
    assert parts["code"]["enum"] == list(CODES)
    shown = parts["observation"]["properties"]
    assert {name: tuple(shown[name]["enum"][:-1]) for name in WORDS} == WORDS
    assert set(shown) == ({field.name for field in Observation.__attrs_attrs__} - {"common"}) | {"time"}
    claimed = set(parts["capabilities"]["properties"])
    assert claimed == {field.name for field in Capabilities.__attrs_attrs__} | {"content", "seconds"}
    assert parts["capabilities"]["properties"]["version"]["const"] == VERSION
    assert {name.removeprefix("request.") for name in parts if name.startswith("request.")} == set(wire.CALLS)
    assert {name.removeprefix("answer.") for name in parts if name.startswith("answer.")} == set(wire.CALLS)
    assert str(wire.LIMIT) in wire.schema()["description"]


def test_a_case_over_the_wire_goes_as_one_without_and_every_message_is_in_the_schema() -> None:
    commands = (
        Operate("m0", "EnableProtection"), Steps(2), Settle(), Write("m0", "primary", 3),
        Write("m0", "primary", 4, 1, cached=True), Advance(60), Operate("m0", "Commit"), Fault("change-log"), Settle(),
        Operate("m0", "RepairReplication"), Settle(), Operate("m0", "TestFailover", "point:0"), Settle(), Write("m0", "test", 5),
        Operate("m0", "TestFailoverCleanup"), Settle(), Fault("primary-site"), Write("m0", "primary", 6),
        Operate("m0", "UnplannedFailover", "latest"), Settle(), Heal("primary-site"), StartMachine("m0", "primary"), Settle(),
        Operate("m0", "Commit"), Settle(), Operate("m0", "ReverseReplicate"), Settle(),
    )  # fmt: skip
    whole = Case(Scenario(FLOW, disks=2), commands, seed=7)
    peer = Peer(ModelDriver)
    there, here = (run_case(whole, driver, promised(FLOW)) for driver in (in_process(peer), ModelDriver))
    assert there == here
    assert there.divergence is None
    assert {"accepted", "rejected", "refused", "done"} <= {record.answer["answer"] for record in there.records}
    assert {ask["call"] for ask in peer.asked} == set(wire.CALLS)


class Limited(ModelDriver):
    def handshake(self) -> Capabilities:
        return Capabilities("limited", operations=frozenset({"EnableProtection"}), faults=frozenset(), cached_writes=False)


def test_what_is_not_claimed_over_the_wire_is_skipped_counted_and_never_green() -> None:
    result = run(FLOW, in_process(Peer(Limited)), cases=4)
    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.skipped["operation Commit"]
    told = run_case(Case(Scenario(FLOW), (Steps(2), Operate("m0", "Commit"))), in_process(Peer(Limited)), promised(FLOW))
    assert [record.answer["answer"] for record in told.records] == ["skipped", "skipped"]


def in_result(call: str, **changes: Any) -> Any:
    """Alters the result of a call; `...` removes a key."""

    def change(ask: dict[str, Any], reply: dict[str, Any]) -> Any:
        if ask["call"] != call:
            return reply
        result = {**reply["result"], **changes}
        return {**reply, "result": {key: value for key, value in result.items() if value is not ...}}

    return change


def instead(call: str, value: Any) -> Any:
    """Answers a call with something else."""
    return lambda ask, reply: value if ask["call"] == call else reply


NONSENSE = [
    ("handshake", in_result("handshake", version=2), "version 2 of the driver interface"),
    ("handshake", in_result("handshake", version=...), "without 'version'"),
    ("handshake", in_result("handshake", name=...), "without 'name'"),
    ("handshake", in_result("handshake", operations=...), "without 'operations'"),
    ("handshake", in_result("handshake", operations="all"), "'operations': \"all\""),
    ("handshake", in_result("handshake", operations=["Backup"]), "Backup"),
    ("handshake", in_result("handshake", faults=[1]), "'faults'"),
    ("handshake", in_result("handshake", stepping="yes"), "'stepping': \"yes\""),
    ("handshake", in_result("handshake", disks=0), "'disks': 0"),
    ("handshake", in_result("handshake", seconds=0), "'seconds': 0"),
    ("handshake", in_result("handshake", seconds=999), "'seconds': 999"),
    ("handshake", in_result("handshake", content=["file"]), "'content'"),
    ("handshake", in_result("handshake", stepin=True), "did you mean stepping"),
    ("start", instead("start", {"id": 2, "result": True}), "the result true"),
    ("start", instead("start", {"id": 2}), "without a 'result'"),
    ("execute", in_result("execute", answer="ok"), "the answer \"ok\""),
    ("execute", in_result("execute", answer="rejected"), "without a 'code'"),
    ("execute", in_result("execute", answer="rejected", code="Nope"), "Nope"),
    ("execute", in_result("execute", code="NotProtected"), "unknown key \"code\""),
    ("write", in_result("write", answer="done"), "the answer \"done\""),
    ("write", in_result("write", answer=True), "the answer true"),
    ("settle", instead("settle", {"id": 5, "result": None}), ""),
    ("observe", in_result("observe", protection="banana"), "protection = 'banana'"),
    ("observe", in_result("observe", protecton="none"), "did you mean protection"),
    ("observe", in_result("observe", points=[{"id": "rp-1"}]), "a point without 'kind'"),
    ("observe", in_result("observe", points=[["rp-1", "crash-consistent"]]), "a point"),
    ("observe", in_result("observe", points={}), "'points'"),
    ("observe", in_result("observe", running=[True, False]), "'running'"),
    ("observe", in_result("observe", running={"primary": 1}), "running"),
    ("observe", in_result("observe", loss="0"), "loss = '0'"),
    ("observe", in_result("observe", allowed_operations="Commit"), "'allowed_operations'"),
    ("read", in_result("read", base64="!"), "'base64': \"!\""),
    ("read", in_result("read", base64=...), "without 'base64'"),
    ("read", in_result("read", base64=17), "'base64': 17"),
]


@pytest.mark.parametrize(("call", "change", "words"), NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_is_the_drivers_error_and_is_not_in_the_schema(call: str, change: Any, words: str) -> None:
    sent: list[tuple[str, Any]] = []

    def noted(ask: dict[str, Any], reply: dict[str, Any]) -> Any:
        sent.append((ask["call"], change(ask, reply)))
        return sent[-1][1]

    with pytest.raises(DriverError) as error:
        run_case(CASE, in_process(Peer(ModelDriver, noted)), promised(FLOW), name="peer")
    assert words in str(error.value)
    assert error.value.exit_code == 3
    assert error.value.expected
    assert not valid(f"answer.{call}", next(reply for asked, reply in sent if asked == call))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"Starting up", "which is no JSON"),
        (b"[1, 2]", "has no 'id'"),
        (b'{"result": null}', "has no 'id'"),
        (b'{"id": 9, "result": null}', "an answer to request 9"),
        (b'{"id": true, "result": null}', "an answer to request True"),
        (b'{"id": 1, "error": "no such lab"}', "the error 'no such lab'"),
        (b'{"id": 1, "error": 7}', "'error': 7"),
        (b'{"id": 1, "result": null, "hint": 1}', "unknown key \"hint\""),
        (b"\xff\xfe", "which is no JSON"),
    ],
)
def test_an_answer_that_is_none_is_told(reply: bytes, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Peer, "answer", lambda _self, _text: reply)
    with pytest.raises(DriverError) as error:
        run_case(CASE, in_process(Peer(ModelDriver)), promised(FLOW), name="peer")
    assert words in str(error.value)


class Loses(InProcess):
    """Carries a request out, and loses its answer."""

    lost = ("execute", "write")

    def ask(self, message: bytes, what: str, seconds: float) -> bytes:
        answer = super().ask(message, what, seconds)
        if what in self.lost:
            raise Lost(f"no answer to {what} within {seconds:g} s")
        return answer


def losing(*calls: str) -> Any:
    remote = in_process(Peer(ModelDriver))
    made = type("Losing", (Loses,), {"lost": calls})
    remote._open = lambda: made(Peer(ModelDriver))
    return remote


def test_an_answer_that_is_lost_is_unknown_and_no_verdict() -> None:
    told = run_case(CASE, losing("execute", "write"), promised(FLOW))
    assert told.divergence is None
    assert [record.answer["answer"] for record in told.records] == ["unknown", "done", "unknown", "unknown", "done"]
    assert told.records[-1].observation["m0"]["failover"] == "unplanned"


@pytest.mark.parametrize("call", ["handshake", "start", "settle", "observe", "read", "stop"])
def test_an_answer_that_must_not_be_lost_is_the_drivers_error(call: str) -> None:
    with pytest.raises(DriverError, match=f"no answer to {call} within 20 s"):
        run_case(CASE, losing(call), promised(FLOW))


def test_null_is_unknown_but_where_it_is_none() -> None:
    seen = wire.read_observation({"job": None, "loss": None, "running": {"primary": True}, "points": []})
    assert (seen.job, seen.loss, seen.points, seen.running) == (None, None, (), (True, UNKNOWN))
    assert seen.received is UNKNOWN


def test_a_disk_that_fits_no_message_needs_a_file() -> None:
    class Large(Base):
        def __init__(self) -> None:
            self.blocks, self.image = 1 << 20, None

    with pytest.raises(wire.Nonsense, match="'file'"):
        wire.base_to_json(Large(), None)
