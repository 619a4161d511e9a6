"""One site: a `qemu-storage-daemon`, the images that lie there, and what is done with them. Everything here is QEMU's own work.

Rules
1. A disk is a chain of qcow2 layers, each a node of the daemon. A recovery point is a layer that has got another on top
   (`blockdev-snapshot`); nothing writes to it any more. To go on from a point is a new layer on top of it.
2. The change log is a persistent dirty bitmap on the top layer. It is asked whether it is whole; it is never believed.
3. A loss of power is SIGKILL. When power returns a new daemon opens the same files again, with nothing but what is in them.
4. Only processes that were started here are ended, by their handle; files lie in the folder given.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from siteproof.conformance.drivers.qemu.nbd import Nbd
from siteproof.conformance.drivers.qemu.qmp import Gone, Qmp, Refused

__all__ = ["LOG", "Layer", "Site"]

DAEMON = "qemu-storage-daemon"
LOG = "log"
"""The name of the dirty bitmap."""
START_SECONDS = 10.0


@attrs.frozen(eq=False)
class Layer:
    """A qcow2 file at a site, as a node of its daemon, over another one or none. `owner` is the machine whose disk it is of."""

    node: str
    path: Path
    owner: str
    below: Layer | None = None

    def chain(self) -> Iterator[Layer]:
        """This layer and all below, lowest first."""
        if self.below is not None:
            yield from self.below.chain()
        yield self


class Site:
    """A daemon and its layers."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.blank = folder.parent / "blank.qcow2"
        self.layers: list[Layer] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._qmp: Qmp | None = None
        self._serial = itertools.count(1)
        self.nbd_path = folder / "nbd"
        folder.mkdir()

    # ----------------------------------------------------------------------------------------------------------------- power

    @property
    def up(self) -> bool:
        return self.process is not None

    def spawn(self) -> None:
        """Start the daemon; `connect` waits for it."""
        monitor = self.folder / "qmp"
        for path in (monitor, self.nbd_path):
            path.unlink(missing_ok=True)
        setpriv = shutil.which("setpriv")  # of util-linux: a tester that is killed leaves no daemon behind
        dies_with_us = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
        log = (self.folder / "stderr").open("ab")
        with log:
            self.process = subprocess.Popen(
                [
                    *dies_with_us,
                    DAEMON,
                    "--chardev", f"socket,id=c0,path={monitor},server=on,wait=off", "--monitor", "chardev=c0",
                    "--nbd-server", f"addr.type=unix,addr.path={self.nbd_path}",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip

    def connect(self) -> None:
        """Wait for the monitor, and open the layers again that lie here."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._qmp = Qmp(self.folder / "qmp")
                break
            except Gone as gone:
                ended = self.process is None or self.process.poll() is not None
                if ended or time.monotonic() > deadline:
                    last = (self.folder / "stderr").read_text(errors="replace")[-300:]
                    raise RuntimeError(f"{DAEMON} of the {self.name} site does not start: {gone}; {last}") from gone
                time.sleep(0.003)
        for layer in self.layers:
            self._open(layer)

    def power_on(self) -> None:
        self.spawn()
        self.connect()

    def end(self) -> None:
        """The daemon ends; its files are thrown away."""
        self.power_off()

    def power_off(self) -> None:
        """Power is lost."""
        if self._qmp is not None:
            self._qmp.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process = self._qmp = None

    def __call__(self, command: str, /, **arguments: Any) -> Any:
        """A QMP command; underscores in names of arguments are dashes."""
        if self._qmp is None:
            raise Gone(f"the {self.name} site has no power")
        return self._qmp.command(command, {name.replace("_", "-"): value for name, value in arguments.items()})

    def wait_jobs(self, jobs: Sequence[str], *status: str) -> dict[str, str]:
        if self._qmp is None:
            raise Gone(f"the {self.name} site has no power")
        return self._qmp.wait_jobs(jobs, status)

    # ---------------------------------------------------------------------------------------------------------------- layers

    def new_layer(self, owner: str, below: Layer | None = None, *, opened: bool = True) -> Layer:
        """A new layer, empty, over another one or none. Not opened, it is for `snapshot`."""
        node = f"{self.name}-{next(self._serial)}"
        layer = Layer(node, self.folder / f"{node}.qcow2", owner, below)
        shutil.copyfile(self.blank, layer.path)
        if opened:
            self._open(layer)
        self.layers.append(layer)
        return layer

    def _open(self, layer: Layer) -> None:
        self("blockdev-add", **self._options(layer, layer.below.node if layer.below is not None else None))

    @staticmethod
    def _options(layer: Layer, backing: Any) -> dict[str, Any]:
        return {
            "driver": "qcow2",
            "node-name": layer.node,
            "file": {"driver": "file", "filename": str(layer.path)},
            "backing": backing,
        }

    def snapshot(self, tops: Sequence[Layer]) -> list[Layer]:
        """All tops become points at one instant; the new layers over them."""
        overlays = [self.new_layer(top.owner, top, opened=False) for top in tops]
        for overlay in overlays:
            self("blockdev-add", **self._options(overlay, None))
        pairs = zip(tops, overlays, strict=True)
        actions = [{"type": "blockdev-snapshot", "data": {"node": t.node, "overlay": o.node}} for t, o in pairs]
        self("transaction", actions=actions)
        return overlays

    def drop(self, layer: Layer) -> None:
        """A layer that nothing uses goes, with its file."""
        if self.up:
            self("blockdev-del", node_name=layer.node)
        self.layers.remove(layer)
        layer.path.unlink()

    def read_file(self, layer: Layer, offset: int, length: int) -> bytes:
        """Content of a layer by `qemu-img`, while the site has no daemon."""
        options: Any = None
        for one in layer.chain():
            options = {**self._options(one, options)}
            del options["node-name"]
        out = self.folder / "read.raw"
        subprocess.run(
            ["qemu-img", "convert", "-U", "-O", "raw", f"json:{json.dumps(options)}", str(out)],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        with out.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    # --------------------------------------------------------------------------------------------------------------- exports

    def export(self, layer: Layer, name: str, *, writable: bool) -> None:
        self("block-export-add", type="nbd", id=name, node_name=layer.node, name=name, writable=writable)

    def exports(self) -> frozenset[str]:
        """The exports that are there, as the daemon says; none without power."""
        return frozenset(row["id"] for row in self("query-block-exports")) if self.up else frozenset()

    def unexport(self, name: str) -> None:
        """An export goes at once, whoever is connected (`mode: hard`); it is gone when this returns."""
        if name not in self.exports():
            return
        self("block-export-del", id=name, mode="hard")
        deadline = time.monotonic() + START_SECONDS
        while name in self.exports():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the export {name} does not go")
            time.sleep(0.001)

    @contextmanager
    def reading(self, layer: Layer) -> Iterator[Nbd]:
        """A read-only export of a layer for as long as it is read."""
        name = f"read-{layer.node}"
        self.export(layer, name, writable=False)
        try:
            with Nbd(self.nbd_path, name) as nbd:
                yield nbd
        finally:
            self.unexport(name)

    # --------------------------------------------------------------------------------------------------------------- the log

    def log_state(self, layer: Layer) -> str:
        """`whole`, `inconsistent`, or `absent`: what the daemon says of the bitmap."""
        nodes = self("query-named-block-nodes", flat=True)
        row = next(one for one in nodes if one["node-name"] == layer.node)
        bitmaps = row.get("dirty-bitmaps", ())  # while one is busy it has a nameless child
        bitmap = next((one for one in bitmaps if one.get("name") == LOG), None)
        if bitmap is None:
            return "absent"
        return "inconsistent" if bitmap.get("inconsistent") else "whole"

    def add_log(self, layer: Layer) -> dict[str, Any]:
        """The action of a transaction that begins to track."""
        return {
            "type": "block-dirty-bitmap-add",
            "data": {"node": layer.node, "name": LOG, "persistent": True, "granularity": 4096},
        }

    def remove_log(self, layer: Layer) -> None:
        if self.log_state(layer) != "absent":
            self("block-dirty-bitmap-remove", node=layer.node, name=LOG)

    # ------------------------------------------------------------------------------------------------------------------ jobs

    def cancel(self, jobs: Sequence[str]) -> None:
        """Jobs end without effect; an incremental backup gives its changes back to the bitmap."""
        for job in jobs:
            try:
                self("job-cancel", id=job)
            except Refused:  # it has ended by itself meanwhile
                continue
        self.wait_jobs(jobs, "concluded")
        self.dismiss(jobs)

    def dismiss(self, jobs: Sequence[str]) -> list[str]:
        """Forget ended jobs; the errors with which they ended."""
        rows = {row["id"]: row for row in self("query-jobs")}
        for job in jobs:
            if job in rows:
                self("job-dismiss", id=job)
        return [rows[job]["error"] for job in jobs if job in rows and "error" in rows[job]]
