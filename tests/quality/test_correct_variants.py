"""How fair is the tester: different but correct systems are never accused."""

import math
import random
from functools import partial

import pytest

from siteproof.conformance.drivers.model import ModelDriver, Style
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.drivers.variants import VARIANTS, Variant
from siteproof.conformance.runner import campaign
from tests.seeds import seed_for
from tests.soak import soak

FLOWS = ("vmware-to-azure", "hyper-v-to-secondary-site")


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.id)
def test_a_correct_variant_is_not_accused(variant: Variant, flow: str) -> None:
    seed = seed_for(f"{variant.id} {flow}")
    print(f"seed {seed}")
    result = campaign(flow, driver_factory(f"bundled~{variant.id}"), seed=seed, max_seconds=math.inf, max_cases=80)
    assert result.counterexample is None, result.counterexample


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
