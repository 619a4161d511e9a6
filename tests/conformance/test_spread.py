"""A campaign on many workers: local processes and a real cluster come to what one process comes to, and a dead worker is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import pytest

from siteproof.conformance.cli import main
from siteproof.conformance.corpus import Corpus
from siteproof.conformance.results import CampaignResult, Outcome
from siteproof.conformance.runner import CampaignEvent
from siteproof.conformance.spread import ClusterError, Plan, cluster_of, local, spread
from tests.conformance.driving import FLOWS

FLOW = FLOWS[1]


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with local(2) as executor:
        yield executor


Ran = tuple[CampaignResult, list[CampaignEvent]]


def run(executor: Executor, driver: str, seconds: float, corpus: Corpus | None = None) -> Ran:
    events = list[CampaignEvent]()
    kept = Corpus() if corpus is None else corpus
    return spread(Plan(FLOW, driver, "portfolio", 7, seconds), executor, 2, kept, events.append), events


def test_slices_are_added_up_and_none_repeats_another(pool: Executor) -> None:
    corpus = Corpus()
    result, events = run(pool, "bundled", 3.0, corpus)
    assert result.counterexample is None
    assert len(set(corpus.seeds)) == len(corpus.seeds) >= 2
    assert len(corpus) > 100
    actions, transitions, _ = result.coverage
    assert actions.covered > 30
    assert transitions.covered == len(corpus.met)
    assert result.cases == sum(result.scenarios.values()) == events[-1].cases
    assert [event.kind for event in events if event.kind != "progress"] == ["begun", "done"]


def test_the_first_counterexample_ends_it_and_is_shrunk(pool: Executor) -> None:
    result, events = run(pool, "bundled+retention-keeps-the-newest-only", 60.0)
    assert result.outcome is Outcome.VIOLATION
    assert result.counterexample is not None
    assert result.counterexample.minimal
    assert result.seconds < 60
    assert [event.kind for event in events if event.kind != "progress"] == ["begun", "divergence", "done"]


def test_a_worker_that_dies_is_one_clear_error() -> None:
    with local(1) as executor:
        executor.submit(os._exit, 1)
        with pytest.raises(ClusterError, match="one that ended"):
            run(executor, "model", 5.0)


def test_a_cluster_plays_the_cases() -> None:
    distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    here = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None)
    with here as cluster, cluster_of(cluster.scheduler_address) as (executor, threads):
        assert threads == 1
        result, _ = run(executor, "bundled+retention-keeps-the-newest-only", 60.0)
    assert result.outcome is Outcome.VIOLATION


@pytest.mark.parametrize("arguments", [
    ["--cluster", "tcp://127.0.0.1:1", "--jobs", "2"], ["--jobs", "2", "--max-cases", "5"],
    ["--jobs", "2", "--record", "run.ndjson"],
])
def test_what_does_not_go_together_is_the_users_mistake(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--driver", "model", "--topology", FLOW, *arguments]) == 4
    assert "to mend" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    monkeypatch.setattr("siteproof.conformance.spread.REACH_SECONDS", 1)
    assert main(["run", "--driver", "model", "--topology", FLOW, "--cluster", "tcp://127.0.0.1:1"]) == 3
    assert "a scheduler's address" in capsys.readouterr().err
