"""Common points that are none: what is wrong with a replication group's points, in words (P5).

Rules
1. The sentence names the two machines and the two writes: who holds the later one, and who lacks the earlier one. It is told at
   the machine that lacks something, since that is what whoever fails over to the common point finds.
2. A write is called by its number on its machine, as in every other sentence about content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from siteproof.conformance.blame_common import Found

__all__ = ["not_one_instant", "not_one_time", "not_with_all", "other_order", "twice"]

P5 = "P5"


def _named(machines: Sequence[str]) -> str:
    """Machines in words: m0, m1 and m2."""
    return machines[0] if len(machines) == 1 else f"{', '.join(machines[:-1])} and {machines[-1]}"


def not_one_instant(name: str, members: Sequence[str], lacks: str, missing: int, holds: str, newest: int) -> Found:
    """The point of `holds` has a write that was issued after one that the point of `lacks` does not have was acknowledged."""
    return Found(
        f"common point {name}",
        f"write {newest} of {holds}, and not write {missing} of {lacks}",
        f"write {missing} of {lacks} as well, or neither",
        P5,
        "one instant for all members",
        f"The common point {name} of {_named(members)} is not one instant: {holds} holds write {newest}, and {lacks} lacks write "
        f"{missing}, which was acknowledged before that one was issued.",
    )


def not_one_time(name: str, members: Sequence[str], times: Mapping[str, float]) -> Found:
    """The points of a common point were cut at different times."""
    told = ", ".join(f"{machine} at {time:g} s" for machine, time in times.items())
    return Found(
        f"common point {name}",
        told,
        "one time for all members",
        P5,
        "one time for all members",
        f"The points that {_named(members)} show for their common point {name} were cut at different times: {told}.",
    )


def not_with_all(name: str, lacks: str, showing: Sequence[str]) -> Found:
    """A member has no point of a common point that others show."""
    verb = "show" if len(showing) > 1 else "shows"
    return Found(
        f"common point {name}",
        f"shown by {_named(showing)} alone",
        f"a point of {lacks} as well, or none",
        P5,
        "every member has it",
        f"{_named(showing)} {verb} the common point {name} and {lacks}, which is replicated beside, has no point of it: the "
        "machines cannot be failed over to one instant.",
    )


def other_order(first: str, second: str, names: Sequence[str]) -> Found:
    """Two members list two common points in different orders."""
    return Found(
        "points",
        f"{names[1]} before {names[0]}",
        f"{names[0]} before {names[1]}, as at {first}",
        P5,
        "one order for all members",
        f"{first} lists the common point {names[0]} before {names[1]} and {second} the other way round: at most one of them "
        "lists its points oldest first.",
    )


def twice(machine: str, name: str, points: Sequence[str]) -> Found:
    """Two points of one machine bear the name of one common point."""
    return Found(
        "points",
        f"{_named(points)} are all {name}",
        "one point of each member",
        P5,
        "one point of each member",
        f"{machine} has {len(points)} points that bear the name of the common point {name}, so nobody knows which one is meant.",
    )
