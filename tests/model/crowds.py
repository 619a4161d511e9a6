"""What the tests of crowds share: their levels with any names and facts, and their claims as targets, whoever is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import z3

from siteproof.model.claims import Claim
from siteproof.model.disks import disks_model
from siteproof.model.engines.obligations import Goal, goals_of
from siteproof.model.engines.search import Target
from siteproof.model.gateway import gateway_model
from siteproof.model.group import group_model
from siteproof.model.levels import level
from siteproof.model.readings.smt import slug
from siteproof.model.system import Model
from siteproof.model.topology import load_topology

V2A = "vmware-to-azure"
NAMES = ("a", "b", "other")
BUILD: dict[str, Callable[..., Model]] = {"group": group_model, "disks": disks_model, "gateway": gateway_model}


@cache
def crowd_of(id: str, machines: tuple[str, ...] = NAMES, changed: tuple[tuple[str, bool], ...] = ()) -> Model:
    """The level called `id` in VMware to Azure, with other facts, for machines with these names."""
    return BUILD[id](V2A, dict(load_topology(V2A).facts) | dict(changed), machines)


def claims_of(model: Model) -> list[Goal]:
    return [goal for goal in goals_of(model, level(model.level).promises) if goal.built.applies]


def terms(model: Model, claim: Claim) -> tuple[Any, Any]:
    """Premise and violation of a claim about a and b, however many machines the model names."""
    states = [model.vocabulary(suffix) for suffix in ("", "'")[:1 + claim.is_step]]
    premise = claim.premise(*states).node if claim.premise is not None else z3.BoolVal(True)
    return premise, z3.And(premise, z3.Not(claim.conclusion(*states).node))


def targets(model: Model, only: Iterable[str] | None = None) -> list[Target]:
    """What breaks each claim of the level (`!` and the claim's key), and what satisfies its premise (`?`)."""
    rows = []
    for promise in level(model.level).promises:
        for claim in promise.claims:
            key = f"{promise.id}.{slug(claim.name)}"
            if only is None or key in only:
                premise, wrong = terms(model, claim)
                rows += [Target("!" + key, wrong, claim.is_step, claim.on), Target("?" + key, premise, claim.is_step, claim.on)]
    return rows


def bounds(machines: Iterable[str] = NAMES) -> dict[str, int]:
    """A smaller scope of the group level, however many machines: all are in reach and none is failed over, and x and y are
    written on a and b."""
    rows = {}
    for name in machines:
        rows |= {f"{name}.lost": 0, f"{name}.own": 0, f"{name}.stage": 2}
        if name not in ("a", "b"):
            rows |= {f"{name}.x_home": 0, f"{name}.y_disk": 0}
    return rows
