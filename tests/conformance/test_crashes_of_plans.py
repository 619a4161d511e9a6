"""A crash after every effect while a recovery plan runs: it keeps its order and comes to its end; and the test would notice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from siteproof.conformance.cli import main
from siteproof.conformance.drivers.bundled import topology_of
from siteproof.conformance.drivers.bundled_crashes import Plan
from siteproof.conformance.drivers.bundled_plan_crashes import _PlanWalk, explore_plan
from siteproof.conformance.drivers.bundled_plan_operator import Course, courses
from siteproof.impl.control import StepResult
from siteproof.impl.coordinator import Coordinator
from siteproof.impl.fleet import Fleet
from siteproof.impl.flows import FLOWS
from siteproof.impl.keeping import Keeper
from siteproof.impl.plan import SCRIPT, Action, PlanStep
from siteproof.impl.planrun import PlanRun, RunState
from siteproof.impl.simulation import Event, Simulation
from siteproof.impl.vm_host import VmHost
from tests.seeds import seed_for
from tests.soak import soak

HYPER_V = "hyper-v-to-secondary-site"
ALL = [(flow, course) for flow in sorted(FLOWS) for course in courses(FLOWS[flow])]


def course_of(kind: str) -> Course:
    return next(course for course in courses(FLOWS[HYPER_V]) if course.name.startswith(kind))


def told(findings: list[Any]) -> list[str]:
    return [f"step {f.step}, effect {f.effect} ({f.name}), {f.crash}, dark {f.dark}: {f.text}" for f in findings]


def test_every_flow_that_has_plans_has_courses() -> None:
    assert {flow for flow, _ in ALL} == {id for id, flow in FLOWS.items() if flow.plans}
    assert {course.operation for _, course in ALL} == {"PlannedFailover", "UnplannedFailover", "TestFailover"}


@pytest.mark.parametrize(("flow", "course"), ALL, ids=[f"{flow}, {course.name}" for flow, course in ALL])
def test_a_run_of_a_plan_survives_a_crash_after_any_effect(flow: str, course: Course, tmp_path: Path) -> None:
    every = 1 if flow == HYPER_V else 3
    tally = explore_plan(topology_of(flow), course, tmp_path, seed_for(f"plan {flow}"), Plan(in_turn=True, every=every))
    assert not told(tally.findings)
    assert tally.points > 40 // every


@soak("every kind of crash at every effect of every run")
@pytest.mark.parametrize(("flow", "course"), ALL, ids=[f"{flow}, {course.name}" for flow, course in ALL])
def test_a_run_of_a_plan_survives_every_kind_of_crash_and_pairs(flow: str, course: Course, tmp_path: Path) -> None:
    tally = explore_plan(topology_of(flow), course, tmp_path, seed_for(f"plan {flow}"), Plan(pairs=1000))
    assert not told(tally.findings)


@pytest.mark.parametrize("kind", ["planned", "unplanned", "test"])
def test_a_run_of_a_plan_survives_a_second_crash_while_it_recovers(kind: str, tmp_path: Path) -> None:
    tally = explore_plan(topology_of(HYPER_V), course_of(kind), tmp_path, seed_for("plan"), Plan(in_turn=True, every=3, pairs=60))
    assert 30 < tally.second <= 60 < tally.pairs
    assert not told(tally.findings)


def test_the_call_of_a_script_is_a_point_of_a_crash(tmp_path: Path) -> None:
    """Else it would never be called twice, and nothing would be known of its ids."""
    names: set[str] = set()
    with mock.patch.object(_PlanWalk, "_world", lambda _walk, name, *_: names.add(name)):
        explore_plan(topology_of(HYPER_V), course_of("planned"), tmp_path, 1, Plan(in_turn=True))
    assert {"call of script warm", "transaction vault", "transaction primary", "transaction recovery"} <= names


# --------------------------------------------------------------------------------- would the test notice? it does


def restores(cls: type, **changed: Any) -> AbstractContextManager[Any]:
    """A component that comes back with something else than what was kept."""
    restore = cls.restore  # type: ignore[attr-defined]

    def other(self: Any, head: Mapping[str, Any], *more: Any) -> None:
        restore(self, {**head, **changed}, *more)

    return mock.patch.object(cls, "restore", other)


def forgets_answers(fleet: Fleet, rows: Mapping[str, Any]) -> None:
    RESTORE(fleet, {key: row for key, row in rows.items() if key.startswith("run/")})


def lets_copies_go(keeper: Keeper, machine: str, coordinator: Coordinator) -> None:
    COORDINATOR(keeper, machine, coordinator)
    coordinator.holds_copy = False


def waits_no_more(run: PlanRun, head: Mapping[str, Any]) -> None:
    RUN(run, head)
    if run.state is RunState.WAITING:
        run.resume(0)


def begins_again(run: PlanRun, head: Mapping[str, Any]) -> None:
    RUN(run, {**head, "position": 0})


def is_one_step_late(run: PlanRun, head: Mapping[str, Any]) -> None:
    RUN(run, {**head, "position": max(head["position"] - 1, 0)} if head["state"] == "running" else head)


def draws_an_id(run: PlanRun, position: int) -> str:
    action = run.steps[position].action
    return f"{next(NUMBERS)}" if action is not None and action.kind == SCRIPT else ID(run, position)


def was_called_never(run: PlanRun, head: Mapping[str, Any]) -> None:
    RUN(run, head)
    run._restored_at = None


@contextmanager
def event_by_event(runtime: Simulation) -> Iterator[None]:
    """Each machine that a plan asks is an event of its own."""
    with Event(runtime):
        yield


class RecordsFirst(PlanRun):
    """It is recorded that a script has run, and then it is called: it runs at most once."""

    owed: tuple[int, Action] | None = None

    def run_script(self, number: int, action: Action, now: float) -> None:  # noqa: ARG002
        self.owed = (number, action)

    def step(self, now: float) -> bool:
        if self.owed is not None:
            super().run_script(*self.owed, now)
            self.owed = None
            return True
        return super().step(now)


class WaitsForNobody(PlanRun):
    """A group counts as started when it has been let go."""

    def _await_boot(self, step: Any, now: float) -> Any:
        super()._await_boot(step, now)
        return StepResult.DONE


class StartsAll(PlanRun):
    """All groups start with the first one."""

    def _boot(self, step: Any, now: float) -> Any:
        super()._boot(PlanStep(step.do, 2), now)
        return super()._boot(step, now)


RESTORE, COORDINATOR, RUN, ID = Fleet.restore, Keeper.restore_coordinator, PlanRun.restore, PlanRun.id_of
NUMBERS = count()
EARLY, UNCONFIRMED = "runs before the first group does", "before the manual action was confirmed"
Mistake = tuple[Callable[[], AbstractContextManager[Any]], str, Mapping[str, type], str]
MISTAKES: dict[str, Mistake] = {
    "the run is forgotten": (lambda: mock.patch.object(Fleet, "restore"), "planned", {}, "the run of the plan is forgotten"),
    "the hold of a host is forgotten": (lambda: restores(VmHost, held=False), "planned", {}, EARLY),
    "the hold of a copy is forgotten": (
        lambda: mock.patch.object(Keeper, "restore_coordinator", lets_copies_go), "test", {}, EARLY),
    "a script is recorded before it is called": (nullcontext, "planned", {"plan-run": RecordsFirst}, "never called"),
    "a script that is called again has another id": (
        lambda: mock.patch.object(PlanRun, "id_of", draws_an_id), "unplanned", {}, "another id"),
    "a script that is called again is not told so": (
        lambda: mock.patch.object(PlanRun, "restore", was_called_never), "unplanned", {}, "not told so"),
    "answers are forgotten": (lambda: mock.patch.object(Fleet, "restore", forgets_answers), "unplanned", {}, "JobInProgress"),
    "a manual action is not waited for any more": (
        lambda: mock.patch.object(PlanRun, "restore", waits_no_more), "planned", {}, UNCONFIRMED),
    "a run begins again": (lambda: mock.patch.object(PlanRun, "restore", begins_again), "planned", {}, EARLY),
    "a run is kept one step late": (lambda: mock.patch.object(PlanRun, "restore", is_one_step_late), "planned", {}, EARLY),
    "a run begins in pieces": (lambda: mock.patch.object(Simulation, "event", event_by_event), "planned", {}, "another run"),
    "a group is not waited for": (nullcontext, "test", {"plan-run": WaitsForNobody}, "between the two groups"),
    "all groups start together": (nullcontext, "planned", {"plan-run": StartsAll}, UNCONFIRMED),
    "a machine is taken to have failed": (lambda: restores(PlanRun, failed=["a"]), "unplanned", {}, "between the two groups"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_keeping_a_run_is_found(mistake: str, tmp_path: Path) -> None:
    make, kind, components, text = MISTAKES[mistake]
    with make():
        plan = Plan(in_turn=True, enough=1)
        found = explore_plan(topology_of(HYPER_V), course_of(kind), tmp_path, 1, plan, components=components).findings
    assert any(text in finding.text for finding in found), told(found)


def test_the_command_counts_runs_of_plans_with_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, course = tmp_path / "crash.json", course_of("unplanned")
    alone = mock.patch("siteproof.conformance.cli.crashing.histories", return_value=())
    with alone, mock.patch("siteproof.conformance.cli.crashing.courses", return_value=(course,)):
        assert main(["crash", HYPER_V, "--quick", "--pairs", "10", "--json", str(out)]) == 0
    (run,) = json.loads(out.read_text())["runs"]
    assert (run["history"], run["findings"]) == (course.name, [])
    assert 40 < run["points"] < run["worlds"]
    assert 0 < run["second"] <= 10 < run["pairs"]
    assert f"{run['points']:,} crash points, {run['second']:,} of {run['pairs']:,} pairs of crashes" in capsys.readouterr().out
