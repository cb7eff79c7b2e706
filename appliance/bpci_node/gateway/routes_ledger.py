"""Routes of the ledger: challenges, commands, look-ups. A node that keeps no ledger says who does."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bpci_node.chain.command import MAX_COMMAND_BYTES
from bpci_node.gateway.api import Api
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
from bpci_node.gateway.openapi import takes
from bpci_node.network.wire import CBOR
from bpci_node.primitives import codec
from bpci_node.primitives.keys import public_key_of

_DID = "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH"


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
        found = await node.own_ledger().list_nodes(node_type=node_type, status=status, after=after, limit=limit)
        last = found[-1]["account"] if len(found) == limit else None
        return reply(request, {"nodes": found, "next": last})

    @router.get("/v1/registry/nodes/{name}", response_model=NodeReply, summary="One node, by account id or did:key")
    async def one_node(request: Request, name: str) -> Response:
        record, certificate = await node.own_ledger().find_node(name)
        return reply(request, {"node": record, "certificate": certificate})

    @router.get("/v1/accounts/{account_id}", response_model=AccountReply, summary="One account")
    async def account(request: Request, account_id: str) -> Response:
        return reply(request, await node.own_ledger().account(account_id))

    @router.get("/v1/blocks/{height}", response_model=BlockReply, summary="One block, its commands and results")
    async def block(request: Request, height: Annotated[int, Path(ge=1, le=2**63 - 1)]) -> Response:
        return reply(request, await node.own_ledger().block(height))

    return router
