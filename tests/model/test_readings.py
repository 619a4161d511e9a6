"""One formula, many readings: the compiled one, z3's evaluation and the transition relation give the same answer."""

from __future__ import annotations

import re
from typing import Any

import pytest
import z3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siteproof.model.engines.search import specialised
from siteproof.model.engines.solvers import ask_cvc5, ask_z3
from siteproof.model.engines.traces import claim_text
from siteproof.model.promise.vocabulary import Machine
from siteproof.model.readings import smt
from siteproof.model.readings.english import claimed, describe_action, english
from siteproof.model.readings.python import Accepted, Refused, compile_model, compile_predicate
from siteproof.model.readings.words import WORDS, sentence
from siteproof.model.system import Action, Model
from siteproof.model.terms import And, Bool, Implies, Nat, Not, Or

from .proving import FLOWS, H2S, V2A, goals, model_of, states, values

often = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def literal(value: int | bool) -> Any:
    return z3.BoolVal(value) if isinstance(value, bool) else z3.IntVal(value)


def pairs(model: Model, state: tuple[Any, ...], action: Action, arguments: tuple[Any, ...]) -> list[Any]:
    rows = [(v.domain.constant(v.name), literal(c)) for v, c in zip(model.variables, state, strict=True)]
    rows += [(p.domain.constant("arg:" + p.name), literal(a)) for p, a in zip(action.parameters, arguments, strict=True)]
    return rows + [(z3.Bool("fact:" + path), z3.BoolVal(value)) for path, value in model.facts.values.items()]


def evaluated(node: Any, known: list[Any]) -> int | bool:
    node = z3.simplify(z3.substitute(node, *known))
    if z3.is_true(node) or z3.is_false(node):
        return z3.is_true(node)
    return int(node.as_long())


@pytest.mark.parametrize("flow", FLOWS)
@often
@given(data=st.data())
def test_the_compiled_step_agrees_with_z3_on_guards_effects_and_relation(flow: str, data: st.DataObject) -> None:
    model = model_of(flow)
    compiled = compile_model(model) if flow not in _compiled else _compiled[flow]
    _compiled[flow] = compiled
    state = data.draw(states(model), label="state")
    action = data.draw(st.sampled_from(model.actions), label="action")
    arguments = tuple(data.draw(values(p.domain), label=p.name) for p in action.parameters)
    known = pairs(model, state, action, arguments)

    failing = tuple(n for n, guard in enumerate(action.guards) if not evaluated(guard.written, known))
    answer = compiled.actions[action.name].answer(state, *arguments)
    solver = z3.Solver()
    solver.add(*(z3.substitute(row.node, *known) for row in smt.transition(model, action)))
    if failing:
        assert isinstance(answer, Refused)
        assert answer.failing == failing
        assert answer.codes == tuple(action.guards[n].code for n in failing)
        assert solver.check() == z3.unsat
        return
    assert isinstance(answer, Accepted)
    changed = {name: evaluated(node, known) for name, node in action.written_changes.items()}
    assert answer.state == tuple(changed.get(n, c) for n, c in zip(model.names, state, strict=True))
    after = [v.domain.constant(v.name + "'") == literal(c) for v, c in zip(model.variables, answer.state, strict=True)]
    assert solver.check(*after) == z3.sat
    solver.add(z3.Not(z3.And(*after)))
    assert solver.check() == z3.unsat, "the relation allows another next state"


_compiled: dict[str, Any] = {}


@pytest.mark.parametrize("flow", FLOWS)
@often
@given(data=st.data())
def test_a_claim_reads_the_same_compiled_and_specialised_to_an_action(flow: str, data: st.DataObject) -> None:
    model = model_of(flow)
    compiled = _compiled.setdefault(flow, compile_model(model))
    state = data.draw(states(model), label="state")
    action = data.draw(st.sampled_from(model.actions), label="action")
    arguments = tuple(data.draw(values(p.domain), label=p.name) for p in action.parameters)
    after = compiled.actions[action.name].step(state, *arguments)
    goal = data.draw(st.sampled_from(goals(model)), label="claim")
    if after is None:
        return
    if not goal.claim.is_step:
        known = [(v.domain.constant(v.name), literal(c)) for v, c in zip(model.variables, state, strict=True)]
        assert compile_predicate(model, goal.built.formula)(state) is evaluated(goal.built.formula, known)
        return
    said = compile_predicate(model, goal.built.formula, primed=True)(state, after)
    node = specialised(model, action, arguments, goal.built.formula)
    assert compile_predicate(model, node)(state) is said


@pytest.mark.parametrize("flow", FLOWS)
def test_the_printer_and_the_solver_agree_on_every_term(flow: str) -> None:
    model = model_of(flow)
    for action in model.actions:
        rows = smt.transition(model, action)
        text = smt.script(model, action.parameters, rows, check=False)
        read = list(z3.parse_smt2_string(text))
        assert [smt.smtlib(node) for node in read] == [row.text for row in rows]


def test_the_initial_state_is_satisfiable_and_unique_for_both_solvers() -> None:
    model = model_of(V2A)
    rows = [*smt.typing(model), *smt.initial(model)]
    text = smt.script(model, (), rows)
    assert (ask_z3(text).answer, ask_cvc5(text).answer) == ("sat", "sat")
    other = smt.Named("other", z3.Not(z3.And(*(row.node for row in smt.initial(model)))))
    text = smt.script(model, (), [*rows, other])
    assert (ask_z3(text).answer, ask_cvc5(text).answer) == ("unsat", "unsat")


def test_the_text_of_a_relation_names_every_part() -> None:
    model = model_of(H2S)
    text = smt.script(model, (), [*smt.facts(model), *smt.transition(model, model.action("switch_planned"))])
    lines = text.splitlines()
    assert lines[0] == "(set-logic QF_LIA)"
    assert lines[-1] == "(check-sat)"
    assert "(declare-const head Int)" in lines
    assert "(declare-const |head'| Int)" in lines
    assert "(assert (! (= |fact:planned.drains| true) :named |c.fact:planned.drains|))" in lines
    assert "(assert (! (=> |fact:planned.drains| (= passive head)) :named c.guard.5))" in lines
    assert "(assert (! (= |head'| passive) :named c.effect.head))" in lines
    assert "(assert (! (= |loss'| loss) :named c.frame.loss))" in lines
    names = re.findall(r":named (\S+)\)\)$", text, re.MULTILINE)
    assert len(names) == len(set(names))


def test_negative_numbers_and_products_can_be_printed() -> None:
    x = z3.Int("x")
    assert smt.smtlib(x * -2 <= -1) == "(<= (* x (- 2)) (- 1))"
    with pytest.raises(ValueError, match="no word for"):
        smt.smtlib(x % 2)


def test_a_formula_about_something_undeclared_is_refused() -> None:
    model = model_of(V2A)
    with pytest.raises(ValueError, match="nowhere"):
        smt.script(model, (), [smt.Named("x", (Nat(z3.Int("nowhere")) == 1).node)])


def test_actions_in_english_as_a_reviewer_reads_them() -> None:
    model = model_of(H2S)
    planned = describe_action(model, model.action("planned_failover"))
    assert planned["operation"] == "PlannedFailover"
    assert planned["guards"][1:5] == [
        {"text": "[forward.planned_failover] if active is primary, else [reverse.planned_failover]",
         "code": "OperationNotSupported", "precheck": False},
        {"text": "job is none", "code": "JobInProgress", "precheck": False},
        {"text": "test is none", "code": "TestFailoverPending", "precheck": False},
        {"text": "protection is protected or ([failback.without_reverse] and active is recovery and failover is committed)",
         "code": "NotProtected", "precheck": False},
    ]
    assert planned["effects"] == [
        "job becomes PlannedFailover", "half becomes protection is protected and failover is none"]
    contact = describe_action(model, model.action("contact"))
    assert "loss becomes passive − fork" in contact["effects"]
    assert contact["guards"][1]["text"] == "passive epoch is below epoch"


def test_every_action_and_claim_has_words() -> None:
    for flow in FLOWS:
        model = model_of(flow)
        for action in model.actions:
            told = describe_action(model, action)
            assert all(row["text"] for row in told["guards"])
            assert len(told["effects"]) == len(action.changes)
        for goal in goals(model):
            assert english(model, goal.built.formula)
            assert "x " not in claim_text(model, goal)


def test_claims_are_sentences_in_reviewers_words() -> None:
    model = model_of(H2S)
    assert {variable.name for variable in model.variables if variable.mark} <= set(WORDS) <= set(model.names)
    told = {goal.built.name: claim_text(model, goal) for goal in goals(model)}
    assert told["every acknowledged write is on the new side"] == (
        "in every step of switch planned: if the marked write is written then "
        "the machine's disk holds the marked write afterwards")
    assert told["what was received is reported"] == (
        "in every step of switch unplanned: writes received are reported afterwards and "
        "the number of writes reported as received afterwards is the number of writes at the other side")
    assert told["the other side is the machine, and runs"].endswith(
        "the machine's side changes and the machine runs afterwards")


def test_what_stays_as_it_is_stands_in_one_phrase_and_what_facts_settle_in_none() -> None:
    model = model_of("vmware-to-azure")
    m = Machine()
    later = model.vocabulary("'")
    assert isinstance(later, Machine)
    kept = And(m.epoch == later.epoch, m.running == later.running, Not(later.spoiled), Bool(z3.BoolVal(True)),
               Implies(Bool(z3.BoolVal(False)), m.point))
    assert claimed(model, kept.node) == (
        "the change log is not spoiled afterwards and "
        "these stay as they are: the epoch at the machine's side, whether the machine runs")
    exact = m.x_point == And(m.x_active, m.x_at <= m.point_at)
    assert claimed(model, Or(exact, m.point).node) == (
        "(the kept point holds the marked write exactly if (the machine's disk holds the marked write and "
        "the marked write's position is at most the number of writes in the kept point)) or the kept point is advertised")


@pytest.mark.parametrize(("told", "denied"), [
    ("the machine runs", "the machine does not run"), ("recovery points are advertised", "recovery points are not advertised"),
    ("the alert StaleSideFenced was raised", "the alert StaleSideFenced was not raised"), ("all is well", "all is not well"),
    ("nothing", "not (nothing)"),
])
def test_a_sentence_is_denied_by_its_first_verb(told: str, denied: str) -> None:
    assert (sentence(told, True), sentence(told, False)) == (told, denied)


def test_every_sentence_of_the_model_can_be_denied() -> None:
    flags = [variable.name for variable in model_of("vmware-to-azure").variables if variable.domain.of is bool]
    assert [name for name in flags if sentence(WORDS.get(name, name), False).startswith("not (")] == []
