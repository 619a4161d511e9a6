"""The house keeps its walls: who imports whom, what is packaged, what a first command costs, what the README says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).parent.parent
ROOMS = ("model", "impl", "conformance", "specs")
MODULES = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))

KNOW_AN_IMPLEMENTATION = (
    "conformance/drivers/bundled", "conformance/drivers/bugs", "conformance/drivers/variants", "conformance/cli/",
    "conformance/check.py",
)  # fmt: skip


def imports_of(path: Path) -> set[str]:
    """Full names of what a module imports, relative imports resolved."""
    package = ["siteproof", *path.relative_to(ROOT).parent.parts]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def rooms_of(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports_of(path) if name.startswith("siteproof.")}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_opens_with_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_the_walls_between_model_implementation_and_tester_hold(path: Path) -> None:
    forbidden = {"impl": {"model", "conformance"}, "model": {"impl", "conformance"}, "specs": set(ROOMS)}
    room = path.relative_to(ROOT).parts[0]
    wrong = rooms_of(path) & forbidden.get(room, set())
    if room == "conformance" and not relative(path).startswith(KNOW_AN_IMPLEMENTATION):
        wrong |= rooms_of(path) & {"impl"}
    assert not wrong, f"{relative(path)} imports {', '.join(sorted(wrong))}"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_modules_go_by_their_installed_names(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports_of(path)} & set(ROOMS)


def packaging() -> dict[str, dict[str, list[str]]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return dict(tomllib.load(file)["tool"]["setuptools"])


def test_every_folder_with_modules_is_a_package_of_the_wheel() -> None:
    packages = set(packaging()["packages"])
    folders = {"siteproof." + ".".join(p.parent.relative_to(ROOT).parts) for p in MODULES}
    assert folders <= packages, f"missing in pyproject.toml: {sorted(folders - packages)}"


def test_every_file_of_data_is_in_the_wheel() -> None:
    globs = {
        package.removeprefix("siteproof.").replace(".", "/"): patterns
        for package, patterns in packaging()["package-data"].items()
    }
    missing = []
    for path in (p for room in ROOMS for p in (ROOT / room).rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")):
        name = relative(path)
        if not any(
            name.startswith(folder + "/") and fnmatch(name.removeprefix(folder + "/"), pattern)
            for folder, patterns in globs.items()
            for pattern in patterns
        ):
            missing.append(name)
    assert not missing


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300, check=False, cwd=ROOT.parent)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["prove", "--help"], ["nonsense"], ["list", "topologies"]])
def test_the_first_answers_load_no_solver(arguments: list[str]) -> None:
    script = (
        "import sys; from siteproof.conformance.cli import main; code = main(sys.argv[1:]); "
        "print('LOADED', *(m for m in ('z3', 'cvc5', 'hypothesis', 'networkx', 'jinja2') if m in sys.modules)); sys.exit(code)"
    )
    done = run("-c", script, *arguments)
    assert done.stdout.splitlines()[-1].split() == ["LOADED"], done.stdout + done.stderr


def commands_of_readme() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines() if line.strip()]


def test_the_readme_has_two_commands_for_a_fresh_machine_each_on_one_line() -> None:
    fresh = [line for line in commands_of_readme() if line.startswith("python3 -m venv")]
    assert len(fresh) == 2
    assert sum("siteproof check" in line for line in fresh) == 1
    assert sum("pytest" in line for line in fresh) == 1
    for line in fresh:
        assert subprocess.run(["bash", "-n", "-c", line], capture_output=True, check=False).returncode == 0


def test_every_verb_that_the_readme_names_exists() -> None:
    from siteproof.conformance.cli.app import app

    command = typer.main.get_command(app)
    verbs = set(command.list_commands(typer.Context(command)))
    named = {match for line in commands_of_readme() for match in re.findall(r"(?:^|&& |/)siteproof (\w+)", line)}
    assert named
    assert named <= verbs


def test_links_of_the_pages_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
