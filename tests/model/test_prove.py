"""`prove`: verdicts on all promises of a flow, and what becomes of them under a what-if."""

from __future__ import annotations

from pathlib import Path

import attrs
import cattrs
import pytest

from siteproof.model.engines.certificate import certify
from siteproof.model.engines.horn import HornResult
from siteproof.model.engines.solvers import Answer, ask_cvc5
from siteproof.model.errors import UsageError
from siteproof.model.mutation import without_change
from siteproof.model.promise import LEVEL
from siteproof.model.prove import prove, prove_model, what_if, witnesses
from siteproof.model.results import ClaimResult, ProofReport, Verdict, is_kept, worst
from siteproof.model.topology import load_topology
from tests.soak import soak

from .proving import FLOWS, H2S, V2A, model_of

ALL = ("P1", "P2", "P3", "P4", "P6", "P7", "P8", "P9", "P10", "P11", "P12", "P13", "P16", "P18", "P20", "P21", "P22")


def claims(report: ProofReport) -> dict[str, ClaimResult]:
    return {f"{p.id} {c.name}": c for p in report.promises for c in p.claims}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report") / "certificates"


@pytest.fixture(scope="module")
def reports(certificates: Path) -> dict[str, ProofReport]:
    return {flow: prove(load_topology(flow), certificate_dir=certificates, among=["promise"]) for flow in FLOWS}


@pytest.mark.parametrize("flow", FLOWS)
def test_all_promises_of_a_flow_are_proved_and_confirmed_by_two_solvers(reports: dict[str, ProofReport], flow: str) -> None:
    report = reports[flow]
    absent = {"P1": Verdict.NOT_APPLICABLE} if flow == V2A else {}
    other = dict.fromkeys(("P11", "P13", "P16", "P18"), Verdict.BY_CONSTRUCTION) | absent
    assert {p.id: p.verdict for p in report.promises} == dict.fromkeys(ALL, Verdict.PROVED) | other
    proved = [p for p in report.promises if p.id not in absent]
    assert all(len(p.confirmed_by) == 2 for p in proved)
    assert {p.certificate for p in proved} == {f"certificates/{flow}/promise"}
    assert [name.split()[0] for name in report.solvers] == ["z3", "cvc5"]


@pytest.mark.parametrize("flow", FLOWS)
def test_no_proved_claim_speaks_of_nothing(reports: dict[str, ProofReport], flow: str) -> None:
    proved = [c for c in claims(reports[flow]).values() if c.verdict is Verdict.PROVED]
    assert len(proved) >= 20
    assert [c.name for c in proved if not c.witnessed] == []
    assert all(c.method == "plain induction" and c.text for c in proved)


def test_the_certificate_of_a_proof_holds_all_its_claims(reports: dict[str, ProofReport], certificates: Path) -> None:
    checked = certify(certificates / V2A / "promise")
    shown = [c for c in claims(reports[V2A]).values() if is_kept(c.verdict) or c.reason == "its premise is unreachable (proved)"]
    assert checked.confirmed
    assert checked.as_documented
    assert (checked.promises, checked.claims) == (tuple(id for id in ALL if id != "P1"), len(shown))
    assert set(checked.impossible) >= {"planned_failover", "accept_former_source"}


def test_a_claim_that_the_actions_it_names_satisfy_as_written_is_no_proof(reports: dict[str, ProofReport]) -> None:
    told = {name: c.verdict for name, c in claims(reports[H2S]).items()}
    assert told["P2 what was received is reported"] is Verdict.BY_CONSTRUCTION
    assert told["P2 the content is exactly the prefix at the point"] is Verdict.PROVED
    assert told["P3 the epoch only grows, and grows with every change of authority"] is Verdict.BY_CONSTRUCTION


def test_a_premise_that_is_proved_unreachable_makes_a_claim_not_applicable() -> None:
    report = prove(load_topology("hyper-v-vmm-to-azure"), ["P12"])
    told = claims(report)["P12 at recovery, replication goes in reverse"]
    assert (told.verdict, told.reason) == (Verdict.NOT_APPLICABLE, "its premise is unreachable (proved)")
    assert report.promises[0].verdict is Verdict.PROVED


def test_a_premise_that_was_never_reached_leaves_a_claim_undetermined(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_args: object, **_more: object) -> HornResult:
        return HornResult(None, "not asked", 0.0)

    known = [lemma for lemma in LEVEL.lemmas if lemma.name != "nothing_follows_at_recovery"]
    monkeypatch.setattr("siteproof.model.prove.level", lambda _id: attrs.evolve(LEVEL, lemmas=tuple(known)))
    for place in ("prove", "premises"):
        monkeypatch.setattr(f"siteproof.model.{place}.infer", nothing)
        monkeypatch.setattr(f"siteproof.model.{place}.absences", lambda _model: [])
    monkeypatch.setattr("siteproof.model.prove.DEEP_STATES", 1_000)
    outcome = prove_model(model_of("hyper-v-vmm-to-azure"), ["P12"])
    told = {c.name: c for c in outcome.promises[0].claims}["at recovery, replication goes in reverse"]
    assert told.verdict is Verdict.UNDETERMINED
    assert told.reason == "its premise was never reached in at most 1 write, 2 failovers, 1 cached: it may say nothing"
    assert outcome.promises[0].verdict is Verdict.UNDETERMINED
    assert outcome.proved == ()


def test_the_verdict_of_a_promise_is_the_worst_of_its_claims() -> None:
    order = [Verdict.REFUTED, Verdict.UNDETERMINED, Verdict.PROVED, Verdict.BY_CONSTRUCTION, Verdict.NOT_APPLICABLE]
    assert [worst(order[at:][::-1]) for at in range(5)] == order


def test_a_claim_that_does_not_apply_says_which_facts_make_it_so(reports: dict[str, ProofReport]) -> None:
    told = claims(reports[V2A])["P1 every acknowledged write is on the new side"]
    assert told.verdict is Verdict.NOT_APPLICABLE
    assert told.reason == "forward.planned_failover = false, reverse.planned_failover = false"


def test_a_report_turns_into_json() -> None:
    raw = cattrs.Converter().unstructure(prove(load_topology(H2S), among=["alarm"]))
    assert raw["promises"][0]["verdict"] == "proved"
    assert raw["overrides"] == {}


def test_only_the_promises_that_are_asked_for() -> None:
    told: list[str] = []
    report = prove(load_topology(H2S), ["P12"], on_progress=told.append)
    assert [p.id for p in report.promises] == ["P12"]
    assert report.promises[0].certificate is None
    assert "walking" in told
    assert any(line.startswith("induction round 1: ") for line in told)


def test_an_unknown_promise_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match=r"the promise P99; expected one of P1, P2, P3"):
        prove(load_topology(H2S), ["P99"])


@soak
def test_a_what_if_that_allows_reversal_before_commit_loses_p7_with_the_shortest_trace() -> None:
    both = what_if(load_topology(H2S), {"reverse.requires_commit": False})
    assert both.lost == ("P1", "P2", "P4", "P7", "P21")
    assert both.gained == ()
    assert both.after.overrides == {"reverse.requires_commit": False}
    told = claims(both.after)["P7 until commit the old side's disk is not overwritten"]
    assert told.verdict is Verdict.REFUTED
    assert told.trace is not None
    assert told.trace.shortest
    assert [step.action for step in told.trace.steps][-2:] == ["reverse_replicate", "copy_base"]
    assert len(told.trace.steps) == 9
    assert "at the other side is 1, the number of writes at the other side afterwards is 0" in told.trace.conclusion
    others = {p.id for p in both.after.promises if p.level == "promise" and is_kept(p.verdict)}
    assert others == set(ALL) - {*both.lost, "P13"}


@soak
def test_a_claim_that_nobody_can_settle_in_time_is_undetermined_with_the_reason() -> None:
    outcome = prove_model(model_of(V2A, ("reverse.ships_content", False)), ["P20"], time_limit=4.0)
    verdicts = {c.verdict for c in outcome.promises[0].claims}
    assert verdicts <= {Verdict.REFUTED, Verdict.UNDETERMINED}
    for claim in outcome.promises[0].claims:
        if claim.verdict is Verdict.UNDETERMINED:
            assert "plain induction: not preserved by" in claim.reason
            assert "time limit" in claim.reason or "no counterexample" in claim.reason


@soak
def test_a_counterexample_too_deep_for_the_first_search_is_found_by_a_deeper_one() -> None:
    mutant = without_change(model_of(V2A), "switch_unplanned", "loss_known")
    outcome = prove_model(mutant, ["P2"], time_limit=60.0)
    told = {c.name: c for c in outcome.promises[0].claims}["no loss is reported before the old side was contacted"]
    assert told.verdict is Verdict.REFUTED
    assert told.trace is not None
    assert len(told.trace.steps) == 14


@pytest.mark.parametrize(("flow", "impossible"), [
    (V2A, {"planned_failover", "accept_former_source", "flush_before_stop", "stop_source", "switch_planned",
           "fail_planned", "fail_planned_restarting", "leak_test_write"}),
    (H2S, {"accept_former_source", "leak_test_write", "complete_migration", "fail_gateway", "heal_gateway"}),
])
def test_every_action_is_taken_or_known_not_to_be(flow: str, impossible: set[str]) -> None:
    rows = {row.action: row for row in witnesses(model_of(flow))}
    assert set(rows) == {a.name for a in model_of(flow).actions}
    assert {name for name, row in rows.items() if row.trace is None} == impossible
    taken = rows["reverse_replicate"].trace
    assert taken is not None
    assert taken.steps[-1].action == "reverse_replicate"
    assert rows["accept_former_source"].impossible
    assert all(row.reason for row in rows.values() if row.trace is None)


def test_values_are_frozen(reports: dict[str, ProofReport]) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        reports[V2A].seconds = 0.0  # type: ignore[misc]


def test_what_a_solver_does_not_confirm_is_undetermined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def doubts(text: str, _seconds: float) -> Answer:
        return Answer("sat") if "step-crash" in text else ask_cvc5(text)

    monkeypatch.setattr("siteproof.model.engines.certificate.ask_cvc5", doubts)
    report = prove(load_topology(V2A), ["P16"], certificate_dir=tmp_path / "proofs", among=["requests"])
    (row,) = report.promises
    assert row.verdict is Verdict.UNDETERMINED
    assert row.confirmed_by == ()
    assert {claim.verdict for claim in row.claims} == {Verdict.UNDETERMINED}
    assert "cvc5" in row.claims[0].reason
    assert "says sat" in row.claims[0].reason


def test_one_solver_alone_confirms_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("siteproof.model.engines.certificate.cvc5_version", lambda: "")
    (row,) = prove(load_topology(V2A), ["P16"], certificate_dir=tmp_path / "proofs", among=["requests"]).promises
    assert (row.verdict, row.confirmed_by) == (Verdict.UNDETERMINED, ())
    assert "cvc5 is not installed" in row.claims[0].reason
