"""Which recovery points age removes, and which it never does (P4).

Rules
1. Every point grows older with every tick. Up to the age `dense` all points are kept; beyond it they may be *thinned*: a point
   may go if a younger one stays within `spacing`. Beyond the age `retention` a point goes. The three limits are any numbers,
   set by the policy before the first point.
2. The newest point stays whatever its age, and so does a point that is in use: by a test failover, a failover, or a change
   of point.
3. Two arbitrary points are followed: the *kept* one and a *younger* one that was made later; both are chosen freely, once,
   so what holds for them holds for any two. Others come and go unseen.

Sources: domain 2.5 (pruning thins beyond two hours), 2.6; bug story 4 (retention removed what a restore was using).
"""

from __future__ import annotations

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
    environment,
    flag,
    internal,
    nat,
    remembered,
)
from siteproof.model.terms import And, Bool, If, Implies, Not, Or

__all__ = ["LEVEL", "Points"]


class Points(Vocabulary):
    """The recovery points of one machine, by age."""

    begun = flag(False, "a point has been made: the policy is settled")
    dense = nat(0, "age up to which every point is kept")
    spacing = nat(0, "how far a younger point may be from one that is thinned")
    retention = nat(0, "age beyond which a point goes")
    newest_age = nat(0, "age of the newest point")
    kept = flag(False, "the kept point, an arbitrary one, is advertised")
    kept_age = nat(0, "age of the kept point")
    in_use = flag(False, "a test failover, a failover or a change of point uses the kept point")
    younger = flag(False, "the younger point, an arbitrary one made after the kept one, is advertised")
    younger_age = nat(0, "age of the younger point")


@environment()
def widen_dense(_t: Facts, m: Points) -> Step:
    """The policy keeps every point for one more tick."""
    return Step(requires=[Not(m.begun)], changes=[m.dense.becomes(m.dense + 1)])


@environment()
def widen_spacing(_t: Facts, m: Points) -> Step:
    """The policy thins points more coarsely, by one tick."""
    return Step(requires=[Not(m.begun)], changes=[m.spacing.becomes(m.spacing + 1)])


@environment()
def widen_retention(_t: Facts, m: Points) -> Step:
    """The policy keeps points for one more tick."""
    return Step(requires=[Not(m.begun)], changes=[m.retention.becomes(m.retention + 1)])


@internal(("GEN-12", "S-V2S-15"), {"keep": bool, "follow": bool}, fair=False)
def cut_point(_t: Facts, m: Points, keep: Bool, follow: Bool) -> Step:
    """A new point: it becomes the kept one, or the younger one, if that has not been chosen yet."""
    first = And(keep, Not(m.kept))
    second = And(follow, m.kept, Not(m.younger), m.kept_age > 0)
    return Step(
        requires=[],
        changes=[
            m.begun.becomes(True), m.newest_age.becomes(0),
            m.kept.becomes(Or(m.kept, first)), m.kept_age.becomes(If(first, 0, m.kept_age)),
            m.younger.becomes(If(first, False, Or(m.younger, second))),
            m.younger_age.becomes(If(second, 0, m.younger_age)),
        ],
    )


@environment()
def tick(_t: Facts, m: Points) -> Step:
    """Time passes, and every point grows older."""
    return Step(
        requires=[m.begun],
        changes=[
            m.newest_age.becomes(m.newest_age + 1), m.kept_age.becomes(m.kept_age + 1),
            m.younger_age.becomes(m.younger_age + 1),
        ],
    )


@environment(("V2A-46", "V2A-26"))
def use_point(_t: Facts, m: Points) -> Step:
    """A test failover, a failover or a change of point begins to use the kept point."""
    return Step(requires=[m.kept, Not(m.in_use)], changes=[m.in_use.becomes(True)])


@environment()
def release_point(_t: Facts, m: Points) -> Step:
    """What used the kept point has ended."""
    return Step(requires=[m.in_use], changes=[m.in_use.becomes(False)])


def _may_go(t: Facts, m: Points) -> Bool:
    """The kept point is neither the newest nor in use."""
    return And(m.kept, m.kept_age > m.newest_age, Implies(t["points.pinned_in_use"], Not(m.in_use)))


@internal((), fair=False)
def expire(t: Facts, m: Points) -> Step:
    """The kept point is too old and goes."""
    return Step(requires=[_may_go(t, m), m.kept_age > m.retention], changes=[m.kept.becomes(False)])


@internal((), fair=False)
def thin(t: Facts, m: Points) -> Step:
    """The kept point goes, since a younger one stays within the spacing."""
    near = Implies(t["points.thinning_keeps_spacing"], And(m.younger, m.kept_age <= m.younger_age + m.spacing))
    return Step(requires=[_may_go(t, m), m.kept_age > m.dense, near], changes=[m.kept.becomes(False)])


@internal((), fair=False)
def remove_younger(_t: Facts, m: Points) -> Step:
    """The younger point goes, by age or thinned in its turn."""
    old = Or(m.younger_age > m.retention, m.younger_age > m.dense)
    return Step(requires=[m.younger, old, m.younger_age > m.newest_age], changes=[m.younger.becomes(False)])


RULES: tuple[ActionRule, ...] = (
    widen_dense, widen_spacing, widen_retention, cut_point, tick, use_point, release_point, expire, thin, remove_younger,
)


def _goes(a: Points, b: Points) -> Bool:
    return And(a.kept, Not(b.kept))


P4 = promise("P4", (
    step("a point in use is never removed", lambda _a, b: b.kept, given=lambda a, _b: And(a.kept, a.in_use)),
    step("the newest point is never removed by age", lambda _a, b: b.kept,
         given=lambda a, _b: And(a.kept, a.kept_age == a.newest_age)),
    step("only age removes a point", lambda a, _b: Or(a.kept_age > a.retention, a.kept_age > a.dense), given=_goes),
    step("a point that goes before its time leaves a younger one within the spacing",
         lambda a, b: And(b.younger, a.younger_age < a.kept_age, a.kept_age <= a.younger_age + a.spacing),
         given=lambda a, b: And(_goes(a, b), a.kept_age <= a.retention)),
    step("in the dense time no point goes", lambda _a, b: b.kept,
         given=lambda a, _b: And(a.kept, a.kept_age <= a.dense, a.kept_age <= a.retention)),
))

LEMMAS: tuple[Claim, ...] = (
    always("newest_is_youngest", lambda m: And(
        Implies(m.kept, m.newest_age <= m.kept_age), Implies(And(m.kept, m.younger), m.newest_age <= m.younger_age))),
    always("younger_is_younger", lambda m: Implies(And(m.kept, m.younger), m.younger_age < m.kept_age)),
    always("used_is_kept", lambda m: Implies(m.in_use, m.kept)),
    always("points_begun", lambda m: Implies(Or(m.kept, m.younger), m.begun)),
)


@remembered
def model(name: str, facts: Mapping[str, bool]) -> Model:
    """The points of one machine of a flow, by age."""
    return build_model(name, "retention", Points, RULES, facts)


LEVEL = Level(
    "retention", "which points age removes", "one machine, any policy, any number of points, any time", model, (P4,), LEMMAS,
    Scope.only(newest_age=3, kept_age=3, younger_age=3, dense=1, spacing=2, retention=2),
    (Scope.only(newest_age=3, kept_age=3, younger_age=3, dense=1, spacing=1, retention=1),))
