"""A recorded run as values (`docs/trace.md`): what a file of one JSON object a line comes to.

Rules
1. The first line says what the file is and its version, the last that it is whole. Between them stand cases: a line that opens
   one, then its entries. An entry is a command with its answer and what was seen after it; or, of the kind `look`, only seen;
   or a *gap*: something may have been asked of a machine here that nobody told.
2. Everything but the kind and the command's own arguments may be left out. What is left out is unknown; unknown is not false.
3. Entries without times happened one after the other, as they stand. A time (seconds, or ISO 8601 text) is an instant (`at`) or
   a span (`start`, `end`; without `end`: never answered); entries with times stand in the order of their beginnings.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from siteproof.conformance.case import Command, Scenario, Settle, describe
from siteproof.conformance.content import View
from siteproof.conformance.driver import Answer, Observation
from siteproof.conformance.judgement import said
from siteproof.model.errors import SiteproofError, one_line

__all__ = ["FORMAT", "HIDDEN", "KIND", "SEE", "UNSEEN", "Entry", "TraceCase", "TraceError", "seconds_of", "told_view"]

FORMAT = 1
KIND = "siteproof trace"
UNSEEN = ("writes", "faults")
"""What may go on in a case without standing in its trace."""
HIDDEN = 6
"""Operations that a gap may hide, where it does not say how many: after a failover, its commit and a reversal, there and back,
every state of the lifecycle has been reached that can be."""
SEE = "see docs/trace.md"


class TraceError(SiteproofError):
    """A file is no trace that this version reads. Names file and line, what was found and expected, and how to mend it."""

    exit_code = 4

    def __init__(self, file: Path | str, line: int, found: str, expected: str, mend: str = SEE) -> None:
        super().__init__(str(file), line, found, expected, mend)
        self.file, self.line, self.found, self.expected, self.mend = str(file), line, one_line(found), one_line(expected), mend

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{place}: found {self.found}; expected {self.expected}; to mend: {self.mend}"


@attrs.frozen
class Entry:
    """One line of a case. `command` is None for a look; `point` is what a request named, an id or a word. `answer` is None where
    it is unknown, True where the command has none. `read` has contents by place: a point's id, a side, `test`. `again`: points
    that were read once more and had changed. `gap` has the machines of which something may not be told here: up to `hidden`
    operations; `about` is what is known of it. `start` and `end` are seconds; None: in the order of the file. `time` is the
    system's own when it was seen, in seconds."""

    line: int
    command: Command | None
    point: str | None = None
    answer: Answer | bool | None = None
    skipped: bool = False
    start: float | None = None
    end: float | None = None
    seen: Mapping[str, Observation] = attrs.Factory(dict)
    read: Mapping[str, Mapping[str, View]] = attrs.Factory(dict)
    again: Mapping[str, Mapping[str, View]] = attrs.Factory(dict)
    branch: int = 0
    assumed: str = ""
    time: float | None = None
    gap: frozenset[str] = frozenset()
    hidden: int = 0
    about: str = ""

    @property
    def rested(self) -> bool:
        """Whether the system stood still afterwards."""
        return isinstance(self.command, Settle) and self.answer is True

    @property
    def text(self) -> str:
        """The entry in one line of English."""
        if self.gap:
            return f"not told: {self.about or 'something'}"
        if self.command is None:
            return "what was seen"
        told = describe(self.command)
        if self.skipped:
            return told + ": skipped, the driver cannot do it"
        return told + ("" if isinstance(self.command, Settle) else said(self.answer))


@attrs.frozen
class TraceCase:
    """One case of a trace. `recorded`: a run wrote it, from the start of its system. `found` is what the run itself said of it:
    None when it said nothing."""

    line: int
    scenario: Scenario
    seed: int
    moves_by_itself: bool
    strict_order: bool
    unseen: frozenset[str]
    entries: tuple[Entry, ...]
    found: Mapping[str, Any] | None = None
    recorded: bool = False


def told_view(view: View) -> dict[str, Any]:
    """A content as it stands in a trace: block address to write number, and what is neither base nor write."""
    row: dict[str, Any] = {"writes": {str(a): s for a, s in sorted(view.content.items())}}
    if view.rubbish:
        row["rubbish"] = [[address, text] for address, text in view.rubbish]
    return row


def seconds_of(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time with any number of fractional digits; without a zone it is UTC. Raises
    `ValueError`."""
    whole, dot, rest = text.strip().replace("Z", "+00:00").partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    found = datetime.fromisoformat(whole + (dot + rest[:digits][:6].ljust(6, "0") + rest[digits:] if dot else ""))
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
