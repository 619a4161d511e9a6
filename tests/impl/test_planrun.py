"""A run of a recovery plan outlives the program: it goes on where it was, and does nothing twice that has been recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from siteproof.impl.errors import UsageError
from siteproof.impl.lab import Lab
from siteproof.impl.plan import Action, Do, PlanGroup, RecoveryPlan, ScriptCall, plan_of_row, row_of_plan, steps_of
from siteproof.impl.planrun import PlanRun, RunState
from siteproof.impl.simulated_disk import Crash, SimulatedStorage

from .conftest import make_image

MACHINES = ("db", "web")
SCRIPT, FIRST, SECOND = Action("script", "warm"), Action("manual", "move the network"), Action("manual", "tell the users")
WAITS = RecoveryPlan("shop", (PlanGroup(("db",), after=(FIRST, SECOND)), PlanGroup(("web",))))
CALLS = RecoveryPlan("shop", (PlanGroup(("db",), after=(SCRIPT,)), PlanGroup(("web",))))
Resumed = Callable[..., Lab]


class Died(BaseException):
    """The program ends here."""


@pytest.fixture
def kept(tmp_path: Path, topologies: dict[str, Path]) -> Iterator[Resumed]:
    """A durable system whose machines are protected; each further call ends the program and starts it again."""
    images = {m: [make_image(tmp_path / f"{m}.img")] for m in MACHINES}
    labs: list[Lab] = []

    def lab_of(**options: Any) -> Lab:
        for lab in labs:
            lab.close()
        labs.append(Lab(topologies["h2s"], images, tmp_path / "work", durable=True, resume=bool(labs), **options))
        if len(labs) == 1:
            for machine in MACHINES:
                assert labs[0].request(machine, "EnableProtection") is None
            assert labs[0].settle()
        return labs[-1]

    yield lab_of
    for lab in labs:
        lab.close()


def run_of(lab: Lab) -> PlanRun:
    found = lab.plan_run("shop")
    assert found is not None
    return found


def order(run: PlanRun, *texts: str) -> list[str]:
    return [note.subject for note in run.notes if note.text in texts]


@pytest.mark.parametrize("operation", ["TestFailover", "PlannedFailover", "UnplannedFailover"])
@pytest.mark.parametrize("events", [0, 2, 5, 8, 11])
def test_a_run_goes_on_by_itself_after_a_restart_and_keeps_its_order(kept: Resumed, operation: str, events: int) -> None:
    lab = kept(plans=[CALLS], hooks={"warm": lambda _call: True})
    assert lab.run_plan("shop", operation) is None
    place = "test" if operation == "TestFailover" else "recovery"
    for _ in range(events):
        lab.step()
    before = list(run_of(lab).notes)
    lab = kept(plans=[CALLS], hooks={"warm": lambda _call: not lab.running("web", place)})
    assert run_of(lab).notes == before
    while lab.step():
        assert lab.running("db", place) >= lab.running("web", place)
    run = run_of(lab)
    assert (run.state, run.errors, run.number) == (RunState.DONE, [], 1)
    assert order(run, "runs") == ["db", "web"]
    assert [note.at for note in run.notes] == sorted(note.at for note in run.notes)
    assert order(run, operation) == ["db", "web"], "nobody was asked twice"
    assert all(lab.running(m, place) for m in MACHINES)


def test_a_run_waits_for_the_same_manual_action_after_a_restart(kept: Resumed) -> None:
    lab = kept(plans=[WAITS])
    assert lab.run_plan("shop", "PlannedFailover") is None
    lab.settle()
    named = run_of(lab).manual_id
    lab = kept(plans=[WAITS])
    lab.settle()
    run = run_of(lab)
    assert (run.state, run.manual, run.manual_id) == (RunState.WAITING, FIRST, named)
    assert [lab.running(m, "recovery") for m in MACHINES] == [True, False]
    assert lab.run_plan("shop", "PlannedFailover") == "JobInProgress"
    assert lab.resume_plan("shop")
    lab.settle()
    assert run.manual == SECOND
    assert lab.resume_plan("shop")
    lab.settle()
    assert (run.state, lab.running("web", "recovery")) == (RunState.DONE, True)


def test_a_confirmation_that_is_repeated_confirms_nothing_else(kept: Resumed) -> None:
    lab = kept(plans=[WAITS])
    assert lab.run_plan("shop", "PlannedFailover") is None
    lab.settle()
    named = run_of(lab).manual_id
    assert not lab.resume_plan("shop", "another")
    assert lab.resume_plan("shop", named)
    lab.settle()
    lab = kept(plans=[WAITS])
    assert lab.resume_plan("shop", named), "the same answer as before"
    lab.settle()
    assert (run_of(lab).state, run_of(lab).manual) == (RunState.WAITING, SECOND)


def test_a_script_that_was_called_and_not_recorded_is_called_again_by_the_same_id(kept: Resumed) -> None:
    calls: list[ScriptCall] = []

    def dies(call: ScriptCall) -> bool:
        calls.append(call)
        raise Died

    def works(call: ScriptCall) -> bool:
        calls.append(call)
        return True

    lab = kept(plans=[CALLS], hooks={"warm": dies})
    assert lab.run_plan("shop", "UnplannedFailover") is None
    with suppress(Died):
        lab.settle()
    lab = kept(plans=[CALLS], hooks={"warm": works})
    lab.settle()
    assert run_of(lab).state is RunState.DONE
    assert [(call.id, call.again) for call in calls] == [("shop/1/5", False), ("shop/1/5", True)]
    assert order(run_of(lab), "script has run (a restart came between: it may have been called before)") == ["warm"]


def test_a_script_that_was_recorded_is_not_called_again_and_another_run_has_another_id(kept: Resumed) -> None:
    calls: list[ScriptCall] = []

    def hook(call: ScriptCall) -> bool:
        calls.append(call)
        return True

    plan = RecoveryPlan("shop", (PlanGroup(("db",), after=(SCRIPT, FIRST)), PlanGroup(("web",))))
    lab = kept(plans=[plan], hooks={"warm": hook})
    assert lab.run_plan("shop", "PlannedFailover") is None
    lab.settle()
    lab = kept(plans=[plan], hooks={"warm": hook})
    lab.settle()
    assert lab.resume_plan("shop")
    lab.settle()
    assert lab.run_plan("shop", "PlannedFailover") is None
    lab.settle()
    assert [(call.id, call.again) for call in calls] == [("shop/1/5", False), ("shop/2/5", False)]


def test_asking_again_by_the_same_id_begins_no_second_run(kept: Resumed) -> None:
    lab = kept(plans=[WAITS])
    assert lab.run_plan("shop", "PlannedFailover", request_id="a") is None
    assert lab.run_plan("shop", "TestFailover", request_id="b") == "JobInProgress"
    lab = kept(plans=[WAITS])
    assert lab.run_plan("shop", "PlannedFailover", request_id="a") is None
    lab.settle()
    for _ in range(2):
        assert lab.resume_plan("shop")
        lab.settle()
    assert run_of(lab).state is RunState.DONE
    assert lab.run_plan("shop", "PlannedFailover", request_id="a") is None
    assert lab.run_plan("shop", "TestFailover", request_id="b") == "JobInProgress"
    assert run_of(lab).number == 1
    with pytest.raises(UsageError, match="request id 'a' was given to PlannedFailover forward and is now given to Commit"):
        lab.run_plan("shop", "Commit", request_id="a")


@pytest.mark.parametrize("plans", [(), (RecoveryPlan("shop", (PlanGroup(("web",)), PlanGroup(("db",)))),)])
def test_a_run_goes_on_by_the_plan_that_it_was_begun_with(kept: Resumed, plans: tuple[RecoveryPlan, ...]) -> None:
    lab = kept(plans=[WAITS])
    assert lab.run_plan("shop", "PlannedFailover") is None
    lab = kept(plans=plans)
    lab.settle()
    assert (run_of(lab).state, run_of(lab).plan) == (RunState.WAITING, WAITS)
    for _ in range(2):
        assert lab.resume_plan("shop")
        lab.settle()
    assert order(run_of(lab), "runs") == ["db", "web"]


def test_who_has_failed_is_known_after_a_restart(kept: Resumed) -> None:
    lab = kept(plans=[WAITS])
    assert lab.request("db", "DisableProtection") is None
    lab.settle()
    assert lab.run_plan("shop", "UnplannedFailover") is None
    lab = kept(plans=[WAITS])
    lab.settle()
    for _ in range(2):
        assert lab.resume_plan("shop")
        lab.settle()
    run = run_of(lab)
    assert (run.state, run.failed, [note.subject for note in run.errors]) == (RunState.DONE, {"db"}, ["db"])
    assert [lab.running(m, "recovery") for m in MACHINES] == [False, True]


def test_a_run_that_ended_stays_ended(kept: Resumed) -> None:
    lab = kept(plans=[CALLS])
    assert lab.run_plan("shop", "PlannedFailover") is None
    lab.settle()
    assert run_of(lab).state is RunState.FAILED, "there is no such script"
    before = list(run_of(lab).notes)
    lab = kept(plans=[CALLS], hooks={"warm": lambda _call: True})
    lab.settle()
    assert (run_of(lab).state, run_of(lab).notes) == (RunState.FAILED, before)
    assert not lab.running("web", "recovery")


def test_a_run_begins_with_all_its_machines_or_not_at_all(tmp_path: Path, topologies: dict[str, Path]) -> None:
    images, storage = {m: [make_image(tmp_path / f"{m}.img")] for m in MACHINES}, SimulatedStorage()
    copies: list[SimulatedStorage] = []
    with Lab(topologies["h2s"], images, tmp_path / "none", storage=storage, plans=[WAITS]) as lab:
        for machine in MACHINES:
            assert lab.request(machine, "EnableProtection") is None
        lab.settle()
        copies.append(storage.after_crash(Crash.KEEP, lab._rng))
        storage.listener = lambda _name: copies.append(storage.after_crash(Crash.KEEP, lab._rng))
        assert lab.run_plan("shop", "PlannedFailover") is None
        storage.listener = None
    begun = []
    for copy in copies:
        with Lab(topologies["h2s"], images, tmp_path / "none", storage=copy, resume=True, plans=[WAITS]) as lab:
            jobs = {lab.status(m).job for m in MACHINES}
            assert jobs == ({None} if lab.plan_run("shop") is None else {"PlannedFailover"})
            begun.append(lab.plan_run("shop") is not None)
    assert begun == sorted(begun)
    assert set(begun) == {False, True}


def test_a_plan_can_be_written_down_and_read_again() -> None:
    only = Action("script", "x", operations=frozenset({"TestFailover"}), directions=frozenset({"reverse"}))
    plan = RecoveryPlan("a/b", (PlanGroup(("db",), (SCRIPT, only), (FIRST,)), PlanGroup(("web",))))
    assert plan_of_row(row_of_plan(plan)) == plan


def test_what_a_run_does_is_a_list_of_steps() -> None:
    assert [(step.do, step.group, step.action) for step in steps_of(CALLS, "PlannedFailover", "forward")] == [
        (Do.FAIL_OVER, 0, None), (Do.AWAIT_FAILOVERS, 0, None), (Do.BOOT, 1, None), (Do.AWAIT_BOOT, 1, None), (Do.ACT, 1, SCRIPT),
        (Do.BOOT, 2, None), (Do.AWAIT_BOOT, 2, None),
    ]  # fmt: skip
    assert [step.do for step in steps_of(CALLS, "Commit", "forward")] == [Do.ASK, Do.AWAIT]
