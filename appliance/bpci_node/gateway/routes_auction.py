"""Routes of the auctions: for bidders, for whoever watches, and between the validators of a committee.

Only validators have them to any effect; another node says that it is none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bpci_node.auction.commit import MAX_BATCH, MAX_COMMIT_BYTES, decode_commits
from bpci_node.auction.line_request import MAX_BYTES as MAX_LINE_BYTES
from bpci_node.auction.reveal import MAX_BATCH_BYTES, decode_reveals
from bpci_node.auction.window import MAX_INDEX, WindowId
from bpci_node.errors import BpciError, FormatError, NotFoundError
from bpci_node.gateway.api import Api, address_of
from bpci_node.gateway.body import read_body, reply
from bpci_node.gateway.limits import RateLimit, source_of
from bpci_node.gateway.models_auction import (
    AuctionBatchReply,
    AuctionBundleReply,
    AuctionEventsReply,
    AuctionOverview,
    BundlesReply,
    CommitteeReply,
    LinesReply,
    MessageReply,
    SetReply,
    WindowReply,
)
from bpci_node.gateway.openapi import takes_cbor
from bpci_node.network.wire import CBOR, bytes_of
from bpci_node.primitives import codec
from bpci_node.runtime.auction_duties import auction_of
from bpci_node.runtime.auction_messages import key_of
from bpci_node.runtime.auction_overview import overview_of
from bpci_node.runtime.auction_stream import event_map

_TARGET = Path(max_length=48)
_INDEX = Path(ge=0, le=MAX_INDEX)
MAX_EVENTS = 256


def auction_routes(api: Api) -> APIRouter:
    """Return the routes of the auctions."""
    router = APIRouter(tags=["auction"])
    _bidder_routes(router, api)
    _watcher_routes(router, api)
    _notary_routes(router, api)
    return router


def _bidder_routes(router: APIRouter, api: Api) -> None:
    node = api.node

    @router.get("/v1/auction", response_model=AuctionOverview, summary="What is auctioned now, and by whom")
    async def overview(request: Request) -> Response:
        return reply(request, overview_of(auction_of(node), node.lookups.current().state))

    @router.post(
        "/v1/auction/lines",
        response_model=LinesReply,
        openapi_extra=takes_cbor("A request for bonds, signed by the bidder; docs/spec/auction.md"),
        summary="Reserve bonds for commits, on the ledger; for the epoch's coordinator",
    )
    async def lines(request: Request) -> Response:
        auction = auction_of(node)
        return reply(request, await auction.open_line(await _cbor(request, MAX_LINE_BYTES)))

    @router.post(
        "/v1/auction/commits",
        response_model=AuctionBatchReply,
        openapi_extra=takes_cbor("A batch of up to 1,024 commits; docs/spec/auction.md"),
        summary="Commit to windows; for the epoch's coordinator",
    )
    async def commits(request: Request) -> Response:
        auction = auction_of(node)
        body = await _cbor(request, MAX_BATCH * MAX_COMMIT_BYTES + 16)
        batch = decode_commits(body)
        api.allow_entries(request, len(batch))
        epoch = auction.epoch_at(batch[0].window.opens_us)
        return reply(request, _batch(await auction.coordinator_of(epoch).commit(body)))

    @router.post(
        "/v1/auction/reveals",
        response_model=AuctionBatchReply,
        openapi_extra=takes_cbor("A batch of up to 1,024 reveals; docs/spec/auction.md"),
        summary="Reveal what was committed to; for any notary of the epoch",
    )
    async def reveals(request: Request) -> Response:
        auction = auction_of(node)
        body = await _cbor(request, MAX_BATCH_BYTES)
        batch = decode_reveals(body)
        api.allow_entries(request, len(batch))
        epoch = auction.epoch_at(batch[0].window.opens_us)
        return reply(request, _batch(await auction.notary_of(epoch).reveals.take(body)))


def _watcher_routes(router: APIRouter, api: Api) -> None:
    node = api.node

    @router.get("/v1/auction/committees/{epoch}", response_model=CommitteeReply, summary="The committee of an epoch")
    async def committee(request: Request, epoch: Annotated[int, Path(ge=0, le=2**53)]) -> Response:
        return reply(request, {"v": 1, "committee": auction_of(node).committee(epoch).as_map()})

    @router.get("/v1/auction/sets/{target}/{qlock_ms}/{index}", response_model=SetReply, summary="A certified set")
    async def commit_set(
        request: Request, target: Annotated[str, _TARGET], qlock_ms: int, index: Annotated[int, _INDEX]
    ) -> Response:
        auction = auction_of(node)
        window = WindowId(target, qlock_ms, index)
        found = await asyncio.to_thread(auction.journal.window, key_of(window))
        if found is None or found.commit_set is None or found.set_certificate is None:
            raise _unknown(window)
        rows = await asyncio.to_thread(auction.journal.commits, key_of(window))
        ids = [commit.commit_id for row in rows for commit in decode_commits(b"\x81" + row[2])]
        value = {
            "v": 1,
            "commit_set": found.commit_set,
            "certificate": codec.decode(found.set_certificate),
            "commit_ids": ids,
        }
        return reply(request, value)

    @router.get(
        "/v1/auction/windows/{target}/{qlock_ms}/{index}", response_model=WindowReply, summary="Where a window stands"
    )
    async def window(
        request: Request, target: Annotated[str, _TARGET], qlock_ms: int, index: Annotated[int, _INDEX]
    ) -> Response:
        name = WindowId(target, qlock_ms, index)
        found = await asyncio.to_thread(auction_of(node).journal.window, key_of(name))
        if found is None:
            raise _unknown(name)
        value = {
            "v": 1,
            "window": name.as_list(),
            "epoch": found.epoch,
            "stage": found.stage,
            "header": found.header,
            "certificate": None if found.certificate is None else codec.decode(found.certificate),
        }
        return reply(request, value)

    @router.get("/v1/auction/bundles", response_model=BundlesReply, summary="Bundles of a target")
    async def bundles(
        request: Request,
        target: Annotated[str, Query(max_length=48)],
        after: Annotated[int, Query(ge=0, le=2**53)] = 0,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Response:
        found = await asyncio.to_thread(auction_of(node).journal.bundles, target, after, limit)
        rows = [{"sequence": number, "digest": digest, "bytes": size} for number, digest, size in found]
        return reply(request, {"v": 1, "bundles": rows})

    @router.get("/v1/auction/bundles/{digest}", response_model=AuctionBundleReply, summary="A bundle")
    async def bundle(request: Request, digest: Annotated[str, Path(max_length=66)]) -> Response:
        api.allow_ledger(request, 1.0)
        found = await asyncio.to_thread(auction_of(node).journal.bundle, bytes_of(digest, what="digest"))
        if found is None:
            raise NotFoundError("there is no bundle of this header here", code="bundle.unknown")
        return reply(request, {"v": 1, "bundle": found})

    @router.get("/v1/auction/events", response_model=AuctionEventsReply, summary="What the stream told, page by page")
    async def events(
        request: Request,
        after: Annotated[int, Query(ge=0, le=2**53)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_EVENTS)] = MAX_EVENTS,
    ) -> Response:
        auction = auction_of(node)
        found = await auction.stream.page(after, limit)
        first, _ = await asyncio.to_thread(auction.journal.event_range)
        value = {"v": 1, "first": first, "last": auction.stream.last, "events": [event_map(item) for item in found]}
        return reply(request, value)


def _notary_routes(router: APIRouter, api: Api) -> None:
    node = api.node
    per_second = node.config.auction.peer_requests_per_second
    rate = RateLimit(per_second, 2 * per_second, code="limit.peers", what="messages for a notary")

    @router.post(
        "/v1/notary/{message}",
        response_model=MessageReply,
        openapi_extra=takes_cbor("A message of another validator; docs/spec/auction.md"),
        summary="A message between the validators of a committee",
    )
    async def message(request: Request, message: Annotated[str, Path(max_length=16)]) -> Response:
        auction = auction_of(node)
        rate.take(source_of(address_of(request)))
        body = await _cbor(request, node.config.limits.body_bytes)
        value = codec.decode(body, max_bytes=len(body))
        if type(value) is not dict:
            raise FormatError("a message is a map", code="seat.message")
        return reply(request, await auction.answer(message, value))


async def _cbor(request: Request, limit_bytes: int) -> bytes:
    """Return a body of CBOR.

    Raises:
        FormatError: of another media type (``format.media_type``).
        LimitError: as :func:`read_body`.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != CBOR:
        raise FormatError("the body must be application/cbor", code="format.media_type")
    return await read_body(request, limit_bytes)


def _batch(results: Sequence[bytes | BpciError]) -> dict[str, Any]:
    return {
        "v": 1,
        "results": [
            {"receipt": item} if isinstance(item, bytes) else {"problem": item.as_problem()} for item in results
        ],
    }


def _unknown(window: WindowId) -> NotFoundError:
    return NotFoundError("nothing is known of this window here", code="window.unknown", window=window.as_list())
