"""Routes about the node itself: health, status, network, metrics, measuring."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from functools import cache
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from bpci_node.errors import LimitError
from bpci_node.gateway.api import Api, address_of, require_digest
from bpci_node.gateway.body import as_model, decode_body, digest_body, read_body, reply
from bpci_node.gateway.measuring import TRANSFER_SECONDS
from bpci_node.gateway.metrics import CONTENT_TYPE
from bpci_node.gateway.models import (
    MAX_MEASURE_BYTES,
    Network,
    ReachReply,
    ReachRequest,
    Readiness,
    Status,
    UploadReply,
)
from bpci_node.gateway.openapi import takes, takes_bytes
from bpci_node.gateway.probe import answers_as
from bpci_node.gateway.problems import problem_of
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import did_of

_BLOCK_BYTES = 1 << 20


def health_routes(api: Api) -> APIRouter:
    """Return the routes that say whether the node lives and is ready."""
    router = APIRouter(tags=["node"])

    @router.get("/healthz", summary="Does the process answer?")
    async def healthz(request: Request) -> Response:
        return reply(request, {"alive": True})

    @router.get(
        "/readyz",
        response_model=Readiness,
        responses={503: {"model": Readiness, "description": "It does not"}},
        summary="Does the node take entries and commands? 503 and the reasons if not.",
    )
    async def readyz(request: Request) -> Response:
        obstacles = await asyncio.to_thread(api.node.obstacles)
        value = {"ready": not obstacles, "obstacles": [problem_of(item) for item in obstacles]}
        return reply(request, value, status=503 if obstacles else 200)

    return router


def node_routes(api: Api) -> APIRouter:
    """Return the routes that anyone may ask."""
    router = APIRouter(tags=["node"])
    node = api.node

    @router.get("/metrics", summary="Numbers for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(await asyncio.to_thread(api.metrics.text), media_type=CONTENT_TYPE)

    @router.get("/v1/status", response_model=Status, summary="What anyone may know of this node")
    async def status(request: Request) -> Response:
        return reply(request, node.status())

    @router.get("/v1/network", response_model=Network, summary="The network file of this node's ledger")
    async def network(request: Request) -> Response:
        return reply(request, node.network.as_json())

    @router.get("/v1/measure/download", summary="Incompressible bytes, for measuring. Signed (BPCI-Auth).")
    async def download(
        request: Request, size_bytes: Annotated[int, Query(alias="bytes", ge=1, le=MAX_MEASURE_BYTES)]
    ) -> Response:
        signed = api.signed_request(request)
        require_digest(signed, sha256(b""))
        api.allow_measuring(request, signed, size_bytes)
        turn = await api.measuring_turn(signed)
        # Entered here, so that a refusal is an answer and not a broken stream.
        held = ExitStack()
        held.enter_context(turn.taken(signed.node_key))
        return StreamingResponse(
            _noise(size_bytes, held),
            media_type="application/octet-stream",
            headers={"Content-Length": str(size_bytes), "Cache-Control": "no-store"},
        )

    @router.post(
        "/v1/measure/upload",
        response_model=UploadReply,
        openapi_extra=takes_bytes("At most 16 MiB; they are counted and dropped."),
        summary="Take bytes, for measuring. Signed (BPCI-Auth).",
    )
    async def upload(request: Request) -> Response:
        signed = api.signed_request(request)
        announced = request.headers.get("content-length", "")
        api.allow_measuring(request, signed, int(announced) if announced.isdigit() else MAX_MEASURE_BYTES)
        turn = await api.measuring_turn(signed)
        try:
            with turn.taken(signed.node_key):
                async with asyncio.timeout(TRANSFER_SECONDS):
                    size, digest = await digest_body(request, MAX_MEASURE_BYTES)
        except TimeoutError as error:
            raise LimitError("the measured bytes did not arrive in time", code="limit.slow") from error
        require_digest(signed, digest)
        return reply(request, {"bytes": size})

    @router.post(
        "/v1/registry/reach",
        response_model=ReachReply,
        openapi_extra=takes(ReachRequest, {"port": 8545}),
        tags=["registry"],
        summary="Does the asking node answer at the address from which it asks? Signed (BPCI-Auth).",
    )
    async def reach(request: Request) -> Response:
        signed = api.signed_request(request)
        api.allow_reaching(request, signed)
        body = await read_body(request, 1024)
        require_digest(signed, sha256(body))
        wanted = as_model(ReachRequest, decode_body(request, body))
        is_reachable = await answers_as(address_of(request), wanted.port, did_of(signed.node_key))
        return reply(request, {"reachable": is_reachable})

    return router


@cache
def _block() -> bytes:
    return os.urandom(_BLOCK_BYTES)


async def _noise(size_bytes: int, held: ExitStack) -> AsyncIterator[bytes]:
    """Give out so many bytes, or fewer when that takes too long; the turn ends with it."""
    block, left, end = _block(), size_bytes, time.monotonic() + TRANSFER_SECONDS
    with held:
        while left > 0 and time.monotonic() < end:
            yield block[:left]
            left -= _BLOCK_BYTES
