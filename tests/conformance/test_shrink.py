"""What is found is shrunk until nothing can be left out, and that is certified; files replay."""

import json
from functools import partial
from pathlib import Path

import attrs
import pytest

from siteproof.conformance.case import Advance, Case, Fault, Heal, Operate, Scenario, Settle, Steps, Write
from siteproof.conformance.driver import Observation
from siteproof.conformance.drivers.model import ModelDriver, Style
from siteproof.conformance.errors import CaseError
from siteproof.conformance.explain import explain
from siteproof.conformance.replay import Status, load, replay, save
from siteproof.conformance.runner import run_case
from siteproof.conformance.shrink import counterexample_of, shrink

from .driving import FLOWS, promised

FLOW = FLOWS[1]
UNDRAINED = partial(ModelDriver, Style(eagerness=1, extra_points=0.0, gives_up=0.0), {"planned.drains": False})
NOISY = Case(
    Scenario(FLOW, ("m0", "m1")),
    (
        Operate("m1", "EnableProtection"), Advance(60), Operate("m0", "Commit"), Operate("m0", "EnableProtection"),
        Settle(), Write("m1", "primary", 9), Fault("link"), Steps(3), Heal("link"), Settle(),
        Write("m0", "primary", 7, cached=True), Write("m0", "primary", 5), Operate("m1", "PlannedFailover"),
        Operate("m0", "PlannedFailover"), Settle(), Advance(600), Operate("m0", "Commit"), Settle(),
    ),
    7,
)  # fmt: skip


def test_a_failing_case_shrinks_to_a_certified_minimum() -> None:
    found = (shrink(attrs.evolve(NOISY, seed=seed), UNDRAINED, promised(FLOW)) for seed in range(100))
    small = next(one for one in found if one is not None)
    assert small.minimal
    assert small.divergence.promise == "P1"
    assert 5 <= len(small.case.commands) < len(NOISY.commands)
    assert len(small.removal) == len(small.case.commands)
    for index in range(len(small.case.commands)):
        rest = (*small.case.commands[:index], *small.case.commands[index + 1 :])
        found = run_case(attrs.evolve(small.case, commands=rest), UNDRAINED, promised(FLOW)).divergence
        assert found is None or found.promise != "P1"
    assert all(command.block == 0 for command in small.case.commands if isinstance(command, Write))


def test_a_case_that_passes_does_not_shrink() -> None:
    assert shrink(NOISY, ModelDriver, promised(FLOW)) is None


class Misreports(ModelDriver):
    """Reports one lost write too many."""

    def observe(self, machine: str) -> Observation:
        seen = super().observe(machine)
        return attrs.evolve(seen, loss=seen.loss + 1) if isinstance(seen.loss, int) else seen


CASE = Case(Scenario(FLOW), (
    Operate("m0", "EnableProtection"), Settle(), Operate("m0", "UnplannedFailover", "latest"), Settle()))  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = counterexample_of(CASE, Misreports, promised(FLOW))
    path = tmp_path / "found.json"
    save(found, path, "model")
    return path


def test_a_file_replays_as_still_failing_fixed_failing_differently_or_drifted(file: Path) -> None:
    saved = load(file)
    assert replay(saved, Misreports, promised(FLOW)).status is Status.STILL_FAILING
    fixed = replay(saved, partial(ModelDriver), promised(FLOW))
    assert fixed.status is Status.FIXED
    refusing = partial(ModelDriver, None, {"forward.unplanned_failover": False})
    assert replay(saved, refusing, promised(FLOW)).status is Status.DIFFERENT
    once = attrs.evolve(saved, answers=(saved.answers[0], saved.answers[1], {"answer": "unknown"}, *saved.answers[3:]))
    drifted = replay(once, partial(ModelDriver), promised(FLOW))
    assert (drifted.status, drifted.drift) == (Status.DRIFTED, 2)
    assert "step 3 goes otherwise" in drifted.text


def test_a_counterexample_is_told_in_words(file: Path) -> None:
    found = counterexample_of(CASE, Misreports, promised(FLOW))
    told = "\n".join(explain(found))
    assert "Broken: P2" in told
    assert "found loss: 1" in told
    assert "expected: 0" in told
    assert "UnplannedFailover(m0, latest): accepted" in told
    assert load(file).divergence == found.divergence


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.update(format=9), "format: found 9"),
        (lambda d: d.update(kind="other"), "another kind of file"),
        (lambda d: d.pop("divergence"), "divergence: found None"),
        (lambda d: d["case"].update(commands=3), "commands: found int"),
        (lambda d: d["divergence"].update(other=3), "divergence: found"),
    ],
)
def test_a_file_that_is_none_is_refused(file: Path, change: object, told: str) -> None:
    data = json.loads(file.read_text())
    change(data)  # type: ignore[operator]
    file.write_text(json.dumps(data))
    with pytest.raises(CaseError) as error:
        load(file)
    assert told in str(error.value)


def test_a_file_that_is_not_json_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaseError):
        load(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(CaseError):
        load(tmp_path / "bad.json")
