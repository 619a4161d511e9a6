"""A counterexample as a test that can be committed: it fails while the bug is there, and passes when it is fixed.

The file has the case in it, reads nothing beside itself, and asks `siteproof.conformance.replay.assert_conforms`. It names the
driver that the bug was found on; `SITEPROOF_DRIVER` in the environment names another build.
"""

from __future__ import annotations

import json
import re

from siteproof.conformance.results import Counterexample

__all__ = ["pytest_file", "pytest_name"]


def pytest_name(stem: str) -> str:
    """The name of the test's file beside a counterexample's file."""
    return f"test_{_word(stem)}.py"


def pytest_file(found: Counterexample, driver: str, stem: str) -> str:
    """The text of the test."""
    wrong = found.divergence
    story = [_plain(wrong.sentence), "", f"Breaks {wrong.promise}, {_plain(wrong.promise_title)}."]
    story += ["", *(f"{step.index + 1}. {_plain(step.text)}" for step in found.steps)]
    case = json.dumps(found.case, indent=2)
    return f'''"""{chr(10).join(story)}

Written by siteproof; it replays the case, and asserts that every step is explained by the model.
"""

import json
import os

from siteproof.conformance.replay import assert_conforms

DRIVER = os.environ.get("SITEPROOF_DRIVER", {json.dumps(driver)})

CASE = json.loads(r\'\'\'
{_literal(case)}
\'\'\')


def test_{_word(stem)}() -> None:
    assert_conforms(CASE, DRIVER)
'''


def _word(stem: str) -> str:
    return re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_").lower() or "case"


def _plain(text: str) -> str:
    """Words inside of a docstring, whatever a driver has put into them."""
    return "".join(c if c.isprintable() else " " for c in text).replace("\\", "/").replace('"""', "'''").rstrip('"')


def _literal(case: str) -> str:
    """JSON inside of a raw literal: quotes that would end it are written as JSON escapes."""
    return case.replace("'", "\\u0027")
