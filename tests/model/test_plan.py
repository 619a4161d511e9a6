"""Recovery plans: proved for any number of machines, and each rule is there for a reason."""

from __future__ import annotations

import pytest
import z3

from siteproof.model.engines.obligations import goals_of
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Target, search
from siteproof.model.mutation import without_guard
from siteproof.model.plan import LEVEL, plan_model
from siteproof.model.prove import prove, witnesses
from siteproof.model.results import Verdict
from siteproof.model.topology import load_topology

from .crowds import terms
from .flows import different

V2A = "vmware-to-azure"


def test_plans_are_proved_for_any_number_of_machines() -> None:
    (flow,) = different("plan")
    (row,) = prove(load_topology(flow), among=["plan"]).promises
    assert (row.id, row.verdict) == ("P14", Verdict.PROVED)
    assert "any number of machines" in row.scope
    assert all(claim.witnessed for claim in row.claims)


def test_every_action_of_a_plan_can_be_taken() -> None:
    assert [w.action for w in witnesses(plan_model(V2A, load_topology(V2A).facts)) if w.trace is None] == []


@pytest.mark.parametrize(
    ("fact", "broken"),
    [
        ("plan.waits_for_group",
         {"a machine starts only when each machine of an earlier group has started or, in an unplanned failover, failed": 9}),
        ("plan.planned_stops_at_error", {"a planned run stops at the first error": 3}),
        ("plan.rerun_skips", {"no machine is failed over twice": 7, "what has started stays started": 7}),
    ],
)  # fmt: skip
def test_a_plan_without_the_rule_breaks_its_promise_by_a_shortest_trace(fact: str, broken: dict[str, int]) -> None:
    (row,) = prove(load_topology(V2A), overrides={fact: False}, among=["plan"]).promises
    found = {c.name: len(c.trace.steps) for c in row.claims if c.trace is not None}
    assert row.verdict is Verdict.REFUTED
    assert found.items() >= broken.items()


@pytest.mark.parametrize("action", ["begin_to_start", "next_group"])
def test_a_plan_that_does_not_look_at_everyone_is_refuted(action: str) -> None:
    model = plan_model(V2A, load_topology(V2A).facts)
    last = len(model.action(action).guards) - 1
    mutant = without_guard(model, action, last)
    goals = [goal for goal in goals_of(mutant, LEVEL.promises) if goal.built.applies]
    targets = [Target(g.key, z3.Not(g.built.formula), g.claim.is_step, g.claim.on) for g in goals]
    assert search(mutant, targets, LEVEL.scopes[0], max_states=300_000).found


def test_what_holds_for_any_number_holds_for_two_and_for_three_machines() -> None:
    for machines in (("a", "b"), ("a", "b", "other")):
        model = plan_model(V2A, load_topology(V2A).facts, machines)
        claims = [claim for promise in LEVEL.promises for claim in promise.claims]
        targets = [Target(claim.name, terms(model, claim)[1], claim.is_step, claim.on) for claim in claims]
        bounds = {f"{name}.group": 2 for name in machines} | {f"{name}.moves": 2 for name in machines}
        scope = Scope(None, None, None, {"turn": 3, **bounds})
        assert search(model, targets, scope, max_states=200_000, explore_all=True).found == {}
