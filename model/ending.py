"""Jobs end: deadlock told apart from rest, and a ranking for every accepted job.

Rules
1. A state is *at rest* when the system can change nothing by itself and no job is pending; a job *waits* when only the mending of
   a fault, or somebody's hand, lets it go on. It is *deadlocked* when nothing is broken and no sequence of the system's steps
   ends it, however lucky.
2. *Every accepted job ends if faults stop*: from every state after the faults, every fair run of internal steps ends the pending
   job. The states with a pending job fall into parts in which the system can go round; each part has a fair action, possible in
   all of it, that always leads out of it, and the longest way through the parts is the *rank*. No step raises it, and the
   helpful action lowers it: so it ends. The ranking is checked step by step after it was computed.
3. A part without a helpful action is a place where a fair run may stay for ever. It is told as a way there and a loop.

Source: Alpern, Schneider, Recognizing safety and liveness (Distributed Computing 1987); Lamport, The temporal logic of actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import attrs

from siteproof.model.aftermath import BEYOND, Aftermath, Part, is_systems
from siteproof.model.engines.graph import Graph, shortest
from siteproof.model.errors import SiteproofError
from siteproof.model.readings.english import name_value
from siteproof.model.readings.python import compile_predicate
from siteproof.model.results import Trace, TraceStep
from siteproof.model.system import Model, constants_of

__all__ = ["Ending", "Found", "Lasso", "RankRow", "RankingError", "Stillness", "check_ranking", "ending", "stillness"]

ENDS = 0


class Found(StrEnum):
    """What an exploration says of a scope. It is never a proof of more."""

    HOLDS = "holds in the scope"
    BROKEN = "broken"
    UNDETERMINED = "undetermined"
    NOT_APPLICABLE = "not applicable"


class RankingError(SiteproofError):
    """A ranking that does not rank: a bug of ours."""

    exit_code = 5


@attrs.frozen
class Stillness:
    """States of the explored scope in which the system can change nothing by itself: at rest, or with a job that waits."""

    at_rest: int
    waiting: int


@attrs.frozen
class RankRow:
    """One kind of state with a pending job: the job, the fair action that leads on, the ranks from and to, and how many
    states."""

    job: str
    helpful: str
    least: int
    most: int
    states: int


@attrs.frozen
class Lasso:
    """A fair run on which a job never ends: a way there, then a loop (empty: the system stands still). `why` says why no fair
    action is put off in it."""

    stem: Trace
    loop: tuple[TraceStep, ...]
    why: str


@attrs.frozen
class Ending:
    """Whether every accepted job of `what` ends. `states` are those with a pending job after the faults, `longest` is the highest
    rank. `deadlocked` counts those that no luck ends, and `deadlock` is a shortest way to one."""

    what: str
    found: Found
    reason: str
    states: int
    longest: int
    ranking: tuple[RankRow, ...]
    deadlocked: int
    deadlock: Trace | None
    lasso: Lasso | None


def stillness(core: Graph, pending: Any | None) -> Stillness:
    """How many explored states are still: at rest, or waiting."""
    systems = [is_systems(action) and not action.heals for action, _ in core.instances]
    holds = compile_predicate(core.model, pending) if pending is not None else None
    rest = waiting = 0
    for state in range(core.expanded):
        moves = any(systems[one] and target != state for one, target in core.steps(state))
        if moves or any(systems[one] for one in core.edge.get(state, ())):
            continue
        if holds is not None and holds(core.states[state]):
            waiting += 1
        else:
            rest += 1
    return Stillness(rest, waiting)


def ending(after: Aftermath, pending: Any, what: str) -> Ending:
    """Whether every job that is pending, by the term `pending`, ends."""
    held = after.predicate(pending)
    nodes = [state for state in after.known if held[state]]
    parts = after.parts(nodes)
    rank: dict[int, int] = {}
    helpful: dict[int, str] = {}
    uncertain: set[int] = set()
    hopeless: set[int] = set()
    traps: list[Part] = []
    for part in parts:
        inner = [target for target in part.out if target != BEYOND and held[target]]
        if not part.helpful:
            traps.append(part)
        if BEYOND in part.out or any(target in uncertain for target in inner):
            uncertain.update(part.states)
        if len(inner) == len(part.out) and all(target in hopeless for target in inner):
            hopeless.update(part.states)
        here = 1 + max((rank[target] for target in inner), default=ENDS)
        for state in part.states:
            rank[state] = here
            helpful[state] = part.helpful[0] if part.helpful else ""
    job = _job_of(after.model, pending)
    deadlock = lasso = None
    if hopeless:
        state = min(hopeless)
        told = _stuck(job(after.state(state)), after.steps[state])
        deadlock = after.trace(after.path(state), told, shortest=state in after.roots)
    if traps:
        lasso = _lasso(after, min(traps, key=lambda part: min(part.states)), job)
    cut = after.core.stopped or after.graph.stopped
    if traps:
        found, reason = Found.BROKEN, "a fair run never ends it"
    elif cut or uncertain:
        bound = f"the exploration was cut off ({cut})" if cut else "what the system does then leaves even the wider scope"
        found, reason = Found.UNDETERMINED, bound
    elif not nodes:
        found, reason = Found.NOT_APPLICABLE, "no job is ever pending"
    else:
        check_ranking(after, nodes, rank, helpful)
        found, reason = Found.HOLDS, ""
    rows = _rows(after, nodes, rank, helpful, job) if found is Found.HOLDS else ()
    return Ending(what, found, reason, len(nodes), max(rank.values(), default=0), rows, len(hopeless), deadlock, lasso)


def check_ranking(after: Aftermath, nodes: Sequence[int], rank: dict[int, int], helpful: dict[int, str]) -> None:
    """Check rule 2 step by step. Raises `RankingError` where a step raises the rank, or the helpful action is not fair and
    possible, does not lower it, or changes without a lower rank."""
    for state in nodes:
        lead = helpful[state]
        if lead not in after.fair[state]:
            raise RankingError(f"{lead or 'nothing'} is not fair and possible in a state of rank {rank[state]}")
        for name, target in after.steps[state]:
            below = target != BEYOND and rank.get(target, ENDS) < rank[state]
            level = target in rank and rank[target] == rank[state] and helpful[target] == lead and name != lead
            if not below and not level:
                raise RankingError(f"{name} does not lower the rank {rank[state]}")


def _job_of(model: Model, pending: Any) -> Any:
    """A function of a state: the values of what `pending` speaks of, in words."""
    asked = [at for at, v in enumerate(model.variables) if v.name in constants_of(pending)]

    def tell(state: Any) -> str:
        return ", ".join(name_value(model.variables[at].domain.decode(state[at])) for at in asked)

    return tell


def _rows(after: Aftermath, nodes: Sequence[int], rank: dict[int, int], helpful: dict[int, str], job: Any) -> tuple[RankRow, ...]:
    kinds: dict[tuple[str, str], list[int]] = {}
    for state in nodes:
        kinds.setdefault((job(after.state(state)), helpful[state]), []).append(rank[state])
    rows = [RankRow(name, lead, min(ranks), max(ranks), len(ranks)) for (name, lead), ranks in kinds.items()]
    return tuple(sorted(rows, key=lambda row: (row.job, -row.most, row.helpful)))


def _stuck(job: str, steps: Sequence[tuple[str, int]]) -> str:
    left = "the system goes round without ever ending it" if steps else "the system can do nothing any more"
    return f"Deadlock: {job} is pending, nothing is broken, and {left}."


def _lasso(after: Aftermath, part: Part, job: Any) -> Lasso:
    """A way into a part that nothing has to leave, and a loop in it on which no fair action is put off."""
    inside = set(part.states)
    still = next((state for state in sorted(inside) if not after.fair[state]), None)
    begin = min(inside) if still is None else still
    names = {job(after.state(begin))}

    def within(state: int) -> list[tuple[int, int]]:
        return [(after.instance_of(state, name, target), target) for name, target in after.steps[state] if target in inside]

    here, loop = begin, []
    wanted = set(after.fair[begin])
    while wanted:
        lead = min(wanted)
        way = shortest(here, lambda state, lead=lead: lead not in after.fair[state] or any(  # type: ignore[misc]
            name == lead and target in inside for name, target in after.steps[state]), within)
        assert way is not None
        here = _follow(after, here, way)
        if lead in after.fair[here]:
            target = next(target for name, target in after.steps[here] if name == lead and target in inside)
            way, here = [*way, after.instance_of(here, lead, target)], target
        loop += way
        wanted.discard(lead)
    back = shortest(here, lambda state: state == begin, within)
    assert back is not None
    loop += back
    stem = after.path(begin)
    told = after.trace(stem + after.graph.named(loop), "", shortest=False)
    verdict = f"From here {', '.join(sorted(names))} need never end, though nothing is broken and every fair step is taken."
    why = ("every fair action that is possible on the way round is taken, or is impossible somewhere on it" if loop
           else "no fair action is possible here")
    return Lasso(after.trace(stem, verdict, shortest=begin in after.roots), told.steps[len(stem):], why)


def _follow(after: Aftermath, state: int, way: Sequence[int]) -> int:
    for one in way:
        state = next(target for instance, target in after.graph.steps(state) if instance == one)
    return state
