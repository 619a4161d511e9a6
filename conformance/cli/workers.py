"""Flows, or other items, side by side: as many processes as there are processors take one after the other.

Rules
1. Workers are spawned, never forked with a solver loaded; they get an item and settings, and answer a value.
2. They say how far they are; on a terminal the line that moves tells of all that are at work.
3. None outlives the command: an interruption ends them. One that dies is an error that names its item.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue
from typing import Any, Protocol, TypeVar

from siteproof.conformance.exits import Exit
from siteproof.model.errors import SiteproofError

__all__ = ["WorkerError", "side_by_side"]

Settings = TypeVar("Settings")
Result = TypeVar("Result")
Item = TypeVar("Item", bound="Identified")
Tell = Callable[[str], None]

_queue: list[SimpleQueue[tuple[str, str]]] = []  # in a worker: where its progress goes


class Identified(Protocol):
    """Something to work on, with the name under which progress tells of it."""

    @property
    def id(self) -> str: ...


class WorkerError(SiteproofError):
    """A worker ended without a result."""

    exit_code = int(Exit.ENVIRONMENT)


def side_by_side(items: Sequence[Item], work: Callable[[Item, Settings, Tell], Result], settings: Settings,
                 progress: Tell, jobs: int | None = None) -> Iterator[Result]:
    """`work` for each item, the results in the order of the items, each as soon as those before it are there. `work` is
    a function of a module. `jobs` is the number of processes; one is this process itself. Raises `WorkerError`, and
    whatever `work` raises."""
    if len(items) == 1 or jobs == 1:
        for item in items:
            yield work(item, settings, progress)
        return
    context = multiprocessing.get_context("spawn")
    queue: SimpleQueue[tuple[str, str]] = context.SimpleQueue()
    last: dict[str, str] = {}
    pool = ProcessPoolExecutor(min(len(items), jobs or os.cpu_count() or 1), context, _begin, (queue,))
    try:
        futures: list[Future[Result]] = [pool.submit(_do, work, item, settings) for item in items]
        for item, future in zip(items, futures, strict=True):
            while not future.done():
                wait([future], timeout=0.2, return_when=FIRST_COMPLETED)
                while not queue.empty():
                    id, line = queue.get()
                    last[id] = line
                busy = [f"{one.id}: {last[one.id]}" for one, its in zip(items, futures, strict=True)
                        if its.running() and one.id in last]
                progress(" · ".join(busy[:2]))
            try:
                yield future.result()
            except BrokenProcessPool:
                raise WorkerError(f"the worker for {item.id}", "a worker that lives", "see whether memory ran out") from None
    finally:
        for future in futures:
            future.cancel()
        for process in multiprocessing.active_children():
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(queue: SimpleQueue[tuple[str, str]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _queue.append(queue)


def _do(work: Callable[[Any, Any, Tell], Any], item: Any, settings: Any) -> Any:
    told = [0.0]

    def tell(line: str) -> None:
        if time.monotonic() - told[0] > 0.2:
            told[0] = time.monotonic()
            _queue[0].put((item.id, line))

    return work(item, settings, tell)
