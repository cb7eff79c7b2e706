"""The search: one box for heights, accounts, nodes, state keys and digests."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from bpci_node.chain.block import decode_signed_block
from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.gateway.page_text import path_part
from bpci_node.gateway.pages import Page, Pages, in_thread
from bpci_node.store.block_reads import SEARCHED_ROWS, BlockReads

_HEIGHT = re.compile(r"[0-9]{1,18}")
_DID = re.compile(r"did:key:z[1-9A-HJ-NP-Za-km-z]{40,60}")
_DIGEST = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")
_KEY = re.compile(r"0x(?:[0-9a-f]{2}){1,256}")
_COST_MIB = 2.0
"""What looking for a digest counts as, among parts of the ledger."""


def search_pages(pages: Pages) -> APIRouter:
    """Return the route of the search."""
    router = APIRouter(include_in_schema=False)
    node, reads = pages.node, BlockReads(pages.node.store)

    @router.get("/search")
    async def search(request: Request, wanted: Annotated[str, Query(alias="q", max_length=600)] = "") -> Response:
        text = wanted.strip()
        found = _by_form(text)
        digest = _DIGEST.fullmatch(text)
        if found is None and digest is None:
            values = {"wanted": text, "rows": SEARCHED_ROWS}
            return await pages.answer(request, in_thread(lambda: Page("search.html", values, status=404)))
        if found is not None:
            return RedirectResponse(found, 303)

        def prepare() -> Page:
            wanted_digest = bytes.fromhex(digest[1]) if digest else b""
            values = {"wanted": text, "rows": SEARCHED_ROWS, "place": _by_digest(wanted_digest)}
            return Page("search.html", values, status=200 if values["place"] else 404)

        pages.api.allow_ledger(request, _COST_MIB)
        return await pages.answer(request, in_thread(prepare))

    def _by_digest(digest: bytes) -> tuple[str, str] | None:
        """Return path and name of what has this digest."""
        height = node.lookups.height
        last = reads.block(height)
        child = reads.find_child(digest)
        if last is not None and decode_signed_block(last[0]).block.digest == digest:
            return f"/blocks/{height}", f"block {height}"
        if child is not None and child > 1:
            parent = reads.block(child - 1)
            if parent is not None and decode_signed_block(parent[0]).block.digest == digest:
                return f"/blocks/{child - 1}", f"block {child - 1}"
        command = reads.find_command(digest)
        if command is not None:
            return f"/blocks/{command[0]}/commands/{command[1]}", f"command {command[1]} of block {command[0]}"
        for target in node.pools:
            sequence = reads.find_bundle(digest, target)
            if sequence is not None and sequence <= node.last_bundle(target):
                return f"/bundles/{path_part(target)}/{sequence}", f"bundle {sequence} of {target}"
        return None

    return router


def _by_form(text: str) -> str | None:
    """Return the path of what a text names by its form alone."""
    if _HEIGHT.fullmatch(text) and int(text):
        return f"/blocks/{int(text)}"
    if ACCOUNT_FORM.fullmatch(text):
        return f"/accounts/{text}"
    if _DID.fullmatch(text):
        return f"/nodes/{text}"
    if _KEY.fullmatch(text) and not _DIGEST.fullmatch(text):
        return f"/state/{text}"
    return None
