"""Running cases and campaigns.

Rules
1. `run_case` is all that a case needs: the same case on the same driver gives the same run. `campaign` lets an engine make cases
   until the budget is spent, the engine has nothing left to run, or something diverges; then the case is shrunk, and told.
2. Unless told otherwise a campaign mixes scenarios: mostly one machine with one disk; some with two disks, or two machines. In
   flows that have replication groups most of those with two machines have them in a group.
3. A campaign always says how often each action of the model was taken, how much content was checked, what was skipped, and warns
   of what a practitioner would miss in such a run (`verdict`). What is counted is counted by the sessions (`tally`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import attrs

from siteproof.conformance.case import Case, Scenario
from siteproof.conformance.closure import Promised, promised_of
from siteproof.conformance.content import Base
from siteproof.conformance.corpus import Corpus
from siteproof.conformance.coverage import Ledger
from siteproof.conformance.engines.engine import Engine
from siteproof.conformance.engines.registry import ENGINES, engine_kind
from siteproof.conformance.report.values import count
from siteproof.conformance.results import CampaignResult, Counterexample, Divergence, StepRecord
from siteproof.conformance.session import GROUPS, DriverFactory, Recorder, Session, base_for
from siteproof.conformance.tally import Tally, Watched
from siteproof.conformance.verdict import verdict, warnings
from siteproof.model.topology import Topology, builtin_topologies, load_topology

__all__ = ["ENGINES", "CampaignEvent", "CaseRun", "Played", "campaign", "concluded", "promised_for", "run_case"]

EVENT_EVERY = 0.25
POLISH_TRIES, POLISH_FOUND, POLISH_SECONDS = 24, 3, 10.0
"""How long other counterexamples are looked for: so many cases, of which so many are shrunk. Both are counts, so that a seed
finds the same on a slow machine; the seconds are for systems under test that are slow themselves."""
Shape = tuple[int, int, int]
"""Machines, disks and replication groups of a case."""
SHAPES: tuple[tuple[Shape, int], ...] = (((1, 1, 0), 70), ((1, 2, 0), 15), ((2, 1, 0), 15))
"""Shapes of cases, with weights."""
GROUPED: tuple[tuple[Shape, int], ...] = (((1, 1, 0), 62), ((1, 2, 0), 13), ((2, 1, 0), 5), ((2, 1, 1), 20))
"""The same in flows that have replication groups."""


@attrs.frozen
class CaseRun:
    """One case, run: what happened step by step (when recorded), and where it left the model."""

    records: tuple[StepRecord, ...]
    divergence: Divergence | None
    overflow: bool = False
    model_before: Mapping[str, Any] = attrs.Factory(dict)
    model_after: Mapping[str, Any] = attrs.Factory(dict)
    lacks: tuple[str, ...] = ()
    """What the case has and the driver has not, so that it was played without."""


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


@attrs.frozen
class Played:
    """What a campaign has done and counted, before it is judged: the seed it had, the seconds it took, an image that it was on,
    cases of the sweep, and what its engine says."""

    tally: Tally
    counterexample: Counterexample | None
    seed: int
    seconds: float
    image: str = ""
    swept: int = 0
    notes: tuple[str, ...] = ()


def promised_for(topology: Topology) -> Promised:
    """The promise level of a topology, ready for the oracle."""
    return promised_of(topology.id, tuple(sorted(topology.facts.items())))


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
    lacks = (GROUPS,) if case.scenario.groups and not session.groups else ()
    return CaseRun(session.records, session.divergence, session.overflow, session.model_before, session.model_after, lacks)


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
    corpus: Corpus | None = None,
    on_played: Callable[[Played], None] | None = None,
) -> CampaignResult:
    """Run cases until the budget is spent, the engine has run all that it has, or something diverges. A fresh seed is drawn when
    none is given; it is in the result, and in every event. `recorder` writes down every case, but not those of the shrinker.
    With `machines` or `disks` every case has so many, and one of the other; else scenarios are mixed. `corpus` is what earlier
    campaigns have kept, and is added to. `on_played` gets what was counted, before it is judged. Raises `DriverError` when
    the driver fails, `UsageError` for an unknown engine."""
    kind = engine_kind(engine)
    known = topology if isinstance(topology, Topology) else load_topology(topology)
    source = topology if isinstance(topology, str) else _source(known)
    level = promised if promised is not None else promised_for(known)
    start = random.SystemRandom().getrandbits(31) if seed is None else seed
    chance = random.Random(start)
    player = kind.make(chance)
    kept = Corpus() if corpus is None else corpus
    tally = Tally(Ledger(level, met=kept.met))
    began = time.monotonic()
    mixed = machines is None and disks is None and not image
    grouped = bool(level.model.facts.values.get("group.supported"))
    shapes = (GROUPED if grouped else SHAPES) if mixed else _shapes(machines or 1, disks or 1, grouped)
    scenario = _scenario(source, shapes[0][0], blocks, image)
    base = base_for(scenario)
    told = began
    counterexample: Counterexample | None = None
    swept, notes = 0, tuple[str, ...]()

    def made() -> tuple[int, tuple[str, ...]]:
        """What the engine says of the cases that count."""
        return int(getattr(player, "swept", 0)), player.notes()

    def tell(kind: str, text: str = "", found: Divergence | None = None, result: CampaignResult | None = None) -> None:
        if on_event is not None:
            passed = time.monotonic() - began
            on_event(
                CampaignEvent(
                    kind, tally.cases, tally.steps, passed, text, known.id, driver_name, engine, start, found, result
                )
            )

    def make(scenario: Scenario, seed: int) -> Watched:
        return Watched(scenario, seed, driver, level, name=driver_name, base=base, recorder=recorder)

    tell("begun")
    opened = _Open(scenario, make, tally, kept)
    while time.monotonic() - began < max_seconds and (max_cases is None or tally.cases < max_cases):
        if tally.cases and len(shapes) > 1:
            shape = chance.choices([s for s, _ in shapes], [w for _, w in shapes])[0]
            opened.scenario = _scenario(source, shape, blocks, image)
        try:
            session = player.case(opened)
        except BaseException:
            opened.abandon()
            raise
        if session is None:
            break
        shapes = tuple(s for s in shapes if s[0][0] <= session.can.machines and s[0][1] <= session.can.disks) or shapes[:1]
        if session.divergence is not None:
            tell("divergence", session.divergence.sentence, session.divergence)
            recorder = None
            counterexample = _told(session, driver, level, start, base, driver_name, shrink, tell)
            swept, notes = made()
            opened.tally = beside = Tally(Ledger(level))
            if shrink and not counterexample.repeats:
                counterexample = _shortest(counterexample, player, opened, driver, level, start, base, driver_name, tell)
                if beside.cases:
                    more = f"{count(beside.cases, 'more case')} with {count(beside.steps, 'step')}"
                    notes += (f"then {more} in search of a shorter counterexample; they are not counted above",)
            break
        if time.monotonic() - told > EVENT_EVERY:
            told = time.monotonic()
            tell("progress")
    seconds = time.monotonic() - began
    if counterexample is None:
        swept, notes = made()
    played = Played(tally, counterexample, start, seconds, image, swept, notes)
    if on_played is not None:
        on_played(played)
    result = concluded(played, level, known.id, driver_name, engine)
    tell("done", result.reason, result=result)
    return result


def concluded(played: Played, level: Promised, topology: str, driver: str, engine: str) -> CampaignResult:
    """The verdict on what was played, and everything that is told beside it."""
    tally = played.tally
    ledger = attrs.evolve(tally.ledger, promised=level)
    coverage = ledger.coverage(tally.can.operations, tally.can.faults) if tally.can is not None else ledger.coverage()
    tally = attrs.evolve(tally, ledger=ledger)
    outcome, reason = verdict(tally, played.counterexample, coverage)
    return CampaignResult(
        topology,
        driver,
        engine,
        outcome,
        reason,
        tally.cases,
        tally.steps,
        played.seconds,
        played.seed,
        coverage,
        dict(sorted((n, ledger.taken[n]) for n in {a.name for a in level.model.actions})),
        dict(tally.skipped),
        played.counterexample,
        warnings(tally, level),
        tally.checks,
        played.image,
        {told_shape(shape): count for shape, count in sorted(tally.scenarios.items())},
        float(median(tally.failovers)) if tally.failovers else 0.0,
        max(tally.failovers, default=0),
        played.swept,
        tally.common_judged,
        played.notes,
    )


def _shapes(machines: int, disks: int, grouped: bool) -> tuple[tuple[Shape, int], ...]:
    """Of this size only; every other case with a group, where there can be one."""
    plain = ((machines, disks, 0), 1)
    return (plain, ((machines, disks, 1), 1)) if grouped and machines > 1 else (plain,)


def _scenario(source: str, shape: Shape, blocks: int, image: str) -> Scenario:
    machines = tuple(f"m{i}" for i in range(shape[0]))
    return Scenario(source, machines, shape[1], blocks, image, groups={"g": machines} if shape[2] else {})


def told_shape(shape: Shape) -> str:
    """A scenario's size in words."""
    machines, disks, groups = shape
    return f"{machines} machine{'s' * (machines > 1)} with {disks} disk{'s' * (disks > 1)}{', in a group' * (groups > 0)}"


class _Open:
    """Opens the sessions of a campaign. `scenario` is that of the next case."""

    def __init__(self, scenario: Scenario, make: Callable[[Scenario, int], Watched], tally: Tally, corpus: Corpus) -> None:
        self.scenario, self.make, self.tally, self.corpus = scenario, make, tally, corpus
        self.last: Watched | None = None

    def __call__(self, seed: int) -> Session:
        session = self.last = self.make(self.scenario, seed)
        session.tally, session.met = self.tally, self.tally.ledger.met
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
        if session is None:
            break
        if session.divergence is not None and session.divergence.promise == first.divergence.promise:
            found += 1
            other = _told(session, driver, level, seed, base, name, True, tell)
            if len(other.steps) < len(best.steps) and not other.repeats:
                best = other
    return best
