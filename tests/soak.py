"""Tests that take minutes: they run on demand, and are told as skipped otherwise.

`SITEPROOF_SOAK=1 pytest tests` runs them, too.
"""

import os

import pytest

__all__ = ["SOAKING", "soak"]

SOAKING = os.environ.get("SITEPROOF_SOAK") == "1"
soak = pytest.mark.skipif(not SOAKING, reason="takes minutes: SITEPROOF_SOAK=1 runs it")
