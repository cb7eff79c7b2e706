"""The part of a node's configuration that is about its faucet."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bpci_node.runtime.table import TableReader


@dataclass(frozen=True, slots=True)
class FaucetSection:
    """Whether this node hands out test money, and to whom how often."""

    enabled: bool = False
    """Whether it does; it must hold the key of the faucet's operator."""
    key: str | None = None
    """The operator's key, as :class:`KeysSection` names keys; ``None``: the registry's."""
    work_bits: int = 20
    """Zero bits that a proof of work begins with: about a million hashes, some seconds in a browser."""
    grants_per_source: int = 5
    """Grants for work to one IPv4 address or IPv6 /64 network in a day."""

    def as_table(self) -> dict[str, Any]:
        """Return the table of the configuration file."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def read_faucet(reader: TableReader) -> FaucetSection:
    """Read the table ``faucet``.

    Raises:
        UsageError: it is not of this form (``config.key``, ``config.value``).
    """
    default = FaucetSection()
    key = reader.text("key", "", r"(credential:[A-Za-z0-9._-]+|file:/.+)?", "credential:NAME or file:/path")
    section = FaucetSection(
        enabled=reader.flag("enabled", default=default.enabled),
        key=key or None,
        work_bits=reader.integer("work_bits", 0, 40, default.work_bits),
        grants_per_source=reader.integer("grants_per_source", 0, 10**6, default.grants_per_source),
    )
    reader.done()
    return section
