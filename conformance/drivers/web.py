"""A carrier over HTTP: each message is the body of a POST request, each answer the body of its response.

Rules
1. The address is asked as it is given; a proxy of the environment is not. The service is the user's: it is neither started nor
   ended here.
2. Whoever cannot be reached has not got the message, so that is an error. When the connection breaks, or time is up, after the
   message was sent, the answer is lost.
3. Each message has a connection of its own. Where one is used again, the service may have closed it meanwhile, and then nobody
   can say whether a message has arrived.
"""

from __future__ import annotations

import http.client
import socket
import time
from urllib.parse import urlsplit

from siteproof.conformance.drivers.remote import SOONER, Ended, Lost, Remote
from siteproof.conformance.drivers.wire import LIMIT
from siteproof.conformance.errors import DriverError
from siteproof.model.errors import UsageError, told

__all__ = ["HttpCarrier", "http_factory"]

CONNECT_SECONDS = 5.0
HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}


def http_factory(name: str) -> Remote:
    """Drivers for `http://HOST:PORT/PATH`. Raises `UsageError` when `name` is no such address."""
    expected = "an address such as http://127.0.0.1:8080/driver"
    try:
        parts = urlsplit(name)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"the driver {name} ({error})", expected, "give host and port") from None
    if not host or parts.username or parts.query or parts.fragment:
        raise UsageError(f"the driver {name}", expected, "give host, port and path, nothing else")
    return Remote(name, lambda: HttpCarrier(name))


class HttpCarrier:
    """One service at an address."""

    def __init__(self, name: str) -> None:
        self.name = name
        parts = urlsplit(name)
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._path = parts.hostname or "", parts.port, parts.path or "/"

    def ask(self, message: bytes, what: str, seconds: float) -> bytes:
        until = time.monotonic() + seconds
        connection = self._connected()
        try:
            line = connection.sock
            line.settimeout(seconds)
            connection.request("POST", self._path, message, HEADERS)
            response = connection.getresponse()
            body = self._body(response, line, until)
        except TimeoutError:
            raise Lost(f"no answer to {what} within {seconds:g} s", SOONER) from None
        except (OSError, http.client.HTTPException) as error:
            raise Lost(f"the connection broke before {what} was answered ({type(error).__name__})") from None
        finally:
            connection.close()
        if len(body) > LIMIT:
            raise DriverError(self.name, f"more than {LIMIT:,} bytes ({what})", "an answer of at most so many")
        if response.status != 200:
            shown = told(body[:60].decode("utf-8", "replace"))
            raise DriverError(
                self.name, f"HTTP status {response.status} {response.reason} with {shown} ({what})", "status 200",
                'answer what went wrong as {"id": …, "error": "…"}, with status 200',
            )  # fmt: skip
        return body

    def more(self, what: str, seconds: float) -> bytes:  # noqa: ARG002
        raise DriverError(self.name, f"the answer to an earlier request ({what})", "the answer to this one")

    def _connected(self) -> http.client.HTTPConnection:
        """A connection. Raises `Ended` when nobody answers."""
        connection = self._kind(self._host, self._port, timeout=CONNECT_SECONDS)
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            expected = "a driver that takes POST requests at this address"
            raise Ended(self.name, f"nobody answers ({why})", expected, "start it first") from None
        return connection

    def _body(self, response: http.client.HTTPResponse, line: socket.socket, until: float) -> bytes:
        """What the service answers, as far as it may go."""
        found = bytearray()
        while len(found) <= LIMIT and not response.isclosed():
            line.settimeout(max(0.001, until - time.monotonic()))
            data = response.read1(1 << 18)
            if not data:
                break
            found += data
        return bytes(found)

    def last_words(self) -> str:
        return ""

    def alive(self) -> bool:
        return True

    def end(self) -> bool:
        return True
