"""What a machine must have to serve in a role: the profiles, as data.

``community`` is what an owner at home is asked for, ``enterprise`` what a company's node is asked for, and ``dev`` lets
a small virtual machine pass so that the software can be tried; a report under ``dev`` says so.
Sizes of memory are binary (modules are), sizes of storage decimal (disks are sold so).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bpci_node.errors import UsageError

GIB = 1 << 30
GB = 10**9
MEGABIT = 10**6


class Need(StrEnum):
    """How much a profile insists on a feature."""

    REQUIRED = "required"
    RECOMMENDED = "recommended"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Profile:
    """Requirements of one role."""

    name: str
    """What ``--profile`` takes."""
    note: str
    """What a pass under this profile says, and what it does not."""
    logical_processors: int
    """Fewest processors that the node may use at once."""
    memory_bytes: int
    """Nominal size of the memory modules."""
    memory_recommended_bytes: int
    """Nominal size below which there is a warning."""
    storage_bytes: int
    """Smallest disk, the whole of it."""
    usable_bytes: int
    """Smallest file system for the node's data: used plus available, without blocks reserved for root."""
    solid_state: Need
    """Whether the disk must have no moving parts."""
    flush_good_us: int
    """99th percentile of a 4 KiB durable append, in microseconds, up to which it passes."""
    flush_bad_us: int | None
    """The same, from which on it fails; ``None``: only warned of."""
    bandwidth: Need
    """Whether bandwidth must have been measured."""
    bandwidth_bits_per_second: int
    """Line rate in each direction, and lowest nominal speed of the link."""
    clock_offset_ms: int
    """Largest difference from the registry's clock."""
    instructions: Need
    """Processor instructions for AES and for 256-bit (ARM: 128-bit) vectors."""
    tpm: Need
    """TPM 2.0."""
    secure_boot: Need
    """UEFI Secure Boot in force."""


COMMUNITY = Profile(
    name="community",
    note="Meets what a community node needs.",
    logical_processors=8,
    memory_bytes=8 * GIB,
    memory_recommended_bytes=16 * GIB,
    storage_bytes=500 * GB,
    usable_bytes=400 * GB,
    solid_state=Need.REQUIRED,
    flush_good_us=20_000,
    flush_bad_us=100_000,
    bandwidth=Need.REQUIRED,
    bandwidth_bits_per_second=100 * MEGABIT,
    clock_offset_ms=1_000,
    instructions=Need.RECOMMENDED,
    tpm=Need.RECOMMENDED,
    secure_boot=Need.RECOMMENDED,
)

ENTERPRISE = Profile(
    name="enterprise",
    note="Meets what an enterprise node needs.",
    logical_processors=16,
    memory_bytes=32 * GIB,
    memory_recommended_bytes=64 * GIB,
    storage_bytes=1000 * GB,
    usable_bytes=800 * GB,
    solid_state=Need.REQUIRED,
    flush_good_us=5_000,
    flush_bad_us=20_000,
    bandwidth=Need.REQUIRED,
    bandwidth_bits_per_second=1000 * MEGABIT,
    clock_offset_ms=250,
    instructions=Need.REQUIRED,
    tpm=Need.REQUIRED,
    secure_boot=Need.RECOMMENDED,
)

DEV = Profile(
    name="dev",
    note="Development profile: the software runs here, but this does not make the machine fit to serve a network.",
    logical_processors=1,
    memory_bytes=3 * GIB // 2,
    memory_recommended_bytes=3 * GIB // 2,
    storage_bytes=4 * GB,
    usable_bytes=GB // 2,
    solid_state=Need.NONE,
    flush_good_us=500_000,
    flush_bad_us=None,
    bandwidth=Need.NONE,
    bandwidth_bits_per_second=MEGABIT,
    clock_offset_ms=60_000,
    instructions=Need.NONE,
    tpm=Need.NONE,
    secure_boot=Need.NONE,
)

PROFILES = {profile.name: profile for profile in (COMMUNITY, ENTERPRISE, DEV)}


def profile_named(name: str) -> Profile:
    """Return the profile of this name.

    Raises:
        UsageError: there is none (``host.profile``).
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise UsageError(
            f"there is no hardware profile {name!r}", code="host.profile", hint=f"Use one of {', '.join(PROFILES)}."
        ) from None
