"""Drivers by name: `bundled`, `bundled+BUG`, `bundled~VARIANT`, `model`, `postgres`, `qemu`; and a user's own: `module:Class`,
`stdio:COMMAND`, or an address. A command and an address are told from `module:Class` by how they begin."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from siteproof.conformance.driver import Driver, load_driver_class
from siteproof.conformance.errors import DriverError
from siteproof.conformance.guarded import guarded_factory
from siteproof.model.errors import UsageError, near
from siteproof.model.topology import builtin_topologies

__all__ = ["check_flow", "driver_factory", "drivers", "factory_here", "flows_of", "is_bundled", "needs_folder"]

_BUNDLED = re.compile(r"bundled(?:([+~])(.*))?\Z", re.DOTALL)
_SORTS = {
    "+": "a seeded bug after the plus (siteproof list bugs)",
    "~": "a correct variant after the tilde (siteproof list variants)",
}


def drivers() -> tuple[tuple[str, str], ...]:
    """The built-in drivers: name, and what is under test."""
    return (
        ("bundled", "the bundled implementation in its deterministic simulation"),
        ("bundled+BUG", "the same with a seeded bug (`siteproof list bugs`)"),
        ("bundled~VARIANT", "the same doing something in another, correct way (`siteproof list variants`)"),
        ("model", "the model itself as a system: what conforms by construction"),
        ("postgres", "two PostgreSQL clusters for each machine under a thin controller, in one flow (docs/postgres.md)"),
        ("qemu", "two qemu-storage-daemon processes under a thin controller, in one flow (docs/qemu.md)"),
        ("module:Class", "your own driver, a class with the methods of siteproof.conformance.driver.Driver"),
        ("stdio:COMMAND ARGUMENTS", "your own driver, a program that speaks the wire protocol, one JSON message a line"),
        ("http://HOST:PORT/PATH", "your own driver, a service that speaks the wire protocol in POST requests"),
    )


def flows_of(factory: Callable[[], Driver]) -> tuple[str, ...]:
    """The flows that a driver claims, by its handshake; empty for any. Raises `DriverError`."""
    driver = factory()
    try:
        return tuple(driver.handshake().flows)
    finally:
        driver.stop()


def check_flow(name: str, claimed: Collection[str], flow: str | None = None) -> None:
    """See that a driver that claims these flows claims `flow`; without one, any that is built in. Raises `DriverError`.

    An id that is not built in may be that of a user's own topology; one that is near to what was asked is a slip of the pen, and
    the handshake's fault."""
    if not claimed or (flow in claimed if flow is not None else set(claimed) & set(builtin_topologies())):
        return
    wanted = (flow,) if flow is not None else tuple(builtin_topologies())
    for strange in sorted(set(claimed) - set(builtin_topologies())):
        meant = bool(get_close_matches(strange, wanted))
        if meant or flow is None:
            raise DriverError(
                name, f"the flow {strange} in its handshake, which is not built in",
                "ids of flows: built-in ones (siteproof list topologies), or that of a file that --topology names",
                f"correct flows in the handshake: {near(strange, wanted)}" if meant else "give --topology the file of your own",
            )  # fmt: skip
    expected = "one that it says it has: " + ", ".join(sorted(claimed))
    raise DriverError(name, f"the flow {flow}", expected, "choose it with --topology")


def is_bundled(name: str) -> bool:
    """Whether the system under test is the bundled implementation, with or without something put in."""
    return _BUNDLED.match(name) is not None


def needs_folder(name: str) -> bool:
    """Whether a driver is looked for in the folder that one stands in: a module or a command of the user's own."""
    return ":" in name and not name.startswith(("http://", "https://"))


def driver_factory(name: str) -> Callable[[], Driver]:
    """What makes a new driver for each case. Raises `UsageError` when `name` selects none, `DriverError` when it is the user's
    own and cannot be loaded."""
    if name == "model":
        from siteproof.conformance.drivers.model import ModelDriver

        return ModelDriver
    if name == "postgres":
        from siteproof.conformance.drivers.postgres import PostgresDriver

        return PostgresDriver
    if name == "qemu":
        from siteproof.conformance.drivers.qemu import QemuDriver

        return QemuDriver
    if bundled := _BUNDLED.match(name):
        from siteproof.conformance.drivers.bundled import BundledDriver

        sort, wanted = bundled.groups()
        if sort is None:
            return BundledDriver
        put_in, other = _put_in(), "~" if sort == "+" else "+"
        known = put_in[sort]
        if wanted not in known:
            hint = f"write bundled{other}{wanted}" if wanted in put_in[other] else near(wanted, known)
            raise UsageError(f"the driver {name}", _SORTS[sort], hint)
        return partial(BundledDriver, known[wanted], name)
    if name.startswith("stdio:"):
        from siteproof.conformance.drivers.stdio import stdio_factory

        return stdio_factory(name)
    if name.startswith(("http://", "https://")):
        from siteproof.conformance.drivers.web import http_factory

        return http_factory(name)
    if ":" not in name:
        of_bundled = (f"bundled{sort}{id}" for sort, known in _put_in().items() for id in known)
        names = ("bundled", "model", "postgres", "qemu", *of_bundled)
        raise UsageError(
            f"the driver {name}",
            "bundled, bundled+BUG, bundled~VARIANT, model, postgres, qemu, module:Class, stdio:COMMAND, or an http:// address",
            near(name, names) if get_close_matches(name, names) else "see siteproof list drivers",
        )
    return guarded_factory(name, load_driver_class(name))


def _put_in() -> dict[str, Mapping[str, dict[str, type]]]:
    """What can be put into the bundled implementation, by the sign that stands before its name."""
    from siteproof.conformance.drivers.bugs import BUGS
    from siteproof.conformance.drivers.variants import VARIANTS

    return {"+": {bug.id: bug.components for bug in BUGS}, "~": {variant.id: variant.components for variant in VARIANTS}}


def factory_here(name: str) -> Callable[[], Driver]:
    """The same; a module of the user's is looked for where the user stands as well, after everything else."""
    if ":" in name and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    return driver_factory(name)
