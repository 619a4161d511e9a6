"""How old a recovery point has to be before retention may remove it.

Rules
1. Which points age removes is the retention level's to say (`siteproof.model.aspects.retention`): its actions `expire` and `thin`
   are asked, with the ages at hand. What is said here is only which numbers a policy stands for.
2. A point may go when it is older than `retention_hours`. Where the policy has `all_points_hours`, older ones are thinned before:
   one for each hour is kept where points are kept for up to a day; one for each two hours where they are kept for up to seven
   days; beyond these seven days one for each four.
3. Ages are not known, only bounded (`Span`). A point is no older than the newest write that it holds, and not made before the
   points that stand before it in the list; and it had been made when it was first listed. Only what no age within the bounds
   allows is held against a system. So after a long time without writes, and where the time is not told, removal by age is not
   judged.

Source: domain 2.5 (pruning), 2.6 (policies); P4.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import attrs

from siteproof.conformance.case import Scenario
from siteproof.model.aspects.retention import LEVEL
from siteproof.model.readings.python import compile_model
from siteproof.model.topology import load_topology

__all__ = ["Ages", "Span", "ages_for", "hours"]

HOUR = 3600
DAY = 24 * HOUR


class Span(NamedTuple):
    """When a point was made, in seconds: not before `first`, not after `last`."""

    first: float
    last: float

    def apart(self, other: Span) -> float:
        """The least time between the two."""
        return max(0.0, self.first - other.last, other.first - self.last)


def hours(seconds: float) -> str:
    """A time in words: 2 h 5 min."""
    minutes = math.ceil(seconds / 60)
    told = [f"{minutes // 60} h" if minutes >= 60 else "", f"{minutes % 60} min" if minutes % 60 or minutes < 60 else ""]
    return " ".join(filter(None, told))


@attrs.frozen(eq=False)
class Ages:
    """A policy's limits, in seconds: up to the age `dense` every point is kept, beyond `retention` none needs to be."""

    dense: int
    retention: int
    ask: Callable[[dict[str, int]], bool]

    @classmethod
    def of(cls, name: str, facts: Mapping[str, bool], policy: Mapping[str, int]) -> Ages | None:
        """Those of a flow with these facts; None where the policy says nothing of retention."""
        if "retention_hours" not in policy:
            return None
        compiled = compile_model(LEVEL.build(name, facts))
        steps = [compiled.actions[action].step for action in ("expire", "thin")]
        usual = dict(zip(compiled.model.names, compiled.initial, strict=True)) | {"begun": True, "kept": True}

        def ask(ages: dict[str, int]) -> bool:
            state = tuple((usual | ages).values())
            return any(step(state) is not None for step in steps)

        retention = policy["retention_hours"] * HOUR
        dense = policy.get("all_points_hours")
        return cls(retention if dense is None else min(dense * HOUR, retention), retention, ask)

    @property
    def told(self) -> str:
        """The policy in words."""
        if self.dense == self.retention:
            return f"every point kept for {hours(self.retention)}"
        then = f"and then one for each {hours(self.spacing(0))}, for {hours(self.retention)}"
        return f"every point kept for {hours(self.dense)}, {then}"

    def spacing(self, age: float) -> int:
        """How far apart points of this age are kept."""
        if self.retention <= DAY:
            return HOUR
        return 4 * HOUR if age > 7 * DAY and self.retention > 7 * DAY else 2 * HOUR

    def may_go(self, point: Span, now: float, others: Iterable[Span]) -> bool:
        """Whether retention may have removed a point that is not the newest, where `others` are those that stayed or went for
        their age."""
        age = max(1, math.ceil(now - point.first))
        ages = {"dense": self.dense, "retention": self.retention, "kept_age": age, "spacing": self.spacing(age)}
        near = min((point.apart(other) for other in others), default=None)
        if near is not None:
            ages |= {"younger": True, "younger_age": max(0, age - math.floor(near))}
        return self.ask(ages)

    def expired(self, point: Span, now: float) -> bool:
        """Whether a point may be older than any that is kept."""
        return now - point.first > self.retention


def ages_for(scenario: Scenario) -> Ages | None:
    """Those of a scenario: its topology's policy, with its own settings on top."""
    return _known(scenario.topology, tuple(sorted(scenario.policy.items())))


@functools.lru_cache(maxsize=32)
def _known(source: str, policy: tuple[tuple[str, int], ...]) -> Ages | None:
    topology = load_topology(source)
    return Ages.of(topology.id, topology.facts, {**topology.policy, **dict(policy)})
