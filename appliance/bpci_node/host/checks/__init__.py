"""The checks themselves, one module per part of a machine, in the order in which they run and are shown."""

from __future__ import annotations

from bpci_node.host.check import Check
from bpci_node.host.checks import bandwidth, clock, latency, link, memory, processor, storage, trust

ALL: tuple[Check, ...] = (
    processor.ARCHITECTURE,
    processor.CORES,
    processor.INSTRUCTIONS,
    memory.MEMORY,
    storage.SIZE,
    storage.KIND,
    storage.SPACE,
    latency.LATENCY,
    link.LINK,
    bandwidth.DOWNLOAD,
    bandwidth.UPLOAD,
    clock.CLOCK,
    trust.TPM,
    trust.SECURE_BOOT,
)
