"""Route of the owner's socket: what the node's account has earned."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from bpci_node.chain.assets import list_assets, list_balances
from bpci_node.chain.earnings import earnings_of
from bpci_node.gateway.api import Api
from bpci_node.gateway.body import reply
from bpci_node.gateway.page_text import amount
from bpci_node.runtime.node import Node


def earnings_routes(api: Api) -> APIRouter:
    """Return the route."""
    router = APIRouter()

    @router.get("/owner/earnings")
    async def earnings(request: Request) -> Response:
        return reply(request, await asyncio.to_thread(_earnings, api.node))

    return router


def _earnings(node: Node) -> dict[str, Any]:
    """Return what the node's account was paid for its seats, and what it has, by asset; amounts in whole assets."""
    account, state = node.status()["node"]["account"], node.lookups.current().state
    decimals = {asset.id: asset.decimals for asset in list_assets(state)}
    paid = [(asset, earnings_of(state, account, asset)) for asset in decimals]
    earned = [
        {"asset": asset, "total": str(item.total), "parts": item.parts, "epoch": item.epoch}
        | {"shown": amount(item.total, decimals[asset])}
        for asset, item in paid
        if item is not None
    ]
    balances = [
        {"asset": asset, "units": str(units), "shown": amount(units, decimals[asset])}
        for asset, units in list_balances(state, account).items()
    ]
    return {"v": 1, "account": account, "earned": earned, "balances": balances}
