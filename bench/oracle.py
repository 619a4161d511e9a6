"""What it costs to judge: `python bench/oracle.py [--cases N] [--long STEPS] [--json FILE]`.

Rules
1. A *step* is a command of a case. Every step ends with a look at every machine, so each is checked in full.
2. All contenders are given the same cases: those of seeded campaigns of the state-guided engine on the bundled implementation,
   in all flows, in its simulated runtime without disk sync. They take turns (A B C A B C …); medians are shown.
3. Seconds are the processor's, since other work on the machine would count otherwise; the load stands beside the figures.
4. Nothing here is a test: no figure makes anything fail.

The contenders:

* *the oracle alone*: what the sessions of these cases saw and read, played to a fresh oracle. *Cold*: nothing is remembered from
  earlier cases, as in the first seconds of a campaign; *warm*: what the cases need is remembered, as later.
* *implementation and oracle*: sessions that take the commands on the bundled implementation, observe, read and judge.
* *implementation, unjudged*: the same, where whatever is seen counts for explained. The difference is the oracle's.
* *plain Hypothesis machine*: a `RuleBasedStateMachine` with one rule, which draws the next command of the same cases.
* *campaign*: the state-guided engine itself, with its choices and its coverage, and Hypothesis as an engine, with its own.

With `--long`: one case of so many steps, and the peak of memory (resident set) on the way, at every tenth of it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from siteproof.conformance import session as sessions
from siteproof.conformance.ages import ages_for
from siteproof.conformance.case import (
    FAULTS,
    POINTED,
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
)
from siteproof.conformance.closure import Promised
from siteproof.conformance.content import Base, Journal, View, WriteRecord
from siteproof.conformance.driver import Answer, Capabilities, Observation
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.judgement import event_of
from siteproof.conformance.oracle import Event, Factor
from siteproof.conformance.results import Divergence
from siteproof.conformance.runner import campaign, promised_for
from siteproof.conformance.session import Session
from siteproof.conformance.sight import Sight
from siteproof.model.topology import builtin_topologies, load_topology

SEED = 20_260_101


@attrs.frozen
class Seen:
    """One step as it was recorded: the command with what it came to, and what was seen and read after it."""

    command: Command | None
    point: str | None
    answer: Answer | bool | None
    record: WriteRecord | None
    looks: tuple[tuple[str, Observation, float | None, dict[str, View], frozenset[str]], ...]

    @property
    def still(self) -> bool:
        return isinstance(self.command, Settle) and self.answer is not False


def sides_read(seen: Observation, read: dict[str, View]) -> frozenset[str]:
    """Which disks were read: the active side's, the former source's, a test copy's."""
    other = {"primary": "recovery", "recovery": "primary"}.get(str(seen.active))
    named = (("disk", str(seen.active)), ("former", str(other)), ("test", "test"))
    return frozenset(what for what, where in named if where in read)


@attrs.define
class Recorded:
    """One case as it was recorded."""

    scenario: Scenario
    seed: int
    can: Capabilities
    steps: list[Seen] = attrs.Factory(list)

    @property
    def commands(self) -> list[Command]:
        return [one.command for one in self.steps if one.command is not None]


@attrs.define
class Memory:
    """A recorder that keeps everything."""

    cases: list[Recorded] = attrs.Factory(list)
    _looks: list[tuple[str, Observation, float | None]] = attrs.Factory(list)
    _read: dict[str, dict[str, View]] = attrs.Factory(dict)

    def case(self, scenario: Scenario, seed: int, can: Capabilities) -> None:
        self.cases.append(Recorded(scenario, seed, can))

    def looked(self, machine: str, seen: Observation, now: float | None) -> None:
        self._looks.append((machine, seen, now))

    def read(self, machine: str, where: str, view: View) -> None:
        self._read.setdefault(machine, {})[where] = view

    def changed(self, machine: str, point: str, view: View) -> None:
        """Only a divergence has this."""

    def skip(self, command: Command) -> None:
        """What was skipped is judged by nobody."""

    def step(self, command: Command | None, point: str | None, answer: Answer | bool | None, record: WriteRecord | None) -> None:
        looks = tuple((m, seen, now, self._read.get(m, {}), sides_read(seen, self._read.get(m, {})))
                      for m, seen, now in self._looks)
        self.cases[-1].steps.append(Seen(command, point, answer, record, looks))
        self._looks, self._read = [], {}

    def end(self, divergence: Divergence | None, overflow: bool) -> None:
        """Campaigns on the bundled implementation end well."""
        assert divergence is None
        assert not overflow


def recorded(flows: Sequence[str], cases: int) -> list[Recorded]:
    """Cases of real campaigns."""
    kept: list[Recorded] = []
    for flow in flows:
        memory = Memory()
        campaign(flow, driver_factory("bundled"), "random", SEED, 600, cases, recorder=memory)
        kept += memory.cases
    return kept


class Levels:
    """Promise levels by flow: those that campaigns share, or fresh ones that remember nothing."""

    def __init__(self, fresh: bool) -> None:
        self._known: dict[str, Promised] = {}
        self._fresh = fresh

    def __call__(self, flow: str) -> Promised:
        known = self._known.get(flow)
        if known is None:
            topology = load_topology(flow)
            known = self._known[flow] = Promised(flow, dict(topology.fact_values)) if self._fresh else promised_for(topology)
        return known


# ------------------------------------------------------------------------------------------------------ contenders

Contender = Callable[[], tuple[int, float]]
"""Plays all cases once: steps, and seconds of the processor."""


def alone(cases: list[Recorded], *, cold: bool) -> Contender:
    """The oracle on recorded events."""
    warm = Levels(fresh=True)

    def work() -> tuple[int, float]:
        levels = Levels(fresh=True) if cold else warm
        ready = []
        for case in cases:
            base = Base(case.scenario.blocks)
            level = levels(case.scenario.topology)
            ages = ages_for(case.scenario)
            factors = {m: Factor(level, Journal(m, base, case.scenario.disks), strict=case.can.strict_order, ages=ages)
                       for m in case.scenario.machines}  # fmt: skip
            for one in case.steps:
                if one.record is not None:
                    journal = factors[one.record.tag.machine].journal
                    journal.records[one.record.sequence] = one.record
            ready.append((case, factors))
        start, steps = time.process_time(), 0
        for case, factors in ready:
            for one in case.steps:
                steps += one.command is not None
                take(one, factors)
        return steps, time.process_time() - start

    return work


def take(one: Seen, factors: dict[str, Factor]) -> None:
    """Judge one recorded step."""
    mine = getattr(one.command, "machine", None)
    for machine, seen, now, read, sides in one.looks:
        factor, event = factors[machine], None
        if one.command is not None and mine in (None, machine):
            event = event_of(factor, one.command, one.point, one.answer, one.record)
        sight = factor.look(
            seen,
            read.__getitem__,
            disk="disk" in sides,
            still=one.still,
            former="former" in sides,
            copy="test" in sides,
            now=now,
        )
        if not factor.follow(event, sight):
            raise SystemExit(f"a recorded step is not explained: {one.command}, {seen}")


def played(cases: list[Recorded]) -> Contender:
    """Sessions on the bundled implementation."""
    driver, levels = driver_factory("bundled"), Levels(fresh=False)

    def work() -> tuple[int, float]:
        start, steps = time.process_time(), 0
        for case in cases:
            session = Session(case.scenario, case.seed, driver, levels(case.scenario.topology), name="bundled")
            for command in case.commands:
                session.step(command)
            session.finish()
            assert session.divergence is None
            steps += len(session.commands)
        return steps, time.process_time() - start

    return work


class Gullible(Factor):
    """Takes whatever is seen for explained."""

    def follow(self, event: Event | None, sight: Sight) -> bool:  # noqa: ARG002
        self.remember(sight)
        return True


def unjudged(cases: list[Recorded]) -> Contender:
    """The same sessions with an oracle that believes everything."""
    play = played(cases)

    def work() -> tuple[int, float]:
        kept = sessions.Factor
        sessions.Factor = Gullible  # type: ignore[misc]
        try:
            return play()
        finally:
            sessions.Factor = kept  # type: ignore[misc]

    return work


def hypothesis_machine(cases: list[Recorded]) -> Contender:
    """The commands of the same cases, drawn by a Hypothesis machine."""
    driver, levels = driver_factory("bundled"), Levels(fresh=False)

    def work() -> tuple[int, float]:
        steps = 0
        todo = iter(cases)

        class Machine(RuleBasedStateMachine):
            def __init__(self) -> None:
                super().__init__()
                case = self.case = next(todo, cases[0])
                self.left = iter(case.commands)
                self.session = Session(case.scenario, case.seed, driver, levels(case.scenario.topology), name="bundled")

            @rule(draw=st.data())
            def command(self, draw: st.DataObject) -> None:
                nonlocal steps
                following = next(self.left, None)
                if following is not None:
                    assert self.session.step(draw.draw(st.sampled_from((following,))))
                    steps += 1

            def teardown(self) -> None:
                self.session.finish()

        start = time.process_time()
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=len(cases),
                stateful_step_count=max(len(c.commands) for c in cases),
                phases=(Phase.generate,),
                deadline=None,
                database=None,
                derandomize=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
        return steps, time.process_time() - start

    return work


def whole_campaign(engine: str, flows: Sequence[str], cases: int) -> Contender:
    """An engine with its choices, its coverage and its own cases."""
    seeds = iter(range(SEED, SEED + 1_000_000))

    def work() -> tuple[int, float]:
        start = time.process_time()
        steps = sum(
            campaign(flow, driver_factory("bundled"), engine, next(seeds), 600, cases, shrink=False).steps for flow in flows
        )
        return steps, time.process_time() - start

    return work


# ------------------------------------------------------------------------------------------------------ long runs


GOES_ON = ("EnableProtection", "PlannedFailover", "UnplannedFailover", "Commit", "ReverseReplicate", "RepairReplication",
           "TestFailover", "TestFailoverCleanup", "ChangePit")  # fmt: skip
"""What does not end the replication for good."""


def drawn(session: Session, chance: random.Random) -> Command:
    """The next command of a long case: half of the time writes and steps, else faults that heal soon, time, and operations,
    mostly such as are allowed. Engines choose with more care, and look at all commands so far."""
    draw, block = chance.random(), chance.randrange(8)
    if draw < 0.35:
        return Write("m0", str(session.last["m0"].active), block, cached=draw < 0.05)
    if draw < 0.6:
        return Steps(chance.choice((1, 3, 10)))
    if draw < 0.75:
        return Settle()
    if draw < 0.8:
        return Advance(chance.choice((10, 600, 7200)))
    if draw < 0.83 or session.faults:
        return Heal(sorted(session.faults)[0]) if session.faults else Fault(chance.choice(FAULTS))
    if draw < 0.86:
        return StartMachine("m0", str(session.last["m0"].active))
    allowed = [o for o in GOES_ON if o in session.last["m0"].allowed_operations] if draw < 0.98 else None
    operation = chance.choice(allowed or GOES_ON)
    return Operate("m0", operation, "latest" if operation in POINTED and operation != "ChangePit" else None)


def long_run(flow: str, steps: int) -> list[dict[str, Any]]:
    """One case of so many steps, faults among them: steps a second and the peak of memory at every tenth."""
    chance = random.Random(SEED)
    session = Session(Scenario(flow), SEED, driver_factory("bundled"), promised_for(load_topology(flow)), name="bundled")
    rows, start = [], time.process_time()
    for number in range(1, steps + 1):
        if not session.step(drawn(session, chance)):
            raise SystemExit(f"step {number} is not explained: {session.divergence}")
        if number % (steps // 10) == 0:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            writes, failovers = (sum(isinstance(c, kind) for c in session.commands) for kind in (Write, Operate))
            spent = time.process_time() - start
            rows.append({"steps": number, "writes": writes, "peak_mib": peak, "per_second": number / spent})
            told = f"{number:9,} steps, {writes:7,} writes, {failovers:6,} requests"
            sys.stdout.write(f"{told}: peak {peak:7.1f} MiB, {number / spent:6,.0f}/s\n")
            sys.stdout.flush()
    session.finish()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=60, help="cases of each flow (default: 60)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender plays them (default: 3)")
    parser.add_argument("--long", type=int, metavar="STEPS", help="instead: one case of so many steps, and its memory")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    chosen = parser.parse_args()
    if chosen.long:
        rows = long_run("hyper-v-to-secondary-site", chosen.long)
    else:
        rows = compared(chosen.cases, chosen.rounds)
    load = os.getloadavg()[0]
    sys.stdout.write(f"load average {load:.1f}, {os.cpu_count()} processors\n")
    if chosen.json:
        chosen.json.write_text(json.dumps({"schema": 1, "load": load, "rows": rows}, indent=2) + "\n", "utf-8")
    return 0


def compared(count: int, rounds: int) -> list[dict[str, Any]]:
    """All contenders in turn."""
    flows = sorted(builtin_topologies())
    cases = recorded(flows, count)
    whole = max(1, count // 3)
    contenders: dict[str, Contender] = {
        "the oracle alone, cold": alone(cases, cold=True),
        "the oracle alone, warm": alone(cases, cold=False),
        "implementation and oracle": played(cases),
        "implementation, unjudged": unjudged(cases),
        "plain Hypothesis machine": hypothesis_machine(cases),
        "campaign, state-guided": whole_campaign("random", flows, whole),
        "campaign, Hypothesis": whole_campaign("hypothesis", flows, max(1, whole // 20)),
    }
    contenders["the oracle alone, warm"]()
    gc.collect()
    gc.freeze()  # what was recorded for the bench is nothing that a campaign would carry along
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, work in contenders.items():
            gc.collect()
            steps, seconds = work()
            figures[name].append(steps / seconds)
    base = statistics.median(figures["plain Hypothesis machine"])
    commands = sum(len(c.commands) for c in cases)
    sys.stdout.write(f"{len(cases)} cases, {commands:,} steps, {len(flows)} flows; medians of {rounds} rounds\n")
    rows = []
    for name, found in figures.items():
        middle = statistics.median(found)
        rows.append({"what": name, "per_second": middle, "ratio": middle / base, "all": found})
        sys.stdout.write(f"{name:28} {middle:9,.0f} steps/s   {middle / base:6.2f} × the plain Hypothesis machine\n")
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
