"""How good is the tester: every seeded bug is found within seconds, shrunk, and blamed on the right promise."""

import math

import pytest

from siteproof.conformance.drivers.bugs import BUGS, Bug
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.results import Outcome
from siteproof.conformance.runner import campaign
from tests.seeds import seed_for
from tests.soak import soak

MAX_CASES = 3000


ONE_FLOW_EACH = [pytest.param(bug, flow, marks=() if at == number % len(bug.flows) else soak, id=f"{bug.id}-{flow}")
                 for number, bug in enumerate(BUGS) for at, flow in enumerate(bug.flows)]
"""Every bug in each of its flows; all but one of them on demand."""


@pytest.mark.parametrize(("bug", "flow"), ONE_FLOW_EACH)
def test_a_seeded_bug_is_found_shrunk_and_blamed(bug: Bug, flow: str) -> None:
    seed = seed_for(f"{bug.id} {flow}")
    print(f"seed {seed}")
    result = campaign(flow, driver_factory(f"bundled+{bug.id}"), seed=seed, max_seconds=math.inf, max_cases=MAX_CASES)
    assert result.outcome is Outcome.VIOLATION, f"{bug.story} was not found: {result.reason}"
    found = result.counterexample
    assert found is not None
    assert found.divergence.promise in bug.promises, found.divergence
    assert found.minimal
    assert len(found.removal) == len(found.steps)
    assert bug.shortest <= len(found.steps) <= bug.shortest + 2, [s.text for s in found.steps]


def test_bugs_have_stories_and_names_of_their_own() -> None:
    assert len({bug.id for bug in BUGS}) == len(BUGS) >= 5
    assert all(bug.story and bug.requirements and bug.promises and bug.flows for bug in BUGS)
