"""What a user can do wrong, and how it is told.

Rules of every message:

* it says whose fault it is: a specification file (`SpecError`) or the command line (`UsageError`);
* it says what was found, what was expected and how to mend it;
* one problem is one line, whatever the file or the argument contained.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from attrs import evolve, frozen

MISSING = "nothing (the key is missing)"
MANY = 4
"""That many missing keys in one place are told in one line."""

Key = tuple[str | int, ...]
"""Where a value stands: the keys from the top of the file, and the number of the element within an array."""


class SiteproofError(Exception):
    """Anything that siteproof tells its user without a traceback. A subclass fixes the exit code."""

    exit_code: int = 5


class UsageError(SiteproofError):
    """The request itself is wrong: an unknown topology, a what-if that names no fact, a value of another type."""

    exit_code = 4

    def __init__(self, found: str, expected: str, mend: str) -> None:
        super().__init__(found, expected, mend)
        self.found, self.expected, self.mend = one_line(found), one_line(expected), one_line(mend)

    def __str__(self) -> str:
        return f"usage error: found {self.found}; expected {self.expected}; to mend: {self.mend}"


@frozen
class Problem:
    """One thing that is wrong with a specification file. `line` counts from 1; it is 0 for what stands on the command line."""

    file: str
    line: int
    key: str
    found: str
    expected: str
    mend: str

    def __str__(self) -> str:
        return one_line(
            f"error in {self.file}{f', line {self.line}' if self.line else ''}: {self.key}: found {self.found}; "
            f"expected {self.expected}; to mend: {self.mend}"
        )


class SpecError(SiteproofError):
    """A specification file is wrong. `problems` holds all that is, in the order of the file's lines."""

    exit_code = 4

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__(self.problems)

    def __str__(self) -> str:
        lines: list[str] = []
        for (_file, _line, missing), group in groupby(self.problems, lambda one: (one.file, one.line, one.found == MISSING)):
            problems = list(group)
            lines += [_all_missing(problems)] if missing and len(problems) >= MANY else map(str, problems)
        return "\n".join(lines)


def _all_missing(problems: list[Problem]) -> str:
    """Many keys that are missing in one place, in one line."""
    keys = ", ".join(problem.key for problem in problems)
    return str(evolve(problems[0], key=keys, found="nothing (these keys are missing)", expected="each of them", mend="add them"))


def one_line(text: str) -> str:
    """`text` without anything that would break or hide a line of output: control characters become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def told(value: Any) -> str:
    """A TOML value as a message shows it: as it would be written in the file, shortened."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        inner = ", ".join(told(item) for item in value[:4])
        return f"[{inner}{', …' if len(value) > 4 else ''}]"
    try:
        text = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool | int) else str(value)
    except ValueError:  # an integer of thousands of digits is not converted
        text = "a number too long to show"
    return text if len(text) <= 60 else text[:57] + "…"


def near(word: str, known: Iterable[str]) -> str:
    """How to mend a word that is none of `known`: the near matches, or all of them when nothing is near."""
    names = sorted(set(known))
    matches = difflib.get_close_matches(word[:80], names, n=3, cutoff=0.6)
    if matches:
        return "did you mean " + " or ".join(matches) + "?"
    shown = ", ".join(names[:60]) + (", …" if len(names) > 60 else "")
    return f"use one of {shown}" if names else "remove it"
