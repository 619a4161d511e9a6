"""Messages on the data path, and the effect of sending one.

A message names places of bytes (:class:`~siteproof.impl.extents.Extent`), never the bytes. Every message carries the
machine and the epoch of its sender; a receiver with a newer epoch refuses it (P3). Data messages are numbered within an
epoch; an acknowledgement repeats the number of the message it answers, end to end: it is made by the target and only
passed on by a gateway.
"""

from __future__ import annotations

import attrs

from .changelog import Tracked
from .extents import Extent

__all__ = ["Ack", "BlockCopy", "ChangeBatch", "Compare", "CopyChunk", "DataMessage", "Message", "Send"]


@attrs.frozen(slots=True)
class ChangeBatch:
    """Tracked writes ``first``..``last`` of a machine, all disks merged in the order of their sequence numbers.

    ``previous`` is the sequence number before the first. ``payload`` is set by a gateway: one compressed and encrypted
    extent that replaces the separate ones.
    """

    machine: str
    epoch: int
    number: int
    previous: int
    last: int
    writes: tuple[Tracked, ...]
    payload: Extent | None = None
    mark: str = ""
    """Where not empty: the name of the mark behind the last write, a barrier's or that of frozen applications. A batch with a
    mark may have no writes.
    """


@attrs.frozen(slots=True)
class BlockCopy:
    """One copied run of bytes: place on the disk and where its bytes lie."""

    disk: int
    offset: int
    extent: Extent
    digest: bytes


@attrs.frozen(slots=True)
class CopyChunk:
    """A piece of the base copy."""

    machine: str
    epoch: int
    number: int
    copies: tuple[BlockCopy, ...]
    payload: Extent | None = None


@attrs.frozen(slots=True)
class Compare:
    """Digests of consecutive blocks from ``start``; the answer names the blocks that differ. Part of a resync."""

    machine: str
    epoch: int
    number: int
    disk: int
    start: int
    digests: tuple[bytes, ...]


@attrs.frozen(slots=True)
class Ack:
    """End-to-end acknowledgement; ``differing`` answers a :class:`Compare`."""

    machine: str
    epoch: int
    number: int
    received: int
    differing: tuple[int, ...] = ()


DataMessage = ChangeBatch | CopyChunk | Compare
Message = ChangeBatch | CopyChunk | Compare | Ack


@attrs.frozen(slots=True)
class Send:
    """The effect of a state machine: a message for an address. The runtime decides when, and whether, it arrives."""

    to: str
    message: Message
