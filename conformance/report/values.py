"""What a report is made from: one value for a whole run, one for each flow in it.

Rules
1. A report is data first. Terminal, HTML and JSON are three views of the same `RunReport`; none of them computes a verdict.
2. What was not finished is said: `proof` or `campaign` is None, and `unfinished` or `error` tells why. Such a flow is never
   shown as a pass.
3. Nothing here needs a solver, so a report can be rendered where none is installed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs

from siteproof.conformance.exits import Exit, of_campaign, of_found, of_proof, overall
from siteproof.conformance.results import CampaignResult, Counterexample, Outcome
from siteproof.model.results import PromiseResult, ProofReport, Verdict
from siteproof.model.topology import Topology

if TYPE_CHECKING:
    from siteproof.model.explore import ExploreReport
    from siteproof.model.impossible import Impossibility
    from siteproof.model.necessity import NecessityReport
    from siteproof.model.requirement_trace import RequirementRow

__all__ = ["FlowReport", "RunReport", "claims_of", "claims_told", "count"]


@attrs.frozen
class FlowReport:
    """One flow of a run. `actions` are the model's actions in English, `words` its variables with what they mean. `requirements`
    are those of the flow with what carries them, `necessity` what its preconditions are there for, `impossible` what no system
    can do, `exploration` what was asked of all states of a scope (empty or None where it was not asked for). `error` is a failure
    of the environment or of ours, `error_code` what it means for the exit code; `unfinished` names what was asked for and is
    missing."""

    topology: Topology
    actions: tuple[dict[str, Any], ...] = ()
    words: tuple[tuple[str, str], ...] = ()
    proof: ProofReport | None = None
    campaigns: tuple[CampaignResult, ...] = ()
    unfinished: tuple[str, ...] = ()
    error: str = ""
    error_code: Exit = Exit.OK
    requirements: tuple[RequirementRow, ...] = ()
    necessity: NecessityReport | None = None
    impossible: Impossibility | None = None
    exploration: ExploreReport | None = None

    @property
    def id(self) -> str:
        return self.topology.id

    @property
    def title(self) -> str:
        return self.topology.title

    @property
    def exit(self) -> Exit:
        """What this flow alone comes to."""
        codes = [self.error_code] if self.error else []
        if self.proof is not None:
            codes.append(of_proof(self.proof))
        if self.exploration is not None:
            codes.append(of_found(self.exploration.found))
        codes += [of_campaign(campaign) for campaign in self.campaigns]
        if self.violated:
            codes.append(Exit.VIOLATION)
        if self.unfinished:
            codes.append(Exit.INCONCLUSIVE)
        return overall(codes)

    @property
    def outcome(self) -> Outcome | None:
        """What all campaigns together come to; None where none was run."""
        seen = {campaign.outcome for campaign in self.campaigns}
        return next((one for one in (Outcome.VIOLATION, Outcome.INCONCLUSIVE, Outcome.CONFORMS) if one in seen), None)

    @property
    def counterexamples(self) -> tuple[Counterexample, ...]:
        return tuple(c.counterexample for c in self.campaigns if c.counterexample is not None)

    @property
    def violated(self) -> tuple[RequirementRow, ...]:
        """The requirements of which something that carries them is wrong."""
        return tuple(row for row in self.requirements if row.status == "violated")

    @property
    def refuted(self) -> tuple[PromiseResult, ...]:
        return () if self.proof is None else tuple(p for p in self.proof.promises if p.verdict is Verdict.REFUTED)


@attrs.frozen
class RunReport:
    """One run of the command line. `started` is in ISO 8601, UTC; `machine` says on what it ran; `partial` that it was
    interrupted."""

    version: str
    command: str
    started: str
    seconds: float
    flows: tuple[FlowReport, ...]
    machine: dict[str, str] = attrs.Factory(dict)
    image: str = ""
    partial: bool = False

    @property
    def exit(self) -> Exit:
        """What the run comes to, leaving aside that it was interrupted."""
        return overall(flow.exit for flow in self.flows)

    @property
    def impossible(self) -> Impossibility | None:
        """What no system can do, as one of the flows shows it; the argument is the same in all."""
        return next((flow.impossible for flow in self.flows if flow.impossible is not None), None)


def claims_of(proof: ProofReport, verdict: Verdict) -> int:
    """How many claims of a flow have this verdict."""
    return sum(claim.verdict is verdict for promise in proof.promises for claim in promise.claims)


def claims_told(proofs: Iterable[ProofReport]) -> tuple[str, ...]:
    """How many claims have which verdict: `31 claims proved`, `7 by construction`, `2 not applicable`."""
    proofs = list(proofs)
    total = {verdict: sum(claims_of(proof, verdict) for proof in proofs) for verdict in Verdict}
    rest = (Verdict.BY_CONSTRUCTION, Verdict.NOT_APPLICABLE, Verdict.UNDETERMINED, Verdict.REFUTED)
    return (f"{count(total[Verdict.PROVED], 'claim')} proved", *(f"{total[v]} {v.value}" for v in rest if total[v]))


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 case`, `1,204 cases`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
