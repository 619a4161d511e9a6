"""What carries the requirements: complete, true of the built-in flows, and seen to be false when it is broken."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest

from siteproof.model.breaking import BREAKABLE, breakings
from siteproof.model.carriers import Carrier, load_carriers, parse_carriers
from siteproof.model.deployment import Feature
from siteproof.model.errors import SpecError
from siteproof.model.expectations import PROPERTIES, Every, FactIs, Like, Match, Never, Subject, elements_of, name_of
from siteproof.model.prove import prove
from siteproof.model.requirement_trace import RequirementRow, Standing, Status, coverage, judge, requirement_trace
from siteproof.model.requirements import FLOWS, load_requirements, requirement_ids
from siteproof.model.results import ProofReport, Verdict
from siteproof.model.topology import Topology, builtin_topologies, load_topology, parse_topology

ALL = load_carriers()
FLOW = {id: load_topology(id) for id in builtin_topologies()}
V2A, H2S = "vmware-to-azure", "hyper-v-to-secondary-site"

DEPLOYED = [
    (carrier, flow)
    for carrier in ALL.carriers
    if isinstance(carrier.what, Every | Never | FactIs | Like)
    for flow in carrier.flows
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


@pytest.mark.parametrize("flow", FLOW)
def test_breaking_a_property_takes_away_what_was_wanted_of_any_element(flow: str) -> None:
    """The vocabulary is sound beyond the expectations that there are: of whatever an element has, it can be deprived."""
    topology, broken = FLOW[flow], 0
    for subject, breakers in BREAKABLE.items():
        for at, element in enumerate(elements_of(topology, subject)):
            for name, breaker in breakers.items():
                of = PROPERTIES[subject][name]
                seen = of.seen(topology, element)
                wanted = seen if of.match is Match.EQUAL else (seen,) if of.match is Match.ONE_OF else tuple(dict.fromkeys(seen))
                if of.match is Match.NONE:
                    wanted = tuple(feature for feature in Feature if feature not in seen)
                if wanted in (None, (), (None,)) or (subject is Subject.COMPONENT and name == "host" and not element.host):
                    continue
                assert of.fits(topology, element, wanted)
                for changed in breaker(topology, element, wanted):
                    now = elements_of(changed, subject)
                    same = [one for one in now if name_of(one) == name_of(element)] if subject is Subject.COMPONENT else [now[at]]
                    assert not of.fits(changed, same[0], wanted), (name_of(element), name)
                    broken += 1
    assert broken > 100


def test_every_property_that_may_be_wanted_is_known() -> None:
    assert all(set(names) <= set(PROPERTIES[subject]) for subject, names in BREAKABLE.items())
    assert set(BREAKABLE) == set(PROPERTIES) == set(Subject)


# ------------------------------------------------------------------------------------------------------- the trace


def row_of(topology: Topology, id: str, proof: ProofReport | None = None) -> RequirementRow:
    return {row.id: row for row in requirement_trace(topology, proof)}[id]


def test_a_what_if_that_contradicts_the_documents_is_told_with_its_requirements() -> None:
    changed = FLOW[V2A].with_facts({"forward.planned_failover": True})
    [wrong] = [one for one in judge(changed) if one.wrong]
    assert str(wrong) == "V2A-44: forward.planned_failover is false: forward.planned_failover is true, not false"
    row = row_of(changed, "V2A-44")
    assert row.status is Status.VIOLATED
    assert row_of(FLOW[V2A], "V2A-44").status is Status.CARRIED
    guard = next(one for one in row.carriers if one.sort == "precondition")
    assert (guard.standing, guard.refs) == (Standing.HOLDS, ("promise/planned_failover/OperationNotSupported",))


def test_a_precondition_that_never_refuses_carries_nothing() -> None:
    both = FLOW[V2A].with_facts({"forward.planned_failover": True, "reverse.planned_failover": True})
    guard = next(one for one in row_of(both, "V2A-44").carriers if one.sort == "precondition")
    assert (guard.standing, guard.found) == (Standing.VIOLATED, "it never refuses in this flow")


@pytest.mark.parametrize("id", FLOW)
def test_the_trace_of_a_flow_has_the_requirements_that_are_about_it(id: str) -> None:
    rows = requirement_trace(FLOW[id])
    assert {row.id.rpartition("-")[0] for row in rows} >= {family for family, flows in FLOWS.items() if id in flows}
    assert all(one.flows == (id,) for row in rows for one in row.carriers)
    assert all(row.carriers or row.reason for row in rows)


def test_a_proof_brings_its_verdicts() -> None:
    proof = prove(FLOW[H2S], ["P12"])
    told = {one.text: one.standing for one in row_of(FLOW[H2S], "H2S-33", proof).carriers}
    assert told["P12: at recovery, replication goes in reverse"] is Standing.PROVED
    assert {one.standing for one in row_of(FLOW[H2S], "H2S-33").carriers} == {Standing.STATED, Standing.TESTED}
    refuted = attrs.evolve(proof, promises=tuple(
        attrs.evolve(row, claims=tuple(attrs.evolve(c, verdict=Verdict.REFUTED, reason="broken") for c in row.claims))
        for row in proof.promises))
    assert row_of(FLOW[H2S], "H2S-33", refuted).status is Status.VIOLATED


def own(text: str) -> Topology:
    return parse_topology(f'format = 1\nid = "own"\n{text}', "own.toml")


def test_a_users_own_topology_is_asked_what_holds_of_any_flow() -> None:
    sound = own(f'extends = "{H2S}"')
    assert {row.id for row in requirement_trace(sound)} == {"GEN-3", "V2A-39", "H2A-17", "H2S-7"}
    assert not [one for one in judge(sound) if one.wrong]
    without_cloud = own(f'extends = "{H2S}"\n[components.secondary-host]\njoined_to = ["vault"]')
    assert [row.id for row in requirement_trace(without_cloud) if row.status is Status.VIOLATED] == ["GEN-3"]


def test_a_users_own_topology_may_not_send_data_through_the_configuration_server() -> None:
    link = """
[[links]]
from = "process-server"
to = "configuration-server"
protocol = "https"
port = 443
configurable_port = false
direction = "forward"
carries = "data"
encrypted = true
paths = ["lan"]
"""
    assert not any(one.wrong for one in judge(own(f'extends = "{V2A}"')))
    assert {id for one in judge(own(f'extends = "{V2A}"\n{link}')) if one.wrong for id in one.carrier.requirements} == {"V2A-35"}


# ------------------------------------------------------------------------------------------------- what is refused

HEAD = "format = 1\n"
FIRST = HEAD + '[[topology]]\nrequirements = ["GEN-1"]\nflows = ["vmware-to-azure"]\n'
REFUSED = [
    # (what, text, key, found, expected)
    ("format", "format = 2", "format", "2", "1"),
    ("unknown array", HEAD + "[[topologies]]\nx = 1", "topologies", "an unknown key", "known keys"),
    ("unknown requirement", FIRST.replace("GEN-1", "GEN-91"), "topology[1].requirements", "GEN-91", "requirements.toml"),
    ("no requirement", FIRST.replace('["GEN-1"]', "[]"), "topology[1].requirements", "none", "at least one"),
    ("unknown flow", FIRST.replace("vmware", "vmare"), "topology[1].flows", '"vmare-to-azure"', "built-in"),
    ("no flow", FIRST.replace('["vmware-to-azure"]', "[]"), "topology[1].flows", "none", "at least one"),
    ("no expectation", FIRST, "topology[1].every", "nothing", "component, link"),
    ("two expectations", FIRST + 'fact = "gateway.present"\nvalue = true\nlike = "vmware-to-azure"', "topology[1]",
     "fact and like", "one of"),
    ("unknown subject", FIRST + 'every = "components"\nis = { optional = true }', "topology[1].every", '"components"', "link"),
    ("nothing expected", FIRST + 'every = "component"', "topology[1]", "neither where nor is", "one of them"),
    ("nothing forbidden", FIRST + 'never = "component"', "topology[1].where", "nothing", "a pattern"),
    ("unknown property", FIRST + 'every = "component"\nis = { colour = "red" }', "topology[1].is.colour", "unknown", "optional"),
    ("chosen and wanted", FIRST + 'every = "component"\nwhere = { optional = true }\nis = { optional = true }',
     "topology[1].is.optional", "unknown", "install"),
    ("only for choosing", FIRST + 'every = "link"\nis = { touches = "vault" }', "topology[1].is.touches", "unknown", "port"),
    ("unknown kind", FIRST + 'every = "component"\nwhere = { kind = "vaults" }', "topology[1].where.kind", '"vaults"', "vault"),
    ("port as text", FIRST + 'every = "link"\nis = { port = "443" }', "topology[1].is.port", '"443"', "whole number"),
    ("empty list", FIRST + 'every = "component"\nis = { features = [] }', "topology[1].is.features", "an empty list", "word"),
    ("unknown fact", FIRST + 'fact = "gateway.there"\nvalue = true', "topology[1].fact", '"gateway.there"', "fact"),
    ("fact without value", FIRST + 'fact = "gateway.present"', "topology[1].value", "nothing", "true or false"),
    ("like nothing", FIRST + 'like = "own"', "topology[1].like", '"own"', "built-in"),
    ("code and variables", FIRST.replace("topology", "precondition") + 'action = "commit"\ncode = "X"\nreads = ["half"]',
     "precondition[1]", "both or neither", "a code"),
    ("structural test", FIRST.replace("topology", "test") + 'test = "a"\nbroken_by = "b"\nstructural = true',
     "test[1].structural", "an unknown key", "known keys"),
    ("guidance of another kind", HEAD + '[[guidance]]\nrequirements = ["GEN-1"]\nreason = "So it is."',
     "guidance[1].requirements", "GEN-1, of the kind capability", "guidance"),
    ("guidance without a reason", HEAD + '[[guidance]]\nrequirements = ["GEN-16"]', "guidance[1].reason", "nothing", "a text"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "key", "found", "expected"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED])
def test_a_wrong_file_is_told_with_key_found_and_expected(text: str, key: str, found: str, expected: str) -> None:
    with pytest.raises(SpecError) as error:
        parse_carriers(text, "own.toml")
    [problem, *_] = [p for p in error.value.problems if p.key == key] or error.value.problems
    assert problem.key == key
    assert found in problem.found
    assert expected in problem.expected
    assert problem.mend


def test_a_carrier_of_nothing_is_violated(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        ("precondition", 'action = "commit"\ncode = "NoSuchCode"', "the model has no such precondition"),
        ("precondition", 'action = "finish_copy"\nreads = ["head"]', "the model has no such precondition"),
        ("promise", 'promise = "P1"\nclaims = ["it works"]', "the model has no such claim"),
        ("promise", 'promise = "P1"\nclaims = ["the other side is the machine, and runs"]', "forward.planned_failover = false"),
        ("promise", 'level = "cellar"\npromise = "P1"\nclaims = ["it works"]', "the model has no level cellar"),
        ("topology", 'every = "component"\nwhere = { kind = "vmm-server" }', "no vmm-server"),
    ]
    for name, line, found in lines:
        text = f'{HEAD}[[{name}]]\nrequirements = ["GEN-1"]\nflows = ["{V2A}"]\n{line}'
        monkeypatch.setattr("siteproof.model.requirement_trace.load_carriers", lambda text=text: parse_carriers(text, "own.toml"))
        row = row_of(FLOW[V2A], "GEN-1")
        assert row.status is Status.VIOLATED
        assert found in row.carriers[0].found
