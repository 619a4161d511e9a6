"""Counterexamples as files, and what becomes of them.

A file is plain, versioned JSON and depends on no version of the tester but the format: the case, what was answered, and what was
wrong. Replaying it says one of five things: *still failing* (the same promise is broken, at the same machine, in the same field),
*fails differently* (something else is wrong), *fixed* (it passes, and the system answers and looks as it did before the failure),
*drifted* (the system now goes another way, so the file says nothing about the old failure), or *inconclusive* (the oracle
gave up, or the driver has no replication groups and the case has).
"""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Any

import attrs

from siteproof.conformance.case import Case
from siteproof.conformance.closure import Promised
from siteproof.conformance.errors import CaseError
from siteproof.conformance.results import Counterexample, Divergence, StepRecord
from siteproof.conformance.runner import run_case
from siteproof.conformance.session import DriverFactory

__all__ = ["Replay", "Saved", "Status", "assert_conforms", "load", "replay", "save"]

FORMAT = 1
KIND = "siteproof counterexample"


class Status(enum.Enum):
    FIXED = "fixed"
    STILL_FAILING = "still failing"
    DIFFERENT = "fails differently"
    INCONCLUSIVE = "inconclusive"
    DRIFTED = "drifted"


@attrs.frozen
class Saved:
    """A counterexample as a file has it. `answers` and `observations` are those of the run that found it, one for each step;
    files from before there were observations have none."""

    case: Case
    driver: str
    divergence: Divergence
    answers: tuple[dict[str, Any], ...]
    removal: tuple[str, ...] = ()
    minimal: bool = False
    observations: tuple[dict[str, Any], ...] = ()


@attrs.frozen
class Replay:
    """What a replay showed. `drift` is the first step that was answered otherwise or looked otherwise after it, if any."""

    status: Status
    text: str
    records: tuple[StepRecord, ...]
    divergence: Divergence | None
    drift: int | None = None


def save(counterexample: Counterexample, path: Path, driver: str) -> None:
    """Write the file; an existing one is replaced."""
    data = {
        "kind": KIND,
        "format": FORMAT,
        "driver": driver,
        "case": counterexample.case,
        "divergence": attrs.asdict(counterexample.divergence),
        "answers": [s.answer for s in counterexample.steps],
        "observations": [s.observation for s in counterexample.steps],
        "steps": [s.text for s in counterexample.steps],
        "removal": list(counterexample.removal),
        "minimal": counterexample.minimal,
        "seed": counterexample.seed,
        "original_length": counterexample.original_length,
    }
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path) -> Saved:
    """Read the file. Raises `CaseError` on anything but what `save` writes."""
    where = str(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CaseError(where, f"no readable file ({error.strerror})", "a counterexample file") from error
    except (ValueError, RecursionError) as error:
        raise CaseError(where, f"text that is not JSON ({error})", "a counterexample file") from error
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise CaseError(where, "another kind of file", f'a file with "kind": "{KIND}"')
    if data.get("format") != FORMAT:
        raise CaseError(f"{where}, format", repr(data.get("format")), f"{FORMAT}, the version that this release reads")
    for key, kind in (("divergence", dict), ("answers", list), ("driver", str)):
        if not isinstance(data.get(key), kind):
            raise CaseError(f"{where}, {key}", repr(data.get(key)), "what the tester wrote")
    try:
        told = dict(data["divergence"])
        divergence = Divergence(**{**told, "requirements": tuple(told.get("requirements", ()))})
    except TypeError as error:
        raise CaseError(f"{where}, divergence", str(error), "what the tester wrote") from error
    return Saved(
        Case.from_json(data.get("case"), f"{where}, case"),
        data["driver"],
        divergence,
        tuple(data["answers"]),
        tuple(data.get("removal", ())),
        bool(data.get("minimal", False)),
        tuple(data.get("observations", ())),
    )


def replay(saved: Saved, factory: DriverFactory, promised: Promised | None = None, *, name: str = "") -> Replay:
    """Run the case again and compare. Raises `DriverError` when the driver fails."""
    run = run_case(saved.case, factory, promised, record=True, name=name or saved.driver)
    was, now = saved.divergence, run.divergence
    drift = next((r.index for r in run.records[: was.step] if _differs(r, saved)), None)
    if now is not None:
        if (now.promise, now.machine, now.field) == (was.promise, was.machine, was.field):
            return Replay(Status.STILL_FAILING, now.sentence, run.records, now, drift)
        text = f"{now.field} of {now.machine} is wrong now ({now.promise}), it was {was.field} of {was.machine} ({was.promise})"
        return Replay(Status.DIFFERENT, f"{text}: {now.sentence}", run.records, now, drift)
    if run.lacks:
        text = f"the case was played without its {' and '.join(run.lacks)}: the driver has none"
        return Replay(Status.INCONCLUSIVE, text, run.records, None, drift)
    if run.overflow:
        text = "the explanations grew beyond the bound, and the rest of the case was not judged"
        return Replay(Status.INCONCLUSIVE, text, run.records, None, drift)
    if drift is not None:
        text = f"step {drift + 1} goes otherwise than it did: the case no longer reaches the failure"
        return Replay(Status.DRIFTED, text, run.records, None, drift)
    return Replay(Status.FIXED, "every step is explained by the model", run.records, None)


def assert_conforms(case: dict[str, Any], driver: str) -> None:
    """For tests: run a case (as JSON) against a driver, by its name, and demand that the model explains all of it. Raises
    `AssertionError` with the story, and `DriverError` when the driver fails. A case that was not wholly judged, or of which the
    driver can do nothing that it could when it was found, is no pass."""
    from siteproof.conformance.drivers.registry import factory_here
    from siteproof.conformance.explain import explain_steps

    run = run_case(Case.from_json(case), factory_here(driver), name=driver)
    told = "\n".join(explain_steps(run.records, run.divergence))
    if run.divergence is not None:
        wrong = run.divergence
        raise AssertionError(f"{wrong.sentence}\nBreaks {wrong.promise}, {wrong.promise_title}.\n\n{told}")
    if run.overflow:
        raise AssertionError(f"the explanations grew beyond the bound, and the rest of the case was not judged\n\n{told}")
    skipped = [f"{one}, which the driver has not" for one in run.lacks]
    skipped += [r.text for r in run.records if r.answer.get("answer") == "skipped"]
    if skipped:
        raise AssertionError(f"not judged: {'; '.join(skipped)}")


def _differs(record: StepRecord, saved: Saved) -> bool:
    """Whether a step was answered, or left the machines, otherwise than when the file was written."""
    at = record.index
    if at < len(saved.answers) and record.answer != saved.answers[at]:
        return True
    return at < len(saved.observations) and json.loads(json.dumps(record.observation)) != saved.observations[at]
