"""What pages of bundles have in common, whatever a bundle's version: its price, and its entries, page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from fastapi import Request

from bpci_node.gateway.pages import PAGE_ROWS, Pages
from bpci_node.primitives.hashing import keccak256

T = TypeVar("T")
E = TypeVar("E", bound="HasRaw")


class HasRaw(Protocol):
    """An entry of a bundle."""

    @property
    def raw(self) -> bytes:
        """The entry as its sender signed it."""


async def decoded(pages: Pages, request: Request, data: bytes, decode: Callable[[bytes], T]) -> T:
    """Decode a bundle off the event loop, for the rest of its price: decoding is linear in its length.

    Raises:
        LimitError: too much for this address (``limit.ledger``).
        BpciError: what ``decode`` raises.
    """
    pages.api.allow_ledger(request, len(data) / (1 << 20))
    return await asyncio.to_thread(decode, data)


def entry_rows(entries: Sequence[E], first: int, more_of: Callable[[E], dict[str, Any]]) -> dict[str, Any]:
    """Return the values of the page of entries that begins at number ``first``, and where the next one begins."""
    after = first + PAGE_ROWS
    rows = [
        {"place": first + offset, "txid": keccak256(entry.raw), "entry": entry} | more_of(entry)
        for offset, entry in enumerate(entries[first:after])
    ]
    return {"rows": rows, "first": first, "next": after if after < len(entries) else None}
