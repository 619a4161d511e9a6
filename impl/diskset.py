"""The disks of one machine on one side: real bytes on disk, with as many versions of a block as recovery points need.

Rules:

* content = base (a read-only image, or zeros) overlaid by blocks in one slot file;
* every write has a *position*, which only grows. A *cut* at a position keeps the state of all disks at that position
  readable (P4, P23). A write after a cut leaves the version that the cut sees alone; one that no cut has seen yet takes the
  place of the version before;
* failing over to a point *branches*: the live view is then the state at the point plus what is written later, while
  every other point stays readable; branching again, to another point, forgets what was written since the first time;
* an *overlay* is a set of disks of its own, in a file of its own, that shows the state of this one, live or at a cut,
  under what is written to the overlay. All it knows of this one is a view that can only be read;
* *flattening* makes the live view the only one: what a commit does;
* no block is overwritten: each write takes a free slot. In a set that has to survive a crash (``careful``) a slot that has become
  free is used again only after :meth:`DiskSet.kept`, when the rows that no longer name it are durable. So the rows
  (:meth:`DiskSet.head`, :meth:`DiskSet.rows`) decide what the content is, whatever a crash does to blocks that no row names;
* a write that fails leaves every view as it was. Bytes that are missing from a file, or are not what was written there
  (:mod:`.slots`), are an error, never other data;
* where the flow says so, every block is encrypted in the slot file (H2A-18).

The read cost of a point does not depend on how many points there are: one dictionary look-up and a bisection a block.
"""

from __future__ import annotations

import random
from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .base_image import Base, BaseImage, DiskView
from .codec import BlockCipher
from .disk import Disk, RealDisk
from .errors import IntegrityError, UsageError
from .slots import SlotFile
from .values import BLOCK

__all__ = ["Base", "BaseImage", "DiskSet", "DiskView"]

ZERO = bytes(BLOCK)
_TOP = float("inf")
Chain = tuple[tuple[int, int], ...]
"""Versions of one block, oldest first: position and slot. Tuples of numbers, since there is one chain for each block that is
written, and the collector of garbage looks at such tuples once and never again.
"""


class DiskSet:
    """Disks with versions. All places are whole blocks for writing; reading is by byte."""

    def __init__(
        self,
        path: Path,
        sizes: Sequence[int],
        bases: Sequence[Base | None],
        *,
        sync: bool = False,
        cipher: BlockCipher | None = None,
        disk: Disk | None = None,
        careful: bool = False,
        exists: bool = False,
    ) -> None:
        self.sizes = tuple(sizes)
        self.position = 0
        self.overlays: dict[str, DiskSet] = {}
        """The overlays, by the names of their files."""
        self._disk: Disk = RealDisk() if disk is None else disk
        self._careful = careful
        self._changed: set[tuple[int, int]] = set()
        self._made = 0
        self._at: int | None = None
        """Where an overlay looks at what is below it."""
        self._path = path
        self._sync = sync
        self._cipher = cipher
        self._bases: list[Base | None] = list(bases)
        self._slots = SlotFile(path, self._disk, sync=sync, cipher=cipher, careful=careful, exists=exists)
        self._versions: list[dict[int, Chain]] = [{} for _ in sizes]
        self._many: set[tuple[int, int]] = set()
        self._cuts: list[int] = []
        self._branch_at: int | None = None
        self._branch: list[dict[int, int]] = [{} for _ in sizes]

    @property
    def name(self) -> str:
        """Name of the set's file."""
        return self._path.name

    # ---------------------------------------------------------------------------------------------------- writing

    def check(self, disk: int, block: int) -> None:
        """Refuse a place that does not exist.

        Raises:
            UsageError: no such disk or block.
        """
        if not 0 <= disk < len(self.sizes) or not 0 <= block < self.sizes[disk] // BLOCK:
            raise UsageError(
                f"disk {disk}, block {block}: no such place; disks have {[s // BLOCK for s in self.sizes]} blocks"
            )

    def write(self, disk: int, block: int, data: bytes | memoryview) -> None:
        """Write one block to the live view."""
        chain = self._versions[disk].get(block)
        replaces = False
        if self._branch_at is not None:
            known = self._branch[disk].get(block)
        else:
            replaces = chain is not None and (not self._cuts or chain[-1][0] > self._cuts[-1])
            known = chain[-1][1] if chain and replaces else None
        slot = self._slots.take()
        try:
            self._slots.write(slot, data)
        except OSError:
            self._slots.free.append(slot)
            raise
        if known is not None:
            self._slots.let_go([known])
        self.position += 1
        if self._careful:
            self._changed.add((disk, block))
        if self._branch_at is not None:
            self._branch[disk][block] = slot
        elif chain is None:
            self._versions[disk][block] = ((self.position, slot),)
            # Without a version the block shows its base, which every cut still does: bisection finds nothing there.
        elif replaces:
            self._versions[disk][block] = (*chain[:-1], (self.position, slot))
        else:
            self._versions[disk][block] = (*chain, (self.position, slot))
            self._many.add((disk, block))

    def write_run(self, disk: int, block: int, data: bytes | memoryview) -> None:
        """Write consecutive blocks to the live view; in one piece where none of them has a version yet."""
        count, versions = len(data) // BLOCK, self._versions[disk]
        blocks = range(block, block + count)
        if count < 2 or self._branch_at is not None or self._slots.free or not versions.keys().isdisjoint(blocks):
            for index, one in enumerate(blocks):
                self.write(disk, one, data[index * BLOCK : (index + 1) * BLOCK])
            return
        first = self._slots.write_run(data)
        new = zip(range(self.position + 1, self.position + 1 + count), range(first, first + count), strict=True)
        versions.update(zip(blocks, zip(new, strict=True), strict=True))  # a chain of one version for each
        self.position += count
        if self._careful:
            self._changed.update((disk, one) for one in blocks)

    # ---------------------------------------------------------------------------------------------------- reading

    def _find(self, disk: int, block: int, at: int | None) -> int | None:
        if at is None:
            if self._branch_at is not None:
                slot = self._branch[disk].get(block)
                if slot is not None:
                    return slot
                at = self._branch_at
            else:
                chain = self._versions[disk].get(block)
                return chain[-1][1] if chain else None
        chain = self._versions[disk].get(block)
        if not chain:
            return None
        index = bisect_right(chain, (at, _TOP))
        return chain[index - 1][1] if index else None

    def read(self, disk: int, offset: int, length: int, at: int | None = None) -> bytes:
        """Bytes of the live view, or of the state at a position that is cut.

        Raises:
            UsageError: outside the disk.
        """
        if not 0 <= disk < len(self.sizes) or offset < 0 or length < 0 or offset + length > self.sizes[disk]:
            raise UsageError(f"disk {disk}, bytes {offset}..{offset + length}: outside the disks {list(self.sizes)}")
        first, inside = divmod(offset, BLOCK)
        if 0 < length <= BLOCK - inside:
            slot = self._find(disk, first, at)
            if slot is not None:
                return self._slots.read(slot)[inside : inside + length]
        base = self._bases[disk]
        if not self._versions[disk] and not self._branch[disk]:
            return base.read(offset, length) if base else bytes(length)
        start, last = first * BLOCK, -(-(offset + length) // BLOCK)
        if at is None and self._branch_at is None:
            versions = self._versions[disk]
            found = [(chain[-1][1], block) for block in range(first, last) if (chain := versions.get(block))]
        else:
            found = [(slot, block) for block in range(first, last) if (slot := self._find(disk, block, at)) is not None]
        stored = self._slots.read_all(found)
        if len(stored) == last - first:
            data = b"".join([stored[block] for block in range(first, last)])
        else:
            below = bytearray(base.read(start, last * BLOCK - start) if base else last * BLOCK - start)
            for block, piece in stored.items():
                below[block * BLOCK - start : (block + 1) * BLOCK - start] = piece
            data = bytes(below)
        return data if not inside and length == len(data) else data[inside : inside + length]

    def may_hold_data(self, disk: int, start: int, blocks: int) -> bool:
        """Whether any block of a range may differ from zeros (live view). Cheap for sparse areas."""
        base = self._bases[disk]
        if base is not None and base.may_hold_data(start * BLOCK, blocks * BLOCK):
            return True
        versions, overlay = self._versions[disk], self._branch[disk]
        if len(versions) + len(overlay) < blocks:
            return any(start <= b < start + blocks for b in versions) or any(
                start <= b < start + blocks for b in overlay
            )
        return any(b in versions or b in overlay for b in range(start, start + blocks))

    def extents_with_data(self, disk: int, at: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Runs of bytes that are not all zeros, as (offset, bytes), in order: for writing a sparse raw image."""
        chunk = 256
        for start in range(0, self.sizes[disk] // BLOCK, chunk):
            blocks = min(chunk, self.sizes[disk] // BLOCK - start)
            if self.may_hold_data(disk, start, blocks):
                data = self.read(disk, start * BLOCK, blocks * BLOCK, at)
                for index in range(blocks):
                    piece = data[index * BLOCK : (index + 1) * BLOCK]
                    if piece != ZERO:
                        yield (start + index) * BLOCK, piece

    # ------------------------------------------------------------------------------------------- cuts and branches

    def cut(self) -> int:
        """Keep the present state of all disks readable; returns its position."""
        if not self._cuts or self._cuts[-1] != self.position:
            insort(self._cuts, self.position)
        return self.position

    def release(self, positions: Sequence[int]) -> None:
        """Let go of cuts; blocks that only they saw are recycled."""
        gone = set(positions)
        self._cuts = [c for c in self._cuts if c not in gone]
        seen = list(self._cuts)
        if self._branch_at is not None:
            insort(seen, self._branch_at)
        done = []
        for disk, block in self._many:
            chain = self._versions[disk][block]
            kept = []
            for index, version in enumerate(chain):
                if index + 1 == len(chain):
                    kept.append(version)
                    continue
                low = bisect_right(seen, version[0] - 1)
                if low < len(seen) and seen[low] < chain[index + 1][0]:
                    kept.append(version)
                else:
                    self._slots.let_go([version[1]])
            if len(kept) != len(chain):
                self._versions[disk][block] = tuple(kept)
                if self._careful:
                    self._changed.add((disk, block))
                if len(kept) == 1:
                    done.append((disk, block))
        self._many.difference_update(done)

    def branch(self, position: int) -> None:
        """Make the state at a cut position the live view; writes from now on leave every cut alone, and those since an
        earlier branch are forgotten.
        """
        self._branch_at = position
        for disk, blocks in enumerate(self._branch):
            self._slots.let_go(blocks.values())
            if self._careful:
                self._changed.update((disk, block) for block in blocks)
            blocks.clear()

    def flatten(self) -> None:
        """Make the live view the only one; all cuts are gone."""
        used: set[int] = set()
        self._all_changed()
        for disk, versions in enumerate(self._versions):
            fresh: dict[int, Chain] = {}
            for block in versions.keys() | self._branch[disk].keys():
                slot = self._find(disk, block, None)
                if slot is not None:
                    fresh[block] = ((self.position, slot),)
                    used.add(slot)
            self._versions[disk] = fresh
            self._branch[disk] = {}
        self._slots.only(used)
        self._many.clear()
        self._cuts.clear()
        self._branch_at = None

    def clear(self) -> None:
        """Forget all content: every disk reads as zeros. The base images stay untouched."""
        self._bases = [None] * len(self.sizes)
        self._all_changed()
        self._versions = [{} for _ in self.sizes]
        self._branch = [{} for _ in self.sizes]
        self._many.clear()
        self._cuts.clear()
        self._branch_at = None
        if self._careful:
            self._slots.only(())
        else:
            self._slots.clear()

    # ------------------------------------------------------------------------------------------- what survives

    def _all_changed(self) -> None:
        for disk, versions in enumerate(self._versions if self._careful else ()):
            self._changed.update((disk, block) for block in versions.keys() | self._branch[disk].keys())

    def head(self) -> dict[str, Any]:
        """What has to survive of the set as a whole; plain values."""
        return {
            "position": self.position, "cuts": list(self._cuts), "branch_at": self._branch_at,
            "based": [base is not None for base in self._bases], "made": self._made,
            "overlays": [[name, overlay._at] for name, overlay in self.overlays.items()],
        }  # fmt: skip

    def changes(self) -> dict[str, list[Any] | None]:
        """Rows that have changed since the last time, by place: versions and branch of a block with the checksums of their
        slots, or ``None`` if it has none.
        """
        result: dict[str, list[Any] | None] = {}
        for disk, block in sorted(self._changed):
            chain, slot = self._versions[disk].get(block), self._branch[disk].get(block)
            sums = [self._slots.sum_of(one) for one in (*(s for _, s in chain or ()), *(() if slot is None else (slot,)))]
            result[f"{disk}/{block}"] = [list(chain or ()), slot, sums] if sums else None
        self._changed.clear()
        return result

    def kept(self) -> None:
        """The rows are durable: what they no longer name may be used again."""
        self._slots.kept()

    def restore(self, head: Mapping[str, Any], rows: Mapping[str, list[Any]]) -> None:
        """Become what was kept. The overlays are made again by :meth:`restore_overlay`."""
        self.position, self._cuts, self._branch_at = head["position"], list(head["cuts"]), head["branch_at"]
        self._made = head["made"]
        self._bases = [base if shown else None for base, shown in zip(self._bases, head["based"], strict=True)]
        sums: dict[int, int] = {}
        for place, (chain, slot, told) in rows.items():
            disk, block = map(int, place.split("/"))
            if chain:
                self._versions[disk][block] = tuple((at, s) for at, s in chain)
                if len(chain) > 1:
                    self._many.add((disk, block))
            if slot is not None:
                self._branch[disk][block] = slot
            sums.update(zip((*(s for _, s in chain), *(() if slot is None else (slot,))), told, strict=True))
        self._slots.restore(sums)

    # -------------------------------------------------------------------------------------------------- overlays

    def overlay(self, name: str, at: int | None = None) -> DiskSet:
        """New disks, in a file of their own beside this one's, that show the live view or the state at a cut.

        Args:
            name: ending of the new file's name.
            at: a cut position, which must not be released while the overlay exists; ``None`` for the live view.

        Raises:
            UsageError: there is such an overlay already.
        """
        self._made += 1
        # An overlay that has just been removed still has its file until that is durable: so no name is used twice.
        ending = f"{name}-{self._made}" if self._careful else name
        made = self._overlay(f"{self._path.stem}.{ending}", at, exists=False)
        if self._sync:
            self._disk.sync_folder(self._path.parent)
        return made

    def restore_overlay(self, name: str, at: int | None) -> DiskSet:
        """An overlay as :meth:`head` told of it, on the file that it has already; it has to be restored in turn."""
        return self._overlay(name, at, exists=True)

    def _overlay(self, name: str, at: int | None, *, exists: bool) -> DiskSet:
        options: dict[str, Any] = {}
        if self._careful:
            options = {"disk": self._disk, "careful": True, "exists": exists}
        made = type(self)(
            self._path.with_name(name), self.sizes, [DiskView(self, n, at) for n in range(len(self.sizes))],
            sync=self._sync, cipher=None if self._cipher is None else self._cipher.derived(name), **options,
        )  # fmt: skip
        made._at = at
        self.overlays[name] = made
        return made

    def verify(self, disk: int, start: int, blocks: int) -> None:
        """Read what has been written to a range; IntegrityError if any block of it has gone bad."""
        for block in range(start, start + blocks):
            for _, slot in self._versions[disk].get(block, ()):
                self._slots.read(slot)

    def spoil(self, disk: int, block: int) -> None:
        """What the live view had to hold here is lost: reading it is an error, until it is written anew."""
        self.write(disk, block, ZERO)
        slot = self._find(disk, block, None)
        assert slot is not None
        self._slots.spoil(slot)

    def move_to(self, below: DiskSet, blocks: int) -> tuple[bool, bool]:
        """Move at most so many written blocks to the disks that this overlay shows; what is shown does not change. A block that
        has gone bad is as unreadable there.

        Returns:
            Whether blocks are left, and whether any was bad.
        """
        lost = False
        for disk, versions in enumerate(self._versions):
            while versions and blocks:
                block = next(iter(versions))
                try:
                    below.write(disk, block, self.read(disk, block * BLOCK, BLOCK))
                except IntegrityError:
                    below.spoil(disk, block)
                    lost = True
                self._slots.let_go(slot for _, slot in versions.pop(block))
                if self._careful:
                    self._changed.add((disk, block))
                blocks -= 1
        return any(self._versions), lost

    def remove(self, overlay: DiskSet) -> None:
        """Delete an overlay with everything that was written to it."""
        del self.overlays[overlay._path.name]
        overlay.close()
        self._disk.remove(overlay._path)
        if self._sync:
            self._disk.sync_folder(self._path.parent)

    def damage(self, disk: int, block: int, rng: random.Random) -> bool:
        """The disk under a block of the live view goes bad; ``False``: nothing has been written to it that could."""
        slot = self._find(disk, block, None)
        if slot is not None:
            self._slots.damage(slot, rng)
        return slot is not None

    def close(self) -> None:
        """Close the slot file, and those of the overlays. Base images belong to the caller."""
        for overlay in self.overlays.values():
            overlay.close()
        self.overlays.clear()
        self._slots.close()
