"""A service as a driver, over HTTP on this machine: the same messages, and what a network does to them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from siteproof.conformance.case import Case, Operate, Scenario, Settle, Write
from siteproof.conformance.drivers.model import ModelDriver
from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.errors import DriverError
from siteproof.conformance.runner import CaseRun, run_case
from siteproof.model.errors import UsageError

from .driving import FLOWS, promised
from .peer import Peer

FLOW = FLOWS[1]
CASE = Case(
    Scenario(FLOW, ("m0",), 1, 16),
    (Operate("m0", "EnableProtection"), Settle(), Write("m0", "primary", 3), Settle(), Operate("m0", "Commit")),
)
Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a service on a free port of the loopback, and says its address. `meddle` does something when a call has been
    carried out, and may answer it."""
    servers: list[ThreadingHTTPServer] = []

    def start(
        meddle: Callable[[Any, bytes], bool] = lambda _handler, _body: False, version: str = "HTTP/1.1", change: Any = None
    ) -> str:
        peer = Peer(ModelDriver, change)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = version
            wbufsize = -1  # headers and body in one piece

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                reply = peer.answer(body)  # what is asked for is done, whatever becomes of the answer
                if not meddle(self, body):
                    answer(self, reply)

            def log_message(self, *_arguments: Any) -> None:
                """Be quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/driver"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def answer(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def play(name: str) -> CaseRun:
    return run_case(CASE, driver_factory(name), promised(FLOW), name=name)


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_a_service_is_judged_as_the_system_itself(serve: Serve, version: str) -> None:
    assert play(serve(version=version)) == run_case(CASE, ModelDriver, promised(FLOW))


def test_a_proxy_of_the_environment_is_not_asked(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert play(serve()).divergence is None


def drops(*calls: bytes) -> Callable[[Any, bytes], bool]:
    """Closes the connection instead of answering."""

    def meddle(handler: Any, body: bytes) -> bool:
        handler.close_connection = any(b'"call":"' + call + b'"' in body for call in calls)
        return bool(handler.close_connection)

    return meddle


def test_a_connection_that_breaks_leaves_a_request_unknown(serve: Serve) -> None:
    told = play(serve(drops(b"execute", b"write")))
    assert told.divergence is None
    assert [record.answer["answer"] for record in told.records] == ["unknown", "done", "unknown", "done", "unknown"]


def test_a_connection_that_breaks_elsewhere_is_the_drivers_error(serve: Serve) -> None:
    with pytest.raises(DriverError, match="the connection broke before observe was answered"):
        play(serve(drops(b"observe")))


def slow(seconds: float, call: bytes) -> Callable[[Any, bytes], bool]:
    def meddle(_handler: Any, body: bytes) -> bool:
        if b'"call":"' + call + b'"' in body:
            time.sleep(seconds)
        return False

    return meddle


def hurried(ask: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
    """A handshake that gives an answer 0.4 s."""
    return {**reply, "result": {**reply["result"], "seconds": 0.4}} if ask["call"] == "handshake" else reply


def test_a_service_that_is_too_slow(serve: Serve) -> None:
    told = play(serve(slow(0.8, b"execute"), change=hurried))
    assert told.divergence is None
    assert told.records[0].answer == {"answer": "unknown"}
    with pytest.raises(DriverError, match="no answer to observe within"):
        play(serve(slow(0.8, b"observe"), change=hurried))


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, b"<h1>Oops</h1>", "HTTP status 500"),
        (404, b"", "HTTP status 404"),
        (200, b"<html>", "which is no JSON"),
        (200, b'"' + b"x" * (17 << 20), "more than 16,777,216 bytes"),
    ],
    ids=["500", "404", "page", "endless"],
)
def test_a_service_that_answers_rubbish_is_told(serve: Serve, status: int, body: bytes, words: str) -> None:
    def meddle(handler: Any, _body: bytes) -> bool:
        answer(handler, body, status)
        return True

    with pytest.raises(DriverError) as error:
        play(serve(meddle))
    assert words in str(error.value)


@pytest.mark.parametrize("name", ["http://", "http://127.0.0.1:99999", "http://user@127.0.0.1:1/", "http://127.0.0.1/?a=1"])
def test_what_is_no_address_is_a_mistake_on_the_command_line(name: str) -> None:
    with pytest.raises(UsageError, match="an address such as"):
        driver_factory(name)


def test_an_address_where_nobody_is() -> None:
    with pytest.raises(DriverError, match="nobody answers"):
        play("http://127.0.0.1:1/driver")
