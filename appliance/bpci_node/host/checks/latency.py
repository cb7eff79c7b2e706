"""How long a durable append takes: what stands between an entry and its receipt.

Four-kilobyte blocks are appended to a file in the data directory, each followed by ``fdatasync``, as a journal does it.
The file has no name from its first moment on, so even a killed check leaves nothing behind. It is bounded in time and
in number, and writes at most 2 MiB.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bpci_node.host.check import PASS, Check, in_milliseconds
from bpci_node.host.context import Context
from bpci_node.host.profiles import Profile
from bpci_node.host.result import CouldNotTellError, Judgement, Measured, Requirement, Verdict

BLOCK_BYTES = 4096
MOST_APPENDS = 512
TIME_LIMIT_SECONDS = 2.0
IMPLAUSIBLE_US = 10
"""A median below this can't have waited for any medium (an NVMe disk takes at least 15 to 20 microseconds)."""


def append_times_us(directory: Path, *, most: int = MOST_APPENDS, seconds: float = TIME_LIMIT_SECONDS) -> list[int]:
    """Return how long each durable append to a file in ``directory`` took, in microseconds, in order.

    Args:
        most: number of appends after which it stops.
        seconds: time after which it stops; at least one append is made.
    Raises:
        OSError: the directory can't be written.
    """
    block = os.urandom(BLOCK_BYTES)  # not zeros, which some disks do not store
    file = open_nameless(directory)
    try:
        times: list[int] = []
        end = time.monotonic() + seconds
        while len(times) < most and (not times or time.monotonic() < end):
            start = time.perf_counter_ns()
            os.write(file, block)
            os.fdatasync(file)
            times.append((time.perf_counter_ns() - start) // 1000)
        return times
    finally:
        os.close(file)


def percentile(values: list[int], per_cent: int) -> int:
    """Return the nearest-rank percentile of a list that is not empty, ``0 < per_cent <= 100``."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * per_cent // 100) - 1]


def open_nameless(directory: Path) -> int:
    """Open a file in ``directory`` for reading and writing that has no name, and return its descriptor.

    Raises:
        OSError: the directory can't be written.
    """
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError:
        # Some file systems (NFS, overlayfs of older kernels) have no nameless files.
        file, name = tempfile.mkstemp(prefix=".bpci-hardware-check-", dir=directory)
        Path(name).unlink()
        return file


def _measure(context: Context) -> Measured:
    if context.disk is not None:
        raise CouldNotTellError(
            "not yet installed on this disk", "It is measured once the node runs from this disk.", later=True
        )
    directory = context.existing_data_dir()
    try:
        times = append_times_us(directory)
    except PermissionError:
        raise CouldNotTellError(
            f"{context.data_dir} may not be written by this user",
            "Run the check as root, or name a directory on the same disk with --data-dir.",
        ) from None
    except OSError as error:
        raise CouldNotTellError(
            f"{context.data_dir} can't be written: {error.strerror}", "Free some space or mount the disk for writing."
        ) from None
    middle, high = percentile(times, 50), percentile(times, 99)
    text = f"median {in_milliseconds(middle)}, 99 % {in_milliseconds(high)}"
    return Measured(high, "us", text, {"median_us": middle, "worst_us": max(times), "appends": len(times)})


def _require(profile: Profile) -> Requirement:
    text = f"99 % within {in_milliseconds(profile.flush_good_us)}"
    return Requirement(text, needed=profile.flush_bad_us is not None)


def _judge(measured: Measured, profile: Profile) -> Judgement:
    high, middle = measured.value, measured.facts["median_us"]
    if not isinstance(high, int) or not isinstance(middle, int):
        return Judgement(Verdict.UNKNOWN)
    if profile.flush_bad_us is not None and high >= profile.flush_bad_us:
        return Judgement(
            Verdict.FAIL, "Use an SSD; on a virtual machine, ask for a faster disk or less load beside it."
        )
    if high > profile.flush_good_us:
        return Judgement(Verdict.WARN, "Receipts will be slow under load; an NVMe SSD helps.")
    if middle < IMPLAUSIBLE_US:
        return Judgement(
            Verdict.WARN, "No disk is this fast: something here confirms writes that a power cut would lose."
        )
    return PASS


LATENCY = Check("storage_latency", "Flush latency", _measure, _require, _judge)
