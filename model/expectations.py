"""What a requirement expects of a topology: small statements as data, each of which can be false.

Rules
1. An *expectation* speaks of one topology and answers with what it found wrong there; an empty answer means that it holds.
   It never raises, also on a topology that the loader would refuse: breaking one on purpose is how it is tested.
2. `Every`: all elements of one subject (components, links, places, the failback setup, the policy) that a pattern chooses
   have certain properties. Choosing nothing is wrong, too, since a statement about nothing says nothing.
3. `Never`: no element of a subject fits a pattern.
4. `FactIs`: a behaviour fact has a value. `Like`: the flow is another flow apart from what is named.
5. Patterns speak of kinds, sides and ports, never of the ids of one file, so an expectation that is marked structural can
   be asked of a user's own topology. There it is not asked where nothing that it speaks of is deployed (`concerns`).
6. A property has a value in the element (`Property.seen`) and one way to be compared with what is wanted (`Match`); this
   table is all there is to the vocabulary. How each expectation is broken stands in `breaking`.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from attrs import frozen

from siteproof.model.deployment import (
    Authentication,
    Carries,
    Component,
    Direction,
    Feature,
    Install,
    Kind,
    Link,
    Location,
    MachineKind,
    Place,
    Protocol,
    Route,
    Side,
    Synchronisation,
)
from siteproof.model.topology import Topology, load_topology

__all__ = ["PROPERTIES", "Every", "Expectation", "FactIs", "Like", "Match", "Never", "Property", "Subject", "built_in",
           "component_of", "elements_of", "hosts_of", "kind_of", "name_of", "side_at"]


class Subject(StrEnum):
    """What a pattern chooses from."""

    COMPONENT = "component"
    LINK = "link"
    PLACE = "place"
    FAILBACK = "failback"
    POLICY = "policy"


class Match(enum.Enum):
    """How a value is compared with what is wanted."""

    EQUAL = "is the one wanted"
    ONE_OF = "is one of those wanted"
    SAME = "has the same items as those wanted"
    ALL = "has all those wanted"
    ANY = "has one of those wanted"
    NONE = "has none of those wanted"

    def fits(self, seen: Any, wanted: Any) -> bool:
        """Whether `seen`, a value or a collection, is as `wanted`."""
        if self is Match.EQUAL:
            return bool(seen == wanted)
        if self is Match.ONE_OF:
            return seen in wanted
        items, needed = set(seen), set(wanted)
        return {
            Match.SAME: items == needed,
            Match.ALL: needed <= items,
            Match.ANY: bool(needed & items),
            Match.NONE: not needed & items,
        }[self]


@frozen
class Property:
    """One property of an element: its value, how it is compared, of which type (an enumeration, `bool`, `int` or, for names
    of settings, `str`) what is wanted has to be, and its words; for a truth value those of true and of false."""

    seen: Callable[[Topology, Any], Any]
    match: Match
    of: type
    words: tuple[str, ...]

    def fits(self, topology: Topology, element: Any, wanted: Any) -> bool:
        """Whether `element` has what is wanted."""
        return self.match.fits(self.seen(topology, element), wanted)

    def told(self, wanted: Any) -> str:
        """What is wanted, in words."""
        if isinstance(wanted, bool):
            return self.words[0 if wanted else 1]
        if isinstance(wanted, int):
            return self.words[0].format(wanted)
        joint = " and " if self.match in (Match.ALL, Match.SAME) else " or "
        return self.words[0].format(joint.join([", ".join(wanted[:-1]), wanted[-1]] if wanted[1:] else wanted))


# ------------------------------------------------------------------------------------------------- looking things up


@functools.cache
def built_in(id: str) -> Topology:
    """A built-in topology, read once."""
    return load_topology(id)


def component_of(topology: Topology, id: str) -> Component | None:
    """The component with this id, if there is one."""
    return next((component for component in topology.components if component.id == id), None)


def kind_of(topology: Topology, id: str) -> Kind | None:
    """The kind of a component, if there is one with this id."""
    found = component_of(topology, id)
    return found.kind if found else None


def side_at(topology: Topology, id: str) -> Side | None:
    """The side of a component, if there is one with this id."""
    found = component_of(topology, id)
    return next((place.side for place in topology.places if found and place.id == found.place), None)


def hosts_of(topology: Topology, component: Component) -> tuple[Component, ...]:
    """What a component runs on, directly or not, nearest first."""
    chain: list[Component] = []
    host = component_of(topology, component.host)
    while host is not None and host not in chain:
        chain.append(host)
        host = component_of(topology, host.host)
    return tuple(chain)


def _kinds(topology: Topology, ids: Iterable[str]) -> tuple[Kind, ...]:
    return tuple(kind for id in ids if (kind := kind_of(topology, id)) is not None)


def _on_it(topology: Topology, component: Component) -> tuple[Kind, ...]:
    return tuple(other.kind for other in topology.components if other.host == component.id)


def _ends(topology: Topology, link: Link) -> tuple[Kind, ...]:
    return _kinds(topology, (link.source, link.target))


def _served(_topology: Topology, link: Link) -> tuple[Direction, ...]:
    return tuple(way for way in (Direction.FORWARD, Direction.REVERSE) if link.serves(way))


# -------------------------------------------------------------------------------------------------------- vocabulary

_COMPONENT: Final[Mapping[str, Property]] = {
    "kind": Property(lambda _t, c: c.kind, Match.ONE_OF, Kind, ("{}",)),
    "side": Property(lambda t, c: side_at(t, c.id), Match.ONE_OF, Side, ("on the {} side",)),
    "host": Property(lambda t, c: kind_of(t, c.host), Match.ONE_OF, Kind, ("on {}",)),
    "runs_on": Property(lambda t, c: [h.kind for h in hosts_of(t, c)], Match.ANY, Kind, ("on top of {}",)),
    "optional": Property(lambda _t, c: c.optional, Match.EQUAL, bool, ("optional", "required")),
    "install": Property(lambda _t, c: c.install, Match.ONE_OF, Install, ("installed ({})",)),
    "used_for": Property(lambda _t, c: c.used_for, Match.ONE_OF, Direction, ("used ({})",)),
    "features": Property(lambda _t, c: c.features, Match.ALL, Feature, ("with {}",)),
    "lacks": Property(lambda _t, c: c.features, Match.NONE, Feature, ("without {}",)),
    "joined_to": Property(lambda t, c: _kinds(t, c.joined_to), Match.ALL, Kind, ("joined to {}",)),
    "holds": Property(_on_it, Match.ALL, Kind, ("with {} on it",)),
}
_LINK: Final[Mapping[str, Property]] = {
    "from": Property(lambda t, x: kind_of(t, x.source), Match.ONE_OF, Kind, ("from {}",)),
    "to": Property(lambda t, x: kind_of(t, x.target), Match.ONE_OF, Kind, ("to {}",)),
    "touches": Property(_ends, Match.ANY, Kind, ("at {}",)),
    "from_side": Property(lambda t, x: side_at(t, x.source), Match.ONE_OF, Side, ("from the {} side",)),
    "to_side": Property(lambda t, x: side_at(t, x.target), Match.ONE_OF, Side, ("to the {} side",)),
    "carries": Property(lambda _t, x: x.carries, Match.ONE_OF, Carries, ("for {}",)),
    "serves": Property(_served, Match.ANY, Direction, ("{}",)),
    "protocol": Property(lambda _t, x: x.protocol, Match.ONE_OF, Protocol, ("{}",)),
    "port": Property(lambda _t, x: x.port, Match.EQUAL, int, ("port {}",)),
    "configurable_port": Property(lambda _t, x: x.configurable_port, Match.EQUAL, bool, ("port configurable", "port fixed")),
    "encrypted": Property(lambda _t, x: x.encrypted, Match.EQUAL, bool, ("encrypted", "not encrypted")),
    "path": Property(lambda _t, x: x.paths, Match.ANY, Route, ("over {}",)),
    "paths": Property(lambda _t, x: x.paths, Match.SAME, Route, ("over {} only",)),
    "authentication": Property(lambda _t, x: x.authentication, Match.SAME, Authentication, ("known by {}",)),
}
_PLACE: Final[Mapping[str, Property]] = {
    "side": Property(lambda _t, p: p.side, Match.ONE_OF, Side, ("of the {} side",)),
    "encrypted_at_rest": Property(lambda _t, p: p.encrypted_at_rest, Match.EQUAL, bool, ("encrypted at rest", "in the clear")),
}
_FAILBACK: Final[Mapping[str, Property]] = {
    "targets": Property(lambda _t, f: f.targets, Match.SAME, MachineKind, ("to {}",)),
    "locations": Property(lambda _t, f: f.locations, Match.SAME, Location, ("into {}",)),
    "synchronisation": Property(lambda _t, f: f.synchronisation, Match.SAME, Synchronisation, ("copying {}",)),
    "needs": Property(lambda t, f: _kinds(t, f.components), Match.ALL, Kind, ("needs {}",)),
    "paths": Property(lambda _t, f: f.paths, Match.SAME, Route, ("needs a path over {}",)),
    "automatic_policy": Property(lambda _t, f: f.automatic_policy, Match.EQUAL, bool,
                                 ("its policy comes with the replication policy", "without a policy of its own")),
}
_POLICY: Final[Mapping[str, Property]] = {
    "settings": Property(lambda t, _p: t.policy, Match.ALL, str, ("has {}",)),
}
PROPERTIES: Final[Mapping[Subject, Mapping[str, Property]]] = MappingProxyType({
    Subject.COMPONENT: _COMPONENT, Subject.LINK: _LINK, Subject.PLACE: _PLACE, Subject.FAILBACK: _FAILBACK,
    Subject.POLICY: _POLICY,
})
"""The properties that a pattern may name, by subject."""

Pattern = tuple[tuple[str, Any], ...]
"""Names of properties with what is wanted: a truth value, a number, or words."""


def elements_of(topology: Topology, subject: Subject) -> tuple[Any, ...]:
    """All elements of one subject."""
    if subject is Subject.COMPONENT:
        return topology.components
    if subject is Subject.LINK:
        return topology.links
    if subject is Subject.PLACE:
        return topology.places
    return (topology.failback,) if subject is Subject.FAILBACK else (topology.policy,)


def name_of(element: Any) -> str:
    """What an element is called in a message."""
    if isinstance(element, Link):
        return f"{element.source} → {element.target}"
    return element.id if isinstance(element, Component | Place) else ""


def _words(subject: Subject, pattern: Pattern) -> str:
    return ", ".join(PROPERTIES[subject][name].told(wanted) for name, wanted in pattern)


def _called(subject: Subject, chosen: Pattern) -> str:
    """The subject of a sentence: `link from a to b, for data`."""
    words = {name: PROPERTIES[subject][name].told(wanted) for name, wanted in chosen}
    first = [words.pop("kind", str(subject)), *(words.pop(name) for name in _WHERE if name in words)]
    return ", ".join([" ".join(first), *words.values()])


_WHERE: Final = ("from", "from_side", "to", "to_side", "touches", "side")
"""What is said at once of a thing, before the commas begin."""


# ------------------------------------------------------------------------------------------------------ expectations


@frozen
class Every:
    """Everything of `subject` that fits `chosen` has the properties `wanted`; there are `count` of them, or at least one."""

    subject: Subject
    chosen: Pattern = ()
    wanted: Pattern = ()
    count: int | None = None

    def __str__(self) -> str:
        number = "" if self.count is None else f" ({self.count})"
        return _called(self.subject, self.chosen) + number + (": " if self.wanted else "") + _words(self.subject, self.wanted)

    def choice(self, topology: Topology) -> tuple[Any, ...]:
        """The elements that it speaks of."""
        table = PROPERTIES[self.subject]
        return tuple(element for element in elements_of(topology, self.subject)
                     if all(table[name].fits(topology, element, wanted) for name, wanted in self.chosen))

    def concerns(self, topology: Topology) -> bool:
        """Whether there is anything that it speaks of."""
        return bool(self.choice(topology))

    def wrong(self, topology: Topology) -> tuple[str, ...]:
        """What is wrong with `topology`."""
        table, chosen = PROPERTIES[self.subject], self.choice(topology)
        called = _called(self.subject, self.chosen)
        rows = [f"no {called}"] if not chosen else []
        if chosen and self.count is not None and len(chosen) != self.count:
            rows.append(f"{len(chosen)} instead of {self.count}: {called}")
        for element in chosen:
            for name, wanted in self.wanted:
                if not table[name].fits(topology, element, wanted):
                    seen = _shown(table[name].seen(topology, element))
                    rows.append(f"{name_of(element) or self.subject}: {name} is {seen}, not “{table[name].told(wanted)}”")
        return tuple(rows)


@frozen
class Never:
    """Nothing of `subject` fits `chosen`."""

    subject: Subject
    chosen: Pattern

    def __str__(self) -> str:
        return f"no {_called(self.subject, self.chosen)}"

    def concerns(self, topology: Topology) -> bool:
        """Whether a component of each kind that it names is deployed."""
        deployed = {component.kind for component in topology.components}
        named = [wanted for name, wanted in self.chosen if PROPERTIES[self.subject][name].of is Kind]
        return all(deployed & set(kinds) for kinds in named)

    def wrong(self, topology: Topology) -> tuple[str, ...]:
        """What is wrong with `topology`."""
        found = Every(self.subject, self.chosen).choice(topology)
        return tuple(f"{name_of(element)} is a {_called(self.subject, self.chosen)}" for element in found)


@frozen
class FactIs:
    """A behaviour fact of the flow has this value."""

    fact: str
    value: bool

    def __str__(self) -> str:
        return f"{self.fact} is {str(self.value).lower()}"

    def concerns(self, _topology: Topology) -> bool:
        """Every flow has every fact."""
        return True

    def wrong(self, topology: Topology) -> tuple[str, ...]:
        """What is wrong with `topology`."""
        found = topology.facts.get(self.fact)
        return () if found is self.value else (f"{self.fact} is {_shown(found)}, not {_shown(self.value)}",)


@frozen
class Like:
    """The flow is the built-in flow `of`: its links and facts, and its components with their kind, place and use. Those in
    `apart_from` may differ in their place and use, and are there all the same."""

    of: str
    apart_from: tuple[str, ...] = ()

    def __str__(self) -> str:
        apart = f", apart from {', '.join(self.apart_from)}" if self.apart_from else ""
        return f"components, links and facts of {self.of}{apart}"

    def concerns(self, _topology: Topology) -> bool:
        """It can be asked of any flow."""
        return True

    def wrong(self, topology: Topology) -> tuple[str, ...]:
        """What is wrong with `topology`."""
        base, rows = built_in(self.of), []
        for one in base.components:
            own = component_of(topology, one.id)
            if own is None or own.kind is not one.kind:
                rows.append(f"no {one.kind} {one.id}")
            elif one.id not in self.apart_from and (own.place, own.used_for) != (one.place, one.used_for):
                rows.append(f"{one.id} is at {own.place} for {own.used_for}, not at {one.place} for {one.used_for}")
        rows += [f"{name_of(link)} is missing or differs" for link in base.links if link not in topology.links]
        rows += [f"{fact} is {_shown(topology.facts.get(fact))}, not {_shown(value)}"
                 for fact, value in base.fact_values if topology.facts.get(fact) is not value]
        return tuple(rows)


Expectation = Every | Never | FactIs | Like


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int):
        return str(value)
    return ", ".join(value) or "nothing"
