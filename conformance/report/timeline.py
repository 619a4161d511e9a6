"""A run as two lanes, primary and recovery: who is the machine, who runs, what is cut off, step by step.

Rules
1. A *moment* is what a picture needs of one state and of the step that led to it. Model traces and recorded runs are both
   turned into moments, so a proof's refutation and a system's divergence look the same.
2. A thick line is a guest that executes; it is filled with colour where that side is the authority and hatched where it is
   not: two thick lines one above the other are the split brain. A thin line is a disk that does not run. No line is a site
   without power.
3. Nothing is guessed: a value that a system did not tell is drawn as unknown (dotted).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import attrs
from markupsafe import Markup

from siteproof.conformance.report.words import plain
from siteproof.conformance.results import Counterexample, StepRecord
from siteproof.model.results import Trace

__all__ = ["Moment", "draw_timeline", "moments_of_counterexample", "moments_of_trace"]

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


def moments_of_counterexample(found: Counterexample) -> list[Moment]:
    """The moments of a recorded run, for the machine that diverges; the first one is the start, before any step."""
    machine = found.divergence.machine
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
        lane = _lane_of_command(step.command, active or "primary")
        active = seen.get("active", active)
        running = seen.get("running") or {}
        moments.append(
            Moment(
                _short(step),
                lane,
                "command" if kind == "operation" else "environment",
                active,
                (running.get("primary"), running.get("recovery")),
                (up[0], up[1]),
                link,
                refused=step.answer.get("answer") in ("rejected", "refused"),
                bad=step.index == found.divergence.step,
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

_LEFT, _LANES, _LANE_GAP, _BELOW = 92, 34, 74, 46
_NARROW, _WIDE, _PAGE = 60, 96, 830
"""How wide a step may be, and what fits on a page without scrolling."""


@attrs.frozen
class _Picture:
    """The measures of one picture: `step` is the width of a step."""

    step: float

    def x(self, n: int) -> float:
        return round(_LEFT + self.step * (n + 0.5), 1)

    def stretch(self, moment: Moment, row: int, n: int) -> Markup:
        """The line of one side from this step to the next."""
        start, end, y = self.x(n), self.x(n + 1), _y(row)
        if not moment.up[row]:
            return Markup('<rect class="dark-site" x="{}" y="{}" width="{}" height="18"/>').format(start, y - 9, self.step)
        runs, authority = moment.running[row], moment.active == SIDES[row]
        look = (
            "unknown" if runs is None else ("authority" if authority else "stale") if runs else "halted" if authority else "disk"
        )
        return Markup('<line class="lane {0}" x1="{1}" x2="{2}" y1="{3}" y2="{3}"/>').format(look, start, end, y)

    def cut(self, moment: Moment, n: int) -> Markup:
        """The link between the sites, where it is cut."""
        if moment.link:
            return Markup("")
        y = _LANES + _LANE_GAP / 2
        return Markup(
            '<g class="cut"><line x1="{0}" x2="{1}" y1="{2}" y2="{2}"/><text x="{3}" y="{4}">link cut</text></g>'
        ).format(self.x(n), self.x(n + 1), y, self.x(n) + self.step / 2, y - 5)

    def switch(self, before: Moment, after: Moment, n: int) -> Markup:
        """The arrow where authority changes sides."""
        if before.active == after.active or after.active not in SIDES or before.active not in SIDES:
            return Markup("")
        start, end = _y(SIDES.index(before.active)), _y(SIDES.index(after.active))
        return Markup('<path class="switch" d="M{0} {1} C{0} {2} {3} {2} {3} {4}"/>').format(
            self.x(n) - 26, start, (start + end) / 2, self.x(n), end + (-9 if end > start else 9)
        )

    def mark(self, moment: Moment, n: int) -> Markup:
        """The number of the step on its lane, and its name below."""
        row = {"primary": 0.0, "recovery": 1.0}.get(moment.lane, 0.5)
        x, y = self.x(n), _LANES + row * _LANE_GAP
        lines = textwrap.wrap(moment.label, max(int(self.step / 6.2), 8))[:3]
        name = Markup("").join(
            Markup('<tspan x="{}" dy="{}">{}</tspan>').format(x, 0 if k == 0 else 12, line) for k, line in enumerate(lines)
        )
        dot = Markup('<circle cx="{0}" cy="{1}" r="9"/><text class="number" x="{0}" y="{2}">{3}</text>').format(x, y, y + 3.5, n)
        if moment.kind == "start":
            dot = Markup('<circle cx="{}" cy="{}" r="3.5"/>').format(x, _y(0))
        look = " ".join(["step", moment.kind, *(name for name in ("bad", "marked", "refused") if getattr(moment, name))])
        return Markup('<g class="{}"><title>{}</title>{}<text class="name" x="{}" y="{}">{}</text></g>').format(
            look, moment.label, dot, x, _LANES + _LANE_GAP + 30, name
        )

    def curves(self, moments: Sequence[Moment], names: Sequence[str], top: float) -> Markup:
        """Counts of writes over the steps, as stairs."""
        most = max((m.positions.get(name, 0) for m in moments for name in names), default=0) or 1
        parts = [Markup('<text class="lane-title" x="0" y="{}">writes</text>').format(top + 14)]
        for k, name in enumerate(names):
            path = ""
            for n, moment in enumerate(moments):
                y = round(top + 60 - 50 * moment.positions.get(name, 0) / most - 2 * k, 1)
                path += f"{'M' if n == 0 else 'L'}{self.x(n)} {y} H{self.x(n + 1)} "
            parts.append(Markup('<path class="curve c{}" d="{}"/>').format(k, path))
            parts.append(Markup('<text class="curve-name c{}" x="0" y="{}">{}</text>').format(k, top + 30 + 13 * k, name))
        for n, moment in enumerate(moments):
            values = "/".join(str(moment.positions.get(name, 0)) for name in names)
            parts.append(
                Markup('<text class="curve-value" x="{}" y="{}">{}</text>').format(self.x(n) + self.step / 2, top + 74, values)
            )
        return Markup("").join(parts)


def draw_timeline(moments: Sequence[Moment], title: str) -> Markup:
    """The picture as an `<svg>` element; steps are narrower in a long run, and a very long one makes the page scroll."""
    names = list(dict.fromkeys(name for m in moments for name in m.positions))
    picture = _Picture(min(max(_PAGE / len(moments), _NARROW), _WIDE))
    parts: list[Markup] = []
    for row, side in enumerate(SIDES):
        parts.append(Markup('<text class="lane-title" x="0" y="{}">{}</text>').format(_y(row) + 4, side))
        parts += [picture.stretch(moment, row, n) for n, moment in enumerate(moments)]
    parts += [picture.cut(moment, n) for n, moment in enumerate(moments)]
    parts += [picture.switch(before, after, n) for n, (before, after) in enumerate(pairwise(moments), 1)]
    parts += [picture.mark(moment, n) for n, moment in enumerate(moments)]
    if names:
        parts.append(picture.curves(moments, names, _LANES + _LANE_GAP + _BELOW + 22))
    height = _LANES + _LANE_GAP + _BELOW + 18 + (92 if names else 0)
    width = round(picture.x(len(moments)) + 4)
    return Markup(
        '<svg class="timeline" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="{2}">{3}</svg>'
    ).format(width, height, title, Markup("\n").join(parts))


def _y(row: int) -> int:
    return _LANES + row * _LANE_GAP
