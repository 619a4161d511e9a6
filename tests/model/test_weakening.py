"""Candidates that nobody wrote: they may be false, and then nothing comes of them; where they are true, they settle what-ifs."""

from __future__ import annotations

import pytest
import z3

from siteproof.model.engines.induction import induct
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Target, search
from siteproof.model.engines.weakening import absences, plausible, weakened
from siteproof.model.prove import prove
from siteproof.model.readings.smt import Named, is_safe, typing
from siteproof.model.results import Verdict
from siteproof.model.topology import load_topology
from tests.soak import soak

from .proving import H2S, V2A, candidates, model_of

SMALL = Scope(writes=1, failovers=1)


def follows(premise: z3.BoolRef, conclusion: z3.BoolRef) -> bool:
    solver = z3.Solver()
    solver.add(premise, z3.Not(conclusion))
    return bool(solver.check() == z3.unsat)


def test_what_is_made_of_a_conjunct_follows_from_it() -> None:
    model = model_of(H2S)
    (row,) = (one for one in candidates(model) if one.name == "lemma.prefix_passive")
    made = weakened(model, [row])
    assert len(made) > 20
    assert all(follows(row.node, one.node) for one in made)
    both_ways = [one for one in made if one.name.count(".") == 2]
    assert len(both_ways) == 3
    assert follows(z3.And(*(one.node for one in both_ways)), row.node)


@pytest.mark.parametrize("flow", [V2A, H2S])
def test_names_are_safe_and_each_is_used_once(flow: str) -> None:
    model = model_of(flow)
    made = [*absences(model), *weakened(model, candidates(model))]
    assert all(is_safe(one.name) for one in made)
    assert len({one.name for one in made}) == len(made)


def test_candidates_that_a_short_search_contradicts_are_left_out() -> None:
    model = model_of(H2S)
    left = {one.name for one in plausible(model, absences(model), SMALL)}
    assert "never.job-commit" not in left
    assert "never.protection-none.job-enableprotection" in left
    assert plausible(model, [Named("false", z3.BoolVal(False))], SMALL) == []


def test_what_passes_induction_of_them_is_never_contradicted_by_a_longer_search() -> None:
    model = model_of(H2S, ("planned.drains", False))
    known = candidates(model)
    made = [*absences(model), *weakened(model, known[::8])]
    held = induct(model, [*known, *plausible(model, made, SMALL)]).invariant
    assert len(held) > len(known)
    targets = [Target(one.name, z3.Not(one.node)) for one in held]
    assert search(model, targets, SMALL, max_states=40_000).found == {}


def test_an_operation_that_is_not_offered_is_known_never_to_run() -> None:
    """That no failover is a planned one does not follow from itself: it takes that no job is one."""
    model = model_of(V2A)
    single = [one for one in absences(model) if one.name.count(".") == 1]
    (consequence,) = (one for one in single if one.name == "never.failover-planned")
    assert not induct(model, [*typing(model), consequence]).proves("never.failover-planned")
    held = induct(model, [*typing(model), *plausible(model, single, SMALL)])
    assert held.proves("never.job-plannedfailover")
    assert held.proves("never.failover-planned")


@pytest.mark.parametrize(
    ("flow", "fact", "refuted"),
    [
        (V2A, "planned.stops_source", set()),
        (V2A, "planned.drains", set()),
        pytest.param(H2S, "planned.drains", {"P1", "P2"}, marks=soak),
        (H2S, "forward.planned_failover", set()),
        (H2S, "commit.removes_points", {"P4", "P7", "P20"}),
    ],
)
def test_a_fact_turned_over_has_a_settled_verdict_on_every_promise(flow: str, fact: str, refuted: set[str]) -> None:
    topology = load_topology(flow)
    report = prove(topology, None, {fact: not topology.facts[fact]}, among=["promise"], time_limit=900.0)
    verdicts = {row.id: row.verdict for row in report.promises}
    assert Verdict.UNDETERMINED not in verdicts.values()
    assert {id for id, verdict in verdicts.items() if verdict is Verdict.REFUTED} == refuted
    traces = [claim.trace for row in report.promises for claim in row.claims if claim.trace is not None]
    assert all(trace.shortest for trace in traces)


def test_claims_of_a_refuted_promise_that_are_not_pursued_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siteproof.model.prove.SPACER_LAST", 0.0)
    report = prove(load_topology(H2S), ["P2"], {"planned.drains": False}, among=["promise"])
    (row,) = report.promises
    assert row.verdict is Verdict.REFUTED
    left = [claim for claim in row.claims if claim.verdict is Verdict.UNDETERMINED]
    assert left
    assert all(claim.reason.startswith("not pursued further, since another claim of P2 is refuted") for claim in left)
