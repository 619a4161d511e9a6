"""The gateway level: the temporary process server in Azure, from the first machine that replicates back to the last.

Rules
1. Machines fail over and come back each at its own time, any number of them; what they share is one process server, which is
   set up for the way back and deleted after it. A machine *needs* it from the moment its reverse replication is granted until
   its failback is committed.
2. Replication is reversed only while the server is there and is not being deleted. It may be deleted only when no machine needs
   it: one that has been granted reverse replication, and has not begun, counts.
3. Requests are granted at one moment and carried out later: granting a deletion and the deletion itself are two steps, and
   others come between them.
4. Of a machine only its way is followed; what flows is the promise level's.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from siteproof.model.catalogue import promise
from siteproof.model.claims import always, step
from siteproof.model.crowd import NAMES, CrowdStep, crowd, each_of, everyone, of
from siteproof.model.engines.scope import Scope
from siteproof.model.level import Level
from siteproof.model.system import Facts, Model, Requires, Step, Vocabulary, choice, command, flag, internal, remembered
from siteproof.model.terms import And, Bool, Implies, Not

__all__ = ["LEMMAS", "LEVEL", "PROMISES", "Server", "Traveller", "Way", "gateway_model"]


class Way(enum.Enum):
    """Where a machine is on its way there and back."""

    HOME = "at the primary site"
    AWAY = "failed over and committed"
    TURNING = "about to replicate in reverse"
    REVERSE = "replicating in reverse"
    RETURNING = "failed back, not committed"


class Server(enum.Enum):
    """What there is of the temporary process server."""

    NONE = "none"
    READY = "ready"
    GOING = "being deleted"


class Traveller(Vocabulary):
    """One machine, and the process server that all share."""

    server = choice(Server.NONE, "the temporary process server", shared=True)
    way = choice(Way.HOME, "where the machine is on its way")
    came_home = flag(False, "the machine has come home through the temporary process server")

    @property
    def needs_server(self) -> Bool:
        return self.way.is_in(Way.TURNING, Way.REVERSE, Way.RETURNING)


@command("UnplannedFailover", ("V2A-43", "V2A-47"))
def fail_over(_t: Facts, m: Traveller) -> Step:
    """The machine is failed over to Azure, and that is committed."""
    return Step(requires=[Requires(m.way == Way.HOME, "FailoverPending")], changes=[m.way.becomes(Way.AWAY)])


@command("ReverseReplicate", ("V2A-49", "V2A-53"))
def reverse_replicate(t: Facts, m: Traveller) -> Step:
    """Replication back is granted, if there is a process server for it."""
    return Step(
        requires=[
            Requires(m.way == Way.AWAY, "FailoverNotCommitted"),
            Requires(Implies(t["gateway.asked_for"], m.server == Server.READY), "ProcessServerMissing", precheck=True),
        ],
        changes=[m.way.becomes(Way.TURNING)],
    )


@internal(("V2A-49",))
def begin_reverse(_t: Facts, m: Traveller) -> Step:
    """Data flows back."""
    return Step(requires=[m.way == Way.TURNING], changes=[m.way.becomes(Way.REVERSE)])


@command("DisableProtection")
def stop_reverse(_t: Facts, m: Traveller) -> Step:
    """The machine stays in Azure, unprotected."""
    return Step(requires=[Requires(m.way.is_in(Way.TURNING, Way.REVERSE), "NotProtected")], changes=[m.way.becomes(Way.AWAY)])


@command("UnplannedFailover", ("V2A-50",))
def fail_back(_t: Facts, m: Traveller) -> Step:
    """The machine is failed back."""
    return Step(requires=[Requires(m.way == Way.REVERSE, "NotProtected")], changes=[m.way.becomes(Way.RETURNING)])


@command("Commit", ("V2A-51",))
def commit(_t: Facts, m: Traveller) -> Step:
    """The failback is final; the machine is home."""
    return Step(requires=[Requires(m.way == Way.RETURNING, "NoFailoverToCommit")],
                changes=[m.way.becomes(Way.HOME), m.came_home.becomes(True)])


@command("SetUpProcessServer", ("V2A-53",))
def set_up_server(_t: Facts, m: Traveller) -> Step:
    """A virtual machine in Azure is made the temporary process server."""
    return Step(requires=[Requires(m.server == Server.NONE, "ProcessServerPresent")], changes=[m.server.becomes(Server.READY)])


@command("DeleteProcessServer", ("V2A-54",))
def delete_server(t: Facts, m: Traveller) -> CrowdStep:
    """The deletion of the temporary process server is granted: no machine needs it."""
    return CrowdStep(
        requires=[Requires(m.server == Server.READY, "ProcessServerMissing")],
        everyone=[everyone(lambda k: Implies(t["gateway.kept_while_used"], Not(k.needs_server)), "ProcessServerInUse")],
        changes=[m.server.becomes(Server.GOING)],
    )


@internal(("V2A-54",))
def server_deleted(_t: Facts, m: Traveller) -> Step:
    """The temporary process server is gone."""
    return Step(requires=[m.server == Server.GOING], changes=[m.server.becomes(Server.NONE)])


@remembered
def gateway_model(name: str, facts: Mapping[str, bool], machines: tuple[str, ...] = NAMES) -> Model:
    """The gateway level of one flow: `name` is the topology's id, `facts` its behaviour by dotted path."""
    return crowd(name, "gateway", Traveller, facts,
                 of_each=(fail_over, reverse_replicate, begin_reverse, stop_reverse, fail_back, commit),
                 of_all=(set_up_server, delete_server, server_deleted), outsider=lambda m: m.way == Way.HOME, machines=machines)


P8 = promise("P8", (
    always("a machine that replicates in reverse has its process server", of(lambda a: a.server == Server.READY, "a"),
           given=of(lambda a: a.way == Way.REVERSE, "a")),
    always("so has one that is about to, and one that is not yet home for good", of(lambda a: a.server == Server.READY, "a"),
           given=of(lambda a: a.way.is_in(Way.TURNING, Way.RETURNING), "a")),
    step("granting a deletion of the process server strands no machine", of(lambda a, _z: Not(a.needs_server), "a"),
         on=("delete_server",)),
    step("nor does the deletion itself, whatever came in between", of(lambda a, _z: Not(a.needs_server), "a"),
         on=("server_deleted",)),
    step("once the machines are home it can be deleted", of(lambda _a, _b, y, _z: y.server == Server.NONE, "a", "b"),
         given=of(lambda a, b, _y, _z: And(a.came_home, b.came_home), "a", "b"), on=("server_deleted",)),
    step("a machine that is away starts back only while it is there, not when it is being deleted",
         of(lambda a, _z: a.server == Server.READY, "a"),
         given=of(lambda a, z: And(Not(a.needs_server), z.needs_server), "a")),
))

PROMISES = (P8,)

LEMMAS = (*each_of("needed_is_there", lambda m: Implies(m.needs_server, m.server == Server.READY)),)

LEVEL = Level(
    "gateway", "the temporary process server of the way back", "any number of machines, failovers and failbacks", gateway_model,
    PROMISES, LEMMAS, Scope(words="three machines"), (Scope(words="three machines"),), needs=lambda t: t["gateway.temporary"])
