"""Routes of the mempool: entries in, receipts out, look-ups, sealed bundles."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bpci_node.errors import BpciError, FormatError
from bpci_node.gateway.api import Api
from bpci_node.gateway.body import as_model, decode_body, read_body, reply
from bpci_node.gateway.models import (
    BatchReply,
    BatchRequest,
    CancelReply,
    CancelRequest,
    EntryReceipt,
    EntryRequest,
    EntryStatus,
    LookupReply,
    LookupRequest,
)
from bpci_node.gateway.openapi import takes
from bpci_node.gateway.problems import problem_of
from bpci_node.mempool.cancellation import MAX_BYTES as MAX_CANCELLATION_BYTES
from bpci_node.mempool.cancellation import Cancellation
from bpci_node.network.wire import CBOR, bytes_of
from bpci_node.primitives import codec
from bpci_node.primitives.ethereum import MAX_BYTES as MAX_TRANSACTION_BYTES

_TARGET = "eip155:1"
_TXID = "0x" + "ab" * 32
_CANCELLATION = {
    "v": 1,
    "ledger_id": "devnet:" + "00" * 32,
    "target": _TARGET,
    "txid": _TXID,
    "arrival_seq": 1,
    "signature": "0x" + "00" * 65,
}


def entry_routes(api: Api) -> APIRouter:
    """Return the routes of the mempool."""
    router = APIRouter(tags=["mempool"])
    node = api.node
    body_bytes = node.config.limits.body_bytes

    @router.post(
        "/v1/entries",
        response_model=EntryReceipt,
        openapi_extra=takes(EntryRequest, {"v": 1, "target": _TARGET, "raw": "0x02f8"}),
        summary="One raw transaction; the receipt comes when it is durable",
    )
    async def entry(request: Request) -> Response:
        # Hexadecimal takes twice the bytes, and the rest of the body is a few hundred.
        body = await read_body(request, 2 * MAX_TRANSACTION_BYTES + 1024)
        wanted = as_model(EntryRequest, decode_body(request, body))
        source = api.allow_entries(request, 1)
        (result,) = await node.intake.accept(wanted.target, [wanted.raw], source=source)
        if isinstance(result, BpciError):
            raise result
        return reply(request, {"receipt": result})

    @router.post(
        "/v1/entries/batch",
        response_model=BatchReply,
        openapi_extra=takes(BatchRequest, {"v": 1, "target": _TARGET, "raws": ["0x02f8"]}),
        summary="Many raw transactions; one receipt or problem for each, in their order",
    )
    async def batch(request: Request) -> Response:
        body = await read_body(request, body_bytes)
        wanted = as_model(BatchRequest, decode_body(request, body))
        source = api.allow_entries(request, len(wanted.raws))
        results = await node.intake.accept(wanted.target, wanted.raws, source=source)
        return reply(request, {"v": 1, "results": [_result(item) for item in results]})

    @router.post(
        "/v1/entries/cancel",
        response_model=CancelReply,
        openapi_extra=takes(CancelRequest, _CANCELLATION),
        summary="Take an entry back by its sender's signature; answers when that is durable",
    )
    async def cancel(request: Request) -> Response:
        body = await read_body(request, 4 * MAX_CANCELLATION_BYTES)
        wanted = as_model(CancelRequest, decode_body(request, body))
        api.allow_entries(request, 1)
        # Through its one encoding, so that what JSON brings is judged by the same rules.
        return reply(request, await node.intake.cancel(Cancellation.decode(codec.encode(wanted.model_dump()))))

    @router.post(
        "/v1/entries/lookup",
        response_model=LookupReply,
        openapi_extra=takes(LookupRequest, {"v": 1, "target": _TARGET, "txids": [_TXID]}),
        summary="Where many entries are",
    )
    async def lookup(request: Request) -> Response:
        body = await read_body(request, body_bytes)
        wanted = as_model(LookupRequest, decode_body(request, body))
        api.allow_lookups(request, len(wanted.txids))
        return reply(request, {"v": 1, "results": await node.intake.find_entries(wanted.target, wanted.txids)})

    @router.get("/v1/entries/{target}/{txid}", response_model=EntryStatus, summary="One accepted entry and its receipt")
    async def one_entry(request: Request, target: str, txid: str) -> Response:
        digest = bytes_of(txid, what="txid")
        if len(digest) != 32:
            raise FormatError("a txid has 32 bytes", code="format.hex")
        return reply(request, await node.intake.entry(target, digest))

    @router.get("/v1/bundles/{sequence}", response_class=Response, summary="A sealed bundle, as a file (CBOR)")
    async def bundle(
        sequence: Annotated[int, Path(ge=1, le=2**63 - 1)], target: Annotated[str, Query(max_length=64)]
    ) -> Response:
        return Response(await node.bundle(target, sequence), media_type=CBOR)

    return router


def _result(item: bytes | BpciError) -> dict[str, Any]:
    return {"error": problem_of(item)} if isinstance(item, BpciError) else {"receipt": item}
