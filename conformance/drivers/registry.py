"""Drivers by name: `bundled`, `bundled+BUG`, `bundled+VARIANT`, `model`, or `module:Class`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from siteproof.conformance.driver import Driver, load_driver_class
from siteproof.conformance.errors import DriverError

__all__ = ["driver_factory", "drivers"]


def drivers() -> tuple[tuple[str, str], ...]:
    """The built-in drivers: name, and what is under test."""
    return (
        ("bundled", "the bundled implementation in its deterministic simulation"),
        ("bundled+BUG", "the same with a seeded bug, or a correct variant (`siteproof list bugs`)"),
        ("model", "the model itself as a system: what conforms by construction"),
        ("module:Class", "your own driver, a class with the methods of siteproof.conformance.driver.Driver"),
    )


def driver_factory(name: str) -> Callable[[], Driver]:
    """What makes a new driver for each case. Raises `DriverError` when `name` selects none."""
    if name == "model":
        from siteproof.conformance.drivers.model import ModelDriver

        return ModelDriver
    if name.partition("+")[0] == "bundled":
        from siteproof.conformance.drivers.bugs import BUGS, VARIANTS
        from siteproof.conformance.drivers.bundled import BundledDriver

        known: Mapping[str, dict[str, type]] = {
            **{bug.id: bug.components for bug in BUGS},
            **{variant.id: variant.components for variant in VARIANTS},
        }
        _, plus, wanted = name.partition("+")
        if not plus:
            return BundledDriver
        if wanted not in known:
            raise DriverError(name, f"no seeded bug or variant {wanted!r}", "one of " + ", ".join(known))
        return partial(BundledDriver, known[wanted], name)
    if ":" not in name:
        raise DriverError(name, "an unknown name", "bundled, bundled+BUG, model, or module:Class")
    return load_driver_class(name)
