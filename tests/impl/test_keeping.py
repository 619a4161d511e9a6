"""A system that is kept on real files: it goes on after its program has ended, or was killed."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from siteproof.impl.disk import RealDisk
from siteproof.impl.errors import StoppedError, UsageError
from siteproof.impl.lab import Lab
from siteproof.impl.store import RealStorage, SqliteStore
from siteproof.impl.values import BLOCK

from .conftest import ALL, block, make_image, repair

Begin = Callable[..., Lab]


@pytest.fixture
def begin(tmp_path: Path, topologies: dict[str, Path]) -> Iterator[Begin]:
    """A factory of kept labs on one work folder; each closes the one before."""
    images = [make_image(tmp_path / f"base-{n}.img") for n in range(2)]
    labs: list[Lab] = []

    def build(flow: str, **options: object) -> Lab:
        while labs:
            labs.pop().close()
        labs.append(Lab(topologies[flow], {"m": images}, tmp_path / "work", durable=True, **options))  # type: ignore[arg-type]
        return labs[0]

    yield build
    while labs:
        labs.pop().close()


def protected(lab: Lab) -> Lab:
    assert lab.request("m", "EnableProtection") is None
    assert lab.settle()
    assert lab.status("m").protection == "protected"
    return lab


def images_of(lab: Lab) -> dict[str, list[bytes]]:
    places = ["primary", "recovery", *(p.id for p in lab.status("m").points)]
    return {place: [lab.read("m", place, disk, 0, 32 * BLOCK) for disk in range(2)] for place in places}


@pytest.mark.parametrize("flow", ALL)
def test_everything_observed_is_the_same_after_the_program_has_ended(begin: Begin, flow: str) -> None:
    lab = protected(begin(flow))
    for number in range(9):
        assert lab.write("m", "primary", number % 2, number, block(f"x{number}"))
        lab.advance(100)
    assert lab.settle()
    status, images = lab.status("m"), images_of(lab)
    assert len(status.points) > 2
    for _ in range(2):
        lab = begin(flow, resume=True)
        assert lab.running("m", "primary")
        assert lab.settle()
        assert (lab.status("m"), images_of(lab)) == (status, images)
    assert lab.write("m", "primary", 0, 5, block("after"))
    assert lab.settle()
    assert lab.request("m", "UnplannedFailover", "latest") is None
    assert lab.settle()
    assert (lab.status("m").loss, lab.read("m", "recovery", 0, 5 * BLOCK, BLOCK)) == (0, block("after"))


@pytest.mark.parametrize("flow", ALL)
def test_a_job_goes_on_where_it_was(begin: Begin, flow: str) -> None:
    lab = begin(flow)
    assert lab.request("m", "EnableProtection") is None
    for number in range(12):
        lab.write("m", "primary", 0, number, block(f"x{number}"))
        lab.step()
        lab = begin(flow, resume=True)
    assert lab.settle()
    assert (lab.status("m").job, lab.status("m").protection) == (None, "protected")
    assert lab.request("m", "UnplannedFailover", "latest") is None
    assert lab.settle()
    for number in range(12):
        assert lab.read("m", "recovery", 0, number * BLOCK, BLOCK) == block(f"x{number}")


def test_a_request_that_was_answered_is_the_same_request_after_a_restart(begin: Begin) -> None:
    lab = protected(begin("h2s"))
    assert lab.request("m", "Commit", request_id="a/b") == "NoFailoverToCommit"
    assert lab.request("m", "UnplannedFailover", "latest", request_id="c") is None
    lab = begin("h2s", resume=True)
    assert lab.settle()
    assert lab.request("m", "Commit", request_id="a/b") == "NoFailoverToCommit"
    assert lab.request("m", "UnplannedFailover", "latest", request_id="c") is None
    assert (lab.status("m").job, lab.status("m").failover) == (None, "unplanned")
    assert lab.request("m", "Commit", request_id="d") is None


def test_a_system_is_begun_once_and_resumed_with_what_it_had(
    begin: Begin, tmp_path: Path, topologies: dict[str, Path]
) -> None:
    with pytest.raises(UsageError, match="holds no system"):
        begin("h2s", resume=True)
    begin("h2s")
    with pytest.raises(UsageError, match="holds a system already"):
        begin("h2s")
    other = {"other": [tmp_path / "base-0.img"]}
    with pytest.raises(UsageError, match="m expected"):
        Lab(topologies["h2s"], other, tmp_path / "work", resume=True)
    assert begin("h2s", resume=True).running("m", "primary")


def test_a_work_folder_has_one_system_at_a_time(begin: Begin, tmp_path: Path, topologies: dict[str, Path]) -> None:
    lab = protected(begin("h2s"))
    images = [tmp_path / f"base-{n}.img" for n in range(2)]
    with pytest.raises(UsageError, match="another system that still runs"):
        Lab(topologies["h2s"], {"m": images}, tmp_path / "work", resume=True)
    assert lab.write("m", "primary", 0, 5, block("mine"))
    assert lab.settle()
    assert lab.request("m", "UnplannedFailover", "latest") is None
    assert lab.settle()
    assert lab.read("m", "recovery", 0, 5 * BLOCK, BLOCK) == block("mine")
    lab.close()
    lab.close()
    assert begin("h2s", resume=True).read("m", "recovery", 0, 5 * BLOCK, BLOCK) == block("mine")


def test_a_system_is_resumed_with_its_own_flow_and_images_alone(
    tmp_path: Path, topologies: dict[str, Path], begin: Begin
) -> None:
    protected(begin("hv"))
    begin("hv", resume=True).close()
    first, second = (tmp_path / f"base-{n}.img" for n in range(2))
    shorter = tmp_path / "shorter.img"
    shorter.write_bytes(first.read_bytes()[:-BLOCK])
    changed = tmp_path / "changed.img"
    changed.write_bytes(block("other") + first.read_bytes()[BLOCK:])
    for flow, images, why in (
        ("v2a", [first, second], "holds a system of the flow"),
        ("hv", [first], f"{first.stat().st_size} bytes given"),
        ("hv", [shorter, second], "bytes given"),
        ("hv", [changed, second], "image of disk 0 is not the one"),
    ):
        with pytest.raises(UsageError, match=why):
            Lab(topologies[flow], {"m": images}, tmp_path / "work", resume=True)
    assert begin("hv", resume=True).status("m").protection == "protected"


class BadDisk(RealDisk):
    """Files with sectors for which the disk gives an error."""

    def __init__(self, bad: Callable[[str, int], bool]) -> None:
        self.paths: dict[int, str] = {}
        self.bad = bad

    def create(self, path: Path, *, lasting: bool = True) -> int:
        file = super().create(path, lasting=lasting)
        self.paths[file] = path.name
        return file

    def open(self, path: Path) -> int:
        file = super().open(path)
        self.paths[file] = path.name
        return file

    def read(self, file: int, length: int, offset: int) -> bytes:
        if self.bad(self.paths[file], offset):
            raise OSError(errno.EIO, "Input/output error")
        return super().read(file, length, offset)


def bad_storage(folder: Path, bad: Callable[[str, int], bool]) -> RealStorage:
    storage = RealStorage(folder)
    storage.disk = BadDisk(bad)
    return storage


@pytest.mark.parametrize("down", [(), ("primary-site",)])
@pytest.mark.parametrize("ending", [".hrl", ".hrl.journal"])
def test_a_change_log_that_cannot_be_read_keeps_nobody_from_failing_over(
    tmp_path: Path, topologies: dict[str, Path], ending: str, down: tuple[str, ...]
) -> None:
    image = make_image(tmp_path / "base.img")
    with Lab(topologies["v2a"], {"m": [image]}, tmp_path / "work", durable=True) as lab:
        protected(lab)
        lab.write("m", "primary", 0, 3, block("sent"))
        assert lab.settle()
        lab.fault("gateway")
        lab.write("m", "primary", 0, 4, block("unsent"))
    storage = bad_storage(tmp_path / "work", lambda name, _: name.startswith("primary-disk0") and name.endswith(ending))
    with Lab(topologies["v2a"], {"m": [image]}, tmp_path / "work", resume=True, down=down, storage=storage) as lab:
        assert lab.request("m", "UnplannedFailover", "latest") is None
        assert lab.settle()
        assert lab.read("m", "recovery", 0, 3 * BLOCK, BLOCK) == block("sent")
        assert lab.status("m").active == "recovery"


def test_a_block_that_the_disk_gives_an_error_for_is_unreadable_and_stops_nothing(
    tmp_path: Path, topologies: dict[str, Path]
) -> None:
    image = make_image(tmp_path / "base.img")
    bad = [""]
    storage = bad_storage(tmp_path / "work", lambda name, _: name == bad[0])
    with Lab(topologies["v2a"], {"m": [image]}, tmp_path / "work", durable=True, storage=storage) as lab:
        lab.write("m", "primary", 0, 3, block("x"))
        bad[0] = "primary.disks"
        assert lab.request("m", "EnableProtection") is None
        assert lab.settle()
        assert (lab.status("m").protection, lab.status("m").alerts) == ("none", ("SourceUnreadable",))
        bad[0] = ""
        assert lab.request("m", "EnableProtection") is None
        assert lab.settle()
        assert lab.status("m").protection == "protected"


def test_what_a_log_held_when_it_was_resumed_counts_as_forced(tmp_path: Path, topologies: dict[str, Path]) -> None:
    image = make_image(tmp_path / "base.img")
    with Lab(topologies["v2a"], {"m": [image]}, tmp_path / "work", durable=True, sync=True) as lab:
        protected(lab)
        lab.fault("gateway")
        lab.write("m", "primary", 0, 4, block("unsent"))
    with Lab(
        topologies["v2a"], {"m": [image]}, tmp_path / "work", resume=True, sync=True, down=("gateway",)
    ) as lab:
        before = [path.stat().st_size for path in lab.hrl_files("m")]
        lab.fault("primary-site")
        assert [path.stat().st_size for path in lab.hrl_files("m")] == before
        lab.heal("primary-site")
        assert lab.status("m").resync == "none"


def test_a_process_that_was_killed_holds_its_work_folder_no_longer(tmp_path: Path, topologies: dict[str, Path]) -> None:
    images = [make_image(tmp_path / "base.img")]
    child = os.fork()
    if child == 0:  # pragma: no cover: it ends without a report
        Lab(topologies["h2s"], {"m": images}, tmp_path / "work", durable=True)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with Lab(topologies["h2s"], {"m": images}, tmp_path / "work", resume=True) as lab:
        assert lab.running("m", "primary")


def test_a_system_that_could_not_begin_holds_nothing(begin: Begin) -> None:
    with pytest.raises(UsageError, match="holds no system"):
        begin("h2s", resume=True)
    assert begin("h2s").running("m", "primary")


def test_keys_of_channels_are_new_and_keys_of_stores_stay(begin: Begin, tmp_path: Path) -> None:
    lab = protected(begin("hv"))
    lab.write("m", "primary", 0, 5, block("SECRETSECRET"))
    assert lab.settle()
    channel, store = lab._vault.channel_key, lab._vault.records["m"].store_key
    lab = begin("hv", resume=True)
    assert lab._vault.channel_key != channel
    assert lab._vault.records["m"].store_key == store
    assert b"SECRETSECRET" not in (tmp_path / "work" / "m" / "recovery.disks").read_bytes()
    point = lab.status("m").points[-1].id
    assert lab.read("m", point, 0, 5 * BLOCK, BLOCK) == block("SECRETSECRET")


@pytest.mark.parametrize("ending", [".hrl", ".hrl.journal"])
def test_a_log_that_is_gone_calls_for_a_resynchronisation(begin: Begin, tmp_path: Path, ending: str) -> None:
    lab = protected(begin("v2a"))
    lab.fault("link")
    lab.write("m", "primary", 0, 5, block("x"))
    lab.close()
    (gone,) = (p for p in (tmp_path / "work" / "m").iterdir() if p.name.endswith(ending))
    gone.unlink()
    lab = begin("v2a", resume=True)
    repair(lab)
    assert lab.request("m", "UnplannedFailover", "latest") is None
    assert lab.settle()
    assert lab.read("m", "recovery", 0, 5 * BLOCK, BLOCK) == block("x")


def test_disks_that_are_gone_are_told_and_nothing_begins(begin: Begin, tmp_path: Path) -> None:
    protected(begin("v2a")).close()
    (tmp_path / "work" / "m" / "recovery.disks").unlink()
    with pytest.raises(UsageError, match=r"recovery\.disks: is missing"):
        begin("v2a", resume=True)


def test_points_still_expire_after_a_restart(begin: Begin) -> None:
    lab = protected(begin("h2s"))
    for number in range(4):
        lab.write("m", "primary", 0, number, block(f"x{number}"))
        lab.advance(400)
    assert lab.settle()
    points = lab.status("m").points
    assert len(points) == 5
    lab = begin("h2s", resume=True)
    lab.advance(3600)
    assert lab.status("m").points == points
    lab.advance(2 * 3600)
    assert lab.status("m").points == points[-1:]


def test_files_that_nothing_refers_to_are_swept(begin: Begin, tmp_path: Path) -> None:
    protected(begin("v2a")).close()
    stray = tmp_path / "work" / "m" / "recovery.resync-9"
    stray.write_bytes(b"left behind")
    before = {p.name for p in stray.parent.iterdir()} - {stray.name}
    begin("v2a", resume=True)
    assert {p.name for p in stray.parent.iterdir()} == before


def test_a_site_that_is_down_at_the_restart_starts_later(begin: Begin) -> None:
    lab = protected(begin("h2s"))
    lab.write("m", "primary", 0, 5, block("x"))
    assert lab.settle()
    lab = begin("h2s", resume=True, down=["primary-site"])
    assert not lab.running("m", "primary")
    assert lab.request("m", "UnplannedFailover", "latest") is None
    assert lab.settle()
    assert lab.running("m", "recovery")
    lab = begin("h2s", resume=True, down=["primary-site"])
    assert lab.running("m", "recovery")
    lab.heal("primary-site")
    assert not lab.running("m", "primary")
    assert lab.status("m").loss == 0


@pytest.mark.parametrize("broken", ["write", "sync", "commit"])
def test_an_event_that_cannot_be_kept_stops_the_system_until_it_is_resumed(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    lab = protected(begin("v2a"))
    assert lab.write("m", "primary", 0, 5, block("before"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore if broken == "commit" else RealDisk, broken, full)
        with pytest.raises(OSError, match="no space"):
            lab.settle()
    assert lab.stopped
    with pytest.raises(StoppedError, match="resume it"):
        lab.write("m", "primary", 0, 6, block("too late"))
    lab = begin("v2a", resume=True)
    assert not lab.stopped
    assert lab.read("m", "primary", 0, 5 * BLOCK, 2 * BLOCK) == block("before") + bytes(BLOCK)
    assert lab.settle()
    assert (lab.status("m").job, lab.status("m").resync) == (None, "none")
    point = lab.status("m").points[-1].id
    assert lab.read("m", point, 0, 5 * BLOCK, BLOCK) == block("before")


PROGRAM = """
import sys
from pathlib import Path
from siteproof.impl.lab import Lab
topology, image, work = map(Path, sys.argv[1:])
lab = Lab(topology, {"m": [image]}, work, durable=True)
assert lab.request("m", "EnableProtection") is None
assert lab.settle()
for number in range(100000):
    assert lab.write("m", "primary", 0, number % 32, str(number).encode().ljust(4096, b"."))
    print(number, flush=True)
    lab.step()
"""


@pytest.mark.parametrize("kills", [5, 60])
def test_what_was_acknowledged_survives_a_killed_program(
    tmp_path: Path, topologies: dict[str, Path], kills: int
) -> None:
    image, work = make_image(tmp_path / "base.img"), tmp_path / "work"
    arguments = [sys.executable, "-c", PROGRAM, str(topologies["h2s"]), str(image), str(work)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        last = -1
        for line in program.stdout:
            last = int(line)
            if last == kills:
                os.kill(program.pid, signal.SIGKILL)
    assert last >= kills
    with Lab(topologies["h2s"], {"m": [image]}, work, resume=True) as lab:
        assert lab.settle()
        assert lab.request("m", "PlannedFailover") is None
        assert lab.settle()
        expected = bytearray(image.read_bytes())
        for number in range(last + 1):
            expected[number % 32 * BLOCK : (number % 32 + 1) * BLOCK] = str(number).encode().ljust(BLOCK, b".")
        more = bytearray(expected)
        more[(last + 1) % 32 * BLOCK : ((last + 1) % 32 + 1) * BLOCK] = str(last + 1).encode().ljust(BLOCK, b".")
        assert lab.read("m", "recovery", 0, 0, 32 * BLOCK) in (expected, more)


@pytest.mark.parametrize("error", [KeyboardInterrupt, sqlite3.DatabaseError, MemoryError])
def test_a_commit_that_is_interrupted_stops_the_system_and_loses_nothing(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    lab = protected(begin("h2s"))
    assert lab.write("m", "primary", 0, 5, block("precious"))
    kept = SqliteStore._transaction

    def interrupted(store: SqliteStore, changes: dict[str, str | None]) -> None:
        if store._path.name == "recovery.sqlite" and any("/block/" in key for key in changes):
            raise error
        kept(store, changes)

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "_transaction", interrupted)
        with pytest.raises(OSError if error is sqlite3.DatabaseError else error):
            lab.settle()
    assert lab.stopped
    with pytest.raises(StoppedError, match="resume it"):
        lab.settle()
    lab = begin("h2s", resume=True)
    assert lab.settle()
    assert lab.request("m", "UnplannedFailover", "latest") is None
    assert lab.settle()
    assert lab.read("m", "recovery", 0, 5 * BLOCK, BLOCK) == block("precious")


def test_an_event_that_is_interrupted_stops_the_system_and_a_mistake_does_not(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = protected(begin("h2s"))
    with pytest.raises(UsageError):
        lab.fault("rain")
    with pytest.raises(UsageError):
        lab.write("m", "primary", 7, 5, block("x"))
    assert not lab.stopped
    monkeypatch.setattr(lab._machine("m").sides["primary"].host.disks, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        lab.write("m", "primary", 0, 5, block("x"))
    assert lab.stopped
    lab = begin("h2s", resume=True)
    monkeypatch.setattr(lab._machine("m").sides["recovery"].target, "apply", interrupt)
    assert lab.write("m", "primary", 0, 5, block("y"))
    with pytest.raises(KeyboardInterrupt):
        lab.settle()
    assert lab.stopped
    lab = begin("h2s", resume=True)
    assert lab.settle()
    assert lab.read("m", "recovery", 0, 5 * BLOCK, BLOCK) == block("y")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_is_not_ours_is_not_swept(begin: Begin, tmp_path: Path) -> None:
    protected(begin("v2a")).close()
    work = tmp_path / "work"
    mine = [work / "disk.img", work / "m" / "notes.txt", work / "m" / "recovery.disks.old", work / "vault.sqlite.bak"]
    for path in mine:
        path.write_bytes(b"mine")
    left = [work / "m" / f"primary-disk0-000099.hrl{more}" for more in ("", ".journal")]
    for path in left:
        path.write_bytes(b"left behind")
    begin("v2a", resume=True)
    assert [path.read_bytes() for path in mine] == [b"mine"] * 4
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize("place", ["work", "work/m", "work/images"])
def test_an_image_in_the_work_folder_is_refused_and_stays(tmp_path: Path, topologies: dict[str, Path], place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    image = make_image(tmp_path / place / "web.img")
    (tmp_path / "link.img").symlink_to(image)
    for given in (image, tmp_path / "link.img"):
        with pytest.raises(UsageError, match=r"lies in the work folder .*move it out of there"):
            Lab(topologies["h2s"], {"web": [given]}, tmp_path / "work", durable=True)
    assert image.exists()
    assert not list((tmp_path / "work").glob("*.sqlite"))


@pytest.mark.parametrize("name", ["record", "x/record", "m/x/record"])
def test_any_id_of_a_request_can_be_resumed(begin: Begin, name: str) -> None:
    lab = begin("h2s")
    assert lab.request("m", "EnableProtection", request_id=name) is None
    assert lab.settle()
    lab = begin("h2s", resume=True)
    assert lab.request("m", "EnableProtection", request_id=name) is None
    assert lab.request("m", "EnableProtection", request_id="other") == "AlreadyProtected"


@pytest.mark.parametrize("flow", [ALL[0], ALL[-1]])
@pytest.mark.parametrize("moment", ["a write", "writes that have arrived", "a point", "a failover"])
@pytest.mark.parametrize("place", ["vault", "primary", "recovery"])
@pytest.mark.parametrize("down", [(), ("link",)])
def test_a_place_that_is_put_back_to_an_older_state_is_refused_or_calls_for_a_resynchronisation(
    begin: Begin, tmp_path: Path, flow: str, moment: str, place: str, down: tuple[str, ...]
) -> None:
    """Never is a machine called protected whose replica lacks what it had; also where the sides cannot compare what they know
    before the active one has acknowledged more."""
    lab = protected(begin(flow))
    for number in range(3):
        assert lab.write("m", "primary", 0, number, block(f"early {number}"))
    assert lab.settle()
    lab.close()
    work, old = tmp_path / "work", tmp_path / "old"
    shutil.copytree(work, old)
    lab = begin(flow, resume=True)
    assert lab.settle()
    active = "primary"
    for number in range(3, 6):
        assert lab.write("m", "primary", 0, number, block(f"late {number}"))
        if moment == "writes that have arrived":
            assert lab.settle()
    if moment != "a write":
        lab.advance(600)
        assert lab.settle()
    if moment == "a failover":
        assert lab.request("m", "UnplannedFailover", "latest") is None
        assert lab.settle()
        active = "recovery"
    lab.close()
    for file in old.rglob(f"{place}*"):
        target = work / file.relative_to(old)
        if file.is_file():
            shutil.copy2(file, target)
    for file in work.rglob(f"{place}*"):
        if not (old / file.relative_to(work)).exists():
            file.unlink()
    told = ""
    try:
        lab = begin(flow, resume=True, down=down)
    except UsageError as error:
        told = str(error)
    if told:
        assert f"what the {place} keeps was put back to an older state" in told
        return
    assert lab.settle()
    for number in range(8, 14) if down and lab.running("m", active) else ():
        assert lab.write("m", active, 0, number, block(f"apart {number}"))
    for fault in down:  # and the program ends once more, before they can
        lab = begin(flow, resume=True, down=down)
        lab.heal(fault)
    assert lab.settle()
    if lab.status("m").resync == "required":
        repair(lab)
    if lab.running("m", active) and lab.status("m").active == active:
        assert lab.write("m", active, 0, 7, block("last"))
    assert lab.settle()
    if lab.status("m").resync == "required":
        repair(lab)
    if lab.status("m").protection == "protected" and lab.status("m").failover == "none":
        for disk in range(2):
            assert lab.read("m", "recovery", disk, 0, 32 * BLOCK) == lab.read("m", "primary", disk, 0, 32 * BLOCK)
