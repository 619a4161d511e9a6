"""Scopes: how far an exploration looks. Bounds are here and never in the model.

A scope limits counters; whatever else a state holds is finite already. A state beyond a bound is not entered, so a
search says of the scope only what it is, and a proof of *any number* is never a search's.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from siteproof.model.system import Model

__all__ = ["Scope"]


@attrs.frozen
class Scope:
    """`writes`: the longest disk, in acknowledged writes, on either side. `failovers`: how often authority changes
    side. `cached`: writes that are issued and not acknowledged, on either side at a time. Each may be None, where a
    level has no such thing. `more`: bounds of other variables. `words` say what it is where these do not."""

    writes: int | None = 2
    failovers: int | None = 2
    cached: int | None = 1
    more: Mapping[str, int] = attrs.field(factory=dict)
    words: str = ""

    def bounds(self, model: Model) -> dict[str, int]:
        """The largest value of each bounded variable that `model` has."""
        epochs = None if self.failovers is None else 1 + self.failovers
        rows = {"head": self.writes, "passive": self.writes, "epoch": epochs, "cached": self.cached,
                "passive_cached": self.cached, **self.more}
        return {name: most for name, most in rows.items() if most is not None and name in model.names}

    @classmethod
    def only(cls, **bounds: int) -> Scope:
        """A scope that bounds the variables that it names, and no others."""
        return cls(None, None, None, bounds)

    def widened(self, by: int) -> Scope:
        """Every bound larger by so much; and writes that are still cached, on either side, may reach the disks."""
        def more(most: int | None, beside: int = 0) -> int | None:
            return None if most is None else most + beside + by

        return Scope(more(self.writes, 2 * (self.cached or 0)), more(self.failovers), more(self.cached),
                     {name: most + by for name, most in self.more.items()})

    def __str__(self) -> str:
        if self.words:
            return self.words
        counted = ((self.writes, "write", "s"), (self.failovers, "failover", "s"), (self.cached, "cached", ""))
        words = [f"{most} {word}{many * (most != 1)}" for most, word, many in counted if most is not None]
        words += [f"{name.replace('_', ' ')} up to {most}" for name, most in self.more.items() if most]
        without = ", ".join(name.removeprefix("x_").replace("_", " ") for name, most in self.more.items() if not most)
        return "at most " + ", ".join(words) + (f"; without {without}" if without else "")
