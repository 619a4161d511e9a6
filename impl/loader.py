"""Our own reader of topology files: it takes components, places, links and policy settings, and nothing else.

What a flow *can do* is code of this package (:mod:`siteproof.impl.flows`), never data, so that a tester that judges the
capabilities against the file does not judge the file against itself. Further tables are ignored. A file may extend
another one (:mod:`.inheritance`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from .errors import TopologyError
from .inheritance import resolved

__all__ = ["Component", "Link", "Policy", "Topology", "load_topology", "parse_topology"]


@attrs.frozen(slots=True)
class Component:
    """A deployed component: what it is (``kind``) and where it stands (``place``)."""

    id: str
    kind: str
    place: str
    host: str | None = None
    optional: bool = False


@attrs.frozen(slots=True)
class Link:
    """A connection; ``carries`` is ``data`` or ``control``: the two never share a path (V2A-35)."""

    source: str
    target: str
    carries: str
    protocol: str = ""
    port: int | None = None
    direction: str = "both"
    encrypted: bool = False


@attrs.frozen(slots=True)
class Policy:
    """Replication policy. Defaults hold for settings that the file leaves out."""

    crash_consistent_minutes: float = 5
    retention_hours: float = 24
    replication_interval_seconds: float = 0
    """0 means continuous replication."""
    app_consistent_hours: float = 1
    """0 means that applications are never frozen."""


@attrs.frozen(slots=True)
class Topology:
    """A topology as far as the implementation uses it."""

    id: str
    title: str
    sides: Mapping[str, str]
    components: Mapping[str, Component]
    links: tuple[Link, ...]
    policy: Policy

    def kinds(self, side: str) -> frozenset[str]:
        """Kinds of the components that stand on a side."""
        return frozenset(c.kind for c in self.components.values() if self.sides.get(c.place) == side)

    def encrypted(self, direction: str) -> bool:
        """Whether some data link of a direction (``forward`` or ``reverse``) is encrypted."""
        return any(x.encrypted for x in self.links if x.carries == "data" and x.direction in (direction, "both"))


def load_topology(path: Path) -> Topology:
    """Read a topology file.

    Raises:
        TopologyError: the file is missing, is not TOML or lacks a needed key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except OSError as error:
        raise TopologyError(f"{path}: cannot be read: {error.strerror}; give the path of a topology file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TopologyError(f"{path}: not valid TOML: {error}") from error
    return parse_topology(raw, str(path), path.parent)


def _get(table: Mapping[str, Any], key: str, kind: type, where: str, default: Any = None) -> Any:
    value = table.get(key, default)
    if value is None or not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TopologyError(f"{where}: key '{key}' is {value!r}; {kind.__name__} expected")
    return value


def parse_topology(raw: Mapping[str, Any], where: str, folder: Path | None = None) -> Topology:
    """Build a topology from parsed TOML; ``where`` names the file in messages, ``folder`` is where it lies.

    Raises:
        TopologyError: see :func:`load_topology`.
    """
    raw = resolved(raw, where, folder)
    sides = {
        name: _get(place, "side", str, f"{where}: [places.{name}]")
        for name, place in _get(raw, "places", dict, where).items()
    }
    components = {}
    for name, table in _get(raw, "components", dict, where).items():
        spot = f"{where}: [components.{name}]"
        place = _get(table, "place", str, spot)
        if place not in sides:
            raise TopologyError(f"{spot}: place '{place}' is not declared; known: {', '.join(sorted(sides))}")
        components[name] = Component(
            name, _get(table, "kind", str, spot), place, table.get("host"), bool(table.get("optional", False))
        )
    links = []
    for number, table in enumerate(_get(raw, "links", list, where, []), 1):
        spot = f"{where}: [[links]] number {number}"
        source, target = _get(table, "from", str, spot), _get(table, "to", str, spot)
        for end in (source, target):
            if end not in components:
                raise TopologyError(f"{spot}: component '{end}' is not declared")
        port = table.get("port")
        link = Link(
            source, target, _get(table, "carries", str, spot), str(table.get("protocol", "")),
            port if isinstance(port, int) else None, str(table.get("direction", "both")),
            bool(table.get("encrypted", False)),
        )  # fmt: skip
        links.append(link)
    return Topology(
        _get(raw, "id", str, where), str(raw.get("title", "")), sides, components, tuple(links),
        _policy(raw.get("policy", {}), f"{where}: [policy]"),
    )  # fmt: skip


def _policy(table: Mapping[str, Any], where: str) -> Policy:
    values: dict[str, float] = {}
    for field in attrs.fields(Policy):
        if field.name in table:
            value = table[field.name]
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise TopologyError(f"{where}: {field.name} is {value!r}; a number of at least 0 expected")
            values[field.name] = value
    policy = Policy(**values)
    if policy.crash_consistent_minutes <= 0:
        raise TopologyError(f"{where}: crash_consistent_minutes is 0; a positive number of minutes expected")
    return policy
