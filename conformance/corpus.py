"""What campaigns keep of each other: the shortest way to every state of the model that was met, and what has been done already.

Rules
1. A *way* is the beginning of a case: the commands that led to a state, with the case's seed. States are told apart by what
   matters to what can happen next: the lifecycle, the faults that are there, whether the replica lags or has what is in no point
   yet, what runs, whether the epochs agree. Of two ways to one state the shorter one is kept.
2. Two runs on one corpus do not repeat each other. Seeds that were drawn are written down, and a later run draws others; cases of
   the sweep that were run are known by their digest and passed over; transitions that were covered count as met, so that engines
   look for the others. A tour or a lockstep begins anew where it was not brought to its end.
3. In a folder a corpus is one file for each flow and driver, `FLOW.DRIVER.json`: versioned, and written whole under another name
   before it takes the old one's place, so that a run that is cut off leaves the one from before.
4. Nothing of it is believed. A way is only a beginning of a case, which the system under test goes again, and is judged on.
   What was kept for another version of the topology is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from siteproof.conformance.case import Command, Scenario, command_from_json, command_to_json
from siteproof.conformance.closure import Abstract
from siteproof.conformance.coverage import Switch
from siteproof.conformance.errors import CaseError
from siteproof.conformance.session import Session
from siteproof.model.errors import SiteproofError, UsageError, one_line
from siteproof.model.topology import Topology

__all__ = ["FORMAT", "Corpus", "CorpusError", "Way", "digest_of"]

FORMAT = 1
KIND = "siteproof corpus"

Shape = tuple[int, int, int]
"""Machines, disks and replication groups of a case."""


class CorpusError(SiteproofError):
    """A file of a corpus is damaged, or of something else."""

    exit_code = 4

    def __init__(self, file: Path, found: str, expected: str, mend: str) -> None:
        super().__init__(str(file), found, expected, mend)
        self.file, self.found, self.expected, self.mend = str(file), one_line(found), expected, mend

    def __str__(self) -> str:
        return f"{self.file}: found {self.found}; expected {self.expected}; to mend: {self.mend}"


@attrs.define
class Way:
    """How a state was reached: commands and the case's seed; the lifecycle states of its machines; how often it was chosen."""

    commands: tuple[Command, ...]
    seed: int
    here: tuple[Abstract, ...]
    used: int = 1


def digest_of(commands: Sequence[Command]) -> str:
    """By what a case that was run is known again."""
    said = json.dumps([command_to_json(one) for one in commands], sort_keys=True)
    return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()


@attrs.define
class Corpus:
    """Ways by shape and state; how many commands were given in each lifecycle state; seeds of the runs, digests of the cases that
    are not to be run again, and the transitions that were covered."""

    ways: dict[Shape, dict[str, Way]] = attrs.field(factory=dict)
    been: Counter[tuple[Abstract, ...]] = attrs.field(factory=Counter)
    seeds: list[int] = attrs.field(factory=list)
    done: set[str] = attrs.field(factory=set)
    met: set[Switch] = attrs.field(factory=set)

    def __len__(self) -> int:
        return sum(len(ways) for ways in self.ways.values())

    def fresh(self, seed: int) -> int:
        """A seed for a run that asked for `seed`: itself, or, where a run had it, one that is drawn from it. It is taken down."""
        chance, drawn = random.Random(seed), seed
        while drawn in self.seeds:
            drawn = chance.getrandbits(31)
        self.seeds.append(drawn)
        return drawn

    def has(self, scenario: Scenario) -> bool:
        """Whether there is a way for cases of this size."""
        return bool(self.ways.get(scenario.shape))

    def chosen(self, scenario: Scenario, chance: random.Random) -> Way:
        """A way to a state that was chosen seldom, and in whose lifecycle few commands were given; of some, if there is one."""
        ways = self.ways[scenario.shape]
        some = chance.sample(list(ways.values()), min(6, len(ways)))
        way = min(some, key=lambda one: (self.been[one.here] * one.used, len(one.commands)))
        way.used += 1
        return way

    def remember(self, session: Session) -> None:
        """Take in where a session is now."""
        key: list[Any] = [sorted(session.faults)]
        here: tuple[Abstract, ...] = ()
        for factor in session.factors.values():
            state = next(iter(factor.candidates))[0]
            at = factor.promised.at
            lifecycle = factor.promised.lifecycle(state)
            here = (*here, lifecycle)
            key += [
                lifecycle,
                state[at.head] > state[at.passive],
                state[at.passive] > state[at.latest],
                state[at.running],
                state[at.passive_running],
                state[at.epoch] == state[at.passive_epoch],
                bool(state[at.cached]),
                min(2, len(factor.points)),
            ]
        self.been[here] += 1
        self._keep(session.scenario.shape, repr(key), Way(tuple(session.commands), session.seed, here))

    def _keep(self, shape: Shape, key: str, way: Way) -> None:
        ways = self.ways.setdefault(shape, {})
        known = ways.get(key)
        if known is None or len(way.commands) < len(known.commands):
            ways[key] = attrs.evolve(way, used=known.used if known else way.used)

    def join(self, other: Corpus) -> None:
        """Take in what another campaign has kept."""
        for shape, ways in other.ways.items():
            for key, way in ways.items():
                self._keep(shape, key, way)
        self.been.update(other.been)
        self.seeds += [seed for seed in other.seeds if seed not in self.seeds]
        self.done |= other.done
        self.met |= other.met

    # ------------------------------------------------------------------------------------------------------------- files

    @classmethod
    def load(cls, folder: Path, topology: Topology, driver: str) -> Corpus:
        """What a folder keeps for a flow and a driver; an empty one where it has nothing yet. Raises `CorpusError`."""
        file = _file(folder, topology, driver)
        again = "name another folder, or remove the file: what it keeps is then found anew"
        try:
            row = json.loads(file.read_text("utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:
            raise CorpusError(file, f"a file that cannot be read ({error})", "a corpus that a run has written", again) from None
        if not isinstance(row, dict) or row.get("kind") != KIND or row.get("format") != FORMAT:
            found = f"{row.get('kind')!r} of format {row.get('format')!r}" if isinstance(row, dict) else "no object"
            raise CorpusError(file, found, f"{KIND!r} of format {FORMAT}", again)
        if row.get("topology") != _digest(topology):
            raise CorpusError(file, f"ways of another version of {topology.id}", "those of the topology as it is now", again)
        try:
            return cls._read(row)
        except (CaseError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorpusError(file, f"content that does not fit ({error})", "a corpus as it was written", again) from None

    @classmethod
    def _read(cls, row: dict[str, Any]) -> Corpus:
        found = cls(seeds=list(map(int, row["seeds"])), done=set(map(str, row["done"])))
        found.met = {(_tuples(here), str(command), str(verdict)) for here, command, verdict in row["met"]}
        found.been = Counter({_tuples(here): int(times) for here, times in row["been"]})
        for one in row["ways"]:
            commands = tuple(command_from_json(command, "command") for command in one["commands"])
            way = Way(commands, int(one["seed"]), _tuples(one["here"]), int(one["used"]))
            shape = int(one["machines"]), int(one["disks"]), int(one.get("groups", 0))
            found._keep(shape, str(one["state"]), way)
        return found

    def save(self, folder: Path, topology: Topology, driver: str) -> None:
        """Write it (rule 3). Raises `UsageError` where that cannot be done."""
        row = {
            "kind": KIND, "format": FORMAT, "topology": _digest(topology), "seeds": self.seeds, "done": sorted(self.done),
            "met": sorted((list(one) for one in self.met), key=repr),
            "been": [[list(here), times] for here, times in self.been.items()],
            "ways": [
                {"machines": shape[0], "disks": shape[1], "groups": shape[2], "state": key, "here": way.here, "seed": way.seed,
                 "used": way.used, "commands": [command_to_json(command) for command in way.commands]}
                for shape, ways in sorted(self.ways.items()) for key, way in sorted(ways.items())
            ],
        }  # fmt: skip
        file = _file(folder, topology, driver)
        draft = file.with_suffix(f".{os.getpid()}.draft")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as stream:
                json.dump(row, stream, separators=(",", ":"))
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(file)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise UsageError(f"--corpus {folder}: {error}", "a folder that can be written", "name another one") from None

    def beginning_of(self) -> Corpus:
        """What a campaign beside this one begins with: everything but the seeds of others."""
        return attrs.evolve(self, ways={s: dict(w) for s, w in self.ways.items()}, been=self.been.copy(), seeds=[],
                            done=set(self.done), met=set(self.met))  # fmt: skip


def _file(folder: Path, topology: Topology, driver: str) -> Path:
    return folder / f"{topology.id}.{re.sub(r'[^A-Za-z0-9._+~-]+', '-', driver)[:80]}.json"


def _digest(topology: Topology) -> str:
    return hashlib.blake2b(repr(sorted(topology.facts.items())).encode(), digest_size=8).hexdigest()


def _tuples(value: Iterable[Any]) -> Any:
    """Lists as tuples, all the way down."""
    return tuple(_tuples(one) if isinstance(one, list) else one for one in value)
