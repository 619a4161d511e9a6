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

from siteproof.model.carriers import SORTS, Carrier, Carriers, Precondition, PromiseClaim, load_carriers
from siteproof.model.claims import built
from siteproof.model.expectations import Every, FactIs, Like, Never
from siteproof.model.levels import level, level_ids
from siteproof.model.readings.english import english
from siteproof.model.requirements import FLOWS, Requirement, load_requirements
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
    """One carrier in words, the flows in which it carries, and what is known of it there; `found` says what is wrong, and
    `refs` where it is, unless it is judged on the topology itself (`Precondition.ref` and its like)."""

    sort: str
    text: str
    flows: tuple[str, ...]
    standing: Standing
    found: str = ""
    refs: tuple[str, ...] = ()


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
    """The requirements that are about this flow, with what carries them here; `proof` brings the verdicts on claims. Of a
    built-in flow these are the ones of its families, apart from those that are carried in its sister flows only."""
    carriers, held = load_carriers(), _held(topology, proof)
    is_own, rows = topology.id not in builtin_topologies(), []
    for requirement in load_requirements():
        is_about = is_own or topology.id in FLOWS[requirement.family]
        is_missing = not is_own and not carriers.of(requirement.id)
        if is_about and (held[requirement.id] or is_missing):
            rows.append(_row(requirement, held[requirement.id], carriers, is_own))
    return tuple(rows)


def coverage(topologies: Sequence[Topology]) -> tuple[RequirementRow, ...]:
    """All requirements, each once, with what carries them in any of `topologies`."""
    carriers, held = load_carriers(), [_held(topology) for topology in topologies]
    return tuple(_row(requirement, _joined([row for one in held for row in one[requirement.id]]), carriers)
                 for requirement in load_requirements())


def _held(topology: Topology, proof: ProofReport | None = None) -> dict[str, tuple[CarrierRow, ...]]:
    """What carries each requirement in one flow."""
    carriers, trace = load_carriers(), _Trace(topology, proof)
    rows = [(carrier, row) for carrier in carriers.carriers if (row := trace.row(carrier)) is not None]
    return {requirement.id: _joined([row for carrier, row in rows if requirement.id in carrier.requirements])
            for requirement in load_requirements()}


def _row(requirement: Requirement, held: tuple[CarrierRow, ...], carriers: Carriers, is_own: bool = False) -> RequirementRow:
    """What the carriers of a requirement come to. What is open of the documents is not held against a user's own flow."""
    opened = "" if is_own else next((note.reason for note in carriers.open if requirement.id in note.requirements), "")
    guidance = next((note.reason for note in carriers.guidance if requirement.id in note.requirements), "")
    status = _status(held, bool(opened), bool(guidance))
    reason = {Status.UNCOVERED: opened, Status.GUIDANCE: guidance}.get(status, "")
    return RequirementRow(
        requirement.id, requirement.kind.value, requirement.statement, requirement.section, status, held, reason)


def _status(held: Sequence[CarrierRow], is_open: bool, is_guidance: bool) -> Status:
    if any(row.standing in _WRONG for row in held):
        return Status.VIOLATED
    if is_open:
        return Status.UNCOVERED
    if is_guidance:
        return Status.GUIDANCE
    return Status.CARRIED if any(row.standing in _CARRIES for row in held) else Status.UNCOVERED


def _joined(rows: Sequence[CarrierRow]) -> tuple[CarrierRow, ...]:
    """Rows that say the same of several flows as one row of all these; sort by sort, as they came."""
    joined: dict[tuple[str, str, Standing, str], CarrierRow] = {}
    for row in rows:
        key = (row.sort, row.text, row.standing, row.found)
        before = joined.get(key)
        joined[key] = row if before is None else attrs.evolve(
            row, flows=tuple(dict.fromkeys(before.flows + row.flows)), refs=tuple(dict.fromkeys(before.refs + row.refs)))
    return tuple(sorted(joined.values(), key=lambda row: SORTS.index(row.sort)))


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
        refs = () if isinstance(carrier.what, Every | Never | FactIs | Like) else (carrier.what.ref,)
        return CarrierRow(carrier.sort, self.words(carrier), (self.topology.id,), standing, found, refs)

    def words(self, carrier: Carrier) -> str:
        """The carrier in words; a precondition that has no code as the model says it."""
        what = carrier.what
        if isinstance(what, Precondition) and not what.code and what.level in level_ids():
            model = self.model(what.level)
            if (number := find_guard(model, what)) is not None:
                action = model.action(what.action)
                return f"{what.action.replace('_', ' ')} needs: {english(model, action.guards[number].written, action)}"
        return str(what)

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
