"""The process server: the replication gateway. It caches, compresses and encrypts data before it sends it on (V2A-12,
V2A-13, V2A-34). A temporary one in Azure does the same for the way back (V2A-53). Scout's, at the primary site, serves
both ways; it caches and compresses (S-V2S-4, S-V2S-5).

Rules:

* the order is cache, compress, encrypt, send; what of it is done is the :class:`~siteproof.impl.codec.Codec`'s matter,
  which also binds a frame to its message;
* its cache is volatile. It never acknowledges anything itself: an acknowledgement is the target's, and is passed on.
  So a crash loses nothing that somebody relies on, and the agent sends again;
* an acknowledgement frees the frame of its message and of all before. A late copy of one of those, which the network may
  deliver at any time, goes no further: nobody waits for it. Of the message that was acknowledged last it does, since the
  acknowledgement may have been lost on the way to the agent. So the cache holds one frame a machine, however long it runs;
* when replication of a machine stops, or begins anew, its frames leave the cache.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from .codec import Codec, identity_of
from .extents import Extent, ExtentSpace
from .messages import Ack, ChangeBatch, Compare, CopyChunk, Message, Send

__all__ = ["ProcessServer", "ProcessServerRoute"]


@attrs.frozen(slots=True)
class ProcessServerRoute:
    """Where a machine's messages go on: data to the target, acknowledgements to the agent."""

    target: str
    agent: str


class ProcessServer:
    """A replication gateway for many machines. Overridable: :meth:`optimise`, :meth:`crash`, :meth:`forward`."""

    def __init__(self, name: str, space: ExtentSpace, cache: int, codec: Codec) -> None:
        self.name = name
        self.routes: dict[str, ProcessServerRoute] = {}
        self.cached: dict[tuple[str, int, int], Extent] = {}
        self.acknowledged: dict[str, tuple[int, int]] = {}
        """Epoch and number of the message of each machine that was acknowledged last; volatile."""
        self._space = space
        self._cache = cache
        self._codec = codec

    def connect(self, machine: str, route: ProcessServerRoute) -> None:
        """Take over the traffic of a machine."""
        self.forget(machine)
        self.routes[machine] = route

    def forget(self, machine: str) -> None:
        """Drop what the cache holds of a machine."""
        self.acknowledged.pop(machine, None)
        self._free([key for key in self.cached if key[0] == machine])

    def _free(self, keys: Iterable[tuple[str, int, int]]) -> None:
        for key in keys:
            self._space.discard(self.cached.pop(key))
        if not self.cached:
            self._space.truncate(self._cache)

    def optimise(self, message: ChangeBatch | CopyChunk) -> Extent:
        """Cache, compress and encrypt the bytes of a message; returns the frame's place in the cache."""
        if isinstance(message, ChangeBatch):
            parts = [self._space.read(w.extent) for w in message.writes]
        else:
            parts = [self._space.read(c.extent) for c in message.copies]
        content = parts[0] if len(parts) == 1 else b"".join(parts)
        return self._space.append(self._cache, self._codec.encode(content, identity_of(message)))

    def receive(self, message: Message, now: float) -> list[Send]:  # noqa: ARG002
        """Pass data on to the target and acknowledgements back to the agent."""
        route = self.routes.get(message.machine)
        if route is None:
            return []
        if isinstance(message, Ack):
            last = max(self.acknowledged.get(message.machine, (0, 0)), (message.epoch, message.number))
            self.acknowledged[message.machine] = last
            self._free([key for key in self.cached if key[0] == message.machine and key[1:] <= last])
            return [Send(route.agent, message)]
        if (message.epoch, message.number) < self.acknowledged.get(message.machine, (0, 0)):
            return []
        return self.forward(message, route)

    def forward(self, message: ChangeBatch | CopyChunk | Compare, route: ProcessServerRoute) -> list[Send]:
        """Send data on; a comparison carries no content and passes as it is."""
        if isinstance(message, Compare):
            return [Send(route.target, message)]
        key = (message.machine, message.epoch, message.number)
        frame = self.cached.get(key)
        if frame is None:
            frame = self.cached[key] = self.optimise(message)
        return [Send(route.target, attrs.evolve(message, payload=frame))]

    def crash(self) -> None:
        """The process dies: the cache is gone."""
        self.acknowledged.clear()
        self._free(list(self.cached))
