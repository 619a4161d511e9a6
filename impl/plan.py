"""Recovery plans: several machines in groups, an order of starting them, and actions between (GEN-15, V2A-45, H2A-37, H2S-26).

One run of a plan for a failover goes:

1. all machines fail over in parallel, and none starts there yet (a planned failover stops each source first; a test failover
   stops nothing);
2. group by group: the actions before it, then all its machines start together, then the actions after it. A group begins when
   each machine of the one before has started, or has failed.

What an error does (P14):

==================  ====================================================================================================
planned             the run stops at the first error: a machine that would be refused (then nothing is begun), a job that
                    fails, a script that fails. What has moved stays where it is, and is not started
unplanned, test     every error is noted, and the run goes on without what failed
any                 a machine that has moved is skipped by a later run, and only started: run the plan again when the
                    cause is mended
==================  ====================================================================================================

Actions are a *script*, which a hook carries out (:data:`Hook`) and which can fail, and a *manual action*, at which the run waits
until somebody resumes it. Each says for which operations and directions it is meant; in some flows a failback runs no scripts.

The other operations of a plan (commit, reverse replication, cleanup of a test) ask every machine, note every error and go on.
*latest-common* is offered to plans alone: machines of a replication group use their newest common point, others their newest one.
A single named point is not: it belongs to one machine.

A machine that is failed over waits for its boot group: it is *held*. The hold is the run's: when the run fails or is pre-empted,
so that no boot group comes any more, it lets everybody go who has not started; that starts nobody who has moved already. A job
that fails lets its machine go, and so does a failover of the machine alone, which waits for no plan.

A run lives as long as the program; what it has done to machines is theirs, and so is what they wait for. So after a restart the
plan is run again: what is held in a job of the operation is waited for, and starts with its group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

import attrs

from .control import StepResult
from .coordinator import Coordinator
from .errors import UsageError
from .flows import Flow
from .group import ReplicationGroup
from .values import PRIMARY, RECOVERY, Code, Operation, other

__all__ = [
    "FAILOVERS",
    "FORWARD",
    "LATEST_COMMON",
    "OTHERS",
    "POINTS",
    "REVERSE",
    "Action",
    "Hook",
    "Note",
    "PlanGroup",
    "PlanRun",
    "RecoveryPlan",
    "RunState",
    "ScriptCall",
    "checked_plan",
]

FORWARD, REVERSE = "forward", "reverse"
LATEST_COMMON = "latest-common"
MOST_GROUPS = 7
MOST_MACHINES = 100
FAILOVERS = (Operation.PLANNED, Operation.UNPLANNED, Operation.TEST)
OTHERS = (Operation.COMMIT, Operation.REVERSE, Operation.CLEANUP)
POINTS = (None, "latest", "latest-processed", LATEST_COMMON)


@attrs.frozen(slots=True)
class Action:
    """Something done between groups. ``kind``: ``script`` or ``manual``; ``name``: the script, or what a person has to do."""

    kind: str
    name: str
    operations: frozenset[str] = frozenset(FAILOVERS)
    directions: frozenset[str] = frozenset({FORWARD, REVERSE})


@attrs.frozen(slots=True)
class PlanGroup:
    """Machines that start together, and the actions before and after."""

    machines: tuple[str, ...]
    before: tuple[Action, ...] = ()
    after: tuple[Action, ...] = ()


@attrs.frozen(slots=True)
class RecoveryPlan:
    """A plan: boot groups 1 to 7, in order."""

    name: str
    groups: tuple[PlanGroup, ...]

    @property
    def machines(self) -> tuple[str, ...]:
        """All machines, in the order in which they start."""
        return tuple(machine for group in self.groups for machine in group.machines)


@attrs.frozen(slots=True)
class ScriptCall:
    """What a script is told. ``group`` counts from 1."""

    plan: str
    group: int
    script: str
    operation: str
    direction: str


Hook = Callable[[ScriptCall], bool]
"""Carries out a script; whether it succeeded."""


class RunState(Enum):
    """Where a run is."""

    RUNNING = "running"
    WAITING = "waiting for a manual action"
    DONE = "done"
    FAILED = "failed"


@attrs.frozen(slots=True)
class Note:
    """An entry of a run's protocol. ``group`` counts from 1, 0: before all groups; ``subject``: a machine or an action."""

    at: float
    group: int
    subject: str
    text: str
    error: bool = False


def checked_plan(
    plan: RecoveryPlan, machines: Mapping[str, object], groups: Mapping[str, Sequence[str]], flow: Flow
) -> None:
    """Refuse a plan that cannot be.

    Raises:
        UsageError: it has too many groups or machines, names one twice, splits a replication group, or the flow has no plans.
    """
    where = f"recovery plan '{plan.name}'"
    if not flow.plans:
        raise UsageError(f"{where}: flow '{flow.id}' has no recovery plans; fail its machines over one by one")
    if not 1 <= len(plan.groups) <= MOST_GROUPS:
        raise UsageError(f"{where} has {len(plan.groups)} groups; 1 to {MOST_GROUPS} expected")
    if not 1 <= len(plan.machines) <= MOST_MACHINES:
        raise UsageError(f"{where} has {len(plan.machines)} machines; 1 to {MOST_MACHINES} expected")
    for number, machine in enumerate(plan.machines):
        if machine not in machines:
            raise UsageError(f"{where}: machine '{machine}' is not known; known: {', '.join(sorted(machines))}")
        if machine in plan.machines[:number]:
            raise UsageError(f"{where}: machine '{machine}' is in it twice; one group expected")
    for name, members in groups.items():
        homes = {number for number, group in enumerate(plan.groups) if set(group.machines) & set(members)}
        if len(homes) > 1 or (homes and not set(members) <= set(plan.groups[min(homes)].machines)):
            raise UsageError(f"{where}: replication group '{name}' is not whole in one group of the plan; put it together")


@attrs.define
class PlanRun:
    """One run. It goes on by :meth:`step`, each time something may have changed.

    Overridable: :meth:`run_script`, :meth:`stops`, :meth:`has_moved`, :meth:`point_of`, :meth:`is_running`.
    """

    plan: RecoveryPlan
    operation: str
    direction: str
    point: str | None
    coordinators: Mapping[str, Coordinator]
    groups: Sequence[ReplicationGroup]
    ask: Callable[[str, str, str | None], str | None]
    """Asks for an operation of a machine; answers the reason code, or ``None``."""
    would: Callable[[str, str, str | None], str | None]
    """The answer that a machine would give."""
    hooks: Mapping[str, Hook]
    state: RunState = RunState.RUNNING
    notes: list[Note] = attrs.Factory(list)
    failed: set[str] = attrs.Factory(set)
    manual: Action | None = None
    """The manual action that is waited for."""
    _todo: list[Callable[[float], StepResult]] = attrs.Factory(list)
    _begun: set[str] = attrs.Factory(set)

    # ---------------------------------------------------------------------------------------------------- protocol

    def note(self, now: float, group: int, subject: str, text: str, *, error: bool = False) -> None:
        """Write into the protocol."""
        self.notes.append(Note(now, group, subject, text, error))

    @property
    def errors(self) -> list[Note]:
        """What went wrong."""
        return [note for note in self.notes if note.error]

    @property
    def over(self) -> bool:
        """Whether the run has ended."""
        return self.state in (RunState.DONE, RunState.FAILED)

    def stops(self) -> bool:
        """Whether the first error ends the run."""
        return self.operation == Operation.PLANNED

    def wrong(self, now: float, group: int, subject: str, text: str) -> None:
        """An error: it is noted, and ends the run where the policy says so."""
        self.note(now, group, subject, text, error=True)
        if self.stops():
            self.fail()

    def fail(self) -> None:
        """The run ends here; nobody waits any more for a boot group that does not come."""
        self.state, self.manual = RunState.FAILED, None
        for machine in self.plan.machines:
            self._hold(machine, hold=False)

    # ---------------------------------------------------------------------------------------------------- running

    @property
    def source(self) -> str:
        """The side that the machines leave."""
        return PRIMARY if self.direction == FORWARD else RECOVERY

    def begin(self, now: float) -> None:
        """Start: what is to be done is laid out, and the first of it done."""
        if self.operation in FAILOVERS:
            self._todo = [self._start_failovers, self._await_failovers]
            for number, group in enumerate(self.plan.groups, 1):
                self._todo += [self._action(number, action) for action in group.before if self._is_meant(action)]
                self._todo += [self._boot(number), self._await_boot(number)]
                self._todo += [self._action(number, action) for action in group.after if self._is_meant(action)]
        else:
            self._todo = [self._start_others, self._await_others]
        self.step(now)

    def step(self, now: float) -> bool:
        """Do the next thing if it has become possible; whether there may be more to do at once."""
        if self.is_going_on() and self._todo:
            if self._todo[0](now) is StepResult.WAIT:
                return False
            self._todo.pop(0)
        if self.is_going_on() and not self._todo:
            self.state = RunState.DONE
        return self.is_going_on()

    def is_going_on(self) -> bool:
        """Whether the run waits for nobody and has not ended."""
        return self.state is RunState.RUNNING

    def pre_empt(self, now: float) -> None:
        """An unplanned failover takes the place of this run (P16)."""
        self.note(now, 0, self.plan.name, "ended by an unplanned failover", error=True)
        self.fail()

    def resume(self, now: float) -> None:
        """The manual action has been done."""
        if self.state is RunState.WAITING and self.manual is not None:
            self.note(now, 0, self.manual.name, "confirmed")
            self.manual, self.state = None, RunState.RUNNING

    # ---------------------------------------------------------------------------------------------------- failovers

    def has_moved(self, machine: str) -> bool:
        """Whether a machine is where the run would bring it: it is not failed over again."""
        if self.operation == Operation.TEST:
            return self.coordinators[machine].record.test == "running"
        return self.coordinators[machine].record.active != self.source

    def point_of(self, machine: str) -> str | None:
        """The point for a machine."""
        if self.operation == Operation.PLANNED or self.point != LATEST_COMMON:
            return self.point
        for group in self.groups:
            if machine in group.members:
                return group.common()[machine].id if group.common() else "none in common"
        return "latest-processed"

    def _start_failovers(self, now: float) -> StepResult:
        to_move = []
        for machine in self.plan.machines:
            if self.has_moved(machine):
                self.note(now, 0, machine, "skipped: it has moved already")
            elif self.is_held(machine):
                self._begun.add(machine)
                self.note(now, 0, machine, f"its {self.operation} goes on, which an earlier run began")
            else:
                to_move.append((machine, self.point_of(machine)))
        if self.stops():
            for machine, point in to_move:
                code = self.would(machine, self.operation, point)
                if code is not None:
                    self.wrong(now, 0, machine, f"refused: {code}")
                    return StepResult.DONE
        for machine, point in to_move:
            self._hold(machine, hold=True)
            code = self.ask(machine, self.operation, point)
            if code is None:
                self._begun.add(machine)
                self.note(now, 0, machine, self.operation + ("" if point is None else f" to {point}"))
            else:
                self._hold(machine, hold=False)
                self.failed.add(machine)
                self.wrong(now, 0, machine, f"refused: {code}")
        return StepResult.DONE

    def is_held(self, machine: str) -> bool:
        """Whether a machine is under way in a job of this operation and waits for a boot group: after a restart it may."""
        coordinator = self.coordinators[machine]
        if coordinator.job is None or coordinator.job.operation != self.operation:
            return False
        return coordinator.holds_copy if self.operation == Operation.TEST else coordinator.sides[other(self.source)].host.held

    def _hold(self, machine: str, *, hold: bool) -> None:
        """Whether what is about to come up at the other side waits for its boot group."""
        if self.operation == Operation.TEST:
            self.coordinators[machine].holds_copy = hold
        else:
            self.coordinators[machine].sides[other(self.source)].host.held = hold

    def _await_failovers(self, now: float) -> StepResult:
        waiting = False
        for machine in sorted(self._begun):
            coordinator = self.coordinators[machine]
            if coordinator.job is not None and coordinator.job.operation == self.operation:
                if self.operation == Operation.TEST and coordinator.copy is not None:
                    continue
                waiting = True
            elif not self.has_moved(machine):
                self._begun.discard(machine)
                self._hold(machine, hold=False)
                self.failed.add(machine)
                self.note(now, 0, machine, f"{self.operation} failed", error=True)
        if waiting:
            return StepResult.WAIT
        for machine in sorted(self._begun):
            self.note(now, 0, machine, "failed over" if self.operation != Operation.TEST else "its copy is made")
        if self.failed and self.stops():
            self.fail()
        return StepResult.DONE

    # ------------------------------------------------------------------------------------------- groups and actions

    def _boot(self, number: int) -> Callable[[float], StepResult]:
        def start(now: float) -> StepResult:
            for machine in self.plan.groups[number - 1].machines:
                if machine not in self.failed:
                    self._hold(machine, hold=False)
                    if self.operation != Operation.TEST and self.has_moved(machine):
                        self.coordinators[machine].sides[other(self.source)].host.start()
                    self.note(now, number, machine, "starts")
            return StepResult.DONE

        return start

    def is_running(self, machine: str) -> bool:
        """Whether a machine of the plan has started at the other side."""
        coordinator = self.coordinators[machine]
        if self.operation == Operation.TEST:
            return coordinator.copy is not None and coordinator.copy.guest.running
        return coordinator.sides[other(self.source)].host.guest.running

    def _await_boot(self, number: int) -> Callable[[float], StepResult]:
        def started(now: float) -> StepResult:
            machines = [m for m in self.plan.groups[number - 1].machines if m not in self.failed]
            for machine in machines:
                host = self.coordinators[machine].sides[other(self.source)].host
                if self.operation != Operation.TEST and not host.guest.running and not host.start():
                    return StepResult.WAIT
            if not all(self.is_running(machine) for machine in machines):
                return StepResult.WAIT
            for machine in machines:
                self.note(now, number, machine, "runs")
            return StepResult.DONE

        return started

    def _is_meant(self, action: Action) -> bool:
        return self.operation in action.operations and self.direction in action.directions

    def _action(self, number: int, action: Action) -> Callable[[float], StepResult]:
        def act(now: float) -> StepResult:
            if action.kind == "manual":
                self.note(now, number, action.name, "waits for somebody to do it")
                self.manual, self.state = action, RunState.WAITING
            else:
                self.run_script(number, action, now)
            return StepResult.DONE

        return act

    def run_script(self, number: int, action: Action, now: float) -> None:
        """Carry out a script, where the flow runs scripts in this direction."""
        flow = next(iter(self.coordinators.values())).flow
        if self.source not in flow.scripts:
            self.note(now, number, action.name, "skipped: this flow runs no scripts in this direction")
            return
        hook = self.hooks.get(action.name)
        if hook is None:
            self.wrong(now, number, action.name, "there is no such script")
        elif hook(ScriptCall(self.plan.name, number, action.name, self.operation, self.direction)):
            self.note(now, number, action.name, "script has run")
        else:
            self.wrong(now, number, action.name, "script failed")

    # ------------------------------------------------------------------------------------------------------- others

    def _start_others(self, now: float) -> StepResult:
        for machine in self.plan.machines:
            code = self.ask(machine, self.operation, None)
            if code is None:
                self._begun.add(machine)
                self.note(now, 0, machine, self.operation)
            elif code in (Code.NO_FAILOVER, Code.NOT_COMMITTED, Code.NO_TEST):
                self.note(now, 0, machine, f"skipped: {code}")
            else:
                self.failed.add(machine)
                self.wrong(now, 0, machine, f"refused: {code}")
        return StepResult.DONE

    def _await_others(self, now: float) -> StepResult:
        if any(self.coordinators[m].job is not None for m in self._begun):
            return StepResult.WAIT
        for machine in sorted(self._begun):
            self.note(now, 0, machine, f"{self.operation} is done")
        return StepResult.DONE
