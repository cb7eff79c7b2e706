"""What the processor computes: one thread, all threads, and all threads after minutes, when it is hot.

The work is hashing of large blocks with SHA-512 (integer units) and BLAKE3 (vector units) in turn: what the node does
anyway, from libraries that leave the interpreter's lock, so that threads fill every processor.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

from bpci_node.host.context import read_number, read_text
from bpci_node.host.pace import keep_pace

BLOCK_BYTES = 1 << 20
SINGLE_SECONDS = 2.0
_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "soc_thermal", "scpi_sensors")
_ZONES = ("x86_pkg_temp", "cpu", "soc", "acpitz")


def usable_threads() -> int:
    """Return on how many processors this process may run."""
    return len(os.sched_getaffinity(0)) or 1


def measure_processor(seconds: float, tell: Callable[[str], None], root: Path = Path("/")) -> dict[str, int]:
    """Let all processors compute and return what they got done, :data:`bpci_node.host.figures.CATALOG`.

    Args:
        seconds: length of the run with all threads.
        tell: is told of the progress, one line about every second.
        root: top of the tree in which sensors are read.
    """
    threads = usable_threads()
    single = keep_pace([_worker()], min(SINGLE_SECONDS, seconds)).per_second
    hottest: list[int] = []
    before = throttle_events(root)

    def tick(done: int, taken: float) -> bool:
        heat = temperature(root)
        hottest.extend(() if heat is None else (heat,))
        at = "" if heat is None else f", {heat // 1000} °C"
        tell(f"processor: {int(done / taken) >> 20} MiB/s on {threads} threads, {taken:.0f} of {seconds:.0f} s{at}")
        return True

    pace = keep_pace([_worker() for _ in range(threads)], seconds, tick=tick)
    after = throttle_events(root)
    found = {
        "threads": threads,
        "single": single,
        "first": pace.first,
        "sustained": pace.last,
        "seconds": round(pace.seconds),
    }
    if hottest:
        found["hottest"] = max(0, *hottest)
    if before is not None and after is not None:
        found["throttled"] = max(0, after - before)
    return found


def temperature(root: Path = Path("/")) -> int | None:
    """Return the temperature of the hottest sensor of the processor, thousandths of a degree; ``None`` without one.

    Source: Linux, Documentation/hwmon/sysfs-interface.rst and Documentation/driver-api/thermal/sysfs-api.rst.
    """
    found = [
        read_number(sensor)
        for chip in root.glob("sys/class/hwmon/hwmon*")
        if read_text(chip / "name") in _SENSORS
        for sensor in chip.glob("temp*_input")
    ]
    found += [
        read_number(zone / "temp")
        for zone in root.glob("sys/class/thermal/thermal_zone*")
        if (read_text(zone / "type") or "").startswith(_ZONES)
    ]
    return max((value for value in found if value is not None), default=None)


def throttle_events(root: Path = Path("/")) -> int | None:
    """Return how often processors have slowed down for heat since the start; ``None`` where that is not counted."""
    found = [
        read_number(counter)
        for name in ("core_throttle_count", "package_throttle_count")
        for counter in root.glob(f"sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/{name}")
    ]
    known = [value for value in found if value is not None]
    return sum(known) if known else None


def _worker() -> Callable[[], int]:
    block = os.urandom(BLOCK_BYTES)

    def work() -> int:
        hashlib.sha512(block).digest()
        blake3(block).digest()
        return 2 * BLOCK_BYTES

    return work
