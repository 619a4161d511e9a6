"""A small system for tests of explorations: one job that a server does, a fault, and a state called home."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from siteproof.model.system import (
    ActionRule,
    Facts,
    Model,
    Step,
    Vocabulary,
    build_model,
    choice,
    command,
    environment,
    flag,
    internal,
    nat,
)
from siteproof.model.terms import Not

__all__ = ["Small", "Task", "small_model"]


class Task(enum.Enum):
    NONE = "none"
    BACKUP = "Backup"


class Small(Vocabulary):
    task = choice(Task.NONE, "the job")
    up = flag(True, "the server works", shared=True)
    full = flag(False, "there is a backup")
    count = nat(0, "how often")


@command("Backup")
def ask(_t: Facts, m: Small) -> Step:
    """Ask for a backup."""
    return Step(requires=[m.task == Task.NONE, Not(m.full)], changes=[m.task.becomes(Task.BACKUP)])


@internal()
def finish(_t: Facts, m: Small) -> Step:
    """The backup is made."""
    return Step(requires=[m.task == Task.BACKUP, m.up], changes=[m.task.becomes(Task.NONE), m.full.becomes(True)])


@internal(fair=False)
def finish_by_luck(_t: Facts, m: Small) -> Step:
    """The backup may be made, or never."""
    return Step(requires=[m.task == Task.BACKUP, m.up], changes=[m.task.becomes(Task.NONE), m.full.becomes(True)])


@internal(fair=False)
def dither(_t: Facts, m: Small) -> Step:
    """The server looks up, and down."""
    return Step(requires=[m.task == Task.BACKUP, m.count == 0], changes=[m.count.becomes(1)])


@internal(fair=False)
def dither_back(_t: Facts, m: Small) -> Step:
    """The server looks down again."""
    return Step(requires=[m.task == Task.BACKUP, m.count == 1], changes=[m.count.becomes(0)])


@internal()
def finish_looking_up(_t: Facts, m: Small) -> Step:
    """The backup is made if the server happens to look up."""
    return Step(requires=[m.task == Task.BACKUP, m.count == 1], changes=[m.task.becomes(Task.NONE), m.full.becomes(True)])


@environment()
def fail(_t: Facts, m: Small) -> Step:
    """The server breaks."""
    return Step(requires=[m.up], changes=[m.up.becomes(False)])


@environment(heals=True)
def mend(_t: Facts, m: Small) -> Step:
    """The server is mended."""
    return Step(requires=[Not(m.up)], changes=[m.up.becomes(True)])


@environment()
def lose(_t: Facts, m: Small) -> Step:
    """The backup is lost."""
    return Step(requires=[m.full], changes=[m.full.becomes(False)])


RULES: dict[str, ActionRule] = {
    rule.name: rule for rule in (ask, finish, finish_by_luck, dither, dither_back, finish_looking_up, fail, mend, lose)}


def small_model(names: Sequence[str]) -> Model:
    """The system with the actions called so."""
    return build_model("small", "small", Small, [RULES[name] for name in names], {})
