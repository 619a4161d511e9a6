"""Levels: the parts of the specification that are modelled and proved each on its own.

Rules
1. A level is a vocabulary, actions, claims of numbered promises, and lemmas; its model is built from a topology's facts. The
   promise level says what a customer is promised; others look at one thing more closely, or say how it is delivered.
2. A promise may have claims at several levels; it is kept in a flow where every level that has claims for it shows them. So
   a row of the table is promise and level.
3. `reach` says what a proof at the level speaks of. The scopes bound searches only, never the model.
4. What an exploration asks for, a level says in terms over its vocabulary: when an accepted job is `pending`, what it is to be
   at `home`, and when an operator's own request or a declared loss has `ended` the way there.
5. A level applies in a flow where its `needs`, a term over facts, is true.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs
import z3

from siteproof.model.claims import Claim, Promise
from siteproof.model.engines.scope import Scope
from siteproof.model.system import Facts, Model
from siteproof.model.terms import Bool

__all__ = ["Level", "level", "level_ids", "levels", "promise_ids"]


@attrs.frozen(eq=False)
class Level:
    """One level. `build` makes its model from a topology's id and facts. `scopes`: the widest that a search tries first, and
    the ones that it can finish, small to large; `narrow` are those that leave one thing out, so that everything else fits.
    `pending`, `home` and `ended` are terms over one state (rule 4); without them
    nothing is asked about jobs and the way home."""

    id: str
    title: str
    reach: str
    build: Callable[[str, Mapping[str, bool]], Model]
    promises: tuple[Promise, ...]
    lemmas: tuple[Claim, ...]
    wide: Scope
    scopes: tuple[Scope, ...]
    needs: Callable[[Facts], Bool] | None = None
    pending: Callable[[Any], Bool] | None = None
    home: Callable[[Any], Bool] | None = None
    ended: Callable[[Any], Bool] | None = None
    narrow: tuple[Scope, ...] = ()

    def applies(self, facts: Mapping[str, bool]) -> bool:
        """Whether the level says anything about a flow with these facts."""
        if self.needs is None:
            return True
        known = Facts(facts)
        return bool(z3.is_true(known.fold(self.needs(known).node)))


def levels() -> tuple[Level, ...]:
    """All levels, the promise level first."""
    from siteproof.model.aspects import ASPECTS
    from siteproof.model.disks import LEVEL as DISKS
    from siteproof.model.gateway import LEVEL as GATEWAY
    from siteproof.model.group import LEVEL as GROUP
    from siteproof.model.plan import LEVEL as PLAN
    from siteproof.model.promise import LEVEL as PROMISE

    return (PROMISE, GROUP, DISKS, GATEWAY, PLAN, *ASPECTS)


def level_ids() -> tuple[str, ...]:
    """The ids of all levels."""
    return tuple(one.id for one in levels())


def level(id: str) -> Level:
    """The level called `id`. Raises `KeyError` for an unknown one."""
    return {one.id: one for one in levels()}[id]


def promise_ids(among: Collection[Level] | None = None) -> tuple[str, ...]:
    """The ids of all promises for which some level has claims, in numerical order."""
    found = {promise.id for one in (levels() if among is None else among) for promise in one.promises}
    return tuple(sorted(found, key=lambda id: int(id[1:])))
