"""A driver in another process: it is asked over a carrier, in the words of `wire`.

Rules
1. A carrier brings one message there and one answer back, within so many seconds. Where it cannot say whether the message has
   arrived, the answer is `Lost`; everything else that fails is a `DriverError`.
2. A carrier serves one case after the other: `stop` ends the case, and the next one begins with a handshake. So a child process
   is not started for each case. One that ends after `stop` is started anew; both are right.
3. Whatever fails ends the carrier: the next case has a fresh one, and a child process never outlives an error.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from siteproof.conformance.case import Scenario
from siteproof.conformance.content import BLOCK, Base
from siteproof.conformance.driver import VERSION, Answer, Capabilities, Observation, Unknown
from siteproof.conformance.drivers import wire
from siteproof.conformance.errors import DriverError

__all__ = ["SOONER", "Carrier", "Ended", "Lost", "Remote", "RemoteDriver"]

_T = TypeVar("_T")


SOONER = "answer sooner, or ask for more 'seconds' in the handshake"
"""How to mend an answer that comes too late."""


class Lost(Exception):
    """No answer came: what was found, and how to mend it. The request may have been carried out, or not, or not yet."""

    def __init__(self, found: str, mend: str = "") -> None:
        super().__init__(found, mend)
        self.found, self.mend = found, mend


class Ended(DriverError):
    """Nobody is there any more to answer."""


class Carrier(Protocol):
    """Brings messages to a driver and answers back."""

    def ask(self, message: bytes, what: str, seconds: float) -> bytes:
        """Send a request and wait for an answer. Raises `Lost`, `Ended` or `DriverError`."""

    def more(self, what: str, seconds: float) -> bytes:
        """Wait for one more answer, after one that came too late for its own request."""

    def last_words(self) -> str:
        """What the driver has said to people, the last lines of it; empty where that cannot be known."""

    def alive(self) -> bool: ...

    def end(self) -> bool:
        """End it for good. False where it did not go by itself."""


class Remote:
    """Makes the drivers of a campaign, which share a carrier as long as nothing fails. `open` makes a carrier."""

    def __init__(self, name: str, open_: Callable[[], Carrier]) -> None:
        self.name, self._open = name, open_
        self.idle: Carrier | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._file: tuple[Base, Path] | None = None

    def __call__(self) -> RemoteDriver:
        return RemoteDriver(self)

    def take(self) -> tuple[Carrier, bool]:
        """A carrier, and whether it has served before."""
        carrier, self.idle = self.idle, None
        if carrier is not None and carrier.alive():
            return carrier, True
        if carrier is not None:
            carrier.end()
        return self._open(), False

    def give_back(self, carrier: Carrier) -> None:
        """The case is over; the next one may go on with this carrier."""
        if self.idle is not None:
            self.idle.end()
        self.idle = carrier

    def close(self) -> bool | None:
        """End the carrier that waits for another case. False where it did not go by itself, None where none waits."""
        carrier, self.idle = self.idle, None
        return carrier.end() if carrier is not None else None

    def file_of(self, base: Base) -> Path:
        """A file with what every disk starts with; made once. The user's own image is named itself where it has whole blocks."""
        if base.image is not None and base.image.stat().st_size == base.blocks * BLOCK:
            return base.image.absolute()
        if self._file is None or self._file[0] is not base:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="siteproof-")
            path = Path(self._folder.name) / f"base-{base.blocks}"
            base.write_to(path)
            self._file = base, path
        return self._file[1]


class RemoteDriver:
    """One case on a driver in another process."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._carrier: Carrier | None = None
        self._time = 0.0
        self._greeting = wire.Greeting(Capabilities(remote.name))
        self._number = 0
        self._late: set[int] = set()

    # ------------------------------------------------------------------------------------------------------------ asking

    def _ask(self, call: str, read: Callable[[Any], _T], **arguments: Any) -> _T:
        """Ask, and understand the answer. Raises `Lost` and `DriverError`; after either but a `Lost` the carrier is ended."""
        carrier = self._carrier
        if carrier is None:
            raise DriverError(self._remote.name, f"{call} after it had been stopped", "a handshake first")
        try:
            return read(self._result(carrier, call, arguments))
        except Lost:
            raise
        except wire.Nonsense as error:
            self._end()
            found = error.found + (f" ({call})" if call not in error.found else "") + told_last_words(carrier)
            raise DriverError(self._remote.name, found, error.expected, error.mend) from None
        except BaseException:
            self._end()
            raise

    def _result(self, carrier: Carrier, call: str, arguments: dict[str, Any]) -> Any:
        self._number += 1
        number, seconds = self._number, self._greeting.seconds
        message = wire.write_message(number, call, arguments)
        if len(message) > wire.LIMIT:
            raise wire.Nonsense(f"a request of {len(message):,} bytes", f"at most {wire.LIMIT:,}", "choose a smaller scenario")
        try:
            text = carrier.ask(message, call, seconds)
            while True:
                answered, result, error = wire.result_of(text)
                if answered == number and type(answered) is int:
                    break
                if answered not in self._late:
                    raise wire.Nonsense(f"an answer to request {answered!r}", f"one to request {number}", "answer each once")
                self._late.discard(answered)
                text = carrier.more(call, seconds)
        except Lost as lost:
            if call in wire.MAY_BE_LOST:
                self._late.add(number)
                raise
            raise wire.Nonsense(lost.found, "an answer", lost.mend) from None
        if error is not None:
            raise wire.Nonsense(f"the error {error!r}", "a result")
        return result

    def _end(self) -> None:
        """The carrier is of no more use."""
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.end()

    # --------------------------------------------------------------------------------------------------------- interface

    def handshake(self) -> Capabilities:
        self._carrier, served = self._remote.take()
        try:
            self._greeting = self._ask("handshake", wire.read_greeting, version=VERSION)
        except Ended:
            if not served:
                raise
            self._carrier = self._remote.take()[0]
            self._greeting = self._ask("handshake", wire.read_greeting, version=VERSION)
        return self._greeting.capabilities

    def start(self, scenario: Scenario, seed: int, base: Base) -> None:
        try:
            content = wire.base_to_json(base, self._remote.file_of(base) if self._greeting.files else None)
        except wire.Nonsense as error:
            self._end()
            raise DriverError(self._remote.name, error.found, error.expected, error.mend) from None
        self._ask(
            "start", wire.read_nothing, topology=scenario.topology, machines=list(scenario.machines), disks=scenario.disks,
            policy=dict(scenario.policy), seed=seed, base=content,
            **({"groups": {group: list(members) for group, members in scenario.groups.items()}} if scenario.groups else {}),
        )  # fmt: skip

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        named = {} if point is None else {"point": point}
        try:
            return self._ask("execute", wire.read_answer, machine=machine, operation=operation, **named)
        except Lost:
            return Unknown()

    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool | None:
        content = wire.content_to_json(data)
        try:
            return self._ask(
                "write", wire.read_done, machine=machine, side=side, disk=disk, block=block, content=content, cached=cached
            )
        except Lost:
            return None

    def start_machine(self, machine: str, side: str) -> bool | None:
        try:
            return self._ask("start_machine", wire.read_done, machine=machine, side=side)
        except Lost:
            return None

    def fault(self, kind: str) -> None:
        self._ask("fault", wire.read_nothing, kind=kind)

    def heal(self, kind: str) -> None:
        self._ask("heal", wire.read_nothing, kind=kind)

    def advance(self, seconds: int) -> None:
        self._ask("advance", wire.read_nothing, seconds=seconds)

    def step(self) -> bool:
        return self._ask("step", wire.read_flag)

    def settle(self) -> bool:
        return self._ask("settle", wire.read_flag)

    def observe(self, machine: str) -> Observation:
        def read(value: Any) -> Observation:
            time = wire.read_time(value)
            if time is None and self._greeting.capabilities.tells_time:
                raise wire.Nonsense("an observation without 'time'", "seconds, since the handshake says tells_time")
            self._time = self._time if time is None else time
            return wire.read_observation(value)

        return self._ask("observe", read, machine=machine)

    def now(self) -> float:
        """The time that stood in the last observation; 0 before the first."""
        return self._time

    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:
        files = self._greeting.files
        return self._ask(
            "read", lambda value: wire.read_content(value, length, files=files),
            machine=machine, where=where, disk=disk, offset=offset, length=length,
        )  # fmt: skip

    def stop(self) -> None:
        if self._carrier is None:  # it failed, and was ended then
            return
        self._ask("stop", wire.read_nothing)
        carrier, self._carrier = self._carrier, None
        self._remote.give_back(carrier)


def told_last_words(carrier: Carrier) -> str:
    """The driver's last words, as they follow what was found."""
    words = carrier.last_words()
    return f"; its last words: {words}" if words else ""
