"""What campaigns keep: shortest ways, read back as they were written; and a second run that does not repeat the first."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from siteproof.conformance.case import Operate, Scenario, Settle
from siteproof.conformance.cli import main
from siteproof.conformance.corpus import Corpus, CorpusError, digest_of
from siteproof.conformance.drivers.bundled import BundledDriver
from siteproof.conformance.drivers.model import ModelDriver
from siteproof.conformance.runner import campaign
from siteproof.conformance.session import DriverFactory, Session
from siteproof.model.topology import load_topology
from tests.conformance.driving import FLOWS, promised

FLOW = FLOWS[1]


def played(seed: int, cases: int = 25, corpus: Corpus | None = None, driver: DriverFactory = ModelDriver) -> Corpus:
    found = corpus if corpus is not None else Corpus()
    campaign(FLOW, driver, "random", found.fresh(seed), 60.0, cases, promised=promised(FLOW), corpus=found)
    return found


def test_what_is_kept_is_read_as_it_was_written(tmp_path: Path) -> None:
    kept = played(1)
    assert len(kept) > 30
    kept.save(tmp_path, load_topology(FLOW), "model")
    assert Corpus.load(tmp_path, load_topology(FLOW), "model") == kept
    assert Corpus.load(tmp_path, load_topology(FLOW), "another") == Corpus()
    assert [one.name for one in tmp_path.iterdir()] == [f"{FLOW}.model.json"]


def test_a_way_leads_where_it_says_and_the_shorter_one_stays() -> None:
    kept = played(2)
    for shape, ways in kept.ways.items():
        for way in random.Random(1).sample(list(ways.values()), 5):
            scenario = Scenario(FLOW, tuple(f"m{n}" for n in range(shape[0])), shape[1])
            session = Session(scenario, way.seed, ModelDriver, promised(FLOW))
            for command in way.commands:
                assert session.step(command), session.divergence
            at = [promised(FLOW).lifecycle(next(iter(factor.candidates))[0]) for factor in session.factors.values()]
            assert tuple(at) == way.here
            session.finish()
    before = {(shape, key): len(way.commands) for shape, ways in kept.ways.items() for key, way in ways.items()}
    kept.join(played(3))
    after = {(shape, key): len(way.commands) for shape, ways in kept.ways.items() for key, way in ways.items()}
    assert all(after[one] <= length for one, length in before.items())
    assert len(after) > len(before)


def test_a_second_run_has_other_seeds_and_other_cases_of_the_sweep() -> None:
    first = played(5, 60, driver=BundledDriver)
    done, seeds = set(first.done), list(first.seeds)
    second = played(5, 60, first, BundledDriver)
    assert len(set(second.seeds)) == len(seeds) + 1
    assert done
    assert len(second.done) == len(done) + len(second.done - done) > len(done)
    case = (Operate("m0", "EnableProtection"), Settle())
    assert digest_of(case) == digest_of(case) != digest_of(case[:1])


@pytest.mark.parametrize(("change", "words"), [
    (lambda _row: "{", "cannot be read"), (lambda _row: "[]", "no object"),
    (lambda row: json.dumps(row | {"format": 99}), "format 99"),
    (lambda row: json.dumps(row | {"topology": "other"}), "another version"),
    (lambda row: json.dumps(row | {"ways": [{"commands": [{"kind": "nonsense"}]}]}), "does not fit"),
    (lambda row: json.dumps({k: v for k, v in row.items() if k != "met"}), "does not fit"),
])
def test_a_file_that_is_no_such_corpus_is_refused_in_one_line(change: Callable[[Any], str], words: str, tmp_path: Path,
                                                              capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    played(1, 3).save(tmp_path, load_topology(FLOW), "model")
    file = tmp_path / f"{FLOW}.model.json"
    text = change(json.loads(file.read_text("utf-8")))
    file.write_text(text, "utf-8")
    with pytest.raises(CorpusError, match=words):
        Corpus.load(tmp_path, load_topology(FLOW), "model")
    assert main(["run", "--driver", "model", "--topology", FLOW, "--max-cases", "1", "--corpus", str(tmp_path)]) == 4
    assert words in capsys.readouterr().err
    assert file.read_text("utf-8") == text
