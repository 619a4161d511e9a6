"""Ways to each operation, for an acquaintance with a driver: what leads to where a flow accepts it, played on the model.

Rules
1. Ways are data, in order of preference; a fault stands by its name. The first way that the model of the flow accepts is taken.
2. Between the operations of a way a block is written and everything settles, so that each has something to show.
"""

from __future__ import annotations

import functools

from siteproof.conformance.case import FAULTS, POINTED, Command, Fault, Operate, Scenario, Settle, Write
from siteproof.conformance.closure import Promised
from siteproof.conformance.driver import Accepted
from siteproof.conformance.session import Session

__all__ = ["MACHINE", "ROUTES", "on_the_model", "operate"]

MACHINE = "m0"

ROUTES: dict[str, tuple[tuple[str, ...], ...]] = {
    "EnableProtection": ((),),
    "PlannedFailover": (("EnableProtection",),),
    "UnplannedFailover": (("EnableProtection",),),
    "Commit": (("EnableProtection", "UnplannedFailover"), ("EnableProtection", "PlannedFailover")),
    "ReverseReplicate": (
        ("EnableProtection", "UnplannedFailover", "Commit"),
        ("EnableProtection", "PlannedFailover", "Commit"),
        ("EnableProtection", "UnplannedFailover"),
        ("EnableProtection", "UnplannedFailover", "Commit", "PlannedFailover", "Commit"),
        ("EnableProtection", "PlannedFailover", "Commit", "PlannedFailover", "Commit"),
    ),
    "TestFailover": (("EnableProtection",),),
    "TestFailoverCleanup": (("EnableProtection", "TestFailover"),),
    "ChangePit": (("EnableProtection", "UnplannedFailover"), ("EnableProtection", "PlannedFailover")),
    "DisableProtection": (("EnableProtection",),),
    "CompleteMigration": (("EnableProtection", "UnplannedFailover"), ("EnableProtection", "PlannedFailover")),
    "RepairReplication": (("EnableProtection", "change-log"),),
}
"""For each operation what may lead to where it is accepted, in order of preference. A fault stands by its name."""


@functools.lru_cache(maxsize=256)
def on_the_model(promised: Promised, source: str, way: tuple[str, ...]) -> tuple[tuple[Command, ...], int]:
    """The commands of a way, with writes between them, and which of them is the last operation; none if the model does not accept
    them all."""
    from siteproof.conformance.drivers.model import ModelDriver, Style

    calm = Style(extra_points=0.0, cautious=0.0, stops_source=0.0, flushes=0.0, app_points=0.0)
    session = Session(Scenario(source), 0, lambda: ModelDriver(calm), promised)
    target = 0
    for number, one in enumerate(way):
        target = len(session.commands)
        session.step(Fault(one) if one in FAULTS else operate(one))
        if one not in FAULTS and session.answer != Accepted():
            return (), 0
        for command in (Settle(), Write(MACHINE, str(session.last[MACHINE].active), 1 + number), Settle()):
            session.step(command)
    return tuple(session.commands), target


def operate(operation: str) -> Operate:
    point = None if operation not in POINTED else "point:0" if operation == "ChangePit" else "latest"
    return Operate(MACHINE, operation, point)
