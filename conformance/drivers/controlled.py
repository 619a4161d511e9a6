"""A driver of machines under a thin controller: what the drivers of systems that siteproof did not write have in common.

Rules
1. A subclass says in `handshake` what is needed and missing, and in `start` makes the sites and the machines, and hands them to
   `begin`. Everything that a command does is the machines' and the sites' (`siteproof.conformance.drivers.controller`).
2. Each case has sites and a temporary folder of its own; `stop` ends and removes them, also after an error, and so does the end
   of the process.
3. The system moves only when it is asked to: `step` is one step of each machine.
"""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from siteproof.conformance.driver import Accepted, Answer, Capabilities, Observation, Rejected
from siteproof.conformance.drivers.controller import FLOW, Controller, Lab, Powered

__all__ = ["ControlledDriver"]

SECONDS_A_STEP = 30
"""Seconds of virtual time that one step counts for."""

MachineT = TypeVar("MachineT", bound=Controller)  # type: ignore[type-arg]
SiteT = TypeVar("SiteT", bound=Powered)


class ControlledDriver(Generic[MachineT, SiteT]):
    """Two sites, and machines under a thin controller each."""

    def __init__(self) -> None:
        self.machines: dict[str, MachineT] = {}
        self.lab: Lab[SiteT] = Lab({})
        self._end: weakref.finalize[..., Any] | None = None

    @staticmethod
    def capabilities(name: str) -> Capabilities:
        """What every such driver can do."""
        return Capabilities(
            name, flows=frozenset({FLOW}), faults=frozenset({"primary-site", "recovery-site", "link", "change-log"}),
            stepping=True, disks=4, machines=4,
        )  # fmt: skip

    def begin(self, sites: Mapping[str, SiteT], folder: Path) -> None:
        """A case has these sites, and this folder; both go with it."""
        self._end = weakref.finalize(self, _end, tuple(sites.values()), folder)
        self.lab = Lab(dict(sites))

    def go_on(self) -> None:
        """Called before each command that may change something."""

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        self.go_on()
        code = self.machines[machine].request(operation, point)
        return Rejected(code) if code else Accepted()

    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool | None:
        self.go_on()
        return self.machines[machine].write(side, disk, block, data, cached)

    def fault(self, kind: str) -> None:
        self.go_on()
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
        self.go_on()
        if kind == "link":
            self.lab.link = True
        else:
            self.lab.sites[kind.removesuffix("-site")].power_on()

    def start_machine(self, machine: str, side: str) -> bool | None:
        self.go_on()
        return self.machines[machine].start_machine(side)

    def advance(self, seconds: int) -> None:
        for _ in range(1 + seconds // SECONDS_A_STEP):
            if not self.step():
                return

    def step(self) -> bool:
        self.go_on()
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


def _end(sites: Iterable[Powered], folder: Path) -> None:
    for site in sites:
        site.end()
    shutil.rmtree(folder, ignore_errors=True)
