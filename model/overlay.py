"""Topologies as they might be: overlays from files, and what-ifs from the command line.

Rules
1. An overlay file is a part of a topology file. It is merged into a topology as a file is into the one that it extends
   (`topology`): tables key by key, links by their identity, `removed = true` takes away. It has no `id` and extends nothing.
2. A what-if names one value by its path: a fact (`reverse.requires_commit`), or a value of the deployment or the policy
   (`policy.retention_hours`, `components.vcenter.optional`, `components.vcenter.removed`, `failback_setup.paths`). A link goes
   by its ends: `links.FROM.TO.encrypted`, with its port or what it carries between them where the ends are not enough. A
   list is written with commas.
3. Facts alone are changed as facts (`Topology.with_facts`): they must not contradict each other, and may contradict the
   deployment. Everything else changes the topology itself, and the result has to satisfy every rule that a file has to.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import evolve

from siteproof.model.errors import Key, Problem, SpecError, UsageError, near, told
from siteproof.model.facts import FACTS
from siteproof.model.specfile import SpecFile, Spot
from siteproof.model.topology import FORMAT, IDENTITY, Override, Topology, load_topology

__all__ = ["changed_topology", "overlay_of", "read_overlay"]

TABLES: Final = ("places", "components", "links", "failback_setup", "policy", "policy_limits")
"""The tables whose values a what-if may change beside facts; all else in a file is words."""
LISTS: Final = frozenset({"paths", "authentication", "requirements", "targets", "locations", "synchronisation", "components",
                          "allowed"})
"""The keys whose value is a list, which a command line writes with commas."""


def changed_topology(source: str, overlays: Sequence[SpecFile], changes: Sequence[Override]) -> Topology:
    """The topology `source` (a built-in id, or a path) with `overlays` laid over it and then `changes` made.

    `overrides` of the result are the facts that differ. Raises UsageError for a change that names nothing or has a value of
    another type, SpecError when the result is no topology.
    """
    documented = load_topology(source)
    for change in changes:
        if change.path in FACTS and not isinstance(change.value, bool):
            raise UsageError(f"--what-if {change.path}={change.value}", "true or false",
                             f"write {change.path}=true or {change.path}=false")
    if not overlays and all(change.path in FACTS for change in changes):
        return documented.with_facts({change.path: bool(change.value) for change in changes})
    made = load_topology(source, overlays)
    for change in changes:
        overlays = [*overlays, overlay_of(made, change)]
    made = load_topology(source, overlays)
    differing = {path: value for path, value in made.fact_values if documented.facts[path] != value}
    return evolve(made, overrides=tuple(sorted(differing.items())))


def read_overlay(path: Path) -> SpecFile:
    """The overlay in a file. Raises UsageError when it cannot be read, SpecError when it is wrong by itself."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        found = f"the overlay {path} ({error.strerror})"
        raise UsageError(found, "a readable TOML file", "correct the path") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = raw[: error.start].count(b"\n") + 1, f"the byte 0x{raw[error.start]:02x}"
        raise SpecError([Problem(str(path), line, "encoding", byte, "UTF-8 text", "save it as UTF-8")]) from None
    overlay = SpecFile.parse(text, str(path))
    number = overlay.data.pop("format", FORMAT)
    if number != FORMAT or isinstance(number, bool):
        overlay.complain(("format",), told(number), str(FORMAT), f"write format = {FORMAT}, or leave it out")
    for name in ("id", "extends"):
        if name in overlay.data:
            mend = f"leave {name} out; or use the file as a topology of its own, without --overlay"
            overlay.complain((name,), "a key of a whole topology", "an overlay: only what changes", mend)
    overlay.finish()
    return overlay


def overlay_of(topology: Topology, change: Override) -> SpecFile:
    """One change of the command line as an overlay over `topology`. Raises UsageError when it names nothing."""
    parts = change.path.split(".")
    data: Mapping[str, Any] = tomllib.loads(topology.text)
    if change.path in FACTS:
        return _overlay(change, tuple(parts), _nested(parts, change.value))
    if parts[0] not in TABLES:
        raise _unknown(change, data)
    if parts[0] == "links":
        return _of_link(change, data)
    table: Any = data.get(parts[0], {})
    depth = 3 if parts[0] in ("places", "components", "policy_limits") else 2
    if len(parts) != depth or (depth == 3 and parts[1] not in table):
        raise _unknown(change, data)
    return _overlay(change, tuple(parts), _nested(parts, _value(parts[-1], change.value)))


def _of_link(change: Override, data: Mapping[str, Any]) -> SpecFile:
    """A change of one link: `links.FROM.TO[.PORT or what it carries …].KEY`. A link that gets another identity is another
    link, so the old one goes and the new one comes."""
    _, *words = change.path.split(".")
    if len(words) < 3:
        raise _unknown(change, data)
    (start, end), qualifiers, name = words[:2], words[2:-1], words[-1]
    meant = [link for link in data["links"] if (link["from"], link["to"]) == (start, end)
             and all(word in (str(link.get("port", "")), link["carries"]) for word in qualifiers)]
    if not meant:
        raise _unknown(change, data)
    if len(meant) > 1:
        named = ", ".join(f"links.{start}.{end}{_port(link)}.{link['carries']}.{name}" for link in meant)
        raise UsageError(f"--what-if {change.path}, which may mean {len(meant)} links", "one link", f"write one of {named}")
    keys = IDENTITY["links"]
    same = {key: meant[0][key] for key in keys if key in meant[0]}
    value = _value(name, change.value)
    rows: list[dict[str, Any]] = [{**same, name: value}]
    if name in keys:
        rows = [{**same, "removed": True}, {**meant[0], name: value}]
    at: Key = ("links", len(rows) - 1)
    return _overlay(change, (*at, name), {"links": rows}, tuple(change.path.split(".")))


def _port(link: Mapping[str, Any]) -> str:
    return f".{link['port']}" if "port" in link else ""


def _overlay(change: Override, key: Key, data: dict[str, Any], shown: Key = ()) -> SpecFile:
    """`data` as an overlay whose values all stand on the command line; a problem at `key` is told at `shown`."""
    words = str(change.value).lower() if isinstance(change.value, bool) else str(change.value)
    name, shown = f"--what-if {change.path}={words}", shown or key
    spots = {key[:size]: Spot(name, 0, shown[:size]) for size in range(1, len(key))}
    return SpecFile(name, "", data, spots={**spots, key: Spot(name, 0, shown)})


def _nested(parts: Sequence[str], value: Any) -> dict[str, Any]:
    return {parts[0]: _nested(parts[1:], value)} if parts else value


def _value(name: str, value: bool | int | str) -> Any:
    """A value of the command line as the file would have it: a list where the key wants one."""
    if name not in LISTS:
        return value
    items = [item.strip() for item in str(value).strip("[]").split(",") if item.strip()]
    return [int(item) if item.isdecimal() else item.strip("\"'") for item in items]


def _unknown(change: Override, data: Mapping[str, Any]) -> UsageError:
    table, key = change.path.split(".")[0], change.path.split(".")[-1]
    links = {f"links.{link['from']}.{link['to']}.{key if key in link else 'encrypted'}" for link in data["links"]}
    known = [*FACTS, *_paths(data), *links]
    group = [path for path in known if path.split(".")[0] == table]
    expected = "a fact, or a value of " + ", ".join(TABLES)
    return UsageError(f"--what-if {change.path}, which names nothing in this flow", expected, near(change.path, group or FACTS))


def _paths(data: Mapping[str, Any]) -> Iterator[str]:
    """The paths of the values that a what-if may name in a file, but for links."""
    for name in TABLES:
        for key, value in data.get(name, {}).items() if name != "links" else ():
            yield from (f"{name}.{key}.{inner}" for inner in value) if isinstance(value, dict) else (f"{name}.{key}",)
