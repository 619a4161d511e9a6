"""Errors of the replication implementation: one base class, and one subclass for each party that can be at fault.

Every message says what was found, what was expected and how to mend it. A mistake of the user never needs a traceback.
"""

from __future__ import annotations

__all__ = [
    "DamagedJournalError",
    "DamagedLogError",
    "ImplError",
    "IntegrityError",
    "ScenarioError",
    "StoppedError",
    "TopologyError",
    "UnknownFlowError",
    "UnreadableError",
    "UsageError",
]


class ImplError(Exception):
    """Base of all errors raised on purpose by this package."""


class TopologyError(ImplError):
    """The topology file is at fault: it cannot be read, or lacks what the flow needs."""


class UnknownFlowError(TopologyError):
    """The topology names a flow that is not implemented. It is refused, never guessed."""


class ScenarioError(ImplError):
    """A scenario file is at fault. ``key`` is the full name of the key, empty where the whole file is meant."""

    def __init__(self, file: str, key: str, found: str, expected: str, mend: str) -> None:
        super().__init__(file, key, found, expected, mend)
        self.file, self.key, self.found, self.expected, self.mend = file, key, found, expected, mend

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else self.file
        return f"{where}: found {self.found}; expected {self.expected}; to mend: {self.mend}"


class UsageError(ImplError):
    """The caller is at fault: an unknown machine, a block outside the disk, an image of a wrong size."""


class StoppedError(ImplError):
    """A kept system has stopped, because it could not make an event durable. It has to be resumed."""


class IntegrityError(ImplError):
    """Stored or transferred content is not what was written. It is never used."""


class UnreadableError(IntegrityError, OSError):
    """A disk or an image gave an error in place of what is stored there: as good as damaged."""


class DamagedLogError(IntegrityError):
    """An ``.hrl`` file is damaged, not closed, or out of its chain."""


class DamagedJournalError(DamagedLogError):
    """A log and its journal disagree, or the journal is damaged: in ``length`` bytes from ``offset`` of the journal, or of the
    log (``in_log``).
    """

    def __init__(self, message: str, offset: int, length: int, *, in_log: bool = False) -> None:
        super().__init__(message)
        self.offset, self.length, self.in_log = offset, length, in_log
