"""Topology files that extend others."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from siteproof.impl.errors import TopologyError
from siteproof.impl.flows import flow_of
from siteproof.impl.inheritance import merged
from siteproof.impl.loader import load_topology, parse_topology

from .conftest import HV, P2A, V2A, VMM

PARENT = """
id = "parent"
list = [1, 2]
[policy]
retention_hours = 24
crash_consistent_minutes = 5
[components.a]
kind = "a"
place = "x"
[components.b]
kind = "b"
place = "x"
[[links]]
from = "a"
to = "b"
port = 443
carries = "data"
encrypted = true
[[links]]
from = "a"
to = "b"
carries = "control"
[[links]]
from = "a"
to = "a"
carries = "control"
"""


def child(text: str) -> dict[str, Any]:
    return merged(tomllib.loads(PARENT), tomllib.loads(text))


def test_tables_merge_by_key_and_scalars_and_lists_are_replaced() -> None:
    result = child('extends = "parent"\nid = "child"\nlist = [3]\n[policy]\nretention_hours = 2\n[components.a]\nhost = "b"')
    assert result["id"] == "child"
    assert result["list"] == [3]
    assert result["policy"] == {"retention_hours": 2, "crash_consistent_minutes": 5}
    assert result["components"]["a"] == {"kind": "a", "place": "x", "host": "b"}
    assert "extends" not in result
    assert len(result["links"]) == 3


def test_a_link_meets_its_like_and_others_are_added() -> None:
    result = child(
        '[[links]]\nfrom = "a"\nto = "b"\nport = 443\ncarries = "data"\nprotocol = "tcp"\n'
        '[[links]]\nfrom = "a"\nto = "b"\nport = 80\ncarries = "data"'
    )
    assert result["links"][0] == {
        "from": "a", "to": "b", "port": 443, "carries": "data", "encrypted": True, "protocol": "tcp",
    }  # fmt: skip
    assert [link.get("port") for link in result["links"]] == [443, None, None, 80]


def test_a_removed_component_takes_its_links_along_and_a_link_can_be_removed_alone() -> None:
    assert [x["to"] for x in child("[components.b]\nremoved = true")["links"]] == ["a"]
    result = child('[[links]]\nfrom = "a"\nto = "b"\ncarries = "control"\nremoved = true')
    assert [(x["to"], x["carries"]) for x in result["links"]] == [("b", "data"), ("a", "control")]


def test_a_parent_beside_the_child_comes_before_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "vmware-to-azure.toml").write_text(V2A.replace("retention_hours = 24", "retention_hours = 7"))
    (tmp_path / "p2a.toml").write_text('id = "physical-to-azure"\nextends = "vmware-to-azure"')
    assert load_topology(tmp_path / "p2a.toml").policy.retention_hours == 7
    with pytest.raises(TopologyError, match="esxi-host"):
        flow_of(load_topology(tmp_path / "p2a.toml"))
    assert parse_topology(tomllib.loads(P2A), "p2a").policy.retention_hours == 24


def test_the_link_of_a_provider_stays_encrypted_where_it_moves_to_the_host() -> None:
    topology = parse_topology(tomllib.loads(HV), "hv")
    (link,) = [x for x in topology.links if x.source == "provider"]
    assert link.encrypted
    assert "vmm-server" not in topology.components


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('id = "x"\nextends = "nothing"', "there is no nothing.toml"),
        ('id = "x"\nextends = 3', "'extends' is 3"),
        ('id = "x"\nextends = "../x"', "the name of a topology expected"),
        ('id = "loop"\nextends = "loop"', "its own ancestor"),
        ('id = "x"\nextends = "bad"', "not valid TOML"),
        ('id = "x"\nextends = "ping"', "its own ancestor"),
    ],
)
def test_a_parent_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.toml").write_text("= 1")
    (tmp_path / "ping.toml").write_text('extends = "pong"')
    (tmp_path / "pong.toml").write_text('extends = "ping"')
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(TopologyError, match=message):
        load_topology(tmp_path / "x.toml")


def test_with_vmm_the_provider_is_not_on_the_host_and_without_it_is() -> None:
    for text, wrong in (
        (VMM, VMM.replace('host = "vmm-server"', 'host = "hyper-v-host"')),
        (HV, HV.replace('host = "hyper-v-host"', 'host = "storage-account"')),
    ):
        flow_of(parse_topology(tomllib.loads(text), "x"))
        with pytest.raises(TopologyError, match="'provider' is installed on"):
            flow_of(parse_topology(tomllib.loads(wrong), "x"))
