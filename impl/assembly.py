"""Puts a laboratory together: from a topology, images and options to the components of each machine, on both sides.

Rules:

* which components there are follows from the flow (:mod:`.flows`); each is made by the class of its role (:data:`ROLES`), which
  can be replaced by another;
* images are opened, and refused, before anything is created; files are created exclusively, so that no file that exists is ever
  overwritten;
* a system that is resumed is made in the same way, and each component then becomes what was kept of it (:mod:`.keeping`); the
  system starts when all are there.
"""

from __future__ import annotations

import os
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from .agent import HyperVReplicationAgent, MobilityService, UnifiedAgent
from .changelog import ChangeLog
from .codec import BlockCipher, Codec
from .control import Side
from .coordinator import ConfigurationServer, Provider
from .diskset import BaseImage, DiskSet
from .errors import UsageError
from .extents import ExtentSpace
from .fleet import Fleet
from .flows import flow_of
from .group import ReplicationGroup
from .keeping import Keeper
from .loader import Topology, load_topology
from .network import Network
from .plan import Hook, RecoveryPlan
from .planrun import PlanRun
from .process_server import ProcessServer
from .simulation import Receiver, Simulation
from .store import RealStorage, Storage
from .target import MasterTarget, ReplicaHost, StorageAccount
from .values import PRIMARY, SIDES
from .vault import Vault
from .vm_host import Freezer, VmHost

__all__ = ["LEAST_LOG", "ROLES", "Assembly"]

ROLES: Mapping[str, type] = {
    "vault": Vault,
    "configuration-server": ConfigurationServer,
    "provider": Provider,
    "process-server": ProcessServer,
    "temporary-process-server": ProcessServer,
    "storage-account": StorageAccount,
    "master-target": MasterTarget,
    "replica-host": ReplicaHost,
    "mobility-service": MobilityService,
    "unified-agent": UnifiedAgent,
    "hyper-v-agent": HyperVReplicationAgent,
    "vm-host": VmHost,
    "change-log": ChangeLog,
    "disk-set": DiskSet,
    "replication-group": ReplicationGroup,
    "plan-run": PlanRun,
}
"""Components by role name, with the classes used unless others are given."""

LEAST_LOG = 1 << 20
"""Bytes of change logs for which nothing is compared: digests go out in chunks of as much content."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


def _refuse_images_within(workdir: Path, machines: Mapping[str, Sequence[Path]]) -> None:
    for machine, images in machines.items():
        for image in images:
            if Path(image).resolve().is_relative_to(workdir.resolve()):
                raise UsageError(f"machine '{machine}': image {image} lies in the work folder {workdir}; move it out of there")


class Assembly(ABC):
    """The components of a laboratory; see :class:`~siteproof.impl.lab.Lab` for the arguments."""

    def __init__(
        self,
        topology: Topology | Path | str,
        machines: Mapping[str, Sequence[Path]],
        workdir: Path,
        seed: int = 0,
        *,
        sync: bool = False,
        reproducible: bool = False,
        components: Mapping[str, type] | None = None,
        network: Network | None = None,
        least_log: int = LEAST_LOG,
        durable: bool = False,
        resume: bool = False,
        down: Collection[str] = (),
        storage: Storage | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
        plans: Sequence[RecoveryPlan] = (),
        hooks: Mapping[str, Hook] | None = None,
        freezers: Mapping[str, Freezer] | None = None,
    ) -> None:
        self.topology = topology if isinstance(topology, Topology) else load_topology(Path(topology))
        self.flow = flow_of(self.topology)
        given = dict(components or {})
        unknown = sorted(set(given) - set(ROLES))
        if unknown:
            raise UsageError(f"component role '{unknown[0]}' is not known; known: {', '.join(sorted(ROLES))}")
        if "process-server" in given:
            given.setdefault("temporary-process-server", given["process-server"])
        self._classes: dict[str, Any] = {**ROLES, **given}
        self._sync = sync
        self._freezers = dict(freezers or {})
        self._least_log = least_log
        self._workdir = Path(workdir)
        self._bases: list[BaseImage] = []
        self._disks: list[DiskSet] = []
        self._resumes = resume
        self._keeper: Keeper | None = None
        self._made_of: dict[str, Any] = {}
        """What a system that is kept was made of, by which it is told from another."""
        if durable or resume or storage is not None:
            _refuse_images_within(self._workdir, machines)
            kept_in = RealStorage(self._workdir) if storage is None else storage
            self._keeper = Keeper(kept_in, self._workdir, resume=resume)
        # A system that starts again draws other ids and keys than before.
        again = f" {self._keeper.starts}" if self._keeper is not None and self._keeper.starts else ""
        self._rng = random.Random(f"{seed}{again}" if again else seed)
        self._space = ExtentSpace(None if self._keeper is None else self._keeper.disk)
        sealing = self.flow.sealing
        self._keys = random.Random(f"keys {seed}{again}").randbytes if reproducible else os.urandom
        self._vault: Vault = self._classes["vault"](self.flow)
        self._vault.channel_key = self._keys(32)
        self._codec = Codec(self._vault.channel_key, compresses=sealing.compresses, encrypts=sealing.encrypts)
        self._simulation = Simulation(self.flow, self._rng, network, self._space.read)
        self._simulation.faults.update(down)
        try:
            self._build(machines)
            runs = self._keeper.rows_of_fleet() if self._keeper is not None else {}
            if groups or plans or runs:
                self._simulation.fleet = Fleet(
                    self._simulation.coordinators, self.flow, groups or {}, plans, hooks or {}, self._simulation, self._request,
                    self._would, self._classes["replication-group"], self._classes["plan-run"],
                )  # fmt: skip
                self._simulation.fleet.restore(runs)
            self._begin()
        except BaseException:
            self.close()
            raise

    def _build(self, machines: Mapping[str, Sequence[Path]]) -> None:
        if not machines:
            raise UsageError("no machine given; name at least one machine with its disk images")
        for machine in machines:
            if not _NAME.match(machine):
                raise UsageError(f"machine id '{machine}' is not usable; letters, digits, '.', '_' and '-' expected")
            if (self._workdir / machine).exists() and not self._resumes:
                raise UsageError(f"{self._workdir / machine}: exists already; give an empty work folder")
        bases = {machine: self._open_images(machine, images) for machine, images in machines.items()}
        if self._keeper is None:
            self._workdir.mkdir(parents=True, exist_ok=True)
        else:
            self._made_of = {
                "flow": self.flow.id, "images": {m: [[b.size, b.sample()] for b in bases[m]] for m in sorted(machines)},
            }  # fmt: skip
            if self._resumes:
                self._keeper.expect(self._made_of)
                self._keeper.discard(self._workdir, set())
                self._keeper.restore_vault(self._vault)
        for role, site in {g.role: g.site for g in self.flow.gateways.values()}.items():
            cache = self._space.open(self._workdir / f"{role}.cache", lasting=False)
            self._simulation.add_gateway(site, self._classes[role](role, self._space, cache, self._codec))
        for machine in machines:
            self._add_machine(machine, bases[machine])

    def _begin(self) -> None:
        if self._keeper is not None:
            self._keeper.watch(self._vault, self._simulation.coordinators, self._made_of, self._simulation.fleet)
            self._simulation.keep, self._simulation.stop = self._keeper.commit, self._keeper.stop
        if self._resumes:
            # Virtual time is not kept. It goes on from the newest point, so that the age of points still means something, or from
            # the last note of a plan's run, so that its protocol is in order.
            fleet = self._simulation.fleet
            times = [p.cut_at for c in self._simulation.coordinators.values() for p in c.points]
            times += [note.at for run in ([] if fleet is None else fleet.runs.values()) for note in run.notes]
            self._simulation.now = max(times, default=0.0)
            self._simulation.resume()
        else:
            for coordinator in self._simulation.coordinators.values():
                coordinator.sides[PRIMARY].host.start()
        self._simulation.keep()

    def _open_images(self, machine: str, images: Sequence[Path]) -> list[BaseImage]:
        if not images:
            raise UsageError(f"machine '{machine}' has no disk; give at least one image")
        first = len(self._bases)
        for image in images:
            self._bases.append(BaseImage(Path(image)))
        return self._bases[first:]

    def _add_machine(self, machine: str, bases: Sequence[BaseImage]) -> None:
        folder = self._workdir / machine
        record = self._vault.register(machine)
        keeping: dict[str, Any] = {}
        if self._keeper is None:
            folder.mkdir()
        else:
            self._keeper.make_folder(folder)
            keeping = {"disk": self._keeper.disk, "careful": True, "exists": self._resumes}
            if self._resumes:
                self._keeper.sweep(machine)
        if self.flow.encrypted_at_rest and not self._resumes:
            record.store_key = self._keys(64)
        sizes = [base.size for base in bases]
        sides: dict[str, Side] = {}
        receivers: dict[str, Receiver] = {}
        for side in SIDES:
            disks = self._classes["disk-set"](
                folder / f"{side}.disks", sizes, bases if side == PRIMARY else [None] * len(sizes), sync=self._sync,
                cipher=BlockCipher(record.store_key) if side in self.flow.encrypted_at_rest else None, **keeping,
            )  # fmt: skip
            self._disks.append(disks)
            logs = [
                self._classes["change-log"](self._space, folder, side, n, size, self._rng, sync=self._sync)
                for n, size in enumerate(sizes)
            ]
            staging = self._space.open(folder / f"{side}.staging", lasting=False)
            agent = self._classes[self.flow.agents[side]](
                machine, side, disks, logs, self._space, staging, self._codec if self.flow.sealing.by_agent else None,
                max(self._least_log, sum(sizes) // 2),
            )
            host = self._classes["vm-host"](machine, side, disks, agent, authority=side == PRIMARY)
            host.freezer = self._freezers.get(machine)
            target = self._classes[self.flow.targets[side]](machine, side, disks, host, self._space, self._codec)
            target.thins = self.flow.thins_points
            at = Side(host, agent, target, f"{machine}/{side}/agent", f"{machine}/{side}/target")
            sides[side] = at
            receivers[at.agent_address] = agent
            receivers[at.target_address] = target
            if self._keeper is not None and self._resumes:
                self._keeper.restore_side(machine, side, at)
        coordinator = self._classes[self.flow.coordinator](
            record, sides, self.flow, self.topology.policy, self._simulation
        )
        if self._keeper is not None and self._resumes:
            self._keeper.restore_coordinator(machine, coordinator)
        self._simulation.add(coordinator, receivers)

    @abstractmethod
    def _request(self, machine: str, operation: str, point: str | None) -> str | None:
        """Ask for an operation of a machine, for a plan."""

    @abstractmethod
    def _would(self, machine: str, operation: str, point: str | None) -> str | None:
        """The answer that a machine would give."""

    def close(self) -> None:
        """Close all files. Closing twice is harmless."""
        self._space.close()
        while self._disks:
            self._disks.pop().close()
        while self._bases:
            self._bases.pop().close()
        if self._keeper is not None:
            self._keeper.close()
