"""How long a what-if takes: every single fact of every flow turned over, one at a time.

`python bench/whatif.py [FLOW…] [--limit S] [--json FILE]`

Rules
1. Each flip is proved as `siteproof prove --what-if` proves the changed flow: all promises, within `--limit` seconds.
   Facts that cannot be turned over alone (they would contradict another one) are listed and not measured.
2. A row says what was lost against the flow as documented, and which promises stayed undetermined: those are the failures that
   this script looks for. Claims of a promise that is refuted already are not pursued; they are counted as *left*. The slowest
   rows come first in the summary.
3. Nothing here is a test: no figure makes anything fail.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from siteproof.model.errors import UsageError
from siteproof.model.prove import prove
from siteproof.model.results import ProofReport, Verdict
from siteproof.model.topology import FACTS, builtin_topologies, load_topology


def flips(flow: str, limit: float) -> list[dict[str, Any]]:
    """One row for the flow as documented and for each of its facts."""
    topology = load_topology(flow)
    documented = prove(topology, time_limit=limit)
    rows = [row(flow, "", documented, documented)]
    for fact in FACTS:
        change = {fact: not topology.facts[fact]}
        try:
            topology.with_facts(change)
        except UsageError as error:
            rows.append({"flow": flow, "fact": fact, "impossible": str(error)})
            continue
        rows.append(row(flow, fact, documented, prove(topology, None, change, time_limit=limit)))
        print(told(rows[-1]), flush=True)
    return rows


def row(flow: str, fact: str, documented: ProofReport, report: ProofReport) -> dict[str, Any]:
    """One measurement as data."""
    claims = [claim for promise in report.promises for claim in promise.claims]
    return {
        "flow": flow,
        "fact": fact,
        "seconds": round(report.seconds, 2),
        "lost": sorted(set(documented.kept) - set(report.kept)),
        "refuted": sum(claim.verdict is Verdict.REFUTED for claim in claims),
        "undetermined": [row.id for row in report.promises if row.verdict is Verdict.UNDETERMINED],
        "left": sum(claim.verdict is Verdict.UNDETERMINED for row in report.promises for claim in row.claims
                    if row.verdict is Verdict.REFUTED),
        "longest": max((len(claim.trace.steps) for claim in claims if claim.trace is not None), default=0),
        "not_shortest": sum(claim.trace is not None and not claim.trace.shortest for claim in claims),
    }


def told(entry: dict[str, Any]) -> str:
    """A row in words."""
    if "impossible" in entry:
        return f"{entry['flow']:26} {entry['fact']:36} cannot be turned over alone"
    lost = ", ".join(entry["lost"]) or "nothing"
    unsettled = f"; UNDETERMINED {', '.join(entry['undetermined'])}" if entry["undetermined"] else ""
    return (f"{entry['flow']:26} {entry['fact'] or 'as documented':36} {entry['seconds']:7.2f} s  "
            f"loses {lost}; {entry['refuted']} refuted, longest trace {entry['longest']}, {entry['left']} left{unsettled}")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("flows", nargs="*", help="built-in ids or files; all built-in flows if none is given")
    parser.add_argument("--limit", type=float, default=120.0, metavar="S", help="seconds for each proof")
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    rows = [one for flow in chosen.flows or builtin_topologies() for one in flips(flow, chosen.limit)]
    measured = [one for one in rows if one.get("fact") and "seconds" in one]
    seconds = sorted(one["seconds"] for one in measured)
    print(f"\n{len(measured)} flips measured, {sum('impossible' in one for one in rows)} impossible alone; median "
          f"{statistics.median(seconds):.1f} s, slowest {seconds[-1]:.1f} s, all {sum(seconds):.0f} s; "
          f"undetermined promises: {sum(len(one['undetermined']) for one in measured)}; load {os.getloadavg()[0]:.1f}")
    for one in sorted(measured, key=lambda entry: -float(entry["seconds"]))[:10]:
        print(told(one))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"python": sys.version.split()[0], "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
