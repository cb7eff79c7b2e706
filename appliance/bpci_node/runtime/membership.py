"""The node's own registration: does the registry know this node, and its certificate of it.

The registry is the node's own ledger or a node of the network; both are asked the same questions. The certificate is
kept in the store, so that bundles sealed while the registry is out of reach still carry it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from bpci_node.chain.account import account_id_of
from bpci_node.chain.certificate import verify_certificate
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.registration import ACTIVE, NodeRegistration
from bpci_node.errors import BpciError, NotFoundError, UnreachableError
from bpci_node.network.client import NodeClient
from bpci_node.network.file import NetworkFile
from bpci_node.network.wire import bytes_of, json_view
from bpci_node.primitives.keys import Signer, did_of
from bpci_node.runtime.config import NODE_FLAGS, NodeSection
from bpci_node.runtime.ledger import EmbeddedLedger

T = TypeVar("T")

NO_REPORT = bytes(32)
"""Digest in a registration for which no hardware report was made."""
EXPIRES_BLOCKS = 1000
"""How many blocks a registration stays executable."""


@dataclass(frozen=True, slots=True)
class Report:
    """A hardware report, as a registration names it."""

    digest: bytes
    """SHA-256 of the signed report, 32 bytes."""
    challenge: bytes
    """The challenge that it answers, encoded."""
    challenge_sig: bytes
    """The registry's signature of it, 64 bytes."""


class Registry(Protocol):
    """What registering asks of a registry. Records are in their JSON view."""

    async def height(self) -> int:
        """Return the height of the last block."""
        ...

    async def challenge(self, node_key: bytes) -> tuple[bytes, bytes]:
        """Return a challenge for ``node_key`` and its signature."""
        ...

    async def record(self, node_key: bytes) -> tuple[dict[str, Any], bytes | None] | None:
        """Return the record of the node with this key and its certificate; ``None`` if there is none."""
        ...

    async def nonce(self, account_id: str) -> int:
        """Return the nonce that the account's next command carries."""
        ...

    async def submit(self, signed: bytes) -> None:
        """Execute a command."""
        ...

    async def token(self, signer: Signer) -> bytes:
        """Return an activation token for the node of ``signer``, encoded."""
        ...


class OwnRegistry:
    """The registry of the node's own ledger."""

    def __init__(self, ledger: EmbeddedLedger) -> None:
        self._ledger = ledger

    async def height(self) -> int:
        """Return the height of the last block."""
        return self._ledger.height

    async def challenge(self, node_key: bytes) -> tuple[bytes, bytes]:
        """Return a challenge for ``node_key`` and its signature."""
        return await self._ledger.challenge(node_key)

    async def record(self, node_key: bytes) -> tuple[dict[str, Any], bytes | None] | None:
        """Return the record of the node with this key and its certificate."""
        try:
            record, certificate = await self._ledger.find_node(did_of(node_key))
        except NotFoundError:
            return None
        return json_view(record), certificate

    async def nonce(self, account_id: str) -> int:
        """Return the nonce that the account's next command carries."""
        try:
            return int((await self._ledger.account(account_id))["nonce"])
        except NotFoundError:
            return 0

    async def submit(self, signed: bytes) -> None:
        """Execute a command."""
        await self._ledger.submit(signed)

    async def token(self, signer: Signer) -> bytes:
        """Return the token of the node that holds the registry key."""
        return await self._ledger.own_token(signer.public_key)


class RemoteRegistry:
    """The registry of a network, behind the first of its nodes that answers."""

    def __init__(self, network: NetworkFile) -> None:
        self._network = network

    async def height(self) -> int:
        """Return the height of the last block."""
        return await asyncio.to_thread(self._ask, lambda client: int(client.status()["ledger"]["height"] or 0))

    async def challenge(self, node_key: bytes) -> tuple[bytes, bytes]:
        """Return a challenge for ``node_key`` and its signature, checked against the network file."""
        found = await asyncio.to_thread(self._ask, lambda client: client.challenge(node_key))
        return found.challenge, found.signature

    async def record(self, node_key: bytes) -> tuple[dict[str, Any], bytes | None] | None:
        """Return the record of the node with this key and its certificate, checked against the network file."""

        def ask(client: NodeClient) -> tuple[dict[str, Any], bytes | None] | None:
            try:
                found = client.node(did_of(node_key))
            except NotFoundError:
                return None
            text = found["certificate"]
            return found["node"], None if text is None else bytes_of(text, what="certificate")

        return await asyncio.to_thread(self._ask, ask)

    async def nonce(self, account_id: str) -> int:
        """Return the nonce that the account's next command carries."""

        def ask(client: NodeClient) -> int:
            try:
                return int(client.account(account_id)["nonce"])
            except NotFoundError:
                return 0

        return await asyncio.to_thread(self._ask, ask)

    async def submit(self, signed: bytes) -> None:
        """Execute a command."""
        await asyncio.to_thread(self._ask, lambda client: client.submit_command(signed))

    async def token(self, signer: Signer) -> bytes:
        """Return an activation token for the node of ``signer``, who signs the question."""

        def ask(client: NodeClient) -> bytes:
            found = client.ask_signed(signer, "/v1/registry/token", {"v": 1})
            return bytes_of(found.get("token") if isinstance(found, dict) else None, what="token")

        return await asyncio.to_thread(self._ask, ask)

    def _ask(self, question: Callable[[NodeClient], T]) -> T:
        """Put ``question`` to the network's nodes in turn, until one that keeps the ledger can be reached.

        Raises:
            UnreachableError: none (``unreachable.registry``).
            BpciError: what the first that was reached answered.
        """
        reasons = ["the network file names no URL"]
        for url in self._network.urls:
            with NodeClient(url, network=self._network) as client:
                try:
                    if client.status()["ledger"].get("mode") != "embedded":
                        reasons.append(f"{url} follows the ledger, and is not its registry")
                        continue
                    return question(client)
                except UnreachableError as error:
                    reasons.append(error.message)
        raise UnreachableError(
            f"no node of the network can be reached: {reasons[-1]}",
            code="unreachable.registry",
            hint="Check this machine's network, and ask the network's operator whether its registry is up.",
        )


async def register(
    registry: Registry, signer: Signer, network: NetworkFile, node: NodeSection, report: Report | None
) -> bytes:
    """Register the node, or bring its registration up to date, and return its certificate.

    Args:
        report: hardware report to name; without one an existing registration keeps the digest that it has.
    Raises:
        BpciError: the registry's reason for refusing, or it could not be reached.
    """
    account = account_id_of(signer.public_key)
    existing = await registry.record(signer.public_key)
    digest = NO_REPORT if report is None else report.digest
    is_active = existing is not None and existing[0].get("status") == ACTIVE
    if existing is not None:
        account = str(existing[0]["account"])
        if is_active and report is None:
            digest = bytes_of(existing[0]["report_digest"], what="report_digest")
    if report is None:
        challenge, challenge_sig = await registry.challenge(signer.public_key)
    else:
        challenge, challenge_sig = report.challenge, report.challenge_sig
    body = NodeRegistration(
        node_type=node.type,
        node_key=signer.public_key,
        flags={flag: flag in node.flags for flag in NODE_FLAGS},
        capabilities=node.capabilities,
        endpoints=node.endpoints,
        report_digest=digest,
        challenge=challenge,
        challenge_sig=challenge_sig,
        instance=node.instance,
    )
    if existing is None or not is_active or _differs(existing[0], body):
        command = Command(
            ledger_id=network.ledger_id,
            sender=account,
            nonce=await registry.nonce(account),
            expires_height=await registry.height() + EXPIRES_BLOCKS,
            kind="registry.update_node" if is_active else "registry.register_node",
            body=body.as_body(),
        )
        await registry.submit(sign_command(signer, command).encode())
    certificate = await fetch_certificate(registry, signer.public_key, network)
    if certificate is None:
        raise UnreachableError(
            "the registry took the registration, and does not show it",
            code="unreachable.registry",
            hint="Try again; if it repeats, ask the network's operator.",
        )
    return certificate


async def fetch_certificate(registry: Registry, node_key: bytes, network: NetworkFile) -> bytes | None:
    """Return the certificate of the node with this key, checked; ``None`` if it is not registered.

    Raises:
        ProofError: the certificate does not hold.
        BpciError: the registry could not be asked.
    """
    found = await registry.record(node_key)
    if found is None or found[1] is None:
        return None
    certificate = verify_certificate(found[1], registry_key=network.registry_key, ledger_id=network.ledger_id)
    return found[1] if certificate.node_key == node_key else None


def certified_account(certificate: bytes | None, node_key: bytes, network: NetworkFile) -> str | None:
    """Return the account that a kept certificate gives to this node; ``None`` if it is not of this node and network."""
    if not certificate:
        return None
    try:
        found = verify_certificate(certificate, registry_key=network.registry_key, ledger_id=network.ledger_id)
    except BpciError:
        return None
    return found.node_id if found.node_key == node_key else None


def _differs(record: dict[str, Any], body: NodeRegistration) -> bool:
    """Tell whether the record says something else than the body would."""
    wanted = json_view(body.as_body())
    return any(record.get(name) != wanted[name] for name in wanted if name not in ("challenge", "challenge_sig"))
