"""The exhaustive crash test of recovery plans: a crash after every durable effect while a plan runs, and in a script (P14).

Three machines in two boot groups, a script after the first, a manual action before the second (:mod:`.bundled_plan_operator`).
The plan is run, and run again for what comes afterwards: a commit, or the cleanup of a test. After each effect the world is
copied as a crash would leave it, with all sites or with one that stays dark for a while. The call of the script is a point of a
crash as well: the script has worked by then, and nothing says so yet. The system starts again, and the operator, who does not
know what of his last request was taken in, makes it again by its id and goes on. What must hold:

=========  ============================================================================================================
P14        no machine of the second group runs before all of the first do, nor before the manual action was confirmed;
           the script is called between the groups, at least once, in one run by one id, and is told that it may be a
           repetition
P16        asking again for the run begins no other one; a manual action that was waited for is waited for still
P17        the run that was begun is known, and comes to its end; where the dark has ended a planned one, a second run
           finishes what is left
P2         there are never two running sides of a machine, but after an unplanned failover without contact
P1         a planned run loses no acknowledged write; any other loses none that had arrived when it was asked for
P20        a disk holds a beginning of what was written, and nothing else
=========  ============================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from siteproof.conformance.drivers.bundled_crash_walk import NOWHERE, CrashWalk, images_of_machines, walk_with_pairs
from siteproof.conformance.drivers.bundled_crashes import Plan, Tally
from siteproof.conformance.drivers.bundled_judge import demand
from siteproof.conformance.drivers.bundled_plan_operator import MACHINES, PLAN, WARM, Course, Operator
from siteproof.impl.lab import Lab
from siteproof.impl.loader import Topology
from siteproof.impl.plan import ScriptCall
from siteproof.impl.simulated_disk import SimulatedStorage
from siteproof.impl.values import Operation

__all__ = ["explore_plan"]


class _PlanWalk(CrashWalk[Operator]):
    """A plan is run, and crashes strike meanwhile; see the module."""

    components: Mapping[str, type] = {}

    def lab(self, storage: SimulatedStorage, known: Operator, *, resume: bool, down: Sequence[str] = ()) -> Lab:
        def script(call: ScriptCall) -> bool:
            done = known.script(call)
            if storage.listener is not None:
                storage.listener(f"call of script {call.script}")
            return done

        known.lab = Lab(
            self.topology, self.images, NOWHERE, self.seed, storage=storage, resume=resume, reproducible=True,
            down=sorted({*down, *known.faults} if resume else ()),
            plans=[PLAN], hooks={WARM: script}, components=self.components,
        )  # fmt: skip
        return known.lab

    def copied(self, known: Operator) -> Operator:
        return known.copy()

    def step(self) -> int:
        return self.known.asked

    def history(self, lab: Lab) -> None:
        operator, operation = self.known, self.known.course.operation
        for machine in MACHINES:
            demand(lab.request(machine, Operation.ENABLE) is None, "protection is refused")
        operator.settle()
        operator.work(settles=True)
        self.storage.listener = self.effect
        if operation == Operation.PLANNED:
            operator.work()
        operator.fault()
        operator.asks()
        if operation != Operation.UNPLANNED:  # which may lose what is written now
            operator.work()
        operator.settle()
        operator.manual_id = operator.run.manual_id
        operator.confirms()
        operator.settle()
        operator.heal(operator.faults)
        operator.has_ended()
        operator.work()
        operator.asks_then()
        operator.settle()
        operator.is_over()

    def goes_on(self, lab: Lab, known: Operator, down: Sequence[str], at_rest: Callable[[], None]) -> None:  # noqa: ARG002
        known.goes_on(sorted({*down, *known.faults}), at_rest)


def _silent(tally: Tally) -> None:
    """Shows nothing."""


def explore_plan(
    topology: Topology,
    course: Course,
    folder: Path,
    seed: int = 0,
    plan: Plan | None = None,
    progress: Callable[[Tally], None] = _silent,
    components: Mapping[str, type] | None = None,
) -> Tally:
    """Crash after each effect while a recovery plan runs, and once more while the system recovers: of the pairs, as many as
    ``plan`` says, spread evenly.

    Args:
        topology: a flow that has recovery plans.
        course: what the plan is run for.
        folder: where three small base images are made; nothing else is written.
        progress: called after each crash point.
        components: component classes by role name, in place of the built-in ones: to see whether this test notices.
    """
    images, wanted = images_of_machines(folder, MACHINES), plan or Plan()
    base = {machine: paths[0].read_bytes() for machine, paths in images.items()}

    def walk(every: int) -> CrashWalk[Operator]:
        made = _PlanWalk(topology, images, seed, wanted, progress, Operator(course, base), every)
        made.name, made.components = course.name, components or {}
        return made

    return walk_with_pairs(walk, wanted.pairs)
