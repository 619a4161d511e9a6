"""Short histories of one machine, for the exhaustive crash test: what is asked, written and waited for, as data.

A step is one of

===================  ===============================================================================================
``write``            the workload writes a block at the active side, ``if running`` only if the machine runs there;
                     ``cached``: the write is issued only; a number: that block of the first disk
``request``          an operation is asked for, with a point or without
``events n``         the next n internal events run; ``settle``: all of them, until nothing moves
``advance s``        so many seconds pass
``fault``, ``heal``  a fault strikes, or is over
``clock s``          the clocks of both sites jump by so many seconds, in opposite directions
``test write``       the workload of a test failover's copy writes
``any``              one of the operations that are allowed now is asked for; which one, and to which point, is drawn by
                     that seed. It may be refused for what the infrastructure is like
===================  ===============================================================================================

What comes before ``from here`` brings the machine into the state in which the history begins; crashes in it are those of
another history. Which histories a flow has follows from what it offers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import attrs

from siteproof.impl.flows import Flow
from siteproof.impl.network import Network
from siteproof.impl.simulation import CHANGE_LOG
from siteproof.impl.values import PRIMARY, RECOVERY, Operation

__all__ = ["History", "Step", "drawn_history", "histories"]

Step = tuple[str, str | int | None]


@attrs.frozen
class History:
    """A name, steps, and the network that it runs on."""

    name: str
    steps: tuple[Step, ...]
    network: Network = attrs.Factory(Network)


def _ask(operation: str, point: str | None = None) -> tuple[Step, ...]:
    return (("request", operation if point is None else f"{operation} {point}"),)


_FAULTS = ("link", "gateway", "primary-site", "recovery-site", CHANGE_LOG)
_WRITE: Step = ("write", None)
_CACHED: Step = ("cached", None)
_SETTLE: Step = ("settle", None)
_HERE: Step = ("from here", None)
_CUT: tuple[Step, ...] = (_WRITE, _SETTLE, ("advance", 301), _SETTLE)
"""A write that a point of its own contains."""
_PROTECTED: tuple[Step, ...] = (*_ask(Operation.ENABLE), _SETTLE, _WRITE, _WRITE, _SETTLE)
_TRY: Step = ("write", "if running")
_BUSY: tuple[Step, ...] = (("events", 1), _TRY, ("events", 1), _TRY, ("events", 2), _TRY, _SETTLE)
"""A job runs while the workload writes."""


def _batch(*blocks: int) -> tuple[Step, ...]:
    """Writes that go together, applied before the next point is cut."""
    return (*(("write", block) for block in blocks), ("events", 4))


def _way_home(flow: Flow) -> tuple[Step, ...]:
    """From a failover to recovery that is done, until the machine is protected at primary again."""
    steps: tuple[Step, ...] = (_WRITE, *_ask(Operation.COMMIT), _SETTLE, _WRITE)
    if RECOVERY in flow.reverses:
        steps += (*_ask(Operation.REVERSE), *_BUSY, _WRITE, _SETTLE, _CACHED)
    back = Operation.PLANNED if Operation.PLANNED in flow.failovers[RECOVERY] else Operation.UNPLANNED
    steps += (*_ask(back), *_BUSY, *_ask(Operation.COMMIT), _SETTLE, _WRITE)
    again = Operation.ENABLE if flow.failback_ends_protection else Operation.REVERSE
    return (*steps, *_ask(again), _SETTLE, *_CUT)


def drawn_history(seed: int, length: int = 25) -> History:
    """A history that nobody thought of: writes, requests, faults, time, wrong clocks and a good or a bad network, as the seed
    draws them.
    """
    draw = random.Random(seed)
    steps: list[Step] = [*_PROTECTED, _HERE] if draw.random() < 0.7 else [_HERE]
    for _ in range(length):
        kinds = ("write", "cached", "events", "settle", "advance", "any", "fault", "heal", "clock")
        kind = draw.choices(kinds, (8, 1, 6, 2, 1, 4, 1, 2, 1))[0]
        value: str | int | None = "if running" if kind in ("write", "cached") else None
        if kind == "events":
            value = draw.randint(1, 4)
        elif kind == "advance":
            value = 301
        elif kind == "clock":
            value = draw.choice((-1, 1)) * 10 ** draw.randrange(12)
        elif kind == "any":
            value = draw.randrange(1 << 30)
        elif kind in ("fault", "heal"):
            value = draw.choice(_FAULTS if kind == "fault" else _FAULTS[:-1])
        steps.append((kind, value))
    network = draw.choice((Network(), Network(duplicates=0.2, losses=0.2, damages=0.1)))
    return History(f"drawn {seed}", tuple(steps), network)


def histories(flow: Flow) -> Iterator[History]:
    """The histories of a flow."""
    yield History("initial replication", (_HERE, _WRITE, *_ask(Operation.ENABLE), *_BUSY, *_CUT))
    yield History("batches that overwrite", (
        *_PROTECTED, _HERE, *_batch(1, 2, 3), *_batch(1, 2), *_batch(3, 1, 2, 1), *_batch(2, 3), _SETTLE,
    ))  # fmt: skip
    if Operation.PLANNED in flow.failovers[PRIMARY]:
        yield History("planned failover and back", (
            *_PROTECTED, _HERE, *_CUT, _WRITE, _CACHED, _CACHED, *_ask(Operation.PLANNED), _SETTLE, *_way_home(flow),
        ))  # fmt: skip
    yield History("unplanned failover and back", (
        *_PROTECTED, _HERE, *_CUT, _WRITE, _CACHED, *_ask(Operation.UNPLANNED, "latest"), _SETTLE, *_way_home(flow),
    ))  # fmt: skip
    yield History("unplanned failover without the source", (
        *_PROTECTED, *_CUT, _HERE, ("fault", "link"), _WRITE, _WRITE, *_ask(Operation.UNPLANNED, "latest-processed"),
        _SETTLE, _WRITE, ("heal", "link"), _SETTLE, *_ask(Operation.COMMIT), _SETTLE,
    ))  # fmt: skip
    if RECOVERY in flow.changes_point:
        yield History("change of point", (
            *_PROTECTED, *_CUT, *_CUT, *_ask(Operation.UNPLANNED, "latest"), _SETTLE, _WRITE, _HERE,
            *_ask(Operation.CHANGE, "p1"), _SETTLE, _WRITE, *_ask(Operation.CHANGE, "latest-processed"), _SETTLE, _WRITE,
            *_ask(Operation.COMMIT), _SETTLE, _WRITE,
        ))  # fmt: skip
    if PRIMARY in flow.tests:
        yield History("test failover", (
            *_PROTECTED, *_CUT, _HERE, *_ask(Operation.TEST, "latest"), ("events", 2), _WRITE, _SETTLE,
            ("test write", None), ("test write", None), _WRITE, _SETTLE, *_ask(Operation.CLEANUP), _SETTLE, *_CUT,
        ))  # fmt: skip
    yield History("frozen applications", (
        *_PROTECTED, ("advance", 3200), _HERE, _WRITE, _CACHED, _CACHED, ("advance", 300), ("fault", "link"), _WRITE, _CACHED,
        ("advance", 200), _WRITE, ("heal", "link"), _SETTLE, *_ask(Operation.UNPLANNED, "latest-app-consistent"), _SETTLE, _WRITE,
    ))  # fmt: skip
    yield History("resynchronisation", (
        *_PROTECTED, *_CUT, _HERE, ("fault", "change-log"), _WRITE, _SETTLE, *_ask(Operation.REPAIR), *_BUSY, *_CUT,
    ))  # fmt: skip
    yield History("end of protection", (
        *_PROTECTED, *_CUT, _HERE, *_ask(Operation.DISABLE), _SETTLE, _WRITE, *_ask(Operation.ENABLE), *_BUSY,
    ))  # fmt: skip
    if flow.completes_migration:
        yield History("migration", (
            *_PROTECTED, *_ask(Operation.UNPLANNED, "latest"), _SETTLE, _WRITE, _HERE, *_ask(Operation.MIGRATE), _SETTLE,
            _WRITE,
        ))  # fmt: skip
