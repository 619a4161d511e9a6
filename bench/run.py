"""Speed, as ratios against a baseline in the same run: `python bench/run.py [--json FILE] [--seconds S]`.

Rules
1. Absolute figures depend on the machine and what else it does; the load average stands beside them. The ratio is what counts.
2. Each pair is measured in turn, several times (A B A B …); medians are shown.
3. Nothing here is a test: no figure makes anything fail.

What is compared:

* a step of the model, compiled, against the same step evaluated on z3 terms;
* breadth-first search over tuples with compiled steps, against the same search over attrs values that are evolved;
* campaign steps checked by the oracle, from the state-guided engine, against those from the plain Hypothesis machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import z3

from siteproof.conformance.drivers.registry import driver_factory
from siteproof.conformance.runner import campaign
from siteproof.model.promise import promise_model
from siteproof.model.readings.python import CompiledModel, State, compile_model
from siteproof.model.topology import load_topology

FLOW = "hyper-v-to-secondary-site"


def per_second(work: Callable[[], int], seconds: float) -> float:
    """How many units `work` does per second; it answers how many one call did."""
    done, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        done += work()
    return done / spent


def some_states(compiled: CompiledModel, count: int, chance: random.Random) -> list[State]:
    """States of random walks from the start."""
    state, found = compiled.initial, []
    instances = [(a, i) for a in compiled.actions.values() for i in a.action.instances()]
    while len(found) < count:
        action, arguments = chance.choice(instances)
        state = action.step(state, *arguments) or state
        found.append(state)
    return found


def compiled_steps(compiled: CompiledModel, states: list[State]) -> Callable[[], int]:
    steps = [(a.step, i) for a in compiled.actions.values() for i in a.action.instances()]

    def work() -> int:
        for state in states:
            for step, arguments in steps:
                step(state, *arguments)
        return len(states) * len(steps)

    return work


def solver_steps(compiled: CompiledModel, states: list[State]) -> Callable[[], int]:
    """The guard of each action evaluated on z3 terms by substitution, and its effects where it holds."""
    model = compiled.model
    constants = [v.domain.constant(v.name) for v in model.variables]

    def value(code: int | bool) -> Any:
        return z3.BoolVal(code) if isinstance(code, bool) else z3.IntVal(code)

    def work() -> int:
        state = states[0]
        states.append(states.pop(0))
        pairs = [(c, value(code)) for c, code in zip(constants, state, strict=True)]
        done = 0
        for action in model.actions:
            for arguments in action.instances():
                given = pairs + [
                    (p.domain.constant(f"arg:{p.name}"), value(code))
                    for p, code in zip(action.parameters, arguments, strict=True)]
                if z3.is_true(z3.simplify(z3.substitute(action.enabled, *given))):
                    for effect in action.changes.values():
                        z3.simplify(z3.substitute(effect, *given))
                done += 1
        return done

    return work


def tuple_search(compiled: CompiledModel, limit: int) -> Callable[[], int]:
    steps = [(a.step, i) for a in compiled.actions.values() for i in a.action.instances()]

    def work() -> int:
        seen, todo = {compiled.initial}, [compiled.initial]
        for state in todo:
            for step, arguments in steps:
                after = step(state, *arguments)
                if after is not None and after not in seen:
                    seen.add(after)
                    todo.append(after)
            if len(seen) > limit:
                break
        return len(seen)

    return work


def attrs_search(compiled: CompiledModel, limit: int) -> Callable[[], int]:
    names = compiled.model.names
    value = attrs.make_class("Value", list(names), frozen=True, slots=True)
    steps = [(a, i) for a in compiled.actions.values() for i in a.action.instances()]

    def work() -> int:
        first = value(*compiled.initial)
        seen, todo = {first}, [first]
        for state in todo:
            now = attrs.astuple(state)
            for action, arguments in steps:
                raw = action.step(now, *arguments)
                if raw is None:
                    continue
                changed = {n: raw[compiled.position[n]] for n in action.action.changes}
                after = attrs.evolve(state, **changed)
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
            if len(seen) > limit:
                break
        return len(seen)

    return work


def checked_steps(engine: str, seconds: float) -> Callable[[], int]:
    seeds = iter(range(1_000_000))
    factory = driver_factory("bundled")
    return lambda: campaign(FLOW, factory, engine, next(seeds), seconds, shrink=False).steps


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each measurement takes")
    chosen = parser.parse_args()
    compiled = compile_model(promise_model(FLOW, load_topology(FLOW).facts))
    states = some_states(compiled, 200, random.Random(1))
    pairs: list[tuple[str, str, Callable[[], int], Callable[[], int]]] = [
        ("model steps", "compiled / z3 terms", compiled_steps(compiled, states), solver_steps(compiled, list(states))),
        ("states searched", "tuples / attrs", tuple_search(compiled, 20_000), attrs_search(compiled, 5_000)),
        ("checked steps", "state-guided / Hypothesis", checked_steps("random", chosen.seconds),
         checked_steps("hypothesis", chosen.seconds)),
    ]
    rows = []
    for what, names, one, two in pairs:
        figures = [(per_second(one, chosen.seconds), per_second(two, chosen.seconds)) for _ in range(3)]
        a, b = (statistics.median(f[k] for f in figures) for k in (0, 1))
        ratio = statistics.median(x / y for x, y in figures)
        rows.append({"what": what, "compared": names, "per_second": a, "baseline_per_second": b, "ratio": ratio})
        sys.stdout.write(f"{what:16} {names:26} {a:14,.0f}/s {b:12,.0f}/s   ratio {ratio:8.1f}\n")
    load = os.getloadavg()[0]
    sys.stdout.write(f"load average {load:.1f}, {os.cpu_count()} processors; medians of 3 pairs\n")
    if chosen.json:
        chosen.json.write_text(json.dumps({"schema": 1, "load": load, "rows": rows}, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
