"""The built-in topologies, and the strictness of their loader."""

from __future__ import annotations

import pickle
import re
import tomllib
from importlib import resources
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siteproof.model.control_paths import DERIVED
from siteproof.model.errors import Problem, SiteproofError, SpecError, UsageError
from siteproof.model.overlay import read_overlay
from siteproof.model.requirements import load_sections, requirement_ids
from siteproof.model.specfile import SpecFile, dotted
from siteproof.model.topology import (
    CONTRADICTIONS,
    FACTS,
    Basis,
    Carries,
    Direction,
    Kind,
    Link,
    Location,
    MachineKind,
    Override,
    Route,
    Side,
    Synchronisation,
    Topology,
    apply_overrides,
    builtin_topologies,
    load_topology,
    parse_override,
    parse_topology,
    toml_text,
)

V2A, H2S = "vmware-to-azure", "hyper-v-to-secondary-site"
P2A, VMM, SITE, SCOUT = "physical-to-azure", "hyper-v-vmm-to-azure", "hyper-v-site-to-azure", "scout-to-secondary-site"
TEXT = {id: load_topology(id).text for id in builtin_topologies()}


# ------------------------------------------------------------------------------------------------ what is built in


@pytest.mark.parametrize("id", builtin_topologies())
def test_a_built_in_topology_loads_under_its_own_id_and_keeps_its_text(id: str) -> None:
    topology = load_topology(id)
    assert topology.id == id
    assert topology.file == f"{id}.toml"
    assert topology.overrides == ()
    assert parse_topology(topology.text, topology.file) == topology


@pytest.mark.parametrize("id", builtin_topologies())
def test_a_built_in_topology_cites_only_headings_of_the_source(id: str) -> None:
    assert set(load_topology(id).sections) <= set(load_sections())


@pytest.mark.parametrize("id", builtin_topologies())
def test_every_component_and_link_of_a_built_in_topology_names_its_requirements(id: str) -> None:
    topology = load_topology(id)
    assert all(component.requirements for component in topology.components)
    assert all(link.requirements for link in topology.links)


@pytest.mark.parametrize("id", builtin_topologies())
def test_every_fact_has_a_reason_and_a_decision_cites_no_requirement(id: str) -> None:
    topology = load_topology(id)
    assert set(topology.why) == set(FACTS)
    assert set(topology.facts) == set(FACTS) | set(DERIVED)
    for reason in topology.reasons:
        assert reason.reason.endswith(".")
        assert bool(reason.requirements) == (reason.kind is Basis.DOCUMENTED)


def test_all_six_flows_of_the_source_are_built_in() -> None:
    assert set(builtin_topologies()) == {V2A, P2A, VMM, SITE, SCOUT, H2S}


@pytest.mark.parametrize(("id", "family"), [(P2A, "P2A"), (SCOUT, "S-V2S")])
def test_a_flow_whose_requirements_are_all_about_its_deployment_cites_every_one_of_them(id: str, family: str) -> None:
    topology = load_topology(id)
    cited = set(topology.failback.requirements)
    for group in (topology.places, topology.components, topology.links, topology.reasons):
        cited |= {requirement for part in group for requirement in part.requirements}
    assert {requirement for requirement in requirement_ids() if requirement.startswith(f"{family}-")} <= cited


FAILOVERS = ("forward.planned_failover", "forward.unplanned_failover", "reverse.planned_failover", "reverse.unplanned_failover")


@pytest.mark.parametrize(
    ("id", "failovers", "true", "false"),
    [
        (V2A, (False, True, False, True),
         {"failback.ends_protection", "gateway.present", "gateway.temporary", "group.supported"}, {"failback.without_reverse"}),
        (P2A, (False, True, False, True),
         {"failback.ends_protection", "gateway.present", "gateway.temporary", "group.supported"}, {"failback.without_reverse"}),
        (VMM, (True, True, True, False), {"failback.without_reverse"},
         {"failback.ends_protection", "gateway.present", "planned.leaves_protected"}),
        (SITE, (True, True, True, False), {"failback.without_reverse"},
         {"failback.ends_protection", "gateway.present", "planned.leaves_protected"}),
        (SCOUT, (False, True, False, True), {"failback.ends_protection", "gateway.present"},
         {"failback.without_reverse", "gateway.temporary", "group.supported"}),
        (H2S, (True, True, True, True), {"planned.leaves_protected"},
         {"failback.ends_protection", "failback.without_reverse", "gateway.present"}),
    ],
)  # fmt: skip
def test_each_flow_has_the_failovers_and_the_way_back_of_the_documents(
    id: str, failovers: tuple[bool, ...], true: set[str], false: set[str]
) -> None:
    facts = load_topology(id).facts
    assert tuple(facts[fact] for fact in FAILOVERS) == failovers
    assert all(facts[fact] for fact in true)
    assert not any(facts[fact] for fact in (*false, "unplanned.leaves_protected"))


def test_physical_servers_have_the_facts_and_the_policy_of_vmware() -> None:
    physical, vmware = load_topology(P2A), load_topology(V2A)
    assert physical.facts == vmware.facts
    assert (physical.policy, physical.limits, physical.links) == (vmware.policy, vmware.limits, vmware.links)
    assert {c.id for c in vmware.components} < {c.id for c in physical.components}


def test_a_physical_server_comes_back_as_a_vmware_machine_and_master_targets_are_on_vmware() -> None:
    topology = load_topology(P2A)
    assert topology.failback.targets == (MachineKind.VMWARE_VM,)
    assert {"esxi-host", "master-target", "temporary-process-server"} <= set(topology.failback.components)
    returned = topology.component("returned-machine")
    assert (returned.kind, returned.host, returned.used_for) == (Kind.MACHINE, "esxi-host", Direction.REVERSE)
    assert all(c.host == "esxi-host" for c in topology.components if c.kind is Kind.MASTER_TARGET)
    for id in ("primary-machine", "group-member", "management-server"):
        assert topology.component(topology.component(id).host).kind is Kind.PHYSICAL_HOST


@pytest.mark.parametrize("id", [VMM, SITE])
def test_hyper_v_data_goes_from_the_host_to_azure_encrypted_under_way_and_at_rest(id: str) -> None:
    topology = load_topology(id)
    data = [link for link in topology.links if link.carries is Carries.DATA]
    assert {(link.source, link.target, link.direction) for link in data} == {
        ("recovery-services-agent", "storage-account", Direction.FORWARD),
        ("storage-account", "recovery-services-agent", Direction.REVERSE),
    }
    assert all(link.encrypted and link.port is None and Route.VPN not in link.paths for link in data)
    assert topology.component("recovery-services-agent").host == "hyper-v-host"
    assert topology.place("azure").encrypted_at_rest is True
    assert topology.place("primary-site").encrypted_at_rest is None
    assert not {Kind.PROCESS_SERVER, Kind.CONFIGURATION_SERVER, Kind.MASTER_TARGET} & {c.kind for c in topology.components}
    assert topology.failback.locations == (Location.ORIGINAL, Location.ALTERNATE)
    assert topology.failback.synchronisation == (Synchronisation.BEFORE_FAILOVER, Synchronisation.DURING_FAILOVER)
    assert topology.failback.components == topology.failback.paths == ()


def test_the_provider_is_on_the_vmm_server_or_else_on_the_host() -> None:
    with_vmm, without = load_topology(VMM), load_topology(SITE)
    assert with_vmm.component("provider").host == "vmm-server"
    assert without.component("provider").host == "hyper-v-host"
    assert {Kind.VMM_SERVER, Kind.VMM_CLOUD} <= {c.kind for c in with_vmm.components}
    assert not {Kind.VMM_SERVER, Kind.VMM_CLOUD} & {c.kind for c in without.components}
    assert without.component("hyper-v-site").host == "vault"
    assert without.facts == with_vmm.facts


def test_scout_has_its_process_server_in_the_primary_and_the_rest_in_the_secondary_site() -> None:
    topology = load_topology(SCOUT)
    sides = {c.kind: topology.side_of(c.id) for c in topology.components if not c.optional}
    assert sides[Kind.PROCESS_SERVER] is Side.PRIMARY
    assert sides[Kind.CONFIGURATION_SERVER] is sides[Kind.MASTER_TARGET] is Side.RECOVERY
    assert topology.component("vcontinuum").host == "configuration-server"
    assert set(topology.failback.components) == {"primary-master-target", "primary-target-agent"}
    ends = {topology.side_of(end) for link in topology.links for end in (link.source, link.target)}
    assert Side.CLOUD not in ends


def test_what_a_vmware_failback_needs_is_told() -> None:
    setup = load_topology(V2A).failback
    assert setup.components == ("temporary-process-server", "master-target")
    assert setup.paths == (Route.VPN, Route.EXPRESSROUTE)
    assert setup.automatic_policy


def test_the_facts_that_differ_between_the_flows_are_those_of_the_documents() -> None:
    v2a, h2s = load_topology(V2A).facts, load_topology(H2S).facts
    assert {fact: (v2a[fact], h2s[fact]) for fact in FACTS if v2a[fact] != h2s[fact]} == {
        "forward.planned_failover": (False, True),
        "forward.complete_migration": (True, False),
        "reverse.planned_failover": (False, True),
        "reverse.test_failover": (False, True),
        "reverse.change_point": (False, True),
        "planned.leaves_protected": (False, True),
        "failback.ends_protection": (True, False),
        "gateway.present": (True, False),
        "keys.used": (True, False),
        "gateway.temporary": (True, False),
        "group.supported": (True, False),
    }
    both = ["unplanned.leaves_protected", "failback.without_reverse"]
    assert [fact for fact in FACTS if not h2s[fact] and not v2a[fact]] == both


def test_vmware_names_the_documented_ports_and_no_vpn_towards_azure() -> None:
    links = load_topology(V2A).links
    forward = {(link.target, link.port) for link in links if link.direction is Direction.FORWARD}
    assert forward == {
        ("configuration-server", 443),
        ("process-server", 9443),
        ("storage-account", 443),
        ("group-member", 20004),
    }
    assert {link.port for link in links if link.configurable_port} == {9443}
    [upload] = [link for link in links if link.target == "storage-account"]
    assert upload.encrypted
    assert Route.VPN not in upload.paths
    [back] = [link for link in links if link.target == "master-target"]
    assert set(back.paths) == {Route.VPN, Route.EXPRESSROUTE}


def test_vmware_has_a_temporary_process_server_in_azure_for_the_way_back() -> None:
    topology = load_topology(V2A)
    server = topology.component("temporary-process-server")
    assert (server.kind, server.optional, server.used_for) == (Kind.PROCESS_SERVER, True, Direction.REVERSE)
    assert topology.side_of(server.id) is Side.RECOVERY
    assert topology.component("configuration-server").host == "management-server"


def test_hyper_v_data_goes_from_host_to_host_over_lan_or_vpn() -> None:
    topology = load_topology(H2S)
    data = [link for link in topology.links if link.carries is Carries.DATA]
    assert {(link.source, link.target, link.direction) for link in data} == {
        ("primary-host", "secondary-host", Direction.FORWARD),
        ("secondary-host", "primary-host", Direction.REVERSE),
    }
    assert all(set(link.paths) == {Route.LAN, Route.VPN} for link in data)
    assert all(set(link.authentication) == {"kerberos", "certificate"} for link in data)


def test_the_policy_is_within_its_limits_and_limits_are_told() -> None:
    topology = load_topology(H2S)
    limits = {limit.setting: limit for limit in topology.limits}
    assert all(limit.permits(topology.policy[name]) for name, limit in limits.items())
    assert str(limits["replication_interval_seconds"]) == "one of 30, 300, 900"
    assert str(limits["retention_hours"]) == "at least 0 and at most 24"
    assert not limits["retention_hours"].permits(25)


@pytest.mark.parametrize("id", [V2A, H2S])
def test_a_topology_travels_to_another_process(id: str) -> None:
    topology = load_topology(id).with_facts({"reverse.requires_commit": False})
    copy = pickle.loads(pickle.dumps(topology))
    assert copy == topology
    assert hash(copy) == hash(topology)


# ---------------------------------------------------------------------------------------------------------- what-if


def test_a_what_if_changes_the_fact_and_is_recorded_beside_the_original_text() -> None:
    topology = load_topology(H2S)
    changed = topology.with_facts({"reverse.requires_commit": False})
    assert not changed.facts["reverse.requires_commit"]
    assert topology.facts["reverse.requires_commit"]
    assert changed.overrides == (("reverse.requires_commit", False),)
    assert changed.text == topology.text
    assert list(changed.facts) == list(topology.facts)


def test_what_ifs_add_up_and_the_later_one_wins() -> None:
    topology = load_topology(H2S).with_facts({"planned.drains": False, "initial.ships_content": False})
    again = topology.with_facts({"planned.drains": True})
    assert again.overrides == (("initial.ships_content", False), ("planned.drains", True))
    assert again.facts["planned.drains"]


def test_an_unknown_fact_is_a_usage_error_with_the_near_matches() -> None:
    with pytest.raises(UsageError, match=r"reverse\.requires_commit") as error:
        load_topology(H2S).with_facts({"reverse.require_commit": False})
    assert error.value.exit_code == 4
    assert "did you mean reverse.requires_commit" in error.value.mend


def test_a_fact_is_true_or_false_and_nothing_else() -> None:
    with pytest.raises(UsageError, match="true or false"):
        load_topology(H2S).with_facts({"reverse.requires_commit": 0})  # type: ignore[dict-item]


def test_a_what_if_cannot_contradict_itself() -> None:
    with pytest.raises(UsageError, match="neither direction has a planned failover"):
        load_topology(V2A).with_facts({"planned.leaves_protected": True})


def test_a_what_if_cannot_take_the_planned_failover_from_a_failback_that_copies_by_it() -> None:
    changes = {"reverse.planned_failover": False, "reverse.unplanned_failover": True}
    with pytest.raises(UsageError, match=r"set failback\.without_reverse = false"):
        load_topology(VMM).with_facts(changes)
    assert load_topology(VMM).with_facts({**changes, "failback.without_reverse": False})


def test_a_what_if_may_set_gateway_and_deployment_at_odds() -> None:
    assert not load_topology(V2A).with_facts({"gateway.present": False}).facts["gateway.present"]


@pytest.mark.parametrize(
    ("text", "override"),
    [
        ("reverse.requires_commit=false", Override(None, "reverse.requires_commit", False)),
        (f"{H2S}:reverse.requires_commit=true", Override(H2S, "reverse.requires_commit", True)),
        ("./own.toml:policy.retention_hours=4", Override("./own.toml", "policy.retention_hours", 4)),
        (" a.b = x=y ".replace(" = ", "="), Override(None, "a.b", "x=y")),
        ("a.b=True", Override(None, "a.b", "True")),
        ("a.b=-3", Override(None, "a.b", -3)),
    ],
)
def test_an_override_is_read(text: str, override: Override) -> None:
    assert parse_override(text) == override
    assert type(parse_override(text).value) is type(override.value)


@pytest.mark.parametrize("text", ["", "=", "a.b", "a.b=", ":a.b=true", "a b=true", "x:y:a.b=true"])
def test_an_override_of_another_form_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=re.escape("[TOPOLOGY:]FACT=VALUE")):
        parse_override(text)


@given(st.text())
def test_no_text_breaks_the_reading_of_overrides(text: str) -> None:
    try:
        outcome = str(parse_override(text))
    except UsageError as error:
        outcome = str(error)
    assert outcome.isprintable()


def test_overrides_reach_the_topologies_that_they_name() -> None:
    both = [load_topology(V2A), load_topology(H2S)]
    overrides = [Override(None, "planned.drains", False), Override(H2S, "reverse.requires_commit", False)]
    v2a, h2s = apply_overrides(both, overrides)
    assert v2a.overrides == (("planned.drains", False),)
    assert h2s.overrides == (("planned.drains", False), ("reverse.requires_commit", False))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (Override("hyper-v-to-secondary", "planned.drains", False), f"did you mean {H2S}"),
        (Override(None, "planned.drains", "yes"), "true or false"),
        (Override(None, "planned.drain", False), "did you mean planned.drains"),
    ],
)
def test_an_override_that_would_change_nothing_is_a_usage_error(override: Override, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        apply_overrides([load_topology(H2S)], [override])


# ---------------------------------------------------------------------------------------------------- finding files


def test_a_path_is_loaded_as_a_users_own_topology(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(TEXT[H2S].replace(f'id = "{H2S}"', 'id = "own"'), encoding="utf-8")
    for source in (own, str(own)):
        topology = load_topology(source)
        assert (topology.id, topology.file) == ("own", str(own))


@pytest.mark.parametrize(
    ("source", "mend"),
    [("vmware-to-azur", "did you mean vmware-to-azure"), ("", "use one of"), ("no\0name", "use one of")],
)
def test_an_unknown_topology_is_a_usage_error(source: str, mend: str) -> None:
    with pytest.raises(UsageError) as error:
        load_topology(source)
    assert mend in error.value.mend
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_bytes(b"format = 1\nid = 'caf\xe9'\n")
    with pytest.raises(SpecError) as error:
        load_topology(own)
    [problem] = error.value.problems
    assert (problem.file, problem.line, problem.found) == (str(own), 2, "the byte 0xe9")


# ------------------------------------------------------------------------------------------- one file extends another

HEAD = f'format = 1\nid = "own"\nextends = "{V2A}"\n'


def _link(topology: Topology, source: str, target: str) -> Link:
    [link] = [link for link in topology.links if (link.source, link.target) == (source, target)]
    return link


def _problems(text: str, folder: Path | None = None) -> list[Problem]:
    with pytest.raises(SpecError) as error:
        parse_topology(text, "own.toml", folder)
    return list(error.value.problems)


@pytest.mark.parametrize("id", builtin_topologies())
def test_the_canonical_text_of_a_topology_loads_to_the_same_topology(id: str) -> None:
    topology = load_topology(id)
    text = toml_text(tomllib.loads(topology.text))
    assert tomllib.loads(text) == tomllib.loads(topology.text)
    assert attrs.evolve(parse_topology(text, topology.file), text=topology.text) == topology
    assert toml_text(tomllib.loads(text)) == text


@pytest.mark.parametrize("id", [P2A, SITE])
def test_the_text_of_a_topology_that_extends_another_stands_on_its_own(id: str) -> None:
    topology = load_topology(id)
    assert "extends" not in tomllib.loads(topology.text)
    assert "removed" not in topology.text
    assert list(tomllib.loads(topology.text))[:2] == ["format", "id"]
    assert parse_topology(topology.text, topology.file) == topology


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.one_of(TEXTS, st.booleans(), st.integers(-(2**63), 2**63 - 1))
TABLES = st.recursive(
    st.dictionaries(TEXTS.filter(lambda key: "\x7f" not in key), st.one_of(PLAIN, st.lists(PLAIN)), max_size=3),
    lambda inner: st.dictionaries(
        st.sampled_from(["a", "b.c", "", "d e"]), st.one_of(inner, st.lists(inner, min_size=1)), max_size=3
    ),
    max_leaves=6,
)


@given(TABLES)
def test_the_canonical_text_of_any_data_reads_back_as_the_data(data: dict[str, object]) -> None:
    assert tomllib.loads(toml_text(data)) == data


def test_what_is_not_said_is_taken_from_the_extended_topology() -> None:
    own, base = parse_topology(HEAD, "own.toml"), load_topology(V2A)
    assert attrs.evolve(own, id=base.id, text=base.text, file=base.file) == base


def test_a_table_is_merged_key_by_key_and_a_list_is_replaced() -> None:
    text = HEAD + '[policy]\nretention_hours = 48\n[components.vcenter]\nrequirements = ["V2A-21"]\noptional = false\n'
    own, base = parse_topology(text, "own.toml"), load_topology(V2A)
    assert own.policy == {**base.policy, "retention_hours": 48}
    expected = attrs.evolve(base.component("vcenter"), requirements=("V2A-21",), optional=False)
    assert own.component("vcenter") == expected
    assert [c for c in own.components if c.id != "vcenter"] == [c for c in base.components if c.id != "vcenter"]


def test_a_link_is_matched_by_its_ends_port_and_load_or_else_appended() -> None:
    match = '[[links]]\nfrom = "process-server"\nto = "storage-account"\nport = 443\ncarries = "data"\npaths = ["expressroute"]\n'
    own, base = parse_topology(HEAD + match, "own.toml"), load_topology(V2A)
    assert len(own.links) == len(base.links)
    upload = _link(base, "process-server", "storage-account")
    assert _link(own, "process-server", "storage-account") == attrs.evolve(upload, paths=(Route.EXPRESSROUTE,))
    more = match.replace("443", "8443") + 'protocol = "https"\nconfigurable_port = false\ndirection = "forward"\n'
    more += "encrypted = true\n"
    assert parse_topology(HEAD + more, "own.toml").links[-1].port == 8443
    assert len(parse_topology(HEAD + more, "own.toml").links) == len(base.links) + 1


def test_a_component_and_its_links_are_removed() -> None:
    text = (
        HEAD + "[components.group-member]\nremoved = true\n"
        '[[links]]\nfrom = "primary-machine"\nto = "group-member"\nport = 20004\ncarries = "group"\nremoved = true\n'
    )
    own, base = parse_topology(text, "own.toml"), load_topology(V2A)
    assert [c for c in base.components if c not in own.components] == [base.component("group-member")]
    assert [link for link in base.links if link not in own.links] == [_link(base, "primary-machine", "group-member")]


@pytest.mark.parametrize(
    ("more", "file", "key", "found"),
    [
        ("[components.vcenter]\nremoved = 1\n", "own.toml", "components.vcenter.removed", "1"),
        ("[components.vcentre]\nremoved = true\n", "own.toml", "components.vcentre", "what the other file lacks"),
        ("[components.vcenter]\nremoved = true\noptional = true\n", "own.toml", "components.vcenter.optional", "is removed"),
        ('[[links]]\nfrom = "vcenter"\nremoved = true\n', "own.toml", "links[1]", "what the other file lacks"),
        ("[components.group-member]\nremoved = true\n", f"{V2A}.toml", "links[5].to", '"group-member"'),
        ("[policy]\nretention_hours = 99\n", "own.toml", "policy.retention_hours", "99"),
        ("[policy_limits.retention_hours]\nmaximum = 12\n", f"{V2A}.toml", "policy.retention_hours", "24"),
        ('[[links]]\nfrom = "process-server"\nto = "storage-account"\nport = 443\ncarries = "data"\nencrypted = false\n',
         "own.toml", "links[1].encrypted", "over the internet"),
        ('[[links]]\nfrom = "vcenter"\nto = "vault"\ncarries = "control"\n', "own.toml", "links[1]",
         "a change of the link vcenter → vault (control), which there is not"),
        ('links = [{ from = "vcenter", to = "vault" }]\n', "own.toml", "links[1]", "vcenter → vault (nothing)"),
        ('[[links]]\nfrom = "vcenter"\nto = "vault"\nprotocol = "https"\n', "own.toml", "links[1].carries", "missing"),
        ("links = 1\n", "own.toml", "links", "1"),
        ("places = 1\n", "own.toml", "places", "1"),
        ("[forward]\nunplanned_failover = 2\n", "own.toml", "forward.unplanned_failover", "2"),
        ("note = 1\n", "own.toml", "note", "an unknown key"),
        ("[places.azure]\nremoved = true\n", "own.toml", "places.azure.removed", "an unknown key"),
    ],
)  # fmt: skip
def test_a_problem_is_told_where_its_value_stands(more: str, file: str, key: str, found: str) -> None:
    [problem, *_] = [p for p in _problems(HEAD + more) if p.key == key]
    assert (problem.file, found in problem.found) == (file, True)
    lines = (HEAD + more if file == "own.toml" else TEXT[V2A]).splitlines()
    last = key.split(".")[-1]
    line = lines[problem.line - 1]
    assert last.partition("[")[0] in line or (problem.found.startswith("nothing") and line.startswith(("[[links]]", "links =")))


def test_a_link_that_is_not_there_is_told_with_those_that_are() -> None:
    link = '[[links]]\nfrom = "process-server"\nto = "storage-account"\ncarries = "data"\nencrypted = false\n'
    [problem] = _problems(HEAD + link)
    assert "process-server → storage-account (data, port 443)" in problem.expected
    assert "vcenter" not in problem.expected


@pytest.mark.parametrize(("base", "changed"), [(V2A, "alarm.while_paused"), ("own.toml", "alarm.while_paused")])
def test_a_changed_fact_does_not_keep_the_reason_of_the_value_before(tmp_path: Path, base: str, changed: str) -> None:
    (tmp_path / "own.toml").write_text(HEAD, encoding="utf-8")
    table, _, key = changed.partition(".")
    value = str(not load_topology(V2A).facts[changed]).lower()
    file = tmp_path / "other.toml"
    text = f'format = 1\nid = "other"\nextends = "{base}"\n[{table}]\n{key} = {value}\n'
    file.write_text(text, encoding="utf-8")
    assert load_topology(file).why[changed].reason == "No reason is given."
    file.write_text(text + f'[why."{changed}"]\nkind = "decision"\nrequirements = []\nreason = "Ours."\n', encoding="utf-8")
    assert load_topology(file).why[changed].reason == "Ours."


def test_nothing_of_the_former_reason_stands_beside_a_new_one(tmp_path: Path) -> None:
    text = HEAD + '[alarm]\nwhile_paused = false\n[why."alarm.while_paused"]\nreason = "We are in a hurry."\n'
    reason = parse_topology(text, "own.toml").why["alarm.while_paused"]
    assert (reason.kind, reason.requirements, reason.reason) == (Basis.DECISION, (), "We are in a hurry.")
    overlay = tmp_path / "over.toml"
    overlay.write_text("[alarm]\nwhile_paused = false\n", encoding="utf-8")
    assert load_topology(V2A, [read_overlay(overlay)]).why["alarm.while_paused"].reason == "No reason is given."


def test_links_that_are_none_in_what_is_extended_are_told(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(f'format = 1\nid = "bad"\nextends = "{V2A}"\nlinks = 5\n', encoding="utf-8")
    file = tmp_path / "own.toml"
    file.write_text('format = 1\nid = "own"\nextends = "bad.toml"\n[[links]]\nfrom = "a"\nto = "b"\n', encoding="utf-8")
    with pytest.raises(SpecError):
        load_topology(file)


def test_a_fact_that_is_said_again_keeps_its_reason() -> None:
    value = str(load_topology(V2A).facts["alarm.while_paused"]).lower()
    own = parse_topology(HEAD + f"[alarm]\nwhile_paused = {value}\n", "own.toml")
    assert own.why == load_topology(V2A).why


@pytest.mark.parametrize("id", builtin_topologies())
def test_no_built_in_topology_changes_a_fact_without_a_reason(id: str) -> None:
    assert not [reason.fact for reason in load_topology(id).reasons if reason.reason == "No reason is given."]


def test_format_and_id_are_never_taken_from_the_extended_topology() -> None:
    assert [p.key for p in _problems(f'extends = "{V2A}"')] == ["format", "id"]


def test_files_extend_files_beside_them_and_each_other(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "site.toml").write_text(HEAD.replace('"own"', '"site"') + 'title = "Site"\n[policy]\nretention_hours = 12\n')
    child = tmp_path / "inner" / "own.toml"
    child.write_text('format = 1\nid = "own"\nextends = "../site.toml"\n[policy]\nrpo_threshold_minutes = 30\n')
    own = load_topology(child)
    assert (own.id, own.title, own.file) == ("own", "Site", str(child))
    assert own.policy == {**load_topology(V2A).policy, "retention_hours": 12, "rpo_threshold_minutes": 30}
    assert parse_topology(own.text, own.file) == own


@pytest.mark.parametrize("names", ["a", "ab", "abc"])
def test_a_circle_of_extensions_is_told(tmp_path: Path, names: str) -> None:
    for name, following in zip(names, names[1:] + names[0], strict=True):
        (tmp_path / f"{name}.toml").write_text(f'format = 1\nid = "{name}"\n\nextends = "./{following}.toml"\n')
    with pytest.raises(SpecError, match="no circle") as error:
        load_topology(tmp_path / "a.toml")
    [problem] = error.value.problems
    assert (Path(problem.file), problem.line, problem.key) == (tmp_path / "a.toml", 4, "extends")


def test_a_base_that_cannot_be_used_is_told_at_extends(tmp_path: Path) -> None:
    text = 'format = 1\nid = "own"\nextends = "BASE"\n'
    (tmp_path / "other.toml").write_text(TEXT[H2S])
    assert parse_topology(text.replace("BASE", "other.toml"), "own.toml", tmp_path).id == "own"
    absolute = str(tmp_path / "other.toml")
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    for name, folder, found in [
        ("nothing.toml", tmp_path, "No such file"),
        (".", tmp_path, "Is a directory"),
        ("loop.toml", tmp_path, "symbolic links"),
        ("a\\u0000b", tmp_path, "not a file name"),
        (absolute, tmp_path, "a path from the root"),
        ("other.toml", None, "no such built-in topology"),
        ("vmware-to-azur", None, "no such built-in topology"),
    ]:
        [problem] = _problems(text.replace("BASE", name), folder)
        assert (problem.key, problem.line) == ("extends", 3)
        assert found in problem.found
    assert problem.mend == f"did you mean {V2A}?"


def test_a_base_that_is_wrong_is_told_with_its_own_name(tmp_path: Path) -> None:
    base = tmp_path / "base.toml"
    text = 'format = 1\nid = "own"\nextends = "base.toml"\n'
    for content, key, line in [
        (b"format = = 1", "syntax", 1),
        (b"format = 1\nid = 'caf\xe9'", "encoding", 2),
        (b"\nformat = 2", "format", 2),
        (TEXT[H2S].replace("retention_hours = 2", "retention_hours = 99").encode(), "policy.retention_hours", 0),
    ]:
        base.write_bytes(content)
        [problem] = _problems(text, tmp_path)
        assert (problem.file, problem.key) == (str(base), key)
        assert problem.line == line or content.decode().splitlines()[problem.line - 1].startswith("retention_hours = 99")


@settings(max_examples=200, deadline=None)
@given(data=st.data(), id=st.sampled_from([P2A, SITE]))
def test_deleting_or_retyping_any_key_of_a_file_that_extends_loads_or_is_a_spec_error(data: st.DataObject, id: str) -> None:
    lines = (resources.files("siteproof.specs") / "topologies" / f"{id}.toml").read_text("utf-8").splitlines()
    meant = [at for at, line in enumerate(lines) if line and not line.startswith("#")]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from(meant))
        name, sign, _ = lines[at].partition(" = ")
        lines[at] = f"{name} = {data.draw(st.sampled_from(VALUES))}" if sign and data.draw(st.booleans()) else ""
    outcome = _outcome("\n".join(lines))
    if isinstance(outcome, SpecError):
        assert {problem.file for problem in outcome.problems} <= {"own.toml", f"{V2A}.toml", f"{VMM}.toml", "decisions.toml"}
        assert all(problem.line <= len(lines) for problem in outcome.problems if problem.file == "own.toml")
    else:
        assert parse_topology(outcome.text, outcome.file) == outcome


# ------------------------------------------------------------------------------------------------- what is refused

V2A_UPLOAD = 'to = "storage-account"\nprotocol = "https"\nport = 443\n'

# fmt: off
REFUSED = [
    # (what, topology, text to replace, replacement, key, found, expected)
    ("not TOML", V2A, "format = 1", "format = = 1", "syntax", "not TOML", "TOML 1.0"),
    ("open string", V2A, 'title = "VMware to Azure"', 'title = "VMware', "syntax", "a string that does not end", "TOML 1.0"),
    ("key twice", V2A, "format = 1", "format = 1\nformat = 1", "syntax", "not TOML", "TOML 1.0"),
    ("format", V2A, "format = 1", "format = 2", "format", "2", "1"),
    ("missing key", V2A, 'title = "VMware to Azure"\n', "", "title", "nothing", "a text in quotes"),
    ("wrong type", V2A, "format = 1", 'format = "1"', "format", '"1"', "a whole number"),
    ("boolean as number", V2A, "format = 1", "format = true", "format", "true", "a whole number"),
    ("empty text", V2A, 'title = "VMware to Azure"', 'title = ""', "title", '""', "not empty"),
    ("unknown top key", V2A, "format = 1", "format = 1\nnote = 1", "note", "an unknown key", "only known keys"),
    ("unknown id form", V2A, f'id = "{V2A}"', 'id = "V 2"', "id", '"V 2"', "small letters"),
    ("text as list", V2A, 'requirements = ["V2A-8"]', 'requirements = "V2A-8"',
     "components.management-server.requirements", '"V2A-8"', "a list of texts"),
    ("number in a list", V2A, 'requirements = ["V2A-8"]', "requirements = [8]",
     "components.management-server.requirements[1]", "8", "a list of texts"),
    ("item twice", V2A, 'requirements = ["V2A-8"]', 'requirements = ["V2A-8", "V2A-8"]',
     "components.management-server.requirements[2]", '"V2A-8" twice', "every item once"),
    ("unknown requirement", V2A, 'requirements = ["V2A-8"]', 'requirements = ["V2A-88"]',
     "components.management-server.requirements", 'the unknown requirement "V2A-88"', "specs/requirements.toml"),
    ("table as value", V2A, "[policy_limits.rpo_threshold_minutes]\nminimum = 1",
     "[policy_limits]\nrpo_threshold_minutes = 1", "policy_limits.rpo_threshold_minutes", "1", "a table"),
    ("unknown side", V2A, 'side = "cloud"', 'side = "clouds"', "places.azure-control.side", '"clouds"', "cloud"),
    ("no recovery side", V2A, 'side = "recovery"', 'side = "cloud"', "places", "no recovery place", "at least one"),
    ("unknown kind", V2A, 'kind = "vcenter"', 'kind = "vcentre"', "components.vcenter.kind", '"vcentre"', "vcenter"),
    ("kind as number", V2A, 'kind = "vcenter"', "kind = 7", "components.vcenter.kind", "7", "vcenter"),
    ("unknown place", H2S, 'kind = "vault"\nplace = "azure-control"', 'kind = "vault"\nplace = "azure"',
     "components.vault.place", '"azure"', "a place of this file"),
    ("unknown host", V2A, 'host = "primary-machine"', 'host = "machine"', "components.mobility-service.host",
     '"machine"', "a component of this file"),
    ("host in another place", V2A, 'host = "primary-machine"', 'host = "recovery-machine"',
     "components.mobility-service.host", "in another place (azure)", "a host in primary-site"),
    ("circle of hosts", V2A, 'kind = "esxi-host"', 'kind = "esxi-host"\nhost = "primary-machine"',
     "components.esxi-host.host", "runs on this one", "no circle"),
    ("unknown feature", VMM, 'features = ["public-address"]', 'features = ["address"]',
     "components.recovery-machine.features", '"address"', "public-address"),
    ("joined to nothing", V2A, 'joined_to = ["azure-network"]', 'joined_to = ["network"]',
     "components.recovery-machine.joined_to", '"network"', "another component"),
    ("joined to itself", V2A, 'joined_to = ["azure-network"]', 'joined_to = ["recovery-machine"]',
     "components.recovery-machine.joined_to", '"recovery-machine"', "another component"),
    ("unknown key of a component", V2A, "optional = true # recommended", "optionel = true # recommended",
     "components.vcenter.optionel", "an unknown key", "only known keys"),
    ("truth value in quotes", V2A, "optional = true # recommended", 'optional = "true" # recommended',
     "components.vcenter.optional", '"true"', "true or false"),
    ("no links", V2A, "[[links]]", "[[link]]", "links", "nothing", "one or more tables"),
    ("dangling link", V2A, 'to = "storage-account"', 'to = "storage"', "links[3].to", '"storage"',
     "a component of this"),
    ("link from nowhere", H2S, 'from = "primary-vmm"', 'from = "vmm"', "links[5].from", '"vmm"',
     "a component of this"),
    ("self-link", V2A, 'to = "group-member"', 'to = "primary-machine"', "links[5].to", "where the link starts",
     "another"),
    ("port 0", V2A, "port = 20004", "port = 0", "links[5].port", "0", "from 1 to 65535"),
    ("port too high", V2A, "port = 20004", "port = 65536", "links[5].port", "65536", "from 1 to 65535"),
    ("port in quotes", V2A, "port = 20004", 'port = "20004"', "links[5].port", '"20004"', "from 1 to 65535"),
    ("link without direction", V2A, 'direction = "both"\n', "", "links[4].direction", "nothing",
     "forward, reverse, both"),
    ("unknown path", V2A, 'paths = ["vpn", "expressroute"]\nrequirements = ["V2A-13"',
     'paths = ["vpn", "carrier"]\nrequirements = ["V2A-13"', "links[8].paths", '"carrier"', "internet"),
    ("no path", H2S, 'paths = ["lan"]', "paths = []", "links[5].paths", "an empty list", "at least one path"),
    ("plain text over the internet", V2A,
     V2A_UPLOAD + 'configurable_port = false\ndirection = "forward"\ncarries = "data"\nencrypted = true',
     V2A_UPLOAD + 'configurable_port = false\ndirection = "forward"\ncarries = "data"\nencrypted = false',
     "links[3].encrypted", "false on a link over the internet", "true"),
    ("VPN towards Azure", V2A, 'paths = ["internet", "expressroute"]', 'paths = ["expressroute", "vpn"]',
     "links[3].paths", '"vpn" for forward data to Azure', "V2A-42"),
    ("data to a control place", H2S, 'carries = "control"', 'carries = "data"', "links[3].carries",
     '"data" at a cloud place', "control only"),
    ("fact missing", H2S, "drains = true\n", "", "planned.drains", "nothing", "true or false"),
    ("fact as number", H2S, "drains = true", "drains = 1", "planned.drains", "1", "true or false"),
    ("unknown fact", H2S, "drains = true", "drains = true\ndrain = true", "planned.drain", "an unknown key", "known"),
    ("group of facts missing", H2S, "[gateway]\npresent = false", "", "gateway", "nothing", "a table [gateway]"),
    ("reason missing", H2S, '[why."planned.drains"]', '[why."planned.drain"]', 'why."planned.drains"', "nothing",
     'a table [why."planned.drains"]'),
    ("documented by nothing", H2S, 'requirements = ["H2S-25"]', "requirements = []",
     'why."planned.drains".requirements', "none", "the requirements of a documented fact"),
    ("protected without planned failover", V2A, "[planned]\nleaves_protected = false",
     "[planned]\nleaves_protected = true", "planned.leaves_protected", "neither direction", "false where"),
    ("no way to fail over", V2A, "[forward]\nplanned_failover = false\nunplanned_failover = true",
     "[forward]\nplanned_failover = false\nunplanned_failover = false", "forward.unplanned_failover",
     "no failover at all", "a planned or an unplanned failover"),
    ("failback without failover", H2S, "[reverse]\nplanned_failover = true\nunplanned_failover = true",
     "[reverse]\nplanned_failover = false\nunplanned_failover = false", "failback.ends_protection",
     "the reverse direction has no failover", "true where"),
    ("failback without reverse by an unplanned failover", V2A, "without_reverse = false", "without_reverse = true",
     "failback.without_reverse", "no planned failover", "false where"),
    ("failback to nothing", V2A, 'targets = ["vmware-vm"]', "targets = []", "failback_setup.targets", "an empty list",
     "at least one kind"),
    ("failback to an unknown kind", V2A, 'targets = ["vmware-vm"]', 'targets = ["vm"]', "failback_setup.targets", '"vm"',
     "vmware-vm"),
    ("failback from Azure to hardware", P2A, 'targets = ["vmware-vm"]', 'targets = ["vmware-vm", "physical-server"]',
     "failback_setup.targets", '"physical-server" for a failback from Azure', "P2A-4"),
    ("failback to a machine without a host", H2S, 'targets = ["hyper-v-vm"]', 'targets = ["vmware-vm"]',
     "failback_setup.targets", "without a component of kind esxi-host", "a host for the machine"),
    ("failback needs what is not there", V2A, 'components = ["temporary-process-server"', 'components = ["process"',
     "failback_setup.components", '"process"', "a component of this file"),
    ("failback needs what does not serve it", SCOUT, 'kind = "master-target"\nplace = "primary-site"\noptional = true # needed '
     'only to fail back\ninstall = "manual"\nused_for = "reverse"', 'kind = "master-target"\nplace = "primary-site"\n'
     'used_for = "forward"', "failback_setup.components", '"primary-master-target", which is used for the forward',
     "a component of the way back"),
    ("failback over another path", V2A, 'paths = ["vpn", "expressroute"] # one', 'paths = ["internet"] # one',
     "failback_setup.paths", '"internet", which no reverse link between the sides takes', "a path of a reverse link"),
    ("unknown choice of synchronisation", VMM, '"during-failover"', '"after-failover"', "failback_setup.synchronisation",
     '"after-failover"', "before-failover, during-failover"),
    ("unknown location", VMM, '"alternate"', '"moon"', "failback_setup.locations", '"moon"', "original, alternate"),
    ("no failback setup", VMM, "[failback_setup]", "[failback_set]", "failback_setup", "nothing", "a table"),
    ("master target on hardware", P2A, 'title = "master target server, on VMware"\nkind = "master-target"\n'
     'place = "primary-site"\nhost = "esxi-host"', 'title = "m"\nkind = "master-target"\nplace = "primary-site"\n'
     'host = "management-server"', "components.master-target.host", "a physical server", "P2A-7"),
    ("encryption at rest in quotes", VMM, "encrypted_at_rest = true", 'encrypted_at_rest = "yes"',
     "places.azure.encrypted_at_rest", '"yes"', "true or false"),
    ("no way back for the data", VMM, 'direction = "reverse"', 'direction = "forward"', "reverse.planned_failover",
     "no chain of reverse data links", "since a failover is offered"),
    ("extends a number", V2A, "format = 1", "format = 1\nextends = 1", "extends", "1", "a text in quotes"),
    ("extends the unknown", V2A, "format = 1", 'format = 1\nextends = "vmware"', "extends", '"vmware"', "a built-in topology"),
    ("gateway without process server", H2S, "present = false", "present = true", "gateway.present",
     "no data link touches a process-server", "a process-server on the data path"),
    ("process server without gateway", V2A, "present = true", "present = false", "gateway.present",
     "false, but data passes a process-server", "true"),
    ("no way for data", H2S, 'direction = "forward"', 'direction = "reverse"', "forward.planned_failover",
     "no chain of forward data links", "since a failover is offered"),
    ("policy outside its range", V2A, "retention_hours = 24", "retention_hours = 73", "policy.retention_hours", "73",
     "at least 0 and at most 72"),
    ("policy not allowed", H2S, "replication_interval_seconds = 300", "replication_interval_seconds = 60",
     "policy.replication_interval_seconds", "60", "one of 30, 300, 900"),
    ("app-consistent beyond retention", H2S, "app_consistent_hours = 1", "app_consistent_hours = 2",
     "policy.app_consistent_hours", "2 with a retention of 2", "less than retention_hours"),
    ("setting missing", V2A, "rpo_threshold_minutes = 15\n", "", "policy.rpo_threshold_minutes", "nothing",
     "a whole"),
    ("unknown setting", V2A, "rpo_threshold_minutes = 15", "rpo_threshold_minutes = 15\nrpo = 1", "policy.rpo",
     "an unknown key", "only known keys"),
    ("limits of nothing", V2A, "[policy_limits.rpo_threshold_minutes]",
     "[policy_limits.replication_interval_seconds]", "policy_limits.replication_interval_seconds",
     "limits of a setting that the policy lacks", "a setting of [policy]"),
    ("limits exchanged", V2A, "maximum = 12", "maximum = -1", "policy_limits.app_consistent_hours.maximum", "-1",
     "from 0"),
    ("range upside down", H2S, "minimum = 1\nmaximum = 60", "minimum = 60\nmaximum = 5",
     "policy_limits.crash_consistent_minutes.minimum", "a minimum of 60 above", "not above"),
    ("range and list", V2A, "allowed = [5]", "allowed = [5]\nminimum = 1", "policy_limits.crash_consistent_minutes",
     "both a range and a list", "minimum and maximum, or allowed"),
    ("limit in quotes", V2A, "allowed = [5]", 'allowed = ["5"]', "policy_limits.crash_consistent_minutes.allowed[1]",
     '"5"', "whole numbers"),
]
# fmt: on


@pytest.mark.parametrize(
    ("id", "old", "new", "key", "found", "expected"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_wrong_file_is_told_with_file_line_key_found_and_expected(
    id: str, old: str, new: str, key: str, found: str, expected: str
) -> None:
    assert old in TEXT[id], "the edit has to touch the built-in text"
    text = TEXT[id].replace(old, new) if old == "[[links]]" else TEXT[id].replace(old, new, 1)
    with pytest.raises(SpecError) as error:
        parse_topology(text, "own.toml")
    [problem, *_] = [p for p in error.value.problems if p.key == key] or error.value.problems
    assert problem.key == key
    assert problem.file == "own.toml"
    assert found in problem.found
    assert expected in problem.expected
    assert problem.mend
    told = str(problem)
    assert all(part in told for part in ("own.toml", f"line {problem.line}", key, problem.found, problem.mend))
    assert "\n" not in told
    assert error.value.exit_code == 4


def test_every_contradiction_is_among_the_refused() -> None:
    assert {rule.fact for rule in CONTRADICTIONS} <= {case[4] for case in REFUSED}


@pytest.mark.parametrize(
    ("old", "new", "line_of"),
    [
        ("port = 20004", "port = 0", "port = 0"),
        ("retention_hours = 24", "retention_hours = 73", "retention_hours = 73"),
        ('to = "storage-account"', 'to = "storage"', 'to = "storage"'),
        ("drains = true\n", "", "[planned]"),
        ("format = 1", "format = = 1", "format = = 1"),
        ('host = "primary-machine"', 'host = "x"', 'host = "x"'),
        ('requirements = ["V2A-50"]', 'requirements = ["V2A-5O"]', 'requirements = ["V2A-5O"]'),
    ],
)
def test_the_line_is_that_of_the_key_or_of_the_table_that_lacks_it(old: str, new: str, line_of: str) -> None:
    text = TEXT[V2A].replace(old, new, 1)
    with pytest.raises(SpecError) as error:
        parse_topology(text, "own.toml")
    assert text.splitlines()[error.value.problems[0].line - 1].startswith(line_of)


def test_all_problems_are_told_at_once_one_a_line_in_the_order_of_the_file() -> None:
    text = (
        TEXT[V2A].replace("port = 20004", "port = 0").replace("format = 1", "format = 2").replace("drains = true", "")
    )
    with pytest.raises(SpecError) as error:
        parse_topology(text, "own.toml")
    assert [problem.key for problem in error.value.problems] == ["format", "links[5].port", "planned.drains"]
    assert len(str(error.value).splitlines()) == 3
    assert "own.toml, line 6: format: found 2" in str(error.value).splitlines()[0]


def test_one_mistake_is_told_once() -> None:
    table = "[gateway]\npresent = true\ntemporary = true\nasked_for = true\nkept_while_used = true\n"
    assert table in TEXT[V2A]
    with pytest.raises(SpecError) as error:
        parse_topology(TEXT[V2A].replace(table, ""), "own.toml")
    assert [problem.key for problem in error.value.problems] == ["gateway"]


def test_what_the_file_contains_cannot_break_the_message() -> None:
    text = TEXT[V2A].replace('side = "cloud"', 'side = "a\\nb\\u001b[2J\\u202e"', 1)
    with pytest.raises(SpecError) as error:
        parse_topology(text, "own\n.toml")
    assert str(error.value).isprintable()


def test_errors_survive_the_way_between_processes() -> None:
    with pytest.raises(SpecError) as spec:
        parse_topology("format = 2", "own.toml")
    with pytest.raises(UsageError) as usage:
        parse_override("nothing")
    for error in (spec.value, usage.value):
        copy = pickle.loads(pickle.dumps(error))
        assert isinstance(copy, SiteproofError)
        assert str(copy) == str(error)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[[links]]",
        "links = 1",
        "links = [1]",
        "a = " + "[" * 5000,
        "a = 0x" + "f" * 9000,
        "format = 0x" + "f" * 9000,
        "a = " + "9" * 9000,
        "[components.a]\nkind = 0x" + "f" * 9000,
    ],
)
def test_odd_files_are_refused_without_a_traceback(text: str) -> None:
    with pytest.raises(SpecError) as error:
        parse_topology(text, "odd.toml")
    assert str(error.value)


# ----------------------------------------------------------------------------------------------- anything else goes

# fmt: off
VALUES = [
    "1", "-1", "0", "1.5", "true", "false", '""', '"x"', "[]", "[1]", '["x"]', "{}", "{ a = 1 }", "[[1]]", "[{}]",
    "1979-05-27", "inf", "nan", '[true, "x"]', '"vault"', "0x7fffffffffffffffff",
]
PIECES = [
    "[a]", "[[b]]", "[b.c]", "k = 1", '"q.r" = [', "]", 'd.e = """', '"""', "x = '''", "'''", "f = { g = 1 }", "# [z]",
    "h = '[y]'", '[a."s t"]', "l = [ '[m]',", "1, # ]", "2 ]",
]
# fmt: on


def _outcome(text: str) -> Topology | SpecError:
    try:
        return parse_topology(text, "own.toml")
    except SpecError as error:
        return error


def _assert_that_it_loads_or_says_what_is_wrong(text: str) -> None:
    outcome = _outcome(text)
    if isinstance(outcome, SpecError):
        assert outcome.problems
        assert all(1 <= problem.line <= max(1, len(text.splitlines())) for problem in outcome.problems)
        assert len(str(outcome).splitlines()) == len(outcome.problems)
    else:
        assert set(outcome.facts) == set(FACTS) | set(DERIVED)


@settings(max_examples=400, deadline=None)
@given(data=st.data(), id=st.sampled_from([V2A, H2S]))
def test_deleting_or_retyping_any_key_loads_or_is_a_spec_error(data: st.DataObject, id: str) -> None:
    lines = TEXT[id].splitlines()
    meant = [at for at, line in enumerate(lines) if line and not line.startswith("#")]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from(meant))
        name, sign, _ = lines[at].partition(" = ")
        kept = f"{name} = {data.draw(st.sampled_from(VALUES))}" if sign and data.draw(st.booleans()) else ""
        lines[at] = kept
    _assert_that_it_loads_or_says_what_is_wrong("\n".join(lines))


@pytest.mark.parametrize("id", [V2A, H2S])
def test_every_single_line_can_be_deleted_without_a_traceback(id: str) -> None:
    lines = TEXT[id].splitlines()
    for at in range(len(lines)):
        _assert_that_it_loads_or_says_what_is_wrong("\n".join(lines[:at] + lines[at + 1 :]))


OPTIONAL = {
    "components": {"host", "optional", "install", "used_for", "features", "joined_to", "requirements"},
    "links": {"port", "authentication", "requirements"},
    "places": {"encrypted_at_rest", "requirements"},
    "failback_setup": {"locations", "synchronisation", "components", "paths", "automatic_policy", "requirements"},
    "policy": {"all_points_hours", "replication_interval_seconds"},
    "policy_limits": {"minimum", "maximum", "allowed"},
}


DECIDED = {line.strip("[]") for line in (resources.files("siteproof.specs") / "decisions.toml").read_text("utf-8").splitlines()
           if line.startswith("[")}  # fmt: skip


@pytest.mark.parametrize("id", [V2A, VMM, H2S])
def test_a_missing_key_is_missed_unless_it_is_optional(id: str) -> None:
    lines = TEXT[id].splitlines()
    table = whole = ""
    for at, line in enumerate(lines):
        name, sign, value = line.partition(" = ")
        if line.startswith("["):
            whole = line.strip("[]")
            table = whole.partition(".")[0]
        if whole in DECIDED:
            continue  # where a flow does not say it, the decision for all flows stands
        if not sign or value == "[" or line.startswith("#"):
            continue
        missed = False
        try:
            parse_topology("\n".join(lines[:at] + lines[at + 1 :]), "own.toml")
        except SpecError as error:
            missed = any(p.key.endswith(name) and "the key is missing" in p.found for p in error.problems)
        documented = table == "why" and name == "requirements"  # missed in its own words, unless it is a decision
        assert documented or missed == (name not in OPTIONAL.get(table, set())), line


@given(st.lists(st.sampled_from(PIECES)))
def test_the_line_of_a_key_is_a_line_that_names_it(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        spec = SpecFile.parse(text, "own.toml")
    except SpecError:
        return
    for name in spec.data:
        assert name in lines[spec.spot_of((name,)).line - 1], dotted((name,))


def test_decisions_that_are_alike_in_all_flows_are_said_once_and_may_be_overruled() -> None:
    flow = load_topology(V2A)
    assert "remembered" not in flow.text
    assert flow.facts["requests.remembered"]
    assert flow.why["requests.remembered"].kind is Basis.DECISION
    text = flow.text + '\n[requests]\nremembered = false\n\n[why."requests.remembered"]\nreason = "They forget."\n'
    own = parse_topology(text, "own.toml")
    assert not own.facts["requests.remembered"]
    assert own.why["requests.remembered"].reason == "They forget."


def test_a_file_that_lacks_nearly_everything_is_told_so_in_one_line() -> None:
    with pytest.raises(SpecError) as caught:
        parse_topology('format = 1\nid = "mine"\n', "mine.toml")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("error in mine.toml, line 1: title, summary, sections, places, ")
    assert line.endswith("found nothing (these keys are missing); expected each of them; to mend: add them")
