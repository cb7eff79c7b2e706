"""Routes of what commits to a pool: its signed header, and proofs of what is and is not in it."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import AfterValidator, BaseModel, Field
from starlette.responses import Response

from bpci_node.gateway.api import Api
from bpci_node.gateway.body import as_model, decode_body, read_body, reply
from bpci_node.gateway.models import Amount, Bytes, Hash, Hex, Strict, Version
from bpci_node.gateway.openapi import takes
from bpci_node.mempool.bucket_key import KEY_BYTES
from bpci_node.mempool.proof import MAX_BUCKETS, MAX_ENTRIES
from bpci_node.mempool.proof_view import header_view, proof_view
from bpci_node.network.wire import CBOR, JSON

_BODY_BYTES = 128 * 1024
"""Room for the greatest request in hexadecimal, and for white space."""
_TXID = "0x" + "ab" * 32


def _key(value: bytes) -> bytes:
    if len(value) != KEY_BYTES:
        raise ValueError(f"it must have {KEY_BYTES} bytes")
    return value


Key = Annotated[Bytes, AfterValidator(_key)]


class ProofRequest(Strict):
    """What to prove: entries that wait, and buckets as they are, which may be empty."""

    v: Version = 1
    entries: list[Hash] = Field(default=[], max_length=MAX_ENTRIES, description="txids")
    buckets: list[Key] = Field(default=[], max_length=MAX_BUCKETS, description="Bucket keys, 4 bytes each.")


class HeaderReply(BaseModel):
    """A pool's signed header; docs/spec/mx-verkle.md, section 8."""

    v: Version
    ledger_id: str
    target: str
    region: int
    qlock_ms: int
    base_fee: Amount
    fee_bin_wei: Amount
    gas_limit: int
    verkle_root: Hex
    merkle_mesh_root: Hex
    mx_root: Hex
    entries: int
    buckets: int
    arrival_seq: int
    running_hash: Hex
    sequence: int
    time_ms: int
    certificate: Hex | None
    signer: str = Field(description="did:key")
    signature: Hex


class ProofReply(BaseModel):
    """The JSON view of a mempool proof; docs/spec/mx-verkle.md, section 9."""

    v: Version
    header: HeaderReply
    buckets: list[dict[str, Any]]
    absent: list[Hex]
    verkle: Hex


def proof_routes(api: Api) -> APIRouter:
    """Return the routes of headers and proofs."""
    router = APIRouter(tags=["mempool"])
    node = api.node

    @router.get(
        "/v1/mempool/{target}/header",
        response_model=HeaderReply,
        summary="The signed header of a pool as it stands",
    )
    async def header(request: Request, target: str) -> Response:
        api.allow_proof(request, 1)
        found = await node.header(target)
        if CBOR in request.headers.get("accept", ""):
            return Response(found.encode(), media_type=CBOR)
        return reply(request, header_view(found))

    @router.post(
        "/v1/mempool/{target}/proof",
        response_model=ProofReply,
        responses={200: {"content": {CBOR: {}}}},
        openapi_extra=takes(ProofRequest, {"v": 1, "entries": [_TXID], "buckets": ["0x00030004"]}),
        summary="Entries that wait, buckets as they stand, and empty ones, in one proof (CBOR; a JSON view if asked)",
    )
    async def proof(request: Request, target: str) -> Response:
        body = await read_body(request, _BODY_BYTES)
        wanted = as_model(ProofRequest, decode_body(request, body))
        api.allow_proof(request, len(wanted.entries) + len(wanted.buckets))
        found = await node.prove(target, wanted.entries, wanted.buckets)
        accepted = request.headers.get("accept", "")
        if JSON in accepted and CBOR not in accepted:
            return Response(json.dumps(proof_view(found)), media_type=JSON)
        return Response(found.encode(), media_type=CBOR)

    return router
