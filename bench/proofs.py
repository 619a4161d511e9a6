"""What lemmas are worth, and what proofs cost: `python bench/proofs.py [--flow ID …] [--spacer S] [--necessity]`.

Rules
1. For each flow, the claims of the promise level are asked of plain induction twice: with the lemmas that people wrote, and with
   nothing but the claims themselves. Then Spacer gets some seconds for what is open without lemmas.
2. Then the whole job, `prove` with certificates that two solvers check, is timed level by level.
3. With `--necessity`, instead, each level's matrix is made twice: with the lemmas and runs that are kept in
   `specs/kept.toml`, and without them, so that they have to be found anew.
4. Seconds are processor time of this process; the load average stands beside them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from siteproof.model.engines.horn import infer
from siteproof.model.engines.induction import induct, proves
from siteproof.model.engines.obligations import goals_of, invariant_candidates
from siteproof.model.levels import level, levels
from siteproof.model.necessity import Need, shares, worked_out
from siteproof.model.prove import prove
from siteproof.model.topology import builtin_topologies, load_topology


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` answers, and processor seconds."""
    began = time.process_time()
    answer = work()
    return answer, time.process_time() - began


def lemmas(flow: str, spacer: float) -> None:
    """Claims proved with and without lemmas."""
    of = level("promise")
    model = of.build(flow, load_topology(flow).facts)
    goals = [goal for goal in goals_of(model, of.promises) if goal.built.applies]
    for words, known in (("with lemmas", of.lemmas), ("without lemmas", ())):
        def ask(known: Any = known) -> Any:
            found = induct(model, invariant_candidates(model, known, goals))
            return found.invariant, proves(model, found.invariant, goals)

        (invariant, told), seconds = timed(ask)
        open_ = [goal for goal in goals if told[goal.key].answer != "unsat"]
        print(f"{flow}: {words}: {len(goals) - len(open_)} of {len(goals)} claims by plain induction in {seconds:.1f} s")
    settled, began = 0, time.perf_counter()
    for goal in open_:
        left = spacer - (time.perf_counter() - began)
        if left < 1:
            break
        found = infer(model, goal, invariant, max_seconds=min(10.0, left))
        if found.invariant is not None:
            settled, invariant = settled + 1, found.invariant
    print(f"{flow}: without lemmas, Spacer in {time.perf_counter() - began:.0f} s: {settled} of {len(open_)} more")


def whole(flow: str) -> None:
    """The whole job, level by level."""
    topology, total = load_topology(flow), 0.0
    for one in levels():
        if one.applies(topology.facts):
            with tempfile.TemporaryDirectory() as folder:
                found, seconds = timed(lambda id=one.id, at=folder: prove(
                    topology, certificate_dir=Path(at) / "proofs", among=[id]))
            total += seconds
            rows = [row for row in found.promises if row.confirmed_by]
            claims = sum(len(row.claims) for row in rows)
            print(f"{flow}: {one.id}: {claims} claims of {len(rows)} promises confirmed by"
                  f" {' and '.join(found.solvers)} in {seconds:.1f} s")
    print(f"{flow}: all levels {total:.1f} s")


def matrix(flow: str) -> None:
    """The necessity matrix, level by level, with kept lemmas and without."""
    topology = load_topology(flow)
    for words, kept in (("with what is kept", None), ("without", {})):
        total, open_ = 0.0, 0
        for share in shares([topology]):
            (rows, _), seconds = timed(lambda share=share, kept=kept: worked_out(share, 600.0, lambda _line: None, kept=kept))
            needs = Counter(row.need.value for row in rows)
            total, open_ = total + seconds, open_ + needs[Need.UNDETERMINED.value]
            print(f"{flow}: {share.level}: {words}: {len(rows)} preconditions in {seconds:.1f} s:"
                  f" {', '.join(f'{count} {need}' for need, count in sorted(needs.items()))}")
        print(f"{flow}: all levels, {words}: {total:.1f} s, {open_} undetermined")


def main() -> None:
    parser = argparse.ArgumentParser(description="What lemmas are worth, and what proofs cost.")
    parser.add_argument("--flow", action="append", choices=builtin_topologies(), help="one or more flows; all when none is given")
    parser.add_argument("--spacer", type=float, default=20.0, help="seconds for Spacer, for each flow")
    parser.add_argument("--necessity", action="store_true", help="the necessity matrix instead")
    given = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors; seconds are processor time")
    for flow in given.flow or builtin_topologies():
        if given.necessity:
            matrix(flow)
        else:
            lemmas(flow, given.spacer)
            whole(flow)


if __name__ == "__main__":
    main()
