"""The source side of replication: tracks every write in ``.hrl`` logs, copies the base and sends changes in order.

Three components share this protocol: the *Mobility service* of a VMware or physical machine, Scout's *unified agent*,
and the *replication agent* of a Hyper-V host. It is a state machine: :meth:`ReplicationAgent.track` and
:meth:`ReplicationAgent.receive` change it, :meth:`ReplicationAgent.pump` returns what is to be sent.

Rules:

==============  =====================================================================================================
tracking        on from before the base copy starts until the side is fenced (P8, P9, P23)
logs            double buffered for all disks at once: swapped at one sequence number, so that a batch is a prefix
one in transit  the next batch is sent only when the target has acknowledged the one before, end to end
batch           at most 4 MiB of content, so that memory is bounded however long the backlog; what is left of the logs
                in transit goes in the next batches
drop            the logs in transit are deleted when all their writes are acknowledged and never before (what a gateway
                loses in a crash is sent again)
doubt           when a write could not be recorded, a log is damaged, or the logs outgrow their limit, nothing is
                tracked or sent any more until the sides are compared (P9); after a crash the logs of all disks together
                must hold every number
base copy       in chunks of the live disk while writes go on; the writes made meanwhile are tracked and follow
resync          digests go first, only blocks that differ are sent
bad disk        a base copy or comparison that cannot read its disk ends (``unreadable``)
sealing         where no gateway stands between and the channel is to be encrypted, the agent itself seals what it
                sends (H2A-17); digests of a comparison carry no content and pass as they are
==============  =====================================================================================================
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from heapq import merge
from typing import Any

import attrs

from .changelog import ChangeLog, LogFile, Tracked
from .codec import Codec, identity_of
from .diskset import ZERO, DiskSet
from .errors import IntegrityError
from .extents import ExtentSpace, digest_of
from .messages import Ack, BlockCopy, ChangeBatch, Compare, CopyChunk, DataMessage, Message, Send
from .values import BLOCK

__all__ = ["BATCH_BYTES", "CHUNK_BLOCKS", "HyperVReplicationAgent", "MobilityService", "ReplicationAgent", "UnifiedAgent"]

CHUNK_BLOCKS = 256
"""Blocks of one chunk of the base copy or of a comparison: 1 MiB."""


BATCH_BYTES = 4 * 1024 * 1024
"""Most bytes of content in one batch; a single longer write goes alone."""


_KEPT = ("tracking", "resync_required", "epoch", "sending_to", "number", "shipped", "last_tracked")


@attrs.define(slots=True)
class BaseCopy:
    """Progress of a base copy: the next place, and the blocks a comparison found to differ."""

    compare: bool
    disk: int = 0
    block: int = 0
    differing: tuple[int, tuple[int, ...]] | None = None


class ReplicationAgent:
    """Source-side agent of one machine on one side.

    Overridable: :meth:`track`, :meth:`which_log_to_clear`, :meth:`drained`, :meth:`may_send`, :meth:`take_batch`,
    :meth:`copy_blocks`, :meth:`seal`.
    """

    def __init__(
        self,
        machine: str,
        side: str,
        disks: DiskSet,
        logs: Sequence[ChangeLog],
        space: ExtentSpace,
        staging: int,
        codec: Codec | None = None,
        log_limit: int | None = None,
    ) -> None:
        self.machine = machine
        self.side = side
        self.tracking = False
        self.resync_required = False
        self.epoch = 0
        self.sending_to: str | None = None
        self.number = 0
        self.shipped = 0
        self.last_tracked = 0
        self.unreadable = False
        """Whether a block could not be read for a copy; the coordinator takes note."""
        self.in_flight: DataMessage | None = None
        self.copy: BaseCopy | None = None
        self.marks: list[tuple[int, str]] = []
        """Marks that have not arrived: behind which write, and their names (a barrier's, or frozen applications'); volatile."""
        self._disks = disks
        self._logs = list(logs)
        self._space = space
        self._staging = staging
        self._codec = codec
        """With what the agent itself seals content; ``None`` where a gateway does, or nobody."""
        self._log_limit = log_limit
        """Bytes of all logs together beyond which a resynchronisation costs less than sending them; ``None``: no limit."""

    def head(self) -> dict[str, Any]:
        """What has to survive beside the logs; plain values. What is under way is made again."""
        return {**{name: getattr(self, name) for name in _KEPT}, "copy": None if self.copy is None else self.copy.compare}

    def restore(self, head: Mapping[str, Any]) -> None:
        """Become what was kept; a base copy begins again."""
        for name in _KEPT:
            setattr(self, name, head[name])
        self.in_flight = None
        self.copy = None if head["copy"] is None else BaseCopy(head["copy"])

    # -------------------------------------------------------------------------------------------------- tracking

    def track(self, sequence: int, disk: int, block: int, data: bytes, now: float) -> None:
        """Record one write in the log of its disk, before it is acknowledged."""
        if self.tracking and not self.resync_required:
            self._logs[disk].append(sequence, block * BLOCK, data, now)
            self.last_tracked = sequence
            if self._log_limit is not None and sum(log.size for log in self._logs) > self._log_limit:
                self.doubt()

    def doubt(self) -> None:
        """What was tracked cannot be relied on any more: a resynchronisation is required (P9)."""
        if self.tracking:
            self.resync_required = True

    def start_tracking(self, epoch: int, sequence: int) -> None:
        """Track from after ``sequence`` on, in an epoch; older logs are dropped."""
        for log in self._logs:
            log.reset()
        self.tracking = True
        self.resync_required = False
        self.epoch = epoch
        self.shipped = self.last_tracked = sequence
        self.in_flight = None
        self.copy = None
        self.marks.clear()

    def stop_tracking(self) -> None:
        """Stop tracking and sending; logs are dropped. Only a side that is no longer the machine does this."""
        self.tracking = False
        self.close_session()
        for log in self._logs:
            log.reset()

    def power_fail(self) -> None:
        """Power of the side fails: the logs keep what is on stable storage."""
        for log in self._logs:
            log.power_fail()

    def recover(self) -> None:
        """After a crash of the side: what was in memory only is forgotten, the logs are rebuilt from disk.

        A batch under way is made again from the logs in transit; a base copy begins again. Doubt about the logs makes
        a resynchronisation required (P9).
        """
        if isinstance(self.in_flight, ChangeBatch):
            self.in_flight = None
        elif self.copy is not None:
            self.in_flight, self.copy = None, BaseCopy(self.copy.compare)
        self.check_logs()

    def check_logs(self) -> None:
        """Read the logs back from disk; one that is damaged, incomplete or cannot be read is not to be trusted any more (P9)."""
        try:
            for log in self._logs:
                log.recover()
            found = [t.sequence for t in self._in_logs()]
            if self.tracking and found != list(range(self.last_tracked + 1 - len(found), self.last_tracked + 1)):
                raise IntegrityError("a tracked write is missing from the logs, or is there twice; resynchronise")
            if self.tracking and self.last_tracked - len(found) > self.shipped:
                raise IntegrityError("the oldest tracked writes are missing from the logs; resynchronise")
        except (IntegrityError, OSError):
            self.doubt()

    def _in_logs(self) -> list[Tracked]:
        both = [log for x in self._logs for log in (x.in_transit, x.recording) if log is not None]
        return self._merge([sorted(log.tracked, key=lambda t: t.sequence) for log in both])

    def files(self) -> list[ChangeLog]:
        """The change logs, one per disk."""
        return self._logs

    # --------------------------------------------------------------------------------------------------- session

    def open_session(self, send_to: str) -> None:
        """Start sending to an address (the gateway, or the target itself)."""
        self.sending_to = send_to
        self.in_flight = None

    def close_session(self) -> None:
        """Stop sending; tracking is not touched."""
        self.sending_to = None
        self.in_flight = None
        self.copy = None
        self.marks.clear()

    def start_copy(self, *, compare: bool) -> None:
        """Begin the base copy, or (``compare``) a resynchronisation that sends only what differs."""
        self.copy = BaseCopy(compare)

    @property
    def copying(self) -> bool:
        """Whether a base copy or resynchronisation is not finished."""
        return self.copy is not None

    def drained(self, acknowledged: int, received: int) -> bool:
        """Whether every one of the acknowledged writes is on the other side."""
        return received >= acknowledged and not self.pending()

    def pending(self) -> bool:
        """Whether anything waits to be sent or acknowledged."""
        return (
            self.in_flight is not None
            or self.copy is not None
            or self.resync_required
            or bool(self.marks)
            or any(log.recording is not None or log.in_transit is not None for log in self._logs)
        )

    # --------------------------------------------------------------------------------------------------- sending

    def may_send(self) -> bool:
        """Whether a new message may be sent now: there is a session and nothing waits for its acknowledgement."""
        return self.sending_to is not None and self.in_flight is None and not self.resync_required

    def pump(self, now: float) -> list[Send]:
        """The next message, if one may be sent and there is something to send."""
        if not self.may_send() or self.sending_to is None:
            return []
        if self._space.end(self._staging):
            self._space.truncate(self._staging)
        try:
            message = self._next_copy() if self.copy is not None else self._next_batch(now)
        except IntegrityError:
            if self.copy is None:
                self.doubt()
            self.unreadable, self.copy = self.copy is not None, None
            return []
        if message is None:
            return []
        if self._codec is not None and not isinstance(message, Compare):
            message = self.seal(message, self._codec)
        self.in_flight = message
        return [Send(self.sending_to, message)]

    def seal(self, message: ChangeBatch | CopyChunk, codec: Codec) -> ChangeBatch | CopyChunk:
        """Encrypt the content of a message for the way to the target; what was staged in the clear goes (H2A-17)."""
        items = message.writes if isinstance(message, ChangeBatch) else message.copies
        content = b"".join(self._space.read(item.extent) for item in items)
        self._space.truncate(self._staging)
        frame = self._space.append(self._staging, codec.encode(content, identity_of(message)))
        return attrs.evolve(message, payload=frame)

    def resend(self) -> list[Send]:
        """Send again what has not been acknowledged: after a fault nobody knows whether it arrived."""
        if self.sending_to is None or self.in_flight is None or self.resync_required:
            return []
        return [Send(self.sending_to, self.in_flight)]

    def _next_number(self) -> int:
        self.number += 1
        return self.number

    def take_batch(self, now: float) -> list[Tracked]:
        """The next writes in the order of the machine, at most :data:`BATCH_BYTES` of them. If no log is in transit, the
        logs of all disks are swapped at one instant.
        """
        if all(log.in_transit is None for log in self._logs):
            writes = self._merge([log.swap(now) for log in self._logs])
        else:
            writes = self._merge([x.in_transit.tracked for x in self._logs if x.in_transit is not None])
        size = 0
        first = bisect_right(writes, self.shipped, key=lambda t: t.sequence)
        for index in range(first, len(writes)):
            size += writes[index].extent.length
            if size > BATCH_BYTES and index > first:
                return writes[first:index]
        return writes[first:]

    @staticmethod
    def _merge(parts: Sequence[list[Tracked]]) -> list[Tracked]:
        if len(parts) == 1:
            return list(parts[0])
        return list(merge(*parts, key=lambda t: t.sequence))

    def _next_batch(self, now: float) -> DataMessage | None:
        writes, mark = self.take_batch(now), ""
        if self.marks:
            at, name = self.marks[0]
            writes = writes[: bisect_right(writes, at, key=lambda t: t.sequence)]
            mark = name if (writes[-1].sequence if writes else self.shipped) == at else ""
        if not writes and not mark:
            return None
        last = writes[-1].sequence if writes else self.shipped
        return ChangeBatch(self.machine, self.epoch, self._next_number(), self.shipped, last, tuple(writes), mark=mark)

    def copy_blocks(self, disk: int, start: int, blocks: Sequence[int], data: bytes) -> list[BlockCopy]:
        """Stage the given blocks of a chunk for transfer, in runs; ``data`` is the chunk from block ``start`` on."""
        copies = []
        at = 0
        while at < len(blocks):
            first = blocks[at]
            length = 1
            while at + length < len(blocks) and blocks[at + length] == first + length:
                length += 1
            piece = data if len(blocks) * BLOCK == len(data) else data[(first - start) * BLOCK : (first - start + length) * BLOCK]
            extent = self._space.append(self._staging, piece)
            copies.append(BlockCopy(disk, first * BLOCK, extent, digest_of(piece)))
            at += length
        return copies

    def _next_copy(self) -> DataMessage | None:
        copy = self.copy
        assert copy is not None
        sizes = self._disks.sizes
        if copy.differing is not None:
            start, differing = copy.differing
            copy.differing = None
            count = min(CHUNK_BLOCKS, sizes[copy.disk] // BLOCK - start)
            data = self._disks.read(copy.disk, start * BLOCK, count * BLOCK)
            copies = self.copy_blocks(copy.disk, start, differing, data)
            copy.block = start + count
            return CopyChunk(self.machine, self.epoch, self._next_number(), tuple(copies))
        while copy.disk < len(sizes):
            total = sizes[copy.disk] // BLOCK
            if copy.block >= total:
                copy.disk, copy.block = copy.disk + 1, 0
                continue
            start, count = copy.block, min(CHUNK_BLOCKS, total - copy.block)
            filled = self._disks.may_hold_data(copy.disk, start, count)
            data = self._disks.read(copy.disk, start * BLOCK, count * BLOCK) if filled else b""
            if copy.compare:
                pieces = [data[i * BLOCK : (i + 1) * BLOCK] for i in range(count)] if filled else [ZERO] * count
                digests = tuple(b"" if p == ZERO else digest_of(p) for p in pieces)
                return Compare(self.machine, self.epoch, self._next_number(), copy.disk, start, digests)
            copy.block = start + count
            blocks = [start + i for i in range(count) if filled and not data.startswith(ZERO, i * BLOCK)]
            if blocks:
                copies = self.copy_blocks(copy.disk, start, blocks, data)
                return CopyChunk(self.machine, self.epoch, self._next_number(), tuple(copies))
        self.copy = None
        return None

    # ------------------------------------------------------------------------------------------------- receiving

    def which_log_to_clear(self, log: ChangeLog) -> LogFile | None:
        """The log that an acknowledgement allows to drop: the one in transit."""
        return log.in_transit

    def receive(self, message: Message, now: float) -> list[Send]:  # noqa: ARG002
        """Take an acknowledgement. Anything of another epoch or number is ignored."""
        sent = self.in_flight
        if not isinstance(message, Ack) or sent is None:
            return []
        if message.epoch != self.epoch or message.number != sent.number:
            return []
        self.in_flight = None
        if isinstance(sent, ChangeBatch):
            self.shipped = sent.last
            if sent.mark and self.marks and self.marks[0][1] == sent.mark:
                self.marks.pop(0)
            in_transit = [log.in_transit for log in self._logs if log.in_transit is not None]
            if all(log.tracked[-1].sequence <= sent.last for log in in_transit):
                for log in self._logs:
                    log.clear(self.which_log_to_clear)
        elif isinstance(sent, Compare) and self.copy is not None:
            if message.differing:
                self.copy.differing = (sent.start, message.differing)
            else:
                self.copy.block = sent.start + len(sent.digests)
        return []


class MobilityService(ReplicationAgent):
    """The agent inside a VMware or physical machine; sends to the process server on port 9443 (V2A-23, V2A-31, P2A-1)."""


class UnifiedAgent(ReplicationAgent):
    """Scout's agent inside a VMware or physical machine; sends to the process server (S-V2S-21, S-V2S-24).

    The source names no ``.hrl`` file for Scout (GEN-13) and forbids none: it keeps the same change log.
    """


class HyperVReplicationAgent(ReplicationAgent):
    """The agent on a Hyper-V host; sends to the other host (H2S-14, H2S-16) or to the storage account (H2A-16) directly.

    On the way back from Azure the same protocol runs at the other end; nothing is installed inside a machine (H2A-20).
    """
