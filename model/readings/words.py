"""The promise level's variables in reviewers' words. Pure data, so that a report needs no solver for it.

Rules
1. A truth value is called by the sentence that it is the truth of; anything else by a noun, or by its name where
   that says it.
2. The protocol level uses the same names for the same things, so the words are good for both, and for no other level.
3. A denied sentence denies its first verb.
"""

from __future__ import annotations

import re

__all__ = ["LEVELS", "WORDS", "named", "noun", "sentence"]

LEVELS = ("promise", "protocol")
"""The levels whose variables these are."""

WORDS = {
    "x_fate": "the fate of the marked write",
    "x_at": "the marked write's position",
    "x_active": "the machine's disk holds the marked write",
    "x_passive": "the other side holds the marked write",
    "x_latest": "the newest point holds the marked write",
    "x_point": "the kept point holds the marked write",
    "x_app": "the newest app-consistent point holds the marked write",
    "x_test": "the test copy holds the marked write",
    "x_staged": "the comparison has found the marked write at the machine",
    "x_gap": "the marked write is missing both in the change log and on the other side",
    "active": "the machine is at",
    "half": "the first half of the job is done",
    "disturbed": "a fault or a restart has struck meanwhile",
    "chosen": "point asked for",
    "changed": "the machine was set to another point since its failover",
    "test": "test failover",
    "resync": "resynchronisation",
    "doubt": "the change log is in doubt after a fault",
    "spoiled": "the change log is spoiled",
    "test_running": "the test copy runs",
    "staged": "writes at the machine when the sides were compared",
    "test_at": "writes in the test copy's point",
    "pinned": "the kept point is the test copy's",
    "epoch": "epoch at the machine's side",
    "passive_epoch": "epoch known at the other side",
    "running": "the machine runs",
    "passive_running": "the other side runs",
    "reboots": "the machine starts again with its site",
    "passive_reboots": "the other side starts again with its site",
    "head": "writes acknowledged",
    "cached": "writes in the machine's cache",
    "passive": "writes at the other side",
    "passive_cached": "writes in the other side's cache",
    "fork": "writes at which the last failover branched off",
    "points": "recovery points are advertised",
    "latest": "writes in the newest point",
    "point": "the kept point is advertised",
    "point_at": "writes in the kept point",
    "app": "an app-consistent point is advertised",
    "app_at": "writes in the newest app-consistent point",
    "received": "writes reported as received",
    "received_known": "writes received are reported",
    "loss": "writes reported as lost",
    "loss_known": "the loss is reported",
    "alerted": "the alert StaleSideFenced was raised",
    "primary_up": "the primary site is up",
    "recovery_up": "the recovery site is up",
    "link_up": "the link is up",
    "gateway_up": "the gateway is up",
}

_NOUNS = {"active": "the machine's side", "x_fate": "the marked write", "resync": "resynchronisation"}
"""Where a label is no noun that a sentence can go on from: “the marked write is discarded”."""


def named(variable: str) -> str:
    """A variable as a label, to be followed by its value."""
    return WORDS.get(variable, variable.replace("_", " "))


def noun(variable: str) -> str:
    """A number or a choice within a sentence."""
    word = _NOUNS.get(variable) or WORDS.get(variable)
    if word is None:
        return variable.replace("_", " ")
    return "the number of " + word if word.startswith("writes ") else word if word.startswith("the ") else "the " + word


_DENIED = {"holds": "does not hold", "runs": "does not run", "starts": "does not start"}


def sentence(told: str, yes: bool) -> str:
    """A sentence, or its denial."""
    if yes:
        return told
    verb = r"\b(holds|runs|starts|is|are|was|has)\b"
    denied, times = re.subn(verb, lambda one: _DENIED.get(one[0], f"{one[0]} not"), told, count=1)
    return denied if times else f"not ({told})"
