"""Pages of sealed bundles."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bpci_node.auction.bundle import Bundle
from bpci_node.gateway.explorer_contents import decoded, entry_rows
from bpci_node.gateway.pages import PAGE_ROWS, Page, Pages
from bpci_node.primitives.keys import did_of
from bpci_node.store.block_reads import BlockReads

_NEWEST = 2**47


def bundle_pages(pages: Pages) -> APIRouter:
    """Return the routes of bundles."""
    router = APIRouter(include_in_schema=False)
    node, reads = pages.node, BlockReads(pages.node.store)

    @router.get("/bundles")
    async def bundles(
        request: Request,
        target: Annotated[str, Query(max_length=64)] = "",
        before: Annotated[int, Query(ge=1, le=_NEWEST)] = _NEWEST,
    ) -> Response:
        async def prepare() -> Page:
            chosen = target or next(iter(node.pools))
            top = min(before, node.last_bundle(chosen) + 1)
            rows = await asyncio.to_thread(reads.bundles, chosen, before=top, limit=PAGE_ROWS)
            values = {
                "targets": list(node.pools),
                "target": chosen,
                "rows": rows,
                "is_first": before == _NEWEST,
                "next": rows[-1][0] if len(rows) == PAGE_ROWS else None,
            }
            return Page("bundles.html", values)

        return await pages.answer(request, prepare)

    @router.get("/bundles/{target}/{sequence}")
    async def bundle(
        request: Request,
        target: Annotated[str, Path(max_length=64)],
        sequence: Annotated[int, Path(ge=1, le=_NEWEST)],
        first: Annotated[int, Query(ge=0, le=2**32)] = 0,
    ) -> Response:
        async def prepare() -> Page:
            data = await node.bundle(target, sequence)
            found = await decoded(pages, request, data, Bundle.decode)
            values = {
                "target": target,
                "sequence": sequence,
                "bundle": found,
                "digest": found.header.digest(),
                "signer": did_of(found.signer),
                "size": len(data),
                "last": node.last_bundle(target),
                "file": f"{target.replace(':', '-')}-{sequence}.bundle",
                **entry_rows(found.entries, first, lambda entry: {"bytes": len(entry.raw)}),
            }
            return Page("bundle.html", values)

        pages.api.allow_ledger(request, 1.0)
        return await pages.answer(request, prepare)

    return router
