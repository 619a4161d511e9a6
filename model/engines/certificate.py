"""Certificates: a proof that can be checked again by somebody who trusts neither this run nor one solver.

Rules
1. A certificate is a folder: `manifest.json`, the topology as it was read (`topology.toml`), the shared invariant
   (`invariant.smt2`) and one SMT-LIB 2 file for each obligation. Nothing in it points outside.
2. Checking believes the folder in three things only: the *choice* of the invariant, which promises it speaks of, and which
   hypotheses an obligation needs. Everything else is derived anew: the model from the topology, every applicable claim of those
   promises from the model, the obligations from model, claims and invariant; they have to be in the folder, all of them. So a
   claim or an obligation that was left out, made trivial or taken from another model is refused before a solver is asked.
3. An obligation's file says which of its hypotheses it asserts, by their names. Each has to be one that was derived, and the
   whole file, goal included, has to be to the byte what these give: fewer hypotheses prove more, another one would prove
   anything, and of the goal nothing may be missing. What an action does not change needs no hypothesis; that rule and its
   reason are in `siteproof.model.readings.smt` (5) and `siteproof.model.engines.obligations` (3), and which conjuncts a
   consecution asks about is derived by it, too. Names come from a safe alphabet: none can end a comment or a symbol.
4. Then each obligation has to be unsatisfiable for a fresh z3 and for cvc5, both reading the file's text. `sat` and
   `unknown` of either mean: not confirmed; so does a solver that is not installed, since one alone confirms nothing.
5. The invariant has to hold initially and so be satisfiable, and it is told which actions are impossible under it: a
   proof about nothing is not a proof.
6. It is told which facts are overridden, and whether the topology is the built-in one of its id: a proof about another
   system is not a proof about this one.

What is trusted: the model and the claims (for people to read), the printer of `siteproof.model.readings.smt`, two
solvers.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import z3

from siteproof.model.claims import Promise
from siteproof.model.engines.induction import impossible_actions
from siteproof.model.engines.obligations import Goal, Obligation, Proof, goals_of
from siteproof.model.engines.slices import needed
from siteproof.model.engines.solvers import Answer, ask_cvc5, ask_z3, cvc5_version, z3_version
from siteproof.model.errors import SiteproofError, one_line
from siteproof.model.levels import level, level_ids
from siteproof.model.readings import smt
from siteproof.model.readings.smt import Named
from siteproof.model.system import Model
from siteproof.model.topology import Topology, builtin_topologies, load_topology, parse_topology

__all__ = ["BUILT_IN", "DIFFERS", "FORMAT", "OWN", "CertificateError", "CertificateReport", "certify", "model_digest",
           "write_certificate"]

FORMAT = 4
MANIFEST, TOPOLOGY, INVARIANT, FOLDER = "manifest.json", "topology.toml", "invariant.smt2", "obligations"

BUILT_IN = "the built-in topology"
DIFFERS = "differs from the built-in topology of that id"
OWN = "no built-in topology has that id"

Progress = Callable[[str], None]


class CertificateError(SiteproofError):
    """A certificate that is refused before a solver is asked: damaged, incomplete, or of another model."""

    exit_code = 4

    def __init__(self, file: str, found: str, expected: str, mend: str) -> None:
        super().__init__(file, found, expected, mend)
        self.file, self.found, self.expected, self.mend = file, found, expected, mend

    def __str__(self) -> str:
        return one_line(f"certificate refused: {self.file}: found {self.found}; expected {self.expected}; "
                        f"to mend: {self.mend}")


@attrs.frozen
class CertificateReport:
    """The outcome of a check. `source` says whether the embedded topology is a built-in one; `overrides` are the facts that
    were changed since. `unconfirmed` names each obligation that a solver did not confirm, with the answer; `impossible` the
    actions that can never be taken under the invariant; `of` the topology as it was read from the folder, with its overrides."""

    folder: str
    topology: str
    title: str
    level: str
    source: str
    overrides: dict[str, bool]
    promises: tuple[str, ...]
    claims: int
    obligations: int
    confirmed_by: tuple[str, ...]
    unconfirmed: tuple[str, ...]
    impossible: tuple[str, ...]
    seconds: float
    of: Topology = attrs.field(repr=False)

    @property
    def confirmed(self) -> bool:
        """Whether every obligation was confirmed by both solvers."""
        return not self.unconfirmed and bool(self.confirmed_by)

    @property
    def as_documented(self) -> bool:
        """Whether it is about a built-in flow without any change."""
        return self.source == BUILT_IN and not self.overrides


_AGAIN = "write the certificate anew with `siteproof prove`"


# ------------------------------------------------------------------------------------------------------------ writing


def model_digest(model: Model, goals: Iterable[Goal]) -> str:
    """A digest of what was proved about what: variables, initial state, actions (what they leave alone is what they do not name)
    and claims, as SMT-LIB text."""
    rows = [*smt.initial(model), *smt.typing(model), *(goal.said for goal in goals)]
    lines = [f"{row.name} {row.text}" for row in rows]
    for action in model.actions:
        lines += [f"{action.name} {row.name} {row.text}" for row in smt.relation(model, action)]
    return _sha(("\n".join(lines)).encode())


def write_certificate(folder: Path, topology: Topology, model: Model, invariant: Sequence[Named],
                      goals: Sequence[Goal]) -> list[Obligation]:
    """Write the certificate that `invariant` proves `goals`: all claims of some promises that apply in `topology`.

    `folder` must not exist, be empty, or hold a certificate of ours, which is replaced. Raises `CertificateError`
    otherwise.
    """
    proof = Proof(model, tuple(invariant))
    rows = proof.obligations(goals)
    files = {TOPOLOGY: topology.text, INVARIANT: _invariant_text(model, invariant)}
    used = needed(proof, rows)
    _prepare(folder)
    files |= {_file(one): one.script(model, used[one.name]) for one in rows}
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())
    manifest = {
        "format": FORMAT,
        "topology": {"id": topology.id, "title": topology.title, "file": TOPOLOGY,
                     "sha256": _sha(topology.text.encode())},
        "overrides": dict(topology.overrides),
        "level": model.level,
        "model_sha256": model_digest(model, goals),
        "invariant": {"file": INVARIANT, "sha256": _sha(files[INVARIANT].encode()),
                      "conjuncts": [row.name for row in invariant]},
        "promises": list(dict.fromkeys(goal.promise.id for goal in goals)),
        "claims": [{"key": goal.key, "promise": goal.promise.id, "claim": goal.built.name,
                    "kind": "step" if goal.claim.is_step else "invariant"} for goal in goals],
        "obligations": [{"name": one.name, "kind": one.kind, "action": one.action.name if one.action else None,
                         "claims": list(one.claims), "file": _file(one), "sha256": _sha(files[_file(one)].encode())}
                        for one in rows],
        "solvers": [name for name in (z3_version(), cvc5_version()) if name],
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return rows


def _prepare(folder: Path) -> None:
    """An empty place for a certificate: nothing but an earlier certificate is ever removed."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / MANIFEST).is_file():
            raise CertificateError(str(folder), "something that is not a certificate", "an empty or absent folder",
                                   "choose another folder")
        for path in (*(folder / FOLDER).glob("*.smt2"), folder / INVARIANT, folder / TOPOLOGY, folder / MANIFEST):
            path.unlink(missing_ok=True)
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)


def _file(obligation: Obligation) -> str:
    return f"{FOLDER}/{obligation.name}.smt2"


def _invariant_text(model: Model, invariant: Sequence[Named]) -> str:
    comment = [f"inductive invariant of {model.name}, level {model.level}: one assert a conjunct; satisfiable"]
    return smt.script(model, (), invariant, comment)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# ----------------------------------------------------------------------------------------------------------- checking


def certify(folder: Path | str, progress: Progress | None = None, *,
            seconds_per_query: float = 300.0) -> CertificateReport:
    """Check a certificate from its files alone. Raises `CertificateError` when it is refused (rule 2), `SpecError` when
    its topology is wrong; a solver that does not confirm is told in the report."""
    began = time.perf_counter()
    folder = Path(folder)
    manifest, texts = _read(folder)
    topology = _topology(manifest, texts[TOPOLOGY])
    of = level(manifest["level"])
    model = of.build(topology.id, topology.facts)
    goals = _claims(manifest, model, of.promises)
    if manifest["model_sha256"] != model_digest(model, goals):
        raise CertificateError(MANIFEST, "the digest of another model", "that of the model which is installed",
                               f"the model or its claims have changed since this certificate was written; {_AGAIN}")
    invariant = _invariant(manifest, model, texts[INVARIANT])
    rows = Proof(model, tuple(invariant)).obligations(goals)
    _compare(manifest, model, rows, texts)
    if progress:
        progress(f"{folder.name}: {len(rows)} obligations derived anew and found complete")
    apart = z3.Context()
    solvers: dict[str, Callable[[str, float], Answer]] = {
        z3_version(): lambda text, seconds: ask_z3(text, seconds, apart)}
    if cvc5_version():
        solvers[cvc5_version()] = ask_cvc5
    unconfirmed = [] if cvc5_version() else ["cvc5 is not installed, and one solver alone confirms nothing: install cvc5"]
    for name, ask in solvers.items():
        expected = [(INVARIANT, "sat"), *((_file(one), "unsat") for one in rows)]
        for number, (file, answer) in enumerate(expected, start=1):
            said = ask(texts[file], seconds_per_query)
            if said.answer != answer:
                why = f" ({said.reason})" if said.reason else ""
                unconfirmed.append(f"{file}: {name} says {said.answer}{why}, expected {answer}")
            if progress and number % 25 == 0:
                progress(f"{folder.name}: {name}: {number} of {len(expected)}")
    refusing = tuple(name for name in solvers if not any(f": {name} says" in row for row in unconfirmed))
    impossible = impossible_actions(model, invariant)
    return CertificateReport(
        str(folder), topology.id, topology.title, model.level, _source(topology), dict(topology.overrides),
        tuple(dict.fromkeys(goal.promise.id for goal in goals)), len(goals), len(rows), refusing, tuple(unconfirmed),
        impossible, time.perf_counter() - began, topology)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The manifest, and the text of every file that it names, each with the digest that it names."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except OSError:
        raise CertificateError(str(folder), f"no {MANIFEST}", "the folder of a certificate",
                               "name the folder that `siteproof prove` wrote") from None
    except ValueError as error:
        found = f"text that is not JSON ({error})"
        raise CertificateError(MANIFEST, found, "the manifest as written", _AGAIN) from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        number = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise CertificateError(MANIFEST, f"format {number}", f"format {FORMAT}",
                               f"use the siteproof that wrote it, or {_AGAIN}")
    texts: dict[str, str] = {}
    try:
        entries = [manifest["topology"], manifest["invariant"], *manifest["obligations"]]
        for entry in entries:
            texts[entry["file"]] = _text(folder, entry["file"], entry["sha256"])
        required = (manifest["overrides"], manifest["level"], manifest["model_sha256"], manifest["claims"],
                    manifest["promises"])
    except (KeyError, TypeError) as error:
        raise CertificateError(MANIFEST, f"no {error}", f"the keys of format {FORMAT}", _AGAIN) from None
    if manifest["level"] not in level_ids() or not isinstance(required[0], dict) or {TOPOLOGY, INVARIANT} - texts.keys():
        raise CertificateError(MANIFEST, "another level or other files",
                               f"one of the levels {', '.join(level_ids())}, {TOPOLOGY} and {INVARIANT}", _AGAIN)
    return manifest, texts


def _text(folder: Path, name: str, digest: str) -> str:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CertificateError(MANIFEST, f"the file name {name}", "a file inside the folder", _AGAIN)
    try:
        data = path.read_bytes()
    except OSError:
        raise CertificateError(name, "no such file", "the file that the manifest names",
                               f"restore it, or {_AGAIN}") from None
    if _sha(data) != digest:
        raise CertificateError(name, f"sha256 {_sha(data)[:12]}…", f"{str(digest)[:12]}… as in the manifest",
                               "the file was changed; restore it, or " + _AGAIN)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise CertificateError(name, "bytes that are not UTF-8", "text", _AGAIN) from None


def _topology(manifest: Mapping[str, Any], text: str) -> Topology:
    topology = parse_topology(text, TOPOLOGY)
    if topology.id != manifest["topology"].get("id"):
        raise CertificateError(TOPOLOGY, f"the topology {topology.id}", str(manifest["topology"].get("id")), _AGAIN)
    return topology.with_facts(manifest["overrides"]) if manifest["overrides"] else topology


def _source(topology: Topology) -> str:
    """Whether the embedded text is a built-in topology, one that goes by the id of one, or a user's own."""
    if topology.id not in builtin_topologies():
        return OWN
    return BUILT_IN if load_topology(topology.id).text == topology.text else DIFFERS


def _claims(manifest: Mapping[str, Any], model: Model, promises: Sequence[Promise]) -> list[Goal]:
    """Every claim of the promises that the manifest names which applies in the model; the manifest has to list them all."""
    known, named = {promise.id: promise for promise in promises}, manifest["promises"]
    if not isinstance(named, list) or not named:
        raise CertificateError(MANIFEST, "no promise", "at least one", _AGAIN)
    for name in named:
        if not isinstance(name, str) or name not in known or named.count(name) > 1:
            raise CertificateError(MANIFEST, f"the promise {name}", f"each once, of {', '.join(known)}", _AGAIN)
    listed = [entry.get("key") if isinstance(entry, dict) else None for entry in manifest["claims"]]
    goals = [goal for goal in goals_of(model, [known[name] for name in named]) if goal.built.applies]
    derived = [goal.key for goal in goals]
    if strange := [key for key in listed if key not in derived]:
        raise CertificateError(
            MANIFEST, f"the claim {strange[0]}", "a claim that the promises of the manifest have and that applies",
            f"the model or its claims have changed since this certificate was written; {_AGAIN}")
    if missing := [key for key in derived if key not in listed]:
        raise CertificateError(
            MANIFEST, f"{missing[0].partition('.')[0]} without its claim {missing[0]}",
            "every applicable claim of each promise that it names",
            f"a promise is kept when all its claims are; {_AGAIN}")
    if silent := [name for name in named if name not in {goal.promise.id for goal in goals}]:
        raise CertificateError(MANIFEST, f"the promise {silent[0]}", "promises of which a claim applies", _AGAIN)
    return goals


def _invariant(manifest: Mapping[str, Any], model: Model, text: str) -> list[Named]:
    """The invariant as the certificate states it, read by the solver and required to print to the same text."""
    names = manifest["invariant"].get("conjuncts", [])
    for name in names if isinstance(names, list) else (names,):
        if not isinstance(name, str) or not smt.is_safe(name) or names.count(name) > 1:
            raise CertificateError(MANIFEST, f"a conjunct called {one_line(repr(name))[:60]}",
                                   "names of letters, digits, spaces and _ . ' : -, each once", _AGAIN)
    try:
        nodes = list(z3.parse_smt2_string(text))
        rows = [Named(name, node) for name, node in zip(names, nodes, strict=True)]
        present = all(row.symbols <= set(model.names) and model.speaks_of_few(row.node) for row in rows)
        if present and _invariant_text(model, rows) == text:
            return rows
    except (z3.Z3Exception, ValueError):
        pass
    raise CertificateError(INVARIANT, "text that does not read as the conjuncts of the manifest",
                           "one assert a conjunct over the model's variables, of one state and of fewer machines than the"
                           " model names, if it names any", _AGAIN)


def _compare(manifest: Mapping[str, Any], model: Model, rows: Sequence[Obligation], texts: Mapping[str, str]) -> None:
    """The obligations of the folder are the ones that have to be shown: all of them, to the byte."""
    listed = {entry["file"] for entry in manifest["obligations"]}
    derived = {_file(one): one for one in rows}
    if missing := [name for name in derived if name not in listed]:
        raise CertificateError(missing[0], f"{len(listed)} obligations, this one not among them",
                               f"{len(derived)}: initiation, every action of each machine, every claim", _AGAIN)
    if strange := sorted(listed - derived.keys()):
        raise CertificateError(strange[0], "an obligation that the model does not ask for",
                               f"the {len(derived)} that it does", _AGAIN)
    for name, one in derived.items():
        asserted = _asserted(texts[name])
        if strange := sorted(asserted - {row.name for row in one.hypotheses}):
            raise CertificateError(name, f"the hypothesis {one_line(strange[0])[:60]}",
                                   "only what the model and the invariant give this obligation",
                                   f"the certificate was tampered with, or the invariant was exchanged; {_AGAIN}")
        if texts[name] != one.script(model, asserted):
            raise CertificateError(name, "another formula than the model and the invariant ask for",
                                   "the obligation as derived anew, with the hypotheses that it names",
                                   f"the certificate was tampered with, or the invariant was exchanged; {_AGAIN}")


_HYPOTHESIS = re.compile(r"^\(assert \(! .* :named (?:\|c\.([^|\n]*)\||c\.([^|\s]*))\)\)$", re.MULTILINE)


def _asserted(text: str) -> set[str]:
    """The names of the hypotheses that a script asserts, as it says; whether they are what they say is for the caller."""
    return {quoted or plain for quoted, plain in _HYPOTHESIS.findall(text)} - {"goal"}
