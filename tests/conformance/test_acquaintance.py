"""`siteproof driver check` finds what is missing or wrong in a driver, and says how to mend it."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from siteproof.conformance.acquaintance import Acquaintance, Finding, Standing, exit_of
from siteproof.conformance.case import FAULTS, OPERATIONS, Case, Scenario
from siteproof.conformance.cli import main
from siteproof.conformance.content import Base
from siteproof.conformance.driver import UNKNOWN, Accepted, Answer, Capabilities, Observation, Rejected
from siteproof.conformance.drivers.bundled import BundledDriver
from siteproof.conformance.drivers.model import ModelDriver
from siteproof.conformance.errors import DriverError
from siteproof.conformance.exits import Exit
from siteproof.conformance.runner import run_case
from siteproof.conformance.session import DriverFactory
from siteproof.conformance.skeletons.toy import ToyDriver
from siteproof.model.topology import builtin_topologies
from tests.soak import soak

from .driving import promised
from .peer import Peer, in_process
from .test_wire import in_result, instead

FLOW = "scout-to-secondary-site"


def findings(factory: DriverFactory, ends: Any = None) -> dict[str, Finding]:
    found = list(Acquaintance("mine", factory, FLOW, promised(FLOW)).findings(ends))
    assert len({one.subject for one in found}) == len(found)
    assert all(one.mend for one in found if one.standing in (Standing.MISSING, Standing.FAILED, Standing.DIVERGES))
    return {one.subject: one for one in found}


def not_right(found: dict[str, Finding]) -> dict[str, Standing]:
    return {one.subject: one.standing for one in found.values() if one.standing is not Standing.WORKS}


def test_everything_of_a_whole_driver_works() -> None:
    found = findings(ToyDriver)
    assert not not_right(found)
    assert exit_of(found.values()) is Exit.OK
    assert set(OPERATIONS) | {f"fault {fault}" for fault in FAULTS} <= set(found)
    assert {"handshake", "start", "observe", "read", "stop", "start again", "write", "cached write", "step"} <= set(found)


@soak
@pytest.mark.parametrize("flow", builtin_topologies())
@pytest.mark.parametrize("driver", [BundledDriver, ModelDriver])
def test_everything_of_the_bundled_implementation_works(flow: str, driver: type) -> None:
    found = list(Acquaintance("bundled", driver, flow, promised(flow)).findings())
    assert {one.standing for one in found} == {Standing.WORKS}


def claiming(**changes: Any) -> type[ToyDriver]:
    class Claims(ToyDriver):
        def handshake(self) -> Capabilities:
            return attrs.evolve(super().handshake(), **changes)

    return Claims


def test_what_is_not_claimed_is_missing_and_never_green() -> None:
    less = claiming(
        operations=frozenset({"EnableProtection", "Commit"}), faults=frozenset({"link"}), cached_writes=False, reads_points=False
    )
    found = findings(less)
    standing = not_right(found)
    assert {one for one, how in standing.items() if how is Standing.MISSING} >= {
        "UnplannedFailover", "ReverseReplicate", "fault gateway", "cached write", "read of points",
    }  # fmt: skip
    assert standing["Commit"] is Standing.NOT_TRIED
    assert "UnplannedFailover" in found["Commit"].text
    assert "never green" in found["fault gateway"].text
    assert found["fault link"].standing is Standing.WORKS
    assert exit_of(found.values()) is Exit.INCONCLUSIVE


class Refuses(ToyDriver):
    """Claims a commit, and has none; claims a broken link, and cannot bring it about."""

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        return Rejected("OperationNotSupported") if operation == "Commit" else super().execute(machine, operation, point)

    def fault(self, kind: str) -> None:
        if kind == "link":
            raise NotImplementedError("no such fault")
        super().fault(kind)


def test_a_capability_that_is_claimed_and_refused_is_found() -> None:
    found = findings(Refuses)
    wrong = not_right(found)
    assert (wrong.pop("Commit"), wrong.pop("fault link")) == (Standing.DIVERGES, Standing.FAILED)
    assert set(wrong) == {"ReverseReplicate"}  # which leads over a commit
    assert "refused with OperationNotSupported" in found["Commit"].text
    assert "'operations'" in found["Commit"].mend
    assert "no such fault" in found["fault link"].text
    assert exit_of(found.values()) is Exit.ENVIRONMENT


class Idle(ToyDriver):
    """A fault that is claimed and does nothing."""

    def fault(self, kind: str) -> None:
        if kind != "link":
            super().fault(kind)


class Overgenerous(ToyDriver):
    """Takes what the flow does not offer."""

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        return Accepted() if operation == "PlannedFailover" else super().execute(machine, operation, point)


class Forgets(ToyDriver):
    """Content does not read back: what was written last is missing at the active side."""

    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool | None:
        return super().write(machine, side, disk, block, bytes(len(data)), cached)


@pytest.mark.parametrize(
    ("driver", "subject", "words"),
    [
        (Idle, "fault link", "SitesNotConnected"),
        (Overgenerous, "PlannedFailover", "accepted"),
        (Forgets, "write", "content at primary"),
    ],
)
def test_a_system_that_does_not_do_what_the_model_allows_is_found(driver: type, subject: str, words: str) -> None:
    found = findings(driver)
    assert found[subject].standing is Standing.DIVERGES
    assert words in found[subject].text
    assert exit_of(found.values()) is Exit.VIOLATION


class Another(ToyDriver):
    """Starts with other content than it was given."""

    def start(self, scenario: Scenario, seed: int, base: Base) -> None:
        super().start(scenario, seed, Base(base.blocks, seed=9))


class Stays(ToyDriver):
    """Ignores stop: the next case finds what the last one left."""

    left: Any = None

    def start(self, scenario: Scenario, seed: int, base: Base) -> None:
        super().start(scenario, seed, base)
        self.machines = type(self).left = type(self).left or self.machines

    def stop(self) -> None:
        return


class Blind(ToyDriver):
    def observe(self, machine: str) -> Observation:
        return attrs.evolve(super().observe(machine), loss=UNKNOWN, running=(True, UNKNOWN))


@pytest.mark.parametrize(
    ("driver", "subject", "standing", "words"),
    [
        (Another, "read", Standing.FAILED, "block 0 of primary's disk"),
        (Stays, "start again", Standing.FAILED, "after stop and start"),
        (Blind, "observe", Standing.MISSING, "loss, running"),
    ],
)
def test_a_single_call_that_is_not_right_is_found(driver: type, subject: str, standing: Standing, words: str) -> None:
    found = findings(driver)
    assert found[subject].standing is standing
    assert words in found[subject].text


@pytest.mark.parametrize(
    ("subject", "change", "words", "mend"),
    [
        ("handshake", in_result("handshake", faults=...), "without 'faults'", ""),
        ("handshake", in_result("handshake", version=7), "version 7", "siteproof that speaks its own"),
        ("start", instead("start", {"id": 2}), "without a 'result'", "null"),
        ("observe", in_result("observe", received="0"), "received = '0'", ""),
        ("observe", in_result("observe", points=[["rp-1", "crash"]]), "a point", ""),
        ("observe", in_result("observe", state="ok"), "unknown key \"state\"", ""),
        ("read", in_result("read", base64="AAAA"), "3 bytes", ""),
        ("write", in_result("write", answer="ok"), "the answer \"ok\"", ""),
        ("stop", instead("stop", {"id": 9, "result": None}), "an answer to request 9", ""),
    ],
)
def test_what_is_wrong_on_the_wire_is_found_where_it_is(subject: str, change: Any, words: str, mend: str) -> None:
    found = findings(in_process(Peer(ToyDriver, change)))
    assert found[subject].standing is Standing.FAILED
    assert words in found[subject].text
    assert mend in found[subject].mend
    assert exit_of(found.values()) is Exit.ENVIRONMENT


def test_a_process_that_stays_is_found() -> None:
    assert findings(ToyDriver, lambda: False)["end"].standing is Standing.FAILED
    assert findings(ToyDriver, lambda: True)["end"].standing is Standing.WORKS
    assert "end" not in findings(ToyDriver, lambda: None)


def test_a_flow_that_a_driver_does_not_name_is_refused() -> None:
    elsewhere = claiming(flows=frozenset({"vmware-to-azure"}))
    with pytest.raises(DriverError, match=r"one that it says it has: vmware-to-azure; to mend: choose it with --topology"):
        run_case(Case(Scenario(FLOW), ()), elsewhere, promised(FLOW))


class Mistyped(ToyDriver):
    def handshake(self) -> Capabilities:
        return attrs.evolve(super().handshake(), flows=frozenset({"scout-to-secondary"}))


@pytest.mark.parametrize("verb", [["driver", "check"], ["run", "--max-cases", "1", "--driver"]])
@pytest.mark.parametrize("flow", [[], ["--topology", FLOW]])
def test_a_mistyped_flow_is_the_handshakes_fault(verb: list[str], flow: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb, f"{__name__}:Mistyped", *flow]) == 3
    captured = capsys.readouterr()
    told = " ".join((captured.out + captured.err).split())
    assert "found the flow scout-to-secondary in its handshake, which is not built in" in told
    assert f"to mend: correct flows in the handshake: did you mean {FLOW}" in told
    assert told.count("scout-to-secondary in its handshake") == 1


def test_the_acquaintance_on_the_command_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    name = f"{__name__}:Refuses"
    monkeypatch.setattr("siteproof.conformance.cli.drivers.factory_here", lambda _name: Refuses)
    monkeypatch.setattr("siteproof.conformance.cli.drivers.promised_for", lambda topology: promised(topology.id))
    assert main(["driver", "check", name, "--json", "-"]) == 3
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["schema"] == "siteproof.driver-check/1"
    assert (document["topology"], document["name"]) == (FLOW, "toy")
    (commit,) = [row for row in document["findings"] if row["subject"] == "Commit"]
    assert commit["standing"] == "diverges"
    assert commit["mend"] in captured.err
    assert "✗ Commit" in captured.err
    assert "the driver, or what it needs here, has to be mended first" in captured.err
