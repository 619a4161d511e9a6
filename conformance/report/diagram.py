"""A flow's components as a picture: places as boxes, components inside them, links with protocol and port.

Rules
1. The layout is fixed, so that two runs give the same picture: the primary side on the left, the Site Recovery service and
   the recovery side on the right, components in the order of the topology file, a hosted one inside its host.
2. A link between the two columns crosses the middle; one that stays on its side bends outwards in that side's margin.
3. The picture is inline SVG without scripts or styles of its own; classes are styled by the page, so it follows light and
   dark. Every text from a topology file is escaped.
"""

from __future__ import annotations

import textwrap
from typing import Final

import attrs
from markupsafe import Markup

from siteproof.model.topology import Carries, Component, Direction, Link, Side, Topology

__all__ = ["ARROWS", "draw_components", "link_words"]

_COLUMN, _MARGIN, _GAP = 392, 92, 176
_PAD, _LINE, _TITLE, _BETWEEN = 12, 15, 34, 8


@attrs.frozen
class _Box:
    """Where a component stands."""

    left: float
    top: float
    width: float
    height: float


@attrs.define
class _Drawing:
    """The picture while it grows."""

    topology: Topology
    boxes: dict[str, _Box] = attrs.Factory(dict)
    shapes: list[Markup] = attrs.Factory(list)
    labels: list[tuple[float, float]] = attrs.Factory(list)
    ports: dict[tuple[str, bool], int] = attrs.Factory(dict)

    def port(self, component: str, at_right: bool) -> tuple[float, float]:
        """Where the next link touches one edge of a component; several are spread along it."""
        box, taken = self.boxes[component], self.ports.get((component, at_right), 0)
        self.ports[component, at_right] = taken + 1
        return box.left + (box.width if at_right else 0), box.top + min(15 + 13 * taken, box.height - 6)

    def add(self, template: str, *values: object, **named: object) -> None:
        self.shapes.append(Markup(template).format(*values, **named))


def link_words(link: Link) -> str:
    """`HTTPS 443`; only the protocol where the documents name no port."""
    return f"{link.protocol.upper()} {link.port}" if link.port else str(link.protocol.upper())


def draw_components(topology: Topology) -> Markup:
    """The picture as an `<svg>` element."""
    drawing = _Drawing(topology)
    left = _column(drawing, (Side.PRIMARY,), 0)
    right = _column(drawing, (Side.CLOUD, Side.RECOVERY), _COLUMN + _GAP)
    for link in topology.links:
        if link.source in drawing.boxes and link.target in drawing.boxes:
            _link(drawing, link)
    width, height = 2 * _COLUMN + _GAP, max(left, right)
    return Markup('<svg class="diagram" viewBox="0 0 {} {}" role="img" aria-label="Components of {}">{}</svg>').format(
        width, height, topology.title, Markup("\n").join(drawing.shapes)
    )


ARROWS: Final = Markup("").join(
    Markup(
        '<marker id="arrow-{0}" class="arrow {0}" viewBox="0 0 8 8" refX="7" refY="4" markerUnits="userSpaceOnUse" '
        'markerWidth="9" markerHeight="9" orient="auto-start-reverse"><path d="M0 .6 7.4 4 0 7.4z"/></marker>'
    ).format(kind)
    for kind in ("data-forward", "data-reverse", "control", "group")
)
"""Arrow heads that the links refer to; they stand once on a page."""


def _column(drawing: _Drawing, sides: tuple[Side, ...], left: float) -> float:
    """Draw the places of some sides below each other; answers where the column ends."""
    top = 0.0
    inset = _MARGIN if sides[0] is Side.PRIMARY else _PAD
    for side in sides:
        for place in drawing.topology.places:
            if place.side is not side:
                continue
            at = len(drawing.shapes)
            below = top + _TITLE
            for component in drawing.topology.components:
                if component.place == place.id and not component.host:
                    below += _component(drawing, component, left + inset, below, _COLUMN - _MARGIN - _PAD) + _BETWEEN
            height = max(below - top + _PAD - _BETWEEN, _TITLE + 20)
            drawing.shapes.insert(
                at,
                Markup(
                    '<rect class="place" x="{}" y="{}" width="{}" height="{}" rx="10"/>'
                    '<text class="place-title" x="{}" y="{}">{}</text>'
                ).format(left + 1, top + 1, _COLUMN - 2, height - 2, left + inset, top + 22, place.title),
            )
            top += height + 18
    return max(top - 18, 0)


def _component(drawing: _Drawing, component: Component, left: float, top: float, width: float) -> float:
    """Draw a component with what runs on it; answers its height."""
    lines = textwrap.wrap(component.title, max(int((width - 20) / 6.6), 12)) or [component.id]
    head = 10 + len(lines) * _LINE + 5
    at, below = len(drawing.shapes), top + head
    for guest in drawing.topology.components:
        if guest.host == component.id:
            below += _component(drawing, guest, left + 10, below, width - 20) + _BETWEEN
    height = below - top + (2 if below > top + head else 0)
    drawing.boxes[component.id] = _Box(left, top, width, height)
    text = Markup("").join(
        Markup('<tspan x="{}" y="{}">{}</tspan>').format(left + 10, top + 20 + n * _LINE, line) for n, line in enumerate(lines)
    )
    drawing.shapes.insert(
        at,
        Markup(
            '<g><title>{}{}</title><rect class="part{}" x="{}" y="{}" width="{}" height="{}" rx="6"/>'
            '<text class="part-title">{}</text></g>'
        ).format(
            component.id,
            " (optional)" if component.optional else "",
            " optional" if component.optional else "",
            left,
            top,
            width,
            height,
            text,
        ),
    )
    return height


def _kind(link: Link) -> str:
    if link.carries is Carries.DATA:
        return "data-reverse" if link.direction is Direction.REVERSE else "data-forward"
    return "group" if link.carries is Carries.GROUP else "control"


def _link(drawing: _Drawing, link: Link) -> None:
    starts_left, ends_left = (drawing.boxes[end].left < _COLUMN for end in (link.source, link.target))
    kind = _kind(link)
    across = starts_left != ends_left
    x1, y1 = drawing.port(link.source, starts_left if across else not starts_left)
    x2, y2 = drawing.port(link.target, ends_left if across else not ends_left)
    if not across:
        edge = min(x1, x2) - 62 if starts_left else max(x1, x2) + 62
        path = f"M{x1} {y1} C{edge} {y1} {edge} {y2} {x2} {y2}"
        x = (x1 + x2) / 8 + edge * 0.75
    else:
        middle = (x1 + x2) / 2
        path = f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"
        x = _COLUMN + _GAP / 2
    x, y = _free(drawing, x, (y1 + y2) / 2)
    both = Markup(' marker-start="url(#arrow-{})"').format(kind) if link.direction is Direction.BOTH else Markup("")
    drawing.add('<path class="link {0}" d="{1}" marker-end="url(#arrow-{0})"{2}/>', kind, path, both)
    drawing.add('<text class="link-label {}" x="{}" y="{}">{}</text>', kind, x, y + 4, link_words(link))


def _free(drawing: _Drawing, x: float, y: float) -> tuple[float, float]:
    """A place for a label near (x, y) that no other label has taken."""
    for shift in (0, 16, -16, 32, -32, 48, -48):
        if all(abs(x - a) > 70 or abs(y + shift - b) > 14 for a, b in drawing.labels):
            drawing.labels.append((x, y + shift))
            return x, y + shift
    return x, y
