"""The vault: the record of every machine, and the decision whether a request is accepted. The record outlives every
simulated fault; in this version it is held in memory, so it does not outlive the program.

Every request is judged in one place, in the fixed order of the reason codes of ``docs/interface.md`` section 3: first
whether the flow has the operation, then the lifecycle, then the prechecks on arguments and infrastructure. A rejected
request changes nothing (P11); ``allowed_operations`` asks the same lifecycle rules, so it cannot disagree (P13).
A request id names a request: asking again gives the same answer and starts nothing (P16).

==================  ===================================================================================
EnableProtection    not protected, no failover under way, primary active
PlannedFailover     protected, no failover under way; the failback that copies by itself (H2A-46): failover committed
UnplannedFailover   as a planned one of a protected machine; also while a planned failover runs, which it pre-empts
Commit              a failover is done and not committed
ReverseReplicate    a failover is committed
==================  ===================================================================================
"""

from __future__ import annotations

import attrs

from .flows import Flow
from .values import OPERATIONS, PRIMARY, Code, Operation, PointInfo, Status

__all__ = ["MachineRecord", "Situation", "Vault"]


@attrs.define(slots=True)
class MachineRecord:
    """What the vault knows of a machine. Fields are those of the observation, plus what the jobs need."""

    machine: str
    protection: str = "none"
    active: str = PRIMARY
    direction: str = "forward"
    failover: str = "none"
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
    in_use: set[str] = attrs.Factory(set)
    """Points that must not be pruned."""


@attrs.frozen(slots=True)
class Situation:
    """The infrastructure at the moment of a request, as far as prechecks look at it."""

    source_running: bool
    connected: bool
    target_up: bool
    points: frozenset[str]


class Vault:
    """Records and admission. Overridable: :meth:`lifecycle_code`, :meth:`precheck_code`."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.records: dict[str, MachineRecord] = {}
        self.channel_key = b""
        """Key of the frames on every channel."""
        self._answers: dict[tuple[str, str], str | None] = {}

    def register(self, machine: str) -> MachineRecord:
        """Add a machine."""
        return self.records.setdefault(machine, MachineRecord(machine, machine_kind=self.flow.machine))

    def answer_given(self, machine: str, request_id: str | None) -> tuple[bool, str | None]:
        """Whether this request was answered before, and the answer."""
        key = (machine, request_id or "")
        return (True, self._answers[key]) if request_id is not None and key in self._answers else (False, None)

    def remember(self, machine: str, request_id: str | None, answer: str | None) -> None:
        """Keep the answer of a request that has an id."""
        if request_id is not None:
            self._answers[(machine, request_id)] = answer

    def lifecycle_code(self, record: MachineRecord, operation: str) -> str | None:
        """Why the lifecycle forbids an operation, or ``None``."""
        if not self.flow.offers(operation, record.active):
            return Code.NOT_SUPPORTED
        if record.job is not None and not (operation == Operation.UNPLANNED and record.job == Operation.PLANNED):
            return Code.JOB_IN_PROGRESS
        if operation == Operation.ENABLE:
            if record.protection != "none" or record.failover != "none" or record.active != PRIMARY:
                return Code.ALREADY_PROTECTED
        elif self.flow.copies_back(operation, record.active) and record.failover == "committed":
            return None
        elif operation in (Operation.PLANNED, Operation.UNPLANNED):
            if record.protection != "protected":
                return Code.NOT_PROTECTED
            if record.failover != "none":
                return Code.FAILOVER_PENDING
        elif operation == Operation.COMMIT:
            if record.failover not in ("planned", "unplanned"):
                return Code.NO_FAILOVER
        elif record.failover != "committed":
            return Code.NOT_COMMITTED
        return None

    def precheck_code(
        self, record: MachineRecord, operation: str, point: str | None, situation: Situation
    ) -> str | None:
        """Why arguments or infrastructure forbid an operation, or ``None``."""
        if operation in (Operation.ENABLE, Operation.PLANNED) and not situation.source_running:
            return Code.SOURCE_NOT_RUNNING
        if operation in (Operation.ENABLE, Operation.PLANNED, Operation.REVERSE):
            if not situation.connected or record.stale is not None:
                return Code.NOT_CONNECTED
        if operation == Operation.UNPLANNED:
            if not situation.target_up:
                return Code.TARGET_DOWN
            if point not in (None, "latest", "latest-processed") and point not in situation.points:
                return Code.POINT_NOT_FOUND
        return None

    def judge(self, record: MachineRecord, operation: str, point: str | None, situation: Situation) -> str | None:
        """The reason code of a request, or ``None`` when it is accepted."""
        return self.lifecycle_code(record, operation) or self.precheck_code(record, operation, point, situation)

    def allowed(self, record: MachineRecord) -> tuple[str, ...]:
        """Operations for which every lifecycle condition holds, sorted."""
        return tuple(o for o in OPERATIONS if self.lifecycle_code(record, o) is None)

    def status(self, record: MachineRecord, points: tuple[tuple[str, str], ...]) -> Status:
        """The observation of a machine; ``points`` are (id, kind), oldest first."""
        return Status(
            protection=record.protection, active=record.active, direction=record.direction, failover=record.failover,
            job=record.job, allowed_operations=self.allowed(record), points=tuple(PointInfo(*p) for p in points),
            failover_point=record.failover_point if record.failover == "unplanned" else None,
            received=record.received, loss=record.loss, alerts=tuple(record.alerts),
        )  # fmt: skip
