"""Routes of the pools: what waits, under which terms, in which buckets."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from bpci_node.gateway.api import Api
from bpci_node.gateway.body import reply
from bpci_node.gateway.models import Amount, Hex, Version
from bpci_node.mempool.bucket_key import BucketKey
from bpci_node.network.wire import bytes_of

MAX_PAGE = 256
"""Buckets of one page."""


class PoolRoots(BaseModel):
    """What a signed header said a moment ago; the header itself is at ``/v1/mempool/{target}/header``."""

    verkle_root: Hex
    merkle_mesh_root: Hex
    mx_root: Hex
    arrival_seq: int
    sequence: int = Field(description="Of the last bundle, 0 before the first.")
    time_ms: int


class PoolBounds(BaseModel):
    """What a pool holds at most."""

    entries: int
    bytes: int
    per_sender: int
    per_source: int
    per_bucket: int
    replacement_percent: int = Field(description="How much more a replacement, or what pushes others out, pays.")


class PoolSummary(BaseModel):
    """One target's pool."""

    v: Version
    target: str
    funding: Literal["checked", "unchecked"] = Field(
        description="Whether senders' nonces and balances are asked of the chain; unchecked takes what nobody pays for."
    )
    count: int
    bytes: int
    buckets: int
    least_fee_wei: Amount = Field(description="Fee rate with which a plain transfer gets in now, wei per gas.")
    crowded: bool = Field(description="Nothing is cancelled while it is.")
    base_fee_wei: Amount
    fee_bin_wei: Amount
    gas_limit: int
    region: int
    qlock_ms: int
    limits: PoolBounds
    roots: PoolRoots


class BucketStatistics(BaseModel):
    """One bucket, which is not empty."""

    key: Hex
    bucket_id: Hex
    region: int
    type: Literal["transfer", "contract_call", "blob", "pof_update", "settlement"]
    gas_class: Literal["S", "M", "L", "XL"]
    qlock_ms: int
    fee_bin: int
    count: int
    gas_sum: Amount
    min_fee_wei: Amount
    max_fee_wei: Amount
    sealed_epoch: int = Field(description="Sequence of the last bundle that took an entry of it, 0 if none did.")


class BucketsReply(BaseModel):
    """One page of buckets in the order of their keys."""

    v: Version
    buckets: list[BucketStatistics]
    next: Hex | None = Field(description="Give it as 'after' for the next page.")


class WaitingEntry(BaseModel):
    """One entry that waits, as it was signed."""

    txid: Hex
    raw: Hex


class EntriesReply(BaseModel):
    """One page of a bucket's entries in its order: the dearest first."""

    v: Version
    entries: list[WaitingEntry]
    next: int | None = Field(description="Give it as 'skip' for the next page.")


def pool_routes(api: Api) -> APIRouter:
    """Return the routes of the pools."""
    router = APIRouter(tags=["mempool"])
    overview = api.node.overview

    @router.get("/v1/mempool/{target}", response_model=PoolSummary, summary="A pool's counts, terms, limits and roots")
    async def summary(request: Request, target: str) -> Response:
        return reply(request, await overview.summary(target))

    @router.get(
        "/v1/mempool/{target}/buckets",
        response_model=BucketsReply,
        summary="Buckets that are not empty, with their statistics, page by page",
    )
    async def buckets(
        request: Request,
        target: str,
        after: Annotated[str, Query(max_length=10)] = "0x",
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    ) -> Response:
        found, last = await overview.buckets(target, after=bytes_of(after, what="after"), limit=limit)
        return reply(request, {"v": 1, "buckets": found, "next": last})

    @router.get(
        "/v1/mempool/{target}/buckets/{key}",
        response_model=BucketStatistics,
        summary="One bucket's statistics; 404 if it is empty",
    )
    async def bucket(request: Request, target: str, key: str) -> Response:
        wanted = bytes_of(key, what="key")
        BucketKey.decode(wanted)
        return reply(request, await overview.bucket(target, wanted))

    @router.get(
        "/v1/mempool/{target}/buckets/{key}/entries",
        response_model=EntriesReply,
        summary="What waits in one bucket, as it was signed, page by page; everybody may see it",
    )
    async def entries(
        request: Request,
        target: str,
        key: str,
        skip: Annotated[int, Query(ge=0, le=2**31)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    ) -> Response:
        wanted = bytes_of(key, what="key")
        BucketKey.decode(wanted)
        found, behind = await overview.entries(target, wanted, skip=skip, limit=limit)
        return reply(request, {"v": 1, "entries": found, "next": behind})

    return router
