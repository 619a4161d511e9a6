"""The host of a machine on one side, and the guest on it: power, cached writes, and what the side durably believes.

Durable on the host: the epoch it has learned, whether it believes to be the machine (``authority``), how many writes
have been acknowledged since the disk was first attached (``acknowledged``), and whether the guest was running when
power failed. Volatile: the guest and its cache. Truth (``running``) and belief (``authority``) are different variables.

*Durable* means that no simulated fault takes it away. In a system that is kept (:mod:`.keeping`) it also outlives the
program: then each event is durable before anybody hears of it. Otherwise only change logs and disks are files, and whether
their bytes are forced to stable storage is decided by the ``sync`` option of the laboratory.

Rules:

* a write is acknowledged only when it is on the disk *and* tracked, if tracking is on (P9); cached writes reach the
  disk first in, first out, on the next plain write or at an orderly stop, and are lost when power fails. One leaves the
  cache only when it is acknowledged;
* if the disk or the log refuses a write, it is not acknowledged, and what was tracked is in doubt: a resynchronisation
  is required, which drops the logs, so that the number may be given to the next write;
* a guest starts only where the host believes to be the machine; whoever has not been told otherwise believes it still,
  which is why an old source may come back running;
* applications are frozen for an app-consistent point by a hook of the workload's; then the cache is flushed (:mod:`.freezing`);
* *fencing* stops the guest at once, takes the authority away and teaches the new epoch, all in one durable step (P3).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from .agent import ReplicationAgent
from .diskset import DiskSet
from .errors import StoppedError

__all__ = ["Freezer", "Guest", "VmHost"]


class Freezer(Protocol):
    """The freeze hook of a machine's workload."""

    def freeze(self, machine: str) -> bool:
        """Bring everything that applications hold in memory to the disk, and write nothing until :meth:`thaw`.

        Returns:
            Whether it came about. :meth:`thaw` follows in any case.
        """

    def thaw(self, machine: str) -> None:
        """Go on."""


class Guest:
    """The workload's operating system: running or not, with a first-in-first-out cache of writes."""

    def __init__(self) -> None:
        self.running = False
        self.cache: deque[tuple[int, int, bytes]] = deque()


class VmHost:
    """One side of one machine. Overridable: :meth:`flush_on_stop`, :meth:`fence`, :meth:`starts_on_power_up`."""

    def __init__(self, machine: str, side: str, disks: DiskSet, agent: ReplicationAgent, *, authority: bool) -> None:
        self.machine = machine
        self.side = side
        self.disks = disks
        self.agent = agent
        self.guest = Guest()
        self.authority = authority
        self.epoch = 1 if authority else 0
        self.acknowledged = 0
        self.powered = True
        self.was_running = False
        self.held = False
        """Whether the guest waits for its boot group of a recovery plan: it starts when it is let go."""
        self.frozen = False
        """Whether acknowledgements are held back by the barrier of a replication group; volatile."""
        self._quiet = False
        self.freezer: Freezer | None = None
        """The workload's freeze hook; without one, what applications write is on the disk as far as the guest has flushed it."""

    def head(self) -> dict[str, Any]:
        """What has to survive; plain values. The guest and its cache do not, but whether it ran does."""
        return {
            "authority": self.authority, "epoch": self.epoch, "acknowledged": self.acknowledged,
            "ran": self.guest.running if self.powered else self.was_running, "held": self.held,
        }  # fmt: skip

    def restore(self, head: Mapping[str, Any]) -> None:
        """Become what was kept; the power is off."""
        self.authority, self.epoch, self.acknowledged = head["authority"], head["epoch"], head["acknowledged"]
        self.was_running, self.held = head["ran"], head["held"]
        self.powered = False
        self.power_off()

    # ---------------------------------------------------------------------------------------------------- writes

    def write(self, disk: int, block: int, data: bytes, *, cached: bool, now: float) -> bool:
        """Issue a write; a plain one flushes the cache before it. ``False`` when the guest does not run."""
        if not self.guest.running:
            return False
        self.disks.check(disk, block)
        if cached:
            self.guest.cache.append((disk, block, data))
            return True
        if self.guest.cache:
            self.flush(now)
        self.acknowledge(disk, block, data, now)
        return True

    def acknowledge(self, disk: int, block: int, data: bytes, now: float) -> None:
        """Put one write on the disk and into the change log, then count it as acknowledged."""
        number = self.acknowledged + 1
        try:
            self.agent.track(number, disk, block, data, now)
            self.disks.write(disk, block, data)
        except BaseException:
            self.agent.doubt()
            raise
        self.acknowledged = number

    def flush(self, now: float) -> None:
        """Bring all cached writes to the disk, first in, first out."""
        cache = self.guest.cache
        while cache:
            self.acknowledge(*cache[0], now)
            cache.popleft()

    def quiesce(self, now: float) -> bool:
        """Freeze the applications, then flush the guest's cache; whether both came about. :meth:`thaw` has to follow."""
        if not self.guest.running:
            return False
        self._quiet = True
        try:
            if self.freezer is not None and not self.freezer.freeze(self.machine):
                return False
            self.flush(now)
        except StoppedError:
            raise
        except Exception:  # noqa: BLE001 - a hook that fails, however it does, costs its machine this point, and nobody anything else
            return False
        return True

    def thaw(self) -> None:
        """The applications go on, if they were to stand still."""
        if self._quiet and self.freezer is not None:
            self.freezer.thaw(self.machine)
        self._quiet = False

    # ----------------------------------------------------------------------------------------------------- power

    def start(self) -> bool:
        """Start the guest if this host believes to be the machine, and no recovery plan holds it for its boot group."""
        if not self.powered or not self.authority or self.held:
            return False
        self.guest.running = True
        return True

    def flush_on_stop(self, now: float) -> None:
        """What an orderly stop does with cached writes: they are flushed."""
        self.flush(now)

    def stop(self, now: float) -> None:
        """Orderly stop of the guest."""
        if self.guest.running:
            self.flush_on_stop(now)
        self.guest.running = False
        self.guest.cache.clear()

    def power_off(self) -> None:
        """The guest stops at once; its cache is lost."""
        self.guest.running = self.frozen = False
        self.guest.cache.clear()

    def power_fail(self) -> None:
        """Power of the whole side is gone."""
        if self.powered:
            self.was_running = self.guest.running
            self.powered = False
            self.power_off()
            self.agent.power_fail()

    def starts_on_power_up(self) -> bool:
        """Auto-start: the guest ran when power failed, and nobody has told this host that it is not the machine."""
        return self.was_running and self.authority

    def power_up(self) -> None:
        """Power is back: logs are recovered from disk, then the guest may start by itself."""
        if not self.powered:
            self.powered = True
            self.agent.recover()
            if self.starts_on_power_up():
                self.start()
            self.was_running = False

    # --------------------------------------------------------------------------------------------------- authority

    def fence(self, epoch: int) -> bool:
        """Learn that another side is the machine: stop, give up authority, take over the epoch, stop tracking.

        Returns:
            Whether the guest was running.
        """
        ran = self.guest.running
        self.power_off()
        self.was_running = False
        self.authority = False
        self.epoch = max(self.epoch, epoch)
        self.agent.stop_tracking()
        return ran

    def take_over(self, epoch: int, acknowledged: int) -> None:
        """Become the machine: the branch continues after ``acknowledged`` writes, in a new epoch."""
        self.epoch = epoch
        self.authority = True
        self.acknowledged = acknowledged
        self.start()
