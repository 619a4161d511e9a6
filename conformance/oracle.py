"""The oracle: every way in which the promise level can explain what was seen.

Rules
1. A *candidate* is a state of the promise level with the histories of its places (`siteproof.conformance.sight`). Positions
   determine content (the `prefix_…` lemmas), so a candidate says what every readable place must hold. While a failover is
   pending the advertised points lie on the former source's history. A fact of every candidate: the logs are as long as
   `head + cached` and `passive + passive_cached`.
2. An event (a request with its answer, a write, a fault…) maps candidates to candidates; an answer that a candidate would not
   give removes it. Internal steps close the set. What is seen then filters it. An empty set is a divergence.
3. Cuts of points are visible: each new id must be explained, in order, by a cut at exactly the position that the content of
   the point, read by the tester, turns out to be. A point that goes away must have been pruned (never the newest, never one in
   use, never while retention waits), or all went together: by a commit, a disabling or a migration, or at the end of a copy.
4. After `settle` the system stands still, and that is seen, too: candidates in which a fair step is possible are removed.
5. One factor per machine; faults are shared. The set is bounded: beyond the bound the oracle gives up (`Overflow`), and says so.
6. Unknown is not false. What was not told passes every test; where the list of points was not told (or not read), points may have
   been cut and removed unseen, and the next list that is told is compared with content only. Where faults strike unseen, they are
   taken for steps like internal ones.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Sequence

import attrs

from siteproof.conformance.closure import CUT, PLAIN, REMOVED, RENEWED, Promised
from siteproof.conformance.content import Journal, Log, View, WriteRecord
from siteproof.conformance.driver import UNKNOWN, Accepted, Answer, Observation, Rejected
from siteproof.conformance.sight import ALERT, KINDS, UNSEEN, Aside, Candidate, Node, PointSeen, Reading, Sight, Tests
from siteproof.model.promise.vocabulary import Failover
from siteproof.model.readings.python import State

__all__ = ["NEVER", "Event", "Factor", "Overflow"]

Paths = dict[Node, "tuple[Node, int] | None"]
"""Where each node comes from: the node before it and the internal step's number; None where an event or the past put it."""

LIMIT = 60_000
COPY_WRITE = "write_test_copy"
APP_POINT = "latest-app-consistent"
GENERAL = ("latest", "latest-processed", APP_POINT, None)
"""What a request may say instead of a point's id."""
NEVER = "never-advertised"
"""The id of a point that no system has."""
WORLD = (
    *(f"{what}_{where}" for what in ("fail", "heal") for where in ("primary_site", "recovery_site", "link", "gateway")),
    "damage_change_log",
    "start_machine",
    "start_former_source",
)
"""What may happen to a machine from outside beside its workload: the model's environment actions."""
UNPLANNED = list(Failover).index(Failover.UNPLANNED)


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
class Event:
    """What happened to a machine: `apply` maps a candidate to those that follow from it. `kind` and `about` are for words."""

    kind: str
    about: str
    apply: Callable[[Candidate], Iterable[Candidate]]
    answer: Answer | bool | None = None
    operation: str = ""


class Factor(Tests):
    """The explanations of one machine."""

    def __init__(
        self,
        promised: Promised,
        journal: Journal,
        *,
        moves_by_itself: bool = False,
        strict: bool = False,
        unseen_faults: bool = False,
    ) -> None:
        super().__init__(promised)
        self.journal = journal
        self._steps = self._with_the_world if unseen_faults else promised.steps
        self.moves_by_itself, self.strict = moves_by_itself, strict
        self.candidates: Collection[Candidate] = ((promised.initial, journal.root, None, Aside()),)
        self.known_ids: set[str] = set()
        self.listed: frozenset[str] | None = frozenset()
        """The ids that were told last, read or not; None where none were told."""
        self.told_points = True
        """Whether the last sight told the points, and their content."""
        self._trail: list[_Stage] = []
        self._stage = _Stage()

    def fork(self) -> Factor:
        """This factor again, to go another way from here. What led here is not kept."""
        other = copy.copy(self)
        other.known_ids, other._trail, other._stage = set(self.known_ids), [], _Stage()
        return other

    def _with_the_world(self, state: State) -> list[tuple[int, int, State]]:
        """The internal steps, and what may happen unseen, numbered after them."""
        found, past = list(self.promised.steps(state)), len(self.promised.internal_names)
        for number, name in enumerate(WORLD):
            after = self.promised.environment[name].step(state)
            if after is not None and after != state:
                found.append((past + number, PLAIN, after))
        return found

    # ------------------------------------------------------------------------------------------------------- events

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
                    found.append((after, log, old, aside._replace(asked=name) if pointed else aside))
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
        action = self.promised.commands[operation]
        failing = action.failing(state, *arguments)
        codes = tuple(action.action.guards[i].code for i in failing)
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
                yield (after, log, old, aside._replace(copy=aside.copy.then(record)))
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

    # -------------------------------------------------------------------------------------------------------- seeing

    def _former(self, after: State, old: Log | None) -> Log | None:
        """The former source's history, as long as `after` says."""
        at = self._at
        return None if old is None else old.prefix(int(after[at.passive]) + int(after[at.passive_cached]))

    def look(
        self,
        seen: Observation,
        read: Reading | None,
        *,
        disk: bool = False,
        still: bool = False,
        former: bool = False,
        copy: bool = False,
        points: bool = True,
    ) -> Sight:
        """Turn an observation into a sight: read what is new. `disk`: read the active side as well; `former`: and the former
        source's disk, if a failover has left one behind; `copy`: and the test failover's copy, if there is one; `points` false:
        points are listed, and cannot be read."""
        new: tuple[PointSeen, ...] | None = None
        gone: frozenset[str] = frozenset()
        if seen.points is not UNKNOWN:
            before = {p.id for p in self.points}
            new = (
                tuple(PointSeen(i, kind, read(i) if read is not None else View({})) for i, kind in seen.points if i not in before)
                if read is not None and points
                else None
            )
            gone = frozenset(before - {i for i, _ in seen.points})
        side = seen.active if disk and isinstance(seen.active, str) else None
        left = None
        if former and seen.failover != "none":
            left = {"primary": "recovery", "recovery": "primary"}.get(str(seen.active))
        test = "test" if copy and seen.test == "running" else None

        def content(where: str | None) -> View | None:
            return read(where) if where is not None and read is not None else None

        return Sight(seen, new, gone, content(side), still, content(left), content(test), self.told_points)

    def follow(self, event: Event | None, sight: Sight) -> bool:
        """Take in an event and what was seen after it. False when nothing explains it; the candidates then stay as they
        were before, for `siteproof.conformance.blame`."""
        nodes = self.search(event, sight)
        ends = [n for n in nodes if self.explains(n, sight)]
        if not ends or not self.orderly(sight):
            return False
        self._stage.ends = {(n[0], n[1], n[2], n[3]): n for n in ends}
        self._trail.append(self._stage)
        self.candidates = tuple(self._stage.ends)
        self.remember(sight)
        return True

    def explanation(self) -> list[list[str]]:
        """One explanation of the whole run: the internal steps of the model after each event, oldest first."""
        names, found = (*self.promised.internal_names, *WORLD), []
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
            candidate = (node[0], node[1], node[2], node[3])
            found.append(steps[::-1])
        return found[::-1]

    def remember(self, sight: Sight) -> None:
        """What later sights are compared with."""
        if sight.new is not None:
            old = {p.id: p for p in self.points}
            fresh = {p.id: p for p in sight.new}
            self.points = tuple(old[i] if i in old else fresh[i] for i in sight.ids)
            self.known_ids |= set(fresh)
        self.listed = None if sight.seen.points is UNKNOWN else frozenset(sight.ids)
        self.told_points = sight.new is not None
        told = sight.seen.failover_point
        self.reported_point = None if told is UNKNOWN else told
        self.retention = any(self.promised.prunable(c[0]) for c in self.candidates)

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
        nodes: Iterable[Node] = [(*candidate, 0, False) for candidate in self.candidates]
        new = sight.new if sight.follows_on and not free else None
        stage = self._stage = _Stage()
        if self.moves_by_itself:
            nodes = stage.before = self._close(nodes, new, None)
        if event is not None:
            origins = stage.origins
            for node in nodes:
                for after in event.apply((node[0], node[1], node[2], node[3])):
                    origins.setdefault((*after, node[4], node[5]), node)
            nodes = origins
        dead = None if free or unpruned else self._pruner(sight.seen)
        stage.after = self._close(nodes, new, dead)
        return stage.after

    def _close(self, nodes: Iterable[Node], new: tuple[PointSeen, ...] | None, dead: Callable[[State], bool] | None) -> Paths:
        """Breadth first, so that the way back from any node is a shortest explanation."""
        at, steps = self._at, self._steps
        i_job, changing = at.job, (self.promised.making_copy, self.promised.setting_to_point)
        known: Paths = {n: None for n in nodes if dead is None or not dead(n[0])}
        todo = list(known)
        for here in todo:
            state, log, old, aside, k, renewed = here
            for number, kind, after in steps(state):
                if dead is not None and dead(after):
                    continue
                past, left, beside = log, old, aside
                if number in changing or (state[i_job] and not after[i_job]):
                    past, beside = self._changed(number, here, after, new)
                if kind == PLAIN:
                    if after[at.active] != state[at.active]:
                        left = log
                    elif left is not None:
                        left = None if number == self.promised.copying else self._former(after, left)
                    length = after[at.head] + after[at.cached]
                    if length != past.length:
                        past = past.prefix(int(length))
                    found: tuple[Node, ...] = ((after, past, left, beside, k, renewed),)
                elif kind == REMOVED:
                    found = ((after, past, left, beside, k, True),)
                else:
                    explained = k
                    if new is not None:
                        if k < len(new):
                            where = new[k].view.locate(log)
                            suits = (new[k].kind == KINDS[1]) == (number == self.promised.cutting_app)
                            if suits and where is not None and where.length == after[at.latest]:
                                explained = k + 1
                        if kind == CUT and explained == k:
                            continue
                    if kind == RENEWED:
                        found = ((after, past, None, beside, k, True), (after, past, None, beside, explained, True))
                    else:
                        found = ((after, past, left, beside, explained, renewed),)
                for node in found:
                    if node not in known:
                        known[node] = (here, number)
                        todo.append(node)
            if len(known) > LIMIT:
                raise Overflow
        return known

    def _changed(self, number: int, here: Node, after: State, new: tuple[PointSeen, ...] | None) -> tuple[Log, Aside]:
        """The active side's history, and what stands beside, after a step that ends a job or puts a point to use."""
        at, (state, log, _, aside, k, renewed) = self._at, here
        used = aside.asked
        if not used:
            newest = self.points[-1].id if self.points and not renewed and new is not None else UNSEEN
            used = new[k - 1].id if new and k else newest
        if number == self.promised.making_copy:
            return log, Aside(self.branch(here).prefix(int(after[at.test_at])), used, aside.asked)
        if number == self.promised.setting_to_point:
            return self.branch(here).prefix(int(after[at.head])), Aside(None, used)
        if after[at.test]:
            return log, Aside(aside.copy, aside.used)
        if after[at.active] != state[at.active]:
            return log, Aside(None, used if after[at.failover] == UNPLANNED else "")
        return log, Aside()

    def _pruner(self, seen: Observation) -> Callable[[State], bool] | None:
        """Tells states from which no internal step leads to `seen`: jobs start by requests only; without a job the lifecycle
        stands still, but that a resynchronisation may be called for; an alert, once raised, stays; reports change only when an
        unplanned failover switches, or a change of point counts anew."""
        at = self._at
        if seen.job is UNKNOWN:
            return None
        coded = self.promised.coded
        job = coded[at.job][seen.job or "none"]
        frozen = tuple(
            (i, coded[i][value])
            for i, value in (
                (at.active, seen.active),
                (at.failover, seen.failover),
                (at.protection, seen.protection),
                (at.direction, seen.direction),
                (at.test, seen.test),
            )
            if isinstance(value, str)
        )
        quiet = seen.alerts is not UNKNOWN and ALERT not in seen.alerts
        loss, received = seen.loss, seen.received
        counting = tuple(coded[at.job][name] for name in ("UnplannedFailover", "ChangePit"))
        resync = -1 if seen.resync is UNKNOWN else coded[at.resync][str(seen.resync)]
        i_job, i_alerted, i_loss, i_loss_known, i_resync = at.job, at.alerted, at.loss, at.loss_known, at.resync
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
                if s[i_resync] and s[i_resync] != resync >= 0:
                    return True
            if quiet and s[i_alerted]:
                return True
            if runs not in counting:
                if s[i_loss_known] and loss is not UNKNOWN and s[i_loss] != loss:
                    return True
                if s[i_received_known] and received is not UNKNOWN and s[i_received] != received:
                    return True
            return False

        return dead
