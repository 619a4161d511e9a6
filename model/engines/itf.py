"""Traces as ITF JSON, the Informal Trace Format of Apalache (its ADR-015), which other tools read.

Rules
1. One state an entry, the initial one first; `vars` lists the model's variables in their order.
2. Numbers are `{"#bigint": "n"}`, truth values JSON's, enumeration members their public words.
3. `#meta` of a state says which action led to it, with its arguments; that of the trace says what is wrong at the end and
   how it was found, so that a reader of the file alone knows what it shows.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

from siteproof.model.results import Trace

__all__ = ["itf_json", "itf_value"]


def itf_value(value: Any) -> Any:
    """A decoded value of the model in ITF."""
    if isinstance(value, Enum):
        return value.value
    return value if isinstance(value, bool | str) else {"#bigint": str(value)}


def itf_json(trace: Trace, source: str = "") -> str:
    """`trace` as an ITF document; `source` names the model that it is a run of."""
    now, states = dict(trace.initial), []
    for number in range(len(trace.steps) + 1):
        meta: dict[str, Any] = {"index": number}
        if number:
            step = trace.steps[number - 1]
            now |= step.changed
            meta |= {"action": step.action, "arguments": {name: itf_value(v) for name, v in step.arguments.items()}}
        states.append({"#meta": meta} | {name: itf_value(value) for name, value in now.items()})
    meta = {"format": "ITF", "format-description": "https://apalache-mc.org/docs/adr/015adr-trace.html", "source": source,
            "description": trace.conclusion, "method": trace.method, "shortest": trace.shortest}
    return json.dumps({"#meta": meta, "vars": list(trace.initial), "states": states}, indent=1, ensure_ascii=False) + "\n"
