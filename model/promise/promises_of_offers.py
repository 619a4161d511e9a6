"""What is claimed of what a flow offers: nothing is done on a refused request (P11), and the capability matrix (P18).

Rules
1. Both are written into the actions, so they are shown by construction and never counted as proofs. They are claims all the same:
   an action that loses a precondition, or a fact that is turned over, breaks them, and the necessity matrix and a what-if say so.
2. P11. A refusal is no step of the model, so what there is to claim is that a request is carried out only where every one of its
   preconditions holds. Whether a *system* changes nothing when it refuses is seen by observing it before and after.
3. P18. An operation that a flow lacks in a direction is granted in no state of it; one that it has is granted to a machine that
   waits for it with nothing in the way. And what the documents say of the state afterwards: what is left protected, what ends
   protection, what has to come first. These are rules of any topology, a user's own as well: only the facts that they ask for
   differ. What the matrix says of components, paths and targets is judged on the topology itself
   (`siteproof.model.requirement_trace`).
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from siteproof.model.catalogue import promise
from siteproof.model.claims import Claim, always, can, step
from siteproof.model.promise.changing import CHANGING, change_pit
from siteproof.model.promise.commands import COMMANDS, planned_failover, unplanned_failover
from siteproof.model.promise.ending import ENDING, complete_migration
from siteproof.model.promise.resync import RESYNC
from siteproof.model.promise.testing import TESTING, test_failover
from siteproof.model.promise.vocabulary import Failover, Job, Machine, Point, Protection, Resync, Site, Test
from siteproof.model.system import ActionRule, Facts, Kind
from siteproof.model.terms import And, Bool, Not, Or

__all__ = ["P11", "P18"]

_REQUESTS: tuple[ActionRule, ...] = tuple(
    rule for rule in (*COMMANDS, *TESTING, *CHANGING, *RESYNC, *ENDING) if rule.kind is Kind.COMMAND)


def _granted(rule: ActionRule, after: Machine) -> Bool:
    """Every precondition held; of a request that names a point, with the point that it named."""
    if not rule.parameters:
        return can(rule.name)
    return Or(*(And(after.chosen == point, can(rule.name, point=point)) for point in Point))


def _only_if_granted(rule: ActionRule) -> Claim:
    claim = step(f"{rule.operation} is carried out only where all of its preconditions hold",
                 lambda _a, b: _granted(rule, b), on=(rule.name,))
    return attrs.evolve(claim, repeats=True)


P11 = promise("P11", tuple(_only_if_granted(rule) for rule in _REQUESTS))


# ---------------------------------------------------------------------------------------------------------------- P18


def _free(m: Machine) -> Bool:
    """No job, no test copy, no call for a resynchronisation, and replication has not ended."""
    return And(m.job == Job.NONE, m.test == Test.NONE, m.resync == Resync.NONE, m.failover != Failover.COMPLETED)


def _ready(m: Machine) -> Bool:
    """A protected machine that runs, with both sides up and in reach of each other."""
    return And(_free(m), m.follows, m.running, m.can_ship)


def _committed(m: Machine) -> Bool:
    """A committed failover whose machine runs, with both sides up and in reach of each other."""
    return And(_free(m), m.failover == Failover.COMMITTED, m.running, m.can_ship)


def _waits(m: Machine) -> Bool:
    """A failover waits for its commit, at a side that is up, with a point to change to."""
    return And(_free(m), m.pending, m.active_up, m.points)


@attrs.frozen
class _Offer:
    """An operation in one direction: its words, the fact that says whether a flow has it, the action, which side is active when
    it is asked for, and when a machine waits for it."""

    words: str
    fact: str
    rule: ActionRule
    active: Site
    waits: Callable[[Machine], Bool]

    @property
    def granted(self) -> Claim:
        """Where the flow has it, it is granted to a machine that waits for it."""
        asked = can(self.rule.name, **{p.name: Point.PROCESSED for p in self.rule.parameters})
        return always(f"{self.words} is granted to a machine that waits for it", lambda _m: asked,
                      given=lambda m: And(m.active == self.active, self.waits(m)), needs=self._has)

    @property
    def refused(self) -> Claim:
        """Where the flow has it not, it is granted in no state."""
        named = [can(self.rule.name, **{p.name: point}) for p in self.rule.parameters for point in Point]
        return always(f"{self.words} is never granted", lambda _m: Not(Or(*(named or [can(self.rule.name)]))),
                      given=lambda m: m.active == self.active, needs=lambda t: Not(t[self.fact]))

    def _has(self, t: Facts) -> Bool:
        """Where a planned failover fails back directly, no replica waits at recovery (`_DIRECT`)."""
        apart = And(self.fact == "reverse.planned_failover", t["failback.without_reverse"])
        return And(t[self.fact], Not(apart))


_OFFERS = (
    _Offer("a planned failover to recovery", "forward.planned_failover", planned_failover, Site.PRIMARY, _ready),
    _Offer("a planned failover back to primary", "reverse.planned_failover", planned_failover, Site.RECOVERY, _ready),
    _Offer("an unplanned failover to recovery", "forward.unplanned_failover", unplanned_failover, Site.PRIMARY, _ready),
    _Offer("an unplanned failover back to primary", "reverse.unplanned_failover", unplanned_failover, Site.RECOVERY, _ready),
    _Offer("a test failover at recovery", "forward.test_failover", test_failover, Site.PRIMARY, _ready),
    _Offer("a test failover at primary", "reverse.test_failover", test_failover, Site.RECOVERY, _ready),
    _Offer("another point after a failover to recovery", "forward.change_point", change_pit, Site.RECOVERY, _waits),
    _Offer("another point after a failover back to primary", "reverse.change_point", change_pit, Site.PRIMARY, _waits),
    _Offer("completing a migration", "forward.complete_migration", complete_migration, Site.RECOVERY, _waits),
)

_DIRECT = always(
    "a planned failover back to primary is granted after the commit, with nothing in between", lambda _m: can("planned_failover"),
    given=lambda m: And(m.active == Site.RECOVERY, _committed(m)),
    needs=lambda t: And(t["reverse.planned_failover"], t["failback.without_reverse"]))

_AROUND: tuple[Claim, ...] = (
    step("replication is reversed only after the commit", lambda a, _b: a.failover == Failover.COMMITTED,
         on=("reverse_replicate",), needs=lambda t: t["reverse.requires_commit"]),
    step("replication is not reversed at recovery", lambda a, _b: a.active == Site.PRIMARY,
         on=("reverse_replicate",), needs=lambda t: t["failback.without_reverse"]),
    step("a planned failover leaves the machine protected", lambda _a, b: b.protection == Protection.PROTECTED,
         on=("switch_planned",), needs=lambda t: t["planned.leaves_protected"]),
    step("a planned failover leaves the machine unprotected", lambda _a, b: b.protection == Protection.NONE,
         on=("switch_planned",), needs=lambda t: And(_has_planned(t), Not(t["planned.leaves_protected"]))),
    step("an unplanned failover leaves the machine protected", lambda _a, b: b.protection == Protection.PROTECTED,
         on=("switch_unplanned",), needs=lambda t: t["unplanned.leaves_protected"]),
    step("an unplanned failover leaves the machine unprotected", lambda _a, b: b.protection == Protection.NONE,
         on=("switch_unplanned",), needs=lambda t: Not(t["unplanned.leaves_protected"])),
    step("a committed failback ends protection", lambda _a, b: b.protection == Protection.NONE,
         given=lambda a, _b: a.active == Site.PRIMARY, on=("commit_second_half",), needs=lambda t: t["failback.ends_protection"]),
)


def _has_planned(t: Facts) -> Bool:
    return Or(t["forward.planned_failover"], t["reverse.planned_failover"])


P18 = promise("P18", (*(offer.granted for offer in _OFFERS), _DIRECT, *(offer.refused for offer in _OFFERS), *_AROUND))
