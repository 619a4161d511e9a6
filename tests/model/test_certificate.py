"""Certificates: confirmed by two solvers when whole; refused, with one clear line, when anything is wrong with them."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import z3

from siteproof.model.engines.certificate import (
    BUILT_IN,
    DIFFERS,
    OWN,
    CertificateError,
    CertificateReport,
    certify,
    write_certificate,
)
from siteproof.model.engines.completeness import absent
from siteproof.model.engines.induction import induct
from siteproof.model.engines.obligations import Goal, goals_of, invariant_candidates
from siteproof.model.engines.solvers import ask_cvc5, ask_z3
from siteproof.model.errors import SiteproofError
from siteproof.model.levels import level, levels
from siteproof.model.mutation import without_guard
from siteproof.model.readings import smt
from siteproof.model.readings.smt import Named
from siteproof.model.topology import Topology, load_topology

from .proving import H2S, candidates, goals, model_of


def some(promise: str = "P12") -> list[Goal]:
    return [goal for goal in goals(model_of(H2S)) if goal.promise.id == promise]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of one promise: small, so that it can be damaged often."""
    folder = tmp_path_factory.mktemp("certificates") / H2S
    model = model_of(H2S)
    write_certificate(folder, load_topology(H2S), model, candidates(model), some())
    return folder


@pytest.fixture
def certificate(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), "utf-8")


def rewrite(folder: Path, name: str, text: str) -> None:
    """Change a file and mend the manifest's digest, as somebody would who means it."""
    (folder / name).write_bytes(text.encode())

    def mend(manifest: dict[str, Any]) -> None:
        for entry in [manifest["topology"], manifest["invariant"], *manifest["obligations"]]:
            if entry["file"] == name:
                entry["sha256"] = hashlib.sha256(text.encode()).hexdigest()

    change_manifest(folder, mend)


def test_a_whole_certificate_is_confirmed_by_both_solvers(whole: Path) -> None:
    told: list[str] = []
    report = certify(whole, told.append)
    assert report.confirmed
    assert report.unconfirmed == ()
    assert [name.split()[0] for name in report.confirmed_by] == ["z3", "cvc5"]
    assert (report.topology, report.level, report.promises, report.claims) == (H2S, "promise", ("P12",), 3)
    model = model_of(H2S)
    assert report.obligations == 1 + len(model.actions) + 1 + 3
    assert "accept_former_source" in report.impossible
    assert any("derived anew" in line for line in told)


def test_a_certificate_is_the_same_bytes_each_time(whole: Path, tmp_path: Path) -> None:
    model = model_of(H2S)
    write_certificate(tmp_path / "again", load_topology(H2S), model, candidates(model), some())
    for path in sorted(whole.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(whole)).read_bytes()


MET_BEFORE = """
import random, sys, z3
from siteproof.model.engines.certificate import model_digest
from siteproof.model.engines.obligations import goals_of
from siteproof.model.levels import level, levels
from siteproof.model.topology import load_topology

chance, kept = random.Random(int(sys.argv[1])), []
names = {name: is_flag for name, is_flag in (row.split("=") for row in sys.argv[2].split(","))}
for name in sorted(names, key=lambda _: chance.random()):
    if names[name] == "flag":
        kept.append(z3.Not(z3.Bool(name)))
    else:
        kept += [z3.Int(name) == value for value in chance.sample(range(14), 14)]
for one in ("promise", "protocol"):
    model = level(one).build("hyper-v-to-secondary-site", load_topology("hyper-v-to-secondary-site").facts)
    print(model_digest(model, [goal for goal in goals_of(model, level(one).promises) if goal.built.applies]))
"""


def test_a_certificate_is_about_the_same_model_whatever_the_solver_met_before_it() -> None:
    variables = {v.name: v.domain.of is bool for one in ("promise", "protocol")
                 for v in level(one).build(H2S, load_topology(H2S).facts).variables}
    names = ",".join(f"{name}={'flag' if flag else 'number'}" for name, flag in variables.items())
    run = [sys.executable, "-c", MET_BEFORE]
    told = {subprocess.run([*run, str(seed), names], check=True, capture_output=True, text=True).stdout for seed in range(3)}
    assert len(told) == 1


def test_what_a_set_of_certificates_leaves_out_is_told(whole: Path) -> None:
    missing = {(row.level, row.promise) for row in absent([certify(whole)])}
    expected = {(of.id, promise.id) for of in levels() if of.applies(load_topology(H2S).facts) for promise in of.promises
                if any(goal.built.applies for goal in goals_of(of.build(H2S, load_topology(H2S).facts), [promise]))}
    assert missing == expected - {("promise", "P12")}
    assert ("promise", "P12") in expected


def test_certificates_of_different_systems_do_not_complete_each_other(whole: Path, tmp_path: Path) -> None:
    other = load_topology(H2S).with_facts({"test.isolated": False})
    model = level("promise").build(other.id, other.facts)
    write_certificate(tmp_path / "other", other, model, candidates(model),
                      [goal for goal in goals(model) if goal.promise.id == "P11"])
    missing = [row.promise for row in absent([certify(whole), certify(tmp_path / "other")]) if row.level == "promise"]
    assert missing.count("P11") == 1
    assert missing.count("P12") == 1


def test_a_flipped_byte_is_refused(certificate: Path) -> None:
    path = certificate / "obligations" / "consecution-write.smt2"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CertificateError, match=r"consecution-write.smt2: found sha256 .*the file was changed"):
        certify(certificate)


@pytest.mark.parametrize("name", ["topology.toml", "invariant.smt2", "obligations/initiation.smt2"])
def test_a_file_that_is_gone_is_refused(certificate: Path, name: str) -> None:
    (certificate / name).unlink()
    with pytest.raises(CertificateError, match=f"{name}: found no such file"):
        certify(certificate)


@pytest.mark.parametrize("name", ["consecution-write", "initiation", "interference",
                                  "safety-P12.at-primary-replication-goes-forward"])
def test_an_obligation_that_is_left_out_is_refused(certificate: Path, name: str) -> None:
    def drop(manifest: dict[str, Any]) -> None:
        manifest["obligations"] = [entry for entry in manifest["obligations"] if entry["name"] != name]

    change_manifest(certificate, drop)
    (certificate / "obligations" / f"{name}.smt2").unlink()
    with pytest.raises(CertificateError, match=rf"{name}.smt2: found \d+ obligations, .* expected \d+: initiation, every"):
        certify(certificate)


def test_an_invariant_that_assumes_something_of_the_step_is_refused(tmp_path: Path) -> None:
    """A conjunct about the next state would be a hypothesis of the proof and no invariant."""
    smuggled = Named("smuggled", z3.Or(z3.Int("head") == 0, z3.Int("head") == z3.Int("head'")))
    write_certificate(tmp_path / "c", load_topology(H2S), model_of(H2S), [smuggled], some())
    with pytest.raises(CertificateError, match="of one state"):
        certify(tmp_path / "c")


def test_a_trivially_unsatisfiable_obligation_is_refused(certificate: Path) -> None:
    rewrite(certificate, "obligations/consecution-write.smt2", "(set-logic QF_LIA)\n(assert false)\n(check-sat)\n")
    with pytest.raises(CertificateError, match=r"consecution-write.smt2: found another formula"):
        certify(certificate)


def lines_of(folder: Path, name: str) -> list[str]:
    return (folder / name).read_text("utf-8").splitlines(keepends=True)


@pytest.mark.parametrize(("row", "found"), [
    ("(assert (! false :named c.mine))", "the hypothesis mine"),
    ("(assert (! (= head 0) :named |c.lemma.prefix_passive'|))", "the hypothesis lemma.prefix_passive'"),
    ("(assert (! (not (not false)) :named c.goal))", "another formula"),
    ("(assert false)", "another formula"),
])
def test_a_hypothesis_that_is_not_derived_is_refused(certificate: Path, row: str, found: str) -> None:
    name = "obligations/consecution-write.smt2"
    lines = lines_of(certificate, name)
    first = next(at for at, line in enumerate(lines) if line.startswith("(assert"))
    rewrite(certificate, name, "".join([*lines[:first], row + "\n", *lines[first:]]))
    with pytest.raises(CertificateError, match=f"consecution-write.smt2: found {found}"):
        certify(certificate)


def test_a_hypothesis_of_another_content_is_refused(certificate: Path) -> None:
    name = "obligations/consecution-write.smt2"
    lines = lines_of(certificate, name)
    at = next(at for at, line in enumerate(lines) if ":named c.effect." in line)
    lines[at] = "(assert (! false :named " + lines[at].partition(":named ")[2]
    rewrite(certificate, name, "".join(lines))
    with pytest.raises(CertificateError, match=r"consecution-write.smt2: found another formula"):
        certify(certificate)


def test_a_goal_that_misses_a_conjunct_is_refused(certificate: Path) -> None:
    name = "obligations/consecution-write.smt2"
    lines = lines_of(certificate, name)
    at = next(at for at, line in enumerate(lines) if line.endswith(":named c.goal))\n"))
    assert lines[at].startswith("(assert (! (not (and (")
    first, _, rest = lines[at].removeprefix("(assert (! (not (and ").partition(") ")
    assert first.count("(") == 1
    lines[at] = "(assert (! (not (and " + rest
    rewrite(certificate, name, "".join(lines))
    with pytest.raises(CertificateError, match=r"consecution-write.smt2: found another formula"):
        certify(certificate)


def test_files_assert_only_what_they_need_and_less_is_not_confirmed(certificate: Path) -> None:
    name = "obligations/consecution-write.smt2"
    lines = lines_of(certificate, name)
    rows = [line for line in lines if line.startswith("(assert") and "c.goal" not in line]
    model = model_of(H2S)
    assert 0 < len(rows) < len(candidates(model)) / 2
    gone = next(line for line in rows if ":named c.effect." in line)
    symbols = {symbol for line in lines if line != gone for symbol in line.replace("(", " ").replace(")", " ").split()}
    kept = [line for line in lines if line != gone]
    assert all(line.split()[1] in symbols for line in kept if line.startswith("(declare"))
    rewrite(certificate, name, "".join(kept))
    told = certify(certificate).unconfirmed
    assert [row.partition(":")[0] for row in told] == [name, name]
    assert all("says sat, expected unsat" in row for row in told)


def test_a_conjunct_that_no_action_touches_still_has_to_hold_at_the_start(tmp_path: Path) -> None:
    """Nothing but initiation asks about a conjunct that speaks of no variable which an action writes."""
    model = model_of(H2S)
    untouched = Named("untouched", z3.IntVal(1) <= z3.IntVal(0))
    write_certificate(tmp_path / "c", load_topology(H2S), model, [untouched], some())
    files = sorted((tmp_path / "c" / "obligations").glob("*.smt2"))
    assert [path.name for path in files if "consecution" in path.name] == []
    report = certify(tmp_path / "c")
    assert any(row.startswith("obligations/initiation.smt2") and "says sat" in row for row in report.unconfirmed)
    assert report.confirmed_by == ()


def test_an_exchanged_invariant_is_refused(certificate: Path) -> None:
    lines = (certificate / "invariant.smt2").read_text("utf-8").splitlines(keepends=True)
    gone = next(line for line in lines if "lemma.prefix_passive" in line)
    rewrite(certificate, "invariant.smt2", "".join(line for line in lines if line != gone))
    with pytest.raises(CertificateError, match=r"invariant.smt2: found text that does not read"):
        certify(certificate)
    change_manifest(certificate, lambda m: m["invariant"]["conjuncts"].remove("lemma.prefix_passive"))
    with pytest.raises(CertificateError, match=r"initiation.smt2: found another formula"):
        certify(certificate)


def test_a_false_invariant_is_refused_by_both_solvers(tmp_path: Path) -> None:
    model = model_of(H2S)
    weak = [row for row in candidates(model) if row.name != "lemma.prefix_passive"]
    write_certificate(tmp_path / "weak", load_topology(H2S), model, weak, some())
    report = certify(tmp_path / "weak")
    assert not report.confirmed
    assert report.confirmed_by == ()
    assert any(row.startswith("obligations/consecution-") and "z3" in row and "says sat, expected unsat" in row
               for row in report.unconfirmed)
    assert any("cvc5" in row and "says sat, expected unsat" in row for row in report.unconfirmed)


def test_an_invariant_that_nothing_satisfies_is_refused(tmp_path: Path) -> None:
    model = model_of(H2S)
    nothing = Named("lemma.none", z3.Int("head") < z3.Int("head"))
    write_certificate(tmp_path / "false", load_topology(H2S), model, [nothing], some())
    report = certify(tmp_path / "false")
    assert not report.confirmed
    assert any(row.startswith("invariant.smt2") and "says unsat, expected sat" in row for row in report.unconfirmed)
    assert any(row.startswith("obligations/initiation.smt2") for row in report.unconfirmed)


def test_a_certificate_of_another_model_is_told_as_such(tmp_path: Path) -> None:
    other = without_guard(model_of(H2S), "switch_planned", 5)
    write_certificate(tmp_path / "other", load_topology(H2S), other, candidates(other), some())
    with pytest.raises(CertificateError, match="have changed since this certificate was written"):
        certify(tmp_path / "other")


def test_an_unknown_claim_is_told_as_a_change_of_the_model(certificate: Path) -> None:
    change_manifest(certificate, lambda m: m["claims"][0].update(key="P12.something-else"))
    with pytest.raises(CertificateError, match=r"P12.something-else.*have changed since"):
        certify(certificate)


def test_a_promise_without_one_of_its_claims_is_refused(tmp_path: Path) -> None:
    """The false claims of a changed flow are left out, and everything else of it is proved."""
    model = model_of(H2S)
    write_certificate(tmp_path / "part", load_topology(H2S), model, candidates(model), some()[1:])
    with pytest.raises(CertificateError, match=r"found P12 without its claim P12.at-primary.*expected every applicable claim"):
        certify(tmp_path / "part")


@pytest.mark.parametrize(("promises", "message"), [
    ([], "found no promise"), (["P99"], "the promise P99"), (["P12", "P12"], "the promise P12; expected each once"),
    (["P12", "P20"], "P20 without its claim"), ("P12", "found no promise"),
])
def test_a_manifest_has_to_name_its_promises(certificate: Path, promises: object, message: str) -> None:
    change_manifest(certificate, lambda m: m.update(promises=promises))
    with pytest.raises(CertificateError, match=message):
        certify(certificate)


def test_what_a_certificate_is_about_is_told(tmp_path: Path) -> None:
    topology, of = load_topology(H2S), level("alarm")

    def about(name: str, it: Topology) -> CertificateReport:
        model = of.build(it.id, it.facts)
        claims = [goal for goal in goals_of(model, of.promises) if goal.built.applies]
        invariant = induct(model, invariant_candidates(model, of.lemmas, claims)).invariant
        write_certificate(tmp_path / name, it, model, invariant, claims)
        return certify(tmp_path / name)

    assert about("whole", topology).as_documented
    report = about("changed", topology.with_facts({"planned.drains": False}))
    assert (report.overrides, report.source, report.as_documented) == ({"planned.drains": False}, BUILT_IN, False)
    report = about("other", attrs.evolve(topology, text="# mine\n" + topology.text))
    assert (report.source, report.as_documented) == (DIFFERS, False)
    mine = attrs.evolve(topology, id="mine", text=topology.text.replace(f'id = "{H2S}"', 'id = "mine"'))
    assert about("mine", mine).source == OWN


@pytest.mark.parametrize("name", ["a\n(assert false)\n;", "a\r(assert false)", "a|b", "a\\", "", 7, "typing.head"])
def test_a_conjunct_with_an_unsafe_name_is_refused(certificate: Path, name: object) -> None:
    def rename(manifest: dict[str, Any]) -> None:
        manifest["invariant"]["conjuncts"][-1] = name

    change_manifest(certificate, rename)
    with pytest.raises(CertificateError, match=r"a conjunct called .*; expected names of letters") as raised:
        certify(certificate)
    assert "\n" not in str(raised.value)


def test_an_unsafe_name_is_never_written(tmp_path: Path) -> None:
    model = model_of(H2S)
    rows = [Named("a\n(assert false)", z3.Int("head") >= 0)]
    with pytest.raises(ValueError, match="only letters"):
        write_certificate(tmp_path / "bad", load_topology(H2S), model, rows, some())
    assert smt.script(model, (), (), ["a\n(assert false)"]).splitlines()[0] == "; a\\n(assert false)"


def test_a_conjunct_about_what_the_model_does_not_have_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="speaks of elsewhere, which the model does not declare"):
        write_certificate(tmp_path / "bad", load_topology(H2S), model_of(H2S), [Named("a", z3.Bool("elsewhere"))], some())


@pytest.mark.parametrize(("text", "message"), [
    ("{", "not JSON"), ("[]", "format list"), ("{}", "format None"), ('{"format": 1}', "format 1; expected format 4"),
    ('{"format": 4}', "expected the keys of format 4"),
])
def test_a_manifest_that_is_none_is_refused(certificate: Path, text: str, message: str) -> None:
    (certificate / "manifest.json").write_text(text, "utf-8")
    with pytest.raises(CertificateError, match=message) as raised:
        certify(certificate)
    assert isinstance(raised.value, SiteproofError)
    assert "\n" not in str(raised.value)


def test_a_folder_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"found no manifest.json"):
        certify(tmp_path)


def test_a_file_outside_the_folder_is_never_read(certificate: Path) -> None:
    outside = certificate.parent / "outside.smt2"
    outside.write_text("(check-sat)\n", "utf-8")
    change_manifest(certificate, lambda m: m["obligations"][0].update(file="../outside.smt2"))
    with pytest.raises(CertificateError, match="a file inside the folder"):
        certify(certificate)


def test_a_folder_with_other_things_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine", "utf-8")
    model = model_of(H2S)
    with pytest.raises(CertificateError, match="not a certificate"):
        write_certificate(tmp_path, load_topology(H2S), model, candidates(model), some())
    assert (tmp_path / "precious.txt").read_text("utf-8") == "mine"


@pytest.mark.parametrize("ask", [ask_z3, ask_cvc5])
def test_a_solver_that_cannot_tell_does_not_confirm(ask: Callable[..., Any]) -> None:
    assert ask("(set-logic QF_LIA)\n(assert true)\n(check-sat)\n").answer == "sat"
    assert ask("(set-logic QF_LIA)\n(assert false)\n(check-sat)\n").answer == "unsat"
    told = ask("(set-logic QF_LIA)\n(assert (= nothing 1))\n(check-sat)\n")
    assert told.answer == "unknown"
    assert told.reason
