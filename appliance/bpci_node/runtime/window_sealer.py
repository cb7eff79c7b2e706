"""The coordinator's seal phase: from the notaries' lists to a header that is final.

Windows of one target are sealed one after the other, since each header names the one before. What a header was made of
is stored before anybody is asked to vote, so that a coordinator that comes back asks for votes on the same header.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.certificate import Certificate
from bpci_node.auction.coordinator_book import CoordinatorBook, Stage
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.lists import InclusionList, forced_of
from bpci_node.auction.reveal import Reveal
from bpci_node.auction.reveal_receipt import RevealList, bits_of
from bpci_node.auction.revealed_window import RevealedWindow
from bpci_node.auction.window import WindowId
from bpci_node.chain.committee import Committee
from bpci_node.errors import BpciError
from bpci_node.mempool.entry import Signed, decode_entry
from bpci_node.primitives import codec
from bpci_node.primitives.keys import Signer
from bpci_node.runtime.auction_messages import key_of, sign_proposal
from bpci_node.runtime.auction_peers import Answer
from bpci_node.runtime.committee_calls import CommitteeCalls, tell
from bpci_node.runtime.inclusion import check_inclusion
from bpci_node.runtime.ledger_clock import LedgerClock
from bpci_node.runtime.public_pool import PublicPool
from bpci_node.runtime.stored_proposal import StoredProposal, hold
from bpci_node.runtime.window_draft import (
    MAX_POOL_ENTRIES,
    Forfeits,
    Proposal,
    Sealed,
    TargetChain,
    draft_header,
    handover_window,
)
from bpci_node.store.auction_journal import FINAL, PROPOSED, AuctionJournal

log = logging.getLogger("bpci.auction")

LIST_SHARE = 3
"""Of the seal phase, one part in so many is spent on waiting for lists."""
MAX_PUBLIC_BYTES = 1 << 20
"""Raw bytes of public entries that one proposal brings, at most; forced ones have as much again."""

OnFinal = Callable[[Sealed, Certificate], Awaitable[None]]
"""What happens to a window after its header is final: proofs, the bundle, the settlement."""


class WindowSealer:
    """Seals the windows of one epoch."""

    def __init__(
        self,
        epoch: AuctionEpoch,
        *,
        book: CoordinatorBook[Certificate],
        calls: CommitteeCalls,
        journal: AuctionJournal,
        clock: LedgerClock,
        chains: Mapping[str, TargetChain],
        pool: PublicPool,
        signer: Signer,
        forfeit: Forfeits,
        next_committee: Callable[[], Committee | None],
        on_final: OnFinal,
        has_predecessor: bool,
    ) -> None:
        """Begin an epoch; arguments as those of :class:`~bpci_node.runtime.coordinator.Coordinator`."""
        self._epoch, self._book, self._calls = epoch, book, calls
        self._journal, self._clock, self._chains, self._pool = journal, clock, chains, pool
        self._forfeit, self._next_committee, self._on_final = forfeit, next_committee, on_final
        self._has_predecessor, self._signer = has_predecessor, signer
        self._one = {target: asyncio.Lock() for target in epoch.terms}
        self.stored: dict[WindowId, StoredProposal] = {}
        """What was proposed before a crash, and when."""
        self.times: dict[WindowId, int] = {}
        """Times of the headers of these proposals, ledger time."""
        self.told: dict[WindowId, asyncio.Event] = {}
        """Set once every notary knows of a window's certified set."""

    def forget(self, window: WindowId) -> None:
        """Let go of a window that is final or void."""
        self.stored.pop(window, None)
        self.times.pop(window, None)
        self.told.pop(window, None)

    async def seal(self, window: WindowId) -> None:
        """Bring a window to its final header.

        Raises:
            BpciError: it can't be sealed; it will be void.
        """
        async with self._one[window.target]:
            if window == handover_window(self._epoch, window.target):
                await self._wait_for_others(window)
            await self._wait_for_predecessor(window)
            revealed, chain = self._book.revealed(window), self._chains[window.target]
            answers = await self._collect_lists(window, revealed)
            # Who comes back after a crash proposes the same header again.
            record = self.stored.get(window)
            if record is None:
                seats = {item.seat for item in revealed.lists}
                proposal = await self._proposal(window, answers)
                following, now = self._next_committee(), self._clock.now_us()
            else:
                await asyncio.to_thread(record.hold_in, revealed)
                seats, proposal = {item.seat for item in record.lists}, record.proposal
                following, now = record.next_committee, self.times[window]
            sealed = await asyncio.to_thread(
                draft_header,
                self._epoch,
                revealed,
                chain,
                proposal,
                seats=sorted(seats),
                time_us=now,
                next_committee=following,
                forfeit=self._forfeit,
            )
            header = sealed.draft.header
            is_handover = window == handover_window(self._epoch, window.target) and header.next_committee is not None
            if not header.commits and not header.candidates and not is_handover:
                return
            record = record or StoredProposal.of(sealed, revealed, proposal, chain.carried)
            await self._store(header, record)
            lists = list(record.lists)
            signature = await asyncio.to_thread(sign_proposal, self._signer, header)
            certificate = await self._calls.gather(
                "headers",
                lambda seat: _proposal_for(seat, header.encode(), lists, revealed, proposal) | {"signature": signature},
                header.digest(),
                until_us=self._epoch.phases_of(window).seal_ends_us,
            )
            if certificate is None:
                log.warning("window %s: its header got no certificate", window.as_list())
                return
            self._book.finish(window, self._clock.now_us())
            await self._publish(sealed, certificate)
        self._book.forget(window)
        self.forget(window)
        await self._on_final(sealed, certificate)

    async def _store(self, header: AuctionHeader, record: StoredProposal) -> None:
        key = key_of(header.window)
        stored = {row[0] for row in await asyncio.to_thread(self._journal.reveals, key)}
        data = await asyncio.to_thread(record.encode, stored)
        await asyncio.wrap_future(
            self._journal.put_window(key, header.epoch, PROPOSED, header=header.encode(), proposal=data)
        )

    async def _wait_for_others(self, window: WindowId) -> None:
        """The handover comes last: wait until every other window of the target is final or void."""
        ends_us = self._epoch.phases_of(window).seal_ends_us
        while self._clock.now_us() < ends_us - (ends_us - self._epoch.phases_of(window).reveal_ends_us) // LIST_SHARE:
            others = [
                name
                for name in self._book.open_windows()
                if name.target == window.target and name != window and self._book.stage(name) is Stage.CERTIFIED
            ]
            if not others:
                return
            self._one[window.target].release()
            await asyncio.sleep(0.005)
            await self._one[window.target].acquire()

    async def _wait_for_predecessor(self, window: WindowId) -> None:
        """Wait until the committee before has handed the target over, or can't any more."""
        chain, terms = self._chains[window.target], self._epoch.terms[window.target]
        until_us = self._epoch.begins_us + (terms.reveal_ms + terms.seal_ms) * 1000
        qlock_ms = terms.classes[-1]
        last = (qlock_ms, (self._epoch.begins_us - 1) // (qlock_ms * 1000))
        while self._has_predecessor and chain.epoch < self._epoch.number and self._clock.now_us() < until_us:
            if chain.header is not None and (chain.header.qlock_ms, chain.header.index) == last:
                return
            await asyncio.sleep(0.002)

    async def _collect_lists(self, window: WindowId, revealed: RevealedWindow) -> dict[int, Answer]:
        """Ask the notaries for their lists, and for what they name and this validator has not."""
        held = [position for name, position in revealed.positions.items() if revealed.is_held(name)]
        body = {"window": window.as_list(), "held": bits_of(held, revealed.set.count)}
        phases = self._epoch.phases_of(window)
        share_us = (phases.seal_ends_us - phases.reveal_ends_us) // LIST_SHARE
        told = self.told.pop(window, None)
        if told is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), share_us / 2_000_000)
        answers: dict[int, Answer] = {}

        def take(seat: int, answer: Answer | BpciError) -> bool:
            if isinstance(answer, BpciError):
                log.info("seat %d gave no list: %s", seat, answer.code)
            else:
                answers[seat] = answer
            return False

        await self._calls.ask("lists", lambda _: body, until_us=self._clock.now_us() + share_us, take=take)
        await asyncio.to_thread(_take_lists, list(answers.values()), revealed)
        return answers

    async def _proposal(self, window: WindowId, answers: Mapping[int, Answer]) -> Proposal:
        """Return what the public pools bring: the entries that notaries want in, and the best of this node's own."""
        lists, forced = await asyncio.to_thread(self._take_inclusions, window, answers)
        terms = self._epoch.terms_of(window)
        public = await self._pool.best(
            window,
            terms,
            self._epoch.ledger_id,
            gas=terms.gas_limit,
            most=MAX_POOL_ENTRIES,
            raw_bytes=MAX_PUBLIC_BYTES,
        )
        others = tuple(tx.raw for tx in public if tx.txid not in forced)
        return Proposal(tuple(lists), tuple(forced[txid] for txid in sorted(forced)), others)

    def _take_inclusions(
        self, window: WindowId, answers: Mapping[int, Answer]
    ) -> tuple[list[InclusionList], dict[bytes, bytes]]:
        """Take in the inclusion lists whose entries came along, could run, and have not run already."""
        lists: list[InclusionList] = []
        raws: dict[bytes, bytes] = {}
        for seat, answer in sorted(answers.items()):
            if answer.get("inclusion") is None:
                continue
            try:
                found = InclusionList.decode(answer["inclusion"])
                came = _entries(answer["forced"])
                check_inclusion(self._epoch, window, seat, found, came)
                room = MAX_POOL_ENTRIES - len(raws.keys() | set(found.txids))
                size = sum(map(len, raws.values())) + sum(len(tx.raw) for tx in came)
                if (
                    room < 0
                    or size > MAX_PUBLIC_BYTES
                    or not all(self._pool.is_fresh(window.target, tx) for tx in came)
                ):
                    log.info("window %s: the inclusion list of seat %d has no place", window.as_list(), seat)
                    continue
            except (BpciError, KeyError, TypeError) as error:
                log.warning("an inclusion list is not used: %s", error)
                continue
            lists.append(found)
            raws |= {tx.txid: tx.raw for tx in came}
        wanted = forced_of(lists)
        return lists, {txid: raws[txid] for txid in wanted}

    async def _publish(self, sealed: Sealed, certificate: Certificate) -> None:
        """Make a final header known: to the journal, the committee, subscribers."""
        header, window = sealed.draft.header, sealed.draft.header.window
        carried = [item.encode() for item in sealed.carried]
        event = codec.encode(
            {"window": window.as_list(), "header": header.encode(), "certificate": certificate.as_map()}
        )
        await asyncio.wrap_future(
            self._journal.put_window(
                key_of(window),
                header.epoch,
                FINAL,
                header=header.encode(),
                certificate=codec.encode(certificate.as_map()),
                carried=carried,
                event=("window", event),
            )
        )
        self._chains[window.target].extend(header, sealed.carried)
        self._pool.won(window.target, [item.entry.transaction for item in sealed.draft.selection.winners])
        body = {
            "header": header.encode(),
            "certificate": certificate.as_map(),
            "outcomes": sealed.encoded_outcomes,
            "carried": carried,
        }
        await asyncio.gather(*(tell(peer, "final", body) for peer in self._calls.peers.values()))


def _entries(raws: Any) -> list[Signed]:
    return [decode_entry(raw) for raw in raws]


def _take_lists(answers: list[Answer], revealed: RevealedWindow) -> None:
    """Take lists in, and the reveals that came with them; a notary that answers nonsense counts as silent."""
    for answer in answers:
        try:
            found = RevealList.decode(answer["list"])
            hold(revealed, [Reveal.from_map(item) for item in answer["reveals"]])
            if all(revealed.is_held(revealed.commits[position].commit_id) for position in found.positions()):
                revealed.add_list(found)
        except (BpciError, KeyError, TypeError, IndexError) as error:
            log.warning("a notary's list is not used: %s", error)


def _proposal_for(
    seat: int, header: bytes, lists: list[RevealList], revealed: RevealedWindow, proposal: Proposal
) -> dict[str, Any]:
    """Return what one notary is sent of a header: all lists, and the reveals that its own list has not."""
    listed = {position for item in lists for position in item.positions()}
    own = {position for item in lists if item.seat == seat for position in item.positions()}
    return {
        "header": header,
        "lists": [item.encode() for item in lists],
        "reveals": [reveal.as_map() for reveal in revealed.reveals_of(sorted(listed - own))],
        "proposal": proposal.as_map(),
    }
