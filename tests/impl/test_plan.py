"""Recovery plans: order of starting, actions, what an error does, and a second run that skips what has moved (P14)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from siteproof.impl.errors import UsageError
from siteproof.impl.lab import Lab
from siteproof.impl.plan import Action, PlanGroup, RecoveryPlan, ScriptCall
from siteproof.impl.planrun import PlanRun, RunState
from siteproof.impl.values import BLOCK

from .conftest import block, make_image

MACHINES = ("db", "app", "web", "other")
SCRIPT, MANUAL = Action("script", "warm"), Action("manual", "check the network")
PLAN = RecoveryPlan("shop", (PlanGroup(("db",)), PlanGroup(("app", "web"))))
Build = Callable[..., Lab]


@pytest.fixture
def plan_lab(tmp_path: Path, topologies: dict[str, Path], request: pytest.FixtureRequest) -> Build:
    def build(flow: str = "h2s", *groups: PlanGroup, **options: Any) -> Lab:
        number = len(list(tmp_path.glob("work*")))
        images = {m: [make_image(tmp_path / f"{number}-{m}.img")] for m in MACHINES}
        plan = RecoveryPlan("shop", groups) if groups else PLAN
        lab = Lab(topologies[flow], images, tmp_path / f"work{number}", **{"plans": [plan], **options})
        request.addfinalizer(lab.close)
        for machine in MACHINES:
            assert lab.request(machine, "EnableProtection") is None
        assert lab.settle()
        return lab

    return build


def run(lab: Lab, operation: str, direction: str = "forward", point: str | None = None) -> PlanRun:
    """Run the plan as far as it goes; at no time may a machine run twice."""
    assert lab.run_plan("shop", operation, direction, point) is None
    found = lab.plan_run("shop")
    assert found is not None
    lab.settle()
    return found


def order(plan_run: PlanRun, *texts: str) -> list[tuple[int, str, str]]:
    return [(note.group, note.subject, note.text) for note in plan_run.notes if note.text in texts]


@pytest.mark.parametrize(
    ("flow", "operation"),
    [("h2s", "PlannedFailover"), ("h2s", "UnplannedFailover"), ("v2a", "UnplannedFailover"), ("vmm", "PlannedFailover")],
)
def test_machines_fail_over_together_and_start_group_by_group(plan_lab: Build, flow: str, operation: str) -> None:
    lab = plan_lab(flow)
    found = run(lab, operation)
    assert (found.state, found.errors) == (RunState.DONE, [])
    assert [subject for _, subject, _ in order(found, "failed over")] == ["app", "db", "web"]
    assert order(found, "starts", "runs") == [
        (1, "db", "starts"), (1, "db", "runs"),
        (2, "app", "starts"), (2, "web", "starts"), (2, "app", "runs"), (2, "web", "runs"),
    ]  # fmt: skip
    times = {(note.group, note.text): note.at for note in found.notes}
    assert times[0, "failed over"] <= times[1, "starts"] <= times[1, "runs"] < times[2, "starts"]
    assert all(lab.running(m, "recovery") and not lab.running(m, "primary") for m in ("db", "app", "web"))
    assert lab.status("other").active == "primary"


def test_a_machine_that_has_moved_stays_off_until_its_group_starts(plan_lab: Build) -> None:
    lab = plan_lab("h2s", PlanGroup(("db",), after=(MANUAL,)), PlanGroup(("web",)))
    found = run(lab, "PlannedFailover")
    assert (found.state, found.manual) == (RunState.WAITING, MANUAL)
    assert lab.status("web").active == "recovery"
    assert [lab.running(m, "recovery") for m in ("db", "web")] == [True, False]
    lab.fault("recovery-site")
    lab.heal("recovery-site")
    assert [lab.running(m, "recovery") for m in ("db", "web")] == [True, False], "nor does power start it"
    assert not lab.write("web", "recovery", 0, 1, block("too early"))
    assert lab.run_plan("shop", "PlannedFailover") == "JobInProgress"
    assert lab.resume_plan("shop")
    lab.settle()
    assert (found.state, lab.running("web", "recovery")) == (RunState.DONE, True)
    assert not lab.resume_plan("shop")


def test_somebody_may_start_a_machine_that_waits_for_its_group(plan_lab: Build) -> None:
    lab = plan_lab("h2s", PlanGroup(("db",), after=(MANUAL,)), PlanGroup(("web",)))
    run(lab, "PlannedFailover")
    assert lab.start_machine("web", "recovery")
    assert lab.running("web", "recovery")


def test_scripts_are_told_where_they_are_and_run_in_order(plan_lab: Build) -> None:
    calls: list[ScriptCall] = []

    def hook(call: ScriptCall) -> bool:
        calls.append(call)
        assert lab.running("db", "recovery") == (call.script != "first")
        return True

    only_planned = Action("script", "never", operations=frozenset({"PlannedFailover"}))
    only_back = Action("script", "never", directions=frozenset({"reverse"}))
    names = ("first", "second", "never")
    lab = plan_lab(
        "h2s",
        PlanGroup(("db",), before=(Action("script", "first"), only_planned), after=(Action("script", "second"), only_back)),
        hooks=dict.fromkeys(names, hook),
    )  # fmt: skip
    found = run(lab, "UnplannedFailover")
    assert (found.state, found.errors) == (RunState.DONE, [])
    assert calls == [
        ScriptCall("shop", 1, name, "UnplannedFailover", "forward", f"shop/1/{step}")
        for name, step in (("first", 3), ("second", 6))
    ]


@pytest.mark.parametrize("hooks", [{}, {"warm": lambda _call: False}])
def test_a_planned_run_stops_at_a_script_that_fails_and_a_later_run_goes_on(plan_lab: Build, hooks: dict[str, Any]) -> None:
    lab = plan_lab("h2s", PlanGroup(("db",), after=(SCRIPT,)), PlanGroup(("app",)), hooks=hooks)
    found = run(lab, "PlannedFailover")
    assert found.state is RunState.FAILED
    assert [note.subject for note in found.errors] == ["warm"]
    assert [lab.status(m).active for m in ("db", "app")] == ["recovery", "recovery"]
    assert [lab.running(m, "recovery") for m in ("db", "app")] == [True, False]
    hooks["warm"] = lambda _call: True
    lab.fleet._hooks = hooks  # type: ignore[assignment]
    again = run(lab, "PlannedFailover")
    assert (again.state, again.errors) == (RunState.DONE, [])
    assert [subject for _, subject, _ in order(again, "skipped: it has moved already")] == ["db", "app"]
    assert lab.running("app", "recovery")


def test_an_unplanned_run_notes_a_script_that_fails_and_goes_on(plan_lab: Build) -> None:
    lab = plan_lab("h2s", PlanGroup(("db",), before=(SCRIPT,)), PlanGroup(("app",)))
    found = run(lab, "UnplannedFailover")
    assert found.state is RunState.DONE
    assert [(note.subject, note.text) for note in found.errors] == [("warm", "there is no such script")]
    assert all(lab.running(m, "recovery") for m in ("db", "app"))


def test_a_planned_run_begins_nothing_when_one_machine_would_be_refused(plan_lab: Build) -> None:
    lab = plan_lab()
    assert lab.request("web", "DisableProtection") is None
    lab.settle()
    found = run(lab, "PlannedFailover")
    assert found.state is RunState.FAILED
    assert [(note.subject, note.text) for note in found.errors] == [("web", "refused: NotProtected")]
    assert [lab.status(m).active for m in ("db", "app", "web")] == ["primary"] * 3
    assert all(lab.running(m, "primary") for m in ("db", "app", "web"))


def test_an_unplanned_run_goes_on_without_a_machine_that_is_refused(plan_lab: Build) -> None:
    lab = plan_lab("h2s", PlanGroup(("db", "web")), PlanGroup(("app",)))
    assert lab.request("web", "DisableProtection") is None
    lab.settle()
    lab.fault("primary-site")
    found = run(lab, "UnplannedFailover")
    assert found.state is RunState.DONE
    assert [(note.subject, note.text) for note in found.errors] == [("web", "refused: NotProtected")]
    assert [lab.running(m, "recovery") for m in ("db", "app", "web")] == [True, True, False]


@pytest.mark.parametrize("steps", range(1, 14))
def test_a_planned_run_that_a_fault_ends_leaves_one_side_of_each_machine_and_a_rerun_finishes(
    plan_lab: Build, steps: int
) -> None:
    lab = plan_lab(seed=steps)
    written = {m: [lab.write(m, "primary", 0, n, block(f"{m} {n}")) for n in range(2, 6)] for m in PLAN.machines}
    assert all(map(all, written.values()))
    assert lab.run_plan("shop", "PlannedFailover") is None
    for _ in range(steps):
        lab.step()
    lab.fault("link")
    lab.settle()
    found = lab.plan_run("shop")
    assert found is not None
    assert found.over
    for machine in PLAN.machines:
        sides = [lab.running(machine, side) for side in ("primary", "recovery")]
        assert sum(sides) <= 1
        assert not sides[lab.status(machine).active == "primary"]
    lab.heal("link")
    for machine in PLAN.machines:
        lab.start_machine(machine, lab.status(machine).active)
    lab.settle()
    again = run(lab, "PlannedFailover")
    assert (again.state, again.errors) == (RunState.DONE, [])
    for machine in PLAN.machines:
        assert (lab.running(machine, "primary"), lab.running(machine, "recovery")) == (False, True)
        for number in range(2, 6):
            assert lab.read(machine, "recovery", 0, number * BLOCK, BLOCK) == block(f"{machine} {number}")


def test_an_unplanned_run_takes_the_place_of_a_planned_one(plan_lab: Build) -> None:
    lab = plan_lab("h2s", PlanGroup(("db",), before=(MANUAL,)), PlanGroup(("app",)))
    planned = run(lab, "PlannedFailover")
    assert planned.state is RunState.WAITING
    found = run(lab, "UnplannedFailover")
    assert planned.state is RunState.FAILED
    assert lab.resume_plan("shop")
    lab.settle()
    assert found.state is RunState.DONE
    assert all(lab.running(m, "recovery") for m in ("db", "app"))


def test_a_test_failover_by_a_plan_starts_copies_in_order_and_its_cleanup_removes_them(plan_lab: Build) -> None:
    lab = plan_lab("h2s", PlanGroup(("db",), after=(MANUAL,)), PlanGroup(("web",)))
    found = run(lab, "TestFailover", point="latest-processed")
    assert [lab.running(m, "test") for m in ("db", "web")] == [True, False]
    assert lab.resume_plan("shop")
    lab.settle()
    assert (found.state, found.errors) == (RunState.DONE, [])
    assert all(lab.running(m, "test") and lab.running(m, "primary") for m in ("db", "web"))
    assert run(lab, "TestFailoverCleanup").state is RunState.DONE
    assert [lab.status(m).test for m in ("db", "web")] == ["none", "none"]


def test_there_and_back_by_plans_alone(plan_lab: Build) -> None:
    lab = plan_lab()
    for operation, direction in (
        ("PlannedFailover", "forward"), ("Commit", "forward"), ("ReverseReplicate", "forward"),
        ("PlannedFailover", "reverse"), ("Commit", "reverse"), ("ReverseReplicate", "reverse"),
    ):  # fmt: skip
        assert run(lab, operation, direction).state is RunState.DONE
    for machine in PLAN.machines:
        status = lab.status(machine)
        assert (status.active, status.protection, status.direction, status.failover) == (
            "primary",
            "protected",
            "forward",
            "none",
        )
        assert lab.running(machine, "primary")


def test_scripts_are_left_out_where_a_flow_runs_none_on_the_way_back(plan_lab: Build) -> None:
    lab = plan_lab("v2a", PlanGroup(("db",), after=(SCRIPT,)), hooks={"warm": lambda _call: True})
    for operation in ("UnplannedFailover", "Commit", "ReverseReplicate"):
        assert run(lab, operation).errors == []
    found = run(lab, "UnplannedFailover", "reverse")
    assert (found.state, found.errors) == (RunState.DONE, [])
    assert order(found, "script has run") == []
    assert found.notes[-1].text == "skipped: this flow runs no scripts in this direction"


def test_the_latest_common_point_is_the_same_for_a_whole_group_and_the_newest_for_others(plan_lab: Build) -> None:
    lab = plan_lab("v2a", PlanGroup(("db", "app")), PlanGroup(("web",)), groups={"shop": ("db", "app")})
    for machine in ("db", "app", "web"):
        assert lab.write(machine, "primary", 0, 2, block("common"))
    lab.settle()
    lab.fleet.isolate("app")
    for machine in ("db", "app", "web"):
        assert lab.write(machine, "primary", 0, 3, block("later"))
    lab.settle()
    newest = {m: lab.status(m).points[-1].id for m in ("db", "app", "web")}
    found = run(lab, "UnplannedFailover", point="latest-common")
    assert (found.state, found.errors) == (RunState.DONE, [])
    held = {m: lab.read(m, "recovery", 0, 3 * BLOCK, BLOCK) == block("later") for m in ("db", "app", "web")}
    assert held == {"db": False, "app": False, "web": True}
    assert lab.read("db", "recovery", 0, 2 * BLOCK, BLOCK) == block("common")
    assert lab.status("db").failover_point != newest["db"]
    assert lab.status("web").failover_point == newest["web"]


def test_without_a_common_point_the_group_is_refused_and_the_others_go_on(plan_lab: Build) -> None:
    lab = plan_lab("v2a", PlanGroup(("db", "app")), PlanGroup(("web",)), groups={"shop": ("db", "app")})
    found = run(lab, "UnplannedFailover", point="latest-common")
    assert [(note.subject, note.text) for note in found.errors] == [(m, "refused: RecoveryPointNotFound") for m in ("db", "app")]
    assert [lab.status(m).active for m in ("db", "app", "web")] == ["primary", "primary", "recovery"]


def test_what_a_plan_does_not_offer_is_refused_with_a_code(plan_lab: Build) -> None:
    lab = plan_lab("v2a")
    assert lab.run_plan("shop", "PlannedFailover") == "OperationNotSupported"
    assert lab.run_plan("shop", "DisableProtection") == "OperationNotSupported"
    assert lab.run_plan("shop", "UnplannedFailover", point="p1") == "RecoveryPointNotFound"
    assert lab.run_plan("shop", "UnplannedFailover", point="latest-common") == "RecoveryPointNotFound"
    assert lab.plan_run("shop") is None
    with pytest.raises(UsageError, match="recovery plan 'none' is not known; known: shop"):
        lab.run_plan("none", "UnplannedFailover")
    with pytest.raises(UsageError, match="direction 'back' is not known"):
        lab.run_plan("shop", "UnplannedFailover", "back")


@pytest.mark.parametrize(
    ("flow", "groups", "options", "told"),
    [
        ("scout", (PlanGroup(("db",)),), {}, "has no recovery plans"),
        ("h2s", tuple(PlanGroup((m,)) for m in "abcdefgh"), {}, "has 8 groups; 1 to 7 expected"),
        ("h2s", (PlanGroup(()),), {}, "has 0 machines"),
        ("h2s", (PlanGroup(("nobody",)),), {}, "machine 'nobody' is not known"),
        ("h2s", (PlanGroup(("db",)), PlanGroup(("db",))), {}, "machine 'db' is in it twice"),
        ("v2a", (PlanGroup(("db",)), PlanGroup(("app",))), {"groups": {"g": ("db", "app")}}, "'g' is not whole in one group"),
        ("v2a", (PlanGroup(("db",)),), {"groups": {"g": ("db", "app")}}, "'g' is not whole in one group"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(
    plan_lab: Build, flow: str, groups: tuple[PlanGroup, ...], options: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        plan_lab(flow, *groups, **options)


def direct(lab: Lab, machine: str) -> None:
    """A failover of one machine alone leaves it running at the other side."""
    assert lab.request(machine, "UnplannedFailover", "latest") is None
    lab.settle()
    assert (lab.status(machine).active, lab.running(machine, "recovery")) == ("recovery", True)


def test_a_run_that_is_pre_empted_holds_nobody_back(plan_lab: Build) -> None:
    lab = plan_lab("h2s", plans=[PLAN, RecoveryPlan("one", (PlanGroup(("db",)),))])
    assert lab.run_plan("shop", "PlannedFailover") is None
    lab.fault("link")
    assert lab.run_plan("one", "UnplannedFailover", point="latest") is None
    lab.settle()
    assert (lab.plan_run("shop").state, lab.plan_run("one").state) == (RunState.FAILED, RunState.DONE)  # type: ignore[union-attr]
    assert lab.running("db", "recovery")
    lab.fault("primary-site")
    direct(lab, "web")


def test_a_run_that_fails_starts_nobody_and_holds_nobody_back(plan_lab: Build) -> None:
    lab = plan_lab("h2s", PlanGroup(("db",), after=(SCRIPT,)), PlanGroup(("web",)))
    found = run(lab, "PlannedFailover")
    assert (found.state, lab.status("web").active, lab.running("web", "recovery")) == (RunState.FAILED, "recovery", False)
    lab.fault("recovery-site")
    lab.heal("recovery-site")
    assert not lab.running("web", "recovery")
    assert not lab._host("web", "recovery").held


@pytest.mark.parametrize("fails", [True, False])
def test_after_a_restart_a_failover_alone_still_waits_for_no_run(
    tmp_path: Path, topologies: dict[str, Path], *, fails: bool
) -> None:
    images = {m: [make_image(tmp_path / f"{m}.img")] for m in MACHINES}

    def lab_of(**more: Any) -> Lab:
        return Lab(topologies["h2s"], images, tmp_path / "work", plans=[PLAN], durable=True, **more)

    with lab_of() as lab:
        for machine in MACHINES:
            assert lab.request(machine, "EnableProtection") is None
        assert lab.settle()
        assert lab.run_plan("shop", "PlannedFailover") is None
    with lab_of(resume=True) as lab:
        assert lab._host("web", "recovery").held
        if fails:  # the job does, and lets it go
            lab.fault("link")
            lab.settle()
            assert not lab._host("web", "recovery").held
        lab.fault("primary-site")
        direct(lab, "web")


def test_a_run_that_comes_to_nothing_ends_no_other(plan_lab: Build) -> None:
    wait = Action("manual", "look at it")
    lab = plan_lab("h2s", PlanGroup(("db",), before=(wait,)), PlanGroup(("web",)))
    assert lab.run_plan("shop", "PlannedFailover") is None
    first = lab.plan_run("shop")
    assert first is not None
    assert lab.run_plan("shop", "UnplannedFailover", point="latest-app-consistent") is not None
    assert lab.plan_run("shop") is first
    lab.settle()
    assert first.state is RunState.WAITING
    assert not lab.running("db", "recovery")
    assert not lab.running("web", "recovery")


def test_a_script_that_lets_time_pass_is_called_once_and_no_step_is_left_out(plan_lab: Build) -> None:
    calls: list[str] = []

    def hook(call: ScriptCall) -> bool:
        calls.append(call.id)
        lab.advance(5)
        return True

    script, wait = Action("script", "restore"), Action("manual", "look at it")
    lab = plan_lab("h2s", PlanGroup(("db",), after=(script, wait)), PlanGroup(("web",)), hooks={"restore": hook})
    assert lab.run_plan("shop", "PlannedFailover") is None
    lab.settle()
    run = lab.plan_run("shop")
    assert run is not None
    assert len(calls) == 1
    assert run.state is RunState.WAITING
    assert not lab.running("web", "recovery")
    assert lab.resume_plan("shop")
    lab.settle()
    assert run.state is RunState.DONE
    assert lab.running("web", "recovery")


def test_a_start_that_is_refused_leaves_a_machine_waiting_for_its_boot_group(plan_lab: Build) -> None:
    lab = plan_lab("h2s", PlanGroup(("db",), before=(Action("manual", "look at it"),)), PlanGroup(("web",)))
    assert lab.run_plan("shop", "PlannedFailover") is None
    assert not lab.start_machine("web", "recovery")
    lab.settle()
    assert lab.status("web").active == "recovery"
    assert not lab.running("web", "recovery")
