"""What an engine is: who chooses the commands of a case.

Rules
1. An engine makes one case at a time: it opens a session, takes commands on it, and ends it with `liveness.conclude`, as every
   engine does. What it finds is a session like any other: the same shrinker, replay and reports take it from there.
2. All chance comes from the generator that the engine was made with, and nothing is decided by the clock: a seed draws the same
   cases on a slow machine.
3. An engine whose cases are numbered (a sweep, a tour) is *done* some day: `case` then returns None.
4. What an engine prepares before a case (a graph of the model, a tour) it counts in `worked`, in steps of a session that take
   about as long. A portfolio shares its budget by steps and by this.
5. What an engine cannot know it asks the session, never the driver: believed states, what the driver can do (`why_not`), what the
   campaign has met.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

import attrs

from siteproof.conformance.case import Scenario
from siteproof.conformance.corpus import Corpus
from siteproof.conformance.session import Session

__all__ = ["Engine", "Kind", "Opener"]


class Opener(Protocol):
    """Opens the session of a case, with a seed, on the case's scenario. `corpus` is what the campaign keeps."""

    @property
    def scenario(self) -> Scenario: ...

    @property
    def corpus(self) -> Corpus: ...

    def __call__(self, seed: int) -> Session: ...


class Engine(Protocol):
    """One engine at work in one campaign."""

    name: str
    worked: int
    """What was prepared so far, in steps."""

    def case(self, opened: Opener) -> Session | None:
        """Run one case and return its session, ended; None when nothing is left to run."""

    def notes(self) -> tuple[str, ...]:
        """What the engine has to say of its own work, for people: counts, and what could not be done and why."""


@attrs.frozen
class Kind:
    """One row of the table of engines: its id, one sentence, and what makes one for a campaign. `best` says what it is for."""

    id: str
    sentence: str
    best: str
    make: Callable[[random.Random], Engine]
