"""The numbered requirements: what the source document says, one statement at a time.

They are data (`specs/requirements.toml`). An id has a family (`COUNTS`) and a number from 1 on; ids are stable, so a
family is neither renumbered nor thinned out, and the loader refuses a file in which one is missing, double or new.
Everything else in siteproof refers to a requirement by its id: topologies, actions of the model, promises, coverage.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib import resources
from types import MappingProxyType
from typing import Final

from attrs import frozen

from siteproof.model.errors import near, told
from siteproof.model.specfile import SpecFile, Table

COUNTS: Final[Mapping[str, int]] = MappingProxyType({"GEN": 19, "V2A": 59, "P2A": 7, "H2A": 46, "S-V2S": 28, "H2S": 33})
"""How many requirements each family has: all flows; VMware, physical and Hyper-V to Azure; Scout and Hyper-V to a
secondary site."""

FLOWS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "GEN": ("vmware-to-azure", "physical-to-azure", "hyper-v-vmm-to-azure", "hyper-v-site-to-azure", "scout-to-secondary-site",
            "hyper-v-to-secondary-site"),
    "V2A": ("vmware-to-azure", "physical-to-azure"),
    "P2A": ("physical-to-azure",),
    "H2A": ("hyper-v-vmm-to-azure", "hyper-v-site-to-azure"),
    "S-V2S": ("scout-to-secondary-site",),
    "H2S": ("hyper-v-to-secondary-site",),
})
"""The built-in flows that each family is about. Physical servers take over what is said of VMware (P2A-1)."""

FORMAT: Final = 1


class RequirementKind(StrEnum):
    """What sort of statement a requirement is."""

    COMPONENT = "component"
    PORT = "port"
    PRECONDITION = "precondition"
    CAPABILITY = "capability"
    TRANSITION = "transition"
    INVARIANT = "invariant"
    ORDER = "order"
    SECURITY = "security"
    GUIDANCE = "guidance"


@frozen
class Requirement:
    """One statement. `derived`: it follows from the document without being a sentence of it."""

    id: str
    statement: str
    section: str
    also_in: tuple[str, ...]
    kind: RequirementKind
    derived: bool

    @property
    def family(self) -> str:
        """The family of its id, one of `COUNTS`."""
        return self.id.rpartition("-")[0]


def requirement_ids() -> frozenset[str]:
    """The ids that there are, by `COUNTS`; `load_requirements` holds the file to exactly these."""
    return _IDS


_IDS: Final = frozenset(f"{family}-{number}" for family, count in COUNTS.items() for number in range(1, count + 1))


@functools.cache
def load_requirements() -> tuple[Requirement, ...]:
    """The built-in requirements in the order of their file. Raises SpecError when the file is wrong."""
    name = "requirements.toml"
    return parse_requirements((resources.files("siteproof.specs") / name).read_text("utf-8"), name)


def load_sections() -> Mapping[str, str]:
    """The headings of the source document: key and title."""
    text = (resources.files("siteproof.specs") / "requirements.toml").read_text("utf-8")
    spec = SpecFile.parse(text, "requirements.toml")
    table = spec.top.table("sections")
    sections = {key: table.text(key) for key in table.values}
    spec.finish()
    return MappingProxyType(sections)


def parse_requirements(text: str, file: str) -> tuple[Requirement, ...]:
    """Read requirements from the text of a file called `file`. Raises SpecError with all that is wrong with it."""
    spec = SpecFile.parse(text, file)
    top = spec.top
    top.check_format(FORMAT)
    sections = top.table("sections")
    titles = [key for key in sections.values if sections.text(key)]
    found = tuple(_requirements(top, titles))
    top.close()
    missing = sorted(_IDS - {requirement.id for requirement in found})
    if missing and spec.is_sound(("requirement",)):
        shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        spec.complain(("requirement",), f"no {shown}", f"all {len(_IDS)} requirements", "add what is missing")
    spec.finish()
    return found


def _requirements(top: Table, titles: list[str]) -> Iterator[Requirement]:
    seen: set[str] = set()
    for entry in top.tables("requirement"):
        requirement = Requirement(
            id=entry.text("id"),
            statement=entry.text("statement"),
            section=entry.text("section"),
            also_in=entry.texts("also_in", optional=True),
            kind=entry.choice("kind", RequirementKind),
            derived=entry.flag("derived"),
        )
        entry.close()
        if requirement.id and requirement.id not in _IDS:
            mend = near(requirement.id, _IDS) + " or raise the count of its family"
            entry.file.complain((*entry.key, "id"), told(requirement.id), "a known id", mend)
        if requirement.id in seen:
            mend = "give each requirement its own id"
            entry.file.complain((*entry.key, "id"), f"{told(requirement.id)} twice", "every id once", mend)
        seen.add(requirement.id)
        for name, keys in (("section", (requirement.section,)), ("also_in", requirement.also_in)):
            for key in keys:
                if key and key not in titles:
                    entry.file.complain((*entry.key, name), told(key), "a key of [sections]", near(key, titles))
        yield requirement
