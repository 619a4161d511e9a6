"""Exit codes: what a script learns from a run.

Rules
1. 0 conforms, all proved; 1 violation, refuted; 2 inconclusive, undetermined; 3 driver or environment error; 4 usage,
   configuration or specification error; 5 a bug of ours; 130 interrupted; 141 the reader of the output closed it, counted as
   a shell counts SIGPIPE.
2. When several apply, the one that makes the others doubtful wins: 5, 4, 3, 1, 2, 0. An interruption is said by
   the command itself, which knows what was not finished.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from siteproof.conformance.results import CampaignResult, Outcome
from siteproof.model.results import ProofReport, Verdict

__all__ = ["Exit", "of_campaign", "of_found", "of_proof", "overall"]


class Exit(enum.IntEnum):
    OK = 0
    VIOLATION = 1
    INCONCLUSIVE = 2
    ENVIRONMENT = 3
    USAGE = 4
    BUG = 5
    INTERRUPTED = 130
    PIPE = 141


_PRECEDENCE = (Exit.BUG, Exit.USAGE, Exit.ENVIRONMENT, Exit.VIOLATION, Exit.INCONCLUSIVE, Exit.OK)


def overall(codes: Iterable[Exit]) -> Exit:
    """The code of a run from those of its parts; of no parts, OK."""
    present = set(codes)
    return next((code for code in _PRECEDENCE if code in present), Exit.OK)


def of_proof(report: ProofReport) -> Exit:
    """What a proof report comes to."""
    verdicts = {promise.verdict for promise in report.promises}
    if Verdict.REFUTED in verdicts:
        return Exit.VIOLATION
    return Exit.INCONCLUSIVE if Verdict.UNDETERMINED in verdicts else Exit.OK


def of_found(found: str) -> Exit:
    """What an exploration comes to (`siteproof.model.ending.Found`, told apart by its words: no engine is loaded for it)."""
    return {"broken": Exit.VIOLATION, "undetermined": Exit.INCONCLUSIVE}.get(found, Exit.OK)


def of_campaign(result: CampaignResult) -> Exit:
    """What a campaign comes to."""
    return {
        Outcome.CONFORMS: Exit.OK,
        Outcome.VIOLATION: Exit.VIOLATION,
        Outcome.INCONCLUSIVE: Exit.INCONCLUSIVE,
    }[result.outcome]
