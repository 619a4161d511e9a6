"""What one machine must hold: kept from what was acknowledged, and compared with bytes that are read back.

The ledger knows nothing of the system but the answers to writes. Rules:

* every write changes its block to content that no other write has, so a disk that holds a *prefix* of the writes says which:
  a block shows one version, which bounds the prefix from below (that write is in it) and from above (the block's next write is
  not). If all blocks agree on a number, the content is exactly that prefix; if not, it is a mixture, or damaged;
* a failover starts a new branch after the prefix that the new side holds. What the former side had acknowledged beyond it, and
  still acknowledges while nobody can tell it, is lost, and counted;
* a change of point starts the new branch from the former one, at another prefix of it;
* blocks that nobody has written are those of the image, which is read from the image itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from .base_image import BaseImage
from .extents import digest_of
from .values import BLOCK

__all__ = ["Found", "Ledger", "Written"]

CHUNK = 1 << 20
Read = Callable[[int, int, int], bytes]
"""Content of a machine's disks: (disk, offset, length)."""


@attrs.frozen(slots=True)
class Written:
    """One acknowledged write: its place, the digest of its content, and its number among those of all machines."""

    disk: int
    block: int
    digest: bytes
    serial: int


@attrs.frozen(slots=True)
class Found:
    """What disks hold: the number of writes, or ``None`` with the reason why it is no prefix."""

    writes: int | None
    reason: str = ""


class Ledger:
    """The writes of one machine, on the branch that it is on now. ``former`` is the branch before the last failover, with
    everything the former side acknowledged on it; ``kept`` says how much of it the failover kept.
    """

    def __init__(self, images: Sequence[Path]) -> None:
        self.bases = [BaseImage(image) for image in images]
        self.writes: list[Written] = []
        self.former: list[Written] = []
        self.kept = 0
        self.lost = 0
        """Acknowledged writes that failovers have discarded, in all."""

    @property
    def size(self) -> int:
        """Bytes of all disks."""
        return sum(base.size for base in self.bases)

    def note(self, disk: int, block: int, data: bytes, serial: int = 0) -> None:
        """The machine has acknowledged a write; ``serial``: its number among those of all machines."""
        self.writes.append(Written(disk, block, digest_of(data), serial))

    def note_stale(self, disk: int, block: int, data: bytes, serial: int = 0) -> None:
        """The former side, which does not know better, has acknowledged a write."""
        self.former.append(Written(disk, block, digest_of(data), serial))
        self.lost += 1

    def branch(self, writes: int) -> None:
        """A failover has kept so many writes of the branch."""
        self.former, self.kept = list(self.writes), writes
        self.lost += len(self.former) - writes
        self.writes = self.former[:writes]

    def change(self, writes: int) -> None:
        """A change of point has kept so many writes of the former branch, and none that were made since."""
        self.lost += len(self.writes) - writes
        self.kept = writes
        self.writes = self.former[:writes]

    def find(self, read: Read, *, former: bool = False) -> Found:
        """Which prefix of the branch (or of the former one) the disks hold, every byte looked at."""
        low, high = (0, "the image"), (len(self.former if former else self.writes), "its end")
        versions: list[dict[int, list[tuple[int, bytes]]]] = [{} for _ in self.bases]
        for number, write in enumerate(self.former if former else self.writes, 1):
            versions[write.disk].setdefault(write.block, []).append((number, write.digest))
        for disk, base in enumerate(self.bases):
            for start in range(0, base.size, CHUNK):
                length = min(CHUNK, base.size - start)
                data, image = read(disk, start, length), base.read(start, length)
                touched = [b for b in range(start // BLOCK, (start + length) // BLOCK) if b in versions[disk]]
                if not touched and data == image:
                    continue
                for block in range(start // BLOCK, (start + length) // BLOCK):
                    at = block * BLOCK - start
                    piece, place = data[at : at + BLOCK], f"disk {disk}, block {block}"
                    history = versions[disk].get(block)
                    if piece == image[at : at + BLOCK]:
                        first, after = 0, 0 if history is None else history[0][0]
                    elif history is None:
                        return Found(None, f"{place} was never written, and is not what the image has there")
                    else:
                        digest = digest_of(piece)
                        index = next((i for i, (_, known) in enumerate(history) if known == digest), None)
                        if index is None:
                            return Found(None, f"{place} holds neither what the image has there nor any acknowledged write")
                        first, after = history[index][0], history[index + 1][0] if index + 1 < len(history) else 0
                    if first > low[0]:
                        low = (first, place)
                    if after and after - 1 < high[0]:
                        high = (after - 1, place)
        if low[0] > high[0]:
            return Found(None, f"a mixture: {low[1]} holds write {low[0]}, {high[1]} lacks write {high[0] + 1}")
        return Found(high[0])

    @staticmethod
    def one_instant(parts: Sequence[tuple[Sequence[Written], int]]) -> bool:
        """Whether prefixes of several machines' branches, each given with its length, are what all of them held at one instant:
        no write that is left out was acknowledged before one that is in (each write of a play is issued after the one before
        it was acknowledged)."""
        last = max((writes[count - 1].serial for writes, count in parts if count), default=0)
        return all(count == len(writes) or writes[count].serial > last for writes, count in parts)

    def close(self) -> None:
        """Close the images."""
        while self.bases:
            self.bases.pop().close()
