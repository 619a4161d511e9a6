"""Shared by the tests of the tester: flows, models, campaigns whose seed is the same on every run, and printed."""

import functools
import math
import os

from siteproof.conformance.case import Command, Scenario, Write
from siteproof.conformance.closure import Promised
from siteproof.conformance.results import CampaignResult
from siteproof.conformance.runner import campaign, promised_for
from siteproof.conformance.session import DriverFactory, Session
from siteproof.model.topology import load_topology
from tests.seeds import seed_for

FLOWS = ("vmware-to-azure", "hyper-v-to-secondary-site")


@functools.cache
def promised(flow: str) -> Promised:
    return promised_for(load_topology(flow))


def run(flow: str, driver: DriverFactory, *, cases: int, seed: int | None = None, machines: int = 1, disks: int = 1,
        shrink: bool = True) -> CampaignResult:  # fmt: skip
    """A campaign of so many cases, however long they take; pytest shows the printed seed when the test fails."""
    drawn = seed_for(os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]) if seed is None else seed
    print(f"seed {drawn}")
    return campaign(flow, driver, seed=drawn, max_seconds=math.inf, max_cases=cases, machines=machines, disks=disks,
                    shrink=shrink, promised=promised(flow))  # fmt: skip


def played(factory: DriverFactory, flow: str, name: str, *commands: Command, machines: int = 1, disks: int = 1) -> Session:
    """A case of these commands, played to its end or to the first divergence."""
    names = tuple(f"m{n}" for n in range(machines))
    session = Session(Scenario(flow, names, disks), 0, factory, promised(flow), name=name)
    try:
        for command in commands:
            if not session.step(command):
                break
        session.finish()
    except BaseException:
        session.abandon()
        raise
    return session


def writes(*blocks: int, side: str = "primary", disk: int = 0) -> tuple[Command, ...]:
    """Writes of machine m0."""
    return tuple(Write("m0", side, block, disk) for block in blocks)
