"""Content that no explanation holds: the nearest history, the first block that differs, and what that means.

Rules
1. A write that was discarded and is found again is always P20, whatever place it is found in; one that was made in a test
   failover's copy, and is found elsewhere, always P6.
2. What is found is compared with the nearest history: the one with the fewest blocks that differ.
3. A failover is to blame for what it did not bring. What the machine's disk lacks of the writes that it has acknowledged since
   is P21, whatever failover there was before.
"""

from __future__ import annotations

from siteproof.conformance.blame_common import Found
from siteproof.conformance.content import Log, View
from siteproof.conformance.oracle import Factor
from siteproof.conformance.sight import Node, Sight

__all__ = ["at_rest", "wrong_content", "wrong_copy", "wrong_former"]


def at_rest(factor: Factor, sight: Sight, nodes: list[Node]) -> list[Node]:
    """The nodes whose positions to compare content with: at rest, where the system stands still."""
    if sight.still:
        return [n for n in nodes if factor.rests(n, sight)] or nodes
    return nodes


def wrong_content(factor: Factor, machine: str, sight: Sight, nodes: list[Node]) -> Found | None:
    """The active side's disk, then the new points."""
    at = factor.promised.at
    if sight.disk is not None and not any(factor.holds(n, sight) for n in nodes):
        logs = {n[1].prefix(int(n[0][at.head])) for n in nodes}
        promise = {"planned": "P1", "unplanned": "P2"}.get(str(sight.seen.failover), "P21")
        epoch = min((int(n[0][at.epoch]) for n in nodes), default=0)
        return _wrong(
            factor,
            machine,
            f"content at {sight.seen.active}",
            sight.disk,
            logs,
            promise,
            f"the disk of {machine} at its active side",
            since=epoch,
        )
    for point in (*(sight.new or ()), *sight.late):
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


def wrong_former(factor: Factor, machine: str, sight: Sight, nodes: list[Node]) -> Found | None:
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


def wrong_copy(factor: Factor, machine: str, sight: Sight, nodes: list[Node]) -> Found | None:
    """The copy of a test failover; `nodes` is filtered in place."""
    left = [n for n in nodes if factor.copies(n, sight)]
    if left or sight.copy is None:
        nodes[:] = left
        return None
    logs = {n[3].copy for n in nodes if n[3].copy is not None}
    what = f"the test copy of {machine}"
    return _wrong(factor, machine, "content of the test copy", sight.copy, logs, "P6", what)


def _wrong(
    factor: Factor, machine: str, field: str, view: View, logs: set[Log], promise: str, what: str, *, since: int = 0
) -> Found:  # fmt: skip
    """Content that is no prefix: compare with the nearest history and name the first block that differs. `since`: the branch that
    began with the last failover, if there was one."""
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
        return Found(
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
        return Found(
            field,
            f"write {first} at {where}",
            "no write that was discarded",
            "P20",
            "no resurrection",
            f"Write {first}, which a failover discarded or a crash lost, is back on {what}.",
        )
    lacked = nearest.content.get(bad.address) if bad is not None else None
    missing = journal.told(lacked) if bad is not None else "a write"
    if promise in ("P1", "P2") and not view.rubbish and lacked and journal.records[lacked].tag.branch == since:
        promise = "P21"
    if view.rubbish:
        sentence = f"{what[0].upper()}{what[1:]} holds {found}: it is damaged."
    elif promise == "P6":
        sentence = f"{what[0].upper()}{what[1:]} is not its recovery point with its own writes on top: it holds {found}."
    elif promise == "P1":
        sentence = f"The planned failover of {machine} lost data: {missing} was acknowledged before and is not on {what}."
    else:
        sentence = f"{what[0].upper()}{what[1:]} is not one instant of its history: at {where} it lacks {missing}."
    return Found(field, found, expected, promise, "content is exactly a prefix", sentence)
