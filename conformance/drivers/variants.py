"""Correct variants of the bundled implementation: systems that do things in another way, and keep every promise.

Each is an override of one or two component classes, injected by the driver. None of them may ever be accused: a tester that
takes its own system's habits for the rules is of no use to anybody else. They differ in timing, in batching, in what they keep
and for how long, in the number of a job's internal steps, in what they do where the interface leaves a choice, and in caution.

`siteproof run --driver bundled~forgets-late` selects one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from typing import Any

import attrs

from siteproof.conformance.drivers.bugs_common import AGENTS, COORDINATORS, GROUPED, H2S, PLANNED, TARGETS, Variant, mixed
from siteproof.impl.agent import ReplicationAgent
from siteproof.impl.changelog import Tracked
from siteproof.impl.control import Job, StepResult
from siteproof.impl.coordinator import Coordinator, Provider
from siteproof.impl.group import ReplicationGroup
from siteproof.impl.messages import Send
from siteproof.impl.retention import ALL_WITHIN, HOUR
from siteproof.impl.target import ReplicationTarget
from siteproof.impl.values import OPERATIONS, Operation, Point, other
from siteproof.impl.vault import MachineRecord, Situation, Vault

__all__ = ["VARIANTS", "Variant"]


# --------------------------------------------------------------------------------------------------------------- points


class _TwoPoints(Coordinator):
    def periodic_cut(self, now: float) -> None:
        if self.should_cut() and self.session is not None:
            self.cut(other(self.session), now)
            self.cut(other(self.session), now)
        super().periodic_cut(now)


class _ThinsFromTheOtherEnd(ReplicationTarget):
    def points_to_prune(self, now: float, retention: float, in_use: Collection[str]) -> list[Point]:
        """Goes when a younger one, itself past the time in which all are kept, is near."""
        old = [p for p in self.points[:-1] if p.id not in in_use and now - p.cut_at > (ALL_WITHIN if self.thins else retention)]
        near = [p for p, younger in itertools.pairwise(old) if younger.cut_at - p.cut_at <= HOUR]
        return near if self.thins else old


class _ForgetsLate(ReplicationTarget):
    def points_to_prune(self, now: float, retention: float, in_use: Collection[str]) -> list[Point]:
        return super().points_to_prune(now, retention + HOUR, in_use)


class _KeepsAll(ReplicationTarget):
    def points_to_prune(self, now: float, retention: float, in_use: Collection[str]) -> list[Point]:  # noqa: ARG002
        return []


class _CutsEveryMinute(Coordinator):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.policy = attrs.evolve(self.policy, crash_consistent_minutes=1, replication_interval_seconds=0)


class _CutsEveryHour(Coordinator):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.policy = attrs.evolve(self.policy, crash_consistent_minutes=60, replication_interval_seconds=900)


# ------------------------------------------------------------------------------------------------------------- batching


class _OneWriteABatch(ReplicationAgent):
    def take_batch(self, now: float) -> list[Tracked]:
        return super().take_batch(now)[:1]


class _LastOfEachBlock(ReplicationAgent):
    def take_batch(self, now: float) -> list[Tracked]:
        last = {(write.disk, write.offset): write for write in super().take_batch(now)}
        return sorted(last.values(), key=lambda write: write.sequence)


class _SendsTwice(ReplicationAgent):
    def pump(self, now: float) -> list[Send]:
        return [send for send in super().pump(now) for _ in range(2)]


class _MergesBlockByBlock(Coordinator):
    def step_merge(self, job: Job, now: float) -> StepResult:
        side = other(self.record.active)
        if self.reach.up(side) and not self.sides[side].target.merge(1):
            return StepResult.AGAIN
        return super().step_merge(job, now)


# --------------------------------------------------------------------------------------------------------------- groups


class _ReleasesOneByOne(ReplicationGroup):
    """Whoever has been cut goes on at once: by then all are frozen, and nobody else goes on before it is cut as well."""

    def cut(self, member: str, name: str, now: float) -> bool:
        return super().cut(member, name, now) and super().release(member, name, now)

    def release(self, member: str, name: str, now: float) -> bool:
        super().release(member, name, now)
        return True


class _CutsWhenFrozen(ReplicationGroup):
    """Whoever is frozen is cut at once, and goes on when all have been: nobody acknowledges anything between its own cut and the
    last one."""

    def freeze(self, member: str, name: str, now: float) -> bool:
        return super().freeze(member, name, now) and super().cut(member, name, now)

    def cut(self, member: str, name: str, now: float) -> bool:  # noqa: ARG002
        return self.held(member, name)


# ----------------------------------------------------------------------------------------------------------------- jobs


class _NeverStops(Coordinator):
    def step_try_stop(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        return StepResult.DONE


class _PullsThePlug(Coordinator):
    def step_try_stop(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        if self.reach.in_contact():
            self.sides[self.record.active].host.power_off()
        return StepResult.DONE


class _MoreSteps(Coordinator):
    def steps(self, operation: str) -> tuple[Callable[[Job, float], StepResult], ...]:
        if operation not in (Operation.COMMIT, Operation.TEST, Operation.CLEANUP, Operation.DISABLE, Operation.CHANGE):
            return super().steps(operation)
        return tuple(step for one in super().steps(operation) for step in (self.step_nothing, one))

    def step_nothing(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Takes its time."""
        return StepResult.DONE


class _StartsTheSourceAgain(Provider):
    def fail_job(self, job: Job) -> None:
        super().fail_job(job)
        if job.operation == Operation.PLANNED and self.reach.up(self.record.active):
            self.sides[self.record.active].host.start()


# -------------------------------------------------------------------------------------------------------------- caution


class _Doubts(ReplicationAgent):
    def recover(self) -> None:
        super().recover()
        self.doubt()


class _AlwaysCompares(Coordinator):
    def resync_compares(self) -> bool:
        return True


class _CopiesEverything(Coordinator):
    def needs_new_machine(self) -> bool:
        return True


class _CodesFromTheEnd(Vault):
    def judge(self, record: MachineRecord, operation: str, point: str | None, situation: Situation) -> str | None:
        code = super().judge(record, operation, point, situation)
        late = self.precheck_code(record, operation, point, situation) if operation in OPERATIONS else None
        return code if code is None or late is None or not self.flow.offers(operation, record.active) else late


VARIANTS: tuple[Variant, ...] = (
    Variant("two-points", "Every cut makes two points of the same instant.", mixed(_TwoPoints, COORDINATORS)),
    Variant("thins-from-the-other-end", "Of old points the youngest of each hour stays, where others keep the oldest.",
            mixed(_ThinsFromTheOtherEnd, TARGETS)),
    Variant("forgets-late", "Retention removes a point an hour later than it may.", mixed(_ForgetsLate, TARGETS)),
    Variant("keeps-all-points", "Retention removes nothing.", mixed(_KeepsAll, TARGETS)),
    Variant("cuts-every-minute", "Replication is continuous, with a point a minute.", mixed(_CutsEveryMinute, COORDINATORS)),
    Variant("cuts-every-hour", "Changes are sent every quarter of an hour, with a point an hour.",
            mixed(_CutsEveryHour, COORDINATORS)),
    Variant("one-write-a-batch", "Every write is sent by itself.", mixed(_OneWriteABatch, AGENTS)),
    Variant("last-write-of-each-block", "A batch has each block once, as it was last written.", mixed(_LastOfEachBlock, AGENTS)),
    Variant("sends-twice", "Every message of the agent is sent twice.", mixed(_SendsTwice, AGENTS)),
    Variant("merges-block-by-block", "What a resynchronisation has staged is merged one block a step.",
            mixed(_MergesBlockByBlock, COORDINATORS)),
    Variant("releases-one-by-one", "A member of a group goes on as soon as it has been cut.",
            {"replication-group": _ReleasesOneByOne}, GROUPED),
    Variant("cuts-when-frozen", "A member of a group is cut as soon as it is frozen, and goes on when all have been.",
            {"replication-group": _CutsWhenFrozen}, GROUPED),
    Variant("never-stops-source", "An unplanned failover does not try to stop the source.", mixed(_NeverStops, COORDINATORS)),
    Variant("pulls-the-plug", "An unplanned failover powers the source off instead of stopping it.",
            mixed(_PullsThePlug, COORDINATORS)),
    Variant("more-steps", "Jobs take twice as many internal steps.", mixed(_MoreSteps, COORDINATORS)),
    Variant("starts-the-source-again", "A planned failover that fails starts its source again by itself.",
            mixed(_StartsTheSourceAgain, COORDINATORS[1:]), PLANNED),
    Variant("doubts-after-power-cut", "A log that has seen a power cut is never trusted: a resynchronisation is called for.",
            mixed(_Doubts, AGENTS)),
    Variant("always-compares", "The way back always compares, also where tracked writes would do.",
            mixed(_AlwaysCompares, COORDINATORS), (H2S,)),
    Variant("copies-everything", "The way back copies everything onto empty disks.", mixed(_CopiesEverything, COORDINATORS)),
    Variant("codes-from-the-end", "Where several reasons for a refusal hold, another one is given.", {"vault": _CodesFromTheEnd}),
)  # fmt: skip
