"""The command line, `siteproof`.

Rules
1. A user's mistake is one clear line on standard error and exit code 4; there is no traceback for it. An exception that we
   did not expect is a bug of ours: exit code 5, one line that asks to report it and says where the traceback is.
2. `--help` and a mistyped option answer at once: nothing that imports a solver is loaded before a verb needs it.
3. What a verb found goes to standard output, progress and errors to standard error, JSON where `--json` says.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; answers the exit code."""
    from siteproof.conformance.cli.faults import guarded

    return guarded(list(sys.argv[1:] if arguments is None else arguments))
