"""Running cases and campaigns.

Rules
1. `run_case` is all that a case needs: the same case on the same driver gives the same run. `campaign` lets an engine make cases
   until the budget is spent or something diverges; then the case is shrunk, and told.
2. A campaign's verdict has three values. *Inconclusive* when nothing diverged but too little was seen: below the floor of
   coverage, or too much skipped, or the oracle had to give up.
3. Unless told otherwise a campaign mixes scenarios: mostly one machine with one disk; some with two disks, or two machines.
4. A campaign always says how often each action of the model was taken, how much content was checked, what was skipped, and warns
   of what a practitioner would miss in such a run.
"""

from __future__ import annotations

import functools
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, Protocol

import attrs

from siteproof.conformance.case import (
    FAULTS,
    POINTED,
    STRUCK_ONCE,
    Case,
    Command,
    Fault,
    Heal,
    Operate,
    Scenario,
    StartMachine,
    Write,
)
from siteproof.conformance.closure import Promised
from siteproof.conformance.content import Base
from siteproof.conformance.coverage import Ledger, refused, sure
from siteproof.conformance.driver import Accepted, Capabilities, Rejected
from siteproof.conformance.engines.random import Opener, RandomEngine
from siteproof.conformance.judgement import STRIKES
from siteproof.conformance.results import CampaignResult, Counterexample, Divergence, Outcome, StepRecord
from siteproof.conformance.session import DriverFactory, Recorder, Session, base_for
from siteproof.model.errors import UsageError
from siteproof.model.topology import Topology, builtin_topologies, load_topology

__all__ = ["ENGINES", "CampaignEvent", "CaseRun", "Engine", "campaign", "promised_for", "run_case"]

FLOOR_TRANSITIONS = 0.5
FLOOR_ACTIONS = 0.8
SKIPPED_TOO_MUCH = 0.25
LACKING_TOO_MUCH = 0.6
EVENT_EVERY = 0.25
POLISH_TRIES, POLISH_FOUND, POLISH_SECONDS = 24, 3, 10.0
"""How long other counterexamples are looked for: so many cases, of which so many are shrunk. Both are counts, so that a seed
finds the same on a slow machine; the seconds are for systems under test that are slow themselves."""
SHAPES: tuple[tuple[tuple[int, int], int], ...] = (((1, 1), 70), ((1, 2), 15), ((2, 1), 15))
"""Machines and disks of a case, with weights."""


@attrs.frozen
class CaseRun:
    """One case, run: what happened step by step (when recorded), and where it left the model."""

    records: tuple[StepRecord, ...]
    divergence: Divergence | None
    overflow: bool = False
    model_before: Mapping[str, Any] = attrs.Factory(dict)
    model_after: Mapping[str, Any] = attrs.Factory(dict)


@attrs.frozen
class CampaignEvent:
    """What happens in a campaign, for whoever shows or keeps it: the one stream that progress on a terminal, the event file and
    the reports are made from. `kind` is `begun`, `progress`, `divergence` (the first, as it was found), `shrinking` or `done`,
    which alone has the `result`."""

    kind: str
    cases: int
    steps: int
    seconds: float
    text: str = ""
    topology: str = ""
    driver: str = ""
    engine: str = ""
    seed: int = 0
    divergence: Divergence | None = None
    result: CampaignResult | None = None


class Engine(Protocol):
    """Who chooses the commands of a case."""

    name: str

    def case(self, opened: Opener) -> Session: ...


def _hypothesis(chance: random.Random) -> Engine:
    from siteproof.conformance.engines.hypothesis_machine import HypothesisEngine

    return HypothesisEngine(chance)


ENGINES: dict[str, Callable[[random.Random], Engine]] = {
    "random": RandomEngine,
    "uniform": lambda chance: RandomEngine(chance, guided=False),
    "hypothesis": _hypothesis,
}


def promised_for(topology: Topology) -> Promised:
    """The promise level of a topology, ready for the oracle. It is the same one for campaigns of the same flow, since it
    remembers states and what can be reached; what it remembers changes no answer."""
    return _promised(topology.id, topology.fact_values)


@functools.lru_cache(maxsize=6)
def _promised(id: str, facts: tuple[tuple[str, bool], ...]) -> Promised:
    return Promised(id, dict(facts))


def run_case(
    case: Case,
    factory: DriverFactory,
    promised: Promised | None = None,
    *,
    record: bool = True,
    base: Base | None = None,
    name: str = "",
    recorder: Recorder | None = None,
) -> CaseRun:
    """Run one case from its beginning to its end or its divergence."""
    known = promised if promised is not None else promised_for(load_topology(case.scenario.topology))
    session = Session(case.scenario, case.seed, factory, known, record=record, base=base, name=name, recorder=recorder)
    try:
        for command in case.commands:
            if not session.step(command):
                break
    except BaseException:
        session.abandon()
        raise
    session.finish()
    return CaseRun(session.records, session.divergence, session.overflow, session.model_before, session.model_after)


@attrs.define
class _Tally:
    """What a campaign counts."""

    ledger: Ledger
    cases: int = 0
    steps: int = 0
    checks: int = 0
    gave_up: int = 0
    skipped: Counter[str] = attrs.Factory(Counter)
    commands: Counter[str] = attrs.Factory(Counter)
    seen: Counter[str] = attrs.Factory(Counter)
    scenarios: Counter[tuple[int, int]] = attrs.Factory(Counter)
    failovers: list[int] = attrs.Factory(list)
    trips: int = 0
    looks: int = 0
    untold: Counter[str] = attrs.Factory(Counter)
    can: Capabilities | None = None

    def add(self, session: _Watched) -> None:
        self.cases += 1
        self.steps += len(session.commands)
        self.checks += session.content_checks
        self.gave_up += session.overflow
        self.skipped.update(session.skipped)
        self.looks += session.looks
        self.untold.update(session.untold)
        self.can = session.can
        self.scenarios[len(session.scenario.machines), session.scenario.disks] += 1
        self.failovers.append(max(session.switches.values(), default=0))
        self.trips = max(self.trips, max(session.switches.values(), default=0) // 2)
        for factor in session.factors.values():
            for steps in factor.explanation():
                self.ledger.taken.update(steps)


class _Watched(Session):
    """A session that tells the campaign's tally what each command met."""

    tally: _Tally | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.switches: Counter[str] = Counter()
        super().__init__(*arguments, **options)

    def finish(self, *, thorough: bool = True) -> None:
        super().finish(thorough=thorough)
        if self.tally is not None and self.commands:
            self.tally.add(self)
            self.tally = None

    def _refusal(self, command: Operate) -> str:
        """The verdict on a request that is refused now: with its code, where the model leaves only one."""
        factor, operation, codes = self.factors[command.machine], command.operation, set[tuple[str, ...]]()
        if operation not in self.promised.commands:
            return "rejected"
        named = self.resolve(command.machine, operation, command.point) if operation in POINTED else None
        for candidate in factor.candidates:
            codes |= {tuple(factor.promised.refusals(s, operation, named)) for s in factor.asked(candidate, operation, named)}
        return refused(codes.pop()) if len(codes) == 1 else "rejected"

    def step(self, command: Command) -> bool:
        tally = self.tally
        if tally is None or self.divergence is not None or self.overflow:
            return super().step(command)
        before = {m: sure(self.promised, (c[0] for c in f.candidates)) for m, f in self.factors.items()}
        lag = any(c[0][f.promised.at.head] > c[0][f.promised.at.passive] for f in self.factors.values() for c in f.candidates)
        faults = bool(self.faults)
        failed = {m: o.failover for m, o in self.last.items()}
        skipped = sum(self.skipped.values())
        verdict = self._refusal(command) if isinstance(command, Operate) else ""
        active = {m: o.active for m, o in self.last.items()}
        strikes = {m: any(self.promised.tracks(c[0]) for c in f.candidates) for m, f in self.factors.items()}
        once = isinstance(command, Fault) and command.fault in STRUCK_ONCE
        was_there = False
        if isinstance(command, Fault | Heal) and not once:
            was_there = (command.fault in self.faults) == isinstance(command, Fault)
        goes = super().step(command)
        if sum(self.skipped.values()) > skipped or was_there:
            return goes
        ledger = tally.ledger
        match command:
            case Operate(machine, operation, _) if isinstance(self.answer, Accepted | Rejected):
                verdict = "accepted" if isinstance(self.answer, Accepted) else verdict
                ledger.meet(before[machine], operation, verdict)
                if verdict == "accepted":
                    ledger.taken[self.promised.commands[operation].name] += 1
            case Fault(fault) if once:
                name = STRIKES[fault]
                for machine, here in before.items():
                    if strikes[machine]:
                        ledger.taken[name] += 1
                        ledger.meet(here, name, "taken")
            case Fault(fault) | Heal(fault):
                name = ("fail_" if isinstance(command, Fault) else "heal_") + fault.replace("-", "_")
                ledger.taken[name] += 1
                for here in before.values():
                    ledger.meet(here, name, "taken")
            case Write(machine, "test") if self.answer is True:
                ledger.taken["write_test_copy"] += 1
                ledger.meet(before[machine], "write_test_copy", "taken")
            case Write(machine, side, _, _, cached) if self.answer is True:
                name = ("write_cached" if cached else "write") + self._former(machine, side)
                ledger.taken[name] += 1
                if not cached:
                    ledger.meet(before[machine], name, "taken")
            case StartMachine(machine, side) if self.answer is True:
                name = "start_former_source" if self._former(machine, side) else "start_machine"
                ledger.taken[name] += 1
                ledger.meet(before[machine], name, "taken")
        tally.commands[command.kind] += 1
        for machine, seen in self.last.items():
            self.switches[machine] += seen.active != active.get(machine)
            if seen.failover != failed.get(machine) and seen.failover in ("planned", "unplanned"):
                tally.seen["failover"] += 1
                tally.seen["failover with lag"] += lag
                tally.seen["failover under a fault"] += faults
                tally.seen[f"{seen.failover} failover to {seen.active}"] += 1
            if seen.running == (True, True):
                tally.seen["both sides running"] += 1
        return goes

    def _former(self, machine: str, side: str) -> str:
        return "" if self.last[machine].active == side else "_former_source"


_BESIDE = (
    ("test_failover", "remove_test_copy", "test failover with its cleanup"),
    ("change_point", "set_to_point", "change of point"),
)
"""Operations beside the main cycle, which a run should not miss: the fact, the model's last step of it, and in words."""


def _warnings(tally: _Tally, promised: Promised) -> tuple[str, ...]:
    """What a practitioner would miss in this run."""
    facts, seen, found = promised.model.facts.values, tally.seen, []
    if not seen["failover"]:
        found.append("no failover ever happened")
    elif not seen["failover with lag"]:
        found.append("no failover ever happened with lag > 0: no data was ever at risk")
    if seen["failover"] and not seen["failover under a fault"]:
        found.append("no failover ever happened while something was broken")
    if not any(k.endswith("to primary") and v for k, v in seen.items()):
        found.append("no failback ever happened")
    if (facts["forward.planned_failover"] or facts["reverse.planned_failover"]) and not any(
        k.startswith("planned") and v for k, v in seen.items()
    ):
        found.append("no planned failover ever completed")
    if seen["failover"] and tally.trips < 2:
        found.append(
            f"no case made two round trips: at most {max(tally.failovers)} failovers of a machine in one case, "
            f"{median(tally.failovers):g} in the median"
        )
    if not tally.ledger.taken["commit"]:
        found.append("no failover was ever committed")
    for fact, action, what in _BESIDE:
        if (facts[f"forward.{fact}"] or facts[f"reverse.{fact}"]) and not tally.ledger.taken[action]:
            found.append(f"no {what} was ever done")
    if not tally.ledger.taken["finish_resync"]:
        found.append("no resynchronisation was ever done")
    if not tally.ledger.taken["contact"]:
        found.append("a former source was never contacted again: loss and fencing were not tested")
    if not tally.commands["fault"]:
        found.append("nothing ever failed")
    if not tally.checks:
        found.append("no content was ever read: only what the system says was judged")
    for field, times in sorted(tally.untold.items()):
        often = "never told" if times == tally.looks else f"not told in {times:,} of {tally.looks:,} looks"
        found.append(f"{field} was {often}: what was not told was not judged")
    if tally.gave_up:
        found.append(f"in {tally.gave_up} cases the explanations grew beyond the bound and the rest was not judged")
    return tuple(found)


def _source(topology: Topology) -> str:
    """By what a case names a topology: a built-in one by its id, a user's own by its file."""
    built_in = topology.id in builtin_topologies() and load_topology(topology.id).text == topology.text
    return topology.id if built_in else topology.file


def campaign(
    topology: Topology | str,
    driver: DriverFactory,
    engine: str = "random",
    seed: int | None = None,
    max_seconds: float = 10.0,
    max_cases: int | None = None,
    on_event: Callable[[CampaignEvent], None] | None = None,
    *,
    driver_name: str = "bundled",
    machines: int | None = None,
    disks: int | None = None,
    blocks: int = 16,
    image: str = "",
    shrink: bool = True,
    promised: Promised | None = None,
    recorder: Recorder | None = None,
) -> CampaignResult:
    """Run cases until the budget is spent or something diverges. A fresh seed is drawn when none is given; it is in the
    result, and in every event. `recorder` writes down every case, but not those of the shrinker. With `machines` or `disks`
    every case has so many, and one of the other; else scenarios are mixed. Raises `DriverError` when the driver fails,
    `UsageError` for an unknown engine."""
    if engine not in ENGINES:
        raise UsageError(f"the engine {engine!r}", "one of " + ", ".join(ENGINES), "choose one of them")
    known = topology if isinstance(topology, Topology) else load_topology(topology)
    source = topology if isinstance(topology, str) else _source(known)
    level = promised if promised is not None else promised_for(known)
    start = random.SystemRandom().getrandbits(31) if seed is None else seed
    chance = random.Random(start)
    player = ENGINES[engine](chance)
    tally = _Tally(Ledger(level))
    began = time.monotonic()
    mixed = machines is None and disks is None and not image
    shapes = SHAPES if mixed else (((machines or 1, disks or 1), 1),)
    scenario = _scenario(source, shapes[0][0], blocks, image)
    base = base_for(scenario)
    told = began
    counterexample: Counterexample | None = None

    def tell(kind: str, text: str = "", found: Divergence | None = None, result: CampaignResult | None = None) -> None:
        if on_event is not None:
            passed = time.monotonic() - began
            on_event(
                CampaignEvent(
                    kind, tally.cases, tally.steps, passed, text, known.id, driver_name, engine, start, found, result
                )
            )

    def make(scenario: Scenario, seed: int) -> _Watched:
        return _Watched(scenario, seed, driver, level, name=driver_name, base=base, recorder=recorder)

    tell("begun")
    opened = _Open(scenario, make, tally)
    while time.monotonic() - began < max_seconds and (max_cases is None or tally.cases < max_cases):
        if tally.cases and len(shapes) > 1:
            shape = chance.choices([s for s, _ in shapes], [w for _, w in shapes])[0]
            opened.scenario = _scenario(source, shape, blocks, image)
        try:
            session = player.case(opened)
        except BaseException:
            opened.abandon()
            raise
        shapes = tuple(s for s in shapes if s[0][0] <= session.can.machines and s[0][1] <= session.can.disks) or shapes[:1]
        if session.divergence is not None:
            tell("divergence", session.divergence.sentence, session.divergence)
            recorder = None
            counterexample = _told(session, driver, level, start, base, driver_name, shrink, tell)
            opened.tally = _Tally(Ledger(level))
            if shrink and not counterexample.repeats:
                counterexample = _shortest(counterexample, player, opened, driver, level, start, base, driver_name, tell)
            break
        if time.monotonic() - told > EVENT_EVERY:
            told = time.monotonic()
            tell("progress")
    coverage = tally.ledger.coverage(tally.can.operations, tally.can.faults) if tally.can is not None else tally.ledger.coverage()
    outcome, reason = _verdict(tally, counterexample, coverage)
    result = CampaignResult(
        known.id,
        driver_name,
        engine,
        outcome,
        reason,
        tally.cases,
        tally.steps,
        time.monotonic() - began,
        start,
        coverage,
        dict(sorted((n, tally.ledger.taken[n]) for n in {a.name for a in level.model.actions})),
        dict(tally.skipped),
        counterexample,
        _warnings(tally, level),
        tally.checks,
        image,
        {told_shape(shape): count for shape, count in sorted(tally.scenarios.items())},
        float(median(tally.failovers)) if tally.failovers else 0.0,
        max(tally.failovers, default=0),
        int(getattr(player, "swept", 0)),
    )
    tell("done", reason, result=result)
    return result


def _scenario(source: str, shape: tuple[int, int], blocks: int, image: str) -> Scenario:
    return Scenario(source, tuple(f"m{i}" for i in range(shape[0])), shape[1], blocks, image)


def told_shape(shape: tuple[int, int]) -> str:
    """A scenario's size in words."""
    machines, disks = shape
    return f"{machines} machine{'s' * (machines > 1)} with {disks} disk{'s' * (disks > 1)}"


class _Open:
    """Opens the sessions of a campaign. `scenario` is that of the next case."""

    def __init__(self, scenario: Scenario, make: Callable[[Scenario, int], _Watched], tally: _Tally) -> None:
        self.scenario, self.make, self.tally = scenario, make, tally
        self.last: _Watched | None = None

    def __call__(self, seed: int) -> Session:
        session = self.last = self.make(self.scenario, seed)
        session.tally, session.met = self.tally, self.tally.ledger.switches
        return session

    def abandon(self) -> None:
        """Stop the last driver after an error."""
        if self.last is not None:
            self.last.abandon()


def _told(
    session: Session,
    driver: DriverFactory,
    level: Promised,
    seed: int,
    base: Base,
    name: str,
    shrink: bool,
    tell: Callable[[str, str], None],
) -> Counterexample:
    """The counterexample of a session that diverged, shrunk."""
    from siteproof.conformance.shrink import counterexample_of

    return counterexample_of(
        session.case,
        driver,
        level,
        seed=seed,
        base=base,
        name=name,
        smaller=shrink,
        on_progress=lambda text: tell("shrinking", text),
        seen=session,
    )


def _shortest(
    first: Counterexample,
    player: Engine,
    opened: _Open,
    driver: DriverFactory,
    level: Promised,
    seed: int,
    base: Base,
    name: str,
    tell: Callable[[str, str], None],
) -> Counterexample:
    """One bug has several 1-minimal counterexamples. Look for others for a moment, and keep the shortest."""
    best, until, found = first, time.monotonic() + POLISH_SECONDS, 0
    for _ in range(POLISH_TRIES):
        if found >= POLISH_FOUND or time.monotonic() > until:
            break
        session = player.case(opened)
        if session.divergence is not None and session.divergence.promise == first.divergence.promise:
            found += 1
            other = _told(session, driver, level, seed, base, name, True, tell)
            if len(other.steps) < len(best.steps) and not other.repeats:
                best = other
    return best


def _verdict(tally: _Tally, counterexample: Counterexample | None, coverage: tuple[Any, ...]) -> tuple[Outcome, str]:
    if counterexample is not None:
        return Outcome.VIOLATION, counterexample.divergence.sentence
    below = [
        f"{c.name} {c.covered}/{c.feasible}, floor {floor:.0%}"
        for c, floor in zip(coverage, (FLOOR_ACTIONS, FLOOR_TRANSITIONS), strict=False)
        if c.covered < floor * c.feasible
    ]
    skipped = sum(tally.skipped.values())
    if tally.gave_up:
        return Outcome.INCONCLUSIVE, f"in {tally.gave_up} of {tally.cases} cases the explanations grew beyond the bound"
    if not tally.checks:
        return Outcome.INCONCLUSIVE, "no content was ever read: the driver can read neither recovery points nor sides"
    offered = tally.ledger.promised.commands
    lacking = [name for name in offered if tally.can is not None and name not in tally.can.operations]
    gateway = tally.ledger.promised.model.facts.values.get("gateway.present")
    faults = [f for f in FAULTS if tally.can is not None and f not in tally.can.faults and (gateway or f != "gateway")]
    if len(lacking) > LACKING_TOO_MUCH * len(offered):
        told = f"{len(lacking)} of {len(offered)} operations were never asked for: the driver cannot do them"
        return Outcome.INCONCLUSIVE, told
    if skipped > SKIPPED_TOO_MUCH * max(1, tally.steps):
        return Outcome.INCONCLUSIVE, f"{skipped} of {tally.steps} steps were skipped: the driver cannot do them"
    if below:
        return Outcome.INCONCLUSIVE, "too little was covered: " + "; ".join(below)
    told = f"{tally.cases} cases, {tally.steps} steps, every one explained by the model"
    untested = [*lacking, *(f"fault {one}" for one in faults)]
    return Outcome.CONFORMS, told + (f"; not tested, since the driver cannot do it: {', '.join(untested)}" if untested else "")
