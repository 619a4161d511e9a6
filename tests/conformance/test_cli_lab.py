"""`siteproof lab run` as a user meets it: the narration, JSON, exit codes, and one line for a mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from siteproof.conformance.cli import main

SCENARIO = """
format = 1
title = "one machine [bold]there[/bold]"
flow = "scout-to-secondary-site"
[machines.m]
disks = [{ size = "64 KiB" }]
[workloads.w]
[[steps]]
say = "It begins."
request = "EnableProtection"
[[steps]]
write = 3
workload = "w"
[[steps]]
settle = true
[[steps]]
request = "UnplannedFailover"
"""


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.toml"
    file.write_text(SCENARIO, encoding="utf-8")
    return file


def test_a_play_is_told_in_plain_text_with_its_verdict(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "run", "mine.toml"]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    lines = told.splitlines()
    assert lines[0] == "one machine [bold]there[/bold]"
    assert "00:00:00       It begins." in lines
    assert "00:00:00  m  > EnableProtection: accepted" in lines
    assert any(line.endswith("read back whole: recovery holds exactly the first 3 of 3 acknowledged writes") for line in lines)
    assert lines[-1].startswith("holds: everything that must be there is there, and nothing else; 4 comparisons")
    assert sorted(path.name for path in scenario.parent.iterdir()) == ["mine.toml"]


@pytest.mark.usefixtures("scenario")
def test_json_has_every_event_and_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "run", "mine.toml", "--json", "-", "--seed", "5"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert (told["schema"], told["verdict"], told["seed"], told["topology"]) == (
        "siteproof.lab/1", "holds", 5, "scout-to-secondary-site",
    )  # fmt: skip
    assert told["machines"] == [{"machine": "m", "active": "recovery", "acknowledged": 3, "kept": 3, "lost": 0, "points": 3}]
    assert [event["text"] for event in told["events"] if event["kind"] == "say"] == ["It begins."]
    assert "It begins." in captured.err


def test_what_is_not_as_the_scenario_says_ends_with_1(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario.write_text(SCENARIO + '[[steps]]\ncheck = { active = "primary" }\n', encoding="utf-8")
    assert main(["lab", "run", "mine.toml"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "✗ step 5: m shows active = recovery; primary expected" in lines
    assert lines[-1].startswith("broken: 1 finding")


def test_a_folder_for_the_work_keeps_it_and_is_never_one_that_exists(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "run", "mine.toml", "--work", "kept", "-q"]) == 0
    assert (scenario.parent / "kept" / "lab" / "m" / "recovery.disks").stat().st_size > 0
    assert capsys.readouterr().out == ""
    assert main(["lab", "run", "mine.toml", "--work", "kept"]) != 0
    assert "kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("flow =", "flwo =", "mine.toml: flow: found nothing; expected a string"),
        ('{ size = "64 KiB" }', '{ image = "none.img" }', 'image: found "none.img", which cannot be opened (No such file'),
        ('title = "', 'title = "\n', "mine.toml: found a string that does not end on its line (at line "),
        ("format = 1", "format = ", "mine.toml: found"),
        ('"scout-to-secondary-site"', '"own.toml"', "own.toml: cannot be read"),
    ],
)
def test_a_mistake_is_one_line_and_4(scenario: Path, old: str, new: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    scenario.write_text(SCENARIO.replace(old, new), encoding="utf-8")
    assert main(["lab", "run", "mine.toml"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("siteproof: error in ")
    assert told in line


def test_a_check_that_cannot_be_is_a_mistake_before_anything_is_played(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario.write_text(SCENARIO + '[[steps]]\ncheck = { active = "azure" }\n', encoding="utf-8")
    assert main(["lab", "run", "mine.toml"]) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "steps[5].check.active" in captured.err


def test_numbers_have_their_noun_checks_their_machine_and_piped_lines_stay_whole(
    scenario: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = SCENARIO.replace("write = 3", "write = 1").replace('title = "', f'summary = "{"words " * 30}"\ntitle = "')
    scenario.write_text(text + '[[steps]]\ncheck = { active = "recovery" }\n', encoding="utf-8")
    assert main(["lab", "run", "mine.toml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == " ".join(["words"] * 30)
    told = [line.partition("  ")[2] for line in lines]
    assert "1 write acknowledged" in [line.strip() for line in told]
    assert any(line.endswith("recovery holds exactly the first 1 of 1 acknowledged write") for line in lines)
    assert any(line.endswith("m  > as it must be: active = recovery") for line in lines)
    assert lines[-1].startswith("holds: ")
    assert lines[-1].endswith(" of virtual time")
    assert not [line for line in lines if "1 writes" in line]
