"""Deadlines in real time: what hangs on the main thread is interrupted.

Rules
1. A process has one alarm, and only its main thread can be interrupted; elsewhere a deadline is none.
2. The alarm's handler is put in place for the first deadline, and stays there for the next, since a campaign sets one for each
   step. `give_back` puts back the handler that was there before; `take` sees that ours is there.
3. What was about to be done is put in words only when it was too late.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Deadline", "give_back", "take"]

_HAS_ALARM = hasattr(signal, "setitimer")
_set: list[Deadline] = []
"""The deadlines that are in force, the innermost last."""
_before: list[Any] = []
"""The handler that was there before ours, if ours is there."""


def _ring(_number: int, _frame: FrameType | None) -> None:
    if _set:
        raise _set[-1].too_late()


def _on_main() -> bool:
    return _HAS_ALARM and threading.current_thread() is threading.main_thread()


def take() -> None:
    """Put the handler in place, also where somebody has taken the alarm since."""
    if _on_main() and signal.getsignal(signal.SIGALRM) is not _ring:
        _before[:] = [signal.signal(signal.SIGALRM, _ring)]


def give_back() -> None:
    """Put the alarm's former handler back, unless a deadline is in force, or somebody has taken the alarm since."""
    if _before and not _set and _on_main():
        former = _before.pop()
        if signal.getsignal(signal.SIGALRM) is _ring:
            signal.signal(signal.SIGALRM, former)


class Deadline:
    """So many seconds of real time for the body; beyond them `too_late` says what is raised in it."""

    __slots__ = ("_held", "seconds", "too_late")

    def __init__(self, seconds: float, too_late: Callable[[], BaseException]) -> None:
        self.seconds, self.too_late = seconds, too_late
        self._held = False

    def __enter__(self) -> None:
        if not _on_main():
            return
        if not _before:
            take()
        self._held = True
        _set.append(self)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._held:
            signal.setitimer(signal.ITIMER_REAL, 0)
            _set.remove(self)
