"""What the tests of the proof engines share: the two flows, and states and arguments at random."""

from __future__ import annotations

from functools import cache
from typing import Any

import z3
from hypothesis import strategies as st

from siteproof.model.engines.obligations import Goal, goals_of, invariant_candidates
from siteproof.model.engines.search import Target
from siteproof.model.promise import LEMMAS, PROMISES, promise_model
from siteproof.model.readings.smt import Named
from siteproof.model.system import Domain, Model
from siteproof.model.topology import load_topology

V2A, H2S = "vmware-to-azure", "hyper-v-to-secondary-site"
FLOWS = (V2A, H2S)


@cache
def model_of(topology: str, *changed: tuple[str, bool]) -> Model:
    return promise_model(topology, load_topology(topology).with_facts(dict(changed)).facts)


def goals(model: Model) -> list[Goal]:
    return [goal for goal in goals_of(model, PROMISES) if goal.built.applies]


def goal(model: Model, key: str) -> Goal:
    return next(one for one in goals(model) if one.key == key)


def candidates(model: Model) -> list[Named]:
    return invariant_candidates(model, LEMMAS, goals(model))


def violations(model: Model) -> list[Target]:
    return [Target(g.key, z3.Not(g.built.formula), g.claim.is_step, g.claim.on) for g in goals(model)]


def values(domain: Domain) -> st.SearchStrategy[Any]:
    return st.integers(0, 4) if domain.is_nat else st.sampled_from(list(domain.values or ()))


def states(model: Model) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(*(values(v.domain) for v in model.variables))
