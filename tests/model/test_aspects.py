"""The aspects: kept in every flow with certificates, and each of their facts is there for a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from siteproof.model.aspects import ASPECTS
from siteproof.model.prove import prove, witnesses
from siteproof.model.results import ProofReport, Verdict
from siteproof.model.topology import builtin_topologies, load_topology

V2A, SCOUT = "vmware-to-azure", "scout-to-secondary-site"
IDS = tuple(one.id for one in ASPECTS)


def refuted(report: ProofReport) -> dict[str, int]:
    """The claims that are refuted, with the length of their traces."""
    return {c.name: len(c.trace.steps) for p in report.promises for c in p.claims if c.trace is not None}


@pytest.mark.parametrize("flow", builtin_topologies())
def test_every_aspect_that_applies_is_proved(flow: str) -> None:
    report = prove(load_topology(flow), among=IDS)
    assert report.levels == tuple(id for id in IDS if id != "keys" or "azure" in flow)
    assert {p.verdict for p in report.promises} == {Verdict.PROVED}
    assert all(c.witnessed for p in report.promises for c in p.claims)


def test_both_solvers_confirm_the_certificates(tmp_path: Path) -> None:
    report = prove(load_topology(V2A), certificate_dir=tmp_path, among=IDS)
    assert all(len(p.confirmed_by) == 2 for p in report.promises)
    assert sorted(p.name for p in (tmp_path / V2A).iterdir()) == sorted(IDS)


def test_every_action_of_an_aspect_can_be_taken() -> None:
    topology = load_topology(V2A)
    for one in ASPECTS:
        assert [w.action for w in witnesses(one.build(V2A, topology.facts)) if w.trace is None] == []


@pytest.mark.parametrize(
    ("fact", "promise", "claim", "steps"),
    [
        ("alarm.while_paused", "P25", "also while it is paused", 4),
        ("alarm.while_resynchronising", "P25", "also while it is resynchronising", 4),
        ("alarm.while_blocked", "P25", "also while it is blocked by its group", 4),
        ("points.pinned_in_use", "P4", "a point in use is never removed", 5),
        ("points.thinning_keeps_spacing", "P4", "a point that goes before its time leaves a younger one within the spacing", 5),
        ("points.tag_needs_held_freeze", "P24", "while an app-consistent point was cut, no application wrote", 5),
        ("points.ordered_by_sequence", "P24", "also when the newest point bears the older time", 6),
        ("keys.kept_while_used", "P15", "rotation keeps every advertised point readable", 3),
        ("keys.checked_before_use", "P15", "nothing is read without its key", 3),
        ("requests.remembered", "P16", "a request is carried out once at most", 6),
    ],
)
def test_a_design_without_the_rule_breaks_the_promise_by_a_shortest_trace(
    fact: str, promise: str, claim: str, steps: int
) -> None:
    report = prove(load_topology(V2A), overrides={fact: False}, among=IDS)
    assert {p.id for p in report.promises if p.verdict is not Verdict.PROVED} == {promise}
    assert refuted(report)[claim] == steps
    assert not [c.name for p in report.promises for c in p.claims if c.verdict is Verdict.UNDETERMINED]


def test_a_flow_that_stores_nothing_encrypted_has_no_keys_to_speak_of() -> None:
    topology = load_topology(SCOUT)
    assert not topology.facts["keys.used"]
    assert "keys" not in prove(topology, among=IDS).levels
