"""The numbered requirements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COUNTS: Final[Mapping[str, int]] = {"GEN": 19, "V2A": 59, "P2A": 7, "H2A": 46, "S-V2S": 28, "H2S": 33}
"""How many requirements each family has; they are numbered from 1."""


def requirement_ids() -> frozenset[str]:
    """The ids of all requirements."""
    return frozenset(f"{family}-{n}" for family, count in COUNTS.items() for n in range(1, count + 1))
