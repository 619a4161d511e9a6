"""Storage that fails, fills up, shortens or damages: nothing unacknowledged counts, nothing damaged is trusted."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from siteproof.impl import agent as agents
from siteproof.impl import hrl
from siteproof.impl.changelog import ChangeLog, LogFile, read_log
from siteproof.impl.codec import Codec
from siteproof.impl.diskset import BaseImage, DiskSet
from siteproof.impl.errors import DamagedLogError, IntegrityError, UsageError
from siteproof.impl.extents import ExtentSpace
from siteproof.impl.lab import Lab
from siteproof.impl.messages import ChangeBatch, CopyChunk, Message, Send
from siteproof.impl.network import Network
from siteproof.impl.process_server import ProcessServer
from siteproof.impl.target import ReplicaHost
from siteproof.impl.values import BLOCK

from .conftest import ALL, block, make_image, repair

Build = Callable[..., Lab]


def protected(build: Build, flow: str, **options: object) -> Lab:
    lab = build(flow, **options)
    assert lab.request("m", "EnableProtection") is None
    assert lab.settle()
    return lab


def newest(lab: Lab, place: int) -> bytes:
    return lab.read("m", lab.status("m").points[-1].id, 0, place * BLOCK, BLOCK)


# ------------------------------------------------------------------------------------------------------- the journal


def a_log(folder: Path, count: int = 5) -> tuple[ExtentSpace, ChangeLog, Path]:
    space = ExtentSpace()
    log = ChangeLog(space, folder, "primary", 0, 1 << 20, random.Random(1), sync=False)
    for number in range(1, count + 1):
        log.append(number, number * 512, f"data {number}".encode(), number)
    path = log.files()[0]
    return space, log, path.with_name(path.name + ".journal")


def test_no_bit_of_a_journal_record_can_turn_unnoticed(tmp_path: Path) -> None:
    space, log, journal = a_log(tmp_path, 3)
    good = journal.read_bytes()
    for bit in range(8 * len(good)):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        journal.write_bytes(damaged)
        with pytest.raises(IntegrityError):
            log.recover()
    journal.write_bytes(good)
    log.recover()
    space.close()


@pytest.mark.parametrize("change", ["swapped", "doubled", "first gone"])
def test_whole_journal_records_in_a_wrong_order_are_damage(tmp_path: Path, change: str) -> None:
    space, log, journal = a_log(tmp_path)
    good = journal.read_bytes()
    size = len(good) // 5
    parts = [good[i * size : (i + 1) * size] for i in range(5)]
    if change == "swapped":
        parts[1], parts[2] = parts[2], parts[1]
    elif change == "doubled":
        parts[2] = parts[1]
    else:
        parts = [*parts[1:], parts[4]]
    journal.write_bytes(b"".join(parts))
    with pytest.raises(DamagedLogError, match="out of"):
        log.recover()
    space.close()


def test_the_journal_of_another_log_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    space, log, journal = a_log(tmp_path)
    log.swap(9)
    for number in range(1, 6):
        log.append(number, number * 512, f"data {number}".encode(), number)
    other = log.files()[1]
    journal.write_bytes(other.with_name(other.name + ".journal").read_bytes())
    with pytest.raises(DamagedLogError):
        read_log(log.files()[0])
    space.close()


@pytest.mark.parametrize("flow", ALL)
@pytest.mark.parametrize("place", [0, 8, 16, 23, 24])
def test_a_damaged_journal_field_leads_to_a_resync_and_never_to_wrong_content(
    new_lab: Build, flow: str, place: int
) -> None:
    lab = protected(new_lab, flow)
    lab.fault("link")
    for number in range(3):
        lab.write("m", "primary", 0, 2 + number, block(f"x{number}"))
    lab.fault("primary-site")
    (path,) = lab.hrl_files("m")
    journal = path.with_name(path.name + ".journal")
    data = bytearray(journal.read_bytes())
    data[place] ^= 0x80
    journal.write_bytes(data)
    lab.heal("primary-site")
    assert lab.status("m").alerts == ("ResyncRequired",)
    lab.heal("link")
    repair(lab)
    for number in range(3):
        assert newest(lab, 2 + number) == block(f"x{number}")
    assert newest(lab, 0) == block("base 0-0.img 0")


def test_a_write_that_is_missing_among_the_logs_of_all_disks_is_noticed(new_lab: Build) -> None:
    lab = protected(new_lab, "v2a")
    lab.fault("link")
    for number in range(4):
        lab.write("m", "primary", number % 2, 2, block(f"x{number}"))
    agent = lab._simulation.coordinators["m"].sides["primary"].agent
    log = agent.files()[0].recording
    assert log is not None
    lab.fault("primary-site")
    journal = log.path.with_name(log.path.name + ".journal")
    raw = journal.read_bytes()
    os.truncate(journal, len(raw) // 2)
    log._space._ends[log._journal] = len(raw) // 2
    lab.heal("primary-site")
    assert agent.resync_required
    lab.heal("link")
    repair(lab)
    assert lab.status("m").alerts == ("ResyncRequired",)
    assert newest(lab, 2) == block("x2")


def test_data_checksums_are_written_and_cover_the_data(tmp_path: Path) -> None:
    space, log, _ = a_log(tmp_path)
    log.swap(9)
    path = log.files()[0]
    _, records = hrl.decode(path.read_bytes())
    assert [r.entry.data_checksum for r in records] == [hrl.byte_checksum(f"data {n}".encode()) for n in range(1, 6)]
    data = bytearray(path.read_bytes())
    data[4096] ^= 1
    with pytest.raises(DamagedLogError, match="extent"):
        hrl.decode(bytes(data))
    space.close()


def test_a_closed_log_that_does_not_say_what_was_tracked_is_not_shipped(new_lab: Build) -> None:
    lab = protected(new_lab, "h2s")
    lab.write("m", "primary", 0, 2, block("x"))
    agent = lab._simulation.coordinators["m"].sides["primary"].agent
    log = agent.files()[0].recording
    assert log is not None
    log.tracked[0] = attrs.evolve(log.tracked[0], offset=9 * BLOCK)
    assert agent.pump(lab.now) == []
    assert agent.resync_required
    lab.write("m", "primary", 0, 3, block("y"))
    lab._simulation.in_doubt("m")
    repair(lab)
    assert (newest(lab, 2), newest(lab, 3)) == (block("x"), block("y"))


@pytest.mark.parametrize("flow", ["v2a", "h2s"])
@pytest.mark.parametrize("forced", [True, False])
def test_unforced_log_bytes_are_lost_with_the_power_and_nothing_acknowledged_with_them(
    new_lab: Build, monkeypatch: pytest.MonkeyPatch, flow: str, forced: bool
) -> None:
    if not forced:
        monkeypatch.setattr(LogFile, "sync", lambda _: None)
    lab = protected(new_lab, flow, sync=True)
    lab.fault("link")
    for number in range(200):
        lab.write("m", "primary", number % 2, 2 + number % 5, block(f"x{number}"))
    lab.fault("primary-site")
    lab.heal("primary-site")
    assert lab.status("m").alerts == (() if forced else ("ResyncRequired",))
    lab.heal("link")
    if not forced:
        repair(lab)
    assert lab.settle()
    point = lab.status("m").points[-1].id
    for disk in range(2):
        assert lab.read("m", point, disk, 0, 8 * BLOCK) == lab.read("m", "primary", disk, 0, 8 * BLOCK)


# ------------------------------------------------------------------------------------------------------ failed writes


class Store:
    """Operating-system writes that fail once, or take a part only."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.fail_at: int | None = None
        self.most: int | None = None
        self._write = os.pwrite
        self._read = os.pread
        patch.setattr(os, "pwrite", self.pwrite)
        patch.setattr(os, "pread", self.pread)

    def pwrite(self, file: int, data: bytes, at: int) -> int:
        if self.fail_at is not None:
            self.fail_at -= 1
            if self.fail_at < 0:
                self.fail_at = None
                raise OSError(errno.ENOSPC, "no space left")
        return self._write(file, data[: self.most], at)

    def pread(self, file: int, length: int, at: int) -> bytes:
        return self._read(file, min(length, self.most or length), at)


@pytest.mark.parametrize("flow", ALL)
@pytest.mark.parametrize("moment", range(4))
def test_a_write_that_fails_is_not_acknowledged_and_its_number_is_not_used_twice(
    new_lab: Build, monkeypatch: pytest.MonkeyPatch, flow: str, moment: int
) -> None:
    lab = protected(new_lab, flow)
    lab.write("m", "primary", 0, 2, block("a"))
    host = lab._simulation.coordinators["m"].sides["primary"].host
    store = Store(monkeypatch)
    assert lab.write("m", "primary", 0, 3, block("b"), cached=True)
    assert lab.write("m", "primary", 0, 4, block("c"), cached=True)
    store.fail_at = moment
    with pytest.raises(OSError, match="no space"):
        lab.write("m", "primary", 0, 5, block("d"))
    assert host.acknowledged == (1 if moment < 3 else 2)
    assert [w[2] for w in host.guest.cache] == [block("b"), block("c")][host.acknowledged - 1 :]
    assert lab.write("m", "primary", 0, 6, block("e"))
    assert host.acknowledged == 4
    repair(lab)
    assert lab.status("m").alerts == ("ResyncRequired",)
    for place, text in ((2, "a"), (3, "b"), (4, "c"), (6, "e")):
        assert newest(lab, place) == block(text)
    assert newest(lab, 5) == bytes(BLOCK)
    assert lab.request("m", "UnplannedFailover") is None
    assert lab.settle()
    assert (lab.status("m").received, lab.status("m").loss) == (4, 0)


def test_a_stop_that_cannot_flush_fails_the_planned_failover(new_lab: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = protected(new_lab, "h2s")
    lab.write("m", "primary", 0, 2, block("a"), cached=True)
    store = Store(monkeypatch)
    assert lab.request("m", "PlannedFailover") is None
    store.fail_at = 0
    assert lab.settle()
    assert (lab.status("m").failover, lab.status("m").active) == ("none", "primary")
    assert lab.running("m", "primary")
    assert lab.request("m", "PlannedFailover") == "ResynchronisationRequired"
    repair(lab)
    assert lab.request("m", "PlannedFailover") is None
    assert lab.settle()
    assert lab.read("m", "recovery", 0, 2 * BLOCK, BLOCK) == block("a")


def test_short_writes_and_reads_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(monkeypatch)
    store.most = 1000
    base = BaseImage(make_image(tmp_path / "a.img", 4))
    disks = DiskSet(tmp_path / "slots", [base.size], [base])
    space = ExtentSpace()
    area = space.open(tmp_path / "area")
    disks.write(0, 2, block("whole"))
    extent = space.append(area, block("also"))
    assert disks.read(0, 2 * BLOCK, BLOCK) == block("whole")
    assert disks.read(0, 0, BLOCK) == block("base a.img 0")
    assert space.read(extent) == block("also")
    store.most = 0
    with pytest.raises(OSError, match="could be written"):
        disks.write(0, 2, block("never"))
    disks.close()
    base.close()
    space.close()


def test_an_image_or_store_that_became_shorter_is_an_error_and_shifts_nothing(tmp_path: Path) -> None:
    image = make_image(tmp_path / "a.img", 4)
    base = BaseImage(image)
    disks = DiskSet(tmp_path / "slots", [base.size], [base])
    disks.write(0, 3, block("x"))
    os.truncate(image, 2 * BLOCK)
    with pytest.raises(IntegrityError):
        disks.read(0, 0, 4 * BLOCK)
    os.truncate(tmp_path / "slots", 100)
    with pytest.raises(IntegrityError):
        disks.read(0, 3 * BLOCK, BLOCK)
    disks.close()
    base.close()


def test_a_failed_write_leaves_content_and_cuts_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disks = DiskSet(tmp_path / "slots", [4 * BLOCK], [None])
    disks.write(0, 1, block("old"))
    cut = disks.cut()
    store = Store(monkeypatch)
    for place in (1, 2):
        store.fail_at = 0
        with pytest.raises(OSError, match="no space"):
            disks.write(0, place, block("new"))
    for at in (None, cut):
        assert disks.read(0, 0, 4 * BLOCK, at) == bytes(BLOCK) + block("old") + bytes(2 * BLOCK)
    disks.close()


# ----------------------------------------------------------------------------------------- what counts as received


@pytest.mark.parametrize("flow", ALL)
def test_what_never_arrived_is_not_reported_as_received(new_lab: Build, flow: str) -> None:
    lab = protected(new_lab, flow)
    lab.write("m", "primary", 0, 2, block("a"))
    assert lab.settle()
    lab.fault("link")
    for number in range(5):
        lab.write("m", "primary", 0, 3, block(f"lost {number}"))
    lab.fault("primary-site")
    (path,) = lab.hrl_files("m")
    path.write_bytes(b"")
    lab.heal("primary-site")
    assert lab.status("m").alerts == ("ResyncRequired",)
    assert lab.settle()
    assert lab.request("m", "UnplannedFailover", "latest") is None
    assert lab.settle()
    assert lab.status("m").received == 1
    lab.heal("link")
    assert lab.status("m").loss == 5


# ------------------------------------------------------------------------------------------------------ bounded batches


class Counting(ReplicaHost):
    """Counts batches and the bytes of the largest, and which branches are taken."""

    sizes: list[int]
    applied_before = refused_epochs = late = 0

    def apply(self, batch: ChangeBatch) -> None:
        type(self).sizes.append(sum(w.extent.length for w in batch.writes))
        type(self).applied_before += any(w.sequence <= self.received for w in batch.writes)
        super().apply(batch)

    def accepts_epoch(self, epoch: int) -> bool:
        good = super().accepts_epoch(epoch)
        type(self).refused_epochs += not good
        return good

    def receive(self, message: Message, now: float) -> list[Send]:
        if isinstance(message, ChangeBatch | CopyChunk) and message.number <= self.after:
            type(self).late += 1
        return super().receive(message, now)


def test_a_backlog_goes_in_batches_of_bounded_size(new_lab: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "BATCH_BYTES", 5 * BLOCK)

    class Here(Counting):
        sizes: list[int] = []  # noqa: RUF012

    lab = protected(new_lab, "h2s", components={"replica-host": Here})
    lab.fault("link")
    for number in range(33):
        lab.write("m", "primary", number % 2, 2 + number % 9, block(f"w{number}"))
    lab.heal("link")
    lab.advance(31)
    lab.fault("primary-site")
    lab.heal("primary-site")
    assert lab.settle()
    assert max(Here.sizes) == 5 * BLOCK
    assert len(Here.sizes) >= 7
    for disk in range(2):
        point = lab.status("m").points[-1].id
        assert lab.read("m", point, disk, 0, 16 * BLOCK) == lab.read("m", "primary", disk, 0, 16 * BLOCK)
    assert lab.hrl_files("m") == []
    assert lab.status("m").alerts == ()


# -------------------------------------------------------------------------------------------- epochs and late copies


def cycle(lab: Lab, *operations: str) -> list[int]:
    """Run operations with writes between them; returns the epoch after each."""
    record = lab._simulation.coordinators["m"].record
    epochs = []
    for number, operation in enumerate(operations):
        active = lab.status("m").active
        if not lab.running("m", active):
            lab.start_machine("m", active)
        for place in range(3):
            assert lab.write("m", active, 0, 2 + place, block(f"{operation} {number} {place}"))
            lab.advance(0.3)
        assert lab.request("m", operation) is None, operation
        while lab.status("m").job is not None:
            assert lab.step()
        epochs.append(record.epoch)
    return epochs


ROUND = ("PlannedFailover", "Commit", "ReverseReplicate")


def test_every_failover_raises_the_epoch_on_all_that_it_reaches(new_lab: Build) -> None:
    lab = new_lab("h2s")
    unplanned = ("UnplannedFailover", "Commit", "ReverseReplicate")
    assert cycle(lab, "EnableProtection", *ROUND, *unplanned, *ROUND) == [1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    sides = lab._simulation.coordinators["m"].sides
    assert {side.host.epoch for side in sides.values()} == {4}
    assert [side.host.authority for side in sides.values()] == [False, True]


def test_late_copies_of_messages_are_recognised_in_every_session(new_lab: Build) -> None:
    class Here(Counting):
        sizes: list[int] = []  # noqa: RUF012

    for seed in range(6):
        network = Network(duplicates=0.6, latest=40)
        lab = protected(new_lab, "h2s", seed=seed, components={"replica-host": Here}, network=network)
        cycle(lab, *ROUND, *ROUND, *ROUND, *ROUND)
        for number in range(20):
            lab.write("m", "primary", 0, 3, block(f"last {number}"))
            lab.advance(7)
            if number % 4 == 0:
                lab.fault("primary-site")
                lab.heal("primary-site")
            elif number % 4 == 2:
                lab._simulation.coordinators["m"].distrust()
                repair(lab)
        assert lab.settle()
        for disk in range(2):
            assert lab.read("m", "recovery", disk, 0, 32 * BLOCK) == lab.read("m", "primary", disk, 0, 32 * BLOCK)
        lab.close()
    assert Here.refused_epochs
    assert Here.late


def test_writes_that_were_applied_before_a_crash_of_the_source_are_not_applied_again(new_lab: Build) -> None:
    class Here(Counting):
        sizes: list[int] = []  # noqa: RUF012

    lab = protected(new_lab, "h2s", components={"replica-host": Here})
    sides = lab._simulation.coordinators["m"].sides
    for number in range(3):
        lab.write("m", "primary", 0, 2, block(f"w{number}"))
    while sides["recovery"].target.received < 3:
        assert lab.step()
    assert sides["primary"].agent.in_flight is not None
    lab.fault("primary-site")
    position = sides["recovery"].host.disks.position
    lab.heal("primary-site")
    assert lab.settle()
    assert Here.applied_before == 1
    assert sides["recovery"].host.disks.position == position
    assert newest(lab, 2) == block("w2")


def test_a_stale_source_sends_again_until_it_is_fenced_and_is_refused(new_lab: Build) -> None:
    class Here(Counting):
        sizes: list[int] = []  # noqa: RUF012

    refused = 0
    for seed in range(10):
        lab = protected(new_lab, "h2s", seed=seed, components={"replica-host": Here})
        source = lab._simulation.coordinators["m"].sides["primary"].agent
        lab.write("m", "primary", 0, 2, block("a"))
        while source.in_flight is None:
            assert lab.step()
        lab.fault("link")
        assert lab.request("m", "UnplannedFailover", "latest-processed") is None
        assert lab.settle()
        content = lab.read("m", "recovery", 0, 0, 8 * BLOCK)
        assert source.sending_to is not None
        before = Here.refused_epochs
        lab.heal("link")
        assert source.sending_to is None
        assert not lab.running("m", "primary")
        sides = lab._simulation.coordinators["m"].sides
        assert {side.host.epoch for side in sides.values()} == {2}
        assert lab.settle()
        refused += Here.refused_epochs - before
        assert lab.read("m", "recovery", 0, 0, 8 * BLOCK) == content
        assert lab.status("m").loss == 1
        lab.close()
    assert refused >= 10


class Forgetful(ProcessServer):
    """Acknowledges a batch itself and then loses it: the next one does not continue where the target is."""

    def receive(self, message: Message, now: float) -> list[Send]:
        if isinstance(message, ChangeBatch) and message.number % 2 == 0:
            ack = agents.Ack(message.machine, message.epoch, message.number, message.last)
            return [Send(self.routes[message.machine].agent, ack)]
        return super().receive(message, now)


def test_a_gap_is_refused_and_never_skipped(new_lab: Build) -> None:
    lab = protected(new_lab, "v2a", components={"process-server": Forgetful})
    target = lab._simulation.coordinators["m"].sides["recovery"].target
    gaps = []
    in_order = target.in_order
    target.in_order = lambda batch: gaps.append(in_order(batch)) or gaps[-1]  # type: ignore[method-assign, func-returns-value]
    for number in range(6):
        lab.write("m", "primary", 0, 2 + number, block(f"w{number}"))
        lab.advance(30)
    assert False in gaps
    blocks = [lab.read("m", "recovery", 0, (2 + n) * BLOCK, BLOCK) == block(f"w{n}") for n in range(6)]
    assert blocks == sorted(blocks, reverse=True)


# ------------------------------------------------------------------------------------------------- points over time


def test_points_expire_as_time_passes_and_the_one_in_use_does_not(new_lab: Build) -> None:
    lab = protected(new_lab, "h2s")
    for number in range(3):
        lab.write("m", "primary", 0, 2, block(f"v{number}"))
        lab.advance(400)
    before = [p.id for p in lab.status("m").points]
    assert len(before) == 4
    cut_at = lab._simulation.coordinators["m"].sides["recovery"].target.points[1].cut_at
    lab.advance(cut_at + 2 * 3600 - lab.now - 0.01)
    assert [p.id for p in lab.status("m").points] == before[1:]
    wanted = lab.read("m", before[1], 0, 2 * BLOCK, BLOCK)
    assert lab.request("m", "UnplannedFailover", before[1]) is None
    lab.advance(0.1)
    assert lab.now - cut_at > 2 * 3600
    assert lab.status("m").job is not None
    assert lab.settle()
    assert lab.status("m").failover_point == before[1]
    lab.advance(9000)
    assert [p.id for p in lab.status("m").points] == before[1:]
    assert lab.read("m", "recovery", 0, 2 * BLOCK, BLOCK) == wanted


def test_points_expire_when_nothing_new_is_cut_and_the_newest_stays(new_lab: Build) -> None:
    lab = protected(new_lab, "h2s")
    lab.write("m", "primary", 0, 2, block("x"))
    lab.advance(600)
    last = lab.status("m").points[-1]
    assert len(lab.status("m").points) == 2
    lab.advance(3 * 3600)
    assert lab.status("m").points == (last,)


# --------------------------------------------------------------------------------------------------------------- keys


def test_no_nonce_is_used_twice_and_a_wrong_key_opens_nothing() -> None:
    codec = Codec(bytes(32))
    frames = [codec.encode(f"content {n}".encode(), b"me") for n in range(500)]
    assert len({f[: Codec.NONCE] for f in frames}) == 500
    with pytest.raises(IntegrityError):
        Codec(b"\1" * 32).decode(frames[0], b"me")
    with pytest.raises(IntegrityError):
        Codec(b"\1" * 32, encrypts=False).decode(Codec(bytes(32), encrypts=False).encode(b"x", b"me"), b"me")


def test_keys_differ_from_run_to_run_unless_reproducible_bytes_are_asked_for(new_lab: Build) -> None:
    plain = [new_lab("vmm", seed=3)._vault for _ in range(2)]
    assert plain[0].channel_key != plain[1].channel_key
    assert plain[0].records["m"].store_key != plain[1].records["m"].store_key
    fixed = [new_lab("vmm", seed=3, reproducible=True)._vault for _ in range(2)]
    assert fixed[0].channel_key == fixed[1].channel_key
    assert fixed[0].records["m"].store_key == fixed[1].records["m"].store_key


def test_the_same_seed_gives_the_same_behaviour_whatever_the_keys(new_lab: Build) -> None:
    told = []
    for _ in range(2):
        lab = protected(new_lab, "vmm", seed=7)
        for number in range(5):
            lab.write("m", "primary", 0, number, block(f"w{number}"))
            lab.advance(11)
        lab.request("m", "PlannedFailover")
        lab.settle()
        told.append((lab.now, lab._simulation.events, lab.status("m")))
    assert told[0] == told[1]


# -------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("name", ["process-server.cache", "temporary-process-server.cache"])
def test_an_image_in_the_work_folder_is_never_overwritten(
    tmp_path: Path, topologies: dict[str, Path], name: str
) -> None:
    (tmp_path / "work").mkdir()
    image = make_image(tmp_path / "work" / name)
    content = image.read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        Lab(topologies["v2a"], {"m": [image]}, tmp_path / "work")
    assert image.read_bytes() == content


def test_a_lab_that_cannot_be_made_creates_nothing_and_leaves_no_file_open(
    tmp_path: Path, topologies: dict[str, Path]
) -> None:
    good = make_image(tmp_path / "good.img")
    handles = Path("/proc/self/fd")
    before = len(list(handles.iterdir())) if handles.is_dir() else 0
    for _ in range(5):
        with pytest.raises(UsageError, match="cannot be opened"):
            Lab(topologies["v2a"], {"m": [good, tmp_path / "none.img"]}, tmp_path / "work")
    assert not (tmp_path / "work").exists()
    if before:
        assert len(list(handles.iterdir())) == before


def test_a_gateway_forgets_a_machine_whose_replication_stops(new_lab: Build) -> None:
    lab = protected(new_lab, "v2a")
    (server,) = (g for g in lab._simulation.gateways.values() if g.name == "process-server")
    lab.write("m", "primary", 0, 2, block("x"))
    while not server.cached:
        assert lab.step()
    assert lab.request("m", "UnplannedFailover") is None
    assert not server.cached


