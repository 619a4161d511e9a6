"""Seeded bugs of the bundled implementation: how good is the tester?

Each bug is a small override of one or two component classes, injected by the driver; the implementation stays clean. Each
tells the story it is drawn from, the requirement and the promise that it breaks (any of them may be what a run shows first),
the flows that it concerns, and the length of the shortest case that shows it. Those of what lies beside the main cycle are in
`bugs_beside`.

`siteproof run --driver bundled+switch-before-drain` selects one.
"""

from __future__ import annotations

from typing import Any

from siteproof.conformance.drivers.bugs_beside import BESIDE
from siteproof.conformance.drivers.bugs_common import AGENTS, COORDINATORS, H2S, TARGETS, V2A, Bug, everywhere
from siteproof.impl.agent import ReplicationAgent
from siteproof.impl.control import Job, StepResult
from siteproof.impl.coordinator import Coordinator, Provider
from siteproof.impl.messages import Ack, ChangeBatch, Message, Send
from siteproof.impl.process_server import ProcessServer
from siteproof.impl.target import ReplicationTarget
from siteproof.impl.values import Point, other
from siteproof.impl.vault import MachineRecord, Vault
from siteproof.impl.vm_host import VmHost

__all__ = ["BUGS", "Bug"]


class _SwitchesBeforeDrain(Provider):
    def step_stop_source(self, job: Job, now: float) -> StepResult:
        result = super().step_stop_source(job, now)
        if result is StepResult.DONE:
            result = self.step_planned_switch(job, now)
            job.step = len(self.steps(job.operation)) - 1
        return result

    def is_drained(self) -> bool:
        return True


class _AcknowledgesOnHandOver(ProcessServer):
    """Acknowledges a batch when it has it, and takes its time to send it on."""

    DELAY = 30

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.waiting: dict[tuple[str, int, int], int] = {}

    def receive(self, message: Message, now: float) -> list[Send]:
        route = self.routes.get(message.machine)
        if route is None or not isinstance(message, ChangeBatch):
            return super().receive(message, now)
        key = (message.machine, message.epoch, message.number)
        waited = self.waiting.get(key, 0)
        self.waiting[key] = waited + 1
        if not waited:
            self.forward(message, route)
            return [
                Send(route.agent, Ack(message.machine, message.epoch, message.number, message.last, ())),
                Send(self.name, message),
            ]
        return super().receive(message, now) if waited >= self.DELAY else [Send(self.name, message)]

    def crash(self) -> None:
        super().crash()
        self.waiting.clear()


def _no_fence(of: type[Coordinator]) -> type:
    class Unfenced(of):  # type: ignore[valid-type, misc]
        def contact(self) -> None:
            stale = self.record.stale
            if stale is not None and self.reach.in_contact():
                self.record.loss = self.count_loss(self.sides[stale].host)
                self.record.stale = None

    return Unfenced


def _ships_nothing(of: type[Coordinator]) -> type:
    class ShipsNothing(of):  # type: ignore[valid-type, misc]
        def step_prepare_reverse(self, job: Job, now: float) -> StepResult:  # noqa: ARG002
            if not self.reach.data_path() or self.record.stale is not None:
                return StepResult.WAIT
            source = self.sides[self.record.active]
            source.agent.start_tracking(self.record.epoch, source.host.acknowledged)
            self.open_session(self.record.active, received=source.host.acknowledged, fresh=False)
            return StepResult.DONE

    return ShipsNothing


def _latest_unprocessed(of: type[Coordinator]) -> type:
    class Unprocessed(of):  # type: ignore[valid-type, misc]
        def choose_point(self, job: Job, now: float) -> Point | None:
            target = self.sides[other(self.record.active)].target
            return target.points[-1] if job.point in (None, "latest") else super().choose_point(job, now)  # type: ignore[no-any-return]

    return Unprocessed


class _StopsBeforeFlush(Provider):
    def step_stop_source(self, job: Job, now: float) -> StepResult:
        self.sides[self.record.active].host.power_off()
        return super().step_stop_source(job, now)


def _commit_keeps(of: type[Coordinator]) -> type:
    class Keeps(of):  # type: ignore[valid-type, misc]
        def step_commit_second_half(self, job: Job, now: float) -> StepResult:
            kept = self.record.points_at
            result: StepResult = super().step_commit_second_half(job, now)
            if result is StepResult.DONE:
                self.record.points_at = kept
            return result

    return Keeps


def _points_stay(of: type[ReplicationTarget]) -> type:
    class Stay(of):  # type: ignore[valid-type, misc]
        def delete_points(self) -> None:
            """Keeps them at the active side; a replica's own, at the end of a resynchronisation, go."""
            if self.accepting:
                super().delete_points()

    return Stay


def _forgets_logs(of: type[ReplicationAgent]) -> type:
    class Forgets(of):  # type: ignore[valid-type, misc]
        def resend(self) -> list[Send]:
            for log in self._logs:
                log.reset()
            self.in_flight = None
            return []

    return Forgets


def _counts_from_received(of: type[Coordinator]) -> type:
    class Counts(of):  # type: ignore[valid-type, misc]
        def count_loss(self, host: VmHost) -> int:
            return host.acknowledged - (self.record.received or 0)

    return Counts


class _ReversesUncommitted(Vault):
    def lifecycle_code(self, record: MachineRecord, operation: str) -> str | None:
        code = super().lifecycle_code(record, operation)
        if operation == "ReverseReplicate" and record.failover != "none" and record.job is None:
            return None
        return code


BUGS: tuple[Bug, ...] = (
    Bug(
        "switch-before-drain",
        "failover and commit",
        "A planned failover stops the source and switches at once; what the stop had flushed is still on the way.",
        ("H2S-25",),
        ("P1",),
        (H2S,),
        5,
        {"provider": _SwitchesBeforeDrain},
    ),
    Bug(
        "acknowledged-on-hand-over",
        "durability and crash",
        "The agent clears its log when the process server has the data, not when Azure has it; a crash of the process server "
        "then loses what was in its cache.",
        ("V2A-12", "V2A-13"),
        ("P4", "P8", "P19"),
        (V2A,),
        7,
        {"process-server": _AcknowledgesOnHandOver},
    ),
    Bug(
        "no-fence-on-return",
        "authority",
        "The old source comes back after an unplanned failover and is not stopped: two machines serve the same users.",
        ("H2S-31",),
        ("P3",),
        (V2A, H2S),
        5,
        everywhere(_no_fence, *COORDINATORS),
    ),
    Bug(
        "reverse-ships-nothing",
        "reprotect and failback",
        "Reverse replication starts to follow new changes and declares the machine protected without resynchronising it.",
        ("V2A-49", "H2S-31"),
        ("P4", "P20"),
        (V2A, H2S),
        9,
        everywhere(_ships_nothing, *COORDINATORS),
    ),
    Bug(
        "latest-unprocessed",
        "recovery points",
        "A failover to “latest” takes the newest point there is and leaves what was received after it.",
        ("V2A-43",),
        ("P2",),
        (V2A, H2S),
        6,
        everywhere(_latest_unprocessed, *COORDINATORS),
    ),
    Bug(
        "stop-before-flush",
        "durability and crash",
        "The source of a planned failover is powered off instead of shut down; what the guest had in its cache is gone.",
        ("H2S-24",),
        ("P1", "P3"),
        (H2S,),
        5,
        {"provider": _StopsBeforeFlush},
    ),
    Bug(
        "commit-keeps-points",
        "failover and commit",
        "Commit leaves the other recovery points advertised, and somebody fails over to one of them a week later.",
        ("V2A-47", "H2S-29"),
        ("P7",),
        (V2A, H2S),
        6,
        {**everywhere(_commit_keeps, *COORDINATORS), **everywhere(_points_stay, *TARGETS)},
    ),
    Bug(
        "log-cleared-at-handshake",
        "durability and crash",
        "When the link is back, source and target agree on a fresh start, and the change log is cleared before it was sent.",
        ("H2S-20", "V2A-28"),
        ("P4", "P8", "P19", "P20"),
        (V2A, H2S),
        5,
        everywhere(_forgets_logs, *AGENTS),
    ),
    Bug(
        "loss-counted-from-received",
        "reports",
        "After a failover to an older point the reported loss counts from what was received, not from the point.",
        ("H2S-27",),
        ("P2",),
        (V2A, H2S),
        6,
        everywhere(_counts_from_received, *COORDINATORS),
    ),
    Bug(
        "reverse-without-commit",
        "capability",
        "Reverse replication is offered before the failover is committed, and overwrites the old source.",
        ("V2A-49", "H2S-30"),
        ("P13", "P18"),
        (V2A, H2S),
        4,
        {"vault": _ReversesUncommitted},
    ),
    *BESIDE,
)
