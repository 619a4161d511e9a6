"""The behaviour facts of a flow: what each means, which cannot hold together, and how they are read with their reasons.

Facts are yes or no. The formal model reads them as constants by their dotted name, so the names are fixed (`FACTS`).
A file or a what-if whose facts contradict each other (`CONTRADICTIONS`) is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from attrs import frozen

from siteproof.model.deployment import Basis, Reason, read_requirements
from siteproof.model.specfile import Table

FACTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "forward.planned_failover": "planned failover from primary to recovery is offered",
        "forward.unplanned_failover": "unplanned failover from primary to recovery is offered",
        "forward.test_failover": "test failover at the recovery side is offered",
        "forward.change_point": "another recovery point can be chosen before a failover to recovery is committed",
        "forward.complete_migration": "a failover to recovery can be made final for good, in place of a commit or after it",
        "reverse.planned_failover": "planned failover from recovery back to primary is offered",
        "reverse.unplanned_failover": "unplanned failover from recovery back to primary is offered",
        "reverse.test_failover": "test failover at the primary side is offered while the machine is at recovery",
        "reverse.change_point": "another recovery point can be chosen before a failover back to primary is committed",
        "reverse.requires_commit": "replication is reversed only after the failover has been committed",
        "reverse.ships_content": "reversing replication copies what the former source lacks",
        "planned.leaves_protected": "the machine is protected after a planned failover",
        "planned.stops_source": "a planned failover shuts the source down first",
        "planned.drains": "a planned failover waits until everything acknowledged has reached the other side",
        "unplanned.leaves_protected": "the machine is protected after an unplanned failover",
        "unplanned.latest_processes_received": "'latest' makes a new point of everything received",
        "failback.ends_protection": "after a committed failback the machine has to be enabled again",
        "failback.without_reverse": "a committed failover is failed back by a planned failover directly, which copies the"
        " changes back itself; no reverse replication comes first",
        "returning.fenced_first": "an old source that comes back is fenced before anything else",
        "returning.epoch_checked": "every component refuses an epoch older than its own",
        "commit.removes_points": "commit removes all recovery points",
        "initial.ships_content": "initial replication copies the whole machine",
        "test.isolated": "what a test copy writes reaches nothing but the copy",
        "test.pins_point": "retention passes over the point that a test copy was made of",
        "resync.doubt_calls": "a change log that is of no use calls for a resynchronisation",
        "resync.ships_content": "a resynchronisation gives the replica what it lacks",
        "resync.keeps_points": "the recovery points stay while a resynchronisation compares",
        "gateway.present": "replication data passes a process server",
    }
)
"""The behaviour facts of a topology and what each means when it is true."""


@frozen
class Contradiction:
    """Facts that cannot hold together; `fact` is the one that is blamed."""

    fact: str
    forbids: Callable[[Mapping[str, bool]], bool]
    found: str
    expected: str
    mend: str


def _any_planned(facts: Mapping[str, bool]) -> bool:
    return facts["forward.planned_failover"] or facts["reverse.planned_failover"]


CONTRADICTIONS: Final = (
    Contradiction(
        fact="planned.leaves_protected",
        forbids=lambda facts: facts["planned.leaves_protected"] and not _any_planned(facts),
        found="planned.leaves_protected is true but neither direction has a planned failover",
        expected="false where there is no planned failover",
        mend="set planned.leaves_protected = false, or offer a planned failover",
    ),
    Contradiction(
        fact="forward.unplanned_failover",
        forbids=lambda facts: not facts["forward.planned_failover"] and not facts["forward.unplanned_failover"],
        found="the forward direction has no failover at all",
        expected="a planned or an unplanned failover to the recovery side",
        mend="set forward.unplanned_failover = true",
    ),
    Contradiction(
        fact="failback.ends_protection",
        forbids=lambda facts: (
            not facts["failback.ends_protection"]
            and not facts["reverse.planned_failover"]
            and not facts["reverse.unplanned_failover"]
        ),
        found="failback.ends_protection is false but the reverse direction has no failover",
        expected="true where nothing can come back under protection",
        mend="set failback.ends_protection = true, or offer a failover in the reverse direction",
    ),
    Contradiction(
        fact="failback.without_reverse",
        forbids=lambda facts: facts["failback.without_reverse"] and not facts["reverse.planned_failover"],
        found="failback.without_reverse is true but the reverse direction has no planned failover",
        expected="false where no planned failover can copy the changes back",
        mend="set failback.without_reverse = false, or offer a planned failover in the reverse direction",
    ),
)


def read_facts(top: Table) -> Iterator[tuple[str, bool]]:
    """Every fact of a file, by dotted name."""
    groups: dict[str, Table] = {}
    for fact in FACTS:
        group, _, name = fact.partition(".")
        if group not in groups:
            groups[group] = top.table(group)
        yield fact, groups[group].flag(name)
    for entry in groups.values():
        entry.close()


def read_reasons(table: Table) -> Iterator[Reason]:
    """The reason of every fact; a documented one names its requirements."""
    for fact in FACTS:
        entry = table.table(fact)
        reason = Reason(
            fact=fact,
            kind=entry.choice("kind", Basis),
            requirements=read_requirements(entry),
            reason=entry.text("reason"),
        )
        entry.close()
        if reason.kind is Basis.DOCUMENTED and not reason.requirements and entry.file.is_sound(entry.key):
            found, mend = "none", 'name the requirements, or write kind = "decision"'
            entry.file.complain((*entry.key, "requirements"), found, "the requirements of a documented fact", mend)
        yield reason
    table.close()
