"""What carries each requirement, as data (`specs/carriers.toml`): facts of topologies, preconditions, promises, tests.

Rules
1. A *carrier* is a check that can fail, and it names the requirements that it stands for. There are five sorts:
   a *topology* expectation, judged on the loaded topology (`expectations`); a *precondition* of an action, known by its reason
   code or, where it has none, by the variables that it reads; *claims* of a promise; an *implementation test* together with
   the seeded break that fails it; a *seeded bug* that the tester has to find.
2. A carrier names the `flows` that it is about, and has to apply in each of them. An expectation that is `structural` is
   asked of a user's own topology, too, where something that it speaks of is deployed.
3. *Guidance* is what no software can keep or break: a requirement of that kind, or one that is about things outside it.
   It is never counted as carried.
4. What is *open* says which part of a requirement nothing carries yet, and outweighs the carriers of the other parts.
5. The loader is strict, as for topologies. That what a carrier names exists in the model is seen by the trace
   (`requirement_trace`); that each carrier can be broken is shown by tests.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from importlib import resources
from typing import Any, Final

from attrs import frozen

from siteproof.model.breaking import BREAKABLE
from siteproof.model.deployment import read_requirements
from siteproof.model.errors import near, told
from siteproof.model.expectations import PROPERTIES, Every, Expectation, FactIs, Like, Never, Pattern, Subject
from siteproof.model.facts import FACTS
from siteproof.model.requirements import RequirementKind, load_requirements
from siteproof.model.specfile import SpecFile, Table
from siteproof.model.topology import builtin_topologies

__all__ = ["SORTS", "BrokenTest", "Carrier", "Carriers", "Note", "Precondition", "PromiseClaim", "SeededBug", "load_carriers",
           "parse_carriers"]

FORMAT: Final = 1

SORTS: Final = ("topology", "precondition", "promise", "test", "tester")
"""The sorts of carriers: what is, what is asked for, what is promised, what is tried on the implementation and by the tester."""


@frozen
class Precondition:
    """A precondition of the model: `action` of `level` is refused with `code`, or does not happen for want of one that reads
    exactly the variables `reads`."""

    level: str
    action: str
    code: str
    reads: tuple[str, ...]

    def __str__(self) -> str:
        words = self.action.replace("_", " ")
        return f"{words} may be refused: {self.code}" if self.code else f"{words} depends on {', '.join(self.reads)}"

    @property
    def ref(self) -> str:
        """Where it is: level, action, and code or variables."""
        return f"{self.level}/{self.action}/{self.code or '+'.join(self.reads)}"


@frozen
class PromiseClaim:
    """One claim of a promise of the model."""

    level: str
    promise: str
    claim: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.claim}"

    @property
    def ref(self) -> str:
        """Where it is: level, promise and claim."""
        return f"{self.level}/{self.promise}/{self.claim}"


@frozen
class BrokenTest:
    """A test of the implementation, by its pytest node id, and the seeded break under which it fails."""

    test: str
    broken_by: str

    def __str__(self) -> str:
        return self.test.rpartition("::")[2].partition("[")[0].removeprefix("test_").replace("_", " ")

    @property
    def ref(self) -> str:
        """Where it is: the pytest node id."""
        return self.test


@frozen
class SeededBug:
    """A seeded bug of the bundled implementation, which the tester has to find."""

    bug: str

    def __str__(self) -> str:
        return f"the tester finds {self.bug}"

    @property
    def ref(self) -> str:
        """Where it is: the bug's id."""
        return self.bug


What = Expectation | Precondition | PromiseClaim | BrokenTest | SeededBug


@frozen
class Carrier:
    """What carries some requirements in some flows; `structural`: in users' own as well."""

    requirements: tuple[str, ...]
    flows: tuple[str, ...]
    structural: bool
    what: What

    @property
    def sort(self) -> str:
        """The sort of carrier, one of `SORTS`."""
        return {Precondition: "precondition", PromiseClaim: "promise", BrokenTest: "test", SeededBug: "tester"}.get(
            type(self.what), "topology")

    def is_about(self, topology: str) -> bool:
        """Whether it has something to say of the topology with this id."""
        return topology in self.flows or (self.structural and topology not in builtin_topologies())


@frozen
class Note:
    """Requirements that are guidance, or of which something is open, and why."""

    requirements: tuple[str, ...]
    reason: str


@frozen
class Carriers:
    """All carriers, and what is said of requirements that have none, or not enough."""

    carriers: tuple[Carrier, ...]
    guidance: tuple[Note, ...]
    open: tuple[Note, ...]

    def of(self, requirement: str) -> tuple[Carrier, ...]:
        """The carriers of one requirement."""
        return tuple(carrier for carrier in self.carriers if requirement in carrier.requirements)


# ------------------------------------------------------------------------------------------------------- reading


@functools.cache
def load_carriers() -> Carriers:
    """The built-in carriers in the order of their file. Raises SpecError when the file is wrong."""
    name = "carriers.toml"
    return parse_carriers((resources.files("siteproof.specs") / name).read_text("utf-8"), name)


def parse_carriers(text: str, file: str) -> Carriers:
    """Read carriers from the text of a file called `file`. Raises SpecError with all that is wrong with it."""
    spec = SpecFile.parse(text, file)
    top = spec.top
    number = top.whole("format")
    if number is not None and number != FORMAT:
        spec.complain(("format",), str(number), str(FORMAT), f"write format = {FORMAT}")
    found = Carriers(
        carriers=tuple(carrier for name, reader in _READERS.items() for carrier in _carriers(top, name, reader)),
        guidance=tuple(_notes(top, "guidance")),
        open=tuple(_notes(top, "open")),
    )
    top.close()
    spec.finish()
    return found


def _entries(top: Table, name: str) -> Iterator[Table]:
    """The tables of an array that may be absent."""
    if name in top.values:
        yield from top.tables(name)


def _named(entry: Table) -> tuple[str, ...]:
    """The requirements of an entry; there is at least one."""
    requirements = read_requirements(entry)
    if not requirements and entry.file.is_sound((*entry.key, "requirements")):
        entry.file.complain((*entry.key, "requirements"), "none", "at least one requirement", 'write requirements = ["…"]')
    return requirements


def _carriers(top: Table, name: str, reader: Any) -> Iterator[Carrier]:
    for entry in _entries(top, name):
        requirements = _named(entry)
        flows = entry.texts("flows")
        if not flows and entry.file.is_sound((*entry.key, "flows")):
            entry.file.complain((*entry.key, "flows"), "none", "at least one flow", 'write flows = ["…"]')
        for flow in flows:
            if flow not in builtin_topologies():
                mend = near(flow, builtin_topologies())
                entry.file.complain((*entry.key, "flows"), told(flow), "ids of built-in topologies", mend)
        structural = entry.flag("structural", default=False) if name == "topology" else False
        for what in reader(entry):
            yield Carrier(requirements, flows, structural, what)
        entry.close()


def _notes(top: Table, name: str) -> Iterator[Note]:
    kinds = {requirement.id: requirement.kind for requirement in load_requirements()}
    for entry in _entries(top, name):
        note = Note(_named(entry), entry.text("reason"))
        outside = entry.flag("outside", default=False) if name == "guidance" else True
        for id in note.requirements:
            if not outside and kinds.get(id, RequirementKind.GUIDANCE) is not RequirementKind.GUIDANCE:
                mend = "name a carrier, or write outside = true if it is about things outside software"
                entry.file.complain((*entry.key, "requirements"), f"{id}, of the kind {kinds[id]}", "guidance", mend)
        entry.close()
        yield note


def _level(entry: Table) -> str:
    return entry.text("level", optional=True) or "promise"


def _precondition(entry: Table) -> Iterator[Precondition]:
    found = Precondition(_level(entry), entry.text("action"), entry.text("code", optional=True),
                         entry.texts("reads", optional=True))
    if bool(found.code) == bool(found.reads) and entry.file.is_sound(entry.key):
        entry.file.complain(entry.key, "both or neither", "a code, or the variables that it reads", "write one of the two")
    yield found


def _claims(entry: Table) -> Iterator[PromiseClaim]:
    level, promise = _level(entry), entry.text("promise")
    for claim in entry.texts("claims"):
        yield PromiseClaim(level, promise, claim)


def _test(entry: Table) -> Iterator[BrokenTest]:
    yield BrokenTest(entry.text("test"), entry.text("broken_by"))


def _bug(entry: Table) -> Iterator[SeededBug]:
    yield SeededBug(entry.text("bug"))


_FORMS: Final = ("every", "never", "fact", "like")


def _expectation(entry: Table) -> Iterator[Expectation]:
    """One of the forms `every`, `never`, `fact` and `like`."""
    forms = [form for form in _FORMS if form in entry.values] or ["every"]
    if len(forms) > 1:
        entry.file.complain(entry.key, " and ".join(forms), "one of " + ", ".join(_FORMS), "make it two entries")
    if forms[0] == "fact":
        fact = entry.text("fact")
        if fact and fact not in FACTS:
            entry.file.complain((*entry.key, "fact"), told(fact), "a behaviour fact", near(fact, FACTS))
        yield FactIs(fact, entry.flag("value"))
    elif forms[0] == "like":
        of = entry.text("like")
        if of and of not in builtin_topologies():
            entry.file.complain((*entry.key, "like"), told(of), "a built-in topology", near(of, builtin_topologies()))
        yield Like(of, entry.texts("apart_from", optional=True))
    else:
        yield from _about_elements(entry, forms[0])


def _about_elements(entry: Table, form: str) -> Iterator[Every | Never]:
    subject = entry.choice(form, Subject)
    known = PROPERTIES[subject]
    chosen = _pattern(entry, "where", subject, tuple(known))
    if form == "never":
        if not chosen and entry.file.is_sound(entry.key):
            entry.file.complain((*entry.key, "where"), "nothing", "a pattern that nothing may fit", "write where = { … }")
        yield Never(subject, chosen)
        return
    free = [name for name in BREAKABLE[subject] if name not in dict(chosen)]
    wanted = _pattern(entry, "is", subject, tuple(free))
    count = entry.whole("count", minimum=1, optional=True)
    if not chosen and not wanted and entry.file.is_sound(entry.key):
        entry.file.complain(entry.key, "neither where nor is", "one of them", "say what is expected of which")
    yield Every(subject, chosen, wanted, count)


def _pattern(entry: Table, name: str, subject: Subject, known: tuple[str, ...]) -> Pattern:
    """The inline table `name`: properties in its own order, with what is wanted of them."""
    table = entry.table(name, optional=True)
    rows = []
    for key in table.values:
        if key not in known:
            table.file.complain((*table.key, key), "an unknown key", "one of " + ", ".join(known), near(key, known))
            continue
        wanted = _wanted(table, key, PROPERTIES[subject][key].of)
        if wanted == () and table.file.is_sound((*table.key, key)):
            table.file.complain((*table.key, key), "an empty list", "at least one word", "name one, or leave it out")
        rows.append((key, wanted))
    return tuple(rows)


def _wanted(table: Table, key: str, of: Any) -> Any:
    if of is bool:
        return table.flag(key)
    if of is int:
        return table.whole(key)
    if of is str:
        return table.texts(key)
    return (table.choice(key, of),) if isinstance(table.values[key], str) else table.choices(key, of)


_READERS: Final = {
    "topology": _expectation, "precondition": _precondition, "promise": _claims, "test": _test, "seeded": _bug,
}
"""How the entries of each array are read."""
