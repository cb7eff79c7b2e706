"""The page of one entry of the ledger's state, there or absent, with its proof as a file."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from bpci_node.chain.ledger_proof import MAX_KEY_BYTES, StateEntryProof
from bpci_node.errors import BpciError, FormatError
from bpci_node.gateway.pages import Page, Pages, in_thread
from bpci_node.network.wire import bytes_of
from bpci_node.primitives import codec

_READ_BYTES = 64 * 1024
"""Longest value that is shown decoded."""


def state_pages(pages: Pages) -> APIRouter:
    """Return the routes of entries of the state."""
    router = APIRouter(include_in_schema=False)
    lookups = pages.node.lookups

    @router.get("/state/{key}")
    async def entry(request: Request, key: str) -> Response:
        wanted = _key(key)

        def prepare() -> Page:
            machine = lookups.current()
            stored = machine.state.get(wanted)
            values = {
                "key": wanted,
                "text": _as_text(wanted),
                "stored": stored,
                "decoded": None if not stored else _decoded(stored),
                "height": machine.height,
                "root": machine.state.root,
                "file": state_file(wanted),
            }
            return Page("state.html", values)

        return await pages.answer(request, in_thread(prepare))

    @router.get("/state/{key}/proof")
    async def proof(request: Request, key: str) -> Response:
        wanted = _key(key)

        async def prepare() -> bytes:
            found = await lookups.state_proof(wanted)
            return StateEntryProof(found["signed_block"], wanted, found["value"], found["proof"]).encode()

        pages.api.allow_ledger(request, 0.1)
        return await pages.download(request, state_file(wanted), prepare)

    return router


def state_file(key: bytes) -> str:
    """Return the name of the file that proves what stands at a state key."""
    text = _as_text(key) or key.hex()
    return "state-" + "".join(char if char.isalnum() or char in ".-" else "-" for char in text)[:80] + ".proof"


def _key(text: str) -> bytes:
    key = bytes_of(text, what="a state key")
    if not 1 <= len(key) <= MAX_KEY_BYTES:
        raise FormatError(f"a state key has 1 to {MAX_KEY_BYTES} bytes", code="format.hex")
    return key


def _as_text(key: bytes) -> str | None:
    return key.decode("ascii") if key.isascii() and all(32 < byte < 127 for byte in key) else None


def _decoded(stored: bytes) -> Any:
    """Return what a value encodes, ``None`` if it is too long or no CBOR."""
    try:
        return codec.decode(stored, max_bytes=_READ_BYTES)
    except BpciError:
        return None
