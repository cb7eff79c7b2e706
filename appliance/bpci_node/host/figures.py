"""What a measuring run finds: integers by part and name, each with its unit, and nothing else.

A figure that could not be measured is absent, never 0. The catalog below is the whole vocabulary; a reader refuses
other names, so what is signed means the same to everybody. Parts may be measured at different times and joined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bpci_node.primitives import codec
from bpci_node.primitives.fields import MAX_INT, Fields

VERSION = 1
MAX_BYTES = 64 * 1024
"""Longest encoded set of figures that is read."""

CATALOG: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "processor": {
        "threads": ("", "threads that computed at once"),
        "single": ("B/s", "hashed by one thread, SHA-512 and BLAKE3 in turn"),
        "first": ("B/s", "hashed by all threads in the first seconds"),
        "sustained": ("B/s", "hashed by all threads in the last third of the run"),
        "seconds": ("s", "length of the run"),
        "hottest": ("m°C", "highest temperature of any sensor of the processor"),
        "throttled": ("", "times that the processor slowed down for heat during the run"),
    },
    "memory": {
        "threads": ("", "threads that copied at once"),
        "single": ("B/s", "copied by one thread, each byte counted once"),
        "all": ("B/s", "copied by all threads"),
        "block": ("B", "size of the block that each thread copied"),
    },
    "disk": {
        "file": ("B", "size of the file that was written and read"),
        "direct": ("", "1 if the kernel's cache was passed by (O_DIRECT), else 0"),
        "written": ("B", "written by the sustained run"),
        "write_best": ("B/s", "sequential write, best second"),
        "write_sustained": ("B/s", "sequential write, last third of the run"),
        "read": ("B/s", "sequential read"),
        "random_read": ("1/s", "reads of 4 KiB at random places, 16 at a time"),
        "random_read_single": ("1/s", "reads of 4 KiB at random places, one at a time"),
        "random_write": ("1/s", "writes of 4 KiB at random places, 16 at a time"),
        "flush_median": ("us", "durable append of 4 KiB, idle disk, median"),
        "flush_99": ("us", "durable append of 4 KiB, idle disk, 99th percentile"),
        "flush_999": ("us", "durable append of 4 KiB, idle disk, 99.9th percentile"),
        "flush_busy_99": ("us", "durable append of 4 KiB during the sustained write, 99th percentile"),
    },
    "network": {
        "download": ("bit/s", "payload from the other node, all connections together"),
        "upload": ("bit/s", "payload to the other node, all connections together"),
        "moved": ("B", "moved in all"),
        "connections": ("", "transfers at once"),
        "round_trip": ("us", "median time of a small request"),
        "jitter": ("us", "mean difference between one round trip and the next"),
    },
    "miner": {
        "mx_verkle_buckets": ("1/s", "changed buckets that go into a root in one second, of a pool of 1,000"),
        "mx_verkle_proofs": ("1/s", "proofs of 16 buckets made in one second"),
        "auction_windows_per_sec": ("1/s", "whole windows of 20 entries sealed in one second, four notaries"),
    },
}
"""Parts, and of each its figures: unit and meaning."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one machine."""

    parts: Mapping[str, Mapping[str, int]]
    """By part and name, as in :data:`CATALOG`; what could not be measured is absent."""
    time_ms: int
    """End of the last run that added to it, Unix milliseconds by the machine's own clock."""
    fingerprint: bytes
    """What the machine was made of then, :mod:`bpci_node.host.fingerprint`, 32 bytes."""

    def get(self, part: str, name: str) -> int | None:
        """Return one figure, ``None`` if it was not measured."""
        return self.parts.get(part, {}).get(name)

    def as_object(self) -> dict[str, Any]:
        """Return the form that is stored and signed."""
        return {
            "v": VERSION,
            "parts": {part: dict(values) for part, values in self.parts.items()},
            "time_ms": self.time_ms,
            "fingerprint": self.fingerprint,
        }

    def joined(self, newer: Figures) -> Figures:
        """Return these figures with the parts of a newer run in place of their own.

        Of another machine nothing is kept.
        """
        if newer.fingerprint != self.fingerprint:
            return newer
        return Figures({**self.parts, **newer.parts}, newer.time_ms, newer.fingerprint)

    def encode(self) -> bytes:
        """Return canonical CBOR."""
        return codec.encode(self.as_object())


def figures_from_object(value: Any) -> Figures:
    """Return the figures that :meth:`Figures.as_object` gave as ``value``.

    Raises:
        FormatError: another version, a part or figure that is not in the catalog, or no integers (``format.figures``).
    """
    fields = Fields(value, ("v", "parts", "time_ms", "fingerprint"), what="a set of figures", code="format.figures")
    fields.version(VERSION)
    found = fields.raw("parts")
    if type(found) is not dict or not set(found) <= set(CATALOG):
        raise fields.wrong("has parts that are not in the catalog")
    for part, values in found.items():
        if type(values) is not dict or not set(values) <= set(CATALOG[part]):
            raise fields.wrong(f"has figures that are not in the catalog, in part {part!r}")
        if not all(type(number) is int and 0 <= number <= MAX_INT for number in values.values()):
            raise fields.wrong(f"has a figure that is no integer from 0 on, in part {part!r}")
    return Figures(found, fields.integer("time_ms"), fields.blob("fingerprint", 32))


def decode_figures(data: bytes) -> Figures:
    """Return the figures of a file.

    Raises:
        FormatError: as :func:`figures_from_object`, or a code of the codec.
    """
    return figures_from_object(codec.decode(data, max_bytes=MAX_BYTES))
