"""How reveals come to a notary: from bidders, who get receipts, and from the other notaries behind their backs.

A reveal is in the journal before its receipt is given.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.batch_signature import BatchSignature
from bpci_node.auction.notary_book import NotaryBook
from bpci_node.auction.parcel import Opened
from bpci_node.auction.reveal import Reveal, decode_reveals, encode_reveals
from bpci_node.auction.reveal_receipt import RevealReceipt, issue_reveal_receipts, verify_reveal_receipt
from bpci_node.auction.window import WindowId
from bpci_node.errors import BpciError, FormatError, RefusedError
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.keys import Signer
from bpci_node.runtime.auction_messages import blob_of, key_of
from bpci_node.runtime.auction_peers import Answer, Peer
from bpci_node.runtime.ledger_clock import LedgerClock
from bpci_node.store.auction_journal import AuctionJournal

log = logging.getLogger("bpci.auction")


class RevealDesk:
    """Takes reveals in for one seat in one epoch."""

    def __init__(
        self,
        epoch: AuctionEpoch,
        seat: int,
        *,
        book: NotaryBook,
        node: Signer,
        journal: AuctionJournal,
        clock: LedgerClock,
        peers: Callable[[], Mapping[int, Peer]],
    ) -> None:
        """Begin.

        Args:
            book: the notary's, in which reveals are recorded.
            node: signs receipts.
            peers: of all seats; empty while they are not known.
        """
        self._epoch, self._seat, self._book, self._node = epoch, seat, book, node
        self._journal, self._clock, self._peers = journal, clock, peers
        self._handed: set[asyncio.Task[None]] = set()

    async def take(self, batch: bytes) -> list[bytes | BpciError]:
        """Take a bidder's reveals in; return for each its receipt, encoded, or why it is refused.

        Raises:
            BpciError: not a batch of reveals.
        """
        reveals = decode_reveals(batch)
        results: list[bytes | BpciError] = []
        taken: list[tuple[int, RevealReceipt, Reveal]] = []
        for reveal, entry in zip(reveals, await asyncio.to_thread(self._check, reveals), strict=True):
            now = self._clock.now_us()
            try:
                if isinstance(entry, BpciError):
                    raise entry
                self._book.record(reveal, entry, now)
            except BpciError as error:
                results.append(error)
                continue
            taken.append((len(results), self._unsigned_receipt(reveal, now), reveal))
            results.append(b"")
        if taken:
            receipts = await asyncio.to_thread(issue_reveal_receipts, self._node, [item[1] for item in taken])
            kept = [
                (reveal, receipt, receipt.received_us) for (_, _, reveal), receipt in zip(taken, receipts, strict=True)
            ]
            await self._keep(kept)
            for (position, _, _), receipt in zip(taken, receipts, strict=True):
                results[position] = receipt.encode()
            self._hand_over(kept)
        return results

    def _check(self, reveals: Sequence[Reveal]) -> list[Opened | BpciError]:
        found: list[Opened | BpciError] = []
        for reveal in reveals:
            try:
                found.append(self._book.locate(reveal, self._clock.now_us()).check(reveal))
            except BpciError as error:
                found.append(error)
        return found

    def _unsigned_receipt(self, reveal: Reveal, now_us: int) -> RevealReceipt:
        return RevealReceipt(
            ledger_id=self._epoch.ledger_id,
            epoch=self._epoch.number,
            window=reveal.window,
            set_digest=self._book.revealed(reveal.window).digest,
            commit_id=reveal.commit_id,
            seat=self._seat,
            received_us=now_us,
            signed=BatchSignature(0, 1, b"", b""),
        )

    async def _keep(self, kept: Iterable[tuple[Reveal, RevealReceipt, int]]) -> None:
        windows: dict[WindowId, list[tuple[bytes, int, bytes, bytes]]] = {}
        for reveal, receipt, received_us in kept:
            row = (reveal.commit_id, received_us, reveal.encode(), receipt.encode())
            windows.setdefault(reveal.window, []).append(row)
        for window, rows in windows.items():
            await asyncio.wrap_future(self._journal.add_reveals(key_of(window), rows))

    def _hand_over(self, kept: Sequence[tuple[Reveal, RevealReceipt, int]]) -> None:
        """Give other notaries and the coordinator what a bidder gave to this one, behind the bidder's back."""
        body = {
            "reveals": encode_reveals([reveal for reveal, _, _ in kept]),
            "receipts": [receipt.as_map() for _, receipt, _ in kept],
        }

        async def hand(peer: Peer) -> None:
            try:
                await peer.ask("reveals", body)
            except BpciError as error:
                log.debug("a notary did not take reveals: %s", error.message)

        for seat, peer in self._peers().items():
            if seat != self._seat:
                task = asyncio.create_task(hand(peer))
                self._handed.add(task)
                task.add_done_callback(self._handed.discard)

    async def on_handed(self, body: Mapping[str, Any]) -> Answer:
        """Take in what another notary hands over, with its receipts; what is refused here is left out.

        Raises:
            BpciError: not reveals with receipts of a notary of this committee.
        """
        fields = Fields(dict(body), ("reveals", "receipts"), what="handed reveals", code="seat.message")
        reveals = decode_reveals(blob_of(fields, "reveals"))
        receipts = [RevealReceipt.from_map(item) for item in fields.items("receipts", len(reveals))]
        if [item.commit_id for item in receipts] != [item.commit_id for item in reveals]:
            raise FormatError("each reveal needs its receipt", code="seat.message")
        await asyncio.to_thread(self._verify_receipts, receipts)
        kept = []
        for reveal, receipt, entry in zip(
            reveals, receipts, await asyncio.to_thread(self._check, reveals), strict=True
        ):
            if isinstance(entry, BpciError):
                continue
            now = self._clock.now_us()
            try:
                self._book.record(reveal, entry, now)
            except RefusedError:
                continue
            kept.append((reveal, receipt, now))
        await self._keep(kept)
        return {"taken": len(kept)}

    def _verify_receipts(self, receipts: Sequence[RevealReceipt]) -> None:
        for receipt in receipts:
            verify_reveal_receipt(receipt, committee=self._epoch.committee, ledger_id=self._epoch.ledger_id)
