"""The disks of one machine on one side: real bytes on disk, with as many versions of a block as recovery points need.

Rules:

* content = base (a read-only image, or zeros) overlaid by blocks in one slot file;
* every write has a *position*, which only grows. A *cut* at a position keeps the state of all disks at that position
  readable (P4, P23). A write after a cut leaves the version that the cut sees alone and takes a new slot; a write that
  no cut has seen yet is overwritten in place;
* failing over to a point *branches*: the live view is then the state at the point plus what is written later, while
  every other point stays readable; branching again, to another point, forgets what was written since the first time;
* an *overlay* is a set of disks of its own, in a file of its own, that shows the state of this one, live or at a cut,
  under what is written to the overlay. All it knows of this one is a view that can only be read;
* *flattening* makes the live view the only one: what a commit does;
* a write that fails leaves every view as it was, and bytes that are missing from a file are an error, never other data;
* where the flow says so, every block is encrypted in the slot file (H2A-18).

The read cost of a point does not depend on how many points there are: one dictionary look-up and a bisection a block.
"""

from __future__ import annotations

import os
from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from .codec import BlockCipher
from .errors import UsageError
from .extents import create, read_all, sync_folder, write_all
from .values import BLOCK

__all__ = ["Base", "BaseImage", "DiskSet", "DiskView"]

ZERO = bytes(BLOCK)
_TOP = float("inf")


class Base(Protocol):
    """What lies under the blocks of one disk. It can be read, and nothing else."""

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the disk."""

    def may_hold_data(self, offset: int, length: int) -> bool:
        """Whether a range may hold other bytes than zeros."""


class BaseImage:
    """A disk image opened read-only. Its size must be a multiple of 4096 bytes."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise UsageError(f"{path}: disk image cannot be opened: {error.strerror}") from error
        self.size = os.fstat(self._file).st_size
        if self.size == 0 or self.size % BLOCK:
            os.close(self._file)
            raise UsageError(f"{path}: disk image has {self.size} bytes; a positive multiple of {BLOCK} expected")

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the image."""
        return read_all(self._file, length, offset)

    def may_hold_data(self, offset: int, length: int) -> bool:
        """Whether a range may hold other bytes than zeros. Cheap for the holes of a sparse file."""
        try:
            return os.lseek(self._file, offset, os.SEEK_DATA) < offset + length
        except OSError:
            return False

    def close(self) -> None:
        """Close the image."""
        os.close(self._file)


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
    ) -> None:
        self.sizes = tuple(sizes)
        self.position = 0
        self._path = path
        self._sync = sync
        self._cipher = cipher
        self._bases: list[Base | None] = list(bases)
        self._file = create(path)
        self._overlays: list[DiskSet] = []
        self._slots = 0
        self._free: list[int] = []
        self._versions: list[dict[int, list[tuple[int, int]]]] = [{} for _ in sizes]
        self._many: set[tuple[int, int]] = set()
        self._cuts: list[int] = []
        self._branch_at: int | None = None
        self._branch: list[dict[int, int]] = [{} for _ in sizes]

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

    def _slot(self) -> int:
        if self._free:
            return self._free.pop()
        self._slots += 1
        return self._slots - 1

    def write(self, disk: int, block: int, data: bytes) -> None:
        """Write one block to the live view."""
        chain = self._versions[disk].get(block)
        in_place = False
        if self._branch_at is not None:
            known = self._branch[disk].get(block)
        else:
            in_place = chain is not None and (not self._cuts or chain[-1][0] > self._cuts[-1])
            known = chain[-1][1] if chain and in_place else None
        slot = self._slot() if known is None else known
        try:
            write_all(self._file, data if self._cipher is None else self._cipher.encrypt(slot, data), slot * BLOCK)
            if self._sync:
                os.fdatasync(self._file)
        except OSError:
            if known is None:
                self._free.append(slot)
            raise
        self.position += 1
        if self._branch_at is not None:
            self._branch[disk][block] = slot
        elif chain is None:
            self._versions[disk][block] = [(self.position, slot)]
            # Without a version the block shows its base, which every cut still does: bisection finds nothing there.
        elif in_place:
            chain[-1] = (self.position, slot)
        else:
            chain.append((self.position, slot))
            self._many.add((disk, block))

    # ---------------------------------------------------------------------------------------------------- reading

    def _load(self, slot: int) -> bytes:
        data = read_all(self._file, BLOCK, slot * BLOCK)
        return data if self._cipher is None else self._cipher.decrypt(slot, data)

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
                return self._load(slot)[inside : inside + length]
        base = self._bases[disk]
        start = first * BLOCK
        last = -(-(offset + length) // BLOCK)
        data = bytearray(base.read(start, last * BLOCK - start) if base else (last - first) * BLOCK)
        if self._versions[disk] or self._branch[disk]:
            for block in range(first, last):
                slot = self._find(disk, block, at)
                if slot is not None:
                    place = block * BLOCK - start
                    data[place : place + BLOCK] = self._load(slot)
        return bytes(data[inside : inside + length])

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
                    self._free.append(version[1])
            if len(kept) != len(chain):
                self._versions[disk][block] = kept
                if len(kept) == 1:
                    done.append((disk, block))
        self._many.difference_update(done)

    def branch(self, position: int) -> None:
        """Make the state at a cut position the live view; writes from now on leave every cut alone, and those since an
        earlier branch are forgotten.
        """
        self._branch_at = position
        for blocks in self._branch:
            self._free.extend(blocks.values())
            blocks.clear()

    def flatten(self) -> None:
        """Make the live view the only one; all cuts are gone."""
        used: set[int] = set()
        for disk, versions in enumerate(self._versions):
            fresh: dict[int, list[tuple[int, int]]] = {}
            for block in versions.keys() | self._branch[disk].keys():
                slot = self._find(disk, block, None)
                if slot is not None:
                    fresh[block] = [(self.position, slot)]
                    used.add(slot)
            self._versions[disk] = fresh
            self._branch[disk] = {}
        self._free = [s for s in range(self._slots) if s not in used]
        self._many.clear()
        self._cuts.clear()
        self._branch_at = None

    def clear(self) -> None:
        """Forget all content: every disk reads as zeros. The base images stay untouched."""
        self._bases = [None] * len(self.sizes)
        self._versions = [{} for _ in self.sizes]
        self._branch = [{} for _ in self.sizes]
        self._many.clear()
        self._cuts.clear()
        self._branch_at = None
        self._free.clear()
        self._slots = 0
        os.ftruncate(self._file, 0)

    # -------------------------------------------------------------------------------------------------- overlays

    def overlay(self, name: str, at: int | None = None) -> DiskSet:
        """New disks, in a file of their own beside this one's, that show the live view or the state at a cut.

        Args:
            name: ending of the new file's name.
            at: a cut position, which must not be released while the overlay exists; ``None`` for the live view.

        Raises:
            UsageError: there is such an overlay already.
        """
        made = type(self)(
            self._path.with_suffix(f".{name}"), self.sizes, [DiskView(self, n, at) for n in range(len(self.sizes))],
            sync=self._sync, cipher=None if self._cipher is None else self._cipher.derived(name),
        )  # fmt: skip
        if self._sync:
            sync_folder(self._path.parent)
        self._overlays.append(made)
        return made

    def move_to(self, below: DiskSet, blocks: int) -> bool:
        """Move at most so many written blocks to the disks that this overlay shows; what is shown does not change.

        Returns:
            Whether blocks are left.
        """
        for disk, versions in enumerate(self._versions):
            while versions and blocks:
                block = next(iter(versions))
                below.write(disk, block, self.read(disk, block * BLOCK, BLOCK))
                self._free.extend(slot for _, slot in versions.pop(block))
                blocks -= 1
        return any(self._versions)

    def remove(self, overlay: DiskSet) -> None:
        """Delete an overlay with everything that was written to it."""
        self._overlays.remove(overlay)
        overlay.close()
        overlay._path.unlink()
        if self._sync:
            sync_folder(self._path.parent)

    def close(self) -> None:
        """Close the slot file, and those of the overlays. Base images belong to the caller."""
        while self._overlays:
            self._overlays.pop().close()
        os.close(self._file)


class DiskView:
    """One disk of a set, live or at a cut position, as something that can only be read: the base of an overlay."""

    def __init__(self, disks: DiskSet, disk: int, at: int | None) -> None:
        self._disks = disks
        self._disk = disk
        self._at = at

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the disk."""
        return self._disks.read(self._disk, offset, length, self._at)

    def may_hold_data(self, offset: int, length: int) -> bool:
        """Whether a range of whole blocks may hold other bytes than zeros."""
        return self._disks.may_hold_data(self._disk, offset // BLOCK, length // BLOCK)
