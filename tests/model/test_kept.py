"""What is kept is read and written, believed by nobody, and does what it is kept for."""

from __future__ import annotations

import pytest

from siteproof.model.baseline import Baseline
from siteproof.model.dropped import Dropped
from siteproof.model.engines.induction import proves
from siteproof.model.errors import SpecError
from siteproof.model.kept import Found, kept, kept_in, terms_of, written
from siteproof.model.levels import level, level_ids
from siteproof.model.necessity import Need, necessity_of_model
from siteproof.model.promise import LEVEL

from .crowds import crowd_of
from .proving import H2S, V2A, model_of

KEPT = {("promise", "commit", "the job is idle"): Found(("(not lit)", "(or armed (= job 3))")),
        ("group", "cut", "x"): Found((), (("a.cut", ()), ("a.write", (True,)), ("b.fail_over", (1, 0))))}


def test_what_is_written_is_read() -> None:
    assert kept_in(written(KEPT), "somewhere") == KEPT


@pytest.mark.parametrize("text", ["kept = 3", "[[kept]]\nlevel = 'promise'\n", "[[kept]\n", "kept = ['x']"])
def test_a_file_that_is_none_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(SpecError, match=r"mine\.toml.*expected tables \[\[kept\]\].*to mend"):
        kept_in(text, "mine.toml")


def test_a_lemma_about_what_a_flow_does_not_have_is_left_out() -> None:
    model = model_of(V2A)
    assert [str(row.node) for row in terms_of(model, ["(> head 1)", "(> nobody 1)"])] == ["head > 1"]


def test_a_lemma_that_is_wrong_proves_nothing() -> None:
    """Where a promise breaks without a precondition, lemmas that say otherwise change nothing."""
    of, model = level("gateway"), crowd_of("gateway")
    rows = necessity_of_model(of, model, efforts=(), kept={})
    lies = {row.key: Found(("false", *(f"(not {name})" for name in model.names)), (("delete_server", ()),)) for row in rows}
    again = necessity_of_model(of, model, efforts=(), kept=lies)
    assert [row.need for row in again] == [row.need for row in rows]
    assert any(row.need is Need.NEEDED for row in again)


def test_the_lemmas_of_the_project_name_levels_and_actions_that_exist() -> None:
    for id, action, precondition in kept():
        assert id in level_ids()
        if id == LEVEL.id:
            assert action in {one.name for flow in (V2A, H2S) for one in model_of(flow).actions}
        assert precondition


def test_a_kept_lemma_settles_what_would_have_to_be_learned() -> None:
    of, model = level("group"), crowd_of("group")
    base = Baseline.of(of, model, lambda _line: None, 60.0)
    mine = {key: found for key, found in kept().items() if key[0] == of.id and found.lemmas}
    assert mine
    for row in necessity_of_model(of, model, actions=sorted({key[1] for key in mine}), efforts=()):
        if row.key in mine:
            assert row.need is Need.NOT_NEEDED
            its = tuple(one for one in model.actions if one.name.rpartition(".")[2] == row.action)
            without = Dropped(base, its, row.number - 1)
            assert without.fallen() is not None
            invariant = without.proved_with(terms_of(model, row.lemmas))
            assert invariant is not None
            assert {told.answer for told in proves(without.model, invariant, base.goals).values()} == {"unsat"}
