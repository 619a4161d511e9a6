"""A report on disk: page, data and counterexamples in one folder.

`report.json` has the same content as the page, in the schema that `docs/json.md` describes. A counterexample's file is a test
case that `siteproof replay` and `siteproof explain` read; beside it stands a test for pytest that replays it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

from siteproof.conformance.replay import save
from siteproof.conformance.report.data import emitted
from siteproof.conformance.report.folder import ReportFolder
from siteproof.conformance.report.html import render_html
from siteproof.conformance.report.pytest_file import pytest_file, pytest_name
from siteproof.conformance.report.values import FlowReport, RunReport
from siteproof.conformance.results import CampaignResult

__all__ = ["publish", "run_json"]

SCHEMA = "siteproof.check/1"


def publish(folder: ReportFolder, report: RunReport) -> tuple[Path, RunReport]:
    """Write everything and put the folder in its place. Answers the page's path, and the report with the names of the
    counterexamples' files."""
    told = attrs.evolve(report, flows=tuple(_with_files(folder.draft, flow) for flow in report.flows))
    place = folder.place.relative_to(Path.cwd()) if folder.place.is_relative_to(Path.cwd()) else folder.place
    (folder.draft / "index.html").write_text(render_html(told, place), encoding="utf-8")
    document = {"schema": SCHEMA, "siteproof": report.version, "exit": int(report.exit), **run_json(told)}
    (folder.draft / "report.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    page = folder.publish()
    return page, attrs.evolve(told, flows=tuple(_placed(page.parent, flow) for flow in told.flows))


def _with_files(draft: Path, flow: FlowReport) -> FlowReport:
    return attrs.evolve(flow, campaigns=tuple(_with_file(draft, flow.id, c) for c in flow.campaigns))


def _with_file(draft: Path, flow: str, campaign: CampaignResult) -> CampaignResult:
    """A campaign whose counterexample, if there is one, has been written to a file of the draft."""
    if campaign.counterexample is None:
        return campaign
    suffix = "-image" if campaign.engine == "round trip" else ""
    name = f"counterexamples/{flow}{suffix}.json"
    save(campaign.counterexample, draft / name, campaign.driver)
    if not suffix:  # a case of the round trip needs the image that it was found on
        test = draft / "counterexamples" / pytest_name(flow)
        test.write_text(pytest_file(campaign.counterexample, campaign.driver, flow), encoding="utf-8")
    return attrs.evolve(campaign, counterexample=attrs.evolve(campaign.counterexample, file=name))


def _placed(place: Path, flow: FlowReport) -> FlowReport:
    """The same, with file names that work from where the user stands."""

    def moved(campaign: CampaignResult) -> CampaignResult:
        found = campaign.counterexample
        if found is None or found.file is None:
            return campaign
        path = place / found.file
        name = str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
        return attrs.evolve(campaign, counterexample=attrs.evolve(found, file=name))

    return attrs.evolve(flow, campaigns=tuple(moved(campaign) for campaign in flow.campaigns))


def run_json(report: RunReport) -> dict[str, Any]:
    """A run as JSON data, without the envelope. Of a topology it has what was judged; its text stays in its file."""
    flows = [
        {
            "topology": {"id": flow.id, "title": flow.title, "file": flow.topology.file, "facts": dict(flow.topology.facts)},
            "exit": int(flow.exit),
            "proof": emitted(flow.proof),
            "requirements": emitted(flow.requirements),
            "necessity": emitted(flow.necessity),
            "exploration": emitted(flow.exploration),
            "campaigns": emitted(flow.campaigns),
            "unfinished": list(flow.unfinished),
            "error": flow.error,
        }
        for flow in report.flows
    ]
    return {
        "command": report.command,
        "started": report.started,
        "seconds": report.seconds,
        "partial": report.partial,
        "machine": report.machine,
        "image": report.image,
        "impossibility": emitted(report.impossible),
        "flows": flows,
    }
