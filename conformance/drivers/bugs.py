"""Seeded bugs of the bundled implementation: how good is the tester?

Each bug is a small override of one component class, injected by the driver; the implementation stays clean. Each tells the
story it is drawn from, the requirements and the promises that it breaks (any of these may be what a run shows first), the flows
in which it exists, how hard it is to come by, and the length of the shortest case that shows it. There is a module for each
family; what breaks at the barrier of a group has one of its own.

`siteproof run --driver bundled+switch-before-drain` selects one; `siteproof selftest` tries them all.
"""

from __future__ import annotations

from siteproof.conformance.drivers import (
    bugs_capability,
    bugs_consistency,
    bugs_durability,
    bugs_failover,
    bugs_groups,
    bugs_ordering,
    bugs_points,
    bugs_reprotect,
    bugs_timing,
)
from siteproof.conformance.drivers.bugs_common import Bug

__all__ = ["BUGS", "Bug"]

BUGS: tuple[Bug, ...] = (
    *bugs_ordering.BUGS,
    *bugs_durability.BUGS,
    *bugs_points.BUGS,
    *bugs_failover.BUGS,
    *bugs_reprotect.BUGS,
    *bugs_consistency.BUGS,
    *bugs_groups.BUGS,
    *bugs_capability.BUGS,
    *bugs_timing.BUGS,
)
