"""Aspects: levels that look at one thing which the promise level leaves out, each small enough to be read at one go.

`alarm` (lag and its threshold), `retention` (which points age removes), `consistency` (what an app-consistent tag means, and in
which order points stand), `keys` (encryption at rest), `requests` (retries and lost answers). Each has its own variables and
assumes of the others only what its environment actions allow.
"""

from __future__ import annotations

from siteproof.model.aspects.alarm import LEVEL as ALARM
from siteproof.model.aspects.consistency import LEVEL as CONSISTENCY
from siteproof.model.aspects.keys import LEVEL as KEYS
from siteproof.model.aspects.requests import LEVEL as REQUESTS
from siteproof.model.aspects.retention import LEVEL as RETENTION
from siteproof.model.level import Level

__all__ = ["ASPECTS"]

ASPECTS: tuple[Level, ...] = (ALARM, RETENTION, CONSISTENCY, KEYS, REQUESTS)
