"""A notary at work: what one validator answers the coordinator and bidders in one epoch.

It believes nothing that it can reckon. Whatever it signs is first remembered by the guard of votes, synced, so
a notary that comes back after a crash contradicts nothing that it said. Reveals come in at its :class:`RevealDesk`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.certificate import Certificate, verify_certificate
from bpci_node.auction.commit import Commit, decode_commits, verify_commit
from bpci_node.auction.commit_set import CommitSet
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.lines import Lines
from bpci_node.auction.lists import InclusionList
from bpci_node.auction.lists import sign_list as sign_inclusion_list
from bpci_node.auction.notary_book import MAX_SKEW_US, NotaryBook
from bpci_node.auction.outcome import Kind, decode_outcomes, outcomes_root
from bpci_node.auction.reveal import Reveal, decode_reveals
from bpci_node.auction.reveal_receipt import RevealList, sign_list
from bpci_node.auction.window import MAX_COMMITS, WindowId
from bpci_node.chain.committee import Committee
from bpci_node.errors import FormatError, NotFoundError, ProofError, RefusedError
from bpci_node.mempool.entry import Signed
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields
from bpci_node.runtime.auction_keys import AuctionKeys
from bpci_node.runtime.auction_messages import blob_of, commits_of, key_of, positions_of, slot_of, verify_proposal
from bpci_node.runtime.auction_peers import Answer, Peer
from bpci_node.runtime.committee_calls import tell
from bpci_node.runtime.inclusion import verify_inclusion, wished
from bpci_node.runtime.ledger_clock import LedgerClock
from bpci_node.runtime.public_pool import PublicPool
from bpci_node.runtime.reveal_desk import RevealDesk
from bpci_node.runtime.window_draft import (
    Carried,
    Forfeits,
    Proposal,
    Sealed,
    TargetChain,
    decode_carried,
    draft_header,
)
from bpci_node.store.auction_journal import CERTIFIED, FINAL, OPEN, VOID, AuctionJournal
from bpci_node.store.vote_guard import VoteGuard

KEPT_US = 60_000_000
"""How long after its seal phase a notary keeps a window of which it has heard nothing more."""

KeysOf = Callable[[str], tuple[bytes, ...]]
"""The current Ed25519 keys of an account."""


class Notary:
    """The notary of one seat in one epoch."""

    def __init__(
        self,
        epoch: AuctionEpoch,
        seat: int,
        *,
        keys: AuctionKeys,
        journal: AuctionJournal,
        guard: VoteGuard,
        clock: LedgerClock,
        chains: Mapping[str, TargetChain],
        pool: PublicPool,
        keys_of: KeysOf,
        forfeit: Forfeits,
        lines: Lines,
        refresh_lines: Callable[[NotaryBook], None],
        next_committee: Callable[[], Committee | None],
    ) -> None:
        """Begin an epoch, and take up what the journal has of it.

        Args:
            chains: of all targets; extended by final headers.
            pool: this node's public entries.
            lines: of the epoch; nothing is open yet.
            refresh_lines: opens the lines that the ledger has come to hold meanwhile.
            next_committee: of the next epoch, ``None`` while it is not known.
        """
        self.epoch, self.seat = epoch, seat
        self.book = NotaryBook(epoch, seat, lines)
        self.peers: Mapping[int, Peer] = {}
        self.reveals = RevealDesk(
            epoch, seat, book=self.book, node=keys.node, journal=journal, clock=clock, peers=lambda: self.peers
        )
        """Where bidders and other notaries bring reveals."""
        self._keys, self._journal, self._guard, self._clock = keys, journal, guard, clock
        self._chains, self._pool, self._keys_of, self._forfeit = chains, pool, keys_of, forfeit
        self._refresh_lines, self._next_committee = refresh_lines, next_committee
        self.on_wanted: Callable[[str], None] | None = None
        """At the coordinator: has a window of a target closed because entries wait for it elsewhere."""
        self._inclusions: dict[WindowId, tuple[InclusionList, list[bytes]] | None] = {}
        self._drafts: dict[WindowId, Sealed] = {}
        self._taking = asyncio.Lock()
        self._answers = {
            "sets": self._on_set,
            "certified": self._on_certified,
            "reveals": self.reveals.on_handed,
            "lists": self._on_lists,
            "headers": self._on_header,
            "final": self._on_final,
            "wanted": self._on_wanted,
        }
        refresh_lines(self.book)

    def restore(self) -> None:
        """Take up what the journal has of this epoch; the lines are open by now.

        Raises:
            BpciError: the journal does not fit together.
        """
        for stored in self._journal.windows_of(self.epoch.number):
            if stored.commit_set is None:
                continue
            rows = self._journal.commits(stored.key)
            commits = [commit for _, _, data in rows for commit in decode_commits(b"\x81" + data)]
            if stored.stage in (FINAL, VOID):
                for commit in commits:
                    self.book.lines.take(commit)
                continue
            commit_set = CommitSet.decode(stored.commit_set)
            self.book.restore_set(commit_set, commits)
            if stored.set_certificate is None:
                continue
            revealed = self.book.certify(commit_set)
            for _, _, data, _ in self._journal.reveals(stored.key):
                (reveal,) = decode_reveals(b"\x81" + data)
                self.book.restore_reveal(reveal, revealed.check(reveal))

    async def answer(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Answer one message of another validator.

        Raises:
            BpciError: why it is refused.
        """
        handler = self._answers.get(path)
        if handler is None:
            raise NotFoundError("a notary has no such message", code="format.path")
        return await handler(body)

    # Sets

    async def _on_set(self, body: Mapping[str, Any]) -> Answer:
        fields = Fields(dict(body), ("commit_set", "commits"), what="a set with its commits", code="seat.message")
        commit_set = CommitSet.decode(blob_of(fields, "commit_set"))
        commits = commits_of(fields)
        async with self._taking:
            digest = await asyncio.to_thread(self._take_set, commit_set, commits)
        phases = self.epoch.phases_of(commit_set.window)
        await asyncio.to_thread(self._guard.remember, slot_of("set", commit_set.window), digest, phases.closes_us)
        await self._keep_set(commit_set, commits)
        return {"vote": await asyncio.to_thread(self._keys.bls.sign, digest)}

    def _take_set(self, commit_set: CommitSet, commits: Sequence[Commit]) -> bytes:
        keys: dict[str, tuple[bytes, ...]] = {}

        def verify(commit: Commit) -> None:
            if commit.account not in keys:
                keys[commit.account] = self._keys_of(commit.account)
            verify_commit(commit, ledger_id=self.epoch.ledger_id, keys=keys[commit.account])

        try:
            return self.book.take_set(commit_set, commits, verify, self._clock.now_us())
        except RefusedError as error:
            if error.code not in ("commit.no_slot", "commit.signature"):
                raise
            # A line or a key may be in a block that came after this notary looked last.
            self._refresh_lines(self.book)
            keys.clear()
            return self.book.take_set(commit_set, commits, verify, self._clock.now_us())

    async def _keep_set(self, commit_set: CommitSet, commits: Sequence[Commit]) -> None:
        window = commit_set.window
        rows = [
            (key_of(window), window.first_seq + position, commit_set.closed_us, commit.encode())
            for position, commit in enumerate(commits)
        ]
        await asyncio.wrap_future(self._journal.add_commits(self.epoch.number, rows))
        await asyncio.wrap_future(
            self._journal.put_window(key_of(window), self.epoch.number, OPEN, commit_set=commit_set.encode())
        )

    async def _on_certified(self, body: Mapping[str, Any]) -> Answer:
        names = ("commit_set", "certificate", "commits")
        fields = Fields(dict(body), names, what="a certified set", code="seat.message")
        commit_set = CommitSet.decode(blob_of(fields, "commit_set"))
        certificate = Certificate.from_map(fields.raw("certificate"))
        await asyncio.to_thread(verify_certificate, self.epoch.committee, commit_set.digest(), certificate)
        try:
            self.book.certify(commit_set)
        except NotFoundError:
            if fields.is_null("commits"):
                raise
            # It was away when the set was closed; two thirds have looked at the commits.
            commits = commits_of(fields)
            await asyncio.to_thread(self._refresh_lines, self.book)
            self.book.restore_set(commit_set, commits)
            await self._keep_set(commit_set, commits)
            self.book.certify(commit_set)
        await asyncio.wrap_future(
            self._journal.put_window(
                key_of(commit_set.window),
                self.epoch.number,
                CERTIFIED,
                commit_set=commit_set.encode(),
                set_certificate=codec.encode(certificate.as_map()),
            )
        )
        return {}

    # Lists and headers

    async def _on_lists(self, body: Mapping[str, Any]) -> Answer:
        fields = Fields(dict(body), ("window", "held"), what="a wish for lists", code="seat.message")
        window = WindowId.from_list(fields.raw("window"))
        ends_us = self.epoch.phases_of(window).reveal_ends_us
        if 0 < ends_us - self._clock.now_us() <= MAX_SKEW_US:
            await self._clock.sleep_until(ends_us)
        bits = self.book.list_bits(window, self._clock.now_us())
        revealed = self.book.revealed(window)
        found = sign_list(
            self._keys.node,
            ledger_id=self.epoch.ledger_id,
            epoch=self.epoch.number,
            window=window,
            set_digest=revealed.digest,
            seat=self.seat,
            revealed=bits,
        )
        closes_us = self.epoch.phases_of(window).closes_us
        await asyncio.to_thread(self._guard.remember, slot_of("list", window), found.digest(), closes_us)
        held = set(positions_of(fields.raw("held")))
        wanted = [position for position in found.positions() if position not in held]
        inclusion = await self._inclusion(window)
        return {
            "list": found.encode(),
            "reveals": [reveal.as_map() for reveal in revealed.reveals_of(wanted)],
            "inclusion": None if inclusion is None else inclusion[0].encode(),
            "forced": [] if inclusion is None else inclusion[1],
        }

    async def _inclusion(self, window: WindowId) -> tuple[InclusionList, list[bytes]] | None:
        """Return this notary's inclusion list of a window with its entries, always the same; ``None`` without any."""
        if window not in self._inclusions:
            wishes = sorted(await wished(self._pool, self.epoch, window), key=lambda tx: tx.txid)
            self._inclusions.setdefault(window, await asyncio.to_thread(self._sign_inclusion, window, wishes))
        return self._inclusions[window]

    def _sign_inclusion(self, window: WindowId, wishes: Sequence[Signed]) -> tuple[InclusionList, list[bytes]] | None:
        if not wishes:
            return None
        txids = tuple(tx.txid for tx in wishes)
        unsigned = InclusionList(self.epoch.ledger_id, self.epoch.number, window, self.seat, txids)
        closes_us = self.epoch.phases_of(window).closes_us
        try:
            self._guard.remember(slot_of("inclusion", window), unsigned.digest(), closes_us)
        except RefusedError:
            return None  # another one was signed before a crash
        return sign_inclusion_list(self._keys.node, unsigned), [tx.raw for tx in wishes]

    async def _on_header(self, body: Mapping[str, Any]) -> Answer:
        names = ("header", "lists", "reveals", "proposal", "signature")
        fields = Fields(dict(body), names, what="a proposed header", code="seat.message")
        header = AuctionHeader.decode(blob_of(fields, "header"))
        verify_proposal(self.epoch.committee.coordinator.node_key, header, blob_of(fields, "signature"))
        window = header.window
        lists = [RevealList.decode(item) for item in fields.items("lists", len(self.epoch.committee.seats))]
        reveals = [Reveal.from_map(item) for item in fields.items("reveals", MAX_COMMITS)]
        proposal = Proposal.from_map(fields.raw("proposal"))
        digest = await asyncio.to_thread(self._check_header, header, lists, reveals, proposal)
        now = self._clock.now_us()
        self.book.vote(window, digest, now)
        closes_us = self.epoch.phases_of(window).closes_us
        await asyncio.to_thread(self._guard.remember, slot_of("header", window), digest, closes_us)
        return {"vote": await asyncio.to_thread(self._keys.bls.sign, digest)}

    def _check_header(
        self, header: AuctionHeader, lists: Sequence[RevealList], reveals: Sequence[Reveal], proposal: Proposal
    ) -> bytes:
        """Make the header again from what is here, and return its digest if it is the same."""
        window, now = header.window, self._clock.now_us()
        revealed = self.book.revealed(window)
        for reveal in reveals:
            if not revealed.is_held(reveal.commit_id):
                revealed.hold(reveal, revealed.check(reveal))
        self.book.check_lists(window, lists)
        for item in proposal.inclusions:
            verify_inclusion(self.epoch, window, item)
        own = self._inclusions.get(window)
        if own is not None and own[0] not in proposal.inclusions:
            raise RefusedError("the proposal leaves this notary's inclusion list out", code="list.left_out")
        phases = self.epoch.phases_of(window)
        if not phases.reveal_ends_us <= header.time_us <= min(phases.seal_ends_us, now + MAX_SKEW_US):
            raise RefusedError("the header's time is not within its seal phase", code="window.phase")
        # Whether it is named is the coordinator's choice: its copy of the ledger may be ahead of this one, or behind.
        following = None if header.next_committee is None else self._next_committee()
        sealed = draft_header(
            self.epoch,
            revealed,
            self._chains[window.target],
            proposal,
            seats=sorted(item.seat for item in lists),
            time_us=header.time_us,
            next_committee=following,
            forfeit=self._forfeit,
        )
        digest = sealed.draft.header.digest()
        if digest != header.digest():
            differing = [name for name, value in header.as_map().items() if value != sealed.draft.header.as_map()[name]]
            raise RefusedError(
                f"this notary's own header differs in {', '.join(differing)}", code="seat.header", differing=differing
            )
        self._drafts[window] = sealed
        return digest

    async def _on_final(self, body: Mapping[str, Any]) -> Answer:
        names = ("header", "certificate", "outcomes", "carried")
        fields = Fields(dict(body), names, what="a final header", code="seat.message")
        header = AuctionHeader.decode(blob_of(fields, "header"))
        certificate = Certificate.from_map(fields.raw("certificate"))
        carried = await asyncio.to_thread(self._verify_final, header, certificate, fields)
        await self.take_final(header, certificate, carried)
        return {}

    def _verify_final(self, header: AuctionHeader, certificate: Certificate, fields: Fields) -> tuple[Carried, ...]:
        verify_certificate(self.epoch.committee, header.digest(), certificate)
        outcomes = decode_outcomes(blob_of(fields, "outcomes"))
        if outcomes_root(outcomes) != header.outcomes_root:
            raise ProofError("the outcomes are not those of the header", code="outcome.format")
        items = fields.items("carried", MAX_COMMITS)
        if any(type(item) is not bytes for item in items):
            raise FormatError("a carried entry is a byte string", code="seat.message")
        carried = tuple(decode_carried(item, self.epoch) for item in items)
        kept = [outcome.commit_id for outcome in outcomes if outcome.kind is Kind.CARRIED]
        if [item.commit.commit_id for item in carried] != kept:
            raise ProofError("the carried entries are not those of the outcomes", code="outcome.format")
        with suppress(NotFoundError, RefusedError):  # a window at which this notary was away
            positions, first = self.book.revealed(header.window).positions, header.window.first_seq
            if any(item.seq != first + positions.get(item.commit.commit_id, -1) for item in carried):
                raise ProofError("a carried entry has another arrival than in its set", code="outcome.format")
        return carried

    async def take_final(self, header: AuctionHeader, certificate: Certificate, carried: Sequence[Carried]) -> None:
        """Put a header that is final at the end of its target's chain, and let go of its window."""
        chain = self._chains[header.target]
        if header.sequence > chain.sequence:
            chain.extend(header, carried)
            await asyncio.wrap_future(
                self._journal.put_window(
                    key_of(header.window),
                    header.epoch,
                    FINAL,
                    header=header.encode(),
                    certificate=codec.encode(certificate.as_map()),
                    carried=[item.encode() for item in carried],
                )
            )
        draft = self._drafts.pop(header.window, None)
        if draft is not None and draft.draft.header == header:
            self._pool.won(header.target, [item.entry.transaction for item in draft.draft.selection.winners])
        self._forget(header.window)

    def forget_old(self) -> None:
        """Let go of windows whose seal phase ended a while ago: nobody tells a notary that one is void."""
        for window in self.book.ended_before(self._clock.now_us() - KEPT_US):
            self._forget(window)

    def _forget(self, window: WindowId) -> None:
        self.book.forget(window)
        self._inclusions.pop(window, None)
        self._drafts.pop(window, None)

    async def wish(self) -> None:
        """Tell the coordinator for which targets entries wait here, so that it closes a window for them."""
        for target in self.epoch.terms:
            if self._pool.waiting(target):
                await tell(self.peers[0], "wanted", {"target": target})

    async def _on_wanted(self, body: Mapping[str, Any]) -> Answer:
        fields = Fields(dict(body), ("target",), what="a wish for a window", code="seat.message")
        target = fields.raw("target")
        if self.on_wanted is not None and type(target) is str:
            self.on_wanted(target)
        return {}
