"""Strict reading of a table of TOML: every key is asked for by name and type, and a key that nobody asked for is an error.

Every error names file, key, what was found, what was expected, and how to mend it. Quantities are written as a person would:
a duration as ``90s``, ``10m`` or ``1h30m``, a size as ``4 MiB``.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from .errors import ScenarioError

__all__ = ["Table", "read_table"]

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?\Z")
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB|TiB)\Z")
_UNITS = {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}


def _told(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _one_of(names: Collection[str]) -> str:
    return "one of " + ", ".join(sorted(names)) if names else "nothing: there is none"


def _write(expected: str) -> str:
    """How to mend what is not as expected; names are listed once."""
    return "write one of these" if expected.startswith("one of ") else f"write {expected}"


def _nearest(key: str, known: Collection[str]) -> str | None:
    """The key that was meant, perhaps: one that differs in its unit alone before one that is written alike."""
    stem, _, unit = key.rpartition("_")
    same = sorted(one for one in known if stem and unit and one.rpartition("_")[0] == stem)
    return next(iter(same or difflib.get_close_matches(key, known, 1)), None)


def read_table(path: Path) -> Table:
    """The top table of a TOML file.

    Raises:
        ScenarioError: the file cannot be read, or is not TOML; the parser's message has the line.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(str(path), "", error.strerror or "no file", "a TOML file that can be read", "name one") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        found, mend = str(error), "correct that line"
        if found.startswith("Illegal character '\\n'"):
            found, mend = found.replace("Illegal character '\\n'", "a string that does not end on its line"), "close the string"
        raise ScenarioError(str(path), "", found, "TOML in UTF-8", mend) from error
    return Table(raw, str(path), "")


class Table:
    """One table and where it stands. ``done`` has to be called when everything has been asked for."""

    def __init__(self, raw: Mapping[str, Any], file: str, where: str) -> None:
        self.file = file
        self.where = where
        self._raw = raw
        self._asked: set[str] = set()
        self._known: set[str] = set()

    def key(self, key: str) -> str:
        """The full name of a key."""
        return f"{self.where}.{key}" if self.where else key

    def error(self, key: str, found: object, expected: str, mend: str) -> ScenarioError:
        """An error at a key of this table; ``found`` is a value of the file."""
        return ScenarioError(self.file, self.key(key) if key else self.where, _told(found), expected, mend)

    def __contains__(self, key: str) -> bool:
        self._known.add(key)
        return key in self._raw

    def names(self) -> list[str]:
        """The keys, in the order of the file; all of them count as asked for."""
        self._asked.update(self._raw)
        return list(self._raw)

    def _get(self, key: str, kind: type | tuple[type, ...], expected: str, default: Any) -> Any:
        self._asked.add(key)
        if key not in self._raw:
            if default is ...:
                raise ScenarioError(self.file, self.key(key), "nothing", expected, f"add {key} = …")
            return default
        value = self._raw[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(key, value, expected, _write(expected))
        return value

    def text(self, key: str, default: Any = ..., *, among: Collection[str] | None = None) -> Any:
        """A string, from a set of names if one is given."""
        expected = "a string" if among is None else _one_of(among)
        value = self._get(key, str, expected, default)
        if among is not None and value is not default and value not in among:
            near = difflib.get_close_matches(value, list(among), 1)
            raise self.error(key, value, expected, f"did you mean {near[0]}?" if near else _write(expected))
        return value

    def texts(self, key: str, default: Any = ..., *, among: Collection[str] | None = None) -> tuple[str, ...]:
        """An array of strings that differ."""
        value = self._get(key, list, "an array of strings", default)
        if value is default:
            return tuple(value)
        for one in value:
            if not isinstance(one, str) or (among is not None and one not in among):
                raise self.error(key, one, "a string" if among is None else _one_of(among), "correct the name")
        if len(set(value)) != len(value):
            raise self.error(key, value, "each name once", "leave out what is there twice")
        return tuple(value)

    def number(self, key: str, default: Any = ..., *, least: float = 0, most: float | None = None) -> Any:
        """A number within limits."""
        expected = f"a number of at least {least:g}" + ("" if most is None else f" and at most {most:g}")
        value = self._get(key, (int, float), expected, default)
        if value is not default and not (value >= least and (most is None or value <= most)):
            raise self.error(key, value, expected, f"write {expected}")
        return value

    def whole(self, key: str, default: Any = ..., *, least: int = 0, most: int | None = None) -> Any:
        """A whole number within limits."""
        value = self.number(key, default, least=least, most=most)
        if isinstance(value, float):
            raise self.error(key, value, "a whole number", "leave out the fraction")
        return value

    def flag(self, key: str, default: Any = ...) -> Any:
        """``true`` or ``false``."""
        return self._get(key, bool, "true or false", default)

    def duration(self, key: str, default: Any = ..., *, most: float = math.inf) -> Any:
        """Seconds of ``90s``, ``10m``, ``1h30m``, and no more than so many."""
        expected = "a duration such as 90s, 10m or 1h30m"
        value = self._get(key, str, expected, default)
        if value is default:
            return value
        found = _DURATION.match(value)
        if not value or found is None:
            back = "leave out the sign: time does not go back" if value.startswith("-") else ""
            raise self.error(key, value, expected, back or "write hours, minutes and seconds in this order")
        seconds = sum(float(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True))
        if seconds > most:
            raise self.error(key, value, f"a duration of at most {most / 3600:g}h ({most / 86400:g} days)", "write a shorter one")
        return seconds

    def size(self, key: str, default: Any = ...) -> Any:
        """Bytes of ``4 MiB``."""
        expected = "a size such as 512 KiB, 4 MiB or 1 GiB"
        value = self._get(key, str, expected, default)
        if value is default:
            return value
        found = _SIZE.match(value)
        if found is None:
            raise self.error(key, value, expected, "write a number and a unit")
        return int(found[1]) << _UNITS[found[2]]

    def table(self, key: str, default: Any = ...) -> Table:
        """A table below this one."""
        return Table(self._get(key, dict, "a table", default), self.file, self.key(key))

    def tables(self, key: str, default: Any = ...) -> list[Table]:
        """An array of tables."""
        found = []
        for number, one in enumerate(self._get(key, list, "an array of tables", default), 1):
            if not isinstance(one, dict):
                raise self.error(key, one, "a table", "write { … }")
            found.append(Table(one, self.file, f"{self.key(key)}[{number}]"))
        return found

    def done(self) -> None:
        """Refuse keys that nobody asked for."""
        for key in self._raw:
            if key not in self._asked:
                known = self._asked | self._known
                near = _nearest(key, known)
                mend = f"did you mean {near}?" if near else "leave it out"
                raise ScenarioError(self.file, self.key(key), "an unknown key", _one_of(known), mend)
