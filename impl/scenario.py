"""A scenario: what is to be played on the implementation, read from a TOML file.

=================  =====================================================================================================
``format``         1
``title``          one line; ``summary``: more of them
``flow``           a flow that is shipped, or the path of a topology file; ``seed``: of everything that is drawn
``[policy]``       settings of the replication policy that differ from the topology's
``[machines.M]``   ``disks``: for each ``{ size = "4 MiB", content = "mixed" }`` (made), or ``{ image = "path" }`` (the user's,
                   opened read-only: everything that is written goes to an overlay)
``[groups.G]``     ``machines`` that share recovery points (multi-VM consistency)
``[plans.P]``      a recovery plan: ``[[plans.P.groups]]`` with ``machines``, and ``before`` and ``after``: actions, which are
                   ``{ script = "name" }`` (``fails = true``: it fails each time) or ``{ manual = "what to do" }``
``[workloads.W]``  ``machines`` that write in turn, ``disk``, ``pattern`` (``sequential``, ``random``, ``hot``: few blocks over
                   and over), ``per_minute``
``[[steps]]``      what happens, in this order: see :class:`Step`
=================  =====================================================================================================

Paths are relative to the scenario's file. Unknown keys, names that are not declared and values of a wrong type are errors
(:mod:`.reading`).
"""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from .coordinator import SOURCE_UNREADABLE
from .errors import ScenarioError, TopologyError, UsageError
from .flows import flow_of
from .freezing import NOT_FROZEN
from .group import NO_COMMON_POINT, checked_groups
from .loader import Policy, Topology, load_topology
from .network import Network
from .plan import FAILOVERS, FORWARD, OTHERS, POINTS, REVERSE, Action, PlanGroup, RecoveryPlan, checked_plan
from .reading import Table, read_table
from .replication import RESYNC_REQUIRED, STALE_SIDE_FENCED
from .simulation import FAULTS
from .values import HOST_OPERATIONS, OPERATIONS, SIDES, TEST, Code

__all__ = ["CONTENTS", "PATTERNS", "DiskSpec", "MachineSpec", "Scenario", "Step", "Workload", "load_scenario"]

CONTENTS = ("zeros", "text", "mixed", "random")
"""What a made disk holds: nothing, text that compresses, noise that does not, or a third of each."""
PATTERNS = ("sequential", "random", "hot")
VERBS = (
    "request", "plan", "resume", "write", "begin", "end", "advance", "settle", "fault", "heal", "clock", "start", "check",
)  # fmt: skip
GROUP_PORT = "group-port"
"""A fault of this laboratory alone: the other members of its group cannot reach a machine."""
ACCEPTED = "accepted"
CODES = frozenset(value for name, value in vars(Code).items() if not name.startswith("_"))
STATE: Mapping[str, tuple[str, ...]] = {
    "protection": ("none", "initial", "protected"), "active": SIDES, "direction": (FORWARD, REVERSE),
    "failover": ("none", "planned", "unplanned", "committed", "completed"), "test": ("none", "running"),
    "resync": ("none", "required", "comparing", "merging"),
}  # fmt: skip
"""What ``check`` compares, and what each can be."""
ALERTS = (NO_COMMON_POINT, NOT_FROZEN, RESYNC_REQUIRED, SOURCE_UNREADABLE, STALE_SIDE_FENCED)
LONGEST = 31 * 24 * 3600
"""Seconds that may pass in one step: more than any retention keeps. A year of a workload would be played for hours."""


@attrs.frozen(slots=True)
class DiskSpec:
    """One disk: the user's ``image``, or one of ``size`` bytes that is made."""

    image: Path | None = None
    size: int = 0
    content: str = "mixed"


@attrs.frozen(slots=True)
class MachineSpec:
    """A machine and its disks."""

    name: str
    disks: tuple[DiskSpec, ...]


@attrs.frozen(slots=True)
class Workload:
    """Who writes where, and how often while it runs (writes a minute of virtual time, over all its machines)."""

    name: str
    machines: tuple[str, ...]
    disk: int
    pattern: str
    per_minute: float


@attrs.frozen(slots=True, kw_only=True)
class Step:
    """One thing that happens. Exactly one verb:

    ===========  =================================================================================================
    ``request``  an operation is asked for, of ``machines`` (all, if left out) one after the other, with ``point``; the
                 answer must be ``expect`` (``accepted``, or a reason code); unless ``wait`` is false, until the job is over
    ``plan``     a recovery plan is run for ``operation``, in ``direction``, to ``point``, as above; until it is over, or waits
                 for a manual action
    ``resume``   the manual action that a plan waits for has been done
    ``write``    a workload makes so many writes at once; ``side`` if not where the machine is active
    ``begin``,   a workload writes from now on while time passes, or no longer
    ``end``
    ``advance``  time passes
    ``settle``   workloads pause, and time passes until nothing moves any more
    ``fault``,   a fault strikes, or is over
    ``heal``
    ``clock``    the clock of ``side`` jumps by so many seconds
    ``start``    somebody powers a machine on, at ``side``
    ``check``    what ``machines`` must show now: fields of their status
    ===========  =================================================================================================

    ``at`` (virtual time) lets time pass until then, first; ``say`` is told before it.
    """

    number: int
    verb: str
    what: str = ""
    operation: str = ""
    direction: str = FORWARD
    amount: float = 0
    machines: tuple[str, ...] = ()
    point: str | None = None
    expect: str = ACCEPTED
    wait: bool = True
    side: str | None = None
    at: float | None = None
    say: str = ""
    must: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(slots=True, kw_only=True)
class Scenario:
    """Everything that is to be played."""

    file: Path
    title: str
    summary: str
    topology: Topology
    seed: int
    machines: Mapping[str, MachineSpec]
    groups: Mapping[str, tuple[str, ...]]
    plans: tuple[RecoveryPlan, ...]
    failing: frozenset[str]
    """Scripts that fail."""
    workloads: Mapping[str, Workload]
    steps: tuple[Step, ...]
    network: Network = attrs.Factory(Network)


def load_scenario(path: Path) -> Scenario:
    """Read a scenario.

    Raises:
        ScenarioError: something in the file is wrong; TopologyError: the topology that it names.
    """
    top = read_table(path)
    if top.whole("format") != 1:
        raise top.error("format", top.whole("format"), "1", "use a version of siteproof that reads it")
    machines = _machines(top)
    workloads = _workloads(top, machines)
    topology = _topology(top, path)
    flow = flow_of(topology)
    groups: dict[str, tuple[str, ...]] = {}
    for name, table in _named(top, "groups"):
        groups[name] = _members(table, machines)
        _refuse(table, "machines", partial(checked_groups, groups, machines, flow))
    failing: set[str] = set()
    plans: list[RecoveryPlan] = []
    for name, table in _named(top, "plans"):
        plans.append(_plan(name, table, machines, failing))
        _refuse(table, "groups", partial(checked_plan, plans[-1], machines, groups, flow))
    scenario = Scenario(
        file=path, title=top.text("title"), summary=top.text("summary", ""), topology=topology,
        seed=top.whole("seed", 0), machines=machines, groups=groups, plans=tuple(plans), failing=frozenset(failing),
        network=_network(top.table("network", {})), workloads=workloads,
        steps=_steps(top, machines, workloads, groups, [plan.name for plan in plans]),
    )  # fmt: skip
    top.done()
    return scenario


def _refuse(table: Table, key: str, check: Callable[[], None]) -> None:
    """What the laboratory would refuse is an error at a key of the file."""
    try:
        check()
    except UsageError as error:
        found, told, mend = str(error).rpartition("; ")
        if not told:
            found, mend = mend, "correct the names here"
        expected = "what the laboratory can play"
        if mend.endswith(" expected"):
            expected, mend = mend.removesuffix(" expected"), "correct the names here"
        raise ScenarioError(table.file, table.key(key), found, expected, mend) from error


def _topology(top: Table, path: Path) -> Topology:
    name = top.text("flow")
    shipped = Path(str(importlib.resources.files("siteproof.specs"))) / "topologies"
    if name.endswith(".toml"):
        topology = load_topology(path.parent / name)
    elif (shipped / f"{name}.toml").is_file():
        topology = load_topology(shipped / f"{name}.toml")
    else:
        top.text("flow", among=[file.stem for file in shipped.glob("*.toml")])
        raise TopologyError(f"{path}: flow '{name}' is not shipped")
    return attrs.evolve(topology, policy=_policy(top.table("policy", {}), topology.policy))


def _policy(table: Table, policy: Policy) -> Policy:
    values = {field.name: table.number(field.name, None) for field in attrs.fields(Policy)}
    table.done()
    if values["crash_consistent_minutes"] == 0:
        raise table.error("crash_consistent_minutes", 0, "a number above 0", "write 5")
    return attrs.evolve(policy, **{name: value for name, value in values.items() if value is not None})


def _network(table: Table) -> Network:
    usual = Network()
    shares = {
        name: table.number(name, getattr(usual, name), most=0.9) for name in ("duplicates", "losses", "damages")
    }  # fmt: skip
    network = Network(latest=table.duration("latest", usual.latest), **shares)
    table.done()
    return network


def _named(top: Table, key: str) -> list[tuple[str, Table]]:
    group = top.table(key, {})
    return [(name, group.table(name)) for name in group.names()]


def _image(disk: Table, folder: Path) -> Path:
    """An image of the user's: there, readable, and of a disk's size."""
    named: str = disk.text("image")
    path = folder / named
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        found = f'"{named}", which cannot be opened ({error.strerror})'
        mend = "correct the path, which is relative to the scenario"
        raise ScenarioError(disk.file, disk.key("image"), found, "a disk image", mend) from error
    if size == 0 or size % 4096:
        found = f'"{named}" of {size:,} bytes'
        raise ScenarioError(disk.file, disk.key("image"), found, "a positive multiple of 4096 bytes", "pad the image with zeros")
    return path


def _machines(top: Table) -> dict[str, MachineSpec]:
    found = {}
    for name, table in _named(top, "machines"):
        disks = []
        for disk in table.tables("disks"):
            if "image" in disk:
                disks.append(DiskSpec(image=_image(disk, Path(top.file).parent)))
            else:
                size = disk.size("size")
                if size == 0 or size % 4096:
                    raise disk.error("size", size, "a positive multiple of 4096 bytes", "write a size such as 4 MiB")
                disks.append(DiskSpec(size=size, content=disk.text("content", "mixed", among=CONTENTS)))
            disk.done()
        if not disks:
            raise table.error("disks", [], "at least one disk", 'write disks = [{ size = "4 MiB" }]')
        table.done()
        found[name] = MachineSpec(name, tuple(disks))
    if not found:
        raise ScenarioError(top.file, "machines", "nothing", "at least one machine", "add [machines.NAME]")
    return found


def _workloads(top: Table, machines: Mapping[str, MachineSpec]) -> dict[str, Workload]:
    found = {}
    for name, table in _named(top, "workloads"):
        on = table.texts("machines", tuple(machines), among=machines)
        disk = table.whole("disk", 0)
        short = [machine for machine in on if disk >= len(machines[machine].disks)]
        if short:
            raise table.error("disk", disk, f"a disk of machine '{short[0]}', counted from 0", "correct the number")
        if not on:
            raise table.error("machines", [], "at least one machine", "name it")
        found[name] = Workload(
            name,
            on,
            disk,
            table.text("pattern", "random", among=PATTERNS),
            table.number("per_minute", 60, least=0.1, most=60_000),
        )
        table.done()
    return found


def _members(table: Table, machines: Mapping[str, MachineSpec]) -> tuple[str, ...]:
    members = table.texts("machines", among=machines)
    table.done()
    return members


def _plan(name: str, table: Table, machines: Mapping[str, MachineSpec], failing: set[str]) -> RecoveryPlan:
    groups = []
    for group in table.tables("groups"):
        before, after = ([_action(one, failing) for one in group.tables(when, [])] for when in ("before", "after"))
        groups.append(PlanGroup(group.texts("machines", among=machines), tuple(before), tuple(after)))
        group.done()
    table.done()
    return RecoveryPlan(name, tuple(groups))


def _action(table: Table, failing: set[str]) -> Action:
    kind = "manual" if "manual" in table else "script"
    action = Action(
        kind, table.text(kind), frozenset(table.texts("operations", FAILOVERS, among=FAILOVERS)),
        frozenset(table.texts("directions", (FORWARD, REVERSE), among=(FORWARD, REVERSE))),
    )  # fmt: skip
    if kind == "script" and table.flag("fails", False):
        failing.add(action.name)
    table.done()
    return action


def _steps(
    top: Table,
    machines: Mapping[str, MachineSpec],
    workloads: Mapping[str, Workload],
    groups: Mapping[str, tuple[str, ...]],
    plans: Collection[str],
) -> tuple[Step, ...]:
    grouped = [member for members in groups.values() for member in members]
    steps = [_step(table, number, machines, workloads, grouped, plans) for number, table in enumerate(top.tables("steps"), 1)]
    if not steps:
        raise ScenarioError(top.file, "steps", "nothing", "at least one step", "add [[steps]]")
    _refuse_going_back(top.file, steps)
    return tuple(steps)


def _refuse_going_back(file: str, steps: Sequence[Step]) -> None:
    """Times that have passed by then, as far as the steps themselves say: jobs take time of their own."""
    earliest = 0.0
    for step in steps:
        if step.at is not None and step.at < earliest:
            expected = f"a time of at least {earliest:g} s, since so much has passed by the steps before"
            mend = "give a later time, or leave it out"
            raise ScenarioError(file, f"steps[{step.number}].at", f"{step.at:g} s", expected, mend)
        earliest = max(earliest, step.at or 0) + (step.amount if step.verb == "advance" else 0)


def _step(
    table: Table,
    number: int,
    machines: Mapping[str, Any],
    workloads: Collection[str],
    grouped: Collection[str],
    plans: Collection[str],
) -> Step:
    at = table.duration("at", None, most=366 * 24 * 3600)
    verbs = [verb for verb in VERBS if verb in table]
    if len(verbs) != 1:
        found = " and ".join(verbs) or "none of them"
        raise ScenarioError(table.file, table.where, found, f"exactly one of {', '.join(VERBS)}", "make each a step of its own")
    verb = verbs[0]
    values: dict[str, Any] = {"number": number, "verb": verb, "at": at, "say": table.text("say", "")}
    if verb in ("request", "check"):
        values["machines"] = table.texts("machines", tuple(machines), among=machines)
    if verb == "request":
        values["what"] = table.text(verb, among=(*OPERATIONS, *HOST_OPERATIONS))
        values["point"] = table.text("point", None)
        values["expect"] = table.text("expect", ACCEPTED, among={ACCEPTED, *CODES})
        values["wait"] = table.flag("wait", True)
    elif verb == "plan":
        values["what"] = table.text(verb, among=plans)
        values["operation"] = table.text("operation", among=(*FAILOVERS, *OTHERS))
        values["direction"] = table.text("direction", FORWARD, among=(FORWARD, REVERSE))
        values["point"] = table.text("point", None, among=[point for point in POINTS if point is not None])
        values["expect"] = table.text("expect", ACCEPTED, among={ACCEPTED, *CODES})
    elif verb == "resume":
        values["what"] = table.text(verb, among=plans)
    elif verb == "write":
        values["amount"] = table.whole(verb, least=1, most=1_000_000)
        values["what"] = table.text("workload", among=workloads)
        values["side"] = table.text("side", None, among=(*SIDES, TEST))
    elif verb in ("begin", "end"):
        values["what"] = table.text(verb, among=workloads)
    elif verb == "advance":
        values["amount"] = table.duration(verb, most=LONGEST)
    elif verb == "settle":
        if not table.flag(verb):
            raise table.error(verb, False, "true", "leave the step out")
    elif verb in ("fault", "heal"):
        values["what"] = table.text(verb, among=(*FAULTS, GROUP_PORT))
        if values["what"] == GROUP_PORT:
            values["machines"] = (table.text("machine", among=grouped),)
    elif verb == "start":
        values["machines"] = (table.text(verb, among=machines),)
        values["side"] = table.text("side", among=SIDES)
    elif verb == "clock":
        values["amount"] = table.number(verb, least=-1e12, most=1e12)
        values["side"] = table.text("side", among=SIDES)
    else:
        values["must"] = _must(table.table(verb))
    table.done()
    return Step(**values)


def _must(table: Table) -> dict[str, Any]:
    """Fields of a status, and what they must be: words, the number of lost writes, alerts, points, or which sides run."""
    must: dict[str, Any] = {name: table.text(name, among=words) for name, words in STATE.items() if name in table}
    if "loss" in table:
        must["loss"] = table.whole("loss")
    if "points" in table:
        must["points"] = table.whole("points")
    if "alerts" in table:
        must["alerts"] = table.texts("alerts", among=ALERTS)
    if "running" in table:
        must["running"] = table.texts("running", among=(*SIDES, TEST))
    table.done()
    if not must:
        raise ScenarioError(table.file, table.where, "nothing to check", f"some of {', '.join(STATE)}, …", "name a field")
    return must
