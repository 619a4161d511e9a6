"""Recovery plans as values: several machines in groups, the order of starting them, and actions between (GEN-15, V2A-45,
H2A-37, H2S-26). How a plan is run is in :mod:`.planrun`.

Rules:

* a plan has one to seven boot groups and up to a hundred machines, each machine in one group; a replication group is whole in one
  group of the plan;
* actions stand before and after a group. Each is a *script*, which a hook carries out (:data:`Hook`) and which can fail, or a
  *manual action*, at which a run waits until somebody confirms it. Each says for which operations and directions it is meant;
* *latest-common* is a point that plans alone offer: machines of a replication group use their newest common point, others their
  newest one; *latest-app-consistent* likewise, of the app-consistent ones. A single named point is not offered: it belongs to one
  machine;
* a plan can be written down as plain values and read again: a run that is kept goes on by the plan that it was begun with, also
  where a plan of that name says something else by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import attrs

from .errors import UsageError
from .flows import Flow
from .values import LATEST_APP_CONSISTENT, Operation

__all__ = [
    "FAILOVERS",
    "FORWARD",
    "LATEST_COMMON",
    "MANUAL",
    "OTHERS",
    "POINTS",
    "REVERSE",
    "SCRIPT",
    "Action",
    "Do",
    "Hook",
    "PlanGroup",
    "PlanStep",
    "RecoveryPlan",
    "ScriptCall",
    "checked_plan",
    "plan_of_row",
    "row_of_plan",
    "steps_of",
]

FORWARD, REVERSE = "forward", "reverse"
SCRIPT, MANUAL = "script", "manual"
LATEST_COMMON = "latest-common"
MOST_GROUPS = 7
MOST_MACHINES = 100
FAILOVERS = (Operation.PLANNED, Operation.UNPLANNED, Operation.TEST)
OTHERS = (Operation.COMMIT, Operation.REVERSE, Operation.CLEANUP)
POINTS = (None, "latest", "latest-processed", LATEST_APP_CONSISTENT, LATEST_COMMON)


@attrs.frozen(slots=True)
class Action:
    """Something done between groups. ``kind``: ``script`` or ``manual``; ``name``: the script, or what a person has to do."""

    kind: str
    name: str
    operations: frozenset[str] = frozenset(FAILOVERS)
    directions: frozenset[str] = frozenset({FORWARD, REVERSE})


@attrs.frozen(slots=True)
class PlanGroup:
    """Machines that start together, and the actions before and after."""

    machines: tuple[str, ...]
    before: tuple[Action, ...] = ()
    after: tuple[Action, ...] = ()


@attrs.frozen(slots=True)
class RecoveryPlan:
    """A plan: boot groups 1 to 7, in order."""

    name: str
    groups: tuple[PlanGroup, ...]

    @property
    def machines(self) -> tuple[str, ...]:
        """All machines, in the order in which they start."""
        return tuple(machine for group in self.groups for machine in group.machines)


@attrs.frozen(slots=True)
class ScriptCall:
    """What a script is told. ``group`` counts from 1.

    ``id`` names this call of this run, and no other call of the system. A script is called at least once: where a crash came
    before it was recorded that it had ended, it is called again with the same id, and is told so (``again``).
    """

    plan: str
    group: int
    script: str
    operation: str
    direction: str
    id: str
    again: bool = False
    """Whether it may have been called with this id before: a restart came between."""


Hook = Callable[[ScriptCall], bool]
"""Carries out a script; whether it succeeded."""


def checked_plan(
    plan: RecoveryPlan, machines: Mapping[str, object], groups: Mapping[str, Sequence[str]], flow: Flow
) -> None:
    """Refuse a plan that cannot be.

    Raises:
        UsageError: it has too many groups or machines, names one twice, splits a replication group, or the flow has no plans.
    """
    where = f"recovery plan '{plan.name}'"
    if not flow.plans:
        raise UsageError(f"{where}: flow '{flow.id}' has no recovery plans; fail its machines over one by one")
    if not 1 <= len(plan.groups) <= MOST_GROUPS:
        raise UsageError(f"{where} has {len(plan.groups)} groups; 1 to {MOST_GROUPS} expected")
    if not 1 <= len(plan.machines) <= MOST_MACHINES:
        raise UsageError(f"{where} has {len(plan.machines)} machines; 1 to {MOST_MACHINES} expected")
    for number, machine in enumerate(plan.machines):
        if machine not in machines:
            raise UsageError(f"{where}: machine '{machine}' is not known; known: {', '.join(sorted(machines))}")
        if machine in plan.machines[:number]:
            raise UsageError(f"{where}: machine '{machine}' is in it twice; one group expected")
    for name, members in groups.items():
        homes = {number for number, group in enumerate(plan.groups) if set(group.machines) & set(members)}
        if len(homes) > 1 or (homes and not set(members) <= set(plan.groups[min(homes)].machines)):
            raise UsageError(f"{where}: replication group '{name}' is not whole in one group of the plan; put it together")


class Do(Enum):
    """What a step of a run does."""

    FAIL_OVER = "ask every machine to fail over, and hold it"
    AWAIT_FAILOVERS = "wait until each has failed over, or has failed"
    ACT = "an action of a group"
    BOOT = "let a group start"
    AWAIT_BOOT = "wait until each machine of a group runs"
    ASK = "ask every machine for another operation"
    AWAIT = "wait until each has done it"


@attrs.frozen(slots=True)
class PlanStep:
    """A step of a run. ``group`` counts from 1, 0: all machines."""

    do: Do
    group: int = 0
    action: Action | None = None


def steps_of(plan: RecoveryPlan, operation: str, direction: str) -> Iterator[PlanStep]:
    """What a run of a plan does, in order."""
    if operation not in FAILOVERS:
        yield from (PlanStep(Do.ASK), PlanStep(Do.AWAIT))
        return

    def meant(actions: Sequence[Action], number: int) -> Iterator[PlanStep]:
        for action in actions:
            if operation in action.operations and direction in action.directions:
                yield PlanStep(Do.ACT, number, action)

    yield from (PlanStep(Do.FAIL_OVER), PlanStep(Do.AWAIT_FAILOVERS))
    for number, group in enumerate(plan.groups, 1):
        yield from meant(group.before, number)
        yield from (PlanStep(Do.BOOT, number), PlanStep(Do.AWAIT_BOOT, number))
        yield from meant(group.after, number)


def row_of_plan(plan: RecoveryPlan) -> dict[str, Any]:
    """A plan as plain values; see :func:`plan_of_row`."""

    def row(actions: Sequence[Action]) -> list[list[Any]]:
        return [[a.kind, a.name, sorted(a.operations), sorted(a.directions)] for a in actions]

    return {"name": plan.name, "groups": [[list(g.machines), row(g.before), row(g.after)] for g in plan.groups]}


def plan_of_row(row: Mapping[str, Any]) -> RecoveryPlan:
    """The plan that was written down."""

    def actions(rows: Sequence[Sequence[Any]]) -> tuple[Action, ...]:
        return tuple(Action(kind, name, frozenset(ops), frozenset(ways)) for kind, name, ops, ways in rows)

    groups = (PlanGroup(tuple(machines), actions(before), actions(after)) for machines, before, after in row["groups"])
    return RecoveryPlan(row["name"], tuple(groups))
