"""What jobs are made of: their steps' results, what they hand on, and what they may know of the infrastructure."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

import attrs

from .agent import ReplicationAgent
from .target import ReplicationTarget
from .values import Point
from .vm_host import VmHost

__all__ = ["Job", "Reach", "Side", "StepResult"]


class StepResult(Enum):
    """Outcome of a step."""

    DONE = "done"
    WAIT = "wait"
    FAILED = "failed"
    AGAIN = "again"
    """Go back to the step that the job names: the first one, or the stop of the source."""


@attrs.frozen(slots=True)
class Side:
    """The components of a machine on one side, with their addresses."""

    host: VmHost
    agent: ReplicationAgent
    target: ReplicationTarget
    agent_address: str
    target_address: str


class Reach(Protocol):
    """What the coordinator may know of the infrastructure: who can be reached now."""

    def up(self, side: str) -> bool:
        """Whether a site is up."""

    def in_contact(self) -> bool:
        """Whether both sites and the link between them are up."""

    def data_path(self) -> bool:
        """Whether data can flow: contact, and the gateway is up."""

    def route(self, machine: str, source: str) -> tuple[str, str]:
        """Connect a machine's data path; returns the addresses (the agent sends to, the target answers to)."""

    def unroute(self, machine: str) -> None:
        """A machine's data path is not used any more: gateways forget what they keep of it."""


@attrs.define(slots=True)
class Job:
    """A running operation: its next step, and what its steps hand on.

    ``copies`` marks a job that makes the other side a replica first, and starts over if that cannot be trusted;
    ``again_from`` is the step that :attr:`StepResult.AGAIN` goes back to.
    """

    operation: str
    step: int = 0
    point: str | None = None
    goal: int = 0
    chosen: Point | None = None
    copies: bool = False
    again_from: int = 0
