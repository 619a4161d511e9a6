"""The wire format: what is encoded is decoded, and nothing that is damaged or made wrongly is."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siteproof.impl import wire
from siteproof.impl.changelog import Tracked
from siteproof.impl.errors import IntegrityError
from siteproof.impl.extents import Extent, ExtentSpace, digest_of
from siteproof.impl.messages import Ack, BlockCopy, ChangeBatch, Compare, CopyChunk, Message

PIECES = (b"first", b"", b"third " * 50)


class Bytes:
    """Extents in a list."""

    def __init__(self) -> None:
        self.held: list[bytes] = []

    def place(self, data: bytes) -> Extent:
        """Keep bytes."""
        self.held.append(data)
        return Extent(1, len(self.held) - 1, len(data))

    def read(self, extent: Extent) -> bytes:
        """The bytes again."""
        return self.held[extent.offset]


def examples() -> tuple[Bytes, list[Message]]:
    store = Bytes()
    extents = [store.place(piece) for piece in PIECES]
    writes = tuple(Tracked(7 + n, n % 2, n * 4096, e, digest_of(PIECES[n])) for n, e in enumerate(extents))
    copies = tuple(BlockCopy(n % 2, n * 4096, e, digest_of(PIECES[n])) for n, e in enumerate(extents))
    return store, [
        ChangeBatch("m", 3, 9, 6, 9, writes, mark="b1"),
        ChangeBatch("m", 3, 10, 6, 6, ()),
        ChangeBatch("m", 3, 9, 6, 9, writes, payload=extents[2]),
        CopyChunk("ä \" m", 3, 11, copies),
        Compare("m", 3, 12, 1, 256, (b"", digest_of(b"x"))),
        Ack("m", 3, 12, 9, (5, 6)),
    ]


def content(message: Message, store: Bytes) -> tuple[object, list[bytes]]:
    """A message without places of bytes, and the bytes it refers to."""
    extents = wire._extents(message)
    return wire._fields(message), [store.read(e) for e in extents]


@pytest.mark.parametrize("number", range(6))
def test_what_is_encoded_is_decoded_with_its_content(number: int) -> None:
    store, messages = examples()
    frame = wire.encode(messages[number], store.read)
    there = Bytes()
    again = wire.decode(frame, there.place)
    assert type(again) is type(messages[number])
    assert content(again, there) == content(messages[number], store)


@settings(deadline=None, max_examples=300)
@given(number=st.integers(0, 5), bit=st.integers(0), cut=st.booleans())
def test_a_frame_with_a_turned_bit_or_cut_off_is_never_a_message(number: int, bit: int, cut: bool) -> None:
    store, messages = examples()
    frame = bytearray(wire.encode(messages[number], store.read))
    if cut:
        del frame[bit % len(frame) :]
    else:
        frame[bit // 8 % len(frame)] ^= 1 << bit % 8
    there = Bytes()
    with pytest.raises(IntegrityError, match=r"send it again|same version"):
        wire.decode(bytes(frame), there.place)
    assert not there.held


def sealed(kind: int, fields: object, held: bytes = b"", version: int = wire.VERSION) -> bytes:
    """A frame with a right digest, whatever is in it."""
    text = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    head = struct.pack("<4sHHIQ", b"SPW1", version, kind, len(text), len(held))
    return head + digest_of(head + text + held) + text + held


ACK = {"machine": "m", "epoch": 1, "number": 1, "received": 1, "differing": []}
CHUNK = {"machine": "m", "epoch": 1, "number": 1, "copies": [[0, 0, 3, "00" * 16]], "payload": None}


@pytest.mark.parametrize(("frame", "message"), [
    (sealed(3, ACK, version=wire.VERSION + 1), f"version {wire.VERSION + 1}"),
    (sealed(9, ACK), "kind 9"), (sealed(3, b"{"), "no Ack"), (sealed(3, []), "no Ack"),
    (sealed(3, {**ACK, "more": 1}), "fields"), (sealed(3, {**ACK, "epoch": -1}), "epoch = -1"),
    (sealed(3, {**ACK, "epoch": True}), "epoch = True"), (sealed(3, {**ACK, "differing": ["x"]}), "differing"),
    (sealed(3, ACK, b"more"), "4 bytes of content"), (sealed(1, CHUNK, b"ab"), "while the fields tell 3"),
    (sealed(1, {**CHUNK, "copies": [[0, 0, 3, "zz"]]}, b"abc"), "no CopyChunk"),
    (sealed(1, {**CHUNK, "copies": [[0, 3, "00"]]}, b"abc"), "no CopyChunk"),
    (b"SPW1", "too short"), (b"XXXX" + bytes(40), "expected"),
])  # fmt: skip
def test_a_frame_that_was_made_wrongly_is_refused(frame: bytes, message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        wire.decode(frame, Bytes().place)


def test_the_receiver_refers_to_its_own_bytes(tmp_path: Path) -> None:
    store, messages = examples()
    space = ExtentSpace()
    area = space.open(tmp_path / "area")
    chunk = wire.decode(wire.encode(messages[3], store.read), lambda data: space.append(area, data))
    assert isinstance(chunk, CopyChunk)
    assert [space.read(copy.extent) for copy in chunk.copies] == list(PIECES)
    assert attrs.evolve(chunk, copies=()) == attrs.evolve(messages[3], copies=())
    space.close()
