"""Somebody who runs a recovery plan on the bundled implementation, and holds it to its word, also after a crash.

He works with three machines: two of them start first, a script runs, he confirms a manual action, and the third one starts. He
has an id for each thing that he asks for. After a crash he cannot know whether the last one was taken in, so he asks for it
again by the same id, and then goes on where he was. What he demands is in the table of
:mod:`~siteproof.conformance.drivers.bundled_plan_crashes`; he judges by what runs, by content and by what scripts were told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from siteproof.conformance.drivers.bundled_crash_walk import BLOCKS
from siteproof.conformance.drivers.bundled_judge import Broken, demand
from siteproof.impl.flows import Flow
from siteproof.impl.lab import Lab
from siteproof.impl.plan import MANUAL, SCRIPT, Action, PlanGroup, RecoveryPlan, ScriptCall
from siteproof.impl.planrun import PlanRun, RunState
from siteproof.impl.values import BLOCK, PRIMARY, RECOVERY, TEST, Operation

__all__ = ["MACHINES", "PLAN", "Course", "Operator", "courses"]

FIRST, LAST = ("a", "b"), "c"
MACHINES = (*FIRST, LAST)
WARM = "warm"
"""The script's name."""
PLAN = RecoveryPlan("plan", (
    PlanGroup(FIRST, after=(Action(SCRIPT, WARM),)), PlanGroup((LAST,), before=(Action(MANUAL, "look around"),)),
))  # fmt: skip
_ENOUGH = 2000
"""Events after which a system is taken never to come to rest."""


@attrs.frozen
class Course:
    """What the plan is run for, to a point, and what it is run for afterwards. ``faults`` strike before it, and are over when it
    has ended.
    """

    name: str
    operation: str
    point: str | None
    then: str
    faults: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where machines come up."""
        return TEST if self.operation == Operation.TEST else RECOVERY


def courses(flow: Flow) -> Iterator[Course]:
    """The courses that a flow offers; none where it has no plans."""
    if not flow.plans:
        return
    if Operation.PLANNED in flow.failovers[PRIMARY]:
        yield Course("planned failover by a plan", Operation.PLANNED, None, Operation.COMMIT)
    yield Course("unplanned failover by a plan", Operation.UNPLANNED, "latest", Operation.COMMIT)
    yield Course(
        "unplanned failover by a plan without the source", Operation.UNPLANNED, "latest-processed", Operation.COMMIT,
        (f"{PRIMARY}-site",),
    )  # fmt: skip
    if PRIMARY in flow.tests:
        yield Course("test failover by a plan", Operation.TEST, "latest", Operation.CLEANUP)


@attrs.define
class Operator:
    """What he does, and what he knows. ``issued`` and ``acked``: writes to each machine; each goes to a block of its own.

    ``asked``: how many of his three requests he has made (the run, the confirmation, the run afterwards); ``answered``: of how
    many he has the answer.
    """

    course: Course
    base: dict[str, bytes]
    """Content of each machine's disk before any write."""
    issued: dict[str, int] = attrs.Factory(lambda: dict.fromkeys(MACHINES, 0))
    acked: dict[str, int] = attrs.Factory(lambda: dict.fromkeys(MACHINES, 0))
    settled: dict[str, int] = attrs.Factory(dict)
    """Writes that had reached the other side before the plan was run: they are in each point that is chosen then."""
    asked: int = 0
    answered: int = 0
    manual_id: str | None = None
    started: set[str] = attrs.Factory(set)
    """Machines that he has seen running where the plan brings them."""
    calls: list[tuple[int, ScriptCall]] = attrs.Factory(list)
    """Calls of the script, with the number of the run."""
    faults: tuple[str, ...] = ()
    """Faults that are not over: they go on after a crash, for a while."""
    ended: bool = False
    """Whether he has seen the run's end: from then on all that is acknowledged has to be where the plan has brought the machines.
    """
    dimmed: bool = False
    """Whether a site was dark after a crash: that ends a planned run."""
    lab: Lab = attrs.field(default=None, eq=False)
    """The system that he works with now."""

    def copy(self) -> Operator:
        """Somebody who knows the same, for a world of his own."""
        return attrs.evolve(
            self, issued=dict(self.issued), acked=dict(self.acked), started=set(self.started), calls=list(self.calls)
        )

    # ------------------------------------------------------------------------------------------------------ content

    def content(self, machine: str, count: int) -> bytes:
        """A machine's disk after so many writes."""
        written = b"".join(self._data(machine, number) for number in range(count))
        return written + self.base[machine][len(written) :]

    @staticmethod
    def _data(machine: str, number: int) -> bytes:
        return f"{machine} {number} ".encode().ljust(BLOCK, b"#")

    def held(self, machine: str, where: str, least: int) -> int:
        """How many writes a disk holds: the first ones, and nothing else; at least so many."""
        image = self.lab.read(machine, where, 0, 0, BLOCKS * BLOCK)
        for count in range(self.issued[machine], -1, -1):
            if image == self.content(machine, count):
                demand(count >= least, f"an acknowledged write of machine {machine} is lost at {where}")
                return count
        raise Broken(f"the disk of machine {machine} at {where} is no prefix of what was written")

    def work(self, *, settles: bool = False) -> None:
        """One write on each machine; with ``settles`` all have reached the other side afterwards."""
        for machine in MACHINES:
            number = self.issued[machine]
            self.issued[machine] += 1
            active = self.lab.status(machine).active
            demand(self.lab.write(machine, active, 0, number, self._data(machine, number)), f"machine {machine} does not run")
            self.acked[machine] = self.issued[machine]
        if settles:
            self.settle()
            self.settled = dict(self.acked)

    # --------------------------------------------------------------------------------------------------- what he sees

    @property
    def run(self) -> PlanRun:
        """The plan's last run."""
        run = self.lab.plan_run(PLAN.name)
        if run is None:
            raise Broken("the run of the plan is forgotten")
        return run

    def look(self) -> None:
        """Of each machine one side runs, and a later boot group comes up after the one before (P2, P14)."""
        lab, course = self.lab, self.course
        for machine in MACHINES:
            moved = lab.running(machine, RECOVERY)
            if course.operation == Operation.TEST:
                demand(not moved, f"a test failover has started machine {machine} itself")
            elif moved and lab.running(machine, PRIMARY):
                status = lab.status(machine)
                alone = status.failover == "unplanned" and status.loss is None
                demand(alone, f"two sides of machine {machine} run, although they are in contact or it was planned")
            if lab.running(machine, course.place):
                self.started.add(machine)
        if LAST in self.started:
            demand(set(FIRST) <= self.started, "a machine of the second boot group runs before the first group does")
            demand(self.asked > 1, "a machine runs before the manual action was confirmed")

    def settle(self) -> None:
        """Let the system come to rest, and look at each event."""
        self.look()
        for _ in range(_ENOUGH):
            if not self.lab.step():
                return
            self.look()
        raise Broken("the system never comes to rest")

    def script(self, call: ScriptCall) -> bool:
        """The script: called when the first group runs and before the second one does; by one id in a run (P14)."""
        self.look()
        demand(set(FIRST) <= self.started and LAST not in self.started, "the script is not called between the two groups")
        number = self.run.number
        before = [known for run, known in self.calls if run == number]
        demand(all(known.id == call.id for known in before), "a script that is called again has another id than before")
        demand(call.again or not before, "a script is called again, and not told so")
        self.calls.append((number, call))
        return True

    # ---------------------------------------------------------------------------------------------------- what he does

    def fault(self) -> None:
        """What strikes in this course."""
        self.faults = self.course.faults
        for kind in self.faults:
            self.lab.fault(kind)
            self.settle()

    def heal(self, kinds: Sequence[str]) -> None:
        """Faults are over."""
        for kind in kinds:
            self.lab.heal(kind)
            self.faults = tuple(known for known in self.faults if known != kind)
            self.look()
        self.settle()

    def asks(self, request_id: str = "run") -> None:
        """He asks for the run; the same id is the same request."""
        self.asked = max(self.asked, 1)
        code = self.lab.run_plan(PLAN.name, self.course.operation, point=self.course.point, request_id=request_id)
        demand(code is None, f"the run of the plan is refused: {code}")
        self.answered = max(self.answered, 1)

    def confirms(self) -> None:
        """He has done the manual action that the run waits for."""
        demand(self.run.state is RunState.WAITING, f"the run does not wait for its manual action: {self.run.state.value}")
        self.manual_id, self.asked = self.run.manual_id, max(self.asked, 2)
        demand(self.lab.resume_plan(PLAN.name, self.manual_id), "the manual action cannot be confirmed")
        self.answered = max(self.answered, 2)

    def asks_then(self) -> None:
        """He asks for the run afterwards."""
        self.asked = 3
        code = self.lab.run_plan(PLAN.name, self.course.then, request_id="then")
        demand(code is None, f"the plan's {self.course.then} is refused: {code}")
        self.answered = 3

    def has_ended(self) -> None:
        """The run is done, and every machine is where it brings it, with what it has to hold."""
        lab, run = self.lab, self.run
        demand(run.state is RunState.DONE, f"the run does not come to its end: {run.state.value}")
        demand(not run.errors, f"the run had errors: {', '.join(f'{n.subject} {n.text}' for n in run.errors)}")
        demand(any(number == run.number for number, _ in self.calls), "the script was never called")
        for machine in MACHINES:
            status = lab.status(machine)
            demand(lab.running(machine, self.course.place), f"machine {machine} does not run where the plan brings it")
            demand((status.job, status.resync) == (None, "none"), f"machine {machine} is stuck, or has to be resynchronised")
            if self.course.operation == Operation.TEST:
                demand(status.active == PRIMARY, f"a test failover has moved machine {machine}")
                self.held(machine, TEST, self.settled[machine])
                self.held(machine, PRIMARY, self.acked[machine])
            else:
                demand(status.active == RECOVERY, f"machine {machine} has not moved")
                demand(not lab.running(machine, PRIMARY), f"machine {machine} runs where it was left, too")
                exact = self.ended or self.course.operation == Operation.PLANNED
                count = self.held(machine, RECOVERY, (self.acked if exact else self.settled)[machine])
                self.issued[machine] = self.acked[machine] = count
        self.ended = True

    def is_over(self) -> None:
        """The run afterwards is done, and nothing is lost."""
        lab, run = self.lab, self.run
        demand((run.operation, run.state) == (self.course.then, RunState.DONE), f"the plan's {self.course.then} is not done")
        demand(not run.errors, f"the plan's {self.course.then} had errors")
        for machine in MACHINES:
            status = lab.status(machine)
            failover = "none" if self.course.operation == Operation.TEST else "committed"
            found = (status.job, status.test, status.failover)
            demand(found == (None, "none", failover), f"after the plan's {self.course.then} machine {machine} shows {found}")
            self.held(machine, status.active, self.acked[machine])

    # ------------------------------------------------------------------------------------------------- after a crash

    def goes_on(self, down: Sequence[str], at_rest: Any) -> None:
        """He finds the system started again after a crash, and brings the plan to its end. ``down``: faults that are not over."""
        lab, waited = self.lab, self.manual_id is not None
        self.dimmed = self.dimmed or bool(down)
        if self.answered:
            demand(self.run.number >= self.answered - 1, "the run of the plan is forgotten")
        for machine in MACHINES:
            if self.ended or self.course.operation != Operation.UNPLANNED or lab.status(machine).active == PRIMARY:
                count = self.held(machine, lab.status(machine).active, self.acked[machine])
                self.issued[machine] = self.acked[machine] = count
        self.settle()
        at_rest()
        if waited and self.asked == 1 and not self.dimmed:
            demand(self.run.manual_id == self.manual_id, "the run does not wait any more for its manual action")
        begun = lab.plan_run(PLAN.name) is not None
        if not begun:
            self.heal(down)
            down = ()
            self._bring_up()
            if not self.settled:
                self.work(settles=True)
        before = self.run.number if begun else 1
        self.asks()
        demand(self.run.number == before, "asking again by the same id has begun another run")
        if self.run.operation == self.course.operation:
            self._finish(down)
            self.has_ended()
        else:
            self.heal(down)
        self.asks_then()
        self.settle()
        self.is_over()

    def _finish(self, down: Sequence[str]) -> None:
        """Confirm what has to be confirmed, in the dark and after it; a planned run that the dark has ended is run again."""
        self._confirm()
        self.heal(down)
        self._confirm()
        if self.run.state is RunState.FAILED and self.dimmed:
            demand(self.course.operation == Operation.PLANNED, "the run has failed, although every error is to be noted alone")
            self._bring_up()
            self.asks("again")
            self._confirm()

    def _confirm(self) -> None:
        self.settle()
        if self.asked > 1 and self.manual_id is not None:
            self.lab.resume_plan(PLAN.name, self.manual_id)  # again, if it was taken in: that is no other confirmation
        if self.run.state is RunState.WAITING:
            self.confirms()
        self.settle()

    def _bring_up(self) -> None:
        """A source that was stopped before its failover failed is started again."""
        for machine in MACHINES:
            if self.lab.status(machine).active == PRIMARY and not self.lab.running(machine, PRIMARY):
                demand(self.lab.start_machine(machine, PRIMARY), f"machine {machine} cannot be started")
        self.settle()
