"""A driver for a system that siteproof did not write: QEMU's `qemu-storage-daemon`, one for each of two sites.

Dirty bitmaps are the change log, incremental backups over NBD the deltas, qcow2 overlays the recovery points, NBD exports the
guest's disks, SIGKILL the loss of power. What is QEMU's and what is ours, and what is not claimed: `docs/qemu.md`.

Rules
1. Each case has daemons and a temporary folder of its own; `stop` ends and removes them, also after an error, and so does the end
   of the process. Nothing but Unix sockets is opened.
2. The system moves only when it is asked to: `step` is one step of the controller, with all that QEMU does for it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path

from siteproof.conformance.case import SIDES, Scenario
from siteproof.conformance.content import BLOCK, Base
from siteproof.conformance.driver import Accepted, Answer, Capabilities, Observation, Rejected
from siteproof.conformance.drivers.controller import FLOW, Lab
from siteproof.conformance.drivers.qemu.machine import Machine
from siteproof.conformance.drivers.qemu.nbd import PIECE, Nbd
from siteproof.conformance.drivers.qemu.site import DAEMON, Site
from siteproof.conformance.errors import DriverError

__all__ = ["FLOW", "PROGRAMS", "QemuDriver", "missing_programs"]

PROGRAMS = {DAEMON: "qemu-system-common", "qemu-img": "qemu-utils"}
"""What is needed, and the Debian package that has it."""


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name) is None]


class QemuDriver:
    """Two daemons under a thin controller."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self.lab: Lab[Site] = Lab({})
        self._end: weakref.finalize[..., QemuDriver] | None = None

    def handshake(self) -> Capabilities:
        missing = missing_programs()
        if missing:
            packages = " ".join(sorted({PROGRAMS[name] for name in missing}))
            raise DriverError("qemu", f"no {' and no '.join(missing)} on the PATH", "both", f"apt-get install {packages}")
        return Capabilities(
            "qemu", flows=frozenset({FLOW}), faults=frozenset({"primary-site", "recovery-site", "link", "change-log"}),
            stepping=True, disks=4, machines=4,
        )  # fmt: skip

    def start(self, scenario: Scenario, seed: int, base: Base) -> None:  # noqa: ARG002
        folder = Path(tempfile.mkdtemp(prefix="siteproof-qemu-"))
        sites = {side: Site(side, folder / side) for side in SIDES}
        self._end = weakref.finalize(self, _end, tuple(sites.values()), folder)
        size = base.blocks * BLOCK
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", str(folder / "blank.qcow2"), str(size)],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        for site in sites.values():
            site.spawn()
        for site in sites.values():
            site.connect()
        self.lab = Lab(sites)
        self.machines = {name: Machine(name, scenario.disks, self.lab) for name in scenario.machines}
        for machine in self.machines.values():
            self._fill(machine, base)

    def _fill(self, machine: Machine, base: Base) -> None:
        """The primary's disks get what they start with, and the machine runs."""
        side = machine.sides["primary"]
        side.tops = [side.site.new_layer(machine.name) for _ in range(machine.disks)]
        machine.power_on("primary")
        step = PIECE // BLOCK
        for export in machine.exports("guest"):
            with Nbd(side.site.nbd_path, export) as nbd:
                for start in range(0, base.blocks, step):
                    nbd.write(start * BLOCK, base.data(start, min(step, base.blocks - start)))
                nbd.flush()

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        code = self.machines[machine].request(operation, point)
        return Rejected(code) if code else Accepted()

    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool | None:
        return self.machines[machine].write(side, disk, block, data, cached)

    def fault(self, kind: str) -> None:
        if kind == "link":
            self.lab.link = False
        elif kind == "change-log":
            for one in self.machines.values():
                one.damage_log()
        else:
            side = kind.removesuffix("-site")
            for one in self.machines.values():
                one.power_lost(side)
            self.lab.sites[side].kill()

    def heal(self, kind: str) -> None:
        if kind == "link":
            self.lab.link = True
        else:
            self.lab.sites[kind.removesuffix("-site")].start()

    def start_machine(self, machine: str, side: str) -> bool | None:
        return self.machines[machine].start_machine(side)

    def advance(self, seconds: int) -> None:
        for _ in range(1 + seconds // 30):
            if not self.step():
                return

    def step(self) -> bool:
        moved = [one.step() for one in self.machines.values()]  # all of them, also after the first that moves
        return any(moved)

    def settle(self) -> bool:
        while self.step():
            pass
        return True

    def observe(self, machine: str) -> Observation:
        return self.machines[machine].observe()

    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:
        return self.machines[machine].read(where, disk, offset, length)

    def stop(self) -> None:
        if self._end is not None:
            self._end()
        self.machines, self.lab, self._end = {}, Lab({}), None


def _end(sites: Iterable[Site], folder: Path) -> None:
    for site in sites:
        site.kill()
    shutil.rmtree(folder, ignore_errors=True)
