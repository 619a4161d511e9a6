"""Seeded bugs of admission: what is offered, accepted or refused where it must not be, and what a refusal does all the same."""

from __future__ import annotations

import attrs

from siteproof.conformance.drivers.bugs_common import FLOWS, H2S, P2A, PLANNED, REVERSED, SCOUT, TESTED, V2A, Bug
from siteproof.impl.values import Code, Operation
from siteproof.impl.vault import MachineRecord, Situation, Vault

__all__ = ["BUGS"]

FAMILY = "capability"


class _ReversesUncommitted(Vault):
    def lifecycle_code(self, record: MachineRecord, operation: str) -> str | None:
        code = super().lifecycle_code(record, operation)
        if operation == "ReverseReplicate" and record.failover != "none" and code == Code.NOT_COMMITTED and record.job is None:
            return None
        return code


class _TestsOutOfStep(Vault):
    def lifecycle_code(self, record: MachineRecord, operation: str) -> str | None:
        code = super().lifecycle_code(record, operation)
        return None if operation == Operation.TEST and code == Code.RESYNC_REQUIRED else code


class _MovesOutOfStep(Vault):
    def lifecycle_code(self, record: MachineRecord, operation: str) -> str | None:
        code = super().lifecycle_code(record, operation)
        return None if operation == Operation.PLANNED and code == Code.RESYNC_REQUIRED else code


class _CommitsAgain(Vault):
    def lifecycle_code(self, record: MachineRecord, operation: str) -> str | None:
        code = super().lifecycle_code(record, operation)
        return None if operation == Operation.COMMIT and record.failover == "committed" and code == Code.NO_FAILOVER else code


class _StartsASecondJob(Vault):
    def lifecycle_code(self, record: MachineRecord, operation: str) -> str | None:
        if operation == Operation.DISABLE and record.job is not None and record.failover == "none":
            return super().lifecycle_code(attrs.evolve(record, job=None), operation)
        return super().lifecycle_code(record, operation)


class _OffersWhileTesting(Vault):
    def allowed(self, record: MachineRecord) -> tuple[str, ...]:
        return super().allowed(attrs.evolve(record, test="none") if record.job is None else record)


class _PlannedWithoutVmm(Vault):
    def lifecycle_code(self, record: MachineRecord, operation: str) -> str | None:
        code = super().lifecycle_code(record, operation)
        if operation == Operation.PLANNED and code == Code.NOT_SUPPORTED:
            return super().lifecycle_code(record, Operation.UNPLANNED)
        return code

    def judge(self, record: MachineRecord, operation: str, point: str | None, situation: Situation) -> str | None:
        if operation == Operation.PLANNED:
            return self.lifecycle_code(record, operation) or super().precheck_code(record, operation, point, situation)
        return super().judge(record, operation, point, situation)


class _FailsOverOnlyConnected(Vault):
    def precheck_code(self, record: MachineRecord, operation: str, point: str | None, situation: Situation) -> str | None:
        if operation == Operation.UNPLANNED and not situation.connected:
            return Code.TARGET_DOWN
        return super().precheck_code(record, operation, point, situation)


class _TestsOnlyConnected(Vault):
    def precheck_code(self, record: MachineRecord, operation: str, point: str | None, situation: Situation) -> str | None:
        if operation in (Operation.TEST, Operation.CLEANUP) and not situation.connected:
            return Code.TARGET_DOWN
        return super().precheck_code(record, operation, point, situation)


class _UnknownIsLatest(Vault):
    def precheck_code(self, record: MachineRecord, operation: str, point: str | None, situation: Situation) -> str | None:
        code = super().precheck_code(record, operation, point, situation)
        return None if operation == Operation.COMMIT else (None if code == Code.POINT_NOT_FOUND else code)


class _AnyCodeWillDo(Vault):
    def lifecycle_code(self, record: MachineRecord, operation: str) -> str | None:
        code = super().lifecycle_code(record, operation)
        return Code.NOT_PROTECTED if code == Code.FAILOVER_PENDING and record.protection == "protected" else code


class _RepairsWhatIsWell(Vault):
    def lifecycle_code(self, record: MachineRecord, operation: str) -> str | None:
        code = super().lifecycle_code(record, operation)
        if operation == Operation.REPAIR and code == Code.NO_RESYNC_REQUIRED and record.protection == "protected":
            return None
        return code


class _RefusalForgets(Vault):
    def judge(self, record: MachineRecord, operation: str, point: str | None, situation: Situation) -> str | None:
        code = super().judge(record, operation, point, situation)
        if code is not None and operation == Operation.UNPLANNED and record.failover != "none":
            record.loss = record.received = None
        return code


class _NoPreemption(Vault):
    def pre_empts(self, record: MachineRecord, operation: str) -> bool:
        return record.job != Operation.PLANNED and super().pre_empts(record, operation)


class _ResyncHoldsFailover(Vault):
    def pre_empts(self, record: MachineRecord, operation: str) -> bool:
        return record.job != Operation.REPAIR and super().pre_empts(record, operation)


class _DisableNeedsBoth(Vault):
    def precheck_code(self, record: MachineRecord, operation: str, point: str | None, situation: Situation) -> str | None:
        if operation == Operation.DISABLE and not situation.connected:
            return Code.NOT_CONNECTED
        return super().precheck_code(record, operation, point, situation)


class _EndIsNotTheEnd(Vault):
    def lifecycle_code(self, record: MachineRecord, operation: str) -> str | None:
        if record.failover == "completed" and operation == Operation.DISABLE:
            return None
        return super().lifecycle_code(record, operation)


BUGS: tuple[Bug, ...] = (
    Bug(
        "reverse-without-commit", FAMILY, "easy",
        "Reverse replication is offered before the failover is committed, and overwrites the old source.",
        ("V2A-49", "H2S-30"), ("P13", "P18"), REVERSED, 4, {"vault": _ReversesUncommitted},
    ),
    Bug(
        "planned-failover-offered", FAMILY, "easy",
        "A planned failover is accepted in a flow that has none; nothing there can stop and drain the source.",
        ("V2A-44",), ("P13", "P18"), (V2A, P2A, SCOUT), 2, {"vault": _PlannedWithoutVmm},
    ),
    Bug(
        "tests-out-of-step", FAMILY, "medium",
        "A test failover is accepted while a resynchronisation is required: what is tested is known to lack writes.",
        ("GEN-16", "H2S-22"), ("P10", "P13"), TESTED, 3, {"vault": _TestsOutOfStep},
    ),
    Bug(
        "moves-out-of-step", FAMILY, "medium",
        "A planned failover is accepted while a resynchronisation is required; it cannot drain what is not tracked.",
        ("H2S-25", "H2A-36"), ("P10", "P13"), PLANNED, 3, {"vault": _MovesOutOfStep},
    ),
    Bug(
        "commit-twice", FAMILY, "medium",
        "A committed failover can be committed again, which deletes the points that were made since.",
        ("V2A-47", "H2S-29"), ("P7", "P13"), FLOWS, 6, {"vault": _CommitsAgain},
    ),
    Bug(
        "second-job-starts", FAMILY, "easy",
        "Disabling is accepted while another job runs on the machine.",
        ("V2A-52", "GEN-10"), ("P13", "P16"), FLOWS, 1, {"vault": _StartsASecondJob},
    ),
    Bug(
        "offers-while-testing", FAMILY, "easy",
        "While a test failover runs the console offers operations that are then refused.",
        ("GEN-16", "H2S-22"), ("P13",), TESTED, 4, {"vault": _OffersWhileTesting},
    ),
    Bug(
        "failover-needs-the-primary", FAMILY, "medium",
        "An unplanned failover asks for both sites and the link, so that it is refused in the disaster that it is for.",
        ("V2A-43", "H2S-23"), ("P22",), FLOWS, 4, {"vault": _FailsOverOnlyConnected},
    ),
    Bug(
        "test-needs-the-primary", FAMILY, "medium",
        "A test failover, or its cleanup, is refused while the primary site is out of reach, though all that it needs is "
        "there.",
        ("GEN-16", "H2S-22"), ("P6", "P13"), TESTED, 4, {"vault": _TestsOnlyConnected},
    ),
    Bug(
        "unknown-point-accepted", FAMILY, "easy",
        "A failover to a recovery point that is gone is accepted, and fails or takes another one without a word.",
        ("V2A-43", "H2S-23"), ("P2", "P13"), FLOWS, 5, {"vault": _UnknownIsLatest},
    ),
    Bug(
        "misleading-refusal", FAMILY, "easy",
        "A second failover is refused as if the machine were not protected; the operator enables protection and gets another "
        "riddle.",
        ("H2S-28", "H2S-29"), ("P13",), (H2S,), 5, {"vault": _AnyCodeWillDo},
    ),
    Bug(
        "repairs-what-is-well", FAMILY, "easy",
        "A resynchronisation is accepted where none is required, and takes the recovery points of days with it.",
        ("V2A-29", "H2S-21"), ("P10", "P13"), FLOWS, 2, {"vault": _RepairsWhatIsWell},
    ),
    Bug(
        "refusal-forgets-the-loss", FAMILY, "medium",
        "A failover that is refused has reset the report of the one before: nobody knows any more what was lost.",
        ("V2A-43", "H2S-27"), ("P11",), FLOWS, 5, {"vault": _RefusalForgets},
    ),
    Bug(
        "hung-move-blocks-failover", FAMILY, "medium",
        "A planned failover runs, and the unplanned one that has to take its place is refused: a job is in progress.",
        ("H2S-23", "H2A-34"), ("P13", "P16"), PLANNED, 3, {"vault": _NoPreemption},
    ),
    Bug(
        "resync-blocks-failover", FAMILY, "hard",
        "Disaster strikes while a resynchronisation compares, and the failover is refused: a job is in progress.",
        ("V2A-43", "H2S-23"), ("P10", "P13"), FLOWS, 4, {"vault": _ResyncHoldsFailover},
    ),
    Bug(
        "disabling-needs-both-sites", FAMILY, "medium",
        "Protection cannot be disabled while the other site is out of reach, which may be for ever.",
        ("V2A-52", "GEN-10"), ("P13", "P19"), FLOWS, 4, {"vault": _DisableNeedsBoth},
    ),
    Bug(
        "end-is-not-the-end", FAMILY, "medium",
        "A machine whose migration is complete can be disabled once more.",
        ("V2A-47", "H2A-40"), ("P7", "P13"), FLOWS, 6, {"vault": _EndIsNotTheEnd},
    ),
)  # fmt: skip
