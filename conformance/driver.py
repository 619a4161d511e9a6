"""The driver interface: how a system under test is asked, and what it may answer (`docs/interface.md`).

Rules
1. A driver opens with a handshake: its name, the version of this interface that it speaks, and what it can do
   (`Capabilities`). What it cannot do is skipped, counted and reported; a skip is never green.
2. `execute` answers `Accepted`, `Rejected(code)` or `Unknown`; `write` and `start_machine` answer True, False or None
   (unknown). None is never taken for False.
3. An observation tells what the system says. A field that the system cannot tell is `UNKNOWN`; None means that there is none
   (no job, no loss known). What the tester can probe itself (`running`, content) is probed.
4. Faults, time and internal steps are the tester's: they happen when asked for, and are all in the log. A driver whose system
   moves by itself while nobody asks must say so (`moves_by_itself`), else such moves are divergences.
5. A driver that raises, hangs or answers nonsense fails with a `DriverError` (exit code 3), which is no verdict.
"""

from __future__ import annotations

import enum
import importlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import attrs

from siteproof.conformance.case import FAULTS, OPERATIONS, Scenario
from siteproof.conformance.errors import DriverError
from siteproof.model.errors import SiteproofError

__all__ = [
    "UNKNOWN",
    "VERSION",
    "Accepted",
    "Answer",
    "Capabilities",
    "Driver",
    "Guarded",
    "Observation",
    "Rejected",
    "Unknown",
    "UnknownType",
    "answer_to_json",
    "load_driver_class",
]

VERSION = 1
DEADLINE_SECONDS = 60.0


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
    `own_topologies`: it accepts topologies from a user's file. `reads_points`, `reads_sides`: content can be read.
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
    restores: bool = False
    disks: int = 8
    machines: int = 16


@attrs.frozen
class Observation:
    """One machine as the system shows it (`docs/interface.md`, section 6). `points` are (id, kind), oldest first."""

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

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; unknown fields are absent."""
        row: dict[str, Any] = {}
        for name in ("protection", "active", "direction", "failover", "job", "failover_point", "received", "loss"):
            value = getattr(self, name)
            if value is not UNKNOWN:
                row[name] = value
        for name in ("allowed_operations", "alerts"):
            value = getattr(self, name)
            if value is not UNKNOWN:
                row[name] = list(value)
        if self.points is not UNKNOWN:
            row["points"] = [{"id": i, "kind": k} for i, k in self.points]
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
    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool | None: ...
    def fault(self, kind: str) -> None: ...
    def heal(self, kind: str) -> None: ...
    def start_machine(self, machine: str, side: str) -> bool | None: ...
    def advance(self, seconds: int) -> None: ...
    def step(self) -> bool:
        """Take one internal event; False when there is none."""

    def settle(self) -> bool:
        """Let time pass until nothing moves; False when that did not happen within a day of virtual time."""

    def observe(self, machine: str) -> Observation: ...
    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes: ...
    def stop(self) -> None: ...


class Guarded:
    """A driver whose failures are `DriverError`s: exceptions, hangs (on the main thread) and answers of the wrong type."""

    def __init__(self, driver: Driver, name: str, deadline: float = DEADLINE_SECONDS) -> None:
        self.driver, self.name, self.deadline = driver, name, deadline
        self.capabilities = self.call("handshake", driver.handshake)
        if not isinstance(self.capabilities, Capabilities):
            raise DriverError(name, f"handshake() returned {self.capabilities!r}", "a Capabilities")
        if self.capabilities.version != VERSION:
            raise DriverError(name, f"version {self.capabilities.version} of the driver interface", f"version {VERSION}")

    def call(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the driver; whatever goes wrong is its fault."""
        try:
            return function(*arguments)
        except SiteproofError:
            raise
        except Exception as error:
            told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise DriverError(self.name, f"{what} raised {told}", "an answer") from error

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        answer = self.call(f"execute({operation})", self.driver.execute, machine, operation, point)
        if not isinstance(answer, Accepted | Rejected | Unknown):
            raise DriverError(self.name, f"execute({operation}) returned {answer!r}", "Accepted, Rejected or Unknown")
        return answer

    def observe(self, machine: str) -> Observation:
        seen = self.call(f"observe({machine})", self.driver.observe, machine)
        if not isinstance(seen, Observation):
            raise DriverError(self.name, f"observe({machine}) returned {seen!r}", "an Observation")
        return seen

    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:
        data = self.call(f"read({machine}, {where})", self.driver.read, machine, where, disk, offset, length)
        if not isinstance(data, bytes):
            raise DriverError(self.name, f"read({machine}, {where}) returned a {type(data).__name__}", "bytes")
        return data

    @contextmanager
    def deadline_for(self, what: str) -> Iterator[None]:
        """Raises `DriverError` when the body hangs. Only the main thread can be interrupted."""
        if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
            yield
            return

        def too_late(_number: int, _frame: FrameType | None) -> None:
            raise DriverError(self.name, f"no answer within {self.deadline:g} s of real time in {what}", "an answer")

        before = signal.signal(signal.SIGALRM, too_late)
        signal.setitimer(signal.ITIMER_REAL, self.deadline)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def load_driver_class(name: str) -> Callable[[], Driver]:
    """The class that `module:Class` names. Raises `DriverError` when there is none, or it lacks a method."""
    module_name, _, class_name = name.partition(":")
    expected = "module:Class, where the class has the methods of siteproof.conformance.driver.Driver"
    if not module_name or not class_name:
        raise DriverError(name, "a name without a colon", expected, "write it as package.module:Class")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        raise DriverError(
            name, f"the module cannot be imported ({told})", expected, "run in its folder, or set PYTHONPATH"
        ) from error
    for part in class_name.split("."):
        if not hasattr(found, part):
            raise DriverError(name, f"the module has no {class_name}", expected)
        found = getattr(found, part)
    methods = [m for m in vars(Driver) if not m.startswith("_")]
    if missing := [m for m in methods if not callable(getattr(found, m, None))]:
        raise DriverError(name, f"{class_name} has no method {missing[0]}", expected)
    return found  # type: ignore[no-any-return]


Facts: TypeAlias = Mapping[str, bool]
