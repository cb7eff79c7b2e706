"""Routes of the ledger: what who sequences it takes, what followers ask for, and look-ups from the node's own state.

A node that follows the ledger takes no commands, and says who does.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bpci_node.chain.command import MAX_COMMAND_BYTES
from bpci_node.consensus.snapshot import CHUNK_BYTES, MAX_CHUNKS
from bpci_node.gateway.api import Api, require_digest
from bpci_node.gateway.body import as_model, decode_body, read_body, reply
from bpci_node.gateway.models import (
    AccountReply,
    BlockReply,
    Challenge,
    ChallengeRequest,
    CommandReply,
    CommandRequest,
    NodeReply,
    NodesReply,
)
from bpci_node.gateway.models_ledger import (
    AssetsReply,
    BalancesReply,
    BlocksReply,
    ChunkReply,
    EventsReply,
    GenesisReply,
    ManifestReply,
    SnapshotsReply,
    StateReply,
    TokenReply,
    TokenRequest,
)
from bpci_node.gateway.openapi import takes
from bpci_node.network.wire import CBOR, bytes_of
from bpci_node.primitives import codec
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import public_key_of
from bpci_node.runtime.lookups import MAX_BLOCKS, events_view, parse_after

_DID = "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH"

MAX_KEY_BYTES = 256
"""Longest state key that is asked for."""
_SUPPLIES = ("genesis", "minted", "burned", "supply")


def ledger_routes(api: Api) -> APIRouter:
    """Return the routes of the ledger."""
    router = APIRouter(tags=["registry"])
    node = api.node

    @router.post(
        "/v1/registry/challenge",
        response_model=Challenge,
        openapi_extra=takes(ChallengeRequest, {"node_key": _DID}),
        summary="A fresh challenge for one key, good for ten minutes",
    )
    async def challenge(request: Request) -> Response:
        ledger = node.own_ledger()
        body = await read_body(request, 1024)
        wanted = as_model(ChallengeRequest, decode_body(request, body))
        data, signature = await ledger.challenge(public_key_of(wanted.node_key))
        return reply(request, {"challenge": data, "signature": signature})

    @router.post(
        "/v1/registry/token",
        response_model=TokenReply,
        openapi_extra=takes(TokenRequest, {"v": 1}),
        summary="An activation token for the registered node that asks. Signed (BPCI-Auth).",
    )
    async def token(request: Request) -> Response:
        ledger, signed = node.own_ledger(), api.signed_request(request)
        body = await read_body(request, 1024)
        require_digest(signed, sha256(body))
        as_model(TokenRequest, decode_body(request, body))
        return reply(request, {"v": 1, "token": await ledger.token(signed.node_key)})

    @router.post(
        "/v1/commands",
        response_model=CommandReply,
        openapi_extra=takes(CommandRequest, {"command": "0xa2"}),
        summary="Execute a signed command; answers when its block is durable",
    )
    async def command(request: Request) -> Response:
        ledger = node.own_ledger()
        body = await read_body(request, 3 * MAX_COMMAND_BYTES)
        if request.headers.get("content-type", "").lower() != CBOR:
            body = as_model(CommandRequest, decode_body(request, body)).command
        result = await ledger.submit(body)
        return reply(request, {"height": result.height, "results": [codec.decode(result.encode())]})

    @router.get("/v1/registry/nodes", response_model=NodesReply, summary="Registered nodes, page by page")
    async def nodes(
        request: Request,
        node_type: Annotated[str | None, Query(alias="type", max_length=32)] = None,
        status: Annotated[str | None, Query(max_length=16)] = None,
        after: Annotated[str, Query(max_length=64)] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        found = await node.lookups.list_nodes(node_type=node_type, status=status, after=after, limit=limit)
        last = found[-1]["account"] if len(found) == limit else None
        return reply(request, {"nodes": found, "next": last})

    @router.get("/v1/registry/nodes/{name}", response_model=NodeReply, summary="One node, by account id or did:key")
    async def one_node(request: Request, name: str) -> Response:
        record, certificate = await node.lookups.find_node(name)
        return reply(request, {"node": record, "certificate": certificate})

    @router.get("/v1/accounts/{account_id}", response_model=AccountReply, summary="One account")
    async def account(request: Request, account_id: str) -> Response:
        return reply(request, await node.lookups.account(account_id))

    @router.get("/v1/blocks/{height}", response_model=BlockReply, summary="One block, its commands and results")
    async def block(request: Request, height: Annotated[int, Path(ge=1, le=2**63 - 1)]) -> Response:
        found = await node.lookups.block(height)
        for result in found["results"]:
            result["events"] = events_view(result["events"])
        return reply(request, found)

    _sync_routes(router, api)
    _lookup_routes(router, api)
    return router


def _sync_routes(router: APIRouter, api: Api) -> None:
    """Add what followers and new nodes ask for."""
    node = api.node
    files = node.snapshots.files

    @router.get("/v1/ledger/genesis", response_model=GenesisReply, tags=["ledger"], summary="The ledger's genesis")
    async def genesis(request: Request) -> Response:
        api.allow_ledger(request, 1.0)
        found = node.lookups.genesis
        return reply(request, {"v": 1, "ledger_id": found.ledger_id, "genesis": found.encode()})

    @router.get(
        "/v1/ledger/blocks",
        response_model=BlocksReply,
        tags=["ledger"],
        summary="Blocks with their commands from one height on, as a follower takes them",
    )
    async def blocks(
        request: Request,
        first: Annotated[int, Query(alias="from", ge=1, le=2**62)] = 1,
        limit: Annotated[int, Query(ge=1, le=MAX_BLOCKS)] = 64,
    ) -> Response:
        api.allow_ledger(request, 1.0)
        return await asyncio.to_thread(reply, request, await node.lookups.blocks(first, limit))

    @router.get(
        "/v1/ledger/snapshots", response_model=SnapshotsReply, tags=["ledger"], summary="The snapshots that are here"
    )
    async def snapshots(request: Request) -> Response:
        api.allow_ledger(request, 1.0)
        found = [await asyncio.to_thread(node.snapshots.describe, height) for height in files.heights]
        return reply(request, {"v": 1, "snapshots": found})

    @router.get(
        "/v1/ledger/snapshots/{height}",
        response_model=ManifestReply,
        tags=["ledger"],
        summary="The manifest of a snapshot",
    )
    async def manifest(request: Request, height: Annotated[int, Path(ge=1, le=2**62)]) -> Response:
        api.allow_ledger(request, 1.0)
        return await _stored(request, await asyncio.to_thread(files.manifest, height))

    @router.get(
        "/v1/ledger/snapshots/{height}/{number}",
        response_model=ChunkReply,
        tags=["ledger"],
        summary="One chunk of a snapshot",
    )
    async def chunk(
        request: Request,
        height: Annotated[int, Path(ge=1, le=2**62)],
        number: Annotated[int, Path(ge=0, lt=MAX_CHUNKS)],
    ) -> Response:
        api.allow_ledger(request, CHUNK_BYTES / (1 << 20))
        return await _stored(request, await asyncio.to_thread(files.chunk, height, number))


def _lookup_routes(router: APIRouter, api: Api) -> None:
    """Add what the ledger answers of its state and its events."""
    lookups = api.node.lookups

    @router.get("/v1/ledger/assets", response_model=AssetsReply, tags=["ledger"], summary="The table of assets")
    async def assets(request: Request) -> Response:
        found = await lookups.assets()
        table = [item | {name: str(item[name]) for name in ("cap", *_SUPPLIES)} for item in found]
        return reply(request, {"height": lookups.height, "assets": table})

    @router.get(
        "/v1/accounts/{account_id}/balances",
        response_model=BalancesReply,
        tags=["ledger"],
        summary="What an account may spend",
    )
    async def balances(request: Request, account_id: Annotated[str, Path(max_length=64)]) -> Response:
        found = await lookups.balances(account_id)
        amounts = {asset: str(amount) for asset, amount in found.items()}
        return reply(request, {"height": lookups.height, "account": account_id, "balances": amounts})

    @router.get(
        "/v1/ledger/events",
        response_model=EventsReply,
        tags=["ledger"],
        summary="The events of a kind, or those that name an account, page by page",
    )
    async def events(
        request: Request,
        subject: Annotated[str, Query(alias="of", min_length=1, max_length=80)],
        after: Annotated[str, Query(max_length=60)] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        found = events_view(await lookups.events(subject, after=parse_after(after), limit=limit))
        last = found[-1] if len(found) == limit else None
        place = None if last is None else f"{last['height']}.{last['position']}.{last['number']}"
        return reply(request, {"events": found, "next": place})

    @router.get(
        "/v1/ledger/state/{key}",
        response_model=StateReply,
        tags=["ledger"],
        summary="What stands at a state key, or that nothing does, with the proof",
    )
    async def state(request: Request, key: Annotated[str, Path(max_length=2 + 2 * MAX_KEY_BYTES)]) -> Response:
        api.allow_ledger(request, 0.1)
        return reply(request, await lookups.state_proof(bytes_of(key, what="a state key")))


def owner_ledger_routes(api: Api) -> APIRouter:
    """Return what only the owner may ask of the ledger."""
    router = APIRouter()

    @router.post("/owner/snapshot")
    async def snapshot(request: Request) -> Response:
        return reply(request, await api.node.snapshots.snapshot())

    return router


async def _stored(request: Request, data: bytes) -> Response:
    """Return canonical CBOR as it is stored, or its JSON view."""
    if CBOR in request.headers.get("accept", ""):
        return Response(data, media_type=CBOR)
    return await asyncio.to_thread(lambda: reply(request, codec.decode(data, max_bytes=len(data))))
