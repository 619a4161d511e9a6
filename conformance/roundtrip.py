"""One whole round trip on a disk image: from the first copy to a failover, back home, and protected again.

Rules
1. A campaign's disks are small, for speed. Here one case runs on a whole image, with a few writes at its beginning, its middle
   and its end, and whole recovery points are restored to files on the way.
2. Where the flow has test failovers, there is one before the real one, and its copy is written to.
3. Every step is judged by the oracle as in a campaign. Beyond that each restored file is compared, byte by byte, with the base
   image outside the blocks that were ever written; inside them it must be what the point was judged to hold.
4. The image is only read. What is written is in the work folder, which goes when the trip is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import attrs

from siteproof.conformance.case import Advance, Command, Operate, Scenario, Settle, Write
from siteproof.conformance.closure import Promised
from siteproof.conformance.content import BLOCK
from siteproof.conformance.driver import Driver
from siteproof.conformance.image import DiskImage
from siteproof.conformance.results import CampaignResult, Counterexample, Divergence, Outcome
from siteproof.conformance.session import Session

__all__ = ["Restores", "compare", "round_trip", "trip"]

MACHINE = "m0"
CHUNK = 256 * BLOCK


class Restores(Driver, Protocol):
    """A driver that can also write a point's disk to a file."""

    def restore(self, machine: str, point: str, disk: int, to: Path) -> None: ...


def trip(facts: dict[str, bool], blocks: int) -> Iterator[Command | str]:
    """The case: commands, and `restore` where the newest point is restored and compared."""
    spread = sorted({0, 1, blocks // 3, blocks // 2, blocks - 2, blocks - 1} & set(range(blocks)))

    def work(side: str, places: list[int]) -> Iterator[Command]:
        yield from (Write(MACHINE, side, block) for block in places)
        yield Advance(3600)
        yield Settle()

    def move(direction: str) -> Iterator[Command]:
        planned = facts[f"{direction}.planned_failover"]
        yield Operate(MACHINE, "PlannedFailover") if planned else Operate(MACHINE, "UnplannedFailover", "latest")
        yield Settle()
        yield Operate(MACHINE, "Commit")
        yield Settle()

    def trial(side: str, places: list[int]) -> Iterator[Command]:
        """A test failover: its copy is written to while replication goes on, and cleaned up."""
        yield Operate(MACHINE, "TestFailover", "latest")
        yield Settle()
        yield from (Write(MACHINE, "test", block) for block in places[1:])
        yield from work(side, places[:2])
        yield Operate(MACHINE, "TestFailoverCleanup")
        yield Settle()

    yield from work("primary", spread[:3])
    yield Operate(MACHINE, "EnableProtection")
    yield Settle()
    yield "restore"
    yield from work("primary", spread)
    yield "restore"
    if facts["forward.test_failover"]:
        yield from trial("primary", spread)
    yield from move("forward")
    yield from work("recovery", spread[1:])
    if not facts["failback.without_reverse"]:  # else the failback itself copies the changes back
        yield Operate(MACHINE, "ReverseReplicate")
        yield Settle()
        yield "restore"
    yield from move("reverse")
    yield Operate(MACHINE, "EnableProtection" if facts["failback.ends_protection"] else "ReverseReplicate")
    yield Settle()
    yield from work("primary", spread[::2])
    yield "restore"


def round_trip(
    topology: str,
    promised: Promised,
    image: DiskImage,
    driver: Restores,
    folder: Path,
    *,
    name: str,
    seed: int = 0,
    on_event: Callable[[str], None] | None = None,
) -> CampaignResult:
    """Make the trip; `folder` takes the restored files, one at a time. The first divergence ends it."""
    began, restored = time.perf_counter(), 0
    scenario = Scenario(topology, (MACHINE,), 1, image.blocks, str(image.path))
    session = Session(scenario, seed, lambda: driver, promised, name=name, record=True)
    wrong: Divergence | None = None
    try:
        for one in trip(dict(promised.model.facts.values), image.blocks):
            if isinstance(one, str):
                if on_event is not None:
                    on_event("restoring a recovery point and comparing the whole disk")
                wrong, restored = _restored(session, driver, folder), restored + 1
            elif not session.step(one):
                wrong = session.divergence
            if wrong is not None or session.overflow:
                break
            if on_event is not None:
                on_event(f"step {len(session.commands)}")
        wrong = wrong or _refused(session)
    finally:
        session.finish(thorough=wrong is None)
    return _result(session, wrong or session.divergence, image, name, seed, restored, time.perf_counter() - began)


def _result(
    session: Session, wrong: Divergence | None, image: DiskImage, name: str, seed: int, restored: int, seconds: float
) -> CampaignResult:
    records, counterexample = tuple(session.records or ()), None
    outcome = Outcome.INCONCLUSIVE if session.overflow else Outcome.CONFORMS
    reason = f"a whole round trip; {restored} recovery points were restored to files and compared with the image, byte by byte"
    if session.overflow:
        reason = "the explanations grew beyond the bound, so the rest was not judged"
    if wrong is not None:
        outcome, reason = Outcome.VIOLATION, wrong.sentence
        case = session.case
        if image.ours:  # it is gone after the check; a generated disk of the same size takes its place in a replay
            case = attrs.evolve(case, scenario=attrs.evolve(case.scenario, image=""))
        counterexample = Counterexample(
            case.to_json(), records, wrong, len(records), False, (), seed, session.model_before, session.model_after
        )
    return CampaignResult(
        session.promised.name,
        name,
        "round trip",
        outcome,
        reason,
        1,
        len(session.commands),
        seconds,
        seed,
        (),
        {},
        dict(session.skipped),
        counterexample,
        (),
        session.content_checks + restored,
        image.about,
    )


def _refused(session: Session) -> Divergence | None:
    """A trip on which an operation was refused was cut short; the oracle would have to agree, and the trip shows nothing."""
    for record in session.records or ():
        if record.command["kind"] == "operation" and record.answer.get("answer") == "rejected":
            return Divergence(
                record.index,
                MACHINE,
                "answer",
                str(record.answer),
                "accepted",
                "P13",
                "Accepted when advertised",
                (),
                "round trip",
                f"{record.text}, although nothing stands in the way on a round trip without faults.",
            )
    return None


def _restored(session: Session, driver: Restores, folder: Path) -> Divergence | None:
    """Restore the newest point and compare; None when all is well."""
    points = session.factors[MACHINE].points
    step = len(session.commands) - 1
    if not points:
        return _wrong(step, "points", "none", "at least one recovery point", "P4", "there is no recovery point to restore")
    point, file = points[-1], folder / "restored.img"
    file.unlink(missing_ok=True)
    session.driver.call("restore", driver.restore, MACHINE, point.id, 0, file)
    written = {
        address: driver.read(MACHINE, point.id, 0, address * BLOCK, BLOCK)
        for address in sorted(session.factors[MACHINE].journal.addresses)
    }
    found = compare(file, Path(session.scenario.image), written)
    file.unlink(missing_ok=True)
    if found is None:
        return None
    return _wrong(
        step,
        f"restored image of point {point.id}",
        found,
        "the base image, and what was written on it",
        "P4",
        f"the image restored from {point.id} is wrong: {found}",
    )


def _wrong(step: int, field: str, found: str, expected: str, promise: str, sentence: str) -> Divergence:
    return Divergence(
        step,
        MACHINE,
        field,
        found,
        expected,
        promise,
        "A point is restorable to exactly its prefix",
        (),
        "restored content",
        sentence[:1].upper() + sentence[1:] + ".",
    )


def compare(restored: Path, base: Path, written: dict[int, Any]) -> str | None:
    """What is wrong with a restored image, or None. `written` maps blocks to what they must hold; all others are the base's."""
    size = base.stat().st_size
    if restored.stat().st_size != size:
        return f"{restored.stat().st_size} bytes instead of {size}"
    with restored.open("rb") as one, base.open("rb") as other:
        for start in range(0, size, CHUNK):
            have, want = one.read(CHUNK), bytearray(other.read(CHUNK))
            first = start // BLOCK
            for block in range(first, first + len(want) // BLOCK):
                if block in written:
                    at = (block - first) * BLOCK
                    want[at : at + BLOCK] = written[block]
            if have != want:
                block = first + next(n for n in range(0, len(want), BLOCK) if have[n : n + BLOCK] != want[n : n + BLOCK]) // BLOCK
                kind = "was written, and reads otherwise" if block in written else "was never written, and differs from the base"
                return f"block {block} {kind}"
    return None
