"""Writes a trace while a run goes on: what was done and answered, and exactly what the oracle was shown.

Rules
1. A line is written when its command has been judged, so a run that is killed leaves a trace that ends early, and is known by
   its missing last line. A run that is interrupted or fails closes its trace, and says so in it.
2. The recorder decides nothing: what was read, and when, is the session's affair (`siteproof.conformance.session`).
3. A point that is read again and is as it was is not written again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

import attrs

from siteproof.conformance.case import Command, Operate, Scenario, Settle, command_to_json
from siteproof.conformance.content import View, WriteRecord
from siteproof.conformance.driver import Answer, Capabilities, Observation, answer_to_json
from siteproof.conformance.errors import DriverError
from siteproof.conformance.results import CampaignResult, Divergence
from siteproof.conformance.traces.values import FORMAT, KIND, told_view

__all__ = ["TraceWriter"]


class TraceWriter:
    """A trace file that is written, and the recorder of its sessions (`siteproof.conformance.session.Recorder`). Use it as a
    context; `result` tells it what a campaign came to. Raises `OSError` when the file cannot be written."""

    def __init__(self, file: Path, by: str = "") -> None:
        self._stream: IO[str] = file.open("w", encoding="utf-8")
        self._seen: dict[str, Any] = {}
        self._read: dict[str, dict[str, Any]] = {}
        self._again: dict[str, dict[str, Any]] = {}
        self._now: float | None = None
        self._results: list[CampaignResult] = []
        self._line({"kind": KIND, "format": FORMAT, "by": by})

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            outcome, reason = self._outcome()
        elif isinstance(error, DriverError):
            outcome, reason = "error", str(error)
        else:
            outcome, reason = "interrupted", "the run was interrupted"
        self.close(outcome, reason)

    def close(self, outcome: str, reason: str) -> None:
        """Write the last line. A second call does nothing."""
        if not self._stream.closed:
            self._line({"kind": "end", "outcome": outcome, "reason": reason})
            self._stream.close()

    def result(self, result: CampaignResult) -> None:
        """A campaign is over."""
        self._results.append(result)

    def _outcome(self) -> tuple[str, str]:
        for word in ("violation", "inconclusive"):
            for result in self._results:
                if result.outcome.value == word:
                    return word, result.reason
        return ("conforms", "") if self._results else ("inconclusive", "no campaign came to its end")

    # ------------------------------------------------------------------------------------------------ a session's

    def case(self, scenario: Scenario, seed: int, can: Capabilities) -> None:
        """A case begins."""
        self._forget()
        self._line(
            {
                "kind": "case",
                "recorded": True,
                "scenario": scenario.to_json(),
                "seed": seed,
                "moves_by_itself": can.moves_by_itself,
                "strict_order": can.strict_order,
            }
        )

    def looked(self, machine: str, seen: Observation, now: float | None) -> None:
        self._seen[machine], self._now = seen.to_json(), now

    def read(self, machine: str, where: str, view: View) -> None:
        self._read.setdefault(machine, {})[where] = told_view(view)

    def changed(self, machine: str, point: str, now: View) -> None:
        self._again.setdefault(machine, {})[point] = told_view(now)

    def step(
        self, command: Command | None, point: str | None, answer: Answer | bool | None, record: WriteRecord | None = None
    ) -> None:
        row: dict[str, Any] = {"kind": "look"}
        if command is not None:
            row = command_to_json(command) | answer_to_json(answer)
        if isinstance(command, Operate):
            row.pop("point", None)
            row |= {"point": point} if point is not None else {}
        if isinstance(command, Settle) and answer is False:
            row["answer"] = "refused"
        if record is not None:
            row |= {"block": record.tag.block} | ({"branch": record.tag.branch} if record.tag.branch else {})
        for key, told in (("seen", self._seen), ("read", self._read), ("again", self._again)):
            if told:
                row[key] = told
        if self._now is not None:
            row["time"] = self._now
        self._line(row)
        self._forget()

    def skip(self, command: Command) -> None:
        row = command_to_json(command)
        row.pop("point", None)  # it was never resolved
        self._line(row | {"answer": "skipped"})

    def end(self, divergence: Divergence | None, overflow: bool) -> None:
        found: dict[str, Any] = {} if divergence is None else attrs.asdict(divergence)
        self._line({"kind": "case-end", "found": {"overflow": True} if overflow else found})

    def _forget(self) -> None:
        self._seen, self._read, self._again = {}, {}, {}

    def _line(self, row: dict[str, Any]) -> None:
        self._stream.write(json.dumps(row, ensure_ascii=False, separators=(", ", ": ")) + "\n")
