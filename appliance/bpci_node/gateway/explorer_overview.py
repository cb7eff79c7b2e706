"""The first page: the node, its ledger, its pools, its latest blocks."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from bpci_node.chain.heartbeat import liveness_of, load_beat
from bpci_node.chain.machine import Machine
from bpci_node.chain.registration import load_node
from bpci_node.chain.validator_set import set_at
from bpci_node.errors import BpciError
from bpci_node.gateway.explorer_blocks import recent_blocks
from bpci_node.gateway.pages import Page, Pages, in_thread
from bpci_node.gateway.problems import problem_of
from bpci_node.store.block_reads import BlockReads

_LATEST = 10


def overview_pages(pages: Pages) -> APIRouter:
    """Return the route of the first page."""
    router = APIRouter(include_in_schema=False)
    node, reads = pages.node, BlockReads(pages.node.store)

    @router.get("/")
    async def overview(request: Request) -> Response:
        server = request.scope.get("server")
        if server is not None and server[1] is not None and server[1] == node.config.api.faucet_port:
            return RedirectResponse("/faucet", 307)

        def prepare() -> Page:
            status = node.status()
            machine: Machine | None
            try:
                machine = node.lookups.current()
            except BpciError:
                machine = None  # a follower that has heard nothing yet still says so of itself
            values = {
                "status": status,
                "last_bundles": {target: node.last_bundle(target) for target in node.pools},
                "obstacles": [problem_of(item) for item in node.obstacles()],
                "certified": node.certificate is not None,
                "beat": None,
                "liveness": None,
                "validators": None,
                "rows": [],
                "started_ms": node.started_ms,
            }
            if machine is not None:
                record = load_node(machine.state, node.account)
                values["beat"] = load_beat(machine.state, node.account)
                values["liveness"] = None if record is None else liveness_of(machine.state, record, machine.height)
                values["validators"] = len(set_at(machine.state, machine.height).members)
                values["rows"] = recent_blocks(reads, before=machine.height + 1, limit=_LATEST)
            return Page("overview.html", values)

        return await pages.answer(request, in_thread(prepare))

    return router
