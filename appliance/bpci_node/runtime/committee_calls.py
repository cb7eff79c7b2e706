"""What a coordinator says to its committee: a question that all seats vote on, and news that they are told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from bpci_node.auction.certificate import Certificate, count_votes
from bpci_node.chain.committee import Committee
from bpci_node.errors import BpciError
from bpci_node.runtime.auction_peers import Answer, Peer, ask_all
from bpci_node.runtime.ledger_clock import LedgerClock

log = logging.getLogger("bpci.auction")


class CommitteeCalls:
    """Reaches every seat of one committee, this validator's own among them."""

    def __init__(self, committee: Committee, peers: Mapping[int, Peer], clock: LedgerClock) -> None:
        self._committee, self.peers, self._clock = committee, peers, clock

    async def gather(
        self, path: str, body_of: Callable[[int], Mapping[str, Any]], digest: bytes, *, until_us: int
    ) -> Certificate | None:
        """Collect votes for a digest until they make a certificate, ``None`` if they don't in time.

        Args:
            body_of: the message for a seat.
        """
        votes: dict[int, bytes] = {}
        found: list[Certificate] = []

        def take(seat: int, answer: Answer | BpciError) -> bool:
            if isinstance(answer, BpciError):
                log.info("seat %d gave no vote: %s: %s", seat, answer.code, answer.message)
                return False
            vote = answer.get("vote")
            if not isinstance(vote, bytes):
                return False
            votes[seat] = vote
            if not self._committee.is_majority(self._committee.weight_of(votes)):
                return False
            count = count_votes(self._committee, digest, votes)
            for refused in count.refused:
                log.warning("seat %d voted for something else", refused)
                del votes[refused]
            if count.certificate is not None:
                found.append(count.certificate)
            return bool(found)

        await self.ask(path, body_of, until_us=until_us, take=take)
        return found[0] if found else None

    async def ask(
        self,
        path: str,
        body_of: Callable[[int], Mapping[str, Any]],
        *,
        until_us: int,
        take: Callable[[int, Answer | BpciError], bool],
    ) -> None:
        """Ask every seat at once, until ``take`` says that it is enough, all have answered, or the time is over."""
        seconds = (until_us - self._clock.now_us()) / 1_000_000
        await ask_all(self.peers, path, body_of, timeout_seconds=seconds, take=take)


async def tell(peer: Peer, path: str, body: Mapping[str, Any], whole: Mapping[str, Any] | None = None) -> None:
    """Tell a notary something, and more of it if it turns out to know less."""
    try:
        await peer.ask(path, body)
    except BpciError as error:
        if error.code != "window.unknown" or whole is None:
            return
        with suppress(BpciError):
            await peer.ask(path, whole)
