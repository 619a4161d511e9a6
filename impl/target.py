"""The target side of replication: applies what arrives, in order and once, and keeps recovery points.

Three components share it: the *storage account* (everything to Azure), the *master target* (failback to VMware, and both
ways with Scout) and the *replica host* (Hyper-V to a secondary site, and back from Azure).

Rules:

* a message of an epoch older than the side's own is refused (P3), and so is everything while replication is halted;
* a message that was sent before the session began is refused: the network may deliver an old copy late;
* changes are applied in the order of the machine's sequence numbers, all disks together; a message that came before is
  acknowledged again and not applied again; a gap is refused, never skipped (P9);
* content is checked against its digest before any of it is applied, so a batch is applied whole or not at all;
* during a resynchronisation that compares, everything goes to a staging area and the replica stays what it was;
* a point is a cut over all disks at one instant between two batches: exactly a prefix of the branch (P4, P23);
* pruning never removes the newest point, nor one that is in use (P4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import attrs

from .codec import Codec, identity_of
from .diskset import ZERO, DiskSet
from .errors import IntegrityError
from .extents import Extent, ExtentSpace, digest_of
from .messages import Ack, ChangeBatch, Compare, CopyChunk, Message, Send
from .retention import ALL_WITHIN, to_prune
from .values import BLOCK, CRASH_CONSISTENT, Point
from .vm_host import VmHost

__all__ = ["MasterTarget", "ReplicaHost", "ReplicationTarget", "StorageAccount"]

CHECKED_BLOCKS = 16_384
"""Places of which one step reads what is staged there: 64 MiB of a disk."""
_KEPT = ("accepting", "received", "after", "reply_to", "spoiled")


class ReplicationTarget:
    """Target of one machine on one side.

    Overridable: :meth:`accepts_epoch`, :meth:`in_order`, :meth:`apply`, :meth:`cut_point`, :meth:`points_to_prune`,
    :meth:`store_base`, :meth:`delete_points`.
    """

    def __init__(self, machine: str, side: str, disks: DiskSet, host: VmHost, space: ExtentSpace, codec: Codec) -> None:
        self.machine = machine
        self.side = side
        self.accepting = False
        self.received = 0
        self.after = 0
        self.points: list[Point] = []
        self.last_ack: Ack | None = None
        self.spoiled = False
        """Whether a block went bad while it was merged: the replica has to be compared again."""
        self.thins = False
        """Whether old points are thinned before retention removes them."""
        self.tentative: dict[str, Point] = {}
        """Cuts at marks, by their names. That of frozen applications becomes a recovery point at once, a barrier's as soon as
        every member has one.
        """
        self.reply_to = ""
        self._disks = disks
        self._staging: DiskSet | None = None
        self._held = 0
        self._checked = (0, 0)
        self._host = host
        self._space = space
        self._codec = codec

    def head(self) -> dict[str, Any]:
        """What has to survive beside the disks; plain values."""
        return {
            **{name: getattr(self, name) for name in _KEPT},
            "points": [attrs.asdict(p) for p in self.points],
            "tentative": [attrs.asdict(p) for p in self.tentative.values()],
            "last_ack": None if self.last_ack is None else attrs.asdict(self.last_ack),
            "staging": None if self._staging is None else self._staging.name,
            "held": self._held,
        }

    def restore(self, head: Mapping[str, Any]) -> None:
        """Become what was kept; the disks are restored already."""
        for name in _KEPT:
            setattr(self, name, head[name])
        self.points = [Point(**p) for p in head["points"]]
        self.tentative = {p["group"]: Point(**p) for p in head["tentative"]}
        ack = head["last_ack"]
        self.last_ack = None if ack is None else Ack(**{**ack, "differing": tuple(ack["differing"])})
        self._staging = None if head["staging"] is None else self._disks.overlays[head["staging"]]
        self._held = head["held"]

    # --------------------------------------------------------------------------------------------------- session

    def open_session(self, epoch: int, received: int, reply_to: str, *, fresh: bool, after: int = 0) -> None:
        """Begin to receive after ``received`` writes of the branch, in messages numbered higher than ``after``; ``fresh``
        forgets all content first.
        """
        self.drop_tentative()
        if fresh:
            self._disks.clear()
        self._host.epoch = max(self._host.epoch, epoch)
        self.accepting = True
        self.received = received
        self.reply_to = reply_to
        self.after = after
        self.last_ack = None

    def open_staging(self) -> None:
        """From now on what arrives goes beside the replica, which stays what it is, and so does what it counts as held."""
        self._held = self.received
        self._staging = self._disks.overlay("resync")
        self._checked = (0, 0)

    def drop_staging(self) -> None:
        """Delete the staging area, if there is one, with everything that arrived since: the replica is what it was."""
        if self._staging is not None:
            self._disks.remove(self._staging)
            self._staging = None
            self.received = self._held

    def check_staged(self) -> bool:
        """Read a part of what is staged; ``True`` when all of it has been read.

        Raises:
            IntegrityError: a block of it is not what was written there.
        """
        disk, block = self._checked
        if self._staging is None or disk == len(self._staging.sizes):
            return True
        self._staging.verify(disk, block, CHECKED_BLOCKS)
        block += CHECKED_BLOCKS
        self._checked = (disk, block) if block * BLOCK < self._staging.sizes[disk] else (disk + 1, 0)
        return self._checked[0] == len(self._staging.sizes)

    def merge(self, blocks: int) -> bool:
        """Move at most so many blocks from the staging area into the replica. ``True`` when nothing is left in it and it
        is gone: then the replica holds everything received.
        """
        if self._staging is not None:
            left, lost = self._staging.move_to(self._disks, blocks)
            self.spoiled = self.spoiled or lost
            if left:
                return False
            self._held = self.received
            self.drop_staging()
        return True

    @property
    def held(self) -> int:
        """Writes of the branch that the replica itself holds."""
        return self.received if self._staging is None else self._held

    @property
    def _into(self) -> DiskSet:
        """Where what arrives goes, and what it is compared with."""
        return self._disks if self._staging is None else self._staging

    def halt(self) -> None:
        """Replication stops: nothing more is accepted until a new session."""
        self.accepting = False
        self.drop_tentative()

    # ------------------------------------------------------------------------------------------------- receiving

    def accepts_epoch(self, epoch: int) -> bool:
        """Whether a message's epoch is the current one."""
        return epoch >= self._host.epoch

    def in_order(self, batch: ChangeBatch) -> bool:
        """Whether a batch continues exactly where the last one ended."""
        return batch.previous <= self.received

    def receive(self, message: Message, now: float) -> list[Send]:
        """Take a data message; the answer is an end-to-end acknowledgement, or nothing when it is refused."""
        if isinstance(message, Ack) or not self.accepts_epoch(message.epoch):
            return []
        if not self.accepting or message.number <= self.after:
            return []
        if self.last_ack is not None and message.number <= self.last_ack.number:
            return [Send(self.reply_to, self.last_ack)] if message.number == self.last_ack.number else []
        differing: tuple[int, ...] = ()
        if isinstance(message, ChangeBatch):
            if not self.in_order(message):
                return []
            self.apply(message)
            if message.mark and message.last == self.received and self._staging is None:
                self.note_mark(message.mark, now)
        elif isinstance(message, CopyChunk):
            self.store_base(message)
        else:
            differing = tuple(self.differing(message))
        self.last_ack = Ack(message.machine, message.epoch, message.number, self.received, differing)
        return [Send(self.reply_to, self.last_ack)]

    def _contents(self, message: ChangeBatch | CopyChunk) -> list[bytes | memoryview]:
        items: Iterable[tuple[Extent, bytes]]
        if isinstance(message, ChangeBatch):
            items = [(w.extent, w.digest) for w in message.writes]
        else:
            items = [(c.extent, c.digest) for c in message.copies]
        pieces: list[bytes | memoryview] = []
        frame = memoryview(b"" if message.payload is None else self.open_frame(message))
        at = 0
        for extent, digest in items:
            piece: bytes | memoryview
            if message.payload is None:
                piece = self._space.read(extent)
            else:
                piece = frame[at : at + extent.length]
                at += extent.length
            if digest_of(piece) != digest:
                raise IntegrityError(f"{self.machine}: content of message {message.number} does not match its digest")
            pieces.append(piece)
        return pieces

    def open_frame(self, message: ChangeBatch | CopyChunk) -> bytes:
        """Decrypt and expand what a gateway, or the agent itself, has sealed."""
        assert message.payload is not None
        return self._codec.decode(self._space.read(message.payload), identity_of(message))

    def apply(self, batch: ChangeBatch) -> None:
        """Apply a batch of tracked writes in order; writes that were applied before are skipped."""
        pieces = self._contents(batch)
        for write, piece in zip(batch.writes, pieces, strict=True):
            if write.sequence > self.received:
                self._into.write(write.disk, write.offset // BLOCK, piece)
                self.received = write.sequence

    def store_base(self, chunk: CopyChunk) -> None:
        """Store a piece of the base copy."""
        for copy, piece in zip(chunk.copies, self._contents(chunk), strict=True):
            self._into.write_run(copy.disk, copy.offset // BLOCK, piece)

    def differing(self, message: Compare) -> list[int]:
        """Blocks whose digest is not the sender's, or that cannot be read; an empty digest stands for a block of zeros."""
        count = len(message.digests)
        if not self._into.may_hold_data(message.disk, message.start, count):
            return [message.start + i for i, d in enumerate(message.digests) if d]
        try:
            data = self._into.read(message.disk, message.start * BLOCK, count * BLOCK)
        except IntegrityError:
            data = b""
        result = []
        for index, digest in enumerate(message.digests):
            piece = data[index * BLOCK : (index + 1) * BLOCK] if data else self._readable(message.disk, message.start + index)
            if (piece != ZERO) if not digest else (digest_of(piece) != digest):
                result.append(message.start + index)
        return result

    def _readable(self, disk: int, block: int) -> bytes:
        """A block, or nothing where its disk has gone bad."""
        try:
            return self._into.read(disk, block * BLOCK, BLOCK)
        except IntegrityError:
            return b""

    # ---------------------------------------------------------------------------------------------------- points

    def cut_point(self, name: str, now: float) -> Point:
        """Advertise everything received as a new point."""
        point = Point(name, CRASH_CONSISTENT, self._disks.cut(), self.received, now)
        self.points.append(point)
        return point

    def note_mark(self, name: str, now: float) -> None:
        """A mark has arrived: keep what has been received until here."""
        if name not in self.tentative:
            self.tentative[name] = Point("", CRASH_CONSISTENT, self._disks.cut(), self.received, now, name)

    def adopt(self, name: str, as_id: str, cut_at: float, kind: str, group: str = "") -> None:
        """A tentative point becomes a recovery point, in its place among the others. ``group``: the barrier that made it, if one
        did; every member then gives it the same time.
        """
        point = attrs.evolve(self.tentative.pop(name), id=as_id, cut_at=cut_at, kind=kind, group=group)
        self.points.append(point)
        self.points.sort(key=lambda p: p.position)

    def drop_tentative(self, but: str = "") -> None:
        """Give up the tentative points, but one."""
        gone = [self.tentative.pop(name) for name in list(self.tentative) if name != but]
        kept = {p.position for p in (*self.points, *self.tentative.values())}
        positions = [p.position for p in gone if p.position not in kept]
        if positions:
            self._disks.release(positions)

    def new_since_last_point(self) -> bool:
        """Whether something has been received that no point contains."""
        return not self.points or self.points[-1].sequence != self.received

    def points_to_prune(self, now: float, retention: float, in_use: Collection[str]) -> list[Point]:
        """Points that a retention (seconds) does not keep: see :mod:`.retention`."""
        return to_prune(self.points, now, retention, in_use, thins=self.thins)

    def may_prune(self, now: float, retention: float) -> bool:
        """Whether retention may have something to remove: cheap, since it is asked whenever time passes."""
        if not self.points:
            return False
        age = now - self.points[0].cut_at
        return age > retention or (self.thins and age > ALL_WITHIN)

    def prune(self, now: float, retention: float, in_use: Collection[str]) -> None:
        """Remove the points that retention no longer keeps."""
        gone = self.points_to_prune(now, retention, in_use)
        if gone:
            names = {p.id for p in gone}
            self.points = [p for p in self.points if p.id not in names]
            kept = {p.position for p in (*self.points, *self.tentative.values())}
            self._disks.release([p.position for p in gone if p.position not in kept])

    def delete_points(self) -> None:
        """Make the present content final and delete all points: the second half of a commit."""
        self.points = []
        self.tentative.clear()
        self._disks.flatten()

    def find(self, name: str) -> Point | None:
        """The advertised point of that id."""
        return next((p for p in self.points if p.id == name), None)

    def branch_at(self, point: Point) -> None:
        """Make a point the content of the machine; the other points stay as they are."""
        self._disks.branch(point.position)


class StorageAccount(ReplicationTarget):
    """The storage account that keeps replicated data in Azure (V2A-5, H2A-5)."""


class MasterTarget(ReplicationTarget):
    """The master target: receives data during failback (V2A-18, V2A-57); with Scout it also keeps the replica and its
    points at the secondary site (S-V2S-11 to S-V2S-15, S-V2S-17).
    """


class ReplicaHost(ReplicationTarget):
    """A Hyper-V host as receiver of a replica (H2S-10), or of what comes back from Azure (H2A-44)."""
