"""A driver that fails is told as such, and is never a verdict on the system."""

import time

import attrs
import pytest

from siteproof.conformance.case import Case, Operate, Scenario, Settle, Steps, Write
from siteproof.conformance.driver import Answer, Capabilities, Guarded, Observation
from siteproof.conformance.drivers.bundled import BundledDriver
from siteproof.conformance.drivers.model import ModelDriver
from siteproof.conformance.drivers.registry import driver_factory, drivers
from siteproof.conformance.errors import DriverError
from siteproof.conformance.results import Outcome
from siteproof.conformance.runner import run_case

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


@pytest.mark.parametrize("name", ["nothing", "bundled+nothing", "no.such.module:Driver", "json:JSONDecoder", "json:Nothing"])
def test_a_name_that_selects_no_driver_is_refused(name: str) -> None:
    with pytest.raises(DriverError):
        driver_factory(name)


def test_names_select_drivers() -> None:
    assert driver_factory("bundled")().handshake().name == "bundled"
    assert driver_factory("bundled+no-fence-on-return")().handshake().name == "bundled+no-fence-on-return"
    assert driver_factory("siteproof.conformance.drivers.model:ModelDriver") is ModelDriver
    assert {name for name, _ in drivers()} >= {"bundled", "model"}


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


@pytest.mark.parametrize("flow", FLOWS)
def test_the_bundled_implementation_conforms(flow: str) -> None:
    result = run(flow, BundledDriver, seconds=300, cases=300, machines=1)
    assert result.counterexample is None, result.counterexample
    assert result.outcome is Outcome.CONFORMS, result.reason
    assert not result.warnings


def test_two_machines_on_the_bundled_implementation_conform() -> None:
    result = run(FLOW, BundledDriver, cases=60, machines=2, disks=2)
    assert result.counterexample is None, result.counterexample
