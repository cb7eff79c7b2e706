"""What a client asks of a node's ledger: blocks and snapshots for who follows it, look-ups and proofs for who uses it.

Nothing that comes from a node is believed here; sizes are bounded before anything is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from bpci_node.chain.genesis import MAX_GENESIS_BYTES
from bpci_node.consensus.snapshot import MAX_MANIFEST_BYTES
from bpci_node.errors import FormatError
from bpci_node.network.checks import malformed
from bpci_node.network.transport import Transport
from bpci_node.network.wire import CBOR

PAGE_BYTES = 32 << 20
"""Longest page of blocks that is read: one block of 1,024 commands fits, whatever the commands are."""
_ACCEPT = {"Accept": CBOR}

Checked = Callable[..., dict[str, Any]]
"""Checks that a reply is a map with these members, and returns it."""


@dataclass(frozen=True, slots=True)
class BlocksPage:
    """Blocks as a node has them."""

    first: int
    """Least height of which the node keeps a block, 0 if it has none."""
    checkpoint: bytes | None
    """The sequencer's latest checkpoint that the node knows, encoded."""
    blocks: tuple[tuple[bytes, tuple[bytes, ...]], ...]
    """Signed blocks in order of their heights, each with its commands, all encoded."""


class LedgerClient:
    """The part of a node's client that is about its ledger."""

    def __init__(self, transport: Transport, as_map: Checked) -> None:
        self._transport, self._map = transport, as_map

    def genesis(self) -> bytes:
        """Return the encoded genesis of the node's ledger."""
        value = self._cbor("/v1/ledger/genesis", 2 * MAX_GENESIS_BYTES)
        return self._bytes(self._map(value, "genesis")["genesis"])

    def blocks(self, first: int, limit: int) -> BlocksPage:
        """Return blocks from height ``first`` on, at most ``limit``; none if the node has none there.

        Raises:
            FormatError: the answer is not of this version (``format.reply``).
        """
        query = urlencode({"from": first, "limit": limit})
        value = self._map(self._cbor(f"/v1/ledger/blocks?{query}", PAGE_BYTES), "first", "checkpoint", "blocks")
        checkpoint = value["checkpoint"]
        if type(value["first"]) is not int or type(value["blocks"]) is not list or len(value["blocks"]) > limit:
            raise self._malformed()
        return BlocksPage(
            value["first"],
            None if checkpoint is None else self._bytes(checkpoint),
            tuple(self._block(item) for item in value["blocks"]),
        )

    def block(self, height: int) -> dict[str, Any]:
        """Return a block with its commands and results.

        Raises:
            NotFoundError: no such block.
        """
        return self._map(self._transport.value("GET", f"/v1/blocks/{height}"), "block")

    def snapshots(self) -> list[dict[str, Any]]:
        """Return which snapshots the node offers, in order of their heights."""
        value = self._map(self._transport.value("GET", "/v1/ledger/snapshots"), "snapshots")
        found = [self._map(item, "height", "digest", "entries", "bytes") for item in value["snapshots"]]
        if not all(type(item["height"]) is int for item in found):
            raise self._malformed()
        return found

    def manifest(self, height: int) -> bytes:
        """Return the encoded manifest of a snapshot.

        Raises:
            NotFoundError: there is none of this height.
        """
        return self._file(f"/v1/ledger/snapshots/{height}", MAX_MANIFEST_BYTES)

    def chunk(self, height: int, number: int, size_bytes: int) -> bytes:
        """Return an encoded chunk of a snapshot, of which ``size_bytes`` are read at most.

        Raises:
            NotFoundError: there is none.
            FormatError: it is longer (``format.reply``).
            LimitError: too much was asked for (``limit.ledger``).
        """
        return self._file(f"/v1/ledger/snapshots/{height}/{number}", max(size_bytes, 65_536))

    def assets(self) -> list[dict[str, Any]]:
        """Return the table of assets; amounts are decimal strings."""
        found: list[dict[str, Any]] = self._map(self._transport.value("GET", "/v1/ledger/assets"), "assets")["assets"]
        return found

    def balances(self, account_id: str) -> dict[str, str]:
        """Return what an account may spend: asset id to amount, a decimal string."""
        path = f"/v1/accounts/{quote(account_id)}/balances"
        found: dict[str, str] = self._map(self._transport.value("GET", path), "balances")["balances"]
        return found

    def events(self, subject: str, *, after: str = "", limit: int = 100) -> dict[str, Any]:
        """Return one page of the events of a kind or an account: ``{events, next}``."""
        query = urlencode({"of": subject, "after": after, "limit": limit})
        return self._map(self._transport.value("GET", f"/v1/ledger/events?{query}"), "events", "next")

    def state(self, key: bytes) -> dict[str, Any]:
        """Return what stands at a state key, with its proof; bytes as they are. It is not verified here.

        Raises:
            NotFoundError: there is no block yet.
        """
        value = self._cbor(f"/v1/ledger/state/0x{key.hex()}", 1 << 20)
        return self._map(value, "height", "key", "value", "proof", "signed_block", "checkpoint")

    def make_snapshot(self) -> dict[str, Any]:
        """Let the node write a snapshot now, and return its description. Over the owner's socket.

        Raises:
            LimitError: the node has not caught up yet.
        """
        return self._map(self._transport.value("POST", "/owner/snapshot", timeout_seconds=600.0), "height", "digest")

    def _cbor(self, path: str, reply_bytes: int) -> Any:
        return self._transport.value("GET", path, headers=_ACCEPT, reply_bytes=reply_bytes)

    def _file(self, path: str, most_bytes: int) -> bytes:
        reply = self._transport.request("GET", path, headers=_ACCEPT, reply_bytes=most_bytes)
        if reply.status >= 400:
            self._transport.decode(reply)
        if reply.media_type != CBOR:
            raise self._malformed()
        return reply.body

    def _block(self, item: Any) -> tuple[bytes, tuple[bytes, ...]]:
        found: Mapping[str, Any] = self._map(item, "block", "commands")
        commands: Sequence[Any] = found["commands"] if type(found["commands"]) is list else [None]
        return self._bytes(found["block"]), tuple(self._bytes(command) for command in commands)

    def _bytes(self, value: Any) -> bytes:
        if type(value) is not bytes:
            raise self._malformed()
        return value

    def _malformed(self) -> FormatError:
        return malformed(self._transport.where)
