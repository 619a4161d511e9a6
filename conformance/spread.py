"""A campaign on many processors: over local processes, or over a dask.distributed cluster.

Rules
1. A campaign is cut into *slices* of some seconds. Each is a small campaign of its own, with a seed that no other had, on what
   the corpus kept so far; the next slice that begins knows what those before it have found. So slices do not repeat each other.
2. There is one coordinator, and one way to hand out work: an executor of `concurrent.futures`. Local processes are one, a
   cluster's client gives another.
3. What slices count is added up, and the verdict is given on the sum, by the rules of a campaign that ran in one piece. The first
   counterexample ends it all: it was shrunk and certified in its slice.
4. Drivers and flows go by name, since a system under test cannot be sent; what is not installed on a worker is an error there.
5. A worker that dies takes its slice with it, and nothing else: the run ends with one clear error, and what the corpus had by
   then is kept.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import attrs

from siteproof.conformance.corpus import Corpus
from siteproof.conformance.coverage import Ledger
from siteproof.conformance.drivers.registry import factory_here
from siteproof.conformance.report.values import count
from siteproof.conformance.results import CampaignResult
from siteproof.conformance.runner import CampaignEvent, Played, campaign, concluded, promised_for
from siteproof.conformance.tally import Tally
from siteproof.model.errors import SiteproofError, UsageError
from siteproof.model.topology import load_topology

__all__ = ["ClusterError", "Plan", "cluster_of", "local", "spread"]

SLICE = 10.0
"""Seconds of a slice."""
REACH_SECONDS = 10
"""How long a cluster may take to answer."""


class ClusterError(SiteproofError):
    """A cluster that cannot be reached, or a worker that ended."""

    exit_code = 3

    def __init__(self, what: str, found: str, expected: str, mend: str) -> None:
        super().__init__(what, found, expected, mend)
        self.what, self.found, self.expected, self.mend = what, found, expected, mend

    def __str__(self) -> str:
        return f"{self.what}: found {self.found}; expected {self.expected}; to mend: {self.mend}"


@attrs.frozen
class Plan:
    """What is to be run: a flow (its id, or a file), a driver and an engine by name, a seed, a budget, and the size of cases."""

    source: str
    driver: str
    engine: str
    seed: int
    seconds: float
    machines: int | None = None
    disks: int | None = None


def spread(plan: Plan, executor: Executor, workers: int, corpus: Corpus,
           on_event: Callable[[CampaignEvent], None] | None = None) -> CampaignResult:  # fmt: skip
    """Run a campaign on `workers` workers of an executor. `corpus` is added to, also when this is interrupted. Raises
    `DriverError` and `ClusterError`."""
    topology = load_topology(plan.source)
    began, parts = time.monotonic(), list[Played]()

    def tell(kind: str, text: str = "", result: CampaignResult | None = None) -> None:
        if on_event is not None:
            cases, steps = sum(p.tally.cases for p in parts), sum(p.tally.steps for p in parts)
            found = next((p.counterexample.divergence for p in parts if p.counterexample is not None), None)
            on_event(CampaignEvent(kind, cases, steps, time.monotonic() - began, text, topology.id, plan.driver, plan.engine,
                                   plan.seed, found if kind == "divergence" else None, result))  # fmt: skip

    tell("begun")
    busy: set[Future[tuple[Played, Corpus]]] = set()
    found = None
    try:
        while found is None and (busy or time.monotonic() - began < plan.seconds):
            while len(busy) < workers and (left := plan.seconds - (time.monotonic() - began)) > 0:
                one = attrs.evolve(plan, seed=corpus.fresh(plan.seed), seconds=min(SLICE, left))
                busy.add(executor.submit(_slice, one, corpus.beginning_of()))
            done, busy = wait(busy, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                try:
                    part, more = future.result()
                except BrokenProcessPool:
                    mend = "see whether memory ran out"
                    raise ClusterError("a local worker", "one that ended", "one that lives", mend) from None
                parts.append(part)
                corpus.join(more)
                found = found or part.counterexample
            tell("progress")
    finally:
        for future in busy:
            future.cancel()
    if found is not None:
        tell("divergence", found.divergence.sentence)
    played = _sum(parts, plan, time.monotonic() - began, workers)
    result = concluded(played, promised_for(topology), topology.id, plan.driver, plan.engine)
    tell("done", result.reason, result)
    return result


def _slice(plan: Plan, corpus: Corpus) -> tuple[Played, Corpus]:
    """In a worker: one slice, and what the corpus has now."""
    played, before = list[Played](), corpus.been.copy()
    campaign(plan.source, factory_here(plan.driver), plan.engine, plan.seed, plan.seconds, driver_name=plan.driver,
             machines=plan.machines, disks=plan.disks, corpus=corpus, on_played=played.append)  # fmt: skip
    corpus.been.subtract(before)
    return played[0], corpus


def _sum(parts: list[Played], plan: Plan, seconds: float, workers: int) -> Played:
    """What all slices come to together."""
    counterexample = next((p.counterexample for p in parts if p.counterexample is not None), None)
    tally = Tally(Ledger(promised_for(load_topology(plan.source))))
    for part in parts:
        tally.join(part.tally)
    notes = (f"{count(len(parts), 'slice')} of up to {SLICE:g} s on {count(workers, 'worker')}, each with a seed of its own",)
    return Played(tally, counterexample, plan.seed, seconds, "", sum(p.swept for p in parts), notes)


# ------------------------------------------------------------------------------------------------------------- executors


@contextlib.contextmanager
def local(jobs: int) -> Iterator[Executor]:
    """An executor over so many local processes, none of which outlives it."""
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), partial(signal.signal, signal.SIGINT, signal.SIG_IGN))
    try:
        yield pool
    finally:
        for process in multiprocessing.active_children():
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def cluster_of(address: str) -> Iterator[tuple[Executor, int]]:
    """An executor over the cluster whose scheduler is at an address, and how many threads its workers have. Raises `UsageError`
    where the extra is not installed, `ClusterError` where nothing answers."""
    try:
        from distributed import Client
    except ImportError:
        mend = "pip install 'siteproof[cluster]'"
        raise UsageError("--cluster, and dask.distributed is not installed", "the extra 'cluster'", mend) from None
    try:
        client = Client(address, timeout=REACH_SECONDS)
    except (OSError, ValueError, TimeoutError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ClusterError(f"--cluster {address}", told, "a scheduler's address, such as tcp://HOST:8786",
                           "see that `dask scheduler` runs there, with the same version") from None  # fmt: skip
    try:
        threads = sum(client.nthreads().values())
        if not threads:
            raise ClusterError(f"--cluster {address}", "a scheduler without workers", "at least one worker",
                               "start `dask worker ADDRESS` on machines that have siteproof")  # fmt: skip
        yield client.get_executor(pure=False), threads
    finally:
        client.close()
