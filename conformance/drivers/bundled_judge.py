"""What somebody outside knows of a machine of the bundled implementation, and the judge who holds it to its word after a crash.

What is demanded is in the table of :mod:`~siteproof.conformance.drivers.bundled_crashes`. All of it is judged on the content of
disks and on the status that anybody can ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from siteproof.impl.lab import Lab
from siteproof.impl.values import BLOCK, PRIMARY, RECOVERY, Operation, Status, other

__all__ = ["MACHINE", "Broken", "Content", "Judge", "Known", "demand", "image_of", "with_block"]

Content = tuple[bytes, ...]
"""The bytes of all disks."""

MACHINE = "m"
_ENDS_POINTS = (Operation.COMMIT, Operation.DISABLE, Operation.MIGRATE, Operation.REPAIR)


class Broken(Exception):
    """A word that was not kept."""


@attrs.define
class Known:
    """What somebody outside knows of the machine. ``contents`` are the images of its timeline, one a write, from the last point
    that it was set back to; the first ``acked + 1`` of them hold acknowledged writes only.
    """

    contents: list[Content]
    acked: int = 0
    points: dict[str, Content] = attrs.Factory(dict)
    status: Status | None = None
    asked: str | None = None
    """The operation that was asked for last, while it may be running."""
    point: str | None = None
    test: list[Content] = attrs.Factory(list)
    test_acked: int = 0
    faults: set[str] = attrs.Factory(set)
    """Faults that are not over; they go on after the crash, for a while."""
    answered: tuple[str, str, str | None, str | None] | None = None
    """Id, operation and point of the request that was made last, and the answer to it, once there is one."""
    damaged: bool = False
    """Whether a change log has been damaged."""


def image_of(lab: Lab, where: str, sizes: Sequence[int]) -> Content:
    return tuple(lab.read(MACHINE, where, disk, 0, size) for disk, size in enumerate(sizes))


def with_block(content: Content, disk: int, block: int, data: bytes) -> Content:
    changed = content[disk][: block * BLOCK] + data + content[disk][(block + 1) * BLOCK :]
    return (*content[:disk], changed, *content[disk + 1 :])


def demand(holds: bool, text: str) -> None:
    if not holds:
        raise Broken(text)


class Judge:
    """Holds a system that has started again to its word. ``known`` is what was known before the crash, and is not changed."""

    def __init__(self, known: Known, sizes: Sequence[int]) -> None:
        self._known = known
        self._sizes = sizes
        self.seen = dict(known.points)
        """Content of every point that was seen."""

    def goes_on(self, lab: Lab, down: Sequence[str], started: Callable[[], None], *, crashed: bool = True) -> None:
        """The whole story after the crash, or (not ``crashed``) after an effect that failed in a system that goes on.

        Args:
            down: faults that are not over, and end in the middle of the story.
            started: called when the system has come to rest after its restart.
        """
        self.points(lab)
        self.settle(lab)
        started()
        if down:
            self.points(lab)
            self._take_over(lab, down)
            for fault in down:
                lab.heal(fault)
            self._one_side(lab)
            self.settle(lab)
        status = lab.status(MACHINE)
        demand(status.job is None, f"{status.job} is stuck")
        if not self._known.damaged:
            demand(status.resync == "none", "a crash alone has called for a resynchronisation")
        self.points(lab)
        live = self.live(lab, status)
        passive = other(status.active)
        demand(not lab.start_machine(MACHINE, passive), "the side that is not the machine can be started")
        self.copy(lab, status)
        self._home(lab, live, crashed=crashed)

    def settle(self, lab: Lab) -> None:
        """Let the system come to rest; there is one running side all the time."""
        self._one_side(lab)
        for _ in range(1000):
            if not lab.step():
                return
            self._one_side(lab)
        raise Broken("the system never comes to rest")

    def _one_side(self, lab: Lab) -> None:
        """Two running sides are possible after an unplanned failover without contact only: then the loss is not known."""
        status = lab.status(MACHINE)
        if lab.running(MACHINE, PRIMARY) and lab.running(MACHINE, RECOVERY):
            demand(status.failover != "planned", "two sides run after a planned failover")
            demand(status.loss is None, "two sides run although they are in contact")

    def points(self, lab: Lab) -> None:
        """Every point that was known is there and restores to what it was; a new one is a prefix."""
        status = lab.status(MACHINE)
        ids = {p.id for p in status.points}
        if self._known.asked not in _ENDS_POINTS:
            gone = sorted(self._known.points.keys() - ids)
            demand(not gone, f"point {', '.join(gone)} is gone")
        for name in sorted(ids):
            content = image_of(lab, name, self._sizes)
            if name in self.seen:
                demand(content == self.seen[name], f"point {name} does not restore to what it was")
            else:
                demand(content in self._known.contents, f"point {name} is no prefix")
                self.seen[name] = content

    def _take_over(self, lab: Lab, down: Sequence[str]) -> None:
        """The active site is dark: a protected machine can be failed over, where its flow offers that from here."""
        status, known = lab.status(MACHINE), self._known
        dark = f"{status.active}-site" in down and f"{other(status.active)}-site" not in down
        if dark and self._is_owed(lab, status):
            offered = Operation.UNPLANNED in status.allowed_operations
            demand(offered, "the active site is dark, and no unplanned failover is offered")
        if dark and Operation.UNPLANNED in status.allowed_operations:
            newest = status.points[-1].id
            answer = lab.request(MACHINE, Operation.UNPLANNED, "latest")
            demand(answer is None, f"the active site is dark, and an unplanned failover is refused: {answer}")
            self.settle(lab)
            status = lab.status(MACHINE)
            demand(status.failover == "unplanned" and status.job is None, "the unplanned failover is not done")
            live = image_of(lab, status.active, self._sizes)
            places = [n for n, content in enumerate(known.contents) if content == live]
            demand(bool(places) or live in self.seen.values(), "after the unplanned failover the machine is no prefix")
            if places and self.seen[newest] in known.contents:
                demand(places[-1] >= known.contents.index(self.seen[newest]), "less than the newest point was taken over")
            demand(lab.running(MACHINE, status.active), "the machine does not run after the unplanned failover")

    def _is_owed(self, lab: Lab, status: Status) -> bool:
        """Whether an unplanned failover has to be offered: the machine was protected and at rest before the crash, on this side,
        and its flow has one from here. Told by what was known before, and not by what the system says now (P22).
        """
        known = self._known
        before = known.status
        if before is None or known.asked is not None or known.damaged or not lab.flow.offers(Operation.UNPLANNED, status.active):
            return False
        at_rest = (before.protection, before.failover, before.test, before.job) == ("protected", "none", "none", None)
        return at_rest and before.active == status.active

    def live(self, lab: Lab, status: Status) -> Content:
        """The active side's image is what it may be."""
        known, live = self._known, image_of(lab, status.active, self._sizes)
        before = known.status
        point = self.seen.get(status.failover_point or "")
        was = (before.active, before.failover_point) if before is not None else (PRIMARY, None)
        if point is not None and (status.active, status.failover_point) != was:
            demand(live == point, "the machine is not what its point was")
        elif known.asked != Operation.CHANGE or live != point:
            demand(live in known.contents[known.acked :], "an acknowledged write is lost, or the image is no prefix")
        return live

    def copy(self, lab: Lab, status: Status) -> None:
        """The copy of a test failover holds its point and what was written to it."""
        known = self._known
        if status.test == "running":
            content = image_of(lab, "test", self._sizes)
            if known.test:
                demand(content in known.test[known.test_acked :], "the copy of the test failover has lost a write")
            else:
                demand(content in self.seen.values(), "the copy of the test failover is no point")
            demand(lab.running(MACHINE, "test"), "the copy of the test failover does not run")

    # ---------------------------------------------------------------------------------------------------- way home

    def _home(self, lab: Lab, live: Content, *, crashed: bool) -> None:
        """Bring the machine back to protected, and see that it is. A guest that did not crash may have writes in its cache,
        which an orderly stop or the next write brings to the disk.
        """
        for _ in range(12):
            status = lab.status(MACHINE)
            if not lab.running(MACHINE, status.active):
                demand(lab.start_machine(MACHINE, status.active), "the machine cannot be started")
            operation = _next_operation(status)
            if operation is None:
                break
            answer = lab.request(MACHINE, operation)
            demand(answer is None, f"on the way back {operation} is refused: {answer}")
            self.settle(lab)
            demand(lab.status(MACHINE).job is None, f"on the way back {operation} is stuck")
        else:
            raise Broken("the machine cannot be brought back to protected")
        status = lab.status(MACHINE)
        before = [live] if crashed else [live, *self._known.contents[self._known.acked :]]
        demand(image_of(lab, status.active, self._sizes) in before, "content changed on the way back")
        data = b"after the crash ".ljust(BLOCK, b"!")
        demand(lab.write(MACHINE, status.active, 0, 1, data), "the machine does not run")
        if status.failover == "completed":
            return
        self.settle(lab)
        lab.advance(301)
        self.settle(lab)
        newest = image_of(lab, lab.status(MACHINE).points[-1].id, self._sizes)
        demand(newest in [with_block(c, 0, 1, data) for c in before], "a point cut after the way back is not the image")


def _next_operation(status: Status) -> str | None:
    """What an operator asks for next, on the way back to protected; ``None`` when there is nothing left to do."""
    if status.failover == "completed":
        return None
    if status.test == "running":
        return Operation.CLEANUP
    if status.paused:
        return Operation.RESUME
    if status.resync == "required":
        return Operation.REPAIR
    if status.failover in ("planned", "unplanned"):
        return Operation.COMMIT
    if status.failover == "committed":
        return Operation.REVERSE if Operation.REVERSE in status.allowed_operations else Operation.PLANNED
    return Operation.ENABLE if status.protection == "none" else None
