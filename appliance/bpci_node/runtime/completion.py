"""What follows on a final header: its proofs, its bundle, its settlement, in one step that a crash undoes or repeats.

Off the critical path, one window of a target after the other, in the order of its chain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.certificate import Certificate
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.seal_auction import prove_window
from bpci_node.chain.committee import Committee
from bpci_node.chain.registration import load_node
from bpci_node.chain.state import State
from bpci_node.errors import BpciError
from bpci_node.primitives import codec
from bpci_node.primitives.mldsa import MlDsaSigner
from bpci_node.runtime.auction_messages import key_of
from bpci_node.runtime.auction_peers import RemoteSeat
from bpci_node.runtime.auction_value import AuctionValue
from bpci_node.runtime.service import log_error
from bpci_node.runtime.stored_proposal import seal_again
from bpci_node.runtime.window_draft import Sealed
from bpci_node.store.auction_journal import AuctionJournal

log = logging.getLogger("bpci.auction")


class Completion:
    """Completes the windows that this validator coordinated."""

    def __init__(
        self,
        journal: AuctionJournal,
        signer: MlDsaSigner,
        value: AuctionValue,
        *,
        state: Callable[[], State],
        frame: Callable[[int], AuctionEpoch],
    ) -> None:
        """Begin.

        Args:
            state: of the ledger, as this node has it.
            frame: of an epoch; raises where it is not known.
        """
        self._journal, self._signer, self._value = journal, signer, value
        self._state, self._frame = state, frame
        self._one: dict[str, asyncio.Lock] = {}
        self._is_caught_up = False

    async def catch_up(self) -> None:
        """Complete what was final before the node stopped, once; before anything new."""
        if self._is_caught_up:
            return
        self._state()
        self._is_caught_up = True
        waiting = await asyncio.to_thread(self._journal.incomplete)
        headers = [(AuctionHeader.decode(item.header or b""), item) for item in waiting]
        for header, stored in sorted(headers, key=lambda item: item[0].sequence):
            try:
                sealed = await asyncio.to_thread(seal_again, self._journal, stored, self._frame(header.epoch))
                certificate = Certificate.from_map(codec.decode(stored.certificate or b""))
                await self.complete(sealed, certificate)
                log.info("window %s is complete after a restart", header.window.as_list())
            except BpciError as error:
                log_error(log, f"window {header.window.as_list()} can't be completed", error)

    async def complete(self, sealed: Sealed, certificate: Certificate) -> None:
        """Hand the target over at an epoch's end; prove a window, publish its bundle, see to its settlement.

        Raises:
            BpciError: it does not hold together, or the journal failed.
        """
        header = sealed.draft.header
        async with self._one.setdefault(header.target, asyncio.Lock()):
            if sealed.draft.facts.next_committee is not None:
                await self._hand_over(sealed, certificate, sealed.draft.facts.next_committee)
            data = await asyncio.to_thread(lambda: prove_window(sealed.draft, certificate, self._signer).encode())
            committee = self._frame(header.epoch).committee
            owed, mock = await asyncio.to_thread(self._value.settle, sealed, certificate, committee)
            digest = header.digest()
            await asyncio.wrap_future(
                self._journal.complete(
                    key_of(header.window),
                    digest,
                    header.sequence,
                    data,
                    bundle_event(header, digest, len(data)),
                    owed=owed,
                    mock=mock,
                )
            )

    async def _hand_over(self, sealed: Sealed, certificate: Certificate, following: Committee) -> None:
        """Tell those who serve next, and have no seat in this epoch, what they build on."""
        header, state = sealed.draft.header, self._state()
        present = self._frame(header.epoch).committee
        body = {
            "header": header.encode(),
            "certificate": certificate.as_map(),
            "outcomes": sealed.encoded_outcomes,
            "carried": [],
        }
        new = [seat.account for seat in following.seats if present.number_of(seat.account) is None]
        records = [record for account in new if (record := load_node(state, account)) is not None]
        remote = [RemoteSeat(record.endpoints, header.epoch) for record in records]

        async def tell(seat: RemoteSeat) -> None:
            with suppress(BpciError):
                await seat.ask("final", body)
            seat.close()

        await asyncio.gather(*map(tell, remote))


def bundle_event(header: AuctionHeader, digest: bytes, size: int) -> bytes:
    """Return what subscribers are told of a bundle that is stored."""
    return codec.encode(
        {
            "window": header.window.as_list(),
            "sequence": header.sequence,
            "digest": digest,
            "bytes": size,
            "count": header.count,
        }
    )
