"""A Hypothesis state machine over the same sessions, for people who test with Hypothesis.

    from siteproof.conformance.engines.hypothesis_machine import machine_for
    TestMyBuild = machine_for("hyper-v-to-secondary-site", MyDriver).TestCase

Rules
1. Few rules, each drawing from what the model enables now (a rule costs Hypothesis 0.3 ms, whatever it does). No bundles: points
   and machines are named by small fixed pools, which shrink to the minimum.
2. A divergence raises `ConformanceViolation`; its message is the explanation.
3. Each case ends with liveness, as with every engine. `target()` is called once for each case, at its end: the number of
   different lifecycle states that the case has met.
4. The `ci` profile that Hypothesis loads by itself explores the same cases at every run; `machine_for` does not use it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, Phase, settings, target
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from siteproof.conformance.case import FAULTS, Advance, Case, Command, Fault, Heal, Scenario, Settle, Steps
from siteproof.conformance.closure import Promised
from siteproof.conformance.engines.choice import Mood, choices
from siteproof.conformance.engines.engine import Opener
from siteproof.conformance.engines.liveness import conclude
from siteproof.conformance.results import Divergence
from siteproof.conformance.session import DriverFactory, Session
from siteproof.model.errors import SiteproofError
from siteproof.model.topology import load_topology

__all__ = ["ConformanceViolation", "HypothesisEngine", "machine_for"]


class ConformanceViolation(SiteproofError, AssertionError):
    """The system under test has left the model."""

    exit_code = 1

    def __init__(self, divergence: Divergence, case: Case) -> None:
        super().__init__(divergence, case)
        self.divergence, self.case = divergence, case

    def __str__(self) -> str:
        d = self.divergence
        return f"{d.sentence} Broken: {d.promise}, {d.promise_title}. Found {d.field}: {d.found}; expected: {d.expected}"


def machine_for(
    topology: str,
    factory: DriverFactory,
    *,
    promised: Promised | None = None,
    blocks: int = 8,
    machines: int = 1,
    opened: Callable[[int], Session] | None = None,
) -> type[RuleBasedStateMachine]:
    """A state machine class that drives `factory`'s system under `topology`."""
    level = promised if promised is not None else Promised(topology, load_topology(topology).facts)
    scenario = Scenario(topology, tuple(f"m{i}" for i in range(machines)), 1, blocks)

    class ConformanceMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.session = opened(0) if opened is not None else Session(scenario, 0, factory, level)
            self.met: set[Any] = set()

        def take(self, command: Command) -> None:
            self.session.step(command)
            for factor in self.session.factors.values():
                self.met.add(factor.promised.lifecycle(next(iter(factor.candidates))[0]))
            if self.session.divergence is not None:
                raise ConformanceViolation(self.session.divergence, self.session.case)

        @rule(draw=st.data())
        def command(self, draw: st.DataObject) -> None:
            """Something that the model has an opinion on, the likely ones first."""
            options = sorted(
                choices(self.session, Mood(factor={"fault": 0.0}), random.Random(len(self.session.commands))),
                key=lambda one: -one[0],
            )
            self.take(draw.draw(st.sampled_from([c for _, c in options])))

        @rule(fault=st.sampled_from(FAULTS))
        @precondition(lambda self: len(self.session.faults) < 2)
        def fault(self, fault: str) -> None:
            if fault != "gateway" or self.session.has_gateway():
                self.take(Fault(fault))

        @rule(draw=st.data())
        @precondition(lambda self: bool(self.session.faults))
        def heal(self, draw: st.DataObject) -> None:
            self.take(Heal(draw.draw(st.sampled_from(sorted(self.session.faults)))))

        @rule(seconds=st.sampled_from((1, 60, 600)))
        def advance(self, seconds: int) -> None:
            self.take(Advance(seconds))

        @rule(count=st.sampled_from((1, 3, 10)))
        @precondition(lambda self: self.session.can.stepping)
        def steps(self, count: int) -> None:
            self.take(Steps(count))

        @rule()
        def settle(self) -> None:
            self.take(Settle())

        def teardown(self) -> None:
            failed = self.session.divergence is not None
            conclude(self.session)
            if not failed:
                target(float(len(self.met)), label="lifecycle states")
                if self.session.divergence is not None:
                    raise ConformanceViolation(self.session.divergence, self.session.case)

    ConformanceMachine.TestCase.settings = settings(
        settings.get_profile("default"), deadline=None, database=None, derandomize=False, suppress_health_check=list(HealthCheck)
    )
    return ConformanceMachine


class HypothesisEngine:
    """The machine as an engine of campaigns. Each call is one small batch of Hypothesis cases; the last session is returned."""

    name = "hypothesis"

    def __init__(self, chance: random.Random, *, examples: int = 20, steps: int = 30) -> None:
        self.chance, self.examples, self.steps, self.worked = chance, examples, steps, 0

    def case(self, opened: Opener) -> Session:
        """Run a batch. What it finds is a session like any other, and is shrunk by the common shrinker."""
        sessions: list[Session] = []
        seed = self.chance.getrandbits(32)

        first = opened(seed)
        first.finish(thorough=False)
        # What the campaign has met changes the order of what is offered. Hypothesis draws again from what it has drawn, and takes
        # another order for a mistake of the test (`FlakyStrategyDefinition`): the batch would end there.
        met = None if first.met is None else frozenset(first.met)

        def watched(_: int) -> Session:
            session = opened(seed)
            session.met = met
            sessions.append(session)
            return session

        machine = machine_for(first.scenario.topology, first.factory, promised=first.promised, opened=watched)

        machine._hypothesis_internal_use_seed = seed
        with suppress(ConformanceViolation, Flaky):
            run_state_machine_as_test(
                machine,
                settings=settings(
                    machine.TestCase.settings,
                    max_examples=self.examples,
                    stateful_step_count=self.steps,
                    phases=(Phase.generate, Phase.target),
                    print_blob=False,
                ),
            )
        return next((s for s in sessions if s.divergence is not None), sessions[-1] if sessions else first)

    def notes(self) -> tuple[str, ...]:
        return ()
