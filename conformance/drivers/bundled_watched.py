"""The bundled implementation with a seeded bug, watched: was the bug's code reached, and did it make a difference?

Rules
1. *Reached*: code of the override has run. Every method and property that the override defines is wrapped; its constructor
   does not count.
2. *Triggered*: the system is in another state than the implementation without the bug would be in. When a case has reached the
   bug and is over, its calls are made again on a clean system with the same seed. After each of them what the components keep
   and show, the answer and the time are compared, and at the end what disks and points hold. So a bug that changes nothing
   inside is never triggered, and one that is triggered and not detected has changed something that the tester did not notice.
3. The first `ALL` cases of a campaign are compared, and of those that follow every `SOME`-th.
4. Watching takes time of its own. It is summed up (`spent`, seconds of the processor), so that it can be subtracted from the time
   to detection.
"""

from __future__ import annotations

import functools
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from siteproof.conformance.case import Scenario
from siteproof.conformance.content import Base
from siteproof.conformance.driver import Answer
from siteproof.conformance.drivers.bundled import BundledDriver
from siteproof.impl.coordinator import Coordinator
from siteproof.impl.diskset import DiskSet
from siteproof.impl.lab import Lab

__all__ = ["Watch", "watched_factory"]

ALL, SOME = 20, 5

_UNLIKE = ("store_key",)
"""Fields of a machine's record that differ from run to run."""


@attrs.define
class Watch:
    """What is known of a bug so far. `open`: whether anything more is to be learned."""

    reached: bool = False
    triggered: bool = False
    open: bool = True
    spent: float = 0.0
    cases: int = 0

    @property
    def looking(self) -> bool:
        return self.open and not self.triggered


@attrs.frozen
class _Call:
    """A call of a case, its answer, and what state it left."""

    name: str
    arguments: tuple[Any, ...]
    answer: object
    state: int


def watched_factory(components: Mapping[str, type], name: str, watch: Watch) -> Callable[[], BundledDriver]:
    """What makes a new driver for each case, all of them with one `watch`."""
    wrapped = {role: _wrapped(of, watch) for role, of in components.items()}
    return lambda: _Watched(wrapped, name, watch)


def _wrapped(of: type, watch: Watch) -> type:
    """The class, with everything that it adds to the implementation's own class noting that it has run."""
    added: dict[str, Any] = {}
    for base in of.__mro__:
        if base.__module__.startswith("siteproof.impl") or base is object:
            break
        for name, what in vars(base).items():
            if name in added or (name.startswith("__") and name.endswith("__")):
                continue
            if isinstance(what, property):
                added[name] = property(_noting(what.fget, watch)) if what.fget is not None else what
            elif isinstance(what, staticmethod):
                added[name] = staticmethod(_noting(what.__func__, watch))
            elif callable(what) and not isinstance(what, type):
                added[name] = _noting(what, watch)
    return type(of.__name__, (of,), added)


def _noting(what: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    @functools.wraps(what)
    def noting(*arguments: Any, **options: Any) -> Any:
        watch.reached = True
        return what(*arguments, **options)

    return noting


class _Watched(BundledDriver):
    """Writes down the calls of a case, and what state each of them left."""

    def __init__(self, components: Mapping[str, type], name: str, watch: Watch) -> None:
        super().__init__(components, name)
        self.watch = watch
        self.opening: tuple[Scenario, int, Base] | None = None
        self.calls: list[_Call] = []

    def start(self, scenario: Scenario, seed: int, base: Base) -> None:
        super().start(scenario, seed, base)
        self.opening = (scenario, seed, base)

    def _after(self, call: str, arguments: tuple[Any, ...], answer: object = None) -> None:
        if self.watch.looking:
            began = time.process_time()
            self.calls.append(_Call(call, arguments, answer, _state(self.running)))
            self.watch.spent += time.process_time() - began

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        answer = super().execute(machine, operation, point)
        self._after("execute", (machine, operation, point), answer)
        return answer

    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool:
        done = super().write(machine, side, disk, block, data, cached)
        self._after("write", (machine, side, disk, block, data, cached), done)
        return done

    def fault(self, kind: str) -> None:
        super().fault(kind)
        self._after("fault", (kind,))

    def heal(self, kind: str) -> None:
        super().heal(kind)
        self._after("heal", (kind,))

    def start_machine(self, machine: str, side: str) -> bool:
        done = super().start_machine(machine, side)
        self._after("start_machine", (machine, side), done)
        return done

    def advance(self, seconds: int) -> None:
        super().advance(seconds)
        self._after("advance", (seconds,))

    def step(self) -> bool:
        more = super().step()
        self._after("step", (), more)
        return more

    def settle(self) -> bool:
        still = super().settle()
        self._after("settle", (), still)
        return still

    def stop(self) -> None:
        self.watch.cases += 1
        due = self.watch.cases <= ALL or self.watch.cases % SOME == 0
        if due and self.watch.looking and self.watch.reached and self.opening is not None:
            began = time.process_time()
            self.watch.triggered = _differs(self.opening, self.calls, _contents(self.running))
            self.watch.spent += time.process_time() - began
        self.calls = []
        super().stop()


def _differs(opening: tuple[Scenario, int, Base], calls: list[_Call], contents: int) -> bool:
    """Whether the clean implementation answers otherwise, or is in another state, after one of these calls."""
    clean = BundledDriver()
    try:
        clean.start(*opening)
        for call in calls:
            if getattr(clean, call.name)(*call.arguments) != call.answer or _state(clean.running) != call.state:
                return True
        return _contents(clean.running) != contents
    finally:
        clean.stop()


def _state(lab: Lab) -> int:
    """A short form of what the components of a system keep and show, but for keys and what is under way."""
    parts: list[object] = [lab.now]
    for machine, coordinator in lab._simulation.coordinators.items():
        parts += [machine, *_control(coordinator), lab.status(machine)]
        for side, at in coordinator.sides.items():
            guest, agent = at.host.guest, at.agent
            logs = [log.size for log in agent.files()]
            parts += [side, guest.running, len(guest.cache), at.host.head(), at.host.frozen, at.target.head()]
            parts += [agent.head(), agent.pending(), logs]
        if coordinator.copy is not None:
            parts += [coordinator.copy.head(), coordinator.copy.guest.running]
    return zlib.crc32(repr(parts).encode())


def _contents(lab: Lab) -> int:
    """A short form of what disks, points and the copy of a test failover hold."""
    found = 0
    for coordinator in lab._simulation.coordinators.values():
        for at in coordinator.sides.values():
            found = _content(at.host.disks, found)
        for point in coordinator.points:
            found = _content(coordinator.sides[str(coordinator.record.points_at)].host.disks, found, point.position)
        if coordinator.copy is not None:
            found = _content(coordinator.copy.disks, found)
    return found


def _control(coordinator: Coordinator) -> list[object]:
    record, job = coordinator.record, coordinator.job
    kept = attrs.asdict(record, filter=lambda field, _: field.name not in _UNLIKE)
    kept = {name: sorted(value) if isinstance(value, set) else value for name, value in kept.items()}
    return [kept, coordinator.session, coordinator.ready, None if job is None else (job.operation, job.step, job.goal)]


def _content(disks: DiskSet, before: int, position: int | None = None) -> int:
    for disk, size in enumerate(disks.sizes):
        before = zlib.crc32(disks.read(disk, 0, size, position), before)
    return before
