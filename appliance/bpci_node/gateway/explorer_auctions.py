"""Pages of the auctions: what is auctioned now and by whom, and what the windows came to.

Every node shows epoch, committee and targets, which are the ledger's; windows and bundles stand where a validator is.
With script the first page renews itself; without, by reloading.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.candidates import Origin
from bpci_node.auction.window import WindowId, phases_of
from bpci_node.chain.draw import committee_entry, committee_of
from bpci_node.chain.emergency import halt_of
from bpci_node.chain.epochs import load_epochs
from bpci_node.chain.ledger_proof import StateEntryProof
from bpci_node.chain.registration import load_node
from bpci_node.chain.state import State
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.chain.targets import list_targets, terms_of
from bpci_node.errors import BpciError, NotFoundError
from bpci_node.gateway.explorer_contents import decoded, entry_rows
from bpci_node.gateway.pages import Page, Pages
from bpci_node.primitives import codec
from bpci_node.runtime.auction_duties import AuctionDuties, auction_of
from bpci_node.runtime.intake import clock_ms
from bpci_node.store.auction_journal import CERTIFIED, OPEN, PROPOSED, Event

_NEWEST = 2**53
_EVENTS = 20
_WINDOWS = 20
_TOLD = ("epoch", "sequence", "digest", "count", "bytes", "reason")
"""What pages show of an event."""
_KEPT_US = 60_000_000
"""Windows that began longer ago are not under way any more, whatever became of them."""


def auction_pages(pages: Pages) -> APIRouter:
    """Return the routes of auctions."""
    router = APIRouter(include_in_schema=False)
    node = pages.node

    @router.get("/auctions")
    async def auctions(request: Request) -> Response:
        async def prepare() -> Page:
            auction = node.auction
            told = [] if auction is None else await auction.stream.page(max(0, auction.stream.last - _EVENTS), _EVENTS)
            values = await asyncio.to_thread(_overview, pages, auction)
            values["events"] = [_event(item) for item in reversed(told)]
            return Page("auctions.html", values, has_script=True)

        return await pages.answer(request, prepare)

    @router.get("/auctions/committees/{epoch}/proof")
    async def committee_proof(request: Request, epoch: Annotated[int, Path(ge=0, le=_NEWEST)]) -> Response:
        async def prepare() -> bytes:
            await asyncio.to_thread(committee_of, node.lookups.current().state, epoch)
            key = committee_entry(epoch)
            found = await node.lookups.state_proof(key)
            return StateEntryProof(found["signed_block"], key, found["value"], found["proof"]).encode()

        pages.api.allow_ledger(request, 0.1)
        return await pages.download(request, f"epoch-{epoch}.proof", prepare)

    @router.get("/auctions/{target}/{sequence}")
    async def bundle(
        request: Request,
        target: Annotated[str, Path(max_length=48)],
        sequence: Annotated[int, Path(ge=1, le=_NEWEST)],
        first: Annotated[int, Query(ge=0, le=2**32)] = 0,
    ) -> Response:
        async def prepare() -> Page:
            data = await asyncio.to_thread(_find, auction_of(node), target, sequence)
            found = await decoded(pages, request, data, AuctionBundle.decode)
            entries = () if found.body is None else found.body.entries
            values = {
                "bundle": found,
                "header": found.header,
                "digest": found.header.digest(),
                "seats": list(found.certificate.seats()),
                "size": len(data),
                "file": _file_name(target, sequence),
                **entry_rows(entries, first, lambda entry: {"origin": Origin(entry.origin).name.lower()}),
            }
            return Page("auction_bundle.html", values)

        pages.api.allow_ledger(request, 1.0)
        return await pages.answer(request, prepare)

    @router.get("/auctions/{target}/{sequence}/file")
    async def bundle_file(
        request: Request,
        target: Annotated[str, Path(max_length=48)],
        sequence: Annotated[int, Path(ge=1, le=_NEWEST)],
    ) -> Response:
        async def prepare() -> bytes:
            return await asyncio.to_thread(_find, auction_of(node), target, sequence)

        pages.api.allow_ledger(request, 1.0)
        return await pages.download(request, _file_name(target, sequence), prepare)

    return router


def _event(event: Event) -> dict[str, Any]:
    """Return what a page says of an event: no headers and signatures, for which there is the stream."""
    data = codec.decode(event.data, max_bytes=len(event.data))
    window = data.pop("window", None)
    shown = {name: value for name, value in data.items() if name in _TOLD}
    if window is not None:
        shown = {"window": f"{window[0]}, {window[1]} ms, number {window[2]}"} | shown
    return {"kind": event.kind, "sequence": event.sequence, "target": event.target, "data": shown}


def _file_name(target: str, sequence: int) -> str:
    return f"{target.replace(':', '-')}-window-{sequence}.bundle"


def _find(auction: AuctionDuties, target: str, sequence: int) -> bytes:
    """Return the bundle of a number of a target's chain.

    Raises:
        NotFoundError: it is not here (``bundle.unknown``).
    """
    found = auction.journal.bundles(target, sequence - 1, 1)
    data = auction.journal.bundle(found[0][1]) if found and found[0][0] == sequence else None
    if data is None:
        raise NotFoundError(
            "there is no bundle of this number here",
            code="bundle.unknown",
            hint="A window's bundle is with the validator that coordinated it.",
        )
    return data


def _overview(pages: Pages, auction: AuctionDuties | None) -> dict[str, Any]:
    """Return what the ledger says of this moment, and what this validator knows of windows."""
    node = pages.node
    machine, genesis = node.lookups.current(), node.lookups.genesis
    state = machine.state
    now_us = (clock_ms() - genesis.time_ms) * 1000 if auction is None else auction.clock.now_us()
    epochs, halt = load_epochs(state), halt_of(state)
    number = epochs.number_at(max(0, now_us) // 1000)
    return {
        "height": machine.height,
        "epoch": number,
        "ends_ms": genesis.time_ms + epochs.begins_ms(number + 1),
        "left_ms": max(0, epochs.begins_ms(number + 1) - now_us // 1000),
        "halt": halt,
        "is_halted": halt is not None and halt.covers(now_us),
        "halted_ms": None if halt is None else genesis.time_ms + halt.from_us // 1000,
        "own": node.account,
        "serves": auction is not None,
        "committee": _committee(state, number),
        "targets": [_target(terms, auction) for terms in _targets(state, number)],
        "windows": [] if auction is None else _windows(auction, _targets(state, number), now_us),
        "boundaries": [] if auction is None else _boundaries(auction, node.config.auction.commits_per_second),
    }


def _committee(state: State, epoch: int) -> list[dict[str, Any]]:
    """Return the seats of an epoch, none if nobody drew for it."""
    try:
        committee = committee_of(state, epoch)
    except NotFoundError:
        return []
    rows = []
    for seat in committee.seats:
        record = load_node(state, seat.account)
        url = next(iter(() if record is None else record.endpoints), None)
        rows.append({"account": seat.account, "url": url, "share_bps": seat.weight * 10_000 // committee.total})
    return rows


def _targets(state: State, epoch: int) -> list[TargetTerms]:
    found = []
    for target in list_targets(state):
        try:
            found.append(terms_of(state, target, epoch))
        except BpciError:
            continue  # its terms are not in force yet, or not any more
    return found


def _target(terms: TargetTerms, auction: AuctionDuties | None) -> dict[str, Any]:
    """Return a target's terms, the end of its chain, and its last bundles that are here."""
    chain = None if auction is None else auction.chains.get(terms.target)
    sequence = 0 if chain is None else chain.sequence
    rows: list[tuple[int, bytes]] = []
    if auction is not None:
        found = auction.journal.bundles(terms.target, max(0, sequence - _WINDOWS), _WINDOWS)
        rows = [(row[0], row[1]) for row in reversed(found)]
    return {"terms": terms, "sequence": sequence, "bundles": rows}


def _windows(auction: AuctionDuties, targets: list[TargetTerms], now_us: int) -> list[dict[str, Any]]:
    """Return the windows that are under way here, the latest first."""
    terms = {item.target: item for item in targets}
    rows: list[dict[str, Any]] = []
    for stored in auction.journal.windows(OPEN, CERTIFIED, PROPOSED):
        window = WindowId(*stored.key)
        if window.target not in terms or window.opens_us < now_us - _KEPT_US:
            continue
        phases = phases_of(window, terms[window.target])
        if now_us < phases.closes_us:
            phase, until_us = "commit", phases.closes_us
        elif now_us < phases.reveal_ends_us:
            phase, until_us = "reveal", phases.reveal_ends_us
        else:
            phase, until_us = "seal", phases.seal_ends_us
        left_ms = (until_us - now_us) // 1000
        rows.append({"window": window, "stage": stored.stage, "phase": phase, "left_ms": left_ms})
    return sorted(rows, key=lambda row: int(row["window"].opens_us), reverse=True)[:_WINDOWS]


def _boundaries(auction: AuctionDuties, limit: int) -> list[dict[str, Any]]:
    """Return how many phase boundaries each class had, how late they were noticed (microseconds), and what fits in."""
    return [
        {
            "qlock_ms": qlock_ms,
            "count": auction.jitter.counts.get(qlock_ms, 0),
            "p50": auction.jitter.quantile(qlock_ms, 50),
            "p99": auction.jitter.quantile(qlock_ms, 99),
            "most": max(1, limit * qlock_ms // 1000),
        }
        for qlock_ms in auction.jitter.classes()
    ]
