"""Levels and the catalogue: every promise worded once, and judged as its word says."""

from __future__ import annotations

import pytest

from siteproof.model.catalogue import Judged, catalogue, parse_catalogue, promise
from siteproof.model.errors import SpecError
from siteproof.model.levels import level, level_ids, levels, promise_ids
from siteproof.model.topology import builtin_topologies, load_topology

from .flows import alike


def test_the_promises_are_numbered_without_a_gap() -> None:
    assert list(catalogue()) == [*(f"P{number}" for number in range(1, 26)), "R1"]


def test_what_is_called_proved_is_what_some_level_has_claims_for() -> None:
    assert {id for id, entry in catalogue().items() if entry.judged is Judged.PROVED} == set(promise_ids())


def test_levels_have_names_of_their_own_and_the_promise_level_comes_first() -> None:
    assert level_ids()[0] == "promise"
    assert len(set(level_ids())) == len(level_ids())
    assert all(level(id).id == id for id in level_ids())


def test_every_level_builds_a_model_that_names_it() -> None:
    facts = load_topology("vmware-to-azure").facts
    assert [one.build("mine", facts).level for one in levels() if one.applies(facts)] == list(level_ids())


@pytest.mark.parametrize("id", [id for id in level_ids() if id not in ("promise", "protocol")])
def test_a_level_beside_the_promise_level_is_the_same_in_every_flow_where_it_applies(id: str) -> None:
    """So its proofs are tested in one flow."""
    applies = {flow for flow in builtin_topologies() if level(id).applies(load_topology(flow).facts)}
    (together,) = alike(id)
    assert set(together) == applies
    assert applies == set(builtin_topologies()) or id in ("group", "gateway", "keys")


def test_a_model_is_built_once_and_anew_for_other_facts() -> None:
    facts = load_topology("vmware-to-azure").facts
    for one in levels():
        model = one.build("mine", facts)
        assert one.build("mine", dict(facts)) is model
        assert one.build("other", facts).name == "other"
    changed = level("alarm").build("mine", dict(facts) | {"alarm.while_paused": False})
    assert changed.facts.values["alarm.while_paused"] is False
    assert level("alarm").build("mine", facts).facts.values["alarm.while_paused"] is True


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
