"""Recovery plans: machines that are failed over together and started group by group (P14).

Rules
1. A plan has any number of machines, each in a boot group with a number. First all machines of the plan are failed over, side by
   side; then the groups are started one after the other, the machines of a group side by side.
2. The next group has its turn when every machine of the present one has started or, in an unplanned failover, has failed. A
   manual action between two groups holds the plan up until it is confirmed.
3. A planned failover of a plan stops at the first error. An unplanned one goes on.
4. A plan that has ended or stopped may be run again. What has moved is not moved again, and what has started is not started
   again; what has failed is tried again.

What the failover of one machine does to its data is the promise level's.

Sources: GEN-15, V2A-45, H2S-26; domain 2.8 (errors), 2.10 (groups and order).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from siteproof.model.catalogue import promise
from siteproof.model.claims import Claim, always, step
from siteproof.model.crowd import NAMES, CrowdStep, crowd, each_of, everyone, of
from siteproof.model.engines.scope import Scope
from siteproof.model.level import Level
from siteproof.model.system import (
    Facts,
    Model,
    Requires,
    Step,
    Vocabulary,
    choice,
    command,
    environment,
    flag,
    internal,
    nat,
    remembered,
)
from siteproof.model.terms import And, Bool, Change, Choice, If, Implies, Not, Or

__all__ = ["LEVEL", "Mode", "Planned", "State"]


class Mode(enum.Enum):
    """Which failover the plan does."""

    PLANNED = "planned"
    UNPLANNED = "unplanned"


class State(enum.Enum):
    """How far a machine has come."""

    HOME = "not moved"
    MOVED = "failed over"
    STARTED = "started"
    FAILED = "failed"


class Planned(Vocabulary):
    """One machine of a plan, and the plan."""

    runs = flag(False, "the plan runs", shared=True)
    mode = choice(Mode.PLANNED, "which failover the plan does", shared=True)
    turn = nat(0, "number of the group that is being started; 0 while machines are failed over", shared=True)
    waits = flag(False, "a manual action has to be confirmed", shared=True)

    listed = flag(False, "the machine is in the plan")
    group = nat(1, "number of the machine's boot group")
    state = choice(State.HOME, "how far the machine has come")
    moves = nat(0, "how often the machine has been failed over")

    @property
    def has_turn(self) -> Bool:
        """The machine's group is being started."""
        return And(self.runs, self.listed, self.group == self.turn)


@environment(("GEN-15", "V2A-45", "H2S-26"))
def enlist(_t: Facts, m: Planned) -> Step:
    """The machine is put into the plan."""
    return Step(requires=[Not(m.runs), Not(m.listed)], changes=[m.listed.becomes(True)])


@environment()
def choose_later_group(_t: Facts, m: Planned) -> Step:
    """The machine is put into the next higher boot group. Who has started stays where it is."""
    return Step(requires=[Not(m.runs), m.listed, m.state == State.HOME], changes=[m.group.becomes(m.group + 1)])


def _afresh(t: Facts, one: Planned) -> list[Change]:
    """What a run makes of a machine: one that has failed is tried again, from where it stood."""
    again = If(one.moves > 0, State.MOVED, State.HOME)
    forgotten = And(one.state != State.HOME, Not(t["plan.rerun_skips"]))
    return [one.state.becomes(If(forgotten, State.HOME, If(one.state == State.FAILED, again, one.state)))]


@command("RunPlan", ("GEN-15", "V2A-45", "H2S-26"), {"mode": Mode})
def run_plan(t: Facts, m: Planned, mode: Choice[Mode]) -> Step:
    """Fail over the machines of the plan and start them in order."""
    return CrowdStep(
        requires=[Requires(Not(m.runs), "JobInProgress")],
        changes=[m.runs.becomes(True), m.mode.becomes(mode), m.turn.becomes(0), m.waits.becomes(False)],
        each=lambda one: _afresh(t, one),
    )


def _error(t: Facts, m: Planned) -> list[Change]:
    """A machine has failed: a planned run stops."""
    stops = And(m.mode == Mode.PLANNED, t["plan.planned_stops_at_error"])
    return [m.state.becomes(State.FAILED), m.runs.becomes(Not(stops))]


@internal(("V2A-46", "H2S-23"))
def move(_t: Facts, m: Planned) -> Step:
    """The machine is failed over."""
    return Step(
        requires=[m.runs, m.listed, m.turn == 0, m.state == State.HOME],
        changes=[m.state.becomes(State.MOVED), m.moves.becomes(m.moves + 1)],
    )


@environment()
def move_fails(t: Facts, m: Planned) -> Step:
    """The machine cannot be failed over."""
    return Step(requires=[m.runs, m.listed, m.turn == 0, m.state == State.HOME], changes=_error(t, m))


@internal(())
def begin_to_start(_t: Facts, m: Planned) -> Step:
    """Every machine of the plan has been failed over, or has failed: the first group has its turn."""
    return CrowdStep(
        requires=[m.runs, m.turn == 0], changes=[m.turn.becomes(1)],
        everyone=[everyone(lambda one: Implies(one.listed, one.state != State.HOME))],
    )


@internal(())
def start(_t: Facts, m: Planned) -> Step:
    """The machine is started at its new side."""
    return Step(
        requires=[m.has_turn, Not(m.waits), m.state == State.MOVED], changes=[m.state.becomes(State.STARTED)]
    )


@environment()
def start_fails(t: Facts, m: Planned) -> Step:
    """The machine does not start."""
    return Step(requires=[m.has_turn, Not(m.waits), m.state == State.MOVED], changes=_error(t, m))


def _done(one: Planned, m: Planned) -> Bool:
    return Or(one.state == State.STARTED, And(m.mode == Mode.UNPLANNED, one.state == State.FAILED))


@internal(())
def next_group(t: Facts, m: Planned) -> Step:
    """Every machine of the group has started or, in an unplanned failover, failed: the next group has its turn."""
    return CrowdStep(
        requires=[m.runs, m.turn > 0, Not(m.waits)], changes=[m.turn.becomes(m.turn + 1)],
        everyone=[everyone(lambda one: Implies(And(t["plan.waits_for_group"], one.listed, one.group == m.turn), _done(one, m)))],
    )


@environment()
def ask_for_action(_t: Facts, m: Planned) -> Step:
    """The plan has a manual action here."""
    return Step(requires=[m.runs, m.turn > 0, Not(m.waits)], changes=[m.waits.becomes(True)])


@command("ConfirmAction")
def confirm_action(_t: Facts, m: Planned) -> Step:
    """Somebody has done what the manual action asks for."""
    return Step(requires=[Requires(m.waits, "NoActionToConfirm")], changes=[m.waits.becomes(False)])


@internal(())
def end_plan(_t: Facts, m: Planned) -> Step:
    """Every machine has started or failed: the plan is done."""
    return CrowdStep(
        requires=[m.runs, m.turn > 0, Not(m.waits)], changes=[m.runs.becomes(False)],
        everyone=[everyone(lambda one: Implies(one.listed, one.state.is_in(State.STARTED, State.FAILED)))],
    )


OF_EACH = (enlist, choose_later_group, move, move_fails, start, start_fails)
OF_ALL = (run_plan, begin_to_start, next_group, ask_for_action, confirm_action, end_plan)

P14 = promise("P14", (
    step("a machine starts only when each machine of an earlier group has started or, in an unplanned failover, failed",
         of(lambda _m, o, _n, _p: Or(o.state == State.STARTED, And(o.mode == Mode.UNPLANNED, o.state == State.FAILED)), "a", "b"),
         given=of(lambda m, o, _n, _p: And(o.listed, o.group < m.group), "a", "b"), on=("a.start",)),
    step("none starts before all have been failed over or have failed",
         of(lambda _m, o, _n, _p: o.state != State.HOME, "a", "b"),
         given=of(lambda _m, o, _n, _p: o.listed, "a", "b"), on=("a.start",)),
    step("while a manual action waits, nobody is failed over or started", of(lambda m, n: m.state == n.state, "a"),
         given=of(lambda m, _n: m.waits, "a")),
    always("a planned run stops at the first error", of(lambda m: m.state != State.FAILED, "a"),
           given=of(lambda m: And(m.runs, m.mode == Mode.PLANNED), "a")),
    always("no machine is failed over twice", of(lambda m: m.moves <= 1, "a")),
    step("what has started stays started", of(lambda _m, n: n.state == State.STARTED, "a"),
         given=of(lambda m, _n: m.state == State.STARTED, "a")),
    step("a second run tries again what has failed, from where it stood",
         of(lambda m, n: n.state == If(m.moves > 0, State.MOVED, State.HOME), "a"),
         given=of(lambda m, _n: m.state == State.FAILED, "a"), on=("run_plan",)),
))

LEMMAS: tuple[Claim, ...] = (
    *each_of("home_is_unmoved", lambda m: Implies(m.state == State.HOME, m.moves == 0)),
    *each_of("moved_once", lambda m: Implies(m.state.is_in(State.MOVED, State.STARTED), m.moves == 1)),
    *each_of("moved_at_most_once", lambda m: m.moves <= 1),
    *each_of("all_have_moved", lambda m: Implies(And(m.runs, m.turn > 0, m.listed), m.state != State.HOME)),
    *each_of("earlier_groups_are_done", lambda m: Implies(And(m.runs, m.listed, m.group < m.turn), _done(m, m))),
    *each_of("not_listed_not_touched", lambda m: Implies(Not(m.listed), m.state == State.HOME)),
    *each_of("groups_count_from_one", lambda m: m.group >= 1),
    *each_of("planned_has_no_error", lambda m: Implies(And(m.runs, m.mode == Mode.PLANNED), m.state != State.FAILED)),
    always("waits_only_while_it_runs", of(lambda m: Implies(m.waits, And(m.runs, m.turn > 0)), "a")),
)


@remembered
def plan_model(name: str, facts: Mapping[str, bool], machines: tuple[str, ...] = NAMES) -> Model:
    """The recovery plans of a flow, for the machines called so."""
    return crowd(name, "plan", Planned, facts, of_each=OF_EACH, of_all=OF_ALL,
                 outsider=lambda m: And(Not(m.listed), m.state == State.HOME), machines=machines)


def _bounds(turn: int, group: int) -> Scope:
    bounds = {f"{name}.{variable}": most for name in NAMES for variable, most in (("group", group), ("moves", 2))}
    return Scope(None, None, None, {"turn": turn, **bounds})


LEVEL = Level(
    "plan", "recovery plans", "any number of machines and groups, any number of runs", plan_model, (P14,), LEMMAS,
    _bounds(3, 2), (_bounds(2, 2),))
