"""A driver that cannot harm the tester: whatever it does wrong is its own fault, and is told as such.

Rules
1. A driver that raises (whatever it raises, also an attempt to end the process), hangs or answers nonsense fails with a
   `DriverError` (exit code 3), which is no verdict.
2. Nonsense is a value that the interface does not have (`siteproof.conformance.driver`), or content of another length than was
   asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from siteproof.conformance.case import FAULTS, OPERATIONS, Scenario
from siteproof.conformance.deadline import Deadline, give_back, take
from siteproof.conformance.driver import (
    CODES,
    UNKNOWN,
    VERSION,
    WORDS,
    Accepted,
    Answer,
    Capabilities,
    Common,
    Driver,
    Observation,
    Rejected,
    Unknown,
)  # fmt: skip
from siteproof.conformance.errors import DriverError
from siteproof.model.errors import SiteproofError

__all__ = ["DEADLINE_SECONDS", "Guarded", "guarded_factory"]

DEADLINE_SECONDS = 60.0
"""Seconds of real time that a driver has for an answer."""
_ANSWERS = (Accepted, Rejected, Unknown)


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
