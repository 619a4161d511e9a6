"""Topologies: what is deployed where in one flow, how it is connected, and what the flow can do.

A topology is data (`specs/topologies/*.toml`, or a user's own file). It has four parts:

* *places*, *components* and *links*: the deployment, with the ports and paths that the documents name;
* *facts*: about what the flow can do and what its operations do. All are yes or no, and the formal model reads them as
  constants by their dotted name, so the names are fixed (`FACTS`);
* *reasons*: for each fact, the requirements that it follows from, or that it is a decision of ours because the source
  is silent;
* *policy*: the settings of a replication policy, and the limits of each.

The loader is strict. It refuses what it does not know, and what cannot be: a file is read to the end and all that is
wrong is told in one `SpecError`. Three kinds of rules hold, and they are the last part of this module:

1. the deployment hangs together: every name exists, hosts and links stay within what the sides allow, and replication
   data finds a way from side to side in each direction that has a failover;
2. the facts do not contradict each other (`CONTRADICTIONS`); this is demanded of a what-if as well;
3. the facts and the deployment agree on the replication gateway. A what-if may break this one on purpose.

A what-if (`Topology.with_facts`) keeps the text of its file and records what was changed, so that a certificate can
carry both. `deployment` has the values, `facts` the facts, `topology_rules` the rules; `specfile` reads strictly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from siteproof.model.deployment import (
    Authentication,
    Basis,
    Carries,
    Component,
    Direction,
    Install,
    Kind,
    Limit,
    Link,
    Place,
    Protocol,
    Reason,
    Route,
    Side,
)
from siteproof.model.errors import Key, Problem, SpecError, UsageError, near, told
from siteproof.model.facts import CONTRADICTIONS, FACTS
from siteproof.model.requirements import requirement_ids
from siteproof.model.specfile import SpecFile, Table
from siteproof.model.topology_rules import check

__all__ = ["CONTRADICTIONS", "FACTS", "Authentication", "Basis", "Carries", "Component", "Direction", "Install", "Kind", "Limit",
           "Link", "Override", "Place", "Protocol", "Reason", "Route", "Side", "Topology", "apply_overrides",
           "builtin_topologies", "load_topology", "parse_override", "parse_topology"]

FORMAT: Final = 1

POLICY: Final = (
    "crash_consistent_minutes",
    "app_consistent_hours",
    "retention_hours",
    "rpo_threshold_minutes",
)
"""The settings that every policy has; hours of 0 mean "none" (no app-consistent points; only the latest point)."""
OPTIONAL_POLICY: Final = ("replication_interval_seconds",)


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
    fact_values: tuple[tuple[str, bool], ...]
    reasons: tuple[Reason, ...]
    policy_values: tuple[tuple[str, int], ...]
    limits: tuple[Limit, ...]
    text: str
    file: str
    overrides: tuple[tuple[str, bool], ...] = ()

    @property
    def facts(self) -> Mapping[str, bool]:
        """The behaviour facts by dotted name."""
        return MappingProxyType(dict(self.fact_values))

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
        changed = {**self.facts, **facts}
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


def load_topology(source: str | Path) -> Topology:
    """Load a built-in topology by its id, or a user's own by its path.

    Raises UsageError when there is no such topology or the file cannot be read, SpecError when the file is wrong.
    """
    if isinstance(source, str) and source in builtin_topologies():
        name = f"{source}.toml"
        return parse_topology((resources.files("siteproof.specs") / "topologies" / name).read_text("utf-8"), name)
    path = Path(source)
    try:
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        known = builtin_topologies()
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise UsageError(
            f"the topology {told(str(source))} ({reason or 'it cannot be read'})",
            "a built-in topology or the path of a readable TOML file",
            near(str(source), known),
        ) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        found = f"the byte 0x{raw[error.start]:02x}"
        raise SpecError([Problem(str(path), line, "encoding", found, "UTF-8 text", "save it as UTF-8")]) from None
    return parse_topology(text, str(path))


def parse_topology(text: str, file: str) -> Topology:
    """Read a topology from the text of a file called `file`. Raises SpecError with all that is wrong with it."""
    spec = SpecFile.parse(text, file)
    top = spec.top
    number = top.whole("format")
    if number is not None and number != FORMAT:
        spec.complain(
            ("format",), str(number), str(FORMAT), f"write format = {FORMAT}, or use a siteproof that knows it"
        )
    topology = Topology(
        id=_slug(top, top.text("id"), ("id",)),
        title=top.text("title"),
        summary=top.text("summary"),
        sections=top.texts("sections"),
        places=tuple(_places(top.table("places"))),
        components=tuple(_components(top.table("components"))),
        links=tuple(_links(top)),
        fact_values=tuple(_facts(top)),
        reasons=tuple(_reasons(top.table("why"))),
        policy_values=tuple(_policy(top.table("policy"))),
        limits=tuple(_limits(top.table("policy_limits", optional=True))),
        text=text,
        file=file,
    )
    top.close()
    check(spec, topology)
    spec.finish()
    return topology


def _places(table: Table) -> Iterator[Place]:
    for id, entry in table.named():
        _slug(entry, id, entry.key)
        yield Place(id=id, title=entry.text("title"), side=entry.choice("side", Side))
        entry.close()


def _components(table: Table) -> Iterator[Component]:
    for id, entry in table.named():
        _slug(entry, id, entry.key)
        yield Component(
            id=id,
            title=entry.text("title"),
            kind=entry.choice("kind", Kind),
            place=entry.text("place"),
            host=entry.text("host", optional=True),
            optional=entry.flag("optional", default=False),
            install=entry.choice("install", Install, default=Install.UNSPECIFIED),
            used_for=entry.choice("used_for", Direction, default=Direction.BOTH),
            requirements=_requirements(entry),
        )
        entry.close()


def _links(top: Table) -> Iterator[Link]:
    for entry in top.tables("links"):
        yield Link(
            source=entry.text("from"),
            target=entry.text("to"),
            protocol=entry.choice("protocol", Protocol),
            port=entry.whole("port", minimum=1, maximum=65535, optional=True),
            configurable_port=entry.flag("configurable_port"),
            direction=entry.choice("direction", Direction),
            carries=entry.choice("carries", Carries),
            encrypted=entry.flag("encrypted"),
            paths=entry.choices("paths", Route),
            authentication=entry.choices("authentication", Authentication, optional=True),
            requirements=_requirements(entry),
        )
        entry.close()


def _facts(top: Table) -> Iterator[tuple[str, bool]]:
    groups: dict[str, Table] = {}
    for fact in FACTS:
        group, _, name = fact.partition(".")
        if group not in groups:
            groups[group] = top.table(group)
        yield fact, groups[group].flag(name)
    for entry in groups.values():
        entry.close()


def _reasons(table: Table) -> Iterator[Reason]:
    for fact in FACTS:
        entry = table.table(fact)
        reason = Reason(
            fact=fact,
            kind=entry.choice("kind", Basis),
            requirements=_requirements(entry),
            reason=entry.text("reason"),
        )
        entry.close()
        if reason.kind is Basis.DOCUMENTED and not reason.requirements and entry.file.is_sound(entry.key):
            found, mend = "none", 'name the requirements, or write kind = "decision"'
            entry.file.complain((*entry.key, "requirements"), found, "the requirements of a documented fact", mend)
        yield reason
    table.close()


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


def _requirements(entry: Table) -> tuple[str, ...]:
    ids = entry.texts("requirements", optional=True)
    for id in ids:
        if id not in requirement_ids():
            found = f"the unknown requirement {told(id)}"
            mend = near(id, requirement_ids())
            entry.file.complain((*entry.key, "requirements"), found, "ids of specs/requirements.toml", mend)
    return ids


def _slug(entry: Table, id: str, key: Key) -> str:
    if id and not re.fullmatch(r"[a-z][a-z0-9-]*", id):
        entry.file.complain(key, told(id), "small letters, digits and hyphens", "rename it, like process-server")
    return id


# --------------------------------------------------------------------------------------------------- what cannot be
