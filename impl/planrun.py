"""One run of a recovery plan (GEN-15, V2A-45, H2A-37, H2S-26).

A run for a failover goes:

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

In some flows a failback runs no scripts. The other operations of a plan (commit, reverse replication, cleanup of a test) ask
every machine, note every error and go on.

A machine that is failed over waits for its boot group: it is *held*. The hold is the run's: when the run fails or is pre-empted,
so that no boot group comes any more, it lets everybody go who has not started; that starts nobody who has moved already. A job
that fails lets its machine go, and so does a failover of the machine alone, which waits for no plan.

A run outlives the program (P17). What it is to do is a list of *steps*, which are values, and where it is in it is a number:
with its notes, with who was begun and who has failed, that is all it knows, and in a system that is kept (:mod:`.keeping`) it is
durable at the end of each event, together with what the step has done to machines. So after a crash a run goes on with the step
that it was at, and:

* it begins in one event: it is known, and every machine has been asked, or nothing has happened;
* a step that only looks (at jobs, at guests) looks again. One that acts on machines was kept with its effect, or was not done;
* a script acts outside, where no transaction reaches. It is called before it is recorded that it was, so it is called at least
  once, and each time with the same id (:class:`~siteproof.impl.plan.ScriptCall`);
* a manual action that is waited for is waited for still. It has such an id as well, so confirming it twice is once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

import attrs

from .control import StepResult
from .coordinator import Coordinator
from .group import ReplicationGroup
from .plan import (
    FORWARD,
    LATEST_COMMON,
    MANUAL,
    Action,
    Do,
    Hook,
    PlanGroup,
    PlanStep,
    RecoveryPlan,
    ScriptCall,
    row_of_plan,
    steps_of,
)  # fmt: skip
from .values import APP_CONSISTENT, LATEST_APP_CONSISTENT, PRIMARY, RECOVERY, Code, Operation, other

__all__ = ["Note", "PlanRun", "RunState"]


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


@attrs.define
class PlanRun:
    """One run. It goes on by :meth:`step`, each time something may have changed.

    Overridable: :meth:`run_script`, :meth:`stops`, :meth:`has_moved`, :meth:`point_of`, :meth:`is_running`.
    """

    plan: RecoveryPlan
    number: int
    """Counts the runs of this plan, from 1."""
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
    position: int = 0
    """The step that the run is at; where it waits for a manual action, or has failed, it stays there."""
    steps: tuple[PlanStep, ...] = attrs.field(init=False)
    _begun: set[str] = attrs.Factory(set)
    _busy: bool = False
    _restored_at: int | None = None
    """The step that it was at when the program started again: what it does outside may have been done already."""

    @steps.default
    def _laid_out(self) -> tuple[PlanStep, ...]:
        return tuple(steps_of(self.plan, self.operation, self.direction))

    # ----------------------------------------------------------------------------------------------- what is kept

    def head(self) -> dict[str, Any]:
        """All that has to survive; plain values. The steps follow from it."""
        return {
            "plan": row_of_plan(self.plan), "number": self.number, "operation": self.operation, "direction": self.direction,
            "point": self.point, "state": self.state.value, "position": self.position, "begun": sorted(self._begun),
            "failed": sorted(self.failed), "notes": [list(attrs.astuple(note)) for note in self.notes],
        }  # fmt: skip

    def restore(self, head: Mapping[str, Any]) -> None:
        """Go on where the run was that was kept; this one was made of the same plan, operation and direction."""
        self.state, self.position, self._restored_at = RunState(head["state"]), head["position"], head["position"]
        self._begun, self.failed = set(head["begun"]), set(head["failed"])
        self.notes = [Note(*note) for note in head["notes"]]

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

    @property
    def manual(self) -> Action | None:
        """The manual action that is waited for."""
        return self.steps[self.position].action if self.state is RunState.WAITING else None

    def id_of(self, position: int) -> str:
        """The name of what a step does outside: of the call of a script, or of a manual action."""
        return f"{self.plan.name}/{self.number}/{position + 1}"

    @property
    def manual_id(self) -> str | None:
        """The id of the manual action that is waited for."""
        return self.id_of(self.position) if self.state is RunState.WAITING else None

    def was_confirmed(self, manual_id: str) -> bool:
        """Whether a manual action of this run has been confirmed."""
        return any(
            self.id_of(number) == manual_id for number, step in enumerate(self.steps[: self.position])
            if step.action is not None and step.action.kind == MANUAL
        )  # fmt: skip

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
        self.state = RunState.FAILED
        for machine in self.plan.machines:
            self._hold(machine, hold=False)

    # ---------------------------------------------------------------------------------------------------- running

    @property
    def source(self) -> str:
        """The side that the machines leave."""
        return PRIMARY if self.direction == FORWARD else RECOVERY

    def step(self, now: float) -> bool:
        """Do the next thing if it has become possible; whether there may be more to do at once. A script that lets time pass does
        not make the run that has called it go on meanwhile.
        """
        if self._busy:
            return False
        if self.is_going_on() and self.position < len(self.steps):
            self._busy = True
            try:
                result = self._do(self.steps[self.position], now)
            finally:
                self._busy = False
            if result is StepResult.WAIT:
                return False
            if self.is_going_on():
                self.position += 1
        if self.is_going_on() and self.position == len(self.steps):
            self.state = RunState.DONE
        return self.is_going_on()

    def _do(self, step: PlanStep, now: float) -> StepResult:
        does: Mapping[Do, Callable[[PlanStep, float], StepResult]] = {
            Do.FAIL_OVER: self._start_failovers, Do.AWAIT_FAILOVERS: self._await_failovers, Do.ACT: self._act,
            Do.BOOT: self._boot, Do.AWAIT_BOOT: self._await_boot, Do.ASK: self._start_others, Do.AWAIT: self._await_others,
        }  # fmt: skip
        return does[step.do](step, now)

    def is_going_on(self) -> bool:
        """Whether the run waits for nobody and has not ended."""
        return self.state is RunState.RUNNING

    def pre_empt(self, now: float) -> None:
        """An unplanned failover takes the place of this run (P16)."""
        self.note(now, 0, self.plan.name, "ended by an unplanned failover", error=True)
        self.fail()

    def resume(self, now: float) -> None:
        """The manual action has been done."""
        if self.manual is not None:
            self.note(now, 0, self.manual.name, "confirmed")
            self.state = RunState.RUNNING
            self.position += 1

    # ---------------------------------------------------------------------------------------------------- failovers

    def has_moved(self, machine: str) -> bool:
        """Whether a machine is where the run would bring it: it is not failed over again."""
        if self.operation == Operation.TEST:
            return self.coordinators[machine].record.test == "running"
        return self.coordinators[machine].record.active != self.source

    def point_of(self, machine: str) -> str | None:
        """The point for a machine."""
        app = self.point == LATEST_APP_CONSISTENT
        if self.operation == Operation.PLANNED or not (app or self.point == LATEST_COMMON):
            return self.point
        for group in self.groups:
            if machine in group.members:
                common = group.common(APP_CONSISTENT if app else None)
                return common[machine].id if common else "none in common"
        return LATEST_APP_CONSISTENT if app else "latest-processed"

    def _start_failovers(self, step: PlanStep, now: float) -> StepResult:
        to_move = []
        for machine in self.plan.machines:
            if self.has_moved(machine):
                self.note(now, step.group, machine, "skipped: it has moved already")
            else:
                to_move.append((machine, self.point_of(machine)))
        if self.stops():
            for machine, point in to_move:
                code = self.would(machine, self.operation, point)
                if code is not None:
                    self.wrong(now, step.group, machine, f"refused: {code}")
                    return StepResult.DONE
        for machine, point in to_move:
            self._hold(machine, hold=True)
            code = self.ask(machine, self.operation, point)
            if code is None:
                self._begun.add(machine)
                self.note(now, step.group, machine, self.operation + ("" if point is None else f" to {point}"))
            else:
                self._hold(machine, hold=False)
                self.failed.add(machine)
                self.wrong(now, step.group, machine, f"refused: {code}")
        return StepResult.DONE

    def _hold(self, machine: str, *, hold: bool) -> None:
        """Whether what is about to come up at the other side waits for its boot group."""
        if self.operation == Operation.TEST:
            self.coordinators[machine].holds_copy = hold
        else:
            self.coordinators[machine].sides[other(self.source)].host.held = hold

    def _await_failovers(self, step: PlanStep, now: float) -> StepResult:
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
                self.note(now, step.group, machine, f"{self.operation} failed", error=True)
        if waiting:
            return StepResult.WAIT
        for machine in sorted(self._begun):
            self.note(now, step.group, machine, "failed over" if self.operation != Operation.TEST else "its copy is made")
        if self.failed and self.stops():
            self.fail()
        return StepResult.DONE

    # ------------------------------------------------------------------------------------------- groups and actions

    def _group(self, step: PlanStep) -> PlanGroup:
        return self.plan.groups[step.group - 1]

    def _boot(self, step: PlanStep, now: float) -> StepResult:
        for machine in self._group(step).machines:
            if machine not in self.failed:
                self._hold(machine, hold=False)
                if self.operation != Operation.TEST and self.has_moved(machine):
                    self.coordinators[machine].sides[other(self.source)].host.start()
                self.note(now, step.group, machine, "starts")
        return StepResult.DONE

    def is_running(self, machine: str) -> bool:
        """Whether a machine of the plan has started at the other side."""
        coordinator = self.coordinators[machine]
        if self.operation == Operation.TEST:
            return coordinator.copy is not None and coordinator.copy.guest.running
        return coordinator.sides[other(self.source)].host.guest.running

    def _await_boot(self, step: PlanStep, now: float) -> StepResult:
        machines = [m for m in self._group(step).machines if m not in self.failed]
        for machine in machines:
            host = self.coordinators[machine].sides[other(self.source)].host
            if self.operation != Operation.TEST and not host.guest.running and not host.start():
                return StepResult.WAIT
        if not all(self.is_running(machine) for machine in machines):
            return StepResult.WAIT
        for machine in machines:
            self.note(now, step.group, machine, "runs")
        return StepResult.DONE

    def _act(self, step: PlanStep, now: float) -> StepResult:
        action = step.action
        assert action is not None
        if action.kind == MANUAL:
            self.note(now, step.group, action.name, "waits for somebody to do it")
            self.state = RunState.WAITING
        else:
            self.run_script(step.group, action, now)
        return StepResult.DONE

    def run_script(self, number: int, action: Action, now: float) -> None:
        """Carry out a script, where the flow runs scripts in this direction."""
        flow = next(iter(self.coordinators.values())).flow
        if self.source not in flow.scripts:
            self.note(now, number, action.name, "skipped: this flow runs no scripts in this direction")
            return
        hook, again = self.hooks.get(action.name), self.position == self._restored_at
        told = " (a restart came between: it may have been called before)" if again else ""
        if hook is None:
            self.wrong(now, number, action.name, "there is no such script")
        elif hook(ScriptCall(
            self.plan.name, number, action.name, self.operation, self.direction, self.id_of(self.position), again
        )):  # fmt: skip
            self.note(now, number, action.name, f"script has run{told}")
        else:
            self.wrong(now, number, action.name, f"script failed{told}")

    # ------------------------------------------------------------------------------------------------------- others

    def _start_others(self, step: PlanStep, now: float) -> StepResult:
        for machine in self.plan.machines:
            code = self.ask(machine, self.operation, None)
            if code is None:
                self._begun.add(machine)
                self.note(now, step.group, machine, self.operation)
            elif code in (Code.NO_FAILOVER, Code.NOT_COMMITTED, Code.NO_TEST):
                self.note(now, step.group, machine, f"skipped: {code}")
            else:
                self.failed.add(machine)
                self.wrong(now, step.group, machine, f"refused: {code}")
        return StepResult.DONE

    def _await_others(self, step: PlanStep, now: float) -> StepResult:
        if any(self.coordinators[m].job is not None for m in self._begun):
            return StepResult.WAIT
        for machine in sorted(self._begun):
            self.note(now, step.group, machine, f"{self.operation} is done")
        return StepResult.DONE
