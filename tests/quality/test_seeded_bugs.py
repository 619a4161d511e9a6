"""How good is the tester: every seeded bug is found within seconds, shrunk, and blamed on the right promise.

The suite tries those that carry a requirement, one of each family besides, and those of a group's barrier, each in one of its
flows; all in all of their flows on demand. `siteproof selftest` tries them all as well, and scores.
"""

import math

import pytest

from siteproof.conformance.case import Case
from siteproof.conformance.drivers import bugs_groups
from siteproof.conformance.drivers.bugs import BUGS, Bug
from siteproof.conformance.drivers.bugs_common import DIFFICULTIES, FAMILIES
from siteproof.conformance.drivers.bundled import topology_of
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.results import Outcome
from siteproof.conformance.runner import campaign, promised_for
from siteproof.conformance.shrink import counterexample_of
from siteproof.impl.flows import flow_of
from siteproof.impl.lab import ROLES
from siteproof.model.carriers import SeededBug, load_carriers
from siteproof.model.catalogue import catalogue
from siteproof.model.requirements import load_requirements
from siteproof.model.topology import load_topology
from tests.seeds import seed_for
from tests.soak import SOAKING, soak

MAX_CASES = 3000


def sample() -> dict[str, str]:
    """The bugs that are tried always, each with its flow."""
    found = {c.what.bug: c.flows[0] for c in load_carriers().carriers if isinstance(c.what, SeededBug)}
    covered = {bug.family for bug in BUGS if bug.id in found}
    for family in [f for f in FAMILIES if f not in covered]:
        bug = next(bug for bug in BUGS if bug.family == family and bug.difficulty != "hard")
        found[bug.id] = bug.flows[0]
    return found | {bug.id: bug.flows[n % len(bug.flows)] for n, bug in enumerate(bugs_groups.BUGS)}


ALWAYS = sample()
EVERY = [
    pytest.param(bug, flow, marks=() if ALWAYS.get(bug.id) == flow else soak, id=f"{bug.id}-{flow}")
    for bug in BUGS
    for flow in (bug.flows if SOAKING else (ALWAYS.get(bug.id, bug.flows[0]),))
]


@pytest.mark.parametrize(("bug", "flow"), EVERY)
def test_a_seeded_bug_is_found_shrunk_and_blamed(bug: Bug, flow: str) -> None:
    seed = seed_for(f"{bug.id} {flow}")
    print(f"seed {seed}")
    factory, rules = driver_factory(f"bundled+{bug.id}"), promised_for(load_topology(flow))
    result = campaign(flow, factory, seed=seed, max_seconds=math.inf, max_cases=MAX_CASES, shrink=False)
    assert result.outcome is Outcome.VIOLATION, f"{bug.story} was not found: {result.reason}"
    assert result.counterexample is not None
    found = counterexample_of(Case.from_json(result.counterexample.case), factory, rules)
    assert found.divergence.promise in bug.promises, found.divergence
    assert found.minimal
    assert len(found.removal) == len(found.steps)
    assert bug.shortest <= len(found.steps), [s.text for s in found.steps]


def test_there_are_sixty_bugs_in_eight_families_of_three_difficulties() -> None:
    assert len({bug.id for bug in BUGS}) == len(BUGS) >= 60
    assert {bug.family for bug in BUGS} == set(FAMILIES)
    assert all(sum(bug.family == family for bug in BUGS) >= 5 for family in FAMILIES)
    assert {bug.difficulty for bug in BUGS} == set(DIFFICULTIES)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.id)
def test_a_bug_says_what_it_breaks_in_words_that_exist(bug: Bug) -> None:
    assert bug.story.endswith(".")
    assert set(bug.requirements) <= {one.id for one in load_requirements()}
    assert set(bug.promises) <= set(catalogue())
    assert bug.shortest >= 1


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.id)
def test_a_bug_is_in_a_component_of_each_of_its_flows(bug: Bug) -> None:
    for name in bug.flows:
        flow = flow_of(topology_of(name))
        deployed = {flow.coordinator, *flow.agents.values(), *flow.targets.values(), "vault", "vm-host", "change-log", "disk-set"}
        deployed |= {gateway.role for gateway in flow.gateways.values()}
        deployed |= {"replication-group"} if flow.groups else set()
        assert set(bug.components) & deployed, name
    assert all(issubclass(of, ROLES[role]) and of is not ROLES[role] for role, of in bug.components.items())
