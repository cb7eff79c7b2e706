"""Memory: how much is installed, and how much of it the system can use; a machine sold with 8 GB shows less than 8 GiB.

Evidence, best first: the modules that the firmware lists, the memory blocks that the kernel was given, and what the
kernel has left (``MemTotal``). The reasons for the tolerances stand in ``docs/adr/0010-how-much-memory-is-8-gb.md``.
"""

from __future__ import annotations

from bpci_node.host import limits
from bpci_node.host.check import PASS, Check, in_gib, number
from bpci_node.host.context import Context, read_text
from bpci_node.host.firmware_tables import installed_memory_bytes
from bpci_node.host.processors import parse_list
from bpci_node.host.profiles import GIB, Profile
from bpci_node.host.result import CouldNotTellError, Judgement, Measured, Requirement, Verdict

USABLE_SHARE = (7, 8)
"""Part of the nominal size that the kernel must be able to use."""
BLOCKS_SHARE = (15, 16)
"""Part of the nominal size that the kernel must have been given, where the firmware lists no modules."""


def _measure(context: Context) -> Measured:
    total = _total_bytes(context)
    installed = installed_memory_bytes(context.root)
    if installed is not None and installed < total:
        installed = None  # the firmware lists less than there is: its table is wrong
    blocks = _blocks_bytes(context)
    facts: dict[str, int | str | bool | list[str]] = {"total_bytes": total}
    if installed is not None:
        value, text, evidence = installed, f"{in_gib(installed)} installed, {in_gib(total)} usable", "firmware"
    elif blocks is not None and blocks >= total:
        value, text, evidence = blocks, f"{in_gib(blocks)} given, {in_gib(total)} usable", "blocks"
    else:
        value, text, evidence = total, f"{in_gib(total)} usable", "total"
    facts["evidence"] = evidence
    limit = limits.memory_limit_bytes(context.root)
    if limit is not None and limit < total:
        facts["limit_bytes"] = limit
        value, text = limit, f"{in_gib(limit)} allowed of {in_gib(total)} (cgroup)"
    return Measured(value, "bytes", text, facts)


def _total_bytes(context: Context) -> int:
    for line in (context.read("proc/meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal" and value.split()[:1] and value.split()[0].isdecimal():
            return int(value.split()[0]) * 1024
    raise CouldNotTellError("the kernel tells no memory size")


def _blocks_bytes(context: Context) -> int | None:
    """Return the size of all memory blocks that are in use, or ``None`` if the kernel lists none.

    Source: Linux, Documentation/admin-guide/mm/memory-hotplug.rst.
    """
    base = context.path("sys/devices/system/memory")
    try:
        block = int(read_text(base / "block_size_bytes") or "", 16)
        names = [entry.name for entry in base.iterdir()]
    except (OSError, ValueError):
        return None
    numbers = [name.removeprefix("memory") for name in names if name.startswith("memory")]
    used = sum(read_text(base / f"memory{item}/online") == "1" for item in numbers if parse_list(item))
    return used * block or None


def _require(profile: Profile) -> Requirement:
    text = f"{profile.memory_bytes / GIB:g} GB"
    if profile.memory_recommended_bytes > profile.memory_bytes:
        text += f", {profile.memory_recommended_bytes / GIB:g} GB advised"
    return Requirement(text, needed=True)


def _judge(measured: Measured, profile: Profile) -> Judgement:
    if "limit_bytes" in measured.facts and number(measured) < _share(profile.memory_bytes, USABLE_SHARE):
        return Judgement(Verdict.FAIL, "Lift the memory limit that this process, container or service runs under.")
    if not _reaches(measured, profile.memory_bytes):
        if measured.facts["evidence"] == "firmware" and number(measured) >= profile.memory_bytes:
            return Judgement(
                Verdict.FAIL,
                "The system can use too little of what is installed: lower the graphics memory in the firmware set-up.",
            )
        return Judgement(Verdict.FAIL, f"Fit memory modules of {profile.memory_bytes / GIB:g} GB or more in all.")
    if not _reaches(measured, profile.memory_recommended_bytes):
        return Judgement(
            Verdict.WARN, f"Enough to serve; {profile.memory_recommended_bytes / GIB:g} GB leave room for growth."
        )
    return PASS


def _reaches(measured: Measured, nominal_bytes: int) -> bool:
    total, evidence = measured.facts["total_bytes"], measured.facts["evidence"]
    if not isinstance(total, int) or total < _share(nominal_bytes, USABLE_SHARE):
        return False
    if "limit_bytes" in measured.facts:
        return number(measured) >= _share(nominal_bytes, USABLE_SHARE)
    if evidence == "firmware":
        return number(measured) >= nominal_bytes
    return evidence == "total" or number(measured) >= _share(nominal_bytes, BLOCKS_SHARE)


def _share(nominal_bytes: int, share: tuple[int, int]) -> int:
    return nominal_bytes * share[0] // share[1]


MEMORY = Check("memory", "Memory", _measure, _require, _judge)
