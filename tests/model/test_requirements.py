"""The numbered requirements, and the strictness of their loader."""

from __future__ import annotations

from collections import Counter
from importlib import resources

import pytest

from siteproof.model.errors import SpecError
from siteproof.model.requirements import (
    COUNTS,
    RequirementKind,
    load_requirements,
    load_sections,
    parse_requirements,
    requirement_ids,
)

TEXT = (resources.files("siteproof.specs") / "requirements.toml").read_text("utf-8")


def test_each_family_has_its_number_of_requirements_in_order() -> None:
    ids = [requirement.id for requirement in load_requirements()]
    assert len(ids) == 192
    assert ids == [f"{family}-{number}" for family, count in COUNTS.items() for number in range(1, count + 1)]
    assert Counter(id.rpartition("-")[0] for id in ids) == {
        "GEN": 19,
        "V2A": 59,
        "P2A": 7,
        "H2A": 46,
        "S-V2S": 28,
        "H2S": 33,
    }
    assert set(ids) == requirement_ids()


def test_every_statement_is_one_sentence_and_said_once() -> None:
    statements = [requirement.statement for requirement in load_requirements()]
    assert len(set(statements)) == len(statements)
    for statement in statements:
        assert statement[0].isupper()
        assert statement.endswith(".")
        assert ". " not in statement
        assert 30 <= len(statement) <= 250


def test_sixteen_requirements_are_derived_and_every_kind_occurs() -> None:
    requirements = load_requirements()
    assert sum(requirement.derived for requirement in requirements) == 16
    assert {requirement.kind for requirement in requirements} == set(RequirementKind)


def test_every_heading_of_the_source_is_used_and_no_requirement_names_it_twice() -> None:
    used = {key for requirement in load_requirements() for key in (requirement.section, *requirement.also_in)}
    assert used == set(load_sections())
    assert all(requirement.section not in requirement.also_in for requirement in load_requirements())


REFUSED = [
    ("not TOML", "format = 1", "format =", "syntax", "not TOML", "TOML 1.0"),
    ("format", "format = 1", "format = 3", "format", "3", "1"),
    ("unknown key", "format = 1", "format = 1\nnote = 1", "note", "an unknown key", "only known keys"),
    ("unknown id", 'id = "GEN-1"', 'id = "GEN-20"', "requirement[1].id", '"GEN-20"', "a known id"),
    ("id twice", 'id = "GEN-2"', 'id = "GEN-1"', "requirement[2].id", '"GEN-1" twice', "every id once"),
    ("id missing", 'id = "GEN-1"\n', "", "requirement[1].id", "nothing", "a text"),
    ("unknown kind", 'kind = "capability"', 'kind = "capable"', "requirement[1].kind", '"capable"', "capability"),
    ("derived as text", "derived = false", 'derived = "no"', "requirement[1].derived", '"no"', "true or false"),
    (
        "unknown section",
        'section = "replicate-to-azure"',
        'section = "azure"',
        "requirement[1].section",
        '"azure"',
        "a key of [sections]",
    ),
    (
        "unknown further section",
        'also_in = ["hyper-v-to-a-secondary-site"]',
        'also_in = ["hyper-v"]',
        "requirement[3].also_in",
        '"hyper-v"',
        "a key of [sections]",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "key", "found", "expected"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_wrong_file_is_told_with_file_line_key_found_and_expected(
    old: str, new: str, key: str, found: str, expected: str
) -> None:
    assert old in TEXT
    with pytest.raises(SpecError) as error:
        parse_requirements(TEXT.replace(old, new, 1), "own.toml")
    [problem, *_] = [p for p in error.value.problems if p.key == key]
    assert problem.file == "own.toml"
    assert found in problem.found
    assert expected in problem.expected
    assert str(problem).startswith(f"error in own.toml, line {problem.line}: {key}: found ")


def test_a_requirement_cannot_be_dropped() -> None:
    head, _, _ = TEXT.rpartition("\n[[requirement]]")
    with pytest.raises(SpecError, match=r"no H2S-33; expected all 192"):
        parse_requirements(head, "own.toml")
