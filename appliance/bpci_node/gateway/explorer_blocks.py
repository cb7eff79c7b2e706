"""Pages of blocks and of the commands in them, with proofs of commands as files."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bpci_node.chain.block import SignedBlock, decode_signed_block
from bpci_node.chain.command import decode_signed_command
from bpci_node.chain.ledger_proof import prove_command
from bpci_node.errors import BpciError, NotFoundError
from bpci_node.gateway.pages import PAGE_ROWS, Page, Pages, in_thread
from bpci_node.primitives import codec
from bpci_node.store.block_reads import BlockReads
from bpci_node.store.blocks import SqliteBlockStore

Height = Annotated[int, Path(ge=1, le=2**62)]
Position = Annotated[int, Path(ge=0, le=2**32)]
NEWEST = 2**62


def block_pages(pages: Pages) -> APIRouter:
    """Return the routes of blocks and commands."""
    router = APIRouter(include_in_schema=False)
    lookups, reads, store = pages.node.lookups, BlockReads(pages.node.store), SqliteBlockStore(pages.node.store)

    @router.get("/blocks")
    async def blocks(request: Request, before: Annotated[int, Query(ge=1, le=NEWEST)] = NEWEST) -> Response:
        def prepare() -> Page:
            rows = recent_blocks(reads, before=min(before, lookups.height + 1), limit=PAGE_ROWS)
            following = rows[-1]["height"] if len(rows) == PAGE_ROWS else None
            return Page("blocks.html", {"rows": rows, "next": following, "is_first": before == NEWEST})

        return await pages.answer(request, in_thread(prepare))

    @router.get("/blocks/{height}")
    async def block(request: Request, height: Height, first: Annotated[int, Query(ge=0, le=2**32)] = 0) -> Response:
        def prepare() -> Page:
            signed, count = _block(height)
            rows = [
                {"position": position} | _command_row(command, result)
                for position, command, result in reads.commands(height, first=first, limit=PAGE_ROWS)
            ]
            values = {
                "block": signed.block,
                "signature": signed.signature,
                "count": count,
                "rows": rows,
                "first": first,
                "next": first + PAGE_ROWS if first + PAGE_ROWS < count else None,
                "has_next": height < lookups.height,
            }
            return Page("block.html", values)

        return await pages.answer(request, in_thread(prepare))

    @router.get("/blocks/{height}/commands/{position}")
    async def command(request: Request, height: Height, position: Position) -> Response:
        def prepare() -> Page:
            signed, count = _block(height)
            found = reads.commands(height, first=position, limit=1)
            if position >= count or not found:
                raise _no_command(height, position)
            _, encoded, result = found[0]
            values = {
                "block": signed.block,
                "position": position,
                "count": count,
                "signed": _decoded(encoded),
                "raw": encoded,
                "result": codec.decode(result),
                "file": f"command-{height}-{position}.proof",
            }
            return Page("command.html", values)

        return await pages.answer(request, in_thread(prepare))

    @router.get("/blocks/{height}/commands/{position}/proof")
    async def proof(request: Request, height: Height, position: Position) -> Response:
        def prepare() -> bytes:
            signed, count = _block(height)
            if position >= count:
                raise _no_command(height, position)
            return prove_command(signed.encode(), store.commands(height), position).encode()

        pages.api.allow_ledger(request, 1.0)
        return await pages.download(request, f"command-{height}-{position}.proof", lambda: asyncio.to_thread(prepare))

    def _block(height: int) -> tuple[SignedBlock, int]:
        found = reads.block(height) if height <= lookups.height else None
        if found is None:
            raise NotFoundError(
                f"there is no block {height} here", code="chain.block", hint="It is yet to be made, or was let go of."
            )
        return decode_signed_block(found[0]), found[1]

    return router


def recent_blocks(reads: BlockReads, *, before: int, limit: int) -> list[dict[str, Any]]:
    """Return rows of a table of blocks below ``before``, newest first."""
    rows = []
    for height, data, count in reads.blocks(before=before, limit=limit):
        block = decode_signed_block(data).block
        rows.append({"height": height, "digest": block.digest, "time_ms": block.time_ms, "count": count})
    return rows


def _command_row(encoded: bytes, result: bytes) -> dict[str, Any]:
    outcome, signed = codec.decode(result), _decoded(encoded)
    return {
        "kind": None if signed is None else signed.command.kind,
        "sender": None if signed is None else signed.command.sender,
        "error": outcome["error"],
    }


def _decoded(encoded: bytes) -> Any:
    """Return the signed command, ``None`` if what stands in the block is none."""
    try:
        return decode_signed_command(encoded)
    except BpciError:
        return None


def _no_command(height: int, position: int) -> NotFoundError:
    return NotFoundError(f"block {height} has no command {position}", code="chain.block")
