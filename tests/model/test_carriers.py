"""What carries the requirements: complete, true of the built-in flows, and seen to be false when it is broken."""

from __future__ import annotations

from collections import Counter
from importlib import resources

import attrs
import pytest

from siteproof.model.breaking import BREAKABLE, breakings
from siteproof.model.carriers import Carrier, load_carriers
from siteproof.model.expectations import PROPERTIES, Every, FactIs, Like, Never, Subject
from siteproof.model.requirement_trace import Standing, Status, coverage, judge
from siteproof.model.requirements import load_requirements, requirement_ids
from siteproof.model.topology import builtin_topologies, load_topology

TEXT = (resources.files("siteproof.specs") / "carriers.toml").read_text("utf-8")
ALL = load_carriers()
FLOW = {id: load_topology(id) for id in builtin_topologies()}
V2A, H2S = "vmware-to-azure", "hyper-v-to-secondary-site"

DEPLOYED = [
    (carrier, flow)
    for carrier in ALL.carriers
    if isinstance(carrier.what, Every | Never | FactIs | Like)
    for flow in carrier.flows or FLOW
]


def told(case: Carrier | str) -> str:
    return case if isinstance(case, str) else f"{'+'.join(case.requirements)}-{case.what}"


# ------------------------------------------------------------------------------------------------ complete and true


def test_every_requirement_is_carried_or_guidance_or_told_to_be_open() -> None:
    said = Counter(id for note in (*ALL.guidance, *ALL.open) for id in note.requirements)
    assert set(said.values()) == {1}, "guidance or open, and once"
    carried = {id for carrier in ALL.carriers for id in carrier.requirements}
    assert carried | set(said) == requirement_ids()


def test_guidance_is_rare() -> None:
    kinds = {requirement.id: requirement.kind.value for requirement in load_requirements()}
    guidance = {id for note in ALL.guidance for id in note.requirements}
    assert {id for id, kind in kinds.items() if kind == "guidance"} <= guidance
    assert {id for id in guidance if kinds[id] != "guidance"} == {f"GEN-{n}" for n in range(4, 10)} | {"S-V2S-3"}


def test_the_built_in_flows_are_as_the_documents_say() -> None:
    rows = coverage(list(FLOW.values()))
    assert [row.id for row in rows] == [requirement.id for requirement in load_requirements()]
    assert not [(row.id, one.text, one.found) for row in rows for one in row.carriers if one.standing is Standing.VIOLATED]
    assert {row.id for row in rows if row.status is Status.UNCOVERED} == {id for note in ALL.open for id in note.requirements}


@pytest.mark.parametrize("id", FLOW)
def test_a_flow_is_judged_by_what_is_said_of_it(id: str) -> None:
    judged = judge(FLOW[id])
    assert not [str(one) for one in judged if one.wrong]
    assert {one.carrier for one in judged} >= {carrier for carrier, flow in DEPLOYED if flow == id}


def test_no_carrier_is_said_twice() -> None:
    twice = [key for key, number in Counter((c.requirements, c.flows, c.what) for c in ALL.carriers).items() if number > 1]
    assert not twice


# ----------------------------------------------------------------------------------------------------------- broken


@pytest.mark.parametrize(("carrier", "flow"), DEPLOYED, ids=told)
def test_no_way_to_break_an_expectation_goes_unseen(carrier: Carrier, flow: str) -> None:
    assert carrier.what.wrong(FLOW[flow]) == ()
    broken = list(breakings(carrier.what, FLOW[flow]))
    assert broken
    for one in broken:
        assert one.topology != FLOW[flow]
        [told] = [str(row) for row in judge(one.topology) if row.carrier == carrier and row.wrong] or ["not seen"]
        assert all(id in told for id in carrier.requirements), one.what


def test_each_property_of_an_expectation_is_broken_on_its_own() -> None:
    """Whatever is wanted of one element, a check that looked at all but one property would let one breaking pass."""
    for carrier, flow in DEPLOYED:
        what = carrier.what
        if isinstance(what, Every):
            for at in range(len(what.wanted)):
                blind = attrs.evolve(what, wanted=(*what.wanted[:at], *what.wanted[at + 1 :]))
                assert any(not blind.wrong(one.topology) for one in breakings(what, FLOW[flow])), what


def test_every_property_that_may_be_wanted_is_known() -> None:
    assert {subject: set(names) - set(PROPERTIES[subject]) for subject, names in BREAKABLE.items()} == dict.fromkeys(
        BREAKABLE, set()
    )
    assert set(BREAKABLE) == set(PROPERTIES) == set(Subject)
