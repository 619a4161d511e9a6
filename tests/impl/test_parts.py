"""The parts one by one: loader, flows, disks with versions, gateway, target, vault, damaged logs."""

from __future__ import annotations

import importlib.resources
import itertools
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siteproof.impl import extents
from siteproof.impl.codec import Codec
from siteproof.impl.diskset import BaseImage, DiskSet
from siteproof.impl.errors import IntegrityError, TopologyError, UnknownFlowError, UsageError
from siteproof.impl.extents import ExtentSpace
from siteproof.impl.flows import FLOWS, flow_of
from siteproof.impl.lab import Lab
from siteproof.impl.loader import load_topology, parse_topology
from siteproof.impl.messages import Ack, ChangeBatch
from siteproof.impl.process_server import ProcessServer, ProcessServerRoute
from siteproof.impl.values import BLOCK, OPERATIONS, SIDES
from siteproof.impl.vault import MachineRecord, Situation, Vault

from .conftest import ALL, TOPOLOGIES, V2A, block, make_image, repair

Build = Callable[..., Lab]


# ------------------------------------------------------------------------------------------------------------ loader


def test_a_topology_is_read_and_further_tables_are_ignored() -> None:
    topology = parse_topology(tomllib.loads(V2A), "v2a.toml")
    assert topology.kinds("recovery") == {"storage-account", "process-server"}
    assert topology.encrypted("forward")
    assert topology.policy.crash_consistent_minutes == 5
    assert flow_of(topology).gateways["recovery"].role == "temporary-process-server"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (V2A.replace('place = "azure"', 'place = "moon"'), "place 'moon' is not declared"),
        (V2A.replace("crash_consistent_minutes = 5", "crash_consistent_minutes = 0"), "crash_consistent_minutes is 0"),
        (V2A.replace("retention_hours = 24", 'retention_hours = "day"'), "retention_hours is 'day'"),
        (V2A.replace('id = "vmware-to-azure"', "id = 3"), "key 'id' is 3"),
        (V2A.replace('to = "storage-account"', 'to = "nowhere"'), "'nowhere' is not declared"),
    ],
)
def test_a_wrong_topology_names_the_key(text: str, message: str) -> None:
    with pytest.raises(TopologyError, match=message):
        parse_topology(tomllib.loads(text), "file.toml")


def test_files_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match="cannot be read"):
        load_topology(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("= 1")
    with pytest.raises(TopologyError, match="not valid TOML"):
        load_topology(tmp_path / "bad.toml")


def test_an_unknown_flow_and_a_missing_component_are_refused() -> None:
    with pytest.raises(UnknownFlowError, match="mars"):
        flow_of(parse_topology(tomllib.loads(V2A.replace('"vmware-to-azure"', '"mars"')), "x"))
    with pytest.raises(TopologyError, match="storage-account"):
        flow_of(parse_topology(tomllib.loads(V2A.replace('kind = "storage-account"', 'kind = "tape"')), "x"))


def test_the_shipped_topologies_of_implemented_flows_are_usable() -> None:
    folder = importlib.resources.files("siteproof.specs") / "topologies"
    found = set()
    for entry in folder.iterdir():
        if not entry.name.endswith(".toml"):
            continue
        topology = parse_topology(tomllib.loads(entry.read_text(encoding="utf-8")), entry.name)
        found.add(flow_of(topology).id)
    assert found == set(FLOWS)


# ------------------------------------------------------------------------------------------------------------- disks


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    moves=st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(0, 1), st.integers(0, 3)),
            st.tuples(st.just("cut")),
            st.tuples(st.just("release"), st.integers(0, 9)),
            st.tuples(st.just("branch"), st.integers(0, 9)),
            st.tuples(st.just("flatten")),
        ),
        max_size=40,
    )
)
def test_every_cut_reads_back_whatever_is_written_released_or_branched(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[object, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("disks")
    image = make_image(folder / "a.img", 4)
    base = BaseImage(image)
    disks = DiskSet(folder / "slots", [base.size, base.size], [base, None])
    live = [bytearray(image.read_bytes()), bytearray(base.size)]
    cuts: dict[int, list[bytes]] = {}
    branched = False
    for count, (verb, *args) in enumerate(moves):
        numbers = [int(str(a)) for a in args]
        if verb == "write":
            disk, place = numbers
            data = block(f"move {count}")
            disks.write(disk, place, data)
            live[disk][place * BLOCK : (place + 1) * BLOCK] = data
        elif verb == "cut" and not branched:
            cuts[disks.cut()] = [bytes(d) for d in live]
        elif verb == "release" and cuts:
            gone = sorted(cuts)[numbers[0] % len(cuts)]
            del cuts[gone]
            disks.release([gone])
        elif verb == "branch" and cuts and not branched:
            chosen = sorted(cuts)[numbers[0] % len(cuts)]
            disks.branch(chosen)
            live = [bytearray(d) for d in cuts[chosen]]
            branched = True
        elif verb == "flatten":
            disks.flatten()
            cuts.clear()
            branched = False
        for disk in range(2):
            assert disks.read(disk, 0, base.size) == live[disk]
            assert disks.read(disk, 100, 5000) == live[disk][100:5100]
            for position, content in cuts.items():
                assert disks.read(disk, 0, base.size, position) == content[disk]
    disks.close()
    base.close()
    assert image.read_bytes() == make_image(folder / "b.img", 4).read_bytes().replace(b"b.img", b"a.img")


def test_places_outside_a_disk_are_refused(tmp_path: Path) -> None:
    base = BaseImage(make_image(tmp_path / "a.img", 4))
    disks = DiskSet(tmp_path / "slots", [base.size], [base])
    for disk, place in ((1, 0), (0, 4), (0, -1)):
        with pytest.raises(UsageError):
            disks.check(disk, place)
    with pytest.raises(UsageError):
        disks.read(0, base.size - 1, 2)
    disks.close()
    base.close()


def test_an_image_of_an_odd_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.img").write_bytes(b"x" * 4097)
    with pytest.raises(UsageError, match="4097"):
        BaseImage(tmp_path / "odd.img")
    with pytest.raises(UsageError, match="cannot be opened"):
        BaseImage(tmp_path / "none.img")


def test_extents_of_a_dropped_area_are_an_error(tmp_path: Path) -> None:
    space = ExtentSpace()
    area = space.open(tmp_path / "area")
    extent = space.append(area, b"abc")
    assert space.read(extent) == b"abc"
    space.drop(area)
    with pytest.raises(IntegrityError):
        space.read(extent)
    assert not (tmp_path / "area").exists()


# ------------------------------------------------------------------------------------------------ gateway and target


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.binary(max_size=9000), flip=st.integers(0, 10**6))
def test_frames_decode_to_what_was_encoded_and_damage_is_noticed(data: bytes, flip: int) -> None:
    codec = Codec(bytes(32))
    frame = codec.encode(data, b"me")
    assert codec.decode(frame, b"me") == data
    with pytest.raises(IntegrityError):
        codec.decode(frame, b"you")
    damaged = bytearray(frame)
    damaged[flip % len(frame)] ^= 1
    with pytest.raises(IntegrityError):
        codec.decode(bytes(damaged), b"me")


def test_a_gateway_acknowledges_nothing_itself_and_a_crash_empties_its_cache(tmp_path: Path) -> None:
    space = ExtentSpace()
    server = ProcessServer("ps", space, space.open(tmp_path / "cache", lasting=False), Codec(bytes(32)))
    batch = ChangeBatch("m", 1, 1, 0, 0, ())
    assert server.receive(batch, 0) == []
    server.connect("m", ProcessServerRoute("target", "agent"))
    (sent,) = server.receive(batch, 0)
    assert sent.to == "target"
    assert len(server.cached) == 1
    server.crash()
    assert not server.cached
    server.receive(batch, 0)
    (answer,) = server.receive(Ack("m", 1, 1, 0), 0)
    assert answer.to == "agent"
    assert not server.cached
    space.close()


def test_late_copies_of_what_was_acknowledged_do_not_fill_a_gateways_cache(tmp_path: Path) -> None:
    space = ExtentSpace()
    server = ProcessServer("ps", space, cache := space.open(tmp_path / "cache", lasting=False), Codec(bytes(32)))
    for machine in ("m", "n"):
        server.connect(machine, ProcessServerRoute("target", "agent"))
    server.receive(ChangeBatch("n", 1, 1, 0, 0, ()), 0)
    for number in range(1, 50):
        batch = ChangeBatch("m", 1, number, 0, 0, ())
        assert server.receive(batch, 0)
        server.receive(Ack("m", 1, number, 0), 0)
        assert server.receive(batch, 0), "its acknowledgement may be lost: the target has to answer again"
        assert server.receive(ChangeBatch("m", 1, number - 1, 0, 0, ()), 0) == []
    assert len(server.cached) == 2
    assert len(space._passing[cache]) == 2
    server.receive(Ack("m", 1, 49, 0), 0)
    server.receive(Ack("n", 1, 1, 0), 0)
    assert (space.end(cache), space._in_memory) == (0, 0)
    space.close()


def test_a_target_refuses_a_stale_epoch_a_gap_and_a_second_helping(new_lab: Build) -> None:
    lab = new_lab("h2s")
    lab.request("m", "EnableProtection")
    lab.settle()
    sides = lab._simulation.coordinators["m"].sides
    target = sides["recovery"].target
    old = ChangeBatch("m", 0, 99, 0, 0, ())
    assert target.receive(old, 0) == []
    assert target.receive(ChangeBatch("m", 1, 99, 5, 6, ()), 0) == []
    assert lab.write("m", "primary", 0, 2, block("x"))
    (sent,) = sides["primary"].agent.pump(0)
    first = target.receive(sent.message, 0)
    position = sides["recovery"].host.disks.position
    assert target.receive(sent.message, 0) == first
    assert sides["recovery"].host.disks.position == position
    assert target.received == 1


def test_a_log_is_kept_until_the_target_acknowledges_it(new_lab: Build) -> None:
    lab = new_lab("v2a")
    lab.request("m", "EnableProtection")
    lab.settle()
    assert lab.hrl_files("m") == []
    lab.write("m", "primary", 0, 2, block("x"))
    lab.advance(0.001)
    assert len(lab.hrl_files("m")) == 1
    lab.fault("gateway")
    lab.advance(1000)
    lab.write("m", "primary", 0, 2, block("y"))
    assert 1 <= len(lab.hrl_files("m")) <= 2
    lab.heal("gateway")
    lab.settle()
    assert lab.hrl_files("m") == []
    assert lab.read("m", lab.status("m").points[-1].id, 0, 2 * BLOCK, BLOCK) == block("y")


def test_what_is_on_its_way_is_held_in_memory_up_to_a_limit_and_beyond_it_in_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extents, "IN_MEMORY", 100)
    space = ExtentSpace()
    first, second = (space.open(tmp_path / name, lasting=False) for name in ("a", "b"))
    held = [space.append(first, bytes([n]) * 40) for n in range(2)]
    over = space.append(second, b"x" * 40)
    assert [(tmp_path / name).stat().st_size for name in ("a", "b")] == [0, 40]
    assert [space.read(e) for e in (*held, over)] == [bytes(40), b"\1" * 40, b"x" * 40]
    space.truncate(first)
    again = space.append(first, b"y" * 41)
    assert space.read(again) == b"y" * 41
    for stale in held:
        with pytest.raises(IntegrityError):
            space.read(stale)
    space.truncate(first)
    space.append(second, b"z" * 100)
    assert (tmp_path / "b").stat().st_size == 40, "the room of what went is free again"
    space.close()


@pytest.mark.parametrize("flow", ALL)
@pytest.mark.parametrize("damage", ["bytes", "journal", "truncated"])
def test_a_log_damaged_in_a_crash_is_never_trusted_and_a_resync_follows(
    new_lab: Build, flow: str, damage: str
) -> None:
    lab = new_lab(flow)
    lab.request("m", "EnableProtection")
    lab.settle()
    before = lab.status("m").points
    lab.fault("link")
    lab.write("m", "primary", 0, 2, block("x"))
    lab.write("m", "primary", 1, 3, block("y"))
    lab.fault("primary-site")
    path = lab.hrl_files("m")[0]
    if damage == "journal":
        path = path.with_name(path.name + ".journal")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data[:-7] if damage == "truncated" else data)
    lab.heal("primary-site")
    lab.heal("link")
    assert lab.settle()
    status = lab.status("m")
    assert status.alerts == ("ResyncRequired",)
    assert (status.protection, status.resync, status.points) == ("protected", "required", before)
    for disk, place, text in ((0, 2, "x"), (1, 3, "y")):
        assert lab.read("m", before[0].id, disk, place * BLOCK, BLOCK) != block(text)
    repair(lab)
    (point,) = lab.status("m").points
    assert point not in before
    for disk, place, text in ((0, 2, "x"), (1, 3, "y")):
        assert lab.read("m", point.id, disk, place * BLOCK, BLOCK) == block(text)


@pytest.mark.parametrize("flow", ALL)
def test_content_damaged_under_way_is_not_used_and_a_resync_follows(new_lab: Build, flow: str) -> None:
    lab = new_lab(flow)
    lab.request("m", "EnableProtection")
    lab.settle()
    lab.write("m", "primary", 0, 2, block("x"))
    (path,) = lab.hrl_files("m")
    data = bytearray(path.read_bytes())
    data[4096] ^= 1
    path.write_bytes(data)
    repair(lab)
    status = lab.status("m")
    assert status.alerts == ("ResyncRequired",)
    assert lab.read("m", status.points[-1].id, 0, 2 * BLOCK, BLOCK) == block("x")


def test_the_implementation_knows_neither_model_nor_tester() -> None:
    for entry in importlib.resources.files("siteproof.impl").iterdir():
        if entry.name.endswith(".py"):
            text = entry.read_text(encoding="utf-8")
            assert "siteproof.model" not in text
            assert "siteproof.conformance" not in text


# ------------------------------------------------------------------------------------------------------------- vault


def test_allowed_operations_are_exactly_those_the_lifecycle_does_not_refuse() -> None:
    for topology in TOPOLOGIES.values():
        flow = flow_of(parse_topology(tomllib.loads(topology), "x"))
        vault = Vault(flow)
        good = Situation(
            source_running=True, connected=True, target_up=True, active_up=True, points=frozenset({"p1"})
        )  # fmt: skip
        records = itertools.product(
            ("none", "initial", "protected"), SIDES, ("none", "planned", "unplanned", "committed", "completed"),
            (None, *OPERATIONS), ("none", "running"), ("none", "required", "comparing", "merging"),
        )  # fmt: skip
        for protection, active, failover, job, test, resync in records:
            record = MachineRecord(
                "m", protection=protection, active=active, failover=failover, job=job, test=test, resync=resync
            )
            allowed = vault.allowed(record)
            assert list(allowed) == sorted(allowed)
            for operation in OPERATIONS:
                answer = vault.judge(record, operation, "p1", good)
                assert (answer is None) == (operation in allowed)
                if failover == "completed":
                    assert answer == "ReplicationEnded"
                elif not flow.offers(operation, active):
                    assert answer == "OperationNotSupported"


# --------------------------------------------------------------------------------------------------------------- lab


def test_a_point_is_restored_to_a_raw_image_and_no_file_is_overwritten(new_lab: Build, tmp_path: Path) -> None:
    lab = new_lab("v2a")
    lab.write("m", "primary", 1, 9, block("x"))
    lab.request("m", "EnableProtection")
    lab.settle()
    lab.restore("m", "p1", 1, tmp_path / "out.img")
    expected = bytearray((tmp_path / "0-1.img").read_bytes())
    expected[9 * BLOCK : 10 * BLOCK] = block("x")
    assert (tmp_path / "out.img").read_bytes() == expected
    with pytest.raises(UsageError, match="not overwritten"):
        lab.restore("m", "p1", 1, tmp_path / "out.img")
    with pytest.raises(UsageError, match="not advertised"):
        lab.restore("m", "p9", 1, tmp_path / "other.img")


def test_mistakes_of_the_caller_are_named(new_lab: Build, tmp_path: Path, topologies: dict[str, Path]) -> None:
    lab = new_lab("v2a")
    for call in (
        lambda: lab.status("nobody"),
        lambda: lab.write("m", "left", 0, 0, bytes(BLOCK)),
        lambda: lab.write("m", "primary", 0, 0, b"short"),
        lambda: lab.write("m", "primary", 7, 0, bytes(BLOCK)),
        lambda: lab.fault("flood"),
        lambda: lab.heal("flood"),
        lambda: lab.advance(-1),
        lambda: lab.read("m", "p9", 0, 0, 1),
        lambda: Lab(topologies["v2a"], {}, tmp_path / "w"),
        lambda: Lab(topologies["v2a"], {"../m": [tmp_path / "0-0.img"]}, tmp_path / "w"),
        lambda: Lab(topologies["v2a"], {"m": []}, tmp_path / "w"),
        lambda: Lab(topologies["v2a"], {"m": [tmp_path / "0-0.img"]}, tmp_path / "work0"),
        lambda: Lab(topologies["v2a"], {"m": [tmp_path / "0-0.img"]}, tmp_path / "w", components={"cook": Vault}),
    ):
        with pytest.raises(UsageError):
            call()


def test_two_machines_share_a_gateway_and_keep_their_data_apart(tmp_path: Path, topologies: dict[str, Path]) -> None:
    images = {name: [make_image(tmp_path / f"{name}.img")] for name in ("a", "b")}
    with Lab(topologies["v2a"], images, tmp_path / "work") as lab:
        for name in images:
            assert lab.request(name, "EnableProtection") is None
        for number in range(50):
            for name in images:
                lab.write(name, "primary", 0, number % 32, block(f"{name} {number}"))
            lab.advance(0.1)
        assert lab.settle()
        for name in images:
            point = lab.status(name).points[-1].id
            assert lab.read(name, point, 0, 17 * BLOCK, BLOCK) == block(f"{name} 49")
            assert lab.read(name, point, 0, 0, 32 * BLOCK) == lab.read(name, "primary", 0, 0, 32 * BLOCK)
