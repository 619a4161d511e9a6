"""What the oracle remembers is bounded, and changes no answer and no explanation."""

import random

import attrs
import pytest

from siteproof.conformance import appearance, closure, trail
from siteproof.conformance.case import Scenario
from siteproof.conformance.closure import Promised
from siteproof.conformance.driver import Capabilities
from siteproof.conformance.drivers.model import ModelDriver, Style
from siteproof.conformance.engines.choice import Mood, choices
from siteproof.conformance.session import Session
from siteproof.model.topology import load_topology
from tests.seeds import seed_for

from .driving import FLOWS

STEPS = 250


class Moving(ModelDriver):
    """The model as a system of which the oracle does not know when it moves."""

    def handshake(self) -> Capabilities:
        return attrs.evolve(super().handshake(), moves_by_itself=True)


def played(flow: str, level: Promised, driver: type[ModelDriver] = ModelDriver, steps: int = STEPS) -> Session:
    """One long case, the same at each call."""
    chance = random.Random(seed_for(f"memory {flow}"))
    session = Session(Scenario(flow, blocks=4), 0, lambda: driver(Style(extra_points=0.1)), level)
    for _ in range(steps):
        options = choices(session, Mood(blocks=(0, 1)), chance)
        assert session.step(chance.choices([c for _, c in options], [w for w, _ in options])[0]), session.divergence
    return session


def fresh(flow: str) -> Promised:
    return Promised(flow, dict(load_topology(flow).fact_values))


@pytest.mark.parametrize("driver", [ModelDriver, Moving])
def test_the_trail_of_a_long_case_is_short_and_tells_the_same(
    driver: type[ModelDriver], monkeypatch: pytest.MonkeyPatch
) -> None:
    level, steps = fresh(FLOWS[1]), STEPS if driver is ModelDriver else 40
    monkeypatch.setattr(trail, "SPAN", 10**9)
    whole = played(FLOWS[1], level, driver, steps)
    monkeypatch.setattr(trail, "SPAN", 4)
    settled = played(FLOWS[1], level, driver, steps)
    assert settled.commands == whole.commands
    first, second = whole.factors["m0"], settled.factors["m0"]
    assert first.explanation() == second.explanation()
    assert len(first.explanation()) == steps + 1
    assert len(second._trail) < len(first._trail) == steps + 1


def test_what_is_remembered_is_bounded_and_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = played(FLOWS[0], fresh(FLOWS[0]))
    monkeypatch.setattr(appearance, "REMEMBERED", 12)
    monkeypatch.setattr(closure, "_REMEMBERED", 20)
    level = fresh(FLOWS[0])
    little = played(FLOWS[0], level)
    assert little.commands == whole.commands
    assert little.factors["m0"].explanation() == whole.factors["m0"].explanation()
    assert {c[0] for c in little.factors["m0"].candidates} == {c[0] for c in whole.factors["m0"].candidates}
    assert sum(len(one.endings) for one in level.appearances.values()) <= 12
    assert max(len(level._steps), len(level._older)) <= 20
