"""What bidders, subscribers and validators ask of a validator about auctions: one client for all of them.

Bodies are canonical CBOR over kept connections. What comes back is signed by committee or coordinator wherever it
matters, and checked by whoever asked; this module reads forms and nothing else. Calls block: on an event loop they
belong into threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote, urlencode

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from bpci_node.auction.window import WindowId
from bpci_node.chain.committee import Committee
from bpci_node.errors import BpciError, FormatError, UnreachableError
from bpci_node.network.checks import malformed
from bpci_node.network.transport import TIMEOUT_SECONDS, Reply, Transport, error_of_problem
from bpci_node.network.wire import CBOR
from bpci_node.primitives import codec

BUNDLE_BYTES = 64 << 20
"""Longest bundle that is read."""
_EVENT_BYTES = 1 << 20


class AuctionClient:
    """Asks one validator."""

    def __init__(self, base: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Take a base URL such as ``http://192.0.2.5:8545``; nothing is sent yet.

        Raises:
            FormatError: not the base URL of a node (``format.url``).
        """
        self._transport = Transport(base, timeout_seconds=timeout_seconds)

    @property
    def where(self) -> str:
        """The base URL."""
        return self._transport.where

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # For bidders

    def overview(self) -> dict[str, Any]:
        """Return ledger time, epoch, committee, targets with their terms, and what this validator does in the epoch."""
        return self._get("/v1/auction", "time_us", "epoch", "targets")

    def committee(self, epoch: int) -> Committee:
        """Return the committee of an epoch as this validator's state has it; nothing proves it.

        Raises:
            NotFoundError: it has none (``auction.no_committee``).
        """
        return Committee.from_map(self._get(f"/v1/auction/committees/{epoch}", "committee")["committee"])

    def open_lines(self, request: bytes) -> dict[str, Any]:
        """Ask the coordinator to reserve bonds; answers when the ledger has reserved them.

        Args:
            request: signed by the bidder.
        """
        return self._post("/v1/auction/lines", request, "lines")

    def send_commits(self, batch: bytes) -> list[bytes | BpciError]:
        """Send a batch of commits; return for each its receipt, encoded, or why it was refused."""
        return _results(self._post("/v1/auction/commits", batch, "results")["results"], self.where)

    def send_reveals(self, batch: bytes) -> list[bytes | BpciError]:
        """Send a batch of reveals to this notary; return for each its receipt, encoded, or why it was refused."""
        return _results(self._post("/v1/auction/reveals", batch, "results")["results"], self.where)

    def commit_set(self, window: WindowId) -> dict[str, Any]:
        """Return the certified set of a window: ``{commit_set, certificate, commit_ids}``.

        Raises:
            NotFoundError: there is none here (``window.unknown``).
        """
        return self._get(f"/v1/auction/sets/{_path_of(window)}", "commit_set", "certificate", "commit_ids")

    def window(self, window: WindowId) -> dict[str, Any]:
        """Return where a window stands, and what it came to.

        Raises:
            NotFoundError: it is not known here (``window.unknown``).
        """
        return self._get(f"/v1/auction/windows/{_path_of(window)}", "stage")

    def bundle(self, header_digest: bytes) -> bytes:
        """Return a bundle, encoded, by its header's digest.

        Raises:
            NotFoundError: it is not here (``bundle.unknown``).
        """
        reply = self._transport.request(
            "GET", f"/v1/auction/bundles/0x{header_digest.hex()}", headers={"Accept": CBOR}, reply_bytes=BUNDLE_BYTES
        )
        found = self._transport.decode(reply)
        if not isinstance(found, dict) or not isinstance(found.get("bundle"), bytes):
            raise malformed(self.where)
        return bytes(found["bundle"])

    def bundles(self, target: str, *, after: int = 0, limit: int = 20) -> list[dict[str, Any]]:
        """Return the headers of a target's bundles after a sequence number: ``{sequence, digest, header, ...}``."""
        query = urlencode({"target": target, "after": after, "limit": limit})
        return list(self._get(f"/v1/auction/bundles?{query}", "bundles")["bundles"])

    def events(self, *, after: int = 0, limit: int = 256) -> list[dict[str, Any]]:
        """Return what the stream told after a number, as far as it is kept."""
        return list(self._get(f"/v1/auction/events?{urlencode({'after': after, 'limit': limit})}", "events")["events"])

    def subscribe(
        self, *, after: int = 0, target: str | None = None, kind: str | None = None, timeout_seconds: float = 60.0
    ) -> Iterator[dict[str, Any]]:
        """Yield events after a number, for ever; who resumes gives the last number that it has dealt with.

        Args:
            timeout_seconds: how long to wait for one event before giving up.
        Raises:
            UnreachableError: the connection failed or ended (``unreachable.*``).
            BpciError: the subscription was refused.
        """
        query = {"after": str(after)} | ({"target": target} if target else {}) | ({"kind": kind} if kind else {})
        url = f"ws{self.where.removeprefix('http')}/v1/auction/stream?{urlencode(query)}"
        try:
            with connect(url, max_size=_EVENT_BYTES, compression=None, proxy=None, open_timeout=10) as socket:
                while True:
                    message = socket.recv(timeout=timeout_seconds)
                    event = codec.decode(message, max_bytes=_EVENT_BYTES) if isinstance(message, bytes) else None
                    if not isinstance(event, dict) or type(event.get("sequence")) is not int:
                        raise malformed(self.where)
                    yield event
        except TimeoutError as error:
            raise UnreachableError(f"{self.where} told nothing in time", code="unreachable.timeout") from error
        except (WebSocketException, OSError) as error:
            raise UnreachableError(
                f"the stream of {self.where} ended: {error}",
                code="unreachable.stream",
                hint="Subscribe again after the last event.",
            ) from error

    # Between validators

    def ask(self, path: str, body: Mapping[str, Any], *, timeout_seconds: float | None = None) -> dict[str, Any]:
        """Send a message to a notary under ``/v1/notary/`` and return its answer.

        Raises:
            BpciError: the notary's reason for refusing, or it could not be reached.
        """
        data = codec.encode({"v": 1, **body})
        return self._post(f"/v1/notary/{path}", data, timeout_seconds=timeout_seconds, reply_bytes=BUNDLE_BYTES)

    def _get(self, path: str, *members: str) -> dict[str, Any]:
        return self._read(self._transport.request("GET", path, headers={"Accept": CBOR}), members)

    def _post(self, path: str, body: bytes, *members: str, **options: Any) -> dict[str, Any]:
        headers = {"Content-Type": CBOR, "Accept": CBOR}
        return self._read(self._transport.request("POST", path, content=body, headers=headers, **options), members)

    def _read(self, reply: Reply, members: Sequence[str]) -> dict[str, Any]:
        value = self._transport.decode(reply)
        if not isinstance(value, dict) or any(member not in value for member in members):
            raise malformed(self.where)
        return value


def _path_of(window: WindowId) -> str:
    return f"{quote(window.target, safe='')}/{window.qlock_ms}/{window.index}"


def _results(values: Any, where: str) -> list[bytes | BpciError]:
    """Read what became of each item of a batch: ``{receipt}`` or ``{problem}``."""
    results: list[bytes | BpciError] = []
    for item in values if isinstance(values, list) else [None]:
        receipt = item.get("receipt") if isinstance(item, dict) else None
        error = error_of_problem(item.get("problem")) if isinstance(item, dict) else None
        if isinstance(receipt, bytes):
            results.append(receipt)
        elif error is not None:
            results.append(error)
        else:
            raise FormatError(f"{where} answered something else than results", code="format.reply")
    return results
