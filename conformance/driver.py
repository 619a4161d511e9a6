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
5. A driver that raises (whatever it raises), hangs or answers nonsense fails with a `DriverError` (exit code 3), which is no
   verdict. Nonsense is a value that this interface does not have, or content of another length than was asked for.
"""

from __future__ import annotations

import enum
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

import attrs

from siteproof.conformance.case import FAULTS, OPERATIONS, SIDES, Scenario
from siteproof.conformance.deadline import Deadline, give_back, take
from siteproof.conformance.errors import DriverError
from siteproof.model.errors import SiteproofError, UsageError, near

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
    "Guarded",
    "Observation",
    "Rejected",
    "Unknown",
    "UnknownType",
    "answer_to_json",
    "guarded_factory",
    "load_driver_class",
]

VERSION = 1
DEADLINE_SECONDS = 60.0

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
_ANSWERS = (Accepted, Rejected, Unknown)


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


class _Contained:
    """A driver whose `stop` fails like a driver, also where it is called past `Guarded`: it cannot end the tester."""

    def __init__(self, driver: Driver, name: str) -> None:
        self._driver, self._name = driver, name

    def __getattr__(self, method: str) -> Any:
        return getattr(self._driver, method)

    def stop(self) -> None:
        _called(self._name, "stop", self._driver.stop)


def _failure(name: str, what: str, error: BaseException) -> DriverError:
    told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return DriverError(name, f"{what} raised {told}", "an answer")


def _called(name: str, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the driver; whatever goes wrong is its fault, also an attempt to end the process."""
    try:
        return function(*arguments)
    except (SiteproofError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise _failure(name, what, error) from error


class Guarded:
    """A driver whose failures are `DriverError`s: exceptions, hangs (on the main thread) and nonsense."""

    def __init__(self, driver: Driver, name: str, deadline: float = DEADLINE_SECONDS) -> None:
        self.driver: Driver = _Contained(driver, name)
        self._bare: Driver = driver
        self.name, self.deadline = name, deadline
        self._observed: dict[str, tuple[Observation, Observation]] = {}
        """What each machine showed last, as it was told and as it was understood."""
        self._time = 0.0
        take()
        with self.deadline_for("handshake"):
            self.capabilities = self.call("handshake", driver.handshake)
        if not isinstance(self.capabilities, Capabilities):
            raise DriverError(name, f"handshake() returned {self.capabilities!r}", "a Capabilities")
        if self.capabilities.version != VERSION:
            raise DriverError(name, f"version {self.capabilities.version} of the driver interface", f"version {VERSION}")
        for field, known in (("operations", OPERATIONS), ("faults", FAULTS)):
            given = getattr(self.capabilities, field)
            if not isinstance(given, frozenset | set | tuple | list) or not set(given) <= set(known):
                raise DriverError(name, f"Capabilities.{field} = {given!r}", f"some of {', '.join(known)}")

    def call(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the driver; whatever goes wrong is its fault."""
        try:
            return function(*arguments)
        except (SiteproofError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise _failure(self.name, what, error) from error

    def start(self, scenario: Scenario, seed: int, base: Any) -> None:
        self.call("start", self._bare.start, scenario, seed, base)

    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool | None:
        answer = self.call("write", self._bare.write, machine, side, disk, block, data, cached)
        return self._done("write", answer)

    def start_machine(self, machine: str, side: str) -> bool | None:
        return self._done("start_machine", self.call("start_machine", self._bare.start_machine, machine, side))

    def _done(self, what: str, answer: Any) -> bool | None:
        if answer is None or isinstance(answer, bool):
            return answer
        raise DriverError(self.name, f"{what}() returned {answer!r}", "True, False or None")

    def step(self) -> bool:
        return self._moved("step", self.call("step", self._bare.step))

    def settle(self) -> bool:
        return self._moved("settle", self.call("settle", self._bare.settle))

    def _moved(self, what: str, answer: Any) -> bool:
        if isinstance(answer, bool):
            return answer
        raise DriverError(self.name, f"{what}() returned {answer!r}", "True or False")

    def fault(self, kind: str) -> None:
        self.call("fault", self._bare.fault, kind)

    def heal(self, kind: str) -> None:
        self.call("heal", self._bare.heal, kind)

    def advance(self, seconds: int) -> None:
        self.call("advance", self._bare.advance, seconds)

    def stop(self) -> None:
        """The end of the case; the process's alarm is free again."""
        try:
            self.call("stop", self._bare.stop)
        finally:
            give_back()

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        answer = self.call(f"execute({operation})", self._bare.execute, machine, operation, point)
        if not isinstance(answer, _ANSWERS):
            raise DriverError(self.name, f"execute({operation}) returned {answer!r}", "Accepted(), Rejected(code) or Unknown()")
        if isinstance(answer, Rejected) and answer.code not in CODES:
            raise DriverError(self.name, f"execute({operation}) returned {answer!r}", "one of the codes " + ", ".join(CODES))
        return answer

    def observe(self, machine: str) -> Observation:
        seen = self.call(f"observe({machine})", self._bare.observe, machine)
        if not isinstance(seen, Observation):
            raise DriverError(self.name, f"observe({machine}) returned {seen!r}", "an Observation")
        told, understood = self._observed.get(machine, (None, None))
        if understood is None or told != seen:
            understood = self._understood(machine, seen)
            self._observed[machine] = seen, understood
        return understood

    def _understood(self, machine: str, seen: Observation) -> Observation:
        """The observation with None for unknown told as such, and lists as tuples. Raises `DriverError` on nonsense."""

        def refuse(field: str, expected: str) -> DriverError:
            return DriverError(self.name, f"observe({machine}) shows {field} = {getattr(seen, field)!r}", expected)

        changed: dict[str, Any] = {}
        for field, words in WORDS.items():
            value = getattr(seen, field)
            if value is None and field != "job":
                changed[field] = UNKNOWN
            elif value is not UNKNOWN and value is not None and value not in words:
                raise refuse(field, ", ".join(words) + (", or None" if field == "job" else "") + ", or UNKNOWN")
        for field in ("received", "loss"):
            value = getattr(seen, field)
            if value is not UNKNOWN and value is not None and (type(value) is not int or value < 0):
                raise refuse(field, "a number of writes, None or UNKNOWN")
        if not (seen.failover_point is UNKNOWN or seen.failover_point is None or isinstance(seen.failover_point, str)):
            raise refuse("failover_point", "the id of a point, None or UNKNOWN")
        for field, inside, expected in _LISTS:
            value = getattr(seen, field)
            if value is None:
                changed[field] = UNKNOWN
            elif value is not UNKNOWN:
                if not isinstance(value, tuple | list) or not all(map(inside, value)):
                    raise refuse(field, f"{expected}, or UNKNOWN")
                if isinstance(value, list) or (field == "points" and any(isinstance(one, list) for one in value)):
                    changed[field] = tuple(tuple(one) if field == "points" else one for one in value)
        running: Any = seen.running
        running = (UNKNOWN, UNKNOWN) if running is None or running is UNKNOWN else running
        if not isinstance(running, tuple | list) or len(running) != 2:
            raise refuse("running", "a pair (at primary, at recovery) of True, False or UNKNOWN")
        if not all(one is UNKNOWN or one is None or isinstance(one, bool) for one in running):
            raise refuse("running", "a pair (at primary, at recovery) of True, False or UNKNOWN")
        if running is not seen.running or isinstance(running, list) or None in running:
            changed["running"] = tuple(UNKNOWN if one is None else one for one in running)
        common = self._common(machine, seen)
        if common != seen.common or not isinstance(seen.common, tuple):
            changed["common"] = common
        return attrs.evolve(seen, **changed) if changed else seen

    def _common(self, machine: str, seen: Observation) -> tuple[Common, ...]:
        """Which points are common ones, as it is understood. Raises `DriverError` on nonsense."""
        told: Any = seen.common
        if told == () or told is None:
            return ()
        ids = {one[0] for one in seen.points} if isinstance(seen.points, tuple | list) else set()
        if isinstance(told, tuple | list) and all(_is_common(one) and one[0] in ids for one in told):
            found = tuple(Common(*one) for one in told)
            if len({one.point for one in found}) == len(found):
                return found
        expected = "a tuple of Common(id of a point that is listed, name, time in seconds or None), each point once"
        raise DriverError(self.name, f"observe({machine}) shows common = {told!r}", expected)

    def now(self) -> float | None:
        """The system's time in seconds since some beginning; None where it does not tell it."""
        if not self.capabilities.tells_time:
            return None
        time = self.call("now", self._bare.now)  # type: ignore[attr-defined]
        if type(time) is float and time >= self._time:
            self._time = time
            return time
        if isinstance(time, bool) or not isinstance(time, int | float) or not time >= self._time:
            raise DriverError(self.name, f"now() returned {time!r}", f"seconds, a number that never falls, after {self._time:g}")
        self._time = float(time)
        return self._time

    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:
        data = self.call(f"read({machine}, {where})", self._bare.read, machine, where, disk, offset, length)
        if not isinstance(data, bytes):
            raise DriverError(self.name, f"read({machine}, {where}) returned a {type(data).__name__}", "bytes")
        if len(data) != length:
            raise DriverError(self.name, f"read({machine}, {where}) returned {len(data)} bytes", f"the {length} asked for")
        return data

    def deadline_for(self, what: str | Callable[[], str]) -> Deadline:
        """Raises `DriverError` when the body hangs. Only the main thread can be interrupted."""

        def too_late() -> DriverError:
            told = what if isinstance(what, str) else what()
            return DriverError(self.name, f"no answer within {self.deadline:g} s of real time in {told}", "an answer")

        return Deadline(self.deadline, too_late)


def _is_point(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(part, str) for part in value)


def _is_common(value: Any) -> bool:
    if not isinstance(value, tuple | list) or not 2 <= len(value) <= 3 or not all(isinstance(part, str) for part in value[:2]):
        return False
    time = value[2] if len(value) == 3 else None
    return bool(value[1]) and (time is None or (isinstance(time, int | float) and not isinstance(time, bool)))


_LISTS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("allowed_operations", lambda one: one in OPERATIONS, "a tuple of " + ", ".join(OPERATIONS)),
    ("points", _is_point, "a tuple of (id, kind), oldest first"),
    ("alerts", lambda one: isinstance(one, str), "a tuple of names"),
)
"""The observation's fields that are lists: what may be in them, and how that is told."""


def guarded_factory(name: str, make: Callable[[], Driver]) -> Callable[[], Driver]:
    """What makes a driver, where a constructor that fails is a `DriverError`."""
    return lambda: _called(name, "its constructor", make)


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
