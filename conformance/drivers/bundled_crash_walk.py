"""What the crash tests of several machines have in common: a history, a crash after each of its durable effects, and a judgement
of the system that goes on from there.

After each effect the world is copied as a crash would leave it, starts again, and is judged. *Pairs*: a second crash strikes
after an effect of the restart, until the system is at rest. A first walk counts how many pairs there are; a second one tries as
many as the budget says, spread evenly.

``Known`` is what somebody outside knows of the system when the crash strikes. Each kind of walk has its own.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from siteproof.conformance.drivers.bundled_crashes import Finding, Plan, Tally
from siteproof.conformance.drivers.bundled_judge import Broken
from siteproof.impl.errors import ImplError
from siteproof.impl.lab import Lab
from siteproof.impl.loader import Topology
from siteproof.impl.simulated_disk import Crash, SimulatedStorage
from siteproof.impl.values import BLOCK

__all__ = ["BLOCKS", "NOWHERE", "CrashWalk", "images_of_machines", "walk_with_pairs"]

NOWHERE = Path("/nowhere/siteproof")
"""A simulated disk needs a folder by name only."""
BLOCKS = 32
"""Blocks of the one disk of each machine."""
_DARK = {"none": (), "active": ("primary-site",), "passive": ("recovery-site",)}

Known = TypeVar("Known")


class CrashWalk(ABC, Generic[Known]):
    """Runs a history and all worlds that begin with a crash in it.

    Args:
        known: what is known outside when the history begins.
        every: a second crash strikes after each so manieth effect of all restarts, counted until each is at rest; 0: there is
            none, and they are only counted.
    """

    name: str
    """Of the history."""

    def __init__(
        self, topology: Topology, images: Mapping[str, Sequence[Path]], seed: int, plan: Plan, progress: Callable[[Tally], None],
        known: Known, every: int = 0,
    ) -> None:
        self.tally = Tally()
        self.topology, self.images, self.seed, self.known = topology, images, seed, known
        self.storage = SimulatedStorage()
        self._plan, self._progress, self._every = plan, progress, every

    # ------------------------------------------------------------------------------------------- what differs by walk

    @abstractmethod
    def lab(self, storage: SimulatedStorage, known: Known, *, resume: bool, down: Sequence[str] = ()) -> Lab:
        """The system; ``known`` takes in what reaches the world outside."""

    @abstractmethod
    def history(self, lab: Lab) -> None:
        """Everything that happens without a crash; crashes strike from where it sets the storage's listener to :meth:`effect`."""

    @abstractmethod
    def copied(self, known: Known) -> Known:
        """What is known at this moment, to be gone on with in a world of its own."""

    @abstractmethod
    def step(self) -> int:
        """How far the history is; for findings."""

    @abstractmethod
    def goes_on(self, lab: Lab, known: Known, down: Sequence[str], at_rest: Callable[[], None]) -> None:
        """What must hold after the crash.

        Args:
            down: faults that are not over, and end in the middle of this.
            at_rest: called when the system has come to rest after its restart.

        Raises:
            Broken: a word was not kept.
        """

    # ------------------------------------------------------------------------------------------------------ the walk

    def run(self) -> Tally:
        """Run the history; what it shows without any crash is judged as well."""
        try:
            with self.lab(self.storage, self.known, resume=False) as lab:
                self.history(lab)
        except (Broken, ImplError) as error:
            self._note("nothing", "there was no crash", "none", str(error))
        self.storage.listener = None
        self.tally.effects = self.storage.effects
        return self.tally

    def effect(self, name: str) -> None:
        """Something durable has happened: crash here."""
        if self.storage.effects % self._plan.every or len(self.tally.findings) >= self._plan.enough:
            return
        crashes = self._plan.crashes if self.storage.disk.unforced else self._plan.crashes[:1]
        ways = [(crash, dark) for crash in crashes for dark in self._plan.dark]
        if self._plan.in_turn:
            ways = [ways[self.tally.points % len(ways)]]
        self.tally.points += 1
        for crash, dark in ways:
            self._world(name, crash, dark)
        self._progress(self.tally)

    def _world(self, name: str, crash: Crash, dark: str) -> None:
        self.tally.worlds += 1
        chance = random.Random(f"{self.seed} {self.tally.worlds}")
        known, storage = self.copied(self.known), self.storage.after_crash(crash, chance)

        def again(effect: str) -> None:
            """An effect of the restart, after which a second crash may strike."""
            self.tally.pairs += 1
            if self._every and self.tally.pairs % self._every == 0:
                self.tally.second += 1
                twice = self.copied(known)
                self._judged(f"{name}, then {effect}", storage.after_crash(crash, chance), twice, crash, "none")

        storage.listener = again
        self._judged(name, storage, known, crash, dark)

    def _judged(self, name: str, storage: SimulatedStorage, known: Known, crash: Crash, dark: str) -> None:
        def at_rest() -> None:
            storage.listener = None

        try:
            with self.lab(storage, known, resume=True, down=_DARK[dark]) as lab:
                self.goes_on(lab, known, _DARK[dark], at_rest)
        except (Broken, ImplError, AssertionError, LookupError, TypeError, ValueError, RuntimeError, OSError) as error:
            self._note(name, crash.value, dark, str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}")

    def _note(self, name: str, crash: str, dark: str, text: str) -> None:
        self.tally.findings.append(Finding(self.name, self.step(), self.storage.effects, name, crash, dark, text))


def walk_with_pairs(walk: Callable[[int], CrashWalk[Known]], pairs: int) -> Tally:
    """A walk, and once more with second crashes: so many at most. ``walk`` makes one, given the argument ``every``."""
    tally = walk(0).run()
    if pairs and tally.pairs and not tally.findings:
        twice = walk(-(-tally.pairs // pairs)).run()
        tally.second, tally.findings = twice.second, twice.findings
        tally.worlds += twice.second
    return tally


def images_of_machines(folder: Path, machines: Sequence[str]) -> dict[str, list[Path]]:
    """A small base image for each machine, made in a folder."""
    images = {}
    for machine in machines:
        path = folder / f"base-{machine}.img"
        path.write_bytes(b"".join(f"base {n} ".encode().ljust(BLOCK, b"=") for n in range(BLOCKS)))
        images[machine] = [path]
    return images
