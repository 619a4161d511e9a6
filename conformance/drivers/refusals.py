"""Why the controllers of ours refuse a request: the lifecycle first, then what the request needs. None of it is QEMU's or
PostgreSQL's.

The codes and their order are those of `docs/interface.md`, section 3, for the flow `hyper-v-to-secondary-site`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from siteproof.conformance.case import OPERATIONS, POINTED

__all__ = ["Asked", "allowed", "precheck", "refusal"]

_CONNECTED = ("EnableProtection", "PlannedFailover", "ReverseReplicate", "RepairReplication")
_RUNNING = ("EnableProtection", "PlannedFailover")
_AT_TARGET = ("UnplannedFailover", "TestFailover", "TestFailoverCleanup")


class Asked(Protocol):
    """What the answers depend on: a controller's machine."""

    protection: str
    failover: str
    job: str | None
    test: str
    resync: str
    active: str

    @property
    def points(self) -> Sequence[Any]: ...
    @property
    def source(self) -> Any: ...
    @property
    def target(self) -> Any: ...
    def running(self, side: str) -> bool: ...
    def can_ship(self) -> bool: ...


def refusal(m: Asked, operation: str) -> str:
    """Why the machine's state does not allow an operation; empty when it does."""
    if m.failover == "completed":
        return "ReplicationEnded"
    if operation == "CompleteMigration":
        return "OperationNotSupported"
    preempts = m.job == "PlannedFailover" or (m.job == "RepairReplication" and m.resync == "comparing")
    if m.job is not None and not (operation == "UnplannedFailover" and preempts):
        return "JobInProgress"
    if m.test == "running" and operation != "TestFailoverCleanup":
        return "TestFailoverPending"
    nothing = m.protection == "none" and m.failover == "none"
    moves = [(m.protection != "protected", "NotProtected"), (m.failover != "none", "FailoverPending")]
    in_doubt = (m.resync != "none", "ResynchronisationRequired")
    waits = m.failover in ("planned", "unplanned")
    refusals: dict[str, list[tuple[bool, str]]] = {
        "EnableProtection": [(not nothing, "AlreadyProtected")],
        "PlannedFailover": [*moves, in_doubt],
        "UnplannedFailover": moves,
        "TestFailover": [*moves, in_doubt],
        "Commit": [(not waits, "NoFailoverToCommit")],
        "ReverseReplicate": [(m.failover != "committed", "FailoverNotCommitted")],
        "TestFailoverCleanup": [(m.test == "none", "NoTestFailover")],
        "ChangePit": [(not waits, "NoFailoverToChange")],
        "DisableProtection": [(nothing, "NotProtected")],
        "RepairReplication": [(m.resync == "none", "NoResynchronisationRequired")],
    }
    return next((code for refused, code in refusals[operation] if refused), "")


def precheck(m: Asked, operation: str, point: str | None) -> str:
    """What an operation that the state allows still lacks; empty when nothing."""
    if operation in _RUNNING and not m.running(m.active):
        return "SourceNotRunning"
    if operation in _CONNECTED and not m.can_ship():
        return "SitesNotConnected"
    if (operation in _AT_TARGET and not m.target.site.up) or (operation == "ChangePit" and not m.source.site.up):
        return "TargetSiteDown"
    names = [one.id for one in m.points] + (["latest-processed"] if m.points else [])
    if operation in POINTED and point not in names and (operation == "ChangePit" or point != "latest"):
        return "RecoveryPointNotFound"
    return ""


def allowed(m: Asked) -> tuple[str, ...]:
    """The operations that the machine's state allows."""
    return tuple(sorted(one for one in OPERATIONS if not refusal(m, one)))
