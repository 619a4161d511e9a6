"""A small NBD client: the guest's disk, as a guest's host would reach it.

Rules
1. Newstyle handshake with fixed newstyle and without zeroes, then `NBD_OPT_GO` for the export; the default block sizes.
2. Three commands, simple replies: read, write, flush. A write that is acknowledged to the guest has been flushed by the caller.
3. An export that is not there, or that has gone meanwhile, raises `NbdError` (the guest has no disk, so it does not run).

Source: the NBD protocol, https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from types import TracebackType

__all__ = ["Nbd", "NbdError"]

SECONDS = 15.0
PIECE = 1 << 20
_MAGIC, _OPTION, _ANSWER = b"NBDMAGIC", b"IHAVEOPT", 0x3E889045565A9
_REQUEST, _REPLY = 0x25609513, 0x67446698
_GO, _ACK, _INFO = 7, 1, 3
_READ, _WRITE, _FLUSH = 0, 1, 3


class NbdError(OSError):
    """The export cannot be reached, or the server refuses."""


class Nbd:
    """A connection to one export. `size` in bytes."""

    def __init__(self, path: Path, export: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(SECONDS)
        try:
            self._socket.connect(str(path))
            self.size = self._handshake(export)
        except OSError as error:
            self._socket.close()
            raise error if isinstance(error, NbdError) else NbdError(f"export {export}: {error}") from error

    def __enter__(self) -> Nbd:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def read(self, offset: int, length: int) -> bytes:
        found = []
        while length > 0:
            piece = min(length, PIECE)
            self._ask(_READ, offset, piece)
            found.append(self._exactly(piece))
            offset, length = offset + piece, length - piece
        return b"".join(found)

    def write(self, offset: int, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            self._ask(_WRITE, offset + start, len(piece), piece)

    def flush(self) -> None:
        """Everything written before is on the disk, also after a crash of the daemon."""
        self._ask(_FLUSH, 0, 0)

    def _handshake(self, export: str) -> int:
        magic, option, flags = struct.unpack(">8s8sH", self._exactly(18))
        if magic != _MAGIC or option != _OPTION or not flags & 1:
            raise NbdError(f"export {export}: no newstyle NBD server")
        name = export.encode()
        data = struct.pack(">I", len(name)) + name + struct.pack(">H", 0)
        self._socket.sendall(struct.pack(">I", flags & 3) + _OPTION + struct.pack(">II", _GO, len(data)) + data)
        size = 0
        while True:
            _, _, kind, length = struct.unpack(">QIII", self._exactly(20))
            told = self._exactly(length)
            if kind == _ACK:
                return size
            if kind == _INFO and struct.unpack(">H", told[:2])[0] == 0:
                size = struct.unpack(">Q", told[2:10])[0]
            elif kind & 1 << 31:
                raise NbdError(f"export {export}: refused, {told.decode('utf-8', 'replace') or kind}")

    def _ask(self, command: int, offset: int, length: int, data: bytes = b"") -> None:
        try:
            self._socket.sendall(struct.pack(">IHHQQI", _REQUEST, 0, command, 0, offset, length) + data)
            magic, error, _ = struct.unpack(">IIQ", self._exactly(16))
        except OSError as problem:
            raise NbdError(str(problem)) from problem
        if magic != _REPLY or error:
            raise NbdError(f"command {command} at {offset}: error {error}")

    def _exactly(self, length: int) -> bytes:
        found = b""
        while len(found) < length:
            piece = self._socket.recv(length - len(found))
            if not piece:
                raise NbdError("the server closed the connection")
            found += piece
        return found
