"""The whole model is needed: each precondition and each change of each action is taken away in turn, and some claim notices.

A mutant is *noticed* when a search finds a run of it that breaks a claim. It is *the same* when the invariant shows that the
mutated action can do nothing new and nothing less; such a mutant is no mistake. All others are told by name: it *survives*
when the old invariant proves every claim of it as well, and is *open* when neither proof nor counterexample was found in the
scope that is searched. Both are in `ALLOWED`, each with the reason why that is right, and nothing else is.

To make the list anew after a change of the model or its claims (known reasons are kept, new ones say "TO REVIEW"):

    python -m tests.quality.test_sweep_of_the_model
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest
import z3

from siteproof.model.engines.obligations import Goal, goals_of, invariant_candidates
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Memory, Target, search
from siteproof.model.mutation import without_change, without_guard
from siteproof.model.promise import LEMMAS, LEVEL, PROMISES, RULES, promise_model
from siteproof.model.readings import smt
from siteproof.model.system import Action, Model
from siteproof.model.topology import load_topology
from tests.soak import soak

from .sweep_allowed import ALLOWED

FLOWS = {"A": "vmware-to-azure", "S": "hyper-v-to-secondary-site", "V": "hyper-v-vmm-to-azure"}
SCOPES, STATES = (LEVEL.scopes[0], Scope(writes=1, failovers=1)), 40_000
"""A calm one, which gets deeper, and one with every fault."""


@attrs.frozen(eq=False)
class Base:
    """A flow as it is: its model, its claims, the invariant that proves them, and what searches of it have in common."""

    model: Model
    goals: list[Goal]
    invariant: list[Any]
    later: Any
    targets: list[Target]
    memory: tuple[Memory, ...]

    def solver(self, *rows: Any) -> Any:
        solver = z3.SolverFor("QF_LIA")
        solver.set("timeout", 10_000)
        solver.add(*self.invariant, *rows)
        return solver


@cache
def base(flow: str) -> Base:
    model = promise_model(flow, load_topology(flow).facts)
    goals = [goal for goal in goals_of(model, PROMISES) if goal.built.applies]
    rows = invariant_candidates(model, LEMMAS, goals)
    targets = [Target("any", z3.Not(g.built.formula), g.claim.is_step, g.claim.on) for g in goals]
    later = z3.And(*(smt.prime(model, row.node) for row in rows))
    return Base(model, goals, [row.node for row in rows], later, targets, tuple({} for _ in SCOPES))


def mutants(model: Model, action: Action) -> Iterator[tuple[str, Model]]:
    """Every mutant of one action, with its name."""
    for number, guard in enumerate(action.guards):
        if not z3.is_true(guard.folded):
            yield f"{action.name} guard {number} {guard.code}".rstrip(), without_guard(model, action.name, number)
    for variable in action.changes:
        yield f"{action.name} change {variable}", without_change(model, action.name, variable)


def step_of(model: Model, action: Action) -> Any:
    return z3.And(*(row.node for row in smt.transition(model, action, folded=True)))


def judged(here: Base, name: str, mutant: Model) -> str:
    """`the same`, `noticed`, `survives` or `open`."""
    old, new = (model.action(name) for model in (here.model, mutant))
    was, becomes = step_of(here.model, old), step_of(mutant, new)
    if here.solver(was != becomes).check() == z3.unsat:
        return "the same"
    claims = [g.built.formula for g in here.goals if g.claim.is_step and (g.claim.on is None or name in g.claim.on)]
    if here.solver(becomes, z3.Not(z3.And(here.later, *claims))).check() == z3.unsat:
        return "survives"
    for scope, memory in zip(SCOPES, here.memory, strict=True):
        if search(mutant, here.targets, scope, max_states=STATES, memory=memory).found:
            return "noticed"
    return "open"


def unnoticed(flow: str, action: str) -> dict[str, str]:
    """The mutants of an action that no claim notices, each with what it is."""
    here = base(flow)
    rows = {what: judged(here, action, mutant) for what, mutant in mutants(here.model, here.model.action(action))}
    return {what: verdict for what, verdict in rows.items() if verdict in ("survives", "open")}


CASES = [(letter, rule.name) for letter in FLOWS for rule in RULES]


SHOWN = (("S", "stop_source"), ("S", "replicate"))
"""What is judged by default; all on demand."""


@pytest.mark.parametrize(("letter", "action"), [
    pytest.param(letter, action, id=f"{FLOWS[letter]}, {action}", marks=() if (letter, action) in SHOWN else soak)
    for letter, action in CASES])
def test_every_part_of_an_action_is_needed_by_a_claim_or_allowed_not_to_be(letter: str, action: str) -> None:
    allowed = {what for what, (flows, _reason) in ALLOWED.items() if letter in flows and what.split()[0] == action}
    assert set(unnoticed(FLOWS[letter], action)) == allowed


def test_the_list_speaks_of_actions_that_there_are_and_every_reason_was_reviewed() -> None:
    actions = {action for _letter, action in CASES}
    assert {what.split()[0] for what in ALLOWED} <= actions
    assert [what for what, (_flows, reason) in ALLOWED.items() if not reason or "TO REVIEW" in reason] == []


@soak
def test_a_sweep_notices_what_is_known_to_be_wrong() -> None:
    here = base(FLOWS["S"])
    assert judged(here, "switch_planned", without_change(here.model, "switch_planned", "epoch")) == "noticed"
    assert judged(here, "replicate", here.model) == "the same"


HEAD = '''"""What the sweep of the model leaves unnoticed, and why that is right: by mutant, the flows and the reason.

Flows: A is VMware to Azure, S Hyper-V to a secondary site, V Hyper-V with VMM to Azure. Written by
`python -m tests.quality.test_sweep_of_the_model`; the reasons are for people to write. One that begins with GAP names a claim
that is missing.
"""

ALLOWED: dict[str, tuple[str, str]] = {
'''


def listing() -> str:
    """The text of `sweep_allowed.py` for the model as it is."""
    flows: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for letter, action in CASES:
        for what, kind in unnoticed(FLOWS[letter], action).items():
            flows[what], kinds[what] = flows.get(what, "") + letter, kind
    rows = []
    for what in sorted(flows):
        reason = ALLOWED.get(what, ("", f"TO REVIEW ({kinds[what]})"))[1]
        key, letters, why = (json.dumps(part, ensure_ascii=False) for part in (what, flows[what], reason))
        row = f"    {key}: ({letters}, {why}),"
        rows.append(row if len(row) <= 130 else f"    {key}: (\n        {letters}, {why}),")
    return HEAD + "\n".join(rows) + "\n}\n"


if __name__ == "__main__":
    text = listing()
    Path(__file__).with_name("sweep_allowed.py").write_text(text, "utf-8")
    print(f"tests/quality/sweep_allowed.py: {text.count('TO REVIEW')} reasons to review")
