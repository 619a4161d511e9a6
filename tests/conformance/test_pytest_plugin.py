"""The pytest plugin gives a suite of somebody else's a conformance test, and costs a suite that does not use it nothing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SEED = ("--siteproof-seed=5", "--siteproof-max-time=1h")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest in `folder`, with the plugin as the entry point loads it, however siteproof is installed."""
    plugin = ("-p", "no:siteproof", "-p", "siteproof.conformance.pytest_plugin")
    command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "-n", "0", "-rA", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def test_the_plugin_is_an_entry_point() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        points = tomllib.load(file)["project"]["entry-points"]["pytest11"]
    assert points == {"siteproof": "siteproof.conformance.pytest_plugin"}


def test_a_suite_that_does_not_use_it_loads_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "import sys\n"
        "def test_own():\n"
        "    assert 'siteproof.conformance.pytest_plugin' in sys.modules\n"
        "    heavy = {'z3', 'cvc5', 'hypothesis', 'networkx', 'attrs', 'siteproof.model', 'siteproof.conformance.session'}\n"
        "    assert not heavy & set(sys.modules)\n"
    )
    done = run(tmp_path, "-p", "no:hypothesispytest")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_a_system_that_conforms_passes_beside_the_suites_own_tests(tmp_path: Path) -> None:
    own = "def test_own(siteproof_driver):\n    assert siteproof_driver().handshake().operations\n"
    (tmp_path / "test_own.py").write_text(own)
    flow = ("--siteproof-topology=scout-to-secondary-site", "--siteproof-engine=directed", "--siteproof-max-cases=70")
    done = run(tmp_path, "--siteproof-driver=model", *flow, *SEED)
    assert "siteproof: driver model, --siteproof-seed=5" in done.stdout
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert "PASSED siteproof::scout-to-secondary-site" in done.stdout
    assert "all-actions" in done.stdout


def test_a_system_with_a_bug_fails_with_the_counterexample_in_words(tmp_path: Path) -> None:
    flow = ("--siteproof-topology=hyper-v-to-secondary-site", "--siteproof-engine=random")
    done = run(tmp_path, "--siteproof-driver=bundled+reverse-without-commit", *flow, *SEED)
    assert done.returncode == 1
    assert "hyper-v-to-secondary-site does not conform" in done.stdout
    assert "broken: P" in done.stdout
    assert "  1  EnableProtection(m0): accepted" in done.stdout
    assert "--siteproof-seed=5 finds it again" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_run_that_saw_too_little_fails_as_inconclusive(tmp_path: Path) -> None:
    flow = ("--siteproof-topology=scout-to-secondary-site", "--siteproof-max-cases=2")
    done = run(tmp_path, "--siteproof-driver=model", *flow, *SEED)
    assert done.returncode == 1
    assert "siteproof: inconclusive: too little was covered" in done.stdout


@pytest.mark.parametrize(("option", "told"), [
    ("--siteproof-engine=randon", "did you mean random"),
    ("--siteproof-max-time=soon", "write --siteproof-max-time 10m"),
])  # fmt: skip
def test_a_mistake_in_an_option_is_one_line_of_usage(tmp_path: Path, option: str, told: str) -> None:
    done = run(tmp_path, "--siteproof-driver=model", option)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
    assert told in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_hypothesis_machine_is_a_test_of_a_users_own(tmp_path: Path) -> None:
    (tmp_path / "test_machine.py").write_text(
        "from siteproof.conformance.drivers.model import ModelDriver\n"
        "from siteproof.conformance.engines.hypothesis_machine import machine_for\n"
        "from hypothesis import settings\n"
        "TestMine = machine_for('hyper-v-to-secondary-site', ModelDriver).TestCase\n"
        "TestMine.settings = settings(TestMine.settings, max_examples=3, stateful_step_count=8)\n"
    )
    done = run(tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
