"""The wire format: messages of the data path as bytes, versioned and checksummed.

A frame is

======  =====  ===================================================================================================
offset  bytes  meaning
======  =====  ===================================================================================================
0       4      ``SPW1``
4       2      version of the format; one that is not known is refused, never guessed
6       2      kind of message: see :data:`KINDS`
8       4      length of the fields
12      8      length of the content
20      16     digest of all other bytes
36             fields: a JSON object with all of the message but its bytes, then the content: each extent in its order
======  =====  ===================================================================================================

All integers are little-endian. Rules:

* nothing of a frame is used before its digest has been checked, so a frame that was damaged under way is as good as lost;
* a frame carries the content that its message refers to, and the receiver decides where it lies (``place``): what is
  decoded refers to the receiver's own bytes;
* every field has the type and the range it must have, and the content has exactly the length that the fields tell: a
  frame that was made wrongly, with a right digest, is refused as well;
* the digest shows damage and no forgery: on the way between sites a frame is in a channel with mutual authentication, and
  content is sealed besides (:mod:`.codec`).

In the simulation messages pass as values; a message that the network damages is brought into this form, a bit is turned, and
what the receiver makes of it is what arrives.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import attrs

from .changelog import Tracked
from .errors import IntegrityError
from .extents import Extent, digest_of
from .messages import Ack, BlockCopy, ChangeBatch, Compare, CopyChunk, Message

__all__ = ["KINDS", "VERSION", "decode", "encode"]

MAGIC = b"SPW1"
VERSION = 2
KINDS: tuple[type[Message], ...] = (ChangeBatch, CopyChunk, Compare, Ack)
"""The number of a kind is its place here."""
_HEAD = struct.Struct("<4sHHIQ")
_DIGEST = 16
_PLACE = 1 << 63

Read = Callable[[Extent], bytes]
Place = Callable[[bytes], Extent]


def _extents(message: Message) -> list[Extent]:
    """What a message refers to, in the order of the frame. Where there is a payload, it stands for all else."""
    if isinstance(message, Compare | Ack):
        return []
    if message.payload is not None:
        return [message.payload]
    return [item.extent for item in (message.writes if isinstance(message, ChangeBatch) else message.copies)]


def _fields(message: Message) -> dict[str, Any]:
    fields = {field.name: getattr(message, field.name) for field in attrs.fields(type(message))}
    if isinstance(message, ChangeBatch):
        fields["writes"] = [[w.sequence, w.disk, w.offset, w.extent.length, w.digest.hex()] for w in message.writes]
    elif isinstance(message, CopyChunk):
        fields["copies"] = [[c.disk, c.offset, c.extent.length, c.digest.hex()] for c in message.copies]
    elif isinstance(message, Compare):
        fields["digests"] = [digest.hex() for digest in message.digests]
    if "payload" in fields:
        fields["payload"] = None if fields["payload"] is None else fields["payload"].length
    return fields


def encode(message: Message, read: Read) -> bytes:
    """A message with the bytes that it refers to, as one frame."""
    fields = json.dumps(_fields(message), separators=(",", ":")).encode()
    content = b"".join(map(read, _extents(message)))
    head = _HEAD.pack(MAGIC, VERSION, KINDS.index(type(message)), len(fields), len(content))
    return head + digest_of(b"".join((head, fields, content))) + fields + content


def decode(frame: bytes, place: Place) -> Message:
    """The message of a frame; its content is where ``place`` has put it.

    Raises:
        IntegrityError: damaged, cut off, of another version, or no message; nothing of it has been placed.
    """
    start = _HEAD.size + _DIGEST
    if len(frame) < start:
        raise IntegrityError(f"frame of {len(frame)} bytes: too short; at least {start} expected; send it again")
    magic, version, kind, fields_length, content_length = _HEAD.unpack_from(frame)
    if magic != MAGIC:
        raise IntegrityError(f"frame begins with {magic.hex()}; {MAGIC.hex()} expected; send it again")
    if len(frame) != start + fields_length + content_length:
        told = start + fields_length + content_length
        raise IntegrityError(f"frame of {len(frame)} bytes, while its head tells {told}; send it again")
    if digest_of(frame[: _HEAD.size] + frame[start:]) != frame[_HEAD.size : start]:
        raise IntegrityError(f"frame of {len(frame)} bytes does not match its digest: damaged under way; send it again")
    if version != VERSION:
        raise IntegrityError(f"frame of version {version}, {VERSION} expected; use the same version at both ends")
    if kind >= len(KINDS):
        raise IntegrityError(f"frame of kind {kind}; at most {len(KINDS) - 1} expected; use the same version at both ends")
    try:
        fields = json.loads(frame[start : start + fields_length])
        return _message(KINDS[kind], fields, frame[start + fields_length :], place)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IntegrityError(f"frame is no {KINDS[kind].__name__}: {error}; its sender is at fault") from error


def _message(kind: type[Message], fields: dict[str, Any], content: bytes, place: Place) -> Message:
    if set(fields) != {field.name for field in attrs.fields(kind)}:
        raise ValueError(f"fields {', '.join(sorted(fields))}")
    _check(fields)
    lengths: list[int] = []
    if fields.get("payload") is not None:
        lengths = [fields["payload"]]
    elif kind in (ChangeBatch, CopyChunk):
        lengths = [row[-2] for row in fields["writes" if kind is ChangeBatch else "copies"]]
    if not all(_is_count(length) for length in lengths) or sum(lengths) != len(content):
        raise ValueError(f"{len(content)} bytes of content, while the fields tell {sum(lengths)}")
    made: dict[str, Any] = dict(fields)
    # Where one payload stands for all, the places of the single ones mean nothing to the receiver.
    if kind is ChangeBatch:
        rows = [Tracked(s, d, o, Extent(0, 0, n), bytes.fromhex(h)) for s, d, o, n, h in fields["writes"]]
        made["writes"] = tuple(rows)
    elif kind is CopyChunk:
        made["copies"] = tuple(BlockCopy(d, o, Extent(0, 0, n), bytes.fromhex(h)) for d, o, n, h in fields["copies"])
    elif kind is Compare:
        made["digests"] = tuple(map(bytes.fromhex, fields["digests"]))
    elif kind is Ack:
        made["differing"] = tuple(fields["differing"])
    at, extents = 0, []
    for length in lengths:
        extents.append(place(content[at : at + length]))
        at += length
    if fields.get("payload") is not None:
        made["payload"] = extents[0]
    elif lengths:
        name = "writes" if kind is ChangeBatch else "copies"
        made[name] = tuple(attrs.evolve(one, extent=e) for one, e in zip(made[name], extents, strict=True))
    return kind(**made)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _PLACE


def _check(fields: dict[str, Any]) -> None:
    """Every field of the type that it must have; digests are read later."""
    for name, value in fields.items():
        if name in ("machine", "mark"):
            right = isinstance(value, str)
        elif name == "payload":
            right = value is None or _is_count(value)
        elif name == "differing":
            right = isinstance(value, list) and all(map(_is_count, value))
        elif name in ("writes", "copies"):
            right = isinstance(value, list) and all(
                isinstance(row, list) and row and isinstance(row[-1], str) and all(map(_is_count, row[:-1])) for row in value
            )
        elif name == "digests":
            right = isinstance(value, list) and all(isinstance(one, str) for one in value)
        else:
            right = _is_count(value)
        if not right:
            raise ValueError(f"{name} = {value!r:.60}")
