"""Necessity: each precondition of each action is dropped in turn, and it is shown what becomes of the promises.

Rules
1. A precondition is *needed* when without it a promise breaks, or a count falls below zero: its row has a trace. Where nothing
   breaks but a claim that only repeats what is written in the action (that the request is refused), the row says so. It is
   *defensive* when an invariant of the model as it is and the other preconditions imply it, so that dropping it changes
   nothing: its row rests on a proof, by the model's own invariant or one with learned lemmas beside. It is *not needed for
   these promises* when all of them are still proved, by plain induction, although something more is possible without it: its
   row says what, by a shortest trace to a state in which only this precondition refuses. A precondition that the facts of the
   flow make true says *nothing in this flow*. All else is *undetermined*, with the reason.
2. What is cheap comes first, for all rows: facts, the invariant as it is, what is left of it when lemmas fall (Houdini), lemmas
   and runs that are kept (`siteproof.model.kept`), and searches from the explored states. What is open then is walked; where no
   state is known in which it refuses alone, that there is none is asked; and an invariant of the mutant is learned (`Effort`;
   one who is patient gets more of them). A search or a walk that found nothing, an attempt that
   came to no end and a time-out are never called a proof.
3. A trace is the shortest in the scope that was explored; it says that it is the shortest of all only when every shorter run of
   the wide scope was explored as well.
4. In a crowd an action is every machine's, and so is its precondition: it is dropped for all of them at once.
5. A level whose model is the same in several flows is worked out once, and its rows are the rows of them all (`Share`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import attrs
import z3

from siteproof.model.baseline import NATURAL, Baseline
from siteproof.model.dropped import Broken, Dropped
from siteproof.model.engines.obligations import Goal, goals_of, invariant_candidates
from siteproof.model.engines.search import Path
from siteproof.model.engines.solvers import z3_version
from siteproof.model.engines.traces import counterexample
from siteproof.model.kept import Found, Kept, Key, terms_of
from siteproof.model.kept import kept as kept_so_far
from siteproof.model.level import Level
from siteproof.model.levels import level, levels
from siteproof.model.readings.english import english
from siteproof.model.readings.smt import Named
from siteproof.model.results import Trace
from siteproof.model.system import FACT_PREFIX, Action, Model, constants_of
from siteproof.model.topology import Topology

__all__ = ["THOROUGH", "USUAL", "Effort", "Necessity", "NecessityReport", "Need", "Share", "necessity", "necessity_of_model",
           "reported", "shares", "worked_out"]


@attrs.frozen
class Effort:
    """One attempt at what is open: steps of the walk, guesses for a counterexample, counterexamples at most, and seconds for
    Spacer."""

    steps: int
    few: int
    most: int
    seconds: float = 0.0


USUAL = (Effort(60_000, 40, 12),)
THOROUGH = (*USUAL, Effort(120_000, 80, 20, 30), Effort(500_000, 20, 60, 60), Effort(500_000, 80, 120, 240))
"""With patience: minutes for a row that stays open."""

Progress = Callable[[str], None]


class Need(StrEnum):
    """What a precondition is there for (rule 1)."""

    NEEDED = "needed"
    DEFENSIVE = "defensive"
    NOT_NEEDED = "not needed for these promises"
    SILENT = "says nothing in this flow"
    UNDETERMINED = "undetermined"


@attrs.frozen
class Necessity:
    """One precondition of one action. `number` counts from 1; `text` is the precondition in English. `promise` and `claim` are
    what breaks, with `trace`; `accepts` is a shortest trace to a state where only this precondition refuses, ending with what
    would then be done. `lemmas` are terms that were learned, or kept, and that a proof needs beside the model's own invariant,
    as SMT-LIB writes them; `run` is what a walk met, or what was kept, as names of actions with coded arguments. `reason`
    explains silent and undetermined; `repeats`: that the claim only repeats the precondition, and what is known of all others."""

    level: str
    action: str
    kind: str
    operation: str
    number: int
    text: str
    code: str
    precheck: bool
    requirements: tuple[str, ...]
    need: Need
    method: str
    reason: str
    promise: str
    claim: str
    trace: Trace | None
    accepts: Trace | None
    lemmas: tuple[str, ...]
    seconds: float

    run: Path = ()
    repeats: bool = False

    @property
    def key(self) -> Key:
        """Under what its findings are kept."""
        return self.level, self.action, self.text

    @property
    def worth_keeping(self) -> Found:
        """What was not found at once."""
        return Found(self.lemmas, self.run)


@attrs.frozen
class NecessityReport:
    """All preconditions of a flow, level by level. `scopes` are those that were searched; `alike` are by level the
    other flows of the same run whose rows these are as well, and `promises` those that have a claim there. `seconds` is the time
    of all its levels, one after the other."""

    topology: str
    title: str
    facts: dict[str, bool]
    overrides: dict[str, bool]
    rows: tuple[Necessity, ...]
    scopes: tuple[str, ...]
    solvers: tuple[str, ...]
    alike: dict[str, tuple[str, ...]]
    promises: dict[str, tuple[str, ...]]
    seconds: float

    def count(self, need: Need) -> int:
        """How many preconditions have this verdict."""
        return sum(row.need is need for row in self.rows)

    @property
    def only_repeated(self) -> int:
        """Of those that are needed, how many are so only because a promise repeats them."""
        return sum(row.repeats for row in self.rows)

    @property
    def only_counts(self) -> int:
        """Of those that are needed, how many only keep a count from falling below zero."""
        return sum(row.promise == NATURAL for row in self.rows)


@attrs.frozen(eq=False)
class Share:
    """One level's part of the matrix of some flows, in all of which its model is the same but for the name. `id` tells it from
    others; `topology` is the first of them. `promises` are those that have a claim at the level."""

    id: str
    level: str
    topology: Topology
    flows: tuple[str, ...]
    promises: tuple[str, ...]


def shares(topologies: Sequence[Topology]) -> list[Share]:
    """What there is to be worked out for these flows, the largest levels first."""
    alike: dict[tuple[str, str], list[Topology]] = {}
    sizes: dict[tuple[str, str], int] = {}
    promises: dict[tuple[str, str], tuple[str, ...]] = {}
    for one in levels():
        for topology in topologies:
            if one.applies(topology.facts):
                model = one.build(topology.id, topology.facts)
                goals = [goal for goal in goals_of(model, one.promises) if goal.built.applies]
                key = one.id, _digest(model, invariant_candidates(model, one.lemmas, goals), goals)
                alike.setdefault(key, []).append(topology)
                sizes[key] = sum(len(action.guards) for action in model.actions)
                promises[key] = tuple(dict.fromkeys(goal.promise.id for goal in goals))
    return [Share(f"{key[0]} of {alike[key][0].id}", key[0], alike[key][0], tuple(flow.id for flow in alike[key]), promises[key])
            for key in sorted(alike, key=lambda key: -sizes[key])]


def worked_out(share: Share, time_limit: float, tell: Progress, efforts: Sequence[Effort] = USUAL, kept: Kept | None = None,
               ) -> tuple[tuple[Necessity, ...], float]:
    """The rows of a share, and the seconds it took."""
    began, one = time.perf_counter(), level(share.level)
    model = one.build(share.topology.id, share.topology.facts)
    rows = necessity_of_model(one, model, on_progress=tell, time_limit=time_limit, efforts=efforts, kept=kept)
    return tuple(rows), time.perf_counter() - began


def reported(topology: Topology, done: Mapping[str, tuple[Share, tuple[Necessity, ...], float]]) -> NecessityReport:
    """The matrix of a flow, from all shares that are `done`, by their ids."""
    mine = {share.level: (share, rows, seconds) for share, rows, seconds in done.values() if topology.id in share.flows}
    ordered = [(one, *mine[one.id]) for one in levels() if one.id in mine]
    scopes = [f"{one.id}: {scope}" for one, *_ in ordered for scope in (one.wide, one.scopes[0], *one.narrow)]
    alike = {one.id: tuple(flow for flow in share.flows if flow != topology.id) for one, share, *_ in ordered}
    promises = {one.id: share.promises for one, share, *_ in ordered}
    return NecessityReport(topology.id, topology.title, dict(topology.facts), dict(topology.overrides),
                           tuple(row for _, _, rows, _ in ordered for row in rows), tuple(scopes), (z3_version(),), alike,
                           promises, sum(seconds for *_, seconds in ordered))


def necessity(topology: Topology, *, on_progress: Progress | None = None, time_limit: float = 600.0) -> NecessityReport:
    """The matrix of a flow, all levels that apply. `time_limit` is in seconds, for each level; what is open then is
    undetermined."""
    tell = on_progress or (lambda _text: None)
    done = {share.id: (share, *worked_out(share, time_limit, tell)) for share in shares([topology])}
    return reported(topology, done)


def _digest(model: Model, lemmas: Sequence[Named], goals: Sequence[Goal]) -> str:
    """What a model, its lemmas and its claims say, but for its name."""
    said = [repr(model.initial), *(f"{v.name} {v.domain.of} {v.mark}" for v in model.variables)]
    for action in model.actions:
        said += [action.name, action.operation, action.kind.value, *(f"{p.name} {p.domain.of}" for p in action.parameters)]
        said += [f"{g.code} {g.precheck} {g.written.sexpr()} {g.folded.sexpr()}" for g in action.guards]
        said += [f"{name} {node.sexpr()}" for name, node in sorted(action.changes.items())]
        asked = sorted({name for g in action.guards if z3.is_true(g.folded) for name in constants_of(g.written)
                        if name.startswith(FACT_PREFIX)})
        said += [f"{name} {model.facts.values[name.removeprefix(FACT_PREFIX)]}" for name in asked]
    said += [f"{row.name} {row.node.sexpr()}" for row in lemmas]
    said += [f"{goal.key} {goal.built.formula.sexpr()}" for goal in goals]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def necessity_of_model(of: Level, model: Model, *, on_progress: Progress | None = None, time_limit: float = 600.0,
                       actions: Sequence[str] | None = None, efforts: Sequence[Effort] = USUAL, kept: Kept | None = None,
                       ) -> list[Necessity]:
    """One row for each precondition of `actions` (all when None). `kept` is what was found before; that of `specs/kept.toml`
    when None."""
    tell = on_progress or (lambda _text: None)
    base = Baseline.of(of, model, tell, time_limit)
    known = kept_so_far() if kept is None else kept
    by_name: dict[str, list[Action]] = {}
    for action in model.actions:
        by_name.setdefault(_name(action), []).append(action)
    todo = [_Row(base, name, tuple(its), number, known) for name, its in by_name.items() if actions is None or name in actions
            for number in range(len(its[0].guards))]
    for done, row in enumerate(todo, start=1):
        tell(f"necessity: {of.id}, precondition {done} of {len(todo)}, {row.name.replace('_', ' ')}")
        row.settle(row.at_once)
    for effort in efforts:
        left_over = [row for row in todo if row.found is None]
        for at, row in enumerate(left_over):
            tell(f"necessity: {of.id}, {len(left_over) - at} left, walking without a precondition of"
                 f" {row.name.replace('_', ' ')}")
            row.settle(lambda row=row, effort=effort: row.deeper(effort))  # type: ignore[misc]
    return [row.told() for row in todo]


def _name(action: Action) -> str:
    """Its name; in a crowd, without the machine's."""
    return action.name.removeprefix(f"{action.taker}.")


@attrs.define(eq=False)
class _Row:
    """A row of the matrix in the making: what is `found`, or why it is still open."""

    base: Baseline
    name: str
    actions: tuple[Action, ...]
    number: int
    kept: Kept
    found: Necessity | None = None
    why: list[str] = attrs.field(factory=list)
    seconds: float = 0.0

    def settle(self, attempt: Callable[[], Necessity | None]) -> None:
        """Try, and count the time."""
        began = time.perf_counter()
        self.found = attempt()
        self.seconds += time.perf_counter() - began

    def told(self) -> Necessity:
        """The row as it stands."""
        row = self.found or self.verdict(Need.UNDETERMINED, "search", "; ".join(self.why))
        return attrs.evolve(row, seconds=self.seconds)

    def verdict(self, need: Need, method: str, reason: str = "", **found: Any) -> Necessity:
        """A row with this verdict."""
        action = self.actions[0]
        guard = action.guards[self.number]
        return Necessity(
            **{"level": self.base.level.id, "action": self.name, "kind": action.kind.value, "operation": action.operation,
               "number": self.number + 1, "text": self.text, "code": guard.code,
               "precheck": guard.precheck, "requirements": action.requirements, "need": need, "method": method, "reason": reason,
               "promise": "", "claim": "", "trace": None, "accepts": None, "lemmas": (), "seconds": 0.0} | found)

    @property
    def text(self) -> str:
        """The precondition in English."""
        return english(self.base.model, self.actions[0].guards[self.number].written, self.actions[0])

    @property
    def before(self) -> Found:
        """What is kept for it."""
        return self.kept.get((self.base.level.id, self.name, self.text), Found())

    @property
    def lemmas(self) -> list[Named]:
        """The lemmas that are kept for it."""
        return terms_of(self.base.model, self.before.lemmas)

    def not_needed(self, without: Dropped, method: str, invariant: Sequence[Named] = ()) -> Necessity:
        """All promises hold without it, by an `invariant` that is not the model's own."""
        besides = self.base.unproved
        reason = f"nothing is said of what the model itself was not shown to keep: {'; '.join(besides)}" if besides else ""
        return self.verdict(Need.NOT_NEEDED, method, reason, accepts=without.accepts(), lemmas=self.beside(invariant))

    def defensive(self, invariant: Sequence[Named], method: str) -> Necessity:
        """No reachable state is refused by it alone, by an `invariant` of the model as it is."""
        return self.verdict(Need.DEFENSIVE, method, lemmas=self.beside(invariant))

    def beside(self, invariant: Sequence[Named]) -> tuple[str, ...]:
        """What an invariant has beside the model's own, as text."""
        own = {row.name for row in self.base.invariant}
        return tuple(" ".join(row.node.sexpr().split()) for row in invariant if row.name not in own)

    def needed(self, without: Dropped, found: Broken, reason: str = "") -> Necessity:
        """It is needed: this breaks without it."""
        trace = counterexample(without.compiled, found.goal, found.path, shortest=found.shortest, method=found.method)
        run = found.path if found.is_dear else ()
        return self.verdict(Need.NEEDED, found.method, reason, promise=found.goal.promise.id, claim=found.goal.built.name,
                            trace=trace, run=run, repeats=found.goal.claim.repeats)

    def at_once(self) -> Necessity | None:
        """The verdict of facts, invariant, kept lemmas and search."""
        without = Dropped(self.base, self.actions, self.number)
        found = self.telling(without)
        if found is not None and found.need is not Need.NOT_NEEDED:
            return found
        repeated = without.repeated(self.before.run)
        if repeated is None:
            return found
        others = (f"all other claims of this level are still proved: {found.method}" if found is not None
                  else f"no other claim was found to break; {'; '.join(self.why)}")
        row = self.needed(without, repeated, f"it only repeats the precondition; {others}")
        return row if found is None else attrs.evolve(row, lemmas=found.lemmas)

    def telling(self, without: Dropped) -> Necessity | None:
        """The verdict by the claims that say more than the precondition itself."""
        guard = self.actions[0].guards[self.number]
        if z3.is_true(guard.folded):
            asked = sorted(name.removeprefix(FACT_PREFIX) for name in constants_of(guard.written) if name.startswith(FACT_PREFIX))
            because = ", ".join(f"{path} = {str(self.base.model.facts.values[path]).lower()}" for path in asked)
            return self.verdict(Need.SILENT, "facts", f"it always holds here: {because}")
        if without.is_implied():
            return self.verdict(Need.DEFENSIVE, "invariant and the other preconditions imply it")
        if without.keeps_all():
            return self.not_needed(without, "plain induction, invariant unchanged")
        fallen = without.fallen()
        if fallen is None:
            return self.not_needed(without, "plain induction (Houdini)")
        if self.before.lemmas and (invariant := without.never_with(self.lemmas)) is not None:
            return self.defensive(invariant, "kept lemmas imply it")
        if (invariant := without.proved_with(self.lemmas)) is not None:
            return self.not_needed(without, "plain induction with kept lemmas", invariant)
        if (found := without.taken(self.before.run, self.base.goals) or without.searched(self.base.goals)) is not None:
            return self.needed(without, found)
        self.why = [f"plain induction does not prove without it: {fallen.promise.id}, “{fallen.built.name}”",
                    f"no counterexample in {len(self.base.searched)} scopes, as far as they were searched"]
        return None

    def deeper(self, effort: Effort) -> Necessity | None:
        """What search left open: a walk, and an invariant that is learned; not past the time limit."""
        if self.base.left <= 0:
            if "the time limit was reached" not in self.why:
                self.why.append("the time limit was reached")
            return None
        without = Dropped(self.base, self.actions, self.number)
        if (found := without.walked(effort.steps)) is not None:
            return self.needed(without, found)
        if not without.starts:
            invariant = without.never_learned(effort.few, effort.most, effort.seconds, self.lemmas)
            if invariant is not None:
                return self.defensive(invariant, "a learned invariant implies it")
        learned = without.learned(effort.few, effort.most, self.lemmas)
        if learned.invariant is not None:
            invariant = without.pruned(learned.invariant)
            return self.not_needed(without, "plain induction (learned from a sample of states)", invariant)
        del self.why[2:]
        self.why += [f"no walk of {effort.steps:,} steps breaks a claim", f"no invariant was learned: {learned.reason}"]
        return None
