"""What the parts of a diagnosis have in common: a finding, and values in words."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

__all__ = ["Found", "values_told"]


@attrs.frozen
class Found:
    """What is wrong: the field, what was found and what the model allows, the promise that breaks, the conjunct that rejects it,
    and the sentence. `requirements`: those of the operation, where they are not the promise's."""

    field: str
    found: str
    expected: str
    promise: str
    conjunct: str
    sentence: str
    requirements: tuple[str, ...] = ()


def values_told(values: Iterable[object]) -> str:
    """The values that were left, in words, the first four of them."""
    told = sorted({str(v) for v in values})
    return " or ".join(told[:4]) + (f" (or {len(told) - 4} more)" if len(told) > 4 else "") if told else "nothing"
