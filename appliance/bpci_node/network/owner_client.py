"""What the owner asks of the node on this machine besides running it: its activation token, codes of its faucet."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bpci_node.network.checks import malformed
from bpci_node.network.transport import Transport

_SECONDS = 60.0
"""Time that one request may take: the node may have to ask others first."""


class OwnerClient:
    """Talks to the owner's socket of a node on this machine."""

    def __init__(self, socket: str | Path) -> None:
        """Take the socket's path; nothing is sent yet."""
        self._transport = Transport(socket, timeout_seconds=_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    def renew_token(self) -> dict[str, Any]:
        """Let the node ask its registry for a new activation token; return ``{token, guard}`` as they are then."""
        return self._map(self._transport.value("POST", "/owner/token"), "token", "guard")

    def drain(self, seconds: int) -> dict[str, Any]:
        """Let the node take no new part in auctions, because it is to be stopped within ``seconds``.

        Returns:
            How far it is: ``{draining, drained, seats, windows, owed, ...}``.
        """
        value = self._transport.value("POST", "/owner/drain", json_body={"seconds": seconds})
        return self._map(value, "draining", "drained")

    def drain_status(self) -> dict[str, Any]:
        """Return how far draining is, as :meth:`drain`."""
        return self._map(self._transport.value("GET", "/owner/drain"), "draining", "drained")

    def resume(self) -> dict[str, Any]:
        """Take :meth:`drain` back; return the same."""
        return self._map(self._transport.value("DELETE", "/owner/drain"), "draining", "drained")

    def faucet_codes(self, count: int) -> list[str]:
        """Let the node's faucet make codes, each good for one grant.

        Raises:
            NotFoundError: the node has no faucet (``faucet.closed``).
            LimitError: too many are unused (``faucet.codes``).
        """
        value = self._transport.value("POST", "/owner/faucet/codes", json_body={"count": count})
        codes = self._map(value, "codes")["codes"]
        if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
            raise malformed(self._transport.where)
        return codes

    def _map(self, value: Any, *members: str) -> dict[str, Any]:
        if not isinstance(value, dict) or any(member not in value for member in members):
            raise malformed(self._transport.where)
        return value
