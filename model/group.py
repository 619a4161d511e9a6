"""The group level: recovery points that are common to machines which depend on each other (multi-VM consistency).

Rules
1. A machine is replicated by itself or as a *member* of the group; it becomes a member when its replication is enabled, and in
   no other way. Any number of machines, any number of members.
2. A write reaches the disk at once. It is acknowledged at once, too, unless the machine is *frozen*: then its
   acknowledgement is held back until the machine is released or thaws by itself, as it does after a time.
3. A common point is taken in a *round*: every member is frozen; when all are, each is cut; when all have been cut, each is
   released, if its freeze has held until then; when all were, the cuts of this round are the common point. So from one
   moment on, before the first cut and after the last one, no member acknowledges anything, and whoever waits for an
   acknowledgement does not go on.
4. A member that is out of reach can be asked for nothing. The coordinator does not know why a round does not go on: it may
   give up at any time, and then raises the alarm.
5. Beside common points each machine has points of its own. "Latest processed" is the machine's own newest one, for a member
   too; only the latest multi-VM point is the common one. What a machine was failed over to is part of its state.
6. Two moments of arbitrary writes are followed (marks): x, one arbitrary write, with the machine whose it is (`x_home`); and
   for each place whether it holds *any* write y that was issued, on whichever machine, after x had been acknowledged. The
   workload's communication between machines is in that: whatever made somebody issue y, it was after.

What happens to a point after it was cut (that it arrives, retention, failback) is the promise level's.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from siteproof.model.catalogue import promise
from siteproof.model.claims import always, step
from siteproof.model.crowd import NAMES, CrowdStep, crowd, each_of, everyone, of, pairs_of
from siteproof.model.engines.scope import Scope
from siteproof.model.level import Level
from siteproof.model.system import (
    Facts,
    Model,
    Requires,
    Step,
    Vocabulary,
    choice,
    command,
    environment,
    flag,
    internal,
    remembered,
)
from siteproof.model.terms import And, Bool, Change, Choice, If, Implies, Not, Or, iff

__all__ = ["LEMMAS", "LEVEL", "PROMISES", "Acknowledged", "Chosen", "Member", "Stage", "group_model"]


class Stage(enum.Enum):
    """What a machine is to the group; a machine that was failed over says to which point."""

    OUT = "not replicated"
    SINGLE = "replicated by itself"
    MEMBER = "member"
    OWN = "failed over to its own point"
    COMMON = "failed over to the common point"


class Acknowledged(enum.Enum):
    """What has become of x."""

    UNISSUED = "unissued"
    HELD_BACK = "held back"
    DONE = "acknowledged"


class Chosen(enum.Enum):
    """Which point a failover asks for (domain 2.5)."""

    OWN = "latest-processed"
    COMMON = "latest-multi-vm-processed"


class Member(Vocabulary):
    """One machine, and what the coordinator of the group keeps."""

    round = flag(False, "the coordinator is taking a common point", shared=True)
    alarm = flag(False, "the coordinator has given up a round, and has made no common point since", shared=True)
    x = choice(Acknowledged.UNISSUED, "what has become of x", mark=True, shared=True)

    stage = choice(Stage.OUT, "what the machine is to the group")
    lost = flag(False, "the machine cannot be reached")
    absent = flag(False, "the machine has been out of reach since the round began")
    frozen = flag(False, "acknowledgements are held back")
    froze = flag(False, "the machine was frozen in this round")
    was_cut = flag(False, "the machine was cut in this round")
    held = flag(False, "the machine was released in this round, its freeze unbroken until then")
    in_common = flag(False, "the machine is part of the newest common point")
    own = flag(False, "the machine has a recovery point of its own")

    x_home = flag(False, "x was written on this machine", mark=True)
    x_disk = flag(False, "the machine's disk holds x", mark=True)
    y_disk = flag(False, "the machine's disk holds a write issued after x was acknowledged", mark=True)
    x_cut = flag(False, "this round's cut holds x", mark=True)
    y_cut = flag(False, "this round's cut holds such a write", mark=True)
    x_common = flag(False, "the newest common point holds x", mark=True)
    y_common = flag(False, "the newest common point holds such a write", mark=True)
    x_own = flag(False, "the newest own point holds x", mark=True)
    y_own = flag(False, "the newest own point holds such a write", mark=True)

    @property
    def is_member(self) -> Bool:
        return self.stage == Stage.MEMBER

    @property
    def replicated(self) -> Bool:
        return self.stage.is_in(Stage.SINGLE, Stage.MEMBER)

    @property
    def asked(self) -> Bool:
        """The coordinator can ask this member for something."""
        return And(self.round, self.is_member, Not(self.lost))


# --------------------------------------------------------------------------------------------------- one machine's steps


@command("EnableProtection", ("V2A-26", "V2A-38"), {"join": bool})
def enable(_t: Facts, m: Member, join: Bool) -> Step:
    """The machine is replicated from now on, by itself or as a member. Nobody joins while a common point is taken."""
    return Step(
        requires=[
            Requires(m.stage == Stage.OUT, "AlreadyProtected"), Requires(Implies(join, Not(m.round)), "JobInProgress"),
        ],
        changes=[m.stage.becomes(If(join, Stage.MEMBER, Stage.SINGLE))],
    )


def _thaws(m: Member) -> list[Change]:
    """Acknowledgements that were held back go out."""
    waits = And(m.x_home, m.x == Acknowledged.HELD_BACK)
    return [m.frozen.becomes(False), m.x.becomes(If(waits, Acknowledged.DONE, m.x))]


@command("DisableProtection")
def disable(_t: Facts, m: Member) -> Step:
    """The machine is no longer replicated; its points are gone."""
    return Step(
        requires=[Requires(m.replicated, "NotProtected")],
        changes=[
            *_thaws(m), m.stage.becomes(Stage.OUT), m.own.becomes(False), m.x_own.becomes(False), m.y_own.becomes(False),
            m.in_common.becomes(False), m.x_common.becomes(False), m.y_common.becomes(False),
        ],
    )


@command("UnplannedFailover", ("V2A-37", "V2A-43"), {"point": Chosen})
def fail_over(_t: Facts, m: Member, point: Choice[Chosen]) -> Step:
    """The machine is failed over, to its own newest point or to the newest common one."""
    common = point == Chosen.COMMON
    return Step(
        requires=[
            Requires(m.replicated, "NotProtected"),
            Requires(If(common, m.in_common, m.own), "RecoveryPointNotFound", precheck=True),
        ],
        changes=[
            m.stage.becomes(If(common, Stage.COMMON, Stage.OWN)), m.frozen.becomes(False),
            m.x_disk.becomes(If(common, m.x_common, m.x_own)), m.y_disk.becomes(If(common, m.y_common, m.y_own)),
        ],
    )


@environment((), {"mark": bool})
def write(_t: Facts, m: Member, mark: Bool) -> Step:
    """The workload writes; the disk has it at once, and acknowledges it unless the machine is frozen."""
    marked = And(mark, m.x == Acknowledged.UNISSUED)
    return Step(
        requires=[m.replicated],
        changes=[
            m.x_home.becomes(Or(m.x_home, marked)), m.x_disk.becomes(Or(m.x_disk, marked)),
            m.x.becomes(If(marked, If(m.frozen, Acknowledged.HELD_BACK, Acknowledged.DONE), m.x)),
            m.y_disk.becomes(Or(m.y_disk, m.x == Acknowledged.DONE)),
        ],
    )


@environment()
def lose_contact(_t: Facts, m: Member) -> Step:
    """The machine cannot be reached any more."""
    return Step(requires=[m.replicated, Not(m.lost)], changes=[m.lost.becomes(True)])


@environment()
def regain_contact(_t: Facts, m: Member) -> Step:
    """The machine can be reached again."""
    return Step(requires=[m.lost], changes=[m.lost.becomes(False), m.absent.becomes(False)])


@internal(("V2A-36",))
def freeze(_t: Facts, m: Member) -> Step:
    """The member holds back acknowledgements from now on."""
    return Step(requires=[m.asked, Not(m.froze)], changes=[m.frozen.becomes(True), m.froze.becomes(True)])


@internal(("V2A-36", "V2A-37"))
def cut(t: Facts, m: Member) -> CrowdStep:
    """Every member is frozen: what this one's disk holds now is its part of the point."""
    return CrowdStep(
        requires=[m.asked, Not(m.was_cut)],
        everyone=[everyone(lambda k: Implies(And(t["group.freezes_before_cut"], k.is_member), k.froze))],
        changes=[m.was_cut.becomes(True), m.x_cut.becomes(m.x_disk), m.y_cut.becomes(m.y_disk)],
    )


@internal(("V2A-36",))
def release(t: Facts, m: Member) -> CrowdStep:
    """Every member has been cut, and this one's freeze has held: it goes on."""
    return CrowdStep(
        requires=[m.asked, m.frozen, Not(m.held)],
        everyone=[everyone(lambda k: Implies(And(t["group.releases_after_cut"], k.is_member), k.was_cut))],
        changes=[*_thaws(m), m.held.becomes(True)],
    )


@internal()
def thaw(_t: Facts, m: Member) -> Step:
    """A machine does not stay frozen for ever: after a time it goes on by itself, whatever has become of the round."""
    return Step(requires=[m.frozen], changes=_thaws(m))


@internal(("GEN-12", "V2A-37"), fair=False)
def cut_own_point(_t: Facts, m: Member) -> Step:
    """A recovery point of this machine alone."""
    return Step(requires=[m.replicated, Not(m.lost)],
                changes=[m.own.becomes(True), m.x_own.becomes(m.x_disk), m.y_own.becomes(m.y_disk)])


# ------------------------------------------------------------------------------------------------ the coordinator's steps


@internal(("V2A-37",), fair=False)
def start_round(_t: Facts, m: Member) -> CrowdStep:
    """A common point is to be taken."""
    return CrowdStep(
        requires=[Not(m.round)], changes=[m.round.becomes(True)],
        each=lambda k: [k.froze.becomes(False), k.was_cut.becomes(False), k.held.becomes(False), k.absent.becomes(k.lost)],
    )


@internal(("V2A-37",))
def make_common_point(t: Facts, m: Member) -> CrowdStep:
    """Every member was cut and held: the cuts of this round are the common point."""
    return CrowdStep(
        requires=[m.round],
        everyone=[everyone(lambda k: Implies(And(t["group.waits_for_all"], k.is_member), k.held))],
        changes=[m.round.becomes(False), m.alarm.becomes(False)],
        each=lambda k: [k.in_common.becomes(k.is_member), k.x_common.becomes(And(k.is_member, k.x_cut)),
                        k.y_common.becomes(And(k.is_member, k.y_cut))],
    )


@internal((), fair=False)
def give_up(_t: Facts, m: Member) -> Step:
    """The round takes too long: there is no new common point, and an alarm."""
    return Step(requires=[m.round], changes=[m.round.becomes(False), m.alarm.becomes(True)])


OF_EACH = (enable, disable, fail_over, write, lose_contact, regain_contact, freeze, cut, release, thaw, cut_own_point)
OF_ALL = (start_round, make_common_point, give_up)


@remembered
def group_model(name: str, facts: Mapping[str, bool], machines: tuple[str, ...] = NAMES) -> Model:
    """The group level of one flow: `name` is the topology's id, `facts` its behaviour by dotted path."""
    return crowd(name, "group", Member, facts, of_each=OF_EACH, of_all=OF_ALL, outsider=lambda m: m.stage == Stage.OUT,
                 machines=machines)


# ----------------------------------------------------------------------------------------------------------------- claims


def _failed_over(m: Member) -> Bool:
    return m.stage.is_in(Stage.OWN, Stage.COMMON)


P5 = promise("P5", (
    always("what was issued after a write was acknowledged is not in a common point without it", of(lambda a: a.x_common, "a"),
           given=of(lambda a, b: And(a.in_common, b.in_common, a.x_home, b.y_common), "a", "b")),
    always("nor is it where both are one machine's", of(lambda a: a.x_common, "a"),
           given=of(lambda a: And(a.in_common, a.x_home, a.y_common), "a")),
    step("every member is part of it, by a cut of this round, its freeze unbroken",
         of(lambda a, z: And(z.in_common, a.was_cut, a.held, iff(z.x_common, a.x_cut), iff(z.y_common, a.y_cut)), "a"),
         given=of(lambda a, _z: a.is_member, "a"), on=("make_common_point",)),
    step("none is made while a member is out of reach all the time", of(lambda a, _z: Not(a.absent), "a"),
         given=of(lambda a, _z: a.is_member, "a"), on=("make_common_point",)),
    step("a round that ends without a common point of every member raises the alarm", of(lambda _a, z: z.alarm, "a"),
         given=of(lambda a, z: And(a.round, Not(z.round), a.is_member, Not(a.held)), "a")),
    always("machines that were failed over to one common point agree", of(lambda a: a.x_disk, "a"),
           given=of(lambda a, b: And(a.stage == Stage.COMMON, b.stage == Stage.COMMON, a.in_common, b.in_common, a.x_home,
                                     b.y_disk), "a", "b")),
    always("where they disagree, one was failed over to its own point, or to another common one, and says so",
           of(lambda a, b: Or(a.stage == Stage.OWN, b.stage == Stage.OWN, Not(And(a.in_common, b.in_common))), "a", "b"),
           given=of(lambda a, b: And(_failed_over(a), _failed_over(b), a.x_home, b.y_disk, Not(a.x_disk)), "a", "b")),
    step("a failed over machine says which point it took, and holds what that held",
         of(lambda a, z: Or(And(z.stage == Stage.OWN, a.own, iff(z.x_disk, a.x_own), iff(z.y_disk, a.y_own)),
                            And(z.stage == Stage.COMMON, a.in_common, iff(z.x_disk, a.x_common), iff(z.y_disk, a.y_common))),
            "a"), on=("a.fail_over",)),
    step("nobody joins but by being enabled", of(lambda a, _z: a.stage == Stage.OUT, "a"),
         given=of(lambda a, z: And(z.is_member, Not(a.is_member)), "a")),
))

PROMISES = (P5,)

LEMMAS = (
    # The round: each step only when every member has taken the one before.
    *each_of("cut_after_freeze", lambda m: Implies(And(m.round, m.is_member, m.was_cut), m.froze)),
    *pairs_of("cut_after_all_froze", lambda m, k: Implies(And(m.round, m.is_member, k.is_member, m.was_cut), k.froze)),
    *each_of("held_after_cut", lambda m: Implies(And(m.round, m.is_member, m.held), m.was_cut)),
    *pairs_of("held_after_all_cut", lambda m, k: Implies(And(m.round, m.is_member, k.is_member, m.held), k.was_cut)),
    *each_of("absent_did_nothing", lambda m: Implies(m.absent, And(m.lost, Implies(m.round, Not(m.froze))))),
    # Content.
    *each_of("nothing_after_what_is_not_acknowledged", lambda m: Implies(
        m.x != Acknowledged.DONE, Not(Or(m.y_disk, m.y_cut, m.y_common, m.y_own)))),
    *each_of("unissued_nowhere", lambda m: Implies(m.x == Acknowledged.UNISSUED, Not(m.x_home))),
    *pairs_of("one_home", lambda m, k: Not(And(m.x_home, k.x_home))),
    *each_of("own_disk_keeps_x", lambda m: Implies(Not(_failed_over(m)), iff(m.x_disk, m.x_home))),
    *each_of("none_in_the_common_point_of_others", lambda m: Implies(Not(m.in_common), Not(Or(m.x_common, m.y_common)))),
    # A freeze that holds: what was acknowledged is in the cut, so what came after an acknowledgement is in no cut without it.
    *each_of("acknowledged_before_the_cut", lambda m: Implies(
        And(m.was_cut, m.frozen, m.froze, m.x_home, m.x == Acknowledged.DONE), m.x_cut)),
    *each_of("cuts_agree_with_themselves", lambda m: Implies(And(m.was_cut, m.x_home, m.y_cut), m.x_cut)),
    *pairs_of("cuts_agree", lambda m, k: Implies(
        And(m.round, m.is_member, k.is_member, m.was_cut, k.was_cut, Or(m.frozen, m.held), m.x_home, k.y_cut), m.x_cut)),
    *pairs_of("points_agree", lambda m, k: Implies(And(m.in_common, k.in_common, m.x_home, k.y_common), m.x_common)),
    *each_of("points_agree_with_themselves", lambda m: Implies(And(m.in_common, m.x_home, m.y_common), m.x_common)),
    *each_of("failed_over_to_the_common_point", lambda m: Implies(
        And(m.stage == Stage.COMMON, m.in_common), And(iff(m.x_disk, m.x_common), iff(m.y_disk, m.y_common)))),
)

TWO = Scope(more={"other.stage": 0}, words="two machines")
IN_REACH = Scope(more={**TWO.more, "a.lost": 0, "b.lost": 0, "a.own": 0, "b.own": 0},
                 words="two machines, always in reach, without points of their own")

ONE_HOME = Scope(more={**IN_REACH.more, "alarm": 0, "b.x_home": 0},
                 words="two machines, always in reach, without points of their own; x is a's, no round is given up")

OWN_POINT = Scope(more={**TWO.more, "a.lost": 0, "b.lost": 0, "alarm": 0, "b.x_home": 0, "b.own": 0},
                  words="two machines, always in reach; x is a's, which alone has points of its own, no round is given up")

LEVEL = Level(
    "group", "common recovery points of machines that depend on each other",
    "any number of machines, members, writes and rounds", group_model, PROMISES, LEMMAS,
    TWO, (IN_REACH,), needs=lambda t: t["group.supported"], narrow=(ONE_HOME, OWN_POINT))
