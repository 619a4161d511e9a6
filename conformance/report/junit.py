"""A run as JUnit XML, for whoever collects test results.

Rules
1. A suite is a flow; a case is a campaign, and, in a check, a promise or an exploration at one level, or a requirement that is
   violated.
2. What was found wrong is a `failure`. What is not known (inconclusive, undetermined, interrupted) is an `error`, never
   `skipped`: a collector must not take it for a pass. `skipped` is only what does not apply, or is true by construction and was
   not counted as a proof.
3. Seed, command and version stand among the properties, so that a run can be repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from siteproof.conformance.exits import Exit, of_found
from siteproof.conformance.explain import explain
from siteproof.conformance.report.values import FlowReport, RunReport
from siteproof.conformance.results import CampaignResult, Outcome
from siteproof.model.results import PromiseResult, Verdict

if TYPE_CHECKING:
    from siteproof.model.explore import Exploration

__all__ = ["junit", "write_junit"]

_ILLEGAL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(report: RunReport, file: Path) -> None:
    """Write the report. Raises `OSError`."""
    tree = ElementTree.ElementTree(junit(report))
    ElementTree.indent(tree)
    tree.write(file, encoding="utf-8", xml_declaration=True)


def junit(report: RunReport) -> ElementTree.Element:
    """The report as an XML element. A time stamp is in UTC, and the schema has no zone for it."""
    root = ElementTree.Element("testsuites", {"name": "siteproof"})
    for flow in report.flows:
        moment = _clean(report.started.removesuffix("Z"))
        suite = ElementTree.SubElement(root, "testsuite", {"name": _clean(flow.id), "timestamp": moment})
        properties = ElementTree.SubElement(suite, "properties")
        told = {"command": report.command, "siteproof": report.version, **_seeds(flow)}
        for name, value in told.items():
            ElementTree.SubElement(properties, "property", {"name": name, "value": _clean(value)})
        suite.extend(_cases(flow))
        _count(suite)
    _count(root)
    return root


def _seeds(flow: FlowReport) -> dict[str, str]:
    return {f"seed of {campaign.engine}": str(campaign.seed) for campaign in flow.campaigns}


def _cases(flow: FlowReport) -> Iterator[ElementTree.Element]:
    for promise in flow.proof.promises if flow.proof is not None else ():
        yield _promise(flow, promise)
    for campaign in flow.campaigns:
        yield _campaign(flow, campaign)
    for level in flow.exploration.levels if flow.exploration is not None else ():
        yield _explored(flow, level)
    for row in flow.violated:
        case = _case(flow, f"requirement {row.id}", 0.0)
        _child(case, "failure", row.id, row.statement, "\n".join(f"{c.text}: {c.found}" for c in row.carriers if c.found))
        yield case
    for missing in flow.unfinished:
        case = _case(flow, missing, 0.0)
        _child(case, "error", "missing", f"not finished: {missing}")
        yield case
    if flow.error:
        case = _case(flow, "environment", 0.0)
        _child(case, "error", "environment", flow.error)
        yield case


def _promise(flow: FlowReport, promise: PromiseResult) -> ElementTree.Element:
    case = _case(flow, f"{promise.id} {promise.title} ({promise.level})", promise.seconds)
    reasons = "; ".join(dict.fromkeys(c.reason for c in promise.claims if c.verdict is promise.verdict and c.reason))
    told = f"{promise.verdict.value}{': ' + reasons if reasons else ''}"
    if promise.verdict is Verdict.REFUTED:
        _child(case, "failure", promise.id, told, promise.sentence)
    elif promise.verdict is Verdict.UNDETERMINED:
        _child(case, "error", "undetermined", told)
    elif promise.verdict is not Verdict.PROVED:
        _child(case, "skipped", "", told)
    return case


def _explored(flow: FlowReport, level: Exploration) -> ElementTree.Element:
    case = _case(flow, f"all states of a scope ({level.level})", level.seconds)
    told, found = f"{level.found.value}: {level.scope}", of_found(level.found)
    if found is Exit.VIOLATION:
        _child(case, "failure", "exploration", told)
    elif found is not Exit.OK:
        _child(case, "error", "undetermined", f"{told}{': ' + level.stopped if level.stopped else ''}")
    return case


def _campaign(flow: FlowReport, campaign: CampaignResult) -> ElementTree.Element:
    case = _case(flow, f"{campaign.engine} against {campaign.driver}", campaign.seconds)
    found = campaign.counterexample
    if found is not None:
        _child(case, "failure", found.divergence.promise, found.divergence.sentence, "\n".join(explain(found)))
    elif campaign.outcome is Outcome.VIOLATION:
        _child(case, "failure", campaign.outcome.value, campaign.reason)
    elif campaign.outcome is not Outcome.CONFORMS:
        _child(case, "error", campaign.outcome.value, campaign.reason)
    lines = [campaign.reason, *(f"{c.name}: {c.covered}/{c.feasible}" for c in campaign.coverage)]
    lines += [*campaign.notes, *(f"warning: {warning}" for warning in campaign.warnings)]
    ElementTree.SubElement(case, "system-out").text = _clean("\n".join(lines))
    return case


def _case(flow: FlowReport, name: str, seconds: float) -> ElementTree.Element:
    return ElementTree.Element(
        "testcase", {"classname": _clean(f"siteproof.{flow.id}"), "name": _clean(name), "time": f"{seconds:.3f}"}
    )


def _child(case: ElementTree.Element, tag: str, kind: str, message: str, text: str = "") -> None:
    told = {"message": _clean(message)} | ({"type": _clean(kind)} if kind else {})
    ElementTree.SubElement(case, tag, told).text = _clean(text) or None


def _count(of: ElementTree.Element) -> None:
    for name, path in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        of.set(name, str(sum(1 for _ in of.iter(path))))
    of.set("time", f"{sum(float(case.get('time', 0)) for case in of.iter('testcase')):.3f}")


def _clean(text: str) -> str:
    """Without what XML cannot hold: control characters from a driver's words."""
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
