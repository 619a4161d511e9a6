"""The promise level's operations beside failover: test failover, change of point, resynchronisation, the end of replication."""

from __future__ import annotations

import pytest

from siteproof.model.promise.vocabulary import Failover, Job, Point, Protection, Resync, Site
from siteproof.model.readings.python import Refused
from siteproof.model.system import Kind
from siteproof.model.topology import builtin_topologies

from .test_promise import H2S, V2A, Walk

H2A, SCOUT = "hyper-v-site-to-azure", "scout-to-secondary-site"


def tried(walk: Walk, point: Point = Point.LATEST) -> Walk:
    return walk.do("test_failover", "make_test_copy", "start_test_copy", point=point)


def called(walk: Walk) -> Walk:
    return walk.protect().do("damage_change_log", "call_for_resync")


def codes(walk: Walk) -> dict[str, tuple[str, ...]]:
    """Every operation with the codes for which it is refused now."""
    return {a.action.operation: walk.codes(a.action.name) for a in walk.rules.of_kind(Kind.COMMAND)}


@pytest.mark.parametrize(("topology", "forward", "back"), [(V2A, True, False), (H2A, True, False), (SCOUT, False, False),
                                                           (H2S, True, True)])
def test_a_test_failover_is_offered_where_the_documents_name_one(topology: str, forward: bool, back: bool) -> None:
    """GEN-17, H2S-22."""
    walk = Walk(topology).protect()
    assert ("TestFailover" in walk.allowed) is forward
    if topology != H2A:
        walk.fail_over().do("contact").commit().reverse()
        assert walk["active"] is Site.RECOVERY
        assert ("TestFailover" in walk.allowed) is back


def test_replication_and_new_points_go_on_beside_a_test_copy_and_its_point_stays() -> None:
    walk = tried(Walk(H2S).protect(), Point.CUSTOM).do("write", "replicate", "cut_point")
    assert (walk["passive"], walk["latest"], walk["test_at"]) == (1, 1, 0)
    assert isinstance(walk.answer("prune_point"), Refused)
    walk.do("test_failover_cleanup", "remove_test_copy", "prune_point")
    assert walk["point"] is False


def test_a_test_copy_lives_and_is_cleaned_up_without_the_primary_site() -> None:
    """P6."""
    walk = tried(Walk(V2A).protect().do("fail_primary_site"))
    walk.do("fail_recovery_site")
    assert walk.codes("test_failover_cleanup") == ("TargetSiteDown",)
    assert isinstance(walk.answer("write_test_copy"), Refused)
    walk.do("heal_recovery_site", "boot_test_copy", "write_test_copy", "test_failover_cleanup", "remove_test_copy")
    assert "TestFailover" in walk.allowed


def test_a_running_test_refuses_everything_but_its_cleanup() -> None:
    for operation, refused in codes(tried(Walk(H2S).protect())).items():
        assert ("TestFailoverPending" in refused) is (operation != "TestFailoverCleanup")


def test_a_test_from_latest_holds_what_had_been_received() -> None:
    walk = Walk(H2S).protect().do("write", "replicate", "test_failover")
    assert isinstance(walk.answer("make_test_copy"), Refused)
    assert walk.do("cut_point", "make_test_copy")["test_at"] == 1


def test_a_failover_to_the_latest_app_consistent_point_goes_behind_the_newest() -> None:
    """Domain 2.5: it may lose more."""
    walk = Walk(H2S).protect()
    assert walk.codes("unplanned_failover", Point.APP) == ("RecoveryPointNotFound",)
    walk.do("write", "replicate", "cut_app_point", "write", "replicate", "cut_point")
    walk.do("unplanned_failover", "switch_unplanned", point=Point.APP)
    assert (walk["head"], walk["received"]) == (1, 2)


def test_a_change_of_point_sets_the_machine_back_and_counts_the_loss_anew() -> None:
    walk = Walk(H2S).protect().do("write", "replicate", "cut_point", "write").fail_over().do("contact")
    assert (walk["head"], walk["loss"]) == (1, 1)
    walk.do("write", "change_pit", "stop_for_change", "set_to_point", point=Point.CUSTOM)
    assert (walk["head"], walk["loss"], walk["running"], walk["failover"]) == (0, 2, True, Failover.UNPLANNED)
    walk.do("change_pit", "stop_for_change", "set_to_point", point=Point.PROCESSED)
    assert (walk["head"], walk["loss"]) == (1, 1)


def test_a_change_of_point_needs_a_pending_failover_and_a_named_point() -> None:
    """Everything received is in a point by then, so “latest” names none."""
    walk = Walk(H2S).protect()
    assert walk.codes("change_pit", Point.PROCESSED) == ("NoFailoverToChange",)
    walk.fail_over()
    assert walk.codes("change_pit", Point.LATEST) == ("RecoveryPointNotFound",)
    assert walk.do("commit").codes("change_pit", Point.PROCESSED) == ("JobInProgress",)


def test_a_machine_that_is_set_to_a_point_is_stopped_first_whoever_starts_it() -> None:
    walk = Walk(H2S).protect().fail_over().do("change_pit", "stop_for_change", "start_machine", point=Point.PROCESSED)
    assert isinstance(walk.answer("set_to_point"), Refused)
    assert walk.do("stop_for_change", "set_to_point")["running"] is True


def test_disabling_at_primary_leads_back_to_the_start() -> None:
    walk = Walk(V2A)
    start = walk.allowed
    walk.protect().do("disable_protection", "remove_points", "end_replication")
    assert (walk["protection"], walk["failover"], walk["points"]) == (Protection.NONE, Failover.NONE, False)
    assert walk.allowed == start
    assert walk.codes("disable_protection") == ("NotProtected",)


@pytest.mark.parametrize("ending", ["disable_protection", "complete_migration"])
def test_what_has_ended_at_recovery_is_final(ending: str) -> None:
    walk = Walk(V2A).protect().do("fail_link").fail_over().do(ending, "remove_points", "end_replication")
    assert (walk["failover"], walk["protection"]) == (Failover.COMPLETED, Protection.NONE)
    assert walk.allowed == ()
    assert all("ReplicationEnded" in refused for refused in codes(walk).values())
    walk.do("heal_link", "contact")
    assert (walk["passive_running"], walk["alerted"]) == (False, True)


def test_a_migration_is_completed_only_where_the_flow_has_it_and_a_failover_to_recovery_waits() -> None:
    assert "OperationNotSupported" in Walk(H2S).protect().fail_over().codes("complete_migration")
    assert "NoFailoverToComplete" in Walk(V2A).protect().codes("complete_migration")
    assert Walk(V2A).protect().fail_over().commit().codes("complete_migration") == ()


def test_a_damaged_log_calls_for_a_resynchronisation_that_brings_the_sides_into_step() -> None:
    """P9, P10."""
    walk = Walk(V2A).protect().do("write", "damage_change_log")
    assert isinstance(walk.answer("replicate"), Refused)
    walk.do("call_for_resync")
    assert walk.codes("test_failover") == ("ResynchronisationRequired",)
    walk.do("repair_replication", "compare", "write", "merge", "replicate", "finish_resync")
    assert (walk["resync"], walk["job"], walk["passive"], walk["latest"], walk["head"]) == (Resync.NONE, Job.NONE, 2, 2, 2)


@pytest.mark.parametrize("topology", builtin_topologies())
def test_nothing_calls_for_a_resynchronisation_without_a_cause(topology: str) -> None:
    walk = Walk(topology).protect().do("write", "replicate")
    assert [isinstance(walk.answer(name), Refused) for name in ("call_for_resync", "call_out_of_caution")] == [True, True]
    assert walk.codes("repair_replication") == ("NoResynchronisationRequired",)


@pytest.mark.parametrize("cause", [("fail_primary_site",), ("fail_link", "write"), ("fail_recovery_site", "write")])
def test_a_fault_that_may_have_spoiled_the_log_allows_a_call_out_of_caution(cause: tuple[str, ...]) -> None:
    assert Walk(H2S).protect().do(*cause, "call_out_of_caution")["resync"] is Resync.REQUIRED


def test_a_fault_that_cannot_have_spoiled_the_log_allows_none() -> None:
    walk = Walk(H2S).protect().do("fail_link", "heal_link", "write")
    assert isinstance(walk.answer("call_out_of_caution"), Refused)


def test_an_unplanned_failover_ends_a_comparison_and_waits_for_a_merge() -> None:
    """P10."""
    walk = called(Walk(H2S)).do("repair_replication", "compare")
    assert walk.allowed == ("UnplannedFailover",)
    other = called(Walk(H2S)).do("repair_replication", "compare", "merge")
    assert other.allowed == ()
    assert other.codes("unplanned_failover") == ("JobInProgress",)
    walk.fail_over()
    assert (walk["active"], walk["resync"], walk["failover"]) == (Site.RECOVERY, Resync.NONE, Failover.UNPLANNED)


def test_a_planned_failover_whose_log_is_damaged_has_to_give_up() -> None:
    walk = Walk(H2S).protect().do("write", "planned_failover", "damage_change_log", "call_for_resync")
    assert isinstance(walk.answer("switch_planned"), Refused)
    assert walk.do("fail_planned")["resync"] is Resync.REQUIRED
