"""A client of one node: what the command line, the wizard, the hardware check and other nodes ask.

What a node answers is checked against the network file when one is given: the ledger's id, challenges, certificates.
Errors are the product's own; nothing of the HTTP library gets out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from bpci_node.errors import BpciError, ProofError
from bpci_node.network import file as network_file
from bpci_node.network.auth import sign_request
from bpci_node.network.checks import check_challenge, check_node, malformed, other_ledger
from bpci_node.network.file import NetworkFile
from bpci_node.network.ledger_client import LedgerClient
from bpci_node.network.mempool import MempoolClient
from bpci_node.network.transport import TIMEOUT_SECONDS, Reply, Transport, error_of_problem
from bpci_node.network.wire import AUTH_HEADER, CBOR, bytes_of
from bpci_node.primitives import codec
from bpci_node.primitives.keys import Signer, did_of

BUNDLE_BYTES = 256 << 20
"""Longest bundle that is read."""
BATCH_REPLY_BYTES = 32 << 20
SEAL_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class SignedChallenge:
    """A challenge of the registry, encoded, and the registry's signature."""

    challenge: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Transfer:
    """One measured transfer."""

    size_bytes: int
    seconds: float
    """Download: from the first byte to the last. Upload: from sending to the reply."""


@dataclass(frozen=True, slots=True)
class EntryResult:
    """What the node answered to one raw transaction of a batch."""

    receipt: bytes | None
    """The signed receipt, encoded (:mod:`bpci_node.mempool.receipt`), or ``None`` when it was refused."""
    error: BpciError | None
    """Why it was refused."""


class NodeClient:
    """Talks to one node over HTTP, or to the owner's socket of a node on this machine."""

    def __init__(
        self, base: str | Path, *, network: NetworkFile | None = None, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        """Take an address; nothing is sent yet.

        Args:
            base: base URL such as ``http://192.0.2.5:8545``, or the path of the owner's socket.
            network: what replies are checked against.
            timeout_seconds: time that one request may take, unless it is known to take longer.
        Raises:
            FormatError: not the base URL of a node (``format.url``).
        """
        self._transport = Transport(base, timeout_seconds=timeout_seconds)
        self._network = network
        self.mempool = MempoolClient(self._transport, self._map)
        """What it says of its pools."""
        self.ledger = LedgerClient(self._transport, self._map)
        """What it says of its ledger."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @property
    def where(self) -> str:
        """The address, for messages."""
        return self._transport.where

    # Reading

    def status(self) -> dict[str, Any]:
        """Return the node's status.

        Raises:
            UnreachableError: as :meth:`Transport.request`, or not a node.
            ProofError: it belongs to another ledger than the network file (``proof.ledger``).
        """
        status = self._map(self._transport.value("GET", "/v1/status"), "v", "node", "ledger")
        ledger = status["ledger"].get("id") if isinstance(status["ledger"], dict) else None
        if self._network is not None and ledger != self._network.ledger_id:
            raise other_ledger(self.where)
        return status

    def is_ready(self) -> bool:
        """Tell whether the node says that it is ready.

        Raises:
            UnreachableError: it doesn't answer.
        """
        return self._transport.request("GET", "/readyz").status == 200

    def network(self) -> NetworkFile:
        """Return the network file that the node gives out.

        Raises:
            FormatError: it is not one.
            ProofError: it is not the one that this client was given (``proof.ledger``).
        """
        found = network_file.from_value(self._transport.value("GET", "/v1/network"))
        if self._network is not None and (found.ledger_id, found.registry_key) != (
            self._network.ledger_id,
            self._network.registry_key,
        ):
            raise other_ledger(self.where)
        return found

    def node(self, name: str) -> dict[str, Any]:
        """Look a node up by account id or ``did:key``; it is checked if the network is known.

        Raises:
            NotFoundError: no such node.
            ProofError: the certificate does not hold.
        """
        found = self._map(
            self._transport.value("GET", f"/v1/registry/nodes/{quote(name, safe=':')}"), "node", "certificate"
        )
        if self._network is not None:
            check_node(self.where, self._network, found, name, self.ledger.state)
        return found

    def nodes(self, *, node_type: str | None = None, after: str | None = None, limit: int = 100) -> dict[str, Any]:
        """Return one page of registered nodes: ``{nodes, next}``."""
        query: dict[str, Any] = {"limit": limit}
        if node_type is not None:
            query["type"] = node_type
        if after is not None:
            query["after"] = after
        return self._map(self._transport.value("GET", f"/v1/registry/nodes?{urlencode(query)}"), "nodes", "next")

    def account(self, account_id: str) -> dict[str, Any]:
        """Return an account.

        Raises:
            NotFoundError: no such account.
        """
        return self._map(self._transport.value("GET", f"/v1/accounts/{quote(account_id)}"), "id", "nonce", "keys")

    def entry(self, target: str, txid: bytes) -> dict[str, Any]:
        """Return what the node knows of an accepted entry.

        Raises:
            NotFoundError: it was never accepted here.
        """
        path = f"/v1/entries/{quote(target, safe=':')}/0x{txid.hex()}"
        return self._map(self._transport.value("GET", path), "txid", "state", "receipt")

    def bundle(self, target: str, sequence: int) -> bytes:
        """Return a sealed bundle's file.

        Raises:
            NotFoundError: no such bundle.
        """
        query = urlencode({"target": target})
        reply = self._transport.request(
            "GET", f"/v1/bundles/{sequence}?{query}", reply_bytes=BUNDLE_BYTES, timeout_seconds=SEAL_SECONDS
        )
        return self._bundle(reply)

    def mempool_proof(self, target: str, txids: Sequence[bytes], keys: Sequence[bytes]) -> bytes:
        """Return a mempool proof of entries and buckets, encoded. It is not verified here.

        Raises:
            NotFoundError: no such target, or an entry does not wait there (``entry.not_waiting``).
        """
        reply = self._transport.request(
            "POST",
            f"/v1/mempool/{quote(target, safe=':')}/proof",
            content=codec.encode({"v": 1, "entries": list(txids), "buckets": list(keys)}),
            headers={"Content-Type": CBOR},
            timeout_seconds=60.0,
        )
        return self._bundle(reply)

    # Registering

    def challenge(self, node_key: bytes) -> SignedChallenge:
        """Get a fresh challenge of the registry for ``node_key``.

        Raises:
            ProofError: not signed by the registry of the network file.
        """
        value = self._map(
            self._transport.value("POST", "/v1/registry/challenge", json_body={"node_key": did_of(node_key)}),
            "challenge",
            "signature",
        )
        challenge = bytes_of(value["challenge"], what="challenge")
        signature = bytes_of(value["signature"], what="signature")
        if self._network is not None:
            found = check_challenge(self.where, self._network, challenge, signature)
            if found.node_key != node_key:
                raise ProofError(f"{self.where} sent a challenge for another key", code="proof.challenge")
        return SignedChallenge(challenge, signature)

    def submit_command(self, signed: bytes) -> dict[str, Any]:
        """Send a signed command and return ``{height, results}`` when its block is final.

        Raises:
            RefusedError: the ledger's reason.
        """
        value = self._transport.value("POST", "/v1/commands", content=signed, headers={"Content-Type": CBOR})
        return self._map(value, "height", "results")

    # Entries

    def submit_entries(self, target: str, raws: Sequence[bytes]) -> list[EntryResult]:
        """Send raw transactions in one batch and return one result each, in their order.

        Raises:
            UnreachableError, LimitError, StorageError: nothing of the batch got a receipt.
        """
        value = self._transport.value(
            "POST",
            "/v1/entries/batch",
            content=codec.encode({"v": 1, "target": target, "raws": list(raws)}),
            headers={"Content-Type": CBOR, "Accept": CBOR},
            reply_bytes=BATCH_REPLY_BYTES,
            timeout_seconds=60.0,
        )
        results = self._map(value, "v", "results")["results"]
        if not isinstance(results, list) or len(results) != len(raws):
            raise malformed(self.where)
        return [self._entry_result(item) for item in results]

    def find_entries(self, target: str, txids: Sequence[bytes]) -> list[dict[str, Any] | None]:
        """Return what the node knows of many entries, in their order: ``{state, arrival_seq, bundle}`` or ``None``."""
        value = self._transport.value(
            "POST",
            "/v1/entries/lookup",
            content=codec.encode({"v": 1, "target": target, "txids": list(txids)}),
            headers={"Content-Type": CBOR, "Accept": CBOR},
        )
        results = self._map(value, "v", "results")["results"]
        if not isinstance(results, list) or len(results) != len(txids):
            raise malformed(self.where)
        return [None if item is None else self._map(item, "state", "arrival_seq", "bundle") for item in results]

    def _entry_result(self, item: Any) -> EntryResult:
        if isinstance(item, dict) and isinstance(item.get("receipt"), bytes):
            return EntryResult(item["receipt"], None)
        error = error_of_problem(item.get("error")) if isinstance(item, dict) else None
        if error is None:
            raise malformed(self.where)
        return EntryResult(None, error)

    # Measuring, signed by a node

    def measure_download(self, signer: Signer, size_bytes: int) -> Transfer:
        """Fetch ``size_bytes`` of incompressible bytes and say how long it took.

        Raises:
            AccessError, LimitError: the node refused.
        """
        path = f"/v1/measure/download?bytes={size_bytes}"
        reply = self._signed(signer, "GET", path, b"", reply_bytes=size_bytes)
        if len(reply.body) != size_bytes:
            raise malformed(self.where)
        return Transfer(size_bytes, max(reply.seconds - reply.first_byte_seconds, 1e-6))

    def measure_upload(self, signer: Signer, data: bytes) -> Transfer:
        """Send ``data`` and say how long it took.

        Raises:
            AccessError, LimitError: the node refused.
        """
        reply = self._signed(signer, "POST", "/v1/measure/upload", data)
        return Transfer(len(data), max(reply.seconds, 1e-6))

    def is_reachable(self, signer: Signer, port: int) -> bool:
        """Ask whether the node reaches ours at the address from which we ask, on ``port``.

        Raises:
            AccessError, LimitError: the node refused.
        """
        found = self.ask_signed(signer, "/v1/registry/reach", {"port": port})
        return self._map(found, "reachable")["reachable"] is True

    def ask_signed(self, signer: Signer, path: str, value: dict[str, Any]) -> Any:
        """Put a question that a node signs, and return the answer; errors as :meth:`is_reachable`."""
        return self._transport.decode(self._signed(signer, "POST", path, codec.encode(value)))

    def _signed(self, signer: Signer, method: str, path: str, body: bytes, *, reply_bytes: int = 65_536) -> Reply:
        signed = self.challenge(signer.public_key)
        header = sign_request(
            signer,
            challenge=signed.challenge,
            challenge_sig=signed.signature,
            method=method,
            path=path,
            body=body,
        )
        reply = self._transport.request(
            method,
            path,
            content=body or None,
            headers={AUTH_HEADER: header, "Content-Type": CBOR},
            reply_bytes=max(reply_bytes, 65_536),
            timeout_seconds=90.0,
        )
        if reply.status >= 400:
            self._transport.decode(reply)
        return reply

    # The owner's socket

    def owner_status(self) -> dict[str, Any]:
        """Return the status with what only the owner sees."""
        return self._map(self._transport.value("GET", "/owner/status"), "v", "node", "ledger")

    def seal(self, target: str, *, gas_limit: int | None = None, base_fee: int | None = None) -> bytes:
        """Seal a bundle now and return its file.

        Args:
            gas_limit: gas that the bundle may use; the target's own by default.
            base_fee: named base fee, wei per gas; the target's own by default.
        Raises:
            RefusedError: nothing to seal (``bundle.empty``).
        """
        body: dict[str, Any] = {"target": target}
        if gas_limit is not None:
            body["gas_limit"] = gas_limit
        if base_fee is not None:
            body["base_fee"] = str(base_fee)
        reply = self._transport.request(
            "POST",
            "/owner/seal",
            content=codec.encode(body),
            headers={"Content-Type": CBOR},
            reply_bytes=BUNDLE_BYTES,
            timeout_seconds=SEAL_SECONDS,
        )
        return self._bundle(reply)

    def register(self, request: dict[str, Any] | None = None) -> dict[str, Any]:
        """Let the node register itself with its registry and return ``{account, certificate}``.

        Args:
            request: ``report_digest``, ``challenge`` and ``challenge_sig`` of a hardware report to name;
                ``node_type`` and ``flags`` (names of those that are set) instead of those in its configuration.
        Raises:
            RefusedError: the registry's reason.
            UnreachableError: the node could not reach its registry.
        """
        body = codec.encode(request or {})
        value = self._transport.value(
            "POST", "/owner/register", content=body, headers={"Content-Type": CBOR}, timeout_seconds=60.0
        )
        return self._map(value, "account", "certificate")

    def stop(self) -> None:
        """Ask the node to stop gracefully."""
        self._transport.value("POST", "/owner/stop")

    # Checks

    def _bundle(self, reply: Reply) -> bytes:
        if reply.status >= 400:
            self._transport.decode(reply)
        if reply.media_type != CBOR:
            raise malformed(self.where)
        return reply.body

    def _map(self, value: Any, *members: str) -> dict[str, Any]:
        if not isinstance(value, dict) or any(member not in value for member in members):
            raise malformed(self.where)
        return value
