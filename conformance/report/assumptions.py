"""The assumptions behind every green light: one page, shown in every report and kept in `assumptions.md` beside this file."""

from __future__ import annotations

from functools import cache
from importlib import resources

__all__ = ["assumptions"]


@cache
def assumptions() -> str:
    """The page's text, in Markdown."""
    return resources.files("siteproof.conformance.report").joinpath("assumptions.md").read_text(encoding="utf-8")
