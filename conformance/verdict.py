"""A campaign's verdict, and what a practitioner would miss in the run.

Rules
1. *Inconclusive* when nothing diverged but too little was seen: below the floor of coverage, or too much skipped, or the oracle
   had to give up; also where no site and no link can fail, and where points, power or loss are never told: what the tester is
   for was then not judged, however much else was.
2. Warnings name a thin run in the field's words. They change no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from siteproof.conformance.case import FAULTS
from siteproof.conformance.closure import Promised
from siteproof.conformance.results import Counterexample, Coverage, Outcome
from siteproof.conformance.tally import Tally

__all__ = ["verdict", "warnings"]

FLOOR_TRANSITIONS = 0.5
FLOOR_ACTIONS = 0.8
SKIPPED_TOO_MUCH = 0.25
LACKING_TOO_MUCH = 0.6
AT_SITES = ("primary-site", "recovery-site", "link")
"""Faults without any of which a failover is only ever rehearsed."""
NEEDED = ("points", "running", "loss")
"""What has to be told at least once: without it no content of a point, no second active side, or no loss can be judged."""
BESIDE = (
    ("test_failover", "remove_test_copy", "test failover with its cleanup"),
    ("change_point", "set_to_point", "change of point"),
)
"""Operations beside the main cycle, which a run should not miss: the fact, the model's last step of it, and in words."""


def warnings(tally: Tally, promised: Promised) -> tuple[str, ...]:
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
    for fact, action, what in BESIDE:
        if (facts[f"forward.{fact}"] or facts[f"reverse.{fact}"]) and not tally.ledger.taken[action]:
            found.append(f"no {what} was ever done")
    if not tally.ledger.taken["finish_resync"]:
        found.append("no resynchronisation was ever done")
    if not tally.ledger.taken["contact"]:
        found.append("a former source was never contacted again: loss and fencing were not tested")
    if not tally.commands["fault"]:
        found.append("nothing ever failed")
    if facts.get("group.supported"):
        if any(shape[2] for shape in tally.scenarios) and not tally.common_judged:
            told = f" ({tally.common_shown:,} were shown)" if tally.common_shown else ""
            found.append(f"no common point of a group was ever read back{told}")
        elif tally.can is not None and not tally.can.groups:
            found.append("no machines were ever in a replication group: the driver has none")
    if not tally.checks:
        found.append("no content was ever read: only what the system says was judged")
    for field, times in sorted(tally.untold.items()):
        often = "never told" if times == tally.looks else f"not told in {times:,} of {tally.looks:,} looks"
        found.append(f"{field} was {often}: what was not told was not judged")
    if tally.gave_up:
        found.append(f"in {tally.gave_up} cases the explanations grew beyond the bound and the rest was not judged")
    return tuple(found)


def verdict(tally: Tally, counterexample: Counterexample | None, coverage: Sequence[Coverage]) -> tuple[Outcome, str]:
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
    if tally.can is not None and not tally.can.faults.intersection(AT_SITES):
        return Outcome.INCONCLUSIVE, "nothing could fail: the driver can play the fault of neither a site nor the link"
    if never := [field for field in NEEDED if tally.looks and tally.untold[field] == tally.looks]:
        return Outcome.INCONCLUSIVE, f"{' and '.join(never)} never told: what is promised of that was not judged"
    if skipped > SKIPPED_TOO_MUCH * max(1, tally.steps):
        return Outcome.INCONCLUSIVE, f"{skipped} of {tally.steps} steps were skipped: the driver cannot do them"
    if below:
        return Outcome.INCONCLUSIVE, "too little was covered: " + "; ".join(below)
    told = f"{tally.cases} cases, {tally.steps} steps, every one explained by the model"
    untested = [*lacking, *(f"fault {one}" for one in faults)]
    return Outcome.CONFORMS, told + (f"; not tested, since the driver cannot do it: {', '.join(untested)}" if untested else "")
