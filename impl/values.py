"""Words shared by all components: sides, operations, reason codes, points and the status of a machine.

They are the words of ``docs/interface.md``, sections 1 to 3 and 6, as plain strings, so that nothing has to be
translated at the boundary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

__all__ = [
    "APP_CONSISTENT",
    "BLOCK",
    "CRASH_CONSISTENT",
    "HOST_OPERATIONS",
    "LATEST_APP_CONSISTENT",
    "OPERATIONS",
    "PRIMARY",
    "RECOVERY",
    "SIDES",
    "TEST",
    "Code",
    "Operation",
    "Point",
    "PointInfo",
    "Status",
    "counted",
    "newest_app_point",
    "next_due",
    "other",
]

BLOCK = 4096
"""Bytes of one block: the unit of writes, of tracking and of transfer."""

CRASH_CONSISTENT, APP_CONSISTENT = "crash-consistent", "app-consistent"
"""Kinds of recovery points: as if power had failed then, and as if the applications had been stopped (:mod:`.freezing`)."""

LATEST_APP_CONSISTENT = "latest-app-consistent"
"""What names the newest app-consistent point, where a point is asked for."""

PRIMARY = "primary"
RECOVERY = "recovery"
SIDES = (PRIMARY, RECOVERY)
TEST = "test"
"""The place of a test failover's copy, where a side is named for reading and writing."""


def other(side: str) -> str:
    """The opposite side."""
    return RECOVERY if side == PRIMARY else PRIMARY


def counted(number: float, one: str) -> str:
    """A number with its noun, for a person: ``1 write``, ``1,204 writes``."""
    return f"{int(number) if number == int(number) else number:,} {one if number == 1 else one + 's'}"


class Operation:
    """Names of the operations a machine can be asked for."""

    ENABLE = "EnableProtection"
    PLANNED = "PlannedFailover"
    UNPLANNED = "UnplannedFailover"
    COMMIT = "Commit"
    REVERSE = "ReverseReplicate"
    TEST = "TestFailover"
    CLEANUP = "TestFailoverCleanup"
    CHANGE = "ChangePit"
    DISABLE = "DisableProtection"
    MIGRATE = "CompleteMigration"
    REPAIR = "RepairReplication"
    PAUSE = "PauseReplication"
    RESUME = "ResumeReplication"


OPERATIONS = (
    Operation.CHANGE,
    Operation.COMMIT,
    Operation.MIGRATE,
    Operation.DISABLE,
    Operation.ENABLE,
    Operation.PLANNED,
    Operation.REPAIR,
    Operation.REVERSE,
    Operation.TEST,
    Operation.CLEANUP,
    Operation.UNPLANNED,
)
"""All operations of the vault, sorted by name."""
HOST_OPERATIONS = (Operation.PAUSE, Operation.RESUME)
"""Operations that are asked for at the host: the public API of the vault does not list them among those that are allowed."""


class Code:
    """Reason codes of a rejected request, in the order in which they are looked for."""

    ENDED = "ReplicationEnded"
    NOT_SUPPORTED = "OperationNotSupported"
    JOB_IN_PROGRESS = "JobInProgress"
    TEST_PENDING = "TestFailoverPending"
    NO_TEST = "NoTestFailover"
    ALREADY_PROTECTED = "AlreadyProtected"
    NOT_PROTECTED = "NotProtected"
    FAILOVER_PENDING = "FailoverPending"
    NO_FAILOVER = "NoFailoverToCommit"
    NOT_COMMITTED = "FailoverNotCommitted"
    RESYNC_REQUIRED = "ResynchronisationRequired"
    NO_RESYNC_REQUIRED = "NoResynchronisationRequired"
    PAUSED = "ReplicationPaused"
    NOT_PAUSED = "ReplicationNotPaused"
    NO_FAILOVER_TO_CHANGE = "NoFailoverToChange"
    NO_FAILOVER_TO_COMPLETE = "NoFailoverToComplete"
    SOURCE_NOT_RUNNING = "SourceNotRunning"
    NOT_CONNECTED = "SitesNotConnected"
    TARGET_DOWN = "TargetSiteDown"
    POINT_NOT_FOUND = "RecoveryPointNotFound"


@attrs.frozen(slots=True)
class Point:
    """A recovery point as the side that stores it keeps it: a cut over all disks at one instant (P23).

    ``position`` counts block versions in that side's store; ``sequence`` counts the writes of the branch that the
    point contains, since the machine's disk was first attached; ``cut_at`` is virtual time in seconds and orders
    nothing (P24). ``group`` names the barrier that made it, where it is common to a replication group; else it is empty.
    """

    id: str
    kind: str
    position: int
    sequence: int
    cut_at: float
    group: str = ""


def next_due(now: float, every: float) -> float:
    """When virtual time has next counted a whole number of intervals (seconds): what is periodic is due then."""
    return (math.floor(now / every) + 1) * every


def newest_app_point(points: Sequence[Point]) -> Point | None:
    """The newest app-consistent one of points that are given oldest first."""
    return next((point for point in reversed(points) if point.kind == APP_CONSISTENT), None)


@attrs.frozen(slots=True)
class PointInfo:
    """An advertised recovery point, as it is observed."""

    id: str
    kind: str


@attrs.frozen(slots=True)
class Status:
    """What can be observed of a machine (``docs/interface.md``, section 6). ``None``: not known or not applicable."""

    protection: str
    active: str
    direction: str
    failover: str
    test: str
    resync: str
    job: str | None
    allowed_operations: tuple[str, ...]
    points: tuple[PointInfo, ...]
    failover_point: str | None
    received: int | None
    loss: int | None
    alerts: tuple[str, ...]
    paused: bool = False
    """Whether replication is paused, in a flow that offers it."""
