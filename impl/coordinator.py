"""Jobs and coordination: what the configuration server (VMware) and the Providers (Hyper-V) do on the control path.

A job is a list of steps. A step is one event: it runs whole or not at all; faults, writes and requests happen between
steps. It answers *done* (next step after a short virtual time), *wait* (tried again when something changes), *again*
(from the first step) or *failed* (only a planned failover fails).

==================  ==================================================================================================
EnableProtection    prepare, copy, catch up, finish
PlannedFailover     stop, drain, switch
UnplannedFailover   (on acceptance: replication halts) stop the source if reachable, choose the point, switch
Commit              first half (frozen), second half (points deleted, failover final)
ReverseReplicate    prepare, copy, catch up, finish
==================  ==================================================================================================

*Switch* of a planned failover is one step in which both sides are in contact: it re-checks that the source is stopped
and drained, cuts the last point, fences the source and hands over; so there is no moment at which both or neither could
run (P1, P3). *Switch* of an unplanned failover needs the target site only (P22); the source is marked stale, and is
fenced as soon as it can be reached, before anything else, by :meth:`Coordinator.contact`.

A change log that is damaged after a crash makes a *resynchronisation* necessary (P9): until the sides have been
compared and have caught up, no point is cut, the points that exist stay, and ``latest`` means the newest of them (P10).
"""

from __future__ import annotations

from collections.abc import Callable

from .control import Job, Reach, Side, StepResult
from .flows import Flow
from .loader import Policy
from .values import PRIMARY, Operation, Point, other
from .vault import MachineRecord
from .vm_host import VmHost

__all__ = ["ConfigurationServer", "Coordinator", "Provider"]

STALE_SIDE_FENCED = "StaleSideFenced"
RESYNC_REQUIRED = "ResyncRequired"


class Coordinator:
    """Runs the jobs of one machine.

    Overridable: every ``step_*`` method, :meth:`contact`, :meth:`is_drained`, :meth:`source_is_off`,
    :meth:`choose_point`, :meth:`should_cut`, :meth:`next_epoch`, :meth:`resync_compares`.
    """

    def __init__(
        self, record: MachineRecord, sides: dict[str, Side], flow: Flow, policy: Policy, reach: Reach
    ) -> None:
        self.record = record
        self.sides = sides
        self.flow = flow
        self.policy = policy
        self.reach = reach
        self.job: Job | None = None
        self.session: str | None = None
        """Side that sends, while replication is on."""
        self.ready = False
        """Whether the replica is a prefix: the base copy is complete and caught up."""
        self.resyncing = False
        """Whether a resynchronisation runs outside any job."""
        self.resync_goal: int | None = None
        """Writes acknowledged at the end of that comparison."""

    # ------------------------------------------------------------------------------------------------------- jobs

    def begin(self, operation: str, point: str | None, now: float) -> None:  # noqa: ARG002
        """Start the job of an accepted request; an unplanned failover pre-empts a planned one (P16)."""
        self.job = Job(operation, point=point)
        self.record.job = operation
        if operation == Operation.ENABLE:
            self.record.protection = "initial"
            self.record.direction = "forward"
        elif operation == Operation.UNPLANNED:
            self.halt_replication()
            target = self.sides[other(self.record.active)].target
            if point == "latest-processed":
                self.job.point = target.points[-1].id
            if self.job.point not in (None, "latest"):
                self.record.in_use.add(self.job.point or "")

    def steps(self, operation: str) -> tuple[Callable[[Job, float], StepResult], ...]:
        """The steps of an operation, in order."""
        table: dict[str, tuple[Callable[[Job, float], StepResult], ...]] = {
            Operation.ENABLE: (self.step_prepare_enable, self.step_copy, self.step_catch_up, self.step_finish_enable),
            Operation.PLANNED: (self.step_stop_source, self.step_drain, self.step_planned_switch),
            Operation.UNPLANNED: (self.step_try_stop, self.step_choose_point, self.step_unplanned_switch),
            Operation.COMMIT: (self.step_commit_first_half, self.step_commit_second_half),
            Operation.REVERSE: (
                self.step_prepare_reverse, self.step_copy, self.step_catch_up, self.step_finish_reverse,
            ),
        }  # fmt: skip
        return table[operation]

    def run_step(self, now: float) -> StepResult:
        """Run the next step of the job. After ``DONE`` the next one is due later; other results see the enum."""
        job = self.job
        if job is None:
            return StepResult.WAIT
        steps = self.steps(job.operation)
        result = steps[job.step](job, now)
        if self.job is not job:
            return StepResult.WAIT
        if result is StepResult.DONE:
            job.step += 1
            if job.step == len(steps):
                self.end_job()
        elif result is StepResult.AGAIN:
            job.step = 0
        elif result is StepResult.FAILED:
            self.end_job()
        return result

    def end_job(self) -> None:
        """The job is over, done or failed."""
        self.job = None
        self.record.job = None
        self.record.in_use.clear()

    # ------------------------------------------------------------------------------------------------ replication

    def next_epoch(self) -> int:
        """A new epoch, higher than any before."""
        self.record.epoch += 1
        return self.record.epoch

    def open_session(self, source: str, *, received: int, fresh: bool) -> None:
        """Connect source and target and start to send."""
        send_to, reply_to = self.reach.route(self.record.machine, source)
        self.sides[other(source)].target.open_session(self.record.epoch, received, reply_to, fresh=fresh)
        self.sides[source].agent.open_session(send_to)
        self.session = source
        self.ready = False
        self.resyncing = False

    def halt_replication(self) -> None:
        """Replication stops; what has been received stays."""
        if self.session is not None:
            self.sides[other(self.session)].target.halt()
            self.sides[self.session].agent.close_session()
        self.session = None

    def should_cut(self) -> bool:
        """Whether a periodic point is due: replication on, caught up, something new received (P24)."""
        return (
            self.session is not None
            and self.replica_is_prefix()
            and self.record.protection == "protected"
            and self.reach.up(other(self.session))
            and self.sides[other(self.session)].target.new_since_last_point()
        )

    def cut(self, side: str, now: float) -> Point:
        """Cut a new point on a side's target; ids are never used again."""
        self.record.points_made += 1
        self.record.points_at = side
        return self.sides[side].target.cut_point(f"p{self.record.points_made}", now)

    def periodic_cut(self, now: float) -> None:
        """Cut a point if one is due, then prune by retention."""
        if self.should_cut() and self.session is not None:
            target = self.sides[other(self.session)].target
            self.cut(other(self.session), now)
            target.prune(now, self.policy.retention_hours * 3600, self.record.in_use)

    def urgent(self) -> bool:
        """Whether changes are sent at once instead of at the next replication interval: something waits for them."""
        return self.job is not None or self.resyncing

    def check_tracking(self) -> None:
        """After a crash: if tracked changes were lost or are in doubt, start over by comparing both sides (P9)."""
        if self.session is None or not self.sides[self.session].agent.resync_required:
            return
        self.raise_alert(RESYNC_REQUIRED)
        if self.job is not None and self.job.operation in (Operation.ENABLE, Operation.REVERSE):
            self.halt_replication()
            self.job.step = 0
            return
        source = self.sides[self.session]
        source.agent.start_tracking(self.record.epoch, source.host.acknowledged)
        self.open_session(self.session, received=source.host.acknowledged, fresh=False)
        source.agent.start_copy(compare=True)
        self.resyncing = True
        self.resync_goal = None

    def distrust(self) -> None:
        """Content arrived that is not what was tracked; it was not used, and the sides have to be compared (P9)."""
        if self.session is not None:
            self.sides[self.session].agent.resync_required = True
            self.check_tracking()

    def replica_is_prefix(self) -> bool:
        """Whether the replica holds exactly a prefix now: never in the middle of a copy or of a resynchronisation."""
        if self.resyncing and self.session is not None:
            source = self.sides[self.session]
            if not source.agent.copying:
                if self.resync_goal is None:
                    self.resync_goal = source.host.acknowledged
                if self.sides[other(self.session)].target.received >= self.resync_goal:
                    self.ready = True
                    self.resyncing = False
        return self.ready

    # ---------------------------------------------------------------------------------------------------- contact

    def contact(self) -> None:
        """The sides are in contact: a stale side is fenced before anything else and its loss becomes known (P2, P3)."""
        stale = self.record.stale
        if stale is None or not self.reach.in_contact():
            return
        host = self.sides[stale].host
        if host.fence(self.record.epoch):
            self.raise_alert(STALE_SIDE_FENCED)
        self.record.loss = self.count_loss(host)
        self.record.stale = None

    def count_loss(self, host: VmHost) -> int:
        """Writes that a stale side acknowledged beyond the failover point."""
        return host.acknowledged - self.record.branched_at

    def raise_alert(self, name: str) -> None:
        """Raise an alert once."""
        if name not in self.record.alerts:
            self.record.alerts.append(name)

    # ------------------------------------------------------------------------------- enable and reverse replication

    def step_prepare_enable(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Tracking is switched on before the first byte is copied (P23)."""
        if not self.reach.data_path():
            return StepResult.WAIT
        host = self.sides[PRIMARY].host
        host.agent.start_tracking(self.record.epoch, host.acknowledged)
        self.open_session(PRIMARY, received=host.acknowledged, fresh=True)
        host.agent.start_copy(compare=False)
        return StepResult.DONE

    def step_copy(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Wait for the base copy; what was acknowledged until its end has to follow."""
        source = self.sides[self.session or self.record.active]
        if source.agent.copying:
            return StepResult.WAIT
        job.goal = source.host.acknowledged
        return StepResult.DONE

    def step_catch_up(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Wait until every write acknowledged before the end of the copy is on the target."""
        target = self.sides[other(self.record.active)].target
        return StepResult.DONE if target.received >= job.goal else StepResult.WAIT

    def step_finish_enable(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """The first point is cut, and the machine is protected."""
        if not self.reach.in_contact():
            return StepResult.WAIT
        self.ready = True
        self.record.protection = "protected"
        self.cut(other(self.record.active), now)
        return StepResult.DONE

    def resync_compares(self) -> bool:
        """Whether the former source must be compared block by block: only a side that took over in a planned failover,
        and has tracked every write since, may send the changes alone (H2S-27, H2S-28).
        """
        agent = self.sides[self.record.active].agent
        return self.record.protection != "protected" or not agent.tracking or agent.resync_required

    def step_prepare_reverse(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Connect the way back; resynchronise if the two sides may differ by more than what is tracked."""
        if not self.reach.data_path() or self.record.stale is not None:
            return StepResult.WAIT
        source = self.sides[self.record.active]
        compare = self.resync_compares()
        if compare:
            source.agent.start_tracking(self.record.epoch, source.host.acknowledged)
        self.open_session(self.record.active, received=source.agent.shipped, fresh=False)
        if compare:
            source.agent.start_copy(compare=True)
        return StepResult.DONE

    def step_finish_reverse(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """The former source follows; replication is turned; the points become one fresh point (P10)."""
        if not self.reach.in_contact():
            return StepResult.WAIT
        record = self.record
        self.ready = True
        record.protection = "protected"
        record.direction = "forward" if record.active == PRIMARY else "reverse"
        record.failover = "none"
        self.cut(other(record.active), now)
        return StepResult.DONE

    # --------------------------------------------------------------------------------------------- planned failover

    def source_is_off(self) -> bool:
        """Whether the source is stopped: asked, not assumed."""
        return not self.sides[self.record.active].host.guest.running

    def is_drained(self) -> bool:
        """Whether everything acknowledged is on the other side."""
        source = self.sides[self.record.active]
        received = self.sides[other(self.record.active)].target.received
        return self.replica_is_prefix() and source.agent.drained(source.host.acknowledged, received)

    def step_stop_source(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Orderly stop of the source; its cached writes are flushed first (H2S-24)."""
        if not self.reach.data_path():
            return StepResult.FAILED
        self.sides[self.record.active].host.stop(now)
        return StepResult.DONE

    def step_drain(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Wait until everything acknowledged is on the other side."""
        if not self.reach.data_path():
            return StepResult.FAILED
        if not self.source_is_off():
            return StepResult.AGAIN
        return StepResult.DONE if self.is_drained() else StepResult.WAIT

    def step_planned_switch(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Hand over, both sides in contact; a source that was restarted is stopped and drained again."""
        if not self.reach.data_path():
            return StepResult.FAILED
        if not self.source_is_off() or not self.is_drained():
            return StepResult.AGAIN
        record = self.record
        source, side = record.active, other(record.active)
        target = self.sides[side].target
        point = self.cut(side, now)
        self.halt_replication()
        epoch = self.next_epoch()
        self.sides[source].host.fence(epoch)
        target.branch_at(point)
        taking = self.sides[side]
        taking.agent.start_tracking(epoch, point.sequence)
        taking.host.take_over(epoch, point.sequence)
        record.active = side
        record.failover = "planned"
        record.failover_point = None
        return StepResult.DONE

    # ------------------------------------------------------------------------------------------- unplanned failover

    def step_try_stop(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Best effort: stop the source if it can be reached. Nothing that goes wrong here stops the failover."""
        if self.reach.in_contact():
            self.sides[self.record.active].host.stop(now)
        return StepResult.DONE

    def choose_point(self, job: Job, now: float) -> Point | None:
        """The point to fail over to; ``latest`` first makes everything received into a new one."""
        side = other(self.record.active)
        if job.point in (None, "latest"):
            return self.cut(side, now) if self.ready else self.sides[side].target.points[-1]
        return self.sides[side].target.find(job.point or "")

    def step_choose_point(self, job: Job, now: float) -> StepResult:
        """Decide on the point and pin it."""
        if not self.reach.up(other(self.record.active)):
            return StepResult.WAIT
        job.chosen = self.choose_point(job, now)
        if job.chosen is None:
            return StepResult.FAILED
        self.record.in_use.add(job.chosen.id)
        return StepResult.DONE

    def step_unplanned_switch(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """The target becomes the machine with exactly the content of the point; needs the target site only (P22)."""
        record = self.record
        source, side = record.active, other(record.active)
        if not self.reach.up(side) or job.chosen is None:
            return StepResult.WAIT
        point, target = job.chosen, self.sides[side].target
        epoch = self.next_epoch()
        record.received = target.received
        record.loss = None
        record.branched_at = point.sequence
        record.stale = source
        target.branch_at(point)
        record.active = side
        record.failover = "unplanned"
        record.failover_point = point.id
        record.protection = "none"
        self.contact()
        self.sides[side].host.take_over(epoch, point.sequence)
        return StepResult.DONE

    # ------------------------------------------------------------------------------------------------------- commit

    def step_commit_first_half(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """The failover is frozen: from here the commit only rolls forward (P7)."""
        self.record.committing = True
        return StepResult.DONE

    def step_commit_second_half(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """The points are deleted and the failover is final; in VMware a committed failback ends protection (V2A-52)."""
        record = self.record
        if not self.reach.up(record.active):
            return StepResult.WAIT
        self.sides[record.active].target.delete_points()
        record.points_at = None
        record.committing = False
        record.failover_point = None
        if self.flow.failback_ends_protection and record.active == PRIMARY:
            record.failover = "none"
            record.protection = "none"
            record.direction = "forward"
        else:
            record.failover = "committed"
        return StepResult.DONE


class ConfigurationServer(Coordinator):
    """Coordinates replication between the premises and Azure (V2A-9, V2A-10)."""


class Provider(Coordinator):
    """The Site Recovery Provider on the VMM servers: coordinates replication between two sites (H2S-5, H2S-6)."""
