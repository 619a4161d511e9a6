"""`siteproof hrl`: a change log for a person, and the first byte of it that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from siteproof.conformance.cli.shared import Session
from siteproof.conformance.exits import Exit
from siteproof.conformance.report.values import count
from siteproof.impl.errors import UsageError as ImplUsageError
from siteproof.impl.hrl import FileHeader
from siteproof.impl.inspection import RESYNCHRONISE, BlockFound, Fault, Inspection, inspect_file
from siteproof.model.errors import UsageError

__all__ = ["hrl"]

SHOWN = 20
"""Writes that are shown unless all are asked for."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def hrl(session: Session, path: Path, everything: bool) -> Exit:
    """Show a log. 0 when it is whole and closed, 1 when something in it is wrong, 2 when it was never closed."""
    try:
        found = inspect_file(path)
    except ImplUsageError as error:
        wrong, _, mend = str(error).partition("; ")
        raise UsageError(f"hrl {wrong}", "a change log (.hrl) that can be read", mend) from error
    code = Exit.VIOLATION if found.faults else Exit.OK if found.closed else Exit.INCONCLUSIVE
    out = session.out
    out.print(Text.assemble((str(path), "bold"), f"  {found.size:,} bytes"))
    if found.header is not None:
        out.print(_header(found.header))
        out.print(_chain(found.header))
    if found.writes:
        out.print("", _writes(found, everything))
    for line in _totals(found):
        out.print(line)
    for number, fault in enumerate(found.faults):
        out.print()
        out.print(_fault(fault, first=number == 0))
    if any(RESYNCHRONISE in fault.meaning for fault in found.faults):  # once, however much is bad
        out.print()
        out.print(Text(RESYNCHRONISE))
    out.print()
    out.print(Text(*_verdict(found)))
    session.emit("siteproof.hrl/1", code, {"file": str(path), "verdict": _verdict(found)[0], **_document(found)})
    return code


def _time(seconds: int) -> str:
    """A time stamp counts from the year 2000; the laboratory's own logs count virtual time from there."""
    return f"{(_EPOCH + timedelta(seconds=seconds)):%Y-%m-%d %H:%M:%S} UTC"


def _header(header: FileHeader) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    closed = f"{header.end_of_log:,}" if header.end_of_log else "0: the log was not closed"
    for name, value in (
        ("disk", f"{header.disk_size:,} bytes, id {header.disk_id.hex()}"),
        ("made", _time(header.created)),
        ("last changed", _time(header.modified)),
        ("end of log", closed),
        ("entries", f"{header.entries:,}"),
        ("error code", str(header.error)),
    ):
        table.add_row(Text(name, "dim"), Text(value))
    return table


def _chain(header: FileHeader) -> Text:
    before = header.previous_unique_id
    origin = f"follows log {before.hex()}" if any(before) else "is the first log of its chain"
    return Text(f"chain: this log is {header.unique_id.hex()} and {origin}")


def _writes(found: Inspection, everything: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name in ("block", "at", "write", "offset", "length", "time (UTC)", "data at", "data"):
        table.add_column(name, justify="left" if name in ("time (UTC)", "data") else "right", no_wrap=name != "data")
    rows = [(number, block, entry) for number, block in enumerate(found.blocks, 1) for entry in block.entries]
    shown = rows if everything else rows[:SHOWN]
    last: BlockFound | None = None
    for index, (number, block, entry) in enumerate(shown, 1):
        first = block is not last
        last = block
        stated = "whole" if entry.entry.data_checksum else "no checksum"
        table.add_row(
            str(number) if first else "", f"{block.at:,}" if first else "", str(index), f"{entry.entry.offset:,}",
            f"{entry.entry.length:,}", _time(entry.entry.timestamp).removesuffix(" UTC"), f"{entry.data_at:,}",
            Text(stated, "green") if entry.whole else Text("damaged", "red"),
        )  # fmt: skip
    if len(rows) > len(shown):
        table.caption = Text(f"{len(rows) - len(shown):,} more writes: --all shows them")
        table.caption_justify = "left"
    return table


def _totals(found: Inspection) -> list[Text]:
    sizes = count(found.writes, "write"), count(found.data_bytes, "byte"), count(len(found.blocks), "metadata block")
    told = [Text(f"{sizes[0]}, {sizes[1]} of content, {sizes[2]}")]
    if found.trailing and found.header is not None:
        what = f"behind the end: {count(found.trailing, 'byte')} from {found.header.end_of_log:,}, which no write put there"
        told.append(Text(f"{what}; reading stops before them"))
    if found.journal is not None:
        what = count(found.journal, "record")
        told.append(Text(f"journal: {what}, each in its place and with the digest of its data"))
    elif found.journal_missing:
        what = "neither the order of writes across disks nor damage that the format's weak checksums miss can be told"
        told.append(Text(f"journal: there is none beside this log; without it {what}"))
    return told


def _fault(fault: Fault, *, first: bool) -> Text:
    where = f"{fault.offset:,}" if fault.length < 2 else f"{fault.offset:,} to {fault.offset + fault.length - 1:,}"
    told = "first bad byte: " if first and fault.length == 1 else "first bad bytes: " if first else "also bad: "
    of = f" of {fault.file}" if fault.file else ""
    return Text.assemble(
        (told, "bold red"), f"{where}{of} ({fault.part})\n",
        ("  found     ", "dim"), f"{fault.found}\n", ("  expected  ", "dim"), f"{fault.expected}\n",
        ("  meaning   ", "dim"), fault.meaning.removesuffix(f"; {RESYNCHRONISE}"),
    )  # fmt: skip


def _verdict(found: Inspection) -> tuple[str, str]:
    if found.faults:
        return "damaged", "bold red"
    if found.closed:
        return "whole and closed", "bold green"
    proved = "" if found.journal is None else f"; its journal proves {found.journal:,} writes"
    return (
        "not closed: it is being written, or its host stopped without closing it. Only its journal can tell what it holds"
        f"{proved}. Without one the disk has to be resynchronised",
        "bold yellow",
    )


def _document(found: Inspection) -> dict[str, Any]:
    header = found.header
    return {
        "size": found.size,
        "closed": found.closed,
        "header": None if header is None else {
            "unique_id": header.unique_id.hex(), "previous_unique_id": header.previous_unique_id.hex(),
            "disk_id": header.disk_id.hex(), "created": header.created, "modified": header.modified,
            "disk_size": header.disk_size, "end_of_log": header.end_of_log, "entries": header.entries, "error": header.error,
        },
        "blocks": [
            {
                "at": block.at, "previous": block.previous,
                "entries": [
                    {
                        "offset": e.entry.offset, "length": e.entry.length, "timestamp": e.entry.timestamp,
                        "data_at": e.data_at, "whole": e.whole,
                    }
                    for e in block.entries
                ],
            }
            for block in found.blocks
        ],
        "writes": found.writes,
        "data_bytes": found.data_bytes,
        "journal": found.journal,
        "journal_missing": found.journal_missing,
        "trailing": found.trailing,
        "faults": [
            {
                "offset": f.offset, "length": f.length, "part": f.part, "found": f.found, "expected": f.expected,
                "meaning": f.meaning, "file": f.file or None,
            }
            for f in found.faults
        ],
    }  # fmt: skip
