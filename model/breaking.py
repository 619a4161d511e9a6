"""Breaking an expectation on purpose: every way in which a topology can fail to be as a requirement says.

Rules
1. A breaking changes a loaded topology, by value, in one respect: it takes away what has to be there, adds what must not be,
   or gives one property of one element another value. It is derived from the expectation and from nothing else.
2. Each part of an expectation is broken on its own: every property of every element that it speaks of, and in a list each
   item, so that a part which no check looks at is found.
3. The result need not be a topology that the loader would accept. It is there to be judged, never to be used.
4. A check that does not see a breaking proves nothing; a test demands that every one is seen (`tests/model/test_carriers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from attrs import evolve, frozen

from siteproof.model.deployment import (
    Authentication,
    Carries,
    Component,
    Direction,
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
from siteproof.model.expectations import (
    Every,
    Expectation,
    FactIs,
    Like,
    Never,
    Subject,
    built_in,
    kind_of,
    name_of,
    side_at,
)
from siteproof.model.topology import Topology

__all__ = ["BREAKABLE", "Breaking", "breakings"]

Breaker = Callable[[Topology, Any, Any], Iterable[Topology]]
"""The ways to take from an element what is wanted of one of its properties."""


@frozen
class Breaking:
    """A topology in which one thing is not as expected, and in words which."""

    what: str
    topology: Topology


def breakings(expectation: Expectation, topology: Topology) -> Iterator[Breaking]:
    """Every way to break `expectation`, which holds in `topology`."""
    if isinstance(expectation, Every):
        yield from _every(expectation, topology)
    elif isinstance(expectation, Never):
        yield Breaking(f"adds {str(expectation).removeprefix('no ')}", _with_a(topology, expectation))
    elif isinstance(expectation, FactIs):
        yield Breaking(f"flips {expectation.fact}", _flipped(topology, expectation.fact))
    else:
        yield from _like(expectation, topology)


def _every(expectation: Every, topology: Topology) -> Iterator[Breaking]:
    chosen = expectation.choice(topology)
    if expectation.subject in _FIELDS:
        yield Breaking("takes them all away", _replaced(topology, expectation.subject, {id(one): () for one in chosen}))
    if expectation.count is not None:
        twice = {id(chosen[0]): (chosen[0], evolve(chosen[0], id=f"{chosen[0].id}-again"))}
        yield Breaking("adds another one", _replaced(topology, expectation.subject, twice))
    for element in chosen:
        for name, wanted in expectation.wanted:
            for changed in BREAKABLE[expectation.subject][name](topology, element, wanted):
                yield Breaking(f"changes {name} of {name_of(element) or expectation.subject}", changed)


def _like(expectation: Like, topology: Topology) -> Iterator[Breaking]:
    base = built_in(expectation.of)
    named = {component.id for component in base.components}
    for component in topology.components:
        if component.id in named:
            less = _replaced(topology, Subject.COMPONENT, {id(component): ()})
            yield Breaking(f"takes {component.id} away", less)
            other = next(kind for kind in Kind if kind is not component.kind)
            other_kind = _changed(topology, component, kind=other)
            yield Breaking(f"changes kind of {component.id}", other_kind)
            if component.id not in expectation.apart_from:
                for changed in _other("used_for", Direction)(topology, component, (component.used_for,)):
                    yield Breaking(f"changes used_for of {component.id}", changed)
                for changed in _elsewhere(topology, component, (side_at(topology, component.id),)):
                    yield Breaking(f"changes place of {component.id}", changed)
    for link in topology.links:
        if link in base.links:
            yield Breaking(f"takes {name_of(link)} away", _replaced(topology, Subject.LINK, {id(link): ()}))
    for fact, _ in base.fact_values:
        yield Breaking(f"flips {fact}", _flipped(topology, fact))


# ------------------------------------------------------------------------------------------------- changing a value

_FIELDS: Final[Mapping[Subject, str]] = {
    Subject.COMPONENT: "components", Subject.LINK: "links", Subject.PLACE: "places",
}
"""Where the elements of a subject stand in a topology."""


def _replaced(topology: Topology, subject: Subject, by: Mapping[int, tuple[Any, ...]]) -> Topology:
    """`topology` with elements, known by identity, replaced by others."""
    field = _FIELDS[subject]
    changed: dict[str, Any] = {field: tuple(new for old in getattr(topology, field) for new in by.get(id(old), (old,)))}
    return evolve(topology, **changed)


def _changed(topology: Topology, element: Any, **values: Any) -> Topology:
    """`topology` with other values of one element."""
    if element is topology.failback:
        return evolve(topology, failback=evolve(element, **values))
    subject = {Component: Subject.COMPONENT, Link: Subject.LINK, Place: Subject.PLACE}[type(element)]
    return _replaced(topology, subject, {id(element): (evolve(element, **values),)})


def _flipped(topology: Topology, fact: str) -> Topology:
    return evolve(topology, fact_values=tuple((n, not v if n == fact else v) for n, v in topology.fact_values))


# ------------------------------------------------------------------------------------------------- breaking a property

def _flip(name: str) -> Breaker:
    return lambda topology, element, wanted: [_changed(topology, element, **{name: not wanted})]


def _other(name: str, kinds: type[StrEnum]) -> Breaker:
    """Each other word of an enumeration."""
    return lambda topology, element, wanted: [
        _changed(topology, element, **{name: kind}) for kind in kinds if kind not in wanted]


def _items(name: str, kinds: type[StrEnum]) -> Breaker:
    """A list without each of its items, and with each item that does not belong there."""
    def broken(topology: Topology, element: Any, wanted: Any) -> Iterator[Topology]:
        for item in wanted:
            yield _changed(topology, element, **{name: tuple(i for i in getattr(element, name) if i != item)})
        for item in kinds:
            if item not in wanted:
                yield _changed(topology, element, **{name: (*getattr(element, name), item)})
    return broken


def _elsewhere(topology: Topology, component: Component, wanted: Any) -> Iterator[Topology]:
    """The component at each place of another side."""
    for place in topology.places:
        if place.side not in wanted:
            yield _changed(topology, component, place=place.id)


def _unhosted(topology: Topology, component: Component, _wanted: Any) -> Iterator[Topology]:
    yield _changed(topology, component, host="")


def _without_features(topology: Topology, component: Component, wanted: Any) -> Iterator[Topology]:
    for feature in wanted:
        yield _changed(topology, component, features=tuple(f for f in component.features if f != feature))


def _with_features(topology: Topology, component: Component, wanted: Any) -> Iterator[Topology]:
    for feature in wanted:
        yield _changed(topology, component, features=(*component.features, feature))


def _parted(topology: Topology, component: Component, wanted: Any) -> Iterator[Topology]:
    """The component no longer joined to those of one kind."""
    for kind in wanted:
        yield _changed(topology, component, joined_to=tuple(n for n in component.joined_to if kind_of(topology, n) is not kind))


def _emptied(topology: Topology, component: Component, wanted: Any) -> Iterator[Topology]:
    """Nothing of one kind runs on the component."""
    for kind in wanted:
        gone = [other for other in topology.components if other.host == component.id and other.kind is kind]
        yield _replaced(topology, Subject.COMPONENT, {id(other): () for other in gone})


def _end(name: str) -> Breaker:
    """A link that ends at another component of the same side, of a kind that is not wanted."""
    def broken(topology: Topology, link: Link, wanted: Any) -> Iterator[Topology]:
        here = getattr(link, name)
        others = [c.id for c in topology.components
                  if c.kind not in wanted and side_at(topology, c.id) is side_at(topology, here)]
        yield from (_changed(topology, link, **{name: other}) for other in others[:1])
    return broken


def _other_port(topology: Topology, link: Link, wanted: Any) -> Iterator[Topology]:
    yield _changed(topology, link, port=wanted + 1)
    yield _changed(topology, link, port=None)


def _needs_less(topology: Topology, setup: Any, wanted: Any) -> Iterator[Topology]:
    for kind in wanted:
        yield _changed(topology, setup, components=tuple(n for n in setup.components if kind_of(topology, n) is not kind))


def _unsaid(topology: Topology, _policy: Any, wanted: Any) -> Iterator[Topology]:
    for setting in wanted:
        yield evolve(topology, policy_values=tuple((n, v) for n, v in topology.policy_values if n != setting))


BREAKABLE: Final[Mapping[Subject, Mapping[str, Breaker]]] = MappingProxyType({
    Subject.COMPONENT: {
        "side": _elsewhere, "host": _unhosted, "runs_on": _unhosted, "optional": _flip("optional"),
        "install": _other("install", Install), "used_for": _other("used_for", Direction), "features": _without_features,
        "lacks": _with_features, "joined_to": _parted, "holds": _emptied,
    },
    Subject.LINK: {
        "from": _end("source"), "to": _end("target"), "carries": _other("carries", Carries),
        "protocol": _other("protocol", Protocol), "port": _other_port, "configurable_port": _flip("configurable_port"),
        "encrypted": _flip("encrypted"), "paths": _items("paths", Route),
        "authentication": _items("authentication", Authentication),
    },
    Subject.PLACE: {"encrypted_at_rest": _flip("encrypted_at_rest")},
    Subject.FAILBACK: {
        "targets": _items("targets", MachineKind), "locations": _items("locations", Location),
        "synchronisation": _items("synchronisation", Synchronisation), "needs": _needs_less, "paths": _items("paths", Route),
        "automatic_policy": _flip("automatic_policy"),
    },
    Subject.POLICY: {"settings": _unsaid},
})
"""How each property that may be wanted is broken. What is not here can choose, but cannot be wanted."""


# ------------------------------------------------------------------------------------------- adding what must not be

def _with_a(topology: Topology, expectation: Never) -> Topology:
    """`topology` with an element that fits the pattern, and with the components that it needs."""
    pattern = dict(expectation.chosen)
    if expectation.subject is Subject.COMPONENT:
        return _with_component(topology, "seeded", pattern)[0]
    source_side, target_side = pattern.get("from_side", (None,))[0], pattern.get("to_side", (None,))[0]
    topology, source = _some(topology, "seeded-source", pattern.get("from", ()), source_side)
    topology, target = _some(topology, "seeded-target", pattern.get("to", pattern.get("touches", ())), target_side)
    link = Link(
        source=source, target=target, protocol=pattern.get("protocol", (Protocol.TCP,))[0], port=pattern.get("port"),
        configurable_port=False, direction=pattern.get("serves", (Direction.BOTH,))[0],
        carries=pattern.get("carries", (Carries.DATA,))[0], encrypted=pattern.get("encrypted", True),
        paths=pattern.get("path", (Route.LAN,))[:1], authentication=(), requirements=())
    return evolve(topology, links=(*topology.links, link))


def _some(topology: Topology, id: str, kinds: tuple[Kind, ...], side: Side | None) -> tuple[Topology, str]:
    """The id of a component of one of `kinds` on `side`, added if there is none."""
    for component in topology.components:
        if (not kinds or component.kind in kinds) and side in (None, side_at(topology, component.id)):
            return topology, component.id
    pattern: dict[str, Any] = {"kind": kinds or (Kind.MACHINE,)} | ({} if side is None else {"side": (side,)})
    return _with_component(topology, id, pattern)


def _with_component(topology: Topology, id: str, pattern: Mapping[str, Any]) -> tuple[Topology, str]:
    side = pattern.get("side", (Side.PRIMARY,))[0]
    place = next(place.id for place in topology.places if place.side is side)
    host = ""
    for name in ("host", "runs_on"):
        if name in pattern:
            topology, host = _some(topology, f"{id}-host", pattern[name], None)
    added = Component(
        id=id, title=id, kind=pattern.get("kind", (Kind.MACHINE,))[0], place=place, host=host,
        optional=pattern.get("optional", False), install=pattern.get("install", (Install.UNSPECIFIED,))[0],
        used_for=pattern.get("used_for", (Direction.BOTH,))[0], features=pattern.get("features", ()), joined_to=(),
        requirements=())
    return evolve(topology, components=(*topology.components, added)), id

