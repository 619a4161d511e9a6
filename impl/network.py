"""How the simulated network misbehaves, message by message: late copies, losses, damage.

Rules:

* it may deliver a second copy of any message, late by a bounded time and so out of order; such a copy outlives faults. A
  receiver has to recognise it; bytes that a late copy refers to may be gone, and then it is nothing;
* it may lose a single message, or damage it under way: a damaged one is brought into the form of the wire, a bit of it is
  turned, and the receiver finds that (:mod:`.wire`), so it is as good as lost. What nobody has answered is sent again
  when a timer runs out. A timer that would find nothing to do is not scheduled: the simulation knows what it has lost;
* all of it is drawn from a generator of its own, so that a better or worse network changes no other decision.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import attrs

from . import wire
from .errors import IntegrityError, UsageError
from .extents import Extent
from .messages import Message

__all__ = ["RESEND_AFTER", "Line", "Network"]

RESEND_AFTER = 15.0
"""Seconds until a source sends again what nobody has answered."""


@attrs.frozen(slots=True)
class Network:
    """How a network misbehaves.

    Args:
        duplicates: share of messages of which it delivers a late copy.
        latest: how late at most (seconds).
        losses: share of messages that it loses.
        damages: share of messages of which it turns a bit.
    """

    duplicates: float = 0.05
    latest: float = 10.0
    losses: float = 0.0
    damages: float = 0.0

    def __attrs_post_init__(self) -> None:
        for name in ("duplicates", "losses", "damages"):
            share = getattr(self, name)
            if not 0 <= share < 1:
                raise UsageError(f"network: {name} = {share}; a share of at least 0 and below 1 expected")


class Line:
    """What becomes of messages on a network.

    Args:
        noise: decides.
        read: reads what messages refer to.
    """

    def __init__(self, network: Network, noise: random.Random, read: Callable[[Extent], bytes]) -> None:
        self.network = network
        self.fates: Counter[str] = Counter()
        """How many messages were lost, damaged, or delivered a second time."""
        self._noise = noise
        self._read = read

    def goes_astray(self, message: Message) -> bool:
        """Whether the network loses a message now, or damages it, which the receiver finds."""
        if self.network.losses and self._noise.random() < self.network.losses:
            self.fates["lost"] += 1
            return True
        return bool(self.network.damages) and self._noise.random() < self.network.damages and self._is_damaged(message)

    def _is_damaged(self, message: Message) -> bool:
        try:
            frame = bytearray(wire.encode(message, self._read))
        except IntegrityError:
            return False  # its bytes are gone already; who reads them will see
        bit = self._noise.randrange(8 * len(frame))
        frame[bit // 8] ^= 1 << bit % 8
        try:
            wire.decode(bytes(frame), lambda data: Extent(0, 0, len(data)))
        except IntegrityError:
            self.fates["damaged"] += 1
            return True
        raise AssertionError("a frame with a turned bit was taken for a message")

    def late(self, least: float) -> float | None:
        """After how many seconds, at least so many, a second copy arrives; ``None``: there is none."""
        if self._noise.random() >= self.network.duplicates:
            return None
        self.fates["late"] += 1
        return self._noise.uniform(least, self.network.latest)
