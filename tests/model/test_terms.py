"""The typed face over z3 terms: what Python would silently get wrong is an error here."""

from __future__ import annotations

import pytest
import z3

from siteproof.model.promise.vocabulary import Failover, Job, Machine
from siteproof.model.system import Step, Vocabulary, build_model, flag, internal, nat
from siteproof.model.terms import And, If, Implies, Nat, Not, Or, iff, literal, member

m = Machine()


def test_and_in_place_of_And_is_refused() -> None:
    with pytest.raises(TypeError, match="Use And, Or, Not"):
        _ = m.head == 1 and m.passive == 2


def test_or_in_place_of_Or_is_refused() -> None:
    with pytest.raises(TypeError, match="no truth value"):
        _ = m.running or m.passive_running


def test_if_on_a_term_is_refused() -> None:
    with pytest.raises(TypeError, match="no truth value"):
        _ = 1 if m.running else 2


def test_membership_is_refused() -> None:
    with pytest.raises(TypeError, match="no truth value"):
        _ = m.head in (1, 2)


def test_a_chained_comparison_is_refused() -> None:
    with pytest.raises(TypeError, match="no truth value"):
        _ = 0 < m.head < 3


def test_a_member_of_another_enumeration_is_refused() -> None:
    with pytest.raises(TypeError, match="job is a Job"):
        _ = m.job == Failover.NONE  # type: ignore[arg-type]


def test_a_choice_of_another_enumeration_is_refused() -> None:
    with pytest.raises(TypeError, match="not a Failover"):
        _ = m.job == m.failover  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [True, "1", None, 1.5])
def test_a_natural_number_compares_with_numbers_only(value: object) -> None:
    with pytest.raises(TypeError, match="expected a natural number"):
        _ = m.head == value


@pytest.mark.parametrize("value", [1, "yes", None])
def test_a_truth_value_is_no_number(value: object) -> None:
    with pytest.raises(TypeError, match="expected a truth value"):
        _ = And(m.running, value)  # type: ignore[arg-type]


def test_the_branches_of_a_condition_have_one_type() -> None:
    with pytest.raises(TypeError, match="one type"):
        If(m.running, 1, m.half)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="one enumeration"):
        If(m.running, Job.NONE, Failover.NONE)


def test_what_no_term_stands_for_is_refused() -> None:
    with pytest.raises(TypeError, match="no term stands for"):
        literal("text")  # type: ignore[call-overload]


def test_connectives_mean_what_they_say() -> None:
    p, q = m.running, m.half
    for one in (False, True):
        for two in (False, True):
            def value(term: object, one: bool = one, two: bool = two) -> bool:
                pairs = [(p.node, z3.BoolVal(one)), (q.node, z3.BoolVal(two))]
                return z3.is_true(z3.simplify(z3.substitute(term.node, *pairs)))  # type: ignore[attr-defined]

            assert value(And(p, q)) == (one and two)
            assert value(Or(p, q)) == (one or two)
            assert value(Not(p)) == (not one)
            assert value(Implies(p, q)) == (not one or two)
            assert value(iff(p, q)) == (one == two)
    assert z3.is_true(And().node)
    assert z3.is_false(Or().node)


def test_an_enumeration_is_coded_by_position() -> None:
    assert [member(job) for job in Job] == list(range(len(Job)))


class _World(Vocabulary):
    total = nat(0, "a count")
    seen = flag(False, "the marked write is here", mark=True)


def test_a_guard_that_looks_at_content_is_refused() -> None:
    @internal()
    def peek(_t: object, w: _World) -> Step:
        """Look at content."""
        return Step(requires=[w.seen], changes=[w.total.becomes(w.total + 1)])

    with pytest.raises(ValueError, match=r"guard .* of peek depends on content \(seen\)"):
        build_model("world", "test", _World, [peek], {})


def test_a_variable_that_depends_on_content_is_refused() -> None:
    @internal()
    def leak(_t: object, w: _World) -> Step:
        """Let content flow into a count."""
        return Step(changes=[w.total.becomes(If(w.seen, 1, w.total))])

    with pytest.raises(ValueError, match="next value of total in leak depends on content"):
        build_model("world", "test", _World, [leak], {})


def test_a_fairness_that_depends_on_content_is_refused() -> None:
    @internal(fair_when=lambda _t, w: w.seen)
    def count(_t: object, w: _World) -> Step:
        """Count."""
        return Step(changes=[w.total.becomes(w.total + 1)])

    with pytest.raises(ValueError, match="fairness of count depends on content"):
        build_model("world", "test", _World, [count], {})


def test_a_mark_may_depend_on_a_mark() -> None:
    @internal()
    def copy(_t: object, w: _World) -> Step:
        """Keep what is there."""
        return Step(changes=[w.seen.becomes(w.seen)])

    assert build_model("world", "test", _World, [copy], {}).action("copy").changes.keys() == {"seen"}


def test_a_fact_that_the_topology_does_not_state_is_an_error() -> None:
    @internal()
    def ask(t: dict[str, object], w: _World) -> Step:
        """Ask for an unknown fact."""
        return Step(requires=[t["no.such"]], changes=[w.total.becomes(Nat(z3.IntVal(0)))])  # type: ignore[list-item]

    with pytest.raises(KeyError, match=r"no\.such"):
        build_model("world", "test", _World, [ask], {})
