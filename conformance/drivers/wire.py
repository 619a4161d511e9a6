"""The wire protocol: the driver interface as JSON messages, for a system in another process or language.

Rules
1. One protocol, two carriers: a child process that is written to and answers line by line, and HTTP. A message is one JSON object
   of at most `LIMIT` bytes. `wire.schema.json` is its schema, `docs/interface.md` section 8 its reference.
2. The tester asks, `{"id": 7, "call": "observe", "machine": "m0"}`; the driver answers once, with the same id:
   `{"id": 7, "result": …}`, or `{"id": 7, "error": "what went wrong"}`. Calls are those of the Python interface.
3. `handshake` comes first and names the version. A driver says there what it can do; operations and faults must be named, so that
   nobody claims what he has not heard of. Reading is strict: an unknown key or a wrong type is the driver's error.
4. Where an answer to `execute`, `write` or `start_machine` is lost, it is *unknown*: the request may have been carried out or
   not. Every other call has to be answered.
5. Disk content is base64 text or, where the driver has claimed `file`, the name of a file on the same machine.
6. Words (operations, codes, states) are judged where those of a Python driver are, by `Guarded`; here stands only what JSON adds.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

import attrs

from siteproof.conformance.content import BLOCK, Base
from siteproof.conformance.driver import UNKNOWN, VERSION, Accepted, Answer, Capabilities, Common, Observation, Rejected, Unknown
from siteproof.model.errors import near, told

__all__ = [
    "CALLS",
    "LIMIT",
    "MAY_BE_LOST",
    "Greeting",
    "Nonsense",
    "base_to_json",
    "capabilities_to_json",
    "content_to_json",
    "read_answer",
    "read_content",
    "read_done",
    "read_flag",
    "read_greeting",
    "read_nothing",
    "read_observation",
    "read_time",
    "result_of",
    "schema",
    "write_message",
]

LIMIT: Final = 16 * 2**20
"""Bytes of the longest message, either way."""

SECONDS: Final = 20.0
"""How long an answer may take, unless the handshake says otherwise."""

MOST_SECONDS: Final = 50.0
"""The longest that a handshake may ask for: a command as a whole, with what is read after it, has a minute."""

CALLS: Final = (
    "handshake", "start", "execute", "write", "fault", "heal", "start_machine", "advance", "step", "settle", "observe", "read",
    "stop",
)  # fmt: skip

MAY_BE_LOST: Final = ("execute", "write", "start_machine")
"""The calls that can be answered with *unknown*, and are when no answer comes."""

FORMS: Final = ("base64", "file")


class Nonsense(Exception):
    """An answer that the protocol does not have: what was found, what was expected, how to mend it."""

    def __init__(self, found: str, expected: str, mend: str = "") -> None:
        super().__init__(found, expected, mend)
        self.found, self.expected, self.mend = found, expected, mend


@attrs.frozen
class Greeting:
    """A handshake that was understood. `seconds` is how long an answer may take; `files`, whether content may be a file."""

    capabilities: Capabilities
    seconds: float = SECONDS
    files: bool = False


def schema() -> dict[str, Any]:
    """The JSON schema of all messages, as it is shipped."""
    text = resources.files("siteproof.conformance.drivers").joinpath("wire.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


# --------------------------------------------------------------------------------------------------------------- requests


def write_message(number: int, call: str, arguments: Mapping[str, Any]) -> bytes:
    """A request as it goes over the wire: ASCII, without line breaks."""
    return json.dumps({"id": number, "call": call, **arguments}, separators=(",", ":")).encode("ascii")


def base_to_json(base: Base, file: Path | None) -> dict[str, Any]:
    """What every disk starts with; in `file` where there is one. Raises `Nonsense` when it fits no message."""
    if file is not None:
        return {"blocks": base.blocks, "content": {"file": str(file)}}
    if base.blocks * BLOCK * 4 // 3 > LIMIT - 4096:
        raise Nonsense(
            f"no 'file' in its 'content', for disks of {base.blocks} blocks", f"a message of at most {LIMIT:,} bytes",
            "let the driver take content by file, or choose a smaller image",
        )  # fmt: skip
    return {"blocks": base.blocks, "content": content_to_json(base.data(0, base.blocks))}


def content_to_json(data: bytes) -> dict[str, str]:
    """Disk content in a message."""
    return {"base64": base64.b64encode(data).decode("ascii")}


def capabilities_to_json(can: Capabilities) -> dict[str, Any]:
    """Capabilities as a handshake has them."""
    row = attrs.asdict(can)
    return {key: sorted(value) if isinstance(value, frozenset) else value for key, value in row.items()}


# ---------------------------------------------------------------------------------------------------------------- answers


def result_of(text: bytes) -> tuple[Any, Any, str | None]:
    """Id, result and error of an answer. Raises `Nonsense` when it is none."""
    shown = told(text[:60].decode("utf-8", "replace"))
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        raise Nonsense(
            f"{shown}, which is no JSON", 'an answer such as {"id": 1, "result": null}',
            "write answers, one a line, and nothing else; messages for people go to standard error",
        ) from None  # fmt: skip
    if not isinstance(row, dict) or "id" not in row:
        raise Nonsense(f"{shown}, which has no 'id'", 'an object with the id of the request, {"id": 1, "result": null}')
    if "error" in row:
        _known(row, "the answer", ("id", "error"))
        if not isinstance(row["error"], str):
            raise Nonsense(f"'error': {told(row['error'])}", "what went wrong, in words")
        return row["id"], None, row["error"]
    if "result" not in row:
        raise Nonsense(f"{shown}, without a 'result'", "a 'result' or an 'error'", "where there is nothing to say, it is null")
    _known(row, "the answer", ("id", "result"))
    return row["id"], row["result"], None


def read_greeting(value: Any) -> Greeting:
    """A handshake's result. Raises `Nonsense`; another version is told before anything else is looked at."""
    row = _object(value, "the handshake")
    if "version" not in row:
        raise Nonsense("a handshake without 'version'", f"'version': {VERSION}", "say which version the driver was written for")
    if type(row["version"]) is not int or row["version"] != VERSION:
        raise Nonsense(
            f"version {told(row['version'])} of the driver interface", f"version {VERSION}",
            "build the driver for this version, or use the siteproof that speaks its own",
        )  # fmt: skip
    fields = {field.name: field for field in attrs.fields(Capabilities)}
    _known(row, "the handshake", (*fields, "content", "seconds"))
    for key in ("name", "operations", "faults"):
        if key not in row:
            raise Nonsense(f"a handshake without {key!r}", f"the keys version, name, operations and faults; {_MEANT[key]}")
    values: dict[str, Any] = {}
    for key, field in fields.items():
        if key in row:
            values[key] = _capability(key, row[key], field.default)
    seconds = row.get("seconds", SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= MOST_SECONDS:
        raise Nonsense(f"'seconds': {told(seconds)} in the handshake", f"a number above 0, up to {MOST_SECONDS:g}")
    forms = _words("content", row.get("content", ["base64"]))
    if not {"base64"} <= set(forms) <= set(FORMS):
        raise Nonsense(f"'content': {told(row['content'])} in the handshake", "['base64'], or ['base64', 'file']")
    return Greeting(Capabilities(**values), float(seconds), "file" in forms)


_MEANT = {"name": "a word for the system", "operations": "a list of words, also an empty one", "faults": "a list of words"}


def _capability(key: str, value: Any, default: Any) -> Any:
    """One capability, of the type of its default."""
    if isinstance(default, frozenset):
        return frozenset(_words(key, value))
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise Nonsense(f"{key!r}: {told(value)} in the handshake", "true or false")
    elif isinstance(default, int):
        if type(value) is not int or value < 1:
            raise Nonsense(f"{key!r}: {told(value)} in the handshake", "a whole number from 1")
    elif not isinstance(value, str) or not value:
        raise Nonsense(f"{key!r}: {told(value)} in the handshake", "a word")
    return value


def _words(key: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Nonsense(f"{key!r}: {told(value)} in the handshake", "a list of words")
    return value


def read_answer(value: Any) -> Answer:
    """The result of `execute`."""
    word = _object(value, "the result").get("answer")
    if word == "rejected":
        _known(value, "the result", ("answer", "code"))
        if not isinstance(value.get("code"), str):
            raise Nonsense("'rejected' without a 'code'", '{"answer": "rejected", "code": "NotProtected"}')
        return Rejected(value["code"])
    _known(value, "the result", ("answer",))
    if word not in ("accepted", "unknown"):
        raise Nonsense(f"the answer {told(word)}", "accepted, rejected (with a code) or unknown")
    return Accepted() if word == "accepted" else Unknown()


def read_done(value: Any) -> bool | None:
    """The result of `write` and `start_machine`."""
    word = _object(value, "the result").get("answer")
    _known(value, "the result", ("answer",))
    if not isinstance(word, str) or word not in _DONE:
        raise Nonsense(f"the answer {told(word)}", "acknowledged, refused or unknown")
    return _DONE[word]


_DONE: dict[str, bool | None] = {"acknowledged": True, "refused": False, "unknown": None}


def read_flag(value: Any) -> bool:
    """The result of `step` and `settle`."""
    if not isinstance(value, bool):
        raise Nonsense(f"the result {told(value)}", "true or false")
    return value


def read_nothing(value: Any) -> None:
    """The result of calls that answer nothing."""
    if value is not None:
        raise Nonsense(f"the result {told(value)}", "null", 'answer {"id": …, "result": null} when it is done')


def read_observation(value: Any) -> Observation:
    """The result of `observe`. A key that is absent is unknown."""
    row = dict(_object(value, "the observation"))
    _known(row, "the observation", [*(f.name for f in attrs.fields(Observation) if f.name != "common"), "time"])
    row.pop("time", None)
    if row.get("points") is not None:
        points = [(*_point(one), one) for one in _list("points", row["points"])]
        row["points"] = tuple((id, kind) for id, kind, _ in points)
        row["common"] = tuple(Common(id, one["common"], one.get("time")) for id, _, one in points if "common" in one)
    for key in ("allowed_operations", "alerts"):
        if row.get(key) is not None:
            row[key] = tuple(_list(key, row[key]))
    if row.get("running") is not None:
        sides = _object(row["running"], "'running'")
        _known(sides, "'running'", ("primary", "recovery"))
        row["running"] = (sides.get("primary", UNKNOWN), sides.get("recovery", UNKNOWN))
    return Observation(**row)


def read_time(value: Any) -> float | None:
    """The time that stands in an observation, in seconds; None where there is none."""
    time = _object(value, "the observation").get("time")
    if time is not None and (isinstance(time, bool) or not isinstance(time, int | float)):
        raise Nonsense(f"'time': {told(time)} in the observation", "seconds, a number")
    return time


def _point(value: Any) -> tuple[Any, Any]:
    row = _object(value, "a point")
    _known(row, "a point", ("id", "kind", "common", "time"))
    for key in ("id", "kind"):
        if key not in row:
            raise Nonsense(f"a point without {key!r}", '{"id": "rp-1", "kind": "crash-consistent"}')
    return row["id"], row["kind"]


def read_content(value: Any, length: int, *, files: bool) -> bytes:
    """The result of `read`: `length` bytes, as base64 or from a file. A wrong length is told by `Guarded`."""
    row = _object(value, "the content")
    if "base64" in row:
        _known(row, "the content", ("base64",))
        try:
            return base64.b64decode(row["base64"], validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise Nonsense(f"'base64': {told(row['base64'])}", "base64 text with its padding, without line breaks") from None
    _known(row, "the content", ("file", "offset"))
    if not isinstance(row.get("file"), str):
        raise Nonsense("content without 'base64'", '{"base64": "…"}, or {"file": "/a/path", "offset": 0}')
    if not files:
        raise Nonsense("content in a file", "base64", "claim it in the handshake: 'content': ['base64', 'file']")
    offset = row.get("offset", 0)
    if type(offset) is not int or offset < 0:
        raise Nonsense(f"'offset': {told(offset)}", "a whole number of bytes from 0")
    try:
        with Path(row["file"]).open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except (OSError, ValueError) as error:
        raise Nonsense(f"content in {told(row['file'])}, which cannot be read ({error})", "a file on this machine") from None


# ----------------------------------------------------------------------------------------------------------------- shapes


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Nonsense(f"{what} {told(value)}", "an object")
    return value


def _list(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Nonsense(f"{key!r}: {told(value)} in the observation", "a list, or null when it is unknown")
    return value


def _known(row: Mapping[str, Any], what: str, keys: Any) -> None:
    """No key but `keys`."""
    unknown = next((key for key in row if key not in keys), None)
    if unknown is not None:
        raise Nonsense(f"the unknown key {told(unknown)} in {what}", "only " + ", ".join(keys), near(unknown, keys))
