"""A coordinator at work: one epoch's windows, from commits to final headers.

What it signs is first remembered by the guard of votes; what it acknowledges is first in the journal. A crash in any
phase loses nothing that was acknowledged: the journal is played again, phases that are over by then end as void, and a
header that was final is proved and settled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.certificate import Certificate
from bpci_node.auction.commit import Commit, decode_commits, encode_commits, verify_commit
from bpci_node.auction.commit_receipt import Arrival, issue_commit_receipts
from bpci_node.auction.commit_set import CommitSet, sign_set
from bpci_node.auction.coordinator_book import CoordinatorBook, Due, Duty
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.lines import Lines
from bpci_node.auction.window import WindowId, window_at
from bpci_node.chain.committee import Committee
from bpci_node.errors import BpciError, RefusedError
from bpci_node.primitives import codec
from bpci_node.runtime.auction_keys import AuctionKeys
from bpci_node.runtime.auction_messages import key_of, slot_of
from bpci_node.runtime.auction_peers import Peer
from bpci_node.runtime.committee_calls import CommitteeCalls, tell
from bpci_node.runtime.ledger_clock import Jitter, LedgerClock
from bpci_node.runtime.notary import KeysOf
from bpci_node.runtime.public_pool import PublicPool
from bpci_node.runtime.stored_proposal import StoredProposal, hold, stored_reveals
from bpci_node.runtime.window_draft import Forfeits, TargetChain, handover_window
from bpci_node.runtime.window_sealer import OnFinal, WindowSealer
from bpci_node.store.auction_journal import CERTIFIED, FINAL, OPEN, VOID, AuctionJournal
from bpci_node.store.vote_guard import VoteGuard

log = logging.getLogger("bpci.auction")

WANT_US = 500_000
"""How often a window is wanted for what waits without a bid of its own."""


class Coordinator:
    """The coordinator of one epoch."""

    def __init__(
        self,
        epoch: AuctionEpoch,
        *,
        keys: AuctionKeys,
        journal: AuctionJournal,
        guard: VoteGuard,
        clock: LedgerClock,
        jitter: Jitter,
        capacity: Mapping[int, int],
        peers: Mapping[int, Peer],
        chains: Mapping[str, TargetChain],
        pool: PublicPool,
        keys_of: KeysOf,
        forfeit: Forfeits,
        lines: Lines,
        next_committee: Callable[[], Committee | None],
        on_final: OnFinal,
        has_predecessor: bool,
        is_closed: Callable[[], bool],
    ) -> None:
        """Begin an epoch.

        Args:
            capacity: commits that a window takes, by class.
            peers: every seat, this validator's own among them.
            chains: of all targets; extended by final headers.
            pool: this node's public entries.
            lines: of the epoch; what the ledger has reserved is open.
            next_committee: of the next epoch, ``None`` while it is not known.
            has_predecessor: whether the epoch before had a committee, whose last headers come before the first here.
            is_closed: whether the node is about to be stopped, so that no window is opened any more.
        """
        self.epoch = epoch
        self.book: CoordinatorBook[Certificate] = CoordinatorBook(epoch, keys.node.public_key, capacity, lines)
        self._keys, self._journal, self._guard, self._clock, self._jitter = keys, journal, guard, clock, jitter
        self._keys_of, self._chains, self._pool = keys_of, chains, pool
        self._calls = CommitteeCalls(epoch.committee, peers, clock)
        self._sealer = WindowSealer(
            epoch,
            book=self.book,
            calls=self._calls,
            journal=journal,
            clock=clock,
            chains=chains,
            pool=pool,
            signer=keys.node,
            forfeit=forfeit,
            next_committee=next_committee,
            on_final=on_final,
            has_predecessor=has_predecessor,
        )
        self._wake = asyncio.Event()
        self._restored: list[tuple[CommitSet, tuple[Commit, ...]]] = []
        self._wanted_us: dict[str, int] = {}
        self._running: set[asyncio.Task[None]] = set()
        self.voids = 0
        """Windows that ended as void since this epoch began here."""
        self.taking = 0
        """Batches of commits that are being taken in, and not all in the journal yet."""
        self._is_closed = is_closed

    def restore(self) -> None:
        """Take up what the journal has of this epoch, before :meth:`run`; the lines are open by now.

        Raises:
            BpciError: the journal does not fit together.
        """
        for stored in self._journal.windows_of(self.epoch.number):
            window = WindowId(*stored.key)
            rows = self._journal.commits(stored.key)
            commits = tuple(commit for _, _, data in rows for commit in decode_commits(b"\x81" + data))
            if stored.stage in (FINAL, VOID):
                for commit in commits:
                    self.book.lines.take(commit)
                continue
            for commit in commits:
                self.book.restore_commit(commit)
            if stored.commit_set is None:
                continue
            commit_set = CommitSet.decode(stored.commit_set)
            self.book.restore_set(commit_set)
            proposal = self._journal.proposal(stored.key)
            if stored.header is not None and proposal is not None:
                self._sealer.stored[window] = StoredProposal.decode(proposal)
                self._sealer.times[window] = AuctionHeader.decode(stored.header).time_us
            if stored.set_certificate is None:
                self._restored.append((commit_set, commits))
            else:
                certificate = Certificate.from_map(codec.decode(stored.set_certificate))
                # It was certified in time, whatever time it is now.
                revealed = self.book.certify(commit_set, certificate, self.epoch.phases_of(window).closes_us)
                hold(revealed, stored_reveals(self._journal, stored))

    # Commits

    def require_open(self) -> None:
        """Check that windows are opened still.

        Raises:
            RefusedError: the node is about to be restarted (``seat.draining``).
        """
        if self._is_closed():
            raise RefusedError(
                "the coordinator is about to be restarted and opens no more windows",
                code="seat.draining",
                hint="Commit to a window of the next epoch.",
            )

    async def commit(self, batch: bytes) -> list[bytes | BpciError]:
        """Take a batch of commits in; return for each its receipt, encoded, or why it is refused.

        Raises:
            BpciError: not a batch of commits.
        """
        self.require_open()
        self.taking += 1
        try:
            return await self._take(decode_commits(batch))
        finally:
            self.taking -= 1

    async def _take(self, commits: list[Commit]) -> list[bytes | BpciError]:
        now = self._clock.now_us()
        results: list[bytes | BpciError] = [b""] * len(commits)
        checked: list[tuple[int, Commit]] = []
        for position, commit in enumerate(commits):
            try:
                self.book.check(commit, now)
            except BpciError as error:
                results[position] = error
            else:
                checked.append((position, commit))
        refused = await asyncio.to_thread(self._verify, [commit for _, commit in checked])
        taken: list[tuple[int, Arrival]] = []
        now = self._clock.now_us()
        for (position, commit), refusal in zip(checked, refused, strict=True):
            try:
                if refusal is not None:
                    raise refusal
                taken.append((position, self.book.accept(commit, now)))
            except BpciError as found:
                results[position] = found
        if taken:
            self._wake.set()
            rows = [(key_of(item.commit.window), item.seq, now, item.commit.encode()) for _, item in taken]
            await asyncio.wrap_future(self._journal.add_commits(self.epoch.number, rows))
            receipts = await asyncio.to_thread(
                issue_commit_receipts,
                self._keys.node,
                self.epoch.ledger_id,
                self.epoch.number,
                [item for _, item in taken],
            )
            for (position, _), receipt in zip(taken, receipts, strict=True):
                results[position] = receipt.encode()
        return results

    def _verify(self, commits: list[Commit]) -> list[BpciError | None]:
        keys: dict[str, tuple[bytes, ...]] = {}
        found: list[BpciError | None] = []
        for commit in commits:
            if commit.account not in keys:
                keys[commit.account] = self._keys_of(commit.account)
            try:
                verify_commit(commit, ledger_id=self.epoch.ledger_id, keys=keys[commit.account])
            except BpciError as error:
                found.append(error)
            else:
                found.append(None)
        return found

    # Phases

    async def run(self) -> None:
        """Do what falls due, until the epoch's last window is over."""
        for target in self.epoch.terms:
            with suppress(BpciError):
                self.book.want(handover_window(self.epoch, target), self._clock.now_us())
        for commit_set, commits in self._restored:
            self._start(self._guarded(commit_set.window, self.certify(commit_set, commits)))
        try:
            while True:
                next_us = self.book.next_us()
                if next_us is None:
                    if self._clock.now_us() >= self.epoch.ends_us and not self._running:
                        return
                    next_us = self._clock.now_us() + 100_000
                await self._wait(next_us)
                self.start_due()
        finally:
            for task in list(self._running):
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def start_due(self) -> list[asyncio.Task[None]]:
        """Begin what is due by now, each window by itself."""
        now = self._clock.now_us()
        expected_us = self.book.next_us() or now
        self._want_what_waits(now)
        tasks = []
        for due in self.book.due(now):
            self._jitter.note(due.window.qlock_ms, max(0, now - expected_us))
            tasks.append(self._start(self._guarded(due.window, self._do(due))))
        return tasks

    def want(self, target: str) -> None:
        """Have the next window of a target closed even without commits, because public or carried entries wait.

        At most one in :data:`WANT_US`, and of the longest class: hidden bids open windows by themselves.
        """
        now = self._clock.now_us()
        if (
            self._is_closed()
            or target not in self.epoch.terms
            or now < self._wanted_us.get(target, 0)
            or now >= self.epoch.ends_us
        ):
            return
        window = window_at(target, self.epoch.terms[target].classes[-1], max(now, self.epoch.begins_us))
        with suppress(BpciError):
            self.book.want(window, now)
            self._wanted_us[target] = now + WANT_US
            self._wake.set()

    def _want_what_waits(self, now_us: int) -> None:
        if now_us >= self.epoch.begins_us:
            for target in self.epoch.terms:
                if self._pool.waiting(target) or self._chains[target].carried:
                    self.want(target)

    async def _wait(self, time_us: int) -> None:
        """Wait until a time, or until a commit opens a window that is due earlier."""
        while (left := time_us - self._clock.now_us()) > 0:
            self._wake.clear()
            if (earlier := self.book.next_us()) is not None and earlier < time_us:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left / 1_000_000):
                    await self._wake.wait()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _guarded(self, window: WindowId, work: Awaitable[None]) -> None:
        """Let no window's failure touch another."""
        try:
            await work
        except BpciError as error:
            log.warning("window %s: %s: %s", window.as_list(), error.code, error.message)
        except Exception:
            log.exception("window %s failed", window.as_list())

    async def _do(self, due: Due) -> None:
        match due.duty:
            case Duty.CLOSE if due.draft is not None:
                await self._close(due, due.draft)
            case Duty.PROPOSE:
                await self._sealer.seal(due.window)
            case _:
                await self._void(due.window, len(due.commits))

    async def _close(self, due: Due, draft: CommitSet) -> None:
        """Sign a window's set, and have the notaries countersign it."""
        digest, phases = draft.digest(), self.epoch.phases_of(due.window)
        await asyncio.to_thread(self._guard.remember, slot_of("own set", due.window), digest, phases.closes_us)
        commit_set = await asyncio.to_thread(sign_set, self._keys.node, draft)
        await asyncio.wrap_future(
            self._journal.put_window(key_of(due.window), self.epoch.number, OPEN, commit_set=commit_set.encode())
        )
        await self.certify(commit_set, due.commits)

    async def certify(self, commit_set: CommitSet, commits: tuple[Commit, ...]) -> None:
        """Ask the notaries to countersign a set, and publish it when enough of them have.

        Raises:
            RefusedError: too late (``window.void``).
            BpciError: the journal failed.
        """
        window, phases = commit_set.window, self.epoch.phases_of(commit_set.window)
        body = {"commit_set": commit_set.encode(), "commits": encode_commits(commits)}
        certificate = await self._calls.gather(
            "sets", lambda _: body, commit_set.digest(), until_us=phases.reveal_ends_us
        )
        if certificate is None:
            log.warning("window %s: its set got no certificate", window.as_list())
            return
        self.book.certify(commit_set, certificate, self._clock.now_us())
        encoded = codec.encode(certificate.as_map())
        event = codec.encode(
            {
                "window": window.as_list(),
                "epoch": self.epoch.number,
                "commit_set": commit_set.encode(),
                "certificate": certificate.as_map(),
            }
        )
        await asyncio.wrap_future(
            self._journal.put_window(
                key_of(window),
                self.epoch.number,
                CERTIFIED,
                commit_set=commit_set.encode(),
                set_certificate=encoded,
                event=("set", event) if commits else None,
            )
        )
        certified = {"commit_set": commit_set.encode(), "certificate": certificate.as_map(), "commits": None}
        whole = certified | {"commits": body["commits"]}
        told = self._sealer.told[window] = asyncio.Event()
        try:
            peers = self._calls.peers.values()
            await asyncio.gather(*(tell(peer, "certified", certified, whole) for peer in peers))
        finally:
            told.set()

    async def _void(self, window: WindowId, commits: int) -> None:
        """Say that a window is void: its bonds go back, its entries are dropped; not where it had no commits."""
        event = None
        if commits:
            self.voids += 1
            log.warning("window %s is void, with %d commits", window.as_list(), commits)
            event = codec.encode({"window": window.as_list(), "epoch": self.epoch.number, "commits": commits})
        await asyncio.wrap_future(
            self._journal.put_window(
                key_of(window), self.epoch.number, VOID, event=None if event is None else ("void", event)
            )
        )
        self.book.forget(window)
        self._sealer.forget(window)
