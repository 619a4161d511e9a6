"""The promise level: what a replication product promises to a customer, and nothing about how.

Read in this order: `vocabulary`; the way there and back in `commands` (what is asked), `progress` (how it gets done) and
`points`; beside it `testing`, `changing`, `resync` and `ending`; the world in `environment`; what is claimed in `promises` and
the two modules that it names. `guards` are shared preconditions, and `lemmas` carries the proofs.
"""

from __future__ import annotations

from collections.abc import Mapping

from siteproof.model.engines.scope import Scope
from siteproof.model.level import Level
from siteproof.model.promise.changing import CHANGING
from siteproof.model.promise.commands import COMMANDS
from siteproof.model.promise.ending import ENDING
from siteproof.model.promise.environment import ENVIRONMENT
from siteproof.model.promise.lemmas import LEMMAS
from siteproof.model.promise.points import POINTS
from siteproof.model.promise.progress import PROGRESS
from siteproof.model.promise.promises import PROMISES
from siteproof.model.promise.resync import RESYNC
from siteproof.model.promise.testing import TESTING
from siteproof.model.promise.vocabulary import Failover, Job, Machine, Protection, Site
from siteproof.model.system import Model, build_model, remembered
from siteproof.model.terms import And, Bool, Or

__all__ = ["LEMMAS", "LEVEL", "PROMISES", "RULES", "promise_model"]


RULES = (*COMMANDS, *POINTS, *PROGRESS, *TESTING, *CHANGING, *RESYNC, *ENDING, *ENVIRONMENT)
"""Every action of the level."""


@remembered
def promise_model(name: str, facts: Mapping[str, bool]) -> Model:
    """The promise level of one flow: `name` is the topology's id, `facts` its behaviour by dotted path."""
    return build_model(name, "promise", Machine, RULES, facts)


_CALM = {"reboots": 0, "passive_reboots": 0, "doubt": 0, "app": 0}
"""No site fails while the machine runs there, and no log is given up out of caution; no point is
app-consistent."""



def at_home(m: Machine) -> Bool:
    """Protected, active at primary, nothing pending (P19)."""
    return And(m.protection == Protection.PROTECTED, m.active == Site.PRIMARY, m.failover == Failover.NONE, m.job == Job.NONE)


def given_up(m: Machine) -> Bool:
    """An operator has asked for the end at recovery, and got it or will get it: nothing leads home any more, as asked."""
    return Or(m.failover == Failover.COMPLETED, m.job == Job.MIGRATE, And(m.job == Job.DISABLE, m.active == Site.RECOVERY))


LEVEL = Level(
    "promise", "what a customer is promised", "any number of machines, writes, points and failovers", promise_model, PROMISES,
    LEMMAS, Scope(writes=2, failovers=3), (
        Scope(writes=1, failovers=1, cached=0, more=_CALM), Scope(writes=1, failovers=2, cached=0, more=_CALM),
        Scope(writes=1, failovers=1), Scope(writes=1, failovers=2)),
    narrow=(Scope(writes=0, failovers=1, cached=0), Scope(writes=1, failovers=0, more={"test": 0})),
    pending=lambda m: m.job != Job.NONE, home=at_home, ended=given_up)
