"""Points that no explanation lists, a system that stands still, and observations that do not fit together.

Rules
1. The list is judged by itself first (order, kinds, ids that come again), then against what explanations advertise: points that
   had to go or to stay, points in use, retention that waits, the newest one.
2. Who stands still although a fair step is possible is told which step.
3. Last, each observation has an explanation and all together have none: then the points are held to their content, and the first
   field that does not fit is named.
"""

from __future__ import annotations

from siteproof.conformance.ages import hours
from siteproof.conformance.blame_common import Found, values_told
from siteproof.conformance.blame_content import at_rest, wrong_content, wrong_copy, wrong_former
from siteproof.conformance.blame_fields import LIFECYCLE, REPORTED, wrong_allowed, wrong_field, wrong_resync
from siteproof.conformance.driver import UNKNOWN
from siteproof.conformance.events import Event
from siteproof.conformance.oracle import Factor
from siteproof.conformance.sight import ALERT, KINDS, Node, Sight
from siteproof.model.system import Kind

__all__ = ["not_together", "wrong_order", "wrong_points", "wrong_rest"]

FENCING = "contact"
"""The model's step with which a former source that can be reached again is fenced."""


def wrong_order(factor: Factor, machine: str, sight: Sight) -> Found | None:
    if factor.orderly(sight):
        return None
    if sight.seen.alerts is not UNKNOWN and sight.seen.alerts.count(ALERT) > 1:
        return Found(
            "alerts", f"{ALERT} twice", "each alert once", "P3", "alerted", f"{machine} raises the alert {ALERT} more than once."
        )
    if sight.new is None:
        return None
    fresh = (*sight.new, *sight.late)
    strange = [p for p in fresh if p.kind not in KINDS]
    if strange:
        return Found(
            "points",
            f"{strange[0].id} is {strange[0].kind}",
            " or ".join(KINDS),
            "P4",
            "kinds are known",
            f"A recovery point of {machine} is of a kind that does not exist, so nobody knows what it restores.",
        )
    changed = factor.other_kind(sight)
    if changed is not None:
        id, was, now = changed
        return Found(
            "points",
            f"{id}, {now}",
            f"{id}, {was}",
            "P4",
            "a point never changes",
            f"Recovery point {id} of {machine} was {was}, and is {now} now: a point is what it was when it was made.",
        )
    again = [p.id for p in fresh if p.id in factor.known_ids]
    if again:
        return Found(
            "points",
            f"{again[0]} again",
            "an id that was never used",
            "P4",
            "ids are never used again",
            f"A recovery point of {machine} has the name of one that was removed before.",
        )
    return Found(
        "points",
        ", ".join(sight.ids),
        "older points first, new ones last",
        "P4",
        "oldest first",
        f"The recovery points of {machine} are not listed in the order in which they were made.",
    )


def wrong_points(factor: Factor, machine: str, sight: Sight, nodes: list[Node]) -> Found | None:
    """The list of points, and the point that a failover names."""
    at, told = factor.promised.at, ", ".join(sight.ids) or "none"
    if sight.new is None or sight.seen.points is UNKNOWN:
        return None
    some = [n for n in nodes if bool(n[0][at.points]) == bool(sight.ids)]
    if not some:
        ended = sight.seen.failover in ("committed", "completed", "none") and sight.ids
        resyncs = sight.seen.resync not in ("none", UNKNOWN)
        return Found(
            "points",
            told,
            "none" if sight.ids else "at least one",
            "P7" if ended else "P10" if resyncs else "P4",
            "points",
            f"{machine} still advertises recovery points, which had to go when the failover or the replication was ended."
            if ended
            else f"{machine} advertises recovery points where there can be none."
            if sight.ids
            else f"{machine} has lost its last recovery point"
            + (": while it is resynchronised, nothing is left to fail over to." if resyncs else "."),
        )
    used = [n for n in some if n[5] or not factor.pinned(n) & sight.gone]
    if not used:
        name = min(min(factor.pinned(n) & sight.gone) for n in some)
        return Found(
            "points",
            f"{name} is gone",
            f"{name} kept",
            "P4",
            "a point in use is pinned",
            f"The recovery point {name}, which a failover or a test failover of {machine} uses, was removed.",
        )
    kept = [n for n in used if n[5] or not sight.gone or factor.retains(n)]
    if not kept:
        resyncs = sight.seen.resync not in ("none", UNKNOWN)
        return Found(
            "points",
            f"{', '.join(sorted(sight.gone))} gone",
            "every point kept",
            "P10" if resyncs else "P7",
            "retention waits",
            f"Recovery points of {machine} were removed while "
            + ("its replica is out of step" if resyncs else "a failover waits for commit")
            + ", when each of them may still be needed.",
        )
    used = kept
    if factor.points and factor.points[-1].id in sight.gone and not sight.new and not any(n[5] for n in used):
        return Found(
            "points",
            f"{factor.points[-1].id} is gone",
            "the newest point stays",
            "P4",
            "the newest is never pruned",
            f"The newest recovery point of {machine} was removed.",
        )
    early = factor.early(sight)
    if early is not None and early.made is not None and sight.now is not None and not any(n[5] for n in used):
        age, policy = sight.now - early.made.first, "" if factor.ages is None else factor.ages.told
        return Found(
            "points",
            f"{early.id} is gone, at most {hours(age)} old",
            policy,
            "P4",
            "only age removes a point",
            f"The recovery point {early.id} of {machine} was removed before its time: nobody can go back to it any more.",
        )
    renewed = [n for n in used if n[5]]
    if renewed and len(renewed) == len(used) and len(sight.gone) < len(factor.points):
        return Found(
            "points",
            told,
            "only points of this replication",
            "P10" if any(n[0][at.failover] == 0 and n[0][at.protection] for n in renewed) else "P7",
            "old points go together",
            f"Recovery points of {machine} from before the last copy, resynchronisation or commit are still advertised.",
        )
    nodes[:] = used
    fits = [n for n in used if factor.names(n, sight)]
    if not fits:
        return Found(
            "failover_point",
            str(sight.seen.failover_point),
            "the point that the failover used",
            "P2",
            "the point was advertised",
            f"The failover of {machine} names another point than it was asked to use.",
        )
    nodes[:] = fits
    return None


def wrong_rest(factor: Factor, machine: str, sight: Sight, nodes: list[Node]) -> Found | None:
    if not sight.still or any(factor.rests(n, sight) for n in nodes):
        return None
    could: list[str] = []
    if sight.seen.resync == "none" and any(n[0][factor.promised.at.spoiled] for n in nodes):
        return wrong_resync(machine, "none", "required")
    fenced = factor.promised.compiled.actions[FENCING]
    if all(fenced.step(n[0]) is not None for n in nodes):
        return Found(
            "progress",
            "the former source is not fenced",
            fenced.action.doc,
            "P3",
            "fenced on contact",
            f"The former source of {machine} can be reached again and is not fenced: it may run beside the machine.",
        )
    for action in factor.promised.compiled.of_kind(Kind.INTERNAL):
        arguments = (False,) * len(action.action.parameters)
        if action.action.fair and any(action.step(n[0], *arguments) is not None for n in nodes):
            could.append(action.action.doc)
    job = sight.seen.job
    expected = could[0] if could else "a step that is possible"
    if job not in (None, UNKNOWN):
        return Found(
            "progress",
            f"the job {job} stands still",
            expected,
            "P19",
            "progress",
            f"{job} of {machine} is stuck although nothing is in its way: {expected[0].lower()}{expected[1:]}",
        )
    return Found(
        "progress",
        "nothing moves",
        expected,
        "P8",
        "progress",
        f"Replication of {machine} stands still although something is left to do: {expected[0].lower()}{expected[1:]}",
    )


def not_together(factor: Factor, machine: str, event: Event | None, sight: Sight, nodes: list[Node]) -> Found:
    """Each observation has an explanation, but not all together. With the new points held to their content, one of the other
    fields does not fit; or the points themselves are where no cut could be (a torn one may look like an old one, and then it
    is the point that is wrong, not the job that cut it)."""
    at = factor.promised.at
    held = [n for n in factor.search(event, sight, unpruned=True) if factor.lists(n, sight)]
    if held:
        found = (
            (None if sight.new else wrong_field(factor, machine, event, sight, held, LIFECYCLE))
            or wrong_content(factor, machine, sight, held)
            or wrong_former(factor, machine, sight, held)
            or wrong_copy(factor, machine, sight, held)
            or wrong_field(factor, machine, event, sight, held, REPORTED)
            or wrong_allowed(factor, machine, sight, held)
        )
        if found is not None:
            return found
    newest = sight.new[-1] if sight.new else (factor.points[-1] if factor.points else None)
    latest = {int(n[0][at.latest]) for n in at_rest(factor, sight, nodes)}
    where = {w.length for n in nodes if newest is not None and (w := newest.view.locate(factor.branch(n))) is not None}
    planned = sight.seen.failover == "planned" or sight.seen.job == "PlannedFailover"
    promise = "P1" if planned else "P2" if sight.seen.failover == "unplanned" else "P4"
    return Found(
        "points",
        f"the newest point has {values_told(where)} writes",
        f"{values_told(latest)}",
        promise,
        "position of the newest point",
        f"The newest recovery point of {machine} does not hold what the machine's replica must hold by then"
        + (f", after {event.about}." if event is not None and event.about else "."),
    )
