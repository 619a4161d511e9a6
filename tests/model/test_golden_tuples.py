"""The states that the public interface shows for Hyper-V to Azure, operation by operation, come out of the model.

How names map. Public `protectionState` *Protected* is `protection = protected`; its *…CommitRequired* and *…CommitPending…* are
`failover = planned` and `unplanned`; *…StatesBegin* after a commit is `failover = committed`. *WaitingForCompletion* of a test is
`test = running`; *None* and *MarkedForDeletion* (the copy is being cleared away, which blocks nothing) are `test = none`.
`Failback` is `PlannedFailover` with the machine at recovery. The public examples never list `RepairReplication`; here it is
advertised where a resynchronisation is called for, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from siteproof.model.promise import vocabulary
from siteproof.model.promise.vocabulary import Failover, Point, Protection, Resync, Site

from .test_promise import Walk

STEADY = {"PlannedFailover", "UnplannedFailover", "DisableProtection", "TestFailover"}
PENDING = {"CompleteMigration", "Commit", "DisableProtection", "ChangePit"}
PUBLIC = {"PlannedFailover": "Failback"}


def protected(walk: Walk) -> Walk:
    return walk.protect()


def under_test(walk: Walk) -> Walk:
    return walk.protect().do("test_failover", "make_test_copy", "start_test_copy")


def cleaned_up(walk: Walk) -> Walk:
    return under_test(walk).do("test_failover_cleanup", "remove_test_copy")


def moved(walk: Walk) -> Walk:
    return walk.protect().move()


def failed_over(walk: Walk) -> Walk:
    return walk.protect().fail_over()


def set_to_another_point(walk: Walk) -> Walk:
    return failed_over(walk).do("change_pit", "stop_for_change", "set_to_point", point=Point.PROCESSED)


def committed(walk: Walk) -> Walk:
    return moved(walk).commit()


def reprotected(walk: Walk) -> Walk:
    return committed(walk).do("planned_failover", "copy_base", "stop_source", "switch_planned").commit().reverse()


def repaired(walk: Walk) -> Walk:
    return walk.protect().do("damage_change_log", "call_for_resync", "repair_replication", "compare", "merge", "finish_resync")


@pytest.mark.parametrize(("after", "protection", "failover", "active", "test", "allowed"), [
    (protected, Protection.PROTECTED, Failover.NONE, Site.PRIMARY, vocabulary.Test.NONE, STEADY),
    (under_test, Protection.PROTECTED, Failover.NONE, Site.PRIMARY, vocabulary.Test.RUNNING, {"TestFailoverCleanup"}),
    (cleaned_up, Protection.PROTECTED, Failover.NONE, Site.PRIMARY, vocabulary.Test.NONE, STEADY),
    (moved, Protection.NONE, Failover.PLANNED, Site.RECOVERY, vocabulary.Test.NONE, PENDING),
    (failed_over, Protection.NONE, Failover.UNPLANNED, Site.RECOVERY, vocabulary.Test.NONE, PENDING),
    (set_to_another_point, Protection.NONE, Failover.UNPLANNED, Site.RECOVERY, vocabulary.Test.NONE, PENDING),
    (committed, Protection.NONE, Failover.COMMITTED, Site.RECOVERY, vocabulary.Test.NONE,
     {"CompleteMigration", "DisableProtection", "Failback"}),
    (reprotected, Protection.PROTECTED, Failover.NONE, Site.PRIMARY, vocabulary.Test.NONE, STEADY),
    (repaired, Protection.PROTECTED, Failover.NONE, Site.PRIMARY, vocabulary.Test.NONE, STEADY),
], ids=lambda value: value.__name__ if callable(value) else "")
def test_the_state_after_an_operation_is_the_public_one(
        after: Callable[[Walk], Walk], protection: Protection, failover: Failover, active: Site, test: vocabulary.Test,
        allowed: set[str]) -> None:
    walk = after(Walk("hyper-v-site-to-azure"))
    assert (walk["protection"], walk["failover"], walk["active"], walk["test"]) == (protection, failover, active, test)
    shown = {PUBLIC.get(name, name) if active is Site.RECOVERY else name for name in walk.allowed}
    assert shown == allowed


def test_a_repair_is_advertised_where_a_resynchronisation_is_called_for() -> None:
    walk = Walk("hyper-v-site-to-azure").protect().do("damage_change_log", "call_for_resync")
    assert walk["resync"] is Resync.REQUIRED
    assert walk.allowed == ("DisableProtection", "RepairReplication", "UnplannedFailover")
