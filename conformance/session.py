"""One case at work: commands go to the driver, answers and observations to the oracle, until the end or a divergence.

Rules
1. After every command every machine is observed, and every new recovery point is read. The active side's disk is read when
   authority has moved, when a job that sets it has ended, when the system stands still, now and then, and at the end; so are
   the former source's, and when the loss has been counted, and the copy of a test failover, and when it begins. Older points
   are read again now and then and at the end. Of large disks only the blocks that were ever written are read meanwhile; at the
   end all places are read whole, so that a change of a block that nobody wrote is seen at every size.
2. Symbolic arguments are resolved here, against what the driver has shown. A fault that is already there, or the healing
   of what is well, does nothing; what the driver cannot do is skipped and counted.
3. When every machine is explained, the common points of each replication group are held against each other
   (`siteproof.conformance.groups`). Where the driver or the flow has no groups, the case goes on without, which is counted as
   skipped.
4. A session is a value machine: the same case on the same driver with the same seed does the same, whoever asks (engine,
   shrinker, replay).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import attrs

from siteproof.conformance import blame
from siteproof.conformance.ages import ages_for
from siteproof.conformance.case import (
    SIDES,
    STRUCK_ONCE,
    Advance,
    Case,
    Command,
    Fault,
    Heal,
    Operate,
    Scenario,
    Settle,
    StartMachine,
    Steps,
    Write,
    command_to_json,
    describe,
)
from siteproof.conformance.closure import Promised
from siteproof.conformance.content import Base, Journal, View, WriteRecord
from siteproof.conformance.driver import (
    UNKNOWN,
    Answer,
    Capabilities,
    Driver,
    Observation,
    answer_to_json,
)
from siteproof.conformance.drivers.registry import check_flow
from siteproof.conformance.errors import DriverError
from siteproof.conformance.groups import Bounds, GroupFactor, Moments, bounds_of
from siteproof.conformance.guarded import Guarded
from siteproof.conformance.judgement import event_of, said, usual_point, why_not_explained
from siteproof.conformance.oracle import NEVER, Event, Factor, Overflow
from siteproof.conformance.recording import Recorder
from siteproof.conformance.results import Divergence, StepRecord

__all__ = ["GROUPS", "DriverFactory", "Recorder", "Session", "base_for"]

DriverFactory = Callable[[], Driver]

LOOK_EVERY = 8
REREAD_EVERY = 24
WHOLE = 2048
"""Disks of up to so many blocks are always read whole."""
SITES = frozenset(f"{side}-site" for side in SIDES)
GROUPS = "replication groups"
"""What is skipped where a case has groups and the driver has not, as it is counted."""
_FIELDS = tuple(field.name for field in attrs.fields(Observation) if field.name != "common")


def base_for(scenario: Scenario) -> Base:
    """What every disk of the scenario starts with."""
    return Base(scenario.blocks, Path(scenario.image) if scenario.image else None)


class _Reader(Protocol):
    """Reads a place of one machine; `whole`: all of it, or what was ever written; None: as the disks' size asks for."""

    def __call__(self, where: str, whole: bool | None = None) -> View: ...


class Session:
    """A case that runs. `step` takes the next command; `finish` ends it. `divergence` is set at most once."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        factory: DriverFactory,
        promised: Promised,
        *,
        name: str = "",
        base: Base | None = None,
        record: bool = False,
        recorder: Recorder | None = None,
    ) -> None:
        self.recorder = recorder
        self.scenario, self.seed, self.promised, self.factory = scenario, seed, promised, factory
        self.base = base if base is not None else base_for(scenario)
        self.driver = Guarded(factory(), name or "driver")
        self.can: Capabilities = self.driver.capabilities
        self.divergence: Divergence | None = None
        self.overflow = False
        self.commands: list[Command] = []
        self.caused = 0
        """How many of them were faults."""
        self.faults: set[str] = set()
        self.skipped: Counter[str] = Counter()
        self.content_checks = 0
        self.looks = 0
        self.untold: Counter[str] = Counter()
        """How often a field of an observation was unknown, out of so many looks."""
        self._lacks: dict[str, tuple[Observation, tuple[str, ...]]] = {}
        self.recording = record
        self._trail: list[tuple[Command, Answer | bool | None, str, dict[str, Observation], float]] = []
        self.met: Collection[tuple[Any, str, str]] | None = None
        """Coverage items that a campaign has met already; engines prefer those that are not among them."""
        self.model_before: dict[str, Any] = {}
        self.model_after: dict[str, Any] = {}
        self._whole = self.base.blocks <= WHOLE
        self._time = 0.0
        self._step = 0
        self._gone: dict[str, str] = {}
        self.last: dict[str, Observation] = {}
        self.answer: Answer | bool | None = None
        self._check_scenario()
        if scenario.groups and not self.has_groups():
            self.skipped[GROUPS] += 1
            scenario = self.scenario = attrs.evolve(scenario, groups={})
        ages = ages_for(scenario)
        self.factors = {
            m: Factor(
                promised,
                Journal(m, self.base, scenario.disks),
                moves_by_itself=self.can.moves_by_itself,
                strict=self.can.strict_order,
                ages=ages,
            )
            for m in scenario.machines
        }
        self.moments = Moments()
        self.groups = tuple(GroupFactor(name, members, self.moments, ages) for name, members in scenario.groups.items())
        self._readers: dict[str, _Reader] = {m: self._reader(m) for m in scenario.machines}
        if recorder is not None:
            recorder.case(attrs.evolve(scenario, blocks=self.base.blocks, image=""), seed, self.can)
        self.driver.start(scenario, seed, self.base)
        for machine in scenario.machines:
            self._take_in(machine, None, still=False, disk=True)
        self._together(still=False)
        self._write_down(None, None, True)

    def _check_scenario(self) -> None:
        can, scenario = self.can, self.scenario
        if len(scenario.machines) > can.machines or scenario.disks > can.disks:
            raise DriverError(
                can.name,
                f"a scenario of {len(scenario.machines)} machines with {scenario.disks} disks",
                f"at most {can.machines} machines with {can.disks} disks",
                "choose a smaller scenario",
            )
        check_flow(can.name, can.flows, self.promised.name)

    # --------------------------------------------------------------------------------------------------------- steps

    def why_not(self, command: Command) -> str | None:
        """Why the driver cannot take `command`; None when it can."""
        can = self.can
        match command:
            case Operate(_, operation, _) if operation not in can.operations or operation not in self.promised.commands:
                return f"operation {operation}"
            case Write(cached=True) if not can.cached_writes:
                return "cached writes"
            case Fault(fault) | Heal(fault) if fault not in can.faults:
                return f"fault {fault}"
            case Steps() if not can.stepping:
                return "single steps"
            case Advance() if not can.advancing:
                return "advancing time"
        return None

    def has_groups(self) -> bool:
        """Whether machines of this flow can be in replication groups, and the driver has them."""
        return self.can.groups and bool(self.promised.model.facts.values.get("group.supported"))

    def has_gateway(self) -> bool:
        """Whether this flow has a gateway that can fail."""
        return bool(self.promised.model.facts.values.get("gateway.present"))

    def step(self, command: Command) -> bool:
        """Take one command. False after a divergence or when the oracle gave up."""
        if self.divergence is not None or self.overflow:
            return False
        self.commands.append(command)
        self.caused += isinstance(command, Fault)
        reason = self.why_not(command)
        if reason is not None:
            self.skipped[reason] += 1
            self._note(command, None, skipped=reason)
            if self.recorder is not None:
                self.recorder.skip(command)
            return True
        self._step += 1
        with self.driver.deadline_for(partial(describe, command)):
            self._take(command)
        return self.divergence is None and not self.overflow

    def _take(self, command: Command) -> None:
        """The command at the driver, then every machine's observation at the oracle."""
        events: dict[str, Event | None] = dict.fromkeys(self.factors)
        still, point, record = False, None, None
        answer: Answer | bool | None = True
        driver = self.driver
        match command:
            case Operate(machine, operation, named):
                point = self.resolve(machine, operation, named) if usual_point(operation) is not None else None
                answer = driver.execute(machine, operation, point)
                events[machine] = event_of(self.factors[machine], command, point, answer)
            case Write(machine, side, block, disk, cached):
                factor = self.factors[machine]
                branch = self.promised.compiled.get(next(iter(factor.candidates))[0], "epoch")
                record = factor.journal.issue(disk, block, int(branch), in_copy=side not in SIDES, now=driver.now())
                began = driver.now()
                answer = driver.write(machine, side, disk, record.tag.block, record.payload, cached)
                if answer is False and driver.now() != began:
                    # What was refused after some time may have been issued while the machine ran, and stopped with it (a barrier
                    # that holds writes back): nobody can tell, here or from the recording.
                    answer = None
                if self.groups:
                    done = 2 * self._step + 1 if answer is True and not cached else None
                    self.moments.note(machine, record.sequence, 2 * self._step, done)
                events[machine] = event_of(factor, command, None, answer, record)
            case Fault(fault) if fault in STRUCK_ONCE:
                driver.fault(fault)
                events = {m: event_of(f, command, None, True) for m, f in self.factors.items()}
            case Fault(fault) | Heal(fault):
                failing = isinstance(command, Fault)
                if (fault in self.faults) != failing and (fault != "gateway" or self.has_gateway()):
                    (self.faults.add if failing else self.faults.discard)(fault)
                    (driver.fault if failing else driver.heal)(fault)
                    events = {m: event_of(f, command, None, True) for m, f in self.factors.items()}
            case StartMachine(machine, side):
                answer = driver.start_machine(machine, side)
                events[machine] = event_of(self.factors[machine], command, None, answer)
            case Advance(seconds):
                self._time += seconds
                driver.advance(seconds)
            case Steps(count):
                for _ in range(count):
                    if not driver.step():
                        break
            case Settle():
                still = driver.settle()
                if not still:
                    self.divergence = blame.never_rests(next(iter(self.factors)), len(self.commands) - 1)
        self.answer = answer
        for machine, event in events.items():
            if self.divergence is None and not self.overflow:
                self._take_in(machine, event, still=still, disk=still or self._step % LOOK_EVERY == 0)
                if self._step % REREAD_EVERY == 0:
                    self._read_again(machine)
        self._together(still=still)
        self._note(command, answer)
        self._write_down(command, point, still if isinstance(command, Settle) else answer, record)

    def _together(self, *, still: bool) -> None:
        """Hold the common points of each group against each other."""
        if not self.groups:
            return

        def bounds(machine: str, point: str) -> frozenset[Bounds]:
            return bounds_of(self.factors[machine], machine, point, self.moments)

        for group in self.groups:
            if self.divergence is None and not self.overflow:
                wrong = group.round(self.last, bounds, still=still, now=self.driver.now())
                if wrong is not None:
                    machine, found = wrong
                    self.divergence = blame.told(found, machine, len(self.commands) - 1)

    def resolve(self, machine: str, operation: str, point: str | None) -> str:
        """The id (or `latest`, `latest-processed`) that a symbolic point stands for now."""
        if point is None or not point.startswith("point:"):
            return point or usual_point(operation) or ""
        points = self.factors[machine].points
        if point == "point:gone":
            return self._gone.get(machine, NEVER)
        if point == "point:unknown":
            return NEVER
        index = int(point.removeprefix("point:"))
        return points[index].id if -len(points) <= index < len(points) else NEVER

    def _reader(self, machine: str) -> _Reader:
        driver = self.driver

        def read(where: str, whole: bool | None = None) -> View:
            self.content_checks += 1
            return self.factors[machine].journal.read(
                lambda disk, offset, length: driver.read(machine, where, disk, offset, length),
                whole=self._whole if whole is None else whole,
            )

        return read

    def _take_in(self, machine: str, event: Event | None, *, still: bool, disk: bool, whole: bool | None = None) -> None:
        """Observe one machine and let the oracle explain it. `whole`: whatever is read, read all of it."""
        factor = self.factors[machine]
        seen, before, can = self.driver.observe(machine), self.last.get(machine), self.can
        if seen is not before and seen == before:
            seen = before  # long cases keep what was seen once, however often it was
        self.last[machine] = seen
        moved = tried = counted = False
        if before is not None and seen is not before:
            moved = before.active != seen.active or (before.job == "ChangePit" and seen.job is None)
            tried, counted = before.test != seen.test, before.loss != seen.loss
        read: Callable[[str], View] | None = None
        if can.reads_points or can.reads_sides:
            read = self._readers[machine] if whole is None else partial(self._readers[machine], whole=whole)
        now = self.driver.now()
        if self.recorder is not None:
            self.recorder.looked(machine, seen, now)
            read = None if read is None else self._recorded(machine, read)
        active = former = copy = False
        if can.reads_sides and (disk or moved or tried or counted):
            down, here = SITES & self.faults, f"{seen.active}-site"
            active = (disk or moved) and here not in down
            former = (disk or moved or counted) and not down
            copy = (disk or tried) and seen.active in SIDES and not down - {here}
        sight = factor.look(
            seen, read, points=can.reads_points, disk=active, still=still, former=former, copy=copy, now=now
        )  # fmt: skip
        self._count_unknown(machine, seen)
        if self.recording:
            self.model_before = self.promised.model.show(min(factor.candidates, key=lambda c: c[0])[0])
        try:
            self.divergence = why_not_explained(factor, machine, event, sight, len(self.commands) - 1)
        except Overflow:
            self.overflow = True
            return
        explained = self.divergence is None
        if explained and sight.gone:
            self._gone[machine] = min(sight.gone)
        if self.recording and explained:
            self.model_after = self.promised.model.show(min(factor.candidates, key=lambda c: c[0])[0])

    def _recorded(self, machine: str, read: Callable[[str], View]) -> Callable[[str], View]:
        """`read`, and what it finds is written down."""

        def noted(where: str) -> View:
            view = read(where)
            if self.recorder is not None:
                self.recorder.read(machine, where, view)
            return view

        return noted

    def _write_down(
        self, command: Command | None, point: str | None, answer: Answer | bool | None, record: WriteRecord | None = None
    ) -> None:
        if self.recorder is not None:
            self.recorder.step(command, point, answer, record)

    def _count_unknown(self, machine: str, seen: Observation) -> None:
        """Fields that the system does not tell are not judged, and that is counted."""
        self.looks += 1
        counted, names = self._lacks.get(machine, (None, ()))
        if counted is not seen:
            names = tuple(name for name in _FIELDS if getattr(seen, name) is UNKNOWN)
            names += ("running",) if UNKNOWN in seen.running else ()
            self._lacks[machine] = seen, names
        if names:
            self.untold.update(names)
        if not self.can.tells_time:
            self.untold["time"] += 1

    def _read_again(self, machine: str, whole: bool | None = None) -> None:
        """Older points must not have changed."""
        if not self.can.reads_points or self.divergence is not None:
            return
        factor = self.factors[machine]
        for point in factor.points:
            now = self._readers[machine](point.id, whole)
            if now != point.view:
                self.divergence = blame.changed_point(machine, point, now, factor, len(self.commands) - 1)
                if self.recorder is not None:
                    self.recorder.changed(machine, point.id, now)
                return

    def finish(self, *, thorough: bool = True) -> None:
        """Look at everything once more, and stop the driver."""
        try:
            if self.divergence is None and not self.overflow and thorough:
                for machine in self.factors:
                    self._read_again(machine, whole=True)
                    if self.divergence is None and not self.overflow:
                        self._take_in(machine, None, still=False, disk=True, whole=True)
                self._together(still=False)
                self._write_down(None, None, True)
            if self.recorder is not None:
                self.recorder.end(self.divergence, self.overflow)
        finally:
            self.driver.stop()

    def abandon(self) -> None:
        """Stop the driver after an error, whatever it says."""
        try:
            self.driver.stop()
        except Exception:  # noqa: BLE001
            return

    def _note(self, command: Command, answer: Answer | bool | None, skipped: str = "") -> None:
        shown = self._trail[-1][3] if self._trail else {}
        if len(shown) != len(self.last) or any(shown[m] is not one for m, one in self.last.items()):
            shown = dict(self.last)
        self._trail.append((command, answer, skipped, shown, self._time))

    @property
    def records(self) -> tuple[StepRecord, ...]:
        """What happened, step by step."""
        found = []
        for index, (command, answer, skipped, seen, time) in enumerate(self._trail):
            told = {"answer": "skipped", "why": skipped} if skipped else answer_to_json(answer)
            text = describe(command)
            if skipped:
                text += f": skipped, the driver cannot do it ({skipped})"
            else:
                text += said(answer)
            shown = {m: one.to_json() for m, one in seen.items()}
            found.append(StepRecord(index, command_to_json(command), told, shown, text, time))
        return tuple(found)

    @property
    def case(self) -> Case:
        """What has been done so far, as a case."""
        return Case(self.scenario, tuple(self.commands), self.seed)
