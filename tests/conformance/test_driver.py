"""A driver that fails is told as such, and is never a verdict on the system."""

import re
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from siteproof.conformance.case import Case, Operate, Scenario, Settle, Steps, Write
from siteproof.conformance.cli import main
from siteproof.conformance.content import Base
from siteproof.conformance.driver import UNKNOWN, Answer, Capabilities, Driver, Observation, Rejected
from siteproof.conformance.drivers.bundled import BundledDriver
from siteproof.conformance.drivers.model import ModelDriver
from siteproof.conformance.drivers.registry import driver_factory, drivers
from siteproof.conformance.errors import DriverError
from siteproof.conformance.guarded import Guarded
from siteproof.conformance.results import Outcome
from siteproof.conformance.runner import run_case
from siteproof.model.errors import UsageError

from .driving import FLOWS, promised, run

FLOW = FLOWS[1]
CASE = Case(Scenario(FLOW), (Operate("m0", "EnableProtection"), Settle()))


class Raises(ModelDriver):
    def settle(self) -> bool:
        raise ValueError("no such socket")


class Nonsense(ModelDriver):
    def execute(self, machine: str, operation: str, point: str | None) -> Answer:  # noqa: ARG002
        return "ok"  # type: ignore[return-value]


class Blind(ModelDriver):
    def observe(self, machine: str) -> Observation:  # noqa: ARG002
        return {}  # type: ignore[return-value]


class Old(ModelDriver):
    def handshake(self) -> Capabilities:
        return attrs.evolve(super().handshake(), version=0)


@pytest.mark.parametrize(
    ("driver", "told"),
    [(Raises, "no such socket"), (Nonsense, "'ok'"), (Blind, "{}"), (Old, "version 0")],
)
def test_a_driver_that_fails_is_named(driver: type, told: str) -> None:
    with pytest.raises(DriverError) as error:
        run_case(CASE, driver, promised(FLOW), name="mine")
    assert told in str(error.value)
    assert "driver mine" in str(error.value)
    assert error.value.exit_code == 3


def test_a_driver_that_hangs_is_interrupted() -> None:
    guarded = Guarded(ModelDriver(), "mine", deadline=0.05)
    with pytest.raises(DriverError, match="no answer within"), guarded.deadline_for("settle"):
        time.sleep(5)


def test_the_alarm_is_given_back_when_the_case_is_over() -> None:
    def mine(*_: object) -> None:
        raise AssertionError("nobody set this alarm")

    before = signal.signal(signal.SIGALRM, mine)
    try:
        for _ in range(2):
            guarded = Guarded(ModelDriver(), "mine", deadline=0.05)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # somebody else takes it, and ours is put back for the next case
            guarded = Guarded(ModelDriver(), "mine", deadline=0.05)
            with pytest.raises(DriverError, match="in words"), guarded.deadline_for(lambda: "in words"):
                time.sleep(5)
            signal.signal(signal.SIGALRM, mine)
            guarded = Guarded(ModelDriver(), "mine")
            guarded.start(CASE.scenario, 0, Base(4))
            guarded.stop()
            assert signal.getsignal(signal.SIGALRM) is mine
            assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    finally:
        signal.signal(signal.SIGALRM, before)


class Leaves(ModelDriver):
    def start(self, scenario: Scenario, seed: int, base: Any) -> None:  # noqa: ARG002
        raise SystemExit(0)


class LeavesAtTheEnd(Raises):
    def stop(self) -> None:
        raise SystemExit(0)


class Unready(ModelDriver):
    def __init__(self) -> None:
        raise OSError("no lab")


@pytest.mark.parametrize(("driver", "told"), [(Leaves, "start raised SystemExit: 0"), (LeavesAtTheEnd, "no such socket")])
def test_a_driver_cannot_end_the_tester(driver: type, told: str) -> None:
    with pytest.raises(DriverError, match=told):
        run_case(CASE, driver, promised(FLOW), name="mine")


def test_a_driver_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lab", SimpleNamespace(Unready=Unready))  # type: ignore[arg-type]
    with pytest.raises(DriverError, match="its constructor raised OSError: no lab"):
        run_case(CASE, driver_factory("lab:Unready"), promised(FLOW))


def altered(**changes: Any) -> type[ModelDriver]:
    class Altered(ModelDriver):
        def observe(self, machine: str) -> Observation:
            return attrs.evolve(super().observe(machine), **changes)

    return Altered


@pytest.mark.parametrize(
    "changes",
    [
        {"protection": "banana"}, {"active": 7}, {"direction": ["forward"]}, {"failover": True}, {"job": "Backup"},
        {"allowed_operations": "Commit"}, {"points": (("rp-1",),)}, {"points": 3}, {"failover_point": 1}, {"received": "1"},
        {"loss": -1}, {"loss": True}, {"alerts": (None,)}, {"running": True}, {"running": (True,)}, {"running": ("yes", "no")},
    ],
    ids=str,
)  # fmt: skip
def test_a_value_that_the_interface_does_not_have_is_no_verdict(changes: dict[str, Any]) -> None:
    with pytest.raises(DriverError, match=f"shows {next(iter(changes))} = "):
        run_case(CASE, altered(**changes), promised(FLOW), name="mine")


@pytest.mark.parametrize(
    "field", ["protection", "active", "direction", "failover", "allowed_operations", "points", "alerts", "running"]
)
def test_none_is_unknown_where_it_is_no_value(field: str) -> None:
    assert run_case(CASE, altered(**{field: None}), promised(FLOW)).divergence is None
    assert run_case(CASE, altered(job=UNKNOWN, loss=UNKNOWN), promised(FLOW)).divergence is None


class Short(ModelDriver):
    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:
        return super().read(machine, where, disk, offset, length)[1:]


class Refuses(ModelDriver):
    def execute(self, machine: str, operation: str, point: str | None) -> Answer:  # noqa: ARG002
        return Rejected("NoIdea")


class Settles(ModelDriver):
    def settle(self) -> bool:
        return None  # type: ignore[return-value]


@pytest.mark.parametrize(("driver", "told"), [(Short, "bytes"), (Refuses, "NoIdea"), (Settles, r"settle\(\) returned None")])
def test_nonsense_is_no_verdict(driver: type, told: str) -> None:
    with pytest.raises(DriverError, match=told):
        run_case(CASE, driver, promised(FLOW), name="mine")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing", "the driver nothing"),
        ("bundeld", "did you mean bundled"),
        ("bundled+no-fence", "did you mean no-fence-on-return"),
        ("bundled+two-points", "write bundled~two-points"),
        ("bundled~no-fence-on-return", "write bundled+no-fence-on-return"),
        (":Wrong", "no module before the colon"),
        ("bad:", "no class after the colon"),
        ("harbour.py:HarbourDriver", "did you mean harbour:HarbourDriver?"),
        ("labs/harbour.py:HarbourDriver", "did you mean labs.harbour:HarbourDriver?"),
    ],
)
def test_a_name_that_selects_no_driver_is_a_mistake_on_the_command_line(name: str, told: str) -> None:
    with pytest.raises(UsageError) as error:
        driver_factory(name)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no.such.module:Driver", "no module no.such.module"),
        ("json:JSONDecoder", "JSONDecoder has no method"),
        ("json:Nothing", "the module json has no Nothing"),
    ],
)
def test_a_driver_that_cannot_be_loaded_is_an_error_of_the_driver(name: str, told: str) -> None:
    with pytest.raises(DriverError) as error:
        driver_factory(name)
    assert told in str(error.value)


def test_a_module_of_ones_own_that_is_not_the_one_imported_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DriverError, match="to mend: name a class that it has"):
        driver_factory("keyword:Driver")
    Path("keyword.py").write_text("class Driver: ...\n", encoding="utf-8")
    with pytest.raises(DriverError, match=r"rename keyword\.py: another module of that name comes before it \(.*keyword"):
        driver_factory("keyword:Driver")


def test_names_select_drivers() -> None:
    assert driver_factory("bundled")().handshake().name == "bundled"
    assert driver_factory("bundled+no-fence-on-return")().handshake().name == "bundled+no-fence-on-return"
    assert isinstance(driver_factory("siteproof.conformance.drivers.model:ModelDriver")(), ModelDriver)
    assert {name for name, _ in drivers()} >= {"bundled", "model"}


def test_the_driver_on_the_page_about_the_interface_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).parents[2] / "docs" / "interface.md"
    text = page.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert all(f"`{method}(" in text for method in vars(Driver) if not method.startswith("_"))
    (tmp_path / "driver_on_the_page.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    arguments = ["--topology", FLOW, "--max-cases", "25", "--seed", "1", "--max-time", "1m"]
    assert main(["run", "--driver", "driver_on_the_page:MyDriver", *arguments]) in (0, 2)
    assert "✗" not in capsys.readouterr().out


class Limited(ModelDriver):
    """Can neither step nor fail."""

    def handshake(self) -> Capabilities:
        return attrs.evolve(
            super().handshake(), stepping=False, faults=frozenset(), cached_writes=False,
            operations=frozenset({"EnableProtection"}))  # fmt: skip


def test_what_a_driver_cannot_do_is_skipped_and_counted_and_never_green() -> None:
    result = run(FLOW, Limited, cases=10)
    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.skipped
    assert result.counterexample is None
    skipped = run_case(Case(Scenario(FLOW), (Steps(2), Write("m0", "primary", 0, cached=True))), Limited, promised(FLOW))
    assert [r.answer["answer"] for r in skipped.records] == ["skipped", "skipped"]


class Spared(BundledDriver):
    """Nothing of it can fail but its change log."""

    def handshake(self) -> Capabilities:
        return attrs.evolve(super().handshake(), faults=frozenset({"change-log"}))


class Discreet(BundledDriver):
    """Never tells what runs, nor what was lost."""

    def observe(self, machine: str) -> Observation:
        return attrs.evolve(super().observe(machine), running=(UNKNOWN, UNKNOWN), loss=UNKNOWN)


@pytest.mark.parametrize(("driver", "why"), [(Spared, "nothing could fail"), (Discreet, "running and loss never told")])
def test_what_the_tester_is_for_cannot_be_missing_from_a_green_run(driver: type[BundledDriver], why: str) -> None:
    result = run(FLOW, driver, cases=300, machines=1)
    assert (result.outcome, result.counterexample) == (Outcome.INCONCLUSIVE, None)
    assert why in result.reason


def test_requirements_are_counted_against_the_flow_and_not_against_the_driver() -> None:
    full, less = (
        next(c for c in run(FLOW, driver, cases=20, machines=1).coverage if c.name == "requirement")
        for driver in (BundledDriver, Spared)
    )
    assert less.feasible == full.feasible


class OnlySides(BundledDriver):
    """Sides can be read, points cannot; and every read gives zeros."""

    def handshake(self) -> Capabilities:
        return attrs.evolve(super().handshake(), reads_points=False)

    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:  # noqa: ARG002
        return bytes(length)


def test_a_side_is_read_where_points_cannot_be() -> None:
    result = run(FLOW, OnlySides, cases=50, machines=1)
    assert result.counterexample is not None
    assert result.outcome is Outcome.VIOLATION


@pytest.mark.parametrize("flow", FLOWS)
def test_the_bundled_implementation_conforms(flow: str) -> None:
    result = run(flow, BundledDriver, cases=300, machines=1)
    assert result.counterexample is None, result.counterexample
    assert result.outcome is Outcome.CONFORMS, result.reason
    assert not result.warnings


def test_two_machines_on_the_bundled_implementation_conform() -> None:
    result = run(FLOW, BundledDriver, cases=60, machines=2, disks=2)
    assert result.counterexample is None, result.counterexample
