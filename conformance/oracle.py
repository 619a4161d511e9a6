"""The oracle: every way in which the promise level can explain what was seen.

Rules
1. A *candidate* is a state of the promise level and the history (a `Log`) of the active side, its cached writes at the end;
   from a failover until the next copy begins also that of the former source, with what it still wrote (while the failover is
   pending the advertised points lie on it). Positions determine content (the `prefix_…` lemmas), so a candidate says what every
   readable place must hold. A fact of every candidate: the logs are as long as `head + cached` and `passive + passive_cached`.
2. An event (a request with its answer, a write, a fault…) maps candidates to candidates; an answer that a candidate would not
   give removes it. Internal steps close the set. What is seen then filters it. An empty set is a divergence.
3. Cuts of points are visible: each new id must be explained, in order, by a cut at exactly the position that the content of
   the point, read by the tester, turns out to be. A point that goes away must have been pruned (never the newest, never the
   one that a failover uses), or all went together, by a commit or at the end of a copy.
4. After `settle` the system stands still, and that is seen, too: candidates in which a fair step is possible are removed.
5. One factor per machine; faults are shared. The set is bounded: beyond the bound the oracle gives up (`Overflow`), and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import attrs

from siteproof.conformance.closure import CUT, PLAIN, REMOVED, RENEWED, Promised
from siteproof.conformance.content import Journal, Log, View, WriteRecord
from siteproof.conformance.driver import UNKNOWN, Accepted, Answer, Observation, Rejected
from siteproof.model.readings.python import State

__all__ = ["Candidate", "Event", "Factor", "Node", "Overflow", "PointSeen", "Reading", "Sight"]

Candidate = tuple[State, Log, "Log | None"]
Node = tuple[State, Log, "Log | None", int, bool]
"""A candidate within one search: also how many of the new points are explained, and whether all old ones have gone."""

Paths = dict[Node, "tuple[Node, int] | None"]
"""Where each node comes from: the node before it and the internal step's number; None where an event or the past put it."""

LIMIT = 60_000

KINDS = ("crash-consistent", "app-consistent")
"""The kinds of recovery points."""

ALERT = "StaleSideFenced"
"""The alert that is judged; others are the system's own affair."""


@attrs.define
class _Stage:
    """How one event was explained: internal steps before it (where the system moves by itself), where each node after the event
    comes from, internal steps after it, and the node of each candidate that was kept."""

    before: Paths = attrs.Factory(dict)
    origins: dict[Node, Node] = attrs.Factory(dict)
    after: Paths = attrs.Factory(dict)
    ends: dict[Candidate, Node] = attrs.Factory(dict)


class Overflow(Exception):
    """The set of explanations has grown beyond the bound; nothing can be said about the rest of this case."""


@attrs.frozen
class PointSeen:
    """An advertised point, and what reading it found."""

    id: str
    kind: str
    view: View


@attrs.frozen
class Event:
    """What happened to a machine: `apply` maps a candidate to those that follow from it. `kind` and `about` are for words."""

    kind: str
    about: str
    apply: Callable[[Candidate], Iterable[Candidate]]
    answer: Answer | bool | None = None
    operation: str = ""


@attrs.frozen
class Sight:
    """What is seen of a machine after an event: observation, new points (read), points that have gone, the active side's
    content and the former source's (None when not read), whether the system stands still."""

    seen: Observation
    new: tuple[PointSeen, ...] | None
    gone: frozenset[str]
    disk: View | None
    still: bool
    former: View | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        return () if self.seen.points is UNKNOWN else tuple(i for i, _ in self.seen.points)


Reading = Callable[[str], View]
"""Reads the content of a place: a point's id, or a side."""


class Factor:
    """The explanations of one machine."""

    def __init__(self, promised: Promised, journal: Journal, *, moves_by_itself: bool = False, strict: bool = False) -> None:
        self.promised, self.journal = promised, journal
        self.moves_by_itself, self.strict = moves_by_itself, strict
        self.candidates: Collection[Candidate] = ((promised.initial, journal.root, None),)
        self.points: tuple[PointSeen, ...] = ()
        self.known_ids: set[str] = set()
        self.used: str | None = None
        self.reported_point: str | None = None
        self._trail: list[_Stage] = []
        self._stage = _Stage()
        self._at = promised.at

    # ------------------------------------------------------------------------------------------------------- events

    def request(self, operation: str, point: str | None, answer: Answer) -> Event:
        """An operator's request and its answer. `point` is `latest`, `latest-processed` or an id."""
        action = self.promised.commands[operation]
        custom = bool(action.action.parameters) and point not in ("latest", "latest-processed", None)
        arguments: tuple[int, ...] = ()
        if action.action.parameters:
            arguments = (self.promised.points_coded["custom" if custom else (point or "latest")],)
        if custom and not isinstance(answer, Rejected):
            self.used = point

        def apply(candidate: Candidate) -> Iterable[Candidate]:
            state, log, old = candidate
            found: list[Candidate] = []
            for asked in self._naming(candidate, point) if custom else (state,):
                after = action.step(asked, *arguments)
                if after is not None and not isinstance(answer, Rejected):
                    found.append((after, log, old))
                if isinstance(answer, Accepted):
                    continue
                if not isinstance(answer, Rejected) or (after is None and answer.code in self.codes(operation, asked, arguments)):
                    found.append(candidate)
            return found

        return Event("request", f"{operation}{f' to {point}' if point else ''}", apply, answer, operation)

    def codes(self, operation: str, state: State, arguments: Sequence[int]) -> tuple[str, ...]:
        """The codes with which a request may be refused in `state`."""
        action = self.promised.commands[operation]
        failing = action.failing(state, *arguments)
        codes = tuple(action.action.guards[i].code for i in failing)
        return codes[:1] if self.strict else codes

    def asked(self, candidate: Candidate, operation: str, point: str | None) -> list[State]:
        """The states in which a request is judged: where it names a point, that is the kept one."""
        custom = bool(self.promised.commands[operation].action.parameters) and point not in ("latest", "latest-processed", None)
        return self._naming(candidate, point) if custom else [candidate[0]]

    def _naming(self, candidate: Candidate, point: str | None) -> list[State]:
        """The candidate's state with `point` as the kept one: advertised or, where it may have been pruned unseen, not."""
        state = candidate[0]
        known = next((p for p in self.points if p.id == point), None)
        where = None if known is None else known.view.locate(self.branch(candidate))
        if known is None or where is None or not state[self._at.points]:
            return [self.promised.with_point(state, False, 0)]
        there = [self.promised.with_point(state, True, where.length)]
        if self.moves_by_itself and known is not self.points[-1]:
            there.append(self.promised.with_point(state, False, 0))
        return there

    def write(self, side: int, record: WriteRecord, cached: bool, answer: bool | None) -> Event:
        """The workload at `side` (0 primary, 1 recovery) writes."""
        promised, at = self.promised, self._at
        names = ("write_cached", "write_cached_former_source") if cached else ("write", "write_former_source")
        actions = tuple(promised.environment[name].step for name in names)
        flushes = (promised.flushed, promised.flushed_former)

        def apply(candidate: Candidate) -> Iterable[Candidate]:
            state, log, old = candidate
            role = 0 if state[at.active] == side else 1
            before = state if cached else flushes[role](state)
            after = actions[role](before)
            if after is not None and answer is not False:
                if role:
                    yield (after, log, None if old is None else old.then(record))
                else:
                    yield (after, log.then(record), old)
            if answer is None or (answer is False and after is None):
                yield candidate

        return Event("write", self.journal.where(record.address), apply, answer)

    def start(self, side: int, answer: bool | None) -> Event:
        """Somebody presses the power button at `side`. Where the machine runs already, nothing happens, and either answer
        will do."""
        at = self._at
        actions = tuple(self.promised.environment[n].step for n in ("start_machine", "start_former_source"))

        def apply(candidate: Candidate) -> Iterable[Candidate]:
            state, log, old = candidate
            role = 0 if state[at.active] == side else 1
            after = actions[role](state)
            if after is not None and answer is not False:
                yield (after, log, old)
            runs = state[(at.running, at.passive_running)[role]]
            if answer is None or (after is None and (answer is False or runs)):
                yield candidate

        return Event("start-machine", ("primary", "recovery")[side], apply, answer)

    def world(self, name: str) -> Event:
        """A fault strikes or is healed: the model's environment action `name`. Where it is impossible nothing happens."""
        step = self.promised.environment[name].step

        def apply(candidate: Candidate) -> Iterable[Candidate]:
            state, log, old = candidate
            after = step(state)
            if after is None:
                return (candidate,)
            return ((after, log.prefix(int(after[self._at.head]) + int(after[self._at.cached])), self._former(after, old)),)

        return Event("fault" if name.startswith("fail") else "heal", name, apply)

    # -------------------------------------------------------------------------------------------------------- seeing

    def branch(self, of: Candidate | Node) -> Log:
        """The history on which the advertised points of a candidate lie."""
        return of[2] if of[2] is not None and of[0][self._at.failover] in (1, 2) else of[1]

    def _former(self, after: State, old: Log | None) -> Log | None:
        """The former source's history, as long as `after` says."""
        at = self._at
        return None if old is None else old.prefix(int(after[at.passive]) + int(after[at.passive_cached]))

    def look(
        self, seen: Observation, read: Reading | None, *, disk: bool = False, still: bool = False, former: bool = False
    ) -> Sight:
        """Turn an observation into a sight: read what is new. `disk`: read the active side as well; `former`: and the former
        source's disk, if a failover has left one behind."""
        new: tuple[PointSeen, ...] | None = None
        gone: frozenset[str] = frozenset()
        if seen.points is not UNKNOWN:
            before = {p.id for p in self.points}
            new = (
                tuple(PointSeen(i, kind, read(i) if read is not None else View({})) for i, kind in seen.points if i not in before)
                if read is not None
                else None
            )
            gone = frozenset(before - {i for i, _ in seen.points})
        side = seen.active if disk and read is not None and isinstance(seen.active, str) else None
        left = None
        if former and read is not None and seen.failover != "none":
            left = {"primary": "recovery", "recovery": "primary"}.get(str(seen.active))
        return Sight(
            seen,
            new,
            gone,
            read(side) if side is not None and read is not None else None,
            still,
            read(left) if left is not None and read is not None else None,
        )

    def _is_former(self, state: State, old: Log | None) -> bool:
        """Whether the passive side is a former source whose disk must not have changed: fenced, and no copy has begun."""
        at = self._at
        return old is not None and bool(state[at.failover]) and state[at.passive_epoch] == state[at.epoch]

    def follow(self, event: Event | None, sight: Sight) -> bool:
        """Take in an event and what was seen after it. False when nothing explains it; the candidates then stay as they
        were before, for `siteproof.conformance.blame`."""
        nodes = self.search(event, sight)
        ends = [n for n in nodes if self.explains(n, sight)]
        if not ends or not self.orderly(sight):
            return False
        self._stage.ends = {(n[0], n[1], n[2]): n for n in ends}
        self._trail.append(self._stage)
        self.candidates = tuple(self._stage.ends)
        self.remember(sight)
        return True

    def explanation(self) -> list[list[str]]:
        """One explanation of the whole run: the internal steps of the model after each event, oldest first."""
        names, found = self.promised.internal_names, []
        candidate = min(self.candidates, key=lambda c: c[0])
        for stage in reversed(self._trail):
            node: Node | None = stage.ends[candidate]
            steps: list[str] = []
            for paths in (stage.after, stage.before):
                while node is not None and (way := paths.get(node)) is not None:
                    node = way[0]
                    steps.append(names[way[1]])
                if paths is stage.after and node is not None:
                    node = stage.origins.get(node, node)
            assert node is not None
            candidate = (node[0], node[1], node[2])
            found.append(steps[::-1])
        return found[::-1]

    def remember(self, sight: Sight) -> None:
        """What later sights are compared with."""
        if sight.new is not None:
            old = {p.id: p for p in self.points}
            fresh = {p.id: p for p in sight.new}
            self.points = tuple(old[i] if i in old else fresh[i] for i in sight.ids)
            self.known_ids |= set(fresh)
        if sight.seen.failover_point is not UNKNOWN:
            self.reported_point = sight.seen.failover_point

    def orderly(self, sight: Sight) -> bool:
        """Ids are never used again, kinds are known, and the list is oldest first: those that stay, then the new ones. An alert
        is raised once."""
        if sight.seen.alerts is not UNKNOWN and sight.seen.alerts.count(ALERT) > 1:
            return False
        if sight.new is None:
            return True
        if any(p.id in self.known_ids for p in sight.new) or any(p.kind not in KINDS for p in sight.new):
            return False
        stayed = tuple(p.id for p in self.points if p.id not in sight.gone)
        return sight.ids == (*stayed, *(p.id for p in sight.new))

    # ------------------------------------------------------------------------------------------------------- closing

    def search(self, event: Event | None, sight: Sight, *, free: bool = False, unpruned: bool = False) -> Paths:
        """Every node that the event and internal steps lead to, and from where. Branches that cannot end in `sight` are cut off,
        unless `unpruned`; `free`: any cut is taken for explained as well (both serve to find out what is wrong)."""
        nodes: Iterable[Node] = [(s, log, old, 0, False) for s, log, old in self.candidates]
        new = None if free else sight.new
        stage = self._stage = _Stage()
        if self.moves_by_itself:
            nodes = stage.before = self._close(nodes, new, None)
        if event is not None:
            origins = stage.origins
            for node in nodes:
                for after in event.apply((node[0], node[1], node[2])):
                    origins.setdefault((*after, node[3], node[4]), node)
            nodes = origins
        dead = None if free or unpruned else self._pruner(sight.seen)
        stage.after = self._close(nodes, new, dead)
        return stage.after

    def _close(self, nodes: Iterable[Node], new: tuple[PointSeen, ...] | None, dead: Callable[[State], bool] | None) -> Paths:
        """Breadth first, so that the way back from any node is a shortest explanation."""
        at, steps = self._at, self.promised.steps
        known: Paths = {n: None for n in nodes if dead is None or not dead(n[0])}
        todo = list(known)
        for here in todo:
            state, log, old, k, renewed = here
            for number, kind, after in steps(state):
                if dead is not None and dead(after):
                    continue
                past, left = log, old
                if kind == PLAIN:
                    if after[at.active] != state[at.active]:
                        left = log
                    elif left is not None:
                        left = None if number == self.promised.copying else self._former(after, left)
                    length = after[at.head] + after[at.cached]
                    if length != past.length:
                        past = past.prefix(int(length))
                    found: tuple[Node, ...] = ((after, past, left, k, renewed),)
                elif kind == REMOVED:
                    found = ((after, past, left, k, True),)
                else:
                    explained = k
                    if new is not None:
                        if k < len(new):
                            where = new[k].view.locate(log)
                            if where is not None and where.length == after[at.latest]:
                                explained = k + 1
                        if kind == CUT and explained == k:
                            continue
                    if kind == RENEWED:
                        found = ((after, past, None, k, True), (after, past, None, explained, True))
                    else:
                        found = ((after, past, left, explained, renewed),)
                for node in found:
                    if node not in known:
                        known[node] = (here, number)
                        todo.append(node)
            if len(known) > LIMIT:
                raise Overflow
        return known

    def _pruner(self, seen: Observation) -> Callable[[State], bool] | None:
        """Tells states from which no internal step leads to `seen`: jobs start by requests only; without a job the
        lifecycle stands still; an alert, once raised, stays; reports change only when an unplanned failover switches."""
        at = self._at
        if seen.job is UNKNOWN:
            return None
        job = self._code(at.job, seen.job or "none")
        frozen = tuple(
            (i, self._code(i, value))
            for i, value in (
                (at.active, seen.active),
                (at.failover, seen.failover),
                (at.protection, seen.protection),
                (at.direction, seen.direction),
            )
            if isinstance(value, str)
        )
        quiet = seen.alerts is not UNKNOWN and "StaleSideFenced" not in seen.alerts
        loss, received = seen.loss, seen.received
        unplanned = self._code(at.job, "UnplannedFailover")
        i_job, i_alerted, i_loss, i_loss_known = at.job, at.alerted, at.loss, at.loss_known
        i_received, i_received_known = at.received, at.received_known

        def dead(s: State) -> bool:
            runs = s[i_job]
            if runs != job:
                if job or not runs:
                    return True
            if not runs:
                for i, code in frozen:
                    if s[i] != code:
                        return True
            if quiet and s[i_alerted]:
                return True
            if runs != unplanned:
                if s[i_loss_known] and loss is not UNKNOWN and s[i_loss] != loss:
                    return True
                if s[i_received_known] and received is not UNKNOWN and s[i_received] != received:
                    return True
            return False

        return dead

    def _code(self, index: int, value: str) -> int:
        variable = self.promised.model.variables[index]
        names = [variable.domain.decode(code).value for code in variable.domain.values or ()]
        return names.index(value) if value in names else -1

    # ----------------------------------------------------------------------------------------------------- filtering

    def explains(self, node: Node, sight: Sight) -> bool:
        """Whether `node` shows exactly what was seen."""
        return all(test(node, sight) for test in self.tests)

    @property
    def tests(self) -> tuple[Callable[[Node, Sight], bool], ...]:
        return (self.shows, self.allows, self.holds, self.keeps, self.lists, self.names, self.rests)

    def shows(self, node: Node, sight: Sight) -> bool:
        """The plain fields."""
        seen = sight.seen
        protection, active, direction, failover, job, received, loss, alerted, primary, recovery, _ = self.promised.shown(node[0])
        return (
            (seen.protection is UNKNOWN or seen.protection == protection)
            and (seen.active is UNKNOWN or seen.active == active)
            and (seen.direction is UNKNOWN or seen.direction == direction)
            and (seen.failover is UNKNOWN or seen.failover == failover)
            and (seen.job is UNKNOWN or seen.job == job)
            and (seen.received is UNKNOWN or seen.received == received)
            and (seen.loss is UNKNOWN or seen.loss == loss)
            and (seen.alerts is UNKNOWN or ("StaleSideFenced" in seen.alerts) == alerted)
            and (seen.running[0] is UNKNOWN or seen.running[0] == primary)
            and (seen.running[1] is UNKNOWN or seen.running[1] == recovery)
        )

    def allows(self, node: Node, sight: Sight) -> bool:
        """The operations that are advertised."""
        return sight.seen.allowed_operations is UNKNOWN or sight.seen.allowed_operations == self.promised.allowed(node[0])

    def holds(self, node: Node, sight: Sight) -> bool:
        """The content of the active side's disk."""
        if sight.disk is None:
            return True
        state, log = node[0], node[1]
        return not sight.disk.rubbish and log.prefix(int(state[self._at.head])).content == sight.disk.content

    def keeps(self, node: Node, sight: Sight) -> bool:
        """The content of the former source's disk: everything that it ever acknowledged."""
        state, old = node[0], node[2]
        if sight.former is None or old is None or not self._is_former(state, old):
            return True
        return not sight.former.rubbish and old.prefix(int(state[self._at.passive])).content == sight.former.content

    def lists(self, node: Node, sight: Sight) -> bool:
        """The list of points."""
        if sight.seen.points is UNKNOWN or sight.new is None:
            return True
        state, _, _, k, renewed = node
        if k != len(sight.new) or bool(state[self._at.points]) != bool(sight.ids):
            return False
        if renewed:
            return len(sight.gone) == len(self.points)
        if self.points and self.points[-1].id in sight.gone and not k:
            return False
        return not (self._uses_point(state) and self.used in sight.gone)

    def _uses_point(self, state: State) -> bool:
        at = self._at
        return state[at.chosen] == 2 and (state[at.job] == 3 or state[at.failover] == 2)

    def names(self, node: Node, sight: Sight) -> bool:
        """The point that an unplanned failover says it used."""
        told = sight.seen.failover_point
        if told is UNKNOWN:
            return True
        state = node[0]
        if state[self._at.failover] != 2:
            return told is None
        if state[self._at.chosen] == 2:
            return told == self.used
        if sight.ids:
            return told == sight.ids[-1]
        return told == self.reported_point if self.reported_point is not None else told is not None

    def rests(self, node: Node, sight: Sight) -> bool:
        """After settling: no fair step is possible."""
        return not sight.still or not self.promised.restless(node[0])
