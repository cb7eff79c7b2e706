"""Routes of look-ups about wallets and DAOs. Any node answers; what it says can be proved by the state keys."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bpci_node.chain.assets import list_balances
from bpci_node.chain.ballot import find_proposal, has_passed
from bpci_node.chain.dao import (
    DaoRecord,
    Dpan,
    find_dao,
    list_daos,
    list_dpans,
    load_dpan,
    members_of,
    roll_of,
    total_power,
)
from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.chain.state import State
from bpci_node.chain.wallet_registry import find_wallet, list_wallets, network_of, require_network, wallet_names
from bpci_node.chain.wallets import WALLETS
from bpci_node.errors import FormatError, NotFoundError, RefusedError
from bpci_node.gateway.api import Api
from bpci_node.gateway.body import reply
from bpci_node.gateway.models_society import (
    DaoProposalReply,
    DaoReply,
    DaosReply,
    DpansReply,
    GovernanceWalletsReply,
    WalletsReply,
    WalletView,
)
from bpci_node.primitives.record import load_record
from bpci_node.primitives.wallet_address import MAX_CHARACTERS, PLACE_FORM, parse_address

Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str, Query(max_length=128)]
AccountName = Annotated[str, Path(max_length=64)]


def society_routes(api: Api) -> APIRouter:
    """Return the routes about wallets and DAOs."""
    router = APIRouter(tags=["society"])
    lookups = api.node.lookups

    @router.get("/v1/wallets", response_model=WalletsReply, summary="Registered wallets, page by page")
    async def wallets(request: Request, after: After = "", limit: Limit = 100) -> Response:
        if after and PLACE_FORM.fullmatch(after) is None:
            raise FormatError("a page begins after the name of a wallet", code="format.wallet_name")
        machine = lookups.current()
        found = list_wallets(machine.state, after=after, limit=limit)
        last = found[-1].address.url if len(found) == limit else None
        views = [record.as_map() for record in found]
        network = network_of(machine.genesis)
        return reply(request, {"height": machine.height, "network": network, "wallets": views, "next": last})

    @router.get(
        "/v1/wallets/governance",
        response_model=GovernanceWalletsReply,
        summary="Wallets that no key speaks for, and what they hold",
    )
    async def governance(request: Request) -> Response:
        machine = lookups.current()
        views = [
            {"name": name, "account": account, "balances": _balances(machine.state, account)}
            for name, account in WALLETS.items()
        ]
        return reply(request, {"height": machine.height, "wallets": views})

    @router.get("/v1/wallets/find", response_model=WalletView, summary="A wallet by its URL or its whole address")
    async def find(
        request: Request,
        url: Annotated[str | None, Query(max_length=128)] = None,
        address: Annotated[str | None, Query(max_length=MAX_CHARACTERS)] = None,
    ) -> Response:
        if (url is None) == (address is None):
            raise FormatError("ask for a url or for an address", code="format.request")
        machine = lookups.current()
        name = url
        if address is not None:
            parsed = parse_address(address)
            require_network(parsed.network, network_of(machine.genesis))
            name = getattr(parsed, "url", None)
        record = find_wallet(machine.state, name) if name and PLACE_FORM.fullmatch(name) else None
        if record is None or (address is not None and str(record.address) != address):
            raise NotFoundError("there is no wallet of this name", code="wallet.unknown")
        return reply(request, record.as_map())

    @router.get("/v1/accounts/{account}/wallets", response_model=WalletsReply, summary="The wallets of an account")
    async def wallets_of(request: Request, account: AccountName) -> Response:
        machine = lookups.current()
        names = wallet_names(machine.state, account) if ACCOUNT_FORM.fullmatch(account) else ()
        found = [find_wallet(machine.state, url) for url in names]
        views = [record.as_map() for record in found if record is not None]
        network = network_of(machine.genesis)
        return reply(request, {"height": machine.height, "network": network, "wallets": views, "next": None})

    @router.get("/v1/accounts/{account}/dpans", response_model=DpansReply, summary="The D-PANs of an account")
    async def dpans(request: Request, account: AccountName, after: After = "", limit: Limit = 100) -> Response:
        _require_place(after)
        machine = lookups.current()
        known = ACCOUNT_FORM.fullmatch(account) is not None
        found = list_dpans(machine.state, account, after=after, limit=limit) if known else []
        last = found[-1].dao if len(found) == limit else None
        value = {"height": machine.height, "dpans": [_dpan(item) for item in found], "next": last}
        return reply(request, value)

    @router.get("/v1/daos", response_model=DaosReply, summary="DAOs, page by page")
    async def daos(request: Request, after: After = "", limit: Limit = 100) -> Response:
        _require_place(after)
        machine = lookups.current()
        found = list_daos(machine.state, after=after, limit=limit)
        last = found[-1].id if len(found) == limit else None
        return reply(request, {"height": machine.height, "daos": [record.as_map() for record in found], "next": last})

    @router.get("/v1/daos/{dao}", response_model=DaoReply, summary="A DAO, its treasury and its size")
    async def dao_of(request: Request, dao: AccountName) -> Response:
        machine = lookups.current()
        state, record = machine.state, _dao(machine.state, dao)
        counted = state.get(roll_of(record.id).entry("proposal-count"))
        value = {
            "height": machine.height,
            "dao": record.as_map(),
            "treasury": _balances(state, record.id),
            "members": len(members_of(state, record.id)),
            "power": total_power(state, record.id, machine.height),
            "proposals": 0 if counted is None else load_record(counted)["count"],
        }
        return reply(request, value)

    @router.get("/v1/daos/{dao}/members", response_model=DpansReply, summary="The D-PANs of a DAO's members")
    async def members(request: Request, dao: AccountName) -> Response:
        machine = lookups.current()
        record = _dao(machine.state, dao)
        found = [load_dpan(machine.state, record.id, account) for account in members_of(machine.state, record.id)]
        views = [_dpan(item) for item in found if item is not None]
        return reply(request, {"height": machine.height, "dpans": views, "next": None})

    @router.get("/v1/daos/{dao}/proposals/{number}", response_model=DaoProposalReply, summary="A proposal in a DAO")
    async def proposal(request: Request, dao: AccountName, number: Annotated[int, Path(ge=1, le=2**62)]) -> Response:
        machine = lookups.current()
        try:
            found = find_proposal(machine.state, roll_of(_dao(machine.state, dao).id), number)
        except RefusedError as error:
            raise NotFoundError(error.message, code=error.code) from error
        value = {"height": machine.height, "proposal": _shown(found), "passes": has_passed(found)}
        return reply(request, value)

    return router


def _dao(state: State, dao_id: str) -> DaoRecord:
    try:
        return find_dao(state, dao_id)
    except RefusedError as error:
        raise NotFoundError(error.message, code=error.code) from error


def _dpan(item: Dpan) -> dict[str, Any]:
    view: dict[str, Any] = _shown(item.as_map())
    return view


def _shown(value: Any) -> Any:
    """Return a value of the codec's subset with what is called an amount as a decimal string."""
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: str(item) if name == "amount" and type(item) is int else _shown(item) for name, item in value.items()}


def _balances(state: State, account: str) -> dict[str, str]:
    return {asset: str(amount) for asset, amount in list_balances(state, account).items()}


def _require_place(after: str) -> None:
    if after and ACCOUNT_FORM.fullmatch(after) is None:
        raise FormatError("a page begins after an account id", code="format.account")
