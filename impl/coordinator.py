"""Jobs and coordination: what the configuration server (VMware, Scout) and the Providers (Hyper-V) do on the control path.

A job is a list of steps. A step is one event: it runs whole or not at all; faults, writes and requests happen between
steps. It answers *done* (next step after a short virtual time), *wait* (tried again when something changes), *again*
(from the step that the job names) or *failed*. Only a planned failover fails: it does so where it would have to wait for
a fault to end, since nobody can end it otherwise, and then everything is as before it.

==========================  ==========================================================================================
EnableProtection            prepare, copy, catch up, finish
PlannedFailover             stop, drain, switch
PlannedFailover that        prepare, copy, catch up while the machine runs; then stop, drain, switch
copies back (H2A-46)
UnplannedFailover           (on acceptance: replication halts) stop the source if reachable, choose the point, switch
Commit                      first half (frozen), second half (points deleted, failover final)
ReverseReplicate            prepare, copy, catch up, finish
TestFailover                choose the point, make the copy, start it
TestFailoverCleanup         stop the copy, delete it
ChangePit                   choose the point, change to it
RepairReplication           begin to compare, compare, catch up, check; begin to merge, merge
PauseReplication            pause; ResumeReplication: go on
DisableProtection,          stop replication, end it
CompleteMigration
==========================  ==========================================================================================

The steps are in :mod:`.copying`, :mod:`.failover`, :mod:`.testfailover`, :mod:`.resync` and :mod:`.ending`, what they
stand on is in :mod:`.replication`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .control import Job, StepResult
from .copying import CopySteps
from .ending import EndingSteps
from .failover import FailoverSteps
from .freezing import ApplicationPoints
from .resync import ResyncSteps
from .testfailover import TestFailoverSteps
from .values import LATEST_APP_CONSISTENT, SIDES, Operation, newest_app_point

__all__ = ["ConfigurationServer", "Coordinator", "Job", "Provider", "StepResult"]

SOURCE_UNREADABLE = "SourceUnreadable"
_Step = Callable[[Job, float], StepResult]


def _steps(names: str) -> tuple[str, ...]:
    """Names of methods."""
    return tuple(f"step_{name}" for name in names.split())


_FAILBACK = _steps("prepare_reverse copy catch_up begin_failback stop_source drain failback_switch")
"""Steps of a planned failover that copies back."""
_STEPS: Mapping[str, tuple[str, ...]] = {
    Operation.ENABLE: _steps("prepare_enable copy catch_up finish_enable"),
    Operation.PLANNED: _steps("stop_source drain planned_switch"),
    Operation.UNPLANNED: _steps("try_stop choose_point unplanned_switch"),
    Operation.COMMIT: _steps("commit_first_half commit_second_half"),
    Operation.REVERSE: _steps("prepare_reverse copy catch_up finish_reverse"),
    Operation.TEST: _steps("choose_point make_copy start_copy"),
    Operation.CLEANUP: _steps("stop_copy delete_copy"),
    Operation.CHANGE: _steps("find_point change_point"),
    Operation.REPAIR: _steps("begin_comparing copy catch_up check_staged begin_merging merge"),
    Operation.DISABLE: _steps("stop_replication end_replication"),
    Operation.PAUSE: _steps("pause"),
    Operation.RESUME: _steps("resume"),
    Operation.MIGRATE: _steps("stop_replication end_replication"),
}
"""Steps of the jobs: the methods ``step_…``, in order."""


class Coordinator(CopySteps, FailoverSteps, TestFailoverSteps, ResyncSteps, EndingSteps, ApplicationPoints):
    """Runs the jobs of one machine.

    Overridable: every ``step_*`` method, :meth:`contact`, :meth:`is_drained`, :meth:`source_is_off`,
    :meth:`choose_point`, :meth:`should_cut`, :meth:`next_epoch`, :meth:`resync_compares`, :meth:`needs_new_machine`,
    :meth:`make_copy`, :meth:`clean_side`, :meth:`steps`.
    """

    def begin(self, operation: str, point: str | None, now: float) -> None:  # noqa: ARG002
        """Start the job of an accepted request; an unplanned failover pre-empts a planned one, and ends a
        resynchronisation (P10, P16)."""
        copies = operation in (Operation.ENABLE, Operation.REVERSE, Operation.REPAIR)
        copies = copies or self.flow.copies_back(operation, self.record.active)
        self.job = Job(operation, point=point, copies=copies)
        self.record.job = operation
        if operation == Operation.ENABLE:
            self.record.protection = "initial"
            self.record.direction = "forward"
        elif operation == Operation.UNPLANNED:
            self.halt_replication()
            self.cancel_resync()
        elif operation == Operation.REPAIR:
            self.record.resync = "comparing"
        if operation in (Operation.UNPLANNED, Operation.TEST, Operation.CHANGE):
            self.pin(self.job)

    def pin(self, job: Job) -> None:
        """Hold on to the point that was asked for, where it exists already: retention may strike before it is used."""
        assert self.record.points_at is not None
        if job.point == "latest-processed":
            job.point = self.sides[self.record.points_at].target.points[-1].id
        elif job.point == LATEST_APP_CONSISTENT:
            newest = newest_app_point(self.points)
            assert newest is not None
            job.point = newest.id
        if job.point not in (None, "latest"):
            self.record.in_use.add(job.point or "")

    def steps(self, operation: str) -> tuple[_Step, ...]:
        """The steps of an operation from the side that is active now, in order."""
        names = _FAILBACK if self.flow.copies_back(operation, self.record.active) else _STEPS[operation]
        return tuple([getattr(self, name) for name in names])

    def run_step(self, now: float) -> StepResult:
        """Run the next step of the job. After ``DONE`` the next one is due later; other results see the enum."""
        job = self.job
        if job is None:
            return StepResult.WAIT
        steps = self.steps(job.operation)
        result = steps[job.step](job, now)
        if self.job is not job:
            return StepResult.WAIT
        if result is StepResult.WAIT and job.operation == Operation.PLANNED and not self.may_replicate():
            result = StepResult.FAILED
        if result is StepResult.DONE:
            job.step += 1
            if job.step == len(steps):
                self.end_job()
        elif result is StepResult.AGAIN:
            job.step = job.again_from
        elif result is StepResult.FAILED:
            self.fail_job(job)
        return result

    def check_tracking(self) -> None:
        """Beside what is in doubt: a copy that cannot read its disk ends, and says so. Replication that was asked for has then
        not begun; a resynchronisation is still required.
        """
        agent = None if self.session is None else self.sides[self.session].agent
        if agent is not None and agent.unreadable:
            agent.unreadable = False
            self.raise_alert(SOURCE_UNREADABLE)
            job = self.job
            if job is not None and job.copies:
                if job.operation == Operation.ENABLE:
                    self.record.protection = "none"
                    self.record.to_clean.update(SIDES)
                elif job.operation == Operation.REPAIR:
                    self.record.resync = "required"
                self.fail_job(job)
                self.clean_up()
        super().check_tracking()

    def fail_job(self, job: Job) -> None:
        """The job is over without effect: replication that it started itself stops, any other goes on."""
        if job.copies:
            self.halt_replication()
        self.let_go()
        self.end_job()

    def end_job(self) -> None:
        """The job is over, done or failed."""
        self.job = None
        self.record.job = None
        self.record.in_use.clear()


class ConfigurationServer(Coordinator):
    """Coordinates replication between premises and Azure (V2A-9, V2A-10), or between two sites (S-V2S-7, S-V2S-26)."""


class Provider(Coordinator):
    """The Site Recovery Provider on VMM servers (H2S-5, H2S-6, H2A-10) or, without VMM, on the hosts (H2A-14)."""
