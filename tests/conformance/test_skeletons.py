"""What `driver new` writes works as it stands, and a wrong replicator in another process and language is judged correctly."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from siteproof.conformance.acquaintance import Acquaintance, Standing
from siteproof.conformance.case import Case, Fault, Heal, Operate, Scenario, Settle, Steps, Write
from siteproof.conformance.cli import main
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.drivers.stdio import StdioCarrier
from siteproof.conformance.drivers.wire import CALLS
from siteproof.conformance.results import Outcome
from siteproof.conformance.runner import run_case
from siteproof.conformance.skeletons.toy import ToyDriver
from tests.soak import soak

from .driving import promised, run
from .peer import valid

FLOW = "scout-to-secondary-site"
perl = pytest.mark.skipif(shutil.which("perl") is None, reason="there is no perl here: the Debian package perl makes it run")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr("siteproof.conformance.cli.running.promised_for", lambda topology: promised(topology.id))


def new(language: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Write a skeleton; the name of its driver."""
    assert main(["driver", "new", f"acme_{language}", "--language", language, "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "siteproof.driver-new/1"
    return str(document["driver"])


@pytest.mark.parametrize("language", ["python", pytest.param("perl", marks=perl)])
def test_a_new_driver_works_as_it_stands(language: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = new(language, capsys)
    sys.path.append(str(Path.cwd()))
    factory = driver_factory(name)
    found = list(Acquaintance(name, factory, FLOW, promised(FLOW)).findings())
    assert found[0].text.startswith(f"acme_{language}, version 1")
    assert {one.standing for one in found} == {Standing.WORKS}


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text("precious", encoding="utf-8")
    assert main(["driver", "new", "mine"]) == 4
    assert "mine.py is already" in capsys.readouterr().err
    assert Path("mine.py").read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("name", ["My-System", "1st", "a/b", "../x", ""])
def test_a_name_that_is_no_name_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["driver", "new", name]) == 4
    assert "write it like my_system" in capsys.readouterr().err
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize("name", ["json", "sys", "siteproof", "rich"])
def test_a_name_that_another_module_has_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["driver", "new", name]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "the name of a module that Python has already" in line
    assert f"choose another, such as my_{name}" in line
    assert not list(Path.cwd().iterdir())


CASE = Case(
    Scenario(FLOW, disks=2),
    (
        Operate("m0", "EnableProtection"), Settle(), Write("m0", "primary", 3), Steps(1),
        Write("m0", "primary", 4, 1, cached=True), Write("m0", "primary", 5), Fault("primary-site"),
        Operate("m0", "UnplannedFailover", "latest"), Settle(),
        Write("m0", "recovery", 1), Heal("primary-site"), Settle(), Operate("m0", "Commit"), Settle(),
        Operate("m0", "ReverseReplicate"), Settle(), Fault("change-log"), Settle(), Operate("m0", "RepairReplication"), Settle(),
    ),
)  # fmt: skip


@perl
def test_the_two_toys_are_one_system_and_each_message_is_in_the_schema(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def checked(self: StdioCarrier, message: bytes, what: str, seconds: float) -> bytes:
        answer = ask(self, message, what, seconds)
        seen.append(what)
        assert valid(f"request.{what}", json.loads(message)), message[:200]
        assert valid(f"answer.{what}", json.loads(answer)), answer[:200]
        return answer

    ask = StdioCarrier.ask
    monkeypatch.setattr(StdioCarrier, "ask", checked)
    told = run_case(CASE, driver_factory(new("perl", capsys)), promised(FLOW))
    assert told == run_case(CASE, ToyDriver, promised(FLOW))
    assert set(seen) == set(CALLS) - {"advance", "start_machine"}
    assert told.divergence is None
    assert told.records[-1].observation["m0"]["loss"] == 2


WRONG = {
    "counts what was never received": (
        "$m->{received} = $target->{position};", "$m->{received} = source($m)->{position};", "received", "P2"
    ),
    "forgets the fence": (
        "@$former{qw(running boots cache)} = (0, 0, []);", "$former->{boots} = 0;", "running at both sides", "P3"
    ),
    "loses a write on its way": (
        "put(target($m), shift @{ $m->{log} });", "put(target($m), pop @{ $m->{log} });", "points", "P4"
    ),
}  # fmt: skip


@perl
@pytest.mark.parametrize("what", [what if number == 0 else pytest.param(what, marks=soak) for number, what in enumerate(WRONG)])
def test_a_wrong_replicator_in_another_process_and_language_is_judged_correctly(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong, field, promise = WRONG[what]
    name = new("perl", capsys)
    file = Path("acme_perl.pl")
    text = file.read_text(encoding="utf-8")
    assert text.count(right) == 1
    file.write_text(text.replace(right, wrong), encoding="utf-8")
    arguments = ["--topology", FLOW, "--max-time", "5m", "--seed", "2", "--machines", "1", "--disks", "1", "--json", "-"]
    assert main(["run", "--driver", name, *arguments]) == 1
    captured = capsys.readouterr()
    assert f"first divergence: m0, {field}" in captured.err
    (told,) = json.loads(captured.out)["flows"][0]["campaigns"]
    assert told["outcome"] == "violation"
    assert told["counterexample"]["divergence"]["promise"] == promise
    assert told["counterexample"]["minimal"]


@soak
@perl
@pytest.mark.parametrize("language", ["python", "perl"])
def test_a_new_driver_conforms(language: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = new(language, capsys)
    sys.path.append(str(Path.cwd()))
    result = run(FLOW, driver_factory(name), cases=500)
    assert result.outcome is Outcome.CONFORMS, result.reason
    assert not result.skipped
