"""Size of the installed memory modules, from the firmware's SMBIOS tables (readable by root only)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_MEMORY_DEVICE = 17
_END_OF_TABLE = 127
_DRAM = {0x01, 0x02, 0x03}  # memory technology: other, unknown, DRAM; the rest is persistent memory
_MEBIBYTE = 1 << 20
_KIBIBYTE = 1 << 10


def installed_memory_bytes(root: Path = Path("/")) -> int | None:
    """Return the sum of all memory modules, or ``None`` if the tables can't be read or name no size.

    Source: DMTF DSP0134 (SMBIOS 3.7), sections 6.1.3 and 7.18.
    """
    try:
        table = (root / "sys/firmware/dmi/tables/DMI").read_bytes()
    except OSError:
        return None
    total = sum(_module_bytes(body) for kind, body in _structures(table) if kind == _MEMORY_DEVICE)
    return total or None


def _structures(table: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and formatted area of each structure; stop at the end mark or at the first damage."""
    start = 0
    while start + 4 <= len(table):
        kind, length = table[start], table[start + 1]
        end = table.find(b"\0\0", start + length)
        if length < 4 or end < 0 or kind == _END_OF_TABLE:
            return
        yield kind, table[start : start + length]
        start = end + 2


def _module_bytes(body: bytes) -> int:
    if len(body) < 0x15:
        return 0
    if len(body) > 0x28 and body[0x28] not in _DRAM:
        return 0
    size = int.from_bytes(body[0x0C:0x0E], "little")
    if size == 0xFFFF:
        return 0
    if size == 0x7FFF and len(body) >= 0x20:
        return (int.from_bytes(body[0x1C:0x20], "little") & 0x7FFF_FFFF) * _MEBIBYTE
    return (size & 0x7FFF) * (_KIBIBYTE if size & 0x8000 else _MEBIBYTE)
