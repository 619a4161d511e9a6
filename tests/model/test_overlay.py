"""Overlays and what-ifs about any value of a topology, and what they are refused for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siteproof.model.errors import SiteproofError, SpecError, UsageError
from siteproof.model.overlay import TABLES, changed_topology, read_overlay
from siteproof.model.topology import FACTS, Override, Topology, load_topology, parse_override

V2A, H2S, SCOUT = "vmware-to-azure", "hyper-v-to-secondary-site", "scout-to-secondary-site"
AZURE_LINK = "links.process-server.storage-account"


def made(source: str, *changes: str) -> Topology:
    return changed_topology(source, [], [parse_override(change) for change in changes])


def laid(tmp_path: Path, text: str, source: str = V2A, *changes: str) -> Topology:
    file = tmp_path / "over.toml"
    file.write_text(text, encoding="utf-8")
    return changed_topology(source, [read_overlay(file)], [parse_override(change) for change in changes])


# -------------------------------------------------------------------------------------------- from the command line


def test_facts_alone_keep_the_text_and_are_recorded() -> None:
    topology = made(H2S, "planned.drains=false", "reverse.requires_commit=false")
    assert topology.text == load_topology(H2S).text
    assert topology.overrides == (("planned.drains", False), ("reverse.requires_commit", False))


def test_a_value_of_policy_component_or_link_changes_the_topology() -> None:
    topology = made(V2A, "policy.retention_hours=48", "components.vcenter.title=vC", f"{AZURE_LINK}.paths=expressroute")
    assert topology.policy["retention_hours"] == 48
    assert topology.component("vcenter").title == "vC"
    (link,) = (one for one in topology.links if (one.source, one.target) == ("process-server", "storage-account"))
    assert [str(path) for path in link.paths] == ["expressroute"]
    assert topology.overrides == ()


def test_a_port_is_changed_although_a_link_goes_by_it() -> None:
    before, after = load_topology(V2A), made(V2A, f"{AZURE_LINK}.port=9444")
    assert len(after.links) == len(before.links)
    assert [one.port for one in after.links if (one.source, one.target) == ("process-server", "storage-account")] == [9444]


def test_a_list_is_written_with_commas() -> None:
    assert [str(one) for one in made(H2S, "links.primary-host.secondary-host.paths=lan").links[0].paths] == ["lan"]
    both = made(H2S, "links.primary-host.secondary-host.paths=vpn, lan")
    assert {str(path) for path in both.links[0].paths} == {"vpn", "lan"}


def test_a_component_is_removed_with_its_links() -> None:
    topology = made(H2S, "components.secondary-provider.removed=true", "links.secondary-provider.vault.removed=true")
    assert "secondary-provider" not in {one.id for one in topology.components}


def test_facts_beside_other_values_are_held_to_the_deployment_too() -> None:
    assert made(H2S, "gateway.present=true").facts["gateway.present"]
    with pytest.raises(SpecError, match=r"--what-if gateway.present=true: gateway.present: found true, but no data link"):
        made(H2S, "gateway.present=true", "policy.retention_hours=4")
    topology = made(H2S, "planned.drains=false", "policy.retention_hours=4")
    assert topology.overrides == (("planned.drains", False),)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("policy.retention_hours=100", "policy.retention_hours: found 100; expected at least 0 and at most 72"),
        ("policy.app_consistent_hours=13", "policy.app_consistent_hours: found 13; expected at least 0 and at most 12"),
        ("policy.no_such_thing=1", "policy.no_such_thing: found an unknown key"),
        ("components.vcenter.optional=7", "components.vcenter.optional: found 7; expected true or false"),
        ("components.vcenter.place=moon", 'components.vcenter.place: found "moon"; expected a place of this file'),
        (f"{AZURE_LINK}.port=0", f"{AZURE_LINK}.port: found 0; expected a whole number from 1 to 65535"),
        (f"{AZURE_LINK}.paths=vpn", f'{AZURE_LINK}.paths: found "vpn" for forward data to Azure'),
        (f"{AZURE_LINK}.encrypted=false", f"{AZURE_LINK}.encrypted: found false on a link over the internet"),
        ("failback_setup.targets=physical-server", 'failback_setup.targets: found "physical-server" for a failback from Azure'),
    ],
)
def test_an_impossible_result_is_told_at_the_option(change: str, found: str) -> None:
    with pytest.raises(SpecError) as error:
        made(V2A, change)
    assert str(error.value).startswith(f"error in --what-if {change}: {found}")
    assert "; to mend: " in str(error.value)
    assert "line 0" not in str(error.value)


def test_what_a_removal_leaves_behind_is_told_where_it_stands() -> None:
    with pytest.raises(SpecError, match=r'error in vmware-to-azure.toml, line \d+: links\[\d\].to: found "process-server"'):
        made(V2A, "components.process-server.removed=true")


@pytest.mark.parametrize(
    ("change", "mend"),
    [
        ("policy=1", "policy.retention_hours"),
        ("components.vcentre.optional=true", "did you mean components.vcenter.optional"),
        ("links.process-server.vault.port=1", "links."),
        ("links.process-server=1", "links."),
        ("title=x", "commit.removes_points"),
        ("reverse.requires_comit=true", "reverse.requires_commit"),
        ("planned.drains=7", "planned.drains=true or planned.drains=false"),
    ],
)
def test_a_path_that_names_nothing_is_a_usage_error(change: str, mend: str) -> None:
    with pytest.raises(UsageError) as error:
        made(V2A, change, "policy.retention_hours=12")
    assert mend in error.value.mend


def test_two_links_with_the_same_ends_are_told_apart_by_port_or_load(tmp_path: Path) -> None:
    file = tmp_path / "two.toml"
    file.write_text(
        f'format = 1\nid = "two"\nextends = "{H2S}"\n[[links]]\nfrom = "primary-host"\nto = "secondary-host"\nprotocol = "tcp"\n'
        'port = 99\nconfigurable_port = false\ndirection = "forward"\ncarries = "control"\nencrypted = false\npaths = ["lan"]\n',
        encoding="utf-8")
    with pytest.raises(UsageError) as error:
        made(str(file), "links.primary-host.secondary-host.encrypted=true")
    assert error.value.mend == ("write one of links.primary-host.secondary-host.data.encrypted, "
                                "links.primary-host.secondary-host.99.control.encrypted")
    topology = made(str(file), "links.primary-host.secondary-host.99.encrypted=true")
    assert [one.encrypted for one in topology.links if one.port == 99] == [True]
    assert [one.encrypted for one in topology.links
            if (one.source, one.target, one.port) == ("primary-host", "secondary-host", None)] == [False]


def outcome(changes: list[Override]) -> Topology | SiteproofError:
    try:
        return changed_topology(V2A, [], changes)
    except SiteproofError as error:
        return error


PATHS = [*FACTS, *(f"policy.{name}" for name in load_topology(V2A).policy), "components.vcenter.optional", f"{AZURE_LINK}.paths",
         *TABLES, "links.a.b.port", "components.vcenter.kind", "places.azure.side", "failback_setup.targets", "x"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PATHS), st.booleans() | st.integers(0, 99) | st.text(max_size=8)), max_size=3))
def test_any_change_gives_a_topology_that_loads_again_or_is_told(changes: list[tuple[str, bool | int | str]]) -> None:
    told = outcome([Override(None, path, value) for path, value in changes])
    if isinstance(told, Topology):
        assert told.id == V2A
        assert dict(told.overrides).items() <= told.facts.items()
    else:
        assert told.exit_code == 4
        assert all(line.isprintable() for line in str(told).splitlines())


# ------------------------------------------------------------------------------------------------------- from a file


def test_an_overlay_is_merged_as_a_file_is_into_the_one_that_it_extends(tmp_path: Path) -> None:
    part = ('[policy]\nretention_hours = 12\n[components.vcenter]\noptional = false\n[components.additional-process-server]\n'
            'removed = true\n[[links]]\nfrom = "process-server"\nto = "storage-account"\nport = 443\ncarries = "data"\n'
            'paths = ["expressroute"]\n')
    over = laid(tmp_path, part)
    whole = tmp_path / "whole.toml"
    whole.write_text(f'format = 1\nid = "{V2A}"\nextends = "{V2A}"\n{part}', encoding="utf-8")
    extended = load_topology(whole)
    assert (over.components, over.links, over.policy_values) == (extended.components, extended.links, extended.policy_values)
    assert over.facts == extended.facts


def test_an_overlay_may_change_facts_and_records_them(tmp_path: Path) -> None:
    topology = laid(tmp_path, "format = 1\n[planned]\ndrains = false\n", H2S)
    assert topology.overrides == (("planned.drains", False),)
    assert laid(tmp_path, "[planned]\ndrains = true\n", H2S).overrides == ()


def test_a_what_if_goes_over_the_overlay(tmp_path: Path) -> None:
    topology = laid(tmp_path, "[policy]\nretention_hours = 12\n", V2A, "policy.retention_hours=6", "planned.drains=false")
    assert topology.policy["retention_hours"] == 6
    assert topology.overrides == (("planned.drains", False),)


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ('id = "mine"\n', 1, "id: found a key of a whole topology; expected an overlay"),
        (f'\nextends = "{V2A}"\n', 2, "extends: found a key of a whole topology"),
        ("format = 2\n", 1, "format: found 2; expected 1"),
        ("[policy\n", 1, "syntax: found text that is not TOML"),
        ("[policy]\nretention_hours = 999\n", 2, "policy.retention_hours: found 999"),
        ("[components.no-such]\nremoved = true\n", 1, "components.no-such: found a removal of what the other file lacks"),
        ("[nonsense]\nx = 1\n", 1, "nonsense: found an unknown key"),
    ],
)
def test_a_wrong_overlay_is_told_with_its_line(tmp_path: Path, text: str, line: int, found: str) -> None:
    with pytest.raises(SpecError) as error:
        laid(tmp_path, text)
    assert f"over.toml, line {line}: {found}" in str(error.value)


def test_an_overlay_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no-such\.toml"):
        read_overlay(tmp_path / "no-such.toml")
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(SpecError, match=r"latin\.toml, line 1: encoding"):
        read_overlay(tmp_path / "latin.toml")
