"""The table of engines. A row is loaded when it is used: the Hypothesis machine needs Hypothesis, tours need networkx."""

from __future__ import annotations

import random

from siteproof.conformance.engines.engine import Engine, Kind
from siteproof.model.errors import UsageError, near

__all__ = ["DEFAULT", "ENGINES", "engine_kind"]

DEFAULT = "portfolio"


def _portfolio(chance: random.Random) -> Engine:
    from siteproof.conformance.engines.portfolio import Portfolio

    return Portfolio(chance)


def _random(chance: random.Random) -> Engine:
    from siteproof.conformance.engines.random import RandomEngine

    return RandomEngine(chance)


def _uniform(chance: random.Random) -> Engine:
    from siteproof.conformance.engines.random import RandomEngine

    return RandomEngine(chance, guided=False)


def _swarm(chance: random.Random) -> Engine:
    from siteproof.conformance.engines.swarm import SwarmEngine

    return SwarmEngine(chance)


def _sweep(chance: random.Random) -> Engine:
    from siteproof.conformance.engines.sweep import SweepEngine

    return SweepEngine(chance)


def _tours(chance: random.Random) -> Engine:
    from siteproof.conformance.engines.tours import TourEngine

    return TourEngine(chance)


def _lockstep(chance: random.Random) -> Engine:
    from siteproof.conformance.engines.lockstep import LockstepEngine

    return LockstepEngine(chance)


def _directed(chance: random.Random) -> Engine:
    from siteproof.conformance.engines.directed import DirectedEngine

    return DirectedEngine(chance)


def _hypothesis(chance: random.Random) -> Engine:
    from siteproof.conformance.engines.hypothesis_machine import HypothesisEngine

    return HypothesisEngine(chance)


ENGINES: dict[str, Kind] = {
    kind.id: kind
    for kind in (
        Kind(
            "portfolio",
            "Several engines in turn: random first and most, the others by shares, more once its coverage stalls.",
            "the default",
            _portfolio,
        ),
        Kind(
            "random",
            "Draws by weight what makes sense in the state that the model is believed to be in, from ways to states seldom met.",
            "most bugs, quickly",
            _random,
        ),
        Kind(
            "uniform",
            "Random without memory: no corpus of ways, no sweep, no round trips.",
            "a peer to measure against",
            _uniform,
        ),
        Kind(
            "swarm",
            "Random without memory, where each case leaves out a random half of the kinds of commands and faults.",
            "bugs that other commands hide",
            _swarm,
        ),
        Kind(
            "sweep",
            "Each fault at each internal step of each operation, one short case for each.",
            "half-done jobs",
            _sweep,
        ),
        Kind(
            "tours",
            "Paths that cover every transition between states at rest, no longer than need be (a directed Chinese postman's).",
            "all transitions, cheaply",
            _tours,
        ),
        Kind(
            "lockstep",
            "Every transition of the reachable graph of a stated scope, in the middle of jobs as well, executed and counted.",
            "certainty within a bound",
            _lockstep,
        ),
        Kind(
            "directed",
            "The shortest path of the model to a transition that the campaign has not covered yet.",
            "the last per cent of coverage",
            _directed,
        ),
        Kind(
            "hypothesis",
            "A Hypothesis state machine over the same commands, also for pytest suites of your own.",
            "who knows Hypothesis",
            _hypothesis,
        ),
    )
}


def engine_kind(id: str) -> Kind:
    """The row of an engine. Raises `UsageError` with the nearest name."""
    if id not in ENGINES:
        raise UsageError(f"the engine {id}", "one of " + ", ".join(ENGINES) + " (siteproof list engines)", near(id, ENGINES))
    return ENGINES[id]
