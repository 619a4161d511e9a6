"""A pytest plugin: a conformance test in a suite of your own, for the system that your suite is about.

    pytest --siteproof-driver=my_system:Driver --siteproof-topology=vmware-to-azure --siteproof-max-time=30s

Rules
1. With `--siteproof-driver` each flow is one test item, `siteproof::vmware-to-azure`, beside whatever else is collected. It
   passes when the campaign conforms, fails with the counterexample in words when it does not, and fails as inconclusive when
   too little was seen. Without the option there are no items.
2. The plugin is loaded into every pytest run of whoever has siteproof installed, so this module imports nothing but pytest before
   the option is given: no solver, no Hypothesis, no model.
3. The seed is fresh for each run unless it is given. It stands in the header, in the failure, and in `user_properties`.
4. For a test of your own instead, the fixture `siteproof_driver` gives what makes drivers, and
   `siteproof.conformance.engines.hypothesis_machine.machine_for` a Hypothesis `RuleBasedStateMachine`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from siteproof.conformance.results import CampaignResult

__all__ = ["ConformanceItem"]

TIME = "20s"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, all of which begin with `--siteproof-`."""
    group = parser.getgroup("siteproof", "conformance tests of site-recovery replication")
    group.addoption(
        "--siteproof-driver",
        metavar="D",
        help="add a conformance test of this system: module:Class, 'stdio:COMMAND', http://HOST:PORT, or a built-in name",
    )
    group.addoption(
        "--siteproof-topology", metavar="T", action="append", default=[],
        help="a flow, built-in or a TOML file; may be repeated; default: all that the driver names, or all built-in ones",
    )  # fmt: skip
    group.addoption("--siteproof-max-time", metavar="TIME", default=TIME, help=f"time for each flow (default: {TIME})")
    group.addoption("--siteproof-max-cases", metavar="N", type=int, help="stop after N cases for each flow")
    group.addoption("--siteproof-engine", metavar="E", help="how cases are made (siteproof list engines; default: portfolio)")
    group.addoption("--siteproof-seed", metavar="S", type=int, help="draw the same cases again; default: a fresh seed, printed")


_SEED = pytest.StashKey[int]()
_PLAN = pytest.StashKey["tuple[Any, list[str], str, float]"]()


def pytest_configure(config: pytest.Config) -> None:
    """One seed for the whole run, also over the workers of pytest-xdist."""
    if not config.getoption("--siteproof-driver"):
        return
    given = getattr(config, "workerinput", {}).get("siteproof_seed", config.getoption("--siteproof-seed"))
    config.stash[_SEED] = secrets.randbits(31) if given is None else given


def pytest_report_header(config: pytest.Config) -> str | None:
    """What is tested, and the seed that draws the same cases."""
    driver = config.getoption("--siteproof-driver")
    return f"siteproof: driver {driver}, --siteproof-seed={config.stash[_SEED]}" if driver else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist the seed."""
    if _SEED in node.config.stash:
        node.workerinput["siteproof_seed"] = node.config.stash[_SEED]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add one item for each flow. A mistake in an option is told before anything runs."""
    if config.getoption("--siteproof-driver"):
        holder = _Flows.from_parent(session, name="siteproof", nodeid="siteproof")
        items.extend(ConformanceItem.from_parent(holder, name=name) for name in _plan(config)[1])


def _plan(config: pytest.Config) -> tuple[Any, list[str], str, float]:
    """The driver's factory, flows, engine and seconds. Raises `pytest.UsageError` for a mistake in an option."""
    from siteproof.model.errors import SiteproofError

    if _PLAN not in config.stash:
        try:
            config.stash[_PLAN] = _planned(config)
        except SiteproofError as error:
            raise pytest.UsageError(f"siteproof: {error}") from None
    return config.stash[_PLAN]


def _planned(config: pytest.Config) -> tuple[Any, list[str], str, float]:
    from siteproof.conformance.cli.shared import parse_duration
    from siteproof.conformance.drivers.registry import factory_here, flows_of
    from siteproof.conformance.engines.registry import DEFAULT, engine_kind
    from siteproof.model.topology import builtin_topologies, load_topology

    engine = engine_kind(config.getoption("--siteproof-engine") or DEFAULT).id
    seconds = parse_duration(config.getoption("--siteproof-max-time"), "--siteproof-max-time")
    factory = factory_here(config.getoption("--siteproof-driver"))
    topologies = list(config.getoption("--siteproof-topology"))
    if not topologies:
        flows = flows_of(factory)
        topologies = [t for t in builtin_topologies() if not flows or t in flows]
    for name in topologies:
        load_topology(name)
    return factory, topologies, engine, seconds


class _Flows(pytest.Collector):
    """What the items stand under."""

    def collect(self) -> Iterable[pytest.Item]:
        return ()


class ConformanceItem(pytest.Item):
    """The conformance test of one flow."""

    def runtest(self) -> None:
        """Run the campaign. Raises `_Failed` unless it conforms."""
        from siteproof.conformance.results import Outcome
        from siteproof.conformance.runner import campaign

        factory, _, engine, seconds = _plan(self.config)
        result = campaign(
            self.name, factory, engine, self.config.stash[_SEED], seconds, self.config.getoption("--siteproof-max-cases"),
            driver_name=self.config.getoption("--siteproof-driver"),
        )  # fmt: skip
        self.user_properties += [("siteproof_seed", result.seed), ("siteproof_cases", result.cases)]
        self.add_report_section("call", "siteproof", "\n".join(_counts(result)))
        if result.outcome is not Outcome.CONFORMS:
            raise _Failed(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """A counterexample in words."""
        if isinstance(excinfo.value, _Failed):
            return "\n".join(_told(excinfo.value.result))
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, int | None, str]:
        return "siteproof", None, f"siteproof::{self.name}"


class _Failed(AssertionError):
    """The campaign did not conform."""

    def __init__(self, result: CampaignResult) -> None:
        super().__init__(result.reason)
        self.result = result


def _counts(result: CampaignResult) -> Iterator[str]:
    yield f"{result.cases:,} cases, {result.steps:,} steps, engine {result.engine}, seed {result.seed}"
    for one in result.coverage:
        yield f"{one.name}: {one.covered:,} of {one.feasible:,}"
    yield from result.notes
    yield from (f"warning: {one}" for one in result.warnings)


def _told(result: CampaignResult) -> Iterator[str]:
    found = result.counterexample
    if found is None:
        yield f"siteproof: inconclusive: {result.reason}"
        yield from _counts(result)
        return
    d = found.divergence
    yield f"siteproof: {result.topology} does not conform: {d.sentence}"
    yield f"broken: {d.promise}, {d.promise_title} ({', '.join(d.requirements)})"
    yield f"found {d.field}: {d.found}; expected: {d.expected}"
    yield ""
    yield from (f"{step.index + 1:3}  {step.text}" for step in found.steps)
    yield ""
    yield f"{'1-minimal; ' if found.minimal else ''}--siteproof-seed={result.seed} finds it again"


@pytest.fixture(scope="session")
def siteproof_driver(request: pytest.FixtureRequest) -> Any:
    """What makes a driver of the system under test, for tests of your own; skips without `--siteproof-driver`."""
    name = request.config.getoption("--siteproof-driver")
    if not name:
        pytest.skip("no system under test: pytest --siteproof-driver=module:Class runs it")
    from siteproof.conformance.drivers.registry import factory_here

    return factory_here(name)
