"""`siteproof lab run`: a scenario on the bundled implementation, told as it happens, with its verdict."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
from rich.table import Table
from rich.text import Text

from siteproof.conformance.cli.shared import Session
from siteproof.conformance.exits import Exit
from siteproof.conformance.report.folder import PlaceError
from siteproof.conformance.report.values import count
from siteproof.impl.errors import ImplError
from siteproof.impl.playing import Event, Outcome, play
from siteproof.impl.scenario import Scenario, load_scenario
from siteproof.model.errors import SiteproofError, one_line

__all__ = ["lab_run"]

STYLES = {
    "say": "italic", "step": "bold", "change": "cyan", "point": "dim", "alert": "bold yellow", "fault": "bold magenta",
    "write": "dim", "proof": "green", "finding": "bold red",
}  # fmt: skip
MARKS = {"proof": "✓ ", "finding": "✗ ", "fault": "! ", "alert": "! ", "step": "> "}
QUIET_POINTS = 2
"""Of recovery points that follow each other with nothing between them, so many are told; the others are counted."""


class ScenarioMistake(SiteproofError):
    """The scenario, its topology or an image is wrong: the user's to mend."""

    exit_code = 4


def lab_run(session: Session, path: Path, work: Path | None) -> Exit:
    """Play a scenario. 0 when everything is as it must be, else 1."""
    events: list[Event] = []
    narrator = _Narrator(session)
    with ExitStack() as stack:
        try:
            scenario = load_scenario(path)
            if session.seed is not None:
                scenario = attrs.evolve(scenario, seed=session.seed)
            narrator.open(scenario)
            folder = (
                _folder(work)
                if work is not None
                else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="siteproof-lab-")))
            )

            def tell(event: Event) -> None:
                events.append(event)
                narrator.tell(event)

            outcome = play(scenario, folder, tell)
        except ImplError as error:
            raise ScenarioMistake(one_line(f"error in {error}")) from error
    narrator.close(outcome)
    code = Exit.OK if outcome.holds else Exit.VIOLATION
    session.emit("siteproof.lab/1", code, {
        "scenario": str(path), "title": scenario.title, "topology": scenario.topology.id, "seed": scenario.seed,
        "verdict": "holds" if outcome.holds else "broken", "events": [attrs.asdict(event) for event in events],
        **attrs.asdict(outcome),
    })  # fmt: skip
    return code


def _folder(work: Path) -> Path:
    try:
        work.mkdir()
    except OSError as error:
        raise PlaceError("--work", work, error.strerror or "it cannot be made") from error
    return work


class _Narrator:
    """Tells a play as lines: when, which machine, what. Lines are wrapped for a terminal alone: one that is piped stays whole."""

    def __init__(self, session: Session) -> None:
        self.out = session.out
        self._width = 0
        self._points: list[Event] = []

    def open(self, scenario: Scenario) -> None:
        """What is going to be played."""
        self._width = max(len(name) for name in scenario.machines)
        self.out.print(Text(scenario.title, "bold"))
        if scenario.summary:
            self.out.print(Text(" ".join(scenario.summary.split())), soft_wrap=not self.out.is_terminal)
        machines, disks = scenario.machines.values(), sum(len(machine.disks) for machine in scenario.machines.values())
        size = f"{count(len(machines), 'machine')}, {count(disks, 'disk')}, {count(len(scenario.steps), 'step')}"
        self.out.print(Text(f"{scenario.topology.id}: {size}, seed {scenario.seed}\n", "dim"))

    def tell(self, event: Event) -> None:
        """One event; points that follow each other are told together."""
        if event.kind == "point":
            self._points.append(event)
            return
        self._flush()
        self._line(event)

    def _flush(self) -> None:
        points, self._points = self._points, []
        if len(points) <= QUIET_POINTS:
            for point in points:
                self._line(point)
            return
        last, machines = points[-1], {point.machine for point in points}
        text = f"{len(points)} recovery points since {_clock(points[0].now)}, the last of them "
        text += last.text.removeprefix("recovery point ")
        self._line(attrs.evolve(last, machine=last.machine if len(machines) == 1 else "", text=text))

    def _line(self, event: Event) -> None:
        style, text = STYLES.get(event.kind, ""), f"{MARKS.get(event.kind, '  ')}{event.text}"
        if not self.out.is_terminal:
            self.out.print(Text(f"{_clock(event.now)}  {event.machine:{self._width}}  {text}"), soft_wrap=True)
            return
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(no_wrap=True)
        line.add_column(no_wrap=True, min_width=self._width)
        line.add_column(overflow="fold")
        line.add_row(Text(_clock(event.now), "dim"), Text(event.machine), Text(text, style))
        self.out.print(line)

    def close(self, outcome: Outcome) -> None:
        """What it came to."""
        self._flush()
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        for column in ("machine", "survives at", "acknowledged", "held", "discarded by failovers", "points"):
            table.add_column(column, justify="left" if column in ("machine", "survives at") else "right", no_wrap=True)
        for row in outcome.machines:
            cells: list[Any] = [row.machine, row.active, *(f"{n:,}" for n in (row.acknowledged, row.kept, row.lost, row.points))]
            table.add_row(*(Text(cell) for cell in cells))
        self.out.print("", table, "")
        for finding in outcome.findings:
            self.out.print(Text(f"✗ {finding}", "bold red"), soft_wrap=not self.out.is_terminal)
        told = f"{count(outcome.proofs, 'comparison')} of content, {_clock(outcome.seconds)} of virtual time"
        if outcome.holds:
            holds = f"holds: everything that must be there is there, and nothing else; {told}"
            self.out.print(Text(holds, "bold green"), soft_wrap=not self.out.is_terminal)
        else:
            findings = count(len(outcome.findings), "finding")
            self.out.print(Text(f"broken: {findings}; {told}", "bold red"), soft_wrap=not self.out.is_terminal)


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
