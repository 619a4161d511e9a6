"""The self-test: what it watches, how it counts, what it says and how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from siteproof.conformance.case import Case, Fault, Heal, Operate, Scenario, Settle, Write
from siteproof.conformance.cli import main
from siteproof.conformance.driver import Accepted
from siteproof.conformance.drivers.bugs import BUGS
from siteproof.conformance.drivers.bundled_watched import Watch, watched_factory
from siteproof.conformance.drivers.variants import VARIANTS
from siteproof.conformance.exits import Exit
from siteproof.conformance.runner import run_case
from siteproof.conformance.selftest.score import BUCKETS, exit_of, score
from siteproof.conformance.selftest.trials import BugTrial, VariantTrial, plan, run_task
from siteproof.impl.agent import HyperVReplicationAgent
from siteproof.impl.coordinator import Provider
from siteproof.impl.messages import Send
from siteproof.impl.vault import MachineRecord, Vault

FLOW = "hyper-v-to-secondary-site"
PROTECT = (Operate("m0", "EnableProtection"), Settle())


class _SameAgain(HyperVReplicationAgent):
    """An override that changes nothing."""

    def resend(self) -> list[Send]:
        return super().resend()


class _Hides(Vault):
    """Differs in what it shows alone."""

    def allowed(self, record: MachineRecord) -> tuple[str, ...]:
        return super().allowed(record)[:-1] if record.protection == "protected" else super().allowed(record)


def watched(role: str, of: type, *commands: Any) -> Watch:
    watch = Watch()
    run_case(Case(Scenario(FLOW), (*PROTECT, *commands)), watched_factory({role: of}, "watched", watch))
    return watch


def bug(id: str) -> Any:
    return next(one for one in BUGS if one.id == id)


# -------------------------------------------------------------------------------------------------------------- watching


def test_code_that_has_not_run_is_not_reached() -> None:
    watch = watched("hyper-v-agent", _SameAgain)
    assert (watch.reached, watch.triggered) == (False, False)


def test_code_that_ran_and_made_no_difference_is_reached_and_not_triggered() -> None:
    watch = watched("hyper-v-agent", _SameAgain, Write("m0", "primary", 0), Fault("link"), Heal("link"), Settle())
    assert (watch.reached, watch.triggered) == (True, False)
    assert watch.spent > 0


@pytest.mark.parametrize(
    ("role", "of", "commands"),
    [
        ("vault", _Hides, ()),
        ("hyper-v-agent", bug("log-cleared-at-handshake").components["hyper-v-agent"],
         (Write("m0", "primary", 0), Fault("link"), Heal("link"))),
        ("replica-host", bug("points-follow-the-replica").components["replica-host"], (Write("m0", "primary", 0), Settle())),
    ],
    ids=["what it shows", "its state", "what a point holds"],
)  # fmt: skip
def test_a_difference_triggers(role: str, of: type, commands: tuple[Any, ...]) -> None:
    assert watched(role, of, *commands).triggered


def test_watching_changes_no_answer() -> None:
    plain = run_case(Case(Scenario(FLOW), PROTECT), watched_factory({}, "plain", Watch(open=False)))
    assert plain.divergence is None
    driver = watched_factory({"provider": type("Same", (Provider,), {})}, "same", Watch())()
    assert driver.handshake().name == "same"
    assert isinstance(Accepted(), Accepted)


# -------------------------------------------------------------------------------------------------------------- counting


def tried(**what: Any) -> BugTrial:
    plainly = BugTrial("no-fence-on-return", FLOW, "random", 0, 1, True, True, True, "P3", 0.05, 0.1, 3, 90, 5, True, True)
    return attrs.evolve(plainly, **what)


def spared(**what: Any) -> VariantTrial:
    return attrs.evolve(VariantTrial("two-points", FLOW, "random", 0, 1, 10, 300), **what)


FENCE = [bug("no-fence-on-return")]


def test_a_bug_is_found_when_every_trial_detects_it_and_its_slowest_trial_counts() -> None:
    one = score("random", FENCE, [tried(), tried(number=1, seconds=5.0)], [])
    assert one.all.buckets == (0, 0, 1, 0, 0)
    assert len(one.all.buckets) == len(BUCKETS) + 1
    assert one.survivors == ()
    assert exit_of([one]) is Exit.OK
    missed = tried(number=1, detected=False, promise=None, seconds=None, length=None, minimal=None, stable=None)
    one = score("random", FENCE, [tried(), missed], [])
    assert [bug.bug for bug in one.survivors] == ["no-fence-on-return"]
    assert one.all.buckets == (0, 0, 0, 0, 1)
    assert one.survivors[0].detected == 1
    assert exit_of([one]) is Exit.INCONCLUSIVE


def test_blame_on_another_promise_is_no_detection() -> None:
    one = score("random", FENCE, [tried(detected=False, promise="P9")], [])
    assert one.survivors[0].blamed == ("P9",)


def test_a_variant_that_never_does_anything_else_shows_nothing_and_is_named() -> None:
    one = score("random", FENCE, [tried()], [spared(), spared(number=1), spared(variant="more-steps", differs=True)])
    assert (one.alike, exit_of([one])) == (("two-points",), Exit.INCONCLUSIVE)
    assert exit_of([score("random", FENCE, [tried()], [spared(), spared(number=1, differs=True)])]) is Exit.OK


def test_a_false_alarm_weighs_more_than_a_survivor() -> None:
    missed = tried(detected=False, promise=None, seconds=None)
    one = score("random", FENCE, [missed], [spared(alarm="It is wrong.", promise="P4")])
    assert exit_of([one]) is Exit.VIOLATION


def test_engines_are_scored_apart() -> None:
    trials = [tried(), tried(engine="uniform", detected=False, promise=None, seconds=None)]
    variants = [spared(steps=10), spared(engine="uniform", steps=7)]
    first, second = (score(engine, FENCE, trials, variants) for engine in ("random", "uniform"))
    assert (first.all.found, second.all.found) == (1, 0)
    assert (first.variant_steps, second.variant_steps) == (10, 7)


def test_a_counterexample_shorter_than_the_shortest_known_one_is_told() -> None:
    known = FENCE[0].shortest
    one = score("random", FENCE, [tried(length=known - 1), tried(number=1, length=known + 2)], [])
    assert one.shorter == (("no-fence-on-return", known - 1, known),)
    assert (one.at_minimum, one.longest_excess, one.longer_median) == (1, 2, 2.0)


def test_flows_take_turns_and_a_trial_does_not_depend_on_its_company() -> None:
    many = plan(BUGS, VARIANTS, ("random", "uniform"), 2, 7, 1.0, 5)
    assert len(many) == len({(t.what, t.subject, t.flow, t.engine, t.number) for t in many}) == 4 * (len(BUGS) + len(VARIANTS))
    assert len({t.seed for t in many}) == len(many)
    flows = {t.flow for t in many if t.subject == "no-fence-on-return" and t.engine == "random"}
    assert len(flows) == 2
    [alone] = [t for t in plan(BUGS, (), ("uniform",), 1, 7, 1.0, 5) if t.subject == BUGS[0].id]
    assert alone in many


def test_a_quick_plan_shrinks_some() -> None:
    quick = plan(BUGS, (), ("random",), 1, 7, 1.0, 5, quick=True)
    assert 0 < sum(t.shrinks for t in quick) < len(quick) / 2
    assert all(t.shrinks for t in plan(BUGS, (), ("random",), 1, 7, 1.0, 5))


def test_a_variant_trial_counts_steps_and_says_whether_it_was_another_system() -> None:
    variant = next(v for v in VARIANTS if v.id == "two-points")
    [task] = plan((), (variant,), ("random",), 1, 3, 1.0, 6)
    result = run_task(task, None, lambda _: None)
    assert isinstance(result, VariantTrial)
    assert result.steps > 20
    assert result.differs
    assert not result.alarm


# ------------------------------------------------------------------------------------------------------ the command line


def test_a_bug_that_is_found_ends_with_0_and_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "80")
    file = tmp_path / "score.json"
    assert main(["selftest", "--quick", "--bug", "reverse-without-commit", "--seed", "1", "--json", str(file)]) == 0
    told = capsys.readouterr()
    assert max(map(len, told.out.splitlines())) <= 80
    assert re.search(r"capability +1 +1 +1 +1", told.out)
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["schema"] == "siteproof.selftest/1"
    [trial] = found["bug_trials"]
    assert all(trial[what] for what in ("reached", "triggered", "detected", "minimal", "stable"))
    assert trial["length"] >= found["bugs"][0]["shortest"]
    assert found["scores"][0]["all"]["found"] == 1
    assert not found["partial"]


def test_a_survivor_is_named_and_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["selftest", "--trials", "1", "--bug", "retention-takes-a-point-in-use", "--max-time", "0.001s", "--seed", "1"]
    assert main(asked) == 2
    assert "survivor retention-takes-a-point-in-use" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [["--bug", "no-fense"], ["--engine", "nothing"], ["--quick", "--trials", "2"], ["--max-time", "soon"]],
    ids=" ".join,
)
def test_mistakes_are_told_before_any_work(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", *arguments]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("what", ["bugs", "variants"])
def test_bugs_and_variants_are_listed_for_a_narrow_terminal(what: str, capsys: pytest.CaptureFixture[str],
                                                            monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["list", what]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("bundled") for line in lines) == len(BUGS if what == "bugs" else VARIANTS)


def test_a_family_is_headed_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "bugs"]) == 0
    families = {str(bug.family).upper() for bug in BUGS}
    heads = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip() in families]
    assert len(heads) == len(set(heads)) == 8
