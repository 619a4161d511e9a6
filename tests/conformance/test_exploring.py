"""`siteproof explore` and `siteproof prove --necessity` at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from siteproof.conformance.cli import main
from siteproof.conformance.report.explored import necessity_story, needed_in_words
from siteproof.model.necessity import NecessityReport, necessity_of_model
from siteproof.model.promise import LEVEL, promise_model
from siteproof.model.topology import load_topology
from tests.soak import soak

FLOW = "hyper-v-site-to-azure"


@soak
def test_a_flow_is_explored_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "found.json"
    scope = ["--level", "promise", "--writes", "0", "--failovers", "1"]
    assert main(["explore", FLOW, *scope, "--details", "--json", str(file)]) == 0
    told = capsys.readouterr().out
    assert "P19 the way home" in told
    assert "ask for Commit" in told
    assert "Explored, not" in told
    found = json.loads(file.read_text("utf-8"))
    assert (found["schema"], found["exit"], found["found"]) == ("siteproof.explore/1", 0, ["holds in the scope"])
    assert found["reports"][0]["levels"][0]["way_home"]["advice"]


def test_an_exploration_that_is_cut_off_is_inconclusive(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", FLOW, "--level", "alarm", "--max-states", "20"]) == 2
    assert "CUT OFF: at most 20 states" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("arguments", [
    ["explore", FLOW, "--level", "nonsense"], ["explore", FLOW, "--machines", "9"], ["prove", FLOW, "--traces"],
    ["prove", FLOW, "--necessity", "--property", "P1"],
])
def test_the_users_mistakes_are_told_as_such(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 4
    assert "expected" in capsys.readouterr().err


@soak
def test_the_matrix_is_a_table_with_a_row_for_each_precondition(capsys: pytest.CaptureFixture[str]) -> None:
    topology = load_topology(FLOW)
    model = promise_model(FLOW, topology.facts)
    rows = tuple(necessity_of_model(LEVEL, model, actions=["fail_gateway", "commit"], time_limit=10.0))
    promises = {row.level: ("P2",) for row in rows}
    report = NecessityReport(FLOW, topology.title, dict(topology.facts), {}, rows, (), (), {}, promises, 1.0)
    console = Console(width=200)
    console.print(necessity_story(report, traces=True))
    told = capsys.readouterr().out
    assert "NoFailoverToCommit" in told
    assert "took" in told
    assert all(needed_in_words(row) for row in rows)
