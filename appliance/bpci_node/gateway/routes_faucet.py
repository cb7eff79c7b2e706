"""Routes of the faucet: what it gives, what work is done on, a grant; and its codes, for the owner."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from bpci_node.gateway.api import Api, address_of
from bpci_node.gateway.body import as_model, decode_body, read_body, reply
from bpci_node.gateway.limits import source_of
from bpci_node.gateway.models_faucet import (
    CodesRequest,
    FaucetChallenge,
    FaucetReply,
    GrantReply,
    GrantRequest,
    Purpose,
)
from bpci_node.gateway.openapi import takes

_EXAMPLE = {
    "v": 1,
    "account": "bpa1u74fhz7s2k5qx5htad56bigilp3fjisp",
    "purpose": "wallet",
    "nonce": "0x0000000000012a4f",
}


def faucet_routes(api: Api) -> APIRouter:
    """Return the faucet's routes."""
    router = APIRouter(tags=["faucet"])
    faucet = api.node.faucet

    @router.get("/v1/faucet", response_model=FaucetReply, summary="What the faucet gives, and what is left")
    async def terms(request: Request) -> Response:
        return reply(request, faucet.terms())

    @router.get(
        "/v1/faucet/challenge", response_model=FaucetChallenge, summary="What work for a grant is to be done on now"
    )
    async def challenge(
        request: Request, account: Annotated[str, Query(max_length=64)], purpose: Purpose = "wallet"
    ) -> Response:
        return reply(request, faucet.challenge(account, purpose))

    @router.post(
        "/v1/faucet/grants",
        response_model=GrantReply,
        openapi_extra=takes(GrantRequest, _EXAMPLE),
        summary="Ask for a grant; answers when its block is durable",
    )
    async def grant(request: Request) -> Response:
        wanted = as_model(GrantRequest, decode_body(request, await read_body(request, 4096)))
        api.allow_grant(request)
        found = await faucet.request(
            wanted.account,
            wanted.purpose,
            source=source_of(address_of(request)),
            amount=None if wanted.amount is None else int(wanted.amount),
            nonce=wanted.nonce,
            code=wanted.code,
        )
        return reply(request, found)

    return router


def owner_faucet_routes(api: Api) -> APIRouter:
    """Return what only the owner may ask of the faucet."""
    router = APIRouter()

    @router.post("/owner/faucet/codes")
    async def codes(request: Request) -> Response:
        wanted = as_model(CodesRequest, decode_body(request, await read_body(request, 1024)))
        return reply(request, {"codes": await api.node.faucet.make_codes(wanted.count)})

    return router
