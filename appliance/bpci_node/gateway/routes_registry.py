"""Routes of the registry's look-ups: search, liveness, admission, validators, miners. Any node answers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bpci_node.chain.admission import admitted_in_window
from bpci_node.chain.capacity import load_capacity
from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.heartbeat import liveness_of, load_beat
from bpci_node.chain.machine import Machine
from bpci_node.chain.miners import MinerRecord, list_miners
from bpci_node.chain.node_index import NodeQuery, search_nodes
from bpci_node.chain.registry import find_node
from bpci_node.chain.stake import load_stake
from bpci_node.chain.state import View
from bpci_node.chain.validator_set import set_at
from bpci_node.chain.validators import load_validator
from bpci_node.errors import NotFoundError
from bpci_node.gateway.api import Api
from bpci_node.gateway.body import reply
from bpci_node.gateway.models_registry import (
    AdmissionReply,
    LivenessReply,
    MinersReply,
    SearchReply,
    ValidatorReply,
    ValidatorSetReply,
)

Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str, Query(max_length=64)]
Word = Annotated[str | None, Query(max_length=40)]


def registry_routes(api: Api) -> APIRouter:
    """Return the routes of the registry's look-ups."""
    router = APIRouter(tags=["registry"])
    lookups = api.node.lookups

    @router.get(
        "/v1/registry/search",
        response_model=SearchReply,
        summary="Nodes by type, status, capability, region, flag, or that validate",
    )
    async def search(
        request: Request,
        *,
        node_type: Annotated[str | None, Query(alias="type", max_length=40)] = None,
        status: Word = None,
        capability: Word = None,
        region: Word = None,
        flag: Word = None,
        validator: Annotated[bool, Query()] = False,
        after: After = "",
        limit: Limit = 100,
    ) -> Response:
        query = NodeQuery(node_type, status, capability, region, flag, validator)
        machine = lookups.current()
        found, last = search_nodes(machine.state, query, after=after, limit=limit)
        nodes = [
            {
                "node": record.as_map() | {"did": record.did},
                "liveness": liveness_of(machine.state, record, machine.height),
            }
            for record in found
        ]
        return reply(request, {"height": machine.height, "nodes": nodes, "next": last})

    @router.get(
        "/v1/registry/nodes/{name}/liveness",
        response_model=LivenessReply,
        summary="Is a node heard? Its last heartbeat",
    )
    async def liveness(request: Request, name: Annotated[str, Path(max_length=80)]) -> Response:
        machine = lookups.current()
        record = find_node(machine.state, name)
        beat = load_beat(machine.state, record.account)
        value = {
            "height": machine.height,
            "account": record.account,
            "liveness": liveness_of(machine.state, record, machine.height),
            "heartbeat": None if beat is None else beat.as_map(),
        }
        return reply(request, value)

    @router.get(
        "/v1/registry/admission", response_model=AdmissionReply, summary="What a proof of work is to be bound to now"
    )
    async def admission(request: Request) -> Response:
        return reply(request, admission_view(lookups.current()))

    @router.get("/v1/registry/miners", response_model=MinersReply, summary="Miners, page by page, or those of a pool")
    async def miners(request: Request, pool: Word = None, after: After = "", limit: Limit = 100) -> Response:
        found = list_miners(lookups.current().state, pool=pool, after=after, limit=limit)
        last = found[-1].account if len(found) == limit else None
        state = lookups.current().state
        return reply(request, {"miners": [miner_view(state, record) for record in found], "next": last})

    @router.get("/v1/validators", response_model=ValidatorSetReply, summary="The set of validators after a block")
    async def validator_set(request: Request, height: Annotated[int | None, Query(ge=0, le=2**62)] = None) -> Response:
        machine = lookups.current()
        wanted = machine.height if height is None else height
        found = set_at(machine.state, wanted)
        members = [member.as_map() | {"power": str(member.power)} for member in found.members]
        return reply(request, {"height": wanted, "since_height": found.height, "members": members})

    @router.get("/v1/validators/{account}", response_model=ValidatorReply, summary="One validator and its stake")
    async def validator(request: Request, account: Annotated[str, Path(max_length=64)]) -> Response:
        state = lookups.current().state
        record = load_validator(state, account) if ACCOUNT_FORM.fullmatch(account) else None
        if record is None:
            raise NotFoundError("this account is no validator", code="validator.unknown")
        stake = load_stake(state, account)
        value = {
            "validator": record.as_map() | {"slashed": str(record.slashed)},
            "bonded": str(stake.bonded),
            "unbonding": str(sum(amount for amount, _ in stake.unbonding)),
        }
        return reply(request, value)

    return router


def admission_view(machine: Machine) -> dict[str, Any]:
    """Return height and root that work is bound to, the bits that it takes, and the places that are left."""
    state, height = machine.state, machine.height
    taken = admitted_in_window(state, height + 1, by_work=True)
    return {
        "height": height,
        "root": machine.state.root if height else machine.genesis.hash,
        "bits": load_parameter(state, "admission_bits"),
        "left": max(load_parameter(state, "admissions_per_window") - taken, 0),
    }


def miner_view(state: View, record: MinerRecord) -> dict[str, Any]:
    """Return a miner with what it declared to carry."""
    declared = load_capacity(state, record.account)
    return record.as_map() | {"capacity": None if declared is None else declared.as_body()}
