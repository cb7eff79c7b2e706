"""What a machine is made of, as one digest: another processor, disk or amount of memory gives another one.

No serial number, address or name goes in, so equal machines have equal fingerprints, and nobody can be followed by it.
Only what any user may read counts: root and the node see the same.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from bpci_node.host.context import read_text
from bpci_node.host.disks import list_disks
from bpci_node.host.processors import online
from bpci_node.primitives import codec
from bpci_node.primitives.hashing import derive

CONTEXT = "bpci 2026 hardware fingerprint v1"
_MEMORY_STEP = 1 << 28
"""Memory is counted in steps of 256 MiB: what kernel and firmware keep for themselves differs from start to start."""


def components(root: Path = Path("/"), machine: str | None = None) -> dict[str, Any]:
    """Return what the fingerprint is made of.

    Args:
        machine: architecture; ``None`` for this machine's.
    """
    return {
        "v": 1,
        "machine": machine or platform.machine(),
        "processor": _processor(root),
        "threads": len(online(root)),
        "memory": _memory(root),
        "disks": sorted(
            [disk.model, disk.kind.value, disk.size_bytes]
            for disk in list_disks(root)
            if not disk.removable and not disk.name.startswith("zram")
        ),
        "tpm": any((root / "sys/class/tpm").glob("tpm[0-9]*")),
    }


def fingerprint(root: Path = Path("/"), machine: str | None = None) -> bytes:
    """Return the digest of this machine's components, 32 bytes."""
    return derive(CONTEXT, codec.encode(components(root, machine)))


def _processor(root: Path) -> str:
    for line in (read_text(root / "proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "CPU part", "Model"):
            return "".join(char for char in value.strip() if char.isprintable())
    return ""


def _memory(root: Path) -> int:
    for line in (read_text(root / "proc/meminfo") or "").splitlines():
        words = line.split()
        if words[:1] == ["MemTotal:"] and len(words) > 1 and words[1].isdigit():
            return int(words[1]) * 1024 // _MEMORY_STEP
    return 0
