"""Topologies: what is deployed where in one flow, how it is connected, and what the flow can do.

A topology is data (`specs/topologies/*.toml`, or a user's own file). It has four parts:

* *places*, *components*, *links* and the *failback setup*: the deployment, with the ports and paths that the documents name;
* *facts*: about what the flow can do and what its operations do. All are yes or no, and the formal model reads them as
  constants by their dotted name, so the names are fixed (`FACTS`);
* *reasons*: for each fact, the requirements that it follows from, or that it is a decision of ours because the source
  is silent;
* *policy*: the settings of a replication policy, and the limits of each.

The loader is strict. It refuses what it does not know, and what cannot be: a file is read to the end and all that is
wrong is told in one `SpecError`. The rules between values are in `topology_rules`.

A file may *extend* another one and say only what differs: `extends = "vmware-to-azure"` at its top names a built-in topology,
or a file by its path relative to this one. Its own `format` and `id` it always says itself. All else is merged: tables key by
key; a text, number or list replaces that of the extended file; an entry of `[[links]]` is merged into the link with the same
`from`, `to`, `port` and `carries` (one without a port agrees with one without a port), or added. A component or link goes
away by `removed = true`, which takes along nothing else: the links of a removed component have to be removed as well. What
was extended may extend again, but not in a circle. A fact that a file changes does not keep the reason that the other file
gave for its own value: it has the file's reason, or none. Below every topology lie the decisions of `specs/decisions.toml`, facts
that are alike in all flows and their reasons; a topology may overrule them. Only the merged whole has to be a topology; a
problem is told with the file, line and key where its value stands.

An *overlay* is a part of a topology file, without `id` and `extends`: laid over a topology it is merged into it by the same
rules, and the result has to be a topology (`overlay`).

`Topology.text` loads on its own: it is the file's text, or for a file that extends another, or that something is laid over, the
merged whole, written by `toml_text`. A what-if about facts (`Topology.with_facts`) keeps it and records what was changed, so that
a certificate can carry both. `deployment` has the values of the deployment, `facts` the facts; `specfile` reads strictly and
merges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from attrs import evolve, frozen

from siteproof.model.control_paths import derived_facts
from siteproof.model.deployment import (
    Authentication,
    Basis,
    Carries,
    Component,
    Direction,
    FailbackSetup,
    Install,
    Kind,
    Limit,
    Link,
    Location,
    MachineKind,
    Place,
    Protocol,
    Reason,
    Route,
    Side,
    Synchronisation,
    read_components,
    read_failback_setup,
    read_links,
    read_places,
    slug,
)
from siteproof.model.errors import Problem, SpecError, UsageError, near, told
from siteproof.model.facts import CONTRADICTIONS, FACTS, read_facts, read_reasons
from siteproof.model.specfile import SpecFile, Table, dotted
from siteproof.model.topology_rules import check

__all__ = ["CONTRADICTIONS", "FACTS", "Authentication", "Basis", "Carries", "Component", "Direction", "FailbackSetup", "Install",
           "Kind", "Limit", "Link", "Location", "MachineKind", "Override", "Place", "Protocol", "Reason", "Route", "Side",
           "Synchronisation", "Topology", "apply_overrides", "builtin_topologies", "load_topology", "parse_override",
           "parse_topology", "toml_text"]

FORMAT: Final = 1

POLICY: Final = (
    "crash_consistent_minutes",
    "app_consistent_hours",
    "retention_hours",
    "rpo_threshold_minutes",
)
"""The settings that every policy has; hours of 0 mean "none" (no app-consistent points; only the latest point)."""
OPTIONAL_POLICY: Final = ("all_points_hours", "replication_interval_seconds")


@frozen
class Topology:
    """One flow. `text` and `file` are where it was read from; `overrides` is what a what-if has changed since."""

    id: str
    title: str
    summary: str
    sections: tuple[str, ...]
    places: tuple[Place, ...]
    components: tuple[Component, ...]
    links: tuple[Link, ...]
    failback: FailbackSetup
    fact_values: tuple[tuple[str, bool], ...]
    reasons: tuple[Reason, ...]
    policy_values: tuple[tuple[str, int], ...]
    limits: tuple[Limit, ...]
    text: str
    file: str
    overrides: tuple[tuple[str, bool], ...] = ()

    @property
    def facts(self) -> Mapping[str, bool]:
        """The behaviour facts by dotted name, and those that follow from the deployment (`control_paths`)."""
        return MappingProxyType(dict(self.fact_values) | derived_facts(self))

    @property
    def policy(self) -> Mapping[str, int]:
        """The policy settings by name; the unit is the last word of the name."""
        return MappingProxyType(dict(self.policy_values))

    @property
    def why(self) -> Mapping[str, Reason]:
        """The reason of every fact."""
        return MappingProxyType({reason.fact: reason for reason in self.reasons})

    def place(self, id: str) -> Place:
        """The place with this id; KeyError if there is none."""
        return {place.id: place for place in self.places}[id]

    def component(self, id: str) -> Component:
        """The component with this id; KeyError if there is none."""
        return {component.id: component for component in self.components}[id]

    def side_of(self, component: str) -> Side:
        """The side on which a component is deployed."""
        return self.place(self.component(component).place).side

    def with_facts(self, facts: Mapping[str, bool]) -> Topology:
        """The same topology with other facts: a what-if.

        Raises UsageError for an unknown fact, a value that is not true or false, and facts that contradict each other.
        """
        for name, value in facts.items():
            if name not in FACTS:
                raise UsageError(f"the unknown fact {told(name)}", f"a fact of {self.id}", near(name, FACTS))
            if not isinstance(value, bool):
                raise UsageError(f"{name} = {told(value)}", "true or false", f"write {name}=true or {name}=false")
        changed = {**dict(self.fact_values), **facts}
        for rule in CONTRADICTIONS:
            if rule.forbids(changed):
                raise UsageError(f"a what-if of {self.id} in which {rule.found}", rule.expected, rule.mend)
        overrides = {**dict(self.overrides), **{name: facts[name] for name in facts}}
        return evolve(self, fact_values=tuple(changed.items()), overrides=tuple(sorted(overrides.items())))


# ------------------------------------------------------------------------------------------------------- what-if


@frozen
class Override:
    """One what-if as it is written on the command line. `topology` is None when it is meant for all of them."""

    topology: str | None
    path: str
    value: bool | int | str


_OVERRIDE: Final = re.compile(r"(?:(?P<topology>[^:=]+):)?(?P<path>[A-Za-z0-9_.\-]+)=(?P<value>.*)", re.DOTALL)


def parse_override(text: str) -> Override:
    """Read `hyper-v-to-secondary-site:reverse.requires_commit=false`; the topology and its colon may be left out.

    The value is a truth value, a whole number, or else a text. Raises UsageError when the form is another.
    """
    match = _OVERRIDE.fullmatch(text.strip())
    if match is None or not match["value"].strip():
        form = "[TOPOLOGY:]FACT=VALUE"
        raise UsageError(told(text), form, "write it like hyper-v-to-secondary-site:reverse.requires_commit=false")
    word = match["value"].strip()
    value: bool | int | str = word
    if word in ("true", "false"):
        value = word == "true"
    elif re.fullmatch(r"-?[0-9]{1,18}", word):
        value = int(word)
    return Override(match["topology"], match["path"], value)


def apply_overrides(topologies: Sequence[Topology], overrides: Sequence[Override]) -> tuple[Topology, ...]:
    """The topologies, each changed by those of `overrides` that are meant for it.

    Raises UsageError as `Topology.with_facts` does, and for a topology that is not among them: a what-if that changes
    nothing would be answered by a proof of something else.
    """
    changed = {topology.id: topology for topology in topologies}
    for override in overrides:
        if override.topology is not None and override.topology not in changed:
            mend = near(override.topology, changed)
            raise UsageError(f"a what-if of {told(override.topology)}", "a topology that is asked about", mend)
        if override.path in FACTS and not isinstance(override.value, bool):
            mend = f"write {override.path}=true or {override.path}=false"
            raise UsageError(f"{override.path}={told(override.value)}", "true or false", mend)
    for id, topology in changed.items():
        meant = [o for o in overrides if o.topology in (None, id)]
        changed[id] = topology.with_facts({o.path: bool(o.value) for o in meant})
    return tuple(changed.values())


# ------------------------------------------------------------------------------------------------------- loading


def builtin_topologies() -> tuple[str, ...]:
    """The ids of the built-in topologies, sorted."""
    folder = resources.files("siteproof.specs") / "topologies"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def load_topology(source: str | Path, overlays: Iterable[SpecFile] = ()) -> Topology:
    """Load a built-in topology by its id, or a user's own by its path, and lay `overlays` over it, one after the other.

    Raises UsageError when there is no such topology or the file cannot be read, SpecError when the file is wrong or what
    comes of it is no topology.
    """
    known = builtin_topologies()
    if isinstance(source, str) and source in known:
        return parse_topology(_builtin_text(source), f"{source}.toml", None, overlays)
    path = Path(source)
    try:
        text = _file_text(path)
    except (OSError, ValueError) as error:
        found = f"the topology {told(str(source))} ({_why_unreadable(error)})"
        expected = "a built-in topology or the path of a readable TOML file"
        raise UsageError(found, expected, near(str(source), known)) from None
    return parse_topology(text, str(path), path.parent, overlays)


def parse_topology(text: str, file: str, folder: Path | None = None, overlays: Iterable[SpecFile] = ()) -> Topology:
    """Read a topology from the text of a file called `file`. Raises SpecError with all that is wrong with it.

    It may extend files that are named relative to `folder`; without one, built-in topologies only. `overlays` are laid over
    the whole.
    """
    own = SpecFile.parse(text, file)
    whole = _on_its_base(own, folder, ())
    for upper in overlays:
        _check_links_meant(upper, whole)
        if upper.text:  # what stands on the command line is a question, not a decision
            _give_reasons(upper, whole)
        whole = upper.over(whole, IDENTITY, REMOVABLE)
        whole.finish()
    _give_reasons(whole, _decisions())
    spec = whole.over(_decisions(), IDENTITY, REMOVABLE)
    top = spec.top
    top.check_format(FORMAT)
    top.text("extends", optional=True)
    topology = Topology(
        id=slug(top, top.text("id"), ("id",)),
        title=top.text("title"),
        summary=top.text("summary"),
        sections=top.texts("sections"),
        places=tuple(read_places(top.table("places"))),
        components=tuple(read_components(top.table("components"))),
        links=tuple(read_links(top)),
        failback=read_failback_setup(top.table("failback_setup")),
        fact_values=tuple(read_facts(top)),
        reasons=tuple(read_reasons(top.table("why"))),
        policy_values=tuple(_policy(top.table("policy"))),
        limits=tuple(_limits(top.table("policy_limits", optional=True))),
        text=text,
        file=file,
    )
    top.close()
    check(spec, topology)
    spec.finish(below=DECISIONS)
    return topology if whole is own else evolve(topology, text=toml_text(whole.data))


DECISIONS: Final = "decisions.toml"


def _decisions() -> SpecFile:
    """The facts that are alike in all flows, with their reasons: what every topology extends."""
    return SpecFile.parse((resources.files("siteproof.specs") / DECISIONS).read_text("utf-8"), DECISIONS)


def _builtin_text(id: str) -> str:
    return (resources.files("siteproof.specs") / "topologies" / f"{id}.toml").read_text("utf-8")


def _file_text(path: Path) -> str:
    """The text of a user's file. Raises OSError or ValueError when it cannot be read, SpecError when it is not UTF-8."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        found = f"the byte 0x{raw[error.start]:02x}"
        raise SpecError([Problem(str(path), line, "encoding", found, "UTF-8 text", "save it as UTF-8")]) from None


def _why_unreadable(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else "not a file name") or "it cannot be read"


# ------------------------------------------------------------------------------------------------------ extending

OWN: Final = ("format", "id")
"""The keys that a file never takes from another."""
REMOVABLE: Final = ("components", "links")
IDENTITY: Final[Mapping[str, Sequence[str]]] = MappingProxyType({"links": ("from", "to", "port", "carries")})
"""The keys by which a link of a file is known to be a link of the extended file."""
UNREASONED: Final[Mapping[str, Any]] = MappingProxyType({"kind": "decision", "requirements": [], "reason": "No reason is given."})
"""What stands for the reason of a changed fact where the file that changes it gives none."""


def _on_its_base(spec: SpecFile, folder: Path | None, seen: tuple[str, ...]) -> SpecFile:
    """`spec` merged with what it extends, and with what that extends; `seen` are the files that led here."""
    if "extends" not in spec.data:
        return spec
    name = spec.top.text("extends")
    found = _base(spec, name, folder) if name else None
    if found is not None and found[0] in seen:
        spec.complain(("extends",), f"{told(name)}, which extends this one", "no circle", "let one of them extend nothing")
    spec.finish()
    assert found is not None, "a base that is not found has been complained of"
    place, text, file, inner = found
    base = _on_its_base(SpecFile.parse(text, file), inner, (*seen, place))
    base.top.check_format(FORMAT)
    base.data = {key: value for key, value in base.data.items() if key not in OWN}
    _check_links_meant(spec, base)
    _give_reasons(spec, base)
    merged = spec.over(base, IDENTITY, REMOVABLE)
    merged.finish()
    order = (*OWN, *(key for key in merged.data if key not in (*OWN, "extends")))
    merged.data = {key: merged.data[key] for key in order if key in merged.data}
    return merged


def _check_links_meant(spec: SpecFile, base: SpecFile) -> None:
    """Complain of a link that is neither one of the base nor a whole one: whoever wrote it meant to change one."""
    links = spec.data.get("links")
    known = base.data.get("links")
    theirs = [link for link in (known if isinstance(known, list) else ()) if isinstance(link, dict)]
    for at, link in enumerate(links if isinstance(links, list) else ()):
        if not isinstance(link, dict) or "removed" in link or "protocol" in link:
            continue
        if not any(all(one.get(key) == link.get(key) for key in IDENTITY["links"]) for one in theirs):
            ends = [end for end in (link.get("from"), link.get("to")) if isinstance(end, str)]
            alike = [_in_words(one) for one in theirs if one.get("from") in ends or one.get("to") in ends]
            spec.complain(("links", at), f"a change of the link {_in_words(link)}, which there is not",
                          f"one of {'; '.join(alike or map(_in_words, theirs))}",
                          "correct from, to, port or carries; a new link says its protocol, direction and paths as well")


def _in_words(link: Mapping[str, Any]) -> str:
    port = f", port {link['port']}" if "port" in link else ""
    return f"{link.get('from', '?')} → {link.get('to', '?')} ({link.get('carries', 'nothing')}{port})"


def _give_reasons(spec: SpecFile, base: SpecFile) -> None:
    """A fact that `spec` changes has the reason that it gives, or none: nothing of that of the value before."""
    why = spec.data.get("why", {})
    for path in FACTS:
        table, _, key = path.partition(".")
        old, new = (one.data.get(table) for one in (base, spec))
        if not (isinstance(old, dict) and isinstance(new, dict) and isinstance(why, dict)):
            continue
        given = why.get(path, {})
        if key in old and key in new and old[key] != new[key] and isinstance(given, dict):
            spec.data["why"] = why = {**why, path: {**UNREASONED, **given}}


def _base(spec: SpecFile, name: str, folder: Path | None) -> tuple[str, str, str, Path | None] | None:
    """What tells the extended file from others, its text, its name, its folder; None after a complaint."""
    known = builtin_topologies()
    if name in known:
        return name, _builtin_text(name), f"{name}.toml", None
    if folder is None or Path(name).is_absolute():
        reason = "a path from the root" if Path(name).is_absolute() else "no such built-in topology"
    else:
        path = folder / name
        try:
            text = _file_text(path)  # before the path is resolved: a circle of symbolic links is an OSError only here
            return str(path.resolve()), text, str(path), path.parent
        except (OSError, ValueError) as error:
            reason = _why_unreadable(error)
    expected = "a built-in topology or the path of a readable file, relative to this one"
    spec.complain(("extends",), f"{told(name)} ({reason})", expected, near(name, known))
    return None


def _policy(table: Table) -> Iterator[tuple[str, int]]:
    for name in (*POLICY, *OPTIONAL_POLICY):
        value = table.whole(name, optional=name in OPTIONAL_POLICY)
        if value is not None:
            yield name, value
    table.close()


def _limits(table: Table) -> Iterator[Limit]:
    for name in (*POLICY, *OPTIONAL_POLICY):
        entry = table.table(name, optional=True)
        limit = Limit(
            setting=name,
            minimum=entry.whole("minimum", optional=True),
            maximum=entry.whole("maximum", optional=True),
            allowed=entry.wholes("allowed", optional=True),
        )
        entry.close()
        if name in table.values:
            yield limit
    table.close()


def toml_text(data: Mapping[str, Any]) -> str:
    """A TOML text of texts, whole numbers, truth values, lists of them, tables and arrays of tables.

    A table's plain values come before the tables inside it; otherwise the order is kept, so equal data has one text.
    """
    lines: list[str] = []
    _write(lines, "", data)
    return "\n".join(lines).lstrip("\n") + "\n"


def _write(lines: list[str], header: str, table: Mapping[str, Any]) -> None:
    tables = {name: value for name, value in table.items() if isinstance(value, dict) or _is_array_of_tables(value)}
    lines += [f"{dotted((name,))} = {_written(value)}" for name, value in table.items() if name not in tables]
    for name, value in tables.items():
        inner = f"{header}.{dotted((name,))}" if header else dotted((name,))
        for element in value if isinstance(value, list) else ():
            lines += ["", f"[[{inner}]]"]
            _write(lines, inner, element)
        if isinstance(value, dict):
            has_own = not value or any(not isinstance(item, dict) and not _is_array_of_tables(item) for item in value.values())
            lines += ["", f"[{inner}]"] if has_own else []
            _write(lines, inner, value)


def _is_array_of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _written(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_written(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
