"""Plays a scenario on the laboratory, and tells what happens. Whether it is right is judged in :mod:`.judging`.

Rules:

* the player does what an operator, a workload and the world do: it asks for operations, writes blocks, lets faults strike and
  time pass. All it knows of the system is what anybody can see: answers, statuses, and bytes read back;
* whatever a machine shows that it did not show before is told, and laid before the judge, after every event: so a time is the
  time at which something happened, however often a workload writes;
* a job that ends without its effect is told as one that has failed;
* an answer or a status that is not what the scenario says is a finding as well, and ends the play; the verdict on content is
  given all the same;
* at the end workloads stop, and a job that runs is waited for until nothing moves any more.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from .imaging import image_of, refuse_without_room
from .judging import Judge, MachineOutcome, Outcome, Unlike
from .lab import Lab
from .ledger import Ledger
from .plan import LATEST_COMMON, ScriptCall
from .planrun import PlanRun, RunState
from .scenario import ACCEPTED, GROUP_PORT, Scenario, Step, Workload
from .values import BLOCK, LATEST_APP_CONSISTENT, SIDES, TEST, Operation, Status, counted

__all__ = ["Event", "MachineOutcome", "Outcome", "Player", "play"]

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
        self.step = 0
        self._tell = tell
        self._seen: dict[str, Status] = {}
        self._began: dict[str, Status] = {}
        """The first status of each machine with the job that it has."""
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
            plans=scenario.plans, network=scenario.network, hooks=dict.fromkeys(_scripts(scenario), self._script),
        )  # fmt: skip
        try:
            for name, disks in images.items():
                self._ledgers[name] = Ledger(disks)
                self._seen[name] = self._began[name] = self.lab.status(name)
            self._judge = Judge(self.lab, scenario, self._ledgers, self.tell)
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

    # --------------------------------------------------------------------------------------------------------- play

    def play(self) -> Outcome:
        """Play all steps, then judge."""
        for step in self.scenario.steps:
            self.step = self._judge.step = step.number
            try:
                self._play(step)
            except Unlike as error:
                self._judge.found(str(error))
                break
        self.step = self._judge.step = 0
        try:
            self._finish()
        except Unlike as error:
            self._judge.found(str(error))
        return self._judge.verdict(self._total)

    def _finish(self) -> None:
        """Workloads stop, and jobs that run come to their end, if they have one."""
        for writer in self._writers.values():
            writer.due = None
        self._wait(lambda: all(self.lab.status(machine).job is None for machine in self._ledgers))

    def _play(self, step: Step) -> None:
        if step.at is not None:
            if step.at < self.lab.now:
                raise Unlike(f"at {step.at:g} s: it is {self.lab.now:g} s already; give a later time, or leave it out")
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
                raise Unlike(f"{step.what} of {machine} was answered {answer}; {step.expect} expected")
            if code is None:
                asked.append(machine)
                if step.what in (Operation.UNPLANNED, Operation.TEST):
                    self._judge.wants(machine, step.point)
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
            raise Unlike(f"plan {step.what} was answered {answer}; {step.expect} expected")
        if code is None:
            self._noted = 0
            for machine in self._run(step).plan.machines:
                self._judge.wants(machine, step.point, in_common=True)
            self._wait_for_plan(step)
            if step.point in (LATEST_COMMON, LATEST_APP_CONSISTENT):
                self._judge.compare_groups()

    def _do_resume(self, step: Step) -> None:
        if not self.lab.resume_plan(step.what):
            raise Unlike(f"plan {step.what} waits for no manual action")
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
        self._judge.plan_is_at(run)
        errors = f", {counted(len(run.errors), 'error')} noted" if run.errors else ""
        self.tell("step", f"plan {step.what}: {run.state.value}{errors}")

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

    def _do_write(self, step: Step) -> None:
        writer = self._writers[step.what]
        done = sum(self._write(writer, step.side) for _ in range(int(step.amount)))
        self.tell("write", f"{counted(done, 'write')} acknowledged" + (f" at {step.side}" if step.side else ""))
        if not done:
            refused = "1 write was" if step.amount == 1 else f"{step.amount:,} writes were"
            raise Unlike(f"workload {step.what} wrote nothing: {refused} refused, since no guest runs there")

    def _do_begin(self, step: Step) -> None:
        writer = self._writers[step.what]
        writer.due = self.lab.now
        self.tell("write", f"workload {step.what} begins: {counted(writer.workload.per_minute, 'write')} a minute")

    def _do_end(self, step: Step) -> None:
        self._writers[step.what].due = None
        self.tell("write", f"workload {step.what} ends after {counted(self._writers[step.what].count, 'write')}")

    def _do_advance(self, step: Step) -> None:
        self._pass(self.lab.now + step.amount)

    def _do_settle(self, step: Step) -> None:  # noqa: ARG002
        self._rest()

    def _do_fault(self, step: Step) -> None:
        if step.what == GROUP_PORT:
            self.lab.fleet.isolate(step.machines[0])
        else:
            self.lab.fault(step.what)
            self._judge.faults.add(step.what)
        self.tell("fault", f"fault: {step.what}", *step.machines)

    def _do_heal(self, step: Step) -> None:
        if step.what == GROUP_PORT:
            self.lab.fleet.rejoin(step.machines[0])
        else:
            self.lab.heal(step.what)
            self._judge.faults.discard(step.what)
        self.tell("fault", f"over: {step.what}", *step.machines)

    def _do_clock(self, step: Step) -> None:
        assert step.side is not None
        self.lab.jump_clock(step.side, step.amount)
        ahead = "forward" if step.amount > 0 else "back"
        self.tell("fault", f"the clock at {step.side} jumps {ahead} by {abs(step.amount):,.0f} s")

    def _do_start(self, step: Step) -> None:
        for machine in step.machines:
            started = self.lab.start_machine(machine, step.side or "")
            self._judge.off.discard(machine)
            self.tell("step", f"powered on at {step.side}: {'it runs' if started else 'refused'}", machine)

    def _do_check(self, step: Step) -> None:
        for machine in step.machines:
            shown = self._shown(machine)
            for name, must in step.must.items():
                if shown[name] != must:
                    raise Unlike(f"{machine} shows {name} = {_words(shown[name])}; {_words(must)} expected")
        told = "as it must be: " + ", ".join(f"{name} = {_words(value)}" for name, value in step.must.items())
        for machine in step.machines:
            self.tell("step", told, machine)

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
        """Let time pass until the next event or, if that comes first, the next write of a workload, and let it write."""
        writing = [w for w in self._writers.values() if w.due is not None]
        due = min((w.due for w in writing if w.due is not None), default=until)
        happened = self.lab.step_until(min(due, until))
        self._look()
        for writer in writing:
            # What falls due in the same moment comes first: a write is never in the midst of it.
            if not happened and writer.due is not None and writer.due <= self.lab.now:
                self._write(writer, None)
                writer.due += 60 / writer.workload.per_minute

    def _rest(self) -> None:
        """Workloads pause, and time passes until nothing moves any more."""
        while self.lab.step():
            self._look()
        for writer in self._writers.values():
            if writer.due is not None:
                writer.due = max(writer.due, self.lab.now)
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

    def _look(self) -> None:
        """Look at every machine, and tell what has changed."""
        for machine, before in self._seen.items():
            now = self.lab.status(machine)
            if now == before:
                continue
            self._seen[machine] = now
            for text in _differences(before, now):
                self.tell("change", text, machine)
            known = {point.id for point in before.points}
            fresh = [point for point in now.points if point.id not in known]
            if fresh and before.active == now.active:
                kinds = "" if all(p.kind == "crash-consistent" for p in fresh) else f", {fresh[-1].kind}"
                self.tell("point", f"recovery point {fresh[-1].id}{kinds}; {len(now.points)} advertised", machine)
            self._tell_failed_job(machine, before, now)
            for alert in now.alerts:
                if alert not in before.alerts:
                    self.tell("alert", f"alert: {alert}", machine)
            for alert in before.alerts:
                if alert not in now.alerts:
                    self.tell("change", f"no longer: {alert}", machine)
            self._judge.look(machine, before, now)
        self._tell_notes()  # a plan notes what it has seen to have happened
        self._judge.looked_at = self.lab.now


    def _tell_failed_job(self, machine: str, before: Status, now: Status) -> None:
        """A job that is over, or that another has taken the place of, and whose effect cannot be seen."""
        if now.job == before.job:
            return
        began, self._began[machine] = self._began[machine], now
        if began.job is None:
            return
        done = {
            Operation.PLANNED: now.active != began.active, Operation.UNPLANNED: now.active != began.active,
            Operation.TEST: now.test == "running", Operation.REPAIR: now.resync != "required",
        }.get(began.job, True)  # fmt: skip
        if not done:
            runs = "runs" if self.lab.running(machine, now.active) else "does not run"
            self.tell("alert", f"{began.job} failed: {now.active} is still the machine, and {runs}", machine)


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
