"""The protocol level: places, the lint, what crashes lose, and mistakes that the proofs do not survive."""

from __future__ import annotations

import attrs
import pytest

from siteproof.model.control_paths import DERIVED, derived_facts
from siteproof.model.ending import Found
from siteproof.model.engines.induction import induct, never_possible, proves
from siteproof.model.engines.obligations import invariant_candidates
from siteproof.model.explore import Limits, explore_level
from siteproof.model.levels import level
from siteproof.model.mutation import with_change
from siteproof.model.promise.vocabulary import Job
from siteproof.model.protocol import LEMMAS, PARTS, build_protocol
from siteproof.model.protocol.vocabulary import Parts
from siteproof.model.readings.python import Accepted, Refused, compile_model
from siteproof.model.system import Facts, Step
from siteproof.model.terms import literal
from siteproof.model.topology import builtin_topologies, load_topology
from tests.soak import soak

from .wrong_protocols import H2S, V2A, WRONG, Wrong, goals, is_shown, keeps, right, shortest


def test_it_is_small() -> None:
    assert len(right(V2A).variables) <= 75
    assert len(right(V2A).actions) < 100


def test_an_unplanned_failover_that_switches_off_a_source_out_of_reach_is_refused_by_the_lint() -> None:
    def far(t: Facts, p: Parts) -> Step:
        return Step(old.rule.rule(t, p).changes, [p.job == Job.UNPLANNED, p.running])

    old = next(part for part in PARTS if part.name == "stop_if_reachable")
    new = attrs.evolve(old, rule=attrs.evolve(old.rule, rule=far))
    with pytest.raises(ValueError, match=r"stop_if_reachable .*acts at a distance.*preconditions do not ask for"):
        build_protocol(V2A, load_topology(V2A).facts, [new if part is old else part for part in PARTS])


@pytest.mark.parametrize(("name", "guard"), [("set_up_server", 2), ("delete_server", 3), ("set_up_way_back", 2)])
def test_what_an_operator_does_out_of_reach_of_the_vault_is_refused_by_the_lint(name: str, guard: int) -> None:
    def far(t: Facts, p: Parts) -> Step:
        own = old.rule.rule(t, p)
        return Step(own.changes, own.requires[:guard])

    old = next(part for part in PARTS if part.name == name)
    new = attrs.evolve(old, rule=attrs.evolve(old.rule, rule=far))
    with pytest.raises(ValueError, match=rf"{name} .*acts at a distance"):
        build_protocol(V2A, load_topology(V2A).facts, [new if part is old else part for part in PARTS])


def test_every_job_ends_only_since_a_vault_that_has_forgotten_asks_again_whether_the_source_is_off() -> None:
    facts, narrow = load_topology(H2S).facts, Limits(writes=0, failovers=0, witnesses=False)
    told = explore_level(level("protocol"), right(H2S), narrow).endings[0]
    assert (told.found, told.deadlocked) == (Found.HOLDS, 0)
    deaf = build_protocol(H2S, facts, [part for part in PARTS if part.name != "confirm_stopped"])
    told = explore_level(level("protocol"), deaf, narrow).endings[0]
    assert told.found is Found.BROKEN
    assert told.deadlock is not None
    assert [step.action for step in told.deadlock.steps][-4:] == ["planned_failover", "stop_source", "fail_vault", "heal_vault"]


def test_a_crash_loses_what_is_volatile_and_nothing_else() -> None:
    lost = {name: set(right(V2A).action(name).changes) for name in ("fail_gateway", "fail_link", "fail_vault", "fail_relay")}
    assert lost == {
        "fail_gateway": {"gateway_up", "queue", "x_queue", "gateway_epoch", "session"}, "fail_link": {"link_up", "session"},
        "fail_vault": {"vault_up", "believed_off"}, "fail_relay": {"relay_up"}}
    site = set(right(V2A).action("fail_primary_site").changes)
    assert site == {"primary_up", "session", "running", "cached", "recording", "passive_running", "passive_cached", "orders",
                    "test_running"}


def test_what_the_control_plane_reaches_over_which_site_follows_from_the_topology() -> None:
    said = {flow: {name for name, value in derived_facts(load_topology(flow)).items() if value} for flow in builtin_topologies()}
    assert said["scout-to-secondary-site"] == {
        "control.source_far_forward", "control.target_far_reverse", "control.one_relay", "failback.asks_components"}
    assert said[V2A] == said["physical-to-azure"] == {"failback.asks_components"}
    assert said[H2S] == said["hyper-v-site-to-azure"] == said["hyper-v-vmm-to-azure"] == set()
    assert set(derived_facts(load_topology(V2A))) == set(DERIVED) <= set(load_topology(V2A).facts)


def test_with_the_primary_site_and_its_configuration_server_gone_the_vault_fails_over_alone() -> None:
    compiled = compile_model(right(V2A))
    state = compiled.initial
    for name, arguments in (("enable_protection", ()), ("copy_base", ()), ("finish_copy", (False,)), ("fail_primary_site", ()),
                            ("fail_relay", ()), ("unplanned_failover", (1,)), ("switch_unplanned", ()), ("record_switch", ())):
        answer = compiled.actions[name].answer(state, *arguments)
        assert isinstance(answer, Accepted), name
        state = answer.state
    assert compiled.get(state, "vault_epoch") == 2
    assert isinstance(compiled.actions["reverse_replicate"].answer(state), Refused)


def _proved(flow: str) -> None:
    model = right(flow)
    rows = goals(model)
    outcome = induct(model, invariant_candidates(model, LEMMAS, rows))
    assert outcome.dropped == {}
    assert {key for key, told in proves(model, outcome.invariant, rows).items() if told.answer != "unsat"} == set()
    asked = {claim for goal in rows if goal.claim.is_step for claim in goal.claim.on or ()}
    assert {action.name for action in model.actions} <= asked


def test_it_refines_the_promise_level_by_plain_induction() -> None:
    _proved(V2A)


@soak
@pytest.mark.parametrize("flow", sorted(set(builtin_topologies()) - {V2A}))
def test_so_it_does_in_every_flow(flow: str) -> None:
    _proved(flow)


def test_what_a_flow_does_not_have_is_impossible_by_its_facts() -> None:
    assert {a.name for a in right(V2A).actions if never_possible(right(V2A), [], a)} == {
        "receive", "accept_former_source", "leak_test_write", "planned_failover"}


@pytest.mark.parametrize("wrong", [
    pytest.param(one, id=one.story, marks=[soak] if (one.length or 0) > 7 else []) for one in WRONG])
def test_a_wrong_protocol_is_refuted(wrong: Wrong) -> None:
    model = wrong.mutate(right(wrong.flow, *wrong.facts.items()))
    if wrong.length is None:
        whole = right(wrong.flow)
        if wrong.breaks.startswith("P8"):
            assert keeps(whole, "delete_server", wrong.breaks)
            assert not keeps(model, "delete_server", wrong.breaks)
        else:
            assert is_shown(whole, wrong.breaks)
            assert not is_shown(model, wrong.breaks)
        return
    trace = shortest(model, wrong.breaks, wrong.length)
    assert trace is not None
    assert len(trace.steps) == wrong.length


def test_what_is_seen_may_not_be_changed_by_an_effect_that_a_mutant_adds() -> None:
    forgets = with_change(right(V2A), "acknowledge", "x_latest", literal(False))
    assert not is_shown(forgets, "R1.acknowledge-changes-nothing-that-is-seen")
