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
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from siteproof.conformance.content import Log, View
from siteproof.conformance.driver import UNKNOWN, Accepted, Rejected
from siteproof.conformance.oracle import Event, Factor
from siteproof.conformance.results import Divergence
from siteproof.conformance.sight import ALERT, KINDS, Node, PointSeen, Sight
from siteproof.model.catalogue import catalogue
from siteproof.model.system import Kind

__all__ = ["changed_point", "diagnose", "never_rests"]

FENCING = "contact"
"""The model's step with which a former source that can be reached again is fenced."""

_LIFECYCLE, _REPORTED = (4, 1, 3, 10, 11, 0, 2, 8, 9), (5, 6, 7)
"""In which order the plain fields (positions in `_SHOWN`) are looked at: before content, and after it."""

_SHOWN = (
    "protection",
    "active",
    "direction",
    "failover",
    "job",
    "received",
    "loss",
    "alerts",
    "running at primary",
    "running at recovery",
    "test",
    "resync",
)


@attrs.frozen
class _Found:
    field: str
    found: str
    expected: str
    promise: str
    conjunct: str
    sentence: str
    requirements: tuple[str, ...] = ()


def diagnose(factor: Factor, machine: str, event: Event | None, sight: Sight, step: int) -> Divergence:
    """Say what is wrong, after `factor.follow(event, sight)` was false."""
    found = _answer(factor, machine, event) or _order(factor, machine, sight)
    if found is None:
        nodes = list(factor.search(event, sight, free=True))
        found = (
            _plain(factor, machine, event, sight, nodes, _LIFECYCLE)
            or _content(factor, machine, sight, _left(factor, sight, nodes))
            or _former(factor, machine, sight, nodes)
            or _copy(factor, machine, sight, nodes)
            or _plain(factor, machine, event, sight, nodes, _REPORTED)
            or _allowed(factor, machine, sight, nodes)
            or _points(factor, machine, sight, nodes)
            or _rest(factor, machine, sight, nodes)
            or _together(factor, machine, event, sight, nodes)
        )
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
    where, told = factor.journal.where(address), factor.journal.told
    found = now.rubbish[0][1] if now.rubbish else told(now.content.get(address))
    leaked = not now.rubbish and now.content.get(address) in factor.journal.in_copies
    entry = catalogue()["P6" if leaked else "P4"]
    return Divergence(
        step,
        machine,
        f"content of point {point.id}",
        f"{found} at {where}",
        f"{told(point.view.content.get(address))}, as when the point was new",
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


def _values(values: Iterable[object]) -> str:
    told = sorted({str(v) for v in values})
    return " or ".join(told[:4]) + (f" (or {len(told) - 4} more)" if len(told) > 4 else "") if told else "nothing"


def _answer(factor: Factor, machine: str, event: Event | None) -> _Found | None:
    if event is None or any(True for c in factor.candidates for _ in event.apply(c)):
        return None
    if event.kind == "write":
        wanted = "acknowledged" if event.answer is False else "refused"
        found = "refused" if event.answer is False else "acknowledged"
        return _Found(
            "answer",
            f"the write to {event.about} was {found}",
            wanted,
            "P3",
            "running",
            f"{machine} refuses a write although it runs there."
            if event.answer is False
            else f"{machine} takes a write where it does not run.",
        )
    if event.kind == "start-machine":
        refused = event.answer is False
        return _Found(
            "answer",
            "refused" if refused else "done",
            "done" if refused else "refused",
            "P3",
            "start",
            f"{machine} {'cannot be started at' if refused else 'was started at'} {event.about}, "
            f"{'where it should start' if refused else 'where it must not run'}.",
        )
    operation = event.operation
    action = factor.promised.commands[operation].action
    point = event.about.removeprefix(operation).removeprefix(" to ") or None
    codes: set[str] = set()
    accepts = False
    for candidate in factor.candidates:
        trial = factor.request(operation, point, Accepted())
        if any(True for _ in trial.apply(candidate)):
            accepts = True
        for guard in action.guards:
            trial = factor.request(operation, point, Rejected(guard.code))
            if any(True for _ in trial.apply(candidate)):
                codes.add(guard.code)
    expected = " or ".join((["accepted"] if accepts else []) + sorted(f"rejected ({c})" for c in codes))
    if isinstance(event.answer, Rejected):
        promise = _refused(factor, operation, event.answer.code) if accepts else "P13"
        sentence = f"{operation} of {machine} is refused with {event.answer.code}, although " + (
            "everything that it needs is there." if accepts else "that is not the reason."
        )
        return _Found(
            "answer", f"rejected ({event.answer.code})", expected, promise, event.answer.code, sentence, action.requirements
        )
    first = next((g.code for g in action.guards if g.code in codes), "")
    promise = {
        "OperationNotSupported": "P18",
        "FailoverNotCommitted": "P18",
        "JobInProgress": "P16",
        "RecoveryPointNotFound": "P2",
        "NoFailoverToCommit": "P7",
        "FailoverPending": "P7",
        "ReplicationEnded": "P7",
        "NoFailoverToChange": "P7",
        "ResynchronisationRequired": "P10",
    }.get(first, "P13")
    return _Found(
        "answer",
        "accepted",
        expected,
        promise,
        first,
        f"{operation} of {machine} is accepted, although it has to be refused with {first}.",
        action.requirements,
    )


def _refused(factor: Factor, operation: str, code: str) -> str:
    """The promise that is broken where `operation` should have been accepted: with a site or the link down, what needs only the
    site of the copy is refused, or what a resynchronisation has to leave open."""
    far = code in ("SitesNotConnected", "SourceNotRunning", "TargetSiteDown")
    if operation in ("TestFailover", "TestFailoverCleanup") and far:
        return "P6"
    if operation == "UnplannedFailover" and far:
        return "P22"
    resync = factor.promised.at.resync
    if operation == "UnplannedFailover" and any(c[0][resync] for c in factor.candidates):
        return "P10"
    return "P13"


def _order(factor: Factor, machine: str, sight: Sight) -> _Found | None:
    if factor.orderly(sight):
        return None
    if sight.seen.alerts is not UNKNOWN and sight.seen.alerts.count(ALERT) > 1:
        return _Found(
            "alerts", f"{ALERT} twice", "each alert once", "P3", "alerted", f"{machine} raises the alert {ALERT} more than once."
        )
    if sight.new is None:
        return None
    strange = [p for p in sight.new if p.kind not in KINDS]
    if strange:
        return _Found(
            "points",
            f"{strange[0].id} is {strange[0].kind}",
            " or ".join(KINDS),
            "P4",
            "kinds are known",
            f"A recovery point of {machine} is of a kind that does not exist, so nobody knows what it restores.",
        )
    again = [p.id for p in sight.new if p.id in factor.known_ids]
    if again:
        return _Found(
            "points",
            f"{again[0]} again",
            "an id that was never used",
            "P4",
            "ids are never used again",
            f"A recovery point of {machine} has the name of one that was removed before.",
        )
    return _Found(
        "points",
        ", ".join(sight.ids),
        "older points first, new ones last",
        "P4",
        "oldest first",
        f"The recovery points of {machine} are not listed in the order in which they were made.",
    )


def _plain(
    factor: Factor, machine: str, event: Event | None, sight: Sight, nodes: list[Node], order: tuple[int, ...]
) -> _Found | None:
    """Some plain fields, in order; `nodes` is filtered in place."""
    seen = sight.seen
    found: list[object] = [
        seen.protection,
        seen.active,
        seen.direction,
        seen.failover,
        seen.job,
        seen.received,
        seen.loss,
        UNKNOWN if seen.alerts is UNKNOWN else ALERT in seen.alerts,
        *seen.running,
        seen.test,
        seen.resync,
    ]
    for i in order:
        if found[i] is UNKNOWN:
            continue
        left = [n for n in nodes if factor.promised.shown(n[0])[i] == found[i]]
        if not left:
            return _field(machine, event, i, found, {factor.promised.shown(n[0])[i] for n in nodes})
        nodes[:] = left
    return None


def _allowed(factor: Factor, machine: str, sight: Sight, nodes: list[Node]) -> _Found | None:
    """The advertised operations."""
    if sight.seen.allowed_operations is UNKNOWN:
        return None
    left = [n for n in nodes if factor.allows(n, sight)]
    if not left:
        told = _values(", ".join(factor.promised.allowed(n[0])) or "none" for n in nodes)
        return _Found(
            "allowed_operations",
            ", ".join(sight.seen.allowed_operations) or "none",
            told,
            "P13",
            "lifecycle",
            f"{machine} advertises other operations than its state permits.",
        )
    nodes[:] = left
    return None


def _field(machine: str, event: Event | None, i: int, found: list[object], due: set[object]) -> _Found:
    name, value, expected = _SHOWN[i], str(found[i]), _values(due)
    if event is not None and isinstance(event.answer, Rejected):
        return _Found(
            name,
            value,
            expected,
            "P11",
            f"rejected ({event.answer.code})",
            f"A refused {event.operation} of {machine} changed {name} all the same.",
        )
    if i in (6, 7, 8, 9) and found[8] is True and found[9] is True:
        return _Found(
            "running at both sides",
            "True",
            "one side only",
            "P3",
            "both sides run",
            f"{machine} runs at both sites at once, and they have been in contact: two copies take writes.",
        )
    if i in (8, 9):
        planned = found[3] == "planned" or found[4] == "PlannedFailover"
        return _Found(
            name,
            value,
            expected,
            "P1" if planned else "P3",
            "running",
            f"{machine} {'runs' if found[i] else 'does not run'} at {'primary' if i == 8 else 'recovery'}, where it "
            f"{'must not' if found[i] else 'should'}.",
        )
    if name in ("received", "loss"):
        what = "received writes" if name == "received" else "lost writes"
        return _Found(name, value, expected, "P2", name, f"The number of {what} reported for {machine} is not the true one.")
    if name == "alerts":
        return _Found(
            "alerts",
            "StaleSideFenced" if found[i] else "none",
            "StaleSideFenced" if not found[i] else "none",
            "P3",
            "alerted",
            f"The fencing of the former source of {machine} is not reported as it happened.",
        )
    if name == "direction":
        return _Found(name, value, expected, "P12", "direction", f"{machine} replicates the wrong way.")
    if name == "job":
        return _Found(name, value, expected, "P16", "job", f"{machine} shows the job {value}; its history leads to {expected}.")
    if name == "test":
        gone = f"The test failover of {machine} is gone, though nobody has cleaned it up."
        sentence = gone if value == "none" else f"{machine} shows a test failover where there is none."
        return _Found(name, value, expected, "P6", name, sentence)
    if name == "resync":
        return _resync(machine, value, expected)
    promise = {"active": "P3", "protection": "P18", "failover": "P7"}[name]
    return _Found(name, value, expected, promise, name, f"{machine} shows {name} = {value}; its history leads to {expected}.")


def _resync(machine: str, value: str, expected: str) -> _Found:
    """The state of resynchronisation is not what the history leads to."""
    if value == "none":
        sentence = (
            f"{machine} does not call for a resynchronisation although its change log cannot be trusted: "
            "what was written may be missing on the other side, and nobody is told."
        )
        return _Found("resync", value, expected, "P9", "doubt", sentence)
    if expected == "none":
        sentence = f"{machine} calls for a resynchronisation although nothing has put its change log in doubt."
        return _Found("resync", value, expected, "P8", "no doubt", sentence)
    sentence = f"The resynchronisation of {machine} is shown as {value}; its history leads to {expected}."
    return _Found("resync", value, expected, "P10", "phases", sentence)


def _left(factor: Factor, sight: Sight, nodes: list[Node]) -> list[Node]:
    """The nodes whose positions to compare content with: at rest, where the system stands still."""
    if sight.still:
        return [n for n in nodes if factor.rests(n, sight)] or nodes
    return nodes


def _content(factor: Factor, machine: str, sight: Sight, nodes: list[Node]) -> _Found | None:
    """The active side's disk, then the new points."""
    at = factor.promised.at
    if sight.disk is not None and not any(factor.holds(n, sight) for n in nodes):
        logs = {n[1].prefix(int(n[0][at.head])) for n in nodes}
        failover = sight.seen.failover
        promise = {"planned": "P1", "unplanned": "P2"}.get(str(failover), "P21")
        return _wrong(
            factor,
            machine,
            f"content at {sight.seen.active}",
            sight.disk,
            logs,
            promise,
            f"the disk of {machine} at its active side",
        )
    for point in sight.new or ():
        logs = {factor.branch(n) for n in nodes}
        if not any(point.view.locate(log) is not None for log in logs):
            return _wrong(
                factor,
                machine,
                f"content of point {point.id}",
                point.view,
                logs,
                "P4",
                f"the recovery point {point.id} of {machine}",
            )
    return None


def _former(factor: Factor, machine: str, sight: Sight, nodes: list[Node]) -> _Found | None:
    """The former source's disk; `nodes` is filtered in place, so that the loss is compared with what is really there."""
    left = [n for n in nodes if factor.keeps(n, sight)]
    if left or sight.former is None:
        nodes[:] = left
        return None
    at = factor.promised.at
    logs = {n[2].prefix(int(n[0][at.passive])) for n in nodes if n[2] is not None}
    side = "recovery" if sight.seen.active == "primary" else "primary"
    return _wrong(
        factor,
        machine,
        f"content at {side}",
        sight.former,
        logs,
        "P21",
        f"the disk of {machine} at its former source, which nothing may change before it is copied over,",
    )


def _copy(factor: Factor, machine: str, sight: Sight, nodes: list[Node]) -> _Found | None:
    """The copy of a test failover; `nodes` is filtered in place."""
    left = [n for n in nodes if factor.copies(n, sight)]
    if left or sight.copy is None:
        nodes[:] = left
        return None
    logs = {n[3].copy for n in nodes if n[3].copy is not None}
    what = f"the test copy of {machine}"
    return _wrong(factor, machine, "content of the test copy", sight.copy, logs, "P6", what)


def _wrong(factor: Factor, machine: str, field: str, view: View, logs: set[Log], promise: str, what: str) -> _Found:
    """Content that is no prefix: compare with the nearest history and name the first block that differs."""
    journal = factor.journal
    whole = field.startswith("content of point")

    def distance(log: Log) -> int:
        return sum(1 for a in set(log.content) | set(view.content) if log.content.get(a) != view.content.get(a))

    pool = {log.at(view.newest) or log for log in logs} if whole else logs
    nearest = min(pool, key=lambda log: (distance(log), log.length))
    histories = [{r.sequence for r in log.backwards()} for log in logs]
    strangers = sorted(s for s in view.content.values() if not any(s in h for h in histories))
    bad = journal.mismatch(view, nearest)
    where = journal.where(bad.address) if bad is not None else "every block"
    found = f"{bad.found} at {where}" if bad is not None else "a longer history"
    expected = bad.expected if bad is not None else "the history of the machine"
    leaked = [s for s in strangers if s in journal.in_copies]
    if leaked and not view.rubbish:
        where = journal.where(journal.records[leaked[0]].address)
        return _Found(
            field,
            f"write {leaked[0]} at {where}",
            "no write of a test copy",
            "P6",
            "isolated",
            f"Write {leaked[0]}, which was made in a test failover, is on {what}: the test was not isolated.",
        )
    if strangers and not view.rubbish and promise != "P6":  # a test copy that is ahead of its point holds nothing discarded
        first = strangers[0]
        where = journal.where(journal.records[first].address)
        return _Found(
            field,
            f"write {first} at {where}",
            "no write that was discarded",
            "P20",
            "no resurrection",
            f"Write {first}, which a failover discarded or a crash lost, is back on {what}.",
        )
    missing = journal.told(nearest.content.get(bad.address)) if bad is not None else "a write"
    if view.rubbish:
        sentence = f"{what[0].upper()}{what[1:]} holds {found}: it is damaged."
    elif promise == "P6":
        sentence = f"{what[0].upper()}{what[1:]} is not its recovery point with its own writes on top: it holds {found}."
    elif promise == "P1":
        sentence = f"The planned failover of {machine} lost data: {missing} was acknowledged before and is not on {what}."
    else:
        sentence = f"{what[0].upper()}{what[1:]} is not one instant of its history: at {where} it lacks {missing}."
    return _Found(field, found, expected, promise, "content is exactly a prefix", sentence)


def _points(factor: Factor, machine: str, sight: Sight, nodes: list[Node]) -> _Found | None:
    """The list of points, and the point that a failover names."""
    at, told = factor.promised.at, ", ".join(sight.ids) or "none"
    if sight.new is None or sight.seen.points is UNKNOWN:
        return None
    some = [n for n in nodes if bool(n[0][at.points]) == bool(sight.ids)]
    if not some:
        ended = sight.seen.failover in ("committed", "completed", "none") and sight.ids
        resyncs = sight.seen.resync not in ("none", UNKNOWN)
        return _Found(
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
        return _Found(
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
        return _Found(
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
        return _Found(
            "points",
            f"{factor.points[-1].id} is gone",
            "the newest point stays",
            "P4",
            "the newest is never pruned",
            f"The newest recovery point of {machine} was removed.",
        )
    renewed = [n for n in used if n[5]]
    if renewed and len(renewed) == len(used) and len(sight.gone) < len(factor.points):
        return _Found(
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
        return _Found(
            "failover_point",
            str(sight.seen.failover_point),
            "the point that the failover used",
            "P2",
            "the point was advertised",
            f"The failover of {machine} names another point than it was asked to use.",
        )
    nodes[:] = fits
    return None


def _rest(factor: Factor, machine: str, sight: Sight, nodes: list[Node]) -> _Found | None:
    if not sight.still or any(factor.rests(n, sight) for n in nodes):
        return None
    could: list[str] = []
    if sight.seen.resync == "none" and any(n[0][factor.promised.at.spoiled] for n in nodes):
        return _resync(machine, "none", "required")
    fenced = factor.promised.compiled.actions[FENCING]
    if all(fenced.step(n[0]) is not None for n in nodes):
        return _Found(
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
        return _Found(
            "progress",
            f"the job {job} stands still",
            expected,
            "P19",
            "progress",
            f"{job} of {machine} is stuck although nothing is in its way: {expected[0].lower()}{expected[1:]}",
        )
    return _Found(
        "progress",
        "nothing moves",
        expected,
        "P8",
        "progress",
        f"Replication of {machine} stands still although something is left to do: {expected[0].lower()}{expected[1:]}",
    )


def _together(factor: Factor, machine: str, event: Event | None, sight: Sight, nodes: list[Node]) -> _Found:
    """Each observation has an explanation, but not all together. With the new points held to their content, one of the other
    fields does not fit; or the points themselves are where no cut could be (a torn one may look like an old one, and then it
    is the point that is wrong, not the job that cut it)."""
    at = factor.promised.at
    held = [n for n in factor.search(event, sight, unpruned=True) if factor.lists(n, sight)]
    if held:
        found = (
            (None if sight.new else _plain(factor, machine, event, sight, held, _LIFECYCLE))
            or _content(factor, machine, sight, held)
            or _former(factor, machine, sight, held)
            or _copy(factor, machine, sight, held)
            or _plain(factor, machine, event, sight, held, _REPORTED)
            or _allowed(factor, machine, sight, held)
        )
        if found is not None:
            return found
    newest = sight.new[-1] if sight.new else (factor.points[-1] if factor.points else None)
    latest = {int(n[0][at.latest]) for n in _left(factor, sight, nodes)}
    where = {w.length for n in nodes if newest is not None and (w := newest.view.locate(factor.branch(n))) is not None}
    planned = sight.seen.failover == "planned" or sight.seen.job == "PlannedFailover"
    promise = "P1" if planned else "P2" if sight.seen.failover == "unplanned" else "P4"
    return _Found(
        "points",
        f"the newest point has {_values(where)} writes",
        f"{_values(latest)}",
        promise,
        "position of the newest point",
        f"The newest recovery point of {machine} does not hold what the machine's replica must hold by then"
        + (f", after {event.about}." if event is not None and event.about else "."),
    )
