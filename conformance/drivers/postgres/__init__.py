"""A driver for a system that siteproof did not write: PostgreSQL and its streaming replication, two clusters for each machine.

The WAL is the change log, `pg_basebackup` the initial copy, named restore points the recovery points, promotion the failover,
`pg_rewind` the way back, SIGKILL the loss of power. What is PostgreSQL's and what is ours, and what is not claimed:
`docs/postgres.md`.

Rules
1. Each case has clusters and a temporary folder of its own; `stop` ends and removes them, also after an error, and so does the
   end of the process. Nothing but Unix sockets is opened.
2. The system moves only when it is asked to: `step` is one step of the controller, with all that PostgreSQL does for it. Between
   two steps no WAL goes from one side to the other.
3. What is started to be looked at (a restored point, the disks of a side without power) ends as soon as the tester goes on.
"""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Iterable
from pathlib import Path

from siteproof.conformance.case import SIDES, Scenario
from siteproof.conformance.content import Base
from siteproof.conformance.driver import Accepted, Answer, Capabilities, Observation, Rejected
from siteproof.conformance.drivers.controller import FLOW, Lab
from siteproof.conformance.drivers.postgres.machine import Machine
from siteproof.conformance.drivers.postgres.programs import PACKAGE, folder_for, missing_parts, program_folder
from siteproof.conformance.drivers.postgres.site import Site
from siteproof.conformance.errors import DriverError

__all__ = ["FLOW", "PACKAGE", "PostgresDriver", "missing_parts", "program_folder"]


class PostgresDriver:
    """Two clusters for each machine under a thin controller."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self.lab: Lab[Site] = Lab({})
        self._end: weakref.finalize[..., PostgresDriver] | None = None

    def handshake(self) -> Capabilities:
        lacks = missing_parts()
        if lacks:
            raise DriverError("postgres", "no " + " and no ".join(lacks), "all of that", "; ".join(dict.fromkeys(lacks.values())))
        return Capabilities(
            "postgres", flows=frozenset({FLOW}), faults=frozenset({"primary-site", "recovery-site", "link", "change-log"}),
            stepping=True, disks=4, machines=4,
        )  # fmt: skip

    def start(self, scenario: Scenario, seed: int, base: Base) -> None:  # noqa: ARG002
        folder = folder_for("c")
        sites = {side: Site(side, folder / side, folder) for side in SIDES}
        self._end = weakref.finalize(self, _end, tuple(sites.values()), folder)
        self.lab = Lab(sites)
        self.machines = {name: Machine(name, scenario.disks, self.lab) for name in scenario.machines}
        for machine in self.machines.values():
            cluster = machine.sides["primary"].cluster = sites["primary"].empty()
            cluster.start()
            cluster.fill(machine.disks, base)

    def _go_on(self) -> None:
        for machine in self.machines.values():
            machine.look_away()

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        self._go_on()
        code = self.machines[machine].request(operation, point)
        return Rejected(code) if code else Accepted()

    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool | None:
        self._go_on()
        return self.machines[machine].write(side, disk, block, data, cached)

    def fault(self, kind: str) -> None:
        self._go_on()
        if kind == "link":
            self.lab.link = False
        elif kind == "change-log":
            for one in self.machines.values():
                one.damage_log()
        else:
            side = kind.removesuffix("-site")
            for one in self.machines.values():
                one.power_lost(side)
            self.lab.sites[side].power_off()

    def heal(self, kind: str) -> None:
        self._go_on()
        if kind == "link":
            self.lab.link = True
        else:
            self.lab.sites[kind.removesuffix("-site")].power_on()

    def start_machine(self, machine: str, side: str) -> bool | None:
        self._go_on()
        return self.machines[machine].start_machine(side)

    def advance(self, seconds: int) -> None:
        for _ in range(1 + seconds // 30):
            if not self.step():
                return

    def step(self) -> bool:
        self._go_on()
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
        site.end()
    shutil.rmtree(folder, ignore_errors=True)
