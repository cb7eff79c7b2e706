"""What senders have on a target chain, asked over the JSON-RPC of a node of that chain.

Answers are kept for a moment, because a sender's entries come in bunches; :meth:`ChainRpc.forget` throws them away.
Nothing that the node answers is believed beyond its form: who runs the node decides whom the pool lets in. Blocking;
may be called from several threads.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpx

from bpci_node.errors import BpciError, FormatError, UnreachableError, UsageError
from bpci_node.mempool.state import SenderState
from bpci_node.network.transport import Transport
from bpci_node.network.wire import JSON
from bpci_node.primitives.json_text import read_json

TIMEOUT_SECONDS = 5.0
"""Time that all questions of one call may take."""
MAX_AGE_SECONDS = 2.0
"""How long an answer is kept; blocks come every few seconds at the most."""
MAX_KEPT = 100_000
"""Accounts whose answers are kept."""
BATCH = 100
"""Accounts asked for in one request, two questions each; nodes refuse long batches."""
MAX_REPLY_BYTES = 1 << 20
"""Longest reply that is read; a hundred times what a batch needs."""

_QUANTITY = re.compile(r"0x(0|[1-9a-f][0-9a-f]{0,63})", re.IGNORECASE)


class ChainRpc:
    """A :class:`~bpci_node.mempool.state.StateProvider` over one node of the chain."""

    def __init__(self, url: str, chain_id: int, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Take an address; nothing is sent yet.

        Args:
            url: of the JSON-RPC endpoint, with path and query where it has some. It may hold a secret, so no message
                shows more than its host.
            chain_id: of the chain that it must serve.
        Raises:
            UsageError: not such an address (``config.value``).
        """
        try:
            parsed = httpx.URL(url)
            base = f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"
            self._transport = Transport(base, timeout_seconds=timeout_seconds)
        except (httpx.InvalidURL, BpciError, UnicodeError) as error:
            raise UsageError(
                "not the address of a chain's JSON-RPC",
                code="config.value",
                hint='Write state = "rpc:http://192.0.2.7:8545".',
                key="targets.state",
            ) from error
        self._path = parsed.raw_path.decode("ascii")
        self._chain_id, self._timeout = chain_id, timeout_seconds
        self._is_right_chain = False
        self._lock = threading.Lock()
        self._kept: dict[bytes, tuple[float, SenderState]] = {}

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def forget(self) -> None:
        """Throw away what was answered; the next call asks again."""
        with self._lock:
            self._kept = {}

    def states(self, addresses: Iterable[bytes]) -> Mapping[bytes, SenderState]:
        """Return the state of each of these accounts at the chain's latest block.

        Raises:
            UnreachableError: the node could not be asked (``unreachable.chain``), answered what makes no sense
                (``unreachable.chain_reply``), or serves another chain (``unreachable.chain_id``).
        """
        started = time.monotonic()
        wanted = dict.fromkeys(addresses)
        with self._lock:
            fresh = {address: item for address in wanted if (item := self._kept.get(address)) is not None}
        found = {address: state for address, (at, state) in fresh.items() if started - at <= MAX_AGE_SECONDS}
        missing = [address for address in wanted if address not in found]
        deadline = started + self._timeout
        for start in range(0, len(missing), BATCH):
            found |= self._ask_states(missing[start : start + BATCH], deadline)
        with self._lock:
            for address in missing:
                self._kept.pop(address, None)
                self._kept[address] = (started, found[address])
            while len(self._kept) > MAX_KEPT:
                del self._kept[next(iter(self._kept))]
        return found

    def _ask_states(self, addresses: Sequence[bytes], deadline: float) -> dict[bytes, SenderState]:
        calls: list[tuple[str, list[str]]] = []
        if not self._is_right_chain:
            calls.append(("eth_chainId", []))
        for address in addresses:
            where = ["0x" + address.hex(), "latest"]
            calls += [("eth_getTransactionCount", where), ("eth_getBalance", where)]
        answers = self._ask(calls, deadline)
        if not self._is_right_chain:
            if answers[0] != self._chain_id:
                raise UnreachableError(
                    f"{self._transport.where} serves chain {answers[0]}, not {self._chain_id}",
                    code="unreachable.chain_id",
                    hint="Correct the state of this target in the configuration.",
                )
            self._is_right_chain = True
            del answers[0]
        pairs = zip(addresses, answers[::2], answers[1::2], strict=True)
        return {address: SenderState(nonce, balance) for address, nonce, balance in pairs}

    def _ask(self, calls: Sequence[tuple[str, list[str]]], deadline: float) -> list[int]:
        """Send one batch and return its answers, all of them quantities, in the order of the calls.

        Source: JSON-RPC 2.0 specification, section 6; Ethereum execution APIs.
        """
        body = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
            for number, (method, parameters) in enumerate(calls)
        ]
        try:
            reply = self._transport.request(
                "POST",
                self._path,
                content=json.dumps(body).encode(),
                headers={"Content-Type": JSON, "Accept-Encoding": "identity"},
                reply_bytes=MAX_REPLY_BYTES,
                timeout_seconds=max(deadline - time.monotonic(), 0.001),
            )
        except BpciError as error:
            raise UnreachableError(
                f"the chain could not be asked: {error.message}",
                code="unreachable.chain",
                hint="Entries are accepted again when the node of the chain answers.",
            ) from error
        try:
            value = read_json(reply.body, max_bytes=MAX_REPLY_BYTES) if reply.status == 200 else None
        except FormatError:
            value = None
        if not isinstance(value, list) or len(value) != len(calls):
            raise self._nonsense(f"HTTP status {reply.status}, and not an answer to each question")
        answers: dict[Any, int] = {}
        for item in value:
            number, text = (item.get("id"), item.get("result")) if isinstance(item, dict) else (None, None)
            if type(number) is not int or not isinstance(text, str) or not _QUANTITY.fullmatch(text):
                raise self._nonsense(_reason(item))
            answers[number] = int(text, 16)
        if sorted(answers) != list(range(len(calls))):
            raise self._nonsense("an answer to another question")
        return [answers[number] for number in range(len(calls))]

    def _nonsense(self, what: str) -> UnreachableError:
        return UnreachableError(
            f"{self._transport.where} does not answer like a node of a chain: {what}",
            code="unreachable.chain_reply",
            hint="Check the address; the node must serve eth_getTransactionCount and eth_getBalance in batches.",
        )


def _reason(item: Any) -> str:
    """Return what a JSON-RPC error says, cut short and printable."""
    error = item.get("error") if isinstance(item, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    text = message if isinstance(message, str) else "no quantity"
    return "".join(char if char.isprintable() else " " for char in text[:200])
