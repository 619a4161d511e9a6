"""Proving the promises of a flow: which engine is asked what, in which order, and how the answers become verdicts.

Rules
1. *True claims first.* Lemmas and invariant claims are tried together by plain induction; step claims on top. It takes a second,
   and what is false in it falls without harm to the rest, since the largest inductive subset holds nothing false. This is the
   only thing that makes a claim *proved*. A claim that follows from what the actions say without any invariant is *by
   construction* instead.
2. *Then false ones.* A breadth-first search looks, in one pass, for a step or state that breaks a claim which is still open. It
   gives the shortest trace. That a claim's premise can be satisfied is shown by a walk, which goes deep at once. Where it has not
   met one, the invariant is asked whether none can, and then searches look for it.
3. *Then the rest*, while time lasts, cheap before dear: deeper searches, induction over what is left of lemmas that fell
   (`weakening`), Spacer (whose finding has to pass plain induction), bounded model checking. One claim that fails refutes a
   promise: from then on, dear engines are not asked about its other claims. What nobody settles is *undetermined*, with the
   reason.
4. A claim that does not apply is *not applicable*, with the facts that make it so; a promise none of whose claims apply
   is so, too, and so are all claims of a level that says nothing about the flow.
5. A claim that follows from the invariant is proved only if its premise was reached. Where the invariant shows that none
   can reach it, the claim is not applicable; where nobody knows, undetermined, for it may say nothing. A part of a conclusion
   that presupposes what never holds, or was not reached, is told beside the verdict (`siteproof.model.premises`).
6. A promise that is kept is written as a certificate, all its claims, and that is checked by two solvers, if a folder is
   given. What one of them does not confirm is *undetermined*, whatever was found before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import attrs
import z3

from siteproof.model.engines.bounded import unroll
from siteproof.model.engines.certificate import CertificateReport, certify, write_certificate
from siteproof.model.engines.horn import infer
from siteproof.model.engines.induction import Relation, impossible_actions, induct, proves, relations_of
from siteproof.model.engines.obligations import Goal, goals_of, invariant_candidates
from siteproof.model.engines.scope import Scope
from siteproof.model.engines.search import SearchResult, Target, search
from siteproof.model.engines.solvers import z3_version
from siteproof.model.engines.traces import claim_text, counterexample, run_told, trace_of
from siteproof.model.engines.weakening import absences, plausible, sharpened, weakened
from siteproof.model.errors import UsageError, near
from siteproof.model.level import Level
from siteproof.model.levels import level, levels, numbered, promise_ids
from siteproof.model.premises import Premises
from siteproof.model.readings.python import CompiledModel, compile_model
from siteproof.model.readings.smt import Named, typing
from siteproof.model.results import ClaimResult, PromiseResult, ProofReport, Trace, Verdict, is_kept, worst
from siteproof.model.system import Model
from siteproof.model.topology import Topology

__all__ = ["ActionWitness", "Outcome", "WhatIf", "compared", "prove", "prove_model", "what_if", "witnesses"]

Progress = Callable[[str], None]

ANY = 10**9
FIRST_STATES, DEEP_STATES = 60_000, 1_000_000
ANYWHERE = Scope(ANY, ANY, ANY, words="the nearest states")
SPACER_FIRST, SPACER_LAST = 10.0, 10.0
"""Seconds that Spacer gets before the widest search, and for what is left of promises that are refuted; what it can prove at all,
it mostly proves in a few."""


@attrs.frozen(eq=False)
class Outcome:
    """Verdicts on the promises of one model, the invariant that carries the proofs, and the claims of the promises that it
    shows to be kept."""

    promises: tuple[PromiseResult, ...]
    invariant: tuple[Named, ...]
    proved: tuple[Goal, ...]


@attrs.frozen
class WhatIf:
    """A flow as it is and as it might be, or two flows, and the ids of the promises that are kept in only one of the two."""

    before: ProofReport
    after: ProofReport
    lost: tuple[str, ...]
    gained: tuple[str, ...]


@attrs.frozen
class ActionWitness:
    """The shortest trace that takes an action; or, without one, whether the action is proved impossible, and the
    reason."""

    action: str
    trace: Trace | None
    impossible: bool
    reason: str


@attrs.define(eq=False)
class _Race:
    """One model's claims on their way to a verdict."""

    level: Level
    model: Model
    goals: list[Goal]
    tell: Progress
    deadline: float
    results: dict[str, ClaimResult] = attrs.field(factory=dict)
    invariant: tuple[Named, ...] = ()
    reasons: dict[str, list[str]] = attrs.field(factory=dict)
    finished: list[Scope] = attrs.field(factory=list)

    @cached_property
    def compiled(self) -> CompiledModel:
        """The model as counterexamples replay it."""
        return compile_model(self.model)

    @cached_property
    def relations(self) -> dict[str, Relation]:
        """The steps of the model, as induction asks about them."""
        return relations_of(self.model)

    @cached_property
    def premises(self) -> Premises:
        """What the claims presuppose."""
        return Premises(self.level, self.model, self.goals, self.tell, self.deadline)

    @property
    def left(self) -> float:
        return self.deadline - time.perf_counter()

    @property
    def open(self) -> list[Goal]:
        return [goal for goal in self.goals if goal.key not in self.results]

    @property
    def pursued(self) -> list[Goal]:
        """Open claims on which a promise's verdict hangs: none of its claims is refuted yet."""
        broken = {goal.promise.id for goal in self.goals
                  if goal.key in self.results and self.results[goal.key].verdict is Verdict.REFUTED}
        return [goal for goal in self.open if goal.promise.id not in broken]

    def note(self, key: str, text: str) -> None:
        """Remember why a claim is not settled yet; each engine says so in turn."""
        self.reasons.setdefault(key, []).append(text)

    def look(self, scope: Scope, max_states: int | None, wanted: Sequence[Goal]) -> SearchResult:
        """Search `scope` for what breaks one of `wanted`; refute what is broken.

        A small scope may have missed a shorter counterexample, so the wide one is searched below its length.
        """
        found = self.search([_violation(goal) for goal in wanted], scope, max_states=max_states)
        if found.exhausted and wanted:
            self.finished.append(scope)  # what is wanted later was wanted now
        broken = {goal: path for goal in wanted if (path := found.found.get("!" + goal.key)) is not None}
        wider = found if scope == self.level.wide or not broken else self.search(
            [_violation(goal) for goal in broken], self.level.wide, max_states=DEEP_STATES,
            max_depth=max(len(path) for path in broken.values()) - 1)
        for goal, path in broken.items():
            least = wider.found.get("!" + goal.key, path)
            best, where = (least, self.level.wide) if len(least) < len(path) else (path, scope)
            self.refute(goal, best, f"breadth-first search ({where})", found.seconds, len(best) <= wider.complete_depth + 1)
        return found

    def search(self, targets: Sequence[Target], scope: Scope, *, max_states: int | None,
               max_depth: int | None = None) -> SearchResult:
        """Search within what is left of the time."""
        return search(self.model, targets, scope, max_states=max_states, max_depth=max_depth,
                      max_seconds=max(0.1, self.left),
                      tick=lambda states, depth: self.tell(f"search: {states:,} states, depth {depth}"))

    def refute(self, goal: Goal, path: tuple[tuple[str, tuple[int | bool, ...]], ...], method: str, seconds: float,
               shortest: bool) -> None:
        trace = counterexample(self.compiled, goal, path, shortest=shortest, method=method)
        self.results[goal.key] = ClaimResult(goal.built.name, Verdict.REFUTED, method, seconds, "",
                                             claim_text(self.model, goal), trace, True)

    def induct(self, candidates: Sequence[Named]) -> None:
        """Plain induction over `candidates`, step claims on top: the only way to *proved*."""
        began = time.perf_counter()
        refuted = {key for key, result in self.results.items() if result.verdict is Verdict.REFUTED}
        outcome = induct(self.model, [row for row in candidates if row.name not in refuted], tick=self.tell,
                         relations=self.relations)
        self.invariant = outcome.invariant
        for key, action in outcome.dropped.items():
            self.note(key, f"plain induction: not preserved by {action.replace('_', ' ')}")
        self.settle("plain induction" if outcome.complete else "plain induction (Houdini)", began)

    def relax(self, more: Sequence[Named], method: str) -> None:
        """Induction over the invariant and candidates that nobody wrote. They stay only if they settle something."""
        began, known, before = time.perf_counter(), self.invariant, len(self.open)
        self.tell(method)
        self.invariant = self.largest(more)
        self.settle(method, began)
        if len(self.open) == before:
            self.invariant = known

    def largest(self, more: Sequence[Named]) -> tuple[Named, ...]:
        """The invariant with as much of `more` as is inductive with it."""
        names = {row.name for row in self.invariant}
        rows = plausible(self.model, (row for row in more if row.name not in names), self.level.scopes[-1])
        return induct(self.model, [*self.invariant, *rows], tick=self.tell, relations=self.relations).invariant

    def settle(self, method: str, began: float) -> None:
        """Mark as proved every open claim that the invariant implies."""
        wanted = self.open
        answers = proves(self.model, self.invariant, wanted, tick=self.tell, relations=self.relations)
        took = time.perf_counter() - began
        for goal in wanted:
            answer = answers[goal.key]
            if answer.answer == "unsat":
                self.results[goal.key] = ClaimResult(goal.built.name, Verdict.PROVED, method, took, "",
                                                     claim_text(self.model, goal))
            else:
                where = f"in {answer.action.replace('_', ' ')}" if answer.action else "in a state"
                gave_up = f"; the solver gave up ({answer.reason})" if answer.answer == "unknown" else ""
                said = f"the invariant does not imply it {where}{gave_up}"
                self.note(goal.key, f"plain induction: {said}")

    def weigh(self) -> None:
        """Tell apart what induction has shown: claims that say something from those that may say nothing, and proofs from
        what is written in the actions."""
        shown = [goal for goal in self.goals if self.results[goal.key].verdict is Verdict.PROVED]
        self.premises.settle(shown, self.invariant, self.largest, first=FIRST_STATES, deep=DEEP_STATES)
        scope = self.level.scopes[-1]
        written = proves(self.model, typing(self.model), shown, relations=self.relations)
        for goal in shown:
            path = self.premises.runs.get(goal.key)
            result = attrs.evolve(self.results[goal.key], witnessed=path is not None, witness=run_told(self.model, path or ()))
            if path is not None:
                result = attrs.evolve(result, idle=self.premises.idle(goal))
            if goal.key in self.premises.never:
                result = attrs.evolve(result, verdict=Verdict.NOT_APPLICABLE, reason="its premise is unreachable (proved)")
            elif not result.witnessed:
                result = attrs.evolve(result, verdict=Verdict.UNDETERMINED,
                                      reason=f"its premise was never reached in {scope}: it may say nothing")
            elif written[goal.key].answer == "unsat":
                result = attrs.evolve(result, verdict=Verdict.BY_CONSTRUCTION, method="preconditions and effects")
            self.results[goal.key] = result

    def fall_back(self, candidates: Sequence[Named]) -> None:
        """What neither the first search nor induction has settled: cheap engines for all claims, then dear ones for those
        on which a verdict hangs."""
        small, *larger = self.level.scopes
        self.deepen(small, self.open)
        if self.open and self.left > 0:
            refuted = {key for key, result in self.results.items() if result.verdict is Verdict.REFUTED}
            self.relax([*(row for row in candidates if row.name not in refuted), *absences(self.model), *sharpened(candidates)],
                       "plain induction (with what never occurs)")
        for scope in larger:
            self.deepen(scope, self.pursued)
        if self.pursued and self.left > 0:
            held = {row.name for row in self.invariant}
            lost = [row for row in candidates if row.name not in held]
            self.relax([*absences(self.model), *sharpened(candidates), *weakened(self.model, lost)],
                       "plain induction (with what is left of lemmas)")
        self.ask_spacer(self.pursued, SPACER_FIRST)
        self.deepen(self.level.wide, self.pursued)
        self.ask_spacer(self.pursued, self.left / 2)
        for goal in self.pursued:
            if self.left <= 1:
                break
            self.tell(f"unrolling: {goal.key}")
            deep = unroll(self.model, goal, max_depth=16, max_seconds=self.left / len(self.pursued))
            if deep.path is not None:
                self.refute(goal, deep.path, "bounded model checking (any number of writes)", deep.seconds, True)
            else:
                self.note(goal.key, f"no counterexample of up to {deep.depth} steps, whatever the scope")
        pursued = {goal.key for goal in self.pursued}
        self.ask_spacer([goal for goal in self.open if goal.key not in pursued], SPACER_LAST)
        for goal in self.open:
            why = dict.fromkeys(self.reasons[goal.key])
            if goal.key not in pursued:
                why = {f"not pursued further, since another claim of {goal.promise.id} is refuted": None, **why}
            if self.left <= 1:
                why["the time limit was reached"] = None
            self.results[goal.key] = ClaimResult(goal.built.name, Verdict.UNDETERMINED, "all engines", 0.0,
                                                 "; ".join(why), claim_text(self.model, goal))

    def deepen(self, scope: Scope, wanted: Sequence[Goal]) -> None:
        """Search a scope for what breaks one of `wanted`, unless it has been searched to its end."""
        if not wanted or self.left <= 0:
            return
        bound = "to its end"
        if scope not in self.finished:
            found = self.look(scope, DEEP_STATES, wanted)
            bound = f"to depth {found.depth} ({found.stopped})" if found.stopped else bound
        for goal in wanted:
            if goal.key not in self.results:
                self.note(goal.key, f"no counterexample with {scope}, searched {bound}")

    def ask_spacer(self, asked: Sequence[Goal], seconds: float) -> None:
        """Let Spacer look for an invariant for each of `asked`; `seconds` for all of them."""
        ends = time.perf_counter() + min(seconds, self.left)
        for number, goal in enumerate(asked):
            left = ends - time.perf_counter()
            if left <= 1 or goal.key in self.results:
                continue
            self.tell(f"Spacer: {goal.key}")
            began = time.perf_counter()
            inferred = infer(self.model, goal, self.invariant, max_seconds=max(1.0, left / (len(asked) - number)))
            if inferred.invariant is not None:
                self.invariant = inferred.invariant
                self.settle("Spacer, then plain induction", began)
            else:
                self.note(goal.key, inferred.reason)


def prove_model(model: Model, promises: Collection[str] | None = None, *, on_progress: Progress | None = None,
                time_limit: float = 120.0) -> Outcome:
    """Verdicts on `promises` (ids; all when None) of `model`, a model of the level that it names. Certificates are the
    caller's."""
    began, of = time.perf_counter(), level(model.level)
    chosen = [p for p in of.promises if promises is None or p.id in promises]
    claimed = goals_of(model, of.promises)
    everything = [goal for goal in claimed if goal.built.applies]
    goals = [goal for goal in everything if any(goal.promise is promise for promise in chosen)]
    race = _Race(of, model, goals, on_progress or (lambda _text: None), began + time_limit)
    candidates = invariant_candidates(model, of.lemmas, everything)
    race.induct(candidates)
    race.premises.walk()
    race.look(of.wide, FIRST_STATES, race.open)
    race.fall_back(candidates)
    race.weigh()
    rows = []
    for promise in chosen:
        claims = []
        for goal in (goal for goal in claimed if goal.promise is promise):
            if not goal.built.applies:
                claims.append(ClaimResult(goal.built.name, Verdict.NOT_APPLICABLE, "", 0.0, goal.built.because,
                                          claim_text(model, goal)))
                continue
            claims.append(race.results[goal.key])
        verdict = worst([claim.verdict for claim in claims])
        rows.append(PromiseResult(
            promise.id, of.id, promise.title, promise.sentence, promise.requirements, verdict, tuple(claims),
            sum(claim.seconds for claim in claims), _reach(of, verdict)))
    kept = {row.id for row in rows if is_kept(row.verdict)}
    return Outcome(tuple(rows), race.invariant, tuple(goal for goal in goals if goal.promise.id in kept))


def _violation(goal: Goal) -> Target:
    """What refutes a claim."""
    return Target("!" + goal.key, z3.Not(goal.built.formula), goal.claim.is_step, goal.claim.on)


def _reach(of: Level, verdict: Verdict) -> str:
    """What a verdict on a promise speaks of."""
    if is_kept(verdict):
        return of.reach
    return f"searched with {of.wide}" if verdict is not Verdict.NOT_APPLICABLE else ""


def prove(topology: Topology, promises: Collection[str] | None = None, overrides: Mapping[str, bool] | None = None,
          certificate_dir: Path | None = None, on_progress: Progress | None = None,
          time_limit: float = 120.0, among: Collection[str] | None = None) -> ProofReport:
    """Prove the promises of a flow, or of the flow with other facts (`overrides`), level by level.

    `promises` are ids and `among` ids of levels; None stands for all. With `certificate_dir`, what is kept is written to
    the folder `certificate_dir/<topology id>/<level>` and checked by both solvers; then each promise names the folder
    relative to the parent of `certificate_dir`, and those that confirmed it. `time_limit` is for each level, in seconds.
    Raises `UsageError` for an unknown promise or fact.
    """
    began, known = time.perf_counter(), promise_ids()
    for name in promises or ():
        if name not in known:
            raise UsageError(f"the promise {name}", "one of " + ", ".join(known), near(name, known))
    changed = topology.with_facts(overrides) if overrides else topology
    rows: list[PromiseResult] = []
    solvers, asked = [z3_version()], []
    for one in levels():
        wanted = [p.id for p in one.promises if promises is None or p.id in promises]
        if (among is not None and one.id not in among) or not wanted:
            continue
        if not one.applies(changed.facts):
            rows += _not_applicable(one, changed, wanted)
            continue
        asked.append(one.id)
        found, confirmed_by = _prove_level(one, changed, promises, certificate_dir, on_progress, time_limit)
        rows += found
        solvers += [name for name in confirmed_by if name not in solvers]
    rows.sort(key=lambda row: numbered(row.id))
    return ProofReport(changed.id, changed.title, tuple(asked), dict(changed.facts), dict(changed.overrides), tuple(rows),
                       tuple(solvers), time.perf_counter() - began)


def _not_applicable(of: Level, topology: Topology, wanted: Collection[str]) -> list[PromiseResult]:
    """The rows of a level that says nothing about the flow, with the facts that make it so."""
    why = of.because(topology.facts)
    return [PromiseResult(
        promise.id, of.id, promise.title, promise.sentence, promise.requirements, Verdict.NOT_APPLICABLE,
        tuple(ClaimResult(claim.name, Verdict.NOT_APPLICABLE, "", 0.0, why) for claim in promise.claims), 0.0, "")
        for promise in of.promises if promise.id in wanted]


def _prove_level(of: Level, topology: Topology, promises: Collection[str] | None, certificate_dir: Path | None,
                 on_progress: Progress | None, time_limit: float) -> tuple[tuple[PromiseResult, ...], tuple[str, ...]]:
    """The rows of one level, and the solvers that confirmed its certificate, if one was written."""
    model = of.build(topology.id, topology.facts)
    outcome = prove_model(model, promises, on_progress=on_progress, time_limit=time_limit)
    if certificate_dir is None or not outcome.proved:
        return outcome.promises, ()
    folder = certificate_dir / topology.id / of.id
    write_certificate(folder, topology, model, outcome.invariant, outcome.proved)
    checked = certify(folder, on_progress)
    where = f"{certificate_dir.name}/{topology.id}/{of.id}"
    rows = tuple(attrs.evolve(row, certificate=where, confirmed_by=checked.confirmed_by if checked.confirmed else ())
                 if is_kept(row.verdict) else row for row in outcome.promises)
    return (rows if checked.confirmed else tuple(_unconfirmed(row, checked) for row in rows)), checked.confirmed_by


def _unconfirmed(row: PromiseResult, checked: CertificateReport) -> PromiseResult:
    """A row whose certificate a solver has not confirmed: what seemed to be kept is not settled."""
    if not is_kept(row.verdict):
        return row
    told = checked.unconfirmed[0] if checked.unconfirmed else "no solver was asked"
    more = f" (and {len(checked.unconfirmed) - 1} more)" if len(checked.unconfirmed) > 1 else ""
    claims = tuple(attrs.evolve(claim, verdict=Verdict.UNDETERMINED, reason=f"its certificate is not confirmed: {told}{more}")
                   if is_kept(claim.verdict) else claim for claim in row.claims)
    return attrs.evolve(row, verdict=Verdict.UNDETERMINED, claims=claims)


def what_if(topology: Topology, changed: Topology | Mapping[str, bool], promises: Collection[str] | None = None,
            on_progress: Progress | None = None, time_limit: float = 120.0) -> WhatIf:
    """The flow before and after a change, of facts or into another topology, and the promises that are lost and gained."""
    after = changed if isinstance(changed, Topology) else topology.with_facts(changed)
    return compared(prove(topology, promises, None, None, on_progress, time_limit),
                    prove(after, promises, None, None, on_progress, time_limit))


def compared(before: ProofReport, after: ProofReport) -> WhatIf:
    """Two reports side by side, with the promises that are kept in only one of them."""
    return WhatIf(before, after, tuple(id for id in promise_ids() if id in before.kept and id not in after.kept),
                  tuple(id for id in promise_ids() if id in after.kept and id not in before.kept))


def witnesses(model: Model, *, scope: Scope | None = None, on_progress: Progress | None = None) -> tuple[ActionWitness, ...]:
    """For each action a shortest trace that takes it within `scope` (when None: the first of its level's scopes in which it is
    taken, or the nearest states of any), or whether the invariant shows that none can."""
    of = level(model.level)
    compiled = compile_model(model)
    goals: Iterable[Goal] = [goal for goal in goals_of(model, of.promises) if goal.built.applies]
    invariant = induct(model, invariant_candidates(model, of.lemmas, goals), tick=on_progress).invariant
    rows = {name: ActionWitness(name, None, True, "the inductive invariant contradicts its preconditions")
            for name in impossible_actions(model, invariant)}
    for within in (*of.scopes, ANYWHERE) if scope is None else (scope,):
        sought = [action.name for action in model.actions if action.name not in rows or not (
            rows[action.name].impossible or rows[action.name].trace)]
        most = FIRST_STATES if within is ANYWHERE else DEEP_STATES
        found = search(model, [Target(name, z3.BoolVal(True), True, (name,)) for name in sought], within, max_states=most)
        bound = f"with {within}" if found.exhausted else f"with {within} ({found.stopped})"
        for name in sought:
            rows[name] = ActionWitness(name, None, False, f"not taken {bound}; not proved impossible")
            if (path := found.found.get(name)) is not None:
                method = f"breadth-first search ({within})"
                told = f"{name.replace('_', ' ')} is taken."
                rows[name] = ActionWitness(name, trace_of(compiled, path, told, shortest=True, method=method), False, "")
    return tuple(rows[action.name] for action in model.actions)
