"""An answer that no explanation gives: what should have been answered, and what the wrong one breaks.

Rules
1. Every answer that some explanation gives is an expected one; the codes are asked of the oracle, one by one.
2. The first precondition, in the model's order, that refuses a request names the promise that its acceptance breaks. A refusal
   of what had to be accepted breaks what the operation is there for.
"""

from __future__ import annotations

from siteproof.conformance.blame_common import Found
from siteproof.conformance.driver import Accepted, Rejected
from siteproof.conformance.events import Event
from siteproof.conformance.oracle import Factor

__all__ = ["wrong_answer"]


def wrong_answer(factor: Factor, machine: str, event: Event | None) -> Found | None:
    if event is None or any(True for c in factor.candidates for _ in event.apply(c)):
        return None
    if event.kind == "write":
        wanted = "acknowledged" if event.answer is False else "refused"
        found = "refused" if event.answer is False else "acknowledged"
        return Found(
            "answer",
            f"the write to {event.about} was {found}",
            wanted,
            "P3",
            "running",
            f"{machine} refuses a write although it runs there."
            if event.answer is False
            else f"{machine} takes a write where it does not run.",
        )
    if event.kind == "start-machine":
        refused = event.answer is False
        return Found(
            "answer",
            "refused" if refused else "done",
            "done" if refused else "refused",
            "P3",
            "start",
            f"{machine} {'cannot be started at' if refused else 'was started at'} {event.about}, "
            f"{'where it should start' if refused else 'where it must not run'}.",
        )
    operation = event.operation
    action = factor.promised.commands[operation].action
    point = event.about.removeprefix(operation).removeprefix(" to ") or None
    codes: set[str] = set()
    accepts = False
    for candidate in factor.candidates:
        trial = factor.request(operation, point, Accepted())
        if any(True for _ in trial.apply(candidate)):
            accepts = True
        for guard in action.guards:
            trial = factor.request(operation, point, Rejected(guard.code))
            if any(True for _ in trial.apply(candidate)):
                codes.add(guard.code)
    expected = " or ".join((["accepted"] if accepts else []) + sorted(f"rejected ({c})" for c in codes))
    if isinstance(event.answer, Rejected):
        promise = _refused(factor, operation, event.answer.code) if accepts else "P13"
        sentence = f"{operation} of {machine} is refused with {event.answer.code}, although " + (
            "everything that it needs is there." if accepts else "that is not the reason."
        )
        return Found(
            "answer", f"rejected ({event.answer.code})", expected, promise, event.answer.code, sentence, action.requirements
        )
    first = next((g.code for g in action.guards if g.code in codes), "")
    promise = {
        "OperationNotSupported": "P18",
        "FailoverNotCommitted": "P18",
        "JobInProgress": "P16",
        "RecoveryPointNotFound": "P2",
        "NoFailoverToCommit": "P7",
        "FailoverPending": "P7",
        "ReplicationEnded": "P7",
        "NoFailoverToChange": "P7",
        "ResynchronisationRequired": "P10",
    }.get(first, "P13")
    return Found(
        "answer",
        "accepted",
        expected,
        promise,
        first,
        f"{operation} of {machine} is accepted, although it has to be refused with {first}.",
        action.requirements,
    )


def _refused(factor: Factor, operation: str, code: str) -> str:
    """The promise that is broken where `operation` should have been accepted: with a site or the link down, what needs only the
    site of the copy is refused, or what a resynchronisation has to leave open."""
    far = code in ("SitesNotConnected", "SourceNotRunning", "TargetSiteDown")
    if operation in ("TestFailover", "TestFailoverCleanup") and far:
        return "P6"
    if operation == "UnplannedFailover" and far:
        return "P22"
    resync = factor.promised.at.resync
    if operation == "UnplannedFailover" and any(c[0][resync] for c in factor.candidates):
        return "P10"
    return "P13"
