"""Test cases are values: they survive JSON, and what is no case is refused in words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siteproof.conformance.case import (
    FAULTS,
    OPERATIONS,
    POINTED,
    SIDES,
    STRUCK_ONCE,
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
    describe,
)
from siteproof.conformance.errors import CaseError

machines = st.sampled_from(("m0", "m1"))
points = st.sampled_from(("latest", "latest-processed", "point:0", "point:-1", "point:12", "point:gone", "point:unknown"))
commands = st.one_of(
    st.builds(Operate, machines, st.sampled_from([o for o in OPERATIONS if o not in POINTED])),
    st.builds(Operate, machines, st.sampled_from(POINTED), points),
    st.builds(Write, machines, st.just("test"), st.integers(0, 15), st.integers(0, 1)),
    st.builds(Write, machines, st.sampled_from(SIDES), st.integers(0, 15), st.integers(0, 1), st.booleans()),
    st.builds(Fault, st.sampled_from(FAULTS)),
    st.builds(Heal, st.sampled_from([f for f in FAULTS if f not in STRUCK_ONCE])),
    st.builds(StartMachine, machines, st.sampled_from(SIDES)),
    st.builds(Advance, st.integers(1, 10_000)),
    st.builds(Settle),
    st.builds(Steps, st.integers(1, 50)),
)
cases = st.builds(
    Case, st.just(Scenario("vmware-to-azure", ("m0", "m1"), 2, 16)), st.lists(commands).map(tuple), st.integers(0, 2**32)
)


@given(cases)
def test_a_case_survives_json(case: Case) -> None:
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case


@given(commands)
def test_every_command_is_told_in_one_line(command: object) -> None:
    told = describe(command)  # type: ignore[arg-type]
    assert told
    assert "\n" not in told


GOOD = Case(Scenario("vmware-to-azure"), (Write("m0", "primary", 3), Operate("m0", "Commit"))).to_json()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.update(format=2), "format: found 2"),
        (lambda d: d.update(extra=1), "unknown key 'extra'"),
        (lambda d: d.pop("seed"), "no 'seed'"),
        (lambda d: d["commands"][0].update(side="left"), "command 1, side: found 'left'"),
        (lambda d: d["commands"][0].update(block=16), "command 1, block: found 16"),
        (lambda d: d["commands"][0].update(disk=1), "command 1, disk: found 1"),
        (lambda d: d["commands"][0].update(block=True), "command 1, block: found True"),
        (lambda d: d["commands"][1].update(machine="m7"), "command 2, machine: found 'm7'"),
        (lambda d: d["commands"][1].update(operation="Explode"), "command 2, operation: found 'Explode'"),
        (lambda d: d["commands"].append({"kind": "nap"}), "command 3: found kind 'nap'"),
        (lambda d: d["commands"].append({"kind": "heal", "fault": "change-log"}), "command 3, fault: found 'change-log'"),
        (lambda d: d["commands"].append({"kind": "start-machine", "machine": "m0", "side": "test"}), "command 3, side"),
        (lambda d: d["commands"][0].update(side="test", cached=True), "command 1, cached"),
        (lambda d: d["scenario"].update(machines=[]), "scenario, machines: found []"),
        (lambda d: d["scenario"].update(machines=["a", "a"]), "every name once"),
    ],
)
def test_what_is_no_case_is_refused_with_its_place(change: object, told: str) -> None:
    data = json.loads(json.dumps(GOOD))
    change(data)  # type: ignore[operator]
    with pytest.raises(CaseError) as error:
        Case.from_json(data)
    assert told in str(error.value)
