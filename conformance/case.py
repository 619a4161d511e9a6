"""A test case is a value: a scenario, commands with symbolic arguments, a seed.

Rules
1. A command names things symbolically, from small fixed pools: machine `m0`, point `latest`, `latest-processed`,
   `latest-app-consistent`, `point:0` (the oldest that is advertised), `point:-1` (the newest), `point:gone` (one that was
   advertised once), `point:unknown`; place `test`, the copy of a test failover, whatever runs there or does not. So a
   shrunk or edited case still means something, and one case runs on every driver.
2. Cases are made without running anything. Engine, shrinker, replayer, printer and reports share them.
3. A scenario may put machines into *replication groups*, which have recovery points in common: by name, two machines or more, no
   machine in two of them. Without groups the key is absent, as it is in files from before there were any.
4. Cases are plain JSON, versioned. Reading is strict: an unknown key or word is an error that says where it stands and what
   was expected. `Case.from_json(case.to_json()) == case`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import attrs

from siteproof.conformance.errors import CaseError

__all__ = [
    "FAULTS",
    "OPERATIONS",
    "PLACES",
    "POINTED",
    "SIDES",
    "STRUCK_ONCE",
    "Advance",
    "Case",
    "Command",
    "Fault",
    "Heal",
    "Operate",
    "Scenario",
    "Settle",
    "StartMachine",
    "Steps",
    "Write",
    "command_from_json",
    "command_to_json",
    "describe",
]

FORMAT = 1
SIDES = ("primary", "recovery")
PLACES = (*SIDES, "test")
"""Where a workload can write: the sides, and the copy of a test failover."""
FAULTS = ("primary-site", "recovery-site", "link", "gateway", "change-log")
STRUCK_ONCE = ("change-log",)
"""Faults that are over as soon as they have struck: there is nothing to heal."""
OPERATIONS = (
    "EnableProtection",
    "PlannedFailover",
    "UnplannedFailover",
    "Commit",
    "ReverseReplicate",
    "TestFailover",
    "TestFailoverCleanup",
    "ChangePit",
    "DisableProtection",
    "CompleteMigration",
    "RepairReplication",
)
POINTED = ("UnplannedFailover", "TestFailover", "ChangePit")
"""The operations that name a recovery point."""
POINTS = ("latest", "latest-processed", "latest-app-consistent", "point:gone", "point:unknown")


def _plain(groups: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Groups as values that compare."""
    return {name: tuple(members) for name, members in groups.items()}


@attrs.frozen
class Scenario:
    """What a case runs on. `blocks` is the size of each disk in blocks of 4096 bytes; `image`, where given, is a file that
    every disk starts from (its size rounded up to whole blocks then counts). `policy` overrides policy settings. `groups` are the
    replication groups: names, with their machines."""

    topology: str
    machines: tuple[str, ...] = ("m0",)
    disks: int = 1
    blocks: int = 16
    image: str = ""
    policy: Mapping[str, int] = attrs.field(factory=dict, converter=dict)
    groups: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, converter=_plain)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; without groups that key is absent."""
        row = {**attrs.asdict(self), "machines": list(self.machines), "groups": {g: list(m) for g, m in self.groups.items()}}
        return row if self.groups else {key: value for key, value in row.items() if key != "groups"}

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many machines, disks of each, and replication groups."""
        return len(self.machines), self.disks, len(self.groups)

    def with_machines(self, machines: Sequence[str]) -> Scenario:
        """The scenario with some of its machines only; a group of which fewer than two are left is gone."""
        left = {group: tuple(m for m in members if m in machines) for group, members in self.groups.items()}
        return attrs.evolve(self, machines=tuple(machines), groups={g: m for g, m in left.items() if len(m) > 1})


@attrs.frozen
class Operate:
    """An operator's request. `point` only with the operations that name one (`POINTED`)."""

    kind: ClassVar[str] = "operation"
    machine: str
    operation: str
    point: str | None = None


@attrs.frozen
class Write:
    """The workload of `machine` at `side`, or in the copy of a test failover (`test`, never cached), writes one block."""

    kind: ClassVar[str] = "write"
    machine: str
    side: str
    block: int
    disk: int = 0
    cached: bool = False


@attrs.frozen
class Fault:
    """A fault strikes."""

    kind: ClassVar[str] = "fault"
    fault: str


@attrs.frozen
class Heal:
    """A fault is healed; never one that is over at once."""

    kind: ClassVar[str] = "heal"
    fault: str


@attrs.frozen
class StartMachine:
    """Somebody powers the machine on at `side`."""

    kind: ClassVar[str] = "start-machine"
    machine: str
    side: str


@attrs.frozen
class Advance:
    """Virtual time passes."""

    kind: ClassVar[str] = "advance"
    seconds: int


@attrs.frozen
class Settle:
    """Time passes until nothing moves any more."""

    kind: ClassVar[str] = "settle"


@attrs.frozen
class Steps:
    """The system takes `count` internal events, so that the next command strikes between two steps of a job."""

    kind: ClassVar[str] = "step"
    count: int


Command: TypeAlias = Operate | Write | Fault | Heal | StartMachine | Advance | Settle | Steps

_KINDS: dict[str, type[Any]] = {one.kind: one for one in (Operate, Write, Fault, Heal, StartMachine, Advance, Settle, Steps)}


@attrs.frozen
class Case:
    """A test case. `seed` decides everything that the system under test leaves to chance, where it can be told."""

    scenario: Scenario
    commands: tuple[Command, ...]
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "scenario": self.scenario.to_json(),
            "seed": self.seed,
            "commands": [command_to_json(c) for c in self.commands],
        }

    @classmethod
    def from_json(cls, data: Any, where: str = "test case") -> Case:
        """Raises `CaseError` on anything that `to_json` does not write."""
        row = _table(data, where, ("format", "scenario", "seed", "commands"))
        if row["format"] != FORMAT:
            raise CaseError(f"{where}, format", repr(row["format"]), f"{FORMAT}, the version that this release reads")
        scenario = _scenario(row["scenario"], f"{where}, scenario")
        if not isinstance(row["commands"], list):
            raise CaseError(f"{where}, commands", type(row["commands"]).__name__, "a list")
        commands = tuple(command_from_json(c, f"{where}, command {i + 1}") for i, c in enumerate(row["commands"]))
        for i, command in enumerate(commands):
            machine = getattr(command, "machine", None)
            if machine is not None and machine not in scenario.machines:
                raise CaseError(f"{where}, command {i + 1}, machine", repr(machine), "one of the scenario's machines")
            if isinstance(command, Write) and not (command.disk < scenario.disks):
                raise CaseError(f"{where}, command {i + 1}, disk", str(command.disk), f"less than {scenario.disks}")
            if isinstance(command, Write) and command.cached and command.side not in SIDES:
                raise CaseError(f"{where}, command {i + 1}, cached", "true", "false in the copy of a test failover")
            if isinstance(command, Write) and not scenario.image and not command.block < scenario.blocks:
                raise CaseError(f"{where}, command {i + 1}, block", str(command.block), f"less than {scenario.blocks}")
        return cls(scenario, commands, _whole(row["seed"], f"{where}, seed"))


def command_to_json(command: Command) -> dict[str, Any]:
    """A command as JSON; what has its default value and is absent stays absent."""
    row = {"kind": command.kind, **attrs.asdict(command)}
    return {key: value for key, value in row.items() if value is not None}


def command_from_json(data: Any, where: str = "command") -> Command:
    """Raises `CaseError` on an unknown kind, key or word."""
    if not isinstance(data, dict) or data.get("kind") not in _KINDS:
        found = repr(data.get("kind")) if isinstance(data, dict) else type(data).__name__
        raise CaseError(where, f"kind {found}", f"one of {', '.join(_KINDS)}")
    of = _KINDS[data["kind"]]
    fields = {f.name: f for f in attrs.fields(of)}
    needed = tuple(n for n, f in fields.items() if f.default is attrs.NOTHING)
    row = _table(data, where, ("kind", *needed), tuple(n for n in fields if n not in needed))
    values = {n: _value(of, n, v, f"{where}, {n}") for n, v in row.items() if n != "kind"}
    return of(**values)  # type: ignore[no-any-return]


def describe(command: Command) -> str:
    """One short line, as it stands in terminals and reports."""
    match command:
        case Operate(machine, operation, point):
            return f"{operation}({machine}{', ' + point if point else ''})"
        case Write(machine, side, block, disk, cached):
            where = f"block {block}" + (f" of disk {disk}" if disk else "")
            place = f"at {side}" if side in SIDES else "in its test copy"
            return f"write {where} of {machine} {place}{' (into the cache)' if cached else ''}"
        case Fault(fault) if fault in STRUCK_ONCE:
            return f"fault: {fault} is damaged"
        case Fault(fault):
            return f"fault: {fault} fails"
        case Heal(fault):
            return f"heal: {fault} is back"
        case StartMachine(machine, side):
            return f"somebody starts {machine} at {side}"
        case Advance(seconds):
            return f"{seconds} s pass"
        case Settle():
            return "time passes until nothing moves"
        case Steps(count):
            return f"the system takes {count} internal step{'s' if count != 1 else ''}"


def _table(data: Any, where: str, needed: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise CaseError(where, type(data).__name__, "an object")
    if missing := [key for key in needed if key not in data]:
        raise CaseError(where, f"no {missing[0]!r}", f"the keys {', '.join(needed)}")
    if unknown := [key for key in data if key not in needed and key not in optional]:
        raise CaseError(where, f"the unknown key {unknown[0]!r}", f"only {', '.join((*needed, *optional))}")
    return data


def _whole(value: Any, where: str, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise CaseError(where, repr(value), f"a whole number from {least}")
    return value


def _word(value: Any, where: str, words: Sequence[str]) -> str:
    if value not in words:
        raise CaseError(where, repr(value), f"one of {', '.join(words)}")
    return str(value)


def _value(of: type[Any], name: str, value: Any, where: str) -> Any:
    """Check one argument of a command by its name, which has nearly the same domain in every command: only a write can go to
    a test copy, and what is over at once cannot be healed."""
    if name == "operation":
        return _word(value, where, OPERATIONS)
    if name == "side":
        return _word(value, where, PLACES if of is Write else SIDES)
    if name == "fault":
        return _word(value, where, [f for f in FAULTS if of is Fault or f not in STRUCK_ONCE])
    if name == "point":
        rest = str(value).removeprefix("point:").removeprefix("-")
        if value not in POINTS and not (str(value).startswith("point:") and rest.isdigit()):
            raise CaseError(where, repr(value), f"one of {', '.join(POINTS)}, point:N or point:-N")
        return value
    if name == "cached":
        if not isinstance(value, bool):
            raise CaseError(where, repr(value), "true or false")
        return value
    if name == "machine":
        if not isinstance(value, str) or not value:
            raise CaseError(where, repr(value), "a machine's name")
        return value
    return _whole(value, where, least=1 if name in ("seconds", "count") else 0)


def _scenario(data: Any, where: str) -> Scenario:
    row = _table(data, where, ("topology", "machines"), ("disks", "blocks", "image", "policy", "groups"))
    machines = row["machines"]
    if not isinstance(machines, list) or not machines or not all(isinstance(m, str) and m for m in machines):
        raise CaseError(f"{where}, machines", repr(machines), "a list of names")
    if len(set(machines)) != len(machines):
        raise CaseError(f"{where}, machines", repr(machines), "every name once")
    if not isinstance(row["topology"], str):
        raise CaseError(f"{where}, topology", repr(row["topology"]), "a topology's id or file")
    if not isinstance(row.get("image", ""), str):
        raise CaseError(f"{where}, image", repr(row["image"]), "a file name, or an empty text")
    policy = row.get("policy", {})
    if not isinstance(policy, dict):
        raise CaseError(f"{where}, policy", repr(policy), "an object")
    return Scenario(
        row["topology"],
        tuple(machines),
        _whole(row.get("disks", 1), f"{where}, disks", 1),
        _whole(row.get("blocks", 16), f"{where}, blocks", 1),
        row.get("image", ""),
        {k: _whole(v, f"{where}, policy, {k}") for k, v in policy.items()},
        _groups(row.get("groups", {}), machines, f"{where}, groups"),
    )


def _groups(data: Any, machines: Sequence[str], where: str) -> dict[str, tuple[str, ...]]:
    """Replication groups: two machines or more in each, and none in two of them."""
    if not isinstance(data, dict):
        raise CaseError(where, repr(data), "an object: names of groups, each with a list of machines")
    seen: dict[str, str] = {}
    for group, members in data.items():
        if not isinstance(members, list) or len(members) < 2 or not all(isinstance(m, str) for m in members):
            raise CaseError(f"{where}, {group}", repr(members), "a list of two machines or more")
        for member in members:
            if member not in machines:
                raise CaseError(f"{where}, {group}", repr(member), "one of the scenario's machines")
            if member in seen:
                raise CaseError(f"{where}, {group}", f"{member!r}, which is in {seen[member]!r} already", "every machine once")
            seen[member] = group
    return {group: tuple(members) for group, members in data.items()}
