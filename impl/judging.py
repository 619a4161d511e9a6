"""The verdict on a play: what must be there, and whether it is, judged from what anybody can see.

Rules:

* what must be there is kept by a :class:`~siteproof.impl.ledger.Ledger` for each machine, from acknowledgements alone;
* whenever another side becomes the machine its disks are read whole, before anything is written there. It must hold exactly one
  prefix of what was acknowledged: after a planned failover all of it; after an unplanned one exactly what the point holds that
  it says it used, and that was asked for; if the newest was, at least what any point held that was ever advertised; and no more
  than it says it received. A loss that is reported must be the true one;
* so it is with the copy of a test failover, which holds what a point holds, and with a change of point;
* a point is read whole when it is seen first, and holds the same as long as it is advertised: it is read again whenever another
  side becomes the machine or another point is taken, and at the end. Points hold more and more;
* a point may go when it is too old for the retention, and when its failover is committed, a resynchronisation is done or
  replication ends. The newest stays, so does the one that the copy of a test failover was made from, and every point does while a
  failover is not committed or a resynchronisation not done;
* at the end the side that is the machine must hold exactly what was acknowledged on its branch, and run, and run alone. It need
  not run where its site is down, or where a planned failover or a plan has failed or waits: those leave it stopped, and say so;
* a job that nothing holds up, neither a fault nor a plan, has to come to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from .group import ReplicationGroup
from .lab import Lab
from .ledger import Found, Ledger
from .plan import LATEST_COMMON
from .planrun import PlanRun, RunState
from .retention import ALL_WITHIN
from .scenario import Scenario
from .simulation import CHANGE_LOG
from .values import APP_CONSISTENT, LATEST_APP_CONSISTENT, TEST, Operation, Point, Status, counted, other

__all__ = ["Judge", "MachineOutcome", "Outcome", "Unlike"]

NEWEST = (None, "latest", "latest-processed")
PENDING = ("planned", "unplanned")


@attrs.frozen(slots=True)
class MachineOutcome:
    """What became of a machine: the side that is it, and its writes."""

    machine: str
    active: str
    acknowledged: int
    """Writes that were acknowledged in all."""
    kept: int
    """Writes that the surviving side holds."""
    lost: int
    """Writes that failovers have discarded, each of them acknowledged on a side that did not survive."""
    points: int


@attrs.frozen(slots=True)
class Outcome:
    """The verdict: ``holds`` when nothing was found to be wrong."""

    holds: bool
    findings: tuple[str, ...]
    machines: tuple[MachineOutcome, ...]
    proofs: int
    """How often disks were read back whole, and were right."""
    seconds: float
    """Virtual time."""


class Unlike(Exception):
    """The scenario has gone another way than it says, or nothing that follows can be judged."""


@attrs.frozen(slots=True)
class _Pin:
    """What a point held when it was seen first, and when it cannot have existed yet (virtual seconds)."""

    writes: int | None
    since: float


class Judge:
    """Judges one play; ``tell`` takes the kind of an event, its text, and the machine."""

    def __init__(
        self, lab: Lab, scenario: Scenario, ledgers: Mapping[str, Ledger], tell: Callable[[str, str, str], None]
    ) -> None:
        self.findings: list[str] = []
        self.proofs = 0
        self.step = 0
        """The step that is played; 0 at the end."""
        self.faults: set[str] = set()
        """Faults that are not over."""
        self.looked_at = 0.0
        """When every machine was looked at last."""
        self.off: set[str] = set()
        """Machines that have been left stopped for somebody to start."""
        self._lab = lab
        self._scenario = scenario
        self._ledgers = ledgers
        self._tell = tell
        self._pins: dict[str, dict[str, _Pin]] = {machine: {} for machine in ledgers}
        self._wanted: dict[str, str | None] = {}
        """The point that the last failover, or test of one, was asked for."""
        self._floor: dict[str, int] = {}
        """Writes that it must keep if it was asked for the newest point, of all or of those in common."""
        self._copied: dict[str, set[str]] = {}
        """The points that hold what the copy of a test failover held when it began."""
        self._interval = scenario.topology.policy.crash_consistent_minutes * 60
        hours = scenario.topology.policy.retention_hours
        self._least_age = min(hours * 3600, ALL_WITHIN) if lab.flow.thins_points else hours * 3600

    def found(self, text: str, machine: str = "") -> None:
        """Tell something that is wrong, and keep it for the verdict."""
        self.findings.append(f"step {self.step}: {f'{machine}: ' if machine else ''}{text}" if self.step else text)
        self._tell("finding", text, machine)

    def proved(self, text: str, machine: str) -> None:
        """Tell that content was read back and is right."""
        self.proofs += 1
        self._tell("proof", text, machine)

    def _held(self, machine: str, where: str, *, former: bool = False) -> Found:
        def read(disk: int, offset: int, length: int) -> bytes:
            return self._lab.read(machine, where, disk, offset, length)

        return self._ledgers[machine].find(read, former=former)

    # ------------------------------------------------------------------------------------------------ what is told

    def wants(self, machine: str, point: str | None, *, in_common: bool = False) -> None:
        """A failover or a test of one was asked for, to a point; ``in_common``: by a plan, which takes for the members of a
        group the newest point of a kind that all of them have.
        """
        now = self._lab.status(machine)
        if point == LATEST_APP_CONSISTENT:
            group = self._lab.fleet.group_of(machine) if in_common else None
            common = None if group is None else {p.id for p in self._in_common(group, machine)}
            app = [p.id for p in now.points if p.kind == APP_CONSISTENT and (common is None or p.id in common)]
            point = app[-1] if app else point
        self._wanted[machine] = point
        sure = self._newest_common(machine) if point == LATEST_COMMON else None
        self._floor[machine] = self._sure(machine, now) if sure is None else sure

    def _newest_common(self, machine: str) -> int | None:
        """What the machine held at the newest point that its group has in common."""
        group = self._lab.fleet.group_of(machine)
        if group is None:
            return None
        pins = [self._pins[machine].get(p.id) for p in self._in_common(group, machine)]
        held = [pin.writes for pin in pins if pin is not None and pin.writes is not None]
        return max(held, default=None)

    @staticmethod
    def _in_common(group: ReplicationGroup, machine: str) -> list[Point]:
        """The points of a machine that its group has in common, oldest first."""
        common = set.intersection(*({p.group for p in coordinator.points if p.group} for coordinator in group.members.values()))
        return [p for p in group.members[machine].points if p.group in common]

    def plan_is_at(self, run: PlanRun) -> None:
        """A plan's run has ended or waits: if it is not done, what has moved may be left stopped."""
        if run.state is RunState.DONE:
            self.off.difference_update(run.plan.machines)
        else:
            self.off.update(run.plan.machines)

    # -------------------------------------------------------------------------------------------------- one machine

    def look(self, machine: str, before: Status, now: Status) -> None:
        """A machine shows something else than before.

        Raises:
            Unlike: nothing that follows could be judged.
        """
        self._judge_retention(machine, before, now)
        moved = now.active != before.active
        if moved:
            self.off.discard(machine)
            self._failed_over(machine, now)
        elif before.job == Operation.CHANGE and now.job is None:
            self._changed_point(machine, now)
        elif before.job == Operation.PLANNED and now.job is None:
            self.off.add(machine)
        for point in now.points:
            if point.id not in self._pins[machine]:
                self._pin(machine, point.id, now)
        if moved or (before.job == Operation.CHANGE and now.job is None):
            self._points_still_hold(machine, now)
        if now.test != before.test and now.test == "running":
            self._tested(machine, now)
        if now.loss is not None and before.loss is None:
            self._compare_loss(machine, now.loss)

    def _pin(self, machine: str, point: str, now: Status) -> None:
        found = self._held(machine, point, former=now.failover in PENDING)
        # A common point is older than its first sight: it is cut at its barrier, and advertised when all that it has to hold has
        # arrived at every member. The group waits for that until the next barrier is due at most.
        grouped = any(machine in members for members in self._scenario.groups.values())
        earlier = self._interval if grouped else 0
        self._pins[machine][point] = _Pin(found.writes, self.looked_at - earlier)
        if found.writes is None:
            self.found(f"recovery point {point} is no prefix: {found.reason}", machine)

    def _sure(self, machine: str, now: Status) -> int:
        """The most writes that any point held when it was seen first, of those that are or were to be used now."""
        pins = [self._pins[machine].get(point.id) for point in now.points]
        return max((pin.writes for pin in pins if pin is not None and pin.writes is not None), default=0)

    def _judge_retention(self, machine: str, before: Status, now: Status) -> None:
        left = {point.id for point in now.points}
        gone = [point.id for point in before.points if point.id not in left]
        if now.test == before.test == "running" and not self._copied.get(machine, left) & left:
            self.found("the point that the copy of its test failover was made from is gone", machine)
            self._copied[machine] = left
        same = (before.active, before.failover, before.direction) == (now.active, now.failover, now.direction)
        if not gone or not same:
            return
        if now.failover in PENDING:
            self.found(f"recovery point {gone[0]} is gone, and the failover is not committed", machine)
        elif before.resync != "none":
            if now.resync != "none":
                self.found(f"recovery point {gone[0]} is gone, and the resynchronisation is not done", machine)
        elif before.protection == now.protection == "protected":
            pins = self._pins[machine]
            early = [point for point in gone if point in pins and self._lab.now - pins[point].since <= self._least_age]
            if early:
                age = self._lab.now - pins[early[0]].since
                self.found(f"recovery point {early[0]} is gone after at most {age:g} s; retention keeps it longer", machine)
            elif before.points[-1].id in gone and left <= {point.id for point in before.points}:
                self.found(f"the newest recovery point {gone[-1]} is gone", machine)

    def _failed_over(self, machine: str, now: Status) -> None:
        ledger = self._ledgers[machine]
        found = self._held(machine, now.active)
        if found.writes is None:
            self.found(f"{now.active} is the machine, and its disks are no prefix: {found.reason}", machine)
            raise Unlike("nothing that follows could be judged")
        kept, of = found.writes, len(ledger.writes)
        wrong = len(self.findings)
        if now.failover == "unplanned":
            self._judge_choice(machine, now, kept)
        elif kept != of:
            self.found(f"a planned failover kept {kept} of {counted(of, 'acknowledged write')}", machine)
        if len(self.findings) == wrong:
            of_all = counted(of, "acknowledged write")
            self.proved(f"read back whole: {now.active} holds exactly the first {kept:,} of {of_all}", machine)
        ledger.branch(kept)
        self._floor.pop(machine, None)

    def _judge_choice(self, machine: str, now: Status, kept: int) -> None:
        """Whether an unplanned failover that has kept so many writes took the point that was asked for."""
        of, wanted = len(self._ledgers[machine].writes), self._wanted.get(machine)
        if now.failover_point is not None:
            point = self._held(machine, now.failover_point)
            if point.writes != kept:
                used = f"{now.failover_point}, which it says it used, holds {point.writes}"
                self.found(f"it holds {counted(kept, 'write')}; {used}", machine)
        if wanted in NEWEST:
            self._floor[machine] = max(self._floor.get(machine, 0), self._sure(machine, now))
        self._judge_wanted(machine, "it", kept, of)
        if now.received is not None and kept > now.received:
            self.found(f"it holds {counted(kept, 'write')} and says that it received {now.received}", machine)

    def _judge_wanted(self, machine: str, what: str, kept: int, of: int) -> None:
        wanted, floor, pins = self._wanted.get(machine), self._floor.get(machine, 0), self._pins[machine]
        if wanted in NEWEST or wanted == LATEST_COMMON:
            if kept < floor:
                self.found(f"{what} holds {kept} of {counted(of, 'acknowledged write')}; {floor} had been replicated", machine)
        elif wanted in pins and kept != pins[wanted].writes:
            asked = f"{wanted}, which was asked for, {pins[wanted].writes}"
            self.found(f"{what} holds {counted(kept, 'write')}; {asked}", machine)

    def _changed_point(self, machine: str, now: Status) -> None:
        found = self._held(machine, now.active, former=True)
        point = None if now.failover_point is None else self._held(machine, now.failover_point, former=True).writes
        if found.writes is None or found.writes != point:
            self.found(f"set back to {now.failover_point}, and holds {found.writes} writes, not {point}: {found.reason}", machine)
            raise Unlike("nothing that follows could be judged")
        writes = counted(found.writes, "write")
        self.proved(f"read back whole: {now.active} holds exactly the {writes} of {now.failover_point}", machine)
        self._ledgers[machine].change(found.writes)

    def _tested(self, machine: str, now: Status) -> None:
        found = self._held(machine, TEST)
        self._copied[machine] = {p.id for p in now.points if self._pins[machine][p.id].writes == found.writes}
        if found.writes is None:
            self.found(f"the copy of the test failover is no prefix: {found.reason}", machine)
        elif not self._copied[machine]:
            writes = counted(found.writes, "write")
            self.found(f"the copy of the test failover holds {writes}, and no advertised point does", machine)
        else:
            wrong = len(self.findings)
            self._judge_wanted(machine, "the copy of the test failover", found.writes, len(self._ledgers[machine].writes))
            if len(self.findings) > wrong:
                return
            writes = counted(found.writes, "acknowledged write")
            self.proved(f"read back whole: the copy holds exactly the first {writes}", machine)

    def _compare_loss(self, machine: str, loss: int) -> None:
        ledger = self._ledgers[machine]
        truth = len(ledger.former) - ledger.kept
        if loss != truth:
            self.found(f"reports a loss of {counted(loss, 'write')}; {truth} were lost", machine)
        else:
            self.proved(f"the reported loss, {counted(loss, 'write')}, is the true one", machine)

    def _points_still_hold(self, machine: str, now: Status) -> list[int]:
        """Read every advertised point again; what each holds that is a prefix, oldest first."""
        held = []
        for point in now.points:
            found, pin = self._held(machine, point.id, former=now.failover in PENDING), self._pins[machine][point.id].writes
            if found.writes is not None:
                held.append(found.writes)
            if pin is not None and found.writes != pin:
                holds = f"is no prefix now: {found.reason}" if found.writes is None else f"holds {found.writes} now"
                self.found(f"recovery point {point.id} held {counted(pin, 'write')} when it was seen first, and {holds}", machine)
        return held

    def compare_groups(self) -> None:
        """Members that a plan has failed over to their common point hold what they all held at one instant."""
        for name, members in self._scenario.groups.items():
            ledgers = [self._ledgers[member] for member in members]
            if any(self._lab.status(member).failover != "unplanned" for member in members):
                continue
            if Ledger.one_instant([(ledger.former, ledger.kept) for ledger in ledgers]):
                self.proved(f"group {name}: its machines hold what they held at one instant", "")
            else:
                self.found(f"group {name}: a machine lacks a write that was acknowledged before one that another machine holds")

    # ------------------------------------------------------------------------------------------------------ verdict

    def verdict(self, total: Mapping[str, int]) -> Outcome:
        """Judge what there is at the end; ``total``: acknowledged writes by machine."""
        machines = []
        for machine, ledger in self._ledgers.items():
            status, of = self._lab.status(machine), len(ledger.writes)
            found = self._held(machine, status.active)
            if found.writes != of:
                what = found.reason or f"it holds {found.writes}"
                self.found(f"{machine}: {status.active} must hold {counted(of, 'write')}; {what}")
            else:
                self.proved(f"{status.active} holds exactly the {counted(of, 'write')} that it must hold", machine)
            self._judge_power(machine, status)
            self._judge_points(machine, status)
            machines.append(
                MachineOutcome(machine, status.active, total[machine], found.writes or 0, ledger.lost, len(status.points))
            )
        self._judge_groups()
        return Outcome(not self.findings, tuple(self.findings), tuple(machines), self.proofs, self._lab.now)

    def _judge_power(self, machine: str, status: Status) -> None:
        if self._lab.running(machine, other(status.active)):
            self.found(f"{machine}: {other(status.active)} runs, and is not the machine")
        if status.job is not None:
            runs = self._lab.fleet.runs.values() if self._scenario.plans else ()
            if not self.faults - {CHANGE_LOG} and not any(not run.over and machine in run.plan.machines for run in runs):
                self.found(f"{machine}: {status.job} is stuck: nothing moves any more, and it has not ended")
        elif not self._lab.running(machine, status.active):
            if machine not in self.off and f"{status.active}-site" not in self.faults:
                self.found(f"{machine}: {status.active} is the machine, and does not run")

    def _judge_points(self, machine: str, status: Status) -> None:
        wrong = len(self.findings)
        for point in status.points:
            if point.id not in self._pins[machine]:
                self._pin(machine, point.id, status)
        held = self._points_still_hold(machine, status)
        if held != sorted(held):
            self.found(f"{machine}: recovery points are not in the order of their content: {held}")
        elif held and len(self.findings) == wrong:
            told = ("" if len(held) == 1 else f"{held[0]:,} to ") + counted(held[-1], "write")
            self.proved(f"every advertised point ({len(held)}) holds exactly a prefix: {told}", machine)

    def _judge_groups(self) -> None:
        """Every point that the members of a group have in common holds what they held at one instant."""
        for name, group in self._lab.fleet.groups.items() if self._scenario.groups else ():
            points: dict[str, list[tuple[str, str]]] = {}
            for member, coordinator in group.members.items():
                for point in coordinator.points:
                    if point.group:
                        points.setdefault(point.group, []).append((member, point.id))
            common = {barrier: places for barrier, places in points.items() if len(places) == len(group.members)}
            wrong = len(self.findings)
            for barrier, places in common.items():
                parts = []
                for member, point_id in places:
                    found = self._held(member, point_id)
                    parts.append((self._ledgers[member].writes, found.writes or 0))
                if not Ledger.one_instant(parts):
                    self.found(f"group {name}: common point {barrier} is not of one instant")
            if common and len(self.findings) == wrong:
                self.proved(f"group {name}: each of its common points ({len(common)}) is of one instant", "")
