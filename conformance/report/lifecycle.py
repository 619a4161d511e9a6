"""The life of one machine in a flow as a picture: seven places in a ring, and the operations that lead between them.

Rules
1. The upper row is at the primary site, the lower row at the recovery site; going round once is a failover and the way home.
2. What a flow does not offer is not drawn. Which operations lead where follows from the topology's facts and from nothing
   else, so a what-if changes the picture as it changes the proofs.
3. Rejections, jobs' inner steps and faults are not shown: the table of actions has them all.
"""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

__all__ = ["draw_lifecycle"]

_WIDTH, _HEIGHT = 158, 46
_PLACES: dict[str, tuple[int, int, str, str]] = {
    "none": (10, 62, "not protected", "active at primary"),
    "home": (262, 62, "protected", "replicates forward"),
    "away": (262, 208, "failed over", "not yet committed"),
    "away-final": (514, 208, "committed", "active at recovery"),
    "away-protected": (786, 208, "protected", "replicates in reverse"),
    "back": (786, 62, "failed back", "not yet committed"),
    "back-final": (524, 62, "committed", "active at primary"),
}


def draw_lifecycle(facts: Mapping[str, bool], title: str) -> Markup:
    """The picture as an `<svg>` element."""
    parts = [
        Markup(
            '<text class="lane-title" x="10" y="52">at primary</text><text class="lane-title" x="10" y="236">at recovery</text>'
        )
    ]
    shown = set(_PLACES) - ({"back-final"} if facts.get("failback.ends_protection") else set())
    for name in _PLACES:
        if name in shown:
            x, y, text, more = _PLACES[name]
            parts.append(
                Markup(
                    '<rect class="part" x="{}" y="{}" width="{}" height="{}" rx="23"/>'
                    '<text class="state" x="{}" y="{}">{}</text><text class="state-more" x="{}" y="{}">{}</text>'
                ).format(x, y, _WIDTH, _HEIGHT, x + _WIDTH / 2, y + 20, text, x + _WIDTH / 2, y + 35, more)
            )
    parts.append(_arrow("M168 85 H260", 214, 76, "Enable"))
    parts.append(_arrow("M341 108 V206", 351, 150, *_failovers(facts, "forward"), anchor="start"))
    parts.append(_arrow("M420 231 H512", 466, 222, "Commit"))
    parts.append(_arrow("M672 231 H784", 728, 222, "Reverse"))
    if not facts.get("reverse.requires_commit", True):
        parts.append(_arrow("M341 254 C341 300 865 300 865 256", 603, 284, "ReverseReplicate without a commit"))
    if back := _failovers(facts, "reverse"):
        parts.append(_arrow("M865 208 V110", 855, 150, *back, anchor="end"))
        if facts.get("failback.ends_protection"):
            parts.append(_arrow("M865 62 C865 8 89 8 89 60", 477, 14, "Commit: protection ends, Enable starts the next round"))
        else:
            parts.append(_arrow("M786 85 H684", 735, 76, "Commit"))
            parts.append(_arrow("M524 85 H422", 473, 76, "Reverse"))
    top = 0 if facts.get("failback.ends_protection") else 34
    height = 264 if facts.get("reverse.requires_commit", True) else 300
    return Markup(
        '<svg class="lifecycle" viewBox="0 {} 954 {}" role="img" aria-label="Lifecycle of a machine in {}">{}</svg>'
    ).format(top, height - top, title, Markup("\n").join(parts))


def _failovers(facts: Mapping[str, bool], direction: str) -> list[str]:
    names = {"planned_failover": "PlannedFailover", "unplanned_failover": "UnplannedFailover"}
    return [title for name, title in names.items() if facts.get(f"{direction}.{name}")]


def _arrow(path: str, x: float, y: float, *lines: str, anchor: str = "middle") -> Markup:
    text = Markup("").join(
        Markup('<tspan x="{}" dy="{}">{}</tspan>').format(x, 0 if n == 0 else 15, line) for n, line in enumerate(lines)
    )
    return Markup(
        '<path class="link control" d="{}" marker-end="url(#arrow-control)"/>'
        '<text class="arrow-label" text-anchor="{}" x="{}" y="{}">{}</text>'
    ).format(path, anchor, x, y, text)
