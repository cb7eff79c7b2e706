"""A measuring run: the parts one after the other, each bounded; what one can't tell leaves the others as they are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bpci_node.errors import BpciError, StorageError
from bpci_node.host.figures import CATALOG, Figures, decode_figures
from bpci_node.host.fingerprint import fingerprint
from bpci_node.host.measure_disk import DiskBounds, measure_disk
from bpci_node.host.result import CouldNotTellError
from bpci_node.primitives.keys import Signer
from bpci_node.store.durable_file import replace_file

KEPT = Path("/var/lib/bpci/hardware/figures.cbor")
"""Where the figures of this machine are kept."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long the parts take."""

    processor_seconds: float = 120.0
    memory_seconds: float = 5.0
    network_seconds: float = 3.0
    miner_seconds: float = 10.0
    disk: DiskBounds = field(default_factory=DiskBounds)


THOROUGH = Bounds()
QUICK = Bounds(
    5.0, 1.0, 2.0, 2.0, DiskBounds(seconds=3.0, written_bytes=1 << 30, file_bytes=256 << 20, other_seconds=1.0)
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and where."""

    data_dir: Path
    """Directory whose disk is loaded."""
    bounds: Bounds = THOROUGH
    """How long it takes."""
    parts: tuple[str, ...] = tuple(CATALOG)
    """Which parts, in their order."""
    url: str | None = None
    """Node that the line is measured against; without one that part is left out."""
    signer: Signer | None = None
    """Signs requests to it."""


def measure(plan: Plan, tell: Callable[[str], None]) -> tuple[Figures, dict[str, str]]:
    """Measure this machine; return the figures, and of each part that could not be measured the reason.

    Args:
        tell: is told of the progress, a line each time.
    """
    found: dict[str, dict[str, int]] = {}
    reasons: dict[str, str] = {}
    for part in plan.parts:
        try:
            found[part] = _part(part, plan, tell)
        except CouldNotTellError as error:
            reasons[part] = error.reason
        except BpciError as error:
            reasons[part] = error.message if error.hint is None else f"{error.message}. {error.hint}"
    return Figures(found, time.time_ns() // 1_000_000, fingerprint()), reasons


def _part(part: str, plan: Plan, tell: Callable[[str], None]) -> dict[str, int]:
    # Imported where they are used: the auction's and the network's code take a second to load.
    bounds = plan.bounds
    if part == "disk":
        return measure_disk(existing(plan.data_dir), bounds.disk, tell)
    if part == "processor":
        from bpci_node.host.measure_processor import measure_processor  # noqa: PLC0415

        return measure_processor(bounds.processor_seconds, tell)
    if part == "memory":
        from bpci_node.host.measure_memory import measure_memory  # noqa: PLC0415

        return measure_memory(bounds.memory_seconds, tell)
    if part == "miner":
        from bpci_node.host.measure_miner import measure_miner  # noqa: PLC0415

        return measure_miner(bounds.miner_seconds, tell)
    if plan.url is None or plan.signer is None:
        raise CouldNotTellError("no node was named to measure against: --node URL")
    from bpci_node.host.measure_network import measure_network  # noqa: PLC0415

    return measure_network(plan.url, plan.signer, bounds.network_seconds, tell)


def existing(directory: Path) -> Path:
    """Return a directory, or its nearest parent that exists."""
    return next(item for item in (directory, *directory.parents) if item.is_dir())


def read_kept(path: Path) -> Figures | None:
    """Return the figures that are kept in a file, ``None`` if there is none.

    Raises:
        FormatError: it holds something else (``format.figures``, or a code of the codec).
        StorageError: it can't be read (``storage.io``).
    """
    try:
        with path.open("rb") as file:
            return decode_figures(file.read(1 << 20))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", code="storage.io") from error


def keep(path: Path, figures: Figures) -> Figures:
    """Join figures to those that are kept, write them, and return what is kept now.

    Raises:
        FormatError: as :func:`read_kept`.
        StorageError: it can't be read or written (``storage.io``).
    """
    earlier = read_kept(path)
    joined = figures if earlier is None else earlier.joined(figures)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_file(path, joined.encode(), mode=0o644)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", code="storage.io") from error
    return joined
