"""Errors that are neither the user's specification nor the system's behaviour: a driver that fails.

A divergence is not an error. A driver that cannot be loaded, raises, hangs or answers nonsense is: nothing can then be
said about the system behind it.
"""

from __future__ import annotations

from siteproof.model.errors import SiteproofError, one_line

__all__ = ["CaseError", "DriverError"]


class DriverError(SiteproofError):
    """The driver, or the environment it needs, failed. Says whose fault it is, what was found, what was expected."""

    exit_code = 3

    def __init__(self, driver: str, found: str, expected: str, mend: str = "") -> None:
        super().__init__(driver, found, expected, mend)
        self.driver = driver
        self.found, self.expected, self.mend = one_line(found), one_line(expected), one_line(mend)

    def __str__(self) -> str:
        told = f"driver {self.driver}: found {self.found}; expected {self.expected}"
        return f"{told}; to mend: {self.mend}" if self.mend else told


class CaseError(SiteproofError):
    """A test case or counterexample file is not what this version reads."""

    exit_code = 4

    def __init__(self, where: str, found: str, expected: str) -> None:
        super().__init__(where, found, expected)
        self.where, self.found, self.expected = where, one_line(found), one_line(expected)

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}; expected {self.expected}"
