"""Which way the control plane's orders take: facts that a topology does not state, since its components and links say them.

Rules
1. A side's orders come *from afar* while replication goes in a direction if one of its components has a control link, used in
   that direction, to a component of the other side: with that site gone, nobody tells the side anything.
2. Both sides have *one relay* if a component has control links to components of both sides, or serves its own side's and the
   other's.
3. The way back *asks for components* if the failback setup names any.
4. These facts follow from the deployment, so they are no what-if of their own: lay another deployment over the topology.

Source: V2A-9, V2A-30 (configuration server), S-V2S-28 (Scout), H2S-7.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from siteproof.model.deployment import Carries, Direction, Side

if TYPE_CHECKING:
    from siteproof.model.topology import Topology

__all__ = ["DERIVED", "derived_facts"]

DERIVED: Final[Mapping[str, str]] = MappingProxyType({
    "control.source_far_forward": "towards recovery, the primary side's orders pass a component at the recovery side",
    "control.target_far_forward": "towards recovery, the recovery side's orders pass a component at the primary side",
    "control.target_far_reverse": "on the way back, the primary side's orders pass a component at the recovery side",
    "control.one_relay": "one component passes on the orders of both sides",
    "failback.asks_components": "the way back asks for components of its own",
})
"""Facts that follow from components and links, and what each means when it is true."""


def derived_facts(topology: Topology) -> dict[str, bool]:
    """The derived facts of a topology. What the loader is about to refuse, a link without an end say, says nothing."""
    places = {place.id: place.side for place in topology.places}
    sides = {c.id: places[c.place] for c in topology.components if c.place in places}
    control = [(link, sides[link.source], sides[link.target]) for link in topology.links
               if link.carries is Carries.CONTROL and {link.source, link.target} <= sides.keys()]

    def far(from_side: Side, to_side: Side, direction: Direction) -> bool:
        """Orders of `from_side` pass the other side: its component opens the link."""
        return any(link.serves(direction) and (one, two) == (from_side, to_side) for link, one, two in control)

    served: dict[str, set[Side]] = {}
    for link, one, two in control:
        if link.serves(Direction.FORWARD) and Side.CLOUD not in (one, two):
            served.setdefault(link.target, set()).add(one)
    return {
        "control.source_far_forward": far(Side.PRIMARY, Side.RECOVERY, Direction.FORWARD),
        "control.target_far_forward": far(Side.RECOVERY, Side.PRIMARY, Direction.FORWARD),
        "control.target_far_reverse": far(Side.PRIMARY, Side.RECOVERY, Direction.REVERSE),
        "control.one_relay": any(len(sides) > 1 for sides in served.values()),
        "failback.asks_components": bool(topology.failback.components),
    }
