"""`siteproof driver check`, `new` and `schema`: help for whoever connects a system of his own."""

from __future__ import annotations

import json
import re
import sys
from importlib import resources
from importlib.machinery import PathFinder
from pathlib import Path

from rich.text import Text

from siteproof.conformance.acquaintance import Acquaintance, Finding, Standing, exit_of, flows_of
from siteproof.conformance.cli.running import no_prints
from siteproof.conformance.cli.shared import Session
from siteproof.conformance.drivers.registry import check_flow, factory_here
from siteproof.conformance.drivers.remote import Remote
from siteproof.conformance.drivers.wire import schema as wire_schema
from siteproof.conformance.errors import DriverError
from siteproof.conformance.exits import Exit
from siteproof.conformance.report.terminal import text
from siteproof.conformance.runner import promised_for
from siteproof.conformance.session import DriverFactory
from siteproof.model.errors import UsageError
from siteproof.model.topology import builtin_topologies, load_topology

__all__ = ["check", "new", "schema"]

_MARKS = {
    Standing.WORKS: ("✓", "green"),
    Standing.MISSING: ("–", "yellow"),
    Standing.NOT_TRIED: ("–", "yellow"),
    Standing.FAILED: ("✗", "bold red"),
    Standing.DIVERGES: ("✗", "bold red"),
}
USUAL_FLOW = "vmware-to-azure"


def check(session: Session, driver: str, topology: str | None) -> Exit:
    """Play the acquaintance and print it line by line. Without a topology, the first that the driver names."""
    with no_prints():
        factory = factory_here(driver)
        source = topology or _flow(factory, driver)
    promised = promised_for(load_topology(source))
    session.out.print(Text.assemble((driver, "bold"), f" in the flow {promised.name}"), soft_wrap=True)
    ends = factory.close if isinstance(factory, Remote) and driver.startswith("stdio:") else None
    work = Acquaintance(driver, factory, source, promised)
    coming, found = work.findings(ends), list[Finding]()
    while True:
        with no_prints():  # only while the driver is at work: what is found is shown at once
            finding = next(coming, None)
        if finding is None:
            break
        found.append(finding)
        _show(session, finding)
    code = exit_of(found)
    counts = {one.value: sum(f.standing is one for f in found) for one in Standing}
    told = ", ".join(f"{number} {standing}" for standing, number in counts.items() if number)
    session.out.print(Text.assemble((told, "bold"), f": {_VERDICTS[code]}"), soft_wrap=True)
    name = work.can.name if work.can is not None else None
    session.emit(
        "siteproof.driver-check/1",
        code,
        {"driver": driver, "name": name, "topology": promised.name, "findings": found, "counts": counts},
    )
    return code


def _flow(factory: DriverFactory, driver: str) -> str:
    """The flow to get acquainted in, where none was asked for. A handshake that fails is told with everything else. Raises
    `DriverError` where it claims none that is built in."""
    try:
        claimed = flows_of(factory, driver)
    except DriverError:
        return USUAL_FLOW
    check_flow(driver, claimed)
    return next((flow for flow in claimed if flow in builtin_topologies()), USUAL_FLOW)


def _show(session: Session, finding: Finding) -> None:
    mark, style = _MARKS[finding.standing]
    line = Text.assemble((mark, style), " ", (f"{finding.subject:<20}", "bold"), text(finding.text))
    session.out.print(line, soft_wrap=True)
    if finding.mend:
        session.out.print(text(f"{'':22}to mend: {finding.mend}", "dim"), soft_wrap=True)


_VERDICTS = {
    Exit.OK: "go on with siteproof run",
    Exit.INCONCLUSIVE: "what is there works; what is missing or was not tried is never green",
    Exit.ENVIRONMENT: "the driver, or what it needs here, has to be mended first",
    Exit.VIOLATION: "the driver speaks the interface; the system behind it does not do what the model allows",
}


_LANGUAGES = {"python": "toy.py", "perl": "toy.pl"}


def new(session: Session, name: str, language: str) -> Exit:
    """Write a skeleton into the present folder. Never overwrites anything."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UsageError(f"driver new {name}", "a name of small letters, digits and underscores", "write it like my_system")
    source = _LANGUAGES[language]
    file = Path(name + Path(source).suffix)
    if language == "python" and not file.exists() and (other := _importable(name)):
        raise UsageError(
            f"driver new {name}, the name of a module that Python has already ({other})",
            "a name that no other module has, since that one would be taken for your driver",
            f"choose another, such as my_{name}",
        )
    own = "".join(part.capitalize() for part in name.split("_"))
    told = resources.files("siteproof.conformance.skeletons").joinpath(source).read_text(encoding="utf-8")
    told = told.replace("ToyDriver", own + "Driver").replace("toy:", name + ":").replace("toy.pl", file.name)
    told = told.replace('Capabilities("toy"', f'Capabilities("{name}"').replace("'toy',", f"'{name}',")
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(told)
    except FileExistsError:
        raise UsageError(f"driver new {name}, where {file} is already", "a name that is free", "choose another") from None
    except OSError as error:
        found = f"driver new {name}: {file} cannot be written ({error.strerror})"
        raise UsageError(found, "a folder to write to", "go to one") from None
    called = f"{name}:{own}Driver" if language == "python" else f"'stdio:perl {file}'"
    session.out.print(text(f"{file}: a driver with a toy behind it. Put your own system in its place."))
    session.out.print(text(f"  siteproof driver check {called}"), soft_wrap=True)
    session.out.print(
        text(f"  siteproof run --driver {called} --topology scout-to-secondary-site --max-time 1m --out found"), soft_wrap=True
    )
    session.emit("siteproof.driver-new/1", Exit.OK, {"file": str(file), "driver": called.strip("'")})
    return Exit.OK


def _importable(name: str) -> str:
    """Where a module of this name is that would be imported before one in this folder; empty where there is none."""
    if name in sys.builtin_module_names:
        return "built in"
    spec = PathFinder.find_spec(name, [place for place in sys.path if place and Path(place) != Path.cwd()])
    return "" if spec is None else spec.origin or "a folder of modules"


def schema(session: Session) -> Exit:
    """Print the JSON schema of the wire protocol, on standard output also with --quiet."""
    document = wire_schema()
    if session.json != "-":
        print(json.dumps(document, indent=2, ensure_ascii=False))
    session.emit("siteproof.driver-schema/1", Exit.OK, {"document": document})
    return Exit.OK
