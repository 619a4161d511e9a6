"""Necessity: what each precondition is there for, and that none that matters is called defensive."""

from __future__ import annotations

from functools import cache

import pytest

from siteproof.model.engines.graph import explore_graph
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import search
from siteproof.model.levels import level, levels
from siteproof.model.mutation import without_guard
from siteproof.model.necessity import Necessity, Need, necessity_of_model, reported, shares, worked_out
from siteproof.model.promise import LEVEL
from siteproof.model.topology import load_topology
from tests.soak import soak

from .crowds import crowd_of
from .proving import H2S, V2A, model_of, violations

NARROW = Scope(writes=0, failovers=1, cached=0)
ASKED = ("reverse_replicate", "contact", "finish_copy", "fail_gateway")


@cache
def matrix(flow: str) -> tuple[Necessity, ...]:
    return tuple(necessity_of_model(LEVEL, model_of(flow), actions=ASKED, time_limit=15.0))


def row_of(flow: str, action: str, code: str) -> Necessity:
    return next(row for row in matrix(flow) if (row.action, row.code) == (action, code))


@pytest.mark.parametrize("flow", [V2A])
def test_every_precondition_has_a_row_in_english(flow: str) -> None:
    rows = matrix(flow)
    model = model_of(flow)
    assert [(row.action, row.number) for row in rows] == [
        (action.name, number) for action in model.actions if action.name in ASKED for number in range(1, len(action.guards) + 1)]
    assert all(row.text and row.method for row in rows)
    assert row_of(flow, "reverse_replicate", "FailoverNotCommitted").requirements


def test_reversing_before_commit_breaks_a_promise_and_the_shortest_trace_shows_it() -> None:
    row = row_of(H2S, "reverse_replicate", "FailoverNotCommitted")
    assert row.need is Need.NEEDED
    assert row.promise.startswith("P")
    assert row.trace is not None
    assert row.trace.shortest
    assert row.promise in row.trace.conclusion
    mutant = without_guard(model_of(H2S), "reverse_replicate", "FailoverNotCommitted")
    wide = search(mutant, violations(mutant), LEVEL.wide, max_depth=len(row.trace.steps) - 1, max_states=60_000)
    assert wide.found == {}


@pytest.mark.parametrize("flow", [V2A, H2S])
def test_what_is_called_defensive_changes_nothing_that_can_happen(flow: str) -> None:
    model = model_of(flow).without_marks()
    as_it_is = explore_graph(model, NARROW)
    defensive = [row for row in matrix(flow) if row.need is Need.DEFENSIVE]
    assert defensive
    for row in defensive:
        mutant = explore_graph(without_guard(model, row.action, row.number - 1), NARROW)
        counts = [(len(graph.states), len(graph.targets)) for graph in (mutant, as_it_is)]
        assert counts[0] == counts[1], (row.action, row.number)


@pytest.mark.parametrize("flow", [V2A, H2S])
def test_what_is_not_needed_breaks_nothing_and_says_what_becomes_possible(flow: str) -> None:
    model = model_of(flow)
    rows = [row for row in matrix(flow) if row.need is Need.NOT_NEEDED]
    assert rows
    for row in rows:
        mutant = without_guard(model, row.action, row.number - 1)
        assert search(mutant, violations(mutant), NARROW, max_states=2_000).found == {}
        if row.accepts is not None:
            assert row.accepts.steps[-1].action == row.action
    assert any(row.accepts is not None for row in rows)


@pytest.mark.parametrize("flow", [V2A, H2S])
def test_an_open_row_says_why_and_no_other_row_is_open(flow: str) -> None:
    for row in matrix(flow):
        assert (row.need is Need.UNDETERMINED) <= bool(row.reason)
        assert (row.need is Need.NEEDED) == (row.trace is not None)


def test_a_precondition_that_the_facts_make_true_names_them() -> None:
    row = next(row for row in matrix(V2A) if (row.action, row.number) == ("fail_gateway", 1))
    assert row.need is Need.SILENT
    assert row.reason == "it always holds here: gateway.present = true"


@soak
def test_without_time_nothing_is_claimed() -> None:
    rows = necessity_of_model(LEVEL, model_of(H2S), actions=["commit"], time_limit=0.0)
    for row in rows:
        if row.need is Need.UNDETERMINED:
            assert "time limit" in row.reason


def test_what_nobody_but_a_person_found_is_proved_with_lemmas_that_are_kept() -> None:
    rows = necessity_of_model(LEVEL, model_of(H2S), actions=["merge", "damage_change_log"], efforts=())
    assert not [(row.action, row.number) for row in rows if row.need is Need.UNDETERMINED]
    with_lemmas = {row.action: row.method for row in rows if row.lemmas}
    assert with_lemmas == dict.fromkeys(("merge", "damage_change_log"), "plain induction with kept lemmas")


def test_a_state_that_only_one_precondition_refuses_is_found_past_nearer_states_that_lead_nowhere() -> None:
    """Most of what lacks one thing has been failed over already, and never lacks nothing again."""
    of = level("protocol")
    rows = necessity_of_model(of, of.build(V2A, load_topology(V2A).facts), actions=["cut_last_point"], kept={})
    first = rows[0]
    assert (first.need, first.promise) == (Need.NEEDED, "R1")
    assert first.trace is not None
    assert len(first.trace.steps) <= 12


def test_in_a_crowd_a_precondition_is_dropped_for_every_machine_at_once() -> None:
    """A machine that was failed over to the common point goes on writing, and the two no longer agree."""
    of = level("group")
    rows = necessity_of_model(of, crowd_of("group"), actions=["write"], efforts=())
    assert [(row.action, row.need, row.promise) for row in rows] == [("write", Need.NEEDED, "P5")]
    assert rows[0].trace is not None
    taken = [step.action for step in rows[0].trace.steps]
    assert {"a.fail_over", "b.fail_over"} <= set(taken)
    assert len(taken) == 14


def test_a_level_alike_in_several_flows_is_one_share_and_every_flow_has_its_rows() -> None:
    topologies = [load_topology(flow) for flow in ("vmware-to-azure", "physical-to-azure", "hyper-v-to-secondary-site")]
    todo = shares(topologies)
    assert len({share.id for share in todo}) == len(todo)
    assert sorted((share.level, flow) for share in todo for flow in share.flows) == sorted(
        (one.id, topology.id) for topology in topologies for one in levels() if one.applies(topology.facts))
    assert ("vmware-to-azure", "physical-to-azure") in [share.flows for share in todo if share.level == "group"]
    share = next(share for share in todo if share.level == "gateway")
    done = {share.id: (share, *worked_out(share, 60.0, lambda _line: None))}
    reports = [reported(topology, done) for topology in topologies[:2]]
    assert reports[0].rows == reports[1].rows != ()
    assert [report.alike for report in reports] == [{"gateway": ("physical-to-azure",)}, {"gateway": ("vmware-to-azure",)}]


def test_what_the_model_itself_does_not_keep_is_named_beside_what_is_not_needed() -> None:
    of, topology = level("retention"), load_topology(V2A).with_facts({"points.pinned_in_use": False})
    rows = necessity_of_model(of, of.build(V2A, topology.facts), efforts=())
    not_needed = [row for row in rows if row.need is Need.NOT_NEEDED]
    assert not_needed
    assert all("P4" in row.reason and "in use" in row.reason for row in not_needed)
    sound = necessity_of_model(of, of.build(V2A, load_topology(V2A).facts), efforts=())
    assert all(row.reason == "" for row in sound if row.need is Need.NOT_NEEDED)


def test_a_promise_that_repeats_a_precondition_is_named_only_where_no_other_breaks() -> None:
    """P11 says that a request is refused where a precondition does not hold, so it breaks whichever one is dropped."""
    rows = [row for row in matrix(V2A) if row.action == "reverse_replicate" and row.need is Need.NEEDED]
    assert rows
    assert all(row.repeats == (row.promise == "P11") for row in rows)
    assert any(not row.repeats for row in rows)
    model = model_of(V2A)
    for row in rows:
        mutant = without_guard(model, row.action, row.number - 1)
        broken = {key.split(":")[0] for key in search(mutant, violations(mutant), NARROW, max_states=5_000).found}
        assert (broken <= {"P11"}) or not row.repeats
        assert not row.repeats or "all other claims" in row.reason or "no other claim was found" in row.reason


@pytest.mark.parametrize(("flow", "action"), [(V2A, "planned_failover"), (H2S, "complete_migration")])
def test_what_is_never_granted_is_read_over_the_model_without_the_precondition(flow: str, action: str) -> None:
    """Without the precondition that refuses what the flow does not have, it is granted; a proof of that mutant says the same."""
    model = model_of(flow)
    (row,) = (one for one in necessity_of_model(LEVEL, model, actions=[action], efforts=())
              if one.code == "OperationNotSupported")
    assert (row.need, row.promise, row.repeats) == (Need.NEEDED, "P18", False)
    assert "never granted" in row.claim
    assert row.trace is not None
    mutant = without_guard(model, action, row.number - 1)
    found = search(mutant, violations(mutant), LEVEL.wide, max_states=60_000).found
    never = {key: path for key, path in found.items() if "never-granted" in key}
    assert min(map(len, never.values())) == len(row.trace.steps)


def test_a_share_names_the_promises_that_have_a_claim_at_its_level() -> None:
    topologies = [load_topology(flow) for flow in ("vmware-to-azure", "physical-to-azure")]
    group = next(share for share in shares(topologies) if share.level == "group")
    assert (group.flows, group.promises) == (("vmware-to-azure", "physical-to-azure"), ("P5",))


def test_a_precondition_that_never_refuses_alone_is_defensive_by_an_invariant_of_the_model_as_it_is() -> None:
    """That a commit is half done and nothing was switched is no state of the protocol, which plain induction does not see."""
    of = level("protocol")
    model = of.build(H2S, load_topology(H2S).facts)
    (row,) = (row for row in necessity_of_model(of, model, actions=["commit_ends"], efforts=()) if row.number == 5)
    assert (row.need, row.method) == (Need.DEFENSIVE, "kept lemmas imply it")
    assert row.lemmas
    (bare,) = (row for row in necessity_of_model(of, model, actions=["commit_ends"], efforts=(), kept={}) if row.number == 5)
    assert bare.need is Need.UNDETERMINED
