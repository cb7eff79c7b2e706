"""What a client asks of a node's pools: what waits, and that an entry leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

from bpci_node.network.transport import Transport
from bpci_node.network.wire import CBOR

PAGE = 256
"""Buckets, or entries, of one page."""
MAX_PAGE_BYTES = 2 << 20
"""Longest page of entries that is read."""

Checked = Callable[..., dict[str, Any]]
"""Checks that a reply is a map with these members, and returns it."""


class MempoolClient:
    """The part of a node's client that is about its pools."""

    def __init__(self, transport: Transport, as_map: Checked) -> None:
        self._transport, self._map = transport, as_map

    def summary(self, target: str) -> dict[str, Any]:
        """Return a pool's counts, terms, limits and roots.

        Raises:
            NotFoundError: no such target.
        """
        return self._map(self._transport.value("GET", _path(target)), "v", "count", "limits", "roots", "funding")

    def buckets(self, target: str) -> Iterator[dict[str, Any]]:
        """Yield the statistics of every bucket in the order of their keys, asking page by page.

        Raises:
            NotFoundError: no such target.
        """
        after: str | None = "0x"
        while after is not None:
            query = urlencode({"after": after, "limit": PAGE})
            value = self._transport.value("GET", f"{_path(target)}/buckets?{query}")
            page = self._map(value, "buckets", "next")
            for bucket in page["buckets"]:
                yield self._map(bucket, "key", "count", "gas_sum", "min_fee_wei", "max_fee_wei", "type", "gas_class")
            after = page["next"]

    def bucket(self, target: str, key: bytes) -> dict[str, Any]:
        """Return the statistics of one bucket.

        Raises:
            NotFoundError: it is empty, or no such target.
        """
        return self._map(self._transport.value("GET", f"{_path(target)}/buckets/0x{key.hex()}"), "key", "count")

    def entries(self, target: str, key: bytes) -> Iterator[bytes]:
        """Yield what waits in a bucket, as it was signed, the dearest first, asking page by page.

        Raises:
            NotFoundError: it is empty, or no such target.
        """
        skip: int | None = 0
        while skip is not None:
            path = f"{_path(target)}/buckets/0x{key.hex()}/entries?{urlencode({'skip': skip, 'limit': PAGE})}"
            page = self._map(
                self._transport.value("GET", path, headers={"Accept": CBOR}, reply_bytes=MAX_PAGE_BYTES),
                "entries",
                "next",
            )
            for entry in page["entries"]:
                yield self._map(entry, "txid", "raw")["raw"]
            skip = page["next"]

    def cancel(self, cancellation: bytes) -> dict[str, Any]:
        """Send a signed cancellation, encoded; return ``{txid, arrival_seq, state}`` when it is durable.

        Raises:
            RefusedError, NotFoundError, LimitError: the node's reason.
        """
        value = self._transport.value(
            "POST", "/v1/entries/cancel", content=cancellation, headers={"Content-Type": CBOR}
        )
        return self._map(value, "txid", "arrival_seq", "state")


def _path(target: str) -> str:
    return f"/v1/mempool/{quote(target, safe=':')}"
