"""What no system can do: forbid two running sides after an unplanned failover. Shown by two runs, not asserted.

Rules
1. In one run the link between the sites fails; in the other the primary site. In both the operator then asks for an unplanned
   failover, which has to work with the recovery site alone (P22).
2. All that the recovery site can know is the same after every step of both runs (`view`). So whatever it does in one it does
   in the other; a system that refuses in the first refuses in the disaster that it is there for.
3. At the end of the first run both sides run; at the end of the second, one. Only something outside, which can cut the power of
   a site that cannot be reached, tells them apart. So P3 promises one *authority*, and fencing on first contact.

Both runs are the model's: the shortest way to a protected machine, one fault, and the failover. They are replayed; if the model
refused a step, or if the views differed, there would be an error in the place of this argument.

Source: the same argument as for asynchronous consensus (Fischer, Lynch, Paterson 1985): what cannot be told apart cannot be
treated differently.
"""

from __future__ import annotations

from typing import Any

import attrs

from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import Target, search
from siteproof.model.engines.traces import replay, trace_of
from siteproof.model.errors import SiteproofError
from siteproof.model.promise import promise_model
from siteproof.model.promise.vocabulary import Machine, Point, Site
from siteproof.model.readings.python import compile_model
from siteproof.model.results import Trace
from siteproof.model.terms import member
from siteproof.model.topology import Topology

__all__ = ["Impossibility", "ImpossibleError", "impossibility", "view"]


class ImpossibleError(SiteproofError):
    """The two runs can be told apart at the recovery site: the argument does not hold for this model."""

    exit_code = 5


@attrs.frozen
class Impossibility:
    """Two runs that the recovery site cannot tell apart: after a `partition` both sides run, after a `loss` one does. They differ
    in step number `at` (the first is 1) and in no other; `seen` has what the recovery site knows after each step of either."""

    partition: Trace
    loss: Trace
    at: int
    seen: tuple[dict[str, Any], ...]


def view(state: dict[str, Any]) -> dict[str, Any]:
    """What the recovery site can know in a state: its own machine, disk and points, and whether anybody answers."""
    here = state["active"] is Site.RECOVERY
    return {
        "the other site answers": state["primary_up"] and state["recovery_up"] and state["link_up"],
        "runs here": state["running"] if here else state["passive_running"],
        "writes here": state["head"] if here else state["passive"],
        "points": state["points"],
        "newest point": state["latest"] if state["points"] else None,
        "job": state["job"].value,
        "failover": state["failover"].value,
        "this side is the machine": here,
    }


def impossibility(topology: Topology) -> Impossibility:
    """The two runs for a flow. Raises `ImpossibleError` if they are not what they are said to be."""
    model, m = promise_model(topology.id, topology.facts), Machine()
    compiled, sought = compile_model(model), Target("protected", m.follows.node)
    protected = search(model, [sought], Scope(writes=0, failovers=0, cached=0)).found["protected"]
    failover = (("unplanned_failover", (member(Point.PROCESSED),)), ("switch_unplanned", ()))
    partition, loss = ((*protected, (fault, ()), *failover) for fault in ("fail_link", "fail_primary_site"))
    states = [[model.show(state) for state in replay(compiled, run)] for run in (partition, loss)]
    views = [[view(state) for state in run] for run in states]
    sides = [run[-1]["running"] + run[-1]["passive_running"] for run in states]
    if views[0] != views[1] or sides != [2, 1]:
        raise ImpossibleError(f"in {topology.id}, runs that can be told apart or that end with {sides} running sides: "
                              "the argument on the assumptions page does not hold; please report it")
    method = "the shortest way to a protected machine, a fault, and an unplanned failover; replayed"
    return Impossibility(
        trace_of(compiled, partition, "Both sides run: only the link has failed.", shortest=True, method=method),
        trace_of(compiled, loss, "One side runs: the primary site is gone.", shortest=True, method=method),
        len(protected) + 1, tuple(views[0][1:]))
