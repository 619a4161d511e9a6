"""Who writes down what happens in a session: the interface between sessions and traces."""

from __future__ import annotations

from typing import Protocol

from siteproof.conformance.case import Command, Scenario
from siteproof.conformance.content import View, WriteRecord
from siteproof.conformance.driver import Answer, Capabilities, Observation
from siteproof.conformance.results import Divergence

__all__ = ["Recorder"]


class Recorder(Protocol):
    """Who writes down what happens in a session, in the order in which it happens."""

    def case(self, scenario: Scenario, seed: int, can: Capabilities) -> None:
        """A case begins. Of an image, the scenario has the size only."""

    def read(self, machine: str, where: str, view: View) -> None:
        """The content of a place was read."""

    def looked(self, machine: str, seen: Observation, now: float | None) -> None:
        """A machine was observed, at the time `now` where that is told."""

    def changed(self, machine: str, point: str, now: View) -> None:
        """A point was read again, and is not what it was."""

    def step(
        self, command: Command | None, point: str | None, answer: Answer | bool | None, record: WriteRecord | None = None
    ) -> None:
        """What was seen since the last step belongs to this command; None: it was only looked. For a settling the answer
        is whether the system came to rest."""

    def skip(self, command: Command) -> None:
        """The driver cannot do it."""

    def end(self, divergence: Divergence | None, overflow: bool) -> None:
        """The case is over."""
