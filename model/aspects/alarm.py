"""The lag of one machine, and the alarm that it raises (P25).

Rules
1. Time passes in ticks. The *lag* is the time since the instant that the newest recovery point shows. It grows with every tick,
   whatever the reason that no newer point is made: the machine may be paused, resynchronised, or held up by its group.
2. A monitor looks at the lag once a tick. It compares with a threshold, any number, which the policy sets before protection
   starts, and raises or clears the alarm. Replication does not depend on it.
3. The alarm may be late by one tick and no more.

Sources: domain 2.6 (the threshold changes no replication), bug story 12 (no lag was computed while replication stood still).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from siteproof.model.catalogue import promise
from siteproof.model.claims import Claim, always, step
from siteproof.model.engines.scope import Scope
from siteproof.model.level import Level
from siteproof.model.system import (
    ActionRule,
    Facts,
    Model,
    Step,
    Vocabulary,
    build_model,
    choice,
    environment,
    flag,
    internal,
    nat,
    remembered,
)
from siteproof.model.terms import And, Bool, Choice, If, Implies, Not

__all__ = ["LEVEL", "Phase", "Watched"]


class Phase(enum.Enum):
    """What replication of the machine is doing."""

    NONE = "none"
    FOLLOWING = "following"
    PAUSED = "paused"
    RESYNCHRONISING = "resynchronising"
    BLOCKED = "blocked by its group"


class Watched(Vocabulary):
    """One machine, as its monitor sees it."""

    phase = choice(Phase.NONE, "what replication is doing")
    lag = nat(0, "ticks since the instant that the newest point shows")
    threshold = nat(0, "the lag, in ticks, that is still no reason for an alarm")
    alarm = flag(False, "the alarm is raised")
    looked = flag(True, "the monitor has looked since the last tick")


@environment(("V2A-27", "GEN-12"))
def raise_threshold(_t: Facts, m: Watched) -> Step:
    """The policy allows for one more tick."""
    return Step(requires=[m.phase == Phase.NONE], changes=[m.threshold.becomes(m.threshold + 1)])


@internal(("V2A-28", "H2S-20"), fair=False)
def start(_t: Facts, m: Watched) -> Step:
    """Initial replication is complete, with a first point."""
    return Step(
        requires=[m.phase == Phase.NONE],
        changes=[m.phase.becomes(Phase.FOLLOWING), m.lag.becomes(0), m.alarm.becomes(False), m.looked.becomes(True)],
    )


@environment()
def stop(_t: Facts, m: Watched) -> Step:
    """Protection ends."""
    return Step(requires=[m.phase != Phase.NONE], changes=[m.phase.becomes(Phase.NONE), m.alarm.becomes(False)])


@internal(("GEN-12",), fair=False)
def cut_point(_t: Facts, m: Watched) -> Step:
    """A point of the present instant is made."""
    return Step(requires=[m.phase == Phase.FOLLOWING], changes=[m.lag.becomes(0)])


@internal(("GEN-12",), fair=False)
def cut_older_point(_t: Facts, m: Watched) -> Step:
    """A point is made that is newer than the last one by a tick, and shows an instant that is past."""
    return Step(requires=[m.phase == Phase.FOLLOWING, m.lag > 0], changes=[m.lag.becomes(m.lag - 1)])


@environment((), {"phase": Phase})
def hold_up(_t: Facts, m: Watched, phase: Choice[Phase]) -> Step:
    """Replication is paused, has to be resynchronised, or waits for another machine of its group."""
    held = phase.is_in(Phase.PAUSED, Phase.RESYNCHRONISING, Phase.BLOCKED)
    return Step(requires=[m.phase == Phase.FOLLOWING, held], changes=[m.phase.becomes(phase)])


@internal((), fair=False)
def go_on(_t: Facts, m: Watched) -> Step:
    """Replication goes on."""
    return Step(
        requires=[m.phase.is_in(Phase.PAUSED, Phase.RESYNCHRONISING, Phase.BLOCKED)],
        changes=[m.phase.becomes(Phase.FOLLOWING)],
    )


@environment()
def tick(_t: Facts, m: Watched) -> Step:
    """Time passes. The monitor has its turn in every tick."""
    return Step(
        requires=[m.phase != Phase.NONE, m.looked], changes=[m.lag.becomes(m.lag + 1), m.looked.becomes(False)]
    )


@internal(("V2A-27",))
def look(t: Facts, m: Watched) -> Step:
    """The monitor compares the lag with the threshold."""
    sees = And(
        Implies(m.phase == Phase.PAUSED, t["alarm.while_paused"]),
        Implies(m.phase == Phase.RESYNCHRONISING, t["alarm.while_resynchronising"]),
        Implies(m.phase == Phase.BLOCKED, t["alarm.while_blocked"]),
    )
    return Step(
        requires=[m.phase != Phase.NONE, Not(m.looked)],
        changes=[m.looked.becomes(True), m.alarm.becomes(If(sees, m.lag > m.threshold, m.alarm))],
    )


RULES: tuple[ActionRule, ...] = (
    raise_threshold, start, stop, cut_point, cut_older_point, hold_up, go_on, tick, look,
)


def _protected(m: Watched) -> Bool:
    return m.phase != Phase.NONE


P25 = promise("P25", (
    always("a lag beyond the threshold has raised the alarm", lambda m: m.alarm,
           given=lambda m: And(_protected(m), m.looked, m.lag > m.threshold)),
    always("it is raised one tick late at most", lambda m: m.alarm,
           given=lambda m: And(_protected(m), m.lag > m.threshold + 1)),
    *(always(f"also while it is {phase.value}", lambda m: m.alarm,
             given=lambda m, phase=phase: And(m.phase == phase, m.looked, m.lag > m.threshold))
      for phase in (Phase.PAUSED, Phase.RESYNCHRONISING, Phase.BLOCKED)),
    step("no alarm is raised without such a lag", lambda a, _b: a.lag > a.threshold,
         given=lambda a, b: And(Not(a.alarm), b.alarm)),
    step("the alarm changes nothing about replication",
         lambda a, b: And(a.phase == b.phase, a.lag == b.lag), on=("look",)),
))

LEMMAS: tuple[Claim, ...] = ()


@remembered
def model(name: str, facts: Mapping[str, bool]) -> Model:
    """The alarm of one machine of a flow."""
    return build_model(name, "alarm", Watched, RULES, facts)


LEVEL = Level(
    "alarm", "lag and its alarm", "one machine, any threshold, any time", model, (P25,), LEMMAS,
    Scope.only(lag=4, threshold=2), (Scope.only(lag=3, threshold=1),))
