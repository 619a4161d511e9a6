"""Correct variants of the bundled implementation: systems that do things in another way, and keep every promise.

Each is an override of one or two component classes, injected by the driver. None of them may ever be accused: a tester that
takes its own system's habits for the rules is of no use to anybody else.

`siteproof run --driver bundled~thins-points` selects one.
"""

from __future__ import annotations

from collections.abc import Collection

from siteproof.conformance.drivers.bugs_common import AGENTS, COORDINATORS, TARGETS, Variant, everywhere
from siteproof.impl.agent import ReplicationAgent
from siteproof.impl.control import Job, StepResult
from siteproof.impl.coordinator import Coordinator
from siteproof.impl.target import ReplicationTarget
from siteproof.impl.values import Point, other

__all__ = ["VARIANTS", "Variant"]


def _two_points(of: type[Coordinator]) -> type:
    class TwoPoints(of):  # type: ignore[valid-type, misc]
        def periodic_cut(self, now: float) -> None:
            if self.should_cut() and self.session is not None:
                self.cut(other(self.session), now)
                self.cut(other(self.session), now)
            super().periodic_cut(now)

    return TwoPoints


def _thins(of: type[ReplicationTarget]) -> type:
    class Thins(of):  # type: ignore[valid-type, misc]
        def points_to_prune(self, now: float, retention: float, in_use: Collection[str]) -> list[Point]:  # noqa: ARG002
            return [p for p in self.points[-2:0:-2] if p.id not in in_use]

    return Thins


def _never_stops(of: type[Coordinator]) -> type:
    class NeverStops(of):  # type: ignore[valid-type, misc]
        def step_try_stop(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
            return StepResult.DONE

    return NeverStops


def _one_by_one(of: type[ReplicationTarget]) -> type:
    class OnlyNewest(of):  # type: ignore[valid-type, misc]
        def points_to_prune(self, now: float, retention: float, in_use: Collection[str]) -> list[Point]:  # noqa: ARG002
            return [p for p in self.points[:-1] if p.id not in in_use]

    return OnlyNewest


def _doubts_after_power_cut(of: type[ReplicationAgent]) -> type:
    class Doubts(of):  # type: ignore[valid-type, misc]
        def recover(self) -> None:
            super().recover()
            self.doubt()

    return Doubts


VARIANTS: tuple[Variant, ...] = (
    Variant("two-points", "Every cut makes two points of the same instant.", everywhere(_two_points, *COORDINATORS)),
    Variant("thins-points", "Retention thins the points out instead of cutting the old end off.", everywhere(_thins, *TARGETS)),
    Variant("only-newest", "Retention keeps the newest point only.", everywhere(_one_by_one, *TARGETS)),
    Variant(
        "never-stops-source", "An unplanned failover does not try to stop the source.", everywhere(_never_stops, *COORDINATORS)
    ),
    Variant(
        "doubts-after-power-cut",
        "A log that has seen a power cut is never trusted: a resynchronisation is called for.",
        everywhere(_doubts_after_power_cut, *AGENTS),
    ),
)
