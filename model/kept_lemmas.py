"""Lemmas that were learned once and are kept, so that nobody has to learn them again.

Rules
1. They stand in `specs/lemmas.toml`, by level and by the precondition without which they prove what is promised. Each is a term
   over the level's variables, as SMT-LIB writes it.
2. Nothing of them is believed. They are candidates like any others: plain induction keeps those that are inductive in the model
   at hand and drops the others. A wrong or an outdated one costs a moment and proves nothing.
3. One that speaks of a variable which the model of a flow does not have says nothing there, and is left out.

`siteproof prove --necessity --learn FILE` writes such a file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

import z3

from siteproof.model.errors import Problem, SpecError
from siteproof.model.readings.smt import Named
from siteproof.model.system import Model

__all__ = ["Kept", "Key", "kept_lemmas", "lemmas_in", "terms_of", "written"]

Key = tuple[str, str, str]
"""Level, action, and the precondition in English."""
Kept = Mapping[Key, tuple[str, ...]]

HEAD = """\
# Lemmas that were learned (`siteproof prove --necessity --learn FILE`), by the precondition without which they prove what is
# promised. Nothing of them is believed: plain induction keeps those that are inductive and drops the others.
"""


@cache
def kept_lemmas() -> Kept:
    """The lemmas of `specs/lemmas.toml`."""
    return lemmas_in(resources.files("siteproof.specs").joinpath("lemmas.toml").read_text("utf-8"), "specs/lemmas.toml")


def lemmas_in(text: str, file: str) -> Kept:
    """The lemmas of a text in the form of `specs/lemmas.toml`. Raises `SpecError`."""
    try:
        rows = tomllib.loads(text).get("kept", [])
        return {(row["level"], row["action"], row["precondition"]): tuple(map(str, row["lemmas"])) for row in rows}
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        expected = "tables [[kept]] with level, action, precondition and lemmas"
        mend = "let `siteproof prove --necessity --learn FILE` write a new one"
        raise SpecError([Problem(file, 0, "kept", str(error), expected, mend)]) from None


def written(kept: Kept) -> str:
    """The text of a file with these lemmas, sorted."""
    tables = [HEAD]
    for (level, action, precondition), lemmas in sorted(kept.items()):
        rows = "".join(f"  '{lemma}',\n" for lemma in sorted(set(lemmas)))
        tables.append(f"[[kept]]\nlevel = '{level}'\naction = '{action}'\nprecondition = '{precondition}'\nlemmas = [\n{rows}]\n")
    return "\n".join(tables)


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
