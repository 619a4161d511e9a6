"""Reading a specification file strictly.

A `SpecFile` is a TOML file that is read to its end, so that all of its problems are told at once, the first one first. It
knows on which line each key stands (`tomllib` does not keep that), and `Table` hands out typed values and records what
is missing, unknown or of another type. The reader goes on with a stand-in value after a problem; nothing that was read may
be used before `SpecFile.finish` has returned.

A file may stand on another one (`SpecFile.over`). In the merged file each value still knows its own file, line and key:

1. tables are merged key by key; any other value of the upper file replaces that of the lower one;
2. in an array that has an *identity*, a list of keys, an element of the upper file is merged into the element of the lower
   one that agrees with it on all of these keys, and follows at the end of the array when there is none;
3. `removed = true` removes an element of such an array, or a table in a *removable* one; only the identity stands beside it.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, TypeVar

from attrs import Factory, define, field, frozen

from siteproof.model.errors import MISSING, Key, Problem, SpecError, near, told

E = TypeVar("E", bound=StrEnum)
_MISSING: Final = object()


@frozen
class Spot:
    """Where a value stands: the file, the line, and its key in that file."""

    file: str
    line: int
    key: Key


_OPEN_STRING = "Illegal character '\\n'"
"""How the parser tells of a string that was not closed."""


@define
class SpecFile:
    """A specification file that is being read. `name` is shown to the user; `data` is the parsed TOML."""

    name: str
    text: str
    data: dict[str, Any]
    problems: list[Problem] = field(factory=list)
    _spots: dict[Key, Spot] = field(
        default=Factory(lambda s: {key: Spot(s.name, line, key) for key, line in _key_lines(s.text).items()}, takes_self=True))
    _complained: set[Key] = field(factory=set)

    @classmethod
    def parse(cls, text: str, name: str) -> SpecFile:
        """Parse `text`. Raises SpecError with the line when it is not TOML."""
        try:
            return cls(name=name, text=text, data=tomllib.loads(text))
        except RecursionError:
            reason, line, mend = "values nested too deeply", 1, "flatten them"
        except ValueError as error:  # TOMLDecodeError, or an integer with too many digits
            reason, mend = str(error), "correct that line"
            if reason.startswith(_OPEN_STRING):
                reason, mend = reason.replace(_OPEN_STRING, "a string that does not end on its line"), "close the string"
            at = re.search(r"\(at line (\d+), column \d+\)", reason)
            end = max(1, len(text.splitlines()))
            line = min(int(at.group(1)), end) if at else end
        raise SpecError([Problem(name, line, "syntax", f"text that is not TOML: {reason}", "a TOML 1.0 document", mend)])

    def spot_of(self, key: Key) -> Spot:
        """Where `key` stands: the line is its own, or else that of the innermost table around it."""
        for size in range(len(key), 0, -1):
            if spot := self._spots.get(key[:size]):
                return Spot(spot.file, spot.line, (*spot.key, *key[size:]))
        return Spot(self.name, 1, key)

    def complain(self, key: Key, found: str, expected: str, mend: str) -> None:
        """Record a problem with the value at `key`."""
        self._complained.add(key)
        spot = self.spot_of(key)
        self.problems.append(Problem(spot.file, spot.line, dotted(spot.key), found, expected, mend))

    def over(self, base: SpecFile, identity: Mapping[str, Sequence[str]], removable: Collection[str]) -> SpecFile:
        """This file on top of `base`, by the rules above. `identity` and `removable` name what is at the top of the file."""
        merged = SpecFile(self.name, self.text, {}, spots={})
        merged.data = _Merge(merged, identity, removable).both((), _Part(base, (), base.data), _Part(self, (), self.data))
        merged.problems = [*base.problems, *self.problems]
        return merged

    def is_sound(self, key: Key) -> bool:
        """Whether nothing at, inside or around `key` has been complained of."""
        return not any(bad[: len(key)] == key or key[: len(bad)] == bad for bad in self._complained)

    def is_inside_bad(self, key: Key) -> bool:
        """Whether `key` or a table around it has been complained of, so that what it lacks is not its own fault."""
        return any(key[:size] in self._complained for size in range(len(key) + 1))

    def finish(self, below: str = "") -> None:
        """Raise SpecError if there was any problem. Those of the file `below` are told only when no other file has one: what
        it lacks is what the files above it leave out."""
        if self.problems:
            raise SpecError([problem for problem in self.problems if problem.file != below] or self.problems)

    @property
    def top(self) -> Table:
        """The whole file as a table."""
        return Table(self, (), self.data)


@define
class Table:
    """A table of a file that is being read. Keys never asked for are unknown: `close` complains of them."""

    file: SpecFile
    key: Key
    values: Mapping[str, Any]
    _asked: list[str] = field(factory=list)

    def text(self, name: str, *, optional: bool = False) -> str:
        """A string that is not empty. "" when it is absent and optional, or wrong."""
        value = self._value(name, "a text in quotes", optional)
        if value is _MISSING:
            return ""
        if not isinstance(value, str) or not value.strip():
            self._wrong(name, value, "a text in quotes that is not empty", f'write {name} = "…"')
            return ""
        return value

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        """true or false; without `default` it has to be there."""
        value = self._value(name, "true or false", default is not None)
        if value is _MISSING:
            return bool(default)
        if not isinstance(value, bool):
            self._wrong(name, value, "true or false (without quotes)", f"write {name} = true or {name} = false")
            return bool(default)
        return value

    def option(self, name: str) -> bool | None:
        """true or false; None when it is absent."""
        return self.flag(name, default=False) if name in self.values else None

    def whole(self, name: str, *, minimum: int = 0, maximum: int = 10**9, optional: bool = False) -> int | None:
        """A whole number within bounds; None when it is absent and optional, or wrong."""
        expected = f"a whole number from {minimum} to {maximum}"
        value = self._value(name, expected, optional)
        if value is _MISSING:
            return None
        if not _is_whole(value) or not minimum <= value <= maximum:
            self._wrong(name, value, expected, f"write {name} = {minimum} or more, without quotes")
            return None
        return int(value)

    def wholes(self, name: str, *, optional: bool = False) -> tuple[int, ...]:
        """A list of whole numbers."""
        return tuple(item for _, item in self._items(name, "whole numbers", _is_whole, optional))

    def check_format(self, expected: int) -> None:
        """Complain unless this table, the top of a file, says `format = expected`."""
        number = self.whole("format")
        if number is not None and number != expected:
            mend = f"write format = {expected}, or use a siteproof that knows it"
            self.file.complain((*self.key, "format"), str(number), str(expected), mend)

    def texts(self, name: str, *, optional: bool = False) -> tuple[str, ...]:
        """A list of strings, none empty and none twice."""
        found: dict[str, None] = {}
        for at, item in self._items(name, "texts in quotes", lambda i: isinstance(i, str) and bool(i.strip()), optional):
            if item in found:
                self.file.complain((*self.key, name, at), f"{told(item)} twice", "every item once", "remove one of them")
            found[item] = None
        return tuple(found)

    def choice(self, name: str, kinds: type[E], *, default: E | None = None) -> E:
        """One word of an enumeration."""
        words = [kind.value for kind in kinds]
        value = self._value(name, "one of " + ", ".join(words), default is not None)
        if value is _MISSING:
            return default or next(iter(kinds))
        if isinstance(value, str) and value in words:
            return kinds(value)
        self._wrong(name, value, "one of " + ", ".join(words), near(told(value), words))
        return next(iter(kinds))

    def choices(self, name: str, kinds: type[E], *, optional: bool = False) -> tuple[E, ...]:
        """A list of words of an enumeration."""
        words = [kind.value for kind in kinds]
        texts = self.texts(name, optional=optional)
        for word in texts:
            if word not in words:
                self._wrong(name, word, "one of " + ", ".join(words), near(word, words))
        return tuple(kinds(word) for word in texts if word in words)

    def table(self, name: str, *, optional: bool = False) -> Table:
        """A table inside this one; an empty one when it is absent and optional, or wrong."""
        value = self._value(name, f"a table [{dotted((*self.key, name))}]", optional)
        if value is not _MISSING and not isinstance(value, dict):
            self._wrong(name, value, "a table", f"write [{dotted((*self.key, name))}] and the keys below it")
        return Table(self.file, (*self.key, name), value if isinstance(value, dict) else {})

    def tables(self, name: str) -> Iterator[Table]:
        """The tables of an array of tables."""
        expected, mend = f"one or more tables [[{name}]]", f"write [[{name}]] and the keys below it"
        value = self._value(name, expected, False)
        if value is _MISSING:
            return
        if not isinstance(value, list) or not value:
            self._wrong(name, value, expected, mend)
            return
        for at, item in enumerate(value):
            if isinstance(item, dict):
                yield Table(self.file, (*self.key, name, at), item)
            else:
                self.file.complain((*self.key, name, at), told(item), "a table", mend)

    def named(self) -> Iterator[tuple[str, Table]]:
        """The tables of this table, each under the name that the user gave it."""
        for name in self.values:
            yield name, self.table(name)

    def close(self) -> None:
        """Complain of every key that nobody asked for."""
        for name in self.values:
            if name not in self._asked:
                self.file.complain((*self.key, name), "an unknown key", "only known keys", near(name, self._asked))

    def _value(self, name: str, expected: str, optional: bool) -> Any:
        self._asked.append(name)
        value = self.values.get(name, _MISSING)
        if value is _MISSING and not optional and not self.file.is_inside_bad(self.key):
            self.file.complain((*self.key, name), MISSING, expected, f"add {name}")
        return value

    def _wrong(self, name: str, value: Any, expected: str, mend: str) -> None:
        self.file.complain((*self.key, name), told(value), expected, mend)

    def _items(self, name: str, what: str, fits: Any, optional: bool) -> Iterator[tuple[int, Any]]:
        value = self._value(name, f"a list of {what}", optional)
        if value is _MISSING:
            return
        if not isinstance(value, list):
            self._wrong(name, value, f"a list of {what}", f"write {name} = [ … ]")
            return
        for at, item in enumerate(value):
            if fits(item):
                yield at, item
            else:
                self.file.complain((*self.key, name, at), told(item), f"a list of {what}", "correct this item")


# ------------------------------------------------------------------------------------------------ one file over another


@frozen
class _Part:
    """A value of a file that is merged, and its key there."""

    file: SpecFile
    key: Key
    value: Any

    def inside(self, name: str | int) -> _Part | None:
        """A value inside this one."""
        is_there = isinstance(self.value, list) or name in self.value
        return _Part(self.file, (*self.key, name), self.value[name]) if is_there else None


@frozen
class _Merge:
    """Merges the values of two files into the file `into`, and remembers there where each of them stands."""

    into: SpecFile
    identity: Mapping[str, Sequence[str]]
    removable: Collection[str]

    def both(self, key: Key, base: _Part | None, own: _Part | None) -> Any:
        """The value at `key`, or _MISSING when it is removed."""
        if own is not None and self._is_removed(key, base, own):
            return _MISSING
        if base is None or own is None:
            return self._taken(key, own or base)
        self.into._spots[key] = own.file.spot_of(own.key)
        if isinstance(base.value, dict) and isinstance(own.value, dict):
            values = {n: self.both((*key, n), base.inside(n), own.inside(n)) for n in {**base.value, **own.value}}
            return {name: value for name, value in values.items() if value is not _MISSING}
        if len(key) == 1 and key[0] in self.identity and isinstance(base.value, list) and isinstance(own.value, list):
            return self._elements(key, base, own)
        return self._taken(key, own)

    def _taken(self, key: Key, part: _Part | None) -> Any:
        """The whole of a value of one file."""
        assert part is not None
        self.into._spots[key] = part.file.spot_of(part.key)
        size = len(part.key)
        self.into._spots |= {(*key, *at[size:]): spot for at, spot in part.file._spots.items() if at[:size] == part.key}
        return part.value

    def _elements(self, key: Key, base: _Part, own: _Part) -> list[Any]:
        pairs: list[tuple[_Part | None, _Part | None]] = [(base.inside(at), None) for at in range(len(base.value))]
        keys = self.identity[str(key[0])]
        for at, element in enumerate(own.value):
            same = [n for n, (one, other) in enumerate(pairs) if one and not other and _agree(one.value, element, keys)]
            if same:
                pairs[same[0]] = (pairs[same[0]][0], own.inside(at))
            else:
                pairs.append((None, own.inside(at)))
        values: list[Any] = []
        for one, other in pairs:
            value = self.both((*key, len(values)), one, other)
            values += [] if value is _MISSING else [value]
        return values

    def _is_removed(self, key: Key, base: _Part | None, own: _Part) -> bool:
        if len(key) != 2 or key[0] not in self.removable or not isinstance(own.value, dict) or "removed" not in own.value:
            return False
        word, beside = own.value["removed"], set(own.value) - {"removed", *self.identity.get(str(key[0]), ())}
        if word is not True:
            own.file.complain((*own.key, "removed"), told(word), "true", "write removed = true, or leave it out")
        elif base is None:
            own.file.complain(own.key, "a removal of what the other file lacks", "something of that file", "remove this table")
        for name in sorted(beside):
            own.file.complain((*own.key, name), "a value of what is removed", "removed = true alone", "take one of them away")
        return True


def _agree(one: Any, other: Any, keys: Sequence[str]) -> bool:
    return isinstance(one, dict) and isinstance(other, dict) and all(one.get(key) == other.get(key) for key in keys)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def dotted(key: Key) -> str:
    """A key as it is shown: `links[2].port`, `why."forward.planned_failover".reason`. Elements count from 1."""
    shown = ""
    for part in key:
        if isinstance(part, int):
            shown += f"[{part + 1}]"
        else:
            word = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else json.dumps(part, ensure_ascii=False)
            shown += f".{word}" if shown else word
    return shown or "the file"


_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_HEADER: Final = re.compile(rf"\s*(\[\[?)\s*({_PART}(?:\s*\.\s*{_PART})*)\s*\]")
_ASSIGNMENT: Final = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")
_TOKEN: Final = re.compile(r'"""|\'\'\'|"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*|[\[\]{}]')


def _key_lines(text: str) -> dict[Key, int]:
    """The line of every table header and every assignment of a valid TOML text; keys inside braces are left out."""
    lines: dict[Key, int] = {}
    table: Key = ()
    counts: dict[Key, int] = {}
    quote, depth = "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        rest = line
        if quote:
            _, mark, rest = line.partition(quote)
            if not mark:
                continue
            quote = ""
        elif not depth:
            if header := _HEADER.match(line):
                table = _numbered(_split(header.group(2)), header.group(1) == "[[", counts)
                for size in range(len(table)):
                    lines.setdefault(table[: size + 1], number)
                continue
            if assignment := _ASSIGNMENT.match(line):
                key = table
                for part in _split(assignment.group(1)):
                    key = (*key, part)
                    lines.setdefault(key, number)
                rest = line[assignment.end() :]
        quote, depth = _left_open(rest, depth)
    return lines


def _numbered(parts: Sequence[str], is_array: bool, counts: dict[Key, int]) -> Key:
    key: Key = ()
    for at, part in enumerate(parts):
        key = (*key, part)
        if is_array and at == len(parts) - 1:
            counts[key] = counts.get(key, -1) + 1
        if key in counts:
            key = (*key, counts[key])
    return key


def _left_open(text: str, depth: int) -> tuple[str, int]:
    """The multi-line quote and the number of brackets that are still open at the end of a piece of a value."""
    while token := _TOKEN.search(text):
        mark, text = token.group(), text[token.end() :]
        if mark in ('"""', "'''"):
            _, closed, text = text.partition(mark)
            if not closed:
                return mark, depth
        elif mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
    return "", depth


def _split(keys: str) -> list[str]:
    """The parts of a dotted key, without their quotes."""
    parts = re.findall(_PART, keys)
    return [json.loads(part, strict=False) if part[0] == '"' and "\\U" not in part else part.strip("'\"") for part in parts]
