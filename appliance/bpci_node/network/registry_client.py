"""What a client asks of a node about the registry: search, liveness, admission, validators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from bpci_node.network.checks import malformed
from bpci_node.network.transport import Transport
from bpci_node.network.wire import bytes_of


@dataclass(frozen=True, slots=True)
class AdmissionTerms:
    """What a proof of work is to be bound to."""

    height: int
    """Height of a recent block."""
    root: bytes
    """Root of the state after it, 32 bytes."""
    bits: int
    """Zero bits that the work begins with."""


class RegistryClient:
    """Asks one node about its ledger's registry."""

    def __init__(self, base: str) -> None:
        """Take a base URL such as ``http://192.0.2.5:8545``; nothing is sent yet.

        Raises:
            FormatError: not the base URL of a node (``format.url``).
        """
        self._transport = Transport(base)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def search(self, conditions: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Yield every node that meets the conditions, ``{node, liveness}``, page by page."""
        after: str | None = ""
        while after is not None:
            query = urlencode({**conditions, "after": after, "limit": 1000})
            page = self._get(f"/v1/registry/search?{query}", "nodes", "next")
            yield from page["nodes"]
            after = page["next"]

    def liveness(self, name: str) -> dict[str, Any]:
        """Return whether a node is heard, and its last heartbeat.

        Raises:
            NotFoundError: no such node (``registry.unknown``).
        """
        return self._get(f"/v1/registry/nodes/{quote(name, safe=':')}/liveness", "liveness", "heartbeat")

    def admission(self) -> AdmissionTerms:
        """Return what a proof of work is to be bound to now."""
        found = self._get("/v1/registry/admission", "height", "root", "bits")
        if type(found["height"]) is not int or type(found["bits"]) is not int or not 0 <= found["bits"] <= 64:
            raise malformed(self._transport.where)
        return AdmissionTerms(found["height"], bytes_of(found["root"], what="root"), found["bits"])

    def validator(self, account: str) -> dict[str, Any]:
        """Return a validator and its stake.

        Raises:
            NotFoundError: it is none (``validator.unknown``).
        """
        return self._get(f"/v1/validators/{quote(account)}", "validator", "bonded")

    def validators(self, height: int | None = None) -> dict[str, Any]:
        """Return the set of validators after a block, the last one if ``height`` is ``None``.

        Raises:
            NotFoundError: so early a set is not kept any more (``validator.set_gone``).
        """
        query = "" if height is None else f"?{urlencode({'height': height})}"
        return self._get(f"/v1/validators{query}", "members", "height")

    def _get(self, path: str, *members: str) -> dict[str, Any]:
        value = self._transport.value("GET", path)
        if not isinstance(value, dict) or any(member not in value for member in members):
            raise malformed(self._transport.where)
        return value
