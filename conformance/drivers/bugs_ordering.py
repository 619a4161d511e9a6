"""Seeded bugs of order: writes, batches, points and ids that come in another order than they were made in."""

from __future__ import annotations

from typing import Any

import attrs

from siteproof.conformance.drivers.bugs_common import AGENTS, COORDINATORS, FLOWS, TARGETS, Bug, mixed
from siteproof.impl.agent import ReplicationAgent
from siteproof.impl.changelog import Tracked
from siteproof.impl.coordinator import Coordinator
from siteproof.impl.messages import ChangeBatch, CopyChunk
from siteproof.impl.target import ReplicationTarget
from siteproof.impl.values import BLOCK, Point
from siteproof.impl.vm_host import VmHost

__all__ = ["BUGS"]

FAMILY = "ordering"


class _NewestFirst(ReplicationTarget):
    def apply(self, batch: ChangeBatch) -> None:
        pieces = self._contents(batch)
        for write, piece in reversed(list(zip(batch.writes, pieces, strict=True))):
            if write.sequence > self.received:
                self._into.write(write.disk, write.offset // BLOCK, piece)
        self.received = max(self.received, batch.last)


class _FirstWriteWins(ReplicationAgent):
    def take_batch(self, now: float) -> list[Tracked]:
        first: dict[tuple[int, int], Tracked] = {}
        writes = super().take_batch(now)
        for write in writes:
            first.setdefault((write.disk, write.offset), write)
        return [attrs.evolve(first[w.disk, w.offset], sequence=w.sequence) for w in writes]


class _CacheLastInFirstOut(VmHost):
    def flush(self, now: float) -> None:
        cache = self.guest.cache
        while cache:
            self.acknowledge(*cache[-1], now)
            cache.pop()


class _PlainBeforeCached(VmHost):
    def write(self, disk: int, block: int, data: bytes, *, cached: bool, now: float) -> bool:
        if cached or not self.guest.running:
            return super().write(disk, block, data, cached=cached, now=now)
        self.disks.check(disk, block)
        self.acknowledge(disk, block, data, now)
        self.flush(now)
        return True


class _IdsAreCounted(Coordinator):
    def cut(self, side: str, now: float) -> Point:
        self.record.points_made = len(self.sides[side].target.points)
        return super().cut(side, now)


class _NewestListedFirst(Coordinator):
    @property
    def points(self) -> list[Point]:
        return super().points[::-1]


class _ChunkAfterChanges(ReplicationTarget):
    """Puts the first chunk of a base copy aside and stores it when a change has come."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.aside: list[tuple[CopyChunk, list[bytes | memoryview]]] = []

    def store_base(self, chunk: CopyChunk) -> None:
        self.aside.append((chunk, self._contents(chunk)))
        super().store_base(chunk)

    def apply(self, batch: ChangeBatch) -> None:
        super().apply(batch)
        for chunk, pieces in self.aside:
            for copy, piece in zip(chunk.copies, pieces, strict=True):
                self._into.write_run(copy.disk, copy.offset // BLOCK, piece)
        self.aside.clear()


class _BehindTheMark(ReplicationTarget):
    """A cut is taken before what arrived last."""

    def apply(self, batch: ChangeBatch) -> None:
        self.before_last = self.received
        super().apply(batch)

    def cut_point(self, name: str, now: float) -> Point:
        point = super().cut_point(name, now)
        return attrs.evolve(point, sequence=getattr(self, "before_last", point.sequence))


BUGS: tuple[Bug, ...] = (
    Bug(
        "batch-applied-backwards", FAMILY, "easy",
        "The target applies the writes of a batch from the last to the first: of two writes to a block the older one stays.",
        ("GEN-11", "V2A-28", "H2S-20"), ("P1", "P2", "P4", "P8"), FLOWS, 5, mixed(_NewestFirst, TARGETS),
    ),
    Bug(
        "first-write-of-a-block-wins", FAMILY, "easy",
        "The agent sends each block of a batch once, to save bandwidth, and keeps the first write of it instead of the last.",
        ("V2A-29", "H2S-21"), ("P1", "P2", "P4", "P8"), FLOWS, 5, mixed(_FirstWriteWins, AGENTS),
    ),
    Bug(
        "cache-flushed-backwards", FAMILY, "medium",
        "The host flushes a guest's cached writes last in, first out: of two writes to a block the older one stays.",
        ("H2S-24", "V2A-28"), ("P1", "P2", "P4", "P20", "P21"), FLOWS, 3, {"vm-host": _CacheLastInFirstOut},
    ),
    Bug(
        "plain-write-overtakes-the-cache", FAMILY, "medium",
        "A write with a flush reaches the disk before the cached ones that were issued earlier.",
        ("H2S-24", "V2A-28"), ("P4", "P20", "P21"), FLOWS, 2, {"vm-host": _PlainBeforeCached},
    ),
    Bug(
        "ids-used-again", FAMILY, "medium",
        "A recovery point's id is made from how many points there are: when some have gone, an id comes back, and an operator "
        "who noted it restores something else.",
        ("V2A-37", "H2S-20"), ("P4",), FLOWS, 8, mixed(_IdsAreCounted, COORDINATORS),
    ),
    Bug(
        "newest-point-listed-first", FAMILY, "easy",
        "Recovery points are listed newest first, by one of the two components that list them: whoever takes the last one "
        "fails over to the oldest.",
        ("V2A-43", "H2S-23"), ("P4",), FLOWS, 4, mixed(_NewestListedFirst, COORDINATORS),
    ),
    Bug(
        "chunk-stored-after-changes", FAMILY, "medium",
        "A piece of the base copy is written a second time when the first changes have come, as after a retry, and covers "
        "them.",
        ("GEN-11", "V2A-28", "H2S-20"), ("P1", "P2", "P4", "P8", "P20"), FLOWS, 4, mixed(_ChunkAfterChanges, TARGETS),
    ),
    Bug(
        "point-counted-before-the-last-batch", FAMILY, "easy",
        "A recovery point notes how far replication had come before its last batch, and a failover to it numbers its writes "
        "from there.",
        ("V2A-43", "H2S-27"), ("P2", "P4", "P20"), FLOWS, 6, mixed(_BehindTheMark, TARGETS),
    ),
)  # fmt: skip
