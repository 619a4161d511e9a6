"""The driver for QEMU's storage daemon, against real daemons; where QEMU is not installed every test says so and is skipped."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from siteproof.conformance.case import Fault, Heal, Operate, Scenario, Settle, StartMachine, Steps, Write
from siteproof.conformance.content import BLOCK
from siteproof.conformance.drivers.qemu import FLOW, QemuDriver, missing_programs, shipping
from siteproof.conformance.drivers.qemu.machine import Machine
from siteproof.conformance.drivers.qemu.nbd import Nbd, NbdError
from siteproof.conformance.drivers.qemu.qmp import Gone, Qmp, Refused
from siteproof.conformance.drivers.qemu.site import Site
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.errors import DriverError
from siteproof.conformance.session import Session
from tests.soak import soak

from .driving import played, promised, run, writes

pytestmark = pytest.mark.skipif(
    bool(missing_programs()), reason=f"QEMU is not installed ({', '.join(missing_programs())} missing): nothing of it was tested;"
    " the Debian packages qemu-utils and qemu-system-common make it run"
)

ENABLE = Operate("m0", "EnableProtection")


play = partial(played, QemuDriver, FLOW, "qemu")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(tmp_path / "blank.qcow2"), str(16 * BLOCK)], check=True)
    one = Site("primary", tmp_path / "primary")
    one.power_on()
    yield one
    one.power_off()


def test_there_and_back_by_planned_failovers_loses_nothing() -> None:
    there = (Operate("m0", "PlannedFailover"), Settle(), Operate("m0", "Commit"), Settle(), Operate("m0", "ReverseReplicate"))
    session = play(
        ENABLE, Settle(), *writes(1, 2, 1), Write("m0", "primary", 3, disk=1, cached=True), *there, Settle(),
        *writes(4, 1, side="recovery", disk=1), *there, Settle(), *writes(5), Settle(), disks=2,
    )  # fmt: skip
    assert session.divergence is None
    seen = session.last["m0"]
    assert (seen.active, seen.protection, seen.failover, seen.direction) == ("primary", "protected", "none", "forward")
    assert session.content_checks > 5


def test_a_machine_killed_at_primary_goes_on_from_a_point_and_its_loss_is_counted() -> None:
    session = play(
        ENABLE, Settle(), *writes(1), Settle(), Fault("link"), *writes(2, 3), Fault("primary-site"),
        Operate("m0", "UnplannedFailover", "latest"), Settle(), *writes(7, side="recovery"), Heal("primary-site"),
        Heal("link"), Settle(), Operate("m0", "Commit"), Settle(), Operate("m0", "ReverseReplicate"), Settle(),
    )  # fmt: skip
    assert session.divergence is None
    seen = session.last["m0"]
    assert (seen.active, seen.direction, seen.received, seen.loss) == ("recovery", "reverse", 1, 2)


def test_a_daemon_that_was_killed_has_lost_its_bitmap_and_a_resynchronisation_is_called_for() -> None:
    session = play(ENABLE, Settle(), *writes(1), Fault("primary-site"), Heal("primary-site"), Settle())
    assert session.divergence is None
    assert session.last["m0"].resync == "required"
    session = play(
        ENABLE, Settle(), *writes(1), Fault("primary-site"), Heal("primary-site"), Settle(), *writes(2),
        Operate("m0", "RepairReplication"), Settle(), *writes(3), Operate("m0", "PlannedFailover"), Settle(),
    )  # fmt: skip
    assert session.divergence is None
    assert session.last["m0"].active == "recovery"


def test_a_target_killed_before_a_backup_has_landed_gets_it_again() -> None:
    session = play(
        ENABLE, Settle(), *writes(1), Steps(1), *writes(2), Fault("recovery-site"), Settle(), Heal("recovery-site"), Settle(),
        Operate("m0", "TestFailover", "latest"), Settle(), Write("m0", "test", 5), Operate("m0", "TestFailoverCleanup"), Settle(),
        Operate("m0", "UnplannedFailover", "point:0"), Settle(), Operate("m0", "ChangePit", "point:-1"), Settle(),
        StartMachine("m0", "primary"), Settle(),
    )  # fmt: skip
    assert session.divergence is None
    assert session.last["m0"].loss == 0


def test_a_source_that_is_started_while_its_last_delta_is_under_way_is_stopped_again() -> None:
    """QEMU refuses a new writer on a disk that is being backed up: the delta has to be given up first, and is made again."""
    session = play(
        ENABLE, Settle(), *writes(1), Operate("m0", "PlannedFailover"), Steps(2), StartMachine("m0", "primary"), *writes(2),
        Settle(),
    )  # fmt: skip
    assert session.divergence is None
    assert (session.last["m0"].active, session.last["m0"].failover) == ("recovery", "planned")


def test_a_controller_that_begins_a_lost_bitmap_anew_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin_anew(one: Machine) -> bool:
        due = one.follows() and one.job is None and one.source.site.up and not one.log_whole()
        if due:
            one.source.site("transaction", actions=[one.source.site.add_log(top) for top in one.source.tops])
        return due

    monkeypatch.setattr(Machine, "call_for_resync", begin_anew)
    session = play(ENABLE, Settle(), *writes(1), Fault("primary-site"), Heal("primary-site"), Settle())
    assert session.divergence is not None
    assert session.divergence.promise == "P4"


def test_a_delta_that_was_not_flushed_at_the_target_is_missed_after_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    """What QEMU does by itself: the job ends well, the bitmap is empty, and the target has it in memory only."""
    crash = (Fault("recovery-site"), Heal("recovery-site"), Operate("m0", "UnplannedFailover", "latest"), Settle())
    commands = (ENABLE, Settle(), *writes(1), Steps(2), *crash)
    assert play(*commands).divergence is None
    monkeypatch.setattr(Nbd, "flush", lambda _: None)
    monkeypatch.setattr(shipping, "_detach", lambda _: None)  # to detach an NBD node flushes it, too
    found = play(*commands).divergence
    assert found is not None
    assert found.promise in ("P2", "P4")


def test_two_machines_share_the_daemons_and_not_their_fate() -> None:
    session = play(
        ENABLE, Operate("m1", "EnableProtection"), Settle(), *writes(1, 2), Write("m1", "primary", 1), Steps(3),
        Operate("m1", "UnplannedFailover", "latest-processed"), *writes(3), Settle(), Operate("m0", "PlannedFailover"), Steps(2),
        Fault("recovery-site"), Settle(), Heal("recovery-site"), Settle(), Fault("change-log"), Settle(),
        Operate("m1", "DisableProtection"), Settle(), machines=2,
    )  # fmt: skip
    assert session.divergence is None
    assert (session.last["m0"].active, session.last["m1"].failover) == ("recovery", "completed")


@soak
def test_generated_cases_conform() -> None:
    result = run(FLOW, driver_factory("qemu"), cases=40, disks=2)
    assert result.counterexample is None
    assert result.steps > 400


def test_stop_ends_the_daemons_and_leaves_no_file() -> None:
    driver = QemuDriver()
    session = Session(Scenario(FLOW), 0, lambda: driver, promised(FLOW))
    processes = [one.process for one in driver.lab.sites.values() if one.process is not None]
    assert [one.poll() for one in processes] == [None, None]
    folders = [one.folder.parent for one in driver.lab.sites.values()]
    assert all(one.is_dir() for one in folders)
    session.abandon()
    assert [one.poll() for one in processes] == [-9, -9]
    assert not any(one.exists() for one in folders)


def test_a_bitmap_survives_an_orderly_end_and_is_inconsistent_after_a_kill(site: Site) -> None:
    layer = site.new_layer("m0")
    site("transaction", actions=[site.add_log(layer)])
    site("quit")
    assert site.process is not None
    site.process.wait(10)
    site.power_off()
    site.power_on()
    assert site.log_state(layer) == "whole"
    site.power_off()
    site.power_on()
    assert site.log_state(layer) == "inconsistent"


def test_content_outlives_a_kill_once_it_was_flushed_and_lies_in_files_that_can_be_read(site: Site) -> None:
    layer = site.new_layer("m0")
    site.export(layer, "guest", writable=True)
    with Nbd(site.nbd_path, "guest") as nbd:
        assert nbd.size == 16 * BLOCK
        nbd.write(3 * BLOCK, b"x" * BLOCK)
        nbd.flush()
        site.unexport("guest")
        with pytest.raises(NbdError):
            nbd.write(0, b"y" * BLOCK)
    [top] = site.snapshot([layer])
    site.power_off()
    assert site.read_file(top, 3 * BLOCK, BLOCK) == b"x" * BLOCK
    site.power_on()
    with site.reading(top) as nbd:
        assert nbd.read(2 * BLOCK, 2 * BLOCK) == bytes(BLOCK) + b"x" * BLOCK


def test_what_qemu_refuses_is_told_in_its_words_and_a_dead_daemon_is_gone(site: Site) -> None:
    with pytest.raises(Refused, match="no-such-node"):
        site("blockdev-del", node_name="no-such-node")
    assert site.process is not None
    site.process.kill()
    with pytest.raises(Gone):
        site("query-jobs")


def test_a_missing_program_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DriverError, match=r"qemu-storage-daemon.*apt-get install qemu-system-common qemu-utils"):
        QemuDriver().handshake()


def test_a_daemon_that_greets_twice_is_understood(tmp_path: Path) -> None:
    greeting = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}}, "capabilities": []}}

    def serve() -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rw") as file:
            print(json.dumps(greeting), json.dumps(greeting), sep="\n", file=file, flush=True)
            for _ in range(2):
                asked = json.loads(file.readline())
                print(json.dumps({"return": asked["execute"]}), file=file, flush=True)

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "qmp"))
        server.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        monitor = Qmp(tmp_path / "qmp")
        assert monitor.command("query-jobs") == "query-jobs"
        monitor.close()
        thread.join()
