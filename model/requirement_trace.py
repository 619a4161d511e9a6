"""From requirements to what carries them: judged on a topology, and told for all flows at once.

Rules
1. What can be judged here and now is: topology expectations on the topology itself, with its what-ifs; that a precondition
   is in the model of the flow and can refuse there; that a claim is in the model and applies. The verdict on a claim is the
   prover's: without a proof report it is only *stated*. Tests are run by the test suite: they are *tested* there, not here.
2. A carrier that names a flow in which it does not apply is *violated*: it stands for nothing there.
3. A requirement is *violated* if one of its carriers is; else *uncovered* if something of it is open, or nothing carries it;
   else *guidance*, if it is said to be; else *carried*.
4. On a topology that is not built in only those carriers are asked that hold of any flow (`Carrier.is_about`), and what is
   missing is not held against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import attrs
import z3

from siteproof.model.carriers import Carrier, Carriers, Precondition, PromiseClaim, load_carriers
from siteproof.model.claims import built
from siteproof.model.expectations import Every, FactIs, Like, Never
from siteproof.model.levels import level, level_ids
from siteproof.model.requirements import FLOWS, load_requirements
from siteproof.model.results import ProofReport
from siteproof.model.system import FACT_PREFIX, Model, constants_of
from siteproof.model.topology import Topology, builtin_topologies

__all__ = ["CarrierRow", "Judged", "RequirementRow", "Standing", "Status", "coverage", "find_guard", "judge",
           "requirement_trace"]


class Standing(StrEnum):
    """What is known of one carrier in one flow."""

    HOLDS = "holds"
    PROVED = "proved"
    BY_CONSTRUCTION = "by construction"
    STATED = "stated"
    TESTED = "tested"
    NOT_APPLICABLE = "not applicable"
    UNDETERMINED = "undetermined"
    REFUTED = "refuted"
    VIOLATED = "violated"


class Status(StrEnum):
    """What is known of one requirement."""

    CARRIED = "carried"
    GUIDANCE = "guidance"
    UNCOVERED = "uncovered"
    VIOLATED = "violated"


_CARRIES: Final = {Standing.HOLDS, Standing.PROVED, Standing.BY_CONSTRUCTION, Standing.STATED, Standing.TESTED}
_WRONG: Final = {Standing.VIOLATED, Standing.REFUTED}


@attrs.frozen
class CarrierRow:
    """One carrier in words, the flows in which it carries, and what is known of it there; `found` says what is wrong."""

    sort: str
    text: str
    flows: tuple[str, ...]
    standing: Standing
    found: str = ""


@attrs.frozen
class RequirementRow:
    """One requirement and what carries it. `reason` says why it is guidance, or what of it is open."""

    id: str
    kind: str
    statement: str
    section: str
    status: Status
    carriers: tuple[CarrierRow, ...]
    reason: str = ""


@attrs.frozen
class Judged:
    """A topology expectation, judged: what is wrong is empty where it holds."""

    carrier: Carrier
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        ids = ", ".join(self.carrier.requirements)
        return f"{ids}: {self.carrier.what}: {'; '.join(self.wrong) or 'holds'}"


def judge(topology: Topology, carriers: Carriers | None = None) -> tuple[Judged, ...]:
    """What the documents say of this topology, each statement judged: the part of P18 that is about the deployment."""
    rows = []
    for carrier in (carriers or load_carriers()).carriers:
        what = carrier.what
        if isinstance(what, Every | Never | FactIs | Like) and carrier.is_about(topology.id):
            if topology.id in carrier.flows or what.concerns(topology):
                rows.append(Judged(carrier, what.wrong(topology)))
    return tuple(rows)


def find_guard(model: Model, what: Precondition) -> int | None:
    """The number of the precondition that is meant; None when the model has none or several such."""
    action = next((action for action in model.actions if action.name == what.action), None)
    found = []
    for number, guard in enumerate(action.guards if action else ()):
        read = {name for name in constants_of(guard.written) if not name.startswith((FACT_PREFIX, "arg:"))}
        if guard.code == what.code if what.code else read == set(what.reads):
            found.append(number)
    return found[0] if len(found) == 1 else None


def requirement_trace(topology: Topology, proof: ProofReport | None = None) -> tuple[RequirementRow, ...]:
    """The requirements that concern this flow, with what carries them here; `proof` brings the verdicts on claims."""
    carriers, trace = load_carriers(), _Trace(topology, proof)
    notes = {id: note.reason for note in carriers.guidance for id in note.requirements}
    opened = {id: note.reason for note in carriers.open for id in note.requirements}
    own, rows = topology.id not in builtin_topologies(), []
    for requirement in load_requirements():
        held = tuple(row for carrier in carriers.of(requirement.id) if (row := trace.row(carrier)) is not None)
        family = requirement.id.rpartition("-")[0]
        if not held and (own or topology.id not in FLOWS[family] or carriers.of(requirement.id)):
            continue
        status = _status(held, requirement.id in opened and not own, requirement.id in notes)
        reason = opened.get(requirement.id) or notes.get(requirement.id, "")
        rows.append(RequirementRow(requirement.id, requirement.kind.value, requirement.statement, requirement.section, status,
                                   held, reason if status in (Status.UNCOVERED, Status.GUIDANCE) else ""))
    return tuple(rows)


def coverage(topologies: Sequence[Topology]) -> tuple[RequirementRow, ...]:
    """All requirements, each once, with what carries them in any of `topologies`."""
    traces = [{row.id: row for row in requirement_trace(topology)} for topology in topologies]
    carriers, rows = load_carriers(), []
    for requirement in load_requirements():
        found = [trace[requirement.id] for trace in traces if requirement.id in trace]
        held = _joined([row for one in found for row in one.carriers])
        reasons = [note for note in (*carriers.open, *carriers.guidance) if requirement.id in note.requirements]
        status = _status(held, any(requirement.id in note.requirements for note in carriers.open),
                         any(requirement.id in note.requirements for note in carriers.guidance))
        rows.append(RequirementRow(
            requirement.id, requirement.kind.value, requirement.statement, requirement.section, status, held,
            reasons[0].reason if reasons and status in (Status.UNCOVERED, Status.GUIDANCE) else ""))
    return tuple(rows)


def _status(held: Sequence[CarrierRow], is_open: bool, is_guidance: bool) -> Status:
    if any(row.standing in _WRONG for row in held):
        return Status.VIOLATED
    if is_open:
        return Status.UNCOVERED
    if is_guidance:
        return Status.GUIDANCE
    return Status.CARRIED if any(row.standing in _CARRIES for row in held) else Status.UNCOVERED


def _joined(rows: Sequence[CarrierRow]) -> tuple[CarrierRow, ...]:
    """Rows that say the same of several flows as one row of all these."""
    joined: dict[tuple[str, str, Standing, str], CarrierRow] = {}
    for row in rows:
        key = (row.sort, row.text, row.standing, row.found)
        before = joined[key].flows if key in joined else ()
        joined[key] = attrs.evolve(row, flows=(*before, *row.flows))
    return tuple(joined.values())


@attrs.define
class _Trace:
    """The carriers of one flow on their way to a standing. Models are built when they are first asked for."""

    topology: Topology
    proof: ProofReport | None
    models: dict[str, Model] = attrs.field(factory=dict)

    def model(self, id: str) -> Model:
        """The model of one level."""
        if id not in self.models:
            self.models[id] = level(id).build(self.topology.id, self.topology.facts)
        return self.models[id]

    def row(self, carrier: Carrier) -> CarrierRow | None:
        """The carrier in this flow; None where it has nothing to say."""
        if not carrier.is_about(self.topology.id):
            return None
        standing, found = self.standing(carrier)
        if standing is Standing.NOT_APPLICABLE:
            if self.topology.id not in carrier.flows:
                return None
            standing = Standing.VIOLATED
        return CarrierRow(carrier.sort, str(carrier.what), (self.topology.id,), standing, found)

    def standing(self, carrier: Carrier) -> tuple[Standing, str]:
        """What is known of the carrier here, and what is wrong with it."""
        what = carrier.what
        if isinstance(what, Every | Never | FactIs | Like):
            if self.topology.id not in carrier.flows and not what.concerns(self.topology):
                return Standing.NOT_APPLICABLE, "nothing here that it speaks of"
            wrong = what.wrong(self.topology)
            return (Standing.VIOLATED, "; ".join(wrong)) if wrong else (Standing.HOLDS, "")
        if isinstance(what, Precondition | PromiseClaim):
            if what.level not in level_ids():
                return Standing.VIOLATED, f"the model has no level {what.level}"
            if not level(what.level).applies(self.topology.facts):
                return Standing.NOT_APPLICABLE, f"the level {what.level} says nothing of this flow"
            return self.precondition(what) if isinstance(what, Precondition) else self.claim(what)
        return Standing.TESTED, ""

    def precondition(self, what: Precondition) -> tuple[Standing, str]:
        model = self.model(what.level)
        number = find_guard(model, what)
        if number is None:
            return Standing.VIOLATED, "the model has no such precondition"
        if z3.is_true(model.action(what.action).guards[number].folded):
            return Standing.NOT_APPLICABLE, "it never refuses in this flow"
        return Standing.HOLDS, ""

    def claim(self, what: PromiseClaim) -> tuple[Standing, str]:
        claims = [c for p in level(what.level).promises if p.id == what.promise for c in p.claims if c.name == what.claim]
        if not claims:
            return Standing.VIOLATED, "the model has no such claim"
        one = built(self.model(what.level), claims[0])
        if not one.applies:
            return Standing.NOT_APPLICABLE, one.because
        rows = [row for row in (self.proof.promises if self.proof else ()) if (row.level, row.id) == (what.level, what.promise)]
        shown = [claim for row in rows for claim in row.claims if claim.name == what.claim]
        return (Standing(shown[0].verdict.value), shown[0].reason) if shown else (Standing.STATED, "")
