"""A flow's components as a picture: places as boxes, components inside them, links with protocol and port.

Rules
1. The layout is fixed, so that two runs give the same picture: the primary side on the left, the Site Recovery service and
   the recovery side on the right, components in the order of the topology file, a hosted one inside its host.
2. A link between the two columns crosses the middle; one that stays on its side bends outwards in that side's margin. Links
   share an edge of a component evenly, in the order of their other ends.
3. A label lies on its own link, at the place where it covers no other label and as little as possible of other links.
4. The picture is inline SVG without scripts or styles of its own; classes are styled by the page, so it follows light and
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
_LETTER, _LABEL = 6.2, 20

_Points = tuple[tuple[float, float], ...]


@attrs.frozen
class _Box:
    """Where a component stands. Links touch it within `edge` from its top: what it hosts has edges of its own."""

    left: float
    top: float
    width: float
    height: float
    edge: float

    @property
    def middle(self) -> float:
        return self.top + self.edge / 2


@attrs.define
class _Drawing:
    """The picture while it grows."""

    topology: Topology
    boxes: dict[str, _Box] = attrs.Factory(dict)
    shapes: list[Markup] = attrs.Factory(list)
    labels: list[tuple[float, float, float]] = attrs.Factory(list)

    def sides(self, link: Link) -> tuple[bool, bool]:
        """Whether the link touches its source, and its target, at the right edge: inwards when it crosses, else outwards."""
        left = [self.boxes[end].left < _COLUMN for end in (link.source, link.target)]
        return (left[0], left[1]) if left[0] != left[1] else (not left[0], not left[1])

    def port(self, links: list[Link], link: Link, end: int) -> tuple[float, float]:
        """Where a link touches its source (0) or target (1)."""
        here, right = (link.source, link.target)[end], self.sides(link)[end]
        sharing = [
            (self.boxes[(one.target, one.source)[e]].middle, n)
            for n, one in enumerate(links)
            for e in (0, 1)
            if (one.source, one.target)[e] == here and self.sides(one)[e] == right
        ]
        box, place = self.boxes[here], [n for _, n in sorted(sharing)].index(links.index(link))
        return box.left + (box.width if right else 0), box.top + box.edge * (place + 1) / (len(sharing) + 1)

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
    links = [link for link in topology.links if link.source in drawing.boxes and link.target in drawing.boxes]
    curves = [_link(drawing, links, link) for link in links]
    for number, link in enumerate(links):
        _label(drawing, link, curves[number], [one for n, one in enumerate(curves) if n != number])
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
            title = textwrap.wrap(place.title, int((_COLUMN - inset - _PAD) / 6.9)) or [place.id]
            below = top + _TITLE + _LINE * (len(title) - 1)
            for component in drawing.topology.components:
                if component.place == place.id and not component.host:
                    below += _component(drawing, component, left + inset, below, _COLUMN - _MARGIN - _PAD) + _BETWEEN
            height = max(below - top + _PAD - _BETWEEN, _TITLE + 20)
            drawing.shapes.insert(
                at,
                Markup(
                    '<rect class="place" x="{}" y="{}" width="{}" height="{}" rx="10"/>'
                    '<text class="place-title">{}</text>'
                ).format(left + 1, top + 1, _COLUMN - 2, height - 2, _lines(title, left + inset, top + 22)),
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
    drawing.boxes[component.id] = _Box(left, top, width, height, min(head, height))
    text = _lines(lines, left + 10, top + 20)
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


def _lines(lines: list[str], x: float, y: float) -> Markup:
    one = Markup('<tspan x="{}" y="{}">{}</tspan>')
    return Markup("").join(one.format(x, y + n * _LINE, line) for n, line in enumerate(lines))


def _kind(link: Link) -> str:
    if link.carries is Carries.DATA:
        return "data-reverse" if link.direction is Direction.REVERSE else "data-forward"
    return "group" if link.carries is Carries.GROUP else "control"


def _link(drawing: _Drawing, links: list[Link], link: Link) -> _Points:
    """Draw a link; answers points along it."""
    kind = _kind(link)
    (x1, y1), (x2, y2) = drawing.port(links, link, 0), drawing.port(links, link, 1)
    starts_right, ends_right = drawing.sides(link)
    if starts_right == ends_right:
        beside = [one for one in links if drawing.sides(one) == drawing.sides(link)]
        bend = 46 + min(18 * beside.index(link), 54)
        near = far = max(x1, x2) + bend if starts_right else min(x1, x2) - bend
    else:
        near = far = (x1 + x2) / 2
    path = f"M{x1:.1f} {y1:.1f} C{near:.1f} {y1:.1f} {far:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    both = Markup(' marker-start="url(#arrow-{})"').format(kind) if link.direction is Direction.BOTH else Markup("")
    drawing.add('<path class="link {0}" d="{1}" marker-end="url(#arrow-{0})"{2}/>', kind, path, both)
    return tuple(
        (
            (1 - t) ** 3 * x1 + 3 * (1 - t) ** 2 * t * near + 3 * (1 - t) * t**2 * far + t**3 * x2,
            (1 - t) ** 3 * y1 + 3 * (1 - t) ** 2 * t * y1 + 3 * (1 - t) * t**2 * y2 + t**3 * y2,
        )
        for t in (n / 40 for n in range(41))
    )


def _label(drawing: _Drawing, link: Link, curve: _Points, others: list[_Points]) -> None:
    """Write a link's protocol and port on it."""
    words = link_words(link)
    half = len(words) * _LETTER / 2 + 3
    taken = drawing.labels

    def cost(n: int) -> float:
        x, y = curve[n]
        labels = sum(abs(x - a) < half + b and abs(y - c) < _LABEL for a, c, b in taken)
        parts = sum(
            x + half > box.left and x - half < box.left + box.width and abs(y - box.top - box.height / 2) < box.height / 2 + 8
            for box in drawing.boxes.values()
        )
        lines = sum(any(abs(x - a) < half and abs(y - b) < 9 for a, b in other) for other in others)
        return 100 * labels + 30 * parts + 3 * lines + abs(n - 20) / 10

    x, y = curve[min(range(4, 37), key=cost)]
    if x < _MARGIN:
        x = min(x, _MARGIN - half)
    elif x > 2 * _COLUMN + _GAP - _MARGIN:
        x = max(x, 2 * _COLUMN + _GAP - _MARGIN + half)
    taken.append((x, y, half))
    drawing.add('<text class="link-label {}" x="{:.1f}" y="{:.1f}">{}</text>', _kind(link), x, y + 4, words)
