"""Scenario files: what is read, and that a mistake is told with file, key, what was found and expected, and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from siteproof.impl.errors import ImplError, ScenarioError
from siteproof.impl.network import Network
from siteproof.impl.plan import Action, PlanGroup
from siteproof.impl.scenario import load_scenario

GOOD = """
format = 1
title = "a scenario"
flow = "vmware-to-azure"
[policy]
crash_consistent_minutes = 10
[machines.a]
disks = [{ size = "64 KiB" }, { image = "mine.img" }]
[machines.b]
disks = [{ size = "1 MiB", content = "text" }]
[groups.g]
machines = ["a", "b"]
[plans.p]
[[plans.p.groups]]
machines = ["b", "a"]
before = [{ manual = "look", operations = ["PlannedFailover"] }]
[[plans.p.groups]]
machines = []
after = [{ script = "s", fails = true, directions = ["reverse"] }]
[workloads.w]
machines = ["a"]
disk = 1
per_minute = 2.5
[[steps]]
request = "EnableProtection"
machines = ["b"]
at = "1h30m"
[[steps]]
write = 3
workload = "w"
[[steps]]
plan = "p"
operation = "PlannedFailover"
direction = "reverse"
[[steps]]
fault = "group-port"
machine = "a"
[[steps]]
check = { active = "primary", running = ["primary"], loss = 0 }
"""


@pytest.fixture(autouse=True)
def an_image_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.img").write_bytes(bytes(4096))


def read(tmp_path: Path, text: str) -> object:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return load_scenario(file)


def test_a_scenario_is_read_as_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD, encoding="utf-8")
    scenario = load_scenario(file)
    assert (scenario.title, scenario.topology.id, scenario.seed) == ("a scenario", "vmware-to-azure", 0)
    assert (scenario.topology.policy.crash_consistent_minutes, scenario.topology.policy.retention_hours) == (10, 24)
    assert [d.size for d in scenario.machines["a"].disks] == [65536, 0]
    assert scenario.machines["a"].disks[1].image == tmp_path / "mine.img"
    assert scenario.workloads["w"].per_minute == 2.5
    assert dict(scenario.groups) == {"g": ("a", "b")}
    (plan,) = scenario.plans
    assert plan.groups == (
        PlanGroup(("b", "a"), before=(Action("manual", "look", frozenset({"PlannedFailover"})),)),
        PlanGroup((), after=(Action("script", "s", directions=frozenset({"reverse"})),)),
    )
    assert scenario.failing == {"s"}
    first, second, run, struck, third = scenario.steps
    assert (run.what, run.operation, run.direction, run.point) == ("p", "PlannedFailover", "reverse", None)
    assert (struck.what, struck.machines) == ("group-port", ("a",))
    assert (first.verb, first.what, first.machines, first.at, first.expect) == (
        "request",
        "EnableProtection",
        ("b",),
        5400,
        "accepted",
    )
    assert (second.verb, second.amount, second.what) == ("write", 3, "w")
    assert third.machines == ("a", "b")
    assert third.must == {"active": "primary", "running": ("primary",), "loss": 0}


@pytest.mark.parametrize(
    ("old", "new", "key", "told"),
    [
        ("format = 1", "format = 2", "format", "found 2; expected 1"),
        ('title = "a scenario"', "", "title", "found nothing; expected a string; to mend: add title"),
        ('flow = "vmware-to', 'flow = "vmwaer-to', "flow", "did you mean vmware-to-azure?"),
        ("crash_consistent_minutes = 10", "crash_consistent_minutes = 0", "policy.crash_consistent_minutes", "a number above 0"),
        ("crash_consistent_minutes = 10", "crash_minutes = 10", "policy.crash_minutes", "an unknown key"),
        ('"64 KiB"', '"64 KB"', "machines.a.disks[1].size", "a size such as"),
        ('"64 KiB"', '"1000 B"', "machines.a.disks[1].size", "a positive multiple of 4096 bytes"),
        ('content = "text"', 'content = "txt"', "machines.b.disks[1].content", "did you mean text?"),
        ("disk = 1", "disk = 2", "workloads.w.disk", "a disk of machine 'a'"),
        ("disk = 1", "disk = 1.5", "workloads.w.disk", "a whole number"),
        ("disk = 1", "disk = true", "workloads.w.disk", "a number of at least 0"),
        ('machines = ["a"]', 'machines = ["c"]', "workloads.w.machines", 'found "c"; expected one of a, b'),
        ('machines = ["b", "a"]', 'machines = ["b", "b"]', "plans.p.groups[1].machines", "each name once"),
        ('"EnableProtection"', '"Enable"', "steps[1].request", 'found "Enable"'),
        ('"EnableProtection"', '"EnableProtection"\nexpect = "NotProtectd"', "steps[1].expect", "did you mean NotProtected?"),
        ('"EnableProtection"', '"EnableProtection"\nadvance = "1m"', "steps[1]", "found request and advance; expected"),
        ('at = "1h30m"', 'at = "30m1h"', "steps[1].at", "a duration such as"),
        ('at = "1h30m"', "at = 90", "steps[1].at", "a duration such as"),
        ("write = 3", "write = 0", "steps[2].write", "a number of at least 1"),
        ('workload = "w"', 'workload = "x"', "steps[2].workload", "one of w"),
        ('machines = ["a", "b"]', 'machines = ["a", "c"]', "groups.g.machines", "one of a, b"),
        ('manual = "look"', 'hand = "look"', "plans.p.groups[1].before[1].script", "found nothing"),
        ("fails = true", "fails = 1", "plans.p.groups[2].after[1].fails", "true or false"),
        ('plan = "p"', 'plan = "q"', "steps[3].plan", "one of p"),
        ('operation = "PlannedFailover"', 'operation = "ChangePit"', "steps[3].operation", "found"),
        ('machine = "a"', 'machine = "z"', "steps[4].machine", "one of a, b"),
        ("check = {", 'check = { pints = 1, ', "steps[5].check.pints", "did you mean points?"),
        (GOOD.splitlines()[-1], "check = {}", "steps[5].check", "nothing to check"),
        ("[[steps]]\nrequest", "[[stops]]\nrequest", "stops", "an unknown key"),
        ('check = { active = "primary"', 'check = { active = "azure"', "steps[5].check.active", "one of primary, recovery"),
        ("check = {", 'check = { protection = "yes", ', "steps[5].check.protection", "one of initial, none, protected"),
        ("check = {", 'check = { alerts = ["StaleSideFencd"], ', "steps[5].check.alerts", "NoCommonPoint, ResyncRequired"),
        ("write = 3", 'at = "1h"\nwrite = 3', "steps[2].at", "found 3600 s; expected a time of at least 5400 s"),
        ("write = 3\nworkload = \"w\"", 'at = "-1h"', "steps[2].at", "time does not go back"),
        ("write = 3\nworkload = \"w\"", 'advance = "9999999h"', "steps[2].advance", "at most 744h (31 days)"),
        ("write = 3\nworkload = \"w\"", 'at = "9999999h"\nsettle = true', "steps[2].at", "(366 days)"),
        ('"EnableProtection"', '"EnableProtection"\nexpect = "Wrong"', "steps[1].expect", "; to mend: write one of these"),
        ("crash_consistent_m", "app_consistent_m", "policy.app_consistent_minutes", "did you mean app_consistent_hours?"),
        ('machines = ["a", "b"]', 'machines = ["a"]', "groups.g.machines", "'g' has 1 machine; expected 2 to "),
        ('machines = ["b", "a"]', 'machines = ["b"]', "plans.p.groups", "'g' is not whole in one group of the plan"),
        ('flow = "vmware-to-azure"', 'flow = "hyper-v-site-to-azure"', "groups.g.machines", "has no replication groups"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_key_and_how_to_mend_it(tmp_path: Path, old: str, new: str, key: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(ScenarioError) as caught:
        read(tmp_path, GOOD.replace(old, new))
    assert caught.value.key == key
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'mine.toml'}: {key}: found ")
    assert "; expected " in text
    assert "; to mend: " in text
    assert told in text


def test_what_is_not_toml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"mine\.toml: found .*line 3.*expected TOML"):
        read(tmp_path, "format = 1\ntitle = 'x'\nflow = \n")
    with pytest.raises(ScenarioError, match="No such file"):
        load_scenario(tmp_path / "none.toml")


def test_a_topology_of_ones_own_is_looked_for_beside_the_scenario(tmp_path: Path) -> None:
    with pytest.raises(ImplError, match=r"own\.toml: cannot be read"):
        read(tmp_path, GOOD.replace('flow = "vmware-to-azure"', 'flow = "own.toml"'))
    (tmp_path / "own.toml").write_text('id = "hyper-v-site-to-azure"\nextends = "hyper-v-site-to-azure"\n', encoding="utf-8")


def test_a_network_and_clocks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    text = GOOD.replace("[policy]", '[network]\nlosses = 0.1\ndamages = 0.2\nlatest = "1m"\n[policy]')
    path.write_text(text + '[[steps]]\nclock = -5.5\nside = "recovery"\n')
    scenario = load_scenario(path)
    assert scenario.network == Network(losses=0.1, damages=0.2, latest=60)
    assert (scenario.steps[-1].verb, scenario.steps[-1].amount, scenario.steps[-1].side) == ("clock", -5.5, "recovery")
    path.write_text(text.replace("losses = 0.1", "losses = 1"))
    with pytest.raises(ScenarioError, match=r"network\.losses: found 1; expected a number of at least 0 and at most 0\.9"):
        load_scenario(path)
    path.write_text(GOOD)
    assert load_scenario(path).network == Network()
