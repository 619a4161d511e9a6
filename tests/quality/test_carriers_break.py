"""Every carrier of a requirement, broken on purpose, is noticed: citing an id proves nothing.

Expectations of topologies are broken in `tests/model/test_carriers.py`. Here:

* a *precondition* is dropped: the model then grants a request in a reachable state in which that precondition alone refused
  it; or, if nobody asks for what it guards, a promise breaks;
* a *claim* is inverted: a reachable trace refutes the inverted claim, so the claim says something and its opposite is false;
* an *implementation test* is run on an implementation with a seeded break, and fails in an assertion; without it, it passes;
* a *seeded bug* exists, for these flows and requirements; that it is found is shown in `test_seeded_bugs`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import z3

from siteproof.conformance.drivers.bugs import BUGS
from siteproof.impl import flows
from siteproof.impl.agent import ReplicationAgent
from siteproof.impl.codec import BlockCipher, Codec
from siteproof.impl.coordinator import Coordinator
from siteproof.impl.simulation import Simulation
from siteproof.impl.target import ReplicationTarget
from siteproof.impl.values import other
from siteproof.model.carriers import BrokenTest, Precondition, PromiseClaim, SeededBug, load_carriers
from siteproof.model.claims import Claim, built
from siteproof.model.engines.obligations import goals_of
from siteproof.model.engines.search import Path as Run
from siteproof.model.engines.search import Target, search
from siteproof.model.levels import level
from siteproof.model.mutation import without_guard
from siteproof.model.readings.python import Accepted, CompiledModel, Refused, compile_model
from siteproof.model.requirement_trace import find_guard
from siteproof.model.requirements import FLOWS
from siteproof.model.system import Model
from siteproof.model.terms import Not
from siteproof.model.topology import load_topology

from ..model.flows import alike

ROOT = Path(__file__).parents[2]
CARRIERS = load_carriers().carriers


def cases(sort: type) -> list[Any]:
    """Every distinct carrier of one sort with each flow that it is about."""
    rows = {(flow, c.what): None for c in CARRIERS if isinstance(c.what, sort) for flow in c.flows}
    return [pytest.param(flow, what, id=f"{flow}-{what}") for flow, what in rows]


# -------------------------------------------------------------------------------------------- preconditions and claims

STATES = 60_000


def kind_of(id: str, flow: str) -> tuple[str, ...]:
    """The flows whose model at this level is that of `flow`."""
    return next(flows for flows in alike(id) if flow in flows)


def model_of(id: str, flow: str) -> Model:
    """The model of a flow at a level, by the name of the first flow that has the same one."""
    flow = kind_of(id, flow)[0]
    return level(id).build(flow, load_topology(flow).facts)


@functools.cache
def compiled(model: Model) -> CompiledModel:
    return compile_model(model)


def inverted(claim: Claim) -> Claim:
    """The claim that wherever the premise holds, the conclusion does not."""
    return attrs.evolve(claim, conclusion=lambda *states: Not(claim.conclusion(*states)))


def refusal(model: Model, what: Precondition) -> Target:
    """A state in which one precondition refuses a request, and nothing else does."""
    number, action = find_guard(model, what), model.action(what.action)
    ways = []
    for arguments in action.instances():
        values = [(p.domain.constant("arg:" + p.name), z3.BoolVal(a) if isinstance(a, bool) else z3.IntVal(a))
                  for p, a in zip(action.parameters, arguments, strict=True)]
        parts = [z3.Not(g.folded) if n == number else g.folded for n, g in enumerate(action.guards)]
        ways.append(z3.substitute(z3.And(*parts), *values))
    return Target(str(what), z3.Or(*ways))


def refutation(model: Model, what: PromiseClaim) -> Target:
    """What refutes the inverted claim."""
    [claim] = [c for p in level(what.level).promises if p.id == what.promise for c in p.claims if c.name == what.claim]
    return Target(str(what), z3.Not(built(model, inverted(claim)).formula), claim.is_step, claim.on)


def found(id: str, flow: str) -> Mapping[str, Run]:
    """Runs to everything that the carriers of a level ask of a flow, each a shortest one of the first scope that has it."""
    return found_in(id, kind_of(id, flow))


@functools.cache
def found_in(id: str, flows: tuple[str, ...]) -> Mapping[str, Run]:
    """The same of all the flows that have one model."""
    model, targets = model_of(id, flows[0]), {}
    for what in (carrier.what for carrier in CARRIERS if any(carrier.is_about(flow) for flow in flows)):
        if isinstance(what, Precondition) and what.code and what.level == id:
            targets[str(what)] = refusal(model, what)
        elif isinstance(what, PromiseClaim) and what.level == id:
            targets[str(what)] = refutation(model, what)
    runs: dict[str, Run] = {}
    for scope in level(id).scopes:
        if missing := [target for key, target in targets.items() if key not in runs]:
            runs |= search(model, missing, scope, max_states=STATES).found
    return runs


def at_the_end(machine: CompiledModel, run: Run) -> tuple[int | bool, ...]:
    state = machine.initial
    for name, arguments in run:
        after = machine.actions[name].step(state, *arguments)
        assert after is not None
        state = after
    return state


def codes_of(answer: Accepted | Refused) -> tuple[str, ...]:
    return answer.codes if isinstance(answer, Refused) else ()


REQUESTS = [case for case in cases(Precondition) if case.values[1].code]
STEPS = [case for case in cases(Precondition) if not case.values[1].code]


@pytest.mark.parametrize(("flow", "what"), REQUESTS)
def test_without_a_precondition_a_request_is_granted_that_was_refused(flow: str, what: Precondition) -> None:
    runs, machine = found(what.level, flow), compiled(model_of(what.level, flow))
    assert str(what) in runs, "no reachable state in which it alone refuses"
    state, action = at_the_end(machine, runs[str(what)]), machine.actions[what.action]
    refused = [given for given in action.action.instances() if codes_of(action.answer(state, *given)) == (what.code,)]
    without = without_guard(machine.model, what.action, what.code)
    mutant = compile_model(attrs.evolve(without, actions=(without.action(what.action),))).actions[what.action]
    assert refused
    assert all(isinstance(mutant.answer(state, *given), Accepted) for given in refused)


@functools.cache
def breaks(model: Model, what: Precondition) -> bool:
    """Whether a promise breaks without the precondition."""
    number = find_guard(model, what)
    assert number is not None
    mutant = without_guard(model, what.action, number)
    goals = [goal for goal in goals_of(mutant, level(what.level).promises) if goal.built.applies]
    broken = [Target(goal.key, z3.Not(goal.built.formula), goal.claim.is_step, goal.claim.on) for goal in goals]
    scope = attrs.evolve(level(what.level).scopes[0], cached=0)
    return bool(search(mutant, broken, scope, max_states=STATES).found)


@pytest.mark.parametrize(("flow", "what"), STEPS)
def test_without_the_precondition_of_a_step_a_promise_breaks(flow: str, what: Precondition) -> None:
    assert breaks(model_of(what.level, flow), what)


@pytest.mark.parametrize(("flow", "what"), cases(PromiseClaim))
def test_an_inverted_claim_is_refuted(flow: str, what: PromiseClaim) -> None:
    assert str(what) in found(what.level, flow), "no reachable trace satisfies premise and conclusion"


# -------------------------------------------------------------------------------------------------- implementation tests

Patch = pytest.MonkeyPatch


def _without(**facts: object) -> Callable[[Patch], None]:
    """Every flow with other facts."""
    def apply(patch: Patch) -> None:
        for id, flow in flows.FLOWS.items():
            patch.setitem(flows.FLOWS, id, attrs.evolve(flow, **facts))  # type: ignore[arg-type]
    return apply


def _codec(**changed: bool) -> Callable[[Patch], None]:
    """Channels that leave something out."""
    def apply(patch: Patch) -> None:
        init = Codec.__init__
        patch.setattr(Codec, "__init__", lambda self, key, **how: init(self, key, **{**how, **changed}))
    return apply


def _encrypts_before_it_compresses(patch: Patch) -> None:
    encode, decode = Codec.encode, Codec.decode

    def encoded(self: Codec, data: bytes, identity: bytes) -> bytes:
        compress, self._compress = self._compress, None
        try:
            sealed = encode(self, data, identity)
        finally:
            self._compress = compress
        return sealed if compress is None else compress.compress(sealed)

    def decoded(self: Codec, frame: bytes, identity: bytes) -> bytes:
        compress, self._compress = self._compress, None
        try:
            return decode(self, frame if compress is None else self._expand.decompress(frame), identity)
        finally:
            self._compress = compress

    patch.setattr(Codec, "encode", encoded)
    patch.setattr(Codec, "decode", decoded)


def _stores_in_the_clear(patch: Patch) -> None:
    patch.setattr(BlockCipher, "encrypt", lambda _self, _place, data: data)
    patch.setattr(BlockCipher, "decrypt", lambda _self, _place, stored: stored)


def _past_the_gateway(patch: Patch) -> None:
    def route(self: Simulation, machine: str, source: str) -> tuple[str, str]:
        sides = self.coordinators[machine].sides
        return sides[other(source)].target_address, sides[source].agent_address

    patch.setattr(Simulation, "route", route)


def _back_onto_hardware(patch: Patch) -> None:
    patch.setattr(Coordinator, "needs_new_machine", lambda _self: False)


def _failback_copies_nothing(patch: Patch) -> None:
    prepare = Coordinator.step_prepare_reverse

    def prepared(self: Coordinator, job: Any, now: float) -> Any:
        result = prepare(self, job, now)
        source = self.sides[self.record.active]
        source.agent.start_tracking(self.record.epoch, source.host.acknowledged)
        self.open_session(self.record.active, received=source.host.acknowledged, fresh=False)
        return result

    patch.setattr(Coordinator, "step_prepare_reverse", prepared)


def _powered_off(patch: Patch) -> None:
    stop = Coordinator.step_stop_source

    def stopped(self: Coordinator, job: Any, now: float) -> Any:
        self.sides[self.record.active].host.power_off()
        return stop(self, job, now)

    patch.setattr(Coordinator, "step_stop_source", stopped)


def _reversed_and_left_open(patch: Patch) -> None:
    finish = Coordinator.step_finish_reverse

    def finished(self: Coordinator, job: Any, now: float) -> Any:
        failover = self.record.failover
        result = finish(self, job, now)
        self.record.failover = failover
        return result

    patch.setattr(Coordinator, "step_finish_reverse", finished)


BREAKS: dict[str, Callable[[Patch], None]] = {
    "no-initial-copy": lambda patch: patch.setattr(ReplicationAgent, "start_copy", lambda _self, **_how: None),
    "no-retention": lambda patch: patch.setattr(ReplicationTarget, "points_to_prune", lambda *_: []),
    "no-change-log": lambda patch: patch.setattr(ReplicationAgent, "track", lambda *_: None),
    "past-the-gateway": _past_the_gateway,
    "in-the-clear": _codec(encrypts=False),
    "uncompressed": _codec(compresses=False),
    "encrypted-before-compressed": _encrypts_before_it_compresses,
    "stored-in-the-clear": _stores_in_the_clear,
    "back-onto-hardware": _back_onto_hardware,
    "incomplete-deployment": _without(needed_kinds={}),
    "provider-anywhere": _without(installed_on={}),
    "failback-copies-nothing": _failback_copies_nothing,
    "powered-off": _powered_off,
    "unprotected-when-planned": _without(planned_leaves_protected=False),
    "reversed-and-left-open": _reversed_and_left_open,
}
"""Seeded breaks of the bundled implementation: one component each, and the implementation itself stays as it is."""


class Outcome:
    """What became of the tests of a session inside this one."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed: list[type[BaseException]] = []

    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        if call.excinfo is not None:
            self.failed.append(call.excinfo.type)
        elif call.when == "call":
            self.passed += 1


def outcome_of(test: str, folder: Path) -> Outcome:
    """Run one test, in this process, since it has to meet what is patched here."""
    seen = Outcome()
    arguments = [str(ROOT / test), "-q", "-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:xdist"]
    pytest.main([*arguments, f"--basetemp={folder / 'inner'}", f"--rootdir={ROOT}"], plugins=[seen])
    return seen


TESTS = list(dict.fromkeys(c.what for c in CARRIERS if isinstance(c.what, BrokenTest)))


@pytest.mark.parametrize("what", TESTS, ids=lambda what: f"{what.broken_by}-{what.test.rpartition('::')[2]}")
def test_a_test_that_carries_a_requirement_fails_on_a_broken_implementation(
    what: BrokenTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        BREAKS[what.broken_by](patch)
        broken = outcome_of(what.test, tmp_path)
    assert broken.passed == 0
    assert len(broken.failed) == 1
    assert issubclass(broken.failed[0], AssertionError | pytest.fail.Exception), broken.failed


@pytest.mark.parametrize("test", list(dict.fromkeys(what.test for what in TESTS)))
def test_a_test_that_carries_a_requirement_passes_on_the_implementation(test: str, tmp_path: Path) -> None:
    sound = outcome_of(test, tmp_path)
    assert (sound.passed, sound.failed) == (1, [])


def test_every_seeded_break_is_of_use() -> None:
    assert {what.broken_by for what in TESTS} == set(BREAKS)


# ------------------------------------------------------------------------------------------------------ seeded bugs


@pytest.mark.parametrize("carrier", [c for c in CARRIERS if isinstance(c.what, SeededBug)], ids=lambda c: c.what.bug)
def test_a_seeded_bug_that_carries_a_requirement_breaks_it(carrier: Any) -> None:
    [bug] = [bug for bug in BUGS if bug.id == carrier.what.bug]
    assert set(carrier.flows) <= set(bug.flows)
    assert set(carrier.requirements) <= set(bug.requirements)
    assert all(set(carrier.flows) & set(FLOWS[id.rpartition("-")[0]]) for id in carrier.requirements)
