"""A plain field that no explanation shows: which promise that breaks, by the field and the state that the machine is in.

Rules
1. Fields are looked at in order: those of the lifecycle before content, those that report counts after it.
2. After a refusal any change is the refusal's fault (P11). Both sides running comes before whatever else their fields say.
3. What was received and what was lost are two parts of one sum. Where each of them alone could be true and both together not,
   it is not known which one is false: both are shown, and neither is accused.
"""

from __future__ import annotations

from collections.abc import Iterable

from siteproof.conformance.blame_common import Found, values_told
from siteproof.conformance.driver import UNKNOWN, Rejected
from siteproof.conformance.events import Event
from siteproof.conformance.oracle import Factor
from siteproof.conformance.sight import ALERT, Node, Sight

__all__ = ["LIFECYCLE", "REPORTED", "wrong_allowed", "wrong_field", "wrong_resync"]

_RECEIVED, _LOSS = 5, 6
LIFECYCLE, REPORTED = (4, 1, 3, 10, 11, 0, 2, 8, 9), (5, 6, 7)
"""In which order the plain fields (positions in `_SHOWN`) are looked at: before content, and after it."""


_SHOWN = (
    "protection",
    "active",
    "direction",
    "failover",
    "job",
    "received",
    "loss",
    "alerts",
    "running at primary",
    "running at recovery",
    "test",
    "resync",
)


def wrong_field(
    factor: Factor, machine: str, event: Event | None, sight: Sight, nodes: list[Node], order: tuple[int, ...]
) -> Found | None:
    """Some plain fields, in order; `nodes` is filtered in place."""
    seen = sight.seen
    found: list[object] = [
        seen.protection,
        seen.active,
        seen.direction,
        seen.failover,
        seen.job,
        seen.received,
        seen.loss,
        UNKNOWN if seen.alerts is UNKNOWN else ALERT in seen.alerts,
        *seen.running,
        seen.test,
        seen.resync,
    ]
    counted = [factor.promised.shown(n[0])[_RECEIVED : _LOSS + 1] for n in nodes] if _RECEIVED in order else []
    for i in order:
        if found[i] is UNKNOWN:
            continue
        left = [n for n in nodes if factor.promised.shown(n[0])[i] == found[i]]
        if not left:
            told_both = i == _LOSS and found[_RECEIVED] is not UNKNOWN and not isinstance(_answer(event), Rejected)
            if told_both and any(loss == found[_LOSS] for _, loss in counted):
                return _sum(machine, found[_RECEIVED], found[_LOSS], counted)
            return _field(machine, event, i, found, {factor.promised.shown(n[0])[i] for n in nodes})
        nodes[:] = left
    return None


def wrong_allowed(factor: Factor, machine: str, sight: Sight, nodes: list[Node]) -> Found | None:
    """The advertised operations."""
    if sight.seen.allowed_operations is UNKNOWN:
        return None
    left = [n for n in nodes if factor.allows(n, sight)]
    if not left:
        told = values_told(", ".join(factor.promised.allowed(n[0])) or "none" for n in nodes)
        return Found(
            "allowed_operations",
            ", ".join(sight.seen.allowed_operations) or "none",
            told,
            "P13",
            "lifecycle",
            f"{machine} advertises other operations than its state permits.",
        )
    nodes[:] = left
    return None


def _answer(event: Event | None) -> object:
    return None if event is None else event.answer


def _sum(machine: str, received: object, loss: object, allowed: Iterable[tuple[object, ...]]) -> Found:
    """What was received and what was lost, each of which could be true, cannot both be."""

    def told(pair: Iterable[object]) -> str:
        return ", ".join(f"{name} {number}" for name, number in zip(_SHOWN[_RECEIVED : _LOSS + 1], pair, strict=True))

    return Found(
        "counts",
        told((received, loss)),
        values_told(map(told, allowed)),
        "P2",
        "received and loss",
        f"The numbers of received and of lost writes that {machine} reports, {received} and {'none' if loss is None else loss}, "
        "cannot both be true.",
    )


def _field(machine: str, event: Event | None, i: int, found: list[object], due: set[object]) -> Found:
    name, value, expected = _SHOWN[i], str(found[i]), values_told(due)
    if event is not None and isinstance(event.answer, Rejected):
        return Found(
            name,
            value,
            expected,
            "P11",
            f"rejected ({event.answer.code})",
            f"A refused {event.operation} of {machine} changed {name} all the same.",
        )
    if i in (6, 7, 8, 9) and found[8] is True and found[9] is True:
        return Found(
            "running at both sides",
            "True",
            "one side only",
            "P3",
            "both sides run",
            f"{machine} runs at both sites at once, and they have been in contact: two copies take writes.",
        )
    if i in (8, 9):
        planned = found[3] == "planned" or found[4] == "PlannedFailover"
        return Found(
            name,
            value,
            expected,
            "P1" if planned else "P3",
            "running",
            f"{machine} {'runs' if found[i] else 'does not run'} at {'primary' if i == 8 else 'recovery'}, where it "
            f"{'must not' if found[i] else 'should'}.",
        )
    if name in ("received", "loss"):
        what = "received writes" if name == "received" else "lost writes"
        return Found(name, value, expected, "P2", name, f"The number of {what} reported for {machine} is not the true one.")
    if name == "alerts":
        return Found(
            "alerts",
            "StaleSideFenced" if found[i] else "none",
            "StaleSideFenced" if not found[i] else "none",
            "P3",
            "alerted",
            f"The fencing of the former source of {machine} is not reported as it happened.",
        )
    if name == "direction":
        return Found(name, value, expected, "P12", "direction", f"{machine} replicates the wrong way.")
    if name == "job":
        return Found(name, value, expected, "P16", "job", f"{machine} shows the job {value}; its history leads to {expected}.")
    if name == "test":
        gone = f"The test failover of {machine} is gone, though nobody has cleaned it up."
        sentence = gone if value == "none" else f"{machine} shows a test failover where there is none."
        return Found(name, value, expected, "P6", name, sentence)
    if name == "resync":
        return wrong_resync(machine, value, expected)
    promise = {"active": "P3", "protection": "P18", "failover": "P7"}[name]
    return Found(name, value, expected, promise, name, f"{machine} shows {name} = {value}; its history leads to {expected}.")


def wrong_resync(machine: str, value: str, expected: str) -> Found:
    """The state of resynchronisation is not what the history leads to."""
    if value == "none":
        sentence = (
            f"{machine} does not call for a resynchronisation although its change log cannot be trusted: "
            "what was written may be missing on the other side, and nobody is told."
        )
        return Found("resync", value, expected, "P9", "doubt", sentence)
    if expected == "none":
        sentence = f"{machine} calls for a resynchronisation although nothing has put its change log in doubt."
        return Found("resync", value, expected, "P8", "no doubt", sentence)
    sentence = f"The resynchronisation of {machine} is shown as {value}; its history leads to {expected}."
    return Found("resync", value, expected, "P10", "phases", sentence)
