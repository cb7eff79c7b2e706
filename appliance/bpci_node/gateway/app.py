"""The two applications: the public API and the owner's."""

from __future__ import annotations

from fastapi import FastAPI

from bpci_node import __version__
from bpci_node.gateway import openapi, problems
from bpci_node.gateway.api import Api
from bpci_node.gateway.explorer import explorer_pages
from bpci_node.gateway.faucet_page import faucet_page
from bpci_node.gateway.pages import Pages
from bpci_node.gateway.routes_auction import auction_routes
from bpci_node.gateway.routes_earnings import earnings_routes
from bpci_node.gateway.routes_entries import entry_routes
from bpci_node.gateway.routes_faucet import faucet_routes, owner_faucet_routes
from bpci_node.gateway.routes_ledger import ledger_routes, owner_ledger_routes
from bpci_node.gateway.routes_node import health_routes, node_routes
from bpci_node.gateway.routes_owner import owner_routes
from bpci_node.gateway.routes_pools import pool_routes
from bpci_node.gateway.routes_proofs import proof_routes
from bpci_node.gateway.routes_registry import registry_routes
from bpci_node.gateway.routes_society import society_routes
from bpci_node.gateway.routes_stream import stream_routes


def public_app(api: Api, pages: Pages) -> FastAPI:
    """Return the application that anyone may use: the API, and the pages for people."""
    app = FastAPI(title="BPCI node", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    for routes in (health_routes, node_routes, ledger_routes, entry_routes, pool_routes, proof_routes, registry_routes):
        app.include_router(routes(api))
    for routes in (society_routes, faucet_routes, auction_routes, stream_routes):
        app.include_router(routes(api))
    for page_routes in (*explorer_pages(pages), faucet_page(pages)):
        app.include_router(page_routes)
    problems.install(app, pages.refuse)
    openapi.install(app)
    return app


def owner_app(api: Api, addresses: list[str]) -> FastAPI:
    """Return the application behind the owner's socket.

    Args:
        addresses: where the public API listens.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for routes in (health_routes(api), node_routes(api), owner_routes(api, addresses), owner_ledger_routes(api)):
        app.include_router(routes)
    app.include_router(owner_faucet_routes(api))
    app.include_router(earnings_routes(api))
    problems.install(app)
    return app
