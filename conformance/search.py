"""The search: every node that an event and internal steps lead to.

Rules
1. Internal steps close the set, breadth first, so that the way back from a node is a shortest explanation. Where the system moves
   by itself they may also come before the event; where faults strike unseen, what the world does is taken for steps, too.
2. Cuts of points are visible: each new id must be explained, in order, by a cut at exactly the position that the content of the
   point, read by the tester, turns out to be. Where the list was not told, points may have been cut unseen.
3. States from which nothing leads to what is seen are not followed (`appearance.dead`).
4. The set is bounded: beyond the bound the oracle gives up (`Overflow`), and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import attrs

from siteproof.conformance.ages import Ages
from siteproof.conformance.appearance import pruner
from siteproof.conformance.closure import CUT, PLAIN, REMOVED, Promised
from siteproof.conformance.content import Journal, Log
from siteproof.conformance.events import Event, Events
from siteproof.conformance.sight import CHANGED, KINDS, UNSEEN, Aside, Candidate, Node, Sight
from siteproof.conformance.trail import Way
from siteproof.model.promise.vocabulary import Failover
from siteproof.model.readings.python import State

__all__ = ["WORLD", "New", "Overflow", "Paths", "Searched", "Searcher"]

Paths = dict[Node, "tuple[Node, int] | None"]
"""Where each node comes from: the node before it and the internal step's number; None where an event or the past put it."""

LIMIT = 60_000
WORLD = (
    *(f"{what}_{where}" for what in ("fail", "heal") for where in ("primary_site", "recovery_site", "link", "gateway")),
    "damage_change_log",
    "start_machine",
    "start_former_source",
)
"""What may happen to a machine from outside beside its workload: the model's environment actions."""
UNPLANNED = list(Failover).index(Failover.UNPLANNED)


class Overflow(Exception):
    """The set of explanations has grown beyond the bound; nothing can be said about the rest of this case."""


class New(Protocol):
    """A point that was not there before: `where` is its position in a history, None if it is no instant of that."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    def where(self, log: Log) -> int | None: ...


@attrs.define
class Searched:
    """How one event was explained: internal steps before it (where the system moves by itself), where each node after the event
    comes from, internal steps after it, and the node of each candidate that was kept."""

    before: Paths = attrs.Factory(dict)
    origins: dict[Node, Node] = attrs.Factory(dict)
    after: Paths = attrs.Factory(dict)
    ends: dict[Candidate, Node] = attrs.Factory(dict)

    def back(self, candidate: Candidate) -> Way:
        """The candidate before the event, and the steps from there to `candidate`."""
        node, steps = self.ends[candidate], list[int]()
        for paths in (self.after, self.before):
            while (way := paths.get(node)) is not None:
                node = way[0]
                steps.append(way[1])
            if paths is self.after:
                node = self.origins.get(node, node)
        return (node[0], node[1], node[2], node[3]), tuple(reversed(steps))


class Searcher(Events):
    """The search of one machine's explanations."""

    def __init__(
        self,
        promised: Promised,
        journal: Journal,
        ages: Ages | None = None,
        *,
        moves_by_itself: bool = False,
        strict: bool = False,
        unseen_faults: bool = False,
    ) -> None:
        super().__init__(promised, journal, ages, moves_by_itself=moves_by_itself, strict=strict)
        self.unseen_faults = unseen_faults
        self._steps = self._with_the_world if unseen_faults else promised.steps
        self.candidates: Sequence[Candidate] = ((promised.initial, journal.root, None, Aside()),)
        self._searched = Searched()

    def _with_the_world(self, state: State) -> list[tuple[int, int, State]]:
        """The internal steps, and what may happen unseen, numbered after them."""
        found, past = list(self.promised.steps(state)), len(self.promised.internal_names)
        for number, name in enumerate(WORLD):
            after = self.promised.environment[name].step(state)
            if after is not None and after != state:
                found.append((past + number, PLAIN, after))
        return found

    def search(self, event: Event | None, sight: Sight, *, free: bool = False, unpruned: bool = False) -> Paths:
        """Every node that the event and internal steps lead to, and from where. Branches that cannot end in `sight` are cut off,
        unless `unpruned`; `free`: any cut is taken for explained as well (both serve to find out what is wrong)."""
        nodes: Iterable[Node] = [(*candidate, 0, False) for candidate in self.candidates]
        new = sight.new if sight.follows_on and not free else None
        newest = self._newest(new)
        searched = self._searched = Searched()
        if self.moves_by_itself:
            nodes = searched.before = self._close(nodes, new, newest, None)
        if event is not None:
            origins = searched.origins
            for node in nodes:
                for after in event.apply((node[0], node[1], node[2], node[3])):
                    origins.setdefault((*after, node[4], node[5]), node)
            nodes = origins
        dead = None if free or unpruned else pruner(self.promised, sight.seen)
        searched.after = self._close(nodes, new, newest, dead)
        return searched.after

    def _newest(self, new: Sequence[New] | None) -> str:
        """The name of the newest point before the event, which a failover that names none may use."""
        return self.points[-1].id if self.points and new is not None else UNSEEN

    def _close(
        self, nodes: Iterable[Node], new: Sequence[New] | None, newest: str, dead: Callable[[State], bool] | None
    ) -> Paths:
        """Breadth first, so that the way back from any node is a shortest explanation."""
        at, steps, promised = self._at, self._steps, self.promised
        i_job, i_active, i_head, i_cached, i_latest = at.job, at.active, at.head, at.cached, at.latest
        changing, copying, cutting_app = (promised.making_copy, promised.setting_to_point), promised.copying, promised.cutting_app
        known: Paths = {n: None for n in nodes if dead is None or not dead(n[0])}
        todo = list(known)
        for here in todo:
            state, log, old, aside, k, renewed = here
            for number, kind, after in steps(state):
                if dead is not None and dead(after):
                    continue
                past, left, beside = log, old, aside
                if number in changing or (state[i_job] and not after[i_job]):
                    past, beside = self._changed(number, here, after, new, newest)
                if kind == PLAIN:
                    if after[i_active] != state[i_active]:
                        left = log
                    elif left is not None:
                        left = None if number == copying else self._former(after, left)
                    length = after[i_head] + after[i_cached]
                    if length != past.length:
                        past = past.prefix(int(length))
                    node: Node = (after, past, left, beside, k, renewed)
                elif kind == REMOVED:
                    node = (after, past, left, beside, k, True)
                else:
                    explained = k
                    if new is not None:
                        if k < len(new):
                            suits = (new[k].kind == KINDS[1]) == (number == cutting_app)
                            if suits and new[k].where(log) == after[i_latest]:
                                explained = k + 1
                        if kind == CUT and explained == k:
                            continue
                    if kind == CUT:
                        node = (after, past, left, beside, explained, renewed)
                    else:
                        node = (after, past, None, beside, explained, True)
                        if explained != k and (other := (after, past, None, beside, k, True)) not in known:
                            known[other] = (here, number)
                            todo.append(other)
                if node not in known:
                    known[node] = (here, number)
                    todo.append(node)
            if len(known) > LIMIT:
                raise Overflow
        return known

    def _changed(self, number: int, here: Node, after: State, new: Sequence[New] | None, newest: str) -> tuple[Log, Aside]:
        """The active side's history, and what stands beside, after a step that ends a job or puts a point to use."""
        at, (state, log, _, aside, k, renewed) = self._at, here
        used = aside.asked
        if not used:
            used = new[k - 1].id if new and k else UNSEEN if renewed else newest
        if number == self.promised.making_copy:
            return log, Aside(self.branch(here).prefix(int(after[at.test_at])), used, aside.asked)
        if number == self.promised.setting_to_point:
            return self.branch(here).prefix(int(after[at.head])), Aside(None, CHANGED if used == UNSEEN else used)
        if after[at.test]:
            return log, Aside(aside.copy, aside.used)
        if after[at.active] != state[at.active]:
            return log, Aside(None, used if after[at.failover] == UNPLANNED else "")
        return log, Aside()
