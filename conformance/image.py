"""The disk image that `siteproof check` works on.

Rules
1. The user's image is opened read-only; everything that is written goes to overlays in a work folder. Its size must be a
   multiple of 4096 bytes, and there must be room for the copies before the work begins.
2. Without one, a real ext4 file system with files in it is made by `mke2fs -d`: no root, no mount. Its files, sizes
   and UUID are the same every time; only what the kernel stamps on files is not.
3. Where `mke2fs` is missing, an image of the same size is generated instead: runs of zeros, of text and of noise. Which one
   was used is said.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import attrs

from siteproof.model.errors import UsageError

__all__ = ["BLOCK", "DiskImage", "find_mke2fs", "make_image", "open_image", "work_folder"]

BLOCK = 4096
SIZE = 32 * 2**20
_IDENTITY = "51e9f00f-0000-4000-8000-000000000001"
_TIME = "1500000000"
"""Seconds since 1970: the age of what is in the file system."""


@attrs.frozen
class DiskImage:
    """A base image: where it is, its size in bytes, what it is in words, and whether it was made for this run."""

    path: Path
    size: int
    about: str
    ours: bool

    @property
    def blocks(self) -> int:
        return self.size // BLOCK


def open_image(path: Path) -> DiskImage:
    """The user's image, looked at but not touched. Raises `UsageError` when it cannot serve."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file" if not path.exists() else "not a regular file"
        raise UsageError(f"--image {path}, {found}", "a disk image", "name a file that holds a raw disk")
    size = path.stat().st_size
    if size == 0 or size % BLOCK:
        raise UsageError(
            f"--image {path}, {size:,} bytes",
            f"a positive multiple of {BLOCK} bytes",
            f"pad a copy of it: truncate -s %{BLOCK} COPY",
        )
    try:
        with path.open("rb") as file:
            file.read(BLOCK)
    except OSError as error:
        raise UsageError(f"--image {path}, {error.strerror}", "a file that can be read", "change its permissions") from None
    return DiskImage(path.resolve(), size, f"{path.name}, {_size(size)}, read-only", False)


def make_image(folder: Path) -> DiskImage:
    """A base image in `folder`: ext4 where `mke2fs` is there and works, generated otherwise."""
    path = folder / "base.img"
    if (program := find_mke2fs()) and _make_ext4(program, path, folder):
        return DiskImage(path, SIZE, f"a real ext4 file system of {_size(SIZE)} with files in it, made by mke2fs", True)
    _generate(path)
    return DiskImage(path, SIZE, f"a generated image of {_size(SIZE)} (mke2fs would make a real file system)", True)


def find_mke2fs() -> str | None:
    """Where `mke2fs` is; administrators' folders are looked into as well."""
    return shutil.which("mke2fs", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


def work_folder(image: DiskImage, copies: int) -> Path:
    """A new folder with room for `copies` of the image: on disk, since an image may be larger than memory.

    Raises `UsageError` when there is no room.
    """
    place, needed = tempfile.gettempdir(), image.size * copies
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UsageError(
            f"{_size(free)} free in {place}",
            f"{_size(needed)}, {copies} times the image of {_size(image.size)}",
            "free some space, or set TMPDIR to a folder with room",
        )
    return Path(tempfile.mkdtemp(prefix="siteproof-image-"))


def _size(size: int) -> str:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size} bytes"


# ------------------------------------------------------------------------------------------------------------- making one


def _make_ext4(program: str, path: Path, folder: Path) -> bool:
    """Whether a file system was made at `path`."""
    tree = folder / "tree"
    _plant(tree)
    path.unlink(missing_ok=True)
    command = [
        program,
        "-q",
        "-t",
        "ext4",
        "-b",
        str(BLOCK),
        "-d",
        str(tree),
        "-U",
        _IDENTITY,
        "-E",
        f"hash_seed={_IDENTITY}",
        "-L",
        "siteproof",
        "-m",
        "0",
        str(path),
        f"{SIZE // 1024}k",
    ]
    environment = {**os.environ, "E2FSPROGS_FAKE_TIME": _TIME, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    return done.returncode == 0 and path.is_file() and path.stat().st_size == SIZE


def _plant(tree: Path) -> None:
    """A small tree of files as a server has them: settings, logs, a database, something that does not compress."""
    files = {
        "etc/hostname": b"app-server\n",
        "etc/service.conf": b"".join(b"setting_%03d = %d\n" % (n, n * 7919 % 1000) for n in range(200)),
        "var/log/service.log": b"".join(b"request %06d served in %3d ms\n" % (n, n * 31 % 250) for n in range(40_000)),
        "var/lib/db/table.dat": random.Random(1).randbytes(4 * 2**20),
        "var/lib/db/journal": bytes(2**20),
        "home/user/notes.txt": b"What is not tested does not work.\n" * 100,
    }
    for name, content in files.items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    for place in (*sorted(tree.rglob("*"), reverse=True), tree):
        place.chmod(0o755 if place.is_dir() else 0o644)
        os.utime(place, (int(_TIME), int(_TIME)))


def _generate(path: Path) -> None:
    """Zeros, text and noise in runs of a megabyte; the same bytes every time."""
    noise = random.Random(2)
    with path.open("wb") as file:
        for megabyte in range(SIZE // 2**20):
            if megabyte % 3 == 0:
                file.write(bytes(2**20))
            elif megabyte % 3 == 1:
                line = hashlib.sha256(str(megabyte).encode()).hexdigest().encode() + b"\n"
                file.write((line * (2**20 // len(line) + 1))[: 2**20])
            else:
                file.write(noise.randbytes(2**20))
