"""Content is checked, not claimed: tagged blocks, the journal of what was written, and the judgement on what is read.

Rules
1. A block that the tester writes says who it is: machine, disk, block, branch, sequence number, and a digest of all that,
   repeated to the block's end. So any block that is read is one of four things: a write of ours, the base image's own block
   at this address, a write of ours at an address where it was never written, or rubbish.
2. The sequence number is a write's identity. It grows with every write issued on a machine, whatever becomes of it.
3. A *log* is a branch's history: the writes in the order in which the disk took them. Logs share their beginnings (a log is a
   node of a tree), so that a failover to a point, which forks a branch, costs nothing, and identity is equality.
4. A log at length n determines the disk: at each address the last write among the first n, or the base. What was read *is the
   prefix n* when every block agrees. Since the n-th write itself is then on the disk, n is the place of the highest
   sequence number found, and the judgement costs one comparison.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs

__all__ = ["BLOCK", "Base", "Journal", "Log", "Mismatch", "Tag", "View", "WriteRecord", "decode", "encode"]

BLOCK = 4096
_MAGIC = b"SITEPRF1"
_HEADER = struct.Struct("<8s24sIQIQ")
_DIGEST = 16
_PAYLOADS = 256
"""How many blocks a journal remembers the bytes of: a megabyte."""
_JUDGED, _AT_ONCE = 6, 64
"""How much that was read of a part of a disk a journal remembers, as long as parts have at most so many blocks."""
_READY, _MILESTONE = 512, 32
"""Of how many histories the content is kept ready; and of every how manieth for good, from where others are worked out."""
_REPEAT = (BLOCK - _HEADER.size) // _DIGEST + 1

Reader = Callable[[int, int, int], bytes]
"""Reads (disk, offset, length) of a recovery point or of a side's disk."""


@attrs.frozen
class Tag:
    """What a block says about itself."""

    machine: str
    disk: int
    block: int
    branch: int
    sequence: int


def encode(tag: Tag) -> bytes:
    """The block of 4096 bytes that carries `tag`."""
    name = tag.machine.encode()[:24]
    header = _HEADER.pack(_MAGIC, name, tag.disk, tag.block, tag.branch, tag.sequence)
    digest = hashlib.blake2b(header, digest_size=_DIGEST).digest()
    return (header + digest * _REPEAT)[:BLOCK]


def decode(data: bytes, offset: int = 0) -> Tag | None:
    """The tag of a block, or None when it is not a whole, undamaged block of ours."""
    if len(data) - offset < BLOCK or not data.startswith(_MAGIC, offset):
        return None
    _, name, disk, block, branch, sequence = _HEADER.unpack_from(data, offset)
    tag = Tag(name.rstrip(b"\0").decode("utf-8", "replace"), disk, block, branch, sequence)
    return tag if data[offset : offset + BLOCK] == encode(tag) else None


@attrs.frozen(eq=False)
class WriteRecord:
    """One write that was issued: its tag and the address on the machine. The bytes follow from the tag, and are not kept."""

    tag: Tag
    address: int

    @property
    def payload(self) -> bytes:
        return encode(self.tag)

    @property
    def sequence(self) -> int:
        return self.tag.sequence


class Log:
    """A branch up to some length: a node in the tree of all histories of one machine. Compared by identity."""

    __slots__ = ("_content", "_next", "_ready", "length", "parent", "record")

    def __init__(self, parent: Log | None = None, record: WriteRecord | None = None) -> None:
        self.parent, self.record = parent, record
        self.length: int = 0 if parent is None else parent.length + 1
        self._next: dict[int, Log] = {}
        self._content: dict[int, int] | None = None
        self._ready: deque[Log] = deque() if parent is None else parent._ready
        """Nodes of the whole tree whose content is ready, the oldest first."""

    def then(self, record: WriteRecord) -> Log:
        """This history and one write more."""
        known = self._next.get(record.sequence)
        if known is None:
            known = self._next[record.sequence] = Log(self, record)
        return known

    def prefix(self, length: int) -> Log:
        """The first `length` writes."""
        node = self
        while node.length > length:
            assert node.parent is not None
            node = node.parent
        return node

    def backwards(self) -> Iterator[WriteRecord]:
        """The writes, newest first."""
        node = self
        while node.parent is not None and node.record is not None:
            yield node.record
            node = node.parent

    @property
    def content(self) -> Mapping[int, int]:
        """Which write (by sequence) each written address holds; addresses that are absent hold the base."""
        if self._content is None:
            node, since = self, list[Log]()
            while node._content is None and node.parent is not None:
                since.append(node)
                node = node.parent
            found = dict(node._content or {})
            for one in reversed(since):
                assert one.record is not None
                found[one.record.address] = one.record.sequence
                if not one.length % _MILESTONE:
                    one._content = dict(found)
            self._content = found
            self._ready.append(self)
            if len(self._ready) > _READY and (oldest := self._ready.popleft()).length % _MILESTONE:
                oldest._content = None
        return self._content

    def at(self, sequence: int) -> Log | None:
        """The prefix that ends with the write `sequence`; the empty one for 0; None when it is not in this history."""
        node = self
        while node.record is not None and node.record.sequence > sequence:
            assert node.parent is not None
            node = node.parent
        if node.record is None:
            return node if sequence == 0 else None
        return node if node.record.sequence == sequence else None


@attrs.frozen
class View:
    """What a read found: per written address the write that it holds; addresses that hold neither a write of ours nor the
    base are in `rubbish`, told in words."""

    content: Mapping[int, int]
    rubbish: tuple[tuple[int, str], ...] = ()
    newest: int = attrs.field(init=False, eq=False, repr=False)

    @newest.default
    def _newest(self) -> int:
        return max(self.content.values(), default=0)

    def locate(self, log: Log) -> Log | None:
        """The prefix of `log` that this content is exactly, or None."""
        if self.rubbish:
            return None
        node = log.at(self.newest)
        return node if node is not None and node.content == self.content else None


@attrs.frozen
class Mismatch:
    """The first block that is not what it should be."""

    address: int
    found: str
    expected: str


@functools.lru_cache(maxsize=4)
def _generated(blocks: int, seed: int) -> bytes:
    """The content that is made up."""
    digests = (hashlib.blake2b(struct.pack("<QQ", seed, block), digest_size=32).digest() for block in range(blocks))
    return b"".join(digest * (BLOCK // 32) for digest in digests)


class Base:
    """The content that the disks of a machine start with: generated, or a file read block by block. Every disk is alike."""

    def __init__(self, blocks: int, image: Path | None = None, seed: int = 0) -> None:
        self.image = image
        self.blocks = blocks if image is None else max(1, -(-image.stat().st_size // BLOCK))
        self._made = b"" if image is not None else _generated(blocks, seed)

    def data(self, start: int, count: int) -> bytes:
        """`count` blocks from block `start`; a last, partial block of a file is filled up with zeros."""
        if self.image is None:
            if start == 0 and count == self.blocks:
                return self._made
            return self._made[start * BLOCK : (start + count) * BLOCK]
        with self.image.open("rb") as file:
            file.seek(start * BLOCK)
            return file.read(count * BLOCK).ljust(count * BLOCK, b"\0")

    def write_to(self, path: Path) -> None:
        """Make the disk's file."""
        with path.open("wb") as file:
            for start in range(0, self.blocks, 256):
                file.write(self.data(start, min(256, self.blocks - start)))


class Journal:
    """Everything that was ever written to one machine, and the base underneath."""

    def __init__(self, machine: str, base: Base, disks: int = 1) -> None:
        self.machine, self.base, self.disks = machine, base, disks
        self.root = Log()
        self.records: dict[int, WriteRecord] = {}
        self.addresses: set[int] = set()
        self.times: dict[int, float] = {}
        """When a write was issued, in seconds, where that is known."""
        self.in_copies: set[int] = set()
        """Writes that were made in the copy of a test failover, and belong nowhere else."""
        self._last: dict[int, int] = {}
        self._payloads: dict[int, bytes] = {}
        self._judged: dict[int, deque[tuple[bytes, dict[int, int]]]] = {}
        """Of each part of the disks, by its first address: what was read there of late, and what that holds."""

    def issue(self, disk: int, block: int, branch: int, *, in_copy: bool = False, now: float | None = None) -> WriteRecord:
        """Make the next write, at the time `now` where that is known. It is in no log yet."""
        block %= self.base.blocks
        tag = Tag(self.machine, disk, block, branch, len(self.records) + 1)
        record = WriteRecord(tag, disk * self.base.blocks + block)
        self.records[tag.sequence] = record
        self.addresses.add(record.address)
        if now is not None:
            self.times[tag.sequence] = now
        if in_copy:
            self.in_copies.add(tag.sequence)
        return record

    def where(self, address: int) -> str:
        """An address in words."""
        disk, block = divmod(address, self.base.blocks)
        return f"block {block}" + (f" of disk {disk}" if self.disks > 1 else "")

    def read(self, reader: Reader, *, whole: bool = True) -> View:
        """Read the content of a point or side. With `whole` false only addresses that were ever written are read."""
        content: dict[int, int] = {}
        rubbish: list[tuple[int, str]] = []
        for disk in range(self.disks):
            first = disk * self.base.blocks
            for start, count in self._spans(disk, whole):
                data = reader(disk, start * BLOCK, count * BLOCK)
                if len(data) != count * BLOCK:
                    rubbish.append((first + start, f"{len(data)} bytes instead of {count * BLOCK}"))
                    continue
                self._judge(data, first + start, start, count, content, rubbish)
        self._last = content
        return View(content, tuple(rubbish))

    def _spans(self, disk: int, whole: bool) -> Iterator[tuple[int, int]]:
        if whole:
            for start in range(0, self.base.blocks, 256):
                yield start, min(256, self.base.blocks - start)
        else:
            for address in sorted(self.addresses):
                of, block = divmod(address, self.base.blocks)
                if of == disk:
                    yield block, 1

    def _judge(
        self, data: bytes, address: int, start: int, count: int, content: dict[int, int], rubbish: list[tuple[int, str]]
    ) -> None:
        base = self.base.data(start, count)
        if data == base:
            return
        judged = self._judged.get(address)
        if judged is None:
            judged = self._judged[address] = deque(maxlen=_JUDGED)
        for known, held in judged:
            if data == known:  # every byte of it
                content.update(held)
                return
        whole: dict[int, int] = {}
        if self._blocks(data, base, address, count, whole, rubbish):
            judged.appendleft((data, whole))
        content.update(whole)

    def _blocks(
        self, data: bytes, base: bytes, address: int, count: int, content: dict[int, int], rubbish: list[tuple[int, str]]
    ) -> bool:
        """Judge block by block; whether none of them is rubbish."""
        records, written, last, before = self.records, self.addresses, self._last, len(rubbish)
        for index in range(count):
            offset, here = index * BLOCK, address + index
            if here in written:
                guess = last.get(here)
                if guess is not None and data.startswith(self._payload(guess), offset):
                    content[here] = guess
                    continue
            if data.startswith(base[offset : offset + BLOCK], offset):
                continue
            tag = decode(data, offset)
            known = records.get(tag.sequence) if tag is not None else None
            if known is not None and known.tag == tag and known.address == here:
                content[here] = known.sequence
            elif tag is not None:
                rubbish.append(
                    (
                        here,
                        f"write {tag.sequence} of {tag.machine}, which was made to another block "
                        f"({tag.block} of disk {tag.disk})",
                    )
                )
            elif data.startswith(_MAGIC, offset):
                rubbish.append((here, "a torn block: the beginning of one write, the end of another"))
            else:
                rubbish.append((here, "bytes that are neither the base image's nor any write's"))
        return len(rubbish) == before and count <= _AT_ONCE

    def _payload(self, sequence: int) -> bytes:
        """The bytes of a write. Those that were asked for last are remembered."""
        known = self._payloads.get(sequence)
        if known is None:
            if len(self._payloads) >= _PAYLOADS:
                self._payloads.clear()
            known = self._payloads[sequence] = self.records[sequence].payload
        return known

    def told(self, sequence: int | None) -> str:
        """What an address holds, in words."""
        if not sequence:
            return "the base image's block"
        of = "a test copy's" if sequence in self.in_copies else f"branch {self.records[sequence].tag.branch}"
        return f"write {sequence} ({of})"

    def mismatch(self, view: View, log: Log) -> Mismatch | None:
        """The first block in which `view` is not `log`'s content; None when it is."""
        if view.rubbish:
            address, found = view.rubbish[0]
            return Mismatch(address, found, self.told(log.content.get(address)))
        for address in sorted(set(view.content) | set(log.content)):
            found_write, due = view.content.get(address), log.content.get(address)
            if found_write != due:
                return Mismatch(address, self.told(found_write), self.told(due))
        return None
