"""Walking on the graph of the model with a system that has a will of its own.

Rules
1. Where the system is, is what the oracle believes; where it cannot tell states apart, a walk goes by one of them, and counts
   nothing.
2. An internal step is asked for by letting the system take one step, up to `PATIENCE` times; then by letting it rest, then by
   letting time pass. A driver that does not step can only be let rest.
3. Where a move led somewhere else than the model said, and always to the same place, the walk believes the system: `learned` is
   kept for the whole campaign, so that a way that the system never takes is not tried again and again. Of a system that goes
   now one way, now the other, nothing is learned until a move has missed its aim `OFTEN` times and never come off. An internal
   step that was tried `NEVER` times, and that no explanation of what was seen has, is no step of this system.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from siteproof.conformance.case import Advance, Settle, Steps
from siteproof.conformance.coverage import normal
from siteproof.conformance.engines.graph import INTERNAL, Graph, Move, command_for, way
from siteproof.conformance.session import Session
from siteproof.model.readings.python import State

__all__ = ["Knowledge", "Walk"]

PATIENCE = 8
"""Most single steps that an internal step of the model is waited for."""
TWICE, OFTEN, NEVER, ASTRAY = 2, 8, 12, 4
WAIT = 3600
"""Seconds that pass where nothing else moves a system on: schedules have come due then."""


class Knowledge:
    """What walks have learned of a system on one graph."""

    def __init__(self) -> None:
        self.learned: dict[tuple[State, Move], State] = {}
        self.landed: dict[tuple[State, Move], Counter[State]] = {}
        self.never: set[str] = set()
        """Internal steps that this system does not take."""
        self._tried: Counter[str] = Counter()
        self._came: set[str] = set()

    def note(self, state: State, move: Move, aim: State, there: State) -> None:
        """`move` was to lead to `aim`, and led `there`."""
        key = state, move
        if move.kind == INTERNAL and there != aim:
            self._tried[move.name] += 1
        landed = self.landed.get(key)
        if landed is None and there == aim:
            return
        landed = self.landed.setdefault(key, Counter())
        landed[there] += 1
        times = landed.total()
        if aim in landed:
            self.learned.pop(key, None)
        elif times >= (TWICE if len(landed) == 1 else OFTEN):
            self.learned[key] = landed.most_common(1)[0][0]


    def saw(self, session: Session) -> None:
        """A case is over: which internal steps happen at all, and which were waited for in vain."""
        for factor in session.factors.values():
            for steps in factor.explanation():
                self._came.update(steps)
        self.never = {name for name, times in self._tried.items() if times >= NEVER} - self._came


class Walk:
    """One session, walked on by its first machine."""

    def __init__(self, session: Session, graph: Graph, knows: Knowledge, block: int = 0) -> None:
        self.session, self.graph, self.knows, self.block = session, graph, knows, block
        self.machine = next(iter(session.factors))
        self.aims: list[tuple[Move, State]] = []

    @property
    def here(self) -> State:
        """Where the system is believed to be."""
        return normal(self.graph.promised, next(iter(self.session.factors[self.machine].candidates))[0])

    @property
    def sure(self) -> bool:
        """Whether the oracle knows one state only."""
        return len({normal(self.graph.promised, c[0]) for c in self.session.factors[self.machine].candidates}) == 1

    @property
    def goes(self) -> bool:
        """Whether the case goes on."""
        return self.session.divergence is None and not self.session.overflow

    def can(self, state: State, move: Move) -> bool:
        """Whether the driver can be asked for `move`."""
        if move.kind == INTERNAL:
            return True
        return self.session.why_not(command_for(self.graph.promised, state, move, self.machine)) is None

    def take(self, move: Move, aim: State) -> State:
        """Make one move from here that should lead to `aim`, and return where it led."""
        before = self.here
        if move.kind == INTERNAL:
            self._wait(before)
        else:
            self.session.step(command_for(self.graph.promised, before, move, self.machine, self.block))
        after = self.here
        if self.goes:
            self.knows.note(before, move, aim, after)
        return after

    def _wait(self, before: State) -> None:
        """Let the system move on from `before`."""
        session = self.session
        for _ in range(PATIENCE if session.can.stepping else 0):
            if not session.step(Steps(1)) or self.here != before:
                return
        if session.step(Settle()) and self.here == before and session.can.advancing:
            session.step(Advance(WAIT))

    def plan(self, wanted: Callable[[State], bool]) -> State | None:
        """Plan a shortest way to a state that is wanted, and return that; None when there is none."""
        here = self.here
        found = way(self.graph, here, wanted, self.knows.learned, self.knows.never)
        self.aims = found if found is not None else []
        return None if found is None else found[-1][1] if found else here

    def toward(self, wanted: Callable[[State], bool], longest: int) -> bool:
        """Walk to a state that is wanted, on the way that was planned. False when there is none, when the system went astray
        `ASTRAY` times, or when the case has become too long or has diverged."""
        astray = 0
        while self.goes and astray < ASTRAY and len(self.session.commands) < longest:
            if wanted(self.here):
                self.aims = []
                return True
            if not self.aims and self.plan(wanted) is None:
                return False
            move, aim = self.aims.pop(0)
            if self.take(move, aim) != aim:
                self.aims, astray = [], astray + 1
        return self.goes and wanted(self.here)
