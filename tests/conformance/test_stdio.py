"""A child process as a driver: what it does wrong is told with its last words, and it is always ended."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from siteproof.conformance.case import Case, Operate, Scenario, Settle
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.drivers.remote import Remote
from siteproof.conformance.errors import DriverError
from siteproof.conformance.runner import run_case
from siteproof.model.errors import UsageError

from .driving import FLOWS, promised

FLOW = FLOWS[1]
CASE = Case(Scenario(FLOW), (Operate("m0", "EnableProtection"), Settle()))

CHILD = """
import json, os, signal, sys, time
def say(number, result): print(json.dumps({"id": number, "result": result}), flush=True)
SEEN = {"protection": "none", "active": "primary", "points": [], "running": {"primary": True}}
def greet(**more):
    can = {"name": "child", "version": 1, "operations": ["EnableProtection"], "faults": [], "reads_sides": False, **more}
    return can
for line in sys.stdin:
    ask = json.loads(line)
    number, call = ask["id"], ask["call"]
    if call in SPECIAL:
        SPECIAL[call](number)
        continue
    usual = {"handshake": greet(seconds=SECONDS), "observe": SEEN, "execute": {"answer": "unknown"}, "settle": True,
             "write": {"answer": "unknown"}, "start_machine": {"answer": "unknown"}, "step": False}
    say(number, usual.get(call))
AFTER()
"""


def child(folder: Path, special: str = "{}", *, seconds: float = 20, after: str = "lambda: None") -> str:
    """The name of a driver that answers as told; `special` is a table of what is done for a call instead."""
    file = folder / "child.py"
    head = f"SPECIAL = {special}\nSECONDS = {seconds}\nAFTER = {after}\n"
    file.write_text(CHILD.replace("for line in sys.stdin", head + "for line in sys.stdin"), encoding="utf-8")
    return f"stdio:{sys.executable} -I -S {shlex.quote(str(file))}"


def play(name: str) -> str:
    """Run a case; the error."""
    with pytest.raises(DriverError) as error:
        run_case(CASE, driver_factory(name), promised(FLOW), name=name)
    assert error.value.exit_code == 3
    return str(error.value)


def gone(number: int) -> bool:
    """Whether there is no such process any more."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_child_serves_one_case_after_the_other_and_goes_when_its_input_is_closed(tmp_path: Path) -> None:
    factory = driver_factory(child(tmp_path))
    assert isinstance(factory, Remote)
    assert run_case(CASE, factory, promised(FLOW)).divergence is None
    first = factory.idle.process.pid  # type: ignore[union-attr]
    assert run_case(CASE, factory, promised(FLOW)).divergence is None
    assert factory.idle.process.pid == first  # type: ignore[union-attr]
    assert factory.close() is True
    assert gone(first)


def test_a_child_that_ends_after_each_case_is_started_again(tmp_path: Path) -> None:
    name = child(tmp_path, "{'stop': lambda n: (say(n, None), sys.exit(0))}")
    factory = driver_factory(name)
    for _ in range(2):
        assert run_case(CASE, factory, promised(FLOW)).divergence is None


@pytest.mark.parametrize(
    ("special", "words"),
    [
        ("{'observe': lambda n: (print('no such lab', file=sys.stderr), sys.exit(7))}",
         ["exit code 7", "observe", "its last words: no such lab"]),
        ("{'start': lambda n: os.kill(os.getpid(), signal.SIGKILL)}", ["ended by signal 9", "start"]),
        ("{'handshake': lambda n: print('Welcome to Acme', flush=True)}", ["Welcome to Acme", "no JSON", "standard error"]),
        ("{'start': lambda n: 1 / 0}", ["exit code 1", "ZeroDivisionError"]),
        ("{'start': lambda n: (say(n, None), say(n, None))}", ["an answer to request 2"]),
        ("{'handshake': lambda n: say(n, greet(version=3))}", ["version 3", "version 1", "to mend"]),
        ("{'settle': lambda n: print(json.dumps({'id': n, 'error': 'stuck'}), flush=True)}", ["the error 'stuck'", "settle"]),
        ("{'start': lambda n: (print('x' * (17 << 20), flush=True))}", ["16,777,216 bytes"]),
    ],
    ids=["dies", "killed", "rubbish", "raises", "twice", "version", "error", "endless"],
)  # fmt: skip
def test_a_child_that_fails_is_told_with_its_last_words(tmp_path: Path, special: str, words: list[str]) -> None:
    told = play(child(tmp_path, special))
    assert all(word in told for word in words), told
    assert "\n" not in told


def test_a_child_that_is_too_slow_is_told_and_killed(tmp_path: Path) -> None:
    name = child(tmp_path, "{'observe': lambda n: (print(os.getpid(), file=sys.stderr), time.sleep(60))}", seconds=0.3)
    told = play(name)
    assert "no answer to observe within 0.3 s" in told
    assert gone(int(told.partition("its last words: ")[2].split(";")[0]))


def test_an_execute_that_is_too_slow_is_unknown_and_its_late_answer_is_dropped(tmp_path: Path) -> None:
    slow = "{'execute': lambda n: (time.sleep(0.5), say(n, {'answer': 'rejected', 'code': 'NotProtected'}))}"
    done = run_case(CASE, driver_factory(child(tmp_path, slow, seconds=0.4)), promised(FLOW))
    assert done.divergence is None
    assert done.records[0].answer == {"answer": "unknown"}


def test_a_child_that_does_not_go_is_killed_with_what_it_has_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    stubborn = f"lambda: (open({str(started)!r}, 'w').write(str(os.fork() or os.getpid())), time.sleep(60))"
    factory = driver_factory(child(tmp_path, after=f"lambda: (signal.signal(signal.SIGTERM, signal.SIG_IGN), ({stubborn})())"))
    assert isinstance(factory, Remote)
    run_case(CASE, factory, promised(FLOW))
    first = factory.idle.process.pid  # type: ignore[union-attr]
    assert factory.close() is False
    assert gone(first)


@pytest.mark.parametrize(("name", "words"), [("stdio:", "without a command"), ("stdio:perl 'x", "cannot be split")])
def test_a_command_that_is_none_is_a_mistake_on_the_command_line(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        driver_factory(name)


def test_a_command_that_does_not_speak_is_the_drivers_error() -> None:
    assert "cannot be started" in play("stdio:/no/such/program")
    assert "exit code 0 when handshake was asked for" in play("stdio:true")


def test_ctrl_c_ends_the_child(tmp_path: Path) -> None:
    started = tmp_path / "started"
    special = f"{{'settle': lambda n: (open({str(started)!r}, 'w').write(str(os.getpid())), time.sleep(60))}}"
    arguments = ["run", "--driver", child(tmp_path, special), "--topology", FLOW, "--max-time", "5m"]
    script = f"import sys; from siteproof.conformance.cli import main; sys.exit(main({arguments!r}))"
    tester = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while not (started.exists() and started.read_text()) and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(0.2)
        tester.send_signal(signal.SIGINT)
        assert tester.wait(60) == 130
        assert gone(int(started.read_text()))
    finally:
        tester.kill()
        tester.wait()
