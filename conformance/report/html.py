"""The report as one HTML page: no network, no scripts, nothing unescaped.

Rules
1. The page is self-contained: one file with its own style, no reference that leaves it but relative links to files of the
   same report folder. A content security policy forbids the rest, should escaping ever fail.
2. Templates escape everything (`autoescape`); pictures are built from escaped parts.
3. The page computes no verdicts. What it shows is in `report.json` as well.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from siteproof.conformance.drivers.registry import needs_folder
from siteproof.conformance.report import whole_model, words
from siteproof.conformance.report.assumptions import assumptions
from siteproof.conformance.report.diagram import ARROWS, draw_components, link_words
from siteproof.conformance.report.explored import ending_in_words, needed_in_words, needed_of, way_in_words, where_in_words
from siteproof.conformance.report.lifecycle import draw_lifecycle
from siteproof.conformance.report.timeline import draw_timeline, machines_of, moments_of_counterexample, moments_of_trace
from siteproof.conformance.report.values import FlowReport, RunReport, claims_told, count
from siteproof.conformance.results import CampaignResult, Counterexample, Coverage
from siteproof.model.catalogue import catalogue
from siteproof.model.levels import numbered
from siteproof.model.readings.words import named
from siteproof.model.requirements import load_requirements
from siteproof.model.results import Verdict

__all__ = ["markdown", "render_html"]

WAY_HOME = "P19"
"""The promise that is explored, not proved."""


def render_html(report: RunReport, place: Path = Path()) -> str:
    """The whole page. Links to certificates and counterexamples are relative to the page's folder; `place` is that folder, as
    seen from where the run was started."""
    promises = {p.id for flow in report.flows if flow.proof for p in flow.proof.promises}
    promises |= {WAY_HOME for flow in report.flows if flow.exploration}
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            headline=words.headline(report),
            promise_ids=sorted(promises, key=numbered),
            assumptions=_pages(assumptions()),
            again=functools.partial(_again, place),
            arrows=ARROWS,
            Verdict=Verdict,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("siteproof.conformance.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": words.duration,
        "plain": words.plain,
        "moment": words.moment,
        "named": named,
        "told_value": words.told_value,
        "mark": words.MARKS.__getitem__,
        "tone": words.TONES.__getitem__,
        "tone_of": words.tone_of,
        "join_words": words.join,
        "markdown": markdown,
        "percent": _percent,
        "spaced": _spaced,
        "unbroken": _unbroken,
    }
    environment.globals |= {
        "draw_components": draw_components,
        "link_words": link_words,
        "draw_timeline": draw_timeline,
        "moments_of_trace": moments_of_trace,
        "machines_of": machines_of,
        "moments_of_counterexample": moments_of_counterexample,
        "draw_lifecycle": draw_lifecycle,
        "claims_told": claims_told,
        "count": count,
        "difference": _difference,
        "solvers": words.solvers,
        "removals": words.removals,
        "concerned": words.concerned,
        "statements": _statements,
        "actions_of": _actions_of,
        "sentence_of": _sentence_of,
        "needed_in_words": needed_in_words,
        "needed_of": needed_of,
        "FINDINGS": words.FINDINGS,
        "ending_in_words": ending_in_words,
        "way_in_words": way_in_words,
        "where_in_words": where_in_words,
        "beside": lambda id: catalogue()[id].beside if id in catalogue() else "",
    }
    environment.globals |= {name: getattr(whole_model, name) for name in whole_model.__all__}
    return environment


def _again(place: Path, file: str, driver: str) -> tuple[str, str]:
    """Where a counterexample is replayed from, and its name there. A driver of the user's own is found where the run was
    started."""
    if needs_folder(driver):
        return "the folder that the run was started in", shlex.quote(str(place / file))
    return "this folder", shlex.quote(file)


def _pages(text: str) -> dict[str, str]:
    """The assumptions page in two parts: the last one stands beside a picture."""
    before, mark, last = text.rpartition("\n## ")
    return {"before": before, "last": mark + last}


def _percent(coverage: Coverage) -> float:
    return 100 * coverage.covered / coverage.feasible if coverage.feasible else 0


def _unbroken(text: str) -> str:
    """Names such as Hyper-V are not broken at their hyphen (a word joiner follows it)."""
    return re.sub(r"(?<=\w)-(?=\w\b)", "-\u2060", text)


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _difference(found: Counterexample) -> list[tuple[str, str, str]]:
    """Variables of the model state that differ around the divergence: name, before, after."""
    names = list(dict.fromkeys([*found.model_before, *found.model_after]))
    rows: list[tuple[str, Any, Any]] = [(n, found.model_before.get(n), found.model_after.get(n)) for n in names]
    return [(name, words.plain(a), words.plain(b)) for name, a, b in rows if a != b]


def _statements(ids: Iterable[str]) -> list[tuple[str, str]]:
    """Requirements with their statements, those that are known."""
    known = {requirement.id: requirement.statement for requirement in load_requirements()}
    return [(id, known[id]) for id in ids if id in known]


_PLANNED = {"planned_failover", "flush_before_stop", "stop_source", "switch_planned", "fail_planned", "fail_planned_restarting"}


def _actions_of(flow: FlowReport, campaign: CampaignResult) -> dict[str, int]:
    """How often each action was taken, without those that the flow does not have (and that were never taken)."""
    facts = flow.topology.facts
    absent = set() if facts.get("forward.planned_failover") or facts.get("reverse.planned_failover") else set(_PLANNED)
    if not facts.get("gateway.present"):
        absent |= {"fail_gateway", "heal_gateway"}
    return {name: times for name, times in campaign.taken.items() if times or name not in absent}


def _sentence_of(promise: str) -> str:
    """A promise's sentence."""
    entry = catalogue().get(promise)
    return entry.sentence if entry else ""


def markdown(text: str) -> Markup:
    """The few marks that our own pages use: headings, paragraphs, lists, tables, `code` and **strong**. Everything is
    escaped first."""
    blocks: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.strip().splitlines()
        if lines[0].startswith("#"):
            level = min(lines[0].count("#", 0, 4) + 1, 4)
            blocks.append(f"<h{level}>{_inline(lines[0].lstrip('# '))}</h{level}>")
            lines = lines[1:]
        if not lines:
            continue
        if lines[0].startswith("|"):
            blocks.append(_table(lines))
        elif lines[0].lstrip().startswith(("* ", "- ")):
            items = re.split(r"\n\s*[*-] ", "\n" + "\n".join(lines))[1:]
            blocks.append("<ul>" + "".join(f"<li>{_inline(' '.join(item.split()))}</li>" for item in items) + "</ul>")
        else:
            blocks.append(f"<p>{_inline(' '.join(' '.join(lines).split()))}</p>")
    return Markup("\n".join(blocks))


def _table(lines: list[str]) -> str:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    body = [row for row in rows[1:] if not all(set(cell) <= set("-: ") for cell in row)]
    head = "".join(f"<th>{_inline(cell)}</th>" for cell in rows[0])
    cells = "".join("<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in body)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>"


def _inline(text: str) -> str:
    safe = str(escape(text))
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    safe = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe)
    safe = re.sub(r"\*([^*]+)\*", r"<em>\1</em>", safe)
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", safe)
