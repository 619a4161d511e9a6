"""The events of campaigns as NDJSON: one object a line, written while they happen (`docs/json.md`).

It is a consumer of the runner's stream (`siteproof.conformance.runner.CampaignEvent`), as progress on a terminal is another;
nothing here counts or judges.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

from siteproof.conformance.report.data import emitted
from siteproof.conformance.runner import CampaignEvent

__all__ = ["EventFile"]

SCHEMA = "siteproof.events/1"


class EventFile:
    """A file of events; a context, and what is called with each event. Raises `OSError` when it cannot be written."""

    def __init__(self, file: Path, version: str, command: str) -> None:
        self._stream: IO[str] = file.open("w", encoding="utf-8")
        self._line({"schema": SCHEMA, "siteproof": version, "command": command})

    def __enter__(self) -> EventFile:
        return self

    def __exit__(self, *_details: object) -> None:
        self._stream.close()

    def __call__(self, event: CampaignEvent) -> None:
        told = emitted(event)
        kind = told.pop("kind")
        self._line({"event": kind, **{key: value for key, value in told.items() if value not in (None, "")}})

    def _line(self, row: dict[str, object]) -> None:
        self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._stream.flush()
