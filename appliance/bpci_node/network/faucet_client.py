"""What a client asks of a node's faucet: its terms, a challenge, a grant."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from bpci_node.network.checks import malformed
from bpci_node.network.transport import Transport
from bpci_node.network.wire import bytes_of

MAX_BITS = 40
"""More work than this is not done for anybody."""
_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class FaucetChallenge:
    """What work for a grant is done on."""

    statement: bytes
    """32 bytes."""
    bits: int
    """Zero bits that SHA-256 of statement and nonce begins with, 0 to :data:`MAX_BITS`."""
    most: str
    """The most that may be given, smallest unit, a decimal string."""


class FaucetClient:
    """Asks one node about its faucet."""

    def __init__(self, base: str) -> None:
        """Take a base URL such as ``http://192.0.2.5:8545``; nothing is sent yet.

        Raises:
            FormatError: not the base URL of a node (``format.url``).
        """
        self._transport = Transport(base, timeout_seconds=_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    def terms(self) -> dict[str, Any]:
        """Return what the faucet gives, and what is left.

        Raises:
            NotFoundError: the node has none (``faucet.closed``).
        """
        return self._map(self._transport.value("GET", "/v1/faucet"), "pool", "maxima", "decimals", "asset")

    def challenge(self, account: str, purpose: str) -> FaucetChallenge:
        """Return what work for a grant is to be done on now.

        Raises:
            RefusedError: the ledger would refuse such a grant.
            FormatError: what came is no challenge, or asks for too much work (``format.reply``).
        """
        query = urlencode({"account": account, "purpose": purpose})
        found = self._map(self._transport.value("GET", f"/v1/faucet/challenge?{query}"), "statement", "bits", "most")
        statement, bits = bytes_of(found["statement"], what="statement"), found["bits"]
        if len(statement) != 32 or type(bits) is not int or not 0 <= bits <= MAX_BITS:
            raise malformed(self._transport.where)
        return FaucetChallenge(statement, bits, str(found["most"]))

    def request(self, account: str, purpose: str, **means: str) -> dict[str, Any]:
        """Ask for a grant and return it when it stands in the ledger.

        Args:
            means: ``nonce`` (0x and 16 hexadecimal digits) or ``code``, and ``amount`` in the smallest unit.
        Raises:
            BpciError: the faucet's reason for giving nothing.
        """
        body = {"v": 1, "account": account, "purpose": purpose, **means}
        value = self._transport.value("POST", "/v1/faucet/grants", json_body=body)
        return self._map(value, "account", "amount", "command_id")

    def _map(self, value: Any, *members: str) -> dict[str, Any]:
        if not isinstance(value, dict) or any(member not in value for member in members):
            raise malformed(self._transport.where)
        return value
