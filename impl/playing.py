"""Plays a scenario on the laboratory, tells what happens, and gives a verdict of its own on content.

Rules:

* the player does what an operator, a workload and the world do: it asks for operations, writes blocks, lets faults strike and
  time pass. All it knows of the system is what anybody can see: answers, statuses, and bytes read back;
* what must be there is kept by a :class:`~siteproof.impl.ledger.Ledger` for each machine, from acknowledgements alone;
* whenever another side becomes the machine its disks are read whole, before anything is written there. It must hold exactly one
  prefix of what was acknowledged: after a planned failover all of it; after an unplanned one at least what every component had
  said was replicated when the system last came to rest, exactly what the point holds that it says it used, and no more than it
  says it received. A loss that is reported must be the true one;
* so it is with the copy of a test failover, with a change of point, and, at the end, with every advertised point; then the side
  that is the machine must hold exactly what was acknowledged on its branch, and run alone;
* an answer or a status that is not what the scenario says is a finding as well, and ends the play; the verdict on content is
  given all the same.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from .imaging import image_of, refuse_without_room
from .lab import Lab
from .ledger import Ledger
from .plan import LATEST_COMMON, PlanRun, RunState, ScriptCall
from .scenario import ACCEPTED, GROUP_PORT, Scenario, Step, Workload
from .values import BLOCK, SIDES, TEST, Operation, Status, other

__all__ = ["Event", "Outcome", "Player", "play"]

LONGEST_WAIT = 6 * 3600
"""Seconds of virtual time after which a job that is waited for counts as stuck."""
HOT_BLOCKS = 8


@attrs.frozen(slots=True)
class Event:
    """Something to tell. ``kind``: ``step``, ``say``, ``change``, ``point``, ``alert``, ``fault``, ``write``, ``proof`` (content
    that was read back and is right), ``finding`` (something that is wrong). ``step`` counts from 1; 0: the end.
    """

    now: float
    step: int
    kind: str
    machine: str
    text: str


@attrs.frozen(slots=True)
class MachineOutcome:
    """What became of a machine: the side that is it, and its writes."""

    machine: str
    active: str
    acknowledged: int
    """Writes that were acknowledged in all."""
    kept: int
    """Writes that the surviving side holds."""
    lost: int
    """Writes that failovers have discarded, each of them acknowledged on a side that did not survive."""
    points: int


@attrs.frozen(slots=True)
class Outcome:
    """The verdict: ``holds`` when nothing was found to be wrong."""

    holds: bool
    findings: tuple[str, ...]
    machines: tuple[MachineOutcome, ...]
    proofs: int
    """How often disks were read back whole, and were right."""
    seconds: float
    """Virtual time."""


class _Unlike(Exception):
    """The scenario has gone another way than it says."""


@attrs.define(slots=True)
class _Writer:
    """A workload at work."""

    workload: Workload
    chance: random.Random
    turn: Iterator[str]
    count: int = 0
    due: float | None = None


class Player:
    """One play. The laboratory is open until :meth:`close`."""

    def __init__(
        self, scenario: Scenario, workdir: Path, tell: Callable[[Event], None], components: Mapping[str, type] | None = None
    ) -> None:
        refuse_without_room(scenario, workdir)
        self.scenario = scenario
        self.findings: list[str] = []
        self.proofs = 0
        self.step = 0
        self._tell = tell
        self._seen: dict[str, Status] = {}
        self._sure: dict[str, int] = {}
        """Writes that were known to be at the other side, when the system last came to rest."""
        self._wanted: dict[str, str | None] = {}
        """The point that the last unplanned failover was asked for."""
        self._serial = 0
        self._noted = 0
        self._total: dict[str, int] = dict.fromkeys(scenario.machines, 0)
        self._ledgers: dict[str, Ledger] = {}
        images = {
            name: [image_of(disk, workdir / f"{name}-{n}.img", (scenario.seed, name, n)) for n, disk in enumerate(machine.disks)]
            for name, machine in scenario.machines.items()
        }
        self._writers = {
            name: _Writer(w, random.Random(f"{scenario.seed} {name}"), itertools.cycle(w.machines))
            for name, w in scenario.workloads.items()
        }
        self.lab = Lab(
            scenario.topology, images, workdir / "lab", scenario.seed, components=components, groups=scenario.groups,
            plans=scenario.plans, hooks=dict.fromkeys(_scripts(scenario), self._script),
        )  # fmt: skip
        try:
            for name, disks in images.items():
                self._ledgers[name] = Ledger(disks)
                self._seen[name] = self.lab.status(name)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all files."""
        self.lab.close()
        for ledger in self._ledgers.values():
            ledger.close()

    # ------------------------------------------------------------------------------------------------------ telling

    def tell(self, kind: str, text: str, machine: str = "") -> None:
        """Tell something that happens now."""
        self._tell(Event(self.lab.now, self.step, kind, machine, text))

    def found(self, text: str, machine: str = "") -> None:
        """Tell something that is wrong, and keep it for the verdict."""
        self.findings.append(f"step {self.step}: {f'{machine}: ' if machine else ''}{text}" if self.step else text)
        self.tell("finding", text, machine)

    def proved(self, text: str, machine: str) -> None:
        """Tell that content was read back and is right."""
        self.proofs += 1
        self.tell("proof", text, machine)

    # --------------------------------------------------------------------------------------------------------- play

    def play(self) -> Outcome:
        """Play all steps, then judge."""
        for step in self.scenario.steps:
            self.step = step.number
            try:
                self._play(step)
            except _Unlike as error:
                self.found(str(error))
                break
        self.step = 0
        return self._judge()

    def _play(self, step: Step) -> None:
        if step.at is not None:
            if step.at < self.lab.now:
                raise _Unlike(f"at {step.at:g} s: it is {self.lab.now:g} s already; give a later time, or leave it out")
            self._pass(step.at)
        if step.say:
            self.tell("say", step.say)
        getattr(self, f"_do_{step.verb}")(step)
        self._look()

    def _do_request(self, step: Step) -> None:
        asked = []
        for machine in step.machines:
            at = "" if step.point is None else f" to {step.point}"
            code = self.lab.request(machine, step.what, step.point)
            answer = ACCEPTED if code is None else code
            self.tell("step", f"{step.what}{at}: {answer if code is None else f'refused, {code}'}", machine)
            if answer != step.expect:
                raise _Unlike(f"{step.what} of {machine} was answered {answer}; {step.expect} expected")
            if code is None:
                asked.append(machine)
                if step.what == Operation.UNPLANNED:
                    self._wanted[machine] = step.point
                self._look()
        if step.wait:
            self._wait(lambda: all(self.lab.status(m).job is None for m in asked))
            for machine in asked:
                if self.lab.status(machine).job is not None:
                    self.tell("step", f"{step.what} still waits", machine)

    def _do_plan(self, step: Step) -> None:
        at = "" if step.point is None else f" to {step.point}"
        code = self.lab.run_plan(step.what, step.operation, step.direction, step.point)
        answer = ACCEPTED if code is None else code
        self.tell("step", f"plan {step.what}, {step.operation} {step.direction}{at}: {answer}")
        if answer != step.expect:
            raise _Unlike(f"plan {step.what} was answered {answer}; {step.expect} expected")
        if code is None:
            self._noted = 0
            self._wanted.update(dict.fromkeys(self._run(step).plan.machines, step.point))
            self._wait_for_plan(step)
            if step.point == LATEST_COMMON:
                self._compare_groups()

    def _do_resume(self, step: Step) -> None:
        if not self.lab.resume_plan(step.what):
            raise _Unlike(f"plan {step.what} waits for no manual action")
        self._wait_for_plan(step)

    def _run(self, step: Step) -> PlanRun:
        run = self.lab.plan_run(step.what)
        assert run is not None
        return run

    def _wait_for_plan(self, step: Step) -> None:
        run = self._run(step)
        self._look()
        self._wait(lambda: run.state is not RunState.RUNNING)
        self._tell_notes()
        self.tell("step", f"plan {step.what}: {run.state.value}" + (f", {len(run.errors)} errors noted" if run.errors else ""))

    def _tell_notes(self) -> None:
        """What the plan that was run last has noted since."""
        if self.scenario.steps[self.step - 1].verb in ("plan", "resume") and self.lab.plan_run(self._step.what) is not None:
            notes = self._run(self._step).notes
            for note in notes[self._noted :]:
                where, known = f"group {note.group}: " if note.group else "", note.subject in self._ledgers
                text = f"plan: {where}{'' if known else f'{note.subject}: '}{note.text}"
                self.tell("alert" if note.error else "change", text, note.subject if known else "")
            self._noted = len(notes)

    @property
    def _step(self) -> Step:
        return self.scenario.steps[self.step - 1]

    def _script(self, call: ScriptCall) -> bool:
        return call.script not in self.scenario.failing

    def _compare_groups(self) -> None:
        """Members that a plan has failed over to their common point hold what they all held at one instant."""
        for name, members in self.scenario.groups.items():
            ledgers = [self._ledgers[member] for member in members]
            if any(self.lab.status(member).failover != "unplanned" for member in members):
                continue
            if Ledger.one_instant([(ledger.former, ledger.kept) for ledger in ledgers]):
                self.proved(f"group {name}: its machines hold what they held at one instant", "")
            else:
                self.found(f"group {name}: a machine lacks a write that was acknowledged before one that another machine holds")

    def _do_write(self, step: Step) -> None:
        writer = self._writers[step.what]
        done = sum(self._write(writer, step.side) for _ in range(int(step.amount)))
        self.tell("write", f"{done:,} writes acknowledged" + (f" at {step.side}" if step.side else ""))
        if not done:
            raise _Unlike(f"workload {step.what} wrote nothing: {step.amount} writes were refused, since no guest runs there")

    def _do_begin(self, step: Step) -> None:
        writer = self._writers[step.what]
        writer.due = self.lab.now
        self.tell("write", f"workload {step.what} begins: {writer.workload.per_minute:g} writes a minute")

    def _do_end(self, step: Step) -> None:
        self._writers[step.what].due = None
        self.tell("write", f"workload {step.what} ends after {self._writers[step.what].count:,} writes")

    def _do_advance(self, step: Step) -> None:
        self._pass(self.lab.now + step.amount)

    def _do_settle(self, step: Step) -> None:  # noqa: ARG002
        self._rest()

    def _do_fault(self, step: Step) -> None:
        if step.what == GROUP_PORT:
            self.lab.fleet.isolate(step.machines[0])
        else:
            self.lab.fault(step.what)
        self.tell("fault", f"fault: {step.what}", *step.machines)

    def _do_heal(self, step: Step) -> None:
        if step.what == GROUP_PORT:
            self.lab.fleet.rejoin(step.machines[0])
        else:
            self.lab.heal(step.what)
        self.tell("fault", f"over: {step.what}", *step.machines)

    def _do_start(self, step: Step) -> None:
        for machine in step.machines:
            started = self.lab.start_machine(machine, step.side or "")
            self.tell("step", f"powered on at {step.side}: {'it runs' if started else 'refused'}", machine)

    def _do_check(self, step: Step) -> None:
        for machine in step.machines:
            shown = self._shown(machine)
            for name, must in step.must.items():
                if shown[name] != must:
                    raise _Unlike(f"{machine} shows {name} = {_words(shown[name])}; {_words(must)} expected")
        self.tell("step", "as it must be: " + ", ".join(f"{name} = {_words(value)}" for name, value in step.must.items()))

    def _shown(self, machine: str) -> Mapping[str, Any]:
        status = self.lab.status(machine)
        return {
            **attrs.asdict(status, recurse=False), "points": len(status.points),
            "running": tuple(place for place in (*SIDES, TEST) if self.lab.running(machine, place)),
        }  # fmt: skip

    # --------------------------------------------------------------------------------------------------------- time

    def _pass(self, until: float) -> None:
        """Let time pass until a moment, with the workloads that run."""
        while self.lab.now < until:
            self._slice(until)

    def _wait(self, enough: Callable[[], bool]) -> None:
        """Let time pass until it is enough, or nothing moves any more; while a workload runs, so long at most."""
        until = self.lab.now + LONGEST_WAIT
        while not enough() and self.lab.now < until:
            if any(writer.due is not None for writer in self._writers.values()):
                self._slice(until)
            elif not self.lab.step():
                return
            self._look()

    def _slice(self, until: float) -> None:
        """Let time pass until the next write of a workload, and let it write."""
        writing = [w for w in self._writers.values() if w.due is not None]
        due = min((w.due for w in writing if w.due is not None), default=until)
        self.lab.advance(max(0.0, min(due, until) - self.lab.now))
        self._look()
        for writer in writing:
            if writer.due is not None and writer.due <= self.lab.now:
                self._write(writer, None)
                writer.due += 60 / writer.workload.per_minute

    def _rest(self) -> None:
        """Workloads pause, and time passes until nothing moves any more; then what is replicated is known."""
        while self.lab.step():
            self._look()
        for writer in self._writers.values():
            if writer.due is not None:
                writer.due = max(writer.due, self.lab.now)
        for machine, ledger in self._ledgers.items():
            status = self.lab.status(machine)
            if (status.protection, status.resync, status.job, status.failover) == ("protected", "none", None, "none"):
                if status.points and ledger.find(self._reader(machine, status.points[-1].id)).writes == len(ledger.writes):
                    self._sure[machine] = len(ledger.writes)
        self.tell("step", "nothing moves any more")

    def _write(self, writer: _Writer, side: str | None) -> int:
        """One write of a workload; 1 when it was acknowledged."""
        machine, disk = next(writer.turn), writer.workload.disk
        ledger, active = self._ledgers[machine], self.lab.status(machine).active
        at = side or active
        blocks = ledger.bases[disk].size // BLOCK
        writer.count += 1
        block = {
            "sequential": lambda: writer.count % blocks,
            "random": lambda: writer.chance.randrange(blocks),
            "hot": lambda: writer.chance.randrange(min(HOT_BLOCKS, blocks)),
        }[writer.workload.pattern]()
        name = f"{machine} disk {disk} block {block} workload {writer.workload.name} write {writer.count} at {at}\n".encode()
        data = (name + writer.chance.randbytes(BLOCK // 2)).ljust(BLOCK, b".")
        if not self.lab.write(machine, at, disk, block, data):
            return 0
        self._serial += 1
        if at == active:
            ledger.note(disk, block, data, self._serial)
        elif at != TEST:
            ledger.note_stale(disk, block, data, self._serial)
        if at != TEST:
            self._total[machine] += 1
        return 1

    # ------------------------------------------------------------------------------------------------------ looking

    def _reader(self, machine: str, where: str) -> Callable[[int, int, int], bytes]:
        return lambda disk, offset, length: self.lab.read(machine, where, disk, offset, length)

    def _look(self) -> None:
        """Look at every machine, and tell what has changed."""
        for machine, before in self._seen.items():
            now = self.lab.status(machine)
            if now == before:
                continue
            self._tell_notes()
            self._seen[machine] = now
            for text in _differences(before, now):
                self.tell("change", text, machine)
            known = {point.id for point in before.points}
            fresh = [point for point in now.points if point.id not in known]
            if fresh and before.active == now.active:
                kinds = "" if all(p.kind == "crash-consistent" for p in fresh) else f", {fresh[-1].kind}"
                self.tell("point", f"recovery point {fresh[-1].id}{kinds}; {len(now.points)} advertised", machine)
            for alert in now.alerts:
                if alert not in before.alerts:
                    self.tell("alert", f"alert: {alert}", machine)
            for alert in before.alerts:
                if alert not in now.alerts:
                    self.tell("change", f"no longer: {alert}", machine)
            if now.active != before.active:
                self._failed_over(machine, now)
            elif before.job == Operation.CHANGE and now.job is None:
                self._changed_point(machine, now)
            if now.test != before.test and now.test == "running":
                self._tested(machine)
            if now.loss is not None and before.loss is None:
                self._compare_loss(machine, now.loss)

    def _failed_over(self, machine: str, now: Status) -> None:
        ledger = self._ledgers[machine]
        found = ledger.find(self._reader(machine, now.active))
        if found.writes is None:
            self.found(f"{now.active} is the machine, and its disks are no prefix: {found.reason}", machine)
            raise _Unlike("nothing that follows could be judged")
        kept, of = found.writes, len(ledger.writes)
        wrong = len(self.findings)
        if now.failover == "unplanned":
            if now.failover_point is not None:
                point = ledger.find(self._reader(machine, now.failover_point))
                if point.writes != kept:
                    self.found(
                        f"it holds {kept} writes; {now.failover_point}, which it says it used, holds {point.writes}", machine
                    )
            newest = self._wanted.get(machine) in (None, "latest", "latest-processed")
            if newest and kept < self._sure.get(machine, 0):
                self.found(f"it holds {kept} of {of} acknowledged writes; {self._sure[machine]} had been replicated", machine)
            if now.received is not None and kept > now.received:
                self.found(f"it holds {kept} writes and says that it received {now.received}", machine)
        elif kept != of:
            self.found(f"a planned failover kept {kept} of {of} acknowledged writes", machine)
        if len(self.findings) == wrong:
            self.proved(f"read back whole: {now.active} holds exactly the first {kept:,} of {of:,} acknowledged writes", machine)
        ledger.branch(kept)
        self._sure.pop(machine, None)

    def _changed_point(self, machine: str, now: Status) -> None:
        ledger = self._ledgers[machine]
        found = ledger.find(self._reader(machine, now.active), former=True)
        point = None if now.failover_point is None else ledger.find(self._reader(machine, now.failover_point), former=True).writes
        if found.writes is None or found.writes != point:
            self.found(f"set back to {now.failover_point}, and holds {found.writes} writes, not {point}: {found.reason}", machine)
            raise _Unlike("nothing that follows could be judged")
        self.proved(f"read back whole: {now.active} holds exactly the {found.writes:,} writes of {now.failover_point}", machine)
        ledger.change(found.writes)

    def _tested(self, machine: str) -> None:
        found = self._ledgers[machine].find(self._reader(machine, TEST))
        if found.writes is None:
            self.found(f"the copy of the test failover is no prefix: {found.reason}", machine)
        else:
            self.proved(f"read back whole: the copy holds exactly the first {found.writes:,} acknowledged writes", machine)

    def _compare_loss(self, machine: str, loss: int) -> None:
        ledger = self._ledgers[machine]
        truth = len(ledger.former) - ledger.kept
        if loss != truth:
            self.found(f"reports a loss of {loss} writes; {truth} were lost", machine)
        else:
            self.proved(f"the reported loss, {loss:,} writes, is the true one", machine)

    # ------------------------------------------------------------------------------------------------------ verdict

    def _judge(self) -> Outcome:
        machines = []
        for machine, ledger in self._ledgers.items():
            status, of = self.lab.status(machine), len(ledger.writes)
            found = ledger.find(self._reader(machine, status.active))
            if found.writes != of:
                what = found.reason or f"it holds {found.writes}"
                self.found(f"{machine}: {status.active} must hold {of} writes; {what}")
            else:
                self.proved(f"{status.active} holds exactly the {of:,} writes that it must hold", machine)
            if self.lab.running(machine, other(status.active)):
                self.found(f"{machine}: {other(status.active)} runs, and is not the machine")
            if status.failover in ("none", "committed"):
                self._judge_points(machine, status, ledger)
            machines.append(
                MachineOutcome(machine, status.active, self._total[machine], found.writes or 0, ledger.lost, len(status.points))
            )
        self._judge_groups()
        return Outcome(not self.findings, tuple(self.findings), tuple(machines), self.proofs, self.lab.now)

    def _judge_points(self, machine: str, status: Status, ledger: Ledger) -> None:
        held = []
        for point in status.points:
            found = ledger.find(self._reader(machine, point.id))
            if found.writes is None:
                self.found(f"{machine}: recovery point {point.id} is no prefix: {found.reason}")
            else:
                held.append(found.writes)
        if held and held == sorted(held):
            told = f"{held[0]:,}" if len(held) == 1 else f"{held[0]:,} to {held[-1]:,}"
            self.proved(f"every advertised point ({len(held)}) holds exactly a prefix: {told} writes", machine)
        elif held:
            self.found(f"{machine}: recovery points are not in the order of their content: {held}")


    def _judge_groups(self) -> None:
        """Every point that the members of a group have in common holds what they held at one instant."""
        for name, group in self.lab.fleet.groups.items() if self.scenario.groups else ():
            points: dict[str, list[tuple[str, str]]] = {}
            for member, coordinator in group.members.items():
                for point in coordinator.points:
                    if point.group:
                        points.setdefault(point.group, []).append((member, point.id))
            common = {barrier: places for barrier, places in points.items() if len(places) == len(group.members)}
            wrong = len(self.findings)
            for barrier, places in common.items():
                parts = []
                for member, point_id in places:
                    found = self._ledgers[member].find(self._reader(member, point_id))
                    parts.append((self._ledgers[member].writes, found.writes or 0))
                if not Ledger.one_instant(parts):
                    self.found(f"group {name}: common point {barrier} is not of one instant")
            if common and len(self.findings) == wrong:
                self.proved(f"group {name}: each of its common points ({len(common)}) is of one instant", "")


def _scripts(scenario: Scenario) -> set[str]:
    """The scripts that the plans name."""
    groups = [group for plan in scenario.plans for group in plan.groups]
    return {action.name for group in groups for action in (*group.before, *group.after) if action.kind == "script"}


def _words(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def _differences(before: Status, now: Status) -> Iterator[str]:
    """What a status says that it did not say before."""
    if now.active != before.active:
        yield f"{now.active} is the machine now ({now.failover} failover)"
    elif now.failover != before.failover:
        yield {
            "committed": "the failover is committed", "completed": "replication has ended for good",
            "none": "no failover is pending",
        }.get(now.failover, f"{now.failover} failover")  # fmt: skip
    if now.protection != before.protection:
        yield {"initial": "initial replication begins", "protected": "protected", "none": "not protected any more"}[
            now.protection
        ]
    if now.direction != before.direction:
        yield f"replication is turned: {now.direction}"
    if now.paused != before.paused:
        yield "replication is paused" if now.paused else "replication goes on"
    if now.test != before.test:
        yield "a copy runs in isolation" if now.test == "running" else "the copy is gone"
    if now.resync != before.resync:
        yield {
            "required": "a resynchronisation is required", "comparing": "resynchronisation: comparing",
            "merging": "resynchronisation: merging", "none": "in step again",
        }[now.resync]  # fmt: skip
    if len(now.points) < len(before.points):
        yield f"{len(now.points)} of {len(before.points)} recovery points are left"


def play(
    scenario: Scenario, workdir: Path, tell: Callable[[Event], None], components: Mapping[str, type] | None = None
) -> Outcome:
    """Play a scenario in an empty folder that exists; ``components`` are classes by role name, in place of the built-in ones.

    Raises:
        UsageError: an image cannot be used, or there is no room; TopologyError: the flow is not implemented.
    """
    player = Player(scenario, workdir, tell, components)
    try:
        return player.play()
    finally:
        player.close()
