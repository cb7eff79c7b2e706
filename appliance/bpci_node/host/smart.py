"""What disks say of their own health, read from smartctl."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.errors import FormatError
from bpci_node.primitives.json_text import read_json

MAX_BYTES = 1 << 20
"""Longest answer of smartctl that is read."""

_LEFT = {
    231: "SSD_Life_Left",
    233: "Media_Wearout_Indicator",
    202: "Percent_Lifetime_Remain",
    177: "Wear_Leveling_Count",
}
"""Attributes whose normalized value counts down from 100 as flash wears, the most telling first."""


@dataclass(frozen=True, slots=True)
class DiskHealth:
    """One disk."""

    device: str
    """Such as ``/dev/nvme0``."""
    is_healthy: bool | None
    """Its own verdict; ``None`` if it gives none."""
    wear_percent: int | None
    """How much of its life is used, which may pass 100; ``None`` if it does not say."""


def read_scan(data: bytes) -> list[tuple[str, str]]:
    """Return device and type of each disk in the answer of ``smartctl --scan --json``.

    Raises:
        FormatError: not such an answer (``format.smart``).
    """
    value = _map(data)
    try:
        return [(str(item["name"]), str(item["type"])) for item in value.get("devices", [])]
    except (KeyError, TypeError, AttributeError) as error:
        raise _wrong() from error


def read_health(data: bytes) -> DiskHealth:
    """Return what ``smartctl --json --info --health --attributes DEVICE`` answers.

    Raises:
        FormatError: not such an answer (``format.smart``).
    Source: smartctl(8), smartmontools 7.2 and later; NVM Express 1.4, figure 194 (percentage used).
    """
    value = _map(data)
    try:
        device = str(value["device"]["name"])
        passed = value.get("smart_status", {}).get("passed")
        log = value.get("nvme_smart_health_information_log")
        if log is not None:
            wear = int(log["percentage_used"])
            # A warning that spare blocks are used up comes before the verdict changes.
            healthy = (
                None if passed is None else bool(passed) and log["available_spare"] >= log["available_spare_threshold"]
            )
            return DiskHealth(device, healthy, wear)
        attributes = {item["id"]: item for item in value.get("ata_smart_attributes", {}).get("table", [])}
        return DiskHealth(device, None if passed is None else bool(passed), _ata_wear(attributes))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong() from error


def _ata_wear(attributes: dict[int, Any]) -> int | None:
    for number, name in _LEFT.items():
        found = attributes.get(number)
        # The same number means something else with some makers: the drive database's name decides.
        if found is not None and found["name"] == name:
            return max(0, 100 - int(found["value"]))
    return None


def _map(data: bytes) -> dict[str, Any]:
    try:
        value = read_json(data, max_bytes=MAX_BYTES, allow_fractions=True)
    except FormatError as error:
        raise _wrong() from error
    if not isinstance(value, dict):
        raise _wrong()
    return value


def _wrong() -> FormatError:
    return FormatError("the answer of smartctl can't be read", code="format.smart")
