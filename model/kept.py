"""What was found once and is kept, so that nobody has to look for it again: lemmas, and runs that break a promise.

Rules
1. It stands in `specs/kept.toml`, by level and by the precondition that is dropped (`siteproof.model.necessity`): lemmas that
   prove what is promised without it, or a run that breaks a promise. Lemmas are terms over the level's variables, as SMT-LIB
   writes them; a run is a list of actions with their arguments, coded as in the model.
2. Nothing of it is believed. Lemmas are candidates like any others: plain induction keeps those that are inductive in the model
   at hand and drops the others. A run is taken step by step, and counts only if a claim breaks. What is wrong or outdated costs a
   moment and shows nothing.
3. A lemma that speaks of a variable which the model of a flow does not have says nothing there, and is left out.

`siteproof prove --necessity --learn FILE` writes such a file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

import attrs
import z3

from siteproof.model.engines.search import Path
from siteproof.model.errors import Problem, SpecError
from siteproof.model.readings.smt import Named
from siteproof.model.system import Model

__all__ = ["Found", "Kept", "Key", "kept", "kept_in", "terms_of", "written"]

Key = tuple[str, str, str]
"""Level, action, and the precondition in English."""

HEAD = """\
# What was found once (`siteproof prove --necessity --learn FILE`), by the precondition that is dropped: lemmas that prove what is
# promised without it, or a run that breaks a promise. Nothing of it is believed: plain induction keeps the lemmas that are
# inductive and drops the others, and a run counts only if a claim breaks when it is taken.
"""


@attrs.frozen
class Found:
    """What is kept for a precondition."""

    lemmas: tuple[str, ...] = ()
    run: Path = ()

    def and_(self, other: Found) -> Found:
        """Both; of two runs the shorter one."""
        runs = [run for run in (self.run, other.run) if run]
        return Found(tuple(sorted({*self.lemmas, *other.lemmas})), min(runs, key=len, default=()))


Kept = Mapping[Key, Found]


@cache
def kept() -> Kept:
    """What `specs/kept.toml` holds."""
    return kept_in(resources.files("siteproof.specs").joinpath("kept.toml").read_text("utf-8"), "specs/kept.toml")


def kept_in(text: str, file: str) -> Kept:
    """What a text in the form of `specs/kept.toml` holds. Raises `SpecError`."""
    try:
        return {(str(row["level"]), str(row["action"]), str(row["precondition"])): Found(
                    tuple(map(str, row.get("lemmas", ()))),
                    tuple((str(name), tuple(arguments)) for name, *arguments in row.get("run", ())))
                for row in tomllib.loads(text).get("kept", [])}
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        expected = "tables [[kept]] with level, action, precondition, and lemmas or run"
        mend = "let `siteproof prove --necessity --learn FILE` write a new one"
        raise SpecError([Problem(file, 0, "kept", str(error), expected, mend)]) from None


def written(kept: Kept) -> str:
    """The text of a file with this, sorted."""
    tables = [HEAD]
    for (level, action, precondition), found in sorted(kept.items()):
        rows = [f"[[kept]]\nlevel = '{level}'\naction = '{action}'\nprecondition = '{precondition}'\n"]
        if found.lemmas:
            rows += ["lemmas = [\n", *(f"  '{lemma}',\n" for lemma in sorted(set(found.lemmas))), "]\n"]
        if found.run:
            steps = (", ".join([repr(name), *map(_value, arguments)]) for name, arguments in found.run)
            rows += ["run = [\n", *(f"  [{step}],\n" for step in steps), "]\n"]
        tables.append("".join(rows))
    return "\n".join(tables)


def _value(value: int | bool) -> str:
    return str(value).lower()


def terms_of(model: Model, lemmas: Iterable[str]) -> list[Named]:
    """Those that speak of variables of `model` only, as conjuncts."""
    known = {v.name: v.domain.constant(v.name) for v in model.variables}
    found = []
    for at, lemma in enumerate(lemmas):
        try:
            found += [Named(f"kept.{at}", node) for node in z3.parse_smt2_string(f"(assert {lemma})", decls=known)]
        except z3.Z3Exception:  # a variable that this flow does not have (rule 3)
            continue
    return found
