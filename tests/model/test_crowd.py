"""Crowds: what a rule may speak of, what becomes of it for each machine, and the cut-off that leads to any number of them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import pytest

from siteproof.model.claims import Promise, always, built, step
from siteproof.model.crowd import CrowdStep, crowd, each_of, everyone, of, pairs_of
from siteproof.model.engines.induction import induct, proves
from siteproof.model.engines.obligations import Proof, goals_of, invariant_candidates
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Target, search
from siteproof.model.readings.english import describe_action
from siteproof.model.readings.python import Accepted, Refused, compile_model
from siteproof.model.readings.smt import Named
from siteproof.model.system import (
    ActionRule,
    Facts,
    Kind,
    Model,
    Requires,
    Step,
    Vocabulary,
    build_model,
    choice,
    command,
    environment,
    flag,
    internal,
    nat,
)
from siteproof.model.terms import And, Bool, If, Implies, Not, Or


class Seat(enum.Enum):
    OUT = "out"
    WAITING = "waiting"
    INSIDE = "inside"


class Guest(Vocabulary):
    """A room with one door: it opens when everyone who waits is ready, and closes behind all."""

    open = flag(False, "the door is open", shared=True)
    entered = nat(0, "how many have entered", shared=True)
    seat = choice(Seat.OUT, "where the guest is")
    ready = flag(False, "the guest is ready")


@command("Queue", parameters={"ready": bool})
def queue(_t: Facts, m: Guest, ready: Bool) -> Step:
    """Wait at the door."""
    return Step(requires=[Requires(m.seat == Seat.OUT, "Elsewhere")],
                changes=[m.seat.becomes(Seat.WAITING), m.ready.becomes(ready)])


@internal()
def enter(_t: Facts, m: Guest) -> CrowdStep:
    """Go in, one after the other, when all who wait are ready."""
    return CrowdStep(
        requires=[m.open, m.seat == Seat.WAITING],
        everyone=[everyone(lambda k: Implies(k.seat == Seat.WAITING, k.ready), "SomebodyIsNotReady")],
        changes=[m.seat.becomes(Seat.INSIDE), m.entered.becomes(m.entered + 1)],
    )


@environment()
def open_door(_t: Facts, m: Guest) -> Step:
    """The door opens."""
    return Step(requires=[Not(m.open)], changes=[m.open.becomes(True)])


@internal()
def close_door(_t: Facts, m: Guest) -> CrowdStep:
    """The door closes; whoever is inside has to go, and nobody is ready any more."""
    return CrowdStep(requires=[m.open], changes=[m.open.becomes(False)],
                     each=lambda k: [k.seat.becomes(If(k.seat == Seat.INSIDE, Seat.OUT, k.seat)), k.ready.becomes(False)])


def outsider(m: Guest) -> Bool:
    return m.seat == Seat.OUT


def room(*more: ActionRule, machines: tuple[str, ...] = ("a", "b", "other"),
         of_all: tuple[ActionRule, ...] = (open_door, close_door), outside: Callable[[Guest], Bool] = outsider) -> Model:
    return crowd("room", "room", Guest, {}, of_each=(queue, enter, *more), of_all=of_all, outsider=outside, machines=machines)


def rule(step: Step, kind: Kind = Kind.INTERNAL) -> ActionRule:
    """An action that is always read as `step`."""
    return ActionRule("strange", kind, lambda *_a: step, (), (), "Strange.")


# ------------------------------------------------------------------------------------------------------- what comes out


def test_each_machine_has_its_own_variables_and_what_is_shared_is_there_once() -> None:
    assert room().names == ("open", "entered", "a.seat", "a.ready", "b.seat", "b.ready", "other.seat", "other.ready")


def test_a_step_of_one_machine_is_an_action_of_each_and_one_of_nobody_is_one_action() -> None:
    model = room()
    assert [a.name for a in model.actions] == ["a.queue", "b.queue", "other.queue", "a.enter", "b.enter", "other.enter",
                                               "open_door", "close_door"]
    assert [a.taker for a in model.actions] == ["a", "b", "other"] * 2 + ["", ""]


def test_everyone_asks_every_machine_and_says_why_it_refuses() -> None:
    compiled = compile_model(room())
    state = compiled.put(compiled.initial, open=True, **{"a.seat": Seat.WAITING, "a.ready": True})
    assert isinstance(compiled.actions["a.enter"].answer(state), Accepted)
    unready = compiled.put(state, **{"other.seat": Seat.WAITING})
    assert compiled.actions["a.enter"].answer(unready) == Refused((2,), ("SomebodyIsNotReady",))


def test_a_step_changes_its_own_machine_and_a_broadcast_every_one() -> None:
    compiled = compile_model(room())
    ready = {f"{n}.seat": Seat.WAITING for n in "ab"} | {f"{n}.ready": True for n in "ab"}
    full = compiled.put(compiled.initial, open=True, **ready)
    one = compiled.actions["a.enter"].step(full)
    assert one is not None
    assert [compiled.get(one, f"{n}.seat") for n in "ab"] == [Seat.INSIDE, Seat.WAITING]
    after = compiled.actions["close_door"].step(one)
    assert after is not None
    assert [compiled.get(after, f"{n}.seat") for n in ("a", "b", "other")] == [Seat.OUT, Seat.WAITING, Seat.OUT]
    assert not compiled.get(after, "b.ready")


def test_the_machines_are_alike() -> None:
    """Exchanging two machines in a state and in an action's name exchanges them in what comes of it."""
    model = room()
    compiled = compile_model(model)
    swap = {"a": "b", "b": "a"}

    def twin_of(name: str) -> str:
        whose, dot, own = name.partition(".")
        return swap.get(whose, whose) + dot + own

    def exchanged(state: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(state[model.names.index(twin_of(name))] for name in model.names)

    seen = {model.initial}
    todo = [model.initial]
    while todo:
        state = todo.pop()
        for action in model.actions:
            twin = compiled.actions[twin_of(action.name)]
            for arguments in action.instances():
                after = compiled.actions[action.name].step(state, *arguments)
                mirrored = twin.step(exchanged(state), *arguments)
                assert (after is None) == (mirrored is None)
                if after is not None:
                    assert exchanged(after) == mirrored
                    if compiled.get(after, "entered") <= 2 and after not in seen:
                        seen.add(after)
                        todo.append(after)
    assert len(seen) > 100


def test_a_crowds_action_reads_as_english() -> None:
    told = describe_action(room(), room().action("b.enter"))
    assert told["doc"].startswith("b: Go in")
    assert [guard["text"] for guard in told["guards"]][:2] == ["open", "b.seat is waiting"]
    assert "if other.seat is waiting then other.ready" in told["guards"][2]["text"]
    assert told["effects"] == ["b.seat becomes inside", "entered becomes entered + 1"]


# ----------------------------------------------------------------------------------------------------- what is refused

STRANGER = Guest()
NAMED = type("Two", (Guest,), {})()
NAMED.terms = {v.name: v.domain.term(f"b.{v.name}") for v in Guest.variables()}


@pytest.mark.parametrize(("strange", "told"), [
    (Step(requires=[NAMED.ready], changes=[]), "a precondition of strange speaks of b.ready"),
    (Step(requires=[Or(NAMED.ready, STRANGER.open)], changes=[]), "of some other one nothing"),
    (Step(changes=[STRANGER.open.becomes(NAMED.ready)]), "the next value of open in strange speaks of b.ready"),
    (Step(changes=[NAMED.ready.becomes(True)]), "strange changes b.ready, which is neither its own"),
    (Step(changes=[STRANGER.ready.becomes(True)]), "strange changes ready, which is neither its own"),
    (CrowdStep(changes=[], everyone=[everyone(lambda k: Implies(k.ready, NAMED.ready))]), "about everyone speaks of b.ready"),
    (CrowdStep(changes=[], each=lambda k: [k.ready.becomes(NAMED.ready)]),
     "the next value of each.ready in strange speaks of b.ready"),
    (CrowdStep(changes=[], each=lambda _k: [STRANGER.open.becomes(True)]), "strange changes open"),
    (CrowdStep(changes=[], each=lambda k: [k.ready.becomes(True), k.ready.becomes(False)]), "changes a variable twice"),
    (CrowdStep(changes=[], everyone=[everyone(lambda k: k.ready)]), "asks of everyone what an outsider need not satisfy"),
    (CrowdStep(changes=[], each=lambda k: [k.seat.becomes(Seat.WAITING)]), "makes something else of an outsider"),
])
def test_a_rule_that_looks_at_another_machine_or_hinders_fewer_is_refused(strange: Step, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        room(rule(strange))


def test_a_step_of_nobody_has_no_machine_of_its_own() -> None:
    @internal()
    def looks(_t: Facts, m: Guest) -> Step:
        """Look at one machine without being one."""
        return Step(requires=[m.ready], changes=[m.open.becomes(True)])

    with pytest.raises(ValueError, match=r"a precondition of looks speaks of this.ready"):
        room(of_all=(open_door, close_door, looks))


def test_one_machines_change_and_everybodys_may_not_meet() -> None:
    @internal()
    def both(_t: Facts, m: Guest) -> CrowdStep:
        """Change a variable of one machine and of each."""
        return CrowdStep(changes=[m.ready.becomes(True)], each=lambda k: [k.ready.becomes(False)])

    with pytest.raises(ValueError, match="both changes ready of one machine and of each"):
        room(both)


def test_everyone_is_no_term_so_it_cannot_be_denied_or_be_one_of_two_choices() -> None:
    ask: Any = everyone(lambda k: k.ready)
    for wrong in (Not, lambda x: Or(x, STRANGER.open), lambda x: Implies(STRANGER.open, x)):
        with pytest.raises(TypeError, match="expected a truth value"):
            wrong(ask)


def test_an_outsider_is_one_at_the_start() -> None:
    with pytest.raises(ValueError, match="no outsider at the start"):
        room(outside=lambda m: m.seat == Seat.INSIDE)


def test_a_rule_of_a_crowd_is_not_built_as_one_of_a_single_machine() -> None:
    with pytest.raises(ValueError, match="written for a crowd"):
        build_model("room", "room", Guest, (enter,), {})


@pytest.mark.parametrize("names", [("a",), ("a", "a"), ("this", "a")])
def test_names_of_a_crowd_are_two_at_least_and_each_its_own(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="a crowd needs two names"):
        room(machines=names)


# ------------------------------------------------------------------------------------------------------------ the cut-off


def test_a_claim_about_all_the_named_machines_is_refused() -> None:
    wide = always("all at once", lambda c: Or(c["a"].ready, c["b"].ready, c["other"].ready))
    with pytest.raises(ValueError, match="speaks of all 3 named machines"):
        built(room(), wide)


def test_a_conjunct_about_all_the_named_machines_takes_no_part_in_an_invariant() -> None:
    """For three machines it is an invariant; nothing follows for a fourth."""
    model = room()
    world: Any = model.vocabulary()
    wide = Named("wide", Or(*(world[name].seat != Seat.INSIDE for name in model.machines), world["a"].open).node)
    assert induct(model, [wide]).dropped == {"wide": "one machine more than are named"}


LIMIT = 2


@internal()
def enter_of_few(_t: Facts, m: Guest) -> Step:
    """Go in, unless two have entered."""
    return Step(requires=[m.open, m.seat == Seat.WAITING, m.entered < LIMIT],
                changes=[m.seat.becomes(Seat.INSIDE), m.entered.becomes(m.entered + 1)])


def test_what_holds_of_the_named_ones_only_because_they_are_few_is_not_proved() -> None:
    """Two machines never count to three. The crowd of two shows no counterexample; induction does not believe it."""
    model = room(machines=("a", "other"), of_all=(open_door,))
    claim = always("at most two", lambda c: c["a"].entered <= LIMIT)
    goals = goals_of(model, [Promise("P", "p", "p", (), (claim,))])
    wrong = Target("!", (claim.conclusion(model.vocabulary()) == False).node)  # noqa: E712 - a term
    assert search(model, [wrong], Scope(words="two")).exhausted
    assert "!" not in search(model, [wrong], Scope(words="two")).found
    assert not induct(model, invariant_candidates(model, (), goals)).proves("P.at-most-two")
    three = room(of_all=(open_door,))
    assert len(search(three, [wrong], Scope(words="three")).found["!"]) == 7


def test_steps_of_the_machine_without_a_name_of_its_own_are_interference() -> None:
    model = room()
    door = Named("door", model.vocabulary()["a"].open.node)
    seats = [Named(f"seat.{name}", model.vocabulary()[name].seat.node >= 0) for name in model.machines]
    rows = Proof(model, (door, *seats)).obligations(())
    assert [row.name for row in rows if row.kind == "interference"] == ["interference-other.queue", "interference-other.enter"]
    assert [row.name for row in rows if row.kind == "consecution"] == [
        "consecution-a.queue", "consecution-b.queue", "consecution-a.enter", "consecution-b.enter", "consecution-open_door",
        "consecution-close_door"]


def test_a_true_claim_about_two_is_proved_and_a_false_one_is_not() -> None:
    model = room()
    lemmas = (*each_of("inside_only_through_the_door", lambda m: Implies(m.seat == Seat.INSIDE, m.open)),)
    good = always("who is inside came through the door", of(lambda a: a.open, "a"),
                  given=of(lambda a, b: Or(a.seat == Seat.INSIDE, b.seat == Seat.INSIDE), "a", "b"))
    bad = step("nobody enters twice", of(lambda _a, z: z.seat != Seat.INSIDE, "a"), given=of(lambda a, _z: a.open, "a"))
    goals = goals_of(model, [Promise("P", "p", "p", (), (good, bad))])
    outcome = induct(model, invariant_candidates(model, lemmas, goals[:1]))
    assert outcome.complete
    told = proves(model, outcome.invariant, goals)
    assert [told[goal.key].answer for goal in goals] == ["unsat", "sat"]


def test_lemmas_are_said_of_every_machine_and_of_every_two_in_both_orders() -> None:
    assert [c.name for c in each_of("l", lambda m: m.ready)] == ["l.a", "l.b", "l.other"]
    assert [c.name for c in pairs_of("l", lambda m, k: Or(m.ready, k.ready))] == [
        "l.a.b", "l.a.other", "l.b.a", "l.b.other", "l.other.a", "l.other.b"]


# -------------------------------------------------------------------------------- one machine among others, side by side


class Lamp(Vocabulary):
    """A lamp on a line that it shares with others."""

    power = flag(True, "the line has power", shared=True)
    lit = flag(False, "the lamp is lit")


@command("Light")
def light(_t: Facts, m: Lamp) -> Step:
    """Light the lamp."""
    return Step(requires=[m.power], changes=[m.lit.becomes(True)])


@environment()
def cut_power(_t: Facts, m: Lamp) -> Step:
    """The power goes, and all lamps with it."""
    return Step(requires=[m.power], changes=[m.power.becomes(False), m.lit.becomes(False)])


LIT_NEEDS_POWER = always("a lamp that is lit has power", lambda m: m.power, given=lambda m: m.lit)


def test_what_all_machines_share_is_changed_by_the_world_alone() -> None:
    @command("Switch")
    def switch(_t: Facts, m: Lamp) -> Step:
        """Cut the line for all."""
        return Step(changes=[m.power.becomes(False), m.lit.becomes(False)])

    with pytest.raises(ValueError, match="switch changes power, which all machines share: only the environment may"):
        build_model("lamps", "lamps", Lamp, (light, switch), {})


@pytest.mark.parametrize("strange", [
    Step(requires=[Lamp().lit], changes=[Lamp().power.becomes(False)]), Step(changes=[Lamp().power.becomes(Lamp().lit)])])
def test_the_world_does_the_same_to_all(strange: Step) -> None:
    with pytest.raises(ValueError, match="looks at one machine's lit"):
        build_model("lamps", "lamps", Lamp, (light, rule(strange, Kind.ENVIRONMENT)), {})


def test_another_machines_step_is_asked_about_what_is_shared_and_about_every_claim_about_all_steps() -> None:
    model = build_model("lamps", "lamps", Lamp, (light, cut_power), {})
    everywhere = step("a lit lamp stays lit while there is power", lambda _a, b: b.lit, given=lambda a, b: And(a.lit, b.power))
    goals = goals_of(model, [Promise("P", "p", "p", (), (LIT_NEEDS_POWER, everywhere))])
    invariant = induct(model, invariant_candidates(model, (), goals)).invariant
    rows = {row.name: row for row in Proof(model, invariant).obligations(goals)}
    assert [name for name, row in rows.items() if row.kind == "interference"] == ["interference"]
    one = rows["interference"]
    assert one.claims == ("P.a-lit-lamp-stays-lit-while-there-is-power",)
    assert [row.name for row in one.goal] == ["P.a-lamp-that-is-lit-has-power'", *one.claims]
    text = one.script(model)
    assert "(assert (! (= |power'| power) :named c.frame.power))" in text
    assert "(=> lit |power'|)" in text
    assert "lit'" not in text


def test_a_conjunct_about_one_machine_alone_is_not_asked_of_the_others() -> None:
    model = build_model("lamps", "lamps", Lamp, (light, cut_power), {})
    own = Named("own", Or(model.vocabulary().lit, Not(model.vocabulary().lit)).node)
    assert [row.name for row in Proof(model, (own,)).obligations(())] == [
        "initiation", "consecution-light", "consecution-cut_power"]


def test_a_claim_that_every_step_does_something_is_not_kept_by_another_machines() -> None:
    """True of each step of this lamp; a step of another one changes nothing here."""
    model = build_model("lamps", "lamps", Lamp, (light, cut_power), {})
    busy = step("every step lights or darkens", lambda _a, b: Or(b.lit, Not(b.power)))
    goals = goals_of(model, [Promise("P", "p", "p", (), (busy,))])
    told = proves(model, (), goals)["P.every-step-lights-or-darkens"]
    assert (told.answer, told.action) == ("sat", "a step of another machine")
