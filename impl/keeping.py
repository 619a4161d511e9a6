"""What each place keeps, and how one event becomes durable at several places.

An *event* (a request, a write, a delivered message, a step of a job) changes components in memory; at its end the
:class:`Keeper` makes it durable, before anybody hears of it: the caller gets no answer and no message is delivered before.

=============  ========================================================================================================
place          rows
=============  ========================================================================================================
vault          what the system was made of (flow, images), the record of each machine with its job, the session, whether a
               copy waits for its boot group, answers to requests by their ids, runs of recovery plans, open orders
each site      by machine: the host's belief (authority, epoch, acknowledged writes, whether the guest runs), the agent,
               the target with its points, the logs' names and ids, the copy of a test failover; of each set of disks
               its cuts and overlays, and a row a block
=============  ========================================================================================================

Rules:

* first files are forced, then the transaction that refers to them is made, then files that nothing refers to any more go;
* an event that changes one place is one transaction there. Transactions are numbered, at each place by itself;
* an event that changes several is decided at the vault: its transaction holds its own changes and, for each site, an *order*
  with that site's. Then each site carries out its order, in a transaction that says which one. A crash in between leaves an
  order open; it is carried out before anything else happens at the site, and carrying it out twice is once. So a site never
  learns of a change that the vault does not know, and there is no crash that leaves half of an event: a fenced source and no
  new machine, or two machines (P1, P3, P17). A site that stays down carries it out when it comes back; nobody can look at the
  site before that, so the simulation does it at the start;
* the numbers tell when a place was put back to an older state, by a backup of its disks, say. An order builds on the transaction
  before it, and says which one of the vault's it is of. Where that one is missing, nothing may go on: half of the blocks
  would be of one time and what is said of them of another;
* an event that cannot be made durable (a full disk, a damaged store) or that ends in the middle, be it by Ctrl-C, stops the
  system: nothing is kept any more, no answer is given, and what is durable is a state between two events, from which it can be
  resumed. It may not go on: a change that has been collected for a transaction is not collected for the next one;
* one system alone keeps something in a work folder. It holds the folder before it reads anything there, and until its files
  are closed: two would give the same place to different blocks, each with a checksum that fits;
* of the files in the work folder those alone are swept that have a name this package gives;
* what is not kept is made again: messages under way, caches, staging areas, the place where a base copy stood, keys of channels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from .control import Job, Side
from .coordinator import Coordinator
from .disk import CarefulDisk
from .diskset import DiskSet
from .errors import StoppedError, UsageError
from .fleet import Fleet
from .store import PLACES, VAULT, Storage, Store
from .testfailover import IsolatedCopy
from .values import SIDES, Point
from .vault import Answer, MachineRecord, Vault

__all__ = ["Keeper"]

_SETS = ("in_use", "to_clean")
_OURS = re.compile(
    rf"[a-z-]+\.cache|(?:{'|'.join(SIDES)})(?:\.disks|\.staging|\.(?:resync|test)-\d+|-disk\d+-\d{{6,}}\.hrl(?:\.journal)?)"
)
"""Names of the files that a sweep may delete: caches of gateways, disks with their overlays, staging areas, and logs."""


_text = json.JSONEncoder(separators=(",", ":")).encode


def _record(record: MachineRecord) -> dict[str, Any]:
    row = {field.name: getattr(record, field.name) for field in attrs.fields(MachineRecord)}
    row["store_key"] = record.store_key.hex()
    row["alerts"] = list(record.alerts)
    row.update((name, sorted(row[name])) for name in _SETS)
    return row


def _restore_record(record: MachineRecord, row: Mapping[str, Any]) -> None:
    for name, value in row.items():
        setattr(record, name, set(value) if name in _SETS else bytes.fromhex(value) if name == "store_key" else value)


def _job(job: Job | None) -> dict[str, Any] | None:
    return None if job is None else attrs.asdict(job)


def _restored_job(row: Mapping[str, Any] | None) -> Job | None:
    if row is None:
        return None
    chosen = row["chosen"]
    return Job(**{**row, "chosen": None if chosen is None else Point(**chosen)})


def _refuse_other_images(machine: str, now: Sequence[Any], before: Sequence[Any]) -> None:
    """Both: size and sample of each image. A block that cannot be read tells nothing."""
    if [size for size, _ in now] != [size for size, _ in before]:
        sizes = [", ".join(str(size) for size, _ in rows) for rows in (now, before)]
        raise UsageError(f"machine '{machine}': images of {sizes[0]} bytes given; {sizes[1]} expected")
    for number, ((_, found), (_, expected)) in enumerate(zip(now, before, strict=True)):
        if any(None not in pair and pair[0] != pair[1] for pair in zip(found, expected, strict=True)):
            raise UsageError(
                f"machine '{machine}': the image of disk {number} is not the one that the system was begun with, or was changed "
                "since; give that one"
            )


class Keeper:
    """Keeps what must survive of one system.

    Args:
        storage: where it is kept.
        resume: whether there must be something already (else there must be nothing).

    Raises:
        UsageError: there is a system already, or none, or one that runs.
    """

    def __init__(self, storage: Storage, folder: Path, *, resume: bool) -> None:
        storage.make_folder(folder)
        self._hold = storage.hold()
        self.make_folder = storage.make_folder
        self.disk = CarefulDisk(storage.disk)
        self.stopped = False
        self.starts = 0
        """How often the system has been started before."""
        self._folder = folder
        self._stores: dict[str, Store] = {}
        self._coordinators: dict[str, Coordinator] = {}
        self._sets: dict[tuple[str, str], set[str]] = {}
        self._vault: Vault | None = None
        self._fleet: Fleet | None = None
        self._made_of = ""
        try:
            self._stores.update((place, storage.store(place)) for place in PLACES)
            self._kept = {place: store.load() for place, store in self._stores.items()}
            self._begin(resume)
        except BaseException:
            self.close()
            raise

    def _begin(self, resume: bool) -> None:
        begun = "system" in self._kept[VAULT]
        if begun and not resume:
            raise UsageError(f"{self._folder}: holds a system already; resume it, or give an empty work folder")
        if resume and not begun:
            raise UsageError(f"{self._folder}: holds no system that could be resumed; begin one there")
        if begun:
            self.starts = int(self._kept[VAULT]["system"]) + 1
            self._carry_out_orders()

    # ------------------------------------------------------------------------------------------------- what is kept

    def watch(
        self, vault: Vault, coordinators: Mapping[str, Coordinator], made_of: Mapping[str, Any], fleet: Fleet | None = None
    ) -> None:
        """From now on :meth:`commit` keeps these, and what the system was made of."""
        self._vault = vault
        self._fleet = fleet
        self._made_of = _text(made_of)
        self._coordinators = dict(coordinators)

    def _rows_of_vault(self) -> Iterator[tuple[str, str | None]]:
        yield "system", str(self.starts)
        yield "made-of", self._made_of
        for machine, coordinator in self._coordinators.items():
            yield f"m/{machine}/record", _text(_record(coordinator.record))
            yield f"m/{machine}/job", _text(_job(coordinator.job))
            yield f"m/{machine}/session", _text([
                coordinator.session, coordinator.ready, coordinator.holds_copy, coordinator.uncompared,
            ])  # fmt: skip
        if self._vault is not None:
            for machine, name, answer in self._vault.new_answers():
                yield f"answer/{machine}/{name}", _text([answer.operation, answer.point, answer.code])
        if self._fleet is not None:
            for key, row in self._fleet.rows():
                yield f"plan/{key}", _text(row)

    def _rows_of_side(self, side: str) -> Iterator[tuple[str, str | None]]:
        for machine, coordinator in self._coordinators.items():
            at = coordinator.sides[side]
            yield f"m/{machine}/host", _text(at.host.head())
            yield f"m/{machine}/agent", _text(at.agent.head())
            yield f"m/{machine}/target", _text(at.target.head())
            for number, log in enumerate(at.agent.files()):
                yield f"m/{machine}/log/{number}", _text(log.head())
            copy = coordinator.copy if coordinator.copy_side == side else None
            yield f"m/{machine}/copy", _text(None if copy is None else copy.head())
            yield from self._rows_of_disks(machine, side, at.host.disks)

    def _rows_of_disks(self, machine: str, side: str, disks: DiskSet) -> Iterator[tuple[str, str | None]]:
        present = {"": disks, **disks.overlays}
        known = self._sets.setdefault((side, machine), set())
        for name in known - present.keys():
            start = f"m/{machine}/block/{name}/"
            yield f"m/{machine}/disks/{name}", None
            yield from ((key, None) for key in self._kept[side] if key.startswith(start))
        for name, one in present.items():
            yield f"m/{machine}/disks/{name}", _text(one.head())
            for place, row in one.changes().items():
                yield f"m/{machine}/block/{name}/{place}", None if row is None else _text(row)
        self._sets[side, machine] = set(present)

    # --------------------------------------------------------------------------------------------------- one event

    def _changes(self, place: str) -> dict[str, str | None]:
        kept = self._kept[place]
        rows = self._rows_of_vault() if place == VAULT else self._rows_of_side(place)
        return {key: value for key, value in rows if kept.get(key) != value}

    def stop(self) -> None:
        """An event has failed in the middle: what is in memory is not to be trusted, and is never kept."""
        self.stopped = True

    def refuse_if_stopped(self) -> None:
        """StoppedError once the system has stopped: nothing in memory is told any more, and nothing is kept."""
        if self.stopped:
            raise StoppedError(f"{self._folder}: the system has stopped, since an event could not be kept; resume it")

    def commit(self) -> None:
        """Make everything that has happened since the last time durable.

        Raises:
            OSError: that was not possible. What is durable is whole; the system has stopped, and has to be resumed.
            StoppedError: the system has stopped before.
        """
        self.refuse_if_stopped()
        try:
            self._commit()
        except BaseException:
            self.stop()
            raise

    def _commit(self) -> None:
        changes = {place: self._changes(place) for place in PLACES}
        sides = [place for place in SIDES if changes[place]]
        if sides or changes[VAULT]:
            self.disk.flush()
            for side in sides:
                changes[side]["number"] = str(self._number(side) + 1)
            if len(sides) > 1 or changes[VAULT]:
                changes[VAULT]["number"] = str(self._number(VAULT) + 1)
                for side in sides:
                    changes[side]["vault"] = changes[VAULT]["number"]
                    changes[VAULT][f"order/{side}"] = _text(changes[side])
            for place in (VAULT, *sides):
                if changes[place]:
                    self._commit_at(place, changes[place])
            for coordinator in self._coordinators.values():
                for at in coordinator.sides.values():
                    for disks in (at.host.disks, *at.host.disks.overlays.values()):
                        disks.kept()
        self.disk.remove_left()

    def _commit_at(self, place: str, changes: Mapping[str, str | None]) -> None:
        self._stores[place].commit(changes)
        kept = self._kept[place]
        for key, value in changes.items():
            if value is None:
                kept.pop(key, None)
            else:
                kept[key] = value

    def _number(self, place: str, row: str = "number") -> int:
        """The number of the last transaction at a place; with the row `vault`, of the vault's last one that it knows of."""
        return int(self._kept[place].get(row, "0"))

    def _carry_out_orders(self) -> None:
        for side in SIDES:
            if self._number(side, "vault") > self._number(VAULT):
                self._refuse_older(VAULT, self._number(VAULT), self._number(side, "vault"))
            order = json.loads(self._kept[VAULT].get(f"order/{side}", "null"))
            if order is not None and int(order["number"]) > self._number(side) + 1:
                self._refuse_older(side, self._number(side), int(order["number"]) - 1)
            if order is not None and int(order["number"]) > self._number(side):
                self._commit_at(side, order)

    def _refuse_older(self, place: str, found: int, expected: int) -> None:
        raise UsageError(
            f"{self._folder}: what the {place} keeps was put back to an older state: its last change is number {found}, and the "
            f"others know of {expected}. Put its newest state back; or begin anew in an empty work folder, and replicate again"
        )

    # ------------------------------------------------------------------------------------------------------ restart

    @property
    def machines(self) -> list[str]:
        """The machines that were kept."""
        return sorted(key.split("/")[1] for key in self._kept[VAULT] if key.startswith("m/") and key.endswith("/record"))

    def expect(self, given: Mapping[str, Any]) -> None:
        """A system is resumed with what it was begun with (see :meth:`watch`): other blocks would be read through its slots, with
        sums that fit.

        Raises:
            UsageError: it is of another flow, or has other machines or images.
        """
        kept = self._row(VAULT, "made-of")
        if kept["flow"] != given["flow"]:
            told = f"holds a system of the flow '{kept['flow']}'; the topology is of '{given['flow']}'; give its own"
            raise UsageError(f"{self._folder}: {told}")
        if list(kept["images"]) != list(given["images"]):
            raise UsageError(f"machines {', '.join(given['images'])} given; {', '.join(kept['images'])} expected")
        for machine, before in kept["images"].items():
            _refuse_other_images(machine, given["images"][machine], before)

    def _row(self, place: str, key: str) -> Any:
        return json.loads(self._kept[place][key])

    def restore_vault(self, vault: Vault) -> None:
        """Answers to requests, and the machines' records."""
        for key, value in self._kept[VAULT].items():
            if key.startswith("answer/"):
                _, machine, name = key.split("/", 2)
                vault.remember(machine, name, Answer(*json.loads(value)))
        vault.new_answers()
        for machine in self.machines:
            _restore_record(vault.register(machine), self._row(VAULT, f"m/{machine}/record"))

    def rows_of_fleet(self) -> dict[str, Any]:
        """What was kept of runs of recovery plans (:meth:`.Fleet.rows`)."""
        start = "plan/"
        return {key[len(start) :]: json.loads(value) for key, value in self._kept[VAULT].items() if key.startswith(start)}

    def restore_side(self, machine: str, side: str, at: Side) -> None:
        """A machine's components on one side; the logs are not read yet, and the power is off."""
        self._restore_disks(machine, side, at.host.disks)
        agent = self._row(side, f"m/{machine}/agent")
        at.agent.restore(agent)
        for number, log in enumerate(at.agent.files()):
            log.restore(self._row(side, f"m/{machine}/log/{number}"), agent["last_tracked"])
        at.host.restore(self._row(side, f"m/{machine}/host"))
        at.target.restore(self._row(side, f"m/{machine}/target"))

    def _restore_disks(self, machine: str, side: str, disks: DiskSet) -> None:
        rows: dict[str, dict[str, list[Any]]] = {}
        start = f"m/{machine}/block/"
        for key, value in self._kept[side].items():
            if key.startswith(start):
                name, place = key[len(start) :].split("/", 1)
                rows.setdefault(name, {})[place] = json.loads(value)
        head = self._row(side, f"m/{machine}/disks/")
        disks.restore(head, rows.get("", {}))
        for name, at in head["overlays"]:
            overlay = disks.restore_overlay(name, at)
            overlay.restore(self._row(side, f"m/{machine}/disks/{name}"), rows.get(name, {}))
        self._sets[side, machine] = {"", *disks.overlays}

    def restore_coordinator(self, machine: str, coordinator: Coordinator) -> None:
        """The running job, the session, and the copy of a test failover."""
        coordinator.job = _restored_job(self._row(VAULT, f"m/{machine}/job"))
        row = self._row(VAULT, f"m/{machine}/session")
        coordinator.session, coordinator.ready, coordinator.holds_copy, coordinator.uncompared = row
        for side in SIDES:
            head = self._row(side, f"m/{machine}/copy")
            if head is not None:
                disks = coordinator.sides[side].host.disks
                coordinator.copy = IsolatedCopy(disks.overlays[head["disks"]], disks.remove)
                coordinator.copy.on = head["on"]

    def sweep(self, machine: str) -> None:
        """Delete the files of a machine that nothing refers to: a crash came before they were needed, or before they went."""
        folder = self._folder / machine
        used = {f"{side}.disks" for side in SIDES}
        for side in SIDES:
            used.update(name for name, _ in self._row(side, f"m/{machine}/disks/")["overlays"])
            for key, value in self._kept[side].items():
                if key.startswith(f"m/{machine}/log/"):
                    head = json.loads(value)
                    for log in (head["recording"], head["in_transit"]):
                        if log is not None:
                            used.update((log["file"], f"{log['file']}.journal"))
        self.discard(folder, used)

    def discard(self, folder: Path, but: set[str]) -> None:
        """Delete the files of this package in a folder that are not named. Files of other names are not ours to delete."""
        for name in self.disk.names(folder):
            if name not in but and _OURS.fullmatch(name):
                self.disk.remove(folder / name)
        self.disk.remove_left()

    def close(self) -> None:
        """Close the stores, and let go of the folder; the files in it must be closed before. Closing twice is harmless."""
        for store in self._stores.values():
            store.close()
        self._hold.close()
