"""A scripted acquaintance with a driver: what works, what is missing, what is wrong and how to mend it, line by line.

Rules
1. First the calls one by one: handshake, start, observe, read, stop, start again, which must find nothing of the case before, and
   write. Then each operation and each fault of the interface in a short case of its own, on a fresh start, so that one mistake
   does not hide another.
2. A case is chosen by playing it on the model: the first route on which the flow accepts the operation. Where the flow offers
   none, the refusal is tried. The same oracle judges the answers, observations and disks as in a campaign.
3. What is not claimed is *missing*: campaigns skip and count it, and it is never green. What is claimed and does not work is
   *wrong*: the driver's own mistake (it failed, or answered what the interface does not have), or a divergence of the system.
4. What cannot be tried because something else is wrong or missing is *not tried*, and not green either.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from siteproof.conformance.acquaintance_routes import MACHINE, ROUTES, on_the_model, operate
from siteproof.conformance.case import (
    FAULTS,
    OPERATIONS,
    STRUCK_ONCE,
    Advance,
    Command,
    Fault,
    Heal,
    Operate,
    Scenario,
    Settle,
    StartMachine,
    Steps,
    Write,
    describe,
)
from siteproof.conformance.closure import Promised
from siteproof.conformance.content import BLOCK
from siteproof.conformance.driver import UNKNOWN, Capabilities, Observation, Rejected
from siteproof.conformance.drivers.registry import check_flow
from siteproof.conformance.errors import DriverError
from siteproof.conformance.exits import Exit, overall
from siteproof.conformance.guarded import Guarded
from siteproof.conformance.report.words import wrong_in_words
from siteproof.conformance.session import DriverFactory, Session, base_for

__all__ = ["Acquaintance", "Finding", "Standing", "exit_of", "flows_of"]

class Standing(enum.Enum):
    WORKS = "works"
    MISSING = "missing"
    NOT_TRIED = "not tried"
    FAILED = "driver failed"
    DIVERGES = "diverges"


_CODES = {
    Standing.WORKS: Exit.OK,
    Standing.MISSING: Exit.INCONCLUSIVE,
    Standing.NOT_TRIED: Exit.INCONCLUSIVE,
    Standing.FAILED: Exit.ENVIRONMENT,
    Standing.DIVERGES: Exit.VIOLATION,
}


@attrs.frozen
class Finding:
    """One line: what was looked at, how it stands, what was seen, and how to mend it (empty where there is nothing to)."""

    subject: str
    standing: Standing
    text: str
    mend: str = ""


def exit_of(findings: Iterable[Finding]) -> Exit:
    """What findings come to."""
    return overall(_CODES[one.standing] for one in findings)


def flows_of(factory: DriverFactory, name: str) -> tuple[str, ...]:
    """The flows that a driver names in its handshake; none means any. Raises `DriverError`."""
    guarded = Guarded(factory(), name)
    _quietly(guarded)
    return tuple(sorted(guarded.capabilities.flows))


def _quietly(guarded: Guarded) -> None:
    """Stop, whatever it says."""
    try:
        with guarded.deadline_for("stop"):
            guarded.stop()
    except DriverError:
        return


class Acquaintance:
    """Getting to know one driver. `source` is the topology as a case names it; `can` is what the handshake said, once it has."""

    def __init__(self, name: str, factory: DriverFactory, source: str, promised: Promised) -> None:
        self.name, self.factory, self.promised = name, factory, promised
        self.scenario = Scenario(source)
        self.base = base_for(self.scenario)
        self.can: Capabilities | None = None
        self._told: set[str] = set()
        self._common = 0
        """How many common points of a group the last case showed."""

    def findings(self, ends: Callable[[], bool | None] | None = None) -> Iterator[Finding]:
        """All findings, as they are made. `ends`, where a driver has a process of its own, ends it and says whether it went by
        itself; None when there was none left to end."""
        yield from self._calls()
        if self.can is not None and self._works("start") and self._works("observe"):
            can, write = self.can, Write(MACHINE, "primary", 1)
            yield self._play("write", [write, write], "acknowledged, and read back")
            for operation in OPERATIONS:
                yield self._operation(can, operation)
            for fault in FAULTS:
                if fault != "gateway" or self.promised.model.facts.values.get("gateway.present"):
                    yield self._fault(can, fault)
            yield from self._beside(can)
        by_itself = ends() if ends is not None else None
        if by_itself is not None:
            yield self._ending(by_itself)

    def _works(self, call: str) -> bool:
        return call in self._told

    # ------------------------------------------------------------------------------------------------------- single calls

    def _calls(self) -> Iterator[Finding]:
        """Handshake, start, observe, read, stop; and the same again."""
        try:
            guarded = Guarded(self.factory(), self.name)
        except DriverError as error:
            yield _failed("handshake", error)
            return
        can = self.can = guarded.capabilities
        try:
            check_flow(self.name, can.flows, self.promised.name)
        except DriverError as error:
            yield _failed("handshake", error)
            return
        yield self._fine("handshake", f"{can.name}, version {can.version}")
        first: list[Observation] = []
        yield from self._round(guarded, first)
        if not self._works("observe"):
            return
        try:
            again = Guarded(self.factory(), self.name)
            with again.deadline_for("start"):
                again.start(self.scenario, 0, self.base)
                seen = again.observe(MACHINE)
        except DriverError as error:
            yield _failed("start again", error, "after stop, a driver is started again for the next case")
            return
        _quietly(again)
        if seen != first[0]:
            changed = next(f.name for f in attrs.fields(Observation) if getattr(seen, f.name) != getattr(first[0], f.name))
            yield Finding(
                "start again", Standing.FAILED,
                f"{changed} is {_said(getattr(seen, changed))} after stop and start; it was {_said(getattr(first[0], changed))}",
                "let stop take everything down, and start set everything up anew",
            )  # fmt: skip
        else:
            yield self._fine("start again", "nothing of the case before is left")

    def _round(self, guarded: Guarded, first: list[Observation]) -> Iterator[Finding]:
        """One start to stop. The case fails over where it can, so that something is there to be taken down."""
        can = guarded.capabilities
        try:
            with guarded.deadline_for("start"):
                guarded.start(self.scenario, 0, self.base)
            yield self._fine("start", f"{self.promised.name}: one machine with one disk of {self.base.blocks} blocks")
            with guarded.deadline_for("observe"):
                first.append(guarded.observe(MACHINE))
            yield self._seen(first[0])
            yield from self._reading(guarded, can)
            if "EnableProtection" in can.operations:
                with guarded.deadline_for("EnableProtection"):
                    guarded.execute(MACHINE, "EnableProtection", None)
                    guarded.settle()
        except DriverError as error:
            subject = "start" if not self._works("start") else "observe" if not self._works("observe") else "operation"
            if subject != "operation":  # an operation that fails is told of where it is tried
                yield _failed(subject, error)
            _quietly(guarded)
            return
        try:
            with guarded.deadline_for("stop"):
                guarded.stop()
        except DriverError as error:
            yield _failed("stop", error)
        else:
            yield self._fine("stop", "answered")

    def _seen(self, seen: Observation) -> Finding:
        """The first observation: of an unprotected machine that runs at primary."""
        untold = [f.name for f in attrs.fields(Observation) if _is_unknown(getattr(seen, f.name))]
        self._told.add("observe")
        if untold:
            return Finding(
                "observe", Standing.MISSING, f"not told, and so never judged: {', '.join(untold)}",
                "show what the system can tell of section 6 of docs/interface.md; null, 0 and [] are things to tell",
            )  # fmt: skip
        return Finding("observe", Standing.WORKS, "every field is told")

    def _reading(self, guarded: Guarded, can: Capabilities) -> Iterator[Finding]:
        if not can.reads_sides:
            yield _missing("read of sides", "the active side's disk is never read", "claim reads_sides, and read them")
            return
        try:
            with guarded.deadline_for("read"):
                data = guarded.read(MACHINE, "primary", 0, 0, self.base.blocks * BLOCK)
        except DriverError as error:
            yield _failed("read", error)
            return
        due = self.base.data(0, self.base.blocks)
        blocks = (slice(start, start + BLOCK) for start in range(0, len(due), BLOCK))
        wrong = next((number for number, block in enumerate(blocks) if data[block] != due[block]), None)
        if wrong is not None:
            yield Finding(
                "read", Standing.FAILED, f"block {wrong} of primary's disk is not what the disk was started with",
                "fill each disk with the base of start; offset and length are bytes, block n begins at n × 4096",
            )  # fmt: skip
        else:
            yield self._fine("read", "primary's disk holds what it was started with")

    # ------------------------------------------------------------------------------------------------------ short cases

    def _operation(self, can: Capabilities, operation: str) -> Finding:
        """One operation, where the flow accepts it."""
        if operation not in can.operations:
            return _missing(operation, "not claimed", "name it in 'operations' when the driver can ask for it")
        route, lacking = self._route(can, operation)
        if route is None:
            if lacking:
                return Finding(operation, Standing.NOT_TRIED, f"leads over what is not claimed: {', '.join(lacking)}")
            return self._play(operation, [operate(operation)], "refused, since this flow does not offer it")
        commands, target = route
        return self._play(operation, commands, "accepted, done, and its effects are right", target)

    def _route(self, can: Capabilities, operation: str) -> tuple[tuple[Sequence[Command], int] | None, list[str]]:
        """Commands with which the model does the operation, and which of them is the operation. Also what each way lacks."""
        lacking: list[str] = []
        for way in ROUTES[operation]:
            unclaimed = [one for one in way if one not in can.operations and one not in can.faults]
            commands, target = on_the_model(self.promised, self.scenario.topology, (*way, operation))
            if commands and not unclaimed:
                return (commands, target), []
            if commands and not lacking:
                lacking = unclaimed
        return None, lacking

    def _fault(self, can: Capabilities, fault: str) -> Finding:
        """One fault: it strikes, what it makes impossible is refused, and it heals."""
        subject = f"fault {fault}"
        if fault not in can.faults:
            return _missing(subject, "not claimed", "name it in 'faults' when the driver can bring it about")
        protect: list[Command] = [operate("EnableProtection"), Settle(), Write(MACHINE, "primary", 1), Settle()]
        if "EnableProtection" not in can.operations:
            protect = []
        if fault in STRUCK_ONCE:
            struck = [*protect, Write(MACHINE, "primary", 2), Fault(fault), Settle()]
            return self._play(subject, struck, "it strikes, and what has to follow does", len(protect) + 1)
        commands: list[Command] = [
            Fault(fault), *protect[:1], Heal(fault), Settle(), *protect, Fault(fault), Write(MACHINE, "primary", 2), Settle(),
            Heal(fault), Settle(), Write(MACHINE, "primary", 3), Settle(),
        ]  # fmt: skip
        return self._play(subject, commands, "it strikes, shows, and heals", 0)

    def _beside(self, can: Capabilities) -> Iterator[Finding]:
        """What stands beside operations and faults."""
        protect: list[Command] = [operate("EnableProtection"), Settle()] if "EnableProtection" in can.operations else []
        write = Write(MACHINE, "primary", 1)
        if can.cached_writes:
            cached = [*protect, Write(MACHINE, "primary", 2, cached=True), Settle(), write, Settle()]
            yield self._play("cached write", cached, "reaches the disk with the next plain one")
        else:
            yield _missing("cached write", "not claimed", "claim cached_writes when the guest can write without a flush")
        cut: list[Command] = [Fault("primary-site"), Heal("primary-site")] if "primary-site" in can.faults else []
        yield self._play("start_machine", [*cut, StartMachine(MACHINE, "primary"), Settle(), write], "the machine runs", len(cut))
        if can.advancing:
            yield self._play("advance", [*protect, write, Advance(60), Advance(60)], "time passes")
        else:
            yield _missing("advance", "not claimed", "claim advancing when time can be let pass")
        if can.stepping:
            steps = [*protect[:1], Steps(3), Steps(3), write, Steps(3), Settle()]
            yield self._play("step", steps, "one internal event at a time")
        grouped = can.groups and can.machines > 1 and self.promised.model.facts.values.get("group.supported")
        if grouped and "EnableProtection" in can.operations:
            yield self._grouped(can)
        if not can.reads_points:
            yield _missing("read of points", "restored points are never read", "claim reads_points, and read them by their id")

    def _grouped(self, can: Capabilities) -> Finding:
        """Two machines in a group write, time passes, and there is a common point that is one."""
        machines = (MACHINE, "m1")
        pair = attrs.evolve(self.scenario, machines=machines, groups={"g": machines})
        writes: list[Command] = [Write(machine, "primary", 1) for machine in machines]
        waits: list[Command] = [Advance(600), Settle()] if can.advancing else []
        protect = [Operate(machine, "EnableProtection") for machine in machines]
        commands = [*protect, Settle(), *writes, Settle(), *waits]
        found = self._play("replication groups", commands, "their common points are one instant", scenario=pair)
        if found.standing is Standing.WORKS and not self._common:
            return Finding(
                found.subject, Standing.MISSING, "claimed, and no common point was shown at both machines and could be read",
                "tell 'common' with the points that the machines of a group have in common: docs/interface.md, section 6",
            )  # fmt: skip
        return found

    def _play(
        self, subject: str, commands: Sequence[Command], fine: str, target: int | None = None, scenario: Scenario | None = None
    ) -> Finding:
        """Play a case, on one machine or on `scenario`; `target` is the command that it is about."""
        session: Session | None = None
        at = len(commands) - 1 if target is None else target
        doing = "start"
        try:
            session = Session(scenario or self.scenario, 0, self.factory, self.promised, name=self.name, base=self.base)
            for number, command in enumerate(commands):
                doing = describe(command)
                goes_on = session.step(command)
                if number == target and isinstance(command, Operate) and isinstance(session.answer, Rejected):
                    session.finish(thorough=False)
                    return self._refused(subject, session.answer.code, number)
                if not goes_on:
                    break
            doing = "the last look"
            session.finish()
            self._common = sum(group.judged for group in session.groups)
        except DriverError as error:
            if session is not None:
                session.abandon()
            return self._wrong(_failed(subject, error), doing)
        except BaseException:
            if session is not None:
                session.abandon()
            raise
        found = session.divergence
        if found is not None:
            when = f"after {describe(commands[found.step])}, " if 0 <= found.step < len(commands) else ""
            text = f"{when}{wrong_in_words(found)}. {found.sentence}"
            mend = f"{_section(found.field)}; siteproof run would call this a violation of {found.promise}"
            return self._wrong(Finding(subject, Standing.DIVERGES, text, mend), doing if found.step < at else "")
        return self._fine(subject, fine)

    def _refused(self, subject: str, code: str, number: int) -> Finding:
        text = f"claimed, and refused with {code} where the flow accepts it"
        mend = "leave it out of 'operations', or see docs/interface.md, sections 2 and 3, for when it has to be accepted"
        return self._wrong(Finding(subject, Standing.DIVERGES, text, mend), str(number) if number else "")

    def _wrong(self, finding: Finding, before: str) -> Finding:
        """A finding; one that repeats another is shortened to that."""
        if before and finding.text in self._told:
            return Finding(finding.subject, Standing.NOT_TRIED, "the same went wrong as above, before it could be tried")
        self._told.add(finding.text)
        return finding

    def _fine(self, subject: str, text: str) -> Finding:
        self._told.add(subject)
        return Finding(subject, Standing.WORKS, text)

    def _ending(self, by_itself: bool) -> Finding:
        """The end of the driver's own process."""
        if by_itself:
            return self._fine("end", "it goes when its standard input is closed")
        return Finding(
            "end", Standing.FAILED, "it did not end when its standard input was closed, and was killed",
            "end when reading standard input finds its end; what the driver has started, it has to end",
        )  # fmt: skip


_SECTIONS = (
    ("content", "see docs/interface.md, section 6, on what read has to return"),
    ("allowed_operations", "see docs/interface.md, section 3, on allowed_operations"),
    ("answer", "see docs/interface.md, sections 2 and 3"),
    ("running", "see docs/interface.md, section 5: running is probed"),
)


def _section(field: str) -> str:
    """Where the interface says what a field has to be."""
    return next((told for word, told in _SECTIONS if word in field), "see docs/interface.md, sections 4 and 6")


def _failed(subject: str, error: DriverError, mend: str = "") -> Finding:
    text = f"found {error.found}; expected {error.expected}"
    return Finding(subject, Standing.FAILED, text, error.mend or mend or "see docs/interface.md")


def _missing(subject: str, text: str, mend: str) -> Finding:
    return Finding(subject, Standing.MISSING, f"{text}: skipped in campaigns, counted, and never green", mend)


def _is_unknown(value: object) -> bool:
    return value is UNKNOWN or (isinstance(value, tuple) and UNKNOWN in value)


def _said(value: object) -> str:
    return ", ".join(map(_said, value)) or "empty" if isinstance(value, tuple) else str(value)
