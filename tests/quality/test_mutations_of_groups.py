"""Proofs about crowds are worth something: a barrier, a point or a lifetime with a mistake in it is refuted, with a shortest
trace, and induction does not pass it. What is found for three machines is found for two and for four as well, without any
cut-off: the models of two and four are searched as they are."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from siteproof.model.disks import Copy
from siteproof.model.engines.induction import induct, proves
from siteproof.model.engines.obligations import invariant_candidates
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import search
from siteproof.model.engines.traces import counterexample
from siteproof.model.gateway import Server, Way
from siteproof.model.group import Acknowledged, Stage
from siteproof.model.levels import level
from siteproof.model.mutation import with_change, with_guard, without_change, without_guard
from siteproof.model.readings.python import compile_model
from siteproof.model.system import Model
from siteproof.model.terms import And, If, literal
from tests.soak import soak

from ..model.crowds import bounds, claims_of, crowd_of, targets

Mutation = Callable[[Model], Model]

TOGETHER = "P5.what-was-issued-after-a-write-was-acknowledged-is-not-in-a-common-point-without-it"
ALL = "P5.every-member-is-part-of-it-by-a-cut-of-this-round-its-freeze-unbroken"
ABSENT = "P5.none-is-made-while-a-member-is-out-of-reach-all-the-time"
ALARM = "P5.a-round-that-ends-without-a-common-point-of-every-member-raises-the-alarm"
SAYS = "P5.a-failed-over-machine-says-which-point-it-took-and-holds-what-that-held"
DISKS = "P23.what-was-issued-after-a-write-was-acknowledged-is-not-in-a-point-without-it-whichever-disks-they-are-on"
ONE_DISK = "P23.nor-is-it-where-both-are-on-one-disk"
REVERSE = "P8.a-machine-that-replicates-in-reverse-has-its-process-server"


@attrs.frozen
class Mistake:
    """A mutation of a level, made to every machine alike, and the claim whose shortest counterexample has so many steps."""

    story: str
    level: str
    mutate: Mutation
    claim: str
    length: int


def each(mutate: Callable[[Model, str], Model]) -> Mutation:
    """The mutation of every machine."""
    def of_all(model: Model) -> Model:
        for name in model.machines:
            model = mutate(model, name)
        return model
    return of_all


def changing(action: str, variable: str, value: Callable[..., object]) -> Mutation:
    """`action`, of nobody or of each machine, makes the machine's `variable` become `value` of it."""
    def mutate(model: Model, name: str) -> Model:
        known = {a.name for a in model.actions}
        return with_change(model, action if action in known else f"{name}.{action}",
                           variable if variable in model.names else f"{name}.{variable}",
                           value(model.vocabulary()[name]))  # type: ignore[arg-type,index]
    return each(mutate)


def dropping(action: str, number: int) -> Mutation:
    return each(lambda model, name: without_guard(model, f"{name}.{action}", number))


def asking(action: str, number: int, condition: Callable[..., object]) -> Mutation:
    return each(lambda model, name: with_guard(model, f"{name}.{action}", number,
                                               condition(model.vocabulary()[name])))  # type: ignore[arg-type,index]


def both(*mutations: Mutation) -> Mutation:
    def mutate(model: Model) -> Model:
        for one in mutations:
            model = one(model)
        return model
    return mutate


def nobody_turns(model: Model) -> Model:
    """Only machines that replicate in reverse already hold up the deletion."""
    world = model.vocabulary()
    return with_guard(model, "delete_server", 1, And(*(world[n].way != Way.REVERSE for n in model.machines)))  # type: ignore[index]


MISTAKES = (
    Mistake("a common point skips a member", "group", lambda x: without_guard(x, "make_common_point", 1), ALL, 3),
    Mistake("a common point skips a member, and what it has is of an earlier round", "group",
            lambda x: without_guard(x, "make_common_point", 1), TOGETHER, 9),
    Mistake("members are cut before all are frozen", "group", dropping("cut", 2), TOGETHER, 12),
    Mistake("members are released before all have been cut", "group", asking("release", 3, lambda m: m.was_cut), TOGETHER, 12),
    Mistake("a common point is made of the latest points of each", "group",
            both(changing("make_common_point", "x_common", lambda m: And(m.is_member, m.x_own)),
                 changing("make_common_point", "y_common", lambda m: And(m.is_member, m.y_own))), TOGETHER, 13),
    Mistake("a member that thawed by itself counts as held", "group", dropping("release", 1), TOGETHER, 13),
    Mistake("a frozen disk acknowledges", "group",
            changing("write", "x", lambda m: If(m.x == Acknowledged.UNISSUED, Acknowledged.DONE, m.x)), TOGETHER, 12),
    Mistake("a machine joins while a common point is taken", "group",
            each(lambda x, name: without_guard(x, f"{name}.enable", "JobInProgress")), TOGETHER, 12),
    Mistake("the answers of an earlier round count again", "group",
            both(changing("start_round", "held", lambda m: m.held), changing("start_round", "was_cut", lambda m: m.was_cut)),
            ABSENT, 9),
    Mistake("a member that is out of reach is taken for frozen, cut and held", "group",
            both(asking("freeze", 0, lambda m: And(m.round, m.is_member)), asking("cut", 0, lambda m: And(m.round, m.is_member)),
                 asking("release", 0, lambda m: And(m.round, m.is_member))), ABSENT, 7),
    Mistake("a round is given up silently", "group", lambda x: without_change(x, "give_up", "alarm"), ALARM, 3),
    Mistake("a machine at its own latest point says that it is at the common one", "group",
            changing("fail_over", "stage", lambda _m: literal(Stage.COMMON)), SAYS, 3),
    Mistake("disks are cut one after the other", "disks",
            lambda x: crowd_of("disks", x.machines, (("disks.cut_together", False),)), DISKS, 10),
    Mistake("a point is cut before the log covers the copy", "disks",
            lambda x: crowd_of("disks", x.machines, (("disks.wait_for_log", False),)), ONE_DISK, 5),
    Mistake("the end of a copy is taken for its cover", "disks",
            changing("end_copy", "copy", lambda _m: literal(Copy.COVERED)), ONE_DISK, 6),
    Mistake("writes during the copy are not logged", "disks",
            changing("write", "x_log", lambda m: And(m.x_log, m.covered)), ONE_DISK, 6),
    Mistake("the server is deleted in use", "gateway",
            lambda x: crowd_of("gateway", x.machines, (("gateway.kept_while_used", False),)), REVERSE, 5),
    Mistake("reverse replication starts without a server", "gateway",
            lambda x: crowd_of("gateway", x.machines, (("gateway.asked_for", False),)), REVERSE, 3),
    Mistake("a machine that is about to replicate in reverse is not counted", "gateway", nobody_turns, REVERSE, 5),
    Mistake("reverse replication is granted while the server is being deleted", "gateway",
            asking("reverse_replicate", 1, lambda m: m.server != Server.NONE), REVERSE, 5),
)
IDS = [mistake.story for mistake in MISTAKES]
FIRST = {mistake.claim: mistake for mistake in reversed(MISTAKES)}
ONE_OF_A_CLAIM = [pytest.param(mistake, id=mistake.story, marks=() if FIRST[mistake.claim] is mistake else soak)
                  for mistake in MISTAKES]
"""All mistakes; all but the first one that breaks a claim on demand."""


def scope_of(mistake: Mistake, model: Model) -> Scope:
    """Where the mistake shows, small enough for any number of machines: of the group level the part that it needs."""
    if mistake.level != "group":
        return Scope(words="all of it")
    rows = bounds(model.machines)
    if mistake.claim == ABSENT:
        rows = {name: most for name, most in rows.items() if not name.endswith(".lost")}
    if mistake.claim == SAYS or "latest points" in mistake.story:
        rows = {name: most for name, most in rows.items() if name not in ("a.own", "b.own", "a.stage", "b.stage")}
        rows |= {f"{name}.stage": 1 for name in model.machines if name not in ("a", "b")}
    return Scope(more=rows)


@pytest.mark.parametrize("mistake", MISTAKES, ids=IDS)
def test_a_mistake_is_refuted_by_a_shortest_trace(mistake: Mistake) -> None:
    mutant = mistake.mutate(crowd_of(mistake.level))
    wanted = next(goal for goal in claims_of(mutant) if goal.key == mistake.claim)
    wrong = [target for target in targets(mutant, [mistake.claim]) if target.key == "!" + mistake.claim]
    found = search(mutant, wrong, scope_of(mistake, mutant), max_depth=mistake.length)
    path = found.found[wrong[0].key]
    assert len(path) == mistake.length
    trace = counterexample(compile_model(mutant), wanted, path, shortest=True, method="search")
    assert trace.conclusion.startswith(f"{wanted.promise.id} is broken")


@pytest.mark.parametrize("mistake", ONE_OF_A_CLAIM)
def test_a_mistake_is_not_proved(mistake: Mistake) -> None:
    """The engines agree: what search refutes, induction does not prove of any number of machines."""
    mutant = mistake.mutate(crowd_of(mistake.level))
    goals = claims_of(mutant)
    outcome = induct(mutant, invariant_candidates(mutant, level(mistake.level).lemmas, goals))
    answers = proves(mutant, outcome.invariant, [goal for goal in goals if goal.key == mistake.claim])
    assert answers[mistake.claim].answer == "sat"


@soak
@pytest.mark.parametrize("machines", [("a", "b"), ("a", "b", "c", "d")], ids=["two", "four"])
@pytest.mark.parametrize("mistake", MISTAKES, ids=IDS)
def test_it_shows_after_as_many_steps_however_many_machines_there_are(mistake: Mistake, machines: tuple[str, ...]) -> None:
    mutant = mistake.mutate(crowd_of(mistake.level, machines))
    wrong = [target for target in targets(mutant, [mistake.claim]) if target.key == "!" + mistake.claim]
    found = search(mutant, wrong, scope_of(mistake, mutant), max_depth=mistake.length)
    assert {key: len(path) for key, path in found.found.items()} == {wrong[0].key: mistake.length}
