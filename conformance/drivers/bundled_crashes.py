"""The exhaustive crash test of the bundled implementation: a crash after every durable effect of a history, in turn.

A history runs on a simulated disk. After each of its effects the world is copied as a crash would leave it, in up to three
ways (all that was not forced is lost; all of it is there; each piece is there, torn or lost), and each copy goes on by itself:
the system starts again, with every site or with one that stays dark for a while, and must keep its word. It is judged on
content alone, by what was acknowledged and what points were advertised before the crash:

=========  =============================================================================================================
P2, P4     every advertised point restores to exactly its prefix; none is gone unless the running operation ends them
P1, P17    an acknowledged write is in the image of the active side, unless an unplanned failover left it behind; what was only
           issued may be there, in order; nothing else is
P3         there are never two running sides, and the side that is not the machine cannot be started
P6         the copy of a test failover holds its point and its own acknowledged writes
P9         a crash alone never calls for a resynchronisation: the logs prove that nothing is missing
P16, P17   the job that ran is finished or failed, not stuck
P19, P21   the machine can be brought back to protected, and its content does not change on the way
P8, P10    then a new write reaches a new point, which equals the image
P20        no content that was discarded is ever seen again: every block written is unlike all others
P22        with the active site dark, the unplanned failover of a protected machine is accepted
=========  =============================================================================================================

One machine with two disks; crashes of the whole system at once. A second crash can strike while the system starts again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from siteproof.conformance.drivers.bundled_histories import History, Step
from siteproof.impl.errors import ImplError
from siteproof.impl.lab import Lab
from siteproof.impl.loader import Topology
from siteproof.impl.simulated_disk import Crash, SimulatedStorage
from siteproof.impl.values import BLOCK, PRIMARY, RECOVERY, Operation, Status, other

__all__ = ["Finding", "Plan", "Tally", "explore"]

Content = tuple[bytes, ...]

MACHINE = "m"
_NOWHERE = Path("/nowhere/siteproof")
"""A simulated disk needs a folder by name only."""
_PLACES = 3
"""Blocks of each disk that the workload writes: few, so that a batch overwrites what the one before wrote."""
_ENDS_POINTS = (Operation.COMMIT, Operation.DISABLE, Operation.MIGRATE, Operation.REPAIR)
_DARK_NONE, _DARK_ACTIVE, _DARK_PASSIVE = "none", "active", "passive"


@attrs.frozen
class Plan:
    """What is tried at each effect.

    Args:
        in_turn: at each effect one combination of what follows, the next one at the next effect; else all of them.
        crashes: what happens to what was not forced.
        dark: which site stays without power for a while after the crash: none, the active or the passive one.
        every: take every n-th effect only; 1 takes all.
        again: after how many effects of the restart a second crash is tried: every n-th; 0 for none.
    """

    in_turn: bool = False
    crashes: tuple[Crash, ...] = tuple(Crash)
    dark: tuple[str, ...] = (_DARK_NONE, _DARK_ACTIVE, _DARK_PASSIVE)
    every: int = 1
    again: int = 0


@attrs.frozen
class Finding:
    """A word that was not kept: where the crash struck, and what was seen."""

    history: str
    step: int
    effect: int
    name: str
    crash: str
    dark: str
    text: str


@attrs.define
class Tally:
    """What was tried. ``points`` are effects after which a crash was tried, ``worlds`` the systems that went on from there."""

    effects: int = 0
    points: int = 0
    worlds: int = 0
    second: int = 0
    findings: list[Finding] = attrs.Factory(list)


class Broken(Exception):
    """A word that was not kept."""


@attrs.define
class Known:
    """What somebody outside knows of the machine. ``contents`` are the images of its timeline, one a write, from the last point
    that it was set back to; the first ``acked + 1`` of them hold acknowledged writes only.
    """

    contents: list[Content]
    acked: int = 0
    points: dict[str, Content] = attrs.Factory(dict)
    status: Status | None = None
    asked: str | None = None
    """The operation that was asked for last, while it may be running."""
    point: str | None = None
    test: list[Content] = attrs.Factory(list)
    test_acked: int = 0
    faults: set[str] = attrs.Factory(set)
    """Faults that are not over; they go on after the crash, for a while."""
    damaged: bool = False
    """Whether a change log has been damaged."""


def _image(lab: Lab, where: str, sizes: Sequence[int]) -> Content:
    return tuple(lab.read(MACHINE, where, disk, 0, size) for disk, size in enumerate(sizes))


def _with(content: Content, disk: int, block: int, data: bytes) -> Content:
    changed = content[disk][: block * BLOCK] + data + content[disk][(block + 1) * BLOCK :]
    return (*content[:disk], changed, *content[disk + 1 :])


def _demand(holds: bool, text: str) -> None:
    if not holds:
        raise Broken(text)


class Explorer:
    """Runs one history, and all worlds that begin with a crash in it."""

    def __init__(
        self,
        topology: Topology,
        images: Sequence[Path],
        history: History,
        seed: int,
        plan: Plan,
        progress: Callable[[Tally], None],
    ) -> None:
        self.tally = Tally()
        self._topology, self._images, self._history, self._seed, self._plan = topology, list(images), history, seed, plan
        self._sizes = [path.stat().st_size for path in images]
        self._rng = random.Random(seed)
        self._progress = progress
        self._storage = SimulatedStorage()
        self._known = Known([tuple(path.read_bytes() for path in images)])
        self._step = 0
        self._written = 0

    def _lab(self, storage: SimulatedStorage, *, resume: bool, down: Sequence[str] = ()) -> Lab:
        return Lab(
            self._topology, {MACHINE: self._images}, _NOWHERE, self._seed, storage=storage, resume=resume, down=down,
            reproducible=True,
        )  # fmt: skip

    def run(self) -> Tally:
        """Run the history. What it shows itself, without any crash, is judged as well."""
        with self._lab(self._storage, resume=False) as lab:
            for number, step in enumerate(self._history.steps):
                self._step = number
                self._take(lab, step)
        self._storage.listener = None
        self.tally.effects = self._storage.effects
        return self.tally

    # ------------------------------------------------------------------------------------------------- the history

    def _take(self, lab: Lab, step: Step) -> None:
        kind, value = step
        known = self._known
        if kind == "from here":
            self._storage.listener = self._effect
        elif kind in ("write", "cached"):
            if value != "if running" or lab.running(MACHINE, lab.status(MACHINE).active):
                self._write(lab, value if isinstance(value, int) else None, cached=kind == "cached")
        elif kind == "test write":
            disk, block, data = self._next_block()
            known.test.append(_with(known.test[-1], disk, block, data))
            _demand(lab.write(MACHINE, "test", disk, block, data), "the copy of the test failover does not run")
            known.test_acked = len(known.test) - 1
        elif kind == "request":
            known.asked, _, point = str(value).partition(" ")
            known.point = point or None
            answer = lab.request(MACHINE, known.asked, known.point)
            _demand(answer is None, f"{value} is refused: {answer}")
        elif kind == "fault":
            known.damaged = known.damaged or value == "change-log"
            known.faults |= {str(value)} - {"change-log"}
            lab.fault(str(value))
        elif kind == "heal":
            lab.heal(str(value))
            known.faults.discard(str(value))
        elif kind == "advance":
            lab.advance(int(value or 0))
        else:
            count = int(value) if kind == "events" and value is not None else None
            while (count is None or count > 0) and lab.step():
                count = None if count is None else count - 1
                self._observe(lab)
        self._observe(lab)
        if kind == "settle":
            _demand(lab.status(MACHINE).job is None, "a job is stuck without any crash")
            known.asked = None

    def _next_block(self) -> tuple[int, int, bytes]:
        self._written += 1
        disk = self._written % len(self._sizes)
        block = self._written // 2 % _PLACES
        return disk, block, f"write {self._written} ".encode().ljust(BLOCK, b"#")

    def _write(self, lab: Lab, wanted: int | None, *, cached: bool) -> None:
        known = self._known
        disk, block, data = self._next_block()
        if wanted is not None:
            disk, block = 0, wanted
        known.contents.append(_with(known.contents[-1], disk, block, data))
        _demand(lab.write(MACHINE, lab.status(MACHINE).active, disk, block, data, cached), "the machine does not run")
        if not cached:
            known.acked = len(known.contents) - 1

    def _observe(self, lab: Lab) -> None:
        """Take in what an event has changed, and judge it."""
        known, status = self._known, lab.status(MACHINE)
        before = known.status
        known.status = status
        for point in status.points:
            if point.id not in known.points:
                content = _image(lab, point.id, self._sizes)
                _demand(content in known.contents, f"new point {point.id} is no prefix")
                known.points[point.id] = content
        known.points = {p.id: known.points[p.id] for p in status.points}
        if status.test == "running" and not known.test:
            known.test = [_image(lab, "test", self._sizes)]
            _demand(known.test[0] in known.points.values(), "the copy of the test failover is no point")
        elif status.test != "running":
            known.test, known.test_acked = [], 0
        if before is not None and (before.active, before.failover_point) != (status.active, status.failover_point):
            if status.active != before.active or status.failover_point is not None:
                self._switched(lab, status)

    def _switched(self, lab: Lab, status: Status) -> None:
        known, live = self._known, _image(lab, status.active, self._sizes)
        if status.failover_point is not None and status.failover == "unplanned":
            _demand(live == known.points[status.failover_point], "the machine is not what its point was")
        elif status.failover == "planned" and known.asked != Operation.CHANGE:
            _demand(live == known.contents[-1], "a planned failover has lost a write")
        known.contents, known.acked = [live], 0

    # --------------------------------------------------------------------------------------------------- crashes

    def _effect(self, name: str) -> None:
        number = self._storage.effects
        if number % self._plan.every:
            return
        ways = list(self._ways(self._storage))
        if self._plan.in_turn:
            ways = [ways[self.tally.points % len(ways)]]
        self.tally.points += 1
        for crash, dark in ways:
            self._world(self._storage.after_crash(crash, self._rng), name, crash, dark, self._plan.again)
        self._progress(self.tally)

    def _ways(self, storage: SimulatedStorage) -> Iterator[tuple[Crash, str]]:
        """Where everything is forced, all crashes are the same one."""
        for crash in self._plan.crashes if storage.disk.unforced else self._plan.crashes[:1]:
            for dark in self._plan.dark:
                yield crash, dark

    def _world(self, storage: SimulatedStorage, name: str, crash: Crash, dark: str, again: int) -> None:
        self.tally.worlds += 1
        judge = Judge(self._known, self._sizes)
        try:
            if again:
                storage.listener = self._crash_again(storage, name, dark, again)
            active = self._known.status.active if self._known.status else PRIMARY
            side = {_DARK_NONE: (), _DARK_ACTIVE: (f"{active}-site",), _DARK_PASSIVE: (f"{other(active)}-site",)}[dark]
            down = sorted({*side, *self._known.faults})
            with self._lab(storage, resume=True, down=down) as lab:
                judge.goes_on(lab, down, lambda: setattr(storage, "listener", None))
        except (Broken, ImplError, AssertionError, LookupError, TypeError, ValueError, RuntimeError, OSError) as error:
            text = str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"
            self.tally.findings.append(Finding(
                self._history.name, self._step, self._storage.effects, name, crash.value, dark, text
            ))  # fmt: skip

    def _crash_again(self, storage: SimulatedStorage, name: str, dark: str, again: int) -> Callable[[str], None]:
        def strike(second: str) -> None:
            if storage.effects % again == 0:
                self.tally.second += 1
                for crash in self._plan.crashes if storage.disk.unforced else self._plan.crashes[:1]:
                    self._world(storage.after_crash(crash, self._rng), f"{name}, then {second}", crash, dark, 0)

        return strike


class Judge:
    """Holds a system that has started again to its word. ``known`` is what was known before the crash, and is not changed."""

    def __init__(self, known: Known, sizes: Sequence[int]) -> None:
        self._known = known
        self._sizes = sizes
        self._seen = dict(known.points)

    def goes_on(self, lab: Lab, down: Sequence[str], started: Callable[[], None]) -> None:
        """The whole story after the crash."""
        self._points(lab)
        self._settle(lab)
        started()
        if down:
            self._points(lab)
            self._take_over(lab, down)
            for fault in down:
                lab.heal(fault)
            self._one_side(lab)
            self._settle(lab)
        status = lab.status(MACHINE)
        _demand(status.job is None, f"{status.job} is stuck")
        if not self._known.damaged:
            _demand(status.resync == "none", "a crash alone has called for a resynchronisation")
        self._points(lab)
        live = self._live(lab, status)
        passive = other(status.active)
        _demand(not lab.start_machine(MACHINE, passive), "the side that is not the machine can be started")
        self._copy(lab, status)
        self._home(lab, live)

    def _settle(self, lab: Lab) -> None:
        self._one_side(lab)
        for _ in range(1000):
            if not lab.step():
                return
            self._one_side(lab)
        raise Broken("the system never comes to rest")

    def _one_side(self, lab: Lab) -> None:
        """Two running sides are possible after an unplanned failover without contact only: then the loss is not known."""
        status = lab.status(MACHINE)
        if lab.running(MACHINE, PRIMARY) and lab.running(MACHINE, RECOVERY):
            _demand(status.failover != "planned", "two sides run after a planned failover")
            _demand(status.loss is None, "two sides run although they are in contact")

    def _points(self, lab: Lab) -> None:
        status = lab.status(MACHINE)
        ids = {p.id for p in status.points}
        if self._known.asked not in _ENDS_POINTS:
            gone = sorted(self._known.points.keys() - ids)
            _demand(not gone, f"point {', '.join(gone)} is gone")
        for name in sorted(ids):
            content = _image(lab, name, self._sizes)
            if name in self._seen:
                _demand(content == self._seen[name], f"point {name} does not restore to what it was")
            else:
                _demand(content in self._known.contents, f"point {name} is no prefix")
                self._seen[name] = content

    def _take_over(self, lab: Lab, down: Sequence[str]) -> None:
        """The active site is dark: a protected machine can be failed over, where its flow offers that from here."""
        status, known = lab.status(MACHINE), self._known
        if f"{status.active}-site" in down and Operation.UNPLANNED in status.allowed_operations:
            newest = status.points[-1].id
            answer = lab.request(MACHINE, Operation.UNPLANNED, "latest")
            _demand(answer is None, f"the active site is dark, and an unplanned failover is refused: {answer}")
            self._settle(lab)
            status = lab.status(MACHINE)
            _demand(status.failover == "unplanned" and status.job is None, "the unplanned failover is not done")
            live = _image(lab, status.active, self._sizes)
            places = [n for n, content in enumerate(known.contents) if content == live]
            _demand(bool(places) or live in self._seen.values(), "after the unplanned failover the machine is no prefix")
            if places and self._seen[newest] in known.contents:
                _demand(places[-1] >= known.contents.index(self._seen[newest]), "less than the newest point was taken over")
            _demand(lab.running(MACHINE, status.active), "the machine does not run after the unplanned failover")

    def _live(self, lab: Lab, status: Status) -> Content:
        """The active side's image is what it may be."""
        known, live = self._known, _image(lab, status.active, self._sizes)
        before = known.status
        point = self._seen.get(status.failover_point or "") if status.failover == "unplanned" else None
        was = (before.active, before.failover_point) if before is not None else (PRIMARY, None)
        if point is not None and (status.active, status.failover_point) != was:
            _demand(live == point, "the machine is not what its point was")
        elif known.asked != Operation.CHANGE or live != point:
            _demand(live in known.contents[known.acked :], "an acknowledged write is lost, or the image is no prefix")
        return live

    def _copy(self, lab: Lab, status: Status) -> None:
        known = self._known
        if status.test == "running":
            content = _image(lab, "test", self._sizes)
            if known.test:
                _demand(content in known.test[known.test_acked :], "the copy of the test failover has lost a write")
            else:
                _demand(content in self._seen.values(), "the copy of the test failover is no point")
            _demand(lab.running(MACHINE, "test"), "the copy of the test failover does not run")

    # ---------------------------------------------------------------------------------------------------- way home

    def _home(self, lab: Lab, live: Content) -> None:
        """Bring the machine back to protected, and see that it is."""
        for _ in range(12):
            status = lab.status(MACHINE)
            if not lab.running(MACHINE, status.active):
                _demand(lab.start_machine(MACHINE, status.active), "the machine cannot be started")
            operation = _next_operation(status)
            if operation is None:
                break
            answer = lab.request(MACHINE, operation)
            _demand(answer is None, f"on the way back {operation} is refused: {answer}")
            self._settle(lab)
            _demand(lab.status(MACHINE).job is None, f"on the way back {operation} is stuck")
        else:
            raise Broken("the machine cannot be brought back to protected")
        status = lab.status(MACHINE)
        _demand(_image(lab, status.active, self._sizes) == live, "content changed on the way back")
        data = b"after the crash ".ljust(BLOCK, b"!")
        _demand(lab.write(MACHINE, status.active, 0, 1, data), "the machine does not run")
        if status.failover == "completed":
            return
        self._settle(lab)
        lab.advance(301)
        self._settle(lab)
        newest = _image(lab, lab.status(MACHINE).points[-1].id, self._sizes)
        _demand(newest == _with(live, 0, 1, data), "a point cut after the way back is not the image")


def _next_operation(status: Status) -> str | None:
    """What an operator asks for next, on the way back to protected; ``None`` when there is nothing left to do."""
    if status.failover == "completed":
        return None
    if status.test == "running":
        return Operation.CLEANUP
    if status.resync == "required":
        return Operation.REPAIR
    if status.failover in ("planned", "unplanned"):
        return Operation.COMMIT
    if status.failover == "committed":
        return Operation.REVERSE if Operation.REVERSE in status.allowed_operations else Operation.PLANNED
    return Operation.ENABLE if status.protection == "none" else None


def _silent(tally: Tally) -> None:
    """Shows nothing."""


@contextmanager
def _images(folder: Path, disks: int, blocks: int) -> Iterator[list[Path]]:
    paths = [folder / f"base-{number}.img" for number in range(disks)]
    for number, path in enumerate(paths):
        path.write_bytes(b"".join(
            f"base {number} {block} ".encode().ljust(BLOCK, b"=") if block % 3 else bytes(BLOCK) for block in range(blocks)
        ))  # fmt: skip
    yield paths


def explore(
    topology: Topology,
    history: History,
    folder: Path,
    seed: int = 0,
    plan: Plan | None = None,
    progress: Callable[[Tally], None] = _silent,
) -> Tally:
    """Crash after each effect of a history on one flow.

    Args:
        topology: the flow.
        folder: where two small base images are made; nothing else is written.
        progress: called after each crash point.

    Raises:
        Broken: the history itself goes wrong, without any crash.
    """
    with _images(folder, 2, 8) as images:
        return Explorer(topology, images, history, seed, plan or Plan(), progress).run()
