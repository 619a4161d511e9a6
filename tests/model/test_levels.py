"""Levels and the catalogue: every promise worded once, and judged as its word says."""

from __future__ import annotations

import pytest

from siteproof.model.catalogue import Judged, catalogue, parse_catalogue, promise
from siteproof.model.errors import SpecError
from siteproof.model.levels import level, level_ids, levels, promise_ids
from siteproof.model.topology import builtin_topologies, load_topology


def test_the_promises_are_numbered_without_a_gap() -> None:
    assert list(catalogue()) == [f"P{number}" for number in range(1, 26)]


def test_what_is_called_proved_is_what_some_level_has_claims_for() -> None:
    assert {id for id, entry in catalogue().items() if entry.judged is Judged.PROVED} == set(promise_ids()) - {"R1"}


def test_levels_have_names_of_their_own_and_the_promise_level_comes_first() -> None:
    assert level_ids()[0] == "promise"
    assert len(set(level_ids())) == len(level_ids())
    assert all(level(id).id == id for id in level_ids())


def test_every_level_builds_a_model_that_names_it() -> None:
    for id in builtin_topologies():
        facts = load_topology(id).facts
        for one in levels():
            if one.applies(facts):
                assert one.build(id, facts).level == one.id


def test_a_claims_name_is_its_own_within_its_promise() -> None:
    for one in levels():
        for row in one.promises:
            names = [claim.name for claim in row.claims]
            assert len(set(names)) == len(names), (one.id, row.id)


def test_an_unknown_promise_has_no_words() -> None:
    with pytest.raises(KeyError):
        promise("P99", ())


def test_a_wrong_catalogue_names_what_is_wrong() -> None:
    text = """
format = 1
[[promise]]
id = "P1"
title = "a"
sentence = "b."
requirements = ["V2A-99"]
judged = "guessed"
[[promise]]
id = "P1"
title = "a"
sentence = "b."
requirements = []
judged = "tested"
"""
    with pytest.raises(SpecError) as caught:
        parse_catalogue(text, "mine.toml")
    told = str(caught.value)
    assert "V2A-99" in told
    assert "guessed" in told
    assert "an id of its own" in told


def test_what_the_claims_leave_out_is_said_beside_the_sentence() -> None:
    said = {id: entry.beside for id, entry in catalogue().items() if entry.beside}
    assert {id for id in said if catalogue()[id].judged is Judged.TESTED} == set()
    assert "not proved" in said["P15"]
    assert "by construction" in said["P11"]
