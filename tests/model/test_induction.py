"""Induction: what is inductive is proved at once; what is not falls, and only that; Spacer's findings are checked."""

from __future__ import annotations

import pytest
import z3

from siteproof.model.claims import Promise, always, step
from siteproof.model.engines.horn import gave_up, infer
from siteproof.model.engines.induction import impossible_actions, induct, never_possible, proves
from siteproof.model.engines.obligations import Goal, Proof, goals_of
from siteproof.model.readings import smt
from siteproof.model.readings.smt import Named
from siteproof.model.system import Facts, Model, Step, Vocabulary, build_model, environment, internal, nat

from .proving import FLOWS, H2S, V2A, candidates, goal, goals, model_of


class _Counters(Vocabulary):
    slow = nat(0, "grows by one")
    fast = nat(0, "grows by two, and then only by two")


@environment()
def tick(_t: Facts, w: _Counters) -> Step:
    """Both counters grow."""
    return Step(changes=[w.slow.becomes(w.slow + 1), w.fast.becomes(w.fast + 2)])


@internal()
def rest(_t: Facts, w: _Counters) -> Step:
    """The slow one catches up when the fast one has not moved, which is never so once they have."""
    return Step(requires=[w.fast < w.slow], changes=[w.slow.becomes(w.fast)])


NUMBERS = Promise("N", "Counters", "They stay in order.", (), (
    always("the slow one is behind", lambda w: w.slow <= w.fast),
    always("the fast one stays below ten", lambda w: w.fast < 10),
    always("no fast one is five ahead without the slow one", lambda w: w.slow > 0, given=lambda w: w.fast >= 5),
    step("nothing shrinks", lambda a, b: b.slow >= a.slow),
))


@pytest.fixture
def counters() -> Model:
    return build_model("counters", "test", _Counters, [tick, rest], {})


@pytest.mark.parametrize("flow", FLOWS)
def test_lemmas_and_claims_are_inductive_together(flow: str) -> None:
    model = model_of(flow)
    outcome = induct(model, candidates(model))
    assert outcome.complete
    assert outcome.rounds == 1
    answers = proves(model, outcome.invariant, goals(model))
    assert {key for key, answer in answers.items() if answer.answer != "unsat"} == set()


def test_what_the_initial_state_breaks_falls_first(counters: Model) -> None:
    outcome = induct(counters, [Named("wrong", z3.Int("slow") > 0), Named("right", z3.Int("fast") >= 0)])
    assert [row.name for row in outcome.invariant] == ["right"]
    assert outcome.dropped == {"wrong": "the initial state"}


def test_what_an_action_breaks_falls_with_its_name(counters: Model) -> None:
    rows = [Named(goal.key, goal.built.formula) for goal in goals_of(counters, [NUMBERS]) if not goal.claim.is_step]
    outcome = induct(counters, rows)
    assert outcome.proves("N.the-slow-one-is-behind")
    assert outcome.dropped["N.the-fast-one-stays-below-ten"] == "tick"
    assert not outcome.complete


def test_a_conjunct_that_leans_on_a_fallen_one_falls_in_a_later_round(counters: Model) -> None:
    fast, slow = z3.Int("fast"), z3.Int("slow")
    rows = [Named("bounded", fast < 10), Named("leaning", slow < 10), Named("behind", slow <= fast)]
    outcome = induct(counters, rows)
    assert [row.name for row in outcome.invariant] == ["behind"]
    assert outcome.rounds > 1


def test_a_step_claim_is_proved_on_top_of_an_invariant_only(counters: Model) -> None:
    grows = goals_of(counters, [NUMBERS])[3]
    assert proves(counters, [], [grows])[grows.key].answer == "sat"
    assert proves(counters, [], [grows])[grows.key].action == "rest"
    behind = Named("behind", z3.Int("slow") <= z3.Int("fast"))
    assert proves(counters, [behind], [grows])[grows.key].answer == "unsat"


def test_an_impossible_action_is_proved_so() -> None:
    model = model_of(V2A)
    invariant = induct(model, candidates(model)).invariant
    assert not never_possible(model, invariant, model.action("write"))
    assert set(impossible_actions(model, invariant)) == {
        "planned_failover", "accept_former_source", "leak_test_write", "stop_source", "switch_planned", "fail_planned",
        "fail_planned_restarting", "flush_before_stop"}


def test_spacer_finds_an_invariant_that_passes_plain_induction(counters: Model) -> None:
    wanted: Goal = goals_of(counters, [NUMBERS])[2]
    alone = induct(counters, [Named(wanted.key, wanted.built.formula)])
    assert not alone.complete, "the claim should need help, else this test shows nothing"
    found = infer(counters, wanted, [], max_seconds=20)
    assert found.invariant is not None
    assert induct(counters, found.invariant).complete
    assert proves(counters, found.invariant, [wanted])[wanted.key].answer == "unsat"


def test_spacer_carries_a_claim_without_the_other_one_that_it_needs() -> None:
    model = model_of("scout-to-secondary-site")
    wanted = goal(model, "P2.the-content-is-exactly-the-prefix-at-the-point")
    left = induct(model, [row for row in candidates(model) if row.name != "P4.the-point-that-a-job-was-given-stays"]).invariant
    assert proves(model, left, [wanted])[wanted.key].answer == "sat"
    found = infer(model, wanted, left)
    assert found.invariant is not None
    assert proves(model, found.invariant, [wanted])[wanted.key].answer == "unsat"


def test_spacer_does_not_prove_what_is_false(counters: Model) -> None:
    wrong = goals_of(counters, [NUMBERS])[1]
    found = infer(counters, wrong, [], max_seconds=10)
    assert found.invariant is None
    assert "the claim fails" in found.reason


@pytest.mark.parametrize(("reason", "said"), [
    (b"canceled", "Spacer came to no end within 2.5 s"), ("timeout", "Spacer came to no end within 2.5 s"),
    (b"cannot parse", "Spacer gave up: cannot parse"), ("", "Spacer gave up: it does not say why"),
])
def test_spacers_silence_is_told_in_words(reason: str | bytes, said: str) -> None:
    assert gave_up(reason, 2.5) == said


def test_every_action_and_claim_has_its_obligations() -> None:
    model = model_of(H2S)
    rows = Proof(model, tuple(candidates(model))).obligations(goals(model))
    names = [row.name for row in rows]
    assert len(names) == len(set(names))
    assert {row.action.name for row in rows if row.kind == "consecution" and row.action} == {a.name for a in model.actions}
    assert [row.name for row in rows if row.kind == "interference"] == ["interference"]
    for one in goals(model):
        mine = [row for row in rows if one.key in row.claims and one.key in [goal.name for goal in row.goal]]
        everywhere = one.claim.is_step and one.claim.on is None
        assert len(mine) == (1 if not one.claim.is_step else len(one.claim.on or model.actions) + everywhere)


def test_every_conjunct_is_asked_about_at_the_start_and_of_each_action_that_writes_what_it_speaks_of() -> None:
    model = model_of(H2S)
    invariant = candidates(model)
    rows = Proof(model, tuple(invariant)).obligations(())
    by_name = {row.name: [goal.name for goal in row.goal] for row in rows}
    assert by_name["initiation"] == [conjunct.name for conjunct in invariant]
    for action in model.actions:
        asked = [f"{c.name}'" for c in invariant if not c.symbols.isdisjoint(action.changes)]
        assert by_name[f"consecution-{action.name}"] == asked
        assert 0 < len(asked) < len(invariant)


def test_what_an_action_leaves_alone_has_one_name() -> None:
    model = model_of(H2S)
    row = next(c for c in candidates(model) if len(c.symbols) > 2)
    some = sorted(row.symbols)[:1]
    later = smt.Renamed("later", row, smt.after(model, some))
    assert later.symbols == (row.symbols - set(some)) | {f"{some[0]}'"}
    assert later.text == smt.smtlib(later.node)
    assert smt.within(model, some).substitution(smt.prime(model, row.node)).eq(later.node)


def test_a_query_that_is_too_much_work_is_unknown_and_proves_nothing(counters: Model) -> None:
    rows = [Named(goal.key, goal.built.formula) for goal in goals_of(counters, [NUMBERS]) if not goal.claim.is_step]
    outcome = induct(counters, rows, work=1)
    assert outcome.invariant == ()
    assert any("the solver gave up: max. resource limit exceeded" in reason for reason in outcome.dropped.values())
    grows = goals_of(counters, [NUMBERS])[3]
    assert proves(counters, [], [grows], work=1)[grows.key].answer == "unknown"


def test_a_claim_about_an_unknown_action_is_an_error() -> None:
    model = model_of(V2A)
    stray = Promise("S", "s", "s", (), (step("x", lambda _a, b: b.running, on=("teleport",)),))
    with pytest.raises(ValueError, match="unknown action teleport"):
        goals_of(model, [stray])[0].actions(model)
