"""A carrier to a child process: one message a line on its standard input, one answer a line on its standard output.

Rules
1. The child's standard error is for people; the last lines are kept, and told when it fails.
2. Nothing blocks: a child that does not read, does not answer or writes without end meets a time or a size.
3. The child is always ended, by its own id: its input is closed, then it is told to go, then killed, with the group of processes
   that it leads. That happens also at the end of the tester and on Ctrl-C, which does not reach the child by itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import subprocess
import time
import weakref
from collections import deque
from collections.abc import Sequence

from siteproof.conformance.drivers.remote import SOONER, Ended, Lost, Remote
from siteproof.conformance.drivers.wire import LIMIT
from siteproof.conformance.errors import DriverError
from siteproof.model.errors import UsageError

__all__ = ["StdioCarrier", "stdio_factory"]

PREFIX = "stdio:"
GRACE_SECONDS = 1.0
WORDS_KEPT = 20
WORDS_TOLD = 3
LONGEST_WORD = 400


def stdio_factory(name: str) -> Remote:
    """Drivers for `stdio:COMMAND ARGUMENTS`. Raises `UsageError` when there is no command."""
    expected = "stdio:COMMAND ARGUMENTS, such as 'stdio:perl driver.pl'"
    try:
        command = shlex.split(name.removeprefix(PREFIX))
    except ValueError as error:
        raise UsageError(f"the driver {name}, whose command cannot be split ({error})", expected, "close the quotes") from None
    if not command:
        raise UsageError(f"the driver {name!r}, without a command", expected, "name the program that speaks the protocol")
    return Remote(name, lambda: StdioCarrier(name, command))


class StdioCarrier:
    """One child process."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise DriverError(
                name, f"{command[0]} cannot be started ({error.strerror})", "a program",
                "see that the command works where you stand; no shell is between",
            ) from None  # fmt: skip
        self._end = weakref.finalize(self, _end, self.process)
        pipes = self.process.stdin, self.process.stdout, self.process.stderr
        assert all(pipe is not None for pipe in pipes)
        self._in, self._out, self._err = (pipe.fileno() for pipe in pipes if pipe is not None)
        for pipe in (self._in, self._out, self._err):
            os.set_blocking(pipe, False)
        self._err_open = True
        self._read = bytearray()
        self._scanned = 0
        self._words: deque[str] = deque(maxlen=WORDS_KEPT)
        self._word = b""

    def ask(self, message: bytes, what: str, seconds: float) -> bytes:
        return self._exchange(memoryview(message + b"\n"), what, seconds)

    def more(self, what: str, seconds: float) -> bytes:
        return self._exchange(memoryview(b""), what, seconds)

    def _exchange(self, pending: memoryview, what: str, seconds: float) -> bytes:
        """Write what is pending, and read until there is a line."""
        until = time.monotonic() + seconds
        while True:
            line = None if pending else self._line(what)
            if line is not None:
                return line
            left = until - time.monotonic()
            if left <= 0:
                if pending:
                    raise self._failed(f"it does not read its standard input ({what})", "a driver that reads line by line")
                raise Lost(f"no answer to {what} within {seconds:g} s", SOONER)
            waiting = select.poll()
            waiting.register(self._out, select.POLLIN)
            if pending:
                waiting.register(self._in, select.POLLOUT)
            if self._err_open:
                waiting.register(self._err, select.POLLIN)
            for pipe, _ in waiting.poll(left * 1000):
                if pipe == self._in:
                    try:
                        pending = pending[os.write(pipe, pending[:65536]) :]
                    except BlockingIOError:
                        continue
                    except OSError:
                        raise self._ended(what) from None
                elif pipe == self._err:
                    self._listen()
                elif not self._fill():
                    raise self._ended(what)

    def _fill(self) -> bool:
        """Take what there is to read; False at the end."""
        try:
            data = os.read(self._out, 1 << 18)
        except BlockingIOError:
            return True
        self._read += data
        return bool(data)

    def _line(self, what: str) -> bytes | None:
        """The next whole line, if there is one."""
        at = self._read.find(b"\n", self._scanned)
        if at < 0:
            self._scanned = len(self._read)
        if (at if at >= 0 else self._scanned) > LIMIT:
            raise self._failed(f"more than {LIMIT:,} bytes without an end of line ({what})", "an answer of at most so many")
        if at < 0:
            return None
        line = bytes(self._read[:at])
        del self._read[: at + 1]
        self._scanned = 0
        return line

    def _listen(self) -> None:
        """Take what the driver says to people."""
        try:
            data = os.read(self._err, 1 << 16)
        except BlockingIOError:
            return
        self._err_open = bool(data)
        *lines, self._word = (self._word + data).split(b"\n")
        self._word = self._word[-LONGEST_WORD:]
        self._words.extend(line[:LONGEST_WORD].decode("utf-8", "replace") for line in lines if line.strip())

    def last_words(self) -> str:
        until = time.monotonic() + 0.2
        while self._err_open and (left := until - time.monotonic()) > 0:
            waiting = select.poll()
            try:
                waiting.register(self._err, select.POLLIN)
                if not waiting.poll(left * 1000):
                    break
                self._listen()
            except OSError:
                break
        words = [*self._words, *([self._word.decode("utf-8", "replace")] if self._word.strip() else [])]
        return " | ".join(words[-WORDS_TOLD:])

    def _failed(self, found: str, expected: str, mend: str = "") -> DriverError:
        words = self.last_words()
        return DriverError(self.name, found + (f"; its last words: {words}" if words else ""), expected, mend)

    def _ended(self, what: str) -> DriverError:
        """It has closed its output, or its input."""
        words = self.last_words()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_SECONDS)
        code = self.process.returncode
        how = (
            "it closed its standard output" if code is None
            else f"it was ended by signal {-code}" if code < 0
            else f"it ended with exit code {code}"
        )  # fmt: skip
        return Ended(
            self.name, f"{how} when {what} was asked for" + (f"; its last words: {words}" if words else ""),
            "a driver that answers until its standard input is closed",
        )  # fmt: skip

    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> bool:
        self.last_words()
        gone = self._end()
        self._err_open = False
        return gone is not False


def _end(process: subprocess.Popen[bytes]) -> bool:
    """Close the child's input and wait; then tell it to go; then kill it. Whether closing was enough."""
    for pipe in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
            return True
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
            return False
    finally:
        if process.returncode is None:
            _signal(process, signal.SIGKILL)
            process.wait()
    return False


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """To the child, which has not been waited for, and to the processes of its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
