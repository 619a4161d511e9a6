"""Test failover: a copy of the machine that runs at the passive side, by itself, made from a recovery point.

Rules:

* the copy is an *overlay* over its point: what it writes goes to a file of its own, and all it has of the replica is a
  view that can only be read. It knows no agent, no epoch and no address, so nothing that it writes can reach the
  replica, a point or the source; nothing but the points that are advertised decides what it is made from;
* its point is pinned as long as it exists: retention leaves it alone (P4);
* making it, running it and cleaning it up need the passive side's site only, and no more than the site's power;
* when that site loses power the copy stops, and loses what its guest had cached; it starts again with the power;
* cleaning up deletes the file with everything in it: nothing of it is ever sent anywhere.

==================  ===================================================================================================
TestFailover        choose the point (as an unplanned failover does), make the copy, start it
TestFailoverCleanup stop the copy, delete it
==================  ===================================================================================================

Requirements: GEN-16, GEN-17, H2S-22.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .control import Job, StepResult
from .diskset import DiskSet
from .replication import ReplicationControl
from .values import Point, other
from .vm_host import Guest

__all__ = ["IsolatedCopy", "TestFailoverSteps"]


class IsolatedCopy:
    """A guest on disks that belong to nobody else. Overridable: :meth:`store`."""

    def __init__(self, disks: DiskSet, delete: Callable[[DiskSet], None]) -> None:
        self.disks = disks
        self.guest = Guest()
        self.on = False
        """Whether the copy is meant to run: it does whenever its site has power."""
        self._delete = delete

    def head(self) -> dict[str, Any]:
        """What has to survive beside the disks; plain values."""
        return {"disks": self.disks.name, "on": self.on}

    def start(self) -> None:
        """Start the guest."""
        self.on = self.guest.running = True

    def stop(self) -> None:
        """Stop the guest for good; what it had cached is of no use to anybody."""
        self.on = False
        self.power_fail()

    def write(self, disk: int, block: int, data: bytes, *, cached: bool) -> bool:
        """Issue a write; a plain one flushes the cache before it. ``False`` when the guest does not run."""
        if not self.guest.running:
            return False
        self.disks.check(disk, block)
        cache = self.guest.cache
        if cached:
            cache.append((disk, block, data))
            return True
        while cache:
            self.store(*cache[0])
            cache.popleft()
        self.store(disk, block, data)
        return True

    def store(self, disk: int, block: int, data: bytes) -> None:
        """Put one write on the copy's disk."""
        self.disks.write(disk, block, data)

    def power_fail(self) -> None:
        """Power is gone: the guest stops, and its cache is lost."""
        self.guest.running = False
        self.guest.cache.clear()

    def power_up(self) -> None:
        """Power is back: the guest starts again if it is meant to run."""
        self.guest.running = self.on

    def delete(self) -> None:
        """Stop, and delete the disks with everything written to them."""
        self.stop()
        self._delete(self.disks)


class TestFailoverSteps(ReplicationControl):
    """Steps of ``TestFailover``, whose point is chosen as in :mod:`.failover`, and of its cleanup."""

    copy: IsolatedCopy | None = None
    """The copy, while there is one. It is at the passive side: no failover can happen while it exists."""

    holds_copy = False
    """Whether a copy that is made waits for its boot group of a recovery plan; it has to survive, as the host's does."""

    @property
    def copy_side(self) -> str:
        """Where the copy is, if there is one."""
        return other(self.record.active)

    def make_copy(self, side: str, point: Point) -> IsolatedCopy:
        """A copy of the machine at a side, with exactly the content of the point; it does not run yet."""
        disks = self.sides[side].host.disks
        return IsolatedCopy(disks.overlay("test", point.position), disks.remove)

    def step_make_copy(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Make the copy and pin its point."""
        side = other(self.record.active)
        if not self.reach.up(side) or job.chosen is None:
            return StepResult.WAIT
        self.copy = self.make_copy(side, job.chosen)
        self.record.test_point = job.chosen.id
        return StepResult.DONE

    def step_start_copy(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Start the copy: from here on a test failover waits for its cleanup. A recovery plan may hold it for its boot group."""
        if self.holds_copy or self.copy is None or not self.reach.up(other(self.record.active)):
            return StepResult.WAIT
        self.copy.start()
        self.record.test = "running"
        return StepResult.DONE

    def step_stop_copy(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Stop the copy."""
        if self.copy is None or not self.reach.up(other(self.record.active)):
            return StepResult.WAIT
        self.copy.stop()
        return StepResult.DONE

    def step_delete_copy(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
        """Delete the copy; its point is free again."""
        if self.copy is None or not self.reach.up(other(self.record.active)):
            return StepResult.WAIT
        self.copy.delete()
        self.copy = None
        self.record.test = "none"
        self.record.test_point = None
        return StepResult.DONE

    def let_go(self) -> None:
        """What comes up at the passive side waits for no boot group of a recovery plan."""
        self.holds_copy = False
        self.sides[other(self.record.active)].host.held = False

    # ------------------------------------------------------------------------------------------------------ power

    def power_fail(self, side: str) -> None:
        """A site loses power, with everything of the machine that runs there."""
        self.sides[side].host.power_fail()
        if self.copy is not None and side != self.record.active:
            self.copy.power_fail()

    def power_up(self, side: str) -> None:
        """A site has power again: what ran there may start by itself."""
        self.sides[side].host.power_up()
        if self.copy is not None and side != self.record.active:
            self.copy.power_up()
