"""`siteproof diff`: two topologies side by side, and which promises only one of them keeps."""

from __future__ import annotations

from rich.text import Text

from siteproof.conformance.cli.proving import chosen_promises, told
from siteproof.conformance.cli.shared import Session, parse_duration
from siteproof.conformance.exits import Exit
from siteproof.conformance.report.review import changes_story, verdicts_story
from siteproof.model.difference import differences
from siteproof.model.errors import one_line
from siteproof.model.prove import WhatIf, compared
from siteproof.model.prove import prove as prove_flow
from siteproof.model.results import ProofReport, Verdict
from siteproof.model.topology import Topology, load_topology

__all__ = ["diff"]


def diff(session: Session, first: str, second: str, proofs: bool, properties: list[str], max_time: str) -> Exit:
    """What the second topology has otherwise than the first. 1 when it has a refuted promise that the first one keeps."""
    limit = parse_duration(max_time, "--max-time")
    chosen = chosen_promises(properties) or None
    a, b = load_topology(first), load_topology(second)
    rows = differences(a, b)
    session.out.print(Text.assemble(
        (one_line(a.title), "bold"), (f"  {one_line(first)}", "dim"), "  →  ",
        (one_line(b.title), "bold"), (f"  {one_line(second)}", "dim")))
    if not proofs:
        session.out.print("", changes_story(rows, None))
        session.emit("siteproof.diff/1", Exit.OK, {"a": _of(a), "b": _of(b), "differences": rows})
        return Exit.OK
    from siteproof.model.influence import facts_read

    read = facts_read(a) | facts_read(b)
    session.out.print("", changes_story(rows, read), "")
    both = compared(*(_prove(session, topology, source, chosen, limit) for topology, source in ((a, first), (b, second))))
    session.out.print(verdicts_story(both, a.id if a.id != b.id else first, b.id if a.id != b.id else second, chosen))
    code = _of_both(both)
    session.emit("siteproof.diff/1", code, {
        "a": _of(a), "b": _of(b), "differences": rows, "unread": [row.path for row in rows if row.path not in read],
        "lost": both.lost, "gained": both.gained, "reports": [both.before, both.after]})
    return code


def _prove(session: Session, topology: Topology, source: str, chosen: list[str] | None, limit: float) -> ProofReport:
    with told(session, source) as progress:
        return prove_flow(topology, chosen, None, None, progress, limit)


def _of(topology: Topology) -> dict[str, str]:
    return {"id": topology.id, "title": topology.title, "file": topology.file}


def _of_both(both: WhatIf) -> Exit:
    """1 when a promise that the first one keeps is refuted in the second, 2 when it is left undetermined there."""
    now = {both.after.verdict_of(id) for id in both.lost}
    if Verdict.REFUTED in now:
        return Exit.VIOLATION
    return Exit.INCONCLUSIVE if Verdict.UNDETERMINED in now else Exit.OK
