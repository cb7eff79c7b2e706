"""Parts of canonical CBOR for what a window has ten thousand of: put together by hand, in half of an encoder's time.

For numbers from 0 to 2**64 - 1 and texts of our own; tests hold every use to the encoder.
"""

from __future__ import annotations

from functools import lru_cache

from bpci_node.primitives.record import save_record


def integer(value: int) -> bytes:
    """Return the encoding of a number from 0 on."""
    if value < 0x1_0000:
        return save_record(value) if value > 23 else bytes((value,))
    return b"\x1a" + value.to_bytes(4) if value < 0x1_0000_0000 else b"\x1b" + value.to_bytes(8)


@lru_cache(maxsize=4096)
def repeated(value: int | str) -> bytes:
    """Return the encoding of a number or a text that comes again and again."""
    return save_record(value)
