"""The driver of the bundled implementation: `siteproof.impl.lab.Lab` in its deterministic simulation.

Beside the command line this is the only file of the tester that knows an implementation. It translates, and decides
nothing. Replacement component classes (`components`) are how a seeded bug or a variant gets in.

Of the operations that are allowed it shows those that a case can ask for.

Each case gets a work folder of its own, under one temporary folder that is on memory where the system has such a place,
and goes with the case; `work` puts it elsewhere, for images that are too large for memory. Base images are made once
for each size, and are opened read-only.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import attrs

from siteproof.conformance.case import OPERATIONS, Scenario
from siteproof.conformance.content import BLOCK, Base
from siteproof.conformance.driver import Accepted, Answer, Capabilities, Common, Observation, Rejected
from siteproof.impl.lab import Lab
from siteproof.impl.loader import Topology
from siteproof.impl.loader import load_topology as impl_topology
from siteproof.model.topology import load_topology

__all__ = ["BundledDriver", "topology_of"]


@functools.cache
def _folder() -> Path:
    """One temporary folder for this process."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="siteproof-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def with_policy(topology: Topology, settings: Mapping[str, int]) -> Topology:
    """The topology with a scenario's own policy settings, as far as the implementation has them."""
    known = {name: float(value) for name, value in settings.items() if hasattr(topology.policy, name)}
    return attrs.evolve(topology, policy=attrs.evolve(topology.policy, **known)) if known else topology


@functools.cache
def topology_of(source: str) -> Topology:
    """The implementation reads a file. It gets a built-in flow, or one that extends another, as one self-contained text; what
    it makes of that is the same for every case."""
    topology = load_topology(source)
    path = Path(tempfile.mkdtemp(dir=_folder())) / f"{topology.id}.toml"
    path.write_text(topology.text, encoding="utf-8")
    return impl_topology(path)


@functools.cache
def _asked_for(allowed: tuple[str, ...]) -> tuple[str, ...]:
    """The operations among these that a case can ask for."""
    return tuple(sorted(set(allowed) & set(OPERATIONS)))


class BundledDriver:
    """The bundled implementation as a system under test."""

    def __init__(self, components: Mapping[str, type] | None = None, name: str = "bundled", work: Path | None = None) -> None:
        self.components, self.name, self.work = dict(components or {}), name, work
        self.lab: Lab | None = None
        self.folder: Path | None = None
        self._grouped = False

    def handshake(self) -> Capabilities:
        return Capabilities(self.name, stepping=True, own_topologies=True, restores=True, tells_time=True, groups=True)

    def start(self, scenario: Scenario, seed: int, base: Base) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="case-", dir=self.work or _folder()))
        image = self._image(base)
        self.lab = Lab(
            with_policy(topology_of(scenario.topology), scenario.policy),
            {m: [image] * scenario.disks for m in scenario.machines},
            self.folder,
            seed,
            components=self.components,
            groups=scenario.groups,
        )
        self._grouped = bool(scenario.groups)

    @staticmethod
    def _image(base: Base) -> Path:
        if base.image is not None and base.image.stat().st_size % BLOCK == 0:
            return base.image
        path = _folder() / f"base-{base.blocks}-{abs(hash(base.image)) if base.image else 0}"
        if not path.exists():
            base.write_to(path)
        return path

    @property
    def running(self) -> Lab:
        if self.lab is None:
            raise RuntimeError("the driver was asked before it was started")
        return self.lab

    def execute(self, machine: str, operation: str, point: str | None) -> Answer:
        code = self.running.request(machine, operation, point)
        return Accepted() if code is None else Rejected(str(code))

    def write(self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool) -> bool:
        return self.running.write(machine, side, disk, block, data, cached)

    def fault(self, kind: str) -> None:
        self.running.fault(kind)

    def heal(self, kind: str) -> None:
        self.running.heal(kind)

    def start_machine(self, machine: str, side: str) -> bool:
        return self.running.start_machine(machine, side)

    def advance(self, seconds: int) -> None:
        self.running.advance(seconds)

    def now(self) -> float:
        """Virtual time in seconds since the start."""
        return self.running.now

    def step(self) -> bool:
        """The next event of the simulation; False when nothing is scheduled."""
        return self.running.step()

    def settle(self) -> bool:
        return self.running.settle()

    def observe(self, machine: str) -> Observation:
        lab = self.running
        status = lab.status(machine)
        return Observation(
            status.protection,
            status.active,
            status.direction,
            status.failover,
            status.job,
            _asked_for(status.allowed_operations),
            tuple([(p.id, p.kind) for p in status.points]),
            status.failover_point,
            status.received,
            status.loss,
            status.alerts,
            (lab.running(machine, "primary"), lab.running(machine, "recovery")),
            status.test,
            status.resync,
            tuple(Common(p.id, p.group, p.cut_at) for p in lab.common_points(machine)) if self._grouped else (),
        )

    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:
        return self.running.read(machine, where, disk, offset, length)

    def restore(self, machine: str, point: str, disk: int, to: Path) -> None:
        """Write a point's disk as an image."""
        self.running.restore(machine, point, disk, to)

    def stop(self) -> None:
        if self.lab is not None:
            self.lab.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
