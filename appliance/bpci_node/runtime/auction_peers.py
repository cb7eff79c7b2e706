"""The other validators of a committee, as one of them reaches them: threads of their own for each, short times.

A peer that is down costs one refused connection, one that hangs costs its own threads; neither holds up the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from bpci_node.errors import BpciError, UnreachableError
from bpci_node.network.auction_client import AuctionClient

PEER_SECONDS = 3.0
"""Time that one message to a validator may take."""
_THREADS = 4

Answer = dict[str, Any]


class Peer(Protocol):
    """One validator of the committee."""

    async def ask(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Send a message and return the answer.

        Raises:
            BpciError: the validator's reason for refusing, or it could not be reached.
        """
        ...


class OwnSeat:
    """This validator's own notary, without a wire."""

    def __init__(self, answer: Callable[[str, Mapping[str, Any]], Awaitable[Answer]]) -> None:
        self._answer = answer

    async def ask(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Hand a message over."""
        return await self._answer(path, body)


class RemoteSeat:
    """A validator elsewhere."""

    def __init__(self, urls: Sequence[str], epoch: int) -> None:
        """Take the base URLs that its registration names; nothing is sent yet.

        Args:
            epoch: of what is asked.
        """
        self._epoch = epoch
        self._clients = [AuctionClient(url, timeout_seconds=PEER_SECONDS) for url in urls]
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="auction-peer")

    async def ask(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Send a message to the first of its addresses that answers."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, path, body)

    def _ask(self, path: str, body: Mapping[str, Any]) -> Answer:
        failure: UnreachableError | None = None
        for client in self._clients:
            try:
                return client.ask(path, {"epoch": self._epoch, **body})
            except UnreachableError as error:
                failure = error
        raise failure or UnreachableError("its registration names no address", code="unreachable.peer")

    def close(self) -> None:
        """Close the connections; what is under way fails."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client in self._clients:
            client.close()


async def ask_all(
    peers: Mapping[int, Peer],
    path: str,
    body_of: Callable[[int], Mapping[str, Any]],
    *,
    timeout_seconds: float,
    take: Callable[[int, Answer | BpciError], bool],
) -> None:
    """Ask every seat at once, until ``take`` says that it is enough, all have answered, or the time is over.

    Args:
        body_of: the message for a seat.
        take: gets each answer, or error, as it comes.
    """

    async def one(seat: int) -> tuple[int, Answer | BpciError]:
        try:
            return seat, await peers[seat].ask(path, body_of(seat))
        except BpciError as error:
            return seat, error

    tasks = [asyncio.create_task(one(seat)) for seat in peers]
    try:
        for next_one in asyncio.as_completed(tasks, timeout=max(0.0, timeout_seconds)):
            seat, answer = await next_one
            if take(seat, answer):
                break
    except TimeoutError:
        pass
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
