"""The disks of a scenario: images that are made, the user's own, and whether there is room for what is written over them."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from .errors import UsageError
from .scenario import DiskSpec, Scenario
from .values import BLOCK

__all__ = ["content_of", "image_of", "make_image", "refuse_without_room"]

_WORDS = b"the replica holds a prefix of what the source acknowledged and nothing else "
SHARE = 64
"""Blocks of one kind in a row: an image of mixed content changes its kind this often."""


def content_of(kind: str, block: int, chance: random.Random) -> bytes:
    """One block of an image."""
    if kind == "mixed":
        kind = ("text", "random", "zeros")[block // SHARE % 3]
    if kind == "zeros":
        return bytes(BLOCK)
    if kind == "random":
        return chance.randbytes(BLOCK)
    return (f"block {block}: ".encode() + _WORDS * (BLOCK // len(_WORDS) + 1))[:BLOCK]


def make_image(path: Path, size: int, kind: str, seed: object) -> Path:
    """A raw image, sparse where it is zeros. The file must not exist."""
    chance = random.Random(f"image {seed}")
    with path.open("xb") as file:
        for block in range(size // BLOCK):
            data = content_of(kind, block, chance)
            if data.strip(b"\0"):
                file.seek(block * BLOCK)
                file.write(data)
        file.truncate(size)
    return path


def image_of(disk: DiskSpec, path: Path, seed: object) -> Path:
    """The image under a disk: the user's, or one that is made at ``path``."""
    return disk.image if disk.image is not None else make_image(path, disk.size, disk.content, seed)


def refuse_without_room(scenario: Scenario, folder: Path) -> None:
    """Whether the work folder has room for a replica of every disk, the way back, and the images that are made.

    Raises:
        UsageError: it has not, or an image cannot be opened.
    """
    needed = 0
    for machine in scenario.machines.values():
        for disk in machine.disks:
            try:
                held = disk.size if disk.image is None else min(disk.image.stat().st_size, disk.image.stat().st_blocks * 512)
            except OSError as error:
                raise UsageError(f"{disk.image}: disk image cannot be opened: {error.strerror}") from error
            needed += 3 * held
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UsageError(f"{folder}: {free >> 20:,} MiB free; {needed >> 20:,} MiB may be needed; give another work folder")
