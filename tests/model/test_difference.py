"""What differs between two topologies, and what a proof looks at."""

from __future__ import annotations

import attrs
import pytest

from siteproof.model.control_paths import DERIVED
from siteproof.model.difference import Difference, Part, What, differences
from siteproof.model.influence import facts_read
from siteproof.model.overlay import changed_topology
from siteproof.model.topology import FACTS, builtin_topologies, load_topology, parse_override

V2A, P2A, H2S = "vmware-to-azure", "physical-to-azure", "hyper-v-to-secondary-site"


def between(a: str, b: str) -> dict[str, Difference]:
    return {row.path: row for row in differences(load_topology(a), load_topology(b))}


def after(source: str, *changes: str) -> list[Difference]:
    changed = changed_topology(source, [], [parse_override(change) for change in changes])
    return list(differences(load_topology(source), changed))


@pytest.mark.parametrize("id", builtin_topologies())
def test_a_topology_does_not_differ_from_itself(id: str) -> None:
    assert differences(load_topology(id), load_topology(id)) == ()


def test_words_and_requirement_ids_make_no_difference() -> None:
    topology = load_topology(V2A)
    renamed = attrs.evolve(topology, id="other", title="Other", summary="Other.",
                           components=tuple(attrs.evolve(c, title="x", requirements=()) for c in topology.components))
    assert differences(topology, renamed) == ()


def test_physical_servers_differ_from_vmware_in_deployment_alone() -> None:
    rows = between(V2A, P2A)
    assert {row.part for row in rows.values()} == {Part.COMPONENT, Part.FAILBACK}
    added = rows["components.management-hardware"]
    assert (added.what, added.before, added.requirements) == (What.ADDED, "", ("P2A-2",))
    assert added.after == "physical server for the management server (kind physical-host, place primary-site)"
    moved = rows["components.management-server.host"]
    assert (moved.what, moved.before, moved.after) == (What.CHANGED, "esxi-host", "management-hardware")


def test_what_is_added_one_way_is_removed_the_other_way() -> None:
    there, back = between(V2A, H2S), between(H2S, V2A)
    assert there.keys() == back.keys()
    turned = {What.ADDED: What.REMOVED, What.REMOVED: What.ADDED, What.CHANGED: What.CHANGED}
    for path, row in there.items():
        assert (back[path].what, back[path].before, back[path].after) == (turned[row.what], row.after, row.before)


def test_a_fact_is_told_with_what_it_contradicts() -> None:
    (row,) = after(H2S, "reverse.requires_commit=false")
    assert (row.part, row.before, row.after) == (Part.BEHAVIOUR, "true", "false")
    assert row.requirements == ("H2S-29", "H2S-30")
    assert row.reason.startswith("The source tells reverse replication after the commit")
    assert row.reason_after == ""
    (decided,) = after(H2S, "returning.fenced_first=false")
    assert decided.requirements == ()
    assert decided.reason.startswith("decision: ")


def test_capabilities_are_told_apart_from_behaviour_with_the_reasons_of_both_sides() -> None:
    row = between(V2A, "hyper-v-site-to-azure")["forward.planned_failover"]
    assert row.part is Part.CAPABILITY
    assert row.requirements == ("V2A-44",)
    assert row.reason_after.startswith("H2A-")


def test_links_that_keep_their_ends_are_the_same_link_changed() -> None:
    (row,) = after(V2A, "links.process-server.storage-account.port=9444")
    assert (row.path, row.before, row.after) == ("links.process-server.storage-account.port", "443", "9444")
    rows = after(H2S, "links.primary-host.secondary-host.paths=lan", "links.primary-host.secondary-host.encrypted=true")
    assert [(one.path.rpartition(".")[2], one.before, one.after) for one in rows] == [
        ("encrypted", "false", "true"), ("paths", "lan, vpn", "lan")]


def test_policies_differ_in_settings_and_in_limits() -> None:
    rows = between(V2A, H2S)
    assert (rows["policy.retention_hours"].before, rows["policy.retention_hours"].after) == ("24", "2")
    assert rows["policy.replication_interval_seconds"].what is What.ADDED
    assert rows["policy_limits.retention_hours"].after == "at least 0 and at most 24"


@pytest.mark.parametrize("change", ["policy.retention_hours=12", "components.vcenter.optional=false",
                                    "initial.ships_content=false",
                                    "links.process-server.storage-account.paths=expressroute",
                                    "links.process-server.storage-account.port=9444"])
def test_the_path_of_a_change_is_one_that_a_what_if_takes(change: str) -> None:
    assert [f"{row.path}={row.after}" for row in after(V2A, change)] == [change]


@pytest.mark.parametrize("id", builtin_topologies())
def test_the_facts_of_the_levels_that_apply_are_read_and_nothing_else_is(id: str) -> None:
    topology = load_topology(id)
    switches = {"keys": "keys.used", "group": "group.supported", "gateway": "gateway.temporary"}
    elsewhere = {
        fact for group, switch in switches.items() if not topology.facts[switch]
        for fact in FACTS if fact.startswith(group + ".") and fact not in (switch, "gateway.present", "gateway.asked_for")
    }  # fmt: skip
    assert facts_read(topology) == (set(FACTS) | set(DERIVED)) - elsewhere
