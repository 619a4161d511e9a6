"""`siteproof list requirements`: what carries each of them, told to people and to scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from siteproof.conformance.cli import main
from siteproof.model import requirement_trace
from siteproof.model.carriers import Carriers, load_carriers
from siteproof.model.requirements import requirement_ids

V2A, H2S = "vmware-to-azure", "hyper-v-to-secondary-site"


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], str]:
    """The JSON document and the words of one list."""
    code = main(["list", "requirements", "--json", "-", *arguments])
    captured = capsys.readouterr()
    document: dict[str, Any] = json.loads(captured.out)
    assert document["exit"] == code
    return document, captured.err


def carried_by(monkeypatch: pytest.MonkeyPatch, carriers: Carriers) -> None:
    monkeypatch.setattr(requirement_trace, "load_carriers", lambda: carriers)


def test_every_requirement_stands_once_under_its_flow_with_what_carries_it(capsys: pytest.CaptureFixture[str]) -> None:
    document, words = listed(capsys)
    rows, summary = document["rows"], document["summary"]
    assert document["exit"] == 0
    assert len({row["id"] for row in rows}) == len(rows) == summary["requirements"] == 192
    for status in ("carried", "guidance", "uncovered", "violated"):
        assert summary[status] == sum(row["status"] == status for row in rows)
    for row in rows:
        assert row["id"] in words
        assert bool(row["reason"]) == (row["status"] in ("guidance", "uncovered"))
        assert bool(row["carriers"]) or row["reason"]
    ports = next(row for row in rows if row["id"] == "V2A-31")
    assert [one["text"] for one in ports["carriers"]] == [
        "link from mobility-service or machine to process-server, for data: https, port 9443, port configurable"
    ]
    last = " ".join(words.split())
    assert f"192 requirements: {summary['carried']} carried (" in last
    assert f"{summary['by']['topology']} by topology facts" in last
    assert last.endswith(f"{summary['guidance']} guidance, {summary['uncovered']} uncovered")
    lines = [line.rstrip() for line in words.splitlines()]
    places = [lines.index(title) for title in ("All flows", "VMware to Azure", "Physical servers to Azure", "Hyper-V to Azure")]
    assert places == sorted(places)
    assert lines[places[1] + 1].split()[1] == "V2A-1"


def test_what_nothing_carries_ends_with_2_and_is_all_that_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = load_carriers()
    carried_by(monkeypatch, Carriers(tuple(c for c in known.carriers if "V2A-44" not in c.requirements), known.guidance, ()))
    document, words = listed(capsys, "--uncovered")
    [row] = [row for row in document["rows"] if row["id"] == "V2A-44"]
    assert (document["exit"], row["status"], row["carriers"]) == (2, "uncovered", [])
    assert {row["status"] for row in document["rows"]} == {"uncovered"}
    assert "open: nothing carries it" in words
    assert "V2A-43" not in words


def test_nothing_uncovered_ends_with_0(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    known = load_carriers()
    everything = tuple(carrier for carrier in known.carriers if carrier.sort == "topology")
    missing = requirement_ids() - {id for c in everything for id in c.requirements}
    fact = next(c for c in everything if "GEN-11" in c.requirements)
    carried_by(monkeypatch, Carriers((*everything, attrs.evolve(fact, requirements=tuple(missing))), (), ()))
    document, words = listed(capsys, "--uncovered")
    assert (document["exit"], document["rows"], document["summary"]["uncovered"]) == (0, [], 0)
    assert words.startswith("192 requirements: 192 carried")


def test_the_requirements_of_one_flow(capsys: pytest.CaptureFixture[str]) -> None:
    document, words = listed(capsys, H2S, V2A)
    assert {row["topology"] for row in document["rows"]} == {H2S, V2A}
    assert {one for row in document["rows"] for carrier in row["carriers"] for one in carrier["flows"]} == {H2S, V2A}
    assert not any(row["id"].startswith("S-V2S") for row in document["rows"])
    assert words.splitlines()[0].rstrip() == "Hyper-V to a secondary site"


def test_a_topology_that_contradicts_a_requirement_ends_with_1_and_says_how(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "own.toml"
    file.write_text(f'format = 1\nid = "own"\nextends = "{H2S}"\n[components.secondary-host]\njoined_to = ["vault"]')
    document, words = listed(capsys, str(file), "--uncovered")
    assert document["exit"] == 1
    [row] = document["rows"]
    assert (row["id"], row["status"]) == ("GEN-3", "violated")
    assert "violated: secondary-host: joined_to is vault, not “joined to vmm-cloud”" in " ".join(words.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "bugs", "--uncovered"],
        ["list", "drivers", V2A],
        ["list", "requirements", "x"],
        ["list", "requirements", V2A, V2A],
    ],
)
def test_a_mistake_ends_with_4(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 4
    assert capsys.readouterr().err.startswith("siteproof: ")
