"""Engines reach what matters, the same seed does the same, and coverage counts over what is feasible."""

import math
import random
import re
from functools import partial

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from siteproof.conformance.case import STRUCK_ONCE, Command, Fault, Heal, Operate, Scenario, Settle, Write
from siteproof.conformance.closure import Promised
from siteproof.conformance.corpus import Corpus
from siteproof.conformance.coverage import explore
from siteproof.conformance.driver import Observation
from siteproof.conformance.drivers.model import ModelDriver, Style
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.engines import portfolio
from siteproof.conformance.engines.graph import Move
from siteproof.conformance.engines.hypothesis_machine import ConformanceViolation, machine_for
from siteproof.conformance.engines.lockstep import LockstepEngine
from siteproof.conformance.engines.portfolio import Portfolio, Share
from siteproof.conformance.engines.tours import TourEngine, postman
from siteproof.conformance.results import Outcome
from siteproof.conformance.runner import ENGINES, CampaignEvent, campaign
from siteproof.conformance.session import Session
from siteproof.model.errors import UsageError
from siteproof.model.readings.python import State
from tests.seeds import seed_for

from .driving import FLOWS, promised, run


class Opened:
    """Opens sessions of the model as a system, outside a campaign."""

    def __init__(self, scenario: Scenario, level: Promised) -> None:
        self.scenario, self.level, self.corpus = scenario, level, Corpus()

    def __call__(self, seed: int) -> Session:
        return Session(self.scenario, seed, ModelDriver, self.level)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_short_campaign_takes_nearly_every_reachable_action(flow: str) -> None:
    result = run(flow, ModelDriver, cases=200)
    assert result.counterexample is None, result.reason
    actions, transitions, requirements = result.coverage
    assert actions.covered >= 0.9 * actions.feasible, actions.missing
    assert not set(actions.missing) & {"switch_unplanned", "commit_second_half", "finish_copy", "make_test_copy", "contact"}
    assert transitions.covered >= 0.3 * transitions.feasible
    assert requirements.covered == requirements.feasible
    lacking = ("time was never told", "no machines were ever in a replication group")
    assert [warning for warning in result.warnings if not warning.startswith(lacking)] == []


def test_the_same_seed_does_the_same() -> None:
    one, two = (run(FLOWS[0], ModelDriver, cases=10, seed=11) for _ in range(2))
    assert (one.steps, one.taken, one.coverage) == (two.steps, two.taken, two.coverage)


def test_a_run_that_saw_too_little_is_inconclusive_and_warns() -> None:
    result = run(FLOWS[0], ModelDriver, cases=0)
    assert result.outcome is Outcome.INCONCLUSIVE
    assert "no failover ever happened" in result.warnings


def test_progress_is_told_and_ends_with_done() -> None:
    events: list[CampaignEvent] = []
    campaign(FLOWS[0], ModelDriver, seed=1, max_seconds=math.inf, max_cases=3, on_event=events.append)
    assert events[-1].kind == "done"
    assert events[-1].cases == 3


def test_an_unknown_engine_is_a_usage_error_that_names_the_near_one() -> None:
    with pytest.raises(UsageError, match="did you mean random"):
        campaign(FLOWS[0], ModelDriver, "randon", max_cases=1)


class Ends:
    """A recorder that keeps the commands and the last look of each case."""

    def __init__(self) -> None:
        self.cases: list[tuple[list[Command], Observation | None]] = []

    def case(self, *_: object) -> None:
        self.cases.append(([], None))

    def looked(self, _machine: str, seen: Observation, _now: float | None) -> None:
        self.cases[-1] = (self.cases[-1][0], seen)

    def step(self, command: Command | None, *_: object) -> None:
        if command is not None:
            self.cases[-1][0].append(command)

    def read(self, *_: object) -> None: ...

    changed = skip = end = read


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_each_case_of_each_engine_ends_healed_and_at_home(engine: str) -> None:
    ends = Ends()
    result = campaign(FLOWS[1], ModelDriver, engine, seed=seed_for(engine), max_seconds=math.inf, max_cases=5, machines=1,
                      promised=promised(FLOWS[1]), recorder=ends)  # fmt: skip
    assert result.counterexample is None, result.reason
    cases = [(commands, last) for commands, last in ends.cases if commands]
    assert len(cases) >= 5
    for commands, last in cases:
        down = set[str]()
        for one in commands:
            down = down | {one.fault} if isinstance(one, Fault) else down - {one.fault} if isinstance(one, Heal) else down
        assert not down - {*STRUCK_ONCE, "gateway"}  # this flow has no gateway: there is nothing to heal
        assert isinstance(commands[-1], Settle)
        assert isinstance(commands[-2], Write)
        assert last is not None
        ended = any(isinstance(c, Operate) and c.operation in ("DisableProtection", "CompleteMigration") for c in commands)
        assert last.job is None
        assert ended or (last.protection, last.active) == ("protected", "primary"), commands


def test_swarm_leaves_out_whole_kinds_of_commands() -> None:
    ends, level = Ends(), promised(FLOWS[0])
    campaign(FLOWS[0], ModelDriver, "swarm", seed=3, max_seconds=math.inf, max_cases=12, promised=level, recorder=ends)
    faults = [{c.fault for c in commands if isinstance(c, Fault)} for commands, _ in ends.cases]
    assert len({frozenset(f) for f in faults}) > 3


def test_a_tour_covers_every_transition_between_states_at_rest() -> None:
    chance = random.Random(1)
    engine = TourEngine(chance)
    level = promised(FLOWS[0])
    opened = Opened(Scenario(FLOWS[0]), level)
    cases = 0
    while cases < 120 and engine.case(opened) is not None:
        cases += 1
    assert engine.total > 1500
    assert len(engine.uncovered) < 0.03 * engine.total, engine.notes()


def test_a_postman_walks_each_wanted_edge_once_where_that_can_be() -> None:
    a, b, c = (State((k,)) for k in range(3))
    on, back, over = Move("request", "on"), Move("request", "back"), Move("request", "over")
    edges = {a: {on: b}, b: {back: a, on: c}, c: {over: a}}
    wanted = [(s, there, m) for s, ways in edges.items() for m, there in ways.items()]
    legs = postman(edges, a, wanted, set())
    assert sorted(m.name for leg in legs for m, _ in leg) == ["back", "on", "on", "on", "over"]


def test_lockstep_executes_what_it_can_and_accounts_for_the_rest() -> None:
    engine = LockstepEngine(random.Random(1))
    opened = Opened(Scenario(FLOWS[0]), promised(FLOWS[0]))
    for _ in range(15):
        session = engine.case(opened)
        assert session is not None
        assert session.divergence is None
    left = sum(map(len, engine.open.values())) + engine.left_out.total() + engine.lost.total()
    assert engine.done > 400
    assert engine.done + left == engine.total
    assert engine.graph is not None
    assert engine.total == sum(len(w) + len(engine.graph.stays[s]) for s, w in engine.graph.ways.items())


def test_directed_cases_cover_more_than_random_ones() -> None:
    level = promised(FLOWS[0])
    directed, drawn = (
        campaign(FLOWS[0], ModelDriver, engine, seed=7, max_seconds=math.inf, max_cases=30, machines=1, promised=level)
        for engine in ("directed", "random")
    )
    assert directed.coverage[1].covered > 1.3 * drawn.coverage[1].covered


def test_the_portfolio_begins_as_random_does_and_says_who_did_what() -> None:
    one, two = (
        campaign(FLOWS[0], ModelDriver, engine, seed=4, max_seconds=math.inf, max_cases=8, promised=promised(FLOWS[0]))
        for engine in ("portfolio", "random")
    )
    assert (one.steps, one.taken) == (two.steps, two.taken)
    assert one.notes[0].startswith("portfolio: random 8 cases")


def test_a_portfolio_gives_each_engine_its_share_once_random_has_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portfolio, "ALONE", 0)
    engine = Portfolio(random.Random(2), {"random": Share(50, 20), "swarm": Share(25, 40), "uniform": Share(25, 40)})
    opened = Opened(Scenario(FLOWS[0]), promised(FLOWS[0]))
    for _ in range(24):
        engine.case(opened)
    steps = {id: member.steps for id, member in engine.members.items()}
    assert 0.3 < steps["random"] / sum(steps.values()) < 0.7
    assert min(steps.values()) > 0.12 * sum(steps.values())


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_every_engine_finds_an_easy_bug(engine: str) -> None:
    buggy = partial(ModelDriver, Style(), {"forward.planned_failover": True})
    result = campaign(FLOWS[0], buggy, engine, seed=seed_for(engine), max_seconds=math.inf, max_cases=2000)
    assert result.outcome is Outcome.VIOLATION
    assert result.counterexample is not None
    assert result.counterexample.minimal


@pytest.mark.parametrize("flow", FLOWS)
def test_what_a_flow_lacks_is_not_feasible(flow: str) -> None:
    feasible = explore(promised(flow))
    assert ("switch_planned" in feasible.actions) == (flow == FLOWS[1])
    assert ("fail_gateway" in feasible.actions) == (flow == FLOWS[0])
    assert not any(c == "PlannedFailover" and v == "accepted" for _, c, v in feasible.switches if flow == FLOWS[0])


def test_what_a_campaign_meets_changes_nothing_within_a_batch_of_hypothesis(capsys: pytest.CaptureFixture[str]) -> None:
    """Hypothesis ends a batch where the same choices are offered in another order than before, and says the steps up to there."""
    found = campaign("hyper-v-to-secondary-site", driver_factory("bundled"), "hypothesis", 7, 600, 40)
    assert found.outcome is not Outcome.VIOLATION
    assert found.cases == 40  # two whole batches
    assert "Steps leading up to this error" not in capsys.readouterr().out


def test_the_hypothesis_machine_passes_and_fails_like_a_test() -> None:
    few = settings(max_examples=5, stateful_step_count=10, database=None, deadline=None)
    run_state_machine_as_test(machine_for(FLOWS[1], ModelDriver, promised=promised(FLOWS[1])), settings=few)
    buggy = partial(ModelDriver, Style(), {"forward.planned_failover": False})
    many = settings(max_examples=400, stateful_step_count=10, database=None, deadline=None, derandomize=True,
                    phases=(Phase.generate,))
    with pytest.raises(ConformanceViolation, match="Broken: P"):
        run_state_machine_as_test(machine_for(FLOWS[1], buggy, promised=promised(FLOWS[1])), settings=many)


def test_what_the_engines_say_is_what_was_counted_and_the_search_for_a_shorter_case_stands_beside_it() -> None:
    def told(text: str) -> tuple[int, int]:
        found = re.findall(r"(\d+) (?:more )?cases?(?:,| with) (\d+) steps?", text)
        return sum(int(cases) for cases, _ in found), sum(int(steps) for _, steps in found)

    driver = driver_factory("bundled+reverse-without-commit")
    result = campaign(FLOWS[1], driver, "portfolio", 3, math.inf, 60, machines=1, promised=promised(FLOWS[1]))
    assert result.counterexample is not None
    engines, *_, more = result.notes
    assert told(engines) == (result.cases, result.steps)
    assert more.endswith("in search of a shorter counterexample; they are not counted above")
    assert min(told(more)) > 0


def test_a_denominator_that_has_grown_says_by_how_much() -> None:
    few, many = (
        campaign(FLOWS[0], ModelDriver, "random", 7, math.inf, cases, machines=1, promised=promised(FLOWS[0])).coverage
        for cases in (1, 60)
    )
    for before, after in zip(few[:2], many[:2], strict=True):
        sizes = {one.feasible - int((re.findall(r"; and (\d+) met beyond that", one.how) or [0])[0]) for one in (before, after)}
        assert len(sizes) == 1
    assert "met beyond that" in many[0].how
