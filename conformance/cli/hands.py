"""Where the cases of a run are played: by this process, by several, or on a cluster.

Rules
1. What draws the same cases again (a seed, a number of cases) and what is written in order (a trace) needs one process.
2. Else there is one process for each processor with a system of ours, of which any number can run beside each other. Of a user's
   own system that is not known, so it gets one process unless `--jobs` says otherwise.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import attrs

from siteproof.conformance.drivers.registry import is_bundled
from siteproof.conformance.spread import cluster_of, local
from siteproof.model.errors import UsageError

__all__ = ["Where"]

_SPREAD = ("model",)
"""Drivers, beside the bundled implementation, of which several systems can surely run beside each other."""


@attrs.frozen
class Where:
    """Where the cases of a run are played: so many local processes, or a cluster by its scheduler's address; and the folder of
    the corpus that they go on from."""

    jobs: int | None = None
    cluster: str | None = None
    corpus: Path | None = None

    def check(self, fixed: bool) -> None:
        """Raises `UsageError` where what is asked for needs one process. `fixed`: a seed, a number of cases, or a trace is."""
        if self.jobs is not None and self.cluster is not None:
            raise UsageError("--jobs with --cluster", "one of them", "leave one of them out")
        if fixed and (self.cluster is not None or (self.jobs or 1) > 1):
            found = f"--{'cluster' if self.cluster is not None else 'jobs'} with --seed, --max-cases or --record"
            raise UsageError(found, "one process, which alone draws the same cases again", "leave one of them out")

    def alone(self, driver: str, fixed: bool) -> bool:
        """Whether this process does it all."""
        return self.cluster is None and self._processes(driver, fixed) == 1

    def _processes(self, driver: str, fixed: bool) -> int:
        usual = 1 if fixed or not (is_bundled(driver) or driver in _SPREAD) else os.cpu_count() or 1
        return self.jobs or usual

    @contextlib.contextmanager
    def hands(self, driver: str, fixed: bool) -> Iterator[tuple[Executor | None, int]]:
        """What runs the slices, and how many at once; None: this process itself."""
        if self.cluster is not None:
            with cluster_of(self.cluster) as found:
                yield found
        elif (jobs := self._processes(driver, fixed)) > 1:
            with local(jobs) as pool:
                yield pool, jobs
        else:
            yield None, 1
