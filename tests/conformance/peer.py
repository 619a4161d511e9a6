"""The other end of the wire, for tests: a driver in Python that is asked in messages. Every message, either way, has to be what
the shipped schema says."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jsonschema

from siteproof.conformance.case import Scenario
from siteproof.conformance.driver import Driver, answer_to_json
from siteproof.conformance.drivers import wire
from siteproof.conformance.drivers.remote import Remote

__all__ = ["Peer", "in_process", "valid"]


@functools.cache
def _validator(part: str) -> Any:
    document = wire.schema()
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{part}", "$defs": document["$defs"]})


def valid(part: str, message: Any) -> bool:
    """Whether a message is what the schema calls `part`, such as `answer.observe`."""
    return bool(_validator(part).is_valid(message))


class Peer:
    """Answers messages with a driver. `change` alters an answer before it is sent; what it alters is not held to the schema."""

    def __init__(self, make: Callable[[], Driver], change: Callable[[dict[str, Any], dict[str, Any]], Any] | None = None) -> None:
        self.make, self.change = make, change
        self.asked: list[dict[str, Any]] = []

    def answer(self, text: bytes) -> bytes:
        ask = json.loads(text)
        self.asked.append(ask)
        assert valid(f"request.{ask['call']}", ask), ask
        assert b"\n" not in text
        reply = {"id": ask["id"], "result": self.result(ask)}
        assert valid(f"answer.{ask['call']}", reply), reply
        if self.change is not None:
            reply = self.change(ask, reply)
        return json.dumps(reply).encode("utf-8")

    def result(self, ask: dict[str, Any]) -> Any:
        match ask["call"]:
            case "handshake":
                self.driver = self.make()
                return wire.capabilities_to_json(self.driver.handshake())
            case "start":
                content = base64.b64decode(ask["base"]["content"]["base64"])
                data = lambda start, count: content[start * 4096 : (start + count) * 4096]  # noqa: E731
                base = SimpleNamespace(
                    blocks=ask["base"]["blocks"], data=data, image=None, write_to=lambda path: path.write_bytes(content)
                )
                assert len(content) == base.blocks * 4096
                scenario = Scenario(ask["topology"], tuple(ask["machines"]), ask["disks"], base.blocks, policy=ask["policy"],
                                    groups={g: tuple(m) for g, m in ask.get("groups", {}).items()})  # fmt: skip
                return self.driver.start(scenario, ask["seed"], base)
            case "execute":
                return answer_to_json(self.driver.execute(ask["machine"], ask["operation"], ask.get("point")))
            case "write":
                data = base64.b64decode(ask["content"]["base64"])
                return _done(
                    self.driver.write(ask["machine"], ask["side"], ask["disk"], ask["block"], data, ask["cached"])
                )
            case "start_machine":
                return _done(self.driver.start_machine(ask["machine"], ask["side"]))
            case "observe":
                return self.driver.observe(ask["machine"]).to_json()
            case "read":
                data = self.driver.read(ask["machine"], ask["where"], ask["disk"], ask["offset"], ask["length"])
                return {"base64": base64.b64encode(data).decode("ascii")}
            case call:
                return getattr(self.driver, call)(*(ask[key] for key in ("kind", "seconds") if key in ask))


def _done(answer: bool | None) -> dict[str, str]:
    return {"answer": {True: "acknowledged", False: "refused", None: "unknown"}[answer]}


class InProcess:
    """A carrier to a peer in the same process."""

    def __init__(self, peer: Peer) -> None:
        self.peer, self.ended = peer, False

    def ask(self, message: bytes, what: str, seconds: float) -> bytes:  # noqa: ARG002
        return self.peer.answer(message)

    def more(self, what: str, seconds: float) -> bytes:  # noqa: ARG002
        raise AssertionError("no answer is late here")

    def last_words(self) -> str:
        return ""

    def alive(self) -> bool:
        return not self.ended

    def end(self) -> bool:
        self.ended = True
        return True


def in_process(peer: Peer) -> Remote:
    """Drivers that talk to `peer`."""
    return Remote("peer", lambda: InProcess(peer))
