"""Reads the file of a trace (`docs/trace.md`) into values.

Rules
1. Reading is strict: whatever is no trace of this version is one `TraceError`, which names file and line.
2. It is done case by case, so that a long trace is never in memory whole.
3. A file that ends early is told how to be ended: what is whole in it can still be judged.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import attrs

from siteproof.conformance.case import (
    SIDES,
    Case,
    Command,
    Operate,
    Scenario,
    Settle,
    StartMachine,
    Write,
    command_from_json,
)  # fmt: skip
from siteproof.conformance.content import View
from siteproof.conformance.driver import CODES, UNKNOWN, WORDS, Accepted, Answer, Common, Observation, Rejected
from siteproof.conformance.errors import CaseError
from siteproof.conformance.judgement import usual_point
from siteproof.conformance.traces.values import FORMAT, HIDDEN, KIND, SEE, UNSEEN, Entry, TraceCase, TraceError, seconds_of

__all__ = ["Reader"]

_BESIDE = ("answer", "code", "at", "start", "end", "time", "seen", "read", "again", "branch", "assumed", "note")
"""The keys of an entry that are not its command's."""
_GAP = ("machine", "operations", "at", "start", "end", "about", "note")
"""Those of a gap."""
_END = '{"kind": "end"}'
_CUT = f"record it again; or add a line {_END} to have what is there judged"


class Reader:
    """Reads a trace, case by case. After the last case, `outcome` and `reason` are what the run itself came to, where recorded,
    and `lines` is the number of lines."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.line = 0
        self.by = ""
        self.outcome: str | None = None
        self.reason = ""
        self._ended = False
        self._writes: Counter[str] = Counter()
        """By machine, the writes of the case that have been read."""

    def cases(self) -> Iterator[TraceCase]:
        """Raises `TraceError`, at the latest after the last case."""
        try:
            with self.file.open("rb") as stream:
                yield from self._cases(stream)
        except OSError as error:
            raise TraceError(self.file, 0, f"no readable file ({error.strerror})", "a trace", "name another file") from error

    def fail(self, found: str, expected: str, mend: str = SEE) -> NoReturn:
        raise TraceError(self.file, self.line, found, expected, mend)

    def _rows(self, stream: BinaryIO) -> Iterator[dict[str, Any]]:
        for number, text in enumerate(stream, 1):
            self.line = number
            if not text.strip():
                continue
            try:
                row = json.loads(text.decode("utf-8"))
            except (ValueError, RecursionError) as error:
                if not text.endswith(b"\n"):
                    mend = f"record it again; or put {_END} in the place of line {number} to have what is before it judged"
                    self.fail("a line that is cut off", "a whole line of JSON", mend)
                strange = isinstance(error, UnicodeDecodeError)
                wrong = "bytes that are not UTF-8" if strange else f"text that is not JSON ({error})"
                self.fail(wrong, "one JSON object a line", f"correct line {number}; or remove it, if it is half a line")
            if not isinstance(row, dict):
                self.fail(f"a {type(row).__name__}", "a JSON object")
            yield row

    def _cases(self, stream: BinaryIO) -> Iterator[TraceCase]:
        rows = self._rows(stream)
        self._header(next(rows, {}))
        opened: TraceCase | None = None
        entries: list[Entry] = []
        closed = False
        for row in rows:
            kind = row.get("kind")
            if self._ended:
                self.fail(f"a line of the kind {kind!r}", "nothing after the line of the kind 'end'", "leave out what follows it")
            if kind in ("case", "end"):
                if opened is not None:
                    yield attrs.evolve(opened, entries=tuple(entries))
                opened, entries, closed = (self._opened(row) if kind == "case" else None), [], False
                if kind == "end":
                    self._end(row)
            elif opened is None:
                self.fail(f"the kind {kind!r} outside of a case", "a line of the kind 'case' before it")
            elif closed:
                self.fail(f"the kind {kind!r} after the case's end", "'case' or 'end'")
            elif kind == "case-end":
                self._only(row, "kind", "found")
                found = row.get("found")
                if found is not None and not isinstance(found, dict):
                    self.fail(f"found {found!r}", "an object, or null")
                known = "found" in row
                opened, closed = attrs.evolve(opened, found=(found or {}) if known else None,
                                              recorded=opened.recorded or known), True
            else:
                entries.append(self._entry(row, opened, entries[-1] if entries else None))
        if not self._ended:
            self.line += 1
            self.fail("the end of the file", 'the line {"kind": "end"}, which says that the trace is whole', _CUT)

    def _header(self, row: dict[str, Any]) -> None:
        self.line = self.line or 1
        if row.get("kind") != KIND:
            self.fail(f"the kind {row.get('kind')!r}" if row else "an empty file", f'{{"kind": "{KIND}", "format": {FORMAT}}}')
        if row.get("format") != FORMAT:
            newer = isinstance(row.get("format"), int) and row["format"] > FORMAT
            mend = "use the release that wrote it, or a later one" if newer else "write the number that docs/trace.md names"
            self.fail(f"format {row.get('format')!r}", f"format {FORMAT}, the version that this release reads", mend)
        self._only(row, "kind", "format", "by", "note")
        self.by = str(row.get("by", ""))

    def _opened(self, row: dict[str, Any]) -> TraceCase:
        self._only(row, "kind", "scenario", "seed", "moves_by_itself", "strict_order", "unseen", "recorded", "note")
        self._writes.clear()
        whole = {"format": 1, "scenario": row.get("scenario"), "seed": row.get("seed", 0), "commands": []}
        try:
            case = Case.from_json(whole, "case")
        except CaseError as error:
            self.fail(f"{error.where}: {error.found}", error.expected)
        unseen = row.get("unseen", [])
        if not isinstance(unseen, list) or not set(map(str, unseen)) <= set(UNSEEN):
            self.fail(f"unseen {unseen!r}", f"a list with some of {', '.join(UNSEEN)}")
        moves, strict = row.get("moves_by_itself", True), row.get("strict_order", False)
        recorded = row.get("recorded", False)
        for name, value in (("moves_by_itself", moves), ("strict_order", strict), ("recorded", recorded)):
            if not isinstance(value, bool):
                self.fail(f"{name} {value!r}", "true or false")
        return TraceCase(self.line, case.scenario, case.seed, moves, strict, frozenset(unseen), (), recorded=recorded)

    def _end(self, row: dict[str, Any]) -> None:
        self._only(row, "kind", "outcome", "reason")
        self._ended = True
        self.outcome = None if row.get("outcome") is None else str(row["outcome"])
        self.reason = str(row.get("reason", ""))

    def _only(self, row: dict[str, Any], *keys: str) -> None:
        if unknown := [key for key in row if key not in keys]:
            self.fail(f"the unknown key {unknown[0]!r}", f"only {', '.join(keys)}")

    # ------------------------------------------------------------------------------------------------------ entries

    def _entry(self, row: dict[str, Any], case: TraceCase, before: Entry | None) -> Entry:
        if row.get("kind") == "gap":
            return self._gap(row, case, before)
        own = {key: value for key, value in row.items() if key not in _BESIDE}
        command, point = (None, None) if row.get("kind") == "look" else self._command(own, case.scenario)
        if command is None:
            self._only(own, "kind")
        machine = getattr(command, "machine", None)
        if machine is not None and machine not in case.scenario.machines:
            self.fail(f"the machine {machine!r}", f"one of the case's machines: {', '.join(case.scenario.machines)}")
        if isinstance(command, Write):
            self._writes[command.machine] += 1
        answer, skipped = self._answer(row, command)
        start, end = self._times(row, before)
        seen = {m: self._observation(m, one) for m, one in self._by_machine(row, "seen", case).items()}
        branch = row.get("branch", 0)
        if type(branch) is not int or branch < 0:
            self.fail(f"branch {branch!r}", "a whole number from 0")
        return Entry(
            self.line, command, point, answer, skipped, start, end, seen,
            {m: self._views(m, one) for m, one in self._by_machine(row, "read", case).items()},
            {m: self._views(m, one) for m, one in self._by_machine(row, "again", case).items()},
            branch, str(row.get("assumed", "")), self._time(row.get("time")),
        )  # fmt: skip

    def _gap(self, row: dict[str, Any], case: TraceCase, before: Entry | None) -> Entry:
        self._only(row, "kind", *_GAP)
        machine, about = row.get("machine"), row.get("about", "")
        if machine is not None and machine not in case.scenario.machines:
            self.fail(f"the machine {machine!r}", f"one of the case's machines: {', '.join(case.scenario.machines)}, or none")
        if not isinstance(about, str):
            self.fail(f"about {about!r}", "a text: what is known of it")
        hidden = row.get("operations", HIDDEN)
        if type(hidden) is not int or not 0 < hidden <= HIDDEN:
            self.fail(f"operations {hidden!r}", f"how many operations the gap may hide, from 1 to {HIDDEN}")
        start, end = self._times(row, before)
        machines = case.scenario.machines if machine is None else (machine,)
        return Entry(self.line, None, start=start, end=end, gap=frozenset(machines), hidden=hidden, about=about)

    def _command(self, row: dict[str, Any], scenario: Scenario) -> tuple[Command, str | None]:
        point = row.get("point")
        if point is not None and not isinstance(point, str):
            self.fail(f"point {point!r}", "a point's id, latest, latest-processed or latest-app-consistent")
        try:
            command = command_from_json({k: v for k, v in row.items() if k != "point"}, "kind")
        except CaseError as error:
            kinds = error.found.startswith("kind ")
            where = error.where.removeprefix("kind").removeprefix(", ")
            more = "one of look, gap, case, case-end, end, "
            expected = error.expected.replace("one of ", more, 1) if kinds else error.expected
            self.fail(f"{where} {error.found}".strip(), expected)
        if isinstance(command, Operate):
            usual = usual_point(command.operation)
            if point is not None and usual is None:
                self.fail(f"a point with {command.operation}", "no point: this operation has none")
            return attrs.evolve(command, point=point), point or usual
        if point is not None:
            self.fail("a point", "a point only with an operation that has one")
        if isinstance(command, Write) and (command.disk >= scenario.disks or command.block >= scenario.blocks):
            where = f"block {command.block} of disk {command.disk}"
            self.fail(where, f"disks below {scenario.disks}, blocks below {scenario.blocks}", "correct it, or the scenario")
        return command, None

    def _answer(self, row: dict[str, Any], command: Command | None) -> tuple[Answer | bool | None, bool]:
        told = row.get("answer")
        words: dict[str, Answer | bool | None] = {"unknown": None, "skipped": None}
        if isinstance(command, Operate):
            code = row.get("code", "")
            if code and code not in CODES:
                self.fail(f"the code {code!r}", f"one of {', '.join(CODES)}")
            if code and told != "rejected":
                self.fail(f"a code with the answer {told!r}", "a code only where the answer is 'rejected'")
            words |= {"accepted": Accepted(), "rejected": Rejected(code)}
        elif isinstance(command, Write | StartMachine | Settle):
            words |= {"done": True, "refused": False}
        else:
            words |= {"done": True}
        if told is None and isinstance(command, Operate | Write | StartMachine):
            return None, False
        if told is None:
            return True, False
        if not isinstance(told, str) or told not in words:
            self.fail(f"the answer {told!r}", f"one of {', '.join(sorted(words))}")
        return words[told], told == "skipped"

    def _times(self, row: dict[str, Any], before: Entry | None) -> tuple[float | None, float | None]:
        if "at" in row and ("start" in row or "end" in row):
            self.fail("an instant ('at') and a span", "one of them")
        if "end" in row and "start" not in row:
            self.fail("the end of a span without its start", "'start' and 'end', or 'at'")
        if "start" in row and "end" not in row:
            endless = ("operation", "write", "start-machine", "gap")
            if row.get("answer", "unknown") != "unknown" or row.get("kind") not in endless:
                self.fail("a span without an end", "'end', too; only a command that was never answered, or a gap, has none")
            if row.get("seen") or row.get("read") or row.get("again"):
                self.fail("something seen in a span without an end", "a line of its own, of the kind 'look'")
            return self._in_order(self._time(row["start"]), before), float("inf")
        start, end = (self._time(row.get(key)) for key in (("at", "at") if "at" in row else ("start", "end")))
        if start is not None and end is not None and end < start:
            self.fail("an end before the start", "a start that is no later than the end")
        return self._in_order(start, before), end

    def _in_order(self, start: float | None, before: Entry | None) -> float | None:
        if before is not None and before.start is not None and start is not None and start < before.start:
            self.fail(f"a beginning before that of line {before.line}", "entries in the order of their beginnings", "sort them")
        return start

    def _time(self, value: Any) -> float | None:
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        try:
            return seconds_of(value)
        except (TypeError, ValueError):
            self.fail(f"the time {value!r}", "seconds, or a time such as 2017-03-04T09:00:00Z")

    def _by_machine(self, row: dict[str, Any], key: str, case: TraceCase) -> dict[str, dict[str, Any]]:
        told = row.get(key, {})
        if not isinstance(told, dict) or not all(isinstance(one, dict) for one in told.values()):
            self.fail(f"{key} {told!r}", "an object with an object for each machine")
        if strange := [m for m in told if m not in case.scenario.machines]:
            self.fail(f"{key} of the machine {strange[0]!r}", f"one of the case's machines: {', '.join(case.scenario.machines)}")
        return told

    def _observation(self, machine: str, row: dict[str, Any]) -> Observation:
        known = [f.name for f in attrs.fields(Observation) if f.name != "common"]
        if unknown := [key for key in row if key not in known]:
            self.fail(f"the unknown field {unknown[0]!r} of {machine}", f"some of {', '.join(known)}")

        def wrong(field: str, expected: str) -> NoReturn:
            self.fail(f"{field} = {row[field]!r}", expected)

        values: dict[str, Any] = dict(row)
        for field, words in WORDS.items():
            if field in row and row[field] not in words and not (field == "job" and row[field] is None):
                wrong(field, "one of " + ", ".join(words) + (", or null" if field == "job" else ""))
        for field in ("received", "loss"):
            if row.get(field) is not None and (type(row[field]) is not int or row[field] < 0):
                wrong(field, "a number of writes, or null")
        if row.get("failover_point") is not None and not isinstance(row["failover_point"], str):
            wrong("failover_point", "a point's id, or null")
        for field in ("allowed_operations", "alerts"):
            if field in row:
                if not isinstance(row[field], list) or not all(isinstance(one, str) for one in row[field]):
                    wrong(field, "a list of names")
                values[field] = tuple(row[field])
        if "points" in row:
            points = row["points"]
            if not isinstance(points, list) or not all(map(_is_point, points)):
                wrong("points", 'a list of {"id": …, "kind": …}, oldest first; with "common" and "time" in a common point')
            values["points"] = tuple((p["id"], p["kind"]) for p in points)
            values["common"] = tuple(Common(p["id"], p["common"], p.get("time")) for p in points if "common" in p)
        running = row.get("running", {})
        if not isinstance(running, dict) or not set(running) <= set(SIDES) or not all(
            isinstance(v, bool) for v in running.values()
        ):
            wrong("running", 'an object such as {"primary": true, "recovery": false}')
        values["running"] = tuple(running.get(side, UNKNOWN) for side in SIDES)
        return Observation(**values)

    def _views(self, machine: str, row: dict[str, Any]) -> dict[str, View]:
        found = {}
        for place, told in row.items():
            try:
                writes = {int(address): number for address, number in told["writes"].items()}
                rubbish = tuple((int(address), str(text)) for address, text in told.get("rubbish", ()))
            except (TypeError, ValueError, KeyError, AttributeError):
                self.fail(f"the content {told!r} of {place}", 'an object such as {"writes": {"5": 3}}: write 3 in block 5')
            if not all(type(number) is int and number > 0 for number in writes.values()):
                self.fail(f"the content {told!r} of {place}", "the numbers of writes, from 1")
            if strange := [number for number in writes.values() if number > self._writes[machine]]:
                told_so_far = f"{self._writes[machine]} writes of {machine} stand in the trace before it"
                self.fail(f"write {strange[0]} in {place}", f"a write that was told: {told_so_far}",
                          "correct the number; or add the line of the write before this one")
            found[place] = View(writes, rubbish)
        return found


def _is_point(row: Any) -> bool:
    """Whether it is a point as an observation has it, and its time, where it is a common one, a number."""
    if not isinstance(row, dict) or not {"id", "kind"} <= set(row) <= {"id", "kind", "common", "time"}:
        return False
    time = row.get("time", 0)
    return all(isinstance(v, str) for k, v in row.items() if k != "time") and isinstance(time, int | float)
