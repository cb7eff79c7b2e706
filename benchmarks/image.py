"""The image: how large it is, how long building took, and how long a machine needs from power-on to the wizard."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path
from typing import Any

from image.boot import built_image
from image.qemu import Machine, overlay


def run() -> list[dict[str, Any]]:
    """Return the rows; the image has to be built (``make image``)."""
    image = built_image("debian-12")
    compressed = image.with_suffix(".img.zst")
    timings = image.with_suffix(".timings").read_text()
    build_seconds = sum(int(seconds) for seconds in re.findall(r"(\d+) s$", timings, re.MULTILINE))
    return [
        _row("image, compressed", compressed.stat().st_size / 1e6, "MB", "<= 500"),
        _row("image build", build_seconds / 60, "min", "<= 15"),
        _row("power-on to wizard, emulated", boot_to_wizard(image), "s", "<= 40"),
    ]


def boot_to_wizard(image: Path) -> float:
    """Return the seconds from starting QEMU to the wizard's first screen on the serial console."""
    with tempfile.TemporaryDirectory() as directory:
        disk = overlay(image, Path(directory) / "disk.qcow2")
        with Machine(Path(directory), [disk]).running() as machine:
            machine.console.wait_for(r"Step 1 of \d+", timeout=300)
            return time.monotonic() - machine.started


def _row(name: str, value: float, unit: str, target: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "target": target}
