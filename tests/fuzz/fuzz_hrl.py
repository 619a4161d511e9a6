"""Coverage-guided fuzzing of the log reader: a longer job than a test, and only where `atheris` is installed.

    pip install atheris
    python tests/fuzz/fuzz_hrl.py -max_total_time=600

What must hold of any bytes: reading ends; it answers with a log or with `DamagedLogError`, and nothing else; what it answers
matches the checksums that the file carries; and a look into the file calls damaged what the reader refuses. An input that breaks
one of these is written to a file `crash-…` in the current folder.

A log has checksums in three places, which random changes hardly ever hit. So half of the inputs are taken as they are, and the
others get the right checksums in their header and blocks first: those reach the code behind the checks.
"""

from __future__ import annotations

import struct
import sys

try:
    import atheris
except ImportError:
    sys.exit("skipped: atheris is not installed; pip install atheris")

with atheris.instrument_imports(include=["siteproof.impl"]):
    from siteproof.impl import hrl
    from siteproof.impl.errors import DamagedLogError
    from siteproof.impl.inspection import inspect

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


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
