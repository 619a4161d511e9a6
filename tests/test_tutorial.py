"""The tutorials do what they say: their commands are run from the page, and what it shows of their output is what they print."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from pathlib import Path

import attrs
import pytest

from siteproof.conformance.cli import main
from siteproof.conformance.closure import Promised
from siteproof.conformance.runner import promised_for
from siteproof.model.topology import Topology

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ("tutorial-own-topology.md", "tutorial-driver.md")
BLOCK = re.compile(r"(?P<before>[^\n]*)\n\n```(?P<kind>\w+)\n(?P<text>.*?)```", re.S)


@attrs.frozen
class Block:
    """A block of code, with the line of prose before it."""

    kind: str
    text: str
    before: str


def blocks(page: str) -> list[Block]:
    found = re.finditer(BLOCK, (DOCS / page).read_text(encoding="utf-8"))
    return [Block(one["kind"], one["text"], one["before"]) for one in found]


def squeezed(text: str) -> list[str]:
    """Lines without what surrounds and pads them, blank ones left out."""
    lines = [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]
    return [line for line in lines if line]


def shown(line: str) -> re.Pattern[str]:
    """What a shown line stands for: itself, with anything in place of `…`; a table's right-hand columns may be left out."""
    parts = (re.escape(part) for part in line.split("…"))
    return re.compile("^" + ".*".join(parts))


def check(told: str, output: list[str]) -> None:
    """Every line that is shown is printed, in this order; and next to each other, unless `…` stands between them."""
    at, free = 0, False
    for line in squeezed(told):
        if line == "…":
            free = True
            continue
        places = range(at, len(output) if free else min(at + 1, len(output)))
        here = next((place for place in places if shown(line).match(output[place])), None)
        assert here is not None, f"not printed{' later' if free else f' as line {at + 1}'}: {line!r} in\n" + "\n".join(output)
        at, free = here + 1, False
    assert free or at == len(output), f"more is printed than shown: {output[at]!r}"


def run(commands: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that the commands print, standard error after standard output, and the exit code of the last one. Proofs get more
    time than they need anywhere, so that a verdict is the same on a slow machine."""
    printed, code = "", 0
    for line in commands.strip().splitlines():
        program, *arguments = shlex.split(line)
        assert program == "siteproof"
        patience = ["--max-time", "10m"] if arguments[0] in ("prove", "diff") else []
        code = main([*arguments, *patience])
        captured = capsys.readouterr()
        printed += captured.out + "".join(row + "\n" for row in captured.err.splitlines() if "error" in row)
    return [*squeezed(printed), f"exit code {code}"]


def edit(file: Path, before: str, after: str) -> None:
    """Replace the one line of `file` that the page shows, as somebody does who follows it."""
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1
    file.write_text(text.replace(before, after), encoding="utf-8")
    sys.modules.pop(file.stem, None)
    importlib.invalidate_caches()


@pytest.mark.parametrize("page", PAGES)
def test_the_tutorial_does_what_it_shows(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    models: dict[str, Promised] = {}

    def shared(topology: Topology) -> Promised:
        """Commands of one page share a model."""
        if topology.text not in models:
            models[topology.text] = promised_for(topology)
        return models[topology.text]

    for verb in ("running", "drivers"):
        monkeypatch.setattr(f"siteproof.conformance.cli.{verb}.promised_for", shared)
    pending: list[str] = []
    line = ""
    done = 0
    for block in blocks(page):
        if block.kind == "toml":
            (name,) = re.findall(r"Save this as `([\w.-]+)`", block.before)
            (tmp_path / name).write_text(block.text, encoding="utf-8")
        elif block.kind == "python":
            edit(tmp_path / "harbour.py", line or block.text, block.text)
            line = block.text
        elif block.kind == "sh":
            assert not pending, "every command is followed by what it prints"
            pending = run(block.text, capsys)
        else:
            check(block.text, pending)
            pending, done = [], done + 1
    assert done >= 6
    assert not pending


def test_a_line_that_is_not_printed_is_noticed() -> None:
    check("a\n…\nc d\n", ["a", "b", "c d e"])
    for told in ("b\n", "a\nc\n", "…\nx\n", "a\n"):
        with pytest.raises(AssertionError):
            check(told, ["a", "b", "c"])
