"""State-guided random testing.

Rules
1. The next command is drawn by weight from those that make sense in the state that the oracle believes the system to be in, and
   some that must be refused.
2. A corpus keeps the shortest way to each abstract state (lifecycle, faults, whether the replica lags) that was ever met. Half of
   the cases begin with the way to a state that has been chosen seldom so far, and go on from there; most others begin with a
   machine that is protected, since little is promised before.
3. What follows is short more often than long, since a failure that is followed by a failover is seldom seen any more. Every case
   ends with liveness: all faults are healed, time passes, and an operator brings the machine home to "protected,
   active at primary", with a write on the way whose arrival is checked.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs

from siteproof.conformance.case import Command, Heal, Operate, Settle, Write
from siteproof.conformance.engines.choice import Mood, choices, homeward
from siteproof.conformance.session import Session

__all__ = ["RandomEngine"]

Key = tuple[object, ...]


@attrs.define
class _Way:
    commands: tuple[Command, ...]
    seed: int
    used: int = 0


class RandomEngine:
    """One engine for one campaign; `case` runs one case and returns its session, finished."""

    name = "random"

    def __init__(self, chance: random.Random, *, length: int = 30, guided: bool = True, home: bool = True) -> None:
        self.chance, self.length, self.guided, self.home = chance, length, guided, home
        self.corpus: dict[Key, _Way] = {}

    def case(self, opened: Callable[[int], Session]) -> Session:
        """Run one case on a session that `opened(seed)` gives."""
        chance = self.chance
        way = None
        if self.guided and self.corpus and chance.random() < 0.5:
            some = chance.sample(list(self.corpus.values()), min(6, len(self.corpus)))
            way = min(some, key=lambda one: (one.used, len(one.commands)))
            way.used += 1
        session = opened(way.seed if way is not None else chance.getrandbits(32))
        goes = True
        for command in way.commands if way is not None else ():
            goes = goes and session.step(command)
        if way is None and chance.random() < 0.7:
            opening: tuple[Command, ...] = (*(Operate(m, "EnableProtection") for m in session.factors), Settle())
            for command in opening:
                goes = goes and session.step(command)
        mood = Mood.drawn(chance, session.base.blocks)
        target = len(session.commands) + chance.choice((3, 6, 12, self.length))
        while goes and len(session.commands) < target:
            options = choices(session, mood, chance)
            command = chance.choices([c for _, c in options], [w for w, _ in options])[0]
            goes = session.step(command)
            if goes and self.guided:
                self._remember(session)
        if goes and self.home:
            self._go_home(session, mood)
        session.finish()
        return session

    def _remember(self, session: Session) -> None:
        key: list[object] = [frozenset(session.faults)]
        for factor in session.factors.values():
            state = next(iter(factor.candidates))[0]
            at = factor.promised.at
            key += [
                factor.promised.lifecycle(state),
                state[at.head] > state[at.passive],
                state[at.running],
                state[at.passive_running],
                state[at.epoch] == state[at.passive_epoch],
                bool(state[at.cached]),
                min(2, len(factor.points)),
            ]
        known = self.corpus.get(tuple(key))
        if known is None or len(session.commands) < len(known.commands):
            self.corpus[tuple(key)] = _Way(tuple(session.commands), session.seed, known.used if known else 0)

    def _go_home(self, session: Session, mood: Mood) -> None:
        """The liveness phase. Whatever does not go as the model says is a divergence like any other."""
        for fault in sorted(session.faults):
            if not session.step(Heal(fault)):
                return
        if not session.step(Settle()):
            return
        for machine in session.factors:
            for _ in range(8):
                command = homeward(session, machine)
                if command is None:
                    break
                if not (session.step(command) and session.step(Settle())):
                    return
            if not (session.step(Write(machine, "primary", self.chance.choice(mood.blocks))) and session.step(Settle())):
                return
