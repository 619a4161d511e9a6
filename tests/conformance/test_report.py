"""The report's three views, of small sample values: escaping, honesty of headlines, and what a reader must find."""

from __future__ import annotations

import html
import json
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import attrs
import pytest
from rich.console import Console

from siteproof.conformance.exits import Exit
from siteproof.conformance.report.diagram import draw_components
from siteproof.conformance.report.html import markdown, render_html
from siteproof.conformance.report.junit import junit, write_junit
from siteproof.conformance.report.pytest_file import pytest_file, pytest_name
from siteproof.conformance.report.terminal import final_table, refutation_story
from siteproof.conformance.report.timeline import Moment, draw_timeline, label_lines, machines_of, moments_of_counterexample
from siteproof.conformance.report.values import FlowReport, RunReport
from siteproof.conformance.report.whole_model import moments_of_run, promise_groups, seen_steps
from siteproof.conformance.report.words import concerned, duration, headline, join, told_value, wrong_in_words
from siteproof.conformance.report.write import run_json
from siteproof.conformance.results import CampaignResult, Counterexample, Coverage, Divergence, Outcome, StepRecord
from siteproof.model.catalogue import catalogue
from siteproof.model.ending import Found
from siteproof.model.impossible import Impossibility, impossibility
from siteproof.model.necessity import Necessity, NecessityReport, Need
from siteproof.model.requirement_trace import CarrierRow, RequirementRow, Standing, Status
from siteproof.model.results import ClaimResult, PromiseResult, ProofReport, Trace, TraceStep, Verdict
from siteproof.model.topology import builtin_topologies, load_topology

HOSTILE = "<script>alert('x')</script>\"'&{{ 7*7 }}"


def sample_trace() -> Trace:
    initial = {
        "active": "primary",
        "running": True,
        "passive_running": False,
        "epoch": 1,
        "passive_epoch": 1,
        "head": 0,
        "passive": 0,
        "latest": 0,
        "primary_up": True,
        "recovery_up": True,
        "link_up": True,
        "protection": "none",
        "failover": "none",
    }
    steps = (
        ("enable_protection", "command", {}, {"protection": "initial", "job": "EnableProtection"}),
        ("copy_base", "internal", {}, {"half": True}),
        ("finish_copy", "internal", {"keep": False}, {"protection": "protected", "points": True, "job": "none"}),
        ("write", "environment", {"mark": True}, {"head": 1}),
        ("replicate", "internal", {}, {"passive": 1}),
        ("cut_point", "internal", {"keep": False}, {"latest": 1}),
        ("write", "environment", {"mark": False}, {"head": 2}),
        ("fail_link", "environment", {}, {"link_up": False}),
        ("unplanned_failover", "command", {"point": "latest"}, {"job": "UnplannedFailover", "chosen": "latest"}),
        (
            "switch_unplanned",
            "internal",
            {},
            {
                "active": "recovery",
                "epoch": 2,
                "running": True,
                "passive_running": True,
                "head": 1,
                "passive": 2,
                "job": "none",
                "failover": "unplanned",
            },
        ),
        ("heal_link", "environment", {}, {"link_up": True}),
        ("contact", "internal", {}, {"passive_epoch": 2}),
    )
    return Trace(
        initial,
        tuple(
            TraceStep(name, kind, "What this step means, in a sentence.", arguments, changed)
            for name, kind, arguments, changed in steps
        ),
        "Both sides run although the former source has been contacted: fencing came too late.",
        True,
        "breadth-first search",
    )


def sample_proof(topology: str, title: str, *, refuted: bool = False) -> ProofReport:
    sentences = {
        "P1": (
            "Planned failover loses nothing",
            "A planned failover that is done has every write acknowledged before the source "
            "stopped, shutdown flushes included, on the new side; one that failed left everything as it was.",
        ),
        "P2": (
            "Unplanned failover is exact",
            "After an unplanned failover the content is exactly the prefix at the chosen point, "
            "which was advertised; “latest” holds all that was received.",
        ),
        "P3": ("One authority", "Only the side that holds the current epoch is the machine."),
        "P7": ("Commit is final, and only commit is", "Until commit the points and the old side's disk stay."),
        "P12": ("A round trip restores", "Back at primary it is as it was at the start."),
        "P20": ("No resurrection", "A write that has been discarded is in no later disk of the machine and in no later point."),
    }
    rows = []
    for id, (name, sentence) in sentences.items():
        verdict = Verdict.PROVED
        claims = [
            ClaimResult(
                "every acknowledged write is on the new side",
                Verdict.PROVED,
                "induction with lemmas",
                0.041,
                text="if x fate is written and x active then x active afterwards",
                witnessed=True,
            ),
            ClaimResult("what was received is reported", Verdict.PROVED, "Spacer", 0.71, text="received known afterwards"),
        ]
        if id == "P1" and topology.startswith("vmware"):
            verdict = Verdict.NOT_APPLICABLE
            reason = "forward.planned_failover = false, reverse.planned_failover = false"
            claims = [attrs.evolve(claim, verdict=verdict, reason=reason, method="") for claim in claims]
        if id == "P3" and refuted:
            verdict = Verdict.REFUTED
            claims[0] = ClaimResult(
                "both sides run only while the old one has not been contacted",
                verdict,
                "breadth-first search",
                0.012,
                text="if running and passive running then …",
                trace=sample_trace(),
            )
        rows.append(
            PromiseResult(
                id,
                "promise",
                name,
                sentence,
                ("H2S-24", "V2A-50"),
                verdict,
                tuple(claims),
                0.75,
                "one machine, any number of writes",
                certificate=f"proofs/{topology}/{id}" if verdict is Verdict.PROVED else None,
                confirmed_by=("z3", "cvc5") if verdict is Verdict.PROVED else (),
            )
        )
    return ProofReport(topology, title, ("promise",), {}, {}, tuple(rows), ("z3 4.15.3", "cvc5 1.3.1"), 6.2)


def sample_counterexample() -> Counterexample:
    def seen(active: str, primary: bool, recovery: bool, failover: str = "none") -> dict[str, Any]:
        return {"vm1": {"active": active, "running": {"primary": primary, "recovery": recovery}, "failover": failover}}

    rows = (
        (
            {"kind": "operation", "operation": "EnableProtection", "machine": "vm1"},
            {"answer": "accepted"},
            seen("primary", True, False),
            "Protection is enabled; a full copy starts.",
        ),
        ({"kind": "settle"}, {"answer": "done"}, seen("primary", True, False), "Time passes until nothing moves."),
        (
            {"kind": "write", "machine": "vm1", "side": "primary", "disk": 0, "block": 3},
            {"answer": "acknowledged"},
            seen("primary", True, False),
            "The workload writes block 3 of disk 0; it is acknowledged.",
        ),
        (
            {"kind": "fault", "fault": "link"},
            {"answer": "done"},
            seen("primary", True, False),
            "The link between the sites is cut.",
        ),
        (
            {"kind": "operation", "operation": "UnplannedFailover", "point": "latest", "machine": "vm1"},
            {"answer": "accepted"},
            seen("recovery", True, True, "unplanned"),
            "An unplanned failover to the latest point is asked for, and accepted.",
        ),
        (
            {"kind": "heal", "fault": "link"},
            {"answer": "done"},
            seen("recovery", True, True, "unplanned"),
            "The sites can reach each other again.",
        ),
    )
    return Counterexample(
        {"format": 1},
        tuple(StepRecord(n, c, a, o, t) for n, (c, a, o, t) in enumerate(rows)),
        Divergence(
            5,
            "vm1",
            "running.primary",
            "yes",
            "no",
            "P3",
            "One authority",
            ("GEN-18", "H2S-31"),
            "contact",
            "The former source still runs although the two sides are in contact again; it was never fenced.",
        ),
        41,
        True,
        (
            "without it: the failover is refused, nothing diverges",
            "without it: the copy has not finished, the failover is refused",
            "without it: still diverges? no, the point is missing",
            "without it: the source is stopped in time",
            "without it: nothing fails over",
            "without it: both sides may run",
        ),
        7,
        {"passive_running": True, "passive_epoch": 1, "alerted": False},
        {"passive_running": False, "passive_epoch": 2, "alerted": True},
        "counterexamples/hyper-v-to-secondary-site.json",
    )


def sample_campaign(topology: str, *, violation: bool = False) -> CampaignResult:
    return CampaignResult(
        topology,
        "bundled",
        "portfolio",
        Outcome.VIOLATION if violation else Outcome.CONFORMS,
        "the system diverged from every explanation" if violation else "no run diverged, coverage is above its floor",
        214,
        6120,
        21.4,
        1,
        (
            Coverage("all-actions", 41, 41, "Counted from the model without marks; all are reachable."),
            Coverage(
                "all-transitions (0-switch)",
                1804,
                2310,
                "Reachable transitions of one machine with up to two writes, by breadth-first search.",
                ("fail_planned in {job=PlannedFailover}", "prune_point in {failover=planned}"),
            ),
            Coverage("fault × state", 31, 36, "Every fault in every lifecycle state in which it can strike."),
        ),
        {
            "write": 1803,
            "replicate": 1604,
            "cut_point": 702,
            "enable_protection": 240,
            "unplanned_failover": 201,
            "commit": 160,
            "reverse_replicate": 120,
            "fail_link": 92,
            "heal_link": 88,
            "fail_primary_site": 61,
            "start_former_source": 12,
        },
        {},
        sample_counterexample() if violation else None,
        ("3 planned failovers without a test failover before (GEN-16)",) if violation else (),
        1288,
        "base.img (32 MiB ext4)",
    )


def sample_run(*, red: bool = False, partial: bool = False) -> RunReport:
    flows = []
    for id in ("hyper-v-to-secondary-site", "vmware-to-azure"):
        topology, bad = load_topology(id), red and id.startswith("hyper")
        flows.append(
            FlowReport(
                topology,
                proof=sample_proof(id, topology.title, refuted=bad),
                campaigns=() if partial and not bad else (sample_campaign(id, violation=bad),),
                unfinished=("the conformance run",) if partial and not bad else (),
            )
        )
    return RunReport(
        "0.1.0",
        "siteproof check",
        "2026-11-23T06:42:07Z",
        61.3,
        tuple(flows),
        {"Python": "3.11.7", "z3": "4.15.3"},
        "32 MiB ext4, made for this run",
        partial,
    )


def requirement(id: str, status: Status, *carriers: CarrierRow, reason: str = "") -> RequirementRow:
    return RequirementRow(id, "capability", f"What {id} says.", "a section", status, carriers, reason)


def carrier(standing: Standing, text: str = "a fact", found: str = "") -> CarrierRow:
    return CarrierRow("topology", text, ("hyper-v-to-secondary-site",), standing, found)


def precondition(number: int, need: Need, **found: Any) -> Necessity:
    given: dict[str, Any] = {"method": "search", "reason": "", "promise": "", "claim": "", "trace": None, "accepts": None,
                             "lemmas": ()}
    return Necessity("promise", "commit", "command", "Commit", number, f"condition {number}", "JobInProgress", False, ("H2S-29",),
                     need, seconds=0.1, **(given | found))


def sample_matrix() -> NecessityReport:
    rows = (
        precondition(1, Need.NEEDED, promise="P3", claim="one authority", trace=sample_trace()),
        precondition(2, Need.DEFENSIVE),
        precondition(3, Need.NOT_NEEDED, accepts=sample_trace(), lemmas=("(or (not ready) (= job 3))",)),
        precondition(4, Need.UNDETERMINED, reason="the time limit was reached"),
    )
    return NecessityReport("hyper-v-to-secondary-site", "a title", {}, {}, rows, ("promise: one write",), ("z3",),
                           {"promise": ("vmware-to-azure",)}, {"promise": ("P3", "P11")}, 3.5)


@cache
def sample_impossibility() -> Impossibility:
    return impossibility(load_topology("vmware-to-azure"))


def with_first(run: RunReport, **changes: Any) -> RunReport:
    """The run with something of its first flow changed."""
    return attrs.evolve(run, flows=(attrs.evolve(run.flows[0], **changes), *run.flows[1:]))


def several_levels() -> ProofReport:
    """A proof in which two promises have rows at two levels, and P3 is kept at one of them only."""
    proof = sample_proof("hyper-v-to-secondary-site", "a title")
    first, third = proof.promises[0], proof.promises[2]
    lost = attrs.evolve(third.claims[0], verdict=Verdict.UNDETERMINED, reason="time limit of 60 s")
    more = (
        attrs.evolve(first, level="requests", scope="one machine, any number of requests", confirmed_by=()),
        attrs.evolve(third, level="alarm", verdict=Verdict.UNDETERMINED, claims=(lost,), certificate=None, confirmed_by=()),
    )
    return attrs.evolve(proof, levels=("promise", "alarm", "requests"), promises=(*reversed(proof.promises), *more))


def test_everything_from_outside_is_escaped() -> None:
    run = sample_run(red=True)
    flow = run.flows[0]
    topology = attrs.evolve(
        flow.topology,
        title=HOSTILE,
        summary=HOSTILE,
        components=tuple(attrs.evolve(c, title=HOSTILE) for c in flow.topology.components),
    )
    found = flow.campaigns[0].counterexample
    assert found is not None
    bad = attrs.evolve(
        found,
        steps=tuple(attrs.evolve(s, text=HOSTILE, command={"kind": HOSTILE}) for s in found.steps),
        divergence=attrs.evolve(found.divergence, found=HOSTILE, sentence=HOSTILE, field=HOSTILE, machine=HOSTILE),
    )
    campaign = attrs.evolve(flow.campaigns[0], driver=HOSTILE, counterexample=bad, warnings=(HOSTILE,), taken={HOSTILE: 1})
    rows = (requirement("H2S-1", Status.CARRIED, carrier(Standing.HOLDS, HOSTILE, HOSTILE), reason=HOSTILE),)
    needed = attrs.evolve(sample_matrix().rows[0], text=HOSTILE, action=HOSTILE, claim=HOSTILE)
    matrix = attrs.evolve(sample_matrix(), rows=(needed,))
    page = render_html(
        attrs.evolve(run, command=HOSTILE, flows=(attrs.evolve(flow, topology=topology, campaigns=(campaign,), error=HOSTILE,
                                            requirements=rows, necessity=matrix),))
    )
    assert "<script" not in page
    assert "7*7" in page
    assert ">49<" not in page
    assert html.escape("<script>alert") in page


def test_the_page_refers_to_nothing_outside_its_folder() -> None:
    page = render_html(sample_run(red=True))
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:|//|file:|/)""", page)
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_a_green_page_says_so_and_a_red_one_names_the_promise() -> None:
    told = "Every promise that applies is proved or holds by construction; and the implementation conforms."
    assert told in render_html(sample_run())
    red = render_html(sample_run(red=True))
    assert "Refuted: P3 in Hyper-V to a secondary site" in red
    assert "it was never fenced" in red
    assert "siteproof replay counterexamples/hyper-v-to-secondary-site.json" in red


def test_an_interrupted_run_is_never_green() -> None:
    run = sample_run(partial=True)
    assert headline(run).tone == "unsure"
    assert "interrupted" in " ".join(headline(run).lines)
    assert run.exit is Exit.INCONCLUSIVE


def test_an_undetermined_claim_is_in_the_headline() -> None:
    run = sample_run()
    proof = run.flows[0].proof
    assert proof is not None
    first = attrs.evolve(
        proof.promises[0],
        verdict=Verdict.UNDETERMINED,
        claims=(attrs.evolve(proof.promises[0].claims[0], verdict=Verdict.UNDETERMINED, reason="time limit of 60 s"),),
    )
    unsure = attrs.evolve(proof, promises=(first, *proof.promises[1:]))
    run = attrs.evolve(run, flows=(attrs.evolve(run.flows[0], proof=unsure), run.flows[1]))
    assert run.exit is Exit.INCONCLUSIVE
    assert "1 undetermined" in " ".join(headline(run).lines)
    assert "time limit of 60 s" in render_html(run)


def test_a_failed_flow_is_told_and_wins_over_green() -> None:
    run = sample_run()
    failed = attrs.evolve(run.flows[0], error="the driver does not answer", error_code=Exit.ENVIRONMENT)
    run = attrs.evolve(run, flows=(failed, run.flows[1]))
    assert run.exit is Exit.ENVIRONMENT
    assert headline(run).tone == "broken"
    assert "the driver does not answer" in render_html(run)


@pytest.mark.parametrize("topology", ["vmware-to-azure", "hyper-v-to-secondary-site"])
def test_the_component_diagram_shows_every_component_and_port(topology: str) -> None:
    flow = load_topology(topology)
    picture = draw_components(flow)
    assert picture.count("<title>") == len(flow.components)
    assert picture.count('class="link ') == len(flow.links)
    assert all(f" {link.port}<" in picture for link in flow.links if link.port)


@pytest.mark.parametrize("topology", builtin_topologies())
def test_labels_of_the_component_diagram_do_not_overlap(topology: str) -> None:
    picture = draw_components(load_topology(topology))
    labels = [
        (float(x), float(y), 3.1 * len(words))
        for x, y, words in re.findall(r'class="link-label [^"]*" x="([\d.-]+)" y="([\d.-]+)">([^<]*)<', picture)
    ]
    assert labels
    for n, (x, y, half) in enumerate(labels):
        assert half <= x <= 960 - half
        assert not [one for one in labels[:n] if abs(one[0] - x) < half + one[2] and abs(one[1] - y) < 11]


def test_requirements_are_those_of_the_flow() -> None:
    asked = ("V2A-43", "P2A-3", "H2S-31", "S-V2S-4", "H2A-44", "GEN-18")
    own = {flow: concerned(asked, load_topology(flow)) for flow in builtin_topologies()}
    assert own["vmware-to-azure"] == ("V2A-43", "GEN-18")
    assert own["physical-to-azure"] == ("V2A-43", "P2A-3", "GEN-18")
    assert own["scout-to-secondary-site"] == ("S-V2S-4", "GEN-18")
    assert own["hyper-v-site-to-azure"] == own["hyper-v-vmm-to-azure"] == ("H2A-44", "GEN-18")


def test_findings_are_in_readers_words() -> None:
    wrong = Divergence(3, "m", "points", "the newest point has None", "1 or None", "P4", "", (), "", "")
    assert wrong_in_words(wrong) == "points: found the newest point has none; the model allows 1 or none"
    assert told_value("1 or None") == "1 or none"
    assert told_value("NoneSuch") == "NoneSuch"


@pytest.mark.parametrize("steps", [1, 10, 11, 31, 64])
def test_every_step_of_a_long_run_is_in_sight(steps: int) -> None:
    moment = Moment("enable protection", "primary", "command", "primary", (True, None), positions={"acknowledged": 1})
    picture = draw_timeline([moment] * steps, "a run")
    found = re.search(r'width="(\d+)" height="(\d+)"', picture)
    assert found
    width, height = map(int, found.groups())
    assert width <= 940
    assert [int(number) for number in re.findall(r'class="number"[^>]*>(\d+)<', picture)] == list(range(steps))
    places = [tuple(map(float, place)) for place in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', picture)]
    assert len(set(places)) == steps
    assert all(92 < x < width and 0 < y < height for x, y in places)
    assert set(re.findall(r"<tspan[^>]*>([^<]*)<", picture)) == {"enable", "protection"}


def test_a_row_goes_on_with_what_the_one_above_ended_with() -> None:
    runs = Moment("write", "primary", "environment", "primary", (True, False))
    cut = attrs.evolve(runs, running=(False, False), up=(False, True), link=False)
    picture = draw_timeline([*[runs] * 5, cut, *[runs] * 6], "a run")
    assert picture.count(">primary</text>") == 2
    below = picture.rpartition(">primary</text>")[2]
    assert re.findall(r'class="dark-site" x="([\d.]+)"', below) == ["92"]
    assert re.findall(r'<line class="lane (\w+)" x1="92"', below) == ["disk"]
    assert picture.count('class="dark-site"') == 2
    assert picture.count("link cut") == 0


@pytest.mark.parametrize(("label", "lines"), [
    ("enable protection", ["enable", "protection"]),
    ("failover latest-app-consistent", ["failover", "latest-app-", "consistent"]),
    ("restore incomprehensibly", ["restore", "incomprehens…"]),
    ("one two three four five six seven eight", ["one two", "three four", "five six …"]),
])
def test_labels_are_broken_between_words(label: str, lines: list[str]) -> None:
    assert label_lines(label, 11) == lines


def test_what_was_promised_is_told_also_where_no_requirement_of_the_flow_asks_for_it() -> None:
    run = sample_run(red=True)
    (flow,) = (flow for flow in run.flows if flow.counterexamples)
    (campaign,) = flow.campaigns
    found = campaign.counterexample
    assert found is not None
    bare = attrs.evolve(found, divergence=attrs.evolve(found.divergence, requirements=()))
    image = attrs.evolve(campaign, engine="round trip", counterexample=bare)
    page = render_html(attrs.evolve(run, flows=(attrs.evolve(flow, campaigns=(image,)),)))
    assert html.escape(catalogue()[found.divergence.promise].sentence, quote=False) in page.partition("What was promised")[2]
    assert "Where the system leaves the model, on a whole disk image" in page


def test_a_flow_is_named_once_in_the_headline() -> None:
    run = sample_run(red=True)
    flow = next(flow for flow in run.flows if flow.refuted)
    assert flow.proof is not None
    more = tuple(attrs.evolve(row, verdict=Verdict.REFUTED) for row in flow.proof.promises[:2])
    worse = attrs.evolve(flow, proof=attrs.evolve(flow.proof, promises=more), campaigns=())
    assert headline(attrs.evolve(run, flows=(worse,))).title == f"Refuted: {more[0].id} and {more[1].id} in {flow.title}."
    two = (worse, attrs.evolve(worse, topology=load_topology("vmware-to-azure")))
    assert headline(attrs.evolve(run, flows=two)).title.count(";") == 1


def test_actions_that_the_flow_does_not_have_are_not_counted() -> None:
    run = sample_run()
    hyper_v = next(flow for flow in run.flows if flow.id == "hyper-v-to-secondary-site")
    taken = {"write": 7, "fail_gateway": 0, "planned_failover": 0}
    shown = attrs.evolve(hyper_v, campaigns=(attrs.evolve(hyper_v.campaigns[0], taken=taken),))
    page = render_html(attrs.evolve(run, flows=(shown,)))
    assert "each of the 2 actions of the flow" in page
    assert "fail gateway" not in page


def test_words() -> None:
    assert [duration(0.0004), duration(4.24), duration(103), duration(7300)] == ["0 ms", "4.2 s", "1 min 43 s", "2 h 1 min"]
    assert [join([]), join(["a"]), join(["a", "b", "c"])] == ["", "a", "a, b and c"]
    assert markdown("a <em>b</em> *c*") == "<p>a &lt;em&gt;b&lt;/em&gt; <em>c</em></p>"
    assert markdown("* one\n* `two`") == "<ul><li>one</li><li><code>two</code></li></ul>"


def test_a_promise_is_one_entry_with_a_row_for_each_level() -> None:
    groups = promise_groups(several_levels())
    assert [group.id for group in groups] == ["P1", "P2", "P3", "P7", "P12", "P20"]
    levels = [[row.level for row in group.rows] for group in groups[:3]]
    assert levels == [["promise", "requests"], ["promise"], ["promise", "alarm"]]
    assert groups[2].verdict is Verdict.UNDETERMINED
    page = render_html(with_first(sample_run(), proof=several_levels()))
    assert page.count('id="flow-1P1"') == page.count('id="flow-1P3"') == 1
    assert re.search(r'id="flow-1P3" open', page)
    entry = page[page.index('id="flow-1P1"') : page.index('id="flow-1P2"')]
    assert "what a customer is promised" in entry
    assert "retries and lost answers" in entry
    assert "one machine, any number of requests" in entry
    assert ">not confirmed<" in entry
    assert ">cvc5, z3<" in entry or ">z3, cvc5<" in entry


def test_links_of_the_glance_table_lead_to_entries() -> None:
    page = render_html(with_first(sample_run(), proof=several_levels()))
    asked = set(re.findall(r'href="#([^"]+)"', page))
    assert len([one for one in asked if re.fullmatch(r"flow-\d+P\d+", one)]) == 12
    assert asked <= set(re.findall(r'id="([^"]+)"', page))


def test_the_method_of_a_row_is_that_of_its_verdict() -> None:
    proof = sample_proof("hyper-v-to-secondary-site", "a title")
    claims = (proof.promises[0].claims[0], attrs.evolve(
        proof.promises[0].claims[1], verdict=Verdict.BY_CONSTRUCTION, method="preconditions and effects"))
    mixed = attrs.evolve(proof, promises=(attrs.evolve(proof.promises[0], claims=claims),))
    summary = re.search(r'id="flow-1P1".*?</summary>', render_html(with_first(sample_run(), proof=mixed)), re.DOTALL)
    assert summary is not None
    assert "induction with lemmas" in summary[0]
    assert "preconditions and effects" not in summary[0]


def test_promises_that_no_level_speaks_of_are_named_below_the_table() -> None:
    page = render_html(sample_run())
    below = page[page.index("Not in this table") :]
    assert "<b>P11</b>" in below[: below.index("</p>")]
    assert "<b>P12</b>" not in below[: below.index("</p>")]


def test_requirements_that_want_a_look_come_first_and_all_are_counted() -> None:
    rows = (
        requirement("H2S-1", Status.CARRIED, carrier(Standing.HOLDS), carrier(Standing.TESTED)),
        requirement("H2S-2", Status.GUIDANCE, reason="It is advice."),
        requirement("H2S-3", Status.CARRIED, carrier(Standing.PROVED)),
        requirement("H2S-4", Status.UNCOVERED, reason="Not modelled."),
    )
    run = with_first(sample_run(), requirements=rows)
    page = render_html(run)
    part = page[page.index('id="requirements-hyper-v-to-secondary-site"') :]
    part = part[: part.index("</details>")]
    assert re.findall(r"<b>(H2S-\d)</b>", part) == ["H2S-4", "H2S-2", "H2S-1", "H2S-3"]
    words = re.sub(r"<[^>]*>", "", part[: part.index("</summary>")])
    assert "4 requirements" in words
    assert "1 uncovered, 1 guidance, 2 carried" in words
    assert re.match(r'[^>]*open', part) is None
    assert run.exit is Exit.OK


def test_a_violated_requirement_is_open_in_the_headline_and_in_the_exit_code() -> None:
    rows = (requirement("H2S-1", Status.VIOLATED, carrier(Standing.VIOLATED, found="port 443, which is 444 here")),)
    run = with_first(sample_run(), requirements=rows)
    page = render_html(run)
    assert run.exit is Exit.VIOLATION
    assert headline(run).title == "Not met: H2S-1 in Hyper-V to a secondary site."
    assert headline(run).tone == "bad"
    assert 'id="requirements-hyper-v-to-secondary-site" open' in page
    assert "port 443, which is 444 here" in page


def test_the_necessity_matrix_has_every_precondition_and_what_breaks() -> None:
    page = render_html(with_first(sample_run(), necessity=sample_matrix()))
    part = page[page.index('id="necessity-hyper-v-to-secondary-site"') :]
    part = part[: part.index("<h3", 5)]
    assert all(f"condition {number}" in part for number in (1, 2, 3, 4))
    assert "1 undetermined, 1 needed, 1 not needed for these promises, 1 defensive" in part
    assert "P3 breaks after 12 steps" in part
    assert "possible without it after 11 steps" in part
    assert "the time limit was reached" in part
    assert part.count('<ol class="steps">') == 2
    assert "What each precondition is there for" not in render_html(sample_run())


def test_the_two_runs_differ_in_one_marked_step_and_what_is_seen_is_told_once() -> None:
    shown = sample_impossibility()
    steps = seen_steps(shown)
    assert [step.number for step in steps if step.differs] == [shown.at]
    assert steps[shown.at - 1].seen == {"the other site answers": "no"}
    assert set(steps[0].seen) == set(shown.seen[0])
    for loss in (False, True):
        moments = moments_of_run(shown, loss=loss)
        assert [n for n, moment in enumerate(moments) if moment.marked] == [shown.at]
        assert not any(moment.bad for moment in moments)
    assert moments_of_run(shown, loss=False)[-1].running == (True, True)
    assert moments_of_run(shown, loss=True)[-1].up == (False, True)


def test_what_no_system_can_do_is_shown_beside_its_words() -> None:
    page = render_html(with_first(sample_run(), impossible=sample_impossibility()))
    part = page[page.index('id="impossible"') :]
    assert "What no system can do" in part
    assert part.count('<svg class="timeline"') == 2
    assert part.count('class="differs"') == 1
    assert 'id="impossible"' in render_html(sample_run())
    assert '<svg class="timeline"' not in render_html(sample_run())


def test_the_document_has_what_the_page_has() -> None:
    rows = (requirement("H2S-1", Status.CARRIED, carrier(Standing.PROVED)),)
    run = with_first(sample_run(), requirements=rows, necessity=sample_matrix(), impossible=sample_impossibility())
    document = json.loads(json.dumps(run_json(run)))
    first, second = document["flows"]
    assert first["requirements"][0]["carriers"][0]["standing"] == "proved"
    assert [row["need"] for row in first["necessity"]["rows"]] == [
        "needed", "defensive", "not needed for these promises", "undetermined"]
    assert (second["requirements"], second["necessity"]) == ([], None)
    assert document["impossibility"]["at"] == sample_impossibility().at
    assert run_json(sample_run())["impossibility"] is None


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_final_table_counts_promises_and_names_those_that_are_not_kept(width: int) -> None:
    def shown(run: RunReport) -> str:
        console = Console(width=width, color_system=None)
        with console.capture() as capture:
            console.print(final_table(run))
        return capture.get()

    green = shown(sample_run())
    assert "P12" not in green
    assert "not kept" not in green
    assert max(len(line) for line in green.splitlines()) <= width
    assert {"hyper-v-to-secondary-site", "vmware-to-azure"} <= {line.split()[0] for line in green.splitlines()}
    assert ("certified: 5/5" in green) is (width < 90)
    mixed = shown(with_first(sample_run(red=True), proof=several_levels()))
    assert "? P3" in mixed
    assert "P1 " not in mixed
    assert re.search(r"✗ P3", shown(sample_run(red=True)))


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_refutation_says_its_verdict_and_its_claim_at_any_width(width: int) -> None:
    proof = sample_run(red=True).flows[0].proof
    assert proof is not None
    promise = next(one for one in proof.promises if one.verdict is Verdict.REFUTED)
    trace = next(claim.trace for claim in promise.claims if claim.trace is not None)
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(refutation_story(promise, trace))
    title, *inside = capture.get().splitlines()
    assert f"{promise.id} refuted: " in title
    assert trace.conclusion.split()[0] in " ".join(inside)
    assert max(len(line) for line in (title, *inside)) <= width


def write_samples(folder: Path) -> None:
    """Pages to look at: green, red, partial."""
    for name, run in (("green", sample_run()), ("red", sample_run(red=True)), ("partial", sample_run(partial=True))):
        (folder / f"{name}.html").write_text(render_html(run), encoding="utf-8")
    (folder / "sample.json").write_text(json.dumps({}), encoding="utf-8")


def test_junit_takes_what_is_wrong_for_failures_and_what_is_not_known_for_errors_never_skipped() -> None:
    run = sample_run(red=True, partial=True)
    unclear = attrs.evolve(sample_campaign("vmware-to-azure"), outcome=Outcome.INCONCLUSIVE, reason="too little was covered")
    proof = sample_proof("vmware-to-azure", "a title")
    open_ = attrs.evolve(proof.promises[1], verdict=Verdict.UNDETERMINED)
    proof = attrs.evolve(proof, promises=(proof.promises[0], open_, *proof.promises[2:]))
    second = attrs.evolve(run.flows[1], campaigns=(unclear,), proof=proof, error="the disk is full", error_code=Exit.ENVIRONMENT)
    root = junit(attrs.evolve(run, flows=(run.flows[0], second)))
    failures = [case.get("name", "") for case in root.iter("testcase") if case.find("failure") is not None]
    assert failures == ["P3 One authority (promise)", "portfolio against bundled"]
    messages = [error.get("message", "") for error in root.iter("error")]
    assert messages == ["undetermined", "too little was covered", "not finished: the conformance run", "the disk is full"]
    assert [one.get("message", "").partition(":")[0] for one in root.iter("skipped")] == ["not applicable"]
    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("2", "4", "1")
    assert {p.get("name") for p in root.iter("property")} >= {"seed of portfolio", "command"}
    assert {suite.get("timestamp") for suite in root.iter("testsuite")} == {"2026-11-23T06:42:07"}
    assert "2026-11-23 06:42 UTC" in render_html(run)


@pytest.mark.parametrize(("found", "tag"), [("broken", "failure"), ("undetermined", "error"), ("holds in the scope", None)])
def test_junit_has_an_exploration_as_it_was_found(found: str, tag: str | None) -> None:
    level = SimpleNamespace(level="promise", seconds=1.0, scope="one write", stopped="200,000 states", found=Found(found))
    explored: Any = SimpleNamespace(levels=(level,), found=level.found)
    root = junit(with_first(sample_run(), exploration=explored))
    (case,) = (one for one in root.iter("testcase") if "all states" in one.get("name", ""))
    assert [child.tag for child in case] == ([tag] if tag else [])


def test_junit_is_xml_whatever_a_driver_says(tmp_path: Path) -> None:
    hostile = attrs.evolve(sample_campaign("vmware-to-azure"), outcome=Outcome.INCONCLUSIVE, reason=HOSTILE + "\x00\x1b[31m")
    write_junit(with_first(sample_run(), campaigns=(hostile,)), tmp_path / "junit.xml")
    (error,) = ElementTree.parse(tmp_path / "junit.xml").iter("error")
    assert error.get("message", "").startswith(HOSTILE)


@pytest.mark.parametrize("hostile", [HOSTILE, "'\'\'\'", '"""', "\\", "\\N{x}", "é\n"])
def test_a_pytest_file_is_python_whatever_a_driver_says(hostile: str) -> None:
    found = sample_counterexample()
    wrong = attrs.evolve(found.divergence, sentence=hostile, promise_title=hostile)
    case = {"format": 1, "scenario": {"topology": hostile, "machines": ["m0"]}, "seed": 0, "commands": []}
    scope: dict[str, Any] = {}
    text = pytest_file(attrs.evolve(found, divergence=wrong, case=case), hostile, "my flow-1")
    exec(compile(text, pytest_name("my flow-1"), "exec"), scope)
    assert scope["CASE"] == case
    assert scope["DRIVER"] == hostile
    assert callable(scope["test_my_flow_1"])


def test_a_case_of_several_machines_has_a_picture_of_each_and_says_where_a_step_is() -> None:
    found = sample_campaign("hyper-v-to-secondary-site", violation=True).counterexample
    assert found is not None
    machine = found.divergence.machine
    assert machines_of(found) == (machine,)
    two = attrs.evolve(found, case={**found.case, "scenario": {"machines": ["other", machine]}})
    assert machines_of(two) == (machine, "other")
    own, beside = moments_of_counterexample(two), moments_of_counterexample(two, "other")
    assert [m.label for m in own] == [m.label for m in beside]
    assert any(m.label.startswith(f"{machine}: ") for m in own)
    assert any(m.bad for m in own)
    assert not any(m.bad for m in beside)
    assert all(m.lane == "between" for m in beside if m.label.startswith(f"{machine}: "))
