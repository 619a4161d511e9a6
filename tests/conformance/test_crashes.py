"""A crash after every durable effect: nothing that was promised is lost; and the test would notice if it were."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import pytest

from siteproof.conformance.cli import main
from siteproof.conformance.drivers.bundled import topology_of
from siteproof.conformance.drivers.bundled_crashes import Plan, Tally, explore, explore_failures
from siteproof.conformance.drivers.bundled_group_crashes import explore_group
from siteproof.conformance.drivers.bundled_histories import History, drawn_history, histories
from siteproof.conformance.drivers.bundled_walks import walks
from siteproof.impl import agent, keeping, simulation, target
from siteproof.impl.changelog import LogFile
from siteproof.impl.disk import CarefulDisk
from siteproof.impl.diskset import DiskSet
from siteproof.impl.flows import FLOWS
from siteproof.impl.group import ReplicationGroup
from siteproof.impl.keeping import Keeper
from siteproof.impl.replication import ReplicationControl
from siteproof.impl.simulated_disk import Crash
from siteproof.impl.store import PLACES
from siteproof.impl.target import ReplicationTarget
from siteproof.impl.values import SIDES
from siteproof.impl.vault import Vault
from siteproof.impl.vm_host import VmHost
from tests.seeds import seed_for
from tests.soak import soak

EVERY = {"hyper-v-to-secondary-site": 1, "physical-to-azure": 5, "hyper-v-site-to-azure": 5}
"""Of the crash points of a flow every n-th is tried by default: all in one flow, a fifth where the same code runs as in
another flow, and a third elsewhere. On demand all of them, in every way."""


def tried(flow: str, plan: Plan, folder: Path, seed: int, name: str = "") -> tuple[Tally, list[str]]:
    """All histories of a flow (or those whose name contains `name`): the sums, and what was found, in words."""
    total, found = Tally(), []
    for history in histories(FLOWS[flow]):
        if name in history.name:
            tally = explore(topology_of(flow), history, folder, seed, plan)
            total.points += tally.points
            total.worlds += tally.worlds
            total.second += tally.second
            total.pairs += tally.pairs
            found += [f"{f.history}, effect {f.effect} ({f.name}), {f.crash}, dark {f.dark}: {f.text}" for f in tally.findings]
    return total, found


@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_nothing_is_lost_in_a_crash_after_any_effect(flow: str, tmp_path: Path) -> None:
    every = EVERY.get(flow, 3)
    plan = Plan(in_turn=True, every=every)
    total, found = tried(flow, plan, tmp_path, seed_for(f"crash {flow}"))
    print(f"{flow}: {total.points} crash points, {total.worlds} restarts")
    assert not found
    assert total.points >= 700 // every


@soak
@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_nothing_is_lost_in_any_kind_of_crash_after_any_effect(flow: str, tmp_path: Path) -> None:
    total, found = tried(flow, Plan(), tmp_path, seed_for(f"crash {flow}"))
    print(f"{flow}: {total.points} crash points, {total.worlds} restarts")
    assert not found
    assert total.worlds >= 6000


@soak
@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_nothing_is_lost_in_a_second_crash_while_the_system_starts_again(flow: str, tmp_path: Path) -> None:
    total, found = tried(flow, Plan(in_turn=True, pairs=1000), tmp_path, seed_for(f"crash {flow}"))
    print(f"{flow}: {total.points} crash points, {total.second} of {total.pairs} pairs, {total.worlds} restarts")
    assert not found
    assert total.second >= 5000


def test_pairs_of_crashes_are_all_tried_or_as_many_as_the_budget_allows(tmp_path: Path) -> None:
    """Nothing is lost when a second crash strikes while the system recovers from the first."""
    topology = topology_of(HYPER_V)
    history = next(h for h in histories(FLOWS[HYPER_V]) if h.name == "change of point")
    every = explore(topology, history, tmp_path, 3, Plan(in_turn=True, pairs=10_000, dark=("none",)))
    assert not every.findings
    assert every.second == every.pairs > 100
    some = explore(topology, history, tmp_path, 3, Plan(in_turn=True, pairs=50, dark=("none",)))
    assert not some.findings
    assert some.pairs == every.pairs
    assert 25 <= some.second <= 50


def test_a_mistake_that_only_a_second_crash_shows_is_found(tmp_path: Path) -> None:
    """Orders that the sites carry out during the restart, and of which the vault then says that they are done before they are."""
    topology = topology_of(HYPER_V)
    history = next(h for h in histories(FLOWS[HYPER_V]) if h.name == "change of point")
    with mock.patch.object(Keeper, "_carry_out_orders", notes_orders_first):
        found = explore(topology, history, tmp_path, 3, Plan(in_turn=True, pairs=10_000, dark=("none",))).findings
    assert found
    assert all("of the restart" in finding.name for finding in found)


def drawn(flow: str, seeds: range, plan: Plan, folder: Path) -> tuple[int, list[str]]:
    """Histories that are drawn: how many restarts, and what was found, in words."""
    worlds, found = 0, []
    for seed in seeds:
        first = seed_for(f"drawn {flow} {seed}")
        tally = explore(topology_of(flow), drawn_history(first), folder, first, plan)
        worlds += tally.worlds
        found += [f"{f.history}, effect {f.effect} ({f.name}), {f.crash}, dark {f.dark}: {f.text}" for f in tally.findings]
    return worlds, found


@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_nothing_is_lost_in_histories_that_are_drawn(flow: str, tmp_path: Path) -> None:
    worlds, found = drawn(flow, range(4), Plan(in_turn=True, every=7), tmp_path)
    assert not found
    assert worlds > 10


@soak
@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_nothing_is_lost_in_many_histories_that_are_drawn(flow: str, tmp_path: Path) -> None:
    worlds, found = drawn(flow, range(3, 30), Plan(in_turn=True), tmp_path)
    print(f"{flow}: {worlds} restarts")
    assert not found
    assert worlds > 2000


def failed(flow: str, every: int, folder: Path, seed: int) -> tuple[int, list[str]]:
    """All histories of a flow, with effects that fail: how many, and what was found, in words."""
    points, found = 0, []
    for history in histories(FLOWS[flow]):
        tally = explore_failures(topology_of(flow), history, folder, seed, every)
        points += tally.points
        found += [f"{f.history}, effect {f.effect} ({f.name}), {f.crash}: {f.text}" for f in tally.findings]
    return points, found


@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_nothing_is_lost_when_an_effect_fails_as_on_a_full_disk(flow: str, tmp_path: Path) -> None:
    points, found = failed(flow, 19, tmp_path, seed_for(f"full {flow}"))
    print(f"{flow}: {points} effects failed")
    assert not found
    assert points >= 40


@soak
@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_nothing_is_lost_whichever_effect_fails(flow: str, tmp_path: Path) -> None:
    points, found = failed(flow, 1, tmp_path, seed_for(f"full {flow}"))
    print(f"{flow}: {points} effects failed")
    assert not found
    assert points >= 650


@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_nothing_is_lost_when_a_file_cannot_be_read(flow: str, tmp_path: Path) -> None:
    points = 0
    for history in histories(FLOWS[flow]):
        tally = explore_failures(topology_of(flow), history, tmp_path, 1, 5, read=True)
        points += tally.points
        assert not [f"{f.history}, step {f.step}, {f.crash}: {f.text}" for f in tally.findings]
    assert points >= 15


@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_nothing_is_lost_in_walks_through_many_crashes(flow: str, tmp_path: Path) -> None:
    first = seed_for(f"walk {flow}")
    tally = walks(topology_of(flow), tmp_path, range(first, first + 12))
    assert not [f"{f.history}, step {f.step}, effect {f.effect} ({f.name}), {f.crash}: {f.text}" for f in tally.findings]
    assert tally.points > 5


@pytest.mark.parametrize(("mistake", "text"), [
    (lambda: mock.patch.object(Vault, "new_answers", return_value=[]), "a retry of"),
    (lambda: forgets(agent, "number"), "is stuck"),
    (lambda: mock.patch.object(CarefulDisk, "flush"), ""),
])  # fmt: skip
def test_a_walk_finds_what_is_forgotten(mistake: Callable[[], AbstractContextManager[Any]], text: str, tmp_path: Path) -> None:
    with mistake():
        found = walks(topology_of(HYPER_V), tmp_path, range(20)).findings
    assert any(text in finding.text for finding in found)


def test_a_target_that_forgets_what_it_has_received_is_told_by_its_counts(tmp_path: Path) -> None:
    """With the comparison of counts at a restart it is resynchronised; without it writes are lost."""
    compared, bare = tmp_path / "compared", tmp_path / "not compared"
    compared.mkdir()
    bare.mkdir()
    with forgets(target, "received"):
        assert not walks(topology_of(HYPER_V), compared, range(20)).findings
        with mock.patch.object(ReplicationControl, "check_counts"):
            assert walks(topology_of(HYPER_V), bare, range(20)).findings


def numbers_begin_again(of: ReplicationGroup, name: str, members: Mapping[str, Any]) -> None:
    GROUP(of, name, members)
    of._made = 0


def freezes_nobody(of: ReplicationGroup, member: str, name: str, now: float) -> bool:
    FREEZE(of, member, name, now)
    of._host(member).frozen = False
    return True


def test_points_of_a_group_survive_crashes_while_they_are_made(tmp_path: Path) -> None:
    tally = explore_group(topology_of(VMWARE), tmp_path, 1, Plan(in_turn=True, every=4, pairs=30))
    assert 20 < tally.second <= 30 < tally.pairs
    assert not [f"effect {f.effect} ({f.name}), {f.crash}, dark {f.dark}: {f.text}" for f in tally.findings]
    assert tally.points > 50
    with mock.patch.object(ReplicationGroup, "__init__", numbers_begin_again):
        found = explore_group(topology_of(VMWARE), tmp_path, 1, Plan(in_turn=True, every=4, enough=1)).findings
    assert found
    with mock.patch.multiple(ReplicationGroup, freeze=freezes_nobody, held=lambda *_: True):
        found = explore_group(topology_of(VMWARE), tmp_path, 1, Plan(in_turn=True, every=4, enough=1)).findings
    assert any("depends on" in finding.text for finding in found)


def test_common_points_that_are_not_told_to_be_after_a_restart_are_found(tmp_path: Path) -> None:
    def forgets(target: ReplicationTarget, head: Any) -> None:
        restored(target, head)
        target.points = [attrs.evolve(point, group="") for point in target.points]

    restored = ReplicationTarget.restore
    with mock.patch.object(ReplicationTarget, "restore", forgets):
        found = explore_group(topology_of(VMWARE), tmp_path, 1, Plan(in_turn=True, every=4, enough=1)).findings
    assert any("not told to be any more" in finding.text for finding in found)


def test_a_failover_that_a_dark_site_needs_and_nobody_offers_is_found(tmp_path: Path) -> None:
    def offers(vault: Vault, record: Any, operation: str) -> str | None:
        return "NotProtected" if operation == "UnplannedFailover" else code(vault, record, operation)

    code = Vault.lifecycle_code
    history = next(h for h in histories(FLOWS[HYPER_V]) if h.name == "batches that overwrite")
    with mock.patch.object(Vault, "lifecycle_code", offers):
        found = explore(topology_of(HYPER_V), history, tmp_path, plan=Plan(in_turn=True, every=3)).findings
    assert any("no unplanned failover is offered" in finding.text for finding in found)


def test_a_system_that_does_not_stop_when_an_event_fails_is_found(tmp_path: Path) -> None:
    with mock.patch.object(Keeper, "stop"):
        _, found = failed(HYPER_V, 5, tmp_path, 1)
    assert found


# --------------------------------------------------------------------------------- would the test notice? it does


def forgets(module: Any, *names: str) -> AbstractContextManager[Any]:
    """A component that does not keep some of what it must keep."""
    return mock.patch.object(module, "_KEPT", tuple(name for name in module._KEPT if name not in names))


def restores(cls: type, **changed: Any) -> AbstractContextManager[Any]:
    """A component that comes back with something else than what was kept."""
    restore = cls.restore  # type: ignore[attr-defined]

    def other(self: Any, head: Mapping[str, Any], *more: Any) -> None:
        restore(self, {**head, **changed}, *more)

    return mock.patch.object(cls, "restore", other)


def forces_no_file(disk: CarefulDisk) -> None:
    for folder in disk._folders:
        disk._disk.sync_folder(folder)
    disk._folders.clear()


def forces_no_folder(disk: CarefulDisk) -> None:
    for file in disk._written:
        disk._disk.sync(file)
    disk._written.clear()


def overwrites(disks: DiskSet, disk: int, block: int, data: bytes) -> None:
    disks._careful = False
    WRITE(disks, disk, block, data)
    disks._careful = True


def recycles_at_once(disks: DiskSet, disk: int, block: int, data: bytes) -> None:
    WRITE(disks, disk, block, data)
    disks.kept()


def gives_no_orders(keeper: Keeper) -> None:
    changes = {place: keeper._changes(place) for place in PLACES}
    keeper.disk.flush()
    for place in PLACES:
        if changes[place]:
            keeper._commit_at(place, changes[place])
    for coordinator in keeper._coordinators.values():
        for side in SIDES:
            coordinator.sides[side].host.disks.kept()
    keeper.disk.remove_left()


def notes_orders_first(keeper: Keeper) -> None:
    for side in SIDES:
        order = json.loads(keeper._kept["vault"].get(f"order/{side}", "null"))
        if order is not None and int(order["number"]) > keeper._number(side):
            keeper._commit_at(side, {"number": order["number"]})
            keeper._commit_at(side, order)


def answers_before(keeper: Keeper) -> None:
    keeper._late = not getattr(keeper, "_late", False)  # type: ignore[attr-defined]
    if keeper._late:  # type: ignore[attr-defined]
        COMMIT(keeper)


def forgets_routes(runtime: simulation.Simulation, machine: str, source: str) -> tuple[str, str]:
    return ROUTE(runtime, machine, source) if runtime.events else ("", "")


WRITE, COMMIT, ROUTE = DiskSet.write, Keeper.commit, simulation.Simulation.route
GROUP, FREEZE = ReplicationGroup.__init__, ReplicationGroup.freeze
HYPER_V, VMWARE = "hyper-v-to-secondary-site", "vmware-to-azure"
MISTAKES: dict[str, tuple[Callable[[], AbstractContextManager[Any]], str, str]] = {
    "files are not forced": (lambda: mock.patch.object(CarefulDisk, "flush", forces_no_file), HYPER_V, "unplanned failover and"),
    "folders are not forced": (lambda: mock.patch.object(CarefulDisk, "flush", forces_no_folder), HYPER_V, "initial"),
    "files are deleted too early": (
        lambda: mock.patch.object(CarefulDisk, "remove", lambda disk, path: disk._disk.remove(path)), HYPER_V, "overwrite"),
    "blocks are overwritten": (lambda: mock.patch.object(DiskSet, "write", overwrites), HYPER_V, "overwrite"),
    "slots are recycled too early": (lambda: mock.patch.object(DiskSet, "write", recycles_at_once), VMWARE, "overwrite"),
    "no orders are given": (lambda: mock.patch.object(Keeper, "commit", gives_no_orders), HYPER_V, "planned failover and"),
    "orders are not carried out": (
        lambda: mock.patch.object(Keeper, "_carry_out_orders"), HYPER_V, "planned failover and"),
    "answers come before they are durable": (lambda: mock.patch.object(Keeper, "commit", answers_before), HYPER_V, "initial"),
    "a torn end of a log stays": (lambda: mock.patch.object(LogFile, "undo_after"), HYPER_V, "initial"),
    "the number of messages is forgotten": (lambda: forgets(agent, "number"), HYPER_V, "initial"),
    "what was received is forgotten": (lambda: forgets(target, "received"), HYPER_V, "initial"),
    "what was shipped is forgotten": (lambda: forgets(agent, "shipped"), HYPER_V, "initial"),
    "tracking is forgotten": (lambda: forgets(agent, "tracking"), HYPER_V, "initial"),
    "a base copy does not go on": (lambda: restores(agent.ReplicationAgent, copy=None), HYPER_V, "initial"),
    "the branch is forgotten": (lambda: restores(DiskSet, branch_at=None), HYPER_V, "unplanned failover and"),
    "the staging area is forgotten": (lambda: restores(target.ReplicationTarget, staging=None), HYPER_V, "resync"),
    "everybody believes to be the machine": (lambda: restores(VmHost, authority=True), HYPER_V, "without the source"),
    "nobody believes to be the machine": (lambda: restores(VmHost, authority=False), HYPER_V, "initial"),
    "the job is forgotten": (lambda: mock.patch.object(keeping, "_job", return_value=None), HYPER_V, "initial"),
    "the way over the gateway is forgotten": (
        lambda: mock.patch.object(simulation.Simulation, "route", forgets_routes), VMWARE, "initial"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_keeping_is_found(mistake: str, tmp_path: Path) -> None:
    make, flow, name = MISTAKES[mistake]
    with make():
        _, found = tried(flow, Plan(in_turn=True, enough=1), tmp_path, 1, name)
    assert found


def test_the_crash_test_also_judges_a_history_without_any_crash(tmp_path: Path) -> None:
    """A history that asks for what is refused is a finding, not a run without findings."""
    topology, history = topology_of(HYPER_V), History("wrong", (("request", "Commit"), ("from here", None)))
    for tally in (explore(topology, history, tmp_path), explore_failures(topology, history, tmp_path)):
        assert [f.text for f in tally.findings] == ["Commit is refused: NoFailoverToCommit"]


def test_points_of_the_same_history_do_not_depend_on_what_is_tried_there(tmp_path: Path) -> None:
    topology = topology_of(HYPER_V)
    history = next(h for h in histories(FLOWS[HYPER_V]) if h.name == "test failover")
    some = explore(topology, history, tmp_path, 3, Plan(in_turn=True))
    (tmp_path / "b").mkdir()
    other = explore(topology, history, tmp_path / "b", 3, Plan(crashes=(Crash.MIX,), dark=("none",)))
    assert (some.effects, some.points) == (other.effects, other.points)


# ------------------------------------------------------------------------------------------------------ the command


def test_the_command_counts_what_it_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "crash.json"
    last = mock.patch("siteproof.conformance.cli.crashing.histories", lambda flow: list(histories(flow))[-1:])
    with last, mock.patch("siteproof.conformance.cli.crashing.courses", return_value=()):
        assert main(["crash", HYPER_V, "--quick", "--json", str(out)]) == 0
        with mock.patch.object(Keeper, "commit", answers_before):
            assert main(["crash", HYPER_V, "--quick"]) == 1
    told = json.loads(out.read_text())
    assert (told["schema"], told["points"]) == ("siteproof.crash/1", told["worlds"])
    assert told["points"] == sum(run["points"] for run in told["runs"]) > 50
    shown = capsys.readouterr().out
    assert f"{told['points']:,} crash points" in shown
    assert "an acknowledged write is lost" in shown
