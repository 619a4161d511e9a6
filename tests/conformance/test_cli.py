"""The command line as a user meets it: exit codes, one clear line for a mistake, JSON, and folders that are not ours."""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from siteproof.conformance.cli import checking, main
from siteproof.conformance.cli.shared import Session, check_writable, parse_duration
from siteproof.conformance.exits import Exit
from siteproof.conformance.report.folder import certificate_folder
from siteproof.conformance.report.values import FlowReport
from siteproof.model.errors import UsageError
from siteproof.model.topology import load_topology
from tests.soak import soak

HYPER_V = "hyper-v-to-secondary-site"


@pytest.fixture(autouse=True)
def quiet_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in a folder of their own, as on a pipe of ordinary width."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on standard error; none of them is part of a traceback."""
    lines = capsys.readouterr().err.splitlines()
    assert not any("Traceback" in line or line.startswith("  File") for line in lines)
    return lines


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["prove", "--nonsense"],
        ["certify"],
        ["list", "nonsense"],
        ["prove", "no-such-flow"],
        ["prove", "--property", "P999"],
        ["prove", "--what-if", "nonsense"],
        ["prove", HYPER_V, "--what-if", "no.such_fact=true"],
        ["prove", HYPER_V, "--what-if", "reverse.requires_commit=7"],
        ["prove", "--max-time", "soon"],
        ["prove", HYPER_V, "--what-if", "vmware-to-azure:reverse.requires_commit=false"],
        ["prove", HYPER_V, HYPER_V],
        ["check", "--image", "no-such-file"],
        ["check", "--max-time", "0"],
        ["check", "--json", "no/such/folder/x.json"],
        ["explain", "no-such-file"],
        ["replay", "no-such-file"],
        ["certify", "no-such-folder"],
        ["run"],
        ["run", "--driver", "bundled", "--engine", "no-such-engine", "--max-time", "1s"],
        ["run", "--driver", "bundled", "--record", "no/such/folder/x.ndjson"],
        ["run", "--driver", "bundled", "--junit", "no/such/folder/x.xml"],
        ["trace", "check", "no-such-file"],
        ["trace", "import", "no-such-file", "--topology", HYPER_V, "--out", "x.ndjson"],
    ],
    ids=" ".join,
)
def test_a_mistake_is_told_in_one_line_and_ends_with_4(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 4
    lines = told(capsys)
    assert len(lines) == 1
    assert lines[0].startswith("siteproof: ")


def test_a_wrong_topology_names_file_line_and_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(load_topology(HYPER_V).text.replace("requires_commit = true", "requires_commit = 7"), encoding="utf-8")
    assert main(["prove", str(file)]) == 4
    (line,) = told(capsys)
    assert "mine.toml" in line
    assert "line " in line
    assert "reverse.requires_commit" in line


def test_text_from_outside_cannot_style_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "[bold]x[/bold]\x1b[31m\nsecond line"]) == 4
    (line,) = told(capsys)
    assert "[bold]x[/bold]" in line
    assert "\x1b" not in line


@pytest.mark.parametrize(
    ("driver", "code"), [("no-such-driver", 4), ("bundled+nothing", 4), (":Wrong", 4), ("no_such:Driver", 3)]
)
def test_an_unknown_driver_is_an_error_and_not_a_verdict(driver: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--driver", driver, "--topology", HYPER_V, "--max-time", "1s"]) == code
    (line,) = told(capsys)
    assert driver in line


def test_a_bug_of_ours_asks_to_be_reported_and_keeps_its_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_arguments: object) -> None:
        raise KeyError("something of ours")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("siteproof.conformance.cli.listing.listing", broken)
    assert main(["list", "topologies"]) == 5
    (line,) = told(capsys)
    assert "please report it" in line
    (kept,) = tmp_path.glob("siteproof-*.traceback.txt")
    assert "something of ours" in kept.read_text(encoding="utf-8")
    assert main(["list", "topologies", "--log-level", "debug"]) == 5
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_ends_with_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("siteproof.conformance.cli.listing.listing", interrupted)
    assert main(["list", "topologies"]) == 130
    assert told(capsys)[-1] == "siteproof: interrupted"


@pytest.mark.parametrize("what", ["topologies", "properties", "requirements", "drivers", "bugs", "engines"])
def test_lists_are_the_same_in_words_and_in_json(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", what, "--json", "-"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["schema"] == "siteproof.list/1"
    assert document["rows"]
    first = str(next(iter(document["rows"][0].values())))
    assert first in captured.err


def test_proofs_as_json_carry_schema_version_and_exit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "vmware-to-azure", "--property", "p25", "--json", "out.json"]) == 0
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (document["schema"], document["exit"]) == ("siteproof.prove/1", 0)
    assert [p["verdict"] for p in document["reports"][0]["promises"]] == ["proved"]
    assert "P25" in capsys.readouterr().out


def test_a_what_if_shows_before_and_after_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "--property", "P25", "--what-if", f"{HYPER_V}:alarm.while_paused=false"]) == 1
    words = capsys.readouterr().out
    assert "as documented" in words
    assert "lost: P25; none is gained" in words
    assert "also while it is paused" in words


def test_a_damaged_certificate_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "vmware-to-azure", "--property", "P25", "--certificates", "proofs", "--quiet"]) == 0
    assert main(["certify", "proofs"]) == 0
    capsys.readouterr()
    victim = sorted((tmp_path / "proofs").rglob("*.smt2"))[0]
    victim.write_text(victim.read_text(encoding="utf-8") + "; changed\n", encoding="utf-8")
    assert main(["certify", "proofs"]) == 4
    started, line = told(capsys)
    assert started == "siteproof: vmware-to-azure/alarm: checking with two solvers"
    assert victim.name in line


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "topologies", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize("verb", [["doctor"], ["list", "requirements"], ["list", "topologies", "--json", "-"]])
def test_a_reader_that_closes_early_is_no_error_and_no_success(verb: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "siteproof.conformance.cli", *verb]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert ended.returncode == 141
    assert b"Error" not in ended.stderr
    assert b"bug" not in ended.stderr


def test_doctor_finds_everything_that_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "-"]) == 0
    names = {row["name"] for row in json.loads(capsys.readouterr().out)["findings"]}
    assert {"z3-solver", "cvc5", "mke2fs"} <= names


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("0.5m", 30)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text, "--max-time") == seconds


@pytest.mark.parametrize("text", ["", "m", "10x", "-3s", "0", "1.2.3s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text, "--max-time")


def test_a_report_folder_that_is_not_ours_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "precious.txt").write_text("keep me", encoding="utf-8")
    assert main(["check", "--report", "mine"]) == 4
    assert "not siteproof's" in told(capsys)[0]
    assert [p.name for p in mine.iterdir()] == ["precious.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["prove", HYPER_V, "--certificates", "mine"], "--certificates mine"),
        (["run", "--driver", "model", "--topology", HYPER_V, "--out", "mine"], "--out"),
    ],
)
def test_foreign_folders_are_left_alone_and_the_option_is_named(
    arguments: list[str], option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "precious.txt").write_text("keep me", encoding="utf-8")
    assert main(arguments) == 4
    (line,) = told(capsys)
    assert option in line
    assert "not siteproof's" in line
    assert [p.name for p in mine.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["prove", HYPER_V, "--certificates"], "--certificates"),
        (["run", "--driver", "model", "--topology", HYPER_V, "--out"], "--out"),
        (["check", "--report"], "--report"),
    ],
)
def test_a_place_that_cannot_be_written_is_an_option_to_be_mended(
    arguments: list[str], option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert main([*arguments, "file/x"]) == 4
    (line,) = told(capsys)
    assert line.startswith(f"siteproof: {option} ")


@pytest.mark.parametrize("place", ["/proc/x", "missing/x", "."])
def test_a_file_that_cannot_be_written_is_told_before_the_work(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["list", "bugs", "--json"], ["run", "--driver", "model", "--topology", HYPER_V, "--record"]):
        assert main([*arguments, place]) == 4
        captured = capsys.readouterr()
        assert captured.out == ""
        assert arguments[-1] in captured.err


def test_a_file_that_can_be_written_is_left_as_it_is_by_the_look(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept", encoding="utf-8")
    for name in ("kept", "new"):
        check_writable("--json", tmp_path / name)
    assert [(one.name, one.read_text(encoding="utf-8")) for one in tmp_path.iterdir()] == [("kept", "kept")]


def test_only_folders_of_ours_take_certificates(tmp_path: Path) -> None:
    for _ in range(2):
        with certificate_folder(tmp_path / "proofs") as place:
            (place / "flow").mkdir(exist_ok=True)
    with certificate_folder(tmp_path / "none"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["proofs"]


TALKS = """
from siteproof.conformance.drivers.model import ModelDriver
import os
print("on import")
class Talks(ModelDriver):
    def settle(self):
        print("settling")
        os.system("echo from a program")
        return super().settle()
"""


def test_what_a_driver_prints_does_not_reach_standard_output(tmp_path: Path) -> None:
    (tmp_path / "talking.py").write_text(TALKS, encoding="utf-8")
    work = started("run", "--driver", "talking:Talks", "--topology", HYPER_V, "--max-cases", "2", "--seed", "1", "--json", "-")
    words, errors = work.communicate(timeout=200)
    assert json.loads(words)["schema"] == "siteproof.run/1"
    assert {"on import", "settling", "from a program"} <= set(errors.splitlines())


def test_every_promise_that_can_be_named_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    from siteproof.conformance.drivers.bugs import BUGS
    from siteproof.model.catalogue import catalogue
    from siteproof.model.levels import promise_ids

    assert main(["list", "properties", "--json", "-"]) == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert set(rows) == set(catalogue()) >= {promise for bug in BUGS for promise in bug.promises}
    assert {id for id, row in rows.items() if row["judged"] == "proved"} == set(promise_ids())
    assert all(row["promise"].endswith(".") for row in rows.values())
    assert all((row["judged"] == "proved") == bool(row["claims"]) for row in rows.values())


@pytest.mark.parametrize("width", [80, 100])
def test_promises_are_listed_in_lines_as_wide_as_the_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["list", "properties"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 150
    assert max(map(len, lines)) <= width
    assert lines[0].split()[0] == "P1"


def test_help_is_wrapped_once_and_shows_no_types(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for verb in (["check"], ["crash"], ["list"], ["hrl"], ["lab", "run"], ["driver", "new"]):
        assert main([*verb, "--help"]) == 0
        shown = capsys.readouterr().out
        assert not re.search(r"<(bool|str|int|path|list)", shown)
        prose = shown.partition("╭")[0].splitlines()[3:]
        paragraphs = "\n".join(line.strip() for line in prose).strip().split("\n\n")
        for first, second in ((a, b) for part in paragraphs for a, b in pairwise(part.splitlines())):
            assert len(first) + len(second.split()[0]) >= 77, "a line ends where the next word would not fit"


@pytest.mark.parametrize("group", [[], ["lab"], ["trace"], ["driver"]])
def test_every_group_of_verbs_tells_all_exit_codes(group: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*group, "--help"]) == 0
    shown = capsys.readouterr().out
    assert set(map(int, re.findall(r"(?:·|codes:)\s+(\d+) ", shown))) == set(Exit)


@pytest.mark.parametrize("given", ["p999", "p19"])
def test_a_promise_that_is_not_proved_is_told_once(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "--property", given]) == 4
    (line,) = told(capsys)
    assert line.count("P12") == 1


def test_an_image_of_a_wrong_size_is_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(5000))
    assert main(["check", "--image", "disk.img"]) == 4
    assert "4096" in told(capsys)[0]
    assert [p.name for p in tmp_path.iterdir()] == ["disk.img"]


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "siteproof.conformance.cli", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def document_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "report.json").read_text(encoding="utf-8")))


@soak
def test_check_leaves_a_whole_report_and_does_not_touch_the_image(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(os.urandom(64 * 4096))
    image.chmod(0o444)
    before = image.read_bytes()
    work = started("check", "vmware-to-azure", "--image", "disk.img", "--max-time", "4s", "--report", "out", "--seed", "1")
    words, errors = work.communicate(timeout=500)
    assert work.returncode in (0, 2), words + errors  # four seconds may be too few for the floor of coverage
    assert image.read_bytes() == before
    document = document_of(tmp_path / "out")
    assert document["schema"] == "siteproof.check/1"
    assert document["partial"] is False
    (flow,) = document["flows"]
    assert {p["verdict"] for p in flow["proof"]["promises"]} <= {"proved", "by construction", "not applicable"}
    assert [c["outcome"] for c in flow["campaigns"]][1] == "conforms"
    assert {row["status"] for row in flow["requirements"]} <= {"carried", "guidance", "uncovered"}
    assert any(c["standing"] == "proved" for row in flow["requirements"] for c in row["carriers"])
    assert (flow["necessity"], document["impossibility"]["at"]) == (None, 4)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "proofs/vmware-to-azure" in page
    assert (tmp_path / "out" / "proofs" / "vmware-to-azure" / "promise" / "manifest.json").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["disk.img", "out"]
    assert "out/index.html" in words


def test_an_interrupted_check_leaves_a_valid_partial_report(tmp_path: Path) -> None:
    work = started("check", "hyper-v-to-secondary-site", "--max-time", "10m", "--report", "out")
    assert work.stdout is not None
    assert "checks 1 flow" in work.stdout.readline()
    time.sleep(1)
    os.killpg(work.pid, signal.SIGINT)
    words, errors = work.communicate(timeout=300)
    assert work.returncode == 130, words + errors
    document = document_of(tmp_path / "out")
    assert document["partial"] is True
    assert document["flows"][0]["unfinished"]
    assert "Not finished" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_interrupted_matrix_is_named_as_missing_and_a_whole_one_goes_to_its_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    flows, session = [FlowReport(load_topology(HYPER_V))], Session(quiet=True)
    monkeypatch.setattr(checking, "matrices", lambda _topologies, _settings, _tell: ["a matrix"])
    assert [flow.necessity for flow in checking.with_matrices(session, flows)[0]] == ["a matrix"]

    def interrupted(*_given: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(checking, "matrices", interrupted)
    found, was_interrupted = checking.with_matrices(session, flows)
    assert (found[0].unfinished, was_interrupted) == (("the necessity matrix",), True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_campaign_leaves_a_valid_partial_report(tmp_path: Path, number: signal.Signals) -> None:
    events = tmp_path / "events.ndjson"
    command = ["run", "--driver", "bundled", "--topology", HYPER_V, "--max-time", "10m", "--out", "out", "--events", events.name]
    work = started(*command)
    deadline = time.monotonic() + 240
    while not (events.exists() and "progress" in events.read_text(encoding="utf-8")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(work.pid, number)
    words, errors = work.communicate(timeout=300)
    assert work.returncode == 130, words + errors
    document = document_of(tmp_path / "out")
    assert document["partial"] is True
    assert "interrupted after" in document["flows"][0]["unfinished"][0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["events.ndjson", "out"]


def test_a_seeded_bug_is_found_explained_and_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bug = "bundled+no-fence-on-return"
    kept = ["--record", "run.ndjson", "--junit", "junit.xml", "--events", "events.ndjson"]
    assert main(["run", "--driver", bug, "--topology", HYPER_V, "--max-time", "1h", "--seed", "3", "--out", "out", *kept]) == 1
    words, errors = capsys.readouterr()
    assert "P3" in words
    assert "seed 3" in errors
    file, test = sorted((tmp_path / "out" / "counterexamples").iterdir())
    assert "counterexamples/" + file.name in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert main(["explain", str(file)]) == 0
    words = capsys.readouterr().out
    assert "One authority" in words
    assert "Seed 3." in words
    assert "H2S-31" in words
    assert "V2A-47" not in words
    assert main(["replay", str(file), "--json", "-"]) == 1
    assert json.loads(capsys.readouterr().out)["status"] == "still failing"
    assert main(["replay", str(file), "--driver", "bundled"]) == 0
    assert main(["trace", "check", "run.ndjson"]) == 1
    assert "P3, One authority" in capsys.readouterr().out
    (failure,) = ElementTree.parse("junit.xml").iter("failure")
    assert failure.get("type") == "P3"
    _, begun, *_, done = (json.loads(line) for line in Path("events.ndjson").read_text(encoding="utf-8").splitlines())
    assert (begun["event"], begun["seed"], done["event"]) == ("begun", 3, "done")
    assert done["result"]["outcome"] == "violation"
    assert test.name == "test_hyper_v_to_secondary_site.py"
    scope: dict[str, Any] = {}
    exec(compile(test.read_text(encoding="utf-8"), test.name, "exec"), scope)
    with pytest.raises(AssertionError, match="Breaks P3, One authority"):
        scope["test_hyper_v_to_secondary_site"]()
    scope["DRIVER"] = "bundled"
    scope["test_hyper_v_to_secondary_site"]()


def test_a_report_of_ours_is_replaced(tmp_path: Path) -> None:
    from siteproof.conformance.report.folder import ReportFolder

    for word in ("first", "second"):
        folder = ReportFolder.begin(tmp_path / "out")
        (folder.draft / "index.html").write_text(word, encoding="utf-8")
        assert folder.publish().read_text(encoding="utf-8") == word
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_later_report_keeps_the_counterexamples_of_earlier_ones(tmp_path: Path) -> None:
    from siteproof.conformance.report.folder import ReportFolder

    kept = []
    for found in ("one", None, "two", "two", "three"):
        folder = ReportFolder.begin(tmp_path / "out")
        for name in ("flow.json", "test_flow.py") if found is not None else ():
            (folder.draft / "counterexamples" / name).write_text(str(found), encoding="utf-8")
        (folder.draft / "index.html").write_text("", encoding="utf-8")
        folder.publish()
        kept.append(folder.kept)
    there = {file.name: file.read_text(encoding="utf-8") for file in (tmp_path / "out" / "counterexamples").iterdir()}
    assert there == {
        "flow.json": "three", "flow-earlier-1.json": "one", "flow-earlier-2.json": "two",
        "test_flow.py": "three", "test_flow_earlier_1.py": "one", "test_flow_earlier_2.py": "two",
    }  # fmt: skip
    assert kept == [0, 1, 1, 1, 2]


def test_the_page_tells_a_replay_that_works_as_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("careless.py").write_text(
        "from siteproof.conformance.driver import Accepted\n"
        "from siteproof.conformance.drivers.model import ModelDriver\n\n\n"
        "class Careless(ModelDriver):\n"
        "    def execute(self, machine, operation, point):\n"
        "        super().execute(machine, operation, point)\n"
        "        return Accepted()\n",
        encoding="utf-8",
    )
    flow = "hyper-v-to-secondary-site"
    told = {}
    for driver, cases in (("careless:Careless", "20"), ("bundled+reverse-without-commit", "60")):
        run = ["run", "--driver", driver, "--topology", flow, "--seed", "3", "--max-cases", cases, "--out", "it was found"]
        assert main(run) == 1
        page = html.unescape(Path("it was found/index.html").read_text(encoding="utf-8"))
        told[driver] = re.search(r"See it again, from ([^<]*)</h4>\s*<pre>siteproof (replay .*)", page)
    own, built_in = told.values()
    assert own is not None
    assert built_in is not None
    assert own[1] == "the folder that the run was started in"
    assert main(shlex.split(own[2].replace(".json", "-earlier-1.json"))) == 1
    assert built_in[1] == "this folder"
    monkeypatch.chdir("it was found")
    assert main(shlex.split(built_in[2])) == 1


def test_what_a_proof_leaves_out_of_a_promise_is_told_beside_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "vmware-to-azure", "--property", "P15"]) == 0
    assert "the proof is about keys at rest" in " ".join(capsys.readouterr().out.split())
