"""What a live run and a recorded one have in common: commands become events, and a sight that nothing explains a divergence.

Rules
1. Here is the one place where a command with its answer becomes an event of the oracle, and where the oracle's no becomes a
   divergence. `siteproof.conformance.session` asks a driver and comes here; `siteproof.conformance.traces.check` reads a file and
   comes here. So both judge by the same code.
2. Nothing here asks a system, chooses an order, or decides what to look at.
"""

from __future__ import annotations

from siteproof.conformance import blame
from siteproof.conformance.case import POINTED, SIDES, STRUCK_ONCE, Command, Fault, Heal, Operate, StartMachine, Write
from siteproof.conformance.content import WriteRecord
from siteproof.conformance.driver import Accepted, Answer, Rejected, Unknown
from siteproof.conformance.oracle import Event, Factor
from siteproof.conformance.results import Divergence
from siteproof.conformance.sight import Sight

__all__ = ["STRIKES", "event_of", "said", "usual_point", "why_not_explained"]

KNOWN = (Accepted, Rejected)
"""Answers that are known."""
STRIKES = {"change-log": "damage_change_log"}
"""The model's action for each fault that is over at once."""


def usual_point(operation: str) -> str | None:
    """The point that a request means which names none; None for a request that has no point."""
    if operation not in POINTED:
        return None
    return "latest-processed" if operation == "ChangePit" else "latest"


def event_of(
    factor: Factor, command: Command, point: str | None, answer: Answer | bool | None, record: WriteRecord | None = None
) -> Event | None:
    """What `command` and its answer are to one machine: the one that it names, or any for a fault. `point` is what a request
    named, resolved; `record` what a write wrote. None for what only lets time pass."""
    match command:
        case Operate(_, operation, _):
            known = answer if answer.__class__ in KNOWN else Unknown()
            return factor.request(operation, point, known)
        case Write(_, side, _, _, cached):
            assert record is not None
            done = answer if isinstance(answer, bool) else None
            return factor.write(SIDES.index(side), record, cached, done) if side in SIDES else factor.write_to_copy(record, done)
        case Fault(fault) if fault in STRUCK_ONCE:
            return factor.world(STRIKES[fault])
        case Fault(fault) | Heal(fault):
            return factor.world(("fail_" if isinstance(command, Fault) else "heal_") + fault.replace("-", "_"))
        case StartMachine(_, side):
            return factor.start(SIDES.index(side), answer if isinstance(answer, bool) else None)
    return None


def why_not_explained(factor: Factor, machine: str, event: Event | None, sight: Sight, step: int) -> Divergence | None:
    """Let the oracle take in an event and what was seen after it. None when that is explained; else what is wrong with it.
    Raises `Overflow`."""
    return None if factor.follow(event, sight) else blame.diagnose(factor, machine, event, sight, step)


def said(answer: Answer | bool | None) -> str:
    """How an answer goes on after its command, in words."""
    match answer:
        case Rejected(code):
            return f": rejected ({code or 'for a reason that was not told'})"
        case Accepted():
            return ": accepted"
        case False:
            return ": refused"
        case None:
            return ": answer unknown"
    return ""
