"""A driver for a system that siteproof did not write: QEMU's `qemu-storage-daemon`, one for each of two sites.

Dirty bitmaps are the change log, incremental backups over NBD the deltas, qcow2 overlays the recovery points, NBD exports the
guest's disks, SIGKILL the loss of power. What is QEMU's and what is ours, and what is not claimed: `docs/qemu.md`.

One daemon stands for a site, with the disks of all machines. Nothing but Unix sockets is opened.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from siteproof.conformance.case import SIDES, Scenario
from siteproof.conformance.content import BLOCK, Base
from siteproof.conformance.driver import Capabilities
from siteproof.conformance.drivers.controlled import ControlledDriver
from siteproof.conformance.drivers.controller import FLOW
from siteproof.conformance.drivers.qemu.machine import Machine
from siteproof.conformance.drivers.qemu.nbd import PIECE, Nbd
from siteproof.conformance.drivers.qemu.site import DAEMON, Site
from siteproof.conformance.errors import DriverError

__all__ = ["FLOW", "PROGRAMS", "QemuDriver", "missing_programs"]

PROGRAMS = {DAEMON: "qemu-system-common", "qemu-img": "qemu-utils"}
"""What is needed, and the Debian package that has it."""


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name) is None]


class QemuDriver(ControlledDriver[Machine, Site]):
    """Two daemons under a thin controller."""

    def handshake(self) -> Capabilities:
        missing = missing_programs()
        if missing:
            packages = " ".join(sorted({PROGRAMS[name] for name in missing}))
            raise DriverError("qemu", f"no {' and no '.join(missing)} on the PATH", "both", f"apt-get install {packages}")
        return self.capabilities("qemu")

    def start(self, scenario: Scenario, seed: int, base: Base) -> None:  # noqa: ARG002
        folder = Path(tempfile.mkdtemp(prefix="siteproof-qemu-"))
        sites = {side: Site(side, folder / side) for side in SIDES}
        self.begin(sites, folder)
        size = base.blocks * BLOCK
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", str(folder / "blank.qcow2"), str(size)],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        for site in sites.values():
            site.spawn()
        for site in sites.values():
            site.connect()
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
