"""Every validator that knows of a final header fetches its bundle, checks it, and gives it out like its coordinator.

So bundles outlive their coordinators, and whoever subscribes anywhere hears of all of them, over all epochs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.verify_auction import verify_auction
from bpci_node.chain.registration import load_node
from bpci_node.chain.state import State
from bpci_node.errors import BpciError, ProofError
from bpci_node.mempool.entry import Signed, decode_entry
from bpci_node.network.auction_client import AuctionClient
from bpci_node.runtime.auction_frame import find_committee
from bpci_node.runtime.auction_peers import PEER_SECONDS
from bpci_node.runtime.completion import bundle_event
from bpci_node.runtime.public_pool import PublicPool
from bpci_node.runtime.window_draft import TargetChain
from bpci_node.store.auction_journal import AuctionJournal

log = logging.getLogger("bpci.auction")

BACK = 1_000
"""How many headers of a target back bundles are fetched that are not here."""
PAGE = 100
LOOK_SECONDS = 0.5
"""How often it is looked whether a bundle is missing."""


class BundleKeeper:
    """Keeps one validator's bundles complete."""

    def __init__(
        self,
        journal: AuctionJournal,
        chains: Mapping[str, TargetChain],
        pool: PublicPool,
        *,
        own: str,
        state: Callable[[], State],
    ) -> None:
        """Begin.

        Args:
            chains: how far each target's headers are known.
            own: this validator's account, which is not asked.
        """
        self._journal, self._chains, self._pool, self._own, self._state = journal, chains, pool, own, state
        self._clients: dict[str, AuctionClient] = {}

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    async def run(self) -> None:
        """Fetch what is missing, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for target, chain in list(self._chains.items()):
                for entries in await asyncio.to_thread(self._fetch, target, chain.sequence, chain.epoch):
                    self._pool.won(target, entries)

    def _fetch(self, target: str, last: int, epoch: int) -> list[list[Signed]]:
        """Store the bundles up to ``last`` that some validator of the epoch has; return what runs in them."""
        found: list[list[Signed]] = []
        after = max(0, last - BACK)
        missing = set(range(after + 1, last + 1)) - self._journal.bundle_sequences(target, after)
        for client in self._peers(epoch) if missing else ():
            try:
                at = min(missing) - 1
                while missing and at < max(missing) and (page := client.bundles(target, after=at, limit=PAGE)):
                    for row in page:
                        at = max(at + 1, row["sequence"])
                        if row["sequence"] in missing:
                            found.append(self._take(target, client.bundle(row["digest"])))
                            missing.discard(row["sequence"])
            except BpciError as error:
                log.info("%s gave no bundle: %s: %s", client.where, error.code, error.message)
            except (KeyError, TypeError):
                log.warning("%s answered something else than bundles", client.where)
            if not missing:
                break
        return found

    def _take(self, target: str, data: bytes) -> list[Signed]:
        """Check a bundle against this node's own copy of the ledger, and store it."""
        bundle = AuctionBundle.decode(data)
        header = bundle.header
        committee = find_committee(self._state(), header.epoch)
        if committee is None or header.target != target:
            raise ProofError("the bundle is of another target, or of no committee that is known", code="bundle.unknown")
        verify_auction(data, committee)
        digest = header.digest()
        event = bundle_event(header, digest, len(data))
        self._journal.add_bundle(digest, target, header.sequence, data, event).result()
        rows = () if bundle.body is None else bundle.body.entries
        return [decode_entry(row.raw) for row in rows] if self._pool.waiting(target) else []

    def _peers(self, epoch: int) -> Iterator[AuctionClient]:
        state = self._state()
        committee = find_committee(state, epoch)
        for seat in () if committee is None else committee.seats:
            record = None if seat.account == self._own else load_node(state, seat.account)
            for url in () if record is None else record.endpoints:
                if url not in self._clients:
                    self._clients[url] = AuctionClient(url, timeout_seconds=PEER_SECONDS)
                yield self._clients[url]
