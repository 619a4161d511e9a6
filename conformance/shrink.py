"""One shrinker for all engines: commands first, then arguments, then a certificate that nothing more can go.

Rules
1. A smaller case counts only if it breaks the same promise. (Another failure is another bug; it would hide this one.)
2. Commands are removed in chunks of halving size (delta debugging), then one by one until none can go, then in pairs (a
   fault and its healing go together), then in stretches with the sides exchanged in what follows (a failover and all that
   belongs to it). Arguments become simpler: fewer machines, no replication group, block 0, shorter waits, `latest`, seed 0.
3. The result is *1-minimal*, and that is certified, not assumed: for each remaining command `removal` says what happens
   without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs

from siteproof.conformance.case import (
    POINTED,
    Advance,
    Case,
    Command,
    Fault,
    Heal,
    Operate,
    Scenario,
    Settle,
    StartMachine,
    Steps,
    Write,
)
from siteproof.conformance.closure import Promised
from siteproof.conformance.content import Base
from siteproof.conformance.results import Counterexample, Divergence
from siteproof.conformance.session import DriverFactory, Session

__all__ = ["TRIES", "Shrunk", "counterexample_of", "seen_once", "shrink"]

MAX_RUNS = 4000
TRIES = 5
"""How often a case that failed is run again before it is said not to repeat."""
MANY = 24
"""Beyond this length pairs are not tried."""


@attrs.frozen
class Shrunk:
    """A smallest failing case. `minimal` is false only when the budget of runs ended first."""

    case: Case
    divergence: Divergence
    removal: tuple[str, ...]
    minimal: bool
    runs: int


class _Trial:
    """Runs cases and counts."""

    def __init__(self, factory: DriverFactory, promised: Promised, name: str, base: Base | None) -> None:
        self.factory, self.promised, self.name, self.base = factory, promised, name, base
        self.runs = 0

    def __call__(self, case: Case) -> Divergence | None:
        self.runs += 1
        base = self.base if self.base is not None and self.base.blocks == case.scenario.blocks else None
        session = Session(case.scenario, case.seed, self.factory, self.promised, name=self.name, base=base)
        for command in case.commands:
            if not session.step(command):
                break
        session.finish()
        return session.divergence


def shrink(
    case: Case,
    factory: DriverFactory,
    promised: Promised,
    *,
    name: str = "",
    base: Base | None = None,
    max_runs: int = MAX_RUNS,
    on_progress: Callable[[str], None] | None = None,
) -> Shrunk | None:
    """The smallest case that breaks the promise that `case` breaks; None when `case` does not fail (any more)."""
    trial = _Trial(factory, promised, name, base)
    first = trial(case)
    if first is None:
        return None
    best, why = attrs.evolve(case, commands=case.commands[: first.step + 1]), first

    def better(candidate: Case) -> bool:
        nonlocal best, why
        if trial.runs >= max_runs or candidate == best:
            return False
        found = trial(candidate)
        if found is None or found.promise != first.promise:
            return False
        best, why = attrs.evolve(candidate, commands=candidate.commands[: found.step + 1]), found
        if on_progress is not None:
            on_progress(f"{len(best.commands)} of {len(case.commands)} commands left")
        return True

    if trial(best) is None:
        best = case
    while True:
        before = best
        _remove_chunks(lambda: best, better)
        _join_steps(lambda: best, better)
        _simplify(lambda: best, better)
        _remove_pairs(lambda: best, better)
        _remove_rounds(lambda: best, better)
        _remove_for_time(lambda: best, better)
        if best == before or trial.runs >= max_runs:
            break
    removal = tuple(_without(best, i, trial, first.promise) for i in range(len(best.commands)))
    minimal = all(told != _SAME for told in removal)
    return Shrunk(best, why, removal, minimal, trial.runs)


_SAME = "the same promise is broken without it"


def _without(case: Case, index: int, trial: _Trial, promise: str) -> str:
    found = trial(attrs.evolve(case, commands=(*case.commands[:index], *case.commands[index + 1 :])))
    if found is None:
        return "passes without it"
    if found.promise == promise:
        return _SAME
    return f"without it {found.promise} is broken instead: {found.sentence}"


def _remove_chunks(now: Callable[[], Case], better: Callable[[Case], bool]) -> None:
    size = max(1, len(now().commands) // 2)
    while size:
        start, changed = 0, False
        while start < len(now().commands):
            commands = now().commands
            if better(attrs.evolve(now(), commands=(*commands[:start], *commands[start + size :]))):
                changed = True
            else:
                start += size
        if size > 1:
            size //= 2
        elif not changed:
            return


def _join_steps(now: Callable[[], Case], better: Callable[[Case], bool]) -> None:
    """Internal steps in a row: one command instead of two, without a look in between."""
    i = 0
    while i + 1 < len(now().commands):
        commands = now().commands
        match commands[i : i + 2]:
            case (Steps(one), Steps(two)) if better(
                attrs.evolve(now(), commands=(*commands[:i], Steps(one + two), *commands[i + 2 :]))
            ):
                continue
        i += 1


def _remove_pairs(now: Callable[[], Case], better: Callable[[Case], bool]) -> None:
    i = 0
    while i < len(now().commands) <= MANY:
        j = i + 1
        while j < len(now().commands):
            commands = now().commands
            if better(attrs.evolve(now(), commands=(*commands[:i], *commands[i + 1 : j], *commands[j + 1 :]))):
                j = i + 1
            else:
                j += 1
        i += 1


def _remove_rounds(now: Callable[[], Case], better: Callable[[Case], bool]) -> None:
    """A stretch of commands may only have brought the machine to its other side: try without it, the sides exchanged."""
    count = len(now().commands)
    if count > MANY:
        return None
    for size in range(count - 2, 1, -1):
        for start in range(count - size + 1):
            commands = now().commands
            if len(commands) != count:
                return _remove_rounds(now, better)
            after = tuple(_mirrored(c) for c in commands[start + size :])
            better(attrs.evolve(now(), commands=(*commands[:start], *after)))
    return None


def _mirrored(command: Command) -> Command:
    """The command with primary and recovery exchanged."""
    match command:
        case Write(side=side) | StartMachine(side=side):
            return attrs.evolve(command, side="recovery" if side == "primary" else "primary")
        case Fault("primary-site"):
            return Fault("recovery-site")
        case Fault("recovery-site"):
            return Fault("primary-site")
        case Heal("primary-site"):
            return Heal("recovery-site")
        case Heal("recovery-site"):
            return Heal("primary-site")
    return command


def _remove_for_time(now: Callable[[], Case], better: Callable[[Case], bool]) -> None:
    """A command may only hurry things up: try without it, with longer waits."""
    for seconds in (60, 300, 600, 7200):
        i = 0
        while i < len(now().commands) <= MANY:
            rest = [*now().commands[:i], *now().commands[i + 1 :]]
            waits = any(isinstance(c, Advance | Steps) for c in rest)
            longer = tuple(Advance(seconds) if isinstance(c, Advance | Steps) else c for c in rest)
            if not (waits and better(attrs.evolve(now(), commands=longer))):
                i += 1


def _simplify(now: Callable[[], Case], better: Callable[[Case], bool]) -> None:
    for scenario in _scenarios(now()):
        better(attrs.evolve(now(), scenario=scenario))
    if now().seed:
        better(attrs.evolve(now(), seed=0))
    index = 0
    while index < len(now().commands):
        for simpler in list(_simpler(now().commands[index], now().scenario.machines)):
            commands = now().commands
            if index < len(commands):
                better(attrs.evolve(now(), commands=(*commands[:index], simpler, *commands[index + 1 :])))
        index += 1


def _scenarios(case: Case) -> Iterator[Scenario]:
    scenario = case.scenario
    used = {m for c in case.commands if (m := getattr(c, "machine", None))}
    if len(scenario.machines) > max(1, len(used)):
        yield scenario.with_machines(tuple(m for m in scenario.machines if m in used) or scenario.machines[:1])
    for group in scenario.groups:
        yield attrs.evolve(scenario, groups={g: members for g, members in scenario.groups.items() if g != group})
    if scenario.disks > 1 and not any(isinstance(c, Write) and c.disk for c in case.commands):
        yield attrs.evolve(scenario, disks=1)


def _simpler(command: Command, machines: Sequence[str]) -> Iterator[Command]:
    """Simpler commands, the simplest first."""
    match command:
        case Write(block=block, disk=disk, cached=cached):
            if disk:
                yield attrs.evolve(command, disk=0)
            if cached:
                yield attrs.evolve(command, cached=False)
            for smaller in sorted({0, 1, block // 2}):
                if smaller < block:
                    yield attrs.evolve(command, block=smaller)
        case Operate(operation=operation, point=point) if operation in POINTED:
            named = ("latest-processed", "point:0", "point:-1")
            pool = named if operation == "ChangePit" else ("latest", *named)
            for simpler in pool[: pool.index(point) if point in pool else len(pool)]:
                yield attrs.evolve(command, point=simpler)
        case Advance(seconds=seconds):
            yield Settle()
            for fewer in (1, 10, 60, 600):
                if fewer < seconds:
                    yield Advance(fewer)
        case Steps(count=count):
            for fewer in sorted({1, count // 2}):
                if 0 < fewer < count:
                    yield Steps(fewer)
        case _:
            pass
    if isinstance(command, Operate | Write | StartMachine) and command.machine != machines[0]:
        yield attrs.evolve(command, machine=machines[0])


def counterexample_of(
    case: Case,
    factory: DriverFactory,
    promised: Promised,
    *,
    seed: int = 0,
    base: Base | None = None,
    name: str = "",
    smaller: bool = True,
    on_progress: Callable[[str], None] | None = None,
    seen: Session | None = None,
) -> Counterexample:
    """Shrink a failing case, run it once more with records, and tell it. With `seen`, the session that failed: where the case
    does not fail again, that is told as it was. Without it, `RuntimeError`."""
    small = shrink(case, factory, promised, name=name, base=base, on_progress=on_progress) if smaller else None
    last = small.case if small is not None else case
    session = Session(last.scenario, last.seed, factory, promised, name=name, record=True)
    for command in last.commands:
        if not session.step(command):
            break
    session.finish()
    divergence = session.divergence or (small.divergence if small is not None else None)
    if session.divergence is None and seen is not None:
        trial = _Trial(factory, promised, name, base)
        again = sum(trial(case) is not None for _ in range(TRIES))
        return seen_once(seen, seed, f"seen once; {f'repeated {again} times' if again else 'did not repeat'} in {TRIES} tries")
    if divergence is None:
        raise RuntimeError("a case that failed does not fail again: the driver does not repeat itself")
    return Counterexample(
        last.to_json(),
        session.records,
        divergence,
        len(case.commands),
        small is not None and small.minimal,
        small.removal if small is not None else (),
        seed,
        session.model_before,
        session.model_after,
    )


def seen_once(session: Session, seed: int, repeats: str) -> Counterexample:
    """What a session saw, as it was seen: neither repeated nor shrunk."""
    assert session.divergence is not None
    return Counterexample(
        session.case.to_json(), session.records, session.divergence, len(session.commands), False, (), seed, repeats=repeats
    )
