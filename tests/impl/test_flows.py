"""What each flow offers in every state of its life, and what it does to content on the way: stated literally."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from siteproof.impl.lab import Lab
from siteproof.impl.messages import ChangeBatch, Compare, CopyChunk
from siteproof.impl.process_server import ProcessServer
from siteproof.impl.values import BLOCK

from .conftest import ALL, block

Build = Callable[..., Lab]

ENABLE, PLANNED, UNPLANNED, COMMIT, REVERSE = (
    "EnableProtection", "PlannedFailover", "UnplannedFailover", "Commit", "ReverseReplicate",
)  # fmt: skip
TEST, CLEANUP, CHANGE, DISABLE, MIGRATE, REPAIR = (
    "TestFailover", "TestFailoverCleanup", "ChangePit", "DisableProtection", "CompleteMigration", "RepairReplication",
)  # fmt: skip
OPERATIONS = (ENABLE, PLANNED, UNPLANNED, COMMIT, REVERSE, TEST, CLEANUP, CHANGE, DISABLE, MIGRATE, REPAIR)

NO = "OperationNotSupported"
PROTECTED = "AlreadyProtected"
NOT_YET = "NotProtected"
PENDING = "FailoverPending"
NOTHING = "NoFailoverToCommit"
OPEN = "FailoverNotCommitted"
BUSY = "JobInProgress"
NO_TEST = "NoTestFailover"
NO_CHANGE = "NoFailoverToChange"
STAYS = "NoFailoverToComplete"
IN_STEP = "NoResynchronisationRequired"

Row = tuple[str | None, ...]
"""The answers to operations; ``None``: accepted."""

Life = list[tuple[str, Row, Row]]
"""What is asked for one after the other, and the answers afterwards: to the five operations of the main cycle, then to
``TEST, CLEANUP, CHANGE, DISABLE, MIGRATE``.
"""

UNPLANNED_ONLY: Life = [
    ("", (None, NO, NOT_YET, NOTHING, OPEN), (NOT_YET, NO_TEST, NO, NOT_YET, NO)),
    (ENABLE, (PROTECTED, NO, None, NOTHING, OPEN), (None, NO_TEST, NO, None, NO)),
    (UNPLANNED, (PROTECTED, NO, NOT_YET, None, OPEN), (NO, NO_TEST, None, None, None)),
    (COMMIT, (PROTECTED, NO, NOT_YET, NOTHING, None), (NO, NO_TEST, NO_CHANGE, None, None)),
    (REVERSE, (PROTECTED, NO, None, NOTHING, OPEN), (NO, NO_TEST, NO_CHANGE, None, STAYS)),
    (UNPLANNED, (PROTECTED, NO, NOT_YET, None, OPEN), (NOT_YET, NO_TEST, NO, None, NO)),
    (COMMIT, (None, NO, NOT_YET, NOTHING, OPEN), (NOT_YET, NO_TEST, NO, NOT_YET, NO)),
    (ENABLE, (PROTECTED, NO, None, NOTHING, OPEN), (None, NO_TEST, NO, None, NO)),
    (DISABLE, (None, NO, NOT_YET, NOTHING, OPEN), (NOT_YET, NO_TEST, NO, NOT_YET, NO)),
]
SCOUT: Life = [(asked, main, (NO, NO, NO, others[3], NO)) for asked, main, others in UNPLANNED_ONLY]
HYPER_V_TO_AZURE: Life = [
    ("", (None, NOT_YET, NOT_YET, NOTHING, OPEN), (NOT_YET, NO_TEST, NO, NOT_YET, NO)),
    (ENABLE, (PROTECTED, None, None, NOTHING, OPEN), (None, NO_TEST, NO, None, NO)),
    (PLANNED, (PROTECTED, NOT_YET, NO, None, NO), (NO, NO_TEST, None, None, None)),
    (COMMIT, (PROTECTED, None, NO, NOTHING, NO), (NO, NO_TEST, NO_CHANGE, None, None)),
    (PLANNED, (PROTECTED, NOT_YET, NOT_YET, None, OPEN), (NOT_YET, NO_TEST, NO, None, NO)),
    (COMMIT, (PROTECTED, NOT_YET, NOT_YET, NOTHING, None), (NOT_YET, NO_TEST, NO, None, NO)),
    (REVERSE, (PROTECTED, None, None, NOTHING, OPEN), (None, NO_TEST, NO, None, NO)),
    (UNPLANNED, (PROTECTED, NOT_YET, NO, None, NO), (NO, NO_TEST, None, None, None)),
    (COMMIT, (PROTECTED, None, NO, NOTHING, NO), (NO, NO_TEST, NO_CHANGE, None, None)),
    (PLANNED, (PROTECTED, NOT_YET, NOT_YET, None, OPEN), (NOT_YET, NO_TEST, NO, None, NO)),
    (DISABLE, (None, NOT_YET, NOT_YET, NOTHING, OPEN), (NOT_YET, NO_TEST, NO, NOT_YET, NO)),
]
HYPER_V_TO_SITE: Life = [
    ("", (None, NOT_YET, NOT_YET, NOTHING, OPEN), (NOT_YET, NO_TEST, NO_CHANGE, NOT_YET, NO)),
    (ENABLE, (PROTECTED, None, None, NOTHING, OPEN), (None, NO_TEST, NO_CHANGE, None, NO)),
    (PLANNED, (PROTECTED, PENDING, PENDING, None, OPEN), (PENDING, NO_TEST, None, None, NO)),
    (COMMIT, (PROTECTED, PENDING, PENDING, NOTHING, None), (PENDING, NO_TEST, NO_CHANGE, None, NO)),
    (REVERSE, (PROTECTED, None, None, NOTHING, OPEN), (None, NO_TEST, NO_CHANGE, None, NO)),
    (UNPLANNED, (PROTECTED, NOT_YET, NOT_YET, None, OPEN), (NOT_YET, NO_TEST, None, None, NO)),
    (COMMIT, (PROTECTED, NOT_YET, NOT_YET, NOTHING, None), (NOT_YET, NO_TEST, NO_CHANGE, None, NO)),
    (REVERSE, (PROTECTED, None, None, NOTHING, OPEN), (None, NO_TEST, NO_CHANGE, None, NO)),
    (DISABLE, (None, NOT_YET, NOT_YET, NOTHING, OPEN), (NOT_YET, NO_TEST, NO_CHANGE, NOT_YET, NO)),
]
LIVES = {
    "v2a": UNPLANNED_ONLY,
    "p2a": UNPLANNED_ONLY,
    "scout": SCOUT,
    "vmm": HYPER_V_TO_AZURE,
    "hv": HYPER_V_TO_AZURE,
    "h2s": HYPER_V_TO_SITE,
}


def answers(lab: Lab) -> Row:
    """What the vault would answer now, without asking for anything."""
    coordinator = lab._simulation.coordinators["m"]
    return tuple(lab._vault.lifecycle_code(coordinator.record, operation) for operation in OPERATIONS)


@pytest.mark.parametrize("flow", ALL)
def test_every_state_of_a_life_has_its_codes_and_allowed_operations(new_lab: Build, flow: str) -> None:
    lab = new_lab(flow)
    allowed: tuple[str, ...] = ()
    for operation, main, others in LIVES[flow]:
        expected = (*main, *others, IN_STEP)
        if operation:
            assert lab.request("m", operation) is None
            after = lab.status("m").allowed_operations
            pre_empts = operation == PLANNED and UNPLANNED in allowed
            assert after == ((UNPLANNED,) if pre_empts else ())
            for code in answers(lab):
                assert code in (NO, BUSY) or (code is None and pre_empts)
            assert lab.settle()
        allowed = lab.status("m").allowed_operations
        assert answers(lab) == expected
        assert allowed == tuple(sorted(o for o, code in zip(OPERATIONS, expected, strict=True) if code is None))
        for other, code in zip(OPERATIONS, expected, strict=True):
            if code is not None:
                before = lab.status("m")
                assert lab.request("m", other) == code
                assert lab.status("m") == before


SECRET = block("a secret that must not be read on the way " * 20)
ZSTANDARD = bytes.fromhex("28b52ffd")
"""How a frame of Zstandard begins (RFC 8878, 3.1.1)."""


def wire(lab: Lab) -> list[tuple[str, bytes]]:
    """The bytes that arrive at targets from now on, by the kind of what receives them."""
    seen: list[tuple[str, bytes]] = []
    simulation = lab._simulation
    send = simulation._send

    def record(sends: list[object]) -> None:
        for one in sends:
            message = one.message  # type: ignore[attr-defined]
            if isinstance(message, ChangeBatch | CopyChunk) and one.to.endswith("/target"):  # type: ignore[attr-defined]
                items = message.writes if isinstance(message, ChangeBatch) else message.copies
                extents = [i.extent for i in items] if message.payload is None else [message.payload]
                seen.extend((one.to, lab._space.read(e)) for e in extents)  # type: ignore[attr-defined]
        send(sends)  # type: ignore[arg-type]

    simulation._send = record  # type: ignore[method-assign, assignment]
    return seen


def stored(tmp_path: Path, side: str, what: str = "disks") -> bytes:
    return (tmp_path / "work0" / "m" / f"{side}.{what}").read_bytes()


def test_everything_is_refused_once_replication_has_ended(new_lab: Build) -> None:
    for flow, last in (("v2a", MIGRATE), ("vmm", MIGRATE), ("scout", DISABLE), ("h2s", DISABLE)):
        for before in ((ENABLE, UNPLANNED), (ENABLE, UNPLANNED, COMMIT)):
            lab = new_lab(flow)
            for operation in (*before, last):
                assert lab.request("m", operation) is None
                assert lab.settle()
            status = lab.status("m")
            assert (status.failover, status.protection, status.active) == ("completed", "none", "recovery")
            assert status.allowed_operations == ()
            assert answers(lab) == ("ReplicationEnded",) * len(OPERATIONS)


def test_while_a_test_failover_runs_its_cleanup_is_all_there_is(new_lab: Build) -> None:
    for flow in ("v2a", "vmm", "h2s"):
        lab = new_lab(flow)
        for operation in (ENABLE, TEST):
            assert lab.request("m", operation) is None
            assert lab.settle()
        status = lab.status("m")
        assert (status.test, status.allowed_operations) == ("running", (CLEANUP,))
        assert set(answers(lab)) <= {None, "TestFailoverPending", NO}
        assert lab.request("m", UNPLANNED) == "TestFailoverPending"
        assert lab.request("m", DISABLE) == "TestFailoverPending"


@pytest.mark.parametrize(
    ("flow", "plain", "shrinks"),
    [
        ("v2a", False, True), ("p2a", False, True), ("vmm", False, True), ("hv", False, True),
        ("scout", False, True), ("h2s", True, False),
    ],
)  # fmt: skip
def test_content_is_sealed_on_the_way_as_the_flow_documents_it(
    new_lab: Build, flow: str, plain: bool, shrinks: bool
) -> None:
    lab = new_lab(flow)
    seen = wire(lab)
    assert lab.write("m", "primary", 0, 4, SECRET)
    assert lab.request("m", ENABLE) is None
    lab.settle()
    assert lab.write("m", "primary", 1, 5, SECRET)
    lab.settle()
    assert seen
    assert any(SECRET[:100] in data for _, data in seen) == plain
    assert (len(seen[-1][1]) < BLOCK) == shrinks
    compressed_alone = any(ZSTANDARD in data for _, data in seen)  # what is encrypted behind it does not begin like this
    assert compressed_alone == (flow == "scout")
    assert lab.read("m", lab.status("m").points[-1].id, 1, 5 * BLOCK, BLOCK) == SECRET


@pytest.mark.parametrize("flow", ["vmm", "hv"])
def test_hyper_v_data_are_encrypted_on_the_way_back_and_at_rest_in_azure(
    new_lab: Build, flow: str, tmp_path: Path
) -> None:
    lab = new_lab(flow)
    lab.write("m", "primary", 0, 4, SECRET)
    for operation in (ENABLE, UNPLANNED, COMMIT):
        assert lab.request("m", operation) is None
        lab.settle()
    lab.write("m", "recovery", 0, 5, SECRET)
    assert lab.read("m", "recovery", 0, 5 * BLOCK + 7, 99) == SECRET[7:106]
    assert SECRET[:64] not in stored(tmp_path, "recovery")
    assert len(stored(tmp_path, "recovery")) % BLOCK == 0
    seen = wire(lab)
    assert lab.request("m", PLANNED) is None
    held: list[bytes] = []
    while lab.step():
        held += [piece for area in lab._space._passing.values() for piece in area.values()]
    assert seen
    assert all(to == "m/primary/target" and SECRET[:64] not in data for to, data in seen)
    assert held
    assert not any(SECRET[:64] in piece for piece in [*held, stored(tmp_path, "recovery", "staging")])
    assert SECRET[:64] in stored(tmp_path, "primary")


@pytest.mark.parametrize(("flow", "sites"), [("v2a", 2), ("p2a", 2), ("scout", 1), ("vmm", 0), ("hv", 0), ("h2s", 0)])
def test_data_pass_the_gateway_that_the_flow_names(new_lab: Build, flow: str, sites: int) -> None:
    passed: list[str] = []

    class Watched(ProcessServer):
        def forward(self, message, route):  # type: ignore[no-untyped-def]
            """Note which server forwards."""
            passed.append(self.name)
            return super().forward(message, route)

    lab = new_lab(flow, components={"process-server": Watched})
    for operation in (ENABLE, UNPLANNED, COMMIT, PLANNED if flow in ("vmm", "hv") else REVERSE):
        assert lab.request("m", operation) is None
        lab.settle()
    assert len(set(passed)) == sites
    if sites:
        assert passed[0] == "process-server"
        assert passed[-1] == ("temporary-process-server" if sites == 2 else "process-server")


@pytest.mark.parametrize("flow", ["v2a", "p2a"])
def test_a_physical_machine_comes_back_as_a_vmware_machine_onto_empty_disks_the_first_time(
    new_lab: Build, flow: str
) -> None:
    lab = new_lab(flow)
    kinds: list[set[type]] = []
    names = [lab.machine_kind("m")]
    for _ in range(2):
        for operation in (ENABLE, UNPLANNED, COMMIT):
            assert lab.request("m", operation) is None
            lab.settle()
        lab.write("m", "recovery", 0, 6, block(f"in Azure {len(kinds)}"))
        kinds.append(set())
        original = lab._simulation._send

        def record(sends, seen=kinds[-1], go_on=original):  # type: ignore[no-untyped-def]
            seen.update(type(s.message) for s in sends if isinstance(s.message, Compare | CopyChunk))
            go_on(sends)

        lab._simulation._send = record  # type: ignore[method-assign]
        assert lab.request("m", REVERSE) is None
        lab.settle()
        lab._simulation._send = original  # type: ignore[method-assign]
        for operation in (UNPLANNED, COMMIT):
            assert lab.request("m", operation) is None
            lab.settle()
        names.append(lab.machine_kind("m"))
        assert lab.read("m", "primary", 0, 0, 32 * BLOCK) == lab.read("m", "recovery", 0, 0, 32 * BLOCK)
        assert lab.read("m", "primary", 1, 0, 32 * BLOCK) == lab.read("m", "recovery", 1, 0, 32 * BLOCK)
    if flow == "p2a":
        assert names == ["physical-server", "vmware-vm", "vmware-vm"]
        assert kinds == [{CopyChunk}, {Compare, CopyChunk}]
    else:
        assert names == ["vmware-vm"] * 3
        assert kinds == [{Compare, CopyChunk}] * 2
