"""The group level: what a barrier does, what common points promise, and that both are proved of any number of machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from siteproof.model.engines.certificate import CertificateError, certify, write_certificate
from siteproof.model.engines.obligations import invariant_candidates
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import search
from siteproof.model.group import Chosen, Member, Stage
from siteproof.model.levels import level
from siteproof.model.prove import prove, witnesses
from siteproof.model.readings.python import Accepted, Refused, compile_model
from siteproof.model.readings.smt import Named
from siteproof.model.results import Verdict
from siteproof.model.terms import Not, Or
from siteproof.model.topology import builtin_topologies, load_topology
from tests.soak import soak

from ..seeds import seed_for
from .crowds import V2A, bounds, claims_of, crowd_of, targets
from .flows import different

WITH_GROUPS = ("physical-to-azure", V2A)
TOGETHER = "P5.what-was-issued-after-a-write-was-acknowledged-is-not-in-a-common-point-without-it"


class Run:
    """A run of three machines, one action after the other."""

    def __init__(self) -> None:
        self.model = crowd_of("group")
        self.compiled = compile_model(self.model)
        self.state = self.compiled.initial

    def take(self, *names: str, arguments: tuple[int | bool, ...] = ()) -> None:
        for name in names:
            answer = self.compiled.actions[name].answer(self.state, *arguments)
            assert isinstance(answer, Accepted), f"{name} is refused"
            self.state = answer.state

    def refuses(self, name: str, *arguments: int | bool) -> tuple[int, ...]:
        answer = self.compiled.actions[name].answer(self.state, *arguments)
        assert isinstance(answer, Refused)
        return answer.failing

    def get(self, name: str) -> Any:
        return self.compiled.get(self.state, name)

    def members(self, *names: str) -> None:
        self.take(*(f"{name}.enable" for name in names), arguments=(True,))

    def round(self, *names: str) -> None:
        self.take("start_round", *(f"{name}.{what}" for what in ("freeze", "cut", "release") for name in names),
                  "make_common_point")


# ------------------------------------------------------------------------------------------------------------ the barrier


def test_a_round_of_all_members_makes_a_point_that_they_have_in_common() -> None:
    run = Run()
    run.members("a", "b")
    run.take("other.enable", arguments=(False,))
    run.round("a", "b")
    assert [run.get(f"{name}.in_common") for name in ("a", "b", "other")] == [True, True, False]


def test_nobody_is_cut_before_everyone_is_frozen_nor_released_before_everyone_is_cut() -> None:
    run = Run()
    run.members("a", "b", "other")
    run.take("start_round", "a.freeze", "b.freeze")
    assert run.refuses("a.cut") == (2,)
    run.take("other.freeze", "a.cut", "b.cut")
    assert run.refuses("a.release") == (3,)
    run.take("other.cut", "a.release", "b.release")
    assert run.refuses("make_common_point") == (1,)
    run.take("other.release", "make_common_point")


def test_a_machine_that_is_no_member_holds_nothing_up() -> None:
    run = Run()
    run.members("a")
    run.take("b.enable", arguments=(False,))
    run.round("a")
    assert run.get("a.in_common")


def test_a_member_out_of_reach_stops_the_round_and_giving_up_raises_an_alarm_that_the_next_point_ends() -> None:
    run = Run()
    run.members("a", "b")
    run.take("b.lose_contact", "start_round", "a.freeze")
    assert run.refuses("b.freeze") == (0,)
    assert run.refuses("a.cut") == (2,)
    run.take("give_up", "a.thaw")
    assert run.get("alarm")
    assert not run.get("a.in_common")
    run.take("b.regain_contact")
    run.round("a", "b")
    assert not run.get("alarm")


def test_a_member_that_thaws_by_itself_spoils_the_round() -> None:
    run = Run()
    run.members("a", "b")
    run.take("start_round", "a.freeze", "b.freeze", "a.cut", "a.thaw", "b.cut", "b.release")
    assert run.refuses("a.release") == (1,)
    assert run.refuses("a.freeze") == (1,)


def test_a_machine_joins_only_when_it_is_enabled_and_not_while_a_point_is_taken() -> None:
    run = Run()
    run.take("a.enable", arguments=(False,))
    assert run.refuses("a.enable", True) == (0,)
    run.take("start_round")
    assert run.refuses("b.enable", True) == (1,)
    run.take("b.enable", arguments=(False,))
    assert run.get("b.stage") is Stage.SINGLE


def test_latest_processed_is_each_machines_own_even_in_a_group_and_says_so() -> None:
    """The story that common points are for: both fail over, y is there and x is not, though x was acknowledged before."""
    run = Run()
    run.members("a", "b")
    run.round("a", "b")
    run.take("a.cut_own_point")
    run.take("a.write", arguments=(True,))
    run.take("b.write", arguments=(False,))
    run.take("b.cut_own_point")
    own, common = (list(Chosen).index(one) for one in (Chosen.OWN, Chosen.COMMON))
    before = run.state
    run.take("a.fail_over", "b.fail_over", arguments=(own,))
    assert (run.get("b.y_disk"), run.get("a.x_disk")) == (True, False)
    assert run.get("a.stage") is run.get("b.stage") is Stage.OWN
    run.state = before
    run.take("a.fail_over", "b.fail_over", arguments=(common,))
    assert (run.get("b.y_disk"), run.get("a.x_disk")) == (False, False)
    assert run.get("a.stage") is run.get("b.stage") is Stage.COMMON


# --------------------------------------------------------------------------------------------------- marks are every write


@attrs.define
class Write:
    """A write as it really happened: where, when it was issued, and when it was acknowledged."""

    machine: str
    issued: int
    acknowledged: int | None


def follow(taken: list[str], marked: int | None) -> tuple[Run, list[Write], dict[str, set[int]]]:
    """A run that takes what can be taken of `taken`, with its writes told in full and one of them marked; and, by machine, the
    numbers of the writes that the newest common point holds."""
    run = Run()
    writes: list[Write] = []
    cuts: dict[str, set[int]] = {}
    points: dict[str, set[int]] = {}
    for now, name in enumerate(taken):
        whose, _, what = name.partition(".")
        arguments = (True,) if what == "enable" else (marked == len(writes),) if what == "write" else ()
        before = run.state
        after = run.compiled.actions[name].step(before, *arguments)
        if after is None:
            continue
        run.state = after
        if what == "write":
            writes.append(Write(whose, now, None if run.get(f"{whose}.frozen") else now))
        if what in ("release", "thaw", "disable"):
            for one in writes:
                one.acknowledged = now if one.machine == whose and one.acknowledged is None else one.acknowledged
        if what == "cut":
            cuts[whose] = {number for number, one in enumerate(writes) if one.machine == whose}
        if name == "make_common_point":
            points = {machine: cuts[machine] for machine in run.model.machines if run.get(f"{machine}.in_common")}
        points = {machine: numbers for machine, numbers in points.items() if run.get(f"{machine}.in_common")}
    return run, writes, points


ROUND = ("start_round", "a.freeze", "b.freeze", "a.cut", "b.cut", "a.release", "b.release", "make_common_point")
STEPS = ("a.write", "b.write", "a.write", "b.write", "a.thaw", "b.thaw", "give_up", "a.lose_contact", "a.regain_contact",
         "b.disable", "b.enable", *ROUND, *ROUND)


@seed(seed_for("group marks"))
@settings(max_examples=60, deadline=None, database=None)
@given(st.lists(st.sampled_from(STEPS), min_size=10, max_size=50), st.data())
def test_the_marks_say_of_any_write_what_really_happened_and_no_point_holds_an_effect_without_its_cause(
        drawn: list[str], data: st.DataObject) -> None:
    taken = ["a.enable", "b.enable", *drawn, *ROUND]
    _run, writes, points = follow(taken, None)
    for number, one in enumerate(writes):
        for later, other in enumerate(writes):
            causes = one.acknowledged is not None and one.acknowledged < other.issued
            if causes and one.machine in points and later in points.get(other.machine, set()):
                assert number in points[one.machine]
    if not writes:
        return
    marked = data.draw(st.integers(0, len(writes) - 1))
    run, _writes, _points = follow(taken, marked)
    x = writes[marked]
    for machine, numbers in points.items():
        assert run.get(f"{machine}.x_common") == (marked in numbers)
        after = [n for n in numbers if x.acknowledged is not None and writes[n].issued > x.acknowledged]
        assert run.get(f"{machine}.y_common") == bool(after)


def test_the_runs_that_are_drawn_do_make_common_points_with_cause_and_effect() -> None:
    taken = ["a.enable", "b.enable", "a.write", "b.write", *ROUND]
    run, _writes, points = follow(taken, 0)
    assert points == {"a": {0}, "b": {1}}
    assert run.get("a.x_common")
    assert run.get("b.y_common")


# ------------------------------------------------------------------------------------------------------------- the proofs


def test_common_points_are_proved_for_any_number_of_machines_and_confirmed_by_two_solvers(tmp_path: Path) -> None:
    (flow,) = different("group")
    report = prove(load_topology(flow), among=["group"], certificate_dir=tmp_path / "certificates")
    (row,) = report.promises
    assert (row.id, row.verdict, len(row.confirmed_by)) == ("P5", Verdict.PROVED, 2)
    assert row.scope == "any number of machines, members, writes and rounds"
    assert all(claim.witnessed for claim in row.claims)
    checked = certify(tmp_path / "certificates" / flow / "group")
    assert checked.confirmed
    assert checked.impossible == ()


def test_a_crowds_certificate_without_an_interference_is_refused(tmp_path: Path) -> None:
    prove(load_topology(V2A), among=["gateway"], certificate_dir=tmp_path / "certificates")
    folder = tmp_path / "certificates" / V2A / "gateway"
    name = "interference-other.reverse_replicate"
    text = (folder / "manifest.json").read_text("utf-8")
    assert name in text
    assert "interference-a.reverse_replicate" not in text
    rows = text.splitlines()
    at = next(number for number, line in enumerate(rows) if f'"name": "{name}"' in line)
    start = max(number for number in range(at) if rows[number].strip() == "{")
    end = min(number for number in range(at, len(rows)) if rows[number].strip().startswith("}"))
    (folder / "manifest.json").write_text("\n".join(rows[:start] + rows[end + 1:]), "utf-8")
    with pytest.raises(CertificateError, match=name):
        certify(folder)


def test_a_crowds_certificate_with_a_conjunct_about_all_the_named_machines_is_refused(tmp_path: Path) -> None:
    """Such a conjunct may be inductive for as many machines as are named, and tell nothing of one more."""
    model, topology = crowd_of("gateway"), load_topology(V2A)
    goals = claims_of(model)
    world: Any = model.vocabulary()
    wide = Named("wide", Or(*(Not(world[name].came_home) for name in model.machines),
                            *(world[name].came_home for name in model.machines)).node)
    sound = invariant_candidates(model, level("gateway").lemmas, goals)
    write_certificate(tmp_path / "sound", topology, model, sound, goals)
    assert certify(tmp_path / "sound").confirmed
    write_certificate(tmp_path / "wide", topology, model, [*sound, wide], goals)
    with pytest.raises(CertificateError, match="fewer machines than the model names"):
        certify(tmp_path / "wide")


def test_flows_without_groups_say_nothing_of_them_and_a_what_if_gives_them_some() -> None:
    for flow in builtin_topologies():
        assert level("group").applies(load_topology(flow).facts) == (flow in WITH_GROUPS)
    vmm = load_topology("hyper-v-vmm-to-azure").with_facts({"group.supported": True})
    assert level("group").applies(vmm.facts)
    assert level("group").build(vmm.id, vmm.facts).names == crowd_of("group").names


@pytest.mark.parametrize(("fact", "claim", "steps"), [
    ("freezes_before_cut", TOGETHER, 12),
    ("releases_after_cut", "P5.every-member-is-part-of-it-by-a-cut-of-this-round-its-freeze-unbroken", 5),
    ("waits_for_all", "P5.every-member-is-part-of-it-by-a-cut-of-this-round-its-freeze-unbroken", 3),
])
def test_each_part_of_the_barrier_is_needed(fact: str, claim: str, steps: int) -> None:
    model = crowd_of("group", changed=((f"group.{fact}", False),))
    found = search(model, targets(model, [claim]), level("group").scopes[0], max_depth=steps)
    assert len(found.found["!" + claim]) == steps


def test_a_what_if_without_the_barrier_is_refuted_with_a_trace() -> None:
    (row,) = prove(load_topology(V2A), overrides={"group.waits_for_all": False}, among=["group"]).promises
    broken = {claim.name: claim.trace for claim in row.claims if claim.verdict is Verdict.REFUTED}
    trace = broken["every member is part of it, by a cut of this round, its freeze unbroken"]
    assert trace is not None
    assert [step.action for step in trace.steps] == ["a.enable", "start_round", "make_common_point"]
    assert trace.steps[0].doc.startswith("a: The machine is replicated")


@pytest.mark.parametrize("id", ["group", "disks", "gateway"])
def test_every_action_is_taken_or_proved_impossible(id: str) -> None:
    rows = witnesses(crowd_of(id))
    assert [row.action for row in rows if row.trace is None and not row.impossible] == []
    impossible = {row.action for row in rows if row.impossible}
    assert impossible == ({"a.cut_disk", "b.cut_disk", "other.cut_disk"} if id == "disks" else set())


# -------------------------------------------------------------------------------------------- without any cut-off, in full


@soak
@pytest.mark.parametrize(("machines", "depth"), [("ab", None), ("abc", 13), ("abcd", 12)])
def test_the_claims_hold_of_two_three_and_four_machines_searched_as_they_are(machines: str, depth: int | None) -> None:
    model = crowd_of("group", tuple(machines))
    found = search(model, targets(model), Scope(more=bounds(model.machines)), max_depth=depth, explore_all=True)
    assert [key for key in found.found if key.startswith("!")] == []
    assert "?" + TOGETHER in found.found
    assert found.exhausted == (depth is None)
    assert found.deadlocks == 0


def test_a_mark_is_no_matter_of_the_barrier() -> None:
    """Data independence: without marks the model has the same unmarked behaviour, and nothing of the content."""
    bare = crowd_of("group").without_marks()
    assert not {v.name.partition(".")[2] or v.name for v in bare.variables} & {v.name for v in Member.variables() if v.mark}
    assert len(bare.actions) == len(crowd_of("group").actions)
