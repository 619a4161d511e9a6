"""The disks level: recovery points of a machine with several disks, each copied while the machine runs.

Rules
1. The machines of this crowd are the *disks* of one machine, any number of them. Replication of a disk begins with a copy
   that takes its time: the disk is written to meanwhile, so a block is read before or after a write to it, as it happens.
2. From the moment a disk is replicated, its writes go to the change log: one log for all disks, in the order in which the
   writes were acknowledged. It is applied in this order; to apply a part of it is to apply the log as it was earlier.
3. When a copy ends, what the disk held when it began has arrived, and of later writes some have and some have not: the replica
   is of no instant. It becomes one when the log up to the end of the copy has been applied; then the disk is *covered*.
4. A point cuts all disks that are replicated, at one instant, when each is covered; it records which disks they are. A disk
   that is being added holds up the next point. What is removed is in no later point, and stays in those that there are.
5. Marks as in a group (`siteproof.model.group`): x, one arbitrary write, with the disk whose it is; and for each place whether
   it holds any write y that was issued, to whichever disk, after x had been acknowledged.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from siteproof.model.catalogue import promise
from siteproof.model.claims import always, step
from siteproof.model.crowd import NAMES, CrowdStep, Everyone, crowd, each_of, everyone, of, pairs_of
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
from siteproof.model.terms import And, Bool, Choice, If, Implies, Not, Or

__all__ = ["LEMMAS", "LEVEL", "PROMISES", "Copy", "Disk", "Read", "disks_model"]


class Copy(enum.Enum):
    """How far the replica of a disk is."""

    NONE = "not replicated"
    RUNNING = "being copied"
    COPIED = "copied"
    COVERED = "covered"


class Read(enum.Enum):
    """What the copy finds in the block that it reads."""

    NEITHER = "neither"
    X = "x"
    Y = "a write after x"


class Disk(Vocabulary):
    """One disk, and whether x was written."""

    x = flag(False, "x was written and acknowledged", mark=True, shared=True)

    copy = choice(Copy.NONE, "how far the replica is")
    in_point = flag(False, "the disk is in the newest recovery point")
    x_home = flag(False, "x was written to this disk", mark=True)
    y_disk = flag(False, "the disk holds a write issued after x was acknowledged", mark=True)
    x_log = flag(False, "the change log holds x", mark=True)
    y_log = flag(False, "the change log holds such a write to this disk", mark=True)
    x_replica = flag(False, "the replica holds x", mark=True)
    y_replica = flag(False, "the replica holds such a write", mark=True)
    x_point = flag(False, "the newest point holds x", mark=True)
    y_point = flag(False, "the newest point holds such a write to this disk", mark=True)

    @property
    def replicated(self) -> Bool:
        return self.copy != Copy.NONE

    @property
    def covered(self) -> Bool:
        return self.copy == Copy.COVERED


# ---------------------------------------------------------------------------------------------------------- one disk


@command("EnableProtection", ("GEN-11", "V2A-27", "H2S-19"))
def add_disk(_t: Facts, d: Disk) -> Step:
    """The disk is replicated from now on: its copy begins, and its writes are logged."""
    return Step(requires=[Requires(Not(d.replicated), "AlreadyProtected")], changes=[d.copy.becomes(Copy.RUNNING)])


@command("DisableProtection")
def remove_disk(_t: Facts, d: Disk) -> Step:
    """The disk is no longer replicated; its replica goes, and the points that hold it stay."""
    return Step(
        requires=[Requires(d.replicated, "NotProtected")],
        changes=[
            d.copy.becomes(Copy.NONE), d.x_log.becomes(False), d.y_log.becomes(False), d.x_replica.becomes(False),
            d.y_replica.becomes(False),
        ],
    )


@environment((), {"mark": bool})
def write(_t: Facts, d: Disk, mark: Bool) -> Step:
    """The workload writes to the disk, which acknowledges it; where it is replicated, the log has it."""
    marked = And(mark, Not(d.x))
    return Step(changes=[
        d.x.becomes(Or(d.x, marked)), d.x_home.becomes(Or(d.x_home, marked)), d.y_disk.becomes(Or(d.y_disk, d.x)),
        d.x_log.becomes(Or(d.x_log, And(marked, d.replicated))), d.y_log.becomes(Or(d.y_log, And(d.x, d.replicated))),
    ])


@internal(("GEN-11",), {"mark": Read})
def copy_block(_t: Facts, d: Disk, mark: Choice[Read]) -> Step:
    """The copy reads a block as it is now."""
    return Step(
        requires=[d.copy == Copy.RUNNING],
        changes=[
            d.x_replica.becomes(Or(d.x_replica, And(mark == Read.X, d.x_home))),
            d.y_replica.becomes(Or(d.y_replica, And(mark == Read.Y, d.y_disk))),
        ],
    )


@internal(("GEN-11", "V2A-27", "H2S-19"))
def end_copy(_t: Facts, d: Disk) -> Step:
    """Every block was read once: what was there before the log began has arrived."""
    return Step(requires=[d.copy == Copy.RUNNING],
                changes=[d.copy.becomes(Copy.COPIED), d.x_replica.becomes(Or(d.x_replica, And(d.x_home, Not(d.x_log))))])


def _all_covered(t: Facts) -> Everyone:
    return everyone(lambda k: Implies(And(t["disks.wait_for_log"], k.replicated), k.covered))


@internal((), fair=False)
def cut_disk(t: Facts, d: Disk) -> CrowdStep:
    """A point takes this disk now, and the others at other times. Where disks are cut together this does not happen."""
    return CrowdStep(
        requires=[Not(t["disks.cut_together"]), d.replicated], everyone=[_all_covered(t)],
        changes=[d.in_point.becomes(True), d.x_point.becomes(d.x_replica), d.y_point.becomes(d.y_replica)],
    )


# ----------------------------------------------------------------------------------------------------- all of them


@internal(("GEN-11", "V2A-28", "H2S-20"))
def apply_log(_t: Facts, _d: Disk) -> CrowdStep:
    """The log as it is now has arrived and is applied, to all disks."""
    return CrowdStep(
        changes=[],
        each=lambda k: [
            k.x_replica.becomes(Or(k.x_replica, k.x_log)), k.y_replica.becomes(Or(k.y_replica, k.y_log)),
            k.x_log.becomes(False), k.y_log.becomes(False), k.copy.becomes(If(k.copy == Copy.COPIED, Copy.COVERED, k.copy)),
        ],
    )


@internal(("GEN-12", "V2A-37"), fair=False)
def cut_point(t: Facts, _d: Disk) -> CrowdStep:
    """A recovery point: all disks that are replicated, as they are at this instant."""
    return CrowdStep(
        requires=[t["disks.cut_together"]], everyone=[_all_covered(t)], changes=[],
        each=lambda k: [k.in_point.becomes(k.replicated), k.x_point.becomes(And(k.replicated, k.x_replica)),
                        k.y_point.becomes(And(k.replicated, k.y_replica))],
    )


@remembered
def disks_model(name: str, facts: Mapping[str, bool], machines: tuple[str, ...] = NAMES) -> Model:
    """The disks level of one flow: `name` is the topology's id, `facts` its behaviour by dotted path."""
    return crowd(name, "disks", Disk, facts, of_each=(add_disk, remove_disk, write, copy_block, end_copy, cut_disk),
                 of_all=(apply_log, cut_point), outsider=lambda d: Not(d.replicated), machines=machines)


# ----------------------------------------------------------------------------------------------------------------- claims

P23 = promise("P23", (
    always("what was issued after a write was acknowledged is not in a point without it, whichever disks they are on",
           of(lambda a: a.x_point, "a"),
           given=of(lambda a, b: And(a.in_point, b.in_point, a.x_home, b.y_point), "a", "b")),
    always("nor is it where both are on one disk", of(lambda a: a.x_point, "a"),
           given=of(lambda a: And(a.in_point, a.x_home, a.y_point), "a")),
    step("a point holds every disk that is replicated, and no other", of(lambda a, z: z.in_point == a.replicated, "a"),
         on=("cut_point",)),
    step("a disk is in a new point only when the log has covered the end of its copy", of(lambda a, _z: a.covered, "a"),
         given=of(lambda a, z: And(z.in_point, Not(a.in_point)), "a")),
    step("a disk that is replicated and not covered holds up the next point", of(lambda a, _z: a.covered, "a"),
         given=of(lambda a, _z: a.replicated, "a"), on=("cut_point",)),
))

PROMISES = (P23,)

LEMMAS = (
    *each_of("nothing_before_x", lambda d: Implies(Not(d.x), Not(Or(d.x_home, d.y_disk, d.y_log, d.y_replica, d.y_point)))),
    *each_of("copied_is_logged_or_there", lambda d: Implies(
        And(d.copy.is_in(Copy.COPIED, Copy.COVERED), d.x_home), Or(d.x_log, d.x_replica))),
    *each_of("covered_is_a_prefix", lambda d: Implies(And(d.covered, d.x_home, d.y_replica), d.x_replica)),
    *pairs_of("covered_are_one_prefix", lambda d, k: Implies(
        And(d.covered, k.covered, d.x_home, k.y_replica), d.x_replica)),
    *pairs_of("points_agree", lambda d, k: Implies(And(d.in_point, k.in_point, d.x_home, k.y_point), d.x_point)),
    *each_of("points_agree_with_themselves", lambda d: Implies(And(d.in_point, d.x_home, d.y_point), d.x_point)),
)

TWO = Scope(more={"other.copy": 0, "other.x_home": 0, "other.y_disk": 0}, words="two disks")

LEVEL = Level(
    "disks", "recovery points of a machine with several disks", "any number of disks, writes and points", disks_model, PROMISES,
    LEMMAS, TWO, (TWO,))
