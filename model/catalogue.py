"""The catalogue of promises P1–P25: their words and requirement ids, from `specs/promises.toml`.

Rules
1. A promise is worded once, whatever stands for it: claims of one level of the model or of several, or tests of running systems.
2. A sentence may promise more than the claims show. What they leave out is said in `beside`, wherever a verdict is shown.
3. `judged` is "proved" exactly when some level has claims for it (a test holds the file to that).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING

from attrs import frozen

from siteproof.model.deployment import read_requirements
from siteproof.model.specfile import SpecFile

if TYPE_CHECKING:
    from siteproof.model.claims import Claim, Promise

__all__ = ["Entry", "Judged", "catalogue", "parse_catalogue", "promise"]

FORMAT, FILE = 1, "promises.toml"


class Judged(StrEnum):
    """How a promise is judged: by proofs over the model, by explorations of it, or on running systems alone."""

    PROVED = "proved"
    EXPLORED = "explored"
    TESTED = "tested"


@frozen
class Entry:
    """One promise in words. `beside`: what of the sentence no claim of the model speaks of, and who looks at it; or ""."""

    id: str
    title: str
    sentence: str
    requirements: tuple[str, ...]
    judged: Judged
    beside: str


@cache
def catalogue() -> Mapping[str, Entry]:
    """Every promise by id, in order. Raises SpecError when the built-in file is wrong."""
    return MappingProxyType({entry.id: entry for entry in parse_catalogue(
        (resources.files("siteproof.specs") / FILE).read_text("utf-8"), FILE)})


def parse_catalogue(text: str, file: str) -> tuple[Entry, ...]:
    """Read promises from the text of a file called `file`. Raises SpecError with all that is wrong with it."""
    spec = SpecFile.parse(text, file)
    top = spec.top
    top.check_format(FORMAT)
    rows, seen = [], set[str]()
    for table in top.tables("promise"):
        entry = Entry(table.text("id"), table.text("title"), table.text("sentence"), read_requirements(table),
                      table.choice("judged", Judged), table.text("beside", optional=True))
        table.close()
        if entry.id in seen:
            spec.complain((*table.key, "id"), entry.id, "an id of its own", "use each id once")
        seen.add(entry.id)
        rows.append(entry)
    top.close()
    spec.finish()
    return tuple(rows)


def promise(id: str, claims: tuple[Claim, ...]) -> Promise:
    """The promise called `id` with the claims that one level makes for it. Raises `KeyError` for an unknown one."""
    from siteproof.model.claims import Promise  # a claim loads the solver, a word does not

    entry = catalogue()[id]
    return Promise(entry.id, entry.title, entry.sentence, entry.requirements, claims)
