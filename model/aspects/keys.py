"""Encryption at rest: which recovery points can be read when keys change or are lost (P15).

Rules
1. Every point is encrypted under the key that is current when it is made. *Rotation* makes a new key current; the old one stays
   as long as a point needs it. Keys that no point needs may be *retired*.
2. A key may be *lost*, all copies of it. The points under it cannot be read any more; they are withdrawn, and until that has
   happened a restore looks for the key first and fails cleanly.
3. One arbitrary point is followed, so what holds for it holds for every point.

Sources: domain 2.6; V2A-13, V2A-34 (replication data is encrypted before it is stored).
"""

from __future__ import annotations

from collections.abc import Mapping

from siteproof.model.catalogue import promise
from siteproof.model.claims import Claim, always, step
from siteproof.model.engines.scope import Scope
from siteproof.model.level import Level
from siteproof.model.system import (
    ActionRule,
    Facts,
    Model,
    Step,
    Vocabulary,
    build_model,
    environment,
    flag,
    internal,
    nat,
    remembered,
)
from siteproof.model.terms import And, Bool, Implies, Not, Or

__all__ = ["LEVEL", "Vault"]


class Vault(Vocabulary):
    """The keys of one machine's points, and one arbitrary point."""

    current = nat(0, "number of the key under which new points are made")
    advertised = flag(False, "the kept point is advertised")
    under = nat(0, "number of the key that the kept point needs")
    held = flag(False, "the key that the kept point needs is there")
    lost = flag(False, "the key that the kept point needs has been lost")
    withdrawn = flag(False, "the kept point has been withdrawn, since its key is lost")
    read = flag(False, "the kept point has been read for a restore")


@internal(("V2A-13", "V2A-34"), fair=False)
def cut_point(_t: Facts, m: Vault) -> Step:
    """The kept point is made, under the current key."""
    return Step(
        requires=[Not(m.advertised), Not(m.withdrawn)],
        changes=[
            m.advertised.becomes(True), m.under.becomes(m.current), m.held.becomes(True), m.lost.becomes(False),
            m.read.becomes(False),
        ],
    )


@environment()
def rotate(_t: Facts, m: Vault) -> Step:
    """A new key becomes current."""
    return Step(requires=[], changes=[m.current.becomes(m.current + 1)])


@internal((), fair=False)
def retire_key(t: Facts, m: Vault) -> Step:
    """The key of the kept point is thrown away: it is not current, and no advertised point needs it."""
    unused = Implies(t["keys.kept_while_used"], Not(m.advertised))
    return Step(requires=[m.held, m.under < m.current, unused], changes=[m.held.becomes(False)])


@environment()
def lose_key(_t: Facts, m: Vault) -> Step:
    """All copies of the key are lost."""
    return Step(requires=[m.held], changes=[m.held.becomes(False), m.lost.becomes(True)])


@internal(())
def withdraw(_t: Facts, m: Vault) -> Step:
    """A point whose key is lost is no longer advertised."""
    return Step(
        requires=[m.advertised, m.lost], changes=[m.advertised.becomes(False), m.withdrawn.becomes(True)]
    )


@internal((), fair=False)
def remove_point(_t: Facts, m: Vault) -> Step:
    """Retention, commit or disabling removes the point."""
    return Step(requires=[m.advertised, Not(m.lost)], changes=[m.advertised.becomes(False)])


@environment(("V2A-46",))
def restore(t: Facts, m: Vault) -> Step:
    """Somebody fails over to the point: it is read, if its key is there."""
    return Step(requires=[m.advertised, Implies(t["keys.checked_before_use"], m.held)], changes=[m.read.becomes(True)])


RULES: tuple[ActionRule, ...] = (cut_point, rotate, retire_key, lose_key, withdraw, remove_point, restore)


def _used(t: Facts) -> Bool:
    return t["keys.used"]


P15 = promise("P15", (
    always("rotation keeps every advertised point readable", lambda m: m.held,
           given=lambda m: And(m.advertised, m.under < m.current, Not(m.lost))),
    always("an advertised point whose key was not lost can be read", lambda m: m.held,
           given=lambda m: And(m.advertised, Not(m.lost))),
    step("nothing is read without its key", lambda a, _b: a.held, on=("restore",)),
    step("a point withdrawn for its key does not come back", lambda _a, b: Not(b.advertised),
         given=lambda a, _b: a.withdrawn),
    step("a key that an advertised point needs is never thrown away", lambda _a, b: Or(b.held, b.lost),
         given=lambda a, _b: And(a.advertised, a.held)),
))

LEMMAS: tuple[Claim, ...] = (
    always("withdrawn_is_gone", lambda m: Implies(m.withdrawn, Not(m.advertised))),
    always("keys_are_made_in_order", lambda m: m.under <= m.current),
)


@remembered
def model(name: str, facts: Mapping[str, bool]) -> Model:
    """The keys of one machine of a flow."""
    return build_model(name, "keys", Vault, RULES, facts)


LEVEL = Level(
    "keys", "encryption at rest", "one machine, any number of keys and points", model, (P15,), LEMMAS,
    Scope.only(current=3), (Scope.only(current=2),), _used)
