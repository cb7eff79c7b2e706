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
from bpci_node.auction.certificate import Certificate, count_votes
from bpci_node.auction.commit import Commit, decode_commits, encode_commits, verify_commit
from bpci_node.auction.commit_receipt import Arrival, issue_commit_receipts
from bpci_node.auction.commit_set import CommitSet, sign_set
from bpci_node.auction.coordinator_book import CoordinatorBook, Due, Duty, Stage
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.reveal import Reveal
from bpci_node.auction.reveal_receipt import RevealList, bits_of
from bpci_node.auction.revealed_window import RevealedWindow
from bpci_node.auction.window import WindowId
from bpci_node.chain.committee import Committee
from bpci_node.errors import BpciError, RefusedError
from bpci_node.primitives import codec
from bpci_node.runtime.auction_keys import AuctionKeys
from bpci_node.runtime.auction_messages import key_of, sign_proposal, slot_of
from bpci_node.runtime.auction_peers import Answer, Peer, ask_all
from bpci_node.runtime.ledger_clock import Jitter, LedgerClock
from bpci_node.runtime.notary import KeysOf
from bpci_node.runtime.window_draft import (
    Forfeits,
    Proposal,
    Sealed,
    TargetChain,
    draft_header,
    handover_window,
)
from bpci_node.store.auction_journal import CERTIFIED, FINAL, OPEN, PROPOSED, STAGES, VOID, AuctionJournal
from bpci_node.store.vote_guard import VoteGuard

log = logging.getLogger("bpci.auction")

LIST_SHARE = 3
"""Of the seal phase, one part in so many is spent on waiting for lists."""

OnFinal = Callable[[Sealed, Certificate], Awaitable[None]]
"""What happens to a window after its header is final: proofs, the bundle, the settlement."""


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
        keys_of: KeysOf,
        forfeit: Forfeits,
        next_committee: Callable[[], Committee | None],
        on_final: OnFinal,
        has_predecessor: bool,
    ) -> None:
        """Begin an epoch.

        Args:
            capacity: commits that a window takes, by class.
            peers: every seat, this validator's own among them.
            chains: of all targets; extended by final headers.
            next_committee: of the next epoch, ``None`` while it is not known.
            has_predecessor: whether the epoch before had a committee, whose last headers come before the first here.
        """
        self.epoch = epoch
        self._has_predecessor = has_predecessor
        self.book: CoordinatorBook[Certificate] = CoordinatorBook(epoch, keys.node.public_key, capacity)
        self._keys, self._journal, self._guard, self._clock, self._jitter = keys, journal, guard, clock, jitter
        self._peers, self._chains, self._keys_of, self._forfeit = peers, chains, keys_of, forfeit
        self._next_committee, self._on_final = next_committee, on_final
        self._wake = asyncio.Event()
        self._sealing = {target: asyncio.Lock() for target in epoch.terms}
        self._restored: list[tuple[CommitSet, tuple[Commit, ...]]] = []
        self._proposed: dict[WindowId, int] = {}
        self._told: dict[WindowId, asyncio.Event] = {}
        self._running: set[asyncio.Task[None]] = set()
        self.voids = 0
        """Windows that ended as void since this epoch began here."""

    def restore(self) -> None:
        """Take up what the journal has of this epoch, before :meth:`run`; the lines are open by now.

        Raises:
            BpciError: the journal does not fit together.
        """
        for stored in self._journal.windows(*STAGES):
            if stored.epoch != self.epoch.number:
                continue
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
            if stored.header is not None:
                self._proposed[window] = AuctionHeader.decode(stored.header).time_us
            if stored.set_certificate is None:
                self._restored.append((commit_set, commits))
            else:
                certificate = Certificate.from_map(codec.decode(stored.set_certificate))
                with suppress(RefusedError):
                    self.book.certify(commit_set, certificate, self._clock.now_us())

    # Commits

    async def commit(self, batch: bytes) -> list[bytes | BpciError]:
        """Take a batch of commits in; return for each its receipt, encoded, or why it is refused.

        Raises:
            BpciError: not a batch of commits.
        """
        commits = decode_commits(batch)
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
                now = self._clock.now_us()
                for due in self.book.due(now):
                    self._jitter.note(due.window.qlock_ms, max(0, now - next_us))
                    self._start(self._guarded(due.window, self._do(due)))
        finally:
            for task in list(self._running):
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _wait(self, time_us: int) -> None:
        """Wait until a time, or until a commit opens a window that is due earlier."""
        while (left := time_us - self._clock.now_us()) > 0:
            self._wake.clear()
            if (earlier := self.book.next_us()) is not None and earlier < time_us:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left / 1_000_000):
                    await self._wake.wait()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

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
                await self._propose(due.window)
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
        certificate = await self._gather("sets", lambda _: body, commit_set.digest(), until_us=phases.reveal_ends_us)
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
                event=("set", event),
            )
        )
        certified = {"commit_set": commit_set.encode(), "certificate": certificate.as_map(), "commits": None}
        whole = certified | {"commits": body["commits"]}
        told = self._told[window] = asyncio.Event()
        try:
            await asyncio.gather(*(self._tell(peer, "certified", certified, whole) for peer in self._peers.values()))
        finally:
            told.set()

    async def _tell(self, peer: Peer, path: str, body: Mapping[str, Any], whole: Mapping[str, Any]) -> None:
        """Tell a notary something, and more of it if it turns out to know less."""
        try:
            await peer.ask(path, body)
        except BpciError as error:
            if error.code != "window.unknown":
                return
            with suppress(BpciError):
                await peer.ask(path, whole)

    async def _gather(
        self, path: str, body_of: Callable[[int], Mapping[str, Any]], digest: bytes, *, until_us: int
    ) -> Certificate | None:
        """Collect votes for a digest until they make a certificate, ``None`` if they don't in time."""
        votes: dict[int, bytes] = {}
        found: list[Certificate] = []
        committee = self.epoch.committee

        def take(seat: int, answer: Answer | BpciError) -> bool:
            if isinstance(answer, BpciError):
                log.info("seat %d gave no vote: %s: %s", seat, answer.code, answer.message)
                return False
            vote = answer.get("vote")
            if not isinstance(vote, bytes):
                return False
            votes[seat] = vote
            if not committee.is_majority(committee.weight_of(votes)):
                return False
            count = count_votes(committee, digest, votes)
            for refused in count.refused:
                log.warning("seat %d voted for something else", refused)
                del votes[refused]
            if count.certificate is not None:
                found.append(count.certificate)
            return bool(found)

        seconds = (until_us - self._clock.now_us()) / 1_000_000
        await ask_all(self._peers, path, body_of, timeout_seconds=seconds, take=take)
        return found[0] if found else None

    # Sealing

    async def _propose(self, window: WindowId) -> None:
        """Bring a window to its final header; windows of one target follow one another."""
        async with self._sealing[window.target]:
            is_handover = window == handover_window(self.epoch, window.target)
            if is_handover:
                await self._wait_for_others(window)
            await self._wait_for_predecessor(window)
            revealed = self.book.revealed(window)
            lists = await self._collect_lists(window, revealed)
            # Who comes back after a crash proposes the same header again, as far as the same lists come.
            now = self._proposed.get(window) or self._clock.now_us()
            proposal = Proposal()
            sealed = await asyncio.to_thread(
                draft_header,
                self.epoch,
                revealed,
                self._chains[window.target],
                proposal,
                seats=[item.seat for item in lists],
                time_us=now,
                next_committee=self._next_committee() if is_handover else None,
                forfeit=self._forfeit,
            )
            header = sealed.draft.header
            if is_handover and not header.commits and header.next_committee is None and not header.candidates:
                return
            await asyncio.wrap_future(
                self._journal.put_window(key_of(window), self.epoch.number, PROPOSED, header=header.encode())
            )
            signature = await asyncio.to_thread(sign_proposal, self._keys.node, header)
            certificate = await self._gather(
                "headers",
                lambda seat: _proposal_for(seat, header.encode(), lists, revealed, proposal) | {"signature": signature},
                header.digest(),
                until_us=self.epoch.phases_of(window).seal_ends_us,
            )
            if certificate is None:
                log.warning("window %s: its header got no certificate", window.as_list())
                return
            self.book.finish(window, self._clock.now_us())
            await self._publish(sealed, certificate)

    async def _wait_for_others(self, window: WindowId) -> None:
        """The handover comes last: wait until every other window of the target is final or void."""
        ends_us = self.epoch.phases_of(window).seal_ends_us
        while self._clock.now_us() < ends_us - (ends_us - self.epoch.phases_of(window).reveal_ends_us) // LIST_SHARE:
            others = [
                name
                for name in self.book.open_windows()
                if name.target == window.target and name != window and self.book.stage(name) is Stage.CERTIFIED
            ]
            if not others:
                return
            self._sealing[window.target].release()
            await asyncio.sleep(0.005)
            await self._sealing[window.target].acquire()

    async def _wait_for_predecessor(self, window: WindowId) -> None:
        """Wait until the committee before has handed the target over, or can't any more."""
        chain, terms = self._chains[window.target], self.epoch.terms[window.target]
        until_us = self.epoch.begins_us + (terms.reveal_ms + terms.seal_ms) * 1000
        while self._has_predecessor and chain.epoch < self.epoch.number and self._clock.now_us() < until_us:
            if chain.header is not None and chain.header.next_committee is not None:
                return
            await asyncio.sleep(0.002)

    async def _collect_lists(self, window: WindowId, revealed: RevealedWindow) -> list[RevealList]:
        """Ask the notaries for their lists, and for what they name and this validator has not."""
        held = [position for name, position in revealed.positions.items() if revealed.is_held(name)]
        body = {"window": window.as_list(), "held": bits_of(held, revealed.set.count)}
        phases = self.epoch.phases_of(window)
        seconds = (phases.seal_ends_us - phases.reveal_ends_us) / LIST_SHARE / 1_000_000
        told = self._told.pop(window, None)
        if told is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), seconds / 2)
        answers: list[Answer] = []

        def take(seat: int, answer: Answer | BpciError) -> bool:
            if isinstance(answer, BpciError):
                log.info("seat %d gave no list: %s", seat, answer.code)
            else:
                answers.append(answer)
            return False

        await ask_all(self._peers, "lists", lambda _: body, timeout_seconds=seconds, take=take)
        await asyncio.to_thread(_take_lists, answers, revealed)
        return list(revealed.lists)

    async def _publish(self, sealed: Sealed, certificate: Certificate) -> None:
        """Make a final header known: to the journal, the committee, subscribers; then to what follows."""
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
        body = {
            "header": header.encode(),
            "certificate": certificate.as_map(),
            "outcomes": sealed.encoded_outcomes,
            "carried": carried,
        }
        await asyncio.gather(*(self._tell(peer, "final", body, body) for peer in self._peers.values()))
        await self._on_final(sealed, certificate)

    async def _void(self, window: WindowId, commits: int) -> None:
        """Say that a window is void: its bonds go back, its entries are dropped."""
        self.voids += 1
        log.warning("window %s is void, with %d commits", window.as_list(), commits)
        event = codec.encode({"window": window.as_list(), "epoch": self.epoch.number, "commits": commits})
        await asyncio.wrap_future(
            self._journal.put_window(key_of(window), self.epoch.number, VOID, event=("void", event))
        )


def _take_lists(answers: list[Answer], revealed: RevealedWindow) -> None:
    """Take lists in, and the reveals that came with them; a notary that answers nonsense counts as silent."""
    for answer in answers:
        try:
            found = RevealList.decode(answer["list"])
            for item in answer["reveals"]:
                reveal = Reveal.from_map(item)
                if not revealed.is_held(reveal.commit_id):
                    revealed.hold(reveal, revealed.check(reveal))
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
