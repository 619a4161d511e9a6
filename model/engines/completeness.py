"""What a set of certificates leaves out: promises that apply in a flow and that no certificate of the set speaks of.

Rules
1. A certificate shows the promises that it names. Whoever has only the folder cannot tell from it whether a promise is missing
   since it was refuted, was not settled, or was left out; so what is missing is told, and never why.
2. What ought to be there is derived from the topology inside the certificates, with the facts that they override: each level that
   applies, and of it each promise of which a claim applies.
3. Certificates of one id and of different topologies, or facts, are about different systems and are not counted together.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from siteproof.model.engines.certificate import CertificateReport
from siteproof.model.engines.obligations import goals_of
from siteproof.model.levels import levels
from siteproof.model.topology import Topology

__all__ = ["Absent", "absent"]


@attrs.frozen
class Absent:
    """A promise that applies at a level of a flow and is in none of its certificates."""

    topology: str
    level: str
    promise: str


def absent(reports: Iterable[CertificateReport]) -> tuple[Absent, ...]:
    """What the certificates that were checked leave out, flow by flow, level by level."""
    about: dict[tuple[str, tuple[tuple[str, bool], ...]], tuple[Topology, set[tuple[str, str]]]] = {}
    for report in reports:
        facts = tuple(sorted(report.of.facts.items()))
        _, named = about.setdefault((report.of.text, facts), (report.of, set()))
        named.update((report.level, promise) for promise in report.promises)
    return tuple(one for topology, named in about.values() for one in _of_flow(topology, named))


def _of_flow(topology: Topology, named: set[tuple[str, str]]) -> Iterable[Absent]:
    for one in levels():
        if not one.applies(topology.facts):
            continue
        model = one.build(topology.id, topology.facts)
        for promise in one.promises:
            if (one.id, promise.id) not in named and any(goal.built.applies for goal in goals_of(model, [promise])):
                yield Absent(topology.id, one.id, promise.id)
