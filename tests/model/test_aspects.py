"""The aspects: kept in every flow with certificates, and each of their facts is there for a reason."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from siteproof.model.aspects import ASPECTS
from siteproof.model.prove import prove, witnesses
from siteproof.model.results import ProofReport, Verdict
from siteproof.model.system import FACT_PREFIX, constants_of
from siteproof.model.topology import load_topology

from .flows import different

V2A, SCOUT = "vmware-to-azure", "scout-to-secondary-site"
IDS = tuple(one.id for one in ASPECTS)


def refuted(report: ProofReport) -> dict[str, int]:
    """The claims that are refuted, with the length of their traces."""
    return {c.name: len(c.trace.steps) for p in report.promises for c in p.claims if c.trace is not None}


@pytest.mark.parametrize("id", IDS)
def test_an_aspect_is_proved_with_a_certificate_that_both_solvers_confirm(id: str, tmp_path: Path) -> None:
    (flow,) = different(id)
    report = prove(load_topology(flow), certificate_dir=tmp_path, among=[id])
    assert report.levels == (id,)
    assert {p.verdict for p in report.promises} == {Verdict.PROVED}
    assert all(c.witnessed for p in report.promises for c in p.claims)
    assert all(len(p.confirmed_by) == 2 for p in report.promises)
    assert [p.name for p in (tmp_path / flow).iterdir()] == [id]


def test_every_action_of_an_aspect_can_be_taken() -> None:
    topology = load_topology(V2A)
    for one in ASPECTS:
        assert [w.action for w in witnesses(one.build(V2A, topology.facts)) if w.trace is None] == []


@pytest.mark.parametrize(
    ("fact", "id", "promise", "claim", "steps"),
    [
        ("alarm.while_paused", "alarm", "P25", "also while it is paused", 4),
        ("alarm.while_resynchronising", "alarm", "P25", "also while it is resynchronising", 4),
        ("alarm.while_blocked", "alarm", "P25", "also while it is blocked by its group", 4),
        ("points.pinned_in_use", "retention", "P4", "a point in use is never removed", 5),
        ("points.thinning_keeps_spacing", "retention", "P4",
         "a point that goes before its time leaves a younger one within the spacing", 5),
        ("points.tag_needs_held_freeze", "consistency", "P24", "while an app-consistent point was cut, no application wrote", 5),
        ("points.ordered_by_sequence", "consistency", "P24", "also when the newest point bears the older time", 6),
        ("keys.kept_while_used", "keys", "P15", "rotation keeps every advertised point readable", 3),
        ("keys.checked_before_use", "keys", "P15", "nothing is read without its key", 3),
        ("requests.remembered", "requests", "P16", "a request is carried out once at most", 6),
    ],
)
def test_a_design_without_the_rule_breaks_the_promise_by_a_shortest_trace(
    fact: str, id: str, promise: str, claim: str, steps: int
) -> None:
    report = prove(load_topology(V2A), overrides={fact: False}, among=[id])
    assert {p.id for p in report.promises if p.verdict is not Verdict.PROVED} == {promise}
    assert refuted(report)[claim] == steps
    assert not [c.name for p in report.promises for c in p.claims if c.verdict is Verdict.UNDETERMINED]


def test_no_aspect_reads_a_fact_that_another_one_reads() -> None:
    """So a what-if of one aspect leaves the others as they are."""
    facts = load_topology(V2A).facts
    readers = Counter[str]()
    for one in ASPECTS:
        nodes = [node for action in one.build(V2A, facts).actions
                 for node in (*(guard.written for guard in action.guards), *action.written_changes.values())]
        readers.update({name for node in nodes for name in constants_of(node) if name.startswith(FACT_PREFIX)})
    assert len(readers) >= 10
    assert set(readers.values()) == {1}


def test_a_flow_that_stores_nothing_encrypted_has_no_keys_to_speak_of() -> None:
    topology = load_topology(SCOUT)
    assert not topology.facts["keys.used"]
    assert "keys" not in prove(topology, among=IDS).levels
