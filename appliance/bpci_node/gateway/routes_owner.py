"""Routes of the owner's socket: what only the owner may do."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace

from fastapi import APIRouter, Request
from starlette.responses import Response

from bpci_node.errors import FormatError
from bpci_node.gateway.api import Api
from bpci_node.gateway.body import as_model, decode_body, read_body, reply
from bpci_node.gateway.models import DrainRequest, RegisterRequest, SealRequest
from bpci_node.gateway.problems import problem_of
from bpci_node.network.wire import CBOR
from bpci_node.runtime.doctor.own import examine_itself, own_status
from bpci_node.runtime.membership import Report


def owner_routes(api: Api, addresses: list[str]) -> APIRouter:
    """Return the owner's routes.

    Args:
        addresses: where the public API listens.
    """
    router = APIRouter()
    node = api.node

    @router.get("/owner/status")
    async def status(request: Request) -> Response:
        counters = asdict(node.counters)
        obstacles = [problem_of(item) for item in node.obstacles()]
        more = {
            "addresses": addresses,
            "state_dir": str(node.config.state_dir),
            "started_ms": node.started_ms,
            "counters": counters,
            "obstacles": obstacles,
        }
        return reply(request, own_status(node) | more)

    @router.get("/owner/doctor")
    async def doctor(request: Request) -> Response:
        return reply(request, await asyncio.to_thread(examine_itself, node))

    @router.post("/owner/seal")
    async def seal(request: Request) -> Response:
        wanted = as_model(SealRequest, decode_body(request, await read_body(request, 4096)))
        base_fee = None if wanted.base_fee is None else int(wanted.base_fee)
        data = await node.seal(wanted.target, gas_limit=wanted.gas_limit, base_fee_wei=base_fee)
        return Response(data, media_type=CBOR)

    @router.post("/owner/register")
    async def register(request: Request) -> Response:
        wanted = as_model(RegisterRequest, decode_body(request, await read_body(request, 4096)))
        section = node.config.node
        if wanted.node_type is not None:
            section = replace(section, type=wanted.node_type)
        if wanted.flags is not None:
            section = replace(section, flags=tuple(wanted.flags))
        certificate = await node.register(section, _report(wanted))
        return reply(request, {"account": node.status()["node"]["account"], "certificate": certificate})

    @router.post("/owner/token")
    async def token(request: Request) -> Response:
        await node.guard.renew(at_once=True)
        return reply(request, {"token": node.guard.encoded, "guard": node.guard.status()})

    @router.get("/owner/drain")
    async def drain_status(request: Request) -> Response:
        return reply(request, await node.drain.status(node.auction))

    @router.post("/owner/drain")
    async def drain(request: Request) -> Response:
        wanted = as_model(DrainRequest, decode_body(request, await read_body(request, 4096)))
        node.drain.begin(wanted.seconds)
        return reply(request, await node.drain.status(node.auction))

    @router.delete("/owner/drain")
    async def resume(request: Request) -> Response:
        node.drain.end()
        return reply(request, await node.drain.status(node.auction))

    @router.post("/owner/stop")
    async def stop(request: Request) -> Response:
        node.stopping.set()
        return reply(request, {"stopping": True})

    return router


def _report(wanted: RegisterRequest) -> Report | None:
    digest, challenge, challenge_sig = wanted.report_digest, wanted.challenge, wanted.challenge_sig
    if digest is not None and challenge is not None and challenge_sig is not None:
        return Report(digest, challenge, challenge_sig)
    if digest is not None or challenge is not None or challenge_sig is not None:
        raise FormatError("report_digest, challenge and challenge_sig belong together", code="format.request")
    return None
