"""Replication of a real image against its peers: `python bench/replication.py [--size 64] [--json FILE]`.

Rules
1. The image is a third text, a third noise and a third zeros. Each contender copies it, then a share of its blocks changes
   (``--delta``, in percent), then each copies the changes. Every copy is compared with the image afterwards.
2. All run one after the other in the same run, ``--rounds`` times, each round in the reverse order of the one before, since the
   first one finds a colder machine than the last; the median is shown. Seconds are those of the clock
   and, in brackets, of the processor, children included; on a busy machine only the second means anything. The ratio is what
   counts: theirs to ours, so that more than 1 means that we are faster.
3. Ours is the whole path of a flow in one process: read, digest, compress, encrypt, cache, send, decrypt, expand, check, write
   to a replica that keeps recovery points. The peers neither compress nor encrypt, and keep no points. The tracking of the
   changes is shown by itself: it is what a workload pays.
4. A peer that is not installed is left out, and said to be. Nothing here is a test: no figure makes anything fail.

``--memory`` measures instead the peak of memory of one replication of a sparse image: ``--size`` in MiB; 65536 is 64 GiB.
"""

from __future__ import annotations

import argparse
import importlib.resources
import json
import os
import random
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from siteproof.impl.imaging import make_image
from siteproof.impl.lab import Lab
from siteproof.impl.loader import Topology, load_topology
from siteproof.impl.values import BLOCK

FLOWS = ("vmware-to-azure", "hyper-v-vmm-to-azure", "hyper-v-to-secondary-site")
CHUNK = 1 << 20
Clock = tuple[float, float]
"""Seconds of the clock, and of the processor."""
Changes = list[tuple[int, bytes]]


def topology_of(flow: str) -> Topology:
    return load_topology(Path(str(importlib.resources.files("siteproof.specs"))) / "topologies" / f"{flow}.toml")


def processor() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def timed(work: Callable[[], object]) -> Clock:
    clock, cpu = time.perf_counter(), processor()
    work()
    return time.perf_counter() - clock, processor() - cpu


def same(image: Path, read: Callable[[int, int], bytes]) -> bool:
    with image.open("rb") as file:
        at = 0
        while piece := file.read(CHUNK):
            if read(at, len(piece)) != piece:
                return False
            at += len(piece)
    return True


def reader(path: Path) -> Callable[[int, int], bytes]:
    def read(offset: int, length: int) -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    return read


def written(image: Path, changes: Changes) -> None:
    with image.open("r+b") as file:
        for block, data in changes:
            file.seek(block * BLOCK)
            file.write(data)


class Contender(ABC):
    """Copies an image, then its changes. ``track`` is what a workload pays for its writes, where that can be told."""

    name = ""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder, self.image = folder, image

    @abstractmethod
    def initial(self) -> Clock:
        """Copy the whole image."""

    @abstractmethod
    def delta(self, changes: Changes) -> tuple[Clock, Clock | None]:
        """Take in changes of the image, and copy them."""

    @abstractmethod
    def right(self) -> bool:
        """Whether the copy is the image."""

    def close(self) -> None:  # noqa: B027 - most have nothing that runs
        """Stop whatever runs."""


class Ours(Contender):
    """A laboratory with one machine; its image stays as it is, so changes are written to the machine."""

    def __init__(self, folder: Path, image: Path, flow: str) -> None:
        super().__init__(folder, image)
        self.name = flow
        self.lab = Lab(topology_of(flow), {"m": [image]}, folder / "lab")

    def initial(self) -> Clock:
        def work() -> None:
            assert self.lab.request("m", "EnableProtection") is None
            assert self.lab.settle()

        return timed(work)

    def delta(self, changes: Changes) -> tuple[Clock, Clock | None]:
        track = timed(lambda: [self.lab.write("m", "primary", 0, block, data) for block, data in changes])
        return timed(lambda: self.lab.settle()), track

    def right(self) -> bool:
        after = self.folder / "changed"
        return same(after, lambda offset, length: self.lab.read("m", "recovery", 0, offset, length))

    def close(self) -> None:
        self.lab.close()


class Copies(Contender):
    """A command that makes one file like another, and is run again for the changes."""

    def __init__(self, folder: Path, image: Path, name: str, command: list[str]) -> None:
        super().__init__(folder, folder / "own.img")
        shutil.copyfile(image, self.image)
        self.name, self.command = name, [*command, str(self.image), str(folder / "copy.img")]

    def initial(self) -> Clock:
        return timed(lambda: subprocess.run(self.command, check=True, stdout=subprocess.DEVNULL))

    def delta(self, changes: Changes) -> tuple[Clock, Clock | None]:
        written(self.image, changes)
        return self.initial(), None

    def right(self) -> bool:
        return same(self.image, reader(self.folder / "copy.img"))


class QemuBackup(Contender):
    """`qemu-storage-daemon`: a full backup to an NBD server in another process, then an incremental one by a dirty bitmap."""

    name = "qemu backup to NBD"

    def __init__(self, folder: Path, image: Path) -> None:
        super().__init__(folder, folder / "own.img")
        shutil.copyfile(image, self.image)
        copy = folder / "copy.img"
        with copy.open("xb") as file:
            file.truncate(image.stat().st_size)
        self.target, self.guest, self.qmp = folder / "target.sock", folder / "guest.sock", folder / "qmp.sock"
        self.processes = [
            self._start(
                "--blockdev", f"driver=file,filename={copy},node-name=f", "--blockdev", "driver=raw,file=f,node-name=copy",
                "--nbd-server", f"addr.type=unix,addr.path={self.target}",
                "--export", "type=nbd,id=e,node-name=copy,name=copy,writable=on", ready=self.target,
            ),
            self._start(
                "--blockdev", f"driver=file,filename={self.image},node-name=f", "--blockdev", "driver=raw,file=f,node-name=src",
                "--nbd-server", f"addr.type=unix,addr.path={self.guest}",
                "--export", "type=nbd,id=e,node-name=src,name=src,writable=on",
                "--chardev", f"socket,id=c,path={self.qmp},server=on,wait=off", "--monitor", "chardev=c", ready=self.qmp,
            ),
        ]  # fmt: skip
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(self.qmp))
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.ask("qmp_capabilities")
        self.ask("blockdev-add", **{
            "driver": "nbd", "node-name": "dst", "server": {"type": "unix", "path": str(self.target)}, "export": "copy",
        })  # fmt: skip

    def _start(self, *arguments: str, ready: Path) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["qemu-storage-daemon", *arguments], stderr=subprocess.DEVNULL)
        while not ready.exists():
            if process.poll() is not None:
                raise RuntimeError(f"qemu-storage-daemon ended with {process.returncode}")
            time.sleep(0.01)
        return process

    def ask(self, command: str, **arguments: Any) -> Any:
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while "return" not in (answer := json.loads(self.file.readline())):
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']}")
        return answer["return"]

    def _cpu(self) -> float:
        """Seconds of the processor that both daemons have taken so far."""
        ticks = 0
        for process in self.processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _backup(self, how: dict[str, Any]) -> Clock:
        clock, cpu = time.perf_counter(), self._cpu()
        self.ask("blockdev-backup", **{"job-id": "b", "device": "src", "target": "dst", "auto-dismiss": False, **how})
        while json.loads(self.file.readline()).get("data", {}).get("status") != "concluded":
            pass
        (job,) = self.ask("query-jobs")
        if "error" in job:
            raise RuntimeError(job["error"])
        self.ask("job-dismiss", id="b")
        return time.perf_counter() - clock, self._cpu() - cpu

    def initial(self) -> Clock:
        self.ask("block-dirty-bitmap-add", node="src", name="changes")
        return self._backup({"sync": "full"})

    def delta(self, changes: Changes) -> tuple[Clock, Clock | None]:
        commands = self.folder / "writes"
        lines = [f"write -q -s {self._piece(n, data)} {block * BLOCK} {BLOCK}" for n, (block, data) in enumerate(changes)]
        commands.write_text("\n".join(lines) + "\n", encoding="ascii")
        guest = ["qemu-io", "-f", "raw", f"nbd+unix:///src?socket={self.guest}"]
        with commands.open("rb") as file:
            subprocess.run(guest, stdin=file, stdout=subprocess.DEVNULL, check=True)
        return self._backup({"sync": "incremental", "bitmap": "changes"}), None

    def _piece(self, number: int, data: bytes) -> Path:
        path = self.folder / f"piece-{number}"
        path.write_bytes(data)
        return path

    def right(self) -> bool:
        return same(self.folder / "changed", reader(self.folder / "copy.img"))

    def close(self) -> None:
        self.socket.close()
        for process in reversed(self.processes):
            process.terminate()
            process.wait()


def contenders() -> tuple[list[tuple[str, Callable[[Path, Path], Contender]]], list[str]]:
    """Who takes part, and who is missing."""
    found: list[tuple[str, Callable[[Path, Path], Contender]]] = [
        (flow, lambda folder, image, flow=flow: Ours(folder, image, flow)) for flow in FLOWS  # type: ignore[misc]
    ]
    missing = []
    convert, rsync = ["qemu-img", "convert", "-f", "raw", "-O", "raw"], ["rsync", "--inplace", "--no-whole-file", "-I"]
    peers: list[tuple[str, tuple[str, ...], Callable[[Path, Path], Contender]]] = [
        ("qemu backup to NBD", ("qemu-storage-daemon", "qemu-io"), QemuBackup),
        ("qemu-img convert", ("qemu-img",), lambda folder, image: Copies(folder, image, "qemu-img convert", convert)),
        ("rsync --inplace", ("rsync",), lambda folder, image: Copies(folder, image, "rsync --inplace", rsync)),
    ]
    for name, tools, make in peers:
        if all(shutil.which(tool) for tool in tools):
            found.append((name, make))
        else:
            missing.append(name)
    return found, missing


@contextmanager
def prepared(size: int) -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory(prefix="siteproof-bench-") as name:
        folder = Path(name)
        yield folder, make_image(folder / "image", size, "mixed", 1)


def race(size: int, percent: float, rounds: int, only: list[str]) -> dict[str, dict[str, list[Clock]]]:
    chance = random.Random(2)
    blocks = chance.sample(range(size // BLOCK), max(1, int(size // BLOCK * percent / 100)))
    changes = [(block, chance.randbytes(BLOCK // 2).ljust(BLOCK, b".")) for block in sorted(blocks)]
    chance.shuffle(changes)
    times: dict[str, dict[str, list[Clock]]] = {}
    with prepared(size) as (folder, image):
        for number in range(rounds):
            for name, make in contenders()[0][:: -1 if number % 2 else 1]:
                if only and not any(part in name for part in only):
                    continue
                place = folder / f"{number}-{name.replace(' ', '-')}"
                place.mkdir()
                (place / "changed").write_bytes(b"")
                shutil.copyfile(image, place / "changed")
                written(place / "changed", changes)
                contender = make(place, image)
                try:
                    row = times.setdefault(name, {"initial": [], "delta": [], "tracking": []})
                    row["initial"].append(contender.initial())
                    delta, track = contender.delta(changes)
                    row["delta"].append(delta)
                    if track is not None:
                        row["tracking"].append(track)
                    if not contender.right():
                        raise RuntimeError(f"{name}: the copy is not the image")
                finally:
                    contender.close()
                shutil.rmtree(place)
    return times


def peak_of_sparse(size: int, flow: str) -> dict[str, float]:
    """Replicate a sparse image with some content every 64 MiB; MiB of memory at the peak, before and after."""
    with tempfile.TemporaryDirectory(prefix="siteproof-bench-") as name:
        image, chance = Path(name) / "sparse", random.Random(3)
        with image.open("xb") as file:
            for at in range(0, size, 64 << 20):
                file.seek(at)
                file.write(chance.randbytes(256 << 10))
            file.truncate(size)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        with Lab(topology_of(flow), {"m": [image]}, Path(name) / "lab") as lab:
            clock, cpu = timed(lambda: (lab.request("m", "EnableProtection"), lab.settle()))
            assert lab.status("m").protection == "protected"
            for block in range(0, size // BLOCK, max(1, size // BLOCK // 2000)):
                lab.write("m", "primary", 0, block, chance.randbytes(BLOCK))
            lab.settle()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"before": before, "peak": peak, "seconds": clock, "processor": cpu}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=64, metavar="MIB", help="size of the image (default 64)")
    parser.add_argument("--delta", type=float, default=2, metavar="PERCENT", help="share of the blocks that change (default 2)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender runs (default 3)")
    parser.add_argument("--memory", metavar="FLOW", nargs="?", const=FLOWS[0], help="measure memory on a sparse image instead")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="only contenders with this in their names")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    size = given.size << 20
    found: dict[str, Any] = {"size": size, "load": os.getloadavg()}
    print(f"image of {given.size:,} MiB, load {found['load'][0]:.1f} on {os.cpu_count()} processors")
    if given.memory:
        found["memory"] = peak_of_sparse(size, given.memory)
        print(f"{given.memory}: " + ", ".join(f"{name} {value:,.1f}" for name, value in found["memory"].items()))
    else:
        times = race(size, given.delta, given.rounds, given.only)
        middle = {
            name: {
                phase: (statistics.median(t[0] for t in clocks), statistics.median(t[1] for t in clocks))
                for phase, clocks in row.items() if clocks
            }
            for name, row in times.items()
        }  # fmt: skip
        found |= {"times": times, "medians": middle, "missing": contenders()[1]}
        _show(middle)
        for name in found["missing"]:
            print(f"{name}: not installed")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _show(middle: dict[str, dict[str, Clock]]) -> None:
    print(f"{'':30}{'initial s':>20}{'delta s':>20}{'tracking s':>20}")
    for name, row in middle.items():
        cells = [f"{row[p][0]:.3f} ({row[p][1]:.3f})" if p in row else "" for p in ("initial", "delta", "tracking")]
        print(f"{name:30}" + "".join(f"{cell:>20}" for cell in cells))
    for flow in filter(middle.__contains__, FLOWS):
        for name, row in middle.items():
            if name not in FLOWS:
                ratios = [
                    f"{phase} {row[phase][0] / middle[flow][phase][0]:.2f} ({row[phase][1] / middle[flow][phase][1]:.2f})"
                    for phase in ("initial", "delta")
                ]
                print(f"{name} / {flow}: {', '.join(ratios)}")


if __name__ == "__main__":
    sys.exit(main())
