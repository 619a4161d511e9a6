"""A driver for a system that siteproof did not write: PostgreSQL and its streaming replication, two clusters for each machine.

The WAL is the change log, `pg_basebackup` the initial copy, named restore points the recovery points, promotion the failover,
`pg_rewind` the way back, SIGKILL the loss of power. What is PostgreSQL's and what is ours, and what is not claimed:
`docs/postgres.md`.

Rules
1. Nothing but Unix sockets is opened.
2. Between two steps of the controller no WAL goes from one side to the other.
3. What is started to be looked at (a restored point, the disks of a side without power) ends as soon as the tester goes on.
"""

from __future__ import annotations

from siteproof.conformance.case import SIDES, Scenario
from siteproof.conformance.content import Base
from siteproof.conformance.driver import Capabilities
from siteproof.conformance.drivers.controlled import ControlledDriver
from siteproof.conformance.drivers.controller import FLOW
from siteproof.conformance.drivers.postgres.machine import Machine
from siteproof.conformance.drivers.postgres.programs import PACKAGE, folder_for, missing_parts, program_folder
from siteproof.conformance.drivers.postgres.site import Site
from siteproof.conformance.errors import DriverError

__all__ = ["FLOW", "PACKAGE", "PostgresDriver", "missing_parts", "program_folder"]


class PostgresDriver(ControlledDriver[Machine, Site]):
    """Two clusters for each machine under a thin controller."""

    def handshake(self) -> Capabilities:
        lacks = missing_parts()
        if lacks:
            raise DriverError("postgres", "no " + " and no ".join(lacks), "all of that", "; ".join(dict.fromkeys(lacks.values())))
        return self.capabilities("postgres")

    def start(self, scenario: Scenario, seed: int, base: Base) -> None:  # noqa: ARG002
        folder = folder_for("c")
        sites = {side: Site(side, folder / side, folder) for side in SIDES}
        self.begin(sites, folder)
        self.machines = {name: Machine(name, scenario.disks, self.lab) for name in scenario.machines}
        for machine in self.machines.values():
            cluster = machine.sides["primary"].cluster = sites["primary"].empty()
            cluster.start()
            cluster.fill(machine.disks, base)

    def go_on(self) -> None:
        for machine in self.machines.values():
            machine.look_away()
