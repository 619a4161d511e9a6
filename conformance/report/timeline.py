"""A run as two lanes, primary and recovery: who is the machine, who runs, what is cut off, step by step.

Rules
1. A *moment* is what a picture needs of one state and of the step that led to it. Model traces and recorded runs are both
   turned into moments, so a proof's refutation and a system's divergence look the same.
2. A thick line is a guest that executes; it is whole where that side is the authority and in red dashes where it is not: two
   thick lines one above the other are the split brain. A thin line is a disk that does not run. No line is a site without power.
3. A long run is broken into rows, one below the other, as text is: every step is in sight on a page and on paper. A row begins
   with what the one above it ended with.
4. Labels are broken between words; what has no room in three lines is in the step's title, and in the list below the picture.
5. Nothing is guessed: a value that a system did not tell is drawn as unknown (dotted).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from markupsafe import Markup

from siteproof.conformance.report.words import plain
from siteproof.conformance.results import Counterexample, StepRecord
from siteproof.model.results import Trace

__all__ = ["Moment", "draw_timeline", "machines_of", "moments_of_counterexample", "moments_of_trace"]

SIDES = ("primary", "recovery")


@attrs.frozen
class Moment:
    """A step and the state after it. `lane` is the side on which the step acts, or `between`; `running` and `up` are per
    side (None: not told); `positions` are counts of writes by name, for the curve; `bad` marks the step that breaks a promise,
    `marked` one that the reader is to look at."""

    label: str
    lane: str
    kind: str
    active: str | None
    running: tuple[bool | None, bool | None]
    up: tuple[bool, bool] = (True, True)
    link: bool = True
    positions: Mapping[str, int] = attrs.Factory(dict)
    refused: bool = False
    bad: bool = False
    marked: bool = False


# ------------------------------------------------------------------------------------------------- from a model's trace

_CURVES = {"head": "acknowledged", "passive": "on the other side", "latest": "newest point"}


def moments_of_trace(trace: Trace) -> list[Moment]:
    """The moments of a model trace; the first one is the initial state, the last one is where the promise breaks."""
    state = dict(trace.initial)
    moments = [_of_state("start", "between", "start", state, False)]
    for number, step in enumerate(trace.steps, 1):
        before = plain(state.get("active"))
        state |= step.changed
        lane = _lane_of_action(step.action, before)
        moments.append(_of_state(step.action.replace("_", " "), lane, step.kind, state, number == len(trace.steps)))
    return moments


def _of_state(label: str, lane: str, kind: str, state: Mapping[str, Any], bad: bool) -> Moment:
    active = plain(state.get("active", "primary"))
    own, other = bool(state.get("running")), bool(state.get("passive_running"))
    return Moment(
        label,
        lane,
        kind,
        active,
        (own, other) if active == "primary" else (other, own),
        (bool(state.get("primary_up", True)), bool(state.get("recovery_up", True))),
        bool(state.get("link_up", True)),
        {title: int(state[name]) for name, title in _CURVES.items() if name in state},
        bad=bad,
    )


_BETWEEN = ("replicate", "copy_base", "finish_copy", "contact", "compare", "stop_comparing", "merge", "finish_resync")
"""Steps in which both sides take part."""


def _lane_of_action(action: str, active: str) -> str:
    passive = "recovery" if active == "primary" else "primary"
    for site in SIDES:
        if f"{site}_site" in action:
            return site
    if "link" in action or "gateway" in action or action in _BETWEEN:
        return "between"
    if action == "set_to_point":
        return active
    if action.startswith(("switch_", "unplanned_failover")):
        return passive
    if "former_source" in action or "point" in action or "test_copy" in action:
        return passive
    return active


# ---------------------------------------------------------------------------------------------------- from a recorded run


def machines_of(found: Counterexample) -> tuple[str, ...]:
    """The machines of a recorded run: a picture for each, that of the one that diverges first."""
    first = found.divergence.machine
    scenario = found.case.get("scenario") or {}
    return (first, *(str(name) for name in scenario.get("machines", ()) if name != first))


def moments_of_counterexample(found: Counterexample, machine: str = "") -> list[Moment]:
    """The moments of a recorded run for one of its machines, the one that diverges unless another is named; the first is the
    start, before any step. Where there are several machines, each step says at which it is; those at others are between the
    lanes.
    """
    several, machine = len(machines_of(found)) > 1, machine or found.divergence.machine
    up, link = [True, True], True
    active: str | None = "primary"
    moments = [Moment("start", "between", "start", active, (True, False))]
    for step in found.steps:
        kind, what = str(step.command.get("kind", "")), step.command.get("fault")
        if what in _SITES:
            up[_SITES.index(what)] = kind == "heal"
        elif what == "link":
            link = kind == "heal"
        seen = _seen(step, machine)
        at = str(step.command.get("machine", ""))
        elsewhere = several and at not in ("", machine)
        lane = "between" if elsewhere else _lane_of_command(step.command, active or "primary")
        active = seen.get("active", active)
        running = seen.get("running") or {}
        moments.append(
            Moment(
                f"{at}: {_short(step)}" if several and at else _short(step),
                lane,
                "command" if kind == "operation" and not elsewhere else "environment",
                active,
                (running.get("primary"), running.get("recovery")),
                (up[0], up[1]),
                link,
                refused=step.answer.get("answer") in ("rejected", "refused"),
                bad=step.index == found.divergence.step and machine == found.divergence.machine,
            )
        )
    return moments


_SITES = ("primary-site", "recovery-site")


def _seen(step: StepRecord, machine: str) -> dict[str, Any]:
    seen = step.observation.get(machine)
    return seen if isinstance(seen, dict) else {}


def _lane_of_command(command: Mapping[str, Any], active: str) -> str:
    if command.get("fault") in _SITES:
        return SIDES[_SITES.index(command["fault"])]
    if command.get("kind") in ("fault", "heal", "advance", "settle", "step"):
        return "between"
    if command.get("side") == "test" or command.get("operation") in ("TestFailover", "TestFailoverCleanup"):
        return "recovery" if active == "primary" else "primary"
    return str(command["side"]) if command.get("side") in SIDES else active


def _short(step: StepRecord) -> str:
    """A command in very few words."""
    command = step.command
    match command.get("kind"):
        case "operation":
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(command.get("operation"))).lower()
            return f"{words} {command['point']}" if command.get("point") else words
        case "write":
            what = "test copy writes" if command.get("side") == "test" else "cached write" if command.get("cached") else "write"
            return f"{what} block {command.get('block')}"
        case "fault" if command.get("fault") == "change-log":
            return "change log is damaged"
        case "fault" | "heal" as kind:
            return f"{str(command.get('fault')).replace('-', ' ')} {'fails' if kind == 'fault' else 'is back'}"
        case "start-machine":
            return "somebody starts it"
        case "advance":
            return f"{command.get('seconds')} s pass"
        case "settle":
            return "settle"
        case "step":
            return f"{command.get('count')} internal steps"
    return step.text


# ------------------------------------------------------------------------------------------------------------ the picture

_LEFT, _LANES, _LANE_GAP, _BELOW, _COUNTS, _ROW_GAP = 92, 34, 74, 64, 92, 16
_NARROW, _WIDE, _PAGE = 78, 96, 830
"""How wide a step may be, and what fits on a page without scrolling."""
_LETTER, _LINES = 6.2, 3


@attrs.frozen
class _Row:
    """The moments from `first` on, `length` of them at most, with the measures of a row: how wide a `step` is, and where the row
    has its `top`."""

    moments: Sequence[Moment]
    first: int
    length: int
    step: float
    top: float

    @property
    def numbers(self) -> range:
        return range(self.first, min(self.first + self.length, len(self.moments)))

    @property
    def end(self) -> float:
        """Where the last moment of the row ends; in the row below it goes on."""
        return _LEFT + self.step * len(self.numbers)

    def x(self, n: int) -> float:
        return round(_LEFT + self.step * (n - self.first + 0.5), 1)

    def y(self, lane: float) -> float:
        return self.top + _LANES + lane * _LANE_GAP

    def stretches(self) -> Iterator[tuple[Moment, float, float]]:
        """Each moment with the part of the row in which it lasts; first the end of the one from the row above."""
        if self.first:
            yield self.moments[self.first - 1], _LEFT, self.x(self.first)
        for n in self.numbers:
            yield self.moments[n], self.x(n), min(self.x(n + 1), self.end)

    def lane(self, side: int) -> Iterator[Markup]:
        """The line of one side."""
        y = self.y(side)
        yield Markup('<text class="lane-title" x="0" y="{}">{}</text>').format(y + 4, SIDES[side])
        for moment, start, end in self.stretches():
            if not moment.up[side]:
                box = '<rect class="dark-site" x="{}" y="{}" width="{}" height="18"/>'
                yield Markup(box).format(start, y - 9, round(end - start, 1))
                continue
            runs, authority = moment.running[side], moment.active == SIDES[side]
            running = "authority" if authority else "stale"
            look = "unknown" if runs is None else running if runs else "halted" if authority else "disk"
            yield Markup('<line class="lane {0}" x1="{1}" x2="{2}" y1="{3}" y2="{3}"/>').format(look, start, end, y)

    def cuts(self) -> Iterator[Markup]:
        """The link between the sites, where it is cut."""
        y = self.y(0.5)
        for moment, start, end in self.stretches():
            if not moment.link:
                said = "link cut" if end - start > self.step / 2 else ""
                yield Markup(
                    '<g class="cut"><line x1="{0}" x2="{1}" y1="{2}" y2="{2}"/><text x="{3}" y="{4}">{5}</text></g>'
                ).format(start, end, y, (start + end) / 2, y - 5, said)

    def switches(self) -> Iterator[Markup]:
        """The arrow where authority changes sides."""
        for n in self.numbers:
            before, after = self.moments[max(n - 1, 0)].active, self.moments[n].active
            if before == after or before not in SIDES or after not in SIDES:
                continue
            start, end = self.y(SIDES.index(before)), self.y(SIDES.index(after))
            yield Markup('<path class="switch" d="M{0} {1} C{0} {2} {3} {2} {3} {4}"/>').format(
                self.x(n) - 26, start, (start + end) / 2, self.x(n), end + (-9 if end > start else 9)
            )

    def marks(self) -> Iterator[Markup]:
        """The number of each step on its lane, and its name below."""
        for n in self.numbers:
            moment, x = self.moments[n], self.x(n)
            y = self.y({"primary": 0.0, "recovery": 1.0}.get(moment.lane, 0.5))
            name = Markup("").join(
                Markup('<tspan x="{}" dy="{}">{}</tspan>').format(x, 0 if k == 0 else 12, line)
                for k, line in enumerate(label_lines(moment.label, int(self.step / _LETTER)))
            )
            dot = Markup('<circle cx="{}" cy="{}" r="9"/>').format(x, y)
            dot += Markup('<text class="number" x="{}" y="{}">{}</text>').format(x, y + 3.5, n)
            if moment.kind == "start":
                dot = Markup('<circle cx="{}" cy="{}" r="3.5"/>').format(x, self.y(0))
            look = " ".join(["step", moment.kind, *(one for one in ("bad", "marked", "refused") if getattr(moment, one))])
            yield Markup('<g class="{}"><title>{}</title>{}<text class="name" x="{}" y="{}">{}</text></g>').format(
                look, moment.label, dot, x, self.y(1) + 30, name
            )

    def curves(self, names: Sequence[str], most: int) -> Iterator[Markup]:
        """Counts of writes over the steps, as stairs."""
        top = self.y(1) + _BELOW + 4
        yield Markup('<text class="lane-title" x="0" y="{}">writes</text>').format(top + 14)
        for k, name in enumerate(names):
            path = ""
            for moment, start, end in self.stretches():
                y = round(top + 60 - 50 * moment.positions.get(name, 0) / most - 2 * k, 1)
                path += f"{'L' if path else 'M'}{start} {y} H{end} "
            yield Markup('<path class="curve c{}" d="{}"/>').format(k, path)
            yield Markup('<text class="curve-name c{}" x="0" y="{}">{}</text>').format(k, top + 30 + 13 * k, name)
        for n in self.numbers:
            values = "/".join(str(self.moments[n].positions.get(name, 0)) for name in names)
            middle = (self.x(n) + min(self.x(n + 1), self.end)) / 2
            yield Markup('<text class="curve-value" x="{}" y="{}">{}</text>').format(middle, top + 74, values)


def label_lines(label: str, letters: int) -> list[str]:
    """A label in at most three lines, broken between words. What has no room, of a word or of the label, gives way to `…`."""
    room = letters + 2
    words = " ".join(word if len(word) <= room or "-" in word else word[: room - 1] + "…" for word in label.split())
    lines = textwrap.wrap(words, letters, break_long_words=False)
    return lines if len(lines) <= _LINES else [*lines[: _LINES - 1], lines[_LINES - 1].rstrip(" ,;") + " …"]


def draw_timeline(moments: Sequence[Moment], title: str) -> Markup:
    """The picture as an `<svg>` element."""
    names = list(dict.fromkeys(name for m in moments for name in m.positions))
    most = max((m.positions.get(name, 0) for m in moments for name in names), default=0) or 1
    rows = -(-len(moments) * _NARROW // _PAGE)
    length = -(-len(moments) // rows)
    step, height = min(_PAGE / length, _WIDE), _LANES + _LANE_GAP + _BELOW + (_COUNTS if names else 0)
    parts: list[Markup] = []
    for number in range(rows):
        row = _Row(moments, number * length, length, step, number * (height + _ROW_GAP))
        parts += [*row.lane(0), *row.lane(1), *row.cuts(), *row.switches(), *row.marks()]
        parts += row.curves(names, most) if names else ()
    return Markup(
        '<svg class="timeline" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="{2}">{3}</svg>'
    ).format(round(_LEFT + step * length + 12), rows * (height + _ROW_GAP) - _ROW_GAP, title, Markup("\n").join(parts))
