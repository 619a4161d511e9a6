"""Test failover: a copy of the machine runs beside it, and nothing else notices.

Rules
1. The copy is made at the passive side of a recovery point, and runs there in a network of its own. Nothing but the test
   copy's own variables change, and the job (P6). Replication and new points go on meanwhile.
2. What the copy writes is never promised to anybody: a marked write that is issued there is discarded at once.
3. The point that the copy was made of is pinned until the cleanup.
4. Making, running and removing the copy need the passive side's site and nothing else. When that site loses power the copy
   stops; it starts again with the power.
5. Until the cleanup every other operation is refused, so a test begins and ends within one time of replication.
"""

from __future__ import annotations

from siteproof.model.promise.environment import marks
from siteproof.model.promise.guards import advertised, idle, in_step, not_ended, offered, side_up, untested
from siteproof.model.promise.points import content_of
from siteproof.model.promise.vocabulary import Failover, Fate, Job, Machine, Point, Protection, Test
from siteproof.model.system import ActionRule, Facts, Requires, Step, command, environment, internal
from siteproof.model.terms import And, Bool, Choice, If, Implies, Not, Or

__all__ = ["TESTING"]


@command("TestFailover", ("GEN-16", "GEN-17", "V2A-26", "H2A-33", "H2S-22"), {"point": Point})
def test_failover(t: Facts, m: Machine, point: Choice[Point]) -> Step:
    """Try the failover: run a copy of the machine at a recovery point, apart from everything else."""
    return Step(
        requires=[
            not_ended(m), offered(t, m, "test_failover"), idle(m), untested(m),
            Requires(m.protection == Protection.PROTECTED, "NotProtected"),
            Requires(m.failover == Failover.NONE, "FailoverPending"),
            in_step(m), side_up(m.passive_up), advertised(m, point),
        ],
        changes=[m.job.becomes(Job.TEST), m.chosen.becomes(point)],
    )


@internal(("GEN-16", "H2S-22"))
def make_test_copy(t: Facts, m: Machine) -> Step:
    """The test copy is made of the chosen point; “latest” is first made of everything received."""
    point = content_of(m)
    processed = And(m.chosen == Point.LATEST, t["unplanned.latest_processes_received"])
    return Step(
        requires=[m.job == Job.TEST, Not(m.half), m.passive_up, Implies(processed, m.latest == m.passive)],
        changes=[
            m.half.becomes(True), m.test_at.becomes(point.position), m.x_test.becomes(point.holds),
            m.pinned.becomes(point.is_kept),
        ],
    )


@internal(("GEN-16", "H2S-22"))
def start_test_copy(_t: Facts, m: Machine) -> Step:
    """The test copy starts, and waits for its cleanup."""
    return Step(
        requires=[m.job == Job.TEST, m.half, m.passive_up],
        changes=[
            m.job.becomes(Job.NONE), m.half.becomes(False), m.test.becomes(Test.RUNNING), m.test_running.becomes(True),
        ],
    )


@environment((), {"mark": bool})
def write_test_copy(_t: Facts, m: Machine, mark: Bool) -> Step:
    """The test copy writes a block, on its own disk."""
    marked = marks(m, mark)
    return Step(
        requires=[m.test_running],
        changes=[m.x_fate.becomes(If(marked, Fate.DISCARDED, m.x_fate)), m.x_test.becomes(Or(m.x_test, marked))],
    )


@internal((), fair=False)
def leak_test_write(t: Facts, m: Machine) -> Step:
    """What the test copy holds comes back to the machine. With a network of its own this cannot happen."""
    return Step(
        requires=[Not(t["test.isolated"]), m.test_running],
        changes=[m.x_active.becomes(Or(m.x_active, m.x_test))],
    )


@internal((), fair_when=lambda _t, m: m.job != Job.CLEANUP)
def boot_test_copy(_t: Facts, m: Machine) -> Step:
    """The test copy, stopped by a power cut, runs again; while it is cleaned up that may be left out."""
    return Step(
        requires=[m.test == Test.RUNNING, Not(m.test_running), m.passive_up],
        changes=[m.test_running.becomes(True)],
    )


@command("TestFailoverCleanup", ("GEN-16", "H2S-22"))
def test_failover_cleanup(t: Facts, m: Machine) -> Step:
    """End the test: the copy and everything written to it go."""
    return Step(
        requires=[
            not_ended(m), offered(t, m, "test_failover"), idle(m),
            Requires(m.test == Test.RUNNING, "NoTestFailover"), side_up(m.passive_up),
        ],
        changes=[m.job.becomes(Job.CLEANUP)],
    )


@internal((), fair=False)
def stop_test_copy(_t: Facts, m: Machine) -> Step:
    """The test copy is stopped before it is removed."""
    return Step(requires=[m.job == Job.CLEANUP, m.test_running], changes=[m.test_running.becomes(False)])


@internal(("GEN-16", "H2S-22"))
def remove_test_copy(_t: Facts, m: Machine) -> Step:
    """The test copy is gone, with all that it wrote; its point is pinned no longer."""
    return Step(
        requires=[m.job == Job.CLEANUP, m.passive_up],
        changes=[
            m.job.becomes(Job.NONE), m.test.becomes(Test.NONE), m.test_running.becomes(False), m.test_at.becomes(0),
            m.pinned.becomes(False), m.x_test.becomes(False), m.chosen.becomes(Point.LATEST),
        ],
    )


TESTING: tuple[ActionRule, ...] = (
    test_failover, make_test_copy, start_test_copy, write_test_copy, leak_test_write, boot_test_copy, test_failover_cleanup,
    stop_test_copy, remove_test_copy,
)
