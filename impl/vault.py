"""The vault: the record of every machine, and the decision whether a request is accepted. The record outlives every
simulated fault, and in a system that is kept (:mod:`.keeping`) also the program.

Every request is judged in one place, in the fixed order of the reason codes of ``docs/interface.md`` section 3: first
whether the flow has the operation, then the lifecycle, then the prechecks on arguments and infrastructure. A rejected
request changes nothing (P11); ``allowed_operations`` asks the same lifecycle rules, so it cannot disagree (P13).
A request id names a request: asking again gives the same answer and starts nothing (P16).

====================  ==========================================================================================
EnableProtection      not protected, no failover under way, primary active
PlannedFailover       protected, no failover under way, in step, not paused; the failback that copies by itself (H2A-46):
                      committed
UnplannedFailover     protected, no failover under way; also while a planned failover runs, or a resynchronisation that
                      still compares: both of which it pre-empts
TestFailover          protected, no failover under way, in step
TestFailoverCleanup   a test failover runs; then it is the only one
Commit, ChangePit     a failover is done and not committed
ReverseReplicate      a failover is committed
DisableProtection     protected, or a failover is under way
CompleteMigration     a failover to recovery is done, committed or not
RepairReplication     a resynchronisation is required, replication is not paused
PauseReplication      protected, no failover under way, in step, not paused
ResumeReplication     paused
====================  ==========================================================================================

*In step*: no resynchronisation is required. A machine whose replication has ended for good refuses everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from .errors import UsageError
from .flows import Flow
from .values import LATEST_APP_CONSISTENT, OPERATIONS, PRIMARY, RECOVERY, Code, Operation, PointInfo, Status

__all__ = ["Answer", "MachineRecord", "Situation", "Vault"]


@attrs.define(slots=True)
class MachineRecord:
    """What the vault knows of a machine. Fields are those of the observation, plus what the jobs need."""

    machine: str
    protection: str = "none"
    active: str = PRIMARY
    direction: str = "forward"
    failover: str = "none"
    test: str = "none"
    resync: str = "none"
    job: str | None = None
    failover_point: str | None = None
    received: int | None = None
    loss: int | None = None
    alerts: list[str] = attrs.Factory(list)
    points_at: str | None = None
    """Side whose target keeps the advertised points."""
    points_made: int = 0
    epoch: int = 1
    stale: str | None = None
    """Side that was the machine and has not been contacted since an unplanned failover."""
    branched_at: int = 0
    """Writes of the branch at the last failover: what a stale side holds beyond it is lost."""
    store_key: bytes = attrs.field(default=b"", repr=False)
    """Key of the disks that are stored encrypted."""
    machine_kind: str = ""
    """What the machine is at primary; a failback can make it another kind (P2A-5)."""
    in_step: bool = False
    """Whether the former source differs from the active side by no more than what the active side has tracked."""
    committing: bool = False
    """Set by the first half of a commit; from then on it only rolls forward (P7)."""
    paused: bool = False
    """Whether replication is paused: changes are tracked, and not sent."""
    in_use: set[str] = attrs.Factory(set)
    """Points that the running job needs."""
    test_point: str | None = None
    """The point that the copy of a test failover was made from, as long as the copy exists."""
    to_clean: set[str] = attrs.Factory(set)
    """Sides on which something of a replication that has ended may still lie, because they were out of reach."""

    @property
    def pinned(self) -> frozenset[str]:
        """Points that must not be pruned (P4)."""
        return frozenset(self.in_use if self.test_point is None else {*self.in_use, self.test_point})


@attrs.frozen(slots=True)
class Situation:
    """The infrastructure at the moment of a request, as far as prechecks look at it."""

    source_running: bool
    connected: bool
    target_up: bool
    """Whether the site of the passive side is up: there failovers go, and there the copy of a test failover runs."""
    active_up: bool
    points: frozenset[str]
    """Ids of the advertised points."""
    app_point: bool = False
    """Whether one of them is app-consistent."""


_FAILED_OVER = ("planned", "unplanned")
Condition = tuple[Callable[[MachineRecord], bool], str]
_PROTECTED: Condition = (lambda r: r.protection == "protected", Code.NOT_PROTECTED)
_NO_FAILOVER: Condition = (lambda r: r.failover == "none", Code.FAILOVER_PENDING)
_NOT_PAUSED: Condition = (lambda r: not r.paused, Code.PAUSED)
_IN_STEP: Condition = (lambda r: r.resync == "none", Code.RESYNC_REQUIRED)

_LIFECYCLE: Mapping[str, tuple[Condition, ...]] = {
    Operation.ENABLE: (
        (
            lambda r: (r.protection, r.failover, r.active) == ("none", "none", PRIMARY),
            Code.ALREADY_PROTECTED,
        ),
    ),
    Operation.PLANNED: (_PROTECTED, _NO_FAILOVER, _IN_STEP, _NOT_PAUSED),
    Operation.UNPLANNED: (_PROTECTED, _NO_FAILOVER),
    Operation.TEST: (_PROTECTED, _NO_FAILOVER, _IN_STEP),
    Operation.CLEANUP: ((lambda r: r.test == "running", Code.NO_TEST),),
    Operation.COMMIT: ((lambda r: r.failover in _FAILED_OVER, Code.NO_FAILOVER),),
    Operation.REVERSE: ((lambda r: r.failover == "committed", Code.NOT_COMMITTED),),
    Operation.REPAIR: ((lambda r: r.resync != "none", Code.NO_RESYNC_REQUIRED), _NOT_PAUSED),
    Operation.PAUSE: (_PROTECTED, _NO_FAILOVER, _IN_STEP, _NOT_PAUSED),
    Operation.RESUME: ((lambda r: r.paused, Code.NOT_PAUSED),),
    Operation.CHANGE: ((lambda r: r.failover in _FAILED_OVER, Code.NO_FAILOVER_TO_CHANGE),),
    Operation.DISABLE: ((lambda r: r.protection != "none" or r.failover != "none", Code.NOT_PROTECTED),),
    Operation.MIGRATE: (
        (lambda r: r.active == RECOVERY and r.failover in (*_FAILED_OVER, "committed"), Code.NO_FAILOVER_TO_COMPLETE),
    ),
}
"""Per operation, the conditions on the record and the code given where one does not hold, in order."""


@attrs.frozen(slots=True)
class Answer:
    """What was asked for under a request id, and the code that was answered; ``None``: accepted."""

    operation: str
    point: str | None
    code: str | None


class Vault:
    """Records and admission. Overridable: :meth:`lifecycle_code`, :meth:`precheck_code`."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.records: dict[str, MachineRecord] = {}
        self.channel_key = b""
        """Key of the frames on every channel."""
        self._answers: dict[tuple[str, str], Answer] = {}
        self._unkept: list[tuple[str, str, Answer]] = []

    def register(self, machine: str) -> MachineRecord:
        """Add a machine."""
        return self.records.setdefault(machine, MachineRecord(machine, machine_kind=self.flow.machine))

    def answer_given(self, machine: str, request_id: str | None, operation: str, point: str | None) -> tuple[bool, str | None]:
        """Whether this request was answered before, and the answer.

        Raises:
            UsageError: the id was given to another request. It names one request, so the caller is at fault.
        """
        given = None if request_id is None else self._answers.get((machine, request_id))
        if given is None:
            return False, None
        if (given.operation, given.point) != (operation, point):
            first = given.operation if given.point is None else f"{given.operation} {given.point}"
            raise UsageError(
                f"machine '{machine}': request id '{request_id}' was given to {first} and is now given to {operation}"
                f"{'' if point is None else f' {point}'}; an id names one request: give each request an id of its own"
            )
        return True, given.code

    def remember(self, machine: str, request_id: str | None, answer: Answer) -> None:
        """Keep the answer of a request that has an id."""
        if request_id is not None:
            self._answers[(machine, request_id)] = answer
            self._unkept.append((machine, request_id, answer))

    def new_answers(self) -> list[tuple[str, str, Answer]]:
        """Answers given since the last time that this was asked: (machine, request id, answer)."""
        result, self._unkept = self._unkept, []
        return result

    def lifecycle_code(self, record: MachineRecord, operation: str) -> str | None:
        """Why the lifecycle forbids an operation, or ``None``."""
        if record.failover == "completed":
            return Code.ENDED
        if not self.flow.offers(operation, record.active):
            return Code.NOT_SUPPORTED
        if record.job is not None and not self.pre_empts(record, operation):
            return Code.JOB_IN_PROGRESS
        if record.test == "running" and operation != Operation.CLEANUP:
            return Code.TEST_PENDING
        if self.flow.copies_back(operation, record.active) and record.failover == "committed":
            return None
        for holds, code in _LIFECYCLE[operation]:
            if not holds(record):
                return code
        return None

    def pre_empts(self, record: MachineRecord, operation: str) -> bool:
        """Whether an operation may end the job that runs and take its place (P10, P16)."""
        if operation != Operation.UNPLANNED:
            return False
        return record.job == Operation.PLANNED or (record.job == Operation.REPAIR and record.resync == "comparing")

    def precheck_code(
        self, record: MachineRecord, operation: str, point: str | None, situation: Situation
    ) -> str | None:
        """Why arguments or infrastructure forbid an operation, or ``None``."""
        if operation in (Operation.ENABLE, Operation.PLANNED) and not situation.source_running:
            return Code.SOURCE_NOT_RUNNING
        if operation in (Operation.ENABLE, Operation.PLANNED, Operation.REVERSE, Operation.REPAIR):
            if not situation.connected or record.stale is not None:
                return Code.NOT_CONNECTED
        if operation in (Operation.UNPLANNED, Operation.TEST, Operation.CLEANUP) and not situation.target_up:
            return Code.TARGET_DOWN
        if operation == Operation.CHANGE and not situation.active_up:
            return Code.TARGET_DOWN
        if operation in (Operation.UNPLANNED, Operation.TEST, Operation.CHANGE):
            general = ("latest-processed",) if operation == Operation.CHANGE else (None, "latest", "latest-processed")
            app = point == LATEST_APP_CONSISTENT and operation != Operation.CHANGE and situation.app_point
            if not app and point not in general and point not in situation.points:
                return Code.POINT_NOT_FOUND
        return None

    def judge(self, record: MachineRecord, operation: str, point: str | None, situation: Situation) -> str | None:
        """The reason code of a request, or ``None`` when it is accepted."""
        return self.lifecycle_code(record, operation) or self.precheck_code(record, operation, point, situation)

    def allowed(self, record: MachineRecord) -> tuple[str, ...]:
        """Operations for which every lifecycle condition holds, sorted."""
        return tuple([o for o in OPERATIONS if self.lifecycle_code(record, o) is None])

    def status(self, record: MachineRecord, points: tuple[tuple[str, str], ...]) -> Status:
        """The observation of a machine; ``points`` are (id, kind), oldest first."""
        return Status(
            protection=record.protection, active=record.active, direction=record.direction, failover=record.failover,
            test=record.test, resync=record.resync, job=record.job, allowed_operations=self.allowed(record),
            points=tuple([PointInfo(*p) for p in points]), failover_point=record.failover_point,
            received=record.received, loss=record.loss, alerts=tuple(record.alerts), paused=record.paused,
        )  # fmt: skip
