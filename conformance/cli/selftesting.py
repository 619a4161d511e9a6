"""`siteproof selftest`: the tester's own score.

Every seeded bug and every correct variant is tried, side by side; what comes of it is told as tables that fit 80 columns, the
survivors and the false alarms by name, and as JSON. An interruption leaves the table of what was tried so far.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from siteproof.conformance.cli.checking import machine_facts
from siteproof.conformance.cli.running import no_prints
from siteproof.conformance.cli.shared import Session, parse_duration, version
from siteproof.conformance.cli.workers import side_by_side
from siteproof.conformance.drivers.bugs import BUGS, Bug
from siteproof.conformance.drivers.variants import VARIANTS
from siteproof.conformance.engines.registry import DEFAULT
from siteproof.conformance.exits import Exit
from siteproof.conformance.report.terminal import text
from siteproof.conformance.runner import ENGINES
from siteproof.conformance.selftest.score import BugScore, EngineScore, Tally, exit_of, score
from siteproof.conformance.selftest.trials import REPLAYS, BugTrial, Task, VariantTrial, plan, run_task
from siteproof.model.errors import UsageError, near

__all__ = ["DEFAULT_ENGINE", "selftest"]

DEFAULT_ENGINE = DEFAULT
QUICK_CASES, CASES = 30, 300
"""Cases of each variant in one trial."""
_BUCKETS = ("≤0.1", "≤1", "≤10", "≤60", "not")


def selftest(
    session: Session,
    quick: bool,
    trials: int | None,
    engines: Sequence[str],
    names: Sequence[str],
    max_time: str | None,
    jobs: int | None,
) -> Exit:
    """Try all of `names` (bugs; all bugs and all variants where none is given). 1: a false alarm; 2: a survivor, or a variant
    that never did anything else."""
    seconds = parse_duration(max_time or ("20s" if quick else "60s"), "--max-time")
    if quick and trials is not None:
        raise UsageError("--quick with --trials", "one of them", "--quick is one trial of each")
    engines = tuple(dict.fromkeys(engines)) or (DEFAULT_ENGINE,)
    for engine in engines:
        if engine not in ENGINES:
            raise UsageError(f"the engine {engine}", "one of " + ", ".join(ENGINES), near(engine, ENGINES))
    bugs = tuple(bug for bug in _named(names) if names or not quick or bug.difficulty != "hard")
    variants = () if names else VARIANTS
    number = 1 if quick else trials or 10
    seed = secrets.randbits(31) if session.seed is None else session.seed
    if not session.quiet:
        print(f"siteproof: seed {seed} (--seed {seed} draws the same cases)", file=sys.stderr, flush=True)
    tasks = plan(bugs, variants, engines, number, seed, seconds, QUICK_CASES if quick else CASES, quick)
    processes = min(jobs or os.cpu_count() or 1, len(tasks))
    began = time.monotonic()
    tried: list[BugTrial] = []
    spared: list[VariantTrial] = []
    interrupted = False
    try:
        with session.progress.status("") as status, no_prints():

            def show(line: str) -> None:
                status.update(text(" · ".join([_so_far(tasks, tried, spared), *filter(None, [line])])))

            for result in side_by_side(tasks, run_task, None, show, processes):
                if isinstance(result, BugTrial):
                    tried.append(result)
                else:
                    spared.append(result)
                show("")
                done = len(tried) + len(spared)
                if not session.quiet and not sys.stderr.isatty() and done * 10 // len(tasks) > (done - 1) * 10 // len(tasks):
                    print(f"siteproof: {_so_far(tasks, tried, spared)}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        interrupted = True
    took = time.monotonic() - began
    scores = [score(engine, bugs, tried, spared) for engine in engines]
    for one in scores:
        session.out.print(*_story(one, spared, number, quick and not names), sep="\n")
        session.out.print()
    session.out.print(_end(scores, tasks, tried, spared, took, processes, interrupted))
    code = Exit.INTERRUPTED if interrupted else exit_of(scores)
    session.emit("siteproof.selftest/1", code, {
        "seed": seed, "quick": quick, "trials": number, "max_seconds": seconds, "replays": REPLAYS, "engines": engines,
        "jobs": processes, "processors": os.cpu_count(), "load": round(os.getloadavg()[0], 2), "seconds": round(took, 1),
        "partial": interrupted, "machine": {**machine_facts(), "siteproof": version()}, "scores": [_row(one) for one in scores],
        "bugs": [_about(bug) for bug in bugs], "bug_trials": tried, "variant_trials": spared,
    })  # fmt: skip
    return code


def _named(names: Sequence[str]) -> tuple[Bug, ...]:
    known = {bug.id: bug for bug in BUGS}
    for name in names:
        if name not in known:
            raise UsageError(f"the bug {name}", "one of siteproof list bugs", near(name, known))
    return tuple(bug for bug in BUGS if not names or bug.id in names)


def _so_far(tasks: Sequence[Task], tried: Sequence[BugTrial], spared: Sequence[VariantTrial]) -> str:
    missed, alarms = sum(not t.detected for t in tried), sum(bool(v.alarm) for v in spared)
    told = [f"{len(tried) + len(spared)} of {len(tasks)} trials", f"{len(tried) - missed} bugs detected"]
    return ", ".join(told + [f"{missed} missed"] * bool(missed) + [f"{alarms} false alarms"] * bool(alarms))


def _about(bug: Bug) -> dict[str, Any]:
    return {
        "id": bug.id, "family": bug.family, "difficulty": bug.difficulty, "story": bug.story, "promises": bug.promises,
        "requirements": bug.requirements, "flows": bug.flows, "shortest": bug.shortest,
    }  # fmt: skip


def _row(one: EngineScore) -> dict[str, Any]:
    """The score as it stands in the JSON document; trials of variants are elsewhere in it."""
    names = ("engine", "all", "families", "difficulties", "bugs", "trials", "detections", "shrunk", "at_minimum", "longer_median",
             "longest_excess", "shorter", "minimal", "stable", "variant_steps")  # fmt: skip
    row = {name: getattr(one, name) for name in names}
    return {**row, "survivors": [b.bug for b in one.survivors], "false_alarms": sum(bool(v.alarm) for v in one.alarms)}


# ------------------------------------------------------------------------------------------------------------ in words


def _story(one: EngineScore, spared: Sequence[VariantTrial], trials: int, quick: bool) -> list[RenderableType]:
    each = f"{trials} trials of each bug, the slowest counts" if trials > 1 else "one trial of each bug"
    each += ", without the hard ones" if quick else ""
    found: list[RenderableType] = [Text.assemble((f"Engine {one.engine}", "bold"), (f": {each}", "dim")), _table(one)]
    if one.detections:
        found += _counterexamples(one)
    mine = [v for v in spared if v.engine == one.engine]
    if mine:
        alarms = sum(bool(v.alarm) for v in mine)
        variants, other = len({v.variant for v in mine}), len({v.variant for v in mine if v.differs})
        found.append(Text.assemble(
            f"{variants} correct variants ({other} did something else), {one.variant_steps:,} steps: ",
            (f"{alarms} false alarm{'s' * (alarms != 1)}", "bold red" if alarms else "green"),
        ))  # fmt: skip
    found += [_alarm(v) for v in one.alarms]
    found += [Text.assemble((f"bundled~{variant}", "bold yellow"), " never did anything else: that it was spared says nothing")
              for variant in one.alike]
    found += [_survivor(bug) for bug in one.survivors]
    return found


def _table(one: EngineScore) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for column in ("family", "bugs", "reach", "trig", "found", *_BUCKETS):
        table.add_column(column, justify="left" if column == "family" else "right", no_wrap=True)
    for tally in one.families:
        table.add_row(*_cells(tally))
    for tally in one.difficulties:
        table.add_row(*_cells(tally), style="dim")
    table.add_row(*_cells(one.all), style="bold")
    return table


def _cells(tally: Tally) -> list[Text]:
    missed = tally.found < tally.bugs
    counts = [Text(str(n) if n else "·", "red" if n and i == len(tally.buckets) - 1 else "") for i, n in enumerate(tally.buckets)]
    return [
        text(tally.name), Text(str(tally.bugs)), Text(str(tally.reached)), Text(str(tally.triggered)),
        Text(str(tally.found), "red" if missed else "green"), *counts,
    ]  # fmt: skip


def _counterexamples(one: EngineScore) -> list[Text]:
    longer = ""
    if one.longer_median is not None:
        longer = f", others {one.longer_median:g} longer in the median, {one.longest_excess} at most"
    lines = [Text(f"{one.detections} detections: {one.stable / one.detections:.0%} stable in {REPLAYS} replays")]
    if one.shrunk:
        lines.append(Text(
            f"  {one.shrunk} counterexamples shrunk: {one.minimal / one.shrunk:.0%} 1-minimal, "
            f"{one.at_minimum / one.shrunk:.0%} as short as the shortest known{longer}"
        ))  # fmt: skip
    lines += [
        Text(f"  {bug}: {steps} steps are enough; {known} were known", "yellow") for bug, steps, known in one.shorter
    ]  # fmt: skip
    if one.all.median is not None:
        lines.append(Text(f"  median time to detection {one.all.median:.2f} s of the processor"))
    return lines


def _alarm(trial: VariantTrial) -> Text:
    what = f"broke: {trial.error}" if trial.error else f"is accused of {trial.promise}: {trial.alarm}"
    return Text.assemble((f"bundled~{trial.variant}", "bold red"), f" in {trial.flow} (seed {trial.seed}) {what}")


def _survivor(bug: BugScore) -> Text:
    said = Counter({"reached": bug.reached, "triggered": bug.triggered, "detected": bug.detected})
    what = ", ".join(f"{word} in {times}" for word, times in said.items())
    blamed = f"; {' and '.join(bug.blamed)} blamed instead" if bug.blamed else ""
    errors = f"; it broke: {bug.errors[0]}" if bug.errors else ""
    return Text.assemble(
        ("survivor ", "bold red"), (bug.bug, "bold"), f" ({bug.family}, {bug.difficulty}): {what} of {bug.trials}"
        f"{blamed}{errors}",
        *(f"\n  alone: siteproof run --driver bundled+{bug.bug} --topology {t.flow} --engine {t.engine} --seed {t.seed}"
          for t in bug.undetected[:1]),
    )  # fmt: skip


def _end(
    scores: Sequence[EngineScore], tasks: Sequence[Task], tried: Sequence[BugTrial], spared: Sequence[VariantTrial], took: float,
    processes: int, interrupted: bool,
) -> Text:  # fmt: skip
    found, total = sum(one.all.found for one in scores), sum(one.all.bugs for one in scores)
    alarms = sum(bool(one.alarms) for one in scores)
    style = "bold green" if found == total and not alarms and not interrupted else "bold red"
    line = Text(f"Score {found} of {total}" + (f" ({found / total:.0%})" if total else ""), style)
    line.append(f", {took:.0f} s with {processes} process{'es' * (processes != 1)}", "dim")
    if interrupted:
        line.append(f"; interrupted after {len(tried) + len(spared)} of {len(tasks)} trials", "bold yellow")
    return line
