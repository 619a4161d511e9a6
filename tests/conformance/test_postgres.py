"""The driver for PostgreSQL, against real clusters; where PostgreSQL is not installed every test says so and is skipped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from siteproof.conformance.case import Fault, Heal, Operate, Scenario, Settle, StartMachine, Steps, Write
from siteproof.conformance.content import BLOCK, Base
from siteproof.conformance.drivers.postgres import FLOW, PostgresDriver, machine, missing_parts, programs, shipping
from siteproof.conformance.drivers.postgres.cluster import Cluster, NotReady
from siteproof.conformance.drivers.postgres.machine import Machine
from siteproof.conformance.drivers.postgres.shipping import Refusals, Replica, arrived, base_backup, damage, log_whole, rewind
from siteproof.conformance.drivers.postgres.site import Point, Site
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.errors import DriverError
from siteproof.conformance.session import Session
from tests.soak import soak

from .driving import played, promised, run, writes

pytestmark = pytest.mark.skipif(
    bool(missing_parts()),
    reason=f"PostgreSQL cannot be run here ({', '.join(missing_parts())} missing): nothing of it was tested;"
    f" {'; '.join(dict.fromkeys(missing_parts().values()))} makes it run",
)

ENABLE = Operate("m0", "EnableProtection")
PLAN = Operate("m0", "PlannedFailover")
COMMIT_AND_REVERSE = (Operate("m0", "Commit"), Settle(), Operate("m0", "ReverseReplicate"), Settle())
DISASTER = (
    ENABLE, Settle(), Write("m0", "primary", 1), Settle(), Fault("link"), Write("m0", "primary", 2), Write("m0", "primary", 3),
    Fault("primary-site"), Operate("m0", "UnplannedFailover", "latest"), Settle(), Write("m0", "recovery", 7),
    Heal("primary-site"), Settle(),
)  # fmt: skip
"""Two writes are lost, and the primary runs again while nobody can reach it."""


play = partial(played, PostgresDriver, FLOW, "postgres")


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site]]:
    folder = programs.folder_for("test")
    both = Site("primary", folder / "primary", folder), Site("recovery", folder / "recovery", folder)
    yield both
    for site in both:
        site.end()
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def block(letter: str) -> bytes:
    return letter.encode() * BLOCK


@pytest.fixture
def pair(sites: tuple[Site, Site]) -> tuple[Cluster, Replica]:
    """A primary with one disk that took one write, and a standby that has been given it."""
    source = sites[0].empty()
    source.start()
    source.fill(1, Base(4))
    assert source.put(0, 1, block("a")) == 1
    replica = base_backup(source, sites[1])
    assert shipping.ship(source, replica, "rp-1")
    return source, replica


# -------------------------------------------------------------------------------------------------------------- whole cases


def test_there_and_back_by_planned_failovers_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """And without a rewind or a new copy: each former source follows as it is."""
    copies = []
    monkeypatch.setattr(machine, "base_backup", lambda *a: copies.append("backup") or base_backup(*a))
    monkeypatch.setattr(machine, "rewind", lambda *a: copies.append("rewind") or rewind(*a))
    session = play(
        ENABLE, Settle(), *writes(1, 2, 1), Write("m0", "primary", 3, disk=1, cached=True), PLAN, Settle(), *COMMIT_AND_REVERSE,
        *writes(4, 1, side="recovery", disk=1), PLAN, Settle(), *COMMIT_AND_REVERSE, *writes(5), Settle(), disks=2,
    )  # fmt: skip
    assert session.divergence is None
    seen = session.last["m0"]
    assert (seen.active, seen.protection, seen.failover, seen.direction) == ("primary", "protected", "none", "forward")
    assert session.content_checks > 5
    assert copies == ["backup"]


def test_a_primary_killed_goes_on_from_a_point_its_loss_is_counted_and_it_comes_back_by_rewinding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copies = []
    monkeypatch.setattr(machine, "base_backup", lambda *a: copies.append("backup") or base_backup(*a))
    monkeypatch.setattr(machine, "rewind", lambda *a: copies.append("rewind") or rewind(*a))
    session = play(*DISASTER, *writes(9), Heal("link"), Settle(), *COMMIT_AND_REVERSE, *writes(8, side="recovery"), Settle())
    assert session.divergence is None
    seen = session.last["m0"]
    assert (seen.active, seen.direction, seen.received, seen.loss) == ("recovery", "reverse", 1, 3)
    assert seen.alerts == ("StaleSideFenced",)
    assert copies == ["backup", "rewind"]


def test_a_crash_of_the_primary_costs_no_resynchronisation_since_its_log_outlives_it() -> None:
    session = play(ENABLE, Settle(), *writes(1), Fault("primary-site"), Heal("primary-site"), Settle())
    assert session.divergence is None
    seen = session.last["m0"]
    assert (seen.resync, seen.points) == ("none", (("rp-1", "crash-consistent"), ("rp-2", "crash-consistent")))


def test_wal_that_was_removed_before_it_was_sent_calls_for_a_resynchronisation() -> None:
    session = play(ENABLE, Settle(), Fault("link"), *writes(1), Fault("change-log"), Settle())
    assert session.divergence is None
    assert session.last["m0"].resync == "required"
    session = play(
        ENABLE, Settle(), *writes(1), Fault("primary-site"), Fault("change-log"), Heal("primary-site"), Settle(), *writes(2),
        Operate("m0", "RepairReplication"), Settle(), *writes(3), PLAN, Settle(),
    )  # fmt: skip
    assert session.divergence is None
    assert session.last["m0"].active == "recovery"


def test_a_log_that_is_damaged_while_the_source_is_stopped_is_found_out_and_the_source_runs_again() -> None:
    begun = (ENABLE, Settle(), *writes(1), PLAN, Steps(1), Fault("change-log"))
    session = play(*begun, Settle(), *writes(2))
    assert session.divergence is None
    seen = session.last["m0"]
    assert (seen.active, seen.resync, seen.running) == ("primary", "required", (True, False))
    session = play(*begun, Operate("m0", "UnplannedFailover", "latest"), Settle(), *COMMIT_AND_REVERSE)
    assert session.divergence is None
    assert (session.last["m0"].loss, session.last["m0"].direction) == (0, "reverse")


def test_points_of_different_ages_are_tried_used_and_changed() -> None:
    session = play(
        ENABLE, Settle(), *writes(1), Settle(), *writes(2), Steps(1), *writes(3), Fault("recovery-site"), Settle(),
        Heal("recovery-site"), Settle(), Operate("m0", "TestFailover", "point:1"), Settle(), Write("m0", "test", 5),
        Operate("m0", "TestFailoverCleanup"), Settle(), Operate("m0", "UnplannedFailover", "point:0"), Settle(),
        Operate("m0", "ChangePit", "point:-1"), Settle(), StartMachine("m0", "primary"), Settle(), *COMMIT_AND_REVERSE,
    )  # fmt: skip
    assert session.divergence is None
    assert (session.last["m0"].loss, session.last["m0"].protection) == (0, "protected")


def test_a_source_that_is_started_again_while_it_is_drained_is_stopped_again() -> None:
    session = play(
        ENABLE, Settle(), *writes(1), PLAN, Steps(1), StartMachine("m0", "primary"), *writes(2), Fault("primary-site"),
        Heal("primary-site"), Settle(),
    )  # fmt: skip
    assert session.divergence is None
    assert (session.last["m0"].active, session.last["m0"].failover) == ("recovery", "planned")


def test_two_machines_share_the_sites_and_not_their_fate() -> None:
    session = play(
        ENABLE, Operate("m1", "EnableProtection"), Settle(), *writes(1, 2), Write("m1", "primary", 1), Steps(2),
        Operate("m1", "UnplannedFailover", "latest-processed"), *writes(3), Settle(), PLAN, Steps(1), Fault("recovery-site"),
        Settle(), Heal("recovery-site"), Settle(), Operate("m1", "DisableProtection"), Settle(), machines=2,
    )  # fmt: skip
    assert session.divergence is None
    assert (session.last["m0"].active, session.last["m1"].failover) == ("recovery", "completed")


@soak
def test_generated_cases_conform() -> None:
    result = run(FLOW, driver_factory("postgres"), cases=25)
    assert result.counterexample is None
    assert result.steps > 300


# ------------------------------------------------------------------------------------------------------ careless controllers


def test_a_planned_failover_that_does_not_wait_for_the_last_wal_is_accused(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_only(one: Machine) -> bool:
        one.power_off(one.active)
        return True

    monkeypatch.setattr(Machine, "stop_and_drain", stop_only)
    monkeypatch.setattr(Machine, "drained", lambda _: True)
    found = play(ENABLE, Settle(), *writes(1), PLAN, Settle()).divergence
    assert found is not None
    assert found.promise == "P1"


def test_a_returning_primary_that_is_not_fenced_is_accused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "fence", lambda _one, _name: None)
    found = play(*DISASTER, Heal("link"), Settle()).divergence
    assert found is not None
    assert found.promise == "P3"


def test_a_reversal_without_a_rewind_that_is_not_looked_at_is_accused(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL refuses to let the former source follow; the controller takes what was sent for what has arrived."""
    believed: list[Cluster] = []
    ship = Machine.ship

    def no_rewind(_source: Cluster, cluster: Cluster, _site: Site) -> Replica:
        believed.append(cluster)
        return Replica(cluster, None, cluster.count(), 1 << 60)

    def believe(one: Machine, replica: Replica) -> bool:
        if replica.cluster not in believed:
            return ship(one, replica)
        replica.position, replica.mark, replica.timeline = one.source.position, one.new_mark(), 2
        return True

    monkeypatch.setattr(machine, "rewind", no_rewind)
    monkeypatch.setattr(Machine, "ship", believe)
    session = play(*DISASTER, Heal("link"), Settle(), *COMMIT_AND_REVERSE)
    found = session.divergence
    assert found is not None
    assert (found.promise, found.field[:16]) == ("P4", "content of point")
    assert believed
    assert session.last["m0"].direction == "reverse"


def test_commits_that_are_acknowledged_before_they_are_written_are_accused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `synchronous_commit = off` means: a kill takes what the guest was told was there."""
    put = Cluster.put

    def careless(one: Cluster, disk: int, block: int, data: bytes) -> int:
        if one.one("SHOW wal_writer_delay") != "10s":
            one.sql("ALTER SYSTEM SET wal_writer_delay = '10s'")
            one.sql("SELECT pg_reload_conf()")
            time.sleep(0.3)  # until the WAL writer has read it
        one.sql("SET synchronous_commit = off")
        holds = put(one, disk, block, data)
        one.sql("SET synchronous_commit = on")
        return holds

    monkeypatch.setattr(Cluster, "put", careless)
    found = play(ENABLE, Settle(), *writes(1, 2), Fault("primary-site"), Heal("primary-site"), Settle()).divergence
    assert found is not None
    assert (found.field, found.expected) == ("content at primary", "write 1 (branch 1)")


def test_a_lost_log_that_is_not_looked_for_is_accused(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL refuses to send what it has no longer got; the controller owes a call for a resynchronisation."""
    monkeypatch.setattr(Machine, "log_whole", lambda _: True)
    found = play(ENABLE, Settle(), Fault("link"), *writes(1), Fault("change-log"), Heal("link"), Settle()).divergence
    assert found is not None
    assert found.promise == "P9"


# ------------------------------------------------------------------------------------------------------- PostgreSQL itself


def test_what_was_committed_outlives_a_kill_and_what_was_not_does_not(pair: tuple[Cluster, Replica]) -> None:
    source, _ = pair
    source.put(0, 2, block("b"))
    source.sql("BEGIN")
    source.sql("UPDATE blocks SET data = %s WHERE block = 3", (block("c"),))
    source.kill()
    source.start()
    assert (source.count(), source.read(0, 2 * BLOCK, BLOCK)) == (2, block("b"))
    assert source.read(0, 3 * BLOCK, BLOCK) == Base(4).data(3, 1)


def test_a_kill_takes_every_process_of_the_server_and_no_other(pair: tuple[Cluster, Replica]) -> None:
    source, replica = pair
    assert source.process is not None
    pid = source.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(children) >= 3
    source.kill()
    for one in (str(pid), *children):
        status = Path(f"/proc/{one}/stat")
        assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] in "ZX"
    assert replica.cluster.up


def test_nothing_is_received_while_the_valve_is_shut(pair: tuple[Cluster, Replica]) -> None:
    source, replica = pair
    source.put(0, 2, block("b"))
    time.sleep(0.05)
    assert replica.cluster.count() == 1
    assert shipping.ship(source, replica, "rp-2")
    assert replica.cluster.count() == replica.position == 2


def recover(cluster: Cluster) -> None:
    """Start it, and wait until it has reached its target; it takes readers before."""
    cluster.start()
    cluster.wait(cluster.takes_writes, "it is not promoted")


def test_a_point_is_restored_to_its_prefix_whatever_came_after(pair: tuple[Cluster, Replica], sites: tuple[Site, Site]) -> None:
    source, replica = pair
    source.put(0, 2, block("b"))
    assert shipping.ship(source, replica, "rp-2")
    assert replica.store is not None
    replica.store.take_in(replica.cluster, replica.held)
    for name, holds in (("rp-1", 1), ("rp-2", 2)):
        restored = replica.store.restored(Point(name, holds, 1), sites[1].new("restored"), "promote")
        recover(restored)
        assert (restored.count(), restored.timeline()) == (holds, 2)
    unknown = replica.store.restored(Point("rp-3", 3, 1), sites[1].new("restored"), "promote")
    with pytest.raises(NotReady, match="recovery ended before configured recovery target was reached"):
        recover(unknown)


def test_a_former_source_with_more_than_its_successor_is_refused_until_it_is_rewound(
    pair: tuple[Cluster, Replica], sites: tuple[Site, Site]
) -> None:
    source, replica = pair
    source.put(0, 2, block("b"))
    successor = replica.cluster
    successor.promote()
    successor.put(0, 3, block("c"))
    source.stop()
    source.become("standby")
    source.start()
    refused = Refusals(source)
    source.follow(successor)
    assert not arrived(source, successor.mark("rp-9"), refused)
    source.follow(None)
    assert "before current recovery point" in source.last_words()
    rewound = rewind(successor, source, sites[0])
    assert rewound is not None
    assert shipping.ship(successor, rewound, "rp-10")
    assert source.read(0, 2 * BLOCK, 2 * BLOCK) == Base(4).data(2, 1) + block("c")


def test_a_log_is_whole_until_a_segment_that_was_not_sent_is_gone(pair: tuple[Cluster, Replica]) -> None:
    source, replica = pair
    assert log_whole(source, replica.held)
    damage(source)
    assert not log_whole(source, replica.held)
    assert not shipping.ship(source, replica, "rp-2")
    assert source.count() == 1


# ------------------------------------------------------------------------------------------------------------ what is left


def test_stop_ends_the_servers_and_leaves_no_file() -> None:
    driver = PostgresDriver()
    session = Session(Scenario(FLOW), 0, lambda: driver, promised(FLOW))
    [cluster] = driver.lab.sites["primary"].clusters
    process, folder = cluster.process, cluster.sockets
    assert process is not None
    assert process.poll() is None
    session.abandon()
    assert process.poll() is not None
    assert not folder.exists()


def test_a_tester_that_is_killed_leaves_no_server_behind() -> None:
    """Where `setpriv` is installed, which util-linux has. Its files are removed by the next one that comes."""
    script = (
        "import sys; from siteproof.conformance.drivers.postgres import PostgresDriver as D, FLOW\n"
        "from siteproof.conformance.case import Scenario; from siteproof.conformance.content import Base\n"
        "d = D(); d.start(Scenario(FLOW), 0, Base(4)); c = d.lab.sites['primary'].clusters[0]\n"
        "print(c.process.pid, c.sockets.parent, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tester:
        assert tester.stdout is not None
        pid, home = tester.stdout.readline().split()
        os.kill(tester.pid, signal.SIGKILL)
        tester.wait(10)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert Path(home, "t2", "data").is_dir() or Path(home, "t1", "data").is_dir()
    mine = programs.folder_for("test")
    programs.sweep(Path(home).parent, older_than=0)
    assert not Path(home).exists()
    assert mine.is_dir()
    mine.rmdir()


def test_a_temporary_folder_that_will_not_do_is_told(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 80)
    deep.mkdir()
    with pytest.raises(DriverError, match=r"one with a shorter name, for the sockets in it.*set TMPDIR"):
        programs.new_home(deep)
    assert not list(deep.iterdir())


def test_what_is_missing_is_told_with_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "program_folder", lambda: None)
    with pytest.raises(DriverError, match=r"no programs of PostgreSQL.*apt-get install postgresql"):
        PostgresDriver().handshake()


def test_root_without_an_account_to_run_as_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_is_root", lambda: True)
    monkeypatch.setattr(programs, "_account_of_package", lambda: None)
    with pytest.raises(DriverError, match="PostgreSQL does not run as root"):
        PostgresDriver().handshake()
