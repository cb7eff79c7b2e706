"""The explorer: the node's pages about its ledger, its pools and itself, by noun."""

from __future__ import annotations

from fastapi import APIRouter

from bpci_node.gateway.explorer_auctions import auction_pages
from bpci_node.gateway.explorer_blocks import block_pages
from bpci_node.gateway.explorer_bundles import bundle_pages
from bpci_node.gateway.explorer_governance import proposal_pages
from bpci_node.gateway.explorer_overview import overview_pages
from bpci_node.gateway.explorer_registry import registry_pages
from bpci_node.gateway.explorer_search import search_pages
from bpci_node.gateway.explorer_state import state_pages
from bpci_node.gateway.pages import Pages, asset_routes


def explorer_pages(pages: Pages) -> list[APIRouter]:
    """Return the routes of every page of the explorer, and of what pages are made with."""
    makers = (
        overview_pages,
        block_pages,
        registry_pages,
        state_pages,
        proposal_pages,
        auction_pages,
        bundle_pages,
        search_pages,
    )
    return [asset_routes(), *(make(pages) for make in makers)]
