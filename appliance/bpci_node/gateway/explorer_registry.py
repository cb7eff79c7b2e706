"""Pages of nodes and accounts."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bpci_node.chain.account import load_account
from bpci_node.chain.assets import list_assets, list_balances
from bpci_node.chain.earnings import earnings_entry, earnings_of
from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.chain.heartbeat import liveness_of, load_beat
from bpci_node.chain.node_index import NodeQuery, search_nodes
from bpci_node.chain.registration import FLAGS, NODE_TYPES, load_node
from bpci_node.chain.registry import find_node
from bpci_node.chain.stake import load_stake
from bpci_node.chain.validators import load_validator
from bpci_node.chain.wallets import WALLETS
from bpci_node.errors import FormatError
from bpci_node.gateway.pages import PAGE_ROWS, Page, Pages, in_thread
from bpci_node.primitives import codec
from bpci_node.runtime.lookups import parse_after
from bpci_node.store.block_reads import BlockReads

EVENT_ROWS = 25
"""Events of one page of an account."""
_LAST_PLACE = (2**62, 0, 0)
_STATUSES = ("active", "suspended", "retired")


def registry_pages(pages: Pages) -> APIRouter:
    """Return the routes of nodes and accounts."""
    router = APIRouter(include_in_schema=False)
    lookups, reads = pages.node.lookups, BlockReads(pages.node.store)

    @router.get("/nodes")
    async def nodes(
        request: Request,
        *,
        node_type: Annotated[str, Query(alias="type", max_length=40)] = "",
        status: Annotated[str, Query(max_length=40)] = "",
        capability: Annotated[str, Query(max_length=40)] = "",
        region: Annotated[str, Query(max_length=40)] = "",
        flag: Annotated[str, Query(max_length=40)] = "",
        after: Annotated[str, Query(max_length=64)] = "",
    ) -> Response:
        wanted = {"type": node_type, "status": status, "capability": capability, "region": region, "flag": flag}

        def prepare() -> Page:
            machine = lookups.current()
            given = {name: text.strip() for name, text in wanted.items() if text.strip()}
            query = NodeQuery(
                given.get("type"), given.get("status"), given.get("capability"), given.get("region"), given.get("flag")
            )
            found, last = search_nodes(machine.state, query, after=after, limit=PAGE_ROWS)
            rows = [
                {"node": record, "liveness": liveness_of(machine.state, record, machine.height)} for record in found
            ]
            values = {
                "rows": rows,
                "wanted": wanted,
                "height": machine.height,
                "first": "/nodes?" + urlencode(given) if after else None,
                "next": "/nodes?" + urlencode(given | {"after": last}) if last else None,
                "choices": {"type": NODE_TYPES, "status": _STATUSES, "flag": FLAGS},
            }
            return Page("nodes.html", values)

        return await pages.answer(request, in_thread(prepare))

    @router.get("/nodes/{name}")
    async def node(request: Request, name: Annotated[str, Path(max_length=80)]) -> Response:
        def prepare() -> Page:
            machine = lookups.current()
            record = find_node(machine.state, name)
            beat = load_beat(machine.state, record.account)
            values = {
                "node": record,
                "height": machine.height,
                "liveness": liveness_of(machine.state, record, machine.height),
                "beat": beat,
                "validator": load_validator(machine.state, record.account),
                "key": b"node/" + record.account.encode("ascii"),
            }
            return Page("node.html", values)

        return await pages.answer(request, in_thread(prepare))

    @router.get("/accounts/{account_id}")
    async def account(
        request: Request,
        account_id: Annotated[str, Path(max_length=64)],
        before: Annotated[str, Query(max_length=60)] = "",
    ) -> Response:
        if ACCOUNT_FORM.fullmatch(account_id) is None:
            raise FormatError("this is no account id: bpa1 and 32 characters a-z 2-7", code="format.account")
        place = parse_after(before) if before else _LAST_PLACE

        def prepare() -> Page:
            machine = lookups.current()
            state = machine.state
            record = load_account(state, account_id)
            events = [
                {"height": height, "position": position, "number": number} | codec.decode(result)["events"][number]
                for height, position, number, result in reads.events(account_id, before=place, limit=EVENT_ROWS)
            ]
            balances = list_balances(state, account_id)
            decimals = {asset.id: asset.decimals for asset in list_assets(state)} if balances else {}
            stake = load_stake(state, account_id)
            values = {
                "id": account_id,
                "record": record,
                "wallet": next((name for name, wallet in WALLETS.items() if wallet == account_id), None),
                "balances": [(asset, units, decimals[asset]) for asset, units in balances.items()],
                "earned": [
                    (asset.id, item, asset.decimals, earnings_entry(account_id, asset.id))
                    for asset in list_assets(state)
                    if (item := earnings_of(state, account_id, asset.id)) is not None
                ],
                "bonded": stake.bonded,
                "bonded_decimals": decimals.get("BPI", 0),
                "node": load_node(state, account_id),
                "validator": load_validator(state, account_id),
                "events": events,
                "is_first": not before,
                "next": _place(events[-1]) if len(events) == EVENT_ROWS else None,
                "height": machine.height,
                "key": b"account/" + account_id.encode("ascii"),
            }
            is_known = record is not None or bool(balances) or bool(events) or values["wallet"] is not None
            return Page("account.html", values, status=200 if is_known else 404)

        return await pages.answer(request, in_thread(prepare))

    return router


def _place(event: dict[str, Any]) -> str:
    return f"{event['height']}.{event['position']}.{event['number']}"
