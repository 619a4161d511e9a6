"""Two runs that the recovery site cannot tell apart, after one of which both sides run."""

from __future__ import annotations

import pytest

from siteproof.model.impossible import impossibility
from siteproof.model.topology import builtin_topologies, load_topology


@pytest.mark.parametrize("flow", builtin_topologies())
def test_what_the_recovery_site_sees_is_the_same_whether_the_link_or_the_site_is_gone(flow: str) -> None:
    shown = impossibility(load_topology(flow))
    link, site = ([step.action for step in run.steps] for run in (shown.partition, shown.loss))
    assert [at for at, (one, other) in enumerate(zip(link, site, strict=True), 1) if one != other] == [shown.at]
    assert (link[shown.at - 1], site[shown.at - 1]) == ("fail_link", "fail_primary_site")
    assert len(shown.seen) == len(link)
    assert shown.seen[shown.at - 1]["the other site answers"] is False
    assert shown.seen[-1]["runs here"] is True


def test_after_the_partition_both_sides_run_and_after_the_loss_one_does() -> None:
    shown = impossibility(load_topology("vmware-to-azure"))
    assert shown.partition.steps[-1].changed["passive_running"] is True
    assert "passive_running" not in shown.loss.steps[-1].changed
