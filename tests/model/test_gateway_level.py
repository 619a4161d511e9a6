"""The levels of the temporary process server and of disks: what is granted when, and what is proved of any number of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from siteproof.model.disks import Copy
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import search
from siteproof.model.gateway import Server, Way
from siteproof.model.levels import level
from siteproof.model.prove import prove
from siteproof.model.readings.python import Accepted, CompiledModel, Refused, State, compile_model
from siteproof.model.results import Verdict
from siteproof.model.topology import builtin_topologies, load_topology
from tests.soak import soak

from .crowds import V2A, crowd_of, targets


def after(compiled: CompiledModel, *names: str, state: State | None = None, arguments: tuple[int | bool, ...] = ()) -> State:
    """The state after some actions."""
    state = compiled.initial if state is None else state
    for name in names:
        answer = compiled.actions[name].answer(state, *arguments)
        assert isinstance(answer, Accepted), name
        state = answer.state
    return state


# -------------------------------------------------------------------------------------------- the temporary process server


@pytest.fixture(scope="module")
def gateway() -> CompiledModel:
    return compile_model(crowd_of("gateway"))


def test_replication_is_reversed_only_through_a_process_server(gateway: CompiledModel) -> None:
    away = after(gateway, "a.fail_over")
    assert gateway.actions["a.reverse_replicate"].answer(away) == Refused((1,), ("ProcessServerMissing",))
    assert gateway.get(after(gateway, "set_up_server", "a.reverse_replicate", state=away), "a.way") is Way.TURNING


def test_the_process_server_stays_while_any_machine_needs_it(gateway: CompiledModel) -> None:
    both = after(gateway, "set_up_server", "a.fail_over", "b.fail_over", "a.reverse_replicate", "b.reverse_replicate",
                 "a.begin_reverse", "a.fail_back", "a.commit")
    assert gateway.actions["delete_server"].answer(both) == Refused((1,), ("ProcessServerInUse",))
    home = after(gateway, "b.begin_reverse", "b.fail_back", "b.commit", "delete_server", state=both)
    assert gateway.get(home, "server") is Server.GOING
    assert gateway.get(after(gateway, "server_deleted", state=home), "server") is Server.NONE


def test_nothing_starts_back_through_a_server_that_is_being_deleted(gateway: CompiledModel) -> None:
    going = after(gateway, "set_up_server", "a.fail_over", "delete_server")
    assert gateway.actions["a.reverse_replicate"].answer(going) == Refused((1,), ("ProcessServerMissing",))


def test_the_level_speaks_of_the_flows_that_have_a_temporary_server() -> None:
    assert [flow for flow in sorted(builtin_topologies()) if level("gateway").applies(load_topology(flow).facts)] == [
        "physical-to-azure", V2A]


@soak
@pytest.mark.parametrize("machines", ["ab", "abc", "abcd"])
def test_its_claims_hold_of_two_three_and_four_machines_in_full(machines: str) -> None:
    model = crowd_of("gateway", tuple(machines))
    found = search(model, targets(model), Scope(words="all"), explore_all=True)
    assert found.exhausted
    assert [key for key in found.found if key.startswith("!")] == []
    assert len(found.found) == len(targets(model)) / 2


# --------------------------------------------------------------------------------------------------------------- disks


@pytest.fixture(scope="module")
def disks() -> CompiledModel:
    return compile_model(crowd_of("disks"))


def test_there_is_no_point_before_the_log_has_covered_every_disk(disks: CompiledModel) -> None:
    copied = after(disks, "a.add_disk", "b.add_disk", "a.end_copy", "apply_log", "b.end_copy")
    assert [disks.get(copied, f"{name}.copy") for name in "ab"] == [Copy.COVERED, Copy.COPIED]
    assert isinstance(disks.actions["cut_point"].answer(copied), Refused)
    point = after(disks, "apply_log", "cut_point", state=copied)
    assert [disks.get(point, f"{name}.in_point") for name in ("a", "b", "other")] == [True, True, False]


def test_a_point_keeps_the_disks_that_it_has_and_a_new_disk_holds_up_the_next_one(disks: CompiledModel) -> None:
    point = after(disks, "a.add_disk", "a.end_copy", "apply_log", "cut_point", "b.add_disk", "a.remove_disk")
    assert [disks.get(point, f"{name}.in_point") for name in "ab"] == [True, False]
    assert isinstance(disks.actions["cut_point"].answer(point), Refused)


def test_the_replica_of_a_disk_in_the_middle_of_its_copy_is_of_no_instant(disks: CompiledModel) -> None:
    """The copy has passed the block of x when x is written, and reads the block of y after y: only the log makes it whole."""
    state = after(disks, "a.add_disk")
    state = after(disks, "a.write", state=state, arguments=(True,))
    state = after(disks, "a.write", state=state, arguments=(False,))
    state = after(disks, "a.copy_block", state=state, arguments=(2,))
    state = after(disks, "a.end_copy", state=state)
    assert (disks.get(state, "a.y_replica"), disks.get(state, "a.x_replica")) == (True, False)
    assert disks.get(after(disks, "apply_log", state=state), "a.x_replica")


@soak
@pytest.mark.parametrize(("machines", "depth"), [("ab", None), ("abc", None), ("abcd", 10)])
def test_the_claims_hold_of_two_three_and_four_disks(machines: str, depth: int | None) -> None:
    model = crowd_of("disks", tuple(machines))
    found = search(model, targets(model), Scope(words="all"), explore_all=True, max_depth=depth)
    assert found.exhausted == (depth is None)
    assert [key for key in found.found if key.startswith("!")] == []


# ------------------------------------------------------------------------------------------------------------ the proofs


@pytest.mark.parametrize(("id", "promise", "scope"), [
    ("gateway", "P8", "any number of machines, failovers and failbacks"),
    ("disks", "P23", "any number of disks, writes and points"),
])
def test_all_is_proved_and_confirmed_by_two_solvers(id: str, promise: str, scope: str, tmp_path: Path) -> None:
    (row,) = prove(load_topology(V2A), among=[id], certificate_dir=tmp_path / "certificates").promises
    assert (row.id, row.verdict, len(row.confirmed_by), row.scope) == (promise, Verdict.PROVED, 2, scope)
    assert all(claim.witnessed for claim in row.claims)


@pytest.mark.parametrize(("fact", "id", "claim"), [
    ("gateway.kept_while_used", "gateway", "a machine that replicates in reverse has its process server"),
    ("gateway.asked_for", "gateway", "a machine that replicates in reverse has its process server"),
    ("disks.wait_for_log", "disks", "nor is it where both are on one disk"),
    ("disks.cut_together", "disks",
     "what was issued after a write was acknowledged is not in a point without it, whichever disks they are on"),
])
def test_a_what_if_that_drops_a_rule_is_refuted(fact: str, id: str, claim: str) -> None:
    (row,) = prove(load_topology(V2A), overrides={fact: False}, among=[id]).promises
    told = {one.name: one for one in row.claims}
    assert row.verdict is Verdict.REFUTED
    assert told[claim].verdict is Verdict.REFUTED
    assert told[claim].trace is not None
