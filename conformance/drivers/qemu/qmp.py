"""QMP by hand: the JSON that a QEMU daemon speaks on its monitor, over a Unix socket.

Rules
1. The daemon greets first; `qmp_capabilities` leaves the negotiation. Then every command has one answer, `return` or `error`.
2. Events may come between a command and its answer. They are kept until somebody waits for them.
3. Everything has a deadline: a daemon that does not answer in time is taken for dead, and said so.
4. A daemon that is gone raises `Gone`; a command that it refuses raises `Refused` with QEMU's own words.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Gone", "Qmp", "Refused"]

SECONDS = 15.0


class Gone(OSError):
    """The daemon does not answer: it has ended, or hangs."""


class Refused(RuntimeError):
    """QEMU refuses a command, in its own words."""


class Qmp:
    """A monitor connection."""

    def __init__(self, path: Path, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(seconds)
        self._rest = b""
        self._events: list[dict[str, Any]] = []
        try:
            self._socket.connect(str(path))
            greeting = self._message(time.monotonic() + seconds)
        except OSError as error:
            self._socket.close()
            raise Gone(f"no monitor at {path.name}: {error}") from error
        self.version: str = ".".join(str(greeting["QMP"]["version"]["qemu"][part]) for part in ("major", "minor", "micro"))
        self.command("qmp_capabilities")

    def close(self) -> None:
        self._socket.close()

    def command(self, name: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """What the daemon returns. Raises `Refused` or `Gone`."""
        asked = {"execute": name, **({"arguments": dict(arguments)} if arguments else {})}
        deadline = time.monotonic() + self._seconds
        try:
            self._socket.sendall(json.dumps(asked).encode() + b"\n")
            while True:
                message = self._message(deadline)
                if "event" in message:
                    self._events.append(message)
                elif "error" in message:
                    raise Refused(f"{name}: {message['error']['desc']}")
                elif "return" in message:
                    return message["return"]
                # Anything else is the greeting once more: a daemon that is met while it opens its monitor may greet twice.
        except Refused:
            raise
        except OSError as error:
            raise Gone(f"{name}: {error}") from error

    def wait_jobs(self, jobs: Sequence[str], status: Sequence[str]) -> dict[str, str]:
        """Wait until each of the jobs has one of the states; what each has then."""
        deadline = time.monotonic() + self._seconds
        while True:
            known = {row["id"]: row["status"] for row in self.command("query-jobs")}
            if all(known.get(job, "null") in (*status, "null") for job in jobs):
                self._events.clear()
                return {job: known.get(job, "null") for job in jobs}
            self._wait_event(deadline)

    def _wait_event(self, deadline: float) -> None:
        if self._events:
            self._events.pop(0)
            return
        try:
            self._message(deadline)
        except OSError as error:
            raise Gone(f"waiting for a job: {error}") from error

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no answer in {self._seconds:g} s")
            self._socket.settimeout(left)
            piece = self._socket.recv(65536)
            if not piece:
                raise ConnectionError("the daemon closed the connection")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message
