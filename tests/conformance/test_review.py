"""Design reviews on the command line: what-ifs, overlays and `diff`, with what is lost and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from rich.console import Console

from siteproof.conformance.cli import main
from siteproof.conformance.report.review import verdicts_story
from siteproof.model.prove import compared, prove
from siteproof.model.results import Verdict
from siteproof.model.topology import load_topology

H2S, V2A, P2A = "hyper-v-to-secondary-site", "vmware-to-azure", "physical-to-azure"


@pytest.fixture(autouse=True)
def quiet_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in a folder of their own, as on a pipe of ordinary width."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return dict(json.loads(capsys.readouterr().out))


def silent_while_paused(tmp_path: Path) -> Path:
    """A flow that breaks P25, whose proofs are quick."""
    file = tmp_path / "silent.toml"
    text = f'format = 1\nid = "silent"\nextends = "{H2S}"\ntitle = "Silent"\n[alarm]\nwhile_paused = false\n'
    file.write_text(text, encoding="utf-8")
    return file


def test_a_lost_promise_is_told_by_its_shortest_run_with_what_the_change_contradicts(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--property", "P15", "--property", "P25", "--what-if", "keys.kept_while_used=false"]
    assert main(["prove", V2A, *arguments]) == 1
    words = capsys.readouterr().out
    assert "keys.kept_while_used  true → false" in words
    assert "decision: The source is silent on keys" in words
    assert "lost: P15; none is gained" in words
    assert "3  retire key" in words
    assert "3 steps, the fewest possible" in words
    assert "P15 fails in 2 other claims as well" in words
    (row,) = (line for line in words.splitlines() if line.startswith("P25"))
    assert "←" not in row


def test_a_promise_that_comes_back_is_gained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = silent_while_paused(tmp_path)
    assert main(["prove", str(file), "--property", "P25", "--what-if", "alarm.while_paused=true", "--json", "-"]) == 0
    (change,) = document(capsys)["changes"]
    assert (change["lost"], change["gained"], change["unread"]) == ([], ["P25"], [])


def test_a_promise_that_is_spoken_of_no_more_is_lost_and_not_refuted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", V2A, "--property", "P15", "--what-if", "keys.used=false"]) == 0
    words = capsys.readouterr().out
    assert "V2A-13, V2A-34: A process server encrypts replication data" in words
    assert "lost: P15" in words
    assert "refuted" not in words


def told_when(verdict: Verdict, reason: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is told of a promise that was kept and now has this verdict."""
    before = prove(load_topology(H2S), ["P25"])
    (row,) = before.promises
    claims = tuple(attrs.evolve(claim, verdict=verdict, reason=reason) for claim in row.claims)
    after = attrs.evolve(before, promises=(attrs.evolve(row, verdict=verdict, claims=claims),))
    Console(width=200).print(verdicts_story(compared(before, after), "before", "after"))
    return capsys.readouterr().out


def test_a_promise_that_no_longer_says_anything_is_told_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    words = told_when(Verdict.NOT_APPLICABLE, "forward.planned_failover = false", capsys)
    assert "lost: P25" in words
    assert "– P25 no longer says anything: forward.planned_failover = false" in words


def test_a_promise_that_nobody_could_settle_is_lost_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    words = told_when(Verdict.UNDETERMINED, "time limit of 60 s", capsys)
    assert "lost: P25" in words
    assert "undetermined, time limit of 60 s" in words


def test_what_no_promise_looks_at_is_said_to_be_so(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--what-if", "policy.retention_hours=12", "--what-if", "components.vcenter.optional=false"]
    assert main(["prove", V2A, "--property", "P25", *arguments]) == 0
    words = capsys.readouterr().out
    assert "24 → 12" in words
    assert "No promise looks at components.vcenter.optional and policy.retention_hours" in words
    assert "of P25, which alone was asked for, none is lost and none is gained" in words


def test_a_change_that_changes_nothing_is_said_to_be_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", H2S, "--property", "P25", "--what-if", "planned.drains=true"]) == 0
    assert "nothing differs" in capsys.readouterr().out


def test_a_what_if_is_for_the_flow_that_it_names(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--what-if", f"{V2A}:policy.retention_hours=12", "--what-if", "policy.rpo_threshold_minutes=20", "--json", "-"]
    assert main(["prove", V2A, H2S, "--property", "P25", *arguments]) == 0
    changes = {one["topology"]: [row["path"] for row in one["differences"]] for one in document(capsys)["changes"]}
    assert changes == {V2A: ["policy.retention_hours", "policy.rpo_threshold_minutes"], H2S: ["policy.rpo_threshold_minutes"]}


def test_an_overlay_shows_the_same_as_the_what_ifs_that_it_stands_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "over.toml").write_text("[alarm]\nwhile_paused = false\n[policy]\nretention_hours = 4\n", encoding="utf-8")
    assert main(["prove", H2S, "--property", "P25", "--overlay", "over.toml", "--json", "-"]) == 1
    by_file = document(capsys)
    options = ["--what-if", "alarm.while_paused=false", "--what-if", "policy.retention_hours=4"]
    assert main(["prove", H2S, "--property", "P25", *options, "--json", "-"]) == 1
    by_option = document(capsys)
    assert by_file["changes"] == by_option["changes"]
    assert by_file["reports"][0]["overrides"] == by_option["reports"][0]["overrides"] == {"alarm.while_paused": False}


@pytest.mark.parametrize(
    "arguments",
    [
        ["prove", "--overlay", "over.toml"],
        ["prove", H2S, "--overlay", "no-such.toml"],
        ["prove", H2S, "--overlay", "over.toml", "--certificates", "proofs"],
        ["prove", V2A, "--what-if", "policy.retention_hours=100"],
        ["prove", V2A, "--what-if", "links.process-server.storage-account.paths=vpn"],
        ["prove", V2A, "--what-if", "components.no-such.optional=true"],
        ["prove", V2A, H2S, "--what-if", "components.vcenter.optional=false"],
        ["diff", V2A, "no-such.toml"],
        ["diff", V2A],
        ["diff", V2A, H2S, "--property", "P99"],
    ],
    ids=" ".join,
)
def test_a_mistake_in_a_review_is_told_in_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "over.toml").write_text("[policy]\nretention_hours = 4\n", encoding="utf-8")
    assert main(arguments) == 4
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("siteproof: ")
    assert captured.out == ""


# ----------------------------------------------------------------------------------------------------------------- diff


def test_diff_without_proofs_loads_no_verdicts_and_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", V2A, P2A, "--no-proofs", "--json", "-"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert told["schema"] == "siteproof.diff/1"
    assert (told["a"]["id"], told["b"]["id"]) == (V2A, P2A)
    assert "reports" not in told
    assert {row["part"] for row in told["differences"]} == {"component", "failback set-up"}
    assert all(row["path"] in captured.err.replace("\n", "") or len(row["path"]) > 30 for row in told["differences"])


def test_diff_ends_with_1_when_the_second_breaks_what_the_first_keeps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = silent_while_paused(tmp_path)
    assert main(["diff", H2S, str(file), "--property", "P25", "--property", "P15", "--json", "-"]) == 1
    told = document(capsys)
    assert (told["lost"], told["gained"], told["unread"]) == (["P25"], [], [])
    assert [report["topology"] for report in told["reports"]] == [H2S, "silent"]
    assert main(["diff", str(file), H2S, "--property", "P25", "--json", "-"]) == 0
    assert document(capsys)["gained"] == ["P25"]


def test_diff_ends_with_0_when_both_break_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = silent_while_paused(tmp_path)
    other = tmp_path / "other.toml"
    other.write_text('format = 1\nid = "other"\nextends = "silent.toml"\n[policy]\nretention_hours = 4\n', encoding="utf-8")
    assert main(["diff", str(file), str(other), "--property", "P25"]) == 0
    words = capsys.readouterr().out
    assert "of P25, which alone was asked for, none is lost and none is gained" in words
    assert "policy.retention_hours  2 → 4" in words


def test_a_flow_does_not_differ_from_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", V2A, V2A, "--no-proofs"]) == 0
    assert "nothing differs" in capsys.readouterr().out


def test_text_of_a_topology_cannot_style_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = load_topology(H2S).text.replace('title = "protected machine"', 'title = "[bold]x[/bold]\\u001b[31m"')
    (tmp_path / "a.toml").write_text(text.replace("primary-machine", "styled-machine"), encoding="utf-8")
    assert main(["diff", H2S, "a.toml", "--no-proofs"]) == 0
    words = capsys.readouterr().out
    assert "[bold]x[/bold]" in words
    assert "\x1b" not in words


def test_a_certificate_is_not_replaced_by_one_that_shows_less(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(tmp_path / "proofs")
    assert main(["prove", V2A, "--property", "P25", "--certificates", place, "-q"]) == 0
    assert main(["prove", V2A, "--property", "P24", "--certificates", place, "-q"]) == 4
    told = capsys.readouterr().err
    assert "show P25 as well" in told
    assert "ask for these, too: --property P25" in told
    assert main(["prove", V2A, "--property", "P24", "--property", "P25", "--certificates", place, "-q"]) == 0
