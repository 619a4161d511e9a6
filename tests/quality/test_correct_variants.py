"""How fair is the tester: different but correct systems are never accused."""

import math
import random
from functools import partial

import pytest

from siteproof.conformance.drivers.bundled_watched import Watch, watched_factory
from siteproof.conformance.drivers.model import ModelDriver, Style
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.drivers.variants import VARIANTS, Variant
from siteproof.conformance.runner import campaign
from tests.seeds import seed_for
from tests.soak import soak

FLOWS = ("vmware-to-azure", "hyper-v-to-secondary-site")


def accused(variant: Variant, flow: str, cases: int) -> tuple[object, Watch]:
    seed, watch = seed_for(f"{variant.id} {flow}"), Watch(reached=True)
    print(f"seed {seed}")
    watched = watched_factory(variant.components, f"bundled~{variant.id}", watch)
    return campaign(flow, watched, seed=seed, max_seconds=math.inf, max_cases=cases).counterexample, watch


@pytest.mark.parametrize("place", range(0, len(VARIANTS), 3), ids=lambda place: VARIANTS[place].id)
def test_a_correct_variant_is_not_accused(place: int) -> None:
    """A third of them, the rest on demand."""
    variant = VARIANTS[place]
    found, _ = accused(variant, variant.flows[place % len(variant.flows)], 20)
    assert found is None


@pytest.mark.parametrize("id", ["releases-one-by-one", "cuts-when-frozen"])
def test_another_barrier_that_is_right_is_not_accused(id: str) -> None:
    """Cases with two machines only, every other one with a group."""
    variant, seed, watch = next(v for v in VARIANTS if v.id == id), seed_for(id), Watch(reached=True)
    print(f"seed {seed}")
    watched = watched_factory(variant.components, f"bundled~{id}", watch)
    result = campaign(variant.flows[0], watched, seed=seed, max_seconds=math.inf, max_cases=30, machines=2)
    assert result.counterexample is None
    assert result.common_points > 0
    assert watch.triggered


@soak
@pytest.mark.parametrize(("variant", "flow"), [(v, flow) for v in VARIANTS for flow in v.flows])
def test_a_correct_variant_is_not_accused_in_any_of_its_flows(variant: Variant, flow: str) -> None:
    found, _ = accused(variant, flow, 300)
    assert found is None


@soak
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.id)
def test_a_variant_does_something_else_than_the_implementation(variant: Variant) -> None:
    assert any(accused(variant, flow, 300)[1].triggered for flow in reversed(variant.flows))


def test_there_are_ten_different_variants_with_names_of_their_own() -> None:
    assert len({v.id for v in VARIANTS}) == len(VARIANTS) >= 10
    assert all(v.story.endswith(".") for v in VARIANTS)
    assert driver_factory("bundled~two-points")().handshake().name == "bundled~two-points"


@soak
@pytest.mark.parametrize("flow", FLOWS)
def test_systems_of_any_rhythm_are_not_accused(flow: str) -> None:
    seed = seed_for(f"any rhythm {flow}")
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(6):
        style = Style(chance.choice((1, 3, 20)), chance.random(), chance.choice((1, 2, 5, 50)), chance.random(),
                      chance.random(), chance.random())  # fmt: skip
        result = campaign(flow, partial(ModelDriver, style), seed=seed, max_seconds=math.inf, max_cases=25)
        assert result.counterexample is None, (style, result.counterexample)
