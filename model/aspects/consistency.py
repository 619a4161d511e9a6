"""What an app-consistent tag means, and in which order points stand (P24).

Rules
1. For an app-consistent point the guest is asked to freeze its applications; while they are frozen nothing is written. The guest
   may thaw by itself at any moment: a freeze is held for seconds only.
2. A point is cut in two steps, a beginning and an end. It is tagged app-consistent only if the freeze held from the
   beginning to the end; else it is a crash-consistent point like any other.
3. Points carry a sequence number and the time of a clock. The clock may be set back. “Latest” goes by the sequence.

Sources: domain 2.5; V2A-37.
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
from siteproof.model.terms import And, Bool, If, Implies, Not, Or

__all__ = ["LEVEL", "Guest", "Pick"]


class Pick(enum.Enum):
    """Which of two points “latest” has named."""

    NONE = "none"
    NEWEST = "the newest"
    KEPT = "an older one"


class Guest(Vocabulary):
    """One guest with applications, and the points made of it."""

    frozen = flag(False, "the applications are frozen")
    cutting = flag(False, "a point is being cut")
    frozen_before = flag(False, "the applications were frozen when the cut began")
    held = flag(False, "the freeze has held since the cut began")
    written = flag(False, "an application has written since the cut began")
    points = flag(False, "a point has been made")
    tagged = flag(False, "the newest point is tagged app-consistent")
    torn = flag(False, "an application wrote while the newest point was cut")
    clock = nat(1, "what the clock shows")
    sequence = nat(0, "number of the newest point")
    stamp = nat(0, "time of the newest point by the clock")
    kept = flag(False, "the kept point, an arbitrary earlier one, is advertised")
    kept_sequence = nat(0, "number of the kept point")
    kept_stamp = nat(0, "time of the kept point by the clock")
    picked = choice(Pick.NONE, "the point that “latest” has named last")


@internal(("V2A-37",), fair=False)
def freeze(_t: Facts, m: Guest) -> Step:
    """The guest freezes its applications as it was asked to."""
    return Step(requires=[Not(m.frozen), Not(m.cutting)], changes=[m.frozen.becomes(True)])


@environment()
def thaw(_t: Facts, m: Guest) -> Step:
    """The guest thaws, asked to or by itself."""
    return Step(requires=[m.frozen], changes=[m.frozen.becomes(False), m.held.becomes(False)])


@environment()
def application_writes(_t: Facts, m: Guest) -> Step:
    """An application writes; none does while it is frozen."""
    return Step(requires=[Not(m.frozen)], changes=[m.written.becomes(Or(m.written, m.cutting))])


@internal(("V2A-37", "GEN-12"), fair=False)
def begin_cut(_t: Facts, m: Guest) -> Step:
    """A point begins to be cut."""
    return Step(
        requires=[Not(m.cutting)],
        changes=[
            m.cutting.becomes(True), m.frozen_before.becomes(m.frozen), m.held.becomes(m.frozen), m.written.becomes(False),
        ],
    )


@internal(("V2A-37", "GEN-12"), {"keep": bool})
def end_cut(t: Facts, m: Guest, keep: Bool) -> Step:
    """The point is complete, and tagged. The one before becomes the kept one, if none has been kept and `keep` says so."""
    kept = And(keep, m.points, Not(m.kept))
    return Step(
        requires=[m.cutting],
        changes=[
            m.cutting.becomes(False), m.points.becomes(True), m.torn.becomes(m.written), m.picked.becomes(Pick.NONE),
            m.tagged.becomes(If(t["points.tag_needs_held_freeze"], m.held, m.frozen_before)),
            m.sequence.becomes(m.sequence + 1), m.stamp.becomes(m.clock),
            m.kept.becomes(Or(m.kept, kept)), m.kept_sequence.becomes(If(kept, m.sequence, m.kept_sequence)),
            m.kept_stamp.becomes(If(kept, m.stamp, m.kept_stamp)),
        ],
    )


@environment()
def clock_goes_on(_t: Facts, m: Guest) -> Step:
    """The clock goes on."""
    return Step(requires=[], changes=[m.clock.becomes(m.clock + 1)])


@environment()
def clock_is_set_back(_t: Facts, m: Guest) -> Step:
    """Somebody, or a protocol, sets the clock back."""
    return Step(requires=[m.clock > 0], changes=[m.clock.becomes(m.clock - 1)])


@internal(("V2A-43",), fair=False)
def name_latest(t: Facts, m: Guest) -> Step:
    """A failover asks for the latest point, and the kept one is another that there is."""
    newest = Or(Not(m.kept), If(t["points.ordered_by_sequence"], m.sequence > m.kept_sequence, m.stamp >= m.kept_stamp))
    return Step(requires=[m.points], changes=[m.picked.becomes(If(newest, Pick.NEWEST, Pick.KEPT))])


RULES: tuple[ActionRule, ...] = (
    freeze, thaw, application_writes, begin_cut, end_cut, clock_goes_on, clock_is_set_back, name_latest,
)

P24 = promise("P24", (
    always("while an app-consistent point was cut, no application wrote", lambda m: Not(m.torn), given=lambda m: m.tagged),
    step("the tag is given only if the freeze held throughout", lambda a, _b: And(a.frozen, a.held, Not(a.written)),
         given=lambda _a, b: b.tagged, on=("end_cut",)),
    always("“latest” is the newest by sequence, whatever the clock says", lambda m: m.picked == Pick.NEWEST,
           given=lambda m: And(m.picked != Pick.NONE, m.kept)),
    always("also when the newest point bears the older time", lambda m: m.picked != Pick.KEPT,
           given=lambda m: And(m.kept, m.stamp < m.kept_stamp)),
))

LEMMAS: tuple[Claim, ...] = (
    always("held_means_frozen", lambda m: Implies(And(m.cutting, m.held), And(m.frozen, m.frozen_before, Not(m.written)))),
    always("numbers_grow", lambda m: Implies(m.kept, m.kept_sequence < m.sequence)),
    always("kept_is_a_point", lambda m: Implies(m.kept, m.points)),
)


@remembered
def model(name: str, facts: Mapping[str, bool]) -> Model:
    """One guest of a flow and its points."""
    return build_model(name, "consistency", Guest, RULES, facts)


LEVEL = Level(
    "consistency", "app-consistent points and their order", "one machine, any number of points, any clock", model, (P24,), LEMMAS,
    Scope.only(clock=2, sequence=3), (Scope.only(clock=1, sequence=2), Scope.only(clock=2, sequence=3)))
