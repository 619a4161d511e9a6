"""What a level is: a part of the specification that is modelled and proved on its own.

Rules
1. A level is a vocabulary, actions, claims of numbered promises, and lemmas; its model is built from a topology's facts.
2. `reach` says what a proof at the level speaks of. The scopes bound searches only, never the model.
3. What an exploration asks for, a level says in terms over its vocabulary: when an accepted job is `pending`, what it is to be
   at `home`, and when an operator's own request or a declared loss has `ended` the way there.
4. A level applies in a flow where its `needs`, a term over facts, is true.

All levels are listed in `siteproof.model.levels`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import z3

from siteproof.model.claims import Claim, Promise
from siteproof.model.engines.scope import Scope
from siteproof.model.system import Facts, Model
from siteproof.model.terms import Bool

__all__ = ["Level"]


@attrs.frozen(eq=False)
class Level:
    """One level. `build` makes its model from a topology's id and facts. `scopes`: the widest that a search tries first, and
    the ones that it can finish, small to large; `narrow` are those that leave one thing out, so that everything else fits.
    `pending`, `home` and `ended` are terms over one state (rule 3); without them
    nothing is asked about jobs and the way home."""

    id: str
    title: str
    reach: str
    build: Callable[[str, Mapping[str, bool]], Model]
    promises: tuple[Promise, ...]
    lemmas: tuple[Claim, ...]
    wide: Scope
    scopes: tuple[Scope, ...]
    needs: Callable[[Facts], Bool] | None = None
    pending: Callable[[Any], Bool] | None = None
    home: Callable[[Any], Bool] | None = None
    ended: Callable[[Any], Bool] | None = None
    narrow: tuple[Scope, ...] = ()

    def applies(self, facts: Mapping[str, bool]) -> bool:
        """Whether the level says anything about a flow with these facts."""
        if self.needs is None:
            return True
        known = Facts(facts)
        return bool(z3.is_true(known.fold(self.needs(known).node)))

    def because(self, facts: Mapping[str, bool]) -> str:
        """The facts that decide whether it applies, with their values."""
        known = Facts(facts)
        return known.told(self.needs(known).node) if self.needs is not None else ""
