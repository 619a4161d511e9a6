"""What goes from the active to the passive side: one full or incremental `blockdev-backup` over NBD, in two moments.

Rules
1. *Begin*: the target's layers are exported, the source attaches them as NBD nodes, and one transaction starts a backup for each
   disk, so that all disks are cut at one instant. A full one starts its dirty bitmap in the same transaction; an incremental one
   takes the changes out of it. The guest may go on writing: QEMU copies before it lets a write through.
2. The jobs end in `pending`, not by themselves. *Land*: the target is flushed, and only then the jobs are finalized, which
   makes QEMU forget the changes. A target that loses power before holds nothing that the source has forgotten.
3. A backup that cannot land is *given up*: the jobs are cancelled, and the changes are back in the bitmap. What it wrote
   is of no use until the next one lands.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import attrs

from siteproof.conformance.drivers.qemu.nbd import Nbd, NbdError
from siteproof.conformance.drivers.qemu.site import LOG, Layer, Site

__all__ = ["Shipment", "begin", "give_up", "land"]

_SERIAL = itertools.count(1)


@attrs.define(eq=False)
class Shipment:
    """A backup under way. `position`: how many writes of the branch it brings the target to. `cut_off`: the source's daemon,
    and the jobs with it, have ended."""

    source: Site
    target: Site
    layers: list[Layer]
    jobs: list[str]
    position: int
    full: bool
    cut_off: bool = False

    @property
    def names(self) -> list[str]:
        return [f"in-{layer.node}" for layer in self.layers]


def begin(source: Site, tops: Sequence[Layer], target: Site, layers: Sequence[Layer], position: int, *, full: bool) -> Shipment:
    """Start to copy `tops` to `layers`, and wait until everything has been written there."""
    serial = next(_SERIAL)
    one = Shipment(source, target, list(layers), [f"ship-{serial}-{n}" for n in range(len(tops))], position, full)
    actions: list[dict[str, Any]] = []
    for layer, name, top, job in zip(layers, one.names, tops, one.jobs, strict=True):
        target.export(layer, name, writable=True)
        server = {"type": "unix", "path": str(target.nbd_path)}
        source("blockdev-add", driver="nbd", node_name=job, server=server, export=name)
        data = {"device": top.node, "target": job, "job-id": job, "auto-dismiss": False, "auto-finalize": False}
        if full:
            source.remove_log(top)
            actions.append(source.add_log(top))
        data |= {"sync": "full"} if full else {"sync": "incremental", "bitmap": LOG}
        actions.append({"type": "blockdev-backup", "data": data})
    if full:
        source("transaction", actions=actions)
    else:
        source("transaction", actions=actions, properties={"completion-mode": "grouped"})
    source.wait_jobs(one.jobs, "pending", "concluded")
    return one


def land(one: Shipment) -> bool:
    """Make what was copied last, and the source forget it. False: it failed, and everything is as if it had not begun."""
    try:
        for name in one.names:
            with Nbd(one.target.nbd_path, name) as nbd:
                nbd.flush()
    except NbdError:
        give_up(one)
        return False
    states = one.source.wait_jobs(one.jobs, "pending", "concluded")
    if set(states.values()) != {"pending"}:
        give_up(one)
        return False
    for job in one.jobs:  # the first of a group takes the others with it
        if one.source.wait_jobs([job], "pending", "waiting", "concluded")[job] == "pending":
            one.source("job-finalize", id=job)
    one.source.wait_jobs(one.jobs, "concluded")
    errors = one.source.dismiss(one.jobs)
    _detach(one)
    return not errors


def give_up(one: Shipment) -> None:
    """End a backup without effect."""
    if one.source.up and not one.cut_off:
        one.source.cancel(one.jobs)
    _detach(one)


def _detach(one: Shipment) -> None:
    if one.source.up and not one.cut_off:
        for job in one.jobs:
            one.source("blockdev-del", node_name=job)
    for name in one.names:
        one.target.unexport(name)
