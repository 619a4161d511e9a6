"""Which commands make sense now: the model's answer, from the oracle's present explanations.

Every engine draws from here. Commands come with a weight and a group (`operation`, `write`, `fault`…), so that an engine can
turn groups up and down. What the campaign has not met in the present lifecycle state yet is likelier. Faults are weighted and
budgeted: an unweighted engine keeps the system broken and finds nothing. While something is on its way to the replica, small
steps and faults are likelier (found by this: `acknowledged-on-hand-over`). What ends a machine's replication
(`DisableProtection`, `CompleteMigration`) is rare, since a case can show little after it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import attrs

from siteproof.conformance.case import (
    FAULTS,
    OPERATIONS,
    POINTED,
    SIDES,
    STRUCK_ONCE,
    Advance,
    Command,
    Fault,
    Heal,
    Operate,
    Settle,
    StartMachine,
    Steps,
    Write,
)
from siteproof.conformance.closure import Abstract
from siteproof.conformance.coverage import refused, switch
from siteproof.conformance.judgement import STRIKES
from siteproof.conformance.session import Session

__all__ = ["Mood", "Option", "choices", "pool_of"]

OFFERED = ("point:0", "point:-1", "point:1")
NAMED = ("latest-app-consistent", *OFFERED, "point:gone", "point:unknown")


WEIGHTS = {
    "TestFailover": 0.5,
    "TestFailoverCleanup": 2.0,
    "ChangePit": 0.8,
    "DisableProtection": 0.12,
    "CompleteMigration": 0.2,
    "RepairReplication": 3.0,
}
"""How likely an operation is where it is allowed, against 1.5 for those of the way there and back. What lets a machine go on
(a cleanup, a repair) is likely, so that the main cycle does not starve."""


UNPROCESSED = 2.0
"""How much likelier “latest”, or the latest app-consistent point, is named while it is another point than the newest."""

HOUR = 3600
"""Seconds; the interval of app-consistent points in the built-in flows."""
NEW = 2.5
"""How much likelier a command is in a lifecycle state in which the campaign has not met it yet."""


@attrs.frozen
class Mood:
    """How an engine feels in one case: factors for groups of commands, the addresses it writes to, how many faults it may
    cause in all and at once."""

    factor: dict[str, float] = attrs.Factory(dict)
    blocks: tuple[int, ...] = (0, 1, 2)
    faults: int = 3
    at_once: int = 2

    @classmethod
    def drawn(cls, chance: random.Random, blocks: int) -> Mood:
        """Swarm: each case turns some groups up, some down, some off."""
        factor = {g: chance.choice((0.0, 0.3, 1.0, 1.0, 3.0)) for g in ("fault", "cached", "illegal", "start", "advance")}
        some = tuple(chance.randrange(blocks) for _ in range(chance.choice((1, 2, 4, 8))))
        return cls(factor, some, chance.choice((0, 1, 3, 6)), chance.choice((1, 1, 2)))


Option = tuple[float, Command]


def pool_of(session: Session) -> list[int]:
    """Every block number of the scenario."""
    return list(range(session.base.blocks))


def choices(session: Session, mood: Mood, chance: random.Random) -> list[Option]:
    """Weighted commands for the present state."""
    found: list[Option] = []
    for machine in session.factors:
        found.extend(_of_machine(session, machine, mood, chance))
    factor = mood.factor.get
    lags = any(s[f.promised.at.head] > s[f.promised.at.passive] for f in session.factors.values() for s, *_ in f.candidates)
    here = _lifecycles(session)
    if session.caused < mood.faults and len(session.faults) < mood.at_once:
        for fault in FAULTS:
            if fault not in session.faults and (fault != "gateway" or session.has_gateway()):
                rare = 0.4 if fault in STRUCK_ONCE else 1.0
                rare *= _new(session, here, STRIKES.get(fault, "fail_" + fault.replace("-", "_")))
                found.append((rare * (1.0 if lags else 0.5) * factor("fault", 1.0), Fault(fault)))
    found.extend(
        (2.5 * _new(session, here, "heal_" + fault.replace("-", "_")), Heal(fault)) for fault in sorted(session.faults)
    )
    advancing = factor("advance", 1.0)
    if any(s[f.promised.at.points] and not s[f.promised.at.app] for f in session.factors.values() for s, *_ in f.candidates):
        found.append((0.3 * advancing, Advance(HOUR)))  # applications are frozen by then
    found.extend((0.5 * advancing, Advance(seconds)) for seconds in (1, 10, 60, 600, 7200))
    busy = any(o.job for o in session.last.values())
    found.append((2.5 if busy else 0.7, Settle()))
    if session.can.stepping:
        found.extend((1.0 if busy or lags else 0.2, Steps(count)) for count in (1, 3, 10, 30))
    return [(w, c) for w, c in found if w > 0]


def _lifecycles(session: Session) -> list[Abstract]:
    """The lifecycle states of all machines, as one explanation has them."""
    return [session.promised.lifecycle(next(iter(f.candidates))[0]) for f in session.factors.values()]


def _new(session: Session, here: list[Abstract], name: str, verdict: str = "taken") -> float:
    """How much likelier a command is because it has not been met in one of these lifecycle states."""
    met = session.met
    return 1.0 if met is None or all((one, name, verdict) in met for one in here) else NEW


def _of_machine(session: Session, machine: str, mood: Mood, chance: random.Random) -> Iterator[Option]:
    factor, promised = session.factors[machine], session.promised
    state = next(iter(factor.candidates))[0]
    at, wish = promised.at, mood.factor.get
    active = SIDES[int(state[at.active])]
    passive = SIDES[1 - int(state[at.active])]
    block, disk = chance.choice(mood.blocks), chance.randrange(session.scenario.disks)
    here, met = promised.lifecycle(state), session.met
    illegal, starting, caching = wish("illegal", 1.0), wish("start", 1.0), wish("cached", 1.0)

    def new(name: str, verdict: str = "taken") -> float:
        return 1.0 if met is None or (here, name, verdict) in met else NEW

    for side, runs, end in ((active, state[at.running], ""), (passive, state[at.passive_running], "_former_source")):
        likely = 2.5 if runs else 0.15 * illegal
        write = likely * new("write" + end) if runs else likely
        yield write, Write(machine, side, block, disk)
        yield likely * 0.35 * caching, Write(machine, side, block, disk, cached=True)
        start = "start_former_source" if end else "start_machine"
        can = not runs and promised.environment[start].step(state) is not None
        yield (0.15 if runs else new(start) if can else 1.0) * starting, StartMachine(machine, side)
    if state[at.test]:
        yield 2.0 * new("write_test_copy"), Write(machine, "test", block, disk)
    elif state[at.job]:
        yield 0.1 * illegal, Write(machine, "test", block, disk)
    older_app = bool(state[at.app] and state[at.app_at] < state[at.latest])
    for operation in OPERATIONS:
        if operation not in promised.commands:
            continue
        for point in _points_for(operation, chance, older_app):
            asked = (
                promised.with_point(state, True, 0)
                if point is not None and factor.points and not state[at.point] and str(point) in OFFERED
                else state
            )
            codes = promised.refusals(asked, operation, point)
            if codes:
                unmet = met is not None and switch(promised, here, operation, refused(codes)) not in met
                weight = (1.2 if unmet else 0.08) * illegal
            else:
                weight = WEIGHTS.get(operation, 1.5) * new(operation, "accepted")
                if (point == "latest" and state[at.passive] > state[at.latest]) or (point == NAMED[0] and older_app):
                    weight *= UNPROCESSED
            yield weight * (0.7 if point else 1.0), Operate(machine, operation, point)


def _points_for(operation: str, chance: random.Random, app: bool) -> tuple[str | None, ...]:
    """Points that a request may name. `app`: there is an app-consistent one, which is not the newest; that has taken hours, so it
    is likely to be asked for."""
    if operation not in POINTED:
        return (None,)
    return "latest", "latest-processed", NAMED[0] if app and chance.random() < 0.8 else chance.choice(NAMED)
