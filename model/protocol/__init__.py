"""The protocol level: how components that crash, forget and lose sight of each other deliver what the promise level promises.

Read in this order: `vocabulary` (who keeps what, and what survives); `abstraction` (what the promise level sees of it, and what
has to be shown); `places` (who reaches whom; crashes; the lint); then the actions: `data`, `control`, `copies`, `faults`; what is
claimed in `claims`. `lemmas` carries the proofs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import z3

from siteproof.model.engines.scope import Scope
from siteproof.model.level import Level
from siteproof.model.promise.vocabulary import Job, Machine
from siteproof.model.protocol.abstraction import PartRule, seen
from siteproof.model.protocol.claims import PARTS, PROMISES
from siteproof.model.protocol.lemmas import KNOWN, LEMMAS
from siteproof.model.protocol.places import lint
from siteproof.model.protocol.vocabulary import Parts
from siteproof.model.system import Model, build_model, constants_of, remembered
from siteproof.model.terms import literal

__all__ = ["LEMMAS", "LEVEL", "PARTS", "PROMISES", "build_protocol", "protocol_model"]


@remembered
def protocol_model(name: str, facts: Mapping[str, bool]) -> Model:
    """The protocol level of one flow: `name` is the topology's id, `facts` its behaviour by dotted path, derived ones among them.
    Raises `ValueError` for an action that acts at a distance and for an initial state that is not the promise level's."""
    return build_protocol(name, facts, PARTS)


def build_protocol(name: str, facts: Mapping[str, bool], parts: Sequence[PartRule]) -> Model:
    """A protocol of these actions, checked likewise."""
    model = build_model(name, "protocol", Parts, [part.rule for part in parts], facts)
    lint(model, parts, (lemma.conclusion(Parts()).node for lemma in KNOWN))
    _begins_as_promised(model)
    return model


def _begins_as_promised(model: Model) -> None:
    """What is seen of the initial state is the promise level's initial state."""
    start = {v.name: (v.domain.constant(v.name), literal(v.initial).node) for v in model.variables}
    first = seen(Parts())
    for variable in Machine.variables():
        node = model.facts.fold(first.terms[variable.name].node)
        value = z3.simplify(z3.substitute(node, *(start[name] for name in constants_of(node))))
        if not value.eq(z3.simplify(literal(variable.initial).node)):
            raise ValueError(f"what is seen of {variable.name} is {value} at the start of {model.name}, and the promise level"
                             f" begins with {variable.initial}")


_NEAR = {"x_fate": 0, "test": 0, "app": 0, "point": 0, "server": 0, "way_back": 0}
"""No write is marked, no point kept, and nothing is tested or set up for the way back."""

LEVEL = Level(
    "protocol", "how the components deliver it", "any number of machines, writes, points, failovers and crashes", protocol_model,
    PROMISES, LEMMAS, Scope(writes=1, failovers=1),
    (Scope(writes=0, failovers=0, cached=0, more=_NEAR), Scope(writes=1, failovers=0, more={**_NEAR, "doubt": 0, "resync": 0}),
     Scope(writes=1, failovers=0, cached=0, more={**_NEAR, "app": 1, "doubt": 0, "resync": 0}),
     Scope(writes=1, failovers=0, cached=0, more=_NEAR)), pending=lambda p: p.job != Job.NONE)
