"""`python -m siteproof.conformance.cli`, where no script is installed."""

from __future__ import annotations

import sys

from siteproof.conformance.cli import main

if __name__ == "__main__":
    sys.exit(main())
