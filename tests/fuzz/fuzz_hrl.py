"""Coverage-guided fuzzing of the log reader: a longer job than a test, and only where `atheris` is installed.

    pip install atheris
    python tests/fuzz/fuzz_hrl.py -max_total_time=600

What must hold of any bytes: reading ends; it answers with a log or with `DamagedLogError`, and nothing else; what it answers
matches the checksums that the file carries; and a look into the file calls damaged what the reader refuses. An input that breaks
one of these is written to a file `crash-…` in the current folder.

A log has checksums in three places, which random changes hardly ever hit. So half of the inputs are taken as they are, and the
others get the right checksums in their header and blocks first: those reach the code behind the checks. The job begins with whole
logs of its own (a log is 8 KiB at least, and random bytes would be too short); folders with more inputs can be given as well.
"""

from __future__ import annotations

import struct
import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("skipped: atheris is not installed; pip install atheris")

with atheris.instrument_imports(include=["siteproof.impl"]):
    from siteproof.impl import hrl
    from siteproof.impl.errors import DamagedLogError
    from siteproof.impl.extents import ExtentSpace
    from siteproof.impl.inspection import inspect
    from siteproof.impl.logfile import LogFile

CHECKSUM_AT = struct.calcsize("<8sII4sIQQ")


def with_checksums(data: bytes) -> bytes:
    """The input with matching checksums, and with an end of log that is its own, as far as it is long enough."""
    if len(data) < hrl.HEADER_SIZE:
        return data
    made = bytearray(data)
    made[52 - 8 : 52] = len(made).to_bytes(8, "little")
    for at, _, value in hrl.CONSTANTS:
        made[at : at + len(value)] = value
    block = len(made) - hrl.BLOCK_SIZE
    if block >= hrl.HEADER_SIZE:
        previous, valid = struct.unpack_from("<QI", made, block)
        valid %= hrl.ENTRIES_PER_BLOCK + 1
        struct.pack_into("<QII", made, block, previous, valid, hrl.block_checksum(previous, valid))
        for slot in range(valid):
            at = block + 32 + slot * 32
            struct.pack_into("<I", made, at + 8, 0)
            struct.pack_into("<I", made, at + 8, hrl.byte_checksum(made[at : at + 32]))
    struct.pack_into("<I", made, CHECKSUM_AT, 0)
    struct.pack_into("<I", made, CHECKSUM_AT, hrl.byte_checksum(made[: hrl.HEADER_SIZE]))
    return bytes(made)


def one_input(raw: bytes) -> None:
    """What must hold of any bytes."""
    data = with_checksums(raw[1:]) if raw[:1] and raw[0] & 1 else raw[1:]
    found = inspect(data)
    try:
        header, records = hrl.decode(data)
    except DamagedLogError:
        assert found.faults or not found.closed
        return
    assert not found.faults
    assert found.header == header
    for record in records:
        content = data[record.at : record.at + record.entry.length]
        assert record.entry.data_checksum in (0, hrl.byte_checksum(content))


def seed_corpus(folder: Path) -> None:
    """Whole logs of no, few and many writes: random bytes alone are too short, and hardly ever begin as a log does."""
    for writes in (0, 1, 3, 130):
        with tempfile.TemporaryDirectory(prefix="siteproof-fuzz-") as place:
            space = ExtentSpace()
            log = LogFile(space, Path(place) / "log.hrl", 0, 1 << 30, (b"u" * 16, b"p" * 16, b"d" * 16), 1.0)
            for number in range(1, writes + 1):
                log.append(number, number * 4096, b"%d" % number * 3, float(number))
            log.finish(2.0)
            data = log.path.read_bytes()
            space.close()
        assert not inspect(data).faults
        for mode in (b"\0", b"\1"):
            (folder / f"{writes}-{mode[0]}").write_bytes(mode + data)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="siteproof-fuzz-") as place:
        seed_corpus(Path(place))
        limits = [] if any(option.startswith("-max_len=") for option in sys.argv) else ["-max_len=20000"]
        # Folders of the user's own come first: what is found goes to the first one.
        atheris.Setup([*sys.argv, *limits, place], one_input)
        atheris.Fuzz()
