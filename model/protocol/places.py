"""Places: what can reach what, crashes and restarts that nobody writes by hand, and the lint that no action acts at a distance.

Rules
1. A place has power or works while `is_up`; two places `reach` each other while both are up and so is what lies between them.
   What lies between is in the topology: whether the vault's orders to a side pass a relay, and at which site that stands
   (`siteproof.model.control_paths`).
2. The gateway stands beside the active side, as every topology with one has it: next to the source, or in its network.
3. *Crash and restart* of a place are derived from the variables: a crash clears every volatile variable that lies there, or
   also there (false, zero, the first member), and the flag that says that the place is up; a restart sets it. A site's crash is
   that of the role that it has.
4. *Lint.* An action is one place's, which talks to others: of the places that it reads or writes, one has to be up and to reach
   each of the others, by what the action asks for. That holds for the system's own actions, the operator's requests and what
   else is in an operator's hands (`by_operator`); the world is not bound by it. A volatile variable may also be cleared while
   its place is down: it has been by then. What has no place, as most marks, does not count, and of a session, which lies in
   several places, nothing is asked.
5. Where the sides change roles, a variable that takes over its counterpart's value is only called by another name; what else
   the action writes, it writes at the side that will have the role.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import z3

from siteproof.model.promise.vocabulary import Failover, Job, Site
from siteproof.model.protocol.abstraction import FACT, PartRule, seen, stutters
from siteproof.model.protocol.vocabulary import Parts
from siteproof.model.readings import smt
from siteproof.model.system import Action, ActionRule, Facts, Kind, Model, Step, Variable
from siteproof.model.terms import And, Bool, Change, If, Implies, Not, Or, literal

__all__ = ["PLACES", "SHARED_FLAGS", "crash_of", "is_up", "lint", "reach", "restart_of"]

PLACES = ("active", "passive", "gateway", "vault", "points", "target")

COUNTERPARTS = {"running": "passive_running", "autostart": "passive_autostart", "cached": "passive_cached", "head": "passive",
                "epoch": "passive_epoch"}
COUNTERPARTS |= {passive: active for active, passive in COUNTERPARTS.items()}

SHARED_FLAGS = {"primary site": "primary_up", "recovery site": "recovery_up", "link": "link_up", "gateway": "gateway_up",
                "vault": "vault_up", "relay": "relay_up"}
"""What can crash, and the flag that says that it has not."""

_SIDES = ("active", "passive")


# --------------------------------------------------------------------------------------------------------------- reach


def _at(p: Parts, place: str) -> tuple[Bool, bool]:
    """For a role of roles: when it is the active side. For a side: whether it is the active one."""
    m = seen(p)
    if place == "points":
        return Or(m.pending, m.failover == Failover.COMPLETED), False
    if place == "target":
        return Or(p.done, p.job == Job.COMMIT), False
    raise KeyError(place)


def is_up(t: Facts, p: Parts, place: str) -> Bool:
    """The place has power, or works."""
    m = seen(p)
    if place in _SIDES:
        return m.active_up if place == "active" else m.passive_up
    if place in ("gateway", "vault"):
        return p.gateway_up if place == "gateway" else p.vault_up
    return If(_at(p, place)[0], is_up(t, p, "active"), is_up(t, p, "passive"))


@lru_cache(maxsize=256)
def reach(t: Facts, p: Parts, one: str, two: str) -> Bool:
    """Both places are up, and so is all that lies between them."""
    if one == two:
        return is_up(t, p, one)
    for place, other in ((one, two), (two, one)):
        if place in ("points", "target"):
            return If(_at(p, place)[0], reach(t, p, "active", other), reach(t, p, "passive", other))
    pair = {one, two}
    if pair == {"active", "passive"}:
        return seen(p).connected
    if pair == {"active", "gateway"}:
        return And(is_up(t, p, "active"), p.gateway_up)
    if pair == {"passive", "gateway"}:
        return And(seen(p).connected, p.gateway_up)
    if pair == {"vault", "gateway"}:
        return And(reach(t, p, "vault", "active"), p.gateway_up)
    return _from_vault(t, p, (pair - {"vault"}).pop())


def _from_vault(t: Facts, p: Parts, side: str) -> Bool:
    """The vault's orders reach a side: itself, or over a relay that stands at the same site or at the other one."""
    across = And(p.relay_up, seen(p).connected)
    as_source = t["control.source_far_forward"] if side == "active" else t["control.target_far_reverse"]
    primary = And(p.primary_up, p.relay_up, Implies(as_source, across))
    as_target = And(p.recovery_up, Implies(t["control.one_relay"], p.relay_up))
    if side == "passive":
        as_target = And(as_target, Implies(t["control.target_far_forward"], across))
    at_primary = p.active == Site.PRIMARY if side == "active" else p.active == Site.RECOVERY
    return And(p.vault_up, If(at_primary, primary, as_target))


# --------------------------------------------------------------------------------------------------- crash and restart


def _lost(p: Parts, variable: Variable[Any], what: str) -> Any:
    """When `what` crashes: whether `variable` is lost. None if it does not live there."""
    places = (variable.place or "").split()
    if variable.durable or not places:
        return None
    if what not in ("primary site", "recovery site"):
        return And() if {"link": "network"}.get(what, what) in places else None
    site = Site.PRIMARY if what == "primary site" else Site.RECOVERY
    hit = [p.active == site] * ("active" in places) + [p.active != site] * ("passive" in places)
    return Or(*hit) if len(hit) == 1 else And() if hit else None


def _nothing(variable: Variable[Any]) -> Any:
    """What a volatile variable holds after a crash."""
    return literal(variable.domain.decode(0))


def crash_of(what: str, name: str, promised: ActionRule | None, needs: str = "") -> PartRule:
    """The crash of a place, as an action that refines `promised`; only where the fact `needs` holds, if it is given."""
    def rule(t: Facts, p: Parts) -> Step:
        flag = Bool(p.terms[SHARED_FLAGS[what]].node)
        changes = [Change(flag, literal(False))]
        for variable in Parts.variables():
            lost = _lost(p, variable, what)
            if lost is not None:
                now = p.terms[variable.name]
                changes.append(Change(now, If(lost, _nothing(variable), now)))
        return Step(changes, [*([t[needs]] if needs else []), flag])

    rule.__name__, rule.__doc__ = name, f"The {what} fails: what it has not written down is lost."
    part = stutters(Kind.ENVIRONMENT)(rule)
    return PartRule(part.rule, promised)


def restart_of(what: str, name: str, promised: ActionRule | None) -> PartRule:
    """The place is up again, as an action that refines `promised`."""
    def rule(_t: Facts, p: Parts) -> Step:
        flag = Bool(p.terms[SHARED_FLAGS[what]].node)
        return Step([Change(flag, literal(True))], [Not(flag)])

    rule.__name__, rule.__doc__ = name, f"The {what} is back."
    return PartRule(stutters(Kind.ENVIRONMENT, heals=True)(rule).rule, promised)


# ---------------------------------------------------------------------------------------------------------------- lint


def lint(model: Model, parts: Sequence[PartRule], known: Iterable[Any]) -> None:
    """Raise `ValueError` for the first action of which no place that it reads or writes needs to reach all the others, by its
    preconditions and what is `known` of every state (lemmas, proved like any other)."""
    world, fold = Parts(), model.facts.fold

    @cache
    def without(hub: str, place: str, may_be_down: bool) -> Any:
        """That `hub` cannot reach `place`, which is up if it may not be down."""
        down = Not(is_up(FACT, world, place)) if may_be_down else Not(True)
        return fold(Not(Or(down, reach(FACT, world, hub, place))).node)

    homes = {v.name: v for v in Parts.variables() if v.place in PLACES}
    solver = z3.SolverFor("QF_LIA")
    solver.add(*(row.node for row in smt.typing(model)), *(fold(node) for node in known))
    swaps = {part.name for part in parts if part.swaps}
    for action in model.actions:
        if action.kind is Kind.ENVIRONMENT and not action.by_operator:
            continue
        firm, resets = _touched(action, homes, action.name in swaps)
        solver.push()
        solver.add(*(guard.folded for guard in action.guards), *(p.domain.typing(p.term.node) for p in action.parameters))

        def missing(hub: str, firm: set[str] = firm, resets: set[str] = resets) -> str:
            """What `hub` needs and the action does not ask for; nothing, if it can act."""
            for place in sorted(firm | resets):
                if solver.check(without(hub, place, place not in firm)) != z3.unsat:
                    return f"{hub} to be up" if place == hub else f"{hub} and {place} to reach each other"
            return ""

        said = {hub: missing(hub) for hub in sorted(firm, key=PLACES.index)}
        if said and all(said.values()):
            hub, what = next(iter(said.items()))
            raise ValueError(f"{action.name} of {model.name} acts at a distance: it reads or writes"
                             f" {_told(action, homes, firm | resets)}; no one of these places need reach the others: for {hub}"
                             f" its preconditions do not ask for {what}")
        solver.pop()


def _told(action: Action, homes: Mapping[str, Variable[Any]], places: Collection[str]) -> str:
    """What an action touches of two places, for its error."""
    asked, becomes = action.constants
    names = frozenset(action.changes).union(*asked, *becomes.values())
    touched = sorted(name for name in names if name in homes and homes[name].place in places)
    return ", ".join(f"{name} (at {homes[name].place})" for name in touched)


def _touched(action: Action, homes: Mapping[str, Variable[Any]], swaps: bool) -> tuple[set[str], set[str]]:
    """The places that an action reads or writes, and those where it only clears volatile variables."""
    firm, resets = set[str](), set[str]()
    asked, becomes = action.constants
    read = set[str]().union(*asked)
    for name, value in action.changes.items():
        plain = becomes[name] if z3.is_const(value) else frozenset[str]()
        if name not in homes or plain == {name} or (swaps and plain == {COUNTERPARTS.get(name)}):
            continue
        home, place = homes[name], homes[name].place or ""
        cleared = not becomes[name] and z3.is_true(z3.simplify(value == _nothing(home).node))
        if swaps and place in _SIDES:
            if cleared and place == "passive" and name not in COUNTERPARTS:
                continue  # the side that had been active has nothing of the kind
            place = _SIDES[1 - _SIDES.index(place)]
        (resets if cleared and not home.durable and not swaps else firm).add(place)
        read |= becomes[name]
    return firm | {homes[name].place or "" for name in read if name in homes}, resets
