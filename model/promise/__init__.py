"""The promise level: what a replication product promises to a customer, and nothing about how.

Read in this order: `vocabulary`, `commands`, `progress`, `environment`, `promises`. `lemmas` carries the proofs.
"""

from __future__ import annotations

from collections.abc import Mapping

from siteproof.model.engines.scope import Scope
from siteproof.model.levels import Level
from siteproof.model.promise.commands import COMMANDS
from siteproof.model.promise.environment import ENVIRONMENT
from siteproof.model.promise.lemmas import LEMMAS
from siteproof.model.promise.progress import PROGRESS
from siteproof.model.promise.promises import PROMISES
from siteproof.model.promise.vocabulary import Failover, Job, Machine, Protection, Site
from siteproof.model.system import Model, build_model
from siteproof.model.terms import And, Bool

__all__ = ["LEMMAS", "LEVEL", "PROMISES", "promise_model"]


def promise_model(name: str, facts: Mapping[str, bool]) -> Model:
    """The promise level of one flow: `name` is the topology's id, `facts` its behaviour by dotted path."""
    return build_model(name, "promise", Machine, (*COMMANDS, *PROGRESS, *ENVIRONMENT), facts)


def at_home(m: Machine) -> Bool:
    """Protected, active at primary, nothing pending (P19)."""
    return And(m.protection == Protection.PROTECTED, m.active == Site.PRIMARY, m.failover == Failover.NONE, m.job == Job.NONE)


LEVEL = Level(
    "promise", "what a customer is promised", "one machine, any number of writes, points and failovers", promise_model, PROMISES,
    LEMMAS, Scope(writes=2, failovers=3), (Scope(writes=1, failovers=1), Scope(writes=1, failovers=2)),
    pending=lambda m: m.job != Job.NONE, home=at_home)
