"""All levels of the specification, and the promises that they make claims of.

Rules
1. The promise level says what a customer is promised; others look at one thing more closely, or say how it is delivered. What a
   level is, `siteproof.model.level` says.
2. A promise may have claims at several levels; it is kept in a flow where every level that has claims for it shows them. So
   a row of the table is promise and level.
"""

from __future__ import annotations

from collections.abc import Collection

from siteproof.model.aspects import ASPECTS
from siteproof.model.disks import LEVEL as DISKS
from siteproof.model.gateway import LEVEL as GATEWAY
from siteproof.model.group import LEVEL as GROUP
from siteproof.model.level import Level
from siteproof.model.plan import LEVEL as PLAN
from siteproof.model.promise import LEVEL as PROMISE
from siteproof.model.protocol import LEVEL as PROTOCOL

__all__ = ["level", "level_ids", "levels", "numbered", "promise_ids"]


def levels() -> tuple[Level, ...]:
    """All levels, the promise level first."""
    return (PROMISE, PROTOCOL, GROUP, DISKS, GATEWAY, PLAN, *ASPECTS)


def level_ids() -> tuple[str, ...]:
    """The ids of all levels."""
    return tuple(one.id for one in levels())


def level(id: str) -> Level:
    """The level called `id`. Raises `KeyError` for an unknown one."""
    return {one.id: one for one in levels()}[id]


def promise_ids(among: Collection[Level] | None = None) -> tuple[str, ...]:
    """The ids of all promises for which some level has claims, in numerical order."""
    found = {promise.id for one in (levels() if among is None else among) for promise in one.promises}
    return tuple(sorted(found, key=numbered))


def numbered(id: str) -> tuple[str, int]:
    """The order in which promises are shown: P1 to P25, then what relates levels."""
    return id[0], int(id[1:])
