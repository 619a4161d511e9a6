"""Seeds for tests that draw: the same on every run, so that a green suite stays green; others on demand.

`SITEPROOF_SEED=7 pytest tests` asks other questions than the suite does by default. A test prints the seed that it used.
"""

import os
import zlib

__all__ = ["seed_for"]


def seed_for(name: str) -> int:
    """The seed of the test that goes by `name`."""
    return zlib.crc32(f"{name} {os.environ.get('SITEPROOF_SEED', '')}".encode()) >> 1
