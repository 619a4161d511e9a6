"""Values as JSON data: what every report file and every `--json` document is made of."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import attrs

__all__ = ["emitted"]


def emitted(value: Any) -> Any:
    """A value as JSON data: attrs classes as objects, enumerations as their values, folders as text."""
    if attrs.has(type(value)):
        return {field.name: emitted(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return {str(emitted(key)): emitted(one) for key, one in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple | set | frozenset):
        return [emitted(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
