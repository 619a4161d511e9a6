"""Design mistakes that have happened to somebody, each refuted by its shortest run: the page `docs/design-mistakes.md`.

A mistake is a change of facts, as an overlay would make it, or a mutation of the model's actions. It names the promise that a
reviewer should see broken and the number of steps of the shortest run; both are held to here, and the page is made from the
same runs. To make the page anew:

    python -m tests.quality.test_design_mistakes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest
import z3

from siteproof.conformance.report.words import plain
from siteproof.model.engines.obligations import Goal, goals_of
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Target, search
from siteproof.model.engines.traces import counterexample
from siteproof.model.levels import level
from siteproof.model.mutation import with_change, with_guard, without_guard
from siteproof.model.overlay import changed_topology
from siteproof.model.promise.vocabulary import Job, Machine
from siteproof.model.readings.python import compile_model
from siteproof.model.readings.words import named
from siteproof.model.results import Trace
from siteproof.model.system import Model
from siteproof.model.terms import And, If, Or
from siteproof.model.topology import Override, builtin_topologies, load_topology
from tests.soak import soak

from ..model.crowds import bounds

PAGE = Path(__file__).parents[2] / "docs" / "design-mistakes.md"
PROMISE = level("promise")
ANY = Scope(writes=99, failovers=99, cached=99)

m = Machine()


@attrs.frozen(eq=False)
class Mistake:
    """A design mistake in `flow`.

    `claim` is the one that a reviewer should see broken, by promise id and slug; `steps` is the length of the shortest run that
    breaks it (at the promise level, that breaks any claim of that promise), and `story` the number of the public story that the
    mistake is drawn from, if any. `facts` are changed as an overlay changes them; `mutate` does what no fact can express, and
    `how` says it in words. `scope` is where the run is looked for, in the model of `level`.
    """

    title: str
    flow: str
    why: str
    claim: str
    steps: int
    facts: Mapping[str, bool] = attrs.field(factory=dict)
    mutate: Callable[[Model], Model] | None = None
    how: str = ""
    story: int | None = None
    level: str = "promise"
    scope: Scope = PROMISE.wide

    @property
    def promise(self) -> str:
        """The id of the promise that is broken."""
        return self.claim.partition(".")[0]


def _done_before_the_resync(model: Model) -> Model:
    return with_guard(model, "finish_copy", 1, Or(m.half, m.job == Job.REVERSE))


def _wrong_side(model: Model) -> Model:
    reversing = m.job == Job.REVERSE
    turned = with_change(model, "copy_base", "head", If(reversing, m.passive, m.head))
    turned = with_change(turned, "copy_base", "passive", If(reversing, m.passive, m.head))
    turned = with_change(turned, "copy_base", "x_active", If(reversing, m.x_passive, m.x_active))
    return with_change(turned, "copy_base", "x_passive", If(reversing, m.x_passive, m.x_active))


def _cleared_log(model: Model) -> Model:
    return with_change(with_change(model, "heal_link", "passive", If(m.follows, m.head, m.passive)),
                       "heal_link", "latest", m.latest)


def _half_a_commit(model: Model) -> Model:
    torn = If(m.job == Job.COMMIT, Job.NONE, m.job)
    for action in ("fail_primary_site", "fail_recovery_site"):
        model = with_change(model, action, "job", torn)
    return model


TWO_OF_THREE = {name: most for name, most in bounds().items()
                if name not in ("a.own", "b.own", "a.stage", "b.stage")} | {"other.stage": 1}
"""Of the group level, what a point made of the members' own points needs."""


def _own_latest_points(model: Model) -> Model:
    world = model.vocabulary()
    for name in model.machines:
        mine = world[name]  # type: ignore[index]
        model = with_change(model, "make_common_point", f"{name}.x_common", And(mine.is_member, mine.x_own))
        model = with_change(model, "make_common_point", f"{name}.y_common", And(mine.is_member, mine.y_own))
    return model


MISTAKES = (
    Mistake(
        "Reprotect reports “done” before anything was copied back", "hyper-v-to-secondary-site",
        "The controller waits for a status called Completed, and the resynchronisation has not even begun. The machine counts as "
        "protected, and what the old source still holds is taken for its replica.",
        "P20.not-on-a-replica-that-follows-the-machine", 12, mutate=_done_before_the_resync, story=1,
        how="reversing replication is reported as done without waiting until the base has been copied"),
    Mistake(
        "The resynchronisation runs from the wrong side", "hyper-v-to-secondary-site",
        "The direction is taken from the role that a site used to have. Reversing replication then overwrites the machine with "
        "the former source.",
        "P2.an-acknowledged-write-is-on-the-machine-unless-the-chosen-point-left-it-behind", 12, mutate=_wrong_side, story=2,
        how="when replication is reversed, the base is copied from the former source onto the machine"),
    Mistake(
        "The change log is cleared at the handshake", "vmware-to-azure",
        "The link comes back, both sides agree that they are up to date, and what was written meanwhile is never sent.",
        "P2.the-content-is-exactly-the-prefix-at-the-point", 9, mutate=_cleared_log, story=3,
        how="when the link heals, the replica counts as having received everything"),
    Mistake(
        "Retention removes points while a failover is pending", "scout-to-secondary-site",
        "Pruning knows the retention window and nothing else, so points go while a failover still waits for its commit and "
        "another point could be chosen.",
        "P7.until-commit-the-points-stay-as-they-are", 9, mutate=lambda model: without_guard(model, "prune_point", 3), story=4,
        how="retention no longer spares points while a failover is pending"),
    Mistake(
        "An old source that comes back is not fenced", "hyper-v-vmm-to-azure",
        "After an unplanned failover the former host recovers, starts its copy and is reached again, and nobody switches it off.",
        "P3.both-sides-run-only-while-the-old-one-has-not-been-contacted", 6, facts={"returning.fenced_first": False}, story=5),
    Mistake(
        "Writes of an old source are accepted", "vmware-to-azure",
        "Components take data from whoever calls itself the source. What a source without authority wrote lands on the machine.",
        "P20.not-on-the-machine-s-disk", 7, facts={"returning.epoch_checked": False}, story=5),
    Mistake(
        "A group's point is the newest point of each machine", "vmware-to-azure",
        "Each machine of the group has a good point, and together they are offered as the group's. They were cut at different "
        "instants, so one of them has an effect whose cause another one lacks.",
        "P5.what-was-issued-after-a-write-was-acknowledged-is-not-in-a-common-point-without-it", 13, mutate=_own_latest_points,
        story=7, level="group", scope=Scope.only(**TWO_OF_THREE),
        how="a common point is made of the newest point that each machine has cut by itself"),
    Mistake(
        "“Latest” does not process what was received", "physical-to-azure",
        "The failover takes the newest point there is, although data that arrived after it is on the disk already.",
        "P2.latest-has-every-write-that-had-been-received", 7, facts={"unplanned.latest_processes_received": False}, story=12),
    Mistake(
        "A crash in the middle of a commit leaves half of it", "hyper-v-to-secondary-site",
        "Commit removes the points first and makes the failover final afterwards. A site fails in between and the job is simply "
        "gone: the failover still waits for its commit, and has no points any more.",
        "P7.a-commit-that-has-begun-ends-committed", 7, mutate=_half_a_commit, story=14,
        how="the failure of a site forgets a commit that runs"),
    Mistake(
        "A planned failover does not wait for the last data", "hyper-v-site-to-azure",
        "The source is shut down in good order, and then the switch is made at once. What had been acknowledged and not yet sent "
        "is left behind.",
        "P1.every-acknowledged-write-is-on-the-new-side", 7, facts={"planned.drains": False}),
    Mistake(
        "A planned failover does not stop its source", "hyper-v-vmm-to-azure",
        "The other side is started while the source goes on running, since stopping it “is the operator's business”.",
        "P3.never-both-sides-after-a-planned-failover", 5, facts={"planned.stops_source": False}),
    Mistake(
        "Replication may be reversed before the commit", "hyper-v-to-secondary-site",
        "Reversing overwrites the old side. Until the commit, that is the only place from which another point could be chosen.",
        "P7.until-commit-the-old-side-s-disk-is-not-overwritten", 9, facts={"reverse.requires_commit": False}),
    Mistake(
        "Commit keeps the recovery points", "scout-to-secondary-site",
        "The failover is final, and the points of the branch that it left are still offered.",
        "P7.after-commit-every-other-point-is-gone", 8, facts={"commit.removes_points": False}),
    Mistake(
        "Initial replication copies only what changes from now on", "vmware-to-azure",
        "Tracking is switched on and the first copy is skipped, so the replica lacks whatever was there before.",
        "P2.the-content-is-exactly-the-prefix-at-the-point", 6, facts={"initial.ships_content": False}),
)

@cache
def model_of(mistake: Mistake) -> Model:
    changes = [Override(None, path, value) for path, value in mistake.facts.items()]
    topology = changed_topology(mistake.flow, [], changes)
    model = level(mistake.level).build(topology.id, topology.facts)
    return mistake.mutate(model) if mistake.mutate else model


def goals(mistake: Mistake) -> list[Goal]:
    """The claims of the promise that the mistake should break."""
    promises = [promise for promise in level(mistake.level).promises if promise.id == mistake.promise]
    return [goal for goal in goals_of(model_of(mistake), promises) if goal.built.applies]


def found_in(mistake: Mistake, scope: Scope, most: int) -> dict[str, tuple[Any, ...]]:
    """By claim, the shortest runs of up to `most` steps that break one."""
    targets = [Target(goal.key, z3.Not(goal.built.formula), goal.claim.is_step, goal.claim.on) for goal in goals(mistake)]
    return dict(search(model_of(mistake), targets, scope, max_depth=most).found)


@cache
def shortest(mistake: Mistake) -> Trace:
    """The shortest run that breaks the promise, by its claim; of short ones, the shortest whatever the scope."""
    anywhere = mistake.steps < 10 and mistake.level == "promise"
    found = found_in(mistake, ANY if anywhere else mistake.scope, mistake.steps)
    assert mistake.claim in found, f"{mistake.title}: not broken within {mistake.steps} steps; broken are {sorted(found)}"
    assert len(found[mistake.claim]) == mistake.steps
    assert not anywhere or {len(run) for run in found.values()} == {mistake.steps}
    goal = next(one for one in goals(mistake) if one.key == mistake.claim)
    return counterexample(compile_model(model_of(mistake)), goal, found[mistake.claim], shortest=True, method="search")


def page() -> str:
    """The page, from the runs."""
    lines = [
        "# Design mistakes and what they break",
        "",
        "Each mistake below is a small change of a documented flow. It is refuted by a run of the model that has as few steps as",
        "possible: every step is one that the changed flow allows, and the last one breaks the promise. Where facts change, the",
        "command shows the same; the other mistakes change an action of the model, which takes a few lines of Python",
        "(`model/mutation.py`). Most are drawn from public stories of replication products.",
        "",
        "This page is made from the runs, by `python -m tests.quality.test_design_mistakes`; a test keeps it fresh.",
        "",
        "| mistake | flow | breaks | steps |",
        "| --- | --- | --- | --- |",
        *(f"| [{one.title}](#{number}) | {one.flow} | {one.promise} | {one.steps} |" for number, one in enumerate(MISTAKES, 1)),
        "",
    ]
    for number, one in enumerate(MISTAKES, 1):
        lines += [f'<a id="{number}"></a>', "", f"## {number}. {one.title}", "", one.why, "", *_change(one), "", *_run(one), ""]
    return "\n".join(lines[:-1]) + "\n"


def _change(mistake: Mistake) -> list[str]:
    if not mistake.facts:
        return [f"In `{mistake.flow}`, {mistake.how}."]
    options = " ".join(f"--what-if {path}={str(value).lower()}" for path, value in mistake.facts.items())
    return ["```sh", f"siteproof prove {mistake.flow} {options}", "```"]


def _run(mistake: Mistake) -> list[str]:
    trace = shortest(mistake)
    rows = []
    for number, step in enumerate(trace.steps, 1):
        given = ", ".join(f"{name} = {plain(value)}" for name, value in step.arguments.items())
        changed = "; ".join(f"{named(name)}: {plain(value)}" for name, value in step.changed.items())
        rows.append(f"{number}. **{step.action.replace('_', ' ')}**{f' ({given})' if given else ''}: {step.doc}"
                    + (f" *{changed}*" if changed else ""))
    return [*rows, "", trace.conclusion]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda one: one.title)
def test_a_design_mistake_is_refuted_by_the_shortest_run(mistake: Mistake) -> None:
    assert len(shortest(mistake).steps) == mistake.steps


def test_every_flow_has_a_mistake_and_so_have_the_stories_that_matter() -> None:
    assert {one.flow for one in MISTAKES} == set(builtin_topologies())
    assert {one.story for one in MISTAKES} >= {1, 2, 5, 7, 14}
    assert len(MISTAKES) >= 10


@soak
def test_the_flows_without_the_mistakes_keep_what_the_mistakes_break() -> None:
    for one in MISTAKES:
        facts = load_topology(one.flow).facts
        sound = level(one.level).build(one.flow, facts)
        targets = [Target(g.key, z3.Not(g.built.formula), g.claim.is_step, g.claim.on)
                   for g in goals_of(sound, level(one.level).promises) if g.built.applies and g.promise.id == one.promise]
        assert targets
        assert search(sound, targets, one.scope, max_depth=one.steps, max_states=60_000).found == {}


def test_the_page_shows_the_runs_as_they_are() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
