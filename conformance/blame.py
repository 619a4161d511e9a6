"""Which observation emptied the set, and which promise that breaks: a divergence in words.

Rules
1. Nothing is cut off here: all nodes that the event and internal steps lead to are computed again, with every cut of a
   point taken for explained, and then filtered one observation after the other, the plain fields first, content next,
   the list of points, standing still last. The first filter that leaves nothing is the divergence; the values that were
   left before it are the expected ones.
2. A field, with the state that the machine is in, names the promise. A write that was discarded and is found again is
   always P20, whatever place it is found in; one that was made in a test failover's copy, and is found elsewhere, always P6.
3. The sentence is one that somebody who plans for disasters understands; it names the machine, what was found and why
   it matters, and no variable of the model.
4. The parts, in the order in which they are asked: `blame_answers`, `blame_fields`, `blame_content`, `blame_points`. What is
   wrong between the machines of a group is found by `groups`, when each machine by itself is explained, and told by
   `blame_groups`.
"""

from __future__ import annotations

from siteproof.conformance.blame_answers import wrong_answer
from siteproof.conformance.blame_common import Found
from siteproof.conformance.blame_content import at_rest, wrong_content, wrong_copy, wrong_former
from siteproof.conformance.blame_fields import LIFECYCLE, REPORTED, wrong_allowed, wrong_field
from siteproof.conformance.blame_points import not_together, wrong_order, wrong_points, wrong_rest
from siteproof.conformance.content import View
from siteproof.conformance.oracle import Event, Factor
from siteproof.conformance.results import Divergence
from siteproof.conformance.sight import PointSeen, Sight
from siteproof.model.catalogue import catalogue

__all__ = ["changed_point", "diagnose", "never_rests", "told"]


def diagnose(factor: Factor, machine: str, event: Event | None, sight: Sight, step: int) -> Divergence:
    """Say what is wrong, after `factor.follow(event, sight)` was false."""
    found = wrong_answer(factor, machine, event) or wrong_order(factor, machine, sight)
    if found is None:
        nodes = list(factor.search(event, sight, free=True))
        found = (
            wrong_field(factor, machine, event, sight, nodes, LIFECYCLE)
            or wrong_content(factor, machine, sight, at_rest(factor, sight, nodes))
            or wrong_former(factor, machine, sight, nodes)
            or wrong_copy(factor, machine, sight, nodes)
            or wrong_field(factor, machine, event, sight, nodes, REPORTED)
            or wrong_allowed(factor, machine, sight, nodes)
            or wrong_points(factor, machine, sight, nodes)
            or wrong_rest(factor, machine, sight, nodes)
            or not_together(factor, machine, event, sight, nodes)
        )
    return told(found, machine, step)


def told(found: Found, machine: str, step: int) -> Divergence:
    """A finding at a step, with what the catalogue says of the promise that it breaks."""
    entry = catalogue()[found.promise]
    return Divergence(
        step,
        machine,
        found.field,
        found.found,
        found.expected,
        found.promise,
        entry.title,
        found.requirements or entry.requirements,
        found.conjunct,
        found.sentence,
    )


def changed_point(machine: str, point: PointSeen, now: View, factor: Factor, step: int) -> Divergence:
    """An older point reads otherwise than when it was new."""
    address = min(
        (a for a in set(now.content) | set(point.view.content) if now.content.get(a) != point.view.content.get(a)), default=0
    )
    where, says = factor.journal.where(address), factor.journal.told
    found = now.rubbish[0][1] if now.rubbish else says(now.content.get(address))
    leaked = not now.rubbish and now.content.get(address) in factor.journal.in_copies
    entry = catalogue()["P6" if leaked else "P4"]
    return Divergence(
        step,
        machine,
        f"content of point {point.id}",
        f"{found} at {where}",
        f"{says(point.view.content.get(address))}, as when the point was new",
        entry.id,
        entry.title,
        entry.requirements,
        "an advertised point never changes",
        f"What was written in a test failover of {machine} is in its recovery point {point.id}: the test was not isolated."
        if leaked
        else f"The recovery point {point.id} of {machine} no longer holds what it held when it was made, so a failover to it "
        "would not restore that instant.",
    )


def never_rests(machine: str, step: int) -> Divergence:
    """`settle` gave up."""
    entry = catalogue()["P19"]
    return Divergence(
        step,
        machine,
        "settle",
        "still moving after a day of virtual time",
        "nothing moves any more",
        "P19",
        entry.title,
        entry.requirements,
        "progress",
        f"Replication of {machine} never comes to rest although nothing new happens.",
    )
