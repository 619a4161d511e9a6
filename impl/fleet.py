"""Several machines of one laboratory: replication groups and recovery plans, and how they move on in virtual time.

Rules:

* a barrier's messages between members take time like any other, and are lost on the way when the member cannot be reached;
  nobody sends them again: the barrier ends at :data:`BARRIER_LIMIT`, without a point;
* a barrier is due when a periodic point of any member would be, or an app-consistent one, and one barrier does for both; where
  there is an alarm, or no barrier may begin, every member gets a point of its own;
* a plan's run is looked at whenever something has changed at any machine. In each look it makes one step, which is one event;
* runs, and answers to requests for a run by their ids, outlive the program: after a restart a run goes on by itself, or waits for
  its manual action. A run is made again from what was kept of it, with the plan that it was begun with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from .coordinator import Coordinator
from .errors import UsageError
from .flows import Flow
from .group import HOLD_LIMIT, Ask, ReplicationGroup, checked_groups
from .plan import FAILOVERS, FORWARD, LATEST_COMMON, OTHERS, POINTS, REVERSE, Hook, RecoveryPlan, checked_plan, plan_of_row
from .planrun import PlanRun, RunState
from .values import PRIMARY, RECOVERY, Code, Operation

__all__ = ["Fleet", "Timeline"]

BARRIER_LIMIT = 1.5
"""Seconds from the first freeze until a barrier must have released everybody; less than a member holds writes back by itself."""
LOOK_DELAY = 0.2
"""Seconds until a plan's run looks at what has changed."""


class Timeline(Protocol):
    """What the fleet needs of the runtime."""

    now: float

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later."""

    def hop(self) -> float:
        """Seconds that a message is under way."""

    def kick(self, machine: str) -> None:
        """Something changed for a machine."""


class Fleet:
    """Groups and plans over the machines of a laboratory.

    Args:
        ask: asks for an operation of a machine, to a point; answers the reason code, or ``None``.
        would: the answer that a machine would give.

    Raises:
        UsageError: a group or a plan cannot be.
    """

    def __init__(
        self,
        coordinators: Mapping[str, Coordinator],
        flow: Flow,
        groups: Mapping[str, Sequence[str]],
        plans: Sequence[RecoveryPlan],
        hooks: Mapping[str, Hook],
        timeline: Timeline,
        ask: Callable[[str, str, str | None], str | None],
        would: Callable[[str, str, str | None], str | None],
        group_class: type[ReplicationGroup] = ReplicationGroup,
        run_class: type[PlanRun] = PlanRun,
    ) -> None:
        checked_groups(groups, coordinators, flow)
        for plan in plans:
            checked_plan(plan, coordinators, groups, flow)
        self.groups = {
            name: group_class(name, {member: coordinators[member] for member in members}) for name, members in groups.items()
        }
        self.plans = {plan.name: plan for plan in plans}
        self.runs: dict[str, PlanRun] = {}
        """The last run of each plan."""
        self._coordinators = coordinators
        self._flow = flow
        self._hooks = hooks
        self._timeline = timeline
        self._ask, self._would = ask, would
        self._answers: dict[tuple[str, str], list[str | None]] = {}
        """What was asked for under an id, by plan and id: operation, direction, point, and the code that was answered."""
        self._run_class = run_class
        self._group_of = {member: group for group in self.groups.values() for member in group.members}
        for coordinator in (coordinators[member] for member in self._group_of):  # after a restart no barrier runs
            for side in coordinator.sides.values():
                side.target.drop_tentative()
        self._due: set[str] = set()
        self._looks: set[str] = set()

    def group_of(self, machine: str) -> ReplicationGroup | None:
        """The group of a machine."""
        return self._group_of.get(machine)

    # ------------------------------------------------------------------------------------------------------ barrier

    def is_due(self, group: ReplicationGroup, at: float) -> None:
        """A common point is due at a time."""
        if group.name not in self._due:
            self._due.add(group.name)
            self._timeline.later(at - self._timeline.now, partial(self._begin, group))

    def _begin(self, group: ReplicationGroup) -> None:
        self._due.discard(group.name)
        if not any(coordinator.should_cut() for coordinator in group.members.values()):
            return
        if not group.may_begin():
            group.give_up()
            group.alarm()
        elif group.phase:
            if self._timeline.now - group.began > BARRIER_LIMIT:  # the last one has not arrived after a whole interval
                self._tell(group.fail(), group)
        else:
            self._start(group)
        if group.alarmed:
            for coordinator in group.members.values():
                coordinator.periodic_cut(self._timeline.now)
        self._kick(group)

    def freeze(self, group: ReplicationGroup) -> None:
        """The clock says that an app-consistent point is due, also where nothing has been received since the last point, and a
        barrier may begin."""
        if not group.phase and group.app_point_due(self._timeline.now):
            self._start(group)

    def _start(self, group: ReplicationGroup) -> None:
        self._tell(group.begin(self._timeline.now), group)
        self._timeline.later(BARRIER_LIMIT, partial(self._limit, group, group.barrier))

    def _limit(self, group: ReplicationGroup, barrier: str) -> None:
        if group.barrier == barrier and group.phase not in ("", "arrive"):
            self._tell(group.fail(), group)
            self._kick(group)

    def _tell(self, asks: list[Ask], group: ReplicationGroup) -> None:
        for ask in asks:
            self._timeline.later(self._timeline.hop(), partial(self._deliver, group, ask))

    def _deliver(self, group: ReplicationGroup, ask: Ask) -> None:
        if not group.in_reach(ask.member):
            return
        well = group.take(ask, self._timeline.now)
        if ask.phase == "freeze":
            self._timeline.later(HOLD_LIMIT, partial(self._let_go, group, ask))
        self._timeline.later(self._timeline.hop(), partial(self._answered, group, ask, well))

    def _let_go(self, group: ReplicationGroup, ask: Ask) -> None:
        """A member's own limit: it waits no longer for its release."""
        group.release(ask.member, ask.name, self._timeline.now)

    def _answered(self, group: ReplicationGroup, ask: Ask, well: bool) -> None:
        if group.in_reach(ask.member):
            self._tell(group.answer(ask, well), group)
            self._kick(group)

    def _kick(self, group: ReplicationGroup) -> None:
        for member in group.members:
            self._timeline.kick(member)

    def isolate(self, machine: str) -> None:
        """The other members of its group cannot reach a machine on their port any more.

        Raises:
            UsageError: it is in no group.
        """
        self._group(machine).isolated.add(machine)

    def rejoin(self, machine: str) -> None:
        """They can again."""
        self._group(machine).isolated.discard(machine)
        self._kick(self._group(machine))

    def _group(self, machine: str) -> ReplicationGroup:
        group = self._group_of.get(machine)
        if group is None:
            raise UsageError(f"machine '{machine}' is in no replication group")
        return group

    # -------------------------------------------------------------------------------------------------------- plans

    def run(
        self, name: str, operation: str, direction: str, point: str | None, request_id: str | None = None
    ) -> str | None:
        """Start a run of a plan; the reason code when it is refused, and nothing has changed. A retry with the same
        ``request_id`` is the same request: it gets the same answer, and begins nothing (P16).

        Raises:
            UsageError: no such plan, or the id was given to another request for it.
        """
        if request_id is not None and (name, request_id) in self._answers:
            *asked, code = self._answers[name, request_id]
            if asked != [operation, direction, point]:
                raise UsageError(
                    f"recovery plan '{name}': request id '{request_id}' was given to {asked[0]} {asked[1]} and is now given to "
                    f"{operation} {direction}, or to another point; an id names one request: give each request an id of its own"
                )
            return code
        plan = self.plans.get(name)
        if plan is None:
            raise UsageError(f"recovery plan '{name}' is not known; known: {', '.join(sorted(self.plans)) or 'none'}")
        if direction not in (FORWARD, REVERSE):
            raise UsageError(f"direction '{direction}' is not known; {FORWARD} or {REVERSE} expected")
        code = self._begun(plan, operation, direction, point)
        if request_id is not None:
            self._answers[name, request_id] = [operation, direction, point, code]
        return code

    def _begun(self, plan: RecoveryPlan, operation: str, direction: str, point: str | None) -> str | None:
        source = PRIMARY if direction == FORWARD else RECOVERY
        if operation not in (*FAILOVERS, *OTHERS) or (operation in FAILOVERS and not self._flow.offers(operation, source)):
            return Code.NOT_SUPPORTED
        others = [run for run in self.runs.values() if not run.over and set(run.plan.machines) & set(plan.machines)]
        if others and not (operation == Operation.UNPLANNED and all(o.operation == Operation.PLANNED for o in others)):
            return Code.JOB_IN_PROGRESS
        if point not in POINTS or (point == LATEST_COMMON and not self.groups):
            return Code.POINT_NOT_FOUND
        before = self.runs.get(plan.name)
        run = self._made(plan, 1 if before is None else before.number + 1, operation, direction, point)
        if others:  # a run ends for one that takes over machines of it, and not for one that comes to nothing
            codes = {machine: self._would(machine, operation, run.point_of(machine)) for machine in plan.machines}
            taken = {machine for machine, code in codes.items() if code is None or run.has_moved(machine)}
            if not all(taken & set(one.plan.machines) for one in others):
                return next(code for code in codes.values() if code is not None) if not taken else Code.JOB_IN_PROGRESS
        for one in others:
            one.pre_empt(self._timeline.now)
        self.runs[plan.name] = run
        run.step(self._timeline.now)
        self._after(plan.name)
        return None

    def _made(self, plan: RecoveryPlan, number: int, operation: str, direction: str, point: str | None) -> PlanRun:
        return self._run_class(
            plan, number, operation, direction, point, self._coordinators, tuple(self.groups.values()), self._ask, self._would,
            self._hooks,
        )  # fmt: skip

    def resume(self, name: str, manual_id: str | None = None) -> bool:
        """Somebody has done the manual action that a plan waits for; ``False`` when it waits for none. With the action's id
        (:attr:`.PlanRun.manual_id`) no other one is confirmed, and confirming it again is the same confirmation.
        """
        run = self.runs.get(name)
        if run is None:
            return False
        if manual_id is not None and manual_id != run.manual_id:
            return run.was_confirmed(manual_id)
        if run.state is not RunState.WAITING:
            return False
        run.resume(self._timeline.now)
        self._after(name)
        return True

    # ------------------------------------------------------------------------------------------------ what is kept

    def rows(self) -> Iterator[tuple[str, Any]]:
        """What has to survive, as plain values by key: runs by their plans, and answers by plan and request id."""
        for name, run in self.runs.items():
            yield f"run/{name}", run.head()
        for key, answer in self._answers.items():
            yield f"answer-of-plan/{json.dumps(key)}", answer

    def restore(self, rows: Mapping[str, Any]) -> None:
        """Runs go on, or wait, where they were that were kept."""
        for key, row in rows.items():
            kind, _, name = key.partition("/")
            if kind == "run":
                run = self._made(plan_of_row(row["plan"]), row["number"], row["operation"], row["direction"], row["point"])
                run.restore(row)
                self.runs[run.plan.name] = run
            else:
                plan, request_id = json.loads(name)
                self._answers[plan, request_id] = row

    # ------------------------------------------------------------------------------------------------------ looking

    def _after(self, name: str) -> None:
        for machine in self.runs[name].plan.machines:
            self._timeline.kick(machine)
        self._look_soon(name)

    def _look_soon(self, name: str) -> None:
        if name not in self._looks:
            self._looks.add(name)
            self._timeline.later(LOOK_DELAY, partial(self._look, name))

    def _look(self, name: str) -> None:
        self._looks.discard(name)
        run = self.runs[name]
        if not run.over:
            known = len(run.notes)
            more = run.step(self._timeline.now)
            if len(run.notes) > known or more:
                self._after(name)

    def changed(self, machine: str) -> None:
        """Something changed for a machine: its group's points may have arrived, a plan may go on."""
        group = self._group_of.get(machine)
        if group is not None:
            group.arrived(self._timeline.now)
        for name, run in self.runs.items():
            if run.state is RunState.RUNNING and machine in run.plan.machines:
                self._look_soon(name)
