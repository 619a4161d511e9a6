"""The promise level answers as the documents say: the capability matrix, the lifecycle, and who is the machine when."""

from __future__ import annotations

import pytest

from siteproof.model.promise import promise_model
from siteproof.model.promise.vocabulary import Direction, Failover, Job, Point, Protection, Site
from siteproof.model.readings.python import Accepted, CompiledModel, Refused, State, compile_model
from siteproof.model.topology import builtin_topologies, load_topology

V2A, H2S = "vmware-to-azure", "hyper-v-to-secondary-site"


def rules(topology: str) -> CompiledModel:
    return compile_model(promise_model(topology, load_topology(topology).facts).without_marks())


class Walk:
    """A run of the compiled model, one action after the other; an action that is refused fails the test."""

    def __init__(self, topology: str) -> None:
        self.rules = rules(topology)
        self.state: State = self.rules.initial

    def do(self, *names: str, point: Point = Point.LATEST) -> Walk:
        for name in names:
            answer = self.answer(name, point)
            assert isinstance(answer, Accepted), (name, answer, self.rules.model.show(self.state))
            self.state = answer.state
        return self

    def answer(self, name: str, point: Point = Point.LATEST) -> Accepted | Refused:
        action = self.rules.actions[name]
        arguments = [p.domain.code(point) if p.name == "point" else True for p in action.action.parameters]
        return action.answer(self.state, *arguments)

    def codes(self, name: str, point: Point = Point.LATEST) -> tuple[str, ...]:
        answer = self.answer(name, point)
        return answer.codes if isinstance(answer, Refused) else ()

    def __getitem__(self, name: str) -> object:
        return self.rules.get(self.state, name)

    @property
    def allowed(self) -> tuple[str, ...]:
        return self.rules.allowed_operations(self.state)

    def protect(self) -> Walk:
        return self.do("enable_protection", "copy_base", "finish_copy")

    def fail_over(self) -> Walk:
        return self.do("unplanned_failover", "switch_unplanned")

    def commit(self) -> Walk:
        return self.do("commit", "commit_first_half", "commit_second_half")

    def reverse(self) -> Walk:
        return self.do("reverse_replicate", "copy_base", "finish_copy")

    def move(self) -> Walk:
        return self.do("planned_failover", "stop_source", "switch_planned")


@pytest.mark.parametrize("topology", [V2A, H2S])
def test_an_unprotected_machine_can_only_be_enabled(topology: str) -> None:
    assert Walk(topology).allowed == ("EnableProtection",)


def test_a_protected_vmware_machine_has_no_planned_failover_to_azure() -> None:
    """V2A-44."""
    walk = Walk(V2A).protect()
    assert walk.allowed == ("DisableProtection", "TestFailover", "UnplannedFailover")
    assert walk.codes("planned_failover") == ("OperationNotSupported",)


def test_a_protected_hyper_v_machine_has_both_failovers() -> None:
    """H2S-23."""
    assert Walk(H2S).protect().allowed == (
        "DisableProtection", "PlannedFailover", "TestFailover", "UnplannedFailover")


def test_the_way_back_from_azure_is_an_unplanned_failover_and_ends_protection() -> None:
    """V2A-49, V2A-50, V2A-51, V2A-52."""
    walk = Walk(V2A).protect().fail_over().do("contact").commit()
    assert walk.allowed == ("CompleteMigration", "DisableProtection", "ReverseReplicate")
    walk.reverse()
    assert walk.allowed == ("DisableProtection", "UnplannedFailover")
    walk.fail_over().do("contact").commit()
    assert (walk["active"], walk["protection"], walk["failover"], walk["direction"]) == (
        Site.PRIMARY, Protection.NONE, Failover.NONE, Direction.FORWARD)
    assert walk.allowed == ("EnableProtection",)
    walk.protect()
    assert (walk["active"], walk["protection"]) == (Site.PRIMARY, Protection.PROTECTED)


def test_a_planned_round_trip_between_sites_restores_the_start() -> None:
    """H2S-28, H2S-31, H2S-32, H2S-33."""
    walk = Walk(H2S).protect()
    start = [walk[name] for name in ("active", "direction", "protection", "failover", "job")]
    walk.move()
    assert (walk["active"], walk["protection"], walk["failover"]) == (
        Site.RECOVERY, Protection.PROTECTED, Failover.PLANNED)
    walk.commit().reverse()
    assert (walk["active"], walk["direction"], walk["protection"]) == (
        Site.RECOVERY, Direction.REVERSE, Protection.PROTECTED)
    walk.move().commit().reverse()
    assert [walk[name] for name in ("active", "direction", "protection", "failover", "job")] == start


def test_an_unplanned_failover_leaves_the_machine_unprotected() -> None:
    """H2S-27."""
    assert Walk(H2S).protect().fail_over()["protection"] is Protection.NONE


@pytest.mark.parametrize("topology", [V2A, H2S])
def test_reverse_replication_is_refused_before_commit(topology: str) -> None:
    """V2A-49, H2S-30: the former source's disk is the only copy of what the failover left behind."""
    walk = Walk(topology).protect().fail_over().do("contact")
    assert walk.codes("reverse_replicate") == ("FailoverNotCommitted",)


@pytest.mark.parametrize("topology", [V2A, H2S])
def test_a_failover_is_refused_while_another_one_waits_for_commit(topology: str) -> None:
    assert "FailoverPending" in Walk(topology).protect().fail_over().codes("unplanned_failover")


def test_only_an_unplanned_failover_takes_the_place_of_a_planned_one() -> None:
    """P16."""
    walk = Walk(H2S).protect().do("planned_failover")
    assert walk.allowed == ("UnplannedFailover",)
    assert walk.codes("planned_failover") == ("JobInProgress",)
    assert walk.do("unplanned_failover")["job"] is Job.UNPLANNED


def test_a_machine_whose_site_is_gone_can_fail_over_but_not_move() -> None:
    """P22: an unplanned failover needs the recovery side only."""
    walk = Walk(H2S).protect().do("fail_primary_site")
    assert walk.codes("planned_failover") == ("SourceNotRunning", "SitesNotConnected")
    assert walk.fail_over()["active"] is Site.RECOVERY


def test_a_failover_to_a_point_that_is_not_advertised_is_refused() -> None:
    walk = Walk(H2S).protect()
    walk.do("write", "replicate", "cut_point", "prune_point")
    assert walk.codes("unplanned_failover", Point.CUSTOM) == ("RecoveryPointNotFound",)


def test_latest_waits_for_what_was_received_and_latest_processed_does_not() -> None:
    """Domain 2.5."""
    walk = Walk(H2S).protect().do("write", "replicate", "unplanned_failover")
    assert isinstance(walk.answer("switch_unplanned"), Refused)
    assert walk.do("cut_point", "switch_unplanned")["head"] == 1
    walk = Walk(H2S).protect().do("write", "replicate")
    assert walk.do("unplanned_failover", "switch_unplanned", point=Point.PROCESSED)["head"] == 0


def test_a_returning_source_is_fenced_and_the_loss_is_counted() -> None:
    """P2, P3."""
    walk = Walk(H2S).protect().do("write", "write", "replicate", "cut_point", "fail_link").fail_over()
    assert (walk["running"], walk["passive_running"], walk["loss_known"]) == (True, True, False)
    walk.do("write_former_source", "heal_link", "contact")
    assert (walk["passive_running"], walk["alerted"], walk["loss"]) == (False, True, 2)


def test_a_source_restarted_during_a_planned_failover_stops_the_switch() -> None:
    """P1: between stop and switch the source may be restarted by others."""
    walk = Walk(H2S).protect().do("planned_failover", "stop_source", "start_machine")
    assert isinstance(walk.answer("switch_planned"), Refused)
    assert walk.do("fail_planned")["active"] is Site.PRIMARY


def test_cached_writes_are_flushed_before_the_source_stops() -> None:
    walk = Walk(H2S).protect().do("write_cached", "planned_failover")
    assert isinstance(walk.answer("stop_source"), Refused)
    walk.do("flush_before_stop", "stop_source", "replicate", "cut_point", "switch_planned")
    assert walk["head"] == 1


def test_every_built_in_flow_has_a_promise_level() -> None:
    assert {rules(topology).model.name for topology in builtin_topologies()} == set(builtin_topologies())
