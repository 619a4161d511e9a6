"""What happens to a machine, as it acts on one explanation: requests with their answers, writes, power buttons, faults.

Rules
1. An event maps a candidate to those that follow from it; an answer that a candidate would not give removes it. An answer that is
   not known may have been any: both outcomes follow.
2. A request that names an older point is judged with that point as the model's kept one: where it lies, its content tells. Where
   it may have been pruned unseen, or was never read, all that may be is tried.
3. Each event is made once, for all candidates; what does not depend on the candidate is worked out before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs

from siteproof.conformance.ages import Ages
from siteproof.conformance.closure import Promised
from siteproof.conformance.content import Journal, WriteRecord
from siteproof.conformance.driver import Accepted, Answer, Rejected
from siteproof.conformance.sight import KINDS, UNSEEN, Aside, Candidate, PointSeen, Tests
from siteproof.model.readings.python import State

__all__ = ["NEVER", "Event", "Events"]

COPY_WRITE = "write_test_copy"
APP_POINT = "latest-app-consistent"
GENERAL = ("latest", "latest-processed", APP_POINT, None)
"""What a request may say instead of a point's id."""
NEVER = "never-advertised"
"""The id of a point that no system has."""


@attrs.frozen
class Event:
    """What happened to a machine: `apply` maps a candidate to those that follow from it. `kind` and `about` are for words."""

    kind: str
    about: str
    apply: Callable[[Candidate], Iterable[Candidate]]
    answer: Answer | bool | None = None
    operation: str = ""


class Events(Tests):
    """The events of one machine. `moves_by_itself`: the system makes progress between calls. `strict`: of several codes it gives
    the first."""

    def __init__(self, promised: Promised, journal: Journal, ages: Ages | None, *, moves_by_itself: bool, strict: bool) -> None:
        super().__init__(promised, ages)
        self.journal, self.moves_by_itself, self.strict = journal, moves_by_itself, strict
        self.listed: frozenset[str] | None = frozenset()
        """The ids that were told last, read or not; None where none were told."""
        self.told_points = True
        """Whether the last sight told the points, and their content."""

    def request(self, operation: str, point: str | None, answer: Answer) -> Event:
        """An operator's request and its answer. `point` is one of `GENERAL`, or an id. A refusal without a code is one for a
        reason that was not told."""
        action = self.promised.commands[operation]
        pointed = bool(action.action.parameters)
        custom = pointed and point not in GENERAL
        arguments: tuple[int, ...] = ()
        if pointed:
            arguments = (self.promised.points_coded["custom" if custom else (point or "latest")],)
        name = self._named(point) if pointed else ""

        def apply(candidate: Candidate) -> Iterable[Candidate]:
            _, log, old, aside = candidate
            found: list[Candidate] = []
            for asked in self.asked(candidate, operation, point):
                after = action.step(asked, *arguments)
                if after is not None and not isinstance(answer, Rejected):
                    found.append((after, log, old, Aside(aside.copy, aside.used, name) if pointed else aside))
                if isinstance(answer, Accepted):
                    continue
                refused = isinstance(answer, Rejected) and after is None
                if not isinstance(answer, Rejected) or (
                    refused and (not answer.code or answer.code in self.codes(operation, asked, arguments))
                ):
                    found.append(candidate)
            return found

        return Event("request", f"{operation}{f' to {point}' if point else ''}", apply, answer, operation)

    def codes(self, operation: str, state: State, arguments: Sequence[int]) -> tuple[str, ...]:
        """The codes with which a request may be refused in `state`."""
        codes = self.promised.failing(self.promised.commands[operation], state, tuple(arguments))
        return codes[:1] if self.strict else codes

    def asked(self, candidate: Candidate, operation: str, point: str | None) -> list[State]:
        """The states in which a request is judged: where it names a point, that is the kept one, or the app-consistent one."""
        if not self.promised.commands[operation].action.parameters or (point in GENERAL and point != APP_POINT):
            return [candidate[0]]
        return self._naming_app(candidate) if point == APP_POINT else self._naming(candidate, point)

    def _named(self, point: str | None) -> str:
        """The id that a request stands for, where it is one older point."""
        if point != APP_POINT:
            return "" if point in GENERAL else str(point)
        known = self._newest_app()
        return UNSEEN if self.moves_by_itself or known is None or not self.told_points else known.id

    def _newest_app(self) -> PointSeen | None:
        return next((p for p in reversed(self.points) if p.kind == KINDS[1]), None)

    def _naming_app(self, candidate: Candidate) -> list[State]:
        """The candidate's state with the newest app-consistent point as it was seen: that retention has removed one the model
        does not follow. A system that moves by itself may have removed it, or made another, unseen."""
        state, known = candidate[0], self._newest_app()
        where = None if known is None else known.view.locate(self.branch(candidate))
        if self.moves_by_itself or not self.told_points:
            return [state, self.promised.with_app_point(state, None)]
        return [self.promised.with_app_point(state, None if where is None else where.length)]

    def _naming(self, candidate: Candidate, point: str | None) -> list[State]:
        """The candidate's state with `point` as the kept one: advertised or, where it may have been pruned unseen, not."""
        state = candidate[0]
        known = next((p for p in self.points if p.id == point), None)
        where = None if known is None else known.view.locate(self.branch(candidate))
        if known is None and self._may_be(point) and state[self._at.points]:
            anywhere = [self.promised.with_point(state, True, at) for at in range(int(state[self._at.latest]) + 1)]
            return [*anywhere, self.promised.with_point(state, False, 0)]
        if known is None or where is None or not state[self._at.points]:
            return [self.promised.with_point(state, False, 0)]
        there = [self.promised.with_point(state, True, where.length)]
        if not self.told_points or (self.moves_by_itself and known is not self.points[-1]):
            there.append(self.promised.with_point(state, False, 0))
        return there

    def _may_be(self, point: str | None) -> bool:
        """Whether a point that was never read may be advertised: the system listed it, or did not tell its list."""
        return point != NEVER and (self.listed is None or point in self.listed)

    def write(self, side: int, record: WriteRecord, cached: bool, answer: bool | None) -> Event:
        """The workload at `side` (0 primary, 1 recovery) writes."""
        promised, at = self.promised, self._at
        names = ("write_cached", "write_cached_former_source") if cached else ("write", "write_former_source")
        actions = tuple(promised.environment[name].step for name in names)
        flushes = (promised.flushed, promised.flushed_former)

        def apply(candidate: Candidate) -> Iterable[Candidate]:
            state, log, old, aside = candidate
            role = 0 if state[at.active] == side else 1
            before = state if cached else flushes[role](state)
            after = actions[role](before)
            if after is not None and answer is not False:
                if role:
                    yield (after, log, None if old is None else old.then(record), aside)
                else:
                    yield (after, log.then(record), old, aside)
            if answer is None or (answer is False and after is None):
                yield candidate

        return Event("write", self.journal.where(record.address), apply, answer)

    def write_to_copy(self, record: WriteRecord, answer: bool | None) -> Event:
        """The workload in the copy of a test failover writes."""
        step = self.promised.environment[COPY_WRITE].step

        def apply(candidate: Candidate) -> Iterable[Candidate]:
            state, log, old, aside = candidate
            after = step(state)
            if after is not None and answer is not False and aside.copy is not None:
                yield (after, log, old, Aside(aside.copy.then(record), aside.used, aside.asked))
            if answer is None or (answer is False and after is None):
                yield candidate

        return Event("write", f"{self.journal.where(record.address)} of its test copy", apply, answer)

    def start(self, side: int, answer: bool | None) -> Event:
        """Somebody presses the power button at `side`. Where the machine runs already, nothing happens, and either answer
        will do."""
        at = self._at
        actions = tuple(self.promised.environment[n].step for n in ("start_machine", "start_former_source"))

        def apply(candidate: Candidate) -> Iterable[Candidate]:
            state, log, old, aside = candidate
            role = 0 if state[at.active] == side else 1
            after = actions[role](state)
            if after is not None and answer is not False:
                yield (after, log, old, aside)
            runs = state[(at.running, at.passive_running)[role]]
            if answer is None or (after is None and (answer is False or runs)):
                yield candidate

        return Event("start-machine", ("primary", "recovery")[side], apply, answer)

    def world(self, name: str) -> Event:
        """A fault strikes or is healed: the model's environment action `name`. Where it is impossible nothing happens."""
        step = self.promised.environment[name].step

        def apply(candidate: Candidate) -> Iterable[Candidate]:
            state, log, old, aside = candidate
            after = step(state)
            if after is None:
                return (candidate,)
            past = log.prefix(int(after[self._at.head]) + int(after[self._at.cached]))
            return ((after, past, self._former(after, old), aside),)

        return Event("fault" if name.startswith("fail") else "heal", name, apply)
