"""Recovery points and test copies: what the passive side does with what it has received.

Rules
1. A point is cut of what the passive side has on disk: under standing orders, without asking anybody, or for a failover that the
   vault has told it of.
2. Retention and test copies are the vault's business, so it has to reach the side; nobody else is needed.
"""

from __future__ import annotations

from siteproof.model.promise import points, testing
from siteproof.model.promise.vocabulary import Failover, Job, Point
from siteproof.model.protocol.abstraction import PartRule, at_the_side, carries
from siteproof.model.protocol.places import is_up, reach
from siteproof.model.protocol.vocabulary import Orders, Parts
from siteproof.model.system import Facts, Requires, Step
from siteproof.model.terms import Bool, Choice, Not

__all__ = ["COPIES"]


def _orders(t: Facts, p: Parts) -> list[Bool]:
    return [is_up(t, p, "passive"), p.orders == Orders.PROTECT]


@carries(points.cut_point, guards=False, view=at_the_side)
def cut_point(t: Facts, p: Parts, _keep: Bool) -> Step:
    return Step([], [*_orders(t, p), p.latest < p.passive])


@carries(points.cut_equal_point, guards=False, view=at_the_side)
def cut_equal_point(t: Facts, p: Parts, _keep: Bool) -> Step:
    return Step([], [*_orders(t, p), p.latest == p.passive])


@carries(points.cut_app_point, guards=False, view=at_the_side)
def cut_app_point(t: Facts, p: Parts, _keep: Bool) -> Step:
    return Step([], _orders(t, p))


@carries(points.cut_point, guards=False, view=at_the_side, name="cut_last_point")
def cut_last_point(t: Facts, p: Parts, _keep: Bool) -> Step:
    """For an unplanned failover, what has been received since the last point becomes a recovery point."""
    return Step([], [*_from_vault(t, p), p.job == Job.UNPLANNED, Not(p.done), p.latest < p.passive])


def _from_vault(t: Facts, p: Parts) -> list[Bool]:
    return [reach(t, p, "vault", "passive")]


@carries(points.prune_point)
def prune_point(t: Facts, p: Parts) -> Step:
    return Step([], [*_from_vault(t, p), Not(p.done), p.failover == Failover.NONE])


@carries(points.prune_app_point)
def prune_app_point(t: Facts, p: Parts) -> Step:
    return Step([], [*_from_vault(t, p), Not(p.done), p.failover == Failover.NONE])


@carries(testing.test_failover)
def begin_test_failover(t: Facts, p: Parts, _point: Choice[Point]) -> Step:
    return Step([], [Requires(p.vault_up, "ControlPlaneDown", precheck=True),
                     Requires(reach(t, p, "vault", "passive"), "ControlPlaneDown", precheck=True)])


@carries(testing.make_test_copy)
def make_test_copy(t: Facts, p: Parts) -> Step:
    return Step([], _from_vault(t, p))


@carries(testing.start_test_copy)
def start_test_copy(t: Facts, p: Parts) -> Step:
    return Step([], _from_vault(t, p))


@carries(testing.write_test_copy)
def write_test_copy(_t: Facts, _p: Parts, _mark: Bool) -> Step:
    return Step([])


@carries(testing.leak_test_write)
def leak_test_write(_t: Facts, _p: Parts) -> Step:
    return Step([])


@carries(testing.boot_test_copy)
def boot_test_copy(t: Facts, p: Parts) -> Step:
    return Step([], _from_vault(t, p))


@carries(testing.test_failover_cleanup)
def test_failover_cleanup(t: Facts, p: Parts) -> Step:
    return Step([], [Requires(p.vault_up, "ControlPlaneDown", precheck=True),
                     Requires(reach(t, p, "vault", "passive"), "ControlPlaneDown", precheck=True)])


@carries(testing.stop_test_copy)
def stop_test_copy(t: Facts, p: Parts) -> Step:
    return Step([], _from_vault(t, p))


@carries(testing.remove_test_copy)
def remove_test_copy(t: Facts, p: Parts) -> Step:
    return Step([], _from_vault(t, p))


COPIES: tuple[PartRule, ...] = (
    cut_point, cut_equal_point, cut_app_point, cut_last_point, prune_point, prune_app_point, begin_test_failover, make_test_copy,
    start_test_copy, write_test_copy, leak_test_write, boot_test_copy, test_failover_cleanup, stop_test_copy, remove_test_copy)
