"""The laboratory: machines with real disk images under one topology, in the deterministic simulation.

This is the package's public surface. Base images are opened read-only and never changed; everything that is written
lies under the work folder, one folder a machine. Component classes can be replaced by role name, which is how a seeded bug is
injected without touching the implementation. How the components are put together is in :mod:`.assembly`.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from .assembly import ROLES, Assembly
from .coordinator import Coordinator
from .disk import new_file
from .diskset import DiskSet
from .errors import UsageError
from .fleet import Fleet
from .plan import FAILOVERS, FORWARD
from .planrun import PlanRun
from .values import BLOCK, HOST_OPERATIONS, OPERATIONS, SIDES, TEST, Code, Point, Status, newest_app_point, other
from .vault import Answer, Situation
from .vm_host import VmHost

__all__ = ["ROLES", "Lab"]


class Lab(Assembly):
    """A running system. Closing it closes all files; they stay in the work folder.

    Args:
        topology: path of a topology TOML file, or what was loaded from one.
        machines: disk images of each machine, opened read-only; sizes are positive multiples of 4096 bytes.
        workdir: folder for everything that is written; must not hold these machines already.
        seed: decides every delay and every generated id, so that the same calls give the same run; the bytes of
            encrypted frames and stores differ all the same, since keys are new each time.
        sync: force each tracked write to stable storage before it is acknowledged. By default nothing is forced: what
            the operating system has not written yet when the real host fails is then lost.
        durable: keep everything that must survive, so that the system outlives the program: each event is durable before
            anybody hears of it, control state in SQLite files (``vault``, ``primary``, ``recovery``).
        resume: go on with the durable system in the work folder, after the program has ended or crashed: all machines have
            lost power, and have it again, and runs of plans go on. Give the same topology and images, and the hooks.
        down: faults that are not over when the system is resumed, such as a site without power.
        storage: where a durable system is kept, in place of files in the work folder.
        reproducible: derive the keys from the seed as well. For tests alone: it uses a key again for other content.
        network: how often the network delivers late copies of messages, and how late.
        least_log: bytes that a machine's change logs may always take, however small its disks; beyond that, and beyond
            half of its disks, a resynchronisation is required.
        components: component classes by role name, in place of the built-in ones.
        groups: replication groups by name: machines with recovery points in common.
        plans: recovery plans.
        hooks: what carries out the scripts of plans, by name.
        freezers: the freeze hooks of workloads, by machine (:mod:`.freezing`).

    Raises:
        TopologyError: the topology cannot be used; UnknownFlowError if its flow is not implemented.
        UsageError: a machine, an image, a role, a group, a plan or the work folder is wrong; an image of a durable system lies
            in the work folder, which is swept when it is resumed.
    """

    def _machine(self, machine: str) -> Coordinator:
        if self._keeper is not None:
            self._keeper.refuse_if_stopped()
        found = self._simulation.coordinators.get(machine)
        if found is None:
            known = ", ".join(sorted(self._simulation.coordinators))
            raise UsageError(f"machine '{machine}' is not known; known: {known}")
        return found

    def _host(self, machine: str, side: str) -> VmHost:
        if side not in SIDES:
            raise UsageError(f"side '{side}' is not known; primary or recovery expected")
        return self._machine(machine).sides[side].host

    # --------------------------------------------------------------------------------------------------- operations

    def request(
        self, machine: str, operation: str, point: str | None = None, request_id: str | None = None
    ) -> str | None:
        """Ask for an operation. A retry with the same ``request_id`` is the same request.

        Returns:
            ``None`` when accepted, else the reason code; then nothing has changed.

        Raises:
            UsageError: no such machine, or the id was given to another request.
        """
        return self._request(machine, operation, point, request_id, alone=True)

    def _request(
        self, machine: str, operation: str, point: str | None, request_id: str | None = None, *, alone: bool = False
    ) -> str | None:
        """``alone``: asked for this machine alone, and not by a plan. Then what fails over waits for no boot group."""
        coordinator = self._machine(machine)
        answered, answer = self._vault.answer_given(machine, request_id, operation, point)
        if answered:
            return answer
        answer = self._judged(coordinator, operation, point)
        with self._simulation.event():
            self._vault.remember(machine, request_id, Answer(operation, point, answer))
            if answer is None:
                if alone and operation in FAILOVERS:
                    coordinator.let_go()
                coordinator.begin(operation, point, self._simulation.now)
                self._simulation.kick(machine)
        return answer

    def _would(self, machine: str, operation: str, point: str | None) -> str | None:
        return self._judged(self._machine(machine), operation, point)

    def _judged(self, coordinator: Coordinator, operation: str, point: str | None) -> str | None:
        record = coordinator.record
        if operation not in (*OPERATIONS, *HOST_OPERATIONS):
            return Code.NOT_SUPPORTED
        situation = Situation(
            source_running=coordinator.sides[record.active].host.guest.running,
            connected=self._simulation.data_path(),
            target_up=self._simulation.up(other(record.active)),
            active_up=self._simulation.up(record.active),
            points=frozenset(p.id for p in coordinator.points),
            app_point=newest_app_point(coordinator.points) is not None,
        )
        return self._vault.judge(record, operation, point, situation)

    @property
    def fleet(self) -> Fleet:
        """Groups and plans.

        Raises:
            UsageError: there are none.
        """
        if self._simulation.fleet is None:
            raise UsageError("this laboratory has neither replication groups nor recovery plans; give them when it is made")
        return self._simulation.fleet

    def run_plan(
        self, plan: str, operation: str, direction: str = FORWARD, point: str | None = None, request_id: str | None = None
    ) -> str | None:
        """Run a recovery plan; ``None`` when it has begun, else the reason code. See :mod:`.planrun`. A retry with the same
        ``request_id`` is the same request.

        Raises:
            UsageError: no such plan or direction, or the id was given to another request for the plan.
        """
        with self._simulation.event():
            return self.fleet.run(plan, operation, direction, point, request_id)

    def plan_run(self, plan: str) -> PlanRun | None:
        """The last run of a plan."""
        return self.fleet.runs.get(plan)

    def resume_plan(self, plan: str, manual_id: str | None = None) -> bool:
        """A plan's manual action has been done; ``False`` when it waits for none. With the id of the action (``manual_id`` of
        :meth:`plan_run`), confirming it again is the same confirmation, and confirms no later one.
        """
        with self._simulation.event():
            return self.fleet.resume(plan, manual_id)

    # -------------------------------------------------------------------------------------------------- environment

    def write(
        self, machine: str, side: str, disk: int, block: int, data: bytes, cached: bool = False
    ) -> bool:
        """The workload at a side writes one block of 4096 bytes; a cached write is only issued. ``False`` means refused.
        The side ``test`` is the copy of a test failover; without one it refuses.

        Raises:
            OSError: the store cannot take it; the write is not acknowledged.
        """
        if len(data) != BLOCK:
            raise UsageError(f"write of {len(data)} bytes; exactly {BLOCK} expected")
        if side == TEST:
            copy = self._machine(machine).copy
            with self._simulation.event():
                return copy is not None and copy.write(disk, block, data, cached=cached)
        host = self._host(machine, side)
        while host.frozen and self._simulation.step():
            """A barrier holds the write back until it is over."""
        try:
            done = host.write(disk, block, data, cached=cached, now=self._simulation.now)
        except OSError:
            self._simulation.in_doubt(machine)
            self._simulation.keep()
            raise
        except UsageError:
            raise
        except BaseException:
            self._simulation.stop()
            raise
        with self._simulation.event():
            if done and not cached:
                self._simulation.kick(machine)
        return done

    def start_machine(self, machine: str, side: str) -> bool:
        """Somebody powers the machine on at a side. ``False`` means refused."""
        with self._simulation.event():
            host = self._host(machine, side)
            if host.authority and host.powered:
                host.held = False  # somebody has decided not to wait for a plan
            started = host.start()
            if started:
                self._simulation.kick(machine)
        return started

    def jump_clock(self, side: str, seconds: float) -> None:
        """The clock of a site jumps, forward or back. Virtual time, by which everything is decided, does not."""
        for machine in self._simulation.coordinators:
            for log in self._host(machine, side).agent.files():
                log.clock += seconds

    def damage(self, machine: str, side: str, disk: int, block: int) -> bool:
        """The disk under a block of a side goes bad: a bit of it turns. ``False``: nothing has been written there that could.
        Who reads the block hears of it; a resynchronisation sends it anew.
        """
        return self._host(machine, side).disks.damage(disk, block, self._rng)

    def fault(self, kind: str) -> None:
        """A fault strikes: ``primary-site``, ``recovery-site``, ``link`` or ``gateway``; striking twice is once. Or
        ``change-log``: bytes of every machine's change log at its active side turn, if it keeps one.
        """
        with self._simulation.event():
            self._simulation.fault(kind)

    def heal(self, kind: str) -> None:
        """A fault is over. There is nothing to heal in a change log: see ``RepairReplication``."""
        with self._simulation.event():
            self._simulation.heal(kind)

    # --------------------------------------------------------------------------------------------------------- time

    @property
    def stopped(self) -> bool:
        """Whether a kept system has stopped, since it could not make an event durable; it has to be resumed."""
        return self._keeper is not None and self._keeper.stopped

    @property
    def now(self) -> float:
        """Virtual time in seconds since the start."""
        return self._simulation.now

    def advance(self, seconds: float) -> None:
        """Let virtual time pass."""
        if not seconds >= 0:
            raise UsageError(f"advance by {seconds} seconds; a number of at least 0 expected")
        self._simulation.advance(seconds)

    def step(self) -> bool:
        """Run the next internal event, letting time pass up to it; ``False`` when nothing is scheduled."""
        return self._simulation.step()

    def step_until(self, moment: float) -> bool:
        """Run the next internal event if it falls due by a moment of virtual time, else let time pass until then. Whoever lets
        time pass so sees everything when it happens; ``False`` when the moment is reached.
        """
        return self._simulation.step_until(moment)

    def settle(self, limit_seconds: float = 86400) -> bool:
        """Let time pass until nothing moves any more. ``True`` when that was reached within the limit."""
        return self._simulation.settle(limit_seconds)

    # -------------------------------------------------------------------------------------------------- observation

    def status(self, machine: str) -> Status:
        """What the system says about a machine."""
        coordinator = self._machine(machine)
        return self._vault.status(coordinator.record, tuple((p.id, p.kind) for p in coordinator.points))

    def common_points(self, machine: str) -> tuple[Point, ...]:
        """The advertised points of a machine that belong to common points of its replication group, oldest first."""
        return tuple(p for p in self._machine(machine).points if p.group)

    def machine_kind(self, machine: str) -> str:
        """What kind of machine it is at primary; a physical one comes back as a VMware machine (P2A-5)."""
        return self._machine(machine).record.machine_kind

    def running(self, machine: str, side: str) -> bool:
        """Whether the guest really executes at a side, or (``test``) the copy of a test failover does."""
        if side == TEST:
            copy = self._machine(machine).copy
            return copy is not None and copy.guest.running
        return self._host(machine, side).guest.running

    def _locate(self, machine: str, where: str) -> tuple[DiskSet, int | None]:
        coordinator = self._machine(machine)
        if where in SIDES:
            return coordinator.sides[where].host.disks, None
        if where == TEST:
            if coordinator.copy is None:
                raise UsageError(f"machine '{machine}' has no test failover")
            return coordinator.copy.disks, None
        at = coordinator.record.points_at
        point = coordinator.sides[at].target.find(where) if at is not None else None
        if point is None or at is None:
            raise UsageError(f"recovery point '{where}' of machine '{machine}' is not advertised")
        return coordinator.sides[at].host.disks, point.position

    def read(self, machine: str, where: str, disk: int, offset: int, length: int) -> bytes:
        """Content of a recovery point (``where`` is its id), of the live disk of a side, or of the copy of a test failover
        (``test``).
        """
        disks, position = self._locate(machine, where)
        return disks.read(disk, offset, length, position)

    def restore(self, machine: str, point: str, disk: int, to: Path) -> None:
        """Write a point's disk as a raw, sparse image. The file must not exist yet; it appears under its name when it is whole
        and on stable storage, and not at all after an error.
        """
        disks, position = self._locate(machine, point)
        disks.read(disk, 0, 0)
        with new_file(Path(to)) as file:
            for offset, data in disks.extents_with_data(disk, position):
                file.seek(offset)
                file.write(data)
            file.truncate(disks.sizes[disk])

    def hrl_files(self, machine: str) -> list[Path]:
        """The machine's change logs that exist now, on both sides."""
        sides = self._machine(machine).sides
        return [path for side in SIDES for log in sides[side].agent.files() for path in log.files()]

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
