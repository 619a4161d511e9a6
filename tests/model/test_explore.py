"""Explorations: deadlock and rest, jobs that end, the way home, scopes, witnesses."""

from __future__ import annotations

import attrs
import pytest

from siteproof.model.aftermath import Aftermath
from siteproof.model.ending import Ending, Found, RankingError, check_ranking, ending, stillness
from siteproof.model.engines.graph import components, explore_graph
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import search
from siteproof.model.errors import UsageError
from siteproof.model.explore import Limits, explore, explore_level
from siteproof.model.levels import level, levels
from siteproof.model.mutation import with_guard, without_change
from siteproof.model.product import product
from siteproof.model.promise import LEVEL
from siteproof.model.readings.python import compile_model
from siteproof.model.system import Kind, Model
from siteproof.model.terms import Not
from siteproof.model.topology import builtin_topologies, load_topology
from siteproof.model.way_home import WayHome, way_home
from siteproof.model.witness import action_witnesses, known_invariant
from tests.soak import soak

from .exploring import Small, Task, small_model
from .proving import FLOWS, H2S, V2A, model_of

NARROW, SMALL = Scope(writes=0, failovers=1, cached=0), Limits(writes=0, failovers=1)
WHOLE = ("ask", "finish", "fail", "mend", "lose")


def after(model: Model, scope: Scope = NARROW) -> Aftermath:
    plain = model.without_marks()
    return Aftermath.of(explore_graph(plain, scope), compile_model(plain))


def small_ending(*names: str) -> Ending:
    model = small_model(names)
    return ending(after(model), (Small().task != Task.NONE).node, "the server")


def jobs_of(model: Model) -> Ending:
    assert LEVEL.pending is not None
    return ending(after(model), LEVEL.pending(model.vocabulary()).node, "the machine")


def home_of(model: Model) -> WayHome:
    assert LEVEL.home is not None
    assert LEVEL.ended is not None
    words = model.vocabulary()
    return way_home(after(model), LEVEL.home(words).node, LEVEL.ended(words).node)


# ---------------------------------------------------------------------------------------------------------- the graph


def test_the_graph_of_a_scope_is_what_a_search_of_it_sees() -> None:
    model = model_of(H2S).without_marks()
    graph, seen = explore_graph(model, NARROW), search(model, [], NARROW, explore_all=True)
    assert (len(graph.states), len(graph.targets), graph.depth) == (seen.states, seen.edges, seen.depth)
    assert graph.stopped == ""
    compiled = compile_model(model)
    for state in range(0, len(graph.states), 97):
        _start, instances = graph.path(state)
        now = compiled.initial
        for name, arguments in graph.named(instances):
            step = compiled.actions[name].step(now, *arguments)
            assert step is not None
            now = step
        assert now == graph.states[state]


def test_a_graph_that_was_cut_off_says_so_and_by_what() -> None:
    graph = explore_graph(model_of(V2A).without_marks(), NARROW, max_states=100)
    assert graph.stopped == "at most 100 states"
    assert graph.expanded < len(graph.states)


def test_components_come_before_those_that_lead_to_them() -> None:
    steps = {0: [1], 1: [2, 3], 2: [1], 3: [4], 4: [3, 5], 5: []}
    found = [sorted(part) for part in components(steps, lambda node: steps[node])]
    assert found == [[5], [3, 4], [1, 2], [0]]


# ------------------------------------------------------------------------------------------------------ jobs that end


def test_a_job_that_waits_for_a_fault_to_be_mended_is_no_deadlock() -> None:
    graph = explore_graph(small_model(WHOLE), NARROW)
    still = stillness(graph, (Small().task != Task.NONE).node)
    assert (still.at_rest, still.waiting) == (4, 1)
    told = small_ending(*WHOLE)
    assert (told.found, told.deadlocked, told.deadlock, told.longest) == (Found.HOLDS, 0, None, 1)
    assert [(row.job, row.helpful) for row in told.ranking] == [("Backup", "finish")]


def test_a_job_that_nothing_ends_is_a_deadlock_with_the_shortest_way_to_it() -> None:
    told = small_ending("ask", "fail", "mend")
    assert told.found is Found.BROKEN
    assert told.deadlocked > 0
    assert told.deadlock is not None
    assert [step.action for step in told.deadlock.steps] == ["ask"]
    assert told.deadlock.shortest


def test_a_fault_that_nobody_can_mend_leaves_a_deadlock() -> None:
    told = small_ending("ask", "finish", "fail")
    assert told.deadlock is not None
    assert {step.action for step in told.deadlock.steps} == {"ask", "fail"}
    assert len(told.deadlock.steps) == 2


def test_a_job_that_ends_by_luck_alone_need_not_end_and_is_no_deadlock() -> None:
    told = small_ending("ask", "finish_by_luck")
    assert (told.found, told.deadlocked) == (Found.BROKEN, 0)
    assert told.lasso is not None
    assert [step.action for step in told.lasso.stem.steps] == ["ask"]
    assert told.lasso.loop == ()


def test_a_fair_step_that_is_impossible_now_and_then_helps_nobody_and_the_loop_is_told() -> None:
    told = small_ending("ask", "dither", "dither_back", "finish_looking_up")
    assert (told.found, told.deadlocked) == (Found.BROKEN, 0)
    assert told.lasso is not None
    assert [step.action for step in told.lasso.loop] in ([], ["dither", "dither_back"])
    assert "finish_looking_up" not in {step.action for step in told.lasso.loop}


def test_a_fair_step_that_stays_possible_gets_a_job_out_of_a_loop() -> None:
    told = small_ending("ask", "finish", "dither", "dither_back")
    assert told.found is Found.HOLDS
    assert told.longest == 1


def test_a_ranking_that_does_not_rank_is_refused() -> None:
    here = after(small_model(WHOLE))
    pending = [state for state in here.known if here.predicate((Small().task != Task.NONE).node)[state]]
    with pytest.raises(RankingError):
        check_ranking(here, pending, dict.fromkeys(pending, 1), dict.fromkeys(pending, "lose"))
    with pytest.raises(RankingError):
        check_ranking(here, pending, dict.fromkeys(pending, 0), dict.fromkeys(pending, "finish"))


@soak
@pytest.mark.parametrize("flow", FLOWS)
def test_every_accepted_job_of_a_flow_ends_and_the_ranking_says_why(flow: str) -> None:
    told = jobs_of(model_of(flow))
    assert (told.found, told.deadlocked, told.lasso) == (Found.HOLDS, 0, None)
    assert {"EnableProtection", "UnplannedFailover", "Commit", "ReverseReplicate"} <= {row.job for row in told.ranking}
    assert all(row.helpful and 1 <= row.least <= row.most <= told.longest for row in told.ranking)


def test_a_commit_that_stops_half_way_is_found() -> None:
    model = model_of(H2S)
    stuck = with_guard(model, "commit_second_half", 1, Not(model.vocabulary().half))  # type: ignore[attr-defined]
    told = jobs_of(stuck)
    assert told.found is Found.BROKEN
    assert told.deadlock is not None
    assert [step.action for step in told.deadlock.steps][-2:] == ["commit", "commit_first_half"]


def test_a_job_that_stays_pending_after_its_work_is_found() -> None:
    told = jobs_of(without_change(model_of(V2A), "finish_copy", "job"))
    assert told.found is Found.BROKEN
    assert told.lasso is not None


# -------------------------------------------------------------------------------------------------------- the way home


@soak
@pytest.mark.parametrize("flow", builtin_topologies())
def test_there_is_a_way_home_from_everywhere_and_it_is_told(flow: str) -> None:
    told = home_of(model_of(flow))
    assert (told.found, told.lost, told.trace) == (Found.HOLDS, 0, None)
    assert 0 < told.rounds < 60
    moves = {row.move.partition(" ")[0] for row in told.advice}
    assert {"wait", "Commit", "ReverseReplicate", "EnableProtection"} <= moves
    assert told.advice[-1].where == {}
    assert not any("DisableProtection" in row.move or "CompleteMigration" in row.move for row in told.advice)


@pytest.mark.parametrize(("flow", "changed"), [
    (V2A, {"reverse.unplanned_failover": False}),
    (H2S, {"reverse.unplanned_failover": False, "reverse.planned_failover": False, "failback.ends_protection": True}),
])
def test_a_flow_without_failback_has_no_way_home_and_the_shortest_trace_shows_it(flow: str, changed: dict[str, bool]) -> None:
    told = home_of(model_of(flow, *changed.items()))
    assert told.found is Found.BROKEN
    assert told.lost > 0
    assert told.advice == ()
    assert told.trace is not None
    assert told.trace.shortest
    steps = [step.action for step in told.trace.steps]
    assert steps[:3] == ["enable_protection", "copy_base", "finish_copy"]
    assert len(steps) == 4


def test_luck_is_no_way_home() -> None:
    model, words = small_model(("ask", "finish_by_luck")), Small()
    told = way_home(after(model), words.full.node, None)
    assert told.found is Found.BROKEN
    assert way_home(after(small_model(("ask", "finish"))), words.full.node, None).found is Found.HOLDS


def test_what_an_operator_has_given_up_is_owed_no_way_home() -> None:
    model, words = small_model(("ask",)), Small()
    assert way_home(after(model), (words.task == Task.NONE).node, None).found is Found.BROKEN
    told = way_home(after(model), (words.task == Task.NONE).node, (words.task == Task.BACKUP).node)
    assert (told.found, told.ended) == (Found.HOLDS, 1)


# ------------------------------------------------------------------------------------------------------ whole and scope


@soak
def test_the_scope_is_grown_within_the_budget_and_how_is_told() -> None:
    one = level("promise")
    told = explore_level(one, model_of(V2A), Limits(max_states=30_000))
    assert told.states <= 30_000
    assert told.stopped == ""
    assert len(told.trials) > 1
    assert [trial.scope for trial in told.trials if trial.states == told.states and not trial.estimated] == [told.scope]
    assert any(trial.estimated or trial.stopped for trial in told.trials)


@soak
def test_a_scope_that_is_cut_off_leaves_everything_undetermined() -> None:
    told = explore(load_topology(V2A), Limits(0, 1, max_states=500), among=["promise"])
    assert told.found is Found.UNDETERMINED
    row = told.levels[0]
    assert row.stopped == "at most 500 states"
    assert all(one.found is not Found.HOLDS for one in row.endings)
    assert row.way_home is not None
    assert row.way_home.found is Found.UNDETERMINED


def test_every_action_is_taken_or_proved_impossible_jobs_end_and_the_assumptions_can_hold() -> None:
    told = explore(load_topology(V2A), SMALL, among=["promise"]).levels[0]
    assert told.unsettled == ()
    assert [one.found for one in told.endings] == [Found.HOLDS] * len(told.endings) != []
    assert told.way_home is not None
    assert (told.way_home.found, told.way_home.lost) == (Found.HOLDS, 0)
    rows = {row.action: row for row in told.witnesses}
    assert set(rows) == {action.action for action in told.actions}
    for name in ("flush_before_stop", "stop_source", "switch_planned", "fail_planned"):
        assert rows[name].impossible, name
    assert told.assumptions is not None
    assert told.assumptions.satisfiable
    assert told.assumptions.fair_states > 0
    taken = {row.action: row.taken for row in told.actions}
    assert taken["commit"] > 0
    assert taken["planned_failover"] == 0


@soak
def test_an_action_that_is_possible_is_never_called_impossible() -> None:
    model = model_of(V2A)
    graph = explore_graph(model.without_marks(), Scope(writes=0, failovers=0, cached=0), max_states=50)
    rows = action_witnesses(LEVEL, model, graph, compile_model(model.without_marks()), known_invariant(LEVEL, model), seconds=2.0)
    seen = search(model, [], LEVEL.scopes[0], explore_all=True)
    assert seen.exhausted
    possible = {row.action for row in rows if row.trace is not None}
    assert not possible & {row.action for row in rows if row.impossible}
    assert not {"write", "commit", "reverse_replicate"} & {row.action for row in rows if row.impossible}


def test_several_machines_share_the_sites_and_nothing_else() -> None:
    model = small_model(WHOLE)
    two = product(model, 2)
    assert two.names == ("a.task", "a.full", "a.count", "b.task", "b.full", "b.count", "up")
    assert {action.name for action in two.actions} == {
        "a.ask", "b.ask", "a.finish", "b.finish", "a.lose", "b.lose", "fail", "mend"}
    alone, both = explore_graph(model, NARROW), explore_graph(two, NARROW)
    assert len(alone.states) == 6
    assert len(both.states) == 2 * 3 ** 2


def test_a_fault_strikes_all_machines_at_once() -> None:
    two = product(model_of(V2A), 2)
    fails = two.action("fail_primary_site")
    assert {"primary_up", "a.running", "b.running"} <= set(fails.changes)


def test_too_many_machines_and_unknown_levels_are_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="9 machines"):
        explore(load_topology(V2A), attrs.evolve(SMALL, machines=9))
    with pytest.raises(UsageError, match="the level nonsense"):
        explore(load_topology(V2A), among=["nonsense"])


def test_what_mends_a_fault_says_so() -> None:
    facts = load_topology(V2A).facts
    for one in levels():
        if one.applies(facts):
            for action in one.build(V2A, facts).actions:
                bare = action.name.rpartition(".")[2]
                if action.kind is Kind.ENVIRONMENT and bare.startswith(("heal", "restart")):
                    assert action.heals, (one.id, action.name)
