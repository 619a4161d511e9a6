"""What differs between two topologies, in the order in which a reviewer asks.

Rules
1. Compared are places, components, links, what may be done in each direction (capabilities), behaviour facts, policies with their
   limits, and what a failback needs. Words are not compared: titles, summaries, reasons and requirement ids change nothing
   that anybody does.
2. Components and places go by their ids. Links go by their ends, port and load; links between the same ends with the same
   load that agree in nothing more are taken to be the same link, changed.
3. Each difference says what the former value rests on: requirement ids, or that it is a decision, and for a fact the reason of
   both sides. That is what a change contradicts.
4. A path is written so that `--what-if PATH=VALUE` takes it, except for what is there on one side only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import attrs

from siteproof.model.deployment import Basis, Direction, Install, Link, Reason
from siteproof.model.facts import FACTS
from siteproof.model.topology import Topology

__all__ = ["CAPABILITIES", "Difference", "Part", "What", "differences"]

T = TypeVar("T")

CAPABILITIES = ("forward.planned_failover", "forward.unplanned_failover",
                "reverse.planned_failover", "reverse.unplanned_failover")
"""The facts that say which operations a flow offers in which direction."""
WORDS = frozenset({"id", "title", "requirements"})
ORDINARY = (Direction.BOTH, Install.UNSPECIFIED)
"""Values that go without saying."""
IDENTITY = ("source", "target", "port", "carries")


class Part(StrEnum):
    """The parts of a topology that are compared, in the order in which they are told."""

    PLACE = "place"
    COMPONENT = "component"
    LINK = "link"
    CAPABILITY = "capability"
    BEHAVIOUR = "behaviour"
    POLICY = "policy"
    FAILBACK = "failback set-up"


class What(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@attrs.frozen
class Difference:
    """One difference. `before` and `after` are values as a file writes them, or for a whole thing what it is; "" where there is
    none. `requirements` and `reason` are those of the value before (of the new one, where there was none); `reason_after` is
    the reason that the other side gives for its own, if it gives another one."""

    part: Part
    what: What
    path: str
    before: str
    after: str
    requirements: tuple[str, ...] = ()
    reason: str = ""
    reason_after: str = ""


def differences(a: Topology, b: Topology) -> tuple[Difference, ...]:
    """What `b` has otherwise than `a`, part by part."""
    rows = [
        *_things(Part.PLACE, "places", {p.id: p for p in a.places}, {p.id: p for p in b.places}),
        *_things(Part.COMPONENT, "components", {c.id: c for c in a.components}, {c.id: c for c in b.components}),
        *_links(a.links, b.links),
        *_facts(Part.CAPABILITY, CAPABILITIES, a, b),
        *_facts(Part.BEHAVIOUR, [fact for fact in FACTS if fact not in CAPABILITIES], a, b),
        *_policies(a, b),
        *_fields(Part.FAILBACK, "failback_setup", a.failback, b.failback),
    ]
    return tuple(rows)


def written(value: Any) -> str:
    """A value as a topology file has it; "–" for one that the documents do not name."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(written(item) for item in value) or "none"
    return "–" if value in (None, "") else str(value)


def _things(part: Part, table: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    """Places or components by id."""
    for id, one in a.items():
        if id in b:
            yield from _fields(part, f"{table}.{id}", one, b[id])
        else:
            yield Difference(part, What.REMOVED, f"{table}.{id}", _told(one), "", one.requirements)
    for id, one in b.items():
        if id not in a:
            yield Difference(part, What.ADDED, f"{table}.{id}", "", _told(one), one.requirements)


def _fields(part: Part, path: str, a: Any, b: Any) -> Iterator[Difference]:
    """The fields in which two things of one kind differ."""
    for field in attrs.fields(type(a)):
        old, new = getattr(a, field.name), getattr(b, field.name)
        if field.name not in WORDS and old != new:
            yield Difference(part, What.CHANGED, f"{path}.{field.name}", written(old), written(new), a.requirements)


def _told(thing: Any) -> str:
    """A whole thing in a few words: its title, and its fields that say something."""
    rows = []
    for field in attrs.fields(type(thing)):
        value = getattr(thing, field.name)
        if field.name not in (*WORDS, "source", "target") and value not in (None, "", (), False, *ORDINARY):
            rows.append(field.name.replace("_", " ") if value is True else f"{field.name.replace('_', ' ')} {written(value)}")
    title = getattr(thing, "title", "")
    return f"{title} ({', '.join(rows)})" if title else ", ".join(rows)


def _links(a: Sequence[Link], b: Sequence[Link]) -> Iterator[Difference]:
    """Links, paired first by all of their identity, then by ends and load."""
    pairs, old, new = _paired(a, b, lambda link: tuple(getattr(link, name) for name in IDENTITY))
    more, old, new = _paired(old, new, lambda link: (link.source, link.target, link.carries))
    for one, other in (*pairs, *more):
        yield from _fields(Part.LINK, _path(one, a), one, other)
    for link in old:
        yield Difference(Part.LINK, What.REMOVED, _path(link, a), _told(link), "", link.requirements)
    for link in new:
        yield Difference(Part.LINK, What.ADDED, _path(link, b), "", _told(link), link.requirements)


def _paired(a: Sequence[T], b: Sequence[T], key: Callable[[T], Any]) -> tuple[list[tuple[T, T]], list[T], list[T]]:
    """Pairs of equal keys, in the order of `a`, and what is left on either side."""
    pairs, alone, rest = [], [], list(b)
    for one in a:
        same = next((other for other in rest if key(other) == key(one)), None)
        if same is None:
            alone.append(one)
        else:
            pairs.append((one, same))
            rest.remove(same)
    return pairs, alone, rest


def _path(link: Link, among: Sequence[Link]) -> str:
    """`links.FROM.TO`, with port and load where several links have these ends."""
    same = [one for one in among if (one.source, one.target) == (link.source, link.target)]
    port = f".{link.port}" if link.port is not None else ""
    return f"links.{link.source}.{link.target}" + (f"{port}.{link.carries}" if len(same) > 1 else "")


def _facts(part: Part, names: Sequence[str], a: Topology, b: Topology) -> Iterator[Difference]:
    for name in names:
        if a.facts[name] != b.facts[name]:
            was, now = a.why[name], b.why[name]
            yield Difference(part, What.CHANGED, name, written(a.facts[name]), written(b.facts[name]), was.requirements,
                             _because(was), _basis(now) if now != was else "")


def _because(reason: Reason) -> str:
    return reason.reason if reason.kind is Basis.DOCUMENTED else f"decision: {reason.reason}"


def _basis(reason: Reason) -> str:
    """A reason with the requirements that it cites."""
    return ": ".join(part for part in (", ".join(reason.requirements), _because(reason)) if part)


def _policies(a: Topology, b: Topology) -> Iterator[Difference]:
    """Settings, and the limits that they have."""
    for path, old, new in (
        *(_values("policy", a.policy, b.policy)),
        *(_values("policy_limits", {one.setting: str(one) for one in a.limits}, {one.setting: str(one) for one in b.limits})),
    ):
        what = What.CHANGED if old and new else What.ADDED if new else What.REMOVED
        yield Difference(Part.POLICY, what, path, old, new)


def _values(table: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name in {**a, **b}:
        old, new = (written(side[name]) if name in side else "" for side in (a, b))
        if old != new:
            yield f"{table}.{name}", old, new
