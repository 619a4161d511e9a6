"""The driver interface: how a system under test is asked, and what it may answer (`docs/interface.md`).

Rules
1. A driver opens with a handshake: its name, the version of this interface that it speaks, and what it can do
   (`Capabilities`). What it cannot do is skipped, counted and reported; a skip is never green.
2. `execute` answers `Accepted`, `Rejected(code)` or `Unknown`; `write` and `start_machine` answer True, False or None
   (unknown). None is never taken for False.
3. An observation tells what the system says. A field that the system cannot tell is `UNKNOWN`; None is the value "none" where
   there is one (`job`, `failover_point`, `received`, `loss`), and unknown everywhere else. What the tester can probe itself
   (`running`, content) is probed.
4. Faults, time and internal steps are the tester's: they happen when asked for, and are all in the log. A driver whose system
   moves by itself while nobody asks must say so (`moves_by_itself`), else such moves are divergences.
5. What becomes of a driver that raises, hangs or answers nonsense is in `siteproof.conformance.guarded`.
"""

from __future__ import annotations

import enum
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

import attrs

from siteproof.conformance.case import FAULTS, OPERATIONS, SIDES, Scenario
from siteproof.conformance.errors import DriverError
from siteproof.model.errors import UsageError, near

__all__ = [
    "CODES",
    "UNKNOWN",
    "VERSION",
    "WORDS",
    "Accepted",
    "Answer",
    "Capabilities",
    "Common",
    "Driver",
    "Observation",
    "Rejected",
    "Unknown",
    "UnknownType",
    "answer_to_json",
    "load_driver_class",
]

VERSION = 1

CODES = (
    "ReplicationEnded",
    "OperationNotSupported",
    "JobInProgress",
    "TestFailoverPending",
    "NoTestFailover",
    "AlreadyProtected",
    "NotProtected",
    "FailoverPending",
    "NoFailoverToCommit",
    "FailoverNotCommitted",
    "ResynchronisationRequired",
    "NoResynchronisationRequired",
    "NoFailoverToChange",
    "NoFailoverToComplete",
    "SourceNotRunning",
    "SitesNotConnected",
    "TargetSiteDown",
    "RecoveryPointNotFound",
)
"""What a request may be refused with (`docs/interface.md`, section 3)."""

WORDS: dict[str, tuple[str, ...]] = {
    "protection": ("none", "initial", "protected"),
    "active": SIDES,
    "direction": ("forward", "reverse"),
    "failover": ("none", "planned", "unplanned", "committed", "completed"),
    "test": ("none", "running"),
    "resync": ("none", "required", "comparing", "merging"),
    "job": OPERATIONS,
}
"""The values of an observation's fields that are words."""


class UnknownType(enum.Enum):
    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = UnknownType.UNKNOWN


@attrs.frozen
class Accepted:
    """The request was taken; its job starts."""


@attrs.frozen
class Rejected:
    """The request was refused with a reason code, and nothing changed."""

    code: str


@attrs.frozen
class Unknown:
    """The answer was lost. The request may have been carried out or not."""


Answer: TypeAlias = Accepted | Rejected | Unknown


@attrs.frozen
class Capabilities:
    """What a driver can do.

    `flows`: topology ids, empty for any. `stepping`: it can take single internal events. `strict_order`: of several codes it
    gives the first. `atomic`: an observation shows one instant. `moves_by_itself`: the system makes progress between calls.
    `own_topologies`: it accepts topologies from a user's file. `reads_points`, `reads_sides`: content can be read. `tells_time`:
    it has the method `now`. `groups`: machines can be put into replication groups, and it tells which points they have in common.
    """

    name: str
    version: int = VERSION
    flows: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset(OPERATIONS)
    faults: frozenset[str] = frozenset(FAULTS)
    stepping: bool = False
    advancing: bool = True
    cached_writes: bool = True
    strict_order: bool = False
    atomic: bool = True
    moves_by_itself: bool = False
    own_topologies: bool = False
    reads_points: bool = True
    reads_sides: bool = True
    tells_time: bool = False
    restores: bool = False
    groups: bool = False
    disks: int = 8
    machines: int = 16


class Common(NamedTuple):
    """That a recovery point of a machine is its part of a common point of its replication group: the point's id, the name of the
    common point, which is the same at all members, and, where it is told, the time of the cut in seconds."""

    point: str
    name: str
    time: float | None = None


@attrs.frozen
class Observation:
    """One machine as the system shows it (`docs/interface.md`, section 6). `points` are (id, kind), oldest first; `common` says
    which of them belong to common points of a replication group, none where the system has or tells no such thing."""

    protection: str | UnknownType = UNKNOWN
    active: str | UnknownType = UNKNOWN
    direction: str | UnknownType = UNKNOWN
    failover: str | UnknownType = UNKNOWN
    job: str | UnknownType | None = UNKNOWN
    allowed_operations: tuple[str, ...] | UnknownType = UNKNOWN
    points: tuple[tuple[str, str], ...] | UnknownType = UNKNOWN
    failover_point: str | UnknownType | None = UNKNOWN
    received: int | UnknownType | None = UNKNOWN
    loss: int | UnknownType | None = UNKNOWN
    alerts: tuple[str, ...] | UnknownType = UNKNOWN
    running: tuple[bool | UnknownType, bool | UnknownType] = (UNKNOWN, UNKNOWN)
    test: str | UnknownType = UNKNOWN
    resync: str | UnknownType = UNKNOWN
    common: tuple[Common, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; unknown fields are absent."""
        row: dict[str, Any] = {}
        for name in (
            "protection", "active", "direction", "failover", "test", "resync", "job", "failover_point", "received", "loss",
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not UNKNOWN:
                row[name] = value
        for name in ("allowed_operations", "alerts"):
            value = getattr(self, name)
            if value is not UNKNOWN:
                row[name] = list(value)
        if self.points is not UNKNOWN:
            row["points"] = [{"id": i, "kind": k} for i, k in self.points]
            if self.common:
                told = {one.point: one for one in self.common}
                for point in row["points"]:
                    if (one := told.get(point["id"])) is not None:
                        point |= {"common": one.name} | ({} if one.time is None else {"time": one.time})
        row["running"] = {
            side: value for side, value in zip(("primary", "recovery"), self.running, strict=True) if value is not UNKNOWN
        }
        return row


def answer_to_json(answer: Answer | bool | None) -> dict[str, Any]:
    """An answer as it stands in reports."""
    match answer:
        case Accepted():
            return {"answer": "accepted"}
        case Rejected(code):
            return {"answer": "rejected", "code": code}
        case True:
            return {"answer": "done"}
        case False:
            return {"answer": "refused"}
        case _:
            return {"answer": "unknown"}


@runtime_checkable
class Driver(Protocol):
    """What a driver implements. One instance runs one case: `start` … `stop`."""

    def handshake(self) -> Capabilities: ...
    def start(self, scenario: Scenario, seed: int, base: Any) -> None:
        """Set up the scenario. `base` is a `content.Base`: what every disk starts with."""

    def execute(self, machine: str, operation: str, point: str | None) -> Answer: ...
    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool | None:
        """The guest at `side` (`primary`, `recovery`, or `test`: the copy of a test failover) writes a block."""

    def fault(self, kind: str) -> None: ...
    def heal(self, kind: str) -> None: ...
    def start_machine(self, machine: str, side: str) -> bool | None: ...
    def advance(self, seconds: int) -> None: ...
    def step(self) -> bool:
        """Take one internal event; False when there is none."""

    def settle(self) -> bool:
        """Let time pass until nothing moves; False when that did not happen within a day of virtual time."""

    def observe(self, machine: str) -> Observation: ...
    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:
        """Content of a point (its id), of a side's disk, or of the copy of a test failover (`test`)."""

    def stop(self) -> None: ...


def load_driver_class(name: str) -> Callable[[], Driver]:
    """The class that `module:Class` names. Raises `UsageError` when `name` is not of that form, `DriverError` when there is no
    such class, or it lacks a method."""
    module_name, _, class_name = name.partition(":")
    if not module_name or not class_name:
        lacks = "no module before the colon" if not module_name else "no class after the colon"
        example = f"{module_name or 'package.module'}:{class_name or 'YourDriver'}"
        raise UsageError(f"the driver {name!r}, which has {lacks}", "module:Class", f"write it like --driver {example}")
    if module_name.endswith(".py"):
        module = ".".join(Path(module_name).with_suffix("").parts)
        raise UsageError(f"the driver {name!r}, which names a file", "module:Class", f"did you mean {module}:{class_name}?")
    expected = "module:Class, where the class has the methods of siteproof.conformance.driver.Driver"
    try:
        found: Any = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name in _parents(module_name)
        raise DriverError(
            name,
            f"no module {module_name}" if missing else f"the module {module_name} fails when imported "
            f"({type(error).__name__}: {error})",
            expected,
            "run in its folder, or set PYTHONPATH" if missing else "see that `python -c 'import " + module_name + "'` works",
        ) from error
    for part in class_name.split("."):
        if not hasattr(found, part):
            classes = [n for n, c in vars(found).items() if isinstance(c, type) and c.__module__ == module_name]
            mend = near(class_name, classes) if classes else "name a class that it has"
            mine, other = Path(*module_name.split(".")).with_suffix(".py"), getattr(found, "__file__", None)
            if mine.exists() and (other is None or not mine.samefile(other)):
                mend = f"rename {mine}: another module of that name comes before it ({other or 'a part of Python'})"
            raise DriverError(name, f"the module {module_name} has no {class_name}", expected, mend)
        found = getattr(found, part)
    if not callable(found):
        raise DriverError(name, f"{class_name} is a {type(found).__name__}", "a class")
    methods = [m for m in vars(Driver) if not m.startswith("_")]
    lacking = [m for m in methods if not callable(getattr(found, m, None))]
    if lacking:
        raise DriverError(name, f"{class_name} has no method {', '.join(lacking)}", expected, "see docs/interface.md, section 7")
    return found  # type: ignore[no-any-return]


def _parents(module: str) -> list[str]:
    """`a.b.c` with the packages that it lies in."""
    parts = module.split(".")
    return [".".join(parts[: n + 1]) for n in range(len(parts))]
