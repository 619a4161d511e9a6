"""Seeded bugs between machines, and between the disks of one: what is shared, or cut apart, where it must not be.

What breaks here is the consistency of a machine's disks (P23), and the independence of machines that share a gateway, a vault
or a site. What breaks at the barrier of a replication group (P5) is in `bugs_groups`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from siteproof.conformance.drivers.bugs_common import AGENTS, COORDINATORS, FLOWS, TARGETS, VIA_GATEWAY, Bug, mixed
from siteproof.impl.agent import ReplicationAgent
from siteproof.impl.changelog import Tracked
from siteproof.impl.coordinator import Coordinator
from siteproof.impl.messages import Ack, ChangeBatch, Compare, CopyChunk, Message, Send
from siteproof.impl.process_server import ProcessServer
from siteproof.impl.target import ReplicationTarget
from siteproof.impl.values import BLOCK, Code, Point
from siteproof.impl.vault import MachineRecord, Vault
from siteproof.impl.vm_host import VmHost

__all__ = ["BUGS"]

FAMILY = "multi-VM consistency"


class _DisksCutApart(ReplicationTarget):
    """What comes for a later disk is applied behind the next cut."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.later: list[tuple[int, int, bytes | memoryview]] = []

    def apply(self, batch: ChangeBatch) -> None:
        for write, piece in zip(batch.writes, self._contents(batch), strict=True):
            if write.sequence > self.received:
                if write.disk:
                    self.later.append((write.disk, write.offset // BLOCK, piece))
                else:
                    self._into.write(write.disk, write.offset // BLOCK, piece)
                self.received = write.sequence

    def cut_point(self, name: str, now: float) -> Point:
        point = super().cut_point(name, now)
        for write in self.later:
            self._disks.write(*write)
        self.later.clear()
        return point


class _DiskByDisk(ReplicationAgent):
    @staticmethod
    def _merge(parts: Sequence[list[Tracked]]) -> list[Tracked]:
        return [tracked for part in parts for tracked in part]


class _FirstDiskTracked(ReplicationAgent):
    def track(self, sequence: int, disk: int, block: int, data: bytes, now: float) -> None:
        if disk:
            self.last_tracked = sequence
        else:
            super().track(sequence, disk, block, data, now)


class _FirstDiskCopied(ReplicationTarget):
    def store_base(self, chunk: CopyChunk) -> None:
        for copy, piece in zip(chunk.copies, self._contents(chunk), strict=True):
            if not copy.disk:
                self._into.write_run(copy.disk, copy.offset // BLOCK, piece)


class _FirstDiskCompared(ReplicationTarget):
    def differing(self, message: Compare) -> list[int]:
        return [] if message.disk else super().differing(message)


class _ForgetsEverybody(ProcessServer):
    def forget(self, machine: str) -> None:
        super().forget(machine)
        self.routes.clear()


class _AnswersTheFirst(ProcessServer):
    def receive(self, message: Message, now: float) -> list[Send]:
        sends = super().receive(message, now)
        first = next(iter(self.routes.values()), None)
        return [Send(first.agent, s.message) for s in sends] if isinstance(message, Ack) and first is not None else sends


class _FirstIsFenced(Coordinator):
    def contact(self) -> None:
        if self.record.machine == "m0":
            super().contact()


class _OneJobForAll(Vault):
    def lifecycle_code(self, record: MachineRecord, operation: str) -> str | None:
        code = super().lifecycle_code(record, operation)
        busy = any(one.job is not None for one in self.records.values() if one is not record)
        return Code.JOB_IN_PROGRESS if code is None and busy else code


class _FirstStartsByItself(VmHost):
    def starts_on_power_up(self) -> bool:
        return self.machine == "m0" and super().starts_on_power_up()


BUGS: tuple[Bug, ...] = (
    Bug(
        "disks-cut-apart", FAMILY, "medium",
        "The disks of a machine are cut one after the other: a database's log is in the point, and its table is not yet.",
        ("V2A-37", "H2S-20"), ("P1", "P2", "P4", "P8"), FLOWS, 4, mixed(_DisksCutApart, TARGETS),
    ),
    Bug(
        "shipped-disk-by-disk", FAMILY, "hard",
        "The logs of two disks are sent one behind the other instead of merged by number; what comes late counts as a "
        "repetition.",
        ("V2A-29", "H2S-21"), ("P1", "P2", "P4", "P8", "P19"), FLOWS, 5, mixed(_DiskByDisk, AGENTS),
    ),
    Bug(
        "second-disk-not-tracked", FAMILY, "medium",
        "A disk that was added to a machine is copied at first and never tracked.",
        ("V2A-29", "H2S-21"), ("P1", "P2", "P4", "P8", "P9", "P19"), FLOWS, 4, mixed(_FirstDiskTracked, AGENTS),
    ),
    Bug(
        "second-disk-not-copied", FAMILY, "medium",
        "The base copy ends with the first disk; the others get what is tracked from then on.",
        ("GEN-11", "V2A-27", "H2S-19"), ("P1", "P2", "P4", "P8"), FLOWS, 2, mixed(_FirstDiskCopied, TARGETS),
    ),
    Bug(
        "second-disk-not-compared", FAMILY, "hard",
        "A resynchronisation looks at the first disk only; what differs on the others stays.",
        ("V2A-29", "H2S-21"), ("P1", "P2", "P4", "P8", "P20"), FLOWS, 9, mixed(_FirstDiskCompared, TARGETS),
    ),
    Bug(
        "gateway-forgets-everybody", FAMILY, "medium",
        "When replication of one machine ends, the process server forgets the routes of all.",
        ("V2A-12", "S-V2S-25"), ("P2", "P4", "P8", "P19"), VIA_GATEWAY, 5, {"process-server": _ForgetsEverybody},
    ),
    Bug(
        "gateway-answers-the-first", FAMILY, "medium",
        "Acknowledgements go back to the machine that connected first.",
        ("V2A-12", "S-V2S-25"), ("P4", "P8", "P19"), VIA_GATEWAY, 3, {"process-server": _AnswersTheFirst},
    ),
    Bug(
        "only-the-first-is-fenced", FAMILY, "hard",
        "A loop over the machines of a site that has come back ends after the first: the others run twice.",
        ("H2S-31", "V2A-47"), ("P2", "P3"), FLOWS, 4, mixed(_FirstIsFenced, COORDINATORS),
    ),
    Bug(
        "one-job-for-all", FAMILY, "medium",
        "The lock against two jobs is the vault's and not the machine's: in a disaster machines have to be failed over one by "
        "one.",
        ("GEN-15", "V2A-45", "H2S-26"), ("P10", "P13", "P16"), FLOWS, 1, {"vault": _OneJobForAll},
    ),
    Bug(
        "only-the-first-starts", FAMILY, "medium",
        "When power is back only the first machine of a host starts by itself.",
        ("V2A-48", "H2S-30"), ("P3", "P8"), FLOWS, 3, {"vm-host": _FirstStartsByItself},
    ),
)  # fmt: skip
