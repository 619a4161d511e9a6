"""Protocols with a mistake that somebody has made: a rule that is replaced, or facts that are others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import attrs
import z3

from siteproof.model.engines.induction import proves
from siteproof.model.engines.obligations import Goal, goals_of, invariant_candidates
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Target, search
from siteproof.model.engines.traces import counterexample
from siteproof.model.mutation import with_change, with_guard, without_change, without_guard
from siteproof.model.protocol import LEMMAS, PROMISES, protocol_model
from siteproof.model.protocol.vocabulary import Parts
from siteproof.model.readings import smt
from siteproof.model.readings.python import compile_model
from siteproof.model.results import Trace
from siteproof.model.system import Model
from siteproof.model.terms import And
from siteproof.model.topology import load_topology

V2A, H2S = "vmware-to-azure", "hyper-v-to-secondary-site"
NEAR = Scope(writes=1, failovers=1, cached=0)
p = Parts()


@attrs.frozen
class Wrong:
    """A mistake: what is changed, in which flow, and the claim that it breaks. `length` is that of the shortest run that shows it
    within `NEAR`; None where only the obligation fails, for some state that the lemmas allow."""

    story: str
    flow: str
    mutate: Callable[[Model], Model]
    breaks: str
    length: int | None
    facts: Mapping[str, bool] = attrs.field(factory=dict)


def number_of(model: Model, action: str, text: str) -> int:
    """Which precondition of an action speaks of `text`: the only one that does."""
    guards = model.action(action).guards
    (found,) = (n for n, guard in enumerate(guards) if text in str(guard.written))
    return found


@cache
def right(flow: str, *facts: tuple[str, bool]) -> Model:
    return protocol_model(flow, {**load_topology(flow).facts, **dict(facts)})


def goals(model: Model) -> list[Goal]:
    return [goal for goal in goals_of(model, PROMISES) if goal.built.applies]


def goal_of(model: Model, key: str) -> Goal:
    (found,) = (goal for goal in goals(model) if goal.key == key)
    return found


def shortest(model: Model, key: str, most: int) -> Trace | None:
    """A shortest run within `NEAR` that breaks a claim, replayed and told."""
    goal = goal_of(model, key)
    target = Target(key, z3.Not(goal.built.formula), goal.claim.is_step, goal.claim.on)
    found = search(model, [target], NEAR, max_depth=most, max_states=400_000)
    if key not in found.found:
        return None
    return counterexample(compile_model(model), goal, found.found[key], shortest=True, method="breadth-first search")


def is_shown(model: Model, key: str) -> bool:
    """Whether the obligation of a step claim is met from every state that lemmas and claims allow."""
    rows = goals(model)
    return proves(model, invariant_candidates(model, LEMMAS, rows), [goal_of(model, key)])[key].answer == "unsat"


def keeps(model: Model, action: str, key: str) -> bool:
    """Whether an action keeps a claim about states, from every state that lemmas and claims allow."""
    rows = [row.node for row in invariant_candidates(model, LEMMAS, goals(model))]
    solver = z3.SolverFor("QF_LIA")
    solver.add(*rows, *(row.node for row in smt.transition(model, model.action(action), folded=True)))
    return bool(solver.check(z3.Not(smt.prime(model, goal_of(model, key).built.formula))) == z3.unsat)


def _cache_counts(x: Model) -> Model:
    held = p.passive + p.queue
    looser = with_guard(x, "acknowledge", number_of(x, "acknowledge", "acked"), p.acked < held)
    return with_change(looser, "acknowledge", "acked", held)


def _wrong_side(x: Model) -> Model:
    less = without_change(without_change(x, "merge", "passive"), "merge", "x_passive")
    return with_change(with_change(less, "merge", "head", p.passive), "merge", "x_active", p.x_passive)


def _without(action: str, text: str) -> Callable[[Model], Model]:
    return lambda x: without_guard(x, action, number_of(x, action, text))


WRONG: tuple[Wrong, ...] = (
    Wrong("a log is dropped before the far end has acknowledged it", V2A, _without("drop_log", "acked"),
          "R1.drop-log-changes-nothing-that-is-seen", 5),
    Wrong("the log is cleared when a new gateway shakes hands", V2A,
          lambda x: with_change(x, "open_session", "x_log", And(p.x_log, p.x_fate != p.x_fate)),
          "P8.what-the-replica-lacks-is-in-the-source-s-logs", 7),
    Wrong("a log that was not closed is trusted after a crash", V2A, lambda x: without_change(x, "recover_log", "doubt"),
          "P17.recover-log-changes-nothing-that-is-seen", 5),
    Wrong("what is in the gateway's cache counts as received", V2A, _cache_counts,
          "P9.a-log-is-dropped-only-when-all-of-it-has-been-received", 7),
    Wrong("a commit ends before the points are gone", V2A, lambda x: without_guard(x, "commit_ends", 1),
          "R1.commit-ends-refines-commit-second-half-of-the-promise-level", 8),
    Wrong("data of an older epoch is accepted", V2A, lambda x: x, "P3.the-far-end-takes-data-of-its-own-epoch-only", None,
          {"returning.epoch_checked": False}),
    Wrong("a planned failover switches before all has been received", H2S, _without("switch_planned", "passive == head"),
          "P1.the-side-that-takes-over-has-everything-and-the-source-is-off-in-truth-not-only-in-the-books", 7),
    Wrong("a planned failover trusts the books that the source is off", H2S,
          lambda x: with_guard(x, "switch_planned", number_of(x, "switch_planned", "believed_off"), p.believed_off),
          "R1.switch-planned-refines-switch-planned-of-the-promise-level", 7),
    Wrong("a resynchronisation goes from the wrong side", V2A, _wrong_side,
          "R1.merge-refines-merge-of-the-promise-level", 9),
    Wrong("protection is reported before there is a base", V2A, lambda x: without_guard(x, "finish_copy", 1),
          "R1.finish-copy-refines-finish-copy-of-the-promise-level", 2),
    Wrong("the temporary process server is deleted while it is used", V2A, lambda x: without_guard(x, "delete_server", 2),
          "P8.a-machine-that-replicates-back-has-its-process-server", None),
    Wrong("an unplanned failover needs the primary site's relay", V2A, lambda x: x,
          "P22.with-the-primary-site-gone-the-vault-grants-an-unplanned-failover-to-the-newest-point", 5,
          {"control.target_far_forward": True}),
    Wrong("a planned failover is given up without asking the other side", H2S, _without("fail_planned", "done"),
          "P1.one-that-is-given-up-has-not-switched", 8),
    Wrong("the new side obeys an order of the old epoch", H2S, _without("stop_source", "vault_epoch"),
          "P1.nobody-stops-the-new-side-for-a-job-of-the-old-one", None),
)


__all__ = ["H2S", "V2A", "WRONG", "Wrong", "goals", "is_shown", "keeps", "right", "shortest"]
