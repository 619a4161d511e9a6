"""A user's own topology works wherever a built-in one does; where it cannot, that is said in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from siteproof.conformance.cli import main
from siteproof.model.topology import load_topology

H2S, V2A = "hyper-v-to-secondary-site", "vmware-to-azure"

WRONG = '''
from siteproof.conformance.drivers.model import ModelDriver


class Unfenced(ModelDriver):
    """A system that does not stop an old source which comes back."""

    def __init__(self) -> None:
        super().__init__(facts={"returning.fenced_first": False})
'''


@pytest.fixture(params=["extends a built-in one", "stands alone"])
def own(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The file name of a user's own topology, in the folder where commands run. It is a name that no folder around has: a replay
    looks there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    text = f'format = 1\nid = "own-dr"\nextends = "{V2A}"\ntitle = "Own DR"\n[policy]\nretention_hours = 12\n'
    if request.param == "stands alone":
        text = load_topology(H2S).text.replace(f'id = "{H2S}"', 'id = "own-dr"').replace("Hyper-V to a secondary site", "Own DR")
    name = f"own-{tmp_path.name}.toml"
    (tmp_path / name).write_text(text, encoding="utf-8")
    return name


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was said on standard error, without lines of progress."""
    return [line for line in capsys.readouterr().err.splitlines() if "error" in line]


def test_it_is_proved_and_its_certificate_confirmed(own: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", own, "--property", "P25", "--property", "P15", "--certificates", "proofs"]) == 0
    assert main(["certify", "proofs"]) == 0
    words = capsys.readouterr().out
    assert "Own DR  own-dr" in words
    assert "own-dr  alarm" in words
    assert "confirmed by z3" in words
    assert "no built-in topology has that id" in words


def test_it_is_listed_by_name(own: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "topologies", own, V2A, "--json", "-"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["id"], row["title"]) for row in rows] == [("own-dr", "Own DR"), (V2A, "VMware to Azure")]


def test_other_lists_take_no_topology(own: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "drivers", own]) == 4
    assert len(lines(capsys)) == 1


def test_a_conforming_system_is_accepted_under_it(own: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--driver", "model", "--topology", own, "--max-cases", "30", "--seed", "3"]) in (0, 2)
    assert "every one explained by the model" in (out := capsys.readouterr().out) or "too little was covered" in out


@pytest.mark.parametrize("own", ["extends a built-in one"], indirect=True)
def test_a_finding_is_replayed_and_explained_here_and_from_another_folder(
    own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "unfenced_system.py").write_text(WRONG, encoding="utf-8")
    driver = "unfenced_system:Unfenced"
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["run", "--driver", driver, "--topology", own, "--max-time", "1h", "--seed", "7", "--out", "found"]) == 1
    (file,) = (tmp_path / "found" / "counterexamples").glob("*.json")
    assert main(["replay", str(file)]) == 1
    capsys.readouterr()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["replay", str(file)]) == 1
    assert f"still failing against {driver}" in capsys.readouterr().out
    assert main(["replay", str(file), "--driver", "model"]) == 0
    capsys.readouterr()
    assert main(["explain", str(file)]) == 0
    assert "P3 One authority" in capsys.readouterr().out
    (tmp_path / own).unlink()
    assert main(["replay", str(file), "--driver", "model"]) == 4
    (line,) = lines(capsys)
    assert own in line


@pytest.mark.parametrize("verb", [["run", "--driver", "bundled", "--max-time", "5s", "--topology"],
                                  ["run", "--driver", "bundled+no-fence-on-return", "--topology"], ["crash", "--quick"]])
def test_the_bundled_implementation_refuses_it_in_one_line(
    own: str, verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*verb, own]) == 4
    (line,) = lines(capsys)
    assert "flow 'own-dr' is not implemented" in line
    assert line.endswith(f"to mend: prove it alone: siteproof prove {own}; or run a driver of your own")


def test_a_check_proves_it_and_says_that_nothing_was_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text(f'format = 1\nid = "own-dr"\nextends = "{V2A}"\ntitle = "Own DR"\n', encoding="utf-8")
    assert main(["check", "own.toml", "--report", "report"]) == 2
    assert "Missing in own-dr: a run of an implementation" in " ".join(capsys.readouterr().out.split())
    (flow,) = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))["flows"]
    assert flow["topology"]["id"] == "own-dr"
    assert [row["verdict"] for row in flow["proof"]["promises"]].count("proved") > 10
    assert flow["campaigns"] == []
    (missing,) = flow["unfinished"]
    assert missing.startswith("a run of an implementation: flow 'own-dr' is not implemented")
    assert (tmp_path / "report" / "index.html").is_file()


def test_a_file_with_the_id_of_a_built_in_flow_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = f'format = 1\nid = "{V2A}"\nextends = "{V2A}"\n[alarm]\nwhile_paused = false\n'
    (tmp_path / f"{V2A}.toml").write_text(text, encoding="utf-8")
    assert main(["prove", f"{V2A}.toml", "--property", "P25"]) == 1
    capsys.readouterr()
    arguments = ["run", "--driver", "model", "--topology", f"{V2A}.toml", "--max-cases", "2", "--seed", "1", "--json", "-"]
    assert main(arguments) in (0, 2)
    (flow,) = json.loads(capsys.readouterr().out)["flows"]
    assert flow["topology"]["facts"]["alarm.while_paused"] is False
