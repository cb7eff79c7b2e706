"""``/v1/auction/stream``: a subscription to what happens in auctions, over WebSocket, that resumes where it broke."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from bpci_node.errors import BpciError
from bpci_node.gateway.api import Api
from bpci_node.gateway.gate import TRY_LATER
from bpci_node.gateway.limits import ConnectionLimit, source_of
from bpci_node.network.wire import json_view
from bpci_node.primitives import codec
from bpci_node.runtime.auction_duties import auction_of
from bpci_node.runtime.auction_stream import AuctionStream, event_map

NOT_HERE, AHEAD = 4404, 4409
"""Codes with which a subscription is closed: no auctions here; a number that no event has yet."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a subscriber wants to be told, and how."""

    target: str | None
    kind: str | None
    form: str


def stream_routes(api: Api) -> APIRouter:
    """Return the route of the stream."""
    router = APIRouter(tags=["auction"])
    limits = api.node.config.auction
    subscribers = ConnectionLimit(limits.subscribers, limits.subscribers_per_source)

    @router.websocket("/v1/auction/stream")
    async def stream(
        socket: WebSocket,
        after: Annotated[int, Query(ge=0, le=2**53)] = 0,
        target: Annotated[str | None, Query(max_length=48)] = None,
        kind: Annotated[str | None, Query(max_length=16)] = None,
        form: Annotated[Literal["cbor", "json"], Query()] = "cbor",
    ) -> None:
        try:
            source_stream = auction_of(api.node).stream
        except BpciError as error:
            await socket.close(NOT_HERE, error.code)
            return
        if after > source_stream.last:
            await socket.close(AHEAD, "stream.ahead")
            return
        source = source_of(socket.client.host if socket.client else None)
        if not subscribers.enter(source):
            await socket.close(TRY_LATER, "limit.subscribers")
            return
        try:
            await socket.accept()
            sending = asyncio.create_task(_send(socket, source_stream, after, _Wish(target, kind, form)))
            hearing = asyncio.create_task(_hear(socket))
            tasks = {sending, hearing}
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            if not sending.cancelled() and (error_found := sending.exception()) is not None:
                raise error_found
        except (WebSocketDisconnect, OSError):
            pass
        finally:
            subscribers.leave(source)

    return router


async def _send(socket: WebSocket, stream: AuctionStream, after: int, wish: _Wish) -> None:
    """Send every event after a number, then each one as it happens."""
    at = after
    while True:
        for event in await stream.after(at):
            if event.sequence > at + 1:
                # What was in between is not kept any more: bundles can still be asked for one by one.
                await _tell(socket, {"v": 1, "sequence": event.sequence - 1, "kind": "gap", "after": at}, wish)
            at = event.sequence
            if wish.target in (None, event.target) and wish.kind in (None, event.kind):
                await _tell(socket, event_map(event), wish)


async def _tell(socket: WebSocket, value: dict[str, Any], wish: _Wish) -> None:
    if wish.form == "json":
        await socket.send_text(json.dumps(json_view(value)))
    else:
        await socket.send_bytes(codec.encode(value))


async def _hear(socket: WebSocket) -> None:
    """Read on until the subscriber goes; what it says is not listened to."""
    with suppress(WebSocketDisconnect):
        while socket.client_state is WebSocketState.CONNECTED:
            await socket.receive()
