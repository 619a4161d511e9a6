"""One trial: a campaign against a seeded bug, or against a correct variant, and what came of it.

Rules
1. A trial is a value, and so is its result; the seed of a trial comes from the seed of the self-test and from what the trial
   is, so that one alone gives the same as in company.
2. A bug is *detected* when a campaign ends with a divergence that is blamed on one of the promises that the bug breaks. Another
   promise is no detection: it would send whoever reads it to the wrong place.
3. Time to detection, and the budget of a trial, are seconds of the processor up to the first divergence, without what watching
   took. A campaign on the bundled implementation does nothing but compute, so on an idle machine these are the clock's; on a busy
   one they are still comparable. The clock is kept beside them, and ends a trial that waits (`PATIENCE` times the budget).
4. The counterexample is the one that a user gets, shrunk. It is replayed `REPLAYS` times; it is stable when every replay ends in
   the same divergence. Of *quick* trials one in `SHRUNK` is shrunk, without the search for a shorter one that ends a campaign;
   elsewhere the case is replayed as it was found.
5. A variant is correct: whatever diverges is a false alarm. It is watched as well: one that never does anything else than the
   implementation itself shows nothing.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from siteproof.conformance.case import Case
from siteproof.conformance.drivers.bugs import BUGS, Bug
from siteproof.conformance.drivers.bundled_watched import Watch, watched_factory
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.drivers.variants import VARIANTS, Variant
from siteproof.conformance.errors import DriverError
from siteproof.conformance.results import Counterexample
from siteproof.conformance.runner import CampaignEvent, campaign, promised_for, run_case
from siteproof.conformance.session import DriverFactory
from siteproof.conformance.shrink import counterexample_of
from siteproof.model.topology import load_topology

__all__ = ["REPLAYS", "BugTrial", "Task", "VariantTrial", "plan", "run_task"]

REPLAYS = 10
PATIENCE = 20
LATE = 10
"""How many times as many cases a variant gets that has not done anything else yet."""
SHRUNK = 4


@attrs.frozen
class Task:
    """What to try: the `number`-th trial of a bug or of a variant, in a flow, by an engine."""

    what: str
    subject: str
    flow: str
    engine: str
    number: int
    seed: int
    max_seconds: float
    max_cases: int | None = None
    quick: bool = False
    shrinks: bool = True

    @property
    def id(self) -> str:
        return f"{self.subject} in {self.flow}"


@attrs.frozen
class BugTrial:
    """What came of a trial of a bug. `promise` is the one that was blamed, None when nothing diverged; `seconds` are the
    processor's, `clock_seconds` the clock's with watching, both up to the divergence; `length` and what follows are those of the
    counterexample, None without one."""

    bug: str
    flow: str
    engine: str
    number: int
    seed: int
    reached: bool
    triggered: bool
    detected: bool
    promise: str | None
    seconds: float | None
    clock_seconds: float | None
    cases: int
    steps: int
    length: int | None = None
    minimal: bool | None = None
    stable: bool | None = None
    whole_seconds: float = 0.0
    error: str = ""


@attrs.frozen
class VariantTrial:
    """What came of a trial of a variant: `alarm` is the sentence of a false alarm, or empty. `differs`: whether it was ever in
    another state than the implementation without the variant would have been in."""

    variant: str
    flow: str
    engine: str
    number: int
    seed: int
    cases: int
    steps: int
    differs: bool = False
    alarm: str = ""
    promise: str = ""
    whole_seconds: float = 0.0
    error: str = ""


def plan(
    bugs: Sequence[Bug],
    variants: Sequence[Variant],
    engines: Sequence[str],
    trials: int,
    seed: int,
    max_seconds: float,
    variant_cases: int,
    quick: bool = False,
) -> list[Task]:
    """All trials, the subjects in turn. The flows of a subject take turns from trial to trial, and which comes first is a matter
    of the subject's place among all that there are, so that a single trial of each meets many flows, and a subject that is tried
    alone meets the same."""
    place_of = {bug.id: place for place, bug in enumerate(BUGS)} | {one.id: place for place, one in enumerate(VARIANTS)}
    tasks = []
    for number in range(trials):
        for engine in engines:
            for place, bug in enumerate(bugs):
                flow = bug.flows[(place_of.get(bug.id, 0) + number) % len(bug.flows)]
                own = _seed(seed, "bug", bug.id, flow, engine, number)
                shrinks = not quick or place % SHRUNK == 0
                tasks.append(Task("bug", bug.id, flow, engine, number, own, max_seconds, None, quick, shrinks))
            for variant in variants:
                flow = variant.flows[(place_of.get(variant.id, 0) + number) % len(variant.flows)]
                own = _seed(seed, "variant", variant.id, flow, engine, number)
                tasks.append(Task("variant", variant.id, flow, engine, number, own, math.inf, variant_cases))
    return tasks


def _seed(*parts: object) -> int:
    return zlib.crc32(" ".join(map(str, parts)).encode()) >> 1


def run_task(task: Task, _settings: None, tell: Callable[[str], None]) -> BugTrial | VariantTrial:
    """Run one trial, here and now."""

    def heard(event: CampaignEvent) -> None:
        tell(f"{event.kind}, {event.steps:,} steps")

    if task.what == "bug":
        return _try_bug(task, next(bug for bug in BUGS if bug.id == task.subject), heard)
    return _try_variant(task, next(one for one in VARIANTS if one.id == task.subject), heard)


def _try_bug(task: Task, bug: Bug, heard: Callable[[CampaignEvent], None]) -> BugTrial:
    watch, found, began = Watch(), list[tuple[float, CampaignEvent]](), time.monotonic()
    worked, last = time.process_time(), list[CampaignEvent]()

    def hear(event: CampaignEvent) -> None:
        seconds = time.process_time() - worked - watch.spent
        if event.kind == "divergence":
            watch.open = False
            found.append((max(0.0, seconds), event))
        last[:] = [event]
        heard(event)
        if event.kind == "progress" and seconds > task.max_seconds:
            raise _OutOfTime

    def trial(**more: Any) -> BugTrial:
        took = time.monotonic() - began
        known = BugTrial(
            bug.id, task.flow, task.engine, task.number, task.seed, watch.reached, watch.triggered, False, None, None,
            None, last[-1].cases if last else 0, last[-1].steps if last else 0, whole_seconds=took,
        )  # fmt: skip
        return attrs.evolve(known, **more)

    name = f"bundled+{bug.id}"
    watched = watched_factory(bug.components, name, watch)
    try:
        result = campaign(
            task.flow, watched, task.engine, task.seed, task.max_seconds * PATIENCE, task.max_cases, hear, driver_name=name,
            shrink=not task.quick,
        )  # fmt: skip
        counterexample = result.counterexample
        if counterexample is not None and not watch.triggered:
            watch.triggered = _triggers(counterexample, bug, task.flow)
        if counterexample is not None and task.quick and task.shrinks:
            known = promised_for(load_topology(task.flow))
            counterexample = counterexample_of(Case.from_json(counterexample.case), driver_factory(name), known, seed=task.seed)
    except _OutOfTime:
        return trial()
    except DriverError as error:
        return trial(error=str(error))
    if counterexample is None or not found:
        return trial(cases=result.cases, steps=result.steps)
    seconds, first = found[0]
    promise = counterexample.divergence.promise
    return trial(
        detected=promise in bug.promises, promise=promise, seconds=seconds, clock_seconds=first.seconds,
        cases=first.cases, steps=first.steps,
        length=len(counterexample.steps) if task.shrinks else None,
        minimal=counterexample.minimal and not counterexample.repeats if task.shrinks else None,
        stable=_is_stable(counterexample, driver_factory(name), task.flow),
    )  # fmt: skip


class _OutOfTime(Exception):
    """A trial has had its time."""


def _triggers(found: Counterexample, bug: Bug, flow: str) -> bool:
    """Whether the counterexample makes a difference: watching may have passed over the case that it was found in."""
    watch = Watch()
    watched = watched_factory(bug.components, bug.id, watch)
    run_case(Case.from_json(found.case), watched, promised_for(load_topology(flow)), record=False)
    return watch.triggered


def _is_stable(found: Counterexample, factory: DriverFactory, flow: str) -> bool:
    """Whether each replay ends as the counterexample does."""
    case, promised = Case.from_json(found.case), promised_for(load_topology(flow))
    return all(run_case(case, factory, promised, record=False).divergence == found.divergence for _ in range(REPLAYS))


def _try_variant(task: Task, variant: Variant, heard: Callable[[CampaignEvent], None]) -> VariantTrial:
    """As many cases as were asked for; more, up to `LATE` times as many, while it has not done anything else."""
    began, name, watch = time.monotonic(), f"bundled~{variant.id}", Watch(reached=True)
    about = (variant.id, task.flow, task.engine, task.number, task.seed)
    try:
        for cases in (task.max_cases, LATE * (task.max_cases or 1)):
            result = campaign(
                task.flow, watched_factory(variant.components, name, watch), task.engine, task.seed, task.max_seconds, cases,
                heard, driver_name=name,
            )  # fmt: skip
            if watch.triggered or result.counterexample is not None:
                break
    except DriverError as error:
        return VariantTrial(*about, 0, 0, whole_seconds=time.monotonic() - began, error=str(error))
    found = result.counterexample
    return VariantTrial(
        *about,
        result.cases,
        result.steps,
        watch.triggered,
        found.divergence.sentence if found is not None else "",
        found.divergence.promise if found is not None else "",
        time.monotonic() - began,
    )
